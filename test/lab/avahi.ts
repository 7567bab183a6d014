import type { ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TempFolder } from '../support/home.ts';
import { Changes, finished, type Outcome, text } from '../support/process.ts';
import type { Host } from './hosts.ts';

/** What avahi needs beside a lab. */
export const AVAHI = ['avahi-daemon', 'avahi-browse', 'avahi-publish', 'dbus-daemon'] as const;

/**
 * The system's own responder on a host, as most Linux computers have it, with a message bus of
 * its own. Its processes end with the host.
 */
export class Avahi implements AsyncDisposable {
  readonly #host: Host;
  readonly #folder = new TempFolder();
  readonly #bus = join(this.#folder.path, 'bus');
  #log = () => '';

  private constructor(host: Host) {
    this.#host = host;
  }

  /** Resolves when it has made its host's name known. */
  static async start(host: Host): Promise<Avahi> {
    const avahi = new Avahi(host);
    await avahi.#start();
    return avahi;
  }

  /** All that the daemon has said so far. */
  get log(): string {
    return this.#log();
  }

  /** Runs one of its tools to the end, e.g. `avahi-browse`. */
  run(tool: string, args: readonly string[]): Promise<Outcome> {
    return finished(this.#spawn(tool, args));
  }

  /** Announces a service of another program: `publish('printer', '_ipp._tcp', 631, 'rp=ipp')`. */
  async publish(name: string, type: string, port: number, ...txt: string[]): Promise<void> {
    const publishing = this.#spawn('avahi-publish', ['-s', name, type, String(port), ...txt]);
    await said(publishing, /Established/);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder[Symbol.asyncDispose]();
  }

  async #start(): Promise<void> {
    const config = join(this.#folder.path, 'bus.conf');
    writeFileSync(config, BUS.replace('PATH', this.#bus));
    const bus = this.#spawn('dbus-daemon', [
      '--nofork',
      '--print-address',
      `--config-file=${config}`,
    ]);
    await said(bus, /^unix:/);
    // Every command on a host has mounts of its own, so several daemons have a /run each.
    const daemon = 'mount -t tmpfs tmpfs /run && exec avahi-daemon "$@"';
    const settings = ['--no-drop-root', '--no-chroot', '--no-rlimits', '--file=/dev/null'];
    const running = this.#spawn('sh', ['-c', daemon, 'sh', ...settings]);
    this.#log = await said(running, /Server startup complete/);
  }

  #spawn(command: string, args: readonly string[]): ChildProcess {
    const env = { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${this.#bus}` };
    return this.#host.spawn(command, args, { env });
  }
}

/** Resolves, with all that will be said, when a process has said this. */
async function said(child: ChildProcess, pattern: RegExp): Promise<() => string> {
  const changes = new Changes();
  const streams = [child.stdout, child.stderr].map((stream) =>
    text(stream, () => changes.announce()),
  );
  const all = () => streams.map((stream) => stream()).join('');
  await changes.until(() => pattern.exec(all()) ?? undefined, all);
  return all;
}

/** A bus on which anybody may do anything. */
const BUS = `<busconfig>
  <type>system</type>
  <listen>unix:path=PATH</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
`;
