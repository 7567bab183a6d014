import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** Hosts that see each other over bridges, and nothing else: nothing of it touches this machine. */
export interface Hosts {
  host(name: string): Host;
  destroy(): Promise<void>;
}

interface Host {
  /** Adds an interface on a bridge, with an IPv4 address (`10.1.0.1/24`) or with IPv6 only. */
  plug(name: string, bridge: string, address: string | 'ipv6'): void;
  unplug(name: string): void;
  ip(...args: string[]): void;
  start(...args: string[]): Running;
}

/** A process of `process.mjs` on a host. */
interface Running {
  readonly child: ChildProcess;
  /** The first line, from the start on, that has all of `fields`; fails when the process ends. */
  said(fields: object): Promise<Record<string, unknown>>;
  /** All lines so far, those on stderr as `{ event: 'stderr', text }`; what is to come appears here. */
  readonly lines: Record<string, unknown>[];
  end(signal?: NodeJS.Signals): Promise<number | null>;
}

let made = 0;

export function makeHosts(): Hosts {
  const prefix = `drop-${process.pid}-${made++}`;
  const namespaces = new Set<string>();
  const running = new Set<Running>();
  const bridges = new Set<string>();
  const ip = (...args: string[]) => execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] });

  const namespace = (name: string) => {
    const full = `${prefix}-${name}`;
    ip('netns', 'add', full);
    namespaces.add(full);
    ip('-n', full, 'link', 'set', 'lo', 'up');
    return full;
  };
  const wires = namespace('wires');

  return {
    host(name) {
      const space = namespace(name);
      return {
        plug(port, bridge, address) {
          if (!bridges.has(bridge)) {
            const settings = ['type', 'bridge', 'mcast_snooping', '0', 'forward_delay', '0'];
            ip('-n', wires, 'link', 'add', bridge, ...settings);
            ip('-n', wires, 'link', 'set', bridge, 'up');
            bridges.add(bridge);
          }
          const far = `${name}-${port}`;
          ip('-n', wires, 'link', 'add', far, 'type', 'veth', 'peer', port, 'netns', space);
          ip('-n', wires, 'link', 'set', far, 'master', bridge, 'up');
          // Without it, a link-local address cannot be used for its first second.
          ip('netns', 'exec', space, 'sysctl', '-qw', `net.ipv6.conf.${port}.accept_dad=0`);
          ip('-n', space, 'link', 'set', port, 'up');
          if (address !== 'ipv6') ip('-n', space, 'addr', 'add', address, 'dev', port);
        },
        unplug: (port) => ip('-n', space, 'link', 'del', port),
        ip: (...args) => ip('-n', space, ...args),
        start(...args) {
          const one = run(['netns', 'exec', space, process.execPath, PROGRAM, ...args]);
          running.add(one);
          return one;
        },
      };
    },
    async destroy() {
      await Promise.all([...running].map((one) => one.end('SIGKILL')));
      for (const space of namespaces) ip('netns', 'del', space);
    },
  };
}

const PROGRAM = new URL('process.mjs', import.meta.url).pathname;

function run(args: string[]): Running {
  const child = spawn('ip', args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const lines: Record<string, unknown>[] = [];
  const waiting = new Set<() => void>();
  const wake = () => {
    for (const look of waiting) look();
  };
  let ended = false;
  const hear = (line: Record<string, unknown>) => {
    lines.push(line);
    wake();
  };
  createInterface(child.stdout).on('line', (line) => hear(JSON.parse(line)));
  createInterface(child.stderr).on('line', (text) => hear({ event: 'stderr', text }));
  const exit = once(child, 'close').then(([code]) => {
    ended = true;
    wake();
    return code;
  });
  return {
    child,
    lines,
    said: (fields) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const line = lines.find((one) => matches(one, fields));
          if (!line && !ended) return;
          waiting.delete(look);
          if (line) resolve(line);
          else reject(new Error(`ended with ${JSON.stringify(lines.slice(-5))}`));
        };
        waiting.add(look);
        look();
      }),
    end(signal = 'SIGTERM') {
      child.kill(signal);
      return exit;
    },
  };
}

function matches(line: Record<string, unknown>, fields: object): boolean {
  return Object.entries(fields).every(([key, value]) =>
    value instanceof RegExp ? value.test(String(line[key])) : line[key] === value,
  );
}
