import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect as tcpConnect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer, connect as tlsConnect } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { openHome } from '../../src/disk/home.ts';
import { type Identity, loadIdentity } from '../../src/disk/identity.ts';
import { GREETING_LIMIT } from '../../src/limits.ts';
import {
  type Connection,
  dial,
  type Listener,
  type ListenOptions,
  listen,
  probe,
} from '../../src/net/tls.ts';
import { concat, equal, toHex, utf8 } from '../../src/protocol/bytes.ts';

const never = new AbortController().signal;
let folder: string;
let ana: Identity;
let bob: Identity;
let listener: Listener;
let arrived: Connection[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drop-tls-'));
  [ana, bob] = (await Promise.all(['ana', 'bob'].map(identityOf))) as [Identity, Identity];
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(() => {
  listener?.close();
  for (const connection of arrived) connection.destroy();
});

async function identityOf(name: string): Promise<Identity> {
  const home = join(folder, name);
  await openHome(home);
  return loadIdentity(home);
}

const card = { run: '1234567890abcdef', name: 'Bob', part: 'announcer', way: 'send' } as const;
const options: ListenOptions = {
  card,
  onConnection: (connection) => arrived.push(connection),
};

async function open(): Promise<number> {
  arrived = [];
  listener = await listen([0], bob, options);
  return listener.port;
}

async function pair(): Promise<[Connection, Connection]> {
  const port = await open();
  const left = await dial({ host: '127.0.0.1', port }, ana, never);
  await until(() => arrived.length === 1);
  return [left, arrived[0] as Connection];
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

async function readAll({ incoming }: Connection): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const bytes of incoming) parts.push(new Uint8Array(bytes));
  return concat(...parts);
}

describe('a connection', () => {
  test('shows each end who the other is, and both the same binding', async () => {
    const [left, right] = await pair();
    expect([left.peer, right.peer]).toEqual([bob.id, ana.id]);
    expect(left.binding).toHaveLength(32);
    expect(toHex(left.binding)).toBe(toHex(right.binding));
    expect(right.remote).toMatch(/127\.0\.0\.1$/);
    const again = await dial({ host: '127.0.0.1', port: listener.port }, ana, never);
    expect(toHex(again.binding)).not.toBe(toHex(left.binding));
    await Promise.all([left.end(), again.end()]);
  });

  test('carries bytes both ways, in order and whole, and ends cleanly', async () => {
    const [left, right] = await pair();
    const parts = Array.from({ length: 300 }, (_, i) => new Uint8Array(i * 97).fill(i));
    const there = readAll(right);
    const back = readAll(left);
    for (const part of parts) {
      void left.write(part, utf8('.'));
      await right.write(part);
    }
    await Promise.all([left.end(), right.end()]);
    expect(equal(await there, concat(...parts.flatMap((part) => [part, utf8('.')])))).toBe(true);
    expect(equal(await back, concat(...parts))).toBe(true);
  });

  test('lets nobody write faster than the other end reads', async () => {
    const [left, right] = await pair();
    let written = 0;
    const block = new Uint8Array(256 * 1024);
    const writing = (async () => {
      for (; written < 400; written++) await left.write(block);
    })().catch(() => {});
    let before: number;
    do {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 250));
    } while (written > before);
    // 100 MiB do not fit into the buffers of two sockets.
    expect(written).toBeLessThan(300);
    left.destroy();
    right.destroy();
    await writing;
  });

  test('that breaks ends reading and writing with "disconnected"', async () => {
    const [left, right] = await pair();
    const reading = readAll(left);
    right.destroy();
    await expect(Promise.all([reading, fail(left)])).rejects.toMatchObject({
      code: 'disconnected',
    });

    async function fail(connection: Connection): Promise<void> {
      for (;;) await connection.write(new Uint8Array(1024 * 1024));
    }
  });
});

describe('a probe', () => {
  test('proves who listens, and tells nothing of who asks', async () => {
    const port = await open();
    expect(await probe({ host: '127.0.0.1', port }, never)).toEqual({ id: bob.id, ...card });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(arrived).toEqual([]);
  });

  test('of a closed port is an error, and so is one that is aborted', async () => {
    const port = await open();
    listener.close();
    await expect(probe({ host: '127.0.0.1', port }, never)).rejects.toMatchObject({
      code: 'unreachable',
    });
    const silent = await import('node:net').then(({ createServer }) => createServer().listen(0));
    const address = silent.address();
    const controller = new AbortController();
    const asked = probe(
      { host: '127.0.0.1', port: typeof address === 'object' ? (address?.port ?? 0) : 0 },
      controller.signal,
    );
    controller.abort();
    await expect(asked).rejects.toMatchObject({ code: 'unreachable' });
    silent.close();
  });
});

describe('the listener admits nobody who', () => {
  const options = { host: '127.0.0.1', rejectUnauthorized: false } as const;
  const refused = async (more: object): Promise<void> => {
    const port = await open();
    const socket = tlsConnect({ ...options, port, ALPNProtocols: ['drop/1'], ...more });
    socket.on('error', () => {});
    await new Promise((resolve) => socket.once('close', resolve));
    expect(arrived).toEqual([]);
  };

  test('has no certificate', () => refused({}));
  test('speaks another protocol', () =>
    refused({ key: ana.key, cert: ana.cert, ALPNProtocols: ['h2'] }));
  test('names no protocol', () =>
    refused({ key: ana.key, cert: ana.cert, ALPNProtocols: undefined }));
  test('speaks TLS 1.2', () => refused({ key: ana.key, cert: ana.cert, maxVersion: 'TLSv1.2' }));

  test('has a key of another kind', async () => {
    const { generate } = await import('selfsigned');
    const { private: key, cert } = await generate([], { keyType: 'ec', curve: 'P-384' });
    await refused({ key, cert });
  });

  test('speaks no TLS at all', async () => {
    const port = await open();
    const socket = tcpConnect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write('GET / HTTP/1.1\r\n\r\n');
    await new Promise((resolve) => socket.once('close', resolve));
    expect(arrived).toEqual([]);
  });
});

test('whoever comes again proves its key again, whatever it kept of the last time', async () => {
  const port = await open();
  const { key, cert } = ana;
  const options = { host: '127.0.0.1', port, key, cert, ALPNProtocols: ['drop/1'] };
  const first = tlsConnect({ ...options, rejectUnauthorized: false });
  const [session] = (await once(first, 'session')) as [Buffer];
  await until(() => arrived.length === 1);
  const second = tlsConnect({ ...options, rejectUnauthorized: false, session });
  await once(second, 'secureConnect');
  expect(second.isSessionReused()).toBe(false);
  first.destroy();
  second.destroy();
});

test('a stranger that says nothing is shown out after ten seconds', async () => {
  const port = await open();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const socket = tcpConnect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.resume();
    // Until it was let in, and its time begins.
    while (vi.getTimerCount() === 0) await turns(1);
    vi.advanceTimersByTime(GREETING_LIMIT - 1);
    await turns(200);
    expect(socket.readableEnded).toBe(false);
    const ended = once(socket, 'end');
    vi.advanceTimersByTime(1);
    await ended;
    socket.destroy();
  } finally {
    vi.useRealTimers();
  }

  async function turns(count: number): Promise<void> {
    for (let n = 0; n < count; n++) await new Promise((resolve) => setImmediate(resolve));
  }
});

test('a peer that falls silent after the greeting is given up', async () => {
  const [left, right] = await pair();
  let over = false;
  void right.over.then(() => {
    over = true;
  });
  left.greeted(60_000);
  right.greeted(200);
  await expect.poll(() => over, { timeout: 8_000 }).toBe(true);
  await expect(right.write(utf8('.'))).rejects.toMatchObject({ code: 'disconnected' });
  left.destroy();
});

test('a peer that is gone by the time it is greeted is not watched', async () => {
  const [left, right] = await pair();
  left.destroy();
  await Promise.all([left.over, right.over]);
  await right.end();
  const timers = (): number =>
    process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const before = timers();
  right.greeted();
  left.greeted();
  expect(timers()).toBe(before);
});

test('strangers of one address get a few places, however many they are', async () => {
  const port = await open();
  const sockets = Array.from({ length: 100 }, () =>
    tcpConnect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' }).on('error', () => {}),
  );
  let closed = 0;
  for (const socket of sockets) socket.on('close', () => closed++);
  await until(() => closed >= 96);
  const connection = await dial({ host: '127.0.0.1', port }, ana, never);
  expect(connection.peer).toBe(bob.id);
  // Not because all of them have said nothing for long.
  expect(closed).toBe(96);
  await connection.end();
  for (const socket of sockets) socket.destroy();
});

test('a server with another key or protocol is no peer', async () => {
  const server = createTlsServer({ key: bob.key, cert: bob.cert, ALPNProtocols: ['h2'] });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  await expect(dial({ host: '127.0.0.1', port }, ana, never)).rejects.toMatchObject({
    name: 'DropError',
  });
  server.close();
});

test('whoever is there for something else says so by not taking the call', async () => {
  const [receives, shares] = [{ ...card }, { ...card, way: 'get' as const }];
  for (const [door, other, command] of [
    ['sharer', receives, 'drop share'],
    ['receiver', shares, 'drop receive'],
  ] as const) {
    const there = await listen([0], bob, { ...options, card: other });
    const dialled = dial({ host: '127.0.0.1', port: there.port }, ana, never, door);
    await expect(dialled).rejects.toMatchObject({
      code: 'not-found',
      message: `What answers at 127.0.0.1:${there.port} is no \`${command}\`.`,
    });
    there.close();
  }
});

test('the first free port is taken, and the next where it is not free', async () => {
  const first = await open();
  const second = await listen([first, 0], ana, options);
  expect(second.port).not.toBe(first);
  second.close();
  await expect(listen([first], ana, options)).rejects.toMatchObject({ code: 'usage' });
});

test('a listener that may be reached at some of our addresses only turns away the others', async () => {
  arrived = [];
  const admits = (local: string): boolean => !local.endsWith('127.0.0.1');
  listener = await listen([0], bob, { ...options, admits });
  await expect(dial({ host: '127.0.0.1', port: listener.port }, ana, never)).rejects.toMatchObject({
    code: 'unreachable',
  });
  const other = await dial({ host: '127.0.0.2', port: listener.port }, ana, never);
  expect(other.peer).toBe(bob.id);
  await other.end();
});

test('who dials where nobody listens is told what would listen there', async () => {
  const port = await open();
  listener.close();
  const address = { host: '127.0.0.1', port };
  for (const [door, command] of [
    ['receiver', 'drop receive'],
    ['sharer', 'drop share'],
  ] as const)
    await expect(dial(address, ana, never, door)).rejects.toMatchObject({
      code: 'unreachable',
      message: `Nothing takes connections at 127.0.0.1:${port}.`,
      hint: expect.stringContaining(`Is \`${command}\` running there?`),
    });
});

test('a peer that does not read cannot keep us from closing', async () => {
  const [left, right] = await pair();
  const writing = (async () => {
    for (;;) await right.write(new Uint8Array(1024 * 1024));
  })();
  const failed = expect(writing).rejects.toMatchObject({ code: 'disconnected' });
  await new Promise((resolve) => setTimeout(resolve, 200));
  await right.end();
  await failed;
  left.destroy();
});
