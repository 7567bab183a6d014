import { describe, expect, test } from 'vitest';
import { DropError } from '../../src/errors.ts';
import { MAX_OPEN_ENTRIES, MAX_PAUSES, MAX_ROOT_UNITS, MAX_ROOTS } from '../../src/limits.ts';
import { concat } from '../../src/protocol/bytes.ts';
import type { Part } from '../../src/protocol/card.ts';
import type { Entry } from '../../src/protocol/manifest.ts';
import { encode, type Message, type SmallFile } from '../../src/protocol/message.ts';
import { agree, Session } from '../../src/protocol/session.ts';

const hello: Message = { type: 'hello', newest: 1, oldest: 1, intent: 'send', knows: true };
const look: Message = { ...hello, intent: 'look' };
const get: Message = { ...hello, intent: 'get' };
const peek: Message = { ...hello, intent: 'peek' };
const known: Message = { type: 'welcome', newest: 1, oldest: 1, terms: 'known', epoch: 0 };
const code: Message = { ...known, terms: 'code' };
const share: Message = { type: 'share', epoch: 0, point: new Uint8Array(32) };
const confirm: Message = { type: 'confirm', tag: new Uint8Array(64) };
const here: Message = {
  type: 'here',
  card: { part: 'announcer', way: 'send', run: '0123456789abcdef', name: 'Ana' },
};
const intro: Message = { type: 'intro', name: 'x' };
const introAgain: Message = { ...intro, continues: '0'.repeat(32) };
const begin: Message = { type: 'begin', continues: null, checksum: false, digests: ['sha256'] };
const continues: Message = {
  type: 'begin',
  continues: '0'.repeat(32),
  checksum: false,
  digests: ['sha256'],
};
const beginBest: Message = { ...begin, digests: ['later', 'blake3', 'sha256'] };
const begun: Message = {
  type: 'begun',
  transfer: '0'.repeat(32),
  digest: 'sha256',
  codecs: ['brotli'],
};
const begunBest: Message = { ...begun, digest: 'blake3' };
const roots: Message = { type: 'roots', names: ['a', 'b'], final: true };
const moreRoots: Message = { type: 'roots', names: ['c'], final: false };
const file = (path: string, size: number): Entry => ({ kind: 'file', path, size, mtime: 0 });
const folder: Entry = { kind: 'folder', path: 'a', mtime: 0 };
const offer: Message = {
  type: 'offer',
  entries: [folder, file('a/x', 4), file('b', 0)],
  files: 2,
  bytes: 4,
  final: true,
};
const offerStream: Message = {
  type: 'offer',
  entries: [{ kind: 'stream', path: 'a' }, file('b', 1)],
  files: 2,
  bytes: 1,
  final: true,
};
const nothing: Message = { type: 'offer', entries: [], files: 0, bytes: 0, final: true };
const accept: Message = { type: 'accept' };
const want: Message = { type: 'want', count: 3, skip: [], kept: [], failed: [] };
const kept = (entry: number, size: number, count = 3): Message => ({
  ...want,
  count,
  kept: [{ entry, size, digest: new Uint8Array(32) }],
});
const wantStream: Message = { ...want, count: 2 };
const compare = (entry: number): Message => ({ type: 'compare', entry });
const digest = (entry: number): Message => ({
  type: 'digest',
  entry,
  digest: new Uint8Array(32),
});
const unreadable = (entry: number): Message => ({ type: 'digest', entry, digest: null });
const arrived = (entry: number, offset: number): Message => ({ type: 'arrived', entry, offset });
const chunk = (entry: number, offset: number, length: number): Message => ({
  type: 'chunk',
  entry,
  offset,
  bytes: new Uint8Array(length),
});
const packed = (entry: number, offset: number, size: number, codec = 0): Message => ({
  type: 'packed',
  entry,
  offset,
  size,
  codec,
  bytes: new Uint8Array(1),
});
const end = (entry: number): Message => ({ type: 'end', entry, digest: new Uint8Array(32) });
const stored = (...entries: number[]): Message => ({ type: 'stored', entries });
const failed = (entry: number): Message => ({ type: 'failed', entry, code: 'changed' });
const done: Message = { type: 'done' };
const complete: Message = { type: 'complete', missed: 0 };
const small = (entry: number, length: number): SmallFile => ({
  entry,
  digest: new Uint8Array(32),
  bytes: new Uint8Array(length),
});
const files = (...all: SmallFile[]): Message => ({ type: 'files', files: all });
const whole = (entry: number, length: number): Message => files(small(entry, length));
const dial: Message = { type: 'dial', port: 40001 };
const moved: Message = { type: 'moved' };
const pause: Message = { type: 'pause' };
const resume: Message = { type: 'resume' };
const alive: Message = { type: 'alive' };
const cancel: Message = { type: 'cancel', code: 'declined' };

type Line = readonly [Part, Message];
const c = (...messages: Message[]): Line[] => messages.map((message) => ['chooser', message]);
const a = (...messages: Message[]): Line[] => messages.map((message) => ['announcer', message]);

/** Plays a conversation to both ends, each saying its lines and hearing the other's. */
function play(lines: readonly Line[]): { chooser: Session; announcer: Session } {
  const chooser = new Session('chooser');
  const announcer = new Session('announcer');
  for (const [part, message] of lines) {
    const [speaker, hearer] = part === 'chooser' ? [chooser, announcer] : [announcer, chooser];
    const bytes = concat(...speaker.say(message));
    expect([...hearer.hear(bytes)]).toHaveLength(1);
  }
  return { chooser, announcer };
}

const greeted = [...c(hello), ...a(known)];
const peeking = [...c(peek), ...a(known), ...c(intro), ...a(intro)];
const named = [...greeted, ...c(intro), ...a(intro)];
const beginning = [...named, ...c(begin), ...a(begun)];
const continuing = [...named, ...c(continues)];
const accepted = [...beginning, ...c(roots, offer), ...a(accept)];
const wanted = [...accepted, ...a(want)];
const sent = [...wanted, ...c(chunk(1, 0, 3), chunk(1, 3, 1), end(1), end(2))];
const streamed = [...beginning, ...c(roots, offerStream), ...a(accept)];
/** As `accepted`, but whoever chose gets, and the other one sends. */
const chosen = [
  ...c(get),
  ...a(known),
  ...c(intro),
  ...a(intro, begin),
  ...c(begun),
  ...a(roots, offer),
  ...c(accept),
];
const unwanted = (...entries: number[]): Message => ({
  ...want,
  skip: entries.map((entry) => ({ entry, reason: 'unwanted' })),
});
/** Before an offer, and as `wanted`, in the version that knows of pauses. */
const newer = [
  ...c({ ...hello, newest: 2 } as Message),
  ...a({ ...known, newest: 2 } as Message),
  ...c(intro),
  ...a(intro),
  ...c(begin),
  ...a(begun),
  ...c(roots),
];
const pausable = [...newer, ...c(offer), ...a(accept, want)];
const flowing = [...streamed, ...a(wantStream), ...c(chunk(0, 0, 5))];

describe('a conversation that is allowed', () => {
  test.each<[string, Line[]]>([
    ['a look', [...c(look), ...a(code)]],
    ['a look at what is shared', [...peeking, ...a(begin, roots, offer), ...c(cancel)]],
    ['one at what is shared with others', [...c(peek), ...a(code)]],
    [
      'a fetch that goes on',
      [...c(get), ...a(known), ...c(introAgain), ...a(intro, continues), ...c(begun)],
    ],
    ['two that know each other', [...sent, ...a(stored(1), stored(2)), ...c(done), ...a(complete)]],
    ['stored in another order', [...sent, ...a(stored(2), stored(1)), ...c(done), ...a(complete)]],
    ['done before all is stored', [...sent, ...c(done), ...a(stored(1), stored(2), complete)]],
    [
      'a code',
      [...c(hello), ...a(code), ...c(share), ...a(share), ...c(confirm), ...a(confirm, intro)],
    ],
    ['roots in two messages', [...beginning, ...c(moreRoots, roots, offer)]],
    ['an offer that waits for nothing', [...greeted, ...c(intro, begin, roots, offer)]],
    [
      'a beginning that is answered late',
      [...named, ...c(begin, roots, offer), ...a(begun, accept)],
    ],
    ['BLAKE3', [...named, ...c(beginBest), ...a(begunBest), ...c(roots)]],
    ['SHA-256 where others were offered', [...named, ...c(beginBest), ...a(begun), ...c(roots)]],
    ['one that goes on', [...continuing, ...a(begun), ...c(roots), ...a(accept), ...c(offer)]],
    [
      'a file that is packed in part',
      [...wanted, ...c(packed(1, 0, 2), chunk(1, 2, 1), packed(1, 3, 1), end(1))],
    ],
    ['a file that goes on', [...accepted, ...a(kept(1, 3)), ...c(chunk(1, 3, 1), end(1))]],
    ['a file that is there as a whole', [...accepted, ...a(kept(1, 4)), ...c(end(1), end(2))]],
    ['a file that starts over', [...accepted, ...a(kept(1, 3)), ...c(chunk(1, 0, 4), end(1))]],
    [
      'files that are compared first',
      [...accepted, ...a(compare(2), compare(1)), ...c(unreadable(2), digest(1)), ...a(want)],
    ],
    [
      'one that is compared while others are sent',
      [
        ...accepted,
        ...a({ ...want, count: 2 }, compare(2)),
        ...c(chunk(1, 0, 4), digest(2), end(1)),
        ...a({ ...want, count: 1 }),
        ...c(end(2), done),
      ],
    ],
    [
      'a stream, of which nobody knew how much it would be',
      [
        ...flowing,
        ...a(arrived(0, 2), arrived(0, 5)),
        ...c(chunk(0, 5, 1), end(0)),
        ...a(arrived(0, 6), stored(0)),
        ...c(chunk(1, 0, 1), end(1), done),
      ],
    ],
    ['an empty stream', [...streamed, ...a(wantStream), ...c(end(0)), ...a(stored(0))]],
    [
      'a stream that goes on',
      [...streamed, ...a(kept(0, 1000, 2), arrived(0, 1000)), ...c(chunk(0, 1000, 1), end(0))],
    ],
    [
      'a stream that was stored already, or is given up',
      [
        ...streamed,
        ...a({ ...wantStream, skip: [{ entry: 0, reason: 'stored' }] }),
        ...c(chunk(1, 0, 1), end(1), done),
      ],
    ],
    ['a stream that nobody can read on', [...flowing, ...c(failed(0)), ...a(failed(0))]],
    ['a stream for which there is no room', [...flowing, ...a(failed(0)), ...c(failed(0))]],
    [
      'what was settled before the connection broke',
      [
        ...continuing,
        ...a(begun),
        ...c(roots),
        ...a(accept),
        ...c(offer),
        ...a({
          ...want,
          skip: [{ entry: 1, reason: 'stored' }],
          failed: [{ entry: 2, code: 'disk' }],
        }),
        ...c(done),
        ...a(complete),
      ],
    ],
    [
      'files that are not wanted',
      [
        ...accepted,
        ...a({
          ...want,
          skip: [{ entry: 1, reason: 'unchanged' }],
          failed: [{ entry: 2, code: 'exists' }],
        }),
        ...c(done),
        ...a(complete),
      ],
    ],
    [
      'a part, to whoever chose it',
      [...chosen, ...c(unwanted(1)), ...a(end(2)), ...c(stored(2)), ...a(done), ...c(complete)],
    ],
    ['nothing of it, to whoever chose it', [...chosen, ...c(unwanted(1, 2)), ...a(done)]],
    ['small files, each at once', [...wanted, ...c(whole(1, 4), whole(2, 0), done)]],
    [
      'small files together, and stored together',
      [...wanted, ...c(files(small(1, 4), small(2, 0)), done), ...a(stored(2, 1), complete)],
    ],
    [
      'small files together of which one is given up',
      [...wanted, ...a(failed(1)), ...c(files(small(1, 4), small(2, 0))), ...a(stored(2))],
    ],
    [
      'one in pieces, the next at once, and the other way round',
      [...wanted, ...c(chunk(1, 0, 4), end(1), whole(2, 0)), ...a(stored(2), stored(1))],
    ],
    ['a file at once where nothing was kept', [...accepted, ...a(kept(1, 0)), ...c(whole(1, 4))]],
    [
      'a file at once that was given up',
      [...wanted, ...a(failed(1)), ...c(whole(1, 4), whole(2, 0), done)],
    ],
    [
      'a transfer that moves',
      [
        ...accepted,
        ...c(dial),
        ...a(want),
        ...c(chunk(1, 0, 3), moved, alive, chunk(1, 3, 1)),
        ...a(alive, moved),
        ...c(end(1), end(2)),
        ...a(stored(1), stored(2)),
        ...c(done),
        ...a(complete),
      ],
    ],
    [
      'pauses of both, each by itself, with what was on its way',
      [
        ...pausable,
        ...c(chunk(1, 0, 1)),
        ...a(pause, alive),
        ...c(chunk(1, 1, 3), pause, alive),
        ...a(resume),
        ...c(resume, end(1)),
        ...a(pause, resume, pause),
        ...c(pause, resume, end(2)),
        ...a(stored(1, 2)),
        ...c(done),
        ...a(complete),
      ],
    ],
    ['a pause before all is offered', [...newer, ...a(accept, pause), ...c(pause, offer)]],
    ['a pause that is too late', [...pausable, ...c(whole(1, 4), whole(2, 0), done), ...a(pause)]],
    ['one that moves after the sender is done', [...sent, ...c(dial, moved, done), ...a(moved)]],
    ['one that cannot move', [...wanted, ...c(dial, chunk(1, 0, 4), end(1), end(2), done)]],
    [
      'both give a file up',
      [...wanted, ...c(chunk(1, 0, 1)), ...a(failed(1)), ...c(chunk(1, 1, 1), failed(1), end(2))],
    ],
    [
      'nothing at all',
      [...beginning, ...c(roots, nothing), ...a(accept), ...c(done), ...a(complete)],
    ],
    ['an announcer that dialled', [...a(here), ...c(hello), ...a(known), ...c(intro)]],
    [
      'life signs while it waits, and one that crosses the hello',
      [...a(here, alive), ...c(alive), ...a(alive), ...c(hello), ...a(alive), ...a(code)],
    ],
    ['life signs', [...greeted, ...c(alive), ...a(alive), ...c(intro, alive)]],
    ['a cancel at the door', [...c(hello), ...a(cancel)]],
    ['a cancel in the middle', [...wanted, ...c(chunk(1, 0, 1)), ...a(cancel)]],
  ])('%s', (_, lines) => {
    // What is settled is counted no more.
    for (const { open, openUnits } of Object.values(play(lines)))
      expect(openUnits > 0).toBe(open > 0);
  });

  test('is over only with the last word', () => {
    const almost = [...sent, ...a(stored(1), stored(2)), ...c(done)];
    expect(play(almost).chooser.over).toBe(false);
    const { chooser, announcer } = play([...almost, ...a(complete)]);
    expect([chooser.over, announcer.over]).toEqual([true, true]);
  });

  test('lets whoever chose receive, too', () => {
    const { chooser, announcer } = play([
      ...c(get),
      ...a(known),
      ...c(intro),
      ...a(intro, begin, roots, offer),
      ...c(begun, accept, want),
    ]);
    expect([chooser.role, announcer.role]).toEqual(['receiver', 'sender']);
  });
});

describe('a conversation that is not allowed, whoever says it', () => {
  test.each<[string, Line[], Line[]]>([
    ['the announcer first', [], a(known)],
    ['a transfer before the greeting', [], c(intro)],
    ['a life sign from a stranger', [], c(alive)],
    ['life signs before a greeting that nobody waits for', [], c(alive)],
    ['a chooser that is here', [], c(here)],
    ['twice here', a(here), a(here)],
    ['here after hello', c(hello), a(here)],
    ['here after the greeting', greeted, a(here)],
    ['life signs in the midst of the greeting', [...a(here), ...c(hello), ...a(code)], c(alive)],
    ['two hellos', c(hello), c(hello)],
    ['a yes to what was only looked at', [...peeking, ...a(begin, roots, offer)], c(begun)],
    ['a code for what was only looked at', [...c(peek), ...a(code)], c(share)],
    ['a sender that goes on by its name', greeted, c(introAgain)],
    ['an announcer that goes on by its name', [...c(get), ...a(known)], a(introAgain)],
    ['a look that goes on', [...c(peek), ...a(known)], c(introAgain)],
    ['an offer before the code is proven', [...c(hello), ...a(code)], c(intro)],
    ['a share where none is due', greeted, c(share)],
    [
      'the announcer confirms first',
      [...c(hello), ...a(code), ...c(share), ...a(share)],
      a(confirm),
    ],
    ['more after a look', [...c(look), ...a(code)], c(share)],
    ['a beginning before the name', greeted, c(begin)],
    ['two beginnings', [...named, ...c(begin)], c(begin)],
    ['a beginning by the receiver', named, a(begin)],
    ['a transfer named before it begins', named, a(begun)],
    ['a transfer named before either name', greeted, a(begun)],
    ['a transfer named by the sender', [...named, ...c(begin)], c(begun)],
    ['a transfer named twice', beginning, a(begun)],
    ['a digest that was not offered', [...named, ...c(begin)], a(begunBest)],
    ['a digest that was not offered to go on', continuing, a(begunBest)],
    ['roots before the name', greeted, c(roots)],
    ['roots before it begins', named, c(roots)],
    ['roots before it is known what goes on', continuing, c(roots)],
    ['an offer before the roots', beginning, c(offer)],
    ['a root twice', beginning, c({ type: 'roots', names: ['a', 'a'], final: true })],
    ['roots after the last', [...beginning, ...c(roots)], c(moreRoots)],
    ['an offer after the last', accepted, c(offer)],
    [
      'an entry outside the roots',
      [...beginning, ...c(roots)],
      c({ ...offer, entries: [file('c', 4), file('a/x', 0)] }),
    ],
    ['totals that do not add up', [...beginning, ...c(roots)], c({ ...offer, bytes: 5 })],
    [
      'more bytes than anybody can count',
      [...beginning, ...c(roots)],
      c({
        ...offer,
        entries: [file('a', Number.MAX_SAFE_INTEGER), file('b', 1)],
        bytes: Number.MAX_SAFE_INTEGER + 1,
      }),
    ],
    ['a stream that is no file', [...beginning, ...c(roots)], c({ ...offerStream, files: 1 })],
    ['an answer before the roots', beginning, a(accept)],
    ['an answer before all roots', [...beginning, ...c(moreRoots)], a(accept)],
    ['an answer before it begins', [...named, ...c(begin, roots, offer)], a(accept)],
    ['two answers', accepted, a(accept)],
    ['wanting before accepting', [...beginning, ...c(roots, offer)], a(want)],
    ['wanting more than is offered', accepted, a({ ...want, count: 4 })],
    ['keeping more than there is', accepted, a(kept(1, 5))],
    ['keeping a folder', accepted, a(kept(0, 0))],
    [
      'keeping two starts of one file',
      accepted,
      a({ ...want, kept: [1, 2].map((size) => ({ entry: 1, size, digest: new Uint8Array(32) })) }),
    ],
    [
      'deciding on what is not due',
      accepted,
      a({ ...want, count: 1, skip: [{ entry: 1, reason: 'conflict' }] }),
    ],
    ['giving up before deciding', accepted, a(failed(1))],
    ['giving up twice', [...wanted, ...a(failed(1))], a(failed(1))],
    ['skipping a folder', accepted, a({ ...want, skip: [{ entry: 0, reason: 'stored' }] })],
    ['wanting a part of what it did not choose', accepted, a(unwanted(1))],
    ['not wanting a folder', chosen, c(unwanted(0))],
    ['sending what is not wanted', [...chosen, ...c(unwanted(1))], a(chunk(1, 0, 1))],
    ['comparing before accepting', [...beginning, ...c(roots, offer)], a(compare(1))],
    ['comparing twice', [...accepted, ...a(compare(1))], a(compare(1))],
    ['comparing again', [...accepted, ...a(compare(1)), ...c(digest(1))], a(compare(1))],
    ['comparing a folder', accepted, a(compare(0))],
    ['comparing a stream', streamed, a(compare(0))],
    ['comparing what was never offered', accepted, a(compare(3))],
    ['comparing what is wanted', wanted, a(compare(1))],
    [
      'comparing what is settled',
      [...accepted, ...a({ ...want, skip: [{ entry: 1, reason: 'identical' }] })],
      a(compare(1)),
    ],
    ['comparing by the sender', accepted, c(compare(1))],
    ['a digest that nobody asked for', accepted, c(digest(1))],
    ['a digest of another file', [...accepted, ...a(compare(1))], c(digest(2))],
    ['a digest twice', [...accepted, ...a(compare(1)), ...c(digest(1))], c(unreadable(1))],
    ['a digest by the receiver', [...accepted, ...a(compare(1))], a(digest(1))],
    ['wanting before the digest', [...accepted, ...a(compare(2))], a(want)],
    ['keeping before the digest', [...accepted, ...a(compare(1))], a(kept(1, 3, 2))],
    [
      'skipping before the digest',
      [...accepted, ...a(compare(1))],
      a({ ...want, skip: [{ entry: 1, reason: 'identical' }] }),
    ],
    [
      'giving up before the digest',
      [...accepted, ...a(compare(1))],
      a({ ...want, failed: [{ entry: 1, code: 'disk' }] }),
    ],
    [
      'two decisions on one file',
      accepted,
      a({
        ...want,
        skip: [
          { entry: 1, reason: 'identical' },
          { entry: 1, reason: 'identical' },
        ],
      }),
    ],
    ['data before it is wanted', accepted, c(chunk(1, 0, 1))],
    ['data of a folder', wanted, c(chunk(0, 0, 1))],
    ['data of what was never offered', wanted, c(chunk(7, 0, 1))],
    ['data that leaves a gap', wanted, c(chunk(1, 1, 1))],
    ['data again', [...wanted, ...c(chunk(1, 0, 1))], c(chunk(1, 0, 1))],
    ['more bytes than offered', wanted, c(chunk(1, 0, 5))],
    ['fewer bytes than offered', [...wanted, ...c(chunk(1, 0, 3))], c(end(1))],
    ['packed data before it is wanted', accepted, c(packed(1, 0, 1))],
    ['packed data that leaves a gap', wanted, c(packed(1, 1, 1))],
    ['more packed bytes than offered', wanted, c(packed(1, 0, 5))],
    ['fewer packed bytes than offered', [...wanted, ...c(packed(1, 0, 3))], c(end(1))],
    ['data packed by what nobody named', wanted, c(packed(1, 0, 1, 1))],
    ['packed data from the receiver', wanted, a(packed(1, 0, 1))],
    ['another file in between', [...wanted, ...c(chunk(1, 0, 1))], c(end(2))],
    ['a file twice', sent, c(end(1))],
    ['a file that was skipped over', [...wanted, ...c(end(2))], c(chunk(1, 0, 1))],
    ['data of a stream that leaves a gap', flowing, c(chunk(0, 6, 1))],
    ['data of a stream after its end', [...flowing, ...c(end(0))], c(chunk(0, 5, 1))],
    ['a file in the middle of a stream', flowing, c(chunk(1, 0, 1))],
    ['arrived of a file', [...wanted, ...c(chunk(1, 0, 3))], a(arrived(1, 1))],
    ['arrived before it is wanted', streamed, a(arrived(0, 1))],
    ['arrived of nothing', flowing, a(arrived(0, 0))],
    ['arrived more than was sent', flowing, a(arrived(0, 6))],
    ['arrived twice', [...flowing, ...a(arrived(0, 3))], a(arrived(0, 3))],
    ['arrived backwards', [...flowing, ...a(arrived(0, 3))], a(arrived(0, 2))],
    ['arrived after it was stored', [...flowing, ...c(end(0)), ...a(stored(0))], a(arrived(0, 5))],
    ['arrived after it was given up', [...flowing, ...a(failed(0))], a(arrived(0, 5))],
    ['arrived by the sender', flowing, c(arrived(0, 5))],
    ['stored before it was sent', wanted, a(stored(1))],
    ['a stream that is stored before its end', flowing, a(stored(0))],
    ['stored twice', [...sent, ...a(stored(1))], a(stored(1))],
    ['stored twice at once', sent, a(stored(1, 1))],
    ['stored with one that was not sent', [...wanted, ...c(whole(1, 4))], a(stored(1, 2))],
    ['stored with one that failed', [...sent, ...a(failed(1))], a(stored(2, 1))],
    ['stored with a folder', sent, a(stored(0, 1))],
    ['stored with what was never offered', sent, a(stored(1, 2, 3))],
    ['stored and failed', [...sent, ...a(stored(1))], a(failed(1))],
    ['stored by the sender', sent, c(stored(1))],
    ['a small file that is longer', wanted, c(whole(1, 5))],
    ['a small file that is shorter', wanted, c(whole(1, 3))],
    ['a small file of which some was kept', [...accepted, ...a(kept(1, 3))], c(whole(1, 4))],
    ['a small file that was kept as a whole', [...accepted, ...a(kept(1, 4))], c(whole(1, 4))],
    ['a small file that has begun', [...wanted, ...c(chunk(1, 0, 1))], c(whole(1, 4))],
    ['a small file in the middle of another', [...wanted, ...c(chunk(1, 0, 1))], c(whole(2, 0))],
    ['a small file that is sent', [...wanted, ...c(whole(1, 4))], c(whole(1, 4))],
    ['a small file that was skipped over', [...wanted, ...c(whole(2, 0))], c(whole(1, 4))],
    ['small files out of order', wanted, c(files(small(2, 0), small(1, 4)))],
    ['one small file twice', wanted, c(files(small(1, 4), small(1, 4)))],
    ['small files of which one is longer', wanted, c(files(small(1, 4), small(2, 1)))],
    [
      'small files of which one was sent',
      [...wanted, ...c(whole(1, 4))],
      c(files(small(1, 4), small(2, 0))),
    ],
    ['small files of which one was never offered', wanted, c(files(small(1, 4), small(3, 0)))],
    [
      'small files of which one is not wanted',
      [...accepted, ...a({ ...want, skip: [{ entry: 2, reason: 'identical' }] })],
      c(files(small(1, 4), small(2, 0))),
    ],
    ['the end of a small file', [...wanted, ...c(whole(1, 4))], c(end(1))],
    ['a small file that is not decided', accepted, c(whole(1, 4))],
    [
      'a small file that is not wanted',
      [...accepted, ...a({ ...want, skip: [{ entry: 1, reason: 'identical' }] })],
      c(whole(1, 4)),
    ],
    ['a small file that is a folder', wanted, c(whole(0, 0))],
    ['a small file that is a stream', [...streamed, ...a(wantStream)], c(whole(0, 5))],
    ['a small file that was never offered', wanted, c(whole(3, 0))],
    ['a small file by the receiver', wanted, a(whole(1, 4))],
    ['a small file before the greeting is over', [...c(hello), ...a(code)], c(whole(1, 4))],
    ['a small file before the answer', [...beginning, ...c(roots, offer)], c(whole(1, 4))],
    ['a small file after all is done', [...sent, ...c(done)], c(whole(1, 4))],
    ['to be dialled before the greeting', [], c(dial)],
    ['to be dialled before the answer', [...beginning, ...c(roots, offer)], c(dial)],
    ['to be dialled twice', [...wanted, ...c(dial)], c(dial)],
    ['to be dialled after it moved', [...wanted, ...c(dial, moved)], c(dial)],
    ['to be dialled after all is done', [...sent, ...c(done)], c(dial)],
    ['to be dialled by the receiver', wanted, a(dial)],
    ['to move without being dialled', wanted, c(moved)],
    ['to move before the greeting', [], c(moved)],
    ['to move twice', [...wanted, ...c(dial, moved)], c(moved)],
    ['to move again', [...wanted, ...c(dial, moved), ...a(moved)], c(moved)],
    ['to move after all is done', [...sent, ...c(dial, done)], c(moved)],
    ['the receiver moves first', [...wanted, ...c(dial)], a(moved)],
    ['the receiver moves alone', wanted, a(moved)],
    ['the receiver moves twice', [...wanted, ...c(dial, moved), ...a(moved)], a(moved)],
    ['a pause before the greeting', [], c(pause)],
    ['a pause before the roots', newer.slice(0, -1), c(pause)],
    ['a pause before the answer', newer, c(pause)],
    ['a pause instead of the answer', newer, a(pause)],
    ['a pause in a pause', [...pausable, ...c(pause)], c(pause)],
    ['a pause of the receiver in a pause', [...pausable, ...a(pause)], a(pause)],
    ['to go on without a pause', pausable, a(resume)],
    ['to go on after the pause of the other one', [...pausable, ...a(pause)], c(resume)],
    ['to go on twice', [...pausable, ...c(pause, resume)], c(resume)],
    ['to be done in a pause', [...pausable, ...c(whole(1, 4), whole(2, 0)), ...c(pause)], c(done)],
    ['a pause after all is done', [...pausable, ...c(whole(1, 4), whole(2, 0), done)], c(pause)],
    [
      'a pause too many',
      [...pausable, ...Array.from({ length: MAX_PAUSES }, () => c(pause, resume)).flat()],
      c(pause),
    ],
    ['data from the receiver', wanted, a(chunk(1, 0, 1))],
    ['done before all is sent', wanted, c(done)],
    ['done before the answer', [...beginning, ...c(roots, nothing)], c(done)],
    ['complete before all is settled', [...sent, ...c(done)], a(complete)],
    ['complete before it is done', [...sent, ...a(stored(1), stored(2))], a(complete)],
    ['anything after the end', [...greeted, ...c(cancel)], c(intro)],
  ])('%s', (_, before, [wrong]) => {
    const [part, message] = wrong as Line;
    // Said by us, it is our own bug; heard from a peer, it is the peer's.
    expect(() => play(before)[part].say(message)).toThrow(DropError);
    const hearer = play(before)[part === 'chooser' ? 'announcer' : 'chooser'];
    expect(() => [...hearer.hear(concat(...encode(message)))]).toThrow(
      expect.objectContaining({ code: 'protocol' }),
    );
  });
});

test('what is open is bounded, whatever is offered', () => {
  const { chooser } = play([...beginning, ...c({ type: 'roots', names: ['a'], final: true })]);
  let offered = 0;
  const more = (): Uint8Array[] => {
    const entries = Array.from({ length: 256 }, () => file('a', 1));
    offered += 256;
    return chooser.say({ type: 'offer', entries, files: offered, bytes: offered, final: false });
  };
  while (offered < MAX_OPEN_ENTRIES) more();
  expect(chooser.open).toBe(MAX_OPEN_ENTRIES);
  expect(chooser.openUnits).toBe(MAX_OPEN_ENTRIES * 'a'.length);
  expect(more).toThrow(DropError);
});

test.each([
  ['of many', (i: number): string => `${i}`, MAX_ROOTS],
  ['of long ones', (i: number): string => `${i}`.padEnd(1000), Math.floor(MAX_ROOT_UNITS / 1000)],
])('roots are bounded, %s', (_, nameOf, most) => {
  const { chooser } = play(beginning);
  const say = (i: number): Uint8Array[] =>
    chooser.say({ type: 'roots', names: [nameOf(i)], final: false });
  for (let i = 0; i < most; i++) say(i);
  expect(() => say(most)).toThrow(DropError);
});

describe('versions', () => {
  test.each([
    [{ newest: 3, oldest: 2 }, { newest: 5, oldest: 1 }, 3],
    [{ newest: 1, oldest: 1 }, { newest: 1, oldest: 1 }, 1],
  ])('%o and %o speak %i', (ours, theirs, version) => {
    expect(agree(ours, theirs)).toBe(version);
    expect(agree(theirs, ours)).toBe(version);
  });

  test('one that is too old, and one that is too new, are told apart', () => {
    const old = { newest: 1, oldest: 1 };
    const young = { newest: 3, oldest: 2 };
    expect(() => agree(young, old)).toThrow(expect.objectContaining({ code: 'peer-older' }));
    expect(() => agree(old, young)).toThrow(expect.objectContaining({ code: 'peer-newer' }));
  });

  test.each([
    [1, 2],
    [2, 1],
    [1, 1],
  ])('where %i and %i meet, nobody says a message to be shown, or a pause', (theirs, ours) => {
    const { chooser, announcer } = play([
      ['chooser', { ...hello, newest: theirs } as Message],
      ['announcer', { ...known, newest: ours } as Message],
      ['chooser', intro],
      ['announcer', intro],
      ['chooser', begin],
      ['chooser', roots],
    ]);
    expect([chooser.version, announcer.version]).toEqual([1, 1]);
    const text = { ...file('a', 1), text: true } as Entry;
    const message: Message = { type: 'offer', entries: [text], files: 1, bytes: 1, final: true };
    const isBreach = expect.objectContaining({ code: 'protocol' });
    expect(() => chooser.say(message)).toThrow(isBreach);
    expect(() => [...announcer.hear(concat(...encode(message)))]).toThrow(isBreach);

    const paused = play([...wanted, ...c(chunk(1, 0, 1))]);
    for (const end of [paused.chooser, paused.announcer]) {
      expect(end.pausable).toBe(false);
      expect(() => end.say(pause)).toThrow(isBreach);
      expect(() => [...end.hear(concat(...encode(pause)))]).toThrow(isBreach);
    }
  });

  test('a pause can be said while there is something to rest, and not too often', () => {
    const whether = (lines: Line[]): boolean[] => {
      const { chooser, announcer } = play(lines);
      return [chooser.pausable, announcer.pausable];
    };
    expect(whether(newer)).toEqual([false, false]);
    expect(whether(pausable)).toEqual([true, true]);
    const often = Array.from({ length: MAX_PAUSES }, () => a(pause, resume)).flat();
    expect(whether([...pausable, ...often])).toEqual([true, false]);
    const over = [...pausable, ...c(whole(1, 4), whole(2, 0), done)];
    expect(whether(over)).toEqual([false, true]);
    expect(whether([...over, ...a(stored(1, 2), complete)])).toEqual([false, false]);
  });

  test('a greeting of a newer version, which says more, is still understood', () => {
    const longer = new Uint8Array([0, 0, 0, 6, 0x01, 9, 2, 1, 0, 77, 88]);
    expect([...new Session('announcer').hear(longer)]).toEqual([
      { type: 'hello', newest: 9, oldest: 2, intent: 'send', knows: false },
    ]);
  });
});
