import { randomBytes } from 'node:crypto';
import { closeSync, constants, fstatSync, mkdirSync, openSync, symlinkSync } from 'node:fs';
import { mkdir, realpath, rm, statfs } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { DropError, type ErrorCode } from '../errors.ts';
import {
  type Entry,
  type FileEntry,
  type FolderEntry,
  isName,
  type LinkEntry,
  nameOf,
  parentOf,
} from '../protocol/manifest.ts';
import { type Platform, safeName } from '../protocol/names.ts';
import type { Inbox, IncomingFile, Placement, Stored } from '../transfer/receiver.ts';
import { diskFailure, isSystemError } from './failure.ts';
import {
  type Folder,
  firstFree,
  giveName,
  identify,
  idOf,
  pathOf,
  replaced,
  unlessTaken,
} from './folder.ts';
import { Part, PartPool, setAttributes } from './part.ts';
import { NO_FOLLOW, platformHere } from './platform.ts';
import { FolderSync, syncFolder } from './sync.ts';

export interface InboxOptions {
  readonly platform?: Platform | undefined;
  /** Permissions that nothing gets, whatever its sender says. */
  readonly umask?: number | undefined;
  /** The name for the first file that is not in a folder, instead of the offered one. */
  readonly as?: string | undefined;
  /** Memory for folders and links, in bytes. */
  readonly memory?: number | undefined;
}

/**
 * Opens `folder` for one transfer, and makes it if what it lies in is there. Throws `missing`,
 * `exists`, `not-permitted` or `disk-full` if nothing can be stored in it.
 */
export async function openInbox(
  folder: string,
  { platform = platformHere(), umask = process.umask(), as, memory = MEMORY }: InboxOptions = {},
): Promise<Inbox> {
  if (as !== undefined && !(isName(as) && safeName(as, { platform, top: false }) === as))
    throw new DropError('usage', { message: 'The name to save under cannot be a file.', path: as });
  try {
    await makeTarget(folder);
    const path = await realpath(folder);
    const id = idOf(path);
    if (id === undefined)
      throw new DropError('exists', { message: 'It is there, but is not a folder.', path: folder });
    const staging = join(path, `.drop-${randomBytes(8).toString('hex')}`);
    await mkdir(staging, { mode: 0o700 });
    const target: Folder = { parent: undefined, name: path, id, made: undefined };
    return new DiskInbox(target, staging, { platform, umask, as, memory });
  } catch (error) {
    throw diskFailure(error, folder);
  }
}

/** The options, decided. */
interface Settings {
  readonly platform: Platform;
  readonly umask: number;
  readonly as: string | undefined;
  readonly memory: number;
}

class DiskInbox implements Inbox {
  readonly #target: Folder;
  /** Ours alone, on the same disk: nothing in it has a name that a peer chose. */
  readonly #staging: string;
  readonly #platform: Platform;
  readonly #umask: number;
  readonly #as: string | undefined;
  /** The path of the file that gets the name `#as`. */
  #asPath: string | undefined;
  /** By their offered paths, each after the one that it lies in. */
  readonly #folders = new Map<string, Folder>();
  readonly #folderIds = new Set<string>();
  readonly #links: LinkEntry[] = [];
  readonly #parts = new Set<Part>();
  readonly #pool = new PartPool();
  readonly #sync = new FolderSync();
  /** For each folder that we made, that it will be found after a power cut. */
  readonly #anchors = new Map<Folder, Promise<void>>();
  /** What is left for folders and links, in bytes. */
  #memory: number;
  #count = 0;
  #closing: Promise<void> | undefined;

  constructor(target: Folder, staging: string, { platform, umask, as, memory }: Settings) {
    this.#target = target;
    this.#staging = staging;
    this.#platform = platform;
    this.#umask = umask;
    this.#as = as;
    this.#memory = memory;
  }

  async room(): Promise<number> {
    try {
      const { bavail, blocks, bsize } = await statfs(this.#target.name);
      const reserve = Math.min(RESERVE, RESERVED_SHARE * blocks * bsize);
      return Math.max(0, Math.floor(bavail * bsize - reserve));
    } catch (error) {
      throw diskFailure(error, this.#target.name);
    }
  }

  async place(entry: Entry): Promise<Placement> {
    const parent = this.#parentOf(entry);
    switch (entry.kind) {
      case 'file':
        if (parent === this.#target) this.#asPath ??= entry.path;
        return { want: 'all' };
      case 'link':
        this.#remember(entry.path, entry.target);
        this.#links.push(entry);
        return { want: 'placed' };
      case 'folder':
        if (this.#folders.has(entry.path)) throw new DropError('protocol', { path: entry.path });
        this.#remember(entry.path);
        try {
          this.#folders.set(entry.path, this.#makeFolder(entry, parent));
        } catch (error) {
          throw diskFailure(error, entry.path, STORING);
        }
        return { want: 'placed' };
    }
  }

  async open(entry: FileEntry, from: number): Promise<IncomingFile> {
    if (from > 0) throw new DropError('protocol', { path: entry.path });
    const part = new Part(join(this.#staging, String(this.#count++)), this.#pool);
    this.#parts.add(part);
    const explain = (error: unknown): never => {
      throw diskFailure(error, entry.path, STORING);
    };
    return {
      write: (bytes) => part.write(bytes).catch(explain),
      commit: (digest) => this.#commit(entry, part, digest).catch(explain),
      discard: () => this.#discard(part).catch(explain),
    };
  }

  async finish(): Promise<{ path: string; code: ErrorCode }[]> {
    const failures = new Map<string, ErrorCode>();
    const attempt = async (path: string, act: () => void | Promise<void>): Promise<void> => {
      try {
        await act();
      } catch (error) {
        const failure = diskFailure(error, path, STORING);
        if (!(failure instanceof DropError)) throw failure;
        failures.set(path, failure.code);
      }
    };
    /** What is to be made durable, and for whose sake. */
    const touched = new Map<Folder, string>();
    for (const link of this.#links) {
      touched.set(this.#parentOf(link), link.path);
      await attempt(link.path, () => this.#makeLink(link));
      await setImmediate(); // There may be very many, and the peer wants a sign of life.
    }
    for (const [path, folder] of this.#folders) {
      if (folder.made === undefined) continue;
      touched.set(folder, path);
      const parent = folder.parent as Folder;
      if (!touched.has(parent)) touched.set(parent, path);
    }
    const ahead = touched.entries();
    const work = async (): Promise<void> => {
      for (const [folder, path] of ahead) {
        const { made } = folder;
        if (made !== undefined) await attempt(path, () => this.#finishFolder(folder, made));
        await attempt(path, () => this.#sync.sync(pathOf(folder)));
      }
    };
    await Promise.all(Array.from({ length: FINISHING }, work));
    return Array.from(failures, ([path, code]) => ({ path, code }));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      await Promise.all(Array.from(this.#parts, (part) => this.#discard(part)));
      await rm(this.#staging, { recursive: true, force: true });
    } catch (error) {
      throw diskFailure(error, this.#staging);
    }
  }

  async #discard(part: Part): Promise<void> {
    await part.discard();
    this.#parts.delete(part);
  }

  async #commit(entry: FileEntry, part: Part, digest: Uint8Array): Promise<Stored> {
    const mode = (entry.mode ?? 0o666) & 0o777 & ~this.#umask;
    const same = await part.seal(digest, { mode, mtime: entry.mtime });
    if (!same) throw new DropError('corrupt', { path: entry.path });
    const folder = this.#parentOf(entry);
    const path = firstFree(folder, this.#nameFor(entry), (free) =>
      giveName(part.path, free) ? free : undefined,
    );
    this.#parts.delete(part);
    await Promise.all([this.#sync.sync(pathOf(folder)), this.#anchor(folder)]);
    const offered = entry.path.replaceAll('/', sep);
    return { path, renamed: relative(this.#target.name, path) !== offered };
  }

  /** A name in a folder that we made lasts only if the folder's own name does. */
  #anchor(folder: Folder): Promise<void> {
    const { made, parent } = folder;
    if (made === undefined || parent === undefined) return Promise.resolve();
    let anchor = this.#anchors.get(folder);
    if (anchor === undefined) {
      const both = Promise.all([this.#sync.sync(pathOf(parent)), this.#anchor(parent)]);
      anchor = both.then(() => {});
      this.#anchors.set(folder, anchor);
    }
    return anchor;
  }

  /** Makes a folder, or takes the one that is there: folders of one name are merged. */
  #makeFolder(entry: FolderEntry, parent: Folder): Folder {
    const mode = (entry.mode ?? 0o777) | OWN_WAY_IN;
    return firstFree(parent, this.#nameFor(entry), (path, name) => {
      const made = unlessTaken(() => mkdirSync(path, { mode }));
      const id = idOf(path);
      // Two that were offered apart stay apart, even where `A` and `a` are one name.
      if (id === undefined || (!made && this.#folderIds.has(id))) return undefined;
      this.#folderIds.add(id);
      return { parent, name, id, made: made ? entry : undefined };
    });
  }

  #makeLink(entry: LinkEntry): void {
    const target = this.#targetOf(entry);
    firstFree(this.#parentOf(entry), this.#nameFor(entry), (path) =>
      unlessTaken(() => symlinkSync(target, path)) ? path : undefined,
    );
  }

  /** What a link points to got its names by the same rules. */
  #targetOf({ path, target }: LinkEntry): string {
    let at = parentOf(path);
    const names = target.split('/').map((name) => {
      const folder = this.#folders.get(at);
      if (name === '..') at = parentOf(at);
      if (!isName(name)) return name;
      // Beyond what is not a folder of this transfer there is none either.
      if (folder !== undefined) at = `${at}/${name}`;
      return this.#safe(name, folder);
    });
    return names.join('/');
  }

  #finishFolder(folder: Folder, { mode = 0o777, mtime }: FolderEntry): void {
    const { O_RDONLY, O_DIRECTORY = 0 } = constants;
    const handle = openSync(pathOf(folder), O_RDONLY | O_DIRECTORY | NO_FOLLOW);
    try {
      const found = fstatSync(handle, { bigint: true });
      if (identify(found) !== folder.id) throw replaced(pathOf(folder));
      // In a shared folder, new ones inherit the bit that keeps it shared.
      const inherited = Number(found.mode) & 0o7000;
      setAttributes(handle, { mode: inherited | (mode & ~this.#umask) | OWN_WAY_IN, mtime });
    } finally {
      closeSync(handle);
    }
  }

  #parentOf({ path }: Entry): Folder {
    const parent = parentOf(path);
    const folder = parent === '' ? this.#target : this.#folders.get(parent);
    // It may have been offered when there was no memory left for it.
    if (folder === undefined)
      throw new DropError(this.#memory > 0 ? 'protocol' : 'too-many', { path });
    return folder;
  }

  #nameFor(entry: Entry): string {
    if (this.#as !== undefined && entry.path === this.#asPath) return this.#as;
    return this.#safe(nameOf(entry.path), this.#parentOf(entry));
  }

  /** A name as it is in a folder. One with a dot may be what a person's tools obey: `.git/hooks`. */
  #safe(name: string, folder: Folder | undefined): string {
    const top = folder !== undefined && folder.made === undefined;
    return safeName(name, { platform: this.#platform, top });
  }

  /** Takes from the memory what is needed until the end. What cannot be made counts all the same. */
  #remember(path: string, target = ''): void {
    if (this.#memory <= 0) throw new DropError('too-many', { path });
    this.#memory -= REMEMBERED + 2 * (path.length + target.length);
  }
}

/** Free space that is left to others: a full disk breaks more than a transfer. */
const RESERVE = 1024 ** 3;
const RESERVED_SHARE = 0.05;

/** What the owner keeps in any folder: there are files to be put into it, and to be removed. */
const OWN_WAY_IN = 0o700;

/** Bounds what a sender that offers folders and links only makes us hold; enough for 180,000. */
const MEMORY = 96 * 1024 ** 2;

/** What a folder takes beside its path, as measured. Texts take at most two bytes a UTF-16 unit. */
const REMEMBERED = 400;

/** Folders that are finished at once; more would not make the disk any faster. */
const FINISHING = 16;

async function makeTarget(folder: string): Promise<void> {
  try {
    await mkdir(folder);
    return await syncFolder(dirname(resolve(folder)));
  } catch (error) {
    if (isSystemError(error, 'ENOENT'))
      throw new DropError('missing', {
        message: 'The folder to save into cannot be made, for what it lies in is not there.',
        hint: `Make it first: mkdir -p ${folder}`,
        path: folder,
        cause: error,
      });
    if (!isSystemError(error, 'EEXIST')) throw error;
  }
}

/** While storing, a folder that is gone is our disk's failure, not a file that the sender lacks. */
const STORING: Readonly<Record<string, ErrorCode>> = { ENOENT: 'disk', ENOTDIR: 'disk' };
