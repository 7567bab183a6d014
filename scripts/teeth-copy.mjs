// Copies of this checkout in which `npm run test:teeth` changes what it likes, and runs the tests.

import { spawn } from 'node:child_process';
import { cpSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Failure, project } from './npm.mjs';

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

/** What is said of tests that do not end. */
export const HANGS = 'hangs';

const TSC = 'node_modules/typescript/bin/tsc';
const BUNDLE = 'scripts/bundle.mjs';
const RUNNER = 'scripts/teeth-runner.mjs';

/** What is not over yet. */
const running = new Set();

/** A copy of this checkout, built, and what runs tests in it. */
export class Copy {
  root;
  #model;
  #runner;
  #changed = new Set();

  constructor(root, model) {
    this.root = root;
    this.#model = model;
  }

  static async ofCheckout(root) {
    for (const part of PARTS) cpSync(join(project, part), join(root, part), { recursive: true });
    symlinkSync(join(project, 'node_modules'), join(root, 'node_modules'));
    const copy = new Copy(root);
    await copy.build();
    return copy;
  }

  another(root) {
    cpSync(this.root, root, { recursive: true });
    return new Copy(root, this);
  }

  write(path, text) {
    writeFileSync(path, text);
    this.#changed.add(path);
  }

  /** Makes of the sources, as they are now, the command under test. */
  async build() {
    const compiling = this.compile(['-p', 'src/tsconfig.json', '--noCheck']);
    const outcomes = await Promise.all([compiling, command(this.root, BUNDLE, [])]);
    for (const { code, said } of outcomes) if (code !== 0) throw new Failure(said);
  }

  /** Puts back what was built of the sources as they were at first. */
  unbuild() {
    rmSync(join(this.root, 'dist'), { recursive: true });
    cpSync(join(this.#model.root, 'dist'), join(this.root, 'dist'), { recursive: true });
  }

  compile(words) {
    return command(this.root, TSC, words);
  }

  /** Runs the tests of a file with these titles; what came of each, or that they did not end. */
  run(file, titles) {
    this.#runner ??= this.#startRunner();
    const runner = this.#runner;
    return new Promise((resolve) => {
      const end = (results) => {
        clearTimeout(limit);
        runner.off('message', end).off('close', fail);
        resolve(results);
      };
      const fail = () => end([]);
      const limit = setTimeout(() => {
        this.#runner = undefined;
        kill(runner);
        end(HANGS);
      }, PATIENCE);
      runner.once('message', end).once('close', fail);
      runner.send({ file, titles, changed: [...this.#changed] });
      this.#changed.clear();
    });
  }

  #startRunner() {
    const runner = start(this.root, [RUNNER], ['ignore', 'ignore', 'inherit', 'ipc']);
    return runner.once('close', () => {
      if (this.#runner === runner) this.#runner = undefined;
    });
  }

  close() {
    this.#runner?.disconnect();
  }
}

/** Whatever still runs in any copy. */
export function killAll() {
  for (const child of running) kill(child);
}

/** Runs a program in a copy; what it said, and its exit code, undefined if it does not end. */
function command(root, program, words) {
  return new Promise((resolve, reject) => {
    const child = start(root, [program, ...words], ['ignore', 'pipe', 'ignore']);
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
      resolve({ code: code ?? 1, said });
    });
  });
}

function start(root, words, stdio) {
  const { TEST_REPORT: _, ...env } = process.env;
  const child = spawn(process.execPath, words, { cwd: root, env, stdio, detached: true });
  running.add(child);
  return child.once('close', () => running.delete(child));
}

/** Ends a program, and those that it has started. */
function kill({ pid }) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has just ended.
  }
}
