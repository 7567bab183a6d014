import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DropError } from '../../src/errors.ts';
import { MAX_PAUSES } from '../../src/limits.ts';
import { Channel, type Pipe } from '../../src/transfer/channel.ts';
import { Delivery } from '../../src/transfer/delivery.ts';
import { Outflow } from '../../src/transfer/outflow.ts';
import { runReceiver } from '../../src/transfer/receiver.ts';
import { Reception } from '../../src/transfer/reception.ts';
import type { Report } from '../../src/transfer/report.ts';
import { runSender } from '../../src/transfer/sender.ts';
import { Crossroads } from '../support/crossroads.ts';
import { withGreeting } from '../support/greeted.ts';
import {
  type Cable,
  cable,
  MemoryInbox,
  MemoryOutbox,
  type Tree,
  textDigest,
} from '../support/memory.ts';

const TRANSFER = '00112233445566778899aabbccddeeff';

async function turns(count: number): Promise<void> {
  for (; count > 0; count--) await new Promise((resolve) => setImmediate(resolve));
}

/** Two sides of one transfer, over as many cables as it takes. */
class Two {
  readonly inbox = new MemoryInbox();
  readonly delivery: Delivery;
  readonly reception = new Reception(TRANSFER, 'posix', textDigest);
  readonly reports = { sender: [] as Report[], receiver: [] as Report[] };
  wire: Cable = cable();

  constructor(tree: Tree, block = 7) {
    this.delivery = new Delivery(new MemoryOutbox(tree, { block }));
  }

  /**
   * Runs over one cable; `older`: as if one of them did not know of pauses; `slow`: the receiver
   * learns late that something is on its way; `onReport` hears what the sender tells.
   */
  async run({
    older = false,
    slow = false,
    crossroads,
    onReport,
  }: {
    older?: boolean;
    slow?: boolean;
    crossroads?: Crossroads;
    onReport?: (report: Report) => void;
  } = {}) {
    this.wire = cable();
    const { left, right } = this.wire;
    this.channels = {
      sender: new Channel('chooser', older ? aged(left) : left),
      receiver: new Channel('announcer', older ? aged(right) : slow ? slowed(right) : right),
    };
    const { sender, receiver } = this.channels;
    const host = {
      freely: false,
      digests: ['sha256'] as const,
      reception: async () => this.reception,
      open: async () => this.inbox,
      ask: async () => 'yes' as const,
      ...(crossroads && { dial: () => crossroads.dial(receiver) }),
    };
    const both = await Promise.allSettled([
      withGreeting(sender, (channel) =>
        runSender(channel, this.delivery, (report) => {
          crossroads?.hear(channel, report);
          this.reports.sender.push(report);
          onReport?.(report);
        }),
      ).finally(() => this.wire.pull()),
      withGreeting(receiver, (channel) =>
        runReceiver(channel, host, (report) => void this.reports.receiver.push(report)),
      ).finally(() => this.wire.pull()),
    ]);
    return both.map((one) => (one.status === 'rejected' ? one.reason : undefined));
  }

  channels: { sender: Channel; receiver: Channel } | undefined;

  side(side: Side): { readonly on: boolean } {
    return side === 'sender' ? this.delivery.pause : this.reception.pause;
  }

  pause(side: Side, on = true): void {
    if (side === 'sender') this.delivery.pause.on = on;
    else this.reception.pause.on = on;
  }

  /** Resolves when so many bytes have moved at a side. */
  async moved(side: Side, least: number): Promise<void> {
    while (this.bytes(side) < least) await turns(1);
  }

  bytes(side: Side): number {
    return this.reports[side].reduce(
      (sum, report) => sum + (report.type === 'moved' ? report.bytes : 0),
      0,
    );
  }

  /** Waits until nothing goes to and fro any more. Returns how much has moved by then. */
  async still(): Promise<number> {
    for (let quiet = 0, before = -1; quiet < 30; quiet++) {
      await turns(1);
      const { there, back } = this.wire.carried;
      const now = there + back + this.bytes('sender') + this.bytes('receiver');
      if (now !== before) quiet = 0;
      before = now;
    }
    return this.bytes('receiver');
  }

  told(side: Side): string[] {
    return this.reports[side].flatMap((report) =>
      report.type === 'paused' || report.type === 'resumed' ? [`${report.type} ${report.by}`] : [],
    );
  }
}

type Side = 'sender' | 'receiver';

/** Has each end believe that the other one is of version 1. */
function aged(pipe: Pipe): Pipe {
  let isFirst = true;
  return {
    ...pipe,
    incoming: pipe.incoming,
    write(...parts) {
      // After its length and kind, a hello and a welcome say first what is the newest.
      if (isFirst && parts[1]) parts[1][0] = 1;
      isFirst = false;
      return pipe.write(...parts);
    },
  };
}

/** Has whoever writes wait for long until that is on its way. */
function slowed(pipe: Pipe): Pipe {
  return {
    ...pipe,
    incoming: pipe.incoming,
    async write(...parts) {
      await pipe.write(...parts);
      await turns(20);
    },
  };
}

const content = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i % 251);
const LARGE: Tree = { large: content(2_000) };
const MANY: Tree = Object.fromEntries(
  Array.from({ length: 400 }, (_, i) => [`${i}`, content(i % 5)]),
);

describe.each<Side>(['sender', 'receiver'])('the %s', (side) => {
  const other = side === 'sender' ? 'receiver' : 'sender';

  test.each([
    ['a large file', LARGE],
    ['many small ones', MANY],
  ])('lets %s rest, and both know it', async (_, tree) => {
    const two = new Two(tree);
    const all = Object.values(tree).reduce((sum, one) => sum + (one?.length ?? 0), 0);
    const ending = two.run();
    await two.moved('receiver', all / 10);
    two.pause(side);
    const moved = await two.still();
    expect(moved).toBeLessThan(all / 2);
    expect(two.told(side)).toEqual(['paused here']);
    expect(two.told(other)).toEqual(['paused there']);

    two.pause(side, false);
    expect(await ending).toEqual([undefined, undefined]);
    expect(two.inbox.stored).toEqual(tree);
    expect(two.told(side)).toEqual(['paused here', 'resumed here']);
    expect(two.told(other)).toEqual(['paused there', 'resumed there']);
  });

  test('begins it at rest, and neither is done meanwhile', async () => {
    const two = new Two({ empty: content(0), ...LARGE });
    two.pause(side);
    const ending = two.run();
    expect(await two.still()).toBe(0);
    expect(two.inbox.stored).toEqual({});
    two.pause(side, false);
    expect(await ending).toEqual([undefined, undefined]);
    expect(Object.keys(two.inbox.stored)).toEqual(['empty', 'large']);
  });

  test('keeps it at rest over another connection, and says so again', async () => {
    const two = new Two(LARGE);
    const first = two.run();
    await two.moved('receiver', 100);
    two.pause(side);
    const moved = await two.still();
    two.wire.pull();
    const lost = { code: 'disconnected' };
    expect(await first).toMatchObject([lost, lost]);

    const second = two.run();
    expect(await two.still()).toBe(moved);
    expect(two.told(other)).toEqual(['paused there', 'paused there']);
    two.pause(side, false);
    expect(await second).toEqual([undefined, undefined]);
    expect(two.inbox.stored).toEqual(LARGE);
  });

  test('may end it at rest, and the other one hears of it', async () => {
    const two = new Two(LARGE);
    const ending = two.run();
    await two.moved('receiver', 100);
    two.pause(side);
    await two.still();
    two.channels?.[side].fail(new DropError('cancelled'));
    const cancelled = { code: 'cancelled' };
    expect(await ending).toMatchObject([cancelled, cancelled]);
  });

  test('waits until the other one wants to go on, too', async () => {
    const two = new Two(LARGE);
    const ending = two.run();
    await two.moved('receiver', 100);
    two.pause(side);
    two.pause(other);
    const moved = await two.still();
    two.pause(side, false);
    expect(await two.still()).toBe(moved);
    two.pause(other, false);
    expect(await ending).toEqual([undefined, undefined]);
    expect(two.inbox.stored).toEqual(LARGE);
  });

  test('may do so a thousand times; then it is not told any more, and works all the same', async () => {
    const two = new Two(LARGE);
    const ending = two.run();
    await two.moved('receiver', 100);
    for (let n = 0; n < MAX_PAUSES; n++)
      for (const on of [true, false]) {
        two.pause(side, on);
        if (n % 50 === 0) await turns(1);
      }
    two.pause(side);
    await two.still();
    const moved = two.bytes('receiver');
    expect(moved).toBeLessThan(2_000);
    expect(two.told(other)).toHaveLength(2 * MAX_PAUSES);
    two.pause(side, false);
    expect(await ending).toEqual([undefined, undefined]);
    expect(two.told(other)).toHaveLength(2 * MAX_PAUSES);
    expect(two.inbox.stored).toEqual(LARGE);
  });

  test('lets it rest where the other one has no word for it, and may end it then', async () => {
    const two = new Two(LARGE);
    const ending = two.run({ older: true });
    await two.moved('receiver', 100);
    two.pause(side);
    await two.still();
    expect(two.bytes('receiver')).toBeLessThan(1_000);
    expect(two.told(other)).toEqual([]);
    two.channels?.[side].fail(new DropError('cancelled'));
    const ended = [{ code: 'cancelled' }, { code: 'cancelled' }];
    expect(await ending).toMatchObject(ended);
  });

  test('goes on where the other one has no word for it', async () => {
    const two = new Two(LARGE);
    const ending = two.run({ older: true });
    await two.moved('receiver', 100);
    two.pause(side);
    await two.still();
    two.pause(side, false);
    expect(await ending).toEqual([undefined, undefined]);
    expect(two.inbox.stored).toEqual(LARGE);
  });
});

test('an older sender that comes back is told nothing of what is wanted in a pause', async () => {
  const two = new Two(LARGE);
  const first = two.run({ older: true });
  await two.moved('receiver', 100);
  two.pause('receiver');
  await two.still();
  two.wire.pull();
  await turns(5);
  // Whoever takes the transfer over ends the old connection.
  two.channels?.receiver.fail(new DropError('disconnected'));
  await first;
  const before = two.bytes('sender');
  const second = two.run({ older: true });
  await two.still();
  expect(two.bytes('sender')).toBe(before);
  two.pause('receiver', false);
  expect(await second).toEqual([undefined, undefined]);
  expect(two.inbox.stored).toEqual(LARGE);
});

test('whenever either side pauses and goes on, and wherever it moves to, all arrives', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(6), fc.constantFrom<Side>('sender', 'receiver')), { maxLength: 20 }),
      fc.boolean(),
      fc.option(fc.record({ after: fc.nat(300), sender: fc.nat(5), receiver: fc.nat(5) })),
      async (toggles, older, move) => {
        const two = new Two({ ...LARGE, small: content(3), empty: content(0) }, 50);
        const crossroads = move ? new Crossroads(move, 64) : undefined;
        const ending = two.run({ older, ...(crossroads && { crossroads }) });
        for (const [after, side] of toggles) {
          await turns(after);
          two.pause(side, !two.side(side).on);
        }
        for (const side of ['sender', 'receiver'] as const) two.pause(side, false);
        expect(await ending).toEqual([undefined, undefined]);
        expect(Object.keys(two.inbox.stored).sort()).toEqual(['empty', 'large', 'small']);
      },
    ),
    { numRuns: 200 },
  );
});

test('all is sent in no pause, whenever in one turn that follows upon another', async () => {
  let inTime = 0;
  for (let microtasks = 0; microtasks <= 20; microtasks++) {
    const two = new Two({ empty: content(0) });
    let isResting = (): void => {};
    const rests = new Promise<void>((resolve) => {
      isResting = resolve;
    });
    const ending = two.run({
      // Then all of the file is said, and nothing is left to say but that it was all.
      onReport: ({ type }) => {
        if (type !== 'moved') return;
        two.pause('sender');
        isResting();
      },
    });
    await rests;
    await two.still();
    two.pause('sender', false);
    for (let n = 0; n < microtasks; n++) await Promise.resolve();
    two.pause('sender');
    await two.still();
    if (two.channels?.sender.session.pausable) inTime += 1;
    two.pause('sender', false);
    expect(await ending, `after ${microtasks}`).toEqual([undefined, undefined]);
    expect(Object.keys(two.inbox.stored)).toEqual(['empty']);
  }
  // Some of these pauses began before that was said, and some afterwards.
  expect(inTime).toBeGreaterThan(1);
  expect(inTime).toBeLessThan(20);
});

test('who pauses at once is told of after the yes, however long that takes to leave', async () => {
  const two = new Two(LARGE);
  two.pause('sender');
  const ending = two.run({ slow: true });
  while (!two.told('receiver').includes('paused there')) await turns(1);
  two.pause('sender', false);
  expect(await ending).toEqual([undefined, undefined]);
  const order = two.reports.receiver.map(({ type }) => type);
  expect(order.indexOf('accepted')).toBeLessThan(order.indexOf('paused'));
});

test('a pause is no slow network', async () => {
  let now = 0;
  const waits: number[] = [];
  const meter = { now: () => now, went: (_: unknown, waited: number) => void waits.push(waited) };
  let goOn = (): void => {};
  const over = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const pauses = { on: true, over: () => over };
  const { left } = cable();
  const channel = new Channel('chooser', left);
  channel.say = async () => {};
  const outflow = new Outflow(channel, { meter, pauses, signal: new AbortController().signal });
  await outflow.pass({ type: 'chunk', entry: 0, offset: 0, bytes: content(1) });
  const passed = outflow.passed();
  await turns(2);
  expect(waits).toEqual([]);
  now = 60_000;
  pauses.on = false;
  goOn();
  await passed;
  expect(waits).toEqual([0]);
});
