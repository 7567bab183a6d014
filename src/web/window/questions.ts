import { randomBytes } from 'node:crypto';
import { DropError } from '../../index.ts';
import type { Question } from './model.ts';

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
  | { readonly answer: Answers[K] }
  | { readonly answer: undefined; readonly because: 'late' | 'gone' };

/** What somebody is asked on all pages; whoever answers first has answered. */
export class Questions {
  readonly #standing = new Map<string, Standing>();
  readonly #changed: () => void;

  constructor(changed: () => void) {
    this.#changed = changed;
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
        question: { ...about, id, kind } as unknown as Question,
        answer: (given) => resolve({ answer: parse(kind, given) }),
      });
      this.#changed();
    }).finally(() => {
      end();
      this.#standing.delete(id);
      this.#changed();
    });
    return outcome;
  }

  /** Throws `usage` if it is no answer to this; a question that is over needs none. */
  answer(id: string, given: unknown): void {
    this.#standing.get(id)?.answer(given);
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
