import { execFileSync } from 'node:child_process';
import { appendFile, chmod, mkdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { isName } from '../../src/protocol/manifest.ts';
import { safeName } from '../../src/protocol/names.ts';
import { TempFolder } from './home.ts';
import { MISLEADING_NAMES, makeOddTree, ODD_NAMES, treeDifferences } from './tree.ts';

const changes: [string, (path: (name: string) => string) => Promise<unknown>, RegExp[]][] = [
  ['nothing', async () => {}, []],
  ['a byte more', (path) => appendFile(path('empty'), '!'), [/size 0, 1/, /sha256/, /mtime/]],
  ['a mode', (path) => chmod(path('run.sh'), 0o644), [/executable true, false/]],
  ['2 ms', (path) => utimes(path('old.txt'), OLD, 946_684_798.767), [/mtime/]],
  ['less than 1 ms', (path) => utimes(path('old.txt'), OLD, 946_684_798.7655), []],
  ['a missing folder', (path) => rm(path('empty folder'), { recursive: true }), [/only in/]],
  ['a file more', (path) => writeFile(path('empty folder/new'), ''), [/mtime/, /only in/]],
  ['another target', (path) => relink(path('linked/up'), '../old.txt'), [/mtime/, /target/]],
  ['a folder for a file', (path) => refolder(path('empty')), [/a file, a folder/]],
];

test.each(changes)('trees that differ by %s differ by just that', async (_, change, expected) => {
  await using folder = new TempFolder();
  const [left, right] = [join(folder.path, 'left'), join(folder.path, 'right')];
  await mkdir(left);
  await makeOddTree(left);
  execFileSync('cp', ['-a', left, right]);

  await change((name) => join(right, name));
  const found = await treeDifferences(left, right);
  expect(found).toEqual(expected.map((pattern) => expect.stringMatching(pattern)));
});

test.each(ODD_NAMES)('%j may be offered and is kept as it is', (name) => {
  expect(isName(name)).toBe(true);
  expect(safeName(name, { platform: 'posix', top: false })).toBe(name);
});

test.each(MISLEADING_NAMES)('%j may be offered and is changed', (name) => {
  expect(isName(name)).toBe(true);
  expect(safeName(name, { platform: 'posix', top: false })).not.toBe(name);
});

const OLD = 946_684_798.765;

async function relink(path: string, target: string): Promise<void> {
  await rm(path);
  await symlink(target, path);
}

async function refolder(path: string): Promise<void> {
  await rm(path);
  await mkdir(path);
}
