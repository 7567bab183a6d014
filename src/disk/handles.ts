import { isSystemError } from './failure.ts';

/**
 * Counts what one transfer has open. Where the system lets this program open less than that, the
 * transfer does with less from then on, so that something is left for connections, too.
 */
export class Handles {
  #most = MAX_HANDLES;
  #open = 0;
  readonly #waiting: (() => void)[] = [];

  /** Opens something when there is room for it. Whoever closes it says so by `closed`. */
  async open<T>(open: () => T | Promise<T>): Promise<T> {
    for (;;) {
      while (this.#open >= this.#most)
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      this.#open += 1;
      try {
        return await open();
      } catch (error) {
        this.closed();
        if (this.#open === 0 || !isSystemError(error, 'EMFILE', 'ENFILE')) throw error;
        this.#most = Math.max(1, Math.floor(this.#open / 2));
      }
    }
  }

  /** The same without waiting; undefined if there is no room for it. */
  openAtOnce<T>(open: () => T): T | undefined {
    if (this.#open >= this.#most) return undefined;
    try {
      const opened = open();
      this.#open += 1;
      return opened;
    } catch (error) {
      if (isSystemError(error, 'EMFILE', 'ENFILE')) return undefined;
      throw error;
    }
  }

  closed(): void {
    this.#open -= 1;
    this.#waiting.shift()?.();
  }
}

/** Handles at once; macOS gives a process 256. */
const MAX_HANDLES = 128;
