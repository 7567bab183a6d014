import stringWidth from 'string-width';
import type { KnownPeer, PeerEvent } from '../index.ts';
import type { PeersOrder } from './arguments.ts';
import type { Context } from './context.ts';
import { formatTable, shortId } from './format.ts';
import { standingOf } from './words.ts';

/** Whoever is here answers within this time, in milliseconds. */
const LOOK_FOR = 2_500;

/** When somebody has answered, the others follow within this time. */
const QUIET_FOR = 1_000;

/** `drop peers`: a table of who is here and who is known, or with --watch who comes and goes. */
export async function peers(order: PeersOrder, context: Context): Promise<number> {
  const { face, io, library, stops, common } = context;
  const known = await library.knownPeers(common);
  for (const peer of known) face.show({ event: 'known', ...peer });

  if (order.watch) {
    for await (const event of library.discover(common)) {
      face.show(event);
      if (!order.json && event.event === 'peer') io.stdout.write(`${changeOf(event, context)}\n`);
    }
    return 0;
  }

  face.busy('Looking for devices...');
  const here = new Map<string, PeerEvent>();
  try {
    await lookAround(here, context);
    stops.signal.throwIfAborted();
  } finally {
    // What is known from before can be told without a network.
    face.busy('');
    if (!order.json && !stops.signal.aborted) print(here, known, context);
  }
  return 0;
}

/** Collects the devices that are here, for a short time. */
async function lookAround(
  here: Map<string, PeerEvent>,
  { face, library, common }: Context,
): Promise<void> {
  const enough = new AbortController();
  const end = (): void => enough.abort();
  const limit = setTimeout(end, LOOK_FOR);
  let quiet: NodeJS.Timeout | undefined;
  try {
    const signal = AbortSignal.any([common.signal, enough.signal]);
    for await (const event of library.discover({ ...common, signal })) {
      face.show(event);
      if (event.event !== 'peer') continue;
      const key = `${event.id} ${event.run}`;
      if (event.state === 'lost') here.delete(key);
      else here.set(key, event);
      clearTimeout(quiet);
      quiet = setTimeout(end, QUIET_FOR);
    }
  } finally {
    clearTimeout(limit);
    clearTimeout(quiet);
  }
}

function print(
  here: ReadonlyMap<string, PeerEvent>,
  known: readonly KnownPeer[],
  { io, face, library, words }: Context,
): void {
  const present = [...here.values()];
  const trust = new Map(known.map((peer) => [peer.id, peer.trust]));
  const rows = [
    ...present.map((peer) => [
      words.name(peer),
      standingOf(peer.standing, words.name(peer)) + (trust.get(peer.id) === 'auto' ? ', auto' : ''),
      shortId(peer.id),
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
  if (rows.length === 0) {
    face.say('No device is ready here, and none is known. Is `drop receive` running there?');
    return;
  }
  const table = formatTable([['NAME', 'STATUS', 'ID', 'ADDRESS'], ...rows], stringWidth);
  for (const line of table) io.stdout.write(`${line}\n`);
}

/** One device that came or went, in one line. */
function changeOf(event: PeerEvent, { library, words }: Context): string {
  const name = words.name(event);
  const what = event.state === 'lost' ? 'gone' : `here, ${standingOf(event.standing, name)}`;
  const address = library.forTerminal(event.addresses[0] ?? '');
  return [name, what, shortId(event.id), address].join('  ').trimEnd();
}
