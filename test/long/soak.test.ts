import { test } from 'vitest';
import { describeWith, LAB } from '../support/skip.ts';
import { soak } from './soak/soak.ts';

describeWith([...LAB, 'mount', 'umount'], 'a short soak', () => {
  test('nothing is lost, whatever happens', () => soak({ rounds: 4, seed: 61 }), 120_000);
});
