import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { expect, test } from 'vitest';
import type { CheckEvent, CheckName } from '../../src/events.ts';
import type { Host } from '../lab/hosts.ts';
import { Network } from '../lab/network.ts';
import { startVpn } from '../lab/vpn.ts';
import { Changes, text } from '../support/process.ts';
import { describeWith, LAB } from '../support/skip.ts';

/** What is found where nothing is wrong and nobody else is there. */
const ALONE: Findings = {
  identity: 'ok',
  clock: 'ok',
  downloads: 'ok',
  room: 'ok',
  network: 'ok',
  vpn: 'ok',
  'port-5353': 'ok',
  speak: 'ok',
  hear: 'ok',
  others: 'warning',
  listen: 'ok',
  reachable: 'warning',
  firewall: 'ok',
  'self-test': 'ok',
};

/** Where somebody runs `drop receive`. */
const TOGETHER: Findings = { ...ALONE, others: 'ok', reachable: 'ok' };

describeWith([...LAB, 'socat', 'setpriv'], 'drop doctor', () => {
  test('finds nothing wrong where nothing is, alone, and leaves nothing behind', async () => {
    await using network = new Network();
    const { bob } = network.pair();
    expect(await examine(network, bob)).toEqual({ code: 0, findings: ALONE });
    expect(existsSync(network.home(bob).state)).toBe(false);
    expect(await readdir(network.home(bob).downloads)).toEqual([]);
  });

  test('finds nothing wrong beside another computer, and lets that in peace', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    const receiving = await network.receive(ana);
    const checks = await checksOf(network, bob);
    expect(levelsOf(checks)).toEqual(TOGETHER);
    expect(find(checks, 'others').message).toContain('"ana" (10.1.0.1)');
    expect(receiving.events.map(({ event }) => event)).toEqual(['ready']);
  });

  test('tests one that receives, without disturbing it', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    const receiving = await network.receive(ana);
    expect(await network.deliver(bob, 'ana', receiving)).toBeDefined();
    await network.receive(bob);
    const checks = await checksOf(network, ana);
    expect(levelsOf(checks)).toEqual({ ...TOGETHER, state: 'ok' });
    expect(find(checks, 'listen').message).toContain('drop itself');
    expect(await network.deliver(bob, 'ana', receiving)).toBeDefined();
  });

  test('names the rule that lets no multicast in, and what mends it', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    await network.receive(ana);
    bob.lose('udp dport 5353', 10);
    const wrong = { ...ALONE, hear: 'failed', firewall: 'failed', 'self-test': 'warning' } as const;
    const { others: _, ...expected } = wrong;
    const checks = await checksOf(network, bob);
    expect(levelsOf(checks)).toEqual(expected);
    const fix = 'sudo nft insert rule inet lab arriving udp dport 5353 accept';
    for (const name of ['hear', 'firewall'] as const) expect(find(checks, name).fix).toBe(fix);
    await mend(bob, fix);
    expect(levelsOf(await checksOf(network, bob))).toEqual(TOGETHER);
  });

  test('names the rule that lets no connection in, as another computer could not come', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    await network.receive(ana);
    await rules(bob, CLOSED);
    const wrong = { ...TOGETHER, reachable: 'failed', firewall: 'failed' };
    const checks = await checksOf(network, bob);
    expect(levelsOf(checks)).toEqual(wrong);
    const fix = 'sudo nft insert rule inet filter input tcp dport 23767 accept';
    for (const name of ['reachable', 'firewall'] as const) expect(find(checks, name).fix).toBe(fix);
    await mend(bob, fix);
    expect(levelsOf(await checksOf(network, bob))).toEqual(TOGETHER);
  });

  test('names it where nobody is there to come', async () => {
    await using network = new Network();
    const { bob } = network.pair();
    await rules(bob, CLOSED);
    const checks = await checksOf(network, bob);
    expect(levelsOf(checks)).toEqual({ ...ALONE, firewall: 'failed' });
    expect(find(checks, 'firewall').message).toContain('chain input of table inet filter');
  });

  test('tells as an ordinary user what was seen, and who can name the rule', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    await network.receive(ana);
    await rules(bob, CLOSED);
    const wrong = { ...TOGETHER, reachable: 'failed', firewall: 'warning' };
    const checks = await checksOf(network, bob, USER);
    expect(levelsOf(checks)).toEqual(wrong);
    expect(find(checks, 'reachable').fix).toBe('sudo env "PATH=$PATH" drop doctor');
  });

  test('tells as an ordinary user that nothing comes in on the port of multicast', async () => {
    await using network = new Network();
    const { bob } = network.pair();
    bob.lose('udp dport 5353', 10);
    const wrong = {
      ...ALONE,
      hear: 'failed',
      firewall: 'warning',
      'self-test': 'warning',
    } as const;
    const { others: _, ...expected } = wrong;
    expect(await examine(network, bob, USER)).toEqual({ code: 3, findings: expected });
  });

  test('names the rule that lets no multicast out', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    await network.receive(ana);
    await rules(
      bob,
      'table inet filter {\nchain output {\ntype filter hook output priority 0 ;\nudp dport 5353 drop\n}\n}',
    );
    const wrong = {
      ...ALONE,
      speak: 'failed',
      firewall: 'failed',
      'self-test': 'warning',
    } as const;
    const { others: _, hear: __, ...expected } = wrong;
    const checks = await checksOf(network, bob);
    expect(levelsOf(checks)).toEqual(expected);
    const fix = 'sudo nft insert rule inet filter output udp dport 5353 accept';
    for (const name of ['speak', 'firewall'] as const) expect(find(checks, name).fix).toBe(fix);
    await mend(bob, fix);
    expect(levelsOf(await checksOf(network, bob))).toEqual(TOGETHER);
  });

  test('names what stops everything, and ends', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    await network.receive(ana);
    await rules(
      bob,
      [
        'table inet filter {',
        'chain input {\ntype filter hook input priority 0 ; policy drop ;\n}',
        'chain output {\ntype filter hook output priority 0 ; policy drop ;\n}',
        '}',
      ].join('\n'),
    );
    const wrong = { ...ALONE, speak: 'failed', firewall: 'failed', 'self-test': 'failed' } as const;
    const { others: _, hear: __, ...expected } = wrong;
    const checks = await checksOf(network, bob);
    expect(levelsOf(checks)).toEqual(expected);
    await mend(bob, find(checks, 'firewall').fix);
    const after = levelsOf(await checksOf(network, bob));
    expect(after).toMatchObject({ speak: 'ok', hear: 'ok', firewall: 'ok' });
  });

  test('names who keeps the port of multicast DNS to itself', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    await network.receive(ana);
    const program = `require('dgram').createSocket('udp6').bind(5353, () => console.log('held'))`;
    const holder = bob.spawn(process.execPath, ['-e', program]);
    if (holder.stdout) await once(holder.stdout, 'data');
    const wrong = { ...TOGETHER, 'port-5353': 'failed', 'self-test': 'warning' } as const;
    // Others can be asked from another port.
    const { speak: _, hear: __, ...expected } = wrong;
    const checks = await checksOf(network, bob);
    expect(levelsOf(checks)).toEqual(expected);
    expect(find(checks, 'port-5353')).toMatchObject({
      message: expect.stringContaining(`(process ${holder.pid})`),
      fix: `kill ${holder.pid}`,
    });
  });

  test('says that there is no network', async () => {
    await using network = new Network();
    const bob = network.host('bob');
    const { code, findings } = await examine(network, bob);
    expect(code).toBe(3);
    expect(findings).toMatchObject({ network: 'failed', 'self-test': 'ok' });
    for (const name of ['speak', 'hear', 'reachable', 'firewall'])
      expect(findings).not.toHaveProperty(name);
  });

  test('tells of a VPN that holds the way out, which is no fault', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    await network.receive(ana);
    await startVpn(bob);
    const checks = await checksOf(network, bob);
    expect(levelsOf(checks)).toEqual({ ...TOGETHER, vpn: 'warning' });
    expect(find(checks, 'vpn').message).toContain('(tun0)');
  });

  test('takes a VPN that forbids the local network for what it is', async () => {
    await using network = new Network();
    const { bob } = network.pair();
    await startVpn(bob);
    await rules(
      bob,
      'table inet vpn {\nchain output {\ntype filter hook output priority 0 ; policy drop ;\noifname { "tun0", "lo" } accept\n}\n}',
    );
    const checks = await checksOf(network, bob, USER);
    expect(levelsOf(checks)).toMatchObject({ vpn: 'warning', speak: 'failed' });
    expect(find(checks, 'speak').message).toContain('VPN (tun0)');
  });

  test('tells of a device that is announced and lets nobody in', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    await network.receive(ana);
    await rules(ana, CLOSED);
    const { others: _, ...expected } = { ...TOGETHER, silent: 'warning' } as const;
    const checks = await checksOf(network, bob);
    expect(levelsOf(checks)).toEqual(expected);
    expect(find(checks, 'silent').message).toContain('"ana" (10.1.0.1)');
  });

  test('does not blame this computer where another one hears nothing', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    const cem = network.host('cem', { bridge: 'lan', name: 'eth0', addresses: ['10.1.0.3/24'] });
    // She hears neither questions nor knocks of Bob, but what Cem asks, and answers that to all.
    ana.lose('meta nfproto ipv6 udp dport 5353', 10);
    ana.lose('ip saddr != 10.1.0.3 udp dport 5353', 10);
    const announced = await parrotOn(cem);
    await network.receive(ana);
    // Else it could be more, together with the answers, than she says without being asked.
    await announced(4);
    expect(levelsOf(await checksOf(network, bob))).toEqual({ ...TOGETHER, reachable: 'warning' });
  });

  test('finds what is wrong with what it keeps and where it saves', async () => {
    await using network = new Network();
    const { bob } = network.pair();
    const home = network.home(bob);
    await network.run(bob, ['peers', '--json']).outcome();
    execFileSync('chmod', ['o+r', `${home.state}/identity.pem`]);
    execFileSync('chmod', ['o+w', home.state]);
    execFileSync('rm', ['-r', home.downloads]);
    execFileSync('touch', [home.downloads]);
    const checks = await checksOf(network, bob);
    const { room: _, ...expected } = {
      ...ALONE,
      identity: 'failed',
      state: 'failed',
      downloads: 'failed',
    } as const;
    expect(levelsOf(checks)).toEqual(expected);
    expect(find(checks, 'identity').fix).toContain(`chmod 600 ${home.state}/identity.pem`);
    await mend(bob, find(checks, 'state').fix);
    expect(levelsOf(await checksOf(network, bob))).toEqual({ ...expected, state: 'ok' });
  });

  test('says as root that it does not look into what belongs to somebody else', async () => {
    await using network = new Network();
    const { bob } = network.pair();
    const home = network.home(bob);
    await network.run(bob, ['peers', '--json']).outcome();
    execFileSync('chown', ['-R', String(NOBODY), home.path]);
    const { identity: _, ...expected } = { ...ALONE, state: 'warning' } as const;
    expect(levelsOf(await checksOf(network, bob))).toEqual(expected);
  });

  test('finds what it remembers of others damaged', async () => {
    await using network = new Network();
    const { bob } = network.pair();
    const home = network.home(bob);
    await network.run(bob, ['peers', '--json']).outcome();
    execFileSync('rm', ['-r', `${home.state}/peers`]);
    writeFileSync(`${home.state}/peers`, '');
    const { code, findings } = await examine(network, bob);
    expect({ code, findings }).toEqual({ code: 8, findings: { ...ALONE, state: 'failed' } });
  });

  test('works where there is only IPv6, and says so', async () => {
    await using network = new Network();
    const ana = network.host('ana', { bridge: 'lan', name: 'eth0' });
    const bob = network.host('bob', { bridge: 'lan', name: 'eth0' });
    await network.receive(ana);
    expect(levelsOf(await checksOf(network, bob))).toEqual({ ...TOGETHER, network: 'warning' });
  });

  test('tests only the interface that is named', async () => {
    await using network = new Network();
    const { bob } = network.pair();
    bob.plug({ bridge: 'other', addresses: ['10.2.0.2/24'] });
    const args = ['--interface', 'other'];
    const checks = await checksOf(network, bob, { args });
    expect(levelsOf(checks)).toEqual(ALONE);
    expect(find(checks, 'network').message).toContain(' other (10.2.0.2');
    expect(checks.filter(({ name }) => name === 'speak')).toHaveLength(1);
    const none = network.run(bob, ['doctor', '--json', '--interface', 'none']);
    expect((await none.outcome()).code).toBe(2);
  });

  test('ends at once when it is told to, and leaves nothing behind', async () => {
    await using network = new Network();
    const { bob } = network.pair();
    const home = network.home(bob);
    const env = { TMPDIR: home.path };
    const examining = network.run(bob, ['doctor'], { env });
    await examining.said(/OK: .*No VPN/);
    expect(await examining.stop()).toMatchObject({ signal: 'SIGINT' });
    expect(await readdir(home.path)).toEqual(['.cache', 'Downloads']);
    expect(await readdir(`${home.path}/.cache`)).toEqual(['drop']);
  });

  test('speaks to a person in lines, and ends with one sentence', async () => {
    await using network = new Network();
    const { bob } = network.pair();
    await rules(bob, CLOSED);
    const { stderr, stdout } = await network.run(bob, ['doctor']).outcome();
    expect(stdout).toBe('');
    const lines = stderr.trimEnd().split('\n');
    expect(lines.at(-1)).toMatch(/^One thing is wrong\. Begin with: sudo nft insert rule /);
    const wrong = lines.findIndex((line) => line.startsWith('Wrong: '));
    expect(lines[wrong + 1]).toMatch(
      /^ {7}sudo nft insert rule inet filter input tcp dport 23767 /,
    );
  });
});

/** A firewall as many have: what is asked for comes in, and multicast DNS, and nothing else. */
const CLOSED = `table inet filter {
  chain input {
    type filter hook input priority 0 ; policy drop ;
    ct state established,related accept
    iif lo accept
    meta l4proto { icmp, ipv6-icmp } accept
    jump open
  }
  chain open {
    tcp dport { 22, 80 } accept
    udp dport 5353 accept
  }
}`;

type Findings = Readonly<Partial<Record<CheckName, CheckEvent['level']>>>;

interface Manner {
  readonly by?: readonly string[];
  readonly args?: readonly string[];
}

const NOBODY = 65_534;

/** Runs a command as a user that may not read the rules of firewalls. */
const USER: Manner = {
  by: ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'],
};

/** Runs it to its end. */
async function checksOf(network: Network, host: Host, manner: Manner = {}): Promise<CheckEvent[]> {
  return (await run(network, host, manner)).checks;
}

/** How it ended, and what it found. */
async function examine(network: Network, host: Host, manner: Manner = {}) {
  const { code, checks } = await run(network, host, manner);
  return { code, findings: levelsOf(checks) };
}

async function run(network: Network, host: Host, manner: Manner) {
  const home = network.home(host);
  if (manner === USER) execFileSync('chown', ['-R', `${NOBODY}:${NOBODY}`, home.path]);
  const examining = network.run(host, ['doctor', '--json', ...(manner.args ?? [])], {
    home,
    ...manner,
  });
  const { code } = await examining.outcome();
  const checks = examining.events.filter((event) => event.event === 'check');
  for (const { ok, level } of checks) expect(ok).toBe(level !== 'failed');
  expect(code === 0).toBe(checks.every(({ ok }) => ok));
  return { code, checks };
}

function levelsOf(checks: readonly CheckEvent[]): Findings {
  return Object.fromEntries(checks.map(({ name, level }) => [name, level]));
}

function find(checks: readonly CheckEvent[], name: CheckName): CheckEvent {
  const check = checks.find((one) => one.name === name);
  if (check === undefined) throw new Error(`There is no check "${name}".`);
  return check;
}

/**
 * Has somebody ask at once what Bob asks at first, but for calls. Resolves, once that goes on, with
 * what waits until so much was heard of Ana.
 */
async function parrotOn(host: Host): Promise<(times: number) => Promise<unknown>> {
  const program = `
    const socket = require('dgram').createSocket({ type: 'udp4', reuseAddr: true });
    let asked = 0;
    socket.on('message', (packet, { address }) => {
      const answers = packet[2] >> 7 === 1;
      if (address === '10.1.0.1' && answers) console.log('heard');
      if (address !== '10.1.0.2' || answers || packet.includes('_knock') || ++asked > 2) return;
      socket.send(packet, 5353, '224.0.0.251');
    });
    socket.bind(5353, () => {
      socket.setMulticastInterface('10.1.0.3');
      socket.addMembership('224.0.0.251', '10.1.0.3');
      console.log('ready');
    });`;
  const changes = new Changes();
  const { stdout } = host.spawn(process.execPath, ['-e', program]);
  const said = text(stdout, () => changes.announce());
  const until = (lines: number) =>
    changes.until(() => said().split('\n').length > lines || undefined, said);
  await until(1);
  return (times) => until(1 + times);
}

/** Gives a host these rules. */
async function rules(host: Host, text: string): Promise<void> {
  const { code, stderr } = await host.run('nft', [text]);
  expect(code, stderr).toBe(0);
}

/** Does what a check says, as root. */
async function mend(host: Host, fix: string | undefined): Promise<void> {
  const { code, stderr } = await host.run('sh', ['-c', (fix ?? 'false').replaceAll('sudo ', '')]);
  expect(code, stderr).toBe(0);
}
