import { randomInt } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Awake } from './awake.ts';
import { Hashers } from './disk/hashers.ts';
import { defaultDownloads } from './disk/home.ts';
import { checkTarget, type OnConflict } from './disk/inbox.ts';
import { markHere } from './disk/mark.ts';
import { openStagings } from './disk/staging.ts';
import { DropError } from './errors.ts';
import type { ReceiveEvent } from './events.ts';
import { Allowance, Guests, Patience } from './guests.ts';
import { CODE_LIMITS, MAX_PIN, MIN_PIN } from './limits.ts';
import { isAmong } from './net/links.ts';
import type { Announcer, HeardKnock } from './net/mdns.ts';
import { PORTS } from './net/ports.ts';
import { newRun } from './net/run.ts';
import { Survey } from './net/survey.ts';
import type { Connection } from './net/tls.ts';
import type { Outreach, Stranger } from './outreach.ts';
import type { Card } from './protocol/card.ts';
import { CodeGuard, isPin } from './protocol/code.ts';
import { type CommonOptions, openSelf } from './self.ts';
import { follow } from './transfer/follow.ts';
import { Transfers } from './transfers.ts';
import { Visibility } from './visibility.ts';
import { type Accept, ended, type House, host } from './visit.ts';

/** The port of an address that names none. */
export { DEFAULT_PORT } from './net/ports.ts';

export interface ReceiveOptions extends CommonOptions {
  /** Where files land; by default the person's folder for downloads. */
  readonly into?: string | undefined;
  /** This device, as others see it. */
  readonly name?: string | undefined;
  /** The only port to listen on; by default the first free one of 23767 to 23776, or any. */
  readonly port?: number | undefined;
  /** Ends after one transfer that came to its end. */
  readonly once?: boolean | undefined;
  /** The name under which a single incoming file is saved. */
  readonly as?: string | undefined;
  /** What happens to a file when another one of its name is there; by default both are kept. */
  readonly onConflict?: OnConflict | undefined;
  /** Whether new devices are let in, by the code of the `ready` event; true by default. */
  readonly newcomers?: boolean | undefined;
  /**
   * Lets new devices in by a PIN instead of the code, which is good for any number of them: this
   * one, of at least eight characters, or (`true`) eight digits that are drawn and told in `ready`.
   * Where `accept` is missing, known devices that are not `auto` are let in by it, too.
   */
  readonly pin?: string | true | undefined;
  /**
   * Lets everyone in, without any proof of who it is. `ask`: `accept` is asked about each of them;
   * `capped`: nobody is, and they may leave 100 files and folders and 1 GiB at a time.
   */
  readonly open?: 'ask' | 'capped' | undefined;
  /**
   * Ten wrong codes lock new devices out until the promise that this returns is fulfilled, as a
   * person has seen it; without it, for an hour.
   */
  readonly unlock?: ((signal: AbortSignal) => Promise<void>) | undefined;
  /**
   * Asked about what known devices offer, unless they are trusted to be `auto`; without it only
   * these are let in. The signal says that the sender waits no more.
   */
  readonly accept?: Accept | undefined;
  /**
   * Asked whether to dial a device that we do not know and that cannot dial us, because of a
   * firewall here; it needs the code all the same. Without it only known ones are dialled.
   */
  readonly agree?: ((stranger: Stranger, signal: AbortSignal) => Promise<boolean>) | undefined;
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
  emit: (event: ReceiveEvent) => void,
  outer: AbortSignal,
): Promise<void> {
  const { into = await defaultDownloads(), port, once = false, newcomers = true } = options;
  const self = await openSelf(options);
  await checkTarget(into); // So that what is wrong with the folder is said now.
  const stagings = await openStagings(self.home);
  await stagings.clear().catch(() => {}); // What cannot be cleared away is no reason to stop.
  const [{ listen }, { announce }] = await Promise.all([
    import('./net/tls.ts'),
    import('./net/mdns.ts'),
  ]);
  const shared = { interfaces: options.interfaces };

  const enough = new AbortController();
  const over = new AbortController();
  const ending = AbortSignal.any([outer, enough.signal, over.signal]);
  setMaxListeners(0, ending); // Each look at who may want us listens to it.
  const guard = newcomers && options.open === undefined ? makeGuard(options) : undefined;
  const transfers = new Transfers();
  const house: House = {
    self,
    options: { ...options, into },
    guard,
    guardsApart: new Map(),
    guests: new Guests(),
    strangers: new Guests(),
    patience: new Patience(),
    allowance: new Allowance(),
    stagings,
    hashers: new Hashers(),
    transfers,
    awake: new Awake(),
    mark: markHere(),
    emit,
    showGuard: guard ? showing(guard, options.unlock, emit, ending) : () => {},
    finished() {
      if (once) enough.abort();
    },
    enough: enough.signal,
  };
  setMaxListeners(0, outer, enough.signal); // Each visit listens to them.

  const card: Card = { run: newRun(), name: self.name, part: 'announcer' };
  const visits = new Set<Promise<unknown>>();
  const receiveVisit = (connection: Connection, line?: Card): Promise<boolean> => {
    const visit = host(house, connection, outer, line).finally(() => visits.delete(visit));
    visits.add(visit);
    return visit;
  };
  const listener = await listen(port === undefined ? PORTS : [port], self.identity, {
    card,
    onConnection: (connection) => void receiveVisit(connection),
    admits: (local) => isAmong(local, shared.interfaces),
  });
  const survey = new Survey();
  let outreach: Outreach | undefined;
  const onKnock = (knock: HeardKnock): void => outreach?.knocked(knock);
  // Some receivers run for months.
  const clearing = setInterval(() => void stagings.clear().catch(() => {}), CLEAR_EVERY);
  const visibility = new Visibility({ ...shared, survey, port: listener.port, tell: emit });
  let announcer: Announcer | undefined;
  try {
    announcer = announce(
      { name: self.name, run: card.run, port: listener.port },
      { ...shared, survey, onKnock },
    );
    // Loaded when we are announced, which nobody should wait for.
    const { Outreach } = await import('./outreach.ts');
    outreach = new Outreach(self, {
      ...shared,
      agree: newcomers ? options.agree : undefined,
      host: (line) => receiveVisit(line, card),
      survey,
      signal: ending,
    });
    emit({
      event: 'ready',
      name: self.name,
      id: self.identity.id,
      port: listener.port,
      addresses: visibility.addresses(),
      code: typeof options.pin === 'string' ? null : (guard?.code ?? null),
      pin: guard?.kind === 'pin',
      open: options.open !== undefined,
      into,
    });
    await ended(AbortSignal.any([outer, enough.signal]));
  } finally {
    clearInterval(clearing);
    visibility.close();
    over.abort();
    listener.close();
    try {
      await Promise.all([announcer?.close(), outreach?.closed(), ...visits]);
    } finally {
      await transfers.close();
    }
  }
}

/** How often parts are cleared away that nobody came back for, in milliseconds. */
const CLEAR_EVERY = 24 * 3_600_000;

/** Judges the code, or the PIN, of which nobody but the person who chose it needs to be told. */
function makeGuard({ pin, unlock }: ReceiveOptions): CodeGuard {
  const limits = unlock ? { ...CODE_LIMITS, lock: Number.POSITIVE_INFINITY } : CODE_LIMITS;
  if (pin === undefined) return new CodeGuard(() => drawDigits(6), limits);
  if (typeof pin === 'string' && !isPin(pin))
    throw new DropError('usage', {
      message: 'The PIN is too short or too long.',
      hint: `It needs ${MIN_PIN} to ${MAX_PIN} characters, blanks and dashes not counted.`,
    });
  return new CodeGuard(() => (pin === true ? drawDigits(MIN_PIN) : pin), limits, 'pin');
}

/** Tells what has become of the code, and ends a lock when it is time. */
function showing(
  guard: CodeGuard,
  unlock: ReceiveOptions['unlock'],
  emit: (event: ReceiveEvent) => void,
  signal: AbortSignal,
): () => void {
  let shown = guard.code;
  let locked = false;
  const open = (): void => {
    locked = false;
    guard.unlock();
    emit({ event: 'unlocked' });
    show();
  };
  const show = (): void => {
    if (guard.lockedUntil === undefined) {
      if (guard.code !== shown) emit({ event: 'code', code: guard.code });
      shown = guard.code;
    } else if (!locked) {
      locked = true;
      const timed = Number.isFinite(guard.lockedUntil);
      emit({ event: 'locked', for: timed ? CODE_LIMITS.lock : null });
      const over = unlock?.(signal) ?? sleep(CODE_LIMITS.lock, undefined, { signal });
      over.then(open, () => {}); // It ends with everything else.
    }
  };
  return show;
}

/** So many digits, all equally likely, leading zeros kept. */
function drawDigits(count: number): string {
  return String(randomInt(10 ** count)).padStart(count, '0');
}
