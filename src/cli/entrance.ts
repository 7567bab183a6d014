import type { PresenceOptions } from '../index.ts';
import { type Asker, drain, enterPressed, Left } from './asker.ts';
import type { Context } from './context.ts';
import { type PresenceOrder, UsageError } from './orders.ts';

/** How others are let in who choose this device: what `receive` and `share` have in common. */
export async function entranceOf(
  order: PresenceOrder,
  questions: Questions,
  context: Context,
): Promise<PresenceOptions> {
  const { name, port } = order;
  return {
    name,
    port,
    newcomers: letsNewcomersIn(order, context),
    pin: await pinOf(order, context),
    agree: agreeBy(order, questions, context),
    unlock: questions.unlock,
  };
}

/**
 * New devices need a code, and a code needs a reader: a person at the terminal, or the program
 * that reads our JSON. A log file is neither. A PIN that was chosen needs none.
 */
function letsNewcomersIn(
  { json, yes, pin, pinFile }: PresenceOrder,
  { io, asker }: Context,
): boolean {
  if (pin || pinFile !== undefined || process.env.DROP_PIN) return true;
  if (json) return yes;
  return !!io.stderr.isTTY && (asker !== undefined || yes);
}

/** The PIN for new devices, if there is one; it is never among the words of the command line. */
async function pinOf(
  { pin, pinFile, json }: PresenceOrder,
  { io, library }: Context,
): Promise<string | true | undefined> {
  if (pin && pinFile !== undefined)
    throw new UsageError('--pin draws a PIN, and --pin-file names one.', 'Choose one of them.');
  if (pin && !json && !io.stderr.isTTY)
    throw new UsageError('There is no terminal to show the PIN on.', 'Choose one: --pin-file FILE');
  if (pin) return true;
  if (pinFile !== undefined) return library.readPin(pinFile);
  return process.env.DROP_PIN || undefined;
}

/** Who says whether a device is called that we do not know; nobody if nobody can. */
function agreeBy(
  { yes }: PresenceOrder,
  questions: Questions,
  { face, asker, library }: Context,
): PresenceOptions['agree'] {
  if (yes) return async () => true; // It needs the code all the same.
  if (asker === undefined) return undefined;
  return async ({ address }, gone) => {
    const question =
      `A device at ${library.forTerminal(address)} that is not known here cannot reach this computer\n` +
      'and asks to be called back. It needs the code all the same. Call it?';
    const answer = await questions.ask(question, {
      asker,
      within: library.CALL_QUESTION_LIMIT,
      gone,
    });
    if (answer === 'late') face.say('Nobody answered, so it was not called.');
    return answer === 'yes';
  };
}

interface Asking {
  readonly asker: Asker;
  /** How long the question waits for an answer, in milliseconds. */
  readonly within: number;
  /** Whoever made us ask waits no more. */
  readonly gone: AbortSignal;
}

/** What the person at the keyboard is asked, and may say unasked. */
export class Questions {
  readonly #context: Context;
  #standing = 0;
  /** Whether Enter, when no question stands, lets new devices in again. */
  #unlocking = false;

  constructor(context: Context) {
    this.#context = context;
  }

  /** Lets new devices in again after too many wrong codes, if somebody is here to say so. */
  get unlock(): PresenceOptions['unlock'] {
    const { asker, face, io } = this.#context;
    return (
      asker &&
      (async (signal) => {
        // An Enter of before was not for this.
        await face.standBack(() => this.#drain(signal));
        this.#unlocking = true;
        const pressed = enterPressed(io.stdin, () => this.#standing > 0, signal);
        await this.#leaving(pressed).finally(() => {
          this.#unlocking = false;
        });
      })
    );
  }

  /** Asks a person; whoever leaves the question leaves the command. */
  ask(question: string, { asker, within, gone }: Asking): Promise<'yes' | 'no' | 'gone' | 'late'> {
    const { face, stops } = this.#context;
    return face.standBack(async () => {
      if (gone.aborted || stops.signal.aborted) return 'no';
      const late = new AbortController();
      const limit = setTimeout(() => late.abort(), within);
      this.#standing += 1;
      try {
        const either = AbortSignal.any([gone, late.signal, stops.signal]);
        const yes = await asker.confirm(question, either);
        return yes ? 'yes' : 'no';
      } catch (error) {
        if (error instanceof Left) stops.stop('SIGINT');
        else if (stops.signal.aborted) return 'no';
        else if (!gone.aborted && !late.signal.aborted) throw error;
        else {
          // What was about to be typed for this question lets nobody in.
          if (this.#unlocking) await this.#drain(stops.signal, AFTER_A_QUESTION).catch(() => {});
          return gone.aborted ? 'gone' : 'late';
        }
        return 'no';
      } finally {
        this.#standing -= 1;
        clearTimeout(limit);
      }
    });
  }

  /** Throws away what was typed until now; whoever presses Ctrl-C meanwhile leaves the command. */
  #drain(signal: AbortSignal, ms?: number): Promise<void> {
    return this.#leaving(drain(this.#context.io.stdin, signal, ms));
  }

  /** Whoever leaves this leaves the command. */
  async #leaving(typing: Promise<void>): Promise<void> {
    try {
      await typing;
    } catch (error) {
      if (error instanceof Left) this.#context.stops.stop('SIGINT');
      throw error;
    }
  }
}

/** Milliseconds in which a person notices that a question is gone. */
const AFTER_A_QUESTION = 1_500;
