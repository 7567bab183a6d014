import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { brotliCompressSync, deflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { builtInCodecs } from '../../src/handover/codecs.ts';
import { encode, type Message } from '../../src/protocol/message.ts';
import { type Attacker, frame } from '../support/attacker.ts';
import { Doorstep, sendTo } from '../support/doorstep.ts';

let ana: Doorstep;

beforeAll(async () => {
  ana = await Doorstep.begin();
});
afterAll(async () => {
  await ana.end();
  await ana[Symbol.asyncDispose]();
});

/** Its place in what Ana names. */
const DEFLATE = builtInCodecs().findIndex(({ name }) => name === 'deflate');

const deflate = (text: string): Uint8Array => new Uint8Array(deflateRawSync(text, { level: 9 }));

const hello: Message = { type: 'hello', newest: 1, oldest: 1, intent: 'send', knows: false };
const share: Message = { type: 'share', epoch: 1, point: new Uint8Array(32).fill(1) };
const confirm: Message = { type: 'confirm', tag: new Uint8Array(64) };
const welcome: Message = { type: 'welcome', newest: 1, oldest: 1, terms: 'known', epoch: 0 };
const intro: Message = { type: 'intro', name: 'Eve' };
const begin: Message = { type: 'begin', continues: null, checksum: false, digests: ['sha256'] };
const roots: Message = { type: 'roots', names: ['x'], final: true };
const file = { kind: 'file', path: 'x', size: 4, mtime: 0 } as const;
const offer: Message = { type: 'offer', entries: [file], files: 1, bytes: 4, final: true };
const accept: Message = { type: 'accept' };
const want: Message = { type: 'want', count: 1, skip: [], kept: [], failed: [] };
const chunk: Message = { type: 'chunk', entry: 0, offset: 0, bytes: new Uint8Array(4) };
const packed: Message = {
  ...chunk,
  type: 'packed',
  size: 4,
  codec: DEFLATE,
  bytes: deflate('data'),
};
const end: Message = { type: 'end', entry: 0, digest: new Uint8Array(32) };
const small = { entry: 0, digest: new Uint8Array(32), bytes: new Uint8Array(4) };
const whole: Message = { type: 'files', files: [small] };
const dial: Message = { type: 'dial', port: 40_001 };
const moved: Message = { type: 'moved' };
const stored: Message = { type: 'stored', entries: [0] };
const done: Message = { type: 'done' };
const complete: Message = { type: 'complete', missed: 0 };
const alive: Message = { type: 'alive' };
const card = { part: 'announcer', way: 'send', run: '1234567890abcdef', name: 'Eve' } as const;
const here: Message = { type: 'here', card };

/** What is said after the greeting only. */
const TRANSFER = [
  ...[intro, begin, roots, offer, accept, want, chunk, packed, end, whole, dial, moved],
  ...[stored, done, complete],
];

/** What comes on the wire: messages as they should be, or bytes as they should not. */
type Said = readonly (Message | Uint8Array)[];

function bytesOf(said: Said): Uint8Array {
  return Buffer.concat(said.flatMap((one) => (one instanceof Uint8Array ? [one] : encode(one))));
}

const header = (kind: number, length: number): Uint8Array => frame(kind, '', length);

/** What stands before the bytes of small files of these sizes, all of the one that was offered. */
function headsOf(...sizes: readonly number[]): Buffer {
  const heads = Buffer.alloc(2 + 40 * sizes.length);
  heads.writeUInt16BE(sizes.length);
  for (const [i, size] of sizes.entries()) heads.writeUInt32BE(size, 2 + 40 * i + 4);
  return heads;
}

/** The longest body of small files. */
const MOST_FILES = 2 + 256 * 40 + 256 * 1024;

const tooLong = frame(0x28, Buffer.concat([headsOf(64 * 1024 + 1), Buffer.alloc(64 * 1024 + 1)]));

/*
 * What went wrong elsewhere: a negative length that crashed (Syncthing, CVE-2021-21404), a length
 * that was not bounded (croc, 8e3a248b), that of a checksum which overflowed (rsync, CVE-2024-12084).
 */
describe('of a stranger, before the code is proven', () => {
  const LENGTHS: [string, Said][] = [
    ['a length of 0', [frame(0x01, '')]],
    ['a length of 1', [frame(0x01, '\x01')]],
    ['one byte more than is let in', [header(0x01, 129)]],
    ['a length that is negative if it has a sign', [header(0x01, 2 ** 31)]],
    ['the greatest length', [header(0x01, 2 ** 32 - 1)]],
    ['the greatest length of data', [hello, header(0x20, 2 ** 32 - 1)]],
    ['data without a head', [hello, header(0x20, 0)]],
    ['the greatest length of small files', [hello, header(0x28, MOST_FILES)]],
  ];
  const KINDS: [string, Said][] = [
    ['a kind that is none', [frame(0x7f, '')]],
    ['a kind that is none, with a body', [hello, frame(0xff, 'x'.repeat(100))]],
  ];
  const ORDER: [string, Said][] = [
    ['hello twice', [hello, hello]],
    ['a share before hello', [share]],
    ['a confirmation before hello', [confirm]],
    ['a confirmation without a share', [hello, confirm]],
    ['what only an announcer says', [welcome]],
    ['the same after hello', [hello, welcome]],
    ['a line that it did not open', [here]],
    ['a sign of life, which nobody asked for', [alive]],
    ...TRANSFER.flatMap((message): [string, Said][] => [
      [`"${message.type}" at once`, [message]],
      [`"${message.type}" instead of a code`, [hello, message]],
    ]),
  ];

  test.each([
    ['lengths', LENGTHS],
    ['kinds', KINDS],
    ['an order', ORDER],
  ])('%s that make no sense end the connection, and nothing else', async (_, attacks) => {
    for (const [title, said] of attacks) {
      const attacker = await ana.call();
      attacker.send(bytesOf(said));
      expect(await attacker.refused(), title).toBe('protocol');
    }
    await ana.isUnharmed();
  });

  test('half a frame is nothing, whichever way it ends', async () => {
    const whole = bytesOf([hello, share]);
    for (const how of ['end', 'reset'] as const)
      for (const length of [1, 4, 5, 8, 9, 20, whole.length - 1]) {
        const attacker = await ana.call();
        attacker.send(whole.subarray(0, length));
        if (how === 'end') attacker.socket.end();
        else attacker.reset();
        await attacker.gone;
      }
    await ana.isUnharmed();
  });
});

/** How far Eve goes before she does something wrong. */
const WAYS = {
  named: [],
  begun: [begin],
  offered: [begin, roots, offer],
  sending: [begin, roots, offer, chunk],
  ended: [begin, roots, offer, chunk, end],
} as const;

/** What Eve waits for there, so that it is known where Ana is. */
const ANSWERS = {
  named: undefined,
  begun: 'begun',
  offered: 'want',
  sending: 'want',
  ended: 'failed',
} as const;

let visits = 0;

async function eve(way: keyof typeof WAYS): Promise<Attacker> {
  const attacker = await ana.eveEnters();
  // What broke off would be gone on with, if it was the same file.
  const entries = [{ ...file, mtime: ++visits }];
  const all = WAYS[way].map((one) => (one.type === 'offer' ? { ...one, entries } : one));
  for (const message of all) {
    if (message.type === 'chunk') await attacker.hears('want');
    attacker.say(message);
  }
  const answer = ANSWERS[way];
  if (answer !== undefined) await attacker.hears(answer);
  return attacker;
}

type Attack = readonly [string, keyof typeof WAYS, Said];

/** Attacks of a device that was let in; each breaks the protocol. */
async function areRefused(attacks: readonly Attack[]): Promise<void> {
  for (const [title, way, said] of attacks) {
    const attacker = await eve(way);
    attacker.send(bytesOf(said));
    expect(await attacker.refused(), title).toBe('protocol');
  }
  await ana.isUnharmed();
}

/*
 * What went wrong elsewhere: as above; a file that was taken without the dialog, two under one id, of
 * which only the first was cleaned up (Quick Share, CVE-2024-38272, -10668); a device that said who
 * it is twice, and differently (KDE Connect, CVE-2025-66270).
 */
describe('of a device that was let in', () => {
  test('lengths that make no sense end the connection', () =>
    areRefused([
      ['a control frame of length 0', 'named', [frame(0x15, '')]],
      ['a control frame of length 1', 'named', [frame(0x15, '{')]],
      ['one byte more than is let in', 'named', [header(0x15, 64 * 1024 + 1)]],
      ['a length that is negative if it has a sign', 'named', [header(0x15, 2 ** 31)]],
      ['the greatest length', 'named', [header(0x15, 2 ** 32 - 1)]],
      ['a chunk without data', 'offered', [frame(0x20, new Uint8Array(12))]],
      ['a chunk without a head', 'offered', [frame(0x20, '')]],
      ['a chunk that is too long by a byte', 'offered', [header(0x20, 12 + 256 * 1024 + 1)]],
      ['a chunk of the greatest length', 'offered', [header(0x20, 2 ** 32 - 1)]],
      ['no small files', 'offered', [frame(0x28, new Uint8Array(2))]],
      ['half a number of small files', 'offered', [frame(0x28, Uint8Array.of(1))]],
      ['a small file without a digest', 'offered', [frame(0x28, headsOf(4).subarray(0, 41))]],
      [
        'more small files than a frame holds',
        'offered',
        [frame(0x28, headsOf(...Array(257).fill(0)))],
      ],
      ['65,535 small files', 'offered', [frame(0x28, Uint8Array.of(0xff, 0xff))]],
      ['a small file that is too long by a byte', 'offered', [tooLong]],
      ['a small file without its bytes', 'offered', [frame(0x28, headsOf(4))]],
      ['a small file of 4 GiB', 'offered', [frame(0x28, headsOf(2 ** 32 - 1))]],
      [
        'small files of which one is 4 GiB before the start',
        'offered',
        [frame(0x28, headsOf(4, 2 ** 32 - 4))],
      ],
      [
        'bytes that are of no small file',
        'offered',
        [frame(0x28, Buffer.concat([headsOf(4), new Uint8Array(5)]))],
      ],
      ['small files that are too long by a byte', 'offered', [header(0x28, MOST_FILES + 1)]],
      ['small files of the greatest length', 'offered', [header(0x28, 2 ** 32 - 1)]],
      ['a port of one byte', 'offered', [frame(0x29, Uint8Array.of(0x9c))]],
      ['the port of a service of the system', 'offered', [frame(0x29, Uint8Array.of(0, 80))]],
      ['a move that says where', 'offered', [frame(0x2a, Uint8Array.of(0x9c, 0x41))]],
      ['a digest of 31 bytes', 'sending', [frame(0x21, new Uint8Array(4 + 31))]],
      ['a digest of 33 bytes', 'sending', [frame(0x21, new Uint8Array(4 + 33))]],
      ['something where nothing is to be', 'offered', [frame(0x24, '{}')]],
      ['a packed chunk without data', 'offered', [frame(0x27, new Uint8Array(17))]],
      ['a packed chunk that is too long', 'offered', [header(0x27, 17 + 256 * 1024 + 1)]],
      ['a packed chunk of the greatest length', 'offered', [header(0x27, 2 ** 32 - 1)]],
      ['a kind that is none', 'sending', [frame(0x30, '')]],
    ]));

  test('what is right at another time ends the connection', () =>
    areRefused([
      ['data before anything was offered', 'begun', [chunk]],
      ['data with the offer, before the answer', 'begun', [roots, offer, chunk, end]],
      ['data of what was not offered', 'offered', [{ ...chunk, entry: 1 }]],
      ['data with a gap', 'offered', [{ ...chunk, offset: 1 }]],
      ['the same data twice', 'sending', [chunk]],
      ['the same data twice, packed', 'sending', [packed]],
      ['packed data with a gap', 'offered', [{ ...packed, offset: 1 }]],
      ['an end before all is there', 'offered', [end]],
      ['a second end', 'ended', [end]],
      ['data after the end', 'ended', [{ ...chunk, offset: 4 }]],
      ['a small file before anything was offered', 'begun', [whole]],
      ['a small file with the offer, before the answer', 'begun', [roots, offer, whole]],
      [
        'a small file that was not offered',
        'offered',
        [{ ...whole, files: [{ ...small, entry: 1 }] }],
      ],
      [
        'a small file that is longer',
        'offered',
        [{ ...whole, files: [{ ...small, bytes: new Uint8Array(5) }] }],
      ],
      ['a small file twice in one frame', 'offered', [{ ...whole, files: [small, small] }]],
      [
        'a small file with one that was not offered',
        'offered',
        [{ ...whole, files: [small, { ...small, entry: 1 }] }],
      ],
      ['a small file twice', 'offered', [whole, whole]],
      ['a small file that has begun', 'sending', [whole]],
      ['a small file after its end', 'ended', [whole]],
      ['a wish to be dialled before the answer', 'begun', [roots, offer, dial]],
      ['two wishes to be dialled', 'offered', [dial, dial]],
      ['a move to nowhere', 'offered', [moved]],
      ['a move, and no move', 'offered', [dial, Buffer.concat([bytesOf([moved, chunk])])]],
      ['the end of it all, as a file is open', 'sending', [done]],
      ['a second offer that contradicts the first', 'offered', [{ ...offer, bytes: 5 }]],
      ['the first offer once more', 'offered', [offer]],
      ['other roots', 'offered', [{ ...roots, names: ['y'] }]],
      ['an offer outside of the roots', 'begun', [{ ...roots, names: ['y'] }, offer]],
      ['totals that do not add up', 'begun', [roots, { ...offer, files: 2 }]],
      ['a transfer in a transfer', 'offered', [begin]],
      ['another name', 'offered', [intro]],
      ['hello after the greeting', 'named', [hello]],
      ['a share after the greeting', 'named', [share]],
      ['a confirmation after the greeting', 'sending', [confirm]],
      ['a line after the greeting', 'named', [here]],
      ['what only a receiver says: accept', 'offered', [accept]],
      ['what only a receiver says: want', 'offered', [want]],
      ['what only a receiver says: stored', 'sending', [stored]],
      ['the same of nothing', 'sending', [frame(0x22, '')]],
      ['what only a receiver says: complete', 'sending', [complete]],
    ]));

  /*
   * What went wrong elsewhere: a few bytes that unpack to gigabytes (curl, CVE-2023-23916; Netty,
   * CVE-2020-11612).
   */
  test('what is packed, and is not what it says, ends the connection', () => {
    const holds = (bytes: Uint8Array): Message => ({ ...packed, bytes });
    const bomb = deflate('\0'.repeat(2 ** 28));
    return areRefused([
      ['more than it says', 'offered', [holds(deflate('data and more'))]],
      ['one byte more than it says', 'offered', [holds(deflate('data!'))]],
      ['less than it says', 'offered', [holds(deflate('dat'))]],
      ['nothing at all', 'offered', [holds(deflate(''))]],
      ['a quarter of a gigabyte', 'offered', [holds(bomb)]],
      ['what is cut off', 'offered', [holds(deflate('data').subarray(0, 3))]],
      ['what is no such thing', 'offered', [holds(Buffer.from('this is not packed'))]],
      ['what another codec made', 'offered', [holds(brotliCompressSync('data'))]],
      ['a codec that it did not name', 'offered', [{ ...packed, codec: 16 }]],
      ['a codec that none is', 'offered', [{ ...packed, codec: 255 }]],
      ['more than was offered', 'offered', [{ ...packed, size: 5, bytes: deflate('data!') }]],
      ['more than a chunk', 'offered', [{ ...packed, size: 2 ** 32 - 1, bytes: bomb }]],
    ]);
  });

  const json = (text: string | Uint8Array): Said => [frame(0x15, text)];
  const field = '"continues":null,"checksum":false,"digests":["sha256"]';

  test('JSON that is not what was agreed on ends the connection', () =>
    areRefused([
      ['no JSON', 'named', json('begin')],
      ['JSON and more', 'named', json(`{${field}}{}`)],
      ['a list', 'named', json('[]')],
      ['null', 'named', json('null')],
      ['text', 'named', json('"begin"')],
      ['a name that is no UTF-8', 'begun', [rootsOf(Buffer.of(0xff))]],
      ['a name in UTF-8 that is cut off', 'begun', [rootsOf(Buffer.of(0xc3))]],
      [
        'a name in UTF-8 that is too long for what it says',
        'begun',
        [rootsOf(Buffer.of(0xc1, 0xa1))],
      ],
      [
        'half a pair of surrogates in a name',
        'begun',
        [frame(0x11, '{"names":["\\ud800"],"final":true}')],
      ],
      ['10,000 lists in each other', 'named', json('['.repeat(10_000) + ']'.repeat(10_000))],
      [
        '10,000 objects in each other',
        'named',
        json(`${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`),
      ],
      ['a field that is missing', 'named', json('{"continues":null,"checksum":false}')],
      ['no digest in common', 'named', json(`{${field.replace('sha256', 'blake3')}}`)],
      [
        'more digests than there are',
        'named',
        json(`{${field.replace(']', `${',"x"'.repeat(16)}]`)}}`),
      ],
      ['one more field', 'named', json(`{${field},"more":1}`)],
      ['as many fields as fit', 'named', json(`{${field}${manyFields(7000)}}`)],
      ['a field called __proto__', 'named', json(`{${field},"__proto__":{"checksum":true}}`)],
      ['a field called constructor', 'named', json(`{${field},"constructor":{}}`)],
      ['a field called toString', 'named', json(`{${field},"toString":1}`)],
      ['__proto__ instead of a field', 'named', json(`{"__proto__":{${field}}}`)],
      ['__proto__ in an entry', 'begun', [roots, offered(`"__proto__":{"path":"../y"}`)]],
      ['a field of another kind in an entry', 'begun', [roots, offered('"target":"../y"')]],
      [
        'a path that comes twice, and is bad the second time',
        'begun',
        [roots, offered('"path":"../y"')],
      ],
    ]));

  test('of a field that comes twice, the last one counts for all that follows', async () => {
    const attacker = await eve('begun');
    // Nobody looked at the first one: neither was it judged, nor is it made.
    const entry = '{"kind":"file","path":"../x","path":"x","size":4,"mtime":0}';
    const twice = frame(0x12, `{"entries":[${entry}],"files":1,"bytes":4,"final":true}`);
    attacker.send(bytesOf([roots, twice]));
    await attacker.hears('want');
    attacker.say(chunk, end);
    expect(await attacker.hears('failed')).toMatchObject({ entry: 0, code: 'corrupt' });
    attacker.socket.end();
    await attacker.gone;
    await ana.isUnharmed();
  });

  test('a wish to be dialled leads to one call, at the address that it comes from', async () => {
    const calls: { readonly from: string | undefined; readonly heard: Buffer[] }[] = [];
    // Some service of the computer on which Eve is.
    const server = createServer((socket) => {
      const call = { from: socket.localAddress, heard: [] as Buffer[] };
      calls.push(call);
      socket.on('error', () => {}).on('data', (bytes) => call.heard.push(bytes));
    });
    server.listen(0, '0.0.0.0');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const attacker = await eve('offered');
    const from = attacker.socket.localAddress;
    attacker.say({ ...dial, port });
    await expect.poll(() => calls[0]?.heard.length).toBe(1);
    // A greeting of TLS, with no certificate in it.
    expect(calls[0]).toMatchObject({ from, heard: [expect.objectContaining({ 0: 0x16, 5: 1 })] });
    // All goes on meanwhile, and it is no way to be called again.
    attacker.say(chunk, end);
    expect(await attacker.hears('failed')).toMatchObject({ entry: 0, code: 'corrupt' });
    attacker.say({ ...dial, port });
    expect(await attacker.refused()).toBe('protocol');
    await ana.isUnharmed();
    expect(calls).toHaveLength(1);
    server.close();
  });

  test('a flood of small frames keeps nobody from being served', async () => {
    const attacker = await ana.eveEnters();
    const many = Buffer.concat(Array.from({ length: 20_000 }, () => bytesOf([alive])));
    for (let times = 0; times < 10; times++) attacker.send(many);
    await ana.bobDelivers();
    // They say nothing, and so they break nothing either: what follows is heard.
    attacker.say(begin);
    await attacker.hears('begun');
    attacker.say(done);
    expect(await attacker.refused()).toBe('protocol');
    await ana.isUnharmed();
  });

  test('half a frame is a connection that broke', async () => {
    for (const way of ['named', 'begun', 'offered', 'sending'] as const) {
      const attacker = await eve(way);
      attacker.send(frame(way === 'sending' ? 0x20 : 0x15, new Uint8Array(20), 100));
      attacker.socket.end();
      await attacker.gone;
    }
    await ana.isUnharmed();
  });
});

/* As above, for whoever sends: it is the one who parses what a false receiver says. */
describe.concurrent('a sender that calls somebody who', () => {
  test.each<[string, Said]>([
    ['says a length of 0', [frame(0x02, '')]],
    ['says a length that is negative if it has a sign', [header(0x02, 2 ** 31)]],
    ['says the greatest length', [header(0x02, 2 ** 32 - 1)]],
    ['says a kind that is none', [frame(0x7f, '')]],
    ['gives its name at once', [intro]],
    ['takes at once what nobody offered', [accept, want]],
    ['answers a question that nobody asked', [{ ...welcome, terms: 'code' }, confirm]],
  ])('%s ends with an error, and has said nothing', async (_, said) => {
    expect(await sendTo(bytesOf(said))).toMatchObject({ code: 7 });
  });
});

test('an honest program whose bytes come one by one is served', async () => {
  await ana.bobDelivers((bob) => {
    const send = bob.send.bind(bob);
    bob.send = (...parts) => {
      for (const byte of Buffer.concat(parts)) send(Uint8Array.of(byte));
    };
    return bob;
  });
  await ana.isUnharmed();
});

function manyFields(count: number): string {
  return Array.from({ length: count }, (_, i) => `,"${i}":0`).join('');
}

/** Roots of one name, in whatever bytes. */
function rootsOf(name: Uint8Array): Uint8Array {
  const parts = [Buffer.from('{"names":["'), name, Buffer.from('"],"final":true}')];
  return frame(0x11, Buffer.concat(parts));
}

/** An offer with one more field in its entry. */
function offered(field: string): Uint8Array {
  const entry = `{"kind":"file","path":"x","size":4,"mtime":0,${field}}`;
  return frame(0x12, `{"entries":[${entry}],"files":1,"bytes":4,"final":true}`);
}
