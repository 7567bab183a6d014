import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_BATCH, MAX_CONTROL, MAX_NAME } from '../../src/limits.ts';
import { utf8 } from '../../src/protocol/bytes.ts';
import type { Entry } from '../../src/protocol/manifest.ts';
import { encode } from '../../src/protocol/message.ts';
import { batchOf, Delivery } from '../../src/transfer/delivery.ts';
import { MemoryOutbox } from '../support/memory.ts';

/** Names that take as much as a name may, once JSON has escaped them, and ordinary ones. */
const name = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 80 }),
  fc.stringMatching(/^[ -~]{1,200}$/),
  fc.constantFrom('\u0001'.repeat(MAX_NAME), '"'.repeat(MAX_NAME), '語'.repeat(341), 'x'),
);
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('/'));
const mtime = fc.constantFrom(0, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER);
const entry: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({
    kind: fc.constant('file' as const),
    path,
    size: fc.constantFrom(0, Number.MAX_SAFE_INTEGER),
    mtime,
    mode: fc.constantFrom(undefined, 0o777),
  }),
  fc.record({ kind: fc.constant('folder' as const), path, mtime }),
  fc.record({ kind: fc.constant('link' as const), path, target: path }),
);

test('what is offered together fits into a frame, and is as much as that', () => {
  const most = { files: Number.MAX_SAFE_INTEGER, bytes: Number.MAX_SAFE_INTEGER, final: false };
  const bodyOf = (entries: readonly Entry[]): number =>
    encode({ type: 'offer', entries: [...entries], ...most })
      .slice(1)
      .reduce((sum, part) => sum + part.length, 0);
  fc.assert(
    fc.property(fc.array(entry, { minLength: 1, maxLength: 400, size: 'max' }), (all) => {
      const count = batchOf(all);
      expect(count).toBeGreaterThan(0);
      expect(count).toBeLessThanOrEqual(MAX_BATCH);
      expect(bodyOf(all.slice(0, count))).toBeLessThanOrEqual(MAX_CONTROL);
      // Of what JSON leaves as it is, a batch is no less than its bytes allow.
      const plain = all.every(
        ({ kind, path: its }) => kind !== 'link' && /^[ !#-[\]-~]*$/.test(its),
      );
      const whole = utf8(JSON.stringify(all.slice(0, MAX_BATCH))).length + 96 * MAX_BATCH;
      if (plain && whole < MAX_CONTROL - 256) expect(count).toBe(Math.min(all.length, MAX_BATCH));
    }),
  );
});

test('a walk that begins anew leaves the one before', async () => {
  const files = Array.from({ length: MAX_BATCH + 1 }, (_, i) => [`a/${i}`, new Uint8Array(0)]);
  const outbox = new MemoryOutbox(Object.fromEntries([['a/', null], ...files]));
  let left = 0;
  const entries = outbox.entries.bind(outbox);
  outbox.entries = async function* () {
    try {
      yield* entries();
    } finally {
      left += 1;
    }
  };
  const delivery = new Delivery(outbox);
  await delivery.look(() => {});
  expect(left).toBe(0);
  delivery.restart();
  await delivery.look(() => {});
  expect(left).toBe(1);
  expect(delivery.files).toBe(MAX_BATCH - 1);
});
