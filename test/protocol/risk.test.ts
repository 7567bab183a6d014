import { describe, expect, test } from 'vitest';
import { LARGE, MANY } from '../../src/limits.ts';
import type { Entry } from '../../src/protocol/manifest.ts';
import { Risks, risksOf } from '../../src/protocol/risk.ts';

const file = (path: string, size = 1, mode?: number): Entry => ({
  kind: 'file',
  path,
  size,
  mtime: 0,
  mode,
});

describe('a file can do anything when it is opened', () => {
  test.each([
    'setup.exe',
    'Setup.EXE',
    'a/b/run.sh',
    'x.lnk',
    'photo.jpg.scr',
    'installer.dmg',
    'page.hta',
    'tool.desktop',
    'trailing.exe ',
  ])('%j', (path) => {
    expect(risksOf(file(path), 'posix')).toContain('runs');
  });

  test('a program without an extension', () => {
    expect(risksOf(file('bin/tool', 1, 0o755), 'posix')).toEqual(['runs']);
    // From foreign disks everything has the right to run.
    expect(risksOf(file('photo.jpg', 1, 0o777), 'posix')).toEqual([]);
  });

  test.each(['report.pdf', 'exe', 'my.exe.txt', 'README', 'archive.tar.gz'])('not %j', (path) => {
    expect(risksOf(file(path), 'posix')).toEqual([]);
  });

  test('not a folder of that name', () => {
    expect(risksOf({ kind: 'folder', path: 'a.sh', mtime: 0 }, 'posix')).toEqual([]);
  });
});

test('names that have to be others here are told', () => {
  expect(risksOf(file('.bashrc'), 'posix')).toEqual(['renamed']);
  expect(risksOf(file('a/.bashrc'), 'posix')).toEqual([]);
  expect(risksOf(file('a/CON.txt'), 'windows')).toEqual(['renamed']);
  expect(risksOf(file('a/CON.txt'), 'posix')).toEqual([]);
  expect(risksOf(file('evil\u202egpj.exe'), 'posix')).toEqual(['runs', 'renamed']);
});

describe('of an offer', () => {
  test('nothing is told where nothing speaks against it', () => {
    const risks = new Risks('posix');
    for (let n = 0; n < MANY; n++) risks.count(file(`${n}`, Math.floor(LARGE / MANY)), 1);
    expect(risks.list).toEqual([]);
  });

  test('it is told how much it is, and how many files of it are what', () => {
    const risks = new Risks('posix');
    for (let n = 0; n <= MANY; n++) risks.count(file(`${n}`, Math.ceil(LARGE / MANY)), 1);
    for (const path of ['a.exe', 'b.exe', '.ssh']) risks.count(file(path, 0), 1);
    risks.count({ kind: 'stream', path: 'stdin' }, 1);
    expect(risks.list).toEqual([
      { risk: 'large', entries: MANY + 5 },
      { risk: 'many', entries: MANY + 5 },
      { risk: 'runs', entries: 2, example: 'a.exe' },
      { risk: 'renamed', entries: 1, example: '.ssh' },
      { risk: 'endless', entries: 1, example: 'stdin' },
    ]);
  });

  test('what is taken back is not told', () => {
    const risks = new Risks('posix');
    risks.count(file('a.exe', 2 * LARGE), 1);
    risks.count(file('a.exe', 2 * LARGE), -1);
    expect(risks.list).toEqual([]);
    risks.count(file('b.exe'), 1);
    expect(risks.list).toEqual([{ risk: 'runs', entries: 1, example: 'b.exe' }]);
  });
});
