import { BlockList } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planScan } from '../../src/net/scan.ts';
import { type Host, Lab } from '../lab/hosts.ts';
import { describeWith, LAB } from '../support/skip.ts';
import { link } from './link.ts';

describe('what is scanned', () => {
  const own = (...addresses: string[]): Set<string> => new Set(addresses);

  test.each<[string, string[], string[], string[]]>([
    ['nothing of one address', ['10.0.0.1/32'], [], []],
    ['the other end', ['10.0.0.1/31'], ['10.0.0.0/31'], ['10.0.0.0']],
    ['the other host', ['10.0.0.1/30'], ['10.0.0.0/30'], ['10.0.0.2']],
    [
      'all others',
      ['10.0.0.13/29'],
      ['10.0.0.8/29'],
      ['10.0.0.9', '10.0.0.10', '10.0.0.11', '10.0.0.12', '10.0.0.14'],
    ],
    [
      'both networks of one interface',
      ['10.0.0.1/30', '10.0.0.6/30'],
      ['10.0.0.0/30', '10.0.0.4/30'],
      ['10.0.0.2', '10.0.0.5'],
    ],
    ['nothing of IPv6', ['fd00::1/64', 'fe80::1/64'], [], []],
  ])('%s', (_, networks, scanned, hosts) => {
    const addresses = networks.map((network) => network.replace(/\/.*/, ''));
    expect(planScan([link({ networks })], own(...addresses))).toEqual({
      networks: scanned,
      hosts,
      beyond: [],
    });
  });

  test('a whole /24, but for ourselves', () => {
    const plan = planScan([link({ networks: ['192.168.1.20/24'] })], own('192.168.1.20'));
    expect(plan.networks).toEqual(['192.168.1.0/24']);
    expect(plan.hosts).toEqual([...to('192.168.1', 1, 19), ...to('192.168.1', 21, 254)]);
    expect(plan.beyond).toEqual([]);
  });

  test.each([
    ['10.1.2.3/16', '10.1.2', '10.1.0.0/16', 0, 255],
    ['10.1.0.3/16', '10.1.0', '10.1.0.0/16', 1, 255],
    ['10.1.3.3/22', '10.1.3', '10.1.0.0/22', 0, 254],
    ['200.1.2.3/1', '200.1.2', '128.0.0.0/1', 0, 255],
    ['10.1.2.3/0', '10.1.2', '0.0.0.0/0', 0, 255],
  ])('of %s only what is around us, and that is said', (network, around, whole, first, last) => {
    const { networks, hosts, beyond } = planScan([link({ networks: [network] })], own());
    expect(networks).toEqual([`${around}.0/24`]);
    expect(hosts).toEqual(to(around, first, last));
    expect(beyond).toEqual([whole]);
  });

  test('none of our own addresses, on whichever interface', () => {
    const plan = planScan([link({ networks: ['10.0.0.1/29'] })], own('10.0.0.1', '10.0.0.3'));
    expect(plan.hosts).toEqual(['10.0.0.2', '10.0.0.4', '10.0.0.5', '10.0.0.6']);
  });

  test('a network once, though two interfaces and both families are in it', () => {
    const networks = ['10.1.2.1/16', 'fe80::1/64'];
    const plan = planScan(
      [
        link({ networks }),
        link({ networks, family: 'IPv6' }),
        link({ name: 'eth1', networks: ['10.1.2.2/16'] }),
      ],
      own('10.1.2.1', '10.1.2.2'),
    );
    expect(plan.networks).toEqual(['10.1.2.0/24']);
    expect(plan.hosts).toEqual(['10.1.2.0', ...to('10.1.2', 3, 255)]);
    expect(plan.beyond).toEqual(['10.1.0.0/16']);
  });

  test('the first four networks; the others are named', () => {
    const networks = [1, 2, 3, 4, 5, 6].map((n) => `10.0.${n}.1/30`);
    const plan = planScan([link({ networks: [...networks, '10.0.1.2/30'] })], own());
    expect(plan.networks).toEqual(['10.0.1.0/30', '10.0.2.0/30', '10.0.3.0/30', '10.0.4.0/30']);
    expect(plan.beyond).toEqual(['10.0.5.0/30', '10.0.6.0/30']);
  });

  test('nothing of this machine', () => {
    const plan = planScan([link({ name: 'lo', networks: ['127.0.0.1/8'], loopback: true })], own());
    expect(plan).toEqual({ networks: [], hosts: [], beyond: [] });
  });

  test('whatever the networks are: hosts of them, few, each once, and never we', () => {
    const network = fc.record({ address: fc.ipV4(), prefix: fc.nat(32) });
    fc.assert(
      fc.property(fc.array(network, { maxLength: 8 }), (networks) => {
        const named = networks.map(({ address, prefix }) => `${address}/${prefix}`);
        const us = own(...networks.map(({ address }) => address));
        const plan = planScan([link({ networks: named })], us);
        expect(plan.networks.length).toBeLessThanOrEqual(4);
        expect(plan.hosts.length).toBeLessThanOrEqual(4 * 256);
        expect(new Set(plan.hosts).size).toBe(plan.hosts.length);
        expect(plan.hosts.filter((host) => us.has(host))).toEqual([]);
        const inside = new BlockList();
        for (const { address, prefix } of networks) inside.addSubnet(address, prefix);
        expect(plan.hosts.filter((host) => !inside.check(host))).toEqual([]);
        // And all of them, as far as these can be no edges of the network.
        for (const { address, prefix } of networks.slice(0, 4)) {
          const near = new BlockList();
          near.addSubnet(address, Math.max(prefix, 24));
          const around = to(address.replace(/\.\d+$/, ''), 0, 255).filter((host) =>
            near.check(host),
          );
          for (const host of around.slice(1, -1))
            expect(us.has(host) || plan.hosts.includes(host)).toBe(true);
        }
      }),
    );
  });
});

describeWith(LAB, 'a scan', () => {
  test('finds what listens, and leaves no connection open', async () => {
    await using lab = Lab.create();
    const ana = lab.host(
      'ana',
      { bridge: 'home', addresses: ['10.7.0.100/24'] },
      { bridge: 'inside', name: 'docker0', addresses: ['172.17.0.1/29'] },
    );
    const bo = lab.host('bo', { bridge: 'home', addresses: ['10.7.0.2/24'] });
    const cem = lab.host('cem', { bridge: 'home', addresses: ['10.7.0.201/24'] });
    const dee = lab.host('dee', { bridge: 'home', addresses: ['10.7.0.4/24'] });
    const guest = lab.host('guest', { bridge: 'inside', addresses: ['172.17.0.2/29'] });
    await listen(ana, 23767);
    await listen(bo, 23767, 23769, 23770);
    await listen(cem, 23768); // The first port is refused, so somebody is at home.
    await listen(dee, 23768);
    dee.lose('tcp dport 23767', 10); // The first port is silent, as if there were nobody.
    await listen(guest, 23767);

    const all = await scanOn(ana);
    expect(all.plan).toMatchObject({ networks: ['10.7.0.0/24'], beyond: [] });
    expect(all.found.sort()).toEqual(['10.7.0.201:23768', '10.7.0.2:23767', '10.7.0.2:23769']);
    expect(all.left).toBe(0);
    // Most are silent, so all that may be open at once is.
    expect(all.most).toBeGreaterThan(1);
    expect(all.most).toBeLessThanOrEqual(64);
    expect(all.warnings).toEqual([]);

    const named = await scanOn(ana, { interfaces: ['docker0'] });
    expect(named.plan).toMatchObject({ networks: ['172.17.0.0/29'], beyond: [] });
    expect(named.found).toEqual(['172.17.0.2:23767']);
  });

  test('finds who has answered while this computer was held up', async () => {
    await using lab = Lab.create();
    const ana = lab.host('ana', { bridge: 'home', addresses: ['10.7.0.1/30'] });
    const bo = lab.host('bo', { bridge: 'home', addresses: ['10.7.0.2/30'] });
    await listen(bo, 23767);
    expect((await scanOn(ana, { heldUp: 1_000 })).found).toEqual(['10.7.0.2:23767']);
  });

  test.each(['aborted', 'left'])(
    'that is %s midway ends, with all that it has open',
    async (how) => {
      await using lab = Lab.create();
      const ana = lab.host('ana', { bridge: 'home', addresses: ['10.7.0.100/16'] });
      const bo = lab.host('bo', { bridge: 'home', addresses: ['10.7.0.50/16'] });
      const cem = lab.host('cem', { bridge: 'home', addresses: ['10.7.0.250/16'] });
      for (const host of [bo, cem]) await listen(host, 23767);
      const { plan, found, open, afterwards, left } = await scanOn(ana, { endAfterFirst: how });
      expect(plan.beyond).toEqual(['10.7.0.0/16']);
      expect(found).toEqual(['10.7.0.50:23767']);
      expect(open).toBeGreaterThan(1);
      expect([afterwards, left]).toEqual([0, 0]);
    },
  );

  test('that was aborted before it began asks nobody', async () => {
    await using lab = Lab.create();
    const ana = lab.host('ana', { bridge: 'home', addresses: ['10.7.0.100/24'] });
    const { found, most } = await scanOn(ana, { aborted: true });
    expect([found, most]).toEqual([[], 0]);
  });
});

function to(network: string, first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, i) => `${network}.${first + i}`);
}

/** Accepts connections at these ports. */
async function listen(host: Host, ...ports: number[]): Promise<void> {
  const program = `
    import { once } from 'node:events';
    import { createServer } from 'node:net';
    for (const port of ${JSON.stringify(ports)})
      await once(createServer((socket) => socket.on('error', () => {})).listen(port), 'listening');
    console.log('ready');`;
  const child = host.spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`ended with ${code}`)));
  });
}

interface Scanned {
  readonly plan: { readonly networks: string[]; readonly beyond: string[] };
  readonly found: string[];
  readonly warnings: string[];
  /** Sockets in use: at most, when the first was found and right after that, and in the end. */
  readonly most: number;
  readonly open: number;
  readonly afterwards: number;
  readonly left: number;
}

/** Scans from a host, in a process of its own. */
async function scanOn(host: Host, options: object = {}): Promise<Scanned> {
  const program = `
    import { readdirSync, readlinkSync } from 'node:fs';
    import { setImmediate } from 'node:timers/promises';
    import { scan } from ${JSON.stringify(SCAN)};
    const { endAfterFirst, aborted, interfaces, heldUp } = ${JSON.stringify(options)};
    const stopping = new AbortController();
    if (aborted) stopping.abort();
    const said = { found: [], warnings: [], most: 0 };
    process.on('warning', ({ message }) => said.warnings.push(message));
    const isSocket = (fd) => {
      try {
        return readlinkSync('/proc/self/fd/' + fd).startsWith('socket:');
      } catch {
        return false; // It was the one that the folder was read by.
      }
    };
    const sockets = () => readdirSync('/proc/self/fd').filter(isSocket).length;
    const before = sockets();
    const look = setInterval(() => { said.most = Math.max(said.most, sockets() - before); }, 10);
    const onPlan = (plan) => { said.plan = plan; };
    const standStill = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, heldUp);
    // When the first connections are on their way.
    if (heldUp) process.nextTick(() => process.nextTick(standStill));
    const scanning = scan({ interfaces, signal: stopping.signal, onPlan });
    for await (const { host, port } of scanning) {
      said.found.push(host + ':' + port);
      said.open ??= sockets() - before;
      if (endAfterFirst === 'aborted') stopping.abort();
      if (endAfterFirst === 'left') scanning.return();
      await setImmediate(); // To return takes a turn, but no time.
      said.afterwards ??= sockets() - before;
    }
    said.left = sockets() - before;
    clearInterval(look);
    console.log(JSON.stringify(said));`;
  const { stdout, stderr } = await host.run(process.execPath, [
    '--input-type=module',
    '-e',
    program,
  ]);
  expect(stderr).toBe('');
  return JSON.parse(stdout);
}

const SCAN = new URL('../../dist/net/scan.js', import.meta.url).href;
