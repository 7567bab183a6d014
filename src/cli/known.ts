import type { KnownPeer } from '../index.ts';
import type { Context } from './context.ts';
import type { KnownOrder } from './orders.ts';

/** `drop trust`, `rename`, `forget` and `block`: what is remembered about a device. */
export async function changeKnown(order: KnownOrder, context: Context): Promise<number> {
  const { face, library, words, common } = context;
  switch (order.command) {
    case 'trust': {
      const peer = await library.trustPeer(order.name, order.trust, common);
      face.show({ event: 'known', ...peer });
      face.say(TRUST[order.trust](words.device(peer)));
      return 0;
    }
    case 'rename': {
      const peer = await library.renamePeer(order.name, order.newName, common);
      face.show({ event: 'known', ...peer });
      face.say(`It is called ${words.device(peer)} from now on.`);
      return 0;
    }
    case 'forget': {
      const peer = await library.forgetPeer(order.name, common);
      face.say(`${words.device(peer)} is forgotten: it needs a code again.`);
      return 0;
    }
  }
}

const TRUST: Record<KnownPeer['trust'], (device: string) => string> = {
  ask: (device) => `You will be asked about files from ${device}.`,
  auto: (device) => `Files from ${device} are saved without asking.`,
  blocked: (device) => `${device} is blocked: nothing is taken from it.`,
};
