import { DropError } from '../errors.ts';
import type { Pause } from '../transfer/pause.ts';

/**
 * Ends transfers of the `receive`, `send`, `share` or `get` to which it is given, or lets them rest:
 * the one that is named by what its events carry as `transfer`, or all that there are.
 */
export class Control {
  readonly #attached = new Set<Follow>();

  /** The other side is told. What of it came is kept, as when it breaks off. */
  cancel(transfer?: string): void {
    this.#order(transfer, 'cancel');
  }

  /**
   * Nothing more moves until `resume`; what is on its way still comes. The other side is told, and
   * waits for as long as both live. It holds when the connection is lost and made again.
   */
  pause(transfer?: string): void {
    this.#order(transfer, 'pause');
  }

  resume(transfer?: string): void {
    this.#order(transfer, 'resume');
  }

  /** @internal */
  attach(follow: Follow): () => void {
    this.#attached.add(follow);
    return () => this.#attached.delete(follow);
  }

  #order(transfer: string | undefined, order: Order): void {
    for (const follow of this.#attached) follow(order, transfer);
  }
}

/** @internal */
export type Order = 'cancel' | 'pause' | 'resume';

type Follow = (order: Order, transfer?: string) => void;

/**
 * @internal
 * Has the one transfer of a `send` or `get` follow a control; `of` knows it as soon as there is one.
 * The signal is aborted when it is cancelled.
 */
export function followOne(
  control: Control | undefined,
  of: () => { readonly transfer: string | null; readonly pause: Pause } | undefined,
): { readonly signal: AbortSignal; readonly detach: () => void } {
  const stopped = new AbortController();
  const detach = control?.attach((order, transfer) => {
    const followed = of();
    if (transfer !== undefined && transfer !== followed?.transfer) return;
    if (order === 'cancel')
      stopped.abort(new DropError('cancelled', { message: 'You stopped it.' }));
    else if (followed !== undefined) followed.pause.on = order === 'pause';
  });
  return { signal: stopped.signal, detach: detach ?? (() => {}) };
}
