import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { sha256 } from '../support/memory.ts';
import { file, inboxIn, newFolder, partsIn, place, unasked } from './support.ts';

const MiB = 1024 * 1024;
const disk = vi.hoisted(() => ({ isFull: false }));

vi.mock(import('node:fs'), async (original) => {
  const fs = await original();
  return {
    ...fs,
    closeSync(handle) {
      fs.closeSync(handle);
      if (disk.isFull)
        throw Object.assign(new Error('EDQUOT'), { code: 'EDQUOT', syscall: 'close', errno: -122 });
    },
  };
});

afterEach(() => {
  disk.isFull = false;
});

describe('where a disk finds only when a file is closed that there is no room', () => {
  test('what came of it is no start of anything, and the inbox closes', async () => {
    const target = newFolder();
    const inbox = await inboxIn(target);
    const entry = file('x', 3 * MiB);
    const incoming = await inbox.open(entry, 0);
    await incoming.write(Buffer.alloc(2 * MiB));
    disk.isFull = true;
    await incoming.keep();
    disk.isFull = false;
    expect(partsIn(target)).toEqual([]);
    expect(await place(inbox, entry, unasked)).toEqual({ want: 'all' });
    const left = await inbox.open(file('y', 3 * MiB), 0);
    await left.write(Buffer.alloc(2 * MiB));
    disk.isFull = true;
    await inbox.close();
    disk.isFull = false;
    expect(readdirSync(target)).toEqual([]);
  });

  test('what nobody wants is let go of', async () => {
    const target = newFolder();
    const inbox = await inboxIn(target);
    const incoming = await inbox.open(file('x', 3 * MiB), 0);
    await incoming.write(Buffer.alloc(2 * MiB));
    disk.isFull = true;
    await incoming.discard();
    const entry = file('y', 1);
    const spoiled = { entry, bytes: Buffer.from('y'), digest: sha256(Buffer.from('z')) };
    expect(await inbox.storeTogether([spoiled])).toMatchObject([{ code: 'corrupt', path: 'y' }]);
    await inbox.close();
    expect(readdirSync(target)).toEqual([]);
  });

  test('what was synced is there', async () => {
    const target = newFolder();
    const inbox = await inboxIn(target);
    const content = Buffer.alloc(2 * MiB, 'content');
    const incoming = await inbox.open(file('x', content.length), 0);
    await incoming.write(content);
    disk.isFull = true;
    await incoming.commit(sha256(content));
    await inbox.close();
    expect(readFileSync(join(target, 'x')).equals(content)).toBe(true);
  });
});
