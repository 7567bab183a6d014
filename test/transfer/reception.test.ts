import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DropError, type ErrorCode } from '../../src/errors.ts';
import type { Extent, PeerId } from '../../src/events.ts';
import { Progress } from '../../src/handover/progress.ts';
import { Received } from '../../src/handover/take-in.ts';
import { Transfers } from '../../src/handover/transfers.ts';
import { MAX_BATCH, MAX_OPEN_ENTRIES } from '../../src/limits.ts';
import { toHex } from '../../src/protocol/bytes.ts';
import { FrameDecoder } from '../../src/protocol/frame.ts';
import {
  type DataEntry,
  type Entry,
  type FileEntry,
  hasData,
  sizeOf,
} from '../../src/protocol/manifest.ts';
import {
  type DigestName,
  decode,
  encode,
  type Kept,
  type Message,
} from '../../src/protocol/message.ts';
import { Channel, type Pipe } from '../../src/transfer/channel.ts';
import { Delivery } from '../../src/transfer/delivery.ts';
import { type Host, runReceiver } from '../../src/transfer/receiver.ts';
import { type Outcome, Reception } from '../../src/transfer/reception.ts';
import type { Report } from '../../src/transfer/report.ts';
import { runSender } from '../../src/transfer/sender.ts';
import { withGreeting } from '../support/greeted.ts';
import {
  cable,
  digestOf,
  MemoryInbox,
  MemoryOutbox,
  sha256,
  type Tree,
  textDigest,
} from '../support/memory.ts';

const TRANSFER = '00112233445566778899aabbccddeeff';
const GIB = 1024 ** 3;
const MIB = 1024 ** 2;
const bytes = (length: number, seed = 1): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 17) % 251);
const file = (path: string, size = 1, mtime = 1): DataEntry => ({
  kind: 'file',
  path,
  size,
  mtime,
});
/** Files that a yes covers only if they were shown for it. */
const programs = (name: string, count: number): Entry[] =>
  Array.from({ length: count }, (_, i) => file(`${name}${i}.exe`));

/** Keeps the same accounts as a reception, but of each entry by itself. */
class Accounts {
  undecided: Entry[] = [];
  /** Offered and not settled, and what was settled in any connection. */
  readonly open = new Set<Entry>();
  readonly settled: Entry[] = [];
  /** What was shown for a yes, and what was placed after one. */
  readonly shown = new Set<Entry>();
  readonly placed = new Set<Entry>();
  readonly outcomes = new Map<string, Outcome>();
  before = new Map<string, Outcome>();
  /** Shown for a yes before the connection broke, and not settled. */
  readonly kept = new Set<string>();

  offer(entries: readonly Entry[]): void {
    this.undecided.push(...entries);
    for (const entry of entries) if (!this.before.has(idOf(entry))) this.open.add(entry);
  }

  yes(): void {
    const kept = new Set(this.kept);
    for (const entry of this.undecided)
      if (!this.before.has(idOf(entry)) && !kept.delete(idOf(entry))) this.shown.add(entry);
  }

  isCovered(entry: Entry): boolean {
    return this.before.has(idOf(entry)) || this.kept.has(idOf(entry)) || this.shown.has(entry);
  }

  place(entry: Entry): void {
    this.undecided.shift();
    this.kept.delete(idOf(entry));
    if (!this.before.has(idOf(entry))) this.placed.add(entry);
  }

  settle(entry: Entry, outcome: Outcome): void {
    this.placed.delete(entry);
    this.open.delete(entry);
    this.settled.push(entry);
    this.outcomes.set(idOf(entry), outcome);
  }

  break(): void {
    for (const entry of this.open)
      if (this.placed.has(entry) || this.shown.has(entry)) this.kept.add(idOf(entry));
    this.before = new Map(this.outcomes);
    this.undecided = [];
    this.open.clear();
    this.placed.clear();
  }
}

function idOf(entry: Entry): string {
  return JSON.stringify(entry);
}

describe('a reception', () => {
  const entries = fc.array(
    fc.constantFrom(
      file('a.exe', 1),
      file('a.exe', 2),
      file('a.exe', 1, 2),
      { ...file('a.exe', 1), mode: 0o755 },
      file('b.exe', 1),
      file('c.exe', 9),
    ),
    { minLength: 1, maxLength: 5 },
  );
  const steps = fc.array(
    fc.record({
      what: fc.constantFrom('offer', 'offer', 'yes', 'place', 'place', 'settle', 'break'),
      entries,
    }),
    { maxLength: 60, size: 'max' },
  );

  test('counts once and covers once, however often connections break', () => {
    const visited = { again: 0, refused: 0, known: 0 };
    fc.assert(
      fc.property(steps, (all) => {
        const reception = new Reception(TRANSFER, 'posix', textDigest);
        const accounts = new Accounts();
        /** The numbers that entries have in this connection. */
        const numbers = new Map<Entry, number>();
        const numberOf = (entry: Entry): number => numbers.get(entry) ?? Number.NaN;
        const placeNext = (): void => {
          const [entry] = accounts.undecided;
          if (entry === undefined) return;
          const covered = accounts.isCovered(entry);
          expect(reception.covers(numberOf(entry), entry)).toBe(covered);
          visited.refused += covered ? 0 : 1;
          if (!covered) return;
          const outcome = accounts.before.get(idOf(entry));
          expect(reception.outcomeOf(numberOf(entry), entry)).toEqual(outcome);
          visited.known += outcome ? 1 : 0;
          visited.again += accounts.kept.has(idOf(entry)) ? 1 : 0;
          accounts.place(entry);
        };
        const settleOne = (): void => {
          const [entry] = accounts.placed;
          if (entry === undefined) return;
          reception.settle(numberOf(entry), entry, 'stored');
          accounts.settle(entry, 'stored');
        };
        reception.connected();
        for (const step of all) {
          if (step.what === 'offer') {
            const offered = step.entries.map((entry) => ({ ...entry }));
            for (const entry of offered) numbers.set(entry, numbers.size);
            reception.hearOffer(offered);
            accounts.offer(offered);
          } else if (step.what === 'yes') {
            reception.grant.renew(reception.newIn(accounts.undecided));
            accounts.yes();
          } else if (step.what === 'place') step.entries.forEach(placeNext);
          else if (step.what === 'settle') step.entries.forEach(settleOne);
          else {
            reception.broken();
            reception.connected();
            numbers.clear();
            accounts.break();
          }
          const counted = [...accounts.settled, ...accounts.open];
          expect(reception.files).toBe(counted.length);
          expect(reception.bytes).toBe(counted.reduce((sum, entry) => sum + sizeOf(entry), 0));
        }
      }),
      { numRuns: 1_000 },
    );
    // Or else the generator does not visit what this is about.
    for (const [what, times] of Object.entries(visited)) expect(times, what).toBeGreaterThan(50);
  });

  test('neither counts what is not wanted nor takes it from the yes', () => {
    const wants = ({ path }: Entry): boolean => path.endsWith('.jpg');
    const reception = new Reception(TRANSFER, 'posix', textDigest, { wants });
    const offered = ['a.jpg', 'run.sh', 'b.jpg', 'c.exe'].map((path) => file(path, 10));
    accept(reception, offered);
    expect(reception).toMatchObject({ entries: 2, files: 2, bytes: 20 });
    expect(reception.risks.list).toEqual([]);
    expect(offered.map((_, i) => reception.wants(i))).toEqual([true, false, true, false]);
    expect(offered.filter((entry, i) => reception.covers(i, entry))).toEqual(offered);
    for (const [i, entry] of offered.entries())
      if (!reception.wants(i)) reception.settle(i, entry, { skipped: 'unwanted' });
    // What was not settled is covered still, and what is not wanted is known.
    expect(coveredOf(reception, offered)).toEqual(offered);
    expect(reception).toMatchObject({ entries: 2, files: 2, bytes: 20 });
    expect(offered.map((entry, i) => reception.outcomeOf(i, entry))).toEqual([
      undefined,
      { skipped: 'unwanted' },
      undefined,
      { skipped: 'unwanted' },
    ]);
  });

  test('that is narrowed is as if no more had been wanted from the start', () => {
    const wants = ({ path }: Entry): boolean => path.endsWith('.jpg');
    const offered = ['a.jpg', 'run.sh', 'b.jpg', 'c.exe'].map((path) => file(path, 10));
    const reception = new Reception(TRANSFER, 'posix', textDigest);
    reception.connected();
    reception.hearOffer(offered);
    reception.narrow(wants);
    expect(reception).toMatchObject({ entries: 2, files: 2, bytes: 20 });
    expect(reception.risks.list).toEqual([]);
    reception.grant.renew(reception.newIn(offered));
    reception.hearOffer([file('d.exe')]);
    expect([0, 1, 2, 3, 4].map((n) => reception.wants(n))).toEqual([
      true,
      false,
      true,
      false,
      false,
    ]);
    // Also over the next connection.
    expect(coveredOf(reception, offered)).toEqual(offered);
    expect(reception).toMatchObject({ entries: 2, files: 2, bytes: 20 });
  });

  test('a yes reaches no further for what nobody wanted beside it', () => {
    const wants = ({ path }: Entry): boolean => !path.endsWith('.txt');
    const reception = new Reception(TRANSFER, 'posix', textDigest, { wants });
    const offered = ['a.jpg', 'b.txt', 'c.txt'].map((path) => file(path));
    accept(reception, offered);
    for (const [i, entry] of offered.entries()) expect(reception.covers(i, entry)).toBe(true);
    const runs = file('run.sh');
    reception.hearOffer([runs]);
    expect(reception.covers(3, runs)).toBe(false);
  });

  /** A connection in which all of this is offered, and a yes is said to it. */
  function accept(reception: Reception, offered: readonly Entry[]): void {
    reception.connected();
    reception.hearOffer(offered);
    reception.grant.renew(reception.newIn(offered));
  }

  /** What of this is covered in a new connection. */
  function coveredOf(reception: Reception, offered: readonly Entry[]): Entry[] {
    reception.broken();
    reception.connected();
    reception.hearOffer(offered);
    return offered.filter((entry, i) => reception.covers(i, entry));
  }

  /** What of this is known to be settled in a new connection. */
  function knownOf(reception: Reception, offered: readonly Entry[]): Entry[] {
    reception.broken();
    reception.connected();
    reception.hearOffer(offered);
    return offered.filter((entry, i) => reception.outcomeOf(i, entry) !== undefined);
  }

  test('takes an entry for another one when anything that matters has changed', () => {
    const reception = new Reception(TRANSFER, 'posix', textDigest);
    const folder: Entry = { kind: 'folder', path: 'f', mtime: 1 };
    const link: Entry = { kind: 'link', path: 'l', target: 'a' };
    const all: Entry[] = [file('a', 1, 1), { kind: 'stream', path: 's' }, folder, link];
    accept(reception, all);
    for (const [i, entry] of all.entries())
      if (reception.covers(i, entry)) reception.settle(i, entry, 'stored');
    const changed: Entry[] = [
      file('a', 2, 1),
      file('a', 1, 2),
      file('b', 1, 1),
      { kind: 'stream', path: 'a' },
      { kind: 'link', path: 'f', target: 'a' },
      { kind: 'link', path: 'l', target: 'b' },
      { ...file('a', 1, 1), mode: 0o755 },
    ];
    expect(knownOf(reception, [...all, ...changed])).toEqual(all);
    expect(reception.files).toBe(7);
  });

  test('asks nobody about a new thing as long as the yes reaches', () => {
    const reception = new Reception(TRANSFER, 'posix', textDigest);
    accept(reception, [file('a')]);
    expect(coveredOf(reception, [file('b', GIB), file('c', 1)])).toHaveLength(1);
    expect(coveredOf(reception, programs('p', 1))).toEqual([]);
  });

  test('covers what was shown after any number of breaks, begun or not', () => {
    const reception = new Reception(TRANSFER, 'posix', textDigest);
    const all = [...programs('p', 3), file('huge', 100 * GIB)];
    accept(reception, all);
    expect(reception.covers(0, all[0] as Entry)).toBe(true);
    for (const some of [[], all.slice(0, 1), all, [], all])
      expect(coveredOf(reception, some)).toEqual(some);
  });

  test('remembers as many outcomes as a sender can have missed, those told last', () => {
    const reception = new Reception(TRANSFER, 'posix', textDigest);
    const all = Array.from({ length: MAX_OPEN_ENTRIES }, (_, i) => file(`${i}`));
    const more = Array.from({ length: MAX_BATCH }, (_, i) => file(`more${i}`));
    accept(reception, all);
    for (const [i, entry] of all.entries()) reception.settle(i, entry, 'stored');
    // The first of them are told again, and forgotten after the others.
    const again = all.slice(0, MAX_BATCH);
    expect(knownOf(reception, again)).toEqual(again);
    for (const [i, entry] of more.entries()) reception.settle(MAX_BATCH + i, entry, 'stored');
    const known = new Set(knownOf(reception, [...all, ...more]));
    expect(known.size).toBe(MAX_OPEN_ENTRIES);
    expect([...again, ...more].every((entry) => known.has(entry))).toBe(true);
  });

  test('remembers of what passed as much as of short names, however long they are', () => {
    const reception = new Reception(TRANSFER, 'posix', textDigest);
    const folder = `${'n'.repeat(200)}/`.repeat(19);
    const linkAt = (n: number): Entry => {
      // As they come: each a text of its own. In JSON each character of the target would be six.
      const target = Buffer.from(`${n}`.padEnd(4_000, '\u0001')).toString();
      return { kind: 'link', path: Buffer.from(`${folder}${n}`).toString(), target };
    };
    accept(reception, []);
    const before = memoryInUse();
    // All that is told is remembered, and what is covered once more.
    for (let n = 0; n < MAX_OPEN_ENTRIES; n++) {
      reception.hearOffer([linkAt(n)]);
      reception.settle(n, linkAt(n), 'placed');
    }
    expect(memoryInUse() - before).toBeLessThan(4 * MIB);
    reception.broken();
    accept(reception, []);
    expect(reception.outcomeOf(0, linkAt(0))).toBe('placed');
    for (let n = 0; n < MAX_OPEN_ENTRIES; n++) reception.hearOffer([linkAt(-1 - n)]);
    reception.grant.renew({ entries: MAX_OPEN_ENTRIES, bytes: 0 });
    reception.broken();
    expect(memoryInUse() - before).toBeLessThan(8 * MIB);
  });

  test('remembers no more of what was covered than a sender can have open', () => {
    const reception = new Reception(TRANSFER, 'posix', textDigest);
    const all: Entry[][] = [];
    for (let i = 0; i < 3; i++) {
      const offered = programs(`${i}-`, MAX_OPEN_ENTRIES);
      all.push(offered);
      accept(reception, offered);
      reception.broken();
    }
    const covered = all.flatMap((offered) => coveredOf(reception, offered));
    expect(covered).toEqual(all.at(-1));
  });
});

function memoryInUse(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  return process.memoryUsage().heapUsed;
}

/** A program that receives: it keeps what it accepted for the next connection. */
class Receiving {
  readonly inbox = new MemoryInbox();
  readonly reports: Report[] = [];
  /** How it answers, and how much it was asked about. */
  answer: 'yes' | 'declined' = 'yes';
  readonly asked: Extent[] = [];
  digests: readonly DigestName[] = ['sha256'];
  admits: NonNullable<Host['admits']> = () => 'yes';
  reception = new Reception(TRANSFER, 'posix', textDigest);

  async run(pipe: Pipe): Promise<void> {
    const host: Host = {
      freely: false,
      digests: this.digests,
      reception: async (continues) => {
        if (continues !== TRANSFER) this.reception = new Reception(TRANSFER, 'posix', textDigest);
        return this.reception;
      },
      open: async () => this.inbox,
      admits: (offered) => this.admits(offered),
      ask: async (extent) => {
        this.asked.push(extent);
        return this.answer;
      },
    };
    await withGreeting(new Channel('announcer', pipe), (channel) =>
      runReceiver(channel, host, (report) => this.reports.push(report)),
    );
  }
}

/** A program that sends. */
class Sending {
  readonly reports: Report[] = [];
  readonly delivery: Delivery;

  constructor(outbox: MemoryOutbox) {
    this.delivery = new Delivery(outbox);
  }

  async run(pipe: Pipe): Promise<void> {
    await withGreeting(new Channel('chooser', pipe), (channel) =>
      runSender(channel, this.delivery, (report) => this.reports.push(report)),
    );
  }
}

/** One connection between two programs, until it ends or is cut. Returns what broke it. */
async function connect(
  sender: Sending,
  receiver: Receiving,
  wire = cable(),
): Promise<ErrorCode | undefined> {
  const [sent] = await Promise.allSettled([
    sender.run(wire.left).finally(wire.pull),
    receiver.run(wire.right).finally(wire.pull),
  ]);
  return codeOf(sent);
}

function codeOf(result: PromiseSettledResult<void>): ErrorCode | undefined {
  if (result.status === 'fulfilled') return undefined;
  if (!(result.reason instanceof DropError)) throw result.reason;
  return result.reason.code;
}

/** A connection to a program, in which everything can be said, whatever it answers. */
class Line {
  readonly heard: Message[] = [];
  readonly #own: Pipe;
  readonly #pull: () => void;
  readonly #ended: Promise<PromiseSettledResult<void>[]>;

  constructor(program: { run(pipe: Pipe): Promise<void> }) {
    const { left, right, pull } = cable();
    this.#own = left;
    this.#pull = pull;
    this.#ended = Promise.allSettled([program.run(right), this.#listen()]);
  }

  async say(...messages: Message[]): Promise<void> {
    for (const message of messages) {
      await this.#own.write(...encode(message)).catch(() => {});
      // The other side gets the time to do what it has to do.
      for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Pulls the cable. Returns what the other side fails with. */
  async end(): Promise<ErrorCode | undefined> {
    this.#pull();
    const [program, listening] = await this.#ended;
    if (listening?.status === 'rejected') throw listening.reason;
    return program && codeOf(program);
  }

  async #listen(): Promise<void> {
    const decoder = new FrameDecoder();
    decoder.greeted();
    for await (const part of this.#own.incoming)
      for (const piece of decoder.push(part)) this.heard.push(decode(piece));
  }
}

const HELLO: Message = { type: 'hello', newest: 2, oldest: 1, intent: 'send', knows: true };
const WELCOME: Message = { type: 'welcome', newest: 1, oldest: 1, terms: 'known', epoch: 0 };
const INTRO: Message = { type: 'intro', name: 'x' };
const BEGIN: Message = { type: 'begin', continues: null, checksum: false, digests: ['sha256'] };
const AGAIN: Message = { type: 'begin', continues: TRANSFER, checksum: false, digests: ['sha256'] };
const BEGUN: Message = { type: 'begun', transfer: TRANSFER, digest: 'sha256', codecs: [] };
const ACCEPT: Message = { type: 'accept' };
const DONE: Message = { type: 'done' };
const COMPLETE: Message = { type: 'complete', missed: 0 };
const roots = (...names: string[]): Message => ({ type: 'roots', names, final: true });
const want = (count: number, some: object = {}): Message =>
  ({ type: 'want', count, skip: [], kept: [], failed: [], ...some }) as Message;
const chunk = (entry: number, offset: number, part: Uint8Array): Message => ({
  type: 'chunk',
  entry,
  offset,
  bytes: part,
});
const end = (entry: number, all: Uint8Array): Message => ({
  type: 'end',
  entry,
  digest: sha256(all),
});

/** All of an offer, in as many messages as it takes. */
function offer(...entries: Entry[]): Message[] {
  const messages: Message[] = [];
  for (let at = 0; at === 0 || at < entries.length; at += MAX_BATCH) {
    const all = entries.slice(0, at + MAX_BATCH);
    messages.push({
      type: 'offer',
      entries: all.slice(at),
      files: all.filter(hasData).length,
      bytes: all.reduce((sum, entry) => sum + sizeOf(entry), 0),
      final: all.length === entries.length,
    });
  }
  return messages;
}

/** What a program that receives answers to a sender that says this and is gone. */
async function visit(
  receiver: Receiving,
  ...messages: Message[]
): Promise<{ heard: Message[]; code: ErrorCode | undefined }> {
  const line = new Line(receiver);
  await line.say(HELLO, INTRO, ...messages);
  return { heard: line.heard.slice(2), code: await line.end() };
}

/** What a program that sends says to a receiver that says this and is gone. */
async function receive(
  sender: Sending,
  ...messages: Message[]
): Promise<{ heard: Message[]; code: ErrorCode | undefined }> {
  const line = new Line(sender);
  await line.say(WELCOME, INTRO, ...messages);
  return { heard: line.heard.slice(2), code: await line.end() };
}

function filesWanted(heard: readonly Message[]): number {
  return heard.reduce((sum, one) => sum + (one.type === 'want' ? one.count : 0), 0);
}

function failures(reports: readonly Report[]): [string, ErrorCode][] {
  return reports.flatMap((report) =>
    report.type === 'failed' ? [[report.path, report.code] as [string, ErrorCode]] : [],
  );
}

describe('a sender that goes on', () => {
  test('gets what the yes was for, and nobody is asked again', async () => {
    const receiver = new Receiving();
    const all = [file('a', 5), file('b', 3)];
    const first = await visit(
      receiver,
      BEGIN,
      roots('a', 'b'),
      ...offer(...all),
      chunk(0, 0, bytes(2)),
    );
    expect(first.code).toBe('disconnected');
    const { heard, code } = await visit(
      receiver,
      AGAIN,
      roots('a', 'b'),
      ...offer(...all),
      chunk(0, 2, bytes(5).slice(2)),
      end(0, bytes(5)),
      chunk(1, 0, bytes(3)),
      end(1, bytes(3)),
      DONE,
    );
    const kept = [{ entry: 0, size: 2, digest: sha256(bytes(2)) }];
    expect(heard.slice(0, 3)).toEqual([BEGUN, ACCEPT, want(2, { kept })]);
    expect(heard.at(-1)).toEqual(COMPLETE);
    expect(code).toBeUndefined();
    expect(receiver.inbox.stored).toEqual({ a: bytes(5), b: bytes(3) });
    expect(receiver.asked).toHaveLength(1);
  });

  test('hears of each entry what became of it, and nothing is stored or told twice', async () => {
    const receiver = new Receiving();
    const { inbox } = receiver;
    inbox.stored.there = bytes(1);
    inbox.broken.broken = { after: -1, code: 'not-permitted' };
    const names = roots('folder', 'a', 'there', 'broken');
    const folder: Entry = { kind: 'folder', path: 'folder', mtime: 0 };
    const all = [folder, file('a', 2), file('there', 1), file('broken', 1)];
    await visit(receiver, BEGIN, names, ...offer(...all), chunk(1, 0, bytes(2)), end(1, bytes(2)));
    for (const path of Object.keys(inbox.stored)) delete inbox.stored[path];
    delete inbox.broken.broken;

    const { heard, code } = await visit(receiver, AGAIN, names, ...offer(...all, ...all), DONE);
    const skip = [
      { entry: 1, reason: 'stored' },
      { entry: 2, reason: 'unchanged' },
      { entry: 5, reason: 'stored' },
      { entry: 6, reason: 'unchanged' },
    ];
    const failed = [
      { entry: 3, code: 'peer-disk' },
      { entry: 7, code: 'peer-disk' },
    ];
    expect(heard).toContainEqual(want(8, { skip, failed }));
    expect(code).toBeUndefined();
    expect(inbox.stored).toEqual({});
    const told = receiver.reports.map(({ type }) => type);
    expect(told.filter((type) => /^(stored|skipped|failed)$/.test(type))).toHaveLength(3);
    expect(receiver.reception).toMatchObject({ files: 3, bytes: 4 });
  });

  test('leaves nothing behind of what lies in a folder that could not be made', async () => {
    const receiver = new Receiving();
    receiver.inbox.broken.a = { after: -1, code: 'not-permitted' };
    const paths = ['a', 'a/b', 'a/b/c', 'a/d'];
    const folders = paths.map((path): Entry => ({ kind: 'folder', path, mtime: 0 }));
    await visit(receiver, BEGIN, roots('a'), ...offer(...folders, file('a/b/c/d')), DONE);
    expect(failures(receiver.reports)).toHaveLength(5);
    expect([...receiver.reception.lost]).toEqual([['a', 'not-permitted']]);
  });

  test.each([
    ['others', ['c', 'd']],
    ['more', ['a', 'b', 'c']],
    ['fewer', ['a']],
    ['the same in another order', ['b', 'a']],
  ])('breaks the protocol if its roots are %s', async (_, others) => {
    const receiver = new Receiving();
    await visit(receiver, BEGIN, roots('a', 'b'), ...offer(file('a', 5)));
    const { heard, code } = await visit(receiver, AGAIN, roots(...others), ...offer());
    expect(heard.map(({ type }) => type)).toEqual(['begun', 'cancel']);
    expect(code).toBe('protocol');
  });

  test('is asked about what changed, once it is more than the yes reaches', async () => {
    const receiver = new Receiving();
    await visit(receiver, BEGIN, roots('a'), ...offer(file('a', 1)));
    await visit(receiver, AGAIN, roots('a'), ...offer(file('a', 2)));
    expect(receiver.asked).toHaveLength(1);
    receiver.answer = 'declined';
    const { heard } = await visit(receiver, AGAIN, roots('a'), ...offer(file('a', 2 * GIB)));
    expect(receiver.asked).toHaveLength(2);
    expect(heard.at(-1)).toEqual({ type: 'cancel', code: 'declined' });
  });

  test.each<[string, Entry]>([
    ['something huge', file('a/x', 100 * GIB)],
    ['a program', file('a/x.exe')],
    ['a stream', { kind: 'stream', path: 'a/x' }],
  ])('cannot bring %s in place of what was shown and not yet decided', async (_, other) => {
    const receiver = new Receiving();
    const { inbox } = receiver;
    // A file that is compared is not decided, nor is what comes after it.
    inbox.compares = true;
    inbox.stored['a/0'] = bytes(1);
    const folder: Entry = { kind: 'folder', path: 'a', mtime: 0 };
    const shown = Array.from({ length: 2 * MAX_BATCH }, (_, i) => file(`a/${i}`));
    const first = await visit(receiver, BEGIN, roots('a'), ...offer(folder, ...shown));
    expect(first.heard.map(({ type }) => type)).toEqual(['begun', 'accept', 'compare']);

    receiver.answer = 'declined';
    const { heard } = await visit(receiver, AGAIN, roots('a'), ...offer(folder, other));
    expect(filesWanted(heard)).toBe(1);
    expect(heard.at(-1)).toEqual({ type: 'cancel', code: 'declined' });
  });

  test('cannot bring what it had begun many times over', async () => {
    const receiver = new Receiving();
    const huge = file('a', GIB);
    await visit(receiver, BEGIN, roots('a'), ...offer(huge), chunk(0, 0, bytes(1)));
    receiver.answer = 'declined';
    const many = new Array<Entry>(MAX_BATCH).fill(huge);
    const { heard } = await visit(receiver, AGAIN, roots('a'), ...offer(...many));
    // As much again as was shown is what any yes admits.
    expect(filesWanted(heard)).toBe(2);
    expect(heard.at(-1)).toEqual({ type: 'cancel', code: 'declined' });
  });

  test('is not asked about again, however often it is cut off before it gets anywhere', async () => {
    const receiver = new Receiving();
    const all = [file('a', 100 * GIB), file('setup.exe', 2)];
    const names = roots('a', 'setup.exe');
    await visit(receiver, BEGIN, names, ...offer(...all), chunk(0, 0, bytes(1)));
    await visit(receiver);
    await visit(receiver, AGAIN);
    await visit(receiver, AGAIN, names);
    const { heard } = await visit(receiver, AGAIN, names, ...offer(...all));
    expect(filesWanted(heard)).toBe(2);
    expect(receiver.asked).toHaveLength(1);
  });
});

describe('a yes to a message', () => {
  const message: Entry = { kind: 'file', path: 'a', size: 1, mtime: 1, text: true };

  test.each<[string, Entry[], number]>([
    ['it, again', [message], 1],
    ['a file in its place', [file('a')], 0],
    ['it, and a file of its name', [message, file('a')], 1],
    ['it, and it once more', [message, message], 1],
    ['a tree in its place', [{ kind: 'folder', path: 'a', mtime: 0 }, file('a/b')], 0],
  ])('covers, when the connection was cut: %s', async (_, entries, wanted) => {
    const receiver = new Receiving();
    await visit(receiver, BEGIN, roots('a'), ...offer(message));
    receiver.answer = 'declined';
    const { heard } = await visit(receiver, AGAIN, roots('a'), ...offer(...entries));
    expect(filesWanted(heard)).toBe(wanted);
    const declined = wanted < entries.length;
    expect(heard.at(-1)?.type).toBe(declined ? 'cancel' : 'want');
  });
});

describe('more than is admitted', () => {
  const stream = (path: string): Entry => ({ kind: 'stream', path });

  test('is refused before anybody is asked', async () => {
    const receiver = new Receiving();
    receiver.admits = ({ bytes }) => (bytes > 10 ? 'too-large' : 'yes');
    const { heard } = await visit(receiver, BEGIN, roots('a'), ...offer(file('a', 11)));
    expect(heard.at(-1)).toEqual({ type: 'cancel', code: 'too-large' });
    expect(receiver.asked).toEqual([]);
    expect(receiver.inbox.stored).toEqual({});
  });

  test('is cut where a stream becomes that, whatever came before in whichever connection', async () => {
    const receiver = new Receiving();
    const seen: number[] = [];
    receiver.admits = ({ bytes }) => {
      seen.push(bytes);
      return bytes > 30 ? 'too-large' : 'yes';
    };
    const all = [stream('a'), file('b', 5), stream('c')];
    const names = roots('a', 'b', 'c');
    const a = bytes(12);
    const end = (entry: number, part: Uint8Array): Message => ({
      type: 'end',
      entry,
      digest: sha256(part),
    });
    await visit(receiver, BEGIN, names, ...offer(...all), chunk(0, 0, a), end(0, a));
    expect(Object.keys(receiver.inbox.stored)).toEqual(['a']);
    const { heard } = await visit(
      receiver,
      AGAIN,
      names,
      ...offer(...all.slice(1)),
      chunk(0, 0, bytes(5)),
      end(0, bytes(5)),
      chunk(1, 0, bytes(13)),
      chunk(1, 13, bytes(1)),
    );
    expect(seen.slice(-2)).toEqual([30, 31]);
    expect(heard).toContainEqual({ type: 'failed', entry: 1, code: 'too-large' });
    expect(Object.keys(receiver.inbox.stored)).toEqual(['a', 'b']);
    expect([...receiver.inbox.parts.keys()]).toEqual([]);
  });
});

describe('a receiver', () => {
  /** An outbox that reads so much of a file, and no more. */
  class Stalling extends MemoryOutbox {
    override async *read(
      entry: DataEntry,
      kept: Kept | undefined,
      signal?: AbortSignal,
    ): ReturnType<MemoryOutbox['read']> {
      const { value } = await super.read(entry, kept).next();
      if (value && 'bytes' in value) yield value;
      await new Promise((resolve) => signal?.addEventListener('abort', resolve));
      throw new DropError('disconnected');
    }
  }
  const stored = want(1, { skip: [{ entry: 0, reason: 'stored' }] });
  const tree: Tree = { a: bytes(20) };
  const isStored = ({ type }: Report): boolean => type === 'stored';

  test('is believed that it had stored what was sent as a whole', async () => {
    const sender = new Sending(new MemoryOutbox(tree));
    await receive(sender, BEGUN, ACCEPT, want(1));
    const { heard, code } = await receive(sender, BEGUN, ACCEPT, stored, COMPLETE);
    expect(heard.map(({ type }) => type)).toEqual(['begin', 'roots', 'offer', 'done']);
    expect(code).toBeUndefined();
    expect(sender.reports.filter(isStored)).toEqual([
      expect.objectContaining({ size: 20, digest: sha256(bytes(20)) }),
    ]);
  });

  test.each<[string, MemoryOutbox, Message[]]>([
    ['nothing was sent of', new MemoryOutbox(tree), [BEGUN]],
    ['nothing was wanted of', new MemoryOutbox(tree), [BEGUN, ACCEPT]],
    ['only the start was sent of', new Stalling(tree), [BEGUN, ACCEPT, want(1)]],
  ])('breaks the protocol if it says to have stored what %s', async (_, outbox, before) => {
    const sender = new Sending(outbox);
    await receive(sender, ...before);
    const { code } = await receive(sender, BEGUN, ACCEPT, stored, COMPLETE);
    expect(code).toBe('protocol');
    expect(sender.reports.filter(isStored)).toEqual([]);
  });

  test('breaks the protocol if it tells files by what the sender cannot', async () => {
    const sender = new Sending(new MemoryOutbox(tree));
    const { code } = await receive(sender, { ...BEGUN, digest: 'blake3' } as Message, ACCEPT);
    expect(code).toBe('protocol');
    expect(sender.delivery.transfer).toBeNull();
  });

  test('that knows nothing of a transfer is offered everything anew', async () => {
    const sender = new Sending(new MemoryOutbox(tree));
    await receive(sender, BEGUN, ACCEPT, want(1));
    const other: Message = {
      type: 'begun',
      transfer: 'f'.repeat(32),
      digest: 'sha256',
      codecs: [],
    };
    const { heard, code } = await receive(sender, other, ACCEPT, stored);
    expect(heard[0]).toEqual(AGAIN);
    expect(heard).toContainEqual(expect.objectContaining({ type: 'offer', files: 1, bytes: 20 }));
    expect(sender.reports).toContainEqual({ type: 'restarted' });
    // It cannot have stored anything either.
    expect(code).toBe('protocol');
  });

  test('makes a sender read each file once to compare it, and never beyond that', async () => {
    const read: string[] = [];
    class Counting extends MemoryOutbox {
      override digest(entry: FileEntry): Promise<Uint8Array> {
        read.push(entry.path);
        return super.digest(entry);
      }
    }
    const sender = new Sending(new Counting({ a: bytes(20), b: bytes(3) }));
    const compare = (entry: number): Message => ({ type: 'compare', entry });
    const { heard, code } = await receive(
      sender,
      BEGUN,
      ACCEPT,
      compare(1),
      compare(0),
      compare(1),
      compare(0),
    );
    expect(heard.slice(3, 5)).toEqual([
      { type: 'digest', entry: 1, digest: sha256(bytes(3)) },
      { type: 'digest', entry: 0, digest: sha256(bytes(20)) },
    ]);
    expect(code).toBe('protocol');
    expect(read).toEqual(['b', 'a']);
  });
});

test('a transfer goes on, wherever it broke, although files are told by something else', async () => {
  const tree: Tree = { a: bytes(12), b: bytes(90, 2), c: bytes(3, 3) };
  const told = { blake3: 0, sha256: 0, both: 0 };
  for (let cutAfter = 1; ; cutAfter += 5) {
    const sender = new Sending(new MemoryOutbox(tree, { digests: ['blake3', 'sha256'] }));
    const receiver = new Receiving();
    receiver.digests = ['blake3', 'sha256'];
    const whole = (await connect(sender, receiver, cable({ cutAfter }))) === undefined;
    receiver.digests = ['sha256'];
    if (!whole) expect(await connect(sender, receiver)).toBeUndefined();
    expect(receiver.inbox.stored).toEqual(tree);
    for (const { reports } of [sender, receiver]) {
      const stored = reports.flatMap((report) => (report.type === 'stored' ? [report] : []));
      expect(stored.map(({ entry }) => entry.path).sort()).toEqual(['a', 'b', 'c']);
      for (const { entry, algorithm, digest } of stored) {
        const content = tree[entry.path] as Uint8Array;
        expect(toHex(digest)).toBe(toHex(digestOf(algorithm, content)));
        told[algorithm] += 1;
      }
      if (new Set(stored.map(({ algorithm }) => algorithm)).size > 1) told.both += 1;
    }
    if (whole) break;
  }
  expect(Math.min(...Object.values(told))).toBeGreaterThan(10);
});

describe('a lost word', () => {
  const tree: Tree = { a: bytes(12), bad: bytes(20, 2), c: bytes(3, 3) };

  /** Cuts the first connection somewhere in each message, and lets the second end as it does. */
  async function cutAnywhere(
    begin: () => { sender: Sending; receiver: Receiving },
    check: (sender: Sending, receiver: Receiving) => void,
  ): Promise<void> {
    for (let cutAfter = 1; ; cutAfter += 3) {
      const { sender, receiver } = begin();
      if ((await connect(sender, receiver, cable({ cutAfter }))) === undefined) break;
      const { transfer } = sender.delivery;
      expect(await connect(sender, receiver)).toBeUndefined();
      expect(receiver.inbox.stored).toEqual({ a: tree.a, c: tree.c });
      if (transfer !== null) expect(receiver.asked).toHaveLength(1);
      check(sender, receiver);
    }
  }

  test('of what could not be stored is said again, and told once on both sides', async () => {
    await cutAnywhere(
      () => {
        const receiver = new Receiving();
        receiver.inbox.broken.bad = { after: 7, code: 'not-permitted' };
        return { sender: new Sending(new MemoryOutbox(tree)), receiver };
      },
      (sender, receiver) => {
        expect(failures(sender.reports)).toEqual([['bad', 'peer-disk']]);
        expect(failures(receiver.reports)).toEqual([['bad', 'not-permitted']]);
      },
    );
  });

  test('of what could not be read needs not be said again, as it was told', async () => {
    await cutAnywhere(
      () => {
        const outbox = new MemoryOutbox(tree, { spoil: { bad: { after: 7, code: 'changed' } } });
        return { sender: new Sending(outbox), receiver: new Receiving() };
      },
      (sender) => expect(failures(sender.reports)).toEqual([['bad', 'changed']]),
    );
  });
});

describe('a file that is compared', () => {
  class Unreadable extends MemoryOutbox {
    override async digest(): Promise<Uint8Array> {
      throw new DropError('unreadable');
    }
  }
  const tree: Tree = { a: bytes(20), b: bytes(3) };
  const comparing = (there: Uint8Array): Receiving => {
    const receiver = new Receiving();
    receiver.inbox.compares = true;
    receiver.inbox.stored.a = there;
    return receiver;
  };
  const sentOf = ({ reports }: Sending): string[] =>
    reports.flatMap((one) => {
      if (one.type === 'started') return [one.entry.path];
      return one.type === 'moved' && one.whole ? [one.whole.path] : [];
    });

  test.each([
    ['is sent if it is another one', bytes(20, 2), ['a', 'b']],
    ['is not sent if it is the same', bytes(20), ['b']],
  ])('%s', async (_, there, sent) => {
    const receiver = comparing(there);
    const sender = new Sending(new MemoryOutbox(tree));
    expect(await connect(sender, receiver)).toBeUndefined();
    expect(receiver.inbox.stored).toEqual(tree);
    expect(sentOf(sender)).toEqual(sent);
  });

  test('is sent if nobody can tell', async () => {
    const receiver = comparing(bytes(20));
    const sender = new Sending(new Unreadable(tree));
    expect(await connect(sender, receiver)).toBeUndefined();
    expect(receiver.inbox.stored).toEqual(tree);
    expect(sentOf(sender)).toEqual(['a', 'b']);
  });

  test('and cannot be read at all fails, and nothing else', async () => {
    const receiver = comparing(bytes(20, 2));
    const sender = new Sending(
      new Unreadable(tree, { spoil: { a: { after: 0, code: 'unreadable' } } }),
    );
    expect(await connect(sender, receiver)).toBeUndefined();
    expect(receiver.inbox.stored).toEqual({ a: bytes(20, 2), b: bytes(3) });
    expect(failures(sender.reports)).toEqual([['a', 'unreadable']]);
    expect(failures(receiver.reports)).toEqual([['a', 'peer-source']]);
  });
});

describe('two connections of one transfer', () => {
  /** A program whose accepted transfers wait for the peer that they are from. */
  class House {
    readonly inbox = new MemoryInbox();
    readonly transfers = new Transfers<Received>();
    questions = 0;

    visitor(id: string): { run(pipe: Pipe): Promise<void> } {
      return { run: (pipe) => this.#host(id as PeerId, pipe) };
    }

    async #host(id: PeerId, pipe: Pipe): Promise<void> {
      const channel = new Channel('announcer', pipe);
      const visit = { channel, connection: { silence: 0 } };
      const peer = { id, name: id, known: true, paired: false, free: false };
      let transfer = new Received(peer, () => new Progress(peer, () => {}));
      const host: Host = {
        freely: false,
        digests: ['sha256'],
        reception: async (continues) => {
          if (continues !== null)
            transfer = (await this.transfers.takeUp(id, continues, visit)) ?? transfer;
          return transfer.reception;
        },
        open: async () => this.inbox,
        ask: async () => {
          this.questions += 1;
          this.transfers.hold(transfer, visit);
          return 'yes';
        },
      };
      try {
        await withGreeting(channel, (greeted) => runReceiver(greeted, host, () => {}));
        await this.transfers.end(transfer);
      } catch (error) {
        await this.transfers.release(transfer);
        throw error;
      }
    }
  }

  function idIn({ heard }: Line): string {
    const begun = heard.find((message) => message.type === 'begun');
    if (begun === undefined) throw new Error('nothing has begun');
    return begun.transfer;
  }

  test('are one: the later one replaces the other, and goes on after what came', async () => {
    const house = new House();
    const first = new Line(house.visitor('ana'));
    await first.say(HELLO, INTRO, BEGIN, roots('a'), ...offer(file('a', 5)), chunk(0, 0, bytes(2)));
    const again: Message = {
      type: 'begin',
      continues: idIn(first),
      checksum: false,
      digests: ['sha256'],
    };

    const second = new Line(house.visitor('ana'));
    await second.say(HELLO, INTRO, again, roots('a'), ...offer(file('a', 5)));
    expect(idIn(second)).toBe(idIn(first));
    // What the first still says is of no account any more.
    await first.say(chunk(0, 2, bytes(3, 9)), end(0, bytes(5)));
    expect(await first.end()).toBe('disconnected');

    await second.say(chunk(0, 2, bytes(5).slice(2)), end(0, bytes(5)), DONE);
    expect(second.heard.at(-1)).toEqual(COMPLETE);
    expect(await second.end()).toBeUndefined();
    expect(house.inbox.stored).toEqual({ a: bytes(5) });
    expect(house.questions).toBe(1);
  });

  test('are two for somebody else, whatever the transfer is that is named', async () => {
    const house = new House();
    const hers = new Line(house.visitor('ana'));
    await hers.say(HELLO, INTRO, BEGIN, roots('a'), ...offer(file('a', 5)), chunk(0, 0, bytes(2)));
    const again: Message = {
      type: 'begin',
      continues: idIn(hers),
      checksum: false,
      digests: ['sha256'],
    };

    const his = new Line(house.visitor('mallory'));
    await his.say(HELLO, INTRO, again, roots('a'), ...offer(file('a', 5)));
    expect(idIn(his)).not.toBe(idIn(hers));
    expect(house.questions).toBe(2);
    await his.end();

    await hers.say(chunk(0, 2, bytes(5).slice(2)), end(0, bytes(5)), DONE);
    expect(await hers.end()).toBeUndefined();
    await house.transfers.close();
  });
});
