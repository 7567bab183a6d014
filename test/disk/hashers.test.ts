import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Hasher, Hashers, type Library } from '../../src/disk/hashers.ts';
import { concat, toHex } from '../../src/protocol/bytes.ts';
import { digestOf, sha256 } from '../support/memory.ts';
import { DIGESTS } from './support.ts';

/** A library that is not there for what it tells, but for how long it takes. */
function taking(turns: number): Library {
  return {
    Blake3Hasher: class {
      update(): void {}
      reset(): void {}
      digestBuffer(): Uint8Array {
        return new Uint8Array(32);
      }
    },
    blake3(bytes) {
      for (let i = 0; i < turns; i++) sha256(bytes);
      return new Uint8Array(32);
    },
  };
}

describe('what files can be told by', () => {
  test('is BLAKE3 first where that is faster, and SHA-256 everywhere', () => {
    expect(new Hashers(() => taking(0)).names).toEqual(['blake3', 'sha256']);
    expect(new Hashers(() => taking(20)).names).toEqual(['sha256']);
    expect(new Hashers().names).toContain('sha256');
  });

  test('is SHA-256 alone where there is no library', () => {
    const hashers = new Hashers(() => undefined);
    expect(hashers.names).toEqual(['sha256']);
    expect(toHex(hashers.of('sha256', new Uint8Array(0)))).toMatch(/^e3b0c442/);
    expect(() => hashers.begin('blake3')).toThrow('not here');
    expect(() => hashers.of('blake3', new Uint8Array(0))).toThrow('not here');
  });

  test('is SHA-256 alone where the library does not work', () => {
    const broken = (): never => {
      throw new Error('illegal instruction');
    };
    expect(new Hashers(() => ({ ...taking(0), blake3: broken })).names).toEqual(['sha256']);
  });

  test('is looked for once, and not before it is asked for', () => {
    let loaded = 0;
    const hashers = new Hashers(() => {
      loaded += 1;
      return undefined;
    });
    hashers.begin('sha256').update(new Uint8Array(1));
    expect(loaded).toBe(0);
    expect([hashers.names, hashers.names]).toEqual([['sha256'], ['sha256']]);
    expect(loaded).toBe(1);
  });
});

describe.skipIf(!DIGESTS.includes('blake3'))('BLAKE3', () => {
  // Of the specification's own, whose input is 0, 1, … 250, 0, 1, …
  test.each([
    [0, 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'],
    [1, '2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213'],
    [1023, '10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11'],
    [1024, '42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7'],
    [1025, 'd00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444'],
    [2049, '5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030'],
    [4097, '9b4052b38f1c5fc8b1f9ff7ac7b27cd242487b3d890d15c96a1c25b8aa0fb995'],
    [7169, 'a003fc7a51754a9b3c7fae0367ab3d782dccf28855a03d435f8cfe74605e7817'],
  ])('of %d bytes is what its specification says', (length, digest) => {
    const bytes = Uint8Array.from({ length }, (_, i) => i % 251);
    const hashers = new Hashers();
    expect(toHex(hashers.of('blake3', bytes))).toBe(digest);
    const hasher = hashers.begin('blake3');
    hasher.update(bytes);
    expect(toHex(hasher.digest())).toBe(digest);
  });

  test('tells nothing more once it has told its digest', () => {
    const hasher = new Hashers().begin('blake3');
    hasher.digest();
    expect(() => hasher.update(new Uint8Array(1))).toThrow();
    expect(() => hasher.soFar()).toThrow();
    expect(() => hasher.digest()).toThrow();
  });
});

test('digests are those that others tell, in whatever pieces the bytes come, of however many files at once', () => {
  /** What is done with one of several files: a piece of it comes, or somebody asks, or it ends. */
  const steps = fc.array(
    fc.record({
      file: fc.nat(3),
      step: fc.oneof(
        { weight: 4, arbitrary: fc.uint8Array({ maxLength: 3000, size: 'max' }) },
        { weight: 1, arbitrary: fc.constantFrom('so far' as const, 'end' as const) },
      ),
      memory: fc.boolean(),
    }),
    { maxLength: 60, size: 'max' },
  );
  let asked = 0;
  fc.assert(
    fc.property(fc.constantFrom(...DIGESTS), steps, (name, all) => {
      const hashers = new Hashers();
      const files = new Map<number, { hasher: Hasher; pieces: Uint8Array[] }>();
      for (const { file, step, memory } of all) {
        const { hasher, pieces } = files.get(file) ?? { hasher: hashers.begin(name), pieces: [] };
        files.set(file, { hasher, pieces });
        if (typeof step !== 'string') {
          // As a view of something larger, which is used again.
          const shared = Buffer.alloc(step.length + 7, 1);
          const view = memory ? shared.subarray(5, 5 + step.length) : new Uint8Array(step);
          view.set(step);
          hasher.update(view);
          shared.fill(2);
          pieces.push(step);
          continue;
        }
        const bytes = concat(...pieces);
        const digest = step === 'end' ? hasher.digest() : hasher.soFar();
        expect(toHex(digest)).toBe(toHex(digestOf(name, bytes)));
        expect(toHex(hashers.of(name, bytes))).toBe(toHex(digest));
        if (step === 'end') files.delete(file);
        asked += 1;
      }
    }),
  );
  expect(asked).toBeGreaterThan(100);
});
