import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Book, openBook } from '../../src/disk/book.ts';
import { openTrustStore } from '../../src/disk/trust.ts';
import type { PeerId } from '../../src/events.ts';
import { forgetPeer } from '../../src/peers.ts';
import { asUser, newFolder, newFolderOfUser } from './support.ts';

const ana = 'a1'.repeat(32) as PeerId;
const bo = 'b0'.repeat(32) as PeerId;
const HOUR = 3_600_000;
const NOON = Date.parse('2024-05-01T12:00:00.000Z');

const pathOf = (home: string, id: PeerId): string => join(home, 'addresses', `${id}.json`);
const at = (n: number) => ({ host: `192.168.1.${n}`, port: 23767 });
/** Where a peer was met, the latest first. */
const metAt = async (book: Book, id: PeerId) =>
  (await book.all()).find((one) => one.id === id)?.addresses ?? [];
const hosts = (addresses: readonly { host: string }[]) => addresses.map(({ host }) => host);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: NOON });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a peer', () => {
  test('that was met is found there from then on, by every process, and by nobody else', async () => {
    const home = newFolder();
    const [here, there] = [await openBook(home), await openBook(home)];
    expect(await metAt(here, ana)).toEqual([]);
    expect(await here.all()).toEqual([]);
    await here.met(ana, at(1));
    expect(await metAt(there, ana)).toEqual([at(1)]);
    expect(await metAt(there, bo)).toEqual([]);
    expect(await there.all()).toEqual([{ id: ana, addresses: [at(1)] }]);
    expect(statSync(pathOf(home, ana)).mode & 0o777).toBe(0o600);
    expect(statSync(join(home, 'addresses')).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(home, 'addresses'))).toEqual([`${ana}.json`]);
  });

  test('that was met at many places is remembered at the last eight, the latest first', async () => {
    const book = await openBook(newFolder());
    for (let n = 1; n <= 9; n++) await book.met(ana, at(n));
    expect(hosts(await metAt(book, ana))).toEqual([9, 8, 7, 6, 5, 4, 3, 2].map((n) => at(n).host));
    vi.setSystemTime(NOON + HOUR);
    await book.met(ana, at(4));
    expect(hosts(await metAt(book, ana))).toEqual([4, 9, 8, 7, 6, 5, 3, 2].map((n) => at(n).host));
  });

  test('that was met at another port was met at another place', async () => {
    const book = await openBook(newFolder());
    await book.met(ana, at(1));
    await book.met(ana, { ...at(1), port: 23768 });
    expect(await metAt(book, ana)).toEqual([{ ...at(1), port: 23768 }, at(1)]);
  });

  test('that comes again and again is written of once an hour', async () => {
    const home = newFolder();
    const book = await openBook(home);
    await book.met(ana, at(1));
    await book.met(ana, at(2));
    const text = readFileSync(pathOf(home, ana), 'utf8');
    vi.setSystemTime(NOON + HOUR - 1);
    await Promise.all([book.met(ana, at(1)), book.met(ana, at(2)), book.met(ana, at(1))]);
    expect(readFileSync(pathOf(home, ana), 'utf8')).toBe(text);
    vi.setSystemTime(NOON + HOUR);
    await book.met(ana, at(1));
    expect(readFileSync(pathOf(home, ana), 'utf8')).not.toBe(text);
    expect(await metAt(book, ana)).toEqual([at(1), at(2)]);
  });

  test('that was met by a clock that was ahead is written of again when it is right', async () => {
    const book = await openBook(newFolder());
    vi.setSystemTime(NOON + 1000 * HOUR);
    await book.met(ana, at(1));
    await book.met(ana, at(2));
    await book.met(bo, at(3));
    vi.setSystemTime(NOON);
    await book.met(ana, at(1));
    expect(await metAt(book, ana)).toEqual([at(1), at(2)]);
    expect((await book.all()).map(({ id }) => id)).toEqual([bo, ana]);
  });

  test('that was met last comes first', async () => {
    const book = await openBook(newFolder());
    const ids = [3, 1, 2].map((n) => `${n}`.repeat(64) as PeerId);
    for (const id of ids) {
      vi.setSystemTime(Date.now() + 1000);
      await book.met(id, at(1));
    }
    expect((await book.all()).map(({ id }) => id)).toEqual(ids.toReversed());
  });

  test('that is forgotten is forgotten', async () => {
    const home = newFolder();
    const book = await openBook(home);
    await book.met(ana, at(1));
    await book.met(bo, at(2));
    await book.forget(ana);
    await book.forget(ana);
    expect(await metAt(book, ana)).toEqual([]);
    expect(readdirSync(join(home, 'addresses'))).toEqual([`${bo}.json`]);
    await book.met(ana, at(3));
    expect(await metAt(book, ana)).toEqual([at(3)]);
  });

  test('is forgotten with the device', async () => {
    const home = newFolder();
    const [book, store] = [await openBook(home), await openTrustStore(home)];
    for (const id of [ana, bo]) {
      await store.add({ id, name: id === ana ? 'Ana' : 'Bo' });
      await book.met(id, at(1));
    }
    await forgetPeer('Ana', { home });
    expect(await metAt(book, ana)).toEqual([]);
    expect(await metAt(book, bo)).toEqual([at(1)]);
    expect(readFileSync(pathOf(home, bo), 'utf8')).toContain(at(1).host);
    expect(existsSync(pathOf(home, ana))).toBe(false);
  });
});

describe('where it was met', () => {
  test.each([
    ['10.0.0.1', '10.0.0.1'],
    ['169.254.3.4', '169.254.3.4'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['FD07:0:0::1', 'fd07::1'],
    ['2001:db8::1%eth0', '2001:db8::1'],
    ['FE80::0:1%eth0', 'fe80::1%eth0'],
    ['fe80::1%br_lan', 'fe80::1%br_lan'],
    ['fe80::1%12', 'fe80::1%12'],
  ])('%s is remembered as %s', async (host, spelling) => {
    const book = await openBook(newFolder());
    await book.met(ana, { host, port: 1 });
    expect(await metAt(book, ana)).toEqual([{ host: spelling, port: 1 }]);
  });

  test.each([
    ['127.0.0.1'],
    ['127.3.4.5'],
    ['::1'],
    ['::ffff:127.0.0.1'],
    ['0.0.0.0'],
    ['::'],
    ['224.0.0.251'],
    ['255.255.255.255'],
    ['ff02::fb%eth0'],
    ['fe80::1'],
    [`fe80::1%${'x'.repeat(33)}`],
    ['fe80::1%a b'],
    ['ana.local'],
    ['localhost'],
    [''],
  ])('%j is not remembered', async (host) => {
    const home = newFolder();
    await (await openBook(home)).met(ana, { host, port: 23767 });
    expect(readdirSync(join(home, 'addresses'))).toEqual([]);
  });

  test.each([0, -1, 65_536, 1.5, Number.NaN])('port %d is not remembered', async (port) => {
    const book = await openBook(newFolder());
    await book.met(ana, { ...at(1), port });
    expect(await metAt(book, ana)).toEqual([]);
  });
});

test('eight of the longest addresses are read again', async () => {
  const book = await openBook(newFolder());
  const places = Array.from({ length: 8 }, (_, n) => ({
    host: `fe80:${'1111:'.repeat(6)}111${n}%${'"'.repeat(32)}`,
    port: 65_535,
  }));
  for (const place of places) await book.met(ana, place);
  expect(await metAt(book, ana)).toHaveLength(8);
});

describe('at the same moment', () => {
  test('one process meets a peer in many places, and loses none', async () => {
    const home = newFolder();
    const book = await openBook(home);
    await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map((n) => book.met(ana, at(n))));
    expect(hosts(await metAt(book, ana)).sort()).toEqual(
      [1, 2, 3, 4, 5, 6, 7, 8].map((n) => at(n).host),
    );
    expect(readdirSync(join(home, 'addresses'))).toHaveLength(1);
  });

  test('two meet a peer in different places, and both are remembered', async () => {
    for (let i = 0; i < 20; i++) {
      const home = newFolder();
      const [here, there] = [await openBook(home), await openBook(home)];
      await Promise.all([here.met(ana, at(1)), there.met(ana, at(2))]);
      await Promise.all([here.met(ana, at(3)), there.met(ana, at(4))]);
      expect(hosts(await metAt(here, ana)).sort()).toEqual([1, 2, 3, 4].map((n) => at(n).host));
    }
  });

  test('one meets a peer that the other forgets: it stays forgotten', async () => {
    const home = newFolder();
    const book = await openBook(home);
    await book.met(ana, at(1));
    const meeting = book.met(ana, at(2));
    // As soon as there is a draft, what is to be replaced has been read.
    while (readdirSync(join(home, 'addresses')).length === 1) await setImmediate();
    rmSync(pathOf(home, ana));
    await meeting;
    expect(readdirSync(join(home, 'addresses'))).toEqual([]);
  });
});

describe('a record is as good as none', () => {
  const meeting = { ...at(1), at: '2024-01-01T00:00:00.000Z' };
  const good = { v: 1, id: ana, meetings: [meeting] };
  const cases: [string, string | object][] = [
    ['when it is cut', JSON.stringify(good).slice(0, -5)],
    ['when it is empty', ''],
    ['when it is no record', '[]'],
    ['when it is of another version', { ...good, v: 2 }],
    ['when it is of another peer', { ...good, id: bo }],
    ['when it says more', { ...good, admin: true }],
    ['when a meeting says more', { ...good, meetings: [{ ...meeting, name: 'x' }] }],
    ['when it says less', { v: 1, id: ana }],
    ['when a name is in it', { ...good, meetings: [{ ...meeting, host: 'evil.example' }] }],
    ['when we are in it', { ...good, meetings: [{ ...meeting, host: '127.0.0.1' }] }],
    ['when it is spelt oddly', { ...good, meetings: [{ ...meeting, host: 'FD00::1' }] }],
    ['when a port is none', { ...good, meetings: [{ ...meeting, port: 70_000 }] }],
    ['when a time is none', { ...good, meetings: [{ ...meeting, at: 'yesterday' }] }],
    [
      'when there is no such day',
      { ...good, meetings: [{ ...meeting, at: '2024-02-31T00:00:00.000Z' }] },
    ],
    ['when there are too many', { ...good, meetings: Array(9).fill(meeting) }],
    ['when it is huge', `${JSON.stringify(good)}${' '.repeat(10_000)}`],
  ];
  test.each(cases)('%s', async (_, content) => {
    const home = newFolder();
    const book = await openBook(home);
    writeFileSync(pathOf(home, ana), JSON.stringify(good), { mode: 0o600 });
    expect(await metAt(book, ana)).toEqual([at(1)]);
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    writeFileSync(pathOf(home, ana), text);
    expect(await metAt(book, ana)).toEqual([]);
    expect(await book.all()).toEqual([]);
    await book.met(ana, at(2));
    expect(await metAt(book, ana)).toEqual([at(2)]);
  });

  test('when others may read it, or when it is a link', async () => {
    const home = newFolder();
    const book = await openBook(home);
    writeFileSync(join(home, 'other'), JSON.stringify(good), { mode: 0o600 });
    symlinkSync('../other', pathOf(home, ana));
    expect(await metAt(book, ana)).toEqual([]);
    await book.met(ana, at(2));
    expect(await metAt(book, ana)).toEqual([at(2)]);
    expect(readFileSync(join(home, 'other'), 'utf8')).toBe(JSON.stringify(good));
    chmodSync(pathOf(home, ana), 0o644);
    expect(await metAt(book, ana)).toEqual([]);
    await book.met(ana, at(3));
    expect(await metAt(book, ana)).toEqual([at(3)]);
  });
});

describe('nothing fails', () => {
  test('when a folder lies where a record should', async () => {
    const home = newFolder();
    const book = await openBook(home);
    mkdirSync(pathOf(home, ana));
    await book.met(ana, at(1));
    await book.met(bo, at(1));
    expect(await metAt(book, ana)).toEqual([]);
    expect(await book.all()).toEqual([{ id: bo, addresses: [at(1)] }]);
  });

  test('when there is no folder for it, nor can be', async () => {
    const home = newFolder();
    writeFileSync(join(home, 'addresses'), '');
    const book = await openBook(home);
    await book.met(ana, at(1));
    expect(await metAt(book, ana)).toEqual([]);
    expect(await book.all()).toEqual([]);
    await book.forget(ana);
    rmSync(join(home, 'addresses'));
    await book.met(ana, at(1));
    await book.forget(ana);
  });

  test('when nothing can be written; but forgetting then does', async () => {
    const home = await newFolderOfUser();
    await asUser(async () => {
      const book = await openBook(home);
      await book.met(ana, at(1));
      chmodSync(join(home, 'addresses'), 0o500);
      await book.met(ana, at(2));
      await book.met(bo, at(2));
      expect(await book.all()).toEqual([{ id: ana, addresses: [at(1)] }]);
      await expect(book.forget(ana)).rejects.toMatchObject({ code: 'not-permitted' });
      chmodSync(join(home, 'addresses'), 0o700);
    });
  });
});

test('no more peers are remembered than the limit says', async () => {
  const home = newFolder();
  const book = await openBook(home);
  for (let i = 0; i < 999; i++)
    writeFileSync(pathOf(home, i.toString(16).padStart(64, '0') as PeerId), '{}', { mode: 0o600 });
  await book.met(ana, at(1));
  await book.met(bo, at(1));
  await book.met(ana, at(2));
  expect(await metAt(book, ana)).toEqual([at(2), at(1)]);
  expect(await metAt(book, bo)).toEqual([]);
});

test('what is no id names no file', async () => {
  const book = await openBook(newFolder());
  const id = '../x' as PeerId;
  await expect(book.met(id, at(1))).rejects.toThrow(TypeError);
  await expect(book.forget(id)).rejects.toThrow(TypeError);
});
