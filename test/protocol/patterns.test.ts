import { expect, test } from 'vitest';
import { DropError } from '../../src/errors.ts';
import { checkPatterns } from '../../src/protocol/patterns.ts';

test.each([
  ['node_modules'],
  ['*.log'],
  ['/build'],
  ['build/'],
  ['docs/**/*.tmp'],
  ['!keep.log'],
  ['\\!important'],
  ['\\#1'],
  ['!#1'],
  ['a#b'],
  ['.git'],
  ['...'],
  ['..a/.b'],
  ['a\\\\'],
  ['a\\ '],
  [' a'],
  ['a '],
  ['[]a]'],
  ['[!]]x[^\\]]'],
  ['[[:digit:]]'],
  ['\\[draft'],
  ['a]b'],
  ['**'],
  ['**/a/**/b'],
  ['näme 😀'],
  ['{a,b}'],
])('%j is a pattern', (pattern) => {
  checkPatterns(['a', pattern, 'b']);
});

test.each([
  ['', 'empty'],
  ['  ', 'empty'],
  ['!', 'empty'],
  ['! ', 'empty'],
  ['# all', 'comment'],
  ['a\nb', 'single line'],
  ['a\r', 'single line'],
  ['a\0', 'single line'],
  ['a\\', 'the last one'],
  ['a\\\\\\', 'the last one'],
  ['[a', 'not closed'],
  ['[]', 'not closed'],
  ['[!]x', 'not closed'],
  ['a[b\\]', 'not closed'],
  ['./a', 'matches nothing'],
  ['../a', 'matches nothing'],
  ['a/../b', 'matches nothing'],
  ['!./a', 'matches nothing'],
  ['a//b', 'matches nothing'],
  ['/', 'matches nothing'],
  ['.', 'matches nothing'],
  ['**/a/**/b/**', '2 times'],
])('%j is none, and is told so: %s', (pattern, why) => {
  let failure: unknown;
  try {
    checkPatterns(['a', pattern]);
  } catch (error) {
    failure = error;
  }
  expect(failure).toBeInstanceOf(DropError);
  const { code, message, path } = failure as DropError;
  expect(code).toBe('usage');
  expect(message).toContain(why);
  expect(path).toBe(pattern.trim() === '' ? undefined : pattern);
});
