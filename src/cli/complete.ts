import { networkInterfaces } from 'node:os';
import type { Command, Help, Option } from 'commander';
import type { KnownPeer } from '../index.ts';
import { describeCommandLine } from './arguments.ts';
import type { Library } from './io.ts';
import { SHELLS, type Shell } from './orders.ts';
import { afterBash, asciiJson, wordsOfBash, writable } from './shells.ts';

/**
 * Answers the script of `drop completion`: what may stand where the cursor is. The first of `argv` is
 * the shell, the others are what its script knows of the line; see `shells.ts`. The answer is of one
 * line for what is to be offered (`files`, `folders` or `words`) and one for each word, with a tab
 * and what is to be said of it, or, for PowerShell, of JSON. `library` is loaded for names of devices only.
 *
 * Names of devices were chosen by others. None comes out that a shell could not be given as one
 * word, nor one that is taken for an option: its id stands in its place.
 */
export async function complete(
  [name, ...line]: readonly string[],
  library: () => Promise<Library>,
): Promise<string> {
  const shell = SHELLS.find((one) => one === name);
  if (shell === undefined) return '';
  const known = async (): Promise<readonly Device[]> => knownTo(shell, await library());
  if (shell === 'bash') {
    const [text = '', replaced = ''] = line;
    const { words, last } = wordsOfBash(text);
    const next = await whatComes(shell, words.slice(1), last, known);
    const texts = matching(next.words, last).map((word) => afterBash(text, replaced, word.text));
    return lines(
      next.kind,
      texts.filter((one) => one !== undefined),
    );
  }
  const words = shell === 'powershell' ? line.map(unhex) : line;
  const last = words.at(-1) ?? '';
  const next = await whatComes(shell, words.slice(0, -1), last, known);
  if (shell !== 'powershell')
    return lines(
      next.kind,
      next.words.map(({ text, about }) => `${text}\t${about}`),
    );
  const offered = matching(next.words, last).map(({ text, about }) => ({ text, about }));
  return `${asciiJson({ kind: next.kind, words: offered })}\n`;
}

interface Word {
  readonly text: string;
  readonly about: string;
}

interface Device extends Word {
  readonly blocked: boolean;
}

/** What the shell knows itself, or the words that it is told. */
interface Next {
  readonly kind: 'files' | 'folders' | 'words';
  readonly words: readonly Word[];
}

/**
 * What may stand behind the words `before`, where `start` stands already. It is read from the same
 * definition as the command line, so an option needs nothing but itself to be known here.
 */
async function whatComes(
  shell: Shell,
  before: readonly string[],
  start: string,
  known: () => Promise<readonly Device[]>,
): Promise<Next> {
  const program = describeCommandLine();
  const help = program.createHelp();
  const { command, awaits, taken, ended } = placeBehind(before, program, help);

  if (awaits !== undefined) return valuesOf(awaits);
  const [, name, attached] = /^(--[^=]+)(=)/.exec(ended ? '' : start) ?? [];
  if (attached !== undefined) {
    const option = optionsOf(command, help).find((one) => one.long === name && one.required);
    if (option === undefined) return NOTHING;
    const { kind, words } = await valuesOf(option);
    return { kind, words: words.map((word) => ({ ...word, text: `${name}=${word.text}` })) };
  }
  if (!ended && start.startsWith('-'))
    return wordsOf(optionsOf(command, help), (one) => one.long ?? one.short ?? '');
  if (command === program) return taken === 0 ? commands() : NOTHING;
  const all = command.registeredArguments;
  const argument = all[taken] ?? (all.at(-1)?.variadic ? all.at(-1) : undefined);
  if (argument === undefined) return NOTHING;
  return valuesFor(argument.name(), argument.argChoices, () => true);

  function commands(): Next {
    return wordsOf(help.visibleCommands(program), (one) => one.name());
  }

  function valuesOf(option: Option): Promise<Next> {
    const [, placeholder = ''] = /[<[]([\w-]+)/.exec(option.flags) ?? [];
    return valuesFor(placeholder, option.argChoices, ({ blocked }) => !blocked);
  }

  async function valuesFor(
    placeholder: string,
    choices: readonly string[] | undefined,
    wanted: (device: Device) => boolean,
  ): Promise<Next> {
    if (choices) return { kind: 'words', words: choices.map((text) => ({ text, about: '' })) };
    const kind = isPlaceholder(placeholder) ? PLACEHOLDERS[placeholder] : 'person';
    if (kind === 'devices') return { kind: 'words', words: (await known()).filter(wanted) };
    if (kind === 'interfaces') return { kind: 'words', words: interfacesFor(shell) };
    if (kind === 'commands') return commands();
    return kind === 'person' ? NOTHING : { kind, words: [] };
  }
}

/** What can stand for each placeholder of the help; `person`: only whoever types knows. */
const PLACEHOLDERS = {
  path: 'files',
  file: 'files',
  folder: 'folders',
  device: 'devices',
  command: 'commands',
  interface: 'interfaces',
  name: 'person',
  new: 'person',
  filename: 'person',
  pattern: 'person',
  number: 'person',
  message: 'person',
  rate: 'person',
  seconds: 'person',
  size: 'person',
} as const;

/** Whether it is decided what stands for it, so that it is not forgotten for a new option. */
export function isPlaceholder(name: string): name is keyof typeof PLACEHOLDERS {
  return Object.hasOwn(PLACEHOLDERS, name);
}

const NOTHING: Next = { kind: 'words', words: [] };

/** Where on the command line we are. */
interface Place {
  /** The one that was named; the program, while none was. */
  readonly command: Command;
  /** The option that the next word is the value of. */
  readonly awaits: Option | undefined;
  /** Words so far that are neither options nor their values. */
  readonly taken: number;
  /** Whether there was a `--`, behind which there are no options. */
  readonly ended: boolean;
}

function placeBehind(words: readonly string[], program: Command, help: Help): Place {
  // What is not offered is understood, as other names of commands are.
  const commands = [...program.commands, ...help.visibleCommands(program)];
  let place: Place = { command: program, awaits: undefined, taken: 0, ended: false };
  for (const word of words) {
    const { command, awaits, taken, ended } = place;
    if (awaits !== undefined) place = { ...place, awaits: undefined };
    else if (!ended && word === '--') place = { ...place, ended: true };
    else if (!ended && /^-./.test(word))
      place = {
        ...place,
        awaits: optionsOf(command, help).find(
          ({ long, short, required }) => required && [long, short].includes(word),
        ),
      };
    else {
      const named =
        command === program && taken === 0
          ? commands.find((one) => [one.name(), ...one.aliases()].includes(word))
          : undefined;
      place = named ? { ...place, command: named } : { ...place, taken: taken + 1 };
    }
  }
  return place;
}

function optionsOf(command: Command, help: Help): Option[] {
  return [...help.visibleOptions(command), ...help.visibleGlobalOptions(command)];
}

/** `described`: commands or options. */
function wordsOf<One extends Command | Option>(
  described: readonly One[],
  textOf: (one: One) => string,
): Next {
  const words = described.map((one) => {
    const about = typeof one.description === 'function' ? one.description() : one.description;
    return { text: textOf(one), about: about.replace(/ \(env: \w+\)$/, '') };
  });
  return { kind: 'words', words };
}

/** The known devices as this shell can be given them. A folder for them is not made. */
async function knownTo(
  shell: Shell,
  { forTerminal, knownPeers, sameName }: Library,
): Promise<readonly Device[]> {
  const peers = await knownPeers({ home: process.env.DROP_HOME || undefined });
  return peers.map((peer) => {
    const { name, id, trust } = peer;
    const plain = forTerminal(name) === name && !name.startsWith('-') && writable(name, shell);
    return {
      text: plain ? name : shortest(peer, peers, sameName),
      about: `${plain ? 'device' : forTerminal(name)} ${id.slice(0, ID_SHOWN)}`,
      blocked: trust === 'blocked',
    };
  });
}

/** The network interfaces that are up, each with its first address. */
function interfacesFor(shell: Shell): Word[] {
  return Object.entries(networkInterfaces())
    .filter(([name]) => writable(name, shell))
    .map(([text, addresses]) => ({ text, about: addresses?.[0]?.address ?? '' }));
}

/** What of its id means this device and no other. */
function shortest(
  { id }: KnownPeer,
  peers: readonly KnownPeer[],
  sameName: Library['sameName'],
): string {
  const start = id.slice(0, ID_SHOWN);
  const others = peers.filter((other) => other.id !== id);
  return others.some((other) => other.id.startsWith(start) || sameName(other.name, start))
    ? id
    : start;
}

const ID_SHOWN = 8;

/** Those that begin so, or where there are none, those that do in other letters' case. */
function matching(words: readonly Word[], start: string): readonly Word[] {
  const exact = words.filter(({ text }) => text.startsWith(start));
  if (exact.length > 0) return exact;
  const folded = start.toLowerCase();
  return words.filter(({ text }) => text.toLowerCase().startsWith(folded));
}

function lines(kind: Next['kind'], words: readonly string[]): string {
  return [kind, ...words].map((line) => `${line}\n`).join('');
}

function unhex(word: string): string {
  return Buffer.from(word.replace(/^x|-/g, ''), 'hex').toString('utf8');
}
