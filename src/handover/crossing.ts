import type { Self } from '../meeting/self.ts';
import { awaitForData } from '../net/data.ts';
import type { Connection } from '../net/tls.ts';
import type { Channel } from '../transfer/channel.ts';

/** From when on a transfer is fast. */
export interface CrossingOptions {
  /** Bytes after which the rate is looked at. */
  readonly sample?: number;
  /** Bytes a millisecond above which it matters. */
  readonly fast?: number;
  readonly platform?: NodeJS.Platform;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
}

/**
 * Moves a transfer that is fast to a connection on which its receiver hears at a lower price. It
 * is a port more that we listen on, so it is not done where nobody would notice the difference.
 */
export class Crossing {
  readonly #self: Self;
  readonly #channel: Channel;
  readonly #connection: Connection;
  readonly #sample: number;
  readonly #fast: number;
  readonly #now: () => number;
  readonly #ended = new AbortController();
  #tried: boolean;
  /** What is on its way since when, in bytes and milliseconds. */
  #bytes = 0;
  #since: number;

  constructor(
    self: Self,
    channel: Channel,
    connection: Connection,
    {
      sample = SAMPLE,
      fast = FAST,
      platform = process.platform,
      now = () => performance.now(),
    }: CrossingOptions = {},
  ) {
    this.#self = self;
    this.#channel = channel;
    this.#connection = connection;
    this.#sample = sample;
    this.#fast = fast;
    this.#now = now;
    // Where the receiver dialled, it needs no other; some systems ask a person who listens.
    this.#tried = !connection.dialled || platform !== 'linux';
    this.#since = now();
  }

  /** So many bytes are on their way. */
  moved(bytes: number): void {
    if (this.#tried) return;
    this.#bytes += bytes;
    if (this.#bytes < this.#sample) return;
    const now = this.#now();
    this.#tried = this.#bytes / (now - this.#since) > this.#fast;
    if (this.#tried) this.#cross().catch(() => {}); // Then it stays where it is.
    this.#bytes = 0;
    this.#since = now;
  }

  /** The transfer has ended, or its connection has. */
  end(): void {
    this.#ended.abort();
  }

  async #cross(): Promise<void> {
    const { signal } = this.#ended;
    const { session } = this.#channel;
    const { port, connection } = await awaitForData(this.#connection, this.#self.identity, signal);
    if (!session.sending) return this.end();
    await this.#channel.say({ type: 'dial', port });
    const arrived = await connection;
    if (!session.sending || signal.aborted) return arrived.destroy();
    await this.#channel.moveTo(arrived);
    // Until now the receiver spoke over the old one, and may have been behind.
    arrived.greeted();
  }
}

const SAMPLE = 8 * 1024 * 1024;

/** More than a wire of 1 Gbit/s carries. */
const FAST = 150_000;
