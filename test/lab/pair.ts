import { type Drop, drop } from '../support/bin.ts';
import { Home } from '../support/home.ts';
import { type Host, Lab } from './hosts.ts';

type Options = Omit<NonNullable<Parameters<typeof drop>[1]>, 'host' | 'home'>;

/** Two people with a computer each, on one network: Bob sends, Ana receives. */
export class Pair implements AsyncDisposable {
  readonly lab = Lab.create();
  readonly bob = new Home();
  readonly ana = new Home();
  readonly left: Host;
  readonly right: Host;
  readonly #running: Drop[] = [];
  #code = '';

  /** `rate` is how fast Bob's network is, e.g. `100mbit`. */
  constructor(rate?: string) {
    // Not by IPv6, whose link-local addresses would survive each change of the others.
    const port = { bridge: 'lan', ipv4Only: true };
    this.left = this.lab.host('left', { ...port, addresses: ['10.77.0.1/24'] });
    this.right = this.lab.host('right', { ...port, addresses: ['10.77.0.2/24'] });
    if (rate !== undefined) this.left.limit('lan', rate);
  }

  /** Ana's `drop receive --json --yes`, once it is ready. */
  async receive(args: readonly string[] = [], options: Options = {}): Promise<Drop> {
    const all = ['receive', '--json', '--yes', '--name', 'Ana', ...args];
    const receiving = this.#run(all, { host: this.right, home: this.ana, ...options });
    this.#code = (await receiving.event('ready')).code ?? '';
    return receiving;
  }

  /** Bob's `drop send --json --to Ana`. */
  send(args: readonly string[], options: Options = {}): Drop {
    const all = ['send', '--json', '--to', 'Ana', ...args];
    const env = { DROP_CODE: this.#code, ...options.env };
    return this.#run(all, { host: this.left, home: this.bob, ...options, env });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const running of this.#running) await running[Symbol.asyncDispose]();
    this.lab.destroy();
    await this.ana[Symbol.asyncDispose]();
    await this.bob[Symbol.asyncDispose]();
  }

  #run(...[args, options]: Parameters<typeof drop>): Drop {
    const running = drop(args, { patience: PATIENCE, ...options });
    this.#running.push(running);
    return running;
  }
}

/** ms. Longer than silence is borne, twice, and what comes after it. */
const PATIENCE = 50_000;
