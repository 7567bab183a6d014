import { randomBytes } from 'node:crypto';
import { type Awake, Vigil } from './awake.ts';
import { builtInCodecs } from './codecs.ts';
import { platformHere } from './disk/platform.ts';
import { DropError, type ErrorCode } from './errors.ts';
import type { Device, Extent, PeerId, ReceiveEvent } from './events.ts';
import { type Allowance, Idle, type Patience } from './guests.ts';
import { COMPARING_PACE, SHOWN_ROOTS } from './limits.ts';
import { dialForData } from './net/data.ts';
import { Progress } from './progress.ts';
import type { Entry } from './protocol/manifest.ts';
import type { Saving } from './saving.ts';
import type { Self } from './self.ts';
import { ended } from './signals.ts';
import type { Pause } from './transfer/pause.ts';
import { type Host, runReceiver } from './transfer/receiver.ts';
import { Reception } from './transfer/reception.ts';
import type { Transfer, Transfers } from './transfers.ts';
import { type Caller, deviceOf, type Guest, now } from './visit.ts';

/** What a person is asked about. */
export interface Request extends Extent {
  readonly from: Device;
  /** Whether it has proven who it is; else anyone can claim its name. */
  readonly known: boolean;
  readonly transfer: string;
}

export type Accept = (request: Request, signal: AbortSignal) => Promise<boolean | 'no-answer'>;

/** What all that comes in shares. */
export interface Intake {
  readonly self: Self;
  /** Whether everyone is let in, and whether somebody is asked then. */
  readonly open: 'ask' | 'capped' | undefined;
  readonly accept: Accept | undefined;
  readonly saving: Saving;
  readonly transfers: Transfers<Received>;
  readonly patience: Patience;
  readonly allowance: Allowance;
  readonly awake: Awake;
  readonly emit: (event: ReceiveEvent) => void;
  /** Whether what breaks off is there for another run. */
  readonly keeps: boolean;
  /** How long whom nobody vouches for may move nothing, in milliseconds. */
  readonly idle: number;
  /** A transfer came to its end. */
  readonly finished: () => void;
}

/** What one peer sends. */
export class Received implements Transfer {
  readonly peer: PeerId;
  readonly known: boolean;
  readonly reception: Reception;
  readonly sums: Progress;
  complete = false;
  /** Whether what is offered fits into what is taken of devices that nobody vouches for. */
  fits?: ReturnType<Allowance['begin']>;

  constructor({ id, known }: Guest, sums: (transfer: string) => Progress) {
    this.peer = id;
    this.known = known;
    this.reception = newReception();
    this.sums = sums(this.id);
  }

  get id(): string {
    return this.reception.transfer;
  }

  get pause(): Pause {
    return this.reception.pause;
  }

  async close(): Promise<void> {
    await this.reception.inbox?.close();
  }
}

/** A transfer of which nothing has come so far, and of which only what `wants` says shall. */
export function newReception(wants?: (entry: Entry) => boolean): Reception {
  return new Reception(randomBytes(16).toString('hex'), platformHere(), { wants });
}

/** Receives over one connection; `begun` hears that it has become a transfer. */
export async function takeIn(
  intake: Intake,
  current: Caller,
  guest: Guest,
  begun: () => void,
): Promise<void> {
  const { self, open, accept, saving, transfers, patience, allowance, awake, emit } = intake;
  const peer = deviceOf(guest);
  const { id, known, free } = guest;
  // Where nobody can be asked, whoever is known is taken within the same limits as everyone.
  const capped = open === 'capped' && !free && (!known || accept === undefined);
  // Strangers have as many keys as they like.
  const who = known ? id : current.connection.remote;
  let accepted = false;
  let transfer = new Received(
    guest,
    (name) => new Progress(peer, emit, { transfer: name, keeps: intake.keeps }),
  );
  const onAccepted = (): void => {
    accepted = true;
    begun();
  };
  // There are few places for those whom nobody vouches for, and anyone can take one.
  const showOut = (): void => {
    const message = `It moved nothing for ${intake.idle / 1000} seconds, so it was shown out.`;
    current.channel.fail(new DropError('refused', { message, hint: undefined }));
  };
  const idle = known ? undefined : new Idle(intake.idle, showOut);
  // Reading out the code was a yes, to one question.
  let given = guest.paired;
  const vigil = new Vigil(awake);
  const over = new AbortController();
  const host: Host = {
    freely: free,
    digests: saving.hashers.names,
    codecs: builtInCodecs(),
    async reception(continues) {
      const before = continues && (await transfers.takeUp(id, continues, current));
      if (before) {
        transfer = before;
        onAccepted();
      }
      return transfer.reception;
    },
    admits({ entries, ...extent }) {
      const opened = transfer.reception.inbox !== undefined;
      const refused = saving.refuses({ entries, ...extent }, { opened });
      if (refused !== undefined) {
        // Who holds the place may be gone, and this be its second try.
        if (refused === 'busy') void transfers.giveWay(transfer, sharing(extent.roots));
        refuse(extent, refused);
        return refused;
      }
      if (!capped) return 'yes';
      transfer.fits ??= allowance.begin();
      return transfer.fits({ entries, ...extent }) ? 'yes' : 'too-much';
    },
    async ask({ entries, ...extent }, gone) {
      // A message of somebody whom we know does nothing but appear.
      const isMessage = known && extent.texts === 1 && entries === 1 && extent.final;
      const asks = !free && !capped && !isMessage && !(given && extent.risks.length === 0);
      const seeks = asks || isMessage;
      given = false;
      const settle = async (): Promise<'yes' | ErrorCode> => {
        // Whoever was asked too often is not even told, nor about one who left while others were.
        if (seeks && patience.isSpent(who, now())) return accept ? 'declined' : 'refused';
        if (asks && gone.aborted) return 'no-answer';
        const request = announce(extent);
        idle?.pause();
        const answer = asks ? await answerTo(request, accept, gone) : 'yes';
        idle?.resume();
        if (asks) note(answer);
        if (answer !== 'yes' && !gone.aborted) decline(answer);
        if (answer === 'yes' && transfer.reception.roots === undefined) {
          transfers.hold(transfer, current);
          onAccepted();
        }
        return answer;
      };
      return asks ? patience.inTurn(who, settle) : settle();
    },
    dial(port) {
      const { channel, connection } = current;
      // Whom nobody vouches for shall not choose where we knock; what we dialled needs no other.
      if (!known || connection.dialled) return;
      const dialling = dialForData(connection, port, self.identity, over.signal);
      void channel.expect(dialling).then(async () => {
        current.connection = await dialling;
      });
    },
    async open(how) {
      await transfers.giveWay(transfer, sharing(how.roots));
      return saving.open({ transfer: transfer.reception.transfer, peer, known, ...how });
    },
  };
  const announce = (extent: Extent): Request => {
    const { transfer: name } = transfer.reception;
    const roots = extent.roots.slice(0, SHOWN_ROOTS);
    const request = { transfer: name, from: peer, known, ...extent, roots };
    emit({ event: 'request', peer, ...request });
    return request;
  };
  const decline = (reason: ErrorCode): void =>
    emit({ event: 'declined', transfer: transfer.reception.transfer, peer, reason });
  /** What is refused by rule before it is accepted; afterwards the transfer tells why it failed. */
  const refuse = (extent: Extent, reason: ErrorCode): void => {
    if (transfer.reception.roots !== undefined) return;
    // Strangers write no more of that on the screen than they may ask.
    if (!known && patience.isSpent(who, now())) return;
    if (!known) patience.noted(who, 'declined', now());
    announce(extent);
    decline(reason);
  };
  const note = (answer: 'yes' | ErrorCode): void => {
    if (answer === 'yes') patience.pleased(who);
    else if (answer === 'no-answer') patience.noted(who, 'unanswered', now());
    // Where nobody is asked, it is the log that is spared.
    else if (answer !== 'risky') patience.noted(who, 'declined', now());
  };
  try {
    await runReceiver(current.channel, host, (report) => {
      vigil.hear(report);
      if (report.type !== 'paused' && report.type !== 'resumed') idle?.stir();
      // That it rests is no fault of theirs if we want it so.
      else if (report.by === 'here') report.type === 'paused' ? idle?.pause() : idle?.resume();
      if (report.type === 'kept') idle?.extend(report.bytes / COMPARING_PACE);
      if (!transfer.complete) transfer.sums.tell(report);
    });
  } catch (error) {
    if (accepted) await transfers.stop(transfer, error);
    throw error;
  } finally {
    over.abort();
    idle?.pause();
    vigil.end();
  }
  const repeated = transfer.complete;
  await transfers.complete(transfer);
  if (repeated) return;
  transfer.sums.end();
  intake.finished();
}

/** Whether a transfer brings one of these. */
function sharing(roots: readonly string[]): (other: Received) => boolean {
  return ({ reception }) => reception.roots?.some((root) => roots.includes(root)) ?? false;
}

async function answerTo(
  request: Request,
  accept: Accept | undefined,
  gone: AbortSignal,
): Promise<'yes' | ErrorCode> {
  if (accept === undefined) return request.risks.length > 0 ? 'risky' : 'refused';
  const said = accept(request, gone).then((answer): 'yes' | ErrorCode => {
    if (answer === 'no-answer') return answer;
    return answer ? 'yes' : 'declined';
  });
  return Promise.race([said, ended(gone).then(() => 'no-answer' as const)]);
}
