import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Drop, drop } from './bin.ts';
import { Home } from './home.ts';
import { Rogue, type Talk, type Thing } from './rogue-peer.ts';

type Environment = Readonly<Record<string, string>>;

/** A word that is in every name that must not come to be. */
export const MARK = 'drop-was-here';

/**
 * Ana, who saves into a folder in the middle of things that nobody may touch; and Eve, whom she
 * knows. `withstood` says what holds after every attack.
 */
export class Besieged implements AsyncDisposable {
  readonly home: Home;
  /** Where Ana saves. */
  readonly inbox: string;
  readonly eve: Rogue;
  readonly receiving: Drop;
  readonly #before: readonly string[];
  readonly #bob = new Home();

  private constructor(eve: Rogue, home: Home, args: readonly string[], env: Environment) {
    this.eve = eve;
    this.home = home;
    this.inbox = join(home.path, 'Documents', 'inbox');
    this.receiving = drop(
      ['receive', '--json', '--yes', '--name', 'Ana', '--into', this.inbox, ...args],
      { home, env },
    );
    this.#before = this.around();
  }

  /** `prepare` may fill the inbox before anything is received. */
  static async make(
    prepare: (inbox: string, home: Home) => void = () => {},
    args: readonly string[] = [],
    env: Environment = {},
  ): Promise<Besieged> {
    const [home, eve] = [new Home(), await Rogue.make()];
    await eve.befriend(home);
    surround(home);
    prepare(join(home.path, 'Documents', 'inbox'), home);
    const besieged = new Besieged(eve, home, args, env);
    await besieged.receiving.event('ready');
    return besieged;
  }

  async call(name?: string): Promise<Talk> {
    const { port } = await this.receiving.event('ready');
    return this.eve.call(port, name);
  }

  /** What lies in the inbox, each file with its content: `a/b: text`, `folder/`, `link -> target`. */
  saved(): string[] {
    const seen = list(this.inbox).map((path) => {
      const found = lstatSync(join(this.inbox, path));
      if (found.isDirectory()) return `${path}/`;
      if (found.isSymbolicLink()) return `${path} -> ${readlinkSync(join(this.inbox, path))}`;
      return found.isFile() ? `${path}: ${readFileSync(join(this.inbox, path))}` : `${path}: odd`;
    });
    return seen.sort();
  }

  /** Everything that is Ana's and not in her inbox, as it is; what is compiled is kept at the end. */
  around(): string[] {
    const ours = (path: string): boolean =>
      !/^(Documents\/inbox[^/]*|state|\.cache\/drop)(\/|$)|^\.cache$/.test(path) ||
      path === 'state/identity.pem';
    return list(this.home.path)
      .filter(ours)
      .map((path) => {
        const full = join(this.home.path, path);
        const { mode, ino, nlink, size, mtimeNs, uid } = lstatSync(full, { bigint: true });
        const link = lstatSync(full).isSymbolicLink() ? readlinkSync(full) : '';
        const content = lstatSync(full).isFile() ? [nlink, size, mtimeNs] : [];
        return [path, mode, ino, uid, ...content, link].join(' ');
      });
  }

  /**
   * After every attack: nothing outside is changed, inside is what is `expected` and no more but
   * so many starts of files that are `kept`, the program runs, says nothing that it should not,
   * and takes what an honest device sends.
   */
  async withstood(expected: readonly string[], { kept = 0 } = {}): Promise<void> {
    writeFileSync(join(this.#bob.path, 'honest.txt'), 'honest');
    const { port, code } = await this.receiving.event('ready');
    {
      await using sending = drop(['send', '--to', `127.0.0.1:${port}`, 'honest.txt'], {
        home: this.#bob,
        env: { DROP_CODE: code ?? '' },
      });
      expect(await sending.outcome()).toMatchObject({ code: 0 });
    }
    const { signal, stdout, stderr } = await this.receiving.stop();
    expect({ signal, stderr }).toEqual({ signal: 'SIGINT', stderr: '' });
    expect(stdout).not.toMatch(/"internal"|[^\P{Cc}\n]|\p{Bidi_Control}|[\u2028\u2029\ufeff]/u);
    const all = [...expected, 'honest.txt: honest'].sort();
    const saved = this.saved().filter((line) => all.includes(line) || !/^\.drop-/.test(line));
    expect(saved).toEqual(all);
    const parts = this.saved().filter((line) => /^\.drop-/.test(line) && !all.includes(line));
    expect(parts).toHaveLength(kept > 0 ? kept + 1 : 0);
    for (const part of parts) expect(part).toMatch(KEPT);
    expect(this.around()).toEqual(this.#before);
    for (const away of ['/', '/etc', '/tmp', process.cwd(), this.home.path])
      expect(readdirSync(away).join('\n')).not.toContain(MARK);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.receiving[Symbol.asyncDispose]();
    await this.eve[Symbol.asyncDispose]();
    for (const home of [this.home, this.#bob]) await home[Symbol.asyncDispose]();
  }
}

/** A staging folder, and in it what has no name that a peer chose. */
const KEPT = /^\.drop-[0-9a-f]{16}\/([0-9a-f]{32}\.(stream|\d+\.-?\d+): .*|made: [0-9a-f.\n]*)?$/;

/** Says of each thing that it offers what became of it, e.g. `["a", "stored"]`. */
export async function delivered(besieged: Besieged, things: readonly Thing[]) {
  const talk = await besieged.call();
  const fates = await talk.deliver(things);
  talk.leave();
  return things.map(({ entry }, i) => [entry.path, fates[i]] as const);
}

/** What attackers of such programs have gone for. */
function surround({ path }: Home): void {
  const files = {
    '.bashrc': '# mine',
    '.profile': '# mine',
    '.ssh/authorized_keys': 'mine',
    '.config/autostart/mine.desktop': 'mine',
    'Documents/notes.txt': 'mine',
    'Documents/other/notes.txt': 'mine',
  };
  mkdirSync(join(path, 'Documents', 'inbox'), { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(path, name, '..'), { recursive: true });
    writeFileSync(join(path, name), text);
  }
}

/** All that lies below a folder, links not followed. */
function list(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) =>
      entry.isDirectory()
        ? [entry.name, ...list(join(folder, entry.name)).map((below) => `${entry.name}/${below}`)]
        : [entry.name],
    )
    .sort();
}
