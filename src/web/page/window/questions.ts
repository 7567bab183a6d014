import {
  formatBytes,
  formatCount,
  formatExtent,
  formatOffer,
  formatPart,
  formatRisk,
  parseCode,
  WHY_AGAIN,
} from '../../../figures.ts';
import type { Commands, Part, Question, Urgent } from '../../window/model.ts';
import { clean } from '../clean.ts';
import { button, type Child, foreign, icon, make, setText, show } from '../dom.ts';
import { Complaint, raise } from './dialogs.ts';
import type { Complain, Doing } from './doing.ts';
import { titleOf } from './words.ts';

type Of<Kind extends Urgent['kind']> = Extract<Urgent, { kind: Kind }>;
type Answer = Commands['answer']['takes']['answer'];

/**
 * Asks what somebody is to decide, one thing after the other. A question may come while somebody
 * types: it waits until the keys rest, and for a moment after it has appeared no key and no click
 * answers it, as neither was meant for it.
 */
export class Questions {
  readonly #doing: Doing;
  #waiting: readonly Urgent[] = [];
  #open: Asking | undefined;
  /** Answered here; the server may show them a moment longer. */
  readonly #answered = new Set<string>();
  #lastKey = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(doing: Doing) {
    this.#doing = doing;
    document.addEventListener(
      'keydown',
      () => {
        this.#lastKey = performance.now();
      },
      { capture: true },
    );
  }

  update(questions: readonly Question[]): void {
    this.#waiting = questions
      .filter((question) => question.kind !== 'unlock')
      .filter(({ id }) => !this.#answered.has(id));
    for (const id of this.#answered)
      if (!questions.some((question) => question.id === id)) this.#answered.delete(id);
    const current = this.#waiting.find(({ id }) => id === this.#open?.id);
    if (current) {
      this.#open?.update(current);
      return;
    }
    const left = this.#open;
    this.#open = undefined;
    left?.close();
    // An answer from here may be on its way back. And what is said behind a dialog nobody hears.
    if (left?.isAnswered === false) this.#doing.say('The question is gone.');
    this.#next();
  }

  /** Asks this one now, if it is still to be answered; what is open waits. */
  bringUp(id: string): void {
    const question = this.#waiting.find((one) => one.id === id);
    if (question === undefined || this.#open?.id === id) return;
    this.#open?.close();
    this.#open = undefined;
    this.#waiting = [question, ...this.#waiting.filter((one) => one !== question)];
    this.#next();
  }

  #next(): void {
    clearTimeout(this.#timer);
    const [question] = this.#waiting;
    if (question === undefined || this.#open !== undefined) return;
    const rest = isTyping() ? this.#lastKey + TYPING - performance.now() : 0;
    if (rest > 0) {
      this.#timer = setTimeout(() => this.#next(), rest);
      return;
    }
    const asking = new Asking(question, async (answer, complain) => {
      const given = { question: question.id, answer };
      if ((await this.#doing.act('answer', given, complain)) === undefined) return;
      this.#answered.add(question.id);
      this.#waiting = this.#waiting.filter(({ id }) => id !== question.id);
      // The server may have been quicker to say that it is over, and another one may be open.
      if (this.#open !== asking) return;
      this.#open = undefined;
      asking.close();
      this.#next();
    });
    this.#open = asking;
  }
}

/** Milliseconds without a key after which somebody is taken not to type any more. */
const TYPING = 1_500;

/** Milliseconds in which a question that has appeared takes no answer. */
const STARTLED = 700;

function isTyping(): boolean {
  return document.activeElement?.matches('input:not([type=checkbox]), textarea') === true;
}

/** One question that is open. */
class Asking {
  readonly id: string;
  readonly #dialog: HTMLDialogElement;
  readonly #title = make('h2', { id: 'question-title' });
  readonly #form: HTMLFormElement;
  readonly #yes: HTMLButtonElement;
  readonly #no: HTMLButtonElement;
  readonly #body: Body;
  readonly #answer: (answer: Answer, complain: Complain) => Promise<void>;
  readonly #complaint = new Complaint();
  #isReady = false;
  #isAnswered = false;
  #calm: ReturnType<typeof setTimeout> | undefined;

  constructor(question: Urgent, answer: (answer: Answer, complain: Complain) => Promise<void>) {
    this.id = question.id;
    this.#answer = answer;
    this.#body = bodyOf(question, () => this.#judge());
    this.#no = button(this.#body.no, () => this.#refuse());
    this.#yes = make('button', { class: 'button main' }, this.#body.yes());
    this.#form = make(
      'form',
      { method: 'dialog' },
      this.#title,
      make('div', { id: 'question-body', class: 'question-body' }, ...this.#body.nodes),
      this.#complaint.node,
      make('div', { class: 'actions' }, this.#no, this.#yes),
    );
    this.#dialog = make(
      'dialog',
      {
        class: 'dialog question',
        'aria-labelledby': 'question-title',
        'aria-describedby': 'question-body',
      },
      this.#form,
    );
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      const given = this.#body.answer();
      if (given !== undefined) void this.#give(given);
    });
    this.#dialog.addEventListener('keydown', (event) => {
      if (!this.#isReady) this.#startle();
      if (event.key !== 'Escape') return;
      // Left to itself the browser closes it, whatever we make of the key.
      event.preventDefault();
      this.#refuse();
    });
    this.#dialog.addEventListener('cancel', (event) => event.preventDefault());
    this.update(question);
    this.#startle();
    raise(this.#dialog);
    (this.#body.field ?? this.#no).focus();
  }

  /** Whether an answer of it is on its way. */
  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  update(question: Urgent): void {
    setText(this.#title, titleOf(question));
    this.#body.update(question);
    this.#judge();
  }

  close(): void {
    clearTimeout(this.#calm);
    this.#dialog.close();
  }

  #startle(): void {
    this.#isReady = false;
    clearTimeout(this.#calm);
    this.#calm = setTimeout(() => {
      this.#isReady = true;
      this.#judge();
    }, STARTLED);
    this.#judge();
  }

  /** Whether it can be agreed to by now. What has to be typed for that is typed by nobody who means something else. */
  #judge(): void {
    const isMeant = this.#isReady || (this.#body.field?.value ?? '') !== '';
    setText(this.#yes, this.#body.yes());
    this.#yes.disabled = !isMeant || !this.#body.isComplete();
  }

  #refuse(): void {
    if (this.#isReady) void this.#give(this.#body.refusal);
  }

  async #give(answer: Answer): Promise<void> {
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    await this.#answer(answer, this.#complaint.say);
    this.#isAnswered = false;
  }
}

/** What stands between the title and the buttons. */
interface Body {
  readonly nodes: readonly Child[];
  /** Has the focus at first; else the safe answer has it. */
  readonly field?: HTMLInputElement;
  readonly no: string;
  /** The safe answer. */
  readonly refusal: Answer;
  yes(): string;
  isComplete(): boolean;
  /** Undefined as long as it is none. */
  answer(): Answer | undefined;
  update(question: Urgent): void;
}

function bodyOf(question: Urgent, onChange: () => void): Body {
  switch (question.kind) {
    case 'accept':
      return acceptBody(question);
    case 'code':
      return codeBody(question, onChange);
    case 'offer':
      return offerBody(question, onChange);
    case 'doubt':
      return plainBody(doubtText(question), 'No', 'Go on all the same');
    case 'call':
      return plainBody(
        `A device at ${clean(question.device.name)} cannot reach this computer, and asks to be called. Nothing of it is proven yet: you will see what it wants before anything is saved.`,
        'No',
        'Call back',
      );
    case 'fetch':
      return plainBody('You share it from here. Nothing else can be fetched.', 'Decline', 'Allow');
  }
}

function acceptBody({ known, device }: Of<'accept'>): Body {
  const extent = make('p', { class: 'extent' });
  const names = make('ul', { class: 'names' });
  const risks = make('ul', { class: 'risks' });
  return {
    nodes: [
      extent,
      names,
      risks,
      known
        ? make(
            'p',
            { class: 'note' },
            'It has proven that it is the device you know. ',
            idOf(device.id),
          )
        : make(
            'p',
            { class: 'box warning' },
            icon('warning'),
            'It has not proven who it is: anyone could have that name.',
          ),
    ],
    no: 'Decline',
    refusal: false,
    yes: () => 'Accept',
    isComplete: () => true,
    answer: () => true,
    update(question) {
      if (question.kind !== 'accept') return;
      const { offer } = question;
      setText(extent, formatExtent(offer));
      const more = offer.roots.length - SHOWN_NAMES;
      setList(names, [
        ...(offer.roots.length > 1 ? offer.roots.slice(0, SHOWN_NAMES).map(clean) : []),
        ...(more > 0 ? [`and ${more} more`] : []),
      ]);
      setRisks(risks, question);
    },
  };
}

function codeBody({ needs, device }: Of<'code'>, onChange: () => void): Body {
  const isPin = needs === 'pin';
  const input = make('input', {
    id: 'code-field',
    class: 'code-field',
    inputmode: isPin ? 'text' : 'numeric',
    autocomplete: 'off',
    spellcheck: 'false',
    'aria-describedby': 'code-why',
  });
  const why = make('p', { id: 'code-why', class: 'failure' });
  input.addEventListener('input', () => {
    input.removeAttribute('aria-invalid');
    onChange();
  });
  return {
    nodes: [
      make(
        'p',
        {},
        isPin ? 'Ask whoever uses ' : 'Look at the screen of ',
        foreign(device.name),
        isPin ? ' for its PIN.' : ': it shows six digits. Once typed, the two know each other.',
      ),
      why,
      make('label', { for: 'code-field' }, isPin ? 'PIN' : 'Code'),
      input,
    ],
    field: input,
    no: 'Cancel',
    refusal: null,
    yes: () => 'Continue',
    isComplete: () => true,
    answer() {
      const given = isPin ? input.value.trim() : parseCode(input.value);
      if (given) return given;
      setText(why, isPin ? 'Type the PIN.' : 'A code has six digits.');
      show(why, true);
      input.setAttribute('aria-invalid', 'true');
      input.focus();
      return undefined;
    },
    update(question) {
      if (question.kind !== 'code' || question.why === 'new')
        return show(why, why.textContent !== '');
      setText(why, WHY_AGAIN[needs][question.why]);
      show(why, true);
    },
  };
}

function offerBody({ offer, parts }: Of<'offer'>, onChange: () => void): Body {
  const boxes = parts.map((part) => ({ part, box: make('input', { type: 'checkbox' }) }));
  const all = make('input', { type: 'checkbox' });
  const risks = make('ul', { class: 'risks' });
  const chosen = (): Part[] => boxes.filter(({ box }) => box.checked).map(({ part }) => part);
  const judge = (): void => {
    const count = chosen().length;
    all.checked = count === parts.length;
    all.indeterminate = count > 0 && count < parts.length;
    onChange();
  };
  for (const { box } of boxes) {
    box.checked = true;
    box.addEventListener('change', judge);
  }
  all.checked = true;
  all.addEventListener('change', () => {
    for (const { box } of boxes) box.checked = all.checked;
    judge();
  });
  const isChoice = parts.length > 1;
  return {
    nodes: [
      make('p', { class: 'extent' }, formatOffer(offer, clean)),
      isChoice
        ? make(
            'fieldset',
            { class: 'parts' },
            make('legend', {}, 'Choose what you want'),
            make('label', { class: 'part all' }, all, make('span', {}, 'All of it')),
            ...boxes.map(({ part, box }) =>
              make(
                'label',
                { class: 'part' },
                box,
                make('span', {}, foreign(part.path), part.folder ? '/' : ''),
                make('small', {}, formatPart(part)),
              ),
            ),
          )
        : null,
      risks,
    ],
    no: 'Nothing',
    refusal: false,
    yes() {
      const some = chosen();
      const bytes = some.reduce((sum, part) => sum + part.bytes, 0);
      if (!isChoice || some.length === parts.length) return 'Get all';
      return `Get ${formatCount(some.length, 'part')} (${formatBytes(bytes)})`;
    },
    isComplete: () => !isChoice || chosen().length > 0,
    answer() {
      const some = chosen();
      return !isChoice || some.length === parts.length ? true : some.map(({ path }) => path);
    },
    update(question) {
      if (question.kind === 'offer') setRisks(risks, question);
    },
  };
}

function plainBody(text: string, no: string, yes: string): Body {
  return {
    nodes: [make('p', {}, text)],
    no,
    refusal: false,
    yes: () => yes,
    isComplete: () => true,
    answer: () => true,
    update() {},
  };
}

function doubtText({ doubt, device, claimed }: Of<'doubt'>): string {
  const name = clean(device.name);
  return doubt === 'unverified'
    ? `${name} takes files from everyone, without a code: anyone could have that name. Send to it all the same?`
    : `What calls itself “${clean(claimed)}” is the device that you know as ${name}. Go on with ${name}?`;
}

/** Names of an offer that are shown one by one. */
const SHOWN_NAMES = 6;

function setRisks(list: HTMLElement, { risks, offer }: Of<'accept'> | Of<'offer'>): void {
  setList(
    list,
    risks.map((risk) => formatRisk(risk, offer, clean)),
  );
}

function setList(list: HTMLElement, texts: readonly string[]): void {
  while (list.children.length > texts.length) list.lastElementChild?.remove();
  for (const [n, text] of texts.entries())
    setText(list.children[n] ?? list.appendChild(make('li', { dir: 'auto' })), text);
  show(list, texts.length > 0);
}

function idOf(id: string): HTMLElement {
  return make('small', {}, id);
}
