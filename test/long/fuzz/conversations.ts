import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { expect } from 'vitest';
import { DropError } from '../../../src/errors.ts';
import { builtInCodecs } from '../../../src/handover/codecs.ts';
import { MAX_OPEN_ENTRIES } from '../../../src/limits.ts';
import { concat } from '../../../src/protocol/bytes.ts';
import type { Entry } from '../../../src/protocol/manifest.ts';
import { encode, type Message } from '../../../src/protocol/message.ts';
import { type Role, Session } from '../../../src/protocol/session.ts';
import { Channel, type Pipe } from '../../../src/transfer/channel.ts';
import { Delivery } from '../../../src/transfer/delivery.ts';
import { Packer } from '../../../src/transfer/packer.ts';
import { type Host, runReceiver } from '../../../src/transfer/receiver.ts';
import { Reception } from '../../../src/transfer/reception.ts';
import type { Report } from '../../../src/transfer/report.ts';
import { runSender } from '../../../src/transfer/sender.ts';
import { withGreeting } from '../../support/greeted.ts';
import {
  cable,
  MemoryInbox,
  MemoryOutbox,
  sha256,
  type Tree,
  textDigest,
} from '../../support/memory.ts';
import { anyMessage, anyPath } from '../../support/messages.ts';
import { parser } from './target.ts';

const TRANSFER = '0'.repeat(32);
const hello: Message = { type: 'hello', newest: 1, oldest: 1, intent: 'send', knows: true };
const known: Message = { type: 'welcome', newest: 1, oldest: 1, terms: 'known', epoch: 0 };
const intro: Message = { type: 'intro', name: 'x' };

const content = new Uint8Array([1, 2]);
const packed = new Uint8Array(deflateRawSync(content));
const OTHER = new Uint8Array([9, 9]);
const TREE: Tree = {
  'a/': null,
  'a/x': content,
  'a/y': content,
  b: new Uint8Array(0),
  log: content,
};
const file = (path: string, size: number): Entry => ({ kind: 'file', path, size, mtime: 1 });

/** Something that one of the two says. */
interface Said {
  readonly by: Role;
  readonly message: Message;
}
const s = (...all: Message[]): Said[] => all.map((message) => ({ by: 'sender', message }));
const r = (...all: Message[]): Said[] => all.map((message) => ({ by: 'receiver', message }));
const wants = (count: number, some: object = {}): Message =>
  ({ type: 'want', count, skip: [], kept: [], failed: [], ...some }) as Message;

function whole(...all: (readonly [entry: number, bytes: Uint8Array])[]): Message {
  const files = all.map(([entry, bytes]) => ({ entry, digest: sha256(bytes), bytes }));
  return { type: 'files', files };
}

/** What is said until both know what is wanted. */
const beginning = (continues: string | null, ...wanted: Message[]): Said[] => [
  ...s({ type: 'begin', continues, checksum: false, digests: ['later', 'blake3', 'sha256'] }),
  ...r({ type: 'begun', transfer: TRANSFER, digest: 'sha256', codecs: ['deflate', 'none'] }),
  ...s({ type: 'roots', names: ['a', 'b', 'log'], final: true }),
  ...s({
    type: 'offer',
    entries: [{ kind: 'folder', path: 'a', mtime: 0 }, file('a/x', 2), file('a/y', 2)],
    files: 2,
    bytes: 4,
    final: false,
  }),
  ...r({ type: 'accept' }, { type: 'compare', entry: 2 }),
  ...s({
    type: 'offer',
    entries: [file('b', 0), { kind: 'stream', path: 'log' }],
    files: 4,
    bytes: 4,
    final: true,
  }),
  ...s({ type: 'digest', entry: 2, digest: sha256(content) }),
  ...r(...wanted),
];

/** Honest conversations: a whole transfer, and further below one that goes on where another broke. */
const WHOLE: readonly Said[] = [
  ...beginning(null, wants(3), wants(2)),
  ...s(
    { type: 'packed', entry: 1, offset: 0, size: 2, codec: 0, bytes: packed },
    { type: 'end', entry: 1, digest: sha256(content) },
  ),
  ...r({ type: 'stored', entries: [1] }),
  ...s(whole([2, content], [3, new Uint8Array(0)]), {
    type: 'chunk',
    entry: 4,
    offset: 0,
    bytes: content.slice(0, 1),
  }),
  ...r({ type: 'arrived', entry: 4, offset: 1 }, { type: 'stored', entries: [2, 3] }),
  ...s(
    { type: 'chunk', entry: 4, offset: 1, bytes: content.slice(1) },
    { type: 'end', entry: 4, digest: sha256(content) },
  ),
  ...r({ type: 'stored', entries: [4] }),
  ...s({ type: 'done' }),
  ...r({ type: 'complete', missed: 0 }),
];
/** One that moves to another connection in the middle. */
const MOVING: readonly Said[] = [
  ...beginning(null, wants(3), wants(2)),
  ...s(
    { type: 'dial', port: 40_001 },
    whole([1, content]),
    { type: 'chunk', entry: 2, offset: 0, bytes: content.slice(0, 1) },
    { type: 'moved' },
    { type: 'chunk', entry: 2, offset: 1, bytes: content.slice(1) },
  ),
  ...r({ type: 'stored', entries: [1] }, { type: 'moved' }),
  ...s(
    { type: 'end', entry: 2, digest: sha256(content) },
    whole([3, new Uint8Array(0)]),
    { type: 'chunk', entry: 4, offset: 0, bytes: content },
    { type: 'end', entry: 4, digest: sha256(content) },
    { type: 'done' },
  ),
  ...r(
    { type: 'stored', entries: [2] },
    { type: 'stored', entries: [3] },
    { type: 'stored', entries: [4] },
    { type: 'complete', missed: 0 },
  ),
];
const REST: readonly Said[] = [
  ...beginning(
    TRANSFER,
    wants(3, {
      skip: [{ entry: 1, reason: 'stored' }],
      kept: [{ entry: 2, size: 1, digest: sha256(content.slice(0, 1)) }],
    }),
    wants(2, { failed: [{ entry: 3, code: 'disk' }] }),
  ),
  ...s(
    { type: 'chunk', entry: 2, offset: 1, bytes: content.slice(1) },
    { type: 'end', entry: 2, digest: sha256(content) },
    { type: 'chunk', entry: 4, offset: 0, bytes: content },
    { type: 'end', entry: 4, digest: sha256(content) },
  ),
  ...r({ type: 'stored', entries: [4] }, { type: 'stored', entries: [2] }),
  ...s({ type: 'done' }),
  ...r({ type: 'complete', missed: 0 }),
];

/** Some of the changes that a bug or an attacker might make to a conversation. */
function disturbed(conversation: readonly Said[]): fc.Arbitrary<Said[]> {
  const place = fc.nat(conversation.length);
  const by = fc.constantFrom<Role>('sender', 'receiver');
  const change = fc.oneof(
    fc.record({ what: fc.constant('drop' as const), at: place }),
    fc.record({ what: fc.constant('double' as const), at: place }),
    fc.record({ what: fc.constant('swap' as const), at: place, with: place }),
    fc.record({ what: fc.constant('insert' as const), at: place, by, message: anyMessage }),
    fc.record({ what: fc.constant('steal' as const), at: place, from: fc.nat(100) }),
    fc.record({ what: fc.constant('number' as const), at: place, entry: fc.nat(5) }),
    fc.record({ what: fc.constant('offset' as const), at: place, offset: fc.nat(3) }),
    fc.record({ what: fc.constant('path' as const), at: place, path: anyPath }),
  );
  return fc.array(change, { maxLength: 3 }).map((changes) => {
    const list = [...conversation];
    const all = [...WHOLE, ...REST, ...MOVING];
    for (const change of changes) {
      const said = list[change.at];
      if (change.what === 'insert') list.splice(change.at, 0, change);
      else if (said === undefined) continue;
      else if (change.what === 'drop') list.splice(change.at, 1);
      else if (change.what === 'double') list.splice(change.at, 0, said);
      else if (change.what === 'swap') {
        list[change.at] = list[change.with] ?? said;
        list[change.with] = said;
      } else if (change.what === 'steal')
        list.splice(change.at, 0, all[change.from % all.length] ?? said);
      else list[change.at] = { by: said.by, message: changed(said.message, change) };
    }
    return list.filter((said) => said !== undefined);
  });
}

function changed(
  message: Message,
  change:
    | { readonly what: 'number'; readonly entry: number }
    | { readonly what: 'offset'; readonly offset: number }
    | { readonly what: 'path'; readonly path: string },
): Message {
  if (change.what === 'number') return renumbered(message, change.entry);
  if (change.what === 'offset' && 'offset' in message) return { ...message, offset: change.offset };
  if (change.what !== 'path' || message.type !== 'offer') return message;
  const entries = message.entries.map((entry) => ({ ...entry, path: change.path }));
  return { ...message, entries };
}

/** About another entry; of several, the last of them. */
function renumbered(message: Message, entry: number): Message {
  if (message.type === 'stored')
    return { ...message, entries: [...message.entries.slice(0, -1), entry] };
  if (message.type === 'files')
    return {
      ...message,
      files: message.files.map((one, i) =>
        i < message.files.length - 1 ? one : { ...one, entry },
      ),
    };
  return 'entry' in message ? { ...message, entry } : message;
}

/** A few connections of one transfer; most break in the middle. */
const connections = (...first: (readonly Said[])[]): fc.Arbitrary<Said[][]> =>
  fc
    .tuple(
      fc.tuple(fc.oneof(...first.map(disturbed)), fc.nat(2 * WHOLE.length)),
      fc.array(fc.tuple(disturbed(REST), fc.nat(2 * REST.length)), { maxLength: 2 }),
    )
    .map(([first, more]) => [first, ...more].map(([said, length]) => said.slice(0, length)));

function only(by: Role, conversation: readonly Said[]): Message[] {
  return conversation.filter((said) => said.by === by).map(({ message }) => message);
}

/** Gives the other side time to say what it has to say. */
async function pause(): Promise<void> {
  for (let i = 0; i < 6; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** A connection to a program that hears all of this, whatever it says. Whether it came to its end. */
async function talk(
  run: (pipe: Pipe, second: Pipe) => Promise<void>,
  messages: readonly Message[],
): Promise<boolean> {
  const { left, right, pull } = cable();
  const second = cable();
  let out = right;
  const ended = run(left, second.left).then(
    () => true,
    (error: unknown) => {
      if (!(error instanceof DropError) || error.code === 'internal') throw error;
      return false;
    },
  );
  ended.catch(() => {}); // It is awaited below.
  for (const message of messages) {
    await out.write(...encode(message)).catch(() => {});
    if (message.type === 'moved') out = second.right;
    await pause();
  }
  pull();
  second.pull();
  return ended;
}

/** Whatever is said in a session, it stays within its bounds or calls it a breach. */
const session = parser({
  name: 'session',
  input: fc.record({
    all: fc.oneof(disturbed(WHOLE), disturbed(REST), disturbed(MOVING)),
    ours: fc.constantFrom<Role>('sender', 'receiver'),
  }),
  codes: ['protocol', 'unsafe-name'],
  feed({ all, ours }) {
    const session = new Session(ours === 'sender' ? 'chooser' : 'announcer');
    const say = (role: Role, message: Message): void => {
      if (role === ours) session.say(message);
      else for (const _ of session.hear(concat(...encode(message))));
    };
    say('sender', hello);
    say('receiver', known);
    say('sender', intro);
    say('receiver', intro);
    for (const { by, message } of all) {
      say(by, message);
      expect(session.open).toBeLessThanOrEqual(MAX_OPEN_ENTRIES);
    }
    return true;
  },
});

const codecs = builtInCodecs().filter(({ name }) => name === 'deflate');

/** A program that receives, and keeps what it accepted for the next connection. */
class Receiving {
  readonly inbox = new MemoryInbox();
  reception = new Reception(TRANSFER, 'posix', textDigest);
  questions = 0;

  constructor() {
    // One file looks like what is offered.
    Object.assign(this.inbox.stored, { 'a/': null, 'a/y': OTHER });
    this.inbox.compares = true;
  }

  /** `second`: what there is where it is told to dial. */
  readonly run = async (pipe: Pipe, second?: Pipe): Promise<void> => {
    const channel = new Channel('announcer', pipe);
    const host: Host = {
      freely: false,
      digests: ['sha256'],
      codecs,
      reception: async (continues) => {
        if (continues !== TRANSFER) this.reception = new Reception(TRANSFER, 'posix', textDigest);
        return this.reception;
      },
      open: async () => this.inbox,
      dial: () => void (second && channel.expect(Promise.resolve(second))),
      // Somebody who is asked again and again declines in the end.
      ask: async () => (++this.questions > 10 ? 'declined' : 'yes'),
    };
    await withGreeting(channel, () => runReceiver(channel, host, () => {}));
  };
}

/** A program that sends, from the beginning or what is left. */
class Sending {
  readonly reports: Report[] = [];
  readonly delivery = new Delivery(new WithStream(TREE));

  readonly #packer = new Packer({ codecs, always: true, now: () => 0 });

  readonly run = async (pipe: Pipe): Promise<void> => {
    const tell = (report: Report): void => {
      if (report.type === 'restarted') this.reports.length = 0;
      this.reports.push(report);
    };
    await withGreeting(new Channel('chooser', pipe), (channel) =>
      runSender(channel, this.delivery, tell, { packer: this.#packer }),
    );
  };

  /** The files of which something was told that is the end of them. */
  get told(): string[] {
    return this.reports.flatMap((report) => {
      if (report.type === 'stored' || report.type === 'skipped') return [report.entry.path];
      return report.type === 'failed' ? [report.path] : [];
    });
  }
}

/** One of the files is offered as a stream. */
class WithStream extends MemoryOutbox {
  override async *entries(): ReturnType<MemoryOutbox['entries']> {
    for await (const entry of super.entries())
      yield entry.path === 'log' ? { kind: 'stream', path: 'log' } : entry;
  }
}

/** Whatever a sender says, a receiver stores only what was offered and is whole, and ends. */
const receiving = parser({
  name: 'receiver',
  input: connections(WHOLE, MOVING),
  codes: [],
  async feed(all) {
    const receiver = new Receiving();
    const offered: Entry[] = [];
    let complete = false;
    for (const messages of all.map((said) => only('sender', said))) {
      complete = await talk(receiver.run, [hello, intro, ...messages]);
      for (const message of messages)
        if (message.type === 'offer') offered.push(...message.entries);
      const { files, bytes } = receiver.reception;
      expect(Math.min(files, bytes)).toBeGreaterThanOrEqual(0);
      for (const [path, stored] of Object.entries(receiver.inbox.stored)) {
        if (!(stored instanceof Uint8Array) || stored === OTHER) continue;
        const isIt = (entry: Entry): boolean =>
          entry.path === path &&
          (entry.kind === 'stream' || (entry.kind === 'file' && entry.size === stored.length));
        expect(offered.some(isIt)).toBe(true);
      }
    }
    // There was too little of everything to be asked about twice in one connection.
    expect(receiver.questions).toBeLessThanOrEqual(all.length);

    // Whatever it heard, an honest sender is served.
    const sender = new Sending();
    const { left, right, pull } = cable();
    await Promise.all([sender.run(left), receiver.run(right)]).finally(pull);
    expect(receiver.inbox.stored).toMatchObject(TREE);
    return complete;
  },
});

/** Whatever a receiver says, a sender believes nothing that it did not send, and ends. */
const sending = parser({
  name: 'sender',
  input: connections(WHOLE),
  codes: [],
  async feed(all) {
    const sender = new Sending();
    const files = Object.keys(TREE).filter((path) => !path.endsWith('/'));
    for (const messages of all.map((said) => only('receiver', said))) {
      const complete = await talk(sender.run, [known, intro, ...messages]);
      // Each file is told of once, and of each in the end.
      expect(new Set(sender.told).size).toBe(sender.told.length);
      expect(files).toEqual(expect.arrayContaining(sender.told));
      for (const report of sender.reports)
        if (report.type === 'stored')
          expect(report.digest).toEqual(sha256(TREE[report.entry.path] as Uint8Array));
      if (!complete) continue;
      expect(sender.told.sort()).toEqual(files);
      return true;
    }
    return false;
  },
});

export const conversations = [session, receiving, sending];
