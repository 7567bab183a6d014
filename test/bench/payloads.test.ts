import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { difference, logFile, randomFile, tree, warm } from '../../bench/transfer/payloads.ts';
import { TempFolder } from '../support/home.ts';

test('a tree has its files, each of its size and unlike the others, and its folders', async () => {
  await using folder = new TempFolder();
  const payload = tree(250, 5000, 10)(join(folder.path, 'tree'));
  expect(payload).toMatchObject({ folder: true, files: 250, bytes: 1_250_000 });
  const all = readdirSync(payload.path, { recursive: true, withFileTypes: true });
  const files = all.filter((one) => one.isFile());
  expect(files).toHaveLength(250);
  // 25 with files, in three.
  expect(all.filter((one) => one.isDirectory())).toHaveLength(28);
  const contents = files.map((one) => readFileSync(join(one.parentPath, one.name), 'latin1'));
  expect(new Set(contents).size).toBe(250);
  expect(new Set(contents.map(({ length }) => length))).toEqual(new Set([5000]));
});

test('random bytes do not compress, and a log compresses as logs do', async () => {
  await using folder = new TempFolder();
  const ratio = (path: string) => statSync(path).size / gzipSync(readFileSync(path)).length;
  const random = randomFile(3_000_000)(join(folder.path, 'random'));
  expect(statSync(random.path).size).toBe(3_000_000);
  expect(ratio(random.path)).toBeLessThan(1.01);
  const log = logFile(3_000_000)(join(folder.path, 'log'));
  expect(statSync(log.path).size).toBe(3_000_000);
  expect(ratio(log.path)).toBeGreaterThan(2.8);
  expect(ratio(log.path)).toBeLessThan(4.5);
  expect(readFileSync(log.path, 'latin1').split('\n')[0]).toMatch(
    /^2026-01-01T\S+Z [A-Z]+ .* "[^"]+"$/,
  );
});

test('the first difference is found, wherever it is', async () => {
  await using folder = new TempFolder();
  const [left, right] = [join(folder.path, 'left'), join(folder.path, 'right')];
  for (const path of [left, right]) tree(40, 3, 2)(path);
  expect(difference(left, right)).toBeUndefined();

  const one = join(right, '1', '11', 'file-22');
  const content = readFileSync(one);
  writeFileSync(one, 'abc');
  expect(difference(left, right)).toBe(`${one} has another content`);
  writeFileSync(one, Buffer.concat([content, Buffer.of(0)]));
  expect(difference(left, right)).toBe(`${one} has another content`);
  rmSync(one);
  expect(difference(left, right)).toBe(`${one} is missing`);
  mkdirSync(one);
  expect(difference(left, right)).toBe(`${one} is of another kind`);
  rmSync(one, { recursive: true });
  writeFileSync(one, content);
  writeFileSync(join(right, '1', 'more'), '');
  expect(difference(left, right)).toBe(`${join(right, '1', 'more')} was never sent`);
});

test.each([0, 1_500_000, 2_499_999])(
  'a difference in byte %d of a large file counts',
  async (at) => {
    await using folder = new TempFolder();
    const [left, right] = [join(folder.path, 'left'), join(folder.path, 'right')];
    for (const path of [left, right]) randomFile(2_500_000)(path);
    expect(difference(left, right)).toBeUndefined();
    const content = readFileSync(right);
    content[at]! ^= 1;
    writeFileSync(right, content);
    expect(difference(left, right)).toBe(`${right} has another content`);
  },
);

test('warming up leaves nothing', async () => {
  await using folder = new TempFolder();
  const into = join(folder.path, 'into');
  mkdirSync(into);
  warm(tree(4, 3, 2)(join(folder.path, 'tree')), into);
  warm(randomFile(10)(join(folder.path, 'file')), into);
  expect(readdirSync(into)).toEqual([]);
});
