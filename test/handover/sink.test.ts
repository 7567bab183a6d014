import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Hashers } from '../../src/disk/hashers.ts';
import { DropError, type ErrorCode } from '../../src/errors.ts';
import { SinkInbox } from '../../src/handover/sink.ts';
import { concat } from '../../src/protocol/bytes.ts';
import type { Entry, FileEntry } from '../../src/protocol/manifest.ts';
import { Channel } from '../../src/transfer/channel.ts';
import { Delivery } from '../../src/transfer/delivery.ts';
import { runReceiver } from '../../src/transfer/receiver.ts';
import { Reception } from '../../src/transfer/reception.ts';
import { runSender } from '../../src/transfer/sender.ts';
import { withGreeting } from '../support/greeted.ts';
import { cable, MemoryOutbox, sha256, textDigest } from '../support/memory.ts';

const bytes = (length: number, seed = 1): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 17) % 251);
const file: FileEntry = { kind: 'file', path: 'a', size: 20, mtime: 1 };
const hashers = new Hashers(() => undefined);

/** A sink that remembers, and an inbox on it. */
function pouring({ fails, stuck = false }: { fails?: Error; stuck?: boolean } = {}) {
  const taken: Uint8Array[] = [];
  const told: string[] = [];
  const sink = {
    write: async (piece: Uint8Array) => {
      if (fails) throw fails;
      if (stuck) await new Promise(() => {});
      await new Promise((resolve) => setImmediate(resolve));
      taken.push(piece);
    },
    close: async () => void told.push('close'),
  };
  const stop = new AbortController();
  const onClose = (begun: boolean): void => void told.push(begun ? 'begun' : 'free');
  const inbox = new SinkInbox(sink, hashers, onClose, stop.signal);
  return { inbox, told, stop, all: () => concat(...taken) };
}

function codeOf(run: () => unknown): Promise<ErrorCode | undefined> {
  return Promise.resolve()
    .then(run)
    .then(
      () => undefined,
      (error: unknown) => {
        if (error instanceof DropError) return error.code;
        throw error;
      },
    );
}

test('a file goes out as it came, wherever the cable is pulled, however often', async () => {
  let resumed = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 400 }),
      fc.array(fc.integer({ min: 1, max: 1500 }), { maxLength: 4 }),
      async (length, cuts) => {
        const content = bytes(length);
        const { inbox, told, all } = pouring();
        const delivery = new Delivery(new MemoryOutbox({ a: content }));
        const reception = new Reception('0'.repeat(32), 'posix', textDigest);
        let accepted = false;
        for (const cutAfter of [...cuts, undefined]) {
          const wire = cable({ cutAfter });
          const [sent] = await Promise.allSettled([
            withGreeting(new Channel('chooser', wire.left), (channel) =>
              runSender(channel, delivery, (report) => {
                if (report.type === 'started' && report.from > 0) resumed += 1;
              }),
            ).finally(wire.pull),
            withGreeting(new Channel('announcer', wire.right), (channel) =>
              runReceiver(
                channel,
                {
                  freely: false,
                  digests: ['sha256'],
                  // One that was never accepted has no place yet.
                  reception: async (continues) =>
                    continues !== null && accepted
                      ? reception
                      : Object.assign(reception, { roots: undefined }),
                  ask: async () => {
                    accepted = true;
                    return 'yes';
                  },
                  open: async () => inbox,
                },
                () => {},
              ),
            ).finally(wire.pull),
          ]);
          if (sent.status === 'fulfilled') break;
        }
        expect(all()).toEqual(content);
        expect(told).toContain('close');
      },
    ),
  );
  expect(resumed).toBeGreaterThan(10);
});

test('it goes on where it was, and only after the same start', async () => {
  const { inbox, told, all } = pouring();
  expect(inbox.place(file)).toEqual({ want: 'all' });
  const first = await inbox.open(file, 0);
  await first.write(bytes(8));
  await first.keep();
  const kept = { want: 'rest', size: 8, digest: Buffer.from(sha256(bytes(8))) };
  expect(inbox.place(file)).toEqual(kept);
  expect(await codeOf(() => inbox.open(file, 0))).toBe('changed');
  const second = await inbox.open(file, 8);
  expect(second.written).toBe(8);
  await second.write(bytes(20).subarray(8));
  expect(await second.commit(sha256(bytes(20)))).toEqual({ path: 'a', renamed: false });
  expect(all()).toEqual(bytes(20));
  await inbox.close();
  await inbox.close();
  expect(told).toEqual(['close', 'begun']);
});

test('what is not what was sent is said to be so, and nothing follows it', async () => {
  const { inbox, told } = pouring();
  inbox.place(file);
  const incoming = await inbox.open(file, 0);
  await incoming.write(bytes(20, 2));
  expect(await codeOf(() => incoming.commit(sha256(bytes(20))))).toBe('corrupt');
  await incoming.discard();
  expect(await codeOf(() => inbox.place(file))).toBe('changed');
  expect(await codeOf(() => inbox.open(file, 20))).toBe('changed');
  expect(told).toEqual([]);
});

test('of a small file nothing goes out before it is verified', async () => {
  const { inbox, told, all } = pouring();
  inbox.place(file);
  const wrong = { entry: file, bytes: bytes(20, 2), digest: sha256(bytes(20)) };
  const [failed] = await inbox.storeTogether([wrong]);
  expect(failed).toMatchObject({ code: 'corrupt' });
  expect(all()).toHaveLength(0);
  const memory = bytes(20);
  const storing = inbox.storeTogether([{ ...wrong, bytes: memory }]);
  memory.fill(0); // It may be overwritten as soon as the promise is there.
  expect(await storing).toEqual([{ path: 'a', renamed: false }]);
  expect(all()).toEqual(bytes(20));
  expect(told).toEqual(['close']);
});

test.each<Entry>([
  { ...file, path: 'b' },
  { ...file, size: 21 },
  { kind: 'stream', path: 'a' },
  { kind: 'folder', path: 'a', mtime: 0 },
  { kind: 'link', path: 'a', target: 'b' },
])('beside one file it takes nothing: %j', async (entry) => {
  const { inbox, told } = pouring();
  inbox.place(file);
  expect(await codeOf(() => inbox.place(entry))).toBe('one-file');
  await inbox.close();
  expect(told).toEqual(['free']);
});

test('one that takes nothing keeps nobody who is stopped', async () => {
  const { inbox, stop } = pouring({ stuck: true });
  inbox.place(file);
  const out = await inbox.open(file, 0);
  const writing = codeOf(() => out.write(bytes(20)));
  const small = { entry: { ...file, size: 5 }, bytes: bytes(5), digest: sha256(bytes(5)) };
  const storing = codeOf(() => inbox.storeTogether([small]).then(([one]) => Promise.reject(one)));
  stop.abort();
  expect(await writing).toBe('cancelled');
  expect(await storing).toBe('cancelled');
});

test.each<[ErrorCode, object]>([
  ['disk-full', { code: 'ENOSPC', syscall: 'write' }],
  ['disk', { code: 'EPIPE', syscall: 'write' }],
  ['disk', {}],
])('a sink that fails is %s here', async (code, how) => {
  const { inbox } = pouring({ fails: Object.assign(new Error('no'), how) });
  inbox.place(file);
  const incoming = await inbox.open(file, 0);
  expect(await codeOf(() => incoming.write(bytes(8)))).toBe(code);
  expect(await codeOf(() => inbox.open(file, 0))).toBe('changed');
});

test('one that would be told by another digest on the next connection fails', async () => {
  const { inbox } = pouring();
  inbox.place(file);
  const incoming = await inbox.open(file, 0);
  await incoming.write(bytes(8));
  inbox.connected('blake3');
  expect(await codeOf(() => inbox.place(file))).toBe('changed');
});
