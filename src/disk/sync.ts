import { constants, fsync } from 'node:fs';
import { open, statfs } from 'node:fs/promises';
import { promisify } from 'node:util';
import { isSystemError } from './failure.ts';
import { Gate } from './gate.ts';
import { Handles } from './handles.ts';
import { NO_WAIT, ONLY_FOLDERS } from './platform.ts';

/**
 * Makes the names in a folder durable, where the system can: Windows cannot, nor can some disks
 * on the network.
 */
export async function syncFolder(path: string, handles = new Handles()): Promise<void> {
  try {
    const folder = await handles.open(() => open(path, FOLDER));
    try {
      await folder.sync();
    } finally {
      await folder.close();
      handles.closed();
    }
  } catch (error) {
    if (!isImpossible(error)) throw error;
  }
}

/**
 * Makes files and names durable, many at once. On a disk a sync is left to other threads, and those
 * that are asked for together share a write of the disk's log. In memory there is nothing to do: to
 * ask another thread to do that would take as long as all the rest of a small file.
 */
export class Syncs {
  readonly #handles: Handles;
  /** Whether there is nothing to wait for. */
  readonly inMemory: boolean;
  readonly #running = new Map<string, Promise<void>>();
  readonly #next = new Map<string, Promise<void>>();
  /** More at once would not make the disk any faster. */
  readonly #gate = new Gate(16);

  constructor(handles: Handles, { inMemory = false } = {}) {
    this.#handles = handles;
    this.inMemory = inMemory;
  }

  /** Resolves when what an open file has is durable. */
  async file(file: number): Promise<void> {
    if (!this.inMemory) await syncFile(file);
  }

  /**
   * Resolves once every name made in the folder before the call is durable. Whoever asks in the
   * same turn, or while it is being synced, shares the next sync with all others that do.
   */
  folder(path: string): Promise<void> {
    if (this.inMemory) return DONE;
    const planned = this.#next.get(path);
    if (planned !== undefined) return planned;
    const next = this.#after(this.#running.get(path), path);
    this.#next.set(path, next);
    return next;
  }

  async #after(running: Promise<void> | undefined, path: string): Promise<void> {
    if (running === undefined) await new Promise((resolve) => setImmediate(resolve));
    else await running.catch(() => {}); // As above.
    await this.#gate.enter();
    const next = this.#next.get(path) as Promise<void>;
    this.#next.delete(path);
    this.#running.set(path, next);
    try {
      await syncFolder(path, this.#handles);
    } finally {
      this.#gate.leave();
      if (this.#running.get(path) === next) this.#running.delete(path);
    }
  }
}

/** Whether what lies in a folder is gone when the machine is switched off, whatever is done. */
export async function isInMemory(folder: string): Promise<boolean> {
  if (process.platform !== 'linux') return false;
  return (await statfs(folder)).type === TMPFS;
}

/** To wait for the other end of a pipe that somebody has put there would take a thread for ever. */
const FOLDER = constants.O_RDONLY | ONLY_FOLDERS | NO_WAIT;

function isImpossible(error: unknown): boolean {
  if (process.platform === 'win32' && isSystemError(error, 'EPERM', 'EISDIR', 'EACCES'))
    return true;
  return isSystemError(error, 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS');
}

const syncFile = promisify(fsync);

const DONE = Promise.resolve();

/** What Linux calls a file system in memory (statfs(2)). */
const TMPFS = 0x0102_1994;
