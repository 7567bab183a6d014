import { isIPv6 } from 'node:net';

/** A packet that a firewall may stop; where it can be one of several, all of them. */
export interface Packet {
  readonly hook: 'input' | 'output';
  readonly family: 'ip' | 'ip6';
  readonly protocol: 'tcp' | 'udp';
  readonly interface: string;
  readonly from: Range;
  readonly to: Range;
  readonly fromPort: Range;
  readonly toPort: Range;
  readonly multicast: boolean;
}

/** Numbers, ports or addresses from the first to the last. */
export type Range = readonly [first: bigint, last: bigint];

/** Whether something holds, for what is known of a packet and of a rule. */
export type Answer = 'yes' | 'no' | 'maybe';

/**
 * What may become of a packet at a rule. A rule that is not understood has several effects; so
 * nothing is ever said to be stopped that might pass.
 */
export type Effect =
  | 'accept'
  | 'drop'
  | 'next'
  | 'return'
  | { readonly enter: string; readonly comesBack: boolean };

export type Rule = (packet: Packet) => readonly Effect[];

export interface Chain {
  /** `ip`, `ip6`, `inet`; of others nothing is known. */
  readonly family: string;
  readonly table: string;
  readonly name: string;
  /** Where packets enter it; other chains are only entered from these. */
  readonly base?: Base | undefined;
  readonly rules: Rule[];
}

interface Base {
  readonly hook: string;
  readonly policy: 'accept' | 'drop';
}

/** What the rules do with a packet, and if they stop it, the chain in which it ends. */
export type Fate =
  | { readonly fate: 'accept' | 'unknown' }
  | { readonly fate: 'drop'; readonly chain: Chain };

/** What becomes of anything that is not understood. */
export const ANYTHING: readonly Effect[] = ['accept', 'drop', 'next'];

/** A packet must pass every base chain on its way; the first that surely stops it is told. */
export function judge(chains: readonly Chain[], packet: Packet): Fate {
  const hooks = HOOKS[packet.hook];
  const families = [packet.family, 'inet'];
  let sure = true;
  for (const chain of chains) {
    if (chain.base === undefined) continue;
    const { hook, policy } = chain.base;
    const known = families.includes(chain.family);
    if (known ? !hooks.includes(hook) : !BEYOND.has(`${chain.family} ${hook}`)) continue;
    const ends = endsIn(chain, packet, chains, 0);
    if (ends.delete('end')) ends.add(policy);
    if (!ends.has('drop')) continue;
    if (ends.size === 1 && known) return { fate: 'drop', chain };
    sure = false;
  }
  return { fate: sure ? 'accept' : 'unknown' };
}

const HOOKS = { input: ['prerouting', 'input'], output: ['output', 'postrouting'] };

/** Chains before all others, which see packets that are not cut open as ours are here. */
const BEYOND: ReadonlySet<string> = new Set(['netdev ingress', 'netdev egress', 'inet ingress']);

/** Chains that enter each other deeper than this are no longer followed; the kernel allows 16. */
const MAX_DEPTH = 16;

function endsIn(
  chain: Chain,
  packet: Packet,
  chains: readonly Chain[],
  depth: number,
): Set<'accept' | 'drop' | 'end'> {
  if (depth > MAX_DEPTH) return new Set(['accept', 'drop', 'end']);
  const ends = new Set<'accept' | 'drop' | 'end'>();
  for (const rule of chain.rules) {
    let goesOn = false;
    for (const effect of rule(packet)) {
      if (effect === 'next') goesOn = true;
      else if (effect === 'return') ends.add('end');
      else if (typeof effect === 'string') ends.add(effect);
      else {
        const { family, table } = chain;
        const entered = chains.find(
          (one) => one.family === family && one.table === table && one.name === effect.enter,
        );
        const inside = entered && endsIn(entered, packet, chains, depth + 1);
        for (const end of inside ?? (['accept', 'drop', 'end'] as const))
          if (end !== 'end') ends.add(end);
          else if (effect.comesBack) goesOn = true;
          else ends.add('end');
      }
    }
    if (!goesOn) return ends;
  }
  return ends.add('end');
}

/** The effects of a rule whose conditions hold, or perhaps hold. */
export function effectsOf(holds: Answer, effect: Effect): readonly Effect[] {
  if (holds === 'no') return ['next'];
  return holds === 'yes' ? [effect] : [effect, 'next'];
}

export function allOf(answers: readonly Answer[]): Answer {
  if (answers.includes('no')) return 'no';
  return answers.includes('maybe') ? 'maybe' : 'yes';
}

export function someOf(answers: readonly Answer[]): Answer {
  return not(allOf(answers.map(not)));
}

export function not(answer: Answer): Answer {
  if (answer === 'maybe') return 'maybe';
  return answer === 'yes' ? 'no' : 'yes';
}

/** Whether what is somewhere in one range is in the other. */
export function isWithin([first, last]: Range, range: Range | undefined): Answer {
  if (range === undefined) return 'maybe';
  if (first >= range[0] && last <= range[1]) return 'yes';
  return last < range[0] || first > range[1] ? 'no' : 'maybe';
}

/** Whether a name is the one that is meant; `tun*` means all that begin so. */
export function isNamed(name: string, meant: string, wildcard: '*' | '+'): Answer {
  const is = meant.endsWith(wildcard) ? name.startsWith(meant.slice(0, -1)) : name === meant;
  return is ? 'yes' : 'no';
}

/** `10.0.0.1`, `10.0.0.0/8`, `fe80::/10`; undefined if it is none of these. */
export function networkRange(text: string): Range | undefined {
  const [address = '', length] = text.split('/');
  const bits = isIPv6(address) ? 128n : 32n;
  const number = addressNumber(address);
  if (number === undefined || (length !== undefined && !/^\d{1,3}$/.test(length))) return undefined;
  const free = bits - BigInt(length ?? bits);
  if (free < 0n) return undefined;
  const first = (number >> free) << free;
  return [first, first + (1n << free) - 1n];
}

/** IPv4 and IPv6 are different numbers, as they are of different sizes. */
function addressNumber(address: string): bigint | undefined {
  if (/^\d+(\.\d+){3}$/.test(address)) return groupsNumber(address.split('.').map(BigInt), 8n);
  if (!isIPv6(address) || address.includes('.')) return undefined;
  const [head = '', tail] = address.split('::').map((half) => half.split(':').filter(Boolean));
  const start = head === '' ? [] : head;
  const end = tail ?? [];
  const gap = Array<string>(8 - start.length - end.length).fill('0');
  const groups = [...start, ...gap, ...end].map((group) => BigInt(`0x${group}`));
  return V6 + groupsNumber(groups, 16n);
}

const V6 = 1n << 128n;

function groupsNumber(groups: readonly bigint[], bits: bigint): bigint {
  return groups.reduce((number, group) => (number << bits) + group, 0n);
}

export function portRange(first: number, last = first): Range {
  return [BigInt(first), BigInt(last)];
}
