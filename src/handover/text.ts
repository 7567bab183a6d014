import type { Hashers } from '../disk/hashers.ts';
import { DropError, type ErrorCode } from '../errors.ts';
import { MAX_TEXT } from '../limits.ts';
import { concat, equal, utf8 } from '../protocol/bytes.ts';
import {
  type DataEntry,
  type Entry,
  type FileEntry,
  type FolderEntry,
  isText,
  type TextEntry,
} from '../protocol/manifest.ts';
import { type DigestName, type Kept, TEXT_SINCE } from '../protocol/message.ts';
import { numbered } from '../protocol/names.ts';
import type { Inbox, IncomingFile, Placement, Stored, WholeFile } from '../transfer/inbox.ts';
import type { Block, Outbox, Unsendable, Whole } from '../transfer/outbox.ts';

/** What a message is called where it is saved as a file. */
const NAME = 'message.txt';

/** Throws `usage` if a text cannot be a message. */
export function ensureText(text: string): void {
  if (text === '' || !text.isWellFormed())
    throw new DropError('usage', { message: 'A message needs some text, in valid Unicode.' });
  if (utf8(text).length > MAX_TEXT)
    throw new DropError('usage', {
      message: `A message has at most ${MAX_TEXT / 1024} KiB.`,
      hint: 'Send it as a file: ... | drop send - --name message.txt',
    });
}

/** Files to read, and a message after them. */
export class TextOutbox implements Outbox {
  readonly roots: readonly string[];
  readonly version = TEXT_SINCE;
  readonly #files: Outbox;
  readonly #hashers: Hashers;
  readonly #entry: TextEntry;
  readonly #bytes: Uint8Array;
  #digest: DigestName = 'sha256';

  constructor(text: string, files: Outbox, hashers: Hashers) {
    this.#files = files;
    this.#hashers = hashers;
    this.#bytes = utf8(text);
    const { roots } = files;
    let path = NAME;
    for (let n = 1; roots.includes(path); n++) path = numbered(NAME, n);
    this.#entry = { kind: 'file', path, size: this.#bytes.length, mtime: Date.now(), text: true };
    this.roots = [...roots, path];
  }

  get small(): number {
    return this.#files.small;
  }

  get digests(): readonly DigestName[] {
    return this.#files.digests;
  }

  connected(digest: DigestName): void {
    this.#digest = digest;
    this.#files.connected(digest);
  }

  async *entries(): AsyncGenerator<Entry | Unsendable, void, undefined> {
    yield* this.#files.entries();
    yield this.#entry;
  }

  read(
    entry: DataEntry,
    kept: Kept | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<Block, Uint8Array, undefined> {
    return isText(entry) ? this.#read() : this.#files.read(entry, kept, signal);
  }

  readTogether(
    files: readonly FileEntry[],
    signal: AbortSignal,
  ): ReturnType<Outbox['readTogether']> {
    const merge = (others: readonly (Whole | DropError)[]): readonly (Whole | DropError)[] => {
      let next = 0;
      return files.map((file) =>
        isText(file) ? this.#whole : (others[next++] as Whole | DropError),
      );
    };
    const others = this.#files.readTogether(
      files.filter((file) => !isText(file)),
      signal,
    );
    return others instanceof Promise ? others.then(merge) : merge(others);
  }

  arrived(entry: DataEntry, offset: number): void {
    this.#files.arrived(entry, offset);
  }

  async digest(entry: FileEntry, signal: AbortSignal): Promise<Uint8Array> {
    return isText(entry) ? this.#whole.digest : this.#files.digest(entry, signal);
  }

  close(): Promise<void> {
    return this.#files.close();
  }

  get #whole(): Whole {
    return { bytes: this.#bytes, digest: this.#hashers.of(this.#digest, this.#bytes) };
  }

  async *#read(): AsyncGenerator<Block, Uint8Array, undefined> {
    yield { offset: 0, bytes: this.#bytes };
    return this.#whole.digest;
  }
}

/** Takes messages in memory, to be shown, and leaves all else to another inbox, if there is one. */
export class TextInbox implements Inbox {
  readonly #files: Inbox | undefined;
  readonly #hashers: Hashers;
  #digest: DigestName = 'sha256';

  constructor(files: Inbox | undefined, hashers: Hashers) {
    this.#files = files;
    this.#hashers = hashers;
  }

  get fresh(): boolean {
    return this.#files?.fresh ?? true;
  }

  get memory(): number {
    return this.#files?.memory ?? 0;
  }

  connected(digest: DigestName): void {
    this.#digest = digest;
    this.#files?.connected(digest);
  }

  async room(): Promise<number> {
    return this.#files?.room() ?? Number.POSITIVE_INFINITY;
  }

  place(
    entry: Entry,
    digest: () => Promise<Uint8Array | null>,
    gone?: AbortSignal,
  ): Placement | Promise<Placement> {
    return isText(entry) ? { want: 'all' } : this.#others.place(entry, digest, gone);
  }

  defer(folder: FolderEntry): void {
    this.#files?.defer(folder);
  }

  async storeTogether(files: readonly WholeFile[]): Promise<readonly (Stored | DropError)[]> {
    const texts = files.map((file) => (isText(file.entry) ? this.#take(file) : undefined));
    const rest = files.filter((_, i) => texts[i] === undefined);
    const others = rest.length > 0 ? await this.#others.storeTogether(rest) : [];
    let next = 0;
    return texts.map((text) => text ?? (others[next++] as Stored | DropError));
  }

  async open(entry: DataEntry, from: number): Promise<IncomingFile> {
    if (!isText(entry)) return this.#others.open(entry, from);
    let bytes: Uint8Array = new Uint8Array(0);
    return {
      written: 0,
      write: async (more) => {
        bytes = concat(bytes, more);
      },
      commit: async (digest) => {
        const taken = this.#take({ entry, bytes, digest });
        if (taken instanceof DropError) throw taken;
        return taken;
      },
      keep: async () => {},
      discard: async () => {},
    };
  }

  async finish(): Promise<{ path: string; code: ErrorCode }[]> {
    return this.#files?.finish() ?? [];
  }

  async close(): Promise<void> {
    await this.#files?.close();
  }

  #take({ entry, bytes, digest }: WholeFile): Stored | DropError {
    const { path } = entry;
    if (!equal(this.#hashers.of(this.#digest, bytes), digest))
      return new DropError('corrupt', { path });
    const text = decode(bytes);
    return text === undefined
      ? new DropError('protocol', { path })
      : { path, renamed: false, text };
  }

  /** Where nothing but messages was offered there is no place for files, whatever comes later. */
  get #others(): Inbox {
    if (this.#files === undefined) throw new DropError('protocol');
    return this.#files;
  }
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
