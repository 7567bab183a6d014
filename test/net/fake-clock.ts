import type { Clock } from '../../src/net/clock.ts';

export interface FakeClock extends Clock {
  /** Lets `ms` milliseconds pass: everything that is due happens, in order, awaited. */
  pass(ms: number): Promise<void>;
  /** Sets the date, as waking from a sleep does. */
  leap(ms: number): void;
  /** How many timers are set. */
  readonly pending: number;
}

/** A clock that stands still until it is told to go on. */
export function fakeClock(): FakeClock {
  const timers = new Map<() => void, number>();
  let time = 0;
  let slept = 0;
  return {
    now: () => time,
    date: () => time + slept,
    after(ms, act) {
      const timer = () => act();
      timers.set(timer, time + ms);
      return () => timers.delete(timer);
    },
    async pass(ms) {
      const end = time + ms;
      for (;;) {
        await settled();
        const [next] = [...timers].sort(([, a], [, b]) => a - b);
        if (!next || next[1] > end) break;
        time = Math.max(time, next[1]);
        timers.delete(next[0]);
        next[0]();
      }
      time = end;
    },
    leap(ms) {
      slept += ms;
    },
    get pending() {
      return timers.size;
    },
  };
}

/** Resolves when every promise that could be settled by now is. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}
