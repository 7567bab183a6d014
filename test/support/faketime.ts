import { execFileSync } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What time it is for the processes that have its `env`. Needs the command `faketime`. */
export class FakeTime {
  readonly #file: string;
  readonly #dateOnly: boolean;
  #passed = 0;

  /** It lies in this folder. `dateOnly`: what measures time by other clocks sees nothing of it. */
  constructor(folder: string, { dateOnly = false } = {}) {
    this.#file = join(folder, 'clock');
    this.#dateOnly = dateOnly;
    this.set('+0');
  }

  /** So many seconds have passed at once. */
  pass(seconds: number): void {
    this.#passed += seconds;
    this.set(`+${this.#passed}`);
  }

  /** From now on all that takes its time takes so many times as long: others are quick for it. */
  slow(times: number): this {
    this.set(`+0 x${1 / times}`);
    return this;
  }

  /** It is what is so far from now, e.g. `-10y`. */
  set(offset: string): void {
    // In one step, as somebody may just be reading it.
    writeFileSync(`${this.#file}.new`, `${offset}\n`);
    renameSync(`${this.#file}.new`, this.#file);
  }

  get env(): Record<string, string> {
    // Where it is differs; the command knows, but would stand between us and the process.
    const print = ['-f', '+0', 'printenv', 'LD_PRELOAD'];
    return {
      LD_PRELOAD: execFileSync('faketime', print, { encoding: 'utf8' }).trim(),
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      // Times of files are what they are.
      NO_FAKE_STAT: '1',
      ...(this.#dateOnly && { FAKETIME_DONT_FAKE_MONOTONIC: '1' }),
    };
  }
}
