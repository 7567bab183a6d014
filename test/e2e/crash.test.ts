import { describe, expect, test } from 'vitest';
import { kindsOf, type Moment, momentsOf, type Note } from '../support/crash.ts';
import { BESIDE, Couple, complaintsAt, INSTEAD, RESUMED, type Scene, WHOLE } from './crash.ts';

/** ms. Ends a hundred processes; a busy machine needs its time for that. */
const TIME = 300_000;

describe('a receiver that is killed loses nothing and leaves nothing', () => {
  const seen = new Set<string>();

  // All moments there are: npm run crash.
  test.for<[string, Scene, Set<string>]>([
    ['new names and taken ones, folders that are made and that are merged', BESIDE, seen],
    ['files that take the place of others', INSTEAD, seen],
    ['going on after half a part', RESUMED, seen],
    ['going on after a part that was whole', WHOLE, new Set()],
  ])('at every kind of step: %s', { timeout: TIME }, async ([, scene, before]) => {
    await using couple = await Couple.pair();
    const { notes, complaints } = await couple.receive(scene);
    expect(complaints).toEqual([]);
    // Or nothing would end between small files that come together.
    if (scene === BESIDE) expect(firstNamed(notes)).toBeGreaterThan(lastBegun(notes));
    const moments = kindsOf(momentsOf(notes), before);
    expect(moments.length).toBeGreaterThan(0);
    // Every other sender goes on; the others are killed, too, and run again.
    const running = new Set(moments.filter((_, i) => i % 2 === 0));
    const story = (one: Couple, end: Moment) =>
      one.receive(scene, end, running.has(end) ? 'goes on' : 'begins anew');
    expect(await complaintsAt(moments, story)).toEqual([]);
  });
});

/** Where the last small file is begun, and where the first has its name. */
function lastBegun(notes: readonly Note[]): number {
  const at = notes.findLastIndex(({ step }) => step.startsWith('open into/.drop/whole '));
  expect(at).toBeGreaterThan(0);
  return at;
}

function firstNamed(notes: readonly Note[]): number {
  return notes.findIndex(({ step }) => step.startsWith('link into/.drop/whole '));
}

test('a sender that is killed delivers everything when it is run again', {
  timeout: TIME,
}, async () => {
  await using couple = await Couple.pair();
  const { notes, complaints } = await couple.send(BESIDE);
  expect(complaints).toEqual([]);
  const amid = { step: 'read from/large', nth: 2, when: 'after' } as const;
  const moments = [...kindsOf(notes), amid];
  const said = moments.map(({ step }) => step.split(' ').slice(0, 2).join(' '));
  for (const step of ['say waiting', 'say accepted', 'say saved', 'say summary'])
    expect(said).toContain(step);
  expect(await complaintsAt(moments, (one, end) => one.send(BESIDE, end))).toEqual([]);
});
