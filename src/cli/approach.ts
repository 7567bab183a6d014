import { formatFirst, parseCode, WHY_AGAIN } from '../figures.ts';
import type { CodeRequest, Doubt, Peer, SilentPeer } from '../index.ts';
import { Left } from './asker.ts';
import type { Context } from './context.ts';
import type { Face } from './face.ts';
import { oneLine } from './format.ts';
import { nameOf } from './words.ts';

/*
 * What a person has to do with the devices that are chosen, whether to send to them or to get
 * something from them.
 */

export const ASKED_TO_CALL =
  'does not answer; it is asked to call back. Somebody may have to agree there.';

/** Says what is waited for while a device is called by this name, or is asked to call back. */
export class Calling {
  readonly #name: string;
  readonly #face: Face;
  #knocked = false;

  constructor(to: Peer | SilentPeer | string, { face, words }: Context) {
    const isNamed = typeof to === 'string';
    this.#name = isNamed ? `"${oneLine(to)}"` : words.device({ name: nameOf(to) });
    this.#face = face;
    face.busy(`${isNamed ? 'Looking for' : 'Calling'} ${this.#name}...`);
  }

  hear({ event }: { readonly event: string }): void {
    // It is asked again with each attempt.
    if (event === 'knocking' && !this.#knocked) this.#face.busy(`${this.#name} ${ASKED_TO_CALL}`);
    this.#knocked = event === 'knocking' || (this.#knocked && event === 'reconnecting');
  }
}

/** What is to be sent, for a question. */
export function whatOf(paths: readonly string[], { words }: Context): string {
  return formatFirst(paths.length > 0 ? paths : ['it'], (name) => words.name({ name }));
}

/** Lets the person choose among the devices that are ready for it, as they come and go. */
export async function chooseDevices(
  context: Context,
  {
    way,
    title,
    several,
    scan,
  }: {
    readonly way: 'send' | 'get';
    readonly title: string;
    /** Whether several can be chosen. */
    readonly several: boolean;
    readonly scan: boolean;
  },
): Promise<readonly (Peer | SilentPeer)[]> {
  const { library, face, asker, common, stops } = context;
  if (asker === undefined) throw new Error('nobody is there to choose');
  const { Devices } = await import('./devices.ts');
  const devices = new Devices(library, way);
  const chosen = new AbortController();
  const signal = AbortSignal.any([stops.signal, chosen.signal]);
  const who = way === 'get' ? 'sharers' : 'receivers';
  const watch = async (): Promise<void> => {
    for await (const event of library.discover({ ...common, scan, signal, who }))
      devices.update(event);
  };
  let failure: unknown;
  const watching = watch().catch((error) => {
    failure = error;
    chosen.abort(error);
  });
  try {
    return await face.standBack(() => asker.pick(title, devices, signal, several));
  } catch (error) {
    throw failure ?? leftOr(error, context);
  } finally {
    chosen.abort();
    await watching;
  }
}

/** How the code of a new device is learned: from a person, else from DROP_CODE, else not at all. */
export function askCode(context: Context): ((request: CodeRequest) => Promise<string>) | undefined {
  const { library, face, asker, words, stops } = context;
  if (asker)
    return async ({ peer, kind, why, signal }) => {
      if (why !== 'new') face.say(WHY_AGAIN[kind][why]);
      const device = words.device(peer);
      const both = AbortSignal.any([signal, stops.signal]);
      const question = (): Promise<string> =>
        kind === 'pin'
          ? asker.pin(`PIN of ${device}:`, both)
          : asker.code(`Code shown on ${device}:`, both);
      try {
        return await face.standBack(question);
      } catch (error) {
        throw leftOr(error, context);
      }
    };

  const given = process.env.DROP_CODE;
  if (!given) return undefined;
  /** Whose code it is: one device shows it, and to any other it would be a wrong guess. */
  let owner: string | undefined;
  return async ({ peer, kind, why }) => {
    if (why !== 'new') throw new library.DropError(why); // It is the same again, and each try is a guess.
    if (kind === 'code') owner ??= peer.id;
    if (kind === 'code' && owner !== peer.id)
      throw new library.DropError('not-paired', {
        message: 'This device is new, and DROP_CODE is the code of another one.',
        hint: 'Send to one new device at a time.',
      });
    const code = kind === 'code' ? parseCode(given) : given;
    if (code === null)
      throw new library.DropError('usage', {
        message: 'DROP_CODE is not a code.',
        hint: 'A code has six digits.',
      });
    return code;
  };
}

/** Whether to go on with a device that something speaks against; without anybody, no. */
export function confirmBy(context: Context): ((doubt: Doubt) => Promise<boolean>) | undefined {
  const { face, asker, words, stops } = context;
  if (asker === undefined) return undefined;
  return async ({ doubt, peer, claimed, signal }) => {
    const device = words.device(peer);
    const question =
      doubt === 'unverified'
        ? `${device} takes files from everyone, without a code: anyone could have that name.\nSend to it all the same?`
        : `What calls itself ${words.device({ name: claimed })} is your ${device}. Go on with ${device}?`;
    try {
      const both = AbortSignal.any([signal, stops.signal]);
      return await face.standBack(() => asker.confirm(question, both));
    } catch (error) {
      throw leftOr(error, context);
    }
  };
}

/** Whoever leaves a question leaves the command, as by a signal. */
export function leftOr(error: unknown, { stops }: Context): unknown {
  if (!(error instanceof Left)) return error;
  stops.stop('SIGINT');
  return stops.signal.reason;
}
