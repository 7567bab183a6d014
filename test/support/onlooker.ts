import { type BigIntStats, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Looks into a folder all the time. A file that is whole when it gets its name never changes
 * afterwards; so one that is seen to grow, change or vanish was there too early.
 */
export class Onlooker implements Disposable {
  readonly #folder: string;
  readonly #seen = new Map<string, string>();
  readonly #complaints = new Set<string>();
  readonly #timer: NodeJS.Timeout;

  constructor(folder: string, every = EVERY) {
    this.#folder = folder;
    this.#look();
    this.#timer = setInterval(() => this.#look(), every);
  }

  /** The names of all files that were seen so far. */
  get seen(): string[] {
    return [...this.#seen.keys()];
  }

  /** Looks once more. Returns one line for each thing that must not be. */
  complaints(): string[] {
    this.#look();
    return [...this.#complaints];
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const there = new Map<string, string>();
    this.#walk('', there);
    for (const [path, look] of this.#seen) {
      const now = there.get(path);
      if (now === undefined) this.#complaints.add(`${path}: is gone`);
      else if (now !== look) this.#complaints.add(`${path}: was ${look}, is ${now}`);
    }
    for (const [path, look] of there) this.#seen.set(path, look);
  }

  #walk(folder: string, there: Map<string, string>): void {
    for (const entry of entriesOf(join(this.#folder, folder))) {
      const path = join(folder, entry.name);
      // What is hidden there is for nobody's eyes.
      if (folder === '' && entry.name.startsWith('.drop-')) continue;
      if (entry.isDirectory()) this.#walk(path, there);
      else if (entry.isFile()) there.set(path, lookOf(join(this.#folder, path)));
    }
  }
}

/** ms. */
const EVERY = 20;

function entriesOf(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return []; // It was removed meanwhile.
  }
}

/** What of a file stays as it is. */
function lookOf(path: string): string {
  let found: BigIntStats;
  try {
    found = lstatSync(path, { bigint: true });
  } catch {
    return 'gone';
  }
  return `${found.size} bytes of ${found.mtimeNs} in ${found.ino}`;
}
