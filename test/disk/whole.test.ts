import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Handles } from '../../src/disk/handles.ts';
import type { OnConflict } from '../../src/disk/inbox.ts';
import { openOutbox } from '../../src/disk/outbox.ts';
import { openStagings } from '../../src/disk/staging.ts';
import { isInMemory, Syncs } from '../../src/disk/sync.ts';
import { DropError } from '../../src/errors.ts';
import { MAX_WHOLE } from '../../src/limits.ts';
import type { FileEntry } from '../../src/protocol/manifest.ts';
import type { Inbox, Stored } from '../../src/transfer/inbox.ts';
import type { Whole } from '../../src/transfer/outbox.ts';
import { BLOCKS_IN_FLIGHT } from '../../src/transfer/outflow.ts';
import { openHandles, withoutHandles } from '../support/handles.ts';
import { digestOf, sha256 } from '../support/memory.ts';
import { describeWith } from '../support/skip.ts';
import {
  asUser,
  DIGESTS,
  file,
  fileOf,
  folder,
  inboxIn,
  MTIME,
  newFolder,
  newFolderOfUser,
  partsIn,
  receiveStart,
  tree,
  unasked,
  visible,
} from './support.ts';

/** Nothing ends it. */
const NEVER = new AbortController().signal;

/** A small file that comes whole. */
interface Small {
  readonly entry: FileEntry;
  readonly content: string;
  /** If that is not the one of its content. */
  readonly digest?: Uint8Array;
}

function small(path: string, content: string, more: Partial<FileEntry> = {}): Small {
  return { entry: file(path, content.length, more), content };
}

/** One that is not what was sent. */
function spoiled(path: string, content: string): Small {
  return { ...small(path, content), digest: new Uint8Array(32) };
}

/** Settles where they go: nothing is there that would have to be looked at. */
async function placeAll(inbox: Inbox, files: readonly Small[]): Promise<void> {
  for (const { entry } of files)
    expect(await inbox.place(entry, async () => null)).toEqual({ want: 'all' });
}

/** Stores small files that came whole side by side, in memory that is overwritten at once. */
function storing(inbox: Inbox, files: readonly Small[]): Promise<readonly (Stored | DropError)[]> {
  const memory = Buffer.from(files.map(({ content }) => content).join(''));
  let at = 0;
  const stored = inbox.storeTogether(
    files.map(({ entry, content, digest }) => {
      const bytes = memory.subarray(at, at + content.length);
      at += bytes.length;
      return { entry, bytes, digest: digest ?? sha256(bytes) };
    }),
  );
  memory.fill('x');
  return stored;
}

/** Places them and stores them. Says for each where it lies, with an arrow if renamed, or why not. */
async function store(inbox: Inbox, target: string, files: readonly Small[]): Promise<string[]> {
  await placeAll(inbox, files);
  return fates(target, files, await storing(inbox, files));
}

function fates(
  target: string,
  files: readonly Small[],
  stored: readonly (Stored | DropError)[],
): string[] {
  expect(stored).toHaveLength(files.length);
  return stored.map((one, i) => {
    if (!(one instanceof DropError))
      return `${one.renamed ? '-> ' : ''}${relative(target, one.path)}`;
    const { path } = (files[i] as Small).entry;
    // Or the folder, if it is that which is wrong.
    expect([path, join(target, dirname(path))]).toContain(one.path);
    return one.code;
  });
}

/** A folder in memory that is removed after the test. */
function newFolderInMemory(): string {
  const folder = mkdtempSync('/dev/shm/drop-test-');
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

const DISKS: [string, () => string][] = [
  ['on a disk', newFolder],
  ...(existsSync('/dev/shm') ? [['in memory', newFolderInMemory] as [string, () => string]] : []),
];

describe.each(DISKS)('small files that came whole, %s', (where, makeFolder) => {
  test('lie under their names as they were sent, whatever becomes of the memory they came in', async () => {
    const target = makeFolder();
    // What a test takes for a disk may be none; but memory is.
    if (where === 'in memory') expect(await isInMemory(target)).toBe(true);
    const inbox = await inboxIn(target);
    const before = openHandles();
    await inbox.place(folder('d'), unasked);
    const files = [
      small('d/a', 'small', { mode: 0o750 }),
      small('empty', ''),
      small('d/b', 'too', { mtime: MTIME + 1 }),
      small('c', 'the last'),
    ];
    expect(await store(inbox, target, files)).toEqual(['d/a', 'empty', 'd/b', 'c']);
    const [a, b] = ['d/a', 'd/b'].map((path) => lstatSync(join(target, path)));
    expect((a?.mode ?? 0) & 0o777).toBe(0o750 & ~process.umask());
    expect([a, b].map((stats) => Math.round(stats?.mtimeMs ?? 0))).toEqual([MTIME, MTIME + 1]);
    expect([partsIn(target), openHandles()]).toEqual([[], before]);
    await inbox.finish();
    await inbox.close();
    expect(tree(target)).toEqual({
      d: '/',
      'd/a': 'small',
      'd/b': 'too',
      empty: '',
      c: 'the last',
    });
  });

  test.each(DIGESTS)('are told by %s if that was agreed on', async (name) => {
    const target = makeFolder();
    const inbox = await inboxIn(target);
    inbox.connected(name);
    const files = [
      { ...small('a', 'small'), digest: digestOf(name, Buffer.from('small')) },
      { ...small('b', 'small'), digest: digestOf(name, Buffer.from('other')) },
    ];
    expect(await store(inbox, target, files)).toEqual(['a', 'corrupt']);
    await inbox.close();
    expect(visible(target)).toEqual({ a: 'small' });
  });

  test('that are not what was sent leave nothing, and the others are stored', async () => {
    const target = makeFolder();
    const inbox = await inboxIn(target);
    const before = openHandles();
    for (let n = 0; n < 5; n++) {
      const files = [
        spoiled(`${n}a`, 'first'),
        small(`${n}b`, 'good'),
        spoiled(`${n}c`, ''),
        small(`${n}d`, ''),
        spoiled(`${n}e`, 'last'),
      ];
      expect(await store(inbox, target, files)).toEqual([
        ...['corrupt', `${n}b`, 'corrupt', `${n}d`, 'corrupt'],
      ]);
    }
    expect(Object.values(visible(target)).join('')).toBe('good'.repeat(5));
    expect([partsIn(target), openHandles()]).toEqual([[], before]);
    await inbox.close();
  });

  test('take the next free name, or none if that content has one, and the others their own', async () => {
    const target = makeFolder();
    const inbox = await inboxIn(target);
    await inbox.place(folder('d'), unasked);
    const files = [
      small('a', 'small'),
      small('other', 'small'),
      small('same', 'alike'),
      small('d/other', 'small'),
      small('z', 'zzz'),
    ];
    await placeAll(inbox, files);
    // Somebody else has put them there since.
    for (const path of ['other', 'd/other']) writeFileSync(join(target, path), 'theirs');
    for (const path of ['same', 'other (1)']) writeFileSync(join(target, path), 'alike');
    expect(fates(target, files, await storing(inbox, files))).toEqual([
      ...['a', '-> other (2)', 'same', '-> d/other (1)', 'z'],
    ]);
    expect(partsIn(target)).toEqual([]);
    await inbox.close();
    expect(visible(target)).toEqual({
      ...{ a: 'small', other: 'theirs', 'other (1)': 'alike', 'other (2)': 'small' },
      ...{ same: 'alike', d: '/', 'd/other': 'theirs', 'd/other (1)': 'small', z: 'zzz' },
    });
  });

  test('of one content keep apart where their names become one', async () => {
    const target = makeFolder();
    const inbox = await inboxIn(target, { platform: 'windows' });
    const files = [small('a?', 'small'), small('a*', 'small'), small('b', 'small')];
    const [first = '', second = '', third] = await store(inbox, target, files);
    expect([first.slice(0, 3), second, third]).toEqual([
      ...['-> ', first.replace(/$/, ' (1)'), 'b'],
    ]);
    await inbox.close();
    expect(Object.values(visible(target))).toEqual(['small', 'small', 'small']);
  });

  test('need no part any more that a broken transfer has left of another version', async () => {
    const target = makeFolder();
    const stagings = await openStagings(newFolder());
    const broken = await inboxIn(target, { stagings });
    await receiveStart(broken, fileOf('a', 'a former version'), 5);
    await receiveStart(broken, fileOf('b', 'not offered again'), 6);
    await broken.close();
    expect(partsIn(target)).toHaveLength(2);
    const inbox = await inboxIn(target, { stagings });
    expect(await store(inbox, target, [small('a', 'small'), small('c', '')])).toEqual(['a', 'c']);
    expect(partsIn(target).map((path) => readFileSync(path, 'utf8'))).toEqual(['not of']);
    await inbox.close();
  });

  test('are all settled before the inbox is closed', async () => {
    const target = makeFolder();
    const inbox = await inboxIn(target);
    const files = Array.from({ length: 200 }, (_, n) => small(`${n}`, `of ${n}`));
    await placeAll(inbox, files);
    const stored = storing(inbox, files);
    await inbox.close();
    expect(tree(target)).toEqual(
      Object.fromEntries(files.map(({ entry, content }) => [entry.path, content])),
    );
    expect(fates(target, files, await stored)).toEqual(files.map(({ entry }) => entry.path));
  });

  test('wait where no more may be open, and are the same then', async () => {
    const target = makeFolder();
    const inbox = await inboxIn(target);
    const before = openHandles();
    const files = Array.from({ length: 600 }, (_, n) => {
      const name = `${n}`.padStart(3, '0');
      return n % 50 === 49 ? spoiled(name, name) : small(name, name);
    });
    await placeAll(inbox, files);
    // More in one group than may be open, and several groups at once.
    const groups = [files.slice(0, 250), files.slice(250, 500), files.slice(500)];
    const stored = groups.map((group) => storing(inbox, group));
    if (before > 0) expect(openHandles() - before).toBeLessThanOrEqual(150);
    const expected = files.map(({ entry, digest }) => (digest ? 'corrupt' : entry.path));
    expect(fates(target, files, (await Promise.all(stored)).flat())).toEqual(expected);
    const good = files.filter(({ digest }) => digest === undefined);
    expect(visible(target)).toEqual(
      Object.fromEntries(good.map(({ entry, content }) => [entry.path, content])),
    );
    expect([partsIn(target), openHandles()]).toEqual([[], before]);
    await inbox.close();
  });

  test('go nowhere else where a folder is replaced by a link, and the others are stored', async () => {
    const target = makeFolder();
    const outside = makeFolder();
    const inbox = await inboxIn(target);
    for (const path of ['d', 'e', 'f']) await inbox.place(folder(path), unasked);
    const files = ['d/a', 'd/b', 'e/a', 'd/c', 'f/a', 'a'].map((path) => small(path, path));
    await placeAll(inbox, files);
    for (const path of ['d', 'f']) renameSync(join(target, path), join(target, `${path} moved`));
    symlinkSync(outside, join(target, 'd'));
    mkdirSync(join(target, 'f'));
    expect(fates(target, files, await storing(inbox, files))).toEqual([
      ...['disk', 'disk', 'e/a', 'disk', 'disk', 'a'],
    ]);
    expect(tree(outside)).toEqual({});
    expect(partsIn(target)).toEqual([]);
    await inbox.close();
    expect(visible(target)).toEqual({
      ...{
        d: `-> ${outside}`,
        'd moved': '/',
        e: '/',
        'e/a': 'e/a',
        f: '/',
        'f moved': '/',
        a: 'a',
      },
    });
  });

  test('are named as late as that, when they are whole', async () => {
    const target = makeFolder();
    const outside = makeFolder();
    const marked: string[] = [];
    const inbox = await inboxIn(target, {
      mark: async (path) => {
        // All of them lie there, and none has its name.
        expect([visible(target), partsIn(target).length]).toEqual([{ d: '/' }, 3]);
        if (marked.push(readFileSync(path, 'utf8')) < 3) return;
        renameSync(join(target, 'd'), join(target, 'moved'));
        symlinkSync(outside, join(target, 'd'));
      },
    });
    await inbox.place(folder('d'), unasked);
    const files = [small('d/a', 'one'), small('b', 'two'), spoiled('c', '-'), small('d/d', 'four')];
    expect(await store(inbox, target, files)).toEqual(['disk', 'b', 'corrupt', 'disk']);
    expect(marked).toEqual(['one', 'two', 'four']);
    expect([tree(outside), partsIn(target)]).toEqual([{}, []]);
    await inbox.close();
  });

  test('that cannot be marked fail one by one', async () => {
    const target = makeFolder();
    const before = openHandles();
    const inbox = await inboxIn(target, {
      mark: async (path) => {
        if (readFileSync(path, 'utf8') !== 'one') return;
        throw Object.assign(new Error('EACCES'), { code: 'EACCES', syscall: 'setxattr' });
      },
    });
    const files = [small('a', 'one'), small('b', 'two')];
    expect(await store(inbox, target, files)).toEqual(['not-permitted', 'b']);
    expect([partsIn(target), openHandles()]).toEqual([[], before]);
    await inbox.close();
  });

  test('leave nothing open where one fails in a way that nobody has thought of', async () => {
    const target = makeFolder();
    const before = openHandles();
    const wrong = new TypeError('a bug');
    const inbox = await inboxIn(target, {
      mark: async (path) => {
        if (readFileSync(path, 'utf8') === 'two') throw wrong;
      },
    });
    const files = [small('a', 'one'), small('b', 'two'), small('c', 'three')];
    await placeAll(inbox, files);
    await expect(storing(inbox, files)).rejects.toBe(wrong);
    expect([partsIn(target), openHandles()]).toEqual([[], before]);
    await inbox.close();
    expect(tree(target)).toEqual({ a: 'one', c: 'three' });
  });

  describe('where something else has the name', () => {
    /** Stores a group over what is there: older and newer than it, in a folder too; and a new one. */
    async function storeOver(onConflict: OnConflict) {
      const target = makeFolder();
      const inbox = await inboxIn(target, { onConflict });
      mkdirSync(join(target, 'd'));
      for (const path of ['d', 'n']) await inbox.place(folder(path), unasked);
      const files = ['new', 'older', 'd/older', 'younger', 'n/older'].map((path) =>
        small(path, 'ours'),
      );
      await placeAll(inbox, files);
      // Put there since, or they would not be wanted at all.
      for (const [path, age] of [
        ...([
          ['older', -1],
          ['d/older', -1],
          ['younger', 1],
          ['n/older', -1],
        ] as const),
      ]) {
        writeFileSync(join(target, path), 'theirs');
        utimesSync(join(target, path), MTIME / 1000 + age, MTIME / 1000 + age);
      }
      const stored = fates(target, files, await storing(inbox, files));
      expect(partsIn(target)).toEqual([]);
      await inbox.close();
      const { d: _, n: __, ...left } = visible(target);
      return { stored, left };
    }

    test.each(['rename', 'skip'] as const)('leave it there (%s)', async (how) => {
      const { stored, left } = await storeOver(how);
      expect(stored).toEqual([
        ...['new', '-> older (1)', '-> d/older (1)', '-> younger (1)', '-> n/older (1)'],
      ]);
      expect(left).toEqual({
        ...{ new: 'ours', older: 'theirs', 'older (1)': 'ours', younger: 'theirs' },
        ...{ 'younger (1)': 'ours', 'd/older': 'theirs', 'd/older (1)': 'ours' },
        ...{ 'n/older': 'theirs', 'n/older (1)': 'ours' },
      });
    });

    test('take its place if they may', async () => {
      const { stored, left } = await storeOver('overwrite');
      expect(stored).toEqual(['new', 'older', 'd/older', 'younger', 'n/older']);
      expect(new Set(Object.values(left))).toEqual(new Set(['ours']));
      expect(Object.keys(left)).toHaveLength(5);
    });

    test('take its place if that is older', async () => {
      const { stored, left } = await storeOver('newer');
      expect(stored).toEqual(['new', 'older', 'd/older', '-> younger (1)', 'n/older']);
      expect(left).toEqual({
        ...{ new: 'ours', older: 'ours', 'd/older': 'ours', younger: 'theirs' },
        ...{ 'younger (1)': 'ours', 'n/older': 'ours' },
      });
    });
  });
});

test.skipIf(process.platform === 'win32')(
  'small files in a folder that nobody may write to fail, and the others of their group are stored',
  async () => {
    const target = await newFolderOfUser();
    await asUser(async () => {
      const inbox = await inboxIn(target, { stagings: await openStagings(newFolder()) });
      await inbox.place(folder('d'), unasked);
      const files = [small('d/a', 'one'), small('b', 'two'), small('d/c', 'three')];
      await placeAll(inbox, files);
      chmodSync(join(target, 'd'), 0o500);
      const before = openHandles();
      expect(fates(target, files, await storing(inbox, files))).toEqual([
        ...['not-permitted', 'b', 'not-permitted'],
      ]);
      expect([partsIn(target), openHandles()]).toEqual([[], before]);
      chmodSync(join(target, 'd'), 0o700);
      await inbox.finish();
      await inbox.close();
      expect(tree(target)).toEqual({ d: '/', b: 'two' });
    });
  },
);

test.skipIf(process.platform === 'win32')(
  'a small file that is there already is stored, though what came cannot be removed',
  async () => {
    const target = await newFolderOfUser();
    await asUser(async () => {
      let staging = '';
      const inbox = await inboxIn(target, {
        stagings: await openStagings(newFolder()),
        mark: async (path) => {
          staging = dirname(path);
          writeFileSync(join(target, 'a'), 'one');
          chmodSync(staging, 0o500);
        },
      });
      expect(await store(inbox, target, [small('a', 'one')])).toEqual(['a']);
      expect(partsIn(target)).toHaveLength(1);
      chmodSync(staging, 0o700);
      await inbox.close();
    });
  },
);

describeWith(['prlimit'], 'where the system opens no file', () => {
  test('small files fail, and the next ones do not', async () => {
    const target = newFolder();
    const inbox = await inboxIn(target);
    const files = [small('a', 'one'), small('b', 'two')];
    await placeAll(inbox, [...files, small('c', 'three')]);
    let failed: string[] = [];
    await withoutHandles(async () => {
      failed = fates(target, files, await storing(inbox, files));
    });
    expect(failed).toEqual(['too-many-open', 'too-many-open']);
    const stored = await storing(inbox, [small('c', 'three')]);
    expect(stored).toMatchObject([{ renamed: false }]);
    expect(visible(target)).toEqual({ c: 'three' });
    await inbox.close();
  });
});

describe('small files that are read together', () => {
  async function outboxOf(contents: Record<string, string>) {
    const source = join(newFolder(), 'r');
    mkdirSync(source);
    for (const [name, content] of Object.entries(contents)) {
      writeFileSync(join(source, name), content);
      utimesSync(join(source, name), 1e9, 1e9);
    }
    const outbox = await openOutbox([source]);
    const entries: FileEntry[] = [];
    for await (const entry of outbox.entries()) if (entry.kind === 'file') entries.push(entry);
    return { source, outbox, entries };
  }

  function shown(all: readonly (Whole | DropError)[]): string[] {
    return all.map((one) => {
      if (one instanceof DropError) return `${one.code} ${one.path}`;
      expect(new Uint8Array(one.digest)).toEqual(sha256(one.bytes));
      return Buffer.from(one.bytes).toString();
    });
  }

  test('come each with its digest, side by side', async () => {
    const { outbox, entries } = await outboxOf({ a: 'one', b: '', c: 'three' });
    expect(shown(await outbox.readTogether(entries, NEVER))).toEqual(['one', '', 'three']);
    expect(outbox.small).toBe(MAX_WHOLE);
  });

  test('fail one by one', async () => {
    const { source, outbox, entries } = await outboxOf({ a: 'a', b: 'b', c: 'c', d: 'd', e: 'e' });
    writeFileSync(join(source, 'a'), 'longer');
    rmSync(join(source, 'b'));
    rmSync(join(source, 'c'));
    symlinkSync(join(source, 'e'), join(source, 'c'));
    utimesSync(join(source, 'd'), 2e9, 2e9);
    expect(shown(await outbox.readTogether(entries, NEVER))).toEqual([
      ...['changed r/a', 'missing r/b', 'changed r/c', 'changed r/d', 'e'],
    ]);
  });

  test('keep their memory while as many others are on their way as may be', async () => {
    const contents = Object.fromEntries(
      Array.from({ length: 30 }, (_, n) => [String.fromCharCode(97 + n), `${n}`.repeat(1000)]),
    );
    const { outbox, entries } = await outboxOf(contents);
    const onTheirWay: { readonly all: readonly (Whole | DropError)[]; readonly was: string[] }[] =
      [];
    for (let at = 0; at < entries.length; at += 3) {
      const all = await outbox.readTogether(entries.slice(at, at + 3), NEVER);
      onTheirWay.push({ all, was: shown(all) });
      if (onTheirWay.length === BLOCKS_IN_FLIGHT) onTheirWay.shift();
      for (const { all: some, was } of onTheirWay) expect(shown(some)).toEqual(was);
    }
  });
});

describe('opening at once', () => {
  test('is possible as long as there is room, and gives way to who waits', async () => {
    const handles = new Handles();
    let opened = 0;
    while (opened < 10_000 && handles.openAtOnce(() => ++opened) !== undefined);
    expect(opened).toBeGreaterThan(50);
    expect(opened).toBeLessThan(1_000);
    let waited = false;
    const waiting = handles.open(() => {
      waited = true;
    });
    await Promise.resolve();
    expect(waited).toBe(false);
    handles.closed();
    await waiting;
    expect(handles.openAtOnce(() => 1)).toBeUndefined();
  });

  test('that fails takes no room', () => {
    const handles = new Handles();
    for (const code of ['EMFILE', 'ENFILE'])
      for (let n = 0; n < 300; n++) {
        const open = (): never => {
          throw Object.assign(new Error(code), { code, errno: 0, syscall: 'open' });
        };
        expect(handles.openAtOnce(open)).toBeUndefined();
      }
    const denied = (): never => {
      throw new Error('denied');
    };
    for (let n = 0; n < 300; n++) expect(() => handles.openAtOnce(denied)).toThrow('denied');
    expect(handles.openAtOnce(() => 'open')).toBe('open');
  });
});

describe('syncing in memory', () => {
  test.runIf(existsSync('/dev/shm'))('is told from syncing on a disk', async () => {
    expect(await isInMemory('/dev/shm')).toBe(true);
    expect(await isInMemory('/proc')).toBe(false);
  });

  test('is nothing to do, and on a disk fails where there is nothing to sync', async () => {
    const none = join(newFolder(), 'none');
    const inMemory = new Syncs(new Handles(), { inMemory: true });
    await Promise.all([inMemory.folder(none), inMemory.file(-1)]);
    const onDisk = new Syncs(new Handles());
    await expect(onDisk.folder(none)).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(onDisk.file(-1)).rejects.toBeInstanceOf(Error);
    // What failed keeps nobody from the next.
    mkdirSync(none);
    await Promise.all(Array.from({ length: 50 }, () => onDisk.folder(none)));
  });
});
