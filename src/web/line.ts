/**
 * What is told to one connection of a page: a JSON value a line, and `{}` every few seconds where
 * nothing happens. A connection over which nothing goes is cut, and whoever is gone would never be
 * missed.
 */
export class Line<News> {
  readonly #merge: (before: News, news: News) => News | undefined;
  readonly #waiting: News[] = [];
  #ended = false;
  #wake = (): void => {};
  #leave = (): void => {};
  /** Resolves when all is told, or whoever listened is gone. */
  readonly over: Promise<void> = new Promise((resolve) => {
    this.#leave = resolve;
  });

  /** `merge`: one that says what two say, if there is one; else both are told. */
  constructor(merge: (before: News, news: News) => News | undefined = () => undefined) {
    this.#merge = merge;
  }

  say(news: News): void {
    if (this.#ended) return;
    for (const [at, before] of this.#waiting.entries()) {
      const merged = this.#merge(before, news);
      if (merged === undefined) continue;
      this.#waiting[at] = merged;
      return;
    }
    this.#waiting.push(news);
    // Whoever does not listen to so much has no use for more.
    if (this.#waiting.length > MAX_UNTOLD) this.cut();
    this.#wake();
  }

  /** Nothing more is said. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** The same, and nothing of what waits is told. */
  cut(): void {
    this.#waiting.length = 0;
    this.end();
  }

  /** Ends when all is said, or the signal is aborted. */
  async *heard(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const cut = (): void => this.cut();
    signal.addEventListener('abort', cut, { once: true });
    if (signal.aborted) cut();
    const beat = setInterval(() => this.#wake(), BEAT);
    try {
      for (;;) {
        const told = this.#waiting.splice(0);
        if (told.length === 0 && this.#ended) return;
        const text = told.map((news) => `${JSON.stringify(news)}\n`).join('');
        yield Buffer.from(text || '{}\n');
        if (this.#waiting.length === 0 && !this.#ended)
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
      }
    } finally {
      clearInterval(beat);
      signal.removeEventListener('abort', cut);
      this.#leave();
    }
  }
}

/** Milliseconds. */
const BEAT = 5_000;

/** News that wait for one who does not listen. */
const MAX_UNTOLD = 1000;
