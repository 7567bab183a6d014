import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { doctor } from '../../src/doctor/doctor.ts';
import { checkClock, checkDownloads, checkState, knownSelf } from '../../src/doctor/own.ts';
import type { CheckEvent } from '../../src/events.ts';
import { openSelf } from '../../src/meeting/self.ts';
import { TempFolder } from '../support/home.ts';

async function levelsOf(checks: AsyncIterable<CheckEvent>): Promise<Record<string, string>> {
  const levels: Record<string, string> = {};
  for await (const { name, level } of checks) levels[name] = level;
  return levels;
}

test('a clock before the first version is wrong', () => {
  expect(checkClock(0)).toMatchObject({ ok: true, level: 'warning' });
  expect(checkClock(Date.UTC(2030, 1, 1))).toMatchObject({ ok: true, level: 'ok' });
});

test('a home that is not there is not made', async () => {
  await using folder = new TempFolder();
  const home = join(folder.path, 'home');
  expect(await levelsOf(checkState(home))).toEqual({ identity: 'ok' });
  expect(await knownSelf(home)).toBeUndefined();
  mkdirSync(home, { mode: 0o700 });
  expect(await levelsOf(checkState(home))).toEqual({ identity: 'ok', state: 'ok' });
  expect(await knownSelf(home)).toBeUndefined();
  expect(readdirSync(home)).toEqual([]);
  const { identity } = await openSelf({ home });
  expect((await knownSelf(home))?.identity.id).toBe(identity.id);
});

test('a home may be no folder, or lead round in a circle', async () => {
  await using folder = new TempFolder();
  const home = join(folder.path, 'home');
  writeFileSync(home, '');
  expect(await levelsOf(checkState(home))).toEqual({ state: 'failed' });
  const circle = join(folder.path, 'circle');
  symlinkSync('circle', circle);
  expect(await levelsOf(checkState(circle))).toEqual({ state: 'failed' });
});

test('what mends it can be copied, whatever the folder is called', async () => {
  await using folder = new TempFolder();
  const home = join(folder.path, 'Application Support');
  writeFileSync(home, '');
  for await (const { fix } of checkState(home)) expect(fix).toBe(`rm '${home}'`);
  expect(await levelsOf(checkState(home))).toEqual({ state: 'failed' });
});

test('the doctor gets to the network, too, where what is made is for a group to change', async () => {
  await using folder = new TempFolder();
  const umask = process.umask(0o002);
  try {
    const of = { home: join(folder.path, 'home'), into: folder.path, interfaces: ['lo'] };
    let last: string | undefined;
    for await (const { name } of doctor(of)) {
      last = name;
      if (!OF_THIS_COMPUTER.has(name)) break;
    }
    expect(OF_THIS_COMPUTER.has(last ?? 'state')).toBe(false);
  } finally {
    process.umask(umask);
  }
});

const OF_THIS_COMPUTER: ReadonlySet<string> = new Set([
  'identity',
  'state',
  'clock',
  'downloads',
  'room',
]);

test('a folder for downloads is tested without a trace', async () => {
  await using folder = new TempFolder();
  expect(await levelsOf(checkDownloads(folder.path))).toEqual({ downloads: 'ok', room: 'ok' });
  expect(readdirSync(folder.path)).toEqual([]);
  const missing = join(folder.path, 'missing');
  expect(await levelsOf(checkDownloads(missing))).toEqual({ downloads: 'ok' });
  writeFileSync(missing, '');
  expect(await levelsOf(checkDownloads(missing))).toEqual({ downloads: 'failed' });
  expect(readdirSync(folder.path)).toEqual(['missing']);
});
