import { DropError, type ErrorCode } from '../errors.ts';
import { MAX_CHUNK, MAX_OPEN_ENTRIES } from '../limits.ts';
import {
  type DataEntry,
  type Entry,
  type FileEntry,
  hasData,
  sizeOf,
} from '../protocol/manifest.ts';
import type { Kept, Message, MessageOf, SkipReason, SmallFile } from '../protocol/message.ts';
import { Window } from '../protocol/window.ts';
import type { Channel } from './channel.ts';
import { Condition, together } from './condition.ts';
import { batchOf, type Delivery, type Sent } from './delivery.ts';
import type { Block, Outbox, Unsendable, Whole } from './outbox.ts';
import { Outflow, type Pacing } from './outflow.ts';
import { type Carrier, loadOf, type Packer } from './packer.ts';
import { Pauses } from './pause.ts';
import type { Tell } from './report.ts';

export interface SenderOptions {
  /** Packs what is sent, if the receiver can unpack it. */
  readonly packer?: Packer | undefined;
  /** Holds it to a rate. */
  readonly pace?: Pacing | undefined;
}

/** Failures that concern one file; the others are sent all the same. */
const OF_ONE_FILE: ReadonlySet<ErrorCode> = new Set([
  'changed',
  'missing',
  'unreadable',
  'unrepeatable',
  'not-permitted',
  'too-many-open',
  'disk',
]);

/**
 * Delivers over one connection: offers batch by batch, sends what the receiver wants of it, and
 * listens all the while to what the receiver says of it. Returns when the receiver has said that
 * it is complete; what was not delivered was told as `failed`. Throws `disconnected` if the
 * connection breaks; then the same delivery may go on over another.
 */
export async function runSender(
  channel: Channel,
  delivery: Delivery,
  tell: Tell,
  { packer, pace }: SenderOptions = {},
): Promise<void> {
  const { session } = channel;
  const { outbox } = delivery;
  const progress = new Condition();
  let begun = false;
  /** How many entries may be open: as many as a person can be shown, and then fewer in memory. */
  let ahead = MAX_OPEN_ENTRIES;
  /** What is offered and not yet decided, and the number of the first of it. */
  const undecided: Entry[] = [];
  let decided = 0;
  /** What is wanted and not yet settled, by number; and of it, what is still to be sent. */
  const jobs = new Window<Job>();
  const toSend: Job[] = [];
  /** Files whose digest the receiver wants to know. */
  const toCompare: { readonly number: number; readonly file: FileEntry }[] = [];
  const { signal } = progress;
  const pauses = new Pauses(channel, delivery.pause, progress, tell);
  const outflow = new Outflow(channel, { meter: packer, pace, pauses, signal });

  if (session.version < outbox.version) {
    const older = new DropError('peer-older', {
      message: 'An older drop there shows no messages.',
    });
    channel.fail(older);
    throw older;
  }
  await begin();
  await sayRoots();
  try {
    await together(channel, progress, offerAll(), sendAll(), compareAll(), hearAll());
  } finally {
    pauses.end();
    delivery.again([...jobs.values(), ...undecided.map((entry) => ({ entry }))]);
  }

  async function begin(): Promise<void> {
    const { transfer: continues, checksum } = delivery;
    await channel.say({ type: 'begin', continues, checksum, digests: outbox.digests });
    // Nobody waits for the answer where nothing is to go on.
    if (continues === null) return;
    await hearBegun();
    if (delivery.transfer === continues) return;
    delivery.restart();
    tell({ type: 'restarted' });
  }

  async function hearBegun(): Promise<void> {
    const message = await channel.hear('begun');
    delivery.transfer = message.transfer;
    delivery.algorithm = message.digest;
    outbox.connected(message.digest);
    packer?.agree(message);
    begun = true;
  }

  async function sayRoots(): Promise<void> {
    const rest = [...outbox.roots];
    do {
      const names = rest.splice(0, batchOf(rest));
      await channel.say({ type: 'roots', names, final: rest.length === 0 });
    } while (rest.length > 0);
  }

  async function offerAll(): Promise<void> {
    let files = 0;
    let bytes = 0;
    do {
      const count = await delivery.look(tellUnsendable);
      await progress.until(() => session.open + count <= ahead);
      const entries = delivery.take(count);
      undecided.push(...entries);
      files += entries.filter(hasData).length;
      bytes += entries.reduce((sum, entry) => sum + sizeOf(entry), 0);
      const final = delivery.exhausted;
      await outflow.sayNow({ type: 'offer', entries, files, bytes, final });
      tellOffered();
      progress.changed();
    } while (!delivery.exhausted);
  }

  function tellOffered(): void {
    const { files, bytes, sized, exhausted: final } = delivery;
    tell({ type: 'offered', files, bytes, sized, final });
  }

  function tellUnsendable({ path, reason }: Unsendable): void {
    if (reason === 'unsupported') tell({ type: 'ignored', path });
    else tell({ type: 'failed', path, code: reason });
  }

  async function sendAll(): Promise<void> {
    for (;;) {
      await progress.until(() => toSend.length > 0 || session.sent);
      const small = takeSmall();
      if (small.length > 0) {
        await sendTogether(small);
        continue;
      }
      const job = toSend.shift();
      if (job === undefined) break;
      await sendFile(job);
    }
    progress.changed();
    await outflow.passed();
    // Another one may begin as soon as one is over.
    while (pauses.on) await pauses.over();
    await channel.say({ type: 'done' });
  }

  /** The small files that come next, as many as go out together. */
  function takeSmall(): PlainJob[] {
    let room = Math.min(MAX_CHUNK, pace?.most ?? MAX_CHUNK);
    const isNext = (job: Job | undefined): job is PlainJob =>
      job !== undefined &&
      isPlain(job) &&
      job.entry.size <= Math.min(outbox.small, room) &&
      !packer?.mayPack(job.entry.size);
    const taken: PlainJob[] = [];
    for (let job = toSend[0]; isNext(job) && taken.length < TOGETHER; job = toSend[taken.length]) {
      room -= job.entry.size;
      taken.push(job);
    }
    toSend.splice(0, taken.length);
    return taken;
  }

  async function sendTogether(small: readonly PlainJob[]): Promise<void> {
    const entries = small.map(({ entry }) => entry);
    const reading = outbox.readTogether(entries, signal);
    const contents = reading instanceof Promise ? await reading : reading;
    const messages: Message[] = [];
    let files: SmallFile[] = [];
    for (const [i, { number: entry }] of small.entries()) {
      const content = contents[i] as Whole | DropError;
      if (content instanceof DropError) {
        files = [];
        messages.push({ type: 'failed', entry, code: ofOneFile(content) });
        continue;
      }
      if (files.length === 0) messages.push({ type: 'files', files });
      files.push({ entry, ...content });
    }
    await outflow.passTogether(messages, () => {
      for (const [i, job] of small.entries()) passed(job, contents[i] as Whole | DropError);
    });
  }

  function passed(job: PlainJob, content: Whole | DropError): void {
    if (content instanceof DropError) return void close(job, ofOneFile(content));
    const { length } = content.bytes;
    job.at = length;
    tell({ type: 'moved', bytes: length, wire: length, whole: job.entry });
    close(job, content.digest);
  }

  /** Nothing more is said of a file: all of it was, as its digest says, or it cannot be. */
  function close(job: Job, result: Uint8Array | ErrorCode): void {
    if (typeof result === 'string') {
      if (!job.rejected && job.closed === undefined)
        tell({ type: 'failed', path: job.entry.path, code: result });
      job.closed = result;
    } else job.closed = { digest: result, algorithm: delivery.algorithm, size: job.at };
  }

  async function sendFile(job: Job): Promise<void> {
    const { number, closed } = job;
    const result = typeof closed === 'string' ? closed : await sendBlocks(job);
    if (typeof result !== 'string')
      return outflow.pass({ type: 'end', entry: number, digest: result }, () => {
        // Where no block came, there is nothing to it, or all of it was kept.
        start(job, job.kept?.size ?? 0);
        close(job, result);
      });
    return outflow.pass({ type: 'failed', entry: number, code: result }, () => close(job, result));
  }

  /** Sends the bytes of a file. Returns the digest of all of them, or why it could not. */
  async function sendBlocks(job: Job): Promise<Uint8Array | ErrorCode> {
    const { number, entry, kept } = job;
    let blocks: ReturnType<Outbox['read']> | undefined;
    try {
      blocks = outbox.read(entry, kept, signalFor(job));
      for (;;) {
        if (job.rejected) return 'cancelled';
        const { value, done } = await blocks.next();
        if (done) return value;
        for (const block of portionsOf(value, pace?.most))
          await outflow.pass(carry(number, block), (message) => {
            start(job, message.offset);
            const load = loadOf(message);
            job.at += load.bytes;
            tell({ type: 'moved', ...load });
          });
      }
    } catch (error) {
      if (job.rejected) return 'cancelled';
      return ofOneFile(error);
    } finally {
      await blocks?.return(new Uint8Array(0));
    }
  }

  function carry(entry: number, block: Block): Carrier | Promise<Carrier> {
    return packer?.carry(entry, block) ?? { type: 'chunk', entry, ...block };
  }

  /** Tells that a file is on its way, once. */
  function start(job: Job, from: number): void {
    if (job.begun) return;
    job.begun = true;
    job.at = from;
    tell({ type: 'started', entry: job.entry, from });
  }

  function signalFor({ gaveUp }: Job): AbortSignal {
    return gaveUp ? AbortSignal.any([progress.signal, gaveUp.signal]) : progress.signal;
  }

  async function compareAll(): Promise<void> {
    for (;;) {
      await progress.until(() => toCompare.length > 0 || session.sent);
      const next = toCompare.shift();
      if (next === undefined) return;
      // One that cannot be read fails when it is wanted.
      const digest = await outbox.digest(next.file, progress.signal).catch((error: unknown) => {
        ofOneFile(error);
        return null;
      });
      await outflow.sayNow({ type: 'digest', entry: next.number, digest });
    }
  }

  async function hearAll(): Promise<void> {
    if (!begun) await hearBegun();
    await channel.hear('accept');
    tell({ type: 'accepted', transfer: delivery.transfer ?? '' });
    pauses.begin();
    ahead = AHEAD;
    progress.changed();
    for (;;) {
      const message = await channel.hear(
        'compare',
        'want',
        'arrived',
        'stored',
        'failed',
        'pause',
        'resume',
        'complete',
      );
      if (message.type === 'complete') {
        if (message.missed > 0) tell({ type: 'missed', count: message.missed });
        return;
      }
      if (message.type === 'compare') hearCompare(message);
      else if (message.type === 'want') hearWant(message);
      else if (message.type === 'arrived') hearArrived(message);
      else if (message.type === 'stored') message.entries.forEach(hearStored);
      else if (message.type === 'failed') hearFailed(message);
      else pauses.hear(message);
      progress.changed();
    }
  }

  function hearCompare({ entry: number }: MessageOf<'compare'>): void {
    const entry = undecided[number - decided];
    if (entry?.kind === 'file') toCompare.push({ number, file: entry });
  }

  function hearWant({ count, skip, kept, failed }: MessageOf<'want'>): void {
    const skipped = new Map(skip.map(({ entry, reason }) => [entry, reason]));
    const rejected = new Map(failed.map(({ entry, code }) => [entry, code]));
    const parts = new Map(kept.map((part) => [part.entry, part]));
    for (const entry of undecided.splice(0, count)) {
      const number = decided++;
      const code = rejected.get(number);
      const reason = skipped.get(number);
      const before = delivery.closedBefore(entry);
      if (code !== undefined) tellFailed(entry.path, code, before);
      else if (!hasData(entry)) continue;
      else if (reason !== undefined) tellSkipped(entry, reason, before);
      else {
        const job: Job = {
          number,
          entry,
          kept: parts.get(number),
          ...(entry.kind === 'stream' && { gaveUp: new AbortController() }),
          begun: false,
          at: 0,
          rejected: false,
          // We could not send it, and have told so.
          ...(typeof before === 'string' && { closed: before }),
        };
        jobs.set(number, job);
        toSend.push(job);
      }
    }
    if (skip.some(({ reason }) => reason === 'unwanted')) tellOffered();
  }

  function tellFailed(path: string, code: ErrorCode, closed: Sent | ErrorCode | undefined): void {
    // What we could not send is told already; what the receiver could not store is news.
    if (typeof closed !== 'string') tell({ type: 'failed', path, code });
  }

  function tellSkipped(
    entry: DataEntry,
    reason: SkipReason,
    closed: Sent | ErrorCode | undefined,
  ): void {
    if (reason === 'unwanted') delivery.leaveOut(entry);
    if (typeof closed === 'string') return;
    if (reason !== 'stored') return void tell({ type: 'skipped', entry, reason });
    // Its acknowledgement was lost with the connection.
    if (closed === undefined)
      throw new DropError('protocol', { message: 'It has stored what it was never sent.' });
    tell({ type: 'stored', entry, ...closed });
  }

  function hearArrived({ entry: number, offset }: MessageOf<'arrived'>): void {
    const job = jobs.get(number);
    if (job) outbox.arrived(job.entry, offset);
  }

  function hearStored(number: number): void {
    const { entry, closed } = settle(number) ?? {};
    if (entry && typeof closed === 'object') tell({ type: 'stored', entry, ...closed });
  }

  function hearFailed({ entry: number, code }: MessageOf<'failed'>): void {
    const job = settle(number);
    if (job === undefined) return;
    job.rejected = true;
    job.gaveUp?.abort();
    tellFailed(job.entry.path, code, job.closed);
  }

  function settle(number: number): Job | undefined {
    const job = jobs.get(number);
    jobs.delete(number);
    return job;
  }
}

/** The code of a failure that concerns one file; anything else is not for here. */
function ofOneFile(error: unknown): ErrorCode {
  if (error instanceof DropError && OF_ONE_FILE.has(error.code)) return error.code;
  throw error;
}

/** A file that goes out together with others: all of it is wanted, and nothing is wrong so far. */
function isPlain(job: Job): job is PlainJob {
  return job.entry.kind === 'file' && !job.kept && !job.closed && !job.rejected;
}

type PlainJob = Job & { readonly entry: FileEntry };

/** A block in parts of at most so many bytes. */
function* portionsOf({ offset, bytes }: Block, most = bytes.length): Generator<Block, void> {
  for (let at = 0; at < bytes.length; at += most)
    yield { offset: offset + at, bytes: bytes.subarray(at, at + most) };
}

/** Entries that are open at once when the receiver takes them: many for every wire. */
const AHEAD = 1024;

/** How many small files go out together at most. */
const TOGETHER = 64;

/** One file that the receiver wants. */
interface Job {
  readonly number: number;
  readonly entry: DataEntry;
  readonly kept: Kept | undefined;
  /** Aborted when the receiver gives a stream up, which may have nothing to say just then. */
  readonly gaveUp?: AbortController;
  begun: boolean;
  /** How far it is sent. */
  at: number;
  /** Once all of it is sent, or it is known that it cannot be. */
  closed?: Sent | ErrorCode;
  /** The receiver gave it up: the rest needs not be sent. */
  rejected: boolean;
}
