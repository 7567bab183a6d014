import { isIPv6 } from 'node:net';
import { isLinkLocal } from '../net/addresses.ts';
import type { Link } from '../net/links.ts';
import { readTables } from './iptables.ts';
import { readNft } from './nft.ts';
import { type Chain, judge, networkRange, type Packet, portRange } from './rules.ts';
import type { System } from './system.ts';
import type { Firewalls, Traffic, Verdict } from './traffic.ts';

/**
 * The rules that the Linux kernel goes by, if we may read them, and the programs that write them.
 * `links` are where devices may be, `port` is where they come.
 */
export async function findLinuxFirewalls(
  system: System,
  links: readonly Link[],
  port: number,
): Promise<Firewalls> {
  const managers = await managersOf(system);
  const chains = system.isRoot ? await chainsOf(system) : undefined;
  const fix = (traffic: Traffic, chain?: Chain): string | undefined =>
    managers.map((manager) => COMMANDS[manager](traffic, port)).find(Boolean) ??
    (chain && commandFor(chain, traffic, port));
  const verdictOn = (traffic: Traffic): Verdict => {
    if (chains === undefined) return { says: 'unknown' };
    const stops: Chain[] = [];
    let says: 'accept' | 'unknown' = 'accept';
    const interfaces = new Map<string, Link[]>();
    for (const link of links)
      interfaces.set(link.name, [...(interfaces.get(link.name) ?? []), link]);
    for (const families of interfaces.values()) {
      const fates = families.map((link) => judge(chains, packetOf(traffic, link, port)));
      // What gets through by one family gets through.
      const stopping = fates.flatMap((fate) => (fate.fate === 'drop' ? [fate.chain] : []));
      if (stopping.length === fates.length) stops.push(...stopping);
      else if (!fates.some(({ fate }) => fate === 'accept')) says = 'unknown';
    }
    if (stops.length === 0) return { says };
    const unique = [...new Map(stops.map((chain) => [nameOf(chain), chain])).values()];
    const fixes = unique.map((chain) => fix(traffic, chain) ?? commandFor(chain, traffic, port));
    return {
      says: 'drop',
      where: unique.map(nameOf).join(' and '),
      fix: [...new Set(fixes)].join(' && '),
    };
  };
  const filtering = chains?.some(
    ({ base, rules }) => base && (rules.length > 0 || base.policy === 'drop'),
  );
  const names = filtering && managers.length === 0 ? ['nftables'] : managers;
  return {
    names,
    readable: chains !== undefined,
    verdicts: {
      'tcp-in': verdictOn('tcp-in'),
      'multicast-in': verdictOn('multicast-in'),
      'multicast-out': verdictOn('multicast-out'),
    },
    fixFor: (traffic) => fix(traffic),
  };
}

type Manager = 'ufw' | 'firewalld';

/** Programs that write the rules, and that would undo what others write. */
async function managersOf(system: System): Promise<Manager[]> {
  const managers: Manager[] = [];
  if (/^ENABLED=yes/im.test(system.read('/etc/ufw/ufw.conf') ?? '')) managers.push('ufw');
  const state = await system.run('firewall-cmd', ['--state']);
  if (/^running/m.test(state ?? '')) managers.push('firewalld');
  return managers;
}

const COMMANDS: Readonly<Record<Manager, (traffic: Traffic, port: number) => string | undefined>> =
  {
    ufw: (traffic, port) =>
      ({
        'tcp-in': `sudo ufw allow ${port}/tcp`,
        'multicast-in': 'sudo ufw allow 5353/udp',
        'multicast-out': 'sudo ufw allow out 5353/udp',
      })[traffic],
    firewalld: (traffic, port) => {
      const what = { 'tcp-in': `port=${port}/tcp`, 'multicast-in': 'service=mdns' };
      if (traffic === 'multicast-out') return undefined;
      return `sudo firewall-cmd --permanent --add-${what[traffic]} && sudo firewall-cmd --reload`;
    },
  };

/** All rules that the kernel has; undefined if no program is there that lists them. */
async function chainsOf(system: System): Promise<Chain[] | undefined> {
  const [listed, v4, v6, old4, old6] = await Promise.all([
    system.run('nft', ['-j', 'list', 'ruleset']),
    system.run('iptables-save', []),
    system.run('ip6tables-save', []),
    ...(['ip', 'ip6'] as const).map((family) =>
      // To list these makes the kernel load them, which is only right where they are in use.
      system.read(`/proc/net/${family}_tables_names`)?.trim()
        ? system.run(`${family}tables-legacy-save`, [])
        : undefined,
    ),
  ]);
  const native = listed === undefined ? undefined : readNft(listed);
  const tables = [
    ...readTables(v4 ?? '', 'ip'),
    ...readTables(v6 ?? '', 'ip6'),
    ...(old4 === v4 ? [] : readTables(old4 ?? '', 'ip')),
    ...(old6 === v6 ? [] : readTables(old6 ?? '', 'ip6')),
  ];
  if (native === undefined && v4 === undefined) return undefined;
  // The same rules, in the words of iptables: only there is all of them listed.
  const isBetter = (chain: Chain): boolean =>
    tables.some(({ family, table }) => family === chain.family && table === chain.table);
  return [...(native ?? []).filter((chain) => !isBetter(chain)), ...tables];
}

function nameOf({ family, table, name }: Chain): string {
  return `chain ${name} of table ${family} ${table}`;
}

/** The command by which one rule more, before all others, lets it through. */
function commandFor({ family, table, name }: Chain, traffic: Traffic, port: number): string {
  const what = traffic === 'tcp-in' ? `tcp dport ${port}` : 'udp dport 5353';
  return `sudo nft insert rule ${family} ${table} ${name} ${what} accept`;
}

/** The first packet of it, as it goes over a link. */
export function packetOf(traffic: Traffic, link: Link, port: number): Packet {
  const v6 = link.family === 'IPv6';
  const near = networkOf(link);
  const here = networkRange(link.address) ?? ANY;
  const group = networkRange(v6 ? 'ff02::fb' : '224.0.0.251') ?? ANY;
  const multicast = traffic !== 'tcp-in';
  const incoming = traffic !== 'multicast-out';
  return {
    hook: incoming ? 'input' : 'output',
    family: v6 ? 'ip6' : 'ip',
    protocol: multicast ? 'udp' : 'tcp',
    interface: link.name,
    from: incoming ? near : here,
    to: multicast ? group : here,
    fromPort: multicast ? portRange(5353) : portRange(1024, 65_535),
    toPort: portRange(multicast ? 5353 : port),
    multicast,
  };
}

/** The neighbours on a link. */
function networkOf({ family, networks }: Link): Packet['from'] {
  if (family === 'IPv6') return networkRange('fe80::/64') ?? ANY;
  const v4 = networks.find(({ address }) => !isIPv6(address) && !isLinkLocal(address));
  return (v4 && networkRange(`${v4.address}/${v4.prefix}`)) ?? ANY;
}

const ANY = [0n, 1n << 130n] as const;
