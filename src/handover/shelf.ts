import { closeSync, openSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { diskFailure } from '../disk/failure.ts';
import { ensureOffered, READ_FLAGS, READING, readBlock } from '../disk/offered.ts';
import { openTree, type Tree, unsendableFor } from '../disk/tree.ts';
import { MAX_CHUNK } from '../limits.ts';
import type { FileEntry, FolderEntry, LinkEntry } from '../protocol/manifest.ts';
import type { Unsendable } from '../transfer/outbox.ts';

export interface ShelfOptions {
  /** As for `send`. */
  readonly exclude?: readonly string[] | undefined;
}

/** Something on a shelf: a file, a folder, a link, or what cannot be handed out, and why. */
export type ShelfEntry = FileEntry | FolderEntry | LinkEntry | Unsendable;

/** A part of a file, in bytes: from there on, to before there. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/**
 * Files and folders from which anybody may be handed what they ask for, file by file and as often as
 * they like. Names, links and what is left out are as in a transfer. Nothing of it is remembered:
 * each call looks at the disk.
 */
export interface Shelf {
  /** The names at the top, no two alike. */
  readonly roots: readonly string[];

  /** What is at a path now: names joined with `/`, the first one a root. Undefined if that is nothing. */
  find(path: string): Promise<ShelfEntry | undefined>;

  /** What lies in a folder, without what its folders hold; by default, the roots. */
  list(folder?: FolderEntry): AsyncIterable<ShelfEntry>;

  /** All that lies there, or in a folder, each folder before what it holds. */
  walk(folder?: FolderEntry): AsyncIterable<ShelfEntry>;

  /**
   * A part of a file that was found, by default all of it, in blocks of at most 256 KiB, which are
   * read when they are asked for. Throws `changed` before the last one if the file is not the one that
   * was found or is written to meanwhile, or lies behind a link by now; `missing` or `unreadable`.
   */
  read(file: FileEntry, part?: Range): AsyncIterable<Uint8Array>;
}

/**
 * Opens the files and folders at `paths`; where they lead, through links too, is looked up now. Throws
 * `missing` or `unreadable` if one of them is not there; `usage` if a pattern is none.
 */
export async function openShelf(
  paths: readonly string[],
  { exclude }: ShelfOptions = {},
): Promise<Shelf> {
  return new DiskShelf(await openTree(paths, { exclude }));
}

class DiskShelf implements Shelf {
  readonly #tree: Tree;

  constructor(tree: Tree) {
    this.#tree = tree;
  }

  get roots(): readonly string[] {
    return this.#tree.roots;
  }

  async find(path: string): Promise<ShelfEntry | undefined> {
    const entry = await this.#tree.find(path);
    return entry && this.#readable(entry);
  }

  list(folder?: FolderEntry): AsyncIterable<ShelfEntry> {
    return this.#looked(this.#tree.list(folder?.path ?? ''));
  }

  walk(folder?: FolderEntry): AsyncIterable<ShelfEntry> {
    return this.#looked(this.#tree.entries(folder && [folder.path]));
  }

  async *read(
    entry: FileEntry,
    { from, to }: Range = { from: 0, to: entry.size },
  ): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      const file = await open(this.#tree.sourceOf(entry.path), READ_FLAGS);
      try {
        const opened = await file.stat();
        ensureOffered(entry, opened);
        this.#tree.ensureThere(entry.path, opened);
        for (let at = from; at < to; ) {
          // Memory of its own: whoever takes it may hold on to it.
          const block = Buffer.allocUnsafeSlow(Math.min(MAX_CHUNK, to - at));
          const bytes = await readBlock(entry, file, block, at, to);
          at += bytes.length;
          // With the last one it would be whole, and nobody would learn that it is not right.
          if (at >= to) ensureOffered(entry, await file.stat());
          yield bytes;
        }
      } finally {
        await file.close();
      }
    } catch (error) {
      throw diskFailure(error, entry.path, READING);
    }
  }

  async *#looked(entries: AsyncIterable<ShelfEntry>): AsyncGenerator<ShelfEntry, void, undefined> {
    for await (const entry of entries) yield this.#readable(entry);
  }

  /** A file that nobody may read would break off all that it is a part of. */
  #readable(entry: ShelfEntry): ShelfEntry {
    if (entry.kind !== 'file') return entry;
    try {
      closeSync(openSync(this.#tree.sourceOf(entry.path), READ_FLAGS));
      return entry;
    } catch (error) {
      return unsendableFor(error, entry.path);
    }
  }
}
