import type { Output, Paint } from './io.ts';

/** A line for a person, and how much it matters; `content` is what a person wrote. */
export interface Line {
  /** `detail` is said if asked for, `news` unless asked not to; `need`, `trouble` and `content` always. */
  readonly weight: 'detail' | 'news' | 'need' | 'trouble' | 'content';
  readonly text: string;
  /** If there is a picture, it stands above this line, and what follows stays in sight with it. */
  readonly isBelowPicture?: boolean;
}

export interface LinesOptions {
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly paint: Paint;
}

/** Writes lines for a person, those that matter to them, and holds them back during a question. */
export class Lines {
  readonly #stderr: Output;
  readonly #options: LinesOptions;
  readonly #questions = new Queue();
  #held: string[] | undefined;

  constructor(stderr: Output, options: LinesOptions) {
    this.#stderr = stderr;
    this.#options = options;
  }

  write(lines: readonly Line[]): void {
    for (const line of lines) {
      if (!this.#matters(line)) continue;
      const text = `${this.#painted(line)}\n`;
      if (this.#held) this.#held.push(text);
      else this.#stderr.write(text);
    }
  }

  /** Whether a question is open. */
  get held(): boolean {
    return this.#held !== undefined;
  }

  /** `before` and `after` each question, which are asked one after the other. */
  standBack<Reply>(
    question: () => Promise<Reply>,
    before: () => void = () => {},
    after: () => void = () => {},
  ): Promise<Reply> {
    return this.#questions.run(async () => {
      before();
      this.#held = [];
      try {
        return await question();
      } finally {
        const held = this.#held;
        this.#held = undefined;
        for (const text of held) this.#stderr.write(text);
        after();
      }
    });
  }

  #matters({ weight }: Line): boolean {
    if (weight === 'detail') return this.#options.verbose;
    return weight !== 'news' || !this.#options.quiet;
  }

  #painted({ weight, text }: Line): string {
    const { paint } = this.#options;
    if (weight === 'need') return paint('bold', text);
    if (weight === 'trouble') return text.replace(/^[A-Z]\w*:/, (word) => paint('red', word));
    return weight === 'detail' ? paint('dim', text) : text;
  }
}

/** Runs one task after the other. */
class Queue {
  #last: Promise<unknown> = Promise.resolve();

  run<Result>(task: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(task);
    this.#last = result.catch(() => {}); // Whoever waits for the result hears of it.
    return result;
  }
}
