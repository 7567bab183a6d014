import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { ReceiveEvent, SendEvent, Summary } from '../../src/events.ts';
import {
  Control,
  Hatch,
  type LentEntry,
  type LentFile,
  type ReceiveOptions,
  receive,
} from '../../src/index.ts';
import { OPEN_ENTRIES, VISITOR_IDLE } from '../../src/limits.ts';
import { TempFolder } from '../support/home.ts';

/** A file in memory, which is read in pieces of `piece` bytes and counts what was read of it. */
function lent(
  path: string,
  bytes: Uint8Array,
  { piece = 65_536, mtime = 1_700_000_000_000 } = {},
): LentFile & { read: LentFile['read']; taken: number } {
  return {
    kind: 'file',
    path,
    size: bytes.length,
    mtime,
    taken: 0,
    async *read(from, signal) {
      for (let at = from; at < bytes.length; at += piece) {
        signal.throwIfAborted();
        const part = bytes.subarray(at, at + piece);
        this.taken += part.length;
        yield part;
      }
    },
  };
}

/** Of all files in a folder, finished or not. */
function bytesIn(folder: string): number {
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return paths
    .map((path) => statSync(join(folder, path), { throwIfNoEntry: false }))
    .reduce((sum, found) => sum + (found?.isFile() ? found.size : 0), 0);
}

describe('a hatch', () => {
  let folder: TempFolder;
  let stop: AbortController;
  let running: Promise<void>;
  const heard: ReceiveEvent[] = [];

  beforeEach(() => {
    folder = new TempFolder();
    stop = new AbortController();
    running = Promise.resolve();
    heard.length = 0;
  });
  afterEach(async () => {
    stop.abort();
    await running.catch(() => {});
    await folder[Symbol.asyncDispose]();
  });

  const into = (): string => join(folder.path, 'into');

  /** A receiver that has begun. */
  async function receiver(options: ReceiveOptions): Promise<void> {
    const events = receive({
      home: join(folder.path, 'home'),
      name: 'Ana',
      into: into(),
      interfaces: ['lo'],
      signal: stop.signal,
      ...options,
    });
    await new Promise<void>((ready, failed) => {
      running = (async () => {
        for await (const event of events) {
          heard.push(event);
          if (event.event === 'ready') ready();
        }
      })();
      running.catch(failed);
    });
  }

  const VISITOR = { name: 'A browser', source: '192.0.2.7', secret: 'one' };

  async function bring(
    hatch: Hatch,
    entries: readonly LentEntry[],
    { visitor = VISITOR, signal }: { visitor?: typeof VISITOR; signal?: AbortSignal } = {},
  ): Promise<{ events: SendEvent[]; summary: Summary }> {
    const events: SendEvent[] = [];
    const bringing = hatch.bring(entries, visitor, { signal });
    for (;;) {
      const { value, done } = await bringing.next();
      if (done) return { events, summary: value };
      events.push(value);
    }
  }

  test('takes what is brought like what a stranger sends: asked about, stored, told', async () => {
    const hatch = new Hatch();
    const asked: unknown[] = [];
    await receiver({
      hatch,
      accept: async ({ from, known, roots, files, bytes }) => {
        asked.push({ name: from.name, known, roots, files, bytes });
        return true;
      },
    });
    const [a, b] = [randomBytes(700_001), randomBytes(3)];
    const files = [
      lent('photos/trip/a.jpg', a),
      lent('photos/b.jpg', b),
      lent('empty', Buffer.alloc(0)),
    ];
    const { events, summary } = await bring(hatch, [
      ...files,
      { kind: 'folder', path: 'photos/none' },
    ]);
    expect(asked).toEqual([
      { name: 'A browser', known: false, roots: ['empty', 'photos'], files: 3, bytes: 700_004 },
    ]);
    expect(summary).toMatchObject({ ok: true, files: 3, bytes: 700_004 });
    expect(events.map(({ event }) => event)).toEqual(
      expect.arrayContaining(['waiting', 'accepted', 'saved', 'summary']),
    );
    expect((await readFile(join(into(), 'photos/trip/a.jpg'))).equals(a)).toBe(true);
    expect(await readFile(join(into(), 'photos/b.jpg'))).toEqual(b);
    expect(await readFile(join(into(), 'empty'))).toHaveLength(0);
    expect(heard.find(({ event }) => event === 'request')).toMatchObject({ known: false });
    expect(heard.filter(({ event }) => event === 'saved')).toHaveLength(3);
  });

  test('is told no, and nothing is there', async () => {
    const hatch = new Hatch();
    await receiver({ hatch, accept: async () => false });
    await expect(bring(hatch, [lent('a', randomBytes(5))])).rejects.toMatchObject({
      code: 'declined',
    });
    await expect(readFile(join(into(), 'a'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('takes what is within the limits for strangers where nobody is asked, and no more', async () => {
    const hatch = new Hatch();
    await receiver({ hatch });
    const few = [lent('a', randomBytes(5))];
    expect((await bring(hatch, few)).summary.ok).toBe(true);
    const many = Array.from({ length: OPEN_ENTRIES + 1 }, (_, i) => lent(`${i}`, randomBytes(1)));
    await expect(bring(hatch, many)).rejects.toMatchObject({ code: 'too-much' });
    expect(heard.filter(({ event }) => event === 'saved')).toHaveLength(1);
  });

  test('waits as long for a visitor of whom nothing comes as a telephone may sleep', async () => {
    const hatch = new Hatch();
    await receiver({ hatch, accept: async () => true });
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    let isRead = false;
    let ended: unknown;
    const asleep: LentFile = {
      ...lent('a', randomBytes(100_000)),
      async *read() {
        isRead = true;
        await new Promise(() => {});
      },
    };
    const bringing = bring(hatch, [asleep]).catch((error) => {
      ended = error;
    });
    while (!isRead) await new Promise((resolve) => setImmediate(resolve));
    vi.advanceTimersByTime(VISITOR_IDLE - 1);
    await new Promise((resolve) => setImmediate(resolve));
    expect(ended).toBeUndefined();
    vi.advanceTimersByTime(1);
    await bringing;
    expect(ended).toMatchObject({ code: 'refused' });
  });

  test('lets nobody in where nothing is received', async () => {
    await expect(bring(new Hatch(), [])).rejects.toMatchObject({ code: 'refused' });
  });

  test('lets nobody in where receiving could not even begin', async () => {
    const other = createServer().listen(0);
    onTestFinished(() => void other.close());
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const hatch = new Hatch();
    await expect(receiver({ hatch, port })).rejects.toMatchObject({ code: 'usage' });
    const bringing = bring(hatch, [lent('a', randomBytes(5))]);
    await expect(bringing).rejects.toMatchObject({ code: 'refused' });
    expect(heard).toEqual([]);
  });

  /** Somebody brings so many bytes of a file, of which the last third never comes, and leaves. */
  async function breakOff(hatch: Hatch, bytes: Uint8Array): Promise<void> {
    const left = new AbortController();
    let taken = 0;
    const file: LentFile = {
      ...lent('big', bytes),
      async *read(from, signal) {
        for await (const piece of lent('big', bytes).read(from, signal)) {
          yield piece;
          taken += piece.length;
          if (taken > (2 * bytes.length) / 3) await new Promise(() => {});
        }
      },
    };
    const broken = bring(hatch, [file], { signal: left.signal });
    await expect.poll(() => bytesIn(into())).toBeGreaterThan(bytes.length / 2);
    left.abort();
    await expect(broken).rejects.toThrow();
  }

  test('goes on with what broke off, for whoever comes with the same secret', async () => {
    const hatch = new Hatch();
    await receiver({ hatch, accept: async () => true });
    const bytes = randomBytes(8 * 1024 * 1024);
    await breakOff(hatch, bytes);
    const { summary } = await bring(hatch, [lent('big', bytes)]);
    expect(summary).toMatchObject({ ok: true, bytes: bytes.length });
    expect(summary.resumed).toBeGreaterThan(0);
    expect((await readFile(join(into(), 'big'))).equals(bytes)).toBe(true);
  });

  /** A file that tells itself by digests, those of `claimed`, and of which that was asked. */
  function telling(
    bytes: Uint8Array,
    claimed = bytes,
  ): ReturnType<typeof lent> & { told: number[] } {
    const file = lent('big', bytes);
    const told: number[] = [];
    return Object.assign(file, {
      told,
      async digest(length: number) {
        told.push(length);
        return new Uint8Array(createHash('sha256').update(claimed.subarray(0, length)).digest());
      },
    });
  }

  test('takes only the rest of whoever tells what it has', async () => {
    const hatch = new Hatch();
    await receiver({ hatch, accept: async () => true });
    const bytes = randomBytes(8 * 1024 * 1024);
    await breakOff(hatch, bytes);
    const file = telling(bytes);
    const { summary } = await bring(hatch, [file]);
    expect(summary).toMatchObject({ ok: true, bytes: bytes.length });
    expect(summary.resumed).toBeGreaterThan(0);
    expect(file.taken).toBe(bytes.length - summary.resumed);
    expect(file.told).toEqual([summary.resumed, bytes.length]);
    expect((await readFile(join(into(), 'big'))).equals(bytes)).toBe(true);
    // The same once more, of another time: nothing is taken to be told that.
    const again = { ...telling(bytes), mtime: 1_800_000_000_000 };
    expect((await bring(hatch, [again])).summary).toMatchObject({ ok: true, sent: 0 });
    expect(again.taken).toBe(0);
  });

  test('takes all of a file that has another start', async () => {
    const hatch = new Hatch();
    await receiver({ hatch, accept: async () => true });
    const [bytes, other] = [randomBytes(8 * 1024 * 1024), randomBytes(8 * 1024 * 1024)];
    await breakOff(hatch, bytes);
    const { summary } = await bring(hatch, [telling(other)]);
    expect(summary).toMatchObject({ ok: true, resumed: 0 });
    expect((await readFile(join(into(), 'big'))).equals(other)).toBe(true);
  });

  test('gives no file to whoever claims to have what it has not', async () => {
    const hatch = new Hatch();
    await receiver({ hatch, accept: async () => true });
    const [bytes, other] = [randomBytes(8 * 1024 * 1024), randomBytes(8 * 1024 * 1024)];
    await breakOff(hatch, bytes);
    const { summary } = await bring(hatch, [telling(other, bytes)]);
    expect(summary).toMatchObject({ ok: false, files: 0, code: 'corrupt' });
    await expect(readFile(join(into(), 'big'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('asks nobody else what broke off', async () => {
    const hatch = new Hatch();
    await receiver({ hatch, accept: async () => true });
    const bytes = randomBytes(8 * 1024 * 1024);
    await breakOff(hatch, bytes);
    const file = telling(bytes);
    const visitor = { ...VISITOR, secret: 'two' };
    const { summary } = await bring(hatch, [file], { visitor });
    expect(summary).toMatchObject({ ok: true, resumed: 0 });
    expect(file.told).toEqual([]);
    expect(file.taken).toBe(bytes.length);
  });

  test('nobody else goes on with what broke off', async () => {
    const hatch = new Hatch();
    await receiver({ hatch, accept: async () => true });
    const bytes = randomBytes(8 * 1024 * 1024);
    await breakOff(hatch, bytes);
    const visitor = { ...VISITOR, secret: 'two' };
    const { summary } = await bring(hatch, [lent('big', bytes)], { visitor });
    expect(summary).toMatchObject({ ok: true, resumed: 0 });
    // It is gone when the receiver ends, so nobody is told that it is kept for the next time.
    const broken = heard.find((event) => event.event === 'summary' && !event.ok);
    expect(broken).toBeDefined();
    expect(broken).not.toHaveProperty('kept');
  });

  test('stores exactly what was lent, whatever the sizes and pieces', async () => {
    const hatch = new Hatch();
    await receiver({ hatch, accept: async () => true, onConflict: 'rename' });
    let n = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            size: fc.oneof(
              fc.integer({ min: 0, max: 70_000 }),
              fc.constantFrom(262_143, 262_144, 262_145, 524_288, 700_000),
            ),
            piece: fc.integer({ min: 1, max: 300_000 }),
          }),
          { minLength: 1, maxLength: 5 },
        ),
        async (sizes) => {
          const top = `try ${n++}`;
          const contents = sizes.map(({ size }) => randomBytes(size));
          const files = sizes.map(({ piece }, i) =>
            lent(`${top}/${i}`, contents[i] as Buffer, { piece: Math.max(piece, 64) }),
          );
          const { summary } = await bring(hatch, files);
          expect(summary).toMatchObject({ ok: true, files: sizes.length });
          for (const [i, content] of contents.entries())
            expect((await readFile(join(into(), top, `${i}`))).equals(content)).toBe(true);
        },
      ),
      { numRuns: 15 },
    );
  });

  test('says what of the files is not what was lent', async () => {
    const hatch = new Hatch();
    await receiver({ hatch, accept: async () => true });
    // Those up to 64 KiB are read together, and the others one by one.
    const wrong = [100, 100_000].flatMap((size) => [
      { ...lent(`short ${size}`, randomBytes(size)), size: 2 * size },
      { ...lent(`long ${size}`, randomBytes(2 * size), { piece: 1_000_000 }), size },
    ]);
    const good = [lent('good', randomBytes(100)), lent('better', randomBytes(100_000))];
    const bad = { kind: 'folder', path: '../out' } as const;
    const { events, summary } = await bring(hatch, [...wrong, ...good, bad]);
    expect(summary).toMatchObject({ ok: false, files: 2, failed: 5 });
    const errors = events.filter((event) => event.event === 'error');
    expect(new Map(errors.map(({ path, code }) => [path, code]))).toEqual(
      new Map([...wrong.map(({ path }) => [path, 'changed'] as const), ['../out', 'unsafe-name']]),
    );
  });

  test('a transfer can be ended while the others go on', async () => {
    const hatch = new Hatch();
    const control = new Control();
    await receiver({ hatch, control, accept: async () => true });
    let go = (): void => {};
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    const slow: LentFile = {
      ...lent('slow', randomBytes(2_000_000)),
      async *read() {
        yield randomBytes(1_000_000);
        await held;
        yield randomBytes(1_000_000);
      },
    };
    const ended = bring(hatch, [slow]);
    const other = bring(hatch, [{ ...slow, path: 'other' }], {
      visitor: { ...VISITOR, secret: 'two' },
    });
    const accepted = (root: string): string | undefined => {
      const request = heard.find((one) => one.event === 'request' && one.roots.includes(root));
      return request?.event === 'request' ? request.transfer : undefined;
    };
    const underWay = (): Set<string> =>
      new Set(heard.flatMap((one) => (one.event === 'progress' ? [one.transfer] : [])));
    await expect.poll(() => underWay().size).toBe(2);
    control.cancel(accepted('slow') ?? '');
    await expect(ended).rejects.toMatchObject({ code: 'cancelled' });
    go();
    expect((await other).summary.ok).toBe(true);
    expect(heard.find(({ event }) => event === 'summary')).toMatchObject({
      ok: false,
      code: 'cancelled',
    });
  });
});
