import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { PoolOptions, PoolRunnerInitializer, PoolWorker, WorkerRequest } from 'vitest/node';

/**
 * Runs each test file on a network that nobody else is on: a loopback interface, and nothing
 * beside it. So devices of one file do not appear in the lists of another. See `canOwnNetwork`.
 */
export const ownNetwork: PoolRunnerInitializer = {
  name: 'own network',
  createPoolWorker: (options) => new Worker(options),
};

/** Whether this process may make networks: by root, on Linux. */
export function canOwnNetwork(): boolean {
  return spawnSync('unshare', ['--net', 'ip', 'link', 'set', 'lo', 'up']).status === 0;
}

/** A process that runs test files, as those of the pool "forks" are. */
class Worker implements PoolWorker {
  readonly name = 'own network';
  readonly cacheFs = true;
  readonly #options: PoolOptions;
  #child: ChildProcess | undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { distPath, env, execArgv } = this.#options;
    // Nothing forks, so signals reach it, and so does the channel to it.
    const up = ['--net', 'sh', '-c', 'ip link set lo up && exec "$0" "$@"', process.execPath];
    this.#child = fork(join(distPath, 'workers', 'forks.js'), [], {
      execPath: 'unshare',
      execArgv: [...up, ...execArgv],
      env: { ...env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
    });
  }

  async stop(): Promise<void> {
    const child = this.#started();
    if (child.exitCode !== null || child.signalCode !== null) return;
    const over = new Promise((resolve) => child.once('exit', resolve));
    const limit = setTimeout(() => child.kill('SIGKILL'), 500);
    child.kill();
    await over;
    clearTimeout(limit);
  }

  on(event: string, callback: (...args: unknown[]) => void): void {
    this.#started().on(event, callback);
  }

  off(event: string, callback: (...args: unknown[]) => void): void {
    this.#started().off(event, callback);
  }

  send(message: WorkerRequest): void {
    this.#started().send(message);
  }

  deserialize(data: unknown): unknown {
    return data;
  }

  #started(): ChildProcess {
    if (this.#child === undefined) throw new Error('not started');
    return this.#child;
  }
}
