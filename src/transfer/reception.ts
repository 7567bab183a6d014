import type { ErrorCode } from '../errors.ts';
import { MAX_OPEN_ENTRIES } from '../limits.ts';
import { type Entry, hasData, isText, parentOf, sizeOf } from '../protocol/manifest.ts';
import type { SkipReason } from '../protocol/message.ts';
import type { Platform } from '../protocol/names.ts';
import { Risks } from '../protocol/risk.ts';
import { Window } from '../protocol/window.ts';
import { Grant } from './grant.ts';
import type { Inbox } from './inbox.ts';
import { Pause } from './pause.ts';

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
  /** What is wanted of the offer so far, each entry counted once: all, files, and their bytes. */
  entries = 0;
  files = 0;
  /** Messages among the files. */
  texts = 0;
  bytes = 0;
  /** Whether the bytes are all that there will be; those of a stream come on top. */
  sized = true;
  /** The bytes of streams that have come as a whole. */
  streamed = 0;
  /** What speaks against it. */
  readonly risks: Risks;
  readonly pause = new Pause();
  readonly #digestOf: (text: string) => string;
  #wants: (entry: Entry) => boolean;
  /**
   * What was settled last. The sender has at most `MAX_OPEN_ENTRIES` open, and hears us in order, so
   * it can have missed no others.
   */
  readonly #settled = new Settled(MAX_OPEN_ENTRIES);
  /** What was settled before this connection. */
  #before = new Map<string, Outcome>();
  /** Offered in this connection and not settled, by the numbers that they have in it. */
  #open = new Window<Open>();
  #offered = 0;
  /** Covered by the yes before this connection, not settled, and not offered again so far. */
  readonly #covered = new Set<string>();

  /**
   * `platform`: whose rules names must obey here. `digestOf`: SHA-256 of a text, in few characters.
   * `wants`: whether an entry is wanted, always alike; by default all are.
   */
  constructor(
    transfer: string,
    platform: Platform,
    digestOf: (text: string) => string,
    { wants = () => true }: { wants?: ((entry: Entry) => boolean) | undefined } = {},
  ) {
    this.#digestOf = digestOf;
    this.#wants = wants;
    this.transfer = transfer;
    this.grant = new Grant(platform);
    this.risks = new Risks(platform);
  }

  /** A connection begins; before the first there is nothing to it. */
  connected(): void {
    this.#before = this.#settled.byKey();
  }

  /** The connection is over. What was not settled will be offered again, and counted then. */
  broken(): void {
    const open = [...this.#open.values()];
    const wanted = open.filter((one) => one.wanted);
    for (const { entry } of wanted) this.#count(entry, -1);
    // The yes was for these, and not for what may be offered in their place.
    const covered = wanted.filter((one) => one.covered || this.#takes(one.entry));
    for (const { entry } of covered) this.#covered.add(this.#keyOf(entry));
    trim(this.#covered);
    this.#open = new Window();
    this.#offered = 0;
  }

  hearOffer(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const number = this.#offered++;
      if (this.#isBefore(entry)) continue;
      const wanted = this.#wants(entry);
      this.#open.set(number, { entry, wanted, covered: false });
      if (wanted) this.#count(entry, 1);
    }
  }

  /** Only a part of it is wanted from now on. Nothing of it may have been decided before. */
  narrow(wants: (entry: Entry) => boolean): void {
    for (const one of this.#open.values()) {
      if (!one.wanted || wants(one.entry)) continue;
      one.wanted = false;
      this.#count(one.entry, -1);
    }
    const before = this.#wants;
    this.#wants = (entry) => before(entry) && wants(entry);
  }

  /** Whether an entry that is not settled is wanted. */
  wants(number: number): boolean {
    return this.#open.get(number)?.wanted !== false;
  }

  /** How much of this the yes was never said for. */
  newIn(entries: readonly Entry[]): { entries: number; bytes: number } {
    const covered = new Set(this.#covered);
    const isNew = (key: string): boolean => !this.#before.has(key) && !covered.delete(key);
    const news = entries.filter((entry) => this.#wants(entry) && isNew(this.#keyOf(entry)));
    return { entries: news.length, bytes: news.reduce((sum, entry) => sum + sizeOf(entry), 0) };
  }

  /**
   * Whether the yes covers an entry; if so, it is taken off, but for each only once. What is not
   * wanted needs none.
   */
  covers(number: number, entry: Entry): boolean {
    if (this.#isBefore(entry) || !this.wants(number)) return true;
    if (!this.#takes(entry)) return false;
    const open = this.#open.get(number);
    if (open !== undefined) open.covered = true;
    return true;
  }

  /** What became of an entry before the connection broke, if it was settled; it is told again. */
  outcomeOf(number: number, entry: Entry): Outcome | undefined {
    const outcome = this.#before.size > 0 ? this.#before.get(this.#keyOf(entry)) : undefined;
    if (outcome !== undefined) this.settle(number, entry, outcome);
    return outcome;
  }

  settle(number: number, entry: Entry, outcome: Outcome): void {
    this.#open.delete(number);
    this.#settled.add(this.#keyOf(entry), outcome);
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
    return this.#before.size > 0 && this.#before.has(this.#keyOf(entry));
  }

  #takes(entry: Entry): boolean {
    const again = this.#covered.size > 0 && this.#covered.delete(this.#keyOf(entry));
    return again || this.grant.takes(entry);
  }

  /**
   * What is remembered of an entry: a path may have 4 KB, and a target as many. Two of which a yes was
   * said to one must not share it, so it is of a kind of which nobody can find two texts.
   */
  #keyOf(entry: Entry): string {
    return this.#digestOf(identityOf(entry));
  }

  #count(entry: Entry, by: 1 | -1): void {
    this.entries += by;
    if (hasData(entry)) this.files += by;
    if (isText(entry)) this.texts += by;
    this.bytes += by * sizeOf(entry);
    if (entry.kind === 'stream') this.sized = false;
    this.risks.count(entry, by);
  }
}

/** What is offered and not settled. */
interface Open {
  readonly entry: Entry;
  wanted: boolean;
  /** Whether the yes was found to cover it. */
  covered: boolean;
}

/**
 * What became of the entries that were settled last, `most` of them. It is looked at only
 * after a loss, and a million entries pass through it: as objects, each would be held for so long
 * that it has to be looked for among all that is old. So they are kept as text, many in one.
 */
class Settled {
  readonly #most: number;
  readonly #texts: string[] = [];
  /** What is not yet part of a text. */
  #lines: string[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  add(key: string, outcome: Outcome): void {
    const what = typeof outcome === 'string' ? outcome : JSON.stringify(outcome);
    this.#lines.push(`${what} ${key}`);
    if (this.#lines.length < IN_ONE_TEXT) return;
    this.#texts.push(this.#lines.join(BETWEEN));
    this.#lines = [];
    if ((this.#texts.length - 1) * IN_ONE_TEXT >= this.#most) this.#texts.shift();
  }

  /** By the keys of the entries. */
  byKey(): Map<string, Outcome> {
    const lines = [...this.#texts.flatMap((text) => text.split(BETWEEN)), ...this.#lines];
    return new Map(
      lines.slice(-this.#most).map((line) => {
        const end = line.indexOf(' ');
        const what = line.slice(0, end);
        const outcome = what.startsWith('{') ? JSON.parse(what) : what;
        return [line.slice(end + 1), outcome as Outcome];
      }),
    );
  }
}

/** Entries of which one text is made. */
const IN_ONE_TEXT = 256;

/** No key and no outcome has it. */
const BETWEEN = '\n';

/** Forgets what was added first. An honest sender does not come back for it. */
function trim(keys: Set<string>): void {
  for (const oldest of keys) {
    if (keys.size <= MAX_OPEN_ENTRIES) break;
    keys.delete(oldest);
  }
}

/** Entries are the same if all is that a yes was said to. */
function identityOf(entry: Entry): string {
  switch (entry.kind) {
    case 'file':
      return `${entry.text ? 'text' : 'file'} ${entry.size} ${entry.mtime} ${entry.mode} ${entry.path}`;
    case 'link':
      return `link ${entry.target}\0${entry.path}`;
    default:
      return `${entry.kind} ${entry.path}`;
  }
}
