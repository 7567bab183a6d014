// npm run bench:discovery -- [--quick] [--json] [--rows NAME]: how fast devices find each other, with
// the built command on hosts in network namespaces. docs/PERFORMANCE.md says what was measured.

import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { type Judged, judge, table } from '../figures.ts';
import { SITUATIONS } from './situations.ts';

process.exitCode = await main();

async function main(): Promise<number> {
  const { quick, json, rows } = order();
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    throw new Error('The bench makes network namespaces, so it needs root on Linux.');
  const machine = { node: process.version, cpus: cpus().length, load: [load()] };
  const judged: Judged[] = [];
  try {
    for (const [name, { measure, full, quick: few }] of Object.entries(SITUATIONS)) {
      if (rows.length > 0 && !rows.includes(name)) continue;
      const runs = quick ? few : full;
      process.stderr.write(`${name}, ${runs} times; the load is ${load().toFixed(1)}\n`);
      judged.push(...(await measure(runs)).map(judge));
      machine.load.push(load());
    }
  } finally {
    // What was measured is worth seeing even if the rest failed.
    const { node, cpus: cores, load: loads } = machine;
    process.stdout.write(
      json
        ? `${JSON.stringify({ ...machine, rows: judged }, undefined, 2)}\n`
        : `${table(judged)}\n\nNode ${node}, ${cores} cores, load ${span(loads)}\n`,
    );
  }
  return judged.some(({ met }) => met === false) ? 1 : 0;
}

function order(): { quick: boolean; json: boolean; rows: readonly string[] } {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      rows: { type: 'string', multiple: true, default: [] },
    },
  });
  const unknown = values.rows.find((name) => !(name in SITUATIONS));
  if (unknown !== undefined)
    throw new Error(`There is no "${unknown}", but ${Object.keys(SITUATIONS).join(', ')}.`);
  return values;
}

/** How many processes wanted to run, over the last minute. */
function load(): number {
  return loadavg()[0] ?? 0;
}

function span(loads: readonly number[]): string {
  return `${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}`;
}
