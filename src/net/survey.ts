import type { Cause, LinkReport, SilentEvent } from '../events.ts';
import type { Way } from '../protocol/card.ts';
import { forTerminal } from '../protocol/names.ts';
import { canonical } from './addresses.ts';
import { type Link, tunnelInterfaces, virtualInterfaces } from './links.ts';

/** Counts what the links say and hear, to tell why nobody is found. */
export class Survey {
  readonly #tallies = new Map<string, Tally>();

  /** The tally of a link; it goes on counting where it was if the link is opened anew. */
  of(link: Link): Tally {
    const tally = this.#tallies.get(link.key) ?? new Tally(link);
    this.#tallies.set(link.key, tally);
    return tally;
  }

  /** The link is no more. */
  forget(link: Link): void {
    this.#tallies.delete(link.key);
  }

  reports(): LinkReport[] {
    return Array.from(this.#tallies.values(), (tally) => tally.report());
  }
}

/** What one link said and heard. */
export class Tally {
  readonly #link: Link;
  #said = 0;
  #echoed = 0;
  #heard = 0;
  #trouble: string | undefined;

  constructor(link: Link) {
    this.#link = link;
  }

  /** A packet went out, as far as the system tells; perhaps from a port where little is heard. */
  said(isTaken = false): void {
    this.#said += 1;
    this.#trouble = isTaken ? 'EADDRINUSE' : undefined;
  }

  /** The link cannot be used. */
  failed(code: string): void {
    this.#trouble = code;
  }

  heard(from: string): void {
    const own = this.#link.networks.some(({ address }) => address === canonical(from));
    if (own) this.#echoed += 1;
    else this.#heard += 1;
  }

  report(): LinkReport {
    const { name, family, address, loopback } = this.#link;
    return {
      interface: name,
      family,
      address,
      loopback,
      said: this.#said,
      echoed: this.#echoed,
      heard: this.#heard,
      trouble: this.#trouble,
    };
  }
}

/**
 * How a link fares: `taken` if another program holds the port for itself, `mute` if the system
 * lets nothing out, `broken` if it can be used for no other reason, `deaf` if nothing comes in, not
 * even what we say, `alone` if nobody else is heard, else `hears`.
 */
export type LinkState = 'taken' | 'mute' | 'broken' | 'deaf' | 'alone' | 'hears';

export function stateOf({ said, echoed, heard, trouble }: LinkReport): LinkState {
  if (trouble === 'EADDRINUSE') return 'taken';
  if (trouble !== undefined) return FORBIDDEN.has(trouble) ? 'mute' : 'broken';
  if (said === 0) return 'broken';
  if (heard > 0) return 'hears';
  return echoed > 0 ? 'alone' : 'deaf';
}

/** What systems say when a rule of theirs forbids to send; the last one is Apple's. */
const FORBIDDEN: ReadonlySet<string> = new Set(['EPERM', 'EACCES', 'EHOSTUNREACH']);

/** What is known of this computer beside what its links said and heard. */
export interface Surroundings {
  /** Interfaces that lead inside this machine or through a tunnel, and to few peers. */
  readonly virtual: ReadonlySet<string>;
  /** Those of them that lead through a tunnel: most often a VPN. */
  readonly tunnels: ReadonlySet<string>;
  readonly platform: NodeJS.Platform;
}

function surroundings(): Surroundings {
  return {
    virtual: virtualInterfaces(),
    tunnels: tunnelInterfaces(),
    platform: process.platform,
  };
}

/** The reports of links that lead to a network; those of virtual ones only where somebody is heard. */
export function outsideOf(
  links: readonly LinkReport[],
  { virtual }: Pick<Surroundings, 'virtual'>,
): LinkReport[] {
  return links.filter(
    ({ interface: name, loopback, heard }) => !loopback && (!virtual.has(name) || heard > 0),
  );
}

/** Whether a system keeps this program from the network by a setting for each program. */
export function isKeptOff({ trouble }: LinkReport, platform: NodeJS.Platform): boolean {
  return platform === 'darwin' && trouble === 'EHOSTUNREACH';
}

/** The most likely reason why nobody is found, in words, and what to do about it. */
export interface LikelyCause {
  readonly cause: Cause;
  readonly message: string;
  readonly hint: string;
}

/** Why nobody is found, by what the links said and heard, and who is announced but silent. */
export function likelyCause(
  links: readonly LinkReport[],
  silent: readonly SilentEvent[],
  around: Surroundings = surroundings(),
  way?: Way,
): LikelyCause {
  const { command, named } = way === undefined ? ANY : LOOKED_FOR[way];
  const seeDoctor = `See: drop doctor${named}`;
  const outside = outsideOf(links, around);
  const states = new Set(outside.map(stateOf));
  const names = namesOf(outside);
  const inner = namesOf(links.filter(({ loopback }) => !loopback));
  const vpn = links.find((link) => around.tunnels.has(link.interface))?.interface;
  const unlessVpn = (hint: string, vpnHint: string) =>
    vpn === undefined ? hint : `A VPN is on (${vpn}): ${vpnHint}`;
  const [first] = silent;
  if (first !== undefined)
    return {
      cause: 'silent',
      message: `"${forTerminal(first.name, 60)}" is announced but does not answer.`,
      hint: 'A firewall there, most likely. Run there: drop doctor',
    };
  if (outside.length === 0)
    return {
      cause: 'no-network',
      message:
        inner === ''
          ? 'This computer is connected to no network.'
          : `This computer is connected to none but inner networks or a VPN (${inner}).`,
      hint: 'Join one, or connect the two computers by a cable.',
    };
  if (states.has('hears'))
    return {
      cause: 'nobody',
      message: `Other devices are heard on ${names}, and none of them runs ${command}.`,
      hint: 'Start it there, in the same network.',
    };
  if (states.has('taken'))
    return {
      cause: 'port-taken',
      message: 'Another program keeps UDP port 5353 to itself, by which devices are found.',
      hint: seeDoctor,
    };
  // As long as one link works, it is the likeliest that nobody is there.
  if (states.has('alone'))
    return {
      cause: 'alone',
      message: `No other device is heard on ${namesOf(outside, 'alone')}.`,
      hint: unlessVpn(
        `Is \`${command}\` running there, in the same network? Guest networks keep devices apart.`,
        `it must leave the local network alone. Is \`${command}\` running there, in the same one?`,
      ),
    };
  if (outside.some((link) => isKeptOff(link, around.platform)))
    return {
      cause: 'cannot-speak',
      message: `Nothing can be sent on ${names}: macOS keeps this program off the local network.`,
      hint: 'Allow the app of this terminal in System Settings, Privacy & Security, Local Network.',
    };
  if (states.has('mute'))
    return {
      cause: 'cannot-speak',
      message: `Nothing can be sent to all devices on ${names}: a firewall here, most likely.`,
      hint: unlessVpn(seeDoctor, 'it may forbid it. Let it allow the local network, or end it.'),
    };
  if (states.has('deaf'))
    return {
      cause: 'cannot-hear',
      message: 'Nothing comes in on UDP port 5353: a firewall here, most likely.',
      hint: unlessVpn(seeDoctor, 'it may forbid it. Let it allow the local network, or end it.'),
    };
  const [trouble] = outside.flatMap((link) => link.trouble ?? []);
  return {
    cause: 'cannot-speak',
    message: `Nothing can be sent to all devices on ${names}${trouble ? ` (${trouble})` : ''}.`,
    hint: seeDoctor,
  };
}

/** Who looks for both, as a window does, has no option for an address. */
const ANY = { command: 'drop', named: '' };

const LOOKED_FOR = {
  send: { command: 'drop receive', named: '. Or name the address: --to ADDRESS' },
  get: { command: 'drop share', named: '. Or name the address: --from ADDRESS' },
} as const satisfies Readonly<Record<Way, typeof ANY>>;

/** The interfaces of these links, or of those of them that are in one state. */
function namesOf(links: readonly LinkReport[], state?: LinkState): string {
  const those = links.filter((link) => state === undefined || stateOf(link) === state);
  return [...new Set(those.map((link) => link.interface))].join(', ');
}
