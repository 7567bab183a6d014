import type { PeerId } from '../../src/events.ts';
import type { Channel } from '../../src/transfer/channel.ts';
import { greetAsAnnouncer, greetAsChooser } from '../../src/transfer/greeting.ts';

/** Greets a peer that knows us, and goes on with the transfer: the chooser sends, or gets. */
export async function withGreeting(
  channel: Channel,
  then: (channel: Channel) => Promise<void>,
  intent: 'send' | 'get' = 'send',
) {
  const meeting = { me: 'a' as PeerId, peer: 'b' as PeerId, binding: new Uint8Array(32) };
  if (channel.session.part === 'chooser')
    await greetAsChooser(channel, meeting, { intent, knows: true });
  else
    await greetAsAnnouncer(channel, meeting, {
      knows: true,
      guard: undefined,
      now: () => 0,
      endIn: () => () => {},
    });
  await Promise.all([channel.say({ type: 'intro', name: 'x' }), channel.hear('intro')]);
  await then(channel);
}
