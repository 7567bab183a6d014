import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { PeerId } from '../events.ts';
import { isPeerId } from '../peer-id.ts';

/** A folder with a file for each peer, so that a damaged one costs one peer. */
export class PeerFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** The file of a peer, whether it exists or not. */
  file(id: PeerId): string {
    // The type says it, but this becomes a path, and what it names is read, written and removed.
    if (!isPeerId(id)) throw new TypeError('not a peer id');
    return join(this.path, id + ENDING);
  }

  /** The peers that have a file, in the order of their ids. */
  async ids(): Promise<PeerId[]> {
    return (await readdir(this.path))
      .filter((name) => name.endsWith(ENDING))
      .map((name) => name.slice(0, -ENDING.length))
      .filter(isPeerId)
      .sort();
  }
}

const ENDING = '.json';
