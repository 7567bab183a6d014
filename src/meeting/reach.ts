import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { DropError } from '../errors.ts';
import type { Peer, PeerId, SilentPeer } from '../events.ts';
import { CALL_QUESTION_LIMIT } from '../limits.ts';
import { type Address, canonical, isLoopback, parseAddress, race } from '../net/addresses.ts';
import type { Caller, Porch } from '../net/porch.ts';
import { DEFAULT_PORT } from '../net/ports.ts';
import type { Connection } from '../net/tls.ts';
import type { Way } from '../protocol/card.ts';
import { Channel } from '../transfer/channel.ts';
import type { Self } from './self.ts';

/** A peer that we chose, where it may be dialled, and the key that it must have, if we know it. */
export interface Target {
  readonly id?: PeerId | undefined;
  /** The process that is meant, if it was announced. */
  readonly run?: string | undefined;
  readonly name: string;
  readonly addresses: readonly Address[];
}

/** Where a peer of the list may be dialled. Of one that does not answer nobody knows the key. */
export function targetOf(peer: Peer | SilentPeer): Target {
  const { run, name, addresses } = peer;
  const id = 'id' in peer ? peer.id : undefined;
  return { id, run, name, addresses: addresses.flatMap(addressOf) };
}

function addressOf(text: string): Address[] {
  const { host, port } = parseAddress(text) ?? {};
  return host === undefined || port === undefined ? [] : [{ host, port }];
}

/** How a target may be reached beside being dialled. */
export interface Reaching {
  /** What it is reached for. */
  readonly way: Way;
  /** Where those come who cannot be dialled. */
  readonly porch: Porch;
  /** Hears that the target does not answer, and is asked to dial us. */
  readonly onKnock?: ((target: Target) => void) | undefined;
  /** How long that may take where a person is asked there first; milliseconds, a minute by default. */
  readonly patience?: number | undefined;
}

/** The option of the command line by which a device is named. */
export function optionOf(way: Way): string {
  return way === 'get' ? '--from' : '--to';
}

/** A connection to a target, however it came about. */
export interface Reached {
  readonly connection: Connection;
  readonly channel: Channel;
  /** Where it may be dialled another time. */
  readonly address: Address;
}

/** When to ask a target to dial us that takes longer to answer, in milliseconds. */
const KNOCK_AFTER = 700;

/**
 * How long it may take to dial us after nothing came of dialling it, in milliseconds: not long
 * where it is tried again, which then finds a line that came meanwhile. Where a person may be
 * asked there first, as nobody knows yet who it is, as long as that question stands.
 */
const LINE_WAIT = 500;
const LAST_LINE_WAIT = 3_000;

/** Dials the target, and if that leads nowhere, lets it dial us. */
export async function reach(
  self: Self,
  target: Target,
  { way, porch, onKnock, patience = CALL_QUESTION_LIMIT }: Reaching,
  signal: AbortSignal,
): Promise<Reached> {
  const { id, run } = target;
  const hosts = target.addresses.map(({ host }) => host);
  const caller = { id, run, hosts };
  if (porch.has(caller)) return lineTo(caller, porch, signal);

  const ips = hosts.filter((host) => isIP(host) !== 0 && !isLoopback(host)).map(canonical);
  const doors = run === undefined ? ips : [run];
  let knocked = false;
  const knock = (): void => {
    if (knocked || doors.length === 0) return;
    knocked = true;
    for (const door of doors) void porch.knock(door, way);
    onKnock?.(target);
  };
  const decided = new AbortController();
  const either = AbortSignal.any([signal, decided.signal]);
  const late = setTimeout(knock, KNOCK_AFTER);
  const dialled = dialTarget(self, target, way, either).catch(async (error) => {
    if (either.aborted) throw error;
    knock();
    const isTriedAgain = error instanceof DropError && error.code === 'unreachable';
    const short = isTriedAgain ? LINE_WAIT : LAST_LINE_WAIT;
    const wait = (ms: number) => sleep(ms, undefined, { signal: either }).catch(() => {});
    await wait(id === undefined && run !== undefined ? patience : short);
    // Of an address nobody knows whether anybody is there, until our knock is heard.
    if (id === undefined && run === undefined && porch.wasHeardBy(ips)) await wait(patience);
    throw error;
  });
  const ways = [dialled, lineTo(caller, porch, either)];
  let chosen: Reached | undefined;
  try {
    chosen = await Promise.race(ways);
    return chosen;
  } finally {
    clearTimeout(late);
    // As long as it is not reached, somebody will try again.
    if (chosen) for (const door of doors) porch.stopKnocking(door);
    decided.abort();
    // Both may have succeeded at once; of the other one nobody knows.
    for (const way of ways)
      way.then(
        (reached) => reached !== chosen && reached.connection.destroy(),
        () => {},
      );
  }
}

async function lineTo(caller: Caller, porch: Porch, signal: AbortSignal): Promise<Reached> {
  const { connection, channel } = await porch.line(caller, signal);
  connection.greeting();
  return { connection, channel, address: { host: connection.remote, port: DEFAULT_PORT } };
}

/** The first address that answers with the right key. Others are somebody else's by now. */
export async function dialTarget(
  self: Self,
  target: Target,
  way: Way,
  signal: AbortSignal,
): Promise<Reached> {
  const door = way === 'get' ? 'sharer' : 'receiver';
  const { dial } = await import('../net/tls.ts');
  return race(
    target.addresses,
    async (address, one) => {
      const connection = await dial(address, self.identity, one, door);
      if (target.id === undefined || connection.peer === target.id)
        return { connection, channel: new Channel('chooser', connection), address };
      connection.destroy();
      throw new DropError('wrong-peer');
    },
    { signal, discard: ({ connection }) => connection.destroy() },
  );
}
