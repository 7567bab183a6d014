import type { Risk } from '../events.ts';
import { LARGE, MANY } from '../limits.ts';
import { type Entry, hasData, nameOf, parentOf, sizeOf } from './manifest.ts';
import { type Platform, safeName } from './names.ts';

/** What speaks against the entries of an offer, as they come. */
export class Risks {
  readonly #platform: Platform;
  readonly #found = new Map<Risk['risk'], { entries: number; example: string }>();
  #files = 0;
  #bytes = 0;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  get list(): Risk[] {
    const whole: Risk[] = [];
    if (this.#bytes > LARGE) whole.push({ risk: 'large', entries: this.#files });
    if (this.#files > MANY) whole.push({ risk: 'many', entries: this.#files });
    const found = [...this.#found].map(([risk, what]) => ({ risk, ...what }));
    return [...whole, ...found.filter(({ entries }) => entries > 0)];
  }

  /** Counts an entry, or with -1 takes it back. */
  count(entry: Entry, by: 1 | -1): void {
    if (hasData(entry)) this.#files += by;
    this.#bytes += by * sizeOf(entry);
    for (const risk of risksOf(entry, this.#platform)) {
      const before = this.#found.get(risk);
      const { entries, example } = before?.entries ? before : { entries: 0, example: entry.path };
      this.#found.set(risk, { entries: entries + by, example });
    }
  }
}

/** What speaks against a single entry. */
export function risksOf(
  entry: Entry,
  platform: Platform,
): Exclude<Risk['risk'], 'large' | 'many'>[] {
  const { kind, path } = entry;
  const name = nameOf(path);
  const place = { platform, top: parentOf(path) === '' };
  return [
    ...(hasData(entry) && runsWhenOpened(name, entry.mode) ? (['runs'] as const) : []),
    ...(safeName(name, place) === name ? [] : (['renamed'] as const)),
    ...(kind === 'stream' ? (['endless'] as const) : []),
  ];
}

/** POSIX programs have the right to run and no extension; from foreign disks all files have the right. */
function runsWhenOpened(name: string, mode = 0): boolean {
  return RUNS_WHEN_OPENED.test(name.trimEnd()) || ((mode & 0o111) !== 0 && !name.includes('.'));
}

/** Names of files that do something when a person opens them in one system or another. */
const RUNS_WHEN_OPENED =
  /\.(exe|msi|bat|cmd|com|scr|pif|ps1|vbs|js|jse|wsf|hta|jar|lnk|url|desktop|appimage|app|command|sh|py|dmg|pkg|deb|rpm|iso|apk|reg)$/i;
