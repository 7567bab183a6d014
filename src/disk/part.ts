import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  futimesSync,
  openSync,
  write,
  writeSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import { DropError } from '../errors.ts';
import { equal } from '../protocol/bytes.ts';
import type { DigestName } from '../protocol/message.ts';
import { isSystemError } from './failure.ts';
import type { Handles } from './handles.ts';
import type { Hasher, Hashers } from './hashers.ts';
import type { Mark } from './mark.ts';
import { openOwn } from './own.ts';
import { NO_FOLLOW } from './platform.ts';
import type { Syncs } from './sync.ts';

/** What a file or a folder has beside its bytes and its name. */
export interface Attributes {
  /** Permission bits, exactly as they shall be. */
  readonly mode: number;
  /** Milliseconds since 1970. */
  readonly mtime: number;
}

/** The start of a file that lies in a part, and the state of its hash after these bytes. */
export interface Start {
  readonly size: number;
  readonly hash: Hasher;
}

/**
 * The bytes of one file on their way to the disk, in a file of their own that nobody else sees.
 * They are gathered in slots: while one is written and hashed, the next one is filled.
 */
export class Part {
  readonly path: string;
  readonly #pool: PartPool;
  /** What lay in it when it began. */
  readonly #from: number;
  readonly #name: DigestName;
  /** Of what was written, unless nothing was; or the digest at once, of what was written in one. */
  #hash: Hasher | undefined;
  #whole: Uint8Array | undefined;
  #file: number | undefined;
  /** The slot that is being filled, how far, and where in the file it will lie. */
  #slot: Buffer | undefined;
  #filled = 0;
  #offset: number;
  #written: number;
  #writing: Promise<void> | undefined;
  #sealing: Promise<boolean> | undefined;
  /** The system could not sync it: what is read of it need not be on the disk. */
  #doubtful = false;
  #ended = false;

  /** A new one, or one that goes on after what lies in it. `name`: what it is told by. */
  constructor(path: string, pool: PartPool, name: DigestName, start?: Start) {
    this.path = path;
    this.#pool = pool;
    this.#name = name;
    this.#from = start?.size ?? 0;
    this.#hash = start?.hash;
    this.#offset = this.#from;
    this.#written = this.#from;
  }

  /** How many bytes lie in the file. */
  get written(): number {
    return this.#written;
  }

  /** Copies the bytes. What fails on the disk may be thrown by a later call. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      if (this.#ended) throw new DropError('disconnected');
      this.#slot ??= this.#pool.takeSlot();
      const fitting = bytes.subarray(at, at + SLOT - this.#filled);
      this.#slot.set(fitting, this.#filled);
      this.#filled += fitting.length;
      at += fitting.length;
      if (this.#filled === SLOT) await this.#flush();
    }
  }

  /** Writes what is left, and syncs it if it is what was sent; else it says false. */
  seal(digest: Uint8Array, attributes: Attributes, mark?: Mark): Promise<boolean> {
    this.#sealing = this.#seal(digest, attributes, mark);
    return this.#sealing;
  }

  /**
   * Ends it, and leaves the file as it is. Says what is in it, if that is known without reading
   * it again. Safe to call twice.
   */
  async keep(): Promise<Start | undefined> {
    if (this.#ended) return undefined;
    await this.#sealing?.catch(() => {}); // Whoever sealed it learns of that.
    if (this.#doubtful) {
      await this.discard();
      return undefined;
    }
    const whole = this.#sealing === undefined && (await this.#isFlushed());
    if (!(await this.#end())) await removeOwn(this.path);
    else if (whole) return { size: this.#written, hash: this.#hashed };
    return undefined;
  }

  /** Ends it, and removes the file if that can be. Safe to call twice. */
  async discard(): Promise<void> {
    if (this.#ended) return;
    await this.#end();
    await removeOwn(this.path);
  }

  /** Returns what `#close` does. */
  async #end(): Promise<boolean> {
    this.#ended = true;
    // A handle must not be closed while the system still works with it.
    await Promise.allSettled([this.#writing, this.#sealing]);
    if (this.#slot !== undefined) this.#pool.giveSlot(this.#slot);
    this.#slot = undefined;
    return this.#close();
  }

  async #isFlushed(): Promise<boolean> {
    try {
      if (this.#filled > 0) await this.#flush();
      await this.#writing;
      return true;
    } catch {
      return false; // The disk may be full. What is written is kept all the same.
    }
  }

  async #seal(digest: Uint8Array, attributes: Attributes, mark?: Mark): Promise<boolean> {
    if (this.#filled > 0) await this.#flush(true);
    await this.#writing;
    if (!equal(this.#whole ?? this.#hashed.digest(), digest)) return false;
    const file = this.#file ?? (await this.#open());
    // First, as it may change the time of the file.
    await mark?.(this.path);
    setAttributes(file, attributes);
    this.#doubtful = true;
    await this.#pool.syncs.file(file);
    this.#doubtful = false;
    this.#close();
    return true;
  }

  get #hashed(): Hasher {
    this.#hash ??= this.#pool.hashers.begin(this.#name);
    return this.#hash;
  }

  /** Begins to write the slot, as soon as the one before it is written. */
  async #flush(last = false): Promise<void> {
    await this.#writing;
    const slot = this.#slot as Buffer;
    const bytes = slot.subarray(0, this.#filled);
    this.#writing = this.#append(bytes, this.#offset, last).finally(() =>
      this.#pool.giveSlot(slot),
    );
    this.#writing.catch(() => {}); // Whoever needs the next one written, awaits it.
    this.#offset += bytes.length;
    this.#slot = undefined;
    this.#filled = 0;
  }

  async #append(bytes: Buffer, offset: number, last: boolean): Promise<void> {
    const file = this.#file ?? (await this.#open());
    if (bytes.length <= SMALL) {
      // Handing so little to another thread takes longer than writing it.
      writeAtOnce(file, bytes, offset);
      // Most files are small: to begin and to end a hash takes as long as to hash one.
      if (last && offset === 0) this.#whole = this.#pool.hashers.of(this.#name, bytes);
      else this.#hashed.update(bytes);
    } else {
      const written = writeAll(file, bytes, offset);
      this.#hashed.update(bytes); // At the same time.
      await written;
    }
    this.#written = offset + bytes.length;
  }

  async #open(): Promise<number> {
    this.#file = await this.#pool.handles.open(() => {
      if (this.#from > 0) return openOwn(this.path, constants.O_RDWR);
      return create(this.path);
    });
    if (this.#from > 0) {
      if (fstatSync(this.#file).size < this.#from) throw new DropError('corrupt');
      // What was added after it was read is not known.
      ftruncateSync(this.#file, this.#from);
    }
    return this.#file;
  }

  /** Says false if not all that was written is there; but what was synced is. */
  #close(): boolean {
    const file = this.#file;
    if (file === undefined) return true;
    this.#file = undefined;
    this.#pool.handles.closed();
    return closeWritten(file);
  }
}

/** What the parts of one inbox share. */
export class PartPool {
  readonly handles: Handles;
  readonly syncs: Syncs;
  readonly hashers: Hashers;
  readonly #spare: Buffer[] = [];

  constructor(handles: Handles, syncs: Syncs, hashers: Hashers) {
    this.handles = handles;
    this.syncs = syncs;
    this.hashers = hashers;
  }

  takeSlot(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(SLOT);
  }

  giveSlot(slot: Buffer): void {
    if (this.#spare.length < SPARE_SLOTS) this.#spare.push(slot);
  }
}

/**
 * Sets what an open file or folder shall have. Some disks have no permissions, or no times
 * before 1980; what they cannot keep is not worth losing the file for.
 */
export function setAttributes(file: number, { mode, mtime }: Attributes): void {
  const time = new Date(storedTime(mtime));
  try {
    fchmodSync(file, mode);
  } catch (error) {
    ensureImpossible(error);
  }
  try {
    futimesSync(file, time, time);
  } catch (error) {
    ensureImpossible(error);
  }
}

function ensureImpossible(error: unknown): void {
  if (!isSystemError(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL')) throw error;
}

/** What becomes of a time that was offered, in milliseconds since 1970. */
export function storedTime(mtime: number): number {
  return Math.min(Math.max(mtime, FIRST_TIME), LAST_TIME);
}

/** Closes what was written to. Some disks only now find no room for it, and say so: then it says false. */
export function closeWritten(file: number): boolean {
  try {
    closeSync(file);
    return true;
  } catch (error) {
    if (isSystemError(error) && error.code !== 'EBADF') return false;
    throw error;
  }
}

/** Opens a new file for writing. Nothing may lie there, a link least of all. */
export function create(path: string): number {
  return openSync(path, constants.O_CREAT | constants.O_EXCL | constants.O_RDWR | NO_FOLLOW, 0o600);
}

/** Removes it, if that can be. */
export async function removeOwn(path: string): Promise<void> {
  await rm(path, { force: true }).catch((error) => {
    if (!isSystemError(error)) throw error;
  });
}

/** Writes all bytes without another thread. */
export function writeAtOnce(file: number, bytes: Uint8Array, offset: number): void {
  for (let at = 0; at < bytes.length; )
    at += writeSync(file, bytes, at, bytes.length - at, offset + at);
}

async function writeAll(file: number, bytes: Buffer, offset: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const rest = bytes.length - at;
    at += (await writeSome(file, bytes, at, rest, offset + at)).bytesWritten;
  }
}

const writeSome = promisify(write);

/** Bytes that are gathered before they are written: few system calls, little memory. */
const SLOT = 1024 * 1024;

/** Up to here a file is written without another thread. */
const SMALL = 256 * 1024;

/** Slots that are kept for the next file. Two serve one file; more are for many at once. */
const SPARE_SLOTS = 6;

/** The years 1 to 9999, in milliseconds since 1970. What a peer says beyond them is no time. */
const FIRST_TIME = -62_135_596_800_000;
const LAST_TIME = 253_402_300_799_999;
