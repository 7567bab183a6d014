import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Arrival, History } from '../../src/disk/history.ts';
import type { PeerId } from '../../src/events.ts';
import { MAX_ARRIVAL_ROOTS, MAX_ARRIVALS } from '../../src/limits.ts';
import { asUser, newFolder, newFolderOfUser } from './support.ts';

const NOON = Date.parse('2024-05-01T12:00:00.000Z');

/** What arrived so many seconds after noon. */
function arrival(n: number, values: Partial<Arrival> = {}): Arrival {
  return {
    at: new Date(NOON + 1000 * n).toISOString(),
    transfer: n.toString(16).padStart(32, '0'),
    peer: { id: 'a1'.repeat(32) as PeerId, name: 'Ana' },
    ok: true,
    files: 1,
    bytes: 700_000,
    roots: ['report.pdf'],
    into: '/home/bob/Downloads',
    ...values,
  };
}

const folderIn = (home: string): string => join(home, 'history');
const recordsIn = (home: string): string[] => readdirSync(folderIn(home)).sort();
/** Where the record of `arrival(n)` lies. */
function pathOf(home: string, n: number): string {
  const { at, transfer } = arrival(n);
  return join(folderIn(home), `${at.replace(/[-:.]/g, '')}-${transfer}.json`);
}

describe('what arrived', () => {
  test('is remembered, the latest last, by every process, and for nobody else to read', async () => {
    const home = newFolder();
    const [here, there] = [new History(home), new History(home)];
    expect(await here.all()).toEqual([]);
    expect(existsSync(folderIn(home))).toBe(false);
    const failed = arrival(1, { ok: false, code: 'disk-full', files: 0, roots: [] });
    await here.add(arrival(2));
    await there.add(failed);
    expect(await here.all()).toEqual([failed, arrival(2)]);
    expect(await there.all()).toEqual([failed, arrival(2)]);
    expect(statSync(folderIn(home)).mode & 0o777).toBe(0o700);
    for (const name of recordsIn(home))
      expect(statSync(join(folderIn(home), name)).mode & 0o777).toBe(0o600);
  });

  test('is remembered a thousand times, then the oldest is forgotten', async () => {
    const home = newFolder();
    const history = new History(home);
    await history.add(arrival(0));
    const text = readFileSync(pathOf(home, 0), 'utf8');
    for (let n = 1; n < MAX_ARRIVALS + 2; n++) writeFileSync(pathOf(home, n), text);
    await history.add(arrival(MAX_ARRIVALS + 2));
    expect(recordsIn(home)).toHaveLength(MAX_ARRIVALS);
    expect(existsSync(pathOf(home, 2))).toBe(false);
    expect(existsSync(pathOf(home, 3))).toBe(true);
  });

  test('by several at once is all there', async () => {
    const home = newFolder();
    await Promise.all(Array.from({ length: 40 }, (_, n) => new History(home).add(arrival(n))));
    expect(await new History(home).all()).toEqual(Array.from({ length: 40 }, (_, n) => arrival(n)));
    expect(recordsIn(home)).toHaveLength(40);
  });

  test('is forgotten when it is cleared, and nothing else is', async () => {
    const home = newFolder();
    const history = new History(home);
    await history.clear();
    await history.add(arrival(1));
    writeFileSync(`${pathOf(home, 2)}.${'0'.repeat(16)}.tmp`, '{');
    writeFileSync(join(folderIn(home), 'notes.json'), 'mine');
    await history.clear();
    expect(recordsIn(home)).toEqual(['notes.json']);
    expect(await history.all()).toEqual([]);
  });

  test('leaves no drafts of a crash for long', async () => {
    const home = newFolder();
    const history = new History(home);
    await history.add(arrival(1));
    const now = new Date().toISOString().replace(/[-:.]/g, '');
    const fresh = `${now}-${'0'.repeat(32)}.json.${'0'.repeat(16)}.tmp`;
    writeFileSync(join(folderIn(home), fresh), '{');
    writeFileSync(`${pathOf(home, 2)}.${'0'.repeat(16)}.tmp`, '{');
    await history.add(arrival(3));
    expect(recordsIn(home).filter((name) => name.endsWith('.tmp'))).toEqual([fresh]);
  });
});

describe('a record is skipped', () => {
  const whole = { v: 1, ...arrival(1) };
  const { ok: _, ...partial } = whole;
  test.each<[string, unknown]>([
    ['that is empty', ''],
    ['that is torn', JSON.stringify(whole).slice(0, 100)],
    ['that is no object', '[]'],
    ['of another version', { ...whole, v: 2 }],
    ['with something missing', partial],
    ['with something more', { ...whole, more: 1 }],
    ['of another transfer', { ...whole, transfer: 'f'.repeat(32) }],
    ['of another time', { ...whole, at: arrival(2).at }],
    ['of no time', { ...whole, at: '2024-13-01T12:00:00Z' }],
    ['of nobody', { ...whole, peer: { id: '../../x', name: 'Ana' } }],
    ['of a name that is too long', { ...whole, peer: { ...whole.peer, name: 'a'.repeat(64) } }],
    ['of fewer files than none', { ...whole, files: -1 }],
    ['of half a byte', { ...whole, bytes: 0.5 }],
    ['with too many names', { ...whole, roots: Array(MAX_ARRIVAL_ROOTS + 1).fill('a') }],
    ['with a name that is too long', { ...whole, roots: ['é'.repeat(128)] }],
    ['of a failure that does not exist', { ...whole, code: 'toString' }],
    ['that is too large', { ...whole, into: 'a'.repeat(100_000) }],
  ])('%s', async (_, content) => {
    const home = newFolder();
    const history = new History(home);
    await history.add(arrival(2));
    writeFileSync(
      pathOf(home, 1),
      typeof content === 'string' ? content : JSON.stringify(content),
      { mode: 0o600 },
    );
    expect(await history.all()).toEqual([arrival(2)]);
  });

  test('that others can read, or that is a link or a folder', async () => {
    const home = newFolder();
    const history = new History(home);
    for (const n of [1, 2]) await history.add(arrival(n));
    chmodSync(pathOf(home, 1), 0o644);
    symlinkSync(pathOf(home, 2), pathOf(home, 3));
    mkdirSync(pathOf(home, 4));
    expect(await history.all()).toEqual([arrival(2)]);
  });
});

test('of another user, as root for instance, a record is skipped as well', async () => {
  const home = await newFolderOfUser();
  await asUser(async () => {
    const history = new History(home);
    for (const n of [1, 2]) await history.add(arrival(n));
    chmodSync(pathOf(home, 1), 0);
    expect(await history.all()).toEqual([arrival(2)]);
  });
});

test('where nothing can be written, it says why', async () => {
  const home = await newFolderOfUser();
  chmodSync(home, 0o500);
  await asUser(async () => {
    await expect(new History(home).add(arrival(1))).rejects.toMatchObject({
      code: 'not-permitted',
    });
  });
});
