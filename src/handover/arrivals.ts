import { basename, sep } from 'node:path';
import { type Arrival, History } from '../disk/history.ts';
import { DropError } from '../errors.ts';
import type { GetEvent, ReceiveEvent, UnrecordedEvent } from '../events.ts';
import { MAX_ARRIVAL_ROOTS } from '../limits.ts';
import { clip, MAX_FILE_NAME } from '../protocol/names.ts';

type Emit<Event> = (event: Event) => void;

/**
 * Writes down what arrives: listens to the events of all transfers, and remembers each one that
 * ends. That it cannot be written is no reason for anything to fail, and said once.
 */
export class Arrivals {
  readonly #history: History;
  /** Of each transfer that runs: where it lands, and what of it is at the top there. */
  readonly #running = new Map<string, Landed>();
  readonly #writing = new Set<Promise<void>>();
  #failed = false;

  constructor(home: string) {
    this.#history = new History(home);
  }

  /** A transfer is about to land in this folder. */
  begin(transfer: string, into: string): void {
    this.#running.set(transfer, { into, roots: new Set() });
  }

  hear(event: ReceiveEvent | GetEvent, emit: Emit<UnrecordedEvent>): void {
    switch (event.event) {
      case 'saved': {
        const landed = this.#running.get(event.transfer);
        if (landed) note(landed, rootIn(landed.into, event.path));
        break;
      }
      case 'skipped': {
        const landed = this.#running.get(event.transfer);
        // Where it lies is not told, but nearly always it is under this name.
        const isHere = event.reason === 'unchanged' || event.reason === 'identical';
        if (landed && isHere) note(landed, firstOf(event.path, '/'));
        break;
      }
      case 'summary': {
        const landed = this.#running.get(event.transfer);
        this.#running.delete(event.transfer);
        // What never began to land left nothing.
        if (landed === undefined) break;
        const { transfer, peer, ok, files, bytes, code } = event;
        const sums = { transfer, peer, ok, files, bytes, ...(code && { code }) };
        const roots = Array.from(landed.roots, (root) => clip(root, MAX_FILE_NAME));
        this.#write({ at: new Date().toISOString(), ...sums, roots, into: landed.into }, emit);
        break;
      }
    }
  }

  /** All is written that there was to write. */
  async close(): Promise<void> {
    await Promise.all(this.#writing);
  }

  #write(arrival: Arrival, emit: Emit<UnrecordedEvent>): void {
    const writing = this.#history
      .add(arrival)
      .catch((error: unknown) => {
        if (!(error instanceof DropError)) throw error;
        if (!this.#failed) emit({ event: 'unrecorded', code: error.code, message: error.message });
        this.#failed = true;
      })
      .finally(() => this.#writing.delete(writing));
    this.#writing.add(writing);
  }
}

interface Landed {
  readonly into: string;
  readonly roots: Set<string>;
}

function note({ roots }: Landed, root: string): void {
  if (roots.size < MAX_ARRIVAL_ROOTS) roots.add(root);
}

/** What of a path lies directly in a folder. There may be a million of them. */
function rootIn(folder: string, path: string): string {
  const base = folder.endsWith(sep) ? folder : folder + sep;
  return path.startsWith(base) ? firstOf(path.slice(base.length), sep) : basename(path);
}

function firstOf(path: string, separator: string): string {
  const end = path.indexOf(separator);
  return end < 0 ? path : path.slice(0, end);
}
