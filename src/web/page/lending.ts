import type { LoanCommands, Wish } from '../loans.ts';

/** Something that a person picked, or that lies in a folder which was picked. */
export interface Dropped {
  /** Names with `/` between. */
  readonly path: string;
  /** None of a folder, which is named only if it is empty. */
  readonly file: File | undefined;
}

export interface Server {
  post<Name extends keyof LoanCommands>(
    name: Name,
    body: LoanCommands[Name]['takes'],
  ): Promise<LoanCommands[Name]['gives']>;
  /** Brings a batch; fails if the server did not take it. */
  put(loan: string, batch: string, body: Blob, signal: AbortSignal): Promise<void>;
}

/** Tells the start of a file: its SHA-256. `tell` hears how many bytes of it are looked through. */
type DigestOf = (
  file: File,
  bytes: number,
  signal: AbortSignal,
  tell: (bytes: number) => void,
) => Promise<Uint8Array<ArrayBuffer>>;

export interface LenderOptions {
  /** Without it, a server may not ask what is in a file. */
  readonly digestOf?: DigestOf;
  /** How much of a file is compared with what is there, from 0 to 1. */
  readonly onComparing?: (loan: string, share: number) => void;
}

type Want = Extract<Wish, { readonly event: 'want' }>;

/** Lends files of this page to the server, which asks for their bytes when it wants them. */
export class Lender {
  readonly #server: Server;
  readonly #options: LenderOptions;
  readonly #loans = new Map<string, { page: string; files: readonly (File | undefined)[] }>();
  /** Those of which nobody knows whether they are lent still. */
  #doubtful: readonly string[] = [];
  /** What is wanted and was not brought, by loan and batch. */
  readonly #wanted = new Map<string, AbortController>();
  readonly #waiting: (() => Promise<void>)[] = [];
  #running = 0;

  constructor(server: Server, options: LenderOptions = {}) {
    this.#server = server;
    this.#options = options;
  }

  /** Offers all of it to the server. Returns the name of the loan. */
  async lend(dropped: readonly Dropped[], page: string): Promise<string> {
    const named = distinct(dropped);
    const files = named.map(({ file }) => file);
    let loan: string | undefined;
    for (let at = 0; loan === undefined || at < named.length; ) {
      const part = partOf(named, at);
      at += part.length;
      const given = await this.#server.post('lend', {
        page,
        ...(loan === undefined ? {} : { loan }),
        entries: part.map(({ path, file }) =>
          file === undefined ? { path } : { path, size: file.size, mtime: file.lastModified },
        ),
        ready: at >= named.length,
      });
      loan = given.loan;
      this.#loans.set(loan, { page, files });
    }
    return loan;
  }

  /** The server wants these bytes. */
  want(event: Want): void {
    const key = `${event.loan}/${event.batch}`;
    const aborter = new AbortController();
    this.#wanted.set(key, aborter);
    this.#waiting.push(async () => {
      if (!aborter.signal.aborted) await this.#bring(event, aborter.signal);
      this.#wanted.delete(key);
    });
    this.#next();
  }

  unwanted({ loan, batch }: Pick<Want, 'loan' | 'batch'>): void {
    this.#wanted.get(`${loan}/${batch}`)?.abort();
  }

  /** Nobody asks for it any more: the files are let go of. */
  forget(loan: string): void {
    this.#loans.delete(loan);
  }

  /** The server is out of reach: what it gives back meanwhile we do not hear. */
  lost(): void {
    this.#doubtful = [...this.#loans.keys()];
  }

  /** It is there again, and these are lent still. */
  found(loans: readonly string[]): void {
    for (const loan of this.#doubtful) if (!loans.includes(loan)) this.forget(loan);
    this.#doubtful = [];
  }

  /** The server has forgotten this page: nothing is lent any more. */
  forgetAll(): void {
    for (const aborter of this.#wanted.values()) aborter.abort();
    this.#loans.clear();
  }

  #next(): void {
    while (this.#running < AT_ONCE) {
      const bring = this.#waiting.shift();
      if (bring === undefined) return;
      this.#running += 1;
      void bring().finally(() => {
        this.#running -= 1;
        this.#next();
      });
    }
  }

  async #bring(wanted: Want, signal: AbortSignal): Promise<void> {
    const { loan, batch, files } = wanted;
    const { page, files: lent } = this.#loans.get(loan) ?? { page: '', files: [] };
    const parts = files.flatMap(({ file, from, bytes }) => {
      const blob = lent[file]?.slice(from, from + bytes);
      return blob === undefined ? [] : [{ file, blob }];
    });
    try {
      const brought = wanted.digest
        ? await this.#digestFor(wanted, lent, signal)
        : parts.map(({ blob }) => blob);
      await this.#server.put(loan, batch, new Blob(brought), signal);
    } catch {
      // Why, nobody says: the connection, or a file that has changed. The server asks again, so it
      // should know of which that is of no use.
      for (const { file, blob } of parts) {
        if (signal.aborted) return;
        if (!(await isReadable(blob)))
          await this.#server.post('lend-failed', { page, loan, file }).catch(() => {});
      }
    }
  }

  async #digestFor(
    { loan, files: [wanted] }: Want,
    lent: readonly (File | undefined)[],
    signal: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer>[]> {
    const { digestOf, onComparing } = this.#options;
    const { file: place = 0, bytes = 0 } = wanted ?? {};
    const file = lent[place];
    if (file === undefined || digestOf === undefined) return [];
    return [await digestOf(file, bytes, signal, (at) => onComparing?.(loan, at / bytes))];
  }
}

/** What is offered in one request: servers take so many, and paths of so many letters together. */
function partOf(named: readonly Dropped[], at: number): readonly Dropped[] {
  let end = at;
  for (let letters = 0; end < named.length && end < at + MAX_PART; end++) {
    letters += named[end]?.path.length ?? 0;
    if (end > at && letters > MAX_LETTERS) break;
  }
  return named.slice(at, end);
}

const MAX_PART = 1000;
const MAX_LETTERS = 100_000;

/** A browser has six connections to one server; others are for what happens and what is done. */
const AT_ONCE = 3;

async function isReadable(blob: Blob): Promise<boolean> {
  try {
    await blob.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

/** What is dropped, as far as we need it: what browsers call `DataTransfer`. */
export interface Drop {
  readonly items: Iterable<{
    readonly kind: string;
    webkitGetAsEntry(): Entry | null;
    getAsFile(): File | null;
  }>;
}

/** A `FileSystemEntry`, which may have one of these. */
export interface Entry {
  readonly name: string;
  file?(done: (file: File) => void, failed: (error: unknown) => void): void;
  createReader?(): {
    readEntries(done: (entries: Entry[]) => void, failed: (error: unknown) => void): void;
  };
}

/**
 * What was dropped, folders with all that is in them. To be called in the event itself, after which
 * a browser does not tell it any more. `unreadable` hears of what cannot be read, and is left out.
 */
export function droppedOf(
  { items }: Drop,
  unreadable: (path: string) => void = () => {},
): Promise<Dropped[]> {
  const names = new Set<string>();
  const found: Found[] = [];
  for (const item of items) {
    if (item.kind !== 'file') continue;
    const entry = item.webkitGetAsEntry();
    const file = entry === null ? item.getAsFile() : null;
    if (entry !== null) found.push({ path: freeName(names, entry.name), entry });
    else if (file !== null) found.push({ path: freeName(names, file.name), file });
  }
  return walk(found, unreadable);
}

/** What was chosen in a dialogue, for files or for a folder. */
export function droppedOfInput(files: Iterable<File>): Dropped[] {
  return Array.from(files, (file) => {
    const inFolder = 'webkitRelativePath' in file ? String(file.webkitRelativePath) : '';
    return { path: inFolder || file.name, file };
  });
}

/** Adds all that was found to `dropped`, folders with what is in them, each together. */
async function walk(
  found: readonly Found[],
  unreadable: (path: string) => void,
  dropped: Dropped[] = [],
): Promise<Dropped[]> {
  // All at once: one after the other, thousands of them take many seconds.
  const files = await Promise.all(
    found.map((one) => ('entry' in one && isFile(one.entry) ? fileOf(one.entry) : undefined)),
  );
  for (const [n, one] of found.entries()) {
    const { path } = one;
    const file = 'entry' in one ? files[n] : one.file;
    const inside = 'entry' in one && !isFile(one.entry) ? await childrenOf(one.entry) : undefined;
    if (inside === undefined && file === undefined) unreadable(path);
    else if (inside === undefined || inside.length === 0) dropped.push({ path, file });
    else
      await walk(
        inside.map((entry) => ({ path: `${path}/${entry.name}`, entry })),
        unreadable,
        dropped,
      );
  }
  return dropped;
}

/** Something that was dropped: a file as such, or what it is to be asked for. */
type Found =
  | { readonly path: string; readonly file: File }
  | { readonly path: string; readonly entry: Entry };

function isFile({ createReader }: Entry): boolean {
  return createReader === undefined;
}

/** Undefined if it cannot be read. */
function fileOf(entry: Entry): Promise<File | undefined> {
  return new Promise((resolve) => {
    if (entry.file === undefined) resolve(undefined);
    else entry.file(resolve, () => resolve(undefined));
  });
}

/** All that lies in a folder, sorted; a browser tells a hundred at a time. Undefined if it cannot be read. */
async function childrenOf(folder: Entry): Promise<Entry[] | undefined> {
  const reader = folder.createReader?.();
  const all: Entry[] = [];
  for (;;) {
    const some = await new Promise<Entry[] | undefined>((resolve) => {
      if (reader === undefined) resolve([]);
      else reader.readEntries(resolve, () => resolve(undefined));
    });
    if (some === undefined) return undefined;
    if (some.length === 0) break;
    for (const entry of some) all.push(entry);
  }
  return all.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The same, but with a name of its own for each. */
function distinct(dropped: readonly Dropped[]): Dropped[] {
  const paths = new Set<string>();
  return dropped.map(({ path, file }) => ({ path: freeName(paths, path), file }));
}

/** The path, or where it is taken the next that is not: `report.pdf`, `report (1).pdf`. */
function freeName(taken: Set<string>, path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const extension = /[^.\s](?<end>(?:\.tar)?\.[^.\s]+)$/i.exec(name)?.groups?.end ?? '';
  const stem = path.slice(0, path.length - extension.length);
  let free = path;
  for (let n = 1; taken.has(free); n++) free = `${stem} (${n})${extension}`;
  taken.add(free);
  return free;
}
