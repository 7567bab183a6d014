import { type Dir, opendirSync } from 'node:fs';
import { isSystemError } from './failure.ts';

/**
 * The names in one folder, as bytes, one after the other. If there are at most `most`, they are
 * sorted, so that the same tree is always offered in one order. Else they come as the disk gives
 * them, which for a folder of a million names is the only order that needs no memory for all.
 *
 * It calls the system without another thread: for a name on a warm disk that takes a microsecond.
 */
export class Listing {
  readonly #folder: Dir;
  /** What was read ahead, the next one last. */
  readonly #names: Buffer[] = [];
  #isOpen = true;

  /** Throws what the system says if the folder cannot be read; so does `next`. */
  constructor(path: string, most: number) {
    // Of several at once all would be lost, were one of them gone by the time it is looked at.
    this.#folder = opendirSync(path, { encoding: BYTES, bufferSize: 1 });
    try {
      while (this.#isOpen && this.#names.length <= most) {
        const name = this.#read();
        if (name === undefined) this.close();
        else this.#names.push(name);
      }
    } catch (error) {
      this.close();
      throw error;
    }
    if (this.#isOpen) this.#names.reverse();
    else this.#names.sort((a, b) => Buffer.compare(b, a));
  }

  /** How many names are in memory. */
  get held(): number {
    return this.#names.length;
  }

  /** The next name; undefined after the last. */
  next(): Buffer | undefined {
    return this.#names.pop() ?? (this.#isOpen ? this.#read() : undefined);
  }

  /** Nothing more is read. Safe to call twice. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#folder.closeSync();
  }

  #read(): Buffer | undefined {
    for (;;)
      try {
        return this.#folder.readSync()?.name as Buffer | undefined;
      } catch (error) {
        // Where the disk does not say what a name stands for, Node looks, and it may be gone by then.
        if (!(isSystemError(error, 'ENOENT') && error.syscall === 'lstat')) throw error;
      }
  }
}

/** Names as they are. Node takes it here as in `readdir`, which its types do not know. */
const BYTES = 'buffer' as BufferEncoding;
