import { type Hasher, Hashers } from '../disk/hashers.ts';
import { DropError } from '../errors.ts';
import { MAX_CHUNK, MAX_WHOLE } from '../limits.ts';
import { unlessAborted } from '../meeting/signals.ts';
import { equal } from '../protocol/bytes.ts';
import {
  type DataEntry,
  type Entry,
  type FileEntry,
  isPath,
  parentOf,
  rootOf,
} from '../protocol/manifest.ts';
import { type DigestName, type Kept, OLDEST } from '../protocol/message.ts';
import type { Block, Outbox, Unsendable, Whole } from '../transfer/outbox.ts';
import { BLOCKS_IN_FLIGHT } from '../transfer/outflow.ts';

/**
 * Something that lies elsewhere and can be read from any byte on, in a browser for instance; or a
 * folder, which need not be named if something in it is. Names in `path` are joined with `/`.
 */
export type LentEntry =
  | LentFile
  | {
      readonly kind: 'folder';
      readonly path: string;
    };

export interface LentFile {
  readonly kind: 'file';
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly mtime: number;
  /** Whether it can be read only once, so that it is never read just to be told by its digest. */
  readonly once?: boolean;
  /**
   * Its bytes from there on up to its end, as they are asked for. Throws a `DropError` if they are
   * not to be had. It may be left before the end, and called again.
   */
  read(from: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /**
   * The SHA-256 of its first bytes, where whoever lends it can tell that without handing them over.
   * Throws like `read`. It is believed as the bytes are: whoever tells a wrong one spoils this file.
   */
  digest?(bytes: number, signal: AbortSignal): Promise<Uint8Array>;
}

/** Sends what is lent. Throws `usage` if two of it have the same path. */
export class LentOutbox implements Outbox {
  readonly roots: readonly string[];
  readonly version = OLDEST;
  readonly small = MAX_WHOLE;
  readonly #entries: readonly (Entry | Unsendable)[];
  readonly #files: ReadonlyMap<string, LentFile>;
  readonly #hashers: Hashers;
  #digest: DigestName = 'sha256';

  constructor(lent: readonly LentEntry[], hashers = new Hashers()) {
    const all = entriesOf(lent);
    const files = lent.filter((one): one is LentFile => one.kind === 'file');
    this.#entries = all;
    this.#files = new Map(files.map((file) => [file.path, file]));
    if (this.#files.size < files.length)
      throw new DropError('usage', { message: 'Two of the files have the same path.' });
    const sendable = all.filter(({ kind }) => kind !== 'unsendable');
    this.roots = [...new Set(sendable.map(({ path }) => rootOf(path)))];
    this.#hashers = hashers;
  }

  get digests(): readonly DigestName[] {
    return [...this.#files.values()].some(isTold) ? ['sha256'] : this.#hashers.names;
  }

  connected(digest: DigestName): void {
    this.#digest = digest;
  }

  async *entries(): AsyncGenerator<Entry | Unsendable, void, undefined> {
    yield* this.#entries;
  }

  async *read(
    entry: DataEntry,
    kept: Kept | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<Block, Uint8Array, undefined> {
    const file = this.#fileOf(entry);
    if (kept !== undefined && isTold(file)) {
      const told = await unlessAborted(file.digest(kept.size, signal), signal);
      return yield* equal(told, kept.digest)
        ? this.#rest(file, kept.size, signal)
        : this.#from(file, undefined, signal);
    }
    return yield* this.#from(file, kept, signal);
  }

  /** What follows what is there already, as whoever lends it has told. */
  async *#rest(
    file: ToldFile,
    from: number,
    signal: AbortSignal,
  ): AsyncGenerator<Block, Uint8Array, undefined> {
    const left = new AbortController();
    // The start was never here, so whoever has it tells the whole, too; meanwhile the rest comes.
    const whole = file.digest(file.size, AbortSignal.any([signal, left.signal]));
    whole.catch(() => {});
    const pieces = new Pieces(file, from, signal);
    try {
      yield* blocksOf(file, from, pieces, new Uint8Array(0));
      return await unlessAborted(whole, signal);
    } finally {
      pieces.leave();
      left.abort();
    }
  }

  /** All of it, but for what is kept, if that is its start. */
  async *#from(
    file: LentFile,
    kept: Kept | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<Block, Uint8Array, undefined> {
    let hash = this.#hashers.begin(this.#digest);
    let offset = kept?.size ?? 0;
    let pieces = new Pieces(file, 0, signal);
    try {
      let rest: Uint8Array = new Uint8Array(0);
      for (let at = 0; at < offset; ) {
        const piece = await pieces.next();
        const start = piece.subarray(0, offset - at);
        hash.update(start);
        at += start.length;
        rest = piece.subarray(start.length);
      }
      if (kept !== undefined && !equal(hash.soFar(), kept.digest)) {
        pieces.leave();
        pieces = new Pieces(file, 0, signal);
        hash = this.#hashers.begin(this.#digest);
        offset = 0;
        rest = new Uint8Array(0);
      }
      yield* blocksOf(file, offset, pieces, rest, hash);
      return hash.digest();
    } finally {
      pieces.leave();
    }
  }

  async readTogether(
    files: readonly FileEntry[],
    signal: AbortSignal,
  ): Promise<readonly (Whole | DropError)[]> {
    const all: (Whole | DropError)[] = [];
    for (const file of files) all.push(await this.#readWhole(file, signal));
    return all;
  }

  /** Can be asked for again. */
  arrived(): void {}

  async digest(entry: FileEntry, signal: AbortSignal): Promise<Uint8Array> {
    const file = this.#fileOf(entry);
    if (isTold(file)) return unlessAborted(file.digest(file.size, signal), signal);
    if (file.once) throw new DropError('unreadable', { path: file.path });
    const hash = this.#hashers.begin(this.#digest);
    const pieces = new Pieces(file, 0, signal);
    try {
      for await (const { bytes } of blocksOf(file, 0, pieces, new Uint8Array(0)))
        hash.update(bytes);
      return hash.digest();
    } finally {
      pieces.leave();
    }
  }

  async close(): Promise<void> {}

  async #readWhole(entry: FileEntry, signal: AbortSignal): Promise<Whole | DropError> {
    const file = this.#fileOf(entry);
    const bytes = new Uint8Array(file.size);
    const pieces = new Pieces(file, 0, signal);
    try {
      for (let at = 0; at < bytes.length; ) {
        const piece = await pieces.next();
        if (piece.length > bytes.length - at) return changed(file);
        bytes.set(piece, at);
        at += piece.length;
      }
      return { bytes, digest: this.#hashers.of(this.#digest, bytes) };
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof DropError) return error;
      throw error;
    } finally {
      pieces.leave();
    }
  }

  #fileOf({ path }: DataEntry): LentFile {
    const file = this.#files.get(path);
    if (file === undefined) throw new DropError('missing', { path });
    return file;
  }
}

/** One of which whoever lends it tells what is in it. */
type ToldFile = LentFile & Required<Pick<LentFile, 'digest'>>;

function isTold(file: LentFile): file is ToldFile {
  return file.digest !== undefined;
}

/** A file from there on, up to its end, in blocks; `first` is of its bytes what was taken already. */
async function* blocksOf(
  file: LentFile,
  from: number,
  pieces: Pieces,
  first: Uint8Array,
  hash?: Hasher,
): AsyncGenerator<Block, void, undefined> {
  const blocks = new Blocks();
  let rest = first;
  for (let offset = from; offset < file.size; ) {
    if (rest.length === 0) rest = await pieces.next();
    const most = Math.min(MAX_CHUNK, file.size - offset);
    const { bytes, left } = await blocks.fill(most, rest, () => pieces.next());
    rest = left;
    hash?.update(bytes);
    yield { offset, bytes };
    offset += bytes.length;
  }
  if (rest.length > 0) throw changed(file);
}

/** Memory for blocks, which is used again when it may be overwritten. */
class Blocks {
  readonly #all = Array.from({ length: BLOCKS_IN_FLIGHT + 2 }, () => Buffer.alloc(0));
  #next = 0;

  /** Puts pieces together to a block of `most` bytes. `left` is what of the last one is for the next. */
  async fill(
    most: number,
    first: Uint8Array,
    more: () => Promise<Uint8Array>,
  ): Promise<{ bytes: Uint8Array; left: Uint8Array }> {
    const block = this.#block(most);
    let piece = first;
    for (let filled = 0; ; piece = await more()) {
      const fits = piece.subarray(0, most - filled);
      block.set(fits, filled);
      filled += fits.length;
      if (filled === most)
        return { bytes: block.subarray(0, most), left: piece.subarray(fits.length) };
    }
  }

  #block(size: number): Buffer {
    const at = this.#next++ % this.#all.length;
    let block = this.#all[at] as Buffer;
    if (block.length < size) this.#all[at] = block = Buffer.allocUnsafeSlow(size);
    return block;
  }
}

/** What is read of one file, from there on. Whoever lends it need not care for the signal. */
class Pieces {
  readonly #file: LentFile;
  readonly #pieces: AsyncIterator<Uint8Array>;
  readonly #signal: AbortSignal;
  #stop = (_reason: unknown): void => {};
  readonly #stopped = (): void => this.#stop(this.#signal.reason);

  constructor(file: LentFile, from: number, signal: AbortSignal) {
    this.#file = file;
    this.#pieces = file.read(from, signal)[Symbol.asyncIterator]();
    this.#signal = signal;
    signal.addEventListener('abort', this.#stopped);
  }

  /** The next bytes. Throws `changed` if there are no more. */
  async next(): Promise<Uint8Array> {
    for (;;) {
      this.#signal.throwIfAborted();
      const { value, done } = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        this.#stop = reject;
        this.#pieces.next().then(resolve, reject);
      });
      if (done) throw changed(this.#file);
      if (value.length > 0) return value;
    }
  }

  /** Wants no more. That is not waited for: it may be waiting itself. */
  leave(): void {
    this.#signal.removeEventListener('abort', this.#stopped);
    void this.#pieces.return?.()?.catch(() => {});
  }
}

function changed({ path }: LentFile): DropError {
  return new DropError('changed', { path });
}

/** Each folder before what is in it, also those that only a path names; what is in one together. */
function entriesOf(lent: readonly LentEntry[]): (Entry | Unsendable)[] {
  const mtime = Date.now(); // Nobody tells those of folders.
  const all = new Map<string, Entry | Unsendable>();
  for (const one of lent) {
    const { kind, path } = one;
    if (!isPath(path)) {
      all.set(path, { kind: 'unsendable', path, reason: 'unsafe-name' });
      continue;
    }
    for (let at = parentOf(path); at !== ''; at = parentOf(at))
      if (!all.has(at)) all.set(at, { kind: 'folder', path: at, mtime });
    if (kind === 'file') all.set(path, { kind, path, size: one.size, mtime: one.mtime });
    else if (!all.has(path)) all.set(path, { kind, path, mtime });
  }
  // A slash comes before whatever else a name may go on with.
  const keyed = Array.from(
    all.values(),
    (entry) => [entry.path.replaceAll('/', '\0'), entry] as const,
  );
  return keyed.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
}
