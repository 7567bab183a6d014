import { defineConfig } from 'vitest/config';

/** What runs for as long as it is told to: `npm run fuzz -- --seconds 60`, `npm run soak -- --minutes 1`. */
export default defineConfig({
  test: {
    include: ['test/long/*.long.ts'],
    testTimeout: 24 * 60 * 60 * 1000,
    // What they print is for whoever waits.
    disableConsoleIntercept: true,
    // They share a machine badly.
    fileParallelism: false,
  },
});
