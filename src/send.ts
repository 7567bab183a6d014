import { Hashers } from './disk/hashers.ts';
import { openOutbox } from './disk/outbox.ts';
import { DropError } from './errors.ts';
import type { Peer, PeerId, SendEvent, SilentPeer, Summary } from './events.ts';
import { Awake } from './handover/awake.ts';
import { type Control, followOne } from './handover/control.ts';
import { type Compress, deliver, packerFor } from './handover/deliver.ts';
import { type LentEntry, LentOutbox } from './handover/lent.ts';
import { Pace } from './handover/pace.ts';
import { Progress } from './handover/progress.ts';
import { ensureText, TextOutbox } from './handover/text.ts';
import { Contact, type OnRetry } from './meeting/contact.ts';
import type { lookAround } from './meeting/lookout.ts';
import type { Trusting } from './meeting/meet.ts';
import type { Target } from './meeting/reach.ts';
import { type LookOptions, openSelf, type Self } from './meeting/self.ts';
import type { Porch } from './net/porch.ts';
import { Delivery } from './transfer/delivery.ts';
import { follow } from './transfer/follow.ts';

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
   * What of the folders is left out: patterns as in a `.gitignore` that lies in each of them. What
   * is named itself is sent all the same.
   */
  readonly exclude?: readonly string[] | undefined;
  /**
   * Whether what is sent is compressed on its way; `auto`, the default, finds out whether that is
   * faster.
   */
  readonly compress?: Compress | undefined;
  /**
   * How many bytes a second go over the network at most; or a `Pace` that several transfers share.
   * All frames count, but not what TLS and TCP add to them.
   */
  readonly limit?: number | Pace | undefined;
  /** Ends it, or lets it rest, once it is accepted. */
  readonly control?: Control | undefined;
  /** Something to send that is read as it comes, and offered as a file of this name. */
  readonly stream?: Stream | undefined;
  /** Something to send that does not lie on this disk, instead of paths. */
  readonly lent?: readonly LentEntry[] | undefined;
  /** A message to be shown there, after what else is sent: at most 64 KiB of UTF-8. */
  readonly text?: string | undefined;
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
 * throws a `DropError` if the transfer as a whole did not come to its end, `usage` if there is nothing
 * to send.
 */
export function send(
  paths: readonly string[],
  options: SendOptions,
): AsyncGenerator<SendEvent, Summary> {
  return sendBeside(paths, options);
}

/** What those share who send side by side; each sender alone has its own. */
export interface Together {
  readonly self: Self;
  readonly porch: Porch;
  readonly around: typeof lookAround;
  readonly awake: Awake;
  /** Hears whose key answers, before anything is said. What it throws ends that. */
  readonly onProven: (id: PeerId) => void;
}

/** The same as `send`, for one of several. */
export function sendBeside(
  paths: readonly string[],
  options: SendOptions,
  together?: Together,
): AsyncGenerator<SendEvent, Summary> {
  const run = (emit: (event: SendEvent) => void, signal: AbortSignal): Promise<Summary> =>
    sendAll(paths, options, together, emit, signal);
  return follow(run, options.signal);
}

async function sendAll(
  paths: readonly string[],
  options: SendOptions,
  together: Together | undefined,
  emit: (event: SendEvent) => void,
  signal: AbortSignal,
): Promise<Summary> {
  const { wait = 10_000, waitAgain = 120_000, checksum, stream, exclude } = options;
  const { compress = 'auto', limit, text, lent } = options;
  ensureSendable(paths, options);
  const pace = typeof limit === 'number' ? new Pace(limit) : limit;
  const hashers = new Hashers();
  const files =
    lent === undefined
      ? await openOutbox(paths, { stream, exclude, hashers })
      : new LentOutbox(lent, hashers);
  const outbox = text === undefined ? files : new TextOutbox(text, files, hashers);
  const delivery = new Delivery(outbox, { checksum });
  const control = followOne(options.control, () => delivery);
  let porch = together?.porch;
  try {
    const self = together?.self ?? (await openSelf(options));
    const { makePorch } = await import('./meeting/look.ts');
    porch ??= makePorch(self, 'send', options);
    const onKnock = ({ name }: Target): void => emit({ event: 'knocking', name });
    const { around, onProven } = together ?? {};
    const calling = { ...options, way: 'send', around, onProven, onKnock } as const;
    const either = AbortSignal.any([signal, control.signal]);
    const contact = new Contact(self, porch, calling, either);
    const meeting = await contact.first(wait);
    const { peer, paired } = meeting;
    if (paired) emit({ event: 'paired', ...peer, via: paired });
    emit({ event: 'waiting', ...peer });

    const how = { packer: packerFor(compress), pace };
    const progress = new Progress(peer, emit, { text });
    const sending = { self, awake: together?.awake ?? new Awake() };
    try {
      const onRetry: OnRetry = (reason, next) => progress.lost(reason, next);
      await contact.carry(meeting, { wait: waitAgain, onRetry }, (now) =>
        deliver(sending, delivery, now, how, (report) => {
          if (/moved|stored|skipped/.test(report.type)) contact.held();
          // Somebody may be asked there as for any other transfer.
          if (report.type === 'restarted') emit({ event: 'waiting', ...peer });
          progress.tell(report);
        }),
      );
      return progress.end();
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof DropError) progress.giveUp(error);
      throw error;
    }
  } finally {
    control.detach();
    await Promise.all([together === undefined && porch?.close(), outbox.close()]);
  }
}

/** Throws `usage` if that is nothing to send, or cannot be sent so. */
export function ensureSendable(
  paths: readonly string[],
  { stream, lent, text }: Pick<SendOptions, 'stream' | 'lent' | 'text'>,
): void {
  if (text !== undefined) ensureText(text);
  const lies = paths.length > 0 || stream !== undefined;
  // It has an order of its own, and cannot be told apart from what lies here.
  if (lent !== undefined && lies)
    throw new DropError('usage', { message: 'What is lent is sent without any other files.' });
  if (!lies && text === undefined && (lent ?? []).length === 0)
    throw new DropError('usage', { message: 'There is nothing to send.' });
}
