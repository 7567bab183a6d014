import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { basename, join, sep } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { DropError } from '../errors.ts';
import {
  type FileEntry,
  type FolderEntry,
  isName,
  isPath,
  type LinkEntry,
  nameOf,
  parentOf,
  rootOf,
  staysInside,
} from '../protocol/manifest.ts';
import { numbered, type Platform } from '../protocol/names.ts';
import type { Unsendable } from '../transfer/outbox.ts';
import { diskFailure, isSystemError } from './failure.ts';
import { Listing } from './listing.ts';
import { changed, READING, timeOf } from './offered.ts';
import { Patterns } from './patterns.ts';
import { platformHere } from './platform.ts';

/** What lies somewhere in a tree, as it is offered. */
export type Found = FileEntry | FolderEntry | LinkEntry | Unsendable;

export interface TreeOptions {
  readonly platform?: Platform | undefined;
  /** What of the folders is left out: patterns as in a `.gitignore` in each of them. */
  readonly exclude?: readonly string[] | undefined;
  /** Whether one of the paths may be gone: then it is told like anything else that cannot be sent. */
  readonly lacking?: boolean | undefined;
  /** Names of what is to be looked at that are held so that they can be sorted. */
  readonly sorted?: number | undefined;
}

/**
 * Opens the files and folders at `paths` to be looked through. A path that is a link is followed.
 * Throws `missing` or `unreadable`, with the path as it was given, if one of them is not there;
 * `usage` if a pattern is none.
 */
export async function openTree(
  paths: readonly string[],
  { platform = platformHere(), exclude = [], lacking, sorted = MAX_SORTED }: TreeOptions = {},
): Promise<Tree> {
  const sources = new Map<string, string>();
  for (const path of paths) {
    const { source, name } = await locate(path).catch((error: unknown) => {
      const name = basename(path);
      if (!lacking || !isName(name)) throw error;
      return { source: path, name };
    });
    sources.set(freeName(sources, offered(name || NAME_OF_THE_DISK, platform)), source);
  }
  const excluded = exclude.length > 0 ? await Patterns.read(exclude, platform) : undefined;
  return new Tree(sources, { platform, excluded, sorted });
}

/** The options, decided. */
interface Settings {
  readonly platform: Platform;
  readonly excluded: Patterns | undefined;
  readonly sorted: number;
}

/** What is offered of this disk, and where it lies. It is looked at anew, however often that is asked. */
export class Tree {
  /** The names at the top, no two alike. */
  readonly roots: readonly string[];
  readonly #sources: ReadonlyMap<string, string>;
  readonly #settings: Settings;
  /** The folders that a walk is in. */
  readonly #entered = new Set<Listing>();

  constructor(sources: ReadonlyMap<string, string>, settings: Settings) {
    this.roots = [...sources.keys()];
    this.#sources = sources;
    this.#settings = settings;
  }

  /** Walks all that lies there, or at one path, each folder before what it holds. */
  async *entries(from: readonly string[] = this.roots): AsyncGenerator<Found, void, undefined> {
    for (const root of from) {
      /** The folders that it is in, each in the one before. */
      const way: Way[] = [];
      let looks = 0;
      try {
        for (let next: Next = root; next !== undefined; next = this.#next(way)) {
          // Among a million sockets there is nothing to offer, and others want their turn.
          if (++looks % LOOKS === 0) await setImmediate();
          const entry = typeof next === 'string' ? this.#look(next) : next;
          if (this.#isExcluded(entry)) continue;
          yield entry;
          const failure = entry.kind === 'folder' ? this.#enter(entry.path, way) : undefined;
          if (failure !== undefined) yield failure;
        }
      } finally {
        for (const { listing } of way) this.#leave(listing);
      }
    }
  }

  /** What lies in a folder, without what its folders hold; of the empty path the roots. */
  async *list(folder: string): AsyncGenerator<Found, void, undefined> {
    if (folder === '') {
      for (const root of this.roots) yield this.#look(root);
      return;
    }
    const way: Way[] = [];
    try {
      const failure = this.#enter(folder, way);
      if (failure !== undefined) yield failure;
      let looks = 0;
      for (let next = this.#next(way); next !== undefined; next = this.#next(way)) {
        if (++looks % LOOKS === 0) await setImmediate();
        const entry = typeof next === 'string' ? this.#look(next) : next;
        if (!this.#isExcluded(entry)) yield entry;
      }
    } finally {
      for (const { listing } of way) this.#leave(listing);
    }
  }

  /** What a walk would come across at this path; undefined if it would not. */
  async find(path: string): Promise<Found | undefined> {
    if (!isPath(path) || !this.#sources.has(rootOf(path))) return undefined;
    const above = parentOf(path);
    if (above !== '' && (await this.find(above))?.kind !== 'folder') return undefined;
    if (above !== '' && !(await this.#isListed(above, path))) return undefined;
    const entry = this.#look(path);
    const isThere = entry.kind !== 'unsendable' || entry.reason !== 'missing';
    return isThere && !this.#isExcluded(entry) ? entry : undefined;
  }

  /**
   * Throws `changed` if a folder on the way to what was opened is a link by now, which may lead
   * anywhere: whoever may write into what is sent must not have us send what only we may read.
   */
  ensureInside(path: string, folder = parentOf(path)): void {
    for (let at = folder; at !== ''; at = parentOf(at))
      if (lstatSync(this.sourceOf(at)).isSymbolicLink()) throw changed({ path });
  }

  /**
   * The same, where others may try as often as they like: throws `changed`, too, if what was opened is
   * not what lies there. Else a link may have been there, and be gone again by now.
   */
  ensureThere(path: string, opened: Stats): void {
    this.ensureInside(path);
    if (lstatSync(this.sourceOf(path)).ino !== opened.ino) throw changed({ path });
    this.ensureInside(path);
  }

  /** Where on this disk it lies. Throws `missing` if nothing of ours can. */
  sourceOf(path: string): string {
    const root = rootOf(path);
    const source = this.#sources.get(root);
    if (source === undefined) throw new DropError('missing', { path });
    const rest = path.slice(root.length);
    // There is nothing to tidy in either, and to look for it takes longer than the call that follows.
    return sep === '/' && source !== sep ? source + rest : join(source, rest);
  }

  /** A name under which something more can be offered. */
  freeName(name: string): string {
    return freeName(this.#sources, offered(name, this.#settings.platform));
  }

  /** Ends all walks. */
  close(): void {
    for (const listing of this.#entered) this.#leave(listing);
  }

  #look(path: string): Found {
    if (!isPath(path)) return unsendable(path, 'unsafe-name');
    const source = this.sourceOf(path);
    try {
      // On a warm disk the call takes a microsecond; to hand it to another thread takes ten.
      const found = lstatSync(source);
      const mtime = timeOf(found);
      const mode = this.#settings.platform === 'windows' ? {} : { mode: found.mode & 0o777 };
      if (found.isFile()) return { kind: 'file', path, size: found.size, mtime, ...mode };
      if (found.isDirectory()) return { kind: 'folder', path, mtime, ...mode };
      const target = found.isSymbolicLink() ? this.#targetOf(source) : undefined;
      if (target === undefined || !staysInside(path, target))
        return unsendable(path, 'unsupported');
      return { kind: 'link', path, target };
    } catch (error) {
      return unsendableFor(error, path);
    }
  }

  /** Whether a pattern leaves it out; what was named itself never is. */
  #isExcluded({ kind, path }: Found): boolean {
    const { excluded } = this.#settings;
    if (excluded === undefined) return false;
    const inside = path.slice(rootOf(path).length + 1);
    return inside !== '' && excluded.match(inside, kind === 'folder');
  }

  #targetOf(source: string): string | undefined {
    const { platform } = this.#settings;
    const target = decode(readlinkSync(source, 'buffer'));
    if (target === undefined) return undefined;
    return offered(platform === 'windows' ? target.replaceAll('\\', '/') : target, platform);
  }

  /**
   * Whether the folder has exactly this name in it. Most systems find a file by several names: in
   * other letters, cut short, with a part of its own behind a colon. A pattern holds for one of them.
   */
  async #isListed(folder: string, path: string): Promise<boolean> {
    const { platform, excluded } = this.#settings;
    if (platform === 'posix' && excluded === undefined) return true;
    const wanted = nameOf(path);
    let listing: Listing | undefined;
    try {
      listing = new Listing(this.sourceOf(folder), 0);
      for (let looks = 1, name = listing.next(); name !== undefined; name = listing.next()) {
        if (offered(decode(name) ?? '', platform) === wanted) return true;
        if (++looks % LOOKS === 0) await setImmediate();
      }
      return false;
    } catch (error) {
      if (isSystemError(error)) return false;
      throw error;
    } finally {
      listing?.close();
    }
  }

  /** Goes into a folder, or says why it cannot. */
  #enter(path: string, way: Way[]): Unsendable | undefined {
    const held = way.reduce((sum, { listing }) => sum + listing.held, 0);
    let listing: Listing | undefined;
    try {
      listing = new Listing(this.sourceOf(path), Math.max(0, this.#settings.sorted - held));
      this.ensureInside(path, path);
      this.#entered.add(listing);
      way.push({ path, listing });
      return undefined;
    } catch (error) {
      listing?.close();
      return unsendableFor(error, path);
    }
  }

  #leave(listing: Listing): void {
    listing.close();
    this.#entered.delete(listing);
  }

  /** What comes next in the innermost folder that has something left. */
  #next(way: Way[]): Next {
    for (let last = way.at(-1); last !== undefined; last = way.at(-1)) {
      const { path, listing } = last;
      let failure: Unsendable | undefined;
      try {
        const name = listing.next();
        if (name !== undefined) {
          const text = decode(name);
          if (text === undefined) return unsendable(`${path}/${name.toString()}`, 'unsafe-name');
          return `${path}/${offered(text, this.#settings.platform)}`;
        }
      } catch (error) {
        failure = unsendableFor(error, path);
      }
      this.#leave(listing);
      way.pop();
      if (failure !== undefined) return failure;
    }
    return undefined;
  }
}

/** A folder that the walk is in. */
interface Way {
  readonly path: string;
  readonly listing: Listing;
}

/** What the walk looks at next: a path, or what it cannot look at; undefined at the end. */
type Next = string | Unsendable | undefined;

/**
 * Names that a walk holds at most, in all folders that it is in, to sort them. Bounds its memory,
 * whatever somebody put into a folder.
 */
const MAX_SORTED = 4096;

/** Looks between two moments in which others get their turn. */
const LOOKS = 1024;

/** Where a path leads, absolute and without a link, and the name that the person used for it. */
async function locate(path: string): Promise<{ source: string; name: string }> {
  try {
    const source = await realpath(path).catch(async (error) => {
      await stat(path); // A pipe that a shell made lies nowhere, but is there.
      if (isSystemError(error, 'ENOENT')) return path;
      throw error;
    });
    const name = basename(path);
    // What `.` and `..` are called, only the disk knows: they may lie behind a link.
    return { source, name: name === '.' || name === '..' ? basename(source) : name };
  } catch (error) {
    throw diskFailure(error, path, { ...READING, ELOOP: 'missing' });
  }
}

/** What `/` is offered as. */
const NAME_OF_THE_DISK = 'disk';

/** A name as it is offered. macOS hands out decomposed letters, which others show as two. */
function offered(name: string, platform: Platform): string {
  return platform === 'darwin' ? name.normalize('NFC') : name;
}

function freeName(taken: ReadonlyMap<string, string>, name: string): string {
  let free = name;
  for (let n = 1; taken.has(free); n++) free = numbered(name, n);
  return free;
}

/** A name as text; undefined if it is none, for it could not be found again by it. */
function decode(name: Buffer): string | undefined {
  const text = name.toString();
  return Buffer.from(text).equals(name) ? text : undefined;
}

function unsendable(path: string, reason: Unsendable['reason']): Unsendable {
  return { kind: 'unsendable', path, reason };
}

/** Why it cannot be handed on, of a failure of the system. */
export function unsendableFor(error: unknown, path: string): Unsendable {
  const failure = diskFailure(error, path, READING);
  if (failure instanceof DropError) return unsendable(path, failure.code);
  throw failure;
}
