import { parseCode } from '../figures.ts';
import type { Peer, SilentPeer } from '../index.ts';
import { type Asker, drain, Left } from './asker.ts';
import type { Devices } from './devices.ts';
import type { Input, Output, Paint } from './io.ts';

/** Columns that a part of an offer gets, however narrow the window is. */
const MIN_PART = 20;

/** Asks on a terminal. The libraries for it are loaded with the first question. */
export class Prompts implements Asker {
  readonly #stdin: Input;
  readonly #stderr: Output;
  readonly #paint: Paint;

  constructor(stdin: Input, stderr: Output, paint: Paint) {
    this.#stdin = stdin;
    this.#stderr = stderr;
    this.#paint = paint;
  }

  async pick(
    message: string,
    devices: Devices,
    signal: AbortSignal,
    several: boolean,
  ): Promise<readonly (Peer | SilentPeer)[]> {
    const { pickDevices } = await import('./picker.ts');
    const config = { message, devices, several, output: this.#stderr, theme: this.#theme() };
    return this.#ask(signal, (context) => pickDevices(config, context));
  }

  async code(message: string, signal: AbortSignal): Promise<string> {
    const { default: inquirer } = await import('inquirer');
    const { reply } = await this.#ask(signal, (context) =>
      inquirer.createPromptModule(context)([
        {
          type: 'input',
          name: 'reply',
          message,
          theme: this.#theme(),
          validate: (text: string) => parseCode(text) !== null || 'A code has six digits.',
        },
      ]),
    );
    return parseCode(reply) ?? '';
  }

  async pin(message: string, signal: AbortSignal): Promise<string> {
    const { default: inquirer } = await import('inquirer');
    const { reply } = await this.#ask(signal, (context) =>
      inquirer.createPromptModule(context)([
        { type: 'password', name: 'reply', message, mask: '*', theme: this.#theme() },
      ]),
    );
    return reply;
  }

  async confirm(message: string, signal: AbortSignal): Promise<boolean> {
    const { default: inquirer } = await import('inquirer');
    await drain(this.#stdin, signal);
    const { reply } = await this.#ask(signal, (context) =>
      inquirer.createPromptModule(context)([
        { type: 'confirm', name: 'reply', message, default: false, theme: this.#theme() },
      ]),
    );
    return reply;
  }

  async choose(
    message: string,
    parts: readonly string[],
    signal: AbortSignal,
  ): Promise<boolean | readonly number[]> {
    const [{ default: inquirer }, { cut }] = await Promise.all([
      import('inquirer'),
      import('./rows.ts'),
    ]);
    const own = this.#theme();
    const icon = { cursor: '>', checked: ' [x]', unchecked: ' [ ]' };
    // inquirer's own line has glyphs that a terminal may lack.
    const themeWith = (help: string) => ({
      ...own,
      icon,
      style: { ...own.style, keysHelpTip: () => own.style.help(help) },
    });
    await drain(this.#stdin, signal);
    const how = [
      { name: 'all of it', value: true },
      ...(parts.length > 1 ? [{ name: 'some of it', value: 'some' }] : []),
      { name: 'nothing', value: false },
    ];
    const { reply } = await this.#ask(signal, (context) =>
      inquirer.createPromptModule(context)([
        {
          type: 'select',
          name: 'reply',
          message,
          choices: how,
          theme: themeWith('Arrows choose, Enter takes.'),
        },
      ]),
    );
    if (reply !== 'some') return reply;
    // A row for each, and none that the terminal breaks.
    const room = Math.max(MIN_PART, (this.#stderr.columns ?? 80) - '> [ ] '.length - 1);
    const { chosen } = await this.#ask(signal, (context) =>
      inquirer.createPromptModule(context)([
        {
          type: 'checkbox',
          name: 'chosen',
          message: 'Which of it?',
          choices: parts.map((name, value) => ({ name: cut(name, room, 'middle'), value })),
          required: true,
          theme: themeWith('Arrows move, space marks, Enter takes what is marked.'),
        },
      ]),
    );
    return chosen;
  }

  /** Runs one prompt. inquirer knows Ctrl-C; at the end of the input it would wait for ever. */
  async #ask<Reply>(
    signal: AbortSignal,
    prompt: (context: PromptContext) => Promise<Reply>,
  ): Promise<Reply> {
    const ended = new AbortController();
    const onKey = (_: unknown, key: { readonly name?: string; readonly ctrl?: boolean }): void => {
      if (key.ctrl && key.name === 'd') ended.abort();
    };
    const onEnd = (): void => ended.abort();
    this.#stdin.on('keypress', onKey);
    this.#stdin.on('end', onEnd);
    try {
      return await prompt({
        input: this.#stdin,
        output: this.#stderr,
        signal: AbortSignal.any([signal, ended.signal]),
      });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const left = error instanceof Error && error.name === 'ExitPromptError';
      throw left || ended.signal.aborted ? new Left() : error;
    } finally {
      this.#stdin.off('keypress', onKey);
      this.#stdin.off('end', onEnd);
    }
  }

  #theme() {
    return themeOf(this.#paint);
  }
}

interface PromptContext {
  readonly input: Input;
  readonly output: Output;
  readonly signal: AbortSignal;
}

/** The look of all prompts: plain signs, and our colours instead of those that inquirer decides on. */
export function themeOf(paint: Paint) {
  return {
    prefix: '?',
    style: {
      answer: (text: string) => paint('cyan', text),
      message: (text: string) => paint('bold', text),
      error: (text: string) => paint('red', text),
      defaultAnswer: (text: string) => `[${text}]`,
      help: (text: string) => paint('dim', text),
      highlight: (text: string) => paint('cyan', text),
    },
  };
}
