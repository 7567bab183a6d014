import Bonjour from 'bonjour-service';
import { type Clock, systemClock } from './clock.ts';
import { guardedSocket, type Kind, MDNS_PORT } from './guard.ts';
import { followLinks, type Link, type LinkOptions } from './links.ts';
import { Survey, type Tally } from './survey.ts';

export interface VoiceOptions extends LinkOptions {
  readonly signal?: AbortSignal | undefined;
  /** Hears of links that fail, once for each kind of failure; the others carry on. */
  readonly onTrouble?: ((trouble: Trouble) => void) | undefined;
  /** Counts what is said and heard. */
  readonly survey?: Survey | undefined;
  readonly clock?: Clock | undefined;
}

/** …and what to listen for. */
type Speaking = VoiceOptions & { readonly kind: Kind };

/** What is wrong on one link. It is tried again by itself. */
interface Trouble {
  readonly interface: string;
  readonly family: 'IPv4' | 'IPv6';
  /** The system's word for it: `EADDRINUSE`, `EPERM` (a firewall), `ENETUNREACH`. */
  readonly code: string;
}

/**
 * Keeps one instance of bonjour-service at work on each link: it can speak on one interface
 * only, never notices that its addresses changed, and may bring down all if one fails.
 */
export function speakOnLinks(
  start: Start,
  options: Speaking,
): { close(grace?: number): Promise<void> } {
  const speakers = new Map<string, Speaker>();
  const following = followLinks((added, removed) => {
    for (const { key } of removed) {
      void speakers.get(key)?.close();
      speakers.delete(key);
    }
    for (const link of removed) options.survey?.forget(link);
    for (const link of added) speakers.set(link.key, speak(link, start, options));
  }, options);
  return {
    async close(grace) {
      following.close();
      await Promise.all([...speakers.values()].map((speaker) => speaker.close(grace)));
    },
  };
}

export type Start = (voice: Voice, link: Link) => () => void;

/** What we use of bonjour-service and of multicast-dns inside it; their own types hide most. */
export interface Voice {
  publish(service: object): { records: () => DnsRecord[] };
  find(service: { readonly type: string; readonly protocol: 'tcp' }): Browser;
  unpublishAll(done: () => void): void;
  destroy(done: () => void): void;
  readonly server: { readonly mdns: Mdns };
}

const Voice = Bonjour as unknown as new (options: object, onError: () => void) => Voice;

export interface Browser {
  on(event: 'up', listener: (service: unknown) => void): void;
  stop(): void;
  /** What was reported already, and will not be again. */
  readonly services: unknown[];
}

interface Mdns {
  on(event: 'error' | 'warning', listener: (error: unknown) => void): void;
  on(event: 'query' | 'response', listener: Listener): void;
  prependListener(event: 'query', listener: Listener): void;
  send(packet: DnsPacket, to: Sent | Source | null, sent?: Sent): void;
}

type Listener = (packet: DnsPacket, source: Source) => void;

interface Source {
  readonly address: string;
  readonly port: number;
}

type Sent = (error?: Error | null) => void;

interface DnsPacket {
  readonly id?: number;
  readonly type?: 'query' | 'response';
  readonly flags?: number;
  readonly questions?: readonly { readonly name: string; readonly type: string }[];
  readonly answers?: readonly DnsRecord[];
  readonly additionals?: readonly DnsRecord[];
}

export interface DnsRecord {
  readonly name: string;
  readonly type: string;
  readonly ttl?: number;
  readonly data?: unknown;
}

/** Milliseconds until a link that failed is set up anew; doubled each time, up to the last. */
const FIRST_RETRY = 1000;
const LAST_RETRY = 30_000;

interface Speaker {
  /** Leaves the link, after a goodbye if there are `grace` milliseconds for it. */
  close(grace?: number): Promise<void>;
}

function speak(link: Link, start: Start, options: Speaking): Speaker {
  const { onTrouble, kind, survey = new Survey(), clock = systemClock } = options;
  const tally = survey.of(link);
  const told = new Set<string>();
  let leave = async (_grace?: number) => {};
  let cancelRetry = () => {};
  let wait = FIRST_RETRY;
  let isTaken = false;
  let closed = false;

  const open = () => {
    const opened = clock.now();
    let failed = false;
    const fail = (error: unknown) => {
      if (failed || closed) return;
      failed = true;
      const code = codeOf(error);
      tally.failed(code);
      if (!told.has(code)) onTrouble?.({ interface: link.name, family: link.family, code });
      told.add(code);
      // Nothing can be said by it any more, so it leaves without a goodbye, and once.
      const left = leave();
      leave = () => left;
      // Whoever only asks can do so from any port, and is answered there (RFC 6762, 6.7).
      if (code === 'EADDRINUSE' && kind !== 'questions' && !isTaken) {
        isTaken = true;
        open();
        return;
      }
      if (clock.now() - opened > LAST_RETRY) wait = FIRST_RETRY;
      cancelRetry = clock.after(wait, open);
      wait = Math.min(2 * wait, LAST_RETRY);
    };
    let stop = () => {};
    leave = async () => {};
    try {
      // A voice that has gone takes every word for said.
      const said = () => {
        if (!failed) tally.said(isTaken);
      };
      const voice = makeVoice(link, { kind, isTaken, tally, clock, said, fail });
      leave = async (grace = 0) => {
        stop();
        await silence(voice, clock, grace);
      };
      stop = start(voice, link);
    } catch (error) {
      fail(error);
    }
  };

  open();
  return {
    async close(grace) {
      closed = true;
      cancelRetry();
      await leave(grace);
    },
  };
}

async function silence(voice: Voice, clock: Clock, grace: number): Promise<void> {
  if (grace > 0)
    await new Promise<void>((resolve) => {
      const cancel = clock.after(grace, resolve);
      voice.unpublishAll(() => {
        cancel();
        resolve();
      });
    });
  await new Promise<void>((resolve) => voice.destroy(resolve));
}

interface Making {
  readonly kind: Kind;
  /** Whether port 5353 is another program's alone. */
  readonly isTaken: boolean;
  readonly tally: Tally;
  readonly clock: Clock;
  readonly said: () => void;
  readonly fail: (error: unknown) => void;
}

function makeVoice(link: Link, { kind, isTaken, tally, clock, said, fail }: Making): Voice {
  const onArrival = (address: string) => tally.heard(address);
  const { socket } = guardedSocket(link, { kind, onArrival, clock });
  const voice = new Voice(
    link.family === 'IPv4'
      ? // Bound to its address alone, as it would be otherwise, a socket on Linux is deaf.
        { interface: link.address, bind: !isTaken && '0.0.0.0', socket }
      : {
          type: 'udp6',
          ip: 'ff02::fb',
          interface: `::%${link.zone}`,
          ...(isTaken && { bind: false }),
          socket,
        },
    // Without one, the library throws where nobody can catch; `send` below has seen the error.
    () => {},
  );
  const { mdns } = voice.server;
  if (isTaken) socket.bind(0);
  mdns.on('error', fail);
  mdns.on('warning', (warning) => {
    // The others are packets that could not be decoded: not ours, and not worth a word.
    if (warning instanceof Error && 'syscall' in warning) fail(warning);
  });

  // The only place that sees every packet and every failure: the library announces the addresses
  // of all interfaces on each of them, and swallows what goes wrong when it asks or announces.
  const send = mdns.send;
  const isEcho = echoes(clock);
  /** Who asks from another port, while it is answered: it hears no multicast. */
  let asker: { readonly source: Source; readonly query: DnsPacket } | undefined;
  mdns.prependListener('query', (query, source) => {
    asker = source.port === MDNS_PORT ? undefined : { source, query };
  });
  mdns.on('query', () => {
    asker = undefined;
  });
  mdns.send = (packet, to, sent) => {
    const done = typeof to === 'function' ? to : sent;
    if (packet.type === 'response' && isEcho(packet)) {
      done?.();
      return;
    }
    const { id, questions } = asker?.query ?? {};
    const answer = asker && { ...packet, id: id ?? 0, questions: questions ?? [] };
    send(onlyOf(link, answer ?? packet), asker?.source ?? null, (error) => {
      if (error) fail(error);
      else said();
      done?.(error);
    });
  };
  return voice;
}

/** Milliseconds in which the same is not said twice: each question of a packet would be answered. */
const ECHO = 20;

/** Tells whether an answer was just given. */
function echoes(clock: Clock): (packet: DnsPacket) => boolean {
  let last = '';
  let at = Number.NEGATIVE_INFINITY;
  return ({ answers }) => {
    const said = JSON.stringify(answers);
    const now = clock.now();
    const again = said === last && now - at < ECHO;
    if (!again) [last, at] = [said, now];
    return again;
  };
}

/** A packet without the addresses of other links. */
function onlyOf(link: Link, packet: DnsPacket): DnsPacket {
  const ours = ({ type, data }: DnsRecord) =>
    (type !== 'A' && type !== 'AAAA') || link.networks.some(({ address }) => address === data);
  return {
    ...packet,
    ...(packet.answers && { answers: packet.answers.filter(ours) }),
    ...(packet.additionals && { additionals: packet.additionals.filter(ours) }),
  };
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
