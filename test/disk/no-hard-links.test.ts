import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { sha256 } from '../support/memory.ts';
import { failureOf, inboxIn, newFolder } from './support.ts';

const disk = vi.hoisted(() => ({ link: 'EPERM', rename: '' }));

vi.mock(import('node:fs'), async (original) => {
  const fs = await original();
  const refuse = (code: string): never => {
    throw Object.assign(new Error(code), { code, syscall: 'link', errno: -1 });
  };
  return {
    ...fs,
    linkSync: () => refuse(disk.link),
    renameSync: (from, to) =>
      disk.rename && String(from).includes('/.drop-')
        ? refuse(disk.rename)
        : fs.renameSync(from, to),
  };
});

beforeEach(() => Object.assign(disk, { link: 'EPERM', rename: '' }));

describe('where a disk has no hard links', () => {
  async function put(target: string, content = 'new'): Promise<string> {
    const inbox = await inboxIn(target);
    const entry = { kind: 'file', path: 'x', size: 3, mtime: 0, mode: 0o640 } as const;
    const incoming = await inbox.open(entry, 0);
    await incoming.write(Buffer.from(content));
    const stored = incoming.commit(sha256(Buffer.from(content)));
    return stored.then(({ path }) => path).finally(() => inbox.close());
  }

  test.each(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EISDIR'])(
    'and says %s, a file still gets its name, and overwrites nothing',
    async (code) => {
      disk.link = code;
      const target = newFolder();
      writeFileSync(join(target, 'x'), 'old');
      mkdirSync(join(target, 'x (1)'));
      symlinkSync('nowhere', join(target, 'x (2)'));
      expect(readFileSync(await put(target), 'utf8')).toBe('new');
      expect(readFileSync(join(target, 'x'), 'utf8')).toBe('old');
      expect(readdirSync(target).sort()).toEqual(['x', 'x (1)', 'x (2)', 'x (3)']);
    },
  );

  test('many of one name at once each get one', async () => {
    const target = newFolder();
    const contents = Array.from({ length: 20 }, (_, i) => `n${i + 10}`);
    const paths = await Promise.all(contents.map((content) => put(target, content)));
    expect(new Set(paths).size).toBe(20);
    expect(paths.map((path) => readFileSync(path, 'utf8'))).toEqual(contents);
  });

  test('and the name cannot be given after all, no empty file is left under it', async () => {
    disk.rename = 'EIO';
    const target = newFolder();
    expect(await failureOf(put(target))).toMatchObject({ code: 'disk', path: 'x' });
    // What came is kept.
    expect(readdirSync(target)).toEqual([expect.stringMatching(/^\.drop-/)]);
  });
});

test('what fails for another reason is not tried in another way', async () => {
  disk.link = 'EACCES';
  const target = newFolder();
  const inbox = await inboxIn(target);
  const incoming = await inbox.open({ kind: 'file', path: 'x', size: 0, mtime: 0 }, 0);
  const failure = await failureOf(incoming.commit(sha256(new Uint8Array(0))));
  expect(failure).toMatchObject({ code: 'not-permitted', path: 'x' });
  await incoming.discard();
  await inbox.close();
  expect(readdirSync(target)).toEqual([]);
});
