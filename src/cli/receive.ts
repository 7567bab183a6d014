import type { Accept, Hatch, ReceiveOptions, Summary } from '../index.ts';
import type { Context } from './context.ts';
import { entranceOf, Questions } from './entrance.ts';
import { Notices } from './notices.ts';
import { type ReceiveOrder, UsageError } from './orders.ts';
import { exitOfSummary } from './outcome.ts';
import { Stdout, savingOf } from './stdout.ts';
import { WebSide } from './web-side.ts';

/** `drop receive`: waits, asks, and shows what arrives. */
export async function receive(order: ReceiveOrder, context: Context): Promise<number> {
  const { library, face, common } = context;
  const sink = Stdout.for(order, context);
  const open = order.open ? opennessOf(order, '--open', context) : undefined;
  const hatch = order.web ? new library.Hatch() : undefined;
  const visitors = hatch && opennessOf(order, '--web', context);
  const web = hatch && webSideOf(order, hatch, context);
  let last: Summary | undefined;
  const questions = new Questions(context);
  const notices = new Notices(order, context);
  const entrance = await entranceOf(order, questions, context);
  // Whoever lets everyone in asks for nothing.
  const pin = order.open ? undefined : entrance.pin;
  try {
    for await (const event of library.receive({
      ...common,
      ...savingOf(order, sink),
      ...{ ...entrance, pin, open, hatch, visitors },
      once: order.once,
      accept: acceptBy(order, questions, context),
    })) {
      if (event.event === 'ready' && web) await web.ready(event, pin);
      else if (event.event === 'reachable' && web) await web.reachable(event);
      else if (!sink?.broken) face.show(event);
      notices.hear(event);
      if (event.event === 'ready') {
        if (visitors === 'capped')
          face.say(
            'Nobody is asked about what browsers bring: up to 1 GiB of it is taken at a time.',
          );
        face.busy('Waiting for files. Ctrl-C ends it.');
      }
      // One that broke off does not count where another came to its end.
      if (event.event === 'summary' && (last === undefined || event.code !== 'disconnected'))
        last = event;
    }
  } finally {
    await web?.close();
  }
  notices.close();
  if (last === undefined) return 0;
  // Whoever reads us waits for a file.
  if (sink && last.ok && last.files === 0) return library.ERRORS.incomplete.exit;
  return exitOfSummary(last, library);
}

/** The page where browsers upload. */
function webSideOf({ json }: ReceiveOrder, hatch: Hatch, context: Context): WebSide {
  return new WebSide(context, json, async (basics) => {
    const { openTaking } = await import('../web/guests/taking.ts');
    return openTaking({ ...basics, hatch });
  });
}

/** Who is let in by --open or --web: whoever a person agrees to, or everyone within limits. */
function opennessOf(
  { yes, into, stdout }: ReceiveOrder,
  flag: '--open' | '--web',
  { asker }: Context,
): ReceiveOptions['open'] {
  if (asker !== undefined && !yes) return 'ask';
  if (into !== undefined || stdout) return 'capped';
  throw new UsageError(
    `${flag} needs a folder where nobody is asked about what comes.`,
    `Name one: ${flag} --into FOLDER`,
  );
}

/** Who says whether an offer is taken; nobody if nobody can. */
function acceptBy(
  { yes }: ReceiveOrder,
  questions: Questions,
  { face, asker, words, library }: Context,
): Accept | undefined {
  if (yes) return async () => true;
  if (asker === undefined) return undefined;
  return async (request, gone) => {
    const { from, known } = request;
    const who = known ? words.name(from) : `${words.device(from)}, who could be anyone,`;
    const warnings = words.risks(request).map((risk) => `${risk}\n`);
    const question = `${warnings.join('')}${who} wants to send ${words.offer(request)}. Accept?`;
    const answer = await questions.ask(question, { asker, within: library.QUESTION_LIMIT, gone });
    if (answer === 'gone') face.say(`${words.device(from)} no longer asks.`);
    if (answer === 'late') face.say('Nobody answered, so it was refused.');
    return answer === 'late' ? 'no-answer' : answer === 'yes';
  };
}
