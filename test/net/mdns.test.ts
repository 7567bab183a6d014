import { afterEach, beforeEach, expect, test } from 'vitest';
import { instanceName } from '../../src/net/mdns.ts';
import { newRun } from '../../src/net/run.ts';
import { describeWith } from '../support/skip.ts';
import {
  compressionBomb,
  forgedGoodbye,
  inventedPeer,
  manyQuestions,
  pointerLoop,
} from './hostile.ts';
import { type Hosts, makeHosts } from './hosts.ts';

const TYPE = '_drop-lan._tcp.local';

test.each([['Ana'], [''], ['é'.repeat(40)], ['😀'.repeat(20)], ['a.b.'.repeat(20)]])(
  'the announcement of %j is one label of at most 63 bytes and ends with the run',
  (name) => {
    const run = newRun();
    const label = instanceName(name, run);
    expect(new TextEncoder().encode(label).length).toBeLessThanOrEqual(63);
    expect(label.isWellFormed()).toBe(true);
    expect(label).not.toContain('.');
    expect(label.endsWith(` ${run}`)).toBe(true);
  },
);

describeWith(['root', 'ip', 'sysctl'], 'between hosts', () => {
  let hosts: Hosts;
  beforeEach(() => {
    hosts = makeHosts();
  });
  afterEach(() => hosts.destroy());

  /** Two hosts on one link, without any route, one announcing and one watching. */
  function twoHosts() {
    const [a, b] = [hosts.host('a'), hosts.host('b')];
    a.plug('eth0', 'lan', '10.1.0.1/24');
    b.plug('eth0', 'lan', '10.1.0.2/24');
    return { a, b, ana: a.start('announce', 'Ana'), watcher: b.start('watch') };
  }

  test('a peer is found on a network that leads nowhere else', async () => {
    const { ana, watcher } = twoHosts();
    const { id, run, port } = await ana.said({ event: 'ready' });
    expect(await watcher.said({ state: 'found' })).toMatchObject({ id, run, name: 'Ana' });
    await watcher.said({ state: 'found', addresses: new RegExp(`10\\.1\\.0\\.1:${port}`) });
  });

  test('a peer is found where there is only IPv6', async () => {
    const [a, b] = [hosts.host('a'), hosts.host('b')];
    a.plug('eth0', 'lan', 'ipv6');
    b.plug('eth0', 'lan', 'ipv6');
    a.start('announce', 'Ana');
    await b.start('watch').said({ state: 'found', addresses: /^\[fe80::.*%eth0\]:\d+$/ });
  });

  test('two processes of a computer without a network find each other', async () => {
    const alone = hosts.host('alone');
    alone.start('announce', 'Ana');
    await alone.start('watch').said({ state: 'found', addresses: /^127\.0\.0\.1:\d+$/ });
  });

  test('two devices of one name are two peers', async () => {
    const { a, b, watcher } = twoHosts();
    const first = await watcher.said({ state: 'found', name: 'Ana' });
    const { id } = await b.start('announce', 'Ana').said({ event: 'ready' });
    await watcher.said({ state: 'found', name: 'Ana', id });
    const { id: third } = await a.start('announce', 'Ana').said({ event: 'ready' });
    await watcher.said({ state: 'found', name: 'Ana', id: third });
    expect(new Set([first.id, id, third]).size).toBe(3);
  });

  test('a peer on two networks is found on both, on each with its addresses there only', async () => {
    const [both, wifi, docker] = [hosts.host('both'), hosts.host('wifi'), hosts.host('docker')];
    both.plug('eth0', 'lan', '10.1.0.1/24');
    both.plug('docker0', 'inner', '172.17.0.1/16');
    wifi.plug('eth0', 'lan', '10.1.0.2/24');
    docker.plug('eth0', 'inner', '172.17.0.2/16');
    both.start('announce', 'Both');
    const inside = docker.start('browse');
    const outside = wifi.start('browse');
    const heardInside = await inside.said({ heard: 'announcement', from: '172.17.0.1' });
    const heardOutside = await outside.said({ heard: 'announcement', from: '10.1.0.1' });
    expect(String(heardInside.hosts)).not.toContain('10.1.0.1');
    expect(String(heardOutside.hosts)).not.toContain('172.17.0.1');

    docker.start('announce', 'Docker');
    wifi.start('announce', 'Wifi');
    const watcher = both.start('watch');
    await watcher.said({ state: 'found', name: 'Docker' });
    await watcher.said({ state: 'found', name: 'Wifi' });
  });

  test('only the interface that is named is used', async () => {
    const { a, b } = twoHosts();
    a.plug('eth1', 'other', '10.2.0.1/24');
    b.plug('eth1', 'other', '10.2.0.2/24');
    const { run } = await a.start('announce', 'Quiet', 'eth1').said({ event: 'ready' });
    const here = b.start('browse');
    await here.said({ heard: 'announcement', run, from: '10.2.0.1' });
    await a.start('announce', 'Later').said({ event: 'ready' });
    await here.said({ heard: 'announcement', name: 'Later', from: '10.1.0.1' });
    expect(here.lines.filter((line) => line.run === run && line.from === '10.1.0.1')).toEqual([]);
  });

  test('a peer that is killed is lost', async () => {
    const { ana, watcher } = twoHosts();
    const { id } = await watcher.said({ state: 'found' });
    await ana.end('SIGKILL');
    await watcher.said({ state: 'lost', id });
  });

  test('a peer that ends says goodbye on every link, and ends well', async () => {
    const { b, ana } = twoHosts();
    const { run } = await ana.said({ event: 'ready' });
    const listener = b.start('browse');
    await listener.said({ heard: 'announcement', run, from: '10.1.0.1' });
    await listener.said({ heard: 'announcement', run, from: /^fe80::/ });
    expect(await ana.end()).toBe(0);
    await listener.said({ heard: 'goodbye', run, from: '10.1.0.1' });
    await listener.said({ heard: 'goodbye', run, from: /^fe80::/ });
  });

  test('a watcher that ends leaves nothing that keeps it alive', async () => {
    const { watcher } = twoHosts();
    await watcher.said({ state: 'found' });
    expect(await watcher.end()).toBe(0);
  });

  test('a peer is found again when its interface was made anew', async () => {
    const { a, watcher } = twoHosts();
    await watcher.said({ state: 'found', name: 'Ana' });
    a.unplug('eth0');
    await watcher.said({ state: 'lost', name: 'Ana' });
    const told = watcher.lines.length;
    a.plug('eth0', 'lan', '10.1.0.1/24');
    await a.start('announce', 'Second').said({ event: 'ready' });
    await watcher.said({ state: 'found', name: 'Second' });
    await expect
      .poll(() => watcher.lines.slice(told), { timeout: 20_000 })
      .toContainEqual(expect.objectContaining({ state: 'found', name: 'Ana' }));
  });

  test('a watcher goes on when its own interface was made anew', async () => {
    const { a, b, watcher } = twoHosts();
    await watcher.said({ state: 'found', name: 'Ana' });
    b.unplug('eth0');
    await watcher.said({ state: 'lost', name: 'Ana' });
    b.plug('eth0', 'lan', '10.1.0.2/24');
    a.start('announce', 'Second');
    await watcher.said({ state: 'found', name: 'Second' });
  });

  test('a peer that gets another address is found there', async () => {
    const { a, watcher } = twoHosts();
    await watcher.said({ state: 'found', addresses: /10\.1\.0\.1:/ });
    a.ip('addr', 'del', '10.1.0.1/24', 'dev', 'eth0');
    a.ip('addr', 'add', '10.1.0.7/24', 'dev', 'eth0');
    await watcher.said({ state: 'found', addresses: /10\.1\.0\.7:/ });
  });

  test('a port that another program holds is reported, and used once it is free', async () => {
    const [a, b] = [hosts.host('a'), hosts.host('b')];
    a.plug('eth0', 'lan', '10.1.0.1/24');
    b.plug('eth0', 'lan', '10.1.0.2/24');
    const holder = a.start('hold');
    await holder.said({ event: 'ready' });
    const ana = a.start('announce', 'Ana');
    expect(await ana.said({ event: 'trouble', family: 'IPv4' })).toMatchObject({
      interface: 'eth0',
      code: 'EADDRINUSE',
    });
    await holder.end();
    await b.start('watch').said({ state: 'found', addresses: /10\.1\.0\.1:/ });
  });

  test('hostile packets stop nobody from finding or being found, and draw few answers', async () => {
    const { a, b, ana, watcher } = twoHosts();
    const { run } = await ana.said({ event: 'ready' });
    await watcher.said({ state: 'found', name: 'Ana' });
    const evil = hosts.host('evil');
    evil.plug('eth0', 'lan', '10.1.0.66/24');
    const mouth = evil.start('say', '10.1.0.66');
    const packets = [
      new Uint8Array(0),
      new Uint8Array(12).fill(255),
      pointerLoop(),
      compressionBomb(4000),
      compressionBomb(65_000),
      manyQuestions(TYPE, 20),
      manyQuestions(TYPE),
      forgedGoodbye(TYPE, instanceName('Ana', String(run))),
      inventedPeer(TYPE, 'no txt', 9, []),
      inventedPeer(TYPE, 'proto', 9, ['__proto__=x', '=', 'v=1', 'id', 'n=\u001b[2J']),
      inventedPeer(TYPE, 'port', 0, ['v=1', `id=${newRun()}`, 'n=Port']),
      ...Array.from({ length: 2000 }, () =>
        inventedPeer(TYPE, 'invented', 9, ['v=1', `id=${newRun()}`, 'n=Invented']),
      ),
    ];
    for (const packet of packets)
      mouth.child.stdin?.write(`${Buffer.from(packet).toString('base64')}\n`);
    mouth.child.stdin?.end();
    const { answers } = await mouth.said({ event: 'said' });
    expect(answers).toBeGreaterThan(0);
    expect(answers).toBeLessThan(200);

    a.start('announce', 'Later');
    await watcher.said({ state: 'found', name: 'Later' });
    await b.start('watch').said({ state: 'found', name: 'Ana' });
    const told = watcher.lines.filter(({ event }) => event === 'change');
    expect(new Set(told.map(({ name }) => name))).toEqual(new Set(['Ana', 'Later']));
    expect(told.filter(({ state }) => state === 'lost')).toEqual([]);
    for (const one of [watcher, ana]) {
      expect(one.lines.filter(({ event }) => event === 'stderr')).toEqual([]);
      expect(await one.end()).toBe(0);
    }
  });
});
