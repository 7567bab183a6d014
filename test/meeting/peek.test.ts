import { expect, test } from 'vitest';
import { peek } from '../../src/meeting/peek.ts';
import { openSelf } from '../../src/meeting/self.ts';
import { listen } from '../../src/net/tls.ts';
import type { Entry } from '../../src/protocol/manifest.ts';
import { Channel } from '../../src/transfer/channel.ts';
import { greetAsAnnouncer, introduce } from '../../src/transfer/greeting.ts';
import { TempFolder } from '../support/home.ts';

const RUN = '1234567890abcdef';
const file: Entry = { kind: 'file', path: 'a', size: 7, mtime: 0 };
const stream: Entry = { kind: 'stream', path: 'b' };

test.each([
  ['all that it will be', [file], true],
  ['not all, as nobody knows how much a stream will be', [stream, file], false],
] as const)('what is shared is told, and that its bytes are %s', async (_, entries, sized) => {
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
        const door = { knows: true, guard: undefined, now: () => 0 };
        await greetAsAnnouncer(channel, { me: id, peer, binding }, door);
        await introduce(channel, 'Ana');
        const names = entries.map(({ path }) => path);
        await channel.say({ type: 'begin', continues: null, checksum: false, digests: ['sha256'] });
        await channel.say({ type: 'roots', names, final: true });
        for (const [i, entry] of entries.entries()) {
          const said = entries.slice(0, i + 1);
          const bytes = said.includes(file as never) ? 7 : 0;
          const sums = { files: said.length, bytes, final: said.length === entries.length };
          await channel.say({ type: 'offer', entries: [entry], ...sums });
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
    expect(await peek(bob, peer, new AbortController().signal)).toEqual({
      roots: entries.map(({ path }) => path),
      files: entries.length,
      texts: 0,
      bytes: 7,
      sized,
      final: true,
    });
  } finally {
    listener.close();
  }
});
