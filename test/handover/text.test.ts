import { expect, test } from 'vitest';
import { Hashers } from '../../src/disk/hashers.ts';
import { DropError } from '../../src/errors.ts';
import { ensureText, TextInbox, TextOutbox } from '../../src/handover/text.ts';
import { MAX_TEXT } from '../../src/limits.ts';
import { utf8 } from '../../src/protocol/bytes.ts';
import { isEntry, type TextEntry } from '../../src/protocol/manifest.ts';
import { Channel } from '../../src/transfer/channel.ts';
import { Delivery } from '../../src/transfer/delivery.ts';
import type { Inbox } from '../../src/transfer/inbox.ts';
import { type Host, type Opening, runReceiver } from '../../src/transfer/receiver.ts';
import { Reception } from '../../src/transfer/reception.ts';
import type { Report } from '../../src/transfer/report.ts';
import { runSender } from '../../src/transfer/sender.ts';
import { withGreeting } from '../support/greeted.ts';
import {
  cable,
  MemoryInbox,
  MemoryOutbox,
  sha256,
  type Tree,
  textDigest,
} from '../support/memory.ts';

const hashers = new Hashers(() => undefined);
const TEXT = 'Grüße\nfrom Bob';

/** Sends a text, and what else there is, to an inbox. */
async function send(
  tree: Tree,
  open: (how: Opening) => Inbox,
  ask: Host['ask'] = async () => 'yes',
) {
  const wire = cable();
  const outbox = new TextOutbox(TEXT, new MemoryOutbox(tree), hashers);
  const sent: Report[] = [];
  const received: Report[] = [];
  const results = await Promise.allSettled([
    withGreeting(new Channel('chooser', wire.left), (channel) =>
      runSender(channel, new Delivery(outbox), (report) => sent.push(report)),
    ).finally(wire.pull),
    withGreeting(new Channel('announcer', wire.right), (channel) =>
      runReceiver(
        channel,
        {
          freely: false,
          digests: ['sha256'],
          reception: async () => new Reception('0'.repeat(32), 'posix', textDigest),
          ask,
          open: async (how) => open(how),
        },
        (report) => received.push(report),
      ),
    ),
  ]);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
  const stored = (reports: Report[]) =>
    reports.flatMap((report) => (report.type === 'stored' ? [report] : []));
  return { sent: stored(sent), received: stored(received) };
}

test('a message alone appears there, verified, and touches no disk', async () => {
  const { sent, received } = await send({}, ({ onlyTexts }) => {
    expect(onlyTexts).toBe(true);
    return new TextInbox(undefined, hashers);
  });
  expect(received).toMatchObject([{ where: { text: TEXT }, digest: sha256(utf8(TEXT)) }]);
  expect(sent).toMatchObject([{ entry: { path: 'message.txt', text: true } }]);
});

test('with files it comes last, under a name that is free', async () => {
  const files = new MemoryInbox();
  const tree: Tree = { 'message.txt': utf8('a file'), 'x/': null, 'x/large': new Uint8Array(400) };
  const { received } = await send(tree, ({ onlyTexts }) => {
    expect(onlyTexts).toBe(false);
    return new TextInbox(files, hashers);
  });
  expect(files.stored).toEqual(tree);
  expect(received.flatMap(({ where }) => where?.text ?? [])).toEqual([TEXT]);
  expect(received.map(({ entry }) => entry.path).sort()).toEqual([
    'message (1).txt',
    'message.txt',
    'x/large',
  ]);
});

test('an inbox that shows nothing takes it for a file', async () => {
  const files = new MemoryInbox();
  await send({}, () => files);
  expect(files.stored).toEqual({ 'message.txt': utf8(TEXT) });
});

test('a receiver of before is told apart, and hears of no message', async () => {
  const wire = cable();
  const outbox = new TextOutbox(TEXT, new MemoryOutbox({}), hashers);
  const sending = withGreeting(new Channel('chooser', wire.left), async (channel) => {
    Object.defineProperty(channel.session, 'version', { value: 1 });
    await runSender(channel, new Delivery(outbox), () => {});
  });
  const hearing = withGreeting(new Channel('announcer', wire.right), async (channel) => {
    await channel.hear('begin');
  });
  await expect(sending).rejects.toMatchObject({ code: 'peer-older' });
  await expect(hearing).rejects.toMatchObject({ code: 'peer-newer' });
});

test.each([
  ['that is not what was sent', utf8('other'), sha256(utf8('text')), 'corrupt'],
  ['that is no UTF-8', Uint8Array.of(0xff), sha256(Uint8Array.of(0xff)), 'protocol'],
])('one %s is not shown', async (_, bytes, digest, code) => {
  const inbox = new TextInbox(undefined, hashers);
  const entry: TextEntry = { kind: 'file', path: 'm', size: bytes.length, mtime: 0, text: true };
  expect(await inbox.storeTogether([{ entry, bytes, digest }])).toMatchObject([{ code }]);
  const file = await inbox.open(entry, 0);
  await file.write(bytes);
  await expect(file.commit(digest)).rejects.toMatchObject({ code });
});

test('where nothing but messages was offered there is no place for files', () => {
  const inbox = new TextInbox(undefined, hashers);
  expect(() =>
    inbox.place({ kind: 'file', path: 'a', size: 1, mtime: 0 }, async () => null),
  ).toThrow(expect.objectContaining({ code: 'protocol' }));
});

test.each([
  ['a message', {}, true],
  ['one that fits', { size: MAX_TEXT }, true],
  ['one that is too long', { size: MAX_TEXT + 1 }, false],
  ['one without anything', { size: 0 }, false],
  ['one in a folder', { path: 'a/b' }, false],
  ['a flag that is false', { text: false }, false],
  ['a flag that is more', { text: 'hello' }, false],
  ['a stream', { kind: 'stream', size: undefined, mtime: undefined }, false],
  ['a folder', { kind: 'folder', size: undefined }, false],
])('%s is an entry or not', (_, how, fine) => {
  const value = { kind: 'file', path: 'a', size: 1, mtime: 0, text: true, ...how };
  expect(isEntry(JSON.parse(JSON.stringify(value)))).toBe(fine);
});

test.each([
  ['', false],
  ['a', true],
  ['ü'.repeat(MAX_TEXT / 2), true],
  [`${'ü'.repeat(MAX_TEXT / 2)}.`, false],
  ['\ud800', false],
])('what can be said is known before anything is sent', (text, fine) => {
  if (fine) ensureText(text);
  else expect(() => ensureText(text)).toThrow(DropError);
});
