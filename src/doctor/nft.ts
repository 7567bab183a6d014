import * as v from 'valibot';
import {
  ANYTHING,
  type Answer,
  allOf,
  type Chain,
  type Effect,
  effectsOf,
  isNamed,
  isWithin,
  networkRange,
  not,
  type Packet,
  portRange,
  type Range,
  type Rule,
  someOf,
} from './rules.ts';

const Ruleset = v.object({ nftables: v.array(v.record(v.string(), v.unknown())) });

const ChainHeard = v.object({
  family: v.string(),
  table: v.string(),
  name: v.string(),
  type: v.optional(v.string()),
  hook: v.optional(v.string()),
  policy: v.optional(v.string()),
});

const RuleHeard = v.object({
  family: v.string(),
  table: v.string(),
  chain: v.string(),
  expr: v.array(v.record(v.string(), v.unknown())),
});

/** A named set, or a map: its elements are then pairs. */
const SetHeard = v.object({
  family: v.string(),
  table: v.string(),
  name: v.string(),
  elem: v.optional(v.array(v.unknown()), []),
});

/** The chains that `nft -j list ruleset` lists; undefined if that is not what it is. */
export function readNft(text: string): Chain[] | undefined {
  const ruleset = v.safeParse(v.pipe(v.string(), v.parseJson(), Ruleset), text);
  if (!ruleset.success) return undefined;
  const objects = ruleset.output.nftables;
  const chains = new Map<string, Chain>();
  const sets: Sets = new Map();
  for (const object of objects) {
    const set = v.safeParse(SetHeard, object.set ?? object.map);
    if (set.success) sets.set(keyOf(set.output), set.output.elem);
    const chain = v.safeParse(ChainHeard, object.chain);
    if (!chain.success) continue;
    const { family, table, name, type, hook, policy } = chain.output;
    // Chains that translate addresses stop nothing.
    const filters = hook !== undefined && type !== 'nat';
    const base = filters ? { hook, policy: policy === 'drop' ? policy : 'accept' } : undefined;
    chains.set(keyOf(chain.output), {
      family,
      table,
      name,
      base: base as Chain['base'],
      rules: [],
    });
  }
  for (const object of objects) {
    const rule = v.safeParse(RuleHeard, object.rule);
    if (object.rule === undefined) continue;
    // A rule that cannot be read may be in any chain.
    if (!rule.success) for (const chain of chains.values()) chain.rules.push(() => ANYTHING);
    else {
      const { family, table, chain, expr } = rule.output;
      chains
        .get(keyOf({ family, table, name: chain }))
        ?.rules.push(ruleOf(expr, { sets, ...rule.output }));
    }
  }
  return [...chains.values()];
}

type Sets = Map<string, readonly unknown[]>;

interface Named {
  readonly family: string;
  readonly table: string;
}

function keyOf({ family, table, name }: Named & { readonly name: string }): string {
  return `${family} ${table} ${name}`;
}

/** Where a rule finds the sets that it names. */
type Place = Named & { readonly sets: Sets };

function ruleOf(statements: readonly Record<string, unknown>[], place: Place): Rule {
  return (packet) => {
    let holds: Answer = 'yes';
    const effects: Effect[] = [];
    for (const statement of statements) {
      const [[kind, body] = ['', undefined]] = Object.entries(statement);
      if (kind === 'match' || isMatchOfTables(kind, body)) {
        holds = allOf([holds, matches(body, packet, place)]);
        if (holds === 'no') return ['next', ...effects];
      } else if (kind === 'vmap') {
        for (const [answer, effect] of verdicts(body, packet, place)) {
          if (effect !== 'next') effects.push(effect);
          if (effect !== 'next' && allOf([holds, answer]) === 'yes') return effects;
        }
      } else if (kind === 'limit' && isOver(body)) return ['next', ...effects];
      else if (!PASSING.has(kind)) {
        const effect = effectOf(statement);
        if (effect === undefined) return [...ANYTHING, ...effects];
        return [...effectsOf(holds, effect), ...effects];
      }
    }
    return ['next', ...effects];
  };
}

/** Statements that stop nothing; a limit lets pass what comes seldom. */
const PASSING: ReadonlySet<string> = new Set([
  'counter',
  'log',
  'limit',
  'quota',
  'mangle',
  'notrack',
  'set',
  'comment',
  'ct helper',
  'ct timeout',
  'ct count',
  'flow',
  'last',
]);

function isOver(body: unknown): boolean {
  return v.is(v.object({ inv: v.literal(true) }), body);
}

/** A condition in the words of iptables, which are not listed. */
function isMatchOfTables(kind: string, body: unknown): boolean {
  return kind === 'xt' && v.is(v.object({ type: v.literal('match') }), body);
}

function effectOf(statement: unknown): Effect | undefined {
  const [[kind, body] = ['', undefined]] = Object.entries(statement ?? {});
  if (kind === 'accept') return 'accept';
  if (kind === 'drop' || kind === 'reject') return 'drop';
  if (kind === 'continue') return 'next';
  if (kind === 'return') return 'return';
  const target = v.safeParse(v.object({ target: v.string() }), body);
  if (!target.success || (kind !== 'jump' && kind !== 'goto')) return undefined;
  return { enter: target.output.target, comesBack: kind === 'jump' };
}

const Vmap = v.object({ key: v.unknown(), data: v.unknown() });
const Pair = v.tuple([v.unknown(), v.unknown()]);

/** The effects of a map whose keys may be the packet's. */
function verdicts(body: unknown, packet: Packet, place: Place): [Answer, Effect][] {
  const vmap = v.safeParse(Vmap, body);
  const pairs = vmap.success ? elementsOf(vmap.output.data, place) : undefined;
  if (!vmap.success || pairs === undefined) return ANYTHING.map((effect) => ['maybe', effect]);
  return pairs.flatMap((element): [Answer, Effect][] => {
    const pair = v.safeParse(Pair, unwrapped(element));
    const effect = pair.success ? effectOf(pair.output[1]) : undefined;
    if (!pair.success || effect === undefined) return ANYTHING.map((one) => ['maybe', one]);
    const answer = holdsFor(vmap.output.key, packet, (subject) =>
      isOne(subject, pair.output[0], place),
    );
    return answer === 'no' ? [] : [[answer, effect]];
  });
}

const Match = v.object({ op: v.string(), left: v.unknown(), right: v.unknown() });

function matches(body: unknown, packet: Packet, place: Place): Answer {
  const match = v.safeParse(Match, body);
  if (!match.success) return 'maybe';
  const { op, left, right } = match.output;
  return holdsFor(left, packet, (subject) => {
    if (op === '==' || op === 'in') return isOne(subject, right, place);
    if (op === '!=') return not(isOne(subject, right, place));
    return 'range' in subject ? compare(subject.range, op, right) : 'maybe';
  });
}

function compare(range: Range, op: string, right: unknown): Answer {
  const [bound] = rangeOf(right) ?? [];
  if (bound === undefined) return 'maybe';
  const top = 1n << 130n;
  if (op === '<') return isWithin(range, [0n, bound - 1n]);
  if (op === '<=') return isWithin(range, [0n, bound]);
  if (op === '>') return isWithin(range, [bound + 1n, top]);
  return op === '>=' ? isWithin(range, [bound, top]) : 'maybe';
}

/** What a condition is about, as the packet has it. */
type Subject =
  | { readonly range: Range }
  /** All that it is, in words. */
  | { readonly words: readonly string[] }
  /** An interface. */
  | { readonly name: string }
  /** Exactly these flags. */
  | { readonly flags: readonly string[] }
  | { readonly parts: readonly (Subject | 'maybe' | 'never')[] };

function holdsFor(left: unknown, packet: Packet, test: (subject: Subject) => Answer): Answer {
  const subject = subjectOf(left, packet);
  if (subject === 'never') return 'no';
  return subject === 'maybe' ? 'maybe' : test(subject);
}

const Payload = v.object({ payload: v.object({ protocol: v.string(), field: v.string() }) });
const Meta = v.object({ meta: v.object({ key: v.string() }) });
const Ct = v.object({ ct: v.object({ key: v.string() }) });
const Fib = v.object({ fib: v.object({ result: v.string(), flags: v.array(v.string()) }) });
const Concat = v.object({ concat: v.array(v.unknown()) });
const Numgen = v.object({ numgen: v.unknown() });
const Masked = v.object({ '&': v.tuple([Payload, v.unknown()]) });

/** `never` if the packet has nothing like it, so that no condition on it holds. */
function subjectOf(left: unknown, packet: Packet): Subject | 'maybe' | 'never' {
  if (v.is(Payload, left)) return payloadOf(left.payload, packet);
  if (v.is(Meta, left)) return metaOf(left.meta.key, packet);
  if (v.is(Ct, left)) return ctOf(left.ct.key);
  if (v.is(Fib, left)) return fibOf(left.fib, packet);
  if (v.is(Concat, left)) return { parts: left.concat.map((part) => subjectOf(part, packet)) };
  // What loses some packets is no firewall.
  if (v.is(Numgen, left)) return 'never';
  if (v.is(Masked, left)) {
    const [{ payload }, mask] = left['&'];
    const flags = payloadOf(payload, packet);
    if (typeof flags === 'string' || !('flags' in flags))
      return flags === 'never' ? flags : 'maybe';
    const kept = listOf(mask);
    return { flags: flags.flags.filter((flag) => kept.includes(flag)) };
  }
  return 'maybe';
}

function payloadOf(
  { protocol, field }: { readonly protocol: string; readonly field: string },
  packet: Packet,
): Subject | 'maybe' | 'never' {
  switch (protocol) {
    case 'ip':
    case 'ip6':
      if (protocol !== packet.family) return 'never';
      if (field === 'saddr') return { range: packet.from };
      if (field === 'daddr') return { range: packet.to };
      return field === 'protocol' || field === 'nexthdr' ? l4Of(packet) : 'maybe';
    case 'th':
    case 'tcp':
    case 'udp':
      if (protocol !== 'th' && protocol !== packet.protocol) return 'never';
      if (field === 'sport') return { range: packet.fromPort };
      if (field === 'dport') return { range: packet.toPort };
      return field === 'flags' ? { flags: ['syn'] } : 'maybe';
    case 'icmp':
    case 'icmpv6':
    case 'igmp':
    case 'sctp':
    case 'dccp':
    case 'udplite':
    case 'esp':
    case 'ah':
      return 'never';
    default:
      return 'maybe';
  }
}

function metaOf(key: string, packet: Packet): Subject | 'maybe' | 'never' {
  const { hook, family, multicast } = packet;
  const v4 = family === 'ip';
  switch (key) {
    case 'nfproto':
      return { words: [v4 ? 'ipv4' : 'ipv6'] };
    case 'protocol':
      return { words: [v4 ? 'ip' : 'ip6'] };
    case 'l4proto':
      return l4Of(packet);
    case 'iif':
    case 'iifname':
      return hook === 'input' ? { name: packet.interface } : 'never';
    case 'oif':
    case 'oifname':
      return hook === 'output' ? { name: packet.interface } : 'never';
    case 'pkttype':
      if (hook === 'output') return 'maybe';
      return { words: multicast ? ['multicast'] : ['host', 'unicast'] };
    case 'mark':
      // What this computer sends has none, unless a rule gives it one.
      return hook === 'output' ? { range: [0n, 0n] } : 'maybe';
    default:
      return 'maybe';
  }
}

/** The first packet of a connection. */
function ctOf(key: string): Subject | 'maybe' {
  if (key === 'state') return { words: ['new'] };
  if (key === 'direction') return { words: ['original'] };
  return key === 'status' ? { words: [] } : 'maybe';
}

function fibOf(
  { result, flags }: { readonly result: string; readonly flags: readonly string[] },
  { hook, multicast }: Packet,
): Subject | 'maybe' | 'never' {
  if (hook !== 'input') return 'maybe';
  if (result === 'type' && flags.includes('daddr'))
    return { words: [multicast ? 'multicast' : 'local'] };
  // There is a way back to every neighbour.
  return result === 'oif' && flags.includes('saddr') ? 'never' : 'maybe';
}

function l4Of({ protocol }: Packet): Subject {
  return { words: [protocol, protocol === 'tcp' ? '6' : '17'] };
}

/** Whether a subject is a value, or one of a set of them. */
function isOne(subject: Subject, value: unknown, place: Place): Answer {
  if ('flags' in subject) return sameFlags(subject.flags, value);
  const elements = elementsOf(value, place);
  return elements === undefined
    ? 'maybe'
    : someOf(elements.map((element) => isValue(subject, unwrapped(element))));
}

function isValue(subject: Subject, value: unknown): Answer {
  if ('range' in subject) return isWithin(subject.range, rangeOf(value));
  if ('parts' in subject) {
    if (!v.is(Concat, value) || value.concat.length !== subject.parts.length) return 'maybe';
    return allOf(
      subject.parts.map((part, i) => {
        if (part === 'never') return 'no';
        return part === 'maybe' ? 'maybe' : isValue(part, value.concat[i]);
      }),
    );
  }
  if (typeof value !== 'string' && typeof value !== 'number') return 'maybe';
  const text = String(value);
  if ('name' in subject) return isNamed(subject.name, text, '*');
  if ('words' in subject) return subject.words.includes(text) ? 'yes' : 'no';
  return 'maybe';
}

function sameFlags(flags: readonly string[], value: unknown): Answer {
  const others = listOf(value);
  if (others.length === 0) return 'maybe';
  const same = flags.length === others.length && flags.every((flag) => others.includes(flag));
  return same ? 'yes' : 'no';
}

/** A list of words, or one of them. Empty if it is none of these. */
function listOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  return v.is(v.array(v.string()), value) ? value : [];
}

/** The values of a set, an anonymous or a named one, or of a list; else the value itself. */
function elementsOf(
  value: unknown,
  { family, table, sets }: Place,
): readonly unknown[] | undefined {
  if (typeof value === 'string' && value.startsWith('@'))
    return sets.get(keyOf({ family, table, name: value.slice(1) }));
  if (v.is(v.object({ set: v.array(v.unknown()) }), value)) return value.set;
  return Array.isArray(value) ? value : [value];
}

/** An element, without its time limit and the like. */
function unwrapped(element: unknown): unknown {
  return v.is(v.object({ elem: v.object({ val: v.unknown() }) }), element)
    ? element.elem.val
    : element;
}

const PrefixHeard = v.object({ prefix: v.object({ addr: v.string(), len: v.number() }) });
const RangeHeard = v.object({ range: v.tuple([v.unknown(), v.unknown()]) });

function rangeOf(value: unknown): Range | undefined {
  if (typeof value === 'number' && Number.isInteger(value)) return portRange(value);
  if (typeof value === 'string') return networkRange(value);
  if (v.is(PrefixHeard, value)) return networkRange(`${value.prefix.addr}/${value.prefix.len}`);
  if (!v.is(RangeHeard, value)) return undefined;
  const [first] = rangeOf(value.range[0]) ?? [];
  const [last] = rangeOf(value.range[1]) ?? [];
  return first === undefined || last === undefined ? undefined : [first, last];
}
