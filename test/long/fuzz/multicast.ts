import { Socket } from 'node:dgram';
import fc from 'fast-check';
import { expect } from 'vitest';
import { DropError } from '../../../src/errors.ts';
import type { System } from '../../../src/net/links.ts';
import { announce, browse, type HeardKnock, instanceName } from '../../../src/net/mdns.ts';
import { KNOCK_PORTS } from '../../../src/net/ports.ts';
import { type Sighting, watchPeers } from '../../../src/net/watch.ts';
import { encodeKnock } from '../../../src/protocol/knock.ts';
import { fakeClock, settled } from '../../net/fake-clock.ts';
import {
  compressionBomb,
  forgedGoodbye,
  inventedPeer,
  knocking,
  manyQuestions,
  pointerLoop,
} from '../../net/hostile.ts';
import { mutated } from './bytes.ts';
import { type Stage, target } from './target.ts';

const TYPE = '_drop-lan._tcp.local';
const RUN = '0123456789abcdef';

/** A network of one link, that is not there: nothing is bound, and what is sent goes nowhere. */
const SYSTEM: System = {
  interfaces: () => ({
    lo: [
      {
        address: '127.0.0.1',
        netmask: '255.0.0.0',
        family: 'IPv4',
        mac: '00:00:00:00:00:00',
        internal: true,
        cidr: '127.0.0.1/8',
      },
    ],
  }),
  index: () => 1,
  defaultRoute: () => undefined,
};

const run = fc.stringMatching(/^[0-9a-f]{16}$/);
const label = fc.string({ maxLength: 20 });
const packet = fc.oneof(
  fc
    .record({ run, name: label, port: fc.nat(0xffff) })
    .map(({ run, name, port }) =>
      inventedPeer(TYPE, instanceName(name, run), port, ['v=1', `id=${run}`, `n=${name}`]),
    ),
  run.map((run) => forgedGoodbye(TYPE, instanceName('Ana', run))),
  fc
    .record({
      to: fc.oneof(fc.constantFrom(RUN, '127.0.0.1'), run),
      intent: fc.constantFrom('look' as const, 'send' as const, 'get' as const),
      port: fc.constantFrom(...KNOCK_PORTS, 22),
    })
    .map((knock) => knocking(TYPE, encodeKnock(knock))),
  fc.integer({ min: 1, max: 20 }).map((count) => manyQuestions(TYPE, count)),
  fc.constantFrom(pointerLoop(), compressionBomb(1200)),
);

const fed = fc.record({
  bytes: mutated(packet),
  address: fc.constantFrom('127.0.0.1', '127.0.0.2', '127.9.9.9', '10.0.0.1'),
  port: fc.constantFrom(5353, 5353, 5353, 40_000),
  /** Milliseconds that pass before the next. */
  pause: fc.constantFrom(20, 20, 100, 1000),
});

type Fed = typeof fed extends fc.Arbitrary<infer One> ? One : never;

/** Sockets that hear only what they are fed. */
const SOCKETS = Socket.prototype as unknown as Record<
  'bind' | 'send',
  (...given: unknown[]) => unknown
>;

/** Somebody who announces, and somebody who looks who is there, in front of whom anybody talks. */
class Ears implements Stage {
  readonly #real = { bind: SOCKETS.bind, send: SOCKETS.send };
  readonly #sockets = new Set<Socket>();
  readonly #clock = fakeClock();
  readonly #stop = new AbortController();
  readonly #announcer;
  readonly #watching: Promise<void>;
  /** What came of what they heard: sightings and knocks; and what they said. */
  #heard = 0;
  #said = 0;

  constructor() {
    const { signal } = this.#stop;
    const sockets = this.#sockets;
    const back = (given: unknown[]) => given.findLast((one) => typeof one === 'function');
    SOCKETS.bind = function (...given) {
      sockets.add(this as unknown as Socket);
      back(given)?.();
      return this;
    };
    SOCKETS.send = (...given) => {
      this.#said++;
      back(given)?.(null);
    };
    const onTrouble = (trouble: object) => {
      throw new Error(`A link fails: ${JSON.stringify(trouble)}`);
    };
    const options = { system: SYSTEM, clock: this.#clock, onTrouble };
    const onKnock = ({ port }: HeardKnock) => {
      this.#heard++;
      expect(KNOCK_PORTS).toContain(port);
    };
    this.#announcer = announce({ name: 'Ana', run: RUN, port: 1 }, { ...options, onKnock });
    const hear = async function* (this: Ears, signal: AbortSignal): AsyncGenerator<Sighting> {
      for await (const sighting of browse({ ...options, signal })) {
        this.#heard++;
        expect(sighting.run).toMatch(/^[0-9a-f]{16}$/);
        yield sighting;
      }
    };
    const prove = async () => {
      throw new DropError('unreachable');
    };
    const changes = watchPeers(hear.bind(this), prove, { clock: this.#clock, signal });
    this.#watching = (async () => {
      for await (const change of changes) throw new Error(`Found: ${JSON.stringify(change)}`);
    })();
  }

  async feed({ bytes, address, port, pause }: Fed): Promise<boolean> {
    const before = this.#heard + this.#said;
    for (const socket of this.#sockets)
      socket.emit('message', Buffer.from(bytes), {
        address,
        port,
        family: 'IPv4',
        size: bytes.length,
      });
    await settled();
    const after = this.#heard + this.#said;
    await this.#clock.pass(pause);
    return after > before;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#announcer.close(), this.#watching, this.#clock.pass(1000)]);
    Object.assign(SOCKETS, this.#real);
  }
}

const mdns = target({
  name: 'mdns',
  input: fed,
  codes: [],
  open: async () => new Ears(),
  feed: (fed, ears) => ears.feed(fed),
});

export const multicast = [mdns];
