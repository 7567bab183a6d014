import { expect, test } from 'vitest';
import { type LentFile, LentOutbox } from '../../src/handover/lent.ts';
import type { FileEntry } from '../../src/protocol/manifest.ts';

const SIZE = 100_000;
const ENTRY: FileEntry = { kind: 'file', path: 'a', size: SIZE, mtime: 0 };
const KEPT = { entry: 0, size: 1, digest: new Uint8Array(32) };
const never = new Promise<never>(() => {});

/** Somebody who lends a file, and never says anything more. */
const silent: LentFile = {
  ...{ kind: 'file', path: 'a', size: SIZE, mtime: 0 },
  async *read() {
    yield await never;
  },
};
const telling: LentFile = { ...silent, digest: () => never };

test.each<[string, LentFile, (outbox: LentOutbox, signal: AbortSignal) => Promise<unknown>]>([
  ['a block', silent, (outbox, signal) => outbox.read(ENTRY, undefined, signal).next()],
  ['the start to be compared', silent, (outbox, signal) => outbox.read(ENTRY, KEPT, signal).next()],
  ['its digest', telling, (outbox, signal) => outbox.read(ENTRY, KEPT, signal).next()],
  ['small files', silent, (outbox, signal) => outbox.readTogether([ENTRY], signal)],
  ['all of it to be compared', silent, (outbox, signal) => outbox.digest(ENTRY, signal)],
  ['the digest of all', telling, (outbox, signal) => outbox.digest(ENTRY, signal)],
])(
  'a lender that does not care for the signal keeps nobody: %s',
  async (_, file, ask) => {
    const stop = new AbortController();
    const asked = ask(new LentOutbox([file]), stop.signal);
    await new Promise((resolve) => setImmediate(resolve));
    const stopped = new Error('stopped');
    stop.abort(stopped);
    await expect(asked).rejects.toBe(stopped);
  },
  5_000,
);
