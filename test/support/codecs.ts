import { builtInCodecs } from '../../src/handover/codecs.ts';
import type { Codec } from '../../src/transfer/codec.ts';

/** A codec that takes some turns for each block, another number for each, and another way back. */
function slow(codec: Codec): Codec {
  const later = async (bytes: Uint8Array): Promise<void> => {
    for (let turns = (bytes[0] ?? 0) % 5; turns > 0; turns--)
      await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    ...codec,
    async pack(bytes, quality) {
      await later(bytes);
      return codec.pack(bytes, quality);
    },
    async unpack(bytes, size) {
      await later(bytes.subarray(-1));
      return codec.unpack(bytes, size);
    },
  };
}

/** All of ours, at once and in their own time. */
export const CODECS: readonly Codec[] = builtInCodecs().flatMap((codec) => [codec, slow(codec)]);

/** One that takes its time. */
export const SLOW: Codec = slow(builtInCodecs().at(-1) as Codec);
