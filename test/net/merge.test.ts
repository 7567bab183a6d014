import { expect, test } from 'vitest';
import { merge } from '../../src/net/merge.ts';

/** Says these, and then waits until it is told to end. */
function saying(...items: number[]) {
  return async function* (signal: AbortSignal): AsyncGenerator<number, void> {
    yield* items;
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
  };
}

const never = new AbortController().signal;

test('all that is said comes through, and all ends when all have ended', async () => {
  const stop = new AbortController();
  const heard: number[] = [];
  for await (const item of merge(stop.signal, saying(1, 2), saying(), saying(3))) {
    heard.push(item);
    if (heard.length === 3) stop.abort();
  }
  expect(heard.sort()).toEqual([1, 2, 3]);
});

test('what one throws is thrown, and the others are ended', async () => {
  let ended = 0;
  const other = async function* (signal: AbortSignal): AsyncGenerator<number, void> {
    yield* saying()(signal);
    ended += 1;
  };
  const broken = async function* (): AsyncGenerator<number, void> {
    yield 1;
    throw new Error('broken');
  };
  const heard: number[] = [];
  await expect(async () => {
    for await (const item of merge(never, other, broken, other)) heard.push(item);
  }).rejects.toThrow('broken');
  expect(heard).toEqual([1]);
  expect(ended).toBe(2);
});

test('a reader that leaves ends all', async () => {
  let ended = false;
  const other = async function* (signal: AbortSignal): AsyncGenerator<number, void> {
    yield* saying(1)(signal);
    ended = true;
  };
  for await (const item of merge(never, other)) {
    expect(item).toBe(1);
    break;
  }
  expect(ended).toBe(true);
});
