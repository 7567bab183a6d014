import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { diskFailure } from '../disk/failure.ts';
import { DropError, type ErrorCode } from '../errors.ts';
import type { CheckEvent, CheckName } from '../events.ts';
import { type CommonOptions, openSelf } from '../meeting/self.ts';
import { within } from '../meeting/signals.ts';
import { listLinks } from '../net/links.ts';
import { follow } from '../transfer/follow.ts';
import { fine, mendedBy, note, wrong } from './check.ts';

export interface DoctorOptions extends CommonOptions {
  /** Where files are to land; by default the person's folder for downloads. */
  readonly into?: string | undefined;
}

/** What came of all checks. */
export interface Diagnosis {
  readonly ok: boolean;
  /** The checks that failed, in their order: what is wrong first may be why others fail. */
  readonly failed: readonly CheckName[];
  /** In one sentence. */
  readonly message: string;
  /** What kind of failure it is, if there is one. */
  readonly code?: ErrorCode | undefined;
}

/**
 * Tests this computer and its network, in about ten seconds, and tells what is wrong and what
 * mends it. It needs no special rights and changes nothing. Ends with what came of all checks: what
 * they find is never thrown.
 */
export function doctor(options: DoctorOptions = {}): AsyncGenerator<CheckEvent, Diagnosis> {
  return follow((emit, signal) => examine(options, emit, signal), options.signal);
}

async function examine(
  options: DoctorOptions,
  emit: (event: CheckEvent) => void,
  signal: AbortSignal,
): Promise<Diagnosis> {
  const failed: CheckEvent[] = [];
  let noted = false;
  const tell = (check: CheckEvent): void => {
    signal.throwIfAborted();
    if (!check.ok) failed.push(check);
    noted ||= check.level === 'warning';
    emit(check);
  };
  // Loaded with the first test: no other command needs them.
  const [{ checkNetwork }, { checkClock, checkDownloads, checkState }] = await Promise.all([
    import('./network.ts'),
    import('./own.ts'),
  ]);
  const links = listLinks(options); // What cannot be used at all is said at once.
  for await (const check of checkState(options.home)) tell(check);
  tell(checkClock());
  for await (const check of checkDownloads(options.into)) tell(check);

  const folder = await mkdtemp(join(tmpdir(), 'drop-doctor-')).catch((error) => {
    throw diskFailure(error, tmpdir());
  });
  try {
    const home = join(folder, 'home');
    const guest = await openSelf({ home, name: GUEST });
    let found = links.every(({ loopback }) => loopback);
    for await (const check of checkNetwork(links, guest, options, signal)) {
      if (check.name === 'port-5353') found &&= check.ok;
      found ||= check.name === 'hear' && check.ok;
      tell(check);
    }
    tell(await testSelf({ folder, home, found }, options, signal));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  signal.throwIfAborted();
  return diagnosisOf(failed, noted);
}

/** What others see in their lists for the second that the test takes, and what nobody knows. */
const GUEST = 'drop doctor';

function diagnosisOf(failed: readonly CheckEvent[], noted: boolean): Diagnosis {
  const [first] = failed;
  if (first === undefined)
    return {
      ok: true,
      failed: [],
      message: noted
        ? 'Nothing is wrong on this computer; the notes say what could not be tested.'
        : 'Nothing is wrong.',
    };
  const count = failed.length === 1 ? 'One thing is' : `${failed.length} things are`;
  return {
    ok: false,
    failed: failed.map(({ name }) => name),
    message: `${count} wrong. ${first.fix === undefined ? first.message : `Begin with: ${first.fix}`}`,
    code: CODES[first.name] ?? 'unreachable',
  };
}

const CODES: Readonly<Partial<Record<CheckName, ErrorCode>>> = {
  identity: 'identity',
  state: 'identity',
  downloads: 'disk',
  room: 'disk-full',
  network: 'no-network',
  'self-test': 'incomplete',
};

/** Where the test takes place, and whether it can be expected to find itself. */
interface Bench {
  readonly folder: string;
  readonly home: string;
  readonly found: boolean;
}

/** Milliseconds that all of it may take. */
const LIMIT = 7_000;

async function testSelf(
  { folder, home, found }: Bench,
  { interfaces }: DoctorOptions,
  outer: AbortSignal,
): Promise<CheckEvent> {
  const { sendToSelf } = await import('./self-test.ts');
  const test = { folder, home, name: GUEST, interfaces };
  const sent = (byDiscovery: boolean, signal: AbortSignal): Promise<DropError | undefined> =>
    failureOf(sendToSelf({ ...test, byDiscovery, signal }), signal);
  return within(outer, LIMIT, async (signal) => {
    const lost = found ? await sent(true, signal) : new DropError('not-found');
    if (lost === undefined)
      return fine(
        'self-test',
        'A file found its way from this computer to itself, and is the same.',
      );
    const failure = lost.code === 'not-found' ? await sent(false, signal) : lost;
    outer.throwIfAborted();
    if (failure)
      return wrong(
        'self-test',
        `This computer could not send itself a file: ${failure.message}`,
        mendedBy(failure.hint),
      );
    const message = 'A file went from this computer to itself by its address, but not by its name';
    return found
      ? wrong('self-test', `${message}: it does not find itself.`)
      : note('self-test', `${message}, as is said above.`);
  });
}

/** The failure that a task ended with, if a person can understand it. */
async function failureOf(task: Promise<void>, signal: AbortSignal): Promise<DropError | undefined> {
  try {
    await task;
    return undefined;
  } catch (error) {
    if (signal.aborted) return new DropError('unreachable', { cause: error });
    if (error instanceof DropError) return error;
    throw error;
  }
}
