import {
  appendFileSync,
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { InboxOptions } from '../../src/disk/inbox.ts';
import { openStagings, type Stagings } from '../../src/disk/staging.ts';
import type { PeerId } from '../../src/events.ts';
import type { DataEntry } from '../../src/protocol/manifest.ts';
import type { DigestName } from '../../src/protocol/message.ts';
import type { Inbox } from '../../src/transfer/inbox.ts';
import { openHandles } from '../support/handles.ts';
import { digestOf, sha256 } from '../support/memory.ts';
import {
  asUser,
  DIGESTS,
  failureOf,
  file,
  fileOf,
  folder,
  inboxIn,
  link,
  MTIME,
  newFolder,
  newFolderOfUser,
  type Offered,
  partsIn,
  receiveAll,
  receiveStart,
  shown,
  tree,
  unasked,
  visible,
} from './support.ts';

const MiB = 1024 * 1024;

let target: string;
let stagings: Stagings;

beforeEach(async () => {
  target = newFolder();
  stagings = await openStagings(newFolder());
});

function open(options: Partial<InboxOptions> = {}): Promise<Inbox> {
  return inboxIn(target, { stagings, umask: 0o022, ...options });
}

/** A transfer that breaks after so much of one file. */
async function breakOff(offered: Offered, size: number): Promise<void> {
  const inbox = await open();
  await receiveStart(inbox, offered, size);
  await inbox.close();
}

/** A transfer to the end. Says what was wanted. */
async function complete(offered: readonly Offered[], options = {}): Promise<string[]> {
  const inbox = await open(options);
  const wanted = await receiveAll(inbox, offered);
  expect(await inbox.finish()).toEqual([]);
  await inbox.close();
  return wanted;
}

/** Bytes of which no two parts are alike. */
function bytes(size: number): Buffer {
  const content = Buffer.alloc(size);
  for (let at = 0; at + 4 <= size; at += 4) content.writeUInt32LE(at, at);
  return content;
}

describe('what came of a file before a break', () => {
  test.each([1, 1000, 256 * 1024, MiB - 1, MiB, MiB + 1, 3 * MiB + 5])(
    'is kept, and gone on with after %d bytes',
    async (size) => {
      const content = bytes(4 * MiB);
      const offered = fileOf('x', content);
      await breakOff(offered, size);
      expect(visible(target)).toEqual({});
      expect(partsIn(target).map((part) => statSync(part).size)).toEqual([size]);
      const inbox = await open();
      expect(inbox.fresh).toBe(false);
      const entry = offered.entry as DataEntry;
      const digest = sha256(content.subarray(0, size));
      expect(await inbox.place(entry, unasked)).toMatchObject({ want: 'rest', size });
      const placement = await inbox.place(entry, unasked);
      if (placement.want !== 'rest') throw new Error();
      expect(Buffer.from(placement.digest).equals(digest)).toBe(true);
      const incoming = await inbox.open(entry, size);
      expect(incoming.written).toBe(size);
      await incoming.write(content.subarray(size));
      await incoming.commit(sha256(content));
      await inbox.close();
      expect(readdirSync(target)).toEqual(['x']);
      expect(readFileSync(join(target, 'x')).equals(content)).toBe(true);
      expect(Math.round(statSync(join(target, 'x')).mtimeMs)).toBe(MTIME);
    },
  );

  const changes = DIGESTS.flatMap((one) => DIGESTS.map((other) => [one, other] as const));

  test.each(changes)(
    'under %s is gone on with under %s, in another process',
    async (one, other) => {
      const content = bytes(3 * MiB + 5);
      const { entry } = fileOf('x', content);
      const first = await open();
      first.connected(one);
      await receiveStart(first, { entry, content }, 2 * MiB + 3);
      await first.close();
      await goOn(await open(), other, entry as DataEntry, content, 2 * MiB + 3);
    },
  );

  test.each(changes)('under %s is gone on with under %s, by the same inbox', async (one, other) => {
    const content = bytes(3 * MiB + 5);
    const { entry } = fileOf('x', content);
    const inbox = await open();
    inbox.connected(one);
    await receiveStart(inbox, { entry, content }, 2 * MiB + 3);
    await goOn(inbox, other, entry as DataEntry, content, 2 * MiB + 3);
  });

  /** The second connection: what is kept is told by this, and so is the whole. */
  async function goOn(
    inbox: Inbox,
    name: DigestName,
    entry: DataEntry,
    content: Buffer,
    size: number,
  ): Promise<void> {
    inbox.connected(name);
    const placement = await inbox.place(entry, unasked);
    if (placement.want !== 'rest') throw new Error(placement.want);
    expect(placement.size).toBe(size);
    const start = digestOf(name, content.subarray(0, size));
    expect(Buffer.from(placement.digest).equals(start)).toBe(true);
    const incoming = await inbox.open(entry, size);
    await incoming.write(content.subarray(size));
    await incoming.commit(digestOf(name, content));
    await inbox.close();
    expect(readFileSync(join(target, 'x')).equals(content)).toBe(true);
  }

  test('may be all of it, without its name', async () => {
    const offered = fileOf('x', 'content');
    await breakOff(offered, 7);
    expect(await complete([offered])).toEqual(['rest x']);
    expect(tree(target)).toEqual({ x: 'content' });
  });

  test('may have the mode of what was sent, whatever that permits', async () => {
    target = await newFolderOfUser();
    await asUser(async () => {
      stagings = await openStagings(newFolder());
      const offered = fileOf('x', 'content');
      for (const mode of [0o444, 0o000]) {
        await breakOff(offered, 3);
        for (const part of partsIn(target)) chmodSync(part, mode);
        expect(await complete([offered])).toEqual(['rest x']);
        rmSync(join(target, 'x'));
      }
    });
  });

  test('is nothing if nothing came', async () => {
    await breakOff(fileOf('x', 'content'), 0);
    expect(readdirSync(target)).toEqual([]);
  });

  test('is kept by the same inbox, without being read again', async () => {
    const content = bytes(2 * MiB);
    const offered = fileOf('x', content);
    const inbox = await open();
    await receiveStart(inbox, offered, MiB + 5);
    const [part] = partsIn(target) as [string];
    // What is read of it is not what was written.
    chmodSync(part, 0o000);
    expect(await receiveAll(inbox, [offered])).toEqual(['rest x']);
    await inbox.close();
    expect(readFileSync(join(target, 'x')).equals(content)).toBe(true);
  });

  test('can be thrown away by the sender: then it starts over', async () => {
    const offered = fileOf('x', 'content');
    await breakOff(offered, 3);
    const inbox = await open();
    const entry = offered.entry as DataEntry;
    expect(await inbox.place(entry, unasked)).toMatchObject({ want: 'rest' });
    const incoming = await inbox.open(entry, 0);
    expect(incoming.written).toBe(0);
    await incoming.write(Buffer.from('content'));
    await incoming.commit(sha256(Buffer.from('content')));
    await inbox.close();
    expect(tree(target)).toEqual({ x: 'content' });
  });

  test('is gone on with at its very end, or not at all', async () => {
    const offered = fileOf('x', 'content');
    await breakOff(offered, 3);
    const inbox = await open();
    const entry = offered.entry as DataEntry;
    expect(await failureOf(inbox.open(entry, 3))).toMatchObject({ code: 'protocol' });
    await inbox.place(entry, unasked);
    for (const from of [1, 2, 4, 7])
      expect(await failureOf(inbox.open(entry, from))).toMatchObject({ code: 'protocol' });
    const incoming = await inbox.open(entry, 3);
    expect(await failureOf(inbox.open(entry, 3))).toMatchObject({ code: 'protocol' });
    await incoming.keep();
    await inbox.close();
  });

  test('is gone if it proves to be something else, or to have changed at its source', async () => {
    const offered = fileOf('x', 'content');
    for (const end of ['corrupt', 'discarded']) {
      await breakOff(offered, 3);
      const inbox = await open();
      const entry = offered.entry as DataEntry;
      await inbox.place(entry, unasked);
      const incoming = await inbox.open(entry, 3);
      await incoming.write(Buffer.from('TENT'));
      if (end === 'corrupt')
        expect(await failureOf(incoming.commit(sha256(Buffer.from('content'))))).toMatchObject({
          code: 'corrupt',
        });
      await incoming.discard();
      await inbox.close();
      expect(readdirSync(target)).toEqual([]);
    }
  });

  test('is of no use when the source is another one by now', async () => {
    for (const changed of [fileOf('x', 'content', MTIME + 1), fileOf('x', 'content!')]) {
      await breakOff(fileOf('x', 'content'), 3);
      expect(await complete([changed])).toEqual(['all x']);
      expect(readdirSync(target)).toEqual(['x']);
      rmSync(join(target, 'x'));
    }
  });

  test('is removed when the file is here in another way', async () => {
    const offered = fileOf('x', 'content');
    await breakOff(offered, 3);
    const other = await inboxIn(target);
    await receiveAll(other, [offered]);
    await other.close();
    expect(await complete([offered])).toEqual(['unchanged x']);
    expect(readdirSync(target)).toEqual(['x']);
  });

  test('belongs to the peer that sent it', async () => {
    const offered = fileOf('x', 'content');
    await breakOff(offered, 3);
    const peer = 'b'.repeat(64) as PeerId;
    expect(await complete([offered], { peer })).toEqual(['all x']);
    expect(partsIn(target)).toHaveLength(1);
  });

  test('stays when the transfer that goes on does not bring it', async () => {
    const offered = fileOf('x', 'content');
    await breakOff(offered, 3);
    expect(await complete([fileOf('y', 'y')])).toEqual(['all y']);
    expect(await complete([offered])).toEqual(['rest x']);
    expect(tree(target)).toEqual({ x: 'content', y: 'y' });
  });

  test('may have come twice, and is gone altogether when the file is there', async () => {
    const offered = fileOf('x', bytes(MiB));
    const inboxes = [await open(), await open()];
    for (const [i, inbox] of inboxes.entries()) await receiveStart(inbox, offered, 1000 * (i + 1));
    for (const inbox of inboxes) await inbox.close();
    expect(partsIn(target)).toHaveLength(2);
    expect(await complete([offered])).toEqual(['rest x']);
    expect(readdirSync(target)).toEqual(['x']);
  });

  test('is not shared by two transfers at once', async () => {
    const offered = fileOf('x', bytes(MiB + 1));
    await breakOff(offered, MiB);
    const inboxes = [await open(), await open()];
    const wanted = await Promise.all(inboxes.map((inbox) => receiveAll(inbox, [offered])));
    expect(wanted).toEqual([['rest x'], ['all x']]);
    for (const inbox of inboxes) await inbox.close();
    expect(readdirSync(target)).toEqual(['x']);
  });
});

test('of very many files at once, whatever else is compared, none waits for ever', async () => {
  const kept = Array.from({ length: 150 }, (_, i) => fileOf(`kept ${i}`, `content ${i}`));
  const same = Array.from({ length: 150 }, (_, i) => fileOf(`same ${i}`, `content ${i}`));
  const first = await open();
  await receiveAll(first, same);
  for (const offered of kept) await receiveStart(first, offered, 5);
  await first.close();
  const second = await open({ checksum: true });
  const placed = [...kept, ...same].map(({ entry, content }) =>
    second.place(entry, async () => sha256(content as Buffer)),
  );
  const wanted = (await Promise.all(placed)).map(({ want }) => want);
  expect(wanted.filter((want) => want === 'rest')).toHaveLength(150);
  expect(wanted.filter((want) => want === 'nothing')).toHaveLength(150);
  await second.close();
});

describe('a part that nobody may believe', () => {
  const spoils: [string, (part: string) => void, string][] = [
    ['is damaged', (part) => writeFileSync(part, 'CON'), 'rest x'],
    ['is longer than the file', (part) => writeFileSync(part, 'content and more'), 'all x'],
    ['is shorter than it was', (part) => truncateSync(part, 1), 'rest x'],
    ['is gone', (part) => rmSync(part), 'all x'],
    [
      'is a link',
      (part) => {
        rmSync(part);
        symlinkSync('/etc/hostname', part);
      },
      'all x',
    ],
    [
      'is a folder',
      (part) => {
        rmSync(part);
        mkdirSync(part);
      },
      'all x',
    ],
  ];

  test.each(spoils)('since it %s, does no harm', async (_, spoil, wanted) => {
    const offered = fileOf('x', 'content');
    await breakOff(offered, 3);
    for (const part of partsIn(target)) spoil(part);
    expect(await complete([offered])).toEqual([wanted]);
    expect(visible(target)).toEqual({ x: 'content' });
  });

  test.each(spoils)('since it %s after it was looked at, does no harm', async (_, spoil) => {
    const offered = fileOf('x', 'content');
    const entry = offered.entry as DataEntry;
    await breakOff(offered, 3);
    const inbox = await open();
    expect(await inbox.place(entry, unasked)).toMatchObject({ want: 'rest', size: 3 });
    for (const part of partsIn(target)) spoil(part);
    const incoming = await inbox.open(entry, 3);
    const store = async () => {
      await incoming.write(Buffer.from('tent'));
      return incoming.commit(sha256(Buffer.from('content')));
    };
    const failure = await failureOf(store());
    if (failure !== undefined) await incoming.discard();
    await inbox.close();
    // What was exchanged in our own folder in between is not read again; a name it may only get whole.
    if (failure !== undefined) expect(visible(target)).toEqual({});
  });

  test('since it grew after it was looked at, is cut off there', async () => {
    const entry = fileOf('x', 'content').entry as DataEntry;
    await breakOff(fileOf('x', 'content'), 3);
    const inbox = await open();
    await inbox.place(entry, unasked);
    for (const part of partsIn(target)) appendFileSync(part, 'and more than that');
    const incoming = await inbox.open(entry, 3);
    await incoming.write(Buffer.from('tent'));
    await incoming.commit(sha256(Buffer.from('content')));
    await inbox.close();
    expect(visible(target)).toEqual({ x: 'content' });
  });
});

describe('a stream', () => {
  const stream = (content: string): Offered => ({
    entry: { kind: 'stream', path: 'x', mode: 0o600 },
    content: Buffer.from(content),
  });

  test('gets the size and the time with which it came', async () => {
    const before = Date.now();
    await complete([stream('all that was said')]);
    const { size, mtimeMs, mode } = statSync(join(target, 'x'));
    expect([size, mode & 0o777]).toEqual([17, 0o600]);
    expect(mtimeMs).toBeGreaterThanOrEqual(before - 1);
  });

  test('goes on after a break with what is kept of it', async () => {
    await breakOff(stream('all that was said'), 5);
    expect(await complete([stream('all that was said')])).toEqual(['rest x']);
    expect(tree(target)).toEqual({ x: 'all that was said' });
  });

  test('says how much of it is written, not how much has come', async () => {
    const inbox = await open();
    const { entry } = stream('');
    const incoming = await inbox.open(entry as DataEntry, 0);
    for (let i = 1; i <= 5; i++) {
      await incoming.write(bytes(MiB - 1));
      const [part] = partsIn(target);
      expect(incoming.written).toBeLessThanOrEqual(part === undefined ? 0 : statSync(part).size);
    }
    expect(incoming.written).toBeGreaterThanOrEqual(3 * MiB);
    await incoming.keep();
    expect(incoming.written).toBe(5 * (MiB - 1));
    await inbox.close();
  });
});

describe('a file that has ended', () => {
  test.each(['committed', 'kept', 'discarded'])('as %s can be ended again', async (how) => {
    const before = openHandles();
    const inbox = await open();
    const offered = fileOf('x', 'content');
    const incoming = await inbox.open(offered.entry as DataEntry, 0);
    await incoming.write(Buffer.from('content'));
    if (how === 'committed') await incoming.commit(sha256(Buffer.from('content')));
    if (how === 'kept') await incoming.keep();
    if (how === 'discarded') await incoming.discard();
    const then = tree(target);
    for (let i = 0; i < 2; i++) {
      await incoming.keep();
      await incoming.discard();
    }
    expect(tree(target)).toEqual(then);
    expect(openHandles()).toBe(before);
    await inbox.close();
  });

  test('takes nothing more', async () => {
    const inbox = await open();
    const incoming = await inbox.open(file('x', 3), 0);
    await incoming.write(Buffer.from('a'));
    await incoming.keep();
    expect(await failureOf(incoming.write(Buffer.from('b')))).toMatchObject({
      code: 'disconnected',
    });
    await inbox.close();
    expect(partsIn(target).map((part) => readFileSync(part, 'utf8'))).toEqual(['a']);
  });
});

describe('a tree', () => {
  const offered: Offered[] = [
    { entry: folder('proj', 0o750) },
    fileOf('proj/.env', 'secret'),
    { entry: folder('proj/.git', 0o700) },
    fileOf('proj/.git/HEAD', 'main'),
    fileOf('proj/big', bytes(MiB)),
    { entry: link('proj/l', '.env') },
    fileOf('proj/~last', 'last'),
  ];

  /** All but what an uninterrupted transfer would set when it ends. */
  function shape(): unknown {
    const all = tree(target);
    const stat = (path: string) => lstatSync(join(target, path));
    return Object.entries(all).map(([path, what]) => {
      const { mode, mtimeMs } = stat(path);
      return [path, what, mode, what.startsWith('->') ? 0 : Math.round(mtimeMs)];
    });
  }

  test('that broke anywhere ends as if it had not, and only the rest is sent', async () => {
    await complete(offered);
    const whole = shape();
    for (let cut = 1; cut <= offered.length; cut++) {
      target = newFolder();
      const inbox = await open();
      const last = offered[cut - 1] as Offered;
      await receiveAll(inbox, offered.slice(0, cut - 1));
      if (last.content !== undefined) await receiveStart(inbox, last, last.content.length / 2);
      await inbox.close();
      const wanted = await complete(offered);
      expect(shape()).toEqual(whole);
      expect(wanted.filter((line) => line.startsWith('all'))).toHaveLength(
        offered.slice(last.content === undefined ? cut - 1 : cut).filter(({ content }) => content)
          .length,
      );
    }
  });

  test('whose folder is another one by now is as careful there as anywhere', async () => {
    const inbox = await open();
    await receiveAll(inbox, offered.slice(0, 1));
    await inbox.close();
    renameSync(join(target, 'proj'), join(target, 'away'));
    mkdirSync(join(target, 'proj'));
    await complete(offered.slice(0, 2));
    expect(tree(target)).toEqual({ away: '/', proj: '/', 'proj/_.env': 'secret' });
  });

  test('that is complete has no folders of its own any more', async () => {
    await complete(offered);
    await complete([...offered.slice(0, 1), fileOf('proj/.new', 'new')]);
    expect(tree(target)).toMatchObject({ 'proj/_.new': 'new' });
  });

  test('may be offered again over the same inbox', async () => {
    const inbox = await open();
    for (let i = 0; i < 2; i++) await receiveAll(inbox, offered);
    expect(await inbox.finish()).toEqual([]);
    await inbox.close();
    const again = tree(target);
    target = newFolder();
    await complete(offered);
    expect(again).toEqual(tree(target));
  });
});

describe('an inbox is fresh', () => {
  test.each<[boolean, string, readonly string[], Partial<InboxOptions>]>([
    [true, 'other', ['x', 'y'], {}],
    [false, 'x', ['y', 'x'], {}],
    [false, '_.x', ['.x'], {}],
    [false, '.x', ['.x'], {}],
    [false, 'mine', ['x'], { as: 'mine' }],
  ])('(%s) where %j is there and %j offered', async (fresh, there, roots, options) => {
    writeFileSync(join(target, there), '');
    const inbox = await open({ ...options, roots });
    expect(inbox.fresh).toBe(fresh);
    await inbox.close();
  });
});

test('however often it breaks, in the end all is there once, and nothing else', async () => {
  const files = fc.uniqueArray(
    fc.record({
      path: fc.constantFrom('a', 'b', '.c', 'f/a', 'f/.b', 'f/g/.c'),
      size: fc.constantFrom(0, 1, 100_000, MiB, 1_500_000),
    }),
    { selector: ({ path }) => path, minLength: 1 },
  );
  const cuts = fc.array(
    fc.record({ at: fc.nat({ max: 6 }), part: fc.double({ min: 0, max: 1, noNaN: true }) }),
    {
      maxLength: 4,
    },
  );
  await fc.assert(
    fc.asyncProperty(files, cuts, async (some, breaks) => {
      target = newFolder();
      const offered: Offered[] = [
        { entry: folder('f') },
        { entry: folder('f/g') },
        ...some.map(({ path, size }) => fileOf(path, Buffer.alloc(size, path))),
      ];
      for (const { at, part } of breaks) {
        const inbox = await open();
        await receiveAll(inbox, offered.slice(0, at));
        const last = offered[at];
        const whole = last?.content !== undefined && visible(target)[last.entry.path] !== undefined;
        if (last?.content !== undefined && !whole)
          await receiveStart(inbox, last, Math.floor(part * last.content.length));
        await inbox.close();
        for (const [path, content] of Object.entries(visible(target)))
          if (content !== '/')
            expect(some.map(({ size }) => size)).toContain(statSync(join(target, path)).size);
      }
      await complete(offered);
      const names = Object.fromEntries(
        some.map(({ path, size }) => [
          path === '.c' ? '_.c' : path,
          shown(Buffer.alloc(size, path)),
        ]),
      );
      expect(tree(target)).toEqual({ f: '/', 'f/g': '/', ...names });
    }),
    { numRuns: 25 },
  );
});
