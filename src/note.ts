import { join } from 'node:path';
import { diskFailure, isSystemError } from './disk/failure.ts';
import { defaultHome, openHome } from './disk/home.ts';
import { readPrivate, Unfit, writePrivate } from './disk/private.ts';
import type { CommonOptions } from './meeting/self.ts';

/**
 * Something that the processes of one account leave for each other in the state folder, for nobody
 * else to read. `name` is the file's, without its ending. Throws `identity` where others could
 * write there, and what the disk says.
 */
export async function openNote(
  name: string,
  { home = defaultHome() }: Pick<CommonOptions, 'home'> = {},
): Promise<Note> {
  await openHome(home);
  return new Note(join(home, `${name}.json`));
}

/** One such text. Several processes may use it at once. */
export class Note {
  readonly #path: string;
  /** What stood there when it was read last, and so may be replaced: see `writePrivate`. */
  #replace: boolean | { readonly text: string } = false;

  constructor(path: string) {
    this.#path = path;
  }

  /** What stands there; undefined where nothing does, or nothing that could be believed. */
  async read(): Promise<string | undefined> {
    try {
      const text = await readPrivate(this.#path, MAX_NOTE);
      this.#replace = { text };
      return text;
    } catch (error) {
      if (!(error instanceof Unfit) && !isSystemError(error, 'ENOENT'))
        throw diskFailure(error, this.#path);
      this.#replace = error instanceof Unfit;
      return undefined;
    }
  }

  /** Puts a text in the place of what was read or written last; false if another process came first. */
  async write(text: string): Promise<boolean> {
    try {
      const isWritten = await writePrivate(this.#path, text, { replace: this.#replace });
      if (isWritten) this.#replace = { text };
      return isWritten;
    } catch (error) {
      throw diskFailure(error, this.#path);
    }
  }
}

/** Bytes; a few paths fit into it. */
const MAX_NOTE = 64 * 1024;
