// What the scripts share: npm, called from inside npm.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const project = fileURLToPath(new URL('..', import.meta.url));

/**
 * Runs npm in the project folder and returns what it printed. Nothing of it is shown unless it
 * fails: then all of it is in the error.
 */
export function npm(...args) {
  const [file, ...first] = npmCommand();
  const { status, stdout, stderr, error } = spawnSync(file, [...first, ...args], {
    cwd: project,
    env: ownEnvironment(),
    encoding: 'utf8',
    maxBuffer: Number.POSITIVE_INFINITY,
    // npm is a .cmd file there, which only a shell can run.
    shell: file === 'npm' && process.platform === 'win32',
  });
  if (error) throw new Failure(`npm cannot be run: ${error.message}`);
  if (status !== 0) throw new Failure(`npm ${args.join(' ')} failed:\n${stdout}${stderr}`.trim());
  return stdout.trim();
}

/** What a person can understand without a stack. */
export class Failure extends Error {}

/** Runs a script's work; its end is the exit code. */
export function script(work) {
  try {
    work();
  } catch (error) {
    console.error(error instanceof Failure ? error.message : error);
    process.exitCode = 1;
  }
}

function npmCommand() {
  const own = process.env.npm_execpath;
  return own?.endsWith('npm-cli.js') ? [process.execPath, own] : ['npm'];
}

/** Without the options of the npm that called us: in `npm install -g .` it would all be global. */
function ownEnvironment() {
  const options =
    /^npm_config_(global|location|local_prefix|omit|include|production|install_links|allow_scripts|dry_run)$/i;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !options.test(name)));
}
