import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync } from 'node:fs';
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
  fill(left: number): void {
    for (let tries = 0; tries < TRIES; tries++) {
      const { bavail, bsize } = statfsSync(this.path);
      const size = bavail * bsize - left;
      if (size <= 0) return;
      const { status } = spawnSync('fallocate', ['--length', String(size), this.#filler]);
      if (status === 0) return;
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

/** Others may take of the same room meanwhile. */
const TRIES = 5;
