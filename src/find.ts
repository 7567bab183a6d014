import { discover, peerOf } from './discover.ts';
import { DropError } from './errors.ts';
import type { Peer, PeerId } from './events.ts';
import type { Target } from './meet.ts';
import { parseAddress } from './net/addresses.ts';
import { DEFAULT_PORT } from './net/ports.ts';
import { canMean } from './protocol/names.ts';
import type { CommonOptions, Self } from './self.ts';

/** Whom we look for, and where. */
export interface FindOptions extends CommonOptions {
  /** A peer from `discover`, or a name, an id, its first digits, or HOST[:PORT]. */
  readonly to: Peer | string;
}

/** The peer that is meant, if it appears within `wait` milliseconds. */
export async function findTarget(
  self: Self,
  options: FindOptions,
  wait: number,
  signal: AbortSignal,
): Promise<Target> {
  const { to } = options;
  if (typeof to !== 'string') return targetOf(to);
  // Whoever names a device that it knows means that one, not another that calls itself so.
  const known = await self.trust.find(to);
  const address = parseAddress(to);
  if (known === undefined && address && looksLikeHost(to))
    return { name: to, addresses: [{ host: address.host, port: address.port ?? DEFAULT_PORT }] };
  return targetOf(await waitFor(to, known?.id, wait, options, signal));
}

/**
 * The device that `to` means, as soon as it is there: the known one, whatever others call
 * themselves, or of those that are not known our own, or the only one.
 */
async function waitFor(
  to: string,
  known: PeerId | undefined,
  wait: number,
  options: FindOptions,
  signal: AbortSignal,
): Promise<Peer> {
  const limit = AbortSignal.timeout(wait);
  const either = AbortSignal.any([signal, limit]);
  const there = new Map<string, Peer>();
  const settle = settler();
  for await (const event of discover({
    ...options,
    signal: AbortSignal.any([either, settle.signal]),
  })) {
    const peer = peerOf(event);
    const key = `${peer.id} ${peer.run}`;
    if (event.state === 'lost') there.delete(key);
    else if (peer.id === known) return peer;
    else if (isMeant(peer, to)) there.set(key, peer);
    if (known !== undefined) continue;
    if ([...there.values()].some(isProven)) break;
    // A new device needs not be the only one of that name: others may be about to answer.
    if (there.size > 0) settle.start();
  }
  if (signal.aborted) throw signal.reason;
  const proven = [...there.values()].filter(isProven);
  const choice = proven.length > 0 ? proven : [...there.values()];
  const [only, ...more] = choice;
  if (only === undefined) throw notFound(to);
  if (known !== undefined) throw new DropError('wrong-peer');
  if (more.length > 0)
    throw new DropError('ambiguous', {
      message: `Several devices are called "${to}": ${choice.map(({ id }) => id.slice(0, 8)).join(', ')}.`,
      hint: 'Name the one you mean by these digits: --to ID',
    });
  return only;
}

/** How long to look for more devices of one name, after the first, in milliseconds. */
const SETTLE = 600;

function settler(): { signal: AbortSignal; start(): void } {
  const controller = new AbortController();
  let started = false;
  return {
    signal: controller.signal,
    start() {
      if (started) return;
      started = true;
      setTimeout(() => controller.abort(), SETTLE);
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

/** Where a peer of the list may be dialled. */
export function targetOf({ id, name, addresses }: Peer): Target {
  return {
    id,
    name,
    addresses: addresses.flatMap((text) => {
      const { host, port } = parseAddress(text) ?? {};
      return host === undefined || port === undefined ? [] : [{ host, port }];
    }),
  };
}

function notFound(to: string): DropError {
  return new DropError('not-found', { message: `"${to}" is not ready on this network.` });
}
