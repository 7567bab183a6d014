import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { LOOK_GAP, MAX_REFUSALS } from '../../src/limits.ts';
import { Outreach } from '../../src/meeting/outreach.ts';
import { openSelf, type Self } from '../../src/meeting/self.ts';
import { Survey } from '../../src/net/survey.ts';
import { type Listener, listen } from '../../src/net/tls.ts';
import type { Part, Way } from '../../src/protocol/card.ts';
import type { KnockIntent } from '../../src/protocol/knock.ts';
import { TempFolder } from '../support/home.ts';

/** Somebody who knocks at Ana, or does not. */
interface Knocker {
  readonly self: Self;
  readonly port: number;
  /** How often it was looked at, and how many lines came. */
  looks: number;
  lines: number;
}

let folders: TempFolder[];
let listeners: Listener[];
let ana: Self;
let asked: number;
/** What a person says who is asked. */
let answer: (signal: AbortSignal) => Promise<boolean>;
let stopped: AbortController;
let outreach: Outreach;

beforeEach(async () => {
  [folders, listeners, asked, answer] = [[], [], 0, async () => false];
  stopped = new AbortController();
  ana = await person('Ana');
  outreach = new Outreach(ana, {
    async agree(_, signal) {
      asked += 1;
      return answer(signal);
    },
    async host(line) {
      await line.over;
      return false;
    },
    way: 'send',
    interfaces: ['lo'],
    survey: new Survey(),
    signal: stopped.signal,
  });
});
afterEach(async () => {
  stopped.abort();
  await outreach.closed();
  for (const listener of listeners) listener.close();
  for (const folder of folders) await folder[Symbol.asyncDispose]();
});

async function person(name: string): Promise<Self> {
  const folder = new TempFolder();
  folders.push(folder);
  return openSelf({ home: folder.path, name });
}

async function knocker(part: Part = 'chooser', way: Way = 'send'): Promise<Knocker> {
  const self = await person('Eve');
  const listener = await listen([0], self.identity, {
    card: { run: '1234567890abcdef', name: 'Eve', part, way },
    onConnection(line) {
      it.lines += 1;
      line.destroy();
    },
    onAsked: () => (it.looks += 1),
  });
  listeners.push(listener);
  const it = { self, port: listener.port, looks: 0, lines: 0 };
  return it;
}

function knock({ port }: Pick<Knocker, 'port'>, intent: KnockIntent = 'look'): void {
  outreach.knocked({ to: '127.0.0.1', from: '127.0.0.1', port, intent });
}

/** It may take a while until something is so. */
const soon = <T>(what: () => T) => expect.poll(what, { timeout: 20_000 });

/** What Ana does about a device that she knows takes as long as what she does about others. */
async function afterwards(): Promise<void> {
  const bob = await knocker();
  await ana.trust.add({ id: bob.self.identity.id, name: 'Bob' });
  knock(bob);
  await soon(() => bob.lines).toBe(1);
}

describe('who knocks', () => {
  test('and is unknown is looked at without a word, and learns nothing more', async () => {
    const eve = await knocker();
    knock(eve);
    await soon(() => eve.looks).toBe(1);
    await afterwards();
    expect([eve.lines, asked]).toEqual([0, 0]);
  });

  test('and is blocked learns nothing more either', async () => {
    const eve = await knocker();
    await ana.trust.add({ id: eve.self.identity.id, name: 'Eve' });
    await ana.trust.setTrust(eve.self.identity.id, 'blocked');
    knock(eve, 'send');
    await soon(() => eve.looks).toBe(1);
    await afterwards();
    expect([eve.lines, asked]).toEqual([0, 0]);
  });

  test('but receives is not dialled: only who chooses waits for that', async () => {
    const eve = await knocker('announcer');
    await ana.trust.add({ id: eve.self.identity.id, name: 'Eve' });
    knock(eve);
    await soon(() => eve.looks).toBe(1);
    await afterwards();
    expect(eve.lines).toBe(0);
  });

  test('is asked about once, and after three times no nobody is', async () => {
    for (let n = 0; n <= MAX_REFUSALS; n++) {
      const eve = await knocker();
      knock(eve, 'send');
      const questions = Math.min(n + 1, MAX_REFUSALS);
      await soon(() => [eve.looks, asked]).toEqual([1, questions]);
      await afterwards();
      if (n > 0) continue;
      await sleep(LOOK_GAP);
      knock(eve, 'send');
      await soon(() => eve.looks).toBe(2);
      await afterwards();
      expect([eve.lines, asked]).toEqual([0, 1]);
    }
    await afterwards();
    expect(asked).toBe(MAX_REFUSALS);
  });

  test('and comes by itself after all is asked about no more, which is no no', async () => {
    answer = (signal) => once(signal, 'abort').then(() => false);
    for (let n = 0; n <= MAX_REFUSALS; n++) {
      const eve = await knocker();
      knock(eve, 'send');
      await soon(() => asked).toBe(n + 1);
      outreach.came(eve.self.identity.id);
      expect(eve.lines).toBe(0);
    }
    // Nor before anybody is.
    const other = await knocker();
    outreach.came(other.self.identity.id);
    knock(other, 'send');
    await soon(() => other.looks).toBe(1);
    await afterwards();
    expect([other.lines, asked]).toEqual([0, MAX_REFUSALS + 1]);
  });

  test('again and again is looked at once a second', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      const eve = await knocker();
      knock(eve);
      await soon(() => eve.looks).toBe(1);
      for (let n = 0; n < 10; n++) {
        await sleep(20);
        knock(eve);
      }
      await afterwards();
      expect(eve.looks).toBe(1);
      vi.advanceTimersByTime(LOOK_GAP);
      knock(eve);
      await soon(() => eve.looks).toBe(2);
    } finally {
      vi.useRealTimers();
    }
  });
});
