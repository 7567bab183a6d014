import type { NetworkInterfaceInfo } from 'node:os';
import { describe, expect, test } from 'vitest';
import {
  currentLinks,
  followLinks,
  isAmong,
  isOwnAddress,
  type Link,
  listLinks,
  lookedUp,
  MAX_LINKS,
  ownAddresses,
  SYSTEM,
  type System,
  virtualInterfaces,
} from '../../src/net/links.ts';
import { withoutHandles } from '../support/handles.ts';
import { describeWith } from '../support/skip.ts';
import { fakeClock } from './fake-clock.ts';

const lo = [address('127.0.0.1/8', true), address('::1/128', true)];
const eth0 = [
  address('192.168.1.5/24'),
  address('2001:db8::5/64'),
  address('fe80::5/64', false, 2),
];
const docker0 = [address('172.17.0.1/16')];
const tunnel = { ...address('10.8.0.2/24'), mac: '00:00:00:00:00:00' };

describe('listLinks', () => {
  test.each<[string, NodeJS.Dict<NetworkInterfaceInfo[]>, string[] | undefined, string[]]>([
    ['one for each family', { lo, eth0 }, undefined, ['eth0 192.168.1.5', 'eth0 fe80::5']],
    ['loopback, IPv4 only, when nothing else is up', { lo }, undefined, ['lo 127.0.0.1']],
    ['loopback when it is named', { lo, eth0 }, ['lo'], ['lo 127.0.0.1']],
    ['only what is named', { lo, eth0, docker0 }, ['docker0'], ['docker0 172.17.0.1']],
    ['all, when nothing is named', { lo, docker0 }, [], ['docker0 172.17.0.1']],
    [
      'networks inside this machine last',
      { docker0, wlan0: docker0 },
      undefined,
      ['wlan0 172.17.0.1', 'docker0 172.17.0.1'],
    ],
    [
      'the default route first',
      { docker0, wlan0: docker0, wan0: docker0 },
      undefined,
      ['wan0 172.17.0.1', 'wlan0 172.17.0.1', 'docker0 172.17.0.1'],
    ],
    [
      'tunnels last, by whatever sign, even with the default route',
      { wan0: [tunnel], tun0: docker0, docker0, wlan0: docker0 },
      undefined,
      ['wlan0 172.17.0.1', 'docker0 172.17.0.1', 'wan0 10.8.0.2', 'tun0 172.17.0.1'],
    ],
    [
      'no radio links and tunnels of Apple',
      { lo, awdl0: eth0, utun3: eth0 },
      undefined,
      ['lo 127.0.0.1'],
    ],
    ['also those, when they are named', { utun3: docker0 }, ['utun3'], ['utun3 172.17.0.1']],
    [
      'nothing without a link-local address or IPv4',
      {
        eth0: [address('2001:db8::5/64')],
      },
      undefined,
      [],
    ],
  ])('%s', (_, interfaces, named, expected) => {
    const links = listLinks({ interfaces: named, system: system(interfaces) });
    expect(links.map((link) => `${link.name} ${link.address}`)).toEqual(expected);
  });

  test('an interface that is not there is a usage error that says what there is', () => {
    expect(() => listLinks({ interfaces: ['eth9'], system: system({ lo, eth0 }) })).toThrow(
      expect.objectContaining({ code: 'usage', hint: 'There is: lo, eth0' }),
    );
  });

  test('a server with hundreds of interfaces does not get hundreds of sockets', () => {
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`veth${n}`, docker0]));
    const links = listLinks({ system: system({ ...many, eth0 }) });
    expect(links.length).toBe(MAX_LINKS);
    expect(links[0]?.name).toBe('eth0');
  });

  const key = (infos: NetworkInterfaceInfo[], index = 2) =>
    listLinks({ system: { ...system({ eth0: infos }), index: () => index } })[0]?.key;

  test('the key of a link stays, whatever the order of its addresses', () => {
    expect(key([...eth0].reverse())).toBe(key(eth0));
  });

  test.each([
    ['an address came', key([...eth0, address('192.168.9.5/24')])],
    ['an address went', key(eth0.slice(0, 1))],
    ['it was made anew', key([...eth0.slice(0, 2), address('fe80::5/64', false, 3)])],
  ])('the key of a link changes when %s', (_, changed) => {
    expect(changed).not.toBe(key(eth0));
  });

  test('the key of a link without IPv6 changes when it was made anew', () => {
    expect(key(docker0, 3)).not.toBe(key(docker0, 2));
  });
});

describeWith(['prlimit'], 'where no more files can be opened', () => {
  test('nothing changes, and nobody is among networks that cannot be seen', async () => {
    await withoutHandles(() => {
      expect(lookedUp(() => currentLinks({ interfaces: ['lo'] }))).toBeUndefined();
      expect(isAmong('127.0.0.1', ['lo'])).toBe(false);
    });
    expect(isAmong('127.0.0.1', ['lo'])).toBe(true);
  });

  test('the number of an interface is not taken for 0', async () => {
    const known = { ...SYSTEM, interfaces: () => ({ lo }) };
    await withoutHandles(() => {
      expect(lookedUp(() => currentLinks({ system: known }))).toBeUndefined();
    });
  });
});

test('virtual are networks inside this machine and tunnels, by whatever sign', () => {
  const interfaces = { lo, eth0, docker0, wan0: [tunnel], wg0: docker0, wlan0: docker0 };
  expect([...virtualInterfaces(system(interfaces))].sort()).toEqual(['docker0', 'wan0', 'wg0']);
});

describe('followLinks', () => {
  function following(named?: string[]) {
    const clock = fakeClock();
    const net: { now: NodeJS.Dict<NetworkInterfaceInfo[]> | undefined } = { now: { lo, docker0 } };
    const interfaces = (): NodeJS.Dict<NetworkInterfaceInfo[]> => {
      if (net.now) return net.now;
      // Too many open files, as Node says it.
      throw Object.assign(new Error('error 24'), { syscall: 'uv_interface_addresses' });
    };
    const changes: string[] = [];
    const names = (links: readonly Link[]) => links.map(({ name }) => name).join();
    const { close } = followLinks(
      (added, removed) => changes.push(`+${names(added)} -${names(removed)}`),
      { clock, interfaces: named, system: { ...system({}), interfaces } },
    );
    return { clock, net, changes, close };
  }

  test('says what there is, what comes and what goes, and nothing else', async () => {
    const { clock, net, changes, close } = following();
    await clock.pass(5000);
    net.now = { lo, docker0, wlan0: docker0 };
    await clock.pass(1000);
    net.now = { lo };
    await clock.pass(1000);
    close();
    net.now = { docker0 };
    await clock.pass(5000);
    expect(changes).toEqual(['+docker0 -', '+wlan0 -', '+lo -wlan0,docker0']);
    expect(clock.pending).toBe(0);
  });

  test('after a sleep every link is made anew', async () => {
    const { clock, changes } = following();
    clock.leap(60_000);
    await clock.pass(3000);
    expect(changes).toEqual(['+docker0 -', '+docker0 -docker0']);
  });

  test('what the system cannot tell just now has not changed', async () => {
    const { clock, net, changes } = following();
    net.now = undefined;
    await clock.pass(3000);
    net.now = { lo, docker0, wlan0: docker0 };
    await clock.pass(1000);
    expect(changes).toEqual(['+docker0 -', '+wlan0 -']);
  });

  test('a named interface may go and come back', async () => {
    const { clock, net, changes } = following(['docker0']);
    net.now = { lo };
    await clock.pass(1000);
    net.now = { lo, docker0 };
    await clock.pass(1000);
    expect(changes).toEqual(['+docker0 -', '+ -docker0', '+docker0 -']);
  });
});

test.each([
  ['192.168.1.5', true],
  ['::ffff:192.168.1.5', true],
  ['fe80::5%eth0', true],
  ['2001:DB8::5', true],
  ['127.0.0.53', true],
  ['::ffff:127.0.0.1', true],
  ['::1', true],
  ['192.168.1.6', false],
  ['fe80::6%eth0', false],
  ['example.org', false],
])('that %s is an address of this machine is %s', (text, own) => {
  expect(isOwnAddress(text, system({ eth0 }))).toBe(own);
});

test('the addresses of this very machine are its own', () => {
  expect(ownAddresses()).toContain('127.0.0.1');
  for (const own of ownAddresses()) expect(isOwnAddress(own)).toBe(true);
});

function system(interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>): System {
  return { interfaces: () => interfaces, index: () => 2, defaultRoute: () => 'wan0' };
}

function address(cidr: string, internal = false, scopeid = 0): NetworkInterfaceInfo {
  const host = cidr.split('/')[0] ?? '';
  const common = { address: host, netmask: '', mac: '02:00:00:00:00:01', internal, cidr };
  return host.includes(':')
    ? { ...common, family: 'IPv6', scopeid }
    : { ...common, family: 'IPv4' };
}
