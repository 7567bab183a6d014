import type { Extent, GetOptions, Offer, Peer, SilentPeer, Summary } from '../index.ts';
import { askCode, Calling, chooseDevices, confirmBy, leftOr } from './approach.ts';
import type { Context } from './context.ts';
import { Notices } from './notices.ts';
import { type GetOrder, UsageError } from './orders.ts';
import { exitOfSummary } from './outcome.ts';
import { Stdout, savingOf } from './stdout.ts';

/** `drop get`: finds out from whom, asks for a code if one is needed, and shows how it goes. */
export async function get(order: GetOrder, context: Context): Promise<number> {
  const { library, face, asker, words, common, stops } = context;
  library.checkChoice(order.only ?? []);
  const code = askCode(context);
  const from = order.from ?? (await choose(order, context));
  const calling = new Calling(from, context);

  const { only, wait, scan } = order;
  if (only !== undefined) words.takePart();
  const sink = Stdout.for(order, context);
  const options: GetOptions = {
    ...common,
    ...savingOf(order, sink),
    from,
    only,
    name: process.env.DROP_NAME || undefined,
    wait,
    // Whoever sits there sees that it waits, and can end it.
    waitAgain: wait ?? (asker && Number.POSITIVE_INFINITY),
    scan,
    code,
    confirm: confirmBy(context),
    accept: acceptBy(order, from, context),
  };
  const notices = new Notices(order, context);
  let summary: Summary | undefined;
  try {
    for await (const event of library.get(options)) {
      if (!sink?.broken) face.show(event);
      notices.hear(event);
      calling.hear(event);
      if (event.event === 'waiting') face.busy(`Waiting for ${words.device(event)}...`);
      if (event.event === 'accepted') face.busy('Checking what is here already...', 'detail');
      if (event.event === 'summary') summary = event;
    }
  } catch (error) {
    // A transfer that had begun has told why it ended, and its summary counts what arrived.
    if (summary === undefined || stops.signal.aborted) throw error;
  } finally {
    notices.close();
  }
  if (summary === undefined) throw new Error('a transfer ended without a summary');
  // Whoever reads us waits for a file.
  if (sink && summary.ok && summary.files === 0) return library.ERRORS.incomplete.exit;
  return exitOfSummary(summary, library);
}

/** Lets the person choose among the devices that share something. */
async function choose({ scan }: GetOrder, context: Context): Promise<Peer | SilentPeer> {
  if (context.asker === undefined)
    throw new UsageError('There is no terminal to choose a device on.', 'Name it with --from.');
  const how = { way: 'get', title: 'Get from which device?', several: false, scan } as const;
  const [chosen] = await chooseDevices(context, how);
  if (chosen === undefined) throw new Error('nobody was chosen');
  return chosen;
}

/**
 * Who says whether what is shared is taken, or what of it, once it is known what that is. Nobody is
 * asked about a single thing that was chosen in the list, where it said the same.
 */
function acceptBy(
  { yes, only = [] }: GetOrder,
  from: Peer | SilentPeer | string,
  context: Context,
): GetOptions['accept'] {
  const { face, asker, words, stops } = context;
  if (yes || asker === undefined) return undefined;
  const seen = typeof from === 'object' && 'offer' in from ? from.offer : undefined;
  /** What the person has said yes to. */
  let agreed: Offer | undefined;
  return async (offer, gone) => {
    // Who shares it was started anew, and nobody need sit here for that.
    if (agreed !== undefined && isSame(agreed, offer) && isNothingNew(agreed, offer)) return true;
    const parts = only.length > 0 ? [] : offer.parts;
    const isSeen = seen !== undefined && isSame(seen, offer) && parts.length < 2;
    if (isSeen && offer.risks.length === 0) return true;
    const warnings = words.risks(offer).map((risk) => `${risk}\n`);
    const question = `${warnings.join('')}${words.device(offer.from)} shares ${words.offer(offer)}. Get it?`;
    const labels = parts.map((part) => words.part(part));
    try {
      const both = AbortSignal.any([gone, stops.signal]);
      const answer = await face.standBack(() => asker.choose(question, labels, both));
      if (answer !== false) agreed = offer;
      if (typeof answer === 'boolean') return answer;
      const chosen = answer.flatMap((place) => parts[place] ?? []);
      const size = { files: sumOf(chosen, 'files'), bytes: sumOf(chosen, 'bytes') };
      words.takePart(size);
      // It is that part which is offered from now on.
      agreed = { ...offer, ...size };
      return chosen.map(({ path }) => path);
    } catch (error) {
      if (gone.aborted) return false; // The connection is lost, and it is asked again.
      throw leftOr(error, context);
    }
  };
}

function sumOf(parts: Offer['parts'], what: 'files' | 'bytes'): number {
  return parts.reduce((sum, part) => sum + part[what], 0);
}

function isSame(seen: Omit<Extent, 'risks'>, offer: Offer): boolean {
  return seen.final && offer.final && seen.files === offer.files && seen.bytes === offer.bytes;
}

/** Whether an offer has the same names at the top, and nothing more to be warned of. */
function isNothingNew(before: Offer, offer: Offer): boolean {
  const known = new Set(before.risks.map(({ risk }) => risk));
  return (
    offer.roots.join('/') === before.roots.join('/') &&
    offer.risks.every(({ risk }) => known.has(risk))
  );
}
