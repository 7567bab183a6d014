import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lastModified, rangeOf, unmetBy } from '../../src/web/guests/ranges.ts';

const HOUR = 3_600_000;
const validators = { etag: '"a.b"', mtime: Date.now() - HOUR };

describe('the part that is asked for', () => {
  test.each([
    ['bytes=0-', { from: 0, to: 10 }],
    ['bytes=0-0', { from: 0, to: 1 }],
    ['bytes=3-6', { from: 3, to: 7 }],
    ['bytes=9-', { from: 9, to: 10 }],
    ['bytes=3-99', { from: 3, to: 10 }],
    ['bytes=-1', { from: 9, to: 10 }],
    ['bytes=-10', { from: 0, to: 10 }],
    ['bytes=-99', { from: 0, to: 10 }],
    ['bytes= 3 - 6 ', { from: 3, to: 7 }],
    ['bytes=10-', 'none'],
    ['bytes=99-100', 'none'],
    ['bytes=-0', 'none'],
    [`bytes=${'9'.repeat(400)}-`, 'none'],
    [undefined, 'whole'],
    ['', 'whole'],
    ['bytes=', 'whole'],
    ['bytes=-', 'whole'],
    ['bytes=6-3', 'whole'],
    ['bytes=a-b', 'whole'],
    ['bytes=1', 'whole'],
    ['bytes=+1-2', 'whole'],
    ['bytes=0x1-2', 'whole'],
    ['items=0-1', 'whole'],
    ['bytes=0-1,3-4', 'whole'],
  ])('%j of ten bytes is %j', (range, part) => {
    expect(rangeOf(range === undefined ? {} : { range }, 10, validators)).toEqual(part);
  });

  test('of nothing is none', () => {
    expect(rangeOf({ range: 'bytes=0-' }, 0, validators)).toBe('none');
    expect(rangeOf({}, 0, validators)).toBe('whole');
  });

  test('never leaves the file, whatever is asked for', () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(), fc.nat(), fc.nat(1000), (odd, a, b, size) => {
        for (const range of [odd, `bytes=${odd}`, `bytes=${a}-${b}`, `bytes=-${b}`]) {
          const part = rangeOf({ range }, size, validators);
          if (typeof part === 'string') continue;
          expect(part.from).toBeGreaterThanOrEqual(0);
          expect(part.to).toBeLessThanOrEqual(size);
          expect(part.from).toBeLessThan(part.to);
        }
      }),
    );
  });
});

describe('the start that somebody has', () => {
  const range = 'bytes=3-';
  const { etag } = validators;
  const time = lastModified(validators) ?? '';

  test.each([
    ['its own tag', etag, { from: 3, to: 10 }],
    ['another tag', '"a.c"', 'whole'],
    ['a weak one', `W/${etag}`, 'whole'],
    ['its own time', time, { from: 3, to: 10 }],
    ['another time', new Date(0).toUTCString(), 'whole'],
    ['nonsense', 'yes', 'whole'],
  ])('is gone on with if it has %s', (_, given, part) => {
    expect(rangeOf({ range, 'if-range': given }, 10, validators)).toEqual(part);
  });

  test('is not told by the time if that was just now: another could have the same second', () => {
    const fresh = { etag, mtime: Date.now() - 1000 };
    const given = lastModified(fresh) ?? '';
    expect(given).not.toBe('');
    expect(rangeOf({ range, 'if-range': given }, 10, fresh)).toBe('whole');
    expect(rangeOf({ range, 'if-range': given }, 10, { etag })).toBe('whole');
  });
});

describe('what is asked for on a condition', () => {
  const { etag } = validators;
  const before = new Date(validators.mtime - HOUR).toUTCString();
  const then = lastModified(validators) ?? '';
  const later = new Date(validators.mtime + 1000).toUTCString();

  test.each([
    ['nothing', {}, undefined],
    ['its own tag', { 'if-match': etag }, undefined],
    ['its own tag among others', { 'if-match': `"a", ${etag} ,"b"` }, undefined],
    ['any tag', { 'if-match': '*' }, undefined],
    ['another tag', { 'if-match': '"a.c"' }, 412],
    ['a weak tag', { 'if-match': `W/${etag}` }, 412],
    ['no later time', { 'if-unmodified-since': then }, undefined],
    ['no later time, a while after', { 'if-unmodified-since': later }, undefined],
    ['no later time, before it was written', { 'if-unmodified-since': before }, 412],
    ['no time at all', { 'if-unmodified-since': 'x', 'if-modified-since': 'x' }, undefined],
    // Where there is a tag, the time says nothing.
    [
      'its own tag and an early time',
      { 'if-match': etag, 'if-unmodified-since': before },
      undefined,
    ],
    ['not another tag', { 'if-none-match': '"a.c"' }, undefined],
    ['not its own tag', { 'if-none-match': `"a.c", ${etag}` }, 304],
    ['not its own tag, a weak one', { 'if-none-match': `W/${etag}` }, 304],
    ['not any tag', { 'if-none-match': '*' }, 304],
    ['a later time', { 'if-modified-since': before }, undefined],
    ['a later time than its own', { 'if-modified-since': then }, 304],
    [
      'not another tag and a later time',
      { 'if-none-match': '"a.c"', 'if-modified-since': then },
      undefined,
    ],
    ['its own tag, and not', { 'if-match': '"a.c"', 'if-none-match': etag }, 412],
  ])('that is %s', (_, headers, status) => {
    expect(unmetBy(headers, validators)).toBe(status);
  });

  test('of a time is not told by that if it was just now, or is not known', () => {
    const fresh = { etag, mtime: Date.now() - 1000 };
    expect(unmetBy({ 'if-modified-since': lastModified(fresh) }, fresh)).toBeUndefined();
    const headers = { 'if-modified-since': then, 'if-unmodified-since': before };
    expect(unmetBy(headers, { etag })).toBeUndefined();
  });
});

test.each([
  [0, 'Thu, 01 Jan 1970 00:00:00 GMT'],
  [1_700_000_000_999, 'Tue, 14 Nov 2023 22:13:20 GMT'],
  [-1, undefined],
  [9e15, undefined],
  [undefined, undefined],
])('a file of %s was changed at %s', (mtime, said) => {
  expect(lastModified({ etag: '""', mtime })).toBe(said);
});
