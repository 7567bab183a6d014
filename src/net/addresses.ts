import { BlockList, isIP, isIPv6 as nodeIsIPv6, SocketAddress } from 'node:net';
import { DropError } from '../errors.ts';
import { type Clock, systemClock } from './clock.ts';
import type { Link } from './links.ts';

/** Where a process can be dialled: a name or an IP address, scoped (`fe80::1%eth0`) if need be. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** `host:port`, or `[v6%scope]:port`. */
export function formatAddress({ host, port }: Address): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Of `host:port`, the one that a person finds again on another screen most easily. */
export function legible(addresses: readonly string[]): string | undefined {
  return addresses.find((address) => !address.startsWith('[')) ?? addresses[0];
}

/**
 * What a person typed: HOST, HOST:PORT, [V6]:PORT, or a bare IPv6 address. Undefined if it can
 * be none of them; whether a host of that name exists is another question.
 */
export function parseAddress(text: string): { host: string; port?: number } | undefined {
  if (isIPv6(text)) return { host: text };
  const [, bracketed, name, digits] = /^(?:\[(.+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? name ?? '';
  if (bracketed === undefined ? !isHostName(host) : !isIPv6(host)) return undefined;
  if (digits === undefined) return { host };
  const port = Number(digits);
  return port >= 1 && port <= 65535 ? { host, port } : undefined;
}

/** As Node tells it; but to make that ready takes 5 ms, and most that is asked about has no colons. */
function isIPv6(text: string): boolean {
  return text.split(':', 3).length === 3 && nodeIsIPv6(text);
}

/** Labels of at most 63 characters, in any script (RFC 1123; resolvers encode the rest). */
function isHostName(text: string): boolean {
  const labels = text.replace(/\.$/, '').split('.');
  return text.length <= 253 && labels.every((label) => LABEL.test(label));
}

const LABEL = /^(?!-)[\p{L}\p{M}\p{N}_-]{1,63}(?<!-)$/u;

/** What an announcement said of where its process can be reached, and where it came from. */
export interface Whereabouts {
  /** The source of the packet, scoped if link-local. */
  readonly from: string;
  /** The addresses inside it, anything at all. */
  readonly addresses: readonly string[];
}

/** Where it was heard. */
export interface Vantage {
  readonly link: Link;
  /** `onLink` of that link. */
  readonly near: (address: string) => boolean;
  /** The addresses of this machine, in the spelling of `canonical`. */
  readonly own: ReadonlySet<string>;
}

/** Bounds how many connections one announcement can make us open. */
export const MAX_CANDIDATES = 8;

/**
 * The addresses worth dialling, best first: the source of the packet, which is on this link for
 * certain; then what lies in the link's subnets; then the rest. Our own addresses lead to us
 * alone (172.17.0.1 exists everywhere), so they count only if the packet came from one.
 */
export function candidates(
  { from, addresses }: Whereabouts,
  { link, near, own }: Vantage,
): string[] {
  const here = own.has(canonical(from));
  const usable = [from, ...addresses]
    .filter((address) => isIP(address) !== 0 && !isDeadEnd(address, link.loopback))
    .filter((address) => here || !own.has(canonical(address)))
    .map((address) => withZone(address, link));
  const ranked = [
    ...usable.filter((address) => canonical(address) === canonical(from)).slice(0, 1),
    ...usable.filter(near),
    ...usable.filter((address) => !near(address)),
  ];
  return [...new Set(ranked)].slice(0, MAX_CANDIDATES);
}

/** Whether an address lies in one of the subnets of a link; link-local ones by their scope. */
export function onLink(link: Link): (address: string) => boolean {
  const subnets = new BlockList();
  for (const { address, prefix } of link.networks)
    if (!isLinkLocal(address)) subnets.addSubnet(address, prefix, familyOf(address));
  return (address) =>
    isLinkLocal(address)
      ? address.endsWith(`%${link.zone}`)
      : isIP(address) !== 0 && subnets.check(canonical(address), familyOf(canonical(address)));
}

/** One spelling for each IP address: no scope, lower case, IPv4 never dressed as IPv6. */
export function canonical(address: string): string {
  const bare = address.replace(/%.*$/s, '');
  if (!isIPv6(bare)) return bare;
  const short = new SocketAddress({ address: bare, family: 'ipv6' }).address;
  return /^::ffff:([\d.]+)$/.exec(short)?.[1] ?? short;
}

export interface RaceOptions<T> {
  /** Milliseconds until the next candidate starts although the one before still runs. */
  readonly stagger?: number;
  /** Milliseconds that one attempt may take. */
  readonly limit?: number;
  readonly signal?: AbortSignal | undefined;
  /** Takes what succeeded although it had lost, to close it. */
  readonly discard?: (late: T) => void;
  readonly clock?: Clock;
}

/**
 * Attempts all candidates, the first ones first, and resolves with the first success (like
 * Happy Eyeballs, RFC 8305); the others are aborted. If all fail, rejects with the `DropError`
 * that tells most, which is `unreachable` if none says more.
 */
export function race<C, T>(
  entrants: readonly C[],
  attempt: (candidate: C, signal: AbortSignal) => Promise<T>,
  options: RaceOptions<T> = {},
): Promise<T> {
  const { stagger = 150, limit = 2000, signal, discard, clock = systemClock } = options;
  return new Promise((resolve, reject) => {
    const waiting = [...entrants];
    const running = new Set<AbortController>();
    const failures: unknown[] = [];
    let finished = false;
    let holdNext = () => {};

    const finish = (settle: () => void) => {
      finished = true;
      holdNext();
      signal?.removeEventListener('abort', stop);
      settle();
      for (const one of running) one.abort();
    };
    const stop = () => finish(() => reject(signal?.reason));

    const startNext = () => {
      holdNext();
      const [candidate] = waiting.splice(0, 1);
      if (candidate === undefined) {
        if (running.size === 0) finish(() => reject(mostTelling(failures)));
        return;
      }
      const one = new AbortController();
      running.add(one);
      const fail = (error: unknown) => {
        stopLimit();
        if (!running.delete(one) || finished) return;
        failures.push(error);
        startNext();
      };
      const stopLimit = clock.after(limit, () => {
        one.abort();
        fail(new DropError('unreachable'));
      });
      one.signal.addEventListener('abort', stopLimit);
      if (waiting.length > 0) holdNext = clock.after(stagger, startNext);
      Promise.resolve()
        .then(() => attempt(candidate, one.signal))
        .then((result) => {
          stopLimit();
          if (!running.delete(one) || finished) discard?.(result);
          else finish(() => resolve(result));
        }, fail);
    };

    if (signal?.aborted) return stop();
    signal?.addEventListener('abort', stop);
    startNext();
  });
}

/** A peer that answered wrongly tells more than a closed port, and that more than silence. */
function mostTelling(failures: readonly unknown[]): DropError {
  const told = failures.filter((error) => error instanceof DropError);
  const telling =
    told.find(({ code }) => code !== 'unreachable') ??
    told.find(({ cause }) => cause !== undefined) ??
    told[0];
  return telling ?? new DropError('unreachable', { cause: failures[0] });
}

/** Never the address of one process: this-network, multicast, reserved and broadcast. */
const NOWHERE = new BlockList();
NOWHERE.addSubnet('0.0.0.0', 8);
NOWHERE.addSubnet('224.0.0.0', 3);
NOWHERE.addAddress('::', 'ipv6');
NOWHERE.addSubnet('ff00::', 8, 'ipv6');

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8);
LOOPBACK.addAddress('::1', 'ipv6');

/** Whether an address can only be that of the asking machine itself. */
export function isLoopback(address: string): boolean {
  const bare = canonical(address);
  return LOOPBACK.check(bare, familyOf(bare));
}

function isDeadEnd(address: string, loopback: boolean): boolean {
  const bare = canonical(address);
  return NOWHERE.check(bare, familyOf(bare)) || (!loopback && isLoopback(bare));
}

/** A link-local address without a scope says nothing; the packet's link is the one meant. */
function withZone(address: string, link: Link): string {
  return isLinkLocal(address) ? `${canonical(address)}%${link.zone}` : canonical(address);
}

/** Whether an address is one of IPv6 that means something else on each link. */
export function isLinkLocal(address: string): boolean {
  return /^fe[89ab][0-9a-f]:/i.test(address);
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv6(address) ? 'ipv6' : 'ipv4';
}
