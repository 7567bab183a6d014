import { createHash } from 'node:crypto';
import { blake3 } from '@noble/hashes/blake3.js';
import { DropError, type ErrorCode } from '../../src/errors.ts';
import {
  type DataEntry,
  type Entry,
  type FileEntry,
  type FolderEntry,
  hasData,
  parentOf,
  rootOf,
} from '../../src/protocol/manifest.ts';
import type { DigestName, Kept } from '../../src/protocol/message.ts';
import type { Pipe } from '../../src/transfer/channel.ts';
import type {
  Inbox,
  IncomingFile,
  Placement,
  Stored,
  WholeFile,
} from '../../src/transfer/inbox.ts';
import type { Block, Outbox, Unsendable, Whole } from '../../src/transfer/outbox.ts';

/** What a reception remembers things by. */
export function textDigest(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest());
}

export function digestOf(name: DigestName, bytes: Uint8Array): Uint8Array {
  return name === 'sha256' ? sha256(bytes) : blake3(bytes);
}

export interface Cable {
  readonly left: Pipe;
  readonly right: Pipe;
  /** How many bytes went from left to right, and back. */
  readonly carried: { there: number; back: number };
  pull(): void;
}

/**
 * Two ends of one pipe, which hands on what is written in slices of at most `slice` bytes.
 * After `cutAfter` bytes in both directions together the cable is pulled.
 */
export function cable({
  cutAfter = Number.POSITIVE_INFINITY,
  slice = 16 * 1024,
}: {
  cutAfter?: number | undefined;
  slice?: number;
} = {}): Cable {
  const there = queue();
  const back = queue();
  const carried = { there: 0, back: 0 };
  let pulled = false;
  const pull = (): void => {
    pulled = true;
    there.end();
    back.end();
  };
  const pipe = (incoming: Queue, outgoing: Queue, direction: keyof typeof carried): Pipe => {
    let ended = false;
    return {
      incoming,
      async write(...parts) {
        if (ended) throw new DropError('disconnected');
        for (const part of parts)
          for (let at = 0; at < part.length; at += slice) {
            if (pulled) throw new DropError('disconnected');
            const room = cutAfter - carried.there - carried.back;
            const piece = new Uint8Array(part.subarray(at, Math.min(at + slice, at + room)));
            carried[direction] += piece.length;
            if (piece.length > 0) outgoing.push(piece);
            if (carried.there + carried.back >= cutAfter) pull();
          }
        // Like a network, it takes at least one turn.
        await new Promise((resolve) => setImmediate(resolve));
      },
      async end() {
        ended = true;
        outgoing.end();
        incoming.end();
      },
    };
  };
  return { left: pipe(back, there, 'there'), right: pipe(there, back, 'back'), carried, pull };
}

interface Queue extends AsyncIterable<Uint8Array> {
  push(bytes: Uint8Array): void;
  end(): void;
}

function queue(): Queue {
  const items: Uint8Array[] = [];
  let wake = (): void => {};
  let ended = false;
  return {
    push(bytes) {
      items.push(bytes);
      wake();
    },
    end() {
      ended = true;
      wake();
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const item = items.shift();
        if (item) {
          yield item;
          item.fill(0xee); // Whoever asks for the next has no claim to it any more.
        } else if (ended) return;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
    },
  };
}

/** A tree in memory: a path ends in `/` for a folder; a string is a link's target. */
export type Tree = Record<string, Uint8Array | string | null>;

/** Files to read, from memory. `spoil` makes reading one of them fail after some bytes. */
export class MemoryOutbox implements Outbox {
  readonly #tree: Tree;
  readonly #spoil: Record<string, { after: number; code: ErrorCode }>;
  readonly #also: readonly Unsendable[];
  readonly #block: number;
  #digest: DigestName = 'sha256';
  readonly roots: string[];
  readonly version = 1;
  readonly small = 5;
  readonly digests: readonly DigestName[];

  constructor(
    tree: Tree,
    {
      spoil = {},
      also = [],
      block = 7,
      digests = ['sha256'],
    }: {
      spoil?: Record<string, { after: number; code: ErrorCode }>;
      also?: readonly Unsendable[];
      block?: number;
      digests?: readonly DigestName[];
    } = {},
  ) {
    this.#tree = tree;
    this.#spoil = spoil;
    this.#also = also;
    this.#block = block;
    this.digests = digests;
    this.roots = [...new Set(Object.keys(tree).map((path) => rootOf(path.replace(/\/$/, ''))))];
  }

  connected(digest: DigestName): void {
    this.#digest = digest;
  }

  async *entries(): AsyncGenerator<Entry | Unsendable> {
    for (const [path, content] of Object.entries(this.#tree))
      if (content === null) yield { kind: 'folder', path: path.replace(/\/$/, ''), mtime: 0 };
      else if (typeof content === 'string') yield { kind: 'link', path, target: content };
      else yield { kind: 'file', path, size: content.length, mtime: 1, mode: 0o644 };
    yield* this.#also;
  }

  async *read(
    { path }: DataEntry,
    kept: Kept | undefined,
  ): AsyncGenerator<Block, Uint8Array, undefined> {
    const content = this.#content(path);
    const { after, code } = this.#spoil[path] ?? {
      after: Number.POSITIVE_INFINITY,
      code: 'changed',
    };
    const ofStart = digestOf(this.#digest, content.slice(0, kept?.size));
    const same = kept && Buffer.from(ofStart).equals(kept.digest);
    for (let at = same ? kept.size : 0; at < content.length; at += this.#block) {
      if (at >= after) throw new DropError(code);
      yield { offset: at, bytes: content.slice(at, at + this.#block) };
    }
    if (after <= content.length) throw new DropError(code);
    return digestOf(this.#digest, content);
  }

  readTogether(files: readonly FileEntry[]): (Whole | DropError)[] {
    return files.map(({ path }) => {
      const bytes = this.#content(path);
      const { after, code } = this.#spoil[path] ?? { after: bytes.length + 1, code: 'changed' };
      return after <= bytes.length
        ? new DropError(code)
        : { bytes, digest: digestOf(this.#digest, bytes) };
    });
  }

  arrived(): void {}

  async digest({ path }: FileEntry): Promise<Uint8Array> {
    return digestOf(this.#digest, this.#content(path));
  }

  async close(): Promise<void> {}

  #content(path: string): Uint8Array {
    const content = this.#tree[path];
    if (!(content instanceof Uint8Array)) throw new DropError('missing', { path });
    return content;
  }
}

/**
 * Where files land, in memory. What is stored and what is kept survive a broken transfer; an inbox
 * that is opened on them anew is what a process that starts again would open. `broken` makes
 * storing one of them fail after some bytes.
 */
export class MemoryInbox implements Inbox {
  readonly stored: Tree;
  readonly parts: Map<string, Uint8Array>;
  readonly broken: Record<string, { after: number; code: ErrorCode }> = {};
  free = Number.MAX_SAFE_INTEGER;
  /** Whether files of one size are taken for the same, or are compared. */
  compares = false;
  readonly fresh: boolean = true;
  readonly memory = 0;
  /** Folders that are only made for something in them. */
  readonly #deferred = new Set<string>();
  /** What files are told by. */
  digest: DigestName = 'sha256';

  constructor(before?: MemoryInbox) {
    this.stored = before?.stored ?? {};
    this.parts = before?.parts ?? new Map();
  }

  connected(digest: DigestName): void {
    this.digest = digest;
  }

  async room(): Promise<number> {
    return this.free;
  }

  defer({ path }: FolderEntry): void {
    this.#deferred.add(path);
  }

  async place(entry: Entry, digest: () => Promise<Uint8Array | null>): Promise<Placement> {
    const parent = parentOf(entry.path);
    for (let at = parent; at !== '' && this.#deferred.delete(at); at = parentOf(at))
      this.stored[`${at}/`] ??= null;
    if (parent !== '' && this.stored[`${parent}/`] === undefined) throw new DropError('protocol');
    if (this.broken[entry.path]?.after === -1) throw new DropError('not-permitted');
    if (entry.kind === 'folder') this.stored[`${entry.path}/`] = null;
    if (entry.kind === 'link') this.stored[entry.path] = entry.target;
    if (!hasData(entry)) return { want: 'placed' };
    const stored = this.stored[entry.path];
    if (entry.kind === 'file' && stored instanceof Uint8Array && stored.length === entry.size) {
      if (!this.compares) return { want: 'nothing', reason: 'unchanged' };
      const theirs = await digest();
      if (theirs && Buffer.from(digestOf(this.digest, stored)).equals(theirs))
        return { want: 'nothing', reason: 'identical' };
    }
    const part = this.parts.get(entry.path);
    if (part === undefined || (entry.kind === 'file' && part.length > entry.size))
      return { want: 'all' };
    return { want: 'rest', size: part.length, digest: digestOf(this.digest, part) };
  }

  storeTogether(files: readonly WholeFile[]): Promise<(Stored | DropError)[]> {
    return Promise.all(files.map((file) => this.#store(file)));
  }

  async #store({ entry, bytes, digest }: WholeFile): Promise<Stored | DropError> {
    const copy = new Uint8Array(bytes);
    try {
      const file = await this.open(entry, 0);
      await file.write(copy);
      return await file.commit(digest);
    } catch (error) {
      if (error instanceof DropError) return error;
      throw error;
    }
  }

  async open({ path }: DataEntry, from: number): Promise<IncomingFile> {
    const { parts, stored, digest: algorithm } = this;
    const { after, code } = this.broken[path] ?? { after: Number.POSITIVE_INFINITY, code: 'disk' };
    parts.set(path, (parts.get(path) ?? new Uint8Array()).slice(0, from));
    const part = (): Uint8Array => parts.get(path) ?? new Uint8Array();
    return {
      get written() {
        return part().length;
      },
      async write(bytes) {
        parts.set(path, Buffer.concat([part(), bytes]));
        if (part().length > after) throw new DropError(code);
      },
      async commit(digest): Promise<Stored> {
        await new Promise((resolve) => setImmediate(resolve));
        const content = part();
        parts.delete(path);
        if (!Buffer.from(digestOf(algorithm, content)).equals(digest))
          throw new DropError('corrupt');
        stored[path] = new Uint8Array(content);
        return { path: `/inbox/${path}`, renamed: false };
      },
      async keep() {},
      async discard() {
        parts.delete(path);
      },
    };
  }

  async finish(): Promise<{ path: string; code: ErrorCode }[]> {
    return [];
  }

  async close(): Promise<void> {}
}
