import type { ErrorCode } from '../../errors.ts';
import type { CheckEvent, Offered, Risk, Standing } from '../../events.ts';
import type { Amounts } from '../amounts.ts';
import type { LoanCommands, Wish } from '../loans.ts';

/**
 * What the page and its server tell each other: types alone, which both are compiled with, so nothing here
 * may need Node. The page shows a `View` and has none of its own; whatever is done in it is a
 * `Command`.
 */

/** All that the page shows. The server sends it whole when a page opens, and then what changed. */
export interface View extends DeskView {
  /** What a person is called for who looks at no page. */
  readonly calls: readonly Call[];
}

/** What stands behind it. */
export interface DeskView {
  readonly device: DeviceHere;
  /** Who is in the list, in the order in which they came. */
  readonly nearby: readonly Nearby[];
  /** Why nobody is, once that is clear. */
  readonly nobody: Said | null;
  /** What somebody is to decide, the oldest first. */
  readonly questions: readonly Question[];
  /** What others can fetch from here. */
  readonly sharings: readonly Sharing[];
  /** The latest first. */
  readonly transfers: readonly Transfer[];
  /** Messages that came, the latest first. */
  readonly messages: readonly Message[];
  /** Devices that are remembered, by their names. */
  readonly known: readonly Known[];
  /** What arrived before, the latest first. */
  readonly history: readonly Arrived[];
  /** What is wrong, and was told to nobody else; the latest first. */
  readonly troubles: readonly (Said & { readonly id: string })[];
}

/** This computer. */
export interface DeviceHere {
  readonly name: string;
  /** The first eight digits of its id. */
  readonly id: string;
  /** Where files land, as a person would write it: `~/Downloads`. */
  readonly into: string;
  /** What new devices have to type; null while nothing can be received. */
  readonly code: string | null;
  /** Whether too many wrong codes have locked new devices out. */
  readonly locked: boolean;
  /** Why others may not find this computer; null if they may. */
  readonly hidden: string | null;
  /** `host:port`, for those who do not find it. */
  readonly addresses: readonly string[];
  /** Why nothing can be received, if nothing can. */
  readonly closed: Said | null;
}

export interface Said {
  readonly message: string;
  readonly hint?: string | undefined;
}

/** A device in the list. Everything in it is fit to be shown. */
export interface Nearby {
  /** Names it in commands. */
  readonly key: string;
  readonly name: string;
  /** The first eight digits of its id; empty where nothing of it is proven. */
  readonly id: string;
  /** `silent`: it is announced but does not answer; it can be asked to call back. */
  readonly standing: Standing | 'silent';
  readonly addresses: readonly string[];
  /** Whether something can be fetched from it; else it can be sent to. */
  readonly shares: boolean;
  /** What it shares, if it tells us. */
  readonly offer?: Offered | undefined;
}

interface Asked {
  readonly id: string;
  /** The device that it is about. */
  readonly device: { readonly name: string; readonly id: string };
}

/** Something to decide; the answer goes into the command `answer`. */
export type Question =
  /** May it send this? `boolean`. */
  | (Asked & {
      readonly kind: 'accept';
      /** Whether it has proven who it is; else anyone could have that name. */
      readonly known: boolean;
      readonly offer: Offered;
      readonly risks: readonly Risk[];
    })
  /** The code, or PIN, that is shown on it: `string`, or `null` to give up. */
  | (Asked & {
      readonly kind: 'code';
      readonly needs: 'code' | 'pin';
      readonly why: 'new' | 'wrong-code' | 'code-changed';
    })
  /** Go on with a device that something speaks against? `boolean`. */
  | (Asked & {
      readonly kind: 'doubt';
      readonly doubt: 'unverified' | 'other-name';
      readonly claimed: string;
    })
  /** Call back a device that cannot reach us? Its address is its name. `boolean`. */
  | (Asked & { readonly kind: 'call' })
  /** Which parts of what it shares? `true`, paths, or `false`. */
  | (Asked & {
      readonly kind: 'offer';
      readonly offer: Offered;
      readonly risks: readonly Risk[];
      readonly parts: readonly Part[];
    })
  /** May it fetch what is shared here? `boolean`. */
  | (Asked & { readonly kind: 'fetch'; readonly what: readonly string[] })
  /** Too many wrong codes: let new devices in again? `true`. */
  | (Asked & { readonly kind: 'unlock' });

/** What is asked before all else. That new devices are locked out stands in the way of nothing. */
export type Urgent = Exclude<Question, { readonly kind: 'unlock' }>;

/** Something that a page lends for others to fetch, until that is ended or the page is closed. */
export interface Sharing {
  readonly id: string;
  /** The names of what is shared. */
  readonly what: readonly string[];
  /** The page that lends it. */
  readonly page: string;
  /** What new devices have to type; null as long as it is not ready. */
  readonly code: string | null;
  /** Whether too many wrong codes have locked new devices out. */
  readonly locked: boolean;
  /** How often it was fetched as a whole. */
  readonly fetched: number;
}

export interface Transfer extends Amounts {
  readonly id: string;
  readonly direction: 'in' | 'out';
  /** Who has begun it: whoever sends or fetches here, or on the other device. */
  readonly begun: 'here' | 'there';
  /** The page that lends its files; `out` only. While they are on their way it should not be closed. */
  readonly page?: string | undefined;
  readonly device: { readonly name: string; readonly id: string };
  /** The names of what goes over, as far as they are known; a message is called `message`. */
  readonly what: readonly string[];
  readonly state: TransferState;
  /** What can be done with it now. */
  readonly can: readonly ('pause' | 'resume' | 'cancel' | 'open' | 'dismiss')[];
  /** What went wrong with the whole, or with the first file. */
  readonly failure:
    | (Said & { readonly code: ErrorCode; readonly path?: string | undefined })
    | null;
  readonly failed: number;
  /** Files that were not taken, as something else has their name there. */
  readonly leftOut: number;
  /** Files that have another name here than they were offered under, and the first of them; `in` only. */
  readonly renamed: {
    readonly count: number;
    readonly offered: string;
    readonly name: string;
  } | null;
}

/**
 * `calling`: it is looked for and greeted; `waiting`: the other side is to accept; `paused`: by
 * somebody here; `held`: by the other side; `lost`: the connection is lost, and it is tried again;
 * `interrupted`: it can go on, if the same is dropped on
 * the same device again (`out`) or sent again (`in`).
 */
export type TransferState =
  | 'calling'
  | 'waiting'
  | 'running'
  | 'paused'
  | 'held'
  | 'lost'
  | 'done'
  | 'declined'
  | 'interrupted'
  | 'cancelled'
  | 'failed';

export interface Message {
  readonly id: string;
  readonly from: { readonly name: string; readonly id: string };
  readonly text: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** Something that a page has the browser tell of. */
export interface Call {
  /** A question by its name, or `transfers`, or `messages`. A later one takes the place of an earlier. */
  readonly id: string;
  /** The page that does so. */
  readonly page: string;
  readonly title: string;
  readonly body: string;
}

/** Whether somebody may be looking at a page; and if not, whether it has the browser tell of things. */
export type Sight = 'in-sight' | 'calling' | 'silent';

/** A device that is remembered. */
export interface Known {
  readonly name: string;
  /** All of its id, which names it in commands. */
  readonly id: string;
  readonly trust: 'ask' | 'auto' | 'blocked';
}

/** What arrived in one transfer. */
export interface Arrived {
  /** ISO 8601, UTC. */
  readonly at: string;
  /** Whether all of it is here. */
  readonly ok: boolean;
  readonly from: string;
  readonly files: number;
  readonly bytes: number;
  /** What of it is at the top of `into`; the first names. */
  readonly roots: readonly string[];
  readonly into: string;
}

/** A piece of an offer that can be chosen. */
export interface Part {
  /** As it is offered; of a folder, all that is in it belongs to it. */
  readonly path: string;
  readonly folder: boolean;
  readonly files: number;
  readonly bytes: number;
}

/** What doctor found. */
export type Check = Omit<CheckEvent, 'event'>;

/**
 * A line of the stream `GET /api/events?page=PAGE&sight=SIGHT`, each one JSON value. The first is
 * `hello`; a page that comes back says who it was. A server that has nothing to say says `{}` every few
 * seconds.
 */
export type PageEvent =
  /**
   * The page is known by this from now on; its own files are lent under it. `loans` is what it lends:
   * all else was returned, or is of an earlier server.
   */
  | {
      readonly event: 'hello';
      readonly page: string;
      readonly version: string;
      readonly loans: readonly string[];
    }
  /** What has changed of the view. */
  | ({ readonly event: 'view' } & Partial<View>)
  /** Its files are lent under `/api/`. */
  | Wish;

/**
 * What `POST /api/NAME` takes, as JSON, and what comes back: `{}` where nothing is said here. An
 * error comes with status 4xx or 5xx as `{code, message, hint?}`.
 */
export interface Commands extends LoanCommands {
  /** Sends a loan, a message, or both, to devices of the list by their keys, or to `host[:port]`. */
  send: {
    takes: {
      readonly to: readonly string[];
      readonly loan?: string;
      readonly text?: string;
    };
    gives: object;
  };
  /** Fetches what a device of the list shares, or `host[:port]`. */
  get: { takes: { readonly from: string }; gives: object };
  /** Lets others fetch a loan. */
  share: { takes: { readonly loan: string }; gives: object };
  /** Ends that; who is just fetching it gets no more. */
  'end-sharing': { takes: { readonly id: string }; gives: object };
  /** A page came in sight, or got out of it. */
  sight: { takes: { readonly page: string; readonly sight: Sight }; gives: object };
  answer: {
    takes: {
      readonly question: string;
      readonly answer: boolean | string | readonly string[] | null;
    };
    gives: object;
  };
  pause: { takes: { readonly transfer: string }; gives: object };
  resume: { takes: { readonly transfer: string }; gives: object };
  cancel: { takes: { readonly transfer: string }; gives: object };
  /** Takes a transfer, a message or a trouble that is over out of the view. */
  dismiss: { takes: { readonly id: string }; gives: object };
  /** Opens the folder where a transfer landed, or by default the one for all, in the file manager. */
  open: { takes: { readonly transfer?: string }; gives: object };
  rename: { takes: { readonly id: string; readonly name: string }; gives: object };
  trust: {
    takes: { readonly id: string; readonly trust: Known['trust'] };
    gives: object;
  };
  forget: { takes: { readonly id: string }; gives: object };
  'clear-history': { takes: object; gives: object };
  doctor: { takes: object; gives: { readonly checks: readonly Check[] } };
}
