import { DropError } from '../errors.ts';
import {
  MAX_ASKERS,
  MAX_DECLINED,
  MAX_HELD,
  MAX_UNANSWERED,
  MAX_VISITS,
  MAX_VISITS_EACH,
  OPEN_BYTES,
  OPEN_BYTES_IN_ALL,
  OPEN_ENTRIES,
  OPEN_ENTRIES_IN_ALL,
  PATIENCE,
} from '../limits.ts';
import { ended } from './signals.ts';

/** Counts the visits of devices that are greeted. `who` is a peer id, or an address of strangers. */
export class Guests {
  readonly #counts = new Map<string, number>();
  #all = 0;

  /** Throws `busy` if there are too many. Returns what to call when the visit is over. */
  enter(who: string): () => void {
    const count = this.#counts.get(who) ?? 0;
    if (count >= MAX_VISITS_EACH || this.#all >= MAX_VISITS) throw new DropError('busy');
    this.#counts.set(who, count + 1);
    this.#all += 1;
    return () => {
      const left = (this.#counts.get(who) ?? 1) - 1;
      if (left > 0) this.#counts.set(who, left);
      else this.#counts.delete(who);
      this.#all -= 1;
    };
  }
}

/** What a device has offered and is held: until it is settled, or to the end of its transfer. */
export interface OpenOffer {
  /** Whose it is: a peer id, or an address of strangers. */
  readonly who: string;
  /** The memory that it takes. */
  readonly bytes: number;
  /** Ends it. */
  readonly giveWay: () => void;
}

/**
 * Bounds what all open offers hold together. Where that is too much, the device that has most of it has
 * to give way with its largest: an honest one has fewer and shorter names than one that wants to fill the
 * memory, in however many transfers that does so.
 */
export class OpenOffers {
  readonly #all = new Set<OpenOffer>();
  readonly #most: number;

  constructor(most = MAX_HELD) {
    this.#most = most;
  }

  /** Counts one until what this returns is called. */
  enter(offer: OpenOffer): () => void {
    this.#all.add(offer);
    return () => void this.#all.delete(offer);
  }

  /** One of them has grown. */
  grown(): void {
    const byWho = new Map<string, number>();
    let inAll = 0;
    for (const { who, bytes } of this.#all) {
      byWho.set(who, (byWho.get(who) ?? 0) + bytes);
      inAll += bytes;
    }
    if (inAll <= this.#most) return;
    const of = ({ who }: OpenOffer): number => byWho.get(who) ?? 0;
    const [largest] = [...this.#all].sort((a, b) => of(b) - of(a) || b.bytes - a.bytes);
    if (largest === undefined) return;
    // It takes a moment until it is over, in which no other need go for it.
    this.#all.delete(largest);
    largest.giveWay();
  }
}

/** How much asking a person has to bear. Times are milliseconds of a clock that never goes back. */
export class Patience {
  readonly #asked = new Map<string, { at: number; how: Displeasure }[]>();
  /** The last question of each who asks just now. */
  readonly #asking = new Map<string, Promise<unknown>>();

  /** Asks when all is answered that `who` asked before: what was said to that counts for this. */
  async inTurn<Answer>(who: string, ask: () => Promise<Answer>): Promise<Answer> {
    const before = this.#asking.get(who);
    const mine = Promise.allSettled([before]).then(ask);
    this.#asking.set(who, mine);
    try {
      return await mine;
    } finally {
      if (this.#asking.get(who) === mine) this.#asking.delete(who);
    }
  }

  /** Something of `who` did not end with a yes. */
  noted(who: string, how: Displeasure, now: number): void {
    const all = this.#recent(who, now);
    all.push({ at: now, how });
    this.#asked.delete(who);
    this.#asked.set(who, all);
    const [oldest] = this.#asked.keys();
    if (this.#asked.size > MAX_ASKERS && oldest !== undefined) this.#asked.delete(oldest);
  }

  /** A yes makes up for what was before. */
  pleased(who: string): void {
    this.#asked.delete(who);
  }

  /** Whether `who` has asked too often, and is refused without a question. */
  isSpent(who: string, now: number): boolean {
    return this.#spentFor(who, now) > 0;
  }

  /** What the refusal tells that has come to that: for how many milliseconds it will be so. */
  quietFor(who: string, now: number): { readonly quiet?: number } {
    const quiet = Math.ceil(this.#spentFor(who, now));
    return quiet > 0 ? { quiet } : {};
  }

  /** Until the first of those that are too many no longer counts. */
  #spentFor(who: string, now: number): number {
    const all = this.#recent(who, now);
    const declined = all.filter(({ how }) => how === 'declined');
    const first = [declined.at(-MAX_DECLINED), all.at(-MAX_UNANSWERED)];
    return Math.max(0, ...first.map((one) => (one ? one.at + PATIENCE - now : 0)));
  }

  #recent(who: string, now: number): { at: number; how: Displeasure }[] {
    return (this.#asked.get(who) ?? []).filter(({ at }) => now - at < PATIENCE);
  }
}

/** How a question ended; or it came to none. */
type Displeasure = 'declined' | 'unanswered' | 'failed';

/** What a person says, for as long as somebody waits for it. */
export async function answerOf(
  said: Promise<boolean | 'no-answer'>,
  gone: AbortSignal,
): Promise<'yes' | 'declined' | 'no-answer'> {
  const answer = await Promise.race([said, ended(gone).then(() => 'no-answer' as const)]);
  if (answer === 'no-answer') return answer;
  return answer ? 'yes' : 'declined';
}

/** Calls `end` when nothing stirs for so many milliseconds, pauses not counted; one may lie in another. */
export class Idle {
  #limit: number;
  readonly #end: () => void;
  #pauses = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(limit: number, end: () => void) {
    this.#limit = limit;
    this.#end = end;
    this.stir();
  }

  stir(): void {
    if (this.#pauses > 0) return;
    if (this.#timer === undefined) this.#timer = setTimeout(this.#end, this.#limit);
    else this.#timer.refresh();
  }

  /** From now on so many milliseconds more have to pass. */
  extend(ms: number): void {
    this.#limit = Math.min(this.#limit + ms, LONGEST_TIMER);
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.stir();
  }

  pause(): void {
    this.#pauses += 1;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  resume(): void {
    this.#pauses -= 1;
    this.stir();
  }
}

/** Milliseconds that a timer of Node takes; one of more is over at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** How much is taken of devices that nobody vouches for: it counts what they offer. */
export class Allowance {
  #entries = OPEN_ENTRIES_IN_ALL;
  #bytes = OPEN_BYTES_IN_ALL;

  /** For one transfer: whether all that was offered so far fits, which is then taken off. */
  begin(): (offered: { entries: number; bytes: number; sized: boolean }) => boolean {
    const taken = { entries: 0, bytes: 0 };
    return ({ entries, bytes, sized }) => {
      const more = Math.max(0, entries - taken.entries);
      const moreBytes = Math.max(0, bytes - taken.bytes);
      if (!sized || entries > OPEN_ENTRIES || bytes > OPEN_BYTES) return false;
      if (more > this.#entries || moreBytes > this.#bytes) return false;
      taken.entries += more;
      taken.bytes += moreBytes;
      this.#entries -= more;
      this.#bytes -= moreBytes;
      return true;
    };
  }
}
