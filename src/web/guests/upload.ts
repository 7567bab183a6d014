import type { ErrorCode } from '../../errors.ts';
import type { SendEvent, Summary } from '../../events.ts';
import { DropError, ERRORS, forTerminal } from '../../index.ts';
import { OPEN_BYTES, OPEN_ENTRIES, VISITOR_IDLE } from '../../limits.ts';
import type { Upload } from './model.ts';

/** How it stands with one upload, as whoever brings it is told. */
export class UploadState {
  #upload: Upload;

  constructor(loan: string) {
    this.#upload = {
      loan,
      state: 'waiting',
      ...{ bytes: 0, total: null, files: 0, ofFiles: null, file: '', rate: 0, left: null },
      ...{ resumed: 0, same: 0, failed: 0, failures: [], message: '' },
    };
  }

  get upload(): Upload {
    return this.#upload;
  }

  /** Goes through what happens, up to the end; `changed` hears of each change. */
  async follow(events: AsyncGenerator<SendEvent, Summary>, changed: () => void): Promise<void> {
    try {
      for await (const event of events) {
        this.#upload = { ...this.#upload, ...changeBy(event, this.#upload) };
        changed();
      }
    } catch (error) {
      if (!(error instanceof DropError)) throw error;
      this.#upload = { ...this.#upload, ...changeByFailure(error, this.#upload) };
      changed();
    }
  }
}

function changeBy(event: SendEvent, before: Upload): Partial<Upload> {
  switch (event.event) {
    case 'accepted':
      return { state: 'running' };
    case 'resuming':
      return { resumed: event.bytes, bytes: event.bytes, total: event.total };
    case 'progress': {
      const { bytes, total, files, ofFiles, rate } = event;
      const left = total === null || rate === 0 ? null : ((total - bytes) / rate) * 1000;
      return { ...{ bytes, total, files, ofFiles, rate, left }, file: clean(event.file) };
    }
    case 'skipped':
      if (event.reason === 'unchanged' || event.reason === 'identical')
        return { same: before.same + 1 };
      return withFailure(before, event.path, 'Something else of that name is there already.');
    case 'error':
      if (event.path === undefined) return { message: said(event.code) };
      return withFailure(before, event.path, said(event.code));
    case 'declined':
      return { state: 'declined', message: said(event.reason ?? 'declined') };
    case 'summary':
      return changeByEnd(event);
    default:
      return {};
  }
}

function changeByEnd({ ok, files, bytes, code = 'incomplete' }: Summary): Partial<Upload> {
  const ended = { files, rate: 0, left: null, file: '' };
  if (ok) return { ...ended, state: 'done', bytes, total: bytes, ofFiles: files };
  const message = code === 'refused' ? IDLE : said(code);
  return { ...ended, state: STOPPED.has(code) ? 'stopped' : 'failed', message };
}

/** It is told of by events what became of something that was accepted. */
function changeByFailure({ code, exit }: DropError, { state }: Upload): Partial<Upload> {
  if (state !== 'waiting' && state !== 'running') return {};
  if (state === 'waiting' && exit === ERRORS.declined.exit)
    return { state: 'declined', message: said(code) };
  return { state: STOPPED.has(code) ? 'stopped' : 'failed', message: said(code) };
}

function withFailure(before: Upload, path: string, message: string): Partial<Upload> {
  const failures = [...before.failures, { path: clean(path), message }];
  return { failed: before.failed + 1, failures: failures.slice(0, NAMED) };
}

/** Files that did not arrive and are named one by one. */
const NAMED = 20;

/** What came before is kept. */
const STOPPED: ReadonlySet<ErrorCode> = new Set(['cancelled', 'disconnected', 'refused']);

const IDLE = `Nothing came for ${VISITOR_IDLE / 1000} seconds.`;

/** What the sentences for senders say to somebody who has nothing but a page. */
const SAID: Partial<Record<ErrorCode, string>> = {
  declined: 'It was declined there.',
  'no-answer': 'Nobody answered there.',
  refused: 'Nothing more is taken from here at the moment.',
  busy: 'There are too many uploads at once. Try again when one of them is done.',
  'too-much': `Nobody is there to be asked, so at most ${OPEN_ENTRIES} files and folders and ${OPEN_BYTES / 1024 ** 3} GiB are taken at a time.`,
  cancelled: 'It was stopped.',
  disconnected: 'The connection was lost.',
  incomplete: 'Some of it did not arrive.',
  unreadable: 'The browser could not read it. Has it changed since it was chosen?',
  changed: 'It changed while it was being read.',
};

function said(code: ErrorCode): string {
  return SAID[code] ?? ERRORS[code].message;
}

function clean(path: string): string {
  return forTerminal(path, 300);
}
