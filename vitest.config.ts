import { defineConfig } from 'vitest/config';

/** Where the results go as JSON too, for those who count them. */
const report = process.env.TEST_REPORT;

/** Devices that these files announce on the loopback interface would appear in each other's lists. */
const ON_LOOPBACK = [
  'test/e2e/{again,command,crash,doors,hostile*,mitm,names,terminal}.test.ts',
  'test/long/fuzz.test.ts',
];

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    projects: [
      {
        extends: true,
        test: {
          name: 'side by side',
          include: ['test/**/*.test.ts'],
          exclude: ON_LOOPBACK,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'one by one',
          include: ON_LOOPBACK,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
