import { randomBytes } from 'node:crypto';
import { DropError } from '../errors.ts';
import type { SendEvent, Summary } from '../events.ts';
import { exchangeIntros, keepAlive } from '../meeting/meet.ts';
import type { Inside } from '../meeting/presence.ts';
import type { Connection } from '../net/tls.ts';
import { visitorId } from '../peer-id.ts';
import { Channel } from '../transfer/channel.ts';
import { Delivery } from '../transfer/delivery.ts';
import { follow } from '../transfer/follow.ts';
import { greetAsChooser } from '../transfer/greeting.ts';
import { runSender } from '../transfer/sender.ts';
import { type LentEntry, LentOutbox } from './lent.ts';
import { pipePair } from './pipe-pair.ts';
import { Progress } from './progress.ts';

/** Somebody at the hatch. */
export interface Visitor {
  /** What it is called in questions and events. */
  readonly name: string;
  /** The address that it comes from: limits hold for all who come from there. */
  readonly source: string;
  /** Random, known to nobody else: whoever comes with it again goes on with what broke off. */
  readonly secret: string;
}

/**
 * A second way into a `receive` that it is given to, for those who have no `drop`. What they bring
 * goes the way of all that strangers send to an open receiver, over the same protocol: it is named,
 * asked about, bounded, stored and told alike, but that the two ends are in this process.
 */
export class Hatch {
  #inside: Inside | undefined;

  /** Tells what `send` would tell, and ends like it. Throws `refused` where nothing is received. */
  bring(
    lent: readonly LentEntry[],
    visitor: Visitor,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): AsyncGenerator<SendEvent, Summary> {
    return follow((emit, signal) => this.#bring(lent, visitor, emit, signal), options.signal);
  }

  /** @internal */
  open(inside: Inside): () => void {
    this.#inside = inside;
    return () => {
      this.#inside = undefined;
    };
  }

  async #bring(
    lent: readonly LentEntry[],
    { name, source, secret }: Visitor,
    emit: (event: SendEvent) => void,
    signal: AbortSignal,
  ): Promise<Summary> {
    if (this.#inside === undefined) throw new DropError('refused');
    const { self, receive } = this.#inside;
    const outbox = new LentOutbox(lent);
    const [here, there] = pipePair();
    const ends = {
      me: visitorId(secret),
      peer: self.identity.id,
      binding: randomBytes(32),
    };
    const channel = new Channel('chooser', here);
    const stop = (): void => channel.fail(new DropError('cancelled'));
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    const received = receive(asConnection(there, ends.me, ends.binding, source));
    const peer = { id: ends.peer, name: self.name };
    const progress = new Progress(peer, emit);
    let stopBeating = (): void => {};
    try {
      const greeted = await greetAsChooser(channel, ends, {
        intent: 'send',
        knows: false,
        unverified: true,
      });
      if (greeted !== 'open') throw new DropError('refused');
      await exchangeIntros(channel, name, ends.peer);
      stopBeating = keepAlive(channel);
      emit({ event: 'waiting', ...peer });
      await runSender(channel, new Delivery(outbox), progress.tell);
      return progress.end();
    } catch (error) {
      channel.fail(error);
      if (signal.aborted) throw signal.reason;
      if (error instanceof DropError) progress.giveUp(error);
      throw error;
    } finally {
      stopBeating();
      signal.removeEventListener('abort', stop);
      await channel.end();
      await received;
      await outbox.close();
    }
  }
}

/** A pipe of this process as what a listener gets from the network. Nobody can be silent in it. */
function asConnection(
  pipe: ReturnType<typeof pipePair>[0],
  peer: Connection['peer'],
  binding: Uint8Array,
  remote: string,
): Connection {
  const { incoming, write, end, over } = pipe;
  const nothing = (): void => {};
  return {
    ...{ incoming, write, end, over, peer, binding, remote },
    ...{ dialled: false, silence: 0, unheard: 0, greeting: nothing, greeted: nothing },
    destroy: () => void end(),
  };
}
