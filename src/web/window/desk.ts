import { homedir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { tildePath } from '../../figures.ts';
import {
  Control,
  clearHistory,
  DropError,
  doctor,
  forgetPeer,
  forTerminal,
  type GetEvent,
  get,
  history,
  knownPeers,
  type LentEntry,
  type PresenceOptions,
  type ReceiveEvent,
  type ReceiveOptions,
  receive,
  renamePeer,
  type SendEvent,
  type SendOptions,
  type ShareEvent,
  send,
  trustPeer,
} from '../../index.ts';
import { CALL_QUESTION_LIMIT, MAX_TEXT, QUESTION_LIMIT } from '../../limits.ts';
import type { Check, DeskView, Said } from './model.ts';
import { Neighbours, type Target } from './neighbours.ts';
import { show } from './opener.ts';
import { Questions } from './questions.ts';
import { Sharings } from './sharings.ts';
import {
  clean,
  cleanName,
  deviceOf,
  firstOf,
  offerOf,
  quietOf,
  riskOf,
  rootsOf,
  shortId,
  troubleWith,
} from './shown.ts';
import { saidOf } from './transfer.ts';
import { type Running, Transfers } from './transfers.ts';

/** What the window is told at its start. */
export interface DeskOptions
  extends Pick<
    ReceiveOptions,
    'home' | 'interfaces' | 'name' | 'into' | 'onConflict' | 'byDevice'
  > {
  readonly signal: AbortSignal;
  /** Hears what the library tells, too. */
  readonly tell?: ((event: ReceiveEvent | SendEvent | GetEvent | ShareEvent) => void) | undefined;
  /** Hears why nothing can be received; all else works. */
  readonly onClosed?: ((error: unknown) => void) | undefined;
}

/** Something that a page lends. */
export interface Loan {
  readonly page: string;
  readonly entries: readonly LentEntry[];
  /** Aborted when the page is gone. */
  readonly gone: AbortSignal;
  /** Nobody reads it any more. */
  readonly giveBack: () => void;
}

/**
 * All that happens behind the window: it receives, looks around, sends, shares and fetches by the
 * library, and keeps the picture that every page shows.
 */
export class Desk {
  readonly #options: DeskOptions;
  readonly #common: Common;
  readonly #changed: (part: keyof DeskView) => void;
  readonly #questions = new Questions(
    () => this.#changed('questions'),
    (said) => this.#trouble(said),
  );
  readonly #neighbours = new Neighbours(() => {
    this.#changed('nearby');
    this.#changed('nobody');
  });
  readonly #control = new Control();
  readonly #transfers: Transfers;
  readonly #sharings: Sharings;
  /** What is neither of these. */
  #rest: Rest = {
    device: {
      ...{ name: '', id: '', into: '', code: null, addresses: [] },
      ...{ locked: false, hidden: null, closed: null },
    },
    ...{ messages: [], known: [], history: [], troubles: [] },
  };
  #into = '';
  /** On which we listen, which tells us from other processes of ours in the list. */
  readonly #ports = new Set<number>();
  /** What is fetched, by the device or address. */
  readonly #fetches = new Map<string, Running>();
  #names = 0;
  readonly #tasks = new Set<Promise<unknown>>();

  /** `changed` hears which part of the picture is another one. */
  constructor(options: DeskOptions, changed: (part: keyof DeskView) => void) {
    this.#options = options;
    const { home, interfaces, signal, name } = options;
    this.#common = { home, interfaces, signal, name };
    this.#changed = changed;
    this.#transfers = new Transfers(signal, () => this.#changed('transfers'));
    this.#sharings = new Sharings({
      presence: () => ({ ...this.#common, ...this.#entrance() }),
      ...{ questions: this.#questions, transfers: this.#transfers, ports: this.#ports },
      changed: () => this.#changed('sharings'),
      paired: () => void this.#recall(),
      trouble: (said) => this.#trouble(said),
      tell: options.tell,
    });
  }

  get view(): DeskView {
    return {
      ...this.#rest,
      nearby: this.#neighbours.seen(this.#rest.known, this.#ports),
      nobody: this.#neighbours.nobody,
      questions: this.#questions.all,
      sharings: this.#sharings.all,
      transfers: this.#transfers.all,
    };
  }

  /** Receives and looks around until the signal is aborted, and all has come to its end. */
  async run(): Promise<void> {
    const { home, interfaces, signal } = this.#common;
    await Promise.all([
      this.#forAsLong(() => this.#receive()),
      this.#forAsLong(() => this.#neighbours.look({ home, interfaces, signal })),
      this.#recall(),
    ]);
    await Promise.all([...this.#tasks, this.#transfers.ended(), this.#sharings.ended()]);
  }

  /** Each device has a transfer of its own, and none waits for another. */
  send(
    to: readonly string[],
    { text, loan }: { text?: string | undefined; loan?: Loan | undefined },
  ): void {
    if (text === undefined && loan === undefined)
      throw new DropError('usage', { message: 'There is nothing to send.' });
    const targets = to.map((key) => this.#neighbours.targetOf(key));
    const what = [...rootsOf(loan?.entries ?? []), ...(text === undefined ? [] : ['message'])];
    const sendings = targets.map((target) => {
      const about = { direction: 'out', device: deviceNamed(target), what: firstOf(what) } as const;
      const running = this.#transfers.begin({ ...about, page: loan?.page });
      return this.#transfers.carry(
        running,
        (signal) =>
          send([], {
            ...this.#meeting(running, signal, target),
            ...{ to: target, lent: loan?.entries ?? [], text },
          }),
        (event) => this.#hearOurs(running, event),
        loan?.gone,
      );
    });
    if (loan) void Promise.all(sendings).then(() => loan.giveBack());
  }

  /** Fetches something; does nothing where it is just being begun, as somebody may press twice. */
  get(from: string): void {
    const target = this.#neighbours.targetOf(from);
    if (this.#fetches.get(from)?.picture.isBeginning) return;
    const about = { direction: 'in', device: deviceNamed(target), what: [] } as const;
    const running = this.#transfers.begin(about);
    const fetch = (signal: AbortSignal): AsyncGenerator<GetEvent, unknown> =>
      get({
        ...this.#meeting(running, signal, target),
        ...this.#saving(),
        from: target,
        accept: async ({ from: by, ...offer }, gone) => {
          const about = {
            device: deviceOf(by),
            ...{ offer: offerOf(offer), risks: offer.risks.map(riskOf), parts: offer.parts },
          };
          const { answer = false } = await this.#questions.ask('offer', about, { gone });
          if (typeof answer !== 'boolean') running.picture.describe({ what: firstOf(answer) });
          return answer;
        },
      });
    this.#fetches.set(from, running);
    const over = this.#transfers.carry(running, fetch, (event) => this.#hearOurs(running, event));
    void over.then(() => {
      if (this.#fetches.get(from) === running) this.#fetches.delete(from);
    });
  }

  /** Lets others fetch a loan, until that is ended or its page is gone. */
  share(loan: Loan): void {
    this.#sharings.begin(loan);
  }

  endSharing(id: string): void {
    this.#sharings.end(id);
  }

  answer(question: string, answer: unknown): void {
    this.#questions.answer(question, answer);
  }

  pause(transfer: string): void {
    this.#transfers.pause(transfer);
  }

  resume(transfer: string): void {
    this.#transfers.resume(transfer);
  }

  cancel(transfer: string): void {
    this.#transfers.cancel(transfer);
  }

  /** What is over is shown no more. */
  dismiss(id: string): void {
    this.#transfers.dismiss(id);
    const others = <T extends { readonly id: string }>(all: readonly T[]): T[] =>
      all.filter((one) => one.id !== id);
    const { messages, troubles } = this.#rest;
    this.#set({ messages: others(messages), troubles: others(troubles) });
  }

  /** Shows the folder where everything lands. Throws `usage` where there is no desktop to show it. */
  async open(): Promise<void> {
    if (this.#into !== '' && (await show(this.#into))) return;
    throw new DropError('usage', {
      message: 'There is no file manager here that could show the folder.',
      hint: `What arrived lies in ${this.#rest.device.into || 'the folder for downloads'}.`,
    });
  }

  async rename(id: string, name: string): Promise<void> {
    await renamePeer(id, name, this.#common);
    await this.#recall();
  }

  async trust(id: string, trust: 'ask' | 'auto' | 'blocked'): Promise<void> {
    await trustPeer(id, trust, this.#common);
    await this.#recall();
  }

  async forget(id: string): Promise<void> {
    await forgetPeer(id, this.#common);
    await this.#recall();
  }

  async clearHistory(): Promise<void> {
    await clearHistory(this.#common);
    await this.#recall();
  }

  async doctor(signal: AbortSignal): Promise<{ checks: Check[] }> {
    const { home, interfaces, into } = this.#options;
    const checks: Check[] = [];
    const both = AbortSignal.any([signal, this.#common.signal]);
    for await (const check of doctor({ home, interfaces, into, signal: both })) {
      const { event: _, ...found } = check;
      checks.push(found);
    }
    return { checks };
  }

  async #receive(): Promise<void> {
    let port = 0;
    try {
      for await (const event of receive({
        ...this.#common,
        ...this.#saving(),
        ...this.#entrance(),
        control: this.#control,
        accept: async ({ from, known, ...offer }, gone) => {
          const about = {
            ...{ device: deviceOf(from), known },
            ...{ offer: offerOf(offer), risks: offer.risks.map(riskOf) },
          };
          const how = { within: QUESTION_LIMIT, gone };
          return (await this.#questions.ask('accept', about, how)).answer ?? 'no-answer';
        },
      })) {
        if (event.event === 'ready') {
          port = event.port;
          this.#ports.add(port);
        }
        this.#hear(event);
      }
    } catch (error) {
      if (!this.#common.signal.aborted) this.#close(error);
      throw error;
    } finally {
      this.#ports.delete(port);
    }
  }

  #hear(event: ReceiveEvent): void {
    this.#options.tell?.(event);
    switch (event.event) {
      case 'ready': {
        const { name, id, code, addresses, into } = event;
        this.#into = into ?? '';
        this.#setDevice({
          ...{ name, id: shortId(id), code, addresses },
          into: tildePath(this.#into, homedir()),
          ...{ locked: false, hidden: null, closed: null },
        });
        break;
      }
      case 'code':
        this.#setDevice({ code: event.code });
        break;
      case 'locked':
        this.#setDevice({ locked: true });
        break;
      case 'unlocked':
        this.#setDevice({ locked: false });
        break;
      case 'hidden':
        this.#setDevice({ hidden: event.message });
        break;
      case 'reachable':
        this.#setDevice({ addresses: event.addresses });
        break;
      case 'unrecorded':
        this.#trouble({ message: event.message });
        break;
      case 'paired':
        void this.#recall();
        break;
      case 'request': {
        const { transfer: id, from, roots, bytes, files, texts, sized, final } = event;
        const about = { direction: 'in', device: deviceOf(from), what: firstOf(roots) } as const;
        const picture = this.#transfers.asked(id, about, this.#control);
        if (final) picture.describe({ total: sized ? bytes : null, ofFiles: files });
        picture.isMessage = final && texts === files;
        break;
      }
      case 'error':
        if ('transfer' in event) this.#transfers.hear(event);
        else this.#trouble(troubleWith(event));
        break;
      case 'text':
        this.#message(event.peer, event.text);
        break;
      case 'declined':
        this.#transfers.hear(event);
        if (event.quiet) this.#trouble(quietOf(event.peer, event.quiet));
        break;
      case 'summary':
        this.#transfers.hear(event);
        this.#recallSoon();
        break;
      default:
        this.#transfers.hear(event);
    }
  }

  /** What being chosen takes, to receive as well as to share. */
  #entrance(): Pick<PresenceOptions, 'agree' | 'unlock'> {
    return {
      agree: async ({ address }, gone) => {
        const device = { name: forTerminal(address), id: '' };
        const how = { within: CALL_QUESTION_LIMIT, gone };
        return (await this.#questions.ask('call', { device }, how)).answer ?? false;
      },
      unlock: async (gone) => {
        const { name, id } = this.#rest.device;
        while (!gone.aborted)
          if ((await this.#questions.ask('unlock', { device: { name, id } }, { gone })).answer)
            return;
        throw gone.reason;
      },
    };
  }

  #hearOurs({ picture }: Running, event: SendEvent | GetEvent): void {
    this.#options.tell?.(event);
    const isIn = picture.now.direction === 'in';
    switch (event.event) {
      case 'knocking':
        break;
      case 'paired':
        void this.#recall();
        break;
      case 'unrecorded':
        this.#trouble({ message: event.message });
        break;
      case 'waiting':
        picture.waits();
        picture.describe({ device: deviceOf(event) });
        break;
      case 'offer': {
        const { roots, bytes, files, sized, final } = event;
        const sums = final ? { total: sized ? bytes : null, ofFiles: files } : {};
        picture.describe({ what: firstOf(roots), ...sums });
        break;
      }
      case 'text':
        if (isIn) this.#message(event.peer, event.text);
        break;
      default:
        picture.hear(event);
    }
    if (event.event === 'summary' && isIn) this.#recallSoon();
  }

  /** What sending and fetching have in common: who is asked, and how long is waited. */
  #meeting(running: Running, signal: AbortSignal, target: Target): Meeting {
    return {
      ...this.#common,
      ...{ signal, control: running.control },
      // What is in the list is there, however slow; at an address need be nobody.
      wait: typeof target === 'string' ? undefined : CALL_QUESTION_LIMIT,
      waitAgain: Number.POSITIVE_INFINITY,
      code: async ({ peer, kind: needs, why, signal: gone }) => {
        const about = { device: deviceOf(peer), needs, why };
        const { answer } = await this.#questions.ask('code', about, { gone });
        if (typeof answer === 'string') return answer;
        running.stop?.('cancelled');
        throw new DropError('cancelled', { message: 'You stopped it.' });
      },
      confirm: async ({ peer, doubt, claimed, signal: gone }) => {
        const about = { device: deviceOf(peer), doubt, claimed: cleanName(claimed) };
        return (await this.#questions.ask('doubt', about, { gone })).answer ?? false;
      },
    };
  }

  #saving(): Pick<DeskOptions, 'into' | 'onConflict' | 'byDevice'> {
    const { into, onConflict, byDevice } = this.#options;
    return { into, onConflict, byDevice };
  }

  #message(from: { readonly name: string; readonly id: string }, text: string): void {
    const lines = text.split(/\r\n|[\r\n]/).map((line) => forTerminal(line, MAX_TEXT));
    const message = {
      id: `message-${++this.#names}`,
      from: deviceOf(from),
      text: lines.join('\n'),
      at: Date.now(),
    };
    this.#set({ messages: [message, ...this.#rest.messages].slice(0, MESSAGES) });
  }

  #trouble(said: Said): void {
    const { message, hint } = said;
    const trouble = {
      id: `trouble-${++this.#names}`,
      message: clean(message),
      ...(hint === undefined ? {} : { hint: clean(hint) }),
    };
    this.#set({ troubles: [trouble, ...this.#rest.troubles].slice(0, TROUBLES) });
  }

  /** What has just arrived is being written down. */
  #recallSoon(): void {
    const { signal } = this.#common;
    const recalling = sleep(WRITTEN, undefined, { signal }).then(
      () => this.#recall(),
      () => {},
    );
    this.#tasks.add(recalling);
    void recalling.finally(() => this.#tasks.delete(recalling));
  }

  /** Whom we know and what arrived may have changed. */
  async #recall(): Promise<void> {
    try {
      const { home } = this.#common;
      const [known, arrived] = await Promise.all([knownPeers({ home }), history({ home })]);
      this.#set({
        known: known.map(({ name, id, trust }) => ({ name: cleanName(name), id, trust })),
        history: arrived
          .slice(-ARRIVED)
          .reverse()
          .map(({ at, ok, files, bytes, roots, into, peer }) => ({
            ...{ at, ok, files, bytes, from: cleanName(peer.name) },
            roots: roots.map(cleanName),
            into: clean(tildePath(into, homedir())),
          })),
      });
      this.#changed('nearby');
    } catch (error) {
      this.#trouble(saidOf(error));
    }
  }

  /** Does something again when it fails, until all of it ends: a network or a disk may come back. */
  async #forAsLong(task: () => Promise<void>): Promise<void> {
    const { signal } = this.#common;
    while (!signal.aborted) {
      await task().catch(() => {});
      await sleep(AGAIN, undefined, { signal }).catch(() => {});
    }
  }

  /** Nothing can be received. It is tried again and again, but told once. */
  #close(error: unknown): void {
    const closed = closedBy(error);
    if (closed.message !== this.#rest.device.closed?.message) this.#options.onClosed?.(error);
    this.#setDevice({ closed, code: null });
  }

  #setDevice(change: Partial<DeskView['device']>): void {
    this.#set({ device: { ...this.#rest.device, ...change } });
  }

  #set(change: Partial<Rest>): void {
    this.#rest = { ...this.#rest, ...change };
    for (const part of ['device', 'messages', 'known', 'history', 'troubles'] as const)
      if (part in change) this.#changed(part);
  }
}

/** What of the picture is kept here. */
type Rest = Pick<DeskView, 'device' | 'messages' | 'known' | 'history' | 'troubles'>;

/** What all functions of the library are told. */
type Common = Pick<DeskOptions, 'home' | 'interfaces' | 'signal' | 'name'>;

/** How devices are met. */
type Meeting = Pick<
  SendOptions,
  keyof Common | 'control' | 'wait' | 'waitAgain' | 'code' | 'confirm'
>;

function deviceNamed(target: Target): { readonly name: string; readonly id: string } {
  if (typeof target === 'string') return { name: forTerminal(target), id: '' };
  const { name, addresses } = target;
  return deviceOf({ name: name || (addresses[0] ?? ''), id: 'id' in target ? target.id : '' });
}

/** Messages, troubles and what arrived: how many of the latest are shown. */
const MESSAGES = 100;
const TROUBLES = 20;
const ARRIVED = 100;

/** Milliseconds until what arrived is surely written down. */
const WRITTEN = 500;

/** Milliseconds until something is tried again that has failed. */
const AGAIN = 5_000;

/** Why nothing can be received. */
function closedBy(error: unknown): Said {
  const { message, hint } = saidOf(error);
  const path = error instanceof DropError ? error.path : undefined;
  return { message: `Nothing can be received. ${path ? `${path}: ` : ''}${message}`, hint };
}
