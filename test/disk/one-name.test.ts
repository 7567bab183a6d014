import { readdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { fileOf, inboxIn, newFolder, receiveAll, tree } from './support.ts';

vi.mock(import('node:fs'), async (original) => {
  const fs = await original();
  const fold = (name: string): string => name.normalize('NFD').toLowerCase();
  /** What a path means where case and ways to write a letter make no difference. */
  const meant = (path: unknown): string => {
    const given = String(path);
    if (!fs.existsSync(dirname(given))) return given;
    const names = fs.readdirSync(dirname(given));
    const name = names.find((one) => fold(one) === fold(basename(given)));
    return join(dirname(given), name ?? basename(given));
  };
  return {
    ...fs,
    lstatSync: ((path: string, options: object) =>
      fs.lstatSync(meant(path), options)) as typeof fs.lstatSync,
    linkSync: (from, to) => fs.linkSync(from, meant(to)),
    renameSync: (from, to) => fs.renameSync(from, meant(to)),
  };
});

describe('where several spellings are one name', () => {
  test.each([
    ['README', 'README', true],
    ['README', 'readme', false],
    ['ReadMe', 'rEADmE', false],
    ['stra\u00dfe', 'STRA\u00dfE', false],
    ['\u00e9t\u00e9', '\u00e9t\u00e9', true],
    ['\u00e9t\u00e9', 'e\u0301te\u0301', false],
    ['123', '123', true],
  ])('what is called %j is overwritten by %j: %s', async (there, offered, overwritten) => {
    const target = newFolder();
    writeFileSync(join(target, there), 'mine');
    const inbox = await inboxIn(target, { onConflict: 'overwrite' });
    await receiveAll(inbox, [fileOf(offered, 'content')]);
    await inbox.finish();
    await inbox.close();
    expect(tree(target)).toEqual(
      overwritten ? { [there]: 'content' } : { [there]: 'mine', [`${offered} (1)`]: 'content' },
    );
    expect(readdirSync(target)).toContain(there);
  });
});
