import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Identity, loadIdentity } from '../../src/disk/identity.ts';
import type { PeerId } from '../../src/events.ts';
import { type Connection, listen as listenOn } from '../../src/net/tls.ts';
import { FrameDecoder } from '../../src/protocol/frame.ts';
import { decode } from '../../src/protocol/message.ts';
import { Delivery } from '../../src/transfer/delivery.ts';
import { introduce } from '../../src/transfer/greeting.ts';
import { runSender } from '../../src/transfer/sender.ts';
import { Attacker, type AttackOptions, newIdentity } from './attacker.ts';
import { type Drop, drop } from './bin.ts';
import { Home } from './home.ts';
import { MemoryOutbox } from './memory.ts';
import type { Outcome } from './process.ts';

/**
 * Ana waits for files: the real command. Bob and Eve were paired with her; Eve, and whoever else
 * comes, wants no good.
 */
export class Doorstep implements AsyncDisposable {
  readonly receiving: Drop;
  readonly ana: Home;
  readonly port: number;
  readonly id: PeerId;
  readonly #homes: readonly Home[];
  readonly #bob: Identity;
  /** Paired and hostile. */
  readonly eve: Identity;
  /** Not paired, and hostile. */
  readonly stranger: Identity;
  /** What lies in the folder for downloads by rights. */
  readonly #delivered: string[] = ['pairing'];
  #seen = 0;

  private constructor(
    receiving: Drop,
    ready: { port: number; id: PeerId },
    homes: readonly Home[],
    [bob, eve, stranger]: readonly [Identity, Identity, Identity],
  ) {
    this.receiving = receiving;
    this.ana = receiving.home;
    this.port = ready.port;
    this.id = ready.id;
    this.#homes = homes;
    this.#bob = bob;
    this.eve = eve;
    this.stranger = stranger;
  }

  static async begin(): Promise<Doorstep> {
    const receiving = drop(['receive', '--json', '--yes', '--name', 'Ana']);
    const ready = await receiving.event('ready');
    const homes = [new Home(), new Home()];
    const identities: Identity[] = [];
    /** The code that is shown once so many before it were used. */
    const code = (used: number): Promise<string> =>
      receiving.until(() => codesOf(receiving)[used], `code ${used}`);
    for (const [used, home] of homes.entries()) {
      await writeFile(join(home.path, 'pairing'), 'pairing');
      await using sending = drop(['send', '--to', `127.0.0.1:${ready.port}`, 'pairing'], {
        home,
        env: { DROP_CODE: await code(used) },
      });
      expect((await sending.outcome()).code).toBe(0);
      const identity = await loadIdentity(home.state);
      identities.push(identity);
      await receiving.event('summary', ({ peer }) => peer.id === identity.id);
    }
    const [bob, eve] = identities as [Identity, Identity];
    const all = new Doorstep(receiving, ready, homes, [bob, eve, await newIdentity()]);
    await code(homes.length);
    all.#seen = receiving.events.length;
    return all;
  }

  /** Somebody who is not paired, unless another identity is named, with the handshake of TLS behind it. */
  call(identity = this.stranger, options: AttackOptions = {}): Promise<Attacker> {
    return Attacker.call(this.port, identity, options);
  }

  /** Eve, who is let in, and whose name was said. */
  async eveEnters(): Promise<Attacker> {
    const attacker = await this.call(this.eve);
    await attacker.enter(this.id);
    return attacker;
  }

  /** The code that is shown now. */
  get code(): string {
    return codesOf(this.receiving).at(-1) ?? '';
  }

  /** Which one that is. */
  get epoch(): number {
    return 1 + this.receiving.events.filter(({ event }) => event === 'code').length;
  }

  /** Bob's program, which is honest, delivers a file by a pipe of its own. */
  async bobDelivers(change: (attacker: Attacker) => Attacker = (same) => same): Promise<void> {
    const name = `note-${this.#delivered.length}`;
    const bob = change(await this.call(this.#bob));
    const channel = await bob.greet(this.id);
    await introduce(channel, 'Bob');
    const tree = { [name]: Buffer.from(`${name} of Bob`) };
    await runSender(channel, new Delivery(new MemoryOutbox(tree)), () => {});
    await bob.end();
    this.#delivered.push(name);
  }

  /**
   * What must hold after each attack: an honest sender is served, nothing else lies there, and
   * nothing was told but of Bob, and what is documented of Eve: that she came, and that she failed.
   */
  async isUnharmed(also: readonly string[] = []): Promise<void> {
    await this.bobDelivers();
    // What broke off is kept for the next time, where it is known who sent it.
    const there = (await readdir(this.ana.downloads)).filter((name) => !name.startsWith('.drop-'));
    expect(there.sort()).toEqual([...this.#delivered].sort());
    const told = this.receiving.events.slice(this.#seen);
    this.#seen = this.receiving.events.length;
    for (const event of told) {
      const peer = 'peer' in event ? event.peer : undefined;
      if (also.includes(event.event) || (peer && peer.id === this.#bob.id)) continue;
      expect(peer && { ...event, peer: peer.id }).toMatchObject({ peer: this.eve.id });
      expect(OF_EVE).toContain(event.event);
    }
  }

  /** Ends it; nothing may have been said to the person. */
  async end(): Promise<void> {
    const { code, signal, stderr } = await this.receiving.stop();
    expect({ code, signal, stderr }).toEqual({ code: null, signal: 'SIGINT', stderr: '' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.receiving[Symbol.asyncDispose]();
    for (const home of this.#homes) await home[Symbol.asyncDispose]();
  }
}

/**
 * How a sender ends that calls somebody who says this on every connection, whatever he hears. He
 * must hear nothing but a greeting.
 */
export async function sendTo(said: Uint8Array): Promise<Outcome> {
  await using bob = new Home();
  await writeFile(join(bob.path, 'a.txt'), 'a');
  const heard: string[] = [];
  const listen = async (connection: Connection): Promise<void> => {
    const decoder = new FrameDecoder();
    decoder.greeted();
    for await (const bytes of connection.incoming)
      for (const piece of decoder.push(bytes)) heard.push(decode(piece).type);
  };
  const connections: Connection[] = [];
  const listener = await listenOn([0], await newIdentity(), {
    card: { part: 'announcer', way: 'send', run: '1234567890abcdef', name: 'Eve' },
    onConnection(connection) {
      connections.push(connection);
      connection.write(said).catch(() => {});
      listen(connection).catch(() => {});
    },
  });
  const to = `127.0.0.1:${listener.port}`;
  await using sending = drop(['send', '--to', to, '--wait', '0.3', 'a.txt'], {
    home: bob,
    env: { DROP_CODE: '493027' },
  });
  const outcome = await sending.outcome();
  for (const connection of connections) connection.destroy();
  listener.close();
  expect(['hello', 'share', 'confirm', 'cancel']).toEqual(expect.arrayContaining(heard));
  return outcome;
}

/** What is told of a device that is known, until something of it is stored. */
const OF_EVE = ['request', 'accepted', 'progress', 'reconnecting', 'error', 'summary'];

/** All codes that were shown. */
function codesOf({ events }: Drop): string[] {
  return events.flatMap((one) =>
    one.event === 'ready' || one.event === 'code' ? [one.code ?? ''] : [],
  );
}
