import { realpath } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Hashers } from '../disk/hashers.ts';
import { defaultDownloads } from '../disk/home.ts';
import { checkFilename, type OnConflict, openInbox } from '../disk/inbox.ts';
import { markHere } from '../disk/mark.ts';
import { platformHere } from '../disk/platform.ts';
import { openStagings, type Stagings } from '../disk/staging.ts';
import { checkTarget } from '../disk/target.ts';
import { DropError, type ErrorCode } from '../errors.ts';
import type { Device, GetEvent, PeerId, ReceiveEvent, UnrecordedEvent } from '../events.ts';
import type { Self } from '../meeting/self.ts';
import { deviceFolder } from '../protocol/device-folder.ts';
import type { Inbox } from '../transfer/inbox.ts';
import type { Opening, SoFar } from '../transfer/receiver.ts';
import { Arrivals } from './arrivals.ts';
import { type Sink, SinkInbox } from './sink.ts';
import { TextInbox } from './text.ts';

/** How what comes is saved: what all functions that save something can be told. */
export interface SavingOptions {
  /** Where files land; by default the person's folder for downloads. */
  readonly into?: string | undefined;
  /** The name under which a single file is saved; what is more than that is refused. */
  readonly as?: string | undefined;
  /** What happens to a file when another one of its name is there; by default both are kept. */
  readonly onConflict?: OnConflict | undefined;
  /** Whether each device has a folder of its own in there, called like the device. */
  readonly byDevice?: boolean | undefined;
  /** Whether it is written down what arrives, for `history`; true by default. */
  readonly history?: boolean | undefined;
  /** Bytes of one transfer; what is larger is refused, and a stream is cut there. */
  readonly maxSize?: number | undefined;
  /**
   * Takes one file, of one transfer, instead of a folder; what is more than that is refused. It is
   * verified at the end, when most of it has gone out already: only a summary that is `ok` says
   * that it was right. Goes without the options for a folder.
   */
  readonly sink?: Sink | undefined;
}

/** What an offer needs a place for. */
export interface Incoming extends Opening {
  readonly transfer: string;
  /** Who sends, called what it is called here. */
  readonly peer: Device;
  /** Whether it has proven who it is. */
  readonly known: boolean;
}

/** Where everything lands that comes to this process. */
export class Saving {
  /** What files can be told by here; to find out takes a while at first. */
  readonly hashers = new Hashers();
  /** Fulfilled when a sink has taken something and the transfer is over, whatever became of it. */
  readonly spent: Promise<void>;
  readonly #options: SavingOptions;
  readonly #signal: AbortSignal;
  readonly #disk: Disk | undefined;
  readonly #us: PeerId;
  readonly #arrivals: Arrivals | undefined;
  /** Marks what came as something of somebody else. */
  readonly #mark = markHere();
  /** Why the sink takes no other transfer: one uses it, or something of one went out. */
  #taken: 'busy' | 'incomplete' | undefined;
  #spend = (): void => {};

  private constructor(
    disk: Disk | undefined,
    self: Self,
    options: SavingOptions,
    signal: AbortSignal,
  ) {
    this.#signal = signal;
    this.#disk = disk;
    this.#us = self.identity.id;
    this.#arrivals = options.history === false ? undefined : new Arrivals(self.home);
    this.#options = options;
    this.spent = new Promise((resolve) => {
      this.#spend = resolve;
    });
  }

  /**
   * Throws now what is wrong with the folder or the name, before anything comes. The signal ends all
   * that comes.
   */
  static async prepare(self: Self, options: SavingOptions, signal: AbortSignal): Promise<Saving> {
    const { into, as, onConflict, byDevice, sink } = options;
    if (sink === undefined) {
      checkFilename(as);
      const folder = resolve(into ?? (await defaultDownloads()));
      await checkTarget(folder);
      const disk = { into: folder, stagings: await openStagings(self.home) };
      const saving = new Saving(disk, self, options, signal);
      await saving.clear();
      return saving;
    }
    if (byDevice || (into ?? as ?? onConflict) !== undefined)
      throw new DropError('usage', { message: 'What goes into a sink lies in no folder.' });
    return new Saving(undefined, self, options, signal);
  }

  /** Where files land; null if that is a sink. */
  get into(): string | null {
    return this.#disk?.into ?? null;
  }

  /** Whether what breaks off is there for the next time. */
  get keeps(): boolean {
    return this.#disk !== undefined;
  }

  /** Clears away what nobody came back for. That it cannot be is no reason to stop. */
  async clear(): Promise<void> {
    await this.#disk?.stagings.clear().catch(() => {});
  }

  /** Clears away what these left here. That it cannot be is no reason to end otherwise. */
  async forget(peers: ReadonlySet<PeerId>): Promise<void> {
    await this.#disk?.stagings.forget(peers).catch(() => {});
  }

  /** Why an offer is refused by rule, whoever makes it, if it is. `opened`: it has its place. */
  refuses(
    { roots, entries, files, bytes }: SoFar,
    { opened }: { readonly opened: boolean },
  ): ErrorCode | undefined {
    const { maxSize = Number.POSITIVE_INFINITY, as, sink } = this.#options;
    if (bytes > maxSize) return 'too-large';
    if (sink !== undefined && this.#taken !== undefined && !opened) return this.#taken;
    if ((sink ?? as) === undefined) return undefined;
    return roots.length > 1 || entries > 1 || files < entries ? 'one-file' : undefined;
  }

  /** Returns `emit`, but that what is told of transfers is written down as well. */
  recording<Event extends ReceiveEvent | GetEvent>(
    emit: (event: Event | UnrecordedEvent) => void,
  ): (event: Event | UnrecordedEvent) => void {
    return (event) => {
      emit(event);
      this.#arrivals?.hear(event, emit);
    };
  }

  /** The place for one transfer. Only now anything of it appears on the disk. */
  async open({ transfer, peer, known, roots, checksum, onlyTexts }: Incoming): Promise<Inbox> {
    const { as, onConflict, byDevice = false, sink } = this.#options;
    if (sink !== undefined) return this.#pourInto(sink);
    // With a name to save it under, a message is a file like any other.
    const shows = as === undefined;
    if (shows && onlyTexts) return new TextInbox(undefined, this.hashers);
    const disk = this.#disk as Disk;
    const ours = peer.id === this.#us;
    const proof = ours ? 'ours' : known ? 'known' : 'none';
    const inside = byDevice ? deviceFolder(peer, proof, platformHere()) : '';
    // What comes from this very computer was here before.
    const mark = ours ? undefined : this.#mark;
    const programs = proof !== 'none';
    const how = { as, checksum, onConflict, mark, programs, hashers: this.hashers };
    const inbox = await openInbox(disk.into, {
      peer: peer.id,
      stagings: disk.stagings,
      roots,
      inside,
      ...how,
    });
    const into = join(disk.into, inside);
    // Events name what is saved by its real path.
    this.#arrivals?.begin(transfer, await realpath(into).catch(() => resolve(into)));
    return shows ? new TextInbox(inbox, this.hashers) : inbox;
  }

  /** All is written down that there was to write. */
  async close(): Promise<void> {
    await this.#arrivals?.close();
  }

  #pourInto(sink: Sink): Inbox {
    // Two may have been agreed to at the same time.
    if (this.#taken !== undefined) throw new DropError(this.#taken);
    this.#taken = 'busy';
    const onClose = (begun: boolean): void => {
      this.#taken = begun ? 'incomplete' : undefined;
      if (begun) this.#spend();
    };
    return new SinkInbox(sink, this.hashers, onClose, this.#signal);
  }
}

/** A folder, and where what is on its way to it is kept. */
interface Disk {
  readonly into: string;
  readonly stagings: Stagings;
}
