import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  opendirSync,
  openSync,
  readlinkSync,
  symlinkSync,
} from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { DropError, type ErrorCode } from '../errors.ts';
import {
  type DataEntry,
  type Entry,
  type FolderEntry,
  isName,
  type LinkEntry,
  nameOf,
  parentOf,
} from '../protocol/manifest.ts';
import { type Platform, safeName } from '../protocol/names.ts';
import { diskFailure, isSystemError, STORING } from './failure.ts';
import {
  type Folder,
  type Found,
  firstFree,
  identify,
  idOf,
  isThere,
  pathOf,
  replaced,
  survey,
  unlessTaken,
} from './folder.ts';
import { setAttributes } from './part.ts';
import { NO_FOLLOW, ONLY_FOLDERS } from './platform.ts';
import type { Staging } from './staging.ts';
import type { Syncs } from './sync.ts';

export interface LandingOptions {
  readonly platform: Platform;
  /** Permissions that nothing gets, whatever its sender says. */
  readonly umask: number;
  /** The name for the first file, instead of the offered one. */
  readonly as: string | undefined;
  /** Memory for what is held until the end, in bytes: folders, links, and files that got another name. */
  readonly memory: number;
}

/**
 * Where the entries of one transfer land: in which folder, under which name. Makes the folders
 * at once and the links last of all.
 */
export class Landing {
  readonly #target: Folder;
  readonly #staging: Staging;
  readonly #syncs: Syncs;
  readonly #platform: Platform;
  readonly #umask: number;
  readonly #as: string | undefined;
  /** The path of the file that gets the name `#as`. */
  #asPath: string | undefined;
  readonly #root: Place;
  /** By their offered paths, each after the one that it lies in. */
  readonly #places = new Map<string, OfferedPlace>();
  /** By their offered paths, folders that are only needed once there is something to go into them. */
  readonly #deferred = new Map<string, FolderEntry>();
  readonly #folderIds = new Set<string>();
  readonly #links = new Map<string, LinkEntry>();
  /** Where files were found that are stored already, and one of them each. */
  readonly #recognised = new Map<string, string>();
  /** What landed under another name than it was offered under: where, and as what it was offered. */
  readonly #claimed = new Map<string, string>();
  /** For each folder that we made, that it will be found after a power cut. */
  readonly #anchors = new Map<Folder, Promise<void>>();
  /** What is left for what is held until the end, in bytes, and of how much. */
  #memory: number;
  readonly #memoryInAll: number;

  constructor(target: Folder, staging: Staging, syncs: Syncs, options: LandingOptions) {
    this.#target = target;
    this.#root = { folder: target, twin: undefined };
    this.#staging = staging;
    this.#syncs = syncs;
    this.#platform = options.platform;
    this.#umask = options.umask;
    this.#as = options.as;
    this.#memory = this.#memoryInAll = options.memory;
  }

  /** What is taken of the memory, in bytes. */
  get memory(): number {
    return this.#memoryInAll - this.#memory;
  }

  /** Whether something is there under a name that one of these roots may get or may have had. */
  async isTaken(roots: readonly string[]): Promise<boolean> {
    for (const [i, root] of roots.entries()) {
      if (i % LOOKS === LOOKS - 1) await setImmediate();
      if (this.#mayBeThere(this.#safe(root, true), this.#safe(root, false))) return true;
    }
    return this.#as !== undefined && this.#mayBeThere(this.#as);
  }

  /** Makes a folder, or takes the one that is there: folders of one name are merged. */
  placeFolder(entry: FolderEntry): void {
    if (this.#places.has(entry.path)) return;
    // Whoever goes on without it remembers it, too; so it counts before anything can fail.
    if (!this.#deferred.has(entry.path)) this.#remember(entry.path);
    const parent = this.#placeOf(entry);
    const twin = this.#twinOf(entry, parent);
    if (twin !== undefined) this.#memory -= 2 * twin.length;
    const place: OfferedPlace = { entry, folder: undefined, twin };
    // It is not needed if all that it holds proves to be in the twin.
    if (twin === undefined || this.#isThere(entry, parent)) this.#make(place);
    this.#places.set(entry.path, place);
    this.#deferred.delete(entry.path);
  }

  /** As `placeFolder`, once something in it is placed. Without memory for it nothing can be. */
  deferFolder(entry: FolderEntry): void {
    if (this.#memory <= 0 || this.#places.has(entry.path)) return;
    this.#remember(entry.path);
    this.#deferred.set(entry.path, entry);
  }

  placeLink(entry: LinkEntry): void {
    this.#placeOf(entry);
    this.#remember(entry.path, entry.target);
    this.#links.set(entry.path, entry);
  }

  /** Settles which file gets the name that was said here. */
  placeFile(entry: DataEntry): void {
    this.#placeOf(entry);
    if (this.#as !== undefined) this.#asPath ??= entry.path;
  }

  /**
   * The folder that an entry lies in, and the name that it gets if that is free. Throws like
   * `ensureClaimable`.
   */
  where(entry: Entry): { folder: Folder; name: string; asOffered: boolean } {
    const folder = this.#folderOf(entry);
    const name = this.#nameIn(folder, entry);
    this.ensureClaimable(name, entry);
    const asOffered = name === nameOf(entry.path) || entry.path === this.#asPath;
    return { folder, name, asOffered };
  }

  /** What has the name that an entry gets, if there is anything. */
  inTheWay(entry: Entry): Found | undefined {
    const { folder } = this.#placeOf(entry);
    return folder && this.#look(folder, this.#nameIn(folder, entry))[0];
  }

  /** Whether it goes into a folder that was not there before this transfer. */
  isNewGround(entry: Entry): boolean {
    const { folder, twin } = this.#placeOf(entry);
    return folder?.isNew === true && twin === undefined;
  }

  /**
   * What an earlier transfer of the same entry may have stored, the likeliest first: under its
   * name, and if that is taken, also under the numbered ones.
   */
  lookAround(entry: Entry, numbered = true): Found[] {
    if (this.isNewGround(entry)) return [];
    const { folder, twin } = this.#placeOf(entry);
    const found: Found[] = [];
    const upTo = numbered ? undefined : 1;
    const named = entry.path === this.#asPath ? this.#as : undefined;
    const offered = named ?? this.#safe(nameOf(entry.path), false);
    if (folder !== undefined) {
      const name = this.#nameIn(folder, entry);
      found.push(...this.#look(folder, name).slice(0, upTo));
      // Only to compare it, it may be one that we would not make.
      if (name !== offered) found.push(...this.#look(folder, offered).slice(0, upTo));
    }
    if (twin !== undefined) found.push(...survey(twin, offered).there.slice(0, upTo));
    return found;
  }

  /** An entry is stored already; but a crash may have come before that was durable. */
  recognise({ path }: Entry, found: Found): void {
    this.#recognised.set(dirname(found.path), path);
  }

  /**
   * An entry lies at this path. If that is not its own name, another one that has it by right must
   * neither be taken for this one nor be put in its place. Throws `too-many` where there is no memory
   * for that.
   */
  claim(path: string, entry: Entry): void {
    if (isNamed(path, entry) || this.#claimed.has(path)) return;
    this.#remember(entry.path, path);
    this.#claimed.set(path, entry.path);
  }

  /** Throws `too-many` if a file of that name could not be claimed: then it must not get it. */
  ensureClaimable(name: string, { path }: Entry): void {
    if (name !== nameOf(path)) this.#ensureMemory(path);
  }

  /** Whether another entry of this transfer lies there under a name that is not its own. */
  isClaimed(path: string, entry: Entry): boolean {
    const by = this.#claimed.get(path);
    return by !== undefined && by !== entry.path;
  }

  /** Whether a path is what was offered, and not another one that had to be taken instead. */
  isRenamed(path: string, entry: Entry): boolean {
    const base = this.#target.name;
    const offered = sep === '/' ? entry.path : entry.path.replaceAll('/', sep);
    return path !== (base.endsWith(sep) ? base + offered : base + sep + offered);
  }

  /** A name in a folder that we made lasts only if the folder's own name does. */
  anchor(folder: Folder): Promise<void> {
    const { made, parent } = folder;
    if (made === undefined || parent === undefined) return Promise.resolve();
    let anchor = this.#anchors.get(folder);
    if (anchor === undefined) {
      const both = Promise.all([this.#syncs.folder(pathOf(parent)), this.anchor(parent)]);
      anchor = both.then(() => {});
      this.#anchors.set(folder, anchor);
      // There may have been no handles left just then: the next file tries it again.
      anchor.catch(() => this.#anchors.delete(folder));
    }
    return anchor;
  }

  /** Makes the links, sets the times and modes of the folders, and makes it all durable. */
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
    for (const link of this.#links.values()) {
      await attempt(link.path, () => {
        if (!this.#isLinked(link)) touched.set(this.#makeLink(link), link.path);
        this.#links.delete(link.path); // It may be asked to finish once more.
      });
      await setImmediate(); // There may be very many, and the peer wants a sign of life.
    }
    for (const [path, { folder }] of this.#places) {
      if (folder?.made === undefined) continue;
      touched.set(folder, path);
      const parent = folder.parent as Folder;
      if (!touched.has(parent)) touched.set(parent, path);
    }
    const ahead = touched.entries();
    const known = this.#recognised.entries();
    const work = async (): Promise<void> => {
      for (const [folder, path] of ahead) {
        const { made } = folder;
        if (made !== undefined) await attempt(path, () => this.#finishFolder(folder, made));
        await attempt(path, () => this.#syncs.folder(pathOf(folder)));
      }
      for (const [base, path] of known) await attempt(path, () => this.#syncs.folder(base));
    };
    await Promise.all(Array.from({ length: FINISHING }, work));
    return Array.from(failures, ([path, code]) => ({ path, code }));
  }

  /** What cannot be looked at, as its name is too long for this disk, fails when it is placed. */
  #mayBeThere(...names: readonly string[]): boolean {
    try {
      return names.some((name) => isThere(join(this.#target.name, name)));
    } catch (error) {
      if (isSystemError(error)) return true;
      throw error;
    }
  }

  #look(folder: Folder, name: string): Found[] {
    const base = pathOf(folder);
    const { there } = survey(base, name);
    return there.length > 0 && idOf(base) === folder.id ? there : [];
  }

  #placeOf({ path }: Entry): Place {
    const parent = parentOf(path);
    const deferred = this.#deferred.get(parent);
    if (deferred !== undefined) this.placeFolder(deferred);
    const place = parent === '' ? this.#root : this.#places.get(parent);
    // It may have been offered when there was no memory left for it.
    if (place === undefined)
      throw new DropError(this.#memory > 0 ? 'protocol' : 'too-many', { path });
    return place;
  }

  #folderOf(entry: Entry): Folder {
    const place = this.#placeOf(entry);
    return place.folder ?? this.#make(place as OfferedPlace);
  }

  #make(place: OfferedPlace): Folder {
    const { entry } = place;
    const parent = this.#folderOf(entry);
    const mode = (entry.mode ?? 0o777) | OWN_WAY_IN;
    place.folder = firstFree(parent, this.#nameIn(parent, entry), (path, name) => {
      if (!isThere(path)) this.#staging.making(entry.path);
      const made = unlessTaken(() => mkdirSync(path, { mode }));
      const id = idOf(path);
      // Two that were offered apart stay apart, even where `A` and `a` are one name.
      if (id === undefined || (!made && this.#folderIds.has(id))) return undefined;
      this.#folderIds.add(id);
      if (made) this.#staging.made(entry.path, id);
      const ours = made || this.#staging.wasMade(entry.path, id, () => isEmpty(path));
      return { parent, name, id, made: ours ? entry : undefined, isNew: made };
    });
    return place.folder;
  }

  /**
   * A folder that is there under the very name that was offered, where ours gets another one. An
   * earlier transfer may have made it when there was nothing yet to be careful about.
   */
  #twinOf({ path }: FolderEntry, { folder, twin }: Place): string | undefined {
    const name = this.#safe(nameOf(path), false);
    const bases = twin === undefined ? [] : [twin];
    if (folder !== undefined && this.#safe(name, isCareful(folder)) !== name)
      bases.push(pathOf(folder));
    return bases.map((base) => join(base, name)).find((found) => idOf(found) !== undefined);
  }

  #isThere(entry: FolderEntry, { folder }: Place): boolean {
    if (folder === undefined) return false;
    return idOf(join(pathOf(folder), this.#nameIn(folder, entry))) !== undefined;
  }

  /** Returns the folder that it was made in. */
  #makeLink(entry: LinkEntry): Folder {
    const target = this.#targetOf(entry);
    const folder = this.#folderOf(entry);
    firstFree(folder, this.#nameIn(folder, entry), (path) =>
      unlessTaken(() => symlinkSync(target, path)) ? path : undefined,
    );
    return folder;
  }

  /** Whether an earlier transfer made the same link. */
  #isLinked(entry: LinkEntry): boolean {
    const offered = entry.target.split('/').map((name) => this.#safeInLink(name, false));
    const targets = [this.#targetOf(entry), offered.join('/')];
    return this.lookAround(entry).some(
      ({ path, stats }) => stats.isSymbolicLink() && targets.includes(readlinkSync(path)),
    );
  }

  /** What a link points to got its names by the same rules. */
  #targetOf({ path, target }: LinkEntry): string {
    let at = parentOf(path);
    const names = target.split('/').map((name) => {
      const folder = this.#places.get(at)?.folder;
      if (name === '..') at = parentOf(at);
      if (!isName(name)) return name;
      // Beyond what is not a folder of this transfer there is none either.
      if (folder !== undefined) at = `${at}/${name}`;
      return this.#safeInLink(name, folder !== undefined && isCareful(folder));
    });
    return names.join('/');
  }

  #safeInLink(name: string, careful: boolean): string {
    return isName(name) ? this.#safe(name, careful) : name;
  }

  #finishFolder(folder: Folder, { mode = 0o777, mtime }: FolderEntry): void {
    const handle = openSync(pathOf(folder), constants.O_RDONLY | ONLY_FOLDERS | NO_FOLLOW);
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

  #nameIn(folder: Folder, { path }: Entry): string {
    if (this.#as !== undefined && path === this.#asPath) return this.#as;
    return this.#safe(nameOf(path), isCareful(folder));
  }

  #safe(name: string, careful: boolean): string {
    return safeName(name, { platform: this.#platform, top: careful });
  }

  /** Takes from the memory what is needed until the end. What cannot be made counts all the same. */
  #remember(path: string, more = ''): void {
    this.#ensureMemory(path);
    this.#memory -= REMEMBERED + 2 * (path.length + more.length);
  }

  #ensureMemory(path: string): void {
    if (this.#memory <= 0) throw new DropError('too-many', { path });
  }
}

/** A folder that things are offered in. */
interface Place {
  /** Where they land; undefined as long as nothing has. */
  readonly folder: Folder | undefined;
  /** Where they may lie already, which is all that it is looked at for. */
  readonly twin: string | undefined;
}

interface OfferedPlace extends Place {
  readonly entry: FolderEntry;
  folder: Folder | undefined;
}

/** Whether a name that begins with a dot may be one that a person's tools obey: `.git/hooks`. */
function isCareful(folder: Folder): boolean {
  return folder.made === undefined;
}

/** Whether what lies at a path has the very name that an entry was offered under. */
export function isNamed(path: string, entry: Entry): boolean {
  return basename(path) === nameOf(entry.path);
}

function isEmpty(folder: string): boolean {
  const there = opendirSync(folder);
  try {
    return there.readSync() === null;
  } finally {
    there.closeSync();
  }
}

/** What the owner keeps in any folder: there are files to be put into it, and to be removed. */
const OWN_WAY_IN = 0o700;

/** What a folder takes beside its path, as measured. Texts take at most two bytes a UTF-16 unit. */
const REMEMBERED = 400;

/** Folders that are finished at once; more would not make the disk any faster. */
const FINISHING = 16;

/** Looks between two moments in which others get their turn. */
const LOOKS = 256;
