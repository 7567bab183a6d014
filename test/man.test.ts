import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { describeCommandLine, readArguments } from '../src/cli/arguments.ts';
import { ERRORS } from '../src/errors.ts';
import { describeWith } from './support/skip.ts';

const PAGE = 'dist/man/drop.1';

describe('the manual', () => {
  const page = readFileSync(PAGE, 'utf8');
  const program = describeCommandLine();
  const commands = program.commands.map((command) => command.name());
  const section = (name: string): string =>
    page.split(`\n.SH ${name}\n`)[1]?.split('\n.SH ')[0] ?? '';

  test('has the sections that people look for', () => {
    const sections = [...page.matchAll(/^\.SH (.*)$/gm)].map(([, name]) => name);
    expect(sections).toEqual([
      ...['NAME', 'SYNOPSIS', 'DESCRIPTION', 'COMMANDS', 'OPTIONS', 'EXIT STATUS'],
      ...['ENVIRONMENT', 'FILES', 'EXAMPLES', 'SEE ALSO'],
    ]);
  });

  test.each(commands)('tells all about drop %s', (name) => {
    const command = program.commands.find((one) => one.name() === name);
    const told = section('COMMANDS').split(`.SS "drop ${name} `)[1]?.split('\n.SS ')[0];
    for (const { long } of command?.options ?? [])
      expect(told).toContain(`\\fB${long?.replaceAll('-', '\\-')}\\fR`);
    expect(section('SYNOPSIS')).toContain(`drop ${name}`);
    const { text } = readArguments(['help', name]) as { text: string };
    const examples = text.split('Examples:\n')[1]?.trimEnd().split('\n') ?? [];
    for (const example of examples)
      expect(section('EXAMPLES')).toContain(example.trim().split(/['"~-]/)[0]);
  });

  test('lists every exit code', () => {
    const codes = Array.from(section('EXIT STATUS').matchAll(/^\\fB(\d)\\fR$/gm), ([, code]) =>
      Number(code),
    );
    const rows = Object.values(ERRORS).map(({ exit }) => exit);
    expect(new Set(codes)).toEqual(new Set([0, ...rows]));
  });

  test('has no sign that roff could obey', () => {
    expect(page).toMatch(/^[\n -~]+$/);
    expect(page.match(/\\(?!f[BIR]|e|-|&|\((?:aq|dq|ga|ha|ti)|\[u[0-9A-F]{4,6}\])/g)).toBeNull();
    expect(page.match(/^\.(?!TH |SH |SS "|TP$|P$|EX$|EE$|BR |br$|nh$|ad l$).*/gm)).toBeNull();
  });
});

describeWith(['mandoc', 'groff', 'man'], 'the manual, as it is shown', () => {
  test.each([
    ['mandoc', '-Tlint', '-W', 'warning'],
    ['groff', '-man', '-ww', '-z'],
  ])('%s finds nothing to complain of', (...command) => {
    expect(run(...command, PAGE)).toBe('');
  });

  test('fits a terminal of 80 columns', () => {
    const lines = run('man', '--warnings', '-l', PAGE).split('\n');
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    for (const line of [
      'DESCRIPTION',
      '       --into folder',
      '       drop rename anas-laptop Ana',
    ])
      expect(lines).toContain(line);
  });
});

/** All that a command says; it must succeed. */
function run(command = '', ...args: string[]): string {
  const env = { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', MANWIDTH: '80', MANPAGER: 'cat' };
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', env });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}
