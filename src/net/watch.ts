import { setMaxListeners } from 'node:events';
import { DropError } from '../errors.ts';
import type { PeerId } from '../events.ts';
import { type Address, formatAddress, race } from './addresses.ts';
import { type Clock, systemClock } from './clock.ts';
import { latest } from './latest.ts';

/** What was heard of a process. Anybody can say such things: well-formed, but nothing is proven. */
export type Sighting =
  | {
      readonly heard: 'announcement';
      /** Random for each process, see `RUN`. */
      readonly run: string;
      /** As `deviceName` leaves it; may be empty. */
      readonly name: string;
      readonly port: number;
      /** The IP address that said it, scoped if link-local. */
      readonly from: string;
      /** Where to dial, best first. */
      readonly hosts: readonly string[];
    }
  | { readonly heard: 'goodbye'; readonly run: string; readonly from: string };

/** Dials an address and resolves with the id whose key the other end proved to have. */
export type Prove = (address: Address, signal: AbortSignal) => Promise<PeerId>;

/** A process that appeared, changed (`found` again), or went. */
export interface Change {
  readonly state: 'found' | 'lost';
  readonly id: PeerId;
  readonly run: string;
  readonly name: string;
  /** `host:port`, the one that answered last in front. */
  readonly addresses: readonly string[];
}

export interface WatchOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds between two checks of one peer. */
  readonly every?: number;
  readonly clock?: Clock;
  /** Hears of what was announced but did not answer, once for each: often it is a firewall. */
  readonly onSilent?: ((silent: Silent) => void) | undefined;
}

/** An announcement that could not be proven. */
interface Silent {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly error: unknown;
}

/**
 * The peers that are there, until the signal is aborted: what `browse` hears is dialled, and
 * only what proves a key is listed, by that key and its run. Then it is checked again and again;
 * a goodbye only hastens that, as anybody could have said it.
 */
export async function* watchPeers(
  browse: (signal: AbortSignal) => AsyncIterable<Sighting>,
  prove: Prove,
  options: WatchOptions = {},
): AsyncGenerator<Change, void> {
  const { signal: outer } = options;
  if (outer?.aborted) return;
  const stopped = new AbortController();
  const stop = () => stopped.abort();
  outer?.addEventListener('abort', stop);
  const { signal } = stopped;
  // Every check in progress listens to it; Node would take so many for a leak and warn.
  setMaxListeners(0, signal);

  const changes = latest<Change>();
  signal.addEventListener('abort', () => changes.end());
  const table = peerTable(prove, (key, change) => changes.put(key, change), { ...options, signal });
  const reading = (async () => {
    try {
      for await (const sighting of browse(signal)) table.hear(sighting);
    } catch (error) {
      changes.end({ error });
    }
  })();
  try {
    yield* changes;
  } finally {
    outer?.removeEventListener('abort', stop);
    stop();
    await reading;
  }
}

/** Bounds the memory and the dialling that strangers can cause, all together… */
export const MAX_CLAIMS = 128;

/** …and one of them. */
export const MAX_CLAIMS_PER_SOURCE = 8;

/** Each check opens a socket for each address; 256 are all that some systems allow. */
const MAX_CHECKS = 32;

/** Milliseconds after which what was said counts no more: three rounds of questions. */
const MEMORY = 60_000;

/** Milliseconds between two checks of what does not answer, at most. */
const LAST_RETRY = 30_000;

/** Checks that fail one after the other until a peer counts as lost: one may be bad luck. */
const FAILURES = 2;

/** What one source says about one run and port. Nobody can change what another source said. */
interface Claim {
  readonly key: string;
  readonly run: string;
  readonly from: string;
  readonly port: number;
  name: string;
  hosts: readonly string[];
  /** When it was last said. */
  heard: number;
  /** Checks that failed since it was last true. */
  failures: number;
  /** What it led to, while that is listed. */
  route?: Route | undefined;
}

/** An address that answered for a peer, and the claim that told of it. */
interface Route {
  readonly claim: Claim;
  readonly peer: ListedPeer;
  readonly address: Address;
}

interface ListedPeer {
  readonly key: string;
  readonly id: PeerId;
  readonly run: string;
  name: string;
  /** The one that answered last in front. */
  routes: Route[];
  failures: number;
  /** Whether a goodbye was heard, and nothing since. */
  doubted: boolean;
  /** Prevents the next check; undefined while one runs. */
  cancelCheck: (() => void) | undefined;
  /** What was last told of it, to tell only what differs. */
  told: string;
}

function peerTable(
  prove: Prove,
  tell: (key: string, change: Change) => void,
  options: WatchOptions & { readonly signal: AbortSignal },
): { hear(sighting: Sighting): void } {
  const { signal, every = 3000, clock = systemClock, onSilent } = options;
  const claims = new Map<string, Claim>();
  const peers = new Map<string, ListedPeer>();
  const inTurn = turns(MAX_CHECKS);
  const after = timers(clock, signal);

  function hear(sighting: Sighting): void {
    if (sighting.heard === 'goodbye') {
      for (const peer of peers.values()) if (peer.run === sighting.run) doubt(peer);
      return;
    }
    const { run, from, port, name, hosts } = sighting;
    const key = `${run} ${from} ${port}`;
    const known = claims.get(key);
    if (known) {
      Object.assign(known, { name, hosts, heard: clock.now() });
      if (known.route) {
        known.route.peer.doubted = false;
        rename(known.route);
      }
    } else if (makeRoom(from)) {
      const claim: Claim = { key, run, from, port, name, hosts, heard: clock.now(), failures: 0 };
      claims.set(key, claim);
      inTurn(() => check(claim));
    }
  }

  /**
   * What failed twice gives way to something new: not after once, or whoever invents peers
   * could make us dial as fast as they can talk. What answered never gives way.
   */
  function makeRoom(from: string): boolean {
    const all = [...claims.values()];
    const ofSource = all.filter((claim) => claim.from === from);
    const crowd = ofSource.length >= MAX_CLAIMS_PER_SOURCE ? ofSource : all;
    if (crowd === all && all.length < MAX_CLAIMS) return true;
    const [oldest] = crowd
      .filter((claim) => !claim.route && claim.failures > 1)
      .sort((a, b) => a.heard - b.heard);
    return oldest !== undefined && claims.delete(oldest.key);
  }

  async function check(claim: Claim): Promise<void> {
    if (signal.aborted || claims.get(claim.key) !== claim) return;
    const addresses = claim.hosts.map((host) => ({ host, port: claim.port }));
    try {
      const [id, address] = await race(
        addresses,
        async (address, one) => [await prove(address, one), address] as const,
        { signal, clock },
      );
      list(claim, id, address);
    } catch (error) {
      if (signal.aborted) return;
      if (claim.failures === 0)
        onSilent?.({ name: claim.name, addresses: addresses.map(formatAddress), error });
      retry(claim);
    }
  }

  /** Tries again, ever more rarely, for as long as it is still said. */
  function retry(claim: Claim): void {
    after(Math.min(every * 2 ** claim.failures, LAST_RETRY), () => {
      if (claims.get(claim.key) !== claim) return;
      if (clock.now() - claim.heard > MEMORY) claims.delete(claim.key);
      else inTurn(() => check(claim));
    });
    claim.failures++;
  }

  function list(claim: Claim, id: PeerId, address: Address): void {
    const { run } = claim;
    const key = `${id} ${run}`;
    const peer = peers.get(key) ?? {
      key,
      id,
      run,
      name: claim.name || id.slice(0, 8),
      routes: [],
      failures: 0,
      doubted: false,
      cancelCheck: undefined,
      told: '',
    };
    claim.failures = 0;
    claim.route = { claim, peer, address };
    peer.routes.push(claim.route);
    peer.failures = 0;
    if (!peers.has(key)) {
      peers.set(key, peer);
      recheckLater(peer);
    }
    rename(claim.route);
    tellFound(peer);
  }

  /** Only who answers where the claim came from may name it: others could name it anything. */
  function rename({ claim: { name, from }, peer, address }: Route): void {
    if (address.host !== from || name === '') return;
    peer.name = name;
    tellFound(peer);
  }

  function doubt(peer: ListedPeer): void {
    // Only the first goodbye hastens anything, or a flood of them would be one of checks.
    if (peer.doubted) return;
    peer.doubted = true;
    if (!peer.cancelCheck) return;
    peer.cancelCheck();
    void recheck(peer);
  }

  function recheckLater(peer: ListedPeer): void {
    peer.cancelCheck = after(every, () => void recheck(peer));
  }

  async function recheck(peer: ListedPeer): Promise<void> {
    peer.cancelCheck = undefined;
    try {
      const attempt = async (route: Route, one: AbortSignal) => {
        if ((await prove(route.address, one)) !== peer.id) throw new DropError('wrong-peer');
        return route;
      };
      const front = await race(peer.routes, attempt, { signal, clock });
      peer.failures = 0;
      reorder(peer, front);
    } catch {
      if (signal.aborted) return;
      peer.failures++;
    }
    if (peer.failures >= (peer.doubted ? 1 : FAILURES)) lose(peer);
    else recheckLater(peer);
  }

  /** Puts the route that answered in front and forgets those that nobody speaks of any more. */
  function reorder(peer: ListedPeer, front: Route): void {
    const others = peer.routes.filter((route) => route !== front);
    const stale = others.filter(({ claim }) => clock.now() - claim.heard > MEMORY);
    for (const { claim } of stale) claims.delete(claim.key);
    peer.routes = [front, ...others.filter((route) => !stale.includes(route))];
    tellFound(peer);
  }

  function lose(peer: ListedPeer): void {
    peers.delete(peer.key);
    tell(peer.key, change('lost', peer));
    for (const { claim } of peer.routes) {
      claim.route = undefined;
      retry(claim);
    }
  }

  function tellFound(peer: ListedPeer): void {
    const found = change('found', peer);
    const told = JSON.stringify(found);
    if (told !== peer.told) tell(peer.key, found);
    peer.told = told;
  }

  return { hear };
}

function change(state: Change['state'], { id, run, name, routes }: ListedPeer): Change {
  const addresses = routes.map(({ address }) => formatAddress(address));
  return { state, id, run, name, addresses: [...new Set(addresses)] };
}

/** Runs at most `limit` tasks at once, the others in the order in which they came. */
function turns(limit: number): (task: () => Promise<void>) => void {
  const waiting: (() => Promise<void>)[] = [];
  let running = 0;
  const next = async (): Promise<void> => {
    const task = running < limit ? waiting.shift() : undefined;
    if (!task) return;
    running++;
    await task();
    running--;
    await next();
  };
  return (task) => {
    waiting.push(task);
    void next();
  };
}

/** `clock.after`, but everything is called off when the signal is aborted. */
function timers(clock: Clock, signal: AbortSignal): Clock['after'] {
  const pending = new Set<() => void>();
  signal.addEventListener('abort', () => {
    for (const cancel of pending) cancel();
  });
  return (ms, act) => {
    const cancel = clock.after(ms, () => {
      pending.delete(cancel);
      act();
    });
    pending.add(cancel);
    return () => {
      pending.delete(cancel);
      cancel();
    };
  };
}
