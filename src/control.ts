/** Ends single transfers of a `receive` or `share` to which it is given; the others go on. */
export class Control {
  readonly #attached = new Set<(transfer: string) => void>();

  /** The other side is told. What of it came is kept, as when it breaks off. */
  cancel(transfer: string): void {
    for (const cancel of this.#attached) cancel(transfer);
  }

  /** @internal */
  attach(cancel: (transfer: string) => void): () => void {
    this.#attached.add(cancel);
    return () => this.#attached.delete(cancel);
  }
}
