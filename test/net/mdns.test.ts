import { afterEach, beforeEach, expect, test } from 'vitest';
import { announce, type HeardKnock, instanceName, knocker } from '../../src/net/mdns.ts';
import { newRun } from '../../src/net/run.ts';
import { type Host, Lab } from '../lab/hosts.ts';
import { describeWith, LAB } from '../support/skip.ts';
import {
  compressionBomb,
  forgedGoodbye,
  inventedPeer,
  manyQuestions,
  pointerLoop,
} from './hostile.ts';
import { Running } from './process.ts';

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

test('a knock at a port of another program is not heard', async () => {
  const run = newRun();
  const heard: HeardKnock[] = [];
  const options = { interfaces: ['lo'] };
  const onKnock = (knock: HeardKnock): void => void heard.push(knock);
  const announcer = announce({ name: 'Ana', run, port: 23767 }, { ...options, onKnock });
  const knockers = [25, 631, 23766, 23777, 23767].map((port) => knocker(port, options));
  for (const each of knockers) each.at(run, 'send');
  // Each knocks several times in a second.
  await expect.poll(() => heard.length, { timeout: 20_000 }).toBeGreaterThan(3);
  for (const each of [announcer, ...knockers]) await each.close();
  expect(new Set(heard.map(({ port }) => port))).toEqual(new Set([23767]));
});

describeWith(LAB, 'between hosts', () => {
  let lab: Lab;
  beforeEach(() => {
    lab = Lab.create();
  });
  afterEach(() => lab.destroy());

  /** A host at `eth0` of the network. */
  function hostAt(name: string, address: string): Host {
    return lab.host(name, { bridge: 'lan', name: 'eth0', addresses: [address] });
  }

  /** Two hosts on one link, one announcing and one watching. */
  function twoHosts() {
    const [a, b] = [hostAt('a', '10.1.0.1/24'), hostAt('b', '10.1.0.2/24')];
    return { a, b, ana: start(a, 'announce', 'Ana'), watcher: start(b, 'watch') };
  }

  test('a peer on two networks is found on both, on each with its addresses there only', async () => {
    const both = hostAt('both', '10.1.0.1/24');
    both.plug({ bridge: 'inner', name: 'docker0', addresses: ['172.17.0.1/16'] });
    const wifi = hostAt('wifi', '10.1.0.2/24');
    const docker = lab.host('docker', { bridge: 'inner', addresses: ['172.17.0.2/16'] });
    start(both, 'announce', 'Both');
    const inside = start(docker, 'browse');
    const outside = start(wifi, 'browse');
    const heardInside = await inside.said({ heard: 'announcement', from: '172.17.0.1' });
    const heardOutside = await outside.said({ heard: 'announcement', from: '10.1.0.1' });
    expect(String(heardInside.hosts)).not.toContain('10.1.0.1');
    expect(String(heardOutside.hosts)).not.toContain('172.17.0.1');

    start(docker, 'announce', 'Docker');
    start(wifi, 'announce', 'Wifi');
    const watcher = start(both, 'watch');
    await watcher.said({ state: 'found', name: 'Docker' });
    await watcher.said({ state: 'found', name: 'Wifi' });
  });

  test('only the interface that is named is used', async () => {
    const { a, b } = twoHosts();
    a.plug({ bridge: 'other', name: 'eth1', addresses: ['10.2.0.1/24'] });
    b.plug({ bridge: 'other', name: 'eth1', addresses: ['10.2.0.2/24'] });
    const { run } = await start(a, 'announce', 'Quiet', 'eth1').said({ event: 'ready' });
    const here = start(b, 'browse');
    await here.said({ heard: 'announcement', run, from: '10.2.0.1' });
    await start(a, 'announce', 'Later').said({ event: 'ready' });
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
    const listener = start(b, 'browse');
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

  test('a port that another program holds is reported, and used once it is free', async () => {
    const [a, b] = [hostAt('a', '10.1.0.1/24'), hostAt('b', '10.1.0.2/24')];
    const holder = start(a, 'hold');
    await holder.said({ event: 'ready' });
    const ana = start(a, 'announce', 'Ana');
    expect(await ana.said({ event: 'trouble', family: 'IPv4' })).toMatchObject({
      interface: 'eth0',
      code: 'EADDRINUSE',
    });
    await holder.end();
    await start(b, 'watch').said({ state: 'found', addresses: /10\.1\.0\.1:/ });
  });

  test('hostile packets stop nobody from finding or being found, and draw few answers', async () => {
    const { a, b, ana, watcher } = twoHosts();
    const { run } = await ana.said({ event: 'ready' });
    await watcher.said({ state: 'found', name: 'Ana' });
    const evil = hostAt('evil', '10.1.0.66/24');
    const mouth = start(evil, 'say', '10.1.0.66');
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
    mouth.tell(packets.map((packet) => Buffer.from(packet).toString('base64')));
    const { answers } = await mouth.said({ event: 'said' });
    expect(answers).toBeGreaterThan(0);
    expect(answers).toBeLessThan(200);

    start(a, 'announce', 'Later');
    await watcher.said({ state: 'found', name: 'Later' });
    await start(b, 'watch').said({ state: 'found', name: 'Ana' });
    const told = watcher.lines.filter(({ event }) => event === 'change');
    expect(new Set(told.map(({ name }) => name))).toEqual(new Set(['Ana', 'Later']));
    expect(told.filter(({ state }) => state === 'lost')).toEqual([]);
    for (const one of [watcher, ana]) {
      expect(one.lines.filter(({ event }) => event === 'stderr')).toEqual([]);
      expect(await one.end()).toBe(0);
    }
  });
});

function start(host: Host, ...args: string[]): Running {
  return new Running(host, args);
}
