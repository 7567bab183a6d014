import { setTimeout as sleep } from 'node:timers/promises';
import { DropError } from '../errors.ts';
import type { PeerId } from '../events.ts';
import { IDLE_LIMIT, MAX_IDLE, MAX_IDLE_EACH, REPEATED } from '../limits.ts';
import type { Connection } from '../net/tls.ts';
import type { Channel } from '../transfer/channel.ts';
import type { Pause } from '../transfer/pause.ts';
import type { Order } from './control.ts';
import type { Progress } from './progress.ts';

/** One transfer with a peer that chose us, over all of its connections. */
export interface Transfer {
  readonly peer: PeerId;
  /** Whether it has proven who it is; anyone can have as many other keys as they like. */
  readonly known: boolean;
  /** Names it: 32 hex digits, which the receiver has drawn. */
  readonly id: string;
  readonly sums: Progress;
  readonly pause: Pause;
  /** It came to its end. Only the peer may not have heard of that. */
  complete: boolean;
  /** Nobody goes on with it. */
  close(): Promise<void>;
}

/**
 * The accepted transfers of one announcer. When a connection breaks, its transfer waits for the
 * peer to come back: under the same yes, for the same peer only.
 */
export class Transfers<T extends Transfer> {
  /** By their ids; those that have waited longest come first. */
  readonly #held = new Map<string, Held<T>>();

  /**
   * An accepted transfer uses this connection, until `release`. Throws `protocol` if another one has
   * its id, which the other side may have chosen: nobody could end either of them then.
   */
  hold(transfer: T, visit: Visit): void {
    const { transfer: other = transfer } = this.#held.get(transfer.id) ?? {};
    if (other !== transfer)
      throw new DropError('protocol', { message: 'Two transfers have one name.' });
    let free = (): void => {};
    const freed = new Promise<void>((resolve) => {
      free = resolve;
    });
    this.#held.set(transfer.id, { transfer, use: { visit, free, freed } });
  }

  /** The transfer that `peer` wants to go on with over another connection, if there is one. */
  async takeUp(peer: PeerId, id: string, visit: Visit): Promise<T | undefined> {
    for (;;) {
      const held = this.#held.get(id);
      if (held === undefined || held.transfer.peer !== peer) return undefined;
      clearTimeout(held.expiry);
      if (held.use === undefined) {
        this.hold(held.transfer, visit);
        return held.transfer;
      }
      // The peer may know sooner than we that its connection is lost.
      held.use.visit.channel.fail(new DropError('disconnected'));
      await held.use.freed;
    }
  }

  /** The connection is lost; the transfer waits for the next. */
  async release(transfer: T): Promise<void> {
    if (!transfer.complete) transfer.sums.lost('disconnected');
    await this.#wait(transfer, transfer.complete ? REPEATED : IDLE_LIMIT);
  }

  /** It came to its end: all is stored, and the sender was told so. */
  async complete(transfer: T): Promise<void> {
    transfer.complete = true;
    await this.#wait(transfer, REPEATED);
  }

  /** The transfer failed, or nobody comes back for it. */
  async end(transfer: T): Promise<void> {
    const held = this.#held.get(transfer.id);
    this.#held.delete(transfer.id);
    try {
      await transfer.close();
    } finally {
      held?.use?.free();
    }
  }

  /** A connection of it ended so: it waits for the next if only that is lost; else it is over. */
  async stop(transfer: T, error: unknown): Promise<void> {
    // It may have been lost before anybody ended it.
    const reason = this.#held.get(transfer.id)?.stopped ?? error;
    const isFailure = reason instanceof DropError;
    if (isFailure && reason.code === 'disconnected') return this.release(transfer);
    await this.end(transfer);
    if (!isFailure || transfer.complete) return;
    transfer.sums.fail(reason);
    transfer.sums.end();
  }

  /** It has to end so, whether it has a connection or waits for the next. */
  abandon(transfer: T, reason: DropError): void {
    const held = this.#held.get(transfer.id);
    if (held === undefined) return;
    if (held.use === undefined) return void this.#expire(held, reason);
    held.stopped = reason;
    held.use.visit.channel.fail(reason);
  }

  /**
   * Whoever begins the same again has given up what broke off: what is kept of that is free for
   * the new transfer. A connection of it that we do not know to be dead is waited for a little.
   */
  async giveWay(to: T, isSame: (other: T) => boolean): Promise<void> {
    for (const held of [...this.#held.values()]) {
      const { transfer } = held;
      if (transfer === to || transfer.peer !== to.peer) continue;
      if (!isSame(transfer)) continue;
      if (held.use === undefined || (await isDead(held.use))) await this.#expire(held);
    }
  }

  /** A person here ends it, or lets it rest. */
  readonly follow = (order: Order, id?: string): void => {
    for (const { transfer } of [...this.#held.values()]) {
      // What came to its end is only there to say so once more.
      if (transfer.complete || transfer.id !== (id ?? transfer.id)) continue;
      if (order !== 'cancel') transfer.pause.on = order === 'pause';
      else this.abandon(transfer, new DropError('cancelled', { message: 'You stopped it.' }));
    }
  };

  /** Nobody comes back any more. */
  async close(): Promise<void> {
    for (const held of [...this.#held.values()]) await this.#expire(held);
  }

  async #wait({ id, peer, known }: T, ms: number): Promise<void> {
    const held = this.#held.get(id);
    if (held?.use === undefined) return;
    const { free } = held.use;
    held.use = undefined;
    held.expiry = setTimeout(() => void this.#expire(held), ms);
    this.#held.delete(id);
    this.#held.set(id, held);
    free();
    // Strangers take no places of those whom we know.
    const idle = [...this.#held.values()].filter(
      ({ use, transfer }) => use === undefined && transfer.known === known,
    );
    const hers = idle.filter(({ transfer }) => transfer.peer === peer);
    const [oldest] = hers.length > MAX_IDLE_EACH ? hers : idle.length > MAX_IDLE ? idle : [];
    if (oldest) await this.#expire(oldest);
  }

  async #expire(held: Held<T>, reason = new DropError('disconnected')): Promise<void> {
    const { transfer, expiry } = held;
    // Its peer may have come back for it meanwhile, or somebody have ended it.
    if (this.#held.get(transfer.id) !== held) return;
    clearTimeout(expiry);
    await this.end(transfer).catch(() => {}); // What cannot be cleared away is cleared later.
    if (transfer.complete) return;
    transfer.sums.fail(reason);
    transfer.sums.end();
  }
}

/** Whether a connection proves to be dead; it is dropped then. */
async function isDead({ visit, freed }: Use): Promise<boolean> {
  const { connection, channel } = visit;
  const began = performance.now();
  let isFree = false;
  void freed.then(() => {
    isFree = true;
  });
  while (connection.silence < SIGN) {
    await sleep(LOOK);
    if (isFree) return true;
    if (connection.silence < performance.now() - began) return false;
  }
  channel.fail(new DropError('disconnected'));
  await freed;
  return true;
}

/** Within this long a living peer says something, in milliseconds; how often that is looked at. */
const SIGN = 6_000;
const LOOK = 200;

/** A connection that a transfer uses. */
export interface Visit {
  readonly channel: Channel;
  readonly connection: Pick<Connection, 'silence'>;
}

interface Held<T> {
  readonly transfer: T;
  /** The connection that it uses now. */
  use?: Use | undefined;
  /** It was ended here, and the connection that it uses is coming to rest. */
  stopped?: DropError;
  expiry?: NodeJS.Timeout;
}

interface Use {
  readonly visit: Visit;
  /** Says that it is not used any more; who waits for that. */
  readonly free: () => void;
  readonly freed: Promise<void>;
}
