import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DropError } from '../../src/errors.ts';
import { MAX_DEVICE_NAME } from '../../src/limits.ts';
import { type Card, decodeCard, encodeCard, MAX_CARD } from '../../src/protocol/card.ts';
import { anyCard } from '../support/messages.ts';

const ana: Card = { part: 'announcer', way: 'send', run: '0123456789abcdef', name: 'Ana’s laptop' };

test('a card that is written is read as it was, and never before it is there', () => {
  fc.assert(
    fc.property(anyCard, (card) => {
      const bytes = encodeCard(card);
      expect(bytes.length).toBeLessThanOrEqual(MAX_CARD);
      expect(decodeCard(bytes)).toEqual(card);
      for (let length = 0; length < bytes.length; length++)
        expect(decodeCard(bytes.subarray(0, length))).toBeUndefined();
    }),
  );
});

test('whatever comes is a card, the start of one, or a breach of the protocol', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2 * MAX_CARD }), (bytes) => {
      try {
        const card = decodeCard(bytes);
        if (card === undefined) expect(bytes.length).toBeLessThan(MAX_CARD);
        else expect(card.name).not.toMatch(/\p{Cc}/u);
      } catch (error) {
        expect(error).toMatchObject({ code: 'protocol' });
      }
    }),
  );
});

test.each([
  ['a part that nobody plays', (bytes: Uint8Array) => bytes.with(0, 4)],
  ['a name that is too long', (bytes: Uint8Array) => bytes.with(9, 64)],
  ['more than a card', (bytes: Uint8Array) => Uint8Array.of(...bytes, 0)],
])('%s is a breach of the protocol', (_, change) => {
  expect(() => decodeCard(change(encodeCard(ana)))).toThrow(/does not say who/);
});

test('a name is made fit to be shown', () => {
  const bytes = encodeCard({ ...ana, name: 'A\u001b[31m\u202ena' });
  expect(decodeCard(bytes)?.name).toBe('A[31mna');
});

test('a card whose name is too long is none, before it is there', () => {
  const head = (length: number): Uint8Array => new Uint8Array(10).fill(length, 9);
  expect(decodeCard(head(MAX_DEVICE_NAME))).toBeUndefined();
  expect(() => decodeCard(head(MAX_DEVICE_NAME + 1))).toThrow(DropError);
});
