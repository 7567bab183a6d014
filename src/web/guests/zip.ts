import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { DropError, type ShelfEntry } from '../../index.ts';
import { MAX_ZIP_ENTRIES } from '../../limits.ts';

/** What goes into a zip. It is walked once to be measured, and again to be written. */
export interface ZipSource {
  /** What the paths begin with that is left out of the names: empty, or with `/` at its end. */
  readonly above: string;
  /** Each folder before what it holds, in the same order as long as nothing changes. */
  walk(): AsyncIterable<ShelfEntry>;
  read(file: Extract<ShelfEntry, { kind: 'file' }>): AsyncIterable<Uint8Array>;
}

/** What is known of a zip before any of it is there. */
export interface ZipMeasure {
  /** Bytes. */
  readonly size: number;
  /** Another one whenever a name, a size, a time or a mode is. */
  readonly version: string;
}

/**
 * Measures the zip of what is there now. Throws `too-many` if a zip cannot carry so much, and what
 * the signal was aborted with.
 */
export async function measureZip(source: ZipSource, signal: AbortSignal): Promise<ZipMeasure> {
  const zip = new Layout();
  for await (const entry of source.walk()) {
    signal.throwIfAborted();
    const record = recordOf(entry, source.above);
    if (record !== undefined) zip.add(record, 0);
  }
  return {
    size: zip.at + zip.end().reduce((sum, { length }) => sum + length, 0),
    version: zip.version(),
  };
}

/**
 * The bytes of a zip that was measured, from there on. Nothing in it is compressed, so that its size
 * is known, and each byte always stands where it stood; what comes before is read all the same, as
 * the checksums at the end are of all. Throws `changed` before its end if anything has changed.
 */
export async function* writeZip(
  source: ZipSource,
  measured: ZipMeasure,
  from = 0,
): AsyncGenerator<Uint8Array, void, undefined> {
  let skip = from;
  const rest = (bytes: Uint8Array): Uint8Array => {
    const left = bytes.subarray(Math.min(skip, bytes.length));
    skip -= bytes.length - left.length;
    return left;
  };
  const zip = new Layout();
  for await (const entry of source.walk()) {
    const record = recordOf(entry, source.above);
    if (record === undefined) continue;
    if (zip.at + record.length > measured.size)
      throw new DropError('changed', { path: entry.path });
    yield rest(record.head);
    let sum = crc32(record.content);
    if (entry.kind === 'file')
      for await (const bytes of source.read(entry)) {
        sum = crc32(bytes, sum);
        yield rest(bytes);
      }
    else yield rest(record.content);
    yield rest(record.tail(sum));
    zip.add(record, sum);
  }
  const end = zip.end();
  if (zip.version() !== measured.version) throw new DropError('changed');
  for (const bytes of end) yield rest(bytes);
}

/** One thing in a zip, and the bytes that it is made of. */
interface ZipRecord {
  readonly head: Buffer;
  /** What is known of its content; of a file nothing. */
  readonly content: Buffer;
  /** What stands behind the content, of which this is the checksum. */
  readonly tail: (sum: number) => Buffer;
  /** Of head, content and tail together. */
  readonly length: number;
  /** What the directory at the end says of it. */
  readonly listed: (sum: number, at: number) => Buffer;
  /** What tells it from others. */
  readonly identity: string;
}

/** What is in a zip so far: how long it is, and its directory, which comes last. */
class Layout {
  #at = 0;
  #entries = 0;
  readonly #hash = createHash('sha256');
  #directory: Buffer[] = [];
  /** Of the last piece of it. */
  #filled = 0;

  get at(): number {
    return this.#at;
  }

  add(record: ZipRecord, sum: number): void {
    this.#entries += 1;
    if (this.#entries > MAX_ZIP_ENTRIES)
      throw new DropError('too-many', { message: 'These are too many files for one zip.' });
    this.#hash.update(record.identity);
    this.#write(record.listed(sum, this.#at));
    this.#at += record.length;
  }

  /** The directory, and what tells where it is. */
  end(): Buffer[] {
    const directory = this.#directory.map((piece, n) =>
      n === this.#directory.length - 1 ? piece.subarray(0, this.#filled) : piece,
    );
    const length = directory.reduce((sum, piece) => sum + piece.length, 0);
    return [...directory, endOf(this.#entries, length, this.#at)];
  }

  version(): string {
    return this.#hash.copy().digest('base64url').slice(0, 32);
  }

  /** Many small buffers would take several times as much. */
  #write(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      let piece = this.#directory.at(-1);
      if (piece === undefined || this.#filled === piece.length) {
        piece = Buffer.allocUnsafeSlow(PIECE);
        this.#directory.push(piece);
        this.#filled = 0;
      }
      const count = bytes.copy(piece, this.#filled, at);
      this.#filled += count;
      at += count;
    }
  }
}

const PIECE = 64 * 1024;

const DRIVE = /^([a-z]):/i;

/** Nothing for what cannot be in it, and for links that lead out of it. */
function recordOf(entry: ShelfEntry, above: string): ZipRecord | undefined {
  if (entry.kind === 'unsendable') return undefined;
  // To some programs a backslash leads into another folder, or out of one, and `C:` to a disk.
  const path = entry.path.slice(above.length).replaceAll('\\', '_').replace(DRIVE, '$1_');
  if (entry.kind === 'link' && !staysInside(path, entry.target)) return undefined;
  const { kind } = entry;
  const size = kind === 'file' ? entry.size : kind === 'link' ? Buffer.byteLength(entry.target) : 0;
  const mtime = kind === 'link' ? 0 : entry.mtime;
  const mode = kind === 'link' ? 0o777 : (entry.mode ?? (kind === 'folder' ? 0o755 : 0o644));
  const name = Buffer.from(kind === 'folder' ? `${path}/` : path);
  const content = Buffer.from(kind === 'link' ? entry.target : '');
  const isLarge = size >= MAX_32;
  // Of a file, size and checksum are told behind it: only then it is read.
  const isLate = kind === 'file';
  const shared = { flags: UTF8 | (isLate ? LATE : 0), ...dosTime(mtime) };
  const times = kind === 'link' ? Buffer.alloc(0) : timesOf(mtime);

  const extra = isLarge ? Buffer.concat([times, longs(0, 0)]) : times;
  const head = Buffer.concat([
    fields(
      [4, 0x04034b50],
      [2, isLarge ? ZIP64 : PLAIN],
      [2, shared.flags],
      [2, 0], // stored
      [2, shared.time],
      [2, shared.date],
      [4, isLate ? 0 : crc32(content)],
      [4, isLarge ? MAX_32 : isLate ? 0 : size],
      [4, isLarge ? MAX_32 : isLate ? 0 : size],
      [2, name.length],
      [2, extra.length],
    ),
    name,
    extra,
  ]);
  const tail = (sum: number): Buffer => {
    if (!isLate) return Buffer.alloc(0);
    const width = isLarge ? 8 : 4;
    return fields([4, 0x08074b50], [4, sum], [width, size], [width, size]);
  };
  const listed = (sum: number, at: number): Buffer => {
    const isFar = at >= MAX_32;
    const more = longs(...(isLarge ? [size, size] : []), ...(isFar ? [at] : []));
    const said = Buffer.concat([times, ...(isLarge || isFar ? [more] : [])]);
    return Buffer.concat([
      fields(
        [4, 0x02014b50],
        [2, UNIX | ZIP64],
        [2, isLarge || isFar ? ZIP64 : PLAIN],
        [2, shared.flags],
        [2, 0],
        [2, shared.time],
        [2, shared.date],
        [4, sum],
        [4, isLarge ? MAX_32 : size],
        [4, isLarge ? MAX_32 : size],
        [2, name.length],
        [2, said.length],
        [2, 0],
        [2, 0],
        [2, 0],
        [4, (TYPES[kind] | mode) * 0x10000 + (kind === 'folder' ? DOS_FOLDER : 0)],
        [4, isFar ? MAX_32 : at],
      ),
      name,
      said,
    ]);
  };
  return {
    head,
    content,
    tail,
    length: head.length + size + tail(0).length,
    listed,
    identity: JSON.stringify([kind, path, size, mtime, mode, content.toString()]),
  };
}

/** Whether a link leads to something in the zip, as far as its names tell. */
function staysInside(path: string, target: string): boolean {
  const names = target.split('/');
  const ups = names.findIndex((name) => name !== '..');
  return (ups < 0 ? names.length : ups) < path.split('/').length - 1;
}

/** What tells where the directory is; where numbers are too large for it, in two more records. */
function endOf(entries: number, length: number, at: number): Buffer {
  const isLong = entries >= MAX_16 || length >= MAX_32 || at >= MAX_32;
  const long = fields(
    [4, 0x06064b50],
    [8, 44],
    [2, UNIX | ZIP64],
    [2, ZIP64],
    [4, 0],
    [4, 0],
    [8, entries],
    [8, entries],
    [8, length],
    [8, at],
    [4, 0x07064b50],
    [4, 0],
    [8, at + length],
    [4, 1],
  );
  const short = fields(
    [4, 0x06054b50],
    [2, 0],
    [2, 0],
    [2, Math.min(entries, MAX_16)],
    [2, Math.min(entries, MAX_16)],
    [4, Math.min(length, MAX_32)],
    [4, Math.min(at, MAX_32)],
    [2, 0],
  );
  return isLong ? Buffer.concat([long, short]) : short;
}

const MAX_16 = 0xffff;
const MAX_32 = 0xffffffff;
/** What is needed to read it: version 2.0, or 4.5 for large numbers. */
const PLAIN = 20;
const ZIP64 = 45;
/** Made on Unix: modes are to be believed. */
const UNIX = 3 << 8;
const UTF8 = 1 << 11;
const LATE = 1 << 3;
const DOS_FOLDER = 0x10;
const TYPES = { file: 0o100000, folder: 0o040000, link: 0o120000 } as const;

/** Numbers, the lowest byte first, each of so many bytes. */
function fields(...numbers: readonly (readonly [2 | 4 | 8, number])[]): Buffer {
  const bytes = Buffer.alloc(numbers.reduce((sum, [width]) => sum + width, 0));
  let at = 0;
  for (const [width, number] of numbers) {
    if (width === 8) bytes.writeBigUInt64LE(BigInt(number), at);
    else bytes.writeUIntLE(number, at, width);
    at += width;
  }
  return bytes;
}

/** The numbers that have no room in 32 bits. */
function longs(...numbers: readonly number[]): Buffer {
  return fields([2, 0x0001], [2, 8 * numbers.length], ...numbers.map((n) => [8, n] as const));
}

/** When it was written last, in seconds since 1970, as far as 32 bits can tell. */
function timesOf(mtime: number): Buffer {
  const seconds = Math.floor(mtime / 1000);
  if (seconds < 0 || seconds > 0x7fffffff) return Buffer.alloc(0);
  return Buffer.concat([fields([2, 0x5455], [2, 5]), Buffer.from([1]), fields([4, seconds])]);
}

/** The same for programs that know no better: on the clock of the wall here, from 1980 to 2107. */
function dosTime(mtime: number): { readonly date: number; readonly time: number } {
  const at = new Date(Math.min(Math.max(mtime, EARLIEST), LATEST));
  const [year, month, day] = [at.getFullYear() - 1980, at.getMonth() + 1, at.getDate()];
  return {
    date: (year << 9) | (month << 5) | day,
    time: (at.getHours() << 11) | (at.getMinutes() << 5) | (at.getSeconds() >> 1),
  };
}

const EARLIEST = new Date(1980, 0, 1).getTime();
const LATEST = new Date(2107, 11, 31, 23, 59, 58).getTime();
