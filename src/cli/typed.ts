import { createInterface } from 'node:readline';
import type { Peer, SilentPeer } from '../index.ts';
import { type Asker, drain, Left } from './asker.ts';
import type { Devices } from './devices.ts';
import type { Explanation } from './explanation.ts';
import { parseCode } from './format.ts';
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
  async pick(message: string, devices: Devices, signal: AbortSignal): Promise<Peer | SilentPeer> {
    const numbers: string[] = [];
    const shown = new Set<string>();
    let explained: Explanation | undefined;
    const tell = (): void => {
      for (const { key, name, standing, apart } of devices.choices) {
        if (shown.has(key)) continue;
        if (!numbers.includes(key)) numbers.push(key);
        shown.add(key);
        const about = [name, standing, apart].filter((part) => part !== '').join('  ');
        this.#say(`${numbers.indexOf(key) + 1}  ${about}`);
      }
      for (const key of shown) {
        if (devices.choices.some((choice) => choice.key === key)) continue;
        shown.delete(key);
        this.#say(`${numbers.indexOf(key) + 1}  has gone`);
      }
      const { explanation } = devices;
      if (explanation !== undefined && explanation !== explained)
        for (const sentence of Object.values(explanation)) this.#say(sentence);
      explained = explanation;
    };
    this.#say(`${message} Devices appear here; type the number of one and press Enter.`);
    tell();
    const unsubscribe = devices.subscribe(tell);
    try {
      return await this.#lines(signal, (line) => {
        const key = /^\d{1,6}$/.test(line) ? numbers[Number(line) - 1] : undefined;
        const choice = devices.choices.find((each) => each.key === key);
        if (choice !== undefined) return choice.peer;
        this.#say(line === '' ? 'Type the number of a device.' : 'There is no such device now.');
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
