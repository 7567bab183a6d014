import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Channel } from '../../src/transfer/channel.ts';
import type { Codec } from '../../src/transfer/codec.ts';
import { Delivery } from '../../src/transfer/delivery.ts';
import { Packer } from '../../src/transfer/packer.ts';
import { runReceiver } from '../../src/transfer/receiver.ts';
import { Reception } from '../../src/transfer/reception.ts';
import type { Report } from '../../src/transfer/report.ts';
import { runSender } from '../../src/transfer/sender.ts';
import { CODECS, SLOW } from '../support/codecs.ts';
import { withGreeting } from '../support/greeted.ts';
import { cable, MemoryInbox, MemoryOutbox, type Tree, textDigest } from '../support/memory.ts';

interface Outcome {
  readonly stored: Tree;
  readonly sent: Report[];
  readonly received: Report[];
  /** Bytes on the cable, from the sender. */
  readonly carried: number;
}

/** One whole transfer: what the sender packs by, and what the receiver can unpack. */
async function transfer(
  tree: Tree,
  { ours, theirs, block = 500 }: { ours: Codec[]; theirs: Codec[]; block?: number },
): Promise<Outcome> {
  const { left, right, pull, carried } = cable({ slice: 64 });
  const inbox = new MemoryInbox();
  const sent: Report[] = [];
  const received: Report[] = [];
  const delivery = new Delivery(new MemoryOutbox(tree, { block }));
  const host = {
    freely: false,
    digests: ['sha256'] as const,
    codecs: theirs,
    reception: async () => new Reception('0'.repeat(32), 'posix', textDigest),
    open: async () => inbox,
    ask: async () => 'yes' as const,
  };
  await Promise.all([
    withGreeting(new Channel('chooser', left), (channel) =>
      runSender(channel, delivery, (one) => sent.push(one), { packer: packer(ours) }),
    ),
    withGreeting(new Channel('announcer', right), (channel) =>
      runReceiver(channel, host, (one) => received.push(one)),
    ),
  ]).finally(pull);
  return { stored: inbox.stored, sent, received, carried: carried.there };
}

function packer(codecs: readonly Codec[]): Packer {
  return new Packer({ codecs, always: true, now: () => 0 });
}

/** What is told of each file, in the order in which it is told. */
function storyOf(reports: readonly Report[]): { path: string; bytes: number; wire: number }[] {
  const files: { path: string; bytes: number; wire: number }[] = [];
  for (const report of reports)
    if (report.type === 'started') files.push({ path: report.entry.path, bytes: 0, wire: 0 });
    else if (report.type === 'moved' && report.whole) {
      const { bytes, wire, whole } = report;
      files.push({ path: whole.path, bytes, wire });
    } else if (report.type === 'moved') {
      const last = files.at(-1);
      if (last === undefined) throw new Error('bytes of no file');
      last.bytes += report.bytes;
      last.wire += report.wire;
    }
  return files;
}

const text = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => 'a line of a log\n'.charCodeAt(i % 16));
const noise = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * i * 31 + (i >> 3) * 7) ^ (i * 129));

const contents = fc.oneof(
  fc.uint8Array({ maxLength: 600, size: 'max' }),
  fc.nat(3_000).map(text),
  fc
    .tuple(fc.nat(500), fc.uint8Array({ maxLength: 500, size: 'max' }))
    .map(([length, bytes]) => new Uint8Array([...text(length), ...bytes])),
);
const trees = fc.dictionary(fc.stringMatching(/^[a-z]{1,3}$/), contents, { maxKeys: 5 });

test('whatever is packed arrives as it was, and each side tells so, file after file', async () => {
  let packed = 0;
  await fc.assert(
    fc.asyncProperty(
      trees,
      fc.constantFrom(...CODECS),
      fc.integer({ min: 1, max: 1_000 }),
      async (tree, codec, block) => {
        const outcome = await transfer(tree, { ours: [codec], theirs: [codec], block });
        expect(outcome.stored).toEqual(tree);
        for (const reports of [outcome.sent, outcome.received])
          expect(storyOf(reports).map(({ path, bytes }) => [path, bytes])).toEqual(
            Object.entries(tree).map(([path, content]) => [path, content.length]),
          );
        expect(storyOf(outcome.received)).toEqual(storyOf(outcome.sent));
        if (storyOf(outcome.sent).some(({ bytes, wire }) => wire < bytes)) packed += 1;
      },
    ),
    { numRuns: 150 },
  );
  // Or else nothing was packed at all.
  expect(packed).toBeGreaterThan(30);
});

describe('a block', () => {
  test('takes less of the wire if it can be packed', async () => {
    const { sent, carried } = await transfer({ a: text(50_000) }, { ours: [SLOW], theirs: [SLOW] });
    expect(storyOf(sent)[0]?.wire).toBeLessThan(20_000);
    expect(carried).toBeLessThan(30_000);
  });

  test('goes as it is if it cannot, beside others that can', async () => {
    const mixed = new Uint8Array([...text(1_000), ...noise(1_000)]);
    const { stored, sent } = await transfer({ mixed }, { ours: [SLOW], theirs: [SLOW] });
    expect(stored).toEqual({ mixed });
    const moved = sent.flatMap((one) => (one.type === 'moved' ? [one] : []));
    expect(moved.filter(({ wire, bytes }) => wire < bytes)).toHaveLength(2);
    expect(moved.filter(({ wire, bytes }) => wire === bytes)).toHaveLength(2);
  });

  test('goes as it is to whom nothing is known that both can do', async () => {
    const other = { ...SLOW, name: 'other' };
    for (const theirs of [[], [other]]) {
      const { stored, sent } = await transfer({ a: text(1_000) }, { ours: [SLOW], theirs });
      expect(stored).toEqual({ a: text(1_000) });
      expect(storyOf(sent)).toEqual([{ path: 'a', bytes: 1_000, wire: 1_000 }]);
    }
  });

  test('is packed by what we like best of what they can', async () => {
    const never: Codec = {
      ...SLOW,
      name: 'never',
      pack: () => {
        throw new Error('not by this one');
      },
    };
    const theirs = [{ ...SLOW, name: 'other' }, never, SLOW];
    const { stored, sent } = await transfer({ a: text(1_000) }, { ours: [SLOW, never], theirs });
    expect(stored).toEqual({ a: text(1_000) });
    expect(storyOf(sent)[0]?.wire).toBeLessThan(500);
  });
});
