import type { Extent, Offered, Risk } from './events.ts';

/**
 * Numbers and texts as people read them, in the terminal and on a page. One convention for sizes:
 * 1 kB is 1000 bytes, as Finder, curl and disks count.
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

/** A time of the clock on the wall here, to the minute: `2026-11-29 19:37`. */
export function formatMinute(time: Date): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  const day = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join('-');
  return `${day} ${two(time.getHours())}:${two(time.getMinutes())}`;
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

/** `Ana`, `Ana and Bob`, `Ana, Bob and Eve`, `Ana, Bob and 3 more`. */
export function formatNames(names: readonly string[]): string {
  const shown = names.length > 3 ? names.slice(0, 2) : names.slice(0, -1);
  const last = names.length > 3 ? `${names.length - 2} more` : (names.at(-1) ?? '');
  return shown.length === 0 ? last : `${shown.join(', ')} and ${last}`;
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

/** Makes a text of others fit to be shown. */
type Clean = (text: string) => string;

/** What is offered: `report.pdf (2.1 MB)`, `photos and 2 more (31 files, 9 MB)`. */
export function formatOffer(offer: Offered, clean: Clean): string {
  return `${formatRoots(offer, clean)} (${formatExtent(offer)})`;
}

/** What it is, without how much: `report.pdf`, `photos and 2 more`, `a message`. */
export function formatRoots(offer: Offered, clean: Clean): string {
  if (!isMessages(offer)) return formatFirst(offer.roots, clean);
  return offer.texts === 1 ? 'a message' : `${offer.texts} messages`;
}

/** How much it is, or a part of it: `2.1 MB`, `31 files, 9 MB so far, and still counting`. */
export function formatExtent(offer: Offered, isPart = false): string {
  const { roots, files, bytes, sized, final } = offer;
  const size = sized ? formatBytes(bytes) : 'size not known';
  if (isMessages(offer)) return size;
  const sizes = sized ? size : `at least ${formatBytes(bytes)}`;
  const isOne = !isPart && roots.length === 1 && files === 1 && final;
  const extent = isOne ? size : `${formatCount(files, 'file')}, ${sizes}`;
  return `${extent}${final ? '' : ' so far, and still counting'}`;
}

/** How much lies in a part of an offer: `3 files, 9.1 MB`, `2.1 MB`. */
export function formatPart({
  folder,
  files,
  bytes,
}: {
  readonly folder: boolean;
  readonly files: number;
  readonly bytes: number;
}): string {
  return folder ? `${formatCount(files, 'file')}, ${formatBytes(bytes)}` : formatBytes(bytes);
}

/** What a person should know of an offer before saying yes to it. */
export function formatRisk(
  { risk, entries, example = '' }: Risk,
  { files, bytes }: Pick<Extent, 'files' | 'bytes'>,
  clean: Clean,
): string {
  const which = `${clean(example)}${entries > 1 ? ` and ${entries - 1} more` : ''}`;
  switch (risk) {
    case 'large':
      return `It is large: ${formatBytes(bytes)}.`;
    case 'many':
      return `It is many files: ${formatCount(files, 'file')}.`;
    case 'runs':
      return `It can do anything when it is opened: ${which}.`;
    case 'renamed':
      return `It will be saved under a safe name: ${which}.`;
    case 'endless':
      return `Nobody knows how much it will be: ${which}.`;
  }
}

/** The first of some names, and how many more there are. */
export function formatFirst([first = '', ...more]: readonly string[], clean: Clean): string {
  return `${clean(first)}${more.length === 0 ? '' : ` and ${more.length} more`}`;
}

/** Whether nothing is offered but messages. */
export function isMessages({ roots, files, texts, final }: Offered): boolean {
  return final && texts > 0 && texts === files && texts === roots.length;
}

/** A path with the home folder as `~`. */
export function tildePath(path: string, home: string): string {
  if (home === '' || home === '/') return path;
  if (path === home) return '~';
  return /^[/\\]/.test(path.slice(home.length)) && path.startsWith(home)
    ? `~${path.slice(home.length)}`
    : path;
}

/** That nobody is asked about a device for so many milliseconds, as that was too often a no. */
export function formatQuiet(device: string, ms: number): string {
  const minutes = formatCount(Math.ceil(ms / 60_000), 'minute');
  return `You are not asked about ${device} for the next ${minutes}: it is refused.`;
}

/** Why a code, or a PIN, is asked for once more. */
export const WHY_AGAIN = {
  code: {
    'wrong-code': 'That code did not match: mistyped, or someone on this network is interfering.',
    'code-changed': 'The code has changed meanwhile. Type the one that is shown now.',
  },
  pin: {
    'wrong-code': 'That PIN did not match: mistyped, or someone on this network is interfering.',
    'code-changed': 'The PIN is another one by now.',
  },
} as const;
