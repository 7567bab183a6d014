import { basename } from 'node:path';
import { InvalidArgumentError } from 'commander';
import { parseRate, parseSize } from './format.ts';

/* What stands behind an option, as it is typed, to what it means. Each says what is wrong with it. */

export function parseText(value: string): string {
  if (value.trim() === '') throw new InvalidArgumentError('It must not be empty.');
  return value;
}

export function parseMessage(value: string): string {
  if (Buffer.byteLength(value) > MAX_MESSAGE)
    throw new InvalidArgumentError(
      'A message has at most 64 KiB; send it as a file: ... | drop send - --name message.txt',
    );
  return parseText(value);
}

/** As the library has it, which is not loaded to read the command line. */
const MAX_MESSAGE = 64 * 1024;

export function parseFilename(value: string): string {
  if (basename(value) !== value || /^[.\s]*$/.test(value))
    throw new InvalidArgumentError('It must be the name of a file, without a folder.');
  return value;
}

export function parsePort(value: string): number {
  const port = Number(value);
  if (!/^\d+$/.test(value) || port < 1 || port > 65_535)
    throw new InvalidArgumentError('A port is a number from 1 to 65535.');
  return port;
}

export function parseCount(value: string): number {
  const count = Number(value);
  if (!/^\d+$/.test(value) || count < 1)
    throw new InvalidArgumentError('It must be a number of transfers, 1 or more.');
  return count;
}

/** Seconds as a person writes them, to milliseconds. A timer cannot wait for more than 24 days. */
export function parseSeconds(value: string): number {
  const ms = Math.round(1000 * Number(value));
  if (!/^\d+(\.\d+)?$/.test(value) || ms >= 2 ** 31)
    throw new InvalidArgumentError('It must be a number of seconds.');
  return ms;
}

/** Each line is one, so that a variable can hold several. */
export function parsePatterns(value: string, before: readonly string[] = []): string[] {
  return [...before, ...value.split('\n')];
}

export function parseLimit(value: string): number {
  const rate = parseRate(value);
  if (rate === null)
    throw new InvalidArgumentError(
      'A rate is written as 20MB/s, 500kB/s, 1MiB/s or 8Mbit/s; a number alone is bytes a second.',
    );
  return rate;
}

export function parseMaxSize(value: string): number {
  const size = parseSize(value);
  if (size === null)
    throw new InvalidArgumentError('A size is written as 500MB, 2GB, 1.5GiB or 4096.');
  return size;
}
