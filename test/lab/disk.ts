import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { open, statfs } from 'node:fs/promises';
import { join } from 'node:path';

/** A small disk in memory, mounted at `path`. Needs root and `mount`. */
export class Disk implements Disposable {
  readonly path: string;
  /** An empty folder on it. */
  readonly folder: string;

  constructor(path: string, size: number) {
    this.path = path;
    this.folder = join(path, 'folder');
    mkdirSync(path);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path]);
    mkdirSync(this.folder);
  }

  /** Somebody else takes everything but so many bytes, until `empty`. */
  async fill(left: number): Promise<void> {
    await using filler = await open(this.#filler, 'a');
    try {
      for (;;) {
        const { bavail, bsize } = await statfs(this.path);
        const size = Math.min(bavail * bsize - left, BLOCK.length);
        if (size <= 0) return;
        await filler.write(BLOCK, 0, size);
      }
    } catch (error) {
      // Others may have taken the rest.
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }

  /** Takes away what `fill` has made. */
  empty(): void {
    rmSync(this.#filler, { force: true });
  }

  [Symbol.dispose](): void {
    // Whoever still uses it does not keep it in the way.
    execFileSync('umount', ['--lazy', this.path]);
  }

  get #filler(): string {
    return join(this.path, 'filler');
  }
}

const BLOCK = Buffer.alloc(4 * 1024 * 1024);
