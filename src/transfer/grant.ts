import { type Entry, sizeOf } from '../protocol/manifest.ts';

/**
 * How far a yes reaches: as far as what the person was shown, and while the sender was still
 * counting, a bit further, to where one would want to be asked again. A yes to three files must
 * not admit a terabyte.
 */
export class Grant {
  #shown = 0;
  #seen = 0;
  #bytes = 0;
  #maxEntries = 0;
  #maxBytes = 0;

  /** A yes, said when so much more was shown. The next reaches twice as far. */
  renew(more: { entries: number; bytes: number }): void {
    const entries = this.#seen + more.entries;
    const bytes = this.#bytes + more.bytes;
    this.#shown = entries;
    this.#maxEntries = entries + Math.max(entries, GRANT_ENTRIES);
    this.#maxBytes = bytes + Math.max(bytes, GRANT_BYTES);
  }

  /** Whether the yes covers the next entry of the offer; if so, it is taken off. */
  takes(entry: Entry): boolean {
    const size = sizeOf(entry);
    const covered =
      this.#seen < this.#shown ||
      (this.#seen < this.#maxEntries &&
        this.#bytes + size <= this.#maxBytes &&
        !mustBeShown(entry));
    if (!covered) return false;
    this.#seen += 1;
    this.#bytes += size;
    return true;
  }
}

/** What is granted without a question. */
export const EVERYTHING = { entries: Infinity, bytes: Infinity };

/** How much beyond what was shown one yes admits. */
const GRANT_ENTRIES = 1_000;
const GRANT_BYTES = 1024 ** 3;

/** A stream may be a terabyte, and some files do something when they are opened. */
function mustBeShown({ kind, path }: Entry): boolean {
  return kind === 'stream' || (kind === 'file' && RUNS_WHEN_OPENED.test(path));
}

/** Names of files that do something when a person opens them in one system or another. */
const RUNS_WHEN_OPENED =
  /\.(exe|msi|bat|cmd|com|scr|pif|ps1|vbs|js|jse|wsf|hta|jar|lnk|url|desktop|appimage|app|command|sh|py|dmg|pkg|deb|rpm|iso|apk|reg)$/i;
