import type { Peer, PeerEvent, Standing } from './events.ts';
import { isOwnAddress } from './net/links.ts';
import type { Change } from './net/watch.ts';
import { sameName } from './protocol/names.ts';
import { type CommonOptions, openSelf, type Self } from './self.ts';

export type DiscoverOptions = CommonOptions;

/**
 * The devices that are ready on this network, as they come and go, until the signal is aborted.
 * Each has proven to have its key; only its name, where we do not know it, is its own word.
 */
export async function* discover(options: DiscoverOptions = {}): AsyncGenerator<PeerEvent, void> {
  const self = await openSelf(options);
  const { interfaces, signal } = options;
  const [{ browse }, { watchPeers }, { probe }] = await Promise.all([
    import('./net/mdns.ts'),
    import('./net/watch.ts'),
    import('./net/tls.ts'),
  ]);
  const changes = watchPeers((stop) => browse({ interfaces, signal: stop }), probe, { signal });
  for await (const change of changes) {
    const { name, standing } = await standingOf(self, change);
    const { state, id, run, addresses } = change;
    const known = standing === 'paired' || standing === 'self';
    yield { event: 'peer', state, name, id, run, addresses, known, standing };
  }
}

/** A peer of the list, from the event that told of it. */
export function peerOf({ id, run, name, addresses, standing }: PeerEvent): Peer {
  return { id, run, name, addresses, standing };
}

/** How we stand to a device, and what we call it: by our own name for it, if we have one. */
async function standingOf(
  { identity, trust }: Self,
  { id, name, addresses }: Change,
): Promise<{ name: string; standing: Standing }> {
  if (id === identity.id) {
    const here = addresses.some((address) => isOwnAddress(hostOf(address)));
    return { name, standing: here ? 'self' : 'clone' };
  }
  const known = await trust.get(id);
  if (known)
    return { name: known.name, standing: known.trust === 'blocked' ? 'blocked' : 'paired' };
  const taken = (await trust.all()).some((other) => sameName(other.name, name));
  return { name, standing: taken ? 'namesake' : 'new' };
}

/** The host of `host:port` or `[host]:port`. */
function hostOf(address: string): string {
  return address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}
