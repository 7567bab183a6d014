import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { DropError } from '../../src/errors.ts';
import type { Summary, TransferEvent } from '../../src/events.ts';
import { Progress } from '../../src/handover/progress.ts';
import type { DataEntry } from '../../src/protocol/manifest.ts';
import { BOB } from '../cli/fake.ts';

test('the time that a transfer took begins when it was accepted, and only then', () => {
  let time = 0;
  const progress = new Progress(BOB, () => {}, { now: () => time });
  time = 60_000;
  progress.tell({ type: 'accepted', transfer: 't' });
  time = 61_000;
  // The other side was started anew.
  progress.tell({ type: 'accepted', transfer: 'u' });
  time = 62_500;
  expect(progress.end().ms).toBe(2_500);
});

describe('what is kept of files that are not whole', () => {
  const file = (path: string): DataEntry => ({ kind: 'file', path, size: 1000, mtime: 0 });
  const stored = (path: string) => ({
    entry: file(path),
    size: 1000,
    digest: new Uint8Array(32),
    algorithm: 'sha256' as const,
  });

  /** What a receiver sums up after this, when the sender has stopped it. */
  function summaryAfter(work: (progress: Progress) => void, keeps = true): Summary {
    const progress = new Progress(BOB, () => {}, { transfer: 't', keeps });
    work(progress);
    progress.fail(new DropError('cancelled'));
    return progress.end();
  }

  test('is summed up, whatever was there of it before', () => {
    const { files, kept } = summaryAfter(({ tell }) => {
      tell({ type: 'started', entry: file('a'), from: 0 });
      tell({ type: 'moved', bytes: 1000, wire: 1000 });
      tell({ type: 'stored', ...stored('a') });
      tell({ type: 'started', entry: file('b'), from: 200 });
      tell({ type: 'moved', bytes: 100, wire: 100 });
    });
    expect([files, kept]).toEqual([1, 300]);
  });

  test('is there after a lost connection, until the next one goes on with it', () => {
    const begin = (progress: Progress): void => {
      progress.tell({ type: 'started', entry: file('a'), from: 0 });
      progress.tell({ type: 'moved', bytes: 400, wire: 400 });
      progress.lost('disconnected');
    };
    expect(summaryAfter(begin).kept).toBe(400);
    const goesOn = summaryAfter((progress) => {
      begin(progress);
      progress.tell({ type: 'started', entry: file('a'), from: 300 });
    });
    expect(goesOn.kept).toBe(300);
    const ends = summaryAfter((progress) => {
      begin(progress);
      progress.tell({ type: 'started', entry: file('a'), from: 300 });
      progress.tell({ type: 'stored', ...stored('a') });
    });
    expect(ends).not.toHaveProperty('kept');
  });

  test('is nothing of what failed, and of what nobody else can go on with', () => {
    const summary = summaryAfter(({ tell }) => {
      tell({ type: 'started', entry: file('a'), from: 0 });
      tell({ type: 'moved', bytes: 400, wire: 400 });
      tell({ type: 'failed', path: 'a', code: 'changed' });
      tell({ type: 'started', entry: { kind: 'stream', path: 's' }, from: 0 });
      tell({ type: 'moved', bytes: 400, wire: 400 });
    });
    expect(summary).not.toHaveProperty('kept');
  });

  test('is not for the sender to say', () => {
    const sent = summaryAfter(({ tell }) => {
      tell({ type: 'started', entry: file('a'), from: 0 });
      tell({ type: 'moved', bytes: 400, wire: 400 });
    }, false);
    expect(sent).not.toHaveProperty('kept');
  });
});

describe('what stands still', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const file: DataEntry = { kind: 'file', path: 'a', size: 10_000, mtime: 0 };

  /** A transfer of which a thousand bytes moved every so many milliseconds, five times. */
  function moving(every: number): { rates: () => number[]; progress: Progress } {
    const events: TransferEvent[] = [];
    const progress = new Progress(BOB, (event) => events.push(event), { transfer: 't' });
    progress.tell({ type: 'started', entry: file, from: 0 });
    for (let n = 0; n < 5; n++) {
      vi.advanceTimersByTime(every);
      progress.tell({ type: 'moved', bytes: 1000, wire: 1000 });
    }
    const rates = (): number[] =>
      events.flatMap((event) => (event.event === 'progress' ? [event.rate] : []));
    return { rates, progress };
  }

  test('has no rate, and is told of once', () => {
    const { rates, progress } = moving(500);
    expect(rates().at(-1)).toBe(2000);
    const told = rates().length;
    vi.advanceTimersByTime(3_600_000);
    expect(rates().slice(told)).toEqual([0]);
    // What follows is a rate of its own, without the time in between.
    progress.tell({ type: 'moved', bytes: 1000, wire: 1000 });
    vi.advanceTimersByTime(500);
    progress.tell({ type: 'moved', bytes: 1000, wire: 1000 });
    expect(rates().at(-1)).toBe(2000);
  });

  test('is not what only moves slowly', () => {
    const { rates } = moving(4_000);
    // Only the first time nobody knows how long that takes.
    expect(rates()).toEqual([0, 250, 0, 0, 250, 250, 250]);
    vi.advanceTimersByTime(8_000);
    expect(rates().at(-1)).toBe(0);
  });

  test.each([
    ['is over', (progress: Progress) => void progress.end()],
    ['has lost its connection', (progress: Progress) => progress.lost('disconnected')],
  ])('is not told of where it %s', (_, end) => {
    const { rates, progress } = moving(500);
    end(progress);
    const told = rates().length;
    vi.advanceTimersByTime(3_600_000);
    expect(rates()).toHaveLength(told);
  });
});
