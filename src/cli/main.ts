import type { Context } from './context.ts';
import { type Io, processIo } from './io.ts';
import type { Order } from './orders.ts';
import { LAST_WORDS } from './stdout.ts';
import { readVersion } from './version.ts';

/**
 * Runs `drop` with the words that follow it on the command line. Returns the exit code, or the
 * signal by which the process is to end: then something may still be running that had no time
 * left, and the caller raises the signal.
 *
 * What a command needs is loaded with it, so that `--help` answers at once.
 */
export async function main(
  argv: readonly string[],
  io: Io = processIo(),
): Promise<number | NodeJS.Signals> {
  const output = new OutputWatch(io);
  if (argv.length === 1 && argv[0] === '--version') return answer(`${readVersion()}\n`, io, output);
  if (argv[0] === '__complete') return answer(await completed(argv.slice(1), io), io, output);
  const [{ asksForJson, readArguments }, { UsageError }] = await Promise.all([
    import('./arguments.ts'),
    import('./orders.ts'),
  ]);
  try {
    const order = readArguments(argv, io.stdout.columns);
    if (order.command === 'answer') return await answer(order.text, io, output);
    if (order.command === 'completion')
      return await answer((await import('./shells.ts')).scriptOf(order.shell), io, output);
    return await output.endOf(await run(order, io, output));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const { code, message, hint, exit } = error;
    const { jsonLine } = await import('./format.ts');
    if (asksForJson(argv))
      io.stdout.write(`${jsonLine({ v: 1, event: 'error', code, message, hint })}\n`);
    else io.stderr.write(`Error: ${message}\n${hint}\n`);
    return exit;
  }
}

async function answer(
  text: string,
  { stdout }: Io,
  output: OutputWatch,
): Promise<number | NodeJS.Signals> {
  stdout.write(text);
  return output.endOf(0);
}

/** What the scripts of `drop completion` ask for. They have no use for what is said to a person. */
async function completed(argv: readonly string[], io: Io): Promise<string> {
  return (await import('./complete.ts')).complete(argv, io.library);
}

async function run(order: Order, io: Io, output: OutputWatch): Promise<number | NodeJS.Signals> {
  const [library, { openUi }, { failureOf }, { Stops }] = await Promise.all([
    io.library(),
    import('./context.ts'),
    import('./outcome.ts'),
    import('./stops.ts'),
  ]);
  const ui = await openUi(order, io, library);
  const stops = new Stops(io.signals, {
    onFirst: (by) => {
      ui.face.say(by === 'SIGINT' ? 'Stopping... (Ctrl-C again to quit at once)' : 'Stopping...');
      if (ui.words.underway && goesOn(order)) ui.face.say(HOW_TO_GO_ON);
    },
  });
  stops.signal.addEventListener('abort', () => ui.words.stop(), { once: true });
  // A sender whose file goes there has to hear of it first.
  const isSink = 'stdout' in order && order.stdout;
  output.onBroken(() => {
    if (isSink) setTimeout(() => stops.quit(), LAST_WORDS).unref();
    else stops.quit();
  });
  /** How it ends once the work did, by itself with `exit`, or as it was told to. */
  const endOf = (exit?: number): number => {
    // That nobody reads what is told is no failure; but then something was not delivered.
    if (output.exit === 0 && delivers(order)) return exit ?? library.ERRORS.incomplete.exit;
    return output.exit ?? exit ?? 0;
  };
  const common = {
    signal: stops.signal,
    home: process.env.DROP_HOME || undefined,
    interfaces: order.interfaces,
  };
  try {
    const exit = await Promise.race([
      perform(order, { ...ui, io, library, stops, common }),
      stops.atOnce,
    ]);
    return stops.by ?? endOf(exit ?? undefined);
  } catch (error) {
    const failure = failureOf(error, library);
    // Whatever the work said on its way out, it ended because it was told to; bugs are said.
    if (stops.signal.aborted && (isAbort(error) || failure.code !== 'internal'))
      return stops.by ?? endOf();
    ui.face.fail(failure);
    return stops.by ?? failure.exit;
  } finally {
    ui.face.close();
    // A signal would cut off what nobody has read yet.
    if (stops.by !== undefined) await Promise.race([output.taken(), stops.atOnce]);
    stops.close();
    // A prompt that was left behind must not keep the keyboard, nor the process alive.
    if (ui.asker) {
      io.stdin.setRawMode?.(false);
      io.stdin.pause();
    }
  }
}

async function perform(order: Order, context: Context): Promise<number> {
  switch (order.command) {
    case 'send':
      return (await import('./send.ts')).send(order, context);
    case 'receive':
      return (await import('./receive.ts')).receive(order, context);
    case 'share':
      return (await import('./share.ts')).share(order, context);
    case 'get':
      return (await import('./get.ts')).get(order, context);
    case 'peers':
      return (await import('./peers.ts')).peers(order, context);
    case 'history':
      return (await import('./history.ts')).history(order, context);
    case 'ui':
      return (await import('./ui.ts')).ui(order, context);
    case 'doctor':
      return (await import('./doctor.ts')).doctor(order, context);
    default:
      return (await import('./known.ts')).changeKnown(order, context);
  }
}

/** Whether 0 says that something was delivered, and all of it not to standard output. */
function delivers(order: Order): boolean {
  return order.command === 'send' || (order.command === 'get' && !order.stdout);
}

/** Whether what arrived of it, if it is kept, is the start of what the same command brings. */
function goesOn(order: Order): boolean {
  if (order.command === 'get') return !order.stdout;
  return order.command === 'send' && order.stdin === undefined && order.text === undefined;
}

/** The other side tells how much it keeps, and nobody may be there to read it. */
const HOW_TO_GO_ON = 'To go on from where it stopped, run the same command again.';

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

/**
 * Notices when stdout can no longer be written. A reader that has seen enough, like `head`, is no
 * failure; a full disk is one. It listens until the process ends, as the news may come late.
 */
class OutputWatch {
  /** What the run ends with because of it. */
  exit: number | undefined;
  readonly #stdout: Io['stdout'];
  #onBroken: () => void = () => {};

  constructor({ stdout, stderr }: Io) {
    this.#stdout = stdout;
    stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (this.exit !== undefined) return;
      this.exit = error.code === 'EPIPE' ? 0 : 8;
      if (this.exit !== 0) stderr.write(`Error: stdout cannot be written: ${error.message}\n`);
      this.#onBroken();
    });
    stderr.on('error', () => {}); // There is nobody left to tell.
  }

  /** How a run ends that would end like this, once all that it wrote is taken, or cannot be. */
  async endOf(how: number | NodeJS.Signals): Promise<number | NodeJS.Signals> {
    if (how !== 0) return how;
    await this.taken();
    return this.exit ?? 0;
  }

  /** Resolves when all that was written is taken, or cannot be. */
  taken(): Promise<unknown> {
    return new Promise((taken) => this.#stdout.write('', taken));
  }

  /** Calls `listener` when it breaks, or now if it broke already. */
  onBroken(listener: () => void): void {
    this.#onBroken = listener;
    if (this.exit !== undefined) listener();
  }
}
