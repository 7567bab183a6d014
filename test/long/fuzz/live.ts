import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { expect } from 'vitest';
import { openHome } from '../../../src/disk/home.ts';
import { type Identity, loadIdentity } from '../../../src/disk/identity.ts';
import { builtInCodecs } from '../../../src/handover/codecs.ts';
import { concat, utf8 } from '../../../src/protocol/bytes.ts';
import { CPace } from '../../../src/protocol/cpace.ts';
import { FrameDecoder } from '../../../src/protocol/frame.ts';
import { decode, encode, type Message, type MessageType } from '../../../src/protocol/message.ts';
import { type Drop, drop } from '../../support/bin.ts';
import { Home } from '../../support/home.ts';
import { anyMessage } from '../../support/messages.ts';
import { type Change, changed, changes } from './bytes.ts';
import { type Footprint, filesOf, type Stage, target } from './target.ts';

/** What is said in one go, and what is heard after it if all is well. */
interface Turn {
  readonly say: readonly Message[];
  readonly hear: MessageType;
}

const CONTENT = utf8('hello');
const DIGEST = new Uint8Array(createHash('sha256').update(CONTENT).digest());
const hello = { type: 'hello', newest: 1, oldest: 1, intent: 'send' } as const;

/** What a stranger says as long as nobody asks for more than it has: it does not know the code. */
function stranger(): Turn[] {
  const parts = { channel: DIGEST, session: DIGEST, initiator: DIGEST, responder: DIGEST };
  const { share } = new CPace({ secret: CONTENT, ...parts }, DIGEST);
  return [
    { say: [{ ...hello, knows: false }], hear: 'welcome' },
    { say: [{ type: 'share', epoch: 1, point: share }], hear: 'share' },
    // Too short: one that could be right would count as a guess, after which all are kept out.
    { say: [{ type: 'confirm', tag: new Uint8Array(63) }], hear: 'confirm' },
  ];
}

/** What a paired sender says of one file and one stream, from the beginning to the end. */
function peer(name: string): Turn[] {
  const roots = [`${name} file`, `${name} stream`];
  const [path = '', stream = ''] = roots;
  const give = (entry: number): Message[] => [
    entry === 0 ? { type: 'chunk', entry, offset: 0, bytes: CONTENT } : packed(entry),
    { type: 'end', entry, digest: DIGEST },
  ];
  return [
    { say: [{ ...hello, knows: true }], hear: 'welcome' },
    {
      say: [
        { type: 'intro', name: 'Eve' },
        { type: 'begin', continues: null, checksum: false, digests: ['sha256'] },
      ],
      hear: 'begun',
    },
    {
      say: [
        { type: 'roots', names: roots, final: true },
        {
          type: 'offer',
          entries: [
            { kind: 'file', path, size: CONTENT.length, mtime: 1 },
            { kind: 'stream', path: stream },
          ],
          files: 2,
          bytes: CONTENT.length,
          final: true,
        },
      ],
      hear: 'want',
    },
    { say: [...give(0), ...give(1)], hear: 'stored' },
    { say: [{ type: 'done' }], hear: 'complete' },
  ];
}

/** What the receiver names in the place of this is for it alone to know; it runs by the same Node. */
const DEFLATE = builtInCodecs().findIndex(({ name }) => name === 'deflate');

function packed(entry: number): Message {
  const bytes = new Uint8Array(deflateRawSync(CONTENT));
  return { type: 'packed', entry, offset: 0, size: CONTENT.length, codec: DEFLATE, bytes };
}

/** At which turn a speaker stops being honest, what it says in its place, and from where. */
interface Fed {
  readonly turn: number;
  readonly changes: readonly Change[];
  readonly other: Uint8Array;
  readonly source: number;
  /** Whether it does not even speak TLS. */
  readonly raw: boolean;
}

function speech(turns: number): fc.Arbitrary<Fed> {
  return fc.record({
    turn: fc.nat(turns - 1),
    changes,
    other: anyMessage.map((message) => concat(...encode(message))),
    source: fc.integer({ min: 2, max: 254 }),
    raw: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  });
}

/** A receiver that runs, and Eve, who was paired with it. */
class Receiver implements Stage {
  readonly #ana = new Home();
  readonly #eve = new Home();
  readonly #receiving: Drop = drop(['receive', '--json', '--yes', '--name', 'Ana'], {
    home: this.#ana,
    env: { NODE_OPTIONS: `--import=${PRELOAD}` },
  });
  #port = 0;
  #eves!: Identity;
  #strangers!: Identity;
  #footprints = 0;
  #visits = 0;

  static async open(): Promise<Receiver> {
    const receiver = new Receiver();
    await receiver.#pair();
    return receiver;
  }

  async #pair(): Promise<void> {
    const { port, code } = await this.#receiving.event('ready');
    this.#port = port;
    await writeFile(join(this.#eve.path, 'a.txt'), 'a');
    await using sending = drop(['send', '--to', `127.0.0.1:${port}`, 'a.txt'], {
      home: this.#eve,
      env: { DROP_CODE: code ?? '' },
    });
    expect(await sending.outcome()).toMatchObject({ code: 0 });
    this.#eves = await loadIdentity(this.#eve.state);
    const other = join(this.#eve.path, 'other');
    await openHome(other);
    this.#strangers = await loadIdentity(other);
  }

  stranger(fed: Fed): Promise<boolean> {
    return this.#visit(stranger(), fed, this.#strangers);
  }

  peer(fed: Fed): Promise<boolean> {
    return this.#visit(peer(`${this.#visits++}`), { ...fed, raw: false }, this.#eves);
  }

  /** Whether one of its turns that was not honest was answered as if it had been. */
  async #visit(turns: readonly Turn[], fed: Fed, identity: Identity): Promise<boolean> {
    await using visit = await Visit.open(this.#port, fed, identity);
    for (const [at, { say, hear }] of turns.entries()) {
      const bytes = concat(...say.flatMap(encode));
      if (at < fed.turn && !fed.raw) {
        visit.write(bytes);
        if (await visit.heard(hear, PATIENCE)) continue;
        // Guesses are judged one at a time, and visits let in so many at a time.
        expect(visit.told).toMatch(/^(busy|not-yet|locked|code-changed)$/);
        return false;
      }
      const instead = fed.changes.reduce((all, one) => changed(all, one, fed.other), bytes);
      visit.write(instead);
      const isHonest = !fed.raw && Buffer.from(instead).equals(bytes);
      const understood = await visit.heard(hear, isHonest ? PATIENCE : QUIET);
      await visit.hangUp();
      this.#ensureCalm();
      return understood;
    }
    return false;
  }

  /** It has not met with anything that it did not expect. */
  #ensureCalm(): void {
    const events = this.#receiving.events.splice(0);
    expect(JSON.stringify(events)).not.toMatch(/"internal"/);
  }

  async footprint(): Promise<Footprint> {
    // Whatever it has heard, an honest peer is served.
    const turns = peer(`${this.#visits++}`);
    await using visit = await Visit.open(this.#port, { source: 1, raw: false }, this.#eves);
    for (const { say, hear } of turns) {
      visit.write(concat(...say.flatMap(encode)));
      expect(await visit.heard(hear, PATIENCE)).toBe(true);
    }
    await visit.hangUp();
    // What it lets go of then is let go.
    await sleep(SETTLED);
    this.#receiving.kill('SIGUSR2');
    const nth = ++this.#footprints;
    // It has said nothing else to whoever sits there.
    const pattern = new RegExp(`^(?:footprint .*\\n)*footprint ${nth} (\\d+) (\\d+)\\n$`);
    const [, heap, memory] = await this.#receiving.said(pattern);
    return { heap: Number(heap), memory: Number(memory), files: filesOf(this.#receiving.pid) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#receiving[Symbol.asyncDispose]();
    for (const home of [this.#ana, this.#eve]) await home[Symbol.asyncDispose]();
  }
}

/** A connection to a receiver, from an address of its own. */
class Visit implements AsyncDisposable {
  readonly #socket: Socket;
  readonly #decoder = new FrameDecoder();
  readonly #types: MessageType[] = [];
  readonly #closed: Promise<unknown>;
  /** What was told that went wrong. */
  told: string | undefined;
  #broken: unknown;
  #over = false;
  #wake = (): void => {};

  /** Comes again where too many come at once. */
  static async open(
    port: number,
    { source, raw }: Pick<Fed, 'source' | 'raw'>,
    { key, cert }: Identity,
  ): Promise<Visit> {
    for (;;) {
      const where = { host: '127.0.0.1', port, localAddress: `127.0.1.${source}` };
      const socket = raw
        ? connect(where)
        : connectTls({
            ...where,
            key,
            cert,
            ALPNProtocols: ['drop/1'],
            minVersion: 'TLSv1.3',
            rejectUnauthorized: false,
          });
      try {
        await once(socket, raw ? 'connect' : 'secureConnect');
        return new Visit(socket, raw);
      } catch (error) {
        socket.destroy();
        if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
        await sleep(QUIET);
      }
    }
  }

  private constructor(socket: Socket, raw: boolean) {
    this.#socket = socket;
    this.#decoder.greeted();
    this.#closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => {}); // It may hang up while we talk.
    // What comes without TLS is a word of TLS.
    socket.on('data', (bytes: Uint8Array) => raw || this.#hear(bytes));
    socket.on('close', () => {
      this.#over = true;
      this.#wake();
    });
    socket.on('end', () => this.#wake());
  }

  #hear(bytes: Uint8Array): void {
    try {
      for (const piece of this.#decoder.push(bytes)) {
        const message = decode(piece);
        if (this.told !== undefined) throw new Error(`${message.type} after the end`);
        if (message.type === 'cancel') this.told = message.code;
        this.#types.push(message.type);
      }
    } catch (error) {
      this.#broken ??= error;
    }
    this.#wake();
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Whether it says that within so many milliseconds, and before it hangs up. */
  async heard(type: MessageType, ms: number): Promise<boolean> {
    const late = new AbortController();
    const until = sleep(ms, undefined, { signal: late.signal }).catch(() => {});
    let isLate = false;
    void until.then(() => {
      isLate = true;
    });
    while (!this.#types.includes(type) && !this.#over && this.told === undefined && !isLate)
      await Promise.race([
        until,
        new Promise<void>((resolve) => {
          this.#wake = resolve;
        }),
      ]);
    late.abort();
    return this.#types.includes(type);
  }

  /** We have said all: it ends, too, and has said nothing that makes no sense. */
  async hangUp(): Promise<void> {
    this.#socket.end();
    const vain = new AbortController();
    await Promise.race([
      this.#closed,
      sleep(PATIENCE, undefined, { signal: vain.signal }).then(() => {
        throw new Error('It does not hang up.');
      }),
    ]).finally(() => vain.abort());
    if (this.#broken) throw this.#broken;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
  }
}

/** ms. */
const PATIENCE = 15_000;
const QUIET = 50;
const SETTLED = 500;

const PRELOAD = new URL('footprint.mjs', import.meta.url).href;

export const live = [
  target({
    name: 'live-stranger',
    input: speech(stranger().length),
    codes: [],
    lasting: true,
    open: Receiver.open,
    feed: (fed, receiver) => receiver.stranger(fed),
  }),
  target({
    name: 'live-peer',
    input: speech(peer('').length),
    codes: [],
    lasting: true,
    open: Receiver.open,
    feed: (fed, receiver) => receiver.peer(fed),
  }),
];
