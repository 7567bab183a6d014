import { posix } from 'node:path';
import fc from 'fast-check';
import { expect } from 'vitest';
import { builtInCodecs } from '../../../src/handover/codecs.ts';
import { MAX_CHUNK, MAX_CONTROL, MAX_GREETING, MAX_PACKED } from '../../../src/limits.ts';
import { concat, utf8, view } from '../../../src/protocol/bytes.ts';
import { decodeCard, encodeCard } from '../../../src/protocol/card.ts';
import { CPace } from '../../../src/protocol/cpace.ts';
import { FrameDecoder, PACKED, PACKED_HEAD, type Piece } from '../../../src/protocol/frame.ts';
import { decodeKnock, encodeKnock } from '../../../src/protocol/knock.ts';

import { type Entry, Roots } from '../../../src/protocol/manifest.ts';
import { decode, encode } from '../../../src/protocol/message.ts';
import { unpackChunk } from '../../../src/transfer/codec.ts';
import { anyCard, anyEntry, anyMessage } from '../../support/messages.ts';
import { mutated } from './bytes.ts';
import { parser } from './target.ts';

/** What one says is made of frames. */
const said = anyMessage.map((message) => concat(...encode(message)));
const several = fc.array(said, { minLength: 1, maxLength: 4 }).map((all) => concat(...all));

/** Bytes, and where the network cuts them. */
const sliced = fc.record({
  bytes: mutated(several),
  cuts: fc.array(fc.nat(400), { maxLength: 4 }),
  greeted: fc.boolean(),
});

function slices(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const ends = [...cuts, bytes.length].sort((a, b) => a - b);
  return ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));
}

const frame = parser({
  name: 'frame',
  input: sliced,
  codes: ['protocol'],
  feed({ bytes, cuts, greeted }) {
    const decoder = new FrameDecoder();
    if (greeted) decoder.greeted();
    let pieces = 0;
    for (const slice of slices(bytes, cuts))
      for (const piece of decoder.push(slice)) {
        pieces++;
        expect(piece.body.length).toBeLessThanOrEqual(mostOf(piece));
      }
    // It does not wait, and keep room, for what is longer than anybody may send.
    const longest = greeted ? PACKED_HEAD + MAX_PACKED : MAX_GREETING;
    if (bytes.length >= 5) expect(view(bytes).getUint32(0)).toBeLessThanOrEqual(longest);
    return pieces > 0;
  },
});

function mostOf(piece: Piece): number {
  if ('head' in piece) return MAX_CHUNK;
  return piece.kind === PACKED ? PACKED_HEAD + MAX_PACKED : MAX_CONTROL;
}

const message = parser({
  name: 'message',
  input: mutated(said),
  codes: ['protocol'],
  feed(bytes) {
    const [kind = 0, ...body] = bytes.subarray(4);
    const head = Uint8Array.from(body.slice(0, 12));
    // A frame's kind and body as they stand, whatever length it claims.
    const piece =
      kind === 0x20 && head.length === 12
        ? { kind: 0x20 as const, head, at: 0, body: Uint8Array.from(body.slice(12)) }
        : { kind, body: Uint8Array.from(body) };
    encode(decode(piece)); // What was understood can be said.
    return true;
  },
});

const HOSTILE_NAMES = ['', '.', '..', '/', 'a\0b', '\ud800', 'a\\..\\b', '~', 'C:', '__proto__'];
const hostileText = fc
  .array(fc.oneof(fc.constantFrom(...HOSTILE_NAMES), fc.string({ maxLength: 8 })), { maxLength: 6 })
  .map((names) => names.join('/'));
const hostileValue = fc.oneof(
  hostileText,
  fc.constantFrom('x'.repeat(1025), 'x/'.repeat(128), '[]', 2 ** 53, -1, 0.5, 1e308, null, true),
  fc.jsonValue({ maxDepth: 3 }),
);

/** An entry of an offer, and what is put in place of some of its fields, or beside them. */
const offered = fc.tuple(
  fc.record({ entry: anyEntry, other: anyEntry }),
  fc.dictionary(
    fc.constantFrom('kind', 'path', 'size', 'mtime', 'mode', 'target', '__proto__', 'more'),
    hostileValue,
    { maxKeys: 2 },
  ),
);

/** A link that is nothing special, but for where it leads. */
const link = fc
  .tuple(fc.nat(2), fc.array(fc.constantFrom('..', '.', 'a', ''), { maxLength: 4 }))
  .map(([depth, names]) => ({
    kind: 'link',
    path: `root${'/a'.repeat(depth)}`,
    target: names.join('/'),
  }));

const OFFER = 0x12;

/** An offer as JSON; what is wrong in it lies in the text, or in what the text says. */
const offer = fc.oneof(
  fc.tuple(fc.array(offered, { maxLength: 4 }), fc.boolean()).map(([list, final]) =>
    utf8(
      JSON.stringify({
        entries: list.map(([{ entry }, wrong]) => Object.assign(structuredClone(entry), wrong)),
        files: list.length,
        bytes: 0,
        final,
      }),
    ),
  ),
  mutated(
    fc
      .array(anyEntry, { maxLength: 4 })
      .map((entries) => utf8(JSON.stringify({ entries, files: 1, bytes: 1, final: true }))),
  ),
  link.map((one) => utf8(JSON.stringify({ entries: [one], files: 0, bytes: 0, final: true }))),
  fc.constant(utf8('['.repeat(60_000))),
);

/** Where a path or a target would lead if it were joined and nothing else. */
function leadsOut({ path, ...entry }: Entry): boolean {
  const there = posix.join('/home/in', path);
  const root = `/home/in/${path.split('/')[0]}`;
  const target = entry.kind === 'link' ? posix.join(there, '..', entry.target) : there;
  return [there, target].some((one) => one !== root && !one.startsWith(`${root}/`));
}

const manifest = parser({
  name: 'manifest',
  input: offer,
  codes: ['protocol'],
  feed(body) {
    const heard = decode({ kind: OFFER, body });
    if (heard.type !== 'offer') throw new Error('An offer is one.');
    for (const entry of heard.entries) expect(leadsOut(entry)).toBe(false);
    return true;
  },
});

const roots = parser({
  name: 'roots',
  input: fc.array(fc.oneof(fc.string({ maxLength: 8 }), hostileText), { maxLength: 4 }),
  codes: ['protocol', 'unsafe-name'],
  feed(names) {
    const roots = new Roots();
    roots.add(names);
    for (const name of names) expect(posix.basename(posix.join('/in', name))).toBe(name);
    return true;
  },
});

const card = parser({
  name: 'card',
  input: mutated(anyCard.map(encodeCard)),
  codes: ['protocol'],
  feed(bytes) {
    const card = decodeCard(bytes);
    if (card === undefined) return false;
    expect(['announcer', 'chooser']).toContain(card.part);
    expect(decodeCard(encodeCard(card))).toEqual(card);
    return true;
  },
});

const knocked = fc
  .record({
    to: fc.oneof(fc.stringMatching(/^[0-9a-f]{16}$/), fc.ipV4(), fc.ipV6()),
    intent: fc.constantFrom('look' as const, 'send' as const, 'get' as const),
    port: fc.integer({ min: 1, max: 65_535 }),
  })
  .map(encodeKnock);

/** The strings of a knock, some of them others, some of them no strings. */
const strings = fc
  .tuple(
    knocked,
    fc.array(
      fc.record({
        at: fc.nat(4),
        text: fc.oneof(
          mutated(knocked.map((all) => utf8(all.join('=')))).map((bytes) => Buffer.from(bytes)),
          fc.constantFrom('__proto__=x', '=', 'port=0', 'port=65536', 'to=', 'v=1=1'),
          fc.string({ maxLength: 20 }),
          fc.anything({ maxDepth: 1, withNullPrototype: false }).filter(isPlain),
        ),
      }),
      { maxLength: 3 },
    ),
  )
  .map(([strings, others]) => {
    const all: unknown[] = [...strings];
    for (const { at, text } of others) all[at] = text;
    return all;
  });

/** What a decoder of packets may hand on: no objects with ways of their own to become text. */
function isPlain(value: unknown): boolean {
  return typeof value !== 'object' && typeof value !== 'symbol';
}

const knock = parser({
  name: 'knock',
  input: strings,
  codes: [],
  feed(strings) {
    const knock = decodeKnock(strings);
    if (knock !== undefined) expect(decodeKnock(encodeKnock(knock))).toEqual(knock);
    return knock !== undefined;
  },
});

const PARTS = {
  secret: utf8('493027'),
  channel: utf8('here'),
  session: utf8('now'),
  initiator: utf8('a'),
  responder: utf8('b'),
};
const ours = new CPace(PARTS, new Uint8Array(32).fill(7));
const share = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((random) => new CPace(PARTS, random).share);
const numbers = fc.constantFrom(0n, 1n, 2n, 2n ** 255n - 19n, 2n ** 255n - 1n, 2n ** 256n - 1n);

/** Points, what is nearly one, and numbers that are none: zero, one, the prime, and beyond it. */
const point = fc.oneof(
  { weight: 3, arbitrary: mutated(share) },
  {
    weight: 1,
    arbitrary: numbers.map((number) =>
      Uint8Array.from({ length: 32 }, (_, at) => Number((number >> BigInt(8 * at)) & 0xffn)),
    ),
  },
  { weight: 1, arbitrary: fc.constant(ours.share) },
);

const cpace = parser({
  name: 'cpace',
  input: point,
  codes: ['unproven'],
  feed(theirs) {
    expect(ours.finish('responder', theirs).isk).not.toEqual(new Uint8Array(64));
    expect(theirs.some((byte) => byte !== 0)).toBe(true);
    return true;
  },
});

const codecs = builtInCodecs();

/** What compresses well, and what is small, packed by any of our codecs; and the size that is claimed. */
const packed = fc
  .tuple(
    fc.nat(codecs.length - 1),
    fc.nat(2),
    fc.uint8Array({ minLength: 1, maxLength: 64 }),
    fc.integer({ min: 1, max: 400 }),
  )
  .chain(([codec, quality, piece, times]) => {
    const whole = concat(...Array.from({ length: times }, () => piece)).subarray(0, AT_ONCE);
    const bytes = codecs[codec]?.pack(whole, quality);
    if (!(bytes instanceof Uint8Array)) throw new Error('it is not packed at once');
    const size = fc.oneof(fc.constant(whole.length), fc.integer({ min: 1, max: MAX_CHUNK }));
    return fc.record({ codec: fc.constant(codec), bytes: mutated(fc.constant(bytes)), size });
  });

/** Little enough to be packed while one waits. */
const AT_ONCE = 16 * 1024;

/** Whatever is packed, it makes as many bytes as it says, or calls it a breach. */
const unpacking = parser({
  name: 'unpacking',
  input: packed,
  codes: ['protocol'],
  async feed({ codec, bytes, size }) {
    const said = { type: 'packed', entry: 0, offset: 0, size, codec, bytes } as const;
    expect((await unpackChunk(codecs, said)).length).toBe(size);
    return true;
  },
});

export const parsers = [frame, message, manifest, roots, card, knock, cpace, unpacking];
