import type { Signals } from './io.ts';

/** How long a clean end may take before it ends anyway, in milliseconds. */
const PATIENCE = 3_000;

export interface StopsOptions {
  /** Called when a clean end begins. */
  readonly onFirst: (by: NodeJS.Signals) => void;
  readonly patience?: number;
}

/**
 * The ways in which a person or the system stops us. The first Ctrl-C or SIGTERM asks for a clean
 * end; the next one, SIGHUP, or too long a wait ends it at once. Nothing here exits: the caller
 * is told, and dies by the signal, so that a shell loop around it stops too.
 */
export class Stops {
  readonly #signals: Signals;
  readonly #options: StopsOptions;
  readonly #abort = new AbortController();
  readonly #listeners: ReadonlyMap<NodeJS.Signals, () => void>;
  #by: NodeJS.Signals | undefined;
  #timer: NodeJS.Timeout | undefined;
  #endNow: () => void = () => {};
  /** Resolves when there is no time left for a clean end. */
  readonly atOnce = new Promise<void>((resolve) => {
    this.#endNow = resolve;
  });

  constructor(signals: Signals, options: StopsOptions) {
    this.#signals = signals;
    this.#options = options;
    this.#listeners = new Map([
      ['SIGINT', () => this.stop('SIGINT')],
      ['SIGTERM', () => this.stop('SIGTERM')],
      // The terminal is gone, and with it whoever could wait for a clean end.
      ['SIGHUP', () => this.#stopNow('SIGHUP')],
    ]);
    for (const [signal, listener] of this.#listeners) signals.on(signal, listener);
  }

  /** Aborted when the work is to end. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** The signal that stopped us, if one did. */
  get by(): NodeJS.Signals | undefined {
    return this.#by;
  }

  /** What a signal does. Prompts call it too: while they read the keyboard, Ctrl-C is a key. */
  stop(by: NodeJS.Signals): void {
    if (this.#by !== undefined) {
      this.#stopNow(by);
      return;
    }
    this.#by = by;
    this.#options.onFirst(by);
    this.quit();
  }

  /** Begins a clean end for which nobody asked by a signal. */
  quit(): void {
    if (this.signal.aborted) return;
    this.#timer = setTimeout(this.#endNow, this.#options.patience ?? PATIENCE);
    this.#abort.abort(new Stopped());
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const [signal, listener] of this.#listeners) this.#signals.off(signal, listener);
  }

  #stopNow(by: NodeJS.Signals): void {
    this.#by = by;
    this.#endNow();
  }
}

/** Why the work ended, when nothing was wrong with it. */
class Stopped extends Error {
  override readonly name = 'AbortError';
}
