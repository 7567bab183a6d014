import type { DropError, ErrorCode } from '../errors.ts';
import type { DataEntry, Entry, FileEntry, FolderEntry } from '../protocol/manifest.ts';
import type { DigestName, SkipReason } from '../protocol/message.ts';

/** Where files land. */
export interface Inbox {
  /** Whether nothing that was offered can be here already, as a whole or in part. */
  readonly fresh: boolean;

  /** Bytes of memory that it takes to its end. */
  readonly memory: number;

  /** A connection begins, in which files are told by this; before the first by SHA-256. */
  connected(digest: DigestName): void;

  /** Bytes that may still be stored here, the reserve already taken off. */
  room(): Promise<number>;

  /**
   * Decides where an offered entry goes. A folder is made at once, a link is remembered for
   * `finish`; for a file it says what is wanted of it. Entries come in the order in which they
   * were offered, each folder before what it holds; but several files may be placed at once. It
   * says it at once where nothing has to be waited for, as for each of a million new files.
   * `digest` asks the sender for the digest of the file, null if it cannot tell. Once `gone` is aborted,
   * nobody needs the answer, whatever it is. Throws a `DropError` if this entry cannot be placed; the
   * others are not concerned, unless it is `folder-gone`.
   */
  place(
    entry: Entry,
    digest: () => Promise<Uint8Array | null>,
    gone?: AbortSignal,
  ): Placement | Promise<Placement>;

  /**
   * A folder that nobody wants for itself: it is made once something in it is placed, and never if
   * nothing is.
   */
  defer(folder: FolderEntry): void;

  /**
   * Stores small files that came as a whole, as `open`, `write` and `commit` would, or says why one
   * of them cannot be. Their bytes may be overwritten when it has returned its promise.
   */
  storeTogether(files: readonly WholeFile[]): Promise<readonly (Stored | DropError)[]>;

  /** Begins a file, or goes on after the `from` bytes that `place` has said to be kept of it. */
  open(entry: DataEntry, from: number): Promise<IncomingFile>;

  /**
   * Makes the links and sets the times and modes of the folders, last of all. Returns what it
   * could not do; it never throws for a single entry.
   */
  finish(): Promise<{ path: string; code: ErrorCode }[]>;

  /** Ends it. Safe to call twice, and after `finish`; no file may be open any more. */
  close(): Promise<void>;
}

export type Placement =
  | { readonly want: 'all' }
  /** The start of it lies here from a broken transfer. */
  | { readonly want: 'rest'; readonly size: number; readonly digest: Uint8Array }
  | { readonly want: 'nothing'; readonly reason: Exclude<SkipReason, 'stored' | 'unwanted'> }
  /** A folder or a link: nothing to send. */
  | { readonly want: 'placed' };

/** A small file, all of it. */
export interface WholeFile {
  readonly entry: FileEntry;
  readonly bytes: Uint8Array;
  readonly digest: Uint8Array;
}

/** A file on its way to the disk. Nothing of it is visible under its name before `commit` ends. */
export interface IncomingFile {
  /** How many bytes of it are written, so that they outlive this process. */
  readonly written: number;
  /** Takes the next bytes; they may be overwritten once the promise is fulfilled. */
  write(bytes: Uint8Array): Promise<void>;
  /**
   * Compares all that came with the digest, makes it durable and gives it its name; only then
   * it is stored. Throws `corrupt` if it is not what was sent.
   */
  commit(digest: Uint8Array): Promise<Stored>;
  /**
   * Ends it, and keeps what came, as far as that is possible, for when the same peer offers the
   * same file again. Never throws; safe to call once it has ended in any way.
   */
  keep(): Promise<void>;
  /** Ends it, and removes what came. */
  discard(): Promise<void>;
}

/** A file that is whole, verified, synced and has its name; or a message that is whole and verified. */
export interface Stored {
  /** Where it lies, absolute. */
  readonly path: string;
  /** Whether the name is not the one that was offered. */
  readonly renamed: boolean;
  /** A message that is to be shown, and lies nowhere. */
  readonly text?: string;
}
