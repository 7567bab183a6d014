import { describe, expect, test } from 'vitest';
import { follow } from '../../src/transfer/follow.ts';

const ended = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve()));

describe('a followed task', () => {
  test('tells its events in order, and then its result', async () => {
    const task = follow<number, string>(async (report) => {
      for (const event of [1, 2, 3]) {
        report(event);
        if (event === 2) await Promise.resolve();
      }
      return 'done';
    });
    const events: number[] = [];
    let next = await task.next();
    for (; !next.done; next = await task.next()) events.push(next.value);
    expect([events, next.value]).toEqual([[1, 2, 3], 'done']);
  });

  test('tells what happened before it failed', async () => {
    const events: number[] = [];
    const loop = async (): Promise<void> => {
      for await (const event of follow<number, void>(async (report) => {
        report(1);
        throw new Error('broken');
      }))
        events.push(event);
    };
    await expect(loop()).rejects.toThrow('broken');
    expect(events).toEqual([1]);
  });

  test('stops when its loop is left, and has stopped when the loop is over', async () => {
    let stopped = false;
    for await (const _ of follow<number, void>(async (report, signal) => {
      report(1);
      await ended(signal);
      await new Promise((resolve) => setImmediate(resolve));
      stopped = true;
    }))
      break;
    expect(stopped).toBe(true);
  });

  test('stops when its signal is aborted', async () => {
    const controller = new AbortController();
    const events: string[] = [];
    for await (const event of follow<string, void>(async (report, signal) => {
      report('begun');
      await ended(signal);
      report('cleaned up');
    }, controller.signal)) {
      events.push(event);
      controller.abort();
    }
    expect(events).toEqual(['begun', 'cleaned up']);
  });
});
