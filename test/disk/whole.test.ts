import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Handles } from '../../src/disk/handles.ts';
import { openOutbox } from '../../src/disk/outbox.ts';
import { isInMemory, Syncs } from '../../src/disk/sync.ts';
import { DropError } from '../../src/errors.ts';
import { MAX_WHOLE } from '../../src/limits.ts';
import type { FileEntry } from '../../src/protocol/manifest.ts';
import type { Inbox } from '../../src/transfer/inbox.ts';
import type { Whole } from '../../src/transfer/outbox.ts';
import { BLOCKS_IN_FLIGHT } from '../../src/transfer/outflow.ts';
import { openHandles, withoutHandles } from '../support/handles.ts';
import { digestOf, sha256 } from '../support/memory.ts';
import { describeWith } from '../support/skip.ts';
import {
  DIGESTS,
  failureOf,
  file,
  folder,
  inboxIn,
  MTIME,
  newFolder,
  partsIn,
  unasked,
  visible,
} from './support.ts';

/** Stores a file that came whole, in memory that is overwritten at once. */
async function store(inbox: Inbox, entry: FileEntry, content: string, digest?: Uint8Array) {
  expect(await inbox.place(entry, unasked)).toEqual({ want: 'all' });
  const bytes = Buffer.from(content);
  const stored = inbox.store(entry, bytes, digest ?? sha256(bytes));
  bytes.fill('x');
  return stored;
}

describe('a small file that came whole', () => {
  test('lies under its name as it was sent, whatever becomes of the memory it came in', async () => {
    const target = newFolder();
    const inbox = await inboxIn(target);
    await inbox.place(folder('d'), unasked);
    const stored = await store(inbox, file('d/a', 5, { mode: 0o750 }), 'small');
    expect(stored).toEqual({ path: join(target, 'd/a'), renamed: false });
    await store(inbox, file('empty', 0), '');
    const { mode, mtimeMs } = lstatSync(stored.path);
    expect([mode & 0o777 & ~process.umask(), Math.round(mtimeMs)]).toEqual([
      0o750 & ~process.umask(),
      MTIME,
    ]);
    await inbox.finish();
    await inbox.close();
    expect(visible(target)).toEqual({ d: '/', 'd/a': 'small', empty: '' });
  });

  test.each(DIGESTS)('is told by %s if that was agreed on', async (name) => {
    const target = newFolder();
    const inbox = await inboxIn(target);
    inbox.connected(name);
    await store(inbox, file('a', 5), 'small', digestOf(name, Buffer.from('small')));
    const failed = store(inbox, file('b', 5), 'small', digestOf(name, Buffer.from('other')));
    expect(await failureOf(failed)).toMatchObject({ code: 'corrupt', path: 'b' });
    await inbox.close();
    expect(visible(target)).toEqual({ a: 'small' });
  });

  test('that is not what was sent leaves nothing, and no file open', async () => {
    const target = newFolder();
    const inbox = await inboxIn(target);
    const before = openHandles();
    for (let n = 0; n < 5; n++)
      expect(
        await failureOf(store(inbox, file(`${n}`, 5), 'small', new Uint8Array(32))),
      ).toMatchObject({ code: 'corrupt' });
    expect([visible(target), partsIn(target)]).toEqual([{}, []]);
    expect(openHandles()).toBe(before);
    await inbox.close();
  });

  test('takes the next free name, or none if that content has one', async () => {
    const target = newFolder();
    writeFileSync(join(target, 'a'), 'other');
    const inbox = await inboxIn(target);
    const entry = file('a', 5);
    expect(await inbox.place(entry, async () => sha256(Buffer.from('small')))).toEqual({
      want: 'all',
    });
    const bytes = Buffer.from('small');
    expect(await inbox.store(entry, bytes, sha256(bytes))).toMatchObject({ renamed: true });
    expect(Object.values(visible(target)).sort()).toEqual(['other', 'small']);
    await inbox.close();
  });

  test('waits where no more may be open, and is the same then', async () => {
    const target = newFolder();
    const inbox = await inboxIn(target);
    const before = openHandles();
    const names = Array.from({ length: 300 }, (_, n) => `${n}`.padStart(3, '0'));
    const entries = names.map((name) => file(name, 3));
    for (const entry of entries) await inbox.place(entry, unasked);
    // All of them come in the same memory.
    const memory = Buffer.alloc(3);
    const storing = entries.map((entry) => {
      memory.write(entry.path);
      return inbox.store(entry, memory, sha256(memory));
    });
    if (before > 0) expect(openHandles() - before).toBeLessThanOrEqual(150);
    memory.fill('x');
    await Promise.all(storing);
    expect(visible(target)).toEqual(Object.fromEntries(names.map((name) => [name, name])));
    expect(openHandles()).toBe(before);
    await inbox.close();
  });

  describeWith(['prlimit'], 'where the system opens no file', () => {
    test('fails, and the next one does not', async () => {
      const target = newFolder();
      const inbox = await inboxIn(target);
      const entries = [file('a', 5), file('b', 5)] as const;
      for (const entry of entries) await inbox.place(entry, unasked);
      const bytes = Buffer.from('small');
      let failure: unknown;
      await withoutHandles(async () => {
        failure = await failureOf(inbox.store(entries[0], bytes, sha256(bytes)));
      });
      expect(failure).toMatchObject({ code: 'too-many-open' });
      await inbox.store(entries[1], bytes, sha256(bytes));
      expect(visible(target)).toEqual({ b: 'small' });
      await inbox.close();
    });
  });
});

describe('small files that are read together', () => {
  async function outboxOf(contents: Record<string, string>) {
    const source = join(newFolder(), 'r');
    mkdirSync(source);
    for (const [name, content] of Object.entries(contents)) {
      writeFileSync(join(source, name), content);
      utimesSync(join(source, name), 1e9, 1e9);
    }
    const outbox = await openOutbox([source]);
    const entries: FileEntry[] = [];
    for await (const entry of outbox.entries()) if (entry.kind === 'file') entries.push(entry);
    return { source, outbox, entries };
  }

  function shown(all: readonly (Whole | DropError)[]): string[] {
    return all.map((one) => {
      if (one instanceof DropError) return `${one.code} ${one.path}`;
      expect(new Uint8Array(one.digest)).toEqual(sha256(one.bytes));
      return Buffer.from(one.bytes).toString();
    });
  }

  test('come each with its digest, side by side', async () => {
    const { outbox, entries } = await outboxOf({ a: 'one', b: '', c: 'three' });
    expect(shown(outbox.readTogether(entries))).toEqual(['one', '', 'three']);
    expect(outbox.small).toBe(MAX_WHOLE);
  });

  test('fail one by one', async () => {
    const { source, outbox, entries } = await outboxOf({ a: 'a', b: 'b', c: 'c', d: 'd', e: 'e' });
    writeFileSync(join(source, 'a'), 'longer');
    rmSync(join(source, 'b'));
    rmSync(join(source, 'c'));
    symlinkSync(join(source, 'e'), join(source, 'c'));
    utimesSync(join(source, 'd'), 2e9, 2e9);
    expect(shown(outbox.readTogether(entries))).toEqual([
      ...['changed r/a', 'missing r/b', 'changed r/c', 'changed r/d', 'e'],
    ]);
  });

  test('keep their memory while as many others are on their way as may be', async () => {
    const contents = Object.fromEntries(
      Array.from({ length: 30 }, (_, n) => [String.fromCharCode(97 + n), `${n}`.repeat(1000)]),
    );
    const { outbox, entries } = await outboxOf(contents);
    const onTheirWay: { readonly all: readonly (Whole | DropError)[]; readonly was: string[] }[] =
      [];
    for (let at = 0; at < entries.length; at += 3) {
      const all = outbox.readTogether(entries.slice(at, at + 3));
      onTheirWay.push({ all, was: shown(all) });
      if (onTheirWay.length === BLOCKS_IN_FLIGHT) onTheirWay.shift();
      for (const { all: some, was } of onTheirWay) expect(shown(some)).toEqual(was);
    }
  });
});

describe('opening at once', () => {
  test('is possible as long as there is room, and gives way to who waits', async () => {
    const handles = new Handles();
    let opened = 0;
    while (opened < 10_000 && handles.openAtOnce(() => ++opened) !== undefined);
    expect(opened).toBeGreaterThan(50);
    expect(opened).toBeLessThan(1_000);
    let waited = false;
    const waiting = handles.open(() => {
      waited = true;
    });
    await Promise.resolve();
    expect(waited).toBe(false);
    handles.closed();
    await waiting;
    expect(handles.openAtOnce(() => 1)).toBeUndefined();
  });

  test('that fails takes no room', () => {
    const handles = new Handles();
    for (const code of ['EMFILE', 'ENFILE'])
      for (let n = 0; n < 300; n++) {
        const open = (): never => {
          throw Object.assign(new Error(code), { code, errno: 0, syscall: 'open' });
        };
        expect(handles.openAtOnce(open)).toBeUndefined();
      }
    const denied = (): never => {
      throw new Error('denied');
    };
    for (let n = 0; n < 300; n++) expect(() => handles.openAtOnce(denied)).toThrow('denied');
    expect(handles.openAtOnce(() => 'open')).toBe('open');
  });
});

describe('syncing in memory', () => {
  test.runIf(existsSync('/dev/shm'))('is told from syncing on a disk', async () => {
    const memory = mkdtempSync('/dev/shm/drop-test-');
    onTestFinished(() => rmSync(memory, { recursive: true }));
    expect(await isInMemory(memory)).toBe(true);
    expect(await isInMemory('/proc')).toBe(false);
    const inbox = await inboxIn(memory);
    await store(inbox, file('a', 5), 'small');
    await inbox.close();
    expect(visible(memory)).toEqual({ a: 'small' });
  });

  test('is nothing to do, and on a disk fails where there is nothing to sync', async () => {
    const none = join(newFolder(), 'none');
    const inMemory = new Syncs(new Handles(), { inMemory: true });
    await Promise.all([inMemory.folder(none), inMemory.file(-1)]);
    const onDisk = new Syncs(new Handles());
    await expect(onDisk.folder(none)).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(onDisk.file(-1)).rejects.toBeInstanceOf(Error);
    // What failed keeps nobody from the next.
    mkdirSync(none);
    await Promise.all(Array.from({ length: 50 }, () => onDisk.folder(none)));
  });
});
