import { isIP } from 'node:net';
import * as v from 'valibot';
import { MAX_ANNOUNCED_ADDRESSES, MAX_NEWS } from '../limits.ts';
import type { Way } from '../protocol/card.ts';
import { decodeKnock, encodeKnock, type Knock, type KnockIntent } from '../protocol/knock.ts';
import { clip, deviceName } from '../protocol/names.ts';
import { candidates, canonical, onLink, type Vantage } from './addresses.ts';
import { type Clock, systemClock } from './clock.ts';
import { latest } from './latest.ts';
import { type Link, ownAddresses } from './links.ts';
import { KNOCK_PORTS } from './ports.ts';
import { RUN } from './run.ts';
import {
  type Browser,
  type DnsRecord,
  speakOnLinks,
  type Voice,
  type VoiceOptions,
} from './voices.ts';
import type { Sighting } from './watch.ts';

/** `_drop-lan._tcp.local`: where processes of `drop` are announced and looked for. */
const SERVICE_TYPE = 'drop-lan';

export interface Announcement {
  /** This device, as others see it. */
  readonly name: string;
  /** This process, see `RUN`. Nothing that is announced outlives it but the name. */
  readonly run: string;
  readonly port: number;
  /** What it can be chosen for; by default to be sent to. */
  readonly way?: Way | undefined;
}

/**
 * What the record of a process says first. Whoever knows receivers alone reads nothing behind
 * another `v`, so that no list has a device in it that cannot be sent to.
 */
const KINDS = { send: '1', get: '2' } as const satisfies Record<Way, string>;

/** When an announcement is repeated, in milliseconds. */
const ANNOUNCED_AGAIN = [250, 1000];

/** RFC 1035, 4.1.1. */
const AUTHORITATIVE = 0x0400;

export interface AnnounceOptions extends VoiceOptions {
  /** Hears of choosers that cannot dial this process and ask it to dial them. */
  readonly onKnock?: ((knock: HeardKnock) => void) | undefined;
}

export interface Announcer {
  /** Withdraws the announcement; resolves, soon in any case, when nothing of it is left. */
  close(): Promise<void>;
}

/**
 * Announces this process on every link, as they come and go, until it is closed or the signal
 * is aborted. That nothing is reported does not mean that anybody hears it.
 */
export function announce(announcement: Announcement, options: AnnounceOptions = {}): Announcer {
  const { run, port, way = 'send' } = announcement;
  const { clock = systemClock } = options;
  const name = deviceName(announcement.name) || 'drop';
  const voices = speakOnLinks(
    (voice, { networks }) => {
      const isHere = (to: string) => networks.some(({ address }) => address === canonical(to));
      const service = voice.publish({
        name: instanceName(name, run),
        type: SERVICE_TYPE,
        protocol: 'tcp',
        port,
        // Our own host name: that of the machine belongs to the system's responder, which would
        // take ours for a conflict and rename the machine.
        host: `drop-${run}.local`,
        // A probe takes a second, and any stranger could answer it to keep us from announcing.
        probe: false,
        txt: { v: KINDS[way], id: run, n: name },
      });
      // The library asks the system for its addresses each time, which throws where nobody can
      // catch it when there are no handles left. On one link they are always the same.
      const records = service.records();
      service.records = () => records.map((record) => ({ ...record }));
      voice.server.mdns.on('query', ({ additionals = [] }, { address }) => {
        for (const knock of additionals.flatMap((record) => knockOf(record, address) ?? []))
          if (knock.to === run || isHere(knock.to)) options.onKnock?.(knock);
      });
      // The library's second announcement comes after three seconds, and the first may be lost.
      const repeats = ANNOUNCED_AGAIN.map((ms) =>
        clock.after(ms, () => {
          const answers = service.records();
          voice.server.mdns.send({ type: 'response', flags: AUTHORITATIVE, answers }, null);
        }),
      );
      return () => {
        for (const cancel of repeats) cancel();
      };
    },
    { ...options, kind: 'questions' },
  );
  let closing: Promise<void> | undefined;
  const close = () => {
    options.signal?.removeEventListener('abort', close);
    closing ??= voices.close(WITHDRAWAL);
    return closing;
  };
  options.signal?.addEventListener('abort', close);
  if (options.signal?.aborted) void close();
  return { close };
}

/** A knock that was heard. Anybody can say such things. */
export interface HeardKnock extends Knock {
  /** The address that it came from, scoped if link-local. */
  readonly from: string;
}

export interface Knocker {
  /** Knocks at an announcer, again and again until it is called off. */
  at(to: string, intent: KnockIntent): () => void;
  close(): Promise<void>;
}

/** Asks announcers to dial this process at `port`, on every link. */
export function knocker(port: number, options: VoiceOptions = {}): Knocker {
  const { clock = systemClock } = options;
  const voices = new Set<Voice>();
  const knocks = new Set<{ readonly record: DnsRecord; readonly intent: KnockIntent }>();
  let cancel = () => {};
  const say = (round: number) => {
    cancel();
    if (knocks.size === 0) return;
    const additionals = inTurn(knocks);
    for (const { server } of voices)
      server.mdns.send({ type: 'query', questions: [QUESTION], additionals }, null);
    cancel = clock.after(KNOCKS[round] ?? KNOCK, () => say(round + 1));
  };
  const speakers = speakOnLinks(
    (voice) => {
      voices.add(voice);
      say(0);
      return () => voices.delete(voice);
    },
    { ...options, kind: 'none' },
  );
  return {
    at(to, intent) {
      const knock = { record: recordOf({ to, intent, port }), intent };
      knocks.add(knock);
      say(0);
      return () => knocks.delete(knock);
    },
    async close() {
      knocks.clear();
      cancel();
      await speakers.close();
    },
  };
}

/** What one packet holds: those whom somebody chose, and of the others some, each time others. */
function inTurn(
  knocks: Set<{ readonly record: DnsRecord; readonly intent: KnockIntent }>,
): DnsRecord[] {
  const all = [...knocks];
  const chosen = all.filter(({ intent }) => intent !== 'look').slice(-MAX_KNOCKS);
  const others = all.filter(({ intent }) => intent === 'look').slice(0, MAX_KNOCKS - chosen.length);
  for (const knock of others) {
    knocks.delete(knock);
    knocks.add(knock);
  }
  return [...chosen, ...others].map(({ record }) => record);
}

/** Milliseconds between the first knocks, of which some get lost, and then between the others. */
const KNOCKS = [200, 300, 500, 1000];
const KNOCK = 3000;

/** In one packet. More are not wanted at once by anyone who does not invent them. */
const MAX_KNOCKS = 8;

/** A knock travels in the additional section of a question, where other programs look for nothing. */
function recordOf(knock: Knock): DnsRecord {
  return { name: KNOCK_NAME, type: 'TXT', ttl: 0, data: encodeKnock(knock) };
}

const KNOCK_NAME = `_knock._${SERVICE_TYPE}._tcp.local`;

function knockOf({ name, type, data }: DnsRecord, from: string): HeardKnock | undefined {
  if (type !== 'TXT' || name.toLowerCase() !== KNOCK_NAME || !Array.isArray(data)) return undefined;
  const knock = decodeKnock(data);
  // Nobody can send us to a printer or a mail server.
  return knock && KNOCK_PORTS.includes(knock.port) ? { ...knock, from } : undefined;
}

export interface BrowseOptions extends VoiceOptions {
  /** Our own process, not to be reported. */
  readonly run?: string | undefined;
}

/**
 * What is heard of other processes, until the signal is aborted: again and again the same, and
 * all of it mere claims, though well-formed. Asks often at first, as packets get lost.
 */
export async function* browse(options: BrowseOptions): AsyncGenerator<Spoken, void> {
  const { signal, run, clock = systemClock } = options;
  if (signal?.aborted) return;
  const news = latest<Spoken>(MAX_NEWS);
  const hear = (sighting: Spoken | undefined) => {
    if (sighting && sighting.run !== run)
      news.put([sighting.heard, sighting.run, sighting.from].join(' '), sighting);
  };
  const own = lately(ownAddresses, 1000, clock);
  const voices = speakOnLinks((voice, link) => listen(voice, link, { hear, own, clock }), {
    ...options,
    kind: 'answers',
  });
  const end = () => news.end();
  signal?.addEventListener('abort', end);
  try {
    yield* news;
  } finally {
    signal?.removeEventListener('abort', end);
    await voices.close();
  }
}

/** What was said by multicast. */
type Spoken = Extract<Sighting, { readonly run: string }>;

const QUESTION = { name: `_${SERVICE_TYPE}._tcp.local`, type: 'PTR' };

/**
 * Milliseconds after the start at which to ask. Where 20 % of the packets are lost each way, 36 % of
 * the questions have no answer by IPv4 alone: one peer is missed in the first second in 17 of 1,000
 * cases, and one of fifty in the first four seconds in 2 of 1,000.
 */
const ROUNDS = [0, 250, 500, 800, 1100, 1450, 1850, 2300, 2800, 3400, 4500, 7750, 15_750];

/** Milliseconds between two rounds afterwards. */
const ROUND = 20_000;

function roundAt(round: number): number {
  return ROUNDS[round] ?? roundAt(ROUNDS.length - 1) + (round - ROUNDS.length + 1) * ROUND;
}

interface Listening {
  readonly hear: (sighting: Spoken | undefined) => void;
  /** The addresses of this machine. */
  readonly own: () => ReadonlySet<string>;
  readonly clock: Clock;
}

function listen(voice: Voice, link: Link, { hear, own, clock }: Listening): () => void {
  const near = onLink(link);
  let browser: Browser | undefined;
  let cancel = () => {};
  const ask = (round: number) => {
    browser?.stop();
    const fresh = voice.find({ type: SERVICE_TYPE, protocol: 'tcp' });
    fresh.on('up', (service: unknown) => {
      // The library reports a service once and never looks at its addresses again. Forgotten
      // at once, it is reported whenever it is heard.
      fresh.services.length = 0;
      hear(sightingOf(service, { link, near, own: own() }));
    });
    browser = fresh;
    cancel = clock.after(roundAt(round + 1) - roundAt(round), () => ask(round + 1));
  };
  voice.server.mdns.on('response', ({ answers = [] }, { address }) => {
    for (const gone of answers.flatMap(withdrawn))
      hear({ heard: 'goodbye', run: gone, from: address });
  });
  ask(0);
  return () => {
    cancel();
    browser?.stop();
  };
}

/** What our own TXT record says; other programs' records of the same type are no sightings. */
const Heard = v.object({
  port: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65535)),
  addresses: v.array(v.unknown()),
  referer: v.object({
    address: v.pipe(
      v.string(),
      v.check((address) => isIP(address) !== 0),
    ),
  }),
  txt: v.object({
    v: v.picklist(Object.values(KINDS)),
    id: v.pipe(v.string(), v.regex(RUN)),
    n: v.string(),
  }),
});

function sightingOf(service: unknown, here: Vantage): Spoken | undefined {
  const { success, output: heard } = v.safeParse(Heard, service);
  if (!success) return undefined;
  const addresses = heard.addresses
    .filter((address) => typeof address === 'string')
    .filter((address) => isIP(address) !== 0)
    .slice(0, MAX_ANNOUNCED_ADDRESSES);
  const from = heard.referer.address;
  return {
    heard: 'announcement',
    run: heard.txt.id,
    name: deviceName(heard.txt.n),
    way: heard.txt.v === KINDS.get ? 'get' : 'send',
    port: heard.port,
    from,
    hosts: candidates({ from, addresses }, here),
  };
}

/** The run whose announcement a record withdraws: a pointer to it that has no time to live. */
function withdrawn({ name, type, ttl, data }: DnsRecord): string[] {
  if (type !== 'PTR' || ttl !== 0 || typeof data !== 'string') return [];
  if (name.toLowerCase() !== QUESTION.name) return [];
  const run = data.split('.')[0]?.slice(-RUN_LENGTH) ?? '';
  return RUN.test(run) ? [run] : [];
}

const RUN_LENGTH = 16;

/** A label of DNS holds 63 bytes; one that is longer makes every packet with it unreadable. */
const MAX_LABEL = 63;

/**
 * The name of an announcement among all of the network: the device's name, as far as it fits,
 * and the run, so that no two are alike and a withdrawal tells whose it is.
 */
export function instanceName(name: string, run: string): string {
  // A dot would be taken for the end of the label.
  const start = clip(name.replaceAll('.', '-'), MAX_LABEL - RUN_LENGTH - 1).trimEnd();
  return `${start} ${run}`;
}

/** Milliseconds for the last words; they are a courtesy to the others, no reason to stay. */
const WITHDRAWAL = 300;

/** What `look` gave at most so many milliseconds ago. */
function lately<T>(look: () => T, ms: number, clock: Clock): () => T {
  let found = look();
  let at = clock.now();
  return () => {
    if (clock.now() - at > ms) [found, at] = [look(), clock.now()];
    return found;
  };
}
