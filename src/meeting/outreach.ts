import { setTimeout as sleep } from 'node:timers/promises';
import type { PeerId } from '../events.ts';
import {
  LOOK_GAP,
  LOOK_LIMIT,
  MAX_ANSWERS,
  MAX_LINES_OUT,
  MAX_LINES_OUT_EACH,
  MAX_LOOKED,
  MAX_LOOKS,
  MAX_LOOKS_EACH,
  MAX_REFUSALS,
} from '../limits.ts';
import { type Address, canonical, formatAddress } from '../net/addresses.ts';
import { LINE_BEAT } from '../net/line.ts';
import { isOwnAddress } from '../net/links.ts';
import type { HeardKnock } from '../net/mdns.ts';
import { KNOCK_PORTS } from '../net/ports.ts';
import type { Survey } from '../net/survey.ts';
import { type Connection, dial, probe } from '../net/tls.ts';
import type { ProvenCard } from '../net/watch.ts';
import type { Way } from '../protocol/card.ts';
import { placesNearby } from './look.ts';
import type { CommonOptions, Self } from './self.ts';
import { within } from './signals.ts';

/** Somebody whom this computer does not know asks to be dialled, as it cannot dial us. */
export interface Stranger {
  /** Its address; nothing else of it is worth a word. */
  readonly address: string;
}

export interface OutreachOptions extends CommonOptions {
  /** Asked whether a device that we do not know is dialled; it needs the code all the same. */
  readonly agree?: ((stranger: Stranger, signal: AbortSignal) => Promise<boolean>) | undefined;
  /** What we are there for: choosers that want something else are left alone. */
  readonly way: Way;
  /** Holds the conversation of a line; resolves when it is over, with whether there was any. */
  readonly host: (line: Connection) => Promise<boolean>;
  /** Tells whether multicast is heard. */
  readonly survey: Survey;
  readonly signal: AbortSignal;
}

/** Milliseconds after a line has ended until the next one: it may have been one of several. */
const NEXT_LINE = 200;

/** Milliseconds for which a chooser is left alone that wanted nothing of a line. */
const REFUSED = 30_000;

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
  /** Places that are looked at, or where a line waits. */
  readonly #attended = new Set<string>();
  readonly #looks = new Map<string, { readonly host: string; readonly ended: AbortController }>();
  readonly #looked = new Map<string, number>();
  /** Key and run of the choosers to which there is a line. */
  readonly #lines = new Set<string>();
  /** Likewise of those who wanted none, and when; only known ones or agreed ones get so far. */
  readonly #refused = new Map<string, number>();
  /** Strangers about whom a person was asked, and what the answer was. */
  readonly #answers = new Map<string, boolean>();
  /** One question at a time; whoever knocks meanwhile may knock again. */
  #asking: { readonly id: PeerId; readonly needless: AbortController } | undefined;
  /** Who has dialled us all the same, those last who did so last. */
  readonly #came = new Set<PeerId>();
  readonly #polling: Promise<void>;

  constructor(self: Self, options: OutreachOptions) {
    this.#self = self;
    this.#options = options;
    this.#polling = this.#poll();
  }

  /** Somebody knocked. Anybody can. */
  knocked({ from, port, intent }: HeardKnock): void {
    void this.#attend({ host: from, port }, intent === this.#options.way);
  }

  /** Somebody has dialled us: it was only slow, and nobody needs to be asked about it. */
  came(id: PeerId): void {
    this.#came.delete(id);
    this.#came.add(id);
    const [oldest] = this.#came;
    if (this.#came.size > MAX_ANSWERS && oldest !== undefined) this.#came.delete(oldest);
    if (this.#asking?.id === id) this.#asking.needless.abort();
  }

  /** Resolves when nothing is done any more; the signal must be aborted. */
  async closed(): Promise<void> {
    await this.#polling;
  }

  /** Keeps a line to the chooser at a place for as long as it is there. */
  async #attend(address: Address, chosen: boolean): Promise<void> {
    const { signal } = this.#options;
    const key = formatAddress(address);
    if (this.#attended.has(key) || !this.#mayLook(key)) return;
    this.#attended.add(key);
    try {
      while (!signal.aborted) {
        const card = await this.#look(address);
        if (!this.#isMeant(card) || !(await this.#mayDial(card, address, chosen))) return;
        if (!(await this.#hold(card, address))) return;
        await sleep(NEXT_LINE, undefined, { signal });
      }
    } catch {
      // Nobody is there any more. If somebody is, it will knock again.
    } finally {
      this.#attended.delete(key);
    }
  }

  /** Looks who is there, without a word of who we are. */
  async #look(address: Address): Promise<ProvenCard> {
    const { host } = address;
    const ended = new AbortController();
    const others = [...this.#looks.values()];
    const here = others.filter((look) => look.host === host);
    if (here.length >= MAX_LOOKS_EACH) here[0]?.ended.abort();
    else if (others.length >= MAX_LOOKS) others[0]?.ended.abort();
    const key = formatAddress(address);
    this.#looks.set(key, { host, ended });
    try {
      return await within(this.#options.signal, LOOK_LIMIT, (soon) => probe(address, soon), ended);
    } finally {
      if (this.#looks.get(key)?.ended === ended) this.#looks.delete(key);
    }
  }

  /** Dials, and waits until the conversation is over. False if another line is not wanted. */
  async #hold({ id, run }: ProvenCard, address: Address): Promise<boolean> {
    const { signal, host } = this.#options;
    const key = `${id} ${run}`;
    const each = [...this.#lines].filter((line) => line.startsWith(id)).length;
    const isFull = this.#lines.size >= MAX_LINES_OUT || each >= MAX_LINES_OUT_EACH;
    // One process may be reached by several addresses, and needs one line.
    if (isFull || this.#lines.has(key) || this.#isRefused(key)) return false;
    this.#lines.add(key);
    try {
      const line = await within(signal, LOOK_LIMIT, (soon) =>
        dial(address, this.#self.identity, soon, 'chooser'),
      );
      if (line.peer !== id) {
        line.destroy();
        return false;
      }
      const began = performance.now();
      if (await host(line)) return true;
      // It may have waited in vain for long; but whoever sends it away at once does not want it.
      if (performance.now() - began < LINE_BEAT) this.#refused.set(key, performance.now());
      return !this.#isRefused(key);
    } finally {
      this.#lines.delete(key);
    }
  }

  #isMeant({ part, way }: ProvenCard): boolean {
    return part === 'chooser' && way === this.#options.way;
  }

  #isRefused(key: string): boolean {
    for (const [other, at] of this.#refused)
      if (performance.now() - at > REFUSED) this.#refused.delete(other);
    return this.#refused.has(key);
  }

  #mayLook(key: string): boolean {
    const now = performance.now();
    if (now - (this.#looked.get(key) ?? Number.NEGATIVE_INFINITY) < LOOK_GAP) return false;
    this.#looked.delete(key);
    this.#looked.set(key, now);
    const [oldest] = this.#looked.keys();
    if (this.#looked.size > MAX_LOOKED && oldest !== undefined) this.#looked.delete(oldest);
    return true;
  }

  async #mayDial({ id }: ProvenCard, { host }: Address, chosen: boolean): Promise<boolean> {
    const { identity, trust } = this.#self;
    if (id === identity.id) return isOwnAddress(host);
    const known = await trust.get(id);
    if (known) return known.trust !== 'blocked';
    const { agree, signal } = this.#options;
    if (!chosen || agree === undefined) return false;
    if (this.#came.has(id)) return false;
    const before = this.#answers.get(id);
    const refusals = [...this.#answers.values()].filter((yes) => !yes).length;
    if (before !== undefined || this.#asking || refusals >= MAX_REFUSALS) return before ?? false;
    const needless = new AbortController();
    const either = AbortSignal.any([signal, needless.signal]);
    this.#asking = { id, needless };
    let yes = false;
    try {
      yes = await agree({ address: canonical(host) }, either);
    } catch {
      // Who was not asked has not agreed.
    } finally {
      this.#asking = undefined;
    }
    // That was no answer.
    if (needless.signal.aborted) return false;
    if (this.#answers.size < MAX_ANSWERS) this.#answers.set(id, yes);
    return yes;
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
      const look = (soon: AbortSignal) => probe({ host, port }, soon);
      const card = await within(signal, LOOK_LIMIT, look).catch(() => undefined);
      if (card === undefined) return;
      if (this.#isMeant(card)) return void this.#attend({ host, port }, false);
    }
  }
}
