import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openShelf, type ShelfEntry } from '../../src/handover/shelf.ts';
import { MAX_ZIP_ENTRIES } from '../../src/limits.ts';
import { measureZip, writeZip, type ZipSource } from '../../src/web/guests/zip.ts';
import { failureOf, newFolder, UNSTOPPED } from '../disk/support.ts';
import { describeWith } from '../support/skip.ts';

const MTIME = 1_700_000_000_000;

/** What is not there, but might be: each file holds its own path, as often as it takes. */
function sourceOf(entries: readonly ShelfEntry[], above = ''): ZipSource {
  return {
    above,
    async *walk() {
      yield* entries;
    },
    async *read({ path, size }) {
      const bytes = Buffer.alloc(size, path);
      for (let at = 0; at < size; at += 1000) yield bytes.subarray(at, at + 1000);
    },
  };
}

function file(path: string, size: number, mtime = MTIME): ShelfEntry {
  return { kind: 'file', path, size, mtime, mode: 0o644 };
}

function folder(path: string): ShelfEntry {
  return { kind: 'folder', path, mtime: MTIME, mode: 0o755 };
}

async function bytesOf(source: ZipSource, from = 0): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of writeZip(source, await measureZip(source, UNSTOPPED), from))
    pieces.push(piece);
  return Buffer.concat(pieces);
}

/** The source of a real folder. */
async function sourceAt(path: string): Promise<ZipSource> {
  const shelf = await openShelf([path]);
  return { above: '', walk: () => shelf.walk(), read: (one) => shelf.read(one) };
}

describe('a zip', () => {
  const some = [folder('a'), file('a/b', 2500), folder('a/empty'), file('a/c', 0), file('d', 10)];

  test('is as long as was measured, whatever is in it', async () => {
    const entry = fc.record({
      path: fc
        .string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
        .map((name) => `r/${name.replaceAll('/', '-')}`),
      size: fc.nat(5000),
      kind: fc.constantFrom('file', 'folder'),
      mtime: fc.integer({ min: -1e15, max: 1e15 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 10 }), async (entries) => {
        const source = sourceOf(
          entries.map(({ kind, path, size, mtime }) =>
            kind === 'file' ? file(path, size, mtime) : folder(path),
          ),
        );
        const { size } = await measureZip(source, UNSTOPPED);
        expect((await bytesOf(source)).length).toBe(size);
      }),
      { numRuns: 50 },
    );
  });

  test('has the same bytes from anywhere on', async () => {
    const source = sourceOf(some);
    const all = await bytesOf(source);
    await fc.assert(
      fc.asyncProperty(fc.nat(all.length), async (from) => {
        expect((await bytesOf(source, from)).equals(all.subarray(from))).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test('is another version as soon as anything in it is', async () => {
    const versions = await Promise.all(
      [
        some,
        some.slice(1),
        [...some, file('e', 0)],
        some.with(1, file('a/b', 2501)),
        some.with(1, file('a/b', 2500, MTIME + 1)),
        some.with(1, file('a/x', 2500)),
        some.with(1, { ...file('a/b', 2500), mode: 0o755 } as ShelfEntry),
        some.with(2, { ...file('a/empty', 0), mode: 0o755 } as ShelfEntry),
        [...some, { kind: 'link', path: 'a/to', target: 'b' } as ShelfEntry],
        [...some, { kind: 'link', path: 'a/to', target: 'c' } as ShelfEntry],
      ].map(async (entries) => (await measureZip(sourceOf(entries), UNSTOPPED)).version),
    );
    expect(new Set(versions).size).toBe(versions.length);
    expect((await measureZip(sourceOf(some), UNSTOPPED)).version).toBe(versions[0]);
  });

  test.each([
    ['has become more', [...some, file('e', 1)]],
    ['has become less', some.slice(0, -1)],
    ['has another time', some.with(4, file('d', 10, MTIME + 1))],
    ['has another size', some.with(4, file('d', 9))],
  ])('never comes to its end if what is there %s since it was measured', async (_, changed) => {
    const measured = await measureZip(sourceOf(some), UNSTOPPED);
    let got = 0;
    const writing = (async () => {
      for await (const bytes of writeZip(sourceOf(changed), measured)) got += bytes.length;
    })();
    expect(await failureOf(writing)).toMatchObject({ code: 'changed' });
    expect(got).toBeLessThan(measured.size);
  });

  test.each<[string, ShelfEntry[], ShelfEntry[]]>([
    [
      'there is more in front of it',
      [file('a', 2500), file('b', 9)],
      [file('a', 2600), file('b', 9)],
    ],
    [
      'there is so much more that its directory could not be told from it',
      [file('a', 10)],
      [file('a', 10), ...Array.from({ length: 9 }, (_, n) => file(`b${n}`, 10))],
    ],
  ])('gives no byte more than was measured if %s', async (_, before, after) => {
    const measured = await measureZip(sourceOf(before), UNSTOPPED);
    let got = 0;
    const writing = (async () => {
      for await (const bytes of writeZip(sourceOf(after), measured)) got += bytes.length;
    })();
    expect(await failureOf(writing)).toMatchObject({ code: 'changed' });
    // Whoever counts would take it for whole.
    expect(got).toBeLessThan(measured.size);
  });

  /** What 32 bits hold no more, as 2^32 - 1 says that it stands elsewhere. */
  const FULL = 2 ** 32 - 1;
  // As in APPNOTE.TXT, with a name of one letter and the time in seconds.
  const [LOCAL, BEHIND, LISTED, END] = [30 + 1 + 9, 16, 46 + 1 + 9, 22];
  const [LARGE, FAR, LONG_END] = [20 + 8 + 20, 12, 56 + 20];

  test.each<[string, ShelfEntry[], number]>([
    [
      'a file of one byte less than that',
      [file('a', FULL - 1)],
      LOCAL + FULL - 1 + BEHIND + LISTED + LONG_END + END,
    ],
    [
      'a file of as much',
      [file('a', FULL)],
      LOCAL + FULL + BEHIND + LISTED + LARGE + LONG_END + END,
    ],
    [
      'a directory one byte before that',
      [file('a', FULL - 1 - LOCAL - BEHIND)],
      FULL - 1 + LISTED + END,
    ],
    ['a directory there', [file('a', FULL - LOCAL - BEHIND)], FULL + LISTED + LONG_END + END],
    [
      'something that begins one byte before that',
      [file('a', FULL - 1 - LOCAL - BEHIND), file('b', 0)],
      FULL - 1 + LOCAL + BEHIND + 2 * LISTED + LONG_END + END,
    ],
    [
      'something that begins there',
      [file('a', FULL - LOCAL - BEHIND), file('b', 0)],
      FULL + LOCAL + BEHIND + 2 * LISTED + FAR + LONG_END + END,
    ],
    [
      'one thing less than 16 bits hold',
      Array.from({ length: 2 ** 16 - 2 }, () => file('a', 0)),
      (2 ** 16 - 2) * (LOCAL + BEHIND + LISTED) + END,
    ],
    [
      'as many things as that',
      Array.from({ length: 2 ** 16 - 1 }, () => file('a', 0)),
      (2 ** 16 - 1) * (LOCAL + BEHIND + LISTED) + LONG_END + END,
    ],
  ])('takes the long forms from where the short ones end: %s', async (_, entries, size) => {
    expect((await measureZip(sourceOf(entries), UNSTOPPED)).size).toBe(size);
  });

  test('says of a large file in front of it that its size is told behind', async () => {
    const source = sourceOf([file('a', FULL)]);
    const writing = writeZip(source, await measureZip(source, UNSTOPPED));
    const { value } = await writing.next();
    await writing.return();
    const head = Buffer.from(value ?? []);
    expect(head.readUInt16LE(4)).toBe(45);
    expect(head.readUInt16LE(6)).toBe(0b1000_0000_1000);
    expect([head.readUInt32LE(18), head.readUInt32LE(22)]).toEqual([FULL, FULL]);
    const long = head.subarray(LOCAL);
    expect([long.readUInt16LE(0), long.readUInt16LE(2), long.length]).toEqual([1, 16, 20]);
  });

  test('says of a link in front of it what it is, as nothing follows', async () => {
    const link: ShelfEntry = { kind: 'link', path: 'a/b', target: 'target' };
    const zip = await bytesOf(sourceOf([link]));
    expect(zip.readUInt16LE(6)).toBe(0b1000_0000_0000);
    expect(zip.readUInt32LE(14)).toBe(crc32('target'));
    expect([zip.readUInt32LE(18), zip.readUInt32LE(22)]).toEqual([6, 6]);
    expect(zip.subarray(30, 39).toString()).toBe('a/btarget');
  });

  test('holds so much and no more', async () => {
    let walked = 0;
    const source: ZipSource = {
      ...sourceOf([]),
      async *walk() {
        for (;;) yield file(`r/${++walked}`, 0);
      },
    };
    const failure = await failureOf(measureZip(source, UNSTOPPED));
    expect(failure).toMatchObject({ code: 'too-many' });
    expect(walked).toBe(MAX_ZIP_ENTRIES + 1);
  });

  test('is not measured for whoever is gone', async () => {
    const gone = AbortSignal.abort();
    expect(await failureOf(measureZip(sourceOf(some), gone))).toBe(gone.reason);
  });
});

describeWith(['unzip', 'python3'], 'what other programs make of a zip', () => {
  const unzip = (...args: string[]): string => execFileSync('unzip', args, { encoding: 'utf8' });
  /** What Python says of a zip. */
  const python = (script: string, path: string): unknown =>
    JSON.parse(
      execFileSync(
        'python3',
        [
          '-c',
          `import json, sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nprint(json.dumps(${script}))`,
          path,
        ],
        { encoding: 'utf8' },
      ),
    );
  const NAMES = '[i.filename for i in z.infolist()]';

  test('is a tree with its content, times, modes, links and empty folders', async () => {
    const tree = join(newFolder(), 'tree');
    mkdirSync(join(tree, 'sub/empty'), { recursive: true });
    mkdirSync(join(tree, 'ü 日本 ﬃ'));
    const content = Buffer.alloc(700_000, 'content');
    writeFileSync(join(tree, 'sub/large'), content);
    writeFileSync(join(tree, 'ü 日本 ﬃ/"quoted" & <b>.txt'), 'odd');
    writeFileSync(join(tree, 'nothing'), '');
    writeFileSync(join(tree, 'run'), '#!/bin/sh\n');
    chmodSync(join(tree, 'run'), 0o755);
    symlinkSync('sub/large', join(tree, 'link'));
    symlinkSync('../elsewhere', join(tree, 'out'));
    for (const name of ['sub/large', 'sub/empty']) utimesSync(join(tree, name), 1e9, 1e9);
    const zip = join(newFolder(), 'tree.zip');
    writeFileSync(zip, await bytesOf(await sourceAt(tree)));

    expect(unzip('-t', zip)).toContain('No errors detected');
    expect(python('z.testzip()', zip)).toBeNull();
    const into = newFolder();
    unzip('-q', zip, '-d', into);
    const there = readdirSync(into, { recursive: true, encoding: 'utf8' }).sort();
    expect(there).toEqual(
      [
        'tree',
        'tree/link',
        'tree/nothing',
        'tree/run',
        'tree/sub',
        'tree/sub/empty',
        'tree/sub/large',
        'tree/ü 日本 ﬃ',
        'tree/ü 日本 ﬃ/"quoted" & <b>.txt',
      ].sort(),
    );
    expect(readFileSync(join(into, 'tree/link')).equals(content)).toBe(true);
    expect(statSync(join(into, 'tree/run')).mode & 0o777).toBe(0o755);
    expect(statSync(join(into, 'tree/nothing')).mode & 0o111).toBe(0);
    for (const name of ['sub/large', 'sub/empty'])
      expect(statSync(join(into, 'tree', name)).mtimeMs).toBe(1e12);
    const at = new Date(1e12);
    const told = '[list(i.date_time) for i in z.infolist() if i.filename == "tree/sub/large"]';
    expect(python(told, zip)).toEqual([
      [
        ...[at.getFullYear(), at.getMonth() + 1, at.getDate()],
        ...[at.getHours(), at.getMinutes(), at.getSeconds()],
      ],
    ]);
    // Made on Unix; and folders are such where only the letters of DOS are read, too.
    const kinds =
      'sorted({(i.create_system, i.is_dir(), i.external_attr & 16) for i in z.infolist()})';
    expect(python(kinds, zip)).toEqual([
      [3, false, 0],
      [3, true, 16],
    ]);
  });

  test('leads nowhere: neither by a backslash or the letter of a disk, nor by a link out of a part', async () => {
    const entries: ShelfEntry[] = [
      file('r/in/..\\..\\evil', 3),
      { kind: 'link', path: 'r/in/up', target: '../other' },
      { kind: 'link', path: 'r/in/all', target: '..' },
      { kind: 'link', path: 'r/in/deep/up', target: '../here' },
      { kind: 'link', path: 'r/in/deep/far', target: '../../other' },
    ];
    const zip = join(newFolder(), 'in.zip');
    writeFileSync(zip, await bytesOf(sourceOf(entries, 'r/')));
    expect(python(NAMES, zip)).toEqual(['in/.._.._evil', 'in/deep/up']);
    const disk = [file('r/C:/evil', 1), file('r/c:evil', 2)];
    writeFileSync(zip, await bytesOf(sourceOf(disk, 'r/')));
    expect(python(NAMES, zip)).toEqual(['C_/evil', 'c_evil']);
  });

  test('has the usual modes where none are known', async () => {
    const zip = join(newFolder(), 'modes.zip');
    const entries: ShelfEntry[] = [
      { kind: 'folder', path: 'r', mtime: MTIME },
      { kind: 'file', path: 'r/a', size: 0, mtime: MTIME },
      { kind: 'link', path: 'r/b', target: 'a' },
    ];
    writeFileSync(zip, await bytesOf(sourceOf(entries)));
    const modes = [0o040755, 0o100644, 0o120777];
    expect(python('[i.external_attr >> 16 for i in z.infolist()]', zip)).toEqual(modes);
  });

  test('has times from long ago and far away, as near as it can tell them', async () => {
    const zip = join(newFolder(), 'times.zip');
    const entries = [
      file('a', 0, -1e12),
      file('b', 0, 1e15),
      file('c', 0, 8e15),
      file('d', 0, 5e12),
      file('e', 0, 2.5e12),
    ];
    writeFileSync(zip, await bytesOf(sourceOf(entries)));
    const years = [1980, 2107, 2107, 2107, 2049];
    expect(python('[i.date_time[0] for i in z.infolist()]', zip)).toEqual(years);
    // Seconds of 31 bits end in 2038; what is behind that is not told by them as long ago.
    expect(python('[len(i.extra) for i in z.infolist()]', zip)).toEqual([0, 0, 0, 0, 0]);
    expect(unzip('-t', zip)).toContain('No errors detected');
  });

  test('has more than 65,535 things in it', async () => {
    const zip = join(newFolder(), 'many.zip');
    const count = 66_000;
    const entries = Array.from({ length: count }, (_, n) =>
      file(`many/${n}`, n === 65_999 ? 5 : 0),
    );
    const bytes = await bytesOf(sourceOf(entries));
    writeFileSync(zip, bytes);
    // Some programs look for what they need where it is said to be, others where it usually is.
    const locator = bytes.subarray(-22 - 20, -22);
    const end = bytes.subarray(Number(locator.readBigUInt64LE(8)));
    expect([locator.readUInt32LE(0), end.readUInt32LE(0)]).toEqual([0x07064b50, 0x06064b50]);
    expect(python('[len(z.infolist()), z.read("many/65999").decode()]', zip)).toEqual([
      count,
      'many/',
    ]);
    expect(unzip('-l', zip, 'many/65999')).toContain('many/65999');
  });

  test('has a file of more than 4 GiB in it, and another one behind', async () => {
    const size = 2 ** 32 + 4096;
    const zeros = Buffer.alloc(16 * 1024 * 1024);
    const entries = [file('large', size), file('small', 5)];
    const source: ZipSource = {
      ...sourceOf(entries),
      async *read(one) {
        if (one.path === 'small') return yield Buffer.from('small');
        for (let at = 0; at < size; at += zeros.length)
          yield zeros.subarray(0, Math.min(zeros.length, size - at));
      },
    };
    const zip = join(newFolder(), 'large.zip');
    const measured = await measureZip(source, UNSTOPPED);
    await using handle = await open(zip, 'w');
    let at = 0;
    for await (const bytes of writeZip(source, measured)) {
      // Zeros that nobody writes are there all the same.
      if (bytes.buffer !== zeros.buffer) await handle.write(bytes, 0, bytes.length, at);
      at += bytes.length;
    }
    expect(at).toBe(measured.size);
    expect(statSync(zip).size).toBe(measured.size);
    const said =
      '[[i.filename, i.file_size, i.CRC, i.extract_version] for i in z.infolist()] + [z.read("small").decode()]';
    // The checksum of so many zeros, as other programs have it.
    expect(python(said, zip)).toEqual([
      ['large', size, crcOfZeros(size), 45],
      ['small', 5, expect.any(Number), 45],
      'small',
    ]);
    expect(unzip('-p', zip, 'small')).toBe('small');
  }, 120_000);
});

/** As Python has it, of a pipe. */
function crcOfZeros(size: number): number {
  const script =
    'import sys, zlib\nc = 0\nb = bytes(1 << 24)\nn = int(sys.argv[1])\nwhile n: k = min(n, len(b)); c = zlib.crc32(b[:k], c); n -= k\nprint(c)';
  return Number(execFileSync('python3', ['-c', script, String(size)], { encoding: 'utf8' }));
}
