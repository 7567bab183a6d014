import type { ErrorCode } from '../errors.ts';
import type { DataEntry, FileEntry } from '../protocol/manifest.ts';
import type { DigestName, SkipReason } from '../protocol/message.ts';
import type { Stored } from './inbox.ts';

/** What happens in a transfer, as both stories tell it to whoever holds them. */
export type Report =
  /** Files and their bytes offered so far, without those that nobody wants, and whether that is all. */
  | {
      readonly type: 'offered';
      readonly files: number;
      readonly bytes: number;
      /** False if there is a stream among them, of which nobody knows how much it will be. */
      readonly sized: boolean;
      readonly final: boolean;
    }
  /** Told for each connection; the second time it goes on under the yes that it has. */
  | { readonly type: 'accepted'; readonly transfer: string }
  /** The receiver knows nothing of what was sent before: everything is offered anew. */
  | { readonly type: 'restarted' }
  /** So many bytes are kept here of what is wanted, which the sender has to compare first. */
  | { readonly type: 'kept'; readonly bytes: number }
  /** A file is on its way, its first `from` bytes being there already. */
  | { readonly type: 'started'; readonly entry: DataEntry; readonly from: number }
  /**
   * Bytes of the file that was started last, or of `whole`, a small one that needs no start; and how
   * many of the wire they took: fewer where they were packed.
   */
  | {
      readonly type: 'moved';
      readonly bytes: number;
      readonly wire: number;
      readonly whole?: FileEntry;
    }
  /**
   * Nothing is to move from here on, as was said here or there; nor before both have ended that. What
   * is on its way still comes. Another connection begins without, and it is told again.
   */
  | { readonly type: 'paused' | 'resumed'; readonly by: 'here' | 'there' }
  | {
      readonly type: 'stored';
      readonly entry: DataEntry;
      /** Bytes. */
      readonly size: number;
      readonly digest: Uint8Array;
      readonly algorithm: DigestName;
      /** The receiver knows where it lies, or what the message is. */
      readonly where?: Stored;
    }
  /** A file that needs not be sent. */
  | {
      readonly type: 'skipped';
      readonly entry: DataEntry;
      readonly reason: Exclude<SkipReason, 'stored'>;
    }
  /** A socket, device or the like, which cannot be sent. */
  | { readonly type: 'ignored'; readonly path: string }
  | { readonly type: 'failed'; readonly path: string; readonly code: ErrorCode }
  /** Links and times of folders that the receiver could not keep. */
  | { readonly type: 'missed'; readonly count: number };

export type Tell = (report: Report) => void;
