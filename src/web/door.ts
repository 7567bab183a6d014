import { createHash, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { DropError } from '../index.ts';
import {
  MAX_PAGE_CONNECTIONS,
  MAX_PAGE_CONNECTIONS_EACH,
  MAX_PAGE_HEADERS,
  MAX_PAGE_REQUESTS,
  PAGE_HEADERS_LIMIT,
  PAGE_SILENCE_LIMIT,
} from '../limits.ts';

/** Something that is asked of us by HTTP, and has come past the walls. */
export interface Call {
  readonly method: Method;
  /** As it stands in the request: begins with `/`, nothing in it is decoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** The address of whoever asks, without port. */
  readonly remote: string;
  /** `host:port` as it was called. */
  readonly host: string;
  /** Can be read once. Throws `disconnected` if it breaks off. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Aborted when whoever asked is gone. */
  readonly signal: AbortSignal;
  /** Whoever calls has shown that it may: its connection does not give way to others. */
  readonly welcome: () => void;
}

type Method = 'GET' | 'HEAD' | 'POST' | 'PUT';

export interface Answer {
  readonly status: number;
  /** The content type; none without a body. */
  readonly type?: string;
  readonly headers?: OutgoingHttpHeaders;
  /** Sent as fast as it is taken. What it throws breaks the connection off: the answer is not whole. */
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array>;
  /** Called once when it is over: whether all of it was handed to the network. */
  readonly over?: (whole: boolean) => void;
}

export interface DoorOptions {
  /** The address to listen on: `127.0.0.1`, or `::` for all, those of IPv4 too. */
  readonly at: string;
  /** The first of these that is free; 0 is any. */
  readonly ports: readonly number[];
  /**
   * Whether we are called so: `host:port`. A browser can be led here by a name that somebody else
   * has chosen (DNS rebinding), and then takes us for a part of that site.
   */
  readonly isOurs: (host: string) => boolean;
  /** Whether somebody is let in at one of our addresses. */
  readonly admits?: ((local: string, remote: string) => boolean) | undefined;
  readonly answer: (call: Call) => Promise<Answer>;
  /** Hears of bugs; of whoever asks nothing is said. */
  readonly onBug: (error: unknown) => void;
}

export interface Door {
  readonly port: number;
  /** Breaks off what is under way. */
  close(): Promise<void>;
}

/**
 * Opens a server for browsers, with the walls that hold for all of them: who may connect, how we
 * have to be called, from which pages requests may come, and what a page of ours may do. Throws
 * `usage` if none of the ports is free.
 */
export async function openDoor(options: DoorOptions): Promise<Door> {
  const callers = new Callers();
  const server = createServer({
    maxHeaderSize: MAX_PAGE_HEADERS,
    headersTimeout: PAGE_HEADERS_LIMIT,
    // A large file takes as long as it takes; `timeout` ends what stands still.
    requestTimeout: 0,
    connectionsCheckingInterval: 1000,
    keepAliveTimeout: PAGE_SILENCE_LIMIT,
  });
  server.timeout = PAGE_SILENCE_LIMIT;
  server.on('connection', (socket) => {
    const { localAddress = '', remoteAddress = '' } = socket;
    const isFit = options.admits?.(canonical(localAddress), canonical(remoteAddress)) !== false;
    if (!isFit || !callers.admit(socket)) socket.destroy();
  });
  const hear = (request: IncomingMessage, response: ServerResponse, proceed = (): void => {}) => {
    const { socket } = request;
    // Whoever does not wait for an answer would have us hold them all.
    if (!callers.asks(socket)) return void socket.destroy();
    const over = new AbortController();
    const end = (): void => {
      socket.off('close', end);
      callers.hasAnswer(socket);
      over.abort();
    };
    response.once('close', end);
    // Of an answer that waits for its turn nobody says that its connection is closed.
    socket.once('close', end);
    const welcome = (): void => callers.welcome(socket);
    void serve({ request, response, socket, proceed, over: over.signal }, welcome, options);
  };
  server.on('request', (request, response) => hear(request, response));
  // Whoever asks first whether to send it at all need not send what nobody reads.
  server.on('checkContinue', (request, response) =>
    hear(request, response, () => response.writeContinue()),
  );
  // Nothing is answered to what is no HTTP.
  server.on('clientError', (_, socket) => socket.destroy());

  const port = await listen(server, options);
  // Whoever could not be taken in, as there are no handles for instance, may come again.
  server.on('error', () => {});
  return {
    port,
    async close() {
      const closed = once(server, 'close');
      server.close();
      callers.dismissAll();
      await closed;
    },
  };
}

const LOOPBACK = '127.0.0.1';

/** One request, and the answer to it. */
interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly socket: Socket;
  /** What is asked is read from now on. */
  readonly proceed: () => void;
  /** Aborted when all is answered, or whoever asked is gone. */
  readonly over: AbortSignal;
}

/** The connections that are there, the oldest first. */
class Callers {
  readonly #all = new Map<Socket, { isWelcome: boolean; asked: number }>();

  /**
   * Whether there is room for one more. If not, the oldest gives way that was not welcomed: whoever may
   * come in shows it at once, and whoever only fills the room takes it from nobody.
   */
  admit(socket: Socket): boolean {
    const all = [...this.#all.keys()];
    const hers = all.filter(({ remoteAddress }) => remoteAddress === socket.remoteAddress);
    const isFullOfHers = hers.length >= MAX_PAGE_CONNECTIONS_EACH;
    if (isFullOfHers || all.length >= MAX_PAGE_CONNECTIONS) {
      const stranger = (isFullOfHers ? hers : all).find(
        (one) => this.#all.get(one)?.isWelcome === false,
      );
      if (stranger === undefined) return false;
      this.#all.delete(stranger);
      stranger.destroy();
    }
    this.#all.set(socket, { isWelcome: false, asked: 0 });
    socket.once('close', () => this.#all.delete(socket));
    return true;
  }

  welcome(socket: Socket): void {
    const caller = this.#all.get(socket);
    if (caller) caller.isWelcome = true;
  }

  /** Whether it may ask one thing more, beside what is not answered yet. */
  asks(socket: Socket): boolean {
    const caller = this.#all.get(socket);
    if (caller === undefined || caller.asked >= MAX_PAGE_REQUESTS) return false;
    caller.asked += 1;
    return true;
  }

  hasAnswer(socket: Socket): void {
    const caller = this.#all.get(socket);
    if (caller) caller.asked -= 1;
  }

  dismissAll(): void {
    for (const socket of this.#all.keys()) socket.destroy();
  }
}

/** Whether two secrets are the same, in a time that tells nothing of them, nor how long one is. */
export function isSameSecret(given: string, secret: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(secret));
}

/** Something to be said as JSON. */
export function jsonAnswer(value: unknown, status = 200): Answer {
  return { status, type: 'application/json', body: JSON.stringify(value) };
}

/** The body, of at most so many bytes. Throws `usage` if there are more. */
export async function readBody(call: Call, most: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of call.body) {
    bytes += piece.length;
    if (bytes > most) throw new DropError('usage', { message: 'That is too much at once.' });
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** The body as JSON, of at most so many bytes. Throws `usage` for anything else. */
export async function readJson(call: Call, most: number): Promise<unknown> {
  const text = (await readBody(call, most)).toString('utf8');
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new DropError('usage', { message: 'That is no JSON.', cause });
  }
}

/** An address as everything else writes it: IPv4 as such, also where it came by IPv6. */
function canonical(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}

async function serve(exchange: Exchange, welcome: () => void, options: DoorOptions): Promise<void> {
  const { request, response, socket, over } = exchange;
  const { at } = options;
  response.on('error', () => {}); // Who is gone needs no answer.
  request.on('error', () => {});
  waitsFor(socket, 'us');
  try {
    const call = callOf(exchange, welcome);
    const refused = call === undefined ? 400 : refusal(call, options);
    const answer: Answer =
      call === undefined || refused !== undefined
        ? refusalOf(refused ?? 400)
        : await options.answer(call);
    // What nobody reads of the request would be taken for the next one.
    const isRead = request.complete || !hasBody(request);
    if (over.aborted) answer.over?.(false);
    else over.addEventListener('abort', () => answer.over?.(response.writableFinished));
    await send(exchange, answer, { whole: request.method !== 'HEAD', last: !isRead, at });
  } catch (error) {
    // The answer breaks off, for all to see who wait for it.
    if (!over.aborted && !(error instanceof DropError)) options.onBug(error);
    if (response.headersSent) response.destroy();
    else await send(exchange, failed(error), { whole: true, last: true, at }).catch(() => {});
  }
}

/** What is said of a failure before anything else was: whose it is. */
function failed(error: unknown): Answer {
  return { status: error instanceof DropError && error.code === 'usage' ? 400 : 500 };
}

/** Whose turn it is on a connection. We may be busy, or wait for a person; whoever calls may not. */
function waitsFor(socket: Socket, whom: 'us' | 'them'): void {
  socket.setTimeout(whom === 'them' ? PAGE_SILENCE_LIMIT : 0);
}

function callOf(exchange: Exchange, welcome: () => void): Call | undefined {
  const { method = '', url = '', headers } = exchange.request;
  if (!isMethod(method) || !url.startsWith('/')) return undefined;
  const mark = url.indexOf('?');
  return {
    method,
    path: mark < 0 ? url : url.slice(0, mark),
    query: new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1)),
    headers,
    remote: canonical(exchange.socket.remoteAddress ?? ''),
    host: headers.host ?? '',
    body: bodyOf(exchange),
    signal: exchange.over,
    welcome,
  };
}

/** The status with which a call is refused, if it is. */
function refusal(call: Call, { isOurs }: DoorOptions): number | undefined {
  const { method, host, headers } = call;
  if (!isOurs(host)) return 421;
  const { origin } = headers;
  const site = headers['sec-fetch-site'];
  const isForeign =
    (origin !== undefined && origin !== `http://${host}`) ||
    (site !== undefined && site !== 'same-origin' && site !== 'none');
  // A link on any page may lead here; nothing else on it may.
  const isVisit = method === 'GET' && headers['sec-fetch-mode'] === 'navigate';
  return isForeign && !(isVisit && headers['sec-fetch-dest'] === 'document') ? 403 : undefined;
}

/** Said to a person who came by a wrong way; whatever was asked for, it says no more. */
function refusalOf(status: number): Answer {
  const body =
    status === 421
      ? 'Open it by the link that drop shows: it is there under no other name.\n'
      : 'That is not answered.\n';
  return { status, type: 'text/plain; charset=utf-8', body };
}

async function send(
  { response, socket, over }: Exchange,
  { status, type, headers, body }: Answer,
  { whole, last, at }: { readonly whole: boolean; readonly last: boolean; readonly at: string },
): Promise<void> {
  const length = typeof body === 'string' ? Buffer.byteLength(body) : bytesOf(body);
  response.writeHead(status, {
    ...WALLS,
    ...(at === LOOPBACK ? WALLS_HERE : {}),
    ...(type === undefined ? {} : { 'Content-Type': type }),
    ...(length === undefined ? {} : { 'Content-Length': length }),
    ...(last ? { Connection: 'close' } : {}),
    ...headers,
  });
  const isAtHand = typeof body === 'string' || body instanceof Uint8Array;
  if (whole && body !== undefined && !isAtHand)
    for await (const piece of body) {
      if (over.aborted) return;
      if (!response.write(piece)) await drained(response, socket, over);
    }
  waitsFor(socket, 'them');
  response.end(whole && isAtHand ? body : undefined);
}

/** Resolves when there is room, or nobody there any more. */
async function drained(response: ServerResponse, socket: Socket, over: AbortSignal): Promise<void> {
  if (over.aborted) return;
  waitsFor(socket, 'them');
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      over.removeEventListener('abort', done);
      resolve();
    };
    response.on('drain', done);
    over.addEventListener('abort', done);
  });
  waitsFor(socket, 'us');
}

function bytesOf(body: Answer['body']): number | undefined {
  if (body === undefined) return 0;
  return body instanceof Uint8Array ? body.length : undefined;
}

async function* bodyOf({ request, socket, proceed }: Exchange): AsyncGenerator<Uint8Array> {
  proceed();
  waitsFor(socket, 'them');
  try {
    for await (const piece of request as AsyncIterable<Uint8Array>) {
      waitsFor(socket, 'us');
      yield piece;
      waitsFor(socket, 'them');
    }
  } catch (cause) {
    throw new DropError('disconnected', { cause });
  } finally {
    waitsFor(socket, 'us');
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function isMethod(method: string): method is Method {
  return /^(?:GET|HEAD|POST|PUT)$/.test(method);
}

async function listen(
  server: ReturnType<typeof createServer>,
  { at, ports }: Pick<DoorOptions, 'at' | 'ports'>,
): Promise<number> {
  for (const port of ports) {
    try {
      return await listenAt(server, at, port);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Where there is no IPv6, `::` is nothing.
      const isWithout = code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL';
      if (isWithout && at === '::') return await listen(server, { at: '0.0.0.0', ports });
      if (code !== 'EADDRINUSE' && code !== 'EACCES') throw error;
    }
  }
  throw new DropError('usage', {
    message: `Port ${ports.at(-1) ?? 0} is taken by another program, or not for us.`,
    hint: 'Choose another one, or none.',
  });
}

async function listenAt(
  server: ReturnType<typeof createServer>,
  host: string,
  port: number,
): Promise<number> {
  server.listen({ host, port });
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/**
 * What a page of ours may do: run what comes from here, and nothing that stands in the page itself
 * or comes from elsewhere. It cannot be framed, nor kept, nor tell others where it was. It tells
 * us: without that, a browser does not say either where a form came from.
 */
const WALLS: OutgoingHttpHeaders = {
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Cache-Control': 'no-store',
};

/** What browsers heed only of this computer itself, as of other pages that come by HTTP they trust none. */
const WALLS_HERE: OutgoingHttpHeaders = { 'Cross-Origin-Opener-Policy': 'same-origin' };
