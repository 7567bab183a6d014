import { encode, type Message } from '../protocol/message.ts';
import type { Channel } from './channel.ts';
import type { Meter } from './packer.ts';
import type { Pauses } from './pause.ts';

/** How many blocks of an outbox may be on their way to the network at once. */
export const BLOCKS_IN_FLIGHT = 3;

/** Holds what is sent to a rate. */
export interface Pacing {
  /** The most bytes of a file that are said at once, so that it goes evenly. */
  readonly most: number;
  /** Waits until so many bytes may go. Throws what the signal was aborted with. */
  take(bytes: number, signal: AbortSignal): Promise<void>;
  /** So many go at once; what comes after them waits for longer. */
  count(bytes: number): void;
}

export interface OutflowOptions {
  /** Learns what went, and how long it was the network that was waited for. */
  readonly meter?: Meter | undefined;
  readonly pace?: Pacing | undefined;
  readonly pauses?: Pick<Pauses, 'on' | 'over'> | undefined;
  /** Ends the waiting for that. */
  readonly signal: AbortSignal;
}

/** Says one thing after the other, though some of it takes time to be made ready. */
export class Outflow {
  readonly #channel: Channel;
  readonly #meter: Meter | undefined;
  readonly #pace: Pacing | undefined;
  readonly #pauses: OutflowOptions['pauses'];
  readonly #signal: AbortSignal;
  readonly #inFlight: Promise<Written>[] = [];
  /** The last one whose turn has not come; what follows waits for it. */
  #turn: Promise<void> | undefined;

  constructor(channel: Channel, { meter, pace, pauses, signal }: OutflowOptions) {
    this.#channel = channel;
    this.#meter = meter;
    this.#pace = pace;
    this.#pauses = pauses;
    this.#signal = signal;
  }

  /** Says it now, whatever else waits: it holds up others if it is not said. */
  async sayNow(message: Message): Promise<void> {
    this.#pace?.count(lengthOf([message]));
    await this.#channel.say(message);
  }

  /**
   * Says it when all before it is said. Does not wait for that, unless too much is under way
   * already. `onSaid` hears of it when it is said, also in order; never if something before it
   * has failed.
   */
  async pass<M extends Message>(
    ready: M | Promise<M>,
    onSaid: (message: M) => void = () => {},
  ): Promise<void> {
    const one = ready instanceof Promise ? ready.then((message) => [message]) : [ready];
    await this.#pass(one, ([message]) => onSaid(message as M));
  }

  /** The same for several that are said at once. */
  async passTogether(messages: readonly Message[], onSaid: () => void): Promise<void> {
    await this.#pass(messages, onSaid);
  }

  /** Resolves when all is on its way. */
  async passed(): Promise<void> {
    while (this.#inFlight.length > 0) await this.#oldest();
  }

  async #pass<M extends Message>(
    ready: readonly M[] | Promise<readonly M[]>,
    onSaid: (messages: readonly M[]) => void,
  ): Promise<void> {
    const written = this.#inTurn(ready, async (messages, since) => {
      const onWay = this.#channel.say(...messages);
      onSaid(messages);
      await onWay;
      return { messages, since };
    });
    written.catch(() => {}); // It is awaited when its turn comes.
    if (this.#inFlight.push(written) >= BLOCKS_IN_FLIGHT) await this.#oldest();
  }

  async #oldest(): Promise<void> {
    const oldest = this.#inFlight.shift();
    if (this.#meter === undefined) return void (await oldest);
    const began = this.#meter.now();
    const written = await oldest;
    if (written === undefined) return;
    // Before it was its turn, it was not the network that we waited for.
    const waited = this.#meter.now() - Math.max(began, written.since);
    this.#meter.went(written.messages, waited);
  }

  /** Where nothing is waited for, it is said at once: small files are many. */
  #inTurn<M extends Message>(
    ready: readonly M[] | Promise<readonly M[]>,
    say: (messages: readonly M[], since: number) => Promise<Written>,
  ): Promise<Written> {
    const now = (): number => this.#meter?.now() ?? 0;
    const isHeld = this.#pace !== undefined || this.#pauses?.on === true;
    if (this.#turn === undefined && !isHeld && !(ready instanceof Promise))
      return say(ready, now());
    const said = Promise.all([ready, this.#turn]).then(async ([messages]) => {
      if (this.#pauses?.on) await this.#pauses.over();
      const since = now();
      await this.#pace?.take(lengthOf(messages), this.#signal);
      return { written: say(messages, since) };
    });
    const turn = said.then(() => {
      if (this.#turn === turn) this.#turn = undefined;
    });
    turn.catch(() => {}); // Whoever passed it, or the next one, learns of it.
    this.#turn = turn;
    return said.then(({ written }) => written);
  }
}

/** Messages on their way, and when it was their turn. */
interface Written {
  readonly messages: readonly Message[];
  readonly since: number;
}

/** Bytes of their frames. */
function lengthOf(messages: readonly Message[]): number {
  return messages.flatMap(encode).reduce((sum, part) => sum + part.length, 0);
}
