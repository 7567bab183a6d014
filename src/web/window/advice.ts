import { DropError, type ErrorCode } from '../../index.ts';

/* What the library says, which speaks to whoever types commands, as it is true in a window. */

/** Commands as such stand in quotes here. */
export function messageHere(message: string): string {
  return message.replace(/`([^`]*)`/g, '“$1”');
}

/** What to do about it. What can only be done by a command is left out. */
export function hintHere(hint: string | undefined, code?: ErrorCode): string | undefined {
  if (hint === undefined) return undefined;
  if (code !== undefined && code in HINTS && hint === new DropError(code).hint) return HINTS[code];
  const said = WORDS.reduce((text, [command, here]) => text.replace(command, here), hint);
  const left = said.split(/(?<=[.?]) /).filter((sentence) => !COMMAND.test(sentence));
  return left.length === 0 ? undefined : left.join(' ');
}

/** In place of hints of the table. What was interrupted is advised about anyway. */
const HINTS: { readonly [Code in ErrorCode]?: string | undefined } = {
  internal: 'This is a bug in drop; please report it with what you did.',
  disconnected: undefined,
  ambiguous: 'Choose it in the list.',
  unreachable: 'A firewall, most likely. “Is all well here?” says more, on both computers.',
  'no-network': 'Connect to a network.',
  refused: 'Somebody there can change that among the known devices.',
  risky: 'Somebody there has to be asked, or to trust this device.',
  'one-file': 'Send one file.',
  'not-text': 'Somebody there has to have it saved.',
  'peer-full': 'Make room there and try again.',
  'disk-full': 'Make room and try again.',
  'folder-gone': 'Put it back if you want it there, and try again.',
  unrepeatable: 'Try again.',
  corrupt: 'Try again.',
  changed: 'Try again when nothing writes to it.',
  'wrong-peer': 'If it was set up anew, forget the old one among the known devices.',
};

/** Commands, and what does the same in a window. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/`drop (?:receive|share)`/g, 'drop'],
  [/(?:(?:Run|See)( there)?: )?drop doctor\.?/g, '“Is all well here?” says more$1.'],
  [/^See: drop peers$/, 'See the known devices.'],
  [/: drop forget NAME$/, ' among the known devices.'],
  [/^To allow it again: drop trust .*$/, 'It can be allowed again among the known devices.'],
  [/: --(?:to|from) [A-Z]+$/, '.'],
  [/: \.\.\. \| drop send .*$/, '.'],
];

/** What only somebody understands who types commands. */
const COMMAND =
  /`|\bdrop (?:receive|send|share|get|peers|trust|rename|forget|block|doctor|-)|--[a-z]|\bcommand\b|\bDROP_/;
