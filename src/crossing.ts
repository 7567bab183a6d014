import { awaitForData } from './net/data.ts';
import type { Connection } from './net/tls.ts';
import type { Self } from './self.ts';
import type { Channel } from './transfer/channel.ts';

/**
 * Moves a transfer that is fast to a connection on which its receiver hears at a lower price. It
 * is a port more that we listen on, so it is not done where nobody would notice the difference.
 */
export class Crossing {
  readonly #self: Self;
  readonly #channel: Channel;
  readonly #connection: Connection;
  readonly #ended = new AbortController();
  #tried = false;
  /** What is on its way since when, in bytes and milliseconds. */
  #bytes = 0;
  #since = performance.now();

  constructor(self: Self, channel: Channel, connection: Connection) {
    this.#self = self;
    this.#channel = channel;
    this.#connection = connection;
    // Where the receiver dialled, it needs no other; some systems ask a person who listens.
    this.#tried = !connection.dialled || process.platform !== 'linux';
  }

  /** So many bytes are on their way. */
  moved(bytes: number): void {
    if (this.#tried) return;
    this.#bytes += bytes;
    if (this.#bytes < SAMPLE) return;
    const now = performance.now();
    this.#tried = this.#bytes / (now - this.#since) > FAST;
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
    const { identity } = this.#self;
    const { port, connection } = await awaitForData(this.#connection, identity, signal);
    if (!this.#channel.session.sending) return;
    await this.#channel.say({ type: 'dial', port });
    const arrived = await connection;
    if (this.#channel.session.sending && !signal.aborted) this.#channel.moveTo(arrived);
    else arrived.destroy();
  }
}

/** Bytes after which the rate is looked at. */
const SAMPLE = 8 * 1024 * 1024;

/** Bytes a millisecond above which it matters: more than a wire of 1 Gbit/s carries. */
const FAST = 150_000;
