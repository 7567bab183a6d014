/* What the command line can ask for, once it is understood. */

/** What every command can be told. */
export interface Settings {
  readonly json: boolean;
  readonly plain: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** Whether questions may be asked, if there is a terminal to ask on. */
  readonly input: boolean;
  readonly color: 'auto' | 'always' | 'never';
  /** The only network interfaces to use, if any are named. */
  readonly interfaces: readonly string[] | undefined;
}

export interface SendOrder extends Settings {
  readonly command: 'send';
  readonly paths: readonly string[];
  /** What standard input is offered as, if it is to be sent. */
  readonly stdin: string | undefined;
  /** A message to be shown there. */
  readonly text: string | undefined;
  /** NAME, ID or HOST[:PORT] of each device; without any the person chooses. */
  readonly to: readonly string[];
  /** Whether it goes to every known device that is there. */
  readonly all: boolean;
  /** For how long the device may be away, at first and after each loss, in milliseconds. */
  readonly wait: number | undefined;
  readonly checksum: boolean;
  /** Patterns as in a .gitignore. */
  readonly exclude: readonly string[] | undefined;
  readonly compress: Compress | undefined;
  /** Bytes per second. */
  readonly limit: number | undefined;
  /** Whether a device will do that is open to everyone, so that nobody can tell who it is. */
  readonly unverified: boolean;
  /** Whether to look for devices at each address of the own networks, too. */
  readonly scan: boolean;
}

/** How what comes is saved. */
export interface SavingOrder {
  readonly into: string | undefined;
  readonly as: string | undefined;
  readonly onConflict: OnConflict | undefined;
  /** Whether each device has a folder of its own. */
  readonly byDevice: boolean;
  /** Whether it is written down what arrives. */
  readonly history: boolean;
  /** Bytes. */
  readonly maxSize: number | undefined;
  /** Whether one file goes to standard output instead. */
  readonly stdout: boolean;
}

/** How a person is called when something arrived, if at all. */
export interface NotifyOrder {
  readonly notify: Notify | undefined;
}

export const NOTIFY = ['bell', 'desktop'] as const;
type Notify = (typeof NOTIFY)[number];

/** How others find this device, and what lets them in. */
export interface PresenceOrder extends Settings {
  readonly name: string | undefined;
  readonly port: number | undefined;
  /** A PIN for new devices instead of the code: one that is drawn, or the one in a file. */
  readonly pin: boolean;
  readonly pinFile: string | undefined;
  /** Whether known devices are served without a question. */
  readonly yes: boolean;
}

export interface ReceiveOrder extends PresenceOrder, SavingOrder, NotifyOrder {
  readonly command: 'receive';
  readonly once: boolean;
  /** Whether everyone is let in. */
  readonly open: boolean;
  /** Whether browsers can upload, too. */
  readonly web: boolean;
}

export interface ShareOrder extends PresenceOrder {
  readonly command: 'share';
  readonly paths: readonly string[];
  readonly once: boolean;
  /** Whether there is a page for browsers, too. */
  readonly web: boolean;
  /** As in `SendOrder`. */
  readonly exclude: readonly string[] | undefined;
  readonly compress: Compress | undefined;
  /** Bytes per second, for all fetches together. */
  readonly limit: number | undefined;
}

export interface GetOrder extends Settings, SavingOrder, NotifyOrder {
  readonly command: 'get';
  /** NAME, ID or HOST[:PORT]; without it the person chooses. */
  readonly from: string | undefined;
  /** Patterns as in a .gitignore, and paths. */
  readonly only: readonly string[] | undefined;
  /** As in `SendOrder`. */
  readonly wait: number | undefined;
  readonly scan: boolean;
  /** Whether all is taken without a question. */
  readonly yes: boolean;
}

export const COMPRESS = ['auto', 'always', 'never'] as const;
type Compress = (typeof COMPRESS)[number];

export const ON_CONFLICT = ['rename', 'skip', 'overwrite', 'newer'] as const;
type OnConflict = (typeof ON_CONFLICT)[number];

export interface PeersOrder extends Settings {
  readonly command: 'peers';
  readonly watch: boolean;
  /** As in `SendOrder`. */
  readonly scan: boolean;
}

export interface DoctorOrder extends Settings {
  readonly command: 'doctor';
  readonly into: string | undefined;
}

export interface UiOrder extends Settings, NotifyOrder {
  readonly command: 'ui';
  /** Whether a browser is opened. */
  readonly open: boolean;
  /** Of the page. */
  readonly port: number | undefined;
  /** As in `PresenceOrder` and `SavingOrder`. */
  readonly name: string | undefined;
  readonly into: string | undefined;
}

export interface HistoryOrder extends Settings {
  readonly command: 'history';
  /** How many of the latest are shown; all if it does not say. */
  readonly last: number | undefined;
  readonly clear: boolean;
}

/** What is changed about one device that is known. */
export type KnownOrder = Settings & { readonly name: string } & (
    | { readonly command: 'trust'; readonly trust: 'ask' | 'auto' | 'blocked' }
    | { readonly command: 'rename'; readonly newName: string }
    | { readonly command: 'forget' }
  );

export type Order =
  | SendOrder
  | ReceiveOrder
  | ShareOrder
  | GetOrder
  | PeersOrder
  | HistoryOrder
  | UiOrder
  | DoctorOrder
  | KnownOrder;

export const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const;
export type Shell = (typeof SHELLS)[number];

/** The script that completes command lines in this shell was asked for. */
export interface CompletionOrder {
  readonly command: 'completion';
  readonly shell: Shell;
}

/** A text that was asked for: help, or the version. */
export interface Answer {
  readonly command: 'answer';
  readonly text: string;
}

/** The command line cannot be understood. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly code = 'usage';
  readonly exit = 2;
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}
