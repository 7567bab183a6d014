import { formatCount, formatExtent, formatNames, isMessages } from '../../figures.ts';
import { MAX_CALLS } from '../../limits.ts';
import type { Call, DeskView, Message, Sight, Transfer, Urgent } from './model.ts';

/** What is said to a person who looks elsewhere: from whom and how much, and no names of files. */
export interface Calling {
  readonly title: string;
  readonly body: string;
  /** Whether somebody waits for an answer. */
  readonly asks: boolean;
}

export interface CallsOptions {
  /** What is called is another thing. */
  readonly changed: () => void;
  /** Calls out what no page can. */
  readonly call?: ((calling: Calling) => void) | undefined;
}

/**
 * What a person is called for while no page is in sight: each question, and together all transfers
 * that came to their end, and all messages. One page calls; where none may, whoever runs the window
 * does. Once a page is in sight all of it is seen.
 */
export class Calls {
  readonly #options: CallsOptions;
  /** In the order in which they came. */
  readonly #pages = new Map<string, Sight>();
  readonly #standing = new Map<string, Standing>();
  /** What there was when it was looked at last. */
  #before: Pick<DeskView, 'questions' | 'transfers' | 'messages'> = NOTHING;
  /** What came to its end unseen. */
  #over: readonly Transfer[] = [];
  #messages: readonly Message[] = [];

  constructor(options: CallsOptions) {
    this.#options = options;
  }

  /** What pages call out. */
  get all(): Call[] {
    return Array.from(this.#standing, ([id, { page, calling }]) => ({
      id,
      page,
      ...calling,
    })).flatMap(({ page, asks: _, ...call }) => (page === undefined ? [] : [{ ...call, page }]));
  }

  /** How it stands with a page; undefined if it is not there any more. */
  page(name: string, sight: Sight | undefined): void {
    if (this.#pages.get(name) === sight) return;
    if (sight === undefined) this.#pages.delete(name);
    else this.#pages.set(name, sight);
    if (sight === 'in-sight') this.#seen();
    else this.#assign();
  }

  /** Something has happened. */
  look({ questions, transfers, messages }: DeskView): void {
    const before = this.#before;
    this.#before = { questions, transfers, messages };
    const asked = questions.filter((question) => question.kind !== 'unlock');
    let isOther = false;
    for (const [id, { calling }] of this.#standing)
      if (calling.asks && !asked.some((one) => one.id === id))
        isOther = this.#standing.delete(id) || isOther;
    if (!this.#isInSight) {
      for (const question of asked)
        if (!before.questions.some(({ id }) => id === question.id) && this.#hasRoom)
          isOther = this.#add(question.id, callingOfQuestion(question));
      const over = transfers.filter(
        (one) => isOver(one) && !before.transfers.some((old) => old.id === one.id && isOver(old)),
      );
      if (over.length > 0) {
        this.#over = [...over, ...this.#over].slice(0, TOGETHER);
        isOther = this.#add('transfers', callingOfTransfers(this.#over));
      }
      const come = messages.filter(({ id }) => !before.messages.some((old) => old.id === id));
      if (come.length > 0) {
        this.#messages = [...come, ...this.#messages].slice(0, TOGETHER);
        isOther = this.#add('messages', callingOfMessages(this.#messages));
      }
    }
    if (isOther) this.#assign();
  }

  get #isInSight(): boolean {
    return [...this.#pages.values()].includes('in-sight');
  }

  get #hasRoom(): boolean {
    return this.#standing.size < MAX_CALLS;
  }

  #add(id: string, calling: Calling): true {
    const page = this.#standing.get(id)?.page;
    this.#standing.set(id, { calling, page, isTold: false });
    return true;
  }

  /** Sees to it that somebody calls. */
  #assign(): void {
    const caller = [...this.#pages].find(([, sight]) => sight === 'calling')?.[0];
    for (const standing of this.#standing.values()) {
      const { page, isTold } = standing;
      if (isTold || (page !== undefined && this.#pages.get(page) === 'calling')) continue;
      standing.page = caller;
      if (caller !== undefined || this.#options.call === undefined) continue;
      standing.isTold = true;
      this.#options.call(standing.calling);
    }
    this.#options.changed();
  }

  #seen(): void {
    this.#over = [];
    this.#messages = [];
    if (this.#standing.size === 0) return;
    this.#standing.clear();
    this.#options.changed();
  }
}

interface Standing {
  readonly calling: Calling;
  /** The page that calls it out. */
  page: string | undefined;
  /** Whether it was called out by others, and so needs no page. */
  isTold: boolean;
}

const NOTHING = { questions: [], transfers: [], messages: [] };

/** Of how many transfers and messages it is known with whom they were. */
const TOGETHER = 100;

function isOver({ can }: Transfer): boolean {
  return can.includes('dismiss');
}

function callingOfQuestion(question: Urgent): Calling {
  const { name } = question.device;
  return { ...textOfQuestion(question, name), asks: true };
}

function textOfQuestion(question: Urgent, name: string): { title: string; body: string } {
  const waits = 'It waits for your answer.';
  switch (question.kind) {
    case 'accept': {
      const what = isMessages(question.offer) ? 'a message' : 'something';
      const doubt = question.known ? '' : '. It has not proven who it is.';
      return {
        title: `${name} wants to send you ${what}`,
        body: `${formatExtent(question.offer)}${doubt}`,
      };
    }
    case 'code':
      return {
        title: `${question.needs === 'pin' ? 'The PIN' : 'The code'} of ${name} is needed`,
        body: waits,
      };
    case 'doubt':
      return { title: `Is it really ${name}?`, body: waits };
    case 'call':
      return { title: 'A device asks to be called back', body: `It is at ${name}.` };
    case 'offer':
      return {
        title: `${name} shares ${formatExtent(question.offer)}`,
        body: 'Choose what you want of it.',
      };
    case 'fetch':
      return { title: `${name} wants to fetch what you share`, body: waits };
  }
}

function callingOfTransfers(over: readonly Transfer[]): Calling {
  const names = formatNames([...new Set(over.map(({ device }) => device.name))]);
  const [first, ...more] = over;
  if (first !== undefined && more.length === 0) {
    const body = `${first.direction === 'in' ? 'from' : 'to'} ${names}`;
    return { title: titleOfTransfer(first), body, asks: false };
  }
  const whole = over.every(({ state, failed }) => state === 'done' && failed === 0);
  const title = `${formatCount(over.length, 'transfer')} are over${whole ? '' : ', not all of them whole'}`;
  return { title, body: `with ${names}`, asks: false };
}

function titleOfTransfer({ state, direction, files, failed }: Transfer): string {
  const isIn = direction === 'in';
  switch (state) {
    case 'done': {
      const others = failed > 0 ? `, others ${isIn ? 'did' : 'were'} not` : '';
      return `${formatCount(files, 'file')} ${isIn ? 'arrived' : files === 1 ? 'was sent' : 'were sent'}${others}`;
    }
    case 'declined':
      return 'It was declined';
    case 'cancelled':
      return `${isIn ? 'Receiving' : 'Sending'} was cancelled`;
    case 'interrupted':
      return `${isIn ? 'Receiving' : 'Sending'} was interrupted`;
    default:
      return `${isIn ? 'Receiving' : 'Sending'} failed`;
  }
}

function callingOfMessages(messages: readonly Message[]): Calling {
  const names = formatNames([...new Set(messages.map(({ from }) => from.name))]);
  const title = messages.length === 1 ? 'A message came' : `${messages.length} messages came`;
  return { title, body: `from ${names}`, asks: false };
}
