import { randomBytes } from 'node:crypto';
import { formatCount } from '../../figures.ts';
import { CodeGuard, DropError, isPin, normalizeCode } from '../../index.ts';
import {
  CODE_LIMITS,
  MAX_FORM,
  MAX_PIN,
  MAX_SOURCES,
  MAX_WRONG_PAGE_PINS,
  MIN_PIN,
} from '../../limits.ts';
import { type Answer, type Call, isSameSecret, readBody } from '../door.ts';
import { html, pageAnswer } from './html.ts';

/**
 * Lets in whoever has the PIN: a browser by a form, after which it is known by a cookie, and other
 * programs by the password that goes with a request. Wrong ones are counted as for a device, of
 * each source by itself, lest one of a class locks out the others, and of all together.
 */
export class Gate {
  readonly #pin: string;
  readonly #root: string;
  /** What a browser shows that was let in; the same for all, so nothing is to be remembered. */
  readonly #pass = randomBytes(16).toString('base64url');
  readonly #all: CodeGuard;
  readonly #each = new Map<string, CodeGuard>();

  /** `root` is the path of the link. Throws `usage` if that cannot be a PIN. */
  constructor(pin: string, root: string) {
    if (!isPin(pin))
      throw new DropError('usage', {
        message: 'The PIN is too short or too long.',
        hint: `It needs ${MIN_PIN} to ${MAX_PIN} characters, blanks and dashes not counted.`,
      });
    this.#pin = normalizeCode(pin);
    this.#root = root;
    this.#all = new CodeGuard(
      () => this.#pin,
      { ...CODE_LIMITS, gap: 0, maxGap: 0, wrongInAll: MAX_WRONG_PAGE_PINS },
      'pin',
    );
  }

  /** Has `answer` answer a call if it may come in, else asks for the PIN or says why not. */
  async pass<C extends Call>(call: C, answer: (call: C) => Promise<Answer>): Promise<Answer> {
    const isForm = call.path === PATH;
    const shown = passOf(call);
    if (shown !== undefined && isSameSecret(shown, this.#pass))
      return isForm ? this.#enter() : answer(call);
    const password = passwordOf(call);
    if (password !== undefined) {
      const verdict = this.#judge(password, call.remote);
      return verdict === 'right' ? answer(call) : this.#refuse(call, verdict);
    }
    if (!isForm || call.method !== 'POST') return this.#refuse(call, 'missing');
    const given = new URLSearchParams((await readBody(call, MAX_FORM)).toString()).get('pin') ?? '';
    const verdict = given.trim() === '' ? 'missing' : this.#judge(given, call.remote);
    return verdict === 'right' ? this.#enter() : this.#refuse(call, verdict);
  }

  #judge(given: string, source: string): Verdict {
    const now = performance.now();
    const guards = [this.#guardOf(source), this.#all];
    const verdicts = guards.map((guard) => guard.judges(guard.epoch, now));
    if (verdicts.includes('locked')) return 'locked';
    if (verdicts.includes('not-yet')) return 'not-yet';
    if (isSameSecret(normalizeCode(given), this.#pin)) return 'right';
    for (const guard of guards) guard.wrong(now);
    return 'wrong';
  }

  /** How long no PIN of this source is looked at, in whole seconds. */
  #secondsFor(source: string): number {
    const from = Math.max(this.#each.get(source)?.judgesFrom ?? 0, this.#all.judgesFrom);
    return Math.max(0, Math.ceil((from - performance.now()) / 1000));
  }

  #guardOf(source: string): CodeGuard {
    const guard = this.#each.get(source) ?? new CodeGuard(() => this.#pin, CODE_LIMITS, 'pin');
    this.#each.delete(source);
    this.#each.set(source, guard);
    const [oldest] = this.#each.keys();
    // Whoever is forgotten begins anew, which the count of all bounds.
    if (this.#each.size > MAX_SOURCES && oldest !== undefined) this.#each.delete(oldest);
    return guard;
  }

  #enter(): Answer {
    const cookie = `${COOKIE}=${this.#pass}; Path=${this.#root}; HttpOnly; SameSite=Strict`;
    return { status: 303, headers: { Location: this.#root, 'Set-Cookie': cookie } };
  }

  #refuse(call: Call, verdict: Exclude<Verdict, 'right'>): Answer {
    const isLater = verdict === 'not-yet' || verdict === 'locked';
    const seconds = this.#secondsFor(call.remote);
    const said = sentenceOf(verdict, seconds);
    const status = isLater ? 429 : 401;
    const later = isLater ? { 'Retry-After': seconds } : {};
    // A browser would ask in a window of its own, which says nothing of what it is for.
    if (!isBrowser(call) && call.path !== PATH)
      return {
        status,
        type: 'text/plain; charset=utf-8',
        headers: isLater ? later : { 'WWW-Authenticate': CHALLENGE },
        body: `${said === '' ? 'This link needs a PIN, as the password: curl -u :PIN' : said}\n`,
      };
    const page = pageAnswer({
      title: 'PIN',
      root: this.#root,
      status,
      main: html`<h1>This link needs a PIN</h1>
<p>It is shown, or was chosen, at the computer that this link is of.</p>
${said === '' ? '' : html`<p class="trouble" role="alert">${said}</p>\n`}<form method="post" action="${this.#root}${PATH.slice(1)}">
<label for="pin">PIN</label>
<input id="pin" name="pin" type="password" maxlength="${MAX_PIN * 2}" autocomplete="off" required autofocus>
<button type="submit">Continue</button>
</form>`,
    });
    return { ...page, headers: later };
  }
}

type Verdict = 'right' | 'wrong' | 'missing' | 'not-yet' | 'locked';

/** What is said, if anything; `seconds`: until a PIN is looked at. */
function sentenceOf(verdict: Exclude<Verdict, 'right'>, seconds: number): string {
  const wait =
    seconds < 100 ? formatCount(seconds, 'second') : formatCount(Math.ceil(seconds / 60), 'minute');
  switch (verdict) {
    case 'missing':
      return '';
    case 'wrong':
      return `That was not the PIN. The next one is looked at in ${wait}.`;
    case 'not-yet':
      return `After a wrong PIN none is looked at for a while. Try again in ${wait}.`;
    case 'locked':
      return `There were too many wrong PINs. None is looked at for ${wait}.`;
  }
}

/** Where the form goes. */
const PATH = '/-/pin';
const COOKIE = 'drop-pin';
const CHALLENGE = 'Basic realm="drop: any name, and the PIN", charset="UTF-8"';

function passOf({ headers }: Call): string | undefined {
  const cookies = (headers.cookie ?? '').split(';').map((one) => one.trim());
  return cookies.find((one) => one.startsWith(`${COOKIE}=`))?.slice(COOKIE.length + 1);
}

/** As `curl -u :PIN` and `wget --password PIN` send it. */
function passwordOf({ headers }: Call): string | undefined {
  const [, encoded] = /^Basic ([\w+/=-]+)$/i.exec(headers.authorization ?? '') ?? [];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString();
  return text.slice(text.indexOf(':') + 1);
}

function isBrowser({ headers }: Call): boolean {
  return headers['sec-fetch-mode'] !== undefined || /text\/html/.test(headers.accept ?? '');
}
