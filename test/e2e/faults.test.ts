import { execFileSync } from 'node:child_process';
import {
  appendFile,
  chmod,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ERRORS, type ErrorCode } from '../../src/errors.ts';
import { Disk } from '../lab/disk.ts';
import { Pair } from '../lab/pair.ts';
import { type Drop, drop } from '../support/bin.ts';
import { content, digestOf, makeFile } from '../support/content.ts';
import { Onlooker } from '../support/onlooker.ts';
import { describeWith, LAB } from '../support/skip.ts';
import { treeDifferences } from '../support/tree.ts';

const MiB = 1024 * 1024;

describeWith([...LAB, 'mount', 'umount'], 'a disk that is full', () => {
  test('before: both sides are told, nothing is there, and the next file arrives', async () => {
    await using pair = new Pair();
    const { ana, bob } = pair;
    using disk = new Disk(join(ana.path, 'disk'), 40 * MiB);
    const receiving = await pair.receive(['--into', disk.folder]);
    await makeFile(join(bob.path, 'large'), 'large', 90 * MiB);
    const sending = pair.send(['large']);
    await expectEnd(sending, 5);
    expect(failures(sending)).toMatchObject([inFull('peer-full')]);
    await expectTold(receiving, 'disk-full');
    expect(await readdir(disk.folder)).toEqual([]);
    await expectNextFile(pair, disk.folder);
  });

  test('for one file that has come to a folder: it is named, and what else is new arrives', async () => {
    await using pair = new Pair();
    const { ana, bob } = pair;
    using disk = new Disk(join(ana.path, 'disk'), 40 * MiB);
    await pair.receive(['--into', disk.folder]);
    const tree = join(bob.path, 'tree');
    await mkdir(tree);
    await writeFile(join(tree, 'file 0'), 'file 0');
    await expectEnd(pair.send(['tree']), 0);
    for (let i = 1; i < 50; i++) await writeFile(join(tree, `file ${i}`), `file ${i}`);
    await makeFile(join(tree, 'file 25 is large'), 'large', 90 * MiB);
    const sending = pair.send(['tree']);
    await expectEnd(sending, 5);
    const named = { ...inFull('peer-full'), path: 'tree/file 25 is large' };
    expect(failures(sending)).toMatchObject([named]);
    expect(await sending.event('summary')).toMatchObject({ ok: false, files: 50, failed: 1 });
    await unlink(join(tree, 'file 25 is large'));
    expect(await differencesButTimes(tree, join(disk.folder, 'tree'))).toEqual([]);
    expect(await readdir(disk.folder)).toEqual(['tree']);
  });

  test('for a stream, of which nobody knew how long it is', async () => {
    await using pair = new Pair();
    using disk = new Disk(join(pair.ana.path, 'disk'), 40 * MiB);
    const receiving = await pair.receive(['--into', disk.folder]);
    const input = Buffer.concat([...content('stream', 60 * MiB)]);
    const sending = pair.send(['-', '--name', 'stream'], { input });
    await expectFailure(sending, 'peer-full', 5);
    await expectTold(receiving, 'disk-full');
    expect(visible(await readdir(disk.folder))).toEqual([]);
    await expectNextFile(pair, disk.folder);
  });

  test('in the middle: it stops, keeps what it has, and goes on once there is room', async () => {
    await using pair = new Pair('50mbit');
    const { ana, bob } = pair;
    using disk = new Disk(join(ana.path, 'disk'), 100 * MiB);
    const receiving = await pair.receive(['--into', disk.folder]);
    const size = 48 * MiB;
    await makeFile(join(bob.path, 'large'), 'large', size);
    using onlooker = new Onlooker(disk.folder);
    const sending = pair.send(['large']);
    await midway(pair, receiving, () => disk.fill(MiB), 0.4 * size);
    await expectFailure(sending, 'peer-full', 5);
    await expectTold(receiving, 'disk-full');
    expect(onlooker.seen).toEqual([]);

    disk.empty();
    const again = pair.send(['large']);
    expect((await again.event('resuming')).bytes).toBeGreaterThan(0.3 * size);
    await expectEnd(again, 0);
    expect((await again.event('summary')).sent).toBeLessThan(0.7 * size);
    expect(await readdir(disk.folder)).toEqual(['large']);
    expect(await digestOf(join(disk.folder, 'large'))).toBe(
      await digestOf(join(bob.path, 'large')),
    );
    expect(onlooker.complaints()).toEqual([]);
  });
});

describeWith([...LAB, 'setpriv'], 'a folder that cannot be saved into', () => {
  test('is told at the start: 8', async () => {
    await using pair = new Pair();
    const { ana } = pair;
    await chmod(ana.downloads, 0o555);
    const options = { host: pair.right, home: ana, by: ORDINARY };
    await using receiving = drop(['receive', '--into', ana.downloads], options);
    const { code, stderr } = await receiving.outcome();
    expect(code).toBe(8);
    expect(stderr).toContain(ERRORS['not-permitted'].message);
    expect(stderr).toContain(ana.downloads);
  });

  test('from some time on: told on both sides, kept, and sent again it is there', async () => {
    await using pair = new Pair(SLOW);
    const { ana, bob } = pair;
    await makeFile(join(bob.path, 'large'), 'large', 16 * MiB);
    const receiving = await pair.receive([], { by: ORDINARY });
    const sending = pair.send(['large']);
    await midway(pair, receiving, () => chmod(ana.downloads, 0o555));
    await expectFailure(sending, 'peer-disk', 5);
    await expectTold(receiving, 'not-permitted');
    const next = pair.send(['large']);
    await expectFailure(next, 'peer-disk', 5);
    await chmod(ana.downloads, 0o755);
    const last = pair.send(['large']);
    await expectEnd(last, 0);
    expect(await readdir(ana.downloads)).toEqual(['large']);
    expect(await digestOf(join(ana.downloads, 'large'))).toBe(
      await digestOf(join(bob.path, 'large')),
    );
  });

  test('as it was removed in mid-transfer: nothing is said to be stored', async () => {
    await using pair = new Pair(SLOW);
    const { ana, bob } = pair;
    await makeFile(join(bob.path, 'large'), 'large', 16 * MiB);
    const receiving = await pair.receive();
    const sending = pair.send(['large']);
    await midway(pair, receiving, () => rm(ana.downloads, { recursive: true }));
    await expectEnd(sending, 5);
    expect(failures(sending)).not.toEqual([]);
    expect(failures(receiving)).not.toEqual([]);
    expect(saved(sending)).toEqual([]);
    await mkdir(ana.downloads, { recursive: true });
    await expectNextFile(pair, ana.downloads);
  });

  test('as it was replaced by a link in mid-transfer: nothing lands where that leads', async () => {
    await using pair = new Pair(SLOW);
    const { ana, bob } = pair;
    const [moved, elsewhere] = [join(ana.path, 'moved'), join(ana.path, 'elsewhere')];
    await mkdir(elsewhere);
    await makeFile(join(bob.path, 'large'), 'large', 16 * MiB);
    const receiving = await pair.receive();
    const sending = pair.send(['large']);
    await midway(pair, receiving, async () => {
      await rename(ana.downloads, moved);
      await symlink(elsewhere, ana.downloads);
    });
    await expectEnd(sending, 5);
    expect(saved(sending)).toEqual([]);
    expect(await readdir(elsewhere)).toEqual([]);
    expect(visible(await readdir(moved))).toEqual([]);
    await unlink(ana.downloads);
    await rename(moved, ana.downloads);
    await expectNextFile(pair, ana.downloads);
  });

  test('as a folder in it was replaced by a link in mid-transfer: the rest arrives', async () => {
    await using pair = new Pair(SLOW);
    const { ana, bob } = pair;
    const tree = join(bob.path, 'tree');
    const elsewhere = join(ana.path, 'elsewhere');
    await mkdir(elsewhere);
    for (const folder of ['a', 'b', 'c']) {
      await mkdir(join(tree, folder), { recursive: true });
      for (const name of ['1', '2', '3', '4'])
        await makeFile(join(tree, folder, name), folder + name, 2 * MiB);
    }
    await pair.receive();
    const sending = pair.send(['tree']);
    await sending.event('saved');
    // All folders are made when the first file is there, as all were offered together.
    await rename(join(ana.downloads, 'tree', 'c'), join(ana.path, 'moved'));
    await symlink(elsewhere, join(ana.downloads, 'tree', 'c'));
    pair.left.limit('lan', FAST);
    await expectEnd(sending, 5);
    expect(await readdir(elsewhere)).toEqual([]);
    for (const folder of ['a', 'b']) {
      const there = join(ana.downloads, 'tree', folder);
      expect(await differencesButTimes(join(tree, folder), there)).toEqual([]);
    }
  });
});

describeWith([...LAB, 'setpriv'], 'a source that changes', () => {
  test('among others, before its turn: each is named, and the rest arrives: 5', async () => {
    await using pair = new Pair(SLOW);
    const { ana, bob } = pair;
    const tree = join(bob.path, 'tree');
    await mkdir(tree);
    await makeFile(join(tree, '1'), '1', 24 * MiB);
    const names = ['grows', 'is changed', 'is removed', 'shrinks', 'stays'];
    for (const name of names) await makeFile(join(tree, `2 ${name}`), name, 100_000);
    const receiving = await pair.receive();
    const sending = pair.send(['tree']);
    await midway(pair, receiving, async () => {
      await appendFile(join(tree, '2 grows'), 'more');
      await makeFile(join(tree, '2 is changed'), 'other', 100_000);
      await unlink(join(tree, '2 is removed'));
      await truncate(join(tree, '2 shrinks'), 1000);
    });
    await expectEnd(sending, 5);
    const named = new Map(failures(sending).map(({ path, code }) => [path, code]));
    expect(named).toEqual(
      new Map([
        ['tree/2 grows', 'changed'],
        ['tree/2 is changed', 'changed'],
        ['tree/2 is removed', 'missing'],
        ['tree/2 shrinks', 'changed'],
      ]),
    );
    const there = join(ana.downloads, 'tree');
    expect((await readdir(there)).sort()).toEqual(['1', '2 stays']);
    // What is there now is sent by the same command.
    await expectEnd(pair.send(['tree']), 0);
    expect(await treeDifferences(tree, there)).toEqual([]);
    expect(await readdir(ana.downloads)).toEqual(['tree']);
  });

  test.for([
    { how: 'grows', change: (path: string) => appendFile(path, 'more') },
    { how: 'shrinks', change: (path: string) => truncate(path, 1000) },
    { how: 'is written into', change: (path: string) => makeFile(path, 'other', 24 * MiB) },
  ])('while it is read, and $how: 7, and nothing is there', async ({ change }) => {
    await using pair = new Pair(SLOW);
    const { ana, bob } = pair;
    const path = join(bob.path, 'large');
    await makeFile(path, 'large', 24 * MiB);
    using onlooker = new Onlooker(ana.downloads);
    const receiving = await pair.receive();
    const sending = pair.send(['large']);
    await midway(pair, receiving, () => change(path));
    await expectFailure(sending, 'changed', 7);
    await expectTold(receiving, 'changed');
    expect(onlooker.seen).toEqual([]);
    await expectEnd(pair.send(['large']), 0);
    expect(await readdir(ana.downloads)).toEqual(['large']);
    expect(await digestOf(join(ana.downloads, 'large'))).toBe(await digestOf(path));
  });

  test('while the connection is lost: what was kept of it is not used', async () => {
    await using pair = new Pair(SLOW);
    const { ana, bob, right } = pair;
    const path = join(bob.path, 'large');
    await makeFile(path, 'large', 24 * MiB);
    const receiving = await pair.receive();
    const sending = pair.send(['large']);
    await midway(pair, receiving, async () => {
      right.reset('meta l4proto tcp');
      await sending.event('reconnecting');
      await makeFile(path, 'other', 24 * MiB);
      right.loseNothing();
    });
    await expectFailure(sending, 'changed', 7);
    const again = pair.send(['large']);
    await expectEnd(again, 0);
    expect(await again.event('summary')).toMatchObject({ sent: 24 * MiB, resumed: 0 });
    expect(await readdir(ana.downloads)).toEqual(['large']);
    expect(await digestOf(join(ana.downloads, 'large'))).toBe(await digestOf(path));
  });

  test('or cannot be read, one of a thousand: it is named, and the rest arrives: 5', async () => {
    await using pair = new Pair();
    const { ana, bob } = pair;
    const tree = join(bob.path, 'tree');
    await mkdir(join(tree, 'closed folder'), { recursive: true });
    for (let i = 0; i < 1000; i++) await writeFile(join(tree, `${i}`), `file ${i}`);
    await chmod(join(tree, '500'), 0);
    await writeFile(join(tree, 'closed folder', 'file'), 'nobody sees it');
    await chmod(join(tree, 'closed folder'), 0);
    await pair.receive();
    const sending = pair.send(['tree'], { by: ORDINARY });
    await expectEnd(sending, 5);
    const named = failures(sending).map(({ path, code }) => `${path}: ${code}`);
    expect(named.sort()).toEqual(['tree/500: unreadable', 'tree/closed folder: unreadable']);
    expect(await sending.event('summary')).toMatchObject({ files: 999, failed: 2, ok: false });
    const there = await readdir(join(ana.downloads, 'tree'));
    expect(there.filter((name) => /^\d+$/.test(name))).toHaveLength(999);
  });
});

describeWith([...LAB, 'prlimit'], 'a system that sets limits', () => {
  // Node alone holds about twenty.
  test.for([
    { which: 'sender', limit: 32 },
    { which: 'receiver', limit: 40 },
    { which: 'receiver', limit: 80 },
  ])('on open files, $limit for the $which: nothing is lost', async ({ which, limit }) => {
    await using pair = new Pair();
    const { ana, bob } = pair;
    const few = { by: ['prlimit', `--nofile=${limit}`] };
    const tree = join(bob.path, 'tree');
    for (let i = 0; i < 600; i++) {
      await mkdir(join(tree, `${i % 30}`), { recursive: true });
      await writeFile(join(tree, `${i % 30}`, `file ${i}`), `file ${i}`);
    }
    const receiving = await pair.receive([], which === 'receiver' ? few : {});
    const sending = pair.send(['tree'], which === 'sender' ? few : {});
    const { code } = await sending.outcome();
    expect([0, 5]).toContain(code);
    const { files, failed } = await sending.event('summary');
    expect(failed === 0).toBe(code === 0);
    expect(failures(sending)).toHaveLength(failed);
    expect(saved(sending)).toHaveLength(files);
    expect(files + failed).toBe(600);
    await expectNextFile(pair, ana.downloads);
    await receiving.stop();

    // Whatever failed arrives where there is no such limit.
    await pair.receive();
    const there = join(ana.downloads, 'tree');
    await expectEnd(pair.send(['tree']), 0);
    expect(await differencesButTimes(tree, there)).toEqual([]);
  });

  test('on open files, and none is left when it has just started: it goes on', async () => {
    await using pair = new Pair();
    const receiving = await pair.receive();
    const limit = (files: number) =>
      execFileSync('prlimit', ['--pid', String(receiving.pid), `--nofile=${files}:`]);
    limit(1);
    await sleep(ANNOUNCED);
    limit(1024);
    await expectNextFile(pair, pair.ana.downloads);
    limit(1);
    expect(await receiving.stop()).toMatchObject({ signal: 'SIGINT', stderr: '' });
  });

  test('on the size of a file, as a quota does: told on both sides, and the next arrives', async () => {
    await using pair = new Pair();
    const { ana, bob } = pair;
    await makeFile(join(bob.path, 'large'), 'large', 20 * MiB);
    const receiving = await pair.receive([], { by: ['prlimit', `--fsize=${10 * MiB}`] });
    const sending = pair.send(['large']);
    await expectEnd(sending, 5);
    expect(failures(sending)).not.toEqual([]);
    expect(failures(receiving)).not.toEqual([]);
    expect(visible(await readdir(ana.downloads))).toEqual([]);
    await expectNextFile(pair, ana.downloads);
  });
});

/** ms. Within this long it has announced itself for the last time, and looked at its network again. */
const ANNOUNCED = 3_500;

/** So slow that most of a file is still on its way when some of it has come, whatever we do then. */
const SLOW = '20mbit';
const FAST = '1gbit';

/** Does this when so much has come; what is left of it goes faster then. */
async function midway(
  { left }: Pair,
  receiving: Drop,
  change: () => Promise<void>,
  least = MiB,
): Promise<void> {
  await receiving.event('progress', ({ bytes }) => bytes > least);
  await change();
  left.limit('lan', FAST);
}

/** Makes permissions hold for root, too, as they do for everybody else. */
const ORDINARY = ['setpriv', '--bounding-set=-dac_override,-dac_read_search'];

async function expectEnd(sending: Drop, exit: number): Promise<void> {
  const { code, stdout } = await sending.outcome();
  expect(code, stdout).toBe(exit);
}

/** The sender has said so, in one sentence, and ends with `exit`. */
async function expectFailure(sending: Drop, code: ErrorCode, exit: number): Promise<void> {
  await expectEnd(sending, exit);
  expect(failures(sending)).toMatchObject([inFull(code)]);
  expect(await sending.event('summary')).toMatchObject({ ok: false, files: 0, code });
  expect(saved(sending)).toEqual([]);
}

/** The receiver has said so, and nothing else of it. */
async function expectTold(receiving: Drop, code: ErrorCode): Promise<void> {
  await receiving.event('summary', (summary) => summary.code === code);
  expect(failures(receiving)).toMatchObject([inFull(code)]);
}

/** A failure with the sentence that belongs to it. */
function inFull(code: ErrorCode) {
  return { code, message: ERRORS[code].message };
}

/** The receiver lives on. */
async function expectNextFile(pair: Pair, folder: string): Promise<void> {
  await writeFile(join(pair.bob.path, 'small'), 'small');
  await expectEnd(pair.send(['small']), 0);
  expect(await readFile(join(folder, 'small'), 'utf8')).toBe('small');
}

function failures(process: Drop) {
  return process.events.flatMap((one) => (one.event === 'error' ? [one] : []));
}

function saved(process: Drop): string[] {
  return process.events.flatMap((one) => (one.event === 'saved' ? [one.path] : []));
}

function visible(names: readonly string[]): string[] {
  return names.filter((name) => !name.startsWith('.drop-'));
}

/** Where something failed, folders keep the time at which they were made. */
async function differencesButTimes(left: string, right: string): Promise<string[]> {
  return (await treeDifferences(left, right)).filter((line) => !line.includes('mtime'));
}
