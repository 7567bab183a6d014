import { randomBytes } from 'node:crypto';
import { MAX_DEVICE_NAME } from '../protocol/limits.ts';
import { clip } from '../protocol/names.ts';

/** A process of `drop`: 16 hex digits, drawn anew each time, so that nobody is followed by them. */
export const RUN = /^[0-9a-f]{16}$/;

export function newRun(): string {
  return randomBytes(8).toString('hex');
}

/**
 * A device's name fit to be announced or listed: one line, nothing invisible, nothing that turns
 * the direction of writing, at most `MAX_DEVICE_NAME` bytes. Empty if nothing is left of it.
 */
export function deviceName(text: string): string {
  const visible = text.replace(/\s+/gu, ' ').replace(INVISIBLE, '').normalize('NFC').trim();
  return clip(visible, MAX_DEVICE_NAME).trimEnd();
}

/** Joiners shape letters and emoji in many scripts, and the two selectors choose how one looks. */
const INVISIBLE = /(?!\u200c|\u200d|\ufe0e|\ufe0f)[\p{C}\p{Default_Ignorable_Code_Point}]/gu;
