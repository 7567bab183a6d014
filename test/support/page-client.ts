import { setTimeout as sleep } from 'node:timers/promises';
import type { Commands, PageEvent, Question, View } from '../../src/web/window/model.ts';
import { PATIENCE } from './process.ts';

/** Files that a page has, by their paths. */
export type PageFiles = Readonly<Record<string, Uint8Array>>;

type Want = Extract<PageEvent, { readonly event: 'want' }>;

/** Speaks to the server of `drop ui` as its page does, without a browser. */
export class PageClient {
  readonly #origin: string;
  readonly #token: string;
  readonly #left = new AbortController();
  readonly #loans = new Map<string, readonly Uint8Array[]>();
  /** Loans that were given back to it. */
  readonly returned: string[] = [];
  #view: Partial<View> = {};
  #page = '';
  #listening: Promise<void> = Promise.resolve();
  /** Called before a batch is brought; what it throws or returns takes the place of that. */
  onWant: ((want: Want) => Promise<'brought' | undefined>) | undefined;

  constructor(url: string) {
    const { origin, hash } = new URL(url);
    this.#origin = origin;
    this.#token = hash.slice(1);
  }

  /** Aborted when it is closed. */
  get left(): AbortSignal {
    return this.#left.signal;
  }

  /** What the server calls it. */
  get name(): string {
    return this.#page;
  }

  /** What the page shows. */
  get view(): View {
    return this.#view as View;
  }

  /** Resolves when the page has begun to listen. */
  async open(): Promise<this> {
    const { body, status } = await this.fetch(`/api/events?page=${this.#page}`, {
      signal: this.#left.signal,
    });
    if (status !== 200 || body === null) throw new Error(`events: ${status}`);
    this.#listening = this.#listen(body).catch(() => {});
    await this.until(() => this.#page !== '' && this.view.device !== undefined);
    return this;
  }

  /** Closes it, as a person does. */
  async close(): Promise<void> {
    this.#left.abort();
    await this.#listening;
  }

  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { authorization: `Bearer ${this.#token}`, ...init.headers };
    return fetch(this.#origin + path, { ...init, headers });
  }

  /** Throws what the server says is wrong. */
  async command<Name extends keyof Commands>(
    name: Name,
    takes: Commands[Name]['takes'],
  ): Promise<Commands[Name]['gives']> {
    const body = JSON.stringify(takes);
    const response = await this.fetch(`/api/${name}`, { method: 'POST', body });
    const given = (await response.json()) as Commands[Name]['gives'] & { message?: string };
    if (!response.ok) throw Object.assign(new Error(given.message), given);
    return given;
  }

  /** Lends files, and returns the name of the loan. */
  async lend(files: PageFiles): Promise<string> {
    const entries = Object.entries(files).map(([path, bytes]) => ({
      path,
      size: bytes.length,
      mtime: 1_700_000_000_000,
    }));
    const { loan } = await this.command('lend', { page: this.#page, entries, ready: true });
    this.#loans.set(loan, Object.values(files));
    return loan;
  }

  /** Waits for a device of this name in the list, and returns its key. */
  async device(name: string): Promise<string> {
    const find = () => this.view.nearby?.find((one) => one.name === name);
    await this.until(() => find() !== undefined);
    return find()?.key ?? '';
  }

  async question<K extends Question['kind']>(
    kind: K,
  ): Promise<Extract<Question, { readonly kind: K }>> {
    const find = () => this.view.questions?.find((one) => one.kind === kind);
    await this.until(() => find() !== undefined);
    return find() as Extract<Question, { readonly kind: K }>;
  }

  /** Waits until something is so; throws with what the page shows if it does not come. */
  async until(isSo: () => boolean, ms = PATIENCE): Promise<void> {
    for (const end = performance.now() + ms; !isSo(); await sleep(20))
      if (performance.now() > end) throw new Error(`In vain: ${JSON.stringify(this.#view)}`);
  }

  async #listen(body: ReadableStream<Uint8Array>): Promise<void> {
    let text = '';
    const decoder = new TextDecoder();
    for await (const piece of body) {
      text += decoder.decode(piece, { stream: true });
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) this.#hear(JSON.parse(line));
    }
  }

  #hear(event: PageEvent | { readonly event?: undefined }): void {
    if (event.event === 'hello') this.#page = event.page;
    else if (event.event === 'view') this.#view = { ...this.#view, ...event };
    else if (event.event === 'returned') this.returned.push(event.loan);
    else if (event.event === 'want') void this.#bring(event).catch(() => {});
  }

  async #bring(want: Want): Promise<void> {
    if ((await this.onWant?.(want)) === 'brought') return;
    const files = this.#loans.get(want.loan) ?? [];
    const parts = want.files.map(({ file, from, bytes }) =>
      files[file]?.subarray(from, from + bytes),
    );
    const body = new Blob(parts as Uint8Array<ArrayBuffer>[]);
    await this.fetch(`/api/lend/${want.loan}/${want.batch}`, { method: 'PUT', body });
  }
}
