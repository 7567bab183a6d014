import { Gate } from './disk/gate.ts';
import { openOutbox } from './disk/outbox.ts';
import { DropError, ERRORS, wordsOf } from './errors.ts';
import type { Peer, PeerId, SendEvent, SendToAllEvent, SilentPeer, Summary } from './events.ts';
import { Awake } from './handover/awake.ts';
import { Pace } from './handover/pace.ts';
import { MAX_SENT_TO } from './limits.ts';
import { lookTogether } from './meeting/look-together.ts';
import { lookAround } from './meeting/lookout.ts';
import { openSelf } from './meeting/self.ts';
import { ensureSendable, type SendOptions, sendBeside, type Together } from './send.ts';
import { follow } from './transfer/follow.ts';

export interface SendToAllOptions extends Omit<SendOptions, 'to'> {
  /** The devices, each as in `send`. */
  readonly to: readonly SendOptions['to'][];
}

/** What became of one of the devices. */
export interface SentTo {
  /** As it was given. */
  readonly to: Peer | SilentPeer | string;
  /** How the transfer went, if one came about. */
  readonly summary?: Summary;
  /** Why none did; a `DropError`, or else a bug. */
  readonly error?: unknown;
}

/**
 * Sends the same to several devices, as by a `send` for each, side by side: none is slowed down or
 * failed by another. Only the search for them and a `limit` are shared. A device that was named
 * twice gets it once, but two processes of it that were chosen from `discover` are two. Ends with what
 * became of each, in their order. It throws only if nothing could be sent to anyone: `usage` as `send`
 * does, and for a stream and several devices, as it is read once; and what is wrong with the files or
 * with us.
 */
export function sendToAll(
  paths: readonly string[],
  options: SendToAllOptions,
): AsyncGenerator<SendToAllEvent, readonly SentTo[]> {
  return follow((emit, signal) => sendAll(paths, options, emit, signal), options.signal);
}

async function sendAll(
  paths: readonly string[],
  options: SendToAllOptions,
  emit: (event: SendToAllEvent) => void,
  signal: AbortSignal,
): Promise<readonly SentTo[]> {
  const { to: targets, limit, stream, exclude } = options;
  if (stream !== undefined && targets.length > 1)
    throw new DropError('usage', { message: 'A stream is read once, and so goes to one device.' });
  const pace = typeof limit === 'number' ? new Pace(limit) : limit;
  // What is wrong with that is nobody's failure but ours.
  ensureSendable(paths, options);
  await (await openOutbox(paths, { exclude })).close();
  const self = await openSelf(options);
  const { makePorch } = await import('./meeting/look.ts');
  const porch = makePorch(self, 'send', options);
  const around = lookTogether((stop) =>
    lookAround(self, { ...options, way: 'send', signal: stop }, porch),
  );
  const shared = { self, porch, around, awake: new Awake() };
  const receivers = new Receivers(targets);
  const gate = new Gate(MAX_SENT_TO);

  const sendTo = async (at: number, to: SendOptions['to']): Promise<SentTo | Same> => {
    const together: Together = { ...shared, onProven: (id) => receivers.claim(at, id) };
    let summary: Summary | undefined;
    await gate.enter();
    try {
      signal.throwIfAborted();
      const how = { ...options, to, limit: pace, signal };
      for await (const event of sendBeside(paths, how, together)) {
        if (event.event === 'summary') summary = event;
        emit(isEarly(event) ? { ...event, to: nameOf(to) } : event);
      }
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Same) {
        emit({ event: 'same', to: nameOf(to), id: error.id, as: nameOf(targets[error.at] ?? to) });
        return error;
      }
      // A transfer that had begun has told why it ended.
      if (summary === undefined) {
        emit({ event: 'error', ...wordsOf(failureOf(error)), to: nameOf(to) });
        return { to, error };
      }
    } finally {
      gate.leave();
    }
    return summary === undefined ? { to } : { to, summary };
  };

  try {
    const ended = await Promise.allSettled(targets.map((to, at) => sendTo(at, to)));
    signal.throwIfAborted();
    const results = ended.map((one) => {
      if (one.status === 'rejected') throw one.reason;
      return one.value;
    });
    return results.map((result, at) => {
      const same = result instanceof Same ? results[result.at] : result;
      return { ...(same as SentTo), to: targets[at] as SentTo['to'] };
    });
  } finally {
    await porch.close();
  }
}

/** Which of the targets is which device: whoever proves a key first is the one that gets it. */
class Receivers {
  readonly #targets: readonly SendOptions['to'][];
  readonly #claims: { readonly at: number; readonly id: PeerId }[] = [];

  constructor(targets: readonly SendOptions['to'][]) {
    this.#targets = targets;
  }

  /** Throws `Same` if another one is this device already. */
  claim(at: number, id: PeerId): void {
    const same = this.#claims.find((claim) => claim.id === id && !this.#areTwo(claim.at, at));
    if (same === undefined) this.#claims.push({ at, id });
    else if (same.at !== at) throw new Same(same.at, id);
  }

  /** Whether both were chosen from a list, and stand for two processes. */
  #areTwo(one: number, other: number): boolean {
    const [run, another] = [this.#runOf(one), this.#runOf(other)];
    return run !== undefined && another !== undefined && run !== another;
  }

  #runOf(at: number): string | undefined {
    const target = this.#targets[at];
    return typeof target === 'object' ? target.run : undefined;
  }
}

/** It is the same device as the target at that place. */
class Same extends Error {
  readonly at: number;
  readonly id: PeerId;

  constructor(at: number, id: PeerId) {
    super('the same device as another one');
    this.at = at;
    this.id = id;
  }
}

/** What may happen before anything is accepted. A transfer has no name until then that it could be known by. */
const EARLY = ['knocking', 'paired', 'waiting', 'declined', 'reconnecting'] as const;
type Early = Extract<SendEvent, { readonly event: (typeof EARLY)[number] }>;

function isEarly(event: SendEvent): event is Early {
  const isNamed = 'transfer' in event && event.transfer !== '';
  return !isNamed && EARLY.some((name) => name === event.event);
}

/** What a target is called in events. */
function nameOf(to: SendOptions['to']): string {
  return typeof to === 'string' ? to : to.name || (to.addresses[0] ?? '');
}

/** What is thrown, as a failure; a bug with its own words. */
function failureOf(error: unknown): DropError {
  if (error instanceof DropError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new DropError('internal', { message: `${ERRORS.internal.message} ${reason}` });
}
