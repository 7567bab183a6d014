import type { Amounts } from '../amounts.ts';
import type { LoanCommands, Wish } from '../loans.ts';

/**
 * What the page at which guests upload and its server tell each other: types alone, which both are
 * compiled with.
 */

/** A line of the stream `GET events?page=PAGE`, each one JSON value; `{}` where nothing happens. */
export type GuestEvent =
  /** The page is known by this from now on. It is the same as before if that is still known. */
  | { readonly event: 'hello'; readonly page: string }
  | Wish
  /** How it stands with what the page brings; it is the latest that counts. */
  | ({ readonly event: 'upload' } & Upload)
  /** The page is closed from here, and need not come back: the command ended, or others have come. */
  | { readonly event: 'bye'; readonly reason: 'ended' | 'crowded' };

/** One upload. Everything in it is fit to be shown. */
export interface Upload extends Amounts {
  /** The loan that is brought. */
  readonly loan: string;
  /** `waiting`: somebody is to agree; `stopped`: it was broken off, and what came is kept. */
  readonly state: 'waiting' | 'running' | 'done' | 'declined' | 'stopped' | 'failed';
  /** Files that were there already. */
  readonly same: number;
  /** Files that did not arrive, and why the first of them. */
  readonly failed: number;
  readonly failures: readonly { readonly path: string; readonly message: string }[];
  /** Why it ended, where that needs a word. */
  readonly message: string;
}

/**
 * What `POST NAME` takes, as JSON, and what comes back: `{}` where nothing is said here. An error
 * comes with status 4xx or 5xx as `{code, message}`.
 */
export interface GuestCommands extends LoanCommands {
  /** Sends what is lent. One at a time. */
  bring: { takes: { readonly page: string; readonly loan: string }; gives: object };
  /** Breaks that off; what is brought after it by then goes on. */
  cancel: { takes: { readonly page: string; readonly loan: string }; gives: object };
}
