import type { KnownPeer } from './disk/trust.ts';
import { type CommonOptions, openSelf } from './self.ts';

export type { KnownPeer };

type Options = Pick<CommonOptions, 'home'>;
type Trust = KnownPeer['trust'];

/** The devices that were met before, by their names. */
export async function knownPeers(options: Options = {}): Promise<KnownPeer[]> {
  const peers = await (await openSelf(options)).trust.all();
  return peers.sort((a, b) => a.name.localeCompare(b.name));
}

/** What the functions below are told is a name, an id or the first digits of one. */
export async function trustPeer(
  name: string,
  trust: Trust,
  options: Options = {},
): Promise<KnownPeer> {
  const store = (await openSelf(options)).trust;
  return store.setTrust((await store.find(name)).id, trust);
}

export async function renamePeer(
  name: string,
  to: string,
  options: Options = {},
): Promise<KnownPeer> {
  const store = (await openSelf(options)).trust;
  return store.rename((await store.find(name)).id, to);
}

/** Forgets a device: it is new again, and needs the code. Returns what was known of it. */
export async function forgetPeer(name: string, options: Options = {}): Promise<KnownPeer> {
  const store = (await openSelf(options)).trust;
  const peer = await store.find(name);
  await store.forget(peer.id);
  return peer;
}
