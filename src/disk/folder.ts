import { closeSync, linkSync, lstatSync, openSync, renameSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
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
  const base = pathOf(folder);
  // Somebody else may have put a link there that leads elsewhere.
  if (idOf(base) !== folder.id) throw replaced(base);
  const isTaken = (n: number): boolean => isThere(join(base, numbered(name, n)));
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const n = tries < TRIED_IN_ORDER ? tries : freeNumber(isTaken);
    const free = n === 0 ? name : numbered(name, n);
    const taken = take(join(base, free), free);
    if (taken !== undefined) return taken;
  }
  throw new DropError('exists', { path: join(base, name) });
}

/** Names tried one after the other, before the first free number is searched for. */
const TRIED_IN_ORDER = 8;

/** Names tried for one thing. The last ones are for when others take the same names meanwhile. */
const MAX_TRIES = 16;

/** Bounds the search; no folder holds as many. */
const MAX_NUMBER = 2 ** 30;

/** The first free number after those tried in order, if there are no gaps; else one of the free. */
function freeNumber(isTaken: (n: number) => boolean): number {
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

export function replaced(path: string): DropError {
  return new DropError('disk', {
    message: 'The folder that it belongs in was moved or replaced.',
    path,
  });
}

export function pathOf(folder: Folder): string {
  const names: string[] = [];
  for (let at: Folder | undefined = folder; at !== undefined; at = at.parent) names.push(at.name);
  return join(...names.reverse());
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

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

export function identify({ dev, ino }: { readonly dev: bigint; readonly ino: bigint }): string {
  return `${dev}:${ino}`;
}
