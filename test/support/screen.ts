import { type IPty, spawn } from '@lydell/node-pty';
import xterm from '@xterm/headless';
import type { Host } from '../lab/hosts.ts';
import { Changes } from './process.ts';

export interface ScreenOptions {
  /** Where it runs, if not on this machine. */
  readonly host?: Host | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string | undefined;
  readonly cols?: number | undefined;
  readonly rows?: number | undefined;
  /** What the program writes, as it comes. */
  readonly onOutput?: ((data: string) => void) | undefined;
}

/** A terminal with one program in it, as the person in front of it sees it. */
export class Screen implements AsyncDisposable {
  readonly #pty: IPty;
  readonly #terminal: xterm.Terminal;
  readonly #changes = new Changes();
  #cursorShown = true;
  #ended: { readonly code: number; readonly signal: number } | undefined;

  constructor(command: string, args: readonly string[], options: ScreenOptions) {
    const { host, env, cwd, cols = 80, rows = 24, onOutput } = options;
    const [file, ...rest] = host?.on(command, args) ?? [command, ...args];
    this.#terminal = new xterm.Terminal({ cols, rows, scrollback: 5000, allowProposedApi: true });
    this.#watchCursor();
    const place = cwd === undefined ? {} : { cwd };
    this.#pty = spawn(file, rest, {
      name: 'xterm-256color',
      cols,
      rows,
      env: { ...env },
      ...place,
    });
    this.#pty.onData((data) => {
      onOutput?.(data);
      this.#terminal.write(data, () => this.#changes.announce());
    });
    // A terminal answers some questions, e.g. where its cursor is.
    this.#terminal.onData((answer) => this.#pty.write(answer));
    this.#pty.onExit(({ exitCode, signal }) =>
      this.#terminal.write('', () => {
        this.#ended = { code: exitCode, signal: signal ?? 0 };
        this.#changes.announce();
      }),
    );
  }

  /** The rows that can be seen, without blanks at their ends and empty rows at the end. */
  text(): string {
    return this.#rows(this.#terminal.buffer.active.viewportY);
  }

  /** The same with all that has scrolled away. */
  history(): string {
    return this.#rows(0);
  }

  get cursorShown(): boolean {
    return this.#cursorShown;
  }

  /** Keys, as a terminal sends them: `'\r'` is Enter, `'\x03'` Ctrl-C, `'\x1b[B'` the down arrow. */
  type(keys: string): void {
    this.#pty.write(keys);
  }

  resize(cols: number, rows: number): void {
    this.#terminal.resize(cols, rows);
    this.#pty.resize(cols, rows);
  }

  /** The match, once the visible text has one. Fails when the program ends without it. */
  waitFor(pattern: RegExp): Promise<RegExpExecArray> {
    return this.until(() => pattern.exec(this.text()) ?? undefined, `${pattern}`);
  }

  /**
   * Waits until all that `check` expects of the visible text is so at once. What is drawn anew can
   * be seen before it is whole, so whoever looks at it twice may see two pictures.
   */
  async shows(check: (text: string) => void): Promise<void> {
    let missing: unknown;
    const look = (): true | undefined => {
      try {
        check(this.text());
        return true;
      } catch (error) {
        missing = error;
        return undefined;
      }
    };
    await this.until(look, 'all that is expected').catch((error: unknown) => {
      throw new Error(`${missing}`, { cause: error });
    });
  }

  /** Waits until it can no longer be seen. */
  async waitForGone(pattern: RegExp): Promise<void> {
    await this.until(() => (pattern.test(this.text()) ? undefined : true), `no ${pattern}`);
  }

  /** What `look` finds on the screen or elsewhere, when the screen has changed. */
  until<T>(look: () => T | undefined, what: string): Promise<T> {
    const seen = (): string => `Wanted: ${what}. On the screen:\n${this.text()}`;
    return this.#changes.until(() => {
      const found = look();
      if (found === undefined && this.#ended)
        throw new Error(`It has ended (${JSON.stringify(this.#ended)}). ${seen()}`);
      return found;
    }, seen);
  }

  /** How the program ended: `signal` is a number, 0 if none. */
  outcome(): Promise<{ readonly code: number; readonly signal: number }> {
    return this.#changes.until(
      () => this.#ended,
      () => `It still runs. On the screen:\n${this.text()}`,
    );
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.#pty.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) this.kill();
    await this.outcome();
    this.#terminal.dispose();
  }

  #rows(from: number): string {
    const { active } = this.#terminal.buffer;
    const end = active.baseY + this.#terminal.rows;
    const rows = Array.from({ length: end - from }, (_, row) =>
      active.getLine(from + row)?.translateToString(true),
    );
    return rows.join('\n').trimEnd();
  }

  /** The emulator does not tell whether the cursor shows, so the sequences are heard here. */
  #watchCursor(): void {
    for (const [final, shown] of [['h', true] as const, ['l', false] as const])
      this.#terminal.parser.registerCsiHandler({ prefix: '?', final }, (parameters) => {
        if (parameters.includes(25)) this.#cursorShown = shown;
        return false;
      });
  }
}
