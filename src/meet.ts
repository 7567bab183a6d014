import { setTimeout as sleep } from 'node:timers/promises';
import { DropError } from './errors.ts';
import type { Device, PeerId } from './events.ts';
import type { Address } from './net/addresses.ts';
import { isOwnAddress } from './net/links.ts';
import type { Connection } from './net/tls.ts';
import { CODE_LIMITS } from './protocol/code.ts';
import { deviceName, sameName } from './protocol/names.ts';
import { type Reaching, reach, type Target } from './reach.ts';
import type { Self } from './self.ts';
import type { Channel } from './transfer/channel.ts';
import { type Answer, greetAsChooser, introduce } from './transfer/greeting.ts';

/** Why a code is asked for. */
export interface CodeRequest {
  readonly peer: Device;
  readonly why: 'new' | 'wrong-code' | 'code-changed';
  readonly signal: AbortSignal;
}

export type AskCode = (request: CodeRequest) => Promise<string>;

/** How to meet. */
export interface Manner extends Reaching {
  /** Asked for a code; without it, only known devices are met. */
  readonly code?: AskCode | undefined;
}

/** A greeted peer, ready for a transfer. */
export interface Meeting {
  readonly peer: Device;
  readonly channel: Channel;
  readonly connection: Connection;
  /** Whether it was proven by a code just now. */
  readonly paired: boolean;
  /** Says that we are alive from now on, until it is called off. */
  keepAlive(): () => void;
}

/** Wrong answers to give before giving up; each tells a false peer one guess. */
const TRIES = 3;

/** Questions in all: whoever changes its code after every answer only wants more of them. */
const QUESTIONS = 10;

/** Several times in the time that silence may last. */
const ALIVE_EVERY = 4_000;

/**
 * Reaches a target until it is proven who it is, by its key or by a code, and greets it. A person
 * types while no connection waits: the first one only learns that a code is needed.
 */
export async function meet(
  self: Self,
  target: Target,
  manner: Manner,
  signal: AbortSignal,
): Promise<Meeting> {
  const { code: askCode } = manner;
  let why: CodeRequest['why'] = 'new';
  let wrong = 0;
  let notBefore = 0;
  for (let questions = 0; questions < QUESTIONS; questions++) {
    const asked = await call(self, target, manner, undefined, signal);
    if ('channel' in asked) return asked;
    if (askCode === undefined) throw new DropError('not-paired');
    const { peer, epoch } = asked;
    const code = await unlessAborted(askCode({ peer, why, signal }), signal);
    // The other side judges nothing for a while after a wrong answer, a right one neither.
    await unlessAborted(sleep(notBefore - performance.now()), signal);
    try {
      // The answer is for the device that asked for it, and no other that may answer now.
      const meant = { ...target, id: peer.id };
      const met = await call(self, meant, manner, { code, epoch }, signal);
      if ('channel' in met) return met;
    } catch (error) {
      if (!(error instanceof DropError)) throw error;
      if (error.code !== 'wrong-code' && error.code !== 'code-changed') throw error;
      why = error.code;
      if (why !== 'wrong-code') continue;
      notBefore = performance.now() + CODE_LIMITS.gap * 2 ** wrong;
      wrong += 1;
      if (wrong === TRIES) throw error;
    }
  }
  throw new DropError('code-changed');
}

/** One connection to the target. Without an answer it may only learn which code is asked for. */
async function call(
  self: Self,
  target: Target,
  manner: Manner,
  answer: Answer | undefined,
  signal: AbortSignal,
): Promise<Meeting | { readonly peer: Device; readonly epoch: number }> {
  const { connection, channel, address } = await reach(self, target, manner, signal);
  const stop = (): void => connection.destroy();
  signal.addEventListener('abort', stop, { once: true });
  try {
    const { peer, epoch, paired } = await greet(self, target, connection, channel, answer);
    if (epoch === undefined) await remember(self, peer.id, address);
    if (epoch === undefined)
      return { peer, channel, connection, paired, keepAlive: () => keepAlive(channel) };
    await connection.end();
    return { peer, epoch };
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

/** What a promise gives, unless the signal comes first; then that is why. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

async function greet(
  { identity, trust, name }: Self,
  target: Target,
  connection: Connection,
  channel: Channel,
  answer: Answer | undefined,
): Promise<{ peer: Device; epoch?: number; paired: boolean }> {
  const { peer: id, binding } = connection;
  const ours = id === identity.id;
  if (ours && !isOwnAddress(connection.remote)) throw new DropError('clone');
  const known = await trust.get(id);
  if (known?.trust === 'blocked')
    throw new DropError('refused', {
      message: `You blocked "${known.name}".`,
      hint: `To allow it again: drop trust ${id.slice(0, 8)} ask`,
    });
  // It was chosen by a name that it gave itself; whom we know has another one here.
  const claimed = target.id === undefined && target.run !== undefined;
  if (claimed && known && !sameName(known.name, target.name)) throw new DropError('wrong-peer');
  const meeting = { me: identity.id, peer: id, binding };
  const knows = ours || known !== undefined;
  const greeted = await greetAsChooser(channel, meeting, { intent: 'send', knows, answer });
  if (typeof greeted === 'object')
    return { peer: { id, name: known?.name ?? target.name }, ...greeted, paired: false };
  const itsName = await exchangeNames(channel, name, id);
  connection.greeted();
  if (greeted === 'paired') await trust.add({ id, name: itsName });
  else if (!ours) await trust.seen(id);
  const stored = await trust.get(id);
  return { peer: { id, name: stored?.name ?? itsName }, paired: greeted === 'paired' };
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
export async function exchangeNames(channel: Channel, myName: string, id: PeerId): Promise<string> {
  return deviceName(await introduce(channel, myName)) || id.slice(0, 8);
}

export function keepAlive(channel: Channel): () => void {
  const beat = setInterval(() => {
    if (!channel.session.over) channel.say({ type: 'alive' }).catch(() => {}); // Reading tells.
  }, ALIVE_EVERY);
  return () => clearInterval(beat);
}
