import { randomBytes } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import { isAmong } from '../../index.ts';
import { MAX_SOURCES, MAX_WRONG_LINKS, WRONG_LINKS_FOR } from '../../limits.ts';
import { type Answer, type Call, isSameSecret, openDoor } from '../door.ts';
import { Gate } from './gate.ts';
import { GUEST_ICON, GUEST_STYLE } from './style.ts';

/** What is asked for by whoever has the link. */
export interface GuestCall extends Call {
  /** What follows the token: `/`, `/style.css`. */
  readonly path: string;
  /** The path of the link: `/TOKEN/`. */
  readonly root: string;
}

export interface WebLinkOptions {
  /** The only network interfaces at whose addresses it is there, if any are named. */
  readonly interfaces?: readonly string[] | undefined;
  /** What whoever has the link needs beside it, if anything: `MIN_PIN` characters or more. */
  readonly pin?: string | undefined;
  /** The first of these that is free; by default 23777 to 23786, or any. */
  readonly ports?: readonly number[] | undefined;
  /** Answers whoever has the link, and the PIN. What is below `/-/` the link answers itself. */
  readonly answer: (call: GuestCall) => Promise<Answer>;
  /** As in `DoorOptions`. */
  readonly onBug: (error: unknown) => void;
}

/** A link for the browsers of others, at which this process can be reached as long as it runs. */
export interface WebLink {
  readonly port: number;
  /** What only those know who were given the link. It stands in the path: 22 letters and digits. */
  readonly token: string;
  /**
   * The link as it is at each of these addresses, `host:port` as in the events `ready` and
   * `reachable`, the one first that is typed most easily. None where a browser can use none.
   */
  at(addresses: readonly string[]): string[];
  /** Breaks off what is under way. */
  close(): Promise<void>;
}

/** Beside the ports of `drop` itself. 0 is any that is free. */
const WEB_PORTS: readonly number[] = [...Array.from({ length: 10 }, (_, i) => 23777 + i), 0];

/**
 * Opens a server at all addresses of this computer for whoever is given its link: the token in it is
 * drawn anew each time. Without it there is nothing to be seen, whatever is asked for.
 */
export async function openWebLink(options: WebLinkOptions): Promise<WebLink> {
  const { interfaces, pin, ports = WEB_PORTS, answer, onBug } = options;
  const token = randomBytes(16).toString('base64url');
  const root = `/${token}/`;
  const gate = pin === undefined ? undefined : new Gate(pin, root);
  const guesses = new Guesses();
  const door = await openDoor({
    at: '::',
    ports,
    isOurs: isLiteral,
    admits: (local) => isAmong(local, interfaces),
    onBug,
    answer: async (call) => {
      const [, given = '', rest] = /^\/([\w-]{22})(\/.*)?$/.exec(call.path) ?? [];
      // What browsers ask for by themselves, an icon for instance, is no guess.
      if (given === '') return NOTHING;
      if (!isSameSecret(given, token)) {
        if (guesses.areTooMany(call.remote, performance.now())) return TOO_MANY;
        guesses.count(call.remote, performance.now());
        return NOTHING;
      }
      call.welcome();
      // Without the slash, what a page names would not be below the token.
      if (rest === undefined) return { ...ENDLESS, headers: { Location: root } };
      const picture = OWN[rest];
      if (picture !== undefined) return picture;
      const past: GuestCall = { ...call, path: rest, root };
      return gate === undefined ? answer(past) : gate.pass(past, answer);
    },
  });
  return {
    port: door.port,
    token,
    at: (addresses) => linksAt(addresses, door.port, token),
    close: () => door.close(),
  };
}

const NOTHING: Answer = { status: 404, type: 'text/plain; charset=utf-8', body: 'Not found.\n' };
/** Programs that do not follow it show what it says. */
const ENDLESS: Answer = {
  status: 308,
  type: 'text/plain; charset=utf-8',
  body: 'The link ends with a slash.\n',
};
/** What all pages of a link look like; it tells nothing of what is behind them. */
const OWN: Readonly<Record<string, Answer>> = {
  '/-/style.css': { status: 200, type: 'text/css; charset=utf-8', body: GUEST_STYLE },
  '/-/icon.svg': { status: 200, type: 'image/svg+xml', body: GUEST_ICON },
};
const TOO_MANY: Answer = {
  status: 429,
  type: 'text/plain; charset=utf-8',
  headers: { 'Retry-After': WRONG_LINKS_FOR / 1000 },
  body: 'Too many wrong links. Try again in a minute.\n',
};

function linksAt(addresses: readonly string[], port: number, token: string): string[] {
  const hosts = addresses.map((address) => address.replace(/:\d+$/, ''));
  // A link-local address means something else on each computer, and browsers take none.
  const usable = hosts.filter((host) => !/^\[fe[89ab]/i.test(host));
  const easy = usable.filter((host) => isIPv4(host));
  const rest = usable.filter((host) => !isIPv4(host));
  return [...easy, ...rest].map((host) => `http://${host}:${port}/${token}/`);
}

/**
 * Whether we are called by an address, which nobody but this computer has. A name can be led here by
 * whoever owns it, and its pages could then read ours.
 */
export function isLiteral(host: string): boolean {
  const [, v6 = '', other = ''] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::\d{1,5})?$/.exec(host) ?? [];
  return isIPv6(v6) || isIPv4(other) || other.toLowerCase() === 'localhost';
}

/**
 * Wrong tokens of each source. Whoever has the right one is answered all the same: any page that
 * somebody is on can have their browser try wrong ones.
 */
class Guesses {
  readonly #counts = new Map<string, { until: number; wrong: number }>();

  areTooMany(source: string, now: number): boolean {
    const count = this.#counts.get(source);
    return count !== undefined && now < count.until && count.wrong >= MAX_WRONG_LINKS;
  }

  count(source: string, now: number): void {
    const before = this.#counts.get(source);
    const goesOn = before !== undefined && now < before.until;
    const count = goesOn ? before : { until: now + WRONG_LINKS_FOR, wrong: 0 };
    count.wrong += 1;
    this.#counts.delete(source);
    this.#counts.set(source, count);
    const [oldest] = this.#counts.keys();
    if (this.#counts.size > MAX_SOURCES && oldest !== undefined) this.#counts.delete(oldest);
  }
}
