import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { concat, u32, utf8 } from '../../src/protocol/bytes.ts';
import { type Entry, hasData } from '../../src/protocol/manifest.ts';
import type { Message, SmallFile } from '../../src/protocol/message.ts';
import { drop } from '../support/bin.ts';
import { FakeTime } from '../support/faketime.ts';
import { Home } from '../support/home.ts';
import { KIND, Rogue, type Talk } from '../support/rogue-peer.ts';
import { describeWith } from '../support/skip.ts';

const SECRET = 'what Bob shows to nobody';
const TEXT = 'what Bob sends to Eve';

/** The numbers of the files of which all has come with a message. */
function wholeIn(message: Message): number[] {
  if (message.type === 'files') return message.files.map(({ entry }) => entry);
  return message.type === 'end' ? [message.entry] : [];
}

const bytesOf = ({ bytes }: SmallFile): Uint8Array => bytes;

/*
 * What went wrong elsewhere: a server that reads any file of its client (rsync, CVE-2024-12086), or
 * its memory (CVE-2024-12085), a negative length (Syncthing, CVE-2021-21404), text of the peer on the
 * terminal (OpenSSH scp, CVE-2019-6109 and -6110), files that changed hands without the dialog
 * (Quick Share, CVE-2024-38272), a name that changes between two packets (KDE Connect,
 * CVE-2025-32900).
 */
describe('a receiver that is hostile', () => {
  let bob: Home;
  let eve: Rogue;

  beforeEach(async () => {
    bob = new Home();
    eve = await Rogue.make();
    await eve.befriend(bob);
    mkdirSync(join(bob.path, '.ssh'));
    mkdirSync(join(bob.path, 'tree', 'd'), { recursive: true });
    for (const path of ['.bashrc', '.ssh/id', 'secret', 'tree/../beside'])
      writeFileSync(join(bob.path, path), SECRET);
    for (const path of ['tree/a', 'tree/d/b']) {
      writeFileSync(join(bob.path, path), TEXT);
      utimesSync(join(bob.path, path), 1e9, 1e9);
    }
  });
  afterEach(async () => {
    await eve[Symbol.asyncDispose]();
    await bob[Symbol.asyncDispose]();
  });

  /** Bob sends his tree to Eve, who does as she likes. What she got, and how it ended for Bob. */
  async function send(act: (talk: Talk) => Promise<unknown>, args = ['tree'], env = {}) {
    const talks: Talk[] = [];
    const port = await eve.wait(async (talk) => {
      talks.push(talk);
      await act(talk);
    });
    await using sending = drop(
      ['send', '--json', '--wait', '5', '--to', `127.0.0.1:${port}`, ...args],
      { home: bob, env },
    );
    const outcome = await sending.outcome();
    expect(talks.map(({ fault }) => fault)).toEqual(talks.map(() => undefined));
    const all = talks.flatMap(({ heard }) => heard);
    const got = all.flatMap((one) =>
      one.type === 'chunk' ? [one.bytes] : one.type === 'files' ? one.files.map(bytesOf) : [],
    );
    const said = sending.events.flatMap((event) =>
      event.event === 'error' || event.event === 'saved' ? [event] : [],
    );
    // Whatever she says, nothing of it is on his screen, and nothing that he did not offer is hers.
    expect(Buffer.concat(got).includes(SECRET)).toBe(false);
    expect(JSON.stringify(all)).not.toMatch(/secret|bashrc|\.ssh|beside/);
    expect(outcome.stderr).not.toMatch(/[^\P{Cc}\n]|\p{Bidi_Control}|EVIL|internal|\bat .*:\d+/u);
    expect(outcome.stdout).not.toMatch(/[^\P{Cc}\n]|\p{Bidi_Control}|EVIL|"internal"/u);
    expect(readdirSync(join(bob.state, 'peers'))).toEqual([`${eve.id}.json`]);
    return { outcome, got: Buffer.concat(got).toString(), said, all };
  }

  /** Does as she should, up to where all of the tree is offered. */
  async function listen(talk: Talk): Promise<Entry[]> {
    await talk.hear('begin');
    await talk.hear('roots');
    talk.say({ type: 'begun', transfer: '00'.repeat(16), digest: 'sha256', codecs: [] });
    talk.say({ type: 'accept' });
    const entries: Entry[] = [];
    for (let final = false; !final; ) {
      const offer = await talk.hear('offer');
      entries.push(...offer.entries);
      final = offer.final;
    }
    return entries;
  }

  /** Wants so many entries, all from their start. */
  function want(talk: Talk, count: number): void {
    talk.say({ type: 'want', count, skip: [], kept: [], failed: [] });
  }

  /** Takes what comes, and says so. */
  async function take(talk: Talk, entries: readonly Entry[]): Promise<void> {
    for (let left = entries.filter(hasData).length; left > 0; ) {
      const came = wholeIn(await talk.hear('end', 'files'));
      talk.say({ type: 'stored', entries: came });
      left -= came.length;
    }
    await talk.hear('done');
    talk.say({ type: 'complete', missed: 0 });
    await talk.end();
  }

  const wanting = (more: object) => (talk: Talk) =>
    talk.utter(KIND.want, { count: 4, skip: [], kept: [], failed: [], ...more });
  const keeping =
    (size: string, digest = '00'.repeat(32)) =>
    (talk: Talk) =>
      talk.utter(
        KIND.want,
        `{"count":4,"skip":[],"kept":[{"entry":1,"size":${size},"digest":"${digest}"}],"failed":[]}`,
      );
  const whole: Message = {
    type: 'files',
    files: [{ entry: 1, digest: new Uint8Array(32), bytes: utf8('EVIL') }],
  };
  const number = (kind: number, entry: number) => (talk: Talk) => talk.utter(kind, u32(entry));
  const all = (talk: Talk): void => want(talk, 4);
  /** Both files have come. */
  const gotten = (talk: Talk) => talk.hear('done');
  const storedNow =
    (...entries: number[]) =>
    (talk: Talk) =>
      talk.utter(KIND.stored, concat(...entries.map(u32)));

  // The tree is four entries: the folder is 0, `tree/a` 1, the folder in it 2, `tree/d/b` 3.
  test.each<[string, ((talk: Talk) => unknown)[]]>([
    ['decides on more than was offered', [wanting({ count: 5 })]],
    ['decides on it twice', [all, all]],
    ['decides without end', Array.from({ length: 200 }, () => wanting({ count: 1 }))],
    ['decides on nothing', [wanting({ count: 0 })]],
    ['decides on less than nothing', [wanting({ count: -1 })]],
    ['skips what was never offered', [wanting({ skip: [{ entry: 4, reason: 'identical' }] })]],
    [
      'leaves out all that it was sent',
      [wanting({ skip: [1, 3].map((entry) => ({ entry, reason: 'unwanted' })) })],
    ],
    ['fails what was never offered', [wanting({ failed: [{ entry: 4096, code: 34 }] })]],
    [
      'keeps what was never offered',
      [wanting({ kept: [{ entry: 9, size: 0, digest: '00'.repeat(32) }] })],
    ],
    [
      'keeps of an entry that is no number',
      [wanting({ kept: [{ entry: '../x', size: 0, digest: '00'.repeat(32) }] })],
    ],
    ['keeps of a folder', [wanting({ kept: [{ entry: 0, size: 0, digest: '00'.repeat(32) }] })]],
    ['asks for a path', [wanting({ paths: ['../secret'] })]],
    [
      'asks for a path in place of a number',
      [wanting({ skip: [{ entry: '../secret', reason: 'identical' }] })],
    ],
    ['has kept more than there is', [keeping('22')]],
    ['has kept 8 PiB', [keeping('9007199254740991')]],
    ['has kept less than nothing', [keeping('-1')]],
    ['has kept half a byte', [keeping('0.5')]],
    ['has kept more than can be counted', [keeping('9007199254740992')]],
    ['has kept what is no number', [keeping('"1"')]],
    ['has a digest that is too short', [keeping('1', '00'.repeat(31))]],
    ['has a digest that is too long', [keeping('1', '00'.repeat(33))]],
    ['has a digest that is none', [keeping('1', 'EVIL'.repeat(16))]],
    ['compares what was never offered', [number(KIND.compare, 4)]],
    ['compares a folder', [number(KIND.compare, 0)]],
    ['compares without end', Array.from({ length: 100 }, () => number(KIND.compare, 1))],
    [
      'compares again',
      [number(KIND.compare, 1), (talk) => talk.hear('digest'), number(KIND.compare, 1)],
    ],
    ['compares what it wants already', [all, number(KIND.compare, 1)]],
    ['decides before it was answered', [number(KIND.compare, 1), all]],
    ['has stored what was never offered', [number(KIND.stored, 77)]],
    ['has stored what it did not want', [number(KIND.stored, 1)]],
    ['has stored what is a folder', [all, number(KIND.stored, 0)]],
    ['has stored nothing', [all, (talk) => talk.utter(KIND.stored, new Uint8Array(0))]],
    ['has stored half an entry', [all, (talk) => talk.utter(KIND.stored, new Uint8Array(6))]],
    ['has stored one twice', [all, gotten, storedNow(1, 3, 1)]],
    ['has stored more than it got', [all, gotten, storedNow(1, 3, 4)]],
    ['has stored ever more', [all, gotten, storedNow(...Array(257).fill(1))]],
    [
      'has stored before',
      [wanting({ skip: [1, 3].map((entry) => ({ entry, reason: 'stored' })) })],
    ],
    [
      'has some of what is no stream',
      [all, (talk) => talk.say({ type: 'arrived', entry: 1, offset: 1 })],
    ],
    [
      'has some at the end of all numbers',
      [all, (talk) => talk.utter(KIND.arrived, concat(u32(1), new Uint8Array(8).fill(255)))],
    ],
    ['is complete before anything was sent', [(talk) => talk.say({ type: 'complete', missed: 0 })]],
    ['is complete before all was sent', [all, (talk) => talk.say({ type: 'complete', missed: 0 })]],
    ['says yes twice', [(talk) => talk.say({ type: 'accept' })]],
    [
      'is another transfer now',
      [
        (talk) =>
          talk.say({ type: 'begun', transfer: '11'.repeat(16), digest: 'sha256', codecs: [] }),
      ],
    ],
    ['has another name now', [(talk) => talk.say({ type: 'intro', name: 'Bob' })]],
    [
      'sends something itself',
      [(talk) => talk.offer([{ kind: 'file', path: 'EVIL', size: 0, mtime: 0 }])],
    ],
    [
      'sends bytes',
      [(talk) => talk.say({ type: 'chunk', entry: 1, offset: 0, bytes: utf8('EVIL') })],
    ],
    ['sends a small file', [(talk) => talk.say(whole)]],
    ['wants to be dialled', [(talk) => talk.say({ type: 'dial', port: 40_001 })]],
    ['moves to nowhere', [(talk) => talk.say({ type: 'moved' })]],
    ['is done', [(talk) => talk.say({ type: 'done' })]],
    ['greets once more', [(talk) => talk.utter(0x02, Uint8Array.of(1, 1, 0, 0, 0, 0, 1))]],
    [
      'gives a reason in words',
      [(talk) => talk.utter(KIND.cancel, concat(Uint8Array.of(1), utf8('\x1b[2JEVIL')))],
    ],
    ['gives a reason in words alone', [(talk) => talk.utter(KIND.cancel, '\x1b]0;EVIL\x07')]],
    ['says what is no message', [(talk) => talk.utter(0x7f, 'EVIL')]],
  ])('and %s gets nothing by it: 7', async (_, acts) => {
    const { outcome, got, said } = await send(async (talk) => {
      await listen(talk);
      for (const act of acts) await act(talk);
      await talk.end();
    });
    expect(outcome.code).toBe(7);
    expect(said.filter(({ event }) => event === 'saved')).toEqual([]);
    // What it wanted by right, it may have had.
    expect([TEXT + TEXT, TEXT, ''].map((text) => text.slice(0, got.length))).toContain(got);
  });

  test.each<[string, (talk: Talk) => void, number]>([
    ['a number that means nothing', (talk) => talk.utter(KIND.cancel, Uint8Array.of(255)), 5],
    ['that it has no room', (talk) => talk.utter(KIND.cancel, Uint8Array.of(30)), 5],
    ['that it refuses', (talk) => talk.utter(KIND.cancel, Uint8Array.of(3)), 4],
  ])('and gives %s as a reason is told of in our own words', async (_, act, exit) => {
    const { outcome, got } = await send(async (talk) => {
      await listen(talk);
      act(talk);
      await talk.end();
    });
    expect([outcome.code, got]).toEqual([exit, '']);
  });

  test('gets what it wants of what was offered, from where it says, and no more', async () => {
    const {
      outcome,
      got,
      said,
      all: heard,
    } = await send(async (talk) => {
      const entries = await listen(talk);
      // The start of it is what she says; of the other, she only says so.
      const digest = Buffer.from('00'.repeat(32), 'hex');
      const kept = [{ entry: 3, size: 5, digest }];
      talk.say({ type: 'want', count: 4, skip: [], kept, failed: [] });
      await take(talk, entries);
    });
    expect(outcome.code).toBe(0);
    expect(got).toBe(TEXT + TEXT);
    expect(said.map(({ event }) => event)).toEqual(['saved', 'saved']);
    expect(heard.flatMap(wholeIn)).toEqual([1, 3]);
  });

  test('and never stops to say that it is alive holds up nothing', async () => {
    const { outcome } = await send(async (talk) => {
      const entries = await listen(talk);
      for (let i = 0; i < 50_000; i++) talk.say({ type: 'alive' });
      want(talk, 4);
      await take(talk, entries);
    });
    expect(outcome.code).toBe(0);
  });

  test('is known by the name that Bob gave it, whatever it calls itself', async () => {
    const record = join(bob.state, 'peers', `${eve.id}.json`);
    const name = () => JSON.parse(readFileSync(record, 'utf8')).name;
    const port = await eve.wait(async (talk) => {
      const entries = await listen(talk);
      want(talk, 4);
      await take(talk, entries);
    }, 'Ana\x1b[2J\u202e');
    await using sending = drop(['send', '--json', '--to', `127.0.0.1:${port}`, 'tree'], {
      home: bob,
    });
    const { code, stdout } = await sending.outcome();
    expect(code).toBe(0);
    expect(stdout).not.toContain('Ana');
    expect(name()).toBe('Eve');
  });

  describe('is never sent', () => {
    const path = (name: string): string => join(bob.path, name);
    const secretly = (name: string): void => {
      rmSync(path(name), { recursive: true });
      symlinkSync(path('secret'), path(name));
    };

    test('what lies outside, where a link leads there, nor what is no file', async () => {
      symlinkSync('../secret', path('tree/out'));
      symlinkSync(path('.ssh'), path('tree/away'));
      symlinkSync('d', path('tree/inside'));
      execFileSync('mkfifo', [path('tree/pipe')]);
      const {
        outcome,
        got,
        all: heard,
      } = await send(async (talk) => {
        const entries = await listen(talk);
        want(talk, entries.length);
        await take(talk, entries);
      });
      expect([outcome.code, got]).toEqual([0, TEXT + TEXT]);
      const offered = heard.flatMap((one) => (one.type === 'offer' ? one.entries : []));
      expect(offered.map(({ kind, path: name }) => `${kind} ${name}`)).toEqual([
        ...['folder tree', 'file tree/a', 'folder tree/d', 'file tree/d/b', 'link tree/inside'],
      ]);
    });

    // Each is made between the offer and the answer, which is as late as she likes.
    test.each<[string, () => void]>([
      ['a link to it', () => secretly('tree/a')],
      [
        'a pipe',
        () => {
          rmSync(path('tree/a'));
          execFileSync('mkfifo', [path('tree/a')]);
        },
      ],
      [
        'a folder',
        () => {
          rmSync(path('tree/a'));
          mkdirSync(path('tree/a'));
        },
      ],
      ['shorter', () => truncateSync(path('tree/a'), 3)],
      ['longer', () => writeFileSync(path('tree/a'), TEXT + SECRET)],
      ['another file', () => writeFileSync(path('tree/a'), SECRET.slice(0, TEXT.length))],
    ])('a file that became %s', async (_, change) => {
      const { outcome, got, said } = await send(async (talk) => {
        const entries = await listen(talk);
        change();
        talk.utter(KIND.compare, u32(1));
        expect((await talk.hear('digest')).digest).toBeNull();
        want(talk, entries.length);
        await talk.hear('failed');
        talk.say({ type: 'failed', entry: 1, code: 'changed' });
        talk.say({ type: 'stored', entries: wholeIn(await talk.hear('end', 'files')) });
        await talk.hear('done');
        talk.say({ type: 'complete', missed: 0 });
        await talk.end();
      });
      expect(outcome.code).toBe(5);
      expect(got).toBe(TEXT);
      expect(said).toMatchObject([
        { event: 'error', code: 'changed', path: 'tree/a' },
        { event: 'saved', path: 'tree/d/b' },
      ]);
    });

    test('a file in a folder that became a link, though it looks the same', async () => {
      mkdirSync(path('private'));
      writeFileSync(path('private/b'), SECRET.slice(0, TEXT.length));
      utimesSync(path('private/b'), 1e9, 1e9);
      const { outcome, got } = await send(async (talk) => {
        const entries = await listen(talk);
        renameSync(path('tree/d'), path('tree/moved'));
        symlinkSync(path('private'), path('tree/d'));
        talk.utter(KIND.compare, u32(3));
        expect((await talk.hear('digest')).digest).toBeNull();
        want(talk, entries.length);
        talk.say({ type: 'stored', entries: wholeIn(await talk.hear('end', 'files')) });
        await talk.hear('failed');
        talk.say({ type: 'failed', entry: 3, code: 'changed' });
        await talk.hear('done');
        talk.say({ type: 'complete', missed: 0 });
        await talk.end();
      });
      expect([outcome.code, got]).toEqual([5, TEXT]);
    });
  });

  describeWith(['faketime'], 'and takes nothing', () => {
    test('of what it wanted, is left after two minutes', async () => {
      writeFileSync(join(bob.path, 'large'), '');
      truncateSync(join(bob.path, 'large'), 64 * 1024 ** 2);
      const clock = new FakeTime(bob.path);
      const act = async (talk: Talk): Promise<void> => {
        await listen(talk);
        want(talk, 1);
        talk.deafen();
        eve.shut();
        // All the while she says that she is alive: less passes at once than silence is borne.
        const passing = setInterval(() => clock.pass(4), 200);
        await talk.end().finally(() => clearInterval(passing));
      };
      const { outcome, said } = await send(act, ['large'], clock.env);
      expect(outcome.code).toBe(5);
      expect(said).toMatchObject([{ event: 'error', code: 'disconnected' }]);
    });
  });
});
