import { readFileSync } from 'node:fs';
import { dirname } from 'node:path/posix';

/** A moment in the life of a process: before, after or, when it writes, in the midst of a step. */
export interface Moment {
  /** What it does, e.g. `link into/.drop/part of 6 -> into/a.txt`, or says, e.g. `say ready`. */
  readonly step: string;
  /** Which one of these steps, from 1 on. */
  readonly nth: number;
  readonly when: 'before' | 'amid' | 'after';
}

/** A line of the log. */
export interface Note extends Moment {
  /** It failed, with this code of the system. */
  readonly error?: string;
}

interface Watch {
  /** The file that the steps are written to. */
  readonly log: string;
  /** Real paths of folders, by what they are called in the steps; nothing outside is a step. */
  readonly folders: Readonly<Record<string, string>>;
  /** Whether reading is a step, too. */
  readonly reads?: boolean;
  /** Where the process ends, as by kill -9. */
  readonly end?: Moment | undefined;
}

/** The environment of a `drop` that is watched. */
export function watched(watch: Watch): Record<string, string> {
  return { NODE_OPTIONS: `--import=${PRELOAD}`, CRASH: JSON.stringify(watch) };
}

const PRELOAD = new URL('crash.mjs', import.meta.url).href;

/** All that was noted, in its order; the last line may be cut off. */
export function notesOf(log: string): Note[] {
  return readFileSync(log, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

/** All moments around and in the midst of the steps that changed something on the disk. */
export function momentsOf(notes: readonly Note[]): Moment[] {
  return notes
    .filter((note) => isDone(note) && !note.step.startsWith('say '))
    .flatMap(({ step, nth }) => around(step).map((when) => ({ step, nth, when })));
}

/**
 * One moment of each kind, unless the kind was `seen` before: before the first step of a kind, in the
 * midst of it, and after the last one.
 */
export function kindsOf(moments: readonly Moment[], seen = new Set<string>()): Moment[] {
  const kinds = new Map<string, Moment>();
  for (const moment of moments) {
    const kind = `${moment.when} ${kindOf(moment.step)}`;
    if (seen.has(kind)) continue;
    if (moment.when === 'after' || !kinds.has(kind)) kinds.set(kind, moment);
  }
  for (const kind of kinds.keys()) seen.add(kind);
  return [...kinds.values()];
}

function around(step: string): Moment['when'][] {
  return step.startsWith('write ') ? ['before', 'amid', 'after'] : ['before', 'after'];
}

/** The same for all files, and for all folders that hold them. */
function kindOf(step: string): string {
  return step
    .replace(/part of \d+/, 'part')
    .replace(/whole \d+/, 'whole')
    .replace(/-> into\/.*/, '-> into/name')
    .replace(/^(fsync|fchmod|futimes) into\/(?!\.drop).*/, '$1 into/folder')
    .replace(/^read from\/.*/, 'read from/file')
    .replace(/^say (\w+) .*/, 'say $1');
}

/**
 * What was told to be stored although it was not durable yet: its bytes, its name, or a folder on
 * the way to it. A kill cannot show that, for what the system was told outlives a process.
 */
export function hasty(notes: readonly Note[], stored: readonly string[]): string[] {
  return stored.flatMap((path) => {
    const name = `into/${path}`;
    const said = notes.findIndex(({ step }) => step === `say saved ${name}`);
    const until = said < 0 ? notes : notes.slice(0, said);
    const named = until.findIndex((note) => isDone(note) && note.step.endsWith(` -> ${name}`));
    const [, part = ''] = /^\w+ (.*) -> /.exec(until[named]?.step ?? '') ?? [];
    const complaints = isDurable(until.slice(0, named), part) ? [] : ['its bytes'];
    if (!isSynced(until.slice(named), dirname(name))) complaints.push('its name');
    for (let folder = dirname(name); folder !== 'into'; folder = dirname(folder)) {
      const made = until.findIndex((note) => isDone(note) && note.step === `mkdir ${folder}`);
      if (made >= 0 && !isSynced(until.slice(made), dirname(folder)))
        complaints.push(`the name of ${folder}`);
    }
    return complaints.map((what) => `${name} was stored before that was durable: ${what}`);
  });
}

/** What was done in the target and is not durable when all is complete. */
export function loose(notes: readonly Note[]): string[] {
  const end = notes.findLastIndex(({ step }) => step === 'say summary');
  const until = notes.slice(0, end);
  return until.flatMap((note, i) => {
    const [, call = '', what = ''] = /^(\w+) (?:.* -> )?(into\/(?!\.drop).*)/.exec(note.step) ?? [];
    const changed = /^(link|rename|symlink|mkdir)$/.test(call) ? dirname(what) : what;
    if (!isDone(note) || changed === '' || call === 'fsync' || call === 'open') return [];
    return isSynced(until.slice(i), changed) ? [] : [`not durable in the end: ${note.step}`];
  });
}

/** Staging folders, and what was put into them, before a record that a power cut leaves says whose they are. */
export function unrecorded(notes: readonly Note[]): string[] {
  return notes.flatMap(({ when, step }, i) => {
    const isNew = step === 'mkdir into/.drop';
    if (when !== 'before' || !(isNew || step.startsWith('open into/.drop/'))) return [];
    const until = notes.slice(0, i);
    const last = (what: string): number =>
      until.findLastIndex((note) => isDone(note) && note.step === what);
    const made = last('mkdir into/.drop');
    const recorded = last('rename index/draft -> index/held');
    // One that was taken over has its record from before.
    if (!isNew && made < 0) return [];
    const isKnown =
      recorded > made &&
      isDurable(until.slice(0, recorded), 'index/draft') &&
      isSynced(until.slice(recorded), 'index');
    return isKnown ? [] : [`recorded too late: ${step}`];
  });
}

function isDone({ when, error }: Note): boolean {
  return when === 'after' && !error;
}

/** Whether nothing happened to a file since it was synced last. */
function isDurable(notes: readonly Note[], file: string): boolean {
  const calls = notes.filter(({ step }) => step.endsWith(` ${file}`));
  const begun = calls.findLastIndex(({ when, step }) => when === 'before' && /^fsync /.test(step));
  return begun >= 0 && calls.length === begun + 2 && isSynced(calls.slice(begun), file);
}

/** Whether a sync of it began, and ended well. */
function isSynced(notes: readonly Note[], what: string): boolean {
  const step = `fsync ${what}`;
  const syncs = notes.filter((note) => note.step === step);
  return syncs.some(
    ({ when, nth }, i) =>
      when === 'before' && syncs.slice(i).some((later) => isDone(later) && later.nth === nth),
  );
}
