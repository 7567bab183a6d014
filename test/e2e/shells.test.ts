import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { Home } from '../support/home.ts';
import { Screen } from '../support/screen.ts';
import { BASH_COMPLETION, describeWith } from '../support/skip.ts';

/** Names that do something in one shell or another; each begins with a sign of its own. */
const HOSTILE = [
  'a $(touch pwned)',
  'b`touch pwned`',
  'c;touch pwned;',
  'd"; touch pwned; "',
  "e'; touch pwned; '",
  'f !! !$ !touch',
  'g $HOME $((1+1)) ~ =ls',
  'h*?[a-z]{x,y}^#',
  'i\\ \\" \\\\',
  'j | touch pwned & touch pwned > pwned < pwned',
  'k %F{red}%n%(!.x.y) %%',
  'l: colon:s = at@x',
  'münï 🦊 ’',
  'n (touch pwned) <(touch pwned)',
];

/** Names whose first sign means something, where each is the only one. */
const FIRST = ['~root', '=ls', '#x', '!!', '$(touch pwned)', '(touch pwned)'];

/** Names that look like options, and names that no line can hold. */
const UNFIT = ['-rf', '--all', 'p\ntouch pwned\n', 'q\u001b]0;steered\u0007\u001b[2J'];

interface Shell {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  /** What else must be there. */
  readonly needs?: readonly string[];
  /** What somebody has done who wants completion. */
  readonly load: string;
}

const BASH: Shell = {
  name: 'bash',
  command: ['bash', '--norc', '--noprofile'],
  load: 'source <(drop completion bash)',
};

const OTHERS: readonly Shell[] = [
  {
    name: 'bash with bash-completion',
    command: BASH.command,
    needs: [BASH_COMPLETION],
    load: `mkdir -p $HOME/completions; drop completion bash > $HOME/completions/drop; BASH_COMPLETION_USER_DIR=$HOME; . ${BASH_COMPLETION}`,
  },
  {
    name: 'zsh',
    command: ['zsh', '-f'],
    load: 'autoload -Uz compinit; compinit -u -D; source <(drop completion zsh)',
  },
  {
    name: 'fish',
    command: ['fish'],
    load: 'function fish_prompt; echo "ready> "; end; drop completion fish | source',
  },
];

for (const shell of [BASH, ...OTHERS])
  describeWith([shell.command[0], ...(shell.needs ?? [])], `completion in ${shell.name}`, () => {
    test('completes commands, options and their values', async () => {
      await using desk = new Desk(shell);
      desk.know('Ana');
      await desk.load();
      expect(await desk.run('drop rec\t--onc\t--on-c\tn\t')).toEqual([
        'receive',
        '--once',
        '--on-conflict',
        'newer',
      ]);
      expect(await desk.run('drop -q trust A\tau\t')).toEqual(['-q', 'trust', 'Ana', 'auto']);
      expect(await desk.run('drop send --compress=al\t--to A\tx')).toEqual([
        'send',
        '--compress=always',
        '--to',
        'Ana',
        'x',
      ]);
    });

    test('completes files and folders as it always does', async () => {
      await using desk = new Desk(shell);
      mkdirSync(join(desk.folder, 'my folder', 'inner'), { recursive: true });
      writeFileSync(join(desk.folder, 'my file'), '');
      await desk.load();
      expect(await desk.run('drop send my\\ fi\t--to x')).toEqual(['send', 'my file', '--to', 'x']);
      // Zsh takes the slash back at the end of a line.
      const path = /^(--into=)?my folder\/?$/;
      expect(await desk.run('drop receive --into my\t')).toEqual([
        'receive',
        '--into',
        expect.stringMatching(path),
      ]);
      expect(await desk.run('drop receive --into=my\t')).toEqual([
        'receive',
        expect.stringMatching(path),
      ]);
      expect(await desk.run('drop send ~/wo\tmy\\ fo\tin\t.')).toEqual([
        'send',
        `${join(desk.folder, 'my folder', 'inner')}/.`,
      ]);
      // There is nothing that it could be.
      expect(await desk.run('drop receive --name my\t x')).toEqual([
        'receive',
        '--name',
        'my',
        'x',
      ]);
    });

    test('quotes what others have chosen, behind a quote and without', async () => {
      await using desk = new Desk(shell);
      desk.know(...HOSTILE);
      await desk.load();
      // In bash it is ours to quote, so it has to do all of it.
      for (const round of shell === BASH ? [0, 1, 2] : [0])
        for (let n = 0; n < HOSTILE.length; n += 7) {
          const names = HOSTILE.slice(n, n + 7);
          const typed = names.map(
            (name, m) => `--to ${['', '"', "'"][(n + m + round) % 3]}${name[0]}\t`,
          );
          expect(await desk.run(`drop send ${typed.join('')}`)).toEqual([
            'send',
            ...names.flatMap((name) => ['--to', name]),
          ]);
        }
      desk.isUnharmed();
    });

    test('quotes a sign that means something where it stands first', async () => {
      await using desk = new Desk(shell);
      await desk.load();
      for (const name of FIRST) {
        desk.know(name);
        // Fish always takes ~ for a home folder.
        const text = shell.name === 'fish' && name === '~root' ? idOf(name).slice(0, 8) : name;
        expect(await desk.run('drop trust \task')).toEqual(['trust', text, 'ask']);
      }
      desk.isUnharmed();
    });

    test('is shown all names, none of which steers it', async () => {
      await using desk = new Desk(shell);
      desk.know(...HOSTILE, ...UNFIT);
      await desk.load();
      desk.type('drop forget \t\t');
      await desk.screen.waitFor(/colon/);
      desk.type('\x15');
      expect(await desk.run(`drop forget ${idOf('-rf').slice(0, 6)}\t`)).toEqual([
        'forget',
        idOf('-rf').slice(0, 8),
      ]);
      desk.isUnharmed();
    });
  });

describeWith(['bash'], 'completion in bash alone', () => {
  test('makes no identity and no folder by a press of Tab', async () => {
    await using desk = new Desk(BASH);
    await desk.load();
    expect(await desk.run('drop forget \tx')).toEqual(['forget', 'x']);
    expect(desk.hasState).toBe(false);
  });

  test('completes the rest of a word whose start readline keeps', async () => {
    await using desk = new Desk(BASH);
    desk.know('foo:bar baz', 'foo:barn', 'Zoe');
    await desk.load();
    expect(await desk.run('drop send --to foo:\t\\ \t')).toEqual(['send', '--to', 'foo:bar baz']);
    expect(await desk.run('drop send --to="foo:bar \t')).toEqual(['send', '--to=foo:bar baz']);
    expect(await desk.run('drop send --to z\t; true')).toEqual(['send', '--to', 'Zoe']);
  });
});

/** Somebody at a shell with our completion, who presses Tab and Enter. */
class Desk implements AsyncDisposable {
  readonly #home = new Home();
  readonly #shell: Shell;
  readonly folder = join(this.#home.path, 'work');
  readonly #said = join(this.#home.path, 'said');
  readonly screen: Screen;

  constructor(shell: Shell) {
    this.#shell = shell;
    const bin = join(this.#home.path, 'bin');
    for (const folder of [bin, this.folder]) mkdirSync(folder);
    // What is run in earnest is only written down.
    writeFileSync(
      join(bin, 'drop'),
      `#!/bin/sh
case $1 in __complete|completion) exec '${process.execPath}' '${resolve('bin/drop.js')}' "$@" ;; esac
printf '%s\\0' "$@" > '${this.#said}.draft' && mv '${this.#said}.draft' '${this.#said}'
`,
      { mode: 0o755 },
    );
    const [file, ...args] = shell.command;
    // Where it is not there, fish fills it in a process that outlives the shell.
    mkdirSync(join(this.#home.path, 'data/fish/generated_completions'), { recursive: true });
    const env = {
      ...this.#home.env,
      PATH: `${bin}:${this.#home.env.PATH}`,
      PS1: 'ready> ',
      XDG_DATA_HOME: join(this.#home.path, 'data'),
    };
    this.screen = new Screen(file, args, { env, cwd: this.folder, cols: 200, rows: 60 });
  }

  /** From now on these are the known devices. */
  know(...names: string[]): void {
    const folder = join(this.#home.state, 'peers');
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (const name of names) {
      const id = idOf(name);
      const record = {
        v: 1,
        id,
        name,
        via: 'code',
        trust: 'ask',
        firstSeen: '2026-11-01T10:00:00.000Z',
      };
      writeFileSync(join(folder, `${id}.json`), JSON.stringify(record), { mode: 0o600 });
    }
  }

  /** Whether anything of `drop` is kept. */
  get hasState(): boolean {
    return existsSync(this.#home.state);
  }

  async load(): Promise<void> {
    this.type(`${this.#shell.load}; echo load''ed\r`);
    await this.screen.waitFor(/^loaded/m);
  }

  type(keys: string): void {
    this.screen.type(keys);
  }

  /** What `drop` is told when these keys and Enter are pressed. */
  async run(keys: string): Promise<string[]> {
    rmSync(this.#said, { force: true });
    this.type(`${keys}\r`);
    const text = await this.screen.until(
      () => (existsSync(this.#said) ? readFileSync(this.#said, 'utf8') : undefined),
      keys,
    );
    return text.split('\0').slice(0, -1);
  }

  isUnharmed(): void {
    expect(existsSync(join(this.folder, 'pwned'))).toBe(false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.screen[Symbol.asyncDispose]();
    await this.#home[Symbol.asyncDispose]();
  }
}

function idOf(name: string): string {
  return createHash('sha256').update(name).digest('hex');
}
