import { setTimeout as sleep } from 'node:timers/promises';
import type { Calling } from '../web/window/calls.ts';
import type { OpenWindow } from '../web/window/ui.ts';
import type { Context } from './context.ts';
import { Bell, type Notice } from './notices.ts';
import { type UiOrder, UsageError } from './orders.ts';
import { failureOf } from './outcome.ts';
import { readVersion } from './version.ts';

/**
 * `drop ui`: opens the window, and works behind it until Ctrl-C. Where another process does that
 * already, it opens that window and ends.
 */
export async function ui(order: UiOrder, context: Context): Promise<number> {
  const { face, common, library } = context;
  const { json, name, into, port } = order;
  const unopened = new AbortController();
  const signal = AbortSignal.any([common.signal, unopened.signal]);
  let link = '';
  let showing: Promise<void> = Promise.resolve();
  const bell = new Bell<Calling>(order, context, noticeOf);
  ensureReader(order, context, order.open);
  const { runUi } = await import('../web/window/ui.ts');
  try {
    await runUi({
      ...common,
      ...{ signal, name, into, port },
      version: readVersion(),
      tell: json
        ? (event) => face.show(event.event === 'ready' ? { ...event, url: link } : event)
        : undefined,
      onReady(url, window) {
        link = url;
        showing = show(url, window, order, context).catch((error) => unopened.abort(error));
      },
      call(calling) {
        if (calling.asks) face.say(`${calling.title}. Answer it in the window: drop ui`);
        bell.ring(calling);
      },
      onClosed: (error) => face.fail(failureOf(error, library)),
      onBug: (error) => face.fail(failureOf(error, library)),
    });
  } finally {
    await showing;
    bell.close();
  }
  if (unopened.signal.aborted) throw unopened.signal.reason;
  return 0;
}

/** What waits in the window, for a person who has no page of it, or none that may call. */
function noticeOf(callings: readonly Calling[]): Notice {
  const asking = callings.filter(({ asks }) => asks);
  const [first = { title: '', body: '' }] = asking.length > 0 ? asking : callings;
  const more = callings.length > 1 ? `, and ${callings.length - 1} more` : '';
  const answer = asking.length > 0 ? ['Answer it in the window: drop ui'] : [];
  const body = [first.body, ...answer].join('\n');
  return { title: `${first.title}${more}`, body, category: 'transfer' };
}

/** Opens a browser, or has the person do so; and clears away what was needed for it. */
async function show(
  url: string,
  { elsewhere, listen }: OpenWindow,
  order: UiOrder,
  context: Context,
): Promise<void> {
  const { face, common } = context;
  if (elsewhere && order.json) face.show({ event: 'running', url });
  const { openLink } = await import('../web/window/ui.ts');
  const left = new AbortController();
  const signal = AbortSignal.any([common.signal, left.signal]);
  let { opened, forget } = NOT_OPENED;
  try {
    // Before there is a browser: its page may open before we do anything else.
    const listening = order.open ? await listen(signal) : undefined;
    if (order.open) ({ opened, forget } = await openLink(url));
    ensureReader(order, context, opened);
    if (elsewhere && opened) face.say('Your window runs already, and opens in your browser.');
    else if (elsewhere)
      face.say('Your window runs already. Open this in a browser on this computer:');
    else if (opened) face.say('The window opens in your browser. If it does not:');
    else face.say('Open this in a browser on this computer:');
    if (context.io.stderr.isTTY && !(elsewhere && opened)) face.say(url, 'need');
    if (!elsewhere) face.busy('The window is there. Ctrl-C ends it.');
    if (opened) await readBy(listening?.page, signal);
  } finally {
    left.abort();
    await forget();
  }
}

/** Resolves when the page has opened, or no browser needs longer. */
async function readBy(page: Promise<void> | undefined, signal: AbortSignal): Promise<void> {
  const late = sleep(READ_BY_THEN, undefined, { signal });
  await Promise.any([page, late]).catch(() => {});
}

/**
 * Whoever has the link can do all that we can: it is for the eyes of a person, or for the program that
 * started us, and for no log. Throws a `UsageError` if nobody could open the window.
 */
function ensureReader({ json }: UiOrder, { io }: Context, opened: boolean): void {
  if (opened || json || io.stderr.isTTY) return;
  throw new UsageError(
    'There is no terminal to show the link of the window on.',
    'Run it in a terminal, or with --json.',
  );
}

const NOT_OPENED = { opened: false, forget: async () => {} };

/** Milliseconds until a browser that is just being started has surely read where the window is. */
const READ_BY_THEN = 60_000;
