import { once } from 'node:events';
import { request } from 'node:http';
import type { GuestEvent, Upload } from '../../src/web/guests/model.ts';
import { Digests } from '../../src/web/page/guests/digests.ts';
import { type Dropped, Lender } from '../../src/web/page/lending.ts';
import { Changes } from './process.ts';

/** How a request goes wrong. */
export interface Fault {
  /** It breaks off after so many bytes, or stands still. */
  readonly after: number;
  readonly hangs?: boolean;
}

/** What the page for guests does, as far as it speaks with the server. */
export class GuestClient implements AsyncDisposable {
  readonly events: GuestEvent[] = [];
  /** What becomes of the next requests that bring something; by default all goes well. */
  readonly faults: Fault[] = [];
  /** Requests that brought something. */
  puts = 0;
  /** Bytes that they were to bring. */
  sent = 0;
  page = '';
  /** Whether it does what it is asked. */
  isSilent = false;
  readonly #url: URL;
  readonly #cookie: string | undefined;
  readonly #lender: Lender;
  readonly #changes = new Changes();
  #listening = new AbortController();

  private constructor(url: string, cookie: string | undefined) {
    this.#url = new URL(url);
    this.#cookie = cookie;
    const digests = new Digests();
    this.#lender = new Lender(
      {
        post: (name, body) => this.post(name, body) as Promise<{ loan: string }>,
        put: (loan, batch, body, signal) => this.#put(loan, batch, body, signal),
      },
      { digestOf: (...wanted) => digests.of(...wanted) },
    );
  }

  /** Opens the page; `cookie` of a former one makes it the same browser. */
  static async open(url: string, cookie?: string): Promise<GuestClient> {
    const headers: Record<string, string> = cookie === undefined ? {} : { cookie };
    const response = await fetch(url, { headers });
    await response.text();
    const given = response.headers.get('set-cookie')?.split(';')[0];
    const client = new GuestClient(url, cookie ?? given);
    await client.listen();
    return client;
  }

  get cookie(): string | undefined {
    return this.#cookie;
  }

  /** How it stands with what was brought last. */
  get upload(): Upload | undefined {
    return this.events.findLast((event) => event.event === 'upload');
  }

  /** Hears what happens, as the same page if it was one before. */
  async listen(): Promise<void> {
    this.#listening = new AbortController();
    const query = this.page === '' ? '' : `?page=${this.page}`;
    const response = await this.fetch(`events${query}`, { signal: this.#listening.signal });
    if (!response.ok) throw new Error(`no events: ${response.status}`);
    const heard = this.events.length;
    void this.#hear(response).catch(() => {});
    await this.#changes.until(
      () => this.events.slice(heard).find(({ event }) => event === 'hello'),
      () => 'it is not greeted',
    );
  }

  /** Hears nothing any more. */
  deafen(): void {
    this.#listening.abort();
  }

  /** Lends and brings; returns when it has begun. */
  async bring(dropped: readonly Dropped[]): Promise<string> {
    const loan = await this.lend(dropped);
    await this.post('bring', { page: this.page, loan });
    return loan;
  }

  lend(dropped: readonly Dropped[]): Promise<string> {
    return this.#lender.lend(dropped, this.page);
  }

  async until(what: string, isMet: (client: this) => boolean): Promise<void> {
    await this.#changes.until(
      () => isMet(this) || undefined,
      () => `${what} does not happen: ${JSON.stringify(this.events.slice(-5))}`,
    );
  }

  /** Waits until what is brought is over. */
  async ended(): Promise<Upload> {
    const isOn = ['waiting', 'running', undefined];
    await this.until('the end', ({ upload }) => !isOn.includes(upload?.state));
    return this.upload as Upload;
  }

  /** What the server gives; throws what it says. */
  async post(name: string, body: unknown): Promise<object> {
    const response = await this.fetch(name, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
    const said = await response.text();
    if (!response.ok) throw new Error(`${response.status}: ${said}`);
    return JSON.parse(said);
  }

  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.#cookie !== undefined) headers.set('cookie', this.#cookie);
    return fetch(new URL(path, this.#url), { ...init, headers });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.deafen();
    this.#lender.forgetAll();
  }

  async #put(loan: string, batch: string, body: Blob, signal: AbortSignal): Promise<void> {
    this.puts += 1;
    this.sent += body.size;
    const fault = this.faults.shift();
    if (fault !== undefined) return this.#break(`lend/${loan}/${batch}`, body, fault, signal);
    const response = await this.fetch(`lend/${loan}/${batch}`, { method: 'PUT', body, signal });
    if (!response.ok) throw new Error(`${response.status}`);
  }

  /** Brings a part of it, and then the connection is cut. */
  async #break(
    path: string,
    body: Blob,
    { after, hangs }: Fault,
    signal: AbortSignal,
  ): Promise<void> {
    const put = request(new URL(path, this.#url), {
      method: 'PUT',
      headers: { cookie: this.#cookie ?? '', 'content-length': body.size },
    });
    put.on('error', () => {});
    const bytes = Buffer.from(await body.slice(0, after).arrayBuffer());
    await new Promise<void>((resolve) => put.write(bytes, () => resolve()));
    if (hangs && !signal.aborted) await once(signal, 'abort');
    const closed = once(put, 'close');
    put.destroy();
    await closed;
    throw new Error('It broke off.');
  }

  async #hear({ body }: Response): Promise<void> {
    const decoder = new TextDecoder();
    let rest = '';
    for await (const piece of body ?? []) {
      const lines = (rest + decoder.decode(piece, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#heard(JSON.parse(line));
    }
  }

  #heard(event: GuestEvent | { readonly event?: never }): void {
    if (event.event === undefined) return;
    this.events.push(event);
    if (event.event === 'hello') this.page = event.page;
    if (event.event === 'want' && !this.isSilent) this.#lender.want(event);
    if (event.event === 'unwanted') this.#lender.unwanted(event);
    this.#changes.announce();
  }
}

/** A file in memory, as a browser has it. */
export function picked(path: string, bytes: string | Uint8Array, lastModified = 1e12): Dropped {
  const content = typeof bytes === 'string' ? bytes : new Uint8Array(bytes);
  const name = path.slice(path.lastIndexOf('/') + 1);
  return { path, file: new File([content], name, { lastModified }) };
}
