import type { Call, Sight } from '../../window/model.ts';
import { clean } from '../clean.ts';
import { button, byId, make, setText, show } from '../dom.ts';

export interface CallerOptions {
  /** Whether this page is in sight, or calls, has changed. */
  readonly onSight: () => void;
  /** A person has followed a call, and the page is in sight. */
  readonly onFollowed: (id: string) => void;
}

/**
 * Calls a person who looks elsewhere by notifications of the browser, if that person has asked for
 * it. The browser is only asked when somebody presses the button.
 */
export class Caller {
  readonly #options: CallerOptions;
  /** What is shown by the browser now, with its text. */
  readonly #shown = new Map<
    string,
    { readonly text: string; readonly notification: Notification }
  >();
  readonly #said = make('p', { class: 'note' });
  readonly #start: HTMLButtonElement;
  readonly #stop: HTMLButtonElement;
  readonly #row: HTMLElement;
  /** Some browsers have notifications and show none to a page like this, or keep nothing that was asked for. */
  #isAble = 'Notification' in globalThis && kept() !== undefined;

  constructor(options: CallerOptions) {
    this.#options = options;
    this.#start = button('Notify me', () => void this.#ask(), 'quiet');
    this.#stop = button('Stop notifying', () => this.#choose(false), 'quiet');
    this.#row = make('div', { class: 'calling' }, this.#said, this.#start, this.#stop);
    byId('here').append(this.#row);
    document.addEventListener('visibilitychange', () => options.onSight());
    // What nobody listens to any more leads nowhere.
    addEventListener('pagehide', () => this.#closeAll());
    void this.#watch();
    this.#draw();
  }

  get sight(): Sight {
    if (document.visibilityState === 'visible') return 'in-sight';
    return this.#isOn ? 'calling' : 'silent';
  }

  /** What this page is to call out. */
  update(calls: readonly Call[]): void {
    for (const [id, { notification }] of this.#shown) {
      if (calls.some((call) => call.id === id)) continue;
      notification.close();
      this.#shown.delete(id);
    }
    // The server may not have heard yet that this page is in sight.
    if (this.sight === 'calling') for (const call of calls) this.#call(call);
  }

  get #isOn(): boolean {
    return this.#isAble && isWanted() && Notification.permission === 'granted';
  }

  #call({ id, title, body }: Call): void {
    const text = `${title}\n${body}`;
    if (this.#shown.get(id)?.text === text) return;
    try {
      // Of the same tag, it takes the place of the one before, without another sound.
      const notification = new Notification(clean(title), { body: clean(body), tag: id });
      notification.onclick = () => {
        window.focus();
        notification.close();
        this.#options.onFollowed(id);
      };
      this.#shown.set(id, { text, notification });
    } catch {
      this.#isAble = false;
      this.#draw();
      this.#options.onSight();
    }
  }

  #closeAll(): void {
    for (const { notification } of this.#shown.values()) notification.close();
    this.#shown.clear();
  }

  async #ask(): Promise<void> {
    await Notification.requestPermission();
    this.#choose(true);
  }

  #choose(isWanted: boolean): void {
    if (isWanted) kept()?.setItem(WANTED, 'yes');
    else kept()?.removeItem(WANTED);
    if (!isWanted) this.#closeAll();
    this.#draw();
    (this.#isOn ? this.#stop : this.#start).focus();
    this.#options.onSight();
  }

  /** The browser may be told otherwise in its settings. */
  async #watch(): Promise<void> {
    const status = await navigator.permissions
      ?.query({ name: 'notifications' })
      .catch(() => undefined);
    status?.addEventListener('change', () => {
      this.#draw();
      this.#options.onSight();
    });
  }

  #draw(): void {
    show(this.#row, this.#isAble);
    if (!this.#isAble) return;
    const isDenied = isWanted() && Notification.permission === 'denied';
    setText(this.#said, isDenied ? DENIED : this.#isOn ? IS_ON : IS_OFF);
    show(this.#start, !this.#isOn);
    show(this.#stop, this.#isOn);
  }
}

const IS_OFF = 'Your browser can tell you when somebody asks while you look elsewhere.';
const IS_ON = 'Your browser tells you when somebody asks while you look elsewhere.';
const DENIED =
  'Your browser blocks notifications of this page. Allow them beside its address, and try again.';

/**
 * Whether somebody has asked for it here. That the browser allows it is not enough: it may have been
 * asked by something else that had this address once.
 */
function isWanted(): boolean {
  return typeof kept()?.getItem(WANTED) === 'string';
}

/** What the browser keeps for this address; undefined if it is told to keep nothing. */
function kept(): Storage | undefined {
  try {
    return localStorage;
  } catch {
    return undefined;
  }
}

const WANTED = 'notify';
