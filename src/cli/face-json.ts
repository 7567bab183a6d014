import type { Face, Failure, ShownEvent } from './face.ts';
import { jsonLine } from './format.ts';
import type { Output } from './io.ts';

/** The face for programs: the events as they are, one object a line. Says nothing on stderr. */
export class JsonFace implements Face {
  readonly #stdout: Output;
  /** What is to be written: a line for each of a million files is not a write for each. */
  #lines = '';

  constructor(stdout: Output) {
    this.#stdout = stdout;
  }

  show(event: ShownEvent): void {
    this.#write(event);
  }

  fail({ code, message, hint, path }: Failure): void {
    this.#write({ event: 'error', code, message, hint, path });
  }

  say(): void {}

  busy(): void {}

  picture(): void {}

  standBack<Reply>(question: () => Promise<Reply>): Promise<Reply> {
    return question();
  }

  close(): void {
    this.#flush();
  }

  #write(object: ShownEvent | ({ readonly event: 'error' } & Failure)): void {
    if (this.#lines === '') setImmediate(() => this.#flush());
    // These two come first, in whatever order the rest was put together.
    this.#lines += `${jsonLine(Object.assign({ v: 1, event: object.event }, object))}\n`;
  }

  #flush(): void {
    if (this.#lines !== '') this.#stdout.write(this.#lines);
    this.#lines = '';
  }
}
