import { mkdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { DropError } from '../errors.ts';
import type { Device, PeerId } from '../events.ts';
import { MAX_DEVICE_NAME, MAX_PEERS } from '../limits.ts';
import { isPeerId } from '../peer-id.ts';
import { canMean, clip, deviceName, forTerminal, sameName } from '../protocol/names.ts';
import { diskFailure, isSystemError } from './failure.ts';
import { Gate } from './gate.ts';
import { PeerFolder } from './peer-folder.ts';
import { readPrivate, Unfit, writePrivate } from './private.ts';
import { syncFolder } from './sync.ts';

/** A peer we paired with, as we remember it. */
export interface KnownPeer extends Device {
  /** Unlike any other's when it is stored: a second "Ana" becomes "Ana (2)". */
  readonly name: string;
  /** How it proved who it is. */
  readonly via: 'code' | 'pin';
  /** What we do when it offers something: ask, accept, or not even listen. */
  readonly trust: 'ask' | 'auto' | 'blocked';
  /** ISO 8601, UTC. */
  readonly firstSeen: string;
  /** Likewise. A copy of the store that does not keep the times of files does not keep this one. */
  readonly lastSeen: string;
}

/** The peers in the trust store in `home`, in the order of their names; none where there is no store. */
export function peersIn(home: string): Promise<KnownPeer[]> {
  return new TrustStore(folderIn(home)).all();
}

/** Opens the trust store in `home`. */
export async function openTrustStore(home: string): Promise<TrustStore> {
  const folder = folderIn(home);
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
 *
 * What a peer can bring about, by coming again, never changes a record: when that was is the
 * file's time. What a person changes goes one after the other, and is only written over what it
 * was made from. What remains: two stores of one folder, in two processes, that add or rename at
 * the same moment can give two peers one name, which then means neither of them (see `find`); and
 * a record that another process removes in the very microseconds in which it is replaced stays.
 */
export class TrustStore {
  readonly #folder: PeerFolder;
  readonly #turn = new Gate(1);

  constructor(folder: string) {
    this.#folder = new PeerFolder(folder);
  }

  async get(id: PeerId): Promise<KnownPeer | undefined> {
    return (await this.#read(id))?.peer;
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
   * Remembers a peer that has just proven itself by a code or PIN. Name and trust of one that we know
   * already stay as they are.
   */
  add(peer: Device, via: KnownPeer['via'] = 'code'): Promise<KnownPeer> {
    return this.#inTurn(() => this.#add(peer, via));
  }

  /** A peer was here again. Says nothing of one that is unknown. */
  async seen(id: PeerId): Promise<void> {
    await this.#setTime(id, new Date());
  }

  /** Throws `not-found` if it is unknown, even if it only just became so. */
  setTrust(id: PeerId, trust: KnownPeer['trust']): Promise<KnownPeer> {
    return this.#inTurn(() => this.#change(id, { trust }));
  }

  /** Throws `exists` if another peer is called that, and `not-found` like `setTrust`. */
  async rename(id: PeerId, to: string): Promise<KnownPeer> {
    const name = deviceName(to);
    if (name === '') throw new DropError('usage', { message: 'A device needs a name.' });
    return this.#inTurn(async () => {
      const others = (await this.all()).filter((peer) => peer.id !== id);
      if (others.some((peer) => sameName(peer.name, name)))
        throw new DropError('exists', { message: `Another device is called "${name}".` });
      return this.#change(id, { name });
    });
  }

  forget(id: PeerId): Promise<void> {
    return this.#inTurn(() => this.#remove(id));
  }

  /**
   * The one peer that `text` means: its name, its id, or at least eight digits that its id starts
   * with; undefined if there is none. Throws `ambiguous` with the ids of all that it could mean.
   */
  async find(text: string): Promise<KnownPeer | undefined> {
    // A peer may call itself by the first digits of another, so these count no less than a name.
    const found = (await this.all()).filter((peer) => canMean(text, peer));
    if (found.length > 1) {
      const list = found.map(({ name, id }) => `${name} (${id.slice(0, 8)})`).join(', ');
      throw new DropError('ambiguous', { message: `"${forTerminal(text)}" can mean ${list}.` });
    }
    return found[0];
  }

  async #add({ id, name }: Device, via: KnownPeer['via']): Promise<KnownPeer> {
    const now = new Date();
    const known = await this.get(id);
    if (known) {
      await this.#setTime(id, now);
      return { ...known, lastSeen: now.toISOString() };
    }
    const ids = await this.#ids();
    if (ids.length >= MAX_PEERS && !ids.includes(id))
      throw new DropError('not-permitted', {
        message: `No more than ${MAX_PEERS} devices can be remembered.`,
        hint: 'Forget some: drop forget NAME',
      });
    const free = await this.#freeName(deviceName(name) || id.slice(0, 8));
    const peer = {
      id,
      name: free,
      via,
      trust: 'ask',
      firstSeen: now.toISOString(),
    } as const;
    if (!(await this.#write(peer, false))) {
      // Another process was faster, and may have been told more since; or it is a damaged one.
      const other = await this.get(id);
      if (other) return other;
      await this.#write(peer, true);
    }
    await this.#setTime(id, now);
    return { ...peer, lastSeen: peer.firstSeen };
  }

  async #change(
    id: PeerId,
    change: Partial<Pick<KnownPeer, 'name' | 'trust'>>,
  ): Promise<KnownPeer> {
    for (;;) {
      const known = await this.#read(id);
      if (known === undefined)
        throw new DropError('not-found', {
          message: `No known device has the id ${id.slice(0, 8)}.`,
          hint: 'See: drop peers',
        });
      const { lastSeen, ...record } = { ...known.peer, ...change };
      if (!(await this.#write(record, { text: known.text }))) continue;
      await this.#setTime(id, new Date(lastSeen));
      return { ...record, lastSeen };
    }
  }

  async #remove(id: PeerId): Promise<void> {
    const path = this.#folder.file(id);
    try {
      await rm(path, { force: true });
      await syncFolder(this.#folder.path);
    } catch (error) {
      throw diskFailure(error, path);
    }
  }

  async #freeName(name: string): Promise<string> {
    const taken = (await this.all()).map((peer) => peer.name);
    for (let n = 1; ; n++) {
      const mark = n === 1 ? '' : ` (${n})`;
      const free = clip(name, MAX_DEVICE_NAME - mark.length).trimEnd() + mark;
      if (!taken.some((other) => sameName(other, free))) return free;
    }
  }

  async #read(id: PeerId): Promise<{ peer: KnownPeer; text: string } | undefined> {
    const path = this.#folder.file(id);
    try {
      const text = await readPrivate(path, MAX_RECORD);
      const { mtime } = await stat(path);
      const record = parse(text, id);
      return record && { peer: { ...record, lastSeen: mtime.toISOString() }, text };
    } catch (error) {
      // One that `sudo drop` has left is not for us to read.
      if (error instanceof Unfit || isSystemError(error, 'ENOENT', 'EACCES')) return undefined;
      throw diskFailure(error, path);
    }
  }

  async #write(
    record: Omit<KnownPeer, 'lastSeen'>,
    replace: boolean | { readonly text: string },
  ): Promise<boolean> {
    const path = this.#folder.file(record.id);
    try {
      return await writePrivate(path, `${JSON.stringify({ v: 1, ...record })}\n`, { replace });
    } catch (error) {
      throw diskFailure(error, path);
    }
  }

  /** When a peer was last seen. */
  async #setTime(id: PeerId, time: Date): Promise<void> {
    const path = this.#folder.file(id);
    try {
      await utimes(path, time, time);
    } catch (error) {
      if (!isSystemError(error, 'ENOENT')) throw diskFailure(error, path);
    }
  }

  async #inTurn<T>(change: () => Promise<T>): Promise<T> {
    await this.#turn.enter();
    try {
      return await change();
    } finally {
      this.#turn.leave();
    }
  }

  async #ids(): Promise<PeerId[]> {
    try {
      return await this.#folder.ids();
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return [];
      throw diskFailure(error, this.#folder.path);
    }
  }
}

function folderIn(home: string): string {
  return join(home, 'peers');
}

/** Several times what one record takes. */
const MAX_RECORD = 4096;

const PeerRecord = v.strictObject({
  v: v.literal(1),
  id: v.pipe(v.string(), v.check(isPeerId)),
  name: v.pipe(v.string(), v.minLength(1), v.maxBytes(MAX_DEVICE_NAME)),
  via: v.picklist(['code', 'pin']),
  trust: v.picklist(['ask', 'auto', 'blocked']),
  firstSeen: v.pipe(v.string(), v.isoTimestamp()),
});

/** What a record says, if it is one of this peer's. */
function parse(text: string, id: PeerId): Omit<KnownPeer, 'lastSeen'> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const result = v.safeParse(PeerRecord, value);
  if (!result.success || result.output.id !== id) return undefined;
  const { name, via, trust, firstSeen } = result.output;
  return { id, name, via, trust, firstSeen };
}
