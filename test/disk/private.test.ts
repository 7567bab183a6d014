import { readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readPrivate, Unfit, writePrivate } from '../../src/disk/private.ts';
import { failureOf, newFolder } from './support.ts';

test('what is written is read again, by us alone', async () => {
  const path = join(newFolder(), 'x');
  expect(await writePrivate(path, 'one', { replace: false })).toBe(true);
  expect(await readPrivate(path, 3)).toBe('one');
  expect(await failureOf(readPrivate(path, 2))).toBeInstanceOf(Unfit);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test('what is there is replaced only if it may be, and no draft is left', async () => {
  const folder = newFolder();
  const path = join(folder, 'x');
  await writePrivate(path, 'one', { replace: false });
  expect(await writePrivate(path, 'two', { replace: false })).toBe(false);
  expect(readFileSync(path, 'utf8')).toBe('one');
  expect(await writePrivate(path, 'three', { replace: true })).toBe(true);
  expect(readFileSync(path, 'utf8')).toBe('three');
  expect(readdirSync(folder)).toEqual(['x']);
});

test('a link that lies there is replaced itself, not what it points to', async () => {
  const folder = newFolder();
  writeFileSync(join(folder, 'other'), 'other');
  symlinkSync('other', join(folder, 'x'));
  await writePrivate(join(folder, 'x'), 'mine', { replace: true });
  expect(readFileSync(join(folder, 'other'), 'utf8')).toBe('other');
  expect(await readPrivate(join(folder, 'x'), 10)).toBe('mine');
});
