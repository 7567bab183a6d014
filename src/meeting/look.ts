import { setTimeout as sleep } from 'node:timers/promises';
import type { PeerId } from '../events.ts';
import { type Address, onLink } from '../net/addresses.ts';
import { latest } from '../net/latest.ts';
import { isOwnAddress, listLinks } from '../net/links.ts';
import type { BrowseOptions } from '../net/mdns.ts';
import { merge } from '../net/merge.ts';
import { Porch } from '../net/porch.ts';
import { FIRST_PORTS } from '../net/ports.ts';
import { newRun } from '../net/run.ts';
import { scan } from '../net/scan.ts';
import type { Survey } from '../net/survey.ts';
import type { Sighting } from '../net/watch.ts';
import type { Way } from '../protocol/card.ts';
import type { CommonOptions, LookOptions, Self } from './self.ts';

/** All that may lead to a peer, until the signal is aborted. */
export async function* look(
  self: Self,
  { interfaces, scan: scans }: LookOptions,
  { porch, survey, signal }: { porch: Porch; survey: Survey; signal: AbortSignal },
): AsyncGenerator<Sighting, void> {
  yield* merge<Sighting>(
    signal,
    (stop) => announced({ interfaces, survey, signal: stop }),
    (stop) => remembered(self, stop),
    (stop) => lines(porch, stop),
    ...(scans ? [(stop: AbortSignal) => scanned(interfaces, stop)] : []),
  );
}

/** Where devices come that we know, or that we knocked at, if we cannot dial them. */
export function makePorch(self: Self, way: Way, { interfaces }: CommonOptions): Porch {
  const { identity, trust, name } = self;
  return new Porch(identity, {
    card: { run: newRun(), name, part: 'chooser', way },
    interfaces,
    async welcomes({ id }, remote) {
      if (id === identity.id) return isOwnAddress(remote);
      const known = await trust.get(id);
      return known !== undefined && known.trust !== 'blocked';
    },
  });
}

async function* announced(options: BrowseOptions): AsyncGenerator<Sighting, void> {
  const { browse } = await import('../net/mdns.ts');
  yield* browse(options);
}

/** How often a known device is looked for where it was, in milliseconds. */
const AGAIN = 20_000;

/** How long after a scan until the next, in milliseconds: some networks take it for an attack. */
const SCAN_AGAIN = 60_000;

/** Devices that are looked for where they were, those met last. Bounds what is dialled in vain. */
const MAX_REMEMBERED = 16;

/** Addresses of each. */
const MAX_PLACES = 3;

/** A place where a known device was met. */
interface KnownPlace {
  readonly id: PeerId;
  readonly address: Address;
}

/** Where the devices that we know and do not block were met last. */
async function knownPlaces({ book, trust }: Self): Promise<KnownPlace[]> {
  const welcome = (await trust.all()).filter((peer) => peer.trust !== 'blocked');
  const ids = new Set(welcome.map(({ id }) => id));
  const met = (await book.all()).filter(({ id }) => ids.has(id)).slice(0, MAX_REMEMBERED);
  return met.flatMap(({ id, addresses }) =>
    addresses
      .filter(({ host }) => !isOwnAddress(host))
      .slice(0, MAX_PLACES)
      .map((address) => ({ id, address })),
  );
}

/** Those of them that lie in one of our own networks. */
export async function placesNearby(self: Self, options: CommonOptions): Promise<KnownPlace[]> {
  const near = listLinks(options).map(onLink);
  const places = await knownPlaces(self);
  return places.filter(({ address }) => near.some((isNear) => isNear(address.host)));
}

async function* remembered(self: Self, signal: AbortSignal): AsyncGenerator<Sighting, void> {
  while (!signal.aborted) {
    for (const { id, address } of await knownPlaces(self)) {
      yield { heard: 'place', id, address };
      // It may be started anew, and then listen where it does by default, or beside another one.
      for (const port of FIRST_PORTS)
        if (address.port !== port) yield { heard: 'place', id, address: { ...address, port } };
    }
    await sleep(AGAIN, undefined, { signal }).catch(() => {});
  }
}

async function* scanned(
  interfaces: readonly string[] | undefined,
  signal: AbortSignal,
): AsyncGenerator<Sighting, void> {
  while (!signal.aborted) {
    for await (const address of scan({ interfaces, signal })) yield { heard: 'place', address };
    await sleep(SCAN_AGAIN, undefined, { signal }).catch(() => {});
  }
}

async function* lines(porch: Porch, signal: AbortSignal): AsyncGenerator<Sighting, void> {
  const news = latest<Sighting>();
  let count = 0;
  const stop = porch.onLine(({ card, connection }) => {
    news.put(String(count++), { heard: 'line', card, over: connection.over });
  });
  // Node keeps a signal that is made of others, and all that listens to it, until nothing does.
  const end = (): void => news.end();
  signal.addEventListener('abort', end);
  if (signal.aborted) end();
  try {
    yield* news;
  } finally {
    signal.removeEventListener('abort', end);
    stop();
  }
}
