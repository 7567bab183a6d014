import { access, constants, link, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { diskFailure, isSystemError } from '../disk/failure.ts';
import { defaultHome, findDownloads } from '../disk/home.ts';
import { loadIdentity } from '../disk/identity.ts';
import { asWord } from '../disk/platform.ts';
import { checkTarget, roomIn } from '../disk/target.ts';
import { DropError } from '../errors.ts';
import type { CheckEvent, CheckName } from '../events.ts';
import { openSelf, type Self } from '../meeting/self.ts';
import { fine, mendedBy, note, wrong } from './check.ts';

/** The identity and the folder it lies in. Nothing is made that is not there yet. */
export async function* checkState(home = defaultHome()): AsyncGenerator<CheckEvent, void> {
  try {
    yield* checkHome(home);
  } catch (error) {
    if (!(error instanceof DropError)) throw error;
    yield wrong('state', `${home}: ${error.message}`, mendedBy(error.hint));
  }
}

async function* checkHome(home: string): AsyncGenerator<CheckEvent, void> {
  const folder = await found(home);
  if (folder === undefined) {
    yield fine('identity', NO_IDENTITY);
    return;
  }
  if (!folder.isDirectory()) {
    yield wrong('state', `${home} is not a folder.`, { fix: `rm ${asWord(home)}` });
    return;
  }
  const { uid, mode } = folder;
  const user = process.geteuid?.();
  if (user === 0 && uid !== 0) {
    yield note('state', `${home} belongs to another user, and was not looked into.`);
    return;
  }
  const hasIdentity = (await found(join(home, 'identity.pem'))) !== undefined;
  const identity = hasIdentity ? await checkIdentity(home) : fine('identity', NO_IDENTITY);
  yield identity;
  if (user !== undefined && user !== uid)
    yield wrong('state', `${home} belongs to another user.`, {
      fix: `sudo chown -R "$(id -un)" ${asWord(home)}`,
    });
  else if (user !== undefined && mode & 0o022)
    yield wrong('state', `Other users can change what is in ${home}.`, {
      fix: `chmod 700 ${asWord(home)}`,
    });
  else if (!(await isWritable(home)))
    yield wrong('state', `Nothing can be written into ${home}.`, {
      fix: `chmod u+rwx ${asWord(home)}`,
    });
  else {
    // What is remembered of other devices may be damaged, too.
    if (hasIdentity && identity.ok) await openSelf({ home });
    yield fine('state', `What is remembered lies in ${home}, and nobody else can change it.`);
  }
}

const NO_IDENTITY = 'There is no identity yet; the first drop send or receive makes it.';

async function checkIdentity(home: string): Promise<CheckEvent> {
  try {
    const { id } = await loadIdentity(home);
    return fine(
      'identity',
      `The identity of this device is ${id.slice(0, 8)}, for you alone to read.`,
    );
  } catch (error) {
    if (!(error instanceof DropError)) throw error;
    return wrong('identity', error.message, mendedBy(error.hint));
  }
}

/** Whom we know, if that can be read; nothing is made that is not there. */
export async function knownSelf(home = defaultHome()): Promise<Self | undefined> {
  const checks = new Map<CheckName, CheckEvent>();
  for await (const check of checkState(home)) checks.set(check.name, check);
  const isThere = checks.get('state')?.level === 'ok' && checks.get('identity')?.ok;
  return isThere && (await found(join(home, 'identity.pem'))) ? openSelf({ home }) : undefined;
}

/** Before the first version no clock was right. Dates of files come from it, and `newer` goes by them. */
const RELEASED = Date.UTC(2026, 0, 1);

export function checkClock(now = Date.now()): CheckEvent {
  const date = new Date(now).toISOString().slice(0, 10);
  return now < RELEASED
    ? note('clock', `The clock says ${date}, which is over. Files are compared by their dates.`, {
        fix: process.platform === 'linux' ? 'sudo timedatectl set-ntp true' : 'Set the clock.',
      })
    : fine('clock', `The clock says ${date}.`);
}

/** Less room than this is worth a word, in bytes. */
const LITTLE = 1024 ** 3;

/** The folder that files land in. What is made in it to see whether that is possible is removed. */
export async function* checkDownloads(into?: string): AsyncGenerator<CheckEvent, void> {
  const folder = into ?? (await findDownloads());
  try {
    if (!(await found(folder))) {
      yield fine('downloads', `Files will be saved to ${folder}, which is made when it is needed.`);
      return;
    }
    await checkTarget(folder);
    yield (await hasLinks(folder))
      ? fine('downloads', `Files can be saved to ${folder}.`)
      : note('downloads', `Files can be saved to ${folder}, on a disk without hard links.`, {
          fix: 'None is needed. A crash there may leave an empty file.',
        });
    const room = await roomIn(folder);
    const shown = `${(room / 1e9).toFixed(1)} GB`;
    if (room === Number.POSITIVE_INFINITY)
      yield fine('room', `The disk of ${folder} does not say how much room there is.`);
    else if (room === 0)
      yield wrong('room', `The disk of ${folder} is full.`, {
        fix: 'Make room, or save elsewhere: drop receive --into FOLDER',
      });
    else if (room < LITTLE)
      yield note('room', `There is room for no more than ${shown} in ${folder}.`);
    else yield fine('room', `There is room for ${shown}.`);
  } catch (error) {
    if (!(error instanceof DropError)) throw error;
    yield wrong('downloads', `${folder}: ${error.message}`, {
      fix:
        error.hint ??
        `chmod u+rwx ${asWord(folder)}, or save elsewhere: drop receive --into FOLDER`,
    });
  }
}

async function hasLinks(folder: string): Promise<boolean> {
  const probe = await mkdtemp(join(folder, '.drop-doctor-'));
  try {
    await writeFile(join(probe, 'a'), '');
    await link(join(probe, 'a'), join(probe, 'b'));
    return true;
  } catch {
    return false;
  } finally {
    await rm(probe, { recursive: true, force: true });
  }
}

async function found(path: string) {
  return stat(path).catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw diskFailure(error, path);
  });
}

async function isWritable(path: string): Promise<boolean> {
  return access(path, constants.R_OK | constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
}
