import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { canOwnNetwork, ownNetwork } from './test/support/own-network.ts';
import { PATIENCE } from './test/support/process.ts';

/** Where the results go as JSON too, for those who count them. */
const report = process.env.TEST_REPORT;

/** Devices that these files announce on the loopback interface would appear in each other's lists. */
const ON_LOOPBACK = [
  'test/e2e/{again,command,crash,doors,hostile*,mitm,names,part,pipes,terminal,ui,uploads,web-share}.test.ts',
  'test/{get,handover/hatch,web/ui,web/taking}.test.ts',
  'test/long/fuzz.test.ts',
];

/** Where each file can have an interface of its own, all do that run the command. */
const canBeApart = canOwnNetwork();
const APART = canBeApart ? ['test/e2e/*.test.ts', ...ON_LOOPBACK] : ON_LOOPBACK;

export default defineConfig({
  test: {
    // ms. Some tests take ten steps, each of which may take long on a busy machine: it is they that
    // say what does not happen.
    testTimeout: 180_000,
    hookTimeout: 60_000,
    // Vitest would give up after a second.
    expect: { poll: { timeout: PATIENCE } },
    // Else one core would be left to the runner, which has nothing to do while tests run.
    maxWorkers: availableParallelism(),
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    projects: [
      {
        extends: true,
        test: {
          name: 'side by side',
          include: ['test/**/*.test.ts'],
          exclude: APART,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'apart',
          include: APART,
          ...(canBeApart
            ? { pool: ownNetwork, sequence: { groupOrder: 0 } }
            : { maxWorkers: 1, sequence: { groupOrder: 1 } }),
        },
      },
    ],
  },
});
