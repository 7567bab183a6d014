/**
 * All items of all sources, as they come; ends when the last of them does, or with what one of
 * them throws. The signal that each source is made with is aborted when it ends in any way.
 */
export async function* merge<T>(
  signal: AbortSignal,
  ...make: readonly ((signal: AbortSignal) => AsyncIterable<T>)[]
): AsyncGenerator<T, void> {
  const ended = new AbortController();
  const either = AbortSignal.any([signal, ended.signal]);
  const iterators = new Set(make.map((source) => source(either)[Symbol.asyncIterator]()));
  const ready: Step<T>[] = [];
  let wake = (): void => {};
  // No race of promises: that of a silent source would keep a trace of each item of the others.
  const ask = async (iterator: AsyncIterator<T>): Promise<void> => {
    try {
      ready.push({ iterator, result: await iterator.next() });
    } catch (error) {
      ready.push({ iterator, error });
    }
    wake();
  };

  for (const iterator of iterators) void ask(iterator);
  try {
    while (iterators.size > 0) {
      const step = ready.shift();
      if (step === undefined)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      else if ('error' in step) throw step.error;
      else if (step.result.done) iterators.delete(step.iterator);
      else {
        void ask(step.iterator);
        yield step.result.value;
      }
    }
  } finally {
    ended.abort();
    await Promise.allSettled(Array.from(iterators, (iterator) => iterator.return?.()));
  }
}

/** What came of asking a source for its next item. */
type Step<T> = { readonly iterator: AsyncIterator<T> } & (
  | { readonly result: IteratorResult<T> }
  | { readonly error: unknown }
);
