import type { Channel } from './channel.ts';

/**
 * Lets one part of a story wait for what another part does: `until` waits for a condition,
 * `changed` says that it is worth looking again.
 */
export class Condition {
  #waiting: (() => void)[] = [];
  #failure: { readonly error: unknown } | undefined;
  readonly #failed = new AbortController();

  /** Aborted when waiting has become pointless. */
  get signal(): AbortSignal {
    return this.#failed.signal;
  }

  async until(condition: () => boolean): Promise<void> {
    for (;;) {
      if (this.#failure) throw this.#failure.error;
      if (condition()) return;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  changed(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
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
