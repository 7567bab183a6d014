import { randomBytes } from 'node:crypto';
import { type Host, Lab } from '../../test/lab/hosts.ts';
import {
  compressionBomb,
  forgedGoodbye,
  inventedPeer,
  manyQuestions,
  pointerLoop,
} from '../../test/net/hostile.ts';
import { Home } from '../../test/support/home.ts';
import { type Row, row, Samples } from '../figures.ts';
import { Drop, now, Stranger, sleep } from './process.ts';

/** Measures something as often as it is told to. */
type Situation = (runs: number) => Promise<Row[]>;

/** Each with the number of its runs, in full and with --quick. */
export const SITUATIONS: Readonly<
  Record<string, { readonly measure: Situation; readonly full: number; readonly quick: number }>
> = {
  first: { measure: first, full: 40, quick: 5 },
  fifty: { measure: fifty, full: 15, quick: 3 },
  'fifty-loss': { measure: fiftyWithLoss, full: 15, quick: 2 },
  loss: { measure: loss, full: 100, quick: 10 },
  'come-and-go': { measure: comeAndGo, full: 20, quick: 3 },
  killed: { measure: killed, full: 10, quick: 2 },
  'cable-out': { measure: cableOut, full: 6, quick: 1 },
  address: { measure: address, full: 8, quick: 2 },
  cable: { measure: cable, full: 5, quick: 1 },
  adapter: { measure: adapter, full: 5, quick: 1 },
  questions: { measure: questions, full: 5, quick: 1 },
  hostile: { measure: hostile, full: 3, quick: 1 },
};

/** Milliseconds until what was started or changed has settled: the second announcement is out. */
const SETTLED = 4000;

/** Milliseconds until the others are done with a list that was closed. */
const LOOKED = 500;

/** A found peer after the first query of the command and after its start, without loss. */
async function first(runs: number): Promise<Row[]> {
  await using room = await Room.open();
  const looks = await repeat(runs, () => room.look(1));
  return [
    row('first peer, after the first query', 'ms', looks.map(afterQuery), p95(150)),
    row('first peer, after the start', 'ms', looks.map(afterStart), median(500)),
  ];
}

async function fifty(runs: number): Promise<Row[]> {
  await using room = await Room.open({ receivers: 50 });
  const looks = await repeat(runs, () => room.look(50));
  return [
    row('50 peers, after the first query', 'ms', looks.map(afterQuery), worst(500)),
    row(
      '50 peers, the first of them',
      'ms',
      looks.map(({ first, query }) => since(first, query)),
    ),
  ];
}

async function fiftyWithLoss(runs: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const ipv4Only of [false, true]) {
    await using room = await Room.open({ receivers: 50, ipv4Only });
    room.lose();
    const looks = await repeat(runs, () => room.look(50));
    rows.push(row(`50 peers, 20 % loss${by(ipv4Only)}`, 'ms', looks.map(afterQuery), worst(4000)));
  }
  return rows;
}

async function loss(runs: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const ipv4Only of [false, true]) {
    await using room = await Room.open({ ipv4Only });
    room.lose();
    const looks = await repeat(runs, () => room.look(1));
    rows.push(row(`1 peer, 20 % loss${by(ipv4Only)}`, 'ms', looks.map(afterQuery), p95(1000)));
  }
  return rows;
}

/** `receive` is started and stopped again under a list that is open. */
async function comeAndGo(runs: number): Promise<Row[]> {
  await using room = await Room.open({ receivers: 0 });
  await using watching = await room.watch();
  const seen = await repeat(runs, async () => {
    const { receiving, found } = await room.arrive(watching);
    await using _ = receiving;
    const { firstAnswer } = await receiving.figures();
    await sleep(anyOf(3000));
    const stopped = now();
    receiving.kill('SIGINT');
    const lost = await watching.peer('lost', stopped);
    return {
      started: since(found, receiving.started),
      announced: since(found, firstAnswer),
      stopped: since(lost?.at, stopped),
    };
  });
  return [
    row(
      'receive started: shown',
      'ms',
      seen.map(({ started }) => started),
      p95(200),
    ),
    row(
      'receive announced: shown',
      'ms',
      seen.map(({ announced }) => announced),
    ),
    row(
      'stopped: gone',
      'ms',
      seen.map(({ stopped }) => stopped),
      p95(500),
    ),
  ];
}

async function killed(runs: number): Promise<Row[]> {
  await using room = await Room.open({ receivers: 0 });
  await using watching = await room.watch();
  const gone = await repeat(runs, async () => {
    const { receiving } = await room.arrive(watching);
    await using _ = receiving;
    await sleep(anyOf(3000));
    const killedAt = now();
    receiving.kill('SIGKILL');
    return since((await watching.peer('lost', killedAt))?.at, killedAt);
  });
  return [row('killed with -9: gone', 'ms', gone, worst(8000))];
}

async function cableOut(runs: number): Promise<Row[]> {
  await using room = await Room.open();
  await using watching = await room.watch(1);
  const gone = await repeat(runs, async () => {
    await sleep(anyOf(3000));
    const out = now();
    room.ana.unplug(LAN);
    const lost = await watching.peer('lost', out);
    room.ana.replug(LAN);
    await watching.peer('found', lost?.at);
    await sleep(SETTLED);
    return since(lost?.at, out);
  });
  return [row('cable out: gone', 'ms', gone, worst(8000))];
}

/** The receiver gets another address in the same network. */
async function address(runs: number): Promise<Row[]> {
  await using room = await Room.open();
  await using watching = await room.watch(1);
  await using ear = await Stranger.start(room.bob, 'hear', BOB);
  const changes = await repeat(runs, async (run) => {
    const there = `10.77.0.${100 + (run % 100)}`;
    const changed = now();
    room.ana.setAddresses(LAN, [`${there}/24`]);
    const announced = await ear.announced(there, changed);
    const found = await watching.peer('found', changed, ({ addresses }) =>
      addresses.some((one) => one.startsWith(`${there}:`)),
    );
    await sleep(SETTLED);
    return { announced: since(announced, changed), found: since(found?.at, changed) };
  });
  return [
    row(
      'address changed: announced',
      'ms',
      changes.map(({ announced }) => announced),
      ANNOUNCED,
    ),
    row(
      'address changed: verified there',
      'ms',
      changes.map(({ found }) => found),
      USABLE,
    ),
  ];
}

/** On either side the cable is pulled until the peer is gone, and put back. */
async function cable(runs: number): Promise<Row[]> {
  return await awayAndBack('cable out and in', runs, (host) => {
    host.unplug(LAN);
    return () => host.replug(LAN);
  });
}

/** On either side the network adapter is pulled until the peer is gone, and put back. */
async function adapter(runs: number): Promise<Row[]> {
  return await awayAndBack('interface re-created', runs, (host) => {
    const [own = ''] = addressesOf(host);
    host.remove(LAN);
    return () => void host.plug({ bridge: LAN, addresses: [own] });
  });
}

/** `leave` takes a host off the network and returns what brings it back. */
async function awayAndBack(
  what: string,
  runs: number,
  leave: (host: Host) => () => void,
): Promise<Row[]> {
  await using room = await Room.open();
  await using watching = await room.watch(1);
  const away = async (host: Host) => {
    const left = now();
    const comeBack = leave(host);
    const lost = await watching.peer('lost', left);
    await sleep(anyOf(3000));
    const back = now();
    comeBack();
    return { lost, back };
  };
  const theirs = await repeat(runs, async () => {
    // It would not survive the loss of the watcher's interface.
    await using ear = await Stranger.start(room.bob, 'hear', BOB);
    const { lost, back } = await away(room.ana);
    const announced = await ear.announced(ANA, back);
    const found = await watching.peer('found', lost?.at);
    await sleep(SETTLED);
    return { announced: since(announced, back), found: since(found?.at, back) };
  });
  const ours = await repeat(runs, async () => {
    const { lost, back } = await away(room.bob);
    const found = await watching.peer('found', lost?.at);
    await sleep(SETTLED);
    return since(found?.at, back);
  });
  return [
    row(
      `${what}: announced`,
      'ms',
      theirs.map(({ announced }) => announced),
      ANNOUNCED,
    ),
    row(
      `${what}: verified again`,
      'ms',
      theirs.map(({ found }) => found),
      USABLE,
    ),
    row(`${what}, at the watcher: verified again`, 'ms', ours, USABLE),
  ];
}

/** How many answers a stranger can draw from a receiver with questions. */
async function questions(runs: number): Promise<Row[]> {
  const answers = new Samples();
  await using room = await Room.open({ receivers: 0 });
  await using eve = await room.stranger();
  for (let run = 0; run < runs; run++) {
    await using receiving = await room.receive();
    // Its own announcements at 0, 3 and 12 s are out, and the next one is not due.
    await sleep(13_000);
    for (const { kind, packets } of QUESTIONS) {
      const sent = packets();
      const before = await receiving.figures();
      await eve.say(sent);
      await sleep(HEARD);
      const after = await receiving.figures();
      answers.add(`${kind}: answers to each`, (after.answers - before.answers) / sent.length);
    }
  }
  return answers.rows('packets', worst(1));
}

/** Each kind of assault, on a receiver and an open list, and how they bear it. */
async function hostile(runs: number): Promise<Row[]> {
  const quiet = new Samples();
  const noise = new Samples();
  const stalls = new Samples();
  const growth = new Samples();
  const kept = new Samples();
  for (let run = 0; run < runs; run++) {
    await using room = await Room.open({ receivers: 0 });
    await using eve = await room.stranger();
    await using list = await room.watch();
    const arrival = await room.arrive(list);
    await using receiver = arrival.receiving;
    // Hears nothing of it all; stands still when the whole machine does.
    await using bystander = room.bystander();
    await sleep(SETTLED);
    const targets = Object.entries({ receiver, list });

    const watched = async (kind: string, samples: Samples, packets: readonly Uint8Array[]) => {
      for (const one of [receiver, list, bystander]) await one.watchLoop();
      await eve.say(packets);
      await sleep(HEARD);
      for (const [who, target] of targets)
        samples.add(`${kind}: ${who} stands still`, (await target.figures()).stall);
      noise.add('meanwhile: a bystander stands still', (await bystander.figures()).stall);
    };
    const assault = async () => {
      for (const { kind, packets } of [...QUESTIONS, ...assaults(arrival.run)])
        await watched(kind, stalls, packets());
      return Promise.all(targets.map(([, target]) => target.clearUp()));
    };

    const before = await Promise.all(targets.map(([, target]) => target.figures()));
    await watched('nothing', quiet, []);
    // At first, what they do for the first time is compiled and allocated.
    const early = [await assault(), await assault()].at(-1);
    const late = [await assault(), await assault()].at(-1);
    for (const [i, [who]] of targets.entries()) {
      growth.add(`all of it: ${who} grows`, mib(late?.[i]?.resident, before[i]?.resident));
      kept.add(`all of it twice more: ${who} keeps`, mib(late?.[i]?.heap, early?.[i]?.heap));
    }
  }
  return [
    ...quiet.rows('ms'),
    ...noise.rows('ms'),
    ...stalls.rows('ms', worst(20)),
    ...growth.rows('MiB', worst(64)),
    ...kept.rows('MiB', worst(1)),
  ];
}

interface Assault {
  readonly kind: string;
  readonly packets: () => Uint8Array[];
}

const QUESTIONS: readonly Assault[] = [
  { kind: 'a packet of 20 questions', packets: () => [manyQuestions(TYPE, 20)] },
  { kind: 'a packet of 5,000 questions', packets: () => [manyQuestions(TYPE, 5000)] },
  { kind: '250 packets of 20 questions', packets: () => many(250, () => manyQuestions(TYPE, 20)) },
  { kind: '5,000 packets of a question', packets: () => many(5000, () => manyQuestions(TYPE, 1)) },
];

/** Those that ask for no answer; `run` is the receiver's. */
function assaults(run: string): Assault[] {
  const invent = (): Uint8Array => {
    const id = randomBytes(8).toString('hex');
    return inventedPeer(TYPE, `Invented ${id}`, 9, ['v=1', `id=${id}`, `n=${id.slice(8)}`]);
  };
  return [
    {
      kind: '3,000 malformed packets',
      packets: () => many(1000, () => [mutated(invent()), cut(invent()), noise()]).flat(),
    },
    { kind: '2,000 invented peers', packets: () => many(2000, invent) },
    {
      kind: '1,000 compression bombs',
      packets: () => many(1000, (i) => compressionBomb(BOMBS[i % BOMBS.length] ?? 0)),
    },
    {
      kind: '2,000 forged goodbyes',
      packets: () => many(2000, () => forgedGoodbye(TYPE, `Ana ${run}`)),
    },
  ];
}

/** Bytes: what can be sent at all, and what comes closer and closer to an honest packet. */
const BOMBS = [65_000, 4000, 3000, 1400];

function many<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

/** A packet with some of its bytes changed. */
function mutated(packet: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(packet);
  for (let i = 0; i < 4; i++) copy[Math.floor(anyOf(copy.length))] = Math.floor(anyOf(256));
  return copy;
}

function cut(packet: Uint8Array): Uint8Array {
  return packet.slice(0, Math.floor(anyOf(packet.length)));
}

/** A loop of pointers now and then, else anything at all. */
function noise(): Uint8Array {
  return anyOf(10) < 1 ? pointerLoop() : randomBytes(Math.floor(anyOf(1400)));
}

const TYPE = '_drop-lan._tcp.local';

/** Milliseconds after an assault until everything of it was heard. */
const HEARD = 2000;

function mib(bytes = 0, before = 0): number {
  return (bytes - before) / 2 ** 20;
}

const ANNOUNCED = worst(2000);
const USABLE = worst(5000);

const LAN = 'lan';
const BOB = '10.77.0.2';
const ANA = '10.77.0.11';

interface RoomOptions {
  /** How many hosts beside the watcher's there are on which `receive` runs. */
  readonly receivers?: number;
  readonly ipv4Only?: boolean;
}

/** One network: Bob looks, and the others receive, the first of whom is Ana. */
class Room implements AsyncDisposable {
  readonly bob: Host;
  readonly ana: Host;
  readonly #lab = Lab.create();
  readonly #ipv4Only: boolean;
  readonly #hosts: Host[];
  readonly #homes: Home[] = [];
  readonly #bobsHome = this.#home();
  readonly #anasHome = this.#home();
  readonly #receiving: Drop[] = [];

  private constructor({ receivers = 1, ipv4Only = false }: RoomOptions) {
    this.#ipv4Only = ipv4Only;
    this.bob = this.#host('bob', BOB);
    this.ana = this.#host('ana', ANA);
    const others = Array.from({ length: Math.max(receivers, 1) - 1 }, (_, i) =>
      this.#host(`guest${i}`, `10.77.0.${12 + i}`),
    );
    this.#hosts = [this.bob, this.ana, ...others];
  }

  static async open(options: RoomOptions = {}): Promise<Room> {
    const room = new Room(options);
    const { receivers = 1 } = options;
    for (const host of room.#hosts.slice(1, 1 + receivers)) {
      const home = host === room.ana ? room.#anasHome : room.#home();
      room.#receiving.push(await Drop.receive(host, home, host.name));
    }
    // The identities are made once, and not while somebody holds a stopwatch.
    if (receivers === 0) await (await room.receive()).stop();
    await room.look(receivers);
    await sleep(SETTLED);
    return room;
  }

  /** Loses a fifth of all multicast DNS that arrives anywhere. */
  lose(): void {
    for (const host of this.#hosts) host.lose('udp dport 5353', 2);
  }

  /** Opens a list until it shows so many peers, and closes it. */
  async look(peers: number): Promise<Look> {
    await sleep(LOOKED);
    await using watching = Drop.watch(this.bob, this.#bobsHome);
    const times = await watching.until((all) => {
      const runs = new Map<string, number>();
      for (const event of all)
        if (event.event === 'peer' && !runs.has(event.run)) runs.set(event.run, event.at);
      return runs.size >= peers ? [...runs.values()] : undefined;
    });
    const { firstQuery } = await watching.figures();
    await watching.stop('SIGKILL');
    return {
      start: watching.started,
      query: firstQuery,
      first: times?.[0],
      all: times?.[peers - 1],
    };
  }

  /** A list that has been open for a while and shows so many peers. */
  async watch(peers = 0): Promise<Drop> {
    const watching = Drop.watch(this.bob, this.#bobsHome);
    if (peers > 0 && !(await watching.peer('found'))) throw new Error('The peer is not found.');
    await sleep(SETTLED);
    return watching;
  }

  /** Ana starts `receive`. */
  receive(): Promise<Drop> {
    return Drop.receive(this.ana, this.#anasHome, 'Ana');
  }

  /** The same, and `watching` shows it. */
  async arrive(watching: Drop): Promise<Arrival> {
    const begun = now();
    const receiving = await this.receive();
    const shown = await watching.peer('found', begun);
    return { receiving, found: shown?.at, run: shown?.run ?? '' };
  }

  /** An open list on another network, where nobody is. */
  bystander(): Drop {
    return Drop.watch(this.#lab.host('carl', { bridge: 'elsewhere' }), this.#home());
  }

  /** Eve, who has many addresses and answers on none. */
  async stranger(): Promise<Stranger> {
    const addresses = Array.from({ length: 50 }, (_, i) => `10.77.0.${150 + i}`);
    const eve = this.#lab.host('eve', {
      bridge: LAN,
      addresses: addresses.map((one) => `${one}/24`),
    });
    eve.lose('meta l4proto tcp', 10);
    return await Stranger.start(eve, 'say', ...addresses);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const receiving of this.#receiving) await receiving[Symbol.asyncDispose]();
    this.#lab.destroy();
    for (const home of this.#homes) await home[Symbol.asyncDispose]();
  }

  #host(name: string, address: string): Host {
    const port = { bridge: LAN, addresses: [`${address}/24`], ipv4Only: this.#ipv4Only };
    return this.#lab.host(name, port);
  }

  #home(): Home {
    const home = new Home();
    this.#homes.push(home);
    return home;
  }
}

/** When a list was opened, asked, and showed. */
interface Look {
  readonly start: number;
  readonly query: number | undefined;
  readonly first: number | undefined;
  readonly all: number | undefined;
}

interface Arrival {
  readonly receiving: Drop;
  readonly found: number | undefined;
  readonly run: string;
}

function afterQuery({ query, all }: Look): number | undefined {
  return since(all, query);
}

function afterStart({ start, all }: Look): number | undefined {
  return since(all, start);
}

function since(end: number | undefined, start: number | undefined): number | undefined {
  return end === undefined || start === undefined ? undefined : end - start;
}

function by(ipv4Only: boolean): string {
  return ipv4Only ? ', IPv4 only' : '';
}

function addressesOf(host: Host): string[] {
  const [link] = JSON.parse(host.ip('-json', 'addr', 'show', 'dev', LAN));
  const infos: { family: string; local: string; prefixlen: number }[] = link.addr_info;
  return infos
    .filter(({ family }) => family === 'inet')
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`);
}

/** One after the other. */
async function repeat<T>(runs: number, measure: (run: number) => Promise<T>): Promise<T[]> {
  const all: T[] = [];
  for (let run = 0; run < runs; run++) all.push(await measure(run));
  return all;
}

function median(most: number) {
  return { of: 'median', most } as const;
}

function p95(most: number) {
  return { of: 'p95', most } as const;
}

function worst(most: number) {
  return { of: 'worst', most } as const;
}

/** Anything from zero up to the limit, so that the runs hit every phase of what is periodic. */
function anyOf(limit: number): number {
  return Math.random() * limit;
}
