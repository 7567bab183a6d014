import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { CODE_LIMITS } from '../../src/limits.ts';
import { concat, fromHex, toHex, utf8 } from '../../src/protocol/bytes.ts';
import { CodeGuard, isPin, normalizeCode } from '../../src/protocol/code.ts';
import { CPace, type CPaceInput, lvCat } from '../../src/protocol/cpace.ts';

const VECTORS = JSON.parse(
  readFileSync(new URL('../vectors/pairing.json', import.meta.url), 'utf8'),
) as Record<'cpace' | 'code' | 'pin', Record<string, string>>;
const bytes = (vector: Record<string, string>, name: string): Uint8Array =>
  fromHex(vector[name] ?? '');

describe('CPace', () => {
  test('gives the key of the draft', () => {
    const it = VECTORS.cpace;
    const input: CPaceInput = {
      secret: bytes(it, 'PRS'),
      channel: bytes(it, 'CI'),
      session: bytes(it, 'sid'),
      initiator: bytes(it, 'ADa'),
      responder: bytes(it, 'ADb'),
    };
    const a = new CPace(input, bytes(it, 'ya'));
    const b = new CPace(input, bytes(it, 'yb'));
    expect(toHex(a.finish('initiator', b.share).isk)).toBe(it.ISK);
    expect(toHex(b.finish('responder', a.share).isk)).toBe(it.ISK);
  });

  test.each(['code', 'pin'] as const)('pairs by %s as the vector says', (kind) => {
    const it = VECTORS[kind];
    const input: CPaceInput = {
      secret: lvCat(utf8(`drop/1 ${kind}`), utf8(normalizeCode(it.code ?? ''))),
      channel: lvCat(
        utf8('drop/1'),
        utf8('chooser'),
        bytes(it, 'chooser'),
        utf8('announcer'),
        bytes(it, 'announcer'),
        bytes(it, 'hello'),
        bytes(it, 'welcome'),
      ),
      session: bytes(it, 'binding'),
      initiator: utf8('drop/1 chooser'),
      responder: utf8('drop/1 announcer'),
    };
    const chooser = new CPace(input, bytes(it, 'chooserRandom'));
    const announcer = new CPace(input, bytes(it, 'announcerRandom'));
    expect(toHex(chooser.share)).toBe(it.chooserShare);
    expect(toHex(announcer.share)).toBe(it.announcerShare);
    const keys = chooser.finish('initiator', announcer.share);
    expect(toHex(keys.initiatorTag)).toBe(it.chooserTag);
    expect(toHex(keys.responderTag)).toBe(it.announcerTag);
  });

  const input: CPaceInput = {
    secret: utf8('493027'),
    channel: utf8('here'),
    session: utf8('now'),
    initiator: utf8('a'),
    responder: utf8('b'),
  };
  const run = (left: CPaceInput, right: CPaceInput): boolean => {
    const a = new CPace(left, crypto.getRandomValues(new Uint8Array(32)));
    const b = new CPace(right, crypto.getRandomValues(new Uint8Array(32)));
    const [theirs, ours] = [a.finish('initiator', b.share), b.finish('responder', a.share)];
    return toHex(theirs.initiatorTag) === toHex(ours.initiatorTag);
  };

  test.each<[string, Partial<CPaceInput>]>([
    ['another code', { secret: utf8('493028') }],
    ['another connection', { session: utf8('then') }],
    ['another peer', { channel: utf8('there') }],
    ['another part', { initiator: utf8('b'), responder: utf8('a') }],
  ])('fails with %s', (_, difference) => {
    expect(run(input, input)).toBe(true);
    expect(run(input, { ...input, ...difference })).toBe(false);
  });

  test.each<[string, (share: Uint8Array) => Uint8Array]>([
    ['our own share', (share) => share],
    ['the neutral element', () => new Uint8Array(32)],
    ['no point at all', () => new Uint8Array(32).fill(0xff)],
    ['a negative one', () => concat(Uint8Array.of(1), new Uint8Array(31))],
  ])('refuses %s', (_, share) => {
    const a = new CPace(input, crypto.getRandomValues(new Uint8Array(32)));
    expect(() => a.finish('initiator', share(a.share))).toThrow(
      expect.objectContaining({ code: 'unproven' }),
    );
  });
});

const DAY = 86_400_000;

describe('the code', () => {
  let drawn = 0;
  const guard = (kind: 'code' | 'pin' = 'code', lock = CODE_LIMITS.lock): CodeGuard =>
    new CodeGuard(() => String(drawn++).padStart(6, '0'), { ...CODE_LIMITS, lock }, kind);

  /** Guesses wrongly, as soon as it may, until it is locked out. Says how often, and when. */
  function exhaust(one: CodeGuard, from = 0): { judged: number; now: number } {
    let now = from;
    let judged = 0;
    for (; judged < 100; judged++) {
      while (one.judges(one.epoch, now) === 'not-yet') now += CODE_LIMITS.gap;
      if (one.judges(one.epoch, now) !== 'yes') break;
      one.wrong(now);
    }
    return { judged, now };
  }

  test('is spent by a right answer', () => {
    const one = guard();
    const { code, epoch } = one;
    one.right();
    expect(one.code).not.toBe(code);
    expect(one.judges(epoch, 0)).toBe('code-changed');
    expect(one.judges(one.epoch, 0)).toBe('yes');
  });

  test('is replaced after three wrong answers, not before', () => {
    const one = guard();
    const { code } = one;
    one.wrong(0);
    one.wrong(2_000);
    expect(one.code).toBe(code);
    one.wrong(5_000);
    expect(one.code).not.toBe(code);
  });

  test('is not judged for ever longer after a wrong answer', () => {
    const one = guard();
    one.wrong(0);
    expect([one.judges(one.epoch, 999), one.judges(one.epoch, 1_000)]).toEqual(['not-yet', 'yes']);
    one.wrong(1_000);
    expect([one.judges(one.epoch, 2_999), one.judges(one.epoch, 3_000)]).toEqual([
      'not-yet',
      'yes',
    ]);
  });

  test('admits ten wrong answers and no more, however patient', () => {
    const one = guard('code', Number.POSITIVE_INFINITY);
    const { judged, now } = exhaust(one);
    expect(judged).toBe(CODE_LIMITS.wrongInAll);
    expect(one.judges(one.epoch, now + 1e9)).toBe('locked');
    // Whoever is there says that it may go on; what was guessed at before is of no use.
    const { epoch } = one;
    one.unlock();
    expect(one.judges(epoch, now)).toBe('code-changed');
    expect(exhaust(one, now).judged).toBe(CODE_LIMITS.wrongInAll);
  });

  test('of a known device that gives a PIN is judged apart: others cannot lock it out', () => {
    const one = guard('pin', Number.POSITIVE_INFINITY);
    const hers = one.apart();
    for (let i = 0; i < 10; i++) one.wrong(0);
    expect(one.judges(one.epoch, DAY)).toBe('locked');
    expect(hers.judges(hers.epoch, 0)).toBe('yes');
    expect([hers.code, hers.kind]).toEqual([one.code, 'pin']);
    for (let i = 0; i < 10; i++) hers.wrong(0);
    expect(hers.judges(hers.epoch, CODE_LIMITS.lock - 1)).toBe('locked');
    expect(hers.judges(hers.epoch, CODE_LIMITS.lock)).toBe('yes');
  });

  test.each(['code', 'pin'] as const)(
    'lets 230 guesses at a %s a day be judged where nobody is',
    (kind) => {
      const one = guard(kind);
      let judged = 0;
      for (let now = 0; now < DAY; ) {
        const round = exhaust(one, now);
        judged += round.judged;
        expect(one.lockedUntil).toBe(round.now + CODE_LIMITS.lock);
        now = one.lockedUntil ?? 0;
      }
      expect(judged).toBe(230);
    },
  );

  test('of an old epoch is refused as such, also when nothing is judged; never when it is locked', () => {
    const one = guard();
    const { epoch } = one;
    one.right();
    one.wrong(0);
    expect(one.judges(epoch, 0)).toBe('code-changed');
    exhaust(one);
    expect(one.judges(epoch, 1e6)).toBe('locked');
  });

  test('that is a PIN stays, whatever is answered', () => {
    const one = guard('pin');
    const { code, epoch } = one;
    one.right();
    exhaust(one);
    one.unlock();
    expect([one.code, one.epoch]).toEqual([code, epoch]);
  });

  test.each([
    ['1234 5678', true],
    ['1234-567', false],
    ['correct horse', true],
    ['x'.repeat(257), false],
    ['', false],
  ])('"%s" can be a PIN: %s', (text, can) => {
    expect(isPin(text)).toBe(can);
  });

  test.each([
    ['493027', '493027'],
    [' 493 027 ', '493027'],
    ['493-027', '493027'],
    ['493–027', '493027'],
    ['４９３０２７', '493027'],
  ])('"%s" is understood as %s', (typed, code) => {
    expect(normalizeCode(typed)).toBe(code);
  });
});
