import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket, connect as tcpConnect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as tlsConnect } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { openHome } from '../../src/disk/home.ts';
import { type Identity, loadIdentity } from '../../src/disk/identity.ts';
import { awaitForData, dialForData } from '../../src/net/data.ts';
import { type Connection, dial, listen } from '../../src/net/tls.ts';
import { utf8 } from '../../src/protocol/bytes.ts';

const never = new AbortController().signal;
let folder: string;
let ana: Identity;
let bob: Identity;
let eve: Identity;
/** Bob has dialled Ana: his end, and hers. */
let sender: Connection;
let receiver: Connection;
let close: () => void;
const open = new Set<Connection>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drop-data-'));
  [ana, bob, eve] = (await Promise.all(['ana', 'bob', 'eve'].map(identityOf))) as [
    Identity,
    Identity,
    Identity,
  ];
});
afterAll(() => rm(folder, { recursive: true }));

async function identityOf(name: string): Promise<Identity> {
  const home = join(folder, name);
  await openHome(home);
  return loadIdentity(home);
}

beforeEach(async () => {
  let arrive = (_: Connection): void => {};
  const arriving = new Promise<Connection>((resolve) => {
    arrive = resolve;
  });
  const listener = await listen([0], ana, {
    card: { run: '1234567890abcdef', name: 'Ana', part: 'announcer', way: 'send' },
    onConnection: (connection) => arrive(connection),
  });
  close = () => listener.close();
  sender = keep(await dial({ host: '127.0.0.1', port: listener.port }, bob, never));
  receiver = keep(await arriving);
});
afterEach(() => {
  vi.useRealTimers();
  close();
  for (const connection of open) connection.destroy();
  open.clear();
});

function keep(connection: Connection): Connection {
  open.add(connection);
  return connection;
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

/** Whether anybody listens there. */
async function isOpen(port: number): Promise<boolean> {
  const socket = tcpConnect(port, '127.0.0.1');
  const answer = await Promise.race([
    once(socket, 'connect').then(() => true),
    once(socket, 'error').then(() => false),
  ]).catch(() => false);
  socket.destroy();
  return answer;
}

/** What happens within some turns of the event loop, where the clock stands still. */
async function turns(): Promise<void> {
  for (let n = 0; n < 300; n++) await new Promise((resolve) => setImmediate(resolve));
}

describe('a sender that waits to be dialled', () => {
  test('gets a connection to the very same peer, and nobody else comes to its port', async () => {
    const { port, connection } = await awaitForData(sender, bob, never);
    const there = keep(await dialForData(receiver, port, ana, never));
    const here = keep(await connection);
    expect([here.peer, there.peer]).toEqual([ana.id, bob.id]);
    expect([here.dialled, there.dialled]).toEqual([false, true]);
    void here.write(utf8('over there'));
    const { value } = await there.incoming[Symbol.asyncIterator]().next();
    expect(Buffer.from(value ?? []).toString()).toBe('over there');
    expect(await isOpen(port)).toBe(false);
  });

  test('sends another key away, and goes on waiting', async () => {
    const { port, connection } = await awaitForData(sender, bob, never);
    let came = false;
    void connection.then(() => {
      came = true;
    });
    const stranger = keep(await dial({ host: '127.0.0.1', port }, eve, never, 'data'));
    await stranger.over;
    expect(came).toBe(false);
    keep(await dialForData(receiver, port, ana, never));
    expect(keep(await connection).peer).toBe(ana.id);
  });

  test.each([
    ['who shows no certificate', () => ({ ALPNProtocols: ['drop/1 data'] })],
    ['who wants the card', () => ({ ALPNProtocols: ['drop/1 card'] })],
    ['who wants to talk', () => ({ ...keysOf(ana), ALPNProtocols: ['drop/1'] })],
    ['who says nothing of what it wants', () => keysOf(ana)],
  ])('lets nobody in %s', async (_, options) => {
    const gone = new AbortController();
    const { port, connection } = await awaitForData(sender, bob, gone.signal);
    const socket = tlsConnect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options() });
    const heard: Buffer[] = [];
    socket.on('error', () => {}).on('data', (bytes) => heard.push(bytes));
    await closed(socket);
    expect(heard).toEqual([]);
    gone.abort();
    await expect(connection).rejects.toMatchObject({ code: 'unreachable' });
  });

  test('turns away who comes from another address, without a word', async () => {
    const { port } = await awaitForData(sender, bob, never);
    const socket = tlsConnect({
      socket: tcpConnect({ host: '127.0.0.1', port, localAddress: '127.0.0.2' }),
      ...keysOf(ana),
      rejectUnauthorized: false,
      ALPNProtocols: ['drop/1 data'],
    });
    let secured = false;
    socket
      .on('error', () => {})
      .on('secureConnect', () => {
        secured = true;
      });
    await closed(socket);
    expect(secured).toBe(false);
    expect(await isOpen(port)).toBe(true);
  });

  test('gives up when nobody comes, and closes its port', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { port, connection } = await awaitForData(sender, bob, never);
    vi.advanceTimersByTime(4_999);
    await turns();
    expect(await isOpen(port)).toBe(true);
    vi.advanceTimersByTime(1);
    await expect(connection).rejects.toMatchObject({ code: 'unreachable' });
    expect(await isOpen(port)).toBe(false);
  });

  test.each(['before', 'while'])('gives up when it is over %s it waits', async (when) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const over = new AbortController();
    if (when === 'before') over.abort();
    const { port, connection } = await awaitForData(sender, bob, over.signal);
    over.abort();
    await turns();
    expect(await isOpen(port)).toBe(false);
    await expect(connection).rejects.toMatchObject({ code: 'unreachable' });
  });

  test('bears the silence of one that may be behind, and then no longer', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
    const { port, connection } = await awaitForData(sender, bob, never);
    // Its own end bears any silence.
    keep(await dial({ host: '127.0.0.1', port }, ana, never, 'data'));
    const here = keep(await connection);
    let over = false;
    void here.over.then(() => {
      over = true;
    });
    const pass = async (ms: number): Promise<void> => {
      for (let at = 0; at < ms; at += 1_000) vi.advanceTimersByTime(1_000);
      await turns();
    };
    await pass(60_000);
    expect(over).toBe(false);
    here.greeted();
    await pass(20_000);
    expect(over).toBe(true);
  });
});

function keysOf({ key, cert }: Identity): { key: string; cert: string } {
  return { key, cert };
}

describe('a receiver that dials', () => {
  let server: Server | undefined;
  afterEach(() => server?.close());

  test('wants the very same peer, and says nothing to another', async () => {
    const heard: Uint8Array[] = [];
    const other = await listen([0], eve, {
      async onConnection(one) {
        for await (const bytes of keep(one).incoming) heard.push(bytes);
      },
    });
    const dialling = dialForData(receiver, other.port, ana, never);
    await expect(dialling).rejects.toMatchObject({ code: 'wrong-peer' });
    await turns();
    expect(heard).toEqual([]);
    other.close();
  });

  test('finds nobody where nobody listens', async () => {
    const { port } = await awaitForData(sender, bob, AbortSignal.abort());
    await expect(dialForData(receiver, port, ana, never)).rejects.toMatchObject({
      code: 'unreachable',
    });
  });

  test.each(['it takes too long', 'all is over'])('waits for no answer when %s', async (why) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    // Some other service, which waits to be spoken to.
    let spoken = 0;
    server = createServer((socket) => socket.on('data', () => spoken++).on('error', () => {}));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    const over = new AbortController();
    const dialling = dialForData(receiver, port, ana, over.signal);
    dialling.catch(() => {});
    const [socket] = await once(server, 'connection');
    while (spoken === 0) await new Promise((resolve) => setImmediate(resolve));
    await turns();
    expect(spoken).toBe(1);
    if (why === 'all is over') over.abort();
    else vi.advanceTimersByTime(5_000);
    await expect(dialling).rejects.toMatchObject({ code: 'unreachable' });
    await closed(socket);
  });
});
