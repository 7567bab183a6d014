import { createSocket, type Socket } from 'node:dgram';
import {
  MAX_PACKET,
  MAX_PACKETS_WAITING,
  MAX_QUESTIONS,
  MAX_RECORDS,
  PACKET_RATE,
} from '../limits.ts';
import { canonical, isLoopback, onLink } from './addresses.ts';
import { type Clock, systemClock } from './clock.ts';
import type { Link } from './links.ts';

/** Why a packet was dropped before anybody decoded it. */
export type DropReason = 'port' | 'off-link' | 'size' | 'questions' | 'records' | 'kind' | 'rate';

/** The packets that matter to whoever listens: those that ask, those that answer, or none. */
export type Kind = 'questions' | 'answers' | 'none';

/** RFC 6762, 11: multicast DNS comes from this port; anything else is no member of the group. */
export const MDNS_PORT = 5353;

/**
 * What a question from another port costs, in tokens: it is answered by a packet to there, which is
 * larger, and whoever forges the source could have it sent to a neighbour.
 */
const ELSEWHERE = 10;

/** A header, and nothing but it. */
const MIN_PACKET = 12;

/** Decoding takes longer the bigger a packet is; this many bytes cost as much as one question. */
const BYTES_PER_TOKEN = 512;

/**
 * Milliseconds that decoding may take in one turn of the event loop, which hands us up to 32 packets
 * of a socket at once; the others wait for the next. A transfer may run in the same process.
 */
const TURN = 5;

/** What is left of a link's `PACKET_RATE`; `judge` keeps it up to date. */
export interface Bucket {
  tokens: number;
  /** Milliseconds, when `tokens` was right. */
  at: number;
}

/** What is known of a packet without decoding it. */
export interface Arrival {
  readonly packet: Uint8Array;
  /** Its source; scoped if it is link-local. */
  readonly address: string;
  readonly port: number;
}

/**
 * Whether a packet may be decoded: null, or why not. The sockets of all links hear what comes
 * in on any of them, so `near` has to know the link's own neighbours.
 */
export function judge(
  { packet, address, port }: Arrival,
  near: (address: string) => boolean,
  bucket: Bucket,
  now: number,
  kind?: Kind,
): DropReason | null {
  const elsewhere = port !== MDNS_PORT;
  if (elsewhere && kind !== 'questions') return 'port';
  if (!near(address)) return 'off-link';
  if (packet.length < MIN_PACKET || packet.length > MAX_PACKET) return 'size';
  if (kind !== undefined && kind !== kindOf(packet)) return 'kind';
  const [questions = 0, ...records] = [4, 6, 8, 10].map((at) => uint16(packet, at));
  if (questions > MAX_QUESTIONS) return 'questions';
  if (records.reduce((sum, count) => sum + count) > MAX_RECORDS) return 'records';
  bucket.tokens = Math.min(PACKET_RATE, bucket.tokens + ((now - bucket.at) * PACKET_RATE) / 1000);
  bucket.at = now;
  const cost =
    (1 + questions + Math.floor(packet.length / BYTES_PER_TOKEN)) * (elsewhere ? ELSEWHERE : 1);
  if (bucket.tokens < cost) return 'rate';
  bucket.tokens -= cost;
  return null;
}

/** Whether a source is a neighbour on this link: in its subnets, or this very machine on `lo`. */
export function neighbours(link: Link): (address: string) => boolean {
  return link.loopback ? (address) => isLoopback(canonical(address)) : onLink(link);
}

export interface Guarded {
  /** Not bound yet; whoever listens on it hears only what passed. */
  readonly socket: Socket;
  /** How many packets were dropped so far, by reason. */
  readonly dropped: ReadonlyMap<DropReason, number>;
}

export interface GuardOptions {
  /** The only kind of packets to let through, if one is named. */
  readonly kind?: Kind | undefined;
  /** Hears where each packet comes from that is one of this link's group, whatever is in it. */
  readonly onArrival?: ((address: string) => void) | undefined;
  readonly clock?: Clock;
}

/** A socket for one link that drops hostile and foreign packets before they are decoded. */
export function guardedSocket(link: Link, options: GuardOptions = {}): Guarded {
  const { kind, onArrival, clock = systemClock } = options;
  const v6 = link.family === 'IPv6';
  const socket = createSocket({ type: v6 ? 'udp6' : 'udp4', reuseAddr: true, ipv6Only: v6 });
  const near = neighbours(link);
  const bucket: Bucket = { tokens: PACKET_RATE, at: clock.now() };
  const dropped = new Map<DropReason, number>();
  const drop = (reason: DropReason) => dropped.set(reason, (dropped.get(reason) ?? 0) + 1);
  const waiting: unknown[][] = [];
  let spent = 0;
  let isPlanned = false;

  // The decoder listens for 'message' by itself, so the event is the only place to step in.
  const emit = socket.emit.bind(socket) as (event: string, ...details: unknown[]) => boolean;
  const hand = (details: unknown[]): void => {
    const start = clock.now();
    emit('message', ...details);
    spent += clock.now() - start;
  };
  const nextTurn = (): void => {
    spent = 0;
    isPlanned = false;
    while (spent < TURN) {
      const details = waiting.shift();
      if (details === undefined) return;
      hand(details);
    }
    planNextTurn();
  };
  const planNextTurn = (): void => {
    if (isPlanned) return;
    isPlanned = true;
    setImmediate(nextTurn);
  };

  socket.emit = (event: string, ...details: unknown[]): boolean => {
    if (event !== 'message') return emit(event, ...details);
    const [packet, source] = details as [Uint8Array, { address: string; port: number }];
    const { address, port } = source;
    const reason = judge({ packet, address, port }, near, bucket, clock.now(), kind);
    if (reason !== 'port' && reason !== 'off-link') onArrival?.(address);
    if (reason) drop(reason);
    else if (spent < TURN && waiting.length === 0) hand(details);
    else if (waiting.length < MAX_PACKETS_WAITING) waiting.push(details);
    else drop('rate');
    planNextTurn();
    return true;
  };
  socket.once('close', () => {
    waiting.length = 0;
  });
  return { socket, dropped };
}

/** RFC 1035, 4.1.1: the first bit of the third byte tells an answer. */
function kindOf(packet: Uint8Array): Kind {
  return ((packet[2] ?? 0) & 0x80) === 0 ? 'questions' : 'answers';
}

function uint16(packet: Uint8Array, at: number): number {
  return ((packet[at] ?? 0) << 8) | (packet[at + 1] ?? 0);
}
