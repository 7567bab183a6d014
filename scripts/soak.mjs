// npm run soak -- --minutes N [--seed S] [--round R]: lets faults happen to real transfers between
// hosts in network namespaces, and counts what was lost. The same seed makes the same plan; --round
// begins with one round of it.

import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { Failure, npm, project, script } from './npm.mjs';

script(() => {
  const { minutes, seed, round } = order();
  if (process.platform !== 'linux' || process.getuid() !== 0)
    throw new Failure(
      'The soak makes network namespaces and small disks, so it needs root on Linux.',
    );
  npm('run', 'build');
  console.log(`soak of seed ${seed}: ${minutes} minutes`);
  const vitest = [
    '--no-install',
    'vitest',
    'run',
    'soak',
    '--config',
    'test/long/vitest.config.ts',
  ];
  const { status } = spawnSync('npx', vitest, {
    cwd: project,
    env: { ...process.env, SOAK_MINUTES: minutes, SOAK_SEED: seed, SOAK_ROUND: round },
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
});

function order() {
  try {
    const { values } = parseArgs({
      options: {
        minutes: { type: 'string', default: '1' },
        seed: { type: 'string', default: String(randomInt(1_000_000)) },
        round: { type: 'string', default: '0' },
      },
    });
    for (const [name, value] of Object.entries(values))
      if (!(Number(value) >= 0)) throw new Failure(`--${name} ${value} is no number.`);
    return values;
  } catch (error) {
    throw new Failure(`${error.message}\nnpm run soak -- --minutes N [--seed S] [--round R]`);
  }
}
