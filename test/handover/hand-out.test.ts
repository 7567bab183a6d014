import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { openOutbox } from '../../src/disk/outbox.ts';
import type { DropError } from '../../src/errors.ts';
import type { PeerId, ShareEvent } from '../../src/events.ts';
import { Awake } from '../../src/handover/awake.ts';
import { type AcceptFetch, type Given, handOut } from '../../src/handover/hand-out.ts';
import { newReception } from '../../src/handover/take-in.ts';
import { Transfers } from '../../src/handover/transfers.ts';
import { COMPARING_PACE, FETCH_IDLE } from '../../src/limits.ts';
import { Guests, Patience } from '../../src/meeting/guests.ts';
import { openSelf } from '../../src/meeting/self.ts';
import { type House, host } from '../../src/meeting/visit.ts';
import type { Connection } from '../../src/net/tls.ts';
import { CodeGuard } from '../../src/protocol/code.ts';
import type { Intent } from '../../src/protocol/message.ts';
import { Channel } from '../../src/transfer/channel.ts';
import { type Answer, greetAsChooser, introduce } from '../../src/transfer/greeting.ts';
import type { Pacing } from '../../src/transfer/outflow.ts';
import { runReceiver } from '../../src/transfer/receiver.ts';
import { Home } from '../support/home.ts';
import { cable, MemoryInbox } from '../support/memory.ts';

const BOB = 'bb'.repeat(32) as PeerId;
const CODE = '493027';
const HERE = new Uint8Array(32).fill(7);

let home: Home;
let house: House;
let events: ShareEvent[];
let counter: { transfers: Transfers<Given> };
beforeEach(async () => {
  home = new Home();
  await mkdir(join(home.path, 'photos'));
  for (const name of ['a', 'b']) await writeFile(join(home.path, 'photos', name), name);
});
afterEach(async () => {
  await counter.transfers.close();
  await home[Symbol.asyncDispose]();
});

interface Manner {
  readonly accept?: AcceptFetch;
  readonly freely?: boolean;
  readonly pin?: boolean;
  readonly pace?: Pacing;
}

/** Ana's, where photos are shared in this manner. */
async function open({ accept, freely = false, pin = false, pace }: Manner = {}): Promise<void> {
  events = [];
  const self = await openSelf({ home: home.state, name: 'Ana' });
  const emit = (event: ShareEvent): void => void events.push(event);
  const admitted = new Set<PeerId>();
  const all = {
    self,
    open: () => openOutbox([join(home.path, 'photos')]),
    compress: 'never' as const,
    pace,
    freely,
    accept,
    admitted,
    transfers: new Transfers<Given>(),
    patience: new Patience(),
    awake: new Awake(),
    emit,
    finished: () => {},
  };
  counter = all;
  house = {
    self,
    way: 'get',
    guard: new CodeGuard(() => (pin ? 'correct horse' : CODE), undefined, pin ? 'pin' : 'code'),
    guardsApart: new Map(),
    guests: new Guests(),
    strangers: new Guests(),
    failures: new Patience(),
    open: false,
    needsPin: (peer, trust) => trust !== 'auto' && !freely && !admitted.has(peer),
    emit,
    showGuard: () => {},
    serve: (caller, guest, begun) => handOut(all, caller, guest, begun),
    enough: new AbortController().signal,
  };
}

/** Bob comes, and what he gets: files, what is said instead, or what he needs. */
async function come({
  intent = 'get',
  knows = true,
  answer,
  continues,
  reception = newReception(),
  pull,
}: {
  readonly intent?: Intent;
  readonly knows?: boolean;
  readonly answer?: Answer;
  readonly continues?: string;
  readonly reception?: ReturnType<typeof newReception>;
  readonly pull?: number;
} = {}) {
  const { left, right } = cable({ cutAfter: pull });
  let leave = (): void => {};
  const connection: Connection = {
    ...right,
    peer: BOB,
    remote: '192.0.2.7',
    dialled: false,
    binding: HERE,
    silence: 0,
    unheard: 0,
    over: new Promise((resolve) => {
      leave = resolve;
    }),
    greeting: () => {},
    greeted: () => {},
    destroy: () => {},
  };
  const channel = new Channel('chooser', left);
  const over = host(house, connection, new AbortController().signal);
  const ends = { me: BOB, peer: house.self.identity.id, binding: HERE };
  const inbox = new MemoryInbox();
  const get = async (): Promise<string> => {
    try {
      const greeted = await greetAsChooser(channel, ends, { intent, knows, answer });
      if (typeof greeted === 'object') return greeted.needs;
      await introduce(channel, 'Bob', continues);
      await runReceiver(
        channel,
        {
          freely: true,
          digests: ['sha256'],
          reception: async () => reception,
          ask: async () => 'yes',
          open: async () => inbox,
        },
        () => {},
      );
      return 'got it';
    } catch (error) {
      return (error as DropError).code;
    } finally {
      await channel.end();
    }
  };
  return { get, inbox, leave, over, reception, channel, ends };
}

async function gets(chosen: Parameters<typeof come>[0] = {}): Promise<string> {
  const { get, over } = await come(chosen);
  const got = await get();
  await over;
  return got;
}

const code = { kind: 'code', code: CODE, epoch: 1 } as const;

describe('where nobody can be asked', () => {
  test('only this code and those who are trusted get something', async () => {
    await open();
    expect(await gets({ knows: false })).toBe('code');
    expect(await gets({ knows: false, answer: { ...code, code: '000000' } })).toBe('wrong-code');
    await house.self.trust.add({ id: BOB, name: 'Bob' });
    expect(await gets()).toBe('refused');
    expect(events.map(({ event }) => event)).toEqual(['fetch', 'declined']);
    await house.self.trust.setTrust(BOB, 'auto');
    expect(await gets()).toBe('got it');
  });

  test('whoever gave the code gets it, and may come again in this run', async () => {
    await open();
    expect(await gets({ knows: false, answer: code })).toBe('got it');
    expect(await gets()).toBe('got it');
    expect(events.filter(({ event }) => event === 'fetch')).toEqual([]);
  });

  test('whoever is known gets it, if all known ones may', async () => {
    await open({ freely: true });
    await house.self.trust.add({ id: BOB, name: 'Bob' });
    expect(await gets()).toBe('got it');
  });

  test('a PIN is for those who are known, too', async () => {
    await open({ pin: true });
    await house.self.trust.add({ id: BOB, name: 'Bob' });
    expect(await gets()).toBe('pin');
    const answer = { kind: 'pin', code: 'correct horse', epoch: 1 } as const;
    expect(await gets({ answer })).toBe('got it');
    expect(await gets()).toBe('got it');
  });
});

describe('a person', () => {
  let asked: number;
  let answer: boolean | 'no-answer';
  beforeEach(async () => {
    asked = 0;
    answer = true;
    await open({
      accept: async () => {
        asked += 1;
        return answer;
      },
    });
    await house.self.trust.add({ id: BOB, name: 'Bob' });
  });

  test('who said yes is not asked again about the same device', async () => {
    for (let n = 0; n < 3; n++) expect(await gets()).toBe('got it');
    expect(asked).toBe(1);
  });

  test('who said no twice is not even told', async () => {
    answer = false;
    for (let n = 0; n < 4; n++) expect(await gets()).toBe('declined');
    expect(asked).toBe(2);
    expect(events.filter(({ event }) => event === 'fetch')).toHaveLength(2);
    const quiet = events.map((event) => event.event === 'declined' && 'quiet' in event);
    expect(quiet).toEqual([false, false, false, true]);
  });

  test('is not asked because a list is open somewhere, which learns nothing', async () => {
    expect(await gets({ intent: 'peek' })).toBe('refused');
    expect(asked).toBe(0);
    expect(events).toEqual([]);
  });

  test('learns that whoever asked has gone', async () => {
    let gone: AbortSignal | undefined;
    await open({
      accept: async (_, signal) => {
        gone = signal;
        return new Promise(() => {});
      },
    });
    await house.self.trust.add({ id: BOB, name: 'Bob' });
    const { get, leave, over } = await come();
    const got = get();
    await expect.poll(() => gone).toBeDefined();
    leave();
    await over;
    expect(gone?.aborted).toBe(true);
    expect(await got).toBe('no-answer');
  });
});

describe('whoever only looks', () => {
  test('cannot take anything', async () => {
    await open({ freely: true });
    await house.self.trust.add({ id: BOB, name: 'Bob' });
    // The session of an honest program does not even say it.
    expect(await gets({ intent: 'peek' })).toBe('protocol');
    expect(events).toEqual([]);
  });
});

describe('whoever says nothing but that it is alive', () => {
  /** What a file takes for that, beside what everybody has. */
  const COMPARING = 20;
  beforeEach(async () => {
    await writeFile(join(home.path, 'photos', 'c'), Buffer.alloc(COMPARING * COMPARING_PACE));
    await open({ freely: true });
    await house.self.trust.add({ id: BOB, name: 'Bob' });
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
  });

  async function turns(): Promise<void> {
    for (let n = 0; n < 30; n++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Bob has heard what there is. */
  async function offered(intent: Intent = 'get') {
    const bob = await come({ intent });
    const { channel, ends } = bob;
    let isOver = false;
    void bob.over.then(() => {
      isOver = true;
    });
    await greetAsChooser(channel, ends, { intent, knows: true });
    await introduce(channel, 'Bob');
    for (const type of ['begin', 'roots', 'offer'] as const) await channel.hear(type);
    await turns();
    return {
      ...bob,
      async accept() {
        const { transfer } = bob.reception;
        await channel.say({ type: 'begun', transfer, digest: 'sha256', codecs: [] });
        await channel.say({ type: 'accept' });
        await turns();
      },
      async isOver() {
        await turns();
        return isOver;
      },
    };
  }

  test.each([
    ['as it only looks', 'peek', false, []],
    ['as it thinks about what to take', 'get', false, ['error']],
    ['as it takes nothing', 'get', true, ['accepted', 'reconnecting']],
  ] as const)(
    'has time to compare, and then no place any more: %s',
    async (_, intent, takes, told) => {
      const bob = await offered(intent);
      vi.advanceTimersByTime(0.9 * FETCH_IDLE);
      if (takes) await bob.accept();
      vi.advanceTimersByTime((takes ? 1 : 0.1) * FETCH_IDLE + COMPARING - 1);
      expect(await bob.isOver()).toBe(false);
      vi.advanceTimersByTime(2);
      expect(await bob.isOver()).toBe(true);
      expect(events.map(({ event }) => event)).toEqual(told);
      if (!takes) return;
      // It is let in again, and what it has begun is not lost.
      const continues = bob.reception.transfer;
      const again = await come({ continues, reception: bob.reception });
      expect(await again.get()).toBe('got it');
      expect(events.at(-1)).toMatchObject({ event: 'summary', transfer: continues, ok: true });
    },
  );

  test('waits as long as our own limit has it wait', async () => {
    let go = (): void => {};
    const time = new Promise<void>((resolve) => {
      go = resolve;
    });
    await open({ freely: true, pace: { most: 1024, take: () => time, count: () => {} } });
    const bob = await offered();
    await bob.accept();
    await bob.channel.say({ type: 'want', count: 4, skip: [], kept: [], failed: [] });
    await turns();
    vi.advanceTimersByTime(3 * FETCH_IDLE);
    expect(await bob.isOver()).toBe(false);
    go();
    await turns();
    vi.advanceTimersByTime(FETCH_IDLE + COMPARING + 1);
    expect(await bob.isOver()).toBe(true);
  });

  test.each(['here', 'there'] as const)('rests as long as it is paused %s', async (by) => {
    const bob = await offered();
    await bob.accept();
    const pause = async (type: 'pause' | 'resume'): Promise<void> => {
      if (by === 'here') counter.transfers.follow(type);
      else await bob.channel.say({ type });
      await turns();
    };
    await pause('pause');
    vi.advanceTimersByTime(3 * FETCH_IDLE);
    expect(await bob.isOver()).toBe(false);
    await pause('resume');
    vi.advanceTimersByTime(FETCH_IDLE + COMPARING - 1);
    expect(await bob.isOver()).toBe(false);
    vi.advanceTimersByTime(2);
    expect(await bob.isOver()).toBe(true);
  });
});

describe('a connection that is lost', () => {
  test('is followed by another, which goes on under the same yes', async () => {
    let asked = 0;
    await open({ accept: async () => ++asked === 1 });
    await house.self.trust.add({ id: BOB, name: 'Bob' });
    let lost = 0;
    for (let pull = 200; ; pull += 20) {
      const first = await come({ pull });
      const got = await first.get();
      await first.over;
      if (got === 'got it') break;
      const [transfer] = events.flatMap((event) =>
        event.event === 'reconnecting' && event.transfer !== '' ? [event.transfer] : [],
      );
      events = [];
      if (transfer === undefined) continue;
      lost += 1;
      expect(transfer).toBe(first.reception.transfer);
      const again = await come({ continues: transfer, reception: first.reception });
      expect(await again.get()).toBe('got it');
      await again.over;
    }
    expect(lost).toBeGreaterThan(3);
    expect(asked).toBe(1);
  });

  test('is not gone on with by somebody else', async () => {
    await open({ freely: true });
    await house.self.trust.add({ id: BOB, name: 'Bob' });
    const continues = '0'.repeat(32);
    expect(await gets({ continues })).toBe('got it');
  });
});
