import { once } from 'node:events';
import { readdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Peer, SendToAllEvent, Summary } from '../src/events.ts';
import type { Request } from '../src/handover/take-in.ts';
import {
  discover,
  peerOf,
  type ReceiveOptions,
  receive,
  type SentTo,
  sendToAll,
} from '../src/index.ts';
import { MAX_SENT_TO } from '../src/limits.ts';
import { openSelf } from '../src/meeting/self.ts';
import type { SendToAllOptions } from '../src/send-to-all.ts';
import { TempFolder } from './support/home.ts';

const PIN = 'one for the whole class';

describe('one who sends to several', () => {
  let folder: TempFolder;
  let stop: AbortController;
  const running: Promise<void>[] = [];

  beforeEach(async () => {
    folder = new TempFolder();
    stop = new AbortController();
    await writeFile(join(folder.path, 'a.txt'), 'for all');
  });
  afterEach(async () => {
    stop.abort();
    await Promise.allSettled(running.splice(0));
    await folder[Symbol.asyncDispose]();
  });

  const homeOf = (name: string): string => join(folder.path, `home of ${name}`);

  /** A known device that takes what comes, or what `accept` says; its address. */
  async function device(
    name: string,
    accept: (request: Request, gone: AbortSignal) => Promise<boolean> = async () => true,
    into = name,
  ): Promise<string> {
    const [it, me] = [
      await openSelf({ home: homeOf(name) }),
      await openSelf({ home: homeOf('me') }),
    ];
    await me.trust.add({ id: it.identity.id, name });
    await it.trust.add({ id: me.identity.id, name: 'me' });
    return start(name, { accept, into });
  }

  async function start(
    name: string,
    { into = name, ...options }: ReceiveOptions = {},
  ): Promise<string> {
    const events = receive({
      home: homeOf(name),
      into: join(folder.path, into),
      interfaces: ['lo'],
      signal: stop.signal,
      name,
      ...options,
    });
    const { value: ready } = await events.next();
    running.push(
      (async () => {
        for await (const _ of events);
      })(),
    );
    return ready?.event === 'ready' ? (ready.addresses[0] ?? '') : '';
  }

  async function send(
    to: SendToAllOptions['to'],
    more: Partial<SendToAllOptions> = {},
    paths = ['a.txt'],
  ): Promise<{ events: SendToAllEvent[]; results: readonly SentTo[] }> {
    const events: SendToAllEvent[] = [];
    const all = sendToAll(
      paths.map((path) => join(folder.path, path)),
      {
        home: homeOf('me'),
        interfaces: ['lo'],
        signal: stop.signal,
        to,
        ...more,
      },
    );
    for (;;) {
      const step = await all.next();
      if (step.done) return { events, results: step.value };
      events.push(step.value);
    }
  }

  const got = (name: string): Promise<string[]> => readdir(join(folder.path, name));
  const told = ({ summary, error }: SentTo): unknown =>
    summary ? (summary as Summary).ok : (error as { code?: unknown }).code;

  test('hears what became of each, in their order, whatever became of the others', async () => {
    const ana = await device('Ana');
    const eve = await device('Eve', async () => false);
    await device('Bob');
    const { events, results } = await send(['nobody', eve, 'Bob', ana], { wait: 5_000 });
    expect(results.map(({ to }) => to)).toEqual(['nobody', eve, 'Bob', ana]);
    expect(results.map(told)).toEqual(['not-found', 'declined', true, true]);
    expect([await got('Ana'), await got('Bob')]).toEqual([['a.txt'], ['a.txt']]);
    const early = events.filter((event) => !('transfer' in event && event.transfer !== ''));
    for (const event of early) expect(event).toHaveProperty('to');
    const failed = events.filter((event) => event.event === 'error');
    expect(failed.map((event) => 'to' in event && event.to)).toEqual(
      expect.arrayContaining(['nobody', eve]),
    );
  });

  test('sends once to a device that was named twice, and asks for its PIN once', async () => {
    // Others who run at the same time may be called Ana, too.
    const name = `Ana ${process.pid}`;
    const ana = await start(name, { pin: PIN });
    const asked: string[] = [];
    const code = async ({ peer }: { readonly peer: { readonly id: string } }): Promise<string> => {
      asked.push(peer.id);
      return PIN;
    };
    const { events, results } = await send([ana, name, ana], { code });
    expect(results.map(told)).toEqual([true, true, true]);
    expect(asked).toHaveLength(1);
    expect(events.filter(({ event }) => event === 'waiting')).toHaveLength(1);
    expect(events.filter(({ event }) => event === 'same')).toHaveLength(2);
  });

  test('sends to both of two processes of one device that were chosen as such', async () => {
    await device('Ana');
    await device('Ana', undefined, 'elsewhere');
    const peers = new Map<string, Peer>();
    for await (const event of discover({ home: homeOf('me'), interfaces: ['lo'] })) {
      // Nobody else who runs at the same time is known here.
      if (event.event === 'peer' && event.standing === 'paired')
        peers.set(event.run, peerOf(event));
      if (peers.size === 2) break;
    }
    const { results } = await send([...peers.values()]);
    expect(results.map(told)).toEqual([true, true]);
    expect([await got('Ana'), await got('elsewhere')]).toEqual([['a.txt'], ['a.txt']]);
  });

  test('lets those wait for their turn who are too many at once', async () => {
    const held: Socket[] = [];
    let ended = false;
    const server = createServer((socket) => {
      socket.on('error', () => {});
      if (ended) socket.destroy();
      else held.push(socket);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const sending = send(Array(MAX_SENT_TO + 3).fill(`127.0.0.1:${port}`), { wait: 0 });
    await expect.poll(() => held.length).toBe(MAX_SENT_TO);
    await sleep(300);
    expect(held).toHaveLength(MAX_SENT_TO);
    ended = true;
    for (const socket of held) socket.destroy();
    const { results } = await sending;
    expect(results.map(told)).toEqual(Array(MAX_SENT_TO + 3).fill('unreachable'));
    server.close();
  });

  test('stops all by one signal, and throws why', async () => {
    const asked = new AbortController();
    const never = async (_: Request, gone: AbortSignal): Promise<boolean> => {
      asked.abort();
      await new Promise((resolve) => gone.addEventListener('abort', resolve));
      return false;
    };
    const all = [await device('Ana', never), await device('Bob', never)];
    const ending = new AbortController();
    asked.signal.addEventListener('abort', () => ending.abort(new Error('enough')));
    await expect(send(all, { signal: ending.signal })).rejects.toThrow('enough');
  });

  test('throws what is nobody else’s failure, before anything is sent', async () => {
    await expect(send(['Ana', 'Bob'], {}, ['b.txt'])).rejects.toMatchObject({ code: 'missing' });
    const stream = { name: 'a.tar', source: (async function* () {})() };
    await expect(send(['Ana', 'Bob'], { stream })).rejects.toMatchObject({ code: 'usage' });
    for (const wrong of [{ limit: 0 }, { exclude: [''] }, { text: '' }, { lent: [] }])
      await expect(send(['Ana'], wrong)).rejects.toMatchObject({ code: 'usage' });
    await expect(send(['Ana'], {}, [])).rejects.toMatchObject({ code: 'usage' });
  });
});
