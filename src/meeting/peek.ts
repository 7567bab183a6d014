import { DropError } from '../errors.ts';
import type { Offered, Peer } from '../events.ts';
import {
  MAX_BATCH,
  MAX_HELD,
  MAX_OPEN_ENTRIES,
  MAX_PEEKS,
  PEEK_LIMIT,
  SHOWN_ROOTS,
} from '../limits.ts';
import { isText } from '../protocol/manifest.ts';
import type { Channel } from '../transfer/channel.ts';
import { greetAsChooser } from '../transfer/greeting.ts';
import { exchangeIntros } from './meet.ts';
import { dialTarget, targetOf } from './reach.ts';
import type { Self } from './self.ts';
import { within } from './signals.ts';

/**
 * Learns what a device that we know shares: the beginning of a transfer, and no more of it. Throws
 * `refused` if somebody would have to be asked there.
 */
export async function peek(self: Self, peer: Peer, signal: AbortSignal): Promise<Offered> {
  const { identity, name } = self;
  return within(signal, PEEK_LIMIT, async (soon) => {
    // A line that waits is for whoever chooses the device.
    const { connection, channel } = await dialTarget(self, targetOf(peer), 'get', soon);
    soon.addEventListener('abort', () => connection.destroy());
    if (soon.aborted) connection.destroy();
    try {
      const ends = { me: identity.id, peer: connection.peer, binding: connection.binding };
      const greeted = await greetAsChooser(channel, ends, { intent: 'peek', knows: true });
      if (greeted !== 'known') throw new DropError('refused');
      await exchangeIntros(channel, name, peer.id);
      connection.greeted();
      return await hearOffer(channel);
    } finally {
      channel.fail(new DropError('cancelled'));
      await connection.end();
    }
  });
}

/** What is offered, as far as it may be without an answer. */
async function hearOffer(channel: Channel): Promise<Offered> {
  await channel.hear('begin');
  const roots: string[] = [];
  for (let final = false; !final; ) {
    const message = await channel.hear('roots');
    roots.push(...message.names);
    final = message.final;
  }
  let offer = {
    roots: roots.slice(0, SHOWN_ROOTS),
    files: 0,
    texts: 0,
    bytes: 0,
    sized: true,
    final: false,
  };
  const { session } = channel;
  const hasRoom = (): boolean =>
    session.open + MAX_BATCH <= MAX_OPEN_ENTRIES && session.openUnits < MAX_UNITS;
  while (!offer.final && hasRoom()) {
    const message = await channel.hear('offer');
    const { files, bytes, final } = message;
    const texts = offer.texts + message.entries.filter(isText).length;
    const sized = offer.sized && message.entries.every(({ kind }) => kind !== 'stream');
    offer = { ...offer, files, texts, bytes, sized, final };
  }
  return offer;
}

/** UTF-16 units of names that one may tell: all that are asked hold half as much as all that send. */
const MAX_UNITS = MAX_HELD / 4 / MAX_PEEKS;
