import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { builtInCodecs } from '../../src/handover/codecs.ts';
import { MAX_CHUNK } from '../../src/limits.ts';
import { type Codec, unpackChunk } from '../../src/transfer/codec.ts';

const codecs = builtInCodecs();

test('every Node has two of them, each of another name', () => {
  const names = codecs.map(({ name }) => name);
  expect(names.slice(-2)).toEqual(['brotli', 'deflate']);
  expect(new Set(names).size).toBe(names.length);
});

describe.each(codecs)('$name', (codec) => {
  const qualities = Array.from({ length: codec.qualities }, (_, quality) => quality);

  test('unpacks to what was packed, whatever that is', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 1, maxLength: 2_000, size: 'max' }),
        fc.nat(30),
        fc.constantFrom(...qualities),
        async (piece, times, quality) => {
          const bytes = Buffer.concat(Array.from({ length: times + 1 }, () => piece));
          const packed = await codec.pack(bytes, quality);
          expect(Buffer.from(await codec.unpack(packed, bytes.length)).equals(bytes)).toBe(true);
        },
      ),
      { numRuns: 200 },
    );
  });

  test.each(qualities)('takes whole chunks, of quality %i', async (quality) => {
    for (const bytes of [randomBytes(MAX_CHUNK), Buffer.alloc(MAX_CHUNK, 'a line of a log\n')]) {
      const packed = await codec.pack(bytes, quality);
      expect(Buffer.from(await codec.unpack(packed, MAX_CHUNK)).equals(bytes)).toBe(true);
    }
  });

  test('packs small what is much alike', async () => {
    const packed = await codec.pack(Buffer.alloc(MAX_CHUNK, 'a line of a log\n'), 0);
    expect(packed.length).toBeLessThan(MAX_CHUNK / 20);
  });

  test.each([1_000, MAX_CHUNK])(
    'makes no more of it than %i bytes, if it may not',
    async (size) => {
      const much = await codec.pack(Buffer.alloc(size + 1), 0);
      await expect((async () => codec.unpack(much, size))()).rejects.toThrow();
    },
  );
});

describe('a chunk', () => {
  const deflate = codecs.at(-1) as Codec;
  const chunk = async (text: string, size: number, codec = 0) => {
    const bytes = await deflate.pack(Buffer.from(text), 0);
    return { type: 'packed', entry: 0, offset: 0, size, codec, bytes } as const;
  };

  test('is what it says', async () => {
    const unpacked = await unpackChunk([deflate], await chunk('data', 4));
    expect(Buffer.from(unpacked).toString()).toBe('data');
  });

  test.each([
    ['holds more than it says', 'data', 3, 0],
    ['holds less than it says', 'data', 5, 0],
    ['holds nothing', '', 1, 0],
    ['is of no codec', 'data', 4, 1],
  ])('that %s is a breach', async (_, text, size, codec) => {
    const packed = await chunk(text, size, codec);
    await expect(unpackChunk([deflate], packed)).rejects.toMatchObject({ code: 'protocol' });
  });

  test('that makes no sense is a breach', async () => {
    const packed = { ...(await chunk('data', 4)), bytes: Buffer.from('no sense') };
    await expect(unpackChunk([deflate], packed)).rejects.toMatchObject({ code: 'protocol' });
  });
});
