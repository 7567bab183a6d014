import { setTimeout as sleep } from 'node:timers/promises';
import type { Host } from './hosts.ts';

/** A tunnel that takes all that has no other way, and swallows it. Needs `socat`. */
export async function startVpn(host: Host): Promise<void> {
  const tunnel = 'TUN:10.8.0.2/24,tun-name=tun0,iff-up';
  host.spawn('socat', ['-u', tunnel, 'OPEN:/dev/null']);
  // It is there before it is up, and no route leads to it until then.
  while (!host.ip('link', 'show', 'up').includes('tun0')) await sleep(50);
  host.ip('route', 'add', 'default', 'dev', 'tun0');
}
