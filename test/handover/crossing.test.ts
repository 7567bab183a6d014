import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { DropError } from '../../src/errors.ts';
import { Crossing, type CrossingOptions } from '../../src/handover/crossing.ts';
import { openSelf, type Self } from '../../src/meeting/self.ts';
import { dialForData } from '../../src/net/data.ts';
import { type Connection, dial, listen } from '../../src/net/tls.ts';
import type { Message } from '../../src/protocol/message.ts';
import { Channel } from '../../src/transfer/channel.ts';
import { withGreeting } from '../support/greeted.ts';

const never = new AbortController().signal;
let folder: string;
let bob: Self;
let ana: Self;
/** Bob has dialled Ana, and she wants the file that he offers. */
let connections: { sender: Connection; receiver: Connection };
let sender: Channel;
let receiver: Channel;
let close: () => void;
/** Milliseconds. */
let time: number;
let crossing: Crossing;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drop-crossing-'));
  bob = await openSelf({ home: join(folder, 'bob'), name: 'Bob' });
  ana = await openSelf({ home: join(folder, 'ana'), name: 'Ana' });
});
afterAll(() => rm(folder, { recursive: true }));

beforeEach(async () => {
  let arrive = (_: Connection): void => {};
  const arriving = new Promise<Connection>((resolve) => {
    arrive = resolve;
  });
  const card = { run: '1234567890abcdef', name: 'Ana', part: 'announcer', way: 'send' } as const;
  const listener = await listen([0], ana.identity, { card, onConnection: arrive });
  close = () => listener.close();
  const dialled = await dial({ host: '127.0.0.1', port: listener.port }, bob.identity, never);
  connections = { sender: dialled, receiver: await arriving };
  sender = new Channel('chooser', connections.sender);
  receiver = new Channel('announcer', connections.receiver);
  await Promise.all([withGreeting(sender, sending), withGreeting(receiver, receiving)]);
  time = 0;
});
afterEach(async () => {
  crossing?.end();
  close();
  for (const connection of Object.values(connections)) connection.destroy();
  await Promise.all([sender.end(), receiver.end()]);
});

async function sending(channel: Channel): Promise<void> {
  await channel.say({ type: 'begin', continues: null, checksum: false, digests: ['sha256'] });
  await channel.say({ type: 'roots', names: ['a'], final: true });
  const entries = [{ kind: 'file', path: 'a', size: 1_000, mtime: 0 } as const];
  await channel.say({ type: 'offer', entries, files: 1, bytes: 1_000, final: true });
  for (const type of ['begun', 'accept', 'want'] as const) await channel.hear(type);
}

async function receiving(channel: Channel): Promise<void> {
  for (const type of ['begin', 'roots', 'offer'] as const) await channel.hear(type);
  await channel.say({ type: 'begun', transfer: '0'.repeat(32), digest: 'sha256', codecs: [] });
  await channel.say({ type: 'accept' });
  await channel.say({ type: 'want', count: 1, skip: [], kept: [], failed: [] });
}

/** Above 10 bytes a millisecond, looked at after 100 bytes. */
function begin(options: CrossingOptions = {}, connection = connections.sender): void {
  const scale = { sample: 100, fast: 10, platform: 'linux', now: () => time } as const;
  crossing = new Crossing(bob, sender, connection, { ...scale, ...options });
}

function move(bytes: number, milliseconds: number): void {
  time += milliseconds;
  crossing.moved(bytes);
}

const chunk = (offset: number): Message => ({
  type: 'chunk',
  entry: 0,
  offset,
  bytes: new Uint8Array(10),
});

/** That nothing but a chunk came, in so much time that anything else would have. */
async function expectNoDial(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 50));
  await sender.say(chunk(0));
  expect((await receiver.hear('chunk', 'dial')).type).toBe('chunk');
}

describe('a transfer', () => {
  test('that is fast moves, and the first connection ends', async () => {
    begin();
    move(99, 1);
    move(1, 1);
    const { port } = await receiver.hear('dial');
    const second = dialForData(connections.receiver, port, ana.identity, never);
    const followed = receiver.expect(second);
    await sender.say(chunk(0));
    const hearing = (async () => {
      await receiver.hear('chunk');
      return receiver.hear('chunk');
    })();
    // The sender hears all the while.
    const told = sender.hear('arrived', 'failed');
    await new Promise((resolve) => setTimeout(resolve, 100));
    await sender.say(chunk(10));
    expect((await hearing).offset).toBe(10);
    await followed;
    await receiver.say({ type: 'failed', entry: 0, code: 'disk' });
    expect((await told).type).toBe('failed');
    await Promise.all([connections.sender.over, connections.receiver.over]);
    await expect(connections.sender.write(new Uint8Array(1))).rejects.toBeInstanceOf(DropError);
    // It is tried once.
    move(1_000, 1);
    await sender.say(chunk(20));
    await receiver.hear('chunk');
  });

  test('that is slow stays, however much there is of it', async () => {
    begin();
    for (let n = 0; n < 20; n++) move(100, 10);
    await expectNoDial();
  });

  test('that becomes fast moves then', async () => {
    begin();
    for (let n = 0; n < 20; n++) move(100, 100);
    move(100, 9);
    await receiver.hear('dial');
  });

  test.each([
    ['where a person would be asked who listens', { platform: 'darwin' }, true],
    ['where the receiver has dialled', {}, false],
  ] as const)('stays %s', async (_, options, dialled) => {
    begin(options, { ...connections.sender, remote: '127.0.0.1', dialled });
    move(1_000, 1);
    await expectNoDial();
  });

  test('that nobody dials for goes on where it is', async () => {
    begin();
    move(100, 1);
    await receiver.hear('dial');
    await sender.say(chunk(0));
    expect((await receiver.hear('chunk')).offset).toBe(0);
  });

  test('that has ended lets nobody come any more', async () => {
    begin();
    move(100, 1);
    const { port } = await receiver.hear('dial');
    crossing.end();
    const late = dialForData(connections.receiver, port, ana.identity, never);
    await expect(late).rejects.toMatchObject({ code: 'unreachable' });
  });

  test('that ended before the port was open asks nobody to dial', async () => {
    begin();
    move(100, 1);
    await sender.say({ type: 'cancel', code: 'cancelled' });
    await expect(receiver.hear('dial')).rejects.toMatchObject({ code: 'cancelled' });
  });
});
