import { dirname, join, sep } from 'node:path';
import { DropError, type ErrorCode } from '../errors.ts';
import type { PeerId } from '../events.ts';
import { INBOX_MEMORY, MAX_COMPARED } from '../limits.ts';
import { equal } from '../protocol/bytes.ts';
import { Few } from '../protocol/few.ts';
import {
  type DataEntry,
  type Entry,
  type FileEntry,
  type FolderEntry,
  isName,
} from '../protocol/manifest.ts';
import type { DigestName } from '../protocol/message.ts';
import { type Platform, safeName } from '../protocol/names.ts';
import type { Inbox, IncomingFile, Placement, Stored, WholeFile } from '../transfer/inbox.ts';
import { Digests } from './digests.ts';
import { diskFailure, STORING } from './failure.ts';
import {
  checked,
  type Folder,
  type Found,
  giveName,
  idOf,
  isSpelled,
  MAX_TRIES,
  pathOf,
  survey,
  takeName,
} from './folder.ts';
import { Handles } from './handles.ts';
import { Hashers } from './hashers.ts';
import { isNamed, Landing } from './landing.ts';
import type { Mark } from './mark.ts';
import { timeOf } from './offered.ts';
import { type Attributes, Part, PartPool, removeOwn, type Start, storedTime } from './part.ts';
import { platformHere } from './platform.ts';
import type { Staging, Stagings } from './staging.ts';
import { isInMemory, Syncs } from './sync.ts';
import { openTarget, roomIn } from './target.ts';
import { Whole } from './whole.ts';

/** What becomes of a file whose name is taken by one of other content. */
export type OnConflict = 'rename' | 'skip' | 'overwrite' | 'newer';

export interface InboxOptions {
  /** Who sends. */
  readonly peer: PeerId;
  readonly stagings: Stagings;
  /** What is offered, as far as the names at the top tell. */
  readonly roots: readonly string[];
  /** Whether files are compared by their content, whatever their sizes and times say. */
  readonly checksum?: boolean | undefined;
  readonly onConflict?: OnConflict | undefined;
  readonly platform?: Platform | undefined;
  /** Permissions that nothing gets, whatever its sender says. */
  readonly umask?: number | undefined;
  /** Whether files may be such that the system runs them; true by default. */
  readonly programs?: boolean | undefined;
  /** The name for the first file, instead of the offered one. */
  readonly as?: string | undefined;
  /** Marks each file as one of somebody else. */
  readonly mark?: Mark | undefined;
  /** Memory for folders, links, and files that get another name, in bytes. */
  readonly memory?: number | undefined;
  readonly hashers?: Hashers | undefined;
  /** The name of the folder in `folder` that all of it goes into, which is made if need be. */
  readonly inside?: string | undefined;
}

/**
 * Opens `folder` for one transfer, and makes it if what it lies in is there. Throws `missing`,
 * `exists`, `not-permitted` or `disk-full` if nothing can be stored in it.
 */
export async function openInbox(
  folder: string,
  {
    peer,
    stagings,
    roots,
    checksum = false,
    onConflict = 'rename',
    platform = platformHere(),
    umask = process.umask(),
    programs = true,
    as,
    mark,
    memory = INBOX_MEMORY,
    hashers = new Hashers(),
    inside,
  }: InboxOptions,
): Promise<Inbox> {
  checkFilename(as, platform);
  try {
    const target = await openTarget(folder, inside);
    const inMemory = await isInMemory(target.name);
    // From here on nothing fails that would leave it claimed.
    const staging = await stagings.claim(target.name, peer);
    const handles = new Handles();
    const syncs = new Syncs(handles, { inMemory });
    const landing = new Landing(target, staging, syncs, { platform, umask, as, memory });
    const fresh = staging.isNew && !(await landing.isTaken(roots));
    return new DiskInbox(target, staging, landing, syncs, handles, {
      modes: (programs ? 0o777 : 0o666) & ~umask,
      checksum,
      onConflict,
      mark,
      fresh,
      hashers,
    });
  } catch (error) {
    throw diskFailure(error, folder);
  }
}

/** Throws `usage` if no file can be saved under the name. */
export function checkFilename(as: string | undefined, platform = platformHere()): void {
  if (as === undefined || (isName(as) && safeName(as, { platform, top: false }) === as)) return;
  throw new DropError('usage', {
    message: 'No file can be saved under this name.',
    hint: 'It is the name of a file, without a folder.',
    path: as,
  });
}

/** The options, decided. */
interface Settings {
  /** The permissions that a file may get. */
  readonly modes: number;
  readonly checksum: boolean;
  readonly onConflict: OnConflict;
  readonly mark: Mark | undefined;
  readonly fresh: boolean;
  readonly hashers: Hashers;
}

class DiskInbox implements Inbox {
  readonly fresh: boolean;
  readonly #target: Folder;
  readonly #staging: Staging;
  readonly #landing: Landing;
  readonly #syncs: Syncs;
  readonly #modes: number;
  readonly #checksum: boolean;
  readonly #onConflict: OnConflict;
  readonly #mark: Mark | undefined;
  readonly #digests: Digests;
  readonly #pool: PartPool;
  readonly #parts = new Few<Part>();
  /** What is in the parts that were read, or left by this transfer. */
  readonly #starts = new Map<string, Start>();
  readonly #commits = new Few<Promise<unknown>>();
  /** When this transfer began, as the system tells the time. */
  readonly #since = Date.now();
  #digest: DigestName = 'sha256';
  #closing: Promise<void> | undefined;

  constructor(
    target: Folder,
    staging: Staging,
    landing: Landing,
    syncs: Syncs,
    handles: Handles,
    { modes, checksum, onConflict, mark, fresh, hashers }: Settings,
  ) {
    this.#target = target;
    this.#staging = staging;
    staging.onGone = (part) => void this.#starts.delete(part);
    this.#landing = landing;
    this.#syncs = syncs;
    this.#digests = new Digests(handles, hashers);
    this.#pool = new PartPool(handles, syncs, hashers);
    this.#modes = modes;
    this.#checksum = checksum;
    this.#onConflict = onConflict;
    this.#mark = mark;
    this.fresh = fresh;
  }

  connected(digest: DigestName): void {
    // Hashes of another kind cannot go on; what they were of is read again.
    if (digest !== this.#digest) this.#starts.clear();
    this.#digest = digest;
  }

  get memory(): number {
    return this.#landing.memory + this.#staging.memory + START_MEMORY * this.#starts.size;
  }

  async room(): Promise<number> {
    return roomIn(this.#target.name).catch((error) => {
      throw this.#isGone() ? this.#gone(error) : error;
    });
  }

  place(
    entry: Entry,
    digest: () => Promise<Uint8Array | null>,
    gone?: AbortSignal,
  ): Placement | Promise<Placement> {
    const explain = (error: unknown): never => {
      throw this.#explained(error, entry.path);
    };
    try {
      switch (entry.kind) {
        case 'folder':
          this.#landing.placeFolder(entry);
          return { want: 'placed' };
        case 'link':
          this.#landing.placeLink(entry);
          return { want: 'placed' };
        default:
          this.#landing.placeFile(entry);
          if (this.#isNew(entry)) return { want: 'all' };
          return this.#placeData(entry, digest, gone).catch(explain);
      }
    } catch (error) {
      return explain(error);
    }
  }

  defer(folder: FolderEntry): void {
    this.#landing.deferFolder(folder);
  }

  storeTogether(files: readonly WholeFile[]): Promise<(Stored | DropError)[]> {
    return this.#committing(this.#storeTogether(files));
  }

  async open(entry: DataEntry, from: number): Promise<IncomingFile> {
    const part = from > 0 ? this.#goOn(entry, from) : this.#begin(entry);
    this.#parts.add(part);
    const explain = (error: unknown): never => {
      throw this.#explained(error, entry.path);
    };
    return {
      get written() {
        return part.written;
      },
      write: (bytes) => part.write(bytes).catch(explain),
      commit: (digest) => this.#committing(this.#commit(entry, part, digest)).catch(explain),
      keep: () => this.#keep(part),
      discard: () => this.#discard(part).catch(explain),
    };
  }

  async finish(): Promise<{ path: string; code: ErrorCode }[]> {
    const missed = await this.#landing.finish();
    if (missed.length > 0 && this.#isGone()) throw this.#gone();
    this.#staging.finish();
    return missed;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#commits);
    await Promise.all(Array.from(this.#parts, (part) => this.#keep(part)));
    this.#staging.close();
  }

  /** Whether nothing of it can be here, nor anything in its way that would have to be looked at. */
  #isNew(entry: DataEntry): boolean {
    return (
      (this.#onConflict === 'rename' || this.#onConflict === 'overwrite') &&
      this.#landing.isNewGround(entry) &&
      this.#staging.partsOf(entry).length === 0
    );
  }

  async #placeData(
    entry: DataEntry,
    digest: () => Promise<Uint8Array | null>,
    gone?: AbortSignal,
  ): Promise<Placement> {
    const reason = entry.kind === 'file' ? await this.#isHere(entry, digest, gone) : undefined;
    if (reason !== undefined) {
      this.#staging.drop(entry);
      return { want: 'nothing', reason };
    }
    if (this.#isConflict(entry)) return { want: 'nothing', reason: 'conflict' };
    const start = await this.#startOf(entry, gone);
    if (start === undefined) return { want: 'all' };
    return { want: 'rest', size: start.size, digest: start.hash.soFar() };
  }

  /**
   * Whether a file is here already. Size and time are enough only for one of its very name: many
   * files have both in common. And not for one that came here meanwhile, from somebody else: two
   * people may send the same template, filled in.
   */
  async #isHere(
    entry: FileEntry,
    digest: () => Promise<Uint8Array | null>,
    gone?: AbortSignal,
  ): Promise<'unchanged' | 'identical' | undefined> {
    const all = this.#landing
      .lookAround(entry, !this.#replaces)
      .filter((found) => isAlike(found, entry.size) && !this.#landing.isClaimed(found.path, entry));
    if (all.length === 0) return undefined;
    const [sameTime, others] = partition(
      all,
      ({ stats }) => timeOf(stats) === storedTime(entry.mtime),
    );
    const unchanged = sameTime.find(
      ({ path, stats }) => isNamed(path, entry) && stats.ctimeMs < this.#since,
    );
    if (unchanged !== undefined && !this.#checksum) {
      this.#landing.recognise(entry, unchanged);
      return 'unchanged';
    }
    const alike = [...sameTime, ...others].slice(0, MAX_COMPARED);
    const ours = alike.map(({ path }) => this.#digests.of(path, this.#digest, gone));
    const [theirs, ...digests] = await Promise.all([digest(), ...ours]);
    const same = alike.find((_, i) => {
      const found = digests[i];
      return theirs && found && equal(found, theirs);
    });
    if (same === undefined) return undefined;
    this.#landing.recognise(entry, same);
    this.#landing.claim(same.path, entry);
    return 'identical';
  }

  #isConflict(entry: DataEntry): boolean {
    if (this.#onConflict !== 'skip' && this.#onConflict !== 'newer') return false;
    const found = this.#landing.inTheWay(entry);
    if (found === undefined || this.#landing.isClaimed(found.path, entry)) return false;
    return this.#onConflict === 'skip' || !isNewer(entry, found);
  }

  /** Whether a file may take the place of another one. */
  get #replaces(): boolean {
    return this.#onConflict === 'overwrite' || this.#onConflict === 'newer';
  }

  /** The start of a file that lies here from a broken transfer. */
  async #startOf(entry: DataEntry, gone?: AbortSignal): Promise<Start | undefined> {
    const most = entry.kind === 'file' ? entry.size : Number.POSITIVE_INFINITY;
    for (const path of this.#staging.partsOf(entry)) {
      const start =
        this.#starts.get(path) ?? (await this.#digests.startOf(path, most, this.#digest, gone));
      if (start === undefined) continue;
      this.#starts.set(path, start);
      return start;
    }
    return undefined;
  }

  #begin(entry: DataEntry): Part {
    const path = this.#staging.begin(entry);
    this.#starts.delete(path);
    return new Part(path, this.#pool, this.#digest);
  }

  #goOn(entry: DataEntry, from: number): Part {
    for (const path of this.#staging.partsOf(entry)) {
      const start = this.#starts.get(path);
      if (start?.size !== from) continue;
      this.#starts.delete(path);
      this.#staging.resume(path);
      return new Part(path, this.#pool, this.#digest, start);
    }
    throw new DropError('protocol', { path: entry.path });
  }

  async #keep(part: Part): Promise<void> {
    if (!this.#staging.mayKeep(part.path)) return this.#discard(part);
    if (!this.#parts.delete(part)) return;
    const start = await part.keep();
    if (start !== undefined) this.#starts.set(part.path, start);
    this.#staging.end(part.path, part.written > 0);
  }

  async #discard(part: Part): Promise<void> {
    if (!this.#parts.delete(part)) return;
    await part.discard();
    this.#staging.end(part.path, false);
  }

  /** What went wrong with one entry; or with all, if the folder that all goes into is gone. */
  #explained(error: unknown, path: string): unknown {
    const failure = diskFailure(error, path, STORING);
    const mayBeGone = failure instanceof DropError && failure.code === 'disk';
    return mayBeGone && this.#isGone() ? this.#gone(error) : failure;
  }

  /** What went wrong with one file; anything else is not for it. */
  #failureOf(error: unknown, { path }: DataEntry): DropError {
    const failure = this.#explained(error, path);
    if (failure instanceof DropError) return failure;
    throw failure;
  }

  #isGone(): boolean {
    return idOf(this.#target.name) !== this.#target.id;
  }

  #gone(cause?: unknown): DropError {
    const message = `The folder ${this.#target.name} was moved, removed or replaced.`;
    return new DropError('folder-gone', { message, cause });
  }

  /** Whatever ends this inbox waits until that is over. */
  #committing<T>(commit: Promise<T>): Promise<T> {
    const over = commit.finally(() => this.#commits.delete(over));
    this.#commits.add(over);
    return over;
  }

  async #commit(entry: DataEntry, part: Part, digest: Uint8Array): Promise<Stored> {
    const same = await part.seal(digest, this.#attributesOf(entry), this.#mark);
    if (!same) throw new DropError('corrupt', { path: entry.path });
    const landed = await this.#land({ entry, path: part.path, size: part.written, digest });
    this.#parts.delete(part);
    this.#staging.end(part.path, false);
    await this.#syncName(landed);
    return this.#storedAt(landed, entry);
  }

  /** Each step is done for all of them before the next, so that what is waited for runs at once. */
  async #storeTogether(files: readonly WholeFile[]): Promise<(Stored | DropError)[]> {
    const { all, rest } = this.#writeTogether(files);
    const mark = this.#mark;
    if (mark) await forEach(all, ({ whole }) => mark(whole.path));
    await forEach(all, ({ whole }) => whole.seal(this.#attributesOf(whole.entry)));
    await this.#landTogether(all);
    if (!this.#syncs.inMemory) await forEach(all, ({ landed }) => this.#syncName(landed as Landed));
    const stored = all.map(({ whole, landed, failure }) =>
      failure === undefined
        ? this.#storedAt(landed as Landed, whole.entry)
        : this.#failureOf(failure, whole.entry),
    );
    return [...stored, ...(await this.#storeLater(rest))];
  }

  /** Writes as many as may be open; the rest must have bytes of its own, as it has to wait. */
  #writeTogether(files: readonly WholeFile[]): { all: Storing[]; rest: readonly WholeFile[] } {
    const all: Storing[] = [];
    for (const [i, file] of files.entries()) {
      const one: Storing = { whole: new Whole(file, this.#staging.whole(), this.#pool) };
      try {
        if (!one.whole.write(file.bytes, this.#digest))
          return { all, rest: files.slice(i).map(owned) };
      } catch (error) {
        fail(one, error);
      }
      all.push(one);
    }
    return { all, rest: [] };
  }

  /** Gives small files their names: most have a folder in common, and names that are free. */
  async #landTogether(all: readonly Storing[]): Promise<void> {
    let inside: Folder | undefined;
    let base = '';
    await forEach(all, (one) => {
      const { whole } = one;
      const { folder, name } = this.#landing.where(whole.entry);
      if (folder !== inside) base = checked(folder);
      inside = folder;
      const path = base.endsWith(sep) ? base + name : base + sep + name;
      if (!giveName(whole.path, path))
        return this.#land(whole).then((landed) => {
          one.landed = landed;
        });
      this.#landing.claim(path, whole.entry);
      this.#staging.drop(whole.entry);
      one.landed = { folder, path };
      return undefined;
    });
  }

  async #storeLater([first, ...rest]: readonly WholeFile[]): Promise<(Stored | DropError)[]> {
    if (first === undefined) return [];
    const { entry, bytes, digest } = first;
    const part = new Part(this.#staging.whole(), this.#pool, this.#digest);
    this.#parts.add(part);
    const storing = part.write(bytes).then(() => this.#commit(entry, part, digest));
    const stored = await storing.catch(async (error: unknown) => {
      await this.#discard(part); // So little is sooner sent again.
      return this.#failureOf(error, entry);
    });
    return [stored, ...(await this.#storeTogether(rest))];
  }

  #attributesOf(entry: DataEntry): Attributes {
    const mode = (entry.mode ?? 0o666) & this.#modes;
    const mtime = entry.kind === 'file' ? entry.mtime : Date.now();
    return { mode, mtime };
  }

  #storedAt({ path }: Landed, entry: DataEntry): Stored {
    return { path, renamed: this.#landing.isRenamed(path, entry) };
  }

  /** Makes the name of a file durable. */
  async #syncName({ path, folder }: Landed): Promise<void> {
    await Promise.all([this.#syncs.folder(dirname(path)), this.#landing.anchor(folder)]);
  }

  /** Gives a finished file its name, whatever is in its way. */
  async #land(file: Finished): Promise<Landed> {
    const { entry } = file;
    const { folder, name, asOffered } = this.#landing.where(entry);
    const replaces = this.#replaces && asOffered && (await this.#replace(file, folder, name));
    const path = replaces ? join(pathOf(folder), name) : await this.#name(file, folder, name);
    this.#staging.drop(entry); // Other broken transfers may have left the start of it, too.
    return { path, folder };
  }

  /** Puts a finished file in the place of what has its name, if that may be. */
  async #replace({ entry, path: from }: Finished, folder: Folder, name: string): Promise<boolean> {
    if (!(await isSpelled(checked(folder), name))) return false;
    const found = this.#landing.inTheWay(entry);
    if (found !== undefined && this.#landing.isClaimed(found.path, entry)) return false;
    if (this.#onConflict === 'newer' && found !== undefined && !isNewer(entry, found)) return false;
    const path = join(checked(folder), name);
    if (!takeName(from, path)) return false;
    this.#landing.claim(path, entry);
    return true;
  }

  /**
   * Gives a finished file its name, or the first that is free; or none, if a file of the same
   * content has one of them already. Others may take the same names meanwhile.
   */
  async #name(file: Finished, folder: Folder, name: string): Promise<string> {
    const { entry, path: from } = file;
    let free = name;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const path = join(checked(folder), free);
      if (giveName(from, path)) {
        this.#landing.claim(path, entry);
        return path;
      }
      const { same, free: next } = await this.#findSame(file, folder, name);
      if (same !== undefined) {
        this.#landing.claim(same, entry);
        await removeOwn(from);
        return same;
      }
      free = next;
      this.#landing.ensureClaimable(free, entry);
    }
    throw new DropError('exists', { path: join(pathOf(folder), name) });
  }

  /** Looks for a file of this content, and for a name that is free. */
  async #findSame(
    { entry, size, digest }: Finished,
    folder: Folder,
    name: string,
  ): Promise<{ same?: string; free: string }> {
    const compared = new Set<string>();
    for (;;) {
      // Each time anew, for there may be more by now.
      const { there, free } = survey(checked(folder), name);
      const next = there.find(
        (found) =>
          isAlike(found, size) &&
          !compared.has(found.path) &&
          !this.#landing.isClaimed(found.path, entry),
      )?.path;
      if (next === undefined || compared.size === MAX_COMPARED) return { free };
      const found = await this.#digests.of(next, this.#digest);
      if (found && equal(found, digest)) return { same: next, free };
      compared.add(next);
    }
  }
}

/** What the hash of what is in a part takes of the memory, as measured. */
const START_MEMORY = 1000;

/** What is written, verified and synced, and where it lies until it has its name. */
interface Finished {
  readonly entry: DataEntry;
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  readonly digest: Uint8Array;
}

/** Where a file has got its name. */
interface Landed {
  readonly path: string;
  readonly folder: Folder;
}

/** One of several small files, and what has become of it. */
interface Storing {
  readonly whole: Whole;
  landed?: Landed;
  /** Whatever it is: what is begun with the others is ended first. */
  failure?: unknown;
}

/** Takes a step with each that has not failed, and waits for those for which that has to be. */
async function forEach(
  all: readonly Storing[],
  step: (one: Storing) => Promise<void> | undefined,
): Promise<void> {
  const waiting: Promise<void>[] = [];
  for (const one of all) {
    if (one.failure !== undefined) continue;
    try {
      const taken = step(one);
      if (taken !== undefined) waiting.push(taken.catch((error) => fail(one, error)));
    } catch (error) {
      fail(one, error);
    }
  }
  if (waiting.length > 0) await Promise.all(waiting);
}

/** So little is sooner sent again. */
function fail(one: Storing, error: unknown): void {
  one.failure = error;
  one.whole.discard();
}

function owned(file: WholeFile): WholeFile {
  return { ...file, bytes: new Uint8Array(file.bytes) };
}

function partition<T>(all: readonly T[], isFirst: (one: T) => boolean): [T[], T[]] {
  return [all.filter(isFirst), all.filter((one) => !isFirst(one))];
}

/** Only a regular file can be what was offered: a link may lead anywhere. */
function isAlike({ stats }: Found, size: number): boolean {
  return stats.isFile() && stats.size === size;
}

function isNewer(entry: DataEntry, { stats }: Found): boolean {
  return entry.kind === 'stream' || storedTime(entry.mtime) > timeOf(stats);
}
