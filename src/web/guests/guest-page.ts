import { randomBytes } from 'node:crypto';
import * as v from 'valibot';
import { DropError, type Hatch } from '../../index.ts';
import { GUEST_LOAN_LIMIT, VISITOR_IDLE } from '../../limits.ts';
import { Lending, type Room } from '../lending.ts';
import { Line } from '../line.ts';
import type { GuestEvent, Upload } from './model.ts';
import { UploadState } from './upload.ts';

export interface GuestPageOptions {
  readonly hatch: Pick<Hatch, 'bring'>;
  /** What all pages of its source together may lend. */
  readonly room: Room;
  /** The address that it comes from. */
  readonly source: string;
  /** What its browser is known by, if it keeps that. */
  readonly visitor: string | undefined;
  readonly onGone: (page: GuestPage) => void;
  readonly onBug: (error: unknown) => void;
}

/** What is asked of a page of guests by its commands; what is lent is looked at where it is kept. */
export const GUEST_COMMANDS = {
  lend: v.looseObject({ page: v.string() }),
  'lend-failed': v.looseObject({ page: v.string() }),
  bring: v.strictObject({ page: v.string(), loan: v.string() }),
  cancel: v.strictObject({ page: v.string(), loan: v.string() }),
} as const;

/**
 * A page at which somebody uploads, as long as it is open somewhere, and for a while after: a phone
 * falls asleep, and wakes.
 */
export class GuestPage {
  readonly name = randomBytes(16).toString('hex');
  readonly source: string;
  readonly visitor: string | undefined;
  readonly room: Room;
  readonly lending: Lending;
  readonly #hatch: Pick<Hatch, 'bring'>;
  readonly #secret: string;
  readonly #onGone: (page: GuestPage) => void;
  readonly #onBug: (error: unknown) => void;
  #line: Line<GuestEvent> | undefined;
  #leaving: NodeJS.Timeout | undefined;
  /** What is lent, and not brought yet. */
  #loan: string | undefined;
  #losing: NodeJS.Timeout | undefined;
  #state: UploadState | undefined;
  /** What is brought, and ends it. */
  #brings: { readonly loan: string; readonly stop: AbortController } | undefined;
  /** Resolves when nothing is brought. */
  #bringing: Promise<void> = Promise.resolve();

  constructor({ hatch, room, source, visitor, onGone, onBug }: GuestPageOptions) {
    this.#hatch = hatch;
    this.source = source;
    this.room = room;
    this.visitor = visitor;
    this.#secret = visitor ?? newVisitor();
    this.#onGone = onGone;
    this.#onBug = onBug;
    this.lending = new Lending((wish) => this.#line?.say(wish), { room, digests: true });
  }

  /** Whether something would be lost with it. */
  get isBusy(): boolean {
    return this.#brings !== undefined || this.#loan !== undefined;
  }

  /** Whether nobody listens there just now. */
  get isAway(): boolean {
    return this.#line === undefined;
  }

  /** What the page is told from now on, as long as it listens. */
  async *listen(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    clearTimeout(this.#leaving);
    this.#line?.end();
    const line = new Line<GuestEvent>(merged);
    this.#line = line;
    line.say({ event: 'hello', page: this.name });
    this.#tell();
    this.lending.resumed();
    try {
      yield* line.heard(signal);
    } finally {
      // Another one may have taken its place.
      if (this.#line === line) this.#away();
    }
  }

  lend(part: unknown): { loan: string } {
    const loan = this.lending.add(part);
    if (loan !== this.#loan) this.#drop();
    this.#loan = loan;
    clearTimeout(this.#losing);
    this.#losing = setTimeout(() => this.#drop(), GUEST_LOAN_LIMIT);
    return { loan };
  }

  /** Sends what is lent; resolves when it has begun. Throws `busy` if something else is sent already. */
  async bring(loan: string, source: string): Promise<void> {
    // The answer to that may have been lost.
    if (this.#state?.upload.loan === loan) return;
    if (this.#brings) throw new DropError('busy', { message: 'One after the other.' });
    if (loan !== this.#loan) throw new DropError('usage', { message: 'That is not lent.' });
    const stop = new AbortController();
    this.#brings = { loan, stop };
    try {
      const entries = await this.lending.take(loan);
      this.#loan = undefined;
      const visitor = { name: `Browser at ${source}`, source, secret: this.#secret };
      const state = new UploadState(loan);
      this.#state = state;
      const bringing = this.#hatch.bring(entries, visitor, { signal: stop.signal });
      this.#bringing = state
        .follow(bringing, () => this.#tell())
        .catch(this.#onBug)
        .finally(() => {
          this.#brought(loan);
          this.#tell();
        });
    } catch (error) {
      this.#brought(loan);
      throw error;
    }
    this.#tell();
  }

  /** Breaks that off, if it is what is brought. */
  cancel(loan: string): void {
    if (this.#brings?.loan === loan) this.#brings.stop.abort(new DropError('cancelled'));
  }

  /** It does not come back, or need not. Resolves when it has heard of that, and nothing of it is sent. */
  async leave(reason?: 'ended' | 'crowded'): Promise<void> {
    this.#onGone(this);
    // How it ended is known in a moment.
    if (reason === 'ended') await this.#bringing;
    clearTimeout(this.#leaving);
    this.#brings?.stop.abort(new DropError('disconnected'));
    this.#drop();
    this.lending.close(new DropError('disconnected'));
    const line = this.#line;
    // Nobody waits for it to come back.
    this.#line = undefined;
    if (reason !== undefined) line?.say({ event: 'bye', reason });
    line?.end();
    await line?.over;
    await this.#bringing;
  }

  #brought(loan: string): void {
    this.#brings = undefined;
    this.lending.giveBack(loan);
  }

  /** Gives back what was lent in vain. */
  #drop(): void {
    clearTimeout(this.#losing);
    if (this.#loan !== undefined) this.lending.giveBack(this.#loan);
    this.#loan = undefined;
  }

  #away(): void {
    this.#line = undefined;
    this.lending.pause();
    const within = this.isBusy ? VISITOR_IDLE : 0;
    this.#leaving = setTimeout(() => void this.leave(), within);
  }

  /** How it ended is told once nothing is left of it: whoever hears of that may bring the next. */
  #tell(): void {
    const upload = this.#state?.upload;
    if (upload === undefined || (this.#brings && isOver(upload))) return;
    this.#line?.say({ event: 'upload', ...upload });
  }
}

/** What a browser is known by, as long as this runs. */
export function newVisitor(): string {
  return randomBytes(16).toString('base64url');
}

function isOver({ state }: Upload): boolean {
  return state !== 'waiting' && state !== 'running';
}

/** How it stood before is of no interest. */
function merged(before: GuestEvent, news: GuestEvent): GuestEvent | undefined {
  return before.event === 'upload' && news.event === 'upload' ? news : undefined;
}
