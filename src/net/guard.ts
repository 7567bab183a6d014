import { createSocket, type Socket } from 'node:dgram';
import { canonical, isLoopback, onLink } from './addresses.ts';
import { type Clock, systemClock } from './clock.ts';
import type { Link } from './links.ts';

/** Why a packet was dropped before anybody decoded it. */
export type DropReason = 'port' | 'off-link' | 'size' | 'questions' | 'records' | 'rate';

/** RFC 6762, 11: multicast DNS comes from this port; anything else is no member of the group. */
const MDNS_PORT = 5353;

/** A header, and nothing but it. */
const MIN_PACKET = 12;

/** An honest answer fits one Ethernet frame; decoding takes time that grows with the size. */
export const MAX_PACKET = 4096;

/** Each question may be answered by a packet of its own: bounds what one packet makes us say. */
const MAX_QUESTIONS = 20;

/** Records are compared pair by pair when an answer is put together. */
const MAX_RECORDS = 128;

/** What a link may cost: this much at once, and as much again every second. */
export const RATE = 200;

/** Decoding takes longer the bigger a packet is; this many bytes cost as much as one question. */
const BYTES_PER_TOKEN = 512;

/** What is left of a link's `RATE`; `judge` keeps it up to date. */
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
): DropReason | null {
  if (port !== MDNS_PORT) return 'port';
  if (!near(address)) return 'off-link';
  if (packet.length < MIN_PACKET || packet.length > MAX_PACKET) return 'size';
  const [questions = 0, ...records] = [4, 6, 8, 10].map((at) => uint16(packet, at));
  if (questions > MAX_QUESTIONS) return 'questions';
  if (records.reduce((sum, count) => sum + count) > MAX_RECORDS) return 'records';
  bucket.tokens = Math.min(RATE, bucket.tokens + ((now - bucket.at) * RATE) / 1000);
  bucket.at = now;
  const cost = 1 + questions + Math.floor(packet.length / BYTES_PER_TOKEN);
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

/** A socket for one link that drops hostile and foreign packets before they are decoded. */
export function guardedSocket(link: Link, clock: Clock = systemClock): Guarded {
  const v6 = link.family === 'IPv6';
  const socket = createSocket({ type: v6 ? 'udp6' : 'udp4', reuseAddr: true, ipv6Only: v6 });
  const near = neighbours(link);
  const bucket: Bucket = { tokens: RATE, at: clock.now() };
  const dropped = new Map<DropReason, number>();

  // The decoder listens for 'message' by itself, so the event is the only place to step in.
  const emit = socket.emit.bind(socket) as (event: string, ...details: unknown[]) => boolean;
  socket.emit = (event: string, ...details: unknown[]): boolean => {
    if (event === 'message') {
      const [packet, { address, port }] = details as [
        Uint8Array,
        { address: string; port: number },
      ];
      const reason = judge({ packet, address, port }, near, bucket, clock.now());
      if (reason) {
        dropped.set(reason, (dropped.get(reason) ?? 0) + 1);
        return true;
      }
    }
    return emit(event, ...details);
  };
  return { socket, dropped };
}

function uint16(packet: Uint8Array, at: number): number {
  return ((packet[at] ?? 0) << 8) | (packet[at + 1] ?? 0);
}
