import { expect, test } from 'vitest';
import { DropError, ERRORS, type ErrorCode } from '../../src/index.ts';
import { hintHere, messageHere } from '../../src/web/window/advice.ts';

const CODES = Object.keys(ERRORS) as ErrorCode[];

/** What only somebody understands who types commands. */
const COMMANDS = /`|drop (?:peers|doctor|receive|send|trust|forget)|--|\b[A-Z_]{4,}\b|command/;

test.each(CODES)('what to do about %s is said to somebody who has a window', (code) => {
  expect(hintHere(new DropError(code).hint, code) ?? '').not.toMatch(COMMANDS);
});

// As the library has them, each of its own.
test.each<[ErrorCode | undefined, string, string | undefined]>([
  [
    'not-found',
    'Is `drop receive` running there, on the same network?',
    'Is drop running there, on the same network?',
  ],
  [
    'not-found',
    'Start `drop share` there, or name its port.',
    'Start drop there, or name its port.',
  ],
  ['not-found', 'See: drop peers', 'See the known devices.'],
  ['not-found', 'The names and addresses of devices: drop peers', undefined],
  ['not-permitted', 'Forget some: drop forget NAME', 'Forget some among the known devices.'],
  [
    'unreachable',
    'Is `drop receive` running there? If it is, a firewall keeps others away: drop doctor',
    'Is drop running there? If it is, a firewall keeps others away: “Is all well here?” says more.',
  ],
  [
    'refused',
    'To allow it again: drop trust 0123abcd ask',
    'It can be allowed again among the known devices.',
  ],
  ['unproven', 'If anybody may have it: --unverified', undefined],
  ['wrong-peer', 'If you mean it: --to 0123abcd', undefined],
  [
    'ambiguous',
    'Name the one you mean by these digits: --to ID',
    'Name the one you mean by these digits.',
  ],
  ['too-much', 'Send it as a file: ... | drop send - --name message.txt', 'Send it as a file.'],
  ['missing', 'Make it first: mkdir -p /a/b', 'Make it first: mkdir -p /a/b'],
  [undefined, 'See: drop doctor', '“Is all well here?” says more.'],
  [
    undefined,
    'See: drop doctor. Or name the address: --to ADDRESS',
    '“Is all well here?” says more. Or name the address.',
  ],
  [
    undefined,
    'A firewall there, most likely. Run there: drop doctor',
    'A firewall there, most likely. “Is all well here?” says more there.',
  ],
  [undefined, 'Connect to a network.', 'Connect to a network.'],
])('of %s, "%s" is said as what is true in a window', (code, hint, here) => {
  expect(hintHere(hint, code)).toBe(here);
});

test('a command in a sentence is quoted', () => {
  expect(messageHere('What answers there is no `drop receive`.')).toBe(
    'What answers there is no “drop receive”.',
  );
});
