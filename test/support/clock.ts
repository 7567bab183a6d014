import type { Clock } from '../../src/handover/pace.ts';

/** A clock that stands still until all wait for it. */
export class SlowClock implements Clock {
  readonly #waiting: { readonly at: number; readonly wake: () => void }[] = [];
  #now = 1_000;

  now(): number {
    return this.#now;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => reject(signal.reason);
      const wake = (): void => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      this.#waiting.push({ at: this.#now + ms, wake });
      signal.addEventListener('abort', leave);
    });
  }

  pass(ms: number): void {
    this.#now += ms;
  }

  /** Lets time pass until the task is done, which gets so many turns before each wait ends. */
  async run<T>(task: Promise<T>, turns = 1): Promise<T> {
    let done = false;
    const end = (): void => {
      done = true;
    };
    task.then(end, end);
    for (;;) {
      for (let n = 0; n < turns; n++) await new Promise((resolve) => setImmediate(resolve));
      if (done) return task;
      this.#waiting.sort((a, b) => a.at - b.at);
      const next = this.#waiting.shift();
      if (next === undefined) throw new Error('nobody waits for anything');
      this.#now = Math.max(this.#now, next.at);
      next.wake();
    }
  }
}
