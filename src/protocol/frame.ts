import { DropError } from '../errors.ts';
import { MAX_BATCH, MAX_CHUNK, MAX_CONTROL, MAX_GREETING, MAX_PACKED } from '../limits.ts';
import { readU32, u32 } from './bytes.ts';

/**
 * A frame is `length:u32 kind:u8` and `length` bytes of body, big-endian. A control body comes
 * whole. A data body starts with a head that comes whole; what follows comes in whatever pieces
 * the network brings: nobody waits for the rest of it, and nobody copies it. Small files come whole,
 * many in one frame, and are not copied if they are there as a whole: they may be overwritten when
 * the next piece is asked for.
 */
export type Piece =
  | { readonly kind: number; readonly body: Uint8Array }
  | {
      readonly kind: typeof DATA;
      readonly head: Uint8Array;
      /** How many bytes of this frame came before this piece, the head not counted. */
      readonly at: number;
      readonly body: Uint8Array;
    };

/** The kind of frame that carries a piece of a file as it is. */
export const DATA = 0x20;
export const DATA_HEAD = 12;

/** A chunk that is packed comes whole, for only the whole can be unpacked. */
export const PACKED = 0x27;
export const PACKED_HEAD = 17;

/** The kind that carries small files: their count, a head for each of them, and then their bytes. */
export const FILES = 0x28;
export const FILES_COUNT = 2;
export const FILE_HEAD = 40;

const HEADER = 5;

export function encodeFrame(kind: number, ...body: Uint8Array[]): Uint8Array[] {
  let length = 0;
  for (const part of body) length += part.length;
  const header = new Uint8Array(HEADER);
  header.set(u32(length));
  header[4] = kind;
  return [header, ...body];
}

/** Cuts a stream of bytes into pieces, however the network happened to slice it. */
export class FrameDecoder {
  readonly #header = new Uint8Array(HEADER);
  #headerFill = 0;
  #kind = 0;
  /** The control body, the head of the data body or the small files, filled up to `#fill`. */
  #whole = new Uint8Array(0);
  #fill = 0;
  /** Data bytes of this frame that came, and that are still to come. */
  #at = 0;
  #left = 0;
  /** Where small files are gathered that come in pieces. */
  #gathered = new Uint8Array(0);
  #greeted = false;

  /** The peer is known now: larger frames and data are let in. */
  greeted(): void {
    this.#greeted = true;
  }

  /** Whether all that came were whole frames. */
  get between(): boolean {
    return this.#headerFill === 0;
  }

  *push(bytes: Uint8Array): Generator<Piece, void> {
    let rest = bytes;
    const fill = (into: Uint8Array, from: number): number => {
      const part = rest.subarray(0, into.length - from);
      into.set(part, from);
      rest = rest.subarray(part.length);
      return from + part.length;
    };
    while (rest.length > 0) {
      if (this.#headerFill < HEADER) {
        this.#headerFill = fill(this.#header, this.#headerFill);
        if (this.#headerFill < HEADER) return;
        this.#begin();
      }
      if (this.#kind === FILES && this.#fill === 0 && rest.length >= this.#whole.length) {
        const body = rest.subarray(0, this.#whole.length);
        rest = rest.subarray(body.length);
        this.#headerFill = 0;
        yield { kind: FILES, body };
        continue;
      }
      this.#fill = fill(this.#whole, this.#fill);
      if (this.#fill < this.#whole.length) return;
      if (this.#kind === DATA) {
        const body = rest.subarray(0, this.#left);
        rest = rest.subarray(body.length);
        const at = this.#at;
        this.#at += body.length;
        this.#left -= body.length;
        if (this.#left === 0) this.#headerFill = 0;
        if (body.length > 0) yield { kind: DATA, head: this.#whole, at, body };
      } else {
        this.#headerFill = 0;
        yield { kind: this.#kind, body: this.#whole };
      }
    }
  }

  #begin(): void {
    const length = readU32(this.#header, 0);
    this.#kind = this.#header[4] as number;
    const limit = this.#greeted ? limitOf(this.#kind) : MAX_GREETING;
    if (length > limit) throw new DropError('protocol', { message: 'A frame is too long.' });
    if (this.#kind === DATA && (!this.#greeted || length <= DATA_HEAD))
      throw new DropError('protocol', { message: 'A chunk without data.' });
    this.#whole =
      this.#kind === FILES
        ? this.#room(length)
        : new Uint8Array(this.#kind === DATA ? DATA_HEAD : length);
    this.#fill = 0;
    this.#at = 0;
    this.#left = length - this.#whole.length;
  }

  /** Memory for small files; those before are not needed any more. */
  #room(length: number): Uint8Array<ArrayBuffer> {
    if (this.#gathered.length < length) this.#gathered = new Uint8Array(length);
    return this.#gathered.subarray(0, length);
  }
}

/** How long a body may be that a peer sends. */
function limitOf(kind: number): number {
  if (kind === DATA) return DATA_HEAD + MAX_CHUNK;
  if (kind === FILES) return FILES_COUNT + MAX_BATCH * FILE_HEAD + MAX_CHUNK;
  return kind === PACKED ? PACKED_HEAD + MAX_PACKED : MAX_CONTROL;
}
