import { DropError } from '../errors.ts';
import { MAX_OPEN_ENTRIES, MAX_ROOT_UNITS, MAX_ROOTS } from '../limits.ts';
import { type DataEntry, type Entry, hasData, Roots, sizeOf, unitsOf } from './manifest.ts';
import type { MessageOf } from './message.ts';
import { Window } from './window.ts';

/**
 * The accounts of one transfer, kept alike on both sides: what was offered, what of it is
 * wanted, and how far each file has come. It holds each side to the numbers that it announced.
 *
 * Entries are numbered in the order in which they are offered, from 0. A file that is wanted is
 * closed once by the sender (`end` or `failed`) and settled once by the receiver (`stored` or
 * `failed`); after both it is forgotten, so memory is bounded by what is open, not by what is
 * sent.
 */
export class Ledger {
  readonly #roots = new Roots();
  #rootUnits = 0;
  readonly #open = new Window<Row>();
  #openUnits = 0;
  #offered = 0;
  #decided = 0;
  /** Entries of which the sender still has something to do: not decided, or wanted and not closed. */
  #unsent = 0;
  #files = 0;
  #bytes = 0;
  /** The file whose chunks are on their way; files follow each other in the order of the offer. */
  #current = -1;
  #finished = -1;

  /** How many entries are offered and not yet forgotten. */
  get open(): number {
    return this.#open.size;
  }

  /** The UTF-16 units of their names and targets, which is most of what they take of the memory. */
  get openUnits(): number {
    return this.#openUnits;
  }

  roots({ names }: MessageOf<'roots'>): void {
    this.#rootUnits += names.reduce((sum, name) => sum + name.length, 0);
    this.#roots.add(names);
    ensure(this.#rootUnits <= MAX_ROOT_UNITS && this.#roots.size <= MAX_ROOTS, 'too many roots');
  }

  offer({ entries, files, bytes }: MessageOf<'offer'>): void {
    for (const entry of entries) {
      ensure(this.#roots.holds(entry.path), 'an entry outside the offered roots');
      this.#open.set(this.#offered++, {
        entry,
        digest: 'unasked',
        at: undefined,
        arrived: 0,
        closed: false,
        settled: false,
      });
      this.#openUnits += unitsOf(entry);
      this.#unsent += 1;
      if (hasData(entry)) this.#files += 1;
      this.#bytes += sizeOf(entry);
    }
    ensure(this.#open.size <= MAX_OPEN_ENTRIES, 'too many open entries');
    ensure(files === this.#files && bytes === this.#bytes, 'totals that do not add up');
    ensure(Number.isSafeInteger(bytes), 'too many bytes');
  }

  /** The receiver wants to know what is in a file before it decides on it. */
  compare({ entry }: MessageOf<'compare'>): void {
    const row = this.#row(entry);
    ensure(row.entry.kind === 'file' && row.at === undefined, 'only offered files are compared');
    ensure(row.digest === 'unasked', 'compared twice');
    row.digest = 'asked';
  }

  digest({ entry }: MessageOf<'digest'>): void {
    const row = this.#row(entry);
    ensure(row.digest === 'asked', 'a digest that nobody asked for');
    row.digest = 'said';
  }

  want({ count, skip, kept, failed }: MessageOf<'want'>): void {
    const first = this.#decided;
    this.#decided += count;
    ensure(this.#decided <= this.#offered, 'a decision on what was not offered');
    const pick = (number: number): Row => {
      ensure(number >= first && number < this.#decided, 'a decision out of place');
      const row = this.#row(number);
      ensure(row.at === undefined, 'two decisions on one entry');
      ensure(row.digest !== 'asked', 'a decision before the answer');
      return row;
    };
    const settle = (number: number, row: Row): void => {
      this.#forget(number, row);
      this.#unsent -= 1;
    };
    for (const { entry } of failed) settle(entry, pick(entry));
    for (const { entry } of skip) {
      const row = pick(entry);
      ensure(hasData(row.entry), 'only files can be skipped');
      settle(entry, row);
    }
    for (const { entry, size } of kept) {
      const row = pick(entry);
      ensure(fits(row, size), 'kept more than there is');
      row.at = size;
    }
    for (let number = first; number < this.#decided; number++) {
      const row = this.#open.get(number);
      if (row === undefined) continue;
      ensure(row.digest !== 'asked', 'a decision before the answer');
      if (hasData(row.entry)) row.at ??= 0;
      else settle(number, row);
    }
  }

  /** `size` bytes of a file, however they came. */
  chunk(entry: number, offset: number, size: number): void {
    const row = this.#sending(entry);
    // What was kept may prove to be something else: then the file starts over.
    const starts = entry !== this.#current && offset === 0;
    ensure(starts || offset === row.at, 'a chunk out of order');
    row.at = offset + size;
    ensure(fits(row, row.at), 'more bytes than offered');
    this.#current = entry;
  }

  end({ entry }: MessageOf<'end'>): void {
    const row = this.#sending(entry);
    ensure(row.entry.kind === 'stream' || row.at === row.entry.size, 'fewer bytes than offered');
    this.#close(entry, row);
  }

  /** Small files, all of each at once. */
  small({ files }: MessageOf<'files'>): void {
    for (const { entry, bytes } of files) {
      const row = this.#sending(entry);
      ensure(row.at === 0, 'a whole file that was begun already');
      const fits = row.entry.kind === 'file' && row.entry.size === bytes.length;
      ensure(fits, 'a file of another size');
      row.at = bytes.length;
      this.#close(entry, row);
    }
  }

  /** The sender cannot send the rest of a file. */
  abandon({ entry }: MessageOf<'failed'>): void {
    this.#close(entry, this.#sending(entry));
  }

  /** The receiver has so much of a stream. */
  arrived({ entry, offset }: MessageOf<'arrived'>): void {
    const row = this.#row(entry);
    ensure(row.entry.kind === 'stream' && row.at !== undefined, 'only streams arrive in part');
    ensure(offset > row.arrived && offset <= row.at && !row.settled, 'more arrived than was sent');
    row.arrived = offset;
  }

  stored({ entries }: MessageOf<'stored'>): void {
    for (const entry of entries) {
      const row = this.#row(entry);
      ensure(row.closed, 'stored before it was sent');
      this.#settle(entry, row);
    }
  }

  /** The receiver cannot store a file. */
  reject({ entry }: MessageOf<'failed'>): void {
    const row = this.#row(entry);
    ensure(row.at !== undefined, 'failed before it was wanted');
    this.#settle(entry, row);
  }

  /** Whether everything that was offered is decided, and what is wanted is sent. */
  get sent(): boolean {
    return this.#unsent === 0;
  }

  /** Whether nothing is open on either side. */
  get settled(): boolean {
    return this.#decided === this.#offered && this.#open.size === 0;
  }

  #row(number: number): Row {
    const row = this.#open.get(number);
    ensure(row !== undefined, 'an entry that is not open');
    return row;
  }

  #sending(number: number): Wanted {
    const row = this.#row(number);
    ensure(row.at !== undefined && !row.closed, 'a file that is not wanted');
    ensure(
      number === this.#current || (this.#current === this.#finished && number > this.#finished),
      'files out of order',
    );
    return row as Wanted;
  }

  #close(number: number, row: Row): void {
    row.closed = true;
    this.#unsent -= 1;
    this.#current = this.#finished = number;
    if (row.settled) this.#forget(number, row);
  }

  #settle(number: number, row: Row): void {
    ensure(!row.settled, 'settled twice');
    row.settled = true;
    if (row.closed) this.#forget(number, row);
  }

  #forget(number: number, { entry }: Row): void {
    this.#open.delete(number);
    this.#openUnits -= unitsOf(entry);
  }
}

interface Row {
  readonly entry: Entry;
  /** Whether the receiver wanted to know it before it decides. */
  digest: 'unasked' | 'asked' | 'said';
  /** Where the next chunk of a wanted file starts; of what is not wanted, nothing. */
  at: number | undefined;
  /** How much of a stream the receiver has. */
  arrived: number;
  closed: boolean;
  settled: boolean;
}

type Wanted = Row & { readonly entry: DataEntry; at: number };

function fits({ entry }: Row, size: number): boolean {
  return entry.kind === 'stream' || (entry.kind === 'file' && size <= entry.size);
}

export function ensure(condition: boolean, detail: string): asserts condition {
  if (!condition)
    throw new DropError('protocol', { message: `The protocol was broken: ${detail}.` });
}
