import type { DownloadedEvent } from '../../events.ts';
import {
  DropError,
  forTerminal,
  type Pace,
  type Range,
  type Shelf,
  type ShelfEntry,
} from '../../index.ts';
import type { Answer } from '../door.ts';
import { Downloads } from './downloads.ts';
import { busyPage, nothingPage, shelfPage, tooManyPage } from './handing-page.ts';
import { type GuestCall, openWebLink, type WebLink, type WebLinkOptions } from './link.ts';
import { lastModified, rangeOf, unmetBy, type Validators } from './ranges.ts';
import { measureZip, writeZip, type ZipSource } from './zip.ts';

export interface HandingOptions extends Omit<WebLinkOptions, 'answer'> {
  /** What is handed out. */
  readonly shelf: Shelf;
  /** This device, as others see it. */
  readonly name: string;
  /** Holds all downloads together to a rate. */
  readonly pace?: Pace | undefined;
  /** Hears of each download that is over. */
  readonly tell: (event: DownloadedEvent) => void;
}

/**
 * Opens a link at which browsers, `curl` and `wget` list and download what lies on a shelf: files,
 * whole or in parts, and folders as zips. It is what was listed that they get, or it breaks off.
 */
export async function openHanding(options: HandingOptions): Promise<WebLink> {
  const { shelf, name, pace, tell, ...linking } = options;
  const downloads = new Downloads(tell);
  const handing = new Handing(shelf, name, pace, downloads);
  const link = await openWebLink({ ...linking, answer: (call) => handing.answer(call) });
  return {
    ...link,
    async close() {
      await link.close();
      await downloads.close();
    },
  };
}

type File = Extract<ShelfEntry, { kind: 'file' }>;
type Folder = Extract<ShelfEntry, { kind: 'folder' }>;

/** Something that can be downloaded. */
interface Offer extends Validators {
  /** As in `DownloadedEvent`. */
  readonly path: string;
  /** What it is saved as. */
  readonly filename: string;
  readonly size: number;
  /** Its bytes from there on; behind the part there may be more of them. */
  readonly read: (part: Range) => AsyncIterable<Uint8Array>;
}

class Handing {
  readonly #shelf: Shelf;
  readonly #name: string;
  readonly #pace: Pace | undefined;
  readonly #downloads: Downloads;

  constructor(shelf: Shelf, name: string, pace: Pace | undefined, downloads: Downloads) {
    this.#shelf = shelf;
    this.#name = name;
    this.#pace = pace;
    this.#downloads = downloads;
  }

  async answer(call: GuestCall): Promise<Answer> {
    const { method, path, root } = call;
    if (method !== 'GET' && method !== 'HEAD')
      return { status: 405, headers: { Allow: 'GET, HEAD' } };
    if (path === '/') return this.#page(call, undefined);
    if (path === '/everything.zip') return this.#download(call, () => this.#zip(call, undefined));
    // Right behind the link stands a file as well, for whoever types its name. What the page needs goes first.
    const [, kind = 'get', rest = ''] = /^\/+(?:(in|get|zip|-)\/)?(.+)$/.exec(path) ?? [];
    const entry = await this.#find(rest.replace(ENDS[kind] ?? '', ''));
    if (kind === 'get' && entry?.kind === 'file')
      return this.#download(call, async () => this.#file(entry));
    if (kind === 'in' && entry?.kind === 'folder') return this.#page(call, entry);
    if (kind === 'zip' && entry?.kind === 'folder')
      return this.#download(call, () => this.#zip(call, entry));
    return nothingPage(root);
  }

  async #find(encoded: string): Promise<ShelfEntry | undefined> {
    const path = decoded(encoded);
    return path === undefined ? undefined : this.#shelf.find(path);
  }

  #page({ root, query }: GuestCall, folder: Folder | undefined): Promise<Answer> {
    const page = Number(/^\d{1,6}$/.exec(query.get('page') ?? '')?.[0] ?? 1);
    return shelfPage({ shelf: this.#shelf, name: this.#name, root, folder, page });
  }

  #file(entry: File): Offer {
    const { path, size, mtime } = entry;
    return {
      path,
      filename: path.slice(path.lastIndexOf('/') + 1),
      size,
      etag: `"${size.toString(36)}.${mtime.toString(36)}"`,
      mtime,
      read: (part) => this.#shelf.read(entry, part),
    };
  }

  /** A folder, or everything, as a zip. */
  async #zip({ signal }: GuestCall, folder: Folder | undefined): Promise<Offer> {
    const shelf = this.#shelf;
    const path = folder?.path ?? '';
    const source: ZipSource = {
      above: path.slice(0, path.lastIndexOf('/') + 1),
      walk: () => shelf.walk(folder),
      read: (file) => shelf.read(file),
    };
    const measured = await measureZip(source, signal);
    return {
      path,
      filename: `${path.slice(path.lastIndexOf('/') + 1) || 'everything'}.zip`,
      size: measured.size,
      etag: `"${measured.version}"`,
      read: ({ from }) => writeZip(source, measured, from),
    };
  }

  async #download(call: GuestCall, offered: () => Promise<Offer>): Promise<Answer> {
    const { headers, remote, root, signal, method } = call;
    // To measure a zip is work, too.
    const leave = this.#downloads.enter(remote);
    if (leave === undefined) return busyPage(root);
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, { once: true });
    const offer = await offered().catch((error: unknown) => {
      if (error instanceof DropError && error.code === 'too-many') return undefined;
      throw error;
    });
    if (offer === undefined) return tooManyPage(root);
    const { size, etag } = offer;
    const shared = {
      'Accept-Ranges': 'bytes',
      'Content-Disposition': disposition(offer.filename),
      ETag: etag,
      ...(lastModified(offer) === undefined ? {} : { 'Last-Modified': lastModified(offer) }),
    };
    const type = 'application/octet-stream';
    const unmet = unmetBy(headers, offer);
    // The length is that of what is not sent.
    if (unmet === 304) return { status: unmet, headers: { ...shared, 'Content-Length': size } };
    if (unmet !== undefined) return { status: unmet, headers: shared };
    const range = method === 'HEAD' ? 'whole' : rangeOf(headers, size, offer);
    if (range === 'none')
      return { status: 416, headers: { ...shared, 'Content-Range': `bytes */${size}` } };
    const part = range === 'whole' ? { from: 0, to: size } : range;
    const said = {
      ...shared,
      'Content-Length': part.to - part.from,
      ...(range === 'whole'
        ? {}
        : { 'Content-Range': `bytes ${part.from}-${part.to - 1}/${size}` }),
    };
    const status = range === 'whole' ? 200 : 206;
    if (method === 'HEAD') return { status, type, headers: said };
    const wanted = { from: remote, path: offer.path, version: etag, size };
    this.#downloads.begin(wanted);
    let at = part.from;
    return {
      status,
      type,
      headers: said,
      body: this.#bytes(offer, part, signal, (gone) => {
        at += gone;
      }),
      over: (whole) => this.#downloads.end(wanted, { from: part.from, to: whole ? part.to : at }),
    };
  }

  /** Exactly the bytes of a part, as fast as they may go; of those that were taken is told. */
  async *#bytes(
    { read }: Offer,
    part: Range,
    signal: AbortSignal,
    taken: (bytes: number) => void,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const pace = this.#pace;
    let left = part.to - part.from;
    for await (const bytes of read(part)) {
      // Of a zip much may be read of which nothing is sent.
      signal.throwIfAborted();
      const wanted = bytes.subarray(0, left);
      for (let at = 0; at < wanted.length; ) {
        const piece = wanted.subarray(at, at + (pace?.most ?? wanted.length));
        await pace?.take(piece.length, signal);
        yield piece;
        taken(piece.length);
        at += piece.length;
        left -= piece.length;
      }
      if (left === 0) return;
    }
    // Whoever waits for the rest must not take what comes next for it.
    if (left > 0) throw new DropError('changed');
  }
}

/** What an address of each kind ends in, behind the path. */
const ENDS: Readonly<Record<string, RegExp>> = { in: /\/$/, zip: /\.zip$/ };

/** The path that stands in an address; undefined if there is none. */
function decoded(encoded: string): string | undefined {
  try {
    const names = encoded.split('/').map(decodeURIComponent);
    return names.some((name) => name.includes('/')) ? undefined : names.join('/');
  } catch {
    return undefined; // It is no UTF-8.
  }
}

/**
 * It is to be saved, and never shown in the browser as if it came from us, whatever it is. Old
 * browsers get a name of plain letters (RFC 6266), and none gets signs that hide what it ends in.
 */
function disposition(filename: string): string {
  const name = forTerminal(filename, MAX_FILENAME).replaceAll('\ufffd', '_');
  const plain = name.replace(/[^ !#$&'()+,\-.0-9;=@A-Z[\]^_`a-z{}~]/g, '_');
  const encoded = encodeURIComponent(name).replace(
    /['()*!]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`;
}

/** Characters; no disk takes more. */
const MAX_FILENAME = 255;
