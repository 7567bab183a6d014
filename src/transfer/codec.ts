import { DropError } from '../errors.ts';
import type { MessageOf } from '../protocol/message.ts';

/** One way to pack bytes and to unpack them. */
export interface Codec {
  /** As it is agreed on: PROTOCOL.md lists them. */
  readonly name: string;
  /** How many qualities it has. A higher one is slower, and packs smaller. */
  readonly qualities: number;
  /** The bytes must stay as they are until it is done. Little is packed at once. */
  pack(bytes: Uint8Array, quality: number): Promise<Uint8Array> | Uint8Array;
  /** Makes no more than `size` bytes of it. Throws if it would be more, or makes no sense. */
  unpack(bytes: Uint8Array, size: number): Promise<Uint8Array> | Uint8Array;
}

/** What a chunk holds. Throws `protocol` if that is not exactly what it says. */
export async function unpackChunk(
  codecs: readonly Codec[],
  { codec, bytes, size }: MessageOf<'packed'>,
): Promise<Uint8Array> {
  let cause: unknown;
  try {
    const unpacked = await codecs[codec]?.unpack(bytes, size);
    if (unpacked?.length === size) return unpacked;
  } catch (error) {
    cause = error;
  }
  throw new DropError('protocol', { message: 'A packed chunk is not what it says.', cause });
}
