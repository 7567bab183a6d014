import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { DropError } from '../../src/errors.ts';
import type { PeerId, ReceiveEvent } from '../../src/events.ts';
import { Awake } from '../../src/handover/awake.ts';
import { Saving, type SavingOptions } from '../../src/handover/saving.ts';
import { type Accept, type Received, takeIn } from '../../src/handover/take-in.ts';
import { Transfers } from '../../src/handover/transfers.ts';
import {
  COMPARING_PACE,
  JUDGING_LIMIT,
  MAX_UNANSWERED,
  MAX_VISITS_EACH,
  STRANGER_IDLE,
} from '../../src/limits.ts';
import { Allowance, Guests, OpenOffers, Patience } from '../../src/meeting/guests.ts';
import { openSelf } from '../../src/meeting/self.ts';
import { type House, host } from '../../src/meeting/visit.ts';
import type { Connection } from '../../src/net/tls.ts';
import { fromHex } from '../../src/protocol/bytes.ts';
import { CodeGuard } from '../../src/protocol/code.ts';
import type { FileEntry, FolderEntry } from '../../src/protocol/manifest.ts';
import { Channel } from '../../src/transfer/channel.ts';
import { type Chosen, greetAsChooser, introduce } from '../../src/transfer/greeting.ts';
import { Home } from '../support/home.ts';
import { cable } from '../support/memory.ts';
import { PATIENCE } from '../support/process.ts';

const BOB = 'bb'.repeat(32) as PeerId;
const EVE = 'ee'.repeat(32) as PeerId;
const CODE = '493027';
const PIN = 'correct horse';
const FAR = '192.0.2.7';
const HERE = new Uint8Array(32).fill(7);
/** The generator of the group: a share as good as any. */
const A_POINT = fromHex('e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76');

let home: Home;
let house: House;
let events: ReceiveEvent[];
let transfers: Transfers<Received>;
beforeEach(async () => {
  home = new Home();
  house = await open({});
});
afterEach(() => home[Symbol.asyncDispose]());

interface Manner {
  readonly accept?: Accept | undefined;
  readonly open?: 'ask' | 'capped';
  readonly pin?: boolean;
  readonly saving?: SavingOptions;
  /** Bytes that the offers of all may take together. */
  readonly most?: number;
}

/** Ana's, in which things are done in this manner. */
async function open({ accept, open: to, pin = false, saving, most }: Manner): Promise<House> {
  events = [];
  const stop = new AbortController();
  transfers = new Transfers<Received>();
  const drawn = pin ? PIN : CODE;
  const self = await openSelf({ home: home.state, name: 'Ana' });
  const emit = (event: ReceiveEvent): void => void events.push(event);
  const intake = {
    self,
    open: to,
    accept,
    saving: await Saving.prepare(self, saving ?? { into: home.downloads }, stop.signal),
    transfers,
    patience: new Patience(),
    refusals: new Patience(),
    allowance: new Allowance(),
    offers: new OpenOffers(most),
    awake: new Awake(),
    emit,
    keeps: true,
    idle: STRANGER_IDLE,
    finished: () => {},
  };
  return {
    self,
    way: 'send',
    guard: to ? undefined : new CodeGuard(() => drawn, undefined, pin ? 'pin' : 'code'),
    guardsApart: new Map(),
    guests: new Guests(),
    strangers: new Guests(),
    failures: new Patience(),
    open: to !== undefined,
    needsPin: (_, trust) => accept === undefined && trust !== 'auto',
    emit,
    showGuard: () => {},
    serve: (caller, guest, begun) => takeIn(intake, caller, guest, begun),
    enough: new AbortController().signal,
  };
}

/** Somebody comes, with this key and from this address. */
function come(
  peer: PeerId,
  remote = FAR,
  dialled = false,
): { channel: Channel; over: Promise<unknown> } {
  const { left, right } = cable();
  const connection: Connection = {
    ...right,
    peer,
    remote,
    dialled,
    binding: HERE,
    silence: 0,
    unheard: 0,
    over: new Promise(() => {}),
    greeting: () => {},
    greeted: () => {},
    destroy: () => {},
  };
  return {
    channel: new Channel('chooser', left),
    over: host(house, connection, new AbortController().signal),
  };
}

function greet(channel: Channel, peer: PeerId, chosen: Partial<Chosen> = {}) {
  const ends = { me: peer, peer: house.self.identity.id, binding: HERE };
  return greetAsChooser(channel, ends, { intent: 'send', knows: true, ...chosen });
}

/** Bob comes, is greeted, and says his name. */
async function bob(chosen: Partial<Chosen> = {}): Promise<Channel> {
  const { channel } = come(BOB);
  await greet(channel, BOB, chosen);
  await introduce(channel, 'Bob');
  return channel;
}

/** Bob offers files of these names; how that is answered. */
async function offer(channel: Channel, ...names: string[]): Promise<string> {
  return offerAll(
    channel,
    names.map((path) => ({ kind: 'file', path, size: 0, mtime: 0 })),
  );
}

async function offerAll(channel: Channel, entries: readonly FileEntry[]): Promise<string> {
  const names = entries.map(({ path }) => path);
  const bytes = entries.reduce((sum, { size }) => sum + size, 0);
  try {
    await channel.say({ type: 'begin', continues: null, checksum: false, digests: ['sha256'] });
    await channel.say({ type: 'roots', names, final: true });
    await channel.say({ type: 'offer', entries, files: names.length, bytes, final: true });
    await channel.hear('begun');
    await channel.hear('accept');
    return 'accept';
  } catch (error) {
    return (error as DropError).code;
  } finally {
    channel.fail(new DropError('cancelled'));
  }
}

const code = { kind: 'code', code: CODE, epoch: 1 } as const;

describe('a sender that asks to be dialled', () => {
  let server: Server;
  let port: number;
  let calls: number;
  let called: Promise<unknown>;
  beforeEach(async () => {
    calls = 0;
    // Some service of the same computer.
    server = createServer((socket) => {
      calls += 1;
      socket.on('error', () => {}).on('data', () => socket.destroy());
    });
    called = once(server, 'connection');
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  });
  afterEach(() => void server.close());

  /** Bob sends a small file, asks to be dialled before, and ends when that is over. */
  async function send(channel: Channel, isOver: Promise<unknown>): Promise<void> {
    const entries: FileEntry[] = [{ kind: 'file', path: 'a.txt', size: 0, mtime: 0 }];
    await channel.say({ type: 'begin', continues: null, checksum: false, digests: ['sha256'] });
    await channel.say({ type: 'roots', names: ['a.txt'], final: true });
    await channel.say({ type: 'offer', entries, files: 1, bytes: 0, final: true });
    for (const type of ['begun', 'accept', 'want'] as const) await channel.hear(type);
    await channel.say({ type: 'dial', port });
    const digest = new Uint8Array(createHash('sha256').digest());
    const files = [{ entry: 0, digest, bytes: new Uint8Array(0) }];
    await channel.say({ type: 'files', files });
    await channel.hear('stored');
    await isOver;
    await channel.say({ type: 'done' });
    await channel.hear('complete');
  }

  test.each([
    ['that is known is dialled, once, and goes on if it is not there', 1, true, false],
    ['that nobody vouches for is not dialled', 0, false, false],
    ['that we have dialled is not dialled again', 0, true, true],
  ])('%s', async (_, times, known, dialled) => {
    house = await open({ open: 'capped' });
    if (known) await house.self.trust.add({ id: BOB, name: 'Bob' });
    const { channel, over } = come(BOB, '127.0.0.1', dialled);
    await greet(channel, BOB, { knows: known, unverified: true });
    await introduce(channel, 'Bob');
    await send(channel, times > 0 ? called : new Promise((resolve) => setTimeout(resolve, 50)));
    await over;
    expect(calls).toBe(times);
  });
});

describe('our own key', () => {
  test('needs no code from this computer, and is a copy anywhere else', async () => {
    const { id } = house.self.identity;
    const here = come(id, '127.0.0.1');
    expect(await greet(here.channel, id)).toBe('known');
    await expect(greet(come(id).channel, id)).rejects.toMatchObject({ code: 'clone' });
  });
});

describe('a device that is blocked', () => {
  test.each([[{}], [{ open: 'capped' }], [{ pin: true }]] as const)(
    'is let in by nothing, where it is %j',
    async (manner) => {
      house = await open(manner);
      await house.self.trust.add({ id: BOB, name: 'Bob' });
      await house.self.trust.setTrust(BOB, 'blocked');
      const answer = 'pin' in manner ? ({ ...code, kind: 'pin', code: PIN } as const) : code;
      const greeted = greet(come(BOB).channel, BOB, { answer, unverified: true });
      await expect(greeted).rejects.toMatchObject({ code: 'refused' });
      expect(events).toEqual([]);
    },
  );
});

describe('a device that speaks no version that we understand', () => {
  const hello = { type: 'hello', newest: 9, oldest: 9, intent: 'send', knows: true } as const;

  test.each([
    ['known', 1],
    ['new', 0],
    ['blocked', 0],
  ])('and is %s: it is told %i times', async (standing, times) => {
    if (standing !== 'new') await house.self.trust.add({ id: BOB, name: 'Bob' });
    if (standing === 'blocked') await house.self.trust.setTrust(BOB, 'blocked');
    const { channel, over } = come(BOB);
    await channel.say(hello);
    await expect(channel.hear('welcome')).rejects.toMatchObject({ code: 'peer-older' });
    await over;
    const told = { event: 'error', code: 'peer-newer', peer: { id: BOB, name: 'Bob' } };
    expect(events).toMatchObject(Array(times).fill(told));
  });
});

describe('where nobody can be asked', () => {
  test('a known device needs the PIN, and one that is trusted needs none', async () => {
    house = await open({ pin: true });
    await house.self.trust.add({ id: BOB, name: 'Bob' });
    expect(await greet(come(BOB).channel, BOB)).toMatchObject({ needs: 'pin' });
    await house.self.trust.setTrust(BOB, 'auto');
    expect(await greet(come(BOB).channel, BOB)).toBe('known');
  });

  test('who does not answer in time keeps nobody else from it', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const { channel, over } = come(EVE);
    await channel.say({ type: 'hello', newest: 1, oldest: 1, intent: 'send', knows: false });
    await channel.hear('welcome');
    await channel.say({ type: 'share', epoch: 1, point: A_POINT });
    await channel.hear('share');
    const answer = { kind: 'code', code: CODE, epoch: 1 } as const;
    const outcome = greet(come(BOB).channel, BOB, { knows: false, answer }).catch(
      (error: DropError) => error.code,
    );
    while (!house.guard?.isAwaited) await new Promise((resolve) => setImmediate(resolve));
    vi.advanceTimersByTime(JUDGING_LIMIT);
    await over;
    // He gives the same answer again in a moment, and so do programs that know of no turns.
    expect(await outcome).toBe('not-yet');
  });

  test('a known device is not locked out by the wrong PINs of others', async () => {
    house = await open({ pin: true });
    await house.self.trust.add({ id: BOB, name: 'Bob' });
    for (let n = 0; n < 10; n++) house.guard?.wrong(0);
    expect(await greet(come(BOB).channel, BOB)).toMatchObject({ needs: 'pin' });
    await expect(greet(come(EVE).channel, EVE)).rejects.toMatchObject({ code: 'locked' });
  });

  test('nothing of a known device is taken, and of a trusted one everything', async () => {
    await house.self.trust.add({ id: BOB, name: 'Bob' });
    expect(await offer(await bob(), 'a.txt')).toBe('refused');
    await house.self.trust.setTrust(BOB, 'auto');
    expect(await offer(await bob(), 'setup.exe')).toBe('accept');
  });

  test('an open receiver takes a hundred files', async () => {
    house = await open({ open: 'capped' });
    const many = Array.from({ length: 101 }, (_, n) => `${n}`);
    expect(await offer(await bob({ knows: false, unverified: true }), ...many)).toBe('too-much');
    expect(events).toEqual([]);
    const fewer = await bob({ knows: false, unverified: true });
    expect(await offer(fewer, ...many.slice(1))).toBe('accept');
    // Whoever is known is as welcome.
    await house.self.trust.add({ id: BOB, name: 'Bob' });
    expect(await offer(await bob(), ...many)).toBe('too-much');
    expect(await offer(await bob(), 'setup.exe')).toBe('accept');
  });
});

describe('a person', () => {
  let asked: string[];
  let answer: boolean;
  beforeEach(async () => {
    asked = [];
    answer = true;
    house = await open({ accept });
  });
  async function accept({ roots }: { readonly roots: readonly string[] }): Promise<boolean> {
    asked.push(...roots);
    return answer;
  }

  test('who read out the code is asked about risks only, and about the next offer', async () => {
    expect(await offer(await bob({ knows: false, answer: code }), 'a.txt')).toBe('accept');
    expect(asked).toEqual([]);
    expect(await offer(await bob(), 'b.txt')).toBe('accept');
    await house.self.trust.forget(BOB);
    const { epoch = 0 } = house.guard ?? {};
    const again = await bob({ knows: false, answer: { ...code, epoch } });
    expect(await offer(again, 'setup.exe')).toBe('accept');
    expect(asked).toEqual(['b.txt', 'setup.exe']);
  });

  test('who said no twice does not even see the next offer', async () => {
    await house.self.trust.add({ id: BOB, name: 'Bob' });
    answer = false;
    for (const name of ['a', 'b', 'c']) expect(await offer(await bob(), name)).toBe('declined');
    expect(asked).toEqual(['a', 'b']);
    expect(events.filter(({ event }) => event === 'request')).toHaveLength(2);
    // That it is so is told once.
    const quiet = events.map((event) => event.event === 'declined' && 'quiet' in event);
    expect(quiet).toEqual([false, false, false, true]);
  });

  test('is asked about everyone where anybody may come, whatever key they bring', async () => {
    house = await open({ open: 'ask', accept });
    answer = false;
    for (const [n, name] of ['a', 'b', 'c'].entries()) {
      const id = `${n}`.repeat(64) as PeerId;
      const { channel } = come(id);
      await greet(channel, id, { knows: false, unverified: true });
      await introduce(channel, 'Bob');
      expect(await offer(channel, name)).toBe('declined');
    }
    // It is the address that had its two chances.
    expect(asked).toEqual(['a', 'b']);
  });
});

describe('a message', () => {
  const text = (path: string): FileEntry => ({ kind: 'file', path, size: 5, mtime: 0, text: true });

  test('of a known device needs no yes, where nobody can be asked either', async () => {
    await house.self.trust.add({ id: BOB, name: 'Bob' });
    expect(await offerAll(await bob(), [text('a')])).toBe('accept');
    expect(await offerAll(await bob(), [text('a'), { ...text('b'), text: undefined }])).toBe(
      'refused',
    );
    expect(await offerAll(await bob(), [text('a'), text('b')])).toBe('refused');
  });

  test('of a stranger needs one, and whoever was refused twice is not heard', async () => {
    let questions = 0;
    const accept = async (): Promise<boolean> => {
      questions += 1;
      return false;
    };
    house = await open({ open: 'ask', accept });
    const stranger = () => bob({ knows: false, unverified: true });
    for (let n = 0; n < 3; n++)
      expect(await offerAll(await stranger(), [text('a')])).toBe('declined');
    expect(questions).toBe(2);

    house = await open({ accept });
    await house.self.trust.add({ id: BOB, name: 'Bob' });
    for (let n = 0; n < 2; n++) expect(await offer(await bob(), 'a')).toBe('declined');
    expect(await offerAll(await bob(), [text('a')])).toBe('declined');
  });
});

describe('a rule', () => {
  const file = (path: string, size: number): FileEntry => ({ kind: 'file', path, size, mtime: 0 });
  const told = (): unknown[] =>
    events.map((event) => ('reason' in event ? event.reason : event.event));

  test('refuses what is too large without a question, and says so a few times', async () => {
    const accept = async (): Promise<boolean> => true;
    house = await open({ accept, saving: { into: home.downloads, maxSize: 10 } });
    await house.self.trust.add({ id: BOB, name: 'Bob' });
    for (let n = 0; n <= MAX_UNANSWERED; n++)
      expect(await offerAll(await bob(), [file('a', 6), file('b', 5)])).toBe('too-large');
    expect(told()).toEqual(Array(MAX_UNANSWERED).fill(['request', 'too-large']).flat());
    expect(await offerAll(await bob(), [file('a', 10)])).toBe('accept');
  });

  test('refuses strangers, who fill no screen by that', async () => {
    const accept = async (): Promise<boolean> => true;
    house = await open({ accept, open: 'ask', saving: { into: home.downloads, maxSize: 10 } });
    for (let n = 0; n < 5; n++) {
      const stranger = await bob({ knows: false, unverified: true });
      expect(await offerAll(stranger, [file('a', 11)])).toBe('too-large');
    }
    expect(told()).toEqual(Array(2).fill(['request', 'too-large']).flat());
  });

  test('gives a name to a single file, and takes nothing else where one was said', async () => {
    const accept = async (): Promise<boolean> => true;
    house = await open({ accept, saving: { into: home.downloads, as: 'mine' } });
    await house.self.trust.add({ id: BOB, name: 'Bob' });
    expect(await offer(await bob(), 'a', 'b')).toBe('one-file');
    expect(told()).toEqual(['request', 'one-file']);
    expect(await offer(await bob(), 'a')).toBe('accept');
    expect(await offer(await bob(), 'b')).toBe('accept');
  });

  test('gives a sink to one file of one transfer', async () => {
    const accept = async (): Promise<boolean> => true;
    house = await open({ accept, saving: { sink: { write: async () => {} } } });
    await house.self.trust.add({ id: BOB, name: 'Bob' });
    expect(await offer(await bob(), 'a', 'b')).toBe('one-file');
    expect(await offer(await bob(), 'a')).toBe('accept');
    // Nothing had come of that one when it ended.
    expect(await offer(await bob(), 'a')).toBe('accept');

    const first = await bob();
    await first.say({ type: 'begin', continues: null, checksum: false, digests: ['sha256'] });
    await first.say({ type: 'roots', names: ['a'], final: true });
    await first.say({ type: 'offer', entries: [file('a', 1)], files: 1, bytes: 1, final: true });
    await first.hear('begun');
    await first.hear('accept');
    expect(await offer(await bob(), 'b')).toBe('busy');
  });

  test('knows no folder where there is a sink', async () => {
    const sink = { write: async () => {} };
    for (const folder of [{ into: home.downloads }, { as: 'a' }, { onConflict: 'skip' }] as const)
      await expect(open({ saving: { sink, ...folder } })).rejects.toMatchObject({ code: 'usage' });
  });
});

describe('a visit', () => {
  test('of whom nobody vouches for ends when nothing moves, but not while a question stands', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    let yes = (_: boolean): void => {};
    house = await open({
      open: 'ask',
      accept: () =>
        new Promise((resolve) => {
          yes = resolve;
        }),
    });
    const asked = offer(await bob({ knows: false, unverified: true }), 'a.txt');
    await vi.waitFor(() => expect(events.map(({ event }) => event)).toEqual(['request']), PATIENCE);
    vi.advanceTimersByTime(2 * STRANGER_IDLE);
    yes(true);
    expect(await asked).toBe('accept');

    const idle = await bob({ knows: false, unverified: true });
    await vi.waitFor(() => expect(vi.getTimerCount()).toBeGreaterThan(0), PATIENCE);
    vi.advanceTimersByTime(STRANGER_IDLE);
    await expect(idle.hear('begun')).rejects.toMatchObject({ code: 'refused' });
  });

  test('of whom nobody vouches for has time to compare what is kept of it', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    house = await open({ open: 'ask', accept: async () => true });
    const size = 20 * COMPARING_PACE;
    const entries: FileEntry[] = [{ kind: 'file', path: 'a.bin', size, mtime: 0 }];
    /** Offers the file, and returns what of it is there. */
    const begin = async (): Promise<{ channel: Channel; kept: number }> => {
      const channel = await bob({ knows: false, unverified: true });
      await channel.say({ type: 'begin', continues: null, checksum: false, digests: ['sha256'] });
      await channel.say({ type: 'roots', names: ['a.bin'], final: true });
      await channel.say({ type: 'offer', entries, files: 1, bytes: size, final: true });
      for (const type of ['begun', 'accept'] as const) await channel.hear(type);
      const { kept } = await channel.hear('want');
      return { channel, kept: kept[0]?.size ?? 0 };
    };
    const first = await begin();
    await first.channel.say({ type: 'chunk', entry: 0, offset: 0, bytes: randomBytes(size / 2) });
    await vi.waitFor(() => expect(events.at(-1)).toMatchObject({ event: 'progress' }), PATIENCE);
    first.channel.fail(new DropError('disconnected'));
    await vi.waitFor(() => expect(events.at(-1)).toMatchObject({ event: 'summary' }), PATIENCE);

    const { channel, kept } = await begin();
    expect(kept).toBe(size / 2);
    let ended: unknown;
    channel.hear('stored').catch((error) => {
      ended = error;
    });
    vi.advanceTimersByTime(STRANGER_IDLE + 9);
    await new Promise((resolve) => setImmediate(resolve));
    expect(ended).toBeUndefined();
    vi.advanceTimersByTime(1);
    await vi.waitFor(() => expect(ended).toMatchObject({ code: 'refused' }), PATIENCE);
  });

  test('of whom nobody vouches for is not kept by its own pauses, and not ended by ours', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    house = await open({ open: 'capped' });
    const begin = async (path: string): Promise<Channel> => {
      const channel = await bob({ knows: false, unverified: true });
      const entries = [{ kind: 'file', path, size: 1, mtime: 0 }] as const;
      await channel.say({ type: 'begin', continues: null, checksum: false, digests: ['sha256'] });
      await channel.say({ type: 'roots', names: [path], final: true });
      await channel.say({ type: 'offer', entries, files: 1, bytes: 1, final: true });
      for (const type of ['begun', 'accept', 'want'] as const) await channel.hear(type);
      return channel;
    };
    const resting = await begin('a');
    for (const [type, told] of [
      ['pause', 'paused'],
      ['resume', 'resumed'],
    ] as const) {
      vi.advanceTimersByTime(0.4 * STRANGER_IDLE);
      await resting.say({ type });
      await vi.waitFor(
        () => expect(events.at(-1)).toMatchObject({ event: told, by: 'there' }),
        PATIENCE,
      );
    }
    vi.advanceTimersByTime(0.4 * STRANGER_IDLE);
    await expect(resting.hear('complete')).rejects.toMatchObject({ code: 'refused' });

    const held = await begin('b');
    transfers.follow('pause');
    await held.hear('pause');
    vi.advanceTimersByTime(2 * STRANGER_IDLE);
    transfers.follow('resume');
    await held.hear('resume');
    vi.advanceTimersByTime(STRANGER_IDLE);
    await expect(held.hear('complete')).rejects.toMatchObject({ code: 'refused' });
  });

  test('is one of four of a known device, and of an address where anybody may come', async () => {
    await house.self.trust.add({ id: BOB, name: 'Bob' });
    for (let n = 0; n < MAX_VISITS_EACH; n++) await bob();
    await expect(bob()).rejects.toMatchObject({ code: 'busy' });

    house = await open({ open: 'ask', accept: async () => true });
    const stranger = async (n: number, remote: string): Promise<string> => {
      const id = `${n}`.repeat(64) as PeerId;
      const { channel } = come(id, remote);
      await greet(channel, id, { knows: false, unverified: true });
      return (await introduce(channel, 'Bob')).name;
    };
    for (let n = 0; n < MAX_VISITS_EACH; n++) await stranger(n, FAR);
    await expect(stranger(4, FAR)).rejects.toMatchObject({ code: 'busy' });
    expect(await stranger(5, '192.0.2.8')).toBe('Ana');
  });

  test('of whom offers the most names ends where all together are too many', async () => {
    let ask = (): void => {};
    const asked = new Promise<void>((resolve) => {
      ask = resolve;
    });
    let yes = (_: boolean): void => {};
    const answer = new Promise<boolean>((resolve) => {
      yes = resolve;
    });
    const accept: Accept = async ({ from }) => {
      ask();
      return from.id === EVE || answer;
    };
    house = await open({ accept, most: 2_000 });
    await house.self.trust.add({ id: BOB, name: 'Bob' });
    await house.self.trust.add({ id: EVE, name: 'Eve' });
    const bobs = offer(await bob(), 'a.txt');
    await asked;
    const { channel, over } = come(EVE);
    await greet(channel, EVE);
    await introduce(channel, 'Eve');
    const names = Array.from({ length: 10 }, (_, n) => `${n}`.padEnd(100, '.'));
    const entries = names.map((path): FileEntry => ({ kind: 'file', path, size: 0, mtime: 0 }));
    await channel.say({ type: 'begin', continues: null, checksum: false, digests: ['sha256'] });
    await channel.say({ type: 'roots', names, final: true });
    await channel.say({ type: 'offer', entries, files: 10, bytes: 0, final: true });
    await channel.hear('begun');
    await expect(channel.hear('accept')).rejects.toMatchObject({ code: 'busy' });
    await over;
    yes(true);
    expect(await bobs).toBe('accept');
    // As long as nothing came of it, nothing is said of it.
    expect(events.filter(({ event }) => event === 'error')).toEqual([]);
    expect(await offer(await bob(), 'b.txt')).toBe('accept');
  });

  test('of whose transfers most is needed to the end loses the largest, though nobody is there for it', async () => {
    house = await open({ most: 40_000 });
    for (const id of [BOB, EVE]) {
      await house.self.trust.add({ id, name: 'Bob or Eve' });
      await house.self.trust.setTrust(id, 'auto');
    }
    /** So many folders, of which each is remembered to the end. */
    const bring = async (id: PeerId, count: number) => {
      const { channel, over } = come(id);
      await greet(channel, id);
      await introduce(channel, 'Bob or Eve');
      const names = Array.from({ length: count + 1 }, (_, n) => `${count} ${n}`);
      const entries = names.map((path): FolderEntry => ({ kind: 'folder', path, mtime: 0 }));
      const [last, ...most] = entries as [FolderEntry, ...FolderEntry[]];
      const offered = { type: 'offer', files: 0, bytes: 0 } as const;
      await channel.say({ type: 'begin', continues: null, checksum: false, digests: ['sha256'] });
      await channel.say({ type: 'roots', names, final: true });
      await channel.say({ ...offered, entries: most, final: false });
      const { transfer } = await channel.hear('begun');
      for (const type of ['accept', 'want'] as const) await channel.hear(type);
      const finish = async (): Promise<unknown> => {
        await channel.say({ ...offered, entries: [last], final: true });
        await channel.hear('want');
        await channel.say({ type: 'done' });
        return channel.hear('complete');
      };
      return { channel, over, transfer, finish };
    };
    const failures = () => events.filter((one) => one.event === 'error' && one.code === 'busy');
    const over = await bring(EVE, 60);
    over.channel.fail(new DropError('cancelled'));
    await over.over;
    const eves = await bring(EVE, 50);
    await eves.channel.end();
    await eves.over;
    const bobs = await bring(BOB, 40);
    expect(failures()).toEqual([]);
    const more = await bring(EVE, 20);
    expect(await more.finish()).toMatchObject({ type: 'complete' });
    const lost = [{ code: 'busy', transfer: eves.transfer }];
    await vi.waitFor(() => expect(failures()).toMatchObject(lost), PATIENCE);
    expect(await bobs.finish()).toMatchObject({ type: 'complete' });
    expect(failures()).toHaveLength(1);
  });

  test('that comes to nothing again and again is told of a few times, until something comes of one', async () => {
    house = await open({ accept: async () => true });
    await house.self.trust.add({ id: BOB, name: 'Bob' });
    const failures = (): unknown[] => events.filter(({ event }) => event === 'error');
    const fail = async (): Promise<void> => {
      const { channel, over } = come(BOB);
      await greet(channel, BOB);
      await introduce(channel, 'Bob');
      channel.fail(new DropError('cancelled'));
      await over;
    };
    for (let n = 0; n <= MAX_UNANSWERED; n++) await fail();
    expect(failures()).toHaveLength(MAX_UNANSWERED);
    expect(await offer(await bob(), 'a.txt')).toBe('accept');
    await vi.waitFor(() => expect(events.at(-1)).toMatchObject({ event: 'summary' }), PATIENCE);
    const before = failures().length;
    await fail();
    expect(failures()).toHaveLength(before + 1);
  });

  test('gets no files: what lies here is for nobody to fetch', async () => {
    await house.self.trust.add({ id: BOB, name: 'Bob' });
    await writeFile(join(home.downloads, 'mine'), 'mine');
    const { channel } = come(BOB);
    await greet(channel, BOB, { intent: 'get' });
    await introduce(channel, 'Bob');
    await expect(channel.hear('begin')).rejects.toMatchObject({ code: 'refused' });
  });

  test('that ends before the code is proven leaves no trace', async () => {
    const wrong = { ...code, code: '000000' };
    for (let n = 0; n < 2; n++) {
      const { channel, over } = come(BOB);
      const greeted = greet(channel, BOB, { knows: false, answer: wrong });
      await expect(greeted).rejects.toMatchObject({ code: n === 0 ? 'wrong-code' : 'not-yet' });
      await over;
    }
    expect(events).toEqual([]);
    expect(await house.self.trust.all()).toEqual([]);
  });
});
