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

/** The chains that `iptables-save` or `ip6tables-save` lists. */
export function readTables(text: string, family: 'ip' | 'ip6'): Chain[] {
  const chains: Chain[] = [];
  let table = '';
  for (const line of text.split('\n')) {
    const [first = '', ...rest] = wordsOf(line);
    if (first.startsWith('*')) table = first.slice(1);
    else if (table === 'nat')
      continue; // It translates addresses, and stops nothing.
    else if (first.startsWith(':')) {
      const [policy] = rest;
      const name = first.slice(1);
      const hook = HOOKS[name];
      const base = { hook: hook ?? '', policy: policy === 'DROP' ? 'drop' : 'accept' } as const;
      chains.push({ family, table, name, base: hook ? base : undefined, rules: [] });
    } else if (first === '-A') {
      const [name = '', ...options] = rest;
      const isIn = (one: Chain): boolean => one.table === table && one.name === name;
      chains.find(isIn)?.rules.push(ruleOf(options));
    }
  }
  return chains;
}

const HOOKS: Readonly<Record<string, string>> = {
  PREROUTING: 'prerouting',
  INPUT: 'input',
  OUTPUT: 'output',
  POSTROUTING: 'postrouting',
};

/** The words of a line, those in quotes as one. */
function wordsOf(line: string): string[] {
  if (line.startsWith('#')) return [];
  return Array.from(
    line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g),
    (found) => found[1] ?? found[2] ?? '',
  );
}

function ruleOf(words: readonly string[]): Rule {
  const tests: ((packet: Packet) => Answer)[] = [];
  let effect: Effect | undefined | 'anything' = 'next';
  for (const { name, values, inverted } of optionsOf(words)) {
    if (name === '-j' || name === '-g') effect = targetOf(values[0] ?? '', name === '-j');
    else if (!WITHOUT_EFFECT.has(name) && effect === 'next') {
      const test = TESTS[name] ?? (() => 'maybe');
      tests.push((packet) => {
        const answer = test(packet, values);
        return inverted ? not(answer) : answer;
      });
    }
  }
  return (packet) => {
    const holds = allOf(tests.map((test) => test(packet)));
    if (effect !== 'anything') return effectsOf(holds, effect);
    return holds === 'no' ? ['next'] : ANYTHING;
  };
}

interface Option {
  readonly name: string;
  readonly values: string[];
  readonly inverted: boolean;
}

/** `! -i eth0 -m tcp --dport 22` as options; what follows the target belongs to it. */
function optionsOf(words: readonly string[]): Option[] {
  const options: Option[] = [];
  let inverted = false;
  for (const word of words)
    if (word === '!') inverted = true;
    else if (/^--?[a-z]/.test(word)) {
      options.push({ name: word, values: [], inverted });
      inverted = false;
    } else options.at(-1)?.values.push(word);
  return options;
}

/** `-m` only says which options follow; a limit lets pass what comes seldom. */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  '-m',
  '--comment',
  '--limit',
  '--limit-burst',
]);

function targetOf(name: string, comesBack: boolean): Effect | 'anything' {
  if (name === 'ACCEPT') return 'accept';
  if (name === 'DROP' || name === 'REJECT') return 'drop';
  if (name === 'RETURN') return 'return';
  if (HARMLESS.has(name)) return 'next';
  return /^[A-Z]+$/.test(name) ? 'anything' : { enter: name, comesBack };
}

/** Targets after which a packet goes on. */
const HARMLESS: ReadonlySet<string> = new Set([
  'LOG',
  'NFLOG',
  'ULOG',
  'MARK',
  'CONNMARK',
  'CT',
  'NOTRACK',
  'TRACE',
  'TCPMSS',
  'CHECKSUM',
  'DSCP',
  'TOS',
  'TTL',
  'SET',
  'CLASSIFY',
]);

type Test = (packet: Packet, values: readonly string[]) => Answer;

const TESTS: Readonly<Record<string, Test>> = {
  '-p': ({ protocol }, [meant = '']) => isWord([protocol, NUMBERS[protocol], 'all', '0'], meant),
  '-s': ({ from }, [network = '']) => isWithin(from, networkRange(network)),
  '-d': ({ to }, [network = '']) => isWithin(to, networkRange(network)),
  '-i': (packet, [name = '']) =>
    packet.hook === 'input' ? isNamed(packet.interface, name, '+') : 'no',
  '-o': (packet, [name = '']) =>
    packet.hook === 'output' ? isNamed(packet.interface, name, '+') : 'no',
  '--sport': ({ fromPort }, [ports]) => isPort(fromPort, ports),
  '--dport': ({ toPort }, [ports]) => isPort(toPort, ports),
  '--sports': ({ fromPort }, [ports]) => isPort(fromPort, ports),
  '--dports': ({ toPort }, [ports]) => isPort(toPort, ports),
  '--ctstate': (_, [states]) => isWord(['NEW'], states),
  '--state': (_, [states]) => isWord(['NEW'], states),
  '--ctstatus': (_, [status]) => isWord(['NONE'], status),
  '--ctdir': (_, [direction]) => isWord(['ORIGINAL'], direction),
  '--dst-type': ({ hook, multicast }, [types]) => {
    if (hook === 'input') return isWord([multicast ? 'MULTICAST' : 'LOCAL'], types);
    return multicast ? isWord(['MULTICAST'], types) : 'maybe';
  },
  '--pkt-type': ({ hook, multicast }, [type]) =>
    hook === 'input' ? isWord([multicast ? 'multicast' : 'unicast'], type) : 'maybe',
  // What this computer sends has none, unless a rule gives it one.
  '--mark': ({ hook }, [mark = '']) =>
    hook === 'output' ? isWord(['0', '0x0'], mark.split('/')[0]) : 'maybe',
  '--tcp-flags': (_, [mask = '', set = '']) =>
    isWord([mask.split(',').includes('SYN') ? 'SYN' : 'NONE'], set),
  '--syn': ({ protocol }) => (protocol === 'tcp' ? 'yes' : 'no'),
  // The source routing of IPv6.
  '--rt-type': () => 'no',
  // It loses some packets, and is no firewall.
  '--mode': () => 'no',
};

const NUMBERS = { tcp: '6', udp: '17' };

/** Whether one of several words, with commas between them, is one of these. */
function isWord(words: readonly string[], meant = ''): Answer {
  return someOf(meant.split(',').map((word) => (words.includes(word) ? 'yes' : 'no')));
}

/** `22`, `1000:2000`, or several of them with commas between. */
function isPort(port: Range, meant = ''): Answer {
  return someOf(
    meant.split(',').map((part) => {
      const [first, last = first] = part.split(':').map(Number);
      if (first === undefined || !Number.isInteger(first) || !Number.isInteger(last))
        return 'maybe';
      return isWithin(port, portRange(first, last));
    }),
  );
}
