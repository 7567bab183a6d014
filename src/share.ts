import { openOutbox } from './disk/outbox.ts';
import { DropError } from './errors.ts';
import type { PeerId, ShareEvent } from './events.ts';
import { Awake } from './handover/awake.ts';
import type { Control } from './handover/control.ts';
import type { Compress } from './handover/deliver.ts';
import { type AcceptFetch, type Counter, type Given, handOut } from './handover/hand-out.ts';
import { type LentEntry, LentOutbox } from './handover/lent.ts';
import { Pace } from './handover/pace.ts';
import { Transfers } from './handover/transfers.ts';
import { SHOWN_ROOTS } from './limits.ts';
import { Patience } from './meeting/guests.ts';
import { bePresent, type PresenceOptions } from './meeting/presence.ts';
import { openSelf } from './meeting/self.ts';
import { follow } from './transfer/follow.ts';
import type { Outbox } from './transfer/outbox.ts';

export interface ShareOptions extends PresenceOptions {
  /** Ends after one fetch that came to its end. */
  readonly once?: boolean | undefined;
  /** Whether every known device may fetch without a question. */
  readonly freely?: boolean | undefined;
  /**
   * Asked whether a known device may fetch, unless it has given the code or PIN of this run or is
   * trusted to be `auto`; without it only these are let in. The signal says that it waits no more.
   */
  readonly accept?: AcceptFetch | undefined;
  /** As for `send`. */
  readonly exclude?: readonly string[] | undefined;
  /** What does not lie on this disk and is shared instead of paths. */
  readonly lent?: readonly LentEntry[] | undefined;
  /** As for `send`. */
  readonly compress?: Compress | undefined;
  /** How many bytes a second go over the network at most, in all fetches together. */
  readonly limit?: number | Pace | undefined;
  /** Ends one fetch, or lets it rest, while the others go on. */
  readonly control?: Control | undefined;
}

/**
 * Announces this device, and lets others fetch files and folders, several at once, until the signal
 * is aborted. What is shared is read anew for each of them. Strangers learn that something is
 * shared, and not what. What goes wrong with one peer is told as an event and concerns no other; it
 * throws only if it cannot begin.
 */
export function share(
  paths: readonly string[],
  options: ShareOptions = {},
): AsyncGenerator<ShareEvent, void> {
  return follow((emit, signal) => shareAll(paths, options, emit, signal), options.signal);
}

async function shareAll(
  paths: readonly string[],
  options: ShareOptions,
  emit: (event: ShareEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const { once = false, freely = false, accept, exclude, compress = 'auto', limit } = options;
  const { lent } = options;
  if (paths.length === 0 && lent === undefined)
    throw new DropError('usage', { message: 'There is nothing to share.' });
  const open = async (lacking = true): Promise<Outbox> =>
    lent === undefined ? openOutbox(paths, { exclude, lacking }) : new LentOutbox(lent);
  // What is wrong with a path is said now; later, one that is gone keeps nothing from the others.
  const outbox = await open(false);
  await outbox.close();
  const self = await openSelf(options);
  const transfers = new Transfers<Given>();
  const admitted = new Set<PeerId>();
  const enough = new AbortController();
  const counter: Counter = {
    self,
    open,
    compress,
    pace: typeof limit === 'number' ? new Pace(limit) : limit,
    freely,
    accept,
    admitted,
    transfers,
    patience: new Patience(),
    awake: new Awake(),
    emit,
    finished: () => {
      if (once) enough.abort();
    },
  };
  const detach = options.control?.attach(transfers.follow);
  try {
    await bePresent(
      self,
      {
        way: 'get',
        open: false,
        // One PIN for a whole class, whoever of it was met before.
        needsPin: (peer, trust) => trust !== 'auto' && !freely && !admitted.has(peer),
        serve: (caller, guest, begun) => handOut(counter, caller, guest, begun),
        ready: (at) => emit({ event: 'ready', ...at, roots: outbox.roots.slice(0, SHOWN_ROOTS) }),
      },
      options,
      emit,
      signal,
      enough.signal,
    );
  } finally {
    detach?.();
    await transfers.close();
  }
}
