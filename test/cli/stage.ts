import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type {
  Device,
  DiscoverEvent,
  Peer,
  ReceiveEvent,
  SendToAllEvent,
  SilentPeer,
} from '../../src/events.ts';
import type { Offer, Request, Stranger } from '../../src/index.ts';
import { Home } from '../support/home.ts';
import { Changes } from '../support/process.ts';
import { Screen } from '../support/screen.ts';

/** What a test lets the library do. */
export type Cue =
  | { readonly peer: DiscoverEvent }
  | { readonly ask: Request }
  | { readonly offer: Offer }
  | { readonly stranger: Stranger }
  | { readonly gone: true }
  | { readonly code: 'new' | 'wrong-code' | 'code-changed'; readonly kind?: 'code' | 'pin' }
  | { readonly codes: readonly Device[] }
  | { readonly doubt: 'unverified' | 'other-name' }
  | { readonly locked: true }
  | { readonly tell: SendToAllEvent | ReceiveEvent }
  | { readonly finish: true };

/** What the command line did with it. */
export interface Report {
  readonly ready?: true;
  readonly chosen?: Peer | SilentPeer | string;
  /** Where it is more than one. */
  readonly chosenAll?: readonly (Peer | SilentPeer | string)[];
  /** Whether a lost device is waited for as long as it takes. */
  readonly patient?: boolean;
  readonly typed?: string;
  readonly accepted?: boolean;
  readonly taken?: boolean | readonly string[];
  readonly withdrawn?: boolean;
  readonly agreed?: boolean;
  readonly confirmed?: boolean;
  readonly unlocked?: true;
  readonly end?: number | NodeJS.Signals;
  readonly raw?: boolean;
  readonly resized?: number;
}

/** The built command line on a screen, with a library that does what the test says. */
export class Stage implements AsyncDisposable {
  readonly screen: Screen;
  readonly #home: Home;
  readonly #server: Server;
  readonly #socket: Promise<Socket>;
  readonly #reports: Report[] = [];
  readonly #changes = new Changes();
  /** All that came to the screen, also what was drawn over since. */
  #written = '';

  private constructor(home: Home, server: Server, path: string, words: readonly string[]) {
    this.#home = home;
    this.#server = server;
    this.#socket = once(server, 'connection').then(([socket]: Socket[]) => {
      if (socket === undefined) throw new Error('no connection');
      createInterface({ input: socket }).on('line', (line) => {
        this.#reports.push(JSON.parse(line) as Report);
        this.#changes.announce();
      });
      return socket;
    });
    this.screen = new Screen(process.execPath, [SCRIPT, path, ...words], {
      env: { ...home.env, TERM: 'xterm-256color' },
      cwd: home.path,
      onOutput: (data) => {
        this.#written += data;
      },
    });
  }

  static async open(...words: string[]): Promise<Stage> {
    const home = new Home();
    const path = join(home.path, 's');
    const server = createServer().listen(path);
    await once(server, 'listening');
    return new Stage(home, server, path, words);
  }

  /** Types this while no question stands. Resolves when it has been typed: the terminal echoes it. */
  async typeAhead(keys: string): Promise<void> {
    await this.screen.waitFor(/Waiting for files/);
    const before = this.#written.length;
    this.screen.type(keys);
    const echoed = (): true | undefined => this.#written.slice(before).includes('y') || undefined;
    await this.screen.until(echoed, 'echo of y');
  }

  async cue(...cues: Cue[]): Promise<void> {
    const socket = await this.#socket;
    for (const cue of cues) socket.write(`${JSON.stringify(cue)}\n`);
  }

  /** The first report that has this, once it is there. */
  async report<Key extends keyof Report>(key: Key): Promise<Required<Report>[Key]> {
    const find = (): Report | undefined => this.#reports.find((report) => key in report);
    const report = await this.#changes.until(find, () => `no report of ${key}.\n${this.seen()}`);
    return report[key] as Required<Report>[Key];
  }

  /** Gives the window so many columns, other than ever before; resolves when the program has heard of it. */
  async widen(columns: number): Promise<void> {
    this.screen.resize(columns, 24);
    const isDone = (): true | undefined =>
      this.#reports.some(({ resized }) => resized === columns) || undefined;
    await this.#changes.until(isDone, () => `It is not resized.\n${this.seen()}`);
  }

  /** Whether it was reported so far. */
  reported(key: keyof Report): boolean {
    return this.#reports.some((report) => key in report);
  }

  seen(): string {
    return `On the screen:\n${this.screen.text()}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.screen[Symbol.asyncDispose]();
    this.#server.close();
    await this.#home[Symbol.asyncDispose]();
  }
}

const SCRIPT = fileURLToPath(new URL('stage.mjs', import.meta.url));
