import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, mkdir, readdir, readlink, symlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** One line for each thing that is not the same below both folders; none if all is the same. */
export async function treeDifferences(left: string, right: string): Promise<string[]> {
  const [ours, theirs] = [await readTree(left), await readTree(right)];
  const paths = [...new Set([...ours.keys(), ...theirs.keys()])].sort();
  return paths.flatMap((path) => {
    const [here, there] = [ours.get(path), theirs.get(path)];
    if (here === undefined) return [`${JSON.stringify(path)}: only in ${right}`];
    if (there === undefined) return [`${JSON.stringify(path)}: only in ${left}`];
    return leafDifferences(here, there).map((what) => `${JSON.stringify(path)}: ${what}`);
  });
}

/** Names that no system here changes, in many scripts and with all that is odd but harmless. */
export const ODD_NAMES: readonly string[] = [
  'plain.txt',
  'with a blank.txt',
  ' blanks around ',
  '"double" \'single\' `back`.txt',
  'back\\slash.txt',
  '$HOME & ; | <a> * ? !.txt',
  'percent%2e%2e%2f.txt',
  '-rf',
  '--to',
  '.hidden',
  '~root',
  '...',
  'CON',
  'a:b',
  'ends with a dot.',
  'naïve café.txt',
  'Привет.txt',
  'Ελληνικά.txt',
  '日本語のファイル.txt',
  '한국어.txt',
  'العربية.txt',
  'עברית.txt',
  'हिन्दी.txt',
  'ไทย.txt',
  'می‌خواهم.txt',
  '👩‍👩‍👧‍👦 🏳️‍🌈.jpg',
  `${'x'.repeat(251)}.txt`,
  '語'.repeat(85),
];

/** Names that are changed on arrival, as they could harm whoever reads them. POSIX systems only. */
export const MISLEADING_NAMES: readonly string[] = [
  'two\nlines.txt',
  'tab\tand\rreturn.txt',
  'escape\x1b[2J.txt',
  'invoice\u202efdp.exe',
  'in\u200bvisible.txt',
];

/**
 * Fills `folder` with everything that a tree can hold and that arrives as it is: odd names, an
 * empty file and an empty folder, something deep, links, an executable, times long ago and to come.
 */
export async function makeOddTree(folder: string): Promise<void> {
  const file = async (path: string, content: string, mode = 0o644): Promise<void> => {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content, { mode });
  };
  for (const name of ODD_NAMES) await file(`names/${name}`, name);
  await file('empty', '');
  await file('run.sh', '#!/bin/sh\necho it ran\n', 0o755);
  await file('1/2/3/4/5/6/7/8/9/deep.txt', 'deep');
  await file('large.bin', 'not that large '.repeat(100_000));
  await mkdir(join(folder, 'empty folder'));
  await file('linked/target.txt', 'target');
  await symlink('target.txt', join(folder, 'linked', 'beside'));
  await symlink('../run.sh', join(folder, 'linked', 'up'));
  await symlink('nowhere', join(folder, 'linked', 'dangling'));
  await file('old.txt', 'old');
  await utimes(join(folder, 'old.txt'), OLD, OLD);
  await file('future.txt', 'future');
  await utimes(join(folder, 'future.txt'), FUTURE, FUTURE);
  // Last, as a folder's time changes with what is put into it.
  await utimes(join(folder, 'empty folder'), OLD, OLD);
  await utimes(join(folder, 'linked'), OLD, OLD);
}

/** What of a file, folder or link survives a transfer. Times in ms since 1970. */
type Leaf =
  | {
      readonly kind: 'file';
      readonly size: number;
      readonly sha256: string;
      readonly executable: boolean;
      readonly mtime: number;
    }
  | { readonly kind: 'folder'; readonly mtime: number }
  | { readonly kind: 'link'; readonly target: string };

/** Everything below `folder`, by its path from there. */
async function readTree(folder: string): Promise<Map<string, Leaf>> {
  const leaves = new Map<string, Leaf>();
  for (const path of await readdir(folder, { recursive: true }))
    leaves.set(path, await readLeaf(join(folder, path)));
  return leaves;
}

const OLD = new Date('1999-12-31T23:59:58.765Z');
const FUTURE = new Date('2037-01-01T00:00:00.123Z');

/** ms. Times travel in whole ms: a browser cuts the rest off, and a system may keep 1 µs less than it is told. */
const CLOSE = 1.01;

async function readLeaf(path: string): Promise<Leaf> {
  const found = await lstat(path);
  if (found.isSymbolicLink()) return { kind: 'link', target: await readlink(path) };
  if (found.isDirectory()) return { kind: 'folder', mtime: found.mtimeMs };
  if (!found.isFile()) throw new Error(`${path} is no file, folder or link`);
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return {
    kind: 'file',
    size: found.size,
    sha256: hash.digest('hex'),
    executable: (found.mode & 0o100) !== 0,
    mtime: found.mtimeMs,
  };
}

function leafDifferences(here: Leaf, there: Leaf): string[] {
  if (here.kind !== there.kind) return [`a ${here.kind}, a ${there.kind} there`];
  const differing: string[] = [];
  for (const [what, value] of Object.entries(here)) {
    const other: unknown = new Map<string, unknown>(Object.entries(there)).get(what);
    const same =
      what === 'mtime' ? Math.abs(Number(value) - Number(other)) <= CLOSE : value === other;
    if (!same) differing.push(`${what} ${value}, ${other} there`);
  }
  return differing;
}
