import { formatBytes, formatClock, formatCount, formatFirst } from '../../../figures.ts';
import type { GuestEvent, Upload } from '../../guests/model.ts';
import { Aim } from '../aim.ts';
import { clean } from '../clean.ts';
import { byId, make, passingFocus, setText, show } from '../dom.ts';
import { Failure } from '../hearing.ts';
import { type Dropped, droppedOf, droppedOfInput, Lender } from '../lending.ts';
import { GuestConnection, type GuestLink } from './connection.ts';
import { Digests } from './digests.ts';

/** The page at which guests send files to a computer that runs `drop receive --web`. */

/** What was picked at once. They are sent one after the other. */
class Pick {
  readonly dropped: readonly Dropped[];
  readonly row: Row;
  /** `queued`: its turn comes; `begun`: it is offered, or sent; `over`: nothing more happens. */
  stage: 'queued' | 'begun' | 'over' = 'queued';
  /** Whether it is to be stopped, which the server has to hear. */
  isStopped = false;
  loan: string | undefined;
  /** How often it was begun: what is answered to an earlier time is of no use. */
  times = 0;

  constructor(dropped: readonly Dropped[], actions: RowActions) {
    this.dropped = dropped;
    this.row = new Row(dropped, actions);
  }
}

interface RowActions {
  readonly stop: () => void;
  readonly again: () => void;
}

/** One pick, as it is shown. */
class Row {
  readonly node: HTMLElement;
  readonly #name: string;
  readonly #text = make('p');
  readonly #bar = make('progress', { max: '1' });
  readonly #numbers = make('p', { class: 'numbers quiet' });
  readonly #failures = make('ul');
  readonly #title: HTMLElement;
  readonly #stop: HTMLButtonElement;
  readonly #again: HTMLButtonElement;
  #state = '';
  #isClosed = false;
  /** What came last of the server, and when something moved. */
  #upload: Upload | undefined;
  #movedAt = Number.NEGATIVE_INFINITY;
  #stillness: ReturnType<typeof setTimeout> | undefined;

  constructor(dropped: readonly Dropped[], { stop, again }: RowActions) {
    const roots = [...new Set(dropped.map(({ path }) => path.split('/')[0] ?? ''))];
    this.#name = formatFirst(roots, clean);
    this.#stop = make('button', { type: 'button', class: 'plain' }, 'Stop');
    this.#again = make('button', { type: 'button' }, 'Send again');
    this.#stop.addEventListener('click', stop);
    this.#again.addEventListener('click', again);
    this.#stop.setAttribute('aria-label', `Stop ${this.#name}`);
    this.#again.setAttribute('aria-label', `Send again: ${this.#name}`);
    this.#bar.setAttribute('aria-label', `How much of ${this.#name} is there`);
    this.#title = make('h2', { tabindex: '-1' }, make('bdi', {}, this.#name));
    const buttons = make('p', { class: 'buttons' }, this.#stop, this.#again);
    const parts = [this.#title, this.#text, this.#bar, this.#numbers, this.#failures, buttons];
    this.node = make('li', {}, ...parts);
    this.say('Waits for its turn.', 'queued');
  }

  /** Something that is not from the server. */
  say(text: string, state: 'queued' | 'preparing' | 'lost' | 'stopping' | 'failed' | 'over'): void {
    // What was before it is sent again is of no interest.
    if (state === 'queued') this.#upload = undefined;
    setText(this.#text, text);
    // What has come is told for as long as it is tried again, if anything was heard of it.
    const isTold = state === 'lost' && this.#upload !== undefined;
    show(this.#bar, isTold);
    show(this.#numbers, isTold);
    show(this.#failures, false);
    this.#offer(
      state === 'queued' || state === 'preparing' || state === 'lost',
      state === 'failed',
    );
    this.#still();
    this.#announce(state, text);
  }

  /** So much of a file is compared; of interest as long as nothing moves. */
  compare(share: number): void {
    if (this.#upload?.state !== 'running') return;
    if (performance.now() - this.#movedAt < STILL) return;
    // Never all of it before its end.
    const percent = Math.floor(99 * share);
    setText(this.#text, `Comparing with what is there already: ${percent} %. Keep this page open.`);
    show(this.#numbers, false);
    this.#announce('comparing', 'Comparing with what is there already.');
  }

  update(upload: Upload): void {
    const { state, bytes, total, failures } = upload;
    const before = this.#upload;
    if (bytes > (before?.bytes ?? 0)) this.#movedAt = performance.now();
    this.#upload = upload;
    const text = textOf(upload);
    setText(this.#text, text);
    const isOn = state === 'waiting' || state === 'running';
    show(this.#bar, state === 'running');
    if (total === null) this.#bar.removeAttribute('value');
    else this.#bar.value = total === 0 ? 1 : bytes / total;
    show(this.#numbers, state === 'running');
    setText(this.#numbers, numbersOf(upload));
    clearTimeout(this.#stillness);
    this.#stillness = setTimeout(() => this.#still(), UNHEARD);
    if (failures.length !== (before?.failures.length ?? 0))
      this.#failures.replaceChildren(
        ...failures.map(({ path, message }) =>
          make('li', {}, make('bdi', {}, clean(path)), `: ${message}`),
        ),
      );
    show(this.#failures, failures.length > 0);
    this.#offer(isOn, state === 'stopped' || state === 'failed');
    this.#announce(state, text);
  }

  /** Nothing can be sent from this page any more; if the link `isOver`, nobody goes on with what has come. */
  close(isOver: boolean): void {
    this.#isClosed = true;
    this.#offer(false, false);
    if (isOver && this.#upload?.state === 'stopped') {
      const { message, files } = this.#upload;
      const saved =
        files > 0 ? `${savedOf(files)}; the rest is not.` : 'Nothing of it is saved there.';
      setText(this.#text, `${message} ${saved}`);
      this.#announce('over', `${message} ${saved}`);
    }
  }

  /** Says of what is not at its end that it does not come there. */
  breakOff(): void {
    const files = this.#upload?.files ?? 0;
    // What came last may not have been heard of.
    const saved =
      files > 0 ? `It was not all sent. At least ${savedOf(files)}.` : 'It was not sent.';
    this.say(saved, 'over');
  }

  /** What can be done with it. */
  #offer(canStop: boolean, canAgain: boolean): void {
    passingFocus(this.#title, () => {
      show(this.#stop, canStop);
      show(this.#again, canAgain && !this.#isClosed);
    });
  }

  /** Nobody knows how fast it is, while nothing is heard of it. */
  #still(): void {
    if (this.#upload) setText(this.#numbers, numbersOf({ ...this.#upload, rate: 0, left: null }));
  }

  /** For those who do not see the page: only what is another state, not each number. */
  #announce(state: string, text: string): void {
    if (this.#state === state) return;
    this.#state = state;
    if (state !== 'queued') setText(byId('said'), `${this.#name}: ${text}`);
  }
}

function textOf({ state, message, files, same, resumed, failed, total }: Upload): string {
  switch (state) {
    case 'waiting':
      return 'Waiting for somebody there to agree. Keep this page open.';
    case 'running':
      return resumed > 0
        ? `On its way; ${formatBytes(resumed)} was there already. Keep this page open.`
        : 'On its way. Keep this page open.';
    case 'done': {
      const what = `${formatCount(files, 'file')}, ${formatBytes(total ?? 0)}`;
      return `Delivered: ${what}${same > 0 ? `, of which ${same} there already` : ''}.`;
    }
    case 'declined':
      return message;
    case 'stopped':
      return `${message} What has come is kept: send the same again, and it goes on.`;
    case 'failed':
      return failed > 0 ? `${message} ${formatCount(failed, 'file')} did not arrive:` : message;
  }
}

function savedOf(files: number): string {
  return `${formatCount(files, 'file')} ${files === 1 ? 'is' : 'are'} saved there`;
}

function numbersOf({ bytes, total, files, ofFiles, rate, left, file }: Upload): string {
  const parts = [
    total === null ? formatBytes(bytes) : `${formatBytes(bytes)} of ${formatBytes(total)}`,
    ...(ofFiles !== null && ofFiles > 1 ? [`${files} of ${formatCount(ofFiles, 'file')}`] : []),
    ...(rate > 0 ? [`${formatBytes(rate)}/s`] : []),
    ...(left === null ? [] : [`${formatClock(left / 1000)} left`]),
    // A single one stands above.
    ...(file === '' || ofFiles === 1 ? [] : [file]),
  ];
  return parts.join(' · ');
}

/** Milliseconds without a byte, after which nothing moves. */
const STILL = 1_000;

/** Milliseconds without a word of the server, who tells that it stands still; then that is lost, too. */
const UNHEARD = 5_000;

/** All picks, and whose turn it is. */
class Uploads {
  readonly #connection: GuestConnection;
  readonly #lender: Lender;
  #picks: Pick[] = [];
  #page: string | undefined;
  /** Loans that are just being broken off. */
  readonly #cancelling = new Set<string>();
  #isClosed = false;

  constructor() {
    this.#connection = new GuestConnection({
      onEvent: (event) => this.#hear(event),
      onLink: (link) => this.#linked(link),
    });
    const digests = new Digests();
    this.#lender = new Lender(this.#connection, {
      digestOf: (...wanted) => digests.of(...wanted),
      onComparing: (loan, share) =>
        this.#picks.find((pick) => pick.loan === loan)?.row.compare(share),
    });
  }

  /** Whether something is on its way, or is to be. */
  get isBusy(): boolean {
    return this.#picks.some(({ stage }) => stage !== 'over');
  }

  async run(): Promise<void> {
    await this.#connection.run();
  }

  add(dropped: readonly Dropped[]): void {
    if (this.#isClosed) return;
    const pick = new Pick(dropped, {
      stop: () => this.#stop(pick),
      again: () => this.#again(pick),
    });
    this.#picks.push(pick);
    byId('uploads').append(pick.row.node);
    this.#next();
  }

  #next(): void {
    const pick = this.#picks.find(({ stage }) => stage !== 'over');
    const { page, isOpen } = this.#connection;
    if (pick?.stage === 'queued' && page !== undefined && isOpen) void this.#begin(pick, page);
  }

  async #begin(pick: Pick, page: string): Promise<void> {
    pick.stage = 'begun';
    pick.row.say('Getting ready…', 'preparing');
    const before = pick.loan;
    const time = ++pick.times;
    const isOver = (): boolean => pick.stage !== 'begun' || pick.times !== time;
    try {
      const loan = before ?? (await this.#lender.lend(pick.dropped, page));
      if (isOver()) return;
      pick.loan = loan;
      await this.#connection.post('bring', { page, loan });
    } catch (error) {
      if (isOver()) return;
      if (pick.isStopped) this.#end(pick, STOPPED);
      else if (!(error instanceof Failure)) this.#wait(pick);
      // What was lent before the connection was lost may be given back by now.
      else if (before !== undefined) this.#again(pick);
      else this.#end(pick, error.message);
    }
  }

  /** The server was not there; it is tried again when it is. */
  #wait(pick: Pick): void {
    pick.stage = 'queued';
    pick.row.say(LOST, 'lost');
    setTimeout(() => this.#next(), RETRY);
  }

  #end(pick: Pick, failure?: string): void {
    pick.stage = 'over';
    if (failure !== undefined) pick.row.say(failure, 'failed');
    if (pick.loan !== undefined) this.#lender.forget(pick.loan);
    this.#next();
  }

  /** What is begun says itself that it was stopped, once it is. */
  #stop(pick: Pick): void {
    if (pick.loan === undefined || pick.stage !== 'begun') {
      this.#end(pick, STOPPED);
      return;
    }
    pick.isStopped = true;
    pick.row.say('Stopping…', 'stopping');
    this.#cancel(pick.loan);
  }

  #cancel(loan: string): void {
    const { page } = this.#connection;
    if (page === undefined || this.#cancelling.has(loan)) return;
    this.#cancelling.add(loan);
    const cancelling = this.#connection.post('cancel', { page, loan }).catch(() => {});
    void cancelling.finally(() => this.#cancelling.delete(loan));
  }

  #again(pick: Pick): void {
    this.#picks = [...this.#picks.filter((other) => other !== pick), pick];
    pick.stage = 'queued';
    pick.isStopped = false;
    pick.loan = undefined;
    pick.row.say('Waits for its turn.', 'queued');
    this.#next();
  }

  #hear(event: GuestEvent): void {
    switch (event.event) {
      case 'hello':
        if (this.#page !== undefined && this.#page !== event.page) this.#forgotten();
        this.#page = event.page;
        this.#next();
        break;
      case 'want':
        this.#lender.want(event);
        break;
      case 'unwanted':
        this.#lender.unwanted(event);
        break;
      case 'returned':
        this.#lender.forget(event.loan);
        break;
      case 'upload': {
        const pick = this.#picks.find(({ loan, stage }) => loan === event.loan && stage !== 'over');
        const isOn = event.state === 'waiting' || event.state === 'running';
        // It was stopped when that could not be told.
        if (isOn && (pick === undefined || pick.isStopped)) this.#cancel(event.loan);
        else pick?.row.update(event);
        if (!isOn && pick !== undefined) this.#end(pick);
      }
    }
  }

  /** It was away for too long: what it lent is not known there any more, but what came is kept. */
  #forgotten(): void {
    this.#lender.forgetAll();
    for (const pick of this.#picks) {
      if (pick.stage !== 'begun') continue;
      pick.loan = undefined;
      pick.stage = 'queued';
      if (pick.isStopped) this.#end(pick, STOPPED);
    }
  }

  #linked(link: GuestLink): void {
    setText(byId('link'), LINKS[link]);
    if (link === 'over' || link === 'shut') this.#close(link === 'over');
    if (link !== 'lost' && link !== 'crowded') return;
    for (const { stage, isStopped, row } of this.#picks)
      if (stage === 'begun' && !isStopped) row.say(LOST, 'lost');
  }

  /** Nothing is sent from here any more, and nothing says that it may be. */
  #close(isOver: boolean): void {
    this.#isClosed = true;
    passingFocus(byId('link'), () => show(byId('drop'), false));
    for (const pick of this.#picks) {
      if (pick.stage !== 'over') {
        pick.row.breakOff();
        this.#end(pick);
      }
      pick.row.close(isOver);
    }
  }
}

const LINKS: Readonly<Record<GuestLink, string>> = {
  open: '',
  lost: 'The connection is lost. Trying again…',
  crowded: 'Too many send at once. Trying again…',
  over: 'This link is over: drop has ended there. Ask for a new one.',
  shut: 'This page is not connected any more. Load it again to go on.',
};

const STOPPED = 'It was stopped.';

const LOST = 'The connection is lost. Trying again… What has come is kept.';

/** Milliseconds. */
const RETRY = 1_000;
const MOMENT = 500;

const LOOKING = 'Looking through it…';

const uploads = new Uploads();

function add(dropped: readonly Dropped[], unreadable = 0): void {
  if (dropped.length > 0) uploads.add(dropped);
  const missing = unreadable > 0 ? `${formatCount(unreadable, 'thing')} could not be read.` : '';
  const nothing = dropped.length === 0 && unreadable === 0 ? 'There is nothing in it.' : '';
  setText(byId('trouble'), missing || nothing);
}

async function take(transfer: DataTransfer): Promise<void> {
  let unreadable = 0;
  // Thousands of files take a while.
  const timer = setTimeout(() => {
    setText(dropText, LOOKING);
    setText(byId('said'), LOOKING);
  }, MOMENT);
  const dropped = await droppedOf(transfer, () => {
    unreadable += 1;
  });
  clearTimeout(timer);
  setText(dropText, invitation);
  add(dropped, unreadable);
}

function choosing(button: HTMLElement, input: HTMLElement): void {
  if (!(input instanceof HTMLInputElement)) return;
  button.addEventListener('click', () => input.click());
  input.addEventListener('change', () => {
    add(droppedOfInput(input.files ?? []));
    input.value = '';
  });
}

const drop = byId('drop');
show(drop, true);
const dropText = byId('drop-text');
// With a finger nobody drops anything.
if (matchMedia('(pointer: coarse)').matches) setText(dropText, 'Choose what to send.');
const invitation = dropText.textContent ?? '';
show(byId('choose-folder'), 'webkitdirectory' in HTMLInputElement.prototype);
choosing(byId('choose-files'), byId('files'));
choosing(byId('choose-folder'), byId('folder'));

addEventListener('dragover', (event) => {
  event.preventDefault();
  drop.classList.add('over');
});
addEventListener('dragleave', (event) => {
  if (event.relatedTarget === null) drop.classList.remove('over');
});
addEventListener('drop', (event) => {
  event.preventDefault();
  drop.classList.remove('over');
  if (event.dataTransfer !== null) void take(event.dataTransfer);
});
addEventListener('paste', ({ clipboardData }) => {
  if (clipboardData?.types.includes('Files')) void take(clipboardData);
});
addEventListener('beforeunload', (event) => {
  if (uploads.isBusy) event.preventDefault();
});

new Aim();
void uploads.run();
