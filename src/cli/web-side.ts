import type { ReachableEvent, ReceiveEvent, ShareEvent } from '../index.ts';
import type { WebLink, WebLinkOptions } from '../web/guests/link.ts';
import type { Context } from './context.ts';
import { UsageError } from './orders.ts';
import { failureOf } from './outcome.ts';

type ReadyEvent = Extract<ShareEvent | ReceiveEvent, { event: 'ready' }>;

/** What is known when the link is opened. */
export interface LinkBasics extends Pick<WebLinkOptions, 'interfaces' | 'pin' | 'onBug'> {
  /** This device, as others see it. */
  readonly name: string;
}

/** The link for browsers that a command opens beside what it does by itself. */
export class WebSide {
  readonly #context: Context;
  readonly #open: (basics: LinkBasics) => Promise<WebLink>;
  #link: WebLink | undefined;
  #shown: string | undefined;

  /**
   * Throws a `UsageError` if there is nobody to show the link to: whoever reads it can use it, so it
   * appears where a code would.
   */
  constructor(context: Context, json: boolean, open: (basics: LinkBasics) => Promise<WebLink>) {
    if (!json && !context.io.stderr.isTTY)
      throw new UsageError(
        'There is no terminal to show the link of --web on.',
        'Run it in one, or read the link from --json: it is in the event `ready`.',
      );
    this.#context = context;
    this.#open = open;
  }

  /** Shows that this device is ready, and opens the link first. `pin`: the one that was chosen. */
  async ready(event: ReadyEvent, pin: string | true | undefined): Promise<void> {
    const { face, common, library } = this.#context;
    this.#link = await this.#open({
      name: event.name,
      interfaces: common.interfaces,
      pin: pin === true ? (event.code ?? undefined) : pin,
      onBug: (error) => face.fail(failureOf(error, library)),
    });
    await this.#show(event);
  }

  /** Shows where this device is by now, and the link with it. */
  reachable(event: ReachableEvent): Promise<void> {
    return this.#show(event);
  }

  async close(): Promise<void> {
    await this.#link?.close();
  }

  async #show(event: ReadyEvent | ReachableEvent): Promise<void> {
    const { face } = this.#context;
    const [web] = this.#link?.at(event.addresses) ?? [];
    if (web !== undefined && web !== this.#shown) {
      this.#shown = web;
      const { qrLines } = await import('../web/guests/qr.ts');
      face.picture((room) => qrLines(web, room));
    }
    face.show(web === undefined ? event : { ...event, web });
    if (web === undefined && event.addresses.length > 0)
      face.say('No browser can reach it: this computer has no address but link-local ones.');
  }
}
