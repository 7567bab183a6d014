import { afterEach, describe, expect, test, vi } from 'vitest';
import { asksForJson, describeCommandLine, readArguments } from '../../src/cli/arguments.ts';
import { UsageError } from '../../src/cli/orders.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

const DEFAULTS = {
  json: false,
  plain: false,
  quiet: false,
  verbose: false,
  input: true,
  color: 'auto',
};

function words(line: string): string[] {
  return line.split(' ').filter((word) => word !== '');
}

function usage(line: string): UsageError {
  return usageOf(words(line));
}

function usageOf(argv: readonly string[]): UsageError {
  try {
    readArguments(argv);
  } catch (error) {
    if (error instanceof UsageError) return error;
    throw error;
  }
  throw new Error(`"drop ${argv.join(' ')}" is no wrong usage`);
}

test('patterns are repeated, or lines of a variable', () => {
  expect(readArguments(words('share a --exclude b --exclude !c,d'))).toMatchObject({
    paths: ['a'],
    exclude: ['b', '!c,d'],
  });
  expect(readArguments(words('get --only a/b --only *.c'))).toMatchObject({ only: ['a/b', '*.c'] });
  vi.stubEnv('DROP_EXCLUDE', 'a\nb');
  vi.stubEnv('DROP_ONLY', 'c\nd');
  expect(readArguments(words('send x'))).toMatchObject({ exclude: ['a', 'b'] });
  expect(readArguments(words('send x --exclude c'))).toMatchObject({ exclude: ['c'] });
  expect(readArguments(words('get'))).toMatchObject({ only: ['c', 'd'] });
});

describe('a command line is read', () => {
  const receive = {
    ...DEFAULTS,
    command: 'receive',
    once: false,
    yes: false,
    pin: false,
    open: false,
    web: false,
    byDevice: false,
    history: true,
    stdout: false,
  };
  const send = {
    ...DEFAULTS,
    command: 'send',
    to: [],
    all: false,
    checksum: false,
    scan: false,
    unverified: false,
  };
  const peers = { ...DEFAULTS, command: 'peers', watch: false, scan: false };
  const entrance = { yes: false, pin: false };
  const share = { ...DEFAULTS, command: 'share', once: false, web: false, ...entrance };
  const get = {
    ...DEFAULTS,
    command: 'get',
    scan: false,
    yes: false,
    byDevice: false,
    history: true,
    stdout: false,
  };
  test.each([
    ['receive', receive],
    ['recv', receive],
    ['recieve', receive],
    [
      'receive --into in --name Ana --as a.pdf --once --yes --port 9000',
      { ...receive, into: 'in', name: 'Ana', as: 'a.pdf', once: true, yes: true, port: 9000 },
    ],
    ['receive --on-conflict newer', { ...receive, onConflict: 'newer' }],
    ['receive --max-size 2GB', { ...receive, maxSize: 2e9 }],
    ['receive --stdout', { ...receive, stdout: true, once: true }],
    ['receive --stdout --max-size 1KiB', { ...receive, stdout: true, once: true, maxSize: 1024 }],
    ['receive --pin', { ...receive, pin: true }],
    ['receive --pin-file f', { ...receive, pinFile: 'f' }],
    ['receive --by-device --no-history', { ...receive, byDevice: true, history: false }],
    ['receive --notify desktop', { ...receive, notify: 'desktop' }],
    ['receive --open --into in', { ...receive, open: true, into: 'in' }],
    ['share a b', { ...share, paths: ['a', 'b'] }],
    ['share --web a', { ...share, paths: ['a'], web: true }],
    [
      'share --pin --once --yes --name Ana --port 9000 a',
      { ...share, paths: ['a'], pin: true, once: true, yes: true, name: 'Ana', port: 9000 },
    ],
    [
      'share --limit 1MB/s --compress never a',
      { ...share, paths: ['a'], limit: 1_000_000, compress: 'never' },
    ],
    ['get', get],
    ['get --stdout --max-size 1kB', { ...get, stdout: true, maxSize: 1000 }],
    ['get --from ana --as b --into in', { ...get, from: 'ana', as: 'b', into: 'in' }],
    ['get --by-device --notify bell', { ...get, byDevice: true, notify: 'bell' }],
    ['get --yes --wait 3 --scan', { ...get, yes: true, wait: 3000, scan: true }],
    ['send --unverified a', { ...send, paths: ['a'], unverified: true }],
    ['send --text hi', { ...send, paths: [], text: 'hi' }],
    ['send a - --text hi', { ...send, paths: ['a'], stdin: 'stdin', text: 'hi' }],
    ['send a b', { ...send, paths: ['a', 'b'] }],
    ['send --to bob --wait 1.5 a', { ...send, paths: ['a'], to: ['bob'], wait: 1500 }],
    ['send a --to bob', { ...send, paths: ['a'], to: ['bob'] }],
    ['send --to bob --to a,b a', { ...send, paths: ['a'], to: ['bob', 'a,b'] }],
    ['send a --all', { ...send, paths: ['a'], all: true }],
    ['send -- --to', { ...send, paths: ['--to'] }],
    ['send --checksum a', { ...send, paths: ['a'], checksum: true }],
    [
      'send a --exclude *.log --exclude !b,c',
      { ...send, paths: ['a'], exclude: ['*.log', '!b,c'] },
    ],
    ['send --compress never a', { ...send, paths: ['a'], compress: 'never' }],
    ['send --limit 2MB/s a', { ...send, paths: ['a'], limit: 2_000_000 }],
    ['send a --scan', { ...send, paths: ['a'], scan: true }],
    ['send -', { ...send, paths: [], stdin: 'stdin' }],
    ['send a - --name b.tar', { ...send, paths: ['a'], stdin: 'b.tar' }],
    ['send -- -', { ...send, paths: [], stdin: 'stdin' }],
    ['send ./-', { ...send, paths: ['./-'] }],
    ['--json send a', { ...send, paths: ['a'], json: true }],
    ['send a --json -q -v', { ...send, paths: ['a'], json: true, quiet: true, verbose: true }],
    ['send a --no-input --plain', { ...send, paths: ['a'], input: false, plain: true }],
    ['send a --color never', { ...send, paths: ['a'], color: 'never' }],
    ['--interface a send x --interface b', { ...send, paths: ['x'], interfaces: ['a', 'b'] }],
    ['peers', peers],
    ['peers --watch', { ...peers, watch: true }],
    ['peers --watch --scan', { ...peers, watch: true, scan: true }],
    ['history', { ...DEFAULTS, command: 'history', clear: false }],
    ['history -n 5', { ...DEFAULTS, command: 'history', last: 5, clear: false }],
    ['history --clear', { ...DEFAULTS, command: 'history', clear: true }],
    ['trust bob auto', { ...DEFAULTS, command: 'trust', name: 'bob', trust: 'auto' }],
    ['block bob', { ...DEFAULTS, command: 'trust', name: 'bob', trust: 'blocked' }],
    ['rename bob eve', { ...DEFAULTS, command: 'rename', name: 'bob', newName: 'eve' }],
    ['forget bob', { ...DEFAULTS, command: 'forget', name: 'bob' }],
    ['completion fish', { command: 'completion', shell: 'fish' }],
  ])('drop %s', (line, order) => {
    expect(readArguments(words(line))).toEqual(order);
  });
});

describe('wrong usage is named, with what to try', () => {
  test.each([
    ['sned a', "Unknown command 'sned'", 'Did you mean send?'],
    ['send --tp bob a', "Unknown option '--tp'", 'Did you mean --to?'],
    ['report.pdf', 'report.pdf is not a command.', 'Did you mean: drop send report.pdf'],
    [
      './photos --to bob',
      './photos is not a command.',
      'Did you mean: drop send ./photos --to bob',
    ],
    ['package', "Unknown command 'package'", 'See: drop --help'],
    ['trsut a ask', "Unknown command 'trsut'", 'Did you mean trust?'],
    ['recv --onc', "Unknown option '--onc'", 'Did you mean --once?'],
    ['completion tcsh', 'Allowed choices are bash, zsh', 'See: drop completion --help'],
    [
      'send',
      'It is not said what to send.',
      'Name files or folders: drop send PATH..., or a message: drop send --text MESSAGE',
    ],
    ['send --text', "Option '--text <message>' argument missing", 'See: drop send --help'],
    [`send --text ${'x'.repeat(65_537)}`, '... | drop send - --name', 'See: drop send --help'],
    ['receive --max-size much', 'A size is written as 500MB', 'See: drop receive --help'],
    ['receive --stdout --into a', '--into is about a folder', 'Choose one of them.'],
    ['receive --stdout --as a', '--as is about a folder', 'Choose one of them.'],
    ['receive --stdout --on-conflict skip', '--on-conflict is', 'Choose one of them.'],
    ['receive --stdout --json', 'the file or the events', 'Choose one of --stdout and --json.'],
    ['--json receive --stdout', 'the file or the events', 'Choose one of --stdout and --json.'],
    ['receive --scan', "Unknown option '--scan'", 'See: drop receive --help'],
    ['receive extra', 'Too many arguments', 'Did you mean: drop receive --into extra'],
    ['recv extra', 'Too many arguments', 'Did you mean: drop receive --into extra'],
    ['get ana', 'Too many arguments', 'Did you mean: drop get --from ana'],
    ['get 493-027', 'Too many arguments', 'The code is asked for: drop get'],
    ['get ana bob', 'Too many arguments', 'See: drop get --help'],
    ['peers ana', 'Too many arguments', 'See: drop peers --help'],
    ['get --from=', 'It must not be empty.', 'See: drop get --help'],
    ['receive --into=', 'It must not be empty.', 'See: drop receive --help'],
    ['doctor --into=', 'It must not be empty.', 'See: drop doctor --help'],
    ['receive --port 0', 'A port is a number from 1 to 65535.', 'See: drop receive --help'],
    ['receive --port 2x', 'A port is a number', 'See: drop receive --help'],
    ['send a --wait soon', 'It must be a number of seconds.', 'See: drop send --help'],
    ['send a --wait 99999999', 'It must be a number of seconds.', 'See: drop send --help'],
    ['send a --limit fast', 'A rate is written as 20MB/s', 'See: drop send --help'],
    ['send a --limit 20Mb/s', 'A rate is written as 20MB/s', 'See: drop send --help'],
    ['send a --compress maybe', 'Allowed choices are auto, always', 'See: drop send --help'],
    ['send - a -', 'Standard input can be sent only once.', 'A file called - is ./-'],
    [
      'send a --name b.tar',
      '--name is for standard input, and nothing is to be sent from it.',
      'It is sent by: drop send - --name FILENAME',
    ],
    ['share a --web --once', '--once ends with the first fetch', 'Choose one of --once and --web.'],
    ['send a --all --to bob', '--all and --to say two things.', 'Choose one of them.'],
    [
      'send a --all --unverified',
      "cannot be used with option '--unverified'",
      'See: drop send --help',
    ],
    [
      'send - --all',
      'Standard input can be read only once',
      'Save it to a file first, and send that.',
    ],
    [
      'send - --to a --to b',
      'Standard input can be read only once',
      'Save it to a file first, and send that.',
    ],
    ['send - --name a/b', 'It must be the name of a file', 'See: drop send --help'],
    ['send - --name ..', 'It must be the name of a file', 'See: drop send --help'],
    ['receive --on-conflict ask', 'Allowed choices are rename, skip', 'See: drop receive --help'],
    ['receive --notify mail', 'Allowed choices are bell, desktop', 'See: drop receive --help'],
    ['history -n 0', 'It must be a number of transfers', 'See: drop history --help'],
    ['history -n 5 --clear', 'cannot be used with', 'See: drop history --help'],
    ['trust bob maybe', 'Allowed choices are ask, auto', 'See: drop trust --help'],
    ['help nosuch', "Unknown command 'nosuch'", 'See: drop --help'],
    ['help snd', "Unknown command 'snd'", 'Did you mean send?'],
    ['snd --help', "Unknown command 'snd'", 'Did you mean send?'],
    ['report.pdf -h', 'report.pdf is not a command.', 'Did you mean: drop send report.pdf'],
    ['--color pink peers', 'Allowed choices are auto, always, never', 'See: drop --help'],
  ])('drop %s', (line, message, hint) => {
    const error = usage(line);
    expect(error.message).toContain(message);
    expect(error.hint).toBe(hint);
    expect(error.exit).toBe(2);
  });

  test('a folder that is there was meant to be sent, whatever its name', () => {
    expect(usage('src').hint).toBe('Did you mean: drop send src');
  });

  test('a value that is refused is shown by its beginning, on one line', () => {
    const { message, hint } = usageOf(['send', '--text', `a\nb${'x'.repeat(70_000)}`]);
    expect(message).toMatch(
      /^Option '--text <message>' argument 'a\?bx{57}\.\.\.' is invalid\. A /,
    );
    expect(hint).toBe('See: drop send --help');
  });

  test('nothing that was typed steers the terminal', () => {
    const { message, hint } = usage('\x1b[2J.pdf');
    expect(message + hint).not.toContain('\x1b');
  });
});

describe('help', () => {
  test('without a command it is short and starts with examples', () => {
    expect(readArguments([])).toMatchObject({ command: 'answer' });
    expect(readArguments(['--plain'])).toEqual(readArguments([]));
    const { text } = readArguments([]) as { text: string };
    expect(text.split('\n').length).toBeLessThan(16);
    expect(text).toContain('drop send report.pdf');
  });

  test.each(['--help', '-h', 'help', 'send --help', 'help receive', 'trust -h'])(
    'drop %s',
    (line) => {
      const answer = readArguments(words(line)) as { text: string };
      expect(answer.text).toMatch(/^Usage: drop /);
      expect(answer.text).toContain('DROP_NO_INPUT');
    },
  );

  const all = describeCommandLine().commands.map((command) => command.name());

  test.each(all)('of drop %s says what it does, gives examples, and fits a terminal', (name) => {
    const { text } = readArguments(['help', name]) as { text: string };
    expect(text).toMatch(/^Usage: drop .*\n\n[a-z][\s\S]+\nOptions:\n/);
    expect(text).toMatch(new RegExp(`\nExamples:\n(?:.*\n)*?.*drop ${name}\\b`));
    expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
    for (const { description } of describeCommandLine().commands.flatMap((one) => one.options))
      expect(description).not.toBe('');
  });

  test('of all names every command and every exit code, and fits a terminal', () => {
    const { text } = readArguments(['--help']) as { text: string };
    for (const name of all) expect(text).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
    expect(text).toMatch(/^ {2}DROP_HOME /m);
    expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
    const { text: short } = readArguments([]) as { text: string };
    expect(short.match(/^Commands: ([\s\S]*)\nAll/m)?.[1]?.split(/,\s+/)).toEqual(all);
  });

  test('names no command that is there only to forgive', () => {
    expect((readArguments(['--help']) as { text: string }).text).not.toContain('recieve');
  });

  test('names the variable of every setting, set or not', () => {
    const variables = (line: string): string[] => {
      const { text } = readArguments(words(line), 200) as { text: string };
      return [...text.matchAll(/\(?env: (DROP_[A-Z_]+)\)/g)].map(([, name = '']) => name);
    };
    const names = variables('receive --help');
    expect(names).toEqual(
      expect.arrayContaining(['DROP_INTO', 'DROP_NAME', 'DROP_AS', 'DROP_PORT', 'DROP_INTERFACE']),
    );
    const values: Record<string, string> = {
      DROP_COLOR: 'never',
      DROP_ON_CONFLICT: 'skip',
      DROP_NOTIFY: 'bell',
    };
    for (const name of names) vi.stubEnv(name, values[name] ?? '1');
    expect(variables('receive --help')).toEqual(names);
  });
});

describe('the environment', () => {
  test('gives what the command line does not say', () => {
    vi.stubEnv('DROP_TO', 'bob');
    vi.stubEnv('DROP_INTERFACE', 'a,b');
    expect(readArguments(['send', 'x'])).toMatchObject({ to: ['bob'], interfaces: ['a', 'b'] });
    expect(readArguments(['send', 'x', '--to', 'eve', '--interface', 'c'])).toMatchObject({
      to: ['eve'],
      interfaces: ['c'],
    });
    // Who says --all on the command line has said to whom.
    expect(readArguments(['send', 'x', '--all'])).toMatchObject({ to: [], all: true });
  });

  test('names this device and what comes from standard input by two variables', () => {
    vi.stubEnv('DROP_NAME', "Ana's laptop");
    expect(readArguments(['send', '-'])).toMatchObject({ stdin: 'stdin' });
    vi.stubEnv('DROP_FILENAME', 'a.tar');
    expect(readArguments(['send', '-'])).toMatchObject({ stdin: 'a.tar' });
    // A name that waits for a use is none that was typed in vain.
    expect(readArguments(['send', 'a'])).toMatchObject({ paths: ['a'], stdin: undefined });
  });

  test.each([
    ['1', true],
    ['true', true],
    ['', false],
    ['0', false],
    ['no', false],
  ])('a switch that is set to "%s" is on: %s', (value, on) => {
    vi.stubEnv('DROP_PLAIN', value);
    vi.stubEnv('DROP_NO_INPUT', value);
    expect(readArguments(['peers'])).toMatchObject({ plain: on, input: !on });
  });

  test.each(['send a', 'peers'])('can have drop %s scan', (line) => {
    vi.stubEnv('DROP_SCAN', '1');
    expect(readArguments(words(line))).toMatchObject({ scan: true });
    expect((readArguments([...words(line), '-h'], 200) as { text: string }).text).toMatch(
      /--scan .*env: DROP_SCAN\)/,
    );
  });

  test('an empty variable is none', () => {
    vi.stubEnv('DROP_PORT', '');
    expect(readArguments(['receive'])).toMatchObject({ command: 'receive' });
  });

  test('is judged like the command line', () => {
    vi.stubEnv('DROP_PORT', 'http');
    expect(usage('receive').message).toContain('DROP_PORT');
  });
});

test.each([
  ['send --jsno --json', true],
  ['send -- --json', false],
  ['send', false],
])('drop %s asks for JSON: %s', (line, json) => {
  expect(asksForJson(words(line))).toBe(json);
});
