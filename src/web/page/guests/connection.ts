import type { GuestCommands, GuestEvent } from '../../guests/model.ts';
import { failureOf, hear } from '../hearing.ts';

/**
 * `crowded`: others have taken all the room; `over`: there is nothing at this address any more; `shut`: it
 * is not for this page.
 */
export type GuestLink = 'open' | 'lost' | 'crowded' | 'over' | 'shut';

export interface GuestConnectionOptions {
  readonly onEvent: (event: GuestEvent) => void;
  readonly onLink: (link: GuestLink) => void;
}

/** Hears what the server wants, and asks it for things, as long as it is there. */
export class GuestConnection {
  readonly #options: GuestConnectionOptions;
  #page: string | undefined;
  #link: GuestLink | undefined;
  /** Why nothing is heard where nothing is. */
  #lack: 'lost' | 'crowded' = 'lost';
  #wake = (): void => {};
  /** Ends what is asked, as nobody answers over a connection that is lost. */
  #loss = new AbortController();

  constructor(options: GuestConnectionOptions) {
    this.#options = options;
    const wake = (): void => this.#wake();
    addEventListener('online', wake);
    document.addEventListener('visibilitychange', wake);
  }

  /** What the server calls this page; undefined before the first word. */
  get page(): string | undefined {
    return this.#page;
  }

  get isOpen(): boolean {
    return this.#link === 'open';
  }

  /** Hears what happens, and again after each loss, until the server says that it is over. */
  async run(): Promise<void> {
    for (let pause = FIRST_PAUSE; !this.#isOver; pause = Math.min(2 * pause, LAST_PAUSE)) {
      if (await this.#listen()) pause = FIRST_PAUSE;
      if (this.#isOver) return;
      this.#become(this.#lack);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pause);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Throws `Failure`, or something else where nobody answers. */
  async post<Name extends keyof GuestCommands>(
    name: Name,
    body: GuestCommands[Name]['takes'],
  ): Promise<GuestCommands[Name]['gives']> {
    const response = await fetch(name, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
      cache: 'no-store',
      signal: this.#loss.signal,
    });
    if (!response.ok) throw await failureOf(response);
    return await response.json();
  }

  async put(loan: string, batch: string, body: Blob, signal: AbortSignal): Promise<void> {
    const path = `lend/${encodeURIComponent(loan)}/${encodeURIComponent(batch)}`;
    const response = await fetch(path, { method: 'PUT', body, signal, cache: 'no-store' });
    if (!response.ok) throw await failureOf(response);
  }

  get #isOver(): boolean {
    return this.#link === 'over' || this.#link === 'shut';
  }

  /** Returns whether anything was heard. */
  #listen(): Promise<boolean> {
    return hear<GuestEvent>(
      async (signal) => {
        const query = this.#page === undefined ? '' : `?page=${this.#page}`;
        this.#lack = 'lost';
        const response = await fetch(`events${query}`, { signal, cache: 'no-store' });
        if (response.status === 404) this.#become('over');
        if (response.status === 401) this.#become('shut');
        if (response.status === 503) this.#lack = 'crowded';
        return response.ok ? response : undefined;
      },
      MAX_SILENCE,
      (news) => this.#hear(news),
    );
  }

  #hear(news: GuestEvent): void {
    if (news.event === 'hello') {
      this.#page = news.page;
      this.#become('open');
    }
    this.#options.onEvent(news);
    if (news.event === 'bye') this.#become(news.reason === 'ended' ? 'over' : 'shut');
  }

  #become(link: GuestLink): void {
    if (this.#link === link || this.#isOver) return;
    this.#link = link;
    if (link !== 'open') {
      this.#loss.abort();
      this.#loss = new AbortController();
    }
    this.#options.onLink(link);
  }
}

/** Milliseconds before it is tried again. */
const FIRST_PAUSE = 500;
const LAST_PAUSE = 5_000;

/** The server says something every few seconds; after so many milliseconds it is not there any more. */
const MAX_SILENCE = 15_000;
