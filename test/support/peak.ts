import { readFileSync } from 'node:fs';

/** The environment of a process that says in this file, when it has ended, what it was like. */
export function notingPeak(file: string): Record<string, string> {
  return { NODE_OPTIONS: `--import=${PRELOAD}`, PEAK: file };
}

const PRELOAD = new URL('peak.mjs', import.meta.url).href;

/** The most that a process has held in memory so far, in KiB; `status` is its own, or what it has left. */
export function peakIn(status: string): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(status, 'utf8'))?.[1]);
}
