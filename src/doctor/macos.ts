import type { System } from './system.ts';
import type { Firewalls, Verdict } from './traffic.ts';

/** The firewall for applications of macOS. It looks at what comes in only. */
export async function findMacFirewall(
  system: System,
  node: string = process.execPath,
): Promise<Firewalls> {
  const ask = (...args: string[]) => system.run('socketfilterfw', args);
  const [state, blockAll, app] = await Promise.all([
    ask('--getglobalstate'),
    ask('--getblockall'),
    ask('--getappblocked', node),
  ]);
  const isOn = /State = [12]/.test(state ?? '');
  const blocks = /block all state set to enabled|set to block all/i.test(blockAll ?? '');
  const out: Verdict = { says: 'accept' };
  const incoming = incomingOf({ state, isOn, blocks, app }, node);
  return {
    names: isOn ? ['macOS'] : [],
    readable: state !== undefined,
    verdicts: { 'tcp-in': incoming, 'multicast-in': incoming, 'multicast-out': out },
    fixFor: (traffic) => (isOn && traffic !== 'multicast-out' ? unblock(node) : undefined),
  };
}

function incomingOf(
  {
    state,
    isOn,
    blocks,
    app = '',
  }: {
    readonly state: string | undefined;
    readonly isOn: boolean;
    readonly blocks: boolean;
    readonly app?: string | undefined;
  },
  node: string,
): Verdict {
  if (state === undefined) return { says: 'unknown' };
  if (!isOn) return { says: 'accept' };
  if (blocks)
    return {
      says: 'drop',
      where: 'the firewall of macOS, which blocks all that comes in',
      fix: `sudo ${TOOL} --setblockall off`,
    };
  if (/is blocked|blocked\s*$/im.test(app))
    return {
      says: 'drop',
      where: `the firewall of macOS, which blocks ${node}`,
      fix: unblock(node),
    };
  return { says: /permitted|is allowed/i.test(app) ? 'accept' : 'unknown' };
}

const TOOL = '/usr/libexec/ApplicationFirewall/socketfilterfw';

function unblock(node: string): string {
  return `sudo ${TOOL} --add "${node}" && sudo ${TOOL} --unblockapp "${node}"`;
}
