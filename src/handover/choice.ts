import { Patterns } from '../disk/patterns.ts';
import { platformHere } from '../disk/platform.ts';
import { DropError } from '../errors.ts';
import { type Entry, hasData, parentOf, rootOf, sizeOf } from '../protocol/manifest.ts';
import type { Platform } from '../protocol/names.ts';
import { checkPatterns } from '../protocol/patterns.ts';

/** A part of an offer. */
export interface Choice {
  /** Whether it is all that is offered. */
  readonly all: boolean;
  /** Whether an entry belongs to it: one of the patterns matches it, or a folder that it lies in. */
  readonly wants: (entry: Entry) => boolean;
  /** The patterns that have matched nothing so far, as they were given. */
  readonly unmatched: readonly string[];
}

/**
 * What is chosen of an offer by patterns as in a `.gitignore` that lies at its top: there they
 * leave out, here they take. The path of something offered is one, too, whatever characters are in
 * it. Throws `usage`, with the pattern, for what is none; without any, all is chosen.
 */
export async function chosenBy(
  patterns: readonly string[],
  platform: Platform = platformHere(),
): Promise<Choice> {
  checkChoice(patterns);
  const all = await Promise.all(patterns.map((pattern) => readPattern(pattern, platform)));
  const wants = (entry: Entry): boolean => {
    let wanted = all.length === 0;
    for (const one of all) {
      if (wanted && one.found) continue;
      if (!one.matches(entry)) continue;
      wanted = one.found = true;
    }
    return wanted;
  };
  return {
    all: patterns.length === 0,
    wants,
    get unmatched() {
      return patterns.filter((_, i) => !all[i]?.found);
    },
  };
}

/**
 * The same for paths of an offer that a person has marked: each with all that it holds, and nothing
 * else, whatever characters are in it. Who offers it has chosen the name, and `*` is one, too.
 */
export function markedBy(paths: readonly string[]): Choice['wants'] {
  const marked = new Set(paths);
  return ({ path }) => {
    let at = path;
    while (at !== '' && !marked.has(at)) at = parentOf(at);
    return at !== '';
  };
}

/** Throws `usage` like `chosenBy`, before anything is asked or looked for. */
export function checkChoice(patterns: readonly string[]): void {
  checkPatterns(patterns);
  const negated = patterns.find((pattern) => pattern.startsWith('!'));
  if (negated !== undefined)
    throw new DropError('usage', {
      message: 'A choice names what is wanted. A name that begins with ! is written as \\!.',
      path: negated,
    });
}

/** Something that a person can choose of an offer. */
export interface Part {
  /** As it is offered; of a folder, all that is in it belongs to it. */
  readonly path: string;
  readonly folder: boolean;
  readonly files: number;
  readonly bytes: number;
}

/** What was offered as few parts: what was picked, or where that is one folder, what lies in it. */
export function partsOf(entries: readonly Entry[]): Part[] {
  const inside = new Set(entries.map(({ path }) => rootOf(path))).size === 1;
  const parts = new Map<string, { folder: boolean; files: number; bytes: number }>();
  for (const entry of entries) {
    const [root = '', ...below] = entry.path.split('/');
    if (inside && below.length === 0) continue;
    const path = inside ? `${root}/${below[0]}` : root;
    const { folder, files, bytes } = parts.get(path) ?? { folder: false, files: 0, bytes: 0 };
    parts.set(path, {
      folder: folder || entry.path !== path || entry.kind === 'folder',
      files: files + (hasData(entry) ? 1 : 0),
      bytes: bytes + sizeOf(entry),
    });
  }
  return Array.from(parts, ([path, part]) => ({ path, ...part }));
}

interface Pattern {
  matches(entry: Entry): boolean;
  /** Whether it has matched anything. */
  found: boolean;
}

async function readPattern(pattern: string, platform: Platform): Promise<Pattern> {
  const glob = await Patterns.read([pattern], platform);
  const inside = `${pattern.replace(/\/$/, '')}/`;
  return {
    matches: ({ path, kind }) =>
      path === pattern || path.startsWith(inside) || glob.match(path, kind === 'folder'),
    found: false,
  };
}
