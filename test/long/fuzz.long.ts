import { test } from 'vitest';
import { fuzz, named } from './fuzz/fuzz.ts';

// Set by scripts/fuzz.mjs.
const { FUZZ_SECONDS = '60', FUZZ_SEED = '1', FUZZ_TARGETS = '' } = process.env;

test('what others say is understood or refused, whatever it is', async () => {
  await fuzz({
    seconds: Number(FUZZ_SECONDS),
    seed: Number(FUZZ_SEED),
    tell: console.log,
    targets: named(FUZZ_TARGETS.split(',').filter((name) => name !== '')),
  });
});
