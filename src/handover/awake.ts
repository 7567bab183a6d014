import { type ChildProcess, spawn } from 'node:child_process';
import { type Environment, withoutOurs } from '../environment.ts';
import type { Report } from '../transfer/report.ts';

export interface AwakeOptions {
  /** How long something must be held before anything is done about it, in milliseconds. */
  readonly after?: number | undefined;
  readonly platform?: NodeJS.Platform | undefined;
}

/** What is over sooner is not worth a process. No machine falls asleep within so little time. */
const AFTER = 5_000;

/**
 * Keeps the machine from falling asleep while it is held. Most systems have a program for that.
 * It runs until it is released, or we end, however we end. Where there is none, or it fails, the
 * machine sleeps when it likes, and nobody is told.
 */
export class Awake {
  readonly #after: number;
  readonly #platform: NodeJS.Platform;
  #holders = 0;
  #timer: NodeJS.Timeout | undefined;
  #guard: ChildProcess | undefined;

  constructor({ after = AFTER, platform = process.platform }: AwakeOptions = {}) {
    this.#after = after;
    this.#platform = platform;
  }

  /** Returns what to call when there is no more reason, as often as one likes. */
  hold(): () => void {
    if (this.#holders++ === 0) this.#timer = setTimeout(() => this.#watch(), this.#after).unref();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      if (--this.#holders === 0) this.#rest();
    };
  }

  #watch(): void {
    const command = guardOf(this.#platform, process.pid, process.env);
    if (command === undefined) return;
    const [program, ...args] = command;
    try {
      const guard = spawn(program, args, {
        env: withoutOurs(process.env),
        stdio: ['pipe', 'ignore', 'ignore'],
        windowsHide: true,
      });
      guard.on('error', () => {});
      guard.stdin?.on('error', () => {});
      guard.unref();
      this.#guard = guard;
    } catch {
      // The system has no room for another process. Ours goes on.
    }
  }

  #rest(): void {
    clearTimeout(this.#timer);
    this.#guard?.stdin?.destroy();
    this.#guard?.kill();
    this.#guard = undefined;
  }
}

/** Holds it while a transfer moves: from its first bytes on, and not while it is paused. */
export class Vigil {
  readonly #awake: Awake;
  readonly #paused = new Set<'here' | 'there'>();
  #release: (() => void) | undefined;

  constructor(awake: Awake) {
    this.#awake = awake;
  }

  hear(report: Report): void {
    if (report.type === 'moved' && this.#paused.size === 0) this.#release ??= this.#awake.hold();
    if (report.type === 'resumed') this.#paused.delete(report.by);
    if (report.type !== 'paused') return;
    this.#paused.add(report.by);
    this.end();
  }

  end(): void {
    this.#release?.();
    this.#release = undefined;
  }
}

/** The program that keeps a machine awake until its standard input or the process `pid` ends. */
export function guardOf(
  platform: NodeJS.Platform,
  pid: number,
  environment: Environment,
): readonly [program: string, ...args: string[]] | undefined {
  switch (platform) {
    case 'linux':
      return [
        'systemd-inhibit',
        '--what=idle:sleep',
        '--who=drop',
        '--why=Files are on their way',
        '--mode=block',
        'cat',
      ];
    case 'darwin':
      return ['/usr/bin/caffeinate', '-i', '-w', `${pid}`];
    case 'win32':
      return [
        // By its whole path: a program of that name in the current folder would go before.
        `${environment.SystemRoot ?? 'C:\\Windows'}\\System32\\WindowsPowerShell\\v1.0\\powershell.exe`,
        '-NoProfile',
        '-NonInteractive',
        // Else PowerShell itself reads the input that the script waits for.
        '-InputFormat',
        'None',
        '-Command',
        STAY_AWAKE,
      ];
    default:
      return undefined;
  }
}

/** Says ES_CONTINUOUS and ES_SYSTEM_REQUIRED, which hold for as long as the one who said so lives. */
const STAY_AWAKE = [
  `$kernel = Add-Type -PassThru -Namespace Drop -Name Kernel -MemberDefinition '[DllImport("kernel32.dll")] public static extern uint SetThreadExecutionState(uint flags);'`,
  '[void]$kernel::SetThreadExecutionState([uint32]2147483649)',
  '[void][Console]::In.ReadToEnd()',
].join('; ');
