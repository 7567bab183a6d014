import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DropError } from '../../src/errors.ts';
import { mutated } from './fuzz/bytes.ts';
import { fuzz, TARGETS } from './fuzz/fuzz.ts';
import { parser, target } from './fuzz/target.ts';

const valid = Uint8Array.of(1, 2, 3, 4);
const input = mutated(fc.constant(valid));

/** Reads four bytes, of which the first says the kind; a bug hides in one of the kinds. */
function planted(bug: () => void) {
  return parser({
    name: 'planted',
    input,
    codes: ['protocol'],
    feed(bytes) {
      if (bytes.length !== 4) throw new DropError('protocol');
      if (bytes[0] !== 1) bug();
      return true;
    },
  });
}

test('every target understands some of what it is fed, refuses some, and nothing else', async () => {
  const results = await fuzz({ executions: 60, seed: 61 });
  expect(results.map(({ name }) => name)).toEqual(TARGETS.map(({ name }) => name));
  for (const { name, executions, understood } of results) {
    expect(understood, name).toBeGreaterThan(0);
    expect(understood, name).toBeLessThan(executions);
  }
}, 120_000);

test.each<[string, () => void]>([
  [
    'TypeError',
    () => {
      throw new TypeError('planted');
    },
  ],
  [
    'disk',
    () => {
      throw new DropError('disk', { message: 'planted' });
    },
  ],
])('a planted %s is found, made small and told with its bytes', async (_, bug) => {
  const run = fuzz({ executions: 1000, seed: 61, targets: [planted(bug)] });
  await expect(run).rejects.toThrow(/^seed 61\nplanted: [\s\S]*planted[\s\S]*\nfed: [0-9a-f]{8}$/);
});

test('a promise that nobody heeds is found', async () => {
  const stray = () => void Promise.reject(new Error('planted'));
  const others = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection');
  try {
    const run = fuzz({ executions: 1000, seed: 61, targets: [planted(stray)] });
    await expect(run).rejects.toThrow('planted: Error: planted');
  } finally {
    for (const other of others) process.on('unhandledRejection', other);
  }
});

test('the same seed feeds the same', async () => {
  const fed = async (seed: number): Promise<string[]> => {
    const all: string[] = [];
    const feed = (bytes: Uint8Array) => all.push(bytes.join()) > 0;
    const targets = [parser({ name: 'any', input, codes: [], feed })];
    await fuzz({ executions: 50, seed, targets });
    return all;
  };
  const first = await fed(1);
  expect(first).toHaveLength(50);
  expect(await fed(1)).toEqual(first);
  expect(await fed(2)).not.toEqual(first);
});

test.each(['heap', 'memory', 'files'] as const)('%s that grows is found', async (what) => {
  const sizes = [1, 1e9];
  const none = { heap: 0, memory: 0, files: 0 };
  const growing = target({
    name: 'growing',
    input,
    codes: [],
    open: async () => ({
      footprint: async () => ({ ...none, [what]: sizes.shift() ?? 0 }),
      [Symbol.asyncDispose]: async () => {},
    }),
    feed: () => true,
  });
  const run = fuzz({ executions: 10, seed: 61, targets: [growing] });
  await expect(run).rejects.toThrow(`growing: ${what} grew from 1 to 1000000000`);
});
