import { DropError } from '../errors.ts';
import { MAX_BUFFERED } from '../limits.ts';
import type { Pipe } from '../transfer/channel.ts';
import { Condition } from '../transfer/condition.ts';

/** One end of a pipe within this process. */
export interface End extends Pipe {
  /** Resolves when nothing more can come of it. */
  readonly over: Promise<void>;
}

/** Two ends of one pipe. What is written waits in memory, up to `MAX_BUFFERED` bytes each way. */
export function pipePair(): [End, End] {
  const [there, back] = [new Direction(), new Direction()];
  return [end(back, there), end(there, back)];
}

function end(incoming: Direction, outgoing: Direction): End {
  return {
    incoming: incoming.taken(),
    over: incoming.over,
    write: (...parts) => outgoing.put(parts),
    async end() {
      outgoing.end();
      incoming.end();
    },
  };
}

/** What goes in one direction. */
class Direction {
  readonly over: Promise<void>;
  readonly #pieces: Uint8Array[] = [];
  readonly #news = new Condition();
  #bytes = 0;
  #ended = false;
  #finish = (): void => {};

  constructor() {
    this.over = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  async put(parts: readonly Uint8Array[]): Promise<void> {
    if (this.#ended) throw new DropError('disconnected');
    for (const part of parts) {
      if (part.length === 0) continue;
      this.#bytes += part.length;
      // Whoever wrote it may overwrite it as soon as it is on its way.
      this.#pieces.push(new Uint8Array(part));
    }
    this.#news.changed();
    await this.#news.until(() => this.#bytes <= MAX_BUFFERED || this.#ended);
  }

  async *taken(): AsyncGenerator<Uint8Array> {
    for (;;) {
      await this.#news.until(() => this.#pieces.length > 0 || this.#ended);
      const piece = this.#pieces.shift();
      if (piece === undefined) return;
      this.#bytes -= piece.length;
      this.#news.changed();
      yield piece;
    }
  }

  /** What was put is still taken. */
  end(): void {
    this.#ended = true;
    this.#finish();
    this.#news.changed();
  }
}
