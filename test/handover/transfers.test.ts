import { describe, expect, test } from 'vitest';
import { DropError } from '../../src/errors.ts';
import type { PeerId, TransferEvent } from '../../src/events.ts';
import { Progress } from '../../src/handover/progress.ts';
import { Received } from '../../src/handover/take-in.ts';
import { Transfers, type Visit } from '../../src/handover/transfers.ts';
import { MAX_IDLE } from '../../src/limits.ts';
import { Channel } from '../../src/transfer/channel.ts';
import { cable } from '../support/memory.ts';

const ANA = 'ana' as PeerId;
const BOB = 'bob' as PeerId;

/** Accepted transfers, each with a connection. */
class House {
  readonly transfers = new Transfers<Received>();
  readonly events: TransferEvent[] = [];
  readonly visits: Visit[] = [];

  /** `releases`: as soon as its connection fails. */
  accept(
    peer: PeerId,
    roots: readonly string[],
    silence = 0,
    { known = true, releases = true } = {},
  ): Received {
    const from = { id: peer, name: peer, known, paired: false, free: false };
    const emit = (event: TransferEvent): number => this.events.push(event);
    const transfer = new Received(from, (name) => new Progress(from, emit, { transfer: name }));
    transfer.reception.roots = roots;
    const visit = this.visit(silence);
    this.transfers.hold(transfer, visit);
    if (releases) visit.channel.hear('hello').catch(() => this.transfers.release(transfer));
    return transfer;
  }

  visit(silence = 0): Visit {
    const visit = { channel: new Channel('announcer', cable().right), connection: { silence } };
    this.visits.push(visit);
    return visit;
  }

  again(transfer: Received, peer = transfer.peer): Promise<Received | undefined> {
    return this.transfers.takeUp(peer, transfer.id, this.visit());
  }

  get said(): string[] {
    return this.events.map(({ event }) => event);
  }
}

/** Whether something of this name is part of a transfer. */
function has(root: string): (transfer: Received) => boolean {
  return ({ reception }) => reception.roots?.includes(root) ?? false;
}

test('a transfer whose connection is lost waits for its peer, and for nobody else', async () => {
  const house = new House();
  const transfer = house.accept(ANA, ['a']);
  await house.transfers.release(transfer);
  expect(await house.again(transfer, BOB)).toBeUndefined();
  expect(await house.again(transfer)).toBe(transfer);
  expect(house.said).toEqual(['reconnecting']);
  await house.transfers.close();
  expect(house.said).toEqual(['reconnecting', 'error', 'summary']);
});

test('one that came to its end is there for a sender that missed that, and tells nothing more', async () => {
  const house = new House();
  const transfer = house.accept(ANA, ['a']);
  await house.transfers.complete(transfer);
  expect(transfer.complete).toBe(true);
  expect(await house.again(transfer)).toBe(transfer);
  await house.transfers.release(transfer);
  await house.transfers.close();
  expect(await house.again(transfer)).toBeUndefined();
  expect(house.said).toEqual([]);
});

test('a later connection replaces one that seems to live', async () => {
  const house = new House();
  const transfer = house.accept(ANA, ['a']);
  expect(await house.again(transfer)).toBe(transfer);
  expect(house.said).toEqual(['reconnecting']);
  await house.transfers.close();
});

test('one that cannot be cleared away keeps nobody waiting', async () => {
  const house = new House();
  const transfer = house.accept(ANA, ['a'], 0, { releases: false });
  const again = house.again(transfer);
  const broken = new Error('broken');
  transfer.close = () => Promise.reject(broken);
  await expect(house.transfers.stop(transfer, new DropError('cancelled'))).rejects.toBe(broken);
  expect(await again).toBeUndefined();
});

describe('a person here', () => {
  const lost = new DropError('disconnected');

  test('ends what was lost just before, and comes to rest only now', async () => {
    const house = new House();
    const transfer = house.accept(ANA, ['a'], 0, { releases: false });
    const again = house.again(transfer);
    house.transfers.follow('cancel', transfer.id);
    await house.transfers.stop(transfer, lost);
    expect(await again).toBeUndefined();
    expect(house.events).toEqual([
      expect.objectContaining({ event: 'error', code: 'cancelled', message: 'You stopped it.' }),
      expect.objectContaining({ event: 'summary', code: 'cancelled' }),
    ]);
  });

  test('neither ends nor pauses what has come to its end', async () => {
    const house = new House();
    const transfer = house.accept(ANA, ['a']);
    await house.transfers.complete(transfer);
    for (const order of ['pause', 'cancel'] as const) house.transfers.follow(order);
    expect(transfer.pause.on).toBe(false);
    expect(await house.again(transfer)).toBe(transfer);
    house.transfers.follow('cancel');
    const { channel } = house.visits.at(-1) as Visit;
    expect(channel.session.over).toBe(false);
    await house.transfers.stop(transfer, lost);
    expect(house.said).toEqual([]);
    await house.transfers.close();
  });
});

describe('what is sent again', () => {
  test.each<[string, PeerId, string, number, boolean]>([
    ['ends what waits', ANA, 'a', -1, true],
    ['ends what has a dead connection', ANA, 'a', 60_000, true],
    ['leaves what is alive', ANA, 'a', 0, false],
    ['leaves other things', ANA, 'b', -1, false],
    ["leaves another peer's", BOB, 'a', -1, false],
  ])('%s', async (_, peer, root, silence, ends) => {
    const house = new House();
    const before = house.accept(peer, [root, 'c'], silence);
    if (silence < 0) await house.transfers.release(before);
    const next = house.accept(ANA, ['a']);
    await house.transfers.giveWay(next, has('a'));
    expect(house.said.includes('summary')).toBe(ends);
    expect((await house.again(before)) === undefined).toBe(ends);
    await house.transfers.close();
  });

  test('ends what turns out to be lost while it is waited for', async () => {
    const house = new House();
    const before = house.accept(ANA, ['a'], 1000);
    const next = house.accept(ANA, ['a']);
    const given = house.transfers.giveWay(next, has('a'));
    await house.transfers.release(before);
    // As that of a connection that is over, of which nothing can be said.
    Object.assign(house.visits[0]?.connection ?? {}, { silence: 0 });
    await given;
    expect(house.said).toContain('summary');
    await house.transfers.close();
  });
});

describe('what is looked at whether it is lost, and meanwhile', () => {
  test('is gone on with, goes on', async () => {
    const house = new House();
    const before = house.accept(ANA, ['a'], 1000);
    const given = house.transfers.giveWay(house.accept(ANA, ['a']), has('a'));
    expect(await house.again(before)).toBe(before);
    await given;
    expect(house.said).toEqual(['reconnecting']);
    await house.transfers.release(before);
    expect(await house.again(before)).toBe(before);
    await house.transfers.close();
  });

  test('is ended, ends once', async () => {
    const house = new House();
    const before = house.accept(ANA, ['a'], 1000, { releases: false });
    const given = house.transfers.giveWay(house.accept(ANA, ['a']), has('a'));
    await house.transfers.stop(before, new DropError('cancelled'));
    await given;
    expect(house.said).toEqual(['error', 'summary']);
    await house.transfers.close();
  });
});

test('those that wait of strangers push out none of known devices', async () => {
  const house = new House();
  const hers = house.accept(ANA, ['a']);
  await house.transfers.release(hers);
  for (let n = 0; n <= MAX_IDLE; n++) {
    const stranger = `${n}`.padStart(64, '0') as PeerId;
    await house.transfers.release(house.accept(stranger, ['b'], 0, { known: false }));
  }
  expect(await house.again(hers)).toBe(hers);
  await house.transfers.close();
});

test('of one peer only a few wait; the oldest gives way', async () => {
  const house = new House();
  const all = Array.from({ length: 6 }, (_, i) => house.accept(ANA, [`${i}`]));
  for (const transfer of all) await house.transfers.release(transfer);
  const left = await Promise.all(all.map((transfer) => house.again(transfer)));
  expect(left.map((one) => one !== undefined)).toEqual([false, false, true, true, true, true]);
  await house.transfers.close();
});
