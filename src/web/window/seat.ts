import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { resolve } from 'node:path';
import * as v from 'valibot';
import { DropError, type Note, openNote } from '../../index.ts';
import { MAX_PROOF, PROOF_LIMIT } from '../../limits.ts';
import { isSameSecret } from '../door.ts';
import type { DeskOptions } from './desk.ts';

/** How a window was started, as far as somebody may have wished for it. */
type Wishes = Pick<DeskOptions, 'name' | 'into' | 'interfaces'> & {
  readonly port?: number | undefined;
};

/** A window that can be opened. */
export interface Place {
  readonly port: number;
  readonly token: string;
}

/** The address that a window is opened by, which is a secret. */
export function linkTo({ port, token }: Place): string {
  return `http://${LOOPBACK}:${port}/#${token}`;
}

/**
 * Shows that a window knows its token, to whoever knows it too, and tells it to nobody. The port is
 * in it, so that nobody can have it answered by the window at another one.
 */
export function proofOf({ port, token }: Place, nonce: string): string {
  return createHmac('sha256', token).update(`${port} ${nonce}`).digest('base64url');
}

/** What may be asked for by the way of a proof. */
export const NONCE = /^[\w-]{22}$/;

/**
 * The one window of an account. Its place stands in a note for this account alone, and is believed
 * when whoever listens there has proven to know what the note says: after a crash that port may be
 * somebody else's.
 *
 * All of it is a courtesy: where the note cannot be read or written, there may be two windows.
 */
export class Seat {
  readonly #note: Note | undefined;
  readonly #wishes: Wishes;
  #place: Place | undefined;
  /** The port of the window before, which a browser may remember by what it was allowed. */
  lastPort: number | undefined;

  private constructor(note: Note | undefined, wishes: Wishes) {
    this.#note = note;
    this.#wishes = wishes;
  }

  static async find({
    home,
    ...wishes
  }: Wishes & { readonly home?: string | undefined }): Promise<Seat> {
    return new Seat(await openNote('window', { home }).catch(() => undefined), wishes);
  }

  /**
   * The window that is there already. Throws `usage` if it was started in another way than is wished
   * for now.
   */
  async taken(): Promise<Place | undefined> {
    const text = await this.#note?.read().catch(() => undefined);
    const said = text === undefined ? undefined : parse(text);
    this.lastPort = said?.port;
    if (said?.window === undefined) return undefined;
    const { port, window } = said;
    const place = { port, token: window.token };
    if (!(await isThere(place))) return undefined;
    ensureSame(this.#wishes, { port, ...window });
    return place;
  }

  /** Takes it; or returns the window that was quicker. */
  async take(place: Place): Promise<Place | undefined> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const isOurs = await this.#write(place, { token: place.token, ...asNoted(this.#wishes) });
      if (isOurs) {
        this.#place = place;
        return undefined;
      }
      const quicker = await this.taken();
      if (quicker !== undefined) return quicker;
    }
    return undefined;
  }

  /** Leaves it to others. Nobody takes it before, as long as we answer. */
  async leave(): Promise<void> {
    if (this.#place !== undefined) await this.#write(this.#place);
  }

  async #write(
    { port }: Place,
    window?: v.InferOutput<typeof NoteSchema>['window'],
  ): Promise<boolean> {
    const text = `${JSON.stringify({ v: 1, port, ...(window && { window }) })}\n`;
    return (await this.#note?.write(text).catch(() => true)) ?? true;
  }
}

/** What hears of a page. */
export interface Listening {
  /** Resolves when one opens; throws if the window ends, or nobody listens any more. */
  readonly page: Promise<void>;
}

export function listeningTo(page: Promise<void>): Listening {
  page.catch(() => {}); // Whoever waits for it hears of it.
  return { page };
}

/**
 * Hears of the next page that opens of a window that has proven to be there. It resolves when that
 * one was asked: whatever opens from then on comes there later than we.
 */
export async function listen(place: Place, signal: AbortSignal): Promise<Listening> {
  const headers = { authorization: `Bearer ${place.token}` };
  const asked = ask(place.port, VISIT, { headers, signal });
  const listening = listeningTo(visited(asked));
  await Promise.race([once(asked, 'finish'), listening.page]).catch(() => {});
  return listening;
}

async function visited(asked: ClientRequest): Promise<void> {
  const answer = await answerTo(asked);
  if (answer.statusCode !== 200) throw new DropError('disconnected');
  answer.resume();
  await once(answer, 'end');
}

/** Is answered when a page opens. */
export const VISIT = '/api/visit';

export const LOOPBACK = '127.0.0.1';

/** Whether whoever listens there knows the token; it is not told. */
async function isThere(place: Place): Promise<boolean> {
  const nonce = randomBytes(16).toString('base64url');
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(), PROOF_LIMIT);
  try {
    const answer = await answerTo(ask(place.port, `/proof/${nonce}`, { signal: over.signal }));
    let said = '';
    for await (const piece of answer) {
      said += piece;
      if (said.length > MAX_PROOF) return false;
    }
    return isSameSecret(said, proofOf(place, nonce));
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
    over.abort();
  }
}

function ask(
  port: number,
  path: string,
  options: { readonly headers?: Record<string, string>; readonly signal: AbortSignal },
): ClientRequest {
  const asked = request({ host: LOOPBACK, port, path, agent: false, ...options }).end();
  return asked.on('error', () => {}); // Whoever waits for the answer hears of it.
}

async function answerTo(asked: ClientRequest): Promise<IncomingMessage> {
  const [answer] = await once(asked, 'response');
  return answer;
}

/** Throws `usage` for what the window that is there cannot do as it is wished. */
function ensureSame({ port, ...wishes }: Wishes, there: Noted & { readonly port: number }): void {
  const wished = asNoted(wishes);
  const differs = (name: keyof Noted): boolean =>
    wished[name] !== null && String(wished[name]) !== String(there[name]);
  const option =
    port !== undefined && port !== there.port
      ? '--port'
      : differs('into')
        ? '--into'
        : differs('name')
          ? '--name'
          : differs('interfaces')
            ? '--interface'
            : undefined;
  if (option !== undefined)
    throw new DropError('usage', {
      message: `Your window runs already, with another ${option} than this.`,
      hint: `End it first, or leave out ${option}: drop ui then opens it.`,
    });
}

type Noted = Omit<NonNullable<v.InferOutput<typeof NoteSchema>['window']>, 'token'>;

function asNoted({ name, into, interfaces }: Wishes): Noted {
  return {
    name: name ?? null,
    into: into === undefined ? null : resolve(into),
    interfaces: interfaces?.toSorted() ?? null,
  };
}

const NoteSchema = v.strictObject({
  v: v.literal(1),
  port: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535)),
  /** None where nobody sits there now. */
  window: v.exactOptional(
    v.strictObject({
      token: v.string(),
      name: v.nullable(v.string()),
      into: v.nullable(v.string()),
      interfaces: v.nullable(v.array(v.string())),
    }),
  ),
});

function parse(text: string): v.InferOutput<typeof NoteSchema> | undefined {
  try {
    const { success, output } = v.safeParse(NoteSchema, JSON.parse(text));
    return success ? output : undefined;
  } catch {
    return undefined;
  }
}

/** How often it is tried to be quicker than others. */
const MAX_ATTEMPTS = 4;
