import posix from 'node:path/posix';
import win32 from 'node:path/win32';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_NAME } from '../../src/limits.ts';
import {
  hasData,
  isName,
  isPath,
  nameOf,
  parentOf,
  rootOf,
  sizeOf,
  staysInside,
} from '../../src/protocol/manifest.ts';
import { safeName } from '../../src/protocol/names.ts';
import { anyEntry, anyPath } from '../support/messages.ts';

test('an offered path, its names made safe, stays inside on POSIX and on Windows', () => {
  fc.assert(
    fc.property(
      anyPath,
      fc.constantFrom('posix' as const, 'windows' as const),
      (path, platform) => {
        const names = path.split('/').map((name, i) => safeName(name, { platform, top: i === 0 }));
        const system = platform === 'posix' ? posix : win32;
        const inbox = platform === 'posix' ? '/home/ana/inbox' : 'C:\\Users\\ana\\inbox';
        const landed = system.resolve(inbox, ...names);
        expect(landed.startsWith(inbox + system.sep)).toBe(true);
        expect(system.relative(inbox, landed).split(system.sep)).toHaveLength(names.length);
      },
    ),
    { numRuns: 500 },
  );
});

test('a link that stays inside, does so wherever it lies', () => {
  fc.assert(
    fc.property(
      anyPath,
      fc.array(fc.constantFrom('..', '.', 'a', 'b/c', ''), { minLength: 1, maxLength: 6 }),
      (path, parts) => {
        const target = parts.join('/');
        const lands = posix.resolve('/root', parentOf(path), target);
        const root = posix.join('/root', rootOf(path));
        if (staysInside(path, target))
          expect(lands === root || lands.startsWith(`${root}/`)).toBe(true);
      },
    ),
  );
});

describe('links', () => {
  test.each([
    ['a/b', 'c', true],
    ['a/b', '.', true],
    ['a/b/c', '..', true],
    ['a/b/c', '../d', true],
    ['a/b', '../a/c', false],
    ['a/b', '..', false],
    ['a', 'b', false],
    ['a/b', '/a/c', false],
    ['a/b', 'c/../d', false],
    ['a/b', '', false],
  ])('at %s to %s: %s', (path, target, inside) => {
    expect(staysInside(path, target)).toBe(inside);
  });
});

test('a path is its parent and its name', () => {
  fc.assert(
    fc.property(anyPath, (path) => {
      expect([parentOf(path), nameOf(path)].filter(Boolean).join('/')).toBe(path);
      expect(path.split('/')[0]).toBe(rootOf(path));
    }),
  );
});

test('only what has bytes to send can have a size, and a stream says none', () => {
  fc.assert(
    fc.property(anyEntry, (entry) => {
      expect(hasData(entry)).toBe(entry.kind === 'file' || entry.kind === 'stream');
      expect(sizeOf(entry)).toBe('size' in entry ? entry.size : 0);
      if (sizeOf(entry) > 0) expect(entry.kind).toBe('file');
    }),
  );
});

test.each(['', '/', 'a/', '/a', 'a//b', '.', '..', 'a/.', 'a/../b', 'a\0', '\ud800'])(
  '%j is no path',
  (path) => {
    expect(isPath(path)).toBe(false);
  },
);

test('what is longer than any system takes is neither a name nor a path', () => {
  const name = 'é'.repeat(MAX_NAME / 2);
  expect(isName(name)).toBe(true);
  expect(isName(`${name}x`)).toBe(false);
  const path = `${name.slice(0, -1)}x/`.repeat(4).slice(0, -1);
  expect(isPath(path)).toBe(true);
  expect(isPath(`${path}/x`)).toBe(false);
});
