import { afterEach, describe, expect, test, vi } from 'vitest';
import { asksForJson, readArguments, UsageError } from '../../src/cli/arguments.ts';

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
  try {
    readArguments(words(line));
  } catch (error) {
    if (error instanceof UsageError) return error;
    throw error;
  }
  throw new Error(`"drop ${line}" is no wrong usage`);
}

describe('a command line is read', () => {
  const receive = {
    ...DEFAULTS,
    command: 'receive',
    once: false,
    yes: false,
    pin: false,
    open: false,
  };
  const send = { ...DEFAULTS, command: 'send', checksum: false, scan: false, unverified: false };
  const peers = { ...DEFAULTS, command: 'peers', watch: false, scan: false };
  test.each([
    ['receive', receive],
    ['recv', receive],
    ['recieve', receive],
    [
      'receive --into in --name Ana --as a.pdf --once --yes --port 9000',
      { ...receive, into: 'in', name: 'Ana', as: 'a.pdf', once: true, yes: true, port: 9000 },
    ],
    ['receive --on-conflict newer', { ...receive, onConflict: 'newer' }],
    ['receive --pin', { ...receive, pin: true }],
    ['receive --pin-file f', { ...receive, pinFile: 'f' }],
    ['receive --open --into in', { ...receive, open: true, into: 'in' }],
    ['send --unverified a', { ...send, paths: ['a'], unverified: true }],
    ['send a b', { ...send, paths: ['a', 'b'] }],
    ['send --to bob --wait 1.5 a', { ...send, paths: ['a'], to: 'bob', wait: 1500 }],
    ['send a --to bob', { ...send, paths: ['a'], to: 'bob' }],
    ['send -- --to', { ...send, paths: ['--to'] }],
    ['send --checksum a', { ...send, paths: ['a'], checksum: true }],
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
    ['trust bob auto', { ...DEFAULTS, command: 'trust', name: 'bob', trust: 'auto' }],
    ['block bob', { ...DEFAULTS, command: 'trust', name: 'bob', trust: 'blocked' }],
    ['rename bob eve', { ...DEFAULTS, command: 'rename', name: 'bob', newName: 'eve' }],
    ['forget bob', { ...DEFAULTS, command: 'forget', name: 'bob' }],
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
    ['send', "Missing required argument 'path'", 'See: drop send --help'],
    ['receive --scan', "Unknown option '--scan'", 'See: drop receive --help'],
    ['receive extra', 'Too many arguments', 'See: drop receive --help'],
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
    ['send - --name a/b', 'It must be the name of a file', 'See: drop send --help'],
    ['send - --name ..', 'It must be the name of a file', 'See: drop send --help'],
    ['receive --on-conflict ask', 'Allowed choices are rename, skip', 'See: drop receive --help'],
    ['trust bob maybe', 'Allowed choices are ask, auto', 'See: drop trust --help'],
    ['help nosuch', 'There is no command nosuch.', 'See: drop --help'],
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
    expect(text.split('\n').length).toBeLessThan(12);
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
    const values: Record<string, string> = { DROP_COLOR: 'never', DROP_ON_CONFLICT: 'skip' };
    for (const name of names) vi.stubEnv(name, values[name] ?? '1');
    expect(variables('receive --help')).toEqual(names);
  });
});

describe('the environment', () => {
  test('gives what the command line does not say', () => {
    vi.stubEnv('DROP_TO', 'bob');
    vi.stubEnv('DROP_INTERFACE', 'a,b');
    expect(readArguments(['send', 'x'])).toMatchObject({ to: 'bob', interfaces: ['a', 'b'] });
    expect(readArguments(['send', 'x', '--to', 'eve', '--interface', 'c'])).toMatchObject({
      to: 'eve',
      interfaces: ['c'],
    });
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
