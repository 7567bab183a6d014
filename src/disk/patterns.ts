import type { Ignore } from 'ignore';
import type { Platform } from '../protocol/names.ts';
import { checkPatterns } from '../protocol/patterns.ts';

/**
 * Patterns as in a `.gitignore`: the last one that matches a path, or a folder that it lies in,
 * decides. Letters are the same in both cases where they are so to the file systems of a platform.
 */
export class Patterns {
  readonly #rules: Ignore;
  readonly #again: (rules: Ignore) => Ignore;
  /** The rules, and what they said of the last few paths. */
  #asked: Ignore;
  #times = 0;

  private constructor(rules: Ignore, again: (rules: Ignore) => Ignore) {
    this.#rules = this.#asked = rules;
    this.#again = again;
  }

  /** Throws `usage` like `checkPatterns`. What understands them is loaded only now. */
  static async read(patterns: readonly string[], platform: Platform): Promise<Patterns> {
    checkPatterns(patterns);
    const { default: ignore } = await import('ignore');
    const options = { ignorecase: platform !== 'posix', allowRelativePaths: true };
    const again = (rules: Ignore): Ignore => ignore(options).add(rules);
    const rules = ignore(options);
    // One by one, for each is a line of its own, whatever is in it.
    for (const pattern of patterns) rules.add([composed(pattern)]);
    return new Patterns(rules, again);
  }

  /** Whether they match a path, whose names are joined by `/`. */
  match(path: string, isFolder: boolean): boolean {
    // It remembers all that it was ever asked, for which there may be no memory.
    if (++this.#times % REMEMBERED === 0) this.#asked = this.#again(this.#rules);
    return this.#asked.ignores(composed(isFolder ? `${path}/` : path));
  }
}

/** Paths that are remembered: some more than what lies in one folder, and few enough to be forgotten. */
const REMEMBERED = 64;

/** Nobody sees whether an accent is part of its letter. */
function composed(text: string): string {
  return text.normalize('NFC');
}
