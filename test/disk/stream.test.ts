import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openOutbox } from '../../src/disk/outbox.ts';
import { openStagings } from '../../src/disk/staging.ts';
import { Stream } from '../../src/disk/stream.ts';
import { DropError } from '../../src/errors.ts';
import { MAX_CHUNK, MAX_UNACKNOWLEDGED } from '../../src/limits.ts';
import type { Kept } from '../../src/protocol/message.ts';
import { Channel } from '../../src/transfer/channel.ts';
import { Delivery } from '../../src/transfer/delivery.ts';
import type { Inbox } from '../../src/transfer/inbox.ts';
import type { Block } from '../../src/transfer/outbox.ts';
import { type Host, runReceiver } from '../../src/transfer/receiver.ts';
import { Reception } from '../../src/transfer/reception.ts';
import type { Report } from '../../src/transfer/report.ts';
import { runSender } from '../../src/transfer/sender.ts';
import { content } from '../support/content.ts';
import { withGreeting } from '../support/greeted.ts';
import { type Cable, cable, textDigest } from '../support/memory.ts';
import { failureOf, inboxIn, newFolder, UNSTOPPED } from './support.ts';

const CONTENT = Buffer.concat([...content('stream', 40 * 1024 * 1024)]);

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

/** What a receiver says that has the first `size` bytes of the content. */
function keptOf(size: number): Kept {
  return { entry: 0, size, digest: sha256(CONTENT.subarray(0, size)) };
}

/** Some bytes that are not the content's. */
function foreign(size: number): Kept {
  return { entry: 0, size, digest: sha256(Buffer.from('another')) };
}

/** Gives the content in pieces of these sizes, all of them in the same few bytes of memory. */
async function* inPieces(sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  const memory = Buffer.alloc(Math.max(...sizes, 0));
  let at = 0;
  for (const size of sizes) {
    CONTENT.copy(memory, 0, at, at + size);
    at += size;
    yield memory.subarray(0, size);
  }
}

/** Expects that a block continues the content at `at`, and tells where it ends. */
function endOf({ offset, bytes }: Block, at: number): number {
  expect(offset).toBe(at);
  expect(bytes.length).toBeGreaterThan(0);
  expect(bytes.length).toBeLessThanOrEqual(MAX_CHUNK);
  const end = offset + bytes.length;
  expect(CONTENT.subarray(offset, end).equals(bytes)).toBe(true);
  return end;
}

type Blocks = ReturnType<Stream['read']>;

/** Reads from `at` to at least `end`, and leaves. Tells where that was. */
async function readTo(blocks: Blocks, end: number, at = 0): Promise<number> {
  let reached = at;
  while (reached < end) {
    const { value, done } = await blocks.next();
    if (done) throw new Error('it ended early');
    reached = endOf(value, reached);
  }
  await blocks.return(new Uint8Array(0));
  return reached;
}

/** Reads from `at` to the end and acknowledges everything. */
async function readOut(stream: Stream, kept: Kept | undefined, at: number, size: number) {
  const blocks = stream.read(kept, UNSTOPPED);
  let reached = at;
  for (;;) {
    const { value, done } = await blocks.next();
    if (done) {
      expect(reached).toBe(size);
      expect(Buffer.from(value)).toEqual(sha256(CONTENT.subarray(0, size)));
      return;
    }
    reached = endOf(value, reached);
    stream.arrived(reached);
  }
}

/** Whether a promise is pending after everything that can happen by itself has happened. */
async function waits(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = (): void => {
    settled = true;
  };
  promise.then(settle, settle);
  for (let turn = 0; turn < 5 && !settled; turn++) await setImmediate();
  return !settled;
}

describe('a stream', () => {
  test.each([
    ['nothing', []],
    ['a byte', [1]],
    ['pieces of a pipe', Array<number>(40).fill(65_536)],
    ['tiny pieces, some empty', [0, 1, 0, 2, 3, 0, 0, 4]],
    ['whole blocks', [MAX_CHUNK, MAX_CHUNK]],
    ['almost blocks', [MAX_CHUNK - 1, MAX_CHUNK + 1, 1, MAX_CHUNK]],
    ['one huge piece', [20 * 1024 * 1024]],
  ])('of %s is read whole, with its digest', async (_, sizes) => {
    const size = sizes.reduce((sum, one) => sum + one, 0);
    await readOut(new Stream('x', inPieces(sizes)), undefined, 0, size);
  });

  test('goes on in the middle of a block, at what is acknowledged, and at the end', async () => {
    for (const ended of [false, true]) {
      const size = 10 * 100_000;
      const stream = new Stream('x', inPieces(Array(10).fill(100_000)));
      const read = ended ? size : 800_000;
      expect(await readTo(stream.read(undefined, UNSTOPPED), read)).toBe(read);
      stream.arrived(600_000);
      for (const from of [600_000, 723_456])
        await readTo(stream.read(keptOf(from), UNSTOPPED), read, from);
      await readOut(stream, keptOf(read), read, size);
      // All of it arrived, and the last word was lost.
      await readOut(stream, keptOf(size), size, size);
    }
  });

  test('starts over as long as nothing is acknowledged', async () => {
    const size = 10 * 100_000;
    const stream = new Stream('x', inPieces(Array(10).fill(100_000)));
    // What lies there from another time, before anything was read.
    await readTo(stream.read(keptOf(5), UNSTOPPED), 300_000);
    for (const kept of [undefined, foreign(250_000), foreign(0), foreign(700_000), keptOf(700_000)])
      await readTo(stream.read(kept, UNSTOPPED), 300_000);
    await readOut(stream, undefined, 0, size);
  });

  test.each([
    ['nothing', undefined],
    ['less than was acknowledged', keptOf(199_999)],
    ['something else', foreign(250_000)],
    ['more than was ever read', keptOf(300_001)],
  ])('cannot be repeated for who has acknowledged and has %s', async (_, kept) => {
    const stream = new Stream('x', inPieces(Array(10).fill(100_000)));
    await readTo(stream.read(undefined, UNSTOPPED), 300_000);
    stream.arrived(200_000);
    const failure = await failureOf(stream.read(kept, UNSTOPPED).next());
    expect(failure).toMatchObject({ code: 'unrepeatable', path: 'x' });
  });

  test('takes what the receiver has shown to have as acknowledged', async () => {
    // Else there would be no room, and nothing to be acknowledged.
    const stream = new Stream('x', inPieces(Array(200).fill(100_000)));
    await readTo(stream.read(undefined, UNSTOPPED), MAX_UNACKNOWLEDGED);
    await readOut(stream, keptOf(MAX_UNACKNOWLEDGED), MAX_UNACKNOWLEDGED, 200 * 100_000);
  });

  test('is never read far ahead of the receiver, and its memory is used again', async () => {
    const memory = new Set<ArrayBufferLike>();
    const stream = new Stream('x', inPieces([CONTENT.length]));
    const blocks = stream.read(undefined, UNSTOPPED);
    let at = 0;
    for (let acknowledged = 0; ; ) {
      const next = blocks.next();
      if (await waits(next)) {
        expect(at).toBe(acknowledged + MAX_UNACKNOWLEDGED);
        acknowledged = at - 5_000_000;
        stream.arrived(acknowledged);
      }
      const { value, done } = await next;
      if (done) break;
      at = endOf(value, at);
      memory.add(value.bytes.buffer);
    }
    expect(at).toBe(CONTENT.length);
    const sizes = [...memory].map(({ byteLength }) => byteLength);
    const all = sizes.reduce((sum, one) => sum + one, 0);
    expect(all).toBeLessThanOrEqual(MAX_UNACKNOWLEDGED + 2 * MAX_CHUNK);
  });

  test('has not arrived before it was read, whatever is said', async () => {
    const stream = new Stream('x', inPieces([3 * MAX_CHUNK]));
    await readTo(stream.read(undefined, UNSTOPPED), MAX_CHUNK);
    stream.arrived(2 * MAX_CHUNK);
    await readOut(stream, undefined, 0, 3 * MAX_CHUNK);
  });

  test('that fails is read up to there, and never taken for one that ended', async () => {
    const cause = new Error('no more tape');
    async function* source() {
      yield* inPieces([1000]);
      throw cause;
    }
    const stream = new Stream('x', source());
    for (const kept of [undefined, keptOf(10)]) {
      const blocks = stream.read(kept, UNSTOPPED);
      await blocks.next();
      const failure = await failureOf(blocks.next());
      expect(failure).toMatchObject({ code: 'unreadable', path: 'x', cause });
    }
  });

  test('that is left while it waits for its source loses nothing', async () => {
    const source = new Readable({ read() {} });
    const stream = new Stream('x', source);
    const stop = new AbortController();
    const next = stream.read(undefined, stop.signal).next();
    expect(await waits(next)).toBe(true);
    const reason = new DropError('disconnected');
    stop.abort(reason);
    expect(await failureOf(next)).toBe(reason);
    source.push(CONTENT.subarray(0, 1000));
    await setImmediate();
    source.push(CONTENT.subarray(1000, 3000));
    source.push(null);
    await readOut(stream, undefined, 0, 3000);
  });

  test('that is left while it waits for the receiver goes on with the next one', async () => {
    const stream = new Stream('x', inPieces(Array(3).fill(MAX_UNACKNOWLEDGED)));
    const stop = new AbortController();
    const blocks = stream.read(undefined, stop.signal);
    for (let at = 0; at < MAX_UNACKNOWLEDGED; ) {
      const { value, done } = await blocks.next();
      if (!done) at = endOf(value, at);
    }
    const next = blocks.next();
    expect(await waits(next)).toBe(true);
    stop.abort(new DropError('disconnected'));
    expect(await failureOf(next)).toBe(stop.signal.reason);
    expect(await readTo(stream.read(keptOf(5), UNSTOPPED), 1_000_000, 5)).toBeGreaterThan(0);
  });

  test('ends for whoever waits for it when it is closed', async () => {
    const idle: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }),
    };
    for (const source of [idle, new Readable({ read() {} })]) {
      const stream = new Stream('x', source);
      const next = stream.read(undefined, UNSTOPPED).next();
      expect(await waits(next)).toBe(true);
      stream.close();
      expect(await failureOf(next)).toMatchObject({ code: 'unreadable' });
    }
  });
});

describe('a program that writes into a pipe', () => {
  test('is held while the receiver takes nothing', async () => {
    const writer = spawn('yes', { stdio: ['ignore', 'pipe', 'ignore'] });
    let taken = 0;
    async function* counted() {
      for await (const piece of writer.stdout) {
        taken += piece.length;
        yield piece;
      }
    }
    const stream = new Stream('x', counted());
    const blocks = stream.read(undefined, UNSTOPPED);
    let reached = 0;
    while (reached < MAX_UNACKNOWLEDGED) {
      const { value, done } = await blocks.next();
      if (!done) reached += value.bytes.length;
    }
    const next = blocks.next();
    expect(await waits(next)).toBe(true);
    // At most one more piece was taken, of which a part had room.
    expect(taken).toBeLessThan(MAX_UNACKNOWLEDGED + writer.stdout.readableHighWaterMark + 65_536);
    stream.arrived(1);
    expect(await next).toMatchObject({ value: { offset: reached, bytes: { length: 1 } } });
    writer.kill();
    stream.close();
  });

  test('learns that nobody reads it any more', async () => {
    const writer = spawn('yes', { stdio: ['ignore', 'pipe', 'ignore'] });
    const stream = new Stream('x', writer.stdout);
    await stream.read(undefined, UNSTOPPED).next();
    stream.close();
    await once(writer, 'exit');
  });
});

describe('whatever breaks', () => {
  /** How far it is read ahead here, so that short streams wait, too. */
  const ahead = 2 * MAX_CHUNK + 1000;

  const piece = fc.record({
    size: fc.oneof(
      { weight: 3, arbitrary: fc.nat(100_000) },
      fc.constantFrom(0, 1, MAX_CHUNK - 1, MAX_CHUNK, MAX_CHUNK + 1, 3 * MAX_CHUNK),
    ),
    /** The source takes its time. */
    late: fc.boolean(),
  });
  /** Where between two numbers: often at one of them. */
  const share = fc.constantFrom(0, 1, 0.123, 0.3, 0.5, 0.777, 0.95);
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('read' as const), blocks: fc.nat(5) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('arrived' as const), share }) },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('break' as const),
        has: fc.oneof(
          { weight: 4, arbitrary: fc.constantFrom('all', 'rest') },
          { weight: 1, arbitrary: fc.constantFrom('less', 'more', 'nothing', 'foreign') },
        ),
        share,
      }),
    },
  );

  const between = (low: number, high: number, part: number): number =>
    low + Math.floor(part * (high - low));

  test('the receiver has the bytes of the source, or learns that they cannot be had', async () => {
    const visited = {
      inBlock: 0,
      atAcknowledged: 0,
      atEnd: 0,
      afterEnd: 0,
      over: 0,
      unrepeatable: 0,
      whole: 0,
      waitedForSource: 0,
      waitedForReceiver: 0,
      leftWaiting: 0,
    };
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { minLength: 1, maxLength: 10 }),
        fc.array(step, { minLength: 3, maxLength: 25 }),
        async (pieces, steps) => {
          const total = pieces.reduce((sum, { size }) => sum + size, 0);
          /** What the source gave, and whether it waits before it gives more. */
          let taken = 0;
          let release: (() => void) | undefined;
          /** What was said to have arrived, what the receiver has, and what was ever read. */
          let acknowledged = 0;
          let has = 0;
          let read = 0;
          let ended = false;

          async function* source() {
            const memory = Buffer.alloc(Math.max(...pieces.map(({ size }) => size), 0));
            for (const { size, late } of pieces) {
              expect(taken).toBeLessThan(acknowledged + ahead);
              if (late)
                await new Promise<void>((resolve) => {
                  release = resolve;
                });
              release = undefined;
              CONTENT.copy(memory, 0, taken, taken + size);
              taken += size;
              yield memory.subarray(0, size);
            }
          }

          const stream = new Stream('x', source(), ahead);
          let stop = new AbortController();
          let blocks = stream.read(undefined, stop.signal);
          let next: ReturnType<Blocks['next']> | undefined;
          const handed: Block[] = [];

          const expectUnchanged = (): void => {
            for (const { offset, bytes } of handed) {
              const end = offset + bytes.length;
              if (end > acknowledged)
                expect(CONTENT.subarray(offset, end).equals(bytes)).toBe(true);
            }
          };

          const acknowledge = (offset: number): void => {
            if (offset === acknowledged) return;
            acknowledged = offset;
            stream.arrived(offset);
          };

          /** Reads one block. If it waits for something, that happens, unless it is to be left. */
          const readBlock = async (leave: boolean): Promise<void> => {
            next ??= blocks.next();
            while (await waits(next)) {
              if (leave) return;
              if (release !== undefined) {
                visited.waitedForSource += 1;
                release();
              } else {
                visited.waitedForReceiver += 1;
                // It waits for nothing else.
                expect(read).toBe(acknowledged + ahead);
                acknowledge(has);
              }
            }
            const { value, done } = await next;
            next = undefined;
            if (done) {
              expect(has).toBe(total);
              expect(Buffer.from(value)).toEqual(sha256(CONTENT.subarray(0, total)));
              ended = true;
            } else {
              has = endOf(value, has);
              read = Math.max(read, has);
              handed.push(value);
            }
          };

          /** Goes on with a receiver that has this; says whether that could be. */
          const goOn = async (kept: Kept | undefined, honest: boolean): Promise<boolean> => {
            if (next !== undefined) {
              visited.leftWaiting += 1;
              stop.abort(new DropError('disconnected'));
              expect(await failureOf(next)).toBe(stop.signal.reason);
            }
            await blocks.return(new Uint8Array(0));
            const size = kept?.size ?? 0;
            const fits = honest && kept !== undefined && acknowledged <= size && size <= read;
            const possible = fits || acknowledged === 0;
            if (!possible) visited.unrepeatable += 1;
            else if (!fits) visited.over += 1;
            else if (ended && size === total) visited.afterEnd += 1;
            else if (size === read) visited.atEnd += 1;
            else if (size === acknowledged) visited.atAcknowledged += 1;
            else visited.inBlock += 1;
            has = fits ? size : 0;
            if (fits) acknowledged = size;
            ended = false;
            stop = new AbortController();
            blocks = stream.read(kept, stop.signal);
            next = blocks.next();
            if (possible) return true;
            expect(await failureOf(next)).toMatchObject({ code: 'unrepeatable' });
            return false;
          };

          for (const act of steps) {
            expectUnchanged();
            if (act.do === 'arrived') acknowledge(between(acknowledged, has, act.share));
            else if (act.do === 'read')
              for (let i = 0; i < act.blocks && !ended; i++) await readBlock(false);
            else {
              // The last one is on its way when the connection breaks.
              if (!ended) await readBlock(true);
              const kept = {
                all: () => keptOf(has),
                rest: () => keptOf(between(acknowledged, has, act.share)),
                less: () => keptOf(between(0, acknowledged, act.share)),
                more: () => keptOf(between(read, total, act.share)),
                nothing: () => undefined,
                foreign: () => foreign(between(0, total, act.share)),
              }[act.has as 'all']();
              if (!(await goOn(kept, act.has !== 'foreign'))) return;
            }
          }
          while (!ended) await readBlock(false);
          expectUnchanged();
          visited.whole += 1;
        },
      ),
      { numRuns: 200 },
    );
    for (const [what, times] of Object.entries(visited)) expect(times, what).toBeGreaterThan(3);
  });
});

describe('from a pipe to the disk', () => {
  const size = 9_000_000;

  /** What is sent to whom, whatever happens to the connections. */
  class Transfer {
    readonly target = newFolder();
    readonly reports: Report[] = [];
    readonly #home = newFolder();
    readonly #delivery: Promise<Delivery>;
    #inbox: Promise<Inbox>;
    #reception = newReception();

    constructor(source: AsyncIterable<Uint8Array>) {
      const outbox = openOutbox([], { stream: { name: 'x', source } });
      this.#delivery = outbox.then((one) => new Delivery(one));
      this.#inbox = this.#openInbox();
    }

    /** Over one connection. Tells how that ended, on both sides. */
    async run(wire: Cable): Promise<string[]> {
      const [delivery, inbox] = await Promise.all([this.#delivery, this.#inbox]);
      const host: Host = {
        freely: false,
        digests: ['sha256'],
        reception: async () => this.#reception,
        ask: async () => 'yes',
        open: async () => inbox,
      };
      const sides = [
        withGreeting(new Channel('chooser', wire.left), (channel) =>
          runSender(channel, delivery, (report) => this.reports.push(report)),
        ),
        withGreeting(new Channel('announcer', wire.right), (channel) =>
          runReceiver(channel, host, () => {}),
        ),
      ].map((side) => side.then(() => 'complete', codeOf).finally(wire.pull));
      return Promise.all(sides);
    }

    /** The receiver has less room from now on. */
    async fill(): Promise<void> {
      (await this.#inbox).room = async () => 0;
    }

    /** Another process takes the place of the receiver. */
    async restartReceiver(): Promise<void> {
      await (await this.#inbox).close();
      this.#inbox = this.#openInbox();
      this.#reception = newReception();
    }

    async close(): Promise<void> {
      await (await this.#inbox).close();
    }

    async #openInbox(): Promise<Inbox> {
      return inboxIn(this.target, { stagings: await openStagings(this.#home) });
    }
  }

  function newReception(): Reception {
    return new Reception(randomBytes(16).toString('hex'), 'posix', textDigest);
  }

  function codeOf(error: unknown): string {
    if (error instanceof DropError) return error.code;
    throw error;
  }

  test('it arrives, wherever the connection breaks and the receiver starts again', async () => {
    const visited = { broken: 0, wentOn: 0, restarted: 0 };
    const trouble = fc.record({
      cutAfter: fc.integer({ min: 1, max: 6_000_000 }),
      restarts: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(trouble, { minLength: 1, maxLength: 6 }), async (troubles) => {
        const transfer = new Transfer(inPieces(Array(size / 60_000).fill(60_000)));
        for (const { cutAfter, restarts } of troubles) {
          const [sent] = await transfer.run(cable({ cutAfter }));
          if (sent === 'complete') break;
          expect(sent).toBe('disconnected');
          visited.broken += 1;
          if (!restarts) continue;
          visited.restarted += 1;
          await transfer.restartReceiver();
        }
        const { reports, target } = transfer;
        if (!reports.some(({ type }) => type === 'stored'))
          expect(await transfer.run(cable())).toEqual(['complete', 'complete']);
        expect(reports.filter(({ type }) => type === 'failed')).toEqual([]);
        expect(readFileSync(join(target, 'x')).equals(CONTENT.subarray(0, size))).toBe(true);
        visited.wentOn += reports.filter((one) => one.type === 'started' && one.from > 0).length;
        await transfer.close();
        expect(readdirSync(target)).toEqual(['x']);
      }),
      { numRuns: 12 },
    );
    for (const [what, times] of Object.entries(visited)) expect(times, what).toBeGreaterThan(0);
  });

  test('nobody waits for a source that is silent when the connection breaks', async () => {
    const source = new Readable({ read() {} });
    source.push(CONTENT.subarray(0, 1000));
    const transfer = new Transfer(source);
    const wire = cable();
    const done = transfer.run(wire);
    while (!transfer.reports.some(({ type }) => type === 'moved')) await setImmediate();
    wire.pull();
    expect(await done).toEqual(['disconnected', 'disconnected']);
    source.push(CONTENT.subarray(1000, 2000));
    source.push(null);
    expect(await transfer.run(cable())).toEqual(['complete', 'complete']);
    expect(readFileSync(join(transfer.target, 'x')).equals(CONTENT.subarray(0, 2000))).toBe(true);
    await transfer.close();
  });

  test('nor for one whose receiver has no room for more', async () => {
    const source = new Readable({ read() {} });
    const transfer = new Transfer(source);
    await transfer.fill();
    source.push(CONTENT.subarray(0, 6_000_000));
    expect(await transfer.run(cable())).toEqual(['complete', 'complete']);
    expect(transfer.reports).toContainEqual({ type: 'failed', path: 'x', code: 'peer-full' });
    await transfer.close();
  });
});
