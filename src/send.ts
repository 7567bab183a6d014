import { Awake } from './awake.ts';
import { builtInCodecs } from './codecs.ts';
import { Contact } from './contact.ts';
import { Crossing } from './crossing.ts';
import { openOutbox } from './disk/outbox.ts';
import { DropError } from './errors.ts';
import type { Peer, SendEvent, SilentPeer, Summary } from './events.ts';
import type { Meeting, Trusting } from './meet.ts';
import { Pace } from './pace.ts';
import { Progress } from './progress.ts';
import type { Target } from './reach.ts';
import { type LookOptions, openSelf, type Self } from './self.ts';
import { Delivery } from './transfer/delivery.ts';
import { follow } from './transfer/follow.ts';
import { Packer } from './transfer/packer.ts';
import type { Tell } from './transfer/report.ts';
import { runSender, type SenderOptions } from './transfer/sender.ts';

export interface SendOptions extends LookOptions, Trusting {
  /** A peer from `discover`, or a name, an id, its first digits, or HOST[:PORT]. */
  readonly to: Peer | SilentPeer | string;
  /** This device, as others see it. */
  readonly name?: string | undefined;
  /** How long the device may take to answer at first, in milliseconds; 10 s by default. */
  readonly wait?: number | undefined;
  /** How long it may be gone after the connection is lost; 120 s by default. */
  readonly waitAgain?: number | undefined;
  /** Compares what is there by its content, not by its size and time. */
  readonly checksum?: boolean | undefined;
  /**
   * Whether what is sent is compressed on its way; `auto`, the default, finds out whether that is
   * faster.
   */
  readonly compress?: 'auto' | 'always' | 'never' | undefined;
  /**
   * How many bytes a second go over the network at most; or a `Pace` that several transfers share.
   * All frames count, but not what TLS and TCP add to them.
   */
  readonly limit?: number | Pace | undefined;
  /** Something to send that is read as it comes, and offered as a file of this name. */
  readonly stream?: Stream | undefined;
}

/** Bytes that are read once, from standard input for instance. */
export interface Stream {
  /** What it is offered as. */
  readonly name: string;
  readonly source: AsyncIterable<Uint8Array>;
}

/**
 * Sends files and folders, and everything in them, to one peer. When the connection is lost, it
 * finds the peer again and goes on. Ends when all of it is verified on the other disk, with the
 * summary. What was not delivered was told as `error` events and the summary is not `ok`; it
 * throws a `DropError` if the transfer as a whole did not come to its end.
 */
export function send(
  paths: readonly string[],
  options: SendOptions,
): AsyncGenerator<SendEvent, Summary> {
  return follow((emit, signal) => sendAll(paths, options, emit, signal), options.signal);
}

async function sendAll(
  paths: readonly string[],
  options: SendOptions,
  emit: (event: SendEvent) => void,
  signal: AbortSignal,
): Promise<Summary> {
  const { wait = 10_000, waitAgain = 120_000, checksum, stream } = options;
  const { compress = 'auto', limit } = options;
  const pace = typeof limit === 'number' ? new Pace(limit) : limit;
  const outbox = await openOutbox(paths, { stream });
  const self = await openSelf(options);
  const { makePorch } = await import('./look.ts');
  const porch = makePorch(self, options);
  try {
    const onKnock = ({ name }: Target): void => emit({ event: 'knocking', name });
    const contact = new Contact(self, porch, { ...options, onKnock }, signal);
    let meeting = await contact.first(wait);
    const { peer, paired } = meeting;
    if (paired) emit({ event: 'paired', ...peer, via: paired });
    emit({ event: 'waiting', ...peer });

    const delivery = new Delivery(outbox, { checksum });
    const packer = compress === 'never' ? undefined : packerFor(compress);
    const progress = new Progress(peer, emit);
    const awake = new Awake();
    try {
      for (;;) {
        const how = { packer, pace };
        const loss = await deliver(delivery, self, meeting, how, awake, signal, (report) => {
          if (/moved|stored|skipped/.test(report.type)) contact.held();
          // Somebody may be asked there as for any other transfer.
          if (report.type === 'restarted') emit({ event: 'waiting', ...peer });
          progress.tell(report);
        });
        if (loss === undefined) return progress.end();
        meeting = await contact.again(loss, waitAgain, (reason, next) =>
          progress.lost(reason, next),
        );
      }
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (!(error instanceof DropError)) throw error;
      if (progress.begun) {
        progress.fail(error);
        progress.end();
      } else if (error.exit === 4)
        emit({ event: 'declined', transfer: '', peer, reason: error.code });
      throw error;
    }
  } finally {
    await Promise.all([porch.close(), outbox.close()]);
  }
}

function packerFor(compress: 'auto' | 'always'): Packer {
  const now = (): number => performance.now();
  return new Packer({ codecs: builtInCodecs(), always: compress === 'always', now });
}

/** Delivers what one connection can. Returns how that was lost, if it was. */
async function deliver(
  delivery: Delivery,
  self: Self,
  { channel, connection, keepAlive }: Meeting,
  how: SenderOptions,
  awake: Awake,
  signal: AbortSignal,
  tell: Tell,
): Promise<DropError | undefined> {
  const stopBeating = keepAlive();
  const stop = (): void => channel.fail(new DropError('cancelled'));
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  const crossing = new Crossing(self, channel, connection);
  let rest: (() => void) | undefined;
  try {
    const told: Tell = (report) => {
      if (report.type === 'moved') {
        rest ??= awake.hold();
        crossing.moved(report.wire);
      }
      tell(report);
    };
    await runSender(channel, delivery, told, how);
    return undefined;
  } catch (error) {
    const lost = error instanceof DropError && error.code === 'disconnected';
    if (lost && !signal.aborted) return error;
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    rest?.();
    stopBeating();
    crossing.end();
    await channel.end();
  }
}
