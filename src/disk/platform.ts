import { constants } from 'node:fs';
import type { Platform } from '../protocol/names.ts';

export function platformHere(): Platform {
  if (process.platform === 'win32') return 'windows';
  return process.platform === 'darwin' ? 'darwin' : 'posix';
}

/** A path as one word of a command that a person copies. On macOS even our own folder has a blank in it. */
export function asWord(path: string, platform = platformHere()): string {
  if (PLAIN.test(path)) return path;
  if (platform === 'windows') return `"${path}"`;
  return `'${path.replaceAll("'", "'\\''")}'`;
}

/** What no shell takes for more than a part of a word. */
const PLAIN = /^[\p{L}\p{N}_@%+=:,./-]+$/u;

/** Opening fails where the name is a link. Windows has no such flag. */
export const NO_FOLLOW = constants.O_NOFOLLOW ?? 0;

/** Opening fails where the name is anything but a folder's. Windows has no such flag. */
export const ONLY_FOLDERS = constants.O_DIRECTORY ?? 0;

/** Without it, opening a pipe waits for its other end. Regular files are not concerned. */
export const NO_WAIT = constants.O_NONBLOCK ?? 0;
