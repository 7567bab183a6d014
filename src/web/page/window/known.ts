import { formatBytes, formatCount, formatFirst, formatMinute } from '../../../figures.ts';
import type { Arrived, Check, Known } from '../../window/model.ts';
import { clean } from '../clean.ts';
import {
  button,
  byId,
  foreign,
  make,
  passingFocus,
  type Row,
  Rows,
  setAttribute,
  setText,
  show,
} from '../dom.ts';
import { openDialog } from './dialogs.ts';
import type { Doing } from './doing.ts';

/** Devices that are remembered, and what each of them may do. */
export class KnownList {
  readonly #rows: Rows<Known>;
  readonly #count = byId('known-count');
  readonly #none = byId('known-none');

  constructor(doing: Doing) {
    this.#rows = new Rows(
      byId('known-list'),
      byId('known-summary'),
      ({ id }) => id,
      (known) => new KnownRow(known, doing),
    );
  }

  update(known: readonly Known[]): void {
    this.#rows.update(known);
    setText(this.#count, known.length === 0 ? '' : String(known.length));
    show(this.#none, known.length === 0);
  }
}

class KnownRow implements Row<Known> {
  readonly node: HTMLElement;
  readonly #name = foreign();
  readonly #trust: HTMLSelectElement;
  readonly #buttons: readonly HTMLButtonElement[];
  #known: Known;

  constructor(known: Known, doing: Doing) {
    this.#known = known;
    const { id } = known;
    this.#trust = make(
      'select',
      {},
      make('option', { value: 'ask' }, 'Ask me each time'),
      make('option', { value: 'auto' }, 'Accept without asking'),
      make('option', { value: 'blocked' }, 'Blocked'),
    );
    this.#trust.addEventListener('change', () => void this.#change(doing));
    this.#buttons = [
      button('Rename', () => this.#rename(doing), 'quiet'),
      button('Forget', () => this.#forget(doing), 'quiet'),
    ];
    this.node = make(
      'li',
      { class: 'known' },
      make('p', {}, make('strong', {}, this.#name), ' ', make('small', {}, id.slice(0, 8))),
      this.#trust,
      make('div', { class: 'actions' }, ...this.#buttons),
    );
  }

  update(known: Known): void {
    const name = clean(known.name);
    setText(this.#name, name);
    setAttribute(this.#trust, 'aria-label', `What ${name} may do`);
    for (const element of this.#buttons)
      setAttribute(element, 'aria-label', `${element.textContent} ${name}`);
    // What somebody is choosing here is not chosen back by a view of before.
    if (this.#known.trust !== known.trust || this.#trust !== document.activeElement)
      this.#trust.value = known.trust;
    this.#known = known;
  }

  async #change(doing: Doing): Promise<void> {
    const trust = TRUST.find((one) => one === this.#trust.value);
    const { id } = this.#known;
    const isDone = trust !== undefined && (await doing.act('trust', { id, trust })) !== undefined;
    if (!isDone) this.#trust.value = this.#known.trust;
  }

  #rename(doing: Doing): void {
    const { id, name } = this.#known;
    const input = make('input', { id: 'new-name', autocomplete: 'off', autofocus: true });
    input.value = name;
    openDialog({
      title: `Rename ${clean(name)}`,
      body: [make('label', { for: 'new-name' }, 'Name on this computer'), input],
      yes: 'Rename',
      onYes: async (complain) =>
        input.value.trim() !== '' &&
        (await doing.act('rename', { id, name: input.value.trim() }, complain)) !== undefined,
    });
    input.select();
  }

  #forget(doing: Doing): void {
    const { id, name } = this.#known;
    openDialog({
      title: `Forget ${clean(name)}?`,
      body: [make('p', {}, 'It will be a new device again: a code has to be typed the next time.')],
      yes: 'Forget',
      danger: true,
      onYes: async (complain) => (await doing.act('forget', { id }, complain)) !== undefined,
    });
  }
}

const TRUST = ['ask', 'auto', 'blocked'] as const;

/** What arrived before. */
export class HistoryList {
  readonly #rows: Rows<Arrived>;
  readonly #count = byId('history-count');
  readonly #none = byId('history-none');
  readonly #actions: HTMLElement;
  readonly #summary = byId('history-summary');

  constructor(doing: Doing) {
    this.#rows = new Rows(
      byId('history-list'),
      this.#summary,
      ({ at, from, roots }) => [at, from, ...roots].join('\n'),
      arrivedRow,
    );
    this.#actions = make(
      'div',
      { class: 'actions' },
      button('Open folder', () => void doing.act('open', {})),
      button('Clear the list', () => clearHistory(doing), 'quiet'),
    );
    byId('history').append(this.#actions);
  }

  update(history: readonly Arrived[]): void {
    this.#rows.update(history);
    setText(this.#count, history.length === 0 ? '' : String(history.length));
    show(this.#none, history.length === 0);
    passingFocus(this.#summary, () => show(this.#actions, history.length > 0));
  }
}

function clearHistory(doing: Doing): void {
  openDialog({
    title: 'Clear the list of what arrived?',
    body: [make('p', {}, 'The files stay where they are.')],
    yes: 'Clear',
    danger: true,
    onYes: async (complain) => (await doing.act('clear-history', {}, complain)) !== undefined,
  });
}

function arrivedRow({ at, ok, from, files, bytes, roots, into }: Arrived): Row<Arrived> {
  const time = make('time', { datetime: at }, formatMinute(new Date(at)));
  const extent = `${formatCount(files, 'file')}, ${formatBytes(bytes)}`;
  return {
    node: make(
      'li',
      { class: 'arrived' },
      make('p', {}, make('strong', {}, foreign(formatFirst(roots, clean) || 'Nothing whole'))),
      make(
        'p',
        { class: 'note' },
        'from ',
        foreign(from),
        `, ${extent}${ok ? '' : ', not complete'}`,
      ),
      make('p', { class: 'note' }, time, ' in ', foreign(into)),
    ),
    update() {},
  };
}

/** What may be wrong with this computer and its network. */
export class Doctor {
  readonly #list = byId('doctor-list');
  readonly #status = byId('doctor-status');

  constructor(doing: Doing) {
    const run = button('Check now', () => void this.#run(doing, run));
    byId('doctor').append(make('div', { class: 'actions' }, run));
  }

  async #run(doing: Doing, pressed: HTMLButtonElement): Promise<void> {
    if (pressed.getAttribute('aria-disabled') === 'true') return;
    pressed.setAttribute('aria-disabled', 'true');
    setText(this.#status, 'Checking; this takes some seconds…');
    const found = await doing.act('doctor', {});
    pressed.removeAttribute('aria-disabled');
    setText(
      this.#status,
      found === undefined ? 'It could not be checked.' : summaryOf(found.checks),
    );
    if (found) this.#list.replaceChildren(...found.checks.map(checkRow));
  }
}

function summaryOf(checks: readonly Check[]): string {
  const [wrong, notes] = [countOf(checks, 'failed'), countOf(checks, 'warning')];
  if (wrong > 0) return `${formatCount(wrong, 'thing')} wrong.`;
  return notes > 0 ? `Nothing is wrong; ${formatCount(notes, 'note')}.` : 'Nothing is wrong.';
}

function countOf(checks: readonly Check[], level: Check['level']): number {
  return checks.filter((check) => check.level === level).length;
}

function checkRow({ level, message, fix }: Check): HTMLElement {
  return make(
    'li',
    { class: 'check', 'data-level': level },
    make('p', {}, make('strong', {}, LEVELS[level]), ' ', foreign(message)),
    fix === undefined ? null : make('p', { class: 'fix' }, make('code', {}, clean(fix))),
  );
}

const LEVELS = { ok: 'OK:', warning: 'Note:', failed: 'Wrong:' } as const;
