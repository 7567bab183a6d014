import { DropError, type ErrorCode } from '../errors.ts';
import type { Device, PeerId, ShareEvent } from '../events.ts';
import { COMPARING_PACE, FETCH_IDLE } from '../limits.ts';
import { answerOf, Idle, type Patience } from '../meeting/guests.ts';
import type { Self } from '../meeting/self.ts';
import { type Caller, deviceOf, type Guest, now } from '../meeting/visit.ts';
import type { Channel } from '../transfer/channel.ts';
import { Delivery } from '../transfer/delivery.ts';
import type { Outbox } from '../transfer/outbox.ts';
import type { Pacing } from '../transfer/outflow.ts';
import type { Pause } from '../transfer/pause.ts';
import type { Report } from '../transfer/report.ts';
import { runSender } from '../transfer/sender.ts';
import type { Awake } from './awake.ts';
import { type Compress, deliver, packerFor } from './deliver.ts';
import { Progress } from './progress.ts';
import type { Transfer, Transfers } from './transfers.ts';

/** Asked whether a known device may fetch what is shared. */
export type AcceptFetch = (by: Device, signal: AbortSignal) => Promise<boolean | 'no-answer'>;

/** What all that is handed out shares. */
export interface Counter {
  readonly self: Self;
  /** Opens what is shared, anew for each that fetches it. */
  readonly open: () => Promise<Outbox>;
  readonly compress: Compress;
  /** Holds all fetches together to a rate. */
  readonly pace: Pacing | undefined;
  /** Whether known devices may fetch without a question; and who says so where there is one. */
  readonly freely: boolean;
  readonly accept: AcceptFetch | undefined;
  /** Whoever gave the code or PIN of this run, or was agreed to: what is shared does not change. */
  readonly admitted: Set<PeerId>;
  readonly transfers: Transfers<Given>;
  readonly patience: Patience;
  readonly awake: Awake;
  readonly emit: (event: ShareEvent) => void;
  /** A fetch came to its end. */
  readonly finished: () => void;
}

/** What one peer fetches. */
export class Given implements Transfer {
  readonly peer: PeerId;
  readonly known = true;
  readonly delivery: Delivery;
  readonly sums: Progress;
  complete = false;

  constructor(peer: Device, outbox: Outbox, emit: (event: ShareEvent) => void) {
    this.peer = peer.id;
    this.delivery = new Delivery(outbox);
    this.sums = new Progress(peer, emit);
  }

  get id(): string {
    return this.delivery.transfer ?? '';
  }

  get pause(): Pause {
    return this.delivery.pause;
  }

  close(): Promise<void> {
    return this.delivery.outbox.close();
  }
}

/** Delivers over one connection what is shared; `begun` hears that it has become a transfer. */
export async function handOut(
  counter: Counter,
  caller: Caller,
  guest: Guest,
  begun: () => void,
): Promise<void> {
  const { open, compress, pace, freely, admitted, transfers, emit, finished } = counter;
  const { channel, continues } = caller;
  const { id, free, paired } = guest;
  const peer = deviceOf(guest);
  if (paired) admitted.add(id);
  const before = continues && (await transfers.takeUp(id, continues, caller));
  const peeks = channel.session.intent === 'peek';
  if (!before && !free && !freely && !admitted.has(id)) {
    // A list that is open somewhere must not make us ask.
    const answer = peeks ? 'refused' : await answerFor(counter, caller, peer);
    if (answer !== 'yes') throw new DropError(answer);
    admitted.add(id);
  }
  if (peeks) return show(channel, await open());

  const given = before || new Given(peer, await open(), emit);
  let held = before !== undefined && before !== '';
  if (held) begun();
  const idle = new FetchIdle(channel);
  try {
    const how = { packer: packerFor(compress), pace: pace && idle.apartFrom(pace) };
    await deliver(counter, given.delivery, caller, how, (report) => {
      idle.hear(report);
      if (report.type === 'accepted' && !held) {
        transfers.hold(given, caller);
        held = true;
        begun();
      }
      given.sums.tell(report);
    });
  } catch (error) {
    if (held) await transfers.stop(given, error);
    else await given.close();
    throw error;
  } finally {
    idle.end();
  }
  given.complete = true;
  await transfers.end(given);
  given.sums.end();
  finished();
}

/** Offers, and no more: the session lets nobody take anything who only wanted to see that. */
async function show(channel: Channel, outbox: Outbox): Promise<void> {
  const idle = new FetchIdle(channel);
  try {
    await runSender(channel, new Delivery(outbox), (report) => idle.hear(report));
  } finally {
    idle.end();
    await outbox.close();
  }
}

/**
 * Ends a connection over which nothing comes of anything for long, as one over which nothing is
 * said: whoever is alive all the same may come back, and go on. There are few places.
 */
class FetchIdle {
  readonly #idle: Idle;
  #offered = 0;

  constructor(channel: Channel) {
    this.#idle = new Idle(FETCH_IDLE, () => void channel.end());
  }

  hear(report: Report): void {
    if (report.type === 'paused') this.#idle.pause();
    else if (report.type === 'resumed') this.#idle.resume();
    else this.#idle.stir();
    if (report.type !== 'offered') return;
    // It may have all of it, and compare that first.
    this.#idle.extend((report.bytes - this.#offered) / COMPARING_PACE);
    this.#offered = report.bytes;
  }

  /** The same pace, but that nobody is idle for whom it is not time yet. */
  apartFrom(pace: Pacing): Pacing {
    return {
      most: pace.most,
      count: (bytes) => pace.count(bytes),
      take: async (bytes, signal) => {
        this.#idle.pause();
        await pace.take(bytes, signal).finally(() => this.#idle.resume());
      },
    };
  }

  end(): void {
    this.#idle.pause();
  }
}

/** Whether a known device may fetch; a person is asked, if there is one, and not too often. */
function answerFor(
  { patience, accept, emit }: Counter,
  { connection }: Caller,
  peer: Device,
): Promise<'yes' | ErrorCode> {
  const { id } = peer;
  const left = new AbortController();
  void connection.over.then(() => left.abort());
  const gone = left.signal;
  return patience.inTurn(id, async () => {
    // Whoever was asked too often is not even told, nor about one who left while others were.
    if (patience.isSpent(id, now())) return accept ? 'declined' : 'refused';
    if (gone.aborted) return 'no-answer';
    emit({ event: 'fetch', peer });
    const answer = accept ? await answerOf(accept(peer, gone), gone) : 'refused';
    if (answer === 'yes') patience.pleased(id);
    else patience.noted(id, answer === 'no-answer' ? 'unanswered' : 'declined', now());
    if (answer !== 'yes' && !gone.aborted)
      emit({
        ...{ event: 'declined', transfer: '', peer, reason: answer },
        ...patience.quietFor(id, now()),
      });
    return answer;
  });
}
