import type { Drop, drop } from '../support/bin.ts';
import type { Home } from '../support/home.ts';
import type { Host } from './hosts.ts';
import { Network } from './network.ts';

type Options = Omit<NonNullable<Parameters<typeof drop>[1]>, 'host' | 'home'>;

/** Two people with a computer each, on one network: Bob sends, Ana receives. */
export class Pair implements AsyncDisposable {
  readonly left: Host;
  readonly right: Host;
  readonly bob: Home;
  readonly ana: Home;
  readonly #network = new Network();
  /** The one that was started last. */
  #receiving: Drop | undefined;

  /** `rate` is how fast Bob's network is, e.g. `100mbit`. */
  constructor(rate?: string) {
    // Not by IPv6, whose link-local addresses would survive each change of the others.
    const port = { bridge: 'lan', ipv4Only: true };
    this.left = this.#network.host('left', { ...port, addresses: ['10.77.0.1/24'] });
    this.right = this.#network.host('right', { ...port, addresses: ['10.77.0.2/24'] });
    this.bob = this.#network.home(this.left);
    this.ana = this.#network.home(this.right);
    if (rate !== undefined) this.left.limit('lan', rate);
  }

  /** Ana's `drop receive --json --yes`, once it is ready. */
  async receive(args: readonly string[] = [], options: Options = {}): Promise<Drop> {
    const all = ['--name', 'Ana', ...args];
    const receiving = await this.#network.receive(this.right, all, { ...LONG, ...options });
    this.#receiving = receiving;
    return receiving;
  }

  /** Bob's `drop send --json --to Ana`. */
  send(args: readonly string[], options: Options = {}): Drop {
    return this.#network.send(this.left, 'Ana', this.#receiving, args, { ...LONG, ...options });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#network[Symbol.asyncDispose]();
  }
}

/** ms. Longer than silence is borne, twice, and what comes after it. */
const LONG = { patience: 50_000 };
