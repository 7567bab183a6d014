#!/usr/bin/env node
// Runs the built command, or says what is missing. Nothing is required at the top and the syntax is
// old, so that a Node that is too old reads as far as the sentence that says so. This and what it
// requires is CommonJS, which Node 20 has loaded before it has made ready to load modules.

const NEEDED = [20, 19];
const COMMAND = '../dist/command/main.cjs';

start();

function start() {
  if (isTooOld(process.versions.node)) {
    fail(`drop needs Node ${NEEDED.join('.')} or newer; this is ${process.versions.node}`);
    return;
  }
  process.on('exit', onRanDry);
  load().then(run, notLoaded).catch(broken);
}

function load() {
  return new Promise((resolve) => resolve(require(COMMAND)));
}

function run(cli) {
  return cli.main(process.argv.slice(2)).then(end);
}

/** `how`: an exit code, or the name of the signal to die of, so that a shell's loop stops too. */
function end(how) {
  process.removeListener('exit', onRanDry);
  if (typeof how === 'number') {
    process.exitCode = how;
    return;
  }
  process.exitCode = 128 + require('node:os').constants.signals[how];
  if (process.platform === 'win32') return;
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
