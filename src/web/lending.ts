import { randomBytes } from 'node:crypto';
import * as v from 'valibot';
import { DropError, type LentEntry } from '../index.ts';
import {
  COMPARING_PACE,
  MAX_LENT,
  MAX_LENT_AHEAD,
  MAX_LENT_PART,
  MAX_LENT_UNITS,
  MAX_LOANS,
  MAX_NAME,
  MAX_PATH,
} from '../limits.ts';
import type { Wish } from './loans.ts';

/** Time as a parameter, so that what waits can be tested without waiting. Milliseconds. */
export interface Clock {
  now(): number;
  /** Calls `act` once; what it returns prevents that. */
  after(ms: number, act: () => void): () => void;
}

export interface RoomOptions {
  /** Files and folders. */
  readonly entries?: number;
  /** UTF-16 units of their paths. */
  readonly units?: number;
  /** What is taken of this room is taken of that, too. */
  readonly within?: Room | undefined;
}

/** How much is lent, of what can be lent at a time; several pages may share it. */
export class Room {
  readonly #most: number;
  readonly #within: Room | undefined;
  #entries: number;
  #units: number;

  constructor({ entries = MAX_LENT, units = MAX_LENT_UNITS, within }: RoomOptions = {}) {
    this.#most = entries;
    this.#within = within;
    this.#entries = entries;
    this.#units = units;
  }

  /** Takes off so many files and folders, with paths of so many UTF-16 units together. Throws `usage`. */
  take(entries: number, units: number): void {
    if (entries > this.#entries)
      throw usage(`More than ${this.#most.toLocaleString('en')} files and folders are too many.`);
    if (units > this.#units)
      throw usage('The paths of so many files and folders are too long, all together.');
    this.#within?.take(entries, units);
    this.#entries -= entries;
    this.#units -= units;
  }

  give(entries: number, units: number): void {
    this.#within?.give(entries, units);
    this.#entries += entries;
    this.#units += units;
  }
}

export interface LendingOptions {
  readonly clock?: Clock;
  /** What may be lent, and is shared with other pages. */
  readonly room?: Room;
  /** Whether the page can tell what is in its files without sending them. */
  readonly digests?: boolean;
}

/**
 * What one page lends: files that lie in a browser, and are read here. Whoever reads one has the
 * page asked for its bytes, and the page brings them by `put`. Nothing of it is held, but small
 * files, which are asked for together with those behind them.
 */
export class Lending {
  readonly #tell: (wish: Wish) => void;
  readonly #clock: Clock;
  readonly #loans = new Map<string, Loan>();
  readonly #room: Room;
  readonly #digests: boolean;
  /** What the page is asked for and has not brought yet, by name. */
  readonly #asked = new Map<string, Batch>();
  /** Small files that came, or are about to; what was used last stands at the end. */
  readonly #ahead = new Set<Bundle>();
  readonly #over = new AbortController();
  /** A loan is ready, or a pause is over. */
  readonly #news = new News();
  #names = 0;
  #isAway = false;
  /** When the page brought something, or came back. */
  #stirred: number;

  constructor(
    tell: (wish: Wish) => void,
    { clock = systemClock, room = new Room(), digests = false }: LendingOptions = {},
  ) {
    this.#tell = tell;
    this.#room = room;
    this.#digests = digests;
    this.#clock = clock;
    this.#stirred = clock.now();
  }

  /** Aborted when the page is gone. */
  get gone(): AbortSignal {
    return this.#over.signal;
  }

  /** What is lent, by name. */
  get loans(): string[] {
    return [...this.#loans.keys()];
  }

  /** Whether something of that name is lent. */
  has(loan: string): boolean {
    return this.#loans.has(loan);
  }

  /**
   * Begins a loan, or adds to one, as the command `lend` says. Returns its name. Throws `usage`; what
   * cannot be lent as a whole is not lent at all.
   */
  add(part: unknown): string {
    this.gone.throwIfAborted();
    const { loan: name, entries, ready } = parsed(LendSchema, part);
    const units = entries.reduce((sum, { path }) => sum + path.length, 0);
    const before = name === undefined ? undefined : this.#loanOf(name);
    if (before?.isReady) throw usage('Nothing can be added to what is lent already.');
    if (before === undefined && this.#loans.size >= MAX_LOANS)
      throw usage('That is too much at a time.');
    try {
      this.#room.take(entries.length, units);
    } catch (error) {
      if (before !== undefined) this.giveBack(before.name);
      throw error;
    }
    const loan = before ?? new Loan(randomBytes(8).toString('hex'));
    this.#loans.set(loan.name, loan);
    loan.add(entries, units);
    if (ready) loan.close();
    this.#news.changed();
    return loan.name;
  }

  /** All of a loan, once that is known. Throws `usage` if there is none of that name. */
  async take(name: string): Promise<readonly LentEntry[]> {
    const loan = this.#loanOf(name);
    await this.#news.until(() => loan.isReady || !this.#loans.has(name), this.gone);
    this.#loanOf(name);
    const mtime = Date.now(); // Of what nobody knows the time of.
    return loan.files.map(
      ({ path, size, ...file }, place): LentEntry =>
        size === undefined
          ? { kind: 'folder', path }
          : {
              kind: 'file',
              path,
              size,
              mtime: file.mtime ?? mtime,
              read: (from, signal) => this.#read({ loan, place, size }, from, signal),
              ...(this.#digests && {
                digest: (bytes, signal) => this.#digestOf({ loan, place, size }, bytes, signal),
              }),
            },
    );
  }

  /** Nobody reads this loan any more; the page is told, that it may forget it, too. */
  giveBack(name: string): void {
    const loan = this.#loans.get(name);
    if (loan === undefined) return;
    this.#loans.delete(name);
    this.#room.give(loan.files.length, loan.units);
    this.#news.changed();
    for (const batch of this.#batches())
      if (batch.loan === loan) this.#leave(batch, { error: new DropError('unreadable') });
    if (!this.#isAway) this.#tell({ event: 'returned', loan: name });
  }

  /**
   * The page brings a batch; resolves when all of it is taken, or it is not wanted any more. Throws
   * what `body` throws; and `usage` if it is not as long as it was to be.
   */
  async put(loan: string, name: string, body: AsyncIterable<Uint8Array>): Promise<void> {
    const batch = this.#asked.get(name);
    if (batch?.loan.name !== loan || batch.isComing) return;
    batch.isComing = true;
    let fits = true;
    try {
      for await (const piece of body) {
        this.#stirred = this.#clock.now();
        fits = piece.length <= batch.left;
        if (!fits) break;
        if (!(await batch.bring(piece))) return;
      }
      fits &&= batch.left === 0;
      this.#end(batch, fits ? 'whole' : { error: new DropError('changed') });
    } finally {
      this.#end(batch, 'lost');
    }
    if (!fits) throw usage('That is not as long as it was to be.');
  }

  /** The page says that it cannot read a file: what the command `lend-failed` takes. */
  failed(report: unknown): void {
    const { loan: name, file } = parsed(FailedSchema, report);
    const loan = this.#loans.get(name);
    if (loan?.files[file] === undefined || loan.unreadable.has(file)) return;
    loan.unreadable.add(file);
    // The others in it are asked for anew, without this one.
    for (const batch of this.#asked.values())
      if (batch.loan === loan && batch.holds(file)) this.#leave(batch, 'again');
  }

  /** The page is not to be reached just now: whoever reads waits. */
  pause(): void {
    this.#isAway = true;
  }

  /** It is there again: what was asked of it and has not come is asked for anew. */
  resumed(): void {
    this.#isAway = false;
    this.#stirred = this.#clock.now();
    for (const batch of this.#asked.values()) this.#leave(batch, 'again');
    this.#news.changed();
  }

  /** The page is gone for good: whoever reads gets this error. */
  close(error: DropError): void {
    this.#over.abort(error);
    for (const batch of this.#batches()) this.#end(batch, { error });
    this.#ahead.clear();
    for (const name of this.#loans.keys()) this.giveBack(name);
  }

  #loanOf(name: string): Loan {
    this.gone.throwIfAborted();
    const loan = this.#loans.get(name);
    if (loan === undefined) throw usage('Nothing of that name is lent.');
    return loan;
  }

  #read(item: Item, from: number, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
    return item.size <= SMALL
      ? this.#readSmall(item, from, signal)
      : this.#readLarge(item, from, signal);
  }

  async *#readLarge(
    { loan, place, size }: Item,
    from: number,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void> {
    let failures = 0;
    for (let at = from; at < size; ) {
      await this.#ready(loan, place, failures, signal);
      const before = at;
      const flow = new Flow(loan, [{ file: place, from: at, bytes: Math.min(size - at, STRETCH) }]);
      this.#ask(flow);
      try {
        for (;;) {
          const piece = await flow.next(signal);
          if (piece === undefined) break;
          at += piece.length;
          yield piece;
        }
      } finally {
        this.#leave(flow, 'lost');
      }
      failures = failuresAfter(flow, at > before ? 0 : failures);
    }
  }

  async *#readSmall(
    item: Item,
    from: number,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void> {
    const { loan, place, size } = item;
    if (from >= size) return;
    for (let failures = 0; ; ) {
      await this.#ready(loan, place, failures, signal);
      const bundle = this.#bundleWith(loan, place) ?? this.#askAhead(item, failures > 1);
      const bytes = await bundle.bytesOf(place, signal);
      if (bytes !== undefined) {
        // Nobody writes into it again.
        yield bytes.subarray(from);
        return;
      }
      failures = failuresAfter(bundle, failures);
    }
  }

  async #digestOf({ loan, place }: Item, bytes: number, signal: AbortSignal): Promise<Uint8Array> {
    for (let failures = 0; ; ) {
      await this.#ready(loan, place, failures, signal);
      const question = new Question(loan, { file: place, from: 0, bytes });
      this.#ask(question);
      try {
        const digest = await question.answer(signal);
        if (digest !== undefined) return digest;
      } finally {
        this.#leave(question, 'lost');
      }
      failures = failuresAfter(question, failures);
    }
  }

  /** Waits until the page can be asked; throws if that is of no use any more. */
  async #ready(loan: Loan, place: number, failures: number, signal: AbortSignal): Promise<void> {
    const either = [signal, this.gone];
    if (failures > PAUSES.length) throw new DropError('unreadable');
    if (failures > 0) {
      let isOver = false;
      const cancel = this.#clock.after(PAUSES[failures - 1] ?? 0, () => {
        isOver = true;
        this.#news.changed();
      });
      await this.#news.until(() => isOver, ...either).finally(cancel);
    }
    await this.#news.until(() => !this.#isAway, ...either);
    if (loan.unreadable.has(place) || !this.#loans.has(loan.name))
      throw new DropError('unreadable');
  }

  /** The small files that were asked for with this one among them. */
  #bundleWith(loan: Loan, place: number): Bundle | undefined {
    for (const bundle of this.#ahead) {
      if (bundle.loan !== loan || !bundle.gives(place)) continue;
      this.#ahead.delete(bundle);
      this.#ahead.add(bundle);
      return bundle;
    }
    return undefined;
  }

  /** Asks for a small file, and for those behind it that will be read soon. */
  #askAhead({ loan, place, size }: Item, alone: boolean): Bundle {
    const files = [{ file: place, from: 0, bytes: size }];
    let bytes = size;
    for (const next of alone ? [] : loan.behind(place, SEARCHED)) {
      if (files.length >= TOGETHER) break;
      const { size: more = 0 } = loan.files[next] ?? {};
      if (more === 0 || more > SMALL || loan.unreadable.has(next)) continue;
      if (bytes + more > BUNDLE) break;
      if (this.#bundleWith(loan, next)) continue;
      files.push({ file: next, from: 0, bytes: more });
      bytes += more;
    }
    const isRoom = this.#makeRoom(bytes);
    const bundle = new Bundle(loan, isRoom ? files : files.slice(0, 1));
    this.#ahead.add(bundle);
    this.#ask(bundle);
    return bundle;
  }

  /** Lets go of small files that nobody waits for, those first that were used longest ago. */
  #makeRoom(bytes: number): boolean {
    let held = bytes;
    for (const bundle of this.#ahead) held += bundle.bytes;
    for (const bundle of this.#ahead) {
      if (held <= MAX_LENT_AHEAD && this.#ahead.size < BUNDLES) return true;
      if (bundle.isAwaited) continue;
      held -= bundle.bytes;
      this.#leave(bundle, 'lost');
    }
    return held <= MAX_LENT_AHEAD && this.#ahead.size < BUNDLES;
  }

  #ask(batch: Batch): void {
    batch.name = String(++this.#names);
    this.#asked.set(batch.name, batch);
    const digest = batch instanceof Question && { digest: true as const };
    const { loan, name, files } = batch;
    this.#tell({ event: 'want', loan: loan.name, batch: name, files, ...digest });
    this.#awaitAnswer(batch, batch.within);
  }

  /** A page brings few batches at a time: one may wait as long as others come. */
  #awaitAnswer(batch: Batch, ms: number): void {
    batch.cancel = this.#clock.after(ms, () => {
      if (batch.isComing || this.#isAway) return;
      const left = this.#stirred + batch.within - this.#clock.now();
      if (left > 0) this.#awaitAnswer(batch, left);
      else this.#leave(batch, 'lost');
    });
  }

  /** Ends a batch that is of no more use; the page is told, if it would still bring it. */
  #leave(batch: Batch, how: End): void {
    const isAsked = this.#asked.has(batch.name);
    this.#end(batch, how);
    if (batch instanceof Bundle) this.#ahead.delete(batch);
    if (isAsked && !this.#isAway)
      this.#tell({ event: 'unwanted', loan: batch.loan.name, batch: batch.name });
  }

  #end(batch: Batch, how: End): void {
    batch.cancel();
    this.#asked.delete(batch.name);
    batch.finish(how);
    if (batch instanceof Bundle && !batch.gives()) this.#ahead.delete(batch);
  }

  #batches(): Set<Batch> {
    return new Set([...this.#asked.values(), ...this.#ahead]);
  }
}

/** Files of at most so many bytes do not take a request each. */
const SMALL = 64 * 1024;

/** How many of them are asked for at once, and their bytes; and how far they are looked for. */
const TOGETHER = 64;
const BUNDLE = 1024 * 1024;
const SEARCHED = 256;

/** How many such are held, whatever their bytes: they are looked through for each file. */
const BUNDLES = 32;

/**
 * Bytes of a large file that are asked for at once. A page brings few at a time, so others that are
 * read get their turn in between.
 */
const STRETCH = 64 * 1024 * 1024;

/** Milliseconds before it is tried again where nothing came. As often, and then no more. */
const PAUSES = [200, 1_000, 3_000, 5_000];

/** Milliseconds in which a page that is there brings anything of what it is asked for. */
const ANSWER_LIMIT = 90_000;

/** A file to be read. */
interface Item {
  readonly loan: Loan;
  readonly place: number;
  readonly size: number;
}

class Loan {
  readonly name: string;
  readonly files: v.InferOutput<typeof LentSchema>[] = [];
  /** What the page cannot read, by its place. */
  readonly unreadable = new Set<number>();
  units = 0;
  /** All places in the order in which they are sent, and at which turn each is, once all is known. */
  #order: Uint32Array | undefined;
  #turns = new Uint32Array(0);

  constructor(name: string) {
    this.name = name;
  }

  get isReady(): boolean {
    return this.#order !== undefined;
  }

  add(entries: readonly v.InferOutput<typeof LentSchema>[], units: number): void {
    for (const entry of entries) this.files.push(entry);
    this.units += units;
  }

  /** That is all. */
  close(): void {
    // What is sent is sorted so, folder by folder, in whichever order somebody picked it.
    const keys = this.files.map(({ path }) => path.replaceAll('/', '\0'));
    const order = Uint32Array.from(keys.keys());
    order.sort((a, b) => ((keys[a] ?? '') < (keys[b] ?? '') ? -1 : 1));
    this.#turns = new Uint32Array(order.length);
    for (const [turn, place] of order.entries()) this.#turns[place] = turn;
    this.#order = order;
  }

  /** Those that are sent next, at most so many. */
  behind(place: number, most: number): Uint32Array {
    const next = (this.#turns[place] ?? 0) + 1;
    return this.#order?.subarray(next, next + most) ?? new Uint32Array(0);
  }
}

/**
 * How it ended: all came; or not, so that it is tried again, `lost` only so many times; or it is of
 * no use to try.
 */
type End = 'whole' | 'lost' | 'again' | { readonly error: unknown };

type Wanted = Extract<Wish, { readonly event: 'want' }>['files'][number];

/** Bytes that the page is asked for, in this order. */
abstract class Batch {
  readonly loan: Loan;
  readonly files: readonly Wanted[];
  readonly bytes: number;
  name = '';
  /** Milliseconds in which the page brings anything, if it is there. */
  readonly within: number = ANSWER_LIMIT;
  /** Whether the page has begun to bring it. */
  isComing = false;
  end: End | undefined;
  /** Ends the waiting for an answer. */
  cancel: () => void = () => {};
  /** How many bytes came. */
  protected come = 0;
  protected readonly news = new News();

  /** `bytes`: how many the page brings, if not all that is in the files. */
  constructor(loan: Loan, files: readonly Wanted[], bytes = sumOf(files)) {
    this.loan = loan;
    this.files = files;
    this.bytes = bytes;
  }

  get left(): number {
    return this.bytes - this.come;
  }

  holds(file: number): boolean {
    return this.files.some((wanted) => wanted.file === file);
  }

  /** What comes next. Resolves when it is taken; false if nothing more is wanted. */
  abstract bring(piece: Uint8Array): Promise<boolean>;

  finish(how: End): void {
    this.end ??= how;
    this.news.changed();
  }

  /** Throws if it ended so that it is of no use to try again. */
  protected ensureUseful(): void {
    if (typeof this.end === 'object') throw this.end.error;
  }
}

/** A part of a large file, which goes from hand to hand. */
class Flow extends Batch {
  #piece: Uint8Array | undefined;

  async bring(piece: Uint8Array): Promise<boolean> {
    if (this.end !== undefined) return false;
    if (piece.length === 0) return true;
    this.come += piece.length;
    this.#piece = piece;
    this.news.changed();
    await this.news.until(() => this.#piece === undefined || this.end !== undefined);
    return this.end === undefined;
  }

  /** What comes next; undefined if nothing does. */
  async next(signal: AbortSignal): Promise<Uint8Array | undefined> {
    await this.news.until(() => this.#piece !== undefined || this.end !== undefined, signal);
    this.ensureUseful();
    const piece = this.#piece;
    this.#piece = undefined;
    this.news.changed();
    return piece;
  }
}

/** Small files, which are held until they are read. */
class Bundle extends Batch {
  readonly #all: Buffer;
  /** Where each ends. */
  readonly #ends = new Map<number, { readonly start: number; readonly end: number }>();
  #waiting = 0;

  constructor(loan: Loan, files: readonly Wanted[]) {
    super(loan, files);
    this.#all = Buffer.allocUnsafe(this.bytes);
    let start = 0;
    for (const { file, bytes } of files) {
      this.#ends.set(file, { start, end: start + bytes });
      start += bytes;
    }
  }

  get isAwaited(): boolean {
    return this.#waiting > 0;
  }

  /** Whether this file, or any, is here or may come. */
  gives(file = this.files[0]?.file ?? 0): boolean {
    const { end = Number.POSITIVE_INFINITY } = this.#ends.get(file) ?? {};
    return end <= (this.end === undefined ? this.bytes : this.come);
  }

  async bring(piece: Uint8Array): Promise<boolean> {
    if (this.end !== undefined) return false;
    this.#all.set(piece, this.come);
    this.come += piece.length;
    this.news.changed();
    return true;
  }

  /** All of a file; undefined if it does not come. */
  async bytesOf(file: number, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const { start, end } = this.#ends.get(file) ?? { start: 0, end: 0 };
    this.#waiting += 1;
    try {
      await this.news.until(() => end <= this.come || this.end !== undefined, signal);
    } finally {
      this.#waiting -= 1;
    }
    if (end <= this.come) return this.#all.subarray(start, end);
    // What is wrong with one file does not concern those behind it.
    if (start <= this.come) this.ensureUseful();
    return undefined;
  }
}

/** What tells the start of a file: the page looks through it, which may take a while. */
class Question extends Batch {
  override readonly within: number;
  readonly #digest = new Uint8Array(DIGEST);

  constructor(loan: Loan, start: Wanted) {
    super(loan, [start], DIGEST);
    this.within = ANSWER_LIMIT + start.bytes / COMPARING_PACE;
  }

  async bring(piece: Uint8Array): Promise<boolean> {
    if (this.end !== undefined) return false;
    this.#digest.set(piece, this.come);
    this.come += piece.length;
    return true;
  }

  /** Undefined if it does not come. */
  async answer(signal: AbortSignal): Promise<Uint8Array | undefined> {
    await this.news.until(() => this.end !== undefined, signal);
    this.ensureUseful();
    return this.end === 'whole' ? this.#digest : undefined;
  }
}

/** Bytes of a SHA-256. */
const DIGEST = 32;

function sumOf(files: readonly Wanted[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** How often it failed in a row, after this as well. */
function failuresAfter({ end }: Batch, before: number): number {
  return end === 'lost' ? before + 1 : before;
}

/** Lets some wait for what others do. */
class News {
  readonly #waiting = new Set<() => void>();

  changed(): void {
    for (const look of this.#waiting) look();
  }

  /** Throws the reason of a signal that is aborted. */
  async until(isMet: () => boolean, ...signals: readonly AbortSignal[]): Promise<void> {
    for (const signal of signals) signal.throwIfAborted();
    if (isMet()) return;
    await new Promise<void>((resolve, reject) => {
      const look = (): void => {
        const aborted = signals.find((signal) => signal.aborted);
        if (aborted === undefined && !isMet()) return;
        this.#waiting.delete(look);
        for (const signal of signals) signal.removeEventListener('abort', look);
        if (aborted === undefined) resolve();
        else reject(aborted.reason);
      };
      this.#waiting.add(look);
      for (const signal of signals) signal.addEventListener('abort', look);
    });
  }
}

const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, act) {
    const timer = setTimeout(act, ms);
    return () => clearTimeout(timer);
  },
};

const PathSchema = v.pipe(
  v.string(),
  v.nonEmpty(),
  v.maxLength(MAX_PATH),
  v.check((path) => path.split('/').every((name) => name.length <= MAX_NAME)),
);

const LentSchema = v.strictObject({
  path: PathSchema,
  size: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
  mtime: v.optional(v.pipe(v.number(), v.safeInteger())),
});

const LendSchema = v.strictObject({
  page: v.optional(v.string()),
  loan: v.optional(v.string()),
  entries: v.pipe(v.array(LentSchema), v.maxLength(MAX_LENT_PART)),
  ready: v.boolean(),
});

const FailedSchema = v.strictObject({
  page: v.optional(v.string()),
  loan: v.string(),
  file: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
});

function parsed<Schema extends v.GenericSchema>(
  schema: Schema,
  value: unknown,
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, value);
  if (!result.success) throw usage('That cannot be lent.');
  return result.output;
}

function usage(message: string): DropError {
  return new DropError('usage', { message, hint: undefined });
}
