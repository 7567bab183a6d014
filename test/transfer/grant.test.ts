import { describe, expect, test } from 'vitest';
import type { Entry } from '../../src/protocol/manifest.ts';
import { EVERYTHING, Grant } from '../../src/transfer/grant.ts';

const GIB = 1024 ** 3;
const file = (path: string, size = 1): Entry => ({ kind: 'file', path, size, mtime: 0 });
const folder: Entry = { kind: 'folder', path: 'a', mtime: 0 };

/** How many of these entries a grant takes before it must be renewed. */
function taken(grant: Grant, entries: Iterable<Entry>): number {
  let count = 0;
  for (const entry of entries) {
    if (!grant.takes(entry)) break;
    count += 1;
  }
  return count;
}

function* files(count: number, size = 1): Generator<Entry> {
  for (let i = 0; i < count; i++) yield file(`f${i}`, size);
}

describe('a yes', () => {
  test('that nobody said covers nothing', () => {
    expect(taken(new Grant('posix'), [file('a')])).toBe(0);
    expect(taken(new Grant('posix'), [folder])).toBe(0);
  });

  test('covers what was shown, however large, many and dangerous it is', () => {
    const grant = new Grant('posix');
    grant.renew({ entries: 5_000, bytes: 5_000 * GIB });
    expect(taken(grant, [file('setup.exe', GIB), ...files(4_999, GIB)])).toBe(5_000);
  });

  test('to three files admits a thousand more, and not a terabyte', () => {
    const three = { entries: 3, bytes: 3 };
    const grant = new Grant('posix');
    grant.renew(three);
    expect(taken(grant, files(2_000))).toBe(1_003);
    const other = new Grant('posix');
    other.renew(three);
    expect(taken(other, [...files(3), file('big', GIB), file('more', 1)])).toBe(4);
  });

  test('that reaches exactly so far admits nothing more', () => {
    const grant = new Grant('posix');
    grant.renew({ entries: 1, bytes: 1 }, { exactly: true });
    expect(taken(grant, [file('a'), file('b'), folder])).toBe(1);
  });

  test('to three files admits no endless tree of folders and links either', () => {
    const grant = new Grant('posix');
    grant.renew({ entries: 3, bytes: 3 });
    expect(taken(grant, new Array<Entry>(5_000).fill(folder))).toBe(1_003);
  });

  test('ends at the first file that was not shown and runs when it is opened', () => {
    const grant = new Grant('posix');
    grant.renew({ entries: 1, bytes: 1 });
    expect(taken(grant, [file('a'), folder, file('b.txt'), file('c/Setup.EXE')])).toBe(3);
    // Asked again, now that it was shown.
    grant.renew({ entries: 1, bytes: 1 });
    expect(grant.takes(file('c/Setup.EXE'))).toBe(true);
  });

  test('ends at a stream that was not shown, which may be a terabyte', () => {
    const stream: Entry = { kind: 'stream', path: 'log' };
    const grant = new Grant('posix');
    grant.renew({ entries: 1, bytes: 0 });
    expect(taken(grant, [stream, file('a'), stream])).toBe(2);
  });

  test('reaches twice as far each time, so that large offers are not asked about for ever', () => {
    const grant = new Grant('posix');
    let seen = 0;
    let asked = 0;
    for (; seen < 1_000_000; asked++) {
      grant.renew({ entries: 1, bytes: 1 });
      seen += taken(grant, files(1_000_000 - seen));
    }
    expect(asked).toBeLessThan(15);
  });

  test('to everything covers everything', () => {
    const grant = new Grant('posix');
    grant.renew(EVERYTHING);
    expect(taken(grant, [file('setup.exe', 1e15), ...files(10_000, GIB)])).toBe(10_001);
  });
});
