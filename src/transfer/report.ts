import type { ErrorCode } from '../errors.ts';
import type { FileEntry } from '../protocol/manifest.ts';
import type { SkipReason } from '../protocol/message.ts';

/** What happens in a transfer, as both stories tell it to whoever holds them. */
export type Report =
  /** Files and their bytes offered so far, and whether that is all. */
  | {
      readonly type: 'offered';
      readonly files: number;
      readonly bytes: number;
      readonly final: boolean;
    }
  | { readonly type: 'accepted'; readonly transfer: string }
  /** A file is on its way, its first `from` bytes being there already. */
  | { readonly type: 'started'; readonly file: FileEntry; readonly from: number }
  | { readonly type: 'moved'; readonly bytes: number }
  | {
      readonly type: 'stored';
      readonly file: FileEntry;
      readonly digest: Uint8Array;
      /** The receiver knows where it lies, and whether it had to get another name. */
      readonly where?: { readonly path: string; readonly renamed: boolean };
    }
  /** A file that needs not be sent. */
  | { readonly type: 'skipped'; readonly file: FileEntry; readonly reason: SkipReason }
  /** A socket, device or the like, which cannot be sent. */
  | { readonly type: 'ignored'; readonly path: string }
  | { readonly type: 'failed'; readonly path: string; readonly code: ErrorCode }
  /** Links and times of folders that the receiver could not keep. */
  | { readonly type: 'missed'; readonly count: number };

export type Tell = (report: Report) => void;
