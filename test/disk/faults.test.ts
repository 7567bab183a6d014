import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isSpelled } from '../../src/disk/folder.ts';
import { openStagings } from '../../src/disk/staging.ts';
import { checkTarget, roomIn } from '../../src/disk/target.ts';
import type { DataEntry } from '../../src/protocol/manifest.ts';
import { openHandles } from '../support/handles.ts';
import { sha256 } from '../support/memory.ts';
import { finished } from '../support/process.ts';
import { describeWith } from '../support/skip.ts';
import {
  asUser,
  failureOf,
  file,
  fileOf,
  folder,
  inboxIn,
  newFolder,
  newFolderOfUser,
  PEER,
  partsIn,
  place,
  put,
  receiveAll,
  tree,
  unasked,
  visible,
} from './support.ts';

const MiB = 1024 * 1024;

describe('before anything is received', () => {
  test('a folder is looked at as a transfer would, and left as it was', async () => {
    const target = newFolder();
    const made = join(target, 'new');
    await checkTarget(target);
    await checkTarget(made);
    expect(tree(target)).toEqual({ new: '/' });
  });

  test.each([
    ['missing', 'none/new'],
    ['exists', 'file'],
    ['missing', 'dangling'],
  ])('it is told as %s that nothing can be stored in %s', async (code, path) => {
    const target = newFolder();
    writeFileSync(join(target, 'file'), '');
    symlinkSync('nowhere', join(target, 'dangling'));
    const failure = { code, path: join(target, path) };
    expect(await failureOf(checkTarget(join(target, path)))).toMatchObject(failure);
  });

  test('it is told that a folder may only be written to, as no name in it could be made durable', async () => {
    const target = await newFolderOfUser();
    await asUser(async () => {
      chmodSync(target, 0o300);
      expect(await failureOf(checkTarget(target))).toMatchObject({ code: 'not-permitted' });
      chmodSync(target, 0o700);
      expect(tree(target)).toEqual({});
    });
  });

  test('it is told that a folder may not be written to', async () => {
    const target = await newFolderOfUser();
    await asUser(async () => {
      chmodSync(target, 0o500);
      expect(await failureOf(checkTarget(target))).toMatchObject({ code: 'not-permitted' });
      chmodSync(target, 0o700);
    });
  });
});

test('a folder is not read through for a name that nothing in it has', async () => {
  const target = await newFolderOfUser();
  await asUser(async () => {
    chmodSync(target, 0o300);
    expect(await isSpelled(target, 'new')).toBe(false);
    chmodSync(target, 0o700);
  });
});

describe('the folder to save into', () => {
  const away: [string, (target: string) => void][] = [
    ['is removed', (target) => rmSync(target, { recursive: true })],
    ['is moved away', (target) => renameSync(target, `${target}-away`)],
    [
      'is replaced by a link',
      (target) => {
        mkdirSync(`${target}-elsewhere`);
        renameSync(target, `${target}-away`);
        symlinkSync(`${target}-elsewhere`, target);
      },
    ],
    [
      'is replaced by another folder',
      (target) => {
        renameSync(target, `${target}-away`);
        mkdirSync(target);
      },
    ],
  ];

  test.each(away)(
    'that %s in the middle gets nothing more, and the transfer does not hang',
    async (_, leave) => {
      const target = join(newFolder(), 'target');
      const inbox = await inboxIn(target);
      const before = openHandles();
      await receiveAll(inbox, [fileOf('before', 'before'), { entry: folder('f') }]);
      const big = await inbox.open(file('big', 3 * MiB), 0);
      await big.write(Buffer.alloc(2 * MiB));
      leave(target);
      const commit = async (): Promise<unknown> => {
        await big.write(Buffer.alloc(MiB));
        return big.commit(sha256(Buffer.alloc(3 * MiB)));
      };
      const gone = {
        code: 'folder-gone',
        message: `The folder ${target} was moved, removed or replaced.`,
      };
      expect(await failureOf(commit())).toMatchObject(gone);
      await big.keep();
      for (const path of ['small', 'f/small'])
        expect(await failureOf(put(inbox, file(path, 1), 'x'))).toMatchObject(gone);
      expect(await failureOf(place(inbox, folder('g'), unasked))).toMatchObject(gone);
      if (!existsSync(target)) expect(await failureOf(inbox.room())).toMatchObject(gone);
      expect(await failureOf(inbox.finish())).toMatchObject(gone);
      await inbox.close();
      expect(openHandles()).toBe(before);
      for (const path of [target, `${target}-elsewhere`])
        if (existsSync(path)) expect(tree(path)).toEqual({});
    },
  );

  test('whose staging folder is removed in the middle fails what is begun, and no more', async () => {
    const target = newFolder();
    const inbox = await inboxIn(target);
    const incoming = await inbox.open(file('x', 3), 0);
    const staging = join(target, readdirSync(target)[0] as string);
    rmSync(staging, { recursive: true });
    await incoming.write(Buffer.from('abc'));
    expect(await failureOf(incoming.commit(sha256(Buffer.from('abc'))))).toMatchObject({
      code: 'disk',
      path: 'x',
    });
    await incoming.discard();
    await inbox.close();
    expect(readdirSync(target)).toEqual([]);
  });
});

describeWith(['root', 'mount'], 'on a disk that becomes full', () => {
  async function onDisk(options: string, run: (target: string) => Promise<void>): Promise<void> {
    const target = newFolder();
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'none', target], { stdio: 'pipe' });
    await run(target).finally(() => execFileSync('umount', [target]));
  }

  test('what came is kept, small files still fit, and it goes on when there is room', async () => {
    await onDisk('size=4m', async (target) => {
      const stagings = await openStagings(newFolder());
      const content = Buffer.alloc(3 * MiB, 'content');
      const offered = fileOf('big', content);
      writeFileSync(join(target, 'filler'), Buffer.alloc(2 * MiB));
      const before = openHandles();
      const first = await inboxIn(target, { stagings });
      const incoming = await first.open(offered.entry as DataEntry, 0);
      const failure = await failureOf(
        incoming.write(content).then(() => incoming.commit(sha256(content))),
      );
      expect(failure).toMatchObject({ code: 'disk-full', path: 'big' });
      await incoming.keep();
      expect(visible(target)).toMatchObject({ filler: expect.anything() });
      expect(Object.keys(visible(target))).toEqual(['filler']);
      const [part] = partsIn(target) as [string];
      expect(statSync(part).size).toBeGreaterThanOrEqual(MiB);
      expect(await receiveAll(first, [fileOf('small', '')])).toEqual(['all small']);
      await first.close();
      expect(openHandles()).toBe(before);

      rmSync(join(target, 'filler'));
      const second = await inboxIn(target, { stagings });
      expect(await receiveAll(second, [offered])).toEqual(['rest big']);
      await second.close();
      expect(readdirSync(target).sort()).toEqual(['big', 'small']);
      expect(readFileSync(join(target, 'big')).equals(content)).toBe(true);
    });
  });

  test('a quota is told as such', async () => {
    const quota = 'usrquota,usrquota_block_hardlimit=1m';
    try {
      await onDisk(quota, async () => {});
    } catch {
      return console.warn('skipped: a quota is told as such: this kernel knows none for tmpfs');
    }
    await onDisk(quota, async (target) => {
      chmodSync(target, 0o777);
      await asUser(async () => {
        const inbox = await inboxIn(target);
        const content = Buffer.alloc(2 * MiB);
        const incoming = await inbox.open(file('x', content.length), 0);
        const failure = await failureOf(
          incoming.write(content).then(() => incoming.commit(sha256(content))),
        );
        expect(failure).toMatchObject({
          code: 'disk-full',
          path: 'x',
          message: 'There is no room left of what this user may take of the disk.',
        });
        await incoming.discard();
        await put(inbox, file('y', 1), 'y');
        await inbox.close();
        expect(tree(target)).toEqual({ y: 'y' });
      });
    });
  });

  test('a disk that became read-only is told as such, and nothing hangs', async () => {
    await onDisk('size=4m', async (target) => {
      const inbox = await inboxIn(target);
      execFileSync('mount', ['-o', 'remount,ro', target]);
      for (const path of ['x', 'y'])
        expect(await failureOf(put(inbox, file(path, 1), 'x'))).toMatchObject({
          code: 'not-permitted',
          message: 'The disk can only be read.',
        });
      await inbox.close();
    });
  });
});

describeWith(['root', 'mount'], 'on a disk that does not say how much room it has', () => {
  test('there is room', async () => {
    const target = newFolder();
    execFileSync('mount', ['-t', 'ramfs', 'none', target], { stdio: 'pipe' });
    try {
      expect(await roomIn(target)).toBe(Number.POSITIVE_INFINITY);
    } finally {
      execFileSync('umount', [target]);
    }
  });
});

describe('within the limits of a process', () => {
  /** Runs statements in a process with such a limit. They have an inbox, and `put` a file of some size. */
  async function run(limit: string, statements: string, target: string): Promise<string[]> {
    const disk = new URL('../../dist/disk/', import.meta.url);
    const script = `
      import { closeSync, openSync } from 'node:fs';
      import { createHash } from 'node:crypto';
      const { openInbox } = await import('${disk}inbox.js');
      const { openStagings } = await import('${disk}staging.js');
      const [home, target] = process.argv.slice(1);
      const stagings = await openStagings(home);
      const inbox = await openInbox(target, { peer: '${PEER}', stagings, roots: [] });
      async function put(path, size) {
        const content = Buffer.alloc(size);
        const digest = new Uint8Array(createHash('sha256').update(content).digest());
        const entry = { kind: 'file', path, size, mtime: 0 };
        await inbox.place(entry, async () => digest);
        const file = await inbox.open(entry, 0);
        try {
          await file.write(content);
          await file.commit(digest);
          console.log(path, 'stored');
        } catch (error) {
          await file.discard();
          console.log(path, error.code, error.message);
        }
      }
      ${statements}
      await inbox.finish();
      await inbox.close();
    `;
    const node = [process.execPath, '--input-type=module', '--eval', script, newFolder(), target];
    const child = spawn('sh', ['-c', `${limit} && exec "$@"`, 'sh', ...node], { stdio: 'pipe' });
    const { stdout, stderr } = await finished(child);
    expect(stderr).toBe('');
    return stdout.trim().split('\n');
  }

  test('without a handle that is left, files fail by themselves, and only as long', async () => {
    const target = newFolder();
    const statements = `
      await put('before', 1);
      const open = [];
      try {
        for (;;) open.push(openSync('/dev/null'));
      } catch {}
      for (const path of ['a', 'b', 'c']) await put(path, 1);
      for (const file of open) closeSync(file);
      for (const path of ['a', 'after']) await put(path, 1);
    `;
    const failed = ['a', 'b', 'c'].map(
      (path) => `${path} too-many-open The system lets this program open no more files.`,
    );
    expect(await run('ulimit -n 64', statements, target)).toEqual([
      'before stored',
      ...failed,
      'a stored',
      'after stored',
    ]);
    expect(Object.keys(tree(target)).sort()).toEqual(['a', 'after', 'before']);
  });

  test('with few handles, many files at once take their turns', async () => {
    const target = newFolder();
    const statements = `
      const paths = Array.from({ length: 200 }, (_, i) => String(i));
      await Promise.all(paths.map((path, i) => put(path, i)));
    `;
    const all = Array.from({ length: 200 }, (_, i) => `${i} stored`);
    expect((await run('ulimit -n 40', statements, target)).sort()).toEqual(all.sort());
    expect(Object.keys(tree(target))).toHaveLength(200);
  });

  test('a file that is too large for the disk fails by itself', async () => {
    const target = newFolder();
    expect(
      await run('ulimit -f 2048', "await put('big', 5_000_000); await put('small', 1);", target),
    ).toEqual(['big disk The disk takes no file that is so large.', 'small stored']);
    expect(Object.keys(tree(target))).toEqual(['small']);
  });
});
