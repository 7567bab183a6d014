import type { DiscoverEvent } from '../events.ts';
import { type Latest, latest } from '../net/latest.ts';
import type { lookAround } from './lookout.ts';

/** Looks around until the signal is aborted. */
type Look = (signal: AbortSignal) => AsyncIterable<DiscoverEvent>;

/**
 * A `lookAround` for several who look at the same time: one of them listens and asks, and all hear
 * what comes of it; whoever joins later first hears who is here. It ends with the last of them. Only
 * their signals are their own; with what is looked is for `look` to say.
 */
export function lookTogether(look: Look): typeof lookAround {
  let shared: Shared | undefined;
  return async function* (_, { signal }) {
    if (signal?.aborted) return;
    if (shared === undefined || shared.over) shared = new Shared(look);
    yield* shared.news(signal);
  };
}

/** One look, from the first who wants it to the last. */
class Shared {
  readonly #readers = new Set<Latest<DiscoverEvent>>();
  /** Who is here, who is silent, and why there is nobody: the last word on each. */
  readonly #here = new Map<string, DiscoverEvent>();
  readonly #left = new AbortController();
  #ended: { readonly error?: unknown } | undefined;
  readonly #looking: Promise<void>;

  constructor(look: Look) {
    this.#looking = this.#run(look(this.#left.signal));
  }

  /** Whether nobody can join any more. */
  get over(): boolean {
    return this.#left.signal.aborted || this.#ended !== undefined;
  }

  async *news(signal: AbortSignal | undefined): AsyncGenerator<DiscoverEvent, void> {
    const news = latest<DiscoverEvent>();
    const leave = (): void => news.end();
    signal?.addEventListener('abort', leave, { once: true });
    for (const [key, event] of this.#here) news.put(key, event);
    this.#readers.add(news);
    try {
      yield* news;
    } finally {
      signal?.removeEventListener('abort', leave);
      this.#readers.delete(news);
      if (this.#readers.size === 0) {
        this.#left.abort();
        await this.#looking;
      }
    }
  }

  async #run(events: AsyncIterable<DiscoverEvent>): Promise<void> {
    try {
      for await (const event of events) this.#hear(event);
      this.#ended = {};
    } catch (error) {
      this.#ended = { error };
    }
    const { error } = this.#ended;
    for (const reader of this.#readers) reader.end(error === undefined ? undefined : { error });
  }

  #hear(event: DiscoverEvent): void {
    const key = keyOf(event);
    if (event.event !== 'nothing' && event.state === 'lost') this.#here.delete(key);
    else this.#here.set(key, event);
    // Who has come is why that is no longer so; our own computer is not.
    if (event.event === 'peer' && event.state === 'found' && event.standing !== 'self')
      this.#here.delete('nothing');
    for (const reader of this.#readers) reader.put(key, event);
  }
}

function keyOf(event: DiscoverEvent): string {
  if (event.event === 'nothing') return 'nothing';
  return event.event === 'silent' ? `silent ${event.run}` : `${event.id} ${event.run}`;
}
