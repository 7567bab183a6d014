import {
  closeSync,
  linkSync,
  lstatSync,
  openSync,
  renameSync,
  type Stats,
  unlinkSync,
} from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { DropError } from '../errors.ts';
import type { FolderEntry } from '../protocol/manifest.ts';
import { numbered } from '../protocol/names.ts';
import { isSystemError } from './failure.ts';

/** A folder that files may go into. */
export interface Folder {
  readonly parent: Folder | undefined;
  /** Its name in `parent`; the target's is its whole path. */
  readonly name: string;
  /** Which folder it is, whatever lies at its path later. */
  readonly id: string;
  /**
   * As it was offered, if we made it. The others were there before: they keep their mode and
   * time, and what lands directly in them is as careful about its name as in the target.
   */
  readonly made: FolderEntry | undefined;
  /** Whether nothing can be in it that was there before this transfer. */
  readonly isNew: boolean;
}

/**
 * Tries `name` in a folder, then numbered ones, until one can be taken. A few dozen looks are
 * enough where ten thousand of that name are: whoever filled the folder shall not keep us busy.
 */
export function firstFree<T>(
  folder: Folder,
  name: string,
  take: (path: string, name: string) => T | undefined,
): T {
  const base = checked(folder);
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const n = tries < TRIED_IN_ORDER ? tries : freeNumber(base, name);
    const free = nth(name, n);
    const taken = take(join(base, free), free);
    if (taken !== undefined) return taken;
  }
  throw new DropError('exists', { path: join(base, name) });
}

/** Something that has a name. */
export interface Found {
  readonly path: string;
  readonly stats: Stats;
}

/**
 * What lies under `name` and the numbered ones, as far as a few dozen looks tell, and a name that
 * is free: first what has the plain name, then the last numbers, for these were given last. If the
 * plain name is free, no others are looked at.
 */
export function survey(base: string, name: string): { there: Found[]; free: string } {
  const look = (n: number): Found[] => {
    const path = join(base, nth(name, n));
    const stats = lstatSync(path, { throwIfNoEntry: false });
    return stats === undefined ? [] : [{ path, stats }];
  };
  const plain = look(0);
  if (plain.length === 0) return { there: [], free: name };
  const low: Found[] = [];
  let free = 0;
  for (let n = TRIED_IN_ORDER - 1; n > 0; n--) {
    const found = look(n);
    low.push(...found);
    if (found.length === 0) free = n;
  }
  if (free > 0) return { there: [...plain, ...low], free: nth(name, free) };
  free = freeNumber(base, name);
  const high: Found[] = [];
  for (let n = free - 1; n >= TRIED_IN_ORDER && n >= free - LAST_LOOKED_AT; n--)
    high.push(...look(n));
  return { there: [...plain, ...high, ...low], free: nth(name, free) };
}

/** Names tried one after the other, before the first free number is searched for. */
const TRIED_IN_ORDER = 8;

/** Of more numbers than that, those that are looked at before the first free one. */
const LAST_LOOKED_AT = 8;

/** Names tried for one thing. The last ones are for when others take the same names meanwhile. */
export const MAX_TRIES = 16;

function nth(name: string, n: number): string {
  return n === 0 ? name : numbered(name, n);
}

/** Bounds the search; no folder holds as many. */
const MAX_NUMBER = 2 ** 30;

/** The first free number after those tried in order, if there are no gaps; else one of the free. */
function freeNumber(base: string, name: string): number {
  const isTaken = (n: number): boolean => isThere(join(base, nth(name, n)));
  let taken = TRIED_IN_ORDER - 1;
  let free = TRIED_IN_ORDER;
  while (free < MAX_NUMBER && isTaken(free)) {
    taken = free;
    free *= 2;
  }
  while (free - taken > 1) {
    const middle = Math.floor((taken + free) / 2);
    if (isTaken(middle)) taken = middle;
    else free = middle;
  }
  return free;
}

/** Where a folder is. Somebody else may have put a link there that leads elsewhere. */
export function checked(folder: Folder): string {
  const path = pathOf(folder);
  if (idOf(path) !== folder.id) throw replaced(path);
  return path;
}

export function replaced(path: string): DropError {
  return new DropError('disk', {
    message: 'The folder that it belongs in was moved or replaced.',
    path,
  });
}

export function pathOf({ parent, name }: Folder): string {
  if (parent === undefined) return name;
  const base = pathOf(parent);
  return base.endsWith(sep) ? base + name : base + sep + name;
}

/** Gives a finished file its name; false if that is taken. Nothing is ever overwritten. */
export function giveName(part: string, path: string): boolean {
  try {
    linkSync(part, path);
  } catch (error) {
    if (isSystemError(error, 'EEXIST')) return false;
    if (isSystemError(error, ...NO_HARD_LINKS)) return replaceOwn(part, path);
    throw error;
  }
  unlinkSync(part);
  return true;
}

/** What disks say that have no hard links; Windows says `EISDIR` on exFAT. */
const NO_HARD_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EISDIR', 'EINVAL'];

/**
 * Gives a finished file a name that a file or a link has, which is gone then; false if anything
 * else has it.
 */
export function takeName(part: string, path: string): boolean {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (!there?.isFile() && !there?.isSymbolicLink()) return false;
  renameSync(part, path);
  return true;
}

/**
 * Whether something has a name, and is spelled so, too. Where `A` and `a`, or two ways to write `é`,
 * are one name, it may be another one.
 */
export async function isSpelled(base: string, name: string): Promise<boolean> {
  const there = identityOf(join(base, name));
  if (there === undefined) return false;
  const others = [swapCase(name), name.normalize('NFC'), name.normalize('NFD')];
  const isAnother = (other: string): boolean =>
    other !== name && identityOf(join(base, other)) === there;
  return !others.some(isAnother) || (await readdir(base)).includes(name);
}

/** With small letters for capital ones and the other way round, one for one. */
function swapCase(name: string): string {
  return name.replace(/\p{Cased}/gu, (letter) => {
    const other = letter === letter.toUpperCase() ? letter.toLowerCase() : letter.toUpperCase();
    return other.length === letter.length ? other : letter;
  });
}

/** Takes the name with an empty file of our own, which may then be replaced. */
function replaceOwn(part: string, path: string): boolean {
  if (!unlessTaken(() => closeSync(openSync(path, 'wx', 0o600)))) return false;
  try {
    renameSync(part, path);
  } catch (error) {
    unlinkSync(path);
    throw error;
  }
  return true;
}

/** False if there was something of that name. */
export function unlessTaken(make: () => void): boolean {
  try {
    make();
    return true;
  } catch (error) {
    if (isSystemError(error, 'EEXIST')) return false;
    throw error;
  }
}

/** Which folder lies at a path; undefined if anything else does, a link to a folder included. */
export function idOf(path: string): string | undefined {
  const found = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return found?.isDirectory() ? identify(found) : undefined;
}

export function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function identityOf(path: string): string | undefined {
  const found = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return found && identify(found);
}

export function identify({ dev, ino }: { readonly dev: bigint; readonly ino: bigint }): string {
  return `${dev}:${ino}`;
}
