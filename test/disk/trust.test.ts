import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { openTrustStore, type TrustStore } from '../../src/disk/trust.ts';
import type { PeerId } from '../../src/events.ts';
import { asUser, newFolder, newFolderOfUser } from './support.ts';

const ana = 'a1'.repeat(32) as PeerId;
const otherAna = `${'a1'.repeat(16)}${'b2'.repeat(16)}` as PeerId;
const bo = 'b0'.repeat(32) as PeerId;

const pathOf = (home: string, id: PeerId): string => join(home, 'peers', `${id}.json`);

describe('a peer', () => {
  test('that is added is known from then on, to every store in that home', async () => {
    const home = newFolder();
    const [here, there] = [await openTrustStore(home), await openTrustStore(home)];
    const added = await here.add({ id: ana, name: 'Ana' });
    expect(added).toMatchObject({ id: ana, name: 'Ana', via: 'code', trust: 'ask' });
    expect(added.firstSeen).toBe(added.lastSeen);
    expect(await there.get(ana)).toEqual(added);
    expect(await there.all()).toEqual([added]);
    expect(statSync(pathOf(home, ana)).mode & 0o777).toBe(0o600);
    expect(statSync(join(home, 'peers')).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(home, 'peers'))).toHaveLength(1);
  });

  test('of a name that is taken gets another one', async () => {
    const store = await openTrustStore(newFolder());
    await store.add({ id: ana, name: 'Ana' });
    expect((await store.add({ id: otherAna, name: 'ANA' })).name).toBe('ANA (2)');
    expect((await store.add({ id: bo, name: 'Ana' })).name).toBe('Ana (3)');
  });

  test.each(["Ana's o\ufb03ce", "Ana's office\u200d", "ANA'S\u00a0OFFICE", "Ana's  office"])(
    'of a name that looks like one that is taken, %j, gets another one',
    async (name) => {
      const store = await openTrustStore(newFolder());
      await store.add({ id: ana, name: "Ana's office" });
      expect((await store.add({ id: bo, name })).name).toMatch(/ \(2\)$/);
      expect((await store.find("Ana's office"))?.id).toBe(ana);
      await expect(store.rename(bo, name)).rejects.toMatchObject({ code: 'exists' });
    },
  );

  test('gets a name of its own, however many are added at once', async () => {
    const store = await openTrustStore(newFolder());
    const ids = Array.from({ length: 5 }, (_, n) => `${n}`.repeat(64) as PeerId);
    const added = await Promise.all(ids.map((id) => store.add({ id, name: 'Ana' })));
    expect(new Set(added.map(({ name }) => name)).size).toBe(5);
    expect((await store.all()).map(({ name }) => name)).toEqual([
      'Ana',
      'Ana (2)',
      'Ana (3)',
      'Ana (4)',
      'Ana (5)',
    ]);
  });

  test('of the longest name that is taken gets one that is no longer', async () => {
    const store = await openTrustStore(newFolder());
    const name = `${'x'.repeat(58)} ${'y'.repeat(4)}`;
    await store.add({ id: ana, name });
    expect((await store.add({ id: bo, name })).name).toBe(`${'x'.repeat(58)} (2)`);
    expect(await store.get(bo)).toBeDefined();
  });

  test('that pairs again keeps its name and trust', async () => {
    const store = await openTrustStore(newFolder());
    const first = await store.add({ id: ana, name: 'Ana' });
    await store.setTrust(ana, 'blocked');
    const again = await store.add({ id: ana, name: 'Someone else' });
    expect(again).toEqual({ ...first, trust: 'blocked', lastSeen: again.lastSeen });
    expect(again.lastSeen >= first.lastSeen).toBe(true);
  });

  test.each([
    ['An\x1b[31ma\n', /^An\[31ma$/],
    ['  Ana   Maria ', /^Ana Maria$/],
    ['', /^a1a1a1a1$/],
    ['é'.repeat(100), /^é{31}$/],
  ])('that calls itself %j is stored under a name that can be shown', async (name, expected) => {
    const store = await openTrustStore(newFolder());
    expect((await store.add({ id: ana, name })).name).toMatch(expected);
    expect((await store.get(ana))?.name).toMatch(expected);
  });

  test('that is here again was last seen now; an unknown one stays unknown', async () => {
    const home = newFolder();
    const store = await openTrustStore(home);
    await store.add({ id: ana, name: 'Ana' });
    const record = readFileSync(pathOf(home, ana), 'utf8');
    const old = new Date('2001-01-01T00:00:00.000Z');
    utimesSync(pathOf(home, ana), old, old);
    expect((await store.get(ana))?.lastSeen).toBe(old.toISOString());
    await store.seen(ana);
    await store.seen(bo);
    expect(Date.parse((await store.get(ana))?.lastSeen ?? '')).toBeGreaterThan(old.getTime());
    expect(readFileSync(pathOf(home, ana), 'utf8')).toBe(record);
    expect(await store.get(bo)).toBeUndefined();
  });

  test('that is renamed or trusted was not seen by that', async () => {
    const home = newFolder();
    const store = await openTrustStore(home);
    await store.add({ id: ana, name: 'Ana' });
    const old = new Date('2001-01-01T00:00:00.000Z');
    utimesSync(pathOf(home, ana), old, old);
    expect((await store.rename(ana, 'Anna')).lastSeen).toBe(old.toISOString());
    expect((await store.setTrust(ana, 'auto')).lastSeen).toBe(old.toISOString());
    expect((await store.get(ana))?.lastSeen).toBe(old.toISOString());
  });

  test('can be trusted, renamed and forgotten', async () => {
    const store = await openTrustStore(newFolder());
    await store.add({ id: ana, name: 'Ana' });
    await store.add({ id: bo, name: 'Bo' });
    expect((await store.setTrust(ana, 'auto')).trust).toBe('auto');
    expect((await store.rename(ana, 'Anna')).name).toBe('Anna');
    expect((await store.rename(ana, 'ANNA')).name).toBe('ANNA');
    await expect(store.rename(ana, 'bo')).rejects.toMatchObject({ code: 'exists' });
    await expect(store.rename(ana, ' ')).rejects.toMatchObject({ code: 'usage' });
    expect(await store.get(ana)).toMatchObject({ name: 'ANNA', trust: 'auto' });
    await store.forget(ana);
    await store.forget(ana);
    expect((await store.all()).map(({ name }) => name)).toEqual(['Bo']);
    await expect(store.setTrust(ana, 'auto')).rejects.toMatchObject({ code: 'not-found' });
  });

  test('may not be a path', async () => {
    const store = await openTrustStore(newFolder());
    await expect(store.get('../../etc/passwd' as PeerId)).rejects.toThrow(TypeError);
    await expect(store.forget('../identity' as PeerId)).rejects.toThrow(TypeError);
  });
});

describe('what a person decided about a peer stays so', () => {
  /** The peer comes again and again, to another process, for as long as `decide` takes. */
  async function whileItComes(home: string, decide: (store: TrustStore) => Promise<void>) {
    const store = await openTrustStore(home);
    await store.add({ id: ana, name: 'Ana' });
    const other = await openTrustStore(home);
    let over = false;
    const visits = Array.from({ length: 3 }, async () => {
      while (!over) await other.seen(ana);
    });
    await decide(store).finally(() => {
      over = true;
    });
    await Promise.all(visits);
  }

  test('blocked, whatever the peer does meanwhile', async () => {
    await whileItComes(newFolder(), async (store) => {
      for (let i = 0; i < 20; i++) {
        await store.setTrust(ana, 'blocked');
        await sleep(5);
        expect((await store.get(ana))?.trust).toBe('blocked');
        await store.setTrust(ana, 'ask');
      }
    });
  });

  test('forgotten, whatever the peer does meanwhile', async () => {
    await whileItComes(newFolder(), async (store) => {
      for (let i = 0; i < 20; i++) {
        await store.forget(ana);
        await sleep(5);
        expect(await store.get(ana)).toBeUndefined();
        await store.add({ id: ana, name: 'Ana' });
      }
    });
  });

  test('blocked, even if it proves itself by a code at that moment', async () => {
    const home = newFolder();
    const [here, there] = [await openTrustStore(home), await openTrustStore(home)];
    await here.add({ id: ana, name: 'Ana' });
    for (let i = 0; i < 20; i++) {
      await Promise.all([here.setTrust(ana, 'blocked'), there.add({ id: ana, name: 'Ana' })]);
      expect((await here.get(ana))?.trust).toBe('blocked');
      await here.setTrust(ana, 'ask');
    }
  });

  test('renamed and trusted, both at once and in two stores', async () => {
    const home = newFolder();
    const [here, there] = [await openTrustStore(home), await openTrustStore(home)];
    await here.add({ id: ana, name: 'Ana' });
    for (let i = 0; i < 20; i++) {
      const [name, trust] = [`Ana ${i}`, i % 2 ? 'auto' : 'blocked'] as const;
      await Promise.all([here.rename(ana, name), there.setTrust(ana, trust)]);
      expect(await here.get(ana)).toMatchObject({ name, trust });
    }
    expect(readdirSync(join(home, 'peers'))).toHaveLength(1);
  });

  test('forgotten, if it is renamed and trusted at that moment', async () => {
    const store = await openTrustStore(newFolder());
    for (let i = 0; i < 20; i++) {
      await store.add({ id: ana, name: 'Ana' });
      await Promise.allSettled([
        store.rename(ana, 'Anna'),
        store.forget(ana),
        store.setTrust(ana, 'auto'),
      ]);
      expect(await store.get(ana)).toBeUndefined();
    }
  });
});

describe('a record is as good as none', () => {
  const good = {
    v: 1,
    id: ana,
    name: 'Ana',
    via: 'code',
    trust: 'auto',
    firstSeen: '2024-01-01T00:00:00.000Z',
  };
  const cases: [string, string | object][] = [
    ['when it is cut', JSON.stringify(good).slice(0, -5)],
    ['when it is empty', ''],
    ['when it is of another version', { ...good, v: 2 }],
    ['when it is of another peer', { ...good, id: bo }],
    ['when it says more', { ...good, admin: true }],
    ['when it says less', { ...good, trust: undefined }],
    ['when the trust is unknown', { ...good, trust: 'always' }],
    ['when the name is empty', { ...good, name: '' }],
    ['when the name is too long', { ...good, name: 'x'.repeat(64) }],
    ['when it was first seen at no time', { ...good, firstSeen: 'yesterday' }],
    ['when it is huge', `${JSON.stringify(good)}${' '.repeat(10_000)}`],
  ];
  test.each(cases)('%s', async (_, content) => {
    const home = newFolder();
    const store = await openTrustStore(home);
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    writeFileSync(pathOf(home, ana), text, { mode: 0o600 });
    expect(await store.get(ana)).toBeUndefined();
    expect(await store.all()).toEqual([]);
    expect(await store.add({ id: ana, name: 'Ana' })).toMatchObject({ trust: 'ask' });
    expect(await store.get(ana)).toMatchObject({ name: 'Ana', trust: 'ask' });
  });

  test('when others may write it, when it is a link, or a folder', async () => {
    const home = newFolder();
    const store = await openTrustStore(home);
    writeFileSync(pathOf(home, ana), JSON.stringify(good), { mode: 0o600 });
    expect(await store.get(ana)).toBeDefined();
    chmodSync(pathOf(home, ana), 0o666);
    writeFileSync(join(home, 'bo'), JSON.stringify({ ...good, id: bo }), { mode: 0o600 });
    symlinkSync(join(home, 'bo'), pathOf(home, bo));
    mkdirSync(pathOf(home, otherAna));
    for (const id of [ana, bo, otherAna]) expect(await store.get(id)).toBeUndefined();
  });
});

test('a record that another user has left, as root for instance, costs one peer', async () => {
  const home = await newFolderOfUser();
  await asUser(async () => {
    const store = await openTrustStore(home);
    for (const [id, name] of [
      [ana, 'Ana'],
      [bo, 'Bo'],
    ] as const)
      await store.add({ id, name });
    chmodSync(pathOf(home, ana), 0);
    expect((await store.all()).map(({ name }) => name)).toEqual(['Bo']);
    expect(await store.find('Bo')).toMatchObject({ id: bo });
    await store.add({ id: ana, name: 'Ana' });
    expect(await store.get(ana)).toMatchObject({ name: 'Ana' });
  });
});

describe('find', () => {
  async function filled() {
    const store = await openTrustStore(newFolder());
    await store.add({ id: ana, name: 'Ana' });
    await store.add({ id: otherAna, name: 'Ana' });
    await store.add({ id: bo, name: 'Bo' });
    return store;
  }

  test.each([
    ['Ana', ana],
    ['ana', ana],
    ['ANA (2)', otherAna],
    ['bo', bo],
    [bo, bo],
    [bo.toUpperCase(), bo],
    ['b0b0b0b0', bo],
    [otherAna.slice(0, 34), otherAna],
    [ana, ana],
  ])('%j finds its peer', async (text, id) => {
    expect((await (await filled()).find(text))?.id).toBe(id);
  });

  test.each(['An', 'b0b0b0b', '', 'c0ffee00'])('%j finds nothing', async (text) => {
    expect(await (await filled()).find(text)).toBeUndefined();
  });

  test('what could mean several is said to, with their ids', async () => {
    const store = await filled();
    await expect(store.find('a1a1a1a1a')).rejects.toMatchObject({
      code: 'ambiguous',
      message: '"a1a1a1a1a" can mean Ana (a1a1a1a1), Ana (2) (a1a1a1a1).',
    });
  });

  test('two of names that look alike, as two processes could make them, are not told apart', async () => {
    const home = newFolder();
    const store = await openTrustStore(home);
    await store.add({ id: ana, name: "Ana's office" });
    const record = readFileSync(pathOf(home, ana), 'utf8');
    const alike = record.replace(ana, bo).replace('office', 'o\ufb03ce');
    writeFileSync(pathOf(home, bo), alike, { mode: 0o600 });
    await expect(store.find("ana's office")).rejects.toMatchObject({ code: 'ambiguous' });
    expect((await store.rename(bo, 'Bo')).name).toBe('Bo');
    expect((await store.find("ana's office"))?.id).toBe(ana);
  });

  test('a peer that calls itself by the first digits of another is not taken for it', async () => {
    const store = await filled();
    await store.add({ id: 'c0'.repeat(32) as PeerId, name: 'b0b0b0b0' });
    await expect(store.find('b0b0b0b0')).rejects.toMatchObject({ code: 'ambiguous' });
    await store.add({ id: 'd0'.repeat(32) as PeerId, name: bo.slice(0, 63) });
    expect((await store.find(bo))?.id).toBe(bo);
  });
});

test('no more peers are remembered than the limit says', async () => {
  const home = newFolder();
  const store = await openTrustStore(home);
  for (let i = 0; i < 1000; i++)
    writeFileSync(pathOf(home, i.toString(16).padStart(64, '0') as PeerId), '{}', { mode: 0o600 });
  await expect(store.add({ id: ana, name: 'Ana' })).rejects.toMatchObject({
    code: 'not-permitted',
  });
});
