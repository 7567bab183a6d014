import { DropError, type ErrorCode } from '../errors.ts';
import { equal } from '../protocol/bytes.ts';
import { MAX_BATCH, MAX_CONTROL, MAX_OPEN_ENTRIES } from '../protocol/limits.ts';
import type { Entry, FileEntry } from '../protocol/manifest.ts';
import type { Kept, Message, MessageOf } from '../protocol/message.ts';
import type { Channel } from './channel.ts';
import { Condition, together } from './condition.ts';
import type { Tell } from './report.ts';

/** Files to read. */
export interface Outbox {
  /** The names under which the things to send are offered, no two alike. */
  readonly roots: readonly string[];

  /**
   * Walks everything, each folder before what it holds, reading no further ahead than it is
   * asked. What cannot be offered comes as `Unsendable` and never ends the walk.
   */
  entries(): AsyncIterable<Entry | Unsendable>;

  /**
   * The bytes of a file from `from` on, in blocks of at most `MAX_CHUNK`; in the end the
   * SHA-256 of the whole file, `from` or not. A block may be overwritten once
   * `BLOCKS_IN_FLIGHT` further ones were asked for. Throws `changed` if the file is not the
   * one that was offered or is written to meanwhile, `missing` or `unreadable` otherwise.
   */
  read(entry: FileEntry, from: number): AsyncGenerator<Uint8Array, Uint8Array, undefined>;

  /** The SHA-256 of the first `size` bytes of a file, to see whether a peer kept the same. */
  digest(entry: FileEntry, size: number): Promise<Uint8Array>;
}

/** Something found on the walk that will not be sent, and why. */
export interface Unsendable {
  readonly kind: 'unsendable';
  readonly path: string;
  /** `unsupported`: a socket, device, pipe, or a link that leads outside; only worth a word. */
  readonly reason: 'unsupported' | ErrorCode;
}

/** How many blocks of an outbox may be on their way to the network at once. */
export const BLOCKS_IN_FLIGHT = 3;

/** Failures that concern one file; the others are sent all the same. */
const OF_ONE_FILE: ReadonlySet<ErrorCode> = new Set([
  'changed',
  'missing',
  'unreadable',
  'not-permitted',
  'disk',
]);

/**
 * Sends everything in the outbox: offers it batch by batch, sends what the receiver wants of
 * it, and listens all the while to what the receiver says of it. Returns when the receiver has
 * said that it is complete; what was not delivered was told as `failed`.
 */
export async function runSender(channel: Channel, outbox: Outbox, tell: Tell): Promise<void> {
  const { session } = channel;
  const progress = new Condition();
  /** What is offered and not yet decided, and the number of the first of it. */
  const undecided: Entry[] = [];
  let decided = 0;
  /** What is wanted and not yet settled, by number; and of it, what is still to be sent. */
  const jobs = new Map<number, Job>();
  const toSend: Job[] = [];
  const inFlight: Promise<void>[] = [];

  await sayRoots();
  await together(channel, progress, offerAll(), sendAll(), hearAll());

  async function sayRoots(): Promise<void> {
    const rest = [...outbox.roots];
    do {
      const names = takeBatch(rest);
      await channel.say({ type: 'roots', names, final: rest.length === 0 });
    } while (rest.length > 0);
  }

  async function offerAll(): Promise<void> {
    const found: Entry[] = [];
    let walked = false;
    let files = 0;
    let bytes = 0;
    for await (const entry of outbox.entries()) {
      if (entry.kind === 'unsendable') tellUnsendable(entry);
      else if (found.push(entry) >= MAX_BATCH) await offerBatch();
    }
    walked = true;
    do await offerBatch();
    while (found.length > 0);

    function tellUnsendable({ path, reason }: Unsendable): void {
      if (reason === 'unsupported') tell({ type: 'ignored', path });
      else tell({ type: 'failed', path, code: reason });
    }

    async function offerBatch(): Promise<void> {
      const entries = takeBatch(found);
      await progress.until(() => session.open + entries.length <= MAX_OPEN_ENTRIES);
      for (const entry of entries) {
        undecided.push(entry);
        if (entry.kind !== 'file') continue;
        files += 1;
        bytes += entry.size;
      }
      const final = walked && found.length === 0;
      await channel.say({ type: 'offer', entries, files, bytes, final });
      tell({ type: 'offered', files, bytes, final });
      progress.changed();
    }
  }

  async function sendAll(): Promise<void> {
    for (;;) {
      await progress.until(() => toSend.length > 0 || session.sent);
      const job = toSend.shift();
      if (job === undefined) break;
      await sendFile(job);
    }
    await Promise.all(inFlight);
    await channel.say({ type: 'done' });
  }

  async function sendFile(job: Job): Promise<void> {
    const { number: entry, file } = job;
    const result = await sendBlocks(job);
    if (typeof result !== 'string') {
      job.digest = result;
      return pass({ type: 'end', entry, digest: result });
    }
    if (!job.rejected) tell({ type: 'failed', path: file.path, code: result });
    job.failed = true;
    return pass({ type: 'failed', entry, code: result });
  }

  /** Sends the bytes of a file. Returns the digest of all of them, or why it could not. */
  async function sendBlocks(job: Job): Promise<Uint8Array | ErrorCode> {
    const { number: entry, file, kept } = job;
    let blocks: ReturnType<Outbox['read']> | undefined;
    try {
      let offset = kept && (await isSame(file, kept)) ? kept.size : 0;
      tell({ type: 'started', file, from: offset });
      blocks = outbox.read(file, offset);
      for (;;) {
        if (job.rejected) return 'cancelled';
        const { value: bytes, done } = await blocks.next();
        if (done) return bytes;
        await pass({ type: 'chunk', entry, offset, bytes });
        offset += bytes.length;
        tell({ type: 'moved', bytes: bytes.length });
      }
    } catch (error) {
      if (error instanceof DropError && OF_ONE_FILE.has(error.code)) return error.code;
      throw error;
    } finally {
      await blocks?.return(new Uint8Array(0));
    }
  }

  /** Says it without waiting until it is on its way, unless too much is waiting already. */
  async function pass(message: Message): Promise<void> {
    const said = channel.say(message);
    said.catch(() => {}); // It is awaited when its turn comes.
    if (inFlight.push(said) >= BLOCKS_IN_FLIGHT) await inFlight.shift();
  }

  /** We go on where the receiver stopped, if what it kept is the start of what we have. */
  async function isSame(file: FileEntry, kept: Kept): Promise<boolean> {
    return equal(await outbox.digest(file, kept.size), kept.digest);
  }

  async function hearAll(): Promise<void> {
    tell({ type: 'accepted', transfer: (await channel.hear('accept')).transfer });
    for (;;) {
      const message = await channel.hear('want', 'stored', 'failed', 'complete');
      if (message.type === 'complete') {
        if (message.missed > 0) tell({ type: 'missed', count: message.missed });
        return;
      }
      if (message.type === 'want') hearWant(message);
      else hearSettled(message);
      progress.changed();
    }
  }

  function hearWant({ count, skip, kept, failed }: MessageOf<'want'>): void {
    const skipped = new Map(skip.map(({ entry, reason }) => [entry, reason]));
    const rejected = new Map(failed.map(({ entry, code }) => [entry, code]));
    const parts = new Map(kept.map((part) => [part.entry, part]));
    for (const entry of undecided.splice(0, count)) {
      const number = decided++;
      const code = rejected.get(number);
      const reason = skipped.get(number);
      if (code !== undefined) tell({ type: 'failed', path: entry.path, code });
      else if (entry.kind !== 'file') continue;
      else if (reason !== undefined) tell({ type: 'skipped', file: entry, reason });
      else {
        const job: Job = {
          number,
          file: entry,
          kept: parts.get(number),
          rejected: false,
          failed: false,
        };
        jobs.set(number, job);
        toSend.push(job);
      }
    }
  }

  function hearSettled(message: MessageOf<'stored'> | MessageOf<'failed'>): void {
    const job = jobs.get(message.entry);
    if (job === undefined) return;
    jobs.delete(message.entry);
    if (message.type === 'stored') {
      if (job.digest) tell({ type: 'stored', file: job.file, digest: job.digest });
    } else if (!job.failed) {
      // What we could not send is told already; what the receiver could not store is news.
      job.rejected = true;
      tell({ type: 'failed', path: job.file.path, code: message.code });
    }
  }
}

/** One file that the receiver wants. */
interface Job {
  readonly number: number;
  readonly file: FileEntry;
  readonly kept: Kept | undefined;
  /** Of the whole file, once it is sent. */
  digest?: Uint8Array;
  /** We could not send it. */
  failed: boolean;
  /** The receiver gave it up: the rest needs not be sent. */
  rejected: boolean;
}

/**
 * Takes off the front of a list what fits into one control frame, at least one item. A UTF-16
 * unit of JSON takes at most three bytes.
 */
function takeBatch<T>(list: T[]): T[] {
  let room = MAX_CONTROL - 256;
  let count = 0;
  for (const item of list) {
    room -= 3 * JSON.stringify(item).length + 1;
    if (count > 0 && (room < 0 || count === MAX_BATCH)) break;
    count += 1;
  }
  return list.splice(0, count);
}
