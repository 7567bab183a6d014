/**
 * What a page that lends files and its server tell each other: types alone, which both are
 * compiled with.
 */

/** What the server asks of a page. */
export type Wish =
  /** These bytes are wanted: `PUT lend/LOAN/BATCH`, one after the other in one body. */
  | {
      readonly event: 'want';
      readonly loan: string;
      readonly batch: string;
      /** By their places in the loan; so many `bytes` of each. */
      readonly files: readonly {
        readonly file: number;
        readonly from: number;
        readonly bytes: number;
      }[];
      /** Not they are wanted but what tells them: the 32 bytes of their SHA-256. */
      readonly digest?: true;
    }
  /** A batch is not wanted any more. */
  | { readonly event: 'unwanted'; readonly loan: string; readonly batch: string }
  /** Nothing of a loan will be wanted any more. */
  | { readonly event: 'returned'; readonly loan: string };

/** What `POST NAME` takes of a page, as JSON, and what comes back. */
export interface LoanCommands {
  /**
   * Begins a loan of this page, or adds to it; in parts of at most 1000 entries. Returns its name.
   * With `ready` it is all.
   */
  lend: {
    takes: {
      readonly page: string;
      readonly loan?: string;
      readonly entries: readonly Lent[];
      readonly ready: boolean;
    };
    gives: { readonly loan: string };
  };
  /** A file of a loan, by its place, cannot be read by the page: it has changed, or is gone. */
  'lend-failed': {
    takes: { readonly page: string; readonly loan: string; readonly file: number };
    gives: object;
  };
}

/** One file or empty folder that the page lends. */
interface Lent {
  /** Names with `/` between. */
  readonly path: string;
  /** Bytes; a folder has none. */
  readonly size?: number;
  /** Milliseconds since 1970. */
  readonly mtime?: number;
}
