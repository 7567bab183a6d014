import type { IncomingHttpHeaders } from 'node:http';
import type { Range } from '../../index.ts';

/** What is told of something that can be had in parts. */
export interface Validators {
  /** Another one whenever it is not the same bytes; a strong ETag. */
  readonly etag: string;
  /** Milliseconds since 1970, if that is known. */
  readonly mtime?: number | undefined;
}

/**
 * The part that is asked for (RFC 9110, 14): of `size` bytes, those from there on, to before there.
 * `whole` where none is, or not of these bytes, or several at once, which would need a body of many
 * parts that nobody asks for who resumes; `none` where there are no such bytes.
 */
export function rangeOf(
  headers: IncomingHttpHeaders,
  size: number,
  validators: Validators,
): Range | 'whole' | 'none' {
  const [, first, last] =
    /^bytes=(\d*)-(\d*)$/.exec(headers.range?.replaceAll(' ', '') ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return 'whole';
  if (!isStill(headers['if-range']?.toString(), validators)) return 'whole';
  if (first === '') {
    const from = Math.max(0, size - Number(last));
    return from < size ? { from, to: size } : 'none';
  }
  const from = Number(first);
  const to = last === '' ? size : Math.min(size, Number(last) + 1);
  // What ends before it begins is no range at all.
  if (last !== '' && Number(last) < from) return 'whole';
  return from < size ? { from, to } : 'none';
}

/** When it was written last, as HTTP says it; undefined if it cannot, or if that is to come. */
export function lastModified({ mtime }: Validators, now = Date.now()): string | undefined {
  return mtime !== undefined && mtime >= 0 && mtime <= now
    ? new Date(mtime).toUTCString()
    : undefined;
}

/** Whether what somebody has the start of is what is here now. */
function isStill(given: string | undefined, validators: Validators): boolean {
  if (given === undefined || given === validators.etag) return true;
  // A time tells seconds, in which much can happen, so that of just now proves nothing.
  const isOld = validators.mtime !== undefined && validators.mtime <= Date.now() - SETTLED;
  return isOld && given === lastModified(validators);
}

/** Milliseconds. */
const SETTLED = 60_000;
