import { setImmediate } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  INBOX_MEMORY,
  MAX_HELD,
  MAX_MADE,
  MAX_OPEN_ENTRIES,
  MAX_PARTS,
  MAX_PATH,
  MAX_TARGET,
  OPEN_BYTES,
  OPEN_ENTRIES,
  OPEN_ENTRIES_IN_ALL,
} from '../../src/limits.ts';
import { Allowance, Guests, Idle, OpenOffers, Patience } from '../../src/meeting/guests.ts';

const MINUTE = 60_000;

describe('visits', () => {
  test('are four of one device, and leave room when they are over', () => {
    const guests = new Guests();
    const leave = [1, 2, 3, 4].map(() => guests.enter('ana'));
    expect(() => guests.enter('ana')).toThrow(expect.objectContaining({ code: 'busy' }));
    guests.enter('bob');
    leave[0]?.();
    guests.enter('ana');
  });

  test('are 32 in all', () => {
    const guests = new Guests();
    for (let n = 0; n < 32; n++) guests.enter(`${n}`);
    expect(() => guests.enter('one more')).toThrow(expect.objectContaining({ code: 'busy' }));
  });
});

describe('what is offered and open', () => {
  /** Offers of so many bytes, each of another device if not said otherwise, and which of them had to end. */
  function enter(most: number, sizes: number[], whose = sizes.map((_, n) => `${n}`)) {
    const offers = new OpenOffers(most);
    const ended: number[] = [];
    const leave = sizes.map((_, n) =>
      offers.enter({
        who: whose[n] as string,
        get bytes() {
          return sizes[n] as number;
        },
        giveWay: () => void ended.push(n),
      }),
    );
    return { offers, sizes, ended, leave };
  }

  test('is not more than all may hold together: the largest gives way, whichever grew', () => {
    const { offers, sizes, ended } = enter(100, [10, 60, 30]);
    offers.grown();
    expect(ended).toEqual([]);
    sizes[2] = 31;
    offers.grown();
    expect(ended).toEqual([1]);
    // The next one does not go for what is about to be let go of.
    offers.grown();
    expect(ended).toEqual([1]);
    sizes[0] = 70;
    offers.grown();
    expect(ended).toEqual([1, 0]);
  });

  test('of one device in many transfers gives way before the single larger one of another', () => {
    const { offers, sizes, ended } = enter(100, [20, 25, 20, 30], ['eve', 'eve', 'eve', 'ana']);
    offers.grown();
    expect(ended).toEqual([]);
    sizes[3] = 40;
    offers.grown();
    expect(ended).toEqual([1]);
  });

  test('counts no more when it is over', () => {
    const { offers, ended, leave } = enter(100, [50, 51]);
    leave[0]?.();
    offers.grown();
    expect(ended).toEqual([]);
  });

  test('has room for any that is alone', () => {
    const open = 2 * MAX_OPEN_ENTRIES * (MAX_PATH + MAX_TARGET);
    const kept = 1500 * MAX_PARTS + 130 * MAX_MADE;
    expect(open + INBOX_MEMORY + kept).toBeLessThan(MAX_HELD);
  });
});

describe('a person who is asked', () => {
  test('and said no twice is not asked again by the same device for ten minutes', () => {
    const patience = new Patience();
    patience.noted('eve', 'declined', 0);
    expect(patience.isSpent('eve', 1)).toBe(false);
    expect(patience.quietFor('eve', 1)).toEqual({});
    patience.noted('eve', 'declined', 5 * MINUTE);
    expect(patience.quietFor('eve', 6 * MINUTE)).toEqual({ quiet: 4 * MINUTE });
    expect(patience.isSpent('eve', 5 * MINUTE)).toBe(true);
    expect(patience.isSpent('bob', 5 * MINUTE)).toBe(false);
    expect(patience.isSpent('eve', 10 * MINUTE - 1)).toBe(true);
    expect(patience.isSpent('eve', 10 * MINUTE)).toBe(false);
  });

  test('by one device at several doors is asked one question after the other', async () => {
    const patience = new Patience();
    let asked = 0;
    const ask = async (): Promise<string> => {
      if (patience.isSpent('eve', 0)) return 'not even told';
      asked += 1;
      await setImmediate();
      patience.noted('eve', 'declined', 0);
      return 'no';
    };
    const eve = [1, 2, 3, 4].map(() => patience.inTurn('eve', ask));
    expect(await patience.inTurn('bob', async () => asked)).toBe(1);
    expect(await Promise.all(eve)).toEqual(['no', 'no', 'not even told', 'not even told']);
    // A question that failed does not keep the next one waiting.
    const broken = patience.inTurn('bob', () => Promise.reject(new Error('broken')));
    const next = patience.inTurn('bob', async () => 'next');
    await expect(broken).rejects.toThrow('broken');
    expect(await next).toBe('next');
  });

  test('and gave no answer may be asked a few times more', () => {
    const patience = new Patience();
    for (let n = 0; n < 4; n++) patience.noted('bob', 'unanswered', n);
    expect(patience.isSpent('bob', 5)).toBe(false);
    patience.noted('bob', 'unanswered', 5);
    expect(patience.isSpent('bob', 6)).toBe(true);
  });

  test('and said yes after all has forgotten the rest', () => {
    const patience = new Patience();
    patience.noted('bob', 'declined', 0);
    patience.pleased('bob');
    patience.noted('bob', 'declined', 1);
    expect(patience.isSpent('bob', 2)).toBe(false);
  });

  test('by thousands remembers the last thousand', () => {
    const patience = new Patience();
    for (let n = 0; n < 5_000; n++)
      for (const how of ['declined', 'declined'] as const) patience.noted(`${n}`, how, n);
    expect(patience.isSpent('4999', 5_000)).toBe(true);
    expect(patience.isSpent('0', 5_000)).toBe(false);
  });
});

describe('who moves nothing', () => {
  test('is shown out, but not for what stirs during a pause', () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const end = vi.fn();
    const idle = new Idle(1000, end);
    vi.advanceTimersByTime(999);
    idle.stir();
    vi.advanceTimersByTime(999);
    idle.pause();
    idle.stir();
    vi.advanceTimersByTime(MINUTE);
    expect(end).not.toHaveBeenCalled();
    // One pause lies in another, as it may be asked about while it is paused.
    idle.pause();
    idle.resume();
    vi.advanceTimersByTime(MINUTE);
    expect(end).not.toHaveBeenCalled();
    idle.resume();
    vi.advanceTimersByTime(1000);
    expect(end).toHaveBeenCalledOnce();
  });

  test('is not shown out at once where it has more time than a timer takes', () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const end = vi.fn();
    new Idle(1000, end).extend(Number.MAX_SAFE_INTEGER);
    vi.advanceTimersByTime(2 ** 31 - 2);
    expect(end).not.toHaveBeenCalled();
  });

  test('has as much more time as it was given', () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const end = vi.fn();
    const idle = new Idle(1000, end);
    idle.pause();
    idle.extend(500);
    vi.advanceTimersByTime(MINUTE);
    idle.resume();
    idle.extend(500);
    vi.advanceTimersByTime(1999);
    expect(end).not.toHaveBeenCalled();
    idle.stir();
    vi.advanceTimersByTime(1999);
    expect(end).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(end).toHaveBeenCalledOnce();
  });
});

describe('what is taken of those whom nobody vouches for', () => {
  const offer = (entries: number, bytes: number) => ({ entries, bytes, sized: true });

  test.each([
    ['as many entries as are allowed', offer(OPEN_ENTRIES, 0), true],
    ['one more', offer(OPEN_ENTRIES + 1, 0), false],
    ['as much as is allowed', offer(1, OPEN_BYTES), true],
    ['a byte more', offer(1, OPEN_BYTES + 1), false],
    ['nobody knows how much', { entries: 1, bytes: 0, sized: false }, false],
  ])('%s: %j: %s', (_, offered, fits) => {
    expect(new Allowance().begin()(offered)).toBe(fits);
  });

  test('is ten times as much in all, each transfer counted once, however it is offered', () => {
    const allowance = new Allowance();
    for (let n = 0; n < 10; n++) {
      const fits = allowance.begin();
      for (const part of [0.2, 0.7, 0.6, 1])
        expect(fits(offer(9, Math.floor(part * OPEN_BYTES)))).toBe(true);
    }
    expect(allowance.begin()(offer(1, 1))).toBe(false);
    expect(allowance.begin()(offer(1, 0))).toBe(true);
  });

  test('is so many entries in all, though they hold nothing', () => {
    const allowance = new Allowance();
    for (let n = 0; n < OPEN_ENTRIES_IN_ALL; n += OPEN_ENTRIES)
      expect(allowance.begin()(offer(OPEN_ENTRIES, 0))).toBe(true);
    expect(allowance.begin()(offer(1, 0))).toBe(false);
  });
});
