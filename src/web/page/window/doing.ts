import type { Commands } from '../../window/model.ts';
import type { Dropped } from '../lending.ts';

/** Says what went wrong. */
export type Complain = (message: string, hint?: string) => void;

/**
 * What the parts of the page can have done. What fails is said to the person, by whoever does it: by
 * `complain` where somebody looks elsewhere than at the page.
 */
export interface Doing {
  /** Returns what came of it, or undefined if it failed. */
  act<Name extends keyof Commands>(
    name: Name,
    body: Commands[Name]['takes'],
    complain?: Complain,
  ): Promise<Commands[Name]['gives'] | undefined>;
  /** Sends files, a message, or both; returns whether that has begun. */
  send(
    to: readonly string[],
    what: { readonly dropped?: readonly Dropped[]; readonly text?: string },
    complain?: Complain,
  ): Promise<boolean>;
  /** Lets others fetch these; returns whether that has begun. */
  share(dropped: readonly Dropped[]): Promise<boolean>;
  readonly complain: Complain;
  /** Says something to those who do not see the page change. */
  say(text: string): void;
}

/** Puts a text where it can be pasted, and says so on the button `Copy` that was pressed for it. */
export async function copy(text: string, pressed: HTMLButtonElement, doing: Doing): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    pressed.textContent = 'Copied';
    doing.say('Copied.');
  } catch {
    pressed.textContent = 'Not allowed';
    doing.say('The browser does not allow to copy.');
  }
  setTimeout(() => {
    pressed.textContent = COPY;
  }, 1_500);
}

/** What such a button says. */
export const COPY = 'Copy';
