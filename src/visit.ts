import type { Awake } from './awake.ts';
import { builtInCodecs } from './codecs.ts';
import type { Hashers } from './disk/hashers.ts';
import { type OnConflict, openInbox } from './disk/inbox.ts';
import type { Mark } from './disk/mark.ts';
import type { Stagings } from './disk/staging.ts';
import { DropError, type ErrorCode } from './errors.ts';
import type { Device, Extent, PeerId, ReceiveEvent } from './events.ts';
import { type Allowance, type Guests, Idle, type Patience } from './guests.ts';
import { STRANGER_IDLE } from './limits.ts';
import { exchangeNames, keepAlive, remember } from './meet.ts';
import { dialForData } from './net/data.ts';
import { keepLine } from './net/line.ts';
import { isOwnAddress } from './net/links.ts';
import { DEFAULT_PORT } from './net/ports.ts';
import type { Connection } from './net/tls.ts';
import { Progress } from './progress.ts';
import type { Card } from './protocol/card.ts';
import type { CodeGuard } from './protocol/code.ts';
import type { Self } from './self.ts';
import { Channel } from './transfer/channel.ts';
import { type Greeted, greetAsAnnouncer } from './transfer/greeting.ts';
import { type Host, runReceiver } from './transfer/receiver.ts';
import type { Transfer, Transfers, Visit } from './transfers.ts';

/** What a person is asked about. */
export interface Request extends Extent {
  readonly from: Device;
  /** Whether it has proven who it is; else anyone can claim its name. */
  readonly known: boolean;
  readonly transfer: string;
}

export type Accept = (request: Request, signal: AbortSignal) => Promise<boolean | 'no-answer'>;

/** What all visits share. */
export interface House {
  readonly self: Self;
  readonly options: HouseOptions;
  readonly guard: CodeGuard | undefined;
  /** Judges the PIN where a known device has to give it: nobody else can lock that one out. */
  readonly guardsApart: Map<PeerId, CodeGuard>;
  /** Of devices that proved who they are; the others have a room of their own. */
  readonly guests: Guests;
  readonly strangers: Guests;
  readonly patience: Patience;
  readonly allowance: Allowance;
  readonly stagings: Stagings;
  readonly hashers: Hashers;
  readonly transfers: Transfers;
  readonly awake: Awake;
  /** Marks what came as something of somebody else. */
  readonly mark: Mark | undefined;
  readonly emit: (event: ReceiveEvent) => void;
  /** Tells the code or that it is locked, if that is another one than was last told. */
  readonly showGuard: () => void;
  /** A transfer came to its end. */
  readonly finished: () => void;
  /** Aborted when no other one is wanted. */
  readonly enough: AbortSignal;
}

/** What was said about how to receive. */
interface HouseOptions {
  readonly into: string;
  readonly as?: string | undefined;
  readonly onConflict?: OnConflict | undefined;
  readonly accept?: Accept | undefined;
  readonly open?: 'ask' | 'capped' | undefined;
}

/**
 * One connection, from the greeting to the end. Whatever happens in it ends in it. On a line,
 * which we dialled, we say first who is here, and wait until the chooser speaks. Resolves with
 * whether the other side said anything that we understand.
 */
export async function host(
  house: House,
  connection: Connection,
  signal: AbortSignal,
  line?: Card,
): Promise<boolean> {
  const channel = new Channel('announcer', connection);
  const stop = (): void => channel.fail(new DropError('cancelled', { message: 'You stopped it.' }));
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  // Whoever has not been greeted yet would be waited for in vain.
  const dismiss = (): void => channel.fail(new DropError('cancelled'));
  house.enough.addEventListener('abort', dismiss, { once: true });
  if (house.enough.aborted) dismiss();
  try {
    if (line !== undefined) await wait(channel, connection, line);
    // A stranger makes nothing appear: what goes wrong until here is between the two programs.
    const greeted = await admit(house, channel, connection);
    house.enough.removeEventListener('abort', dismiss);
    if (greeted !== null) await visit(house, channel, connection, greeted);
  } catch (error) {
    channel.fail(error);
    // A bug in one visit must not end all of them.
    if (!(error instanceof DropError))
      house.emit(failure(new DropError('internal', { cause: error })));
  } finally {
    house.showGuard();
    signal.removeEventListener('abort', stop);
    house.enough.removeEventListener('abort', dismiss);
    await channel.end();
  }
  return channel.session.opened;
}

async function wait(channel: Channel, connection: Connection, card: Card): Promise<void> {
  await channel.say({ type: 'here', card });
  keepLine(connection, channel);
}

async function admit(
  { self, guard, guardsApart, options }: House,
  channel: Channel,
  connection: Connection,
): Promise<Greeted | null> {
  const { peer, binding, remote } = connection;
  const ours = peer === self.identity.id;
  if (ours && !isOwnAddress(remote)) throw new DropError('clone');
  const known = await self.trust.get(peer);
  const blocked = known?.trust === 'blocked';
  // Where nobody can be asked, the PIN is what answers for whoever is not trusted to come freely.
  const unattended = guard?.kind === 'pin' && options.accept === undefined;
  const needsPin = unattended && known?.trust !== 'auto';
  if (guard && unattended && known && !guardsApart.has(peer)) guardsApart.set(peer, guard.apart());
  return greetAsAnnouncer(
    channel,
    { me: self.identity.id, peer, binding },
    {
      knows: ours || (known !== undefined && !blocked && !needsPin),
      guard: blocked ? undefined : ((known && guardsApart.get(peer)) ?? guard),
      open: options.open !== undefined && !blocked,
      now,
      // On a line it may have taken long until here.
      onHello: () => connection.greeting(),
    },
  );
}

/** The visit of a device that is greeted: one transfer, or one more connection of it. */
async function visit(
  house: House,
  channel: Channel,
  connection: Connection,
  greeted: Greeted,
): Promise<void> {
  const { self, guests, strangers, transfers, enough, emit } = house;
  const { peer: id, remote } = connection;
  // Until it offers something, nothing of it appears.
  const isStranger = greeted === 'open';
  const leave = isStranger ? strangers.enter(remote) : guests.enter(id);
  let guest: Guest = { id, name: id.slice(0, 8), paired: false, free: false, known: false };
  let stopBeating = (): void => {};
  let transfer: Transfer | undefined;
  // What runs comes to its end; who has nothing running would be waited for in vain.
  const dismiss = (): void => {
    if (transfer === undefined) channel.fail(new DropError('cancelled'));
  };
  enough.addEventListener('abort', dismiss, { once: true });
  if (enough.aborted) dismiss();
  try {
    // The time limit of the greeting covers the names, too.
    const itsName = await exchangeNames(channel, self.name, id);
    connection.greeted();
    stopBeating = keepAlive(channel);
    if (channel.session.role !== 'receiver') throw new DropError('refused');
    guest = await welcome(house, id, itsName, greeted);
    if (guest.known) await remember(self, id, { host: remote, port: DEFAULT_PORT });
    await takeIn(house, { channel, connection }, guest, (accepted) => {
      transfer = accepted;
    });
  } catch (error) {
    if (transfer !== undefined) await stopTransfer(transfers, transfer, error);
    else if (error instanceof DropError && error.exit !== 4 && !enough.aborted && !isStranger)
      emit({ ...failure(error), peer: deviceOf(guest) });
    throw error;
  } finally {
    enough.removeEventListener('abort', dismiss);
    stopBeating();
    leave();
  }
}

/** A device that is let in. */
interface Guest extends Device {
  /** It has just proven itself by a code. */
  readonly paired: boolean;
  /** Whatever it brings is taken without a question. */
  readonly free: boolean;
  /** It has proven who it is, now or before. */
  readonly known: boolean;
}

async function welcome(
  { self, emit, guard, showGuard }: House,
  id: PeerId,
  itsName: string,
  greeted: Greeted,
): Promise<Guest> {
  const paired = greeted === 'paired';
  const before = await self.trust.get(id);
  if (paired) await self.trust.add({ id, name: itsName }, guard?.kind);
  else await self.trust.seen(id);
  const stored = await self.trust.get(id);
  const ours = id === self.identity.id;
  const name = stored?.name ?? itsName;
  if (paired && guard && before === undefined) emit({ event: 'paired', id, name, via: guard.kind });
  showGuard();
  // Our own computer needs no leave, nor does a device that is trusted to.
  const free = ours || stored?.trust === 'auto';
  return { id, name, paired, free, known: ours || stored !== undefined };
}

/** Receives over one connection; `onAccepted` hears of the transfer that it belongs to. */
async function takeIn(
  house: House,
  current: Visit & { connection: Connection },
  guest: Guest,
  onAccepted: (transfer: Transfer) => void,
): Promise<void> {
  const { self, options, stagings, hashers, transfers, awake, patience, allowance, emit } = house;
  const peer = deviceOf(guest);
  const { id, known, free } = guest;
  // Where nobody can be asked, whoever is known is taken within the same limits as everyone.
  const capped = options.open === 'capped' && !free && (!known || options.accept === undefined);
  // Strangers have as many keys as they like.
  const who = known ? id : current.connection.remote;
  let transfer = transfers.begin(
    id,
    known,
    (name) => new Progress(peer, emit, { transfer: name, keeps: true }),
  );
  // There are few places for those whom nobody vouches for, and anyone can take one.
  const showOut = (): void => {
    const message = `It moved nothing for ${STRANGER_IDLE / 1000} seconds, so it was shown out.`;
    current.channel.fail(new DropError('refused', { message, hint: undefined }));
  };
  const idle = known ? undefined : new Idle(STRANGER_IDLE, showOut);
  // Reading out the code was a yes, to one question.
  let given = guest.paired;
  let rest: (() => void) | undefined;
  const over = new AbortController();
  const host: Host = {
    freely: free,
    digests: hashers.names,
    codecs: builtInCodecs(),
    async reception(continues) {
      const before = continues && (await transfers.takeUp(id, continues, current));
      if (before) onAccepted(before);
      transfer = before || transfer;
      return transfer.reception;
    },
    admits(offered) {
      if (!capped) return true;
      transfer.fits ??= allowance.begin();
      return transfer.fits(offered);
    },
    async ask(extent, gone) {
      const asks = !free && !capped && !(given && extent.risks.length === 0);
      given = false;
      const settle = async (): Promise<'yes' | ErrorCode> => {
        // Whoever was asked too often is not even told, nor about one who left while others were.
        if (asks && patience.isSpent(who, now())) return options.accept ? 'declined' : 'refused';
        if (asks && gone.aborted) return 'no-answer';
        const { transfer: name, roots: accepted } = transfer.reception;
        const roots = extent.roots.slice(0, SHOWN_ROOTS);
        const request = { transfer: name, from: peer, known, ...extent, roots };
        emit({ event: 'request', peer, ...request });
        idle?.pause();
        const answer = asks ? await answerTo(request, options.accept, gone) : 'yes';
        idle?.resume();
        if (asks) note(answer);
        if (answer !== 'yes' && !gone.aborted)
          emit({ event: 'declined', transfer: name, peer, reason: answer });
        if (answer === 'yes' && accepted === undefined) {
          transfers.hold(transfer, current);
          onAccepted(transfer);
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
    async open({ roots, checksum }) {
      await transfers.giveWay(transfer, roots);
      const { into, as, onConflict } = options;
      // What comes from this very computer was here before.
      const mark = id === self.identity.id ? undefined : house.mark;
      const how = { as, checksum, onConflict, mark, hashers };
      return openInbox(into, { peer: id, stagings, roots, ...how });
    },
  };
  const note = (answer: 'yes' | ErrorCode): void => {
    if (answer === 'yes') patience.pleased(who);
    else if (answer === 'no-answer') patience.noted(who, 'unanswered', now());
    // Where nobody is asked, it is the log that is spared.
    else if (answer !== 'risky') patience.noted(who, 'declined', now());
  };
  try {
    await runReceiver(current.channel, host, (report) => {
      idle?.stir();
      if (report.type === 'moved') rest ??= awake.hold();
      if (!transfer.complete) transfer.sums.tell(report);
    });
  } finally {
    over.abort();
    idle?.pause();
    rest?.();
  }
  const repeated = transfer.complete;
  await transfers.complete(transfer);
  if (repeated) return;
  transfer.sums.end();
  house.finished();
}

/** An accepted transfer waits for the sender if only the connection is lost; else it is over. */
async function stopTransfer(
  transfers: Transfers,
  transfer: Transfer,
  error: unknown,
): Promise<void> {
  const isFailure = error instanceof DropError;
  if (isFailure && error.code === 'disconnected') return transfers.release(transfer);
  await transfers.end(transfer);
  if (!isFailure || transfer.complete) return;
  transfer.sums.fail(error);
  transfer.sums.end();
}

function deviceOf({ id, name }: Guest): Device {
  return { id, name };
}

/** An event names at most so many roots. */
const SHOWN_ROOTS = 100;

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

function failure({ code, message, hint }: DropError) {
  return { event: 'error' as const, code, message, ...(hint === undefined ? {} : { hint }) };
}

/** Milliseconds of a clock that never goes back. */
function now(): number {
  return performance.now();
}

/** Resolves when the signal is aborted. */
export function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
