import type { Message, MessageOf } from '../protocol/message.ts';
import type { Codec } from './codec.ts';
import type { Block } from './outbox.ts';
import { type Took, Worth } from './worth.ts';

/** What carries a block. */
export type Carrier = MessageOf<'chunk'> | MessageOf<'packed'>;

/** Learns what the network does. */
export interface Meter {
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  /** They are on their way, and for so many milliseconds it was the network that we waited for. */
  went(messages: readonly Message[], waited: number): void;
}

export interface PackerOptions {
  readonly codecs: readonly Codec[];
  /** Whether each block is packed that can be, or each for which it is worth it. */
  readonly always: boolean;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
}

/** Packs blocks on their way out, by a codec that the receiver has, where that is worth it. */
export class Packer implements Meter {
  readonly #options: PackerOptions;
  #codec: Agreed | undefined;
  /** The file that was carried last. */
  #entry = -1;
  /** How many blocks are being packed, and when the last one was done, or the first begun. */
  #packing = 0;
  #since = 0;

  constructor(options: PackerOptions) {
    this.#options = options;
  }

  /** The receiver has named what it can unpack: of that our best is taken, if there is any. */
  agree({ codecs: theirs }: Pick<MessageOf<'begun'>, 'codecs'>): void {
    const { codecs, always } = this.#options;
    const codec = codecs.find(({ name }) => theirs.includes(name));
    // It may be another network by now.
    this.#codec = codec && {
      codec,
      number: theirs.indexOf(codec.name),
      worth: new Worth(codec.qualities, { always }),
    };
    this.#entry = -1;
  }

  /** Makes a block ready to be said: packed, if that is worth it. */
  carry(entry: number, block: Block): Carrier | Promise<Carrier> {
    const plain: Carrier = { type: 'chunk', entry, ...block };
    if (this.#codec === undefined) return plain;
    const { codec, number, worth } = this.#codec;
    const { offset, bytes } = block;
    if (entry !== this.#entry) worth.anew();
    this.#entry = entry;
    const quality = bytes.length < LEAST ? undefined : worth.choose(bytes.length);
    if (quality === undefined) return plain;
    const took = this.#begin();
    const carrier = (packed: Uint8Array): Carrier =>
      worth.packed(quality, bytes.length, packed.length, took())
        ? { type: 'packed', entry, offset, size: bytes.length, codec: number, bytes: packed }
        : plain;
    const packed = codec.pack(bytes, quality);
    return packed instanceof Promise ? packed.then(carrier) : carrier(packed);
  }

  get now(): () => number {
    return this.#options.now;
  }

  went(messages: readonly Message[], waited: number): void {
    let [bytes, wire] = [0, 0];
    for (const load of messages.map(loadOf)) {
      bytes += load.bytes;
      wire += load.wire;
    }
    this.#codec?.worth.went(bytes, wire, waited, this.now());
  }

  /** Whether a file of this size might be packed, so that it must not go as a whole. */
  mayPack(size: number): boolean {
    return size >= LEAST && this.#codec?.worth.mayChoose(size) === true;
  }

  /** A block is being packed. Call what it returns when that is done: it tells what that took. */
  #begin(): () => Took {
    const { now } = this.#options;
    const began = now();
    if (this.#packing++ === 0) this.#since = began;
    return () => {
      const ended = now();
      const took = { ms: ended - began, since: ended - this.#since };
      this.#since = ended;
      this.#packing -= 1;
      return took;
    };
  }
}

/** The codec that is used, the receiver's number for it, and whether it is worth it. */
interface Agreed {
  readonly codec: Codec;
  readonly number: number;
  readonly worth: Worth;
}

/** The bytes of a file that it carries, and those of the wire that it takes for them. */
export function loadOf(message: Message): { bytes: number; wire: number } {
  if (message.type === 'files') {
    const bytes = message.files.reduce((sum, file) => sum + file.bytes.length, 0);
    return { bytes, wire: bytes };
  }
  const wire = 'bytes' in message && message.type !== 'offer' ? message.bytes.length : 0;
  return { bytes: message.type === 'packed' ? message.size : wire, wire };
}

/** Fewer bytes than this are not worth it. */
const LEAST = 256;
