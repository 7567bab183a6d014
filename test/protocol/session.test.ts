import { describe, expect, test } from 'vitest';
import { DropError } from '../../src/errors.ts';
import { concat } from '../../src/protocol/bytes.ts';
import { MAX_OPEN_ENTRIES } from '../../src/protocol/limits.ts';
import type { Entry } from '../../src/protocol/manifest.ts';
import { encode, type Message } from '../../src/protocol/message.ts';
import { agree, type Part, Session } from '../../src/protocol/session.ts';

const hello: Message = { type: 'hello', newest: 1, oldest: 1, intent: 'send', knows: true };
const look: Message = { ...hello, intent: 'look' };
const get: Message = { ...hello, intent: 'get' };
const known: Message = { type: 'welcome', newest: 1, oldest: 1, terms: 'known', epoch: 0 };
const code: Message = { ...known, terms: 'code' };
const share: Message = { type: 'share', epoch: 0, point: new Uint8Array(32) };
const confirm: Message = { type: 'confirm', tag: new Uint8Array(64) };
const intro: Message = { type: 'intro', name: 'x' };
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
const accept: Message = { type: 'accept', transfer: '0'.repeat(32) };
const want: Message = { type: 'want', count: 3, skip: [], kept: [], failed: [] };
const chunk = (entry: number, offset: number, length: number): Message => ({
  type: 'chunk',
  entry,
  offset,
  bytes: new Uint8Array(length),
});
const end = (entry: number): Message => ({ type: 'end', entry, digest: new Uint8Array(32) });
const stored = (entry: number): Message => ({ type: 'stored', entry });
const failed = (entry: number): Message => ({ type: 'failed', entry, code: 'changed' });
const done: Message = { type: 'done' };
const complete: Message = { type: 'complete', missed: 0 };
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
const accepted = [...greeted, ...c(intro), ...a(intro), ...c(roots, offer), ...a(accept)];
const wanted = [...accepted, ...a(want)];
const sent = [...wanted, ...c(chunk(1, 0, 3), chunk(1, 3, 1), end(1), end(2))];

describe('a conversation that is allowed', () => {
  test.each<[string, Line[]]>([
    ['a look', [...c(look), ...a(code)]],
    ['two that know each other', [...sent, ...a(stored(1), stored(2)), ...c(done), ...a(complete)]],
    ['stored in another order', [...sent, ...a(stored(2), stored(1)), ...c(done), ...a(complete)]],
    ['done before all is stored', [...sent, ...c(done), ...a(stored(1), stored(2), complete)]],
    [
      'a code',
      [...c(hello), ...a(code), ...c(share), ...a(share), ...c(confirm), ...a(confirm, intro)],
    ],
    ['roots in two messages', [...greeted, ...c(intro, moreRoots, roots, offer)]],
    [
      'a file that goes on',
      [
        ...accepted,
        ...a({ ...want, kept: [{ entry: 1, size: 3, digest: new Uint8Array(32) }] }),
        ...c(chunk(1, 3, 1), end(1)),
      ],
    ],
    [
      'a file that starts over',
      [
        ...accepted,
        ...a({ ...want, kept: [{ entry: 1, size: 3, digest: new Uint8Array(32) }] }),
        ...c(chunk(1, 0, 4), end(1)),
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
      'both give a file up',
      [...wanted, ...c(chunk(1, 0, 1)), ...a(failed(1)), ...c(chunk(1, 1, 1), failed(1), end(2))],
    ],
    ['life signs', [...greeted, ...c(alive), ...a(alive), ...c(intro, alive)]],
    ['a cancel at the door', [...c(hello), ...a(cancel)]],
    ['a cancel in the middle', [...wanted, ...c(chunk(1, 0, 1)), ...a(cancel)]],
  ])('%s', (_, lines) => {
    play(lines);
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
      ...a(intro, roots, offer),
      ...c(accept, want),
    ]);
    expect([chooser.role, announcer.role]).toEqual(['receiver', 'sender']);
  });
});

describe('a conversation that is not allowed, whoever says it', () => {
  test.each<[string, Line[], Line[]]>([
    ['the announcer first', [], a(known)],
    ['a transfer before the greeting', [], c(intro)],
    ['a life sign from a stranger', [], c(alive)],
    ['two hellos', c(hello), c(hello)],
    ['an offer before the code is proven', [...c(hello), ...a(code)], c(intro)],
    ['a share where none is due', greeted, c(share)],
    [
      'the announcer confirms first',
      [...c(hello), ...a(code), ...c(share), ...a(share)],
      a(confirm),
    ],
    ['more after a look', [...c(look), ...a(code)], c(share)],
    ['roots before the name', greeted, c(roots)],
    ['an offer before the roots', [...greeted, ...c(intro)], c(offer)],
    [
      'a root twice',
      [...greeted, ...c(intro)],
      c({ type: 'roots', names: ['a', 'a'], final: true }),
    ],
    ['roots after the last', [...greeted, ...c(intro, roots)], c(moreRoots)],
    ['an offer after the last', accepted, c(offer)],
    [
      'an entry outside the roots',
      [...greeted, ...c(intro, roots)],
      c({ ...offer, entries: [file('c', 4), file('a/x', 0)] }),
    ],
    ['totals that do not add up', [...greeted, ...c(intro, roots)], c({ ...offer, bytes: 5 })],
    ['an answer before the offer', [...greeted, ...a(intro)], a(accept)],
    ['two answers', accepted, a(accept)],
    [
      'wanting before accepting',
      [...greeted, ...c(intro), ...a(intro), ...c(roots, offer)],
      a(want),
    ],
    ['wanting more than is offered', accepted, a({ ...want, count: 4 })],
    [
      'keeping more than there is',
      accepted,
      a({ ...want, kept: [{ entry: 1, size: 5, digest: new Uint8Array(32) }] }),
    ],
    [
      'keeping a folder',
      accepted,
      a({ ...want, kept: [{ entry: 0, size: 0, digest: new Uint8Array(32) }] }),
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
    ['another file in between', [...wanted, ...c(chunk(1, 0, 1))], c(end(2))],
    ['a file twice', sent, c(end(1))],
    ['a file that was skipped over', [...wanted, ...c(end(2))], c(chunk(1, 0, 1))],
    ['stored before it was sent', wanted, a(stored(1))],
    ['stored twice', [...sent, ...a(stored(1))], a(stored(1))],
    ['stored and failed', [...sent, ...a(stored(1))], a(failed(1))],
    ['stored by the sender', sent, c(stored(1))],
    ['data from the receiver', wanted, a(chunk(1, 0, 1))],
    ['done before all is sent', wanted, c(done)],
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
  const { chooser } = play([...greeted, ...c(intro, { type: 'roots', names: ['a'], final: true })]);
  let offered = 0;
  const more = (): Uint8Array[] => {
    const entries = Array.from({ length: 256 }, () => file('a', 1));
    offered += 256;
    return chooser.say({ type: 'offer', entries, files: offered, bytes: offered, final: false });
  };
  while (offered < MAX_OPEN_ENTRIES) more();
  expect(chooser.open).toBe(MAX_OPEN_ENTRIES);
  expect(more).toThrow(DropError);
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

  test('a greeting of a newer version, which says more, is still understood', () => {
    const longer = new Uint8Array([0, 0, 0, 6, 0x01, 9, 2, 1, 0, 77, 88]);
    expect([...new Session('announcer').hear(longer)]).toEqual([
      { type: 'hello', newest: 9, oldest: 2, intent: 'send', knows: false },
    ]);
  });
});
