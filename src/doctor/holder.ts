import type { System } from './system.ts';

/** A program that has a port open. */
export interface Holder {
  /** What the program is called, if we may know that; else the number of its user. */
  readonly name: string;
  readonly pid?: number | undefined;
  readonly fix: string;
}

/** Who holds UDP port 5353, as far as the system tells us. */
export async function findHolder(system: System): Promise<Holder | undefined> {
  if (system.platform !== 'linux') return undefined;
  const listed = (await system.run('ss', ['-Hulpne', 'sport = :5353'])) ?? '';
  const [, name, digits] = /users:\(\("([^"]+)",pid=(\d+)/.exec(listed) ?? [];
  if (name !== undefined) {
    const pid = Number(digits);
    return { name, pid, fix: FIXES[name] ?? `kill ${pid}` };
  }
  if (listed.trim() === '') return undefined;
  const uid = /\buid:(\d+)/.exec(listed)?.[1] ?? '0';
  const users = system.read('/etc/passwd') ?? '';
  const user = new RegExp(`^([^:]+):[^:]*:${uid}:`, 'm').exec(users)?.[1];
  return {
    name: user === undefined ? 'one of another user' : `one of the user "${user}"`,
    fix: FIXES[user ?? ''] ?? "sudo ss -ulpn 'sport = :5353'",
  };
}

/** Programs that share the port with others, if they are told to. */
const FIXES: Readonly<Record<string, string>> = Object.fromEntries(
  ['avahi-daemon', 'avahi'].map((name) => [
    name,
    'sudo sed -i s/disallow-other-stacks=yes/disallow-other-stacks=no/ /etc/avahi/avahi-daemon.conf && sudo systemctl restart avahi-daemon',
  ]),
);
