import { renderUnicodeCompact } from 'uqr';

/**
 * A text as a picture for the camera of a phone, in lines for a terminal; undefined if it has not
 * so many columns. With `colors` it is black on white whatever the colours of the terminal are;
 * without, it takes a terminal to be dark, and most cameras read it the other way round, too.
 */
export function qrLines(
  text: string,
  { columns, colors }: { readonly columns: number; readonly colors: boolean },
): readonly string[] | undefined {
  const rows = renderUnicodeCompact(text, { border: 2 }).split('\n');
  if ((rows[0]?.length ?? 0) >= columns) return undefined;
  // Of the 256 colours, these two are the same in every theme.
  return colors ? rows.map((row) => `\x1b[38;5;231;48;5;16m${row}\x1b[0m`) : rows;
}
