import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  type Stats,
} from 'node:fs';
import { DropError } from '../errors.ts';
import { NO_FOLLOW, NO_WAIT } from './platform.ts';

/** Whether we are who something belongs to. Windows does not say. */
export function isOurs({ uid }: { readonly uid: number | bigint }): boolean {
  const user = process.geteuid?.();
  return user === undefined || user === Number(uid);
}

/** Whether it is a regular file of ours that has no other name. */
export function isOwnFile(found: Stats): boolean {
  return found.isFile() && found.nlink === 1 && isOurs(found);
}

/** Opens a file that we made earlier. Throws if it is anything else than our own file. */
export function openOwn(path: string, flags: number): number {
  const there = lstatSync(path);
  // A file that is whole may have the mode of what was sent, which may keep out its owner.
  if (isOwnFile(there) && (there.mode & OWNER) !== OWNER) chmodSync(path, OWNER);
  const file = openSync(path, flags | NO_FOLLOW | NO_WAIT);
  const found = fstatSync(file);
  if (isOwnFile(found) && found.ino === there.ino) return file;
  closeSync(file);
  throw new DropError('disk', { message: 'What was kept of it was exchanged.', path });
}

const OWNER = constants.S_IRUSR | constants.S_IWUSR;
