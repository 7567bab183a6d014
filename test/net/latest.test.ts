import { expect, test } from 'vitest';
import { latest } from '../../src/net/latest.ts';

test('of each key the reader gets the latest item only, in the order of the keys', async () => {
  const news = latest<number>();
  news.put('a', 1);
  news.put('b', 2);
  news.put('a', 3);
  const reader = news[Symbol.asyncIterator]();
  expect((await reader.next()).value).toBe(3);
  expect((await reader.next()).value).toBe(2);
});

test('a reader that waits gets what comes, and ends with it', async () => {
  const news = latest<number>();
  const reader = news[Symbol.asyncIterator]();
  const first = reader.next();
  news.put('a', 1);
  expect(await first).toEqual({ done: false, value: 1 });
  const second = reader.next();
  news.end();
  expect(await second).toEqual({ done: true, value: undefined });
});

test('no more than the limit waits, and known keys are still brought up to date', async () => {
  const news = latest<number>(2);
  for (const [key, item] of Object.entries({ a: 1, b: 2, c: 3 })) news.put(key, item);
  news.put('b', 4);
  const reader = news[Symbol.asyncIterator]();
  expect([(await reader.next()).value, (await reader.next()).value]).toEqual([1, 4]);
  news.put('d', 5);
  expect((await reader.next()).value).toBe(5);
});

test('the reader gets the failure that ended it', async () => {
  const news = latest<number>();
  news.end({ error: new Error('gone') });
  await expect(news[Symbol.asyncIterator]().next()).rejects.toThrow('gone');
});
