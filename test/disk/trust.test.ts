import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openTrustStore } from '../../src/disk/trust.ts';
import type { PeerId } from '../../src/events.ts';
import { newFolder } from './support.ts';

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

  test('that pairs again keeps its name and trust', async () => {
    const store = await openTrustStore(newFolder());
    const first = await store.add({ id: ana, name: 'Ana' });
    await store.setTrust(ana, 'blocked');
    const again = await store.add({ id: ana, name: 'Someone else' });
    expect(again).toEqual({ ...first, trust: 'blocked', lastSeen: again.lastSeen });
    expect(again.lastSeen >= first.lastSeen).toBe(true);
  });

  test.each([
    ['An\x1b[31ma\n', /^An\ufffd\[31ma\ufffd$/],
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
    const old = {
      ...JSON.parse(readFileSync(pathOf(home, ana), 'utf8')),
      lastSeen: '2001-01-01T00:00:00.000Z',
    };
    writeFileSync(pathOf(home, ana), JSON.stringify(old));
    await store.seen(ana);
    await store.seen(bo);
    expect((await store.get(ana))?.lastSeen).not.toBe(old.lastSeen);
    expect(await store.get(bo)).toBeUndefined();
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

describe('a record is as good as none', () => {
  const good = {
    v: 1,
    id: ana,
    name: 'Ana',
    via: 'code',
    trust: 'auto',
    firstSeen: '2024-01-01T00:00:00.000Z',
    lastSeen: '2024-01-01T00:00:00.000Z',
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
    ['when it was last seen at no time', { ...good, lastSeen: 'yesterday' }],
    ['when it is huge', `${JSON.stringify(good)}${' '.repeat(10_000)}`],
  ];
  test.each(cases)('%s', async (_, content) => {
    const home = newFolder();
    const store = await openTrustStore(home);
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    writeFileSync(pathOf(home, ana), text, { mode: 0o600 });
    expect(await store.get(ana)).toBeUndefined();
    expect(await store.all()).toEqual([]);
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
    ['b0b0b0', bo],
    [otherAna.slice(0, 34), otherAna],
    [ana, ana],
  ])('%j finds its peer', async (text, id) => {
    expect((await (await filled()).find(text)).id).toBe(id);
  });

  test.each(['An', 'b0b0b', '', 'c0ffee', 'An\x1ba'])('%j finds nothing', async (text) => {
    const error = await (await filled()).find(text).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'not-found', exit: 3 });
    expect((error as Error).message).not.toContain('\x1b');
  });

  test('what could mean several is said to, with their ids', async () => {
    const store = await filled();
    await expect(store.find('a1a1a1')).rejects.toMatchObject({
      code: 'ambiguous',
      message: `"a1a1a1" can mean Ana (${ana}), Ana (2) (${otherAna}).`,
    });
  });

  test('a peer that calls itself by the first digits of another is not taken for it', async () => {
    const store = await filled();
    await store.add({ id: 'c0'.repeat(32) as PeerId, name: 'b0b0b0b0' });
    await expect(store.find('b0b0b0b0')).rejects.toMatchObject({ code: 'ambiguous' });
    await store.add({ id: 'd0'.repeat(32) as PeerId, name: bo.slice(0, 63) });
    expect((await store.find(bo)).id).toBe(bo);
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
