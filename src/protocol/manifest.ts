import { DropError } from '../errors.ts';
import { MAX_DEPTH, MAX_NAME, MAX_PATH, MAX_TARGET, MAX_TEXT } from '../limits.ts';
import { utf8 } from './bytes.ts';

/**
 * One thing of an offer. `path` is relative, its names joined with `/`, and starts with the
 * name of a root. It is what the sender calls it: where it lands is the receiver's business.
 */
export type Entry = FileEntry | StreamEntry | FolderEntry | LinkEntry;

export interface FileEntry {
  readonly kind: 'file';
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970, negative before. */
  readonly mtime: number;
  /** POSIX permission bits, at most 0o777; without them where the sender has none. */
  readonly mode?: number | undefined;
  /** It is a message to be shown: UTF-8, at most `MAX_TEXT` bytes, and a root by itself. */
  readonly text?: true | undefined;
}

export type TextEntry = FileEntry & { readonly text: true };

/** A file that is read as it is made: nobody knows how much it will be, and it is read once. */
export interface StreamEntry {
  readonly kind: 'stream';
  readonly path: string;
  readonly mode?: number | undefined;
}

/** What has bytes to send. */
export type DataEntry = FileEntry | StreamEntry;

export interface FolderEntry {
  readonly kind: 'folder';
  readonly path: string;
  readonly mtime: number;
  readonly mode?: number | undefined;
}

export interface LinkEntry {
  readonly kind: 'link';
  readonly path: string;
  /** Relative, inside its root, `..` only at its start. */
  readonly target: string;
}

/**
 * Whether something has the shape of an entry, and nothing beside: checked once, at the door. By
 * hand, as a million of them may come through it, and a schema takes ten times as long.
 */
export function isEntry(value: unknown): value is Entry {
  if (typeof value !== 'object' || value === null) return false;
  const { kind, path, size, mtime, mode, target, text } = value as Partial<Record<string, unknown>>;
  if (typeof path !== 'string' || !isPath(path)) return false;
  if (mode !== undefined && !isWithin(mode, 0, 0o777)) return false;
  if (text !== undefined && !mayBeText(text, kind, path, size)) return false;
  const fields =
    Object.keys(value).length - (mode === undefined ? 0 : 1) - (text === undefined ? 0 : 1);
  switch (kind) {
    case 'file':
      return fields === 4 && isWithin(size, 0) && Number.isSafeInteger(mtime);
    case 'stream':
      return fields === 2;
    case 'folder':
      return fields === 3 && Number.isSafeInteger(mtime);
    case 'link':
      if (fields !== 3 || mode !== undefined || typeof target !== 'string') return false;
      return staysInside(path, target);
    default:
      return false;
  }
}

function mayBeText(text: unknown, kind: unknown, path: string, size: unknown): boolean {
  return text === true && kind === 'file' && parentOf(path) === '' && isWithin(size, 1, MAX_TEXT);
}

function isWithin(value: unknown, least: number, most = Number.MAX_SAFE_INTEGER): boolean {
  return Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most;
}

export function hasData(entry: Entry): entry is DataEntry {
  return entry.kind === 'file' || entry.kind === 'stream';
}

export function isText(entry: Entry): entry is TextEntry {
  return entry.kind === 'file' && entry.text === true;
}

/** Bytes, as far as they are known before it is sent. */
export function sizeOf(entry: Entry): number {
  return entry.kind === 'file' ? entry.size : 0;
}

/** The UTF-16 units of what an entry is called, and of what it leads to. */
export function unitsOf(entry: Entry): number {
  return entry.path.length + (entry.kind === 'link' ? entry.target.length : 0);
}

/** Whether `name` can be one part of an offered path. */
export function isName(name: string): boolean {
  return (
    name !== '' &&
    name !== '.' &&
    name !== '..' &&
    !/[/\0]/.test(name) &&
    name.isWellFormed() &&
    isWithinBytes(name, MAX_NAME)
  );
}

/** Whether `path` is one that may be offered: relative, without `.` or `..`, within the limits. */
export function isPath(path: string): boolean {
  if (!isWithinBytes(path, MAX_PATH)) return false;
  const names = path.split('/');
  return names.length <= MAX_DEPTH && names.every(isName);
}

/**
 * Whether a link at `path` to `target` stays inside the root that `path` starts with. `..` is
 * allowed only at the start, so that no other link on the way can turn it into a way out.
 */
export function staysInside(path: string, target: string): boolean {
  if (target === '' || /\0/.test(target) || !isWithinBytes(target, MAX_TARGET)) return false;
  if (!target.isWellFormed() || target.startsWith('/')) return false;
  const names = target.split('/');
  const ups = names.findIndex((name) => name !== '..');
  if (ups === -1) return names.length < depth(path) - 1;
  return ups < depth(path) - 1 && !names.slice(ups).includes('..');
}

/** The root that an offered path belongs to. */
export function rootOf(path: string): string {
  return path.slice(0, (path.indexOf('/') + 1 || path.length + 1) - 1);
}

/** The folder that an offered path lies in; empty for a root. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

/** The name that an offered path ends in. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The roots of an offer, as they were announced: each a name, no two alike. */
export class Roots {
  readonly #names = new Set<string>();

  add(names: readonly string[]): void {
    for (const name of names) {
      if (!isName(name)) throw new DropError('unsafe-name', { path: name });
      if (this.#names.has(name))
        throw new DropError('protocol', { message: 'A root was offered twice.' });
      this.#names.add(name);
    }
  }

  get size(): number {
    return this.#names.size;
  }

  holds(path: string): boolean {
    return this.#names.has(rootOf(path));
  }
}

function depth(path: string): number {
  return path.split('/').length;
}

function isWithinBytes(text: string, most: number): boolean {
  // Most texts are so short that their bytes need not be counted: a UTF-16 unit is three at most.
  return 3 * text.length <= most || utf8(text).length <= most;
}
