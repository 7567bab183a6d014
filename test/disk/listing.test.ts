import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Listing } from '../../src/disk/listing.ts';
import { openHandles } from '../support/handles.ts';
import { failureOf, newFolder } from './support.ts';

/** A folder with so many files in it, and what they are called. */
function folderOf(count: number): { folder: string; names: string[] } {
  const folder = newFolder();
  const names = Array.from({ length: count }, (_, i) => `file ${i}`);
  for (const name of names) writeFileSync(join(folder, name), '');
  return { folder, names: names.sort() };
}

/** All names that are left, and how many were in memory at most. */
function drain(listing: Listing): { names: string[]; most: number } {
  const names: string[] = [];
  let most = listing.held;
  for (let name = listing.next(); name !== undefined; name = listing.next()) {
    names.push(name.toString());
    most = Math.max(most, listing.held);
  }
  return { names, most };
}

describe('the names in a folder', () => {
  test('are sorted by their bytes if there are few', () => {
    const folder = newFolder();
    const odd = Buffer.concat([Buffer.from(`${folder}/`), Buffer.of(0xf0)]);
    for (const name of ['b', 'é', 'a', 'B', '\ufffd', '.a']) writeFileSync(join(folder, name), '');
    writeFileSync(odd, '');
    const listing = new Listing(folder, 7);
    const names = [];
    for (let name = listing.next(); name !== undefined; name = listing.next()) names.push(name);
    expect(names.map((name) => name.toString('latin1'))).toEqual(
      ['.a', 'B', 'a', 'b', 'é', '\ufffd']
        .map((name) => Buffer.from(name).toString('latin1'))
        .concat('\xf0'),
    );
  });

  test('are each given once, and no more than may be are in memory', () => {
    const { folder, names } = folderOf(300);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 400 }), (limit) => {
        const listing = new Listing(folder, limit);
        const found = drain(listing);
        listing.close();
        // One more has to be read to know that there are more.
        expect(found.most).toBeLessThanOrEqual(limit + 1);
        expect(limit < 300 ? found.names.sort() : found.names).toEqual(names);
      }),
    );
  });

  test('are given as long as they are there', () => {
    const { folder, names } = folderOf(50);
    const listing = new Listing(folder, 3);
    const first = listing.next()?.toString();
    for (const name of names) rmSync(join(folder, name));
    rmSync(folder, { recursive: true });
    const rest = drain(listing).names;
    listing.close();
    expect(names).toContain(first);
    expect(names).toEqual(expect.arrayContaining(rest));
    expect(new Set(rest).size).toBe(rest.length);
  });

  test('take no handle once they are read, or nobody wants them', async () => {
    const { folder } = folderOf(20);
    const before = openHandles();
    const small = new Listing(folder, 20);
    expect(openHandles()).toBe(before);
    const large = new Listing(folder, 19);
    large.close();
    large.close();
    expect(openHandles()).toBe(before);
    expect(drain(small).names).toHaveLength(20);
    // What was read ahead is given all the same.
    expect(drain(large).names).toHaveLength(20);
    mkdirSync(join(folder, 'd'));
    const gone = (async () => new Listing(join(folder, 'none'), 5))();
    expect(await failureOf(gone)).toMatchObject({ code: 'ENOENT' });
    expect(openHandles()).toBe(before);
  });
});
