import {
  Control,
  type PresenceOptions,
  type ShareEvent,
  share,
  type TransferEvent,
} from '../../index.ts';
import { QUESTION_LIMIT } from '../../limits.ts';
import type { Loan } from './desk.ts';
import type { Said, Sharing } from './model.ts';
import type { Questions } from './questions.ts';
import { deviceOf, firstOf, quietOf, rootsOf, troubleWith } from './shown.ts';
import { saidOf } from './transfer.ts';
import type { Transfers } from './transfers.ts';

/** What sharing has in common with the rest of the desk. */
export interface SharingsOptions {
  /** What everybody is told who is announced from here: who we are, and who is asked. */
  readonly presence: () => PresenceOptions & { readonly signal: AbortSignal };
  readonly questions: Questions;
  readonly transfers: Transfers;
  /** On which we listen. */
  readonly ports: Set<number>;
  readonly changed: () => void;
  /** A device was proven that was new. */
  readonly paired: () => void;
  readonly trouble: (said: Said) => void;
  readonly tell: ((event: ShareEvent) => void) | undefined;
}

/** What pages lend for others to fetch: each loan is announced by itself, with a code of its own. */
export class Sharings {
  readonly #options: SharingsOptions;
  readonly #all = new Map<string, Shared>();
  readonly #tasks = new Set<Promise<void>>();
  #names = 0;

  constructor(options: SharingsOptions) {
    this.#options = options;
  }

  get all(): Sharing[] {
    return Array.from(this.#all.values(), ({ now }) => now);
  }

  /** Until it is ended, or the page that lends it is gone. */
  begin(loan: Loan): void {
    const { trouble, changed } = this.#options;
    const id = `sharing-${++this.#names}`;
    const ended = new AbortController();
    const end = (): void => ended.abort();
    loan.gone.addEventListener('abort', end, { once: true });
    if (loan.gone.aborted) end();
    const what = firstOf(rootsOf(loan.entries));
    const now = { id, what, page: loan.page, code: null, locked: false, fetched: 0 };
    const shared: Shared = { now, end };
    this.#all.set(id, shared);
    changed();
    const { signal } = this.#options.presence();
    const task = this.#share(shared, loan, AbortSignal.any([signal, ended.signal]))
      .catch((error) => {
        if (!ended.signal.aborted && !signal.aborted) trouble(saidOf(error));
      })
      .finally(() => {
        loan.gone.removeEventListener('abort', end);
        loan.giveBack();
        this.#all.delete(id);
        this.#tasks.delete(task);
        changed();
      });
    this.#tasks.add(task);
  }

  end(id: string): void {
    this.#all.get(id)?.end();
  }

  /** Resolves when nothing is shared any more. */
  async ended(): Promise<void> {
    await Promise.all(this.#tasks);
  }

  async #share(shared: Shared, { entries }: Loan, signal: AbortSignal): Promise<void> {
    const { presence, questions, ports, tell } = this.#options;
    const { what } = shared.now;
    const control = new Control();
    let port = 0;
    try {
      for await (const event of share([], {
        ...presence(),
        ...{ lent: entries, control, signal },
        accept: async (by, gone) => {
          const about = { device: deviceOf(by), what };
          const how = { within: QUESTION_LIMIT, gone };
          return (await questions.ask('fetch', about, how)).answer ?? 'no-answer';
        },
      })) {
        tell?.(event);
        if (event.event === 'ready') {
          port = event.port;
          ports.add(port);
        }
        this.#hear(shared, event, control);
      }
    } finally {
      ports.delete(port);
    }
  }

  #hear(shared: Shared, event: ShareEvent, control: Control): void {
    const { transfers, paired, trouble, changed } = this.#options;
    // Who fetches has named the transfer, and may have heard the name of another one here.
    const nameOf = (transfer: string): string => [shared.now.id, transfer].join(' ');
    const hear = (one: TransferEvent): void =>
      transfers.hear({ ...one, transfer: nameOf(one.transfer) });
    const set = (change: Partial<Sharing>): void => {
      shared.now = { ...shared.now, ...change };
      changed();
    };
    switch (event.event) {
      case 'ready':
      case 'code':
        set({ code: event.code });
        break;
      case 'locked':
      case 'unlocked':
        set({ locked: event.event === 'locked' });
        break;
      case 'paired':
        paired();
        break;
      // What is shown of this computer is told by who receives.
      case 'hidden':
      case 'reachable':
      case 'fetch':
        break;
      case 'accepted': {
        const { what, page } = shared.now;
        const about = { direction: 'out', device: deviceOf(event.peer), what, page } as const;
        transfers.asked(nameOf(event.transfer), about, control, event.transfer);
        hear(event);
        break;
      }
      case 'error':
        if ('transfer' in event) hear(event);
        else trouble(troubleWith(event));
        break;
      case 'declined':
        hear(event);
        if (event.quiet) trouble(quietOf(event.peer, event.quiet));
        break;
      case 'summary':
        if (event.ok) set({ fetched: shared.now.fetched + 1 });
        hear(event);
        break;
      default:
        hear(event);
    }
  }
}

interface Shared {
  now: Sharing;
  readonly end: () => void;
}
