import { DropError, type ErrorCode, wordsOf } from '../errors.ts';
import type { Device, Summary, TransferEvent } from '../events.ts';
import { type DataEntry, isText, sizeOf } from '../protocol/manifest.ts';
import type { Report } from '../transfer/report.ts';

/** How often progress is told, in milliseconds: four times a second. */
const EVERY = 250;

/** Over how many of these the rate is taken. */
const SAMPLES = 12;

/**
 * Milliseconds in which nothing moves, after which that is told: no rate is true any more. Where less
 * often something moves, twice the time that it took last.
 */
const STILL_AFTER = 3_000;

export interface ProgressOptions {
  readonly transfer?: string;
  /** What is begun lies here, and is there for the next time. */
  readonly keeps?: boolean;
  /** The message that is sent. */
  readonly text?: string | undefined;
  /** Milliseconds of a clock that is never set. */
  readonly now?: () => number;
}

/**
 * Keeps the sums of one transfer: takes what the stories report and emits what people and
 * scripts see.
 */
export class Progress {
  readonly #peer: Device;
  readonly #emit: (event: TransferEvent) => void;
  readonly #now: () => number;
  #began: number;
  readonly #samples: { readonly at: number; readonly bytes: number }[] = [];
  /** What happened while the sender waits for an answer: it is told when there is a transfer. */
  readonly #early: Distribute<TransferEvent>[] = [];
  #transfer = '';
  #accepted = '';
  #file = '';
  #total: { files: number; bytes: number } | null = null;
  #sized = true;
  /** Bytes of files that were moved in all connections, and what they took of the wire. */
  #moved = 0;
  #wire = 0;
  /** Delivered. */
  #files = 0;
  #bytes = 0;
  /** How far the files have come that are begun and not yet delivered. */
  #begun = new Map<string, number>();
  /** The one of them that is on its way now. */
  #current = '';
  /** How far those had come that the last connection left off at. */
  #leftOff: Map<string, number> = new Map();
  /** Files that nobody else can go on with. */
  readonly #streams = new Set<string>();
  readonly #keeps: boolean;
  /** What was there before anything was moved. */
  #resumed = 0;
  /** Moved before the connection broke and not delivered: what is there of it now was no gift. */
  #credit = 0;
  /** Whether it was told in this connection that something is there already. */
  #told = false;
  #skipped = 0;
  #failed = 0;
  #emittedAt = Number.NEGATIVE_INFINITY;
  #movedAt = Number.NEGATIVE_INFINITY;
  #stillness: NodeJS.Timeout | undefined;
  /** The first failure, which the whole is called by if nothing was delivered. */
  #firstFailure: DropError | undefined;
  /** The message that is sent, if there is one. */
  readonly #text: string | undefined;

  constructor(
    peer: Device,
    emit: (event: TransferEvent) => void,
    { transfer = '', keeps = false, text, now = () => performance.now() }: ProgressOptions = {},
  ) {
    this.#text = text;
    this.#keeps = keeps;
    this.#peer = peer;
    this.#emit = emit;
    this.#now = now;
    this.#began = now();
    this.#transfer = transfer;
  }

  /** Whether it became a transfer: the offer was accepted. */
  get begun(): boolean {
    return this.#transfer !== '';
  }

  readonly tell = (report: Report): void => {
    switch (report.type) {
      case 'offered':
        if (report.final) this.#total = { files: report.files, bytes: report.bytes };
        this.#sized = report.sized;
        break;
      case 'accepted':
        if (this.#accepted === report.transfer) break;
        // How long somebody thought about it says nothing of how fast it was.
        if (this.#accepted === '') this.#began = this.#now();
        this.#accepted = this.#transfer = report.transfer;
        this.#say({ event: 'accepted' });
        for (const event of this.#early.splice(0)) this.#say(event);
        break;
      case 'restarted':
        this.#restart();
        break;
      case 'started':
        this.#start(report.entry, report.from);
        break;
      case 'moved':
        this.#moved += report.bytes;
        this.#wire += report.wire;
        if (report.whole) this.#file = report.whole.path;
        else this.#begun.set(this.#current, (this.#begun.get(this.#current) ?? 0) + report.bytes);
        this.#tick();
        this.#stirred();
        break;
      case 'paused':
        this.#say({ event: 'paused', by: report.by });
        break;
      case 'resumed':
        // What was moved before says nothing of how fast it is now.
        this.#samples.length = 0;
        this.#say({ event: 'resumed', by: report.by });
        break;
      case 'stored':
        this.#stored(report);
        break;
      case 'skipped':
        this.#skipped += 1;
        // Whoever chose a part knows that the rest is left out.
        if (report.reason === 'unwanted') break;
        // What is there now is not what was sent.
        if (report.reason === 'conflict') this.#firstFailure ??= new DropError('incomplete');
        else {
          this.#files += 1;
          this.#bytes += sizeOf(report.entry);
          this.#there(sizeOf(report.entry));
        }
        this.#say({ event: 'skipped', path: report.entry.path, reason: report.reason });
        break;
      case 'ignored':
        this.#skipped += 1;
        this.#say({ event: 'skipped', path: report.path, reason: 'unsupported' });
        break;
      case 'missed':
        this.#failed += report.count;
        this.fail(
          new DropError('peer-disk', {
            message: `The other side could not make ${report.count} links or keep the times of folders.`,
          }),
        );
        break;
      case 'failed':
        this.#failed += 1;
        this.#forget(report.path);
        this.fail(new DropError(report.code, { path: report.path }));
        break;
    }
  };

  /** Tells of a failure, of one file or of the whole. */
  fail(error: DropError): void {
    this.#firstFailure ??= error;
    this.#say({ event: 'error', ...wordsOf(error) });
  }

  /** The connection is lost. `next` is when the next attempt is made, in milliseconds. */
  lost(reason: ErrorCode, next?: number): void {
    clearTimeout(this.#stillness);
    for (const at of this.#begun.values()) this.#credit += at;
    if (this.#begun.size > 0) this.#leftOff = this.#begun;
    this.#begun = new Map();
    this.#samples.length = 0;
    this.#told = false;
    this.#emit({
      event: 'reconnecting',
      transfer: this.#transfer,
      peer: this.#peer,
      reason,
      ...(next === undefined ? {} : { next }),
    });
  }

  /** Tells why it came to no end, or that it was declined if it was never begun. */
  giveUp(error: DropError): void {
    if (this.begun) {
      this.fail(error);
      this.end();
    } else if (error.exit === 4)
      this.#emit({ event: 'declined', transfer: '', peer: this.#peer, reason: error.code });
  }

  /** The last event. */
  end(): Summary {
    clearTimeout(this.#stillness);
    if (this.#files + this.#failed > 0) this.#progress();
    const kept = this.#kept();
    const summary: Summary = {
      event: 'summary',
      transfer: this.#transfer,
      peer: this.#peer,
      ok: this.#firstFailure === undefined,
      files: this.#files,
      bytes: this.#bytes,
      sent: this.#wire,
      resumed: this.#resumed,
      skipped: this.#skipped,
      failed: this.#failed,
      ms: Math.round(this.#now() - this.#began),
      ...(kept > 0 ? { kept } : {}),
      ...(this.#firstFailure === undefined ? {} : { code: this.#firstFailure.code }),
    };
    this.#emit(summary);
    return summary;
  }

  /** All is offered again: what is there will be counted as such. */
  #restart(): void {
    this.#credit = this.#moved;
    this.#early.length = 0;
    this.#files = this.#bytes = this.#resumed = this.#skipped = this.#failed = 0;
    this.#total = null;
    this.#firstFailure = undefined;
  }

  #start({ path, kind }: DataEntry, from: number): void {
    this.#file = this.#current = path;
    this.#leftOff.delete(path);
    this.#begun.set(path, from);
    if (kind === 'stream') this.#streams.add(path);
    this.#there(from);
    if (!this.#told && from > 0) {
      this.#told = true;
      this.#say({ event: 'resuming', bytes: this.#reached(), total: this.#bytesInAll });
    }
    this.#tick();
  }

  /** So many bytes need not be moved. */
  #there(bytes: number): void {
    const moved = Math.min(this.#credit, bytes);
    this.#credit -= moved;
    this.#resumed += bytes - moved;
  }

  #stored(report: StoredReport): void {
    const { entry, size, where } = report;
    this.#files += 1;
    this.#bytes += size;
    this.#forget(entry.path);
    const text = where ? where.text : this.#text;
    if (isText(entry) && text !== undefined) this.#say({ event: 'text', text });
    else this.#saved(report);
  }

  #saved({ entry, size, digest, algorithm, where }: StoredReport): void {
    this.#say({
      event: 'saved',
      path: where?.path ?? entry.path,
      bytes: size,
      digest: `${algorithm}:${Buffer.from(digest.buffer, digest.byteOffset, digest.length).toString('hex')}`,
      ...(where?.renamed ? { offered: entry.path } : {}),
    });
  }

  /** A file is whole, or given up. */
  #forget(path: string): void {
    if (this.#begun.size + this.#leftOff.size === 0) return;
    this.#begun.delete(path);
    this.#leftOff.delete(path);
    this.#streams.delete(path);
  }

  /** Bytes of files that are not whole. */
  #kept(): number {
    // It went with the folder.
    if (!this.#keeps || this.#firstFailure?.code === 'folder-gone') return 0;
    let bytes = 0;
    for (const [path, at] of [...this.#leftOff, ...this.#begun])
      if (!this.#streams.has(path)) bytes += at;
    return bytes;
  }

  /** How much of the whole is there, delivered or on its way. */
  #reached(): number {
    let bytes = this.#bytes;
    for (const at of this.#begun.values()) bytes += at;
    return bytes;
  }

  get #bytesInAll(): number | null {
    return this.#sized && this.#total ? this.#total.bytes : null;
  }

  /** Of what moves is told as it does; that it stands still is told once. */
  #stirred(): void {
    const at = this.#now();
    const gap = at - this.#movedAt;
    this.#movedAt = at;
    const within = Number.isFinite(gap) ? Math.max(STILL_AFTER, 2 * gap) : STILL_AFTER;
    clearTimeout(this.#stillness);
    this.#stillness = setTimeout(() => {
      this.#samples.length = 0;
      this.#progress();
      // What moves from now on has nothing to do with the time until then.
      this.#samples.length = 0;
    }, within).unref();
  }

  #tick(): void {
    if (this.#now() - this.#emittedAt >= EVERY) this.#progress();
  }

  #progress(): void {
    const at = this.#now();
    this.#emittedAt = at;
    const bytes = this.#reached();
    this.#samples.push({ at, bytes: this.#moved });
    if (this.#samples.length > SAMPLES) this.#samples.shift();
    const [oldest] = this.#samples;
    const elapsed = at - (oldest?.at ?? at);
    const rate = elapsed > 0 ? (1000 * (this.#moved - (oldest?.bytes ?? 0))) / elapsed : 0;
    this.#say({
      event: 'progress',
      file: this.#file,
      bytes,
      total: this.#bytesInAll,
      files: this.#files,
      ofFiles: this.#total?.files ?? null,
      rate: Math.round(rate),
    });
  }

  /** Each event with what every event of a transfer carries. */
  #say(event: Distribute<TransferEvent>): void {
    if (!this.begun) this.#early.push(event);
    else {
      // What it is comes first, so that a person who looks at it finds that.
      const of = { event: event.event, transfer: this.#transfer, peer: this.#peer };
      this.#emit({ ...of, ...event } as TransferEvent);
    }
  }
}

type StoredReport = Report & { readonly type: 'stored' };

type Distribute<E> = E extends unknown ? Omit<E, 'transfer' | 'peer'> : never;
