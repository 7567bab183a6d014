import fc from 'fast-check';
import stringWidth from 'string-width';
import { describe, expect, test } from 'vitest';
import { rowsOf, wrap } from '../../src/cli/rows.ts';

describe('a sentence', () => {
  test('is broken between words', () => {
    expect(wrap('one two three four', 9, 3)).toEqual(['one two', 'three', 'four']);
    expect(wrap('one two', 9, 3)).toEqual(['one two']);
  });

  test('is cut off where there are no more rows, or a word is too long', () => {
    expect(wrap('one two three four five', 9, 2)).toEqual(['one two', 'three fo…']);
    expect(wrap('a-very-long-word', 9, 2)).toEqual(['a-very-l…']);
  });

  test('never takes more room than it may', () => {
    const text = fc.stringMatching(/^[a-zé日 ]{0,200}$/);
    fc.assert(
      fc.property(
        text,
        fc.integer({ min: 4, max: 80 }),
        fc.integer({ min: 1, max: 4 }),
        (...all) => {
          const [sentence, columns, most] = all;
          const rows = wrap(sentence, columns, most);
          expect(rows.length).toBeLessThanOrEqual(most);
          for (const row of rows) expect(stringWidth(row)).toBeLessThanOrEqual(columns);
        },
      ),
    );
  });
});

test('a sign that takes two columns is not divided between two rows', () => {
  expect(rowsOf('日'.repeat(37), 25)).toBe(4);
  expect(rowsOf('日'.repeat(37), 26)).toBe(3);
  expect(rowsOf('a\n\x1b[1mb\x1b[22m\n', 1)).toBe(3);
});
