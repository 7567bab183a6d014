import type { DropError, ErrorCode } from '../errors.ts';
import type { DataEntry, Entry, FileEntry } from '../protocol/manifest.ts';
import type { DigestName, Kept } from '../protocol/message.ts';

/** Files to read. */
export interface Outbox {
  /** The names under which the things to send are offered, no two alike. */
  readonly roots: readonly string[];

  /** The version of the protocol that it takes to offer all of it. */
  readonly version: number;

  /** Bytes up to which files are to be read together; at most `MAX_WHOLE`. */
  readonly small: number;

  /** What it can tell files by, best first; SHA-256 is among it. */
  readonly digests: readonly DigestName[];

  /** A connection begins, in which files are told by this; before the first by SHA-256. */
  connected(digest: DigestName): void;

  /**
   * Walks everything, each folder before what it holds, reading no further ahead than it is
   * asked. What cannot be offered comes as `Unsendable` and never ends the walk. It may be
   * walked again, for a receiver that knows nothing of what was offered before.
   */
  entries(): AsyncIterable<Entry | Unsendable>;

  /**
   * The bytes of a file in blocks of at most `MAX_CHUNK`: those after what the receiver kept, if
   * that is the start of it, else all; in the end the digest of the whole file. A block may be
   * overwritten once `BLOCKS_IN_FLIGHT` further ones were asked for. Throws `changed` if the file
   * is not the one that was offered or is written to meanwhile, `missing` or `unreadable`
   * otherwise; `unrepeatable` if a stream would have to be read twice. The signal ends what may
   * take long: to wait for a stream, and to hash what was kept.
   */
  read(
    entry: DataEntry,
    kept: Kept | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<Block, Uint8Array, undefined>;

  /**
   * Small files, at most `MAX_CHUNK` bytes together, each whole with its digest; or why one of them
   * cannot be read, as `read` would throw it. For them it is the single wait, message and
   * write that takes the time: it says it at once where nothing has to be waited for. The bytes are
   * overwritten like a block.
   */
  readTogether(
    files: readonly FileEntry[],
    signal: AbortSignal,
  ): readonly (Whole | DropError)[] | Promise<readonly (Whole | DropError)[]>;

  /** The receiver has so much of a stream, and will not ask for it again. */
  arrived(entry: DataEntry, offset: number): void;

  /** The digest of a whole file. Throws like `read`. */
  digest(entry: FileEntry, signal: AbortSignal): Promise<Uint8Array>;

  /** Ends it: what is still open is closed. */
  close(): Promise<void>;
}

/** Bytes of a file, and where in it they lie. */
export interface Block {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** All bytes of a file. */
export interface Whole {
  readonly bytes: Uint8Array;
  readonly digest: Uint8Array;
}

/** Something found on the walk that will not be sent, and why. */
export interface Unsendable {
  readonly kind: 'unsendable';
  readonly path: string;
  /** `unsupported`: a socket, device, pipe, or a link that leads outside; only worth a word. */
  readonly reason: 'unsupported' | ErrorCode;
}
