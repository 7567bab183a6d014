import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { STRANGER_LIMITS } from '../../src/limits.ts';
import { type StrangerOptions, Strangers } from '../../src/net/strangers.ts';
import { fakeClock } from './fake-clock.ts';

/** Somebody at the door. */
class Guest {
  gone = false;

  destroy(): void {
    this.gone = true;
  }
}

function room(options: StrangerOptions = {}): {
  strangers: Strangers;
  /** So many come from an address; those who got in. */
  come(address: string, count?: number): Guest[];
  pass(ms: number): Promise<void>;
} {
  const clock = fakeClock();
  const strangers = new Strangers({ clock, isNear: () => false, ...options });
  return {
    strangers,
    come: (address, count = 1) =>
      Array.from({ length: count }, () => new Guest()).filter((guest) =>
        strangers.admit(guest, address),
      ),
    pass: (ms) => clock.pass(ms),
  };
}

/** The same numbers each time (Lehmer, 1951). */
function drawing(seed: number): () => number {
  let last = seed;
  return () => {
    last = (last * 48_271) % 2_147_483_647;
    return last / 2_147_483_647;
  };
}

describe('those who are not greeted yet', () => {
  test('are four of one source: the fifth makes one of them give way, and nobody else', () => {
    const { strangers, come } = room();
    const others = ['10.0.0.2', '10.0.0.3'].flatMap((address) => come(address));
    const hers = come('10.0.0.1', 20);
    expect(hers).toHaveLength(20);
    expect(hers.filter(({ gone }) => !gone)).toHaveLength(STRANGER_LIMITS.each);
    expect(others.some(({ gone }) => gone)).toBe(false);
    expect(strangers.size).toBe(STRANGER_LIMITS.each + others.length);
  });

  test('are 64 in all: one more makes one of them give way', () => {
    const { strangers, come } = room();
    const all = Array.from({ length: STRANGER_LIMITS.all }, (_, n) => come(`10.0.0.${n}`)).flat();
    expect(all.some(({ gone }) => gone)).toBe(false);
    come('10.0.1.1');
    expect(all.filter(({ gone }) => gone)).toHaveLength(1);
    expect(strangers.size).toBe(STRANGER_LIMITS.all);
  });

  test.each([
    ['far away, are of one source', false, STRANGER_LIMITS.each],
    ['that we are in, are one each', true, 8],
  ])('and of one network of 64 bits %s', (_, near, stay) => {
    const { strangers, come } = room({ isNear: () => near });
    for (let n = 1; n <= 8; n++) come(`2001:db8::${n}`);
    expect(strangers.size).toBe(stay);
  });

  test('leave room for others when they are greeted', () => {
    const { strangers, come } = room();
    const hers = come('10.0.0.1', 4);
    for (const guest of hers) strangers.leave(guest);
    come('10.0.0.1', 4);
    expect(hers.some(({ gone }) => gone)).toBe(false);
  });

  test('come at most twenty times a second from one source, and take nothing of the others', async () => {
    const { come, pass } = room();
    expect(come('10.0.0.1', 1_000)).toHaveLength(STRANGER_LIMITS.rateEach);
    expect(come('10.0.0.2', 1_000)).toHaveLength(STRANGER_LIMITS.rateEach);
    await pass(500);
    expect(come('10.0.0.1', 1_000)).toHaveLength(STRANGER_LIMITS.rateEach / 2);
  });

  test('come at most a hundred times a second in all', () => {
    const { come } = room();
    const all = Array.from({ length: 1_000 }, (_, i) => come(`10.0.${i >> 8}.${i & 255}`));
    expect(all.flat()).toHaveLength(STRANGER_LIMITS.rate);
  });

  test.each([
    ['of one network far away, are one', ['2001:db8:1:2::1', '2001:db8:1:2:ffff::2'], false, 4],
    ['however it is written', ['2001:db8::1', '2001:0db8:0:0::2'], false, 4],
    ['of two networks, are two', ['2001:db8:1:2::1', '2001:db8:1:3::1'], false, 8],
    ['of our own network, are two', ['2001:db8:1:2::1', '2001:db8:1:2::2'], true, 8],
    ['of our own link, are two', ['fe80::1%eth0', 'fe80::2%eth0'], false, 8],
    ['dressed as IPv6, are what they are', ['::ffff:10.0.0.1', '10.0.0.1'], false, 4],
  ])('at two addresses %s', (_, addresses, isNear, stay) => {
    const { strangers, come } = room({ isNear: () => isNear });
    for (const address of addresses) come(address, 8);
    expect(strangers.size).toBe(stay);
  });

  test('an honest one among a hundred a second stays long enough to be greeted', async () => {
    const { come, pass } = room({ random: drawing(1) });
    const strangers = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        come(`10.0.${i}.1`);
        await pass(11);
      }
    };
    await strangers(100);
    let stayed = 0;
    for (let tried = 0; tried < 100; tried++) {
      const [honest] = come(`10.9.9.${tried}`);
      // A handshake takes some 20 ms, and several times that where there is much to do.
      await strangers(10);
      if (honest && !honest.gone) stayed += 1;
    }
    expect(stayed).toBeGreaterThan(75);
  });

  test('whoever comes, and however often, there are never more than the limits allow', () => {
    const addresses = fc.oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom('10.0.0.1', 'fe80::1%lo'));
    const arrivals = fc.array(fc.record({ address: addresses, leaves: fc.boolean() }), {
      maxLength: 300,
    });
    fc.assert(
      fc.property(arrivals, (all) => {
        const { strangers, come } = room();
        const guests: Guest[] = [];
        for (const { address, leaves } of all) {
          const [guest] = come(address);
          if (guest) guests.push(guest);
          if (guest && leaves) {
            strangers.leave(guest);
            guest.gone = true;
          }
          // Nobody is forgotten who was not shown out.
          expect(guests.filter(({ gone }) => !gone)).toHaveLength(strangers.size);
          expect(strangers.size).toBeLessThanOrEqual(STRANGER_LIMITS.all);
        }
      }),
    );
  });
});
