import type { ChildProcess } from 'node:child_process';

/**
 * ms. Longer than any single step of a test takes on a busy machine, and shorter than the time a
 * whole test has, so that what never happens is reported by the one who waits for it.
 */
export const PATIENCE = 25_000;

/** How a process ended: by its exit code or by a signal. */
export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The outcome of a process whose streams are pipes and that nobody else reads. */
export function finished(child: ChildProcess): Promise<Outcome> {
  const stdout = text(child.stdout);
  const stderr = text(child.stderr);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) =>
      resolve({ code, signal, stdout: stdout(), stderr: stderr() }),
    );
  });
}

/** Something that tests watch: each announced change is a reason to look again. */
export class Changes {
  readonly #watching = new Set<() => void>();
  readonly #patience: number;

  constructor(patience = PATIENCE) {
    this.#patience = patience;
  }

  announce(): void {
    for (const look of [...this.#watching]) look();
  }

  /** What `look` finds, as soon as it finds anything; it gives up by throwing. */
  until<T>(look: () => T | undefined, seen: () => string): Promise<T> {
    // Made here, so that its stack leads to the line of the test that waits.
    const vain = new Error();
    return new Promise((resolve, reject) => {
      const attempt = (): void => {
        try {
          const found = look();
          if (found === undefined) return;
          stop();
          resolve(found);
        } catch (error) {
          stop();
          reject(error);
        }
      };
      const timer = setTimeout(() => {
        stop();
        vain.message = `It did not happen within ${this.#patience} ms. ${seen()}`;
        reject(vain);
      }, this.#patience);
      const stop = (): void => {
        clearTimeout(timer);
        this.#watching.delete(attempt);
      };
      this.#watching.add(attempt);
      attempt();
    });
  }
}

/** Collects what a stream says; ask when it has ended. */
export function text(
  stream: NodeJS.ReadableStream | null,
  onMore: (piece: string) => void = () => {},
): () => string {
  let all = '';
  stream?.setEncoding('utf8').on('data', (piece: string) => {
    all += piece;
    onMore(piece);
  });
  return () => all;
}
