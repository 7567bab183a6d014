import type { Link } from '../net/links.ts';
import { findLinuxFirewalls } from './linux.ts';
import { findMacFirewall } from './macos.ts';
import type { System } from './system.ts';
import { type Firewalls, NOTHING_KNOWN } from './traffic.ts';
import { findWindowsFirewall } from './windows.ts';

/** Looks for firewalls; `links` are where devices may be, `port` is where they come. */
export async function findFirewalls(
  system: System,
  links: readonly Link[],
  port: number,
): Promise<Firewalls> {
  switch (system.platform) {
    case 'linux':
      return findLinuxFirewalls(system, links, port);
    case 'darwin':
      return findMacFirewall(system);
    case 'win32':
      return findWindowsFirewall(system);
    default:
      return NOTHING_KNOWN;
  }
}
