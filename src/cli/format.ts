import { formatBytes, formatClock } from '../figures.ts';

/** What is typed and drawn on a command line, beside the figures that are the same on a page. */

/** A rate as it is typed, `20MB/s` or `8Mbit/s`, in bytes per second; null if it is none. */
export function parseRate(text: string): number | null {
  const [, number, prefix = '', unit] =
    /^(\d+(?:\.\d+)?) *(?:([kKMG]?|[KMG]i)(B|bit))?(?:\/s)?$/.exec(text.trim()) ?? [];
  const factor = PREFIXES[prefix.toUpperCase()];
  if (number === undefined || factor === undefined) return null;
  const rate = (Number(number) * factor) / (unit === 'bit' ? 8 : 1);
  return rate >= 1 && rate < Number.MAX_SAFE_INTEGER ? rate : null;
}

/** An amount as it is typed, `20MB` or `1GiB`, in bytes; null if it is none. */
export function parseSize(text: string): number | null {
  const [, number, prefix = ''] =
    /^(\d+(?:\.\d+)?) *(?:([kKMGT]?|[KMGT]i)B?)?$/.exec(text.trim()) ?? [];
  const factor = PREFIXES[prefix.toUpperCase()];
  if (number === undefined || factor === undefined) return null;
  const size = Math.floor(Number(number) * factor);
  return size >= 1 && Number.isSafeInteger(size) ? size : null;
}

const PREFIXES: Readonly<Record<string, number>> = {
  '': 1,
  K: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  KI: 1024,
  MI: 1024 ** 2,
  GI: 1024 ** 3,
  TI: 1024 ** 4,
};

/** The first digits of a peer id, enough to tell the devices of one room apart. */
export function shortId(id: string): string {
  return id.slice(0, 8);
}

/**
 * A line in as many rows as it takes, each of at most `columns`, broken after blanks where there are
 * any; nothing of it is lost. Whatever is not ASCII may take two columns, and is taken for that wide.
 */
export function fold(line: string, columns: number): string[] {
  const rows: string[] = [];
  let row = '';
  let width = 0;
  const end = (): void => {
    rows.push(row);
    row = '';
    width = 0;
  };
  for (const word of line.match(/[^ ]+ *| +/g) ?? []) {
    const wide = widthOf(word);
    if (width > 0 && width + wide > columns) end();
    if (wide > columns)
      for (const sign of word) {
        if (width + widthOf(sign) > columns) end();
        row += sign;
        width += widthOf(sign);
      }
    else {
      row += word;
      width += wide;
    }
  }
  return [...rows, row];
}

/** Columns at most. */
function widthOf(text: string): number {
  let width = 0;
  for (const sign of text) width += sign <= '~' ? 1 : 2;
  return width;
}

/** How far something has come; `total` is null where nobody knows. */
interface Share {
  readonly bytes: number;
  readonly total: number | null;
}

/** What the numbers of a progress line are made of. */
export interface Progress extends Share {
  readonly rate: number;
}

/** Whole percent, never 100 before the end; null where the total is not known. */
export function percentOf({ bytes, total }: Share): number | null {
  if (total === null) return null;
  return total === 0 ? 100 : Math.min(100, Math.floor((100 * bytes) / total));
}

/** Seconds left at this rate; infinite where nobody can tell. */
export function secondsLeft({ bytes, total, rate }: Progress): number {
  if (total === null) return Number.POSITIVE_INFINITY;
  return bytes >= total ? 0 : (total - bytes) / rate;
}

/** Cells of a bar, where there is room for it. */
const BAR = 20;
const MIN_BAR = 10;

/**
 * The whole transfer in one line of at most `width` columns. Every number keeps its place while
 * it grows; the bar takes what is left, and what does not fit is left out from the right, the
 * percentage last of all. Where the total is not known, only what is known is shown. What is `resting`
 * has no rate and no time left, but this word for it.
 */
export function progressLine(progress: Progress, width: number, resting?: string): string {
  const percent = percentOf(progress);
  const { bytes, total, rate } = progress;
  const reached = formatBytes(bytes).padStart(8);
  const speed = resting ?? `${formatBytes(rate).padStart(8)}/s`;
  if (percent === null) return fitting([reached, speed], width);
  const left = `${formatClock(secondsLeft(progress)).padStart(8)} left`;
  const line = fitting(
    [
      `${percent} %`.padStart(5),
      `${reached} of ${formatBytes(total ?? 0)}`,
      speed,
      ...(resting === undefined ? [left] : []),
    ],
    width,
  );
  const cells = Math.min(BAR, width - line.length - '[] '.length);
  if (cells < MIN_BAR) return line;
  const filled = Math.round((cells * percent) / 100);
  return `[${'#'.repeat(filled)}${'-'.repeat(cells - filled)}] ${line}`;
}

/** As many of the parts as fit, the first ones, two blanks apart. */
function fitting(parts: readonly string[], width: number): string {
  return parts.filter((_, n) => parts.slice(0, n + 1).join('  ').length <= width).join('  ');
}

/** Rows whose columns stand below each other, two blanks apart; `widthOf` counts columns of the terminal. */
export function formatTable(
  rows: readonly (readonly string[])[],
  widthOf: (text: string) => number,
): string[] {
  const widths: number[] = [];
  for (const row of rows)
    for (const [n, cell] of row.entries()) widths[n] = Math.max(widths[n] ?? 0, widthOf(cell));
  return rows.map((row) =>
    row
      .map((cell, n) => cell + ' '.repeat((widths[n] ?? 0) - widthOf(cell)))
      .join('  ')
      .trimEnd(),
  );
}

/**
 * One object as one line of JSON that no terminal can be steered by: JSON leaves C1 controls and
 * the signs that turn the direction of writing as they are, here they are escaped.
 */
export function jsonLine(value: object): string {
  const line = JSON.stringify(value);
  if (/^[ -~]*$/.test(line)) return line;
  return line.replace(UNSEEN, (sign) =>
    Array.from({ length: sign.length }, (_, n) => escapeUnit(sign.charCodeAt(n))).join(''),
  );
}

/** What was typed here, as it can be shown. Texts of peers need more: `forTerminal`. */
export function oneLine(text: string): string {
  return text.replace(UNSEEN, '?');
}

/** A word of the command line as it can be shown: quoted if a shell would need it. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./\\-]+$/.test(word) ? word : `"${oneLine(word)}"`;
}

const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

function escapeUnit(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}
