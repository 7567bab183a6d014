import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { PeerEvent, ReceiveEvent } from '../../src/events.ts';
import type { Host } from '../../test/lab/hosts.ts';
import type { Home } from '../../test/support/home.ts';

/** Milliseconds, by the one clock of all processes of this machine. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

/** Milliseconds after which what did not happen counts as missed. */
const PATIENCE = 20_000;

/** Something that happened, and when. */
export type Timed<T> = { readonly at: number } & T;

/** What a process told so far, in order, and what it will tell. */
class Told<T> {
  readonly all: Timed<T>[] = [];
  readonly #waiting = new Set<() => void>();

  add(item: Timed<T>): void {
    this.all.push(item);
    this.wake();
  }

  wake(): void {
    for (const look of [...this.#waiting]) look();
  }

  /** What `look` finds, now or when more was told; undefined if that does not happen in time. */
  until<Found>(
    look: (all: readonly Timed<T>[]) => Found | undefined,
    patience = PATIENCE,
  ): Promise<Found | undefined> {
    return new Promise((done, fail) => {
      const finish = (settle: () => void): void => {
        clearTimeout(limit);
        this.#waiting.delete(attempt);
        settle();
      };
      const attempt = (): void => {
        try {
          const found = look(this.all);
          if (found !== undefined) finish(() => done(found));
        } catch (error) {
          finish(() => fail(error));
        }
      };
      const limit = setTimeout(() => finish(() => done(undefined)), patience);
      this.#waiting.add(attempt);
      attempt();
    });
  }
}

/** What the stopwatch inside a process knows. Times are those of `now`, missing if there are none. */
interface Figures {
  readonly firstQuery?: number;
  readonly firstAnswer?: number;
  readonly queries: number;
  readonly answers: number;
  /** The longest time that its event loop stood still since it is watched, in milliseconds. */
  readonly stall: number;
  /** Bytes that the system has given to it. */
  readonly resident: number;
  /** Bytes of objects; after `clearUp` only those that are still referred to. */
  readonly heap: number;
}

type DropEvent = PeerEvent | ReceiveEvent;

/** The built command with `--json` on a host of a lab, and a stopwatch inside it. */
export class Drop implements AsyncDisposable {
  /** When it was started, before anything of it ran. */
  readonly started = now();
  readonly #told = new Told<DropEvent>();
  readonly #child: ChildProcess;
  readonly #args: readonly string[];
  #complaints = '';
  #ended = false;
  #stopping = false;

  constructor(host: Host, home: Home, args: readonly string[]) {
    this.#args = args;
    const program = ['--import', STOPWATCH, COMMAND, ...args, '--json'];
    this.#child = host.spawn(process.execPath, program, {
      cwd: home.path,
      env: home.env,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    const { stdout, stderr } = this.#child;
    if (stdout)
      createInterface(stdout).on('line', (line) =>
        this.#told.add({ at: now(), ...(JSON.parse(line) as DropEvent) }),
      );
    stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints += text;
    });
    this.#child.once('close', () => {
      this.#ended = true;
      this.#told.wake();
    });
  }

  /** `drop receive`, once it is ready. */
  static async receive(host: Host, home: Home, name: string): Promise<Drop> {
    const receiving = new Drop(host, home, ['receive', '--yes', '--name', name]);
    if (!(await receiving.until((all) => all.find(({ event }) => event === 'ready'))))
      throw new Error(`receive on ${host.name} does not get ready: ${receiving.#complaints}`);
    return receiving;
  }

  /** `drop peers --watch`: a list that is open. */
  static watch(host: Host, home: Home): Drop {
    return new Drop(host, home, ['peers', '--watch']);
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** What `look` finds in its events; undefined if it does not find anything in time. */
  until<Found>(
    look: (all: readonly Timed<DropEvent>[]) => Found | undefined,
    patience?: number,
  ): Promise<Found | undefined> {
    return this.#told.until((all) => {
      if (this.#ended && !this.#stopping)
        throw new Error(`drop ${this.#args.join(' ')} ended: ${this.#complaints}`);
      return look(all);
    }, patience);
  }

  /** The first time after `since` that a peer was found or lost, one that `where` holds for. */
  peer(
    state: PeerEvent['state'],
    since = 0,
    where: (peer: PeerEvent) => boolean = () => true,
  ): Promise<Timed<PeerEvent> | undefined> {
    return this.until((all) =>
      all.find(
        (event): event is Timed<PeerEvent> =>
          event.event === 'peer' && event.state === state && event.at >= since && where(event),
      ),
    );
  }

  figures(): Promise<Figures> {
    return this.#ask('figures');
  }

  /** The same, after garbage was removed. */
  clearUp(): Promise<Figures> {
    return this.#ask('clear up');
  }

  /** From now on its event loop is watched; returns what was before. */
  watchLoop(): Promise<Figures> {
    return this.#ask('watch the loop');
  }

  kill(signal: NodeJS.Signals): void {
    this.#stopping = true;
    this.#child.kill(signal);
  }

  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<void> {
    this.kill(signal);
    await this.until(() => (this.#ended ? true : undefined));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) await this.stop('SIGKILL');
  }

  async #ask(question: string): Promise<Figures> {
    const answer = once(this.#child, 'message');
    this.#child.send(question);
    const [figures] = await answer;
    return figures as Figures;
  }
}

/** Somebody on a host who hears or says what he likes, see stranger.mjs. */
export class Stranger implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #heard = new Told<{ readonly from: string }>();

  private constructor(host: Host, args: readonly string[]) {
    this.#child = host.spawn(process.execPath, [STRANGER, ...args], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#child.on('message', (heard) => {
      if (typeof heard === 'object') this.#heard.add(heard as Timed<{ from: string }>);
    });
  }

  static async start(host: Host, ...args: readonly string[]): Promise<Stranger> {
    const stranger = new Stranger(host, args);
    await once(stranger.#child, 'message');
    return stranger;
  }

  /** Multicasts them as fast as it can. */
  async say(packets: readonly Uint8Array[]): Promise<void> {
    const done = once(this.#child, 'message');
    this.#child.send(packets.map((packet) => Buffer.from(packet).toString('base64')));
    await done;
  }

  /** When somebody was first announced from this address, after `since`. */
  async announced(from: string, since: number): Promise<number | undefined> {
    const heard = await this.#heard.until((all) =>
      all.find((one) => one.from === from && one.at >= since),
    );
    return heard?.at;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await closed;
  }
}

/** In the folder of the project, where npm runs its scripts. */
const COMMAND = resolve('bin/drop.js');
const STOPWATCH = resolve('bench/discovery/stopwatch.mjs');
const STRANGER = resolve('bench/discovery/stranger.mjs');
