import type { Commands } from '../../window/model.ts';
import type { Dropped } from '../lending.ts';

/** What the parts of the page can have done. What fails is said to the person, by whoever does it. */
export interface Doing {
  /** Returns what came of it, or undefined if it failed. */
  act<Name extends keyof Commands>(
    name: Name,
    body: Commands[Name]['takes'],
  ): Promise<Commands[Name]['gives'] | undefined>;
  /** Sends files, a message, or both; returns whether that has begun. */
  send(
    to: readonly string[],
    what: { readonly dropped?: readonly Dropped[]; readonly text?: string },
  ): Promise<boolean>;
  /** Lets others fetch these; returns whether that has begun. */
  share(dropped: readonly Dropped[]): Promise<boolean>;
  /** Says what went wrong. */
  complain(message: string, hint?: string): void;
  /** Says something to those who do not see the page change. */
  say(text: string): void;
}

/** Puts a text where it can be pasted, and says so on the button that was pressed for it. */
export async function copy(text: string, pressed: HTMLButtonElement, doing: Doing): Promise<void> {
  const label = pressed.textContent;
  try {
    await navigator.clipboard.writeText(text);
    pressed.textContent = 'Copied';
    doing.say('Copied.');
  } catch {
    pressed.textContent = 'Not allowed';
    doing.say('The browser does not allow to copy.');
  }
  setTimeout(() => {
    pressed.textContent = label;
  }, 1_500);
}
