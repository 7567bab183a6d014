import { hash, randomBytes } from 'node:crypto';
import { platformHere } from '../disk/platform.ts';
import { DropError, type ErrorCode } from '../errors.ts';
import type { Device, Extent, PeerId, ReceiveEvent } from '../events.ts';
import { COMPARING_PACE, SHOWN_ROOTS } from '../limits.ts';
import {
  type Allowance,
  answerOf,
  Idle,
  type OpenOffers,
  type Patience,
} from '../meeting/guests.ts';
import type { Self } from '../meeting/self.ts';
import { type Caller, deviceOf, type Guest, now } from '../meeting/visit.ts';
import { dialForData } from '../net/data.ts';
import type { Entry } from '../protocol/manifest.ts';
import type { Inbox } from '../transfer/inbox.ts';
import type { Pause } from '../transfer/pause.ts';
import { type Host, type Opening, runReceiver, type SoFar } from '../transfer/receiver.ts';
import { Reception } from '../transfer/reception.ts';
import type { Report } from '../transfer/report.ts';
import { type Awake, Vigil } from './awake.ts';
import { builtInCodecs } from './codecs.ts';
import { Progress } from './progress.ts';
import type { Saving } from './saving.ts';
import type { Transfer, Transfers } from './transfers.ts';

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
  /** Bears to hear what is refused of known devices without a question. */
  readonly refusals: Patience;
  readonly allowance: Allowance;
  readonly offers: OpenOffers;
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
  #uncount = (): void => {};

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

  /** Its inbox is open; `uncount` ends that what it holds is counted. */
  opened(uncount: () => void): void {
    this.#uncount = uncount;
  }

  async close(): Promise<void> {
    this.#uncount();
    await this.reception.inbox?.close();
  }
}

/** A transfer of which nothing has come so far, and of which only what `wants` says shall. */
export function newReception(wants?: (entry: Entry) => boolean): Reception {
  const digestOf = (text: string): string => hash('sha256', text, 'base64');
  return new Reception(randomBytes(16).toString('hex'), platformHere(), digestOf, { wants });
}

/** Receives over one connection; `begun` hears that it has become a transfer. */
export async function takeIn(
  intake: Intake,
  current: Caller,
  guest: Guest,
  begun: () => void,
): Promise<void> {
  await new TakingIn(intake, current, guest, begun).run();
}

/** What one connection brings, from the offer on. */
class TakingIn {
  readonly #intake: Intake;
  readonly #current: Caller;
  readonly #guest: Guest;
  readonly #peer: Device;
  readonly #begun: () => void;
  /** Whom it counts for: strangers have as many keys as they like. */
  readonly #who: string;
  /** Whether it is taken within the limits for everyone: where nobody can be asked, of known devices, too. */
  readonly #capped: boolean;
  /** Reading out the code was a yes, to one question. */
  #given: boolean;
  #transfer: Received;
  #accepted = false;
  /** There are few places for those whom nobody vouches for, and anyone can take one. */
  readonly #idle: Idle | undefined;
  readonly #vigil: Vigil;
  readonly #over = new AbortController();

  constructor(intake: Intake, current: Caller, guest: Guest, begun: () => void) {
    const { open, accept, emit, keeps } = intake;
    const { id, known, free, paired } = guest;
    this.#intake = intake;
    this.#current = current;
    this.#guest = guest;
    this.#peer = deviceOf(guest);
    this.#begun = begun;
    this.#who = known ? id : current.connection.remote;
    this.#capped = open === 'capped' && !free && (!known || accept === undefined);
    this.#given = paired;
    this.#transfer = new Received(
      guest,
      (transfer) => new Progress(this.#peer, emit, { transfer, keeps }),
    );
    this.#idle = known ? undefined : new Idle(intake.idle, () => this.#showOut());
    this.#vigil = new Vigil(intake.awake);
  }

  async run(): Promise<void> {
    const { transfers, offers, finished } = this.#intake;
    const { session } = this.#current.channel;
    const leave = offers.enter({
      who: this.#who,
      get bytes() {
        return 2 * session.openUnits;
      },
      giveWay: () => this.#current.channel.fail(tooMuch()),
    });
    try {
      await runReceiver(this.#current.channel, this.#host(), (report) => this.#hear(report));
    } catch (error) {
      if (this.#accepted) await transfers.stop(this.#transfer, error);
      throw error;
    } finally {
      leave();
      this.#over.abort();
      this.#idle?.pause();
      this.#vigil.end();
    }
    const repeated = this.#transfer.complete;
    await transfers.complete(this.#transfer);
    if (repeated) return;
    this.#transfer.sums.end();
    finished();
  }

  #host(): Host {
    return {
      freely: this.#guest.free,
      digests: this.#intake.saving.hashers.names,
      codecs: builtInCodecs(),
      reception: (continues) => this.#takeUp(continues),
      admits: (offered) => this.#admits(offered),
      ask: (offered, gone) => this.#ask(offered, gone),
      dial: (port) => this.#dial(port),
      open: (how) => this.#open(how),
    };
  }

  async #takeUp(continues: string | null): Promise<Reception> {
    const { transfers } = this.#intake;
    const before = continues && (await transfers.takeUp(this.#guest.id, continues, this.#current));
    if (before) {
      this.#transfer = before;
      this.#accept();
    }
    return this.#transfer.reception;
  }

  #admits({ entries, ...extent }: SoFar): 'yes' | ErrorCode {
    const { saving, transfers, allowance, offers } = this.#intake;
    offers.grown();
    const transfer = this.#transfer;
    const opened = transfer.reception.inbox !== undefined;
    const refused = saving.refuses({ entries, ...extent }, { opened });
    if (refused !== undefined) {
      // Who holds the place may be gone, and this be its second try.
      if (refused === 'busy') void transfers.giveWay(transfer, sharing(extent.roots));
      this.#refuse(extent, refused);
      return refused;
    }
    if (!this.#capped) return 'yes';
    transfer.fits ??= allowance.begin();
    return transfer.fits({ entries, ...extent }) ? 'yes' : 'too-much';
  }

  async #ask({ entries, ...extent }: SoFar, gone: AbortSignal): Promise<'yes' | ErrorCode> {
    const { accept, patience } = this.#intake;
    const { known, free } = this.#guest;
    // A message of somebody whom we know does nothing but appear.
    const isMessage = known && extent.texts === 1 && entries === 1 && extent.final;
    const isGiven = this.#given && extent.risks.length === 0;
    const asks = !free && !this.#capped && !isMessage && !isGiven;
    const seeks = asks || isMessage;
    this.#given = false;
    const settle = async (): Promise<'yes' | ErrorCode> => {
      // Whoever was asked too often is not even told, nor about one who left while others were.
      if (seeks && patience.isSpent(this.#who, now())) return accept ? 'declined' : 'refused';
      if (asks && gone.aborted) return 'no-answer';
      const request = this.#announce(extent);
      this.#idle?.pause();
      const answer = asks ? await answerTo(request, accept, gone) : 'yes';
      this.#idle?.resume();
      if (asks) this.#note(answer);
      if (answer !== 'yes' && !gone.aborted) this.#decline(answer, true);
      if (answer === 'yes' && this.#transfer.reception.roots === undefined) {
        this.#intake.transfers.hold(this.#transfer, this.#current);
        this.#accept();
      }
      return answer;
    };
    return asks ? patience.inTurn(this.#who, settle) : settle();
  }

  #dial(port: number): void {
    const { channel, connection } = this.#current;
    // Whom nobody vouches for shall not choose where we knock; what we dialled needs no other.
    if (!this.#guest.known || connection.dialled) return;
    const { identity } = this.#intake.self;
    const dialling = dialForData(connection, port, identity, this.#over.signal);
    void channel.expect(dialling).then(async () => {
      this.#current.connection = await dialling;
    });
  }

  async #open(how: Opening): Promise<Inbox> {
    const { transfers, saving, offers } = this.#intake;
    const { known } = this.#guest;
    const transfer = this.#transfer;
    await transfers.giveWay(transfer, sharing(how.roots));
    const inbox = await saving.open({ transfer: transfer.id, peer: this.#peer, known, ...how });
    const uncount = offers.enter({
      who: this.#who,
      get bytes() {
        return inbox.memory;
      },
      giveWay: () => transfers.abandon(transfer, tooMuch()),
    });
    transfer.opened(uncount);
    return inbox;
  }

  #accept(): void {
    this.#accepted = true;
    this.#begun();
  }

  #hear(report: Report): void {
    const idle = this.#idle;
    this.#vigil.hear(report);
    if (report.type !== 'paused' && report.type !== 'resumed') idle?.stir();
    // That it rests is no fault of theirs if we want it so.
    else if (report.by === 'here') report.type === 'paused' ? idle?.pause() : idle?.resume();
    if (report.type === 'kept') idle?.extend(report.bytes / COMPARING_PACE);
    if (!this.#transfer.complete) this.#transfer.sums.tell(report);
  }

  #showOut(): void {
    const message = `It moved nothing for ${this.#intake.idle / 1000} seconds, so it was shown out.`;
    this.#current.channel.fail(new DropError('refused', { message, hint: undefined }));
  }

  #announce(extent: Extent): Request {
    const peer = this.#peer;
    const roots = extent.roots.slice(0, SHOWN_ROOTS);
    const { known } = this.#guest;
    const request = { transfer: this.#transfer.id, from: peer, known, ...extent, roots };
    this.#intake.emit({ event: 'request', peer, ...request });
    return request;
  }

  /** `counts`: whether it is one of those after which nobody is asked. */
  #decline(reason: ErrorCode, counts: boolean): void {
    const { id: transfer } = this.#transfer;
    const quiet = counts ? this.#intake.patience.quietFor(this.#who, now()) : {};
    this.#intake.emit({ event: 'declined', transfer, peer: this.#peer, reason, ...quiet });
  }

  /** What is refused by rule before it is accepted; afterwards the transfer tells why it failed. */
  #refuse(extent: Extent, reason: ErrorCode): void {
    const { known } = this.#guest;
    if (this.#transfer.reception.roots !== undefined) return;
    // Nobody fills the screen with that; strangers write no more of it than they may ask.
    const patience = known ? this.#intake.refusals : this.#intake.patience;
    if (patience.isSpent(this.#who, now())) return;
    patience.noted(this.#who, known ? 'failed' : 'declined', now());
    this.#announce(extent);
    this.#decline(reason, !known && !this.#capped);
  }

  #note(answer: 'yes' | ErrorCode): void {
    const { patience } = this.#intake;
    if (answer === 'yes') patience.pleased(this.#who);
    else if (answer === 'no-answer') patience.noted(this.#who, 'unanswered', now());
    // Where nobody is asked, it is the log that is spared.
    else if (answer !== 'risky') patience.noted(this.#who, 'declined', now());
  }
}

function tooMuch(): DropError {
  const message = 'All devices together offer more than fits into memory, and this one most of it.';
  return new DropError('busy', { message, hint: undefined });
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
  return answerOf(accept(request, gone), gone);
}
