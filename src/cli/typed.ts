import { createInterface } from 'node:readline';
import { parseCode } from '../figures.ts';
import type { Peer, SilentPeer } from '../index.ts';
import { type Asker, drain, Left } from './asker.ts';
import type { Devices } from './devices.ts';
import type { Explanation } from './explanation.ts';
import { oneLine } from './format.ts';
import type { Input, Output } from './io.ts';

/** Asks by lines that are typed: nothing on the screen moves, and a screen reader can follow. */
export class TypedLines implements Asker {
  readonly #stdin: Input;
  readonly #stderr: Output;

  constructor(stdin: Input, stderr: Output) {
    this.#stdin = stdin;
    this.#stderr = stderr;
  }

  /** Each device gets a number when it comes and keeps it, so that none can take another's. */
  async pick(
    message: string,
    devices: Devices,
    signal: AbortSignal,
    several: boolean,
  ): Promise<readonly (Peer | SilentPeer)[]> {
    const numbers: string[] = [];
    /** What was said of each that is there. */
    const shown = new Map<string, string>();
    let explained: Explanation | undefined;
    const tell = (): void => {
      for (const { key, name, standing, apart } of devices.choices) {
        const about = [name, standing, apart].filter((part) => part !== '').join('  ');
        if (shown.get(key) === about) continue;
        if (!numbers.includes(key)) numbers.push(key);
        shown.set(key, about);
        this.#say(`${numbers.indexOf(key) + 1}  ${about}`);
      }
      for (const key of shown.keys()) {
        if (devices.choices.some((choice) => choice.key === key)) continue;
        shown.delete(key);
        this.#say(`${numbers.indexOf(key) + 1}  has gone`);
      }
      const { explanation } = devices;
      if (explanation !== undefined && explanation !== explained)
        for (const sentence of Object.values(explanation)) this.#say(sentence);
      explained = explanation;
    };
    const which = several ? 'the number of one, or several as in 1 3,' : 'the number of one';
    this.#say(`${message} Devices appear here; type ${which} and press Enter.`);
    tell();
    const unsubscribe = devices.subscribe(tell);
    try {
      return await this.#lines(signal, (line) => {
        const typed = [...new Set(line.split(/[\s,]+/))];
        const choices = typed.map((number) => {
          const key = /^\d{1,6}$/.test(number) ? numbers[Number(number) - 1] : undefined;
          return devices.choices.find((each) => each.key === key);
        });
        const there = choices.filter((choice) => choice !== undefined);
        // All of them, or nobody gets it: who has gone is not left out in silence.
        const all = there.length === choices.length && (several || there.length === 1);
        if (all) return there.map(({ peer }) => peer);
        const missing = typed.filter((_, n) => choices[n] === undefined);
        this.#say(whyNot(line, missing, typed.length));
        return undefined;
      });
    } finally {
      unsubscribe();
    }
  }

  code(message: string, signal: AbortSignal): Promise<string> {
    this.#stderr.write(`${message} `);
    return this.#lines(signal, (line) => {
      const code = parseCode(line);
      if (code === null) this.#stderr.write(`A code has six digits. ${message} `);
      return code ?? undefined;
    });
  }

  pin(message: string, signal: AbortSignal): Promise<string> {
    this.#stderr.write(`${message} `);
    return this.#lines(signal, (line) => (line === '' ? undefined : line));
  }

  async confirm(message: string, signal: AbortSignal): Promise<boolean> {
    await drain(this.#stdin, signal);
    this.#stderr.write(`${message} [y/N] `);
    return this.#lines(signal, (line) => /^y(es)?$/i.test(line));
  }

  async choose(
    message: string,
    parts: readonly string[],
    signal: AbortSignal,
  ): Promise<boolean | readonly number[]> {
    await drain(this.#stdin, signal);
    if (parts.length > 1) for (const [i, part] of parts.entries()) this.#say(`${i + 1}  ${part}`);
    const how = parts.length > 1 ? '[Y/n, or numbers]' : '[Y/n]';
    this.#stderr.write(`${message} ${how} `);
    return this.#lines(signal, (line) => {
      if (/^(y(es)?)?$/i.test(line)) return true;
      if (/^no?$/i.test(line)) return false;
      const chosen = line.split(/[\s,]+/).map((word) => Number(word) - 1);
      if (chosen.every((place) => place in parts)) return chosen;
      this.#stderr.write(`Type y, n, or some of the numbers. ${message} ${how} `);
      return undefined;
    });
  }

  /** Takes typed lines until one is an answer. */
  async #lines<Reply>(
    signal: AbortSignal,
    answer: (line: string) => Reply | undefined,
  ): Promise<Reply> {
    const lines = createInterface({ input: this.#stdin, terminal: false });
    try {
      return await new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        if (signal.aborted) reject(signal.reason);
        lines.on('close', () => reject(new Left()));
        lines.on('line', (line) => {
          const reply = answer(line.trim());
          if (reply !== undefined) resolve(reply);
        });
      });
    } catch (error) {
      this.#stderr.write('\n');
      throw error;
    } finally {
      lines.close();
    }
  }

  #say(line: string): void {
    this.#stderr.write(`${line}\n`);
  }
}

/** Why a line of numbers is no choice. */
function whyNot(line: string, missing: readonly string[], typed: number): string {
  if (line === '') return 'Type the number of a device.';
  if (missing.length === 0) return 'Type the number of one device.';
  return typed === 1
    ? 'There is no such device now.'
    : `There is no ${oneLine(missing[0] ?? '')} now.`;
}
