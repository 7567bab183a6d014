import fc from 'fast-check';
import { concat } from '../../../src/protocol/bytes.ts';

/** Something is done to bytes at some place. */
export type Change =
  | { readonly what: 'flip'; readonly at: number; readonly bit: number }
  | { readonly what: 'set'; readonly at: number; readonly byte: number }
  | { readonly what: 'cut'; readonly at: number }
  | { readonly what: 'drop'; readonly at: number; readonly length: number }
  | {
      readonly what: 'repeat';
      readonly at: number;
      readonly length: number;
      readonly times: number;
    }
  | { readonly what: 'insert'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly what: 'splice'; readonly at: number; readonly from: number }
  | { readonly what: 'number'; readonly at: number; readonly size: 1 | 2 | 4; readonly to: number };

const at = fc.nat(0xffff);
const length = fc.integer({ min: 1, max: 64 });
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ what: fc.constant('flip' as const), at, bit: fc.nat(7) }),
  fc.record({ what: fc.constant('set' as const), at, byte: fc.nat(255) }),
  fc.record({ what: fc.constant('cut' as const), at }),
  fc.record({ what: fc.constant('drop' as const), at, length }),
  fc.record({
    what: fc.constant('repeat' as const),
    at,
    length,
    times: fc.integer({ min: 1, max: 40 }),
  }),
  fc.record({ what: fc.constant('insert' as const), at, bytes: fc.uint8Array({ maxLength: 40 }) }),
  fc.record({ what: fc.constant('splice' as const), at, from: at }),
  fc.record({
    what: fc.constant('number' as const),
    at,
    size: fc.constantFrom(1 as const, 2 as const, 4 as const),
    to: fc.oneof(
      fc.constantFrom(0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff),
      fc.nat(0x1_0000),
    ),
  }),
);

export const changes = fc.array(change, { maxLength: 3 });

/** What is valid, with up to three changes; sometimes bytes that never were. */
export function mutated(valid: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  return fc.oneof(
    {
      weight: 12,
      arbitrary: fc
        .tuple(valid, valid, changes)
        .map(([bytes, other, changes]) =>
          changes.reduce((all, one) => changed(all, one, other), bytes),
        ),
    },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  );
}

/** The bytes with one change; `other` are such as could stand in their place. */
export function changed(bytes: Uint8Array, change: Change, other: Uint8Array): Uint8Array {
  const place = change.at % (bytes.length + 1);
  const [start, rest] = [bytes.subarray(0, place), bytes.subarray(place)];
  switch (change.what) {
    case 'flip':
      return rest.length === 0
        ? bytes
        : concat(start, Uint8Array.of((rest[0] ?? 0) ^ (1 << change.bit)), rest.subarray(1));
    case 'set':
      return concat(start, Uint8Array.of(change.byte), rest.subarray(1));
    case 'cut':
      return start;
    case 'drop':
      return concat(start, rest.subarray(change.length));
    case 'repeat': {
      const piece = rest.subarray(0, change.length);
      return concat(start, ...Array.from({ length: change.times }, () => piece), rest);
    }
    case 'insert':
      return concat(start, change.bytes, rest);
    case 'splice':
      return concat(start, other.subarray(change.from % (other.length + 1)));
    case 'number': {
      const number = new Uint8Array(4);
      new DataView(number.buffer).setUint32(0, change.to);
      return concat(start, number.subarray(4 - change.size), rest.subarray(change.size));
    }
  }
}
