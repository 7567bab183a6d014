import { Condition } from './condition.ts';

/**
 * Runs a task and lets the caller watch it: the events it reports, and then its result.
 * Leaving the loop early stops the task, like aborting `signal`; it never outlives the loop.
 */
export async function* follow<Event, Result>(
  run: (report: (event: Event) => void, signal: AbortSignal) => Promise<Result>,
  signal?: AbortSignal,
): AsyncGenerator<Event, Result, undefined> {
  const left = new AbortController();
  const news = new Condition();
  let events: Event[] = [];
  let ended = false;
  const task = run(
    (event) => {
      events.push(event);
      news.changed();
    },
    signal ? AbortSignal.any([signal, left.signal]) : left.signal,
  ).finally(() => {
    ended = true;
    news.changed();
  });
  task.catch(() => {}); // It is awaited below, once the events are told.

  try {
    while (!ended || events.length > 0) {
      await news.until(() => ended || events.length > 0);
      const told = events;
      events = [];
      // Not `yield*`, which has several waits for each; there may be a million.
      for (const event of told) yield event;
    }
    return await task;
  } finally {
    left.abort();
    await task.catch(() => {});
  }
}
