import { hash, randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  type Stats,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { mkdir, opendir, readdir } from 'node:fs/promises';
import { basename, join, sep } from 'node:path';
import * as v from 'valibot';
import type { PeerId } from '../events.ts';
import { KEPT_FOR, MAX_CLAIMED, MAX_MADE, MAX_PARTS, MAX_STAGINGS } from '../limits.ts';
import { isPeerId } from '../peer-id.ts';
import { Few } from '../protocol/few.ts';
import type { DataEntry } from '../protocol/manifest.ts';
import { diskFailure, isSystemError } from './failure.ts';
import { isOurs, isOwnFile } from './own.ts';
import { NO_FOLLOW } from './platform.ts';
import { readPrivate, Unfit, writePrivate } from './private.ts';

/** Opens the index of our staging folders in `home`. */
export async function openStagings(home: string): Promise<Stagings> {
  const index = join(home, 'staging');
  try {
    await mkdir(index, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw diskFailure(error, index);
  }
  return new Stagings(index);
}

/**
 * All staging folders that we made, one record each, for nobody else to see. What looks like one
 * and is not in here was put there by somebody else: it is neither used nor removed.
 *
 * The name of a record says who holds the folder: a process, or nobody. A record changes hands
 * by being renamed, in which only one of several processes succeeds.
 */
export class Stagings {
  readonly #index: string;
  readonly #me = `${process.pid}-${startOf(process.pid) ?? Math.round(performance.timeOrigin)}`;

  constructor(index: string) {
    this.#index = index;
  }

  /**
   * What one transfer from `peer` into the folder with the real path `target` has to itself: all
   * that broken ones of the same peer left in the same folder, or else a new staging folder.
   */
  async claim(target: string, peer: PeerId): Promise<Staging> {
    const held: Held[] = [];
    for (const record of await this.#loose()) {
      if (record.target !== target || record.peer !== peer) continue;
      const taken = held.length < MAX_CLAIMED ? this.#take(record) : undefined;
      if (taken !== undefined) held.push(taken);
    }
    const [first = await this.#make(target, peer), ...more] = held;
    return Staging.open([first, ...more], Date.now());
  }

  /** Removes the parts that nobody came back for, and what is of no use any more. */
  async clear(now = Date.now()): Promise<void> {
    for (const record of await this.#loose()) {
      const held = this.#take(record);
      if (held !== undefined) {
        (await Staging.open([held], now)).close();
        continue;
      }
      // A disk that is not there today may be there tomorrow.
      const gone = existsSync(record.target) && !existsSync(pathOf(record));
      if (gone || isOld(record.file, now)) rmSync(record.file, { force: true });
    }
    for (const name of await readdir(this.#index)) {
      const draft = join(this.#index, name);
      const [, pid, start] = DRAFT.exec(name) ?? [];
      if (pid !== undefined && !this.#isAlive(Number(pid), start)) rmSync(draft, { force: true });
    }
  }

  /** Removes the parts that these peers left and nobody holds, however young they are. */
  async forget(peers: ReadonlySet<string>): Promise<void> {
    if (peers.size === 0) return;
    for (const record of await this.#loose()) {
      const held = peers.has(record.peer) ? this.#take(record) : undefined;
      if (held !== undefined) (await Staging.open([held], Number.POSITIVE_INFINITY)).close();
    }
  }

  /** The records of the folders that no living process holds. */
  async #loose(): Promise<Found[]> {
    const found: Found[] = [];
    try {
      for (const file of await readdir(this.#index)) {
        const [, name, pid, start] = RECORD_FILE.exec(file) ?? [];
        if (name === undefined || found.length === MAX_STAGINGS) continue;
        if (pid !== undefined && this.#isAlive(Number(pid), start)) continue;
        const path = join(this.#index, file);
        const record = await readRecord(path);
        if (record !== undefined) found.push({ ...record, name, file: path });
      }
    } catch (error) {
      throw diskFailure(error, this.#index);
    }
    return found;
  }

  /** Takes a folder, if it is still the one of the record and nobody is faster. */
  #take(record: Found): Held | undefined {
    const { name, file, folder } = record;
    const path = pathOf(record);
    if (folder === null) {
      // It broke off before it was known which folder it is: there can be nothing in it.
      if (attempt(() => rmdirSync(path), 'ENOENT')) rmSync(file, { force: true });
      return undefined;
    }
    const held = this.#fileOf(name, this.#me);
    if (identify(path) !== folder || !attempt(() => renameSync(file, held))) return undefined;
    return { path, folder, held, loose: this.#fileOf(name) };
  }

  async #make(target: string, peer: PeerId): Promise<Held> {
    const name = randomBytes(8).toString('hex');
    const path = pathOf({ target, name });
    const held = this.#fileOf(name, this.#me);
    await this.#write(held, { v: 1, target, folder: null, peer });
    try {
      mkdirSync(path, { mode: 0o700 });
      const folder = identify(path);
      await this.#write(held, { v: 1, target, folder: folder ?? null, peer });
      return { path, folder, held, loose: this.#fileOf(name) };
    } catch (error) {
      attempt(() => rmdirSync(path));
      rmSync(held, { force: true });
      throw error;
    }
  }

  async #write(file: string, record: v.InferOutput<typeof StagingRecord>): Promise<void> {
    try {
      await writePrivate(file, `${JSON.stringify(record)}\n`, { replace: true });
    } catch (error) {
      throw diskFailure(error, this.#index);
    }
  }

  #isAlive(pid: number, start: string | undefined): boolean {
    if (pid === process.pid) return `${pid}-${start}` === this.#me;
    if (startOf(process.pid) !== undefined) return startOf(pid) === start;
    // Where the system does not tell when a process began, it may be another one by now.
    return attempt(() => process.kill(pid, 0), 'EPERM');
  }

  #fileOf(name: string, owner?: string): string {
    return join(this.#index, owner === undefined ? `${name}.json` : `${name}.${owner}.json`);
  }
}

/** A staging folder that a transfer has to itself. */
interface Held {
  readonly path: string;
  /** Which one it is; undefined where the disk cannot tell that it is ours. */
  readonly folder: string | undefined;
  /** Its record, and what that is called when nobody holds the folder any more. */
  readonly held: string;
  readonly loose: string;
}

/**
 * What one transfer has to itself in the target: staging folders, in which nothing has a name
 * that a peer chose. There are parts in them, and a list of the folders that were made, so that
 * they count as made by this transfer when it goes on after a break.
 */
export class Staging {
  readonly #held: readonly [Held, ...Held[]];
  /** All parts that lie there, by what the path that they were offered under is called here. */
  readonly #parts = new Map<string, Set<string>>();
  /** How many. */
  #partCount = 0;
  /** Hears of each part that is no more. */
  onGone = (_part: string): void => {};
  /** Those that are being written; also new ones, which are not among the others. */
  readonly #busy = new Few<string>();
  /** The folders that broken transfers made, by what their paths are called here. */
  readonly #listed = new Map<string, string>();
  /** Those of them to which this transfer came. */
  readonly #settled = new Set<string>();
  #lines = 0;
  /** Tells our whole files from those that a crash left. */
  readonly #tag = randomBytes(4).toString('hex');
  #wholes = 0;

  static async open(held: readonly [Held, ...Held[]], now: number): Promise<Staging> {
    const staging = new Staging(held);
    for (const { path } of held) await staging.#load(path, now);
    return staging;
  }

  private constructor(held: readonly [Held, ...Held[]]) {
    this.#held = held;
  }

  /** Whether no broken transfer left anything. */
  get isNew(): boolean {
    return this.#parts.size === 0 && this.#listed.size === 0;
  }

  /** Whether a part may stay here: each that does is remembered. */
  mayKeep(part: string): boolean {
    return this.#partCount < MAX_PARTS || this.#parts.get(keyIn(part))?.has(part) === true;
  }

  /** Bytes of memory that it takes. */
  get memory(): number {
    return PART_MEMORY * this.#partCount + LINE_MEMORY * this.#listed.size;
  }

  /** Parts of exactly this file that nobody is writing. */
  partsOf(entry: DataEntry): string[] {
    if (this.#parts.size === 0) return [];
    const key = keyOf(entry.path);
    const name = nameOf(key, entry);
    const parts = this.#parts.get(key) ?? [];
    return [...parts].filter((part) => basename(part) === name && !this.#busy.has(part));
  }

  /** Where a new part goes. What else there is of the same path is of no use any more. */
  begin(entry: DataEntry): string {
    const key = keyOf(entry.path);
    this.#drop(key);
    const part = join(this.#held[0].path, nameOf(key, entry));
    // Only one of several at once can be gone on with.
    const free = this.#busy.has(part) ? `${part}.${randomBytes(8).toString('hex')}` : part;
    this.#busy.add(free);
    return free;
  }

  /** Where a small file goes that is here as a whole: there will be nothing to go on with. */
  whole(): string {
    return `${this.#held[0].path}${sep}${this.#tag}.${this.#wholes++}.whole`;
  }

  /** Somebody goes on writing a part. */
  resume(part: string): void {
    this.#busy.add(part);
  }

  /** Nobody writes a part any more; it may be gone. */
  end(part: string, kept: boolean): void {
    if (!this.#busy.delete(part)) return;
    if (kept) this.#add(part);
    else if (this.#parts.size > 0) this.#forget(part);
  }

  /** Removes all parts of a path, except for those that are being written. */
  drop(entry: DataEntry): void {
    if (this.#parts.size > 0) this.#drop(keyOf(entry.path));
  }

  /**
   * Whether a folder was made by a broken transfer, for the same path: it is the one that was
   * written down, or it was to be made and nothing is in it.
   */
  wasMade(path: string, id: string, isEmpty: () => boolean): boolean {
    if (this.#listed.size === 0) return false;
    const key = keyOf(path);
    const inode = this.#listed.get(key);
    if (inode !== undefined) this.#settled.add(key);
    return inode === inodeOf(id) || (inode === NOT_YET && isEmpty());
  }

  /** A folder is about to be made for this path. */
  making(path: string): void {
    this.#note(path, NOT_YET);
  }

  /** It was. */
  made(path: string, id: string): void {
    this.#note(path, inodeOf(id));
  }

  /** Its folders are finished: from now on they are like those that were there before. */
  finish(): void {
    for (const held of this.#held)
      if (isThere(held)) attempt(() => unlinkSync(join(held.path, LIST)));
    for (const key of this.#settled) this.#listed.delete(key);
    this.#settled.clear();
    if (this.#listed.size > 0) attempt(() => this.#append(this.#listed));
  }

  /** Leaves what is worth keeping to the next transfer, and removes what else is ours. */
  close(): void {
    for (const { path, held, loose } of this.#held) {
      const removed = attempt(() => rmdirSync(path), 'ENOENT');
      attempt(() => (removed ? unlinkSync(held) : renameSync(held, loose)));
    }
  }

  #note(path: string, inode: string): void {
    const key = keyOf(path);
    if (this.#listed.has(key)) this.#settled.add(key);
    if (this.#lines++ >= MAX_MADE) return;
    // A line that is missing makes a few names more careful, should the transfer break.
    attempt(() => this.#append([[key, inode]]));
  }

  async #load(folder: string, now: number): Promise<void> {
    try {
      for await (const { name } of await opendir(folder)) {
        const path = join(folder, name);
        const [, key, spare] = PART.exec(name) ?? [];
        if (key === undefined && name !== LIST && !WHOLE.test(name)) continue;
        const found = lstatSync(path, { throwIfNoEntry: false });
        const good = found && isOwnFile(found) && found.size > 0 && !isOld(found, now);
        if (good && name === LIST) attempt(() => this.#loadList(path, found));
        else if (good && key !== undefined && spare === undefined && this.mayKeep(path))
          this.#add(path);
        // A part that got its name just before a crash has two of them, and is not needed any more.
        else if (!attempt(() => unlinkSync(path))) this.#busy.add(path);
      }
    } catch (error) {
      if (!isSystemError(error)) throw error; // What cannot be looked into is left alone.
    }
  }

  #loadList(path: string, { size }: Stats): void {
    if (size > MAX_MADE * MAX_LINE) return;
    for (const line of readFileSync(path, 'latin1').split('\n').slice(0, -1)) {
      const [, key, inode] = LINE.exec(line) ?? [];
      if (this.#listed.size >= MAX_MADE) return;
      if (key !== undefined && inode !== undefined) this.#listed.set(key, inode);
    }
  }

  #append(lines: Iterable<readonly [string, string]>): void {
    const [held] = this.#held;
    if (!isThere(held)) return;
    const { O_APPEND, O_CREAT, O_WRONLY } = constants;
    const flags = O_APPEND | O_CREAT | O_WRONLY | NO_FOLLOW;
    const file = openSync(join(held.path, LIST), flags, 0o600);
    try {
      // A crash may have left half a line, which must not spoil the next one.
      writeSync(file, `\n${Array.from(lines, ([key, inode]) => `${key}.${inode}\n`).join('')}`);
    } finally {
      closeSync(file);
    }
  }

  #drop(key: string): void {
    for (const part of this.#parts.get(key) ?? []) {
      if (this.#busy.has(part)) continue;
      attempt(() => unlinkSync(part));
      this.#forget(part);
    }
  }

  #add(part: string): void {
    const key = keyIn(part);
    const parts = this.#parts.get(key) ?? new Set();
    this.#parts.set(key, parts);
    if (!parts.has(part)) this.#partCount += 1;
    parts.add(part);
  }

  #forget(part: string): void {
    this.onGone(part);
    const key = keyIn(part);
    const parts = this.#parts.get(key);
    if (parts?.delete(part)) this.#partCount -= 1;
    if (parts?.size === 0) this.#parts.delete(key);
  }
}

/** What a part and a line of the list take of the memory, as measured. */
const PART_MEMORY = 500;
const LINE_MEMORY = 130;

/** Several times the longest path and what else a record says. */
const MAX_RECORD = 32 * 1024;

/** Record files: which folder, and which process holds it since it began at which time. */
const RECORD_FILE = /^([0-9a-f]{16})(?:\.(\d{1,10})-(\d{1,20}))?\.json$/;
/** What a crash leaves of one that was being written. */
const DRAFT = /^[0-9a-f]{16}\.(\d{1,10})-(\d{1,20})\.json\.[0-9a-f]{16}\.tmp$/;

/** Parts: of which path, and of which version of it; and perhaps that it is one of several. */
const PART = /^([0-9a-f]{32})\.(?:stream|\d+\.-?\d+)(\.[0-9a-f]{16})?$/;

/** A small file on its way to its name. */
const WHOLE = /^[0-9a-f]{8}\.\d+\.whole$/;

/** The list of folders that were made, and its lines: for which path, and which folder it is. */
const LIST = 'made';
const LINE = /^([0-9a-f]{32})\.(\d{1,20})$/;
const MAX_LINE = 1 + 32 + 1 + 20 + 1;

/** Stands in a line for a folder that is about to be made. */
const NOT_YET = '0';

const StagingRecord = v.strictObject({
  v: v.literal(1),
  /** The real path of the folder that the staging folder lies in. */
  target: v.pipe(v.string(), v.minLength(1)),
  /** The number of the staging folder on its disk; null until it is made. */
  folder: v.nullable(v.pipe(v.string(), v.regex(/^\d{1,20}$/))),
  peer: v.pipe(v.string(), v.check(isPeerId)),
});

interface Found extends v.InferOutput<typeof StagingRecord> {
  readonly name: string;
  /** Where the record lies. */
  readonly file: string;
}

/** What a record says; one that is damaged says nothing. */
async function readRecord(file: string): Promise<v.InferOutput<typeof StagingRecord> | undefined> {
  try {
    return v.parse(StagingRecord, JSON.parse(await readPrivate(file, MAX_RECORD)));
  } catch (error) {
    const unfit = error instanceof Unfit || error instanceof SyntaxError || v.isValiError(error);
    // Another process may just have taken it, or it may be another user's.
    if (unfit || isSystemError(error)) return undefined;
    throw error;
  }
}

function pathOf({ target, name }: { readonly target: string; readonly name: string }): string {
  return join(target, `.drop-${name}`);
}

/**
 * Which folder lies at a path, if it is a folder of ours that nobody else can write to. The number
 * of its disk is not a part of that: some get another one each time they are mounted.
 */
function identify(path: string): string | undefined {
  try {
    const found = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    if (!found?.isDirectory() || !isOurs(found)) return undefined;
    if (process.geteuid !== undefined && (found.mode & 0o022n) !== 0n) return undefined;
    return String(found.ino);
  } catch (error) {
    // Where a disk does not answer any more, that is no reason to leave the others as they are.
    if (isSystemError(error)) return undefined;
    throw error;
  }
}

/**
 * Whether it is still the one at its path. Who may write into the target can put a link there to any
 * other folder of ours, in which there may be something that is called like the list.
 */
function isThere({ path, folder }: Held): boolean {
  return folder !== undefined && identify(path) === folder;
}

/** When a process began, in ticks; undefined if it does not run, or the system does not say. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' || state === 'X' ? undefined : fields[18];
  } catch {
    return undefined;
  }
}

/** What a path is called here. */
function keyOf(path: string): string {
  return hash('sha256', path, 'hex').slice(0, 32);
}

/** The same, as the name of a part of it says. */
function keyIn(part: string): string {
  const name = basename(part);
  return name.slice(0, name.indexOf('.'));
}

/** What a part is called: it is of one path, and one version of it. */
function nameOf(key: string, entry: DataEntry): string {
  const version = entry.kind === 'file' ? `${entry.size}.${entry.mtime}` : 'stream';
  return `${key}.${version}`;
}

/** Of the id of a folder, what a disk keeps when it is mounted anew. */
function inodeOf(id: string): string {
  return id.slice(id.indexOf(':') + 1);
}

/** Whether nothing happened to a file for so long that nobody will come back for it. */
function isOld(file: string | Stats, now: number): boolean {
  const found = typeof file === 'string' ? lstatSync(file, { throwIfNoEntry: false }) : file;
  return found !== undefined && now - found.ctimeMs > KEPT_FOR;
}

/** Whether it could be done, or did not need to be as the system says with one of these codes. */
function attempt(act: () => void, ...fine: readonly string[]): boolean {
  try {
    act();
    return true;
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return isSystemError(error, ...fine) && fine.length > 0;
  }
}
