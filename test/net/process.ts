import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Host } from '../lab/hosts.ts';
import { Changes } from '../support/process.ts';

type Line = Readonly<Record<string, unknown>>;

/** A process of `process.mjs` on a host. It ends with the host. */
export class Running {
  /** All lines so far, those on stderr as `{ event: 'stderr', text }`; what is to come appears here. */
  readonly lines: Line[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  readonly #changes = new Changes();
  #over = false;

  constructor(host: Host, args: readonly string[]) {
    this.#child = host.spawn(process.execPath, [PROGRAM, ...args]);
    const { stdout, stderr } = this.#child;
    if (!stdout || !stderr) throw new Error('Its streams are pipes.');
    createInterface(stdout).on('line', (line) => this.#hear(JSON.parse(line)));
    createInterface(stderr).on('line', (text) => this.#hear({ event: 'stderr', text }));
    this.#ended = once(this.#child, 'close').then(([code]) => {
      this.#over = true;
      this.#changes.announce();
      return code;
    });
  }

  /** Writes lines to its input, and ends it. */
  tell(lines: readonly string[]): void {
    this.#child.stdin?.end(lines.map((line) => `${line}\n`).join(''));
  }

  /** The first line, from the start on, that has all of `fields`; fails when the process ends. */
  said(fields: object): Promise<Line> {
    const seen = (): string =>
      `no ${JSON.stringify(Object.values(fields).map(String))} in ${JSON.stringify(this.lines.slice(-5))}`;
    return this.#changes.until(() => {
      const line = this.lines.find((one) => matches(one, fields));
      if (line === undefined && this.#over) throw new Error(`It ended: ${seen()}`);
      return line;
    }, seen);
  }

  end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.#child.kill(signal);
    return this.#ended;
  }

  #hear(line: Line): void {
    this.lines.push(line);
    this.#changes.announce();
  }
}

const PROGRAM = fileURLToPath(new URL('process.mjs', import.meta.url));

function matches(line: Line, fields: object): boolean {
  return Object.entries(fields).every(([key, value]) =>
    value instanceof RegExp ? value.test(String(line[key])) : line[key] === value,
  );
}
