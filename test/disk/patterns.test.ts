import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openOutbox } from '../../src/disk/outbox.ts';
import { Patterns } from '../../src/disk/patterns.ts';
import type { Platform } from '../../src/protocol/names.ts';
import { describeWith } from '../support/skip.ts';
import { newFolder } from './support.ts';

/** A path is a folder's if it ends in `/`. */
async function matched(
  patterns: readonly string[],
  paths: readonly string[],
  platform: Platform = 'posix',
): Promise<string[]> {
  const read = await Patterns.read(patterns, platform);
  return paths.filter((path) => read.match(path.replace(/\/$/, ''), path.endsWith('/')));
}

describe('patterns', () => {
  test.each<[string, readonly string[], readonly string[], readonly string[]]>([
    ['a name is met at every depth', ['tmp'], ['tmp', 'a/tmp', 'tmp/', 'tmp/x'], ['tmps', 'a/b']],
    ['* is what a name has, and no more', ['*.log'], ['a.log', '.log', 'a/b.log'], ['a.log.1']],
    ['* ends at a /', ['a/*.c'], ['a/b.c'], ['a/b/c.c', 'x/a/b.c']],
    ['? is one character', ['a?'], ['ab', 'x/a1'], ['a', 'abc', 'a/']],
    ['/ at the start is the top', ['/build'], ['build', 'build/', 'build/x'], ['src/build']],
    ['/ in the middle, too', ['a/b'], ['a/b', 'a/b/c'], ['x/a/b', 'b']],
    [
      '/ at the end is a folder',
      ['build/'],
      ['build/', 'a/build/', 'build/x'],
      ['build', 'a/build'],
    ],
    [
      '** is any number of folders',
      ['a/**/b'],
      ['a/b', 'a/x/b', 'a/x/y/b'],
      ['b', 'a/bx', 'x/a/b'],
    ],
    ['** at the end is all below', ['a/**'], ['a/b', 'a/b/', 'a/b/c'], ['a/', 'a', 'b']],
    ['a set', ['[a-c!]x'], ['ax', '!x'], ['dx', '-x']],
    ['a set of others', ['[!a-c]x'], ['dx'], ['ax', '/x']],
    ['a set by its name', ['[[:digit:]]'], ['7', 'a/7'], ['a', '77']],
    [
      'the last one decides',
      ['*.log', '!keep.log', 'old/keep.log'],
      ['a.log', 'old/keep.log'],
      ['keep.log'],
    ],
    ['nothing comes back into what is left out', ['old', '!old/keep'], ['old/keep'], ['keep']],
    [
      '\\ takes away what a character means',
      ['\\!a', '\\#b', 'c\\*', 'd\\?', '\\[e', '\\\\f'],
      ['!a', '#b', 'c*', 'd?', '[e', '\\f'],
      ['a', 'cx', 'dx', 'e'],
    ],
    ['spaces at the end do not count, but with a \\', ['a ', 'b\\ '], ['a', 'b '], ['a ', 'b']],
    ['spaces at the start do', [' a'], [' a'], ['a']],
    [
      'what means something elsewhere means itself',
      ['a.b', 'c+', '(d)', '{e,f}', '$g', '^h'],
      ['a.b', 'c+', '(d)', '{e,f}', '$g', '^h'],
      ['axb', 'cc', 'd', 'e', 'g', 'h'],
    ],
    ['names are odd', ['*'], ['\\', ' ', '-rf', '..a', '...', '\n', '😀', 'a\\b'], []],
    [
      'an accent is part of its letter or not',
      ['\u00e9*', 'o\u0308'],
      ['e\u0301t\u00e9', '\u00f6'],
      ['e', 'o'],
    ],
  ])('%s', async (_, patterns, yes, no) => {
    expect(await matched(patterns, [...yes, ...no])).toEqual(yes);
  });

  test('tell upper case from lower where the file systems do', async () => {
    const both = ['Build', 'build', 'BUILD/x'];
    expect(await matched(['Build'], both, 'posix')).toEqual(['Build']);
    expect(await matched(['Build'], both, 'windows')).toEqual(both);
    expect(await matched(['Build'], both, 'darwin')).toEqual(both);
  });

  test('are refused with their names', async () => {
    await expect(Patterns.read(['a', './b'], 'posix')).rejects.toMatchObject({
      code: 'usage',
      path: './b',
    });
  });

  test('do not remember all that they were asked', async () => {
    const patterns = await Patterns.read(['*.log'], 'posix');
    const deep = Array(60).fill('folder').join('/');
    for (let i = 0; i < 100; i++) patterns.match(`${i}/${deep}/x`, false);
    const before = memoryInUse();
    for (let i = 0; i < 1_000; i++) patterns.match(`${i}/${deep}/y`, false);
    // Of each there are sixty folders, which take 20 MB together.
    expect(memoryInUse() - before).toBeLessThan(8 * 1024 * 1024);
  });
});

function memoryInUse(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  return process.memoryUsage().heapUsed;
}

describeWith(['git'], 'what is left out of a folder', () => {
  // Of what is no ASCII, git would count the bytes.
  const plain = fc.constantFrom(
    'a',
    'b',
    'ab',
    'A',
    'a.log',
    'b.log',
    '.a',
    '..b',
    'a b',
    '!a',
    '#b',
    '[a',
    'b\\',
    'a-b',
  );
  const escaped = plain.map((name) => name.replace(/[\\[\]*?!# ]/g, '\\$&'));
  const globs = fc.constantFrom(
    '*',
    '?',
    '??',
    'a*',
    '*b',
    '*.log',
    '*a*b*',
    '[ab]',
    '[!a]*',
    '[[:alpha:]]',
    '[a-b]?',
    '.*',
    '**',
    '**',
    '***',
    'a?log',
    '\\*',
  );
  const pattern = fc
    .record({
      not: fc.option(fc.constant('!'), { nil: '', freq: 3 }),
      top: fc.constantFrom('', '', '/'),
      names: fc.array(fc.oneof(escaped, escaped, globs), { minLength: 1, maxLength: 4 }),
      folder: fc.constantFrom('', '', '/'),
    })
    .map(({ not, top, names, folder }) => `${not}${top}${names.join('/')}${folder}`);
  const path = fc.array(plain, { minLength: 1, maxLength: 4 });
  const samples = fc.array(
    fc.record({
      patterns: fc.array(pattern, { minLength: 1, maxLength: 5 }),
      things: fc.array(fc.tuple(path, fc.constantFrom('file', 'file', 'folder', 'link')), {
        minLength: 1,
        maxLength: 12,
      }),
    }),
    { minLength: 50, maxLength: 50 },
  );

  test('is what git passes over', async () => {
    const visited = { left: 0, sent: 0 };
    await fc.assert(
      fc.asyncProperty(samples, async (all) => {
        const base = newFolder();
        const git = gitIn(base);
        const trees = all.map(({ patterns, things }, i) => {
          const root = join(base, `${i}`);
          mkdirSync(root);
          writeFileSync(join(root, '.gitignore'), `${patterns.join('\n')}\n`);
          return { root, patterns, paths: makeAll(root, things) };
        });
        const passedOver = git(
          trees.flatMap(({ root, paths }) => paths.map((one) => join(root, one))),
        );
        for (const { root, patterns, paths } of trees) {
          const expected = paths.filter((one) => !passedOver.has(join(root, one)));
          const found = await namesIn(root, patterns);
          expect(found, JSON.stringify(patterns)).toEqual(expected.sort());
          visited.sent += expected.length;
          visited.left += paths.length - expected.length;
        }
      }),
      { numRuns: 2, endOnFailure: true },
    );
    // Or else the generator does not visit what this is about.
    expect(visited.sent).toBeGreaterThan(20);
    expect(visited.left).toBeGreaterThan(3);
  });
});

/** Makes what can be made of it, and returns the paths of all that is there then. */
function makeAll(
  root: string,
  things: readonly (readonly [readonly string[], string])[],
): string[] {
  const made = new Map<string, string>();
  for (const [names, kind] of things) {
    const folders = names.slice(0, -1).map((_, i) => names.slice(0, i + 1).join('/'));
    const path = names.join('/');
    if (made.has(path) || folders.some((folder) => (made.get(folder) ?? 'folder') !== 'folder'))
      continue;
    for (const folder of folders) made.set(folder, 'folder');
    made.set(path, kind);
    mkdirSync(join(root, kind === 'folder' ? path : dirname(path)), { recursive: true });
    if (kind === 'file') writeFileSync(join(root, path), '');
    if (kind === 'link') symlinkSync('a', join(root, path));
  }
  return [...made.keys()];
}

async function namesIn(root: string, exclude: readonly string[]): Promise<string[]> {
  const outbox = await openOutbox([root], { exclude, platform: 'posix' });
  const found: string[] = [];
  for await (const { path } of outbox.entries())
    if (path.includes('/')) found.push(path.slice(path.indexOf('/') + 1));
  await outbox.close();
  return found.filter((path) => path !== '.gitignore').sort();
}

/** Tells which of some paths git passes over, in a repository of its own. */
function gitIn(base: string): (paths: readonly string[]) => Set<string> {
  // Nothing that somebody has set up here may speak into it.
  const env = { PATH: process.env.PATH, HOME: base, GIT_CONFIG_NOSYSTEM: '1', LC_ALL: 'C' };
  execFileSync('git', ['init', '-q', '.'], { cwd: base, env });
  return (paths) => {
    const { status, stdout, stderr } = spawnSync(
      'git',
      ['check-ignore', '--no-index', '--stdin', '-z'],
      { cwd: base, env, input: paths.join('\0'), encoding: 'utf8' },
    );
    if (status !== 0 && status !== 1) throw new Error(stderr);
    return new Set(stdout.split('\0'));
  };
}
