// npm run fuzz -- --seconds N [--seed S] [TARGET...]: feeds what nobody honest says to everything
// that reads what others say, each target for its share of the time. The same seed feeds the same
// bytes in the same order.

import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { Failure, npm, project, script } from './npm.mjs';

script(() => {
  const { seconds, seed, targets } = order();
  npm('run', 'build');
  console.log(`fuzz of seed ${seed}: ${seconds} seconds`);
  const vitest = [
    '--no-install',
    'vitest',
    'run',
    'fuzz',
    '--config',
    'test/long/vitest.config.ts',
  ];
  const { status, signal } = spawnSync('npx', vitest, {
    cwd: project,
    // What never gives back control can only be ended from outside.
    timeout: (2 * seconds + 300) * 1000,
    env: {
      ...process.env,
      FUZZ_SECONDS: seconds,
      FUZZ_SEED: seed,
      FUZZ_TARGETS: targets.join(','),
    },
    stdio: 'inherit',
  });
  if (signal) throw new Failure('One of the targets hangs: feed them one by one to see which.');
  process.exitCode = status ?? 1;
});

function order() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        seconds: { type: 'string', default: '60' },
        seed: { type: 'string', default: String(randomInt(1_000_000)) },
      },
    });
    for (const [name, value] of Object.entries(values))
      if (!/^\d+$/.test(value)) throw new Failure(`--${name} ${value} is no number.`);
    return { ...values, targets: positionals };
  } catch (error) {
    throw new Failure(`${error.message}\nnpm run fuzz -- --seconds N [--seed S] [TARGET...]`);
  }
}
