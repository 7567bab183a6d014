import type { GuestCommands, GuestEvent } from '../guest-model.ts';
import type { Commands } from '../model.ts';
import { linesOf } from './connection.ts';

type AllCommands = GuestCommands & Pick<Commands, 'lend' | 'lend-failed'>;

/** `over`: there is nothing at this address any more; `shut`: it is not for this page. */
export type GuestLink = 'open' | 'lost' | 'over' | 'shut';

/** What the server has against something that was asked of it. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
}

export interface GuestConnectionOptions {
  readonly onEvent: (event: GuestEvent) => void;
  readonly onLink: (link: GuestLink) => void;
}

/** Hears what the server wants, and asks it for things, as long as it is there. */
export class GuestConnection {
  readonly #options: GuestConnectionOptions;
  #page: string | undefined;
  #link: GuestLink | undefined;
  #wake = (): void => {};

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
      this.#become('lost');
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pause);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Throws `Refusal`, or `TypeError` where nobody answers. */
  async post<Name extends keyof AllCommands>(
    name: Name,
    body: AllCommands[Name]['takes'],
  ): Promise<AllCommands[Name]['gives']> {
    const response = await fetch(name, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
      cache: 'no-store',
    });
    const said: { readonly message?: string } = await response.json().catch(() => ({}));
    if (!response.ok) throw new Refusal(said.message ?? `That was refused (${response.status}).`);
    return said as AllCommands[Name]['gives'];
  }

  async put(loan: string, batch: string, body: Blob, signal: AbortSignal): Promise<void> {
    const path = `lend/${encodeURIComponent(loan)}/${encodeURIComponent(batch)}`;
    const response = await fetch(path, { method: 'PUT', body, signal, cache: 'no-store' });
    if (!response.ok) throw new Refusal(`That was refused (${response.status}).`);
  }

  get #isOver(): boolean {
    return this.#link === 'over' || this.#link === 'shut';
  }

  /** Returns whether anything was heard. */
  async #listen(): Promise<boolean> {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), MAX_SILENCE);
    let isHeard = false;
    try {
      const query = this.#page === undefined ? '' : `?page=${this.#page}`;
      const { signal } = silence;
      const response = await fetch(`events${query}`, { signal, cache: 'no-store' });
      if (response.status === 404) this.#become('over');
      if (response.status === 401) this.#become('shut');
      if (!response.ok) return false;
      for await (const line of linesOf(response)) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), MAX_SILENCE);
        isHeard = true;
        this.#hear(line);
      }
    } catch (error) {
      // What breaks is tried again; a bug of the page's own is for its console.
      if (!(error instanceof DOMException || error instanceof TypeError)) console.error(error);
    } finally {
      clearTimeout(timer);
    }
    return isHeard;
  }

  #hear(line: string): void {
    // It comes from our own server, which is of the same version: page and command are one package.
    const event: GuestEvent | { readonly event?: never } = JSON.parse(line);
    if (event.event === undefined) return;
    if (event.event === 'hello') {
      this.#page = event.page;
      this.#become('open');
    }
    this.#options.onEvent(event);
    if (event.event === 'bye') this.#become(event.reason === 'ended' ? 'over' : 'shut');
  }

  #become(link: GuestLink): void {
    if (this.#link === link || this.#isOver) return;
    this.#link = link;
    this.#options.onLink(link);
  }
}

/** Milliseconds before it is tried again. */
const FIRST_PAUSE = 500;
const LAST_PAUSE = 5_000;

/** The server says something every few seconds; after so many milliseconds it is not there any more. */
const MAX_SILENCE = 15_000;
