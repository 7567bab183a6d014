import stringWidth from 'string-width';
import type {
  DiscoverEvent,
  KnownPeer,
  NothingEvent,
  PeerEvent,
  SilentEvent,
  SilentPeer,
} from '../index.ts';
import type { Context } from './context.ts';
import { explain } from './explanation.ts';
import { formatTable, shortId } from './format.ts';
import type { PeersOrder } from './orders.ts';
import { nameOf, SILENT, sharingOf, standingOf } from './words.ts';

/** Milliseconds to look; after somewhat less it is known why nobody is here. */
const LOOK_FOR = 4_500;

/** When somebody has answered, or it is known why nobody does, the others follow within this time. */
const QUIET_FOR = 1_000;

/** `drop peers`: a table of who is here and who is known, or with --watch who comes and goes. */
export async function peers(order: PeersOrder, context: Context): Promise<number> {
  const { face, io, library, stops, common } = context;
  const known = await library.knownPeers(common);
  for (const peer of known) face.show({ event: 'known', ...peer });

  if (order.watch) {
    const told = new Map<string, string>();
    for await (const event of library.discover({ ...common, scan: order.scan, who: 'all' })) {
      face.show(event);
      if (event.event === 'nothing') {
        sayWhy(event, context);
        continue;
      }
      const key = keyOf(event);
      const line = changeOf(event, context);
      // Addresses change that are not shown.
      if (!order.json && told.get(key) !== line) io.stdout.write(`${line}\n`);
      if (event.state === 'lost') told.delete(key);
      else told.set(key, line);
    }
    return 0;
  }

  face.busy('Looking for devices...');
  const around = new Around();
  try {
    await lookAround(around, order, context);
    stops.signal.throwIfAborted();
  } finally {
    // What is known from before can be told without a network.
    face.busy('');
    if (!order.json && !stops.signal.aborted) print(around, known, context);
  }
  return 0;
}

/** What was found so far. */
class Around {
  readonly here = new Map<string, PeerEvent>();
  readonly silent = new Map<string, SilentPeer>();
  /** Why no other device is here, if that is so. */
  nothing: NothingEvent | undefined;

  /** Returns whether it answers who is here: our own computer does not. */
  hear(event: DiscoverEvent): boolean {
    if (event.event === 'nothing') {
      this.nothing = event;
      return true;
    }
    const table: Map<string, object> = event.event === 'silent' ? this.silent : this.here;
    if (event.state === 'lost') table.delete(keyOf(event));
    else table.set(keyOf(event), event);
    if (event.event === 'silent' || event.standing === 'self') return false;
    if (event.state === 'found') this.nothing = undefined;
    return true;
  }
}

function keyOf(event: PeerEvent | SilentEvent): string {
  return event.event === 'silent' ? `silent ${event.run}` : `${event.id} ${event.run}`;
}

/** Collects the devices that are here, for a short time. */
async function lookAround(
  around: Around,
  { scan }: PeersOrder,
  { face, library, common }: Context,
): Promise<void> {
  const enough = new AbortController();
  const end = (): void => enough.abort();
  const limit = setTimeout(end, LOOK_FOR);
  let quiet: NodeJS.Timeout | undefined;
  try {
    const signal = AbortSignal.any([common.signal, enough.signal]);
    for await (const event of library.discover({ ...common, scan, signal, who: 'all' })) {
      face.show(event);
      if (!around.hear(event)) continue;
      clearTimeout(quiet);
      quiet = setTimeout(end, QUIET_FOR);
    }
  } finally {
    clearTimeout(limit);
    clearTimeout(quiet);
  }
}

function print(
  { here, silent, nothing }: Around,
  known: readonly KnownPeer[],
  context: Context,
): void {
  const { io, face, library, words } = context;
  const present = [...here.values()];
  const trust = new Map(known.map((peer) => [peer.id, peer.trust]));
  const rows = [
    ...present.map((peer) => [
      words.name(peer),
      [
        standingOf(peer.standing, words.name(peer)),
        ...(trust.get(peer.id) === 'auto' ? ['auto'] : []),
        ...sharingOf(peer, library.forTerminal),
      ].join(', '),
      shortId(peer.id),
      library.forTerminal(peer.addresses[0] ?? ''),
    ]),
    ...Array.from(silent.values(), (peer) => [
      words.name({ name: nameOf(peer) }),
      SILENT,
      '',
      library.forTerminal(peer.addresses[0] ?? ''),
    ]),
    ...known
      .filter(({ id }) => !present.some((peer) => peer.id === id))
      .map((peer) => [
        words.name(peer),
        peer.trust === 'blocked' ? 'blocked' : 'known, not here',
        shortId(peer.id),
        `last seen ${peer.lastSeen.slice(0, 10)}`,
      ]),
  ];
  if (rows.length > 0) {
    const table = formatTable([['NAME', 'STATUS', 'ID', 'ADDRESS'], ...rows], stringWidth);
    for (const line of table) io.stdout.write(`${line}\n`);
  }
  if (nothing !== undefined) sayWhy(nothing, context);
  else if (rows.length === 0) face.say('No device is ready here, and none is known.');
}

/** Why nobody is here: what was asked and heard, the likely cause, and what to try. */
function sayWhy(event: NothingEvent, { face, library }: Context): void {
  const { message, hint, asked } = explain(event, library.forTerminal);
  for (const sentence of [message, hint, asked]) face.say(sentence);
}

/** One device that came or went, in one line. */
function changeOf(event: PeerEvent | SilentEvent, { library, words }: Context): string {
  const address = library.forTerminal(event.addresses[0] ?? '');
  if (event.event === 'silent') {
    const what = event.state === 'lost' ? 'is gone, or answers now' : SILENT;
    return [words.name({ name: nameOf(event) }), what, address].join('  ').trimEnd();
  }
  const name = words.name(event);
  const standing = [standingOf(event.standing, name), ...sharingOf(event, library.forTerminal)];
  const what = event.state === 'lost' ? 'gone' : ['here', ...standing].join(', ');
  return [name, what, shortId(event.id), address].join('  ').trimEnd();
}
