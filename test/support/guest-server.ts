import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import {
  type Answer,
  type Call,
  type Door,
  jsonAnswer,
  openDoor,
  readJson,
} from '../../src/web/door.ts';
import type { GuestEvent, Upload } from '../../src/web/guests/model.ts';
import { GUEST_STYLE } from '../../src/web/guests/style.ts';
import { TAKING_STYLE, takingPage } from '../../src/web/guests/taking-page.ts';
import { type Said, Stream } from './page-server.ts';

/** Stands for the server of `drop receive --web`: serves the page that was built, and keeps what it says. */
export class GuestServer implements AsyncDisposable {
  readonly said: Said[] = [];
  /** The status with which whoever wants to listen is refused, if it is. */
  refuses: number | undefined;
  /** What is asked for by this is heard, and not answered. */
  hangs: string | undefined;
  /** What it calls the page that listens. */
  page = 'page-1';
  readonly #streams = new Set<Stream<GuestEvent>>();
  #door: Door | undefined;
  #upload: GuestEvent | undefined;
  #loans = 0;

  static async open(): Promise<GuestServer> {
    const server = new GuestServer();
    server.#door = await openDoor({
      at: '127.0.0.1',
      ports: [0],
      isOurs: () => true,
      answer: (call) => server.#answer(call),
      onBug: (error) => console.error(error),
    });
    return server;
  }

  get link(): string {
    return `http://127.0.0.1:${this.#door?.port}${ROOT}`;
  }

  tell(event: GuestEvent): void {
    for (const stream of this.#streams) stream.say(event);
  }

  /** Tells how it stands with what was lent last. */
  upload(changes: Partial<Upload>): void {
    this.#upload = { event: 'upload', loan: `loan-${this.#loans}`, ...BEGUN, ...changes };
    this.tell(this.#upload);
  }

  /** Breaks the connection of the page, which may find its way back. */
  cut(): void {
    for (const stream of this.#streams) stream.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await this.#door?.close();
  }

  async #answer(call: Call): Promise<Answer> {
    const path = call.path.slice(ROOT.length);
    if (path === '') return takingPage({ name: 'Ana', root: ROOT, host: call.host });
    if (path === 'events') return this.#listen(call);
    if (call.method === 'POST') {
      this.said.push({ name: path, body: await readJson(call, 1 << 20) });
      if (path === this.hangs) await once(call.signal, 'abort');
      return jsonAnswer(path === 'lend' ? { loan: `loan-${++this.#loans}` } : {});
    }
    return await assetOf(path);
  }

  #listen({ signal }: Call): Answer {
    if (this.refuses !== undefined) return { status: this.refuses };
    const stream = new Stream<GuestEvent>();
    stream.say({ event: 'hello', page: this.page });
    if (this.#upload !== undefined) stream.say(this.#upload);
    this.#streams.add(stream);
    signal.addEventListener('abort', () => {
      stream.end();
      this.#streams.delete(stream);
    });
    return { status: 200, type: 'application/x-ndjson', body: stream.bytes() };
  }
}

const ROOT = '/token/';

/** An upload that nothing was heard of yet. */
const BEGUN: Omit<Upload, 'loan'> = {
  ...{ state: 'running', bytes: 0, total: 1_000_000, files: 0, ofFiles: 1, file: '' },
  ...{ rate: 0, left: null, resumed: 0, same: 0, failed: 0, failures: [], message: '' },
};

async function assetOf(path: string): Promise<Answer> {
  const [css, js] = ['text/css; charset=utf-8', 'text/javascript; charset=utf-8'];
  if (path === '-/style.css') return { status: 200, type: css, body: GUEST_STYLE };
  if (path === 'upload.css') return { status: 200, type: css, body: TAKING_STYLE };
  if (path !== 'upload.js') return { status: 404 };
  return { status: 200, type: js, body: await readFile('dist/page/upload.js') };
}
