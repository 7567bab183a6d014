import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync } from 'node:fs';
import { expect } from 'vitest';

/** How many files this process has open; 0 where the system does not tell. */
export function openHandles(): number {
  return existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0;
}

/** Runs while this process can open no more files. */
export async function withoutHandles(run: () => void | Promise<void>): Promise<void> {
  const limit = (...args: string[]): string =>
    execFileSync('prlimit', ['--pid', String(process.pid), ...args], { encoding: 'utf8' }).trim();
  const before = limit('--nofile', '--output=SOFT', '--noheadings');
  limit(`--nofile=${openHandles() + 50}:`);
  const open: number[] = [];
  try {
    for (;;) open.push(openSync('/dev/null', 'r'));
  } catch (error) {
    expect(error).toMatchObject({ code: 'EMFILE' });
    await run();
  } finally {
    for (const file of open) closeSync(file);
    limit(`--nofile=${before}:`);
  }
}
