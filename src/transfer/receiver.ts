import type { ErrorCode } from '../errors.ts';
import type { Entry, FileEntry } from '../protocol/manifest.ts';

/** Where files land. */
export interface Inbox {
  /** Bytes that may still be stored here, the reserve already taken off. */
  room(): Promise<number>;

  /**
   * Decides where an offered entry goes. A folder is made at once, a link is remembered for
   * `finish`; for a file it says what is wanted of it. Entries come in the order in which they
   * were offered, each folder before what it holds. Throws a `DropError` if this entry cannot
   * be placed; the others are not concerned.
   */
  place(entry: Entry): Promise<Placement>;

  /** Begins a file, or goes on after the `from` bytes that were kept of it. */
  open(entry: FileEntry, from: number): Promise<IncomingFile>;

  /**
   * Makes the links and sets the times and modes of the folders, last of all. Returns what it
   * could not do; it never throws for a single entry.
   */
  finish(): Promise<{ path: string; code: ErrorCode }[]>;

  /** Removes what is not stored. Safe to call twice, and after `finish`. */
  close(): Promise<void>;
}

export type Placement =
  | { readonly want: 'all' }
  /** The verified start of it lies here from a broken transfer. */
  | { readonly want: 'rest'; readonly size: number; readonly digest: Uint8Array }
  | { readonly want: 'nothing'; readonly reason: SkipReason }
  /** A folder or a link: nothing to send. */
  | { readonly want: 'placed' };

export type SkipReason = 'unchanged' | 'identical' | 'conflict';

/** A file on its way to the disk. Nothing of it is visible under its name before `commit` ends. */
export interface IncomingFile {
  /** Takes the next bytes; they may be overwritten once the promise is fulfilled. */
  write(bytes: Uint8Array): Promise<void>;

  /**
   * Gives the file its name, once it is written, synced and equal to `digest` (SHA-256);
   * resolves when the name itself is durable. Throws `corrupt` if it is not equal. Many
   * commits may run at once.
   */
  commit(digest: Uint8Array): Promise<Stored>;

  /** Leaves the file unfinished. */
  discard(): Promise<void>;
}

/** A file that is whole, verified, synced and has its name. */
export interface Stored {
  /** Where it lies, absolute. */
  readonly path: string;
  /** Whether the name is not the one that was offered. */
  readonly renamed: boolean;
}
