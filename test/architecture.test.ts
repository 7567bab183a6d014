import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path/posix';
import { expect, test } from 'vitest';

/**
 * What each part of src/ may import from the others, as in docs/ARCHITECTURE.md. Everybody may
 * import the leaves, and what lies in the same part.
 */
const PARTS: Readonly<Record<string, readonly string[]>> = {
  cli: ['index', 'window', 'guests'],
  window: ['web', 'index', 'model'],
  guests: ['web', 'index', 'model'],
  web: ['index', 'model'],
  page: ['model'],
  model: [],
  index: ['root', 'doctor', 'handover', 'meeting', 'protocol'],
  doctor: ['root', 'meeting', 'net', 'disk', 'transfer', 'protocol'],
  root: ['handover', 'meeting', 'net', 'disk', 'transfer', 'protocol'],
  handover: ['meeting', 'net', 'disk', 'transfer', 'protocol'],
  meeting: ['net', 'disk', 'transfer', 'protocol'],
  net: ['transfer', 'protocol'],
  disk: ['transfer', 'protocol'],
  transfer: ['protocol'],
  protocol: [],
  leaf: [],
};

/** The files of src/ that lie below all parts. */
const LEAVES = [
  'limits.ts',
  'errors.ts',
  'events.ts',
  'figures.ts',
  'environment.ts',
  'peer-id.ts',
];

/** Parts that run in a browser, or could: nothing of Node, and only these packages. */
const PURE: Readonly<Record<string, RegExp>> = {
  protocol: /^(valibot|filenamify\/browser|@noble\/(curves|hashes)\/.+)$/,
  transfer: /^$/,
  page: /^@noble\/hashes\/sha2\.js$/,
  model: /^$/,
};

const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => path.endsWith('.ts'));

const sources = files.map((path) => ({ path, text: readFileSync(join('src', path), 'utf8') }));

test('every file belongs to a part', () => {
  expect(files).toEqual(expect.arrayContaining(['index.ts', ...LEAVES]));
  expect(files.filter((path) => !(partOf(path) in PARTS))).toEqual([]);
});

test('every file imports only what lies below it, by its whole name', () => {
  expect(
    violations((path, text) => relativeImports(text).filter((name) => isAbove(path, name))),
  ).toEqual([]);
  expect(
    violations((_, text) => relativeImports(text).filter((name) => !name.endsWith('.ts'))),
  ).toEqual([]);
});

test('the pure parts import nothing of Node and no package beyond the known ones', () => {
  expect(
    violations((path, text) => {
      const known = PURE[partOf(path)];
      const packages = importsOf(text).filter((name) => !name.startsWith('.'));
      return known === undefined ? [] : packages.filter((name) => !known.test(name));
    }),
  ).toEqual([]);
});

test('no file ends the process: main tells bin/drop.js how to', () => {
  expect(
    violations((_, text) =>
      withoutComments(text).match(/\bprocess\s*\.\s*(?:exit|abort|reallyExit)\b/g),
    ),
  ).toEqual([]);
});

test('no file waits for a timeout that Node 20 may forget', () => {
  // Joined by AbortSignal.any, and held by nothing else, it never fires once the memory is tidied up.
  expect(
    violations((_, text) => withoutComments(text).match(/AbortSignal\s*\.\s*timeout/g)),
  ).toEqual([]);
});

test('no file gives up on types or silences a tool', () => {
  expect(violations((_, text) => withoutComments(text).match(ANY))).toEqual([]);
  expect(
    violations((_, text) =>
      text.match(/@ts-(?:ignore|nocheck|expect-error)|biome-ignore|eslint-disable/g),
    ),
  ).toEqual([]);
});

test('the rules of this file recognise what they forbid', () => {
  expect(importsOf("import type { A } from './a.ts';\nexport * from\n  '../b.ts'")).toEqual([
    './a.ts',
    '../b.ts',
  ]);
  expect(importsOf("import './c.ts';\nawait import('ora'); type D = import('./d.ts').D")).toEqual([
    './c.ts',
    'ora',
    './d.ts',
  ]);
  expect(importsOf("// import './c.ts'\nconst text = 'a from b';")).toEqual([]);
  for (const open of [
    'x: any',
    'x as any',
    'Set<any>',
    'Map<string, any>',
    'type A = any;',
    'any[]',
  ])
    expect(open).toMatch(ANY);
  expect('const any = fc.anything(); // in any case: anything').not.toMatch(ANY);
  expect(isAbove('net/tls.ts', '../disk/trust.ts')).toBe(true);
  expect(isAbove('net/tls.ts', '../errors.ts')).toBe(false);
  expect(isAbove('cli/main.ts', '../send.ts')).toBe(true);
  expect(partOf('protocol/frame.ts')).toBe('protocol');
  expect(partOf('events.ts')).toBe('leaf');
  expect(partOf('send.ts')).toBe('root');
  expect(partOf('web/page/window/app.ts')).toBe('page');
  expect(isAbove('web/page/window/app.ts', '../../door.ts')).toBe(true);
  expect(isAbove('web/page/window/app.ts', '../../window/desk.ts')).toBe(true);
  expect(isAbove('web/page/window/app.ts', '../../window/model.ts')).toBe(false);
  expect(isAbove('web/window/ui.ts', '../door.ts')).toBe(false);
  expect(isAbove('web/door.ts', './window/ui.ts')).toBe(true);
  expect(isAbove('web/window/ui.ts', '../guests/link.ts')).toBe(true);
});

/** `any` where a type stands. */
const ANY = /(?:[:<,|&]|\bas|\bextends|type \w+ =)\s*any\b(?=\s*[,;)>\]|&=\n]|$)|\bany\[\]/gm;

/** What a rule finds in src/, as `path: what`. */
function violations(rule: (path: string, text: string) => readonly string[] | null): string[] {
  return sources.flatMap(({ path, text }) =>
    (rule(path, text) ?? []).map((found) => `${path}: ${found}`),
  );
}

function isAbove(path: string, imported: string): boolean {
  const [part, other] = [partOf(path), partOf(normalize(join(dirname(path), imported)))];
  return other !== part && other !== 'leaf' && !PARTS[part]?.includes(other);
}

function relativeImports(text: string): string[] {
  return importsOf(text).filter((name) => name.startsWith('.'));
}

function partOf(path: string): string {
  if (LEAVES.includes(path)) return 'leaf';
  if (path === 'index.ts') return 'index';
  if (/^web\/(?:loans|amounts|\w+\/model)\.ts$/.test(path)) return 'model';
  const [, room] = /^web\/(page|window|guests)\//.exec(path) ?? [];
  if (room !== undefined) return room;
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : 'root';
}

/** The modules that a source names: imported, exported from, loaded later, or for a type. */
function importsOf(text: string): string[] {
  const naming = /(?:\bfrom\s*|\bimport\s*\(?\s*)'([^'\n]+)'/g;
  return Array.from(withoutComments(text).matchAll(naming), ([, name]) => name ?? '');
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
}
