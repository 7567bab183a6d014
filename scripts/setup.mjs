// npm run setup [-- --prefix DIR]: fetches, builds and installs the command `drop`.

import { existsSync, mkdtempSync, rmdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join, sep } from 'node:path';
import { Failure, npm, project, script } from './npm.mjs';

const LOCAL_BIN = join(homedir(), '.local', 'bin');

script(() => {
  const options = process.argv.slice(2);
  const prefix = npm('prefix', '--global', ...options);
  const windows = process.platform === 'win32';
  const modules = windows ? join(prefix, 'node_modules') : join(prefix, 'lib', 'node_modules');
  const bin = windows ? prefix : join(prefix, 'bin');

  // Before the long work, not after it.
  const manuals = windows ? [] : [join(prefix, 'share', 'man')];
  const closed = [modules, bin, ...manuals].find((folder) => !isWritable(folder));
  if (closed !== undefined)
    throw new Failure(
      [
        `You may not change ${closed}, where npm installs commands. Install drop for yourself alone: npm run setup -- --prefix ~/.local`,
        ...(isInPath(LOCAL_BIN) ? [] : [pathAdvice(LOCAL_BIN)]),
      ].join('\n'),
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

/** Whether something could be made in that folder, or the folder itself. */
function isWritable(folder) {
  const parent = dirname(folder);
  if (!existsSync(folder) && parent !== folder) return isWritable(parent);
  try {
    rmdirSync(mkdtempSync(join(folder, '.drop-')));
    return true;
  } catch {
    return false;
  }
}

function isInPath(folder) {
  return (process.env.PATH ?? '').split(delimiter).includes(folder);
}

function pathAdvice(folder) {
  if (process.platform === 'win32') return `${folder} is not in your PATH; add it there.`;
  const value = folder.startsWith(homedir() + sep)
    ? `$HOME${folder.slice(homedir().length)}`
    : folder;
  return `${tilde(folder)} is not in your PATH; add it there: export PATH="${value}:$PATH"`;
}

function tilde(path) {
  return path.startsWith(homedir() + sep) ? `~${path.slice(homedir().length)}` : path;
}
