import type { Accept, ReceiveOptions, Summary } from '../index.ts';
import type { ReceiveOrder } from './arguments.ts';
import { type Asker, Left } from './asker.ts';
import type { Context } from './context.ts';
import { exitOfSummary } from './outcome.ts';

/** How long a question waits for a person, in milliseconds; then the answer is no. */
const ANSWER_WITHIN = 120_000;

/** The same where a device asks to be called back: it waits for no longer than this. */
const AGREE_WITHIN = 60_000;

/** `drop receive`: waits, asks, and shows what arrives. */
export async function receive(order: ReceiveOrder, context: Context): Promise<number> {
  const { library, face, common } = context;
  const { into, name, as, once, port, onConflict } = order;
  let last: Summary | undefined;
  const options = { ...common, into, name, as, once, port, onConflict };
  for await (const event of library.receive({
    ...options,
    newcomers: letsNewcomersIn(order, context),
    accept: acceptBy(order, context),
    agree: agreeBy(order, context),
  })) {
    face.show(event);
    if (event.event === 'ready') face.busy('Waiting for files. Ctrl-C ends it.');
    // One that broke off does not count where another came to its end.
    if (event.event === 'summary' && (last === undefined || event.code !== 'disconnected'))
      last = event;
  }
  return last === undefined ? 0 : exitOfSummary(last, library);
}

/**
 * New devices need a code, and a code needs a reader: a person at the terminal, or the program
 * that reads our JSON. A log file is neither.
 */
function letsNewcomersIn({ json, yes }: ReceiveOrder, { io, asker }: Context): boolean {
  if (json) return yes;
  return !!io.stderr.isTTY && (asker !== undefined || yes);
}

/** Who says whether an offer is taken; nobody if nobody can. */
function acceptBy({ yes }: ReceiveOrder, context: Context): Accept | undefined {
  const { face, asker, words } = context;
  if (yes) return async () => true;
  if (asker === undefined) return undefined;
  return async (request, gone) => {
    const { from } = request;
    const question = `${words.name(from)} wants to send ${words.offer(request)}. Accept?`;
    const answer = await ask(question, { asker, within: ANSWER_WITHIN, gone }, context);
    if (answer === 'gone') face.say(`${words.device(from)} no longer asks.`);
    if (answer === 'late') face.say('Nobody answered, so it was refused.');
    return answer === 'late' ? 'no-answer' : answer === 'yes';
  };
}

/** Who says whether a device is called that we do not know; nobody if nobody can. */
function agreeBy({ yes }: ReceiveOrder, context: Context): ReceiveOptions['agree'] {
  const { face, asker, library } = context;
  if (yes) return async () => true; // It needs the code all the same.
  if (asker === undefined) return undefined;
  return async ({ address }, gone) => {
    const question =
      `A device at ${library.forTerminal(address)} that is not known here cannot reach this computer\n` +
      'and asks to be called back. It needs the code all the same. Call it?';
    const answer = await ask(question, { asker, within: AGREE_WITHIN, gone }, context);
    if (answer === 'late') face.say('Nobody answered, so it was not called.');
    return answer === 'yes';
  };
}

interface Asking {
  readonly asker: Asker;
  /** How long the question waits for an answer, in milliseconds. */
  readonly within: number;
  /** Whoever made us ask waits no more. */
  readonly gone: AbortSignal;
}

/** Asks a person; whoever leaves the question leaves the command. */
function ask(
  question: string,
  { asker, within, gone }: Asking,
  { face, stops }: Context,
): Promise<'yes' | 'no' | 'gone' | 'late'> {
  return face.standBack(async () => {
    if (gone.aborted || stops.signal.aborted) return 'no';
    const late = new AbortController();
    const limit = setTimeout(() => late.abort(), within);
    try {
      const either = AbortSignal.any([gone, late.signal, stops.signal]);
      const yes = await asker.confirm(question, either);
      return yes ? 'yes' : 'no';
    } catch (error) {
      if (error instanceof Left) stops.stop('SIGINT');
      else if (stops.signal.aborted) return 'no';
      else if (gone.aborted) return 'gone';
      else if (late.signal.aborted) return 'late';
      else throw error;
      return 'no';
    } finally {
      clearTimeout(limit);
    }
  });
}
