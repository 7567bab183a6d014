import type { PeerId } from '../events.ts';
import { MAX_KNOCKED, MAX_LINES, MAX_STRANGE_LINES } from '../limits.ts';
import type { Card } from '../protocol/card.ts';
import type { KnockIntent } from '../protocol/knock.ts';
import { Channel } from '../transfer/channel.ts';
import { canonical } from './addresses.ts';
import { keepLine } from './line.ts';
import { isAmong } from './links.ts';
import type { Knocker } from './mdns.ts';
import { KNOCK_PORTS } from './ports.ts';
import { type Connection, type Credentials, type Listener, listen } from './tls.ts';
import type { VoiceOptions } from './voices.ts';
import type { ProvenCard } from './watch.ts';

/** A connection by which an announcer waits until we speak: it dialled us, as we cannot dial it. */
export interface Line {
  readonly card: ProvenCard;
  readonly connection: Connection;
  readonly channel: Channel;
  /** Whether it is a device that may wait here though nobody knocked at it. */
  readonly known: boolean;
}

/** Whom a line is wanted to. */
export interface Caller {
  readonly id?: PeerId | undefined;
  readonly run?: string | undefined;
  /** IP addresses at which it may be. */
  readonly hosts: readonly string[];
}

export interface PorchOptions extends VoiceOptions {
  /** This process, as it says to those who come. They must be there for what it wants. */
  readonly card: Card;
  /** Whether a device may wait here though nobody knocked at it. */
  readonly welcomes: (card: ProvenCard, remote: string) => Promise<boolean>;
  /** Where to listen, the first that is free; nobody comes to others than `KNOCK_PORTS`. */
  readonly ports?: readonly number[] | undefined;
  /** Hears that somebody looked who is here, and from which address. */
  readonly onAsked?: ((remote: string) => void) | undefined;
}

/**
 * Where announcers come that a firewall of theirs keeps us from dialling: a listener, opened when
 * it is first needed, and the knocks that call them to it. They prove the same, and are asked the
 * same, as if we had dialled: only who dials is different.
 */
export class Porch {
  readonly #credentials: Credentials;
  readonly #options: PorchOptions;
  readonly #lines = new Set<Line>();
  readonly #waiting = new Set<(line: Line) => boolean>();
  readonly #listeners = new Set<(line: Line) => void>();
  readonly #knocks = new Map<string, () => void>();
  /** Hosts that looked who is here after we knocked at them: somebody may be asked there. */
  readonly #lookedBy = new Set<string>();
  /** Key and run of those whose line was taken: they may come again, as one meeting can take two. */
  readonly #met = new Set<string>();
  #opening: Promise<Listener | undefined> | undefined;
  #knocker: Knocker | undefined;
  #closed = false;

  constructor(credentials: Credentials, options: PorchOptions) {
    this.#credentials = credentials;
    this.#options = options;
  }

  /** Lets announcers come by themselves. Resolves with the port; undefined if there is none free. */
  async open(): Promise<number | undefined> {
    const { card, ports = KNOCK_PORTS, onAsked, interfaces } = this.#options;
    if (this.#closed) return undefined;
    this.#opening ??= listen(ports, this.#credentials, {
      card,
      onConnection: (connection) => void this.#admit(connection),
      onAsked: (remote) => {
        if (this.#knocksAt(canonical(remote))) this.#lookedBy.add(canonical(remote));
        onAsked?.(remote);
      },
      admits: (local) => isAmong(local, interfaces),
    }).catch(() => undefined);
    const opening = this.#opening;
    const listener = await opening;
    if (listener) await this.#startKnocking(listener.port, opening);
    return listener?.port;
  }

  /** Asks an announcer, by its run or an address of its, to come; again and again until closed. */
  async knock(to: string, intent: KnockIntent): Promise<void> {
    const key = `${to} ${intent}`;
    if (this.#knocks.has(key)) return;
    if (this.#knocks.size >= MAX_KNOCKED) this.#giveUpOne();
    const soon = (): void => {};
    this.#knocks.set(key, soon);
    await this.open();
    // It may have been called off meanwhile, and then asked for once more.
    if (!this.#knocker || this.#knocks.get(key) !== soon) return;
    this.#knocks.set(key, this.#knocker.at(to, intent));
  }

  /** It was reached in another way, or is gone. */
  stopKnocking(to: string): void {
    this.#callOff((key) => key.startsWith(`${to} `));
  }

  /** Nobody looks around any more; who was chosen is knocked at still. */
  stopLooking(): void {
    this.#callOff((key) => key.endsWith(' look'));
  }

  /** Tells of each line that waits, and that comes, until it is called off. */
  onLine(listener: (line: Line) => void): () => void {
    this.#listeners.add(listener);
    for (const line of this.#lines) listener(line);
    return () => this.#listeners.delete(listener);
  }

  /** Whether a line to it waits. */
  has(caller: Caller): boolean {
    return [...this.#lines].some((line) => isMeant(line, caller));
  }

  /** Whether one of these hosts has heard that we knocked at it. */
  wasHeardBy(hosts: readonly string[]): boolean {
    return hosts.some((host) => this.#lookedBy.has(canonical(host)));
  }

  /** Takes a line to it, as soon as one waits. Rejects when the signal is aborted. */
  line(caller: Caller, signal: AbortSignal): Promise<Line> {
    return new Promise((resolve, reject) => {
      const take = (line: Line): boolean => {
        if (!isMeant(line, caller)) return false;
        this.#lines.delete(line);
        this.#met.add(processOf(line.card));
        this.#waiting.delete(take);
        signal.removeEventListener('abort', stop);
        resolve(line);
        return true;
      };
      const stop = (): void => {
        this.#waiting.delete(take);
        reject(signal.reason);
      };
      if (signal.aborted) return stop();
      if ([...this.#lines].some(take)) return;
      this.#waiting.add(take);
      signal.addEventListener('abort', stop, { once: true });
    });
  }

  /** Sends away those who wait, and knocks no more, until it is needed again; taken lines stay. */
  async rest(): Promise<void> {
    for (const { connection } of this.#lines) connection.destroy();
    this.#lines.clear();
    this.#knocks.clear();
    this.#lookedBy.clear();
    const [opening, knocks] = [this.#opening, this.#knocker];
    this.#opening = undefined;
    this.#knocker = undefined;
    (await opening)?.close();
    await knocks?.close();
  }

  /** Rests for good. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.rest();
  }

  #giveUpOne(): void {
    const oldest = [...this.#knocks.keys()].find((key) => key.endsWith(' look'));
    this.#callOff((key) => key === oldest);
  }

  #callOff(isMeant: (key: string) => boolean): void {
    for (const [key, stop] of this.#knocks) {
      if (!isMeant(key)) continue;
      stop();
      this.#knocks.delete(key);
    }
  }

  async #startKnocking(port: number, opening: Promise<Listener | undefined>): Promise<void> {
    // Not needed by those who can be dialled, and read where their address is known.
    const { knocker } = await import('./mdns.ts');
    if (this.#opening !== opening) return;
    const { interfaces, survey, clock } = this.#options;
    try {
      this.#knocker ??= knocker(port, { interfaces, survey, clock });
    } catch {
      // A named interface has gone; who looks for devices hears of it.
    }
  }

  async #admit(connection: Connection): Promise<void> {
    const channel = new Channel('chooser', connection);
    try {
      const { card } = await channel.hear('here');
      const proven = { ...card, id: connection.peer };
      const known = await this.#options.welcomes(proven, connection.remote);
      const called =
        this.#met.has(processOf(proven)) || this.#knocksAt(card.run, canonical(connection.remote));
      const expected = known || called;
      const isWanted = card.part === 'announcer' && card.way === this.#options.card.way;
      if (!isWanted || !expected) return connection.destroy();
      this.#hold({ card: proven, connection, channel, known });
    } catch {
      connection.destroy(); // A stranger that breaks the rules is none of anybody's concern.
    }
  }

  #knocksAt(...doors: readonly string[]): boolean {
    return [...this.#knocks.keys()].some((key) => doors.includes(key.split(' ')[0] ?? ''));
  }

  #hold(line: Line): void {
    const { connection, channel } = line;
    if (this.#opening === undefined) {
      connection.destroy();
      return;
    }
    keepLine(connection, channel);
    void connection.over.then(() => this.#lines.delete(line));
    for (const listener of this.#listeners) listener(line);
    if ([...this.#waiting].some((take) => take(line))) return;
    this.#lines.add(line);
    this.#makeRoom(line);
  }

  /** One process needs one line, and those of one kind are bounded. */
  #makeRoom({ card, known }: Line): void {
    const alike = [...this.#lines].filter((other) => other.known === known);
    const same = alike.filter((other) => processOf(other.card) === processOf(card));
    const surplus = alike.slice(0, -(known ? MAX_LINES : MAX_STRANGE_LINES));
    for (const old of [...same.slice(0, -1), ...surplus]) {
      this.#lines.delete(old);
      old.connection.destroy();
    }
  }
}

function processOf({ id, run }: ProvenCard): string {
  return `${id} ${run}`;
}

function isMeant({ card, connection }: Line, { id, run, hosts }: Caller): boolean {
  if (id !== undefined) return card.id === id && (run === undefined || card.run === run);
  if (run !== undefined) return card.run === run;
  return hosts.some((host) => canonical(host) === canonical(connection.remote));
}
