/**
 * What is open of a long row of things that are numbered in order, by number. It is used like a
 * map, of which JavaScript keeps each table that it outgrew for as long as the one before: where a
 * million things come and go, that is more memory than all that is open.
 */
export class Window<T> {
  /** Slots for so many numbers in a row; only pages on which something is open. */
  readonly #pages = new Map<number, Page<T>>();
  #size = 0;

  /** How many are open. */
  get size(): number {
    return this.#size;
  }

  get(number: number): T | undefined {
    return this.#pages.get(pageOf(number))?.slots[number % PAGE];
  }

  set(number: number, value: T): void {
    const at = pageOf(number);
    let page = this.#pages.get(at);
    if (page === undefined) {
      page = { slots: [], open: 0 };
      this.#pages.set(at, page);
    }
    if (page.slots[number % PAGE] === undefined) {
      page.open += 1;
      this.#size += 1;
    }
    page.slots[number % PAGE] = value;
  }

  delete(number: number): void {
    const at = pageOf(number);
    const page = this.#pages.get(at);
    if (page?.slots[number % PAGE] === undefined) return;
    page.slots[number % PAGE] = undefined;
    page.open -= 1;
    this.#size -= 1;
    if (page.open === 0) this.#pages.delete(at);
  }

  /** All that are open, in order if they were opened in order. */
  *values(): Generator<T, void> {
    for (const { slots } of this.#pages.values())
      for (const value of slots) if (value !== undefined) yield value;
  }
}

interface Page<T> {
  readonly slots: (T | undefined)[];
  /** How many of them. */
  open: number;
}

/** Numbers on one page: enough to make few of them, and little to hold for a single one. */
const PAGE = 64;

function pageOf(number: number): number {
  return Math.floor(number / PAGE);
}
