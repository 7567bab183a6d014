import { randomBytes } from 'node:crypto';
import { formatFirst, formatRoots } from '../../figures.ts';
import { DropError } from '../../index.ts';
import type { Question, Said } from './model.ts';

/** What an answer may be, by the kind of the question. */
interface Answers {
  accept: boolean;
  code: string | null;
  doubt: boolean;
  call: boolean;
  offer: boolean | readonly string[];
  fetch: boolean;
  unlock: boolean;
}

type Kind = Question['kind'];
type Asked<K extends Kind> = Extract<Question, { readonly kind: K }>;

/** How a question ended: answered, or nobody did in time, or it is not to be answered any more. */
export type Outcome<K extends Kind> =
  | { readonly answer: Answers[K]; readonly because?: undefined }
  | { readonly answer: undefined; readonly because: 'late' | 'gone' };

/** What somebody is asked on all pages; whoever answers first has answered. */
export class Questions {
  readonly #standing = new Map<string, Standing>();
  readonly #changed: () => void;
  readonly #missed: (said: Said) => void;

  /** `missed` hears of those that nobody answered in time, as whoever comes later has not seen them. */
  constructor(changed: () => void, missed: (said: Said) => void) {
    this.#changed = changed;
    this.#missed = missed;
  }

  /** The oldest first. */
  get all(): readonly Question[] {
    return Array.from(this.#standing.values(), ({ question }) => question);
  }

  /** `within` is in milliseconds; `gone` says that there is nothing to decide any more. */
  async ask<K extends Kind>(
    kind: K,
    about: Omit<Asked<K>, 'id' | 'kind'>,
    { within = Number.POSITIVE_INFINITY, gone }: { within?: number; gone: AbortSignal },
  ): Promise<Outcome<K>> {
    if (gone.aborted) return { answer: undefined, because: 'gone' };
    const id = randomBytes(8).toString('hex');
    let end = (): void => {};
    const question = { ...about, id, kind } as unknown as Question;
    const outcome = await new Promise<Outcome<K>>((resolve) => {
      const left = (): void => resolve({ answer: undefined, because: 'gone' });
      const limit = Number.isFinite(within)
        ? setTimeout(() => resolve({ answer: undefined, because: 'late' }), within)
        : undefined;
      gone.addEventListener('abort', left, { once: true });
      end = () => {
        clearTimeout(limit);
        gone.removeEventListener('abort', left);
      };
      this.#standing.set(id, {
        question,
        answer: (given) => resolve({ answer: parse(kind, given) }),
      });
      this.#changed();
    }).finally(() => {
      end();
      this.#standing.delete(id);
      this.#changed();
    });
    if (outcome.because === 'late') this.#missed(missedOf(question));
    return outcome;
  }

  /** Throws `usage` if it is no answer to this; a question that is over needs none. */
  answer(id: string, given: unknown): void {
    this.#standing.get(id)?.answer(given);
  }
}

function missedOf(question: Question): Said {
  const { name } = question.device;
  const asShown = (text: string): string => text;
  switch (question.kind) {
    case 'accept':
      return {
        message: `${name} wanted to send you ${formatRoots(question.offer, asShown)}.`,
        hint: 'Nobody answered, so it was refused.',
      };
    case 'fetch':
      return {
        message: `${name} wanted to fetch ${formatFirst(question.what, asShown)}.`,
        hint: 'Nobody answered, so it was refused.',
      };
    default:
      return { message: `${name} asked to be called back.`, hint: 'Nobody answered.' };
  }
}

interface Standing {
  readonly question: Question;
  readonly answer: (given: unknown) => void;
}

function parse<K extends Kind>(kind: K, given: unknown): Answers[K] {
  const isPaths = Array.isArray(given) && given.every((path) => typeof path === 'string');
  const fits =
    kind === 'code'
      ? given === null || typeof given === 'string'
      : typeof given === 'boolean' || (kind === 'offer' && isPaths);
  if (!fits) throw new DropError('usage', { message: 'That is no answer to this question.' });
  return given as Answers[K];
}
