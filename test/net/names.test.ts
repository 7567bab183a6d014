import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { deviceName, newRun, RUN } from '../../src/net/names.ts';

const bytes = (text: string) => new TextEncoder().encode(text).length;

describe('deviceName', () => {
  test.each([
    ["Ana's laptop", "Ana's laptop"],
    ['  two\r\n lines\t', 'two lines'],
    ['\u001b[2J\u001b]0;pwn\u0007', '[2J]0;pwn'],
    ['fdp.\u202egnp.exe', 'fdp.gnp.exe'],
    ['\u3164\u200b\u2066', ''],
    ['नमस्\u200dते 👩\u200d💻', 'नमस्\u200dते 👩\u200d💻'],
    ['\ud800lone', 'lone'],
    ['x'.repeat(100), 'x'.repeat(63)],
  ])('%j becomes %j', (text, name) => {
    expect(deviceName(text)).toBe(name);
  });

  test('whatever it is given, it is one visible line of at most 63 bytes, and stays the same', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        const name = deviceName(text);
        expect(bytes(name)).toBeLessThanOrEqual(63);
        expect(name).not.toMatch(/[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u);
        expect(deviceName(name)).toBe(name);
      }),
    );
  });
});

test('each run is another one', () => {
  const runs = Array.from({ length: 100 }, newRun);
  expect(new Set(runs).size).toBe(100);
  for (const run of runs) expect(run).toMatch(RUN);
});
