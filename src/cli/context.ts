import { homedir } from 'node:os';
import { styleText } from 'node:util';
import type { Asker } from './asker.ts';
import type { Face } from './face.ts';
import { JsonFace } from './face-json.ts';
import { PlainFace } from './face-plain.ts';
import { hasColors, type Io, type Library, mannerOf, type Paint } from './io.ts';
import { Lines } from './lines.ts';
import type { Order } from './orders.ts';
import { Prompts } from './prompts.ts';
import type { Stops } from './stops.ts';
import { TypedLines } from './typed.ts';
import { Words } from './words.ts';

/** How this run speaks with whoever started it. */
export interface Ui {
  readonly face: Face;
  /** Somebody to ask, if there is anybody. */
  readonly asker: Asker | undefined;
  readonly words: Words;
}

/** What every command works with. */
export interface Context extends Ui {
  readonly io: Io;
  readonly library: Library;
  readonly stops: Stops;
  /** What the functions of the library are told. */
  readonly common: {
    readonly signal: AbortSignal;
    readonly home: string | undefined;
    readonly interfaces: readonly string[] | undefined;
  };
}

/** Chooses the face and the asker. What draws on a terminal is loaded only for one. */
export async function openUi(
  order: Order,
  io: Io,
  { forTerminal, DEFAULT_PORT }: Library,
): Promise<Ui> {
  const { stdin, stdout, stderr, signals, suspend } = io;
  const { quiet, verbose } = order;
  const manner = mannerOf(order, io, process.env);
  const colors = hasColors(stderr, order.color, process.env);
  const paint: Paint = (style, text) =>
    // Node would decide by stdout's colours, or not at all, depending on its version.
    colors ? styleText(style, text, { validateStream: false }) : text;
  const words = new Words({
    clean: forTerminal,
    side: order.command === 'receive' || order.command === 'get' ? 'receiver' : 'sender',
    announced: order.command === 'receive' || order.command === 'share',
    verbose,
    codes: !!stderr.isTTY,
    home: homedir(),
    port: DEFAULT_PORT,
    interfaces: order.interfaces,
    stdout: 'stdout' in order && order.stdout,
    columns: () => stderr.columns || 80,
  });
  if (manner.face === 'json') return { face: new JsonFace(stdout), asker: undefined, words };
  const lines = new Lines(stderr, { quiet, verbose, paint });
  if (manner.face === 'plain') {
    const asker = manner.asks ? new TypedLines(stdin, stderr) : undefined;
    return { face: new PlainFace(lines, words, forTerminal), asker, words };
  }
  const { TerminalFace } = await import('./face-terminal.ts');
  const options = { clean: forTerminal, colors, quiet, signals, suspend };
  const face = new TerminalFace(stderr, lines, words, options);
  return { face, asker: new Prompts({ stdin, signals, suspend }, stderr, paint), words };
}
