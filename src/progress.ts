import { DropError } from './errors.ts';
import type { Device, Summary, TransferEvent } from './events.ts';
import { toHex } from './protocol/bytes.ts';
import type { FileEntry } from './protocol/manifest.ts';
import type { Report } from './transfer/report.ts';

/** How often progress is told, in milliseconds: four times a second. */
const EVERY = 250;

/** Over how many of these the rate is taken. */
const SAMPLES = 12;

/**
 * Keeps the sums of one transfer: takes what the stories report and emits what people and
 * scripts see. `now` is in milliseconds, of a clock that is never set.
 */
export class Progress {
  readonly #peer: Device;
  readonly #emit: (event: TransferEvent) => void;
  readonly #now: () => number;
  readonly #began: number;
  readonly #samples: { readonly at: number; readonly bytes: number }[] = [];
  /** What happened while the sender waits for an answer: it is told when there is a transfer. */
  readonly #early: Distribute<TransferEvent>[] = [];
  #transfer = '';
  #file = '';
  #total: { files: number; bytes: number } | null = null;
  #moved = 0;
  #files = 0;
  #bytes = 0;
  #resumed = 0;
  #skipped = 0;
  #failed = 0;
  #emittedAt = Number.NEGATIVE_INFINITY;
  /** The first failure, which the whole is called by if nothing was delivered. */
  #firstFailure: DropError | undefined;

  constructor(
    peer: Device,
    emit: (event: TransferEvent) => void,
    { transfer = '', now = () => performance.now() } = {},
  ) {
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
        break;
      case 'accepted':
        this.#transfer = report.transfer;
        this.#say({ event: 'accepted' });
        for (const event of this.#early.splice(0)) this.#say(event);
        break;
      case 'started':
        this.#file = report.file.path;
        this.#resumed += report.from;
        this.#tick();
        break;
      case 'moved':
        this.#moved += report.bytes;
        this.#tick();
        break;
      case 'stored':
        this.#stored(report.file, report);
        break;
      case 'skipped':
        this.#skipped += 1;
        if (report.reason !== 'conflict') {
          this.#files += 1;
          this.#bytes += report.file.size;
          this.#resumed += report.file.size;
        }
        this.#say({ event: 'skipped', path: report.file.path, reason: report.reason });
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
        this.fail(new DropError(report.code, { path: report.path }));
        break;
    }
  };

  /** Tells of a failure, of one file or of the whole. */
  fail(error: DropError): void {
    this.#firstFailure ??= error;
    const { code, message, hint, path } = error;
    this.#say({
      event: 'error',
      code,
      message,
      ...(hint === undefined ? {} : { hint }),
      ...(path === undefined ? {} : { path }),
    });
  }

  /** The last event. */
  end(): Summary {
    if (this.#files + this.#failed > 0) this.#progress();
    const summary: Summary = {
      event: 'summary',
      transfer: this.#transfer,
      peer: this.#peer,
      ok: this.#firstFailure === undefined,
      files: this.#files,
      bytes: this.#bytes,
      sent: this.#moved,
      resumed: this.#resumed,
      skipped: this.#skipped,
      failed: this.#failed,
      ms: Math.round(this.#now() - this.#began),
      ...(this.#firstFailure === undefined ? {} : { code: this.#firstFailure.code }),
    };
    this.#emit(summary);
    return summary;
  }

  #stored(file: FileEntry, { digest, where }: Report & { type: 'stored' }): void {
    this.#files += 1;
    this.#bytes += file.size;
    this.#say({
      event: 'saved',
      path: where?.path ?? file.path,
      bytes: file.size,
      digest: `sha256:${toHex(digest)}`,
      ...(where?.renamed ? { offered: file.path } : {}),
    });
  }

  #tick(): void {
    if (this.#now() - this.#emittedAt >= EVERY) this.#progress();
  }

  #progress(): void {
    const at = this.#now();
    this.#emittedAt = at;
    const bytes = this.#moved + this.#resumed;
    this.#samples.push({ at, bytes: this.#moved });
    if (this.#samples.length > SAMPLES) this.#samples.shift();
    const [oldest] = this.#samples;
    const elapsed = at - (oldest?.at ?? at);
    const rate = elapsed > 0 ? (1000 * (this.#moved - (oldest?.bytes ?? 0))) / elapsed : 0;
    this.#say({
      event: 'progress',
      file: this.#file,
      bytes,
      total: this.#total?.bytes ?? null,
      files: this.#files,
      ofFiles: this.#total?.files ?? null,
      rate: Math.round(rate),
    });
  }

  /** Each event with what every event of a transfer carries. */
  #say(event: Distribute<TransferEvent>): void {
    if (!this.begun) this.#early.push(event);
    else this.#emit({ transfer: this.#transfer, peer: this.#peer, ...event } as TransferEvent);
  }
}

type Distribute<E> = E extends unknown ? Omit<E, 'transfer' | 'peer'> : never;
