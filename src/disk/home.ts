import { mkdir, readFile, realpath, stat } from 'node:fs/promises';
import { homedir, hostname } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import envPaths from 'env-paths';
import { DropError } from '../errors.ts';
import { MAX_DEVICE_NAME } from '../limits.ts';
import { clip } from '../protocol/names.ts';
import { diskFailure, isSystemError } from './failure.ts';
import { asWord } from './platform.ts';
import { syncFolder } from './sync.ts';

/** Where identity and trust store lie if nobody says otherwise: in the platform's place for data. */
export function defaultHome(): string {
  // Not `config`: on Windows that follows the person to other computers, and the key with it.
  return envPaths('drop', { suffix: '' }).data;
}

/** Makes the folder for identity and trust store, for nobody else to see. */
export async function openHome(home: string): Promise<void> {
  try {
    await mkdir(home, { recursive: true, mode: 0o700 });
    const { uid, mode } = await stat(home);
    if (process.geteuid === undefined) return;
    // Whoever may write here can put an identity of their own in place of ours.
    if (uid !== process.geteuid() || mode & 0o022)
      throw new DropError('identity', {
        message: `Other users can change what is in ${home}.`,
        hint: `It must be yours alone: chmod 700 ${asWord(home)}`,
        path: home,
      });
  } catch (error) {
    throw diskFailure(error, home);
  }
}

/**
 * Where files land if nobody says otherwise: the folder for downloads, which is made if there is
 * none. Never the home folder itself: too much in there is obeyed by one program or another.
 */
export async function defaultDownloads(person?: string, config?: string): Promise<string> {
  const folder = await findDownloads(person, config);
  if (await isFolder(folder)) return folder;
  try {
    await mkdir(folder, { mode: 0o755 });
    await syncFolder(dirname(folder));
  } catch (error) {
    // Whatever is there, the inbox says whether it can be stored in.
    if (!isSystemError(error, 'EEXIST')) throw diskFailure(error, folder);
  }
  return folder;
}

/** The same, whether it is there or not. */
export async function findDownloads(
  person: string = homedir(),
  config: string = process.env.XDG_CONFIG_HOME || join(person, '.config'),
): Promise<string> {
  return (await xdgDownloads(person, config)) ?? join(person, 'Downloads');
}

/** What others see this device as if nobody says otherwise. At most `MAX_DEVICE_NAME` bytes. */
export function defaultName(host: string = hostname()): string {
  return clip(host.replace(/\.local\.?$/i, ''), MAX_DEVICE_NAME) || 'drop';
}

/** The folder that desktops on Linux agree on: `XDG_DOWNLOAD_DIR="$HOME/Downloads"`. */
async function xdgDownloads(person: string, config: string): Promise<string | undefined> {
  let text: string;
  try {
    text = await readFile(join(config, 'user-dirs.dirs'), 'utf8');
  } catch {
    return undefined; // Most systems have none, and an unreadable one is no reason to stop.
  }
  const value = /^\s*XDG_DOWNLOAD_DIR="((?:[^"\\]|\\.)*)"/m.exec(text)?.[1];
  const folder = value?.replace(/\\(.)/g, '$1').replace(/^\$HOME(?=\/|$)/, () => person);
  if (folder === undefined || !isAbsolute(folder) || !(await isFolder(folder))) return undefined;
  // The home folder in its place means that there is none.
  return (await realpath(folder)) === (await realpath(person)) ? undefined : resolve(folder);
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
