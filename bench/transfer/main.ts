// npm run bench -- [--rows NAME] [--rounds N] [--quick] [--json] [--picture FILE]: how fast files
// travel, with the built command and its peers on hosts in network namespaces, in turn.
// docs/PERFORMANCE.md says what was measured.

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { table, targetTable } from './figures.ts';
import { picture } from './picture.ts';
import { Kit } from './programs.ts';
import { type Findings, PICTURED, ROWS } from './rows.ts';
import { Ground } from './stage.ts';

process.exitCode = await main();

async function main(): Promise<number> {
  const order = readOrder();
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    throw new Error('The bench makes network namespaces, so it needs root on Linux.');
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.once(signal, () => stop.abort(new Error(`The bench was stopped by ${signal}.`)));
  using ground = new Ground();
  await using kit = await Kit.create();
  const tools = { kit, ground, signal: stop.signal };
  const machine = { commit: commit(), node: process.version, cpus: cpus().length, load: [load()] };
  const findings: Findings[] = [];
  try {
    for (const [name, row] of Object.entries(ROWS)) {
      if (order.rows.length > 0 ? !order.rows.includes(name) : row.apart) continue;
      const rounds = order.rounds ?? (order.quick ? row.quick : row.full);
      process.stderr.write(`${name}, ${rounds} times; the load is ${load().toFixed(1)}\n`);
      findings.push(await row.measure(name, rounds, tools));
      machine.load.push(load());
    }
  } finally {
    // What was measured is worth seeing even if the rest failed.
    const rows = findings.map(({ measurement }) => measurement);
    const judged = findings.flatMap((one) => one.judged);
    const { commit, node, cpus: cores, load: loads } = machine;
    const about = `drop at ${commit}, Node ${node}, ${cores} cores, load ${span(loads)}`;
    process.stdout.write(
      order.json
        ? `${JSON.stringify({ ...machine, rows, judged }, undefined, 2)}\n`
        : `${[...rows.map(table), targetTable(judged), about].join('\n\n')}\n`,
    );
    const shown = rows.filter(({ row }) => PICTURED.includes(row));
    if (order.picture !== undefined && shown.length === PICTURED.length)
      writeFileSync(
        order.picture,
        picture(
          shown,
          `Speed beside drop, and seconds: medians of runs in turn; both ends on ${cores} cores; Node ${node}.`,
        ),
      );
  }
  const judged = findings.flatMap((one) => one.judged);
  return judged.some(({ met }) => met === false) ? 1 : 0;
}

interface BenchOrder {
  readonly rows: readonly string[];
  readonly rounds: number | undefined;
  readonly quick: boolean;
  readonly json: boolean;
  readonly picture: string | undefined;
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
  const { picture } = values;
  const shown = values.rows.length === 0 || PICTURED.every((name) => values.rows.includes(name));
  if (picture !== undefined && !shown)
    throw new Error(`A picture shows the rows ${PICTURED.join(' and ')}.`);
  return { ...values, rounds, picture };
}

/** What is measured, with a star if it is not all committed. */
function commit(): string {
  const git = (...args: readonly string[]) =>
    execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', 'src') && '*'}`;
  } catch {
    return 'an unknown commit'; // Not everybody has cloned it.
  }
}

/** How many processes wanted to run, over the last minute. */
function load(): number {
  return loadavg()[0] ?? 0;
}

function span(loads: readonly number[]): string {
  return `${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}`;
}
