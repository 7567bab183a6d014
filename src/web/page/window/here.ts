import { formatCode } from '../../../figures.ts';
import type { DeviceHere, Question } from '../../window/model.ts';
import { clean } from '../clean.ts';
import { button, byId, foreign, icon, make, setText, show } from '../dom.ts';
import { COPY, copy, type Doing } from './doing.ts';

/** This computer: what it is called, what new devices type, and where files land. */
export class Here {
  readonly #name = foreign();
  readonly #code = make('span', { class: 'code', 'aria-hidden': 'true' });
  /** Digit by digit, as nobody types a number of six places from a voice. */
  readonly #spoken = make('span', { class: 'spoken' });
  readonly #entrance: HTMLElement;
  readonly #locked: HTMLElement;
  readonly #unlock: HTMLButtonElement;
  readonly #hidden = make('span');
  readonly #hiddenBox: HTMLElement;
  readonly #closed = make('strong');
  readonly #closedHint = make('span');
  readonly #closedBox: HTMLElement;
  readonly #into = make('bdi', { class: 'path' });
  readonly #landing: HTMLElement;
  readonly #addresses = make('bdi');
  readonly #reach: HTMLElement;
  #shownCode = '';
  #unlocking: readonly string[] = [];

  constructor(doing: Doing) {
    const copyCode = button(COPY, () => void copy(this.#shownCode, copyCode, doing), 'quiet');
    copyCode.setAttribute('aria-label', 'Copy the code');
    this.#entrance = make(
      'div',
      { class: 'entrance' },
      make(
        'div',
        { class: 'entrance-head' },
        make('p', { class: 'label' }, 'Code for new devices'),
        copyCode,
      ),
      make('p', {}, this.#code, this.#spoken),
      make('p', { class: 'note' }, 'Whoever sends to you for the first time types it.'),
    );
    this.#unlock = button('Let new devices in again', () => void this.#answer(doing), 'main');
    this.#locked = box(
      'warning',
      make(
        'p',
        {},
        make('strong', {}, 'Ten wrong codes: someone may be guessing. '),
        'New devices are not let in; known devices still work.',
      ),
      this.#unlock,
    );
    this.#hiddenBox = box('warning', make('p', {}, this.#hidden));
    this.#closedBox = box('trouble', make('p', {}, this.#closed, ' ', this.#closedHint));
    this.#landing = make(
      'div',
      { class: 'landing' },
      make('p', {}, make('span', { class: 'label' }, 'Files land in '), this.#into),
      button('Open folder', () => void doing.act('open', {}), 'plain'),
    );
    this.#reach = make(
      'p',
      { class: 'note' },
      'For those who do not find this computer: ',
      this.#addresses,
    );
    byId('here').append(
      make('p', { class: 'own-name' }, icon('computer'), this.#name),
      this.#closedBox,
      this.#locked,
      this.#entrance,
      this.#landing,
      this.#hiddenBox,
      this.#reach,
    );
  }

  update(device: DeviceHere, questions: readonly Question[]): void {
    const { name, code, locked, hidden, closed, into, addresses } = device;
    this.#unlocking = questions.flatMap(({ kind, id }) => (kind === 'unlock' ? [id] : []));
    setText(this.#name, clean(name));
    this.#shownCode = code ?? '';
    setText(this.#code, formatCode(code ?? ''));
    setText(this.#spoken, [...(code ?? '')].join(' '));
    show(this.#entrance, code !== null && !locked);
    show(this.#locked, locked || this.#unlocking.length > 0);
    show(this.#unlock, this.#unlocking.length > 0);
    setText(this.#hidden, clean(hidden ?? ''));
    show(this.#hiddenBox, hidden !== null);
    setText(this.#closed, clean(closed?.message ?? ''));
    setText(this.#closedHint, clean(closed?.hint ?? ''));
    show(this.#closedBox, closed !== null);
    setText(this.#into, clean(into));
    show(this.#landing, closed === null);
    setText(this.#addresses, addresses.join(', '));
    show(this.#reach, addresses.length > 0 && closed === null);
  }

  async #answer(doing: Doing): Promise<void> {
    for (const question of this.#unlocking) await doing.act('answer', { question, answer: true });
  }
}

/** Something that wants to be noticed. */
function box(kind: 'warning' | 'trouble', ...children: readonly HTMLElement[]): HTMLElement {
  return make('div', { class: `box ${kind}` }, icon('warning'), make('div', {}, ...children));
}
