import { describe, expect, test } from 'vitest';
import { DropError } from '../../src/errors.ts';
import type { PeerId } from '../../src/events.ts';
import { JUDGING_LIMIT } from '../../src/limits.ts';
import { ended } from '../../src/meeting/signals.ts';
import { concat, fromHex, utf8 } from '../../src/protocol/bytes.ts';
import { CodeGuard } from '../../src/protocol/code.ts';
import { CPace, lvCat } from '../../src/protocol/cpace.ts';
import type { Terms } from '../../src/protocol/message.ts';
import { Channel } from '../../src/transfer/channel.ts';
import {
  type Answer,
  type Door,
  greetAsAnnouncer,
  greetAsChooser,
} from '../../src/transfer/greeting.ts';
import { cable } from '../support/memory.ts';

const ANA = 'aa'.repeat(32) as PeerId;
const BOB = 'bb'.repeat(32) as PeerId;
const EVE = 'ee'.repeat(32) as PeerId;
const HERE = new Uint8Array(32).fill(7);

const newGuard = (): CodeGuard => {
  let drawn = 0;
  return new CodeGuard(() => ['493027', '118340', '000001', '000002'][drawn++] ?? '999999');
};

interface Case {
  readonly chooserKnows?: boolean;
  readonly announcerKnows?: boolean;
  readonly answer?: Answer | undefined;
  readonly guard?: CodeGuard | undefined;
  /** What each believes of the connection. */
  readonly chooser?: { peer?: PeerId; binding?: Uint8Array };
  readonly now?: () => number;
  /** What somebody in between makes of what the chooser says. */
  readonly edit?: (said: Uint8Array) => Uint8Array;
  /** What the chooser waits for before it says its tag. */
  readonly before?: () => Promise<void>;
  readonly endIn?: Door['endIn'];
}

/** How a greeting ends on both sides: an outcome, or the code of an error. */
async function greet(situation: Case): Promise<[unknown, unknown]> {
  const { left, right, pull } = cable();
  const guard = 'guard' in situation ? situation.guard : newGuard();
  const door: Door = {
    knows: situation.announcerKnows ?? false,
    guard,
    now: situation.now ?? (() => 0),
    endIn: situation.endIn ?? (() => () => {}),
  };
  const end = async (channel: Channel, outcome: Promise<unknown>): Promise<unknown> => {
    try {
      return await outcome;
    } catch (error) {
      if (!(error instanceof DropError)) throw error;
      await channel.fail(error);
      return error.code;
    }
  };
  const { edit = (said) => said, before } = situation;
  const edited = {
    ...left,
    async write(...parts: Uint8Array[]) {
      const said = edit(concat(...parts));
      if (said[4] === CONFIRM) await before?.();
      await left.write(said);
    },
  };
  const chooser = new Channel('chooser', edited);
  const announcer = new Channel('announcer', right);
  return Promise.all([
    end(
      chooser,
      greetAsChooser(
        chooser,
        {
          me: ANA,
          peer: situation.chooser?.peer ?? BOB,
          binding: situation.chooser?.binding ?? HERE,
        },
        { intent: 'send', knows: situation.chooserKnows ?? false, answer: situation.answer },
      ),
    ).finally(pull),
    end(announcer, greetAsAnnouncer(announcer, { me: BOB, peer: ANA, binding: HERE }, door)),
  ]);
}

describe('two devices', () => {
  test('that know each other need no code', async () => {
    const both = { chooserKnows: true, announcerKnows: true };
    expect(await greet(both)).toEqual(['known', 'known']);
    expect(await greet({ ...both, guard: undefined })).toEqual(['known', 'known']);
  });

  test.each([
    ['neither', {}],
    ['only the chooser', { chooserKnows: true }],
    ['only the announcer', { announcerKnows: true }],
  ])('of which %s knows the other need the code', async (_, knowledge) => {
    expect(await greet(knowledge)).toEqual([{ needs: 'code', epoch: 1 }, 'disconnected']);
    const answer = { kind: 'code', code: '493 027', epoch: 1 } as const;
    expect(await greet({ ...knowledge, answer })).toEqual(['paired', 'paired']);
  });

  test('do not meet where nobody new is let in', async () => {
    expect((await greet({ guard: undefined }))[0]).toBe('refused');
  });
});

describe('a code', () => {
  const right = { kind: 'code', code: '493027', epoch: 1 } as const;

  test('that is right is replaced', async () => {
    const guard = newGuard();
    expect(await greet({ guard, answer: right })).toEqual(['paired', 'paired']);
    expect(guard.code).toBe('118340');
    // Used a second time, it is refused and not even counted.
    expect(await greet({ guard, answer: right })).toEqual(['code-changed', 'code-changed']);
    expect(guard.judges(guard.epoch, 0)).toBe('yes');
  });

  test('that is wrong is an error on both sides, and counted', async () => {
    const guard = newGuard();
    const outcome = await greet({ guard, answer: { kind: 'code', code: '493028', epoch: 1 } });
    expect(outcome).toEqual(['wrong-code', 'wrong-code']);
    expect(guard.judges(guard.epoch, 0)).toBe('not-yet');
  });

  test('of an older epoch is never judged, right or wrong', async () => {
    for (const code of ['493027', '999999']) {
      const guard = newGuard();
      guard.right();
      expect(await greet({ guard, answer: { kind: 'code', code, epoch: 1 } })).toEqual([
        'code-changed',
        'code-changed',
      ]);
      expect(guard.judges(2, 0)).toBe('yes');
    }
  });

  test('is proven for this connection only: whoever relays it gains nothing', async () => {
    const binding = new Uint8Array(32).fill(8);
    expect(await greet({ answer: right, chooser: { binding } })).toEqual([
      'wrong-code',
      'wrong-code',
    ]);
    expect(await greet({ answer: right, chooser: { peer: EVE } })).toEqual([
      'wrong-code',
      'wrong-code',
    ]);
  });

  test('is bound to what was said before, whoever edits that', async () => {
    // Whether the chooser knows the announcer is the last byte of hello, and decides nothing here.
    const edit = (said: Uint8Array): Uint8Array =>
      said[4] === 0x01 ? Uint8Array.of(...said.subarray(0, -1), 1) : said;
    expect(await greet({ answer: right, edit })).toEqual(['wrong-code', 'wrong-code']);
  });

  test('is not asked for while it is locked', async () => {
    const guard = newGuard();
    for (let n = 0; n < 10; n++) guard.wrong(0);
    expect(await greet({ guard })).toEqual(['locked', 'locked']);
  });

  test('guessed at in parallel is judged three times, then it is another one', async () => {
    const guard = newGuard();
    let now = 0;
    const guesses = ['1', '2', '3', '4', '5', '6', '493027'].map((code) =>
      greet({ guard, now: () => (now += 1e6), answer: { kind: 'code', code, epoch: 1 } }),
    );
    const outcomes = (await Promise.all(guesses)).map(([, announcer]) => announcer);
    expect(outcomes.filter((outcome) => outcome === 'wrong-code')).toHaveLength(3);
    expect(outcomes.filter((outcome) => outcome === 'code-changed')).toHaveLength(4);
  });
});

/** The kind of a frame. */
const CONFIRM = 0x04;

describe('an answer between its two halves', () => {
  const right = { kind: 'code', code: '493027', epoch: 1 } as const;
  const wrong = { ...right, code: '999999' } as const;
  const now = (): number => DAY;

  /** Comes with the right code, and says its tag when it is let go. */
  async function pausing(guard: CodeGuard, endIn?: Door['endIn']) {
    const [goOn, leave] = [new AbortController(), new AbortController()];
    let outcome: Promise<[unknown, unknown]> | undefined;
    await new Promise<void>((paused) => {
      const before = async (): Promise<void> => {
        paused();
        await ended(goOn.signal, leave.signal);
        if (leave.signal.aborted) throw new DropError('disconnected');
      };
      outcome = greet({ guard, answer: right, now, before, ...(endIn && { endIn }) });
    });
    return { outcome, goOn: () => goOn.abort(), leave: () => leave.abort() };
  }

  /** Somebody else answers; resolves when that is judged, or has to wait. */
  async function another(guard: CodeGuard, answer: Answer) {
    let isOver = false;
    const outcome = greet({ guard, answer, now }).finally(() => {
      isOver = true;
    });
    while (!guard.isAwaited && !isOver) await new Promise((resolve) => setImmediate(resolve));
    return { outcome };
  }

  test.each([
    ['a pause', 0],
    ['another code', 2],
  ])('is worth what it was, though a wrong one would bring %s', async (_, before) => {
    const guard = newGuard();
    for (let n = 0; n < before; n++) guard.wrong(0);
    const bob = await pausing(guard);
    const eve = await another(guard, wrong);
    bob.goOn();
    expect(await bob.outcome).toEqual(['paired', 'paired']);
    expect(await eve.outcome).toEqual(['code-changed', 'code-changed']);
  });

  test('that never comes is a wrong one if it kept others waiting, and else is none', async () => {
    const guard = newGuard();
    const alone = await pausing(guard);
    alone.leave();
    await alone.outcome;
    expect(guard.judges(1, now())).toBe('yes');
    const eve = await pausing(guard);
    const bob = await another(guard, right);
    eve.leave();
    await eve.outcome;
    // So he comes again, and nothing that he said was a guess.
    expect(await bob.outcome).toEqual(['not-yet', 'not-yet']);
    expect(guard.judges(1, now())).toBe('not-yet');
  });

  test('has a time limit, but not before it is its turn', async () => {
    const guard = newGuard();
    const limits: number[] = [];
    let off = 0;
    const endIn = (ms: number) => {
      limits.push(ms);
      return () => {
        off += 1;
      };
    };
    const bob = await pausing(guard, endIn);
    expect([limits, off]).toEqual([[JUDGING_LIMIT], 0]);
    const carl = greet({ guard, answer: right, now, endIn });
    while (!guard.isAwaited) await new Promise((resolve) => setImmediate(resolve));
    expect(limits).toEqual([JUDGING_LIMIT]);
    bob.goOn();
    await Promise.all([bob.outcome, carl]);
    expect([limits, off]).toEqual([[JUDGING_LIMIT], 1]);
  });
});

const DAY = 86_400_000;

describe('a false announcer', () => {
  async function choose(...lines: Parameters<Channel['say']>[0][]): Promise<unknown> {
    return chooseTo('send', ...lines);
  }

  async function chooseTo(
    intent: 'send' | 'get' | 'peek',
    ...lines: Parameters<Channel['say']>[0][]
  ): Promise<unknown> {
    const { left, right } = cable();
    const chooser = new Channel('chooser', left);
    const announcer = new Channel('announcer', right);
    const outcome = greetAsChooser(
      chooser,
      { me: ANA, peer: EVE, binding: HERE },
      { intent, knows: false, answer: { kind: 'code', code: '493027', epoch: 1 } },
    ).catch((error: DropError) => error.code);
    const heard = ['hello', 'share', 'confirm'] as const;
    for (const [i, line] of lines.entries()) {
      await announcer.hear(heard[i] ?? 'hello');
      await announcer.say(line);
    }
    // If it goes on although it should not, that is what it does.
    const more = announcer.hear('share', 'confirm').then(({ type }) => type);
    return Promise.race([outcome, more]);
  }
  const terms = (what: Terms) =>
    ({ type: 'welcome', newest: 1, oldest: 1, terms: what, epoch: 1 }) as const;

  test('cannot talk us out of the code', async () => {
    expect(await choose(terms('known'))).toBe('unproven');
    // Whether it may be anybody is for a person to say.
    expect(await choose(terms('open'))).toEqual({ needs: 'leave' });
    // An answer for a code is no answer for a PIN.
    expect(await choose(terms('pin'))).toEqual({ needs: 'pin', epoch: 1 });
  });

  test('gives nothing that nobody vouches for, and no code is spent on a look', async () => {
    expect(await chooseTo('get', terms('open'))).toBe('unproven');
    expect(await chooseTo('peek', terms('open'))).toBe('unproven');
    expect(await chooseTo('peek', terms('code'))).toEqual({ needs: 'code', epoch: 1 });
  });

  test('cannot confirm what it does not know', async () => {
    const none = new Uint8Array();
    const { share } = new CPace(
      { secret: none, channel: none, session: none, initiator: none, responder: none },
      new Uint8Array(32).fill(9),
    );
    const outcome = await choose(
      terms('code'),
      { type: 'share', epoch: 1, point: share },
      { type: 'confirm', tag: new Uint8Array(64) },
    );
    expect(outcome).toBe('wrong-code');
  });

  test('of another version is told apart', async () => {
    expect(await choose({ ...terms('code'), newest: 9, oldest: 8 })).toBe('peer-newer');
    expect(await choose({ ...terms('code'), newest: 0, oldest: 0 })).toBe('peer-older');
  });
});

test.each(['code', 'pin'] as const)(
  'a %s is run through CPace as it is written down',
  async (kind) => {
    const { left, right } = cable();
    const [chooser, announcer] = [new Channel('chooser', left), new Channel('announcer', right)];
    const outcome = greetAsChooser(
      chooser,
      { me: ANA, peer: BOB, binding: HERE },
      { intent: 'send', knows: false, answer: { kind, code: '493 027', epoch: 1 } },
    );
    await announcer.hear('hello');
    await announcer.say({ type: 'welcome', newest: 1, oldest: 1, terms: kind, epoch: 1 });
    const { point } = await announcer.hear('share');
    const cpace = new CPace(
      {
        secret: lvCat(utf8(`drop/1 ${kind}`), utf8('493027')),
        channel: lvCat(
          utf8('drop/1'),
          utf8('chooser'),
          fromHex(ANA),
          utf8('announcer'),
          fromHex(BOB),
          ...announcer.session.transcript,
        ),
        session: HERE,
        initiator: utf8('drop/1 chooser'),
        responder: utf8('drop/1 announcer'),
      },
      crypto.getRandomValues(new Uint8Array(32)),
    );
    await announcer.say({ type: 'share', epoch: 1, point: cpace.share });
    const { initiatorTag, responderTag } = cpace.finish('responder', point);
    expect((await announcer.hear('confirm')).tag).toEqual(initiatorTag);
    await announcer.say({ type: 'confirm', tag: responderTag });
    expect(await outcome).toBe('paired');
  },
);
