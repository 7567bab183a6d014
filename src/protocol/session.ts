import { DropError } from '../errors.ts';
import { MAX_PAUSES } from '../limits.ts';
import type { Part } from './card.ts';
import { FrameDecoder } from './frame.ts';
import { ensure, Ledger } from './ledger.ts';
import { isText } from './manifest.ts';
import {
  decode,
  encode,
  type Intent,
  type Message,
  type MessageType,
  PAUSE_SINCE,
  TEXT_SINCE,
} from './message.ts';

/** Which way the files go. The chooser's intent decides it. */
export type Role = 'sender' | 'receiver';

/**
 * The greeting is a script: each line is said once, by one part, in this order. Where both know
 * each other, or everyone is let in, it ends after the welcome.
 */
const GREETING: readonly (readonly [Part, MessageType])[] = [
  ['chooser', 'hello'],
  ['announcer', 'welcome'],
  ['chooser', 'share'],
  ['announcer', 'share'],
  ['chooser', 'confirm'],
  ['announcer', 'confirm'],
];

/**
 * Who may say what in the transfer, and what state it leads to. The table does not know which
 * role is ours: the same rules judge what we say and what we hear. `last` stands for a message
 * that is marked as final.
 */
const RULES: Record<
  Role,
  Record<string, Partial<Record<MessageType | `last ${MessageType}`, string>>>
> = {
  sender: {
    start: { intro: 'named' },
    named: { begin: 'begun' },
    begun: { roots: 'begun', 'last roots': 'offering' },
    offering: {
      offer: 'offering',
      'last offer': 'sending',
      digest: 'offering',
      chunk: 'offering',
      packed: 'offering',
      end: 'offering',
      files: 'offering',
      failed: 'offering',
      dial: 'offering',
      moved: 'offering',
      pause: 'offering',
      resume: 'offering',
    },
    sending: {
      digest: 'sending',
      chunk: 'sending',
      packed: 'sending',
      end: 'sending',
      files: 'sending',
      failed: 'sending',
      dial: 'sending',
      moved: 'sending',
      pause: 'sending',
      resume: 'sending',
      done: 'done',
    },
    done: {},
  },
  receiver: {
    start: { intro: 'named' },
    named: { begun: 'begun' },
    begun: { accept: 'accepted' },
    accepted: {
      compare: 'accepted',
      want: 'accepted',
      arrived: 'accepted',
      stored: 'accepted',
      failed: 'accepted',
      moved: 'accepted',
      pause: 'accepted',
      resume: 'accepted',
      complete: 'over',
    },
    over: {},
  },
};

/**
 * One connection's conversation, from hello to complete: bytes in, messages out, and the other
 * way round. It does no I/O and keeps no time; whoever holds it moves the bytes.
 */
export class Session {
  readonly part: Part;
  readonly #decoder = new FrameDecoder();
  readonly #ledger = new Ledger();
  /** Lines of the greeting that were said; all of them once it is over. */
  #line = 0;
  #intent: Intent = 'look';
  /** Whether the announcer dialled, and waits until the chooser speaks. */
  #waits = false;
  readonly #transcript: Uint8Array[] = [];
  readonly #state: Record<Role, string> = { sender: 'start', receiver: 'start' };
  /** The transfer that the sender wants to go on with, which the receiver must answer first. */
  #continues: string | null = null;
  /** Whether the sender asked to be dialled, and who speaks over that connection by now. */
  #dialled = false;
  readonly #moved = new Set<Role>();
  /** Who has paused it, and how often. */
  readonly #paused = new Set<Role>();
  readonly #pauses: Record<Role, number> = { sender: 0, receiver: 0 };
  /** What the sender can tell files by. */
  #digests: readonly string[] = [];
  /** How many codecs the receiver has named. */
  #codecs = 0;
  #over = false;
  #version = Number.POSITIVE_INFINITY;

  constructor(part: Part) {
    this.part = part;
  }

  /** The bytes that say `message`. Throws if we may not say it now. */
  say(message: Message): Uint8Array[] {
    const parts = encode(message);
    this.#observe(this.part, message, parts[1]);
    return parts;
  }

  /** The messages that these bytes complete. Throws if the peer may not say one of them now. */
  *hear(bytes: Uint8Array): Generator<Message, void> {
    const peer = this.part === 'chooser' ? 'announcer' : 'chooser';
    for (const piece of this.#decoder.push(bytes)) {
      const message = decode(piece);
      this.#observe(peer, message, piece.body);
      yield message;
    }
  }

  /** Whether the connection may end here without anything being lost. */
  get over(): boolean {
    return this.#over;
  }

  /** Which way the files go from here; the greeting has told. */
  get role(): Role {
    return this.#roleOf(this.part);
  }

  /** Why the chooser called; the greeting has told. */
  get intent(): Intent {
    return this.#intent;
  }

  /** The version that is spoken, the lower of the newest ones of both sides. */
  get version(): number {
    return this.#version;
  }

  /** Whether hello was said. */
  get opened(): boolean {
    return this.#line > 0;
  }

  /** Hello and welcome as they were said, which the pairing is bound to. */
  get transcript(): readonly Uint8Array[] {
    return this.#transcript;
  }

  /** Whether the sender has still something to send, so that another connection may be worth it. */
  get sending(): boolean {
    const { sender } = this.#state;
    return !this.#over && (sender === 'offering' || sender === 'sending');
  }

  /** Whether we may say that it is to be paused: the peer knows what that is, and it is under way. */
  get pausable(): boolean {
    const { role } = this;
    const isUnderWay = this.sending || (role === 'receiver' && this.#state.sender === 'done');
    const isAccepted = !this.#over && this.#state.receiver === 'accepted';
    const isKnown = this.#version >= PAUSE_SINCE && this.#pauses[role] < MAX_PAUSES;
    return isUnderWay && isAccepted && isKnown;
  }

  /** Whether what the peer said ends with a whole message. */
  get between(): boolean {
    return this.#decoder.between;
  }

  /** How many entries are offered and not yet settled; never more than `MAX_OPEN_ENTRIES`. */
  get open(): number {
    return this.#ledger.open;
  }

  /** The UTF-16 units of their names and targets. */
  get openUnits(): number {
    return this.#ledger.openUnits;
  }

  /** Whether all is accepted, offered, decided and closed: the sender may say that it is done. */
  get sent(): boolean {
    const { sender, receiver } = this.#state;
    const offered = sender === 'sending' || sender === 'done';
    return offered && (receiver === 'accepted' || receiver === 'over') && this.#ledger.sent;
  }

  #observe(part: Part, message: Message, body: Uint8Array | undefined): void {
    ensure(!this.#over, `"${message.type}" after the end`);
    if (message.type === 'cancel') this.#over = true;
    else if (message.type === 'here') this.#wait(part);
    else if (message.type === 'alive' && this.#waits && this.#line < 2) return;
    else if (this.#line < GREETING.length) this.#greet(part, message, body);
    else if (message.type !== 'alive') this.#transfer(this.#roleOf(part), message);
  }

  #wait(part: Part): void {
    ensure(part === 'announcer' && this.#line === 0 && !this.#waits, 'here, and not at the start');
    this.#waits = true;
  }

  #greet(part: Part, message: Message, body: Uint8Array | undefined): void {
    const [whose, what] = GREETING[this.#line] as (typeof GREETING)[number];
    ensure(part === whose && message.type === what, `${part} said "${message.type}" too early`);
    this.#line += 1;
    if (message.type === 'hello') this.#intent = message.intent;
    if (message.type === 'hello' || message.type === 'welcome') {
      this.#transcript.push(body ?? new Uint8Array(0));
      this.#version = Math.min(this.#version, message.newest);
    }
    if (message.type === 'welcome') {
      const isFree = message.terms === 'known' || message.terms === 'open';
      if (this.#intent === 'look' || (this.#intent === 'peek' && !isFree)) this.#over = true;
      if (isFree) this.#line = GREETING.length;
    }
    if (this.#line === GREETING.length) this.#decoder.greeted();
  }

  #roleOf(part: Part): Role {
    return (part === 'chooser') === (this.#intent === 'send') ? 'sender' : 'receiver';
  }

  #transfer(role: Role, message: Message): void {
    const state = this.#state[role];
    const isLast = 'final' in message && message.final;
    const what = isLast ? (`last ${message.type}` as const) : message.type;
    const next = RULES[role][state]?.[what];
    ensure(next !== undefined, `${role} said "${message.type}" in state "${state}"`);
    this.#count(role, message);
    this.#state[role] = next;
    if (message.type === 'complete') this.#over = true;
  }

  #count(role: Role, message: Message): void {
    const ledger = this.#ledger;
    switch (message.type) {
      case 'intro':
        ensure(message.continues === undefined || this.#intent === 'get', 'nothing can go on');
        ensure(message.continues === undefined || role === 'receiver', 'the sender goes on');
        break;
      case 'begin':
        this.#continues = message.continues;
        this.#digests = message.digests;
        break;
      case 'begun':
        ensure(this.#intent !== 'peek', 'an answer to what was only looked at');
        ensure(!/start|named/.test(this.#state.sender), 'an answer before the question');
        ensure(this.#digests.includes(message.digest), 'a digest that the sender cannot tell');
        ensure(
          this.#intent !== 'get' || message.transfer === (this.#continues ?? message.transfer),
          'another transfer than the one that it came for',
        );
        this.#continues = null;
        this.#codecs = message.codecs.length;
        break;
      case 'roots':
        ensure(this.#continues === null, 'an offer before it is known what goes on');
        ledger.roots(message);
        break;
      case 'offer':
        ensure(
          this.#version >= TEXT_SINCE || !message.entries.some(isText),
          'a message to be shown, of which this version knows nothing',
        );
        ledger.offer(message);
        break;
      case 'accept':
        ensure(/offering|sending/.test(this.#state.sender), 'an answer before the roots');
        break;
      case 'compare':
        ledger.compare(message);
        break;
      case 'digest':
        ledger.digest(message);
        break;
      case 'want':
        ensure(
          this.#intent === 'get' || message.skip.every(({ reason }) => reason !== 'unwanted'),
          'a part of what it did not choose',
        );
        ledger.want(message);
        break;
      case 'chunk':
        ledger.chunk(message.entry, message.offset, message.bytes.length);
        break;
      case 'packed':
        ensure(message.codec < this.#codecs, 'packed by what nobody named');
        ledger.chunk(message.entry, message.offset, message.size);
        break;
      case 'end':
        ledger.end(message);
        break;
      case 'files':
        ledger.small(message);
        break;
      case 'failed':
        role === 'sender' ? ledger.abandon(message) : ledger.reject(message);
        break;
      case 'arrived':
        ledger.arrived(message);
        break;
      case 'stored':
        ledger.stored(message);
        break;
      case 'dial':
        ensure(this.#state.receiver === 'accepted', 'a wish to be dialled before the answer');
        ensure(!this.#dialled, 'a second wish to be dialled');
        this.#dialled = true;
        break;
      case 'moved':
        ensure(this.#dialled && !this.#moved.has(role), 'moved without a reason');
        ensure(role === 'sender' || this.#moved.has('sender'), 'the receiver moved first');
        this.#moved.add(role);
        break;
      case 'pause':
        ensure(this.#version >= PAUSE_SINCE, 'a pause, of which this version knows nothing');
        ensure(this.#state.receiver === 'accepted', 'a pause before the answer');
        ensure(!this.#paused.has(role), 'a pause in a pause');
        ensure(++this.#pauses[role] <= MAX_PAUSES, 'too many pauses');
        this.#paused.add(role);
        break;
      case 'resume':
        ensure(this.#paused.delete(role), 'the end of no pause');
        break;
      case 'done':
        ensure(!this.#paused.has(role), 'done in a pause');
        ensure(this.sent, 'done too early');
        break;
      case 'complete':
        ensure(this.#state.sender === 'done' && ledger.settled, 'complete too early');
        break;
    }
  }
}

/** The version that both sides speak, or an error that says which of them is too old. */
export function agree(
  ours: { newest: number; oldest: number },
  theirs: { newest: number; oldest: number },
): number {
  if (theirs.newest < ours.oldest) throw new DropError('peer-older');
  if (theirs.oldest > ours.newest) throw new DropError('peer-newer');
  return Math.min(ours.newest, theirs.newest);
}
