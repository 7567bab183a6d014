/**
 * Send files to a computer nearby: found by itself, encrypted, verified.
 *
 * Most programs need two functions: `receive` on one computer, `send` on the other. Both are
 * async iterables of events, and both stop when their `signal` is aborted or their loop is left.
 *
 * @module
 */
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
  HiddenEvent,
  KnockingEvent,
  LinkReport,
  NothingEvent,
  PairedEvent,
  Peer,
  PeerEvent,
  PeerId,
  ReachableEvent,
  ReceiveEvent,
  Risk,
  SendEvent,
  SilentEvent,
  SilentPeer,
  Standing,
  Summary,
  TransferEvent,
  WaitingEvent,
} from './events.ts';
export { CALL_QUESTION_LIMIT, QUESTION_LIMIT } from './limits.ts';
export type { AskCode, CodeRequest, Confirm, Doubt, Trusting } from './meet.ts';
export type { Stranger } from './outreach.ts';
export { Pace } from './pace.ts';
export { forgetPeer, type KnownPeer, knownPeers, renamePeer, trustPeer } from './peers.ts';
export { readPin } from './pin.ts';
export { forTerminal, sameName } from './protocol/names.ts';
export { DEFAULT_PORT, type ReceiveOptions, receive } from './receive.ts';
export type { CommonOptions, LookOptions } from './self.ts';
export { type SendOptions, type Stream, send } from './send.ts';
export type { Accept, Request } from './visit.ts';
