import type { AcceptFetch, Pace, Summary } from '../index.ts';
import type { Context } from './context.ts';
import { entranceOf, Questions } from './entrance.ts';
import type { ShareOrder } from './orders.ts';
import { exitOfSummary } from './outcome.ts';
import { WebSide } from './web-side.ts';

/** `drop share`: waits, asks, and shows who fetches what is shared. */
export async function share(order: ShareOrder, context: Context): Promise<number> {
  const { library, face, common } = context;
  const { paths, once, yes, exclude, compress } = order;
  library.checkPatterns(exclude ?? []);
  const limit = order.limit === undefined ? undefined : new library.Pace(order.limit);
  const web = order.web ? webSideOf(order, limit, context) : undefined;
  const questions = new Questions(context);
  const entrance = await entranceOf(order, questions, context);
  let last: Summary | undefined;
  try {
    for await (const event of library.share(paths, {
      ...common,
      ...entrance,
      once,
      freely: yes,
      accept: acceptBy(questions, context),
      exclude,
      compress,
      limit,
    })) {
      if (event.event === 'ready' && web) await web.ready(event, entrance.pin);
      else if (event.event === 'reachable' && web) await web.reachable(event);
      else face.show(event);
      if (event.event === 'ready') face.busy('Waiting for who wants it. Ctrl-C ends it.');
      // One that broke off does not count where another came to its end.
      if (event.event === 'summary' && (last === undefined || event.code !== 'disconnected'))
        last = event;
    }
  } finally {
    await web?.close();
  }
  return last === undefined ? 0 : exitOfSummary(last, library);
}

/** The page for browsers, on which the same is shared. */
function webSideOf(
  { paths, exclude, json }: ShareOrder,
  pace: Pace | undefined,
  context: Context,
): WebSide {
  return new WebSide(context, json, async (basics) => {
    const { openHanding } = await import('../web/guests/handing.ts');
    const shelf = await context.library.openShelf(paths, { exclude });
    return openHanding({ ...basics, shelf, pace, tell: (event) => context.face.show(event) });
  });
}

/** Who says whether a known device may fetch; nobody if nobody can. */
function acceptBy(
  questions: Questions,
  { face, asker, words, library }: Context,
): AcceptFetch | undefined {
  if (asker === undefined) return undefined;
  return async (by, gone) => {
    const question = `${words.device(by)} wants to fetch what you share. Allow it?`;
    const answer = await questions.ask(question, { asker, within: library.QUESTION_LIMIT, gone });
    if (answer === 'gone') face.say(`${words.device(by)} no longer asks.`);
    if (answer === 'late') face.say('Nobody answered, so it was refused.');
    return answer === 'late' ? 'no-answer' : answer === 'yes';
  };
}
