import { networkInterfaces } from 'node:os';
import type { CheckEvent, LinkReport } from '../events.ts';
import type { CommonOptions, Self } from '../meeting/self.ts';
import { type Link, tunnelInterfaces, virtualInterfaces } from '../net/links.ts';
import { DEFAULT_PORT, KNOCK_PORTS } from '../net/ports.ts';
import { isKeptOff, outsideOf, stateOf } from '../net/survey.ts';
import { forTerminal } from '../protocol/names.ts';
import { fine, mendedBy, note, wrong } from './check.ts';
import { findFirewalls } from './firewall.ts';
import { findHolder } from './holder.ts';
import { type Findings, lookAround, wayOut } from './look-around.ts';
import { knownSelf } from './own.ts';
import { type System, systemHere } from './system.ts';
import { type Firewalls, NOTHING_KNOWN, type Traffic } from './traffic.ts';

/** The links, what goes over them, and what stands in the way. */
export async function* checkNetwork(
  links: readonly Link[],
  guest: Self,
  options: CommonOptions,
  signal: AbortSignal,
): AsyncGenerator<CheckEvent, void> {
  const system = systemHere(signal);
  const virtual = virtualInterfaces();
  const outside = links.filter(({ loopback, name }) => !loopback && !virtual.has(name));
  const vpn = await findVpn();
  yield linksCheck(links, outside);
  yield vpn === undefined
    ? fine('vpn', 'No VPN holds the way out.')
    : note(
        'vpn',
        `A VPN (${vpn}) holds the way out. It carries no multicast; drop uses the others.`,
        {
          fix: `If devices are missing, let the VPN allow the local network, or end it.`,
        },
      );

  const self = (await knownSelf(options.home)) ?? guest;
  const [findings, heardOf] = await Promise.all([
    lookAround(self, guest, options, signal),
    outside.length > 0 ? findFirewalls(system, outside, DEFAULT_PORT) : NOTHING_KNOWN,
  ]);
  const reports = outsideOf(findings.links, { virtual });
  const firewalls = asSeen(heardOf, findings, reports);
  const surgery: Surgery = { system, firewalls, vpn };
  yield await portCheck(findings.links, system);
  yield* multicastChecks(reports, surgery);
  yield* deviceChecks(reports, findings);
  yield doorCheck(findings);
  if (outside.length === 0) return;
  yield* reachCheck(findings, surgery);
  yield firewallCheck(surgery);
}

/** What the checks look at beside what was heard. */
interface Surgery {
  readonly system: System;
  readonly firewalls: Firewalls;
  readonly vpn: string | undefined;
}

async function findVpn(): Promise<string | undefined> {
  const way = await wayOut();
  return way !== undefined && tunnelInterfaces().has(way) ? way : undefined;
}

function linksCheck(links: readonly Link[], outside: readonly Link[]): CheckEvent {
  const used = new Set(links.map(({ name }) => name));
  const left = Object.keys(networkInterfaces()).filter((name) => !used.has(name) && name !== 'lo');
  const leftOut = left.length === 0 ? '' : ` Left out: ${left.join(', ')}.`;
  if (outside.length === 0) {
    const inner = links.filter(({ loopback }) => !loopback).map(({ name }) => name);
    const others = [...new Set(inner)].join(', ');
    return wrong(
      'network',
      others === ''
        ? 'This computer is connected to no network.'
        : `This computer is connected to none but inner networks or a VPN (${others}).`,
      { fix: 'Join one, or connect the two computers by a cable.' },
    );
  }
  const byName = grouped(outside, ({ name }) => name);
  const named = Array.from(
    byName,
    ([name, those]) => `${name} (${those.map(({ address }) => address).join(', ')})`,
  );
  const message = `Devices are looked for on ${named.join(', ')}.${leftOut}`;
  return outside.every(({ family }) => family === 'IPv6')
    ? note('network', `${message} There is only IPv6, so devices with only IPv4 are not found.`)
    : fine('network', message);
}

/** What the rules seem to stop and what was seen to pass anyway passes. */
function asSeen(
  firewalls: Firewalls,
  { door }: Findings,
  reports: readonly LinkReport[],
): Firewalls {
  const everyInterface = (test: (link: LinkReport) => boolean): boolean =>
    reports.length > 0 && byInterface(reports).every(([, links]) => links.some(test));
  const passes: Record<Traffic, boolean> = {
    'tcp-in': door.visitors.length > 0 && door.port === DEFAULT_PORT,
    'multicast-in': everyInterface((link) => /hears|alone/.test(stateOf(link))),
    'multicast-out': everyInterface((link) => /hears|alone|deaf/.test(stateOf(link))),
  };
  const seen = (traffic: Traffic) =>
    passes[traffic] ? ({ says: 'accept' } as const) : firewalls.verdicts[traffic];
  return {
    ...firewalls,
    verdicts: {
      'tcp-in': seen('tcp-in'),
      'multicast-in': seen('multicast-in'),
      'multicast-out': seen('multicast-out'),
    },
  };
}

function byInterface(reports: readonly LinkReport[]): [string, LinkReport[]][] {
  return [...grouped(reports, (link) => link.interface)];
}

async function portCheck(links: readonly LinkReport[], system: System): Promise<CheckEvent> {
  if (!links.some((link) => stateOf(link) === 'taken'))
    return fine('port-5353', 'UDP port 5353, by which devices are found, can be shared.');
  const holder = await findHolder(system);
  const pid = holder?.pid === undefined ? '' : ` (process ${holder.pid})`;
  const name = holder === undefined ? '' : `: ${forTerminal(holder.name, 60)}${pid}`;
  return wrong(
    'port-5353',
    `Another program keeps UDP port 5353 to itself, so others may not find this device${name}.`,
    mendedBy(holder?.fix),
  );
}

/** Whether multicast goes out and comes in, on each interface. */
function* multicastChecks(
  reports: readonly LinkReport[],
  surgery: Surgery,
): Generator<CheckEvent, void> {
  const free = reports.filter((link) => stateOf(link) !== 'taken');
  for (const [name, links] of byInterface(free)) {
    // An interface that cannot be used for no other reason matters where it is the only one.
    const others = free.some(
      (link) => link.interface !== name && /alone|hears/.test(stateOf(link)),
    );
    yield speakCheck(name, links, others, surgery);
  }
  for (const [name, links] of byInterface(free)) {
    const speaking = links.filter((link) => !/mute|broken/.test(stateOf(link)));
    if (speaking.length > 0) yield hearCheck(name, speaking, surgery);
  }
}

function speakCheck(
  name: string,
  links: readonly LinkReport[],
  others: boolean,
  surgery: Surgery,
): CheckEvent {
  const silenced = links.filter((link) => /mute|broken/.test(stateOf(link)));
  const reasons = new Set(silenced.map(({ trouble }) => trouble ?? 'nothing was sent'));
  const codes = [...reasons].join(', ');
  const details = { interface: name };
  if (silenced.length === 0) return fine('speak', `Multicast goes out on ${name}.`, details);
  if (silenced.length < links.length) {
    const message = `Multicast goes out on ${name}, but not by ${familiesOf(silenced)} (${codes}).`;
    return note('speak', message, details);
  }
  if (silenced.some((link) => isKeptOff(link, surgery.system.platform)))
    return wrong('speak', `macOS keeps this program off the local network on ${name}.`, {
      ...details,
      fix: 'Allow the app of this terminal in System Settings, Privacy & Security, Local Network.',
    });
  if (silenced.some((link) => stateOf(link) === 'mute'))
    return wrong(
      'speak',
      `No multicast may go out on ${name}: ${culprit('multicast-out', surgery)} (${codes}).`,
      { ...details, ...mendedBy(fixFor('multicast-out', surgery)) },
    );
  const tell = others ? note : wrong;
  return tell('speak', `No multicast goes out on ${name} (${codes}).`, details);
}

function hearCheck(name: string, links: readonly LinkReport[], surgery: Surgery): CheckEvent {
  const deaf = links.filter((link) => stateOf(link) === 'deaf');
  const details = { interface: name };
  if (deaf.length === 0) return fine('hear', `Multicast comes in on ${name}.`, details);
  if (deaf.length < links.length)
    return note('hear', `Multicast comes in on ${name}, but not by ${familiesOf(deaf)}.`, details);
  const fix = mendedBy(fixFor('multicast-in', surgery));
  return wrong(
    'hear',
    `Nothing comes in on UDP port 5353 on ${name}, not even our own: ${culprit('multicast-in', surgery)}.`,
    { ...details, ...fix },
  );
}

function familiesOf(links: readonly LinkReport[]): string {
  return links.map(({ family }) => family).join(' and ');
}

/** What stops it, in words that go on after a colon. */
function culprit(traffic: Traffic, { firewalls, vpn }: Surgery): string {
  const verdict = firewalls.verdicts[traffic];
  if (verdict.says === 'drop') return `${verdict.where} stops it`;
  const known = firewalls.names.length > 0;
  const name = known ? `the firewall here (${firewalls.names.join(', ')})` : 'a firewall here';
  return `${name}${vpn === undefined ? '' : `, or the VPN (${vpn})`}, most likely`;
}

function fixFor(traffic: Traffic, { firewalls, system }: Surgery): string | undefined {
  const verdict = firewalls.verdicts[traffic];
  if (verdict.says === 'drop') return verdict.fix;
  const known = firewalls.fixFor(traffic);
  if (known !== undefined) return known;
  return system.platform === 'linux' && !firewalls.readable && !system.isRoot ? AS_ROOT : undefined;
}

/** Only an administrator may read the rules, and so name the one that is in the way. */
const AS_ROOT = 'sudo env "PATH=$PATH" drop doctor';

/** Who is there, and whether they answer. */
function* deviceChecks(
  reports: readonly LinkReport[],
  { answering, silent }: Findings,
): Generator<CheckEvent, void> {
  const hearing = reports.filter((link) => stateOf(link) === 'hears');
  const alone = reports.filter((link) => stateOf(link) === 'alone');
  const named = (those: readonly { name: string; address: string }[]): string =>
    those
      .slice(0, MAX_NAMED)
      .map(({ name, address }) => `"${forTerminal(name, 40)}" (${address})`)
      .join(', ');
  if (answering.length > 0)
    yield fine('others', `Ready, and answering when dialled: ${named(answering)}`);
  else if (silent.length === 0 && hearing.length > 0)
    yield fine(
      'others',
      `Other devices are heard on ${interfacesOf(hearing)}, none of them ready.`,
    );
  else if (silent.length === 0 && alone.length > 0)
    yield note(
      'others',
      `Nobody else is heard on ${interfacesOf(alone)}: nobody is there, or the network keeps devices apart.`,
      { fix: 'If somebody is there: use no guest network, but a cable or the hotspot of a phone.' },
    );
  if (silent.length > 0)
    yield note('silent', `Announced, but not answering when dialled: ${named(silent)}`, {
      fix: `Run there: drop doctor. Its firewall must admit TCP port ${DEFAULT_PORT}.`,
    });
}

/** Devices that are named in one sentence. */
const MAX_NAMED = 5;

function interfacesOf(links: readonly LinkReport[]): string {
  return [...new Set(links.map((link) => link.interface))].join(', ');
}

function doorCheck({ door: { port, before } }: Findings): CheckEvent {
  const ports = `${DEFAULT_PORT} to ${Math.max(...KNOCK_PORTS)}`;
  if (port === undefined)
    return wrong('listen', `None of the TCP ports ${ports} is free to listen on.`, {
      fix: 'See who has them: ss -ltnp',
    });
  if (before === undefined) return fine('listen', `TCP port ${port} can be listened on.`);
  return before === 'drop'
    ? fine('listen', `TCP port ${DEFAULT_PORT} is taken by drop itself, which runs here.`)
    : note('listen', `TCP port ${DEFAULT_PORT} is taken by another program; drop takes ${port}.`, {
        fix: `A firewall must admit that one, too. See who has the other: ss -ltnp 'sport = :${DEFAULT_PORT}'`,
      });
}

/** Whether connections come in, as other computers tried. */
function* reachCheck(findings: Findings, surgery: Surgery): Generator<CheckEvent, void> {
  const { answering, silent, door } = findings;
  const { port, visitors } = door;
  if (port === undefined) return;
  if (visitors.length > 0) {
    yield fine('reachable', `${visitors[0]} has reached TCP port ${port} here.`);
    return;
  }
  const [asked] = [...answering, ...silent];
  const sure = answering.find(({ hears }) => hears);
  if (asked === undefined) {
    yield note(
      'reachable',
      `Whether others reach TCP port ${port} here could not be tested: there is nobody to ask.`,
      { fix: 'Start `drop receive` on another computer, then again here: drop doctor' },
    );
    return;
  }
  const message = `${(sure ?? asked).address} was asked to come to TCP port ${port} here, and did not`;
  const fix = mendedBy(fixFor('tcp-in', surgery));
  if (sure === undefined) yield note('reachable', `${message}; it may not have heard us.`, fix);
  else if (port !== DEFAULT_PORT)
    yield note('reachable', `${message}; that of drop receive, ${DEFAULT_PORT}, was in use.`, fix);
  else yield wrong('reachable', `${message}: ${culprit('tcp-in', surgery)}.`, fix);
}

const WHAT: Readonly<Record<Traffic, string>> = {
  'tcp-in': `TCP to port ${DEFAULT_PORT}`,
  'multicast-in': 'UDP to port 5353',
  'multicast-out': 'multicast to others',
};

/** What the rules of this computer say, whatever was seen. */
function firewallCheck({ firewalls, system }: Surgery): CheckEvent {
  const { names, readable, verdicts } = firewalls;
  const stopped = (Object.keys(WHAT) as Traffic[]).flatMap((traffic) => {
    const verdict = verdicts[traffic];
    return verdict.says === 'drop' ? [{ ...verdict, what: WHAT[traffic] }] : [];
  });
  if (stopped.length > 0) {
    const places = Array.from(
      grouped(stopped, ({ where }) => where),
      ([where, those]) => `${those.map(({ what }) => what).join(' and ')} (${where})`,
    );
    return wrong('firewall', `A firewall here stops ${places.join(', and ')}.`, {
      fix: [...new Set(stopped.map(({ fix }) => fix))].join(' && '),
    });
  }
  const known = names.length > 0;
  const on = known ? `The firewall here (${names.join(', ')})` : 'A firewall';
  const unknown = (Object.keys(WHAT) as Traffic[]).filter(
    (traffic) => verdicts[traffic].says === 'unknown',
  );
  const [first] = unknown;
  if (first === undefined)
    return fine(
      'firewall',
      known ? `${on} lets drop through.` : 'No firewall of this computer is in the way.',
    );
  const list = unknown.map((traffic) => WHAT[traffic]).join(' and ');
  if (!known && !readable && system.platform === 'linux')
    return note('firewall', `Only root may see whether a firewall here stops ${list}.`, {
      ...(system.isRoot ? {} : { fix: AS_ROOT }),
    });
  return note('firewall', `${on} may stop ${list}.`, mendedBy(firewalls.fixFor(first)));
}

function grouped<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}
