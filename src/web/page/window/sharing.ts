import { formatCode, formatFirst } from '../../../figures.ts';
import type { Sharing } from '../../window/model.ts';
import { clean } from '../clean.ts';
import { button, byId, foreign, icon, make, type Row, Rows, setText, show } from '../dom.ts';
import type { Doing } from './doing.ts';

/** What others can fetch from here. */
export class SharingList {
  readonly #rows: Rows<Sharing>;
  readonly #section = byId('sharing');

  constructor(doing: Doing) {
    this.#rows = new Rows(
      byId('sharing-list'),
      byId('nearby-title'),
      ({ id }) => id,
      ({ id }) => new SharingRow(id, doing),
    );
  }

  update(sharings: readonly Sharing[]): void {
    this.#rows.update(sharings);
    show(this.#section, sharings.length > 0);
  }
}

class SharingRow implements Row<Sharing> {
  readonly node: HTMLElement;
  readonly #what = foreign();
  readonly #state = make('p', { class: 'state' });
  readonly #code = make('span', { class: 'small-code', 'aria-hidden': 'true' });
  readonly #spoken = make('span', { class: 'spoken' });
  readonly #codeLine: HTMLElement;
  readonly #end: HTMLButtonElement;

  constructor(id: string, doing: Doing) {
    this.#end = button('End sharing', () => void doing.act('end-sharing', { id }));
    this.#codeLine = make('p', {}, 'Code for new devices: ', this.#code, this.#spoken);
    this.node = make(
      'li',
      {},
      make('span', { class: 'direction' }, icon('sharer')),
      make(
        'div',
        { class: 'transfer-words' },
        make('h3', {}, this.#what),
        this.#codeLine,
        this.#state,
      ),
      make('div', { class: 'actions' }, this.#end),
    );
  }

  update({ what, code, locked, fetched }: Sharing): void {
    const shown = formatFirst(what, clean);
    setText(this.#what, shown);
    setText(this.#code, formatCode(code ?? ''));
    setText(this.#spoken, [...(code ?? '')].join(' '));
    show(this.#codeLine, code !== null && !locked);
    setText(this.#state, stateOf(code !== null, locked, fetched));
    this.#end.setAttribute('aria-label', `End sharing ${shown}`);
  }
}

function stateOf(isReady: boolean, isLocked: boolean, fetched: number): string {
  if (isLocked) return 'Ten wrong codes: new devices are not let in.';
  if (!isReady) return 'Getting ready…';
  if (fetched === 0) return 'Nobody has fetched it yet.';
  return fetched === 1 ? 'Fetched once.' : `Fetched ${fetched} times.`;
}
