import type { Readable } from 'node:stream';
import type { Environment } from '../environment.ts';
import type { Settings } from './orders.ts';

/** What the command line takes from the library; tests hand in their own. */
export type Library = Pick<
  typeof import('../index.ts'),
  | 'CALL_QUESTION_LIMIT'
  | 'clearHistory'
  | 'checkChoice'
  | 'checkPatterns'
  | 'DEFAULT_PORT'
  | 'discover'
  | 'doctor'
  | 'DropError'
  | 'ERRORS'
  | 'QUESTION_LIMIT'
  | 'forgetPeer'
  | 'forTerminal'
  | 'get'
  | 'Hatch'
  | 'history'
  | 'knownPeers'
  | 'openShelf'
  | 'Pace'
  | 'peerOf'
  | 'readPin'
  | 'receive'
  | 'renamePeer'
  | 'sameName'
  | 'send'
  | 'sendToAll'
  | 'share'
  | 'trustPeer'
>;

/** A stream that may be a terminal. */
export type Input = Readable & {
  readonly fd?: number;
  readonly isTTY?: boolean;
  readonly setRawMode?: (raw: boolean) => unknown;
};
export type Output = NodeJS.WritableStream & {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  readonly hasColors?: (environment?: object) => boolean;
};

/** Where signals come from: the process. */
export interface Signals {
  on(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
  off(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
}

/** Everything outside that the command line touches, but for `process.env`. */
export interface Io {
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly signals: Signals;
  /** Stops the process, as Ctrl-Z does; comes back when it goes on. */
  readonly suspend: () => void;
  /** Loads the library, which `--help` does not need. */
  readonly library: () => Promise<Library>;
}

/** Of the process. It opens a stream when that is first asked for, which takes its time. */
export function processIo(): Io {
  return {
    get stdin() {
      return process.stdin;
    },
    get stdout() {
      return process.stdout;
    },
    get stderr() {
      return process.stderr;
    },
    signals: process,
    suspend: () => process.kill(process.pid, 'SIGTSTP'),
    library: () => import('../index.ts'),
  };
}

/** How we speak: JSON to a program, lines to a log or a screen reader, or all that a terminal can. */
type FaceKind = 'json' | 'plain' | 'terminal';

export interface Manner {
  readonly face: FaceKind;
  /** Whether somebody is there to be asked. */
  readonly asks: boolean;
}

/**
 * Questions need a terminal on both sides: one to type on, one to read. A terminal that cannot
 * move its cursor, or that nobody sits at, is spoken to in lines.
 */
export function mannerOf(
  { json, plain, input }: Pick<Settings, 'json' | 'plain' | 'input'>,
  { stdin, stderr }: Pick<Io, 'stdin' | 'stderr'>,
  environment: Environment,
): Manner {
  if (json) return { face: 'json', asks: false };
  const asks = input && isOn(environment.CI) === false && !!stdin.isTTY && !!stderr.isTTY;
  // A terminal that says it has no columns is one that nobody looks at.
  const draws = !plain && environment.TERM !== 'dumb' && stderr.columns !== 0;
  const face = asks && draws ? 'terminal' : 'plain';
  return { face, asks };
}

type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

/** Colours a text, or leaves it as it is. */
export type Paint = (style: Style, text: string) => string;

/**
 * The colours of one stream. Each stream decides for itself: stdout may be a file while stderr
 * is a terminal. What was said on the command line goes before the environment.
 */
export function hasColors(
  stream: Output,
  when: Settings['color'],
  environment: Environment,
): boolean {
  if (when !== 'auto') return when === 'always';
  if (environment.NO_COLOR) return false; // https://no-color.org: set and not empty.
  if (environment.FORCE_COLOR !== undefined) return !/^(0|false)$/.test(environment.FORCE_COLOR);
  return !!stream.isTTY && (stream.hasColors?.(environment) ?? false);
}

function isOn(value: string | undefined): boolean {
  return value !== undefined && !/^(|0|false)$/i.test(value);
}
