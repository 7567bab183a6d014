import { isIPv4 } from 'node:net';
import { DropError } from '../errors.ts';
import type { NothingEvent, Peer, PeerId, SilentPeer } from '../events.ts';
import { legible, parseAddress } from '../net/addresses.ts';
import type { Porch } from '../net/porch.ts';
import { FIRST_PORTS } from '../net/ports.ts';
import type { Way } from '../protocol/card.ts';
import { canMean, sameName } from '../protocol/names.ts';
import { lookAround, peerOf } from './lookout.ts';
import { optionOf, type Target, targetOf } from './reach.ts';
import type { LookOptions, Self } from './self.ts';

/** Whom we look for, and where. */
export interface FindOptions extends LookOptions {
  /** What it is looked for for. */
  readonly way: Way;
  /** A peer from `discover`, or a name, an id, its first digits, or HOST[:PORT]. */
  readonly to: Peer | SilentPeer | string;
  /** How one looks around, where several look at once. */
  readonly around?: typeof lookAround | undefined;
}

/** The peer that is meant, if it appears within `wait` milliseconds. */
export async function findTarget(
  self: Self,
  options: FindOptions,
  porch: Porch,
  wait: number,
  signal: AbortSignal,
): Promise<Target> {
  const { to } = options;
  if (typeof to !== 'string') return 'id' in to ? targetOf(to) : silentTarget(self, to);
  // Whoever names a device that it knows means that one, not another that calls itself so.
  const known = await self.trust.find(to);
  const host = known === undefined && looksLikeHost(to) ? hostOf(to) : undefined;
  if (host && !couldBeName(to)) return host;
  const search = { self, porch, known: known?.id, wait: host ? NAME_FIRST : wait, signal };
  try {
    return await waitFor(search, { ...options, to });
  } catch (error) {
    const isMissing = error instanceof DropError && error.code === 'not-found';
    if (host && isMissing) return host;
    throw error;
  }
}

/**
 * One that does not answer has shown no key. If it calls itself like a device that we know, that is
 * the one that was chosen, and no other may come in its place.
 */
async function silentTarget({ trust }: Self, peer: SilentPeer): Promise<Target> {
  const known = (await trust.all()).find(({ name }) => sameName(name, peer.name));
  return { ...targetOf(peer), id: known?.id };
}

/** How long to look for a device that calls itself like a host, `ana.local`, before dialling that. */
const NAME_FIRST = 1_000;

function hostOf(to: string): Target | undefined {
  const { host, port } = parseAddress(to) ?? {};
  if (host === undefined) return undefined;
  const ports = port === undefined ? FIRST_PORTS : [port];
  return { name: to, addresses: ports.map((one) => ({ host, port: one })) };
}

/** A name may have dots, but is no IP address and has no port. */
function couldBeName(to: string): boolean {
  return to.includes('.') && !to.includes(':') && !isIPv4(to);
}

/**
 * The device that `to` means, as soon as it is there: the known one, whatever others call
 * themselves, or of those that are not known our own, or the only one; or one that is announced
 * by that name and does not answer, as it may dial us.
 */
async function waitFor(
  { self, porch, known, wait, signal }: Search,
  options: FindOptions & { readonly to: string },
): Promise<Target> {
  const { to, around = lookAround } = options;
  const heard: Heard = { there: new Map(), silent: new Map(), nothing: undefined };
  const { there, silent } = heard;
  const settle = settler();
  settle.end(wait);
  const stop = AbortSignal.any([signal, settle.signal]);
  for await (const event of around(self, { ...options, signal: stop }, porch)) {
    if (event.event === 'silent') {
      if (event.state === 'lost') silent.delete(event.run);
      else if (sameName(event.name, to)) silent.set(event.run, event);
    } else if (event.event === 'nothing') heard.nothing = event;
    else {
      if (event.state === 'found' && event.standing !== 'self') heard.nothing = undefined;
      const peer = peerOf(event);
      const key = `${peer.id} ${peer.run}`;
      if (event.state === 'lost') there.delete(key);
      else if (peer.id === known) return targetOf(peer);
      else if (isMeant(peer, to)) there.set(key, peer);
    }
    if (known !== undefined) continue;
    if ([...there.values()].some(isProven)) break;
    // A new device need not be the only one of that name: others may be about to answer.
    if (there.size > 0) settle.endWith(there, SETTLE);
    else if (silent.size > 0) settle.endWith(silent, SILENT_SETTLE);
  }
  if (signal.aborted) throw signal.reason;
  return chosenOf(heard, options, known);
}

/** Who was heard of that may be meant. */
interface Heard {
  readonly there: Map<string, Peer>;
  readonly silent: Map<string, SilentPeer>;
  /** Why no other device is there, if that is so. */
  nothing: NothingEvent | undefined;
}

/** The only one of these that can be meant. Throws if there is none, or another one, or several. */
function chosenOf(
  { there, silent, nothing }: Heard,
  { to, way }: { readonly to: string; readonly way: Way },
  known: PeerId | undefined,
): Target {
  const proven = [...there.values()].filter(isProven);
  const choice = proven.length > 0 ? proven : [...there.values()];
  const devices = new Set(choice.map(({ id }) => id));
  const [only, ...more] = choice;
  const [unanswered] = silent.values();
  if (only === undefined && unanswered && known === undefined) return targetOf(unanswered);
  if (only === undefined) throw notFound(to, way, nothing);
  if (known !== undefined) throw new DropError('wrong-peer');
  if (devices.size > 1)
    throw new DropError('ambiguous', {
      message: `Several devices are called "${to}": ${choice.map(({ id }) => id.slice(0, 8)).join(', ')}.`,
      hint: `Name the one you mean by these digits: ${optionOf(way)} ID`,
    });
  // Each of its processes shows a code of its own.
  if (more.length > 0 && !isProven(only))
    throw new DropError('ambiguous', {
      message: `"${to}" ${way === 'get' ? 'shares' : 'receives'} several times: ${choice.map(({ addresses }) => legible(addresses)).join(', ')}.`,
      hint: `Name the one whose code you have: ${optionOf(way)} ADDRESS`,
    });
  return targetOf(only);
}

/** By whom, with what, how long and for whom is looked. */
interface Search {
  readonly self: Self;
  readonly porch: Porch;
  readonly known: PeerId | undefined;
  readonly wait: number;
  readonly signal: AbortSignal;
}

/** How long to look for more devices of one name, after the first, in milliseconds. */
const SETTLE = 600;

/** How long one that is announced may take to answer, or to dial us of its own accord. */
const SILENT_SETTLE = 2_000;

/** Ends a search. */
function settler() {
  const controller = new AbortController();
  const started = new Set<unknown>();
  const after = (ms: number, act: () => void) => void setTimeout(act, ms).unref();
  return {
    signal: controller.signal,
    /** In so many milliseconds, whoever is there by then. */
    end: (ms: number): void => after(ms, () => controller.abort()),
    /** In so many milliseconds from now, if any of those is left then. */
    endWith(heard: ReadonlyMap<string, unknown>, ms: number): void {
      if (started.has(heard)) return;
      started.add(heard);
      after(ms, () => {
        started.delete(heard);
        if (heard.size > 0) controller.abort();
      });
    },
  };
}

function isMeant(peer: Peer, to: string): boolean {
  if (peer.standing === 'blocked' || peer.standing === 'clone') return false;
  return canMean(to, peer);
}

function isProven({ standing }: Peer): boolean {
  return standing === 'paired' || standing === 'self';
}

/** A bare word is a device's name; a host is written as an address or with a dot or a port. */
function looksLikeHost(to: string): boolean {
  return /[.:]/.test(to) || to === 'localhost';
}

/** Nobody of that name, and why, if nobody else was there either. */
function notFound(to: string, way: Way, nothing: NothingEvent | undefined): DropError {
  const gets = way === 'get';
  const message = `"${to}" ${gets ? 'shares nothing' : 'is not ready'} on this network.`;
  if (nothing === undefined)
    return new DropError('not-found', {
      message,
      hint: `Is \`drop ${gets ? 'share' : 'receive'}\` running there, on the same network?`,
    });
  const { message: why, hint } = nothing;
  return new DropError('not-found', { message: `${message} ${why}`, hint });
}
