import { execFileSync } from 'node:child_process';
import { networkInterfaces } from 'node:os';
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { describeCommandLine } from '../../src/cli/arguments.ts';
import { complete, isPlaceholder } from '../../src/cli/complete.ts';
import { SHELLS } from '../../src/cli/orders.ts';
import { afterBash, asciiJson, scriptOf, wordsOfBash, writable } from '../../src/cli/shells.ts';
import type { KnownPeer } from '../../src/index.ts';
import { forTerminal, sameName } from '../../src/protocol/names.ts';
import { describeWith } from '../support/skip.ts';
import { fakeLibrary, idOf } from './fake.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

function peer(name: string, id: string, trust: KnownPeer['trust'] = 'ask'): KnownPeer {
  const time = '2026-11-01T10:00:00.000Z';
  return { name, id: idOf(id), trust, via: 'code', firstSeen: time, lastSeen: time };
}

const PEERS = [peer('Ana', 'a'), peer("Ben's box", 'b'), peer('Eve', 'e', 'blocked')];

/** What is answered to these words, without what is said of each; the first is what it is. */
async function answer(
  words: readonly string[],
  peers: readonly KnownPeer[] = PEERS,
  shell = 'zsh',
): Promise<string[]> {
  const library = fakeLibrary({ forTerminal, sameName, knownPeers: async () => [...peers] });
  const text = await complete([shell, ...words], async () => library);
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => line.replace(/\t.*/, ''));
}

describe('what is offered', () => {
  test.each([
    [['send', ''], ['files']],
    [['send', 'a', 'b', ''], ['files']],
    [['receive', '--into', ''], ['folders']],
    [['receive', '--into='], ['folders']],
    [['receive', '--pin-file', ''], ['files']],
    [['receive', ''], ['words']],
    [['receive', '--name', ''], ['words']],
    [
      ['receive', '--on-conflict', ''],
      ['words', 'rename', 'skip', 'overwrite', 'newer'],
    ],
    [
      ['recv', '--on-conflict='],
      ['words', ...['rename', 'skip', 'overwrite', 'newer'].map((how) => `--on-conflict=${how}`)],
    ],
    [
      ['--color', ''],
      ['words', 'auto', 'always', 'never'],
    ],
    [
      ['send', '--color', ''],
      ['words', 'auto', 'always', 'never'],
    ],
    [
      ['send', '--to', ''],
      ['words', 'Ana', "Ben's box"],
    ],
    [
      ['--color', 'never', '-q', 'send', 'a', '--to', 'A'],
      ['words', 'Ana', "Ben's box"],
    ],
    [
      ['send', '--to=A'],
      ['words', '--to=Ana', "--to=Ben's box"],
    ],
    [['send', '--', '--to', ''], ['files']],
    [['send', '--', '-'], ['files']],
    [['send', '--nothing=x'], ['words']],
    [
      ['trust', ''],
      ['words', 'Ana', "Ben's box", 'Eve'],
    ],
    [
      ['trust', 'Eve', ''],
      ['words', 'ask', 'auto'],
    ],
    [['trust', 'Eve', 'ask', ''], ['words']],
    [['rename', 'Ana', ''], ['words']],
    [
      ['completion', ''],
      ['words', ...SHELLS],
    ],
    [['report.pdf', ''], ['words']],
  ])('after drop %j', async (words, expected) => {
    expect(await answer(words)).toEqual(expected);
  });

  test('are the interfaces of this computer, each with an address of it', async () => {
    const names = Object.keys(networkInterfaces());
    expect(names).toContain('lo');
    expect(await answer(['receive', '--interface', ''])).toEqual(['words', ...names]);
    expect(await answer(['--interface='])).toEqual([
      'words',
      ...names.map((name) => `--interface=${name}`),
    ]);
    const text = await complete(['fish', '--interface', ''], async () => fakeLibrary());
    expect(text).toContain('lo\t127.0.0.1\n');
  });

  test('are all commands that are not there only to forgive', async () => {
    const commands = await answer(['']);
    expect(commands).toEqual([
      'words',
      ...describeCommandLine().commands.map((one) => one.name()),
      'help',
    ]);
    expect(await answer(['help', ''])).toEqual(commands);
    expect(await answer(['-v', ''])).toEqual(commands);
  });

  test('are the options of a command, and those that all have', async () => {
    const options = await answer(['send', '-']);
    expect(options).toEqual(expect.arrayContaining(['--to', '--limit', '--json', '--help']));
    expect(options).not.toContain('--into');
    expect(await answer(['-'])).not.toContain('--to');
  });

  test('says of an option what the help says', async () => {
    vi.stubEnv('DROP_ONCE', '1');
    const text = await complete(['fish', 'receive', '--on'], async () => fakeLibrary({}));
    expect(text).toContain('--once\tend after one transfer\n');
  });

  test('whatever is typed, it is answered', async () => {
    const word = fc.oneof(
      fc.constantFrom('send', 'receive', '--to', '--', '-q', '--into=', ''),
      fc.string(),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...SHELLS),
        fc.array(word, { maxLength: 5 }),
        async (shell, words) => {
          expect((await answer(words, PEERS, shell)).join()).toMatch(/^(files|folders|words|\{)/);
        },
      ),
    );
  });

  test('a placeholder is one that is understood', () => {
    const program = describeCommandLine();
    const all = [program, ...program.commands].flatMap(({ options, registeredArguments }) => [
      ...options.filter((one) => one.required && !one.argChoices).map(({ flags }) => flags),
      ...registeredArguments.filter((one) => !one.argChoices).map((one) => `<${one.name()}>`),
    ]);
    expect(all.filter((one) => !isPlaceholder(/<([\w-]+)/.exec(one)?.[1] ?? ''))).toEqual([]);
  });
});

describe('a name that others have chosen', () => {
  test.each(['-rf', '--all', 'a\nb', '\x1b[2J', 'a\tb', 'a\u202eb'])(
    '%j is offered as its id',
    async (name) => {
      for (const shell of ['bash', 'zsh', 'fish'])
        expect(
          await answer(
            shell === 'bash' ? ['drop forget ', ''] : ['forget', ''],
            [peer(name, 'a')],
            shell,
          ),
        ).toEqual(['words', 'aaaaaaaa']);
    },
  );

  test('that begins as a home folder does is offered to fish as its id', async () => {
    const peers = [peer('~root', 'a'), peer('a~', 'b')];
    expect(await answer(['forget', ''], peers, 'fish')).toEqual(['words', 'aaaaaaaa', 'a~']);
    expect(await answer(['forget', ''], peers, 'zsh')).toEqual(['words', '~root', 'a~']);
  });

  test('is offered as its whole id where the start of that could mean another', async () => {
    for (const other of [peer('-x', 'a').id.slice(0, 8), 'AAAAAAAA'])
      expect(await answer(['forget', ''], [peer('-x', 'a'), peer(other, 'b')])).toContain(
        idOf('a'),
      );
  });

  test('is offered by PowerShell only if cmd.exe finds nothing in it to obey', () => {
    fc.assert(
      fc.property(fc.string(), (name) => {
        fc.pre(writable(name, 'powershell'));
        expect(name).not.toMatch(/["&|<>^%$`\\;,=!*?@#{}[\]~:/]/);
      }),
      { numRuns: 2000 },
    );
    for (const name of ["Ana's laptop (2)", 'Zoë-3_x.y', 'Ana’s MacBook'])
      expect(writable(name, 'powershell')).toBe(true);
    for (const name of ['a"b', 'a&calc', '%PATH%', '$(calc)', '`x', "'x", 'a^b', 'a\\'])
      expect(writable(name, 'powershell')).toBe(false);
  });

  test('goes to PowerShell as ASCII, and comes from there as digits', async () => {
    const library = fakeLibrary({
      forTerminal,
      sameName,
      knownPeers: async () => [peer('Zoë’s 🦊', 'a'), peer('Ärger', 'b')],
    });
    const words = ['forget', 'är'].map(
      (word) =>
        `x${Buffer.from(word)
          .toString('hex')
          .replace(/..(?=.)/g, '$&-')}`,
    );
    const text = await complete(['powershell', ...words], async () => library);
    expect(text).toMatch(/^[ -~]+\n$/);
    expect(JSON.parse(text)).toEqual({
      kind: 'words',
      words: [{ text: 'Ärger', about: 'device bbbbbbbb' }],
    });
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (one) => {
        expect(asciiJson({ one })).toMatch(/^[ -~]+$/);
        expect(JSON.parse(asciiJson({ one }))).toEqual({ one });
      }),
    );
  });
});

describeWith(['bash'], 'a name that others have chosen, in bash', () => {
  test('is one word of bash, whatever it is', () => {
    const line = fc.constantFrom('', 'a', 'b"', "c'", '"d', "'e", 'f\\ ', 'g:', '"h ', '--to=');
    // Often what means something to a shell, which is rare among all characters.
    const unit = fc.oneof(
      fc.constantFrom(...'\'"\\$`!~#*&; '),
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
    );
    const typed: string[] = [];
    const meant: string[] = [];
    fc.assert(
      fc.property(line, fc.string({ unit }).filter(isOneLine), (start, rest) => {
        const before = `drop x ${start}`;
        const word = wordsOfBash(before).last + rest;
        const text = afterBash(before, '', word);
        const [quote = ''] = /^[^"']*(["'])[^"']*$/.exec(start)?.slice(1) ?? [];
        // As readline does it.
        const end = quote !== '' && !text?.endsWith(quote) ? quote : '';
        const whole = `${before}${text}${end}`;
        expect(wordsOfBash(`${whole} `)).toEqual({
          words: ['drop', 'x', ...(word || quote ? [word] : [])],
          last: '',
        });
        typed.push(whole.slice('drop x '.length));
        meant.push(word);
      }),
      { numRuns: 2000 },
    );
    const lines = typed.map((one, n) => (meant[n] === '' ? "''" : one));
    const script = `printf '%s\\0' ${lines.join(' ')}`;
    const said = execFileSync('bash', ['-c', script], { encoding: 'utf8', maxBuffer: 2 ** 26 });
    expect(said.split('\0').slice(0, -1)).toEqual(meant);
  });
});

test.each(SHELLS)(
  'the script for %s is ASCII, has no name of an option, and evaluates nothing',
  (shell) => {
    const script = scriptOf(shell);
    expect(script).toMatch(/^[\n -~]+\n$/);
    expect(script).not.toMatch(/--(to|into|json)\b|\beval\b|Invoke-Expression|\biex\b/i);
  },
);

/** Lines are not completed across their ends. */
function isOneLine(text: string): boolean {
  return !/[\p{Cc}]/u.test(text);
}
