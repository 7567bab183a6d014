import { randomBytes } from 'node:crypto';

/** A process of `drop`: 16 hex digits, drawn anew each time, so that nobody is followed by them. */
export const RUN = /^[0-9a-f]{16}$/;

export function newRun(): string {
  return randomBytes(8).toString('hex');
}
