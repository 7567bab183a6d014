import { mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Pair } from '../lab/pair.ts';
import { type Drop, drop } from '../support/bin.ts';
import { makeFile } from '../support/content.ts';
import { Home } from '../support/home.ts';
import { Onlooker } from '../support/onlooker.ts';
import { describeWith, LAB } from '../support/skip.ts';
import { treeDifferences } from '../support/tree.ts';

describeWith(LAB, 'a folder that is sent again', () => {
  test('costs little: of 200 files only the one that changed is sent, and nothing is lost', async () => {
    await using pair = new Pair();
    const { ana, bob, left } = pair;
    const tree = join(bob.path, 'photos');
    await mkdir(tree);
    for (let i = 0; i < 200; i++) await makeFile(join(tree, `${i}.jpg`), `${i}`, 100_000 + i);
    await pair.receive();
    const send = async (): Promise<Drop> => {
      const sending = pair.send(['photos']);
      const { code, stderr } = await sending.outcome();
      expect(code, stderr).toBe(0);
      return sending;
    };

    const first = await send();
    expect(await first.event('summary')).toMatchObject({ files: 200, sent: bytesOf(200) });
    const there = join(ana.downloads, 'photos');
    expect(await treeDifferences(tree, there)).toEqual([]);

    const original = await readFile(join(tree, '77.jpg'));
    await makeFile(join(tree, '77.jpg'), 'changed', 120_000);
    await writeFile(join(there, 'mine.txt'), "Ana's own");
    using onlooker = new Onlooker(ana.downloads);
    const before = left.traffic('lan');
    const second = await send();
    const after = left.traffic('lan');
    const crossed = after.sent - before.sent + after.received - before.received;
    expect(crossed).toBeGreaterThan(120_000);
    expect(crossed).toBeLessThan(400_000);
    expect(await second.event('summary')).toMatchObject({
      ok: true,
      files: 200,
      bytes: bytesOf(200) - 100_077 + 120_000,
      sent: 120_000,
      resumed: bytesOf(200) - 100_077,
      skipped: 199,
      failed: 0,
    });
    const saved = second.events.filter(({ event }) => event === 'saved');
    expect(saved).toMatchObject([{ path: 'photos/77.jpg', bytes: 120_000 }]);

    const third = await send();
    expect(await third.event('summary')).toMatchObject({ files: 200, sent: 0, skipped: 200 });
    expect(onlooker.complaints()).toEqual([]);
    expect((await readdir(there)).length).toBe(202);
    expect((await readFile(join(there, '77.jpg'))).equals(original)).toBe(true);
    const changed = await readFile(join(tree, '77.jpg'));
    expect((await readFile(join(there, '77 (1).jpg'))).equals(changed)).toBe(true);
    expect(await readFile(join(there, 'mine.txt'), 'utf8')).toBe("Ana's own");
    expect(await readdir(ana.downloads)).toEqual(['photos']);
  });
});

describe('a file that is there', () => {
  test('of the same size and time is unchanged; of another time it is compared; neither is sent', async () => {
    await using two = await Two.create();
    await two.write(two.path, 'content', 1000);
    expect(await two.send()).toMatchObject({ exit: 0, sent: 7, skipped: [] });
    expect(await two.send()).toMatchObject({ exit: 0, sent: 0, skipped: ['unchanged'] });
    await two.write(two.path, 'content', 2000);
    expect(await two.send()).toMatchObject({ exit: 0, sent: 0, skipped: ['identical'] });
    // As many bytes, but others.
    await two.write(two.path, 'CONTENT', 3000);
    expect(await two.send()).toMatchObject({ exit: 0, sent: 7, skipped: [] });
    // One of another name is compared, whatever its time.
    expect(await two.send()).toMatchObject({ exit: 0, sent: 0, skipped: ['identical'] });
    expect(await two.there()).toEqual({ 'a (1).txt': 'CONTENT', 'a.txt': 'content' });
  });

  test('and hides its change behind size and time is found out by --checksum alone', async () => {
    await using two = await Two.create();
    await two.write(two.path, 'content', 1000);
    expect(await two.send()).toMatchObject({ exit: 0, sent: 7 });
    await two.write(two.path, 'CONTENT', 1000);
    expect(await two.send()).toMatchObject({ exit: 0, sent: 0, skipped: ['unchanged'] });
    expect(await two.send('--checksum')).toMatchObject({ exit: 0, sent: 7, skipped: [] });
    expect(await two.send('--checksum')).toMatchObject({
      exit: 0,
      sent: 0,
      skipped: ['identical'],
    });
    expect(await two.there()).toEqual({ 'a (1).txt': 'CONTENT', 'a.txt': 'content' });
  });

  test('is taken for the same when it comes from standard input, too', async () => {
    await using two = await Two.create();
    const stream = async () => {
      const options = { home: two.home, input: 'what is said' };
      await using sending = drop(['send', '--json', '--to', 'Ana', '-', '--name', 'a'], options);
      return (await sending.outcome()).code;
    };
    expect(await stream()).toBe(0);
    expect(await stream()).toBe(0);
    expect(await two.there()).toEqual({ a: 'what is said' });
  });
});

describe('--on-conflict', () => {
  const older = 1_000;
  const newer = 2_000;
  const stored = { exit: 0, ok: true, sent: 4, skipped: [] };
  const beside = {
    ...stored,
    left: { 'a.txt': 'theirs', 'a (1).txt': 'ours' },
    again: 'identical',
  };
  const replaced = { ...stored, left: { 'a.txt': 'ours' }, again: 'unchanged' };
  const refused = {
    exit: 5,
    ok: false,
    sent: 0,
    skipped: ['conflict'],
    left: { 'a.txt': 'theirs' },
    again: 'conflict',
  };

  test.for([
    { how: [], ours: newer, theirs: older, ...beside },
    { how: ['rename'], ours: older, theirs: newer, ...beside },
    { how: ['skip'], ours: newer, theirs: older, ...refused },
    { how: ['overwrite'], ours: older, theirs: newer, ...replaced },
    { how: ['newer'], ours: newer, theirs: older, ...replaced },
    { how: ['newer'], ours: older, theirs: newer, ...refused },
  ])('$how, ours is of $ours, theirs of $theirs: ends with $exit', async (given) => {
    const { how, ours, theirs, left, again, ...expected } = given;
    await using two = await Two.create(...how.flatMap((word) => ['--on-conflict', word]));
    await two.write(two.path, 'ours', ours);
    await two.write(join(two.downloads, 'a.txt'), 'theirs', theirs);
    expect(await two.send()).toMatchObject(expected);
    expect(await two.there()).toEqual(left);
    // Once more: what is there is recognised under any of these rules.
    const { exit } = expected;
    expect(await two.send()).toMatchObject({ exit, sent: 0, skipped: [again] });
    expect(await two.there()).toEqual(left);
  });

  test.for(['rename', 'skip', 'overwrite', 'newer'])(
    '%s sends nothing that is there',
    async (how) => {
      await using two = await Two.create('--on-conflict', how);
      await two.write(two.path, 'same', 1000);
      await two.write(join(two.downloads, 'a.txt'), 'same', 2000);
      expect(await two.send()).toMatchObject({ exit: 0, sent: 0, skipped: ['identical'] });
      expect(await two.there()).toEqual({ 'a.txt': 'same' });
    },
  );

  test('skip leaves out what is there otherwise, and takes the rest: 5', async () => {
    await using two = await Two.create('--on-conflict', 'skip');
    const tree = join(two.home.path, 'tree');
    const there = join(two.downloads, 'tree');
    await mkdir(tree);
    await mkdir(there);
    for (const name of ['a', 'b', 'c']) await two.write(join(tree, name), `our ${name}`, 2000);
    await two.write(join(there, 'b'), 'their b', 1000);
    await using sending = drop(['send', '--json', '--to', 'Ana', 'tree'], { home: two.home });
    expect((await sending.outcome()).code).toBe(5);
    const summary = { ok: false, files: 2, skipped: 1, failed: 0, sent: 10 };
    expect(await sending.event('summary')).toMatchObject(summary);
    expect(await sending.event('skipped')).toMatchObject({ path: 'tree/b', reason: 'conflict' });
    expect(await readFile(join(there, 'b'), 'utf8')).toBe('their b');
    expect((await readdir(there)).sort()).toEqual(['a', 'b', 'c']);
  });

  test('overwrite puts a new file there, and writes into no other', async () => {
    await using two = await Two.create('--on-conflict', 'overwrite');
    await two.write(two.path, 'ours', 2000);
    const target = join(two.downloads, 'a.txt');
    await two.write(target, 'theirs', 1000);
    const before = await stat(target);
    expect(await two.send()).toMatchObject({ exit: 0 });
    expect((await stat(target)).ino).not.toBe(before.ino);
    expect(await readFile(target, 'utf8')).toBe('ours');
  });
});

/** One person with two terminals, who sends `a.txt` to herself. */
class Two implements AsyncDisposable {
  readonly home = new Home();
  readonly path = join(this.home.path, 'a.txt');
  readonly downloads = this.home.downloads;
  readonly #receiving: Drop;

  private constructor(args: readonly string[]) {
    const all = ['receive', '--json', '--yes', '--name', 'Ana', ...args];
    this.#receiving = drop(all, { home: this.home });
  }

  static async create(...args: string[]): Promise<Two> {
    const two = new Two(args);
    await two.#receiving.event('ready');
    return two;
  }

  async write(path: string, content: string, mtime: number): Promise<void> {
    await writeFile(path, content);
    await utimes(path, mtime, mtime);
  }

  async send(...args: string[]) {
    const all = ['send', '--json', '--to', 'Ana', ...args, 'a.txt'];
    await using sending = drop(all, { home: this.home });
    const { code: exit } = await sending.outcome();
    const { ok, sent } = await sending.event('summary');
    const skipped = sending.events.flatMap((one) => (one.event === 'skipped' ? [one.reason] : []));
    return { exit, ok, sent, skipped };
  }

  /** What lies in the folder, by name. */
  async there(): Promise<Record<string, string>> {
    const names = await readdir(this.downloads);
    const files = names.map(async (name) => [
      name,
      await readFile(join(this.downloads, name), 'utf8'),
    ]);
    return Object.fromEntries(await Promise.all(files));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#receiving[Symbol.asyncDispose]();
    await this.home[Symbol.asyncDispose]();
  }
}

/** How many bytes so many files have, of 100,000 and more. */
function bytesOf(files: number): number {
  return files * 100_000 + (files * (files - 1)) / 2;
}
