import stringWidth from 'string-width';
import { formatBytes, formatCount, formatNames } from '../figures.ts';
import type { SendToAllEvent, SendToAllOptions, SentTo } from '../index.ts';
import { ASKED_TO_CALL } from './approach.ts';
import type { Context } from './context.ts';
import { formatTable } from './format.ts';
import { exitOfAll, failureOf } from './outcome.ts';
import { nameOf } from './words.ts';

/** `drop send` to several devices: shows how it goes with each, and in the end what became of each. */
export async function sendSeveral(
  paths: readonly string[],
  options: SendToAllOptions,
  context: Context,
): Promise<number> {
  const { library, face, words } = context;
  face.say(`Sending to ${formatCount(options.to.length, 'device')}...`);
  const waiting = new Waiting(options.to.map(nameOfTarget), context);
  face.busy(waiting.sentence, 'detail');
  const transfers = library.sendToAll(paths, options);
  for (;;) {
    const step = await transfers.next();
    if (step.done) {
      face.busy('');
      for (const line of table(step.value, context)) face.say(line);
      return exitOfAll(step.value, library);
    }
    const event = step.value;
    face.show(event);
    if (event.event === 'knocking' && waiting.knocks(event))
      face.say(`${words.device({ name: event.to ?? event.name })} ${ASKED_TO_CALL}`);
    if (waiting.hear(event)) face.busy(waiting.sentence, 'detail');
  }
}

/** For whom we wait, and for what: what is said below the transfers that run. */
class Waiting {
  readonly #words: Context['words'];
  /** Whose name, and what it is that it does not do yet. */
  readonly #stages = new Map<string, 'appear' | 'accept'>();
  readonly #knocked = new Set<string>();
  /** What each device was named, by its id. */
  readonly #names = new Map<string, string>();

  constructor(names: readonly string[], { words }: Context) {
    this.#words = words;
    for (const name of names) this.#stages.set(name, 'appear');
  }

  get sentence(): string {
    for (const stage of ['appear', 'accept'] as const) {
      const names = [...this.#stages].filter(([, at]) => at === stage).map(([name]) => name);
      const shown = names.map((name) => this.#words.device({ name }));
      if (names.length > 0) return `Waiting for ${formatNames(shown)} to ${stage}...`;
    }
    return '';
  }

  /** Whether it is the first time that this one is asked to call back. */
  knocks({ to = '' }: SendToAllEvent & { event: 'knocking' }): boolean {
    const isFirst = !this.#knocked.has(to);
    this.#knocked.add(to);
    return isFirst;
  }

  /** Whether something has changed. */
  hear(event: SendToAllEvent): boolean {
    if (event.event === 'waiting' && event.to !== undefined) {
      this.#names.set(event.id, event.to);
      this.#stages.set(event.to, 'accept');
      return true;
    }
    const isOver = /accepted|error|same|summary/.test(event.event);
    const peer = 'peer' in event ? this.#names.get(event.peer.id) : undefined;
    return isOver && this.#stages.delete(('to' in event ? event.to : undefined) ?? peer ?? '');
  }
}

/** A line for each device. */
function table(results: readonly SentTo[], context: Context): readonly string[] {
  const rows = results.map((result) => [
    context.words.name({ name: nameOfTarget(result.to) }),
    resultOf(result, context),
  ]);
  return formatTable(rows, stringWidth);
}

function resultOf({ summary, error }: SentTo, { library }: Context): string {
  if (summary === undefined) return `nothing sent: ${failureOf(error, library).message}`;
  const { ok, files, bytes, code } = summary;
  const what = `${formatCount(files, 'file')} (${formatBytes(bytes)})`;
  if (ok) return `delivered: ${what}`;
  const why = library.ERRORS[code ?? 'incomplete'].message;
  return `incomplete: ${files > 0 ? `${what}; ` : ''}${why}`;
}

function nameOfTarget(to: SentTo['to']): string {
  return typeof to === 'string' ? to : nameOf(to);
}
