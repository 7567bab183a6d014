import { DropError } from '../../src/errors.ts';
import type { Channel, Pipe } from '../../src/transfer/channel.ts';
import type { Report } from '../../src/transfer/report.ts';
import { type Cable, cable } from './memory.ts';

/** When a transfer moves to another cable, and what happens to that. */
export interface Move {
  /** How many bytes of files are on their way when the sender asks to be dialled. */
  readonly after: number;
  /** How many turns after that each end has the other cable; null if it never does. */
  readonly sender: number | null;
  readonly receiver: number;
  readonly cutAfter?: number | undefined;
}

/** A second cable between two ends, to which their transfer moves. */
export class Crossroads {
  readonly second: Cable;
  readonly #move: Move;
  #bytes = 0;
  #asked = false;
  #isDialled = (): void => {};
  readonly #dialled = new Promise<void>((resolve) => {
    this.#isDialled = resolve;
  });
  /** Whether each end has heard that the other one has moved. */
  moved = { sender: false, receiver: false };

  constructor(move: Move, slice: number) {
    this.#move = move;
    this.second = cable({ cutAfter: move.cutAfter, slice });
  }

  /** Hears what a sender does. */
  hear(channel: Channel, report: Report): void {
    if (report.type !== 'moved' || this.#asked) return;
    this.#bytes += report.bytes;
    if (this.#bytes < this.#move.after) return;
    this.#asked = true;
    void this.#cross(channel);
  }

  /** What a receiver does when it is told to dial. */
  readonly dial = (channel: Channel): void => {
    this.#isDialled();
    void channel.expect(this.#made()).then(() => {
      this.moved.receiver = true;
    });
  };

  async #made(): Promise<Pipe> {
    await turns(this.#move.receiver);
    if (this.#move.sender === null) throw new DropError('unreachable');
    return this.second.right;
  }

  async #cross(channel: Channel): Promise<void> {
    if (!channel.session.sending) return;
    await channel.say({ type: 'dial', port: 40_001 }).catch(() => {});
    await this.#dialled;
    if (this.#move.sender === null) return;
    await turns(this.#move.sender);
    if (!channel.session.sending) return this.second.pull();
    await channel.moveTo(this.second.left);
    this.moved.sender = true;
  }
}

async function turns(count: number): Promise<void> {
  for (let n = 0; n < count; n++) await new Promise((resolve) => setImmediate(resolve));
}
