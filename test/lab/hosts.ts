/**
 * Computers for tests: network namespaces with names, interfaces and addresses of their own,
 * joined by bridges in a namespace of their own. Nothing in them can reach this machine or its
 * networks. Needs root and the tools `ip`, `tc` and `nft`: see `describeWith` in support/skip.ts.
 */

import { type ChildProcess, execFileSync, type SpawnOptions, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { finished, type Outcome, PATIENCE } from '../support/process.ts';

/** One interface of a host. */
export interface Port {
  /** The network it is plugged into; made when first named. */
  readonly bridge: string;
  /** `10.7.0.1/24`, `fd07::1/64`. IPv6 has its link-local address anyway, unless `ipv4Only`. */
  readonly addresses?: readonly string[];
  /** Of the interface; else that of the bridge. At most 15 characters. */
  readonly name?: string;
  /** Where the default route leads; it need not exist. Without it there is none. */
  readonly gateway?: string;
  readonly ipv4Only?: boolean;
}

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

export class Lab implements AsyncDisposable {
  readonly #prefix = `${PREFIX}${process.pid}-${randomBytes(3).toString('hex')}`;
  readonly #wires = this.#namespace('wires');
  readonly #bridges = new Set<string>();
  readonly #hosts: Host[] = [];
  #cables = 0;

  /** An empty lab. What processes that have died left behind is cleared away first. */
  static create(): Lab {
    for (const namespace of leftovers()) remove(namespace);
    return new Lab();
  }

  /** A computer that calls itself `name`, with these interfaces, all of them up. */
  host(name: string, ...ports: readonly Port[]): Host {
    const cable = (bridge: string): string => this.#cable(bridge);
    const host = new Host(name, this.#namespace(name), this.#wires, cable);
    this.#hosts.push(host);
    for (const port of ports) host.plug(port);
    return host;
  }

  /** Ends every process on every host, and the hosts with them. */
  destroy(): void {
    for (const host of this.#hosts.splice(0)) remove(host.namespace);
    remove(this.#wires);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.destroy();
  }

  #namespace(name: string): string {
    const namespace = `${this.#prefix}-${name}`;
    ip('netns', 'add', namespace);
    ip('-n', namespace, 'link', 'set', 'lo', 'up');
    return namespace;
  }

  /** The far end of a new cable: the name of a free socket of the bridge. */
  #cable(bridge: string): string {
    if (!this.#bridges.has(bridge)) {
      // With snooping, a bridge without a querier forgets who wants multicast.
      const settings = ['type', 'bridge', 'mcast_snooping', '0', 'forward_delay', '0'];
      ip('-n', this.#wires, 'link', 'add', bridge, ...settings);
      ip('-n', this.#wires, 'link', 'set', bridge, 'up');
      this.#bridges.add(bridge);
    }
    return `socket${this.#cables++}`;
  }
}

export class Host {
  readonly name: string;
  readonly namespace: string;
  readonly #wires: string;
  readonly #cable: (bridge: string) => string;
  /** Interface -> the far end of its cable. */
  readonly #sockets = new Map<string, string>();
  #filtered = false;

  constructor(name: string, namespace: string, wires: string, cable: (bridge: string) => string) {
    this.name = name;
    this.namespace = namespace;
    this.#wires = wires;
    this.#cable = cable;
  }

  /** Gives the host one more interface; its name is returned. */
  plug({ bridge, addresses = [], name = bridge, gateway, ipv4Only = false }: Port): string {
    const socket = this.#cable(bridge);
    const peer = [
      'type',
      'veth',
      'peer',
      name,
      'address',
      this.#mac(name),
      'netns',
      this.namespace,
    ];
    ip('-n', this.#wires, 'link', 'add', socket, ...peer);
    this.#sockets.set(name, socket);
    // No second of waiting for its own address, which nobody else here can have.
    this.#sysctl(`net.ipv6.conf.${name}.accept_dad=0`);
    if (ipv4Only) this.#sysctl(`net.ipv6.conf.${name}.disable_ipv6=1`);
    ip('-n', this.#wires, 'link', 'set', socket, 'master', bridge, 'up');
    this.ip('link', 'set', name, 'up');
    this.setAddresses(name, addresses);
    if (gateway !== undefined) this.ip('route', 'add', 'default', 'via', gateway, 'dev', name);
    return name;
  }

  /** Pulls the cable: the interface and its addresses stay, its carrier is gone. */
  unplug(name: string): void {
    ip('-n', this.#wires, 'link', 'set', this.#socket(name), 'down');
  }

  /** Puts a pulled cable back. */
  replug(name: string): void {
    ip('-n', this.#wires, 'link', 'set', this.#socket(name), 'up');
  }

  /** Takes the whole interface away, like a network adapter that is pulled out. */
  remove(name: string): void {
    this.ip('link', 'del', name);
    this.#sockets.delete(name);
  }

  /** Gives the interface these addresses instead of those that it has; link-local ones stay. */
  setAddresses(name: string, addresses: readonly string[]): void {
    this.ip('addr', 'flush', 'dev', name, 'scope', 'global');
    for (const address of addresses) {
      const flags = address.includes(':') ? ['nodad'] : [];
      this.ip('addr', 'add', address, 'dev', name, ...flags);
    }
  }

  /** Bounds what goes through the interface in each direction, e.g. to `100mbit`. */
  limit(name: string, rate: string): void {
    // A bucket that one burst of the kernel's segments fits into, and 50 ms of queue.
    const bucket = ['root', 'tbf', 'rate', rate, 'burst', '256kb', 'latency', '50ms'];
    execFileSync('tc', ['-n', this.namespace, 'qdisc', 'replace', 'dev', name, ...bucket]);
    const socket = this.#socket(name);
    execFileSync('tc', ['-n', this.#wires, 'qdisc', 'replace', 'dev', socket, ...bucket]);
  }

  /** Bytes that went through the interface so far. */
  traffic(name: string): { readonly sent: number; readonly received: number } {
    const [link] = JSON.parse(this.ip('-json', '-stats', 'link', 'show', 'dev', name));
    const { tx, rx } = link.stats64;
    return { sent: tx.bytes, received: rx.bytes };
  }

  /**
   * Loses `tenths` of ten of what arrives and matches, at random: `lose('udp dport 5353', 3)`;
   * all ten make a firewall. Such rules add up, until `loseNothing`.
   */
  lose(match: string, tenths: number): void {
    const chance = tenths >= 10 ? '' : `numgen random mod 10 < ${tenths}`;
    this.#filter(`${match} ${chance} drop`);
  }

  /** Answers what arrives and matches with a reset, until `loseNothing`: `reset('meta l4proto tcp')`. */
  reset(match: string): void {
    this.#filter(`${match} reject with tcp reset`);
  }

  loseNothing(): void {
    if (this.#filtered) this.#nft('flush chain inet lab arriving');
  }

  /** `ip` for this host, for what has no method here. Returns what it prints. */
  ip(...args: readonly string[]): string {
    return ip('-n', this.namespace, ...args);
  }

  /** The command that runs another one on this host, which keeps its process id: nothing forks. */
  on(command: string, args: readonly string[]): readonly [string, ...string[]] {
    const named = ['unshare', '--uts', 'sh', '-c', 'hostname "$0" && exec "$@"', this.name];
    return ['ip', 'netns', 'exec', this.namespace, ...named, command, ...args];
  }

  spawn(command: string, args: readonly string[] = [], options: SpawnOptions = {}): ChildProcess {
    const [file, ...rest] = this.on(command, args);
    return spawn(file, rest, options);
  }

  /** Runs a command to its end. What hangs is killed in the end. */
  async run(
    command: string,
    args: readonly string[] = [],
    { env, cwd }: RunOptions = {},
  ): Promise<Outcome> {
    const [file, ...rest] = this.on(command, args);
    const limited = {
      env: env ?? process.env,
      cwd,
      timeout: PATIENCE,
      killSignal: 'SIGKILL',
    } as const;
    return finished(spawn(file, rest, { ...limited, stdio: ['ignore', 'pipe', 'pipe'] }));
  }

  #filter(rule: string): void {
    if (!this.#filtered) {
      this.#nft('add table inet lab');
      this.#nft('add chain inet lab arriving { type filter hook input priority 0 ; }');
      this.#filtered = true;
    }
    this.#nft(`add rule inet lab arriving ${rule}`);
  }

  /** An adapter that is pulled out and put in again is the same one, to its neighbours as well. */
  #mac(name: string): string {
    const digest = createHash('sha256').update(`${this.namespace} ${name}`).digest('hex');
    return `02:${digest.slice(0, 10).replace(/..(?=.)/g, '$&:')}`;
  }

  #socket(name: string): string {
    const socket = this.#sockets.get(name);
    if (socket === undefined) throw new Error(`${this.name} has no interface ${name}`);
    return socket;
  }

  #sysctl(setting: string): void {
    execFileSync('ip', ['netns', 'exec', this.namespace, 'sysctl', '-qw', setting]);
  }

  #nft(command: string): void {
    execFileSync('ip', ['netns', 'exec', this.namespace, 'nft', command]);
  }
}

const PREFIX = 'droplab-';

function ip(...args: readonly string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** The namespaces of test processes that died before they could clear up. */
function leftovers(): string[] {
  return namespaces().filter((name) => {
    const pid = Number(name.slice(PREFIX.length).split('-', 1)[0]);
    return name.startsWith(PREFIX) && !isAlive(pid);
  });
}

function namespaces(): string[] {
  try {
    return readdirSync('/run/netns');
  } catch {
    return []; // None was ever made.
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** A namespace lives as long as a process in it does, so those go first. */
function remove(namespace: string): void {
  try {
    for (const pid of ip('netns', 'pids', namespace).split('\n').filter(Boolean)) kill(Number(pid));
    ip('netns', 'del', namespace);
  } catch (error) {
    // Two labs may clear away the same leftovers.
    if (namespaces().includes(namespace)) throw error;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended by itself.
  }
}
