// npm run bench:start [-- ROUNDS]: how long the built command takes to begin, against Node alone.
// All of it in turn, on the loopback interface; the median of each, and of its ratio to Node.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const COMMAND = fileURLToPath(new URL('../bin/drop.js', import.meta.url));
const PORT = '24017';

const rounds = Number(process.argv[2] ?? 20);
const home = mkdtempSync(join(tmpdir(), 'drop-bench-'));
const [file, into] = [join(home, 'a byte'), join(home, 'in')];
const env = { ...process.env, HOME: home, DROP_HOME: join(home, 'state') };
writeFileSync(file, '.');
mkdirSync(into);
try {
  await round(); // Makes the identity, and warms up.
  const all = [];
  for (let i = 0; i < rounds; i++) all.push(await round());
  console.log(`Node ${process.versions.node}, ${rounds} rounds`);
  for (const name of Object.keys(all[0])) {
    const ms = median(all.map((one) => one[name]));
    const ratio = median(all.map((one) => one[name] / one['node -e 0']));
    console.log(`${name.padEnd(26)} ${ms.toFixed(0).padStart(5)} ms  ${ratio.toFixed(2)}`);
  }
} finally {
  rmSync(home, { recursive: true });
}

async function round() {
  return {
    'node -e 0': await timeOf(['-e', '0']),
    'drop --version': await timeOf([COMMAND, '--version']),
    'drop --help': await timeOf([COMMAND, '--help']),
    ...(await transfer()),
  };
}

/** A byte to this computer, which needs no code. */
async function transfer() {
  const words = ['--json', '--interface', 'lo'];
  const where = ['--port', PORT, '--into', into];
  const began = performance.now();
  const receiving = run([COMMAND, 'receive', ...words, '--once', '--yes', ...where]);
  const received = succeeded(receiving);
  try {
    const [line] = await once(createInterface({ input: receiving.stdout }), 'line');
    const ready = performance.now() - began;
    if (JSON.parse(line).event !== 'ready') throw new Error(line);
    const sent = await timeOf([COMMAND, 'send', ...words, '--to', `127.0.0.1:${PORT}`, file]);
    await received;
    return { 'drop receive, until ready': ready, 'drop send, a byte': sent };
  } finally {
    receiving.kill();
  }
}

async function timeOf(args) {
  const began = performance.now();
  const child = run(args);
  child.stdout.resume();
  await succeeded(child);
  return performance.now() - began;
}

function run(args) {
  return spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
}

async function succeeded(child) {
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${child.spawnargs.join(' ')} ended with ${code}`);
}

function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
