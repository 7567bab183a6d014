import type { Accept, Summary } from '../index.ts';
import type { ReceiveOrder } from './arguments.ts';
import { Left } from './asker.ts';
import type { Context } from './context.ts';
import { exitOfSummary } from './outcome.ts';

/** How long a question waits for a person, in milliseconds; then the answer is no. */
const ANSWER_WITHIN = 120_000;

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
  const { face, asker, words, stops } = context;
  if (yes) return async () => true;
  if (asker === undefined) return undefined;
  return (request, gone) =>
    face.standBack(async () => {
      if (gone.aborted || stops.signal.aborted) return false;
      const { from } = request;
      const question = `${words.name(from)} wants to send ${words.offer(request)}. Accept?`;
      const late = AbortSignal.timeout(ANSWER_WITHIN);
      try {
        return await asker.confirm(question, AbortSignal.any([gone, late, stops.signal]));
      } catch (error) {
        if (error instanceof Left) stops.stop('SIGINT');
        else if (gone.aborted) face.say(`${words.device(from)} no longer asks.`);
        else if (late.aborted) face.say('Nobody answered, so it was refused.');
        else if (!stops.signal.aborted) throw error;
        return late.aborted ? 'no-answer' : false;
      }
    });
}
