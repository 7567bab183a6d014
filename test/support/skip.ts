import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe } from 'vitest';

/** What a suite needs beside Node: `root` (on Linux), or a command. */
export type Need =
  | 'root'
  | 'ip'
  | 'tc'
  | 'nft'
  | 'tmux'
  | 'avahi-daemon'
  | 'faketime'
  | (string & {});

/** What it takes to make a lab. */
export const LAB = ['root', 'ip', 'tc', 'nft', 'unshare', 'hostname', 'sysctl'] as const;

/** What distributions complete command lines by; it is no command. */
export const BASH_COMPLETION = '/usr/share/bash-completion/bash_completion';

/** The browser of distributions, with which pages are tested. */
export const CHROMIUM = '/usr/bin/chromium';

/**
 * A suite that needs something that not every computer has. Without it, it is skipped and the
 * reason is printed; except where `CI` is set, as a lab that silently tests nothing is worse than none.
 */
export function describeWith(needs: readonly Need[], name: string, suite: () => void): void {
  const missing = needs.filter((need) => !has(need));
  if (missing.length > 0 && process.env.CI)
    throw new Error(`"${name}" cannot be tested: there is no ${missing.join(', no ')}`);
  if (missing.length > 0) console.warn(`skipped: ${name}: needs ${missing.join(', ')}`);
  describe.skipIf(missing.length > 0)(name, suite);
}

function has(need: Need): boolean {
  if (need === 'root') return process.platform === 'linux' && process.getuid?.() === 0;
  if (need === BASH_COMPLETION || need === CHROMIUM) return existsSync(need);
  // What belongs to administrators is not in everybody's PATH.
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => isExecutable(join(folder, need)));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
