import { CODE_LIMITS, type CodeLimits, MAX_PIN, MIN_PIN } from '../limits.ts';

/**
 * Judges the answers of new devices to the code or PIN that is shown, and how many of them. It
 * keeps no time: `now` is handed in, in milliseconds of a clock that never goes back.
 *
 * With these numbers a stranger gets ten guesses at a million before the device's owner must
 * act: a chance of 1 in 100,000 a run. Where a lock ends by itself that is 230 guesses a day:
 * 1 in 4,300 for a code, 1 in 430,000 for a PIN of eight digits.
 */
export class CodeGuard {
  /** What is shown: a code is good for one device, a PIN for as many as come. */
  readonly kind: 'code' | 'pin';
  readonly #draw: () => string;
  readonly #limits: CodeLimits;
  #code: string;
  #epoch = 1;
  #wrongHere = 0;
  #wrongInAll = 0;
  /** Nothing is judged before. */
  #notBefore = 0;
  #lockedUntil: number | undefined;
  /** What is judged last, and how many wait for their turn. */
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(draw: () => string, limits: CodeLimits = CODE_LIMITS, kind: 'code' | 'pin' = 'code') {
    this.kind = kind;
    this.#draw = draw;
    this.#limits = limits;
    this.#code = draw();
  }

  /** The code that is shown. */
  get code(): string {
    return this.#code;
  }

  /** Counts the codes, so that an answer can say which one it is for. */
  get epoch(): number {
    return this.#epoch;
  }

  /** A guard of the same PIN, with counts of its own, whose lock ends by itself. */
  apart(): CodeGuard {
    const { lock } = CODE_LIMITS;
    return new CodeGuard(() => this.#code, { ...this.#limits, lock }, this.kind);
  }

  /** Until when no new device is let in, after too many wrong answers; Infinity: until `unlock`. */
  get lockedUntil(): number | undefined {
    return this.#lockedUntil;
  }

  /** When one is judged again, of the clock that is handed in; Infinity: after `unlock`. */
  get judgesFrom(): number {
    return this.#lockedUntil ?? this.#notBefore;
  }

  /** Whether an answer for the code of `epoch` may be judged now, or why it may not. */
  judges(epoch: number, now: number): 'yes' | 'code-changed' | 'not-yet' | 'locked' {
    if (this.#lockedUntil !== undefined && now >= this.#lockedUntil) this.unlock();
    if (this.#lockedUntil !== undefined) return 'locked';
    if (epoch !== this.#epoch) return 'code-changed';
    return now < this.#notBefore ? 'not-yet' : 'yes';
  }

  /**
   * Judges one answer when those before it are judged: what another one is worth must not change
   * the code, or begin a pause, between the two halves of this one.
   */
  inTurn<T>(judge: () => Promise<T>): Promise<T> {
    this.#waiting += 1;
    const mine = this.#last.then(() => {
      this.#waiting -= 1;
      return judge();
    });
    this.#last = mine.catch(() => {});
    return mine;
  }

  /** Whether somebody waits until the one is judged whose turn it is. */
  get isAwaited(): boolean {
    return this.#waiting > 0;
  }

  /** A judged answer was right: its code is spent. */
  right(): void {
    this.#renew();
  }

  /** A judged answer was wrong. */
  wrong(now: number): void {
    const { gap, maxGap, wrongPerCode, wrongInAll, lock } = this.#limits;
    this.#notBefore = now + Math.min(gap * 2 ** this.#wrongInAll, maxGap);
    this.#wrongInAll += 1;
    this.#wrongHere += 1;
    if (this.#wrongHere >= wrongPerCode) this.#renew();
    if (this.#wrongInAll >= wrongInAll) this.#lockedUntil = now + lock;
  }

  /** New devices are let in again, with another code than those who guessed were shown. */
  unlock(): void {
    if (this.#lockedUntil === undefined) return;
    this.#lockedUntil = undefined;
    this.#notBefore = 0;
    this.#wrongInAll = 0;
    this.#renew();
  }

  #renew(): void {
    if (this.kind === 'pin') return;
    this.#wrongHere = 0;
    this.#epoch += 1;
    this.#code = this.#draw();
  }
}

/** Whether a PIN is long enough, and not too long: 8 to 256 characters without blanks and dashes. */
export function isPin(text: string): boolean {
  const { length } = normalizeCode(text);
  return length >= MIN_PIN && length <= MAX_PIN;
}

/** Digits as a person may type them: other scripts' digits, blanks and dashes are understood. */
export function normalizeCode(typed: string): string {
  return typed.normalize('NFKC').replace(/[\s\p{Pd}]/gu, '');
}
