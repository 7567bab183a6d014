import { formatMinute } from '../../../figures.ts';
import type { Message, Said } from '../../window/model.ts';
import { clean } from '../clean.ts';
import { button, byId, foreign, icon, make, type Row, Rows, setText, show } from '../dom.ts';
import { COPY, copy, type Doing } from './doing.ts';

/** Messages that came. */
export class MessageList {
  readonly #rows: Rows<Message>;
  readonly #section = byId('messages');

  constructor(doing: Doing) {
    this.#rows = new Rows(
      byId('message-list'),
      byId('nearby-title'),
      ({ id }) => id,
      (message) => messageRow(message, doing),
    );
  }

  update(messages: readonly Message[]): void {
    this.#rows.update(messages);
    show(this.#section, messages.length > 0);
  }
}

/** A message does not change. Its text is what somebody else wrote: nothing in it can be pressed. */
function messageRow({ id, from, text, at }: Message, doing: Doing): Row<Message> {
  const name = clean(from.name);
  const copyText = button(COPY, () => void copy(text, copyText, doing));
  const dismiss = button('Dismiss', () => void doing.act('dismiss', { id }), 'quiet');
  copyText.setAttribute('aria-label', `Copy the message from ${name}`);
  dismiss.setAttribute('aria-label', `Dismiss the message from ${name}`);
  const time = make('time', { datetime: new Date(at).toISOString() }, formatMinute(new Date(at)));
  return {
    node: make(
      'li',
      { class: 'message' },
      make('span', { class: 'direction in' }, icon('message')),
      make(
        'div',
        { class: 'message-words' },
        make('h3', {}, foreign(from.name), ' ', make('small', {}, time)),
        make('p', { class: 'content', dir: 'auto' }, clean(text)),
      ),
      make('div', { class: 'actions' }, copyText, dismiss),
    ),
    update() {},
  };
}

/** What is wrong, and belongs to nothing else that is shown. */
export interface Trouble extends Said {
  readonly id: string;
}

export class TroubleList {
  readonly #rows: Rows<Trouble>;
  readonly #list = byId('troubles');

  constructor(dismiss: (id: string) => void) {
    this.#rows = new Rows(
      this.#list,
      byId('nearby-title'),
      ({ id }) => id,
      ({ id }) => {
        const [message, hint] = [make('strong'), make('span')];
        const leave = button('Dismiss', () => dismiss(id), 'quiet');
        const node = make(
          'li',
          { class: 'box trouble' },
          icon('warning'),
          make('p', {}, message, ' ', hint),
          leave,
        );
        const update = (trouble: Trouble): void => {
          setText(message, clean(trouble.message));
          setText(hint, clean(trouble.hint ?? ''));
          leave.setAttribute('aria-label', `Dismiss: ${clean(trouble.message)}`);
        };
        return { node, update };
      },
    );
  }

  update(troubles: readonly Trouble[]): void {
    this.#rows.update(troubles);
    show(this.#list, troubles.length > 0);
  }
}
