import * as v from 'valibot';
import type { System } from './system.ts';
import { type Firewalls, NOTHING_KNOWN, type Verdict } from './traffic.ts';

const Heard = v.object({
  profiles: v.array(v.object({ Name: v.string(), Enabled: v.unknown(), In: v.string() })),
  networks: v.array(v.object({ Alias: v.string(), Category: v.string() })),
  /** Of the program that runs `drop`: Node. */
  rules: v.array(v.object({ Name: v.string(), Action: v.string(), Profile: v.string() })),
});

type Heard = v.InferOutput<typeof Heard>;

/** The firewall of Windows. It looks at what comes in; what goes out is only stopped if told to. */
export async function findWindowsFirewall(
  system: System,
  node: string = process.execPath,
): Promise<Firewalls> {
  const args = ['-NoProfile', '-NonInteractive', '-Command', scriptFor(node)];
  const said = await system.run('powershell', args);
  const heard = v.safeParse(v.pipe(v.string(), v.parseJson(), Heard), said);
  if (!heard.success) return NOTHING_KNOWN;
  const incoming = incomingOf(heard.output, node);
  const isOn = heard.output.profiles.some(isEnabled);
  return {
    names: isOn ? ['Windows'] : [],
    readable: true,
    verdicts: {
      'tcp-in': incoming,
      'multicast-in': incoming,
      'multicast-out': { says: 'unknown' },
    },
    fixFor: (traffic) => (isOn && traffic !== 'multicast-out' ? allow(node) : undefined),
  };
}

function incomingOf({ profiles, networks, rules }: Heard, node: string): Verdict {
  const active = networks.map(({ Category }) => PROFILES[Category] ?? Category);
  const applying = profiles.filter(
    (profile) => isEnabled(profile) && (active.length === 0 || active.includes(profile.Name)),
  );
  if (applying.length === 0) return { says: 'accept' };
  const isFor = ({ Profile }: Heard['rules'][number], name: string): boolean =>
    Profile === 'Any' || Profile.split(/,\s*/).includes(name);
  const states = applying.map(({ Name, In }): Verdict => {
    const ours = rules.filter((rule) => isFor(rule, Name));
    const block = ours.find(({ Action }) => Action === 'Block');
    // A rule that blocks goes before all that allow. It is left behind when the question of
    // Windows was answered by no.
    if (block)
      return {
        says: 'drop',
        where: `the rule "${block.Name}" of the firewall of Windows`,
        fix: `In PowerShell as administrator: Remove-NetFirewallRule -DisplayName ${quoted(block.Name)}; ${allow(node)}`,
      };
    if (In === 'Allow' || ours.some(({ Action }) => Action === 'Allow')) return { says: 'accept' };
    const network = networks.find(({ Category }) => (PROFILES[Category] ?? Category) === Name);
    if (Name === 'Public' && network && rules.some(({ Action }) => Action === 'Allow'))
      return {
        says: 'drop',
        where: `the firewall of Windows, for which "${network.Alias}" is a public network`,
        fix: `In PowerShell as administrator: Set-NetConnectionProfile -InterfaceAlias ${quoted(network.Alias)} -NetworkCategory Private`,
      };
    return { says: 'unknown' };
  });
  return (
    states.find(({ says }) => says === 'drop') ??
    states.find(({ says }) => says === 'unknown') ?? { says: 'accept' }
  );
}

/** What the firewall calls the category of a network. */
const PROFILES: Readonly<Record<string, string>> = {
  DomainAuthenticated: 'Domain',
  Private: 'Private',
  Public: 'Public',
};

function isEnabled({ Enabled }: Heard['profiles'][number]): boolean {
  return Enabled === true || Enabled === 1 || Enabled === 'True';
}

function allow(node: string): string {
  return `New-NetFirewallRule -DisplayName drop -Direction Inbound -Program ${quoted(node)} -Action Allow -Profile Private`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** Words instead of numbers, which differ between versions. */
function scriptFor(node: string): string {
  return [
    `$rules = Get-NetFirewallApplicationFilter -Program ${quoted(node)} -ErrorAction SilentlyContinue | Get-NetFirewallRule | Where-Object { $_.Enabled -eq 'True' -and $_.Direction -eq 'Inbound' }`,
    '@{',
    `profiles = @(Get-NetFirewallProfile | ForEach-Object { @{ Name = "$($_.Name)"; Enabled = "$($_.Enabled)"; In = "$($_.DefaultInboundAction)" } });`,
    `networks = @(Get-NetConnectionProfile | ForEach-Object { @{ Alias = "$($_.InterfaceAlias)"; Category = "$($_.NetworkCategory)" } });`,
    `rules = @($rules | ForEach-Object { @{ Name = "$($_.DisplayName)"; Action = "$($_.Action)"; Profile = "$($_.Profile)" } })`,
    '} | ConvertTo-Json -Depth 4 -Compress',
  ].join('\n');
}
