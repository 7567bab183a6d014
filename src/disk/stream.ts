import { createHash, type Hash } from 'node:crypto';
import { Readable } from 'node:stream';
import { DropError } from '../errors.ts';
import { MAX_CHUNK, MAX_UNACKNOWLEDGED } from '../limits.ts';
import { equal } from '../protocol/bytes.ts';
import type { Kept } from '../protocol/message.ts';
import { Condition } from '../transfer/condition.ts';
import type { Block } from '../transfer/outbox.ts';

/**
 * Bytes that can be taken from their source only once, from standard input for instance. What
 * the receiver is not known to have is kept, so that it can be sent again after a connection
 * has broken.
 */
export class Stream {
  /** As what it is offered. */
  readonly path: string;
  readonly #source: AsyncIterable<Uint8Array>;
  /** How far it may be read ahead of the receiver. */
  readonly #ahead: number;
  #pieces: AsyncIterator<Uint8Array> | undefined;
  /** Something came from the source or the receiver, or somebody waits no longer. */
  readonly #news = new Condition();
  /** What the source gave last, as far as there was no room for it yet. */
  #piece: Uint8Array = new Uint8Array(0);
  #asking = false;
  #ended = false;
  /** What is kept, without gaps. All slabs but the last are full. */
  readonly #slabs: Slab[] = [];
  readonly #spare: Buffer[] = [];
  /** Of the bytes up to `#end`. */
  readonly #hash = createHash('sha256');
  #acknowledged = 0;
  #end = 0;

  constructor(path: string, source: AsyncIterable<Uint8Array>, ahead = MAX_UNACKNOWLEDGED) {
    this.path = path;
    this.#source = source;
    this.#ahead = ahead;
  }

  /**
   * The bytes after what the receiver kept, in blocks that stay as they are until they are
   * acknowledged; in the end the SHA-256 of all. It can be left and called again; then it goes
   * on from what is kept here, or throws `unrepeatable`. `signal` ends its waiting.
   */
  async *read(
    kept: Kept | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<Block, Uint8Array, undefined> {
    const wake = (): void => this.#news.changed();
    signal.addEventListener('abort', wake);
    try {
      let at = this.#startAfter(kept);
      for (;;) {
        while (at < this.#end) {
          const bytes = this.#keptAt(at);
          yield { offset: at, bytes };
          at += bytes.length;
        }
        if (this.#ended) return this.#hash.copy().digest();
        await this.#readOn(signal);
      }
    } finally {
      signal.removeEventListener('abort', wake);
    }
  }

  /** The receiver has the first `offset` bytes: they need not be kept. */
  arrived(offset: number): void {
    if (offset <= this.#acknowledged || offset > this.#end) return;
    this.#acknowledged = offset;
    for (let [first] = this.#slabs; first !== undefined; [first] = this.#slabs) {
      if (first.offset + MAX_CHUNK > offset) break;
      this.#spare.push(first.buffer);
      this.#slabs.shift();
    }
    this.#news.changed();
  }

  /** Takes nothing more from the source. */
  close(): void {
    this.#news.fail(new DropError('unreadable', { path: this.path }));
    // An iterator cannot be left while it waits for the next piece; a stream can be destroyed.
    if (this.#source instanceof Readable) this.#source.destroy();
    else void this.#leave();
  }

  #startAfter(kept: Kept | undefined): number {
    if (kept !== undefined && this.#isStart(kept)) {
      // The receiver has shown it. Without this there might be no room to read on, and nothing
      // to send that it would acknowledge.
      this.arrived(kept.size);
      return kept.size;
    }
    if (this.#acknowledged > 0) throw this.#unrepeatable();
    return 0;
  }

  #isStart({ size, digest }: Kept): boolean {
    if (size < this.#acknowledged || size > this.#end) return false;
    const slab = this.#slabAt(size);
    const hash = (slab?.before ?? this.#hash).copy();
    if (slab !== undefined) hash.update(slab.buffer.subarray(0, size - slab.offset));
    return equal(hash.digest(), digest);
  }

  /** What is kept from there on, as far as it lies in one slab. */
  #keptAt(offset: number): Uint8Array {
    const slab = this.#slabAt(offset);
    if (slab === undefined) throw this.#unrepeatable();
    return slab.buffer.subarray(offset - slab.offset, this.#end - slab.offset);
  }

  #slabAt(offset: number): Slab | undefined {
    const [first] = this.#slabs;
    return first && this.#slabs[Math.floor((offset - first.offset) / MAX_CHUNK)];
  }

  /** Waits until there is room and something to fill it, or the end is known. */
  async #readOn(signal: AbortSignal): Promise<void> {
    await this.#news.until(() => signal.aborted || this.#room > 0);
    signal.throwIfAborted();
    if (this.#piece.length === 0 && !this.#asking) void this.#ask();
    await this.#news.until(() => signal.aborted || this.#piece.length > 0 || this.#ended);
    signal.throwIfAborted();
    if (this.#piece.length > 0) this.#keep();
  }

  /** Asks the source. If nobody waits for the answer any more, it is there for the next read. */
  async #ask(): Promise<void> {
    this.#asking = true;
    try {
      this.#pieces ??= this.#source[Symbol.asyncIterator]();
      while (this.#piece.length === 0 && !this.#ended) {
        const { value, done } = await this.#pieces.next();
        if (done) this.#ended = true;
        else this.#piece = value;
      }
      this.#asking = false;
      this.#news.changed();
    } catch (cause) {
      this.#news.fail(new DropError('unreadable', { path: this.path, cause }));
    }
  }

  /** Copies what fits of the piece: it may be huge, or a tiny part of something huge. */
  #keep(): void {
    const slab = this.#slabWithRoom();
    const filled = this.#end - slab.offset;
    const bytes = this.#piece.subarray(0, Math.min(this.#room, MAX_CHUNK - filled));
    slab.buffer.set(bytes, filled);
    this.#hash.update(bytes);
    this.#end += bytes.length;
    this.#piece = this.#piece.subarray(bytes.length);
  }

  #slabWithRoom(): Slab {
    const last = this.#slabs.at(-1);
    if (last !== undefined && this.#end < last.offset + MAX_CHUNK) return last;
    const buffer = this.#spare.pop() ?? Buffer.allocUnsafeSlow(MAX_CHUNK);
    const slab = { offset: this.#end, buffer, before: this.#hash.copy() };
    this.#slabs.push(slab);
    return slab;
  }

  get #room(): number {
    return this.#acknowledged + this.#ahead - this.#end;
  }

  async #leave(): Promise<void> {
    try {
      await this.#pieces?.return?.();
    } catch {
      // It is not read any more, so it may end as it likes.
    }
  }

  #unrepeatable(): DropError {
    return new DropError('unrepeatable', { path: this.path });
  }
}

/** A stretch of the stream, `MAX_CHUNK` bytes when it is full. */
interface Slab {
  readonly offset: number;
  readonly buffer: Buffer;
  /** Of everything before it. */
  readonly before: Hash;
}
