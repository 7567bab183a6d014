import fc from 'fast-check';
import stringWidth from 'string-width';
import { describe, expect, test } from 'vitest';
import {
  fold,
  formatTable,
  jsonLine,
  parseRate,
  parseSize,
  percentOf,
  progressLine,
  shellWord,
} from '../../src/cli/format.ts';
import {
  formatBytes,
  formatClock,
  formatCode,
  formatDuration,
  formatMinute,
  formatNames,
  parseCode,
  tildePath,
} from '../../src/figures.ts';

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [999_949, '999.9 kB'],
  [999_950, '1.0 MB'],
  [2_100_000, '2.1 MB'],
  [999_949_999, '999.9 MB'],
  [3.2e12, '3.2 TB'],
  [9.9e17, '990.0 PB'],
])('%d bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  [['Ana'], 'Ana'],
  [['Ana', 'Bob'], 'Ana and Bob'],
  [['Ana', 'Bob', 'Eve'], 'Ana, Bob and Eve'],
  [['Ana', 'Bob', 'Eve', 'Zoe'], 'Ana, Bob and 2 more'],
  [[], ''],
])('the names %j are %s', (names, text) => {
  expect(formatNames(names)).toBe(text);
});

test.each([
  [0, '0.0 s'],
  [949, '0.9 s'],
  [9_949, '9.9 s'],
  [9_950, '10 s'],
  [59_499, '59 s'],
  [59_500, '1 min 0 s'],
  [200_000, '3 min 20 s'],
  [3_900_000, '1 h 5 min'],
])('%d ms are %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
});

test('a time is that of the clock on the wall, to the minute', () => {
  expect(formatMinute(new Date(2026, 0, 2, 3, 4, 59))).toBe('2026-01-02 03:04');
});

test.each([
  [0, '0:00'],
  [4.2, '0:05'],
  [754, '12:34'],
  [3723, '1:02:03'],
  [Number.POSITIVE_INFINITY, '-:--'],
  [Number.NaN, '-:--'],
])('%d seconds left are %s', (seconds, text) => {
  expect(formatClock(seconds)).toBe(text);
});

test.each([
  ['493027', '493027'],
  [' 493 027 ', '493027'],
  ['493-027', '493027'],
  ['000000', '000000'],
  ['49302', null],
  ['4930277', null],
  ['49302x', null],
  ['', null],
])('%j typed as a code is %j', (typed, code) => {
  expect(parseCode(typed)).toBe(code);
});

test('a code that is typed as it is shown is that code', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 999_999 }), (n) => {
      const code = String(n).padStart(6, '0');
      expect(parseCode(formatCode(code))).toBe(code);
    }),
  );
});

test.each([
  ['/home/ana', '~'],
  ['/home/ana/Downloads', '~/Downloads'],
  ['/home/anabel/Downloads', '/home/anabel/Downloads'],
  ['/srv/ana', '/srv/ana'],
])('%s is shown as %s', (path, shown) => {
  expect(tildePath(path, '/home/ana')).toBe(shown);
});

describe('a progress line', () => {
  const progress = fc
    .record({
      total: fc.option(fc.integer({ min: 0, max: 1e15 })),
      part: fc.double({ min: 0, max: 1, noNaN: true }),
      rate: fc.integer({ min: 0, max: 1e12 }),
    })
    .map(({ total, part, rate }) => ({ total, rate, bytes: Math.floor((total ?? 1e9) * part) }));

  test('is never wider than it may be', () => {
    fc.assert(
      fc.property(progress, fc.integer({ min: 5, max: 120 }), (one, width) => {
        expect(progressLine(one, width).length).toBeLessThanOrEqual(width);
      }),
    );
  });

  test('does not jump: it keeps its width while the numbers grow', () => {
    const total = 29_100_000;
    const widths = [0, 1, 999, 1000, 999_999, 10_000_000, total].map(
      (bytes) => progressLine({ bytes, total, rate: bytes }, 100).length,
    );
    expect(new Set(widths).size).toBe(1);
  });

  test('shows the bar, the share, the bytes, the rate and the time left', () => {
    expect(progressLine({ bytes: 12_300_000, total: 29_100_000, rate: 3_100_000 }, 100)).toBe(
      '[########------------]  42 %   12.3 MB of 29.1 MB    3.1 MB/s      0:06 left',
    );
  });

  test('has a smaller bar where there is less room, and none where there is too little', () => {
    const progress = { bytes: 12_300_000, total: 29_100_000, rate: 3_100_000 };
    expect(progressLine(progress, 70)).toMatch(/^\[######--------\] +42 %.*left$/);
    expect(progressLine(progress, 70)).toHaveLength(70);
    expect(progressLine(progress, 60)).toMatch(/^ +42 %.*left$/);
  });

  test('shows only what is known where the total is not, as of a stream', () => {
    expect(progressLine({ bytes: 12_300_000, total: null, rate: 9 }, 100, 'paused')).toBe(
      ' 12.3 MB  paused',
    );
    expect(progressLine({ bytes: 42, total: 100, rate: 9 }, 100, 'paused')).toMatch(
      /^\[#+-+\] +42 % +42 B of 100 B {2}paused$/,
    );
    expect(progressLine({ bytes: 12_300_000, total: null, rate: 3_100_000 }, 100)).toBe(
      ' 12.3 MB    3.1 MB/s',
    );
  });

  test('says 100 % only when all is there', () => {
    expect(percentOf({ bytes: 999_999, total: 1_000_000 })).toBe(99);
    expect(percentOf({ bytes: 1_000_000, total: 1_000_000 })).toBe(100);
    expect(percentOf({ bytes: 5, total: null })).toBe(null);
    expect(percentOf({ bytes: 0, total: 0 })).toBe(100);
  });
});

test('the columns of a table stand below each other', () => {
  const rows = [
    ['NAME', 'ID'],
    ['Ana', '1'],
    ['', '22'],
  ];
  expect(formatTable(rows, (text) => text.length)).toEqual(['NAME  ID', 'Ana   1', '      22']);
});

test('a JSON line is one line, means the same, and holds nothing that steers a terminal', () => {
  const nasty = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('\x1b[2J', '\x9b2J', '\u202egnp.exe', 'a\u2028b', '\u{e0041}', '\ud800'),
  );
  fc.assert(
    fc.property(fc.dictionary(nasty, nasty), (object) => {
      const line = jsonLine(object);
      expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      expect(JSON.parse(line)).toEqual(JSON.parse(JSON.stringify(object)));
    }),
  );
});

test.each([
  ['report.pdf', 'report.pdf'],
  ['my report.pdf', '"my report.pdf"'],
  ['\x1b[2Jx', '"?[2Jx"'],
])('%j is suggested as %j', (word, shown) => {
  expect(shellWord(word)).toBe(shown);
});

test.each([
  ['20MB/s', 20_000_000],
  ['20MB', 20_000_000],
  ['20 MB/s', 20_000_000],
  ['500kB/s', 500_000],
  ['500KB/s', 500_000],
  ['8Mbit/s', 1_000_000],
  ['100kbit/s', 12_500],
  ['1Gbit/s', 125_000_000],
  ['1MiB/s', 1_048_576],
  ['64KiB/s', 65_536],
  ['0.5GB/s', 500_000_000],
  ['1000', 1_000],
  ['1000/s', 1_000],
  ['8bit/s', 1],
  ['0', null],
  ['0.5', null],
  ['1bit', null],
  ['-1MB/s', null],
  ['MB/s', null],
  ['20Mb/s', null],
  ['20mB/s', null],
  ['20M', null],
  ['20MB/min', null],
  ['20MBps', null],
  ['1e3', null],
  ['1,5MB/s', null],
  ['0x10', null],
  ['', null],
  ['fast', null],
  ['9'.repeat(400), null],
])('the rate %s is %d bytes a second', (text, rate) => {
  expect(parseRate(text)).toBe(rate);
});

test.each([
  ['1', 1],
  ['4096', 4096],
  ['20MB', 20_000_000],
  ['20 mB', null],
  ['1.5GiB', 1.5 * 1024 ** 3],
  ['2TB', 2e12],
  ['500k', 500_000],
  ['0', null],
  ['0.5', null],
  ['-1', null],
  ['', null],
  ['much', null],
  ['8Mbit', null],
  ['99999999TB', null],
])('the size %j is %j bytes', (text, size) => {
  expect(parseSize(text)).toBe(size);
});

test('a line is broken into rows that fit, and nothing of it is lost', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('a', ' ', 'ü', '漢', '👨‍👩‍👧', 'word') }),
      fc.integer({ min: 2, max: 30 }),
      (line, columns) => {
        const rows = fold(line, columns);
        expect(rows.join('')).toBe(line);
        for (const row of rows) expect(stringWidth(row)).toBeLessThanOrEqual(columns);
      },
    ),
  );
  expect(fold('one two three', 8)).toEqual(['one two ', 'three']);
});

test('a rate means what it says, in whatever unit', () => {
  const factors = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9, KiB: 1024, MiB: 1024 ** 2, Mbit: 1e6 / 8 };
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100_000 }),
      fc.constantFrom(...(Object.entries(factors) as [string, number][])),
      (number, [unit, factor]) => {
        expect(parseRate(`${number}${unit}/s`)).toBe(number * factor);
      },
    ),
  );
});

test('whatever is typed is a rate that can be held, or none', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'0123456789.kKMGiBbt/s -e') }), (text) => {
      const rate = parseRate(text);
      if (rate !== null) expect(rate >= 1 && Number.isFinite(rate)).toBe(true);
    }),
  );
});
