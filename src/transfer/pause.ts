import type { MessageOf } from '../protocol/message.ts';
import type { Channel } from './channel.ts';
import type { Condition } from './condition.ts';
import type { Tell } from './report.ts';

/** Whether somebody here wants a transfer to rest. It outlives connections. */
export class Pause {
  #on = false;
  #changed = (): void => {};

  get on(): boolean {
    return this.#on;
  }

  set on(on: boolean) {
    this.#on = on;
    this.#changed();
  }

  /** `changed` hears of each change, and nobody else does from now on. */
  watch(changed: () => void): void {
    this.#changed = changed;
  }
}

/**
 * What is paused over one connection: either side may say that nothing is to move, and it goes on
 * when both want it to.
 */
export class Pauses {
  readonly #channel: Channel;
  readonly #ours: Pause;
  readonly #condition: Condition;
  readonly #tell: Tell;
  /** What was told of ours, and what the peer has heard of it. */
  #told = false;
  #said = false;
  #theirs = false;

  constructor(channel: Channel, ours: Pause, condition: Condition, tell: Tell) {
    this.#channel = channel;
    this.#ours = ours;
    this.#condition = condition;
    this.#tell = tell;
  }

  /** Whether nothing is to move. */
  get on(): boolean {
    return this.#ours.on || this.#theirs;
  }

  /** Whether we want so, and the peer has no word for it: then it waits as for a slow disk. */
  get holds(): boolean {
    return this.#ours.on && !this.#said;
  }

  /** Resolves when nothing is paused any more. */
  over(): Promise<void> {
    return this.#condition.until(() => !this.on);
  }

  /** The offer is accepted: from now on it is said, first of all what was paused before. */
  begin(): void {
    this.#ours.watch(() => this.#look());
    this.#look();
  }

  hear({ type }: MessageOf<'pause' | 'resume'>): void {
    this.#theirs = type === 'pause';
    this.#tell({ type: this.#theirs ? 'paused' : 'resumed', by: 'there' });
    this.#condition.changed();
  }

  /** The connection is over. */
  end(): void {
    this.#ours.watch(() => {});
  }

  #look(): void {
    const { on } = this.#ours;
    if (on === this.#told) return;
    this.#told = on;
    // What cannot be said any more, nobody needs to know.
    if (on ? this.#channel.session.pausable : this.#said) {
      this.#said = on;
      this.#channel.say({ type: on ? 'pause' : 'resume' }).catch(() => {}); // Hearing tells.
    }
    this.#tell({ type: on ? 'paused' : 'resumed', by: 'here' });
    this.#condition.changed();
  }
}
