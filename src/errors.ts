/**
 * Every way `drop` can fail, in one table: what a person reads, what mends it, and what a
 * script sees. `wire` is the number by which a peer is told; texts never travel, so no peer
 * can write on our terminal. `heard` is what a failure there means here, where that differs.
 */
export const ERRORS = {
  internal: {
    exit: 1,
    message: 'Something unexpected went wrong.',
    hint: 'This is a bug in drop; please report it with the command you ran.',
  },
  usage: { exit: 2, message: 'That is not how drop is used.', hint: 'See: drop --help' },

  'not-found': {
    exit: 3,
    message: 'No such device is ready on this network.',
    hint: 'Is `drop receive` running there, on the same network?',
  },
  ambiguous: {
    exit: 3,
    message: 'Several devices have that name.',
    hint: 'Name the one you mean by its id.',
  },
  unreachable: {
    exit: 3,
    message: 'The device does not answer.',
    hint: 'A firewall, most likely. Run on both computers: drop doctor',
  },
  'no-network': {
    exit: 3,
    message: 'No usable network was found.',
    hint: 'Connect to a network, or name an interface with --interface.',
  },

  declined: { exit: 4, wire: 1, message: 'The other side declined.' },
  'no-answer': { exit: 4, wire: 2, message: 'Nobody answered the question on the other side.' },
  refused: {
    exit: 4,
    wire: 3,
    message: 'The other side does not let this device in.',
    hint: 'Someone there can change that with `drop trust`, or by running drop in a terminal.',
  },

  risky: {
    exit: 4,
    wire: 9,
    message:
      'It is large, of unknown size, has names that must be changed, or could do harm, and nobody could be asked on the other side.',
    hint: 'Someone there can allow it with `--yes`, `drop trust`, or by running `drop receive` in a terminal.',
  },

  busy: {
    exit: 4,
    wire: 5,
    message: 'The other side has too many transfers at once.',
    hint: 'Try again when one of them is done.',
  },

  'too-many': {
    exit: 4,
    wire: 6,
    message: 'One transfer cannot carry so many folders, links, and files that get another name.',
    hint: 'Send them in several parts.',
  },

  'too-much': {
    exit: 4,
    wire: 8,
    message:
      'The other side takes no more than 1 GiB in 100 files and folders at a time from a device that it does not know, so much in all, and nothing of unknown size.',
    hint: 'Someone there can be asked if it runs in a terminal, or can let this device in by a code.',
  },

  'too-large': {
    exit: 4,
    wire: 15,
    message: 'It is larger than the receiver takes (--max-size).',
    hint: 'Send less at a time, or have somebody there raise it.',
  },

  'one-file': {
    exit: 4,
    wire: 16,
    message: 'The receiver takes one single file, for a name (--as) or a pipe (--stdout).',
    hint: 'Send one file, or pack a folder: tar c FOLDER | drop send - --name FOLDER.tar',
  },

  'not-text': {
    exit: 4,
    wire: 17,
    message:
      'The receiver would show it on its terminal (--stdout), but it is no text, or too long.',
    hint: 'Pipe it or redirect it there, as in `drop receive --stdout > FILE`, or leave out --stdout.',
  },

  disconnected: {
    exit: 5,
    message: 'The connection was lost.',
    hint: 'Run the same command again.',
  },
  cancelled: { exit: 5, wire: 4, message: 'The other side stopped the transfer.' },
  incomplete: { exit: 5, message: 'Some files were not delivered.' },
  'peer-disk': {
    exit: 5,
    message: 'The other side could not store it.',
    hint: 'Look at the screen there: its disk may be full or its folder not writable.',
  },
  'peer-full': {
    exit: 5,
    message: 'There is not enough room on the disk there.',
    hint: 'Make room there and run the same command again.',
  },
  unrepeatable: {
    exit: 5,
    wire: 7,
    heard: 'peer-source',
    message: 'A part of it was lost, and standard input cannot be read again.',
    hint: 'Run the whole command again.',
  },
  'peer-source': { exit: 5, message: 'The other side could not read it.' },

  'wrong-code': {
    exit: 6,
    wire: 10,
    message: 'The code did not match, so nothing was transferred.',
    hint: 'Either it was mistyped, or someone on this network is interfering.',
  },
  'code-changed': {
    exit: 6,
    wire: 11,
    message: 'The code has changed meanwhile.',
    hint: 'Type the one that is shown now.',
  },
  'not-yet': {
    exit: 6,
    wire: 14,
    message: 'After a wrong code the other side judges none for a while.',
    hint: 'Try again in a minute.',
  },
  'not-paired': {
    exit: 6,
    message: 'This device is new, and there is nobody to ask for its code.',
    hint: 'Run the command in a terminal, or put the code into DROP_CODE.',
  },
  locked: {
    exit: 6,
    wire: 12,
    message: 'After too many wrong codes the other side takes no new devices for now.',
    hint: 'Somebody there can end that by pressing Enter; where nobody sits, it ends within an hour. Devices that are paired already still work.',
  },
  'wrong-peer': {
    exit: 6,
    message: 'This is not the device you chose: its key is different. Nothing was transferred.',
    hint: 'If it was set up anew, make drop forget the old one: drop forget NAME',
  },
  clone: {
    exit: 6,
    wire: 13,
    message: 'Another computer uses the same key as this one.',
    hint: 'One was copied from the other. On one of them remove the identity and pair anew.',
  },
  unproven: { exit: 6, message: 'The other side did not prove who it is.' },

  corrupt: {
    exit: 7,
    wire: 20,
    message: 'It did not arrive as it was sent.',
    hint: 'Run the same command again.',
  },
  changed: {
    exit: 7,
    wire: 21,
    message: 'It changed while it was being read.',
    hint: 'Run the same command again when nothing writes to it.',
  },
  protocol: {
    exit: 7,
    wire: 22,
    message: 'The other side broke the protocol.',
  },
  'peer-older': {
    exit: 7,
    wire: 23,
    heard: 'peer-newer',
    message: 'The other side runs an older drop that this one does not understand.',
    hint: 'Install the newer drop there.',
  },
  'peer-newer': {
    exit: 7,
    wire: 24,
    heard: 'peer-older',
    message: 'The other side runs a newer drop that no longer understands this one.',
    hint: 'Install the newer drop here.',
  },
  'unsafe-name': {
    exit: 7,
    wire: 25,
    message: 'No file can have this name where it is to be saved, or it cannot be sent under it.',
  },

  'disk-full': {
    exit: 8,
    wire: 30,
    heard: 'peer-full',
    message: 'There is not enough room on the disk.',
    hint: 'Make room and run the same command again.',
  },
  'not-permitted': {
    exit: 8,
    wire: 31,
    heard: 'peer-disk',
    message: 'The system does not permit it.',
  },
  missing: { exit: 8, wire: 32, heard: 'peer-source', message: 'There is no such file or folder.' },
  exists: { exit: 8, wire: 33, heard: 'peer-disk', message: 'It exists already.' },
  'too-many-open': {
    exit: 8,
    wire: 36,
    heard: 'peer-disk',
    message: 'The system lets this program open no more files.',
    hint: 'Raise the limit (ulimit -n), or end what holds so many open.',
  },
  'folder-gone': {
    exit: 8,
    wire: 37,
    heard: 'peer-disk',
    message: 'The folder to save into was moved, removed or replaced.',
    hint: 'Put it back if you want it there, and run the same command again.',
  },
  disk: { exit: 8, wire: 34, heard: 'peer-disk', message: 'The disk failed.' },
  unreadable: { exit: 8, wire: 35, heard: 'peer-source', message: 'It cannot be read.' },
  identity: {
    exit: 8,
    message: 'The identity of this device cannot be used.',
  },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

/** One row of the table. Exit codes are those of the command line's contract. */
export interface ErrorRow {
  readonly exit: number;
  readonly message: string;
  readonly hint?: string;
  readonly wire?: number;
  readonly heard?: string;
}

export interface DropErrorOptions extends ErrorOptions {
  /** Our own sentence, where it can say more than the table's. Never a peer's text. */
  readonly message?: string;
  /** Undefined: nothing can be done about it. */
  readonly hint?: string | undefined;
  /** The file or folder that it is about, as the person named it or as it was offered. */
  readonly path?: string;
}

/** A failure that a person can understand. Anything else that is thrown is a bug. */
export class DropError extends Error {
  override readonly name = 'DropError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly path: string | undefined;

  constructor(code: ErrorCode, options: DropErrorOptions = {}) {
    const row: ErrorRow = ERRORS[code];
    super(options.message ?? row.message, options);
    this.code = code;
    this.hint = 'hint' in options ? options.hint : row.hint;
    this.path = options.path;
  }

  get exit(): number {
    return ERRORS[this.code].exit;
  }
}

/** What is told of a failure: a hint and a path only where there are any. */
export function wordsOf({ code, message, hint, path }: DropError) {
  return {
    ...{ code, message },
    ...(hint === undefined ? {} : { hint }),
    ...(path === undefined ? {} : { path }),
  };
}

/** The number by which a peer learns of it; failures that are only ours travel as `cancelled`. */
export function toWire(code: ErrorCode): number {
  const row: ErrorRow = ERRORS[code];
  return row.wire ?? ERRORS.cancelled.wire;
}

/** What a peer's number means on this side. An unknown one, from a newer peer, just ends it. */
export function fromWire(wire: number): ErrorCode {
  for (const [code, row] of Object.entries(ERRORS) as [ErrorCode, ErrorRow][])
    if (row.wire === wire) return (row.heard as ErrorCode | undefined) ?? code;
  return 'cancelled';
}
