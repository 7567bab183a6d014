// Loaded into a `drop` before its own code, see crash.ts: writes down what it does to the disk and
// what it says, and ends it at one of these steps as kill -9 would, in the midst of everything.

import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { relative, sep } from 'node:path';

/** As `Watch` in crash.ts says. */
const { log, folders, reads = false, end } = JSON.parse(process.env.CRASH);
const { appendFileSync, writeSync } = fs;

const counts = new Map();
/** Paths of open files, by their descriptors. */
const open = new Map();
/** Calls under way: what Node calls by itself for one of ours is a part of that. */
let depth = 0;

/** What is done with a file that was opened with a promise, and what that is called otherwise. */
const HANDLED = {
  read: 'read',
  write: 'write',
  writeFile: 'write',
  sync: 'fsync',
  datasync: 'fdatasync',
  truncate: 'ftruncate',
  chmod: 'fchmod',
  utimes: 'futimes',
};

for (const name of ['mkdir', 'mkdtemp', 'rmdir', 'rm', 'unlink', 'writeFile', 'appendFile'])
  patch(name, ([path]) => [path]);
for (const name of ['truncate', 'chmod', 'utimes', 'lutimes']) patch(name, ([path]) => [path]);
for (const name of ['rename', 'link', 'copyFile', 'cp']) patch(name, ([from, to]) => [from, to]);
patch('symlink', ([target, path]) => [`"${target}"`, path]);
for (const name of ['write', 'writev', 'fsync', 'fdatasync', 'ftruncate', 'fchmod', 'futimes'])
  patch(name, ([file]) => [open.get(file)]);
if (reads) patch('read', ([file]) => [open.get(file)]);
patchOpen();
patchClose();
patchSaying();
syncBuiltinESMExports();

/** All ways to call a function: at once, with a callback, with a promise. */
function patch(name, pathsOf) {
  const stepOf = (args) => describe(name, pathsOf(args));
  const atOnce = `${name}Sync`;
  if (fs[atOnce]) fs[atOnce] = atOnceInstead(fs[atOnce], stepOf);
  if (fs[name]) fs[name] = callbackInstead(fs[name], stepOf);
  if (fs.promises[name]) fs.promises[name] = promiseInstead(fs.promises[name], stepOf);
}

function patchOpen() {
  const { openSync, promises } = fs;
  const stepOf = ([path, flags]) => (isWriting(flags) ? describe('open', [path]) : undefined);
  const atOnce = atOnceInstead(openSync, stepOf);
  fs.openSync = (...args) => {
    const file = atOnce(...args);
    open.set(file, args[0]);
    return file;
  };
  const promised = promiseInstead(promises.open, stepOf);
  promises.open = async (path, ...args) => {
    const handle = await promised(path, ...args);
    for (const [method, name] of Object.entries(HANDLED)) {
      if (name === 'read' && !reads) continue;
      const call = handle[method].bind(handle);
      handle[method] = promiseInstead(call, () => describe(name, [path]));
    }
    return handle;
  };
}

function patchClose() {
  const { closeSync } = fs;
  fs.closeSync = (file) => {
    open.delete(file);
    closeSync(file);
  };
}

/** What is said to the program that started it. */
function patchSaying() {
  const { stdout } = process;
  const write = stdout.write;
  // What happens at once comes in one piece; each line is a step all the same.
  stdout.write = (text, ...whenTaken) => {
    for (const line of text.split('\n').slice(0, -1)) {
      const { event, path } = JSON.parse(line);
      const step = path === undefined ? `say ${event}` : `say ${event} ${called(path) ?? path}`;
      const nth = before(step);
      write.call(stdout, `${line}\n`);
      after(step, nth);
    }
    return write.call(stdout, '', ...whenTaken);
  };
}

function atOnceInstead(call, stepOf) {
  return like(call, (...args) => {
    const step = depth > 0 ? undefined : stepOf(args);
    if (step === undefined) return call(...args);
    const nth = before(step);
    if (isEnd(step, nth, 'amid')) writeHalf(args);
    depth += 1;
    try {
      const result = call(...args);
      after(step, nth);
      return result;
    } catch (error) {
      after(step, nth, error);
      throw error;
    } finally {
      depth -= 1;
    }
  });
}

function callbackInstead(call, stepOf) {
  return like(call, (...args) => {
    const step = stepOf(args);
    if (step === undefined) return call(...args);
    const nth = before(step);
    if (isEnd(step, nth, 'amid')) writeHalf(args.slice(0, -1));
    const callback = args.pop();
    return call(...args, (error, ...results) => {
      after(step, nth, error);
      callback(error, ...results);
    });
  });
}

function promiseInstead(call, stepOf) {
  return like(call, async (...args) => {
    const step = stepOf(args);
    if (step === undefined) return call(...args);
    const nth = before(step);
    if (isEnd(step, nth, 'amid')) {
      const [bytes] = args;
      await call(bytes.slice(0, bytes.length / 2));
      die();
    }
    try {
      const result = await call(...args);
      after(step, nth);
      return result;
    } catch (error) {
      after(step, nth, error);
      throw error;
    }
  });
}

/** With all that hangs on the function instead of which it is called: `promisify` looks for it. */
function like(call, instead) {
  const { name, length, prototype, ...others } = Object.getOwnPropertyDescriptors(call);
  return Object.defineProperties(instead, others);
}

function writeHalf([file, bytes, offset = 0, length = bytes.length, position = null]) {
  const all = Buffer.from(bytes).subarray(offset, offset + length);
  writeSync(file, all, 0, Math.floor(all.length / 2), position);
  die();
}

function before(step) {
  const nth = (counts.get(step) ?? 0) + 1;
  counts.set(step, nth);
  note({ when: 'before', step, nth });
  return nth;
}

function after(step, nth, error) {
  note({ when: 'after', step, nth, ...(error ? { error: error.code } : {}) });
}

function note(line) {
  depth += 1;
  appendFileSync(log, `${JSON.stringify(line)}\n`);
  depth -= 1;
  if (isEnd(line.step, line.nth, line.when)) die();
}

function isEnd(step, nth, when) {
  return end?.step === step && end.nth === nth && end.when === when;
}

/** None of our code runs any more: the signal is there before the call comes back. */
function die() {
  process.kill(process.pid, 'SIGKILL');
}

/** The call and what it is about, the same in every run; undefined if that is not watched. */
function describe(name, paths) {
  const names = paths.map((path) => called(path) ?? path);
  return called(paths.at(-1)) === undefined ? undefined : `${name} ${names.join(' -> ')}`;
}

function called(path) {
  if (typeof path !== 'string') return undefined;
  for (const [name, folder] of Object.entries(folders)) {
    const inside = relative(folder, path);
    if (inside === '') return name;
    if (inside !== '..' && !inside.startsWith(`..${sep}`)) return `${name}/${alike(inside)}`;
  }
  return undefined;
}

/** Without what is drawn at random, and what is another one in each process. */
function alike(path) {
  return path
    .replace(/\.drop-[0-9a-f]{16}/, '.drop')
    .replace(/[0-9a-f]{32}\.(\d+)\.-?\d+/, 'part of $1')
    .replace(/[0-9a-f]{8}\.(\d+)\.whole$/, 'whole $1')
    .replace(/^[0-9a-f]{16}\.[\d-]+\.json\.[0-9a-f]{16}\.tmp$/, 'draft')
    .replace(/^[0-9a-f]{16}\.[\d-]+\.json$/, 'held')
    .replace(/^[0-9a-f]{16}\.json$/, 'loose');
}

function isWriting(flags = 'r') {
  const { O_CREAT, O_WRONLY, O_RDWR } = fs.constants;
  return typeof flags === 'string' ? flags !== 'r' : (flags & (O_CREAT | O_WRONLY | O_RDWR)) !== 0;
}
