import type { Cause, LinkReport, SilentEvent } from '../events.ts';
import { forTerminal } from '../protocol/names.ts';
import { canonical } from './addresses.ts';
import type { Link } from './links.ts';

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

  /** A packet went out, as far as the system tells. */
  said(): void {
    this.#said += 1;
    this.#trouble = undefined;
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
): LikelyCause {
  const outside = links.filter(({ loopback }) => !loopback);
  const names = [...new Set(outside.map((link) => link.interface))].join(', ');
  const all = (test: (link: LinkReport) => boolean) => outside.every(test);
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
      message: 'This computer is connected to no network.',
      hint: 'Join one, or connect the two computers by a cable.',
    };
  if (all(({ trouble }) => trouble === 'EADDRINUSE'))
    return {
      cause: 'port-taken',
      message: 'Another program keeps UDP port 5353 to itself, by which devices are found.',
      hint: 'See: drop doctor. Or name the address: --to ADDRESS',
    };
  if (all(({ said, trouble }) => said === 0 || trouble !== undefined))
    return {
      cause: 'cannot-speak',
      message: `Nothing can be sent to all devices on ${names}: a firewall here, most likely.`,
      hint: 'See: drop doctor. Or name the address: --to ADDRESS',
    };
  if (all(({ echoed, heard }) => echoed === 0 && heard === 0))
    return {
      cause: 'cannot-hear',
      message: 'Nothing comes in on UDP port 5353: a firewall here, most likely.',
      hint: 'See: drop doctor. Or name the address: --to ADDRESS',
    };
  if (outside.some(({ heard }) => heard > 0))
    return {
      cause: 'nobody',
      message: `Other devices are heard on ${names}, and none of them runs drop receive.`,
      hint: 'Start it there, in the same network.',
    };
  return {
    cause: 'alone',
    message: `No other device is heard on ${names}.`,
    hint: 'Is `drop receive` running there, in the same network? Guest networks keep devices apart.',
  };
}
