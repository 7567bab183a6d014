#!/usr/bin/env node
// Runs the built command, or says what is missing. Nothing is required at the top and the syntax is
// old, so that a Node that is too old reads as far as the sentence that says so. This and what it
// requires is CommonJS, which Node 20 has loaded before it has made ready to load modules.

const NEEDED = [20, 19];
/** The newest that is known to have the flags of `keepSmall`. */
const TRIED = 26;
const COMMAND = '../dist/command/main.cjs';

/** Keeps what was compiled, where Node does not do so itself. */
let keepRest = () => {};

start();

function start() {
  if (isTooOld(process.versions.node)) {
    fail(`drop needs Node ${NEEDED.join('.')} or newer; this is ${process.versions.node}`);
    return;
  }
  process.on('exit', onRanDry);
  nameHome();
  keepCompiled();
  keepSmall();
  load().then(run, notLoaded).catch(broken);
}

function load() {
  return new Promise((resolve) => resolve(require(COMMAND)));
}

function run(cli) {
  return cli.main(process.argv.slice(2)).then(end);
}

/**
 * The account of a service need not have a home folder, and can do without: DROP_HOME and --into say
 * what else would lie there. Where the system knows of none, it must not fail for being asked.
 */
function nameHome() {
  if (process.env.HOME !== undefined || process.platform === 'win32') return;
  try {
    require('node:os').homedir();
  } catch (_) {
    process.env.HOME = '/nonexistent';
  }
}

/**
 * Keeps what is compiled, so that the next run begins with that; Node does so itself from 22.8 on. It
 * runs what it finds there, so the folder must be this person's alone. Without it all is the same,
 * only slower, so nothing is said.
 */
function keepCompiled() {
  const { enableCompileCache } = require('node:module');
  // For an answer there is hardly anything to compile.
  if (enableCompileCache === undefined && isAnswer()) return;
  try {
    const folder = cacheFolder();
    if (!isPrivate(folder)) return;
    if (enableCompileCache !== undefined) enableCompileCache(folder);
    else keepRest = require('./compiled.js')(folder, purpose());
  } catch (_) {
    // There may be no home folder, or none that can be written.
  }
}

/** What is compiled for completing a command line is little of what it takes to run that. */
function purpose() {
  if (process.argv[2] === '__complete') return 'complete';
  return process.argv.includes('send') ? 'send' : '';
}

/**
 * Lets V8 collect what is not needed any more as soon as there is a little of it. A million files
 * leave so much behind that it would take 30 to 80 MB more than is ever needed at a time, and be
 * hardly faster. It looks at these flags whenever it has collected. One that it did not know it
 * would complain of, so a version that was not tried does without.
 */
function keepSmall() {
  if (isAnswer() || majorOf(process.versions.node) > TRIED) return;
  const { setFlagsFromString } = require('node:v8');
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--heap-growing-percent=30');
  // V8 in Node 20 has no compiler between its quickest and its best, and is busy with the best one for
  // hundreds of functions that are not needed any more when that is done.
  if (majorOf(process.versions.node) === 20) setFlagsFromString('--interrupt-budget=500000');
}

/** Whether nothing is asked for but an answer: help, or the version. */
function isAnswer() {
  const words = process.argv.slice(2);
  return words.length === 0 || words.some((word) => /^(?:--version|--help|-h)$/.test(word));
}

function majorOf(version) {
  return Number(version.split('.')[0]);
}

/** The platform's place for what can be made again. */
function cacheFolder() {
  const { join } = require('node:path');
  const { HOME, LOCALAPPDATA, XDG_CACHE_HOME } = process.env;
  if (process.platform === 'win32') return join(LOCALAPPDATA, 'drop', 'Cache');
  if (process.platform === 'darwin') return join(HOME, 'Library', 'Caches', 'drop');
  return join(XDG_CACHE_HOME || join(HOME, '.cache'), 'drop');
}

/** Whether there is such a folder that is ours alone. One is made if there is none. */
function isPrivate(folder) {
  const { dirname, isAbsolute } = require('node:path');
  const { mkdirSync, statSync } = require('node:fs');
  // One that depends on where we are could be part of anything that was unpacked there.
  if (!isAbsolute(folder)) return false;
  for (const path of [dirname(folder), folder]) {
    try {
      mkdirSync(path, { mode: 0o700 });
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
  }
  const { uid, mode } = statSync(folder);
  return process.getuid === undefined || (uid === process.getuid() && (mode & 0o077) === 0);
}

/** `how`: an exit code, or the name of the signal to die of, so that a shell's loop stops too. */
function end(how) {
  process.removeListener('exit', onRanDry);
  try {
    if (how === 0 || typeof how === 'string') keepRest();
  } catch (_) {
    // The disk may be full.
  }
  if (typeof how === 'number') {
    process.exitCode = how;
    return;
  }
  process.exitCode = 128 + require('node:os').constants.signals[how];
  if (process.platform === 'win32') process.exit();
  process.removeAllListeners(how);
  process.kill(process.pid, how);
}

function notLoaded(error) {
  const unbuilt = error.message.startsWith(`Cannot find module '${COMMAND}'`);
  if (error.code !== 'MODULE_NOT_FOUND' || !unbuilt) throw error;
  fail('drop is not built yet; run: npm run setup');
}

function broken(error) {
  fail(error instanceof Error ? error.stack : String(error));
}

/** Until `main` has spoken, ending is failing: an event loop that ran dry did not do its work. */
function onRanDry(code) {
  if (code === 0) fail('drop ended without a result; this is a bug.');
}

function fail(text) {
  process.stderr.write(`${text}\n`);
  process.exitCode = 1;
}

function isTooOld(version) {
  const [major, minor] = version.split('.').map(Number);
  return major < NEEDED[0] || (major === NEEDED[0] && minor < NEEDED[1]);
}
