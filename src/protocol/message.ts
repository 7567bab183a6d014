import * as v from 'valibot';
import { DropError, type ErrorCode, fromWire, toWire } from '../errors.ts';
import {
  MAX_BATCH,
  MAX_CHUNK,
  MAX_CODECS,
  MAX_DEVICE_NAME,
  MAX_DIGEST_NAME,
  MAX_DIGESTS,
  MAX_WHOLE,
} from '../limits.ts';
import { concat, fromHex, readU32, toHex, u32, utf8, view } from './bytes.ts';
import { type Card, decodeCard, encodeCard, type Way } from './card.ts';
import {
  DATA,
  DATA_HEAD,
  encodeFrame,
  FILE_HEAD,
  FILES,
  FILES_COUNT,
  PACKED,
  PACKED_HEAD,
  type Piece,
} from './frame.ts';
import { type Entry, isEntry, isName } from './manifest.ts';

/** The newest version of the protocol that we speak, and the oldest that we still understand. */
export const NEWEST = 2;
export const OLDEST = 1;

/** The version since which an entry can be a message to be shown, and a transfer be paused. */
export const TEXT_SINCE = 2;
export const PAUSE_SINCE = 2;

/** What is in a file can be told by these, 32 bytes each. Everybody knows SHA-256. */
export type DigestName = 'sha256' | 'blake3';

/**
 * Why the chooser calls: only to ask on what terms it is let in; to send, or to get; or to learn
 * what it would get (`peek`), where that is told without a question.
 */
export type Intent = 'look' | Way | 'peek';

/**
 * On what terms the announcer lets the chooser in: it is `known`, it needs the `code` or the
 * `pin`, everyone is let in (`open`), or nobody new is (`closed`).
 */
export type Terms = 'known' | 'code' | 'open' | 'closed' | 'pin';

/** All that two peers can say to each other. */
export type Message =
  // The greeting: who are you, and may we talk? Small frames of fixed form.
  | {
      readonly type: 'hello';
      readonly newest: number;
      readonly oldest: number;
      readonly intent: Intent;
      /** Whether the chooser has the announcer's key in its trust store. */
      readonly knows: boolean;
    }
  | {
      readonly type: 'welcome';
      readonly newest: number;
      readonly oldest: number;
      readonly terms: Terms;
      /** Which of the announcer's codes is the current one. */
      readonly epoch: number;
    }
  | { readonly type: 'share'; readonly epoch: number; readonly point: Uint8Array }
  | { readonly type: 'confirm'; readonly tag: Uint8Array }
  /** Before it all, from an announcer that dialled: who is there, to be spoken to when it suits. */
  | { readonly type: 'here'; readonly card: Card }
  // The transfer.
  | {
      readonly type: 'intro';
      readonly name: string;
      /** A chooser that gets: the transfer that broke off and that it wants to go on with. */
      readonly continues?: string | undefined;
    }
  | {
      readonly type: 'begin';
      /** The transfer that broke off and is to go on under the yes that it has; else null. */
      readonly continues: string | null;
      /** Whether files are compared by their content, whatever their sizes and times say. */
      readonly checksum: boolean;
      /** What the sender can tell files by, best first. Later versions may know others. */
      readonly digests: readonly string[];
    }
  | {
      readonly type: 'begun';
      /** The transfer that this is: if not the one that was to go on, everything is offered anew. */
      readonly transfer: string;
      /** What files are told by in this connection, one of those that the sender can. */
      readonly digest: DigestName;
      /** What the receiver can unpack, by the names of PROTOCOL.md; it need not know all of them. */
      readonly codecs: readonly string[];
    }
  | { readonly type: 'roots'; readonly names: readonly string[]; readonly final: boolean }
  | {
      readonly type: 'offer';
      readonly entries: readonly Entry[];
      /** Files and their bytes offered so far, these entries included. */
      readonly files: number;
      readonly bytes: number;
      readonly final: boolean;
    }
  | { readonly type: 'accept' }
  /** What is the digest of this file? It may lie here already. */
  | { readonly type: 'compare'; readonly entry: number }
  /** Null: it cannot be read. */
  | { readonly type: 'digest'; readonly entry: number; readonly digest: Uint8Array | null }
  | {
      readonly type: 'want';
      /** How many further entries are decided: the first so many that were not yet. */
      readonly count: number;
      /** The files among them of which nothing, or only the rest, needs to be sent. */
      readonly skip: readonly { readonly entry: number; readonly reason: SkipReason }[];
      readonly kept: readonly Kept[];
      /** Those that could not be placed. */
      readonly failed: readonly { readonly entry: number; readonly code: ErrorCode }[];
    }
  | {
      readonly type: 'chunk';
      readonly entry: number;
      readonly offset: number;
      readonly bytes: Uint8Array;
    }
  /** A chunk of `size` bytes, packed by itself. */
  | {
      readonly type: 'packed';
      readonly entry: number;
      readonly offset: number;
      readonly size: number;
      /** By which of the receiver's codecs. */
      readonly codec: number;
      readonly bytes: Uint8Array;
    }
  | { readonly type: 'end'; readonly entry: number; readonly digest: Uint8Array }
  /** Small files, each of them as from `chunk` and `end`. */
  | { readonly type: 'files'; readonly files: readonly SmallFile[] }
  /** So much of a stream is written, and will not be asked for again. */
  | { readonly type: 'arrived'; readonly entry: number; readonly offset: number }
  /** These are whole, verified, synced, and have their names. */
  | { readonly type: 'stored'; readonly entries: readonly number[] }
  | { readonly type: 'failed'; readonly entry: number; readonly code: ErrorCode }
  /** Dial me at this port, at the address that this connection comes from. */
  | { readonly type: 'dial'; readonly port: number }
  /** From here on I speak over the connection that you dialled. */
  | { readonly type: 'moved' }
  /** Nothing of a file goes on from here, until I say otherwise: the sender sends none, or shall not. */
  | { readonly type: 'pause' }
  | { readonly type: 'resume' }
  | { readonly type: 'done' }
  /** With how many links and times of folders could not be kept. */
  | { readonly type: 'complete'; readonly missed: number }
  // At any time.
  | { readonly type: 'alive' }
  | { readonly type: 'cancel'; readonly code: ErrorCode };

export type MessageType = Message['type'];
export type MessageOf<T extends MessageType> = Extract<Message, { type: T }>;

/**
 * Why a file needs not be sent: one of its size and time is there, or one of its content; one of
 * other content is there and stays; it was `stored` by this very transfer before it broke off; or
 * whoever chose the offer wants only a part of it.
 */
export type SkipReason = (typeof SKIP_REASONS)[number];

const SKIP_REASONS = ['unchanged', 'identical', 'conflict', 'stored', 'unwanted'] as const;

/** A file that is sent as a whole. */
export interface SmallFile {
  readonly entry: number;
  readonly digest: Uint8Array;
  /** All of them, at most `MAX_WHOLE`. */
  readonly bytes: Uint8Array;
}

/** The start of a file that the receiver still has from a broken transfer. */
export interface Kept {
  readonly entry: number;
  readonly size: number;
  /** Of these bytes. */
  readonly digest: Uint8Array;
}

/** The bytes that say `message`, in parts that are sent one after the other. */
export function encode(message: Message): Uint8Array[] {
  if (message.type === 'chunk') return encodeFrame(DATA, chunkHead(message), message.bytes);
  if (message.type === 'files') return encodeFrame(FILES, ...filesBody(message));
  if (message.type === 'packed') return encodeFrame(PACKED, packedHead(message), message.bytes);
  const codec = CODECS[message.type] as Codec<typeof message>;
  return encodeFrame(codec.kind, codec.encode(message));
}

/** What a piece says. Throws `protocol` if it says nothing that we understand. */
export function decode(piece: Piece): Message {
  if ('head' in piece) {
    const head = view(piece.head);
    const offset = safe(head.getBigUint64(4)) + piece.at;
    return { type: 'chunk', entry: head.getUint32(0), offset, bytes: piece.body };
  }
  if (piece.kind === FILES) return decodeFiles(piece.body);
  if (piece.kind === PACKED) return decodePacked(piece.body);
  const type = TYPES.get(piece.kind);
  if (type === undefined) throw malformed();
  return CODECS[type].decode(piece.body);
}

interface Codec<M> {
  readonly kind: number;
  encode(message: M): Uint8Array;
  decode(body: Uint8Array): M;
}

const INTENTS: readonly Intent[] = ['look', 'send', 'get', 'peek'];
const TERMS: readonly Terms[] = ['known', 'code', 'open', 'closed', 'pin'];
const SHARE = 32;
const TAG = 64;
const DIGEST = 32;
const OFFSET = 8;
const MIN_DIALLED = 1024;
const DIGESTS: readonly DigestName[] = ['sha256', 'blake3'];

const EntryNumber = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(0xffff_ffff));
const Count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const Batch = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(MAX_BATCH));
const Name = v.pipe(v.string(), v.check(isName));
const DeviceName = v.pipe(
  v.string(),
  v.check((name) => utf8(name).length <= MAX_DEVICE_NAME),
);
const Digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/), v.transform(fromHex));
const DigestNames = v.pipe(
  v.array(v.pipe(v.string(), v.maxLength(MAX_DIGEST_NAME))),
  v.maxLength(MAX_DIGESTS),
  v.includes('sha256' satisfies DigestName),
);
const TransferId = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/));
const CodecName = v.pipe(v.string(), v.regex(/^[0-9a-z-]{1,16}$/));
const Wire = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(255), v.transform(fromWire));

const CODECS: {
  readonly [T in Exclude<MessageType, 'chunk' | 'packed' | 'files'>]: Codec<MessageOf<T>>;
} = {
  hello: {
    kind: 0x01,
    encode: ({ newest, oldest, intent, knows }) =>
      Uint8Array.of(newest, oldest, INTENTS.indexOf(intent), knows ? 1 : 0),
    decode(body) {
      // A newer peer may say more; what we need to tell that it is newer stays in front.
      const [newest, oldest, intent, flags] = atLeast(body, 4);
      return {
        type: 'hello',
        newest: newest as number,
        oldest: oldest as number,
        intent: INTENTS[intent as number] ?? 'look',
        knows: ((flags as number) & 1) === 1,
      };
    },
  },
  welcome: {
    kind: 0x02,
    encode({ newest, oldest, terms, epoch }) {
      const body = new Uint8Array(7);
      body.set([newest, oldest, TERMS.indexOf(terms)]);
      view(body).setUint32(3, epoch);
      return body;
    },
    decode(body) {
      const [newest, oldest, terms] = atLeast(body, 7);
      return {
        type: 'welcome',
        newest: newest as number,
        oldest: oldest as number,
        terms: TERMS[terms as number] ?? 'closed',
        epoch: view(body).getUint32(3),
      };
    },
  },
  share: {
    kind: 0x03,
    encode: ({ epoch, point }) => concat(u32(epoch), point),
    decode(body) {
      exactly(body, 4 + SHARE);
      return { type: 'share', epoch: view(body).getUint32(0), point: body.subarray(4) };
    },
  },
  confirm: {
    kind: 0x04,
    encode: ({ tag }) => tag,
    decode: (body) => ({ type: 'confirm', tag: exactly(body, TAG) }),
  },
  here: {
    kind: 0x05,
    encode: ({ card }) => encodeCard(card),
    decode(body) {
      const card = decodeCard(body);
      if (card === undefined) throw malformed();
      return { type: 'here', card };
    },
  },
  cancel: {
    kind: 0x0e,
    encode: ({ code }) => Uint8Array.of(toWire(code)),
    decode: (body) => ({ type: 'cancel', code: fromWire(exactly(body, 1)[0] as number) }),
  },
  alive: bare(0x0f, 'alive'),
  intro: json(
    0x10,
    'intro',
    v.strictObject({ name: DeviceName, continues: v.optional(TransferId) }),
  ),
  roots: json(0x11, 'roots', v.strictObject({ names: v.array(Name), final: v.boolean() })),
  offer: json(
    0x12,
    'offer',
    v.strictObject({
      entries: v.pipe(v.array(v.custom<Entry>(isEntry)), v.maxLength(MAX_BATCH)),
      files: Count,
      bytes: Count,
      final: v.boolean(),
    }),
  ),
  accept: bare(0x13, 'accept'),
  want: json(
    0x14,
    'want',
    v.strictObject({
      count: Batch,
      skip: v.array(
        v.strictObject({
          entry: EntryNumber,
          reason: v.picklist(SKIP_REASONS),
        }),
      ),
      kept: v.array(v.strictObject({ entry: EntryNumber, size: Count, digest: Digest })),
      failed: v.array(v.strictObject({ entry: EntryNumber, code: Wire })),
    }),
    ({ kept, failed, ...rest }) => ({
      ...rest,
      kept: kept.map((one) => ({ ...one, digest: toHex(one.digest) })),
      failed: failed.map(({ entry, code }) => ({ entry, code: toWire(code) })),
    }),
  ),
  begin: json(
    0x15,
    'begin',
    v.strictObject({
      continues: v.nullable(TransferId),
      checksum: v.boolean(),
      digests: DigestNames,
    }),
  ),
  begun: json(
    0x16,
    'begun',
    v.strictObject({
      transfer: TransferId,
      digest: v.picklist(DIGESTS),
      codecs: v.pipe(v.array(CodecName), v.maxLength(MAX_CODECS)),
    }),
  ),
  compare: {
    kind: 0x17,
    encode: ({ entry }) => u32(entry),
    decode: (body) => ({ type: 'compare', entry: readU32(exactly(body, 4), 0) }),
  },
  digest: {
    kind: 0x18,
    encode: ({ entry, digest }) => concat(u32(entry), digest ?? new Uint8Array(0)),
    decode(body) {
      const none = body.length === 4;
      if (!none) exactly(body, 4 + DIGEST);
      return {
        type: 'digest',
        entry: readU32(body, 0),
        digest: none ? null : body.subarray(4),
      };
    },
  },
  end: {
    kind: 0x21,
    encode: ({ entry, digest }) => concat(u32(entry), digest),
    decode(body) {
      exactly(body, 4 + DIGEST);
      return { type: 'end', entry: readU32(body, 0), digest: body.subarray(4) };
    },
  },
  stored: {
    kind: 0x22,
    encode: ({ entries }) => concat(...entries.map(u32)),
    decode(body) {
      const count = body.length / 4;
      if (!Number.isInteger(count) || count < 1 || count > MAX_BATCH) throw malformed();
      const entries = Array.from({ length: count }, (_, i) => readU32(body, 4 * i));
      return { type: 'stored', entries };
    },
  },
  failed: {
    kind: 0x23,
    encode: ({ entry, code }) => concat(u32(entry), Uint8Array.of(toWire(code))),
    decode(body) {
      exactly(body, 5);
      return {
        type: 'failed',
        entry: readU32(body, 0),
        code: fromWire(body[4] as number),
      };
    },
  },
  dial: {
    kind: 0x29,
    encode({ port }) {
      const body = new Uint8Array(2);
      view(body).setUint16(0, port);
      return body;
    },
    decode(body) {
      const port = view(exactly(body, 2)).getUint16(0);
      // Below are services of a machine that have nothing to do with us.
      if (port < MIN_DIALLED) throw malformed();
      return { type: 'dial', port };
    },
  },
  moved: bare(0x2a, 'moved'),
  pause: bare(0x2b, 'pause'),
  resume: bare(0x2c, 'resume'),
  done: bare(0x24, 'done'),
  complete: {
    kind: 0x25,
    encode: ({ missed }) => u32(missed),
    decode: (body) => ({ type: 'complete', missed: readU32(exactly(body, 4), 0) }),
  },
  arrived: {
    kind: 0x26,
    encode({ entry, offset }) {
      const body = new Uint8Array(4 + OFFSET);
      view(body).setUint32(0, entry);
      view(body).setBigUint64(4, BigInt(offset));
      return body;
    },
    decode(body) {
      exactly(body, 4 + OFFSET);
      const offset = safe(view(body).getBigUint64(4));
      return { type: 'arrived', entry: readU32(body, 0), offset };
    },
  },
};

const TYPES = new Map(
  Object.entries(CODECS).map(([type, { kind }]) => [kind, type as keyof typeof CODECS]),
);

/** A message that says all by being said. */
function bare<T extends 'accept' | 'alive' | 'done' | 'moved' | 'pause' | 'resume'>(
  kind: number,
  type: T,
): Codec<{ type: T }> {
  return {
    kind,
    encode: () => new Uint8Array(0),
    decode(body) {
      exactly(body, 0);
      return { type };
    },
  };
}

/** A message whose body is JSON: its fields but for the type, which the frame's kind says. */
function json<T extends MessageType>(
  kind: number,
  type: T,
  schema: v.GenericSchema<unknown, Fields<T>>,
  outward: (fields: Fields<T>) => object = (fields) => fields,
): Codec<MessageOf<T>> {
  return {
    kind,
    encode({ type: _, ...fields }) {
      return utf8(JSON.stringify(outward(fields as Fields<T>)));
    },
    decode(body) {
      const result = v.safeParse(schema, parseJson(body));
      if (!result.success) throw malformed();
      return { type, ...result.output } as MessageOf<T>;
    },
  };
}

type Fields<T extends MessageType> = Omit<MessageOf<T>, 'type'>;

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (cause) {
    throw malformed({ cause });
  }
}

function chunkHead({ entry, offset }: MessageOf<'chunk'>): Uint8Array {
  const head = new Uint8Array(DATA_HEAD);
  view(head).setUint32(0, entry);
  view(head).setBigUint64(4, BigInt(offset));
  return head;
}

/** How many, a head for each of them, and then the bytes of all. */
function filesBody({ files }: MessageOf<'files'>): Uint8Array[] {
  const heads = new Uint8Array(FILES_COUNT + files.length * FILE_HEAD);
  const head = view(heads);
  head.setUint16(0, files.length);
  for (const [i, { entry, digest, bytes }] of files.entries()) {
    const at = FILES_COUNT + i * FILE_HEAD;
    head.setUint32(at, entry);
    head.setUint32(at + 4, bytes.length);
    heads.set(digest, at + 8);
  }
  return [heads, ...files.map(({ bytes }) => bytes)];
}

function decodeFiles(body: Uint8Array): MessageOf<'files'> {
  const count = view(atLeast(body, FILES_COUNT)).getUint16(0);
  if (count < 1 || count > MAX_BATCH) throw malformed();
  let at = FILES_COUNT + count * FILE_HEAD;
  // The bytes are soon overwritten; what else there is is kept. `slice` of a `Buffer` copies nothing.
  const heads = new Uint8Array(atLeast(body, at).subarray(FILES_COUNT, at));
  const files: SmallFile[] = [];
  for (let i = 0; i < heads.length; i += FILE_HEAD) {
    const size = readU32(heads, i + 4);
    if (size > MAX_WHOLE) throw malformed();
    const bytes = body.subarray(at, at + size);
    at += size;
    files.push({ entry: readU32(heads, i), digest: heads.subarray(i + 8, i + FILE_HEAD), bytes });
  }
  exactly(body, at);
  return { type: 'files', files };
}

function packedHead({ entry, offset, size, codec }: MessageOf<'packed'>): Uint8Array {
  const head = new Uint8Array(PACKED_HEAD);
  view(head).setUint32(0, entry);
  view(head).setBigUint64(4, BigInt(offset));
  view(head).setUint32(12, size);
  head[16] = codec;
  return head;
}

function decodePacked(body: Uint8Array): MessageOf<'packed'> {
  // Without a byte of data there is nothing to unpack.
  const head = view(atLeast(body, PACKED_HEAD + 1));
  const size = head.getUint32(12);
  if (size === 0 || size > MAX_CHUNK) throw malformed();
  return {
    type: 'packed',
    entry: head.getUint32(0),
    offset: safe(head.getBigUint64(4)),
    size,
    codec: head.getUint8(16),
    bytes: body.subarray(PACKED_HEAD),
  };
}

function safe(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed();
  return Number(value);
}

function exactly(body: Uint8Array, length: number): Uint8Array {
  if (body.length !== length) throw malformed();
  return body;
}

function atLeast(body: Uint8Array, length: number): Uint8Array {
  if (body.length < length) throw malformed();
  return body;
}

function malformed(options: ErrorOptions = {}): DropError {
  return new DropError('protocol', { message: 'A message makes no sense.', ...options });
}
