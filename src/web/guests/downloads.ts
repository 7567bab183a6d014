import type { DownloadedEvent } from '../../events.ts';
import {
  MAX_DOWNLOAD_PARTS,
  MAX_DOWNLOADS,
  MAX_DOWNLOADS_EACH,
  MAX_DOWNLOADS_TOLD,
} from '../../limits.ts';

/** What is downloaded, and by whom. */
export interface Wanted {
  /** The address that it goes to. */
  readonly from: string;
  /** As it is shared; of a folder it is a zip, and empty is everything. */
  readonly path: string;
  /** Another one whenever it is not the same bytes. */
  readonly version: string;
  /** Of all of it, in bytes. */
  readonly size: number;
}

/**
 * The downloads that are under way, and what of each is there by now. A browser may ask for one file
 * in fifty parts, and go on after an hour: it is told of once, when all of it is there, or when
 * nothing more of it has been asked for during a while.
 */
export class Downloads {
  readonly #tell: (event: DownloadedEvent) => void;
  readonly #pause: number;
  readonly #places = new Set<{ readonly from: string }>();
  readonly #known = new Map<string, Download>();
  #running = 0;
  /** While it is closed: called when nothing runs any more. */
  #quiet: (() => void) | undefined;

  /** `pause`: milliseconds without a request after which one counts as broken off. */
  constructor(tell: (event: DownloadedEvent) => void, pause = PAUSE) {
    this.#tell = tell;
    this.#pause = pause;
  }

  /** Takes one of the places; returns what gives it back. Undefined if none is left for this source. */
  enter(from: string): (() => void) | undefined {
    const hers = [...this.#places].filter((place) => place.from === from).length;
    if (hers >= MAX_DOWNLOADS_EACH || this.#places.size >= MAX_DOWNLOADS) return undefined;
    const place = { from };
    this.#places.add(place);
    return () => void this.#places.delete(place);
  }

  /** A part of it is asked for. */
  begin(wanted: Wanted): void {
    this.#running += 1;
    const download = this.#of(wanted);
    clearTimeout(download.timer);
    download.running += 1;
  }

  /** What was asked for is over; these bytes of it are there. */
  end(wanted: Wanted, part: { readonly from: number; readonly to: number }): void {
    const download = this.#of(wanted);
    download.running = Math.max(0, download.running - 1);
    download.add(part.from, part.to);
    this.#running -= 1;
    if (this.#running === 0) this.#quiet?.();
    if (download.isWhole) this.#told(download, true);
    else if (download.running === 0 && download.isNews && this.#quiet === undefined)
      download.timer = setTimeout(() => this.#told(download, false), this.#pause);
  }

  /** Waits until all that was asked for is over, and tells of what is not whole. */
  async close(): Promise<void> {
    const quiet = new Promise<void>((resolve) => {
      this.#quiet = resolve;
    });
    if (this.#running > 0) await quiet;
    for (const download of this.#known.values()) this.#told(download, false);
  }

  #told(download: Download, whole: boolean): void {
    clearTimeout(download.timer);
    if (!download.isNews) return;
    const { from, path } = download.wanted;
    const { bytes } = download;
    download.told = bytes;
    this.#tell({ event: 'downloaded', from, path, bytes, whole });
  }

  #of(wanted: Wanted): Download {
    const { from, path, version, size } = wanted;
    const key = JSON.stringify([from, path, version, size]);
    const download = this.#known.get(key) ?? new Download(wanted);
    this.#known.delete(key);
    this.#known.set(key, download);
    if (this.#known.size > MAX_DOWNLOADS_TOLD)
      for (const [old, one] of this.#known)
        if (one.running === 0) {
          clearTimeout(one.timer);
          this.#known.delete(old);
          break;
        }
    return download;
  }
}

/** Milliseconds. */
const PAUSE = 30_000;

/** One that was asked for, however often. */
class Download {
  readonly wanted: Wanted;
  running = 0;
  /** How much of it was there when it was told of last; nothing was told yet: -1. */
  told = -1;
  timer: NodeJS.Timeout | undefined;
  /** What of it is there, in order, with something missing between each. */
  #parts: (readonly [number, number])[] = [];

  constructor(wanted: Wanted) {
    this.wanted = wanted;
  }

  get bytes(): number {
    return this.#parts.reduce((sum, [from, to]) => sum + to - from, 0);
  }

  get isWhole(): boolean {
    return this.#parts.length === 1 && this.bytes === this.wanted.size;
  }

  /** Whether there is more of it than was told. */
  get isNews(): boolean {
    return this.#parts.length > 0 && this.bytes > this.told;
  }

  add(from: number, to: number): void {
    if (to < from || (to === from && this.wanted.size > 0)) return;
    const touching = this.#parts.filter(([a, b]) => a <= to && from <= b);
    if (touching.length === 0 && this.#parts.length >= MAX_DOWNLOAD_PARTS) return;
    const apart = this.#parts.filter((part) => !touching.includes(part));
    const joined = [
      Math.min(from, ...touching.map(([a]) => a)),
      Math.max(to, ...touching.map(([, b]) => b)),
    ] as const;
    this.#parts = [...apart, joined].sort(([a], [b]) => a - b);
  }
}
