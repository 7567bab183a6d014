import { defineConfig } from 'vitest/config';

/** What runs for as long as it is told to, `SECONDS` or a minute: `npm run fuzz`, `npm run soak`. */
export default defineConfig({
  test: {
    include: ['test/long/*.long.ts'],
    testTimeout: 24 * 60 * 60 * 1000,
    // They share a machine badly.
    fileParallelism: false,
  },
});
