import { setTimeout as sleep } from 'node:timers/promises';
import { DropError, type ErrorCode } from '../errors.ts';
import type { PeerId } from '../events.ts';
import { type Address, formatAddress } from '../net/addresses.ts';
import type { Porch } from '../net/porch.ts';
import { type FindOptions, findTarget } from './find.ts';
import { lookAround, peerOf } from './lookout.ts';
import {
  type CodeRequest,
  type Manner,
  type Meeting,
  meet,
  type Tries,
  type Trusting,
} from './meet.ts';
import { type Target, targetOf } from './reach.ts';
import type { Self } from './self.ts';

export interface ContactOptions extends FindOptions, Trusting, Pick<Manner, 'onProven'> {
  /** How long the device may take to answer at first, in milliseconds. */
  readonly wait?: number | undefined;
  /** Where files are got: the transfer that is to go on, if one broke off. */
  readonly continues?: (() => string | undefined) | undefined;
  /** Hears that the device cannot be dialled, and was asked to dial us. */
  readonly onKnock?: ((target: Target) => void) | undefined;
}

/** Hears that an attempt failed, why, and in how many milliseconds the next one is made. */
export type OnRetry = (reason: ErrorCode, next: number) => void;

/** Holds the contact to one peer: meets it, and meets it again when the connection is lost. */
export class Contact {
  readonly #self: Self;
  readonly #options: ContactOptions;
  readonly #signal: AbortSignal;
  /** Where the peer may come if it cannot be dialled. */
  readonly #porch: Porch;
  #target: Target | undefined;
  /** Whether it was agreed to that nobody can tell who the peer is. */
  #unverified = false;
  /** The PIN that was typed last, and for whom, for when it is lost: nobody types it twice. */
  #pin: { readonly typed: string; readonly peer: PeerId } | undefined;
  readonly #tries: Tries = { wrong: 0 };
  #metAt = 0;
  /** When the peer was lost, and how often it was tried since; until something comes of it. */
  #lost: { readonly at: number; tries: number } | undefined;

  constructor(self: Self, porch: Porch, options: ContactOptions, signal: AbortSignal) {
    this.#self = self;
    this.#porch = porch;
    this.#options = options;
    this.#signal = signal;
  }

  /**
   * Finds the peer and meets it, within `wait` milliseconds; a person may take longer to type a code.
   * Where it serves too many others just now, it may take `waitBusy` until it is our turn.
   */
  async first(wait: number, waitBusy = 0): Promise<Meeting> {
    const began = performance.now();
    const patience = new Map<ErrorCode | undefined, number>([
      ['unreachable', wait],
      ['busy', waitBusy],
    ]);
    this.#target = await findTarget(this.#self, this.#options, this.#porch, wait, this.#signal);
    for (let tries = 0; ; tries++)
      try {
        return await this.#meet(this.#target);
      } catch (error) {
        const pause = pauseAfter(tries);
        if (performance.now() + pause > began + (patience.get(codeOf(error)) ?? 0)) throw error;
        await this.#sleep(pause);
      }
  }

  /**
   * Does something over one connection after the other, for as long as each of them lasts, until it
   * is done. A peer that is lost may be away for `wait` milliseconds.
   */
  async carry(
    first: Meeting,
    { wait, onRetry }: { readonly wait: number; readonly onRetry: OnRetry },
    task: (meeting: Meeting) => Promise<void>,
  ): Promise<void> {
    for (let meeting = first; ; ) {
      const loss = await whileConnected(meeting, this.#signal, task);
      if (loss === undefined) return;
      meeting = await this.again(loss, wait, onRetry);
    }
  }

  /** Something came of the last meeting: what is lost later is another loss. */
  held(): void {
    this.#lost = undefined;
  }

  /**
   * Meets the same peer again, if it comes back within `wait` milliseconds since it was lost:
   * where it was, and wherever it is announced by now. Throws `loss` if it does not.
   */
  async again(loss: DropError, wait: number, onRetry: OnRetry): Promise<Meeting> {
    if (performance.now() - this.#metAt > Math.min(LASTING, wait)) this.held();
    this.#lost ??= { at: performance.now(), tries: 0 };
    const lost = this.#lost;
    const search = new AbortController();
    const signal = AbortSignal.any([this.#signal, search.signal]);
    /** Cut short when the peer is heard of, during the attempt before it, too. */
    let nap = new AbortController();
    const sightings = new Map<string, readonly Address[]>();
    const looking = this.#look(signal, (run, addresses) => {
      sightings.set(run, addresses);
      nap.abort();
    });
    try {
      for (let reason = loss.code, heeds = false; ; heeds = true) {
        const pause = pauseAfter(lost.tries++ - 1);
        if (performance.now() + pause > lost.at + wait) throw loss;
        onRetry(reason, Math.round(pause));
        // One that answers and is lost again at once must not keep both of us busy.
        await this.#sleep(pause, heeds ? nap.signal : undefined);
        // Whoever is heard of from here on may be somewhere else than where it is tried now.
        nap = new AbortController();
        try {
          return await this.#meet(this.#whereNow(sightings));
        } catch (error) {
          reason = codeOf(error) ?? 'internal';
          if (!PASSING.has(reason)) throw error;
        }
      }
    } finally {
      search.abort();
      await looking;
    }
  }

  async #meet(target: Target): Promise<Meeting> {
    const { wait: patience } = this.#options;
    const unverified = this.#options.unverified || this.#unverified;
    const code = this.#options.code && ((request: CodeRequest) => this.#ask(request));
    const shared = { patience, porch: this.#porch, tries: this.#tries };
    const continues = this.#options.continues?.();
    const manner = { ...this.#options, ...shared, code, unverified, continues };
    const meeting = await meet(this.#self, target, manner, this.#signal);
    this.#unverified = meeting.greeted === 'open';
    this.#metAt = performance.now();
    // Nobody else needs to come, and nobody to know that we are here; others may still wait there.
    if (this.#options.around === undefined) void this.#porch.rest();
    // It is this key that we go on with, whatever else answers by that name or address.
    this.#target = { ...target, id: meeting.peer.id, run: undefined };
    return meeting;
  }

  async #ask(request: CodeRequest): Promise<string> {
    const { kind, why, peer } = request;
    if (kind === 'pin' && why === 'new' && this.#pin?.peer === peer.id) return this.#pin.typed;
    const typed = (await this.#options.code?.(request)) ?? '';
    if (kind === 'pin') this.#pin = { typed, peer: peer.id };
    return typed;
  }

  /** Where the peer may be by now: where it was announced last, and where it was. */
  #whereNow(sightings: ReadonlyMap<string, readonly Address[]>): Target {
    const target = this.#target as Target;
    const all = [...[...sightings.values()].flat(), ...target.addresses];
    const distinct = new Map(all.map((address) => [formatAddress(address), address]));
    return { ...target, addresses: [...distinct.values()].slice(0, MAX_ADDRESSES) };
  }

  /** Tells of every place where the peer is announced, until the signal is aborted. */
  async #look(
    signal: AbortSignal,
    onFound: (run: string, addresses: readonly Address[]) => void,
  ): Promise<void> {
    const id = this.#target?.id as PeerId;
    const { around = lookAround } = this.#options;
    while (!signal.aborted) {
      try {
        for await (const event of around(this.#self, { ...this.#options, signal }, this.#porch))
          if (event.event === 'peer' && event.id === id && event.state === 'found')
            onFound(event.run, targetOf(peerOf(event)).addresses);
      } catch {
        // There may be no network just now; that is what we wait for.
      }
      await sleep(LOOK_AGAIN, undefined, { signal }).catch(() => {});
    }
  }

  /** Sleeps until the time is over or it is cut short; throws if all of it is to end. */
  async #sleep(ms: number, short?: AbortSignal): Promise<void> {
    const either = short ? AbortSignal.any([short, this.#signal]) : this.#signal;
    await sleep(ms, undefined, { signal: either }).catch(() => {});
    if (this.#signal.aborted) throw this.#signal.reason;
  }
}

/** Does something over one connection. Returns how that was lost, if it was. */
async function whileConnected(
  meeting: Meeting,
  signal: AbortSignal,
  task: (meeting: Meeting) => Promise<void>,
): Promise<DropError | undefined> {
  const { channel, keepAlive } = meeting;
  const stopBeating = keepAlive();
  const stop = (): void => channel.fail(new DropError('cancelled'));
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    await task(meeting);
    return undefined;
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof DropError && error.code === 'disconnected') return error;
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    stopBeating();
    await channel.end();
  }
}

/** What may pass by itself: somebody else may have its address for now. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'disconnected',
  'unreachable',
  'not-found',
  'no-network',
  'wrong-peer',
  'unproven',
  'busy',
]);

/** A connection that lasted so long, in milliseconds, was no mere attempt. */
const LASTING = 10_000;

/** Addresses that are tried; an attempt at all of them must not take for ever. */
const MAX_ADDRESSES = 16;

/** Milliseconds until it is looked for again where looking has failed. */
const LOOK_AGAIN = 1_000;

/** Pauses between attempts, in milliseconds: they double, up to a limit. */
const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 8_000;

/** The pause after so many failed attempts, none before the first; many who wait do not come at once. */
function pauseAfter(tries: number): number {
  if (tries < 0) return 0;
  return Math.min(FIRST_PAUSE * 2 ** tries, LONGEST_PAUSE) * (0.8 + 0.4 * Math.random());
}

function codeOf(error: unknown): ErrorCode | undefined {
  return error instanceof DropError ? error.code : undefined;
}
