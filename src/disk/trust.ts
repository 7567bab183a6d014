import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { DropError } from '../errors.ts';
import type { Device, PeerId } from '../events.ts';
import { isPeerId } from '../peer-id.ts';
import { MAX_DEVICE_NAME } from '../protocol/limits.ts';
import { clip, forTerminal } from '../protocol/names.ts';
import { diskFailure, isSystemError } from './failure.ts';
import { readPrivate, Unfit, writePrivate } from './private.ts';
import { syncFolder } from './sync.ts';

/** A peer we paired with, as we remember it. */
export interface KnownPeer extends Device {
  /** Unlike any other's when it is stored: a second "Ana" becomes "Ana (2)". */
  readonly name: string;
  /** How it proved who it is. */
  readonly via: 'code';
  /** What we do when it offers something: ask, accept, or not even listen. */
  readonly trust: 'ask' | 'auto' | 'blocked';
  /** ISO 8601, UTC. */
  readonly firstSeen: string;
  readonly lastSeen: string;
}

/** More than anyone meets; bounds what is read to find one of them. */
const MAX_PEERS = 1000;

/** Opens the trust store in `home`. */
export async function openTrustStore(home: string): Promise<TrustStore> {
  const folder = join(home, 'peers');
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw diskFailure(error, folder);
  }
  return new TrustStore(folder);
}

/**
 * The peers we paired with, one file each, so that a damaged one costs one peer: it is unknown
 * then and needs the code again. Nothing is held in memory: another process may use it too.
 */
export class TrustStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async get(id: PeerId): Promise<KnownPeer | undefined> {
    const path = this.#pathOf(id);
    try {
      return parse(await readPrivate(path, MAX_RECORD), id);
    } catch (error) {
      if (error instanceof Unfit || isSystemError(error, 'ENOENT')) return undefined;
      throw diskFailure(error, path);
    }
  }

  /** All of them, in the order of their names. */
  async all(): Promise<KnownPeer[]> {
    const peers: KnownPeer[] = [];
    for (const id of (await this.#ids()).slice(0, MAX_PEERS)) {
      const peer = await this.get(id);
      if (peer) peers.push(peer);
    }
    return peers.sort((a, b) => a.name.localeCompare(b.name) || (a.id < b.id ? -1 : 1));
  }

  /**
   * Remembers a peer that has just proven itself by a code. Name and trust of one that we know
   * already stay as they are.
   */
  async add({ id, name }: Device): Promise<KnownPeer> {
    const now = new Date().toISOString();
    const known = await this.get(id);
    if (known) return this.#write({ ...known, lastSeen: now });
    const ids = await this.#ids();
    if (ids.length >= MAX_PEERS && !ids.includes(id))
      throw new DropError('not-permitted', {
        message: `No more than ${MAX_PEERS} devices can be remembered.`,
        hint: 'Forget some: drop forget NAME',
      });
    const free = await this.#freeName(tidy(name) || id.slice(0, 8));
    return this.#write({
      id,
      name: free,
      via: 'code',
      trust: 'ask',
      firstSeen: now,
      lastSeen: now,
    });
  }

  /** A peer was here again. Says nothing of one that is unknown. */
  async seen(id: PeerId): Promise<void> {
    const known = await this.get(id);
    if (known) await this.#write({ ...known, lastSeen: new Date().toISOString() });
  }

  async setTrust(id: PeerId, trust: KnownPeer['trust']): Promise<KnownPeer> {
    return this.#write({ ...(await this.#known(id)), trust });
  }

  /** Throws `exists` if another peer is called that. */
  async rename(id: PeerId, to: string): Promise<KnownPeer> {
    const known = await this.#known(id);
    const name = tidy(to);
    if (name === '') throw new DropError('usage', { message: 'A device needs a name.' });
    const others = (await this.all()).filter((peer) => peer.id !== id);
    if (others.some((peer) => sameName(peer.name, name)))
      throw new DropError('exists', { message: `Another device is called "${name}".` });
    return this.#write({ ...known, name });
  }

  async forget(id: PeerId): Promise<void> {
    const path = this.#pathOf(id);
    try {
      await rm(path, { force: true });
      await syncFolder(this.#folder);
    } catch (error) {
      throw diskFailure(error, path);
    }
  }

  /**
   * The one peer that `text` means: its name, its id, or at least six digits that its id starts
   * with. Throws `not-found`, or `ambiguous` with the ids of all that it could mean.
   */
  async find(text: string): Promise<KnownPeer> {
    const id = text.toLowerCase();
    // A peer may call itself by the first digits of another, so these count no less than a name.
    const found = (await this.all()).filter(
      (peer) => sameName(peer.name, text) || (ID_START.test(id) && peer.id.startsWith(id)),
    );
    const [peer, ...others] = found;
    const shown = forTerminal(text);
    if (peer === undefined)
      throw new DropError('not-found', {
        message: `No known device is called "${shown}".`,
        hint: 'See: drop peers',
      });
    if (others.length > 0)
      throw new DropError('ambiguous', {
        message: `"${shown}" can mean ${found.map((one) => `${one.name} (${one.id})`).join(', ')}.`,
      });
    return peer;
  }

  async #known(id: PeerId): Promise<KnownPeer> {
    const known = await this.get(id);
    if (known) return known;
    throw new DropError('not-found', {
      message: `No known device has the id ${id}.`,
      hint: 'See: drop peers',
    });
  }

  async #freeName(name: string): Promise<string> {
    const taken = (await this.all()).map((peer) => peer.name);
    for (let n = 1; ; n++) {
      const mark = n === 1 ? '' : ` (${n})`;
      const free = clip(name, MAX_DEVICE_NAME - mark.length) + mark;
      if (!taken.some((other) => sameName(other, free))) return free;
    }
  }

  async #write(peer: KnownPeer): Promise<KnownPeer> {
    const path = this.#pathOf(peer.id);
    try {
      await writePrivate(path, `${JSON.stringify({ v: 1, ...peer })}\n`, { replace: true });
    } catch (error) {
      throw diskFailure(error, path);
    }
    return peer;
  }

  async #ids(): Promise<PeerId[]> {
    try {
      const names = await readdir(this.#folder);
      return names
        .filter((name) => name.endsWith('.json'))
        .map((name) => name.slice(0, -'.json'.length))
        .filter(isPeerId)
        .sort();
    } catch (error) {
      throw diskFailure(error, this.#folder);
    }
  }

  #pathOf(id: PeerId): string {
    // The type says it, but this becomes a path, and what it names is read, written and removed.
    if (!isPeerId(id)) throw new TypeError('not a peer id');
    return join(this.#folder, `${id}.json`);
  }
}

/** As many digits as nobody types by chance. */
const ID_START = /^[0-9a-f]{6,64}$/;

/** Several times what one record takes. */
const MAX_RECORD = 4096;

const Record = v.strictObject({
  v: v.literal(1),
  id: v.pipe(v.string(), v.check(isPeerId)),
  name: v.pipe(v.string(), v.minLength(1), v.maxBytes(MAX_DEVICE_NAME)),
  via: v.literal('code'),
  trust: v.picklist(['ask', 'auto', 'blocked']),
  firstSeen: v.pipe(v.string(), v.isoTimestamp()),
  lastSeen: v.pipe(v.string(), v.isoTimestamp()),
});

/** What a record says, if it is one of this peer's. */
function parse(text: string, id: PeerId): KnownPeer | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const result = v.safeParse(Record, value);
  if (!result.success || result.output.id !== id) return undefined;
  const { name, via, trust, firstSeen, lastSeen } = result.output;
  return { id, name, via, trust, firstSeen, lastSeen };
}

/** A name as it is stored: one visible line. */
function tidy(name: string): string {
  return clip(forTerminal(name).replace(/\s+/gu, ' ').trim(), MAX_DEVICE_NAME).trim();
}

function sameName(a: string, b: string): boolean {
  return fold(a) === fold(b);
}

function fold(name: string): string {
  return name.normalize('NFC').toLowerCase();
}
