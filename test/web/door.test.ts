import { EventEmitter, once } from 'node:events';
import { createServer, Server, Socket } from 'node:net';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { DropError } from '../../src/index.ts';
import {
  MAX_PAGE_CONNECTIONS_EACH,
  MAX_PAGE_HEADERS,
  MAX_PAGE_REQUESTS,
  PAGE_HEADERS_LIMIT,
  PAGE_SILENCE_LIMIT,
} from '../../src/limits.ts';
import { type Door, type DoorOptions, openDoor, readBody } from '../../src/web/door.ts';
import { ask, connectionOf } from './support.ts';

afterEach(() => void vi.restoreAllMocks());

/** A door for one test, at which everybody is let in; what it says to whoever asks. */
async function opened(options: Partial<DoorOptions> = {}): Promise<Door & { bugs: unknown[] }> {
  const bugs: unknown[] = [];
  const door = await openDoor({
    ...{ at: '::', ports: [0], isOurs: () => true, onBug: (error) => bugs.push(error) },
    answer: async ({ method, path }) => ({ status: 200, type: 'text/plain', body: method + path }),
    ...options,
  });
  onTestFinished(() => door.close());
  return { ...door, bugs };
}

/** What comes back for exactly these bytes, until the connection is closed from there. */
async function said(port: number, bytes: string): Promise<string> {
  const { socket, closed } = await connectionOf(port);
  let heard = '';
  socket.on('data', (piece) => {
    heard += piece.toString();
  });
  socket.write(bytes);
  await closed;
  return heard;
}

describe('what a page may do', () => {
  test('is nothing but what comes from here, and is kept nowhere', async () => {
    const { port } = await opened();
    const { headers } = await ask(port, '/');
    expect(headers).toMatchObject({
      'content-security-policy':
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'same-origin',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'cache-control': 'no-store',
    });
    // Of pages that come by HTTP from elsewhere, browsers only complain of it.
    expect(headers).not.toHaveProperty('cross-origin-opener-policy');
  });

  test('is in no window of others, where browsers heed that', async () => {
    const { port } = await opened({
      at: '127.0.0.1',
      answer: async () => ({ status: 500 }),
      isOurs: (host) => host !== 'evil',
    });
    for (const asking of [{}, { method: 'PATCH' }, { headers: { host: 'evil' } }])
      expect((await ask(port, '/', asking)).headers).toMatchObject({
        'cross-origin-opener-policy': 'same-origin',
      });
  });
});

describe('what is asked', () => {
  test.each([
    ['PATCH', '/'],
    ['DELETE', '/'],
    ['OPTIONS', '*'],
    ['GET', 'http://127.0.0.1/'],
  ])('by %s %s is not answered', async (method, path) => {
    const answer = vi.fn();
    const { port } = await opened({ answer });
    expect(await ask(port, path, { method })).toMatchObject({
      status: 400,
      text: 'That is not answered.\n',
    });
    expect(answer).not.toHaveBeenCalled();
  });

  test.each([
    [{ origin: 'http://evil.example' }, 403],
    [{ origin: 'null' }, 403],
    [{ 'sec-fetch-site': 'cross-site' }, 403],
    [{ 'sec-fetch-site': 'same-site' }, 403],
    [{ 'sec-fetch-site': 'same-origin' }, 200],
    [{ 'sec-fetch-site': 'none' }, 200],
    // A link on another page leads here; a frame, a picture and a script on it do not.
    [
      {
        'sec-fetch-site': 'cross-site',
        'sec-fetch-mode': 'navigate',
        'sec-fetch-dest': 'document',
      },
      200,
    ],
    [
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' },
      403,
    ],
    [
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'document' },
      403,
    ],
  ])('by a page with %j gets %i', async (headers, status) => {
    const { port } = await opened();
    expect((await ask(port, '/', { headers })).status).toBe(status);
  });

  test('by a form of another page is not answered, even if it leads away from that', async () => {
    const { port } = await opened();
    const headers = {
      'sec-fetch-site': 'cross-site',
      'sec-fetch-mode': 'navigate',
      'sec-fetch-dest': 'document',
    };
    for (const method of ['POST', 'PUT'])
      expect((await ask(port, '/', { method, headers, body: 'a' })).status).toBe(403);
  });

  test('in more than so many bytes, or in what is no HTTP, is no question', async () => {
    const { port, bugs } = await opened();
    const long = `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(MAX_PAGE_HEADERS)}\r\n\r\n`;
    expect(await said(port, long)).toBe('');
    expect(await said(port, 'SSH-2.0-x\r\n\r\n')).toBe('');
    const fits = 'x'.repeat(MAX_PAGE_HEADERS - 200);
    expect((await ask(port, '/', { headers: { x: fits } })).status).toBe(200);
    expect(bugs).toEqual([]);
  });

  test('leaves nothing behind that would be taken for the next question', async () => {
    const { port } = await opened();
    const body = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';
    const heard = await said(
      port,
      `POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length + 1}\r\n\r\n${body}`,
    );
    expect(heard).toContain('POST/one');
    expect(heard).toMatch(/connection: close/i);
    expect(heard).not.toContain('smuggled');
  });

  test('by HEAD is answered without what there is, which nobody then reads either', async () => {
    let isRead = false;
    const body = (async function* () {
      isRead = true;
      yield Buffer.from('abc');
    })();
    const { port } = await opened({ answer: async () => ({ status: 200, body }) });
    expect((await ask(port, '/', { method: 'HEAD' })).body).toHaveLength(0);
    expect(isRead).toBe(false);
  });

  test('under another name is not answered', async () => {
    const answer = vi.fn();
    const { port } = await opened({ answer, isOurs: (host) => host !== 'evil' });
    expect((await ask(port, '/', { headers: { host: 'evil' } })).status).toBe(421);
    expect(answer).not.toHaveBeenCalled();
  });

  test('by somebody who leaves is given up', async () => {
    const left = vi.fn();
    const asked = new EventEmitter();
    const { port } = await opened({
      async answer({ signal }) {
        asked.emit('begun');
        await once(signal, 'abort');
        left();
        return { status: 200, over: (isWhole) => asked.emit('over', isWhole) };
      },
    });
    const { socket } = await connectionOf(port);
    const begun = once(asked, 'begun');
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await begun;
    const over = once(asked, 'over');
    socket.destroy();
    expect(await over).toEqual([false]);
    expect(left).toHaveBeenCalledOnce();
  });

  test('by somebody who leaves is given up, also where it is an answer that waits for its turn', async () => {
    const over = vi.fn();
    let left = 0;
    const { port } = await opened({
      answer: async ({ path, signal }) => ({
        status: 200,
        over,
        body: (async function* () {
          try {
            // Of what does not get through, so much is held, and no more.
            while (path === '/next') yield Buffer.alloc(1024 * 1024);
            await once(signal, 'abort');
          } finally {
            left += 1;
          }
        })(),
      }),
    });
    const { socket } = await connectionOf(port);
    const asked = ['/first', '/next'].map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    socket.write(asked.join(''));
    await new Promise((resolve) => setImmediate(resolve));
    socket.destroy();
    await expect.poll(() => left).toBe(2);
    expect(over.mock.calls).toEqual([[false], [false]]);
  });

  test('is read up to what it may be', async () => {
    const { port } = await opened({
      answer: async (call) => ({ status: 200, body: await readBody(call, 3) }),
    });
    const put = (body: string) => ask(port, '/', { method: 'POST', body });
    expect(await put('abc')).toMatchObject({ status: 200, text: 'abc' });
    expect((await put('abcd')).status).toBe(400);
  });
});

describe('who asks', () => {
  test('is let in by both addresses, those of IPv4 as such', async () => {
    const asked: string[][] = [];
    const { port } = await opened({
      admits: (local, remote) => {
        asked.push([local, remote]);
        return remote !== '127.0.0.2';
      },
    });
    expect((await ask(port, '/')).status).toBe(200);
    await expect(ask(port, '/', { from: '127.0.0.2' })).rejects.toThrow(/hang up|ECONNRESET/);
    expect(asked).toEqual([
      ['127.0.0.1', '127.0.0.1'],
      ['127.0.0.1', '127.0.0.2'],
    ]);
  });

  test('has so long for it, and is not waited for where nothing moves', async () => {
    // It is another matter whether Node keeps what it is told.
    const listening = vi.spyOn(Server.prototype, 'listen');
    await opened();
    expect(listening.mock.contexts[0]).toMatchObject({
      ...{ headersTimeout: PAGE_HEADERS_LIMIT, timeout: PAGE_SILENCE_LIMIT },
      ...{ keepAliveTimeout: PAGE_SILENCE_LIMIT },
    });
  });

  test('takes a place as long as it is there', async () => {
    const { port } = await opened({
      async answer(call) {
        call.welcome();
        return { status: 200 };
      },
    });
    for (let n = 0; n <= MAX_PAGE_CONNECTIONS_EACH; n++)
      expect((await ask(port, '/')).status).toBe(200);
  });

  test('may be silent as long as it is our turn, and no longer', async () => {
    const setting = vi.spyOn(Socket.prototype, 'setTimeout');
    /** How long the connection may stand still by now; 0 is for ever. */
    const silence = (): unknown => setting.mock.lastCall?.[0];
    const silences: unknown[] = [];
    const piece = Buffer.alloc(1024 * 1024);
    const { port } = await opened({
      async answer({ body }) {
        silences.push(silence());
        const pieces = body[Symbol.asyncIterator]();
        const first = pieces.next();
        silences.push(silence());
        await first;
        silences.push(silence());
        return {
          status: 200,
          body: (async function* () {
            silences.push(silence());
            // More than can be on its way.
            for (let n = 0; n < 64; n++) yield piece;
          })(),
        };
      },
    });
    const { socket } = await connectionOf(port);
    socket.pause();
    socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc');
    await expect.poll(() => silences).toHaveLength(4);
    expect(silences).toEqual([0, PAGE_SILENCE_LIMIT, 0, 0]);
    // Nothing is taken.
    await expect.poll(silence).toBe(PAGE_SILENCE_LIMIT);
    let taken = 0;
    socket.on('data', ({ length }) => {
      taken += length;
    });
    socket.resume();
    while (taken < 64 * piece.length) await once(socket, 'data');
    expect(silence()).not.toBe(0);
  });

  test('asks no more before it is answered than can be held', async () => {
    let asked = 0;
    const { port } = await opened({
      async answer({ signal }) {
        asked += 1;
        await once(signal, 'abort');
        return { status: 200 };
      },
    });
    const one = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
    expect(await said(port, one.repeat(MAX_PAGE_REQUESTS + 1))).toBe('');
    expect(asked).toBe(MAX_PAGE_REQUESTS);
  });

  test('may ask as often as it likes, one after the other', async () => {
    const { port } = await opened();
    const { socket, hears } = await connectionOf(port);
    for (let n = 0; n <= MAX_PAGE_REQUESTS; n++) {
      socket.write(`GET /${n} HTTP/1.1\r\nHost: a\r\n\r\n`);
      await hears(`GET/${n}`);
    }
  });

  test('whether to send something is told so only if it is read', async () => {
    const { port } = await opened({
      answer: async (call) =>
        call.path === '/no' ? { status: 403 } : { status: 200, body: await readBody(call, 3) },
    });
    const head = 'HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n';
    expect(await said(port, `PUT /no ${head}`)).toMatch(/^HTTP\/1\.1 403 /);
    const { socket, hears } = await connectionOf(port);
    socket.write(`PUT / ${head}`);
    await hears('100 Continue');
    socket.write('abc');
    await hears('\r\n\r\nabc');
  });
});

describe('what goes wrong', () => {
  test('is told of as the fault of whoever asked, or of us', async () => {
    let error: unknown = new DropError('usage');
    const { port, bugs } = await opened({
      answer: async () => {
        throw error;
      },
    });
    expect(await ask(port, '/')).toMatchObject({ status: 400, text: '' });
    error = new DropError('disconnected');
    expect(await ask(port, '/')).toMatchObject({ status: 500, text: '' });
    expect(bugs).toEqual([]);
    error = new Error('a secret path');
    expect(await ask(port, '/')).toMatchObject({ status: 500, text: '' });
    expect(bugs).toEqual([error]);
  });

  test('in the middle breaks off, so that nobody takes it for whole', async () => {
    let go = (): void => {};
    const heard = new Promise<void>((resolve) => {
      go = resolve;
    });
    const { port } = await opened({
      answer: async () => ({
        status: 200,
        body: (async function* () {
          yield Buffer.from('half');
          await heard;
          throw new DropError('changed');
        })(),
      }),
    });
    const { socket, hears, closed } = await connectionOf(port);
    let rest = '';
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await hears('half');
    socket.on('data', (bytes) => {
      rest += bytes.toString();
    });
    go();
    await closed;
    expect(rest).toBe('');
  });

  test('does not keep others from being served where no port is free', async () => {
    const taken = createServer().listen(0, '::');
    await once(taken, 'listening');
    onTestFinished(() => void taken.close());
    const address = taken.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    expect((await opened({ ports: [port, 0] })).port).not.toBe(port);
    await expect(opened({ ports: [port] })).rejects.toMatchObject({ code: 'usage' });
  });
});
