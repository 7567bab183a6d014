import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as v from 'valibot';
import { DropError } from '../../index.ts';
import { MAX_COMMAND, MAX_PAGES, MAX_SENT_TO, PAGE_GRACE } from '../../limits.ts';
import { readAsset } from '../assets.ts';
import { type Answer, type Call, isSameSecret, jsonAnswer, openDoor, readJson } from '../door.ts';
import { Lending } from '../lending.ts';
import { Line } from '../line.ts';
import { type Calling, Calls } from './calls.ts';
import { Desk, type DeskOptions, type Loan } from './desk.ts';
import type { Commands, DeskView, PageEvent, Sight, View } from './model.ts';
import { show } from './opener.ts';
import {
  type Listening,
  LOOPBACK,
  linkTo,
  listen,
  listeningTo,
  NONCE,
  type Place,
  proofOf,
  Seat,
  VISIT,
} from './seat.ts';
import { saidOf } from './transfer.ts';

export interface UiOptions extends DeskOptions {
  /** The port of the page; by default that of the time before, or any that is free. */
  readonly port?: number | undefined;
  /** What the page says that it is a version of. */
  readonly version: string;
  /** The window can be opened now, by whoever knows this link. */
  readonly onReady: (url: string, window: OpenWindow) => void;
  /** Tells a person of something for which no page can call. */
  readonly call?: ((calling: Calling) => void) | undefined;
  readonly onBug: (error: unknown) => void;
}

/** A window that can be opened. */
export interface OpenWindow {
  /** Whether it is that of another process of this account, which goes on without us. */
  readonly elsewhere: boolean;
  /** Hears of the next page that opens, once it resolves. */
  readonly listen: (signal: AbortSignal) => Promise<Listening>;
}

/**
 * The window: a server for this computer alone, and what happens behind it, until the signal is
 * aborted. Where this account has one already, it tells of that and ends. Throws `usage` if the port
 * is taken, or the window that is there is another one than is wished for.
 */
export async function runUi(options: UiOptions): Promise<void> {
  const { signal } = options;
  const seat = await Seat.find(options);
  const pointTo = (place: Place): void =>
    options.onReady(linkTo(place), {
      elsewhere: true,
      listen: (signal) => listen(place, signal),
    });
  const there = await seat.taken();
  if (there !== undefined) return pointTo(there);
  const token = randomBytes(16).toString('base64url');
  const bearer = `Bearer ${token}`;
  const desk = new Desk(options, (part) => pages.changed(part));
  const pages = new Pages(
    options.version,
    desk,
    // Whoever ends it knows that all else ends with it.
    options.call && ((calling) => !signal.aborted && options.call?.(calling)),
  );
  const assets = await Assets.load();
  const api = new Api(desk, pages);
  const door = await openDoor({
    at: LOOPBACK,
    // A browser remembers by the port, too, what it was allowed.
    ports: options.port === undefined ? [seat.lastPort ?? 0, 0] : [options.port],
    isOurs: (host) => isOurs(host, door.port),
    answer: async (call) => {
      const asset = assets.get(call);
      if (asset !== undefined) return asset;
      if (call.path.startsWith(PROOF)) return proof(call.path.slice(PROOF.length));
      if (!call.path.startsWith(API)) return { status: 404 };
      // All that is said is for whoever was given the link.
      if (!isSameSecret(call.headers.authorization ?? '', bearer)) return { status: 401 };
      call.welcome();
      return api.answer(call);
    },
    onBug: options.onBug,
  });
  const place = { port: door.port, token };
  let isEnding = false;
  const proof = (nonce: string): Answer =>
    isEnding || !NONCE.test(nonce)
      ? { status: 404 }
      : { status: 200, type: 'text/plain', body: proofOf(place, nonce) };
  try {
    const quicker = await seat.take(place);
    if (quicker !== undefined) return pointTo(quicker);
    options.onReady(linkTo(place), {
      elsewhere: false,
      listen: async (signal) => listeningTo(pages.visited(signal)),
    });
    await desk.run();
  } finally {
    isEnding = true;
    await seat.leave();
    pages.close();
    await door.close();
  }
  signal.throwIfAborted();
}

/**
 * Opens a link in the browser. The link is a secret, and everybody on this computer can read what
 * programs are started with: so that is a file which only we can read, and which leads there.
 * Returns whether there is a desktop for it, and what removes the file.
 */
export async function openLink(
  url: string,
): Promise<{ opened: boolean; forget: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'drop-'));
  const path = join(folder, 'drop.html');
  const forget = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    await writeFile(path, leadingTo(url), { mode: 0o600, flag: 'wx' });
    return { opened: await show(path), forget };
  } catch (error) {
    await forget();
    throw error;
  }
}

/** Commands and streams of pages that have shown the token. */
class Api {
  readonly #desk: Desk;
  readonly #pages: Pages;

  constructor(desk: Desk, pages: Pages) {
    this.#desk = desk;
    this.#pages = pages;
  }

  async answer(call: Call): Promise<Answer> {
    const [name = '', ...rest] = call.path.slice(API.length).split('/');
    try {
      if (call.method === 'GET' && name === 'events' && rest.length === 0)
        return this.#pages.stream(call);
      if (call.method === 'GET' && call.path === VISIT) {
        await this.#pages.visited(call.signal);
        return jsonAnswer({});
      }
      if (call.method === 'PUT' && name === 'lend') return await this.#bring(rest, call);
      const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name as keyof Commands] : undefined;
      if (call.method !== 'POST' || command === undefined || rest.length > 0)
        return { status: 404 };
      const given = v.safeParse(command.takes, await readJson(call, MAX_COMMAND));
      if (!given.success)
        return refused(new DropError('usage', { message: 'That is no such command.' }));
      const gives = await command.does(
        { desk: this.#desk, pages: this.#pages, call },
        given.output as never,
      );
      return jsonAnswer(gives ?? {});
    } catch (error) {
      if (error instanceof DropError) return refused(error);
      throw error;
    }
  }

  async #bring([loan = '', batch = '', ...more]: readonly string[], call: Call): Promise<Answer> {
    if (more.length > 0) return { status: 404 };
    await this.#pages.lending(loan).put(loan, batch, call.body);
    return jsonAnswer({});
  }
}

/** The pages that are open, each with what it lends. */
class Pages {
  readonly #version: string;
  readonly #desk: Desk;
  readonly #calls: Calls;
  readonly #open = new Map<string, Page>();
  /** Who wait for one to open. */
  readonly #expecting = new Set<() => void>();

  constructor(version: string, desk: Desk, call: UiOptions['call']) {
    this.#version = version;
    this.#desk = desk;
    this.#calls = new Calls({ changed: () => this.#tell('calls'), call });
  }

  get view(): View {
    return { ...this.#desk.view, calls: this.#calls.all };
  }

  /** A part of the picture is another one. */
  changed(part: keyof DeskView): void {
    if (part === 'questions' || part === 'transfers' || part === 'messages')
      this.#calls.look(this.#desk.view);
    this.#tell(part);
  }

  /** How it stands with a page. Throws `usage` if there is no such page. */
  sight(name: string, sight: Sight): void {
    this.#calls.page(this.#named(name).name, sight);
  }

  /** What a page hears; one that comes back in time is the same page, and goes on lending. */
  stream(call: Call): Answer {
    const before = this.#open.get(call.query.get('page') ?? '');
    if (before === undefined && this.#open.size >= MAX_PAGES)
      return refused(new DropError('busy', { message: 'There are too many windows open.' }));
    const page =
      before ??
      new Page({
        view: () => this.view,
        onAway: ({ name }) => this.#calls.page(name, undefined),
        onGone: ({ name }) => this.#open.delete(name),
      });
    const { name, lending } = page;
    this.#open.set(name, page);
    if (before === undefined) this.#welcome();
    const sight = v.safeParse(SightSchema, call.query.get('sight'));
    const hello = { event: 'hello', page: name, version: this.#version } as const;
    return {
      status: 200,
      type: 'application/x-ndjson',
      body: page.listen({ ...hello, loans: lending.loans }, call.signal, () =>
        this.#calls.page(name, sight.success ? sight.output : 'in-sight'),
      ),
    };
  }

  /** Resolves when a page opens, or none does any more; throws the reason of the signal. */
  async visited(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const come = (): void => {
        this.#expecting.delete(come);
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = (): void => {
        this.#expecting.delete(come);
        reject(signal.reason);
      };
      this.#expecting.add(come);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  /** Throws `usage` if no page lends that. */
  lending(loan: string): Lending {
    return this.#pageOf(loan).lending;
  }

  /** Throws `usage` if there is no such page. */
  lend(page: string, part: unknown): string {
    return this.#named(page).lending.add(part);
  }

  /** All of a loan, once that is known. */
  async take(loan: string): Promise<Loan> {
    const { name, lending } = this.#pageOf(loan);
    const entries = [...(await lending.take(loan))];
    const giveBack = (): void => {
      lending.giveBack(loan);
      // What is shown of a transfer may be all that holds on to it, for as long as it is shown.
      entries.length = 0;
    };
    return { page: name, entries, gone: lending.gone, giveBack };
  }

  close(): void {
    this.#welcome();
    for (const page of this.#open.values()) page.leave();
  }

  #welcome(): void {
    for (const come of this.#expecting) come();
  }

  #tell(part: keyof View): void {
    for (const page of this.#open.values()) page.changed(part);
  }

  #named(name: string): Page {
    const page = this.#open.get(name);
    if (page === undefined) throw new DropError('usage', { message: 'That page is not open.' });
    return page;
  }

  #pageOf(loan: string): Page {
    for (const page of this.#open.values()) if (page.lending.has(loan)) return page;
    throw new DropError('usage', { message: 'Nothing of that name is lent.' });
  }
}

interface PageOptions {
  readonly view: () => View;
  /** It does not listen just now. */
  readonly onAway: (page: Page) => void;
  /** It does not come back. */
  readonly onGone: (page: Page) => void;
}

/** One page, as long as it is open somewhere. */
class Page {
  readonly name = randomBytes(8).toString('hex');
  readonly lending = new Lending((wish) => this.#say(wish));
  readonly #options: PageOptions;
  #line: Line<PageEvent> | undefined;
  #leaving: NodeJS.Timeout | undefined;
  /** What has changed and was not told yet. */
  readonly #stale = new Set<keyof View>();
  #telling: NodeJS.Timeout | undefined;

  constructor(options: PageOptions) {
    this.#options = options;
  }

  /** What the page is told from now on, as long as it listens. */
  async *listen(
    hello: PageEvent,
    signal: AbortSignal,
    onHeard: () => void,
  ): AsyncGenerator<Uint8Array> {
    clearTimeout(this.#leaving);
    this.#line?.end();
    const line = new Line(merged);
    this.#line = line;
    this.#stale.clear();
    line.say(hello);
    line.say({ event: 'view', ...this.#options.view() });
    this.lending.resumed();
    onHeard();
    try {
      yield* line.heard(signal);
    } finally {
      // Another one may have taken its place.
      if (this.#line === line) {
        this.#line = undefined;
        this.lending.pause();
        this.#options.onAway(this);
        this.#leaving = setTimeout(() => this.leave(), PAGE_GRACE);
      }
    }
  }

  /** Tells what has changed, but not more often than people can see. */
  changed(part: keyof View): void {
    if (this.#line === undefined) return;
    this.#stale.add(part);
    this.#telling ??= setTimeout(() => {
      this.#telling = undefined;
      const view = this.#options.view();
      const changed = Object.fromEntries(Array.from(this.#stale, (name) => [name, view[name]]));
      this.#stale.clear();
      this.#say({ event: 'view', ...changed });
    }, BETWEEN_VIEWS);
  }

  /** It does not come back. */
  leave(): void {
    clearTimeout(this.#leaving);
    clearTimeout(this.#telling);
    this.#line?.end();
    // Nobody waits for it to come back.
    this.#line = undefined;
    this.lending.close(new DropError('disconnected', { message: 'The page was closed.' }));
    this.#options.onGone(this);
  }

  #say(event: PageEvent): void {
    this.#line?.say(event);
  }
}

/** Of two pictures of the same part, the later one is enough. */
function merged(before: PageEvent, event: PageEvent): PageEvent | undefined {
  return before.event === 'view' && event.event === 'view' ? { ...before, ...event } : undefined;
}

/** What a page is made of. It holds no secret, so whoever is on this computer may have it. */
class Assets {
  readonly #all: ReadonlyMap<string, Answer>;

  private constructor(all: ReadonlyMap<string, Answer>) {
    this.#all = all;
  }

  static async load(): Promise<Assets> {
    const files = Object.entries(PAGE_FILES).map(
      async ([name, type]): Promise<[string, Answer]> => {
        const body = await readAsset(name);
        return [`/${name}`, { status: 200, type, body }];
      },
    );
    const all = new Map(await Promise.all(files));
    return new Assets(all.set('/', all.get('/index.html') as Answer));
  }

  get({ method, path }: Call): Answer | undefined {
    return method === 'GET' || method === 'HEAD' ? this.#all.get(path) : undefined;
  }
}

const SightSchema = v.picklist(['in-sight', 'calling', 'silent'] satisfies Sight[]);

const PAGE_FILES = {
  'index.html': 'text/html; charset=utf-8',
  'style.css': 'text/css; charset=utf-8',
  'app.js': 'text/javascript; charset=utf-8',
  'icon.svg': 'image/svg+xml',
} as const;

/** What commands take and do, and give, if they give something. */
const COMMANDS: {
  readonly [Name in keyof Commands]: {
    readonly takes: v.GenericSchema<unknown, unknown>;
    readonly does: (
      at: { readonly desk: Desk; readonly pages: Pages; readonly call: Call },
      given: Commands[Name]['takes'],
    ) => unknown;
  };
} = {
  lend: {
    // What is lent is looked at where it is kept.
    takes: v.looseObject({ page: v.string() }),
    does: ({ pages }, { page, ...part }) => ({ loan: pages.lend(page, part) }),
  },
  'lend-failed': {
    takes: v.looseObject({ page: v.string(), loan: v.string() }),
    does: ({ pages }, { page: _, ...report }) => pages.lending(report.loan).failed(report),
  },
  send: {
    takes: v.strictObject({
      to: v.pipe(v.array(v.string()), v.minLength(1), v.maxLength(MAX_SENT_TO)),
      loan: v.optional(v.string()),
      text: v.optional(v.string()),
    }),
    async does({ desk, pages }, { to, loan, text }) {
      const taken = loan === undefined ? undefined : await pages.take(loan);
      try {
        desk.send(to, { text, loan: taken });
      } catch (error) {
        taken?.giveBack();
        throw error;
      }
    },
  },
  get: {
    takes: v.strictObject({ from: v.string() }),
    does: ({ desk }, { from }) => desk.get(from),
  },
  share: {
    takes: v.strictObject({ loan: v.string() }),
    does: async ({ desk, pages }, { loan }) => desk.share(await pages.take(loan)),
  },
  'end-sharing': {
    takes: v.strictObject({ id: v.string() }),
    does: ({ desk }, { id }) => desk.endSharing(id),
  },
  sight: {
    takes: v.strictObject({ page: v.string(), sight: SightSchema }),
    does: ({ pages }, { page, sight }) => pages.sight(page, sight),
  },
  answer: {
    takes: v.strictObject({ question: v.string(), answer: v.unknown() }),
    does: ({ desk }, { question, answer }) => desk.answer(question, answer),
  },
  pause: {
    takes: v.strictObject({ transfer: v.string() }),
    does: ({ desk }, { transfer }) => desk.pause(transfer),
  },
  resume: {
    takes: v.strictObject({ transfer: v.string() }),
    does: ({ desk }, { transfer }) => desk.resume(transfer),
  },
  cancel: {
    takes: v.strictObject({ transfer: v.string() }),
    does: ({ desk }, { transfer }) => desk.cancel(transfer),
  },
  dismiss: {
    takes: v.strictObject({ id: v.string() }),
    does: ({ desk }, { id }) => desk.dismiss(id),
  },
  open: {
    takes: v.strictObject({ transfer: v.optional(v.string()) }),
    does: ({ desk }) => desk.open(),
  },
  rename: {
    takes: v.strictObject({ id: v.string(), name: v.string() }),
    does: ({ desk }, { id, name }) => desk.rename(id, name),
  },
  trust: {
    takes: v.strictObject({ id: v.string(), trust: v.picklist(['ask', 'auto', 'blocked']) }),
    does: ({ desk }, { id, trust }) => desk.trust(id, trust),
  },
  forget: {
    takes: v.strictObject({ id: v.string() }),
    does: ({ desk }, { id }) => desk.forget(id),
  },
  'clear-history': {
    takes: v.strictObject({}),
    does: ({ desk }) => desk.clearHistory(),
  },
  doctor: {
    takes: v.strictObject({}),
    does: ({ desk, call }) => desk.doctor(call.signal),
  },
};

function refused(error: DropError): Answer {
  const status = error.code === 'usage' ? 400 : error.exit === 1 ? 500 : 409;
  return jsonAnswer(saidOf(error), status);
}

/** A page that leads to another one at once. Where that is, is no secret to whoever can read this. */
function leadingTo(url: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url=${url}">
<title>drop</title>
<p><a href="${url}">Open drop</a></p>
</html>
`;
}

/** Only so are we called; whatever else leads here is a name that somebody gave us. */
function isOurs(host: string, port: number): boolean {
  return host === `${LOOPBACK}:${port}` || host === `localhost:${port}`;
}

const API = '/api/';
const PROOF = '/proof/';

/** Milliseconds between two pictures. */
const BETWEEN_VIEWS = 100;
