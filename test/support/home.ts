import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** An empty folder that is removed at the end: `await using folder = new TempFolder()`. */
export class TempFolder implements AsyncDisposable {
  readonly path = realpathSync(mkdtempSync(join(tmpdir(), 'drop-test-')));

  async [Symbol.asyncDispose](): Promise<void> {
    rmSync(this.path, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** The home folder of somebody who has never used drop: an empty folder for downloads in it. */
export class Home extends TempFolder {
  /** Where `drop` keeps identity and trust store, once it has run. */
  readonly state = join(this.path, 'state');
  readonly downloads = join(this.path, 'Downloads');

  constructor() {
    super();
    mkdirSync(this.downloads);
  }

  /** All that a process of this person knows of the world; nothing of ours, so `CI` neither. */
  get env(): Record<string, string> {
    return {
      PATH: process.env.PATH ?? '',
      HOME: this.path,
      DROP_HOME: this.state,
      LANG: 'C.UTF-8',
    };
  }
}
