import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Host } from '../../test/lab/hosts.ts';
import type { Cost } from './figures.ts';

/** Seconds, by the one clock of all processes of this machine. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e9;
}

export function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

export interface Surroundings {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Files that stand for the streams; without them nothing is read and nothing kept. */
  readonly stdin?: string;
  readonly stdout?: string;
  /** Hears standard output as it comes, instead. */
  readonly onOutput?: (text: string) => void;
}

/** A process on a host of a lab, and what it takes of the machine, with all those that it starts. */
export class Measured implements AsyncDisposable {
  /** Just before it was started. */
  readonly started: number;
  /** When it ended. Rejected if it could not be started. */
  readonly ended: Promise<number>;
  readonly #command: string;
  readonly #notes = mkdtempSync(join(tmpdir(), 'drop-bench-'));
  readonly #child: ChildProcess;
  #code: number | null | undefined;

  constructor(
    host: Host,
    command: string,
    args: readonly string[],
    { env, cwd, stdin, stdout, onOutput }: Surroundings = {},
  ) {
    this.#command = [command, ...args].join(' ');
    const files = [
      stdin === undefined ? 'ignore' : openSync(stdin, 'r'),
      onOutput ? 'pipe' : stdout === undefined ? 'ignore' : openSync(stdout, 'w'),
      openSync(this.#complaints, 'w'),
    ] as const;
    // Nothing between us and the process forks, and each of them takes a millisecond or less.
    const meter = TIME === undefined ? [] : [TIME, '-q', '-o', this.#bill, '-f', '%U %S %M'];
    const all = [`--net=/run/netns/${host.namespace}`, ...meter, command, ...args];
    this.started = now();
    this.#child = spawn('nsenter', all, { env: env ?? process.env, cwd, stdio: [...files] });
    for (const file of files) if (typeof file === 'number') closeSync(file);
    if (onOutput) this.#child.stdout?.setEncoding('utf8').on('data', onOutput);
    this.ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('exit', (code) => {
        this.#code = code;
        resolve(now());
      });
    });
  }

  /** The same, or what it said if it failed. */
  async succeeded(): Promise<number> {
    const at = await withinPatience(this.ended, this.#command);
    if (this.#code !== 0) throw new Error(`${this.#command} failed: ${this.complaints()}`);
    return at;
  }

  /** Once somebody in its network listens at this port, which nobody did before. */
  async listening(port: number): Promise<void> {
    const number = port.toString(16).toUpperCase().padStart(4, '0');
    const line = new RegExp(`^ *\\d+: [0-9A-F]+:${number} 0+:0000 0A `, 'm');
    const listens = () =>
      ['tcp', 'tcp6'].some((table) =>
        line.test(readFileSync(`/proc/${this.#pid}/net/${table}`, 'utf8')),
      );
    await this.until(listens, `listens at ${port}`);
  }

  async until(holds: () => boolean, what: string): Promise<void> {
    const limit = now() + PATIENCE;
    for (;;) {
      if (this.#code !== undefined) throw new Error(`${this.#command} ended: ${this.complaints()}`);
      if (holds()) return;
      if (now() > limit) throw new Error(`${this.#command} never ${what}: ${this.complaints()}`);
      await sleep(2);
    }
  }

  /** Ends a server, once those that it has started for its clients are done. */
  async stop(): Promise<void> {
    await this.until(() => childrenOf(this.#server).length === 0, 'gets done');
    process.kill(this.#server, 'SIGTERM');
    await withinPatience(this.ended, this.#command);
  }

  /** What it took, once it has ended. */
  cost(): Cost {
    if (TIME === undefined) return { cpu: null, peak: null };
    const [user = Number.NaN, system = Number.NaN, peak = Number.NaN] = readFileSync(
      this.#bill,
      'utf8',
    )
      .trim()
      .split(/\s+/)
      .slice(-3)
      .map(Number);
    return { cpu: user + system, peak: peak / 1024 };
  }

  /** What it said on standard error. */
  complaints(): string {
    return readFileSync(this.#complaints, 'utf8').trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#code === undefined) {
      for (const pid of [...descendantsOf(this.#pid), this.#pid]) kill(pid);
      await this.ended;
    }
    rmSync(this.#notes, { recursive: true, force: true });
  }

  get #pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error(`${this.#command} was not started`);
    return pid;
  }

  /** The process itself, not the one that measures it. */
  get #server(): number {
    if (TIME === undefined) return this.#pid;
    const [server] = childrenOf(this.#pid);
    if (server === undefined) throw new Error(`${this.#command} ended: ${this.complaints()}`);
    return server;
  }

  get #bill(): string {
    return join(this.#notes, 'bill');
  }

  get #complaints(): string {
    return join(this.#notes, 'complaints');
  }
}

/** Seconds after which what has not happened will not; a million files take their time. */
const PATIENCE = 1800;

/** GNU time, which is not the word of the shell. Without it, nobody knows what a process took. */
const TIME = ['/usr/bin/time', '/bin/time'].find((path) => {
  try {
    return execFileSync(path, ['-q', '-f', '%M', 'true'], { stdio: 'pipe' }).length === 0;
  } catch {
    return false;
  }
});

async function withinPatience<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} does not end`)), PATIENCE * 1000);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .split(' ')
      .filter(Boolean)
      .map(Number);
  } catch {
    return []; // It has just ended.
  }
}

function descendantsOf(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [...descendantsOf(child), child]);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended by itself.
  }
}
