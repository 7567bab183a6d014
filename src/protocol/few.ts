/**
 * A few things that come and go. It is used like a set, of which JavaScript keeps each table that
 * it outgrew for as long as the one before, and all that was in it: where a million things come and
 * go, that is more memory than all that is there.
 */
export class Few<T> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  has(item: T): boolean {
    return this.#items.includes(item);
  }

  add(item: T): void {
    if (!this.has(item)) this.#items.push(item);
  }

  /** Says whether it was there. */
  delete(item: T): boolean {
    const at = this.#items.indexOf(item);
    if (at === -1) return false;
    const last = this.#items.pop() as T;
    // Nothing is moved but the last one: there is no order.
    if (at < this.#items.length) this.#items[at] = last;
    return true;
  }

  /** Those that are there now, whoever comes or goes meanwhile. */
  [Symbol.iterator](): Iterator<T> {
    return [...this.#items][Symbol.iterator]();
  }
}
