import { expect, test, vi } from 'vitest';
import type { Offered, PeerId } from '../../src/events.ts';
import { MAX_HELD, MAX_PATH, MAX_PEEKS } from '../../src/limits.ts';
import { peek } from '../../src/meeting/peek.ts';
import { dialTarget } from '../../src/meeting/reach.ts';
import { openSelf } from '../../src/meeting/self.ts';
import { type Connection, listen } from '../../src/net/tls.ts';
import { type Entry, hasData, rootOf, sizeOf } from '../../src/protocol/manifest.ts';
import { Channel } from '../../src/transfer/channel.ts';
import { greetAsAnnouncer, introduce } from '../../src/transfer/greeting.ts';
import { TempFolder } from '../support/home.ts';
import { cable } from '../support/memory.ts';

vi.mock(import('../../src/meeting/reach.ts'), async (original) => {
  const reach = await original();
  return { ...reach, dialTarget: vi.fn(reach.dialTarget) };
});

const RUN = '1234567890abcdef';
const file: Entry = { kind: 'file', path: 'a', size: 7, mtime: 0 };
const stream: Entry = { kind: 'stream', path: 'b' };

test.each([
  ['all that it will be', [file], true],
  ['not all, as nobody knows how much a stream will be', [stream, file], false],
] as const)('what is shared is told, and that its bytes are %s', async (_, entries, sized) => {
  expect(await peekAt(entries)).toEqual({
    roots: entries.map(({ path }) => path),
    files: entries.length,
    texts: 0,
    bytes: 7,
    sized,
    final: true,
  });
});

test('what is shared is told in part where its names are endless', async () => {
  const most = MAX_HELD / 4 / MAX_PEEKS;
  const folder = Array.from({ length: 3 }, () => 'x'.repeat(1_000)).join('/');
  const entries = Array.from({ length: (2 * most) / folder.length }, (_, n): Entry => {
    return { kind: 'file', path: `${folder}/${n}`, size: 0, mtime: 0 };
  });
  const { files, final } = await peekAt(entries);
  expect(final).toBe(false);
  expect(files * folder.length).toBeLessThan(most + MAX_PATH);
});

test('a look that is called off just as it gets through leaves no connection', async () => {
  await using bobs = new TempFolder();
  const bob = await openSelf({ home: bobs.path, name: 'Bob' });
  const stop = new AbortController();
  const { left } = cable();
  const destroy = vi.fn(() => void left.end());
  const id = 'aa'.repeat(32) as PeerId;
  const connection = {
    ...left,
    peer: id,
    binding: new Uint8Array(32),
    destroy,
  } as Partial<Connection>;
  vi.mocked(dialTarget).mockImplementationOnce(async () => {
    stop.abort();
    const address = { host: '127.0.0.1', port: 1 };
    const reached = connection as Connection;
    return { connection: reached, channel: new Channel('chooser', reached), address };
  });
  const peer = {
    id,
    run: RUN,
    name: 'Ana',
    addresses: [],
    standing: 'paired',
    shares: true,
  } as const;
  await expect(peek(bob, peer, stop.signal)).rejects.toThrow();
  expect(destroy).toHaveBeenCalled();
});

/** What Bob learns of a device that he knows, which offers these. */
async function peekAt(entries: readonly Entry[]): Promise<Offered> {
  await using anas = new TempFolder();
  await using bobs = new TempFolder();
  const ana = await openSelf({ home: anas.path, name: 'Ana' });
  const bob = await openSelf({ home: bobs.path, name: 'Bob' });
  const { id } = ana.identity;
  await bob.trust.add({ id, name: 'Ana' });
  const listener = await listen([0], ana.identity, {
    card: { run: RUN, name: 'Ana', part: 'announcer', way: 'get' },
    onConnection(connection) {
      const { peer, binding } = connection;
      const channel = new Channel('announcer', connection);
      const share = async (): Promise<void> => {
        const door = { knows: true, guard: undefined, now: () => 0, endIn: () => () => {} };
        await greetAsAnnouncer(channel, { me: id, peer, binding }, door);
        await introduce(channel, 'Ana');
        const names = [...new Set(entries.map(({ path }) => rootOf(path)))];
        await channel.say({ type: 'begin', continues: null, checksum: false, digests: ['sha256'] });
        await channel.say({ type: 'roots', names, final: true });
        let [files, bytes] = [0, 0];
        for (const [i, entry] of entries.entries()) {
          if (hasData(entry)) files += 1;
          bytes += sizeOf(entry);
          const final = i === entries.length - 1;
          await channel.say({ type: 'offer', entries: [entry], files, bytes, final });
        }
        await channel.hear('begun');
      };
      share().catch((error) => channel.fail(error));
    },
  });
  try {
    const addresses = [`127.0.0.1:${listener.port}`];
    const peer = {
      id,
      run: RUN,
      name: 'Ana',
      addresses,
      standing: 'paired',
      shares: true,
    } as const;
    return await peek(bob, peer, new AbortController().signal);
  } finally {
    listener.close();
  }
}
