import { DropError } from '../errors.ts';
import { MAX_GLOBSTARS } from '../limits.ts';

/**
 * Throws `usage`, with the pattern as its path, if one of these is no pattern as it may stand in a
 * `.gitignore`, or can match nothing. There it would be passed over; here somebody has typed it.
 */
export function checkPatterns(patterns: readonly string[]): void {
  for (const pattern of patterns) {
    const message = problemOf(pattern);
    const path = pattern.trim() === '' ? {} : { path: pattern };
    if (message !== undefined) throw new DropError('usage', { message, ...path });
  }
}

function problemOf(pattern: string): string | undefined {
  const body = pattern.replace(/^!/, '');
  if (/^ *$/.test(body)) return 'A pattern must not be empty.';
  if (/[\0\n\r]/.test(body)) return 'A pattern is a single line.';
  if (pattern.startsWith('#'))
    return 'In a .gitignore this is a comment. A name that begins with # is written as \\#.';
  if (/(?<!\\)(?:\\\\)*\\$/.test(body))
    return 'A \\ stands before the character that is meant as it is, and here it is the last one.';
  if (body.replace(ESCAPED_OR_SET, '').includes('['))
    return 'A [ is not closed by a ]. If it belongs to the name, it is written as \\[.';
  const names = body.replace(/^\//, '').replace(/\/$/, '').split('/');
  if (names.some((name) => /^\.{0,2}$/.test(name)))
    return 'This matches nothing: a pattern names what lies below, without . and .. on the way.';
  if (names.filter((name) => /^\*{2,}$/.test(name)).length > MAX_GLOBSTARS)
    return `A pattern may have ** ${MAX_GLOBSTARS} times at most.`;
  return undefined;
}

/** What is meant as it is, and a set of characters, in which `]` may come first: `\[`, `[^]a-z[:digit:]]`. */
const ESCAPED_OR_SET =
  /\\.|\[(?:[!^]|(?![!^]))(?:\[:[a-z]+:\]|\\.|[^\\])(?:\[:[a-z]+:\]|\\.|[^\\\]])*\]/gsu;
