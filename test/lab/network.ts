import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PeerEvent } from '../../src/events.ts';
import { type Drop, drop } from '../support/bin.ts';
import { Home } from '../support/home.ts';
import { type Host, Lab, type Port } from './hosts.ts';

type Options = Omit<NonNullable<Parameters<typeof drop>[1]>, 'host'>;

/** Hosts, and a person on each of them who uses the command; all of it ends with the block. */
export class Network implements AsyncDisposable {
  readonly #lab = Lab.create();
  readonly #homes = new Map<Host, Home>();
  readonly #running: Drop[] = [];
  #notes = 0;

  host(name: string, ...ports: readonly Port[]): Host {
    return this.#lab.host(name, ...ports);
  }

  /** Two hosts at `eth0` of one network, neither of which has a route to anywhere else. */
  pair(): { ana: Host; bob: Host } {
    const port = { bridge: 'lan', name: 'eth0' };
    return {
      ana: this.host('ana', { ...port, addresses: ['10.1.0.1/24'] }),
      bob: this.host('bob', { ...port, addresses: ['10.1.0.2/24'] }),
    };
  }

  /** The home of the person at this host. */
  home(host: Host): Home {
    const home = this.#homes.get(host) ?? new Home();
    this.#homes.set(host, home);
    return home;
  }

  /** Any other command. */
  run(host: Host, args: readonly string[], options: Options = {}): Drop {
    const home = this.home(host);
    const running = drop(args, { home, ...options, host });
    this.#running.push(running);
    return running;
  }

  /** `drop receive --json --yes`, under the name of its host, once it is ready. */
  async receive(host: Host, args: readonly string[] = [], options: Options = {}): Promise<Drop> {
    const named = args.includes('--name') ? [] : ['--name', host.name];
    const all = ['receive', '--json', '--yes', ...named, ...args];
    const receiving = this.run(host, all, options);
    await receiving.event('ready');
    return receiving;
  }

  /** `drop peers --watch`. */
  list(host: Host, args: readonly string[] = [], options: Options = {}): List {
    return new List(this.run(host, ['peers', '--watch', '--json', ...args], options));
  }

  /** `drop send --json --to` whatever `to` says, with the code that `receiving` shows. */
  send(
    host: Host,
    to: string,
    receiving: Drop | undefined,
    args: readonly string[],
    options: Options = {},
  ): Drop {
    const env = { DROP_CODE: receiving ? codeOf(receiving) : '', ...options.env };
    return this.run(host, ['send', '--json', '--to', to, ...args], {
      peer: receiving,
      ...options,
      env,
    });
  }

  /** Sends a small file, and says where it arrived; undefined if it did not. */
  async deliver(
    host: Host,
    to: string,
    receiving: Drop,
    options: Options = {},
  ): Promise<string | undefined> {
    const name = `note-${++this.#notes}`;
    writeFileSync(join(this.home(host).path, name), `${name} for ${to}`);
    const { code } = await this.send(host, to, receiving, [name], options).outcome();
    if (code !== 0) return undefined;
    return (await receiving.event('saved', ({ path }) => path.endsWith(name))).path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#lab.destroy();
    for (const running of this.#running) await running[Symbol.asyncDispose]();
    for (const home of this.#homes.values()) await home[Symbol.asyncDispose]();
  }
}

/** The code that is shown there now, if any. */
function codeOf({ events }: Drop): string {
  const shown = events.flatMap((one) =>
    one.event === 'ready' || one.event === 'code' ? [one.code] : [],
  );
  return shown.at(-1) ?? '';
}

/** A list of devices that stays open. */
export class List {
  readonly drop: Drop;

  constructor(watching: Drop) {
    this.drop = watching;
  }

  /** All that is in it now, as it was last told. */
  get entries(): PeerEvent[] {
    const entries = new Map<string, PeerEvent>();
    for (const event of this.drop.events)
      if (event.event === 'peer') entries.set(`${event.id} ${event.run}`, event);
    return [...entries.values()].filter(({ state }) => state === 'found');
  }

  /** The entry of this name, once it is there and one of its addresses begins with `at`. */
  shows(name: string, at = ''): Promise<PeerEvent> {
    return this.drop.until(
      () =>
        this.entries.find(
          (entry) => entry.name === name && entry.addresses.some((one) => one.startsWith(at)),
        ),
      `"${name}" in the list`,
    );
  }

  /** Resolves when there is no entry of this name. */
  async loses(name: string): Promise<void> {
    const isGone = () => !this.entries.some((entry) => entry.name === name) || undefined;
    await this.drop.until(isGone, `list without "${name}"`);
  }
}
