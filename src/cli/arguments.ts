import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { oneLine, parseRate, shellWord } from './format.ts';
import { readVersion } from './version.ts';

/** What every command can be told. */
export interface Settings {
  readonly json: boolean;
  readonly plain: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** Whether questions may be asked, if there is a terminal to ask on. */
  readonly input: boolean;
  readonly color: 'auto' | 'always' | 'never';
  /** The only network interfaces to use, if any are named. */
  readonly interfaces: readonly string[] | undefined;
}

export interface SendOrder extends Settings {
  readonly command: 'send';
  readonly paths: readonly string[];
  /** What standard input is offered as, if it is to be sent. */
  readonly stdin: string | undefined;
  /** NAME, ID or HOST[:PORT]; without it the person chooses. */
  readonly to: string | undefined;
  /** For how long the device may be away, at first and after each loss, in milliseconds. */
  readonly wait: number | undefined;
  readonly checksum: boolean;
  readonly compress: Compress | undefined;
  /** Bytes per second. */
  readonly limit: number | undefined;
  /** Whether a device will do that is open to everyone, so that nobody can tell who it is. */
  readonly unverified: boolean;
  /** Whether to look for devices at each address of the own networks, too. */
  readonly scan: boolean;
}

export interface ReceiveOrder extends Settings {
  readonly command: 'receive';
  readonly into: string | undefined;
  readonly name: string | undefined;
  readonly as: string | undefined;
  readonly once: boolean;
  readonly yes: boolean;
  readonly port: number | undefined;
  readonly onConflict: OnConflict | undefined;
  /** A PIN for new devices instead of the code: one that is drawn, or the one in a file. */
  readonly pin: boolean;
  readonly pinFile: string | undefined;
  /** Whether everyone is let in. */
  readonly open: boolean;
}

const COMPRESS = ['auto', 'always', 'never'] as const;
type Compress = (typeof COMPRESS)[number];

const ON_CONFLICT = ['rename', 'skip', 'overwrite', 'newer'] as const;
type OnConflict = (typeof ON_CONFLICT)[number];

export interface PeersOrder extends Settings {
  readonly command: 'peers';
  readonly watch: boolean;
  /** As in `SendOrder`. */
  readonly scan: boolean;
}

export interface DoctorOrder extends Settings {
  readonly command: 'doctor';
  readonly into: string | undefined;
}

/** What is changed about one device that is known. */
export type KnownOrder = Settings & { readonly name: string } & (
    | { readonly command: 'trust'; readonly trust: 'ask' | 'auto' | 'blocked' }
    | { readonly command: 'rename'; readonly newName: string }
    | { readonly command: 'forget' }
  );

export type Order = SendOrder | ReceiveOrder | PeersOrder | DoctorOrder | KnownOrder;

/** A text that was asked for: help, or the version. */
export interface Answer {
  readonly command: 'answer';
  readonly text: string;
}

/** The command line cannot be understood. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly code = 'usage';
  readonly exit = 2;
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

/**
 * Reads the words after `drop`. Settings come from options, then from the environment; nothing
 * but commander is loaded for it. Throws a `UsageError`. `width` is that of the help.
 */
export function readArguments(argv: readonly string[], width = 80): Order | Answer {
  let order: Order | undefined;
  let text = '';
  const program = buildProgram(
    (given) => {
      order = given;
    },
    (part) => {
      text += part;
    },
    width,
  );
  try {
    program.parse(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { command: 'answer', text };
    if (error.code === 'commander.help' && program.args.length === 0)
      return { command: 'answer', text: SHORT_HELP };
    throw usageError(error, program);
  }
  if (order === undefined) throw new Error('commander ran no command');
  return order;
}

/** Whether a command line that was not understood asked for JSON. */
export function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return argv.slice(0, end < 0 ? argv.length : end).includes('--json');
}

const SHORT_HELP = `drop sends files to a computer nearby.

  drop receive                       on the computer that is to get them
  drop send report.pdf               on the other one: choose the device, type its code once
  drop send --to bob a.pdf photos/   the same without choosing

Commands: receive, send, peers, doctor, trust, rename, forget, block
All options: drop --help, drop send --help
`;

const EXAMPLES = {
  drop: `
Examples:
  drop receive                        wait for files and save them
  drop send report.pdf photos/        choose a device in the list and send
  drop send --to bob report.pdf       send to a device by its name
  drop peers                          who is there?
  drop doctor                         why does it not work?

Environment:
  DROP_HOME   the folder for the identity and the known devices of this computer
  DROP_CODE   the code or PIN of a new device, where nobody can be asked
  DROP_PIN    the PIN for new devices of drop receive, as in --pin-file
  NO_COLOR, FORCE_COLOR   as usual

Exit codes: 0 delivered and verified, 2 usage, 3 no such device, 4 declined,
  5 incomplete, 6 identity, 7 integrity, 8 local disk, 1 unexpected
`,
  send: `
Examples:
  drop send report.pdf
  drop send --to "Ana's laptop" report.pdf photos/
  drop send --to 192.168.1.20 report.pdf
  tar c photos | drop send --to bob - --name photos.tar
  DROP_CODE=493027 drop send --no-input --to bob report.pdf
`,
  receive: `
Examples:
  drop receive
  drop receive --into ~/Inbox --once
  drop receive --once --as today.pdf
  drop receive --into ~/Backup --on-conflict newer
  drop receive --yes --json
  drop receive --into ~/Inbox --pin-file ~/.config/drop-pin
`,
  peers: `
Examples:
  drop peers
  drop peers --watch
  drop peers --scan
`,
  doctor: `
Examples:
  drop doctor
  drop doctor --json
  drop doctor --interface wlan0
`,
} as const;

function buildProgram(
  take: (order: Order) => void,
  write: (text: string) => void,
  width: number,
): Command {
  const program = new Command('drop')
    .description('Send files to a computer nearby: found by itself, encrypted, verified.')
    .usage('<command> [options]')
    .version(readVersion(), '--version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print the help of a command')
    .addOption(setting('--json', 'events as JSON lines on stdout; asks nothing'))
    .addOption(setting('--plain', 'no cursor movement; lists are numbered'))
    .addOption(setting('-q, --quiet', 'only questions, codes and failures'))
    .addOption(setting('-v, --verbose', 'more about each file and each failure'))
    .addOption(setting('--no-input', 'ask nothing'))
    .addOption(setting('--color <when>', 'use colors').choices(['auto', 'always', 'never']))
    .addOption(
      setting('--interface <name>', 'use only this network interface; repeatable').argParser(
        (value: string, before: readonly string[] = []) => [...before, ...value.split(',')],
      ),
    )
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: write,
      writeErr: () => {}, // Whoever catches the `UsageError` says it, in our words.
      getOutHelpWidth: () => width,
      getOutHasColors: () => false,
    })
    .exitOverride()
    .addHelpText('after', EXAMPLES.drop);
  const settings = (): Settings => settingsOf(program.opts<GlobalValues>());

  program
    .command('receive')
    .aliases(['recv', 'recieve'])
    .description('announce this device, wait, and save what arrives')
    .addOption(setting('--into <folder>', 'where to save; by default the folder for downloads'))
    .addOption(setting('--name <name>', 'this device, as others see it').argParser(parseText))
    .addOption(
      setting('--as <filename>', 'save a single incoming file under this name').argParser(
        parseText,
      ),
    )
    .addOption(setting('--once', 'end after one transfer'))
    .addOption(
      setting('--yes', 'take what known devices send without asking; new ones need the code'),
    )
    .addOption(
      setting(
        '--port <number>',
        'listen here only; by default on 23767 or the next free port',
      ).argParser(parsePort),
    )
    .addOption(
      setting(
        '--on-conflict <how>',
        'where another file has the name; newer replaces an older one only; by default rename',
      ).choices(ON_CONFLICT),
    )
    .addOption(
      new Option(
        '--pin',
        'let new devices in by a PIN instead of a code, good for any number of them; it is drawn, and shown on the terminal or in --json',
      ),
    )
    .addOption(
      setting('--pin-file <file>', 'the same with the PIN in this file, which only you may read'),
    )
    .addOption(
      new Option(
        '--open',
        'let everyone in without a code, this time; you are asked, or where nobody can be, --into FOLDER takes up to 1 GiB at a time',
      ).conflicts(['pin', 'pinFile']),
    )
    .addHelpText('after', EXAMPLES.receive)
    .action(
      ({ once = false, yes = false, pin = false, open = false, ...values }: ReceiveValues) => {
        const { into, name, as, port, onConflict, pinFile } = values;
        const where = { into, name, as, port, onConflict };
        take({ ...settings(), command: 'receive', ...where, once, yes, pin, pinFile, open });
      },
    );

  program
    .command('send')
    .description('choose a device that is ready, and send files and folders to it')
    .argument('<path...>', 'files and folders; - is standard input')
    .addOption(setting('--to <device>', 'a name, an id or host[:port]; without it you choose'))
    .addOption(
      setting(
        '--wait <seconds>',
        'how long the device may be away; by default 10, and 120 after a loss (in a terminal until Ctrl-C)',
      ).argParser(parseSeconds),
    )
    .addOption(
      // DROP_NAME is the name of this device.
      setting(
        '--name <filename>',
        'what standard input is called there',
        'DROP_FILENAME',
      ).argParser(parseFilename),
    )
    .addOption(
      setting('--checksum', 'compare what is there already by its content, not by size and time'),
    )
    .addOption(
      setting(
        '--compress <when>',
        'compress on the way; by default auto: where that is faster',
      ).choices(COMPRESS),
    )
    .addOption(
      setting('--limit <rate>', 'send no faster, e.g. 20MB/s, 500kB/s or 8Mbit/s').argParser(
        parseLimit,
      ),
    )
    .addOption(
      new Option('--unverified', 'also to a device that is --open: nobody can tell who gets it'),
    )
    .addOption(setting('--scan', SCAN))
    .addHelpText('after', EXAMPLES.send)
    .action((words: string[], values: SendValues, send: Command) => {
      const { to, wait, name, checksum = false, scan = false, unverified = false } = values;
      const { compress, limit } = values;
      const named = send.getOptionValueSource('name') === 'cli';
      const stdin = takesStdin(words, named) ? (name ?? 'stdin') : undefined;
      const paths = words.filter((word) => word !== STDIN);
      const how = { to, wait, checksum, compress, limit, scan, unverified };
      take({ ...settings(), command: 'send', paths, stdin, ...how });
    });

  program
    .command('peers')
    .description('list the devices on this network, and those known from before')
    .addOption(setting('--watch', 'go on, and tell who comes and goes'))
    .addOption(setting('--scan', SCAN))
    .addHelpText('after', EXAMPLES.peers)
    .action(({ watch = false, scan = false }: PeersValues) =>
      take({ ...settings(), command: 'peers', watch, scan }),
    );

  program
    .command('doctor')
    .description('test this computer and network, and tell what is wrong and what mends it')
    .addOption(setting('--into <folder>', 'where files are to be saved; by default as in receive'))
    .addHelpText('after', EXAMPLES.doctor)
    .action(({ into }: DoctorValues) => take({ ...settings(), command: 'doctor', into }));

  program
    .command('trust')
    .description('say whether files from a known device need your yes')
    .argument('<name>', KNOWN)
    .addArgument(
      new Argument('<how>', 'ask you each time, or save them at once').choices(['ask', 'auto']),
    )
    .action((name: string, trust: 'ask' | 'auto') =>
      take({ ...settings(), command: 'trust', name, trust }),
    );

  program
    .command('rename')
    .description('give a known device another name')
    .argument('<name>', KNOWN)
    .argument('<new>', 'its new name, on this computer only', parseText)
    .action((name: string, newName: string) =>
      take({ ...settings(), command: 'rename', name, newName }),
    );

  program
    .command('forget')
    .description('forget a device: it will need a code again')
    .argument('<name>', KNOWN)
    .action((name: string) => take({ ...settings(), command: 'forget', name }));

  program
    .command('block')
    .description('take nothing from a device, and do not list it')
    .argument('<name>', KNOWN)
    .action((name: string) => take({ ...settings(), command: 'trust', name, trust: 'blocked' }));

  return program;
}

/** A scan looks like an attack to whoever guards a network, so it is only done when asked for. */
const SCAN = 'where devices do not show up: also try all addresses of the own networks';

const KNOWN = 'a known device: its name, its id, or the first eight digits of it';

interface GlobalValues {
  readonly json?: boolean;
  readonly plain?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly input: boolean;
  readonly color?: Settings['color'];
  readonly interface?: readonly string[];
}

interface ReceiveValues {
  readonly into?: string;
  readonly name?: string;
  readonly as?: string;
  readonly once?: boolean;
  readonly yes?: boolean;
  readonly port?: number;
  readonly onConflict?: OnConflict;
  readonly pin?: boolean;
  readonly pinFile?: string;
  readonly open?: boolean;
}

interface SendValues {
  readonly to?: string;
  readonly wait?: number;
  readonly name?: string;
  readonly checksum?: boolean;
  readonly compress?: Compress;
  readonly limit?: number;
  readonly scan?: boolean;
  readonly unverified?: boolean;
}

interface PeersValues {
  readonly watch?: boolean;
  readonly scan?: boolean;
}

interface DoctorValues {
  readonly into?: string;
}

function settingsOf(values: GlobalValues): Settings {
  const { json = false, plain = false, quiet = false, verbose = false } = values;
  const { input, color = 'auto', interface: interfaces } = values;
  return { json, plain, quiet, verbose, input, color, interfaces };
}

/** Standard input, among paths. A file of that name is `./-`. */
const STDIN = '-';

/** Whether standard input is among the words; `named` if a name was typed for it. */
function takesStdin(words: readonly string[], named: boolean): boolean {
  const times = words.filter((word) => word === STDIN).length;
  if (times > 1)
    throw new UsageError('Standard input can be sent only once.', 'A file called - is ./-');
  if (times === 0 && named)
    throw new UsageError(
      '--name is for standard input, and nothing is to be sent from it.',
      'It is sent by: drop send - --name FILENAME',
    );
  return times === 1;
}

/** An option that has a variable in the environment too: `--no-input` is DROP_NO_INPUT. */
function setting(flags: string, description: string, name?: string): Option {
  const option = new Option(flags, description);
  const variable = name ?? `DROP_${option.name().toUpperCase().replaceAll('-', '_')}`;
  // commander takes any value of a switch for yes, and an empty one of the others for a value.
  const off = option.required ? /^$/ : /^(|0|no|off|false)$/i;
  if (!off.test(process.env[variable] ?? '')) return option.env(variable);
  option.description += ` (env: ${variable})`;
  return option;
}

function parseText(value: string): string {
  if (value.trim() === '') throw new InvalidArgumentError('It must not be empty.');
  return value;
}

function parseFilename(value: string): string {
  if (basename(value) !== value || /^[.\s]*$/.test(value))
    throw new InvalidArgumentError('It must be the name of a file, without a folder.');
  return value;
}

function parsePort(value: string): number {
  const port = Number(value);
  if (!/^\d+$/.test(value) || port < 1 || port > 65_535)
    throw new InvalidArgumentError('A port is a number from 1 to 65535.');
  return port;
}

/** Seconds as a person writes them, to milliseconds. A timer cannot wait for more than 24 days. */
function parseSeconds(value: string): number {
  const ms = Math.round(1000 * Number(value));
  if (!/^\d+(\.\d+)?$/.test(value) || ms >= 2 ** 31)
    throw new InvalidArgumentError('It must be a number of seconds.');
  return ms;
}

function parseLimit(value: string): number {
  const rate = parseRate(value);
  if (rate === null)
    throw new InvalidArgumentError(
      'A rate is written as 20MB/s, 500kB/s, 1MiB/s or 8Mbit/s; a number alone is bytes a second.',
    );
  return rate;
}

/** What commander says, as a sentence and what to try. */
function usageError({ code, message }: CommanderError, program: Command): UsageError {
  const words = program.args[0] === 'help' ? program.args.slice(1) : program.args;
  const [word = ''] = words;
  const command = program.commands.find((one) => [one.name(), ...one.aliases()].includes(word));
  if (command === undefined && looksLikeFile(word))
    return new UsageError(
      `${oneLine(word)} is not a command.`,
      `Did you mean: drop send ${words.map(shellWord).join(' ')}`,
    );
  if (command === undefined && code === 'commander.help')
    return new UsageError(`There is no command ${shellWord(word)}.`, SEE_HELP);
  const [sentence = '', suggestion] = message.replace(/^error: /, '').split('\n');
  const help = command === undefined ? SEE_HELP : `See: drop ${command.name()} --help`;
  return new UsageError(
    oneLine(sentence.charAt(0).toUpperCase() + sentence.slice(1)),
    suggestion === undefined ? help : oneLine(suggestion.replace(/^\((.*)\)$/, '$1')),
  );
}

const SEE_HELP = 'See: drop --help';

/** Whoever names a file first forgot the `send`. */
function looksLikeFile(word: string): boolean {
  return !word.startsWith('-') && word !== '' && (/[./\\]/.test(word) || existsSync(word));
}
