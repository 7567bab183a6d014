import { randomInt } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { DropError } from '../errors.ts';
import type { HiddenEvent, PresenceEvent, ReachableEvent, Whereabouts } from '../events.ts';
import { CODE_LIMITS, MAX_PIN, MIN_PIN } from '../limits.ts';
import { isAmong } from '../net/links.ts';
import type { Announcer, HeardKnock } from '../net/mdns.ts';
import { PORTS } from '../net/ports.ts';
import { newRun } from '../net/run.ts';
import { Survey } from '../net/survey.ts';
import type { Connection } from '../net/tls.ts';
import type { Card } from '../protocol/card.ts';
import { CodeGuard, isPin } from '../protocol/code.ts';
import { Guests, Patience } from './guests.ts';
import type { Outreach, Stranger } from './outreach.ts';
import type { CommonOptions, Self } from './self.ts';
import { ended } from './signals.ts';
import { Visibility } from './visibility.ts';
import { type House, host, type VisitEvent } from './visit.ts';

/** What every function can be told that announces this device, for others to choose it. */
export interface PresenceOptions extends CommonOptions {
  /** This device, as others see it. */
  readonly name?: string | undefined;
  /** The only port to listen on; by default the first free one of 23767 to 23776, or any. */
  readonly port?: number | undefined;
  /** Whether new devices are let in, by the code of the `ready` event; true by default. */
  readonly newcomers?: boolean | undefined;
  /**
   * Lets new devices in by a PIN instead of the code, which is good for any number of them: this
   * one, of at least eight characters, or (`true`) eight digits that are drawn and told in `ready`.
   */
  readonly pin?: string | true | undefined;
  /**
   * Ten wrong codes lock new devices out until the promise that this returns is fulfilled, as a
   * person has seen it; without it, for an hour.
   */
  readonly unlock?: ((signal: AbortSignal) => Promise<void>) | undefined;
  /**
   * Asked whether to dial a device that we do not know and that cannot dial us, because of a
   * firewall here; it needs the code all the same. Without it only known ones are dialled.
   */
  readonly agree?: ((stranger: Stranger, signal: AbortSignal) => Promise<boolean>) | undefined;
}

/** What those get who come, and how they are let in. */
export interface Service extends Pick<House, 'way' | 'open' | 'needsPin' | 'serve'> {
  /** We can be chosen from now on. */
  readonly ready: (at: Whereabouts) => void;
  /** Another way in, for whom nobody vouches, and what is done for those who come by it. */
  readonly hatch?:
    | {
        readonly open: (inside: Inside) => () => void;
        readonly serve: House['serve'];
      }
    | undefined;
  /** Done once a day: some processes run for months. */
  readonly tidy?: () => Promise<void>;
}

/** What a presence does for whoever comes by a way of their own. */
export interface Inside {
  readonly self: Self;
  /** Takes in what comes; resolves when all is over. */
  readonly receive: (connection: Connection) => Promise<unknown>;
}

/**
 * Announces this device and serves whoever comes, until `outer` is aborted, or until `enough` is and
 * what runs has come to its end. What goes wrong with one peer concerns no other; it throws only
 * if it cannot begin.
 */
export async function bePresent(
  self: Self,
  { way, open, needsPin, serve, hatch, ready, tidy }: Service,
  options: PresenceOptions,
  emit: (event: PresenceEvent | VisitEvent | HiddenEvent | ReachableEvent) => void,
  outer: AbortSignal,
  enough: AbortSignal,
): Promise<void> {
  const { port, newcomers = true } = options;
  const [{ listen }, { announce }] = await Promise.all([
    import('../net/tls.ts'),
    import('../net/mdns.ts'),
  ]);
  const shared = { interfaces: options.interfaces };

  const over = new AbortController();
  const ending = AbortSignal.any([outer, enough, over.signal]);
  // Each look at who may want us listens to it, and each visit to the others.
  setMaxListeners(0, outer, enough, ending);
  const guard = newcomers && !open ? makeGuard(options) : undefined;
  const front: House = {
    self,
    way,
    guard,
    guardsApart: new Map(),
    guests: new Guests(),
    strangers: new Guests(),
    failures: new Patience(),
    open,
    needsPin,
    emit,
    showGuard: guard ? showing(guard, options.unlock, emit, ending) : () => {},
    serve,
    enough,
  };

  const card: Card = { run: newRun(), name: self.name, part: 'announcer', way };
  const visits = new Set<Promise<unknown>>();
  const receiveVisit = (
    connection: Connection,
    line?: Card,
    house: House = front,
  ): Promise<boolean> => {
    const visit = host(house, connection, outer, line).finally(() => visits.delete(visit));
    visits.add(visit);
    return visit;
  };
  let outreach: Outreach | undefined;
  const listener = await listen(port === undefined ? PORTS : [port], self.identity, {
    card,
    onConnection(connection) {
      outreach?.came(connection.peer);
      void receiveVisit(connection);
    },
    admits: (local) => isAmong(local, shared.interfaces),
  });
  const survey = new Survey();
  const onKnock = (knock: HeardKnock): void => outreach?.knocked(knock);
  const tidying = setInterval(() => void tidy?.(), TIDY_EVERY);
  let shut: (() => void) | undefined;
  let visibility: Visibility | undefined;
  let announcer: Announcer | undefined;
  try {
    shut = hatch?.open({
      self,
      receive: (connection) =>
        receiveVisit(connection, undefined, {
          ...front,
          ...{ guard: undefined, open: true, showGuard: () => {}, serve: hatch.serve },
        }),
    });
    visibility = new Visibility({ ...shared, survey, port: listener.port, tell: emit });
    announcer = announce(
      { name: self.name, run: card.run, port: listener.port, way },
      { ...shared, survey, onKnock },
    );
    // Loaded when we are announced, which nobody should wait for.
    const { Outreach } = await import('./outreach.ts');
    outreach = new Outreach(self, {
      ...shared,
      way,
      agree: newcomers ? options.agree : undefined,
      host: (line) => receiveVisit(line, card),
      survey,
      signal: ending,
    });
    ready({
      name: self.name,
      id: self.identity.id,
      port: listener.port,
      addresses: visibility.addresses(),
      code: typeof options.pin === 'string' ? null : (guard?.code ?? null),
      pin: guard?.kind === 'pin',
    });
    await ended(outer, enough);
  } finally {
    shut?.();
    clearInterval(tidying);
    visibility?.close();
    over.abort();
    listener.close();
    await Promise.all([announcer?.close(), outreach?.closed(), ...visits]);
  }
}

/** Milliseconds. */
const TIDY_EVERY = 24 * 3_600_000;

/** Judges the code, or the PIN, of which nobody but the person who chose it needs to be told. */
function makeGuard({ pin, unlock }: PresenceOptions): CodeGuard {
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
  unlock: PresenceOptions['unlock'],
  emit: (event: PresenceEvent) => void,
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
