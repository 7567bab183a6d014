import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readlinkSync,
  readSync,
  type Stats,
} from 'node:fs';
import { type FileHandle, open, realpath, stat } from 'node:fs/promises';
import { basename, join, sep } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { DropError, type ErrorCode } from '../errors.ts';
import { MAX_CHUNK, MAX_WHOLE } from '../limits.ts';
import { equal } from '../protocol/bytes.ts';
import {
  type DataEntry,
  type Entry,
  type FileEntry,
  isName,
  isPath,
  parentOf,
  rootOf,
  type StreamEntry,
  staysInside,
} from '../protocol/manifest.ts';
import type { DigestName, Kept } from '../protocol/message.ts';
import { numbered, type Platform } from '../protocol/names.ts';
import type { Block, Outbox, Unsendable, Whole } from '../transfer/outbox.ts';
import { BLOCKS_IN_FLIGHT } from '../transfer/outflow.ts';
import { diskFailure, isSystemError } from './failure.ts';
import { type Hasher, Hashers } from './hashers.ts';
import { Listing } from './listing.ts';
import { NO_FOLLOW, NO_WAIT, platformHere } from './platform.ts';
import { Stream } from './stream.ts';

export interface OutboxOptions {
  readonly platform?: Platform | undefined;
  /** One thing more to send: what comes from `source`, offered as a file of this name. */
  readonly stream?:
    | { readonly name: string; readonly source: AsyncIterable<Uint8Array> }
    | undefined;
  readonly hashers?: Hashers | undefined;
  /** Names of what is to be looked at that are held so that they can be sorted. */
  readonly sorted?: number | undefined;
}

/**
 * Opens the files and folders at `paths` for sending. A path that is a link is followed. Throws
 * `missing` or `unreadable`, with the path as it was given, if one of them is not there.
 */
export async function openOutbox(
  paths: readonly string[],
  {
    platform = platformHere(),
    stream,
    hashers = new Hashers(),
    sorted = MAX_SORTED,
  }: OutboxOptions = {},
): Promise<Outbox> {
  if (stream !== undefined && !isName(stream.name))
    throw new DropError('usage', {
      message: 'This cannot be the name of a file.',
      path: stream.name,
    });
  const sources = new Map<string, string>();
  for (const path of paths) {
    const { source, name: given } = await locate(path);
    const name = offered(given || NAME_OF_THE_DISK, platform);
    sources.set(freeName(sources, name), source);
  }
  const settings = { platform, hashers, sorted };
  if (stream === undefined) return new DiskOutbox(sources, undefined, settings);
  const name = freeName(sources, offered(stream.name, platform));
  return new DiskOutbox(sources, new Stream(name, stream.source), settings);
}

class DiskOutbox implements Outbox {
  readonly roots: readonly string[];
  readonly small = MAX_WHOLE;
  /** Where each root lies. */
  readonly #sources: ReadonlyMap<string, string>;
  readonly #stream: Stream | undefined;
  readonly #platform: Platform;
  readonly #hashers: Hashers;
  readonly #sorted: number;
  /** The folders that a walk is in. */
  readonly #entered = new Set<Listing>();
  #digest: DigestName = 'sha256';
  /** The rings that no read is using. */
  readonly #rings: Ring[] = [];
  /** For small files. */
  readonly #wholes = new Ring(MAX_CHUNK);

  constructor(
    sources: ReadonlyMap<string, string>,
    stream: Stream | undefined,
    { platform, hashers, sorted }: { platform: Platform; hashers: Hashers; sorted: number },
  ) {
    this.roots = [...sources.keys(), ...(stream ? [stream.path] : [])];
    this.#sources = sources;
    this.#stream = stream;
    this.#platform = platform;
    this.#hashers = hashers;
    this.#sorted = sorted;
  }

  get digests(): readonly DigestName[] {
    // A stream is hashed once for all connections, and by what can be copied on the way.
    return this.#stream ? ['sha256'] : this.#hashers.names;
  }

  connected(digest: DigestName): void {
    this.#digest = digest;
  }

  async *entries(): AsyncGenerator<Entry | Unsendable, void, undefined> {
    for (const root of this.roots) {
      /** The folders that it is in, each in the one before. */
      const way: Way[] = [];
      let looks = 0;
      try {
        for (let next: Next = root; next !== undefined; next = this.#next(way)) {
          // Among a million sockets there is nothing to offer, and others want their turn.
          if (++looks % LOOKS === 0) await setImmediate();
          const entry = typeof next === 'string' ? this.#look(next) : next;
          yield entry;
          const failure = entry.kind === 'folder' ? this.#enter(entry.path, way) : undefined;
          if (failure !== undefined) yield failure;
        }
      } finally {
        for (const { listing } of way) this.#leave(listing);
      }
    }
  }

  read(
    entry: DataEntry,
    kept: Kept | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<Block, Uint8Array, undefined> {
    if (entry.kind === 'file') return this.#readFile(entry, kept, signal);
    return this.#streamOf(entry).read(kept, signal);
  }

  readTogether(files: readonly FileEntry[]): (Whole | DropError)[] {
    const { block } = this.#wholes;
    this.#wholes.turn();
    let filled = 0;
    const read = files.map((entry) =>
      this.#attempt(entry, () => {
        const bytes = readWhole(entry, this.#sourceOf(entry.path), block.subarray(filled));
        filled += bytes.length;
        return bytes;
      }),
    );
    /** The folder that was looked at last, after all were opened. */
    let inside: string | undefined;
    return files.map((entry, i) => {
      const bytes = read[i] as Uint8Array | DropError;
      if (bytes instanceof DropError) return bytes;
      return this.#attempt(entry, () => {
        const folder = parentOf(entry.path);
        if (folder !== inside) this.#ensureInside(entry.path);
        inside = folder;
        return { bytes, digest: this.#hashers.of(this.#digest, bytes) };
      });
    });
  }

  arrived(entry: DataEntry, offset: number): void {
    if (entry.kind === 'stream') this.#streamOf(entry).arrived(offset);
  }

  async digest(entry: FileEntry, signal: AbortSignal): Promise<Uint8Array> {
    // Not a ring's block: files may be read meanwhile.
    const block = Buffer.allocUnsafe(Math.min(entry.size, MAX_CHUNK));
    try {
      if (entry.size <= MAX_CHUNK)
        return this.#hashers.of(this.#digest, this.#readAtOnce(entry, block));
      const file = await open(this.#sourceOf(entry.path), FLAGS);
      try {
        ensureOffered(entry, await file.stat());
        this.#ensureInside(entry.path);
        const hash = this.#hashers.begin(this.#digest);
        await hashStart(hash, entry, entry.size, file, block, signal);
        ensureOffered(entry, await file.stat());
        return hash.digest();
      } finally {
        await file.close();
      }
    } catch (error) {
      throw diskFailure(error, entry.path, READING);
    }
  }

  async close(): Promise<void> {
    this.#stream?.close();
    for (const listing of this.#entered) this.#leave(listing);
  }

  #look(path: string): Entry | Unsendable {
    if (!isPath(path)) return unsendable(path, 'unsafe-name');
    if (path === this.#stream?.path) return { kind: 'stream', path };
    const source = this.#sourceOf(path);
    try {
      // On a warm disk the call takes a microsecond; to hand it to another thread takes ten.
      const found = lstatSync(source);
      const mtime = timeOf(found);
      const mode = this.#platform === 'windows' ? {} : { mode: found.mode & 0o777 };
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

  #targetOf(source: string): string | undefined {
    const target = decode(readlinkSync(source, 'buffer'));
    if (target === undefined) return undefined;
    return offered(
      this.#platform === 'windows' ? target.replaceAll('\\', '/') : target,
      this.#platform,
    );
  }

  /** Goes into a folder, or says why it cannot. */
  #enter(path: string, way: Way[]): Unsendable | undefined {
    const held = way.reduce((sum, { listing }) => sum + listing.held, 0);
    let listing: Listing | undefined;
    try {
      listing = new Listing(this.#sourceOf(path), Math.max(0, this.#sorted - held));
      this.#ensureInside(path, path);
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
          return `${path}/${offered(text, this.#platform)}`;
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

  /** What reading a file gives, or why it cannot be read. */
  #attempt<T>({ path }: FileEntry, read: () => T): T | DropError {
    try {
      return read();
    } catch (error) {
      const failure = diskFailure(error, path, READING);
      if (failure instanceof DropError) return failure;
      throw failure;
    }
  }

  async *#readFile(
    entry: FileEntry,
    kept: Kept | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<Block, Uint8Array, undefined> {
    const ring = this.#rings.pop() ?? new Ring(PIECE);
    try {
      if (entry.size <= MAX_CHUNK) return yield* this.#readSmall(entry, kept, ring);
      return yield* this.#readLarge(entry, kept, ring, signal);
    } catch (error) {
      throw diskFailure(error, entry.path, READING);
    } finally {
      this.#rings.push(ring);
    }
  }

  async *#readSmall(
    entry: FileEntry,
    kept: Kept | undefined,
    ring: Ring,
  ): AsyncGenerator<Block, Uint8Array, undefined> {
    const all = this.#readAtOnce(entry, ring.block);
    const digest = this.#hashers.of(this.#digest, all);
    const offset = kept && this.#isKept(all.subarray(0, kept.size), kept) ? kept.size : 0;
    if (offset < all.length) {
      ring.turn();
      yield { offset, bytes: all.subarray(offset) };
    }
    return digest;
  }

  /** Whether a start of this length is what the receiver kept. */
  #isKept(start: Uint8Array, { digest }: Kept): boolean {
    return equal(this.#hashers.of(this.#digest, start), digest);
  }

  #readAtOnce(entry: FileEntry, block: Buffer): Uint8Array {
    const bytes = readWhole(entry, this.#sourceOf(entry.path), block);
    this.#ensureInside(entry.path);
    return bytes;
  }

  async *#readLarge(
    entry: FileEntry,
    kept: Kept | undefined,
    ring: Ring,
    signal: AbortSignal,
  ): AsyncGenerator<Block, Uint8Array, undefined> {
    const file = await open(this.#sourceOf(entry.path), FLAGS);
    try {
      ensureOffered(entry, await file.stat());
      this.#ensureInside(entry.path);
      let hash = this.#hashers.begin(this.#digest);
      let offset = kept?.size ?? 0;
      await hashStart(hash, entry, offset, file, ring.block, signal);
      if (kept !== undefined && !equal(hash.soFar(), kept.digest)) {
        hash = this.#hashers.begin(this.#digest);
        offset = 0;
      }
      for await (const bytes of readAhead(entry, file, ring, offset)) {
        hash.update(bytes);
        for (let at = 0; at < bytes.length; at += MAX_CHUNK) {
          const block = bytes.subarray(at, at + MAX_CHUNK);
          yield { offset, bytes: block };
          offset += block.length;
        }
      }
      ensureOffered(entry, await file.stat());
      return hash.digest();
    } finally {
      await file.close();
    }
  }

  /**
   * Throws `changed` if a folder on the way to what was opened is a link by now, which may lead
   * anywhere: whoever may write into what is sent must not have us send what only we may read.
   */
  #ensureInside(path: string, folder = parentOf(path)): void {
    for (let at = folder; at !== ''; at = parentOf(at))
      if (lstatSync(this.#sourceOf(at)).isSymbolicLink()) throw changed({ path });
  }

  #streamOf({ path }: StreamEntry): Stream {
    if (this.#stream?.path !== path) throw new DropError('missing', { path });
    return this.#stream;
  }

  #sourceOf(path: string): string {
    const root = rootOf(path);
    const source = this.#sources.get(root) as string;
    const rest = path.slice(root.length);
    // There is nothing to tidy in either, and to look for it takes longer than the call that follows.
    return sep === '/' && source !== sep ? source + rest : join(source, rest);
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

/**
 * Memory to read into, piece after piece. A piece is used again when two others were: one of these is
 * being read into, and of the other more than `BLOCKS_IN_FLIGHT` blocks were asked for.
 */
class Ring {
  readonly #pieces: Buffer[] = [];
  readonly #size: number;
  #turns = 0;

  constructor(size: number) {
    this.#size = size;
  }

  get block(): Buffer {
    const place = this.#turns % PIECES;
    this.#pieces[place] ??= Buffer.allocUnsafeSlow(this.#size);
    return this.#pieces[place];
  }

  turn(): void {
    this.#turns += 1;
  }
}

const PIECES = 3;

/** Bytes that are read at once: what a system reads ahead, and few times to wait for another thread. */
const PIECE = (BLOCKS_IN_FLIGHT + 1) * MAX_CHUNK;

/** The bytes from `offset` on. While one piece is used, the next is read. */
async function* readAhead(
  entry: FileEntry,
  file: FileHandle,
  ring: Ring,
  offset: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const read = (at: number): Promise<Uint8Array> | undefined => {
    if (at >= entry.size) return undefined;
    const reading = readBlock(entry, file, ring.block, at, entry.size);
    ring.turn();
    reading.catch(() => {}); // It is awaited below.
    return reading;
  };
  let at = offset;
  let next = read(at);
  try {
    while (next !== undefined) {
      const bytes = await next;
      at += bytes.length;
      next = read(at);
      yield bytes;
    }
  } finally {
    // Nobody else may use its memory before.
    await next?.catch(() => {});
  }
}

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

const FLAGS = constants.O_RDONLY | NO_WAIT | NO_FOLLOW;

function timeOf({ mtimeMs }: Stats): number {
  return Math.round(mtimeMs);
}

/** Hashes the first `size` bytes. */
async function hashStart(
  hash: Hasher,
  entry: FileEntry,
  size: number,
  file: FileHandle,
  block: Buffer,
  signal: AbortSignal,
): Promise<void> {
  for (let offset = 0; offset < size; ) {
    signal.throwIfAborted();
    const bytes = await readBlock(entry, file, block, offset, size);
    hash.update(bytes);
    offset += bytes.length;
  }
}

/** The bytes of a file that fits into the block. Without another thread, as in `#look`. */
function readWhole(entry: FileEntry, source: string, block: Buffer): Uint8Array {
  const file = openSync(source, FLAGS);
  try {
    let length = 0;
    while (length < entry.size) {
      const count = readSync(file, block, length, entry.size - length, length);
      if (count === 0) throw changed(entry);
      length += count;
    }
    ensureOffered(entry, fstatSync(file)); // Nobody has seen yet what was read.
    return block.subarray(0, length);
  } finally {
    closeSync(file);
  }
}

async function readBlock(
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

function ensureOffered(entry: FileEntry, found: Stats): void {
  if (!found.isFile() || found.size !== entry.size || timeOf(found) !== entry.mtime)
    throw changed(entry);
}

function changed({ path }: Pick<FileEntry, 'path'>): DropError {
  return new DropError('changed', { path });
}

function unsendable(path: string, reason: Unsendable['reason']): Unsendable {
  return { kind: 'unsendable', path, reason };
}

function unsendableFor(error: unknown, path: string): Unsendable {
  const failure = diskFailure(error, path, READING);
  if (failure instanceof DropError) return unsendable(path, failure.code);
  throw failure;
}

const READING: Readonly<Record<string, ErrorCode>> = {
  EACCES: 'unreadable',
  EPERM: 'unreadable',
  EIO: 'unreadable',
  // It was a file when it was offered, and is a link, a folder or a socket now.
  ELOOP: 'changed',
  EISDIR: 'changed',
  ESPIPE: 'changed',
  ENXIO: 'changed',
};
