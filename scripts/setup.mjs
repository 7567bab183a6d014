// npm run setup [-- --prefix DIR]: fetches, builds and installs the command `drop`.

import { accessSync, constants, existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join, sep } from 'node:path';
import { Failure, npm, project, script } from './npm.mjs';

const LOCAL = join(homedir(), '.local');

script(() => {
  const options = process.argv.slice(2);
  const prefix = npm('prefix', '--global', ...options);
  const windows = process.platform === 'win32';
  const modules = windows ? join(prefix, 'node_modules') : join(prefix, 'lib', 'node_modules');
  const bin = windows ? prefix : join(prefix, 'bin');

  // Before the long work, not after it.
  const closed = [modules, bin].find((folder) => !isWritable(folder));
  if (closed !== undefined)
    throw new Failure(
      `You may not write to ${closed}. Install drop for yourself instead: npm run setup -- --prefix ~/.local${
        isInPath(join(LOCAL, 'bin')) ? '' : `\n${pathAdvice(join(LOCAL, 'bin'))}`
      }`,
    );

  console.log('Fetching what drop needs ...');
  npm('ci', '--ignore-scripts', '--include=dev', '--no-audit', '--no-fund');
  console.log('Building ...');
  npm('run', 'build');
  console.log(`Installing into ${tilde(bin)} ...`);
  // Scripts are not needed, and npm 12 would refuse them with a warning.
  npm('install', '--global', '--ignore-scripts', '--no-audit', '--no-fund', ...options, project);
  if (!isInPath(bin)) console.log(pathAdvice(bin));
  console.log('drop is installed; try: drop receive');
});

/** Whether a folder could be made or changed there. */
function isWritable(folder) {
  let existing = folder;
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
  try {
    accessSync(existing, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function isInPath(folder) {
  return (process.env.PATH ?? '').split(delimiter).includes(folder);
}

function pathAdvice(folder) {
  return process.platform === 'win32'
    ? `${folder} is not in your PATH; add it there.`
    : `${tilde(folder)} is not in your PATH; add it there: export PATH="${folder.replace(homedir() + sep, '$HOME/')}:$PATH"`;
}

function tilde(path) {
  return path.startsWith(homedir() + sep) ? `~${path.slice(homedir().length)}` : path;
}
