import cliTruncate from 'cli-truncate';
import stringWidth from 'string-width';
import type { Peer, PeerEvent } from '../index.ts';
import { shortId } from './format.ts';
import type { Library } from './io.ts';
import { standingOf } from './words.ts';

/** A device to choose. */
export interface Choice {
  /** Names it for as long as it is there, whatever else comes and goes. */
  readonly key: string;
  readonly peer: Peer;
  /** Its name, fit to be shown. */
  readonly name: string;
  readonly standing: string;
  /** What tells it from another one of the same name; empty if it is the only one. */
  readonly apart: string;
}

/**
 * The devices that can be chosen, in the order in which they came: a new one goes to the end,
 * so nothing that is shown moves down.
 */
export class Devices {
  readonly #library: Pick<Library, 'forTerminal' | 'sameName'>;
  readonly #peers = new Map<string, Peer>();
  readonly #listeners = new Set<() => void>();
  #choices: readonly Choice[] = [];
  #others = 0;

  constructor(library: Pick<Library, 'forTerminal' | 'sameName'>) {
    this.#library = library;
  }

  /** A new array whenever something changed. */
  get choices(): readonly Choice[] {
    return this.#choices;
  }

  /** Devices that are there but cannot be chosen: blocked ones, and copies of this one. */
  get others(): number {
    return this.#others;
  }

  update({ state, id, run, name, addresses, standing }: PeerEvent): void {
    const key = `${id} ${run}`;
    if (state === 'lost') this.#peers.delete(key);
    else this.#peers.set(key, { id, run, name, addresses, standing });
    const all = [...this.#peers].map(([each, peer]) => this.#choiceOf(each, peer));
    const open = all.filter(({ peer }) => peer.standing !== 'blocked' && peer.standing !== 'clone');
    const { sameName } = this.#library;
    this.#choices = open.map((choice) => ({
      ...choice,
      apart: open.some((other) => other.key !== choice.key && sameName(other.name, choice.name))
        ? this.#apart(choice.peer)
        : '',
    }));
    this.#others = all.length - open.length;
    for (const listener of this.#listeners) listener();
  }

  /** Returns what ends it. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #choiceOf(key: string, peer: Peer): Choice {
    const name = this.#library.forTerminal(peer.name, 60);
    const standing = standingOf(peer.standing, cliTruncate(name, 20));
    return { key, peer, name, standing, apart: '' };
  }

  #apart({ id, addresses }: Peer): string {
    const address = this.#library.forTerminal(addresses[0] ?? '', 60);
    return `${shortId(id)}  ${address}`.trimEnd();
  }
}

/** At least this much of a name is shown, however narrow the window. */
const MIN_NAME = 8;

/**
 * A choice as one row of at most `width` columns. The name gives way before the standing: that
 * a device is NOT the known one must be read even in a narrow window.
 */
export function rowOf({ name, standing, apart }: Choice, nameWidth: number, width: number): string {
  const tail = apart === '' ? standing : `${standing}  ${apart}`;
  const room = Math.min(nameWidth, Math.max(MIN_NAME, width - stringWidth(tail) - 2));
  const shown = cliTruncate(name, room);
  return cliTruncate(`${shown}${' '.repeat(room - stringWidth(shown))}  ${tail}`, width);
}

/** The columns that the longest name takes. */
export function nameWidthOf(choices: readonly Choice[]): number {
  return choices.reduce((most, { name }) => Math.max(most, stringWidth(name)), 0);
}
