import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DropError } from '../../src/errors.ts';
import { concat } from '../../src/protocol/bytes.ts';
import { MAX_OPEN_ENTRIES } from '../../src/protocol/limits.ts';
import type { Entry } from '../../src/protocol/manifest.ts';
import { encode, type Message } from '../../src/protocol/message.ts';
import { Session } from '../../src/protocol/session.ts';
import { Channel } from '../../src/transfer/channel.ts';
import { introduce } from '../../src/transfer/greeting.ts';
import { runReceiver } from '../../src/transfer/receiver.ts';
import { runSender } from '../../src/transfer/sender.ts';
import { cable, MemoryInbox, MemoryOutbox, sha256, type Tree } from '../support/memory.ts';
import { anyMessage, anyPath } from '../support/messages.ts';

const SECONDS = Number(process.env.SECONDS ?? 60);
const TESTS = 3;
const untilTime = {
  numRuns: Number.POSITIVE_INFINITY,
  interruptAfterTimeLimit: (SECONDS * 1000) / TESTS,
  markInterruptAsFailure: false,
};

const hello: Message = { type: 'hello', newest: 1, oldest: 1, intent: 'send', knows: true };
const known: Message = { type: 'welcome', newest: 1, oldest: 1, terms: 'known', epoch: 0 };
const intro: Message = { type: 'intro', name: 'x' };

/** What an honest sender and an honest receiver say, each in its order. */
const content = new Uint8Array([1, 2]);
const file = (path: string, size: number): Entry => ({ kind: 'file', path, size, mtime: 0 });
const SENDER: readonly Message[] = [
  { type: 'roots', names: ['a', 'b'], final: true },
  {
    type: 'offer',
    entries: [{ kind: 'folder', path: 'a', mtime: 0 }, file('a/x', 2), file('a/y', 2)],
    files: 2,
    bytes: 4,
    final: false,
  },
  { type: 'offer', entries: [file('b', 0)], files: 3, bytes: 4, final: true },
  { type: 'chunk', entry: 1, offset: 0, bytes: content },
  { type: 'end', entry: 1, digest: sha256(content) },
  { type: 'chunk', entry: 2, offset: 0, bytes: content.slice(0, 1) },
  { type: 'chunk', entry: 2, offset: 1, bytes: content.slice(1) },
  { type: 'end', entry: 2, digest: sha256(content) },
  { type: 'end', entry: 3, digest: sha256(new Uint8Array(0)) },
  { type: 'done' },
];
const RECEIVER: readonly Message[] = [
  { type: 'accept', transfer: '0'.repeat(32) },
  { type: 'want', count: 3, skip: [], kept: [], failed: [] },
  { type: 'want', count: 1, skip: [], kept: [], failed: [] },
  { type: 'stored', entry: 1 },
  { type: 'stored', entry: 2 },
  { type: 'stored', entry: 3 },
  { type: 'complete', missed: 0 },
];

/** Some of the changes that a bug or an attacker might make to a list of messages. */
function disturbed(messages: readonly Message[]): fc.Arbitrary<Message[]> {
  const place = fc.nat(messages.length);
  const change = fc.oneof(
    fc.record({ what: fc.constant('drop' as const), at: place }),
    fc.record({ what: fc.constant('double' as const), at: place }),
    fc.record({ what: fc.constant('swap' as const), at: place, with: place }),
    fc.record({ what: fc.constant('insert' as const), at: place, message: anyMessage }),
    fc.record({ what: fc.constant('steal' as const), at: place, from: fc.nat(30) }),
    fc.record({ what: fc.constant('number' as const), at: place, entry: fc.nat(5) }),
    fc.record({ what: fc.constant('offset' as const), at: place, offset: fc.nat(3) }),
    fc.record({ what: fc.constant('path' as const), at: place, path: anyPath }),
  );
  return fc.array(change, { maxLength: 3 }).map((changes) => {
    const list = [...messages];
    const all = [...SENDER, ...RECEIVER];
    for (const change of changes) {
      const message = list[change.at];
      if (change.what === 'insert') list.splice(change.at, 0, change.message);
      else if (message === undefined) continue;
      else if (change.what === 'drop') list.splice(change.at, 1);
      else if (change.what === 'double') list.splice(change.at, 0, message);
      else if (change.what === 'swap') {
        list[change.at] = list[change.with] ?? message;
        list[change.with] = message;
      } else if (change.what === 'steal')
        list.splice(change.at, 0, all[change.from % all.length] ?? message);
      else if (change.what === 'number' && 'entry' in message)
        list[change.at] = { ...message, entry: change.entry };
      else if (change.what === 'offset' && 'offset' in message)
        list[change.at] = { ...message, offset: change.offset };
      else if (change.what === 'path' && message.type === 'offer') {
        const entries = message.entries.map((entry) => ({ ...entry, path: change.path }));
        list[change.at] = { ...message, entries } as Message;
      }
    }
    return list.filter((message) => message !== undefined);
  });
}

/** Gives the other side time to say what it has to say. */
async function pause(): Promise<void> {
  for (let i = 0; i < 6; i++) await new Promise((resolve) => setImmediate(resolve));
}

test('whatever is said to a session, it stays within its bounds or calls it a breach', () => {
  const lengths: number[] = [];
  const order = fc.array(fc.boolean(), { minLength: 60, maxLength: 60 });
  fc.assert(
    fc.property(disturbed(SENDER), disturbed(RECEIVER), order, (sent, received, order) => {
      const session = new Session('announcer');
      session.hear(concat(...encode(hello))).next();
      session.say(known);
      const theirs = [intro, ...sent];
      const ours = [intro, ...received];
      let said = 0;
      try {
        for (const heard of order) {
          const message = (heard ? theirs : ours).shift();
          if (message === undefined) continue;
          if (!heard) session.say(message);
          else for (const _ of session.hear(concat(...encode(message))));
          said += 1;
          expect(session.open).toBeLessThanOrEqual(MAX_OPEN_ENTRIES);
        }
      } catch (error) {
        if (!(error instanceof DropError)) throw error;
        expect(error.code).toBe('protocol');
      }
      lengths.push(said);
    }),
    untilTime,
  );
  const longest = lengths.reduce((most, length) => Math.max(most, length), 0);
  console.log(`${lengths.length} conversations, the longest of ${longest} messages`);
  expect(longest).toBeGreaterThan(8);
});

test('whatever a sender says, a receiver stores only what was offered and is whole, and ends', async () => {
  const runs = { all: 0, stored: 0, complete: 0 };
  await fc.assert(
    fc.asyncProperty(disturbed(SENDER), async (messages) => {
      const { left, right, pull } = cable();
      const inbox = new MemoryInbox();
      const receiver = new Channel('announcer', right);
      const host = {
        transfer: '0'.repeat(32),
        freely: false,
        open: async () => inbox,
        ask: async () => 'yes' as const,
      };
      const run = (async () => {
        await receiver.hear('hello');
        await receiver.say(known);
        await introduce(receiver, 'x');
        await runReceiver(receiver, host, () => {});
        runs.complete += 1;
      })().catch((error: unknown) => {
        if (!(error instanceof DropError)) throw error;
      });
      for (const message of [hello, intro, ...messages]) {
        await left.write(...encode(message)).catch(() => {});
        await pause();
      }
      pull();
      await run;
      runs.all += 1;
      const offered = messages.flatMap((one) => (one.type === 'offer' ? one.entries : []));
      for (const [path, stored] of Object.entries(inbox.stored)) {
        if (!(stored instanceof Uint8Array)) continue;
        runs.stored += 1;
        expect(offered).toContainEqual(expect.objectContaining({ path, size: stored.length }));
      }
    }),
    untilTime,
  );
  console.log(runs);
  expect(Math.min(runs.stored, runs.complete)).toBeGreaterThan(0);
});

test('whatever a receiver says, a sender believes nothing that it did not send, and ends', async () => {
  const tree: Tree = { 'a/': null, 'a/x': content, 'a/y': content, b: new Uint8Array(0) };
  const runs = { all: 0, believed: 0, complete: 0 };
  await fc.assert(
    fc.asyncProperty(disturbed(RECEIVER), async (messages) => {
      const { left, right, pull } = cable();
      const sender = new Channel('chooser', left);
      const run = (async () => {
        await sender.say(hello);
        await sender.hear('welcome');
        await introduce(sender, 'x');
        await runSender(sender, new MemoryOutbox(tree), (report) => {
          if (report.type !== 'stored') return;
          runs.believed += 1;
          expect(Object.keys(tree)).toContain(report.file.path);
        });
        expect(sender.session.over).toBe(true);
        runs.complete += 1;
      })().catch((error: unknown) => {
        if (!(error instanceof DropError)) throw error;
      });
      for (const message of [known, intro, ...messages]) {
        await right.write(...encode(message)).catch(() => {});
        await pause();
      }
      pull();
      await run;
      runs.all += 1;
    }),
    untilTime,
  );
  console.log(runs);
  expect(Math.min(runs.believed, runs.complete)).toBeGreaterThan(0);
});
