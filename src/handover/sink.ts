import { diskFailure } from '../disk/failure.ts';
import type { Hasher, Hashers } from '../disk/hashers.ts';
import { DropError, type ErrorCode } from '../errors.ts';
import { unlessAborted } from '../meeting/signals.ts';
import { equal } from '../protocol/bytes.ts';
import { type DataEntry, type Entry, hasData } from '../protocol/manifest.ts';
import type { DigestName } from '../protocol/message.ts';
import type { Inbox, IncomingFile, Placement, Stored, WholeFile } from '../transfer/inbox.ts';

/**
 * Where the one file of a transfer goes that is not to lie on a disk, standard output for instance.
 * The writer of a web stream is one; of a Node stream, `Writable.toWeb(stream).getWriter()`.
 */
export interface Sink {
  /** Takes the next bytes, which are its own from then on. Fulfilled when it is ready for more. */
  write(bytes: Uint8Array): Promise<unknown>;
  /** Called once all came and is what was sent; only then the sender hears that it is delivered. */
  close?(): Promise<unknown>;
}

/**
 * Writes the one file of a transfer to a sink. What went out cannot be taken back: if the connection
 * is lost, it goes on where it was, and whoever does not go on with the same start has failed.
 */
export class SinkInbox implements Inbox {
  readonly fresh = true;
  readonly #sink: Sink;
  readonly #hashers: Hashers;
  readonly #onClose: (begun: boolean) => void;
  readonly #signal: AbortSignal;
  #digest: DigestName = 'sha256';
  /** The file that it is. */
  #entry: DataEntry | undefined;
  /** Of what went out, and how much that is. */
  #hash: Hasher | undefined;
  #hashedBy: DigestName = 'sha256';
  #written = 0;
  /** It is whole, or nothing can come of it any more. */
  #over = false;
  #closed = false;

  /**
   * `onClose` hears whether anything went out; then nothing else can. The signal ends the waiting for
   * a sink that takes nothing.
   */
  constructor(
    sink: Sink,
    hashers: Hashers,
    onClose: (begun: boolean) => void,
    signal: AbortSignal,
  ) {
    this.#sink = sink;
    this.#hashers = hashers;
    this.#onClose = onClose;
    this.#signal = signal;
  }

  connected(digest: DigestName): void {
    this.#digest = digest;
  }

  get memory(): number {
    return 0;
  }

  async room(): Promise<number> {
    return Number.POSITIVE_INFINITY;
  }

  place(entry: Entry): Placement {
    if (!hasData(entry)) throw new DropError('one-file', { path: entry.path });
    this.#entry ??= entry;
    if (!isSame(this.#entry, entry)) throw new DropError('one-file', { path: entry.path });
    if (this.#written === 0 && !this.#over) return { want: 'all' };
    // It cannot be read again to be told by another digest.
    if (this.#over || this.#hash === undefined || this.#hashedBy !== this.#digest)
      throw new DropError('changed', { path: entry.path });
    return { want: 'rest', size: this.#written, digest: this.#hash.soFar() };
  }

  /** There are no folders in a pipe. */
  defer(): void {}

  /** Nothing of a small file goes out before it is verified. */
  storeTogether(files: readonly WholeFile[]): Promise<(Stored | DropError)[]> {
    return Promise.all(
      files.map(async ({ entry, bytes, digest }) => {
        try {
          if (!equal(this.#hashers.of(this.#digest, bytes), digest))
            throw new DropError('corrupt', { path: entry.path });
          await this.#write(entry, bytes);
          return await this.#close(entry);
        } catch (error) {
          if (error instanceof DropError) return error;
          throw error;
        }
      }),
    );
  }

  async open(entry: DataEntry, from: number): Promise<IncomingFile> {
    // The sender has found that its file does not begin like this.
    if (from !== this.#written || this.#over) throw new DropError('changed', { path: entry.path });
    if (this.#hash === undefined) this.#hashedBy = this.#digest;
    this.#hash ??= this.#hashers.begin(this.#digest);
    const hash = this.#hash;
    const written = (): number => this.#written;
    return {
      get written() {
        return written();
      },
      write: async (bytes) => {
        const writing = this.#write(entry, bytes);
        hash.update(bytes);
        await writing;
      },
      commit: async (digest) => {
        if (!equal(hash.soFar(), digest)) {
          this.#over = true;
          throw new DropError('corrupt', { path: entry.path });
        }
        return this.#close(entry);
      },
      keep: async () => {},
      discard: async () => {
        this.#over ||= this.#written > 0;
      },
    };
  }

  async finish(): Promise<{ path: string; code: ErrorCode }[]> {
    return [];
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#hash?.digest(); // It is there for others then.
    this.#onClose(this.#over || this.#written > 0);
  }

  async #write({ path }: DataEntry, bytes: Uint8Array): Promise<void> {
    try {
      await unlessAborted(this.#sink.write(new Uint8Array(bytes)), this.#signal);
      this.#written += bytes.length;
    } catch (error) {
      throw this.#failed(error, path);
    }
  }

  async #close({ path }: DataEntry): Promise<Stored> {
    this.#over = true;
    try {
      const closing = this.#sink.close?.();
      if (closing !== undefined) await unlessAborted(closing, this.#signal);
      return { path, renamed: false };
    } catch (error) {
      throw this.#failed(error, path);
    }
  }

  /** A sink that failed takes nothing more. */
  #failed(error: unknown, path: string): DropError {
    this.#over = true;
    if (this.#signal.aborted) return new DropError('cancelled');
    const failure = diskFailure(error, path);
    return failure instanceof DropError ? failure : new DropError('disk', { path, cause: failure });
  }
}

/** Whether the sender goes on with what it began. */
function isSame(one: DataEntry, other: DataEntry): boolean {
  if (one.path !== other.path || one.kind !== other.kind) return false;
  if (one.kind === 'stream' || other.kind === 'stream') return true;
  return one.size === other.size && one.mtime === other.mtime;
}
