import { conversations } from './conversations.ts';
import { files } from './files.ts';
import { greetings } from './greetings.ts';
import { live } from './live.ts';
import { multicast } from './multicast.ts';
import { parsers } from './parsers.ts';
import type { Footprint, Result, Target } from './target.ts';

export const TARGETS: readonly Target[] = [
  ...parsers,
  ...files,
  ...greetings,
  ...conversations,
  ...multicast,
  ...live,
];

export interface FuzzOptions {
  readonly seed: number;
  /** After so many seconds in all, and so many executions of each target, it ends. */
  readonly seconds?: number;
  readonly executions?: number;
  readonly targets?: readonly Target[];
  /** Hears the figures, as a table. */
  readonly tell?: (table: string) => void;
}

/** Feeds the targets, one after the other. Throws if there is a finding. */
export async function fuzz(options: FuzzOptions): Promise<Result[]> {
  const { seed, seconds = Infinity, executions = Infinity, targets = TARGETS, tell } = options;
  const ms = (seconds * 1000) / targets.length;
  const results: Result[] = [];
  for (const target of targets) results.push(await target.fuzz(seed, { ms, executions }));
  tell?.(table(results));
  const findings = results.flatMap(findingsOf);
  if (findings.length > 0) throw new Error([`seed ${seed}`, ...findings].join('\n'));
  return results;
}

/** The targets of these names, or all. */
export function named(names: readonly string[]): readonly Target[] {
  const wrong = names.filter((name) => !TARGETS.some((target) => target.name === name));
  if (wrong.length > 0)
    throw new Error(`No ${wrong}; there are ${TARGETS.map(({ name }) => name).join(', ')}.`);
  return names.length === 0 ? TARGETS : TARGETS.filter(({ name }) => names.includes(name));
}

/** More than whoever reads may differ by from one time to the other. */
const MAX_GROWTH: Footprint = { heap: 16e6, memory: 64e6, files: 8 };

function findingsOf({ name, finding, before, after }: Result): string[] {
  const grown = (Object.keys(MAX_GROWTH) as (keyof Footprint)[]).filter(
    (what) => after[what] - before[what] > MAX_GROWTH[what],
  );
  return [
    ...(finding === undefined ? [] : [`${name}: ${finding}`]),
    ...grown.map((what) => `${name}: ${what} grew from ${before[what]} to ${after[what]}`),
  ];
}

function table(results: readonly Result[]): string {
  const head = ['target', 'executions', 'per second', 'understood', 'heap', 'memory', 'files', ''];
  const rows = results.map((result) => {
    const { name, executions, took, understood, before, after } = result;
    const change = (what: keyof Footprint, unit: number): string =>
      [before, after].map((one) => (one[what] / unit).toFixed(unit === 1 ? 0 : 1)).join(' → ');
    return [
      name,
      String(executions),
      ((1000 * executions) / took).toFixed(0),
      `${((100 * understood) / Math.max(1, executions)).toFixed(1)} %`,
      `${change('heap', 1e6)} MB`,
      after.memory === 0 ? '' : `${change('memory', 1e6)} MB`,
      change('files', 1),
      findingsOf(result).length > 0 ? 'FINDING' : 'ok',
    ];
  });
  const widths = head.map((_, at) =>
    Math.max(...[head, ...rows].map((row) => row[at]?.length ?? 0)),
  );
  return [head, ...rows]
    .map((row) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  '))
    .join('\n');
}
