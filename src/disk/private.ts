import { randomBytes } from 'node:crypto';
import { constants, linkSync, lstatSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { link, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { isSystemError } from './failure.ts';
import { NO_FOLLOW, NO_WAIT } from './platform.ts';
import { syncFolder } from './sync.ts';

/** A file that lies where ours should but that we may not believe. The message goes on after its path. */
export class Unfit extends Error {}

/** Reads a small file that is ours and nobody else's. Throws `Unfit` if it is not. */
export async function readPrivate(path: string, maxBytes: number): Promise<string> {
  const file = await openOurs(path);
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw new Unfit('is not a regular file');
    if (process.geteuid !== undefined) {
      if (stat.uid !== process.geteuid()) throw new Unfit('belongs to another user');
      if (stat.mode & 0o077) throw new Unfit('can be read or changed by other users');
    }
    if (stat.size > maxBytes) throw new Unfit('is too large');
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

/**
 * Writes a file whole or not at all, durably, for nobody else to read. `replace` says whether
 * it may take the place of one that is there, or only of one with this text; false says that
 * it may not.
 */
export async function writePrivate(
  path: string,
  text: string,
  { replace }: { readonly replace: boolean | { readonly text: string } },
): Promise<boolean> {
  const draft = `${path}.${randomBytes(8).toString('hex')}.tmp`;
  try {
    const file = await open(draft, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    if (replace === true) await rename(draft, path);
    else if (replace === false) await link(draft, path);
    else if (!(await exchange(draft, path, replace.text))) return false;
  } catch (error) {
    if (!replace && isSystemError(error, 'EEXIST')) return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
  await syncFolder(dirname(path));
  return true;
}

/**
 * Gives a draft the name of a file that still has this text. It is the next one meanwhile, which
 * only one can be: nobody else, of this process or another, comes between looking and replacing.
 *
 * Whoever is the next one for too long has crashed, and loses the turn. If it was only stopped, it
 * finds that it has no next one to give the name to.
 */
async function exchange(draft: string, path: string, text: string): Promise<boolean> {
  const next = `${path}.next`;
  await becomeNext(draft, next);
  try {
    if (readFileSync(path, 'utf8') === text) {
      renameSync(next, path);
      return true;
    }
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error;
  }
  rmSync(next, { force: true });
  return false;
}

async function becomeNext(draft: string, next: string): Promise<void> {
  let before: string | undefined;
  let since = 0;
  for (;;) {
    try {
      return linkSync(draft, next);
    } catch (error) {
      if (!isSystemError(error, 'EEXIST')) throw error;
    }
    // Numbers of files are given anew at once; together with the time one is meant.
    const stat = lstatSync(next, { bigint: true, throwIfNoEntry: false });
    const now = stat && `${stat.ino} ${stat.ctimeNs}`;
    if (now !== before) since = performance.now();
    before = now;
    if (performance.now() - since > MAX_TURN) rmSync(next, { force: true });
    else await setTimeout(Math.random() * MAX_WAIT);
  }
}

/** Milliseconds; what is done in a turn takes microseconds. */
const MAX_TURN = 1_000;

/** Milliseconds until it is looked again whose turn it is. */
const MAX_WAIT = 10;

async function openOurs(path: string) {
  try {
    return await open(path, constants.O_RDONLY | NO_FOLLOW | NO_WAIT);
  } catch (error) {
    if (isSystemError(error, 'ELOOP', 'EMLINK')) throw new Unfit('is a link');
    throw error;
  }
}
