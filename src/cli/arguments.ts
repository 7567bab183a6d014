import { existsSync } from 'node:fs';
import { Argument, Command, CommanderError, Option } from 'commander';
import { EXAMPLES } from './examples.ts';
import { oneLine, shellWord } from './format.ts';
import {
  type Answer,
  COMPRESS,
  type CompletionOrder,
  type DoctorOrder,
  type GetOrder,
  type HistoryOrder,
  NOTIFY,
  type NotifyOrder,
  ON_CONFLICT,
  type Order,
  type PeersOrder,
  type PresenceOrder,
  type ReceiveOrder,
  type SavingOrder,
  type SendOrder,
  type Settings,
  SHELLS,
  type ShareOrder,
  type Shell,
  type UiOrder,
  UsageError,
} from './orders.ts';
import {
  parseCount,
  parseFilename,
  parseLimit,
  parseMaxSize,
  parseMessage,
  parsePatterns,
  parsePort,
  parseSeconds,
  parseText,
} from './values.ts';
import { readVersion } from './version.ts';

/**
 * Reads the words after `drop`. Settings come from options, then from the environment; nothing
 * but commander is loaded for it. Throws a `UsageError`. `width` is that of the help.
 */
export function readArguments(
  argv: readonly string[],
  width = 80,
): Order | CompletionOrder | Answer {
  let order: Order | CompletionOrder | undefined;
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
    const [word] = wordsOf(program);
    // commander answers with the help of all to whoever asks for that of what it does not know.
    const asksForHelp = /^commander\.help/.test(error.code);
    if (asksForHelp && isStranger(word, program)) return readArguments([word], width);
    if (error.exitCode === 0) return { command: 'answer', text };
    if (error.code === 'commander.help' && program.args.length === 0)
      return { command: 'answer', text: shortHelp(program) };
    throw usageError(error, program);
  }
  if (order === undefined) throw new Error('commander ran no command');
  return order;
}

/** All commands and options, as commander holds them: completion and the manual are made from it. */
export function describeCommandLine(): Command {
  return buildProgram(
    () => {},
    () => {},
    80,
  );
}

/** Whether a command line that was not understood asked for JSON. */
export function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  const typed = argv.slice(0, end < 0 ? argv.length : end).includes('--json');
  return typed || !OFF.test(process.env.DROP_JSON ?? '');
}

function shortHelp(program: Command): string {
  const names = program.commands.map((command) => command.name()).join(', ');
  const commands = program.createHelp().boxWrap(`Commands: ${names}`, 80);
  return `drop sends files to a computer nearby.

  drop receive            on the computer that is to get them
  drop send report.pdf    on the other one: choose the device, type its code once
  drop share photos/      the other way round: others fetch it, as many as like
  drop get                choose among what others share

${commands}
All options: drop --help, drop send --help
`;
}

function buildProgram(
  take: (order: Order | CompletionOrder) => void,
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
      setting('--interface <interface>', 'use only this network interface; repeatable').argParser(
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
  const order: TakeOrder = (given) =>
    take({ ...settingsOf(program.opts<GlobalValues>()), ...given });
  addReceive(program, order);
  addSend(program, order);
  addShare(program, order);
  addGet(program, order);
  addPeers(program, order);
  addHistory(program, order);
  addUi(program, order);
  addDoctor(program, order);
  addKnown(program, order);
  addCompletion(program, take);
  return program;
}

/** Takes an order but for its settings, which are the same for all. */
type TakeOrder = (order: Bare<Order>) => void;
type Bare<O> = O extends unknown ? Omit<O, keyof Settings> : never;

function addReceive(program: Command, take: TakeOrder): void {
  const receive = program
    .command('receive')
    .aliases(['recv', 'recieve'])
    .description('announce this device, wait, and save what arrives');
  addPresence(addNotify(addSaving(receive)))
    .addOption(setting('--once', 'end after one transfer'))
    .addOption(
      setting('--yes', 'take what known devices send without asking; new ones need the code'),
    )
    .addOption(
      new Option(
        '--open',
        'let everyone in without a code, this time; you are asked, or where nobody can be, --into FOLDER takes up to 1 GiB at a time',
      ).conflicts(['pin', 'pinFile']),
    )
    .addOption(
      new Option(
        '--web',
        'also a page where browsers upload: shows a link and a QR code; you are asked as with --open',
      ),
    )
    .addHelpText('after', EXAMPLES.receive)
    .action(({ open = false, web = false, ...values }: Values<ReceiveOrder>, command: Command) => {
      const saving = savingOf(values, command);
      if (web && saving.stdout)
        throw new UsageError(
          '--stdout takes one file, and a page may bring many.',
          'Choose one of --stdout and --web.',
        );
      const once = values.once || saving.stdout;
      const how = { ...saving, ...notifyOf(values), ...presenceOf(values), once, open, web };
      take({ command: 'receive', ...how });
    });
}

function addSend(program: Command, take: TakeOrder): void {
  program
    .command('send')
    .description('choose a device that is ready, and send files and folders to it')
    .argument('[path...]', 'files and folders; - is standard input')
    .addOption(
      setting(
        '--to <device>',
        'a name, an id or host[:port], repeatable; without it you choose',
      ).argParser((value: string, before: readonly string[] = []) => [...before, parseText(value)]),
    )
    .addOption(
      new Option(
        '--all',
        'to every known device that is ready, and to no new one; you are asked, where you can be',
      ).conflicts('unverified'),
    )
    .addOption(waiting())
    .addOption(
      // DROP_NAME is the name of this device.
      setting(
        '--name <filename>',
        'what standard input is called there',
        'DROP_FILENAME',
      ).argParser(parseFilename),
    )
    .addOption(
      setting('--text <message>', 'a message that appears on the screen there').argParser(
        parseMessage,
      ),
    )
    .addOption(
      setting('--checksum', 'compare what is there already by its content, not by size and time'),
    )
    .addOption(excluding())
    .addOption(compressing())
    .addOption(
      setting('--limit <rate>', 'send no faster, e.g. 20MB/s, 500kB/s or 8Mbit/s').argParser(
        parseLimit,
      ),
    )
    .addOption(
      new Option('--unverified', 'also to a device that is --open: nobody can tell who gets it'),
    )
    .addOption(scanning())
    .addHelpText('after', EXAMPLES.send)
    .action((words: string[], { name, ...values }: SendValues, send: Command) => {
      const { all = false, wait, checksum = false, scan = false, unverified = false } = values;
      const { exclude, compress, limit, text } = values;
      if (words.length === 0 && text === undefined)
        throw new UsageError(
          'It is not said what to send.',
          'Name files or folders: drop send PATH..., or a message: drop send --text MESSAGE',
        );
      const to = targetsOf(words, values, send.getOptionValueSource('to') === 'cli');
      const named = send.getOptionValueSource('name') === 'cli';
      const stdin = takesStdin(words, named) ? (name ?? 'stdin') : undefined;
      const paths = words.filter((word) => word !== STDIN);
      const how = { to, all, wait, checksum, exclude, compress, limit, scan, unverified };
      take({ command: 'send', paths, stdin, text, ...how });
    });
}

function addShare(program: Command, take: TakeOrder): void {
  const share = program
    .command('share')
    .description('let others fetch files and folders, as many as like; they run drop get')
    .argument('<path...>', 'files and folders');
  addPresence(share)
    .addOption(setting('--once', 'end after one fetch'))
    .addOption(excluding())
    .addOption(setting('--yes', 'let known devices fetch without asking; new ones need the code'))
    .addOption(compressing())
    .addOption(
      setting(
        '--limit <rate>',
        'send no faster, to all together, e.g. 20MB/s, 500kB/s or 8Mbit/s',
      ).argParser(parseLimit),
    )
    .addOption(new Option('--web', 'also a page for browsers: shows a link and a QR code'))
    .addHelpText('after', EXAMPLES.share)
    .action((paths: string[], { once = false, web = false, ...values }: Values<ShareOrder>) => {
      if (paths.includes(STDIN))
        throw new UsageError(
          'Standard input can be read only once, and not by all who fetch.',
          'Send it: drop send -, or share a file. A file called - is ./-',
        );
      if (once && web)
        throw new UsageError(
          '--once ends with the first fetch, and of a browser nobody knows when it has all it wants.',
          'Choose one of --once and --web.',
        );
      const { exclude, compress, limit } = values;
      const how = { ...presenceOf(values), once, web, exclude, compress, limit };
      take({ command: 'share', paths, ...how });
    });
}

function addGet(program: Command, take: TakeOrder): void {
  const get = program
    .command('get')
    .description('choose among what others share, and fetch it')
    .addOption(
      setting('--from <device>', 'a name, an id or host[:port]; without it you choose').argParser(
        parseText,
      ),
    );
  addNotify(addSaving(get))
    .addOption(
      setting(
        '--only <pattern>',
        'take only what this matches, as in a .gitignore, or the path of something; repeatable',
      ).argParser(parsePatterns),
    )
    .addOption(setting('--yes', 'take it without asking, whatever it is'))
    .addOption(waiting())
    .addOption(scanning())
    .addHelpText('after', EXAMPLES.get)
    .action(({ yes = false, scan = false, ...values }: Values<GetOrder>, command: Command) => {
      const { from, only, wait } = values;
      const saving = savingOf(values, command);
      const how = { ...saving, ...notifyOf(values), from, only, wait, scan, yes };
      take({ command: 'get', ...how });
    });
}

function addPeers(program: Command, take: TakeOrder): void {
  program
    .command('peers')
    .description('list the devices on this network, and those known from before')
    .addOption(setting('--watch', 'go on, and tell who comes and goes'))
    .addOption(scanning())
    .addHelpText('after', EXAMPLES.peers)
    .action(({ watch = false, scan = false }: Values<PeersOrder>) =>
      take({ command: 'peers', watch, scan }),
    );
}

function addHistory(program: Command, take: TakeOrder): void {
  program
    .command('history')
    .description('list what has arrived, the latest last')
    .addOption(
      new Option('-n, --last <number>', 'only so many of the latest').argParser(parseCount),
    )
    .addOption(new Option('--clear', 'forget it; what arrived stays where it is').conflicts('last'))
    .addHelpText('after', EXAMPLES.history)
    .action(({ last, clear = false }: Values<HistoryOrder>) =>
      take({ command: 'history', last, clear }),
    );
}

function addUi(program: Command, take: TakeOrder): void {
  const ui = program
    .command('ui')
    .description('open a window in the browser, for all that drop can do')
    .addOption(setting('--no-open', 'only print its link'))
    .addOption(
      setting(
        '--port <number>',
        'the port of the window, on this computer alone; by default that of the time before, or any',
        'DROP_UI_PORT',
      ).argParser(parsePort),
    )
    .addOption(setting('--name <name>', 'this device, as others see it').argParser(parseText))
    .addOption(setting('--into <folder>', INTO).argParser(parseText));
  addNotify(
    ui,
    'where no page can: when somebody asks or something came, ring the bell of the terminal or show a notice',
  )
    .addHelpText('after', EXAMPLES.ui)
    .action(({ open = true, port, name, into, ...values }: Values<UiOrder>) =>
      take({ command: 'ui', open, port, name, into, ...notifyOf(values) }),
    );
}

function addDoctor(program: Command, take: TakeOrder): void {
  program
    .command('doctor')
    .description('test this computer and network, and tell what is wrong and what mends it')
    .addOption(
      setting('--into <folder>', 'where files are to be saved; by default as in receive').argParser(
        parseText,
      ),
    )
    .addHelpText('after', EXAMPLES.doctor)
    .action(({ into }: Values<DoctorOrder>) => take({ command: 'doctor', into }));
}

/** What is changed about one device that is known. */
function addKnown(program: Command, take: TakeOrder): void {
  program
    .command('trust')
    .description('say whether files from a known device need your yes')
    .argument('<device>', KNOWN, parseText)
    .addArgument(
      new Argument('<how>', 'ask you each time, or save them at once').choices(['ask', 'auto']),
    )
    .addHelpText('after', EXAMPLES.trust)
    .action((name: string, trust: 'ask' | 'auto') => take({ command: 'trust', name, trust }));

  program
    .command('rename')
    .description('give a known device another name')
    .argument('<device>', KNOWN, parseText)
    .argument('<new>', 'its new name, on this computer only', parseText)
    .addHelpText('after', EXAMPLES.rename)
    .action((name: string, newName: string) => take({ command: 'rename', name, newName }));

  program
    .command('forget')
    .description('forget a device: it will need a code again')
    .argument('<device>', KNOWN, parseText)
    .addHelpText('after', EXAMPLES.forget)
    .action((name: string) => take({ command: 'forget', name }));

  program
    .command('block')
    .description('take nothing from a device, and do not list it')
    .argument('<device>', KNOWN, parseText)
    .addHelpText('after', EXAMPLES.block)
    .action((name: string) => take({ command: 'trust', name, trust: 'blocked' }));
}

function addCompletion(program: Command, take: (order: CompletionOrder) => void): void {
  program
    .command('completion')
    .description('print the script that completes command lines of drop in your shell')
    .addArgument(new Argument('<shell>', 'yours').choices(SHELLS))
    .addHelpText('after', EXAMPLES.completion)
    .action((shell: Shell) => take({ command: 'completion', shell }));
}

/** The options of every command that saves something. */
function addSaving(command: Command): Command {
  return command
    .addOption(setting('--into <folder>', INTO).argParser(parseText))
    .addOption(
      setting('--as <filename>', 'save a single incoming file under this name').argParser(
        parseText,
      ),
    )
    .addOption(
      setting(
        '--on-conflict <how>',
        'where another file has the name; newer replaces an older one only; by default rename',
      ).choices(ON_CONFLICT),
    )
    .addOption(setting('--by-device', 'a folder for each device, called like it, in that folder'))
    .addOption(setting('--no-history', 'do not write down what arrives, see drop history'))
    .addOption(
      setting('--max-size <size>', 'take no more at a time, e.g. 500MB or 2GiB').argParser(
        parseMaxSize,
      ),
    )
    .addOption(setting('--stdout', 'write one file to standard output, and end'));
}

/** The options of every command that others choose this device for. */
function addPresence(command: Command): Command {
  return command
    .addOption(setting('--name <name>', 'this device, as others see it').argParser(parseText))
    .addOption(
      setting(
        '--port <number>',
        'listen here only; by default on 23767 or the next free port',
      ).argParser(parsePort),
    )
    .addOption(
      new Option(
        '--pin',
        'let new devices in by a PIN instead of a code, good for any number of them; it is drawn, and shown on the terminal or in --json',
      ),
    )
    .addOption(
      setting('--pin-file <file>', 'the same with the PIN in this file, which only you may read'),
    );
}

function presenceOf({
  name,
  port,
  pin = false,
  pinFile,
  yes = false,
}: Values<PresenceOrder>): Bare<PresenceOrder> {
  return { name, port, pin, pinFile, yes };
}

/** The option of every command during which something arrives. */
function addNotify(
  command: Command,
  description = 'ring the bell of the terminal or show a notice when something arrived',
): Command {
  return command.addOption(setting('--notify <how>', description).choices(NOTIFY));
}

function notifyOf({ notify }: Partial<NotifyOrder>): NotifyOrder {
  return { notify };
}

/** How what comes is saved, from the options of `command`. */
function savingOf(values: Partial<SavingOrder>, command: Command): SavingOrder {
  const { into, as, onConflict, byDevice = false, maxSize } = values;
  const { history = true, stdout = false } = values;
  if (!stdout) return { into, as, onConflict, byDevice, history, maxSize, stdout };
  for (const [name, flag] of Object.entries(OF_FOLDERS))
    if (command.getOptionValueSource(name) === 'cli')
      throw new UsageError(
        `${flag} is about a folder, and --stdout is for what goes into none.`,
        'Choose one of them.',
      );
  if (command.optsWithGlobals<GlobalValues>().json)
    throw new UsageError(
      'Standard output can take the file or the events of --json.',
      'Choose one of --stdout and --json.',
    );
  // What the environment says of folders is for other times.
  const none = { into: undefined, as: undefined, onConflict: undefined, byDevice: false };
  return { ...none, history, maxSize, stdout };
}

/** The options that mean nothing where no folder is used. */
const OF_FOLDERS = {
  into: '--into',
  as: '--as',
  onConflict: '--on-conflict',
  byDevice: '--by-device',
} as const;

function waiting(): Option {
  const about =
    'how long the device may be away; by default 10, and 120 after a loss (in a terminal until Ctrl-C)';
  return setting('--wait <seconds>', about).argParser(parseSeconds);
}

function excluding(): Option {
  const about = 'leave out of the folders what this matches, as in a .gitignore; repeatable';
  return setting('--exclude <pattern>', about).argParser(parsePatterns);
}

function compressing(): Option {
  const about = 'compress on the way; by default auto: where that is faster';
  return setting('--compress <when>', about).choices(COMPRESS);
}

/** A scan looks like an attack to whoever guards a network, so it is only done when asked for. */
function scanning(): Option {
  return setting(
    '--scan',
    'where devices do not show up: also try all addresses of the own networks',
  );
}

const INTO = 'where to save; by default the folder for downloads';

const KNOWN = 'a known device: its name, its id, or the first eight digits of it';

/** What is given for an order on the command line: its options, as far as there are any. */
type Values<O extends Settings> = Partial<Omit<O, keyof Settings | 'command'>>;

/** `name`: what standard input is called. */
type SendValues = Values<SendOrder> & { readonly name?: string };

interface GlobalValues extends Partial<Omit<Settings, 'interfaces'>> {
  readonly interface?: readonly string[];
}

function settingsOf(values: GlobalValues): Settings {
  const { json = false, plain = false, quiet = false, verbose = false } = values;
  const { input = true, color = 'auto', interface: interfaces } = values;
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

/** The devices that are named; `typed` if that is not only in the environment. */
function targetsOf(
  words: readonly string[],
  { to = [], all = false }: Values<SendOrder>,
  typed: boolean,
): readonly string[] {
  if (all && typed) throw new UsageError('--all and --to say two things.', 'Choose one of them.');
  if (words.includes(STDIN) && (all || to.length > 1))
    throw new UsageError(
      'Standard input can be read only once, and so goes to one device.',
      'Save it to a file first, and send that.',
    );
  return all ? [] : to;
}

/** An option that has a variable in the environment too: `--no-input` is DROP_NO_INPUT. */
function setting(flags: string, description: string, name?: string): Option {
  const option = new Option(flags, description);
  const variable = name ?? `DROP_${option.name().toUpperCase().replaceAll('-', '_')}`;
  // commander takes any value of a switch for yes, and an empty one of the others for a value.
  const off = option.required ? /^$/ : OFF;
  if (!off.test(process.env[variable] ?? '')) return option.env(variable);
  option.description += ` (env: ${variable})`;
  return option;
}

/** What in a variable leaves a switch as it is. */
const OFF = /^(|0|no|off|false)$/i;

/** What commander says, as a sentence and what to try. */
function usageError({ code, message }: CommanderError, program: Command): UsageError {
  const words = wordsOf(program);
  const [word = ''] = words;
  const command = commandOf(word, program);
  if (command === undefined && looksLikeFile(word))
    return new UsageError(
      `${oneLine(word)} is not a command.`,
      `Did you mean: drop send ${words.map(shellWord).join(' ')}`,
    );
  const [sentence = '', suggestion] = withShortValue(message.replace(/^error: /, '')).split('\n');
  const help = code === 'commander.excessArguments' && command ? insteadOf(command) : undefined;
  const see = command === undefined ? SEE_HELP : `See: drop ${command.name()} --help`;
  return new UsageError(
    oneLine(sentence.charAt(0).toUpperCase() + sentence.slice(1)),
    suggestion === undefined ? (help ?? see) : oneLine(suggestion.replace(/^\((.*)\)$/, '$1')),
  );
}

const SEE_HELP = 'See: drop --help';

/** The words that it is about, as far as commander has read. */
function wordsOf({ args }: Command): readonly string[] {
  return args[0] === 'help' ? args.slice(1) : args;
}

function commandOf(word: string, program: Command): Command | undefined {
  return program.commands.find((one) => [one.name(), ...one.aliases()].includes(word));
}

function isStranger(word: string | undefined, program: Command): word is string {
  if (word === undefined || word.startsWith('-') || word === 'help') return false;
  return commandOf(word, program) === undefined;
}

/** What is refused may be very long, and have ends of lines. */
function withShortValue(message: string): string {
  return message.replace(/(argument|value) '(.*)' is invalid/s, (_, what, value: string) => {
    const shown = value.length > MAX_VALUE ? `${value.slice(0, MAX_VALUE)}...` : value;
    return `${what} '${oneLine(shown)}' is invalid`;
  });
}

const MAX_VALUE = 60;

/** What was meant by a single word, where other programs take one: a device, or a folder. */
function insteadOf(command: Command): string | undefined {
  const option = { get: '--from', receive: '--into' }[command.name()];
  const [word = '', ...more] = command.args;
  if (option === undefined || more.length > 0) return undefined;
  if (/^[\d -]{6,7}$/.test(word)) return `The code is asked for: drop ${command.name()}`;
  return `Did you mean: drop ${command.name()} ${option} ${shellWord(word)}`;
}

/** Whoever names a file first forgot the `send`. */
function looksLikeFile(word: string): boolean {
  return !word.startsWith('-') && word !== '' && (/[./\\]/.test(word) || existsSync(word));
}
