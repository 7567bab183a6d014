import { constants } from 'node:crypto';
import { createServer, type OnReadOpts, type Server, type Socket } from 'node:net';
import {
  connect,
  createSecureContext,
  type SecureContext,
  type SecureContextOptions,
  TLSSocket,
} from 'node:tls';
import { DropError } from '../errors.ts';
import type { PeerId } from '../events.ts';
import {
  GREETING_LIMIT,
  MAX_BUFFERED,
  SILENCE_LIMIT,
  STALL_LIMIT,
  type StrangerLimits,
} from '../limits.ts';
import { peerIdOf } from '../peer-id.ts';
import { concat } from '../protocol/bytes.ts';
import { type Card, decodeCard, encodeCard } from '../protocol/card.ts';
import type { Pipe } from '../transfer/channel.ts';
import { type Address, formatAddress } from './addresses.ts';
import { Intake } from './intake.ts';
import { Outflow } from './outflow.ts';
import { Strangers } from './strangers.ts';
import type { ProvenCard } from './watch.ts';

/** What TLS needs of an identity: PEM. */
export interface Credentials {
  readonly key: string;
  readonly cert: string;
}

/** A pipe to a peer that proved to have its key. */
export interface Connection extends Pipe {
  readonly peer: PeerId;
  /** 32 bytes that both ends of this connection, and nobody else, can derive (RFC 8446, 7.5). */
  readonly binding: Uint8Array;
  /** The address at the other end, without port. */
  readonly remote: string;
  /** Whether we have dialled it. */
  readonly dialled: boolean;
  /** For how many milliseconds nothing came; a greeted peer says `alive` every few seconds. */
  readonly silence: number;
  /** Bytes that came and that nobody has heard yet. */
  readonly unheard: number;
  /** Resolves when nothing more can come of it. */
  readonly over: Promise<void>;
  /** A greeting begins now, on a line that has waited: its time limit counts from here. */
  greeting(): void;
  /**
   * The peer is known to be welcome: the time limit of the greeting is off. From now on it may be
   * silent for so many milliseconds; a greeted one says `alive` several times in the default.
   */
  greeted(silence?: number): void;
  /** Drops it at once; whoever reads or writes gets `error`. */
  destroy(error?: DropError): void;
}

export interface ListenOptions {
  /** What it says of itself to whoever asks; without one, only connections for data are taken. */
  readonly card?: Card | undefined;
  /** Gets each connection that has proven a key. */
  readonly onConnection: (connection: Connection) => void;
  /** Hears that somebody asked for the card, and from which address. */
  readonly onAsked?: ((remote: string) => void) | undefined;
  /** What those may take of us who are not greeted yet. */
  readonly limits?: StrangerLimits | undefined;
  /** May turn away those who come to some address of ours, or from some address. */
  readonly admits?: ((local: string, remote: string) => boolean) | undefined;
}

export interface Listener {
  readonly port: number;
  close(): void;
}

/** What is spoken to whoever listens: no connection is taken for one of another kind. */
const ALPN: Readonly<Record<Door, string>> = {
  receiver: 'drop/1',
  sharer: 'drop/1 share',
  chooser: 'drop/1 line',
  data: 'drop/1 data',
};

/** Who listens: to be sent to, to be fetched from, to be called back, or for data alone. */
export type Door = 'receiver' | 'sharer' | 'chooser' | 'data';

function doorOf(card: Card | undefined): Door {
  if (card === undefined) return 'data';
  if (card.part === 'chooser') return 'chooser';
  return card.way === 'get' ? 'sharer' : 'receiver';
}

/** Who asks for this wants the card alone, and shows no certificate. */
const ALPN_CARD = 'drop/1 card';

const BINDING = 'EXPORTER-drop-v1-cpace';

/** Made once: it takes as long as half a handshake, and a list asks for many cards. */
const ANONYMOUS = createSecureContext(profile({}));

/** Connects to a listener, and proves who both are. Does not look at who the peer is. */
export function dial(
  address: Address,
  credentials: Credentials,
  signal: AbortSignal,
  at: Door = 'receiver',
): Promise<Connection> {
  const context = createSecureContext(profile(credentials));
  let wire: Wire | undefined;
  const intake = new Intake();
  // Without it each record of 16 KiB would be memory of its own. A socket that was accepted cannot
  // do so: Node takes `onread` only where it makes the connection itself.
  const onread = {
    buffer: () => intake.space(),
    callback(count: number): boolean {
      if (wire === undefined) intake.filled(count);
      else wire.hear(() => intake.filled(count));
      return true;
    },
  };
  return handshake(
    address,
    context,
    ALPN[at],
    signal,
    (socket) => {
      wire = new Wire(socket, socket, ALPN[at], new Limit(socket), intake);
      return wire;
    },
    onread,
  );
}

/** Asks for a card, and for the proof of its key, without telling who asks. */
export function probe(address: Address, signal: AbortSignal): Promise<ProvenCard> {
  return handshake(address, ANONYMOUS, ALPN_CARD, signal, async (socket) => {
    const id = proven(socket, ALPN_CARD);
    try {
      return { id, ...(await readCard(socket)) };
    } finally {
      socket.destroy();
    }
  });
}

async function readCard(socket: TLSSocket): Promise<Card> {
  let bytes: Uint8Array = new Uint8Array(0);
  for await (const piece of socket) {
    bytes = concat(bytes, piece as Uint8Array);
    const card = decodeCard(bytes);
    if (card !== undefined) return card;
  }
  throw new DropError('disconnected');
}

/** Listens on all addresses, IPv6 and IPv4, on the first of `ports` that is free. */
export async function listen(
  ports: readonly number[],
  credentials: Credentials,
  { card, onConnection, onAsked, limits, admits = () => true }: ListenOptions,
): Promise<Listener> {
  const alpn = ALPN[doorOf(card)];
  const secureContext = createSecureContext({
    ...profile(credentials),
    // A resumed session would skip the proof of the key.
    secureOptions: constants.SSL_OP_NO_TICKET,
    sessionIdContext: alpn,
  });
  const strangers = new Strangers({ limits });
  const server = createServer({ noDelay: true }, (raw) => {
    raw.on('error', () => raw.destroy());
    const remote = raw.remoteAddress ?? '';
    if (!admits(raw.localAddress ?? '', remote)) return void raw.destroy();
    if (!strangers.admit(raw, remote)) return void raw.destroy();
    const limit = new Limit(raw, () => strangers.leave(raw));
    const socket = new TLSSocket(raw, {
      isServer: true,
      secureContext,
      requestCert: true,
      rejectUnauthorized: false, // There is no authority; `proven` is the authentication.
      ALPNProtocols: card ? [alpn, ALPN_CARD] : [alpn],
    });
    socket.on('error', () => raw.destroy());
    socket.once('secure', () => {
      if (card && socket.alpnProtocol === ALPN_CARD) {
        socket.end(encodeCard(card));
        onAsked?.(remote);
        return;
      }
      try {
        onConnection(new Wire(socket, raw, alpn, limit));
      } catch {
        raw.destroy();
      }
    });
  });
  for (const [i, port] of ports.entries())
    try {
      const bound = await bind(server, port);
      return {
        port: bound,
        close() {
          server.close();
          strangers.dismissAll();
        },
      };
    } catch (error) {
      if (i === ports.length - 1) throw cannotListen(port, error);
    }
  throw new DropError('usage', { message: 'There is no port to listen on.' });
}

function profile({ key, cert }: Partial<Credentials>): SecureContextOptions {
  return {
    ...(key === undefined ? {} : { key }),
    ...(cert === undefined ? {} : { cert }),
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers: 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256',
    // One kind of key: nothing to negotiate, no costly RSA to verify.
    sigalgs: 'ecdsa_secp256r1_sha256',
    ecdhCurve: 'X25519:P-256',
  };
}

function handshake<T>(
  { host, port }: Address,
  secureContext: SecureContext,
  alpn: string,
  signal: AbortSignal,
  use: (socket: TLSSocket) => T | Promise<T>,
  onread?: OnReadOpts,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port,
      ...(onread && { onread }),
      secureContext,
      servername: '',
      ALPNProtocols: [alpn],
      rejectUnauthorized: false, // As above.
    });
    socket.setNoDelay(true);
    const fail = (cause: unknown): void => {
      socket.destroy();
      reject(unreachable({ host, port }, cause, alpn));
    };
    const abort = (): void => fail(signal.reason);
    // Whoever calls has a limit of its own; this one nobody can forget.
    const limit = setTimeout(() => fail(undefined), GREETING_LIMIT);
    socket.once('close', () => clearTimeout(limit));
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    socket.once('close', () => signal.removeEventListener('abort', abort));
    socket.on('error', fail);
    socket.once('close', () => fail(undefined));
    socket.once('secureConnect', async () => {
      try {
        resolve(await use(socket));
      } catch (error) {
        fail(error);
      }
      clearTimeout(limit);
      signal.removeEventListener('abort', abort);
      socket.off('error', fail).on('error', () => socket.destroy());
    });
  });
}

/** The id of the peer, if the finished handshake is exactly what we require of it. */
function proven(socket: TLSSocket, alpn: string): PeerId {
  const certificate = socket.getPeerX509Certificate();
  if (
    certificate === undefined || // Node lets clients without one through.
    certificate.publicKey.asymmetricKeyType !== 'ec' ||
    socket.getProtocol() !== 'TLSv1.3' ||
    socket.alpnProtocol !== alpn || // Node lets clients that offer none through.
    socket.isSessionReused()
  )
    throw new DropError('unproven');
  return peerIdOf(certificate);
}

/** The time limit of a greeting, which ends the socket. */
class Limit {
  readonly #socket: Socket;
  readonly #off: () => void;
  #timer: NodeJS.Timeout | undefined;

  /** Starts it; `onOff` hears when it is off for the first time. */
  constructor(socket: Socket, onOff = (): void => {}) {
    this.#socket = socket;
    this.#off = onOff;
    this.start();
    socket.once('close', () => this.off());
  }

  /** Whatever comes meanwhile does not extend it. */
  start(): void {
    if (this.#timer !== undefined || this.#socket.destroyed) return;
    this.#timer = setTimeout(() => this.#socket.destroy(), GREETING_LIMIT);
  }

  off(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#off();
  }
}

/** TLS over TCP as a pipe. */
class Wire implements Connection {
  readonly peer: PeerId;
  readonly binding: Uint8Array;
  readonly remote: string;
  readonly dialled: boolean;
  readonly incoming: AsyncIterable<Uint8Array>;
  readonly over: Promise<void>;
  readonly #socket: TLSSocket;
  readonly #limit: Limit;
  readonly #intake: Intake;
  /** Whether whoever reads is about to be told that something came. */
  #waking = false;
  readonly #outflow: Outflow;
  #ended = false;
  #failure: DropError | undefined;
  #wake = (): void => {};
  #ending: Promise<void> | undefined;
  #heardAt = performance.now();
  /** Writes that wait, and since when the oldest of them is the oldest. */
  #waiting = 0;
  #writtenAt = 0;
  #watch: NodeJS.Timeout | undefined;

  /** `intake`: what gets the bytes from the socket, which is not asked for them then. */
  constructor(socket: TLSSocket, raw: Socket, alpn: string, limit: Limit, intake?: Intake) {
    this.peer = proven(socket, alpn);
    this.binding = socket.exportKeyingMaterial(32, BINDING, Buffer.alloc(0));
    this.remote = raw.remoteAddress ?? '';
    this.dialled = intake !== undefined;
    this.incoming = this.#read();
    this.over = new Promise((resolve) => {
      socket.once('end', resolve).once('close', resolve);
    });
    this.#socket = socket;
    this.#limit = limit;
    this.#intake = intake ?? new Intake();
    this.#outflow = new Outflow(socket);
    if (intake === undefined)
      socket.on('data', (bytes: Buffer) => this.hear(() => this.#intake.add(bytes)));
    socket.on('end', () => {
      this.#ended = true;
      this.#wake();
    });
    socket.on('error', (cause) => this.#fail(new DropError('disconnected', { cause })));
    socket.on('close', () => this.#fail(new DropError('disconnected')));
  }

  /** Something came, and is to be taken in. */
  hear(takeIn: () => void): void {
    if (this.#ending !== undefined) return; // Nobody listens any more.
    takeIn();
    this.#heardAt = performance.now();
    if (this.#intake.length > MAX_BUFFERED) this.#socket.pause();
    if (this.#waking) return;
    this.#waking = true;
    // What else has come by then is heard with it.
    setImmediate(() => {
      this.#waking = false;
      this.#wake();
    });
  }

  get unheard(): number {
    return this.#intake.length;
  }

  get silence(): number {
    // While we are the ones who do not listen, it says nothing.
    return this.#socket.isPaused() ? 0 : performance.now() - this.#heardAt;
  }

  greeting(): void {
    this.#limit.start();
  }

  greeted(silence = SILENCE_LIMIT): void {
    this.#limit.off();
    clearInterval(this.#watch);
    if (this.#failure !== undefined) return; // It is over already.
    this.#heardAt = performance.now();
    let looked = performance.now();
    this.#watch = setInterval(() => {
      const now = performance.now();
      // Whoever was stopped for a while has heard nothing, and hears now what came meanwhile.
      if (now - looked > silence / 2) this.#heardAt = this.#writtenAt = now;
      looked = now;
      // While we are the ones who do not listen, silence says nothing; but then what we write
      // must go out.
      if (this.#socket.isPaused()) this.#heardAt = now;
      const stalled = this.#waiting > 0 && now - this.#writtenAt > STALL_LIMIT;
      if (stalled || now - this.#heardAt > silence) this.destroy();
    }, silence / 10);
  }

  write(...parts: Uint8Array[]): Promise<void> {
    if (this.#failure !== undefined || this.#ending !== undefined)
      return Promise.reject(this.#failure ?? new DropError('disconnected'));
    if (this.#waiting++ === 0) this.#writtenAt = performance.now();
    return new Promise((resolve, reject) => {
      this.#outflow.write(parts, (cause) => {
        this.#waiting -= 1;
        this.#writtenAt = performance.now();
        if (cause) reject(this.#failure ?? new DropError('disconnected', { cause }));
        else resolve();
      });
    });
  }

  end(): Promise<void> {
    this.#ending ??= this.#failure ? Promise.resolve() : this.#close();
    return this.#ending;
  }

  destroy(error = new DropError('disconnected')): void {
    this.#fail(error);
    this.#socket.destroy();
  }

  #close(): Promise<void> {
    return new Promise((resolve) => {
      const limit = setTimeout(() => this.#socket.destroy(), CLOSING_LIMIT);
      this.#socket.once('close', () => {
        clearTimeout(limit);
        resolve();
      });
      this.#outflow.flush();
      this.#socket.end();
      // Nobody reads any more, and an end is only seen by who reads.
      this.#socket.resume();
    });
  }

  #fail(error: DropError): void {
    clearInterval(this.#watch);
    this.#failure ??= error;
    this.#wake();
  }

  async *#read(): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      const bytes = this.#intake.take();
      if (bytes !== undefined) {
        if (this.#socket.isPaused() && this.#intake.length < MAX_BUFFERED / 2)
          this.#socket.resume();
        yield bytes;
      } else if (this.#ended) return;
      else if (this.#failure) throw this.#failure;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}

/** How long a closing connection may take to hand over what was written. */
const CLOSING_LIMIT = 3_000;

function bind(server: Server, port: number): Promise<number> {
  const attempt = (host: string): Promise<number> =>
    new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port, host }, () => {
        server.off('error', reject);
        // Whoever could not be taken in, as there are no handles for instance, may come again.
        server.on('error', () => {});
        const address = server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  return attempt('::').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EAFNOSUPPORT' && error.code !== 'EADDRNOTAVAIL') throw error;
    return attempt('0.0.0.0');
  });
}

function cannotListen(port: number, cause: unknown): unknown {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE')
    return new DropError('usage', {
      message: `Port ${port} is taken by another program.`,
      hint: 'Choose another one, or none, and a free one is found.',
      cause,
    });
  if (code === 'EACCES')
    return new DropError('not-permitted', { message: `Port ${port} is not for you.`, cause });
  return cause;
}

function unreachable(address: Address, cause: unknown, alpn: string): DropError {
  if (cause instanceof DropError) return cause;
  const { code } = (cause ?? {}) as NodeJS.ErrnoException;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return new DropError('not-found', {
      message: `There is no host called "${address.host}".`,
      hint: 'The names and addresses of devices: drop peers',
      cause,
    });
  const command = alpn === ALPN.sharer ? 'drop share' : 'drop receive';
  if (code === 'ECONNREFUSED')
    return new DropError('unreachable', {
      message: `Nothing takes connections at ${formatAddress(address)}.`,
      hint: `Is \`${command}\` running there? If it is, a firewall keeps others away: drop doctor`,
      cause,
    });
  if (code === OTHER_DOOR && (alpn === ALPN.receiver || alpn === ALPN.sharer)) {
    return new DropError('not-found', {
      message: `What answers at ${formatAddress(address)} is no \`${command}\`.`,
      hint: `Start \`${command}\` there, or name its port.`,
      cause,
    });
  }
  return new DropError('unreachable', {
    message: `${formatAddress(address)} does not answer.`,
    cause,
  });
}

/** Whoever listens there is not there for what we want. */
const OTHER_DOOR = 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL';
