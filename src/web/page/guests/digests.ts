import { sha256 } from '@noble/hashes/sha2.js';

/**
 * Tells what is in files, in steps that nobody notices who uses the page meanwhile. What browsers have
 * for it themselves takes all of a file into memory, and is not there for pages that come by HTTP.
 */
export class Digests {
  /** Where it was with each: it may be asked for more, or again. */
  readonly #reached = new WeakMap<File, { readonly at: number; readonly hash: typeof EMPTY }>();

  /**
   * The SHA-256 of the first bytes of a file; `tell` hears at each step how many are looked through.
   * Throws what the signal was aborted with, and what the browser says of a file that it cannot read.
   */
  async of(
    file: File,
    bytes: number,
    signal: AbortSignal,
    tell: (bytes: number) => void,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const before = this.#reached.get(file);
    let { at, hash } = before && before.at <= bytes ? before : { at: 0, hash: EMPTY };
    // What is written down there is not touched: it may be asked for twice at a time.
    hash = hash.clone();
    while (at < bytes) {
      const piece = await file.slice(at, Math.min(at + STEP, bytes)).arrayBuffer();
      if (signal.aborted) break;
      hash.update(new Uint8Array(piece));
      at += piece.byteLength;
      tell(at);
    }
    this.#reached.set(file, { at, hash });
    signal.throwIfAborted();
    return new Uint8Array(hash.clone().digest());
  }
}

const EMPTY = sha256.create();

/** Bytes: a few milliseconds, or tens of them on an old telephone. */
const STEP = 512 * 1024;
