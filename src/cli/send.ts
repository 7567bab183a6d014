import { fstatSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Peer, SendOptions, SilentPeer, Summary } from '../index.ts';
import { askCode, Calling, chooseDevices, confirmBy, whatOf } from './approach.ts';
import type { Context } from './context.ts';
import type { Input } from './io.ts';
import { type SendOrder, UsageError } from './orders.ts';
import { exitOfSummary } from './outcome.ts';

/** `drop send`: finds out to whom, asks for a code if one is needed, and shows how it goes. */
export async function send(order: SendOrder, context: Context): Promise<number> {
  const { library, io, face, asker, words, common, stops } = context;
  if (order.stdin !== undefined && io.stdin.isTTY)
    throw new UsageError(
      'Standard input is the keyboard here, and not something to send.',
      'Pipe into it, as in: tar c photos | drop send - --name photos.tar',
    );
  // Node takes a folder there for nothing at all, which would be sent.
  if (
    order.stdin !== undefined &&
    io.stdin.fd !== undefined &&
    fstatSync(io.stdin.fd).isDirectory()
  )
    throw new UsageError('Standard input is a folder here.', 'Name it instead of the -.');
  if (order.stdin === undefined && order.text === undefined) await ensureAnyFile(order.paths);
  library.checkPatterns(order.exclude ?? []);
  const code = askCode(context);
  const [to, ...more] = await targetsOf(order, context);
  if (to === undefined) throw new Error('nobody was chosen');
  const { stdin, text, wait, checksum, exclude, compress, limit, scan } = order;
  const options: SendOptions = {
    ...common,
    to,
    name: process.env.DROP_NAME || undefined,
    wait,
    // Whoever sits there sees that it waits, and can end it.
    waitAgain: wait ?? (asker && Number.POSITIVE_INFINITY),
    checksum,
    exclude,
    compress,
    limit,
    scan,
    stream: stdin === undefined ? undefined : { name: stdin, source: toItsEnd(io.stdin) },
    text,
    code,
    unverified: order.unverified,
    // Of all who are known none is a doubtful one.
    confirm: order.all ? undefined : confirmBy(context),
  };
  if (more.length > 0)
    return (await import('./send-several.ts')).sendSeveral(
      order.paths,
      { ...options, to: [to, ...more] },
      context,
    );

  const calling = new Calling(to, context);
  let summary: Summary | undefined;
  try {
    for await (const event of library.send(order.paths, options)) {
      face.show(event);
      calling.hear(event);
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

/**
 * Ctrl-C ends all programs of a pipeline, and we may hear of the end of the one before us first. What
 * it has written by then must not arrive as all of it, so an end counts if nothing stops us with it.
 */
function toItsEnd(stdin: Input): AsyncIterable<Uint8Array> {
  // Until it is read nobody else hears that it failed, which would end this process.
  stdin.on('error', () => {});
  return (async function* () {
    yield* stdin;
    await sleep(END_IN_DOUBT);
  })();
}

/** The devices that are named, or all that are known, or those that the person chooses. */
async function targetsOf(
  order: SendOrder,
  context: Context,
): Promise<readonly SendOptions['to'][]> {
  if (order.to.length > 0) return order.to;
  if (!order.all) return choose(order, context);
  for (const path of order.paths) await findPath(path, context);
  return (await import('./everyone.ts')).findEveryone(order, context);
}

/** Lets the person choose among the devices that are ready. */
async function choose(
  { paths, stdin, scan }: SendOrder,
  context: Context,
): Promise<readonly (Peer | SilentPeer)[]> {
  if (context.asker === undefined)
    throw new UsageError('There is no terminal to choose a device on.', 'Name it with --to.');
  // Nobody should choose first and learn then that there is nothing to send.
  for (const path of paths) await findPath(path, context);

  const title = `Send ${whatOf(paths, context)} to which device?`;
  return chooseDevices(context, { way: 'send', title, several: stdin === undefined, scan });
}

/** Sockets and devices are left out, but whoever names nothing else would think that they were sent. */
async function ensureAnyFile(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const found = await stat(path).catch(() => undefined);
    // One that is missing is told later.
    if (found === undefined || found.isFile() || found.isDirectory()) return;
  }
  throw new UsageError(
    `${paths[0]} is no file and no folder.`,
    'What a program writes is sent by: PROGRAM | drop send - --name FILENAME',
  );
}

async function findPath(path: string, { library: { DropError } }: Context): Promise<void> {
  try {
    await stat(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new DropError(code === 'ENOENT' ? 'missing' : 'unreadable', { path, cause });
  }
}

/** Milliseconds in which a signal comes that was sent together with the end of standard input. */
const END_IN_DOUBT = 100;
