/** Time as a parameter, so that what waits can be tested without waiting. */
export interface Clock {
  /** Milliseconds on a clock that is never set; it may stand still while the machine sleeps. */
  now(): number;
  /** Milliseconds since 1970, which leap when the machine wakes. */
  date(): number;
  /** Calls `act` once, after `ms` milliseconds; what it returns prevents that. */
  after(ms: number, act: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => Date.now(),
  after(ms, act) {
    const timer = setTimeout(act, ms);
    return () => clearTimeout(timer);
  },
};
