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
 * The status of an answer without bytes, if it is one (RFC 9110, 13): what is asked for only if it is
 * still these bytes, and is not; or if it is not these any more, and still is. A browser that loads a
 * file in several parts at once asks so.
 */
export function unmetBy(
  headers: IncomingHttpHeaders,
  validators: Validators,
): 412 | 304 | undefined {
  const { 'if-match': still, 'if-none-match': other } = headers;
  // No time is looked at where there are tags.
  const before = still === undefined ? timeIn(headers['if-unmodified-since']) : undefined;
  const since = other === undefined ? timeIn(headers['if-modified-since']) : undefined;
  const written = timeIn(lastModified(validators));
  if (still !== undefined && !lists(still, validators.etag)) return 412;
  if (before !== undefined && written !== undefined && written > before) return 412;
  // Here a weak tag does: it is about what is there, not about its bytes.
  if (other !== undefined && lists(other.replaceAll('W/', ''), validators.etag)) return 304;
  if (since !== undefined && written !== undefined && written <= since && isSettled(validators))
    return 304;
  return undefined;
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
  return isSettled(validators) && given === lastModified(validators);
}

/** A time tells seconds, in which much can happen, so that of just now proves nothing. */
function isSettled({ mtime }: Validators): boolean {
  return mtime !== undefined && mtime <= Date.now() - SETTLED;
}

/** Whether a tag is in a list, in which `*` stands for any. */
function lists(tags: string, etag: string): boolean {
  return tags.split(',').some((tag) => tag.trim() === '*' || tag.trim() === etag);
}

/** What is no time says nothing. */
function timeIn(text: string | undefined): number | undefined {
  const time = Date.parse(text ?? '');
  return Number.isNaN(time) ? undefined : time;
}

/** Milliseconds. */
const SETTLED = 60_000;
