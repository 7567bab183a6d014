import { connect, isIPv4, type Socket } from 'node:net';
import type { Address } from './addresses.ts';
import {
  type Link,
  type LinkOptions,
  listLinks,
  ownAddresses,
  virtualInterfaces,
} from './links.ts';
import { DEFAULT_PORT } from './ports.ts';

export interface ScanOptions extends LinkOptions {
  /** Ends the scan, and what it has open. */
  readonly signal?: AbortSignal | undefined;
  /** Hears what is going to be scanned, and what is not. */
  readonly onPlan?: (plan: ScanPlan) => void;
}

/** Which hosts are scanned. */
export interface ScanPlan {
  /** The networks that they are all of, as `192.168.1.0/24`; the likeliest first. */
  readonly networks: readonly string[];
  readonly hosts: readonly string[];
  /** Own networks that are too large, so only a part of them is above, or too many. */
  readonly beyond: readonly string[];
}

/**
 * Finds where something listens that may be a peer, where no multicast gets through: dials every
 * other address of the own IPv4 networks once, as fast as the addresses are read. What it yields
 * accepted a connection, which was closed at once, and has proven nothing yet. Networks inside
 * this machine and tunnels are left out unless their interfaces are named. Throws `usage` like
 * `listLinks`; aborted, it ends as if there were no more.
 */
export async function* scan(options: ScanOptions = {}): AsyncGenerator<Address, void> {
  const { interfaces, signal, onPlan, system } = options;
  const leftOut = interfaces?.length ? new Set<string>() : virtualInterfaces(system);
  const links = listLinks(options).filter(({ name }) => !leftOut.has(name));
  const plan = planScan(links, ownAddresses(system));
  onPlan?.(plan);

  const waiting = plan.hosts.map((host) => ({ host, port: DEFAULT_PORT }));
  const dialling = new Set<Promise<void>>();
  const open = new Set<Socket>();
  const found: Address[] = [];
  const dial = async (address: Address): Promise<void> => {
    const answer = await dialOnce(address, open);
    if (answer === 'accepted') found.push(address);
    if (answer === 'silence' || address.port !== DEFAULT_PORT) return;
    waiting.unshift(...OTHER_PORTS.map((port) => ({ ...address, port })));
  };
  const closeAll = (): void => {
    for (const socket of open) socket.destroy();
  };

  signal?.addEventListener('abort', closeAll);
  try {
    while (!signal?.aborted) {
      for (const address of waiting.splice(0, MAX_AT_ONCE - dialling.size)) {
        const one: Promise<void> = dial(address).finally(() => dialling.delete(one));
        dialling.add(one);
      }
      const address = found.shift();
      if (address) yield address;
      else if (dialling.size > 0) await Promise.race(dialling);
      else return;
    }
  } finally {
    signal?.removeEventListener('abort', closeAll);
    closeAll();
    await Promise.all(dialling);
  }
}

/**
 * All other hosts of the networks of these links. Of a network that is larger than `MAX_HOSTS`,
 * those around our own address.
 */
export function planScan(links: readonly Link[], own: ReadonlySet<string>): ScanPlan {
  const outside = links.filter(({ loopback }) => !loopback).flatMap(({ networks }) => networks);
  const parts = new Map<string, readonly string[]>();
  const beyond = new Set<string>();
  for (const { address, prefix } of outside.filter((network) => isIPv4(network.address))) {
    const { network, part, hosts } = around(address, prefix);
    const others = hosts.filter((host) => !own.has(host));
    if (others.length === 0) continue;
    if (parts.size < MAX_NETWORKS) parts.set(part, others);
    if (network !== part || !parts.has(part)) beyond.add(network);
  }
  return {
    networks: [...parts.keys()],
    hosts: [...new Set([...parts.values()].flat())],
    beyond: [...beyond],
  };
}

/** Where the second and third process of a machine listen; dialled if that answered at the first. */
const OTHER_PORTS = [DEFAULT_PORT + 1, DEFAULT_PORT + 2];

/** Connections that are being opened at once; each asks everybody in the network for one host. */
const MAX_AT_ONCE = 64;

/** Milliseconds in which a host of the own network answers, that question (ARP) included. */
const PATIENCE = 500;

/** Bounds how long a scan takes, about two seconds for each. */
const MAX_NETWORKS = 4;

/** Of one network: a /24. */
const MAX_HOSTS = 256;

/** What came of one connection; `silence` is also what only our own system had to say. */
type Answer = 'accepted' | 'refused' | 'silence';

/** Resolves when nothing of the connection is left; it is among `open` until then. */
function dialOnce(address: Address, open: Set<Socket>): Promise<Answer> {
  return new Promise((resolve) => {
    let answer: Answer = 'silence';
    const socket = connect(address);
    open.add(socket);
    // Where this computer was held up, what has answered meanwhile is heard before that.
    socket.setTimeout(PATIENCE, () => setImmediate(() => socket.destroy()));
    socket.once('connect', () => {
      answer = 'accepted';
      socket.destroy();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') answer = 'refused';
    });
    socket.once('close', () => {
      open.delete(socket);
      resolve(answer);
    });
  });
}

/** The network of an address, the part of it that is scanned, and the hosts in that part. */
function around(address: string, prefix: number) {
  const number = toNumber(address);
  const size = 2 ** (32 - prefix);
  const partSize = Math.min(size, MAX_HOSTS);
  const first = number - (number % size);
  const firstOfPart = number - (number % partSize);
  // The first stands for the network and the last for all in it, if it has more than two (RFC 3021).
  const isHost = (n: number): boolean => size <= 2 || (n !== first && n !== first + size - 1);
  return {
    network: `${toAddress(first)}/${prefix}`,
    part: `${toAddress(firstOfPart)}/${32 - Math.log2(partSize)}`,
    hosts: Array.from({ length: partSize }, (_, i) => firstOfPart + i)
      .filter(isHost)
      .map(toAddress),
  };
}

function toNumber(address: string): number {
  return address.split('.').reduce((number, byte) => number * 256 + Number(byte), 0);
}

function toAddress(number: number): string {
  return [24, 16, 8, 0].map((bits) => (number >>> bits) & 255).join('.');
}
