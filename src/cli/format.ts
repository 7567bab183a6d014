/**
 * Numbers and texts as people read them. One convention for sizes: 1 kB is 1000 bytes, as
 * Finder, curl and disks count.
 */

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** `0 B`, `999 B`, `1.0 kB`, `12.3 MB`. At most eight characters up to an exabyte. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // What would be rounded to 1000.0 belongs to the next unit.
  while (unit < UNITS.length - 1 && value >= (unit === 0 ? 1000 : 999.95)) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

/** A duration that is over, from milliseconds: `0.4 s`, `12 s`, `3 min 20 s`, `1 h 5 min`. */
export function formatDuration(ms: number): string {
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Time left, from seconds: `0:05`, `12:34`, `1:02:03`; `-:--` where nobody can tell. */
export function formatClock(seconds: number): string {
  if (!(seconds < 100 * 3600)) return '-:--';
  const whole = Math.ceil(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n: number): string => String(n).padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** `3 files`, `1 file`. */
export function formatCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** A code as it is read aloud: `493 027`, and a PIN: `4930 2711`. */
export function formatCode(code: string): string {
  return code.replace(/^(\d{3,4})(\d{3,4})$/, '$1 $2');
}

/** What was typed as a code: six digits, blanks and dashes allowed anywhere; else null. */
export function parseCode(text: string): string | null {
  const digits = text.normalize('NFKC').replace(/[\s\p{Pd}]/gu, '');
  return /^\d{6}$/.test(digits) ? digits : null;
}

/** A rate as it is typed, `20MB/s` or `8Mbit/s`, in bytes per second; null if it is none. */
export function parseRate(text: string): number | null {
  const [, number, prefix = '', unit] =
    /^(\d+(?:\.\d+)?) *(?:([kKMG]?|[KMG]i)(B|bit))?(?:\/s)?$/.exec(text.trim()) ?? [];
  const factor = PREFIXES[prefix.toUpperCase()];
  if (number === undefined || factor === undefined) return null;
  const rate = (Number(number) * factor) / (unit === 'bit' ? 8 : 1);
  return rate >= 1 && rate < Number.MAX_SAFE_INTEGER ? rate : null;
}

const PREFIXES: Readonly<Record<string, number>> = {
  '': 1,
  K: 1e3,
  M: 1e6,
  G: 1e9,
  KI: 1024,
  MI: 1024 ** 2,
  GI: 1024 ** 3,
};

/** The first digits of a peer id, enough to tell the devices of one room apart. */
export function shortId(id: string): string {
  return id.slice(0, 8);
}

/** A path with the home folder as `~`. */
export function tildePath(path: string, home: string): string {
  if (home === '' || home === '/') return path;
  if (path === home) return '~';
  return /^[/\\]/.test(path.slice(home.length)) && path.startsWith(home)
    ? `~${path.slice(home.length)}`
    : path;
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
 * percentage last of all. Where the total is not known, only what is known is shown.
 */
export function progressLine(progress: Progress, width: number): string {
  const percent = percentOf(progress);
  const { bytes, total, rate } = progress;
  const [reached, speed] = [formatBytes(bytes).padStart(8), `${formatBytes(rate).padStart(8)}/s`];
  if (percent === null) return fitting([reached, speed], width);
  const line = fitting(
    [
      `${percent} %`.padStart(5),
      `${reached} of ${formatBytes(total ?? 0)}`,
      speed,
      `${formatClock(secondsLeft(progress)).padStart(8)} left`,
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
