/* Waiting for an abort signal, or for something else as long as it lives. Nothing of it stays in a signal that lives for months. */

/** Resolves when one of them is aborted. */
export function ended(...signals: readonly AbortSignal[]): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      for (const signal of signals) signal.removeEventListener('abort', end);
      resolve();
    };
    for (const signal of signals) signal.addEventListener('abort', end);
    if (signals.some(({ aborted }) => aborted)) end();
  });
}

/** What a promise gives, unless the signal comes first; then that is why. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/** Runs a task that must be over within so many milliseconds, while `signal` lives; else `over` is aborted. */
export async function within<T>(
  signal: AbortSignal,
  ms: number,
  task: (soon: AbortSignal) => Promise<T>,
  over = new AbortController(),
): Promise<T> {
  const end = (): void => over.abort();
  const limit = setTimeout(end, ms);
  signal.addEventListener('abort', end);
  if (signal.aborted) end();
  try {
    return await task(over.signal);
  } finally {
    clearTimeout(limit);
    signal.removeEventListener('abort', end);
  }
}
