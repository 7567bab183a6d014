import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { knownPeers } from '../../src/index.ts';
import { Network } from '../lab/network.ts';
import { makeFile } from '../support/content.ts';
import { FakeTime } from '../support/faketime.ts';
import { describeWith, LAB } from '../support/skip.ts';

const LAN = { bridge: 'lan', name: 'eth0' };

describeWith([...LAB, 'faketime'], 'a list that stays open is right again', () => {
  // The longest first, as only some run at once.
  test.concurrent('when a machine has slept, the one there or the one here', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    const other = network.host('other', { ...LAN, addresses: ['10.1.0.3/24'] });
    const [sleeping, leaving] = [await network.receive(ana), await network.receive(other)];
    const awake = network.list(bob);
    const asleep = network.list(bob);
    for (const list of [awake, asleep]) for (const name of ['ana', 'other']) await list.shows(name);
    for (const one of [sleeping, asleep.drop]) one.kill('SIGSTOP');
    const slept = sleep(SLEEP);
    await awake.loses('ana');
    await leaving.stop();
    await network.receive(other, ['--name', 'third']);
    await awake.shows('third');
    await slept;

    asleep.drop.kill('SIGCONT');
    await asleep.loses('other');
    await asleep.loses('ana');
    await asleep.shows('third');
    sleeping.kill('SIGCONT');
    for (const list of [awake, asleep]) await list.shows('ana');
    expect(await network.deliver(bob, 'ana', sleeping)).toBeDefined();
  });

  test.concurrent('when both get addresses of another network', async () => {
    await using network = new Network();
    // Link-local addresses would stay.
    const ana = network.host('ana', { ...LAN, addresses: ['10.1.0.1/24'], ipv4Only: true });
    const bob = network.host('bob', { ...LAN, addresses: ['10.1.0.2/24'], ipv4Only: true });
    const receiving = await network.receive(ana);
    const list = network.list(bob);
    await list.shows('ana', '10.1.0.1:');
    ana.setAddresses('eth0', ['10.1.0.7/24']);
    await list.shows('ana', '10.1.0.7:');
    ana.setAddresses('eth0', ['10.9.0.1/24']);
    await list.loses('ana');
    bob.setAddresses('eth0', ['10.9.0.2/24']);
    await list.shows('ana', '10.9.0.1:');
    expect(await network.deliver(bob, 'ana', receiving)).toBeDefined();
  });

  test.concurrent.for(['ana', 'bob'])('when the cable of %s was out', async (whose) => {
    await using network = new Network();
    const hosts = network.pair();
    const receiving = await network.receive(hosts.ana);
    const list = network.list(hosts.bob);
    await list.shows('ana');
    const host = whose === 'ana' ? hosts.ana : hosts.bob;
    host.unplug('eth0');
    await list.loses('ana');
    host.replug('eth0');
    await list.shows('ana');
    expect(await network.deliver(hosts.bob, 'ana', receiving)).toBeDefined();
  });

  test.concurrent("when the receiver's interface is made anew, with the same address or another", async () => {
    await using network = new Network();
    const ana = network.host('ana', { ...LAN, addresses: ['10.1.0.1/24'], ipv4Only: true });
    const bob = network.host('bob', { ...LAN, addresses: ['10.1.0.2/24'] });
    const eve = network.host('eve', { ...LAN, addresses: ['10.1.0.3/24'] });
    const receiving = await network.receive(ana);
    const list = network.list(bob);
    await list.shows('ana');
    ana.remove('eth0');
    await list.loses('ana');
    ana.plug({ ...LAN, addresses: ['10.1.0.1/24'], ipv4Only: true });
    await list.shows('ana', '10.1.0.1:');
    // This one has never heard of it.
    await network.list(eve).shows('ana', '10.1.0.1:');

    ana.remove('eth0');
    ana.plug({ ...LAN, addresses: ['10.1.0.7/24'], ipv4Only: true });
    await list.shows('ana', '10.1.0.7:');
    expect(await network.deliver(bob, 'ana', receiving)).toBeDefined();
  });

  test.concurrent('when its own interface is made anew, with the same address or another', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    await network.receive(ana);
    const list = network.list(bob);
    await list.shows('ana');
    for (const [i, address] of ['10.1.0.2/24', '10.1.0.8/24'].entries()) {
      bob.remove('eth0');
      const later = network.host(`later${i}`, { ...LAN, addresses: [`10.1.0.2${i}/24`] });
      await network.receive(later);
      bob.plug({ ...LAN, addresses: [address] });
      await list.shows(`later${i}`);
    }
    await list.shows('ana');
  });

  test.concurrent('when there was no network at first', async () => {
    await using network = new Network();
    const ana = network.host('ana');
    const bob = network.host('bob');
    const receiving = await network.receive(ana);
    await network.receive(bob);
    const list = network.list(bob);
    await list.shows('bob', '127.0.0.1:');
    ana.plug({ ...LAN, addresses: ['10.1.0.1/24'] });
    bob.plug({ ...LAN, addresses: ['10.1.0.2/24'] });
    await list.shows('ana', '10.1.0.1:');
    await list.shows('bob', '10.1.0.2:');
    await receiving.event('reachable', ({ addresses }) => addresses[0] === '10.1.0.1:23767');
    expect(await network.deliver(bob, 'ana', receiving)).toBeDefined();
  });

  test.concurrent('when a receiver was killed, and is started again at once', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    const killed = await network.receive(ana);
    const list = network.list(bob);
    const { id, run } = await list.shows('ana');
    killed.kill('SIGKILL');
    const receiving = await network.receive(ana);
    await list.drop.until(
      () => list.entries.every((entry) => entry.run !== run) || undefined,
      'list without what was killed',
    );
    // The same account, at the same port.
    expect(await list.shows('ana')).toMatchObject({ id });
    expect(await network.deliver(bob, 'ana', receiving)).toBeDefined();
  });

  test.concurrent('when the clock jumps, which no transfer minds', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    bob.limit('eth0', '50mbit');
    const clocks = [ana, bob].map(
      (host) => new FakeTime(network.home(host).path, { dateOnly: true }),
    );
    const [there, here] = clocks.map(({ env }) => ({ env }));
    const receiving = await network.receive(ana, [], there);
    const list = network.list(bob, [], here);
    await list.shows('ana');
    for (const jump of JUMPS) {
      for (const clock of clocks) clock.set(jump);
      // For all links to be made anew, which is what a jump means to them.
      await sleep(2_500);
    }
    expect(
      list.drop.events.filter((event) => event.event === 'peer' && event.state === 'lost'),
    ).toEqual([]);

    await makeFile(join(network.home(bob).path, 'large'), 'large', 16 * MiB);
    const sending = network.send(bob, 'ana', receiving, ['large'], here);
    for (const [i, jump] of JUMPS.entries()) {
      await sending.event('progress', ({ bytes }) => bytes > (1 + 2 * i) * 2 * MiB);
      for (const clock of clocks) clock.set(jump);
    }
    expect((await sending.outcome()).code).toBe(0);
    expect(sending.events.filter(({ event }) => event === 'reconnecting')).toEqual([]);
    const { ms } = await sending.event('summary');
    expect(ms).toBeGreaterThan(1_000);
    expect(ms).toBeLessThan(60_000);
    // That there was a jump at all.
    const [known] = await knownPeers({ home: network.home(bob).state });
    expect(new Date().getFullYear() - Number(known?.lastSeen.slice(0, 4))).toBeGreaterThan(8);
  });
});

/** ms. More than the date may leap before it counts as sleep. */
const SLEEP = 13_000;

const MiB = 1024 * 1024;

/** Behind the end of any certificate, and before its start. */
const JUMPS = ['+40y', '+0', '-10y'];
