import { open } from 'node:fs/promises';
import { isSystemError } from './failure.ts';
import { Gate } from './gate.ts';
import { Handles } from './handles.ts';

/**
 * Makes the names in a folder durable, where the system can: Windows cannot, nor can some disks
 * on the network.
 */
export async function syncFolder(path: string, handles = new Handles()): Promise<void> {
  try {
    const folder = await handles.open(() => open(path, 'r'));
    try {
      await folder.sync();
    } finally {
      await folder.close();
      handles.closed();
    }
  } catch (error) {
    if (process.platform === 'win32' && isSystemError(error, 'EPERM', 'EISDIR', 'EACCES')) return;
    if (isSystemError(error, 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS')) return;
    throw error;
  }
}

/**
 * Makes names durable for many at once: whoever asks while a folder is being synced shares the
 * next sync of it with all the others that do.
 */
export class FolderSync {
  readonly #running = new Map<string, Promise<void>>();
  readonly #next = new Map<string, Promise<void>>();
  /** More at once would not make the disk any faster. */
  readonly #gate = new Gate(16);
  readonly #handles: Handles;

  constructor(handles: Handles) {
    this.#handles = handles;
  }

  /** Resolves once every name made in the folder before the call is durable. */
  sync(path: string): Promise<void> {
    const planned = this.#next.get(path);
    if (planned !== undefined) return planned;
    const next = this.#after(this.#running.get(path), path);
    this.#next.set(path, next);
    return next;
  }

  async #after(running: Promise<void> | undefined, path: string): Promise<void> {
    await running?.catch(() => {}); // Whoever asked for that one learns of it.
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
