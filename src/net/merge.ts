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
  const sources = make.map((one) => one(either));
  const iterators = sources.map((source) => source[Symbol.asyncIterator]());
  const next = (iterator: AsyncIterator<T>) =>
    iterator.next().then((result) => ({ iterator, result }));
  const awaited = new Map(iterators.map((iterator) => [iterator, next(iterator)]));
  try {
    while (awaited.size > 0) {
      const { iterator, result } = await Promise.race(awaited.values());
      if (result.done) awaited.delete(iterator);
      else {
        awaited.set(iterator, next(iterator));
        yield result.value;
      }
    }
  } finally {
    ended.abort();
    for (const rest of awaited.values()) rest.catch(() => {}); // One failure is enough.
    await Promise.allSettled([...awaited.keys()].map((iterator) => iterator.return?.()));
  }
}
