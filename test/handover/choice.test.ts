import { describe, expect, test } from 'vitest';
import { checkChoice, chosenBy, markedBy, partsOf } from '../../src/handover/choice.ts';
import type { Entry } from '../../src/protocol/manifest.ts';
import type { Platform } from '../../src/protocol/names.ts';

/** A path is a folder's if it ends in `/`. */
function entry(path: string): Entry {
  return path.endsWith('/')
    ? { kind: 'folder', path: path.slice(0, -1), mtime: 0 }
    : { kind: 'file', path, size: 1, mtime: 0 };
}

const OFFER = [
  'photos/',
  'photos/2023/',
  'photos/2023/a.jpg',
  'photos/2024/',
  'photos/2024/b.jpg',
  'photos/2024/raw/',
  'photos/2024/raw/b.dng',
  'docs/',
  'docs/photos/',
  'docs/photos/c.jpg',
  'docs/a.pdf',
  'Movie [1080p]/',
  'Movie [1080p]/m.mkv',
  'report.pdf',
];

async function chosen(patterns: readonly string[], platform: Platform = 'posix') {
  const choice = await chosenBy(patterns, platform);
  const wanted = OFFER.filter((path) => choice.wants(entry(path)));
  return { wanted, unmatched: choice.unmatched };
}

const below = (...starts: string[]): string[] =>
  OFFER.filter((path) => starts.some((start) => path.startsWith(start)));

describe('what is chosen', () => {
  test.each<[string, readonly string[], readonly string[]]>([
    ['by nothing: all', [], OFFER],
    ['by a path: all that is there', ['photos/2024'], below('photos/2024/')],
    ['by the path of a folder', ['photos/2024/'], below('photos/2024/')],
    ['by the path of a file', ['docs/a.pdf'], ['docs/a.pdf']],
    ['by a name, wherever it is met', ['photos'], below('photos/', 'docs/photos/')],
    ['by a name at the top', ['/photos'], below('photos/')],
    ['by an ending', ['*.pdf'], ['docs/a.pdf', 'report.pdf']],
    ['by folders and an ending', ['photos/**/*.jpg'], ['photos/2023/a.jpg', 'photos/2024/b.jpg']],
    ['by several', ['raw', 'report.pdf'], [...below('photos/2024/raw/'), 'report.pdf']],
    ['by a path in which brackets are', ['Movie [1080p]'], below('Movie')],
    ['by a path in such a folder', ['Movie [1080p]/m.mkv'], ['Movie [1080p]/m.mkv']],
    ['by what is no folder, as one', ['report.pdf/'], []],
    ['by a part of a name', ['photo', 'photos/202', 'eport.pdf'], []],
  ])('%s', async (_, patterns, expected) => {
    expect((await chosen(patterns)).wanted).toEqual(expected);
  });

  test('is told from what nothing is called', async () => {
    const { unmatched } = await chosen([
      '*.jpg',
      'nothing',
      'photos/2024',
      'photos',
      'photos/2025/',
    ]);
    expect(unmatched).toEqual(['nothing', 'photos/2025/']);
    expect((await chosen([])).unmatched).toEqual([]);
  });

  test('is found whatever the case is, where that is usual', async () => {
    expect((await chosen(['*.PDF'])).wanted).toEqual([]);
    expect((await chosen(['*.PDF'], 'darwin')).wanted).toEqual(['docs/a.pdf', 'report.pdf']);
  });

  test('is looked for in any path that a peer may offer', async () => {
    for (const platform of ['posix', 'windows', 'darwin'] as const) {
      const { wants } = await chosenBy(['*.jpg'], platform);
      for (const path of [
        'c:/x.jpg',
        '\\\\x\\y.jpg',
        '..a/.jpg',
        '\n.jpg',
        '<|>.jpg',
        'x'.repeat(1000),
      ])
        expect(wants(entry(path))).toBe(path.endsWith('.jpg'));
    }
  });

  test('is found in a path that is made to be looked through for long', async () => {
    const { wants } = await chosenBy(['**/a*/**/x', '*a*a*a*a*a*a*a*x']);
    expect(wants(entry(Array(128).fill('a'.repeat(30)).join('/')))).toBe(false);
    expect(wants(entry('a'.repeat(1024)))).toBe(false);
  });
});

test('what was marked is that and all that it holds, whatever it is called', () => {
  const marked = (...paths: string[]) => {
    const wants = markedBy(paths);
    return [...OFFER, '*', '!a', '[', '#', 'a\\', '**/*.jpg'].filter((path) => wants(entry(path)));
  };
  expect(marked('photos')).toEqual(below('photos/'));
  expect(marked('docs/photos', 'report.pdf')).toEqual([...below('docs/photos/'), 'report.pdf']);
  for (const name of ['*', '!a', '[', '#', 'a\\', '**/*.jpg']) expect(marked(name)).toEqual([name]);
  expect(marked('photo', '', '/photos', 'photos/')).toEqual([]);
  expect(marked()).toEqual([]);
});

test.each(['!a', './a', 'a/../b', '', '[a'])('%j chooses nothing', async (pattern) => {
  expect(() => checkChoice(['a', pattern])).toThrow(expect.objectContaining({ code: 'usage' }));
  await expect(chosenBy([pattern])).rejects.toMatchObject({ code: 'usage' });
});

describe('what is offered consists of', () => {
  const short = (paths: readonly string[]) =>
    partsOf(paths.map(entry)).map(({ path, folder, files, bytes }) => {
      const kind = folder ? '/' : '';
      return `${path}${kind} ${files} ${bytes}`;
    });

  test('what was picked', () => {
    expect(short(OFFER)).toEqual([
      'photos/ 3 3',
      'docs/ 2 2',
      'Movie [1080p]/ 1 1',
      'report.pdf 1 1',
    ]);
  });

  test('what lies in the only folder', () => {
    expect(short(OFFER.filter((path) => path.startsWith('photos/')))).toEqual([
      'photos/2023/ 1 1',
      'photos/2024/ 2 2',
    ]);
  });

  test('nothing to choose from, where it is one file or empty', () => {
    expect(short(['report.pdf'])).toEqual([]);
    expect(short(['empty/'])).toEqual([]);
    expect(short([])).toEqual([]);
  });
});
