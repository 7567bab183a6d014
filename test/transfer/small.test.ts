import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DropError, type ErrorCode } from '../../src/errors.ts';
import type { FileEntry } from '../../src/protocol/manifest.ts';
import type { Message } from '../../src/protocol/message.ts';
import { Channel } from '../../src/transfer/channel.ts';
import { Delivery } from '../../src/transfer/delivery.ts';
import type { Stored, WholeFile } from '../../src/transfer/inbox.ts';
import type { Whole } from '../../src/transfer/outbox.ts';
import { type Host, runReceiver } from '../../src/transfer/receiver.ts';
import { Reception } from '../../src/transfer/reception.ts';
import type { Report } from '../../src/transfer/report.ts';
import { runSender } from '../../src/transfer/sender.ts';
import { withGreeting } from '../support/greeted.ts';
import { cable, MemoryInbox, MemoryOutbox, type Tree, textDigest } from '../support/memory.ts';

interface Outcome {
  /** What is said of files, with their numbers. */
  readonly sent: string[];
  readonly answered: string[];
  readonly error: unknown;
  readonly failures: { readonly sender: string[]; readonly receiver: string[] };
  /** Paths of what both call stored, in order. */
  readonly stored: { readonly sender: string[]; readonly receiver: string[] };
}

/** One whole transfer, of which it is heard what is said of files. */
async function transfer(
  outbox: MemoryOutbox,
  inbox: MemoryInbox,
  slice = 16_384,
): Promise<Outcome> {
  const wire = cable({ slice });
  const sent: string[] = [];
  const answered: string[] = [];
  const reports: { sender: Report[]; receiver: Report[] } = { sender: [], receiver: [] };
  const host: Host = {
    freely: false,
    digests: ['sha256'],
    reception: async () => new Reception('0'.repeat(32), 'posix', textDigest),
    open: async () => inbox,
    ask: async () => 'yes',
  };
  const ends = await Promise.allSettled([
    withGreeting(overheard('chooser', wire.left, sent), (channel) =>
      runSender(channel, new Delivery(outbox), (report) => reports.sender.push(report)),
    ).finally(wire.pull),
    withGreeting(overheard('announcer', wire.right, answered), (channel) =>
      runReceiver(channel, host, (report) => reports.receiver.push(report)),
    ),
  ]);
  const [error] = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason] : []));
  const both = (of: (report: Report) => string[]) => ({
    sender: reports.sender.flatMap(of),
    receiver: reports.receiver.flatMap(of),
  });
  return {
    sent,
    answered,
    error,
    failures: both((one) => (one.type === 'failed' ? [`${one.path} ${one.code}`] : [])),
    stored: both((one) => (one.type === 'stored' ? [one.entry.path] : [])),
  };
}

function overheard(...[part, pipe, said]: [...ConstructorParameters<typeof Channel>, string[]]) {
  const channel = new Channel(part, pipe);
  const say = channel.say.bind(channel);
  channel.say = (...messages) => {
    said.push(...messages.flatMap(shown));
    return say(...messages);
  };
  return channel;
}

function shown(message: Message): string[] {
  switch (message.type) {
    case 'files':
      return [`files ${message.files.map(({ entry }) => entry).join()}`];
    case 'stored':
      return [`stored ${message.entries.join()}`];
    case 'failed':
    case 'end':
      return [`${message.type} ${message.entry}`];
    default:
      return [];
  }
}

const bytes = (length: number): Uint8Array => new Uint8Array(length).fill(length);
const bad = (code: ErrorCode, after = 0) => ({ after, code });

/** Fails even where there is not a byte to store. */
const AT_ONCE = -0.5;

/** `b` is no small file, which go up to 5 bytes in these tests. */
const TREE: Tree = { a: bytes(1), b: bytes(9), c: bytes(3), d: bytes(0), e: bytes(5), f: bytes(2) };

function without(tree: Tree, ...paths: string[]): Tree {
  return Object.fromEntries(Object.entries(tree).filter(([path]) => !paths.includes(path)));
}

describe('small files', () => {
  test('go together up to the next that is not small, and are stored together', async () => {
    const inbox = new MemoryInbox();
    const { sent, answered, error } = await transfer(new MemoryOutbox(TREE), inbox);
    expect(error).toBeUndefined();
    expect(inbox.stored).toEqual(TREE);
    expect(sent).toEqual(['files 0', 'end 1', 'files 2,3,4,5']);
    expect([...answered].sort()).toEqual(['stored 0', 'stored 1', 'stored 2,3,4,5']);
  });

  test.each<[string, string[], string[]]>([
    ['in the middle', ['d'], ['files 2', 'failed 3', 'files 4,5']],
    ['one after the other', ['d', 'e'], ['files 2', 'failed 3', 'failed 4', 'files 5']],
    ['at the start and the end', ['c', 'f'], ['failed 2', 'files 3,4', 'failed 5']],
    ['all', ['c', 'd', 'e', 'f'], ['failed 2', 'failed 3', 'failed 4', 'failed 5']],
  ])('of which some cannot be read keep their order: %s', async (_, paths, said) => {
    const inbox = new MemoryInbox();
    const spoil = Object.fromEntries(paths.map((path) => [path, bad('changed')]));
    const { sent, error, failures } = await transfer(new MemoryOutbox(TREE, { spoil }), inbox);
    expect(error).toBeUndefined();
    expect(inbox.stored).toEqual(without(TREE, ...paths));
    expect(sent).toEqual(['files 0', 'end 1', ...said]);
    const told = paths.map((path) => `${path} changed`);
    expect(failures).toEqual({ sender: told, receiver: told });
  });

  test('of which one cannot be stored are stored but for that', async () => {
    const inbox = new MemoryInbox();
    inbox.broken.d = bad('disk', AT_ONCE);
    inbox.broken.f = bad('not-permitted', 1);
    const { answered, error, failures, stored } = await transfer(new MemoryOutbox(TREE), inbox);
    expect(error).toBeUndefined();
    expect(inbox.stored).toEqual(without(TREE, 'd', 'f'));
    const ofGroup = answered.filter((line) => /[2-5]/.test(line));
    expect(ofGroup).toEqual(['stored 2,4', 'failed 3', 'failed 5']);
    expect(failures.receiver).toEqual(['d disk', 'f not-permitted']);
    expect(failures.sender).toEqual(['d peer-disk', 'f peer-disk']);
    expect(stored.sender).toEqual(stored.receiver);
  });

  test('of which none can be stored are all said to have failed', async () => {
    const inbox = new MemoryInbox();
    for (const path of ['c', 'd', 'e', 'f']) inbox.broken[path] = bad('disk', AT_ONCE);
    const { answered, error } = await transfer(new MemoryOutbox(TREE), inbox);
    expect(error).toBeUndefined();
    // Another file may be stored meanwhile.
    const failed = answered.filter((line) => /[2-5]/.test(line));
    expect(failed).toEqual(['failed 2', 'failed 3', 'failed 4', 'failed 5']);
  });

  test('of which one is not what was sent are stored but for that', async () => {
    class Spoiling extends MemoryOutbox {
      override readTogether(files: readonly FileEntry[]): (Whole | DropError)[] {
        return super
          .readTogether(files)
          .map((one, i) =>
            files[i]?.path === 'e' && !(one instanceof DropError)
              ? { ...one, digest: new Uint8Array(32) }
              : one,
          );
      }
    }
    const inbox = new MemoryInbox();
    const { answered, error, failures } = await transfer(new Spoiling(TREE), inbox);
    expect(error).toBeUndefined();
    expect(inbox.stored).toEqual(without(TREE, 'e'));
    expect(answered.filter((line) => /[2-5]/.test(line))).toEqual(['stored 2,3,5', 'failed 4']);
    expect(failures.receiver).toEqual(['e corrupt']);
  });

  test('are not said to be stored where that fails in a way that nobody has thought of', async () => {
    const inbox = new MemoryInbox();
    const wrong = new TypeError('a bug');
    inbox.storeTogether = async () => {
      throw wrong;
    };
    const { answered, error, stored } = await transfer(new MemoryOutbox(without(TREE, 'b')), inbox);
    expect(error).toBeDefined();
    expect([answered, stored]).toEqual([[], { sender: [], receiver: [] }]);
  });

  test('are not taken any more while too many others are being stored', async () => {
    let taken = 0;
    let release = (): void => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    class Slow extends MemoryInbox {
      override async storeTogether(files: readonly WholeFile[]): Promise<(Stored | DropError)[]> {
        taken += files.length;
        const stored = super.storeTogether(files);
        await released;
        return stored;
      }
    }
    const tree: Tree = Object.fromEntries(
      Array.from({ length: 900 }, (_, i) => [`${i}`, bytes(1)]),
    );
    const inbox = new Slow();
    const transferred = transfer(new MemoryOutbox(tree), inbox);
    for (let turn = 0; turn < 500; turn++) await new Promise((resolve) => setImmediate(resolve));
    // One group more than that may have come.
    expect(taken).toBeGreaterThanOrEqual(128);
    expect(taken).toBeLessThan(128 + 64);
    release();
    expect((await transferred).error).toBeUndefined();
    expect(inbox.stored).toEqual(tree);
  });

  test('arrive once and are told once, whatever fails on either side and however it is sliced', async () => {
    const visited = { together: 0, unread: 0, unstored: 0 };
    const kinds = fc.constantFrom('good', 'good', 'good', 'unread', 'unstored', 'large');
    await fc.assert(
      fc.asyncProperty(
        fc.array(kinds, { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 300 }),
        async (all, slice) => {
          const paths = (kind: string): string[] =>
            all.flatMap((one, i) => (one === kind ? [`${i}`] : []));
          const tree: Tree = Object.fromEntries(
            all.map((kind, i) => [`${i}`, bytes(kind === 'large' ? 20 : i % 6)]),
          );
          const spoil = Object.fromEntries(paths('unread').map((path) => [path, bad('changed')]));
          const inbox = new MemoryInbox();
          for (const path of paths('unstored')) inbox.broken[path] = bad('disk', AT_ONCE);
          const outcome = await transfer(new MemoryOutbox(tree, { spoil }), inbox, slice);
          const { error, failures, stored, sent } = outcome;
          expect(error).toBeUndefined();
          const lost = [...paths('unread'), ...paths('unstored')];
          expect(inbox.stored).toEqual(without(tree, ...lost));
          const left = Object.keys(inbox.stored).sort();
          for (const side of [stored.sender, stored.receiver])
            expect([...side].sort()).toEqual(left);
          for (const side of [failures.sender, failures.receiver])
            expect(side.map((line) => line.split(' ')[0]).sort()).toEqual([...lost].sort());
          if (sent.some((line) => line.includes(','))) visited.together += 1;
          if (paths('unread').length > 0) visited.unread += 1;
          if (paths('unstored').length > 0) visited.unstored += 1;
        },
      ),
      { numRuns: 60 },
    );
    for (const [what, times] of Object.entries(visited)) expect(times, what).toBeGreaterThan(10);
  });
});
