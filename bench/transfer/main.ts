// npm run bench -- [--rows NAME] [--rounds N] [--quick] [--json] [--picture FILE]: how fast files
// travel, with the built command and its peers on hosts in network namespaces, in turn.
// docs/PERFORMANCE.md says what was measured.

import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { judgements, type Measurement, table, targetTable } from './figures.ts';
import { Kit } from './programs.ts';
import { MEMORY, measure, ROWS } from './rows.ts';
import { Ground } from './stage.ts';

process.exitCode = await main();

async function main(): Promise<number> {
  const order = readOrder();
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    throw new Error('The bench makes network namespaces, so it needs root on Linux.');
  using ground = new Ground();
  await using kit = await Kit.create();
  const machine = { node: process.version, cpus: cpus().length, load: [load()] };
  const measurements: Measurement[] = [];
  try {
    for (const [name, row] of Object.entries(ROWS)) {
      if (order.rows.length > 0 && !order.rows.includes(name)) continue;
      const rounds = order.rounds ?? (order.quick ? row.quick : row.full);
      process.stderr.write(`${name}, ${rounds} rounds; the load is ${load().toFixed(1)}\n`);
      measurements.push(await measure(name, row, rounds, kit, ground));
      machine.load.push(load());
    }
  } finally {
    // What was measured is worth seeing even if the rest failed.
    const judged = measurements.flatMap((one) => judgements(one, MEMORY));
    const { node, cpus: cores, load: loads } = machine;
    process.stdout.write(
      order.json
        ? `${JSON.stringify({ ...machine, rows: measurements, judged }, undefined, 2)}\n`
        : `${[...measurements.map(table), targetTable(judged)].join('\n\n')}\n\n` +
            `Node ${node}, ${cores} cores, load ${span(loads)}\n`,
    );
  }
  const judged = measurements.flatMap((one) => judgements(one, MEMORY));
  return judged.some(({ met }) => met === false) ? 1 : 0;
}

interface BenchOrder {
  readonly rows: readonly string[];
  readonly rounds: number | undefined;
  readonly quick: boolean;
  readonly json: boolean;
}

function readOrder(): BenchOrder {
  const { values } = parseArgs({
    options: {
      rows: { type: 'string', multiple: true, default: [] },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      picture: { type: 'string' },
    },
  });
  const unknown = values.rows.find((name) => !(name in ROWS));
  if (unknown !== undefined)
    throw new Error(`There is no "${unknown}", but ${Object.keys(ROWS).join(', ')}.`);
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0))
    throw new Error(`--rounds ${values.rounds} is no number of rounds.`);
  return { ...values, rounds };
}

/** How many processes wanted to run, over the last minute. */
function load(): number {
  return loadavg()[0] ?? 0;
}

function span(loads: readonly number[]): string {
  return `${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}`;
}
