import stringWidth from 'string-width';

/**
 * The rows that a terminal needs for what was drawn, once its window has become `columns` wide:
 * it breaks longer lines. Whoever redraws must wipe all of them.
 */
export function rowsOf(drawn: string, columns: number): number {
  return drawn
    .split('\n')
    .reduce((rows, line) => rows + Math.max(1, Math.ceil(stringWidth(line) / columns)), 0);
}

/** Wipes so many rows, from the one with the cursor up, and stays at the start of the highest. */
export function wipe(rows: number): string {
  return `${rows > 1 ? `\x1b[${rows - 1}A` : ''}\r\x1b[J`;
}
