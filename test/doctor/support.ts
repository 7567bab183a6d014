import { readFileSync } from 'node:fs';
import type { System } from '../../src/doctor/system.ts';

/** What programs print, by their command lines, and files hold, by their paths. */
export interface Answers {
  readonly platform?: NodeJS.Platform;
  readonly isRoot?: boolean;
  readonly runs?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
}

/** A computer that is only made of answers. */
export function systemOf({
  platform = 'linux',
  isRoot = true,
  runs = {},
  files = {},
}: Answers): System {
  return {
    platform,
    isRoot,
    run: async (program, args) =>
      runs[[program, ...args].join(' ')] ?? (args.length > 3 ? runs[program] : undefined),
    read: (path) => files[path],
  };
}

/** What a real tool has printed; see the folder. */
export function ruleset(name: string): string {
  return readFileSync(new URL(`rules/${name}.txt`, import.meta.url), 'utf8');
}
