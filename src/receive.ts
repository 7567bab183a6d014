import type { PeerId, ReceiveEvent } from './events.ts';
import { Awake } from './handover/awake.ts';
import type { Control } from './handover/control.ts';
import type { Hatch } from './handover/hatch.ts';
import { Saving, type SavingOptions } from './handover/saving.ts';
import { type Accept, type Received, takeIn } from './handover/take-in.ts';
import { Transfers } from './handover/transfers.ts';
import { MAX_STAGINGS, STRANGER_IDLE, VISITOR_IDLE } from './limits.ts';
import { Allowance, OpenOffers, Patience } from './meeting/guests.ts';
import { bePresent, type PresenceOptions } from './meeting/presence.ts';
import { openSelf } from './meeting/self.ts';
import type { Guest } from './meeting/visit.ts';
import { follow } from './transfer/follow.ts';

/** The port of an address that names none. */
export { DEFAULT_PORT } from './net/ports.ts';

export interface ReceiveOptions extends PresenceOptions, SavingOptions {
  /** Ends after one transfer that came to its end; with a sink it always does. */
  readonly once?: boolean | undefined;
  /**
   * Lets everyone in, without any proof of who it is. `ask`: `accept` is asked about each of them;
   * `capped`: nobody is, and they may leave 100 files and folders and 1 GiB at a time.
   */
  readonly open?: 'ask' | 'capped' | undefined;
  /**
   * Asked about what known devices offer, unless they are trusted to be `auto`; without it only
   * these are let in, and with a `pin` all who know it. The signal says that the sender waits no
   * more.
   */
  readonly accept?: Accept | undefined;
  /** Ends one transfer, or lets it rest, while the others go on. */
  readonly control?: Control | undefined;
  /** Lets those in who have no `drop`, by a web page for instance. */
  readonly hatch?: Hatch | undefined;
  /** As `open`, for those who come by the hatch; by default `ask` where there is `accept`. */
  readonly visitors?: 'ask' | 'capped' | undefined;
}

/**
 * Announces this device and stores what others send, until the signal is aborted. What goes
 * wrong with one sender is told as an event and concerns no other; it throws only if it cannot
 * begin.
 */
export function receive(options: ReceiveOptions = {}): AsyncGenerator<ReceiveEvent, void> {
  return follow((emit, signal) => receiveAll(options, emit, signal), options.signal);
}

async function receiveAll(
  options: ReceiveOptions,
  tell: (event: ReceiveEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const { open, accept, control, hatch } = options;
  const once = options.once || options.sink !== undefined;
  const self = await openSelf(options);
  const saving = await Saving.prepare(self, options, signal);
  const emit = saving.recording(tell);
  const transfers = new Transfers<Received>();
  const enough = new AbortController();
  void saving.spent.then(() => enough.abort());
  const intake = {
    self,
    open,
    accept,
    saving,
    transfers,
    patience: new Patience(),
    refusals: new Patience(),
    allowance: new Allowance(),
    offers: new OpenOffers(),
    awake: new Awake(),
    emit,
    keeps: saving.keeps,
    idle: STRANGER_IDLE,
    finished: () => {
      if (once) enough.abort();
    },
  };
  const detach = control?.attach(transfers.follow);
  const { visitors = accept ? 'ask' : 'capped' } = options;
  const unvouched = { ...intake, open: visitors, keeps: false, idle: VISITOR_IDLE };
  /** Visitors of this run who were let in, those last who came last. */
  const visited = new Set<PeerId>();
  const remember = ({ id }: Guest): void => {
    visited.delete(id);
    visited.add(id);
    const [oldest] = visited;
    if (visited.size > MAX_STAGINGS && oldest !== undefined) visited.delete(oldest);
  };
  try {
    await bePresent(
      self,
      {
        way: 'send',
        open: open !== undefined,
        // Where nobody can be asked, the PIN is what answers for whoever is not trusted to come freely.
        needsPin: (_, trust) => accept === undefined && trust !== 'auto',
        serve: (caller, guest, begun) => takeIn(intake, caller, guest, begun),
        hatch: hatch && {
          open: (inside) => hatch.open(inside),
          serve: (caller, guest, begun) =>
            takeIn(unvouched, caller, guest, () => {
              remember(guest);
              begun();
            }),
        },
        ready(at) {
          emit({ event: 'ready', ...at, open: open !== undefined, into: saving.into });
          // To find out takes a while, and nobody waits just now.
          setImmediate(() => saving.hashers.names);
        },
        tidy: () => saving.clear(),
      },
      options,
      emit,
      signal,
      enough.signal,
    );
  } finally {
    detach?.();
    await transfers.close();
    // What a visitor is known by ends with us: nobody can come back for it.
    await saving.forget(visited);
    await saving.close();
  }
}
