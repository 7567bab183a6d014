/** All items of all sources, as they come; ends when the last of them does. */
export async function* merge<T>(...sources: readonly AsyncIterable<T>[]): AsyncGenerator<T, void> {
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
    await Promise.all([...awaited.keys()].map((iterator) => iterator.return?.()));
  }
}
