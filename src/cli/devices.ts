import stringWidth from 'string-width';
import type { DiscoverEvent, Peer, PeerEvent, SilentEvent, SilentPeer } from '../index.ts';
import { type Explanation, explain } from './explanation.ts';
import { shortId } from './format.ts';
import type { Library } from './io.ts';
import { cut } from './rows.ts';
import { nameOf, SILENT, sharingOf, standingOf } from './words.ts';

/** A device to choose. */
export interface Choice {
  /** Names it for as long as it is there, whatever else comes and goes. */
  readonly key: string;
  readonly peer: Peer | SilentPeer;
  /** It is announced but does not answer; it can be asked to call back. */
  readonly silent: boolean;
  /** Its name, fit to be shown. */
  readonly name: string;
  readonly standing: string;
  /** What tells it from another one of the same name; empty if it is the only one. */
  readonly apart: string;
}

/**
 * The devices that can be chosen, in the order in which they came: a new one goes to the end,
 * so nothing that is shown moves down; but for those that do not answer, which come last of all.
 */
export class Devices {
  readonly #library: Pick<Library, 'forTerminal' | 'peerOf' | 'sameName'>;
  readonly #peers = new Map<string, Peer>();
  readonly #silent = new Map<string, SilentPeer>();
  readonly #listeners = new Set<() => void>();
  #choices: readonly Choice[] = [];
  #others = 0;
  #explanation: Explanation | undefined;

  /** What they are chosen for. */
  readonly way: 'send' | 'get';

  constructor(
    library: Pick<Library, 'forTerminal' | 'peerOf' | 'sameName'>,
    way: 'send' | 'get' = 'send',
  ) {
    this.#library = library;
    this.way = way;
  }

  /** A new array whenever something changed. */
  get choices(): readonly Choice[] {
    return this.#choices;
  }

  /** Devices that are there but cannot be chosen: blocked ones, and copies of this one. */
  get others(): number {
    return this.#others;
  }

  /** Why no other device is there, once that is so for a while. */
  get explanation(): Explanation | undefined {
    return this.#explanation;
  }

  update(event: DiscoverEvent): void {
    if (event.event === 'peer') this.#updatePeer(event);
    else if (event.event === 'silent') this.#updateSilent(event);
    else this.#explanation = explain(event, this.#library.forTerminal);
    this.#list();
    for (const listener of this.#listeners) listener();
  }

  /** Returns what ends it. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #updatePeer(event: PeerEvent): void {
    const { state, id, run, standing } = event;
    const key = `${id} ${run}`;
    if (state === 'lost') this.#peers.delete(key);
    else this.#peers.set(key, this.#library.peerOf(event));
    // Our own computer is no answer to why the others are not there.
    if (state === 'found' && standing !== 'self') this.#explanation = undefined;
  }

  #updateSilent({ state, run, name, addresses }: SilentEvent): void {
    if (state === 'lost') this.#silent.delete(run);
    else this.#silent.set(run, { run, name, addresses });
  }

  #list(): void {
    const all = [...this.#peers].map(([key, peer]) => this.#choiceOf(key, peer));
    const open = all.filter(
      ({ peer: { standing } }) => standing !== 'blocked' && standing !== 'clone',
    );
    const silent = [...this.#silent.values()].map((peer) => this.#silentChoiceOf(peer));
    const { sameName } = this.#library;
    const choices = [...open, ...silent];
    this.#choices = choices.map((choice) => ({
      ...choice,
      apart: choices.some((other) => other.key !== choice.key && sameName(other.name, choice.name))
        ? this.#apart(choice.peer)
        : '',
    }));
    this.#others = all.length - open.length;
  }

  #choiceOf(key: string, peer: Peer): Choice & { readonly peer: Peer } {
    const name = this.#library.forTerminal(peer.name, MAX_NAME);
    const { forTerminal } = this.#library;
    // Whoever is asked what to get need not read with each of them that it shares something.
    const sharing = peer.offer ? sharingOf(peer, forTerminal) : [];
    const standing = [standingOf(peer.standing, cut(name, 20)), ...sharing].join(', ');
    return { key, peer, silent: false, name, standing, apart: '' };
  }

  #silentChoiceOf(peer: SilentPeer): Choice {
    const name = this.#library.forTerminal(nameOf(peer), MAX_NAME);
    return { key: `silent ${peer.run}`, peer, silent: true, name, standing: SILENT, apart: '' };
  }

  #apart(peer: Peer | SilentPeer): string {
    const address = this.#library.forTerminal(peer.addresses[0] ?? '', MAX_NAME);
    return 'id' in peer ? `${shortId(peer.id)}  ${address}`.trimEnd() : address;
  }
}

/** Characters of a name, or of an address, that are shown. */
const MAX_NAME = 60;

/** At least this much of a name is shown, however narrow the window. */
const MIN_NAME = 8;

/**
 * A choice as one row of at most `width` columns. The name gives way before the standing: that
 * a device is NOT the known one must be read even in a narrow window.
 */
export function rowOf({ name, standing, apart }: Choice, nameWidth: number, width: number): string {
  const tail = apart === '' ? standing : `${standing}  ${apart}`;
  const room = Math.min(nameWidth, Math.max(MIN_NAME, width - stringWidth(tail) - 2));
  const shown = cut(name, room);
  return cut(`${shown}${' '.repeat(room - stringWidth(shown))}  ${tail}`, width);
}

/** The columns that the longest name takes. */
export function nameWidthOf(choices: readonly Choice[]): number {
  return choices.reduce((most, { name }) => Math.max(most, stringWidth(name)), 0);
}
