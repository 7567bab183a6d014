import { DropError } from '../errors.ts';
import type { PeerId } from '../events.ts';
import { JUDGING_LIMIT } from '../limits.ts';
import { equal, fromHex, utf8 } from '../protocol/bytes.ts';
import { type CodeGuard, normalizeCode } from '../protocol/code.ts';
import { type Intent, type MessageOf, NEWEST, OLDEST } from '../protocol/message.ts';
import { agree } from '../protocol/session.ts';
import type { Channel } from './channel.ts';

/** Both ends of a connection. */
export interface Ends {
  readonly me: PeerId;
  readonly peer: PeerId;
  /** 32 bytes that both ends of this one connection, and nobody else, can derive. */
  readonly binding: Uint8Array;
}

/** What a person typed, and which of the announcer's codes it was asked for. */
export interface Answer {
  readonly kind: 'code' | 'pin';
  readonly code: string;
  readonly epoch: number;
}

/**
 * How a greeting went well: by keys that both knew, by a code or PIN; or nobody proved more than
 * to have a key, as the announcer is open to everyone.
 */
export type Greeted = 'known' | 'paired' | 'open';

/** What a person must give before the chooser calls again. */
export type Needs =
  | { readonly needs: 'code' | 'pin'; readonly epoch: number }
  /** To deal with a device that says it is open to everyone, and that nobody vouches for. */
  | { readonly needs: 'leave' };

/** What the chooser brings. */
export interface Chosen {
  readonly intent: Intent;
  /** Whether the announcer's key is in our trust store, or is our own. */
  readonly knows: boolean;
  readonly answer?: Answer | undefined;
  /** Whether a device will do that nobody vouches for. */
  readonly unverified?: boolean | undefined;
}

/**
 * Greets the announcer that we chose. Where something is needed that a person has not given yet,
 * it returns what, and this connection is over: nobody waits while a person types.
 */
export async function greetAsChooser(
  channel: Channel,
  ends: Ends,
  { intent, knows, answer, unverified }: Chosen,
): Promise<Greeted | Needs> {
  await channel.say({ type: 'hello', newest: NEWEST, oldest: OLDEST, intent, knows });
  const welcome = await channel.hear('welcome');
  agree({ newest: NEWEST, oldest: OLDEST }, welcome);
  const { terms, epoch } = welcome;
  switch (terms) {
    case 'known':
      // It claims to know us. We send only to those whom we know.
      if (knows) return 'known';
      throw new DropError('unproven');
    case 'open':
      // Anyone can claim that no code is needed; but whom we know has proven its key.
      if (knows) return 'known';
      // Nothing is taken from a device that nobody vouches for.
      if (intent !== 'send') throw new DropError('unproven');
      return unverified ? 'open' : { needs: 'leave' };
    case 'closed':
      throw new DropError('refused');
    case 'code':
    case 'pin':
      break;
  }
  if (answer?.kind !== terms || intent === 'peek') return { needs: terms, epoch };

  const cpace = await pake(channel, ends, 'chooser', answer);
  await channel.say({ type: 'share', epoch: answer.epoch, point: cpace.share });
  const { point } = await channel.hear('share');
  const { initiatorTag, responderTag } = cpace.finish('initiator', point);
  try {
    await channel.say({ type: 'confirm', tag: initiatorTag });
    const { tag } = await channel.hear('confirm');
    if (equal(tag, responderTag)) return 'paired';
  } catch (cause) {
    // Whoever hears our tag can tell whether it guessed right: this was a guess, also of one that
    // hangs up now, or says that it is too early.
    throw new DropError('wrong-code', { cause });
  }
  throw new DropError('wrong-code');
}

/**
 * After the greeting each side says what it calls itself, and a chooser that gets which transfer it
 * wants to go on with, if any. Returns what the peer says, as it is.
 */
export async function introduce(
  channel: Channel,
  myName: string,
  continues?: string,
): Promise<{ name: string; continues?: string | undefined }> {
  const said = channel.say({ type: 'intro', name: myName, continues });
  const [intro] = await Promise.all([channel.hear('intro'), said]);
  return intro;
}

/** What the announcer knows and allows. */
export interface Door {
  /** Whether the chooser needs no code: its key is in our trust store, or is our own. */
  readonly knows: boolean;
  /** Judges answers to the code or PIN; none where nobody new is let in by one. */
  readonly guard: CodeGuard | undefined;
  /** Whether everyone is let in. */
  readonly open?: boolean | undefined;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  /** Ends the channel in so many milliseconds, unless what it returns is called before. */
  readonly endIn: (ms: number) => () => void;
  /** Hears that the chooser has begun. */
  readonly onHello?: (() => void) | undefined;
}

/** Greets whoever chose us. Null: it only wanted to know on what terms it would be let in. */
export async function greetAsAnnouncer(
  channel: Channel,
  ends: Ends,
  door: Door,
): Promise<Greeted | null> {
  const { knows, guard, open, now, onHello } = door;
  const hello = await channel.hear('hello');
  onHello?.();
  agree({ newest: NEWEST, oldest: OLDEST }, hello);
  const terms = knows && hello.knows ? 'known' : open ? 'open' : (guard?.kind ?? 'closed');
  const epoch = guard?.epoch ?? 0;
  const asks = terms === 'code' || terms === 'pin';
  // Said now, so that no person types what nobody will judge.
  if (asks && guard?.judges(epoch, now()) === 'locked') throw new DropError('locked');
  await channel.say({ type: 'welcome', newest: NEWEST, oldest: OLDEST, terms, epoch });
  if (hello.intent === 'look') return null;
  if (terms === 'known' || terms === 'open') return terms;
  if (hello.intent === 'peek') return null;
  if (guard === undefined) throw new DropError('refused');

  const share = await channel.hear('share');
  await guard.inTurn(() => judge(channel, ends, share, guard, door));
  return 'paired';
}

/** Judges one answer, from both shares to both tags. Throws unless it is right. */
async function judge(
  channel: Channel,
  ends: Ends,
  share: MessageOf<'share'>,
  guard: CodeGuard,
  { now, endIn }: Door,
): Promise<void> {
  const verdict = guard.judges(share.epoch, now());
  if (verdict !== 'yes') throw new DropError(verdict);
  const cpace = await pake(channel, ends, 'announcer', guard);
  const { initiatorTag, responderTag } = cpace.finish('responder', share.point);
  const done = endIn(JUDGING_LIMIT);
  try {
    await channel.say({ type: 'share', epoch: share.epoch, point: cpace.share });
    // The chooser commits to its guess first: until here it has learned nothing.
    const { tag } = await channel.hear('confirm').catch((error) => {
      // Else whoever wants to could keep all others from being judged, for ever and unseen.
      if (guard.isAwaited) guard.wrong(now());
      throw error;
    });
    if (!equal(tag, initiatorTag)) {
      guard.wrong(now());
      throw new DropError('wrong-code');
    }
  } finally {
    done();
  }
  guard.right();
  await channel.say({ type: 'confirm', tag: responderTag });
}

/**
 * CPace over the code or PIN, bound to this connection, to both keys, to the parts and to every
 * byte of hello and welcome. It is loaded only here: most meetings need none.
 */
async function pake(
  channel: Channel,
  ends: Ends,
  part: 'chooser' | 'announcer',
  { kind, code }: Pick<Answer, 'kind' | 'code'>,
) {
  const { CPace, lvCat } = await import('../protocol/cpace.ts');
  const { me, peer, binding } = ends;
  const [chooser, announcer] = part === 'chooser' ? [me, peer] : [peer, me];
  return new CPace(
    {
      secret: lvCat(utf8(`drop/1 ${kind}`), utf8(normalizeCode(code))),
      channel: lvCat(
        utf8('drop/1'),
        utf8('chooser'),
        fromHex(chooser),
        utf8('announcer'),
        fromHex(announcer),
        ...channel.session.transcript,
      ),
      session: binding,
      initiator: utf8('drop/1 chooser'),
      responder: utf8('drop/1 announcer'),
    },
    crypto.getRandomValues(new Uint8Array(32)),
  );
}
