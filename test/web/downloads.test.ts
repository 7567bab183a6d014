import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { DownloadedEvent } from '../../src/events.ts';
import {
  MAX_DOWNLOAD_PARTS,
  MAX_DOWNLOADS,
  MAX_DOWNLOADS_EACH,
  MAX_DOWNLOADS_TOLD,
} from '../../src/limits.ts';
import { Downloads } from '../../src/web/guests/downloads.ts';

const PAUSE = 30_000;

function watched() {
  const told: string[] = [];
  const downloads = new Downloads(({ from, path, bytes, whole }: DownloadedEvent) => {
    told.push(`${from} ${path} ${bytes}${whole ? '' : '…'}`);
  }, PAUSE);
  return { downloads, told };
}

const photo = { from: 'ana', path: 'photo', version: '1', size: 100 };

/** A part that is asked for and comes. */
function take(downloads: Downloads, from: number, to: number, wanted = photo): void {
  downloads.begin(wanted);
  downloads.end(wanted, { from, to });
}

describe('places', () => {
  test('are so many for each source, and so many for all', () => {
    const { downloads } = watched();
    const left = Array.from({ length: MAX_DOWNLOADS_EACH }, () => downloads.enter('ana'));
    expect(left.every(Boolean)).toBe(true);
    expect(downloads.enter('ana')).toBeUndefined();
    expect(downloads.enter('bob')).toBeDefined();
    left[0]?.();
    left[0]?.(); // Given back once, however often it is said.
    expect(downloads.enter('ana')).toBeDefined();
    expect(downloads.enter('ana')).toBeUndefined();
    let others = MAX_DOWNLOADS_EACH + 1;
    while (downloads.enter(`source ${others}`)) others += 1;
    expect(others).toBe(MAX_DOWNLOADS);
  });
});

describe('a download', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test('is told of once, when all of it is there', () => {
    const { downloads, told } = watched();
    take(downloads, 0, 100);
    take(downloads, 0, 100);
    vi.advanceTimersByTime(PAUSE);
    expect(told).toEqual(['ana photo 100']);
  });

  test('in any parts is one', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 99 }), { maxLength: 60 }), (cuts) => {
        const places = [0, ...cuts.sort((a, b) => a - b), 100];
        const parts = places.slice(1).map((to, n) => [places[n] ?? 0, to] as const);
        const { downloads, told } = watched();
        // The last ones first, and each a little more than once.
        for (const [from, to] of parts.reverse())
          take(downloads, from, Math.min(100, to + (from % 3)));
        expect(told).toEqual(['ana photo 100']);
      }),
    );
  });

  test('with a gap is not whole', () => {
    const { downloads, told } = watched();
    take(downloads, 0, 50);
    take(downloads, 51, 100);
    vi.advanceTimersByTime(PAUSE - 1);
    expect(told).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(told).toEqual(['ana photo 99…']);
    take(downloads, 50, 51);
    expect(told).toEqual(['ana photo 99…', 'ana photo 100']);
  });

  test('that goes on within a while has not broken off', () => {
    const { downloads, told } = watched();
    take(downloads, 0, 50);
    vi.advanceTimersByTime(PAUSE - 1);
    downloads.begin(photo);
    vi.advanceTimersByTime(PAUSE);
    expect(told).toEqual([]);
    downloads.end(photo, { from: 50, to: 60 });
    vi.advanceTimersByTime(PAUSE);
    // What brings nothing new is nothing new.
    take(downloads, 10, 20);
    vi.advanceTimersByTime(PAUSE);
    expect(told).toEqual(['ana photo 60…']);
  });

  test('of which another part is still on its way has not broken off', () => {
    const { downloads, told } = watched();
    downloads.begin(photo);
    take(downloads, 0, 50);
    vi.advanceTimersByTime(PAUSE);
    expect(told).toEqual([]);
    downloads.end(photo, { from: 50, to: 60 });
    vi.advanceTimersByTime(PAUSE);
    expect(told).toEqual(['ana photo 60…']);
  });

  test('in more parts than are remembered is never taken for whole', () => {
    const { downloads, told } = watched();
    const large = { ...photo, size: 10_000 };
    for (let n = 0; n < MAX_DOWNLOAD_PARTS + 5; n++) take(downloads, 2 * n, 2 * n + 1, large);
    vi.advanceTimersByTime(PAUSE);
    expect(told).toEqual([`ana photo ${MAX_DOWNLOAD_PARTS}…`]);
    // What touches one that is remembered is none more.
    take(downloads, 0, 2, large);
    vi.advanceTimersByTime(PAUSE);
    expect(told.at(-1)).toBe(`ana photo ${MAX_DOWNLOAD_PARTS + 1}…`);
  });

  test('is another one of another source, of another path, and once the file has changed', async () => {
    const { downloads, told } = watched();
    for (const one of [{ from: 'bob' }, { path: 'other' }, { version: '2' }, { size: 101 }])
      take(downloads, 0, 50, { ...photo, ...one });
    take(downloads, 50, 100);
    expect(told).toEqual([]);
    await downloads.close();
    expect(told).toHaveLength(5);
  });

  test('that is under way at the end is waited for, and told of', async () => {
    const { downloads, told } = watched();
    downloads.begin(photo);
    const closing = downloads.close();
    downloads.end(photo, { from: 0, to: 50 });
    await closing;
    expect(told).toEqual(['ana photo 50…']);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('that only begins after the end leaves nothing behind', async () => {
    const { downloads, told } = watched();
    await downloads.close();
    take(downloads, 0, 50);
    expect(vi.getTimerCount()).toBe(0);
    expect(told).toEqual([]);
  });

  test('of an empty file is whole', () => {
    const { downloads, told } = watched();
    take(downloads, 0, 0, { ...photo, size: 0 });
    expect(told).toEqual(['ana photo 0']);
  });

  test('of which nothing came is not told of', async () => {
    const { downloads, told } = watched();
    take(downloads, 0, 0);
    vi.advanceTimersByTime(PAUSE);
    await downloads.close();
    expect(told).toEqual([]);
  });

  test('that is on its way is not forgotten, however many others there are', () => {
    const { downloads, told } = watched();
    take(downloads, 0, 50);
    downloads.begin(photo);
    for (let n = 0; n < MAX_DOWNLOADS_TOLD; n++)
      take(downloads, 0, 100, { ...photo, path: String(n) });
    told.length = 0;
    downloads.end(photo, { from: 50, to: 100 });
    expect(told).toEqual(['ana photo 100']);
  });

  test('is forgotten when there were too many others, and leaves no timer', async () => {
    const { downloads, told } = watched();
    take(downloads, 0, 50);
    for (let n = 0; n < MAX_DOWNLOADS_TOLD; n++)
      take(downloads, 0, 100, { ...photo, path: String(n) });
    told.length = 0;
    take(downloads, 50, 100);
    vi.advanceTimersByTime(PAUSE);
    expect(told).toEqual(['ana photo 50…']);
    await downloads.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});
