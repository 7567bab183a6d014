import { parseCode } from '../figures.ts';
import type { Peer, SilentPeer } from '../index.ts';
import { type Asker, drain, Left } from './asker.ts';
import type { Devices } from './devices.ts';
import type { Input, Output, Paint } from './io.ts';
import type { Picture, Terminal, Theme } from './picture.ts';

/** Columns that a part of an offer gets, however narrow the window is. */
const MIN_PART = 20;

/** Asks on a terminal. The libraries for it are loaded with the first question. */
export class Prompts implements Asker {
  readonly #terminal: Terminal;
  readonly #stdin: Input;
  readonly #stderr: Output;
  readonly #paint: Paint;

  constructor(terminal: Terminal, stderr: Output, paint: Paint) {
    this.#terminal = terminal;
    this.#stdin = terminal.stdin;
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
    const config = { message, devices, several, output: this.#stderr };
    return this.#ask(signal, (context, theme) => pickDevices({ ...config, theme }, context));
  }

  async code(message: string, signal: AbortSignal): Promise<string> {
    const { default: inquirer } = await import('inquirer');
    const { reply } = await this.#ask(signal, (context, theme) =>
      inquirer.createPromptModule(context)([
        {
          type: 'input',
          name: 'reply',
          message,
          theme,
          validate: (text: string) => parseCode(text) !== null || 'A code has six digits.',
        },
      ]),
    );
    return parseCode(reply) ?? '';
  }

  async pin(message: string, signal: AbortSignal): Promise<string> {
    const { default: inquirer } = await import('inquirer');
    const { reply } = await this.#ask(signal, (context, theme) =>
      inquirer.createPromptModule(context)([
        {
          type: 'password',
          name: 'reply',
          message,
          mask: '*',
          theme: helping(theme, 'Ctrl-T shows it.'),
        },
      ]),
    );
    return reply;
  }

  async confirm(message: string, signal: AbortSignal): Promise<boolean> {
    const { default: inquirer } = await import('inquirer');
    const { reply } = await this.#askAnew(signal, (context, theme) =>
      inquirer.createPromptModule(context)([
        { type: 'confirm', name: 'reply', message, default: false, theme },
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
    const how = [
      { name: 'all of it', value: true },
      ...(parts.length > 1 ? [{ name: 'some of it', value: 'some' }] : []),
      { name: 'nothing', value: false },
    ];
    const { reply } = await this.#askAnew(signal, (context, theme) =>
      inquirer.createPromptModule(context)([
        {
          type: 'select',
          name: 'reply',
          message,
          choices: how,
          theme: helping(theme, 'Arrows choose, Enter takes.'),
        },
      ]),
    );
    if (reply !== 'some') return reply;
    // A row for each, and none that the terminal breaks.
    const room = Math.max(MIN_PART, (this.#stderr.columns ?? 80) - '> [ ] '.length - 1);
    const { chosen } = await this.#ask(signal, (context, theme) =>
      inquirer.createPromptModule(context)([
        {
          type: 'checkbox',
          name: 'chosen',
          message: 'Which of it?',
          choices: parts.map((name, value) => ({ name: cut(name, room, 'middle'), value })),
          required: true,
          theme: helping(theme, 'Arrows move, space marks, Enter takes what is marked.'),
        },
      ]),
    );
    return chosen;
  }

  /** The same for a question to which nothing is an answer that was typed before it. */
  async #askAnew<Reply>(signal: AbortSignal, prompt: Prompt<Reply>): Promise<Reply> {
    await import('./picture.ts'); // So that nothing takes long after that.
    await drain(this.#stdin, signal);
    return this.#ask(signal, prompt);
  }

  /** Runs one prompt. inquirer knows Ctrl-C; at the end of the input it would wait for ever. */
  async #ask<Reply>(signal: AbortSignal, prompt: Prompt<Reply>): Promise<Reply> {
    const { Picture, themeOf } = await import('./picture.ts');
    const picture = new Picture(this.#stderr);
    const ended = new AbortController();
    const onKey = (_: unknown, key: { readonly name?: string; readonly ctrl?: boolean }): void => {
      if (key.ctrl && key.name === 'd') ended.abort();
    };
    const onEnd = (): void => ended.abort();
    this.#stdin.on('keypress', onKey);
    this.#stdin.on('end', onEnd);
    try {
      const either = AbortSignal.any([signal, ended.signal]);
      const context = { input: this.#stdin, output: picture, signal: either };
      return await prompt(context, themeOf(this.#paint, picture, this.#terminal));
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const left = error instanceof Error && error.name === 'ExitPromptError';
      throw left || ended.signal.aborted ? new Left() : error;
    } finally {
      this.#stdin.off('keypress', onKey);
      this.#stdin.off('end', onEnd);
    }
  }
}

type Prompt<Reply> = (
  context: { readonly input: Input; readonly output: Picture; readonly signal: AbortSignal },
  theme: Theme,
) => Promise<Reply>;

/** With another line about the keys: inquirer's own has glyphs that a terminal may lack, and colours. */
function helping(theme: Theme, help: string) {
  return {
    ...theme,
    icon: { cursor: '>', checked: ' [x]', unchecked: ' [ ]' },
    style: { ...theme.style, keysHelpTip: () => theme.style.help(help) },
  };
}
