import type { ErrorCode } from '../errors.ts';
import { MAX_BATCH, MAX_CONTROL } from '../limits.ts';
import {
  type DataEntry,
  type Entry,
  hasData,
  isPath,
  rootOf,
  sizeOf,
} from '../protocol/manifest.ts';
import type { DigestName } from '../protocol/message.ts';
import type { Outbox, Unsendable } from './outbox.ts';
import { Pause } from './pause.ts';

/**
 * What is to be delivered to one receiver, and how far that has come. It outlives connections:
 * when one breaks, what was not settled is offered again, before the rest, on the next.
 */
export class Delivery {
  readonly outbox: Outbox;
  readonly checksum: boolean;
  readonly pause = new Pause();
  /** The receiver's name for it, once that is known. */
  transfer: string | null = null;
  /** What its files are told by in this connection. */
  algorithm: DigestName = 'sha256';
  #walk: AsyncIterator<Entry | Unsendable>;
  #walked = false;
  /** What is to be offered next. */
  #ahead: Entry[] = [];
  /** What was closed before it is offered, mostly as the connection broke: the receiver may have settled it. */
  readonly #closed = new Map<Entry, Sent | ErrorCode>();
  /** How much was found so far, but for what nobody wants: files, and their bytes. */
  files = 0;
  bytes = 0;
  /** Files among them of which nobody knows how much they will be. */
  #streams = 0;

  constructor(outbox: Outbox, { checksum = false }: { checksum?: boolean | undefined } = {}) {
    this.outbox = outbox;
    this.checksum = checksum;
    this.#walk = outbox.entries()[Symbol.asyncIterator]();
  }

  /** Forgets what was offered: whoever hears it next knows nothing of it. */
  restart(): void {
    void this.#walk.return?.(); // It may have folders open.
    this.#walk = this.outbox.entries()[Symbol.asyncIterator]();
    this.#walked = false;
    this.#ahead = [];
    this.#closed.clear();
    this.files = this.bytes = this.#streams = 0;
  }

  /** How many entries, at least one if there are any, can be offered next in one message. */
  async look(onUnsendable: (found: Unsendable) => void): Promise<number> {
    while (!this.#walked && this.#ahead.length < MAX_BATCH) {
      const { value: found, done } = await this.#walk.next();
      if (done) this.#walked = true;
      else if (found.kind !== 'unsendable') this.#find(found);
      else {
        onUnsendable(found);
        this.#lack(found);
      }
    }
    return batchOf(this.#ahead);
  }

  /** Takes that many. */
  take(count: number): Entry[] {
    return this.#ahead.splice(0, count);
  }

  /** Whether the bytes are all that there will be; those of a stream come on top. */
  get sized(): boolean {
    return this.#streams === 0;
  }

  /** The receiver does not want it. */
  leaveOut(entry: DataEntry): void {
    this.#count(entry, -1);
  }

  /** Whether everything is taken. */
  get exhausted(): boolean {
    return this.#walked && this.#ahead.length === 0;
  }

  /** The connection broke: these were offered and not settled, in this order. */
  again(open: readonly { readonly entry: Entry; readonly closed?: Sent | ErrorCode }[]): void {
    this.#ahead.unshift(...open.map(({ entry }) => entry));
    for (const { entry, closed } of open) if (closed !== undefined) this.#closed.set(entry, closed);
  }

  /** How an entry was closed before the connection broke, if it was; it is told once. */
  closedBefore(entry: Entry): Sent | ErrorCode | undefined {
    const closed = this.#closed.get(entry);
    this.#closed.delete(entry);
    return closed;
  }

  #find(entry: Entry): void {
    this.#ahead.push(entry);
    this.#count(entry, 1);
  }

  /**
   * The receiver has to hear that something is lacking, and there is no other word for that than a
   * file that fails: so it is offered as an empty one, and closed before that.
   */
  #lack({ path, reason }: Unsendable): void {
    if (reason === 'unsupported') return;
    // What was named can be offered in any case, once other things in it are.
    const named = isPath(path) ? path : rootOf(path);
    if (!this.outbox.roots.includes(rootOf(named))) return;
    const entry = { kind: 'file', path: named, size: 0, mtime: 0 } as const;
    this.#closed.set(entry, reason);
    this.#find(entry);
  }

  #count(entry: Entry, by: 1 | -1): void {
    if (hasData(entry)) this.files += by;
    if (entry.kind === 'stream') this.#streams += by;
    this.bytes += by * sizeOf(entry);
  }
}

/** A file that went out as a whole. */
export interface Sent {
  readonly digest: Uint8Array;
  readonly algorithm: DigestName;
  /** Bytes. */
  readonly size: number;
}

/**
 * How many items at the front of a list fit into one control frame, at least one if there is any.
 */
export function batchOf(list: readonly (Entry | string)[]): number {
  let room = MAX_CONTROL - 256;
  let count = 0;
  for (const item of list) {
    room -= lengthOf(item);
    if (count > 0 && (room < 0 || count === MAX_BATCH)) break;
    count += 1;
  }
  return count;
}

/** How many bytes of JSON an item takes at most. To write it only to count them is for the few. */
function lengthOf(item: Entry | string): number {
  const path = typeof item === 'string' ? item : item.path;
  if (PLAIN.test(path) && !(typeof item === 'object' && item.kind === 'link'))
    return path.length + AROUND_PATH;
  // A UTF-16 unit of JSON takes at most three bytes.
  return 3 * JSON.stringify(item).length + 1;
}

/** JSON writes it as it is, a byte for each character. */
const PLAIN = /^[ !#-[\]-~]*$/;

/** What an entry takes beside its path: names of fields, and numbers as long as there are. */
const AROUND_PATH = 96;
