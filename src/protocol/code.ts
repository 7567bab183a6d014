/**
 * The life of the short code for new devices, and how many guesses at it are judged. It keeps
 * no time: `now` is handed in, in milliseconds of a clock that never goes back.
 *
 * With these numbers a stranger gets ten guesses at a million before the device's owner must
 * act: a chance of 1 in 100,000 a run.
 */
export class CodeGuard {
  readonly #draw: () => string;
  readonly #limits: CodeLimits;
  #code: string;
  #epoch = 1;
  #wrongHere = 0;
  #wrongInAll = 0;
  #notBefore = 0;

  constructor(draw: () => string, limits: CodeLimits = CODE_LIMITS) {
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

  /** Whether an answer for the code of `epoch` may be judged now, or why it may not. */
  judges(epoch: number, now: number): 'yes' | 'code-changed' | 'locked' {
    if (this.#wrongInAll >= this.#limits.wrongInAll || now < this.#notBefore) return 'locked';
    return epoch === this.#epoch ? 'yes' : 'code-changed';
  }

  /** A judged answer was right: its code is spent. */
  right(): void {
    this.#renew();
  }

  /** A judged answer was wrong. */
  wrong(now: number): void {
    const { gap, maxGap, wrongPerCode } = this.#limits;
    this.#notBefore = now + Math.min(gap * 2 ** this.#wrongInAll, maxGap);
    this.#wrongInAll += 1;
    this.#wrongHere += 1;
    if (this.#wrongHere >= wrongPerCode) this.#renew();
  }

  #renew(): void {
    this.#wrongHere = 0;
    this.#epoch += 1;
    this.#code = this.#draw();
  }
}

export interface CodeLimits {
  /** Wrong answers after which a code is replaced. */
  readonly wrongPerCode: number;
  /** Wrong answers after which no new device is let in any more. */
  readonly wrongInAll: number;
  /** How long nothing is judged after the first wrong answer; it doubles with each, in ms. */
  readonly gap: number;
  readonly maxGap: number;
}

export const CODE_LIMITS: CodeLimits = {
  wrongPerCode: 3,
  wrongInAll: 10,
  gap: 1_000,
  maxGap: 64_000,
};

/** Digits as a person may type them: other scripts' digits, blanks and dashes are understood. */
export function normalizeCode(typed: string): string {
  return typed.normalize('NFKC').replace(/[\s\p{Pd}]/gu, '');
}
