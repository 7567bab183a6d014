import { stripVTControlCharacters } from 'node:util';
import { encode } from 'uqr';
import { describe, expect, test } from 'vitest';
import { qrLines } from '../../src/web/guests/qr.ts';

const LINK = `http://192.168.100.200:23777/${'x'.repeat(22)}/`;

/** The modules of a picture, `true` for dark, as a camera sees them where the blocks are light. */
function modulesOf(rows: readonly string[]): boolean[][] {
  return rows.flatMap((row) => [
    Array.from(row, (sign) => !'█▀'.includes(sign)),
    Array.from(row, (sign) => !'█▄'.includes(sign)),
  ]);
}

describe('the picture of a link', () => {
  test.each([true, false])('is a QR code of it with a light border (colors: %s)', (colors) => {
    const rows = qrLines(LINK, { columns: 80, colors }) ?? [];
    const plain = rows.map(stripVTControlCharacters);
    const { data, size } = encode(LINK, { border: 2 });
    // What is half a row too much at the end is light or dark, and no part of it.
    expect(modulesOf(plain).slice(0, size)).toEqual(data);
    expect(data.slice(0, 2).flat().includes(true)).toBe(false);
    expect(plain.every((row) => row.length === size)).toBe(true);
    expect(plain.length).toBeLessThan(20);
  });

  test('is black and white by itself where there are colours, and leaves none behind', () => {
    for (const row of qrLines(LINK, { columns: 80, colors: true }) ?? [])
      expect([row.slice(0, 19), row.slice(-4)]).toEqual(['\x1b[38;5;231;48;5;16m', '\x1b[0m']);
  });

  test('is left out where it has no room', () => {
    const { size } = encode(LINK, { border: 2 });
    expect(qrLines(LINK, { columns: size + 1, colors: true })).toBeDefined();
    expect(qrLines(LINK, { columns: size, colors: true })).toBeUndefined();
  });
});
