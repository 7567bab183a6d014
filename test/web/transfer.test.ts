import { describe, expect, test } from 'vitest';
import { Control, DropError, type PeerId, type TransferEvent } from '../../src/index.ts';
import { saidOf, TransferPicture } from '../../src/web/window/transfer.ts';
import { Transfers } from '../../src/web/window/transfers.ts';

const OF = { transfer: 'a'.repeat(32), peer: { name: 'Bob', id: 'b'.repeat(64) as PeerId } };
const SUMMARY = {
  ...OF,
  ...({ event: 'summary' } as const),
  ...{ files: 1, bytes: 10, sent: 10, resumed: 0, skipped: 0, failed: 0, ms: 5 },
};

function picture({ direction = 'out' as 'in' | 'out' } = {}): TransferPicture {
  const device = { name: 'Bob', id: 'bbbbbbbb' };
  const clean = (text: string): string => text.replaceAll('\x1b', '?');
  return new TransferPicture({ id: '1', direction, begun: 'here', device, what: ['a'], clean });
}

const progress = (bytes: number, rate: number, total: number | null = 100): TransferEvent => ({
  ...OF,
  ...{ event: 'progress', file: 'a\x1b', bytes, total, files: 0, ofFiles: 1, rate },
});

describe('the picture of a transfer', () => {
  test('shows how far it is, and how long it will take, where that can be told', () => {
    const one = picture();
    one.hear({ ...OF, event: 'accepted' });
    one.hear(progress(40, 30));
    expect(one.now).toMatchObject({ state: 'running', bytes: 40, left: 2000, file: 'a?' });
    one.hear(progress(40, 0));
    expect(one.now.left).toBeNull();
    one.hear(progress(40, 30, null));
    expect(one.now.left).toBeNull();
    one.hear({ ...OF, event: 'reconnecting', reason: 'disconnected' });
    expect(one.now).toMatchObject({ state: 'lost', rate: 0, bytes: 40 });
    one.hear({ ...OF, event: 'resuming', bytes: 30, total: 100 });
    expect(one.now).toMatchObject({ state: 'running', resumed: 30 });
  });

  test('tells which file got another name here than it was offered under, and how many did', () => {
    const saved = { ...OF, event: 'saved', bytes: 1, digest: 'sha256:' } as const;
    const one = picture({ direction: 'in' });
    one.hear({ ...saved, path: '/home/bob/a' });
    expect(one.now.renamed).toBeNull();
    one.hear({ ...saved, path: '/home/bob/a (1)', offered: 'sub/a\x1b' });
    one.hear({ ...saved, path: '/home/bob/b (1)', offered: 'b' });
    expect(one.now.renamed).toEqual({ count: 2, offered: 'a?', name: 'a (1)' });
  });

  test('counts what is left out because of its name, and not what is there already', () => {
    const one = picture();
    one.hear({ ...OF, event: 'skipped', path: 'a', reason: 'conflict' });
    one.hear({ ...OF, event: 'skipped', path: 'b', reason: 'identical' });
    one.hear({ ...SUMMARY, ok: true });
    expect(one.now).toMatchObject({ state: 'done', leftOut: 1 });
  });

  test('stays paused whatever happens meanwhile, until it is over', () => {
    const one = picture();
    one.hear(progress(1, 1));
    expect(one.now.can).toEqual(['pause', 'cancel']);
    one.pause();
    one.hear(progress(2, 1));
    expect(one.now).toMatchObject({ state: 'paused', bytes: 2, can: ['resume', 'cancel'] });
    one.hear({ ...SUMMARY, ok: true });
    expect(one.now).toMatchObject({ state: 'done', can: ['dismiss'] });
  });

  test.each([
    [undefined, 'done'],
    ['disconnected', 'interrupted'],
    ['cancelled', 'cancelled'],
    ['corrupt', 'failed'],
  ] as const)('is over as its summary says: %s is %s', (code, state) => {
    const one = picture({ direction: 'in' });
    one.hear(progress(1, 1));
    one.hear({ ...SUMMARY, ok: code === undefined, ...(code ? { code } : {}) });
    expect(one.now.state).toBe(state);
    // What is over stays as it is.
    one.hear(progress(50, 1));
    one.end(new DropError('internal'));
    one.waits();
    expect(one.now.state).toBe(state);
    expect(one.now.can.includes('open')).toBe(state === 'done');
  });

  test.each([
    ['no-answer', 'declined'],
    ['disconnected', 'interrupted'],
    ['unreachable', 'failed'],
  ] as const)('that never began ends as %s: %s', (code, state) => {
    const one = picture();
    one.end(new DropError(code));
    expect(one.now).toMatchObject({ state, failure: { code } });
  });

  test('that was declined says so once', () => {
    const one = picture();
    one.end(new DropError('declined'));
    expect(one.now).toMatchObject({ state: 'declined', failure: null });
  });

  test('names what went wrong as it is fit to be shown', () => {
    const one = picture({ direction: 'in' });
    one.end(new DropError('unsafe-name', { path: 'a\x1b', message: 'No \x1b.' }));
    expect(one.now.failure).toMatchObject({ path: 'a?', message: 'No ?.' });
  });

  test('says that the other side lets it rest, and has no rate then', () => {
    const one = picture({ direction: 'in' });
    one.hear(progress(1, 10));
    one.hear({ ...OF, event: 'paused', by: 'there' });
    const held = { state: 'held', rate: 0, left: null, can: ['cancel'] };
    expect(one.now).toMatchObject({ ...held, bytes: 1 });
    // What was on its way.
    one.hear(progress(2, 10));
    expect(one.now).toMatchObject({ ...held, bytes: 2 });
    one.hear({ ...OF, event: 'resumed', by: 'there' });
    one.hear(progress(3, 10));
    expect(one.now).toMatchObject({ state: 'running', rate: 10, can: ['pause', 'cancel'] });
  });

  test('rests until both sides want to go on', () => {
    const one = picture();
    one.hear(progress(1, 10));
    one.pause();
    one.hear({ ...OF, event: 'paused', by: 'here' });
    one.hear({ ...OF, event: 'paused', by: 'there' });
    expect(one.now).toMatchObject({ state: 'paused', can: ['resume', 'cancel'] });
    one.resume();
    expect(one.now).toMatchObject({ state: 'held', can: ['cancel'] });
    one.hear({ ...OF, event: 'resumed', by: 'here' });
    expect(one.now.state).toBe('held');
    one.hear({ ...OF, event: 'resumed', by: 'there' });
    expect(one.now.state).toBe('running');
  });

  test('that rests may be lost, goes on resting when it is back, and can go on before', () => {
    const one = picture();
    one.hear(progress(1, 10));
    one.pause();
    one.hear({ ...OF, event: 'paused', by: 'there' });
    one.hear({ ...OF, event: 'reconnecting', reason: 'disconnected' });
    expect(one.now).toMatchObject({ state: 'lost', can: ['resume', 'cancel'] });
    one.hear({ ...OF, event: 'paused', by: 'here' });
    expect(one.now.state).toBe('paused');
    one.hear({ ...OF, event: 'reconnecting', reason: 'disconnected' });
    one.resume();
    expect(one.now).toMatchObject({ state: 'lost', can: ['cancel'] });
    one.hear(progress(2, 10));
    expect(one.now.state).toBe('running');
  });

  test('shows the first failure, and counts those of files', () => {
    const one = picture();
    const failure = (path: string): TransferEvent => ({
      ...OF,
      ...{ event: 'error', code: 'changed', message: 'It has changed.', path },
    });
    one.hear(failure('x\x1b'));
    one.hear(failure('y'));
    expect(one.now).toMatchObject({ failed: 2, failure: { code: 'changed', path: 'x?' } });
  });

  test('says of what the browser cannot read that it has to be chosen again', () => {
    const failure: TransferEvent = {
      ...OF,
      ...{ event: 'error', code: 'unreadable', message: 'It cannot be read.', path: 'a' },
    };
    const [sent, fetched] = [picture(), picture({ direction: 'in' })];
    for (const one of [sent, fetched]) one.hear(failure);
    expect(sent.now.failure?.hint).toContain('Choose it again');
    expect(fetched.now.failure?.hint).toBeUndefined();
  });

  test.each([
    ['disk-full', 'Make room and try again.'],
    ['peer-full', 'Make room there and try again.'],
    ['disconnected', undefined],
    ['refused', 'Somebody there can change that among the known devices.'],
    ['unreachable', 'A firewall, most likely. “Is all well here?” says more, on both computers.'],
    ['no-network', 'Connect to a network.'],
    ['peer-disk', new DropError('peer-disk').hint],
  ] as const)('says what to do about %s where nobody types commands', (code, hint) => {
    const one = picture({ direction: 'in' });
    one.end(new DropError(code));
    expect(one.now.failure).toMatchObject({ code, hint });
    expect(saidOf(new DropError(code)).hint).toBe(hint);
    expect(saidOf(new DropError(code, { hint: 'Another one.' })).hint).toBe('Another one.');
  });
});

test('a transfer that is named like one that is over is another one', () => {
  const transfers = new Transfers(new AbortController().signal, () => {});
  const about = { direction: 'out', device: { name: 'Bob', id: 'b' }, what: ['a'] } as const;
  const begin = (): void => {
    transfers.asked(OF.transfer, about, new Control());
    transfers.hear({ ...OF, event: 'accepted' });
  };
  begin();
  // As long as it goes on, it is the same.
  begin();
  expect(transfers.all).toHaveLength(1);
  transfers.hear({ ...SUMMARY, ok: true });
  transfers.begin(about);
  begin();
  expect(transfers.all.map(({ state }) => state)).toEqual(['running', 'calling']);
});
