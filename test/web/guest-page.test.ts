import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DropError, type Hatch, type PeerId, type Summary } from '../../src/index.ts';
import { GUEST_LOAN_LIMIT, VISITOR_IDLE } from '../../src/limits.ts';
import { GuestPage } from '../../src/web/guests/guest-page.ts';
import type { GuestEvent } from '../../src/web/guests/model.ts';
import { Room } from '../../src/web/lending.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

type Bring = Hatch['bring'];

/** A page whose uploads by default end when they are stopped, and what has become of them. */
function begin(bring?: Bring) {
  const ended: unknown[] = [];
  const gone: GuestPage[] = [];
  const untilStopped: Bring = async function* (_, __, { signal } = {}) {
    await new Promise((resolve) => signal?.addEventListener('abort', resolve));
    ended.push(signal?.reason);
    throw signal?.reason;
  };
  const hatch: Pick<Hatch, 'bring'> = { bring: bring ?? untilStopped };
  const page = new GuestPage({
    hatch,
    room: new Room(),
    source: '192.0.2.7',
    visitor: undefined,
    onGone: (left) => gone.push(left),
    onBug: (error) => ended.push(error),
  });
  return { page, ended, gone };
}

/** What a page hears from now on, until `leave` is called. */
function listen(page: GuestPage) {
  const left = new AbortController();
  const events: GuestEvent[] = [];
  const over = (async () => {
    for await (const lines of page.listen(left.signal))
      for (const line of Buffer.from(lines).toString().trim().split('\n'))
        events.push(JSON.parse(line));
  })();
  return { events, leave: () => left.abort(), over };
}

const SUMMARY: Summary = {
  ...{ event: 'summary', transfer: 'a'.repeat(32), peer: { name: 'Ana', id: 'b' as PeerId } },
  ...{ ok: true, files: 1, bytes: 1, sent: 1, resumed: 0, skipped: 0, failed: 0, ms: 5 },
};
const PART = { page: '', entries: [{ path: 'a', size: 1 }], ready: true };

test('that is away is waited for as long as something of it is sent, and no longer', async () => {
  const { page, ended, gone } = begin();
  const first = listen(page);
  const { loan } = page.lend(PART);
  await page.bring(loan, '192.0.2.7');
  first.leave();
  await first.over;
  await vi.advanceTimersByTimeAsync(VISITOR_IDLE - 1);
  const second = listen(page);
  await vi.advanceTimersByTimeAsync(VISITOR_IDLE);
  expect(gone).toEqual([]);
  second.leave();
  await second.over;
  await vi.advanceTimersByTimeAsync(VISITOR_IDLE);
  expect(gone).toEqual([page]);
  expect(ended).toEqual([expect.objectContaining({ code: 'disconnected' })]);
  expect(page.lending.gone.aborted).toBe(true);
});

test('that is away and sends nothing is forgotten', async () => {
  const { page, gone } = begin();
  const { leave, over } = listen(page);
  await vi.advanceTimersByTimeAsync(0);
  leave();
  await over;
  await vi.advanceTimersByTimeAsync(0);
  expect(gone).toEqual([page]);
});

test('that lends something and does not send it gets it back', async () => {
  const { page } = begin();
  const { loan } = page.lend({ ...PART, ready: false });
  await vi.advanceTimersByTimeAsync(GUEST_LOAN_LIMIT - 1);
  page.lend({ ...PART, loan });
  await vi.advanceTimersByTimeAsync(GUEST_LOAN_LIMIT - 1);
  expect(page.isBusy).toBe(true);
  await vi.advanceTimersByTimeAsync(1);
  expect(page.isBusy).toBe(false);
  await expect(page.bring(loan, '192.0.2.7')).rejects.toThrow(DropError);
  const one = page.lend(PART).loan;
  const other = page.lend(PART).loan;
  expect([page.lending.has(one), page.lending.has(other)]).toEqual([false, true]);
});

test('that is told of the end is not waited for, wherever it goes meanwhile', async () => {
  const { page } = begin();
  const first = listen(page);
  const { loan } = page.lend(PART);
  await page.bring(loan, '192.0.2.7');
  const left = page.leave('ended');
  first.leave();
  await first.over;
  page.cancel(loan);
  await left;
  expect(vi.getTimerCount()).toBe(0);
  const crowded = begin();
  const { events, over } = listen(crowded.page);
  await vi.advanceTimersByTimeAsync(0);
  await crowded.page.leave('crowded');
  await over;
  expect(events.at(-1)).toEqual({ event: 'bye', reason: 'crowded' });
  expect(vi.getTimerCount()).toBe(0);
});

test('that listens anew hears it there, and is not away where it listened before', async () => {
  const { page } = begin();
  const [first, second] = [listen(page), listen(page)];
  await first.over;
  expect(page.isAway).toBe(false);
  await vi.advanceTimersByTimeAsync(0);
  expect(second.events).toEqual([{ event: 'hello', page: page.name }]);
  second.leave();
  await second.over;
  expect(page.isAway).toBe(true);
});

test('that brings the same again, as it did not hear the answer, brings it once', async () => {
  const { page, ended } = begin();
  const { loan } = page.lend(PART);
  await page.bring(loan, '192.0.2.7');
  await page.bring(loan, '192.0.2.7');
  page.cancel(loan);
  await vi.advanceTimersByTimeAsync(0);
  await page.bring(loan, '192.0.2.7');
  expect(ended).toHaveLength(1);
});

test('stops what it is told to, and not what it brings after that', async () => {
  const { page, ended } = begin();
  const first = page.lend(PART).loan;
  await page.bring(first, '192.0.2.7');
  page.cancel(first);
  await vi.advanceTimersByTimeAsync(0);
  expect(ended).toHaveLength(1);
  const { loan } = page.lend(PART);
  await page.bring(loan, '192.0.2.7');
  page.cancel(first);
  await vi.advanceTimersByTimeAsync(0);
  expect(ended).toHaveLength(1);
  page.cancel(loan);
  await vi.advanceTimersByTimeAsync(0);
  expect(ended).toHaveLength(2);
});

test('whose loan is lost while the rest of it is waited for can send another one', async () => {
  const { page } = begin();
  const { loan } = page.lend({ ...PART, ready: false });
  const bringing = expect(page.bring(loan, '192.0.2.7')).rejects.toThrow(DropError);
  await vi.advanceTimersByTimeAsync(GUEST_LOAN_LIMIT);
  await bringing;
  expect(page.isBusy).toBe(false);
});

test('hears how it ended when the next can be brought', async () => {
  let leave = (): void => {};
  const { page } = begin(async function* () {
    yield SUMMARY;
    await new Promise<void>((resolve) => {
      leave = resolve;
    });
    return SUMMARY;
  });
  const one = listen(page);
  await page.bring(page.lend(PART).loan, '192.0.2.7');
  await vi.advanceTimersByTimeAsync(0);
  // Nor does one hear of it that comes back just then.
  const { events, over } = listen(page);
  await vi.advanceTimersByTimeAsync(0);
  const ends = () =>
    [...one.events, ...events].filter((event) => 'state' in event && event.state === 'done');
  expect(ends()).toEqual([]);
  leave();
  await vi.advanceTimersByTimeAsync(0);
  expect(ends()).toHaveLength(1);
  await page.bring(page.lend(PART).loan, '192.0.2.7');
  await vi.advanceTimersByTimeAsync(0);
  leave();
  await page.leave('crowded');
  await Promise.all([one.over, over]);
});

test('hears how it stands when it comes back', async () => {
  const { page } = begin();
  const { loan } = page.lend(PART);
  await page.bring(loan, '192.0.2.7');
  page.cancel(loan);
  await vi.advanceTimersByTimeAsync(0);
  const { events, leave, over } = listen(page);
  await vi.advanceTimersByTimeAsync(0);
  expect(events).toEqual([
    { event: 'hello', page: page.name },
    expect.objectContaining({ event: 'upload', loan, state: 'stopped' }),
  ]);
  leave();
  await over;
});
