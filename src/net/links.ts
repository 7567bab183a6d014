import { readFileSync } from 'node:fs';
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import { DropError } from '../errors.ts';
import { canonical, isLoopback } from './addresses.ts';
import { type Clock, systemClock } from './clock.ts';

/** One address family of one network interface: what discovery speaks and listens on. */
export interface Link {
  /** Another one as soon as anything about it changes, or the interface was made anew. */
  readonly key: string;
  /** The interface as the system calls it: `eth0`, `Wi-Fi`. */
  readonly name: string;
  readonly family: 'IPv4' | 'IPv6';
  /** The address to speak from; for IPv6 the link-local one, without its scope. */
  readonly address: string;
  /** What follows `%` in a scoped address: the interface's name, on Windows its number. */
  readonly zone: string;
  /** All addresses of the interface, of both families, with their prefix lengths. */
  readonly networks: readonly { readonly address: string; readonly prefix: number }[];
  readonly loopback: boolean;
}

export interface LinkOptions {
  /** The only interfaces to use, if any are named; also ones that are left out otherwise. */
  readonly interfaces?: readonly string[] | undefined;
  readonly system?: System;
}

/** What is asked of the operating system. */
export interface System {
  interfaces(): NodeJS.Dict<NetworkInterfaceInfo[]>;
  /** The number of an interface, 0 if unknown; another one when the interface is made anew. */
  index(name: string): number;
  /** The interface that leads to the rest of the world, if that is known. */
  defaultRoute(): string | undefined;
}

/** Each one costs a socket and is spoken on at every round; a server may have hundreds. */
export const MAX_LINKS = 32;

/**
 * The links to use, the likeliest to lead to a peer first. Loopback is one of them when nothing
 * else is up, or when it is named. Throws `usage` if an interface is named that is not there.
 */
export function listLinks(options: LinkOptions = {}): Link[] {
  const { interfaces, system = SYSTEM } = options;
  const there = Object.keys(system.interfaces());
  const missing = interfaces?.find((name) => !there.includes(name));
  if (missing !== undefined)
    throw new DropError('usage', {
      message: `There is no interface "${missing}" that is up.`,
      hint: `There is: ${there.join(', ')}`,
    });
  return currentLinks(options);
}

export interface FollowOptions extends LinkOptions {
  /** Milliseconds between two looks. */
  readonly every?: number;
  readonly clock?: Clock | undefined;
}

/**
 * Calls `onChange` with all links now, and with what came and went whenever that changes, until
 * closed. After a sleep all of them are removed and added again: memberships and neighbours may
 * be gone without any other sign. Throws `usage` like `listLinks`.
 */
export function followLinks(
  onChange: (added: readonly Link[], removed: readonly Link[]) => void,
  options: FollowOptions = {},
): { close(): void } {
  const { every = 1000, clock = systemClock } = options;
  let links = listLinks(options);
  let looked = 0;
  let cancel = () => {};

  const lookAgain = () => {
    looked = clock.date();
    cancel = clock.after(every, () => {
      const slept = Math.abs(clock.date() - looked - every) > SLEEP;
      const before = links;
      links = lookedUp(() => currentLinks(options)) ?? before;
      const added = slept ? links : without(links, before);
      const removed = slept ? before : without(before, links);
      lookAgain();
      if (added.length > 0 || removed.length > 0) onChange(added, removed);
    });
  };

  lookAgain();
  onChange(links, []);
  return { close: () => cancel() };
}

/** Undefined if the system cannot tell just now, for want of handles: that is no change. */
export function lookedUp<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) return undefined;
    throw error;
  }
}

/** A date that leapt by more than this many milliseconds between two looks means sleep. */
const SLEEP = 10_000;

function without(links: readonly Link[], others: readonly Link[]): Link[] {
  return links.filter((link) => !others.some(({ key }) => key === link.key));
}

/** Every address of this machine, in the spelling of `canonical`. */
export function ownAddresses(system: System = SYSTEM): Set<string> {
  const interfaces = lookedUp(() => system.interfaces()) ?? {};
  return new Set(
    Object.values(interfaces).flatMap((infos = []) =>
      infos.map(({ address }) => canonical(address)),
    ),
  );
}

/** Whether an address, scoped or dressed as IPv6 or not, is one of this machine's own. */
export function isOwnAddress(address: string, system: System = SYSTEM): boolean {
  return isLoopback(address) || ownAddresses(system).has(canonical(address));
}

/** The interfaces that lead to networks inside this machine, or through a tunnel. */
export function virtualInterfaces(system: System = SYSTEM): Set<string> {
  return interfacesThat((name, infos) => INSIDE.test(name) || isTunnel(name, infos), system);
}

/** The interfaces that lead through a tunnel: most often a VPN. */
export function tunnelInterfaces(system: System = SYSTEM): Set<string> {
  return interfacesThat(isTunnel, system);
}

function interfacesThat(
  test: (name: string, infos: readonly NetworkInterfaceInfo[]) => boolean,
  system: System,
): Set<string> {
  const interfaces = lookedUp(() => system.interfaces()) ?? {};
  const those = Object.entries(interfaces).filter(([name, infos = []]) => test(name, infos));
  return new Set(those.map(([name]) => name));
}

/** Whether an address of ours belongs to one of the named interfaces, if any are named. */
export function isAmong(local: string, interfaces: readonly string[] | undefined): boolean {
  if (interfaces === undefined || interfaces.length === 0) return true;
  const links = lookedUp(() => currentLinks({ interfaces })) ?? [];
  const networks = links.flatMap((link) => link.networks);
  return networks.some(({ address }) => canonical(address) === canonical(local));
}

/** Like `listLinks`, but of the named interfaces those that are up. */
export function currentLinks({ interfaces, system = SYSTEM }: LinkOptions = {}): Link[] {
  const named = interfaces?.length ? interfaces : undefined;
  const wanted = (name: string) => named?.includes(name) ?? !LEFT_OUT.test(name);
  const route = system.defaultRoute();
  const rank = ([name, infos = []]: [string, NetworkInterfaceInfo[] | undefined]) => {
    if (isTunnel(name, infos)) return 3;
    if (name === route) return 0;
    return INSIDE.test(name) ? 2 : 1;
  };
  const links = Object.entries(system.interfaces())
    .filter(([name]) => wanted(name))
    .sort((a, b) => rank(a) - rank(b))
    .flatMap(([name, infos = []]) => linksOf(name, infos, system));
  const outside = links.filter((link) => !link.loopback);
  return (named || outside.length === 0 ? links : outside).slice(0, MAX_LINKS);
}

/** Apple's peer-to-peer radio links and tunnels: no peers there, and speaking on them costs. */
const LEFT_OUT = /^(?:awdl|llw|utun)\d/;

/** Networks inside this machine: peers are there too, but after the others. */
const INSIDE = /^(?:docker|br-|cni|lxc|podman|veth|virbr|vmnet|vboxnet|vEthernet)/;

/** Peers are seldom there, and last, even where a VPN has taken the default route. */
function isTunnel(name: string, infos: readonly NetworkInterfaceInfo[]): boolean {
  const bare = infos.every(({ mac, internal }) => !internal && mac === NO_MAC);
  return bare || /^(?:tun|tap|wg|zt|tailscale)/.test(name);
}

/** Of what has no neighbours, only another end: most tunnels, whatever they are called. */
const NO_MAC = '00:00:00:00:00:00';

function linksOf(name: string, infos: readonly NetworkInterfaceInfo[], system: System): Link[] {
  const v4 = infos.find(({ family }) => family === 'IPv4');
  const v6 = infos.find((info) => info.family === 'IPv6' && info.scopeid !== 0 && !info.internal);
  const scope = v6?.family === 'IPv6' ? v6.scopeid : 0;
  const index = scope || system.index(name);
  const networks = infos.flatMap(({ address, cidr }) =>
    cidr ? [{ address, prefix: Number(cidr.split('/')[1]) }] : [],
  );
  const addresses = networks.map(({ address, prefix }) => `${address}/${prefix}`).sort();
  return [v4, v6].flatMap((info) =>
    info
      ? {
          key: [info.family, name, index, ...addresses].join(' '),
          name,
          family: info.family,
          address: info.address,
          zone: process.platform === 'win32' ? String(index) : name,
          networks,
          loopback: info.internal,
        }
      : [],
  );
}

export const SYSTEM: System = {
  interfaces: networkInterfaces,
  index: (name) => Number(readLinux(`/sys/class/net/${name}/ifindex`)),
  // Columns: interface, destination, …; a destination of zeros is the default route.
  defaultRoute: () => /^(\S+)\t00000000\t/m.exec(readLinux('/proc/net/route'))?.[1],
};

/**
 * A file that only Linux has; empty elsewhere, and where the interface has just gone. Without
 * handles nobody knows what is in it, and that is thrown: emptiness would look like a change.
 */
function readLinux(path: string): string {
  if (process.platform !== 'linux') return '';
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (OUT_OF_HANDLES.has((error as NodeJS.ErrnoException).code)) throw error;
    return '';
  }
}

const OUT_OF_HANDLES: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE']);
