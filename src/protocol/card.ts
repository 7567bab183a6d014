import { DropError } from '../errors.ts';
import { MAX_DEVICE_NAME } from '../limits.ts';
import { concat, fromHex, toHex, utf8 } from './bytes.ts';
import { clip, deviceName } from './names.ts';

/** Who announced itself and who chose it from the list; whoever dials, and whoever sends. */
export type Part = 'announcer' | 'chooser';

/** Which way files go between the two: the chooser sends them, or it gets them. */
export type Way = 'send' | 'get';

/** What a listening process says of itself to whoever asks; the key that it proved goes with it. */
export interface Card {
  /** Random for each process: 16 hex digits. */
  readonly run: string;
  /** What this device is called; fit to be shown, and empty if nothing of it was. */
  readonly name: string;
  /** Whether it can be chosen, or chooses and lets those dial in that it cannot reach. */
  readonly part: Part;
  /** What it is chosen for, or chooses for. An announcer of the way `get` shares something. */
  readonly way: Way;
}

/** `kind:u8 run[8] length:u8 name`: a card's length is known as soon as its head is there. */
const HEAD = 10;

/** The longest card, in bytes. */
export const MAX_CARD = HEAD + MAX_DEVICE_NAME;

/** By the first byte. */
const KINDS: readonly Pick<Card, 'part' | 'way'>[] = [
  { part: 'announcer', way: 'send' },
  { part: 'chooser', way: 'send' },
  { part: 'announcer', way: 'get' },
  { part: 'chooser', way: 'get' },
];

export function encodeCard({ part, way, run, name }: Card): Uint8Array {
  const text = utf8(clip(name, MAX_DEVICE_NAME));
  const kind = KINDS.findIndex((one) => one.part === part && one.way === way);
  return concat(Uint8Array.of(kind), fromHex(run), Uint8Array.of(text.length), text);
}

/** The card that these bytes are; undefined if more are needed. Throws `protocol` if they are none. */
export function decodeCard(bytes: Uint8Array): Card | undefined {
  if (bytes.length < HEAD) return undefined;
  const kind = KINDS[bytes[0] as number];
  const length = HEAD + (bytes[HEAD - 1] as number);
  if (kind === undefined || length > MAX_CARD || bytes.length > length)
    throw new DropError('protocol', { message: 'It does not say who it is.' });
  if (bytes.length < length) return undefined;
  const name = new TextDecoder().decode(bytes.subarray(HEAD));
  return { ...kind, run: toHex(bytes.subarray(1, HEAD - 1)), name: deviceName(name) };
}
