/** A queue of news: of each key only the latest waits, so a slow reader skips, never drowns. */
export interface Latest<T> extends AsyncIterable<T> {
  put(key: string, item: T): void;
  /** Ends the reading at once, with what was thrown if something was; later items are ignored. */
  end(thrown?: { readonly error: unknown }): void;
}

/** News for one reader. Beyond `limit` waiting keys, those of new ones are left out. */
export function latest<T>(limit = Number.POSITIVE_INFINITY): Latest<T> {
  const waiting = new Map<string, T>();
  let outcome: { readonly error?: unknown } | undefined;
  let wake = () => {};

  return {
    put(key, item) {
      if (!waiting.has(key) && waiting.size >= limit) return;
      waiting.set(key, item);
      wake();
    },
    end(thrown) {
      outcome ??= thrown ?? {};
      wake();
    },
    async *[Symbol.asyncIterator]() {
      while (!outcome) {
        const [entry] = waiting;
        if (entry) {
          waiting.delete(entry[0]);
          yield entry[1];
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
      if ('error' in outcome) throw outcome.error;
    },
  };
}
