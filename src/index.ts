/**
 * Send files to a computer nearby: found by itself, encrypted, verified.
 *
 * Most programs need two functions: `receive` on one computer, `send` on the other. Both are
 * async iterables of events, and both stop when their `signal` is aborted or their loop is left:
 * `send`, `sendToAll`, `get` and `doctor` then throw the reason of the signal, the others just end.
 *
 * What goes wrong with one file, or with one of several peers, is an `error` event. What ends the
 * whole is thrown: a `DropError`, which a person can understand, with a `code` of the table `ERRORS`
 * and often a `hint` of what to try. Anything else that is thrown is a bug.
 *
 * Sizes are bytes, times are milliseconds, and names of files are joined with `/`, unless it is
 * said otherwise. Paths and messages of peers are as they came: `forTerminal` makes them fit to be
 * shown.
 *
 * @module
 */

export type { Part } from './choice.ts';
export { checkChoice } from './choice.ts';
export { Control } from './control.ts';
export { type DiscoverOptions, discover, peerOf } from './discover.ts';
export { type Diagnosis, type DoctorOptions, doctor } from './doctor/doctor.ts';
export { DropError, ERRORS, type ErrorCode } from './errors.ts';
export type {
  Cause,
  CheckEvent,
  CheckName,
  Device,
  DiscoverEvent,
  Extent,
  GetEvent,
  HiddenEvent,
  KnockingEvent,
  LinkReport,
  NothingEvent,
  OfferEvent,
  Offered,
  PairedEvent,
  Peer,
  PeerEvent,
  PeerId,
  PresenceEvent,
  ReachableEvent,
  ReceiveEvent,
  Risk,
  SameEvent,
  SendEvent,
  SendToAllEvent,
  ShareEvent,
  SilentEvent,
  SilentPeer,
  Standing,
  Summary,
  TransferEvent,
  UnrecordedEvent,
  WaitingEvent,
} from './events.ts';
export { type GetOptions, get, type Offer } from './get.ts';
export type { AcceptFetch } from './hand-out.ts';
export { Hatch, type Visitor } from './hatch.ts';
export { type Arrival, clearHistory, history } from './history.ts';
export type { LentEntry, LentFile } from './lent.ts';
export { CALL_QUESTION_LIMIT, QUESTION_LIMIT } from './limits.ts';
export type { AskCode, CodeRequest, Confirm, Doubt, Trusting } from './meet.ts';
export { type Note, openNote } from './note.ts';
export type { Stranger } from './outreach.ts';
export { Pace } from './pace.ts';
export { forgetPeer, type KnownPeer, knownPeers, renamePeer, trustPeer } from './peers.ts';
export { readPin } from './pin.ts';
export type { PresenceOptions } from './presence.ts';
export { CodeGuard, isPin, normalizeCode } from './protocol/code.ts';
export { forTerminal, sameName } from './protocol/names.ts';
export { checkPatterns } from './protocol/patterns.ts';
export { DEFAULT_PORT, type ReceiveOptions, receive } from './receive.ts';
export type { CommonOptions, LookOptions } from './self.ts';
export { type SendOptions, type Stream, send } from './send.ts';
export { type SendToAllOptions, type SentTo, sendToAll } from './send-to-all.ts';
export { type ShareOptions, share } from './share.ts';
export { openShelf, type Range, type Shelf, type ShelfEntry, type ShelfOptions } from './shelf.ts';
export type { Sink } from './sink.ts';
export type { Accept, Request } from './take-in.ts';
export { isAmong } from './visibility.ts';
