import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Host } from '../lab/hosts.ts';
import { Pair } from '../lab/pair.ts';
import type { Drop } from '../support/bin.ts';
import { digestOf, makeFile } from '../support/content.ts';
import { Onlooker } from '../support/onlooker.ts';
import { OtherBuild } from '../support/releases.ts';
import { describeWith, LAB } from '../support/skip.ts';

const MiB = 1024 * 1024;
const size = 300 * MiB;

/** An attempt to connect. At the ports of `drop` a receiver also looks for those whom it knows. */
const ATTEMPT = 'tcp flags & (syn | ack) == syn';

/** It takes some seconds, of which most are left when something was seen to happen. */
const RATE = '400mbit';

describeWith(LAB, 'a fast transfer', () => {
  // Which is one, depends on what else the machine does.
  let build: OtherBuild;
  beforeAll(() => {
    build = OtherBuild.hasty();
  });
  afterAll(() => build[Symbol.asyncDispose]());

  test('moves to a connection that the receiver has dialled', async () => {
    await using pair = new Pair(RATE);
    const counts = await Counts.on(pair.left);
    await makeFile(join(pair.bob.path, 'large'), 'large', size);
    await pair.receive();
    const sending = pair.send(['large'], { build });
    await expectEnd(sending);
    await expectOnly(pair, 'large');
    const { dialled, first, second } = await counts.read();
    expect(dialled).toBe(1);
    expect(second).toBeGreaterThan(first);
    expect(first + second).toBeLessThan(1.2 * size);
    expect(sending.events.map(({ event }) => event)).not.toContain('reconnecting');
  });

  test('stays where it is if a firewall lets nobody in to the sender', async () => {
    await using pair = new Pair(RATE);
    const counts = await Counts.on(pair.left);
    pair.left.lose(ATTEMPT, 10);
    await makeFile(join(pair.bob.path, 'large'), 'large', size);
    const receiving = await pair.receive(['--once']);
    const sending = pair.send(['large'], { build });
    await expectEnd(sending);
    await expectEnd(receiving);
    await expectOnly(pair, 'large');
    const { dialled, second } = await counts.read();
    expect(dialled).toBeGreaterThan(0);
    expect(second).toBe(0);
    expect(sending.events.map(({ event }) => event)).not.toContain('reconnecting');
  });

  test('that loses the connection to which it moved goes on over another', async () => {
    await using pair = new Pair(RATE);
    const counts = await Counts.on(pair.left);
    using onlooker = new Onlooker(pair.ana.downloads);
    await makeFile(join(pair.bob.path, 'large'), 'large', size);
    const receiving = await pair.receive();
    const sending = pair.send(['large'], { build });
    await expect.poll(async () => (await counts.read()).second).toBeGreaterThan(20 * MiB);
    pair.right.reset('meta l4proto tcp');
    await sending.event('reconnecting');
    pair.right.loseNothing();
    await sending.event('resuming');
    await expectEnd(sending);
    expect((await sending.event('summary')).sent).toBeLessThan(1.3 * size);
    expect(receiving.events.filter(({ event }) => event === 'accepted')).toHaveLength(1);
    await expectOnly(pair, 'large');
    expect(onlooker.complaints()).toEqual([]);
  });

  test('whose receiver is killed after it moved goes on with the next', async () => {
    await using pair = new Pair(RATE);
    const counts = await Counts.on(pair.left);
    await makeFile(join(pair.bob.path, 'large'), 'large', size);
    const receiving = await pair.receive();
    const sending = pair.send(['large'], { build });
    await expect.poll(async () => (await counts.read()).second).toBeGreaterThan(100 * MiB);
    receiving.kill('SIGKILL');
    await pair.receive();
    await expectEnd(sending);
    expect((await sending.event('summary')).sent).toBeLessThan(1.3 * size);
    await expectOnly(pair, 'large');
  });
});

/** What goes on at the network of a sender. */
class Counts {
  readonly #host: Host;

  private constructor(host: Host) {
    this.#host = host;
  }

  static async on(host: Host): Promise<Counts> {
    const counts = new Counts(host);
    await counts.#nft('add table inet counts');
    for (const name of ['dialled', 'first', 'second'])
      await counts.#nft(`add counter inet counts ${name}`);
    // Before what the lab lets through, and after what the host has sent.
    await counts.#nft('add chain inet counts in { type filter hook prerouting priority -300 ; }');
    await counts.#nft('add chain inet counts out { type filter hook postrouting priority 300 ; }');
    await counts.#nft(
      `add rule inet counts in ip saddr 10.77.0.2 tcp dport != 23767-23776 ${ATTEMPT} counter name dialled`,
    );
    const out = 'add rule inet counts out ip daddr 10.77.0.2 tcp';
    await counts.#nft(`${out} dport 23767 counter name first`);
    await counts.#nft(`${out} dport != 23767 tcp flags & rst == 0 counter name second`);
    return counts;
  }

  /** How often somebody tried to dial it; bytes that went out on the first connection, and on others. */
  async read(): Promise<{ dialled: number; first: number; second: number }> {
    const said = await this.#nft('-j list counters table inet counts');
    const { nftables } = JSON.parse(said) as { nftables: { counter?: Counter }[] };
    const of = (name: string): Counter =>
      nftables.flatMap(({ counter }) => (counter?.name === name ? [counter] : []))[0] as Counter;
    return {
      dialled: of('dialled').packets,
      first: of('first').bytes,
      second: of('second').bytes,
    };
  }

  async #nft(command: string): Promise<string> {
    const { code, stdout, stderr } = await this.#host.run('nft', command.split(' '));
    expect(code, stderr).toBe(0);
    return stdout;
  }
}

interface Counter {
  readonly name: string;
  readonly packets: number;
  readonly bytes: number;
}

async function expectEnd(process: Drop): Promise<void> {
  const { code, stdout } = await process.outcome();
  expect(code, stdout).toBe(0);
}

/** Nothing lies in Ana's folder but this file, and it is what Bob has. */
async function expectOnly({ ana, bob }: Pair, name: string): Promise<void> {
  expect(await readdir(ana.downloads)).toEqual([name]);
  const there = await digestOf(join(ana.downloads, name));
  expect(there).toBe(await digestOf(join(bob.path, name)));
}
