import { mkdir, rm } from 'node:fs/promises';
import { BlockList, isIP, SocketAddress } from 'node:net';
import { join } from 'node:path';
import * as v from 'valibot';
import type { PeerId } from '../events.ts';
import { MAX_PEERS, MAX_PLACES_MET } from '../limits.ts';
import { diskFailure, isSystemError } from './failure.ts';
import { Gate } from './gate.ts';
import { PeerFolder } from './peer-folder.ts';
import { readPrivate, Unfit, writePrivate } from './private.ts';
import { syncFolder } from './sync.ts';

/** Where a peer was met: an IP address, scoped (`fe80::1%eth0`) if link-local, and a port. */
interface Address {
  readonly host: string;
  readonly port: number;
}

/** A peer, and where it was met, the latest first. */
interface Remembered {
  readonly id: PeerId;
  readonly addresses: readonly Address[];
}

/** Opens the book of addresses in `home`. */
export async function openBook(home: string): Promise<Book> {
  const folder = join(home, 'addresses');
  await unlessDiskFails(mkdir(folder, { recursive: true, mode: 0o700 }), undefined);
  return new Book(folder);
}

/**
 * Where peers were met last, one file each. What is remembered is a courtesy: what cannot be read
 * is unknown, what cannot be written is not remembered. Several processes may use it at once.
 *
 * There is no secret in it, but it tells in which networks this computer was with whom, and when:
 * so it is for nobody else to read, and goes when the device is forgotten. Nor does it prove
 * anything: whoever could change it could make us dial any address, where only the key counts.
 */
export class Book {
  readonly #folder: PeerFolder;
  readonly #turn = new Gate(1);

  constructor(folder: string) {
    this.#folder = new PeerFolder(folder);
  }

  /** All who were met, the latest first. */
  async all(): Promise<readonly Remembered[]> {
    const met: { readonly id: PeerId; readonly meetings: readonly Meeting[] }[] = [];
    for (const id of (await unlessDiskFails(this.#folder.ids(), [])).slice(0, MAX_PEERS))
      met.push({ id, meetings: await this.#meetings(id) });
    const latest = ({ meetings: [first] }: (typeof met)[number]): string => first?.at ?? '';
    return met
      .filter(({ meetings }) => meetings.length > 0)
      .sort((a, b) => latest(b).localeCompare(latest(a)))
      .map(({ id, meetings }) => ({ id, addresses: meetings.map(addressOf) }));
  }

  /**
   * A peer has just proven its key at this address. Says nothing of an address that leads to one
   * machine only if it is the asking one (loopback), or to none.
   */
  async met(id: PeerId, { host, port }: Address): Promise<void> {
    const place = { host: spelling(host), port };
    if (!v.is(Place, place)) return;
    await this.#turn.enter();
    try {
      await unlessDiskFails(this.#note(id, place), undefined);
    } finally {
      this.#turn.leave();
    }
  }

  async forget(id: PeerId): Promise<void> {
    const path = this.#folder.file(id);
    try {
      await rm(path, { force: true });
      await syncFolder(this.#folder.path);
    } catch (error) {
      if (!isSystemError(error, 'ENOENT', 'ENOTDIR')) throw diskFailure(error, path);
    }
  }

  async #note(id: PeerId, place: Address): Promise<void> {
    let found = await this.#read(id);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (isFresh(found.meetings, place)) return;
      if (found.replace === false && (await this.#folder.ids()).length >= MAX_PEERS) return;
      const others = found.meetings.filter((other) => !isSame(other, place));
      const meeting = { ...place, at: new Date().toISOString() };
      const meetings = [meeting, ...others].slice(0, MAX_PLACES_MET);
      const text = `${JSON.stringify({ v: 1, id, meetings })}\n`;
      if (await writePrivate(this.#folder.file(id), text, { replace: found.replace })) return;
      const now = await this.#read(id);
      // Another process has forgotten the peer meanwhile, which is not to be undone.
      if (found.replace !== false && now.replace === false) return;
      found = now;
    }
  }

  async #meetings(id: PeerId): Promise<readonly Meeting[]> {
    return unlessDiskFails(
      this.#read(id).then(({ meetings }) => meetings),
      [],
    );
  }

  /** What is known of a peer, and what may take its place: see `writePrivate`. */
  async #read(id: PeerId): Promise<{
    readonly meetings: readonly Meeting[];
    readonly replace: boolean | { readonly text: string };
  }> {
    try {
      const text = await readPrivate(this.#folder.file(id), MAX_RECORD);
      const meetings = parse(text, id);
      return meetings ? { meetings, replace: { text } } : { meetings: [], replace: true };
    } catch (error) {
      if (error instanceof Unfit) return { meetings: [], replace: true };
      if (isSystemError(error, 'ENOENT')) return { meetings: [], replace: false };
      throw error;
    }
  }
}

async function unlessDiskFails<T>(work: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (isSystemError(error)) return otherwise;
    throw error;
  }
}

/** For so many milliseconds nothing is written of a peer that comes again: it wears the disk. */
const FRESH = 3_600_000;

/** How often a record is made anew from what another process has put in its place meanwhile. */
const MAX_ATTEMPTS = 4;

/** Whether the last meeting at this place is so fresh. One in the future was by a wrong clock. */
function isFresh(meetings: readonly Meeting[], place: Address): boolean {
  const last = meetings.find((other) => isSame(other, place));
  return last !== undefined && Math.abs(Date.now() - Date.parse(last.at)) < FRESH;
}

function isSame(a: Address, b: Address): boolean {
  return a.host === b.host && a.port === b.port;
}

function addressOf({ host, port }: Address): Address {
  return { host, port };
}

/**
 * The one way to write an address that is worth remembering: no name, not one for many machines,
 * for none, or for the asking one. Link-local ones have a scope, others none.
 */
function spelling(host: string): string | undefined {
  const [bare = '', zone = ''] = host.split('%', 2);
  const isV6 = bare.includes(':');
  if (isIP(bare) === 0 || NO_PEER.check(bare, isV6 ? 'ipv6' : 'ipv4')) return undefined;
  if (!isV6) return bare;
  const short = new SocketAddress({ address: bare, family: 'ipv6' }).address;
  if (!/^fe[89ab]/.test(short)) return /^::ffff:([\d.]+)$/.exec(short)?.[1] ?? short;
  return ZONE.test(zone) ? `${short}%${zone}` : undefined;
}

/** What an interface is called; Linux and macOS take at most 15 bytes, Windows has numbers. */
const ZONE = /^[!-~]{1,32}$/;

/** This network, loopback, and multicast with all beyond it. Dressed as IPv6 they count, too. */
const NO_PEER = new BlockList();
NO_PEER.addSubnet('0.0.0.0', 8);
NO_PEER.addSubnet('127.0.0.0', 8);
NO_PEER.addSubnet('224.0.0.0', 3);
NO_PEER.addSubnet('::', 127, 'ipv6');
NO_PEER.addSubnet('ff00::', 8, 'ipv6');

/** Several times what eight addresses take. */
const MAX_RECORD = 8192;

const Place = v.strictObject({
  host: v.pipe(
    v.string(),
    v.check((host) => spelling(host) === host),
  ),
  port: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535)),
});

const Meeting = v.strictObject({
  ...Place.entries,
  at: v.pipe(v.string(), v.isoTimestamp(), v.check(isTime)),
});
type Meeting = Readonly<v.InferOutput<typeof Meeting>>;

const PeerRecord = v.strictObject({
  v: v.literal(1),
  id: v.string(),
  meetings: v.pipe(v.array(Meeting), v.maxLength(MAX_PLACES_MET)),
});

/** Whether it is written as we write times, which can be put in order as they are. */
function isTime(text: string): boolean {
  const time = Date.parse(text);
  return !Number.isNaN(time) && new Date(time).toISOString() === text;
}

/** What a record says, if it is one of this peer's. */
function parse(text: string, id: PeerId): readonly Meeting[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const result = v.safeParse(PeerRecord, value);
  return result.success && result.output.id === id ? result.output.meetings : undefined;
}
