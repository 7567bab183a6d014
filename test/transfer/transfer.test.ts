import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DropError, type ErrorCode } from '../../src/errors.ts';
import type { Extent, PeerId } from '../../src/events.ts';
import { MAX_OPEN_ENTRIES } from '../../src/limits.ts';
import { concat } from '../../src/protocol/bytes.ts';
import { type DataEntry, type Entry, type FileEntry, sizeOf } from '../../src/protocol/manifest.ts';
import { type DigestName, encode, type Message } from '../../src/protocol/message.ts';
import { Channel, type Pipe } from '../../src/transfer/channel.ts';
import { Delivery } from '../../src/transfer/delivery.ts';
import { greetAsChooser } from '../../src/transfer/greeting.ts';
import type { Placement } from '../../src/transfer/inbox.ts';
import type { Block, Outbox, Whole } from '../../src/transfer/outbox.ts';
import { type Host, runReceiver } from '../../src/transfer/receiver.ts';
import { Reception } from '../../src/transfer/reception.ts';
import type { Report } from '../../src/transfer/report.ts';
import { runSender } from '../../src/transfer/sender.ts';
import { Crossroads, type Move } from '../support/crossroads.ts';
import { withGreeting } from '../support/greeted.ts';
import {
  type Cable,
  cable,
  digestOf,
  MemoryInbox,
  MemoryOutbox,
  sha256,
  type Tree,
  textDigest,
} from '../support/memory.ts';

const TRANSFER = '00112233445566778899aabbccddeeff';
const bytes = (length: number, seed = 1): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 17) % 251);

interface Outcome {
  readonly sender: { readonly error?: unknown; readonly reports: Report[] };
  readonly receiver: { readonly error?: unknown; readonly reports: Report[] };
}

/** One whole transfer between two ends that know each other. */
async function transfer(
  outbox: Outbox,
  inbox: MemoryInbox,
  wire: Cable = cable(),
  ask: Host['ask'] = async () => 'yes',
  digests: Host['digests'] = ['sha256'],
  crossroads?: Crossroads,
): Promise<Outcome> {
  const sent: Report[] = [];
  const received: Report[] = [];
  const [sender, receiver] = await Promise.allSettled([
    withGreeting(new Channel('chooser', wire.left), (channel) =>
      runSender(channel, new Delivery(outbox), (report) => {
        crossroads?.hear(channel, report);
        sent.push(report);
      }),
    ).finally(() => {
      wire.pull();
      crossroads?.second.pull();
    }),
    withGreeting(new Channel('announcer', wire.right), (channel) => {
      const dial = crossroads && (() => crossroads.dial(channel));
      const host = { ...newcomer(inbox), ask, digests, ...(dial && { dial }) };
      return runReceiver(channel, host, (report) => received.push(report));
    }),
  ]);
  return {
    sender: { reports: sent, ...errorOf(sender) },
    receiver: { reports: received, ...errorOf(receiver) },
  };
}

/** What is told of an inbox to which nothing was sent before. */
function newcomer(inbox: MemoryInbox): Omit<Host, 'ask'> {
  return {
    freely: false,
    digests: ['sha256'],
    reception: async () => new Reception(TRANSFER, 'posix', textDigest),
    open: async () => inbox,
  };
}

function errorOf(result: PromiseSettledResult<void>): { error?: unknown } {
  return result.status === 'rejected' ? { error: result.reason } : {};
}

function codeOf(error: unknown): ErrorCode | undefined {
  if (error !== undefined && !(error instanceof DropError)) throw error;
  return error?.code;
}

function failures(reports: readonly Report[]): [string, ErrorCode][] {
  return reports.flatMap((report) =>
    report.type === 'failed' ? [[report.path, report.code] as [string, ErrorCode]] : [],
  );
}

const TREE: Tree = {
  'a.txt': bytes(20),
  empty: bytes(0),
  'photos/': null,
  'photos/none/': null,
  'photos/one.jpg': bytes(100, 2),
  'photos/link': 'one.jpg',
  'photos/two.jpg': bytes(33, 3),
};

test('everything arrives as it was sent, and both sides say so', async () => {
  const inbox = new MemoryInbox();
  const { sender, receiver } = await transfer(new MemoryOutbox(TREE), inbox);
  expect(sender.error).toBeUndefined();
  expect(receiver.error).toBeUndefined();
  expect(inbox.stored).toEqual(TREE);
  for (const { reports } of [sender, receiver]) {
    const stored = reports.flatMap((report) =>
      report.type === 'stored' ? [report.entry.path] : [],
    );
    expect(stored.sort()).toEqual(['a.txt', 'empty', 'photos/one.jpg', 'photos/two.jpg']);
    expect(reports).toContainEqual({
      type: 'offered',
      files: 4,
      bytes: 153,
      sized: true,
      final: true,
    });
    expect(failures(reports)).toEqual([]);
  }
});

/** Looks on the disk for what is offered until it is told to stop. */
class Looking extends MemoryInbox {
  gone: AbortSignal | undefined;
  stop = (): void => {};

  override place(_: Entry, __: unknown, gone?: AbortSignal): Promise<Placement> {
    this.gone = gone;
    return new Promise((resolve) => {
      this.stop = () => resolve({ want: 'all' });
      gone?.addEventListener('abort', this.stop);
    });
  }
}

describe('what the receiver is looking for on its disk', () => {
  test.each<[string, ErrorCode, boolean, (sender: Channel, wire: Cable) => void]>([
    [
      'is given up once nobody comes back for it',
      'cancelled',
      true,
      (sender) => sender.fail(new DropError('cancelled')),
    ],
    [
      'is not given up after a loss, as somebody may',
      'disconnected',
      false,
      (_, wire) => wire.pull(),
    ],
  ])('%s', async (_, code, isGone, end) => {
    const inbox = new Looking();
    const wire = cable();
    const sender = new Channel('chooser', wire.left);
    const delivery = new Delivery(new MemoryOutbox({ a: bytes(20) }));
    const sending = withGreeting(sender, () => runSender(sender, delivery, () => {}));
    const host: Host = { ...newcomer(inbox), ask: async () => 'yes' };
    const receiver = new Channel('announcer', wire.right);
    const receiving = withGreeting(receiver, () => runReceiver(receiver, host, () => {}));
    sending.catch(() => {});
    await expect.poll(() => inbox.gone).toBeDefined();
    end(sender, wire);
    if (!isGone) inbox.stop();
    await expect(receiving).rejects.toMatchObject({ code });
    expect(inbox.gone?.aborted).toBe(isGone);
  });
});

test.each<[DigestName, readonly string[], readonly DigestName[]]>([
  ['blake3', ['blake3', 'sha256'], ['blake3', 'sha256']],
  ['sha256', ['sha256', 'blake3'], ['blake3', 'sha256']],
  ['sha256', ['blake3', 'sha256'], ['sha256']],
  ['sha256', ['sha256'], ['blake3', 'sha256']],
  ['blake3', ['later', 'blake3', 'sha256'], ['sha256', 'blake3']],
])(
  'files are told by %s where the sender offers %j and the receiver knows %j',
  async (name, theirs, ours) => {
    const inbox = new MemoryInbox();
    inbox.parts.set('a.txt', bytes(20).subarray(0, 12));
    inbox.stored.same = bytes(3);
    inbox.compares = true;
    const tree: Tree = { 'a.txt': bytes(20), same: bytes(3), new: bytes(9) };
    const outbox = new MemoryOutbox(tree, { digests: theirs as DigestName[] });
    const { sender, receiver } = await transfer(outbox, inbox, cable(), async () => 'yes', ours);
    expect([sender.error, receiver.error]).toEqual([undefined, undefined]);
    expect(inbox.stored).toEqual(tree);
    expect(inbox.digest).toBe(name);
    for (const { reports } of [sender, receiver]) {
      expect(reports.flatMap((one) => (one.type === 'stored' ? [told(one)] : []))).toEqual(
        ['a.txt', 'new'].map((path) => [path, name, digestOf(name, tree[path] as Uint8Array)]),
      );
      // What lay there was compared, and went on, by the same.
      expect(reports).toContainEqual(expect.objectContaining({ type: 'skipped' }));
      expect(reports).toContainEqual(expect.objectContaining({ type: 'started', from: 12 }));
    }
  },
);

function told({ entry, algorithm, digest }: Report & { type: 'stored' }): unknown[] {
  return [entry.path, algorithm, new Uint8Array(digest)];
}

test('who is told that all is done finds the inbox closed', async () => {
  let closed = false;
  const inbox = new (class extends MemoryInbox {
    override async close(): Promise<void> {
      await new Promise((resolve) => setTimeout(resolve, 10));
      closed = true;
    }
  })();
  const { left, right, pull } = cable();
  await Promise.all([
    withGreeting(new Channel('chooser', left), async (channel) => {
      await runSender(channel, new Delivery(new MemoryOutbox(TREE)), () => {});
      expect(closed).toBe(true);
      pull();
    }),
    withGreeting(new Channel('announcer', right), (channel) =>
      runReceiver(channel, { ...newcomer(inbox), ask: async () => 'yes' }, () => {}),
    ),
  ]);
});

describe('a part that was chosen', () => {
  /** One transfer in which the receiver has chosen the sender, and what it wants. */
  async function get(
    tree: Tree,
    wants: (entry: Entry) => boolean,
    inbox = new MemoryInbox(),
    outbox = new MemoryOutbox(tree),
  ): Promise<Outcome & { asked: Extent[]; inbox: MemoryInbox }> {
    const wire = cable();
    const asked: Extent[] = [];
    const sent: Report[] = [];
    const received: Report[] = [];
    const host: Host = {
      ...newcomer(inbox),
      reception: async () => new Reception(TRANSFER, 'posix', textDigest, { wants }),
      ask: async (extent) => {
        asked.push(extent);
        return 'yes';
      },
    };
    const [sender, receiver] = await Promise.allSettled([
      withGreeting(new Channel('announcer', wire.left), (channel) =>
        runSender(channel, new Delivery(outbox), (report) => sent.push(report)),
      ),
      withGreeting(
        new Channel('chooser', wire.right),
        (channel) => runReceiver(channel, host, (report) => received.push(report)),
        'get',
      ),
    ]);
    return {
      asked,
      inbox,
      sender: { reports: sent, ...errorOf(sender) },
      receiver: { reports: received, ...errorOf(receiver) },
    };
  }

  test('comes with the folders that it lies in, and both sides count that only', async () => {
    const { asked, inbox, sender, receiver } = await get(TREE, ({ path }) => /one|none/.test(path));
    expect([sender.error, receiver.error]).toEqual([undefined, undefined]);
    expect(inbox.stored).toEqual({
      'photos/': null,
      'photos/none/': null,
      'photos/one.jpg': TREE['photos/one.jpg'],
    });
    expect(asked).toMatchObject([{ files: 1, bytes: 100 }]);
    for (const { reports } of [sender, receiver]) {
      expect(reports.findLast(({ type }) => type === 'offered')).toEqual({
        type: 'offered',
        files: 1,
        bytes: 100,
        sized: true,
        final: true,
      });
      const skipped = reports.flatMap((one) =>
        one.type === 'skipped' ? [[one.entry.path, one.reason]] : [],
      );
      expect(skipped).toEqual(
        ['a.txt', 'empty', 'photos/two.jpg'].map((path) => [path, 'unwanted']),
      );
      expect(failures(reports)).toEqual([]);
    }
  });

  test('lacks nothing if what cannot be offered is no part of it', async () => {
    const tree = { a: bytes(1), b: bytes(1) };
    const also = [{ kind: 'unsendable', path: 'b/locked', reason: 'unreadable' }] as const;
    const { sender, receiver } = await get(
      tree,
      ({ path }) => path === 'a',
      new MemoryInbox(),
      new MemoryOutbox(tree, { also }),
    );
    expect([sender.error, receiver.error]).toEqual([undefined, undefined]);
    expect(failures(receiver.reports)).toEqual([]);
    for (const { reports } of [sender, receiver])
      expect(reports.findLast(({ type }) => type === 'offered')).toMatchObject({ files: 1 });
  });

  test('needs no more room than it takes', async () => {
    const tree = { large: bytes(3000), small: bytes(10) };
    const inbox = new MemoryInbox();
    inbox.free = 100;
    const { receiver } = await get(tree, ({ path }) => path === 'small', inbox);
    expect(receiver.error).toBeUndefined();
  });

  test('may be nothing, and of very many', async () => {
    const many = Object.fromEntries(
      Array.from({ length: MAX_OPEN_ENTRIES + 1000 }, (_, i) => [`d/${i}`, bytes(1)]),
    );
    const { asked, inbox, sender, receiver } = await get({ 'd/': null, ...many }, () => false);
    expect([sender.error, receiver.error]).toEqual([undefined, undefined]);
    expect(inbox.stored).toEqual({});
    // However much is offered, there is nothing to ask again about.
    expect(asked).toHaveLength(1);
    expect(sender.reports.findLast(({ type }) => type === 'offered')).toMatchObject({
      files: 0,
      bytes: 0,
    });
  });
});

test('nothing at all is a transfer too', async () => {
  const { sender, receiver } = await transfer(new MemoryOutbox({}), new MemoryInbox());
  expect([sender.error, receiver.error]).toEqual([undefined, undefined]);
});

describe('a cable that is pulled', () => {
  const trees = fc
    .dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.uint8Array({ maxLength: 300, size: 'max' }), {
      maxKeys: 6,
    })
    .map((files): Tree => files);
  const cuts = fc.array(fc.integer({ min: 1, max: 2_000 }), { maxLength: 4 });

  test('every file arrives, wherever it was pulled, however often', async () => {
    let resumed = 0;
    await fc.assert(
      fc.asyncProperty(trees, cuts, fc.integer({ min: 1, max: 50 }), async (tree, at, slice) => {
        const inbox = new MemoryInbox();
        for (const cutAfter of at) {
          const { sender } = await transfer(
            new MemoryOutbox(tree),
            inbox,
            cable({ cutAfter, slice }),
          );
          expect(['disconnected', undefined]).toContain(codeOf(sender.error));
          // Whatever the sender counts as delivered is there.
          for (const report of sender.reports)
            if (report.type === 'stored') expect(inbox.stored).toHaveProperty([report.entry.path]);
        }
        const { sender, receiver } = await transfer(
          new MemoryOutbox(tree),
          inbox,
          cable({ slice }),
        );
        expect([sender.error, receiver.error]).toEqual([undefined, undefined]);
        expect(inbox.stored).toEqual(tree);
        resumed += sender.reports.some((one) => one.type === 'started' && one.from > 0) ? 1 : 0;
      }),
      { numRuns: 200 },
    );
    // Or else the generator never visits what this is about.
    expect(resumed).toBeGreaterThan(20);
  });

  test('a sender never believes in success without the last word of the receiver', async () => {
    const whole = cable();
    await transfer(new MemoryOutbox(TREE), new MemoryInbox(), whole);
    const all = whole.carried.there + whole.carried.back;
    for (let cutAfter = 1; cutAfter < all; cutAfter += 1) {
      const { sender } = await transfer(
        new MemoryOutbox(TREE),
        new MemoryInbox(),
        cable({ cutAfter }),
      );
      expect(codeOf(sender.error)).toBe('disconnected');
    }
  });
});

describe('a transfer that moves to another cable', () => {
  const trees = fc
    .dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.uint8Array({ maxLength: 300, size: 'max' }), {
      minKeys: 1,
      maxKeys: 8,
    })
    .map((files): Tree => files);
  const moves: fc.Arbitrary<Move> = fc.record({
    after: fc.nat(600),
    sender: fc.nat(15),
    receiver: fc.nat(15),
  });

  test('goes on as if nothing had happened, whenever it moves and whoever is first', async () => {
    const visited = { stayed: 0, moved: 0, senderFirst: 0, receiverFirst: 0, shared: 0 };
    await fc.assert(
      fc.asyncProperty(trees, moves, fc.integer({ min: 1, max: 60 }), async (tree, move, slice) => {
        const inbox = new MemoryInbox();
        const wire = cable({ slice });
        const crossroads = new Crossroads(move, slice);
        const outbox = new MemoryOutbox(tree);
        const ask: Host['ask'] = async () => 'yes';
        const outcome = await transfer(outbox, inbox, wire, ask, ['sha256'], crossroads);
        expect([outcome.sender.error, outcome.receiver.error]).toEqual([undefined, undefined]);
        expect(inbox.stored).toEqual(tree);
        const { moved, second } = crossroads;
        const { there, back } = second.carried;
        expect([there > 0, back > 0]).toEqual([moved.receiver, moved.receiver]);
        expect(moved.sender).toBe(moved.receiver);
        if (!moved.sender) visited.stayed += 1;
        else {
          visited.moved += 1;
          visited[(move.sender ?? 0) < move.receiver ? 'senderFirst' : 'receiverFirst'] += 1;
          if (wire.carried.there > 1_000 && there > 200) visited.shared += 1;
        }
      }),
      { numRuns: 300 },
    );
    for (const [what, times] of Object.entries(visited)) expect(times, what).toBeGreaterThan(20);
  });

  test('stays where it is if the other one cannot be made', async () => {
    const inbox = new MemoryInbox();
    const crossroads = new Crossroads({ after: 10, sender: null, receiver: 3 }, 20);
    const outbox = new MemoryOutbox(TREE);
    const ask: Host['ask'] = async () => 'yes';
    const outcome = await transfer(outbox, inbox, cable(), ask, ['sha256'], crossroads);
    expect([outcome.sender.error, outcome.receiver.error]).toEqual([undefined, undefined]);
    expect(inbox.stored).toEqual(TREE);
    expect(crossroads.moved).toEqual({ sender: false, receiver: false });
  });
});

describe('a sender that moves as none should', () => {
  /** A receiver that has accepted a file, and what else there is of the conversation. */
  async function accepted(dial?: Host['dial']) {
    const first = cable();
    const second = cable();
    const channel = new Channel('announcer', first.right);
    const host: Host = {
      ...newcomer(new MemoryInbox()),
      ask: async () => 'yes',
      dial: dial ?? (() => void channel.expect(Promise.resolve(second.right))),
    };
    const run = withGreeting(channel, (greeted) => runReceiver(greeted, host, () => {}));
    run.catch(() => {}); // It is looked at in the end.
    const sender = new Channel('chooser', first.left);
    await new Promise<void>((resolve, reject) => {
      withGreeting(sender, async () => resolve()).catch(reject);
    });
    const entries: FileEntry[] = [{ kind: 'file', path: 'a', size: 300, mtime: 0 }];
    await sender.say(
      { type: 'begin', continues: null, checksum: false, digests: ['sha256'] },
      { type: 'roots', names: ['a'], final: true },
      { type: 'offer', entries, files: 1, bytes: 300, final: true },
    );
    await sender.hear('begun');
    await sender.hear('accept');
    await sender.hear('want');
    const say = (...messages: Message[]) => first.left.write(...messages.flatMap(encode));
    return { run, say, sender, channel, first, second };
  }
  const dialled: Message = { type: 'dial', port: 40_001 };
  const moved: Message = { type: 'moved' };
  const chunk: Message = { type: 'chunk', entry: 0, offset: 0, bytes: bytes(100) };

  test('and goes on where it was, has broken the protocol', async () => {
    const { run, say, first } = await accepted();
    await say(dialled);
    await first.left.write(concat(...[moved, chunk].flatMap(encode)));
    await expect(run).rejects.toMatchObject({ code: 'protocol' });
  });

  test('and leaves half a message behind, has broken the protocol', async () => {
    const { run, say, first } = await accepted();
    await say(dialled);
    const half = encode(chunk)[0]?.subarray(0, 3) ?? new Uint8Array(0);
    await first.left.write(concat(...encode(moved), half));
    await expect(run).rejects.toMatchObject({ code: 'protocol' });
  });

  test('to one that has not dialled, has broken the protocol', async () => {
    const { run, say } = await accepted(() => {});
    await say(dialled, moved);
    await expect(run).rejects.toMatchObject({ code: 'protocol' });
  });

  test('to one that could not dial, has lost the connection', async () => {
    let expecting = (): void => {};
    const one = await accepted(() => expecting());
    expecting = () => void one.channel.expect(Promise.reject(new DropError('wrong-peer')));
    await one.say(dialled, moved);
    await expect(one.run).rejects.toMatchObject({ code: 'disconnected' });
  });

  test('to one that is still dialling, keeps nobody from giving up', async () => {
    let expecting = (): void => {};
    const one = await accepted(() => expecting());
    expecting = () => void one.channel.expect(new Promise(() => {}));
    await one.say(dialled, moved);
    await new Promise((resolve) => setTimeout(resolve, 10));
    one.channel.fail(new DropError('cancelled'));
    await expect(one.run).rejects.toMatchObject({ code: 'cancelled' });
  });
});

describe('resuming', () => {
  test('goes on after what was kept, if that is the start of the file', async () => {
    const inbox = new MemoryInbox();
    inbox.parts.set('a.txt', bytes(20).subarray(0, 12));
    const { sender } = await transfer(new MemoryOutbox({ 'a.txt': bytes(20) }), inbox);
    expect(sender.reports).toContainEqual(expect.objectContaining({ type: 'started', from: 12 }));
    expect(inbox.stored).toEqual({ 'a.txt': bytes(20) });
  });

  test('starts over if what was kept is something else', async () => {
    const inbox = new MemoryInbox();
    inbox.parts.set('a.txt', bytes(12, 9));
    const { sender } = await transfer(new MemoryOutbox({ 'a.txt': bytes(20) }), inbox);
    expect(sender.reports).toContainEqual(expect.objectContaining({ type: 'started', from: 0 }));
    expect(inbox.stored).toEqual({ 'a.txt': bytes(20) });
  });

  test('of a file that has gone meanwhile is no end of the others', async () => {
    class Gone extends MemoryOutbox {
      override read(
        ...[entry, kept]: Parameters<MemoryOutbox['read']>
      ): ReturnType<MemoryOutbox['read']> {
        if (entry.path === 'a.txt') throw new DropError('missing');
        return super.read(entry, kept);
      }
    }
    const inbox = new MemoryInbox();
    inbox.parts.set('a.txt', bytes(12));
    const { sender } = await transfer(new Gone({ 'a.txt': bytes(20), b: bytes(3) }), inbox);
    expect(failures(sender.reports)).toEqual([['a.txt', 'missing']]);
    expect(inbox.stored).toEqual({ b: bytes(3) });
  });

  test('of a stream starts over if what was kept is of another one, even if that was empty', async () => {
    for (const content of [bytes(0), bytes(20)]) {
      class Piped extends MemoryOutbox {
        override async *entries(): AsyncGenerator<Entry> {
          yield { kind: 'stream', path: 'piped' };
        }
      }
      const inbox = new MemoryInbox();
      inbox.parts.set('piped', bytes(12, 9));
      const { sender, receiver } = await transfer(new Piped({ piped: content }), inbox);
      expect([sender.error, receiver.error]).toEqual([undefined, undefined]);
      expect(failures(receiver.reports)).toEqual([]);
      expect(inbox.stored).toEqual({ piped: content });
    }
  });

  test('does not send again what is there', async () => {
    const inbox = new MemoryInbox();
    inbox.stored['a.txt'] = bytes(20);
    const { sender } = await transfer(new MemoryOutbox({ 'a.txt': bytes(20), b: bytes(3) }), inbox);
    expect(sender.reports).toContainEqual(
      expect.objectContaining({ type: 'skipped', reason: 'unchanged' }),
    );
    expect(sender.reports.filter(({ type }) => type === 'moved')).toHaveLength(1);
  });
});

describe('one bad file does not stop the others', () => {
  const rest = { ...TREE };
  delete rest['photos/one.jpg'];

  test.each([0, 50, 100])('when reading it fails after %i bytes', async (after) => {
    const inbox = new MemoryInbox();
    const outbox = new MemoryOutbox(TREE, {
      spoil: { 'photos/one.jpg': { after, code: 'changed' } },
    });
    const { sender, receiver } = await transfer(outbox, inbox);
    expect([sender.error, receiver.error]).toEqual([undefined, undefined]);
    expect(inbox.stored).toEqual(rest);
    expect(failures(sender.reports)).toEqual([['photos/one.jpg', 'changed']]);
    expect(failures(receiver.reports)).toEqual([['photos/one.jpg', 'changed']]);
  });

  test.each([-1, 0, 50])('when storing it fails after %i bytes', async (after) => {
    const inbox = new MemoryInbox();
    inbox.broken['photos/one.jpg'] = { after, code: 'not-permitted' };
    const { sender, receiver } = await transfer(new MemoryOutbox(TREE), inbox);
    expect([sender.error, receiver.error]).toEqual([undefined, undefined]);
    expect(inbox.stored).toEqual(rest);
    expect(failures(receiver.reports)).toEqual([['photos/one.jpg', 'not-permitted']]);
    expect(failures(sender.reports)).toEqual([['photos/one.jpg', 'peer-disk']]);
  });

  test('when both give it up at once', async () => {
    const inbox = new MemoryInbox();
    inbox.broken['photos/one.jpg'] = { after: 10, code: 'disk-full' };
    const outbox = new MemoryOutbox(TREE, {
      spoil: { 'photos/one.jpg': { after: 21, code: 'unreadable' } },
    });
    const { sender, receiver } = await transfer(outbox, inbox);
    expect([sender.error, receiver.error]).toEqual([undefined, undefined]);
    expect(inbox.stored).toEqual(rest);
    expect(failures(sender.reports)).toHaveLength(1);
  });

  test('when it is a folder that cannot be made: all in it fails, and nothing else', async () => {
    const inbox = new MemoryInbox();
    inbox.broken.photos = { after: -1, code: 'not-permitted' };
    const { sender, receiver } = await transfer(new MemoryOutbox(TREE), inbox);
    expect([sender.error, receiver.error]).toEqual([undefined, undefined]);
    expect(Object.keys(inbox.stored).sort()).toEqual(['a.txt', 'empty']);
    expect(failures(receiver.reports)).toHaveLength(5);
  });

  test('when it cannot even be offered', async () => {
    const outbox = new MemoryOutbox(TREE, {
      also: [
        { kind: 'unsendable', path: 'secret', reason: 'unreadable' },
        { kind: 'unsendable', path: 'socket', reason: 'unsupported' },
      ],
    });
    const { sender, receiver } = await transfer(outbox, new MemoryInbox());
    expect([sender.error, receiver.error]).toEqual([undefined, undefined]);
    expect(failures(sender.reports)).toEqual([['secret', 'unreadable']]);
    expect(sender.reports).toContainEqual({ type: 'ignored', path: 'socket' });
  });
});

test('what the receiver could not make at the end is no success for the sender', async () => {
  class NoLinks extends MemoryInbox {
    override async finish(): Promise<{ path: string; code: ErrorCode }[]> {
      return [{ path: 'photos/link', code: 'not-permitted' }];
    }
  }
  const { sender, receiver } = await transfer(new MemoryOutbox(TREE), new NoLinks());
  expect([sender.error, receiver.error]).toEqual([undefined, undefined]);
  expect(sender.reports).toContainEqual({ type: 'missed', count: 1 });
  expect(failures(receiver.reports)).toEqual([['photos/link', 'not-permitted']]);
});

describe('a bug or a broken disk in the middle of a commit', () => {
  test('ends the transfer as what it is', async () => {
    class Broken extends MemoryInbox {
      override async open(...args: Parameters<MemoryInbox['open']>) {
        const file = await super.open(...args);
        return { ...file, commit: () => Promise.reject(new Error('a bug')) };
      }
    }
    const { receiver } = await transfer(new MemoryOutbox(TREE), new Broken());
    expect(receiver.error).toMatchObject({ message: 'a bug' });
  });
});

describe('a peer that reads nothing', () => {
  /** A pipe whose writes wait until it is ended. */
  function deaf(): Pipe & { hear(...messages: Message[]): void } {
    const heard: Uint8Array[] = [];
    let wake = (): void => {};
    let ended = false;
    return {
      hear(...messages) {
        for (const message of messages) heard.push(...encode(message));
        wake();
      },
      incoming: {
        async *[Symbol.asyncIterator]() {
          for (;;) {
            const bytes = heard.shift();
            if (bytes) yield bytes;
            else if (ended) throw new DropError('disconnected');
            else
              await new Promise<void>((resolve) => {
                wake = resolve;
              });
          }
        },
      },
      async write() {
        while (!ended) await new Promise((resolve) => setTimeout(resolve, 5));
        throw new DropError('disconnected');
      },
      async end() {
        ended = true;
        wake();
      },
    };
  }

  test('cannot keep us when we give up', async () => {
    const pipe = deaf();
    const channel = new Channel('chooser', pipe);
    const greeting = greetAsChooser(
      channel,
      { me: 'a' as PeerId, peer: 'b' as PeerId, binding: new Uint8Array(32) },
      { intent: 'send', knows: true },
    );
    channel.fail(new DropError('cancelled'));
    await expect(greeting).rejects.toBeInstanceOf(DropError);
  });

  test('cannot keep us when it breaks the protocol meanwhile', async () => {
    const pipe = deaf();
    const channel = new Channel('announcer', pipe);
    pipe.hear(
      { type: 'hello', newest: 1, oldest: 1, intent: 'send', knows: true },
      { type: 'intro', name: 'x' },
    );
    await channel.hear('hello');
    void channel
      .say({ type: 'welcome', newest: 1, oldest: 1, terms: 'known', epoch: 0 })
      .catch(() => {});
    void channel.say({ type: 'intro', name: 'y' }).catch(() => {});
    await channel.hear('intro');
    const host = { ...newcomer(new MemoryInbox()), freely: true, ask: async () => 'yes' as const };
    const run = runReceiver(channel, host, () => {});
    pipe.hear(
      { type: 'begin', continues: null, checksum: false, digests: ['sha256'] },
      { type: 'roots', names: ['a'], final: true },
      { type: 'offer', entries: [], files: 0, bytes: 0, final: true },
      { type: 'done' },
      { type: 'done' },
    );
    await expect(run).rejects.toMatchObject({ code: 'protocol' });
  });
});

describe('the answer', () => {
  test.each(['declined', 'no-answer', 'refused'] as const)(
    '"%s" reaches the sender',
    async (no) => {
      const inbox = new MemoryInbox();
      const { sender, receiver } = await transfer(
        new MemoryOutbox(TREE),
        inbox,
        cable(),
        async () => no,
      );
      expect([codeOf(sender.error), codeOf(receiver.error)]).toEqual([no, no]);
      expect(inbox.stored).toEqual({});
    },
  );

  test('is not waited for when the sender goes away', async () => {
    const wire = cable();
    const { receiver } = await transfer(
      new MemoryOutbox(TREE),
      new MemoryInbox(),
      wire,
      (_, signal) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => resolve('no-answer'));
          wire.pull();
        }),
    );
    expect(codeOf(receiver.error)).toBe('disconnected');
  });

  test('is no for each file for which there is no room, while it is still being counted', async () => {
    // Something is here already, so nobody knows how much will be wanted.
    const inbox = Object.assign(new MemoryInbox(), { fresh: false });
    inbox.free = 100;
    const tree: Tree = { 'a/': null };
    for (let i = 0; i < 300; i++) tree[`a/${i}`] = bytes(1);
    const wire = cable();
    const { sender, receiver } = await transfer(new MemoryOutbox(tree), inbox, wire);
    // 300 bytes were offered where there is room for 100.
    expect(codeOf(sender.error) ?? failures(sender.reports)[0]?.[1]).toBe('peer-full');
    // What is on its way counts with what is stored, give or take a few; the others are not begun.
    expect(Object.keys(inbox.stored).length).toBeLessThan(200);
    const begun = receiver.reports.filter(({ type }) => type === 'started');
    expect(begun.length).toBeLessThan(200);
  });

  test('is no when there is not enough room', async () => {
    const inbox = new MemoryInbox();
    inbox.free = 100;
    const { sender, receiver } = await transfer(new MemoryOutbox(TREE), inbox);
    expect([codeOf(sender.error), codeOf(receiver.error)]).toEqual(['peer-full', 'disk-full']);
  });
});

describe('a large offer', () => {
  const many = 30_000;
  class ManyFiles extends MemoryOutbox {
    ahead = 0;
    constructor() {
      super({ 'many/': null });
    }
    override async *entries(): AsyncGenerator<Entry> {
      yield { kind: 'folder', path: 'many', mtime: 0 };
      for (let i = 0; i < many; i++)
        yield { kind: 'file', path: `many/${i}`, size: i % 2, mtime: 0 };
    }
    override async *read(entry: DataEntry): AsyncGenerator<Block, Uint8Array, undefined> {
      const content = bytes(sizeOf(entry));
      if (content.length > 0) yield { offset: 0, bytes: content };
      return sha256(content);
    }
    override readTogether(files: readonly FileEntry[]): (Whole | DropError)[] {
      return files.map(({ size }) => ({ bytes: bytes(size), digest: sha256(bytes(size)) }));
    }
  }

  test('is asked about before it is all there, and again when it outgrows the answer', async () => {
    const asked: { files: number; final: boolean }[] = [];
    const inbox = new MemoryInbox();
    const { sender, receiver } = await transfer(new ManyFiles(), inbox, cable(), async (extent) => {
      asked.push({ files: extent.files, final: extent.final });
      return 'yes';
    });
    expect([sender.error, receiver.error]).toEqual([undefined, undefined]);
    expect(Object.keys(inbox.stored)).toHaveLength(many + 1);
    expect(asked[0]?.final).toBe(false);
    expect(asked[0]?.files).toBeLessThan(MAX_OPEN_ENTRIES);
    expect(asked.length).toBeGreaterThan(1);
    expect(asked.length).toBeLessThan(10);
  });

  test('is asked about again although none of the first could be sent', async () => {
    class AllGone extends ManyFiles {
      // Fewer fit into an offer, so that the last ones come before all that was covered is settled.
      override async *entries(): AsyncGenerator<Entry> {
        yield { kind: 'folder', path: 'many', mtime: 0 };
        const name = 'x'.repeat(180);
        for (let i = 0; i < many; i++)
          yield { kind: 'file', path: `many/${name}${i}`, size: 9, mtime: 0 };
      }
      override async *read(): AsyncGenerator<Block, Uint8Array, undefined> {
        // Slower than what is offered meanwhile.
        for (let n = 0; n < 5; n++) await new Promise((resolve) => setImmediate(resolve));
        yield* [];
        throw new DropError('changed');
      }
    }
    let times = 0;
    const { sender, receiver } = await transfer(
      new AllGone(),
      new MemoryInbox(),
      cable(),
      async () => {
        times += 1;
        return 'yes';
      },
    );
    expect([sender.error, receiver.error]).toEqual([undefined, undefined]);
    expect(failures(receiver.reports)).toHaveLength(many);
    expect(times).toBeGreaterThan(1);
  });

  test('can be refused in the middle; what is stored stays', async () => {
    let times = 0;
    const inbox = new MemoryInbox();
    const { sender } = await transfer(new ManyFiles(), inbox, cable(), async () =>
      times++ === 0 ? 'yes' : 'declined',
    );
    expect(codeOf(sender.error)).toBe('declined');
    expect(Object.keys(inbox.stored).length).toBeGreaterThan(1);
  });
});
