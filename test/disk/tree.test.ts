import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openOutbox } from '../../src/disk/outbox.ts';
import { inboxIn, newFolder, UNSTOPPED, unasked } from './support.ts';

type Node =
  | { kind: 'file'; size: number; mode: number; mtime: number }
  | { kind: 'link'; target: string }
  | { kind: 'folder'; mode: number; mtime: number; holds: Record<string, Node> };

const names = fc.constantFrom(
  'a',
  'A',
  '.hidden',
  '-x',
  'é',
  'e\u0301',
  'a b ',
  'x:y?',
  'back\\slash',
  '👩‍👩‍👧',
  'n'.repeat(255),
);
const mtime = fc.integer({ min: -1_000_000_000_000, max: 4_000_000_000_000 });
const mode = (least: number) => fc.integer({ min: 0, max: 0o777 }).map((bits) => bits | least);

const { node } = fc.letrec<{ node: Node; folder: Node }>((tie) => ({
  folder: fc.record({
    kind: fc.constant('folder' as const),
    mode: mode(0o700),
    mtime,
    holds: fc.dictionary(names, tie('node'), { maxKeys: 5 }),
  }),
  node: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.record({
      kind: fc.constant('file' as const),
      size: fc.constantFrom(0, 1, 1000, 256 * 1024, 256 * 1024 + 1, 1024 * 1024, 1_500_000),
      mode: mode(0o400),
      mtime,
    }),
    fc.record({
      kind: fc.constant('link' as const),
      target: fc.constantFrom('a', 'é', 'A/a', './a'),
    }),
    tie('folder'),
  ),
}));

function make(path: string, tree: Node): void {
  if (tree.kind === 'link') {
    symlinkSync(tree.target, path);
    return;
  }
  if (tree.kind === 'file') writeFileSync(path, Buffer.alloc(tree.size, path));
  else {
    mkdirSync(path);
    for (const [name, inner] of Object.entries(tree.holds)) make(join(path, name), inner);
  }
  chmodSync(path, tree.mode);
  utimesSync(path, new Date(tree.mtime), new Date(tree.mtime));
}

interface Found {
  readonly kind: string;
  readonly mode: number;
  /** Rounded as it is offered. */
  readonly mtime: number;
  readonly content: string;
}

function look(path: string, inner = '', found: Record<string, Found> = {}): Record<string, Found> {
  const stat = lstatSync(path);
  const kind = stat.isDirectory() ? 'folder' : stat.isFile() ? 'file' : 'link';
  const content =
    kind === 'link' ? readlinkSync(path) : kind === 'file' ? readFileSync(path, 'latin1') : '';
  const isLink = kind === 'link';
  found[inner] = {
    kind,
    mode: isLink ? 0 : stat.mode & 0o777,
    mtime: isLink ? 0 : Math.round(stat.mtimeMs),
    content,
  };
  if (kind === 'folder')
    for (const name of readdirSync(path)) look(join(path, name), `${inner}/${name}`, found);
  return found;
}

async function carry(from: string, to: string): Promise<void> {
  const outbox = await openOutbox([from], { platform: 'posix' });
  const inbox = await inboxIn(to, { platform: 'posix', umask: 0 });
  const commits: Promise<unknown>[] = [];
  for await (const entry of outbox.entries()) {
    if (entry.kind === 'unsendable') throw new Error(`${entry.path}: ${entry.reason}`);
    await inbox.place(entry, unasked);
    if (entry.kind !== 'file') continue;
    const incoming = await inbox.open(entry, 0);
    const blocks = outbox.read(entry, undefined, UNSTOPPED);
    let next = await blocks.next();
    for (; !next.done; next = await blocks.next()) await incoming.write(next.value.bytes);
    commits.push(incoming.commit(next.value));
  }
  await Promise.all(commits);
  expect(await inbox.finish()).toEqual([]);
  await inbox.close();
}

test('a tree that is carried over is the same: names, bytes, links, modes and times', async () => {
  await fc.assert(
    fc.asyncProperty(node, async (tree) => {
      fc.pre(tree.kind !== 'link');
      const [from, to] = [join(newFolder(), 'root'), newFolder()];
      make(from, tree);
      const before = look(from);
      await carry(from, to);
      expect(readdirSync(to)).toEqual(['root']);
      const after = look(join(to, 'root'));
      expect(Object.keys(after).sort()).toEqual(Object.keys(before).sort());
      for (const [path, { mtime: time, ...rest }] of Object.entries(before)) {
        const { mtime: itsTime, ...its } = after[path] as Found;
        expect([path, its]).toEqual([path, rest]);
        expect(Math.abs(itsTime - time)).toBeLessThanOrEqual(1);
      }
      rmSync(from, { recursive: true });
      rmSync(to, { recursive: true });
    }),
    { numRuns: 60 },
  );
});
