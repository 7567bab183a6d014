import { expect, test } from 'vitest';
import { BESIDE, Couple, complaintsAt, INSTEAD, RESUMED, WHOLE } from '../e2e/crash.ts';
import { momentsOf } from '../support/crash.ts';

test.for([
  ['beside', BESIDE],
  ['instead', INSTEAD],
  ['resumed', RESUMED],
  ['whole', WHOLE],
] as const)('a receiver is killed at every step: %s', async ([, scene]) => {
  await using couple = await Couple.pair();
  const moments = momentsOf((await couple.receive(scene)).notes);
  console.log(`${moments.length} moments, twice`);
  for (const sender of ['goes on', 'begins anew'] as const) {
    const complaints = await complaintsAt(moments, (one, end) => one.receive(scene, end, sender));
    expect(complaints, sender).toEqual([]);
  }
});

test('a sender is killed at every step', async () => {
  await using couple = await Couple.pair();
  const { notes } = await couple.send(BESIDE);
  console.log(`${notes.length} moments`);
  expect(await complaintsAt(notes, (one, end) => one.send(BESIDE, end))).toEqual([]);
});
