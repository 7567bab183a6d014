import { afterEach, expect, test, vi } from 'vitest';
import { Control, type PeerId, type TransferEvent } from '../../src/index.ts';
import { Transfers } from '../../src/web/window/transfers.ts';

afterEach(() => void vi.useRealTimers());

test('what does not move any more has no rate, until it moves again', () => {
  vi.useFakeTimers();
  let changes = 0;
  const transfers = new Transfers(new AbortController().signal, () => {
    changes += 1;
  });
  const of = { transfer: 'a'.repeat(32), peer: { name: 'Bob', id: 'b'.repeat(64) as PeerId } };
  const device = { name: 'Bob', id: 'bbbbbbbb' };
  const progress = (bytes: number): TransferEvent => ({
    ...{ ...of, event: 'progress', file: 'a', bytes, total: 100, files: 0, ofFiles: 1, rate: 10 },
  });
  transfers.asked(of.transfer, { direction: 'in', device, what: ['a'] }, new Control());
  transfers.hear({ ...of, event: 'accepted' });
  transfers.hear(progress(10));
  vi.advanceTimersByTime(2_000);
  transfers.hear(progress(20));
  vi.advanceTimersByTime(2_000);
  expect(transfers.all[0]).toMatchObject({ bytes: 20, rate: 10, left: 8_000 });
  const before = changes;
  vi.advanceTimersByTime(1_000);
  expect(transfers.all[0]).toMatchObject({ state: 'running', bytes: 20, rate: 0, left: null });
  expect(changes).toBe(before + 1);
  transfers.hear(progress(30));
  expect(transfers.all[0]).toMatchObject({ bytes: 30, rate: 10, left: 7_000 });
});
