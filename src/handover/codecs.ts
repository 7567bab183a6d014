import { promisify } from 'node:util';
import * as zlib from 'node:zlib';
import type { Codec } from '../transfer/codec.ts';

/**
 * What this Node can pack and unpack, best first. There is nothing but what Node brings: another
 * codec would have to be built for each system, and the network gains little by it.
 */
export function builtInCodecs(): readonly Codec[] {
  const { constants } = zlib;
  // Nobody reaches further back than a chunk is long: 2 ** 18 bytes.
  const brotli = (bytes: Uint8Array, quality: number): zlib.BrotliOptions => ({
    params: {
      [constants.BROTLI_PARAM_QUALITY]: quality,
      [constants.BROTLI_PARAM_LGWIN]: 18,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  });
  const deflate = (_: Uint8Array, level: number): zlib.ZlibOptions => ({ level });
  return [
    ...zstd(),
    codec('brotli', [0, 1, 3, 5], brotli, {
      packAtOnce: zlib.brotliCompressSync,
      pack: promisify<Uint8Array, zlib.BrotliOptions, Buffer>(zlib.brotliCompress),
      unpackAtOnce: zlib.brotliDecompressSync,
      unpack: promisify<Uint8Array, zlib.BrotliOptions, Buffer>(zlib.brotliDecompress),
    }),
    codec('deflate', [1, 6], deflate, {
      packAtOnce: zlib.deflateRawSync,
      pack: promisify<Uint8Array, zlib.ZlibOptions, Buffer>(zlib.deflateRaw),
      unpackAtOnce: zlib.inflateRawSync,
      unpack: promisify<Uint8Array, zlib.ZlibOptions, Buffer>(zlib.inflateRaw),
    }),
  ];
}

/** Node has it since 22.15. */
function zstd(): Codec[] {
  const { constants, zstdCompressSync, zstdCompress, zstdDecompressSync, zstdDecompress } =
    zlib as object as Partial<Zstd>;
  if (!zstdCompressSync || !zstdCompress || !zstdDecompressSync || !zstdDecompress) return [];
  const level = constants?.ZSTD_c_compressionLevel ?? 100;
  const packing = (_: Uint8Array, quality: number): ZstdOptions => ({
    params: { [level]: quality },
  });
  return [
    codec('zstd', [1, 3, 6], packing, {
      packAtOnce: zstdCompressSync,
      pack: promisify(zstdCompress),
      unpackAtOnce: zstdDecompressSync,
      unpack: promisify(zstdDecompress),
    }),
  ];
}

/** The functions of one codec, as zlib has them. */
interface Functions<Options> {
  readonly packAtOnce: (bytes: Uint8Array, options: Options) => Buffer;
  readonly pack: (bytes: Uint8Array, options: Options) => Promise<Buffer>;
  readonly unpackAtOnce: (bytes: Uint8Array, options: Options) => Buffer;
  readonly unpack: (bytes: Uint8Array, options: Options) => Promise<Buffer>;
}

interface Room {
  readonly chunkSize?: number;
  readonly maxOutputLength?: number;
}

function codec<Options extends object>(
  name: string,
  qualities: readonly number[],
  packing: (bytes: Uint8Array, quality: number) => Options,
  { packAtOnce, pack, unpackAtOnce, unpack }: Functions<Options & Room>,
): Codec {
  return {
    name,
    qualities: qualities.length,
    pack(bytes, quality) {
      const level = qualities[quality] ?? (qualities[0] as number);
      // In one piece: each further one is another way to the other thread and back.
      const options = { ...packing(bytes, level), chunkSize: bytes.length + SPARE };
      return bytes.length <= AT_ONCE ? packAtOnce(bytes, options) : pack(bytes, options);
    },
    unpack(bytes, size) {
      const options = { chunkSize: size + SPARE, maxOutputLength: size } as Options & Room;
      return size <= AT_ONCE ? unpackAtOnce(bytes, options) : unpack(bytes, options);
    },
  };
}

/** Up to here it takes less time than to hand it to another thread, in bytes. */
const AT_ONCE = 16 * 1024;

/** What cannot be packed gets a bit longer; and zlib wants room for 64 bytes. */
const SPARE = 1024;

/** What the types of Node 20 do not know. */
interface Zstd {
  readonly constants: { readonly ZSTD_c_compressionLevel: number };
  readonly zstdCompressSync: (bytes: Uint8Array, options: ZstdOptions) => Buffer;
  readonly zstdDecompressSync: (bytes: Uint8Array, options: ZstdOptions) => Buffer;
  readonly zstdCompress: Later;
  readonly zstdDecompress: Later;
}

interface ZstdOptions extends Room {
  readonly params?: Readonly<Record<number, number>>;
}

type Later = (
  bytes: Uint8Array,
  options: ZstdOptions,
  done: (error: Error | null, result: Buffer) => void,
) => void;
