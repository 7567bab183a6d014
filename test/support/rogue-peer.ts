import { setTimeout as sleep } from 'node:timers/promises';
import { DropError, type ErrorCode } from '../../src/errors.ts';
import { openSelf, type Self } from '../../src/meeting/self.ts';
import { type Connection, type Door, dial, listen } from '../../src/net/tls.ts';
import { utf8 } from '../../src/protocol/bytes.ts';
import type { Way } from '../../src/protocol/card.ts';
import { FrameDecoder } from '../../src/protocol/frame.ts';
import { type Entry, hasData, rootOf, sizeOf } from '../../src/protocol/manifest.ts';
import {
  decode,
  encode,
  type Intent,
  type Message,
  type MessageOf,
} from '../../src/protocol/message.ts';
import { Channel } from '../../src/transfer/channel.ts';
import { greetAsChooser, introduce } from '../../src/transfer/greeting.ts';
import { frame } from './attacker.ts';
import { Home } from './home.ts';
import { sha256 } from './memory.ts';
import { Changes } from './process.ts';

/** What is said by hand: the kinds of `docs/PROTOCOL.md`. */
export const KIND = {
  cancel: 0x0e,
  intro: 0x10,
  roots: 0x11,
  offer: 0x12,
  want: 0x14,
  begin: 0x15,
  begun: 0x16,
  compare: 0x17,
  chunk: 0x20,
  end: 0x21,
  stored: 0x22,
  arrived: 0x26,
} as const;

/** An entry of an offer, and what is in it. */
export interface Thing {
  readonly entry: Entry;
  readonly bytes?: Uint8Array;
}

/** How a file is called in most offers. */
export function file(path: string, text: string, more: { mtime?: number; mode?: number } = {}) {
  const bytes = utf8(text);
  return { entry: { kind: 'file', path, size: bytes.length, mtime: 0, ...more }, bytes } as const;
}

export function folder(path: string): Thing {
  return { entry: { kind: 'folder', path, mtime: 0 } };
}

/**
 * Eve: a device that was paired once, and says whatever a test tells her to. She speaks the
 * protocol by hand, so that no rule of the program keeps her from anything.
 */
export class Rogue implements AsyncDisposable {
  readonly home: Home;
  readonly #self: Self;
  readonly #open = new Set<Talk>();
  #close = (): void => {};

  private constructor(home: Home, self: Self) {
    this.home = home;
    this.#self = self;
  }

  static async make(): Promise<Rogue> {
    const home = new Home();
    return new Rogue(home, await openSelf({ home: home.state, name: 'Eve' }));
  }

  get id() {
    return this.#self.identity.id;
  }

  /** Makes somebody take her for a friend. */
  async befriend(
    { state }: Pick<Home, 'state'>,
    name = 'Eve',
    how: 'ask' | 'auto' = 'ask',
  ): Promise<void> {
    const { trust } = await openSelf({ home: state });
    await trust.add({ id: this.id, name });
    await trust.setTrust(this.id, how);
  }

  /** Comes to a receiver as a sender, and says her name. */
  async call(port: number, name = 'Eve', newest = 1): Promise<Talk> {
    const talk = await this.#dial(port);
    talk.say({ type: 'hello', newest, oldest: 1, intent: 'send', knows: true });
    await talk.hear('welcome');
    talk.say({ type: 'intro', name });
    await talk.hear('intro');
    talk.live();
    return talk;
  }

  /** Comes to who shares something, to fetch it or to look at it, and says her name. */
  async fetch(port: number, continues?: string, intent: Intent = 'get'): Promise<Talk> {
    const talk = await this.#dial(port, 'sharer');
    talk.say({ type: 'hello', newest: 1, oldest: 1, intent, knows: true });
    await talk.hear('welcome');
    talk.say({ type: 'intro', name: 'Eve', continues });
    await talk.hear('intro');
    talk.live();
    return talk;
  }

  /** Comes to a receiver that does not know her, with its first code, and says her name. */
  async pair(port: number, code: string, name: string): Promise<void> {
    const { identity } = this.#self;
    const never = new AbortController().signal;
    const connection = await dial({ host: '127.0.0.1', port }, identity, never);
    const channel = new Channel('chooser', connection);
    const ends = { me: identity.id, peer: connection.peer, binding: connection.binding };
    const answer = { kind: 'code', code, epoch: 1 } as const;
    await greetAsChooser(channel, ends, { intent: 'send', knows: false, answer });
    await introduce(channel, name);
    await connection.end();
  }

  /** Waits for senders as a receiver, or for those who fetch. Returns her port. */
  async wait(
    onTalk: (talk: Talk) => Promise<void>,
    name = 'Eve',
    way: Way = 'send',
  ): Promise<number> {
    const { port, close } = await listen([0], this.#self.identity, {
      card: { run: '1234567890abcdef', name: 'Eve', part: 'announcer', way },
      onConnection: async (connection) => {
        const talk = this.#keep(new Talk(connection));
        try {
          await talk.hear('hello');
          talk.say({ type: 'welcome', newest: 1, oldest: 1, terms: 'known', epoch: 1 });
          talk.say({ type: 'intro', name });
          await talk.hear('intro');
          talk.live();
          await onTalk(talk);
        } catch (error) {
          talk.fault = error;
          talk.leave();
        }
      },
    });
    this.#close = close;
    return port;
  }

  /** Lets nobody in any more. */
  shut(): void {
    this.#close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    for (const talk of this.#open) talk.leave();
    await this.home[Symbol.asyncDispose]();
  }

  /** Whoever comes too often is not let in at once. */
  async #dial(port: number, door?: Door): Promise<Talk> {
    const never = new AbortController().signal;
    for (let tries = 0; ; tries++)
      try {
        const at = { host: '127.0.0.1', port };
        const connection = await dial(at, this.#self.identity, never, door);
        return this.#keep(new Talk(connection));
      } catch (error) {
        if (tries === MAX_TRIES || !(error instanceof DropError)) throw error;
        await sleep(PAUSE);
      }
  }

  #keep(talk: Talk): Talk {
    this.#open.add(talk);
    return talk;
  }
}

/** One connection, and all that was said to Eve over it. */
export class Talk {
  /** But for `alive`. */
  readonly heard: Message[] = [];
  /** How it ended: what the other side cancelled it with, or only that it is gone. */
  ended: ErrorCode | 'gone' | undefined;
  /** What went wrong on Eve's side. */
  fault: unknown;
  readonly #connection: Connection;
  readonly #changes = new Changes();
  /** What of `heard` was asked for. */
  #next = 0;
  #deaf = false;
  #beat: NodeJS.Timeout | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
    connection.greeted(FOR_EVER);
    void this.#listen();
  }

  /** Says that she is alive from now on. */
  live(): void {
    this.#beat = setInterval(() => this.say({ type: 'alive' }), BEAT);
  }

  say(message: Message): void {
    void this.#connection.write(...encode(message)).catch(() => {});
  }

  /** Says what no program would: any body under any kind. Text and objects are sent as JSON. */
  utter(kind: number, body: Uint8Array | object | string): void {
    const isRaw = typeof body === 'string' || body instanceof Uint8Array;
    void this.#connection.write(frame(kind, isRaw ? body : JSON.stringify(body))).catch(() => {});
  }

  /** The next message of one of these types; what came before it is passed over. */
  hear<T extends Message['type']>(...types: T[]): Promise<MessageOf<T>> {
    return this.#changes.until(
      () => {
        while (this.#next < this.heard.length) {
          const message = this.heard[this.#next++];
          if (types.some((type) => type === message?.type)) return message as MessageOf<T>;
        }
        if (this.ended) throw new Error(`It ended: ${this.ended}. ${this.#seen()}`);
        return undefined;
      },
      () => `No "${types.join()}". ${this.#seen()}`,
    );
  }

  /** How it ended, once it has. */
  end(): Promise<ErrorCode | 'gone'> {
    return this.#changes.until(
      () => this.ended,
      () => `It goes on. ${this.#seen()}`,
    );
  }

  /** How the other side answers an offer: it wants something of it, or that was the end. */
  answer(): Promise<ErrorCode | 'gone' | 'want'> {
    return this.#changes.until(
      () => (this.heard.some(({ type }) => type === 'want') ? 'want' : this.ended),
      () => `No answer. ${this.#seen()}`,
    );
  }

  /** Reads nothing any more. */
  deafen(): void {
    this.#deaf = true;
  }

  leave(): void {
    this.#connection.destroy();
  }

  /** Offers like an honest device, up to the point where something is wanted of it. */
  offer(entries: readonly Entry[], roots = rootsOf(entries)): void {
    this.say({ type: 'begin', continues: null, checksum: false, digests: ['sha256'] });
    this.say({ type: 'roots', names: roots, final: true });
    this.more(entries);
  }

  /** An offer of all that is to come. */
  more(entries: readonly Entry[]): void {
    this.say({
      type: 'offer',
      entries: entries.slice(),
      files: entries.filter(hasData).length,
      bytes: entries.reduce((sum, entry) => sum + sizeOf(entry), 0),
      final: true,
    });
  }

  /** Sends a file as a whole. */
  send(entry: number, bytes: Uint8Array): void {
    if (bytes.length > 0) this.say({ type: 'chunk', entry, offset: 0, bytes });
    this.say({ type: 'end', entry, digest: sha256(bytes) });
  }

  /** Sends small files as a whole in one frame: all of them, or as this digest says something else. */
  sendTogether(all: readonly (readonly [entry: number, bytes: Uint8Array, digest?: Uint8Array])[]) {
    const files = all.map(([entry, bytes, digest = sha256(bytes)]) => ({ entry, digest, bytes }));
    this.say({ type: 'files', files });
  }

  /** Delivers like an honest device, one by one. Returns what became of each of them. */
  async deliver(things: readonly Thing[]): Promise<string[]> {
    const entries = things.map(({ entry }) => entry);
    this.offer(entries);
    const fates = await this.decided(entries);
    for (const [i, { bytes = new Uint8Array(0) }] of things.entries()) {
      // What was kept of it is sent all the same: it starts over.
      if (!/^(wanted|kept)/.test(fates[i] ?? '')) continue;
      this.send(i, bytes);
      fates[i] = await this.settled(i);
    }
    this.say({ type: 'done' });
    await this.hear('complete');
    return fates;
  }

  /** What became of a file that was sent: it is `stored`, or why not. */
  settled(entry: number): Promise<string> {
    return this.#changes.until(
      () => {
        const fate = this.heard.find(
          (one) =>
            (one.type === 'stored' && one.entries.includes(entry)) ||
            (one.type === 'failed' && one.entry === entry),
        );
        if (fate === undefined && this.ended) throw new Error(`It ended: ${this.ended}.`);
        return fate && (fate.type === 'failed' ? fate.code : fate.type);
      },
      () => `Nothing became of ${entry}. ${this.#seen()}`,
    );
  }

  /** What the other side says that it wants of them. */
  async decided(entries: readonly Entry[]): Promise<string[]> {
    const fates: string[] = [];
    while (fates.length < entries.length) {
      const { count, skip, kept, failed } = await this.hear('want');
      for (const entry of entries.slice(fates.length, fates.length + count))
        fates.push(hasData(entry) ? 'wanted' : 'placed');
      for (const { entry, reason } of skip) fates[entry] = reason;
      for (const { entry, size } of kept) fates[entry] = `kept ${size}`;
      for (const { entry, code } of failed) fates[entry] = code;
    }
    return fates;
  }

  async #listen(): Promise<void> {
    const decoder = new FrameDecoder();
    decoder.greeted();
    try {
      for await (const bytes of this.#connection.incoming) {
        for (const piece of decoder.push(bytes)) {
          const message = decode(piece);
          if (message.type === 'cancel') this.ended = message.code;
          // What lies in a piece is overwritten by the next one.
          if (message.type === 'chunk') this.heard.push(withOwnBytes(message));
          else if (message.type === 'files')
            this.heard.push({ ...message, files: message.files.map(withOwnBytes) });
          else if (message.type !== 'alive') this.heard.push(message);
          this.#changes.announce();
        }
        if (this.#deaf) await this.#connection.over;
      }
    } catch {
      // It broke, which is an end like any other.
    }
    clearInterval(this.#beat);
    this.ended ??= 'gone';
    this.#changes.announce();
    void this.#connection.end();
  }

  #seen(): string {
    const last = this.heard.slice(-5).map((message) => JSON.stringify(message).slice(0, 300));
    return `Heard at last: ${last.join(' ')}`;
  }
}

function withOwnBytes<T extends { readonly bytes: Uint8Array }>(one: T): T {
  return { ...one, bytes: Uint8Array.from(one.bytes) };
}

function rootsOf(entries: readonly Entry[]): string[] {
  return [...new Set(entries.map(({ path }) => rootOf(path)))];
}

/** Attempts to be let in, and ms between them. */
const MAX_TRIES = 50;
const PAUSE = 100;

/** ms. */
const BEAT = 200;
const FOR_EVER = 600_000;
