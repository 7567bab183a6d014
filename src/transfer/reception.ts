import type { ErrorCode } from '../errors.ts';
import { MAX_OPEN_ENTRIES } from '../protocol/limits.ts';
import { type DataEntry, type Entry, hasData, sizeOf } from '../protocol/manifest.ts';
import type { SkipReason } from '../protocol/message.ts';
import { Grant } from './grant.ts';
import type { Inbox } from './receiver.ts';

/** What became of an entry. */
export type Outcome =
  | 'placed'
  | 'stored'
  | { readonly skipped: Exclude<SkipReason, 'stored'> }
  | { readonly failed: ErrorCode };

/**
 * What is received in one transfer, and how far that has come. It outlives connections: when one
 * breaks, the sender offers again what it does not know to be settled, and what was settled here
 * is neither stored nor counted nor asked about twice.
 */
export class Reception {
  /** Names the transfer: 32 hex digits, drawn at random. */
  readonly transfer: string;
  /** How far the yes reaches. */
  readonly grant = new Grant();
  /** The roots that were accepted, once they are. */
  roots: readonly string[] | undefined;
  inbox: Inbox | undefined;
  /** Folders that could not be made: nothing in them can. */
  readonly lost = new Map<string, ErrorCode>();
  /** What was offered so far, each entry counted once: entries, files, and their bytes. */
  entries = 0;
  files = 0;
  bytes = 0;
  /** Whether the bytes are all that there will be; those of a stream come on top. */
  sized = true;
  /**
   * What was settled last. The sender has at most so many entries open, and hears us in order,
   * so it can have missed no others.
   */
  readonly #settled = new Map<string, Outcome>();
  /** What was granted and begun when the connection broke. */
  #begun = new Set<string>();
  /** What was settled before this connection. */
  #before = new Map<string, Outcome>();
  /** Offered in this connection and not settled. */
  #open = new Map<string, Entry>();

  constructor(transfer: string) {
    this.transfer = transfer;
  }

  /** A connection begins; before the first there is nothing to it. */
  connected(): void {
    this.#before = new Map(this.#settled);
  }

  /** The connection is over. These files were begun and not settled. */
  broken(begun: readonly DataEntry[]): void {
    // What was not settled will be offered again, and counted then.
    for (const entry of this.#open.values()) this.#count(entry, -1);
    this.#open.clear();
    this.#begun = new Set(begun.map(keyOf));
  }

  hearOffer(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const key = keyOf(entry);
      if (this.#before.has(key)) continue;
      this.#open.set(key, entry);
      this.#count(entry, 1);
    }
  }

  /** Whether the yes has covered it before the connection broke. */
  isOld(entry: Entry): boolean {
    const key = keyOf(entry);
    return this.#before.has(key) || this.#begun.has(key);
  }

  /** What became of it before the connection broke, if it was settled. */
  outcomeOf(entry: Entry): Outcome | undefined {
    return this.#before.get(keyOf(entry));
  }

  settle(entry: Entry, outcome: Outcome): void {
    const key = keyOf(entry);
    this.#open.delete(key);
    this.#settled.delete(key);
    this.#settled.set(key, outcome);
    if (this.#settled.size <= MAX_OPEN_ENTRIES) return;
    const oldest = this.#settled.keys().next();
    if (!oldest.done) this.#settled.delete(oldest.value);
  }

  #count(entry: Entry, by: 1 | -1): void {
    this.entries += by;
    if (hasData(entry)) this.files += by;
    this.bytes += by * sizeOf(entry);
    if (entry.kind === 'stream') this.sized = false;
  }
}

/** Entries are the same if all that was offered of them is. */
function keyOf(entry: Entry): string {
  return entry.kind === 'file'
    ? `file ${entry.size} ${entry.mtime} ${entry.path}`
    : `${entry.kind} ${entry.path}`;
}
