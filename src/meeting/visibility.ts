import type { Cause, HiddenEvent, ReachableEvent } from '../events.ts';
import { formatAddress, isLinkLocal } from '../net/addresses.ts';
import { currentLinks, lookedUp } from '../net/links.ts';
import { likelyCause, type Survey } from '../net/survey.ts';

export { isAmong } from '../net/links.ts';

export interface VisibilityOptions {
  /** What the links of the announcement said and heard. */
  readonly survey: Survey;
  readonly port: number;
  readonly interfaces?: readonly string[] | undefined;
  readonly tell: (event: HiddenEvent | ReachableEvent) => void;
}

/** How often to look whether and where others can find this device, in milliseconds. */
const LOOK_EVERY = 3_000;

/** Causes that keep this device out of the lists of others. */
const HIDING: ReadonlySet<Cause> = new Set(['port-taken', 'cannot-speak', 'cannot-hear']);

/** Where others can reach a device that is announced, and whether they can find it. */
export class Visibility {
  readonly #options: VisibilityOptions;
  readonly #looking: NodeJS.Timeout;
  #addresses: string;
  #cause: Cause | undefined;

  /** Tells of every change, until it is closed. */
  constructor(options: VisibilityOptions) {
    this.#options = options;
    this.#addresses = this.addresses().join();
    this.#looking = setInterval(() => lookedUp(() => this.#look()), LOOK_EVERY);
  }

  /** What others may type: a link-local address means something else to each, so only without others. */
  addresses(): string[] {
    const { interfaces, port } = this.#options;
    const all = currentLinks({ interfaces }).map(({ address }) => address);
    const global = all.filter((address) => !isLinkLocal(address));
    return (global.length > 0 ? global : all).map((host) => formatAddress({ host, port }));
  }

  close(): void {
    clearInterval(this.#looking);
  }

  #look(): void {
    const { survey, tell } = this.#options;
    const addresses = this.addresses();
    if (addresses.join() !== this.#addresses) tell({ event: 'reachable', addresses });
    this.#addresses = addresses.join();

    const { cause, message } = likelyCause(survey.reports(), []);
    if (HIDING.has(cause) && cause !== this.#cause) tell({ event: 'hidden', cause, message });
    this.#cause = cause;
  }
}
