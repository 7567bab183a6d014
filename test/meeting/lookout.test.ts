import { expect, test, vi } from 'vitest';
import type { DiscoverEvent, Offered, PeerId } from '../../src/events.ts';
import { makePorch } from '../../src/meeting/look.ts';
import { lookAround } from '../../src/meeting/lookout.ts';
import { peek } from '../../src/meeting/peek.ts';
import { openSelf, type Self } from '../../src/meeting/self.ts';
import { latest } from '../../src/net/latest.ts';
import { type Change, watchPeers } from '../../src/net/watch.ts';
import { TempFolder } from '../support/home.ts';
import { PATIENCE } from '../support/process.ts';

vi.mock(import('../../src/meeting/peek.ts'), () => ({ peek: vi.fn() }));
vi.mock(import('../../src/net/watch.ts'), async (original) => ({
  ...(await original()),
  watchPeers: vi.fn(),
}));

const id = 'bb'.repeat(32) as PeerId;

test('what a device shares is asked anew when it was gone before it had told', async () => {
  await using there = await Looking.begin();
  expect(await there.hear('found')).toMatchObject({ state: 'found' });
  const tell = await there.asked(1);
  expect(await there.hear('lost')).toMatchObject({ state: 'lost' });
  tell(OFFER);
  await new Promise((resolve) => setImmediate(resolve));
  expect(await there.hear('found')).not.toHaveProperty('offer');
  await there.asked(2);
});

test('what a device shares is told of where it is by then', async () => {
  await using there = await Looking.begin();
  await there.hear('found', ['192.0.2.1:1']);
  const tell = await there.asked(1);
  const addresses = ['192.0.2.2:1'];
  await there.hear('found', addresses);
  tell(OFFER);
  expect(await there.next()).toMatchObject({ addresses, offer: OFFER });
  expect(await there.hear('found', [])).toMatchObject({ addresses: [], offer: OFFER });
});

test('we ourselves are on this computer, also where another process of ours has come to us', async () => {
  await using there = await Looking.begin();
  const { id } = there.self.identity;
  const standing = (addresses: readonly string[]) => there.hear('found', addresses, id);
  expect(await standing([])).toMatchObject({ standing: 'self' });
  expect(await standing(['127.0.0.1:1'])).toMatchObject({ standing: 'self' });
  expect(await standing(['192.0.2.1:1'])).toMatchObject({ standing: 'clone' });
});

const OFFER: Offered = { roots: ['a'], files: 1, texts: 0, bytes: 1, sized: true, final: true };

/** Somebody who looks what others share, and knows Bob. */
class Looking implements AsyncDisposable {
  readonly #home = new TempFolder();
  self!: Self;
  readonly #changes = latest<Change>();
  readonly #told: ((offer: Offered) => void)[] = [];
  #events: AsyncGenerator<DiscoverEvent, void> | undefined;

  static async begin(): Promise<Looking> {
    const looking = new Looking();
    const self = await openSelf({ home: looking.#home.path, name: 'Ana' });
    looking.self = self;
    await self.trust.add({ id, name: 'Bob' });
    vi.mocked(watchPeers).mockImplementation(async function* () {
      yield* looking.#changes;
    });
    vi.mocked(peek).mockImplementation(() => new Promise((tell) => looking.#told.push(tell)));
    const options = { way: 'get', peeks: true, interfaces: ['none'] } as const;
    looking.#events = lookAround(self, options, makePorch(self, 'get', options));
    return looking;
  }

  hear(state: Change['state'], addresses: readonly string[] = [], who = id): Promise<unknown> {
    const run = '1234567890abcdef';
    this.#changes.put('', { state, id: who, run, name: 'Bob', way: 'get', addresses });
    return this.next();
  }

  async next(): Promise<unknown> {
    return (await this.#events?.next())?.value;
  }

  /** Once Bob was asked so often, how to tell. */
  async asked(times: number): Promise<(offer: Offered) => void> {
    await vi.waitFor(() => expect(this.#told).toHaveLength(times), PATIENCE);
    return this.#told[times - 1] as (offer: Offered) => void;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#changes.end();
    await this.#events?.return();
    await this.#home[Symbol.asyncDispose]();
  }
}
