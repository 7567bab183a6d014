import * as v from 'valibot';
import { MAX_KNOCK_STRINGS } from '../limits.ts';
import type { Intent } from './message.ts';

/** What a chooser that cannot dial an announcer says by multicast: dial me. */
export interface Knock {
  /** The announcer that is meant: its run, or an IP address of its. */
  readonly to: string;
  /** Whether somebody chose this announcer, or (`look`) only looks who is there. */
  readonly intent: KnockIntent;
  /** Where the chooser listens. */
  readonly port: number;
}

/** Why somebody knocks. */
export type KnockIntent = Exclude<Intent, 'peek'>;

/** The strings of the TXT record that says it. */
export function encodeKnock({ to, intent, port }: Knock): string[] {
  return ['v=1', `to=${to}`, `for=${intent}`, `port=${port}`];
}

/** The knock that a TXT record is; undefined if it is none. */
export function decodeKnock(strings: readonly unknown[]): Knock | undefined {
  if (strings.length > MAX_KNOCK_STRINGS) return undefined;
  const pairs = strings.map((text) => {
    const [key = '', ...value] = String(text).split('=');
    return [key, value.join('=')] as const;
  });
  const { success, output } = v.safeParse(Heard, Object.fromEntries(pairs));
  return success ? { to: output.to, intent: output.for, port: output.port } : undefined;
}

const Heard = v.object({
  v: v.literal('1'),
  to: v.union([v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/)), v.pipe(v.string(), v.ip())]),
  for: v.picklist(['look', 'send', 'get']),
  port: v.pipe(v.string(), v.regex(/^[1-9]\d{0,4}$/), v.transform(Number), v.maxValue(65_535)),
});
