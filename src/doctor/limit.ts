/** Runs a task with a signal that is aborted after so many milliseconds, or with `outer`. */
export async function within<T>(
  outer: AbortSignal,
  ms: number,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(), ms);
  try {
    return await task(AbortSignal.any([outer, over.signal]));
  } finally {
    clearTimeout(timer);
  }
}
