import { DropError, type ErrorCode } from '../errors.ts';
import type { Extent } from '../events.ts';
import { MAX_BATCH, MAX_OPEN_ENTRIES } from '../protocol/limits.ts';
import { type Entry, type FileEntry, parentOf } from '../protocol/manifest.ts';
import type { Kept, MessageOf, SkipReason } from '../protocol/message.ts';
import type { Channel } from './channel.ts';
import { Condition, together } from './condition.ts';
import { EVERYTHING, Grant } from './grant.ts';
import type { Tell } from './report.ts';

/** Where files land. */
export interface Inbox {
  /** Bytes that may still be stored here, the reserve already taken off. */
  room(): Promise<number>;

  /**
   * Decides where an offered entry goes. A folder is made at once, a link is remembered for
   * `finish`; for a file it says what is wanted of it. Entries come in the order in which they
   * were offered, each folder before what it holds. Throws a `DropError` if this entry cannot
   * be placed; the others are not concerned.
   */
  place(entry: Entry): Promise<Placement>;

  /** Begins a file, or goes on after the `from` bytes that were kept of it. */
  open(entry: FileEntry, from: number): Promise<IncomingFile>;

  /**
   * Makes the links and sets the times and modes of the folders, last of all. Returns what it
   * could not do; it never throws for a single entry.
   */
  finish(): Promise<{ path: string; code: ErrorCode }[]>;

  /** Removes what is not stored. Safe to call twice, and after `finish`. */
  close(): Promise<void>;
}

export type Placement =
  | { readonly want: 'all' }
  /** The verified start of it lies here from a broken transfer. */
  | { readonly want: 'rest'; readonly size: number; readonly digest: Uint8Array }
  | { readonly want: 'nothing'; readonly reason: SkipReason }
  /** A folder or a link: nothing to send. */
  | { readonly want: 'placed' };

/** A file on its way to the disk. Nothing of it is visible under its name before `commit` ends. */
export interface IncomingFile {
  /** Takes the next bytes; they may be overwritten once the promise is fulfilled. */
  write(bytes: Uint8Array): Promise<void>;

  /**
   * Gives the file its name, once it is written, synced and equal to `digest` (SHA-256);
   * resolves when the name itself is durable. Throws `corrupt` if it is not equal. Many
   * commits may run at once.
   */
  commit(digest: Uint8Array): Promise<Stored>;

  /** Leaves the file unfinished. */
  discard(): Promise<void>;
}

/** A file that is whole, verified, synced and has its name. */
export interface Stored {
  /** Where it lies, absolute. */
  readonly path: string;
  /** Whether the name is not the one that was offered. */
  readonly renamed: boolean;
}

export interface Host {
  /** Names this transfer: 32 hex digits, drawn at random. */
  readonly transfer: string;
  /** Whether everything is taken without a question; `ask` only hears of it, at once. */
  readonly freely: boolean;
  /** Opens the inbox: only after a yes does anything appear on the disk. */
  open(): Promise<Inbox>;
  /**
   * Whether the offer is taken, or why not. Asked again when it outgrows what was granted.
   * The signal says that nobody waits for the answer any more.
   */
  ask(extent: Extent, signal: AbortSignal): Promise<'yes' | ErrorCode>;
}

/** How many files may be on their way from written to stored at once; syncing them takes the time. */
const COMMITS = 64;

/**
 * Receives what a sender offers into an inbox: decides on it batch by batch, writes what
 * comes, and says of each file that it is stored only when it is. Returns when everything is
 * settled and the sender was told so.
 */
export async function runReceiver(
  channel: Channel,
  { transfer, freely, ask, open }: Host,
  tell: Tell,
): Promise<void> {
  const progress = new Condition();
  const roots: string[] = [];
  /** What is offered and not yet decided. */
  const undecided: Entry[] = [];
  let entries = 0;
  let totals = { files: 0, bytes: 0, final: false };
  let decided = 0;
  /** Bytes that are wanted and not yet written. */
  let owed = 0;
  /** Folders that could not be made: nothing in them can. */
  const lost = new Map<string, ErrorCode>();
  /** What is wanted and not yet settled, by number. */
  const jobs = new Map<number, Job>();
  const commits = new Set<Promise<void>>();
  /** The first failure of a commit that is more than that of its file. */
  let broken: { readonly error: unknown } | undefined;
  let opened: Inbox | undefined;

  try {
    await together(channel, progress, decideAll(), hearAll());
  } finally {
    await Promise.all(commits);
    await opened?.close();
  }

  async function decideAll(): Promise<void> {
    const grant = new Grant();
    await askFor(grant);
    opened = await open();
    if (totals.final && totals.bytes > (await opened.room())) throw new DropError('disk-full');
    await channel.say({ type: 'accept', transfer });
    tell({ type: 'accepted', transfer });
    for (;;) {
      await progress.until(() => undecided.length > 0 || totals.final);
      const batch = undecided.slice(0, MAX_BATCH);
      const beyond = batch.findIndex((entry) => !grant.takes(entry));
      if (beyond >= 0) batch.splice(beyond);
      undecided.splice(0, batch.length);
      if (batch.length > 0) await decide(batch, opened);
      else if (undecided.length > 0) await askFor(grant);
      else return;
    }
  }

  /** Asks when there is something to show: the whole offer, or as much as a sender may offer. */
  async function askFor(grant: Grant): Promise<void> {
    const full = MAX_OPEN_ENTRIES - MAX_BATCH;
    await progress.until(
      () => totals.final || channel.session.open > full || (freely && entries > 0),
    );
    const shown = { entries, ...totals };
    const answer = await ask({ roots, ...totals }, progress.signal);
    if (answer !== 'yes') throw new DropError(answer);
    grant.renew(freely ? EVERYTHING : shown);
  }

  async function decide(batch: readonly Entry[], inbox: Inbox): Promise<void> {
    const room = await inbox.room();
    const skip: { entry: number; reason: SkipReason }[] = [];
    const kept: Kept[] = [];
    const failed: { entry: number; code: ErrorCode }[] = [];
    for (const entry of batch) {
      const number = decided++;
      try {
        const code = lost.get(parentOf(entry.path));
        if (code !== undefined) throw new DropError(code);
        const placement = await inbox.place(entry);
        if (entry.kind !== 'file') continue;
        if (placement.want === 'nothing') {
          skip.push({ entry: number, reason: placement.reason });
          tell({ type: 'skipped', file: entry, reason: placement.reason });
          continue;
        }
        const left = entry.size - (placement.want === 'rest' ? placement.size : 0);
        // What is promised already and not yet written takes of the same room.
        if (owed + left > room) throw new DropError('disk-full');
        owed += left;
        if (placement.want === 'rest')
          kept.push({ entry: number, size: placement.size, digest: placement.digest });
        jobs.set(number, { file: entry, inbox, left, rejected: false });
      } catch (error) {
        const code = faultOf(error);
        failed.push({ entry: number, code });
        // An inbox that is full of folders answers for what is in them itself.
        if (entry.kind === 'folder' && code !== 'too-many') lost.set(entry.path, code);
        tell({ type: 'failed', path: entry.path, code });
      }
    }
    await channel.say({ type: 'want', count: batch.length, skip, kept, failed });
  }

  async function hearAll(): Promise<void> {
    for (;;) {
      const message = await channel.hear('roots', 'offer', 'chunk', 'end', 'failed', 'done');
      switch (message.type) {
        case 'roots':
          roots.push(...message.names);
          break;
        case 'offer':
          hearOffer(message);
          break;
        case 'chunk':
          await take(message);
          break;
        case 'end':
          await store(message);
          break;
        case 'failed':
          await abandon(message);
          break;
        case 'done':
          return finish();
      }
    }
  }

  function hearOffer(offer: MessageOf<'offer'>): void {
    undecided.push(...offer.entries);
    entries += offer.entries.length;
    totals = { files: offer.files, bytes: offer.bytes, final: offer.final };
    tell({ type: 'offered', ...totals });
    progress.changed();
  }

  async function take({ entry: number, offset, bytes }: MessageOf<'chunk'>): Promise<void> {
    const job = jobOf(number);
    if (job.rejected) return;
    try {
      const file = await openJob(job, offset);
      await file.write(bytes);
      owed -= bytes.length;
      job.left -= bytes.length;
      tell({ type: 'moved', bytes: bytes.length });
    } catch (error) {
      await reject(number, job, error);
    }
  }

  async function store({ entry: number, digest }: MessageOf<'end'>): Promise<void> {
    const job = jobOf(number);
    jobs.delete(number);
    if (job.rejected) return;
    const commit = commitJob(number, job, digest)
      .catch((error: unknown) => {
        broken ??= { error };
        progress.fail(error);
      })
      .finally(() => commits.delete(commit));
    commits.add(commit);
    if (commits.size >= COMMITS) await Promise.race(commits);
  }

  async function commitJob(number: number, job: Job, digest: Uint8Array): Promise<void> {
    try {
      // Where no chunk came, all of it was kept, or there is nothing to it.
      const file = await openJob(job, job.file.size);
      const where = await file.commit(digest);
      await channel.say({ type: 'stored', entry: number });
      tell({ type: 'stored', file: job.file, digest, where });
    } catch (error) {
      await reject(number, job, error);
    }
  }

  /** The sender cannot send the rest of a file. */
  async function abandon({ entry: number, code }: MessageOf<'failed'>): Promise<void> {
    const job = jobOf(number);
    jobs.delete(number);
    if (!job.rejected) await giveUp(number, job, code);
  }

  /** We cannot store a file; what still comes of it is let go by. */
  async function reject(number: number, job: Job, error: unknown): Promise<void> {
    job.rejected = true;
    await giveUp(number, job, faultOf(error));
  }

  async function giveUp(number: number, job: Job, code: ErrorCode): Promise<void> {
    owed -= job.left;
    await job.incoming?.discard();
    tell({ type: 'failed', path: job.file.path, code });
    await channel.say({ type: 'failed', entry: number, code });
  }

  async function openJob(job: Job, offset: number): Promise<IncomingFile> {
    if (job.incoming === undefined) {
      tell({ type: 'started', file: job.file, from: offset });
      job.incoming = await job.inbox.open(job.file, offset);
    }
    return job.incoming;
  }

  function jobOf(number: number): Job {
    const job = jobs.get(number);
    if (job === undefined) throw new DropError('protocol');
    return job;
  }

  async function finish(): Promise<void> {
    await Promise.all(commits);
    if (broken) throw broken.error;
    const missed = (await opened?.finish()) ?? [];
    for (const { path, code } of missed) tell({ type: 'failed', path, code });
    await channel.say({ type: 'complete', missed: missed.length });
  }
}

/** One file on its way. */
interface Job {
  readonly file: FileEntry;
  readonly inbox: Inbox;
  /** Bytes that are not yet written. */
  left: number;
  incoming?: IncomingFile;
  /** We gave it up. */
  rejected: boolean;
}

/** The code of a failure that concerns one entry; anything else is not for here. */
function faultOf(error: unknown): ErrorCode {
  if (error instanceof DropError && !OF_THE_WHOLE.has(error.code)) return error.code;
  throw error;
}

const OF_THE_WHOLE: ReadonlySet<ErrorCode> = new Set(['disconnected', 'protocol', 'cancelled']);
