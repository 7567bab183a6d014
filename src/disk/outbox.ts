import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { DropError } from '../errors.ts';
import { MAX_CHUNK, MAX_WHOLE } from '../limits.ts';
import { equal } from '../protocol/bytes.ts';
import {
  type DataEntry,
  type Entry,
  type FileEntry,
  isName,
  parentOf,
  type StreamEntry,
} from '../protocol/manifest.ts';
import { type DigestName, type Kept, OLDEST } from '../protocol/message.ts';
import type { Block, Outbox, Unsendable, Whole } from '../transfer/outbox.ts';
import { BLOCKS_IN_FLIGHT } from '../transfer/outflow.ts';
import { diskFailure } from './failure.ts';
import { type Hasher, Hashers } from './hashers.ts';
import { changed, ensureOffered, READ_FLAGS, READING, readBlock } from './offered.ts';
import { Stream } from './stream.ts';
import { openTree, type Tree, type TreeOptions } from './tree.ts';

export interface OutboxOptions extends TreeOptions {
  /** One thing more to send: what comes from `source`, offered as a file of this name. */
  readonly stream?:
    | { readonly name: string; readonly source: AsyncIterable<Uint8Array> }
    | undefined;
  readonly hashers?: Hashers | undefined;
}

/** Opens the files and folders at `paths` for sending. Throws like `openTree`. */
export async function openOutbox(
  paths: readonly string[],
  { stream, hashers = new Hashers(), ...options }: OutboxOptions = {},
): Promise<Outbox> {
  if (stream !== undefined && !isName(stream.name))
    throw new DropError('usage', {
      message: 'This cannot be the name of a file.',
      path: stream.name,
    });
  // Until it is read nobody else hears that it failed, which would end this process.
  if (stream?.source instanceof Readable) stream.source.on('error', () => {});
  const tree = await openTree(paths, options);
  if (stream === undefined) return new DiskOutbox(tree, undefined, hashers);
  return new DiskOutbox(tree, new Stream(tree.freeName(stream.name), stream.source), hashers);
}

class DiskOutbox implements Outbox {
  readonly roots: readonly string[];
  readonly version = OLDEST;
  readonly small = MAX_WHOLE;
  readonly #tree: Tree;
  readonly #stream: Stream | undefined;
  readonly #hashers: Hashers;
  #digest: DigestName = 'sha256';
  /** The rings that no read is using. */
  readonly #rings: Ring[] = [];
  /** For small files. */
  readonly #wholes = new Ring(MAX_CHUNK);

  constructor(tree: Tree, stream: Stream | undefined, hashers: Hashers) {
    this.roots = [...tree.roots, ...(stream ? [stream.path] : [])];
    this.#tree = tree;
    this.#stream = stream;
    this.#hashers = hashers;
  }

  get digests(): readonly DigestName[] {
    // A stream is hashed once for all connections, and by what can be copied on the way.
    return this.#stream ? ['sha256'] : this.#hashers.names;
  }

  connected(digest: DigestName): void {
    this.#digest = digest;
  }

  entries(): AsyncGenerator<Entry | Unsendable, void, undefined> {
    // Each entry that is handed on is waited for once more, and there may be a million.
    return this.#stream ? withStream(this.#tree, this.#stream) : this.#tree.entries();
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
        const bytes = readWhole(entry, this.#tree.sourceOf(entry.path), block.subarray(filled));
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
        if (folder !== inside) this.#tree.ensureInside(entry.path);
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
      const file = await open(this.#tree.sourceOf(entry.path), READ_FLAGS);
      try {
        ensureOffered(entry, await file.stat());
        this.#tree.ensureInside(entry.path);
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
    this.#tree.close();
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
    const bytes = readWhole(entry, this.#tree.sourceOf(entry.path), block);
    this.#tree.ensureInside(entry.path);
    return bytes;
  }

  async *#readLarge(
    entry: FileEntry,
    kept: Kept | undefined,
    ring: Ring,
    signal: AbortSignal,
  ): AsyncGenerator<Block, Uint8Array, undefined> {
    const file = await open(this.#tree.sourceOf(entry.path), READ_FLAGS);
    try {
      ensureOffered(entry, await file.stat());
      this.#tree.ensureInside(entry.path);
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

  #streamOf({ path }: StreamEntry): Stream {
    if (this.#stream?.path !== path) throw new DropError('missing', { path });
    return this.#stream;
  }
}

async function* withStream(
  tree: Tree,
  { path }: Stream,
): AsyncGenerator<Entry | Unsendable, void, undefined> {
  yield* tree.entries();
  yield { kind: 'stream', path };
}

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
  const file = openSync(source, READ_FLAGS);
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
