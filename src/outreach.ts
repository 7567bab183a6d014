import { setTimeout as sleep } from 'node:timers/promises';
import { placesNearby } from './look.ts';
import { type Address, canonical, formatAddress } from './net/addresses.ts';
import { isOwnAddress } from './net/links.ts';
import type { Knock } from './net/mdns.ts';
import { KNOCK_PORTS } from './net/ports.ts';
import type { Survey } from './net/survey.ts';
import { type Connection, dial, probe } from './net/tls.ts';
import type { ProvenCard } from './net/watch.ts';
import type { CommonOptions, Self } from './self.ts';

/** Somebody whom this computer does not know asks to be dialled, as it cannot dial us. */
export interface Stranger {
  /** Its address; nothing else of it is worth a word. */
  readonly address: string;
}

export interface OutreachOptions extends CommonOptions {
  /** Asked whether a device that we do not know is dialled; it needs the code all the same. */
  readonly agree?: ((stranger: Stranger, signal: AbortSignal) => Promise<boolean>) | undefined;
  /** Holds the conversation of a line; resolves when it is over. */
  readonly host: (line: Connection) => Promise<void>;
  /** Tells whether multicast is heard. */
  readonly survey: Survey;
  readonly signal: AbortSignal;
}

/** Places that are attended at a time. Bounds what those who knock can make us do. */
const MAX_PLACES = 16;

/** Milliseconds in which one place is looked at once, however often somebody knocks. */
const GAP = 1_000;

/** Places whose last look is remembered. */
const MAX_LOOKS = 256;

/** Milliseconds that a look may take. */
const LOOK_LIMIT = 2_000;

/** Milliseconds after a line has ended until the next one: it may have been one of several. */
const NEXT_LINE = 200;

/** Questions about strangers that a person is asked, at most, in one run. */
const MAX_QUESTIONS = 3;

/**
 * Milliseconds between two looks for known devices where they were met: often where nobody is
 * heard by multicast and so no knock would be, and rarely otherwise.
 */
const POLL_DEAF = 4_000;
const POLL_HEARING = 30_000;

/** Ports at which a chooser is looked for where it was met; it takes the first that is free. */
const POLLED_PORTS = KNOCK_PORTS.slice(0, 3);

/**
 * Dials choosers that cannot dial us, because of a firewall here: those who knock, and known ones
 * that may wait where they were met. Whom we do not know learns nothing of us, unless a person
 * agrees. Each line waits there until the chooser speaks; then all goes as if it had dialled us.
 */
export class Outreach {
  readonly #self: Self;
  readonly #options: OutreachOptions;
  /** Places where a line waits, or where one is just being made. */
  readonly #attended = new Set<string>();
  readonly #looked = new Map<string, number>();
  /** Strangers about whom a person was asked, and what the answer was. */
  readonly #answers = new Map<string, Promise<boolean>>();
  readonly #polling: Promise<void>;

  constructor(self: Self, options: OutreachOptions) {
    this.#self = self;
    this.#options = options;
    this.#polling = this.#poll();
  }

  /** Somebody knocked. Anybody can. */
  knocked({ from, port, intent }: Knock): void {
    void this.#attend({ host: from, port }, intent === 'send' || intent === 'get');
  }

  /** Resolves when nothing is done any more; the signal must be aborted. */
  async closed(): Promise<void> {
    await this.#polling;
  }

  /** Keeps a line to the chooser at a place for as long as it is there. */
  async #attend(address: Address, chosen: boolean): Promise<void> {
    const { signal, host } = this.#options;
    const key = formatAddress(address);
    if (this.#attended.has(key) || this.#attended.size >= MAX_PLACES || !this.#mayLook(key)) return;
    this.#attended.add(key);
    try {
      while (!signal.aborted) {
        const card = await probe(address, within(signal, LOOK_LIMIT));
        if (card.part !== 'chooser' || !(await this.#mayDial(card, address, chosen))) return;
        const line = await dial(address, this.#self.identity, within(signal, LOOK_LIMIT));
        if (line.peer !== card.id) return line.destroy();
        await host(line);
        await sleep(NEXT_LINE, undefined, { signal });
      }
    } catch {
      // Nobody is there any more. If somebody is, it will knock again.
    } finally {
      this.#attended.delete(key);
    }
  }

  #mayLook(key: string): boolean {
    const now = performance.now();
    if (now - (this.#looked.get(key) ?? Number.NEGATIVE_INFINITY) < GAP) return false;
    for (const [old, at] of this.#looked) if (now - at >= GAP) this.#looked.delete(old);
    if (this.#looked.size >= MAX_LOOKS) return false;
    this.#looked.set(key, now);
    return true;
  }

  async #mayDial({ id }: ProvenCard, { host }: Address, chosen: boolean): Promise<boolean> {
    const { identity, trust } = this.#self;
    if (id === identity.id) return isOwnAddress(host);
    const known = await trust.get(id);
    if (known) return known.trust !== 'blocked';
    const { agree, signal } = this.#options;
    if (!chosen || agree === undefined) return false;
    const before = this.#answers.get(id);
    if (before === undefined && this.#answers.size >= MAX_QUESTIONS) return false;
    const answer = before ?? agree({ address: canonical(host) }, signal).catch(() => false);
    this.#answers.set(id, answer);
    return answer;
  }

  async #poll(): Promise<void> {
    const { signal, survey } = this.#options;
    while (!signal.aborted) {
      const places = await placesNearby(this.#self, this.#options).catch(() => []);
      const hosts = new Set(places.map(({ address }) => address.host));
      await Promise.all(Array.from(hosts, (host) => this.#lookFor(host)));
      const deaf = survey.reports().every(({ heard }) => heard === 0);
      const pause = deaf ? POLL_DEAF : POLL_HEARING;
      await sleep(pause, undefined, { signal }).catch(() => {});
    }
  }

  /** A chooser takes the next port where another process has the first. */
  async #lookFor(host: string): Promise<void> {
    const { signal } = this.#options;
    for (const port of POLLED_PORTS) {
      if (signal.aborted || this.#attended.has(formatAddress({ host, port }))) return;
      const card = await probe({ host, port }, within(signal, LOOK_LIMIT)).catch(() => undefined);
      if (card === undefined) return;
      if (card.part === 'chooser') return void this.#attend({ host, port }, false);
    }
  }
}

function within(signal: AbortSignal, ms: number): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(ms)]);
}
