import { stat } from 'node:fs/promises';
import type { CodeRequest, Doubt, Peer, SendOptions, SilentPeer, Summary } from '../index.ts';
import { type SendOrder, UsageError } from './arguments.ts';
import { Left } from './asker.ts';
import type { Context } from './context.ts';
import { oneLine, parseCode } from './format.ts';
import { exitOfSummary } from './outcome.ts';
import { nameOf } from './words.ts';

/** `drop send`: finds out to whom, asks for a code if one is needed, and shows how it goes. */
export async function send(order: SendOrder, context: Context): Promise<number> {
  const { library, io, face, asker, words, common, stops } = context;
  if (order.stdin !== undefined && io.stdin.isTTY)
    throw new UsageError(
      'Standard input is the keyboard here, and not something to send.',
      'Pipe into it, as in: tar c photos | drop send - --name photos.tar',
    );
  const code = askCode(context);
  const to = order.to ?? (await choose(order, context));
  const name = typeof to === 'string' ? `"${oneLine(to)}"` : words.device({ name: nameOf(to) });
  face.busy(typeof to === 'string' ? `Looking for ${name}...` : `Calling ${name}...`);
  let knocked = false;

  const { stdin, wait, checksum, compress, limit, scan } = order;
  const options: SendOptions = {
    ...common,
    to,
    name: process.env.DROP_NAME || undefined,
    wait,
    // Whoever sits there sees that it waits, and can end it.
    waitAgain: wait ?? (asker && Number.POSITIVE_INFINITY),
    checksum,
    compress,
    limit,
    scan,
    stream: stdin === undefined ? undefined : { name: stdin, source: io.stdin },
    code,
    unverified: order.unverified,
    confirm: confirmBy(context),
  };
  let summary: Summary | undefined;
  try {
    for await (const event of library.send(order.paths, options)) {
      face.show(event);
      // It is asked again with each attempt.
      if (event.event === 'knocking' && !knocked) face.busy(`${name} ${ASKED_TO_CALL}`);
      knocked = event.event === 'knocking' || (knocked && event.event === 'reconnecting');
      if (event.event === 'waiting') face.busy(`Waiting for ${words.device(event)} to accept...`);
      if (event.event === 'accepted') face.busy('Checking what is there already...', 'detail');
      if (event.event === 'summary') summary = event;
    }
  } catch (error) {
    // A transfer that had begun has told why it ended, and its summary counts what arrived.
    if (summary === undefined || stops.signal.aborted) throw error;
  } finally {
    // Whoever writes into it must not wait for somebody to read on.
    if (stdin !== undefined) io.stdin.destroy();
  }
  if (summary === undefined) throw new Error('a transfer ended without a summary');
  return exitOfSummary(summary, library);
}

const ASKED_TO_CALL =
  'does not answer; it is asked to call back. Somebody may have to agree there.';

/** Lets the person choose among the devices that are ready. */
async function choose({ paths, scan }: SendOrder, context: Context): Promise<Peer | SilentPeer> {
  const { library, face, asker, common, stops } = context;
  if (asker === undefined)
    throw new UsageError('There is no terminal to choose a device on.', 'Name it with --to.');
  // Nobody should choose first and learn then that there is nothing to send.
  for (const path of paths) await findPath(path, context);

  const { Devices } = await import('./devices.ts');
  const devices = new Devices(library);
  const chosen = new AbortController();
  const signal = AbortSignal.any([stops.signal, chosen.signal]);
  const watch = async (): Promise<void> => {
    for await (const event of library.discover({ ...common, scan, signal })) devices.update(event);
  };
  let failure: unknown;
  const watching = watch().catch((error) => {
    failure = error;
    chosen.abort(error);
  });
  try {
    return await face.standBack(() => asker.pick(titleOf(paths), devices, signal));
  } catch (error) {
    throw failure ?? leftOr(error, context);
  } finally {
    chosen.abort();
    await watching;
  }
}

function titleOf(paths: readonly string[]): string {
  const [first = '', ...more] = paths;
  return `Send ${oneLine(first)}${more.length === 0 ? '' : ` and ${more.length} more`} to which device?`;
}

async function findPath(path: string, { library: { DropError } }: Context): Promise<void> {
  try {
    await stat(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new DropError(code === 'ENOENT' ? 'missing' : 'unreadable', { path, cause });
  }
}

/** How the code of a new device is learned: from a person, else from DROP_CODE, else not at all. */
function askCode(context: Context): ((request: CodeRequest) => Promise<string>) | undefined {
  const { library, face, asker, words, stops } = context;
  if (asker)
    return async ({ peer, kind, why, signal }) => {
      if (why !== 'new') face.say(WHY[kind][why]);
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
  return async ({ kind, why }) => {
    if (why !== 'new') throw new library.DropError(why); // It is the same again, and each try is a guess.
    const code = kind === 'code' ? parseCode(given) : given;
    if (code === null) throw new UsageError('DROP_CODE is not a code.', 'A code has six digits.');
    return code;
  };
}

/** Whether to send all the same to a device that something speaks against; without anybody, no. */
function confirmBy(context: Context): ((doubt: Doubt) => Promise<boolean>) | undefined {
  const { face, asker, words, stops } = context;
  if (asker === undefined) return undefined;
  return async ({ doubt, peer, claimed, signal }) => {
    const device = words.device(peer);
    const question =
      doubt === 'unverified'
        ? `${device} takes files from everyone, without a code: anyone could have that name.\nSend to it all the same?`
        : `What calls itself ${words.device({ name: claimed })} is your ${device}. Send to ${device}?`;
    try {
      const both = AbortSignal.any([signal, stops.signal]);
      return await face.standBack(() => asker.confirm(question, both));
    } catch (error) {
      throw leftOr(error, context);
    }
  };
}

const WHY = {
  code: {
    'wrong-code': 'That code did not match: mistyped, or someone on this network is interfering.',
    'code-changed': 'The code has changed meanwhile. Type the one that is shown now.',
  },
  pin: {
    'wrong-code': 'That PIN did not match: mistyped, or someone on this network is interfering.',
    'code-changed': 'The PIN is another one by now.',
  },
} as const;

/** Whoever leaves a question leaves the command, as by a signal. */
function leftOr(error: unknown, { stops }: Context): unknown {
  if (!(error instanceof Left)) return error;
  stops.stop('SIGINT');
  return stops.signal.reason;
}
