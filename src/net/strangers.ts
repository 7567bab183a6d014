import { MAX_SOURCES, STRANGER_LIMITS, type StrangerLimits } from '../limits.ts';
import { canonical, isLinkLocal, onLink } from './addresses.ts';
import { type Clock, systemClock } from './clock.ts';
import { currentLinks, lookedUp } from './links.ts';

/** How long our own networks are taken for the same, in milliseconds. */
const LINKS_FOR = 1_000;

export interface StrangerOptions {
  readonly limits?: StrangerLimits | undefined;
  readonly clock?: Clock | undefined;
  /** From 0 to 1. */
  readonly random?: (() => number) | undefined;
  /** Whether an address is one of a network that we are in. */
  readonly isNear?: ((address: string) => boolean) | undefined;
}

/** The connections that are not greeted yet. One too many makes another give way, drawn at random. */
export class Strangers {
  readonly #limits: StrangerLimits;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #isNear: (address: string) => boolean;
  readonly #there = new Map<Caller, string>();
  readonly #all: Bucket;
  readonly #each = new Map<string, Bucket>();

  constructor({
    limits = STRANGER_LIMITS,
    clock = systemClock,
    random = Math.random,
    isNear = nearness(clock),
  }: StrangerOptions = {}) {
    this.#limits = limits;
    this.#clock = clock;
    this.#random = random;
    this.#isNear = isNear;
    this.#all = new Bucket(limits.rate, clock.now());
  }

  /** How many there are. */
  get size(): number {
    return this.#there.size;
  }

  /** Whether one may come in from this address. It stays until `leave`. */
  admit(caller: Caller, address: string): boolean {
    const source = this.#sourceOf(canonical(address));
    // Whoever comes too often takes nothing of what is there for all.
    if (!this.#bucketOf(source).take(this.#clock.now())) return false;
    if (!this.#all.take(this.#clock.now())) return false;
    const { each, all } = this.#limits;
    const hers = [...this.#there].filter(([, from]) => from === source).map(([one]) => one);
    if (hers.length >= each) this.#dismissOne(hers);
    else if (this.#there.size >= all) this.#dismissOne([...this.#there.keys()]);
    this.#there.set(caller, source);
    return true;
  }

  /** It is greeted, or gone. */
  leave(caller: Caller): void {
    this.#there.delete(caller);
  }

  /** Everyone goes. */
  dismissAll(): void {
    for (const caller of [...this.#there.keys()]) this.#dismissOne([caller]);
  }

  /** Whoever fills the room cannot choose who goes. */
  #dismissOne(callers: readonly Caller[]): void {
    const caller = callers[Math.floor(this.#random() * callers.length)];
    if (caller === undefined) return;
    this.#there.delete(caller);
    caller.destroy();
  }

  #bucketOf(source: string): Bucket {
    const before = this.#each.get(source);
    const bucket = before ?? new Bucket(this.#limits.rateEach, this.#clock.now());
    this.#each.delete(source);
    this.#each.set(source, bucket);
    const [oldest] = this.#each.keys();
    if (this.#each.size > MAX_SOURCES && oldest !== undefined) this.#each.delete(oldest);
    return bucket;
  }

  /**
   * Who counts as one. Far away, a single computer has all addresses of a 64-bit network; in our
   * own network every computer is in the same one.
   */
  #sourceOf(address: string): string {
    const isAlone = !address.includes(':') || isLinkLocal(address) || this.#isNear(address);
    if (isAlone) return address;
    return networkOf(address);
  }
}

/** What can be shown out. */
interface Caller {
  destroy(): unknown;
}

/** So many at once, and as many again in each second. */
class Bucket {
  readonly #rate: number;
  #left: number;
  #at: number;

  constructor(rate: number, now: number) {
    this.#rate = rate;
    this.#left = rate;
    this.#at = now;
  }

  take(now: number): boolean {
    this.#left = Math.min(this.#rate, this.#left + ((now - this.#at) * this.#rate) / 1000);
    this.#at = now;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}

/** The first 64 bits of an IPv6 address, in any spelling. */
function networkOf(address: string): string {
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  const groups = [...left, ...new Array<string>(zeros).fill('0'), ...right];
  return groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':');
}

/** Whether an address is in one of our networks, as they were a moment ago. */
function nearness(clock: Clock): (address: string) => boolean {
  let near: ((address: string) => boolean)[] = [];
  let looked = Number.NEGATIVE_INFINITY;
  return (address) => {
    if (clock.now() - looked > LINKS_FOR) {
      looked = clock.now();
      near = (lookedUp(currentLinks) ?? []).map(onLink);
    }
    return near.some((isOn) => isOn(address));
  };
}
