import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Tree } from '../../src/disk/tree.ts';
import { openShelf, type Range, type Shelf, type ShelfEntry } from '../../src/handover/shelf.ts';
import { MAX_CHUNK } from '../../src/limits.ts';
import type { FileEntry } from '../../src/protocol/manifest.ts';
import { content } from '../support/content.ts';
import { openHandles } from '../support/handles.ts';
import { asUser, failureOf, newFolder, newFolderOfUser } from './support.ts';

async function fileAt(shelf: Shelf, path: string): Promise<FileEntry> {
  const entry = await shelf.find(path);
  if (entry?.kind !== 'file') throw new Error(`no file ${path}`);
  return entry;
}

async function readAll(shelf: Shelf, file: FileEntry, part?: Range): Promise<Buffer> {
  const blocks: Uint8Array[] = [];
  for await (const block of shelf.read(file, part)) {
    expect(block.length).toBeLessThanOrEqual(MAX_CHUNK);
    blocks.push(block);
  }
  return Buffer.concat(blocks);
}

/** `kind path` of each. */
async function lines(entries: AsyncIterable<ShelfEntry>): Promise<string[]> {
  const all: string[] = [];
  for await (const entry of entries)
    all.push(`${entry.kind === 'unsendable' ? entry.reason : entry.kind} ${entry.path}`);
  return all;
}

/** A shelf with `tree`, in which all sorts of things lie. */
async function shelfOfAll(exclude?: readonly string[]) {
  const folder = newFolder();
  const tree = join(folder, 'tree');
  mkdirSync(join(tree, 'sub/deep'), { recursive: true });
  mkdirSync(join(tree, 'empty'));
  for (const path of ['a.txt', '.hidden', 'sub/b.txt', 'sub/deep/c.txt', 'sub/secret.txt'])
    writeFileSync(join(tree, path), path);
  writeFileSync(join(folder, 'beside.txt'), 'not shared');
  symlinkSync('sub/b.txt', join(tree, 'inside'));
  symlinkSync('../beside.txt', join(tree, 'outside'));
  symlinkSync('sub', join(tree, 'folder'));
  return { folder, tree, shelf: await openShelf([tree], { exclude }) };
}

describe('a part of a file', () => {
  test('is what a slice of it is, wherever it begins and ends', async () => {
    const path = join(newFolder(), 'file');
    const size = 3 * MAX_CHUNK + 17;
    const bytes = Buffer.concat([...content('slices', size)]);
    writeFileSync(path, bytes);
    const shelf = await openShelf([path]);
    const file = await fileAt(shelf, 'file');
    const open = openHandles();
    const place = fc.oneof(
      fc.integer({ min: 0, max: size }),
      fc.constantFrom(0, 1, MAX_CHUNK - 1, MAX_CHUNK, MAX_CHUNK + 1, 3 * MAX_CHUNK, size - 1, size),
    );
    await fc.assert(
      fc.asyncProperty(place, place, async (a, b) => {
        const [from, to] = [Math.min(a, b), Math.max(a, b)];
        const read = await readAll(shelf, file, { from, to });
        expect(read.equals(bytes.subarray(from, to))).toBe(true);
      }),
      { numRuns: 60 },
    );
    expect((await readAll(shelf, file)).equals(bytes)).toBe(true);
    expect(openHandles()).toBe(open);
  });

  test('is not read further than it is asked for, and leaves nothing open', async () => {
    const path = join(newFolder(), 'file');
    writeFileSync(path, Buffer.alloc(3 * MAX_CHUNK));
    const shelf = await openShelf([path]);
    const open = openHandles();
    for await (const block of shelf.read(await fileAt(shelf, 'file'))) {
      expect(block.length).toBe(MAX_CHUNK);
      break;
    }
    expect(openHandles()).toBe(open);
  });

  test.each([
    ['was written to', (path: string) => appendFileSync(path, 'more')],
    ['became shorter', (path: string) => writeFileSync(path, 'less')],
    ['was touched', (path: string) => utimesSync(path, 1, 1)],
    [
      'became a link',
      (path: string) => {
        renameSync(path, `${path} `);
        symlinkSync(`${path} `, path);
      },
    ],
  ])('is not read if the file %s since it was found', async (_, change) => {
    const path = join(newFolder(), 'file');
    writeFileSync(path, Buffer.alloc(1000));
    const shelf = await openShelf([path]);
    const file = await fileAt(shelf, 'file');
    change(path);
    expect(await failureOf(readAll(shelf, file))).toMatchObject({ code: 'changed' });
  });

  test('never comes to its end if the file is written to meanwhile', async () => {
    const path = join(newFolder(), 'file');
    writeFileSync(path, Buffer.alloc(2 * MAX_CHUNK));
    const shelf = await openShelf([path]);
    const file = await fileAt(shelf, 'file');
    let got = 0;
    const reading = (async () => {
      for await (const block of shelf.read(file)) {
        got += block.length;
        utimesSync(path, 1, 1);
      }
    })();
    expect(await failureOf(reading)).toMatchObject({ code: 'changed' });
    expect(got).toBe(MAX_CHUNK);
  });

  test('is not read through a link that is gone again by the time that it is looked for', async () => {
    const folder = newFolder();
    for (const path of ['tree/sub/a', 'elsewhere/a']) {
      mkdirSync(join(folder, path, '..'), { recursive: true });
      writeFileSync(join(folder, path), path.slice(0, 4));
      utimesSync(join(folder, path), 1e9, 1e9);
    }
    const shelf = await openShelf([join(folder, 'tree')]);
    const file = await fileAt(shelf, 'tree/sub/a');
    vi.spyOn(Tree.prototype, 'sourceOf').mockReturnValueOnce(join(folder, 'elsewhere/a'));
    onTestFinished(() => void vi.restoreAllMocks());
    expect(await failureOf(readAll(shelf, file))).toMatchObject({ code: 'changed' });
    expect((await readAll(shelf, file)).toString()).toBe('tree');
  });

  test('is not read through a folder that became a link', async () => {
    const { tree, folder, shelf } = await shelfOfAll();
    const file = await fileAt(shelf, 'tree/sub/b.txt');
    renameSync(join(tree, 'sub'), join(folder, 'elsewhere'));
    symlinkSync(join(folder, 'elsewhere'), join(tree, 'sub'));
    expect(await failureOf(readAll(shelf, file))).toMatchObject({ code: 'changed' });
  });

  test('is not read of what is not shared', async () => {
    const { shelf } = await shelfOfAll();
    const forged: FileEntry = { kind: 'file', path: 'beside.txt', size: 10, mtime: 0 };
    expect(await failureOf(readAll(shelf, forged))).toMatchObject({ code: 'missing' });
  });
});

describe('what is found', () => {
  test('is what is there now, by the paths that a walk has', async () => {
    const { tree, shelf } = await shelfOfAll();
    const walked = await lines(shelf.walk());
    expect(walked).toEqual([
      'folder tree',
      'file tree/.hidden',
      'file tree/a.txt',
      'folder tree/empty',
      'link tree/folder',
      'link tree/inside',
      'unsupported tree/outside',
      'folder tree/sub',
      'file tree/sub/b.txt',
      'folder tree/sub/deep',
      'file tree/sub/deep/c.txt',
      'file tree/sub/secret.txt',
    ]);
    for (const line of walked) {
      const [, kind, path = ''] = /^(\S+) (.+)$/.exec(line) ?? [];
      const found = await shelf.find(path);
      expect(found?.kind === 'unsendable' ? found.reason : found?.kind).toBe(kind);
    }
    writeFileSync(join(tree, 'new'), 'new');
    expect(await shelf.find('tree/new')).toMatchObject({ kind: 'file', size: 3 });
    rmSync(join(tree, 'new'));
    expect(await shelf.find('tree/new')).toBeUndefined();
  });

  test.each([
    '',
    '/',
    '.',
    '..',
    'other',
    'beside.txt',
    'tree/',
    '/tree',
    'tree//a.txt',
    'tree/./a.txt',
    'tree/../beside.txt',
    'tree/a.txt/',
    'tree/a.txt/b',
    'tree/a.txt\0',
    'tree/folder/b.txt',
    'tree/missing',
    '__proto__',
  ])('is nothing at %j', async (path) => {
    const { shelf } = await shelfOfAll();
    expect(await shelf.find(path)).toBeUndefined();
  });

  test('is nothing of what is left out, nor what lies in it', async () => {
    const { shelf } = await shelfOfAll(['secret.txt', 'deep/']);
    expect(await lines(shelf.walk())).not.toContain('file tree/sub/secret.txt');
    for (const path of ['tree/sub/secret.txt', 'tree/sub/deep', 'tree/sub/deep/c.txt'])
      expect(await shelf.find(path)).toBeUndefined();
    expect(await shelf.find('tree/sub/b.txt')).toMatchObject({ kind: 'file' });
  });

  test('is listed folder by folder', async () => {
    const { shelf } = await shelfOfAll(['secret.txt']);
    expect(await lines(shelf.list())).toEqual(['folder tree']);
    const sub = await shelf.find('tree/sub');
    if (sub?.kind !== 'folder') throw new Error('no folder');
    expect(await lines(shelf.list(sub))).toEqual(['file tree/sub/b.txt', 'folder tree/sub/deep']);
    expect(await lines(shelf.walk(sub))).toEqual([
      'folder tree/sub',
      'file tree/sub/b.txt',
      'folder tree/sub/deep',
      'file tree/sub/deep/c.txt',
    ]);
  });

  test('is said to be gone where a root is', async () => {
    const { tree, shelf } = await shelfOfAll();
    rmSync(tree, { recursive: true });
    expect(await lines(shelf.list())).toEqual(['missing tree']);
    expect(await shelf.find('tree')).toBeUndefined();
  });

  test('cannot be handed out if it cannot be read, or is a socket', async () => {
    const folder = await newFolderOfUser();
    await asUser(async () => {
      writeFileSync(join(folder, 'closed'), 'closed');
      chmodSync(join(folder, 'closed'), 0);
    });
    const server = createServer().listen(join(folder, 'socket'));
    onTestFinished(() => void server.close());
    await asUser(async () => {
      const shelf = await openShelf([folder]);
      const [, ...found] = await lines(shelf.walk());
      const inside = found.map((line) => line.replace(/ .*\//, ' '));
      expect(inside).toEqual(['unreadable closed', 'unsupported socket']);
    });
  });
});

test('a shelf of nothing that is there is not opened', async () => {
  const path = join(newFolder(), 'missing');
  expect(await failureOf(openShelf([path]))).toMatchObject({ code: 'missing', path });
});
