import { describe, expect, test } from 'vitest';
import { findFirewalls } from '../../src/doctor/firewall.ts';
import { packetOf } from '../../src/doctor/linux.ts';
import { readNft } from '../../src/doctor/nft.ts';
import { judge } from '../../src/doctor/rules.ts';
import type { Traffic } from '../../src/doctor/traffic.ts';
import { link } from '../net/link.ts';
import { type Answers, ruleset, systemOf } from './support.ts';

const NETWORKS = ['10.1.0.1/24', 'fe80::1/64'];
const V4 = link({ networks: NETWORKS });
const V6 = link({ family: 'IPv6', networks: ['fe80::1/64', '10.1.0.1/24'] });

const NFT = 'nft -j list ruleset';

async function verdictsOf(answers: Answers, links = [V4, V6], port = 23_767) {
  const { names, readable, verdicts } = await findFirewalls(systemOf(answers), links, port);
  const says = Object.values(verdicts).map((verdict) => verdict.says);
  return { names, readable, says, verdicts };
}

describe('the rules of Linux', () => {
  test('of firewalld stop both ways in, and are changed by its own command', async () => {
    const runs = { [NFT]: ruleset('firewalld.nft'), 'firewall-cmd --state': 'running\n' };
    const { names, says, verdicts } = await verdictsOf({ runs });
    expect({ names, says }).toEqual({ names: ['firewalld'], says: ['drop', 'drop', 'accept'] });
    expect(verdicts['tcp-in']).toMatchObject({
      where: 'chain filter_INPUT of table inet firewalld',
      fix: 'sudo firewall-cmd --permanent --add-port=23767/tcp && sudo firewall-cmd --reload',
    });
    expect(verdicts['multicast-in']).toMatchObject({
      fix: 'sudo firewall-cmd --permanent --add-service=mdns && sudo firewall-cmd --reload',
    });
  });

  test('of firewalld let ssh in', async () => {
    expect(
      (await verdictsOf({ runs: { [NFT]: ruleset('firewalld.nft') } }, [V4], 22)).says[0],
    ).toBe('accept');
  });

  test('of ufw let multicast in, and TCP once it is told to', async () => {
    const files = { '/etc/ufw/ufw.conf': '# /etc/ufw/ufw.conf\nENABLED=yes\n' };
    const runsOf = (name: string) => ({
      [NFT]: ruleset('ufw.nft'),
      'iptables-save': ruleset(`${name}.iptables`),
      'ip6tables-save': ruleset(`${name}.ip6tables`),
    });
    const closed = await verdictsOf({ files, runs: runsOf('ufw') });
    expect(closed).toMatchObject({ names: ['ufw'], says: ['drop', 'accept', 'accept'] });
    expect(closed.verdicts['tcp-in']).toMatchObject({ fix: 'sudo ufw allow 23767/tcp' });
    const open = await verdictsOf({ files, runs: runsOf('ufw-open') });
    expect(open.says).toEqual(['accept', 'accept', 'accept']);
    const web = await verdictsOf({ files, runs: runsOf('ufw-open') }, [V4, V6], 443);
    expect(web.says[0]).toBe('accept');
    // It is for another network than ours.
    const samba = await verdictsOf({ files, runs: runsOf('ufw-open') }, [V4], 445);
    expect(samba.says[0]).toBe('drop');
  });

  test('of iptables are no reason to accuse, where only nft lists them', async () => {
    const { says } = await verdictsOf({ runs: { [NFT]: ruleset('ufw.nft') } });
    expect(says).toEqual(['unknown', 'unknown', 'accept']);
  });

  test('of a workstation stop what they do not name', async () => {
    const runs = { [NFT]: ruleset('workstation.nft') };
    const { names, says, verdicts } = await verdictsOf({ runs });
    expect({ names, says }).toEqual({ names: ['nftables'], says: ['drop', 'drop', 'accept'] });
    expect(verdicts['tcp-in']).toMatchObject({
      fix: 'sudo nft insert rule inet filter input tcp dport 23767 accept',
    });
    expect(verdicts['multicast-in']).toMatchObject({
      fix: 'sudo nft insert rule inet filter input udp dport 5353 accept',
    });
    for (const [port, expected] of [
      [8080, 'accept'],
      [445, 'drop'],
    ] as const)
      expect((await verdictsOf({ runs }, [V4], port)).says[0]).toBe(expected);
    const inside = link({ name: 'virbr0', networks: ['192.168.122.1/24'] });
    expect((await verdictsOf({ runs }, [inside])).says).toEqual(['accept', 'accept', 'accept']);
    const near = link({ networks: ['192.168.1.2/24'] });
    expect((await verdictsOf({ runs }, [near], 445)).says[0]).toBe('accept');
  });

  test('are unknown to whoever may not read them, and to whom no tool lists them', async () => {
    const runs = { [NFT]: ruleset('workstation.nft'), 'firewall-cmd --state': 'running\n' };
    const user = await findFirewalls(systemOf({ isRoot: false, runs }), [V4], 23_767);
    expect(user).toMatchObject({ names: ['firewalld'], readable: false });
    expect(user.verdicts['tcp-in']).toEqual({ says: 'unknown' });
    expect(user.fixFor('tcp-in')).toContain('firewall-cmd');
    expect(await verdictsOf({})).toMatchObject({ names: [], readable: false });
  });

  test('may be those of the old iptables', async () => {
    const save =
      '*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n';
    const answers = {
      runs: { [NFT]: '{"nftables":[]}', 'iptables-legacy-save': save },
      files: { '/proc/net/ip_tables_names': 'filter\n' },
    };
    // Only IPv4 is stopped, and one family is enough.
    expect((await verdictsOf(answers)).says).toEqual(['accept', 'accept', 'accept']);
    expect((await verdictsOf(answers, [V4])).says).toEqual(['drop', 'drop', 'accept']);
    expect((await verdictsOf(answers, [V4], 22)).says[0]).toBe('accept');
    expect((await verdictsOf({ ...answers, files: {} }, [V4])).says[0]).toBe('accept');
  });

  test('of a VPN may forbid all that does not go through it', async () => {
    // As in wg-quick(8).
    const rule = '! -o wg0 -m mark ! --mark 0xca6c -m addrtype ! --dst-type LOCAL -j REJECT';
    const save = `*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT ${rule}\nCOMMIT\n`;
    const runs = { [NFT]: '{"nftables":[]}', 'iptables-save': save, 'ip6tables-save': save };
    expect((await verdictsOf({ runs })).says).toEqual(['accept', 'accept', 'drop']);
  });
});

/** What `nft -j` prints for one condition, in a chain that drops what comes to its end. */
function chainWith(...rules: readonly unknown[]): string {
  const where = { family: 'inet', table: 't' };
  const input = { type: 'filter', hook: 'input', prio: 0, policy: 'drop' };
  return JSON.stringify({
    nftables: [
      { metainfo: { version: '1.0.6', json_schema_version: 1 } },
      { table: { family: 'inet', name: 't', handle: 1 } },
      { chain: { ...where, name: 'c', handle: 1, ...input } },
      { chain: { ...where, name: 'out', ...input, hook: 'output', policy: 'accept' } },
      { chain: { ...where, name: 'more', handle: 2 } },
      {
        set: {
          ...where,
          name: 'ports',
          type: 'inet_service',
          elem: [22, { range: [23_000, 24_000] }],
        },
      },
      { set: { ...where, name: 'empty', type: 'inet_service' } },
      {
        map: {
          ...where,
          name: 'm',
          map: 'verdict',
          elem: [
            [22, { drop: null }],
            [5353, ACCEPT],
          ],
        },
      },
      ...rules.map((expr) => ({ rule: { ...where, chain: 'c', handle: 3, expr } })),
      { rule: { ...where, chain: 'more', expr: [match(port('udp'), 5353), ACCEPT] } },
    ],
  });
}

const ACCEPT = { accept: null };
const DROP = { drop: null };
const match = (left: unknown, right: unknown, op = '==') => ({ match: { op, left, right } });
const payload = (protocol: string, field: string) => ({ payload: { protocol, field } });
const port = (protocol: string) => payload(protocol, 'dport');
const meta = (key: string) => ({ meta: { key } });
const ct = (key: string) => ({ ct: { key } });
const FLAGS = { '&': [payload('tcp', 'flags'), ['fin', 'syn', 'rst', 'ack']] };
const CONCAT = { concat: [meta('iifname'), port('tcp')] };

describe('a rule of nft', () => {
  /** A rule, and what becomes of TCP and of multicast that come in at a chain that else drops. */
  test.each<[string, readonly unknown[], string]>([
    ['nothing', [], 'drop drop'],
    ['accept', [ACCEPT], 'accept accept'],
    ['reject', [{ reject: { type: 'tcp reset' } }], 'drop drop'],
    ['tcp dport 23767', [match(port('tcp'), 23_767), ACCEPT], 'accept drop'],
    ['tcp dport 22', [match(port('tcp'), 22), ACCEPT], 'drop drop'],
    ['tcp dport != 22', [match(port('tcp'), 22, '!='), ACCEPT], 'accept drop'],
    ['tcp dport >= 1024', [match(port('tcp'), 1024, '>='), ACCEPT], 'accept drop'],
    ['tcp dport < 1024', [match(port('tcp'), 1024, '<'), ACCEPT], 'drop drop'],
    ['tcp dport { 22, 23767 }', [match(port('tcp'), { set: [22, 23_767] }), ACCEPT], 'accept drop'],
    [
      'tcp dport 23000-24000',
      [match(port('tcp'), { range: [23_000, 24_000] }), ACCEPT],
      'accept drop',
    ],
    ['tcp dport @ports', [match(port('tcp'), '@ports'), ACCEPT], 'accept drop'],
    ['tcp dport @empty', [match(port('tcp'), '@empty'), ACCEPT], 'drop drop'],
    ['tcp dport @gone', [match(port('tcp'), '@gone'), ACCEPT], 'unknown drop'],
    ['th dport 5353', [match(port('th'), 5353), ACCEPT], 'drop accept'],
    ['udp sport 5353', [match(payload('udp', 'sport'), 5353), ACCEPT], 'drop accept'],
    ['tcp sport 40000', [match(payload('tcp', 'sport'), 40_000), ACCEPT], 'unknown drop'],
    [
      'ct state established',
      [match(ct('state'), ['established', 'related'], 'in'), ACCEPT],
      'drop drop',
    ],
    ['ct state new', [match(ct('state'), { set: ['new', 'untracked'] }), ACCEPT], 'accept accept'],
    ['ct mark 1', [match(ct('mark'), 1), ACCEPT], 'unknown unknown'],
    ['iifname eth0', [match(meta('iifname'), 'eth0'), ACCEPT], 'accept accept'],
    ['iif lo', [match(meta('iif'), 'lo'), ACCEPT], 'drop drop'],
    ['iifname e*', [match(meta('iifname'), { set: ['wg0', 'e*'] }), ACCEPT], 'accept accept'],
    ['oifname eth0', [match(meta('oifname'), 'eth0'), ACCEPT], 'drop drop'],
    ['l4proto tcp', [match(meta('l4proto'), { set: ['tcp', 'icmp'] }), ACCEPT], 'accept drop'],
    ['nfproto ipv6', [match(meta('nfproto'), 'ipv6'), ACCEPT], 'drop drop'],
    ['pkttype multicast', [match(meta('pkttype'), 'multicast'), ACCEPT], 'drop accept'],
    ['ip protocol udp', [match(payload('ip', 'protocol'), 'udp'), ACCEPT], 'drop accept'],
    ['ip daddr 224.0.0.251', [match(payload('ip', 'daddr'), '224.0.0.251'), ACCEPT], 'drop accept'],
    ['ip6 daddr ff02::fb', [match(payload('ip6', 'daddr'), 'ff02::fb'), ACCEPT], 'drop drop'],
    [
      'ip saddr 10.0.0.0/8',
      [match(payload('ip', 'saddr'), { prefix: { addr: '10.0.0.0', len: 8 } }), ACCEPT],
      'accept accept',
    ],
    ['ip saddr 10.1.0.7', [match(payload('ip', 'saddr'), '10.1.0.7'), ACCEPT], 'unknown unknown'],
    [
      'ip saddr 192.168.0.0/16',
      [match(payload('ip', 'saddr'), { prefix: { addr: '192.168.0.0', len: 16 } }), ACCEPT],
      'drop drop',
    ],
    ['icmp type', [match(payload('icmp', 'type'), 'echo-request'), ACCEPT], 'drop drop'],
    [
      'fib daddr type local',
      [match({ fib: { result: 'type', flags: ['daddr'] } }, 'local'), ACCEPT],
      'accept drop',
    ],
    [
      'fib saddr . iif oif missing',
      [match({ fib: { result: 'oif', flags: ['saddr', 'iif'] } }, false), ACCEPT],
      'drop drop',
    ],
    ['tcp flags', [match(FLAGS, 'syn', '!='), ACCEPT], 'drop drop'],
    ['tcp flags syn', [match(FLAGS, 'syn'), ACCEPT], 'accept drop'],
    [
      'numgen',
      [match({ numgen: { mode: 'random', mod: 10, offset: 0 } }, 3, '<'), ACCEPT],
      'drop drop',
    ],
    ['skuid', [match(meta('skuid'), 0), ACCEPT], 'unknown unknown'],
    [
      'limit',
      [{ limit: { rate: 10, burst: 5, per: 'second' } }, { counter: {} }, ACCEPT],
      'accept accept',
    ],
    ['limit over', [{ limit: { rate: 10, per: 'second', inv: true } }, ACCEPT], 'drop drop'],
    [
      'concatenation',
      [match(CONCAT, { set: [{ concat: ['eth0', 23_767] }] }), ACCEPT],
      'accept drop',
    ],
    ['another one', [match(CONCAT, { set: [{ concat: ['eth1', 23_767] }] }), ACCEPT], 'drop drop'],
    [
      'vmap',
      [{ vmap: { key: port('tcp'), data: { set: [[{ range: [1, 30_000] }, ACCEPT]] } } }],
      'accept drop',
    ],
    [
      'vmap of states',
      [{ vmap: { key: ct('state'), data: { set: [['established', ACCEPT]] } } }, ACCEPT],
      'accept accept',
    ],
    ['vmap @m', [{ vmap: { key: port('th'), data: '@m' } }], 'drop accept'],
    ['vmap @gone', [{ vmap: { key: port('th'), data: '@gone' } }], 'unknown unknown'],
    ['jump', [{ jump: { target: 'more' } }], 'drop accept'],
    ['goto', [{ goto: { target: 'more' } }], 'drop accept'],
    ['jump to nowhere', [{ jump: { target: 'gone' } }], 'unknown unknown'],
    ['return', [{ return: null }], 'drop drop'],
    ['queue', [{ queue: { num: 1 } }], 'unknown unknown'],
    ['a match of iptables', [{ xt: { type: 'match', name: 'set' } }, ACCEPT], 'unknown unknown'],
    ['a target of iptables', [{ xt: { type: 'target', name: 'TARPIT' } }], 'unknown unknown'],
    ['something new', [{ novelty: 1 }, ACCEPT], 'unknown unknown'],
    ['a new condition', [match({ novelty: 1 }, 1), ACCEPT], 'unknown unknown'],
  ])('%s', (_, expr, expected) => {
    expect(fates(chainWith(expr))).toBe(expected);
  });

  test.each<[string, readonly (readonly unknown[])[], string]>([
    ['after one that accepts counts no more', [[ACCEPT], [DROP]], 'accept accept'],
    [
      'after one that may accept counts',
      [[match(ct('mark'), 1), ACCEPT], [DROP]],
      'unknown unknown',
    ],
    ['that may drop leaves it open', [[match(ct('mark'), 1), DROP], [ACCEPT]], 'unknown unknown'],
    ['is not reached by a goto', [[{ goto: { target: 'more' } }], [ACCEPT]], 'drop accept'],
    ['is reached after a jump', [[{ jump: { target: 'more' } }], [ACCEPT]], 'accept accept'],
  ])('%s', (_, rules, expected) => {
    expect(fates(chainWith(...rules))).toBe(expected);
  });

  test('that enters its own chain ends', () => {
    expect(fates(chainWith([{ jump: { target: 'c' } }]))).toBe('unknown unknown');
  });

  test('that cannot be read at all, or text that is no ruleset, accuses nobody', () => {
    const text = chainWith().replace('"nftables":[', '"nftables":[{"rule":{"novelty":1}},');
    expect(fates(text)).toBe('unknown unknown');
    for (const broken of ['', '{', '[]', '{"nftables":{}}'])
      expect(readNft(broken)).toBeUndefined();
  });

  test('before the network is not understood, but seen', () => {
    const [, , ...rest] = JSON.parse(chainWith([ACCEPT])).nftables;
    const where = { family: 'netdev', table: 'n' };
    const nftables = [
      { chain: { ...where, name: 'i', type: 'filter', hook: 'ingress', policy: 'accept' } },
      { rule: { ...where, chain: 'i', expr: [match(port('udp'), 5353), DROP] } },
      ...rest,
    ];
    expect(fates(JSON.stringify({ nftables }))).toBe('accept unknown');
  });
});

/** What becomes of TCP and of multicast that come in by IPv4. */
function fates(text: string): string {
  const chains = readNft(text) ?? [];
  return (['tcp-in', 'multicast-in'] satisfies Traffic[])
    .map((traffic) => judge(chains, packetOf(traffic, V4, 23_767)).fate)
    .join(' ');
}
