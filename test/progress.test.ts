import { describe, expect, test } from 'vitest';
import { DropError } from '../src/errors.ts';
import type { Summary } from '../src/events.ts';
import { Progress } from '../src/progress.ts';
import type { DataEntry } from '../src/protocol/manifest.ts';
import { BOB } from './cli/fake.ts';

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
