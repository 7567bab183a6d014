import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { DiscoverEvent } from '../../src/events.ts';
import { findTarget } from '../../src/meeting/find.ts';
import { openSelf } from '../../src/meeting/self.ts';
import { latest } from '../../src/net/latest.ts';
import type { Porch } from '../../src/net/porch.ts';
import { peerEvent, silentEvent } from '../cli/fake.ts';
import { TempFolder } from '../support/home.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

test.each([
  [
    'does not answer, and then is said no more',
    silentEvent('Ana', 'e'),
    silentEvent('Ana', 'e', 'lost'),
  ],
  ['is new, and leaves', peerEvent('Ana', '1', 'new'), peerEvent('Ana', '1', 'new', 'lost')],
])('one that %s keeps nobody from being waited for', async (_, comes, goes) => {
  await using folder = new TempFolder();
  const self = await openSelf({ home: folder.path, name: 'Bob' });
  const news = latest<DiscoverEvent>();
  const heard = new Map<DiscoverEvent, () => void>();
  async function* around(_self: unknown, { signal }: { signal?: AbortSignal | undefined }) {
    signal?.addEventListener('abort', () => news.end());
    for await (const event of news) {
      yield event;
      heard.get(event)?.();
    }
  }
  const options = { way: 'send', to: 'Ana', around } as const;
  const { signal } = new AbortController();
  const finding = findTarget(self, options, undefined as unknown as Porch, 10_000, signal);
  const say = (event: DiscoverEvent): Promise<void> =>
    new Promise((resolve) => {
      heard.set(event, resolve);
      news.put('', event);
    });
  await say(comes);
  await say(goes);
  await vi.advanceTimersByTimeAsync(5_000);
  const ana = peerEvent('Ana', '2', 'self');
  news.put('', ana);
  expect(await finding).toMatchObject({ id: ana.id });
});
