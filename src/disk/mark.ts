import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';

/**
 * Marks a file as one that came from somewhere else, so that the system asks before it opens what
 * could do harm. A disk that cannot keep the mark keeps the file without it.
 */
export type Mark = (path: string) => Promise<void>;

/** What the system at hand understands; none where there is no such thing. */
export function markHere(
  platform: NodeJS.Platform = process.platform,
  { now = Date.now, xattr = XATTR }: { now?: () => number; xattr?: string } = {},
): Mark | undefined {
  if (platform === 'win32') return markForWindows;
  if (platform === 'darwin') return together((paths) => quarantine(xattr, now(), paths));
  return undefined;
}

/** A second stream of the file; zone 3 is the internet ([MS-FSCC] 5.6.1). */
async function markForWindows(path: string): Promise<void> {
  await writeFile(`${path}:Zone.Identifier`, '[ZoneTransfer]\r\nZoneId=3\r\n').catch(() => {});
}

const XATTR = '/usr/bin/xattr';

/** Files for one process: starting it takes longer than what it does. */
const MAX_TOGETHER = 256;

/** Flags (0081: downloaded, not looked at yet), hexadecimal seconds since 1970, and by whom. */
async function quarantine(xattr: string, now: number, paths: readonly string[]): Promise<void> {
  const value = `0081;${Math.floor(now / 1000).toString(16)};drop;`;
  const words = ['-w', 'com.apple.quarantine', value, ...paths];
  try {
    // Nothing of our environment, where codes may stand, is its business.
    await execute(xattr, words, { env: {} });
  } catch {
    // It may not even be started, in a sandbox for instance.
  }
}

const execute = promisify(execFile);

/** Does for many at once what is asked for one by one while it is busy. */
function together(act: (paths: readonly string[]) => Promise<void>): Mark {
  let waiting: { path: string; done: () => void }[] = [];
  let running = false;
  const run = async (): Promise<void> => {
    running = true;
    for (;;) {
      const batch = waiting.slice(0, MAX_TOGETHER);
      waiting = waiting.slice(MAX_TOGETHER);
      if (batch.length === 0) break;
      await act(batch.map(({ path }) => path));
      for (const { done } of batch) done();
    }
    running = false;
  };
  return (path) =>
    new Promise((done) => {
      waiting.push({ path, done });
      if (!running) void run();
    });
}
