import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Few } from '../../src/protocol/few.ts';
import { Window } from '../../src/protocol/window.ts';

describe('a window', () => {
  const numbers = fc.oneof(
    fc.integer({ min: 0, max: 300 }),
    fc.integer({ min: 2 ** 32 - 70, max: 2 ** 32 + 70 }),
  );
  const steps = fc.array(
    fc.record({ what: fc.constantFrom('open', 'open', 'close'), number: numbers }),
    { maxLength: 200, size: 'max' },
  );

  test('holds what a map would', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const window = new Window<object>();
        const map = new Map<number, object>();
        for (const { what, number } of all) {
          if (what === 'close') {
            window.delete(number);
            map.delete(number);
          } else {
            const value = { number };
            window.set(number, value);
            map.set(number, value);
          }
          expect(window.size).toBe(map.size);
          expect(window.get(number)).toBe(map.get(number));
        }
        for (const { number } of all) expect(window.get(number)).toBe(map.get(number));
        expect(new Set(window.values())).toEqual(new Set(map.values()));
      }),
    );
  });

  test('gives in order what was opened in order', () => {
    const window = new Window<number>();
    for (let number = 0; number < 1000; number++) window.set(number, number);
    for (let number = 0; number < 1000; number++) if (number % 7 > 0) window.delete(number);
    const left = Array.from({ length: 143 }, (_, i) => 7 * i);
    expect([...window.values()]).toEqual(left);
  });
});

describe('a few things', () => {
  test('are those that a set would hold', () => {
    const steps = fc.array(fc.record({ adds: fc.boolean(), item: fc.nat(8) }), { maxLength: 60 });
    fc.assert(
      fc.property(steps, (all) => {
        const few = new Few<number>();
        const set = new Set<number>();
        for (const { adds, item } of all) {
          if (adds) {
            few.add(item);
            set.add(item);
          } else expect(few.delete(item)).toBe(set.delete(item));
          expect(few.size).toBe(set.size);
          expect(few.has(item)).toBe(set.has(item));
        }
        expect([...few].sort()).toEqual([...set].sort());
      }),
    );
  });

  test('are all met by whoever takes them away one by one', () => {
    const few = new Few<number>();
    for (let item = 0; item < 10; item++) few.add(item);
    const met = Array.from(few, (item) => few.delete(item) && item);
    expect(met).toHaveLength(10);
    expect(few.size).toBe(0);
  });
});
