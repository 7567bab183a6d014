import { randomInt } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { Awake } from './awake.ts';
import { defaultDownloads } from './disk/home.ts';
import { checkTarget, type OnConflict } from './disk/inbox.ts';
import { openStagings } from './disk/staging.ts';
import type { ReceiveEvent } from './events.ts';
import { isAmong } from './net/links.ts';
import type { Announcer, HeardKnock } from './net/mdns.ts';
import { PORTS } from './net/ports.ts';
import { newRun } from './net/run.ts';
import { Survey } from './net/survey.ts';
import type { Connection } from './net/tls.ts';
import type { Outreach, Stranger } from './outreach.ts';
import type { Card } from './protocol/card.ts';
import { CodeGuard } from './protocol/code.ts';
import { type CommonOptions, openSelf } from './self.ts';
import { follow } from './transfer/follow.ts';
import { Transfers } from './transfers.ts';
import { Visibility } from './visibility.ts';
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
  const [{ listen }, { announce }] = await Promise.all([
    import('./net/tls.ts'),
    import('./net/mdns.ts'),
  ]);
  const shared = { interfaces: options.interfaces };

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
    admits: (local) => isAmong(local, shared.interfaces),
  });
  const survey = new Survey();
  const over = new AbortController();
  const ending = AbortSignal.any([outer, enough.signal, over.signal]);
  setMaxListeners(0, ending); // Each look at who may want us listens to it.
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
      code: guard?.code ?? null,
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

/** Six digits, all equally likely, leading zeros kept. */
function drawCode(): string {
  return String(randomInt(1_000_000)).padStart(6, '0');
}
