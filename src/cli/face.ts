import type { DownloadedEvent, RunningEvent } from '../events.ts';
import type {
  Arrival,
  CheckEvent,
  DiscoverEvent,
  GetEvent,
  KnownPeer,
  ReceiveEvent,
  SendEvent,
  SendToAllEvent,
  ShareEvent,
} from '../index.ts';
import type { Line } from './lines.ts';

/*
 * The rules of what `drop` says. They hold for every face.
 *
 * - Data goes to stdout: JSON lines, tables. All that is said to a person goes to stderr.
 * - A sentence starts with a capital and ends with a full stop, unless it ends in what it is
 *   about: a name, a size, a code. One thing in one line. A failure says what went wrong, and in
 *   the next line what to try.
 * - Words carry the meaning; colours only help. No glyphs that a terminal may lack, no emoji.
 * - Whatever a peer could have written goes through `forTerminal` first: names, paths, all of it.
 * - A thousand files are not a thousand lines.
 * - A code for new devices appears where a person looks, or where the program that started us
 *   reads: on a terminal and in JSON. Never in a log.
 * - A question stands alone: nothing moves and nothing is said until it is answered.
 */

/** Everything that is shown as it happens. */
export type ShownEvent =
  | SendEvent
  | SendToAllEvent
  | ReceiveEvent
  | ShareEvent
  | GetEvent
  | DiscoverEvent
  | CheckEvent
  | DownloadedEvent
  | RunningEvent
  | KnownEvent
  | ArrivedEvent;

/** A device that is known from before. A person reads a table or a sentence instead. */
type KnownEvent = { readonly event: 'known' } & KnownPeer;

/** What arrived earlier, for those who read the history. */
type ArrivedEvent = { readonly event: 'arrived' } & Arrival;

/** What went wrong, for a person and for a script. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly hint?: string | undefined;
  readonly path?: string | undefined;
  /** More, for whoever asked for it: causes, or where in the code. May have several lines. */
  readonly detail?: string | undefined;
}

/** Where a picture is drawn. */
export interface Room {
  readonly columns: number;
  readonly colors: boolean;
}

/** One way to show what happens. */
export interface Face {
  /** Something happened. */
  show(event: ShownEvent): void;
  /** A sentence of our own, news by default. */
  say(sentence: string, weight?: Line['weight']): void;
  /**
   * What we are busy with until something happens; empty for nothing. `weight` is how much it
   * matters to those who read lines.
   */
  busy(what: string, weight?: Line['weight']): void;
  /** Shows a picture with the next event that has one, where pictures are drawn, if `draw` can do it in that room. */
  picture(draw: (room: Room) => readonly string[] | undefined): void;
  /** The command failed, outside of any transfer. */
  fail(failure: Failure): void;
  /** Gets out of the way of a question, and catches up when it is answered. One at a time. */
  standBack<Reply>(question: () => Promise<Reply>): Promise<Reply>;
  /** Leaves the terminal as it was. */
  close(): void;
}
