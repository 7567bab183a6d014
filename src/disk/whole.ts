import { rmSync } from 'node:fs';
import { DropError } from '../errors.ts';
import { equal } from '../protocol/bytes.ts';
import type { FileEntry } from '../protocol/manifest.ts';
import type { DigestName } from '../protocol/message.ts';
import type { WholeFile } from '../transfer/inbox.ts';
import { isSystemError } from './failure.ts';
import {
  type Attributes,
  closeWritten,
  create,
  type PartPool,
  setAttributes,
  writeAtOnce,
} from './part.ts';

/**
 * A small file that came as a whole, on its way to the disk, in a file of its own that nobody else
 * sees. What has to be done for it takes less time than another thread would.
 */
export class Whole {
  readonly entry: FileEntry;
  readonly size: number;
  readonly digest: Uint8Array;
  readonly path: string;
  readonly #pool: PartPool;
  #file: number | undefined;

  constructor({ entry, bytes, digest }: WholeFile, path: string, pool: PartPool) {
    this.entry = entry;
    this.size = bytes.length;
    this.digest = digest;
    this.path = path;
    this.#pool = pool;
  }

  /**
   * Writes all of it; says false, and does nothing, if no more files may be open just now. Throws
   * `corrupt` if it is not what was sent, as `name` tells.
   */
  write(bytes: Uint8Array, name: DigestName): boolean {
    this.#file = this.#pool.handles.openAtOnce(() => create(this.path));
    if (this.#file === undefined) return false;
    writeAtOnce(this.#file, bytes, 0);
    if (!equal(this.#pool.hashers.of(name, bytes), this.digest))
      throw new DropError('corrupt', { path: this.entry.path });
    return true;
  }

  /** Makes what was written durable. Returns nothing where there is nothing to wait for. */
  seal(attributes: Attributes): Promise<void> | undefined {
    const file = this.#file as number;
    setAttributes(file, attributes);
    const { syncs } = this.#pool;
    if (!syncs.inMemory) return syncs.file(file).finally(() => this.#close());
    this.#close();
    return undefined;
  }

  /** Removes it, if that can be. */
  discard(): void {
    this.#close();
    try {
      rmSync(this.path, { force: true });
    } catch (error) {
      if (!isSystemError(error)) throw error;
    }
  }

  /** What matters was synced. */
  #close(): void {
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    this.#pool.handles.closed();
    closeWritten(file);
  }
}
