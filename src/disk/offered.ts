import { constants, type Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { DropError, type ErrorCode } from '../errors.ts';
import type { FileEntry } from '../protocol/manifest.ts';
import { NO_FOLLOW, NO_WAIT } from './platform.ts';

/* What it takes to read the file that was offered, and no other one. */

/** A link is not followed, and nobody waits for a pipe. */
export const READ_FLAGS = constants.O_RDONLY | NO_WAIT | NO_FOLLOW;

/** When it was changed, in whole milliseconds, as times are offered. Some disks keep any, far off ones too. */
export function timeOf({ mtimeMs }: Pick<Stats, 'mtimeMs'>): number {
  const last = Number.MAX_SAFE_INTEGER;
  return Math.min(Math.max(Math.round(mtimeMs), -last), last);
}

/** The next bytes of a file that is open. Throws `changed` if it has become shorter. */
export async function readBlock(
  entry: FileEntry,
  file: FileHandle,
  block: Buffer,
  offset: number,
  end: number,
): Promise<Uint8Array> {
  const length = Math.min(block.length, end - offset);
  const { bytesRead } = await file.read(block, 0, length, offset);
  if (bytesRead === 0) throw changed(entry);
  return block.subarray(0, bytesRead);
}

/** Throws `changed` if what was found is not what was offered. */
export function ensureOffered(entry: FileEntry, found: Stats): void {
  if (!found.isFile() || found.size !== entry.size || timeOf(found) !== entry.mtime)
    throw changed(entry);
}

export function changed({ path }: Pick<FileEntry, 'path'>): DropError {
  return new DropError('changed', { path });
}

/** What the system says while something is read. */
export const READING: Readonly<Record<string, ErrorCode>> = {
  EACCES: 'unreadable',
  EPERM: 'unreadable',
  EIO: 'unreadable',
  // It was a file when it was offered, and is a link, a folder or a socket now.
  ELOOP: 'changed',
  EISDIR: 'changed',
  ESPIPE: 'changed',
  ENXIO: 'changed',
};
