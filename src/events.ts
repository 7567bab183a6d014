import type { ErrorCode } from './errors.ts';

/** SHA-256 of a peer's public key (DER SubjectPublicKeyInfo), 64 hex digits. The only name that proves anything. */
export type PeerId = string & { readonly __brand: 'PeerId' };

/** A device in words for people and scripts. */
export interface Device {
  readonly name: string;
  readonly id: PeerId;
}

/**
 * How we stand to a peer: `self` is another process of this computer with our own key,
 * `paired` was proven by a code once, `new` never was, `namesake` is new but calls itself like
 * one that we know, `blocked` is one that we want nothing from, and `clone` is another computer
 * with a copy of our own key, with which nothing can be shared.
 */
export type Standing = 'self' | 'paired' | 'new' | 'namesake' | 'blocked' | 'clone';

/** How much is shared, as far as it was counted. */
export type Offered = Omit<Extent, 'risks'>;

/** A device on this network that proved to have its key. */
export interface Peer extends Device {
  /** Random for each process, so that two of one device can be told apart. 16 hex digits. */
  readonly run: string;
  /** `host:port`, the one that answered first in front. */
  readonly addresses: readonly string[];
  readonly standing: Standing;
  /** Whether it shares something, which can be fetched; else it receives what is sent to it. */
  readonly shares: boolean;
  /** What it shares, if it tells us so without asking anybody. */
  readonly offer?: Offered;
}

/** A device has come or has something new to say of itself, or (`lost`) has gone. */
export interface PeerEvent extends Peer {
  readonly event: 'peer';
  readonly state: 'found' | 'lost';
  /** Whether no code is needed. */
  readonly known: boolean;
}

/** A device that is announced but does not answer: a firewall, often. Nothing of it is proven. */
export interface SilentPeer {
  /** What it calls itself, fit to be shown; may be empty. */
  readonly name: string;
  readonly run: string;
  /** `host:port`, where it was tried. */
  readonly addresses: readonly string[];
}

/** Such a device was heard of, or (`lost`) answered after all, went, or is heard of no more. */
export interface SilentEvent extends SilentPeer {
  readonly event: 'silent';
  readonly state: 'found' | 'lost';
}

/** What was said and heard on one link so far, in packets of multicast DNS. */
export interface LinkReport {
  readonly interface: string;
  readonly family: 'IPv4' | 'IPv6';
  /** Ours on this link. */
  readonly address: string;
  readonly loopback: boolean;
  readonly said: number;
  /** Of our own, heard back: the system hands a copy of each to all who listen. */
  readonly echoed: number;
  /** From other devices. */
  readonly heard: number;
  /** What went wrong last, in the system's word: `EADDRINUSE`, `EPERM`, `ENETUNREACH`. */
  readonly trouble?: string | undefined;
}

/** Why nobody may be found, the most likely reason. */
export type Cause =
  /** There is no network. */
  | 'no-network'
  /** Another program holds UDP port 5353 for itself. */
  | 'port-taken'
  /** This computer may not send multicast. */
  | 'cannot-speak'
  /** This computer sends multicast and hears none, not even its own. */
  | 'cannot-hear'
  /** Devices are announced, and do not answer. */
  | 'silent'
  /** Others are heard on the network, and no `drop` among them. */
  | 'nobody'
  /** Nothing is heard of anybody. */
  | 'alone';

/** Nobody is found so far; told after a few seconds, and again when the cause is another one. */
export interface NothingEvent {
  readonly event: 'nothing';
  readonly asked: readonly LinkReport[];
  readonly cause: Cause;
  readonly message: string;
  readonly hint: string;
}

/** What `discover` goes through. */
export type DiscoverEvent = PeerEvent | SilentEvent | NothingEvent;

/** What `doctor` looks at, in this order. */
export type CheckName =
  | 'identity'
  | 'state'
  | 'clock'
  | 'downloads'
  | 'room'
  | 'network'
  | 'vpn'
  | 'port-5353'
  | 'speak'
  | 'hear'
  | 'others'
  | 'silent'
  | 'listen'
  | 'reachable'
  | 'firewall'
  | 'self-test';

/** What `doctor` found out. */
export interface CheckEvent {
  readonly event: 'check';
  readonly name: CheckName;
  /** Whether nothing is wrong. */
  readonly ok: boolean;
  /** `warning` is what is worth knowing, or could not be tested. */
  readonly level: 'ok' | 'warning' | 'failed';
  readonly message: string;
  /** The command or the step that mends it. */
  readonly fix?: string;
  /** The one that it is about; there may be several such checks. */
  readonly interface?: string;
}

/** What every event of one transfer carries. */
interface OfTransfer {
  /** 32 hex digits; the receiver draws it. Empty while a sender does not know it: nothing was accepted. */
  readonly transfer: string;
  readonly peer: Device;
}

/**
 * Where it goes to several, and as long as there is no transfer to know it by: which device it is
 * about, as it was named, or by its name in the list.
 */
interface OfTarget {
  readonly to?: string;
}

/** Bytes are bytes, times milliseconds, both integers. */
export type TransferEvent = OfTransfer &
  (
    | { readonly event: 'accepted' }
    | ({
        readonly event: 'declined';
        readonly reason?: ErrorCode;
        /**
         * Where it was offered, or was to be fetched: for so many milliseconds the device is refused from
         * here on, and nobody is asked, as that was too often a no.
         */
        readonly quiet?: number;
      } & OfTarget)
    /** A part of it is there from before, verified; from here on the rest is sent. */
    | {
        readonly event: 'resuming';
        /** Of the whole transfer: how much is there, and how much there is, null if not known. */
        readonly bytes: number;
        readonly total: number | null;
      }
    /** The connection is lost, and what came is kept. */
    | ({
        readonly event: 'reconnecting';
        readonly reason: ErrorCode;
        /** Of whoever chose the other one: when the next attempt is made, in milliseconds from now. */
        readonly next?: number;
      } & OfTarget)
    /**
     * Somebody here, or `there` on the other side, wants nothing to move from here on. It ends with
     * `resumed` by the same, and where the connection is lost; what stays paused is told again then.
     */
    | { readonly event: 'paused'; readonly by: 'here' | 'there' }
    | { readonly event: 'resumed'; readonly by: 'here' | 'there' }
    | {
        readonly event: 'progress';
        /** The file that is on its way now, as it was offered. */
        readonly file: string;
        /** Of the whole transfer, kept bytes included. */
        readonly bytes: number;
        /** Null until the sender has counted everything, and while a stream is among it. */
        readonly total: number | null;
        /** Files on the disk so far, and in all, like `total`. */
        readonly files: number;
        readonly ofFiles: number | null;
        /** Bytes a second, over the last few seconds. */
        readonly rate: number;
      }
    | {
        readonly event: 'saved';
        /** The receiver: where it lies. The sender, and a sink: as it was offered. */
        readonly path: string;
        readonly bytes: number;
        /** `sha256:` or `blake3:` and 64 hex digits. */
        readonly digest: string;
        /** The receiver only: as it was offered, where the name had to be another one. */
        readonly offered?: string;
      }
    | {
        readonly event: 'skipped';
        readonly path: string;
        readonly reason: 'unchanged' | 'identical' | 'conflict' | 'unsupported';
      }
    /**
     * A message was delivered, and counts as a file. The receiver: it is to be shown, and lies
     * nowhere; made fit for a terminal only by `forTerminal`, line by line.
     */
    | { readonly event: 'text'; readonly text: string }
    | ErrorEvent
    | SummaryEvent
  );

/** What went wrong; with a `path` if that is one file. */
export interface ErrorEvent {
  readonly event: 'error';
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
  readonly path?: string;
}

interface SummaryEvent {
  readonly event: 'summary';
  /** Whether all of it is delivered. */
  readonly ok: boolean;
  /** Delivered: stored now or there already. */
  readonly files: number;
  readonly bytes: number;
  /** Bytes over the wire now. */
  readonly sent: number;
  /** Bytes that were there already. */
  readonly resumed: number;
  /** What was not sent: it was there already, or was left out. */
  readonly skipped: number;
  /** What could not be sent or stored. */
  readonly failed: number;
  /** Since it was accepted. */
  readonly ms: number;
  /** The receiver, if it broke off: bytes of files that are not whole, there for the next time. */
  readonly kept?: number;
  /** What the first failure was, if any. */
  readonly code?: ErrorCode;
}

/** The last event of a transfer. */
export type Summary = OfTransfer & SummaryEvent;

/** A new device has proven who it is, by this; it is known from now on. */
export type PairedEvent = { readonly event: 'paired'; readonly via: 'code' | 'pin' } & Device &
  OfTarget;

/** The device is greeted, and it is now for it to accept. */
export type WaitingEvent = { readonly event: 'waiting' } & Device & OfTarget;

/** The device cannot be dialled, and was asked to dial us; somebody may be asked there. */
export interface KnockingEvent extends OfTarget {
  readonly event: 'knocking';
  /** What it was looked for as. */
  readonly name: string;
}

/** What `send` goes through. */
export type SendEvent = KnockingEvent | PairedEvent | WaitingEvent | TransferEvent;

/** It is the device that was also named `as`, and gets all of it once. */
export interface SameEvent extends Required<OfTarget> {
  readonly event: 'same';
  readonly id: PeerId;
  readonly as: string;
}

/** What `sendToAll` goes through. */
export type SendToAllEvent =
  | SendEvent
  | SameEvent
  /** One of the devices gets nothing, as no transfer came about. */
  | (ErrorEvent & Required<OfTarget>);

/** Others may not find this device in their lists; by its address, and where it was met, they do. */
export interface HiddenEvent {
  readonly event: 'hidden';
  readonly cause: Cause;
  readonly message: string;
}

/** The network has changed, and with it where this device can be reached. */
export interface ReachableEvent {
  readonly event: 'reachable';
  /** `host:port` of each address; none where there is no network. */
  readonly addresses: readonly string[];
  /** As in `Whereabouts`. */
  readonly web?: string;
}

/** What becomes of the code that lets new devices in. */
export type PresenceEvent =
  | { readonly event: 'code'; readonly code: string }
  /** Too many wrong codes: no new device is let in for so many milliseconds; null: until `unlock`. */
  | { readonly event: 'locked'; readonly for: number | null }
  | { readonly event: 'unlocked' };

/** What arrives cannot be written down for `history`; told once, however much more arrives. */
export interface UnrecordedEvent {
  readonly event: 'unrecorded';
  readonly code: ErrorCode;
  readonly message: string;
}

/** How this device can be reached by those who choose it, and what new ones need. */
export interface Whereabouts {
  readonly name: string;
  readonly id: PeerId;
  readonly port: number;
  /** `host:port` of each address under which this device can be reached. */
  readonly addresses: readonly string[];
  /** What new devices need: six digits, or the PIN that was drawn; null where that is neither. */
  readonly code: string | null;
  /** Whether new devices need a PIN: the one of `code`, or else the one that was given. */
  readonly pin: boolean;
  /** The command: its link for browsers, if it opened one and one can be reached. */
  readonly web?: string;
}

/** What `receive` goes through; it may hold several transfers, one after the other or at once. */
export type ReceiveEvent =
  | ({ readonly event: 'ready' } & Whereabouts & {
        /** Whether everyone is let in. */
        readonly open: boolean;
        /** Null if that is a sink. */
        readonly into: string | null;
        /** The command `ui`: opens the window. */
        readonly url?: string;
      })
  | PresenceEvent
  | HiddenEvent
  | ReachableEvent
  | UnrecordedEvent
  | ({ readonly event: 'request'; readonly from: Device; readonly known: boolean } & OfTransfer &
      Extent)
  | PairedEvent
  /** A connection that failed before it became a transfer; `peer` if it had proven who it is. */
  | (ErrorEvent & { readonly peer?: Device })
  | TransferEvent;

/** What `share` goes through; several may fetch at once. */
export type ShareEvent =
  | ({ readonly event: 'ready' } & Whereabouts & {
        /** The names of what is shared, at most a hundred. */
        readonly roots: readonly string[];
      })
  | PresenceEvent
  | HiddenEvent
  | ReachableEvent
  /** A known device wants to fetch, and somebody is asked about that, if anybody can be. */
  | { readonly event: 'fetch'; readonly peer: Device }
  | PairedEvent
  | (ErrorEvent & { readonly peer?: Device })
  | TransferEvent;

/** What is shared, as whoever wants to fetch it is told before anything comes. */
export type OfferEvent = OfTransfer & { readonly event: 'offer' } & Extent;

/** What `get` goes through. */
export type GetEvent =
  | KnockingEvent
  | PairedEvent
  | WaitingEvent
  | OfferEvent
  | UnrecordedEvent
  | TransferEvent;

/**
 * What a person wants to know of an offer before saying yes, even to a friend: it is `large` or
 * of `many` files; a file of it `runs` when it is opened; a name had to be `renamed` to be safe
 * here; or it is `endless`, as nobody knows how much it will be.
 */
export interface Risk {
  readonly risk: 'large' | 'many' | 'runs' | 'renamed' | 'endless';
  /** How many entries of the offer it concerns. */
  readonly entries: number;
  /** The first of them, as it was offered; none where it is the offer as a whole. */
  readonly example?: string;
}

/** How much was offered. */
export interface Extent {
  readonly files: number;
  /** How many of the files are messages to be shown. */
  readonly texts: number;
  readonly bytes: number;
  /** Whether that is all of their bytes; those of a stream, which nobody knows, come on top. */
  readonly sized: boolean;
  /** Whether that is all; else the sender is still counting. */
  readonly final: boolean;
  /** The names of what was offered, at most a hundred. */
  readonly roots: readonly string[];
  /** What a person wants to know before saying yes. */
  readonly risks: readonly Risk[];
}

/** A browser has downloaded something from a page of ours, or broke off and did not go on. */
export interface DownloadedEvent {
  readonly event: 'downloaded';
  /** The address of its computer. */
  readonly from: string;
  /** As it is shared; of a folder it was a zip, and of everything together it is empty. */
  readonly path: string;
  /** What is there of it, which is all that was downloaded so far. */
  readonly bytes: number;
  /** Whether that is all of it. */
  readonly whole: boolean;
}

/** The window of this account runs already, in another process, and can be opened. */
export interface RunningEvent {
  readonly event: 'running';
  /** Opens it. Whoever has it can do all that the window can. */
  readonly url: string;
}
