import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Line } from '../../src/web/line.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const never = new AbortController().signal;

async function next(heard: AsyncIterator<Uint8Array>): Promise<string | undefined> {
  const { value } = await heard.next();
  return value && Buffer.from(value).toString();
}

test('tells what was said, together what was said before anybody listened', async () => {
  const line = new Line<number>();
  const heard = line.heard(never);
  line.say(1);
  line.say(2);
  expect(await next(heard)).toBe('1\n2\n');
  const waiting = next(heard);
  line.say(3);
  expect(await waiting).toBe('3\n');
  line.say(4);
  line.end();
  line.say(5);
  expect(await next(heard)).toBe('4\n');
  expect(await next(heard)).toBeUndefined();
  await line.over;
});

test('says that it is there where nothing happens', async () => {
  const line = new Line<number>();
  const heard = line.heard(never);
  expect(await next(heard)).toBe('{}\n');
  const waiting = next(heard);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(await waiting).toBe('{}\n');
  await heard.return(undefined);
  expect(vi.getTimerCount()).toBe(0);
});

test('tells only the last of what one replaces', async () => {
  const line = new Line<number>((before, news) => (before % 2 === news % 2 ? news : undefined));
  const heard = line.heard(never);
  for (const n of [1, 2, 3, 4, 5]) line.say(n);
  expect(await next(heard)).toBe('5\n4\n');
});

test('ends when whoever listens is gone, or takes nothing', async () => {
  const left = new AbortController();
  const line = new Line<number>();
  const heard = line.heard(left.signal);
  await next(heard);
  const waiting = next(heard);
  line.say(1);
  expect(await waiting).toBe('1\n');
  left.abort();
  expect(await next(heard)).toBeUndefined();
  const deaf = new Line<number>();
  for (let n = 0; n < 1_001; n++) deaf.say(n);
  expect(await next(deaf.heard(never))).toBeUndefined();
});
