import { basename } from 'node:path';
import {
  DropError,
  ERRORS,
  type ErrorCode,
  type Summary,
  type TransferEvent,
} from '../../index.ts';
import { hintHere, messageHere } from './advice.ts';
import type { Said, Transfer, TransferState } from './model.ts';

/** What a transfer begins with. */
export interface Beginning {
  readonly id: string;
  readonly direction: Transfer['direction'];
  readonly begun: Transfer['begun'];
  readonly device: Transfer['device'];
  readonly what: readonly string[];
  readonly page?: string | undefined;
  /** Makes a text of others fit to be shown. */
  readonly clean: (text: string) => string;
}

/** One transfer as the page shows it: hears what happens, and tells it in a picture. */
export class TransferPicture {
  #now: Transfer;
  readonly #clean: (text: string) => string;
  /** By us, and by the other side. */
  #isPaused = false;
  #isHeld = false;
  /** It is nothing but messages. */
  isMessage = false;

  constructor({ id, direction, begun, device, what, page, clean }: Beginning) {
    this.#clean = clean;
    this.#now = {
      ...{ id, direction, begun, device, what, state: 'calling' },
      ...{ bytes: 0, total: null, files: 0, ofFiles: null, file: '', rate: 0, left: null },
      ...{ resumed: 0, can: [], failure: null, failed: 0, leftOut: 0, renamed: null },
      ...(page === undefined ? {} : { page }),
    };
  }

  get now(): Transfer {
    return { ...this.#now, can: this.#can() };
  }

  get isOver(): boolean {
    return OVER.has(this.#now.state);
  }

  /** Whether nobody on the other side has agreed yet. */
  get isBeginning(): boolean {
    return this.#now.state === 'calling' || this.#now.state === 'waiting';
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** What it is called, and how much it is, once that is known. */
  describe(about: Partial<Pick<Transfer, 'device' | 'what' | 'total' | 'ofFiles'>>): void {
    this.#set(about);
  }

  /** It waits for the other side to accept. */
  waits(): void {
    this.#to('waiting');
  }

  pause(): void {
    this.#isPaused = true;
    this.#set({ rate: 0, left: null });
    this.#to('running');
  }

  resume(): void {
    this.#isPaused = false;
    // A connection that is lost is lost all the same.
    if (this.#now.state === 'paused') this.#to('running');
  }

  hear(event: TransferEvent): void {
    switch (event.event) {
      case 'accepted':
        this.#to('running');
        break;
      case 'resuming':
        this.#set({ resumed: event.bytes, bytes: event.bytes });
        this.#to('running');
        break;
      case 'paused':
        if (event.by === 'there') this.#isHeld = true;
        this.#set({ rate: 0, left: null });
        this.#to('running');
        break;
      case 'resumed':
        if (event.by === 'there') this.#isHeld = false;
        this.#to('running');
        break;
      case 'reconnecting':
        // What stays paused there is told again.
        this.#isHeld = false;
        this.#set({ state: 'lost', rate: 0, left: null });
        break;
      case 'progress': {
        const { bytes, total, files, ofFiles, rate } = event;
        const left =
          rate > 0 && total !== null ? Math.round((1000 * (total - bytes)) / rate) : null;
        this.#set({ bytes, total, files, ofFiles, file: this.#clean(event.file) });
        this.#to('running');
        // What was on its way when it was paused says nothing of how fast it is.
        if (this.#now.state === 'running') this.#set({ rate, left });
        break;
      }
      case 'saved': {
        if (event.offered === undefined) break;
        const { count, offered, name } = this.#now.renamed ?? {
          ...{ count: 0, offered: this.#clean(nameOf(event.offered)) },
          name: this.#clean(basename(event.path)),
        };
        this.#set({ renamed: { count: count + 1, offered, name } });
        break;
      }
      case 'skipped':
        if (event.reason === 'conflict') this.#set({ leftOut: this.#now.leftOut + 1 });
        break;
      case 'error':
        if (event.path !== undefined) this.#set({ failed: this.#now.failed + 1 });
        this.#blame(event);
        break;
      case 'summary':
        this.#summarize(event);
        break;
      default:
        return;
    }
  }

  /** It is over, as `error` says if no summary has said so. */
  end(error?: unknown): void {
    if (this.isOver) return;
    if (error === undefined) {
      this.#over('done');
      return;
    }
    const failure = asDropError(error);
    // That the other side does not want it is what the state says.
    if (failure.code !== 'declined' || this.#now.direction === 'in') this.#blame(failure);
    this.#over(failure.exit === ERRORS.declined.exit ? 'declined' : failedAs(failure.code));
  }

  /** Somebody here ended it, or the page that lent its files is gone. */
  stop(state: 'cancelled' | 'interrupted'): void {
    this.#set({ failure: null });
    this.#over(state);
  }

  /** What went wrong first is shown. */
  #blame({ code, message, hint, path }: Failing): void {
    const failure = {
      ...{ code, message: this.#clean(messageHere(message)), hint: this.#hintOf(code, hint) },
      path: path === undefined ? undefined : this.#clean(path),
    };
    this.#set({ failure: this.#now.failure ?? failure });
  }

  #summarize({ ok, files, bytes, failed, code }: Summary): void {
    if (this.isOver) return;
    this.#set({ files, bytes: ok ? bytes : this.#now.bytes, failed });
    this.#over(ok ? 'done' : failedAs(code));
  }

  #over(state: TransferState): void {
    this.#isPaused = this.#isHeld = false;
    this.#set({ state, rate: 0, left: null, file: '' });
  }

  #to(state: TransferState): void {
    const resting = this.#isHeld ? 'held' : state;
    if (!this.isOver) this.#set({ state: this.#isPaused ? 'paused' : resting });
  }

  #set(change: Partial<Transfer>): void {
    this.#now = { ...this.#now, ...change };
  }

  /** What to do about it here, where nobody types commands. */
  #hintOf(code: ErrorCode, hint: string | undefined): string | undefined {
    const isLent = this.#now.direction === 'out' && (code === 'unreadable' || code === 'changed');
    return isLent ? CHOOSE_AGAIN : hintHere(hint, code);
  }

  #can(): Transfer['can'] {
    const { state, direction } = this.#now;
    if (OVER.has(state))
      return state === 'done' && direction === 'in' ? ['open', 'dismiss'] : ['dismiss'];
    if (this.#isPaused) return ['resume', 'cancel'];
    return state === 'running' ? ['pause', 'cancel'] : ['cancel'];
  }
}

/** The last part of a path as it is offered. */
function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

type Failing = Pick<DropError, 'code' | 'message'> & Partial<Pick<DropError, 'hint' | 'path'>>;

/** How a transfer is over that was not whole. */
function failedAs(code: ErrorCode | undefined): TransferState {
  if (code === 'cancelled') return 'cancelled';
  return code === 'disconnected' ? 'interrupted' : 'failed';
}

/** What went wrong, in words for a person. */
export function saidOf(error: unknown): Said & Pick<DropError, 'code'> {
  const { code, message, hint } = asDropError(error);
  return { code, message: messageHere(message), hint: hintHere(hint, code) };
}

function asDropError(error: unknown): DropError {
  if (error instanceof DropError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new DropError('internal', {
    message: `${ERRORS.internal.message} ${reason}`,
    cause: error,
  });
}

const OVER: ReadonlySet<TransferState> = new Set([
  'done',
  'declined',
  'interrupted',
  'cancelled',
  'failed',
] satisfies TransferState[]);

/** What a browser says of a file that is not as it was chosen: only that it cannot be read. */
const CHOOSE_AGAIN =
  'It may have been changed, moved or deleted since it was chosen. Choose it again.';
