import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { link, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
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
    if (process.getuid !== undefined) {
      if (stat.uid !== process.getuid()) throw new Unfit('belongs to another user');
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
 * it may take the place of one that is there; if it may not, false says that there was one.
 */
export async function writePrivate(
  path: string,
  text: string,
  { replace }: { readonly replace: boolean },
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
    if (replace) await rename(draft, path);
    else await link(draft, path);
  } catch (error) {
    if (!replace && isSystemError(error, 'EEXIST')) return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
  await syncFolder(dirname(path));
  return true;
}

async function openOurs(path: string) {
  try {
    return await open(path, constants.O_RDONLY | NO_FOLLOW | NO_WAIT);
  } catch (error) {
    if (isSystemError(error, 'ELOOP', 'EMLINK')) throw new Unfit('is a link');
    throw error;
  }
}
