import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { AVAHI, Avahi } from '../lab/avahi.ts';
import type { Host } from '../lab/hosts.ts';
import { Network } from '../lab/network.ts';
import { Home } from '../support/home.ts';
import { describeWith, LAB } from '../support/skip.ts';

describeWith([...LAB, ...AVAHI], 'the port of multicast DNS', () => {
  test('is shared with avahi on the same host and on others, which shows us', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    await using there = await Avahi.start(ana);
    await using here = await Avahi.start(bob);
    const receiving = await network.receive(ana);
    const { port } = await receiving.event('ready');
    const { run } = await network.list(bob).shows('ana', '10.1.0.1:');
    for (const avahi of [there, here]) {
      // It ends when it has shown what is known so far.
      let line = '';
      await expect
        .poll(async () => {
          line = resolved((await avahi.run('avahi-browse', BROWSE)).stdout, '10.1.0.1');
          return line;
        })
        .toMatch(/^=/);
      const [, , , name, type, , host, , , txt] = line.split(';');
      expect({ name, type, host }).toEqual({
        name: `ana\\032${run}`,
        type: '_drop-lan._tcp',
        host: `drop-${run}.local`,
      });
      expect(line).toContain(`;10.1.0.1;${port};`);
      expect(txt).toContain('"n=ana"');
    }
    expect(await network.deliver(bob, 'ana', receiving)).toBeDefined();

    // The name of the host is avahi's, and stays.
    expect((await here.run('avahi-resolve', ['-4', '-n', 'ana.local'])).stdout).toContain(
      '10.1.0.1',
    );
    await receiving.stop();
    for (const avahi of [there, here]) {
      // What says goodbye is remembered for one more second.
      await expect.poll(async () => (await avahi.run('avahi-browse', BROWSE)).stdout).toBe('');
      expect(avahi.log).not.toMatch(/conflict|withdraw/i);
    }
  });

  test('carries services of others, which no list minds', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    await using avahi = await Avahi.start(bob);
    await Promise.all([
      avahi.publish('a printer', '_ipp._tcp', 631, 'rp=ipp/print'),
      ...FOREIGN.map((txt, i) => avahi.publish(`like us ${i}`, '_drop-lan._tcp', 9, ...txt)),
    ]);
    const eve = network.host('eve', { bridge: 'lan', addresses: ['10.1.0.3/24'] });
    const lists = [network.list(bob), network.list(eve)];
    const receiving = await network.receive(ana);
    for (const list of lists) await list.shows('ana', '10.1.0.1:');
    await sleep(2_000); // Two more rounds of questions.
    for (const list of lists) expect(list.entries.map(({ name }) => name)).toEqual(['ana']);
    expect(await network.deliver(eve, 'ana', receiving)).toBeDefined();
  });

  test('may be held by another program where somebody waits: an address is enough', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    const holder = await holdPort(ana);
    const receiving = await network.receive(ana);
    await receiving.event('hidden', ({ cause }) => cause === 'port-taken');
    const eve = network.host('eve', { bridge: 'lan', addresses: ['10.1.0.3/24'] });
    const list = network.list(eve);
    expect(await network.deliver(bob, '10.1.0.1', receiving)).toBeDefined();
    holder.kill();
    await list.shows('ana', '10.1.0.1:');
  });

  test('may be held by another program where somebody looks, who asks from another one', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    await holdPort(bob);
    const receiving = await network.receive(ana);
    // Of somebody who has never met her.
    await using stranger = new Home();
    await network.list(bob, [], { home: stranger }).shows('ana', '10.1.0.1:');
    expect(await network.deliver(bob, 'ana', receiving)).toBeDefined();
  });
});

/** Once, machine-readable, with addresses. */
const BROWSE = ['-rpt', '_drop-lan._tcp'];

/** Records of our own type that are not ours. */
const FOREIGN = [
  ['a=b'],
  ['v=2', 'id=0123456789abcdef', 'n=of another version'],
  ['v=1', 'id=not a run', 'n=nobody'],
  ['v=1', 'id=0123456789abcdef', 'n=nobody answers there'],
];

/** The line about the service at this address. */
function resolved(stdout: string, address: string): string {
  const lines = stdout.split('\n').filter((line) => line.startsWith('='));
  return lines.find((line) => line.split(';')[7] === address) ?? `nothing at ${address}: ${stdout}`;
}

/** Takes the port for itself, with IPv4 and IPv6. */
async function holdPort(host: Host) {
  const program = `require('dgram').createSocket('udp6').bind(5353, () => console.log('held'))`;
  const holder = host.spawn(process.execPath, ['-e', program]);
  if (holder.stdout) await once(holder.stdout, 'data');
  return holder;
}
