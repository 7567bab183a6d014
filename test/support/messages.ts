import fc from 'fast-check';
import { ERRORS, type ErrorCode, fromWire, toWire } from '../../src/errors.ts';
import {
  MAX_BATCH,
  MAX_CHUNK,
  MAX_CODECS,
  MAX_DIGEST_NAME,
  MAX_DIGESTS,
  MAX_TEXT,
} from '../../src/limits.ts';
import type { Card } from '../../src/protocol/card.ts';
import { type Entry, isPath, nameOf, staysInside } from '../../src/protocol/manifest.ts';
import type { Message, MessageOf, MessageType } from '../../src/protocol/message.ts';
import { deviceName } from '../../src/protocol/names.ts';

const u8 = fc.nat(255);
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const size = fc.maxSafeNat();
const time = fc.maxSafeInteger();
const mode = fc.nat(0o777);
const digest = fc.uint8Array({ minLength: 32, maxLength: 32 });
const transfer = fc.stringMatching(/^[0-9a-f]{32}$/);

/** A name as it may be offered, in any script, with everything that is odd but allowed. */
const anyName = fc
  .oneof(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }),
    fc.constantFrom('con', '...', '-rf', '.bashrc', 'a:b', 'back\\slash', ' ', '\u202efdp.exe'),
  )
  .filter((name) => isPath(name) && !name.includes('/'));

export const anyPath = fc
  .array(anyName, { minLength: 1, maxLength: 5 })
  .map((names) => names.join('/'))
  .filter(isPath);

export const anyEntry: fc.Arbitrary<Entry> = fc.oneof(
  fc.record(
    { kind: fc.constant('file' as const), path: anyPath, size, mtime: time, mode },
    { requiredKeys: ['kind', 'path', 'size', 'mtime'] },
  ),
  fc.record({
    kind: fc.constant('file' as const),
    path: anyPath.map(nameOf),
    size: fc.integer({ min: 1, max: MAX_TEXT }),
    mtime: time,
    text: fc.constant(true as const),
  }),
  fc.record(
    { kind: fc.constant('stream' as const), path: anyPath, mode },
    { requiredKeys: ['kind', 'path'] },
  ),
  fc.record(
    { kind: fc.constant('folder' as const), path: anyPath, mtime: time, mode },
    { requiredKeys: ['kind', 'path', 'mtime'] },
  ),
  fc
    .record({ kind: fc.constant('link' as const), path: anyPath, target: anyPath })
    .filter(({ path, target }) => staysInside(path, target)),
);

export const anyCard: fc.Arbitrary<Card> = fc.record({
  part: fc.constantFrom('announcer' as const, 'chooser' as const),
  way: fc.constantFrom('send' as const, 'get' as const),
  run: fc.stringMatching(/^[0-9a-f]{16}$/),
  name: fc.string({ unit: 'grapheme', maxLength: 80 }).map(deviceName),
});

/** Codes that mean the same on both sides, and so survive being said and heard. */
const code = fc.constantFrom(
  ...(Object.keys(ERRORS) as ErrorCode[]).filter((one) => fromWire(toWire(one)) === one),
);

/** Whatever may be said, by its kind: the compiler demands every kind of them. */
const ANY: { readonly [T in MessageType]: fc.Arbitrary<MessageOf<T>> } = {
  hello: fc.record({
    type: fc.constant('hello' as const),
    newest: u8,
    oldest: u8,
    intent: fc.constantFrom('look' as const, 'send' as const, 'get' as const, 'peek' as const),
    knows: fc.boolean(),
  }),
  welcome: fc.record({
    type: fc.constant('welcome' as const),
    newest: u8,
    oldest: u8,
    terms: fc.constantFrom('known' as const, 'code' as const, 'open' as const, 'closed' as const),
    epoch: u32,
  }),
  share: fc.record({ type: fc.constant('share' as const), epoch: u32, point: digest }),
  confirm: fc.record({
    type: fc.constant('confirm' as const),
    tag: fc.uint8Array({ minLength: 64, maxLength: 64 }),
  }),
  here: fc.record({ type: fc.constant('here' as const), card: anyCard }),
  cancel: fc.record({ type: fc.constant('cancel' as const), code }),
  alive: fc.constant({ type: 'alive' }),
  accept: fc.constant({ type: 'accept' }),
  done: fc.constant({ type: 'done' }),
  moved: fc.constant({ type: 'moved' }),
  pause: fc.constant({ type: 'pause' }),
  resume: fc.constant({ type: 'resume' }),
  complete: fc.record({ type: fc.constant('complete' as const), missed: u32 }),
  intro: fc.record(
    {
      type: fc.constant('intro' as const),
      name: fc.string({ maxLength: 15 }),
      continues: fc.stringMatching(/^[0-9a-f]{32}$/),
    },
    { requiredKeys: ['type', 'name'] },
  ),
  begin: fc.record({
    type: fc.constant('begin' as const),
    continues: fc.option(transfer),
    checksum: fc.boolean(),
    digests: fc
      .array(fc.string({ maxLength: MAX_DIGEST_NAME }), { maxLength: MAX_DIGESTS - 1 })
      .map((others) => [...others, 'sha256']),
  }),
  begun: fc.record({
    type: fc.constant('begun' as const),
    transfer,
    digest: fc.constantFrom('sha256' as const, 'blake3' as const),
    codecs: fc.array(fc.stringMatching(/^[0-9a-z-]{1,16}$/), { maxLength: MAX_CODECS }),
  }),
  roots: fc.record({
    type: fc.constant('roots' as const),
    names: fc.array(anyName, { maxLength: 5 }),
    final: fc.boolean(),
  }),
  offer: fc.record({
    type: fc.constant('offer' as const),
    entries: fc.array(anyEntry, { maxLength: 5 }),
    files: size,
    bytes: size,
    final: fc.boolean(),
  }),
  compare: fc.record({ type: fc.constant('compare' as const), entry: u32 }),
  digest: fc.record({
    type: fc.constant('digest' as const),
    entry: u32,
    digest: fc.option(digest),
  }),
  want: fc.record({
    type: fc.constant('want' as const),
    count: fc.integer({ min: 1, max: 256 }),
    skip: fc.array(
      fc.record({
        entry: u32,
        reason: fc.constantFrom(
          'unchanged' as const,
          'identical' as const,
          'conflict' as const,
          'stored' as const,
          'unwanted' as const,
        ),
      }),
      { maxLength: 3 },
    ),
    kept: fc.array(fc.record({ entry: u32, size, digest }), { maxLength: 3 }),
    failed: fc.array(fc.record({ entry: u32, code }), { maxLength: 3 }),
  }),
  chunk: fc.record({
    type: fc.constant('chunk' as const),
    entry: u32,
    offset: fc.nat(2 ** 52),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 100 }),
  }),
  packed: fc.record({
    type: fc.constant('packed' as const),
    entry: u32,
    offset: fc.nat(2 ** 52),
    size: fc.integer({ min: 1, max: MAX_CHUNK }),
    codec: u8,
    bytes: fc.uint8Array({ minLength: 1, maxLength: 100 }),
  }),
  end: fc.record({ type: fc.constant('end' as const), entry: u32, digest }),
  files: fc.record({
    type: fc.constant('files' as const),
    files: fc.array(fc.record({ entry: u32, digest, bytes: fc.uint8Array({ maxLength: 100 }) }), {
      minLength: 1,
      maxLength: 6,
    }),
  }),
  dial: fc.record({
    type: fc.constant('dial' as const),
    port: fc.integer({ min: 1024, max: 65535 }),
  }),
  arrived: fc.record({ type: fc.constant('arrived' as const), entry: u32, offset: size }),
  stored: fc.record({
    type: fc.constant('stored' as const),
    entries: fc.array(u32, { minLength: 1, maxLength: MAX_BATCH }),
  }),
  failed: fc.record({ type: fc.constant('failed' as const), entry: u32, code }),
};

export const MESSAGE_TYPES = Object.keys(ANY);

/** Every kind as often as any other. */
export const anyMessage: fc.Arbitrary<Message> = fc.oneof(...Object.values(ANY));
