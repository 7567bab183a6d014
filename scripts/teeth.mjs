// npm run test:teeth [-- NAME...]: switches off one protection after the other, in copies of this
// checkout, and shows that a test misses it. Ends with failure if one of them is missed by none.
// With names: only the protections whose names contain one of them.

import { spawn } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PROTECTIONS } from '../test/teeth/protections.mjs';
import { Failure, project, script } from './npm.mjs';

/** What is copied: all that the tests need. */
const PARTS = [
  'bin',
  'docs',
  'scripts',
  'src',
  'test',
  'package.json',
  'tsconfig.json',
  'vitest.config.ts',
];

/** ms. A protection that is gone may let a test wait for ever; there are limits of its own within. */
const PATIENCE = 180_000;

const HANGS = 'hangs';

const TSC = 'node_modules/typescript/bin/tsc';
const VITEST = 'node_modules/vitest/vitest.mjs';
const BUNDLE = 'scripts/bundle.mjs';

/** What is not over yet. */
const running = new Set();

/** What runs commands: one of them at a time, as devices on the loopback interface hear each other. */
const ALONE = 'test/e2e/';

/** What runs the command as it is built. */
const BUILT = /^test\/(?:cli|e2e)\//;

/** What is said of a protection without which a test fails; or never ends, as it waits for it. */
const MISSED = ['missed', 'missed (hangs)'];

await judgeAll().catch((error) => {
  script(() => {
    throw error;
  });
  process.exit(); // The other one of the two may still be at work.
});

async function judgeAll() {
  const wanted = process.argv.slice(2);
  const chosen = PROTECTIONS.filter(
    ({ name }) => wanted.length === 0 || wanted.some((word) => name.includes(word)),
  );
  if (chosen.length === 0) throw new Failure('No protection is called that.');
  const scratch = mkdtempSync(join(tmpdir(), 'drop-teeth-'));
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(name, () => process.exit(1));
  process.once('exit', () => {
    for (const child of running) kill(child);
    rmSync(scratch, { recursive: true, force: true });
  });
  const copies = ['a', 'b'].map((name) => copyTo(join(scratch, name)));
  await Promise.all(copies.map(build));
  await ensureReadable(copies[0], chosen);
  await inTurn(copies, testsOf(chosen), ensurePassing);

  const verdicts = new Map();
  await inTurn(copies, chosen, async (copy, protection) => {
    const began = performance.now();
    const verdict = await judge(copy, protection);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    console.log(`${verdict}: ${protection.name} (${seconds} s)`);
    verdicts.set(protection.name, verdict);
  });

  const failed = chosen.filter(({ name }) => !MISSED.includes(verdicts.get(name)));
  report(chosen, verdicts);
  for (const { name } of failed) console.log(`${verdicts.get(name)}: ${name}`);
  console.log(
    `${chosen.length - failed.length} of ${chosen.length} protections are missed by a test`,
  );
  process.exitCode = failed.length > 0 ? 1 : 0;
}

/** The file of a protection, and its text without it. */
function without(root, { name, file, from, to, also = [] }) {
  const path = join(root, file);
  const text = readFileSync(path, 'utf8');
  let mutated = text;
  for (const [here, instead] of [[from, to], ...also]) {
    if (text.split(here).length !== 2)
      throw new Failure(
        `"${name}" does not stand once in ${file}: see test/teeth/protections.mjs.`,
      );
    mutated = mutated.replace(here, () => instead);
  }
  return { path, text, mutated };
}

function copyTo(copy) {
  for (const part of PARTS) cpSync(join(project, part), join(copy, part), { recursive: true });
  symlinkSync(join(project, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

/** What no compiler can read fails any test, which says nothing. */
async function ensureReadable(copy, chosen) {
  const folder = join(copy, 'mutated');
  mkdirSync(folder);
  for (const [i, protection] of chosen.entries())
    writeFileSync(join(folder, `${i}.ts`), without(copy, protection).mutated);
  const words = ['--noCheck', '--noResolve', '--ignoreConfig', '--target', 'es2023'];
  const files = chosen.map((_, i) => join('mutated', `${i}.ts`));
  const { code, said } = await command(copy, TSC, [...words, '--module', 'nodenext', ...files]);
  const [, i] = /^mutated\/(\d+)\.ts/m.exec(said) ?? [];
  if (i !== undefined) throw new Failure(`"${chosen[i].name}" leaves no program: ${said}`);
  if (code !== 0) throw new Failure(said);
}

/** Two at a time, in a copy each. */
async function inTurn([first, second], all, work) {
  const alone = all.filter(({ test: [file] }) => file.startsWith(ALONE));
  const others = all.filter((one) => !alone.includes(one));
  const workOff = async (copy, ...queues) => {
    for (const queue of queues) while (queue.length > 0) await work(copy, queue.shift());
  };
  await Promise.all([workOff(first, alone, others), workOff(second, others)]);
}

/** Each file, and the titles in it. */
function testsOf(chosen) {
  const files = [...new Set(chosen.map(({ test: [file] }) => file))];
  return files.map((file) => {
    const titles = chosen.filter(({ test }) => test[0] === file).map(({ test }) => test[1]);
    return { test: [file, ...new Set(titles)] };
  });
}

/** That a test fails says something only if it passes otherwise. Each is run once for that. */
async function ensurePassing(copy, { test: [file, ...titles] }) {
  const results = await run(copy, file, titles);
  for (const title of titles) {
    const ran = ranOf(results, copy, [file, title]);
    if (ran.length === 0)
      throw new Failure(`${file} has no test that is run and called "${title}".`);
    const [broken] = ran.filter(({ status }) => status !== 'passed');
    if (broken)
      throw new Failure(`"${title}" fails with all protections: ${broken.failureMessages.join()}`);
  }
}

/** Whether a test of a protection fails without it, by what it expects. */
async function judge(copy, protection) {
  const { path, text, mutated } = without(copy, protection);
  const [file, title] = protection.test;
  try {
    writeFileSync(path, mutated);
    if (BUILT.test(file)) await build(copy);
    const results = await run(copy, file, [title]);
    if (results === HANGS) return MISSED[1];
    const ran = ranOf(results, copy, protection.test);
    if (ran.length === 0) return 'BROKEN';
    const failures = ran.filter(({ status }) => status === 'failed');
    const reasons = failures.map(({ failureMessages }) => failureMessages.join('\n'));
    if (reasons.length === 0) return 'MISSED BY NONE';
    const honest = reasons.filter((reason) => !/^(?:Reference|Syntax)Error/m.test(reason));
    if (honest.length === 0) return 'BROKEN';
    return honest.every((reason) => / timed out in \d+ ?ms/.test(reason)) ? MISSED[1] : MISSED[0];
  } finally {
    writeFileSync(path, text);
  }
}

/** Of a report, the tests with this title that were run. */
function ranOf(results, copy, [file, title]) {
  if (results === HANGS) return [];
  return results
    .filter(({ name }) => name === join(copy, file))
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ fullName }) => fullName.includes(title))
    .filter(({ status }) => status === 'passed' || status === 'failed');
}

/** What the command under test is. */
async function build(copy) {
  const compiling = command(copy, TSC, ['-p', 'src/tsconfig.json', '--noCheck']);
  const outcomes = await Promise.all([compiling, command(copy, BUNDLE, [])]);
  for (const { code, said } of outcomes) if (code !== 0) throw new Failure(said);
}

/** Runs the tests of a file with these titles; what came of it, or that it did not end. */
async function run(copy, file, titles) {
  const path = join(copy, 'report.json');
  const pattern = titles.map((title) => title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|');
  const report = ['--reporter=json', `--outputFile=${path}`];
  rmSync(path, { force: true });
  const words = ['run', file, '-t', pattern, ...report];
  if ((await command(copy, VITEST, words)).code === undefined) return HANGS;
  try {
    return JSON.parse(readFileSync(path, 'utf8')).testResults;
  } catch {
    return [];
  }
}

/** Runs a program in a copy; what it said, and its exit code, undefined if it does not end. */
function command(cwd, program, words) {
  const { TEST_REPORT: _, ...env } = process.env;
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...words], {
      cwd,
      env,
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
    });
    running.add(child);
    let said = '';
    child.stdout.on('data', (text) => {
      said += text;
    });
    const limit = setTimeout(() => {
      kill(child);
      resolve({ code: undefined, said });
    }, PATIENCE);
    child.once('error', reject).once('close', (code) => {
      clearTimeout(limit);
      running.delete(child);
      resolve({ code: code ?? 1, said });
    });
  });
}

/** Ends a program, and those that it has started. */
function kill({ pid }) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has just ended.
  }
}

/** For those who count tests: each protection is one. */
function report(chosen, verdicts) {
  if (process.env.TEST_REPORT === undefined) return;
  const assertionResults = chosen.map(({ name }) => ({
    fullName: `without: ${name}`,
    status: MISSED.includes(verdicts.get(name)) ? 'passed' : 'failed',
    failureMessages: [verdicts.get(name)],
  }));
  const testResults = [{ name: 'test:teeth', status: 'passed', message: '', assertionResults }];
  writeFileSync(process.env.TEST_REPORT, JSON.stringify({ testResults }));
}
