import { test } from 'vitest';
import { describeWith, LAB } from '../support/skip.ts';
import { soak } from './soak/soak.ts';

describeWith([...LAB, 'mount', 'umount', 'fallocate'], 'a short soak', () => {
  test('nothing is lost, whatever happens', () => soak({ seconds: 20, seed: 1 }), 120_000);
});
