import type { ChildProcess } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openStagings, type Staging, type Stagings } from '../../src/disk/staging.ts';
import type { PeerId } from '../../src/events.ts';
import { MAX_MADE, MAX_PARTS } from '../../src/limits.ts';
import { finished, text } from '../support/process.ts';
import { describeWith } from '../support/skip.ts';
import {
  asUser,
  file,
  inboxIn,
  newFolder,
  newFolderOfUser,
  PEER,
  partsIn,
  spawnReceiver,
  tree,
  type Work,
} from './support.ts';

const OTHER = 'b'.repeat(64) as PeerId;
const DAY = 24 * 60 * 60 * 1000;

let home: string;
let target: string;
let stagings: Stagings;

beforeEach(async () => {
  home = newFolder();
  target = realpathSync(newFolder());
  stagings = await openStagings(home);
});

const ENTRY = file('x', 3);

/** Puts a part there, as if it had been received. */
function begin(staging: Staging, entry = ENTRY, content = 'abc'): string {
  const part = staging.begin(entry);
  writeFileSync(part, content, { mode: 0o600 });
  staging.end(part, true);
  return part;
}

/** What a broken transfer leaves: its staging folder, with a part in it. */
async function leave(peer = PEER, into = target): Promise<{ folder: string; part: string }> {
  const staging = await stagings.claim(into, peer);
  const part = begin(staging);
  staging.close();
  return { folder: join(part, '..'), part };
}

function records(): string[] {
  return readdirSync(join(home, 'staging'));
}

function recordOf(folder: string): string {
  const name = basename(folder).slice('.drop-'.length);
  const found = records().find((record) => record.startsWith(name));
  return join(home, 'staging', found ?? 'none');
}

describe('a staging folder', () => {
  test('is ours alone, and recorded as long as it is there', async () => {
    const staging = await stagings.claim(target, PEER);
    expect(staging.isNew).toBe(true);
    const [name] = readdirSync(target) as [string];
    expect(name).toMatch(/^\.drop-[0-9a-f]{16}$/);
    expect(statSync(join(target, name)).mode & 0o777).toBe(0o700);
    expect(statSync(join(home, 'staging')).mode & 0o777).toBe(0o700);
    expect(JSON.parse(readFileSync(recordOf(name), 'utf8'))).toEqual({
      v: 1,
      target,
      folder: String(statSync(join(target, name)).ino),
      peer: PEER,
    });
    expect(statSync(recordOf(name)).mode & 0o777).toBe(0o600);
    staging.close();
    expect([...records(), ...readdirSync(target)]).toEqual([]);
  });

  test('that cannot be made leaves no record', async () => {
    await expect(stagings.claim(join(target, 'none'), PEER)).rejects.toThrow('ENOENT');
    expect(records()).toEqual([]);
  });

  test('is left with what is worth keeping, and found by the next transfer of the same', async () => {
    const { part } = await leave();
    const staging = await stagings.claim(target, PEER);
    expect(staging.isNew).toBe(false);
    expect(staging.partsOf(ENTRY)).toEqual([part]);
    staging.drop(ENTRY);
    staging.close();
    expect([...records(), ...readdirSync(target)]).toEqual([]);
  });

  test('is not for another peer, nor for another folder', async () => {
    const { folder } = await leave();
    const elsewhere = realpathSync(newFolder());
    for (const [into, peer] of [
      [target, OTHER],
      [elsewhere, PEER],
    ] as const) {
      const staging = await stagings.claim(into, peer);
      expect(staging.isNew).toBe(true);
      staging.close();
    }
    expect(readdirSync(target)).toEqual([basename(folder)]);
    expect(readdirSync(elsewhere)).toEqual([]);
  });

  test('belongs to one transfer at a time', async () => {
    await leave();
    const [one, two] = [await stagings.claim(target, PEER), await stagings.claim(target, PEER)];
    const [again, other] = [await stagings.claim(target, PEER), await openStagings(home)];
    const third = await other.claim(target, PEER);
    expect([one, two, again, third].map((staging) => staging.isNew)).toEqual([
      false,
      true,
      true,
      true,
    ]);
    for (const staging of [one, two, again, third]) staging.close();
    expect(readdirSync(target)).toHaveLength(1);
  });

  test('of several that broke together is taken over with the others, up to some', async () => {
    const all = await Promise.all(Array.from({ length: 12 }, () => stagings.claim(target, PEER)));
    for (const [i, staging] of all.entries()) {
      begin(staging, file(`${i}`, 3));
      staging.close();
    }
    const next = await stagings.claim(target, PEER);
    const found = all.filter((_, i) => next.partsOf(file(`${i}`, 3)).length > 0);
    expect(found).toHaveLength(8);
    const more = await stagings.claim(target, PEER);
    expect(all.filter((_, i) => more.partsOf(file(`${i}`, 3)).length > 0)).toHaveLength(4);
    next.close();
    more.close();
  });
});

test('what is known of a part is forgotten with it', async () => {
  const inbox = await inboxIn(target, { stagings });
  const keep = async (size: number): Promise<number> => {
    const incoming = await inbox.open(file('x', size), 0);
    await incoming.write(Buffer.from('a'));
    await incoming.keep();
    return inbox.memory;
  };
  const first = await keep(2);
  expect(first).toBeGreaterThan(0);
  for (let size = 3; size < 10; size++) expect(await keep(size)).toBe(first);
  await inbox.close();
});

describe('a list of folders that were made', () => {
  test('is remembered up to some of them, in however many folders it lies', async () => {
    const both = [await stagings.claim(target, PEER), await stagings.claim(target, PEER)];
    for (const [i, staging] of both.entries()) {
      const folder = join(begin(staging), '..');
      const keys = Array.from({ length: 0.75 * MAX_MADE }, (_, n) => `${i}${n}`.padStart(32, '0'));
      const lines = keys.map((key) => `${key}.1\n`).join('');
      writeFileSync(join(folder, 'made'), lines, { mode: 0o600 });
      staging.close();
    }
    const { memory } = await stagings.claim(target, PEER);
    const some = 100_000;
    expect(memory).toBeGreaterThan(some * 130);
    expect(memory).toBeLessThan(MAX_MADE * 130 + some);
  });
});

describe('a part', () => {
  test('more than are remembered are not kept, in however many folders they lie', async () => {
    const both = [await stagings.claim(target, PEER), await stagings.claim(target, PEER)];
    for (const staging of both) {
      const part = begin(staging);
      for (let n = 0; n < MAX_PARTS / 2; n++) {
        const name = `${n}`.padStart(32, '0');
        writeFileSync(join(part, '..', `${name}.3.0`), 'abc', { mode: 0o600 });
      }
      staging.close();
    }
    const count = (): number =>
      readdirSync(target).flatMap((name) => readdirSync(join(target, name))).length;
    const inbox = await inboxIn(target, { stagings });
    expect(count()).toBe(MAX_PARTS);
    const incoming = await inbox.open(file('new', 3), 0);
    await incoming.write(Buffer.from('ab'));
    await incoming.keep();
    expect(count()).toBe(MAX_PARTS);
    // What begins in the place of another one is.
    const again = await inbox.open(ENTRY, 0);
    await again.write(Buffer.from('ab'));
    await again.keep();
    expect(partsIn(target).map((path) => statSync(path).size)).toContain(2);
    await inbox.close();
  });

  test.each([
    ['of another path', file('y', 3)],
    ['of another size', file('x', 4)],
    ['of another time', file('x', 3, { mtime: 5 })],
    ['that came as a stream', { kind: 'stream', path: 'x' } as const],
  ])('is of one version of one file, and not %s', async (_, entry) => {
    await leave();
    const staging = await stagings.claim(target, PEER);
    expect(staging.partsOf(entry)).toEqual([]);
    staging.close();
  });

  test('of a version that is no more goes when another one begins', async () => {
    const { part } = await leave();
    const staging = await stagings.claim(target, PEER);
    begin(staging, file('y', 3));
    expect(readdirSync(join(part, '..'))).toContain(basename(part));
    begin(staging, file('x', 4));
    expect(readdirSync(join(part, '..'))).not.toContain(basename(part));
    staging.close();
  });

  test('that is being written is neither gone on with nor removed', async () => {
    const staging = await stagings.claim(target, PEER);
    const one = staging.begin(ENTRY);
    writeFileSync(one, 'abc');
    expect(staging.partsOf(ENTRY)).toEqual([]);
    const two = staging.begin(ENTRY);
    writeFileSync(two, 'ab');
    staging.drop(ENTRY);
    staging.end(one, true);
    staging.end(two, true);
    staging.close();
    // Only one of the two can be gone on with.
    const next = await stagings.claim(target, PEER);
    expect(next.partsOf(ENTRY)).toEqual([one]);
    expect(readdirSync(join(one, '..'))).toEqual([basename(one)]);
    next.close();
  });

  test.each<[string, (part: string) => void]>([
    ['is empty', (part) => writeFileSync(part, '')],
    ['has another name, too', (part) => linkSync(part, join(target, 'stored'))],
    [
      'is a link',
      (part) => {
        renameSync(part, join(target, 'elsewhere'));
        symlinkSync(join(target, 'elsewhere'), part);
      },
    ],
  ])('that %s is removed, and nothing else', async (_, spoil) => {
    const { folder, part } = await leave();
    spoil(part);
    const { [`${basename(folder)}/${basename(part)}`]: __, ...rest } = tree(target);
    const staging = await stagings.claim(target, PEER);
    expect(staging.partsOf(ENTRY)).toEqual([]);
    expect(tree(target)).toEqual(rest);
    staging.close();
  });

  test('whose name something else has is written under another', async () => {
    const { part } = await leave();
    rmSync(part);
    mkdirSync(part);
    const staging = await stagings.claim(target, PEER);
    expect(staging.partsOf(ENTRY)).toEqual([]);
    begin(staging);
    staging.close();
    expect(readdirSync(part)).toEqual([]);
  });
});

describe('what only looks like ours', () => {
  const spoils: [string, (folder: string, record: string) => void][] = [
    ['is in no record', (_, record) => rmSync(record)],
    ['has a damaged record', (_, record) => writeFileSync(record, '{"v":1')],
    [
      'has a record of another version',
      (_, record) => writeFileSync(record, readFileSync(record, 'utf8').replace('"v":1', '"v":2')),
    ],
    ['has a record that others can write', (_, record) => chmodSync(record, 0o622)],
    [
      'has a record that is a link',
      (_, record) => {
        renameSync(record, join(home, 'elsewhere'));
        symlinkSync(join(home, 'elsewhere'), record);
      },
    ],
    ['can be written to by others', (folder) => chmodSync(folder, 0o770)],
    [
      'is another folder',
      (folder) => {
        renameSync(folder, join(home, 'away'));
        mkdirSync(folder, { mode: 0o700 });
        for (const name of readdirSync(join(home, 'away')))
          writeFileSync(join(folder, name), 'planted', { mode: 0o600 });
      },
    ],
    [
      'is a link to the folder',
      (folder) => {
        renameSync(folder, join(home, 'away'));
        symlinkSync(join(home, 'away'), folder);
      },
    ],
    [
      'is a file',
      (folder) => {
        rmSync(folder, { recursive: true });
        writeFileSync(folder, 'planted');
      },
    ],
  ];

  async function isLeftAlone(spoil: (folder: string, record: string) => void): Promise<void> {
    const { folder } = await leave();
    spoil(folder, recordOf(folder));
    const [before, away] = [tree(target), tree(home)];
    await stagings.clear();
    const staging = await stagings.claim(target, PEER);
    expect(staging.isNew).toBe(true);
    staging.close();
    expect(tree(target)).toEqual(before);
    expect(tree(home)).toEqual(away);
    await stagings.clear(Date.now() + 8 * DAY);
    expect(tree(target)).toEqual(before);
  }

  test.each(spoils)('and %s is neither used nor removed', (_, spoil) => isLeftAlone(spoil));

  describeWith(['root'], 'among several users', () => {
    test('and belongs to another is neither used nor removed', () =>
      isLeftAlone((folder) => chownSync(folder, 12345, 12345)));

    test('a part of another is removed', async () => {
      const { folder, part } = await leave();
      chownSync(part, 12345, 12345);
      const staging = await stagings.claim(target, PEER);
      expect(staging.partsOf(ENTRY)).toEqual([]);
      expect(readdirSync(folder)).toEqual([]);
      staging.close();
    });
  });
});

describe('the folders that a transfer made', () => {
  const NOT_EMPTY = (): boolean => false;

  test('count as its own until it is finished', async () => {
    const first = await stagings.claim(target, PEER);
    first.made('f', '1:2');
    first.made('f/g', '1:3');
    first.close();
    const second = await stagings.claim(target, PEER);
    expect(second.isNew).toBe(false);
    // A disk may have another number when it is mounted again.
    expect(second.wasMade('f', '9:2', NOT_EMPTY)).toBe(true);
    expect(second.wasMade('f', '1:3', NOT_EMPTY)).toBe(false);
    expect(second.wasMade('g', '1:2', NOT_EMPTY)).toBe(false);
    second.finish();
    second.close();
    const third = await stagings.claim(target, PEER);
    expect(third.wasMade('f', '1:2', NOT_EMPTY)).toBe(false);
    // That one it has not asked about may be of another transfer that broke.
    expect(third.wasMade('f/g', '1:3', NOT_EMPTY)).toBe(true);
    third.finish();
    third.close();
    expect(readdirSync(target)).toEqual([]);
  });

  test('count as its own before it is known which they are, if they are empty', async () => {
    const first = await stagings.claim(target, PEER);
    for (const path of ['f', 'g']) first.making(path);
    first.made('g', '1:3');
    first.close();
    const second = await stagings.claim(target, PEER);
    expect(second.wasMade('f', '1:2', NOT_EMPTY)).toBe(false);
    expect(second.wasMade('f', '1:2', () => true)).toBe(true);
    expect(second.wasMade('g', '1:2', () => true)).toBe(false);
    second.close();
  });

  test('are written down nowhere else where a link takes the place of the folder', async () => {
    const staging = await stagings.claim(target, PEER);
    staging.making('f');
    const [name] = readdirSync(target) as [string];
    const elsewhere = newFolder();
    writeFileSync(join(elsewhere, 'made'), 'mine');
    renameSync(join(target, name), join(target, 'away'));
    symlinkSync(elsewhere, join(target, name));
    staging.making('g');
    staging.finish();
    staging.close();
    expect(tree(elsewhere)).toEqual({ made: 'mine' });
  });

  test('are remembered as far as their list is not damaged', async () => {
    const first = await stagings.claim(target, PEER);
    first.made('f', '1:2');
    first.made('g', '1:3');
    first.close();
    const list = join(target, readdirSync(target)[0] as string, 'made');
    const [f, g] = readFileSync(list, 'utf8').split('\n').filter(Boolean) as [string, string];
    writeFileSync(list, `${f.slice(1)}\n\0\n../${f}\n${f}x\n\n${g}\n${f}`);
    const second = await stagings.claim(target, PEER);
    expect(second.wasMade('f', '1:2', NOT_EMPTY)).toBe(false);
    expect(second.wasMade('g', '1:3', NOT_EMPTY)).toBe(true);
    second.close();
  });

  test.each<[string, (list: string) => void]>([
    ['a link', (list) => symlinkSync('/etc/hostname', list)],
    [
      'too long',
      (list) => writeFileSync(list, `${'0'.repeat(32)}.12345678901234567890\n`.repeat(210_000)),
    ],
  ])('are not remembered if their list is %s', async (_, spoil) => {
    const first = await stagings.claim(target, PEER);
    first.made('f', '1:2');
    begin(first);
    first.close();
    const list = join(target, readdirSync(target)[0] as string, 'made');
    rmSync(list);
    spoil(list);
    const second = await stagings.claim(target, PEER);
    expect(second.wasMade('f', '1:2', NOT_EMPTY)).toBe(false);
    expect(second.partsOf(ENTRY)).toHaveLength(1);
    second.close();
  });
});

test('what cannot be read of a staging folder keeps nobody from taking it', async () => {
  const of = await newFolderOfUser();
  await asUser(async () => {
    const index = await openStagings(of);
    const into = join(realpathSync(of), 'target');
    mkdirSync(into);
    const staging = await index.claim(into, PEER);
    const part = begin(staging);
    staging.making('f');
    staging.close();
    chmodSync(join(part, '..', 'made'), 0);
    const next = await index.claim(into, PEER);
    expect(next.isNew).toBe(false);
    next.drop(ENTRY);
    next.finish();
    next.close();
    expect(readdirSync(into)).toEqual([]);
  });
});

describe('clearing', () => {
  test('removes what nobody came back for in seven days, not before', async () => {
    const { folder } = await leave();
    await stagings.clear(Date.now() + 7 * DAY - 60_000);
    expect(tree(target)).toMatchObject({ [basename(folder)]: '/' });
    await stagings.clear(Date.now() + 7 * DAY + 60_000);
    expect([...records(), ...readdirSync(target)]).toEqual([]);
  });

  test('spares what a transfer has that still goes on', async () => {
    const staging = await stagings.claim(target, PEER);
    begin(staging);
    await stagings.clear(Date.now() + 8 * DAY);
    expect(staging.partsOf(ENTRY)).toHaveLength(1);
    expect(readdirSync(target)).toHaveLength(1);
    staging.close();
  });

  test('removes by name what is ours, and follows nothing', async () => {
    const { folder, part } = await leave();
    const elsewhere = newFolder();
    writeFileSync(join(elsewhere, basename(part)), 'mine');
    writeFileSync(join(folder, 'mine'), 'mine');
    symlinkSync(elsewhere, join(folder, `${'0'.repeat(32)}.stream`));
    mkdirSync(join(folder, 'sub'));
    await stagings.clear(Date.now() + 8 * DAY);
    expect(tree(folder)).toEqual({ mine: 'mine', sub: '/' });
    expect(tree(elsewhere)).toEqual({ [basename(part)]: 'mine' });
    expect(records()).toHaveLength(1);
  });

  test('forgets a folder that is gone, but not one whose disk may only be away', async () => {
    const { folder } = await leave();
    const away = realpathSync(newFolder());
    const other = await leave(PEER, away);
    rmSync(folder, { recursive: true });
    renameSync(away, `${away}-unplugged`);
    await stagings.clear();
    expect(records()).toEqual([basename(recordOf(other.folder))]);
    renameSync(`${away}-unplugged`, away);
    const staging = await stagings.claim(away, PEER);
    expect(staging.isNew).toBe(false);
    staging.close();
    rmSync(away, { recursive: true });
    await stagings.clear(Date.now() + 8 * DAY);
    expect(records()).toEqual([]);
  });

  test('goes on where a disk does not answer any more', async () => {
    const left = await leave();
    for (let i = 0; i < 5; i++) {
      const lost = realpathSync(newFolder());
      await leave(PEER, lost);
      rmSync(lost, { recursive: true });
      symlinkSync(lost, lost);
    }
    await stagings.forget(new Set([PEER]));
    expect(readdirSync(target)).toEqual([]);
    expect(records()).toHaveLength(5);
    await leave();
    await stagings.clear(Date.now() + 8 * DAY);
    expect([...records(), ...readdirSync(target)]).toEqual([]);
    expect(left.folder).not.toBe(target);
  });

  test('leaves other files in the index alone, but for drafts that a crash has left', async () => {
    const name = '0123456789abcdef';
    for (const other of [`${name}.txt`, 'x.json', `${name}.1-2.json.${name}.tmp`, `${name}.tmp`])
      writeFileSync(join(home, 'staging', other), '');
    await stagings.clear();
    expect(records().sort()).toEqual([`${name}.tmp`, `${name}.txt`, 'x.json']);
  });

  test.each([
    ['and has something in it is left', 'mine', 1],
    ['is removed', undefined, 0],
  ])('a folder of which a crash has left half a record %s', async (_, inside, left) => {
    const { folder, part } = await leave();
    const record = recordOf(folder);
    const half = { ...JSON.parse(readFileSync(record, 'utf8')), folder: null };
    writeFileSync(record, JSON.stringify(half));
    rmSync(part);
    if (inside !== undefined) writeFileSync(join(folder, inside), 'mine');
    await stagings.clear();
    expect(readdirSync(target)).toHaveLength(left);
    expect(records()).toHaveLength(left);
  });
});

describe('with other processes', () => {
  const children: ChildProcess[] = [];

  afterEach(async () => {
    for (const child of children.splice(0)) await kill(child);
  });

  /** Starts a process that receives the start of a file, and waits until it has. */
  async function receiver(more: Partial<Work> = {}): Promise<ChildProcess> {
    const offered = [{ entry: ENTRY, content: Buffer.from('abc'), upTo: 2 }];
    const child = spawnReceiver({ home, target, offered, ...more });
    children.push(child);
    await new Promise<void>((resolve, reject) => {
      const said = text(child.stdout, () => said().includes('ready') && resolve());
      child.once('exit', reject);
    });
    return child;
  }

  async function kill(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await finished(child);
  }

  test('what a living one has is its own; what a dead one had is free', async () => {
    const child = await receiver();
    await stagings.clear(Date.now() + 8 * DAY);
    const early = await stagings.claim(target, PEER);
    expect(early.isNew).toBe(true);
    early.close();
    await kill(child);
    const late = await stagings.claim(target, PEER);
    expect(late.partsOf(ENTRY)).toHaveLength(1);
    late.drop(ENTRY);
    late.close();
    expect([...records(), ...readdirSync(target)]).toEqual([]);
  });

  test('of several that start at once, one gets what is left', async () => {
    await leave();
    const all = await Promise.all([1, 2, 3, 4].map(() => receiver({ offered: [] })));
    // Each has a folder: one what was left, the others a new one.
    expect(readdirSync(target)).toHaveLength(4);
    expect(new Set(records().map((record) => record.split('.')[1])).size).toBe(4);
    for (const child of all) await kill(child);
  });

  const isTold = process.platform === 'linux';

  test.runIf(isTold)('one that has the number of a dead one is not taken for it', async () => {
    const { folder } = await leave();
    const record = recordOf(folder);
    for (const owner of [`${process.pid}-1`, `${process.ppid}-1`]) {
      renameSync(record, record.replace(/\.json$/, `.${owner}.json`));
      const staging = await stagings.claim(target, PEER);
      expect(staging.partsOf(ENTRY)).toHaveLength(1);
      staging.close();
    }
  });
});
