import type { Transfer } from '../../window/model.ts';
import { clean } from '../clean.ts';
import {
  button,
  byId,
  foreign,
  icon,
  make,
  type Row,
  Rows,
  setAttribute,
  setText,
  show,
} from '../dom.ts';
import type { Doing } from './doing.ts';
import { adviceOf, figuresOf, isLive, shareOf, stateOf, whatOf } from './words.ts';

/** What goes over, and what went over since this run began. */
export class TransferList {
  readonly #rows: Rows<Transfer>;
  readonly #section = byId('transfers');
  readonly #clear: HTMLButtonElement;
  /** Shows all that are over, or the latest of them. */
  readonly #more: HTMLButtonElement;
  #isWhole = false;
  #all: readonly Transfer[] = [];
  #over: readonly string[] = [];
  #count = 0;

  constructor(doing: Doing) {
    const title = byId('transfers-title');
    const nearby = byId('nearby-title');
    this.#rows = new Rows(
      byId('transfer-list'),
      nearby,
      ({ id }) => id,
      (transfer) => new TransferRow(transfer, doing),
    );
    this.#clear = button(
      'Clear what is over',
      () => {
        (this.#over.length < this.#count ? title : nearby).focus();
        for (const id of this.#over) void doing.act('dismiss', { id });
      },
      'quiet',
    );
    title.after(this.#clear);
    this.#more = button('', () => {
      this.#isWhole = !this.#isWhole;
      this.update(this.#all);
    });
    this.#more.classList.add('more-rows');
    this.#section.append(this.#more);
  }

  update(transfers: readonly Transfer[]): void {
    this.#over = transfers.filter(({ can }) => can.includes('dismiss')).map(({ id }) => id);
    this.#count = transfers.length;
    this.#all = transfers;
    const latest = new Set(this.#over.slice(0, this.#isWhole ? undefined : OVER));
    this.#rows.update(
      transfers.filter(({ id, can }) => !can.includes('dismiss') || latest.has(id)),
    );
    const hidden = this.#over.length - OVER;
    show(this.#more, hidden > 0);
    setText(this.#more, this.#isWhole ? 'Show fewer' : `Show ${hidden} more`);
    show(this.#section, transfers.length > 0);
    show(this.#clear, this.#over.length > 1);
  }
}

/** How many that are over are shown at first: what is under way is not to be lost among them. */
const OVER = 10;

class TransferRow implements Row<Transfer> {
  readonly node: HTMLElement;
  readonly #what = foreign();
  readonly #whom = foreign();
  readonly #state = make('p', { class: 'state' });
  readonly #bar = make('progress', { max: '1000' });
  readonly #figures = make('ul', { class: 'figures' });
  readonly #file = foreign();
  readonly #fileLine: HTMLElement;
  readonly #advice = make('p', { class: 'advice' });
  readonly #failure = make('strong');
  readonly #hint = make('span');
  readonly #failureLine: HTMLElement;
  readonly #hold: HTMLButtonElement;
  readonly #buttons: Readonly<Record<'cancel' | 'open' | 'dismiss', HTMLButtonElement>>;
  #isPaused = false;

  constructor({ id, direction }: Transfer, doing: Doing) {
    const isOut = direction === 'out';
    this.#hold = button('Pause', () => {
      void doing.act(this.#isPaused ? 'resume' : 'pause', { transfer: id });
    });
    this.#buttons = {
      open: button('Open folder', () => void doing.act('open', { transfer: id }), 'main'),
      cancel: button('Cancel', () => void doing.act('cancel', { transfer: id })),
      dismiss: button('Dismiss', () => void doing.act('dismiss', { id }), 'quiet'),
    };
    this.#fileLine = make('p', { class: 'file' }, this.#file);
    this.#failureLine = make(
      'p',
      { class: 'failure' },
      icon('warning'),
      this.#failure,
      ' ',
      this.#hint,
    );
    this.node = make(
      'li',
      { class: 'transfer' },
      make('span', { class: `direction ${direction}` }, icon(isOut ? 'up' : 'down')),
      make(
        'div',
        { class: 'transfer-words' },
        make(
          'h3',
          {},
          this.#what,
          make('span', { class: 'whom' }, isOut ? ' to ' : ' from ', this.#whom),
        ),
        this.#state,
        this.#bar,
        this.#figures,
        this.#fileLine,
        this.#failureLine,
        this.#advice,
      ),
      make(
        'div',
        { class: 'actions' },
        this.#hold,
        this.#buttons.cancel,
        this.#buttons.open,
        this.#buttons.dismiss,
      ),
    );
  }

  update(transfer: Transfer): void {
    const { state, direction, device, file, can, failure } = transfer;
    const isRunning = isLive(transfer);
    const what = whatOf(transfer);
    setText(this.#what, what);
    setText(this.#whom, clean(device.name));
    setText(this.#state, stateOf(transfer));
    setAttribute(this.node, 'data-state', state);
    show(this.#bar, isRunning);
    setAttribute(this.#bar, 'value', shareOf(transfer));
    setAttribute(
      this.#bar,
      'aria-label',
      `${what}, ${direction === 'out' ? 'to' : 'from'} ${clean(device.name)}`,
    );
    this.#drawFigures(figuresOf(transfer));
    setText(this.#file, clean(file));
    show(this.#fileLine, isRunning && file !== '' && file !== what);
    const advice = adviceOf(transfer);
    setText(this.#advice, advice);
    show(this.#advice, advice !== '');
    const where = failure?.path === undefined ? '' : `${clean(failure.path)}: `;
    setText(this.#failure, failure === null ? '' : `${where}${clean(failure.message)}`);
    setText(this.#hint, clean(failure?.hint ?? ''));
    show(this.#failureLine, failure !== null);

    this.#isPaused = can.includes('resume');
    setText(this.#hold, this.#isPaused ? 'Resume' : 'Pause');
    show(this.#hold, this.#isPaused || can.includes('pause'));
    setAttribute(this.#hold, 'aria-label', `${this.#isPaused ? 'Resume' : 'Pause'} ${what}`);
    for (const name of ['cancel', 'open', 'dismiss'] as const) {
      const element = this.#buttons[name];
      show(element, can.includes(name));
      setAttribute(element, 'aria-label', `${element.textContent}: ${what}`);
    }
  }

  #drawFigures(figures: readonly string[]): void {
    while (this.#figures.children.length > figures.length) this.#figures.lastElementChild?.remove();
    for (const [n, figure] of figures.entries()) {
      const item = this.#figures.children[n] ?? this.#figures.appendChild(make('li'));
      setText(item, figure);
    }
    show(this.#figures, figures.length > 0);
  }
}
