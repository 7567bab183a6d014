import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { openHome } from '../../src/disk/home.ts';
import { type Identity, loadIdentity } from '../../src/disk/identity.ts';
import type { PeerId } from '../../src/events.ts';
import { FrameDecoder } from '../../src/protocol/frame.ts';
import { decode, encode, type Message, type MessageType } from '../../src/protocol/message.ts';
import { Channel, type Pipe } from '../../src/transfer/channel.ts';
import { type Answer, greetAsChooser, introduce } from '../../src/transfer/greeting.ts';
import { Home } from './home.ts';
import { Changes } from './process.ts';

export interface AttackOptions extends Omit<ConnectionOptions, 'port'> {
  /** Where it comes from; else each comes from a loopback address of its own. */
  readonly from?: string;
}

/**
 * Somebody who calls a receiver, speaks TLS and the frames of the protocol, and unlike `Channel`
 * says whatever it is told to. What it is not told to do wrongly it does rightly.
 */
export class Attacker implements Pipe {
  /** All that was said to it so far. */
  readonly heard: Message[] = [];
  /** Resolves when the connection is closed. */
  readonly gone: Promise<void>;
  readonly socket: TLSSocket;
  readonly #raw: Socket;
  readonly #identity: Identity;
  readonly #received: Uint8Array[] = [];
  readonly #changes = new Changes();
  #closed = false;

  private constructor(raw: Socket, identity: Identity, options: ConnectionOptions) {
    const { key, cert } = identity;
    const honest = { key, cert, ALPNProtocols: ['drop/1'], rejectUnauthorized: false };
    const socket = tlsConnect({ ...honest, ...options, socket: raw });
    this.#raw = raw.on('error', () => {});
    this.socket = socket;
    this.#identity = identity;
    const decoder = new FrameDecoder();
    decoder.greeted();
    socket.on('error', () => {});
    socket.on('data', (bytes: Uint8Array) => {
      this.#received.push(bytes);
      for (const piece of decoder.push(bytes)) this.heard.push(decode(piece));
      this.#changes.announce();
    });
    this.gone = new Promise((resolve) => socket.once('close', resolve));
    socket.once('close', () => {
      this.#closed = true;
      this.#changes.announce();
    });
  }

  /** Calls whoever listens there. Resolves when its part of the handshake is done, or has failed. */
  static async call(port: number, identity: Identity, options: AttackOptions = {}) {
    const { from: localAddress = nextAddress(), host = '127.0.0.1', ...tls } = options;
    const attacker = new Attacker(connect({ host, port, localAddress }), identity, tls);
    attacker.#raw.setNoDelay(true);
    await Promise.race([
      new Promise((resolve) => attacker.socket.once('secureConnect', resolve)),
      attacker.gone,
    ]);
    return attacker;
  }

  /** Says these, whether or not it is time for them. */
  say(...messages: Message[]): void {
    for (const message of messages) this.send(...encode(message));
  }

  send(...parts: Uint8Array[]): void {
    if (this.socket.writable) this.socket.write(Buffer.concat(parts));
  }

  /** The first message of this type; fails if the connection ends without. */
  hears(type: MessageType): Promise<Message> {
    return this.#changes.until(
      () => {
        const found = this.heard.find((message) => message.type === type);
        if (found === undefined && this.#closed) throw new Error(`no "${type}". ${this.#report()}`);
        return found;
      },
      () => this.#report(),
    );
  }

  /** Resolves when the other side has ended it, with the code that it gave, if any. */
  async refused(): Promise<string | undefined> {
    await this.#changes.until(
      () => this.#closed || undefined,
      () => `It is still open. ${this.#report()}`,
    );
    const last = this.heard.at(-1);
    return last?.type === 'cancel' ? last.code : undefined;
  }

  /** Greets as an honest program does: as one that is known, or with an answer. */
  async greet(id: PeerId, answer?: Answer): Promise<Channel> {
    const channel = new Channel('chooser', this);
    const binding = this.socket.exportKeyingMaterial(32, BINDING, Buffer.alloc(0));
    const ends = { me: this.#identity.id, peer: id, binding };
    const knows = answer === undefined;
    await greetAsChooser(channel, ends, { intent: 'send', knows, answer });
    return channel;
  }

  /** The same, names included. */
  async enter(id: PeerId, answer?: Answer): Promise<Channel> {
    const channel = await this.greet(id, answer);
    await introduce(channel, 'Eve');
    return channel;
  }

  get incoming(): AsyncIterable<Uint8Array> {
    return this.#read();
  }

  async write(...parts: Uint8Array[]): Promise<void> {
    this.send(...parts);
  }

  async end(): Promise<void> {
    this.socket.end();
    await this.gone;
  }

  /** Hangs up by a reset. */
  reset(): void {
    this.#raw.resetAndDestroy();
  }

  async *#read(): AsyncGenerator<Uint8Array, void> {
    for (let next = 0; ; next++) {
      const bytes = await this.#changes.until(
        () => this.#received[next] ?? (this.#closed ? null : undefined),
        () => this.#report(),
      );
      if (bytes === null) return;
      yield bytes;
    }
  }

  #report(): string {
    return `It heard ${JSON.stringify(this.heard)}`;
  }
}

const BINDING = 'EXPORTER-drop-v1-cpace';

/** A frame, of a length that need not be that of its body. */
export function frame(kind: number, body: Uint8Array | string, length?: number): Uint8Array {
  const bytes = Buffer.from(body);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(length ?? bytes.length);
  head[4] = kind;
  return Buffer.concat([head, bytes]);
}

/** Somebody new. */
export async function newIdentity(): Promise<Identity> {
  await using home = new Home();
  await openHome(home.state);
  return await loadIdentity(home.state);
}

/** Resolves when a socket is closed, whoever closed it. */
export function closed(socket: Socket): Promise<void> {
  socket.on('error', () => {}).resume();
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });
}

let addresses = 0;

/** No two attacks come from one address, as each address has but four places. */
export function nextAddress(): string {
  const number = addresses++;
  return `127.1.${number >> 8}.${number & 255}`;
}
