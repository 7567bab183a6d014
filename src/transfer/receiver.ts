import { DropError, type ErrorCode } from '../errors.ts';
import type { Extent } from '../events.ts';
import { MAX_BATCH, MAX_OPEN_ENTRIES } from '../limits.ts';
import { equal } from '../protocol/bytes.ts';
import { Few } from '../protocol/few.ts';
import {
  type DataEntry,
  type Entry,
  type FileEntry,
  hasData,
  sizeOf,
} from '../protocol/manifest.ts';
import type { DigestName, Kept, MessageOf, MessageType, SkipReason } from '../protocol/message.ts';
import { Window } from '../protocol/window.ts';
import type { Channel } from './channel.ts';
import { type Codec, unpackChunk } from './codec.ts';
import { Condition, together } from './condition.ts';
import { EVERYTHING } from './grant.ts';
import type { Inbox, IncomingFile, Placement, Stored } from './inbox.ts';
import { Pauses } from './pause.ts';
import type { Reception } from './reception.ts';
import type { Tell } from './report.ts';

export interface Host {
  /** What can be unpacked here; nothing by default. */
  readonly codecs?: readonly Codec[];
  /** Whether everything is taken without a question; `ask` only hears of it, at once. */
  readonly freely: boolean;
  /** What files can be told by here; SHA-256 is among it. */
  readonly digests: readonly DigestName[];
  /** The reception that `continues` names, if it may go on; else a new one. */
  reception(continues: string | null): Promise<Reception>;
  /** Opens the inbox: only after a yes does anything appear on the disk. */
  open(how: Opening): Promise<Inbox>;
  /**
   * Whether the offer is taken, or why not. Asked again when it outgrows what was granted.
   * The signal says that nobody waits for the answer any more; `entries` are those of which nothing
   * is decided.
   */
  ask(offered: SoFar, signal: AbortSignal, entries: readonly Entry[]): Promise<'yes' | ErrorCode>;
  /**
   * Whether so much may be offered at all, or why not; without it, anything may. Of a stream it is
   * asked again as it comes.
   */
  admits?(offered: SoFar): 'yes' | ErrorCode;
  /** The sender can be dialled at this port, and would move there. */
  dial?(port: number): void;
}

/** What an inbox is opened for. */
export interface Opening {
  readonly roots: readonly string[];
  readonly checksum: boolean;
  /** Whether nothing but messages is offered, which lie nowhere. */
  readonly onlyTexts: boolean;
}

/** What was offered so far; of a stream the bytes that have come. */
export interface SoFar extends Extent {
  /** Files, folders and links. */
  readonly entries: number;
}

/** How many files may be on their way from written to stored at once; syncing them takes the time. */
const COMMITS = 128;

/** How many chunks may be unpacked at once. Bounds the memory for them. */
const UNPACKING = 2;

/** How much of a stream comes before the sender learns that it is written, in bytes. */
const ARRIVED_EVERY = 4 * 1024 * 1024;

/**
 * Receives over one connection what a sender offers: decides on it batch by batch, writes what
 * comes, and says of each file that it is stored only when it is. Returns when everything is
 * settled and the sender was told so. If the connection breaks, what came is kept, and the
 * reception may go on over another.
 */
export async function runReceiver(
  channel: Channel,
  {
    freely,
    digests: ours,
    codecs = [],
    reception: find,
    ask,
    open,
    admits = () => 'yes',
    dial,
  }: Host,
  tell: Tell,
): Promise<void> {
  const progress = new Condition();
  /** Nobody comes back for what is looked for on the disk. After a loss somebody may. */
  const gone = new AbortController();
  progress.signal.addEventListener('abort', () => {
    if (!isLoss(progress.signal.reason)) gone.abort();
  });
  /** What is offered and not yet decided, and the number of the first of it. */
  const undecided: Entry[] = [];
  let decided = 0;
  let offered = { entries: 0, files: 0, texts: 0, bytes: 0, sized: true, final: false };
  /** Bytes that are wanted and not yet written. */
  let owed = 0;
  /** What is wanted and not yet settled, by number. */
  const jobs = new Window<Job>();
  const commits = new Few<Promise<void>>();
  /** Files in these. */
  let committing = 0;
  /** What takes the chunks that are being unpacked, in their order. */
  const unpacking: (() => Promise<void>)[] = [];
  let done = false;
  /** The first failure of a commit that is more than that of its file. */
  let broken: { readonly error: unknown } | undefined;
  /** What the sender said of files that were compared. */
  const digests = new Map<number, Uint8Array | null>();

  const { continues, checksum, digests: theirs } = await channel.hear('begin');
  const algorithm = choose(theirs, ours);
  const reception = await find(continues);
  const continued = reception.roots !== undefined;
  reception.connected();
  const pauses = new Pauses(channel, reception.pause, progress, tell);
  const roots: string[] = [];
  let introduced = false;
  let lost = false;
  try {
    await together(channel, progress, decideAll(), takeAll(), hearAll());
  } catch (error) {
    lost = isLoss(error);
    throw error;
  } finally {
    pauses.end();
    await Promise.all(commits);
    reception.broken();
    await Promise.all(Array.from(jobs.values(), (job) => leave(job, 'cancelled')));
  }

  async function decideAll(): Promise<void> {
    const { transfer } = reception;
    const names = codecs.map(({ name }) => name);
    await channel.say({ type: 'begun', transfer, digest: algorithm, codecs: names });
    if (continued) await progress.until(() => introduced);
    else await askForYes();
    reception.inbox ??= await open({ roots, checksum, onlyTexts: onlyTexts() });
    const { inbox } = reception;
    inbox.connected(algorithm);
    if (inbox.fresh && !continued && offered.final && offered.bytes > (await inbox.room()))
      throw new DropError('disk-full');
    const said = channel.say({ type: 'accept' });
    // Whoever hears it may pause at once, before we know that it is on its way.
    tell({ type: 'accepted', transfer });
    pauses.begin();
    await said;
    for (;;) {
      await progress.until(() => undecided.length > 0 || offered.final);
      if (undecided.length === 0) return;
      // Nobody is asked in a pause, and nothing is looked for on the disk.
      await pauses.over();
      const batch = undecided.slice(0, MAX_BATCH);
      const beyond = batch.findIndex((entry, i) => !reception.covers(decided + i, entry));
      if (beyond >= 0) batch.splice(beyond);
      if (batch.length > 0) await decide(batch, inbox);
      else await askForYes();
    }
  }

  /**
   * Asks when there is something to show: the whole offer, or as much as a sender may offer; or
   * once more when all is settled that the yes before was for.
   */
  async function askForYes(): Promise<void> {
    const full = MAX_OPEN_ENTRIES - MAX_BATCH;
    const again = reception.roots !== undefined;
    const ready = (): boolean => freely || (again && jobs.size === 0);
    await progress.until(
      () => offered.final || channel.session.open > full || (undecided.length > 0 && ready()),
    );
    const shown = [...undecided];
    const risks = reception.risks.list;
    const answer = await ask({ roots, ...offered, risks }, progress.signal, shown);
    if (answer !== 'yes') throw new DropError(answer);
    // It may have been a yes to a part.
    if (reception.files !== offered.files) tellOffered(offered.final);
    reception.roots ??= roots;
    if (freely) reception.grant.renew(EVERYTHING);
    // Messages may need nobody's yes: it reaches no further than them.
    else reception.grant.renew(reception.newIn(shown), { exactly: onlyTexts() });
  }

  async function decide(batch: readonly Entry[], inbox: Inbox): Promise<void> {
    const room = await inbox.room();
    const placements = await placeAll(batch, inbox);
    const skip: { entry: number; reason: SkipReason }[] = [];
    const kept: Kept[] = [];
    const failed: { entry: number; code: ErrorCode }[] = [];
    for (const [i, entry] of batch.entries()) {
      const number = decided + i;
      const { placement, code, old } = placements[i] as Placed;
      const reject = (why: ErrorCode): void => {
        failed.push({ entry: number, code: why });
        if (!old) settleFailed(number, entry, why);
      };
      if (code !== undefined) reject(code);
      else if (!hasData(entry)) reception.settle(number, entry, 'placed');
      else if (placement.want === 'nothing') {
        skip.push({ entry: number, reason: placement.reason });
        if (old || placement.reason === 'stored') continue;
        reception.settle(number, entry, { skipped: placement.reason });
        tell({ type: 'skipped', entry, reason: placement.reason });
      } else {
        const { size: has = 0, digest } = placement.want === 'rest' ? placement : {};
        const left = Math.max(0, sizeOf(entry) - has);
        // What is promised already and not yet written takes of the same room.
        if (owed + left > room) {
          reject('disk-full');
          continue;
        }
        owed += left;
        if (digest !== undefined) kept.push({ entry: number, size: has, digest });
        jobs.set(number, {
          entry,
          inbox,
          kept: digest,
          at: has,
          arrived: has,
          left,
          rejected: false,
        });
      }
    }
    undecided.splice(0, batch.length);
    decided += batch.length;
    const keptBytes = kept.reduce((sum, { size }) => sum + size, 0);
    if (keptBytes > 0) tell({ type: 'kept', bytes: keptBytes });
    await channel.say({ type: 'want', count: batch.length, skip, kept, failed });
  }

  /** Where each entry of a batch goes. Files are looked at together, as they may be compared. */
  async function placeAll(batch: readonly Entry[], inbox: Inbox): Promise<Placed[]> {
    const placed: (Placed | Promise<Placed>)[] = [];
    try {
      for (const [i, entry] of batch.entries()) {
        const before = reception.outcomeOf(decided + i, entry);
        const placing = before ? asBefore(before) : place(entry, decided + i, inbox);
        placed.push(placing);
        if (!(placing instanceof Promise)) continue;
        placing.catch(() => {}); // It is awaited below, with the others.
        // What lies in a folder can only be placed once that is there.
        if (!hasData(entry)) await placing;
      }
    } finally {
      // None may still be looking when another connection asks for the same.
      await Promise.allSettled(placed.filter((one) => one instanceof Promise));
    }
    return Promise.all(placed);
  }

  function place(entry: Entry, number: number, inbox: Inbox): Placed | Promise<Placed> {
    if (!reception.wants(number)) return passBy(entry, inbox);
    const lost = reception.lostAbove(entry);
    if (lost !== undefined) return { placement: { want: 'placed' }, code: lost };
    const fail = (error: unknown): Placed => {
      const code = faultOf(error);
      // An inbox that is full of folders answers for what is in them itself.
      if (entry.kind === 'folder' && code !== 'too-many') reception.lost.set(entry.path, code);
      return { placement: { want: 'placed' }, code };
    };
    try {
      const placing = inbox.place(entry, () => digestOf(number), gone.signal);
      if (!(placing instanceof Promise)) return { placement: placing };
      return placing.then((placement) => ({ placement }), fail);
    } catch (error) {
      return fail(error);
    }
  }

  /** Asks the sender what is in a file. */
  async function digestOf(number: number): Promise<Uint8Array | null> {
    await channel.say({ type: 'compare', entry: number });
    await progress.until(() => digests.has(number));
    const digest = digests.get(number) ?? null;
    digests.delete(number);
    return digest;
  }

  async function hearAll(): Promise<void> {
    await hearRoots();
    for (;;) {
      const message = await channel.hear(
        'offer',
        'digest',
        'chunk',
        'packed',
        'end',
        'files',
        'failed',
        'dial',
        'pause',
        'resume',
        'done',
      );
      if (DATA.has(message.type) && pauses.holds)
        await channel.unlessFailed(progress.until(() => !pauses.holds));
      // All but a packed chunk is heard in its turn.
      if (message.type !== 'packed' && unpacking.length > 0)
        await progress.until(() => unpacking.length === 0);
      switch (message.type) {
        case 'offer':
          hearOffer(message);
          break;
        case 'digest':
          digests.set(message.entry, message.digest);
          progress.changed();
          break;
        case 'chunk':
          await take(message);
          break;
        case 'packed':
          unpacking.push(unpack(message));
          progress.changed();
          await progress.until(() => unpacking.length < UNPACKING);
          break;
        case 'end':
          await store(message);
          break;
        case 'files':
          await storeTogether(message);
          break;
        case 'failed':
          await abandon(message);
          break;
        case 'dial':
          dial?.(message.port);
          break;
        case 'pause':
        case 'resume':
          pauses.hear(message);
          break;
        case 'done':
          done = true;
          progress.changed();
          return finish();
      }
    }
  }

  async function hearRoots(): Promise<void> {
    for (let final = false; !final; ) {
      const message = await channel.hear('roots');
      roots.push(...message.names);
      final = message.final;
    }
    if (continued && !sameList(roots, reception.roots ?? []))
      throw new DropError('protocol', { message: 'What goes on is not what was accepted.' });
    introduced = true;
    progress.changed();
  }

  function hearOffer({ entries, final }: MessageOf<'offer'>): void {
    undecided.push(...entries);
    reception.hearOffer(entries);
    tellOffered(final);
    progress.changed();
  }

  function tellOffered(final: boolean): void {
    const { entries, files, texts, bytes, sized } = reception;
    offered = { entries, files, texts, bytes, sized, final };
    ensureAdmitted(0);
    tell({ type: 'offered', files, bytes, sized, final });
  }

  function onlyTexts(): boolean {
    return offered.final && offered.entries > 0 && offered.entries === offered.texts;
  }

  /** Throws if it is more than may be; `streaming`: the bytes of the stream that is on its way. */
  function ensureAdmitted(streaming: number): void {
    const bytes = offered.bytes + reception.streamed + streaming;
    const verdict = admits({ roots, ...offered, bytes, risks: reception.risks.list });
    if (verdict !== 'yes') throw new DropError(verdict);
  }

  /** Takes what was packed as soon as it is unpacked, one after the other. */
  async function takeAll(): Promise<void> {
    for (;;) {
      await progress.until(() => unpacking.length > 0 || done);
      const [next] = unpacking;
      if (next === undefined) return;
      await next();
      unpacking.shift();
      progress.changed();
    }
  }

  /** Begins to unpack a chunk. Returns what takes it. */
  function unpack(message: MessageOf<'packed'>): () => Promise<void> {
    const unpacked = unpackChunk(codecs, message);
    unpacked.catch(() => {}); // It is awaited in its turn.
    return async () => take({ ...message, bytes: await unpacked }, message.bytes.length);
  }

  async function take(
    { entry: number, offset, bytes }: Omit<MessageOf<'chunk'>, 'type'>,
    wire = bytes.length,
  ): Promise<void> {
    const job = jobOf(number);
    if (job.rejected) return;
    try {
      const file = await openJob(job, offset);
      if (job.entry.kind === 'stream') ensureAdmitted(job.at + bytes.length);
      await file.write(bytes);
      job.at += bytes.length;
      if (job.entry.kind === 'file') {
        owed -= bytes.length;
        job.left -= bytes.length;
      }
      tell({ type: 'moved', bytes: bytes.length, wire });
      if (job.entry.kind === 'stream') await confirm(number, job, file);
    } catch (error) {
      await reject(number, job, error);
    }
  }

  /** Tells how much of a stream is written, which has no size that could have been looked at before. */
  async function confirm(number: number, job: Job, { written }: IncomingFile): Promise<void> {
    if (written < job.arrived + ARRIVED_EVERY) return;
    if ((await job.inbox.room()) <= owed) throw new DropError('disk-full');
    job.arrived = written;
    await channel.say({ type: 'arrived', entry: number, offset: written });
  }

  async function storeTogether({ files: small }: MessageOf<'files'>): Promise<void> {
    const files = small.map(({ entry: number, digest, bytes }) => {
      const job = jobOf(number) as Job & { readonly entry: FileEntry };
      const { entry } = job;
      owed -= job.left;
      job.left = 0;
      job.at = bytes.length;
      tell({ type: 'moved', bytes: bytes.length, wire: bytes.length, whole: entry });
      return { number, job, entry, bytes, digest };
    });
    const [{ job }] = files as [(typeof files)[0]];
    await commitLater(files, job.inbox.storeTogether(files));
  }

  async function store({ entry: number, digest }: MessageOf<'end'>): Promise<void> {
    const job = jobOf(number);
    if (job.rejected) return forget(number);
    if (job.entry.kind === 'stream') reception.streamed += job.at;
    await commitLater([{ number, job, digest }], Promise.all([commitJob(job, digest)]));
  }

  /** Others may follow before these are stored, but not too many. */
  async function commitLater(
    files: readonly Closed[],
    stored: Promise<readonly (Stored | DropError)[]>,
  ): Promise<void> {
    committing += files.length;
    const commit = settleStored(files, stored)
      .catch((error: unknown) => {
        broken ??= { error };
        progress.fail(error);
      })
      .finally(() => {
        commits.delete(commit);
        committing -= files.length;
        progress.changed();
      });
    commits.add(commit);
    if (committing >= COMMITS) await progress.until(() => committing < COMMITS);
  }

  async function commitJob(job: Job, digest: Uint8Array): Promise<Stored | DropError> {
    const { entry } = job;
    // Where no chunk came, all of it was kept, or there is nothing to it.
    const empty = entry.kind === 'stream' && job.kept && !equal(job.kept, digest);
    try {
      const file = await openJob(job, empty ? 0 : job.at);
      return await file.commit(digest);
    } catch (error) {
      if (error instanceof DropError) return error;
      throw error;
    }
  }

  async function settleStored(
    files: readonly Closed[],
    stored: Promise<readonly (Stored | DropError)[]>,
  ): Promise<void> {
    const outcomes = await stored;
    const entries: number[] = [];
    for (const [i, { number, job, digest }] of files.entries()) {
      const where = outcomes[i] as Stored | DropError;
      jobs.delete(number);
      const { entry } = job;
      if (where instanceof DropError && entry.kind === 'stream') reception.streamed -= job.at;
      if (where instanceof DropError) continue;
      reception.settle(number, entry, 'stored');
      tell({ type: 'stored', entry, size: job.at, digest, algorithm, where });
      entries.push(number);
    }
    if (entries.length > 0) await channel.say({ type: 'stored', entries });
    for (const [i, { number, job }] of files.entries())
      if (outcomes[i] instanceof DropError) await reject(number, job, outcomes[i]);
  }

  /** The sender cannot send the rest of a file. */
  async function abandon({ entry: number, code }: MessageOf<'failed'>): Promise<void> {
    const job = jobOf(number);
    forget(number);
    if (!job.rejected) await giveUp(number, job, code);
  }

  /** Nothing more comes of a file. Whoever is asked once more, is asked when all are settled. */
  function forget(number: number): void {
    jobs.delete(number);
    progress.changed();
  }

  /** We cannot store a file; what still comes of it is let go by. */
  async function reject(number: number, job: Job, error: unknown): Promise<void> {
    const code = faultOf(error);
    job.rejected = true;
    await giveUp(number, job, code);
  }

  async function giveUp(number: number, job: Job, code: ErrorCode): Promise<void> {
    owed -= job.left;
    await leave(job, code);
    settleFailed(number, job.entry, code);
    await channel.say({ type: 'failed', entry: number, code });
  }

  /** Keeps what came of a file, if anybody can go on with it: with a stream only its one sender can. */
  async function leave({ entry, file }: Job, code: ErrorCode): Promise<void> {
    const useful = entry.kind === 'file' ? !WORTHLESS.has(code) : lost;
    await (useful ? file?.keep() : file?.discard());
  }

  function settleFailed(number: number, entry: Entry, code: ErrorCode): void {
    reception.settle(number, entry, { failed: code });
    tell({ type: 'failed', path: entry.path, code });
  }

  async function openJob(job: Job, offset: number): Promise<IncomingFile> {
    if (job.file === undefined) {
      if (job.entry.kind === 'file') {
        // The sender may start over although something was kept.
        const left = job.entry.size - offset;
        owed += left - job.left;
        job.left = left;
      }
      job.at = job.arrived = offset;
      tell({ type: 'started', entry: job.entry, from: offset });
      job.file = await job.inbox.open(job.entry, offset);
    }
    return job.file;
  }

  function jobOf(number: number): Job {
    const job = jobs.get(number);
    if (job === undefined) throw new DropError('protocol');
    return job;
  }

  async function finish(): Promise<void> {
    await Promise.all(commits);
    if (broken) throw broken.error;
    const missed = (await reception.inbox?.finish()) ?? [];
    for (const { path, code } of missed) tell({ type: 'failed', path, code });
    // Whoever is told that all is done finds nothing here but that.
    await reception.inbox?.close();
    await channel.say({ type: 'complete', missed: missed.length });
  }
}

/** What carries bytes of files. */
const DATA: ReadonlySet<MessageType> = new Set(['chunk', 'packed', 'files']);

/** What both can tell files by, as the sender likes best. It says SHA-256, or we have not heard it. */
function choose(theirs: readonly string[], ours: readonly DigestName[]): DigestName {
  for (const name of theirs) {
    const known = ours.find((one) => one === name);
    if (known !== undefined) return known;
  }
  throw new DropError('protocol');
}

/** One file on its way. */
interface Job {
  readonly entry: DataEntry;
  readonly inbox: Inbox;
  /** The digest of what was kept of it. */
  readonly kept: Uint8Array | undefined;
  /** How far it has come, and how much of that a stream's sender was told. */
  at: number;
  arrived: number;
  /** Bytes that are not yet written, as far as that is known. */
  left: number;
  file?: IncomingFile;
  /** We gave it up. */
  rejected: boolean;
}

/** A file of which all has come. */
interface Closed {
  readonly number: number;
  readonly job: Job;
  readonly digest: Uint8Array;
}

/** What became of one entry of a batch. */
interface Placed {
  readonly placement:
    | Placement
    | { readonly want: 'nothing'; readonly reason: 'stored' | 'unwanted' };
  readonly code?: ErrorCode;
  /** It was decided before the connection broke. */
  readonly old?: boolean;
}

/** What nobody wants needs no place; but something may come that lies in such a folder. */
function passBy(entry: Entry, inbox: Inbox): Placed {
  if (entry.kind === 'folder') inbox.defer(entry);
  if (!hasData(entry)) return { placement: { want: 'placed' } };
  return { placement: { want: 'nothing', reason: 'unwanted' } };
}

function asBefore(outcome: NonNullable<ReturnType<Reception['outcomeOf']>>): Placed {
  if (outcome === 'placed') return { placement: { want: 'placed' }, old: true };
  if (outcome === 'stored') return { placement: { want: 'nothing', reason: 'stored' }, old: true };
  if ('failed' in outcome)
    return { placement: { want: 'placed' }, code: outcome.failed, old: true };
  return { placement: { want: 'nothing', reason: outcome.skipped }, old: true };
}

/** The code of a failure that concerns one entry; anything else is not for here. */
function faultOf(error: unknown): ErrorCode {
  if (error instanceof DropError && !OF_THE_WHOLE.has(error.code)) return error.code;
  throw error;
}

/** Whether somebody may come back and go on. */
function isLoss(error: unknown): boolean {
  return error instanceof DropError && error.code === 'disconnected';
}

const OF_THE_WHOLE: ReadonlySet<ErrorCode> = new Set([
  'disconnected',
  'protocol',
  'cancelled',
  'folder-gone',
]);

/** After these nothing that came is the start of anything. */
const WORTHLESS: ReadonlySet<ErrorCode> = new Set(['changed', 'corrupt']);

function sameList(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((item, i) => item === other[i]);
}
