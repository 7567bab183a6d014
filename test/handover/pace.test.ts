import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Clock, Pace } from '../../src/handover/pace.ts';
import { MAX_CHUNK } from '../../src/limits.ts';
import { SlowClock } from '../support/clock.ts';

/** A clock for one, which jumps to where it is waited for, or a bit too far, like a real one. */
function jumping(late: () => number): Clock {
  let now = 1_000;
  return {
    now: () => now,
    async sleep(ms) {
      now += ms + late();
    },
  };
}

const never = new AbortController().signal;

describe('a pace', () => {
  test('is held, whatever is sent and however late timers are', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 10_000, max: 500_000_000 }),
        fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 20 }),
        fc.array(fc.double({ min: 0, max: 20, noNaN: true }), { minLength: 1, maxLength: 5 }),
        async (rate, sizes, late) => {
          let times = 0;
          const clock = jumping(() => late[times++ % late.length] ?? 0);
          const pace = new Pace(rate, clock);
          const began = clock.now();
          let sent = 0;
          for (let i = 0; clock.now() - began < 3_000 && i < 5_000; i++) {
            const bytes = Math.ceil(((sizes[i % sizes.length] ?? 1) / 1_000) * pace.most);
            await pace.take(bytes, never);
            sent += bytes;
            // Never more than is allowed, and what makes it even.
            const most = (rate / 1_000) * (clock.now() - began + 51) + pace.most;
            expect(sent).toBeLessThanOrEqual(most);
          }
          const ms = clock.now() - began;
          if (ms >= 3_000) expect(sent).toBeGreaterThan(0.95 * (rate / 1_000) * ms);
        },
      ),
      { numRuns: 100 },
    );
  });

  test('is one for all who share it, and they take turns', async () => {
    const clock = new SlowClock();
    const pace = new Pace(1_000_000, clock);
    const sent = [0, 0];
    const began = clock.now();
    const send = async (who: number): Promise<void> => {
      while (clock.now() - began < 2_000) {
        await pace.take(10_000, never);
        sent[who] = (sent[who] ?? 0) + 10_000;
      }
    };
    await clock.run(Promise.all([send(0), send(1)]));
    const [one = 0, other = 0] = sent;
    expect((one + other) / 2_000_000).toBeCloseTo(1, 1);
    expect(one / other).toBeCloseTo(1, 1);
  });

  test('counts what did not wait for it', async () => {
    const clock = new SlowClock();
    const pace = new Pace(100_000, clock);
    await pace.take(1, never);
    const began = clock.now();
    pace.count(100_000);
    await clock.run(pace.take(1, never));
    expect(clock.now() - began).toBeGreaterThan(900);
  });

  test('does not make up for times in which nothing was sent', async () => {
    const clock = new SlowClock();
    const pace = new Pace(100_000, clock);
    await pace.take(1_000, never);
    clock.pass(60_000);
    const began = clock.now();
    await clock.run(pace.take(10_000, never));
    await clock.run(pace.take(10_000, never));
    expect(clock.now() - began).toBeGreaterThan(40);
  });

  test('lets whoever does not want to wait any more go at once', async () => {
    const pace = new Pace(1);
    await pace.take(1_000, never);
    const tired = new AbortController();
    const waiting = pace.take(1_000, tired.signal);
    tired.abort(new Error('tired'));
    await expect(waiting).rejects.toThrow('tired');
    await expect(pace.take(1, tired.signal)).rejects.toThrow('tired');
  });

  test.each([
    [1, 1024],
    [100_000, 5_000],
    [1_000_000, 50_000],
    [20_000_000, MAX_CHUNK],
  ])('of %i bytes a second goes in portions of %i', (rate, most) => {
    expect(new Pace(rate).most).toBe(most);
  });

  test.each([0, 0.5, -1, Number.NaN])('of %d is none', (rate) => {
    expect(() => new Pace(rate)).toThrow(expect.objectContaining({ code: 'usage' }));
  });

  test('lets all go at once where there is no limit', async () => {
    const clock = jumping(() => 0);
    const pace = new Pace(Number.POSITIVE_INFINITY, clock);
    const began = clock.now();
    for (let i = 0; i < 1_000; i++) await pace.take(pace.most, never);
    expect(clock.now()).toBe(began);
    expect(pace.most).toBe(MAX_CHUNK);
  });
});
