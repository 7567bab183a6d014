import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import type { Io, Library } from '../../src/cli/io.ts';
import { DropError, ERRORS } from '../../src/errors.ts';
import type {
  Device,
  LinkReport,
  NothingEvent,
  PeerEvent,
  PeerId,
  ReceiveEvent,
  SilentEvent,
  Standing,
  Summary,
} from '../../src/events.ts';
import { checkChoice } from '../../src/handover/choice.ts';
import { Hatch } from '../../src/handover/hatch.ts';
import { Pace } from '../../src/handover/pace.ts';
import { CALL_QUESTION_LIMIT, QUESTION_LIMIT } from '../../src/limits.ts';
import { peerOf } from '../../src/meeting/lookout.ts';
import { DEFAULT_PORT } from '../../src/net/ports.ts';
import { forTerminal, sameName } from '../../src/protocol/names.ts';
import { checkPatterns } from '../../src/protocol/patterns.ts';
import { eventOf, type JsonEvent } from '../support/lines.ts';

/** What a hostile peer calls itself and its files: it clears the screen and turns the writing. */
export const HOSTILE = 'evil\x1b[2J\x1b]0;title\x07\x9b31m\r\n\u202egnp.exe';

/** What must never reach a terminal from outside, but for the ends of our own lines. */
export const STEERING = /[^\P{Cc}\n]|[\u202a-\u202e\u2066-\u2069]/u;

export function idOf(digit: string): PeerId {
  return digit.repeat(64) as PeerId;
}

/** Of the one transfer that most tests have. */
export const TRANSFER = '7'.repeat(32);

export const BOB: Device = { name: 'Bob', id: idOf('b') };

export function peerEvent(
  name: string,
  digit: string,
  standing: Standing = 'paired',
  state: PeerEvent['state'] = 'found',
): PeerEvent {
  return {
    event: 'peer',
    state,
    name,
    id: idOf(digit),
    run: digit.repeat(16),
    addresses: [`192.168.1.${Number.parseInt(digit, 16)}:23767`],
    known: standing === 'paired',
    standing,
    shares: false,
  };
}

/** A device that is announced, in the process of these digits, and does not answer. */
export function silentEvent(
  name: string,
  digit: string,
  state: SilentEvent['state'] = 'found',
): SilentEvent {
  const addresses = [`192.168.1.${Number.parseInt(digit, 16)}:23767`];
  return { event: 'silent', state, name, run: digit.repeat(16), addresses };
}

/** What was said and heard at an interface. */
export function linkReport(name: string, values: Partial<LinkReport> = {}): LinkReport {
  return {
    interface: name,
    family: 'IPv4',
    address: '192.168.1.20',
    loopback: false,
    said: 3,
    echoed: 3,
    heard: 0,
    ...values,
  };
}

export const NOTHING: NothingEvent = {
  event: 'nothing',
  asked: [linkReport('eth0')],
  cause: 'alone',
  message: 'No other device is heard on eth0.',
  hint: 'Is it running there?',
};

export const READY: ReceiveEvent = {
  event: 'ready',
  name: 'Ana',
  id: idOf('a'),
  port: 23_767,
  addresses: ['192.168.1.20:23767'],
  code: '493027',
  pin: false,
  open: false,
  into: '/in',
};

export function summaryOf(values: Partial<Summary> = {}): Summary {
  return {
    event: 'summary',
    transfer: TRANSFER,
    peer: BOB,
    ok: true,
    files: 1,
    bytes: 2_100_000,
    sent: 2_100_000,
    resumed: 0,
    skipped: 0,
    failed: 0,
    ms: 3000,
    ...values,
  };
}

/** A library in which nothing happens, but for what a test puts in its place. */
export function fakeLibrary(parts: Partial<Library> = {}): Library {
  return {
    CALL_QUESTION_LIMIT,
    checkChoice,
    checkPatterns,
    DEFAULT_PORT,
    DropError,
    ERRORS,
    QUESTION_LIMIT,
    forTerminal,
    discover: unexpected,
    doctor: unexpected,
    clearHistory: unexpected,
    forgetPeer: unexpected,
    get: unexpected,
    history: unexpected,
    knownPeers: async () => [],
    Hatch,
    openShelf: unexpected,
    Pace,
    peerOf,
    readPin: unexpected,
    receive: unexpected,
    renamePeer: unexpected,
    sameName,
    send: unexpected,
    sendToAll: unexpected,
    share: unexpected,
    trustPeer: unexpected,
    ...parts,
  };
}

function unexpected(): never {
  throw new Error('nobody expected this call');
}

export interface FakeIo extends Io {
  readonly signals: EventEmitter;
  readonly stdin: PassThrough;
  readonly stdout: PassThrough;
  /** What was written so far. */
  readonly said: { readonly out: () => string; readonly err: () => string };
}

/** Streams that are no terminals. */
export function fakeIo(library: Library = fakeLibrary()): FakeIo {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  return {
    stdin,
    stdout,
    stderr,
    signals: new EventEmitter(),
    suspend: unexpected,
    library: async () => library,
    said: { out: collect(stdout), err: collect(stderr) },
  };
}

/** The lines of `--json`. */
export function jsonLines(text: string): JsonEvent[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => eventOf(line));
}

/** Events that never come: it fails at once. */
export async function* failing(error: unknown): AsyncGenerator<never, never> {
  return yield* await Promise.reject<AsyncGenerator<never, never>>(error);
}

export function aborted(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) resolve();
    signal?.addEventListener('abort', () => resolve(), { once: true });
  });
}

function collect(stream: PassThrough): () => string {
  let text = '';
  stream.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
  });
  return () => text;
}
