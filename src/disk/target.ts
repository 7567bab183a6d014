import { mkdirSync } from 'node:fs';
import { mkdir, realpath, rmdir, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { DropError } from '../errors.ts';
import { RESERVE, RESERVED_SHARE } from '../limits.ts';
import { diskFailure, isSystemError } from './failure.ts';
import { type Folder, idOf, unlessTaken } from './folder.ts';
import { asWord } from './platform.ts';
import { syncFolder } from './sync.ts';

/**
 * Opens the folder that something is saved into, or one `inside` it, and makes it if what it lies in
 * is there. A link in the place of `folder` is followed, as its owner has named it; one in the place
 * of the folder inside may have been put there by others. Throws `missing` or `exists` if there can
 * be none, else what the system says.
 */
export async function openTarget(folder: string, inside = ''): Promise<Folder> {
  await makeTarget(folder);
  const path = join(await realpath(folder), inside);
  if (inside !== '') await makeTarget(path);
  const id = idOf(path);
  if (id === undefined) {
    const what = join(folder, inside);
    throw new DropError('exists', { message: 'It is there, but is not a folder.', path: what });
  }
  return { parent: undefined, name: path, id, made: undefined, isNew: false };
}

/**
 * Throws `missing`, `exists`, `not-permitted` or `disk-full` if nothing can be stored in `folder`,
 * which is made if it can be.
 */
export async function checkTarget(folder: string): Promise<void> {
  try {
    const { name } = await openTarget(folder);
    // One name for all: what a crash has left is removed by the next.
    const probe = join(name, '.drop-probe');
    unlessTaken(() => mkdirSync(probe, { mode: 0o700 }));
    await rmdir(probe).catch(() => {}); // Another receiver may just have done so.
    // In a folder that may only be written to, no name could be made durable.
    await syncFolder(name);
  } catch (error) {
    throw diskFailure(error, folder);
  }
}

/** Bytes that may be stored in a folder, what is left free for others already taken off. */
export async function roomIn(folder: string): Promise<number> {
  try {
    const { bavail, blocks, bsize } = await statfs(folder);
    if (blocks === 0) return Number.POSITIVE_INFINITY; // Some disks count nothing.
    const reserve = Math.min(RESERVE, RESERVED_SHARE * blocks * bsize);
    return Math.max(0, Math.floor(bavail * bsize - reserve));
  } catch (error) {
    throw diskFailure(error, folder);
  }
}

async function makeTarget(folder: string): Promise<void> {
  try {
    await mkdir(folder);
    return await syncFolder(dirname(resolve(folder)));
  } catch (error) {
    if (isSystemError(error, 'ENOENT'))
      throw new DropError('missing', {
        message: 'The folder to save into cannot be made, for what it lies in is not there.',
        hint: `Make it first: mkdir -p ${asWord(folder)}`,
        path: folder,
        cause: error,
      });
    if (!isSystemError(error, 'EEXIST')) throw error;
  }
}
