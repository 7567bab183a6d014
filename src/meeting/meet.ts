import { setTimeout as sleep } from 'node:timers/promises';
import { DropError } from '../errors.ts';
import type { Device, PeerId } from '../events.ts';
import { CODE_LIMITS, CODE_QUESTIONS, CODE_TRIES } from '../limits.ts';
import type { Address } from '../net/addresses.ts';
import { isOwnAddress } from '../net/links.ts';
import type { Connection } from '../net/tls.ts';
import { deviceName, sameName } from '../protocol/names.ts';
import type { Channel } from '../transfer/channel.ts';
import {
  type Answer,
  type Greeted,
  greetAsChooser,
  introduce,
  type Needs,
} from '../transfer/greeting.ts';
import { optionOf, type Reached, type Reaching, reach, type Target } from './reach.ts';
import type { Self } from './self.ts';
import { unlessAborted } from './signals.ts';

/** Why a code is asked for. */
export interface CodeRequest {
  readonly peer: Device;
  /** Six digits that are shown there, good for one device; or a longer PIN, good for many. */
  readonly kind: 'code' | 'pin';
  readonly why: 'new' | 'wrong-code' | 'code-changed';
  readonly signal: AbortSignal;
}

export type AskCode = (request: CodeRequest) => Promise<string>;

/** What speaks against sending to a device that answers. */
export interface Doubt {
  readonly peer: Device;
  /**
   * `unverified`: it is open to everyone, and anyone can claim its name; `other-name`: it was
   * chosen as `claimed`, and is a device that we know by another name.
   */
  readonly doubt: 'unverified' | 'other-name';
  readonly claimed: string;
  readonly signal: AbortSignal;
}

/** Whether to send all the same. */
export type Confirm = (doubt: Doubt) => Promise<boolean>;

/** Whom to meet, beside those whom we know. */
export interface Trusting {
  /** Asked for the code of a new device, at most three times; without it, only known ones will do. */
  readonly code?: AskCode | undefined;
  /** Whether a device will do that is open to everyone, and of which nobody can tell who it is. */
  readonly unverified?: boolean | undefined;
  /** Asked where something speaks against a device; without it, that is an error. */
  readonly confirm?: Confirm | undefined;
}

/** How to meet. */
export interface Manner extends Reaching, Trusting {
  readonly tries: Tries;
  /** Where files are got: the transfer that is to go on, if one broke off. */
  readonly continues?: string | undefined;
  /** Hears whose key answers, before anything is said. What it throws ends that. */
  readonly onProven?: ((id: PeerId) => void) | undefined;
}

/** The wrong answers that were given so far, in all meetings for one errand. */
export interface Tries {
  wrong: number;
}

/** A greeted peer, ready for a transfer. */
export interface Meeting {
  readonly peer: Device;
  readonly channel: Channel;
  readonly connection: Connection;
  /** How it proved who it is, just now. */
  readonly greeted: Greeted;
  /** By what it became known, if it was new. */
  readonly paired: 'code' | 'pin' | undefined;
  /** Says that we are alive from now on, until it is called off. */
  keepAlive(): () => void;
}

/**
 * How long an answer waits that is not judged yet, as another one was wrong; in milliseconds. Not
 * as long as the longest pause: a person waits.
 */
const NOT_YET = [1_000, 2_000, 4_000, 8_000];

/** Several times in the time that silence may last. */
const ALIVE_EVERY = 4_000;

/**
 * Reaches a target until it is proven who it is, by its key or by a code, and greets it. A person
 * is asked while no connection waits: the first one only learns what is needed.
 */
export async function meet(
  self: Self,
  target: Target,
  manner: Manner,
  signal: AbortSignal,
): Promise<Meeting> {
  let meant = target;
  let allowed: Allowed = { unverified: manner.unverified };
  let why: CodeRequest['why'] = 'new';
  const { tries } = manner;
  let notBefore = 0;
  for (let questions = 0; questions < CODE_QUESTIONS; questions++) {
    const asked = await call(self, meant, manner, allowed, signal);
    if ('channel' in asked) return asked;
    const { peer, needs } = asked;
    // The answer is for the device that asked for it, and no other that may answer now.
    meant = { ...meant, id: peer.id };
    if (needs === 'leave' || needs === 'other-name') {
      const doubt = needs === 'leave' ? 'unverified' : needs;
      await settle({ peer, doubt, claimed: target.name, signal }, manner);
      if (needs === 'leave') allowed = { unverified: true };
      continue;
    }
    if (manner.code === undefined) throw notPaired(asked);
    const code = await unlessAborted(manner.code({ peer, kind: needs, why, signal }), signal);
    // The other side judges nothing for a while after a wrong answer, a right one neither.
    await unlessAborted(sleep(Math.max(0, notBefore - performance.now())), signal);
    try {
      const answer = { kind: needs, code, epoch: asked.epoch };
      const met = await answerWith(self, meant, manner, { ...allowed, answer }, signal);
      if ('channel' in met) return met;
    } catch (error) {
      if (!(error instanceof DropError)) throw error;
      if (error.code !== 'wrong-code' && error.code !== 'code-changed') throw error;
      why = error.code;
      if (why !== 'wrong-code') continue;
      notBefore = performance.now() + CODE_LIMITS.gap * 2 ** tries.wrong;
      tries.wrong += 1;
      if (tries.wrong >= CODE_TRIES) throw error;
    }
  }
  throw new DropError('code-changed');
}

/** What a person has said so far. */
interface Allowed {
  readonly answer?: Answer | undefined;
  readonly unverified?: boolean | undefined;
}

/** What is to be learned from a person first. */
type Asked = { readonly peer: Device } & (Needs | { readonly needs: 'other-name' });

/** Nobody is there to be asked. */
function notPaired({ peer, needs }: Asked): DropError {
  if (needs !== 'pin') return new DropError('not-paired');
  return new DropError('not-paired', {
    message: `"${peer.name}" asks for its PIN, and there is nobody to type it.`,
  });
}

/** Asks a person about a doubt; without a yes, that is the end. */
async function settle(doubt: Doubt, { confirm, way }: Manner): Promise<void> {
  const { peer, claimed, signal } = doubt;
  if (confirm !== undefined && (await unlessAborted(confirm(doubt), signal))) return;
  if (doubt.doubt === 'other-name')
    throw new DropError('wrong-peer', {
      message: `What calls itself "${claimed}" is your "${peer.name}". Nothing was transferred.`,
      hint: `If you mean it: ${optionOf(way)} ${peer.id.slice(0, 8)}`,
    });
  throw new DropError('unproven', {
    message: `"${peer.name}" takes files from everyone without a code, so nobody can tell who it is. Nothing was sent.`,
    hint: 'If anybody may have it: --unverified',
  });
}

/** Somebody else's wrong answer is no reason to give up. */
async function answerWith(
  self: Self,
  target: Target,
  manner: Manner,
  allowed: Allowed,
  signal: AbortSignal,
): Promise<Meeting | Asked> {
  for (const pause of NOT_YET)
    try {
      return await call(self, target, manner, allowed, signal);
    } catch (error) {
      if (!(error instanceof DropError) || error.code !== 'not-yet') throw error;
      await unlessAborted(sleep(pause), signal);
    }
  return call(self, target, manner, allowed, signal);
}

/** One connection to the target. It may only learn what is needed. */
async function call(
  self: Self,
  target: Target,
  manner: Manner,
  allowed: Allowed,
  signal: AbortSignal,
): Promise<Meeting | Asked> {
  const { connection, channel, address } = await reach(self, target, manner, signal);
  const stop = (): void => connection.destroy();
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    manner.onProven?.(connection.peer);
    const { peer, greeted, paired } = await greet(
      self,
      target,
      { connection, channel },
      manner,
      allowed,
    );
    if (typeof greeted !== 'object') {
      if (greeted !== 'open') await remember(self, peer.id, address);
      return { peer, channel, connection, greeted, paired, keepAlive: () => keepAlive(channel) };
    }
    await connection.end();
    return { peer, ...greeted };
  } catch (error) {
    channel.fail(error);
    await connection.end();
    if (signal.aborted) throw signal.reason;
    // Whoever is lost before the greeting is over was never reached.
    if (error instanceof DropError && error.code === 'disconnected')
      throw new DropError('unreachable', { cause: error });
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

async function greet(
  { identity, trust, name }: Self,
  target: Target,
  { connection, channel }: Pick<Reached, 'connection' | 'channel'>,
  { way, continues }: Manner,
  { answer, unverified }: Allowed,
): Promise<{
  peer: Device;
  greeted: Greeted | Needs | { readonly needs: 'other-name' };
  paired?: 'code' | 'pin' | undefined;
}> {
  const { peer: id, binding } = connection;
  const ours = id === identity.id;
  if (ours && !isOwnAddress(connection.remote)) throw new DropError('clone');
  const known = await trust.get(id);
  if (known?.trust === 'blocked')
    throw new DropError('refused', {
      message: `You blocked "${known.name}".`,
      hint: `To allow it again: drop trust ${id.slice(0, 8)} ask`,
    });
  const peer = { id, name: known?.name ?? target.name };
  // It was chosen by a name that it gave itself; whom we know has another one here.
  const claimed = target.id === undefined && target.run !== undefined;
  if (claimed && known && !sameName(known.name, target.name))
    return { peer, greeted: { needs: 'other-name' } };
  const ends = { me: identity.id, peer: id, binding };
  const knows = ours || known !== undefined;
  const greeted = await greetAsChooser(channel, ends, { intent: way, knows, answer, unverified });
  if (typeof greeted === 'object') return { peer, greeted };
  const { name: itsName } = await exchangeIntros(channel, name, id, continues);
  connection.greeted();
  if (greeted === 'paired') await trust.add({ id, name: itsName }, answer?.kind);
  else if (!ours) await trust.seen(id);
  const stored = await trust.get(id);
  const paired = known === undefined && greeted === 'paired' ? answer?.kind : undefined;
  return { peer: { id, name: stored?.name ?? itsName }, greeted, paired };
}

/** Where a device was met, for the next time. Our own is met without any memory. */
export async function remember(
  { identity, book }: Self,
  id: PeerId,
  address: Address,
): Promise<void> {
  if (id !== identity.id && !isOwnAddress(address.host)) await book.met(id, address);
}

/** Introduces both. What a peer calls itself is made fit to be shown and kept. */
export async function exchangeIntros(
  channel: Channel,
  myName: string,
  id: PeerId,
  continues?: string,
): Promise<{ name: string; continues: string | undefined }> {
  const intro = await introduce(channel, myName, continues);
  return { name: deviceName(intro.name) || id.slice(0, 8), continues: intro.continues };
}

export function keepAlive(channel: Channel): () => void {
  const beat = setInterval(() => {
    if (!channel.session.over) channel.say({ type: 'alive' }).catch(() => {}); // Reading tells.
  }, ALIVE_EVERY);
  return () => clearInterval(beat);
}
