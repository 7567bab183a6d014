import type { Commands, PageEvent, Sight } from '../../window/model.ts';
import { Failure, failureOf, hear } from '../hearing.ts';

/**
 * How it stands with the server: `broken` is a moment's loss, `crowded` that other pages have taken all
 * the room, `gone` that nobody answers there, `refused` that this page has no token that is right.
 */
export type Link = 'connecting' | 'open' | 'broken' | 'crowded' | 'gone' | 'refused';

export interface ConnectionOptions {
  readonly token: string;
  /** How it stands with this page now. */
  readonly sight: () => Sight;
  readonly onEvent: (event: PageEvent) => void;
  readonly onLink: (link: Link) => void;
}

/** Asks the server for things, and hears what it has to say, for as long as the page is there. */
export class Connection {
  readonly #options: ConnectionOptions;
  /** What the server calls this page. */
  #page: string | undefined;
  #link: Link = 'connecting';
  #toldSight: Sight | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** Throws where there was no connection yet. */
  get page(): string {
    if (this.#page === undefined) throw new Failure('drop is not there yet.', 'Try again.');
    return this.#page;
  }

  /** Tells the server how it stands with this page, if it does not know. */
  tellSight(): void {
    const sight = this.#options.sight();
    if (this.#link !== 'open' || this.#page === undefined || sight === this.#toldSight) return;
    this.#toldSight = sight;
    // If it fails, the connection is lost, and it is told with the next one.
    void this.post('sight', { page: this.#page, sight }).catch(() => {});
  }

  /** Hears what happens, and again after each break. Ends when the page is refused. */
  async run(): Promise<void> {
    let pause = FIRST_PAUSE;
    while (!this.#isRefused()) {
      if (await this.#listen()) pause = FIRST_PAUSE;
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause = Math.min(2 * pause, LAST_PAUSE);
    }
  }

  /** Throws `Failure`. */
  async post<Name extends keyof Commands>(
    name: Name,
    body: Commands[Name]['takes'],
  ): Promise<Commands[Name]['gives']> {
    const response = await this.#fetch(`api/${name}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
    return await response.json();
  }

  /** Throws `Failure`. */
  async put(loan: string, batch: string, body: Blob, signal: AbortSignal): Promise<void> {
    const path = `api/lend/${encodeURIComponent(loan)}/${encodeURIComponent(batch)}`;
    await this.#fetch(path, { method: 'PUT', body, signal });
  }

  /** Returns whether anything was heard. */
  async #listen(): Promise<boolean> {
    const isHeard = await hear<PageEvent>(
      (signal) => {
        this.#toldSight = this.#options.sight();
        const query = new URLSearchParams({ sight: this.#toldSight });
        if (this.#page !== undefined) query.set('page', this.#page);
        return this.#fetch(`api/events?${query}`, { signal });
      },
      MAX_SILENCE,
      (news) => this.#hear(news),
    );
    if (isHeard) this.#become('broken');
    return isHeard;
  }

  #hear(news: PageEvent): void {
    if (news.event === 'hello') {
      this.#page = news.page;
      this.#become('open');
      this.tellSight();
    }
    this.#options.onEvent(news);
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set('Authorization', `Bearer ${this.#options.token}`);
    const isListening = init.method === undefined;
    let response: Response;
    try {
      response = await fetch(path, { ...init, headers, cache: 'no-store' });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      if (isListening) this.#become('gone');
      throw new Failure('drop does not answer.', 'If it has ended, start it again: drop ui');
    }
    if (response.status === 401) this.#become('refused');
    if (response.status === 409 && isListening) this.#become('crowded');
    if (!response.ok) throw await failureOf(response);
    return response;
  }

  #isRefused(): boolean {
    return this.#link === 'refused';
  }

  #become(link: Link): void {
    if (this.#link === link || this.#isRefused()) return;
    this.#link = link;
    this.#options.onLink(link);
  }
}

/** Milliseconds before it is tried again. */
const FIRST_PAUSE = 1_000;
const LAST_PAUSE = 5_000;

/** The server says something every few seconds; after so many milliseconds it is not there any more. */
const MAX_SILENCE = 30_000;
