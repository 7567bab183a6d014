import { once } from 'node:events';
import { type IncomingHttpHeaders, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import type { DownloadedEvent } from '../../src/events.ts';
import { openShelf } from '../../src/handover/shelf.ts';
import { type HandingOptions, openHanding } from '../../src/web/guests/handing.ts';
import { openWebLink, type WebLink, type WebLinkOptions } from '../../src/web/guests/link.ts';

/** What came back. */
export interface Heard {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** All of it. */
  readonly text: string;
  /** Whether the answer broke off. */
  readonly cut: boolean;
}

export interface Asking {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The address that it is asked from, one of 127.0.0.0/8. */
  readonly from?: string;
}

/** Asks a server on this computer, exactly so: nothing in the path is tidied up. */
export async function ask(port: number, path: string, asking: Asking = {}): Promise<Heard> {
  const { method = 'GET', headers = {}, body, from } = asking;
  const asked = request({
    host: '127.0.0.1',
    port,
    method,
    path,
    headers,
    agent: false,
    ...(from === undefined ? {} : { localAddress: from }),
  }).end(body);
  const [answer] = await once(asked, 'response');
  const pieces: Buffer[] = [];
  let cut = false;
  try {
    for await (const piece of answer) pieces.push(piece);
  } catch {
    cut = true;
  }
  const all = Buffer.concat(pieces);
  const { statusCode: status, headers: said } = answer;
  return { status, headers: said, body: all, text: all.toString(), cut };
}

/** A connection to a server on this computer that stays, until the test is over or it is ended there. */
export async function connectionOf(
  port: number,
  from = '127.0.0.1',
): Promise<{
  readonly socket: Socket;
  readonly hears: (text: string) => Promise<void>;
  /** Resolves when it is closed, with or without a reset. */
  readonly closed: Promise<void>;
}> {
  const socket = connect({ host: '127.0.0.1', port, localAddress: from });
  onTestFinished(() => void socket.destroy());
  let heard = '';
  socket.on('data', (bytes) => {
    heard += bytes.toString();
  });
  const gone = new AbortController();
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => {}).on('close', () => gone.abort());
  await once(socket, 'connect');
  return {
    ...{ socket, closed },
    async hears(text) {
      while (!heard.includes(text)) await once(socket, 'data', { signal: gone.signal });
    },
  };
}

/** A bug is one that a test should see. */
const onBug = (error: unknown): never => {
  throw error;
};

/** A link on loopback for one test. */
export async function linkFor(options: Partial<WebLinkOptions>): Promise<WebLink> {
  const answer: WebLinkOptions['answer'] = async ({ path }) => ({
    status: 200,
    type: 'text/plain',
    body: `here: ${path}`,
  });
  const link = await openWebLink({ interfaces: ['lo'], ports: [0], answer, onBug, ...options });
  onTestFinished(() => link.close());
  return link;
}

/** What is at these paths handed out on loopback for one test. */
export class Handed {
  readonly told: DownloadedEvent[] = [];
  readonly #link: WebLink;

  private constructor(link: WebLink, told: DownloadedEvent[]) {
    this.#link = link;
    this.told = told;
  }

  static async open(
    paths: readonly string[],
    options: Partial<HandingOptions> & { readonly exclude?: readonly string[] } = {},
  ): Promise<Handed> {
    const { exclude, ...rest } = options;
    const told: DownloadedEvent[] = [];
    const link = await openHanding({
      shelf: await openShelf(paths, { exclude }),
      name: 'Ana',
      interfaces: ['lo'],
      ports: [0],
      tell: (event) => told.push(event),
      onBug,
      ...rest,
    });
    onTestFinished(() => link.close());
    return new Handed(link, told);
  }

  /** The link, as a person has it. */
  get url(): string {
    return this.#link.at([`127.0.0.1:${this.#link.port}`])[0] ?? '';
  }

  ask(path: string, asking?: Asking): Promise<Heard> {
    return ask(this.#link.port, `/${this.#link.token}/${path}`, asking);
  }

  close(): Promise<void> {
    return this.#link.close();
  }
}
