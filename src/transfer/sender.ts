import type { ErrorCode } from '../errors.ts';
import type { Entry, FileEntry } from '../protocol/manifest.ts';

/** Files to read. */
export interface Outbox {
  /** The names under which the things to send are offered, no two alike. */
  readonly roots: readonly string[];

  /**
   * Walks everything, each folder before what it holds, reading no further ahead than it is
   * asked. What cannot be offered comes as `Unsendable` and never ends the walk.
   */
  entries(): AsyncIterable<Entry | Unsendable>;

  /**
   * The bytes of a file from `from` on, in blocks of at most `MAX_CHUNK`; in the end the
   * SHA-256 of the whole file, `from` or not. A block may be overwritten once
   * `BLOCKS_IN_FLIGHT` further ones were asked for. Throws `changed` if the file is not the
   * one that was offered or is written to meanwhile, `missing` or `unreadable` otherwise.
   */
  read(entry: FileEntry, from: number): AsyncGenerator<Uint8Array, Uint8Array, undefined>;

  /** The SHA-256 of the first `size` bytes of a file, to see whether a peer kept the same. */
  digest(entry: FileEntry, size: number): Promise<Uint8Array>;
}

/** Something found on the walk that will not be sent, and why. */
export interface Unsendable {
  readonly kind: 'unsendable';
  readonly path: string;
  /** `unsupported`: a socket, device, pipe, or a link that leads outside; only worth a word. */
  readonly reason: 'unsupported' | ErrorCode;
}

/** How many blocks of an outbox may be on their way to the network at once. */
export const BLOCKS_IN_FLIGHT = 3;
