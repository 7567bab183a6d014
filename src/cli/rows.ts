import { stripVTControlCharacters } from 'node:util';
import cliTruncate from 'cli-truncate';
import stringWidth from 'string-width';

/**
 * The rows that a terminal needs for what was drawn, once its window has become `columns` wide:
 * it breaks longer lines, but no sign that takes two columns. Whoever redraws must wipe all of them.
 */
export function rowsOf(drawn: string, columns: number): number {
  let rows = 0;
  for (const line of drawn.split('\n')) {
    let width = 0;
    rows += 1;
    for (const { segment } of SIGNS.segment(stripVTControlCharacters(line))) {
      const wide = stringWidth(segment);
      if (width + wide > columns) {
        rows += 1;
        width = 0;
      }
      width += wide;
    }
  }
  return rows;
}

const SIGNS = new Intl.Segmenter();

/** Wipes so many rows, from the one with the cursor up, and stays at the start of the highest. */
export function wipe(rows: number): string {
  return `${rows > 1 ? `\x1b[${rows - 1}A` : ''}\r\x1b[J`;
}

/** A sentence in at most `most` rows, broken between words; what does not fit is cut off. */
export function wrap(sentence: string, columns: number, most: number): string[] {
  const rows: string[] = [];
  for (const word of sentence.split(' ')) {
    const row = rows.at(-1);
    const longer = row === undefined ? word : `${row} ${word}`;
    // The last row takes all that is left.
    if (row === undefined) rows.push(word);
    else if (rows.length === most || stringWidth(longer) <= columns) rows[rows.length - 1] = longer;
    else rows.push(word);
  }
  return rows.map((row) => cut(row, columns));
}

/** A text in at most so many columns. */
export function cut(text: string, columns: number, position: 'end' | 'middle' = 'end'): string {
  const shown = cliTruncate(text, columns, { position });
  // A wide character at the cut is taken for a narrow one.
  return stringWidth(shown) <= columns ? shown : cliTruncate(text, columns - 1, { position });
}
