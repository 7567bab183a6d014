import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_KNOCK_STRINGS } from '../../src/limits.ts';
import { decodeKnock, encodeKnock, type Knock } from '../../src/protocol/knock.ts';

interface Vector {
  readonly comment: string;
  readonly knock: Knock | null;
  readonly strings: readonly string[];
}

const vectors: readonly Vector[] = JSON.parse(
  readFileSync(new URL('../vectors/knocks.json', import.meta.url), 'utf8'),
);

describe('the vectors', () => {
  test.each(vectors)('$comment', ({ knock, strings }) => {
    expect(decodeKnock(strings) ?? null).toEqual(knock);
  });
});

test('a knock that is said is heard as it was', () => {
  const knocks: fc.Arbitrary<Knock> = fc.record({
    to: fc.oneof(
      fc.stringMatching(/^[0-9a-f]{16}$/),
      fc.ipV4(),
      fc.constantFrom('fe80::1', '2001:db8:0:1::9'),
    ),
    intent: fc.constantFrom('look', 'send', 'get'),
    port: fc.integer({ min: 1, max: 65_535 }),
  });
  fc.assert(
    fc.property(knocks, (knock) => {
      const strings = encodeKnock(knock);
      expect(decodeKnock(strings)).toEqual(knock);
      expect(decodeKnock(strings.map((text) => Buffer.from(text)))).toEqual(knock);
    }),
  );
});

test('whatever a record says, it is a knock with all that it needs, or none', () => {
  const strings = fc.array(
    fc.oneof(
      fc.string(),
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
      fc.constantFrom('v=1', 'to=0123456789abcdef', 'for=send', 'port=23767', '__proto__=1', '='),
    ),
    { maxLength: 30 },
  );
  let knocks = 0;
  fc.assert(
    fc.property(strings, (said) => {
      const knock = decodeKnock(said);
      if (knock === undefined) return;
      knocks += 1;
      expect(knock).toEqual({
        to: '0123456789abcdef',
        intent: 'send',
        port: 23_767,
      });
    }),
    { numRuns: 5000 },
  );
  expect(knocks).toBeGreaterThan(0);
});

test('a knock of more strings than a later version will say is none', () => {
  const strings = encodeKnock({ to: '1234567890abcdef', intent: 'send', port: 23767 });
  const more = Array.from({ length: MAX_KNOCK_STRINGS - strings.length }, (_, n) => `x${n}=`);
  expect(decodeKnock([...strings, ...more])).toBeDefined();
  expect(decodeKnock([...strings, ...more, 'y='])).toBeUndefined();
});
