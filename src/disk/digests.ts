import { type BigIntStats, closeSync, constants, fstatSync, openSync, read } from 'node:fs';
import { promisify } from 'node:util';
import { DropError } from '../errors.ts';
import type { DigestName } from '../protocol/message.ts';
import { isSystemError } from './failure.ts';
import { Gate } from './gate.ts';
import type { Handles } from './handles.ts';
import type { Hasher, Hashers } from './hashers.ts';
import { openOwn } from './own.ts';
import type { Start } from './part.ts';
import { NO_FOLLOW, NO_WAIT } from './platform.ts';

/**
 * Tells what is in files that lie here. Few are read at a time: more would not make the disk any
 * faster, and others want to use it, too.
 */
export class Digests {
  readonly #gate = new Gate(READ_AT_ONCE);
  readonly #handles: Handles;
  readonly #hashers: Hashers;
  /** What is known already, the oldest first. */
  readonly #known = new Map<string, Uint8Array>();

  constructor(handles: Handles, hashers: Hashers) {
    this.#handles = handles;
    this.#hashers = hashers;
  }

  /**
   * Of a regular file; undefined if it is none, cannot be read, or changes meanwhile, or if `gone` is
   * aborted before.
   */
  of(path: string, name: DigestName, gone?: AbortSignal): Promise<Uint8Array | undefined> {
    const flags = constants.O_RDONLY | NO_FOLLOW | NO_WAIT;
    return this.#opened(
      () => openSync(path, flags),
      (file) => this.#read(file, name, gone),
    );
  }

  /** What lies in a part that we made earlier; undefined if that is nothing to go on with, or `gone` is aborted. */
  startOf(
    path: string,
    most: number,
    name: DigestName,
    gone?: AbortSignal,
  ): Promise<Start | undefined> {
    return this.#opened(
      () => openOwn(path, constants.O_RDONLY),
      async (file) => {
        const { size } = fstatSync(file);
        const hash =
          size > most ? undefined : await hashStart(file, size, this.#hashers.begin(name), gone);
        return hash && { size, hash };
      },
    );
  }

  async #opened<T>(open: () => number, read: (file: number) => Promise<T>): Promise<T | undefined> {
    await this.#gate.enter();
    try {
      const file = await this.#handles.open(open);
      try {
        return await read(file);
      } finally {
        closeSync(file);
        this.#handles.closed();
      }
    } catch (error) {
      if (isSystemError(error) || error instanceof DropError) return undefined;
      throw error;
    } finally {
      this.#gate.leave();
    }
  }

  async #read(
    file: number,
    name: DigestName,
    gone: AbortSignal | undefined,
  ): Promise<Uint8Array | undefined> {
    const before = fstatSync(file, { bigint: true });
    if (!before.isFile()) return undefined;
    const version = versionOf(before);
    const key = [name, version].join();
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const hash = await hashStart(file, Number(before.size), this.#hashers.begin(name), gone);
    if (hash === undefined || versionOf(fstatSync(file, { bigint: true })) !== version)
      return undefined;
    const digest = new Uint8Array(hash.digest());
    this.#remember(key, digest);
    return digest;
  }

  #remember(key: string, digest: Uint8Array): void {
    this.#known.set(key, digest);
    if (this.#known.size <= REMEMBERED) return;
    const oldest = this.#known.keys().next();
    if (!oldest.done) this.#known.delete(oldest.value);
  }
}

async function hashStart(
  file: number,
  size: number,
  hash: Hasher,
  gone: AbortSignal | undefined,
): Promise<Hasher | undefined> {
  const block = Buffer.allocUnsafeSlow(Math.min(BLOCK, Math.max(1, size)));
  for (let at = 0; at < size; ) {
    const length = Math.min(block.length, size - at);
    const { bytesRead } = await readSome(file, block, 0, length, at);
    if (bytesRead === 0 || gone?.aborted) return undefined;
    hash.update(block.subarray(0, bytesRead));
    at += bytesRead;
  }
  return hash;
}

/** Another one after every change of the file, as far as its disk can tell. */
function versionOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join();
}

const readSome = promisify(read);

/** Bytes that are hashed at a time; a millisecond or two, so that nothing else has to wait. */
const BLOCK = 1024 * 1024;

/** Files that are read at the same time. */
const READ_AT_ONCE = 2;

/** Digests that are remembered, so that a file is not read again when another gets its name. */
const REMEMBERED = 1000;
