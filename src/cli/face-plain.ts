import { formatBytes, formatClock } from '../figures.ts';
import type { TransferEvent } from '../index.ts';
import type { Face, Failure, ShownEvent } from './face.ts';
import { percentOf, secondsLeft } from './format.ts';
import type { Line, Lines } from './lines.ts';
import { failureLines, type Words, type WordsOptions } from './words.ts';

/** Progress is told when this much is done since the last time, or this long is over. */
const STEP_PERCENT = 10;
const STEP_MS = 10_000;

type ProgressEvent = Extract<TransferEvent, { event: 'progress' }>;

/** The face for logs, pipes and screen readers: a line for each change, and nothing moves. */
export class PlainFace implements Face {
  readonly #lines: Lines;
  readonly #words: Words;
  readonly #clean: WordsOptions['clean'];
  readonly #now: () => number;
  /** When progress was told last, of each transfer that runs. */
  readonly #told = new Map<string, { readonly at: number; readonly percent: number }>();

  constructor(
    lines: Lines,
    words: Words,
    clean: WordsOptions['clean'],
    now: () => number = () => performance.now(),
  ) {
    this.#lines = lines;
    this.#words = words;
    this.#clean = clean;
    this.#now = now;
  }

  show(event: ShownEvent): void {
    if (event.event === 'accepted') this.#told.set(event.transfer, { at: this.#now(), percent: 0 });
    if (event.event === 'resuming')
      this.#told.set(event.transfer, { at: this.#now(), percent: percentOf(event) ?? 0 });
    if (event.event === 'summary') this.#told.delete(event.transfer);
    this.#lines.write(this.#words.of(event));
    if (event.event === 'progress' && !this.#words.resting(event.transfer)) this.#progress(event);
  }

  say(sentence: string, weight: Line['weight'] = 'news'): void {
    this.#lines.write([{ weight, text: sentence }]);
  }

  busy(what: string, weight: Line['weight'] = 'news'): void {
    if (what !== '') this.#lines.write([{ weight, text: what }]);
  }

  picture(): void {}

  fail(failure: Failure): void {
    this.#lines.write(failureLines(failure, this.#clean));
  }

  standBack<Reply>(question: () => Promise<Reply>): Promise<Reply> {
    return this.#lines.standBack(question);
  }

  close(): void {}

  #progress(event: ProgressEvent): void {
    const last = this.#told.get(event.transfer);
    const percent = percentOf(event);
    const at = this.#now();
    // At the end the summary says it.
    if (last === undefined || percent === 100) return;
    const further = percent !== null && percent >= last.percent + STEP_PERCENT;
    if (!further && at < last.at + STEP_MS) return;
    this.#told.set(event.transfer, { at, percent: percent ?? 0 });
    const left = secondsLeft(event);
    const who = this.#words.several ? `${this.#words.device(event.peer)}: ` : '';
    const how = [
      percent === null
        ? formatBytes(event.bytes)
        : `${percent} % of ${formatBytes(event.total ?? 0)}`,
      `${formatBytes(event.rate)}/s`,
      ...(Number.isFinite(left) ? [`${formatClock(left)} left`] : []),
      ...(event.file === '' ? [] : [this.#clean(event.file, 100)]),
    ].join(', ');
    this.say(`${who}${how}`);
  }
}
