import { createHash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DropError, type LentEntry, type LentFile } from '../../src/index.ts';
import {
  COMPARING_PACE,
  MAX_LENT,
  MAX_LENT_AHEAD,
  MAX_LENT_PART,
  MAX_LOANS,
} from '../../src/limits.ts';
import { Lending } from '../../src/web/lending.ts';
import type { Wish } from '../../src/web/loans.ts';
import { Digests } from '../../src/web/page/guests/digests.ts';
import {
  type Dropped,
  droppedOf,
  droppedOfInput,
  type Entry,
  Lender,
} from '../../src/web/page/lending.ts';
import { fakeClock, settled } from '../net/fake-clock.ts';
import { picked } from '../support/guest-client.ts';

const KIB = 1024;
const gone = new DropError('disconnected');

describe('what may be lent', () => {
  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['no list', { entries: 'a', ready: true }],
    ['no path', { entries: [{ path: '', size: 1 }], ready: true }],
    ['a long path', { entries: [{ path: 'a/'.repeat(2_500), size: 1 }], ready: true }],
    ['a long name', { entries: [{ path: 'a'.repeat(1_025), size: 1 }], ready: true }],
    ['a size below zero', { entries: [{ path: 'a', size: -1 }], ready: true }],
    ['a part of a byte', { entries: [{ path: 'a', size: 0.5 }], ready: true }],
    ['more than can be counted', { entries: [{ path: 'a', size: 2 ** 53 }], ready: true }],
    ['no time', { entries: [{ path: 'a', size: 1, mtime: 'now' }], ready: true }],
    ['something beside', { entries: [{ path: 'a', size: 1, mode: 0o777 }], ready: true }],
    ['a loan that is none', { loan: '7', entries: [], ready: true }],
    ['many at once', { entries: folders(MAX_LENT_PART + 1), ready: true }],
  ])('is not %s', (_, part) => {
    expect(() => lending().add(part)).toThrow(expect.objectContaining({ code: 'usage' }));
  });

  test('is so many in all', () => {
    const pages = lending();
    const loan = pages.add({ entries: [], ready: false });
    for (let n = 0; n < MAX_LENT; n += MAX_LENT_PART)
      pages.add({ loan, entries: folders(MAX_LENT_PART), ready: false });
    expect(() => pages.add({ entries: folders(1), ready: true })).toThrow('100,000');
    pages.giveBack(loan);
    pages.add({ entries: folders(1), ready: true });
  });

  test('is not lent in part: what of it was taken is given back', () => {
    const pages = lending();
    const loan = pages.add({ entries: [], ready: false });
    for (let n = 0; n < MAX_LENT; n += MAX_LENT_PART)
      pages.add({ loan, entries: folders(MAX_LENT_PART), ready: false });
    expect(() => pages.add({ loan, entries: folders(1), ready: true })).toThrow('100,000');
    expect(pages.loans).toEqual([]);
    // Nobody has to close the page to lend something smaller.
    pages.add({ entries: folders(MAX_LENT_PART), ready: true });
  });

  test('has paths that are so long together', () => {
    const pages = lending();
    const entries = Array.from({ length: MAX_LENT_PART }, () => ({ path: 'abc/'.repeat(1_000) }));
    const fill = (): void => {
      for (let n = 0; n < 10; n++) pages.add({ entries, ready: false });
    };
    expect(fill).toThrow(expect.objectContaining({ code: 'usage' }));
    // Of these there are few.
    expect(fill).toThrow('too long');
  });

  test('is lent so often at a time', () => {
    const pages = lending();
    const names = Array.from({ length: MAX_LOANS }, () => pages.add({ entries: [], ready: true }));
    expect(() => pages.add({ entries: [], ready: true })).toThrow(DropError);
    pages.giveBack(names[3] ?? '');
    pages.add({ entries: [], ready: true });
  });

  test('is known when its last part is', async () => {
    const pages = lending();
    const loan = pages.add({
      page: 'p',
      entries: [{ path: 'a', size: 1, mtime: 5 }],
      ready: false,
    });
    const all = pages.take(loan);
    expect(await Promise.race([all, settled()])).toBeUndefined();
    pages.add({ loan, entries: [{ path: 'b/c' }], ready: true });
    expect(await all).toEqual([
      { kind: 'file', path: 'a', size: 1, mtime: 5, read: expect.any(Function) },
      { kind: 'folder', path: 'b/c' },
    ]);
    expect(() => pages.add({ loan, entries: [], ready: true })).toThrow(DropError);
  });

  test('is not taken from a page that goes, or twice by name', async () => {
    const pages = lending();
    const taken = pages.take(pages.add({ entries: [], ready: false }));
    pages.close(gone);
    await expect(taken).rejects.toBe(gone);
    await expect(pages.take('1')).rejects.toBe(gone);
    await expect(lending().take('1')).rejects.toMatchObject({ code: 'usage' });
    expect(pages.gone.reason).toBe(gone);
  });
});

describe('what is lent is read', () => {
  test('as it is, whatever is read of it and in which order', async () => {
    const sizes = fc.oneof(
      fc.nat(200),
      fc.nat(64 * KIB),
      fc.integer({ min: 64 * KIB, max: 300 * KIB }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(sizes, { minLength: 1, maxLength: 120 }),
        fc.array(
          fc.record({
            file: fc.nat(),
            from: fc.nat(),
            /** Left after so many pieces, if at all. */
            leave: fc.option(fc.nat(3), { nil: undefined, freq: 5 }),
            beside: fc.boolean(),
          }),
          { maxLength: 40 },
        ),
        fc.integer({ min: 1, max: 100 * KIB }),
        /** What becomes of each request: it breaks after so many bytes. */
        fc.infiniteStream(fc.option(fc.nat(200 * KIB), { freq: 3 })),
        async (all, reads, piece, breaks) => {
          const clock = fakeClock();
          const page = new FakePage(all, { piece, clock, breaks });
          const files = await page.lend();
          const running = new Set<Promise<void>>();
          for (const { file, from, leave, beside } of reads) {
            const place = file % all.length;
            const start = from % ((all[place] ?? 0) + 1);
            const reading = page.check(files, place, start, leave);
            running.add(reading);
            void reading.then(() => running.delete(reading));
            if (!beside) await page.run(reading);
          }
          await page.run(Promise.all(running));
          page.lending.close(gone);
          expect(clock.pending).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
    // One in some hundred draws many large files, and pieces of a byte.
  }, 180_000);

  test('a thousand small files in a few requests, each once', async () => {
    const page = new FakePage(Array.from({ length: 1_000 }, (_, n) => n + 1));
    const files = await page.lend();
    for (const place of [500, ...files.keys()]) await page.check(files, place, 0);
    expect(page.asked).toBeLessThan(20);
    expect(page.wants.flatMap((want) => want.files)).toHaveLength(1_000);
  });

  test('from memory if it is small and was asked for lately', async () => {
    const page = new FakePage(Array(120).fill(64 * KIB));
    const files = await page.lend();
    for (const place of files.keys()) await page.check(files, place, 0);
    const { asked } = page;
    expect(asked).toBe(8);
    for (const place of [119, 112, 80, 64]) await page.check(files, place, 0);
    expect(page.asked).toBe(asked);
    await page.check(files, 0, 0);
    expect(page.asked).toBe(asked + 1);
    expect(4 * 1024 * KIB).toBe(MAX_LENT_AHEAD);
  });

  test('by more than fit into that memory, none of whom loses what it waits for', async () => {
    const page = new FakePage(Array(1_000).fill(64 * KIB), { silent: true });
    const files = await page.lend();
    const reads = Array.from({ length: 50 }, (_, n) => page.check(files, 20 * n, 0));
    await settled();
    expect(page.wants.flatMap((want) => want.files).length).toBeLessThan(64 + 50);
    for (const want of page.wants) page.bring(want);
    await Promise.all(reads);
    expect(page.asked).toBe(50);
    expect(page.unwanted).toEqual([]);
  });

  test('for several at once, each of whom waits for no more than what it reads', async () => {
    const page = new FakePage(Array.from({ length: 300 }, () => 20 * KIB));
    const files = await page.lend();
    const places = [...files.keys()];
    const read = async (order: readonly number[]): Promise<void> => {
      for (const place of order) await page.check(files, place, 0);
    };
    const readers = [places, places, places.slice(100), places.slice(200)];
    await Promise.all(readers.map(read));
    expect(page.asked).toBeLessThan(20);
  });

  test('in stretches, so that others get their turn', async () => {
    const page = new FakePage([200 * KIB * KIB], { empty: true });
    const [file] = await page.lend();
    let bytes = 0;
    for await (const piece of (file as LentFile).read(0, never())) bytes += piece.length;
    expect(bytes).toBe(200 * KIB * KIB);
    expect(page.wants.map(({ files }) => files[0]?.bytes ?? 0)).toEqual(
      [64, 64, 64, 8].map((mib) => mib * KIB * KIB),
    );
  });

  test('no faster than it is taken, with nothing held', async () => {
    const page = new FakePage([10 * 64 * KIB], { piece: 64 * KIB });
    const [file] = await page.lend();
    const reading = (file as LentFile).read(0, never())[Symbol.asyncIterator]();
    await reading.next();
    await settled();
    expect(page.brought).toBeLessThanOrEqual(3 * 64 * KIB);
    await reading.return?.();
    await settled();
    expect(page.unwanted).toHaveLength(1);
    expect(page.brought).toBeLessThanOrEqual(3 * 64 * KIB);
  });
});

describe('a page that breaks off', () => {
  test('is asked for the rest', async () => {
    const page = new FakePage([500 * KIB], { breaks: [100 * KIB, 0, 0, 0, 7, 0, null] });
    const files = await page.lend();
    await page.run(page.check(files, 0, 11));
    expect(page.wants.map(({ files: [first] }) => first?.from)).toEqual([
      11,
      11 + 100 * KIB,
      11 + 100 * KIB,
      11 + 100 * KIB,
      11 + 100 * KIB,
      18 + 100 * KIB,
      18 + 100 * KIB,
    ]);
  });

  test.each([1, 100 * KIB])('always is left in the end, of %i bytes', async (size) => {
    const page = new FakePage([size], { breaks: Array(50).fill(0) });
    const files = await page.lend();
    await expect(page.run(page.check(files, 0, 0))).rejects.toMatchObject({ code: 'unreadable' });
    expect(page.asked).toBe(5);
  });

  test('at one small file does not make the others fail', async () => {
    const page = new FakePage(Array(100).fill(100), { unreadable: 5 });
    const files = await page.lend();
    for (const place of files.keys()) {
      const checked = page.run(page.check(files, place, 0));
      if (place === 5) await expect(checked).rejects.toMatchObject({ code: 'unreadable' });
      else await checked;
    }
  });

  test('and says that it cannot read a file is not asked for that again', async () => {
    const page = new FakePage([100, 200 * KIB, 100, 100], { unreadable: 1, says: true });
    const files = await page.lend();
    await page.run(page.check(files, 0, 0));
    await expect(page.run(page.check(files, 1, 0))).rejects.toMatchObject({ code: 'unreadable' });
    await page.run(page.check(files, 3, 0));
    const of1 = page.wants.filter(({ files: wanted }) => wanted.some(({ file }) => file === 1));
    expect(of1).toHaveLength(1);
    page.lending.failed({ page: '', loan: '9', file: 2 });
    page.lending.failed({ page: '', loan: page.loan, file: 9 });
    expect(() => page.lending.failed({ loan: page.loan, file: -1 })).toThrow(DropError);
  });

  test('by bringing less or more than was asked for spoils that file', async () => {
    const page = new FakePage([100, 200 * KIB, 100], { wrong: -1 });
    const files = await page.lend();
    await expect(page.check(files, 1, 0)).rejects.toMatchObject({ code: 'changed' });
    page.wrong = 1;
    for (const place of [0, 1, 2])
      await expect(page.check(files, place, 0)).rejects.toMatchObject({ code: 'changed' });
    await settled();
    expect(page.failures).toEqual(Array(4).fill('usage'));
    page.wrong = 0;
    await page.check(files, 1, 0);
  });

  test('by bringing more than was asked for, if only behind it, spoils that file', async () => {
    const page = new FakePage([200 * KIB], { silent: true });
    const files = await page.lend();
    const read = page.check(files, 0, 0);
    await settled();
    const [{ loan = '', batch = '' } = {}] = page.wants;
    const bringing = page.lending.put(
      loan,
      batch,
      (async function* () {
        yield contentOf(0, 0, 200 * KIB);
        yield Buffer.alloc(1);
      })(),
    );
    await expect(bringing).rejects.toMatchObject({ code: 'usage' });
    await expect(read).rejects.toMatchObject({ code: 'changed' });
  });

  test('is waited for while it is away, and then asked anew', async () => {
    const clock = fakeClock();
    const page = new FakePage([200 * KIB, 10], { clock, silent: true });
    const files = await page.lend();
    const large = page.check(files, 0, 0);
    const small = page.check(files, 1, 0);
    await settled();
    page.lending.pause();
    await clock.pass(3_600_000);
    expect(page.asked).toBe(2);
    page.silent = false;
    page.lending.resumed();
    await Promise.all([large, small]);
    expect(page.asked).toBe(4);
    expect(page.unwanted).toHaveLength(2);
  });

  test('is there and brings nothing is given up', async () => {
    const clock = fakeClock();
    const page = new FakePage([10], { clock, silent: true });
    const files = await page.lend();
    await expect(page.run(page.check(files, 0, 0))).rejects.toMatchObject({ code: 'unreadable' });
  });

  test('but brings other things is not given up', async () => {
    const clock = fakeClock();
    const page = new FakePage([10, 10 * KIB * KIB], { clock, silent: true });
    const files = await page.lend();
    const waiting = page.check(files, 0, 0);
    await settled();
    page.silent = false;
    for (let minute = 0; minute < 60; minute++) {
      await clock.pass(60_000);
      await page.check(files, 1, 9 * KIB * KIB);
    }
    expect(page.wants.filter(({ files: [first] }) => first?.file === 0)).toHaveLength(1);
    page.bring(page.wants[0] as Want);
    await waiting;
  });

  test('for good ends what is read', async () => {
    const page = new FakePage([200 * KIB, 10], { silent: true });
    const files = await page.lend();
    const reads = [page.check(files, 0, 0), page.check(files, 1, 0)];
    await settled();
    page.lending.close(gone);
    for (const read of reads) await expect(read).rejects.toBe(gone);
    await expect(page.check(files, 1, 0)).rejects.toBe(gone);
  });

  test('concerns nobody who reads no more', async () => {
    const page = new FakePage([200 * KIB, 10], { silent: true });
    const files = await page.lend();
    const left = new AbortController();
    const reads = [0, 1].map((place) => page.check(files, place, 0, undefined, left.signal));
    await settled();
    left.abort(gone);
    for (const read of reads) await expect(read).rejects.toBe(gone);
    page.lending.giveBack(page.loan);
    await expect(page.check(files, 1, 0)).rejects.toMatchObject({ code: 'unreadable' });
  });

  test('brings only what it was asked for, once, and in its own name', async () => {
    const page = new FakePage([200 * KIB], { silent: true });
    const files = await page.lend();
    const reading = page.check(files, 0, 0);
    await settled();
    const [want] = page.wants;
    const junk = async function* (): AsyncGenerator<Uint8Array> {
      yield randomBytes(200 * KIB);
    };
    await page.lending.put('other', want?.batch ?? '', junk());
    await page.lending.put(page.loan, '99', junk());
    page.bring(want as Want);
    await page.lending.put(page.loan, want?.batch ?? '', junk());
    await reading;
  });
});

describe('what tells a file', () => {
  const START = 100 * KIB;

  /** Asks for what tells the start of the first file. */
  function start(files: readonly LentEntry[]): Promise<Uint8Array> {
    const told = (files[0] as LentFile).digest?.(START, never());
    if (told === undefined) throw new Error('Nobody can be asked.');
    return told;
  }

  test('is asked of the page, which sends no more than that', async () => {
    const page = new FakePage([200 * KIB]);
    const files = await page.lend();
    expect(await start(files)).toEqual(new Uint8Array(sha256(contentOf(0, 0, START))));
    expect(page.wants).toEqual([
      expect.objectContaining({ files: [{ file: 0, from: 0, bytes: START }], digest: true }),
    ]);
    expect(page.brought).toBe(32);
  });

  test('is asked for again after a break, and of a page that comes back', async () => {
    const page = new FakePage([200 * KIB], { breaks: [7, 0] });
    const files = await page.lend();
    expect(await page.run(start(files))).toHaveLength(32);
    expect(page.asked).toBe(3);
    page.silent = true;
    const told = start(files);
    await settled();
    page.lending.pause();
    page.silent = false;
    page.lending.resumed();
    expect(await told).toHaveLength(32);
  });

  test('may take a page as long as it takes to look through it', async () => {
    const clock = fakeClock();
    const page = new FakePage([100 * 1000 * COMPARING_PACE], { clock, silent: true });
    const [file] = await page.lend();
    const told = (file as LentFile).digest?.(100 * 1000 * COMPARING_PACE, never());
    await clock.pass(180_000);
    expect(page.asked).toBe(1);
    await clock.pass(15_000);
    expect(page.asked).toBe(2);
    page.lending.close(gone);
    await expect(told).rejects.toBe(gone);
  });

  test('is one digest, and of a file that can be read', async () => {
    for (const wrong of [-1, 1]) {
      const files = await new FakePage([200 * KIB], { wrong }).lend();
      await expect(start(files)).rejects.toMatchObject({ code: 'changed' });
    }
    const page = new FakePage([200 * KIB], { unreadable: 0, says: true });
    const files = await page.lend();
    await expect(page.run(start(files))).rejects.toMatchObject({ code: 'unreadable' });
    expect(page.asked).toBe(1);
  });

  test('is not asked for any more when nobody waits for it', async () => {
    const page = new FakePage([200 * KIB], { silent: true });
    const [file] = await page.lend();
    const left = new AbortController();
    const told = (file as LentFile).digest?.(START, left.signal);
    await settled();
    left.abort(gone);
    await expect(told).rejects.toBe(gone);
    expect(page.unwanted).toHaveLength(1);
  });

  test('the page finds out as it is asked, and goes on where it was', async () => {
    const { lender, lending: pages, compared } = pair();
    const bytes = randomBytes(3 * KIB * KIB);
    const loan = await lender.lend([picked('a', bytes)], 'p');
    const [file] = (await pages.take(loan)) as LentFile[];
    const told = async (length: number): Promise<void> =>
      expect(await file?.digest?.(length, never())).toEqual(
        new Uint8Array(sha256(bytes.subarray(0, length))),
      );
    await told(2 * KIB * KIB);
    expect(compared.at(-1)).toBe(1);
    compared.length = 0;
    await told(3 * KIB * KIB);
    // What it had looked through before, it does not look through again.
    expect(compared[0]).toBeGreaterThan(2 / 3);
    await Promise.all([told(5), told(3 * KIB * KIB), told(0)]);
  });
});

describe('the page', () => {
  test('brings what is wanted, to the byte', async () => {
    const { lender, lending: pages, requests } = pair();
    const large = new File([randomBytes(3 * KIB * KIB)], 'large', { lastModified: 7 });
    const small = Array.from({ length: 2_500 }, (_, n) => new File([`${n}`], `${n}.txt`));
    const dropped = droppedOfInput([large, ...small]);
    const loan = await lender.lend([...dropped, { path: 'empty', file: undefined }], 'p');
    const entries = await pages.take(loan);
    expect(entries).toHaveLength(2_502);
    expect(entries[0]).toMatchObject({ path: 'large', size: 3 * KIB * KIB, mtime: 7 });
    expect(entries[2_501]).toEqual({ kind: 'folder', path: 'empty' });
    const bytes = await bytesOf(entries[0], 1_000);
    expect(bytes.equals(Buffer.from(await large.arrayBuffer()).subarray(1_000))).toBe(true);
    const sorted = entries.slice(1, 2_501).sort((a, b) => (a.path < b.path ? -1 : 1));
    for (const entry of sorted.slice(0, 300))
      expect(`${await bytesOf(entry, 0)}.txt`).toBe(entry.path);
    expect(requests.lend).toBe(3);
    expect(requests.put).toBeLessThan(8);
  });

  test('lets go of what is given back, also while it could not hear of it', async () => {
    const puts: string[] = [];
    let loans = 0;
    const lender = new Lender({
      post: async () => ({ loan: `${++loans}` }),
      put: async (loan, _, body) => void puts.push(`${loan}: ${await body.text()}`),
    });
    const lend = (text: string): Promise<string> =>
      lender.lend(droppedOfInput([new File([text], 'a')]), 'p');
    const [first, second, third] = [await lend('one'), await lend('two'), await lend('three')];
    lender.forget(first);
    lender.lost();
    const fourth = await lend('four');
    // Lent after it was lost, so that the server may not have counted it.
    lender.found([third]);
    for (const loan of [first, second, third, fourth])
      lender.want({ event: 'want', loan, batch: '1', files: [{ file: 0, from: 0, bytes: 5 }] });
    await expect.poll(() => puts.toSorted()).toEqual(['1: ', '2: ', '3: three', '4: four']);
  });

  test('says which file it cannot read', async () => {
    const { lender, lending: pages } = pair((body) => body.size >= 1_000);
    const broken = Object.assign(new Blob(['a'.repeat(1_000)]), {
      slice: () => broken,
      arrayBuffer: () => Promise.reject(new Error('It has changed.')),
    });
    const bad = Object.assign(new File(['a'.repeat(1_000)], 'bad'), { slice: () => broken });
    const files = [new File(['1'], '1'), bad, new File(['2'], '2')];
    const entries = await pages.take(await lender.lend(droppedOfInput(files), 'p'));
    expect((await bytesOf(entries[2], 0)).toString()).toBe('2');
    await expect(bytesOf(entries[1], 0)).rejects.toMatchObject({ code: 'unreadable' });
    expect((await bytesOf(entries[0], 0)).toString()).toBe('1');
  });

  test('brings few at a time, and nothing that is wanted no more', async () => {
    const bringing: string[] = [];
    const aborted: string[] = [];
    const lender = new Lender({
      post: async () => ({ loan: '1' }),
      put: (_, batch, __, signal) => {
        bringing.push(batch);
        return new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            aborted.push(batch);
            reject(new Error('aborted'));
          });
        });
      },
    });
    await lender.lend([{ path: 'a', file: new File(['a'], 'a') }], 'p');
    const files = [{ file: 0, from: 0, bytes: 1 }];
    for (const batch of ['1', '2', '3', '4', '5', '6'])
      lender.want({ event: 'want', loan: '1', batch, files });
    await settled();
    expect(bringing).toEqual(['1', '2', '3']);
    lender.unwanted({ loan: '1', batch: '4' });
    lender.unwanted({ loan: '1', batch: '2' });
    await settled();
    expect(bringing).toEqual(['1', '2', '3', '5']);
    lender.forgetAll();
    await settled();
    expect(aborted).toEqual(['2', '1', '3', '5']);
  });
});

describe('what is dropped', () => {
  test('is all that is in it, and empty folders', async () => {
    const dropped = await droppedOf({
      items: [
        item(folder('a', [file('2.txt'), folder('empty', []), folder('b', [file('c')])])),
        item(file('x.tar.gz')),
        { kind: 'string', webkitGetAsEntry: () => null, getAsFile: () => null },
        item(file('x.tar.gz')),
        item(folder('a', [file('other')])),
        { kind: 'file', webkitGetAsEntry: () => null, getAsFile: () => new File([], 'pasted') },
      ],
    });
    expect(dropped.map(pathAndName)).toEqual([
      'a/2.txt=2.txt',
      'a/b/c=c',
      'a/empty=',
      'x.tar.gz=x.tar.gz',
      'x (1).tar.gz=x.tar.gz',
      'a (1)/other=other',
      'pasted=pasted',
    ]);
  });

  test('is asked for in the event itself', () => {
    let asked = 0;
    const one = {
      ...item(file('a')),
      webkitGetAsEntry() {
        asked += 1;
        return file('a');
      },
    };
    void droppedOf({ items: [one, one] });
    expect(asked).toBe(2);
  });

  test('may be a folder of thousands, and of some that cannot be read', async () => {
    const unreadable: string[] = [];
    const many = Array.from({ length: 5_000 }, (_, n) => file(`${n}`));
    const bad: Entry = { name: 'bad', file: (_, failed) => failed(new Error('denied')) };
    const dropped = await droppedOf({ items: [item(folder('f', [...many, bad]))] }, (path) =>
      unreadable.push(path),
    );
    expect(new Set(dropped.map(({ path }) => path)).size).toBe(5_000);
    expect(unreadable).toEqual(['f/bad']);
  });

  test('in a dialogue has its folder, and each a name of its own', async () => {
    const inFolder = Object.assign(new File([], 'c'), { webkitRelativePath: 'a/b/c' });
    const chosen = droppedOfInput([inFolder, new File([], '.x'), new File([], '.x')]);
    expect(chosen.map(({ path }) => path)).toEqual(['a/b/c', '.x', '.x']);
    const { lender, lending: pages } = pair();
    const entries = await pages.take(await lender.lend(chosen, 'p'));
    expect(entries.map(({ path }) => path)).toEqual(['a/b/c', '.x', '.x (1)']);
  });
});

type Want = Extract<Wish, { readonly event: 'want' }>;

interface Manners {
  /** Bytes of each piece. */
  readonly piece?: number;
  readonly clock?: ReturnType<typeof fakeClock>;
  /** After how many bytes each request breaks, if it does. */
  readonly breaks?: Iterable<number | null>;
  /** A file that cannot be read; and whether the page says so. */
  readonly unreadable?: number;
  readonly says?: boolean;
  /** Whether it does not do what it is asked. */
  readonly silent?: boolean;
  /** Bytes too many of each request. */
  readonly wrong?: number;
  /** Whether all is zeros, as nobody looks. */
  readonly empty?: boolean;
}

/** A page that lends files of these sizes. */
class FakePage {
  readonly lending: Lending;
  readonly wants: Want[] = [];
  readonly unwanted: Wish[] = [];
  readonly failures: string[] = [];
  /** Bytes that were taken from it. */
  brought = 0;
  readonly returned: string[] = [];
  silent: boolean;
  wrong: number;
  readonly #sizes: readonly number[];
  readonly #manners: Manners;
  readonly #breaks: Iterator<number | null>;
  readonly clock: ReturnType<typeof fakeClock>;
  loan = '';

  constructor(sizes: readonly number[], manners: Manners = {}) {
    this.#sizes = sizes;
    this.#manners = manners;
    this.#breaks = (manners.breaks ?? [])[Symbol.iterator]();
    this.silent = manners.silent ?? false;
    this.wrong = manners.wrong ?? 0;
    this.clock = manners.clock ?? fakeClock();
    this.lending = new Lending(
      (wish) => {
        if (wish.event === 'unwanted') return void this.unwanted.push(wish);
        if (wish.event === 'returned') return void this.returned.push(wish.loan);
        this.wants.push(wish);
        if (!this.silent) this.bring(wish);
      },
      Object.assign(this, { digests: true }),
    );
  }

  get asked(): number {
    return this.wants.length;
  }

  lend(): Promise<readonly LentEntry[]> {
    const entries = this.#sizes.map((size, n) => ({
      path: `${n}`.padStart(6, '0'),
      size,
      mtime: n,
    }));
    this.loan = this.lending.add({ page: 'p', entries, ready: true });
    return this.lending.take(this.loan);
  }

  bring(want: Want): void {
    this.lending
      .put(want.loan, want.batch, this.#body(want))
      .catch((error: unknown) =>
        this.failures.push(error instanceof DropError ? error.code : String(error)),
      );
  }

  /** Reads a file, or its first pieces, and compares. */
  async check(
    files: readonly LentEntry[],
    place: number,
    from: number,
    leave?: number,
    signal = never(),
  ): Promise<void> {
    const file = files[place] as LentFile;
    const expected = contentOf(place, from, file.size - from);
    let at = 0;
    let pieces = 0;
    if (leave === 0) return;
    for await (const piece of file.read(from, signal)) {
      if (!expected.subarray(at, at + piece.length).equals(piece))
        throw new Error(`file ${place} differs in the ${piece.length} bytes behind ${from + at}`);
      at += piece.length;
      if (++pieces === leave) return;
      await settled();
    }
    expect(at).toBe(file.size - from);
  }

  /** Lets time pass until that is done. */
  async run<T>(task: Promise<T>): Promise<T> {
    let isDone = false;
    const done = (): void => {
      isDone = true;
    };
    task.then(done, done);
    for (await settled(); !isDone; await settled()) await this.clock.pass(1_000);
    return task;
  }

  async *#body({ loan, files, digest }: Want): AsyncGenerator<Uint8Array> {
    const { piece = 64 * KIB, unreadable, says, empty } = this.#manners;
    if (files.some(({ file }) => file === unreadable)) {
      if (says) this.lending.failed({ page: 'p', loan, file: unreadable });
      throw new DropError('disconnected');
    }
    const { value } = this.#breaks.next();
    let left = value ?? Number.POSITIVE_INFINITY;
    let all = empty
      ? Buffer.alloc(files[0]?.bytes ?? 0)
      : Buffer.concat(files.map(({ file, from, bytes }) => contentOf(file, from, bytes)));
    if (digest) all = Buffer.from(sha256(all));
    if (this.wrong < 0) all = all.subarray(0, this.wrong);
    if (this.wrong > 0) all = Buffer.concat([all, Buffer.alloc(this.wrong)]);
    for (let at = 0; at < all.length; at += piece) {
      const bytes = all.subarray(at, at + Math.min(piece, left));
      left -= bytes.length;
      this.brought += bytes.length;
      if (bytes.length > 0) yield bytes;
      if (left === 0) throw new DropError('disconnected');
    }
  }
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** Any bytes of a file, which are different everywhere. */
function contentOf(place: number, from: number, bytes: number): Buffer {
  let all = contents.get(place);
  if (all === undefined || all.length < from + bytes) {
    const line = createHash('sha512').update(`${place}`).digest();
    all = Buffer.alloc(Math.max(from + bytes, 1024 * KIB), line);
    for (let at = 0; at + 4 <= all.length; at += 64) all.writeUInt32LE(at, at);
    contents.set(place, all);
  }
  return all.subarray(from, from + bytes);
}

const contents = new Map<number, Buffer>();

function lending(): Lending {
  return new Lending(() => {}, { clock: fakeClock() });
}

function folders(count: number): { path: string }[] {
  return Array.from({ length: count }, (_, n) => ({ path: `${n}` }));
}

function never(): AbortSignal {
  return new AbortController().signal;
}

async function bytesOf(entry: LentEntry | undefined, from: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of (entry as LentFile).read(from, never())) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Both sides, without a network between them; a browser cannot read some of what it is to bring. */
function pair(isBroken: (body: Blob) => boolean = () => false) {
  const requests = { lend: 0, put: 0 };
  const compared: number[] = [];
  const digests = new Digests();
  const pages: Lending = new Lending(
    (wish) => {
      if (wish.event === 'want') lender.want(wish);
      else if (wish.event === 'unwanted') lender.unwanted(wish);
      else lender.forget(wish.loan);
    },
    { digests: true },
  );
  const lender = new Lender(
    {
      async post(name, body) {
        if (name === 'lend-failed') return { loan: String(pages.failed(body)) };
        requests.lend += 1;
        return { loan: pages.add(body) };
      },
      put(loan, batch, body) {
        requests.put += 1;
        return pages.put(loan, batch, isBroken(body) ? breaking() : body.stream());
      },
    },
    {
      digestOf: (...wanted) => digests.of(...wanted),
      onComparing: (_, share) => compared.push(share),
    },
  );
  return { lender, lending: pages, requests, compared };
}

async function* breaking(): AsyncGenerator<Uint8Array> {
  yield Buffer.alloc(0);
  throw new Error('It breaks off.');
}

function item(entry: Entry) {
  return { kind: 'file', webkitGetAsEntry: () => entry, getAsFile: () => null };
}

function file(name: string): Entry {
  return { name, file: (done) => done(new File([], name)) };
}

function folder(name: string, inside: readonly Entry[]): Entry {
  return {
    name,
    createReader() {
      let at = 0;
      return {
        readEntries(done) {
          const some = inside.slice(at, at + 100);
          at += some.length;
          done(some);
        },
      };
    },
  };
}

function pathAndName({ path, file: chosen }: Dropped): string {
  return `${path}=${chosen?.name ?? ''}`;
}
