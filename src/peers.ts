import { defaultHome } from './disk/home.ts';
import { type KnownPeer, peersIn, type TrustStore } from './disk/trust.ts';
import { DropError } from './errors.ts';
import { type CommonOptions, openSelf } from './meeting/self.ts';
import { forTerminal } from './protocol/names.ts';

export type { KnownPeer };

type Options = Pick<CommonOptions, 'home'>;
type Trust = KnownPeer['trust'];

/** The devices that were met before, by their names. Makes nothing where there is nothing yet. */
export async function knownPeers({ home = defaultHome() }: Options = {}): Promise<KnownPeer[]> {
  return peersIn(home);
}

/**
 * Says how a known device is treated: its offers are asked about (`ask`), taken at once (`auto`), or
 * not even heard (`blocked`). `name`, also in the functions below: its name, its id or at least the
 * first eight digits of that. Throws `not-found`, or `ambiguous` if several could be meant.
 */
export async function trustPeer(
  name: string,
  trust: Trust,
  options: Options = {},
): Promise<KnownPeer> {
  const store = (await openSelf(options)).trust;
  return store.setTrust((await find(store, name)).id, trust);
}

/**
 * Gives a known device another name, on this computer only. Throws like `trustPeer`; `exists` if another
 * one is called that, `usage` if `to` is no name.
 */
export async function renamePeer(
  name: string,
  to: string,
  options: Options = {},
): Promise<KnownPeer> {
  const store = (await openSelf(options)).trust;
  return store.rename((await find(store, name)).id, to);
}

/**
 * Forgets a device, and where it was met: it is new again, and needs the code. Returns what was
 * known of it. Throws like `trustPeer`.
 */
export async function forgetPeer(name: string, options: Options = {}): Promise<KnownPeer> {
  const { book, trust } = await openSelf(options);
  const peer = await find(trust, name);
  // In this order: if it fails midway, the device is still known and can be forgotten again.
  await book.forget(peer.id);
  await trust.forget(peer.id);
  return peer;
}

async function find(store: TrustStore, name: string): Promise<KnownPeer> {
  const peer = await store.find(name);
  if (peer) return peer;
  throw new DropError('not-found', {
    message: `No known device is called "${forTerminal(name)}".`,
    hint: 'See: drop peers',
  });
}
