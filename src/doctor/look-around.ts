import { createSocket } from 'node:dgram';
import { isIPv4 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LinkReport } from '../events.ts';
import { look } from '../meeting/look.ts';
import type { CommonOptions, Self } from '../meeting/self.ts';
import { within } from '../meeting/signals.ts';
import { canonical } from '../net/addresses.ts';
import { isOwnAddress } from '../net/links.ts';
import { Porch } from '../net/porch.ts';
import { DEFAULT_PORT, KNOCK_PORTS, PORTS } from '../net/ports.ts';
import { newRun } from '../net/run.ts';
import { Survey } from '../net/survey.ts';
import { probe } from '../net/tls.ts';
import { type Sighting, watchPeers } from '../net/watch.ts';

/** What comes of listening to the network for some seconds, and of asking others to dial us. */
export interface Findings {
  readonly links: readonly LinkReport[];
  /** Devices on other computers that answered when they were dialled. */
  readonly answering: readonly Device[];
  /** Those that were announced, and did not. */
  readonly silent: readonly Device[];
  readonly door: Door;
}

interface Device {
  readonly name: string;
  readonly address: string;
  /** Whether it surely hears what we say: it has answered again and again. */
  readonly hears: boolean;
}

/** Where others were asked to come. */
interface Door {
  /** Undefined if no port is free. */
  readonly port: number | undefined;
  /** Who has the port that is tried first, if we have another one. */
  readonly before: 'drop' | 'another' | undefined;
  /** The computers that came. */
  readonly visitors: readonly string[];
}

/** Milliseconds to listen at least: four rounds of questions, of which some get lost… */
const EAR = 2_500;

/** …at most until those that were heard have answered or not… */
const EAR_LIMIT = 4_500;

/** …and until those that were asked to come should have come. */
const COMING = 3_000;

/**
 * What must be heard of a process from one address, after which it surely hears our questions:
 * it says as much by itself only when it begins, and never more than four times.
 */
const SURE = 5;

const TICK = 100;

/**
 * Looks who is there, as `self`, and asks everybody to dial us, as `guest`, whom nobody knows: so
 * all that they do is to ask for a card.
 */
export async function lookAround(
  self: Self,
  guest: Self,
  options: CommonOptions,
  outer: AbortSignal,
): Promise<Findings> {
  const { interfaces } = options;
  const visitors = new Set<string>();
  const porch = new Porch(guest.identity, {
    card: { run: newRun(), name: guest.name, part: 'chooser', way: 'send' },
    interfaces,
    // The one of drop receive is the one that matters.
    ports: PORTS.filter((port) => KNOCK_PORTS.includes(port)),
    welcomes: async () => false,
    onAsked: (remote) => {
      if (!isOwnAddress(remote)) visitors.add(canonical(remote));
    },
  });
  const survey = new Survey();
  const heard = new Map<string, Heard>();
  const answering = new Set<string>();
  const silent = new Set<string>();
  let asked = Number.POSITIVE_INFINITY;
  const askToCome = (run: string): void => {
    asked = Math.min(asked, performance.now());
    void porch.knock(run, 'look');
  };
  const enough = new AbortController();
  const signal = AbortSignal.any([outer, enough.signal]);

  async function* sightings(stop: AbortSignal): AsyncGenerator<Sighting, void> {
    for await (const sighting of look(self, options, { porch, survey, signal: stop })) {
      // Another doctor's test of itself is gone before it could be asked.
      if (sighting.heard === 'announcement' && sighting.name === guest.name) continue;
      if (sighting.heard === 'announcement' && !isOwnAddress(sighting.from)) {
        const { run, name, from } = sighting;
        const { times } = heard.get(run) ?? { times: new Map<string, number>() };
        const address = canonical(from);
        heard.set(run, { name, times: times.set(address, (times.get(address) ?? 0) + 1) });
      }
      yield sighting;
    }
  }

  const watching = (async () => {
    const onSilent = ({ run }: { readonly run: string }): void => {
      if (!heard.has(run)) return;
      silent.add(run);
      askToCome(run);
    };
    for await (const { state, run } of watchPeers(sightings, probe, { signal, onSilent })) {
      if (state === 'lost' || !heard.has(run)) continue;
      answering.add(run);
      silent.delete(run);
      askToCome(run);
    }
  })();
  watching.catch(() => {}); // It is awaited below.

  try {
    const port = await porch.open();
    const began = performance.now();
    const isOver = (now: number): boolean => {
      const open = [...heard.keys()].some((run) => !answering.has(run) && !silent.has(run));
      if (now - began < (open ? EAR_LIMIT : EAR)) return false;
      const awaited = asked !== Number.POSITIVE_INFINITY && visitors.size === 0;
      return !awaited || now - asked > COMING;
    };
    while (!isOver(performance.now())) await sleep(TICK, undefined, { signal: outer });
    const links = survey.reports();
    const devicesOf = (runs: ReadonlySet<string>): Device[] =>
      [...heard].flatMap(([run, one]) => (runs.has(run) ? deviceOf(one) : []));
    return {
      links,
      answering: devicesOf(answering),
      silent: devicesOf(silent),
      door: { port, before: await whoIsBefore(port, outer), visitors: [...visitors] },
    };
  } finally {
    enough.abort();
    await Promise.all([porch.close(), watching]);
  }
}

/** What was heard of a process: how often, from each of its addresses. */
interface Heard {
  readonly name: string;
  readonly times: Map<string, number>;
}

function deviceOf({ name, times }: Heard): Device {
  const [first = '', ...others] = times.keys();
  // Of several addresses the one that people know.
  const address = [first, ...others].find((one) => isIPv4(one)) ?? first;
  return { name, address, hears: Math.max(...times.values()) >= SURE };
}

/** Milliseconds in which a process of this computer answers. */
const HERE_LIMIT = 1_000;

async function whoIsBefore(port: number | undefined, signal: AbortSignal): Promise<Door['before']> {
  if (port === DEFAULT_PORT) return undefined;
  const here = { host: '127.0.0.1', port: DEFAULT_PORT };
  return within(signal, HERE_LIMIT, (soon) => probe(here, soon)).then(
    () => 'drop',
    () => 'another',
  );
}

/** The interface by which this computer would reach the rest of the world; nothing is sent. */
export async function wayOut(): Promise<string | undefined> {
  const ways = await Promise.all([
    sourceTowards('udp4', '198.51.100.1'), // RFC 5737: an address of nobody.
    sourceTowards('udp6', '2001:db8::1'), // RFC 3849.
  ]);
  const source = ways.find((address) => address !== undefined);
  if (source === undefined) return undefined;
  const interfaces = Object.entries(networkInterfaces());
  return interfaces.find(([, infos = []]) =>
    infos.some(({ address }) => canonical(address) === canonical(source)),
  )?.[0];
}

function sourceTowards(type: 'udp4' | 'udp6', host: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(type);
    const end = (source: string | undefined): void => {
      socket.close();
      resolve(source);
    };
    socket.once('error', () => end(undefined));
    socket.connect(9, host, () => end(socket.address().address));
  });
}
