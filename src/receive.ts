import { randomInt } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { Awake } from './awake.ts';
import { defaultDownloads } from './disk/home.ts';
import { checkTarget, type OnConflict } from './disk/inbox.ts';
import { openStagings } from './disk/staging.ts';
import type { Cause, HiddenEvent, ReceiveEvent } from './events.ts';
import { formatAddress, isLinkLocal } from './net/addresses.ts';
import { currentLinks, isAmong } from './net/links.ts';
import type { Announcer } from './net/mdns.ts';
import { PORTS } from './net/ports.ts';
import { newRun } from './net/run.ts';
import { likelyCause, Survey } from './net/survey.ts';
import type { Connection } from './net/tls.ts';
import type { Stranger } from './outreach.ts';
import type { Card } from './protocol/card.ts';
import { CodeGuard } from './protocol/code.ts';
import { type CommonOptions, openSelf } from './self.ts';
import { follow } from './transfer/follow.ts';
import { Transfers } from './transfers.ts';
import { type Accept, ended, Guests, type House, host } from './visit.ts';

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
  const [{ listen }, { announce }, { Outreach }] = await Promise.all([
    import('./net/tls.ts'),
    import('./net/mdns.ts'),
    import('./outreach.ts'),
  ]);

  const enough = new AbortController();
  const guard = newcomers ? new CodeGuard(drawCode) : undefined;
  const guests = new Guests();
  const transfers = new Transfers();
  let shown = guard?.code;
  const house: House = {
    self,
    options: { ...options, into },
    guard,
    guests,
    stagings,
    transfers,
    awake: new Awake(),
    emit,
    showCode() {
      if (guard === undefined || guard.code === shown) return;
      shown = guard.code;
      emit({ event: 'code', code: shown });
    },
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
    admits: (local) => isAmong(local, options.interfaces),
  });
  const survey = new Survey();
  const over = new AbortController();
  const outreach = new Outreach(self, {
    interfaces: options.interfaces,
    agree: newcomers ? options.agree : undefined,
    host: (line) => receiveVisit(line, card),
    survey,
    signal: AbortSignal.any([outer, enough.signal, over.signal]),
  });
  // Some receivers run for months.
  const clearing = setInterval(() => void stagings.clear().catch(() => {}), CLEAR_EVERY);
  const tellHidden = onChange((hidden: HiddenEvent | undefined) => hidden && emit(hidden));
  const addresses = (): string[] => reachable(options, listener.port);
  const tellReachable = onChange(
    (now: string[]) => emit({ event: 'reachable', addresses: now }),
    addresses(),
  );
  const looking = setInterval(() => {
    tellHidden(hiddenBy(survey));
    tellReachable(addresses());
  }, LOOK_EVERY);
  let announcer: Announcer | undefined;
  try {
    announcer = announce(
      { name: self.name, run: card.run, port: listener.port },
      { interfaces: options.interfaces, survey, onKnock: (knock) => outreach.knocked(knock) },
    );
    emit({
      event: 'ready',
      name: self.name,
      id: self.identity.id,
      port: listener.port,
      addresses: addresses(),
      code: guard?.code ?? null,
      into,
    });
    await ended(AbortSignal.any([outer, enough.signal]));
  } finally {
    clearInterval(clearing);
    clearInterval(looking);
    over.abort();
    listener.close();
    await Promise.all([announcer?.close(), outreach.closed(), ...visits]);
    await transfers.close();
  }
}

/** How often to look whether and where others can find this device, in milliseconds. */
const LOOK_EVERY = 3_000;

/** Causes that keep this device out of the lists of others. */
const HIDING: ReadonlySet<Cause> = new Set(['port-taken', 'cannot-speak', 'cannot-hear']);

function hiddenBy(survey: Survey): HiddenEvent | undefined {
  const { cause, message } = likelyCause(survey.reports(), []);
  return HIDING.has(cause) ? { event: 'hidden', cause, message } : undefined;
}

/** Calls `tell` with what is said, unless it is the same as before. */
function onChange<T>(tell: (said: T) => void, first?: T): (said: T) => void {
  let before = JSON.stringify(first);
  return (said) => {
    const now = JSON.stringify(said);
    if (now !== before) tell(said);
    before = now;
  };
}

/** How often parts are cleared away that nobody came back for, in milliseconds. */
const CLEAR_EVERY = 24 * 3_600_000;

/** What others may type: a link-local address means something else to each, so only without others. */
function reachable({ interfaces }: ReceiveOptions, port: number): string[] {
  const all = currentLinks({ interfaces }).map(({ address }) => address);
  const global = all.filter((address) => !isLinkLocal(address));
  return (global.length > 0 ? global : all).map((host) => formatAddress({ host, port }));
}

/** Six digits, all equally likely, leading zeros kept. */
function drawCode(): string {
  return String(randomInt(1_000_000)).padStart(6, '0');
}
