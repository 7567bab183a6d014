import { spawn } from 'node:child_process';
import { type Environment, withoutOurs } from '../../environment.ts';

/**
 * Has the desktop show a folder, or a page in a file, as if it was clicked on. Resolves with whether
 * there is a desktop that could; what comes of it nobody tells.
 */
export async function show(
  path: string,
  platform: NodeJS.Platform = process.platform,
  environment: Environment = process.env,
): Promise<boolean> {
  const program = opener(platform, environment);
  if (program === undefined) return false;
  const [file, ...words] = program;
  return new Promise((resolve) => {
    const child = spawn(file, [...words, path], {
      stdio: 'ignore',
      detached: true,
      env: withoutOurs(environment),
    });
    child.once('error', () => resolve(false));
    child.once('spawn', () => resolve(true));
    child.unref();
  });
}

/** What a desktop opens things with; none where nobody sits at one. */
export function opener(
  platform: NodeJS.Platform,
  { DISPLAY, WAYLAND_DISPLAY, SystemRoot = 'C:\\Windows' }: Environment,
): readonly [file: string, ...words: string[]] | undefined {
  if (platform === 'darwin') return ['/usr/bin/open'];
  // Of a page it opens the browser, and of a folder a window.
  if (platform === 'win32') return [`${SystemRoot}\\explorer.exe`];
  return DISPLAY || WAYLAND_DISPLAY ? ['xdg-open'] : undefined;
}
