import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { idOf } from '../../src/disk/folder.ts';
import { Handles } from '../../src/disk/handles.ts';
import { Landing } from '../../src/disk/landing.ts';
import { openStagings } from '../../src/disk/staging.ts';
import { Syncs } from '../../src/disk/sync.ts';
import { DropError } from '../../src/errors.ts';
import type { Entry, FileEntry } from '../../src/protocol/manifest.ts';
import type { Inbox } from '../../src/transfer/inbox.ts';
import { openHandles } from '../support/handles.ts';
import { sha256 } from '../support/memory.ts';
import { describeWith } from '../support/skip.ts';
import {
  asUser,
  failureOf,
  file,
  folder,
  inboxIn,
  link,
  MTIME,
  newFolder,
  newFolderOfUser,
  PEER,
  partsIn,
  place,
  put,
  tree,
  unasked,
  visible,
} from './support.ts';

const MiB = 1024 * 1024;
async function putAll(target: string, entries: readonly Entry[], platform?: 'windows') {
  const inbox = await inboxIn(target, { platform, umask: 0o022 });
  for (const entry of entries) {
    if (entry.kind === 'file') await put(inbox, { ...entry, size: entry.path.length }, entry.path);
    else expect(await inbox.place(entry, unasked)).toEqual({ want: 'placed' });
  }
  const failures = await inbox.finish();
  await inbox.close();
  return failures;
}

describe('the target', () => {
  test('is made if what it lies in is there, and holds nothing after close', async () => {
    const target = join(newFolder(), 'new');
    const inbox = await inboxIn(target);
    const [staging, ...more] = readdirSync(target);
    expect(more).toEqual([]);
    expect(staging).toMatch(/^\.drop-[0-9a-f]{16}$/);
    expect(statSync(join(target, staging as string)).mode & 0o777).toBe(0o700);
    await inbox.close();
    await inbox.close();
    expect(readdirSync(target)).toEqual([]);
  });

  test('may be a link to a folder', async () => {
    const home = newFolder();
    mkdirSync(join(home, 'real'));
    symlinkSync('real', join(home, 'link'));
    await putAll(join(home, 'link'), [file('x')]);
    expect(tree(home)).toEqual({ real: '/', 'real/x': 'x', link: '-> real' });
  });

  test.each([
    ['missing', 'none/new'],
    ['exists', 'file'],
    ['missing', 'file/new'],
    ['missing', 'dangling'],
  ])('is refused as %s: %s', async (code, path) => {
    const home = newFolder();
    writeFileSync(join(home, 'file'), '');
    symlinkSync('nowhere', join(home, 'dangling'));
    const target = join(home, path);
    expect(await failureOf(inboxIn(target))).toMatchObject({ code, path: target });
  });

  test('may lie so deep that some names are too long for it: these fail alone', async () => {
    let target = newFolder();
    while (target.length < 3850) target = join(target, 'n'.repeat(100));
    mkdirSync(target, { recursive: true });
    const long = 'x'.repeat(250);
    const inbox = await inboxIn(target, { roots: ['x', long] });
    expect(await failureOf(place(inbox, file(long), unasked))).toMatchObject({
      code: 'unsafe-name',
      path: long,
    });
    await put(inbox, file('x', 1), 'x');
    await inbox.close();
    expect(tree(target)).toEqual({ x: 'x' });
  });

  test('is refused if it may not be written to', async () => {
    const home = await newFolderOfUser();
    await asUser(async () => {
      chmodSync(home, 0o500);
      for (const target of [home, join(home, 'new')])
        expect(await failureOf(inboxIn(target))).toMatchObject({ code: 'not-permitted' });
      chmodSync(home, 0o700);
    });
  });

  test('has less room than the disk has space', async () => {
    const target = newFolder();
    const inbox = await inboxIn(target);
    const { bavail, bsize } = statfsSync(target);
    const room = await inbox.room();
    expect(Number.isSafeInteger(room)).toBe(true);
    expect(room).toBeGreaterThanOrEqual(0);
    expect(room).toBeLessThan(bavail * bsize);
    await inbox.close();
  });
});

describe('a file', () => {
  const sizes = [0, 1, 256 * 1024, 256 * 1024 + 1, MiB - 1, MiB, MiB + 1, 3 * MiB, 5 * MiB + 7];
  test.each(sizes)('of %d bytes arrives whole, whatever pieces it comes in', async (size) => {
    const target = newFolder();
    const inbox = await inboxIn(target);
    const content = randomBytes(size);
    for (const piece of [16 * 1024 - 1, MiB, 2 * MiB + 1]) {
      const { path } = await put(inbox, file(`${piece}`, size), content, piece);
      expect(readFileSync(path).equals(content)).toBe(true);
    }
    await inbox.close();
  });

  test('cannot be seen under its name before it is stored, and lies there afterwards', async () => {
    const target = newFolder();
    const inbox = await inboxIn(target);
    const incoming = await inbox.open(file('x', 3), 0);
    await incoming.write(Buffer.from('abc'));
    expect(existsSync(join(target, 'x'))).toBe(false);
    const stored = await incoming.commit(sha256(Buffer.from('abc')));
    expect(stored).toEqual({ path: join(realpathSync(target), 'x'), renamed: false });
    await inbox.close();
    expect(tree(target)).toEqual({ x: 'abc' });
    expect(lstatSync(join(target, 'x')).nlink).toBe(1);
  });

  test.each([
    [0o644, 0o022, 0o644],
    [0o755, 0o022, 0o755],
    [0o777, 0o022, 0o755],
    [0o666, 0o077, 0o600],
    [0o444, 0o022, 0o444],
    [0o600, 0o002, 0o600],
    [0, 0o022, 0],
    [undefined, 0o022, 0o644],
    [0o6755, 0o022, 0o755],
  ])('offered with mode %o under umask %o gets mode %o', async (mode, umask, expected) => {
    const inbox = await inboxIn(newFolder(), { umask });
    const { path } = await put(inbox, file('x', 1, { mode }), 'x');
    expect(statSync(path).mode & 0o7777).toBe(expected);
    await inbox.close();
  });

  test('can be run by nobody, where that is not wanted', async () => {
    const inbox = await inboxIn(newFolder(), { umask: 0o022, programs: false });
    const { path } = await put(inbox, file('x', 1, { mode: 0o755 }), 'x');
    expect(statSync(path).mode & 0o7777).toBe(0o644);
    await inbox.close();
  });

  test.each([MTIME, 0, 1, -1500, 4_102_444_800_000])('keeps its time %d', async (mtime) => {
    const inbox = await inboxIn(newFolder());
    const { path } = await put(inbox, file('x', 1, { mtime }), 'x');
    expect(Math.abs(statSync(path).mtimeMs - mtime)).toBeLessThanOrEqual(1);
    await inbox.close();
  });

  test.each([
    [Number.MAX_SAFE_INTEGER, 'the last', 2 ** 31 * 1000 - 1000, Infinity],
    [Number.MIN_SAFE_INTEGER, 'the first', -Infinity, 0],
  ])('whose time %d is none gets %s that there is', async (mtime, _, least, most) => {
    const inbox = await inboxIn(newFolder());
    const { path } = await put(inbox, file('x', 1, { mtime }), 'x');
    expect(statSync(path).mtimeMs).toBeGreaterThanOrEqual(least);
    expect(statSync(path).mtimeMs).toBeLessThanOrEqual(most);
    await inbox.close();
  });

  test('that is not what was sent is refused and leaves nothing', async () => {
    const target = newFolder();
    const inbox = await inboxIn(target);
    const before = openHandles();
    for (const size of [3, 3 * MiB]) {
      const incoming = await inbox.open(file('x', size), 0);
      await incoming.write(Buffer.alloc(size));
      const failure = await failureOf(incoming.commit(sha256(Buffer.alloc(size + 1))));
      expect(failure).toMatchObject({ code: 'corrupt', path: 'x' });
      await incoming.discard();
      await incoming.discard();
    }
    expect(openHandles()).toBe(before);
    expect(readdirSync(join(target, readdirSync(target)[0] as string))).toEqual([]);
    await inbox.close();
    expect(tree(target)).toEqual({});
  });

  test('is ours alone as long as it comes, whatever it may become', async () => {
    const target = newFolder();
    const inbox = await inboxIn(target);
    const incoming = await inbox.open(file('x', 6, { mode: 0o666 }), 0);
    await incoming.write(Buffer.from('abc'));
    await inbox.close();
    const [part = ''] = partsIn(target);
    expect(statSync(part).mode & 0o777).toBe(0o600);
  });

  test('that lies already where its bytes would go is not written into', async () => {
    const target = newFolder();
    const inbox = await inboxIn(target);
    const entry = file('x', 3);
    const [staging = ''] = readdirSync(target);
    const key = createHash('sha256').update('x').digest('hex').slice(0, 32);
    const planted = join(target, staging, `${key}.3.${entry.mtime}`);
    writeFileSync(planted, 'mine');
    expect(await failureOf(put(inbox, entry, 'abc'))).toMatchObject({ code: 'exists' });
    expect(readFileSync(planted, 'utf8')).toBe('mine');
    await inbox.close();
  });

  test('that is unfinished when the inbox is closed is kept, without a handle', async () => {
    const target = newFolder();
    const before = openHandles();
    const inbox = await inboxIn(target);
    const sizes = [0, 1, MiB, 3 * MiB + 1];
    for (const size of sizes) {
      const incoming = await inbox.open(file(`${size}`, size), 0);
      await incoming.write(Buffer.alloc(size));
    }
    await inbox.close();
    expect(openHandles()).toBe(before);
    expect(partsIn(target).map((path) => statSync(path).size)).toEqual(sizes.slice(1));
  });

  test('that comes when the inbox is closed fails, and what is there stays', async () => {
    const target = newFolder();
    const inbox = await inboxIn(target);
    await put(inbox, file('a', 3), 'abc');
    await inbox.finish();
    await inbox.close();
    // Only a sender that breaks the rules has anything left to offer then.
    expect(await inbox.place(file('b', 3), unasked)).toEqual({ want: 'all' });
    const incoming = await inbox.open(file('b', 3), 0);
    await incoming.write(Buffer.from('abc'));
    expect(await failureOf(incoming.commit(sha256(Buffer.from('abc'))))).toBeInstanceOf(DropError);
    await incoming.keep();
    expect(tree(target)).toEqual({ a: 'abc' });
  });

  test('that is being stored when the inbox is closed is stored', async () => {
    const target = newFolder();
    const before = openHandles();
    const inbox = await inboxIn(target);
    const bytes = randomBytes(3 * MiB);
    const incoming = await inbox.open(file('x', bytes.length), 0);
    await incoming.write(bytes);
    await Promise.all([incoming.commit(sha256(bytes)), inbox.close()]);
    expect(openHandles()).toBe(before);
    expect(readdirSync(target)).toEqual(['x']);
    expect(readFileSync(join(target, 'x')).equals(bytes)).toBe(true);
  });

  test('that begins in the middle is not expected', async () => {
    const inbox = await inboxIn(newFolder());
    expect(await failureOf(inbox.open(file('x', 3), 1))).toMatchObject({ code: 'protocol' });
    await inbox.close();
  });

  test('that fails on the disk keeps none of the others waiting, however many do', async () => {
    const target = newFolder();
    const inbox = await inboxIn(target);
    rmSync(join(target, readdirSync(target)[0] as string), { recursive: true });
    for (let i = 0; i < 200; i++)
      expect(await failureOf(put(inbox, file('x', 1), 'x'))).toMatchObject({ code: 'disk' });
    await inbox.close();
  });

  test('gets a free name: nothing that is there is overwritten or followed', async () => {
    const target = newFolder();
    const elsewhere = join(newFolder(), 'elsewhere');
    writeFileSync(join(target, 'x.txt'), 'old');
    mkdirSync(join(target, 'x (1).txt'));
    symlinkSync(elsewhere, join(target, 'x (2).txt'));
    execFileSync('mkfifo', [join(target, 'x (3).txt')]);
    const inbox = await inboxIn(target);
    const stored = await put(inbox, file('x.txt', 3), 'new');
    await inbox.close();
    expect(stored).toEqual({ path: join(realpathSync(target), 'x (4).txt'), renamed: true });
    expect(readFileSync(join(target, 'x.txt'), 'utf8')).toBe('old');
    expect(readFileSync(join(target, 'x (4).txt'), 'utf8')).toBe('new');
    expect(existsSync(elsewhere)).toBe(false);
  });

  test('many of one name at once each get one, and each is whole', async () => {
    const target = newFolder();
    const inbox = await inboxIn(target);
    const contents = Array.from({ length: 200 }, (_, i) => `${i}`);
    const all = await Promise.all(contents.map((content) => put(inbox, file('x', 1), content)));
    await inbox.close();
    expect(new Set(all.map(({ path }) => path)).size).toBe(200);
    expect(all.map(({ path }) => readFileSync(path, 'utf8'))).toEqual(contents);
    expect(readdirSync(target)).toHaveLength(200);
  });

  test('two inboxes in one folder do not disturb each other', async () => {
    const target = newFolder();
    const [one, two] = [await inboxIn(target), await inboxIn(target)];
    const both = await Promise.all([put(one, file('x', 3), 'one'), put(two, file('x', 3), 'two')]);
    await one.close();
    await two.close();
    expect(both.map(({ path }) => readFileSync(path, 'utf8'))).toEqual(['one', 'two']);
    expect(readdirSync(target).sort()).toEqual(['x', 'x (1)']);
  });

  test.each([
    ['.bashrc', '_.bashrc'],
    ['-rf', '_-rf'],
    ['a\x1b[2J', 'a_[2J'],
    ['..\\..\\x', '..\\..\\x'],
  ])('called %j at the top lands as %j', async (name, expected) => {
    const target = newFolder();
    const inbox = await inboxIn(target, { platform: 'posix' });
    const stored = await put(inbox, file(name, 1), 'x');
    await inbox.close();
    expect(readdirSync(target)).toEqual([expected.replace(/^\.\./, '_..')]);
    expect(stored.renamed).toBe(readdirSync(target)[0] !== name);
  });
});

describe('the name to save under', () => {
  test('is for the first file', async () => {
    const target = newFolder();
    writeFileSync(join(target, 'mine.txt'), 'old');
    const inbox = await inboxIn(target, { as: 'mine.txt' });
    expect((await put(inbox, file('x', 1), 'x')).renamed).toBe(true);
    await put(inbox, file('y', 1), 'y');
    await inbox.finish();
    await inbox.close();
    expect(tree(target)).toEqual({ 'mine.txt': 'old', 'mine (1).txt': 'x', y: 'y' });
  });

  test('is no leave to replace what another file would be called', async () => {
    const target = newFolder();
    mkdirSync(join(target, 'f'));
    writeFileSync(join(target, 'f/a_b'), 'mine');
    const options = { as: 'a_b', onConflict: 'overwrite', platform: 'windows' } as const;
    const inbox = await inboxIn(target, options);
    await inbox.place(folder('f'), unasked);
    await put(inbox, file('x', 1), 'x');
    await put(inbox, file('f/a:b', 5), 'other');
    await inbox.finish();
    await inbox.close();
    expect(tree(target)).toEqual({ a_b: 'x', f: '/', 'f/a_b': 'mine', 'f/a_b (1)': 'other' });
  });

  test.each(['', '.', '..', 'a/b', 'a\0', 'a\nb'])('cannot be %j', async (as) => {
    const target = newFolder();
    expect(await failureOf(inboxIn(target, { as }))).toMatchObject({ code: 'usage' });
    expect(readdirSync(target)).toEqual([]);
  });
});

describe('a folder', () => {
  test('is merged into one that is there, which keeps its mode and what is in it', async () => {
    const target = newFolder();
    mkdirSync(join(target, 'f/sub'), { recursive: true, mode: 0o750 });
    writeFileSync(join(target, 'f/x'), 'old');
    chmodSync(join(target, 'f'), 0o750);
    await putAll(target, [
      folder('f', 0o777),
      file('f/x'),
      folder('f/sub'),
      folder('f/new'),
      file('f/new/y'),
    ]);
    expect(tree(target)).toEqual({
      f: '/',
      'f/x': 'old',
      'f/x (1)': 'f/x',
      'f/sub': '/',
      'f/new': '/',
      'f/new/y': 'f/new/y',
    });
    expect(statSync(join(target, 'f')).mode & 0o777).toBe(0o750);
  });

  test('that was there before gets nothing that begins with a dot, a dash or a tilde', async () => {
    const target = newFolder();
    mkdirSync(join(target, 'proj/.git/hooks'), { recursive: true });
    mkdirSync(join(target, 'proj/sub'));
    const offered = [
      folder('proj'),
      folder('proj/.git'),
      folder('proj/.git/hooks'),
      file('proj/.git/hooks/pre-commit', 0, { mode: 0o755 }),
      file('proj/.envrc'),
      folder('proj/sub'),
      file('proj/sub/-rf'),
      folder('proj/sub/.vscode'),
      folder('proj/sub/new'),
      file('proj/sub/new/~x'),
    ];
    expect(await putAll(target, offered)).toEqual([]);
    const once = {
      proj: '/',
      'proj/.git': '/',
      'proj/.git/hooks': '/',
      'proj/_.git': '/',
      'proj/_.git/hooks': '/',
      'proj/_.git/hooks/pre-commit': 'proj/.git/hooks/pre-commit',
      'proj/_.envrc': 'proj/.envrc',
      'proj/sub': '/',
      'proj/sub/_-rf': 'proj/sub/-rf',
      'proj/sub/_.vscode': '/',
      'proj/sub/new': '/',
      'proj/sub/new/~x': 'proj/sub/new/~x',
    };
    expect(tree(target)).toEqual(once);
  });

  test('gets another name where a file or a link is, and its files with it', async () => {
    const target = newFolder();
    const elsewhere = newFolder();
    writeFileSync(join(target, 'f'), 'file');
    symlinkSync(elsewhere, join(target, 'f (1)'));
    symlinkSync('nowhere', join(target, 'f (2)'));
    const inbox = await inboxIn(target);
    await inbox.place(folder('f'), unasked);
    const stored = await put(inbox, file('f/x', 1), 'x');
    await inbox.finish();
    await inbox.close();
    expect(stored).toEqual({ path: join(realpathSync(target), 'f (3)', 'x'), renamed: true });
    expect(readdirSync(elsewhere)).toEqual([]);
  });

  test('that falls on the name of another offered one is kept apart from it', async () => {
    const target = newFolder();
    await putAll(
      target,
      [
        folder('a:b'),
        folder('a?b'),
        file('a:b/x'),
        file('a?b/x'),
        folder('a?b/c:'),
        folder('a?b/c?'),
      ],
      'windows',
    );
    expect(tree(target)).toEqual({
      a_b: '/',
      'a_b/x': 'a:b/x',
      'a_b (1)': '/',
      'a_b (1)/x': 'a?b/x',
      'a_b (1)/c_': '/',
      'a_b (1)/c_ (1)': '/',
    });
  });

  test('gets mode and time in the end, though things were put into it', async () => {
    const target = newFolder();
    const failures = await putAll(target, [
      folder('f', 0o500),
      folder('f/private', 0o700),
      folder('f/open', 0o777),
      file('f/open/x'),
      link('f/open/l', 'x'),
      folder('f/none'),
    ]);
    expect(failures).toEqual([]);
    const modes = { f: 0o700, 'f/private': 0o700, 'f/open': 0o755, 'f/none': 0o755 };
    for (const [path, mode] of Object.entries(modes)) {
      const stat = statSync(join(target, path));
      expect([path, stat.mode & 0o7777]).toEqual([path, mode]);
      expect(Math.abs(stat.mtimeMs - MTIME)).toBeLessThanOrEqual(1);
    }
  });

  test('in a shared folder stays shared', async () => {
    const target = newFolder();
    chmodSync(target, 0o2775);
    mkdirSync(join(target, 'probe'));
    const inherits = statSync(join(target, 'probe')).mode & 0o2000;
    await putAll(target, [folder('f', 0o700)]);
    expect(statSync(join(target, 'f')).mode & 0o7777).toBe(inherits | 0o700);
  });

  test('that was not offered breaks the protocol when something in it is', async () => {
    const inbox = await inboxIn(newFolder());
    await inbox.place(folder('f'), unasked);
    await inbox.place(file('x'), unasked);
    const failing = (entry: Entry) => failureOf(place(inbox, entry, unasked));
    for (const entry of [file('none/x'), file('x/y'), folder('f/none/g'), link('none/l', 'x')])
      expect(await failing(entry)).toMatchObject({ code: 'protocol', path: entry.path });
    await inbox.close();
  });

  test('that is exchanged for a link meanwhile gets nothing any more', async () => {
    const target = newFolder();
    const elsewhere = newFolder();
    const inbox = await inboxIn(target);
    await inbox.place(folder('f'), unasked);
    await inbox.place(folder('f/g'), unasked);
    renameSync(join(target, 'f'), join(target, 'away'));
    mkdirSync(join(elsewhere, 'g'));
    symlinkSync(elsewhere, join(target, 'f'));
    expect(await failureOf(put(inbox, file('f/x', 1), 'x'))).toMatchObject({ code: 'disk' });
    expect(await failureOf(put(inbox, file('f/g/x', 1), 'x'))).toMatchObject({ code: 'disk' });
    expect(await failureOf(place(inbox, folder('f/h'), unasked))).toMatchObject({ code: 'disk' });
    await inbox.place(link('f/g/l', 'x'), unasked);
    expect(await inbox.finish()).toContainEqual({ path: 'f/g/l', code: 'disk' });
    await inbox.close();
    expect(tree(elsewhere)).toEqual({ g: '/' });
  });

  test('that is removed meanwhile fails its files alone', async () => {
    const target = newFolder();
    const inbox = await inboxIn(target);
    await inbox.place(folder('f'), unasked);
    rmdirSync(join(target, 'f'));
    expect(await failureOf(put(inbox, file('f/x', 1), 'x'))).toMatchObject({ code: 'disk' });
    await put(inbox, file('y', 1), 'y');
    expect(await inbox.finish()).toEqual([{ path: 'f', code: 'disk' }]);
    await inbox.close();
    // What came is kept for when there is a folder again.
    expect(partsIn(target).map((path) => readFileSync(path, 'utf8'))).toEqual(['x']);
    expect(visible(target)).toEqual({ y: 'y' });
  });

  test('whose name could not be made durable once is tried again for the next file', async () => {
    const target = newFolder();
    const options = { platform: 'posix', umask: 0o022, as: undefined, memory: 10_000 } as const;
    const staging = await (await openStagings(newFolder())).claim(target, PEER);
    const syncs = new Syncs(new Handles());
    const root = { parent: undefined, name: target, made: undefined, isNew: false };
    const id = idOf(target) as string;
    const landing = new Landing({ ...root, id }, staging, syncs, options);
    landing.placeFolder(folder('f'));
    const made = landing.where(file('f/x')).folder;
    vi.spyOn(syncs, 'folder').mockRejectedValueOnce(new DropError('too-many-open'));
    expect(await failureOf(landing.anchor(made))).toMatchObject({ code: 'too-many-open' });
    await landing.anchor(made);
    staging.close();
  });

  test('that may not be written to fails its files alone', async () => {
    const target = await newFolderOfUser();
    await asUser(async () => {
      mkdirSync(join(target, 'f'), { mode: 0o500 });
      const inbox = await inboxIn(target);
      await inbox.place(folder('f'), unasked);
      const failure = { code: 'not-permitted', path: 'f/x' };
      expect(await failureOf(put(inbox, file('f/x', 1), 'x'))).toMatchObject(failure);
      expect(await failureOf(place(inbox, folder('f/g'), unasked))).toMatchObject({
        code: 'not-permitted',
      });
      await put(inbox, file('y', 1), 'y');
      await inbox.close();
      expect(partsIn(target).map((path) => readFileSync(path, 'utf8'))).toEqual(['x']);
      expect(visible(target)).toEqual({ f: '/', y: 'y' });
    });
  });
});

describe('a folder that nobody wants for itself', () => {
  test('is made as it was offered once something in it is placed, and else never', async () => {
    const target = newFolder();
    const inbox = await inboxIn(target, { umask: 0o022 });
    for (const path of ['a', 'a/b', 'a/b/c', 'a/d', 'e']) inbox.defer(folder(path, 0o711));
    await place(inbox, folder('a/d/f', 0o755), unasked);
    await put(inbox, file('a/b/x', 1), 'x');
    await place(inbox, link('e/y', 'x'), unasked);
    expect(visible(target)).toEqual({
      a: '/',
      'a/b': '/',
      'a/b/x': 'x',
      'a/d': '/',
      'a/d/f': '/',
      e: '/',
    });
    expect(await inbox.finish()).toEqual([]);
    await inbox.close();
    expect(tree(target)).toMatchObject({ e: '/', 'e/y': '-> x' });
    expect(existsSync(join(target, 'a/b/c'))).toBe(false);
    for (const path of ['a', 'a/b', 'a/d', 'e']) {
      const { mode, mtimeMs } = statSync(join(target, path));
      expect([path, mode & 0o777, Math.round(mtimeMs)]).toEqual([path, 0o711, MTIME]);
    }
  });

  test('is the one that is there, with what is in it', async () => {
    const target = newFolder();
    await putAll(target, [folder('a'), file('a/x')]);
    const inbox = await inboxIn(target, { roots: ['a'] });
    inbox.defer(folder('a'));
    expect(await place(inbox, file('a/x', 3), unasked)).toEqual({
      want: 'nothing',
      reason: 'unchanged',
    });
    await put(inbox, file('a/y', 1), 'y');
    await inbox.finish();
    await inbox.close();
    expect(tree(target)).toEqual({ a: '/', 'a/x': 'a/x', 'a/y': 'y' });
  });

  test('may not be made: then each file in it fails, and nothing else', async () => {
    const target = await newFolderOfUser();
    await asUser(async () => {
      const inbox = await inboxIn(target);
      inbox.defer(folder('a'));
      inbox.defer(folder('a/b'));
      await put(inbox, file('x', 1), 'x');
      chmodSync(target, 0o500);
      for (const path of ['a/x', 'a/b/y', 'a/b/z'])
        expect(await failureOf(place(inbox, file(path), unasked))).toMatchObject({
          code: 'not-permitted',
        });
      chmodSync(target, 0o700);
      await put(inbox, file('a/b/y', 1), 'y');
      expect(await inbox.finish()).toEqual([]);
      await inbox.close();
      expect(tree(target)).toEqual({ a: '/', 'a/b': '/', 'a/b/y': 'y', x: 'x' });
    });
  });

  test('takes its share of the memory, and says nothing when there is no more', async () => {
    const inbox = await inboxIn(newFolder(), { memory: 10_000 });
    for (let i = 0; i < 100; i++) inbox.defer(folder(`f${i}`));
    await put(inbox, file('f0/x', 1), 'x');
    expect(await failureOf(place(inbox, file('f99/x'), unasked))).toMatchObject({
      code: 'too-many',
    });
    await inbox.close();
  });
});

describe('a link', () => {
  test('is made last, never over anything, and points where it was offered to', async () => {
    const target = newFolder();
    writeFileSync(join(target, 'other'), 'mine');
    mkdirSync(join(target, 'f'));
    writeFileSync(join(target, 'f/taken'), 'mine');
    const inbox = await inboxIn(target);
    await inbox.place(folder('f'), unasked);
    await inbox.place(folder('f/g'), unasked);
    const links: [string, string][] = [
      ['f/taken', 'x'],
      ['f/g/up', '../x'],
      ['f/dangling', 'nowhere'],
      ['f/esc', 'a\x1bb/x'],
    ];
    for (const [path, to] of links) await inbox.place(link(path, to), unasked);
    expect(readdirSync(join(target, 'f')).sort()).toEqual(['g', 'taken']);
    expect(await inbox.finish()).toEqual([]);
    await inbox.close();
    expect(tree(target)).toEqual({
      f: '/',
      'f/dangling': '-> nowhere',
      'f/esc': '-> a_b/x',
      'f/g': '/',
      'f/g/up': '-> ../x',
      'f/taken': 'mine',
      'f/taken (1)': '-> x',
      other: 'mine',
    });
  });

  test('points to what got another name under that name', async () => {
    const target = newFolder();
    mkdirSync(join(target, 'f'));
    const failures = await putAll(target, [
      folder('f'),
      folder('f/.g'),
      folder('f/.g/.h'),
      file('f/.x'),
      link('f/x', '.x'),
      link('f/h', './.g/.h'),
      link('f/.g/.up', '../.x'),
      link('f/none', '.none/.x'),
    ]);
    expect(failures).toEqual([]);
    expect(tree(target)).toEqual({
      f: '/',
      'f/_.g': '/',
      'f/_.g/.h': '/',
      'f/_.g/.up': '-> ../_.x',
      'f/_.x': 'f/.x',
      'f/h': '-> ./_.g/.h',
      'f/none': '-> _.none/.x',
      'f/x': '-> _.x',
    });
  });

  test('left by one transfer is not followed by the next', async () => {
    const target = newFolder();
    const first: Entry[] = [folder('f'), folder('f/real'), link('f/l', 'real')];
    await putAll(target, first);
    await putAll(target, [folder('f'), folder('f/l'), file('f/l/x')]);
    expect(tree(target)).toEqual({
      f: '/',
      'f/real': '/',
      'f/l': '-> real',
      'f/l (1)': '/',
      'f/l (1)/x': 'f/l/x',
    });
  });
});

describe('a sender that never ends', () => {
  const long = 'n'.repeat(250);

  test.each([
    ['folders', (i: number) => folder(`f/${i}-${long}`), 110],
    ['links', (i: number) => link(`f/${i}`, 'x'), 240],
    ['links that point far', (i: number) => link(`f/${i}`, `${long}/${long}/${i}`), 70],
  ])('has a few %s remembered; more fail, and nothing else does', async (_, entryOf, few) => {
    const target = newFolder();
    const inbox = await inboxIn(target, { memory: 100_000 });
    await inbox.place(folder('f'), unasked);
    const failures = [];
    for (let i = 0; i < 500; i++) failures.push(await failureOf(place(inbox, entryOf(i), unasked)));
    const placed = failures.indexOf(failures.find((failure) => failure !== undefined));
    expect(placed).toBeGreaterThan(few - 20);
    expect(placed).toBeLessThan(few + 20);
    for (let i = placed; i < 500; i++)
      expect(failures[i]).toMatchObject({ code: 'too-many', path: entryOf(i).path });
    const inside = file(`${entryOf(499).path}/x`);
    expect(await failureOf(place(inbox, inside, unasked))).toMatchObject({ code: 'too-many' });
    await put(inbox, file('f/x', 1), 'x');
    expect(await inbox.finish()).toEqual([]);
    await inbox.close();
    expect(readdirSync(join(target, 'f'))).toHaveLength(placed + 1);
  });

  test('of folders that cannot be made, either', async () => {
    const inbox = await inboxIn(newFolder(), { memory: 400_000 });
    const deep = ['f'];
    for (; deep.length < 16; deep.push(long)) await inbox.place(folder(deep.join('/')), unasked);
    for (; deep.length < 19; deep.push(long)) inbox.defer(folder(deep.join('/')));
    // It is too long for the system, which is found out for each folder in it.
    const lost = deep.slice(0, -1).join('/');
    const codes = [];
    for (let i = 0; i < 50; i++) {
      const failure = await failureOf(place(inbox, folder(`${lost}/${i}`), unasked));
      codes.push((failure as DropError).code);
    }
    expect(codes[0]).toBe('unsafe-name');
    expect(codes.at(-1)).toBe('too-many');
    await inbox.close();
  });

  const whole = async (inbox: Inbox, { path }: FileEntry): Promise<unknown> => {
    const entry = file(path, 1);
    const bytes = Buffer.from('x');
    expect(await inbox.place(entry, unasked)).toEqual({ want: 'all' });
    const [stored] = await inbox.storeTogether([{ entry, bytes, digest: sha256(bytes) }]);
    return stored instanceof DropError ? stored : undefined;
  };
  const single = (inbox: Inbox, { path }: FileEntry): Promise<unknown> =>
    failureOf(put(inbox, file(path, 1), 'x'));

  test.each([
    ['must be others, one by one', single, (i: number) => `-${i}`],
    ['must be others, together', whole, (i: number) => `-${i}`],
    ['are taken, one by one', single, (i: number) => `taken ${i}`],
    ['are taken, together', whole, (i: number) => `taken ${i}`],
  ])(
    'has a few names remembered that %s; more fail, and nothing else does',
    async (_, store, pathOf) => {
      const target = newFolder();
      for (let i = 0; i < 300; i++) writeFileSync(join(target, `taken ${i}`), 'mine');
      const inbox = await inboxIn(target, { memory: 100_000 });
      const failures = [];
      for (let i = 0; i < 300; i++) failures.push(await store(inbox, file(pathOf(i))));
      const stored = failures.findIndex((failure) => failure !== undefined);
      expect(stored).toBeGreaterThan(100);
      expect(stored).toBeLessThan(250);
      for (let i = stored; i < 300; i++)
        expect(failures[i]).toMatchObject({ code: 'too-many', path: pathOf(i) });
      expect(await store(inbox, file('other'))).toBeUndefined();
      expect(await inbox.finish()).toEqual([]);
      await inbox.close();
      expect(Object.keys(visible(target))).toHaveLength(300 + stored + 1);
    },
  );

  test('leaves time for others while its links and folders are finished', async () => {
    const target = newFolder();
    const inbox = await inboxIn(target);
    const paths = Array.from({ length: 60 }, (_, i) => `f/${i}`);
    await inbox.place(folder('f'), unasked);
    for (const path of paths) {
      await inbox.place(folder(path), unasked);
      await inbox.place(link(`${path}/l`, 'x'), unasked);
    }
    /** At each turn of the event loop, how many links are made, and folders finished. */
    const seen: [number, number][] = [];
    const look = (): void => {
      const times = paths.map((path) => statSync(join(target, path)).mtimeMs);
      seen.push([
        paths.filter((path) => readdirSync(join(target, path)).length > 0).length,
        times.filter((time) => Math.abs(time - MTIME) <= 1).length,
      ]);
      if (seen.at(-1)?.[1] !== paths.length) looking = setImmediate(look);
    };
    let looking = setImmediate(look);
    expect(await inbox.finish()).toEqual([]);
    clearImmediate(looking);
    await inbox.close();
    expect(seen.some(([links]) => links > 0 && links < paths.length)).toBe(true);
    expect(seen.some(([, folders]) => folders > 0 && folders < paths.length)).toBe(true);
  });
});

describeWith(['root', 'mount'], 'on a small disk', () => {
  function onDisk(options: string, run: (target: string) => Promise<void>): Promise<void> {
    const target = newFolder();
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'none', target]);
    return run(target).finally(() => execFileSync('umount', [target]));
  }

  test.each([3 * MiB, 40_000])(
    'files of %d bytes fail as disk-full once it is, and leave no part',
    async (size) => {
      await onDisk('size=4m', async (target) => {
        const inbox = await inboxIn(target);
        const before = openHandles();
        let stored = 0;
        let failure: unknown;
        for (; failure === undefined; stored++) {
          const incoming = await inbox.open(file('x', size), 0);
          const bytes = randomBytes(size);
          failure = await failureOf(
            incoming.write(bytes).then(() => incoming.commit(sha256(bytes))),
          );
          if (failure !== undefined) await incoming.discard();
        }
        expect(failure).toMatchObject({ code: 'disk-full', path: 'x' });
        expect(openHandles()).toBe(before);
        await inbox.close();
        expect(readdirSync(target)).toHaveLength(stored - 1);
      });
    },
  );

  test('a full one cannot be opened, and there is no room', async () => {
    await onDisk('size=1m,nr_inodes=3', async (target) => {
      mkdirSync(join(target, 'a'));
      mkdirSync(join(target, 'b'));
      expect(await failureOf(inboxIn(target))).toMatchObject({ code: 'disk-full', path: target });
      rmdirSync(join(target, 'b'));
      writeFileSync(join(target, 'a/x'), Buffer.alloc(1000 * 1024));
      rmSync(join(target, 'a'), { recursive: true });
      const inbox = await inboxIn(target);
      expect(await inbox.room()).toBe(Math.floor(0.95 * MiB));
      await inbox.close();
    });
  });

  test('one that cannot be written to is refused', async () => {
    await onDisk('ro', async (target) => {
      expect(await failureOf(inboxIn(target))).toMatchObject({ code: 'not-permitted' });
    });
  });
});
