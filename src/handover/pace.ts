import { setTimeout as sleepFor } from 'node:timers/promises';
import { DropError } from '../errors.ts';
import { MAX_CHUNK } from '../limits.ts';
import type { Pacing } from '../transfer/outflow.ts';

/** Milliseconds of a clock that never goes back, and a way to wait that a signal cuts short. */
export interface Clock {
  now(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/**
 * Holds what is sent to so many bytes a second, evenly. Several transfers may share one: then it
 * holds all of them together, and they take turns. Throws `usage` if that is no number of bytes;
 * `Infinity` is as fast as it goes.
 */
export class Pace implements Pacing {
  readonly most: number;
  /** Bytes per millisecond. */
  readonly #rate: number;
  readonly #clock: Clock;
  /** When all is gone that was taken so far. */
  #gone = Number.NEGATIVE_INFINITY;

  constructor(bytesPerSecond: number, clock: Clock = SYSTEM) {
    if (!(bytesPerSecond >= 1))
      throw new DropError('usage', {
        message: 'A limit is a number of bytes a second, and at least one.',
      });
    this.#rate = bytesPerSecond / 1000;
    this.most = Math.floor(Math.min(MAX_CHUNK, Math.max(LEAST, this.#rate * PORTION)));
    this.#clock = clock;
  }

  async take(bytes: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const now = this.#clock.now();
    const begin = this.#reserve(bytes, now);
    if (begin - now < LEAST_PAUSE) return;
    await this.#clock.sleep(begin - now, signal).catch(() => {});
    signal.throwIfAborted();
  }

  count(bytes: number): void {
    this.#reserve(bytes, this.#clock.now());
  }

  /** When they may go. Who comes too late makes up for it, but not for more than a little. */
  #reserve(bytes: number, now: number): number {
    const begin = Math.max(this.#gone, now - PORTION);
    this.#gone = begin + bytes / this.#rate;
    return begin;
  }
}

const SYSTEM: Clock = {
  now: () => performance.now(),
  sleep: (ms, signal) => sleepFor(ms, undefined, { signal }),
};

/** Milliseconds in which a portion goes: twenty a second look even. */
const PORTION = 50;

/** Bytes. Where not even this may go in that time, it takes longer: less would be mostly heads. */
const LEAST = 1024;

/** Milliseconds. Timers know no less. */
const LEAST_PAUSE = 1;
