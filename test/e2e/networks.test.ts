import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import type { Host } from '../lab/hosts.ts';
import { Network } from '../lab/network.ts';
import { startVpn } from '../lab/vpn.ts';
import type { Drop } from '../support/bin.ts';
import { describeWith, LAB } from '../support/skip.ts';

/** Where nothing leads to the rest of the world, and what answers there is nobody's. */
const NOWHERE = '10.1.0.254';

describeWith([...LAB, 'socat'], 'a device is in the list, and can be sent to,', () => {
  test('where no network has a default route', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    const receiving = await network.receive(ana);
    const { port } = await receiving.event('ready');
    const list = network.list(bob);
    await list.shows('ana', `10.1.0.1:${port}`);
    await expectDelivery(network, bob, 'ana', receiving);
  });

  test('where a VPN holds the default route on both sides', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    for (const host of [ana, bob]) await startVpn(host);
    const receiving = await network.receive(ana);
    // What is typed first should work.
    const { addresses, port } = await receiving.event('ready');
    expect(addresses[0]).toBe(`10.1.0.1:${port}`);
    const list = network.list(bob);
    await list.shows('ana', '10.1.0.1:');
    await expectDelivery(network, bob, 'ana', receiving);
  });

  test('where both have a network of containers with the same addresses', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    for (const host of [ana, bob]) {
      const addresses = ['172.17.0.1/16'];
      host.plug({ bridge: `inside-${host.name}`, name: 'docker0', addresses });
    }
    const receiving = await network.receive(ana);
    // Who dials 172.17.0.1 gets this one, on the same port.
    await network.receive(bob);
    const list = network.list(bob);
    const { id } = await receiving.event('ready');
    await list.shows('bob');
    expect(await list.shows('ana')).toMatchObject({ id });
    await expectDelivery(network, bob, 'ana', receiving);
    expect(list.entries).toHaveLength(2);
    expect((await list.shows('ana')).addresses.join()).not.toContain('172.17.');
  });

  test('where it is not on the network of the default route', async () => {
    await using network = new Network();
    const wifi = { bridge: 'wifi', addresses: ['10.1.0.2/24'], gateway: NOWHERE };
    const cable = { bridge: 'cable', addresses: ['10.2.0.2/24'] };
    const bob = network.host('bob', wifi, cable);
    const ana = network.host('ana', { ...cable, addresses: ['10.2.0.1/24'] });
    const receiving = await network.receive(ana);
    await network.list(bob).shows('ana', '10.2.0.1:');
    await expectDelivery(network, bob, 'ana', receiving);
  });

  test('by its address alone, on a network that only a router leads to', async () => {
    await using network = new Network();
    const near = { bridge: 'near', addresses: ['10.1.0.2/24'], gateway: '10.1.0.254' };
    const far = { bridge: 'far', addresses: ['10.2.0.1/24'], gateway: '10.2.0.254' };
    const router = network.host(
      'router',
      { bridge: 'near', addresses: ['10.1.0.254/24'] },
      { bridge: 'far', addresses: ['10.2.0.254/24'] },
    );
    await router.run('sysctl', ['-qw', 'net.ipv4.ip_forward=1']);
    const bob = network.host('bob', near);
    const ana = network.host('ana', far);
    const receiving = await network.receive(ana);
    const list = network.list(bob);
    // Multicast ends at the router. Once they have met, the one would find the other where it was.
    await list.drop.event('nothing');
    expect(list.entries).toEqual([]);
    await expectDelivery(network, bob, '10.2.0.1', receiving);
  });

  test('once, where both have two interfaces in one network, and by one when the other goes', async () => {
    await using network = new Network();
    const twice = (last: number) =>
      ['eth0', 'eth1'].map((name, i) => {
        return { bridge: 'lan', name, addresses: [`10.1.0.${last + i}/24`] };
      });
    const ana = network.host('ana', ...twice(10));
    const bob = network.host('bob', ...twice(20));
    const receiving = await network.receive(ana);
    const list = network.list(bob);
    await list.shows('ana', '10.1.0.10:');
    await list.shows('ana', '10.1.0.11:');
    expect(list.entries).toHaveLength(1);
    await expectDelivery(network, bob, 'ana', receiving);
    bob.remove('eth0');
    ana.remove('eth0');
    await expectDelivery(network, bob, 'ana', receiving);
    await list.shows('ana');
    expect(list.entries).toHaveLength(1);
  });

  test('where there is only IPv6', async () => {
    await using network = new Network();
    const ana = network.host('ana', { bridge: 'lan', name: 'eth0' });
    const bob = network.host('bob', { bridge: 'lan', name: 'eth0' });
    const receiving = await network.receive(ana);
    const { port } = await receiving.event('ready');
    const { addresses } = await network.list(bob).shows('ana');
    expect(addresses).toEqual([expect.stringMatching(/^\[fe80::.*%eth0\]:\d+$/)]);
    await expectDelivery(network, bob, 'ana', receiving);
    await expectDelivery(network, bob, String(addresses[0]), receiving);
    expect(String(addresses[0])).toMatch(new RegExp(`:${port}$`));
  });

  test('where there are more interfaces than are listened on', async () => {
    await using network = new Network();
    const bob = network.host('bob');
    for (let i = 0; i < 24; i++) {
      const addresses = [`10.2.${i}.2/24`];
      bob.plug({ bridge: 'inside', name: `br-${i}`, addresses, ipv4Only: true });
    }
    // As the last one, and yet among those that are.
    bob.plug({ bridge: 'lan', name: 'eth0', addresses: ['10.1.0.2/24'] });
    const ana = network.host('ana', { bridge: 'lan', addresses: ['10.1.0.1/24'] });
    const receiving = await network.receive(ana);
    await network.list(bob).shows('ana', '10.1.0.1:');
    await expectDelivery(network, bob, 'ana', receiving);

    const inside = network.host('inside', { bridge: 'inside', addresses: ['10.2.23.1/24'] });
    await network.receive(inside);
    await network.list(bob, ['--interface', 'br-23']).shows('inside', '10.2.23.1:');
  });
});

async function expectDelivery(
  network: Network,
  from: Host,
  to: string,
  receiving: Drop,
): Promise<void> {
  const path = await network.deliver(from, to, receiving);
  expect(await readFile(String(path), 'utf8')).toMatch(/^note/);
}
