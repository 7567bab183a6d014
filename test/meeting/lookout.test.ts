import { expect, test, vi } from 'vitest';
import type { Offered, PeerId } from '../../src/events.ts';
import { makePorch } from '../../src/meeting/look.ts';
import { lookAround } from '../../src/meeting/lookout.ts';
import { peek } from '../../src/meeting/peek.ts';
import { openSelf } from '../../src/meeting/self.ts';
import { latest } from '../../src/net/latest.ts';
import { type Change, watchPeers } from '../../src/net/watch.ts';
import { TempFolder } from '../support/home.ts';

vi.mock(import('../../src/meeting/peek.ts'), () => ({ peek: vi.fn() }));
vi.mock(import('../../src/net/watch.ts'), async (original) => ({
  ...(await original()),
  watchPeers: vi.fn(),
}));

test('what a device shares is asked anew when it was gone before it had told', async () => {
  await using home = new TempFolder();
  const self = await openSelf({ home: home.path, name: 'Ana' });
  const id = 'bb'.repeat(32) as PeerId;
  await self.trust.add({ id, name: 'Bob' });
  const changes = latest<Change>();
  vi.mocked(watchPeers).mockImplementation(async function* () {
    yield* changes;
  });
  const told: ((offer: Offered) => void)[] = [];
  vi.mocked(peek).mockImplementation(() => new Promise((resolve) => told.push(resolve)));
  const options = { way: 'get', peeks: true, interfaces: ['none'] } as const;
  const looking = lookAround(self, options, makePorch(self, 'get', options));
  const hear = async (state: Change['state']): Promise<unknown> => {
    changes.put('', { state, id, run: '1234567890abcdef', name: 'Bob', way: 'get', addresses: [] });
    return (await looking.next()).value;
  };
  expect(await hear('found')).toMatchObject({ state: 'found' });
  await vi.waitFor(() => expect(told).toHaveLength(1));
  expect(await hear('lost')).toMatchObject({ state: 'lost' });
  const roots = ['a'];
  told[0]?.({ roots, files: 1, texts: 0, bytes: 1, sized: true, final: true });
  await new Promise((resolve) => setImmediate(resolve));
  expect(await hear('found')).not.toHaveProperty('offer');
  await vi.waitFor(() => expect(told).toHaveLength(2));
  changes.end();
  await looking.return();
});
