import type { Device } from '../events.ts';
import { type Place, safeName, sameName } from './names.ts';

/** How far a device can be told from others. */
export type Proof = 'ours' | 'known' | 'none';

/**
 * The folder for what comes from one device, among those of all others. Known devices have names
 * that nobody else has, so the name is enough where it can be a folder's; where it has to be
 * changed for that, or looks like one that was, the id makes it one that nobody else gets. What
 * nobody proved goes into one folder for all: there, a name means nothing.
 */
export function deviceFolder(
  { name, id }: Device,
  proof: Proof,
  platform: Place['platform'],
): string {
  if (proof === 'ours') return OURS;
  if (proof === 'none') return UNPROVEN;
  // Unlike the name of a file, that of a device may have a slash.
  const safe = safeName(name.replaceAll('/', '_'), { platform, top: true });
  const isFree = safe === name && !MARKED.test(name) && ![OURS, UNPROVEN].some(isCalled(name));
  return isFree ? name : `${safe} (${id.slice(0, MARK)})`;
}

const OURS = 'this computer';
const UNPROVEN = 'unproven devices';

/** Digits of an id: more than anybody can find a key for that begins with the same ones. */
const MARK = 16;
const MARKED = /\([0-9a-f]{16}\)\s*$/iu;

function isCalled(name: string): (other: string) => boolean {
  return (other) => sameName(name, other);
}
