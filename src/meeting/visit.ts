import { DropError, wordsOf } from '../errors.ts';
import type { Device, ErrorEvent, PairedEvent, PeerId } from '../events.ts';
import { keepLine } from '../net/line.ts';
import { isOwnAddress } from '../net/links.ts';
import { DEFAULT_PORT } from '../net/ports.ts';
import type { Connection } from '../net/tls.ts';
import type { Card, Way } from '../protocol/card.ts';
import type { CodeGuard } from '../protocol/code.ts';
import { Channel } from '../transfer/channel.ts';
import { type Greeted, greetAsAnnouncer } from '../transfer/greeting.ts';
import type { Guests, Patience } from './guests.ts';
import { exchangeIntros, keepAlive, remember } from './meet.ts';
import type { Self } from './self.ts';

/** What all visits of one announcer share. */
export interface House {
  readonly self: Self;
  /** What choosers come here for. */
  readonly way: Way;
  readonly guard: CodeGuard | undefined;
  /** Judges the PIN where a known device has to give it: nobody else can lock that one out. */
  readonly guardsApart: Map<PeerId, CodeGuard>;
  /** Of devices that proved who they are; the others have a room of their own. */
  readonly guests: Guests;
  readonly strangers: Guests;
  /** Whether everyone is let in. */
  readonly open: boolean;
  /** Whether a known device, where new ones need a PIN, has to give it, too. */
  readonly needsPin: (peer: PeerId, trust: 'ask' | 'auto') => boolean;
  /** Bears to hear of devices that get no further than the door. */
  readonly failures: Patience;
  /** Tells of what happens that is no part of a transfer. */
  readonly emit: (event: VisitEvent) => void;
  /** Tells the code or that it is locked, if that is another one than was last told. */
  readonly showGuard: () => void;
  /**
   * What is done for a device that is greeted, over one connection; `begun` says that it has become
   * a transfer, which tells by itself what goes wrong.
   */
  readonly serve: (caller: Caller, guest: Guest, begun: () => void) => Promise<void>;
  /** Aborted when no other one is wanted. */
  readonly enough: AbortSignal;
}

/** What visits tell. */
export type VisitEvent = PairedEvent | (ErrorEvent & { readonly peer?: Device });

/** A connection on which the greeting is over. */
export interface Caller {
  readonly channel: Channel;
  /** Another one, once the transfer has moved. */
  connection: Connection;
  /** The transfer that a chooser that gets wants to go on with. */
  readonly continues: string | undefined;
}

/** A device that is let in. */
export interface Guest extends Device {
  /** It has just proven itself by a code. */
  readonly paired: boolean;
  /** Nobody is asked about it. */
  readonly free: boolean;
  /** It has proven who it is, now or before. */
  readonly known: boolean;
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
  house: House,
  channel: Channel,
  connection: Connection,
): Promise<Greeted | null> {
  const { self, guard, guardsApart, open, needsPin } = house;
  const { peer, binding, remote } = connection;
  const ours = peer === self.identity.id;
  if (ours && !isOwnAddress(remote)) throw new DropError('clone');
  const known = await self.trust.get(peer);
  const blocked = known?.trust === 'blocked';
  const mustProve =
    guard?.kind === 'pin' &&
    known !== undefined &&
    known.trust !== 'blocked' &&
    needsPin(peer, known.trust);
  if (guard && mustProve && !guardsApart.has(peer)) guardsApart.set(peer, guard.apart());
  const greeted = greetAsAnnouncer(
    channel,
    { me: self.identity.id, peer, binding },
    {
      knows: ours || (known !== undefined && !blocked && !mustProve),
      guard: blocked ? undefined : ((known && guardsApart.get(peer)) ?? guard),
      open: open && !blocked,
      now,
      endIn(ms) {
        const limit = setTimeout(() => channel.fail(new DropError('not-yet')), ms);
        return () => clearTimeout(limit);
      },
      // On a line it may have taken long until here.
      onHello: () => connection.greeting(),
    },
  );
  return greeted.catch((error) => {
    // Whoever is known, and not understood, is waited for in vain; a stranger makes nothing appear.
    if (known && !blocked && isOfVersions(error)) tellFailure(house, known, error);
    throw error;
  });
}

function isOfVersions(error: unknown): error is DropError {
  return error instanceof DropError && /^peer-(?:older|newer)$/.test(error.code);
}

/** The visit of a device that is greeted: one transfer, or one more connection of it. */
async function visit(
  house: House,
  channel: Channel,
  connection: Connection,
  greeted: Greeted,
): Promise<void> {
  const { self, way, guests, strangers, failures, enough } = house;
  const { peer: id, remote } = connection;
  // Until it offers something, nothing of it appears.
  const isStranger = greeted === 'open';
  const leave = isStranger ? strangers.enter(remote) : guests.enter(id);
  let guest: Guest = { id, name: id.slice(0, 8), paired: false, free: false, known: false };
  let stopBeating = (): void => {};
  let begun = false;
  // What runs comes to its end; who has nothing running would be waited for in vain.
  const dismiss = (): void => {
    if (!begun) channel.fail(new DropError('cancelled'));
  };
  enough.addEventListener('abort', dismiss, { once: true });
  if (enough.aborted) dismiss();
  try {
    // The time limit of the greeting covers the names, too.
    const { name, continues } = await exchangeIntros(channel, self.name, id);
    connection.greeted();
    stopBeating = keepAlive(channel);
    if ((channel.session.role === 'receiver') !== (way === 'send')) throw new DropError('refused');
    guest = await welcome(house, id, name, greeted);
    if (guest.known) await remember(self, id, { host: remote, port: DEFAULT_PORT });
    await house.serve({ channel, connection, continues }, guest, () => {
      begun = true;
      failures.pleased(id);
    });
  } catch (error) {
    const isNews = error instanceof DropError && error.exit !== 4 && !enough.aborted;
    if (isNews && !begun && !isStranger && channel.session.intent !== 'peek')
      tellFailure(house, guest, error);
    throw error;
  } finally {
    enough.removeEventListener('abort', dismiss);
    stopBeating();
    leave();
  }
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

export function deviceOf({ id, name }: Device): Device {
  return { id, name };
}

/** Tells that a device got no further; but not again and again, as it may mean to fill the screen. */
function tellFailure({ failures, emit }: House, device: Device, error: DropError): void {
  if (failures.isSpent(device.id, now())) return;
  failures.noted(device.id, 'failed', now());
  emit({ ...failure(error), peer: deviceOf(device) });
}

function failure(error: DropError): ErrorEvent {
  return { event: 'error', ...wordsOf(error) };
}

/** Milliseconds of a clock that never goes back. */
export function now(): number {
  return performance.now();
}
