import { expect, test } from 'vitest';
import { DropError } from '../../src/errors.ts';
import type { PeerId } from '../../src/events.ts';
import { Contact } from '../../src/meeting/contact.ts';
import { makePorch } from '../../src/meeting/look.ts';
import type { Meeting } from '../../src/meeting/meet.ts';
import { openSelf } from '../../src/meeting/self.ts';
import type { Connection } from '../../src/net/tls.ts';
import { Channel } from '../../src/transfer/channel.ts';
import { TempFolder } from '../support/home.ts';
import { cable } from '../support/memory.ts';

test.each<[string, (channel: Channel) => Promise<unknown>]>([
  ['as it hears nothing more', (channel) => channel.hear('begun')],
  ['as its connection is lost', () => Promise.reject(new DropError('disconnected'))],
])('what is stopped here fails by that, and nobody is called again: %s', async (_, fail) => {
  await using home = new TempFolder();
  const self = await openSelf({ home: home.path, name: 'Bob' });
  const porch = makePorch(self, 'send', { interfaces: ['lo'] });
  const stop = new AbortController();
  const contact = new Contact(self, porch, { to: 'Ana', way: 'send' }, stop.signal);
  const meeting: Meeting = {
    peer: { id: 'aa'.repeat(32) as PeerId, name: 'Ana' },
    channel: new Channel('chooser', cable().left),
    connection: {} as Connection,
    greeted: 'known',
    paired: undefined,
    keepAlive: () => () => {},
  };
  const stopped = new DropError('cancelled', { message: 'You stopped it.' });
  const retried: unknown[] = [];
  const carried = contact.carry(
    meeting,
    { wait: 10_000, onRetry: (reason) => void retried.push(reason) },
    async ({ channel }) => {
      stop.abort(stopped);
      await fail(channel);
    },
  );
  await expect(carried).rejects.toBe(stopped);
  expect(retried).toEqual([]);
});
