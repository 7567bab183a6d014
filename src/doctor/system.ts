import { execFile } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What the doctor asks of the operating system; it changes nothing of it. */
export interface System {
  readonly platform: NodeJS.Platform;
  /** Whether rules can be read that only an administrator may read. */
  readonly isRoot: boolean;
  /**
   * What a program of the system prints; undefined if there is none, if it fails or takes too long.
   */
  run(program: string, args: readonly string[]): Promise<string | undefined>;
  /** A small file; undefined if it cannot be read. */
  read(path: string): string | undefined;
}

/** Milliseconds that a program may take; PowerShell needs some to start. */
const LIMIT = 3_000;
const LIMIT_WINDOWS = 6_000;

/** Bytes that a program may print. Some servers have tens of thousands of rules. */
const MAX_OUTPUT = 32 * 1024 * 1024;

/** Where programs of the system lie, whatever `PATH` says. */
const FOLDERS = ['/usr/sbin', '/sbin', '/usr/bin', '/bin', '/usr/libexec/ApplicationFirewall'];

export function systemHere(signal?: AbortSignal): System {
  const { platform } = process;
  return {
    platform,
    isRoot: process.geteuid?.() === 0,
    async run(program, args) {
      const path = pathOf(program);
      if (path === undefined || signal?.aborted) return undefined;
      return new Promise((resolve) => {
        const options = {
          env: platform === 'win32' ? process.env : { LC_ALL: 'C', PATH: FOLDERS.join(':') },
          timeout: platform === 'win32' ? LIMIT_WINDOWS : LIMIT,
          killSignal: 'SIGKILL',
          maxBuffer: MAX_OUTPUT,
          windowsHide: true,
          signal,
        } as const;
        const child = execFile(path, args, options, (error, stdout) =>
          resolve(error ? undefined : stdout),
        );
        child.stdin?.on('error', () => {}).end();
      });
    },
    read(path) {
      try {
        return readFileSync(path, 'utf8');
      } catch {
        return undefined;
      }
    },
  };
}

function pathOf(program: string): string | undefined {
  const root = process.env.SystemRoot ?? 'C:\\Windows';
  if (process.platform === 'win32')
    return program === 'powershell'
      ? join(root, 'System32', 'WindowsPowerShell', 'v1.0', 'powershell.exe')
      : undefined;
  return FOLDERS.map((folder) => join(folder, program)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
