import { mkdirSync, readdirSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { sha256 } from '../support/memory.ts';
import { failureOf, inboxIn, newFolder, unasked } from './support.ts';

const calls = vi.hoisted(() => ({ count: 0, meanwhile: (_: string): void => {} }));

vi.mock(import('node:fs'), async (original) => {
  const fs = await original();
  return {
    ...fs,
    linkSync(from, to) {
      calls.count += 1;
      calls.meanwhile(String(to));
      fs.linkSync(from, to);
    },
    mkdirSync: ((...all: Parameters<typeof fs.mkdirSync>) => {
      calls.count += 1;
      return fs.mkdirSync(...all);
    }) as typeof fs.mkdirSync,
    lstatSync: ((...all: Parameters<typeof fs.lstatSync>) => {
      calls.count += 1;
      return fs.lstatSync(...all);
    }) as typeof fs.lstatSync,
  };
});

beforeEach(() => Object.assign(calls, { count: 0, meanwhile: () => {} }));

let files = 0;

/** Offers a file that is unlike any other; says under which name it is stored. */
async function put(target: string, path: string): Promise<string> {
  const inbox = await inboxIn(target);
  const content = Buffer.alloc(++files);
  const incoming = await inbox.open({ kind: 'file', path, size: content.length, mtime: 0 }, 0);
  await incoming.write(content);
  calls.count = 0;
  const stored = incoming.commit(sha256(content));
  return stored
    .then((where) => where.path.slice(realpathSync(target).length + 1))
    .finally(() => inbox.close());
}

/** The name that is `n` names after `a.txt`. */
function nth(n: number): string {
  return n === 0 ? 'a.txt' : `a (${n}).txt`;
}

describe('where a name is taken', () => {
  test('two thousand times, a few dozen calls find one that is free', async () => {
    const target = newFolder();
    for (let n = 0; n < 2000; n++) writeFileSync(join(target, nth(n)), '');
    for (const n of [2000, 2001, 2002]) {
      expect(await put(target, 'a.txt')).toBe(nth(n));
      expect(calls.count).toBeLessThan(60);
    }
  });

  test('by folders that were offered apart, so it is for folders', async () => {
    const target = newFolder();
    for (let n = 0; n < 500; n++) writeFileSync(join(target, n === 0 ? 'a_b' : `a_b (${n})`), '');
    const inbox = await inboxIn(target, { platform: 'windows' });
    calls.count = 0;
    for (const path of ['a:b', 'a?b', 'a*b'])
      await inbox.place({ kind: 'folder', path, mtime: 0 }, unasked);
    expect(calls.count).toBeLessThan(150);
    await inbox.close();
    for (const name of ['a_b (500)', 'a_b (501)', 'a_b (502)'])
      expect(readdirSync(target)).toContain(name);
  });

  test('with gaps, it is no other, and nothing that was there is lost', async () => {
    const first = Array.from({ length: 60 }, (_, n) => n);
    const more = fc.uniqueArray(fc.integer({ min: 61, max: 300 }), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(more, async (numbers) => {
        const target = newFolder();
        const taken = [...first, ...numbers].map(nth);
        for (const name of taken) mkdirSync(join(target, name));
        const name = await put(target, 'a.txt');
        expect(calls.count).toBeLessThan(60);
        expect(readdirSync(target).sort()).toEqual([...new Set([...taken, name])].sort());
        expect(taken).not.toContain(name);
      }),
      { numRuns: 30 },
    );
  });

  test('just before we take it, the next one is, and at some time it is enough', async () => {
    const target = newFolder();
    let quick = 12;
    calls.meanwhile = (path) => {
      if (quick-- > 0) writeFileSync(path, 'theirs');
    };
    expect(await put(target, 'a.txt')).toBe(nth(12));
    quick = Infinity;
    expect(await failureOf(put(target, 'b.txt'))).toMatchObject({ code: 'exists' });
    expect(calls.count).toBeLessThan(400);
  });
});
