import { LARGE, MANY } from '../limits.ts';
import { type Entry, sizeOf } from '../protocol/manifest.ts';
import type { Platform } from '../protocol/names.ts';
import { risksOf } from '../protocol/risk.ts';

/**
 * How far a yes reaches: as far as what the person was shown, and while the sender was still
 * counting, a bit further, to where one would want to be asked again. A yes to three files must
 * not admit a terabyte.
 */
export class Grant {
  readonly #platform: Platform;
  #shown = 0;
  #seen = 0;
  #bytes = 0;
  #maxEntries = 0;
  #maxBytes = 0;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** A yes, said when so much more was shown. The next reaches twice as far, unless it is `exactly` that. */
  renew(more: { entries: number; bytes: number }, { exactly = false } = {}): void {
    const entries = this.#seen + more.entries;
    const bytes = this.#bytes + more.bytes;
    this.#shown = entries;
    this.#maxEntries = exactly ? entries : entries + Math.max(entries, MANY);
    this.#maxBytes = bytes + Math.max(bytes, LARGE);
  }

  /** Whether the yes covers the next entry of the offer; if so, it is taken off. */
  takes(entry: Entry): boolean {
    const size = sizeOf(entry);
    const covered =
      this.#seen < this.#shown ||
      (this.#seen < this.#maxEntries &&
        this.#bytes + size <= this.#maxBytes &&
        risksOf(entry, this.#platform).length === 0);
    if (!covered) return false;
    this.#seen += 1;
    this.#bytes += size;
    return true;
  }
}

/** What is granted without a question. */
export const EVERYTHING = { entries: Infinity, bytes: Infinity };
