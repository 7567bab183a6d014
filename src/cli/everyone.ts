import { formatNames } from '../figures.ts';
import type { Peer } from '../index.ts';
import { leftOr, whatOf } from './approach.ts';
import type { Context } from './context.ts';
import type { SendOrder } from './orders.ts';

/** Milliseconds to look for those who are not here yet. */
const LOOK_FOR = 4_500;

/**
 * The known devices that are here, each once; the person has agreed to that, if there is one.
 * Never new, blocked or silent ones, no copy of this computer's key, nor this computer itself.
 */
export async function findEveryone(
  { paths, scan }: SendOrder,
  context: Context,
): Promise<readonly Peer[]> {
  const { library, face, asker, common } = context;
  face.busy('Looking for known devices...');
  const here = await lookForKnown(scan, context);
  if (here.length === 0)
    throw new library.DropError('not-found', {
      message: 'No known device is ready on this network.',
    });
  const names = formatNames(here.map((peer) => context.words.name(peer)));
  if (asker === undefined) return here;
  face.busy('');
  const question = `Send ${whatOf(paths, context)} to ${names}?`;
  const agreed = await face
    .standBack(() => asker.confirm(question, common.signal))
    .catch((error) => {
      throw leftOr(error, context);
    });
  if (agreed) return here;
  throw new library.DropError('declined', { message: 'Nothing was sent.' });
}

/** Ends early where all are here that are known. */
async function lookForKnown(scan: boolean, { library, common }: Context): Promise<Peer[]> {
  const known = await library.knownPeers(common);
  const expected = new Set(known.filter(({ trust }) => trust !== 'blocked').map(({ id }) => id));
  const here = new Map<string, Peer>();
  if (expected.size === 0) return [];
  const enough = new AbortController();
  const limit = setTimeout(() => enough.abort(), LOOK_FOR);
  const signal = AbortSignal.any([common.signal, enough.signal]);
  try {
    for await (const event of library.discover({ ...common, scan, signal })) {
      if (event.event !== 'peer' || event.standing !== 'paired') continue;
      const key = `${event.id} ${event.run}`;
      if (event.state === 'lost') here.delete(key);
      else here.set(key, library.peerOf(event));
      const found = new Set([...here.values()].map(({ id }) => id));
      if (found.size === expected.size) break;
    }
  } finally {
    clearTimeout(limit);
  }
  common.signal.throwIfAborted();
  return [
    ...new Map([...here.values()].reverse().map((peer) => [peer.id, peer])).values(),
  ].reverse();
}
