import type { Sink } from '../index.ts';
import type { Context } from './context.ts';
import type { SavingOrder } from './orders.ts';

/** How long a failed transfer may take to tell the sender, once nobody reads us, in milliseconds. */
export const LAST_WORDS = 2_000;

/** Characters that a terminal is shown of one file; nobody reads more there. */
const MAX_SHOWN = 1024 * 1024;

/** Standard output as what takes one file, if it was asked for. */
export class Stdout implements Sink {
  /** Whether nobody reads it any more: then nothing needs to be said either. */
  broken = false;
  readonly write: Sink['write'];
  readonly close: NonNullable<Sink['close']>;

  private constructor({ io, face, library }: Context) {
    const { stdout } = io;
    stdout.once('error', () => {
      this.broken = true;
    });
    const pass = (bytes: Uint8Array): Promise<void> =>
      new Promise((resolve, reject) => {
        // Resolved when the pipe has taken it, and not before: so it holds back the sender.
        stdout.write(bytes, (error) => (error ? reject(error) : resolve()));
      });
    if (!stdout.isTTY) {
      this.write = pass;
      this.close = async () => {};
      return;
    }
    const text = new ShownText(() => new library.DropError('not-text'));
    this.write = async (bytes) => text.add(bytes);
    // Nothing moves on the terminal meanwhile.
    this.close = () => face.standBack(() => pass(text.whole()));
  }

  static for({ stdout }: SavingOrder, context: Context): Stdout | undefined {
    return stdout ? new Stdout(context) : undefined;
  }
}

/** Text for a terminal, which sees nothing of it before all of it proves to be harmless. */
class ShownText {
  readonly #refusal: () => Error;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  #text = '';

  constructor(refusal: () => Error) {
    this.#refusal = refusal;
  }

  add(bytes: Uint8Array): void {
    this.#take(bytes, true);
  }

  /** All of it, with the end of its last line. */
  whole(): Uint8Array {
    this.#take(new Uint8Array(0), false);
    const isOpen = this.#text !== '' && !this.#text.endsWith('\n');
    return Buffer.from(isOpen ? `${this.#text}\n` : this.#text);
  }

  #take(bytes: Uint8Array, stream: boolean): void {
    let piece: string;
    try {
      piece = this.#decoder.decode(bytes, { stream });
    } catch {
      throw this.#refusal();
    }
    if (CONTROLS.test(piece) || this.#text.length + piece.length > MAX_SHOWN) throw this.#refusal();
    this.#text += piece;
  }
}

/** All but tabs and the ends of lines. */
const CONTROLS = /(?![\t\n\r])\p{Cc}/u;

/** What of an order the library is told about saving. */
export function savingOf(order: SavingOrder, sink: Stdout | undefined) {
  const { into, as, onConflict, byDevice, history, maxSize } = order;
  if (sink !== undefined) return { sink, history, maxSize };
  return { into, as, onConflict, byDevice, history, maxSize };
}
