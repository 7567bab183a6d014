import { execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  closeSync,
  createReadStream,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Hashers } from '../../src/disk/hashers.ts';
import { timeOf } from '../../src/disk/offered.ts';
import { openOutbox } from '../../src/disk/outbox.ts';
import { DropError } from '../../src/errors.ts';
import { MAX_CHUNK } from '../../src/limits.ts';
import {
  type DataEntry,
  type Entry,
  type FileEntry,
  isEntry,
  type StreamEntry,
} from '../../src/protocol/manifest.ts';
import type { DigestName, Kept } from '../../src/protocol/message.ts';
import type { Outbox, Unsendable } from '../../src/transfer/outbox.ts';
import { BLOCKS_IN_FLIGHT } from '../../src/transfer/outflow.ts';
import { openHandles, withoutHandles } from '../support/handles.ts';
import { digestOf } from '../support/memory.ts';
import { describeWith } from '../support/skip.ts';
import { asUser, DIGESTS, failureOf, newFolder, newFolderOfUser, UNSTOPPED } from './support.ts';

/** Nothing ends it. */
const NEVER = new AbortController().signal;

async function walk(outbox: Outbox): Promise<(Entry | Unsendable)[]> {
  const found: (Entry | Unsendable)[] = [];
  for await (const entry of outbox.entries()) found.push(entry);
  return found;
}

/** One line for each entry, in order: `kind path`, and for some what else there is to it. */
async function listing(outbox: Outbox): Promise<string[]> {
  return (await walk(outbox)).map((entry) => {
    if (entry.kind === 'link') return `link ${entry.path} -> ${entry.target}`;
    if (entry.kind === 'unsendable') return `${entry.reason} ${entry.path}`;
    return `${entry.kind} ${entry.path}`;
  });
}

async function fileIn(outbox: Outbox, path: string): Promise<FileEntry> {
  const entry = (await walk(outbox)).find((one) => one.path === path);
  if (entry?.kind !== 'file') throw new Error(`no file ${path}`);
  return entry;
}

/** Reads a file like a sender that has as many blocks under way as it may. */
async function readAll(outbox: Outbox, entry: DataEntry, kept?: Kept) {
  const blocks = outbox.read(entry, kept, UNSTOPPED);
  const parts: Buffer[] = [];
  const inFlight: Uint8Array[] = [];
  let from: number | undefined;
  let at = 0;
  for (;;) {
    const { value, done } = await blocks.next();
    if (done || inFlight.push(value.bytes) === BLOCKS_IN_FLIGHT) {
      const arrived = done ? inFlight.splice(0) : inFlight.splice(0, 1);
      parts.push(...arrived.map((block) => Buffer.from(block)));
    }
    if (done) return { from, bytes: Buffer.concat(parts), digest: Buffer.from(value) };
    if (from === undefined) from = at = value.offset;
    expect(value.offset).toBe(at);
    at += value.bytes.length;
    expect(value.bytes.length).toBeLessThanOrEqual(MAX_CHUNK);
  }
}

/** Changes a byte, and nothing of the size. */
function overwrite(path: string, at: number): void {
  const file = openSync(path, 'r+');
  writeSync(file, 'x', at);
  closeSync(file);
}

/** What a receiver says that has these bytes. */
function keptOf(bytes: Uint8Array, digest: DigestName = 'sha256'): Kept {
  return { entry: 0, size: bytes.length, digest: digestOf(digest, bytes) };
}

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

describe('roots', () => {
  test('things of one name are offered under two', async () => {
    const folder = newFolder();
    mkdirSync(join(folder, 'a'));
    mkdirSync(join(folder, 'b'));
    for (const path of ['a/x.txt', 'b/x.txt']) writeFileSync(join(folder, path), path);
    const outbox = await openOutbox([
      join(folder, 'a/x.txt'),
      join(folder, 'b/x.txt'),
      join(folder, 'a/x.txt'),
    ]);
    expect(outbox.roots).toEqual(['x.txt', 'x (1).txt', 'x (2).txt']);
    const second = await fileIn(outbox, 'x (1).txt');
    expect((await readAll(outbox, second)).bytes.toString()).toBe('b/x.txt');
  });

  test('what is gone is told with the rest, where that may be', async () => {
    const folder = newFolder();
    writeFileSync(join(folder, 'here'), '');
    const paths = ['gone', 'here', '..'].map((path) => `${folder}/${path}`);
    const outbox = await openOutbox(paths.slice(0, 2), { lacking: true });
    expect(outbox.roots).toEqual(['gone', 'here']);
    expect(await listing(outbox)).toEqual(['missing gone', 'file here']);
    expect(await failureOf(openOutbox(paths))).toMatchObject({ code: 'missing', path: paths[0] });
  });

  test('a folder may be named by its place, and a root may lie in another', async () => {
    const folder = newFolder();
    mkdirSync(join(folder, 'a/b'), { recursive: true });
    const name = basename(folder);
    const paths = ['a', 'a/', 'a/.', 'a/b/..', 'a/b/../..', '.', 'a/b'];
    const outbox = await openOutbox(paths.map((path) => `${folder}/${path}`));
    expect(outbox.roots).toEqual(['a', 'a (1)', 'a (2)', 'a (3)', name, `${name} (1)`, 'b']);
    expect((await openOutbox(['/'])).roots).toEqual(['disk']);
  });

  test('what lies behind a link and `..` is what the system finds there', async () => {
    const folder = newFolder();
    mkdirSync(join(folder, 'real/inner'), { recursive: true });
    writeFileSync(join(folder, 'real/x'), 'right');
    writeFileSync(join(folder, 'x'), 'wrong');
    symlinkSync('real/inner', join(folder, 'link'));
    const outbox = await openOutbox([`${folder}/link/../x`, `${folder}/link/..`]);
    expect(outbox.roots).toEqual(['x', 'real']);
    expect((await readAll(outbox, await fileIn(outbox, 'x'))).bytes.toString()).toBe('right');
  });

  test('a link is followed and keeps its name', async () => {
    const folder = newFolder();
    mkdirSync(join(folder, 'real'));
    writeFileSync(join(folder, 'real/x'), 'x');
    symlinkSync('real', join(folder, 'folder'));
    symlinkSync('real/x', join(folder, 'file'));
    const outbox = await openOutbox([join(folder, 'folder'), join(folder, 'file')]);
    expect(await listing(outbox)).toEqual(['folder folder', 'file folder/x', 'file file']);
    for (const path of ['folder/x', 'file'])
      expect((await readAll(outbox, await fileIn(outbox, path))).bytes.toString()).toBe('x');
  });

  test('one that is missing is named before anything is offered', async () => {
    const folder = newFolder();
    symlinkSync('nowhere', join(folder, 'dangling'));
    symlinkSync('loop', join(folder, 'loop'));
    for (const name of ['none', 'dangling', 'loop', 'none/x']) {
      const path = join(folder, name);
      expect(await failureOf(openOutbox([folder, path]))).toMatchObject({ code: 'missing', path });
    }
  });

  test('names are composed where the system decomposes them', async () => {
    const folder = newFolder();
    mkdirSync(join(folder, 'e\u0301'));
    const paths = [join(folder, 'e\u0301')];
    expect((await openOutbox(paths, { platform: 'darwin' })).roots).toEqual(['\u00e9']);
    expect((await openOutbox(paths, { platform: 'posix' })).roots).toEqual(['e\u0301']);
  });
});

describe('the walk', () => {
  test('offers every folder before what it holds, always in one order', async () => {
    const folder = join(newFolder(), 'r');
    for (const path of ['b/c', 'a', 'b.d', 'b/\u00e9'])
      mkdirSync(join(folder, path), { recursive: true });
    for (const path of ['z', 'b/y', 'b/c/x', 'a/w', 'a/ v ', 'a/"\\u"'])
      writeFileSync(join(folder, path), '');
    const outbox = await openOutbox([folder]);
    const expected = [
      'folder r',
      'folder r/a',
      'file r/a/ v ',
      'file r/a/"\\u"',
      'file r/a/w',
      'folder r/b',
      'folder r/b/c',
      'file r/b/c/x',
      'file r/b/y',
      'folder r/b/\u00e9',
      'folder r/b.d',
      'file r/z',
    ];
    expect(await listing(outbox)).toEqual(expected);
    expect(await listing(outbox)).toEqual(expected);
  });

  test('tells size, time and permissions, and no more of them than these', async () => {
    const folder = newFolder();
    const path = join(folder, 'x');
    writeFileSync(path, 'abc');
    chmodSync(path, 0o4751);
    utimesSync(path, new Date(1_700_000_000_123), new Date(-1_500));
    expect(await walk(await openOutbox([path]))).toEqual([
      { kind: 'file', path: 'x', size: 3, mtime: -1500, mode: 0o751 },
    ]);
    const [entry] = await walk(await openOutbox([path], { platform: 'windows' }));
    expect(entry).not.toHaveProperty('mode');
  });

  test('tells a time that no clock says as the last that can be said', () => {
    for (const mtimeMs of [2 ** 60, -(2 ** 60)]) {
      const mtime = timeOf({ mtimeMs });
      expect(isEntry({ kind: 'file', path: 'x', size: 0, mtime })).toBe(true);
      expect(Math.sign(mtime)).toBe(Math.sign(mtimeMs));
    }
  });

  test('offers links that stay inside, and no others', async () => {
    const folder = join(newFolder(), 'r');
    mkdirSync(join(folder, 'sub'), { recursive: true });
    const links = {
      a: 'sub',
      b: '../outside',
      c: '/etc/passwd',
      d: 'sub/../..',
      'sub/e': '../x',
      'sub/f': '../../y',
      'sub/g': 'nowhere',
    };
    for (const [path, target] of Object.entries(links)) symlinkSync(target, join(folder, path));
    expect(await listing(await openOutbox([folder]))).toEqual([
      'folder r',
      'link r/a -> sub',
      'unsupported r/b',
      'unsupported r/c',
      'unsupported r/d',
      'folder r/sub',
      'link r/sub/e -> ../x',
      'unsupported r/sub/f',
      'link r/sub/g -> nowhere',
    ]);
  });

  test.skipIf(process.platform !== 'linux')('names a pipe that lies nowhere', async () => {
    const cat = spawn('cat');
    onTestFinished(() => void cat.kill());
    const outbox = await openOutbox([`/proc/${cat.pid}/fd/1`]);
    expect(await listing(outbox)).toEqual(['unsupported 1']);
  });

  test('names pipes and sockets, and goes on', async () => {
    const folder = join(newFolder(), 'r');
    mkdirSync(folder);
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    const server = createServer().listen(join(folder, 'socket'));
    await new Promise((resolve) => server.once('listening', resolve));
    try {
      writeFileSync(join(folder, 'x'), '');
      const outbox = await openOutbox([folder, join(folder, 'pipe')]);
      expect(await listing(outbox)).toEqual([
        'folder r',
        'unsupported r/pipe',
        'unsupported r/socket',
        'file r/x',
        'unsupported pipe',
      ]);
    } finally {
      server.close();
    }
  });

  test('names a folder that cannot be read, and goes on', async () => {
    const folder = join(await newFolderOfUser(), 'r');
    await asUser(async () => {
      mkdirSync(join(folder, 'closed'), { recursive: true });
      writeFileSync(join(folder, 'x'), 'x', { mode: 0 });
      chmodSync(join(folder, 'closed'), 0);
      const outbox = await openOutbox([folder]);
      expect(await listing(outbox)).toEqual([
        'folder r',
        'folder r/closed',
        'unreadable r/closed',
        'file r/x',
      ]);
      const file = await fileIn(outbox, 'r/x');
      expect(await failureOf(readAll(outbox, file))).toMatchObject({
        code: 'unreadable',
        path: 'r/x',
      });
      expect(await failureOf(openOutbox([join(folder, 'closed/y')]))).toMatchObject({
        code: 'unreadable',
      });
      chmodSync(join(folder, 'closed'), 0o700);
    });
  });

  test('names what vanishes meanwhile, and goes on', async () => {
    const folder = join(newFolder(), 'r');
    mkdirSync(join(folder, 'c'), { recursive: true });
    for (const name of ['a', 'b', 'd']) writeFileSync(join(folder, name), '');
    const found: string[] = [];
    for await (const entry of (await openOutbox([folder])).entries()) {
      found.push(entry.kind === 'unsendable' ? `${entry.reason} ${entry.path}` : entry.path);
      if (entry.path === 'r/a') rmSync(join(folder, 'b'));
      if (entry.path === 'r/c') rmSync(join(folder, 'c'), { recursive: true, force: true });
    }
    expect(found).toEqual(['r', 'r/a', 'missing r/b', 'r/c', 'missing r/c', 'r/d']);
  });

  test('names folders that become something else meanwhile, and goes on', async () => {
    const folder = join(newFolder(), 'r');
    for (const name of ['a', 'b', 'c']) {
      mkdirSync(join(folder, name), { recursive: true });
      writeFileSync(join(folder, name, 'x'), 'x');
    }
    const outbox = await openOutbox([folder]);
    const lost = await fileIn(outbox, 'r/a/x');
    const found: string[] = [];
    for await (const entry of outbox.entries()) {
      found.push(entry.kind === 'unsendable' ? `${entry.reason} ${entry.path}` : entry.path);
      const path = join(folder, '..', entry.path);
      if (entry.path === 'r/a' || entry.path === 'r/b') rmSync(path, { recursive: true });
      if (entry.path === 'r/a') writeFileSync(path, 'a file');
      if (entry.path === 'r/b') symlinkSync('nowhere', path);
    }
    expect(found).toEqual(['r', 'r/a', 'missing r/a', 'r/b', 'missing r/b', 'r/c', 'r/c/x']);
    expect(await failureOf(readAll(outbox, lost))).toMatchObject({ code: 'missing' });
  });

  test.each(['r', 'r/d'])('does not go where a link leads that %s became', async (which) => {
    const base = newFolder();
    mkdirSync(join(base, 'r', 'd'), { recursive: true });
    mkdirSync(join(base, 'private', 'd'), { recursive: true });
    writeFileSync(join(base, 'private', 'secret'), 'x');
    writeFileSync(join(base, 'private', 'd', 'secret'), 'x');
    const found: string[] = [];
    for await (const entry of (await openOutbox([join(base, 'r')])).entries()) {
      found.push(entry.kind === 'unsendable' ? `${entry.reason} ${entry.path}` : entry.path);
      if (entry.path !== which || entry.kind === 'unsendable') continue;
      rmSync(join(base, which), { recursive: true });
      symlinkSync(join(base, 'private'), join(base, which));
    }
    expect(found).toEqual(which === 'r' ? ['r', 'changed r'] : ['r', 'r/d', 'changed r/d']);
  });

  test('names what has no name in Unicode, and goes on', async () => {
    const folder = join(newFolder(), 'r');
    mkdirSync(folder);
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/x`), Buffer.of(0xff)]), '');
    writeFileSync(join(folder, 'x\ufffd'), '');
    expect(await listing(await openOutbox([folder]))).toEqual([
      'folder r',
      'file r/x\ufffd',
      'unsafe-name r/x\ufffd',
    ]);
  });

  test('names what lies too deep, once, and goes on', async () => {
    const folder = join(newFolder(), 'r');
    mkdirSync(join(folder, 'd/'.repeat(130)), { recursive: true });
    writeFileSync(join(folder, 'z'), '');
    const found = await listing(await openOutbox([folder]));
    expect(found.filter((line) => !line.startsWith('folder'))).toEqual([
      `unsafe-name r${'/d'.repeat(128)}`,
      'file r/z',
    ]);
  });

  /** A tree as nested folders: a file where there is nothing in it. */
  type Branches = { readonly [name: string]: Branches };

  const { branches } = fc.letrec<{ branches: Branches }>((tie) => ({
    branches: fc.dictionary(
      fc.constantFrom('a', 'B', 'é', '.x', 'y z', '1', '2', '3'),
      fc.oneof({ maxDepth: 4 }, fc.constant({}), tie('branches')),
      { maxKeys: 8 },
    ),
  }));

  function grow(folder: string, tree: Branches): string[] {
    mkdirSync(folder);
    return Object.entries(tree).flatMap(([name, below]) => {
      const path = join(folder, name);
      if (Object.keys(below).length > 0) return [path, ...grow(path, below)];
      writeFileSync(path, '');
      return [path];
    });
  }

  test('offers each thing in a tree once, its folder before it, however few names it holds', async () => {
    const base = newFolder();
    let trees = 0;
    await fc.assert(
      fc.asyncProperty(branches, fc.integer({ min: 0, max: 12 }), async (tree, sorted) => {
        const name = `r${trees++}`;
        const paths = grow(join(base, name), tree).map((path) => path.slice(base.length + 1));
        const before = openHandles();
        const all = (await walk(await openOutbox([join(base, name)]))).map(({ path }) => path);
        expect(all).toEqual([name, ...all.slice(1)]);
        const outbox = await openOutbox([join(base, name)], { sorted });
        const found = (await walk(outbox)).map(({ path }) => path);
        expect([...found].sort()).toEqual([name, ...paths].sort());
        expect([...all].sort()).toEqual([...found].sort());
        for (const [i, path] of found.entries())
          if (i > 0) expect(found.slice(0, i)).toContain(dirname(path));
        expect(openHandles()).toBe(before);
      }),
      { numRuns: 60 },
    );
  });

  test('leaves the folders that it is in when nobody goes on', async () => {
    const folder = join(newFolder(), 'r');
    mkdirSync(join(folder, 'd'), { recursive: true });
    for (const name of ['a', 'b', 'd/a', 'd/b']) writeFileSync(join(folder, name), '');
    const before = openHandles();
    const outbox = await openOutbox([folder], { sorted: 0 });
    for await (const { path } of outbox.entries()) if (/^r\/d\/|^r\/[ab]/.test(path)) break;
    expect(openHandles()).toBe(before);
    const left = outbox.entries();
    await left[Symbol.asyncIterator]().next();
    await left[Symbol.asyncIterator]().next();
    expect(openHandles()).toBeGreaterThan(before);
    await outbox.close();
    expect(openHandles()).toBe(before);
  });
});

describe('a file', () => {
  const sizes = [0, 1, MAX_CHUNK - 1, MAX_CHUNK, MAX_CHUNK + 1, 3 * MAX_CHUNK, 5 * MAX_CHUNK + 7];

  const ofDigests = sizes.flatMap((size) => DIGESTS.map((name) => [size, name] as const));

  test.each(ofDigests)('of %d bytes is read whole, with its %s', async (size, name) => {
    const path = join(newFolder(), 'x');
    const content = randomBytes(size);
    writeFileSync(path, content);
    const outbox = await openOutbox([path]);
    outbox.connected(name);
    const file = await fileIn(outbox, 'x');
    const read = await readAll(outbox, file);
    expect(read.from).toBe(size === 0 ? undefined : 0);
    expect(read.bytes.equals(content)).toBe(true);
    const digest = Buffer.from(digestOf(name, content));
    expect(read.digest).toEqual(digest);
    expect(Buffer.from(await outbox.digest(file, UNSTOPPED))).toEqual(digest);
  });

  test.each(ofDigests)(
    'of %d bytes is read on from what was kept of it: %s',
    async (size, name) => {
      const path = join(newFolder(), 'x');
      const content = randomBytes(size);
      writeFileSync(path, content);
      const outbox = await openOutbox([path]);
      outbox.connected(name);
      const digest = Buffer.from(digestOf(name, content));
      const file = await fileIn(outbox, 'x');
      for (const from of new Set([0, Math.min(1, size), size >> 1, Math.max(0, size - 1), size])) {
        const start = content.subarray(0, from);
        const rest = await readAll(outbox, file, keptOf(start, name));
        expect(rest.from).toBe(from === size ? undefined : from);
        expect(rest.bytes.equals(content.subarray(from))).toBe(true);
        expect(rest.digest).toEqual(digest);
        if (from === 0) continue;
        const damaged = Buffer.from(start);
        damaged[from - 1] = ~(damaged[from - 1] as number);
        const all = await readAll(outbox, file, keptOf(damaged, name));
        expect(all.from).toBe(0);
        expect(all.bytes.equals(content)).toBe(true);
        expect(all.digest).toEqual(digest);
      }
    },
  );

  test('that is large is hashed in many turns, so that others get theirs', async () => {
    const path = join(newFolder(), 'x');
    const content = Buffer.alloc(40 * MAX_CHUNK);
    writeFileSync(path, content);
    const outbox = await openOutbox([path]);
    const file = await fileIn(outbox, 'x');
    for (const hash of [
      () => outbox.digest(file, UNSTOPPED),
      () => readAll(outbox, file, keptOf(content)),
    ]) {
      let turns = 0;
      let busy = true;
      const done = hash().finally(() => {
        busy = false;
      });
      for (; busy; turns++) await setImmediate();
      await done;
      expect(turns).toBeGreaterThanOrEqual(10); // 10 MiB
    }
  });

  test('keeps its last blocks while the next files are read', async () => {
    const folder = newFolder();
    const sizes = [10, MAX_CHUNK + 3, 0, 7, MAX_CHUNK, 2 * MAX_CHUNK + 1, 1, 1, 1, 9];
    const contents = sizes.map((size) => randomBytes(size));
    const paths = contents.map((content, i) => {
      writeFileSync(join(folder, `${i}`), content);
      return join(folder, `${i}`);
    });
    const outbox = await openOutbox(paths);
    const inFlight: Uint8Array[] = [];
    const arrived: Buffer[] = [];
    for (const entry of await walk(outbox)) {
      const file = entry as FileEntry;
      for await (const { bytes } of outbox.read(file, undefined, UNSTOPPED)) {
        if (inFlight.push(bytes) === BLOCKS_IN_FLIGHT)
          arrived.push(Buffer.from(inFlight.shift() as Uint8Array));
      }
      await outbox.digest(file, UNSTOPPED);
    }
    arrived.push(...inFlight.map((block) => Buffer.from(block)));
    expect(Buffer.concat(arrived).equals(Buffer.concat(contents))).toBe(true);
  });

  test('is read rightly while the digest of another is taken', async () => {
    const folder = newFolder();
    const contents = { a: randomBytes(10), b: randomBytes(9_000_000), c: randomBytes(8_000_000) };
    for (const [name, content] of Object.entries(contents))
      writeFileSync(join(folder, name), content);
    const outbox = await openOutbox(Object.keys(contents).map((name) => join(folder, name)));
    const [a, b, c] = (await walk(outbox)) as [FileEntry, FileEntry, FileEntry];
    await readAll(outbox, a);
    const [digest, read] = await Promise.all([outbox.digest(b, UNSTOPPED), readAll(outbox, c)]);
    expect(Buffer.from(digest)).toEqual(sha256(contents.b));
    expect(read.digest).toEqual(sha256(contents.c));
    expect(read.bytes.equals(contents.c)).toBe(true);
  });

  const changes: [string, (path: string) => void | Promise<void>][] = [
    ['grew', (path) => appendFileSync(path, 'x')],
    ['shrank', (path) => truncateSync(path, 1)],
    ['was touched', (path) => utimesSync(path, 1, 1)],
    ['was written over', (path) => overwrite(path, 0)],
    [
      'became a link',
      (path) => {
        renameSync(path, `${path}.real`);
        symlinkSync(`${path}.real`, path);
      },
    ],
    [
      'became a folder',
      (path) => {
        rmSync(path);
        mkdirSync(path);
      },
    ],
    [
      'became a pipe',
      (path) => {
        rmSync(path);
        execFileSync('mkfifo', [path]);
      },
    ],
    [
      'became a socket',
      async (path) => {
        rmSync(path);
        const server = createServer().listen(path);
        await once(server, 'listening');
        onTestFinished(() => void server.close());
      },
    ],
  ];
  for (const size of [1000, MAX_CHUNK * 3]) {
    test.each(changes)(
      `of ${size} bytes that %s since it was offered is not sent`,
      async (_, change) => {
        const folder = newFolder();
        mkdirSync(join(folder, 'r'));
        writeFileSync(join(folder, 'r/x'), randomBytes(size));
        utimesSync(join(folder, 'r/x'), 1_000_000_000, 1_000_000_000);
        const outbox = await openOutbox([join(folder, 'r')]);
        const file = await fileIn(outbox, 'r/x');
        await change(join(folder, 'r/x'));
        const expected = { code: 'changed', path: 'r/x' };
        expect(await failureOf(readAll(outbox, file))).toMatchObject(expected);
        expect(await failureOf(outbox.digest(file, UNSTOPPED))).toMatchObject(expected);
      },
    );
  }

  test.each([
    ['r', 1000],
    ['r', MAX_CHUNK * 3],
    ['r/d', 1000],
    ['r/d', MAX_CHUNK * 3],
  ])(
    'is not read through a link that %s became, of %d bytes, though it looks the same',
    async (which, size) => {
      const base = newFolder();
      for (const folder of ['r/d', 'private/d']) {
        mkdirSync(join(base, folder), { recursive: true });
        writeFileSync(join(base, folder, 'x'), randomBytes(size));
        utimesSync(join(base, folder, 'x'), 1_000_000_000, 1_000_000_000);
      }
      const outbox = await openOutbox([join(base, 'r')]);
      const file = await fileIn(outbox, 'r/d/x');
      rmSync(join(base, which), { recursive: true });
      symlinkSync(join(base, which.replace('r', 'private')), join(base, which));
      const expected = { code: 'changed', path: 'r/d/x' };
      expect(await failureOf(readAll(outbox, file))).toMatchObject(expected);
      expect(await failureOf(outbox.digest(file, UNSTOPPED))).toMatchObject(expected);
    },
  );

  test.each([
    ['cut', (path: string) => truncateSync(path, MAX_CHUNK)],
    ['emptied', (path: string) => truncateSync(path, 0)],
    ['written to', (path: string) => appendFileSync(path, 'x')],
    ['written over behind us', (path: string) => overwrite(path, 0)],
    ['written over before us', (path: string) => overwrite(path, 2 * MAX_CHUNK)],
    ['touched', (path: string) => utimesSync(path, 1, 1)],
  ])('that is %s while it is read fails as changed', async (_, change) => {
    const path = join(newFolder(), 'x');
    const content = randomBytes(3 * MAX_CHUNK);
    for (const kept of [undefined, keptOf(content.subarray(0, 1000))]) {
      writeFileSync(path, content);
      utimesSync(path, 1_000_000_000, 1_000_000_000);
      const outbox = await openOutbox([path]);
      const blocks = outbox.read(await fileIn(outbox, 'x'), kept, UNSTOPPED);
      await blocks.next();
      change(path);
      const rest = async () => {
        while (!(await blocks.next()).done);
      };
      expect(await failureOf(rest())).toMatchObject({ code: 'changed', path: 'x' });
    }
  });

  test('that is written over whenever its digest is taken fails as changed', async () => {
    const path = join(newFolder(), 'x');
    writeFileSync(path, Buffer.alloc(40 * MAX_CHUNK));
    for (let turns = 0; turns < 40; turns++) {
      utimesSync(path, 1_000_000_000, 1_000_000_000);
      const outbox = await openOutbox([path]);
      const failure = failureOf(outbox.digest(await fileIn(outbox, 'x'), UNSTOPPED));
      // Each block takes at least one.
      for (let turn = 0; turn < turns; turn++) await setImmediate();
      overwrite(path, 0);
      expect(await failure).toMatchObject({ code: 'changed', path: 'x' });
    }
  });

  test.each([
    ['is removed', (path: string) => rmSync(path)],
    ['gives its name to another', (path: string) => renameSync(`${path}.new`, path)],
  ])('that %s while it is read is read to its end all the same', async (_, change) => {
    const path = join(newFolder(), 'x');
    const content = randomBytes(3 * MAX_CHUNK);
    writeFileSync(path, content);
    writeFileSync(`${path}.new`, 'another');
    const outbox = await openOutbox([path]);
    const file = await fileIn(outbox, 'x');
    const blocks = outbox.read(file, undefined, UNSTOPPED);
    await blocks.next();
    change(path);
    for (;;) {
      const { value, done } = await blocks.next();
      if (!done) continue;
      expect(Buffer.from(value)).toEqual(sha256(content));
      break;
    }
    expect(await failureOf(readAll(outbox, file))).toBeInstanceOf(DropError);
  });

  test('that is gone fails as missing', async () => {
    const path = join(newFolder(), 'x');
    writeFileSync(path, 'x');
    const outbox = await openOutbox([path]);
    const file = await fileIn(outbox, 'x');
    rmSync(path);
    expect(await failureOf(readAll(outbox, file))).toMatchObject({ code: 'missing', path: 'x' });
  });

  test('that is not read to its end is closed all the same', async () => {
    const path = join(newFolder(), 'x');
    writeFileSync(path, randomBytes(3 * MAX_CHUNK));
    const outbox = await openOutbox([path]);
    const file = await fileIn(outbox, 'x');
    const before = openHandles();
    for (let i = 0; i < 5; i++)
      for await (const _ of outbox.read(file, undefined, UNSTOPPED)) break;
    expect(openHandles()).toBe(before);
  });
});

describe('many files', () => {
  test.each(['r', 'r/d'])('are not read together through a link that %s became', async (which) => {
    const base = newFolder();
    for (const folder of ['r/d', 'r/e', 'private/d', 'private/e']) {
      mkdirSync(join(base, folder), { recursive: true });
      for (const name of ['x', 'y']) {
        writeFileSync(join(base, folder, name), folder.slice(0, 1));
        utimesSync(join(base, folder, name), 1_000_000_000, 1_000_000_000);
      }
    }
    const outbox = await openOutbox([join(base, 'r')]);
    const files = (await walk(outbox)).filter((entry) => entry.kind === 'file');
    rmSync(join(base, which), { recursive: true });
    symlinkSync(join(base, which.replace('r', 'private')), join(base, which));
    const read = await outbox.readTogether(files, NEVER);
    expect(files.map(({ path }) => path)).toEqual(['r/d/x', 'r/d/y', 'r/e/x', 'r/e/y']);
    for (const [i, { path }] of files.entries()) {
      const changed = { code: 'changed', path };
      const expected = path.startsWith(`${which}/`) ? changed : { bytes: Buffer.from('r') };
      expect(read[i]).toMatchObject(expected);
    }
  });

  test('are read all the same when some have gone bad', async () => {
    const folder = join(await newFolderOfUser(), 'r');
    await asUser(async () => {
      mkdirSync(folder);
      for (let i = 0; i < 500; i++) writeFileSync(join(folder, `${i}`), `content of ${i}`);
      const outbox = await openOutbox([folder]);
      const files = (await walk(outbox)).filter((entry) => entry.kind === 'file');
      expect(files.length).toBe(500);
      const bad = {
        'r/7': 'unreadable',
        'r/100': 'missing',
        'r/101': 'changed',
        'r/102': 'changed',
        'r/499': 'changed',
      };
      chmodSync(join(folder, '7'), 0);
      rmSync(join(folder, '100'));
      truncateSync(join(folder, '101'));
      rmSync(join(folder, '102'));
      symlinkSync('0', join(folder, '102'));
      appendFileSync(join(folder, '499'), '!');
      const failed: Record<string, string> = {};
      for (const file of files)
        try {
          const { bytes } = await readAll(outbox, file);
          expect(bytes.toString()).toBe(`content of ${basename(file.path)}`);
        } catch (error) {
          if (!(error instanceof DropError)) throw error;
          failed[file.path] = error.code;
        }
      expect(failed).toEqual(bad);
    });
  });
});

describeWith(['prlimit'], 'where no more files can be opened', () => {
  test('folders and files are named, and everything goes on', async () => {
    const folder = join(newFolder(), 'r');
    for (const [path, size] of Object.entries({ 'a/x': 1, 'b/y': 1, 'b/z': 2 * MAX_CHUNK })) {
      mkdirSync(join(folder, dirname(path)), { recursive: true });
      writeFileSync(join(folder, path), randomBytes(size));
    }
    const outbox = await openOutbox([folder]);
    const entries = outbox.entries()[Symbol.asyncIterator]();
    for (const path of ['r', 'r/a'])
      expect(await entries.next()).toMatchObject({ value: { path } });
    await withoutHandles(async () => {
      const value = { kind: 'unsendable', path: 'r/a', reason: 'too-many-open' };
      expect(await entries.next()).toEqual({ done: false, value });
    });
    const files: FileEntry[] = [];
    for (let next = await entries.next(); !next.done; next = await entries.next())
      if (next.value.kind === 'file') files.push(next.value);
    expect(files.map(({ path }) => path)).toEqual(['r/b/y', 'r/b/z']);
    await withoutHandles(async () => {
      const expected = { code: 'too-many-open' };
      for (const file of files) {
        expect(await failureOf(readAll(outbox, file))).toMatchObject(expected);
        expect(await failureOf(outbox.digest(file, UNSTOPPED))).toMatchObject(expected);
      }
    });
    for (const file of files) expect((await readAll(outbox, file)).bytes.length).toBe(file.size);
  });
});

describe('what patterns leave out', () => {
  test('is not offered, in any of the folders, nor named where it could not be', async () => {
    const base = newFolder();
    for (const path of ['a/src/out', 'a/out/x', 'b/node_modules/c/d'])
      mkdirSync(join(base, path), { recursive: true });
    for (const path of [
      'a/x.log',
      'a/keep.log',
      'a/src/out/x.js',
      'a/src/y.log',
      'b/x.js',
      'b/out',
    ])
      writeFileSync(join(base, path), '');
    execFileSync('mkfifo', [join(base, 'b/pipe.log')]);
    symlinkSync('x.js', join(base, 'b/link.log'));
    const exclude = ['*.log', '!keep.log', '/out/', 'node_modules'];
    const outbox = await openOutbox([join(base, 'a'), join(base, 'b')], { exclude });
    expect(await listing(outbox)).toEqual([
      'folder a',
      'file a/keep.log',
      'folder a/src',
      'folder a/src/out',
      'file a/src/out/x.js',
      'folder b',
      'file b/out',
      'file b/x.js',
    ]);
  });

  test('is never what was named itself, nor a stream', async () => {
    const base = newFolder();
    mkdirSync(join(base, 'build'));
    for (const path of ['x.log', 'build/y.log', 'build/z']) writeFileSync(join(base, path), '');
    const outbox = await openOutbox([join(base, 'x.log'), join(base, 'build')], {
      exclude: ['*.log', 'build'],
      stream: { name: 's.log', source: Readable.from([]) },
    });
    expect(await listing(outbox)).toEqual([
      'file x.log',
      'folder build',
      'file build/z',
      'stream s.log',
    ]);
  });

  test('is not looked into', async () => {
    const folder = join(await newFolderOfUser(), 'r');
    await asUser(async () => {
      mkdirSync(join(folder, 'node_modules'), { recursive: true });
      mkdirSync(join(folder, 'other'));
      for (const name of ['node_modules', 'other']) chmodSync(join(folder, name), 0);
      const outbox = await openOutbox([folder], { exclude: ['node_modules'] });
      expect(await listing(outbox)).toEqual(['folder r', 'folder r/other', 'unreadable r/other']);
      for (const name of ['node_modules', 'other']) chmodSync(join(folder, name), 0o700);
    });
  });

  test('can have names that are no text', async () => {
    const folder = join(newFolder(), 'r');
    mkdirSync(folder);
    for (const name of ['\xff.log', '\xff.txt'])
      writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name, 'latin1')]), '');
    const outbox = await openOutbox([folder], { exclude: ['*.log'] });
    expect(await listing(outbox)).toEqual(['folder r', 'unsafe-name r/\ufffd.txt']);
  });

  test('is said by patterns, or nothing is opened', async () => {
    await expect(openOutbox([newFolder()], { exclude: ['a', '[b'] })).rejects.toMatchObject({
      code: 'usage',
      path: '[b',
    });
  });
});

describe('a stream', () => {
  test('is offered after everything else, under a name of its own, as often as it is walked', async () => {
    const folder = newFolder();
    writeFileSync(join(folder, 'x.txt'), 'file');
    const stream = { name: 'x.txt', source: Readable.from([Buffer.from('stream')]) };
    const outbox = await openOutbox([join(folder, 'x.txt')], { stream });
    expect(outbox.roots).toEqual(['x.txt', 'x (1).txt']);
    for (let i = 0; i < 2; i++)
      expect(await listing(outbox)).toEqual(['file x.txt', 'stream x (1).txt']);
    const [file, entry] = await walk(outbox);
    expect(entry).toEqual({ kind: 'stream', path: 'x (1).txt' });
    expect(await readAll(outbox, entry as StreamEntry)).toEqual({
      from: 0,
      bytes: Buffer.from('stream'),
      digest: sha256(Buffer.from('stream')),
    });
    expect((await readAll(outbox, file as FileEntry)).bytes.toString()).toBe('file');
  });

  test('is told by SHA-256, whatever else could be', async () => {
    const hashers = new Hashers(() => ({
      Blake3Hasher: class {
        update(): void {}
        reset(): void {}
        digestBuffer = () => new Uint8Array(32);
      },
      blake3: () => new Uint8Array(32),
    }));
    const path = join(newFolder(), 'x');
    writeFileSync(path, 'file');
    expect((await openOutbox([path], { hashers })).digests).toEqual(['blake3', 'sha256']);
    const stream = { name: 'y', source: Readable.from([]) };
    expect((await openOutbox([path], { hashers, stream })).digests).toEqual(['sha256']);
  });

  test('can be all there is, and goes on after what was kept', async () => {
    const source = Readable.from([Buffer.from('abc'), Buffer.from('def')]);
    const outbox = await openOutbox([], { stream: { name: 'x', source } });
    const entry: StreamEntry = { kind: 'stream', path: 'x' };
    for await (const { offset } of outbox.read(entry, undefined, UNSTOPPED)) if (offset > 0) break;
    outbox.arrived(entry, 4);
    const rest = await readAll(outbox, entry, keptOf(Buffer.from('abcde')));
    expect(rest).toMatchObject({ from: 5, digest: sha256(Buffer.from('abcdef')) });
    expect(rest.bytes.toString()).toBe('f');
    expect(await failureOf(readAll(outbox, entry))).toMatchObject({ code: 'unrepeatable' });
  });

  test.each(['', '.', '..', 'a/b', 'x'.repeat(1025), 'a\0b'])('is not called %j', async (name) => {
    const stream = { name, source: Readable.from([]) };
    expect(await failureOf(openOutbox([], { stream }))).toMatchObject({ code: 'usage' });
  });

  test('that fails before it is read ends nothing but itself', async () => {
    const source = createReadStream(join(newFolder(), 'missing'));
    const outbox = await openOutbox([], { stream: { name: 'x', source } });
    await expect.poll(() => source.closed).toBe(true);
    const next = outbox.read({ kind: 'stream', path: 'x' }, undefined, UNSTOPPED).next();
    expect(await failureOf(next)).toMatchObject({ code: 'unreadable', path: 'x' });
    await outbox.close();
  });

  test('is not read any more once the outbox is closed', async () => {
    const source = new Readable({ read() {} });
    const outbox = await openOutbox([], { stream: { name: 'x', source } });
    const next = outbox.read({ kind: 'stream', path: 'x' }, undefined, UNSTOPPED).next();
    await outbox.close();
    expect(source.destroyed).toBe(true);
    expect(await failureOf(next)).toMatchObject({ code: 'unreadable' });
  });
});
