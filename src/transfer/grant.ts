import type { Entry } from '../protocol/manifest.ts';

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

  /** A yes, said when this much was offered. The next reaches twice as far. */
  renew({ entries, bytes }: { entries: number; bytes: number }): void {
    this.#shown = entries;
    this.#maxEntries = entries + Math.max(entries, GRANT_ENTRIES);
    this.#maxBytes = bytes + Math.max(bytes, GRANT_BYTES);
  }

  /** Whether the yes covers the next entry of the offer; if so, it is taken off. */
  takes(entry: Entry): boolean {
    const size = entry.kind === 'file' ? entry.size : 0;
    const covered =
      this.#seen < this.#shown ||
      (this.#seen < this.#maxEntries &&
        this.#bytes + size <= this.#maxBytes &&
        !(entry.kind === 'file' && RUNS_WHEN_OPENED.test(entry.path)));
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

/** Names of files that do something when a person opens them in one system or another. */
const RUNS_WHEN_OPENED =
  /\.(exe|msi|bat|cmd|com|scr|pif|ps1|vbs|js|jse|wsf|hta|jar|lnk|url|desktop|appimage|app|command|sh|py|dmg|pkg|deb|rpm|iso|apk|reg)$/i;
