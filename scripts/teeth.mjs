// npm run test:teeth [-- NAME...]: switches off one protection after the other, in copies of this
// checkout, and shows that a test misses it. Ends with failure if one of them is missed by none.
// With names: only the protections whose names contain one of them.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PROTECTIONS } from '../test/teeth/protections.mjs';
import { Failure, script } from './npm.mjs';
import { Copy, HANGS, killAll } from './teeth-copy.mjs';

/** How many are judged at a time. Many a test that misses something waits, and needs no core. */
const AT_ONCE = 6;

/** What runs commands: one of them at a time, as devices on the loopback interface hear each other. */
const ALONE = 'test/e2e/';

/** What runs the command as it is built; the others have to do with the sources alone. */
const BUILT = /^test\/(?:cli\/(?:main|prompts)\.|disk\/note\.|e2e\/)/;

/** What is said of a protection without which a test fails; or never ends, as it waits for it. */
const MISSED = ['missed', 'missed (hangs)'];

await judgeAll().catch((error) => {
  script(() => {
    throw error;
  });
  process.exit(); // The others may still be at work.
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
    killAll();
    rmSync(scratch, { recursive: true, force: true });
  });
  const model = await Copy.ofCheckout(join(scratch, 'model'));
  const copies = Array.from({ length: AT_ONCE }, (_, i) => model.another(join(scratch, `${i}`)));
  await ensureReadable(model, chosen);
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
  for (const copy of copies) copy.close();
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

/** What no compiler can read fails any test, which says nothing. */
async function ensureReadable(copy, chosen) {
  const folder = join(copy.root, 'mutated');
  mkdirSync(folder);
  for (const [i, protection] of chosen.entries())
    writeFileSync(join(folder, `${i}.ts`), without(copy.root, protection).mutated);
  const { code, said } = await copy.compile([
    ...['--noCheck', '--noResolve', '--ignoreConfig', '--target', 'es2023', '--module', 'nodenext'],
    ...chosen.map((_, i) => join('mutated', `${i}.ts`)),
  ]);
  const [, i] = /^mutated\/(\d+)\.ts/m.exec(said) ?? [];
  if (i !== undefined) throw new Failure(`"${chosen[i].name}" leaves no program: ${said}`);
  if (code !== 0) throw new Failure(said);
}

/** As many at a time as there are copies. */
async function inTurn(copies, all, work) {
  const alone = all.filter(({ test: [file] }) => file.startsWith(ALONE));
  const others = all.filter((one) => !alone.includes(one));
  const workOff = async (copy, i) => {
    for (const queue of i === 0 ? [alone, others] : [others])
      while (queue.length > 0) await work(copy, queue.shift());
  };
  await Promise.all(copies.map(workOff));
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
  const results = await copy.run(file, titles);
  for (const title of titles) {
    const ran = ranOf(results, title);
    if (ran.length === 0)
      throw new Failure(`${file} has no test that is run and called "${title}".`);
    const [broken] = ran.filter(({ status }) => status !== 'passed');
    if (broken) throw new Failure(`"${title}" fails with all protections: ${broken.reason}`);
  }
}

/** Whether a test of a protection fails without it, by what it expects. */
async function judge(copy, protection) {
  const { path, text, mutated } = without(copy.root, protection);
  const [file, title] = protection.test;
  try {
    copy.write(path, mutated);
    if (BUILT.test(file)) await copy.build();
    const results = await copy.run(file, [title]);
    if (results === HANGS) return MISSED[1];
    const ran = ranOf(results, title);
    if (ran.length === 0) return 'BROKEN';
    const reasons = ran.filter(({ status }) => status === 'failed').map(({ reason }) => reason);
    if (reasons.length === 0) return 'MISSED BY NONE';
    const honest = reasons.filter((reason) => !/^(?:Reference|Syntax)Error/m.test(reason));
    if (honest.length === 0) return 'BROKEN';
    return honest.every((reason) => / timed out in \d+ ?ms/.test(reason)) ? MISSED[1] : MISSED[0];
  } finally {
    copy.write(path, text);
    if (BUILT.test(file)) copy.unbuild();
  }
}

/** Of what was run, the tests with this title that were. */
function ranOf(results, title) {
  if (results === HANGS) return [];
  return results
    .filter(({ name }) => name.includes(title))
    .filter(({ status }) => status === 'passed' || status === 'failed');
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
