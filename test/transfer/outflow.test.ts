import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DropError } from '../../src/errors.ts';
import { Pace } from '../../src/handover/pace.ts';
import { concat } from '../../src/protocol/bytes.ts';
import { encode, type Message } from '../../src/protocol/message.ts';
import { Channel } from '../../src/transfer/channel.ts';
import { Delivery } from '../../src/transfer/delivery.ts';
import { Outflow, type Pacing } from '../../src/transfer/outflow.ts';
import { runReceiver } from '../../src/transfer/receiver.ts';
import { Reception } from '../../src/transfer/reception.ts';
import { runSender, type SenderOptions } from '../../src/transfer/sender.ts';
import { SlowClock } from '../support/clock.ts';
import { withGreeting } from '../support/greeted.ts';
import { cable, MemoryInbox, MemoryOutbox, type Tree, textDigest } from '../support/memory.ts';

const alive: Message = { type: 'alive' };

/** A channel of somebody who may say anything, and what was said over it. */
function channelTo(said: Message[]): Channel {
  const { left } = cable();
  const channel = new Channel('chooser', left);
  channel.say = async (message) => void said.push(message);
  return channel;
}

const chunk = (offset: number): Message => ({
  type: 'chunk',
  entry: 0,
  offset,
  bytes: new Uint8Array(1),
});

async function turns(count: number): Promise<void> {
  for (; count > 0; count--) await new Promise((resolve) => setImmediate(resolve));
}

describe('what is passed', () => {
  test('is said in the order in which it was passed, however long each takes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.option(fc.nat(4)), { minLength: 1, maxLength: 20 }),
        async (delays) => {
          const said: Message[] = [];
          const heard: Message[] = [];
          const { signal } = new AbortController();
          const outflow = new Outflow(channelTo(said), { signal });
          const all = delays.map((_, i) => chunk(i));
          for (const [i, delay] of delays.entries()) {
            const message = all[i] as Message;
            const ready = delay === null ? message : turns(delay).then(() => message);
            await outflow.pass(ready, (one) => heard.push(one));
          }
          await outflow.passed();
          expect(said).toEqual(all);
          expect(heard).toEqual(all);
        },
      ),
    );
  });

  test('is followed by nothing if it cannot be made ready', async () => {
    const said: Message[] = [];
    const { signal } = new AbortController();
    const outflow = new Outflow(channelTo(said), { signal });
    await outflow.pass(chunk(0));
    await outflow.pass(Promise.reject(new DropError('unreadable')));
    await expect(outflow.pass(chunk(1)).then(() => outflow.passed())).rejects.toThrow();
    expect(said).toEqual([chunk(0)]);
  });
});

/** A pace that never lets anything go on. */
const NEVER: Pacing = {
  most: 1_000,
  count: () => {},
  take: (_, signal) =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason));
    }),
};

function transfer(tree: Tree, options: SenderOptions) {
  const wire = cable();
  const inbox = new MemoryInbox();
  const channel = new Channel('chooser', wire.left);
  const delivery = new Delivery(new MemoryOutbox(tree, { block: 5_000 }));
  const host = {
    freely: false,
    digests: ['sha256'] as const,
    reception: async () => new Reception('0'.repeat(32), 'posix', textDigest),
    open: async () => inbox,
    ask: async () => 'yes' as const,
  };
  const both = Promise.all([
    withGreeting(channel, (greeted) => runSender(greeted, delivery, () => {}, options)),
    withGreeting(new Channel('announcer', wire.right), (greeted) =>
      runReceiver(greeted, host, () => {}),
    ),
  ]).finally(wire.pull);
  return { wire, inbox, channel, both };
}

describe('a pace', () => {
  test('is asked before data goes, in portions, and told of all the rest', async () => {
    let [taken, counted, largest] = [0, 0, 0];
    const pace: Pacing = {
      most: 1_000,
      count: (bytes) => {
        counted += bytes;
      },
      async take(bytes) {
        taken += bytes;
        largest = Math.max(largest, bytes);
      },
    };
    const files = Array.from({ length: 50 }, (_, i) => [`${i}`, new Uint8Array(i * 100)]);
    const tree: Tree = { big: new Uint8Array(50_000), ...Object.fromEntries(files) };
    const { both, wire, inbox } = transfer(tree, { pace });
    await both;
    expect(inbox.stored).toEqual(tree);
    expect(largest).toBe(5 + 12 + 1_000);
    expect(counted).toBeGreaterThan(1_000);
    // Greeting, beginning, roots and the last word are not counted; they are nothing.
    const left = wire.carried.there - taken - counted;
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(600);
  });

  test('that two transfers share holds them together, and neither is before the other', async () => {
    const clock = new SlowClock();
    const rate = 1_000_000;
    const pace = new Pace(rate, clock);
    const began = clock.now();
    const all = [1, 2].map(() => transfer({ big: new Uint8Array(500_000) }, { pace }));
    const carried = (): number[] => all.map(({ wire }) => wire.carried.there);
    const apart: number[] = [];
    const both = Promise.all(
      all.map(({ wire, both }) => {
        const { write } = wire.left;
        wire.left.write = async (...parts) => {
          await write(...parts);
          const [one = 0, other = 0] = carried();
          // Once one is done, the other has the rate for itself.
          if (Math.max(one, other) < 490_000) apart.push(Math.abs(one - other));
          expect(one + other).toBeLessThan(
            (rate * (clock.now() - began + 100)) / 1_000 + 2 * pace.most,
          );
        };
        return both;
      }),
    );
    await clock.run(both, 20);
    expect(carried().every((bytes) => bytes > 500_000)).toBe(true);
    expect(apart.length).toBeGreaterThan(100);
    expect(Math.max(...apart)).toBeLessThan(3 * pace.most);
    expect(clock.now() - began).toBeLessThan(1_200);
  });

  test('holds up no sign of life', async () => {
    const { both, channel, wire } = transfer({ a: new Uint8Array(10) }, { pace: NEVER });
    both.catch(() => {});
    await turns(20);
    const before = wire.carried.there;
    await channel.say(alive);
    expect(wire.carried.there).toBe(before + concat(...encode(alive)).length);
    channel.fail(new DropError('cancelled'));
  });

  test('keeps nobody from stopping', async () => {
    const { both, channel } = transfer({ a: new Uint8Array(10) }, { pace: NEVER });
    const ended = expect(both).rejects.toMatchObject({ code: 'cancelled' });
    await turns(20);
    channel.fail(new DropError('cancelled'));
    await ended;
  });
});
