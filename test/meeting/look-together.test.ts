import { describe, expect, test } from 'vitest';
import type { DiscoverEvent } from '../../src/events.ts';
import { lookTogether } from '../../src/meeting/look-together.ts';
import { type Latest, latest } from '../../src/net/latest.ts';
import { NOTHING, peerEvent, silentEvent } from '../cli/fake.ts';

/** What is looked with, and how often that was begun. */
function scene() {
  const looks: Latest<DiscoverEvent>[] = [];
  let running = 0;
  const around = lookTogether(async function* (signal) {
    const news = latest<DiscoverEvent>();
    looks.push(news);
    running += 1;
    signal.addEventListener('abort', () => news.end());
    try {
      yield* news;
    } finally {
      running -= 1;
    }
  });
  let key = 0;
  return {
    looks,
    running: () => running,
    say: (...events: DiscoverEvent[]): void => {
      for (const event of events) looks.at(-1)?.put(`${key++}`, event);
    },
    /** One who looks: all that it has heard so far. */
    looker(signal?: AbortSignal) {
      const heard: string[] = [];
      const events = around({} as never, { way: 'send', signal }, {} as never);
      const over = (async () => {
        for await (const event of events)
          heard.push(event.event === 'nothing' ? 'nothing' : `${event.name} ${event.state}`);
      })();
      over.catch(() => {});
      return { heard, over };
    },
  };
}

/** Until all that is under way without a timer has come to rest. */
const rest = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

describe('those who look together', () => {
  test('hear the same of one look, and who joins late hears who is here', async () => {
    const { looks, looker, say } = scene();
    const first = looker();
    await rest();
    say(NOTHING, peerEvent('Ana', '1'), silentEvent('Eve', 'e'), peerEvent('Bob', '2'));
    say(peerEvent('Ana', '1', 'paired', 'lost'), silentEvent('Eve', 'e', 'lost'));
    await rest();
    const second = looker();
    await rest();
    say(peerEvent('Zoe', '3'));
    await rest();
    expect(looks).toHaveLength(1);
    expect(first.heard.slice(-3)).toEqual(['Ana lost', 'Eve lost', 'Zoe found']);
    expect(second.heard).toEqual(['Bob found', 'Zoe found']);
  });

  test('know why nobody is here until somebody is, and our own computer is not', async () => {
    const { looker, say } = scene();
    looker();
    await rest();
    say(peerEvent('Me', '9', 'self'), NOTHING);
    await rest();
    const early = looker();
    say(peerEvent('Ana', '1'));
    await rest();
    const late = looker();
    await rest();
    expect(early.heard).toEqual(['Me found', 'nothing', 'Ana found']);
    expect(late.heard).toEqual(['Me found', 'Ana found']);
  });

  test('end each by its own signal, and the look with the last; the next begins anew', async () => {
    const { looks, looker, say, running } = scene();
    const [one, two] = [new AbortController(), new AbortController()];
    const [first, second] = [looker(one.signal), looker(two.signal)];
    await rest();
    one.abort();
    await first.over;
    say(peerEvent('Ana', '1'));
    await rest();
    expect(second.heard).toEqual(['Ana found']);
    expect(running()).toBe(1);
    two.abort();
    await second.over;
    expect(running()).toBe(0);
    const third = looker();
    await rest();
    expect(looks).toHaveLength(2);
    expect(third.heard).toEqual([]);
    const gone = looker(AbortSignal.abort());
    await gone.over;
  });

  test('all hear that it fails, and can look again', async () => {
    const { looks, looker } = scene();
    const [first, second] = [looker(), looker()];
    await rest();
    looks[0]?.end({ error: new Error('no network') });
    await expect(first.over).rejects.toThrow('no network');
    await expect(second.over).rejects.toThrow('no network');
    looker();
    await rest();
    expect(looks).toHaveLength(2);
  });
});
