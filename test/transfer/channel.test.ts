import { describe, expect, test } from 'vitest';
import { DropError } from '../../src/errors.ts';
import { Channel } from '../../src/transfer/channel.ts';
import { Delivery } from '../../src/transfer/delivery.ts';
import type { IncomingFile } from '../../src/transfer/inbox.ts';
import { runReceiver } from '../../src/transfer/receiver.ts';
import { Reception } from '../../src/transfer/reception.ts';
import { runSender } from '../../src/transfer/sender.ts';
import { withGreeting } from '../support/greeted.ts';
import { cable, MemoryInbox, MemoryOutbox, textDigest } from '../support/memory.ts';

/** Both ends of a conversation in which a transfer may begin. */
async function greeted(): Promise<{ chooser: Channel; announcer: Channel }> {
  const { left, right } = cable();
  const [chooser, announcer] = [new Channel('chooser', left), new Channel('announcer', right)];
  await Promise.all([chooser, announcer].map((channel) => withGreeting(channel, async () => {})));
  return { chooser, announcer };
}

/** Something that is waited for until it is opened. */
function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

const BEGIN = { type: 'begin', continues: null, checksum: false, digests: ['sha256'] } as const;
const REFUSED = { code: 'refused' };

describe('whoever has given up', () => {
  test('learns why wherever something is said or heard, and the peer does', async () => {
    const { chooser, announcer } = await greeted();
    const said = chooser.say(BEGIN);
    const heard = expect(chooser.hear('begun')).rejects.toMatchObject(REFUSED);
    chooser.fail(new DropError('refused'));
    chooser.fail(new DropError('disconnected'));
    await said;
    await heard;
    await expect(chooser.hear('begun')).rejects.toMatchObject(REFUSED);
    await expect(chooser.say(BEGIN)).rejects.toMatchObject(REFUSED);
    await announcer.hear('begin');
    await expect(announcer.hear('roots')).rejects.toMatchObject(REFUSED);
    // It has nothing to add either, and has broken no rule by trying.
    await expect(announcer.hear('roots')).rejects.toMatchObject(REFUSED);
    await expect(announcer.say({ type: 'accept' })).rejects.toMatchObject(REFUSED);
  });

  test('learns why what was on its way has not left', async () => {
    const { left } = cable();
    let stop = (_: Error): void => {};
    const write = (): Promise<void> =>
      new Promise((_, reject) => {
        stop = reject;
      });
    const channel = new Channel('chooser', { ...left, incoming: left.incoming, write });
    const hello = { newest: 2, oldest: 1, intent: 'send', knows: true } as const;
    const said = channel.say({ type: 'hello', ...hello });
    const lost = stop;
    channel.fail(new DropError('refused'));
    lost(new DropError('disconnected'));
    await expect(said).rejects.toMatchObject(REFUSED);
  });
});

test('a transfer that is stopped ends so, whatever of it is being stored', async () => {
  const [stored, written, writing] = [gate(), gate(), gate()];
  class Slow extends MemoryInbox {
    override async open(...[entry, from]: Parameters<MemoryInbox['open']>): Promise<IncomingFile> {
      const file = await super.open(entry, from);
      const isFirst = entry.path === 'a';
      return {
        ...file,
        written: 0,
        async write(bytes) {
          if (!isFirst) writing.open();
          if (!isFirst) await written.opened;
          await file.write(bytes);
        },
        async commit(digest) {
          await stored.opened;
          return file.commit(digest);
        },
      };
    }
  }
  const { left, right } = cable();
  const [sending, receiving] = [new Channel('chooser', left), new Channel('announcer', right)];
  const outbox = new MemoryOutbox({ a: new Uint8Array(7), b: new Uint8Array(7) });
  const host = {
    freely: false,
    digests: ['sha256'] as const,
    reception: async () => new Reception('0'.repeat(32), 'posix', textDigest),
    open: async () => new Slow(),
    ask: async () => 'yes' as const,
  };
  const both = Promise.allSettled([
    withGreeting(sending, (channel) => runSender(channel, new Delivery(outbox), () => {})),
    withGreeting(receiving, (channel) => runReceiver(channel, host, () => {})),
  ]);
  await writing.opened;
  receiving.fail(new DropError('cancelled'));
  stored.open();
  for (let n = 0; n < 20; n++) await new Promise((resolve) => setImmediate(resolve));
  written.open();
  const reasons = (await both).map((one) => (one.status === 'rejected' ? one.reason : undefined));
  expect(reasons).toMatchObject([{ code: 'cancelled' }, { code: 'cancelled' }]);
});
