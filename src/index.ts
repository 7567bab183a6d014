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

export { type DiscoverOptions, discover } from './discover.ts';
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
export type { Part } from './handover/choice.ts';
export { checkChoice } from './handover/choice.ts';
export { Control } from './handover/control.ts';
export type { AcceptFetch } from './handover/hand-out.ts';
export { Hatch, type Visitor } from './handover/hatch.ts';
export type { LentEntry, LentFile } from './handover/lent.ts';
export { Pace } from './handover/pace.ts';
export {
  openShelf,
  type Range,
  type Shelf,
  type ShelfEntry,
  type ShelfOptions,
} from './handover/shelf.ts';
export type { Sink } from './handover/sink.ts';
export type { Accept, Request } from './handover/take-in.ts';
export { type Arrival, clearHistory, history } from './history.ts';
export { CALL_QUESTION_LIMIT, QUESTION_LIMIT } from './limits.ts';
export { peerOf } from './meeting/lookout.ts';
export type { AskCode, CodeRequest, Confirm, Doubt, Trusting } from './meeting/meet.ts';
export type { Stranger } from './meeting/outreach.ts';
export type { PresenceOptions } from './meeting/presence.ts';
export type { CommonOptions, LookOptions } from './meeting/self.ts';
export { isAmong } from './meeting/visibility.ts';
export { type Note, openNote } from './note.ts';
export { forgetPeer, type KnownPeer, knownPeers, renamePeer, trustPeer } from './peers.ts';
export { readPin } from './pin.ts';
export { CodeGuard, isPin, normalizeCode } from './protocol/code.ts';
export { forTerminal, sameName } from './protocol/names.ts';
export { checkPatterns } from './protocol/patterns.ts';
export { DEFAULT_PORT, type ReceiveOptions, receive } from './receive.ts';
export { type SendOptions, type Stream, send } from './send.ts';
export { type SendToAllOptions, type SentTo, sendToAll } from './send-to-all.ts';
export { type ShareOptions, share } from './share.ts';
