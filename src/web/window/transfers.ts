import { Control, type GetEvent, type SendEvent, type TransferEvent } from '../../index.ts';
import type { Transfer } from './model.ts';
import { clean } from './shown.ts';
import { type Beginning, TransferPicture } from './transfer.ts';

/** A transfer, and what can be done with it now. */
export interface Running {
  readonly picture: TransferPicture;
  readonly control: Control;
  /** Names it to `control`, if that is not its own. */
  readonly transfer?: string;
  stop?: ((why: Stop) => void) | undefined;
}

/** Why it stops before its end. */
type Stop = 'cancelled' | 'interrupted';

/** What runs one of ours: `send` or `get`. */
export type Begin = (
  signal: AbortSignal,
) => AsyncGenerator<SendEvent | GetEvent, unknown, undefined>;

type About = Omit<Beginning, 'id' | 'begun' | 'clean'>;

/** All transfers that are shown, ours and those that others have begun. */
export class Transfers {
  /** In the order in which they began. */
  readonly #all = new Map<string, Running>();
  /** What others want, and nobody has agreed to yet. */
  readonly #asked = new Map<string, Running>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #signal: AbortSignal;
  readonly #changed: () => void;
  #names = 0;

  constructor(signal: AbortSignal, changed: () => void) {
    this.#signal = signal;
    this.#changed = changed;
  }

  /** The latest first. */
  get all(): Transfer[] {
    return Array.from(this.#all.values(), ({ picture }) => picture.now).reverse();
  }

  /** One that we begin. */
  begin(about: About): Running {
    const id = `ours-${++this.#names}`;
    const picture = new TransferPicture({ ...about, id, begun: 'here', clean });
    const running: Running = { picture, control: new Control() };
    this.#all.set(id, running);
    this.#changed();
    return running;
  }

  /** Runs one of ours to its end, however it ends; or until what it needs is `gone`. */
  carry(
    running: Running,
    begin: Begin,
    hear: (event: SendEvent | GetEvent) => void,
    gone?: AbortSignal,
  ): Promise<void> {
    const task = this.#carry(running, begin, hear, gone).finally(() => this.#tasks.delete(task));
    this.#tasks.add(task);
    return task;
  }

  /**
   * One that somebody else wants to begin: it is shown once it is agreed to. `transfer` names it to
   * its control.
   */
  asked(id: string, about: About, control: Control, transfer = id): TransferPicture {
    const known = this.#all.get(id) ?? this.#asked.get(id);
    // Whoever names it may name two of them alike.
    if (known !== undefined && !known.picture.isOver) return known.picture;
    const picture = new TransferPicture({ ...about, id, begun: 'there', clean });
    const stop = (): void => control.cancel(transfer);
    this.#asked.set(id, { picture, control, transfer, stop });
    // Whoever left before anybody agreed is never heard of again.
    const [oldest] = this.#asked.keys();
    if (this.#asked.size > ASKED && oldest !== undefined) this.#asked.delete(oldest);
    return picture;
  }

  /** What happens in one that somebody else has begun. */
  hear(event: TransferEvent): void {
    const { transfer: id } = event;
    const asked = this.#asked.get(id);
    if (asked !== undefined && event.event !== 'progress') this.#asked.delete(id);
    // Whoever was asked, and said no, knows it.
    if (event.event === 'declined') return;
    if (asked !== undefined && asked !== this.#all.get(id)) {
      this.#all.delete(id);
      this.#all.set(id, asked);
    }
    const running = this.#all.get(id);
    running?.picture.hear(event);
    if (event.event === 'summary') {
      // A message is shown where messages are.
      if (event.ok && running?.picture.isMessage) this.#all.delete(id);
      this.#prune();
    }
    this.#changed();
  }

  pause(id: string): void {
    const running = this.#all.get(id);
    if (!running?.picture.now.can.includes('pause')) return;
    running.picture.pause();
    running.control.pause(running.transfer);
    this.#changed();
  }

  resume(id: string): void {
    const running = this.#all.get(id);
    if (!running?.picture.isPaused) return;
    running.picture.resume();
    running.control.resume(running.transfer);
    this.#changed();
  }

  cancel(id: string): void {
    const running = this.#all.get(id);
    if (running === undefined || running.picture.isOver) return;
    if (running.stop) running.stop('cancelled');
    else running.picture.stop('cancelled');
    this.#changed();
  }

  dismiss(id: string): void {
    if (this.#all.get(id)?.picture.isOver) this.#all.delete(id);
    this.#changed();
  }

  /** Resolves when none of ours runs any more; the signal must be aborted. */
  async ended(): Promise<void> {
    await Promise.all(this.#tasks);
  }

  async #carry(
    running: Running,
    begin: Begin,
    hear: (event: SendEvent | GetEvent) => void,
    gone?: AbortSignal,
  ): Promise<void> {
    const { picture } = running;
    const stopped = new AbortController();
    let why: Stop | undefined;
    const stop = (reason: Stop): void => {
      why ??= reason;
      stopped.abort();
    };
    running.stop = stop;
    const left = (): void => stop('interrupted');
    gone?.addEventListener('abort', left, { once: true });
    if (gone?.aborted) left();
    try {
      for await (const event of begin(AbortSignal.any([this.#signal, stopped.signal]))) {
        hear(event);
        this.#changed();
      }
      picture.end();
    } catch (error) {
      if (why === undefined) picture.end(error);
      else picture.stop(why);
    } finally {
      gone?.removeEventListener('abort', left);
      if (running.stop === stop) running.stop = undefined;
      this.#prune();
      this.#changed();
    }
  }

  /** Forgets what was over longest ago, where there is too much of it. */
  #prune(): void {
    for (const [id, { picture }] of this.#all) {
      if (this.#all.size <= TRANSFERS) return;
      if (picture.isOver) this.#all.delete(id);
    }
  }
}

/** How many that nobody has agreed to are remembered. */
const ASKED = 100;

/** How many are shown, but for those that are not over. */
const TRANSFERS = 200;
