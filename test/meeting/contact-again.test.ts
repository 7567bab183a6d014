import { expect, test, vi } from 'vitest';
import { DropError } from '../../src/errors.ts';
import type { DiscoverEvent, Peer, PeerId } from '../../src/events.ts';
import { Contact } from '../../src/meeting/contact.ts';
import { makePorch } from '../../src/meeting/look.ts';
import { type Meeting, meet } from '../../src/meeting/meet.ts';
import { openSelf } from '../../src/meeting/self.ts';
import { latest } from '../../src/net/latest.ts';
import { TempFolder } from '../support/home.ts';

vi.mock(import('../../src/meeting/meet.ts'), async (original) => ({
  ...(await original()),
  meet: vi.fn(),
}));

/** No pause is over by itself. */
vi.mock('node:timers/promises', async (original) => ({
  ...(await original<typeof import('node:timers/promises')>()),
  setTimeout: (ms: number, _: unknown, { signal }: { signal: AbortSignal }) =>
    new Promise<void>((resolve, reject) => {
      if (signal.aborted) reject(signal.reason);
      signal.addEventListener('abort', () => reject(signal.reason));
      if (ms === 0) resolve();
    }),
}));

test('a peer that is heard of while it is tried elsewhere is tried there at once', async () => {
  await using home = new TempFolder();
  const self = await openSelf({ home: home.path, name: 'Bob' });
  const id = 'aa'.repeat(32) as PeerId;
  const to: Peer = {
    ...{ id, run: '1234567890abcdef', name: 'Ana', standing: 'paired', shares: false },
    addresses: ['192.0.2.1:23767'],
  };
  const news = latest<DiscoverEvent>();
  const porch = makePorch(self, 'send', { interfaces: ['lo'] });
  const around = (): AsyncGenerator<DiscoverEvent, void> => heard(news);
  const { signal } = new AbortController();
  const contact = new Contact(self, porch, { to, way: 'send', around }, signal);
  const meeting = { peer: { id, name: 'Ana' } } as Meeting;
  vi.mocked(meet)
    .mockResolvedValueOnce(meeting)
    .mockImplementationOnce(async () => {
      const addresses = ['192.0.2.2:23767'];
      news.put('', { event: 'peer', state: 'found', ...to, addresses, known: true });
      await new Promise((resolve) => setImmediate(resolve));
      throw new DropError('unreachable');
    })
    .mockImplementationOnce(async (_, { addresses }) => {
      expect(addresses[0]?.host).toBe('192.0.2.2');
      news.end();
      return meeting;
    });
  await contact.first(0);
  expect(await contact.again(new DropError('disconnected'), 60_000, () => {})).toBe(meeting);
});

async function* heard(news: AsyncIterable<DiscoverEvent>): AsyncGenerator<DiscoverEvent, void> {
  yield* news;
}
