import fc from 'fast-check';
import { expect } from 'vitest';
import { DropError, type ErrorCode } from '../../../src/errors.ts';
import type { PeerId } from '../../../src/events.ts';
import { concat } from '../../../src/protocol/bytes.ts';
import type { Part } from '../../../src/protocol/card.ts';
import { CodeGuard } from '../../../src/protocol/code.ts';
import { encode } from '../../../src/protocol/message.ts';
import { Channel, type Pipe } from '../../../src/transfer/channel.ts';
import { greetAsAnnouncer, greetAsChooser } from '../../../src/transfer/greeting.ts';
import { cable } from '../../support/memory.ts';
import { anyMessage } from '../../support/messages.ts';
import { type Change, changed, changes } from './bytes.ts';
import { parser } from './target.ts';

const ANA = 'aa'.repeat(32) as PeerId;
const BOB = 'bb'.repeat(32) as PeerId;
const binding = new Uint8Array(32).fill(7);
const CODE = '493027';

/** Somebody on the way changes one of the messages of one side, in a pairing that would go well. */
const meddled = fc.record({
  whose: fc.constantFrom<Part>('chooser', 'announcer'),
  /** Which of its messages. */
  nth: fc.nat(2),
  changes,
  other: anyMessage.map((message) => concat(...encode(message))),
});

/** A pipe whose `nth` writing comes out as `change` makes it. */
function meddling(pipe: Pipe, nth: number, change: (bytes: Uint8Array) => Uint8Array): Pipe {
  let written = 0;
  return {
    incoming: pipe.incoming,
    end: () => pipe.end(),
    write: (...parts) =>
      written++ === nth ? pipe.write(change(concat(...parts))) : pipe.write(...parts),
  };
}

/** A message that was cut leaves both waiting for the rest, as no clock runs here. */
async function quiet(words: () => number): Promise<void> {
  let [heard, turns] = [words(), 0];
  while (turns++ < QUIET) {
    await new Promise((resolve) => setImmediate(resolve));
    if (words() === heard) continue;
    [heard, turns] = [words(), 0];
  }
}

/** Turns of the event loop in which nobody says anything. */
const QUIET = 100;

/** How a greeting ends for one of the two: what came of it, or the code of an error. */
async function end(channel: Channel, greeting: Promise<unknown>, over: () => void) {
  try {
    return await greeting;
  } catch (error) {
    if (!(error instanceof DropError) || !CODES.includes(error.code)) throw error;
    channel.fail(error);
    return error.code;
  } finally {
    setImmediate(over);
  }
}

/** What a greeting may end with, whatever is heard; and what somebody else may say it ended with. */
const CODES: readonly ErrorCode[] = [
  'protocol',
  'disconnected',
  'unproven',
  'wrong-code',
  'code-changed',
  'refused',
  'peer-older',
  'peer-newer',
  'cancelled',
];

const greeting = parser({
  name: 'greeting',
  input: meddled,
  codes: CODES,
  async feed({ whose, nth, changes, other }) {
    const { left, right, pull, carried } = cable();
    let same = true;
    const change = (bytes: Uint8Array): Uint8Array => {
      const after = changes.reduce(
        (all: Uint8Array, one: Change) => changed(all, one, other),
        bytes,
      );
      same = Buffer.from(after).equals(bytes);
      if (!same) void quiet(() => carried.there + carried.back).then(pull);
      return after;
    };
    const side = (part: Part, pipe: Pipe): Channel =>
      new Channel(part, part === whose ? meddling(pipe, nth, change) : pipe);
    const [bob, ana] = [side('chooser', left), side('announcer', right)];
    const guard = new CodeGuard(() => CODE);
    const [chooser, announcer] = await Promise.all([
      end(
        bob,
        greetAsChooser(
          bob,
          { me: BOB, peer: ANA, binding },
          { intent: 'send', knows: false, answer: { kind: 'code', code: CODE, epoch: 1 } },
        ),
        pull,
      ),
      end(
        ana,
        greetAsAnnouncer(
          ana,
          { me: ANA, peer: BOB, binding },
          { knows: false, guard, now: () => 0, endIn: () => () => {} },
        ),
        pull,
      ),
    ]);
    // Whoever believes to be paired heard what the other said.
    if (chooser === 'paired') expect(bob.session.transcript).toEqual(ana.session.transcript);
    if (announcer === 'paired') expect(bob.session.transcript).toEqual(ana.session.transcript);
    if (same) expect([chooser, announcer]).toEqual(['paired', 'paired']);
    return chooser === 'paired' && announcer === 'paired';
  },
});

export const greetings = [greeting];
