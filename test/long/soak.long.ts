import { test } from 'vitest';
import { soak } from './soak/soak.ts';

// Set by scripts/soak.mjs.
const { SOAK_MINUTES = '1', SOAK_SEED = '1', SOAK_ROUND = '0' } = process.env;

test('nothing is lost, whatever happens', () =>
  soak({
    seconds: 60 * Number(SOAK_MINUTES),
    seed: Number(SOAK_SEED),
    first: Number(SOAK_ROUND),
  }));
