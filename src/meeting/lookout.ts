import { setMaxListeners } from 'node:events';
import type { DiscoverEvent, Peer, PeerEvent, SilentEvent, Standing } from '../events.ts';
import { MAX_PEEKS } from '../limits.ts';
import { latest } from '../net/latest.ts';
import { isOwnAddress, lookedUp } from '../net/links.ts';
import type { Porch } from '../net/porch.ts';
import { likelyCause, Survey } from '../net/survey.ts';
import type { Change, Silent } from '../net/watch.ts';
import type { Way } from '../protocol/card.ts';
import { sameName } from '../protocol/names.ts';
import type { LookOptions, Self } from './self.ts';

/** A peer of the list, from the event that told of it. */
export function peerOf({ id, run, name, addresses, standing, shares, offer }: PeerEvent): Peer {
  return { id, run, name, addresses, standing, shares, ...(offer && { offer }) };
}

interface LookoutOptions extends LookOptions {
  /** Whom to look for: those of one way, or of any. */
  readonly way: Way | undefined;
  /** Whether to ask those whom we know what they share. */
  readonly peeks?: boolean;
}

/** Like `discover`, for whoever has a porch already, and goes on using it. */
export async function* lookAround(
  self: Self,
  options: LookoutOptions,
  porch: Porch,
): AsyncGenerator<DiscoverEvent, void> {
  if (options.signal?.aborted) return;
  const left = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, left.signal]) : left.signal;
  setMaxListeners(0, signal);
  const lookout = new Lookout(self, options, porch);
  const looking = lookout.run(signal);
  try {
    yield* lookout.news;
  } finally {
    left.abort();
    await looking;
  }
}

/** Looks whether anything is to be said or done so often, in milliseconds. */
const TICK = 500;

/** When to let those come whom we know and cannot find: after what an answer takes. */
const PATIENCE = 1_500;

/** How long a list may be empty without a word. */
const SILENCE = 3_000;

/** A device of which nothing is heard for so long is no longer said to be announced. */
const SILENT_MEMORY = 90_000;

/** Keeps account of who is there, who is heard but silent, and for how long nobody is there. */
class Lookout {
  readonly news = latest<DiscoverEvent>();
  readonly #self: Self;
  readonly #options: LookoutOptions;
  readonly #porch: Porch;
  readonly #survey = new Survey();
  /** What was told last of those who are there, by key and run; also of what they share, if they told. */
  readonly #there = new Map<string, PeerEvent>();
  readonly #silent = new Map<string, { event: SilentEvent; at: number }>();
  /** Those who are just being asked. */
  readonly #peeking = new Set<string>();
  /** Since when there is nobody. */
  #nobodySince = performance.now();
  #told = '';
  #opened = false;

  constructor(self: Self, options: LookoutOptions, porch: Porch) {
    this.#self = self;
    this.#options = options;
    this.#porch = porch;
  }

  /** Until the signal is aborted. What breaks it ends the news. */
  async run(signal: AbortSignal): Promise<void> {
    const ticks = setInterval(() => lookedUp(() => this.#tick()), TICK);
    try {
      const [{ look }, { watchPeers }, { probe }] = await Promise.all([
        import('./look.ts'),
        import('../net/watch.ts'),
        import('../net/tls.ts'),
      ]);
      const [porch, survey] = [this.#porch, this.#survey];
      const changes = watchPeers(
        (stop) => look(this.#self, this.#options, { porch, survey, signal: stop }),
        probe,
        {
          signal,
          way: this.#options.way,
          onSlow: (run) => this.#knock(run),
          onSilent: (silent) => this.#hearSilence(silent),
        },
      );
      for await (const change of changes) await this.#hear(change, signal);
      this.news.end();
    } catch (error) {
      this.news.end({ error });
    } finally {
      clearInterval(ticks);
      this.#porch.stopLooking();
    }
  }

  async #hear(change: Change, signal: AbortSignal): Promise<void> {
    const { name, standing } = await standingOf(this.#self, change);
    const { state, id, run, addresses, way } = change;
    const known = standing === 'paired' || standing === 'self';
    const key = `${id} ${run}`;
    const shares = way === 'get';
    const { offer } = this.#there.get(key) ?? {};
    const event = {
      event: 'peer',
      state,
      name,
      id,
      run,
      addresses,
      known,
      standing,
      shares,
      ...(offer && { offer }),
    } as const;
    this.#break(run);
    const wasAlone = this.#isAlone;
    if (state === 'found') this.#there.set(key, event);
    else this.#there.delete(key);
    if (!wasAlone && this.#isAlone) {
      this.#nobodySince = performance.now();
      this.#told = '';
    }
    this.news.put(key, event);
    const isUntold = state === 'found' && shares && known && !offer;
    if (this.#options.peeks && isUntold) void this.#peek(key, event, signal);
  }

  /** Learns what a device shares, and tells. Where somebody would be asked there, nothing of it. */
  async #peek(key: string, event: PeerEvent, signal: AbortSignal): Promise<void> {
    if (this.#peeking.has(key) || this.#peeking.size >= MAX_PEEKS) return;
    this.#peeking.add(key);
    try {
      const { peek } = await import('./peek.ts');
      const offer = await peek(this.#self, peerOf(event), signal);
      // Meanwhile it may have gone, or have been found elsewhere.
      const there = this.#there.get(key);
      if (there === undefined) return;
      const told = { ...there, offer };
      this.#there.set(key, told);
      this.news.put(key, told);
    } catch {
      // It is told when the device is chosen.
    } finally {
      this.#peeking.delete(key);
    }
  }

  #knock(run: string): void {
    void this.#porch.knock(run, 'look');
  }

  #hearSilence({ run, name, addresses }: Silent): void {
    this.#knock(run);
    const before = this.#silent.get(run);
    const event: SilentEvent = { event: 'silent', state: 'found', name, run, addresses };
    this.#silent.set(run, { event, at: performance.now() });
    if (before?.event.name !== name) this.news.put(`silent ${run}`, event);
  }

  /** The silence of one that answered after all, or of which nothing is heard any more. */
  #break(run: string): void {
    this.#porch.stopKnocking(run);
    const silent = this.#silent.get(run);
    if (silent === undefined) return;
    this.#silent.delete(run);
    this.news.put(`silent ${run}`, { ...silent.event, state: 'lost' });
  }

  #tick(): void {
    const now = performance.now();
    for (const [run, { at }] of this.#silent) if (now - at > SILENT_MEMORY) this.#break(run);
    if (!this.#isAlone) return;
    const alone = now - this.#nobodySince;
    if (alone > PATIENCE) void this.#openPorch();
    if (alone > SILENCE) this.#tellNothing();
  }

  /** Whether nobody else is there. Our own computer is no answer to why the others are not. */
  get #isAlone(): boolean {
    return [...this.#there.values()].every(({ standing }) => standing === 'self');
  }

  /** Opens it for those whom we know, if one of them may be near. */
  async #openPorch(): Promise<void> {
    if (this.#opened) return;
    this.#opened = true;
    const { placesNearby } = await import('./look.ts');
    // What is wrong with the network or the disk is said by those who look.
    const places = await placesNearby(this.#self, this.#options).catch(() => []);
    if (places.length > 0) await this.#porch.open();
  }

  #tellNothing(): void {
    const asked = this.#survey.reports();
    const silent = Array.from(this.#silent.values(), ({ event }) => event);
    const likely = likelyCause(asked, silent, undefined, this.#options.way);
    const told = JSON.stringify(likely);
    if (told === this.#told) return;
    this.#told = told;
    this.news.put('nothing', { event: 'nothing', asked, ...likely });
  }
}

/** How we stand to a device, and what we call it: by our own name for it, if we have one. */
async function standingOf(
  { identity, trust }: Self,
  { id, name, addresses }: Change,
): Promise<{ name: string; standing: Standing }> {
  if (id === identity.id) {
    // One that has only come to the porch has none. If it came from elsewhere, it is found out when it is called.
    const here =
      addresses.length === 0 || addresses.some((address) => isOwnAddress(hostOf(address)));
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
