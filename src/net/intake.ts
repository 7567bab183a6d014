/**
 * Bytes that came over a socket and that nobody has heard yet. Those that come together lie side by
 * side and are handed on in one piece, in memory that is used again and again.
 */
export class Intake {
  readonly #waiting: Stretch[] = [];
  /** What the socket fills now, and how far it has come. */
  #slab: Buffer = Buffer.alloc(0);
  #filled = 0;
  readonly #spare: Buffer[] = [];
  /** The slab of the piece that is being heard. */
  #heard: Buffer | undefined;
  #length = 0;

  /** How many bytes wait. */
  get length(): number {
    return this.#length;
  }

  /** Where the socket puts the bytes of the next record. */
  space(): Uint8Array {
    if (this.#slab.length - this.#filled < MAX_RECORD) {
      const full = this.#slab;
      // Most connections carry little.
      const size = full.length === 0 ? FIRST_SLAB : SLAB;
      this.#slab = this.#spare.pop() ?? Buffer.allocUnsafeSlow(size);
      this.#filled = 0;
      this.#giveBack(full);
    }
    return this.#slab.subarray(this.#filled, this.#filled + MAX_RECORD);
  }

  /** So many bytes were put there. */
  filled(count: number): void {
    const last = this.#waiting.at(-1);
    if (last?.slab === this.#slab) last.end += count;
    else this.#waiting.push({ slab: this.#slab, start: this.#filled, end: this.#filled + count });
    this.#filled += count;
    this.#length += count;
  }

  /** Bytes that came in memory of their own, where the socket cannot be told where to put them. */
  add(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += MAX_RECORD) {
      const record = bytes.subarray(at, at + MAX_RECORD);
      this.space().set(record);
      this.filled(record.length);
    }
  }

  /** The bytes that came first, if any wait. Those of the call before may be overwritten now. */
  take(): Uint8Array | undefined {
    const before = this.#heard;
    this.#heard = undefined;
    if (before !== undefined) this.#giveBack(before);
    const next = this.#waiting.shift();
    if (next === undefined) return undefined;
    this.#heard = next.slab;
    this.#length -= next.end - next.start;
    return next.slab.subarray(next.start, next.end);
  }

  /** A slab that nobody needs any more is filled again. */
  #giveBack(slab: Buffer): void {
    const isUsed =
      slab === this.#slab ||
      slab === this.#heard ||
      this.#waiting.some((stretch) => stretch.slab === slab);
    if (slab.length === SLAB && !isUsed) this.#spare.push(slab);
  }
}

/** Bytes that lie side by side. */
interface Stretch {
  readonly slab: Buffer;
  readonly start: number;
  end: number;
}

/** What a record of TLS carries at most (RFC 8446, 5.1): a socket hands on no more at once. */
const MAX_RECORD = 16 * 1024;

/** Bytes that are gathered before a reader is behind; so much is written to a disk at a time. */
const SLAB = 512 * 1024;
const FIRST_SLAB = 2 * MAX_RECORD;
