import { type ChildProcess, spawn } from 'node:child_process';
import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, expect } from 'vitest';
import { type InboxOptions, openInbox } from '../../src/disk/inbox.ts';
import { openStagings } from '../../src/disk/staging.ts';
import type { PeerId } from '../../src/events.ts';
import { equal, toHex } from '../../src/protocol/bytes.ts';
import {
  type Entry,
  type FileEntry,
  type FolderEntry,
  hasData,
  type LinkEntry,
} from '../../src/protocol/manifest.ts';
import type { DigestName } from '../../src/protocol/message.ts';
import type { Inbox, Placement, Stored } from '../../src/transfer/inbox.ts';
import { sha256 } from '../support/memory.ts';

const folders: string[] = [];

/** A new folder that is removed after the test. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'drop-test-'));
  folders.push(folder);
  return folder;
}

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const isRoot = process.getuid?.() === 0;

/** Runs as a user whom permissions concern: root drops to one meanwhile. */
export async function asUser<T>(run: () => Promise<T>): Promise<T> {
  if (!isRoot) return run();
  process.setegid?.(ORDINARY);
  process.seteuid?.(ORDINARY);
  try {
    return await run();
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
  }
}

/** A folder that belongs to whom `asUser` runs as. */
export async function newFolderOfUser(): Promise<string> {
  return asUser(async () => newFolder());
}

/** `nobody`, on most systems. */
const ORDINARY = 65534;

/** Who sends, if it does not matter. */
export const PEER = 'a'.repeat(64) as PeerId;

/** What files can be told by here: BLAKE3, too, where its library is made for. */
export const DIGESTS: readonly DigestName[] =
  /^(darwin-(arm64|x64)|linux-(arm64|x64)|win32-(arm64|ia32|x64))$/.test(
    `${process.platform}-${process.arch}`,
  )
    ? ['sha256', 'blake3']
    : ['sha256'];

/** Opens an inbox for the first thing that this peer sends, unless something else is said. */
export async function inboxIn(target: string, options: Partial<InboxOptions> = {}): Promise<Inbox> {
  // What is there already is of an earlier millisecond, however fast it was put there: what is of
  // the same one may have come from somebody else at the same time.
  for (const now = Date.now(); Date.now() <= now; ) await setImmediate();
  const stagings = options.stagings ?? (await openStagings(newFolder()));
  return openInbox(target, { peer: PEER, roots: [], ...options, stagings });
}

/** For reading that nothing shall stop. */
export const UNSTOPPED = new AbortController().signal;

/** What asks a sender for a digest that it should not be asked for. */
export async function unasked(): Promise<never> {
  throw new Error('asked for a digest');
}

/** What an inbox says of an entry, in its own time. */
export async function place(inbox: Inbox, ...args: Parameters<Inbox['place']>): Promise<Placement> {
  return inbox.place(...args);
}

/** What a failing promise fails with. */
export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** When the files of these tests were last changed. */
export const MTIME = 1_700_000_000_123;

export function file(path: string, size = 0, more: Partial<FileEntry> = {}): FileEntry {
  return { kind: 'file', path, size, mtime: MTIME, mode: 0o644, ...more };
}

export function folder(path: string, mode?: number): FolderEntry {
  return { kind: 'folder', path, mtime: MTIME, mode };
}

export function link(path: string, target: string): LinkEntry {
  return { kind: 'link', path, target };
}

/** Stores a file as a receiver would, in pieces whose memory is used again. */
export async function put(
  inbox: Inbox,
  entry: FileEntry,
  content: Uint8Array | string = '',
  piece = 64 * 1024,
): Promise<Stored> {
  const bytes = Buffer.from(content);
  expect(await inbox.place(entry, async () => sha256(bytes))).toEqual({ want: 'all' });
  const incoming = await inbox.open(entry, 0);
  const memory = Buffer.alloc(piece);
  for (let at = 0; at < bytes.length; at += piece) {
    const length = bytes.copy(memory, 0, at, at + piece);
    await incoming.write(memory.subarray(0, length));
    memory.fill(0);
  }
  return incoming.commit(sha256(bytes));
}

/**
 * Everything in a folder, by its path: a file's content, or what stands for it if that is long; a
 * link's target, a folder's slash.
 */
export function tree(root: string, path = ''): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(join(root, path))) {
    const inner = join(path, name);
    const stat = lstatSync(join(root, inner));
    if (stat.isSymbolicLink()) found[inner] = `-> ${readlinkSync(join(root, inner))}`;
    else if (stat.isDirectory()) Object.assign(found, { [inner]: '/' }, tree(root, inner));
    else found[inner] = shown(readFileSync(join(root, inner)));
  }
  return found;
}

/** A file's content as `tree` shows it. */
export function shown(content: Buffer): string {
  return content.length < 1000 ? content.toString() : `${content.length} ${toHex(sha256(content))}`;
}

/** Likewise, without what is staged. */
export function visible(root: string): Record<string, string> {
  const all = Object.entries(tree(root));
  return Object.fromEntries(all.filter(([path]) => !path.startsWith('.drop-')));
}

/** The parts that are staged in a folder, the smallest first. */
export function partsIn(target: string): string[] {
  const stagings = readdirSync(target).filter((name) => name.startsWith('.drop-'));
  return stagings
    .flatMap((name) => readdirSync(join(target, name)).map((part) => join(target, name, part)))
    .filter((path) => basename(path) !== 'made')
    .sort((a, b) => lstatSync(a).size - lstatSync(b).size);
}

/** What a sender offers, and for a file or a stream what is in it. */
export interface Offered {
  readonly entry: Entry;
  readonly content?: Buffer;
}

/** A file of this content. */
export function fileOf(path: string, content: string | Buffer, mtime = MTIME): Offered {
  const bytes = Buffer.from(content);
  return { entry: file(path, bytes.length, { mtime }), content: bytes };
}

/** Receives as the story does, without a network. Says for each entry with data what was wanted of it. */
export async function receiveAll(inbox: Inbox, offered: readonly Offered[]): Promise<string[]> {
  const wanted: string[] = [];
  for (const { entry, content = Buffer.alloc(0) } of offered) {
    const placement = await inbox.place(entry, async () => sha256(content));
    if (!hasData(entry)) continue;
    wanted.push(
      `${placement.want === 'nothing' ? placement.reason : placement.want} ${entry.path}`,
    );
    if (placement.want === 'nothing') continue;
    const incoming = await inbox.open(entry, startOf(placement, content));
    await incoming.write(content.subarray(incoming.written));
    await incoming.commit(sha256(content));
  }
  return wanted;
}

/** Receives the first `size` bytes of one entry, and then the connection is lost. */
export async function receiveStart(
  inbox: Inbox,
  { entry, content = Buffer.alloc(0) }: Offered,
  size: number,
): Promise<void> {
  if (!hasData(entry)) throw new Error('nothing to receive');
  await inbox.place(entry, async () => sha256(content));
  const incoming = await inbox.open(entry, 0);
  await incoming.write(content.subarray(0, size));
  await incoming.keep();
}

/** Where the sender goes on: it reads again what the receiver says to have. */
function startOf(placement: Placement, content: Buffer): number {
  if (placement.want !== 'rest') return 0;
  const same = equal(sha256(content.subarray(0, placement.size)), placement.digest);
  return same ? placement.size : 0;
}

/** What a process is told that receives; see receiver.mjs. */
export interface Work {
  readonly home: string;
  readonly target: string;
  readonly offered?: readonly (Offered & { readonly upTo?: number })[];
  readonly options?: Partial<InboxOptions>;
  readonly together?: boolean;
  readonly die?: number;
}

/** Starts a process of its own that receives. */
export function spawnReceiver({ offered = [], ...work }: Work): ChildProcess {
  const file = join(newFolder(), 'work.json');
  const encoded = offered.map(({ content, ...rest }) => ({
    ...rest,
    content: content?.toString('base64'),
  }));
  writeFileSync(file, JSON.stringify({ peer: PEER, ...work, offered: encoded }));
  const script = fileURLToPath(new URL('receiver.mjs', import.meta.url));
  return spawn(process.execPath, [script, file], { stdio: 'pipe' });
}
