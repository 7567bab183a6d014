// npm run test:teeth [-- NAME...]: switches off one protection after the other, in a copy of this
// checkout, and shows that a test notices. Ends with failure if one of them is not missed.
// With names: only the protections whose names contain one of them.

import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
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

/** ms. A protection that is gone may let a test wait for ever. */
const PATIENCE = 180_000;

script(() => {
  const wanted = process.argv.slice(2);
  const chosen = PROTECTIONS.filter(
    ({ name }) => wanted.length === 0 || wanted.some((word) => name.includes(word)),
  );
  if (chosen.length === 0) throw new Failure('No protection is called that.');
  const copy = mkdtempSync(join(tmpdir(), 'drop-teeth-'));
  try {
    for (const part of PARTS) cpSync(join(project, part), join(copy, part), { recursive: true });
    symlinkSync(join(project, 'node_modules'), join(copy, 'node_modules'));
    const missed = chosen.filter((protection) => !bites(copy, protection));
    console.log(`${chosen.length - missed.length} of ${chosen.length} were missed by a test`);
    for (const { name } of missed) console.log(`NOT MISSED: ${name}`);
    process.exitCode = missed.length > 0 ? 1 : 0;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
});

/** Whether the tests of a protection pass with it, and fail without it. */
function bites(copy, { name, file, from, to, test }) {
  const path = join(copy, file);
  const whole = readFileSync(path, 'utf8');
  if (whole.split(from).length !== 2)
    throw new Failure(
      `"${name}" does not stand once in ${file}; test/teeth/protections.mjs is old.`,
    );
  const began = performance.now();
  try {
    writeFileSync(
      path,
      whole.replace(from, () => to),
    );
    const without = passes(copy, test);
    writeFileSync(path, whole);
    // That the test fails says something only if it passes otherwise.
    const verdict = without ? 'NOT MISSED' : passes(copy, test) ? 'missed' : 'FAILS ANYWAY';
    console.log(`${verdict}: ${name} (${Math.round((performance.now() - began) / 1000)} s)`);
    return verdict === 'missed';
  } finally {
    writeFileSync(path, whole);
  }
}

/** Builds what the commands under test run, and runs one test. */
function passes(copy, [file, title]) {
  const built = run(copy, 'tsc', '-p', 'src/tsconfig.json', '--noCheck');
  if (built !== 0) throw new Failure('It cannot be built any more.');
  return run(copy, 'vitest', 'run', file, '-t', title) === 0;
}

function run(cwd, command, ...words) {
  const { status } = spawnSync('npx', ['--no-install', command, ...words], {
    cwd,
    timeout: PATIENCE,
    stdio: 'ignore',
  });
  return status ?? 1;
}
