import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Device, PeerId, ReceiveEvent, TransferEvent } from '../../src/events.ts';
import { Arrivals } from '../../src/handover/arrivals.ts';
import { clearHistory, history } from '../../src/history.ts';
import { TempFolder } from '../support/home.ts';

const ANA: Device = { name: 'Ana', id: 'a1'.repeat(32) as PeerId };
const [FIRST, SECOND] = ['1'.repeat(32), '2'.repeat(32)] as const;

type Happened = TransferEvent extends infer E
  ? E extends TransferEvent
    ? Omit<E, 'transfer' | 'peer'>
    : never
  : never;

/** What happened in a transfer, one after the other. */
function hear(arrivals: Arrivals, transfer: string, ...happened: Happened[]): ReceiveEvent[] {
  const said: ReceiveEvent[] = [];
  for (const event of happened)
    arrivals.hear({ ...event, transfer, peer: ANA } as TransferEvent, (more) => said.push(more));
  return said;
}

const saved = (path: string): Happened => ({ event: 'saved', path, bytes: 1, digest: 'sha256:' });
const skipped = (path: string, reason: 'unchanged' | 'conflict'): Happened => ({
  event: 'skipped',
  path,
  reason,
});
const SUMS = { sent: 1, resumed: 0, skipped: 0, failed: 0, ms: 1 };
const summary = (files: number): Happened => ({
  ...{ event: 'summary', ok: true, files, bytes: files, ...SUMS },
});

test('each transfer that ends is written down, by what its roots are named here', async () => {
  await using home = new TempFolder();
  const arrivals = new Arrivals(home.path);
  arrivals.begin(FIRST, '/in');
  arrivals.begin(SECOND, '/');
  hear(arrivals, FIRST, saved('/in/report (1).pdf'), saved('/in/photos/a/b.jpg'));
  hear(arrivals, SECOND, saved('/top'), saved('/elsewhere/x'));
  hear(arrivals, FIRST, skipped('photos/old.jpg', 'unchanged'), skipped('left/out', 'conflict'));
  hear(arrivals, FIRST, skipped('same.txt', 'unchanged'), summary(4));
  const failed = { event: 'summary', ok: false, code: 'disk-full', files: 0, bytes: 0 } as const;
  hear(arrivals, SECOND, { ...failed, ...SUMS });
  // It never began to land: there is nothing to be found.
  hear(arrivals, '3'.repeat(32), summary(0));
  await arrivals.close();
  const written = await history({ home: home.path });
  expect(written.sort((a, b) => (a.transfer < b.transfer ? -1 : 1))).toEqual([
    {
      ...{ at: expect.any(String), transfer: FIRST, peer: ANA, ok: true, files: 4, bytes: 4 },
      ...{ roots: ['report (1).pdf', 'photos', 'same.txt'], into: '/in' },
    },
    {
      ...{ at: expect.any(String), transfer: SECOND, peer: ANA, ok: false, code: 'disk-full' },
      ...{ files: 0, bytes: 0, roots: ['top', 'elsewhere'], into: '/' },
    },
  ]);
  await clearHistory({ home: home.path });
  expect(await history({ home: home.path })).toEqual([]);
});

test('of a thousand roots ten are written down, and of a long name its start', async () => {
  await using home = new TempFolder();
  const arrivals = new Arrivals(home.path);
  arrivals.begin(FIRST, '/in');
  hear(arrivals, FIRST, skipped(`${'é'.repeat(500)}/x`, 'unchanged'));
  for (let n = 0; n < 1000; n++) hear(arrivals, FIRST, saved(`/in/${n}`));
  hear(arrivals, FIRST, summary(1000));
  await arrivals.close();
  const [{ roots = [] } = {}] = await history({ home: home.path });
  expect(roots).toEqual(['é'.repeat(127), '0', '1', '2', '3', '4', '5', '6', '7', '8']);
});

test('where it cannot be written, that is said once and nothing fails', async () => {
  await using home = new TempFolder();
  const inTheWay = join(home.path, 'history');
  writeFileSync(inTheWay, 'mine');
  const arrivals = new Arrivals(home.path);
  const said: ReceiveEvent[] = [];
  for (const transfer of [FIRST, SECOND]) {
    arrivals.begin(transfer, '/in');
    const event = { ...summary(1), transfer, peer: ANA } as TransferEvent;
    arrivals.hear(event, (more) => said.push(more));
  }
  await arrivals.close();
  expect(said).toEqual([
    { event: 'unrecorded', code: expect.any(String), message: expect.any(String) },
  ]);
  expect(readFileSync(inTheWay, 'utf8')).toBe('mine');
  rmSync(inTheWay);
  arrivals.begin(FIRST, '/in');
  hear(arrivals, FIRST, summary(1));
  await arrivals.close();
  expect(await history({ home: home.path })).toHaveLength(1);
});
