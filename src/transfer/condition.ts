import type { Channel } from './channel.ts';

/**
 * Lets one part of a story wait for what another part does: `until` waits for a condition,
 * `changed` says that it is worth looking again.
 */
export class Condition {
  readonly #waiting = new Set<{ readonly isMet: () => boolean; readonly wake: () => void }>();
  #failure: { readonly error: unknown } | undefined;
  readonly #failed = new AbortController();

  /** Aborted when waiting has become pointless. */
  get signal(): AbortSignal {
    return this.#failed.signal;
  }

  async until(isMet: () => boolean): Promise<void> {
    for (;;) {
      if (this.#failure) throw this.#failure.error;
      if (isMet()) return;
      await new Promise<void>((wake) => this.#waiting.add({ isMet, wake }));
    }
  }

  changed(): void {
    // It is said for every single message: nobody is woken in vain.
    for (const waiting of this.#waiting) {
      if (this.#failure === undefined && !waiting.isMet()) continue;
      this.#waiting.delete(waiting);
      waiting.wake();
    }
  }

  /** Whoever waits gets this error, now and from now on. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#failed.abort(error);
    this.changed();
  }
}

/**
 * Runs the parts of a story side by side. When one fails, the peer is told, the others' waiting
 * ends, and once all have come to an end the whole fails with what failed first.
 */
export async function together(
  channel: Channel,
  condition: Condition,
  ...parts: Promise<void>[]
): Promise<void> {
  const failures: unknown[] = [];
  await Promise.all(
    parts.map((part) =>
      part.catch((error: unknown) => {
        failures.push(error);
        condition.fail(error);
        channel.fail(error);
      }),
    ),
  );
  if (failures.length > 0) throw failures[0];
}
