import {
  type DiscoverOptions,
  DropError,
  discover,
  type Peer,
  type PeerEvent,
  peerOf,
  type SilentPeer,
} from '../../index.ts';
import { hintHere } from './advice.ts';
import type { Known, Nearby, Said } from './model.ts';
import { cleanName, deviceOf, offerOf, shortId } from './shown.ts';

/** What a transfer can be begun with. */
export type Target = Peer | SilentPeer | string;

/** The devices that are there, in the order in which they came. */
export class Neighbours {
  readonly #all = new Map<string, Neighbour>();
  readonly #changed: () => void;
  #nobody: Said | null = null;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** Why nobody is there, once that is clear. */
  get nobody(): Said | null {
    return this.#nobody;
  }

  /**
   * As we know them by now, as they may have been met, renamed or forgotten since they came; without
   * the processes of ours that listen on these `ports`.
   */
  seen(known: readonly Known[], ports: ReadonlySet<number>): Nearby[] {
    const isOurs = ({ standing, addresses }: Nearby): boolean =>
      standing === 'self' && addresses.some((address) => ports.has(portOf(address)));
    return Array.from(this.#all.values(), (one) => asKnown(one, known)).filter(
      (one) => !isOurs(one),
    );
  }

  /** What a key of the list, or an address that somebody typed, stands for. */
  targetOf(key: string): Target {
    const found = this.#all.get(key);
    if (found !== undefined) return found.peer;
    if (!KEY.test(key)) return key;
    throw new DropError('not-found', { message: 'That device is no longer there.' });
  }

  /** Looks around until the signal is aborted. Throws if it cannot. */
  async look(options: DiscoverOptions): Promise<void> {
    this.#all.clear();
    for await (const event of discover({ ...options, who: 'all' })) {
      if (event.event === 'nothing')
        this.#nobody = { message: event.message, hint: hintHere(event.hint) };
      else {
        const { key, peer, seen } = neighbourOf(event);
        if (event.state === 'lost') this.#all.delete(key);
        else this.#all.set(key, { peer, seen });
        // Our own computer is no answer to why the others are not there.
        if (event.state === 'found' && seen.standing !== 'self') this.#nobody = null;
      }
      this.#changed();
    }
  }
}

interface Neighbour {
  readonly peer: Peer | SilentPeer;
  readonly seen: Nearby;
}

function neighbourOf(
  event: PeerEvent | (SilentPeer & { readonly event: 'silent' }),
): Neighbour & { readonly key: string } {
  const { run, addresses } = event;
  if (event.event === 'silent') {
    const key = `silent-${run}`;
    const name = cleanName(event.name || (addresses[0] ?? 'a device'));
    const seen = { key, name, id: '', standing: 'silent', addresses, shares: false } as const;
    return { key, peer: { name: event.name, run, addresses }, seen };
  }
  const { id, name, standing, shares, offer } = event;
  const key = `${run}-${shortId(id)}`;
  const shown = { key, ...deviceOf({ name, id }), standing, addresses, shares };
  const seen = offer === undefined ? shown : { ...shown, offer: offerOf(offer) };
  return { key, peer: peerOf(event), seen };
}

function asKnown({ peer, seen }: Neighbour, all: readonly Known[]): Nearby {
  if (!('id' in peer) || seen.standing === 'self' || seen.standing === 'clone') return seen;
  const known = all.find(({ id }) => id === peer.id);
  if (known !== undefined)
    return {
      ...seen,
      name: known.name,
      standing: known.trust === 'blocked' ? 'blocked' : 'paired',
    };
  const wasKnown = seen.standing === 'paired' || seen.standing === 'blocked';
  return wasKnown ? { ...seen, standing: 'new' } : seen;
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}

/** How keys of the list look; whatever else is named is an address. */
const KEY = /^(?:[0-9a-f]{16}-[0-9a-f]{8}|silent-[0-9a-f]{16})$/;
