import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Host } from '../lab/hosts.ts';
import { Home } from './home.ts';
import { eventOf, type JsonEvent } from './lines.ts';
import { Changes, type Outcome, text } from './process.ts';
import { Screen } from './screen.ts';

export interface DropOptions {
  /** Where it runs. If not on a host of a lab, then on this machine, where it may use `lo` only. */
  readonly host?: Host;
  /** Whose identity it uses and where downloads land; else somebody's who is new. */
  readonly home?: Home;
  /** Where relative paths begin; else in the home folder. */
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Another build than the present one, e.g. of another version. */
  readonly build?: Build;
}

/** A build of `drop` that can be run. */
export interface Build {
  /** Its `bin/drop.js`. */
  readonly bin: string;
  /** Whether its lines of `--json` may lack what came later. */
  readonly older: boolean;
}

interface ProcessOptions extends DropOptions {
  /** All of its standard input; else there is none. */
  readonly input?: string | Uint8Array;
  /** What runs it, e.g. `['prlimit', '--nofile=40']`. */
  readonly by?: readonly string[];
  /** ms that each wait for it may take, where an outage is part of the test. */
  readonly patience?: number;
  /** Whom it talks to: a report of what went wrong says what that one said, too. */
  readonly peer?: Drop | undefined;
}

type Named<Name extends JsonEvent['event']> = Extract<JsonEvent, { readonly event: Name }>;

/**
 * Runs the built command: `await using receiving = drop(['receive', '--json'])`. What still runs
 * at the end of the block is killed.
 */
export function drop(args: readonly string[], options: ProcessOptions = {}): Drop {
  return new Drop(args, options);
}

/** The same in a terminal, of 80 columns and 24 rows unless it says otherwise. */
export function dropOnScreen(
  args: readonly string[],
  options: DropOptions & {
    readonly home: Home;
    readonly cols?: number;
    readonly rows?: number;
    readonly onOutput?: (data: string) => void;
  },
): Screen {
  const { home, cwd = home.path, env, build, ...where } = options;
  const [file, ...rest] = commandLine(args, options.host, build);
  return new Screen(file, rest, { ...where, cwd, env: { ...home.env, ...env } });
}

/** A running `drop`. */
export class Drop implements AsyncDisposable {
  readonly home: Home;
  /** All events so far; more will come while it runs. */
  readonly events: JsonEvent[] = [];
  readonly #given: Home | undefined;
  readonly #args: readonly string[];
  readonly #build: Build;
  readonly #peer: Drop | undefined;
  readonly #child: ChildProcess;
  readonly #changes: Changes;
  readonly #stdout: () => string;
  readonly #stderr: () => string;
  /** A line of stdout that has not ended yet. */
  #line = '';
  /** What it printed that is no line of `--json`, and why not. */
  #complaint: string | undefined;
  #outcome: Outcome | undefined;

  constructor(args: readonly string[], options: ProcessOptions) {
    this.#args = args;
    this.#build = options.build ?? PRESENT;
    this.#peer = options.peer;
    this.#given = options.home;
    this.home = options.home ?? new Home();
    this.#changes = new Changes(options.patience);
    const { host, cwd = this.home.path, by = [], input } = options;
    const [file = '', ...rest] = [...by, ...commandLine(args, host, options.build)];
    const [program, ...all] = host?.on(file, rest) ?? [file, ...rest];
    const env = { ...this.home.env, ...options.env };
    this.#child = spawn(program, all, { cwd, env, stdio: ['pipe', 'pipe', 'pipe'] });
    // It may end before it has read everything, and says so by its exit code.
    this.#child.stdin?.on('error', () => {}).end(input);
    this.#stdout = text(this.#child.stdout, (piece) => this.#hear(piece));
    this.#stderr = text(this.#child.stderr, () => this.#changes.announce());
    this.#child.once('close', (code, signal) => {
      if (code !== null && this.#line !== '') this.#complaint ??= 'The last line has no end.';
      this.#outcome = { code, signal, stdout: this.#stdout(), stderr: this.#stderr() };
      this.#changes.announce();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The first event of this name, from the start on, that `where` holds for. */
  event<Name extends JsonEvent['event']>(
    name: Name,
    where: (event: Named<Name>) => boolean = () => true,
  ): Promise<Named<Name>> {
    const wanted = (event: JsonEvent): event is Named<Name> =>
      event.event === name && where(event as Named<Name>);
    return this.until(() => this.events.find(wanted), `event "${name}"`);
  }

  /** The match, once what was said to the person has one. */
  said(pattern: RegExp): Promise<RegExpExecArray> {
    return this.until(() => pattern.exec(this.#stderr()) ?? undefined, `${pattern} on stderr`);
  }

  /** What `look` finds here or elsewhere, when something was said. Fails if it ends without. */
  until<T>(look: () => T | undefined, what: string): Promise<T> {
    return this.#changes.until(
      () => {
        this.#check();
        const found = look();
        if (found === undefined && this.#outcome) throw new Error(this.#report(`no ${what}`));
        return found;
      },
      () => this.#report(`no ${what} yet`),
    );
  }

  /** How it ended, once it has. */
  async outcome(): Promise<Outcome> {
    const outcome = await this.#end();
    this.#check();
    return outcome;
  }

  /** All events, each as it comes, until the process ends. */
  async *[Symbol.asyncIterator](): AsyncGenerator<JsonEvent, void, undefined> {
    for (let next = 0; ; next++) {
      const event = await this.#changes.until(
        () => this.events[next] ?? (this.#outcome && null),
        () => this.#report('says no more'),
      );
      if (event === null) return;
      yield event;
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends it as Ctrl-C or `signal` would. */
  stop(signal: NodeJS.Signals = 'SIGINT'): Promise<Outcome> {
    this.kill(signal);
    return this.outcome();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill('SIGKILL');
    await this.#end();
    if (this.#given === undefined) await this.home[Symbol.asyncDispose]();
    this.#check();
  }

  #end(): Promise<Outcome> {
    return this.#changes.until(
      () => this.#outcome,
      () => this.#report('still runs'),
    );
  }

  #hear(piece: string): void {
    if (this.#args.includes('--json')) {
      const lines = (this.#line + piece).split('\n');
      this.#line = lines.pop() ?? '';
      try {
        for (const line of lines) this.events.push(eventOf(line, this.#build));
      } catch (error) {
        this.#complaint ??= String(error);
      }
    }
    this.#changes.announce();
  }

  /** Fails if it has printed anything but what docs/json.md says. */
  #check(): void {
    if (this.#complaint !== undefined) throw new Error(this.#report(this.#complaint));
  }

  #report(what: string): string {
    const end = this.#outcome && `ended with ${this.#outcome.code ?? this.#outcome.signal}`;
    return [
      `drop ${this.#args.join(' ')}: ${what}${end ? `; ${end}` : ''}`,
      `stdout: ${this.#stdout().slice(-SHOWN)}`,
      `stderr: ${this.#stderr().slice(-SHOWN)}`,
      ...(this.#peer ? [this.#peer.#report('at the other end')] : []),
    ].join('\n');
  }
}

/** The one that `npm run build` has made. */
export const PRESENT: Build = {
  bin: fileURLToPath(new URL('../../bin/drop.js', import.meta.url)),
  older: false,
};

/** Characters of output in a report: enough for the last events, not for a whole transfer. */
const SHOWN = 2000;

function commandLine(
  args: readonly string[],
  host: Host | undefined,
  { bin } = PRESENT,
): [string, ...string[]] {
  // As an argument and not as a variable: if it were not understood, nothing would be announced
  // on this machine's networks.
  const only = host === undefined && args.length > 0 ? ['--interface', 'lo'] : [];
  return [process.execPath, bin, ...only, ...args];
}
