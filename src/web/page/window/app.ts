import type { Commands, PageEvent, View } from '../../window/model.ts';
import { Aim } from '../aim.ts';
import { byId, passingFocus, setAttribute, setText, show } from '../dom.ts';
import { Failure } from '../hearing.ts';
import { type Dropped, Lender } from '../lending.ts';
import { Caller } from './calls.ts';
import { Connection, type Link } from './connection.ts';
import type { Complain, Doing } from './doing.ts';
import { Here } from './here.ts';
import { Doctor, HistoryList, KnownList } from './known.ts';
import { MessageList, type Trouble, TroubleList } from './messages.ts';
import { NearbyList } from './nearby.ts';
import { Questions } from './questions.ts';
import { SharingList } from './sharing.ts';
import { TransferList } from './transfers.ts';
import { isLive, NOTHING, newsBetween, underWayOf, windowTitle } from './words.ts';

/** The page: it shows what the server says, and tells it what is done here. */
class Page implements Doing {
  readonly #connection: Connection;
  readonly #lender: Lender;
  readonly #here: Here;
  readonly #caller: Caller;
  readonly #nearby: NearbyList;
  readonly #questions: Questions;
  readonly #sharings: SharingList;
  readonly #transfers: TransferList;
  readonly #messages: MessageList;
  readonly #troubles: TroubleList;
  readonly #known: KnownList;
  readonly #history: HistoryList;
  readonly #status = byId('status');
  readonly #news = byId('news');
  #view: View | undefined;
  /** What went wrong here, and the server knows nothing of. */
  #own: readonly Trouble[] = [];
  #troublesSoFar = 0;
  #page: string | undefined;

  constructor(token: string) {
    this.#connection = new Connection({
      token,
      sight: () => this.#caller.sight,
      onEvent: (event) => this.#hear(event),
      onLink: (link) => {
        if (link !== 'open') this.#lender.lost();
        this.#showLink(link);
      },
    });
    this.#lender = new Lender(this.#connection);
    this.#here = new Here(this);
    this.#caller = new Caller({
      onSight: () => this.#connection.tellSight(),
      onFollowed: (id) => this.#follow(id),
    });
    this.#nearby = new NearbyList(this);
    this.#questions = new Questions(this);
    this.#sharings = new SharingList(this);
    this.#transfers = new TransferList(this);
    this.#messages = new MessageList(this);
    this.#troubles = new TroubleList((id) => this.#dismiss(id));
    this.#known = new KnownList(this);
    this.#history = new HistoryList(this);
    new Doctor(this);
    new Aim();
    window.addEventListener('beforeunload', (event) => {
      if (this.#isLending()) event.preventDefault();
    });
  }

  run(): Promise<void> {
    return this.#connection.run();
  }

  async act<Name extends keyof Commands>(
    name: Name,
    body: Commands[Name]['takes'],
    complain?: Complain,
  ): Promise<Commands[Name]['gives'] | undefined> {
    return await this.#trying(() => this.#connection.post(name, body), complain);
  }

  async send(
    to: readonly string[],
    { dropped, text }: Parameters<Doing['send']>[1],
    complain?: Complain,
  ): Promise<boolean> {
    const sent = await this.#trying(async () => {
      const loan = dropped && (await this.#lender.lend(dropped, this.#connection.page));
      return await this.#connection.post('send', {
        to,
        ...(loan === undefined ? {} : { loan }),
        ...(text === undefined ? {} : { text }),
      });
    }, complain);
    return sent !== undefined;
  }

  async share(dropped: readonly Dropped[]): Promise<boolean> {
    const shared = await this.#trying(async () => {
      const loan = await this.#lender.lend(dropped, this.#connection.page);
      return await this.#connection.post('share', { loan });
    });
    return shared !== undefined;
  }

  readonly complain: Complain = (message, hint) => {
    this.#troublesSoFar += 1;
    const trouble = { id: `own ${this.#troublesSoFar}`, message, hint };
    this.#own = [trouble, ...this.#own].slice(0, OWN);
    this.#drawTroubles();
    this.say([message, hint ?? ''].join(' '));
  };

  say(text: string): void {
    this.#news.append(Object.assign(document.createElement('p'), { textContent: text }));
    while (this.#news.children.length > NEWS) this.#news.firstElementChild?.remove();
  }

  #hear(event: PageEvent): void {
    switch (event.event) {
      case 'hello':
        // A server that does not know this page has none of its loans either.
        if (this.#page !== undefined && this.#page !== event.page) this.#lender.forgetAll();
        this.#page = event.page;
        this.#lender.found(event.loans);
        setText(byId('version'), `drop ${event.version}`);
        return;
      case 'want':
        this.#lender.want(event);
        return;
      case 'unwanted':
        this.#lender.unwanted(event);
        return;
      case 'returned':
        this.#lender.forget(event.loan);
        return;
      case 'view': {
        const { event: _, ...changes } = event;
        const before = this.#view;
        const view = { ...(before ?? NOTHING), ...changes };
        this.#view = view;
        passingFocus(byId('nearby-title'), () => this.#draw(view));
        if (before) for (const news of newsBetween(before, view)) this.say(news);
      }
    }
  }

  #draw(view: View): void {
    const {
      device,
      nearby,
      nobody,
      questions,
      sharings,
      transfers,
      messages,
      known,
      history,
      calls,
    } = view;
    show(byId('content'), true);
    document.title = windowTitle(view);
    setText(byId('under-way'), underWayOf(transfers));
    show(byId('under-way'), transfers.some(isLive));
    this.#here.update(device, questions);
    this.#nearby.update(nearby, nobody, transfers);
    this.#sharings.update(sharings);
    this.#transfers.update(transfers);
    this.#messages.update(messages);
    this.#known.update(known);
    this.#history.update(history);
    this.#drawTroubles();
    this.#questions.update(questions);
    this.#caller.update(calls.filter(({ page }) => page === this.#page));
  }

  /** Leads to what somebody was called for. */
  #follow(id: string): void {
    if (id === 'transfers' || id === 'messages') byId(`${id}-title`).focus();
    else this.#questions.bringUp(id);
  }

  #drawTroubles(): void {
    this.#troubles.update([...this.#own, ...(this.#view?.troubles ?? [])]);
  }

  #showLink(link: Link): void {
    setText(this.#status, STATUS[link].message);
    setAttribute(this.#status, 'data-link', link);
    const { message, hint } = STATUS[link];
    const isOver = hint !== '';
    byId('content').inert = isOver;
    show(byId('gone'), isOver);
    if (!isOver) return;
    setText(byId('gone-title'), message);
    setText(byId('gone-hint'), hint);
    // Nobody is there any more to take an answer.
    this.#questions.update([]);
    this.#caller.update([]);
    document.title = `${message} – drop`;
  }

  async #trying<Result>(
    what: () => Promise<Result>,
    complain = this.complain,
  ): Promise<Result | undefined> {
    try {
      return await what();
    } catch (error) {
      if (error instanceof Failure) complain(error.message, error.hint);
      else {
        console.error(error);
        complain('The page could not do that.');
      }
      return undefined;
    }
  }

  #dismiss(id: string): void {
    if (this.#own.some((trouble) => trouble.id === id)) {
      this.#own = this.#own.filter((trouble) => trouble.id !== id);
      this.#drawTroubles();
    } else void this.act('dismiss', { id });
  }

  /** Whether files of this page are on their way, or shared, which ends with it. */
  #isLending(): boolean {
    const { transfers, sharings } = this.#view ?? NOTHING;
    return [...transfers.filter(isLive), ...sharings].some(
      ({ page }) => page !== undefined && page === this.#page,
    );
  }
}

/** News that stay for a screen reader; older ones are gone. */
const NEWS = 5;

/** Failures of this page's own that are shown at once. */
const OWN = 3;

const STATUS: Readonly<Record<Link, { readonly message: string; readonly hint: string }>> = {
  connecting: { message: 'Connecting…', hint: '' },
  open: { message: 'Connected', hint: '' },
  broken: { message: 'Connecting again…', hint: '' },
  crowded: {
    message: 'Too many windows are open',
    hint: 'Close one of them, and this one goes on.',
  },
  gone: { message: 'drop has ended', hint: 'Start it again: drop ui' },
  refused: {
    message: 'This page is not let in',
    hint: 'Open the link that drop ui shows; each start of it has a new one.',
  },
};

/**
 * The token comes in the part of the link that no server is sent, and does not stay in sight where the
 * browser keeps it for this tab. Links within the page have a part like that, too.
 */
function givenToken(): string {
  const given = location.hash.slice(1);
  return document.getElementById(given) === null ? given : '';
}

function takeToken(): string {
  const given = givenToken();
  try {
    if (given === '') return sessionStorage.getItem('token') ?? '';
    sessionStorage.setItem('token', given);
    history.replaceState(null, '', location.pathname);
  } catch {
    // Some browsers are told to keep nothing.
  }
  return given;
}

window.addEventListener('hashchange', () => {
  if (givenToken() !== '') location.reload();
});
void new Page(takeToken()).run();
