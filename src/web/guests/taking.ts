import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import { DropError, forTerminal, type Hatch, type LentFile } from '../../index.ts';
import {
  MAX_GUEST_COMMAND,
  MAX_GUEST_PAGES,
  MAX_GUEST_PAGES_EACH,
  MAX_LENT_EACH,
  MAX_LENT_UNITS_EACH,
} from '../../limits.ts';
import { readAsset } from '../assets.ts';
import { type Answer, jsonAnswer, readJson } from '../door.ts';
import { Room } from '../lending.ts';
import { GUEST_COMMANDS, GuestPage, newVisitor } from './guest-page.ts';
import { type GuestCall, openWebLink, type WebLink, type WebLinkOptions } from './link.ts';
import { notFoundPage, TAKING_STYLE, takingPage } from './taking-page.ts';
import { UploadState } from './upload.ts';

export interface TakingOptions extends Omit<WebLinkOptions, 'answer'> {
  /** Where all goes that is brought. */
  readonly hatch: Hatch;
  /** This device, as others see it. */
  readonly name: string;
}

/**
 * Opens a link at which browsers upload files and folders, and `curl` single files. A browser is
 * asked for what is wanted as it is wanted, so nothing waits here, and what breaks off goes on.
 */
export async function openTaking(options: TakingOptions): Promise<WebLink> {
  const { hatch, name, ...linking } = options;
  const taking = new Taking({ hatch, name, onBug: options.onBug });
  const link = await openWebLink({ ...linking, answer: (call) => taking.answer(call) });
  return {
    ...link,
    async close() {
      await taking.close();
      await link.close();
    },
  };
}

interface Settings {
  readonly hatch: Hatch;
  readonly name: string;
  readonly onBug: (error: unknown) => void;
}

class Taking {
  readonly #settings: Settings;
  /** Those that were heard of last are at the end. */
  readonly #pages = new Map<string, GuestPage>();
  readonly #room = new Room();
  /** Files that come by themselves. */
  readonly #files = new Set<Promise<Answer>>();
  #isOver = false;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  async answer(call: GuestCall): Promise<Answer> {
    try {
      if (call.method === 'PUT') return await this.#put(call);
      if (call.method === 'POST') return await this.#command(call);
      return await this.#show(call);
    } catch (error) {
      if (error instanceof DropError) return refused(error);
      throw error;
    }
  }

  /** Lets all hear how it ended who are there. */
  async close(): Promise<void> {
    this.#isOver = true;
    const pages = [...this.#pages.values()].map((page) => page.leave('ended'));
    const stop = new AbortController();
    const heard = Promise.allSettled([...pages, ...this.#files]);
    await Promise.race([heard, sleep(LAST_WORDS, undefined, { signal: stop.signal })]);
    stop.abort();
  }

  async #show(call: GuestCall): Promise<Answer> {
    const { method, path, root, host } = call;
    const { name } = this.#settings;
    if (path === '/') return known(call, takingPage({ name, root, host }));
    if (path === '/upload.css') return { status: 200, type: TYPES.css, body: TAKING_STYLE };
    if (path === '/upload.js')
      return { status: 200, type: TYPES.js, body: await readAsset('upload.js') };
    if (path !== '/events' || method !== 'GET') return notFoundPage(root);
    const body = this.#pageFor(call).listen(call.signal);
    return { status: 200, type: 'application/x-ndjson', body };
  }

  /** The page that listens. One that comes back in time is the same, and goes on. */
  #pageFor(call: GuestCall): GuestPage {
    if (this.#isOver) throw new DropError('refused');
    const before = this.#pages.get(call.query.get('page') ?? '');
    const page = before && isOf(before, call) ? before : this.#newPage(call);
    this.#pages.delete(page.name);
    this.#pages.set(page.name, page);
    return page;
  }

  /** Where there is no room for one more, one gives way that does nothing, the oldest first. */
  #newPage(call: GuestCall): GuestPage {
    const all = [...this.#pages.values()];
    const hers = all.filter(({ source }) => source === call.remote);
    const crowd = hers.length >= MAX_GUEST_PAGES_EACH ? hers : all;
    if (crowd === hers || all.length >= MAX_GUEST_PAGES) {
      const idle = crowd.find(({ isBusy }) => !isBusy);
      if (idle === undefined) throw new DropError('busy', { message: 'Too many send at once.' });
      void idle.leave('crowded');
    }
    const each = { entries: MAX_LENT_EACH, units: MAX_LENT_UNITS_EACH, within: this.#room };
    return new GuestPage({
      ...this.#settings,
      room: hers[0]?.room ?? new Room(each),
      source: call.remote,
      visitor: visitorOf(call),
      onGone: (page) => this.#pages.delete(page.name),
    });
  }

  async #command(call: GuestCall): Promise<Answer> {
    const name = call.path.slice(1);
    if (!isCommand(name)) return { status: 404 };
    const given = await readJson(call, MAX_GUEST_COMMAND);
    const page = this.#pages.get(parsed(v.looseObject({ page: v.string() }), given).page);
    if (page === undefined || !isOf(page, call)) throw usage('That page is not open.');
    switch (name) {
      case 'lend':
        return jsonAnswer(page.lend(given));
      case 'lend-failed':
        page.lending.failed(given);
        break;
      case 'bring':
        await this.#takeOver(page);
        await page.bring(parsed(GUEST_COMMANDS.bring, given).loan, call.remote);
        break;
      case 'cancel':
        page.cancel(parsed(GUEST_COMMANDS.cancel, given).loan);
    }
    return jsonAnswer({});
  }

  /**
   * Whoever sends at another page of the same browser has closed those that are away: what broke off
   * there is not waited for, and can be gone on with here.
   */
  async #takeOver(page: GuestPage): Promise<void> {
    for (const other of [...this.#pages.values()]) {
      const isHers = other.visitor !== undefined && other.visitor === page.visitor;
      if (other !== page && isHers && other.isAway) await other.leave();
    }
  }

  async #put(call: GuestCall): Promise<Answer> {
    const [, first = '', loan, batch, ...more] = call.path.split('/');
    if (loan === undefined) return this.#takeFile(call, first);
    if (first !== 'lend' || batch === undefined || more.length > 0)
      return textAnswer(404, 'Put it right behind the link: a single file goes into no folder.');
    for (const page of this.#pages.values())
      if (page.lending.has(loan) && isOf(page, call)) {
        await page.lending.put(loan, batch, call.body);
        return jsonAnswer({});
      }
    throw usage('Nothing of that name is lent.');
  }

  /** One file in one request, as `curl -T` sends it. */
  #takeFile(call: GuestCall, name: string): Promise<Answer> {
    const taking = this.#bringFile(call, name).finally(() => this.#files.delete(taking));
    this.#files.add(taking);
    return taking;
  }

  async #bringFile(call: GuestCall, name: string): Promise<Answer> {
    const path = decoded(name);
    const length = call.headers['content-length'] ?? '';
    if (path === undefined) return textAnswer(400, 'Say what it is called, behind the last slash.');
    if (!/^\d{1,15}$/.test(length)) return textAnswer(411, 'Say how long it is.');
    const stop = new AbortController();
    call.signal.addEventListener('abort', () => stop.abort(new DropError('disconnected')));
    const source = call.remote;
    const visitor = { name: `Browser at ${source}`, source, secret: newVisitor() };
    const file = fileIn(call, path, Number(length));
    const state = new UploadState('');
    const bringing = this.#settings.hatch.bring([file], visitor, { signal: stop.signal });
    await state.follow(bringing, () => {});
    const { state: how, message, failures, same } = state.upload;
    if (how === 'declined') return textAnswer(403, message);
    if (how !== 'done') return textAnswer(500, failures[0]?.message ?? message);
    const what = `${forTerminal(path)} is ${same > 0 ? 'there already' : 'saved'}`;
    return textAnswer(201, `${what} on "${forTerminal(this.#settings.name)}".`);
  }
}

/** Milliseconds for the last words to all who listen. */
const LAST_WORDS = 1_000;

const TYPES = { js: 'text/javascript; charset=utf-8', css: 'text/css; charset=utf-8' } as const;

/** The file that is the body of a request, which can be read only once. */
function fileIn(call: GuestCall, path: string, size: number): LentFile {
  return { kind: 'file', path, size, mtime: Date.now(), once: true, read: () => call.body };
}

/** A name in an address; undefined if it is none. */
function decoded(name: string): string | undefined {
  try {
    const path = decodeURIComponent(name);
    return path === '' || path.includes('/') ? undefined : path;
  } catch {
    return undefined; // It is no UTF-8.
  }
}

/** The answer, with which the browser gets something that it is known by. */
function known(call: GuestCall, answer: Answer): Answer {
  if (visitorOf(call) !== undefined) return answer;
  const cookie = `${COOKIE}=${newVisitor()}; Path=${call.root}; HttpOnly; SameSite=Strict`;
  return { ...answer, headers: { ...answer.headers, 'Set-Cookie': cookie } };
}

/** Some browsers keep nothing. */
function visitorOf({ headers }: GuestCall): string | undefined {
  return new RegExp(`(?:^|; *)${COOKIE}=([\\w-]{22})(?:;|$)`).exec(headers.cookie ?? '')?.[1];
}

const COOKIE = 'drop-visitor';

function isOf(page: GuestPage, call: GuestCall): boolean {
  return page.visitor === visitorOf(call);
}

function isCommand(name: string): name is keyof typeof GUEST_COMMANDS {
  return Object.hasOwn(GUEST_COMMANDS, name);
}

function parsed<Schema extends v.GenericSchema>(
  schema: Schema,
  value: unknown,
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, value);
  if (!result.success) throw usage('That is no such command.');
  return result.output;
}

function usage(message: string): DropError {
  return new DropError('usage', { message, hint: undefined });
}

function refused({ code, message }: DropError): Answer {
  const status = { usage: 400, busy: 503, disconnected: 410 }[String(code)] ?? 409;
  return jsonAnswer({ code, message }, status);
}

function textAnswer(status: number, text: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body: `${text}\n` };
}
