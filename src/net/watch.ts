import { setMaxListeners } from 'node:events';
import { DropError } from '../errors.ts';
import type { PeerId } from '../events.ts';
import { MAX_CHECKS, MAX_CLAIMS, MAX_CLAIMS_PER_SOURCE } from '../limits.ts';
import type { Card, Way } from '../protocol/card.ts';
import { type Address, formatAddress, race } from './addresses.ts';
import { type Clock, systemClock } from './clock.ts';
import { latest } from './latest.ts';

/**
 * What is known of a process without asking it. Anybody can say such things: they are well-formed,
 * but nothing is proven. Only a line comes from where a key was proven.
 */
export type Sighting =
  | {
      readonly heard: 'announcement';
      /** Random for each process, see `RUN`. */
      readonly run: string;
      /** As `deviceName` leaves it; may be empty. */
      readonly name: string;
      readonly way: Way;
      readonly port: number;
      /** The IP address that said it, scoped if link-local. */
      readonly from: string;
      /** Where to dial, best first. */
      readonly hosts: readonly string[];
    }
  | { readonly heard: 'goodbye'; readonly run: string; readonly from: string }
  /** Somebody may be there: who was met there before, if it is known whom, or anybody. */
  | { readonly heard: 'place'; readonly address: Address; readonly id?: PeerId | undefined }
  /** It dialled us, as we cannot dial it; it is there for as long as the connection is. */
  | { readonly heard: 'line'; readonly card: ProvenCard; readonly over: Promise<void> };

/** What a process says of itself, and the key that it has proven. */
export interface ProvenCard extends Card {
  readonly id: PeerId;
}

/** Dials an address, and resolves with the card of the process that answers. */
export type Prove = (address: Address, signal: AbortSignal) => Promise<ProvenCard>;

/** A process that appeared, changed (`found` again), or went. */
export interface Change {
  readonly state: 'found' | 'lost';
  readonly id: PeerId;
  readonly run: string;
  readonly name: string;
  readonly way: Way;
  /** `host:port`, the one that answered last in front. */
  readonly addresses: readonly string[];
}

export interface WatchOptions {
  readonly signal?: AbortSignal | undefined;
  /** The way of those who are wanted; of any by default. */
  readonly way?: Way | undefined;
  /** Milliseconds between two checks of one peer. */
  readonly every?: number;
  readonly clock?: Clock;
  /** Hears of the run of what is announced and takes long to answer; often it never will. */
  readonly onSlow?: ((run: string) => void) | undefined;
  /** Hears of what is announced but does not answer, at each attempt: often it is a firewall. */
  readonly onSilent?: ((silent: Silent) => void) | undefined;
}

/** An announcement that cannot be proven. */
export interface Silent {
  readonly run: string;
  readonly name: string;
  readonly addresses: readonly string[];
}

/**
 * The peers that are there, until the signal is aborted: what `look` comes across is dialled, and
 * only what proves a key is listed, by that key and its run. Then it is checked again and again;
 * a goodbye only hastens that, as anybody could have said it.
 */
export async function* watchPeers(
  look: (signal: AbortSignal) => AsyncIterable<Sighting>,
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
      for await (const sighting of look(signal)) table.hear(sighting);
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

/** Milliseconds after which what was said counts no more: three rounds of questions. */
const MEMORY = 60_000;

/** Milliseconds between two checks of what does not answer, at most. */
const LAST_RETRY = 30_000;

/** Milliseconds between two checks, at least, of what was lost and speaks again. */
const EAGER = 1000;

/**
 * Milliseconds until a process is looked for in a second way, by IPv6 for instance: where fifty
 * announce themselves at once, each is to be listed before any of them is asked twice.
 */
const SECOND_WAY = 400;

/** Milliseconds after which an answer is late: on a local network most come within 20. */
const SLOW = 600;

/** Milliseconds that a check of a listed peer may take, and until it is checked once more. */
const RECHECK_LIMIT = 1500;
const SECOND_LOOK = 1500;

/** Checks that fail one after the other until a peer counts as lost: one may be bad luck. */
const FAILURES = 2;

/** What one source says of one process. Nobody can change what another source said. */
interface Claim {
  readonly key: string;
  readonly from: string;
  readonly port: number;
  /** The process that it is about; a mere place has none. */
  readonly run?: string | undefined;
  /** Whose key must answer, if not anybody's. */
  readonly id?: PeerId | undefined;
  name: string;
  hosts: readonly string[];
  /** When it was last said. */
  heard: number;
  /** When it was last checked. */
  checked: number;
  /** Checks that failed since it was last true. */
  failures: number;
  /** What it led to, while that is listed. */
  route?: Route | undefined;
  /** Whether it ever led to a peer. */
  wasTrue: boolean;
  /** When the process that it is about was lost. What was said before that is no news of it. */
  lost: number;
  /** Prevents the next check; undefined while one runs, and while the peer itself is checked. */
  cancelCheck: (() => void) | undefined;
}

/** How a peer can be reached: by an address that a claim told of, or by its own connection to us. */
type Route = { readonly peer: ListedPeer } & (
  | { readonly claim: Claim; readonly address: Address }
  | { readonly line: { over: boolean } }
);

interface ListedPeer {
  readonly key: string;
  readonly id: PeerId;
  readonly run: string;
  readonly way: Way;
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
  const { signal, way, every = 3000, clock = systemClock, onSlow, onSilent } = options;
  const claims = new Map<string, Claim>();
  const peers = new Map<string, ListedPeer>();
  const inTurn = turns(MAX_CHECKS);
  const after = timers(clock, signal);

  function hear(sighting: Sighting): void {
    // Nobody is said to be silent who would not be listed.
    if (sighting.heard === 'announcement' && way !== undefined && sighting.way !== way) return;
    switch (sighting.heard) {
      case 'goodbye':
        for (const peer of peers.values()) if (peer.run === sighting.run) doubt(peer);
        return;
      case 'line':
        answer(sighting);
        return;
      case 'place': {
        const { address, id } = sighting;
        const { host, port } = address;
        const key = `${formatAddress(address)} ${id ?? ''}`;
        claim({ key, from: host, port, id, name: '', hosts: [host] });
        return;
      }
      case 'announcement': {
        const { run, from, port, name, hosts } = sighting;
        claim({ key: `${run} ${from} ${port}`, from, port, run, name, hosts });
      }
    }
  }

  function claim(
    said: Pick<Claim, 'key' | 'run' | 'from' | 'port' | 'id' | 'name' | 'hosts'>,
  ): void {
    const known = claims.get(said.key);
    if (known) {
      Object.assign(known, { name: said.name, hosts: said.hosts, heard: clock.now() });
      if (known.route) known.route.peer.doubted = false;
      // It was lost, and now it speaks again. Whoever never was true has no such haste.
      else if (known.wasTrue && clock.now() - known.checked >= EAGER) checkNow(known);
    } else if (makeRoom(said.from)) {
      const fresh: Claim = {
        ...said,
        heard: clock.now(),
        checked: clock.now(),
        failures: 0,
        wasTrue: false,
        lost: Number.NEGATIVE_INFINITY,
        cancelCheck: undefined,
      };
      const { run } = said;
      const isSecond = run !== undefined && [...claims.values()].some((one) => one.run === run);
      claims.set(said.key, fresh);
      if (isSecond) fresh.cancelCheck = after(SECOND_WAY, () => checkNow(fresh));
      else inTurn(() => check(fresh));
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
    claim.checked = clock.now();
    const { run: claimed } = claim;
    const stopWaiting = after(SLOW, () => claimed !== undefined && onSlow?.(claimed));
    const addresses = claim.hosts.map((host) => ({ host, port: claim.port }));
    try {
      const [card, address] = await race(
        addresses,
        async (address, one) => [await proveAt(address, claim.id, one), address] as const,
        { signal, clock },
      );
      const peer = list(card);
      claim.failures = 0;
      claim.wasTrue = true;
      claim.route = { claim, peer, address };
      peer.routes.push(claim.route);
      tellFound(peer);
    } catch (error) {
      if (signal.aborted) return;
      const { run, name, heard, lost } = claim;
      const isListed = [...peers.values()].some((peer) => peer.run === run);
      // One that answers, but not as it should, has no firewall.
      const isSilent = error instanceof DropError && error.code === 'unreachable';
      if (run !== undefined && !isListed && isSilent && heard > lost)
        onSilent?.({ run, name, addresses: addresses.map(formatAddress) });
      retry(claim);
    } finally {
      stopWaiting();
    }
  }

  /** The card of the announcer at an address, who must have this key if one is given. */
  async function proveAt(
    address: Address,
    id: PeerId | undefined,
    one: AbortSignal,
  ): Promise<ProvenCard> {
    const card = await prove(address, one);
    const isOther = way !== undefined && card.way !== way;
    if (card.part !== 'announcer' || isOther) throw new DropError('not-found');
    if (id !== undefined && card.id !== id) throw new DropError('wrong-peer');
    return card;
  }

  /** Tries again, ever more rarely, for as long as it is still said; those we met, not so rarely. */
  function retry(claim: Claim): void {
    const last = claim.id === undefined ? LAST_RETRY : LAST_RETRY / 3;
    claim.cancelCheck = after(Math.min(every * 2 ** claim.failures, last), () => {
      if (claims.get(claim.key) !== claim) return;
      if (clock.now() - claim.heard > MEMORY) claims.delete(claim.key);
      else checkNow(claim);
    });
    claim.failures++;
  }

  function checkNow(claim: Claim): void {
    if (claim.cancelCheck === undefined) return;
    claim.cancelCheck();
    claim.cancelCheck = undefined;
    inTurn(() => check(claim));
  }

  /** The peer whose card this is; listed now if it was not. */
  function list({ id, run, name, way: its }: ProvenCard): ListedPeer {
    const key = `${id} ${run}`;
    const listed = peers.get(key);
    if (listed) return seen(listed, name);
    const peer: ListedPeer = {
      key,
      id,
      run,
      way: its,
      name: '',
      routes: [],
      failures: 0,
      doubted: false,
      cancelCheck: undefined,
      told: '',
    };
    peers.set(key, peer);
    recheckLater(peer);
    return seen(peer, name);
  }

  function seen(peer: ListedPeer, name: string): ListedPeer {
    peer.failures = 0;
    peer.name = name || peer.id.slice(0, 8);
    return peer;
  }

  function answer({ card, over }: Extract<Sighting, { heard: 'line' }>): void {
    const peer = list(card);
    const line = { over: false };
    peer.routes.push({ peer, line });
    tellFound(peer);
    void over.then(() => {
      line.over = true;
      doubt(peer);
    });
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
    const pause = peer.failures === 0 ? every : SECOND_LOOK;
    peer.cancelCheck = after(pause, () => void recheck(peer));
  }

  async function recheck(peer: ListedPeer): Promise<void> {
    peer.cancelCheck = undefined;
    /** Whether somebody else answered in its place. */
    let replaced = false;
    try {
      const attempt = async (route: Route, one: AbortSignal) => {
        if ('line' in route) {
          if (route.line.over) throw new DropError('disconnected');
          return { route, name: peer.name };
        }
        const card = await prove(route.address, one);
        if (card.id === peer.id && card.run === peer.run) return { route, name: card.name };
        replaced = true;
        throw new DropError('wrong-peer');
      };
      const front = await race(peer.routes, attempt, { signal, clock, limit: RECHECK_LIMIT });
      seen(peer, front.name);
      reorder(peer, front.route);
    } catch {
      if (signal.aborted) return;
      peer.failures++;
    }
    peer.doubted ||= replaced;
    if (peer.failures > 0 && (peer.doubted || peer.failures >= FAILURES)) lose(peer);
    else recheckLater(peer);
  }

  /** Puts the route that answered in front and forgets those that nobody speaks of any more. */
  function reorder(peer: ListedPeer, front: Route): void {
    const stale = (route: Route) =>
      'line' in route ? route.line.over : clock.now() - route.claim.heard > MEMORY;
    const others = peer.routes.filter((route) => route !== front);
    for (const route of others)
      if ('claim' in route && stale(route)) claims.delete(route.claim.key);
    peer.routes = [front, ...others.filter((route) => !stale(route))];
    tellFound(peer);
  }

  function lose(peer: ListedPeer): void {
    peers.delete(peer.key);
    tell(peer.key, change('lost', peer));
    for (const claim of claims.values()) if (claim.run === peer.run) claim.lost = clock.now();
    for (const route of peer.routes)
      if ('claim' in route) {
        route.claim.route = undefined;
        // Who said goodbye, or gave way to another, is gone, and takes nobody's place here.
        if (peer.doubted) claims.delete(route.claim.key);
        else retry(route.claim);
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

function change(state: Change['state'], { id, run, name, way, routes }: ListedPeer): Change {
  const addresses = routes.flatMap((route) =>
    'claim' in route ? [formatAddress(route.address)] : [],
  );
  return { state, id, run, name, way, addresses: [...new Set(addresses)] };
}

/** Runs at most `limit` tasks at once, the others in the order in which they came. */
function turns(limit: number): (task: () => Promise<void>) => void {
  const waiting: (() => Promise<void>)[] = [];
  let running = 0;
  const next = (): void => {
    const task = running < limit ? waiting.shift() : undefined;
    if (!task) return;
    running++;
    void task().finally(() => {
      running--;
      next();
    });
  };
  return (task) => {
    waiting.push(task);
    next();
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
