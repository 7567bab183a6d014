import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { Hashers } from '../../src/disk/hashers.ts';
import type { InboxOptions, OnConflict } from '../../src/disk/inbox.ts';
import { openStagings, type Stagings } from '../../src/disk/staging.ts';
import type { PeerId } from '../../src/events.ts';
import type { FileEntry } from '../../src/protocol/manifest.ts';
import { openHandles } from '../support/handles.ts';
import { digestOf, sha256 } from '../support/memory.ts';
import {
  asUser,
  DIGESTS,
  failureOf,
  fileOf,
  folder,
  inboxIn,
  link,
  MTIME,
  newFolder,
  newFolderOfUser,
  type Offered,
  place,
  receiveAll,
  receiveStart,
  tree,
  unasked,
} from './support.ts';

/** A whole transfer of these entries. Says what was wanted of its files. */
async function send(
  target: string,
  offered: readonly Offered[],
  options: Partial<InboxOptions> = {},
): Promise<string[]> {
  const inbox = await inboxIn(target, options);
  const wanted = await receiveAll(inbox, offered);
  expect(await inbox.finish()).toEqual([]);
  await inbox.close();
  return wanted;
}

/** Puts a file of the receiver's own there. */
function own(path: string, content: string, mtime = MTIME): void {
  writeFileSync(path, content);
  utimesSync(path, mtime / 1000, mtime / 1000);
}

const HOUR = 3_600_000;

describe('a file that somebody else sends at the same time', () => {
  test('is another one, though it has the name, the size and the time', async () => {
    const target = newFolder();
    const [mine, yours] = ['mine', 'your'].map((content) => fileOf('x', content));
    const other = await inboxIn(target, { peer: 'bb'.repeat(32) as PeerId });
    // The clock that files are stamped by goes in steps of a few milliseconds.
    await sleep(20);
    await send(target, [mine as Offered]);
    expect(await receiveAll(other, [yours as Offered])).toEqual(['all x']);
    await other.finish();
    await other.close();
    expect(tree(target)).toMatchObject({ x: 'mine', 'x (1)': 'your' });
    // Later, each of them is known again by what it is.
    expect(await send(target, [mine as Offered])).toEqual(['unchanged x']);
  });
});

describe('what nobody wants to know any more', () => {
  const MiB = 1024 * 1024;
  const content = Buffer.alloc(8 * MiB, 'content');
  const offered = fileOf('x', content);

  /** Looks for it on the disk, until a little of that is read. Says how much was, in blocks. */
  async function lookFor(target: string, stagings?: Stagings): Promise<number> {
    const hashers = new Hashers();
    const gone = new AbortController();
    let blocks = 0;
    vi.spyOn(hashers, 'begin').mockImplementation(() => ({
      update() {
        blocks += 1;
        gone.abort();
      },
      soFar: () => new Uint8Array(32),
      digest: () => new Uint8Array(32),
    }));
    const inbox = await inboxIn(target, { hashers, ...(stagings && { stagings }) });
    const before = openHandles();
    const placing = inbox.place(offered.entry, async () => sha256(content), gone.signal);
    expect(await placing).toEqual({ want: 'all' });
    expect(openHandles()).toBe(before);
    await inbox.close();
    return blocks;
  }

  test('is read no further: a file that may be the same', async () => {
    const target = newFolder();
    writeFileSync(join(target, 'x'), content);
    expect(await lookFor(target)).toBe(1);
  });

  test('is read no further: the start of it, which stays for the next time', async () => {
    const target = newFolder();
    const stagings = await openStagings(newFolder());
    const first = await inboxIn(target, { stagings });
    await receiveStart(first, offered, 7 * MiB);
    await first.close();
    expect(await lookFor(target, stagings)).toBe(1);
    const next = await inboxIn(target, { stagings });
    expect(await receiveAll(next, [offered])).toEqual(['rest x']);
    await next.close();
  });
});

describe('a file that is sent again', () => {
  test('is compared by what each connection agreed on', async () => {
    const target = newFolder();
    own(join(target, 'x'), 'same');
    const inbox = await inboxIn(target, { checksum: true });
    for (const name of [...DIGESTS, ...DIGESTS]) {
      inbox.connected(name);
      const { entry, content } = fileOf(`as ${name}`, 'same', MTIME + HOUR);
      const placing = inbox.place({ ...entry, path: 'x' } as FileEntry, async () =>
        digestOf(name, content as Buffer),
      );
      expect(await placing).toEqual({ want: 'nothing', reason: 'identical' });
    }
    await inbox.close();
  });

  test('is known by its size and time, without a look into it', async () => {
    const target = newFolder();
    own(join(target, 'x'), 'mine');
    const inbox = await inboxIn(target);
    const { entry } = fileOf('x', 'sent');
    expect(await inbox.place(entry, unasked)).toEqual({ want: 'nothing', reason: 'unchanged' });
    await inbox.close();
  });

  test.each([
    ['of another time', {}, MTIME + HOUR],
    ['with --checksum', { checksum: true }, MTIME],
  ])('%s is known by its content, and keeps the time that it has', async (_, options, mtime) => {
    const target = newFolder();
    own(join(target, 'same'), 'content');
    own(join(target, 'other'), 'CONTENT');
    const offered = [fileOf('same', 'content', mtime), fileOf('other', 'content', mtime)];
    expect(await send(target, offered, options)).toEqual(['identical same', 'all other']);
    expect(tree(target)).toEqual({ same: 'content', other: 'CONTENT', 'other (1)': 'content' });
    expect(await send(target, offered, options)).toEqual(['identical same', 'identical other']);
  });

  test('whose sender cannot read it any more is wanted', async () => {
    const target = newFolder();
    own(join(target, 'x'), 'content', MTIME + HOUR);
    const inbox = await inboxIn(target);
    const { entry } = fileOf('x', 'content');
    expect(await inbox.place(entry, async () => null)).toEqual({ want: 'all' });
    await inbox.close();
  });

  test('fails with the connection over which it is compared', async () => {
    const target = newFolder();
    own(join(target, 'x'), 'content', MTIME + HOUR);
    const inbox = await inboxIn(target);
    const lost = async (): Promise<never> => {
      throw new Error('lost');
    };
    expect(await failureOf(place(inbox, fileOf('x', 'content').entry, lost))).toMatchObject({
      message: 'lost',
    });
    await inbox.close();
  });

  test('a third time, changed each time, makes one copy of each version', async () => {
    const target = newFolder();
    const versions = ['one', 'two', 'three', 'four'].map((text, i) => [
      fileOf('x.txt', text, MTIME + i * HOUR),
    ]);
    for (const version of [...versions, ...versions, ...versions]) await send(target, version);
    expect(tree(target)).toEqual({
      'x.txt': 'one',
      'x (1).txt': 'two',
      'x (2).txt': 'three',
      'x (3).txt': 'four',
    });
  });

  test('is known among many versions of one size', async () => {
    const target = newFolder();
    const versions = Array.from({ length: 8 }, (_, i) => [fileOf('x', `${i}`, MTIME + i * HOUR)]);
    for (const version of versions) await send(target, version);
    for (const [i, version] of versions.entries())
      expect(await send(target, version)).toEqual([i === 0 ? 'unchanged x' : 'identical x']);
    expect(readdirSync(target)).toHaveLength(8);
  });

  test('is found in a name that was given last, though ten thousand are taken', async () => {
    const target = newFolder();
    for (let n = 0; n < 10_000; n++) {
      const name = join(target, n === 0 ? 'x' : `x (${n})`);
      if (n === 0) writeFileSync(name, 'theirs');
      else linkSync(join(target, 'x'), name);
    }
    const offered = [fileOf('x', 'content')];
    expect(await send(target, offered)).toEqual(['all x']);
    expect(await send(target, offered)).toEqual(['identical x']);
    expect(readdirSync(target)).toHaveLength(10_001);
  });

  test('is not looked for where a link leads, nor in what is no file', async () => {
    const target = newFolder();
    const elsewhere = newFolder();
    own(join(elsewhere, 'x'), 'content');
    symlinkSync(join(elsewhere, 'x'), join(target, 'x'));
    mkdirSync(join(target, 'y'));
    const offered = [fileOf('x', 'content'), fileOf('y', 'content')];
    expect(await send(target, offered)).toEqual(['all x', 'all y']);
    expect(tree(target)).toEqual({
      x: `-> ${join(elsewhere, 'x')}`,
      'x (1)': 'content',
      y: '/',
      'y (1)': 'content',
    });
  });

  test('is not looked for in a folder that a link took the place of', async () => {
    const target = newFolder();
    const elsewhere = newFolder();
    mkdirSync(join(target, 'f'));
    own(join(elsewhere, 'x'), 'content');
    const inbox = await inboxIn(target);
    await inbox.place(folder('f'), unasked);
    renameSync(join(target, 'f'), join(target, 'away'));
    symlinkSync(elsewhere, join(target, 'f'));
    const { entry } = fileOf('f/x', 'content');
    expect(await inbox.place(entry, unasked)).toEqual({ want: 'all' });
    await inbox.close();
  });

  test('and may not be read here is stored beside what is there', async () => {
    const target = await newFolderOfUser();
    await asUser(async () => {
      writeFileSync(join(target, 'x'), 'content', { mode: 0o200 });
      expect(await send(target, [fileOf('x', 'content')])).toEqual(['all x']);
      expect(readFileSync(join(target, 'x (1)'), 'utf8')).toBe('content');
    });
  });

  test('under another name is known by that name', async () => {
    const target = newFolder();
    const offered = [fileOf('x', 'content')];
    expect(await send(target, offered, { as: 'mine' })).toEqual(['all x']);
    expect(await send(target, offered, { as: 'mine' })).toEqual(['identical x']);
    expect(await send(target, offered)).toEqual(['all x']);
  });

  test('under another name in a folder, likewise', async () => {
    const target = newFolder();
    const offered = [{ entry: folder('f') }, fileOf('f/x', 'content')];
    expect(await send(target, offered, { as: 'mine' })).toEqual(['all f/x']);
    expect(await send(target, offered, { as: 'mine' })).toEqual(['identical f/x']);
    expect(tree(target)).toEqual({ f: '/', 'f/mine': 'content' });
  });
});

describe('just before a file gets its name', () => {
  test('it is compared once more: of two transfers of one file at once only one is stored', async () => {
    const target = newFolder();
    const inboxes = [await inboxIn(target), await inboxIn(target), await inboxIn(target)];
    writeFileSync(join(target, 'x'), 'another');
    const content = Buffer.from('content');
    const { entry } = fileOf('x', content);
    if (entry.kind !== 'file') throw new Error();
    const incoming = await Promise.all(inboxes.map((inbox) => inbox.open(entry, 0)));
    const stored = await Promise.all(
      incoming.map(async (one) => {
        await one.write(content);
        return one.commit(sha256(content));
      }),
    );
    const path = join(realpathSync(target), 'x (1)');
    expect(stored).toEqual([1, 2, 3].map(() => ({ path, renamed: true })));
    for (const inbox of inboxes) await inbox.close();
    expect(tree(target)).toEqual({ x: 'another', 'x (1)': 'content' });
  });

  test('a stream is compared for the first time', async () => {
    const target = newFolder();
    const stream = { entry: { kind: 'stream', path: 'x' }, content: Buffer.from('said') } as const;
    for (let i = 0; i < 3; i++) expect(await send(target, [stream])).toEqual(['all x']);
    expect(await send(target, [{ ...stream, content: Buffer.from('more') }])).toEqual(['all x']);
    expect(tree(target)).toEqual({ x: 'said', 'x (1)': 'more' });
  });
});

describe('a name that is taken', () => {
  const there: [string, (path: string) => void][] = [
    ['nothing', () => {}],
    ['an older file', (path) => own(path, 'older', MTIME - HOUR)],
    ['a file as old', (path) => own(path, 'as old', MTIME)],
    ['a newer file', (path) => own(path, 'newer', MTIME + HOUR)],
    ['a link', (path) => symlinkSync('nowhere', path)],
    ['a folder', (path) => mkdirSync(path)],
  ];
  /** What is stored: beside, instead, or not at all. */
  const expected: Record<OnConflict, readonly string[]> = {
    rename: ['x', 'x (1)', 'x (1)', 'x (1)', 'x (1)', 'x (1)'],
    skip: ['x', 'none', 'none', 'none', 'none', 'none'],
    overwrite: ['x', 'x', 'x', 'x', 'x', 'x (1)'],
    newer: ['x', 'x', 'none', 'none', 'none', 'none'],
  };
  const cases = there.flatMap(([what, make], i) =>
    Object.entries(expected).map(
      ([onConflict, where]) => [onConflict as OnConflict, what, where[i] as string, make] as const,
    ),
  );

  test.each(cases)('with %s and %s there is stored as %s', async (onConflict, _, where, make) => {
    const target = newFolder();
    make(join(target, 'x'));
    const before = tree(target);
    const wanted = await send(target, [fileOf('x', 'content')], { onConflict });
    expect(wanted).toEqual([where === 'none' ? 'conflict x' : 'all x']);
    expect(tree(target)).toEqual(where === 'none' ? before : { ...before, [where]: 'content' });
  });

  test('by the same content needs nothing, whatever is done about conflicts', async () => {
    for (const onConflict of ['rename', 'skip', 'overwrite', 'newer'] as const) {
      const target = newFolder();
      own(join(target, 'x'), 'content', MTIME);
      own(join(target, 'y'), 'content', MTIME + HOUR);
      const offered = [fileOf('x', 'content'), fileOf('y', 'content')];
      expect(await send(target, offered, { onConflict })).toEqual(['unchanged x', 'identical y']);
    }
  });

  test('is overwritten although a numbered one has the content already', async () => {
    const target = newFolder();
    own(join(target, 'x'), 'older', MTIME - HOUR);
    own(join(target, 'x (1)'), 'content', MTIME);
    expect(await send(target, [fileOf('x', 'content')], { onConflict: 'newer' })).toEqual([
      'all x',
    ]);
    expect(tree(target)).toEqual({ x: 'content', 'x (1)': 'content' });
  });

  test('by a file that became newer meanwhile is not overwritten by an older one', async () => {
    const target = newFolder();
    own(join(target, 'x'), 'older', MTIME - HOUR);
    const inbox = await inboxIn(target, { onConflict: 'newer' });
    const { entry, content } = fileOf('x', 'content') as Required<Offered>;
    if (entry.kind !== 'file') throw new Error();
    expect(await inbox.place(entry, unasked)).toEqual({ want: 'all' });
    const incoming = await inbox.open(entry, 0);
    await incoming.write(content);
    own(join(target, 'x'), 'mine', MTIME + HOUR);
    await incoming.commit(sha256(content));
    await inbox.close();
    expect(tree(target)).toEqual({ x: 'mine', 'x (1)': 'content' });
  });

  test('is replaced at once: what has it open reads the old one to its end', async () => {
    const target = newFolder();
    own(join(target, 'x'), 'older', MTIME - HOUR);
    linkSync(join(target, 'x'), join(target, 'old'));
    await send(target, [fileOf('x', 'content')], { onConflict: 'overwrite' });
    expect(tree(target)).toEqual({ x: 'content', old: 'older' });
  });

  test.each([
    ['.env', '_.env'],
    ['a\x1bb', 'a_b'],
  ])('is not overwritten by %j, which had to be repaired to %j', async (name, repaired) => {
    const target = newFolder();
    own(join(target, repaired), 'mine');
    await send(target, [fileOf(name, 'content')], { onConflict: 'overwrite' });
    expect(tree(target)[repaired]).toBe('mine');
    expect(Object.values(tree(target)).sort()).toEqual(['content', 'mine']);
  });

  test('is overwritten if it is the one that was said here', async () => {
    const target = newFolder();
    own(join(target, 'mine'), 'mine');
    await send(target, [fileOf('x', 'content')], { onConflict: 'overwrite', as: 'mine' });
    expect(tree(target)).toEqual({ mine: 'content' });
  });

  test('by a stream: skip leaves it out, the others store it', async () => {
    for (const [onConflict, left] of [
      ['rename', { x: 'mine', 'x (1)': 'said' }],
      ['skip', { x: 'mine' }],
      ['overwrite', { x: 'said' }],
      ['newer', { x: 'said' }],
    ] as const) {
      const target = newFolder();
      own(join(target, 'x'), 'mine');
      const stream: Offered = {
        entry: { kind: 'stream', path: 'x' },
        content: Buffer.from('said'),
      };
      await send(target, [stream], { onConflict });
      expect([onConflict, tree(target)]).toEqual([onConflict, left]);
    }
  });
});

describe('a tree that is sent again', () => {
  const repository: Offered[] = [
    { entry: folder('proj') },
    fileOf('proj/.env', 'secret'),
    { entry: folder('proj/.git') },
    fileOf('proj/.git/HEAD', 'main'),
    { entry: folder('proj/.git/hooks') },
    fileOf('proj/.git/hooks/pre-commit', 'check'),
    fileOf('proj/read.me', 'read me'),
    { entry: link('proj/l', '.env') },
    { entry: link('proj/.git/up', '../.env') },
  ];

  test('makes nothing anew: neither files that begin with a dot, nor folders, nor links', async () => {
    const target = newFolder();
    await send(target, repository);
    const once = tree(target);
    expect(once).toMatchObject({ 'proj/.git/hooks/pre-commit': 'check', 'proj/l': '-> .env' });
    for (let i = 0; i < 2; i++) {
      expect(new Set((await send(target, repository)).map((line) => line.split(' ')[0]))).toEqual(
        new Set(['unchanged']),
      );
      expect(tree(target)).toEqual(once);
    }
  });

  test('stores what changed, with as much care as in any folder that was there', async () => {
    const target = newFolder();
    await send(target, repository);
    const once = tree(target);
    const changed = [
      ...repository.filter(({ entry }) => !/HEAD|env/.test(entry.path)),
      fileOf('proj/.env', 'SECRET', MTIME + HOUR),
      fileOf('proj/.git/HEAD', 'next', MTIME + HOUR),
      fileOf('proj/.git/hooks/post-commit', 'new'),
    ];
    for (let i = 0; i < 3; i++) {
      await send(target, changed);
      expect(tree(target)).toEqual({
        ...once,
        'proj/_.env': 'SECRET',
        'proj/_.git': '/',
        'proj/_.git/HEAD': 'next',
        'proj/_.git/hooks': '/',
        'proj/_.git/hooks/post-commit': 'new',
      });
    }
  });

  test('leaves alone what is there and was not offered', async () => {
    const target = newFolder();
    await send(target, repository);
    own(join(target, 'proj/mine'), 'mine');
    await send(target, repository.slice(0, 3), { onConflict: 'overwrite' });
    expect(tree(target)).toMatchObject({ 'proj/mine': 'mine', 'proj/read.me': 'read me' });
  });
});

test('whatever is sent, and however often, each version of each file is here once', async () => {
  const version = fc.record({
    name: fc.constantFrom('a', 'A', '.a', 'a (1)', 'f/a', 'f/.a', 'f/a (1)'),
    content: fc.constantFrom('', '1', '2', '22'),
    mtime: fc.constantFrom(MTIME, MTIME + HOUR, MTIME + 2 * HOUR),
  });
  const round = fc.uniqueArray(version, { maxLength: 4, selector: ({ name }) => name });
  await fc.assert(
    fc.asyncProperty(fc.array(round, { maxLength: 6 }), fc.boolean(), async (rounds, checksum) => {
      const target = newFolder();
      const sent = async (): Promise<void> => {
        for (const versions of rounds) {
          const files = versions.map(({ name, content, mtime }) =>
            fileOf(name, `${name}=${content}`, mtime),
          );
          await send(target, [{ entry: folder('f') }, ...files], { checksum });
        }
      };
      await sent();
      const once = tree(target);
      await sent();
      // Without a look into them, a file can be taken for another one of its size and time.
      if (checksum) expect(tree(target)).toEqual(once);
      else expect(Object.keys(tree(target))).toEqual(Object.keys(once));
      if (!checksum) return;
      for (const { name, content } of rounds.flat())
        expect(Object.values(once).filter((found) => found === `${name}=${content}`)).toHaveLength(
          1,
        );
    }),
    { numRuns: 20 },
  );
});

describe('names that two entries of one transfer come to share', () => {
  const [ONE, TWO] = ['AAAAA', 'BBBBB'];

  test.each<[string, Offered[], object, Record<string, string>]>([
    ['by --as', [fileOf('a', ONE), fileOf('b', TWO)], { as: 'b' }, { b: ONE, 'b (1)': TWO }],
    [
      'by care about names',
      [fileOf('.env', ONE), fileOf('_.env', TWO)],
      {},
      { '_.env': ONE, '_ (1).env': TWO },
    ],
  ])('%s stay two, whatever may be overwritten', async (_, offered, options, found) => {
    for (const onConflict of ['overwrite', 'newer', 'rename'] as const) {
      const target = newFolder();
      for (let times = 0; times < 2; times++)
        await send(target, offered, { ...options, onConflict });
      expect(tree(target)).toMatchObject(found);
    }
  });

  test('stay two where one has the number that the other would get', async () => {
    const target = newFolder();
    own(join(target, 'a'), 'mine, and longer');
    expect(await send(target, [fileOf('a (1)', TWO)])).toEqual(['all a (1)']);
    expect(await send(target, [fileOf('a', ONE)])).toEqual(['all a']);
    expect(tree(target)).toEqual({ a: 'mine, and longer', 'a (1)': TWO, 'a (2)': ONE });
  });
});
