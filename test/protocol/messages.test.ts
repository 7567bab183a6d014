import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DropError } from '../../src/errors.ts';
import {
  MAX_BATCH,
  MAX_CHUNK,
  MAX_CODECS,
  MAX_CONTROL,
  MAX_GREETING,
  MAX_PACKED,
  MAX_WHOLE,
} from '../../src/limits.ts';
import { concat, fromHex, toHex } from '../../src/protocol/bytes.ts';
import { FrameDecoder } from '../../src/protocol/frame.ts';
import { decode, encode, type Message } from '../../src/protocol/message.ts';
import { anyMessage, MESSAGE_TYPES } from '../support/messages.ts';

const VECTORS: { comment: string; message: Record<string, unknown>; bytes: string }[] = JSON.parse(
  readFileSync(new URL('../vectors/messages.json', import.meta.url), 'utf8'),
  (_, value) => (typeof value?.hex === 'string' ? fromHex(value.hex) : value),
);

describe('the vectors', () => {
  test.each(VECTORS)('$comment', ({ message, bytes }) => {
    expect(toHex(concat(...encode(message as Message)))).toBe(bytes);
    expect(hear(fromHex(bytes))).toEqual([message]);
  });

  test('are of every kind, and PROTOCOL.md lists it', () => {
    const kinds = new Map(
      VECTORS.map(({ message, bytes }) => [bytes.slice(8, 10), `${message.type}`]),
    );
    expect(new Set(kinds.values())).toEqual(new Set(MESSAGE_TYPES));
    const paper = readFileSync(new URL('../../docs/PROTOCOL.md', import.meta.url), 'utf8');
    const listed = [...paper.matchAll(/^\| ([0-9a-f]{2}) \| `([a-z]+)` \|/gm)];
    expect(new Map(listed.map(([, kind, type]) => [kind, type]))).toEqual(kinds);
  });
});

/** What a stream of bytes says, cut at the given places, to a peer that is greeted. */
function hear(bytes: Uint8Array, cuts: readonly number[] = []): Message[] {
  const decoder = new FrameDecoder();
  decoder.greeted();
  const edges = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort(
    (a, b) => a - b,
  );
  /** All pieces come in the same memory, as from a socket, and lie anywhere in it. */
  const memory = Buffer.alloc(bytes.length + SHIFT);
  const messages: Message[] = [];
  for (const [i, edge] of edges.slice(1).entries()) {
    const start = i % SHIFT;
    const piece = memory.subarray(start, start + edge - (edges[i] as number));
    piece.set(bytes.subarray(edges[i], edge));
    // Bytes of files are their hearer's until the next message is asked for, all else for ever.
    for (const one of decoder.push(piece)) messages.push(withOwnBytes(decode(one)));
    memory.fill(0xee);
  }
  return join(messages);
}

const SHIFT = 7;

function withOwnBytes(message: Message): Message {
  const own = <T extends { readonly bytes: Uint8Array }>(one: T): T => ({
    ...one,
    bytes: new Uint8Array(one.bytes),
  });
  if (message.type === 'chunk') return own(message);
  return message.type === 'files' ? { ...message, files: message.files.map(own) } : message;
}

/** A chunk comes in whatever pieces the network made of it; these are put together again. */
function join(messages: readonly Message[]): Message[] {
  const joined: Message[] = [];
  for (const message of messages) {
    const last = joined.at(-1);
    if (
      message.type === 'chunk' &&
      last?.type === 'chunk' &&
      last.entry === message.entry &&
      last.offset + last.bytes.length === message.offset
    )
      joined[joined.length - 1] = { ...last, bytes: concat(last.bytes, message.bytes) };
    else joined.push(message);
  }
  return joined;
}

test('digests that only later versions know are heard as they were said', () => {
  const begin: Message = {
    type: 'begin',
    continues: null,
    checksum: false,
    digests: ['', 'sha3', 'x'.repeat(16), 'sha256'],
  };
  expect(hear(concat(...encode(begin)))).toEqual([begin]);
});

test('slicing the stream anywhere gives the same messages', () => {
  fc.assert(
    fc.property(
      fc.array(anyMessage, { maxLength: 8 }),
      fc.array(fc.nat(), { maxLength: 40, size: 'max' }),
      (messages, cuts) => {
        const bytes = concat(...messages.flatMap(encode));
        expect(hear(bytes, cuts)).toEqual(join(messages));
      },
    ),
  );
});

test('small files that come as a whole are not copied, and others only once', () => {
  const message: Message = {
    type: 'files',
    files: [1, 2].map((entry) => ({
      entry,
      digest: new Uint8Array(32),
      bytes: new Uint8Array(MAX_WHOLE).fill(7),
    })),
  };
  const frame = concat(...encode(message));
  const bytes = concat(frame, frame, frame);
  const decoder = new FrameDecoder();
  decoder.greeted();
  const at: ArrayBufferLike[] = [];
  const hearPart = (from: number, to: number): void => {
    for (const piece of decoder.push(bytes.subarray(from, to))) at.push(piece.body.buffer);
  };
  hearPart(0, frame.length + 100);
  hearPart(frame.length + 100, bytes.length);
  expect(at.map((memory) => memory === bytes.buffer)).toEqual([true, false, true]);
  hearPart(0, 1000);
  hearPart(1000, frame.length);
  expect(at[3]).toBe(at[1]);
});

test('but for its bytes, a small file is kept, whatever comes next in the same memory', () => {
  const frames = [1, 2].map((entry): Message => {
    const all = { digest: new Uint8Array(32).fill(entry), bytes: new Uint8Array(9).fill(entry) };
    return { type: 'files', files: [entry, entry + 2].map((one) => ({ entry: one, ...all })) };
  });
  const bytes = concat(...frames.flatMap(encode));
  const middle = bytes.length / 2;
  for (const cuts of [[], [50, middle + 50], [middle - 1, middle + 1]])
    expect(hear(bytes, cuts)).toEqual(frames);
});

test('a decoder knows whether it has heard whole frames only', () => {
  fc.assert(
    fc.property(anyMessage, fc.nat(), (message, cut) => {
      const bytes = concat(...encode(message));
      const decoder = new FrameDecoder();
      decoder.greeted();
      expect(decoder.between).toBe(true);
      const at = cut % bytes.length;
      for (const _ of decoder.push(bytes.subarray(0, at)));
      expect(decoder.between).toBe(at === 0);
      for (const _ of decoder.push(bytes.subarray(at)));
      expect(decoder.between).toBe(true);
    }),
  );
});

test('one byte at a time gives the same messages as all at once', () => {
  fc.assert(
    fc.property(fc.array(anyMessage, { maxLength: 4 }), (messages) => {
      const bytes = concat(...messages.flatMap(encode));
      expect(hear(bytes, [...bytes.keys()])).toEqual(join(messages));
    }),
    { numRuns: 30 },
  );
});

test('what is understood is said again in the very same words', () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      const bytes = concat(...encode(message));
      expect(hear(bytes).map((one) => toHex(concat(...encode(one))))).toEqual([toHex(bytes)]);
    }),
  );
});

describe('whatever a peer sends is understood or a protocol error', () => {
  const harmless = (bytes: Uint8Array): 'understood' | 'refused' => {
    try {
      hear(bytes);
      return 'understood';
    } catch (error) {
      expect(error).toBeInstanceOf(DropError);
      expect((error as DropError).code).toBe('protocol');
      return 'refused';
    }
  };

  test('when it is noise', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void harmless(bytes)));
  });

  test('when it is a message with some bytes changed', () => {
    const seen = { understood: 0, refused: 0 };
    fc.assert(
      fc.property(
        anyMessage,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 }),
        (message, changes) => {
          const bytes = concat(...encode(message)).slice(0, 10_000);
          for (const [at, value] of changes) bytes[at % bytes.length] = value;
          seen[harmless(bytes)] += 1;
        },
      ),
      { numRuns: 1_000 },
    );
    // Both happen, or the generator does not visit what this is about.
    expect(Math.min(seen.understood, seen.refused)).toBeGreaterThan(50);
  });

  test('when it is any JSON where an object is due', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0x10, max: 0x16 }), fc.json(), (kind, json) => {
        const body = new TextEncoder().encode(json);
        const header = new Uint8Array(5);
        new DataView(header.buffer).setUint32(0, body.length);
        header[4] = kind;
        harmless(concat(header, body));
      }),
    );
  });

  test.each([
    ['an unknown kind', '0000000099'],
    ['JSON that is no JSON', '000000021000ff'],
    ['invalid UTF-8', '000000081022ff22ff22ff22ff'],
    ['an unknown field', frame(0x10, '{"name":"x","more":1}')],
    ['a missing field', frame(0x10, '{}')],
    ['a prototype', frame(0x10, '{"__proto__":{},"name":"x"}')],
    ['a name of 64 bytes', frame(0x10, JSON.stringify({ name: 'x'.repeat(64) }))],
    ['a path that climbs', offer({ kind: 'file', path: 'a/../b', size: 1, mtime: 0 })],
    ['an absolute path', offer({ kind: 'file', path: '/etc/x', size: 1, mtime: 0 })],
    ['an empty name', offer({ kind: 'file', path: 'a//b', size: 1, mtime: 0 })],
    ['a NUL', offer({ kind: 'file', path: 'a\0', size: 1, mtime: 0 })],
    ['half a surrogate pair', offer({ kind: 'file', path: 'a\ud800', size: 1, mtime: 0 })],
    ['129 levels', offer({ kind: 'file', path: `${'a/'.repeat(128)}b`, size: 1, mtime: 0 })],
    ['a negative size', offer({ kind: 'file', path: 'a', size: -1, mtime: 0 })],
    ['a size in words', offer({ kind: 'file', path: 'a', size: '5', mtime: 0 })],
    ['a size beyond 2^53', offer({ kind: 'file', path: 'a', size: 2 ** 53, mtime: 0 })],
    ['half a byte', offer({ kind: 'file', path: 'a', size: 0.5, mtime: 0 })],
    ['setuid', offer({ kind: 'file', path: 'a', size: 0, mtime: 0, mode: 0o4755 })],
    ['a stream that has a size', offer({ kind: 'stream', path: 'a', size: 1 })],
    ['a stream that has a time', offer({ kind: 'stream', path: 'a', mtime: 0 })],
    ['a stream that climbs', offer({ kind: 'stream', path: '../a' })],
    ['a device', offer({ kind: 'device', path: 'a' })],
    ['a link that leaves', offer({ kind: 'link', path: 'a/b', target: '../../c' })],
    ['a link to the root of the disk', offer({ kind: 'link', path: 'a/b', target: '/etc' })],
    ['a link with .. in the middle', offer({ kind: 'link', path: 'a/b', target: 'c/../../d' })],
    ['an answer that says more', frame(0x13, '{}')],
    ['a beginning that says nothing', frame(0x15, '{"checksum":false}')],
    ['a beginning without digests', begin([])],
    ['a beginning without SHA-256', begin(['blake3'])],
    ['a beginning with 17 digests', begin(Array(17).fill('sha256'))],
    ['a digest of 17 letters', begin(['sha256', 'x'.repeat(17)])],
    ['a digest that is a number', begin(['sha256', 3])],
    ['a transfer without a name', begun({ transfer: null })],
    ['a transfer of another name', begun({ transfer: 'G'.repeat(32) })],
    ['a transfer without a digest', begun({ digest: undefined })],
    ['a digest that nobody knows', begun({ digest: 'md5' })],
    ['a digest in capitals', begun({ digest: 'SHA256' })],
    ['a transfer without codecs', begun({ codecs: undefined })],
    ['too many codecs', begun({ codecs: Array.from({ length: MAX_CODECS + 1 }, () => 'x') })],
    ['a codec without a name', begun({ codecs: [''] })],
    ['a codec of a long name', begun({ codecs: ['x'.repeat(17)] })],
    ['a codec of an odd name', begun({ codecs: ['../x'] })],
    ['a reason that is none', want({ skip: [{ entry: 0, reason: 'because' }] })],
    ['half a digest', '0000000c18000000010000000000000000'],
    ['a digest and more', `0000002518${'00'.repeat(37)}`],
    ['two that are to be compared', '00000008170000000000000001'],
    ['a stream beyond 2^53', '0000000c26000000010020000000000000'],
    ['nothing stored', stored(0)],
    ['more stored than are offered at once', stored(MAX_BATCH + 1)],
    ['half of what is stored', `000000062200000001${'00'.repeat(2)}`],
    ['small files without a number of them', '0000000128ff'],
    ['small files without anything', '0000000028'],
    ['no small file', files([], '')],
    ['no small file, and bytes', files([], 'ff')],
    ['more small files than are offered at once', files(Array(MAX_BATCH + 1).fill(0), '')],
    ['one file without a digest', `0000002928000100000000${'00'.repeat(35)}`],
    ['fewer small files than it says', files([0, 0], '', 3)],
    ['small files with fewer bytes than they have', files([1, 2], 'ffff')],
    ['small files with more bytes than they have', files([1, 2], 'ffffffff')],
    ['a small file that is not small', files([MAX_WHOLE + 1], 'ff'.repeat(MAX_WHOLE + 1))],
    ['a small file of 4 GiB', files([0xffff_ffff], 'ff')],
    ['small files of 4 GiB and a byte together', files([0xffff_ffff, 2], 'ff')],
    ['a port that is half', '000000012923'],
    ['a port and more', '00000003299c4100'],
    ['no port', '00000002290000'],
    ['the port of another service', '000000022903ff'],
    ['a move that says where', '000000022a9c41'],
    ['a chunk without data', '0000000c20000000000000000000000000'],
    ['an offset beyond 2^53', '0000000d20000000010020000000000000ff'],
    ['packed, and nothing', packed({ size: 1, data: '' })],
    ['packed, without a head', '0000000c27000000010000000000000000'],
    ['packed bytes of nothing', packed({ size: 0 })],
    ['packed bytes of more than a chunk', packed({ size: MAX_CHUNK + 1 })],
    ['packed bytes beyond 2^53', packed({ offset: '0020000000000000' })],
  ])('when it is %s', (_, bytes) => {
    expect(harmless(fromHex(bytes))).toBe('refused');
  });

  function offer(entry: object): string {
    return frame(0x12, JSON.stringify({ entries: [entry], files: 1, bytes: 1, final: true }));
  }

  function begin(digests: unknown[]): string {
    return frame(0x15, JSON.stringify({ continues: null, checksum: false, digests }));
  }

  function begun(some: object): string {
    const good = { transfer: '0'.repeat(32), digest: 'sha256', codecs: [] };
    return frame(0x16, JSON.stringify({ ...good, ...some }));
  }

  function packed({ offset = '0000000000000000', size = 1, data = 'ff' }): string {
    const length = (17 + data.length / 2).toString(16).padStart(8, '0');
    return `${length}2700000001${offset}${size.toString(16).padStart(8, '0')}00${data}`;
  }

  function stored(count: number): string {
    return bare(0x22, '00000001'.repeat(count));
  }

  /** Small files of these sizes, and as many as it says. */
  function files(sizes: readonly number[], bytes: string, count = sizes.length): string {
    const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
    const heads = sizes.map((size) => `00000001${hex(size, 8)}${'00'.repeat(32)}`);
    return bare(0x28, hex(count, 4) + heads.join('') + bytes);
  }

  function bare(kind: number, body: string): string {
    const length = (body.length / 2).toString(16).padStart(8, '0');
    return length + kind.toString(16) + body;
  }

  function want(some: object): string {
    return frame(0x14, JSON.stringify({ count: 1, skip: [], kept: [], failed: [], ...some }));
  }

  function frame(kind: number, json: string): string {
    const body = new TextEncoder().encode(json);
    const header = new Uint8Array(5);
    new DataView(header.buffer).setUint32(0, body.length);
    header[4] = kind;
    return toHex(concat(header, body));
  }
});

describe('a frame is refused by its length, before any of it is kept', () => {
  const header = (length: number, kind: number): Uint8Array => {
    const bytes = new Uint8Array(5);
    new DataView(bytes.buffer).setUint32(0, length);
    bytes[4] = kind;
    return bytes;
  };
  const push = (greeted: boolean, bytes: Uint8Array) => () => {
    const decoder = new FrameDecoder();
    if (greeted) decoder.greeted();
    return [...decoder.push(bytes)];
  };

  test.each([
    ['a stranger may say', false, MAX_GREETING, 0x01],
    ['a control frame may have', true, MAX_CONTROL, 0x12],
    ['a chunk may have', true, 12 + MAX_CHUNK, 0x20],
    ['small files may have', true, 2 + 40 * MAX_BATCH + MAX_CHUNK, 0x28],
    ['a stranger may say as small files', false, MAX_GREETING, 0x28],
    ['a packed chunk may have', true, 17 + MAX_PACKED, 0x27],
    ['a stranger may say, packed', false, MAX_GREETING, 0x27],
  ])('more than %s', (_, greeted, most, kind) => {
    expect(push(greeted, header(most, kind))()).toEqual([]);
    expect(push(greeted, header(most + 1, kind))).toThrow(DropError);
    expect(push(greeted, header(0xffff_ffff, kind))).toThrow(DropError);
  });

  test('data from a stranger', () => {
    expect(push(false, header(20, 0x20))).toThrow(DropError);
  });
});
