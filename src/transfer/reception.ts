import type { ErrorCode } from '../errors.ts';
import { MAX_OPEN_ENTRIES } from '../limits.ts';
import { type Entry, hasData, parentOf, sizeOf } from '../protocol/manifest.ts';
import type { SkipReason } from '../protocol/message.ts';
import type { Platform } from '../protocol/names.ts';
import { Risks } from '../protocol/risk.ts';
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
  readonly grant: Grant;
  /** The roots that were accepted, once they are. */
  roots: readonly string[] | undefined;
  inbox: Inbox | undefined;
  /** Folders that could not be made: nothing in them can, and none of it is named here. */
  readonly lost = new Map<string, ErrorCode>();
  /** What was offered so far, each entry counted once: all, the files among them, and their bytes. */
  entries = 0;
  files = 0;
  bytes = 0;
  /** Whether the bytes are all that there will be; those of a stream come on top. */
  sized = true;
  /** What speaks against it. */
  readonly risks: Risks;
  /**
   * What was settled, what was told last in the end. The sender has at most `MAX_OPEN_ENTRIES` open,
   * and hears us in order, so it can have missed no others.
   */
  #settled: (readonly [Entry, Outcome])[] = [];
  /** What was settled before this connection. */
  #before = new Map<string, Outcome>();
  /** Offered in this connection and not settled, and whether the yes was found to cover it. */
  readonly #open = new Map<Entry, boolean>();
  /** Covered by the yes before this connection, not settled, and not offered again so far. */
  readonly #covered = new Set<string>();

  /** `platform`: whose rules names must obey here. */
  constructor(transfer: string, platform: Platform) {
    this.transfer = transfer;
    this.grant = new Grant(platform);
    this.risks = new Risks(platform);
  }

  /** A connection begins; before the first there is nothing to it. */
  connected(): void {
    const last = this.#settled.slice(-MAX_OPEN_ENTRIES);
    this.#before = new Map(last.map(([entry, outcome]) => [keyOf(entry), outcome]));
  }

  /** The connection is over. What was not settled will be offered again, and counted then. */
  broken(): void {
    const open = [...this.#open];
    for (const [entry] of open) this.#count(entry, -1);
    // The yes was for these, and not for what may be offered in their place.
    const covered = open.filter(([entry, known]) => known || this.covers(entry));
    for (const [entry] of covered) this.#covered.add(keyOf(entry));
    trim(this.#covered);
    this.#open.clear();
  }

  hearOffer(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (this.#isBefore(entry)) continue;
      this.#open.set(entry, false);
      this.#count(entry, 1);
    }
  }

  /** How much of this the yes was never said for. */
  newIn(entries: readonly Entry[]): { entries: number; bytes: number } {
    const covered = new Set(this.#covered);
    const isNew = (key: string): boolean => !this.#before.has(key) && !covered.delete(key);
    const news = entries.filter((entry) => isNew(keyOf(entry)));
    return { entries: news.length, bytes: news.reduce((sum, entry) => sum + sizeOf(entry), 0) };
  }

  /** Whether the yes covers an entry; if so, it is taken off, but for each only once. */
  covers(entry: Entry): boolean {
    if (this.#isBefore(entry)) return true;
    const covered = this.#covered.size > 0 && this.#covered.delete(keyOf(entry));
    if (!covered && !this.grant.takes(entry)) return false;
    this.#open.set(entry, true);
    return true;
  }

  /** What became of an entry before the connection broke, if it was settled; it is told again. */
  outcomeOf(entry: Entry): Outcome | undefined {
    const outcome = this.#before.size > 0 ? this.#before.get(keyOf(entry)) : undefined;
    if (outcome !== undefined) this.settle(entry, outcome);
    return outcome;
  }

  settle(entry: Entry, outcome: Outcome): void {
    this.#open.delete(entry);
    this.#settled.push([entry, outcome]);
    if (this.#settled.length === 2 * MAX_OPEN_ENTRIES)
      this.#settled = this.#settled.slice(MAX_OPEN_ENTRIES);
  }

  /** Why a folder that an entry lies in could not be made, if that is so. */
  lostAbove({ path }: Entry): ErrorCode | undefined {
    if (this.lost.size === 0) return undefined;
    let folder = parentOf(path);
    while (folder !== '' && !this.lost.has(folder)) folder = parentOf(folder);
    return this.lost.get(folder);
  }

  /** Whether it was settled before this connection; in the first nothing was. */
  #isBefore(entry: Entry): boolean {
    return this.#before.size > 0 && this.#before.has(keyOf(entry));
  }

  #count(entry: Entry, by: 1 | -1): void {
    this.entries += by;
    if (hasData(entry)) this.files += by;
    this.bytes += by * sizeOf(entry);
    if (entry.kind === 'stream') this.sized = false;
    this.risks.count(entry, by);
  }
}

/** Forgets what was added first. An honest sender does not come back for it. */
function trim(keys: Set<string>): void {
  for (const oldest of keys) {
    if (keys.size <= MAX_OPEN_ENTRIES) break;
    keys.delete(oldest);
  }
}

/** Entries are the same if all is that a yes was said to. */
function keyOf(entry: Entry): string {
  switch (entry.kind) {
    case 'file':
      return `file ${entry.size} ${entry.mtime} ${entry.mode} ${entry.path}`;
    case 'link':
      return `link ${JSON.stringify(entry.target)} ${entry.path}`;
    default:
      return `${entry.kind} ${entry.path}`;
  }
}
