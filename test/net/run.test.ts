import { expect, test } from 'vitest';
import { newRun, RUN } from '../../src/net/run.ts';

test('each run is another one', () => {
  const runs = Array.from({ length: 100 }, newRun);
  expect(new Set(runs).size).toBe(100);
  for (const run of runs) expect(run).toMatch(RUN);
});
