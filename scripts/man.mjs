// The last part of `npm run build`: writes the manual page, dist/man/drop.1. What it says of commands
// and options is what `drop --help` says, so neither can forget one.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { project } from './npm.mjs';

// The help names no variable that gives its option a value already.
for (const name of Object.keys(process.env)) if (name.startsWith('DROP_')) delete process.env[name];

const { describeCommandLine, readArguments } = await import('../dist/cli/arguments.js');

const program = describeCommandLine();
const help = program.createHelp();
const commands = help.visibleCommands(program);
const { version } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8'));

function page() {
  return [
    `.TH DROP 1 ${builtOn()} "drop ${version}" "User Commands"`,
    // Names of options and variables are not to be divided.
    '.nh',
    '.ad l',
    '.SH NAME',
    roff('drop - send files to a computer nearby'),
    '.SH SYNOPSIS',
    ...commands.flatMap((command) => [synopsisOf(command), '.br']).slice(0, -1),
    '.SH DESCRIPTION',
    ...paragraphs(`
drop sends files and folders from one computer to another in the same network. One person runs
drop receive, the other drop send, sees the first one in a list and presses Enter. Or the other way
round: one runs drop share, and whoever runs drop get chooses and fetches.

The devices find each other by multicast DNS. Everything between them is encrypted by TLS 1.3. A
new device needs the code that is shown where it connects to, once; from then on each knows the key
of the other. Files have their names only when they are whole, verified and safe on the disk, and
a transfer that was interrupted goes on where it stopped, when the same command is run again.

Words for people go to standard error, data and the lines of --json to standard output.`),
    '.SH COMMANDS',
    ...commands.flatMap(sectionOf),
    '.SH OPTIONS',
    'These are for all commands.',
    ...optionsOf(help.visibleOptions(program)),
    '.SH EXIT STATUS',
    ...terms([
      ['0', 'Everything was delivered, verified on the other disk and acknowledged.'],
      ['1', 'Unexpected failure: a bug.'],
      ['2', 'Wrong usage.'],
      ['3', 'No such device, or it cannot be reached.'],
      ['4', 'Declined there.'],
      ['5', 'Incomplete: the connection was lost, or some files failed. The same command goes on.'],
      ['6', 'Identity: a wrong code, not paired, a changed key.'],
      ['7', 'Integrity: a digest differs, the source changed, or the protocol was broken.'],
      ['8', 'The local disk: full, not permitted, missing.'],
    ]),
    '.P',
    'Where a signal ends it, it dies of that signal.',
    '.SH ENVIRONMENT',
    ...terms(
      linesBelow('Environment:').map((line) => {
        const [name, meaning] = line.trim().split(/ {2,}/);
        return [name, sentence(meaning)];
      }),
    ),
    '.P',
    roff(
      'An option that has a variable takes its value from there if the command line says nothing of it. A switch is on unless the variable is empty, 0, no, off or false.',
    ),
    '.SH FILES',
    ...terms([
      [
        '~/.local/share/drop',
        'The identity of this computer and the devices it knows. On macOS ~/Library/Application Support/drop, on Windows %LOCALAPPDATA%\\drop\\Data; DROP_HOME names another.',
      ],
      [
        '~/.cache/drop',
        'What can be made again. On macOS ~/Library/Caches/drop, on Windows %LOCALAPPDATA%\\drop\\Cache.',
      ],
      ['.drop-*', 'What is not whole yet, in the folder where it is to be saved.'],
    ]),
    '.P',
    'There is no configuration file.',
    '.SH EXAMPLES',
    ...[undefined, ...program.commands].flatMap((command, n) => [
      ...(n === 0 ? [] : ['.P']),
      ...examplesOf(command),
    ]),
    '.SH SEE ALSO',
    '.BR scp (1),',
    '.BR rsync (1)',
  ];
}

/** `COMMAND [OPTIONS] PATH...`, with fonts. */
function synopsisOf(command) {
  const values = command.registeredArguments.map((argument) => {
    const more = argument.variadic ? `${placeFor(argument)} ...` : placeFor(argument);
    return argument.required ? more : `[${more}]`;
  });
  const options = isOwn(command) ? ['[\\fIoptions\\fR]'] : [];
  return [`\\fBdrop ${roff(command.name())}\\fR`, ...options, ...values].join(' ');
}

function sectionOf(command) {
  const [alias] = command.aliases();
  return [
    // Fonts in a heading would end its own.
    `.SS "${synopsisOf(command).replace(/\\f./g, '')}"`,
    roff(sentence(command.description())),
    ...(alias === undefined ? [] : [roff(`The same: drop ${alias}.`)]),
    ...command.registeredArguments
      .filter(({ description }) => description !== '')
      .flatMap((one) => ['.TP', placeFor(one), roff(sentence(one.description))]),
    ...(isOwn(command) ? optionsOf(help.visibleOptions(command)) : []),
  ];
}

/** Whether it is ours; `help` is commander's. */
function isOwn(command) {
  return program.commands.includes(command);
}

function optionsOf(options) {
  return options
    .filter((option) => option.long !== '--help')
    .flatMap((option) => {
      const names = [option.short, option.long]
        .filter(Boolean)
        .map((name) => `\\fB${roff(name)}\\fR`);
      const value = /<(.+)>/.test(option.flags) ? [placeFor(option)] : [];
      const [, about, variable] = /^(.*?)(?: \(env: (\w+)\))?$/.exec(option.description);
      return [
        '.TP',
        [names.join(', '), ...value].join(' '),
        roff(sentence(about)) + (variable ? ` Variable: \\fB${variable}\\fR.` : ''),
      ];
    });
}

/** What stands for the value of an option or argument: its choices, or a name for it. */
function placeFor(one) {
  const [, name = one.name()] = /<(.+)>/.exec(one.flags ?? '') ?? [];
  return (one.argChoices ?? [name]).map((text) => `\\fI${roff(text)}\\fR`).join('|');
}

/** Terms and what they mean. */
function terms(pairs) {
  return pairs.flatMap(([term, text]) => ['.TP', `\\fB${roff(term)}\\fR`, roff(text)]);
}

function paragraphs(text) {
  return text
    .trim()
    .split('\n\n')
    .flatMap((one, n) => [
      ...(n === 0 ? [] : ['.P']),
      ...one.split('\n').map((line) => roff(line)),
    ]);
}

function examplesOf(command) {
  const lines = linesBelow('Examples:', command);
  return lines.length === 0 ? [] : ['.EX', ...lines.map((line) => roff(line.trimStart())), '.EE'];
}

/** The lines under a heading at the end of the help of a command, or of all. */
function linesBelow(heading, command) {
  const { text } = readArguments([...(command ? [command.name()] : []), '--help'], 1000);
  const [, rest = ''] = text.split(`\n${heading}\n`);
  return rest.trimEnd().split('\n\n')[0].split('\n');
}

function sentence(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;
}

/** Text as roff shows it, each sign the one that is typed. */
function roff(text) {
  return text
    .replace(/[\\'"`^~-]/g, (sign) => SIGNS[sign])
    .replace(
      /[^ -~]/gu,
      (sign) => `\\[u${sign.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}]`,
    )
    .replace(/^\./, '\\&.');
}

const SIGNS = {
  '\\': '\\e',
  "'": '\\(aq',
  '"': '\\(dq',
  '`': '\\(ga',
  '^': '\\(ha',
  '~': '\\(ti',
  '-': '\\-',
};

/** The day; packagers who want the same page each time set SOURCE_DATE_EPOCH. */
function builtOn() {
  const { SOURCE_DATE_EPOCH: seconds } = process.env;
  const date = seconds === undefined ? new Date() : new Date(1000 * Number(seconds));
  return date.toISOString().slice(0, 10);
}

const folder = join(project, 'dist', 'man');
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, 'drop.1'), `${page().join('\n')}\n`);
