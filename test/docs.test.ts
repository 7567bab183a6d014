import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ERRORS, type ErrorCode, type ErrorRow } from '../src/errors.ts';
import * as LIMITS from '../src/limits.ts';

const read = (name: string): string => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');
const rows = Object.entries(ERRORS) as [ErrorCode, ErrorRow][];

describe('the table of failures', () => {
  test('has a number on the wire only once', () => {
    const numbers = rows.flatMap(([, { wire }]) => (wire === undefined ? [] : [wire]));
    expect(new Set(numbers).size).toBe(numbers.length);
  });

  test('names rows of its own where it is heard as something else', () => {
    for (const [, { heard }] of rows) if (heard !== undefined) expect(ERRORS).toHaveProperty(heard);
  });

  test.each(rows)('%s has whole sentences', (_, { message, hint }) => {
    expect(message).toMatch(/^[A-Z].*\.$/);
    if (hint !== undefined) expect(hint).toMatch(/^[A-Z].*[^.]\.?$/);
  });
});

test('PROTOCOL.md lists every code that travels, and no other', () => {
  const table =
    read('docs/PROTOCOL.md').split('## Codes of')[1]?.split('An unknown number')[0] ?? '';
  const listed = [...table.matchAll(/\| (\d+) ([a-z-]+)/g)].map(([, wire, code]) => [
    code,
    Number(wire),
  ]);
  const real = rows.flatMap(([code, { wire }]) => (wire === undefined ? [] : [[code, wire]]));
  expect(Object.fromEntries(listed)).toEqual(Object.fromEntries(real));
});

test('SECURITY.md and PROTOCOL.md list every limit, as it is, and no other', () => {
  const tables = `${read('docs/SECURITY.md')}${read('docs/PROTOCOL.md')}`;
  const listed = Array.from(
    tables.matchAll(/^\|[^|]*\| ([^|]*) \| `([A-Z][\w.]*)` \|/gm),
    ([, amount = '', name = '']): [string, number] => [name, amountOf(amount)],
  );
  const real = Object.entries(LIMITS).flatMap(([name, limit]): [string, number][] =>
    typeof limit === 'number'
      ? [[name, limit]]
      : Object.entries(limit).map(([part, amount]) => [`${name}.${part}`, amount]),
  );
  expect(Object.fromEntries(listed)).toEqual(Object.fromEntries(real));
  expect(listed).toHaveLength(real.length);
});

/** What `64 KiB`, `10 s`, `1,000` and `5 %` are in bytes, milliseconds, and parts of one. */
function amountOf(text: string): number {
  const [number = '', unit = ''] = text.split(' ');
  const factor = UNITS[unit.replace(/s$/, '') || unit];
  if (factor === undefined) throw new Error(`"${text}" is no amount.`);
  return Number(number.replaceAll(',', '')) * factor;
}

const SECOND = 1_000;
const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  '%': 1 / 100,
  byte: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  s: SECOND,
  minute: 60 * SECOND,
  hour: 3600 * SECOND,
  day: 24 * 3600 * SECOND,
};

test('json.md lists every error code under its exit code, and no other', () => {
  const table = read('docs/json.md').split('| exit code | codes |')[1] ?? '';
  const listed = [...table.matchAll(/^\| (\d) \| (.*) \|$/gm)].flatMap(([, exit, codes]) =>
    [...(codes ?? '').matchAll(/`([a-z-]+)`/g)].map(([, code]) => [code, Number(exit)]),
  );
  expect(Object.fromEntries(listed)).toEqual(
    Object.fromEntries(rows.map(([code, { exit }]) => [code, exit])),
  );
});

test('TROUBLESHOOTING.md explains every check, in their order', () => {
  const names = read('src/events.ts').split('export type CheckName =')[1]?.split(';')[0] ?? '';
  const table = read('docs/TROUBLESHOOTING.md').split('| check | ')[1]?.split('\n\n')[0] ?? '';
  const explained = Array.from(table.matchAll(/^\| `([a-z0-9-]+)` \|/gm), ([, name]) => name);
  expect(explained).toEqual(Array.from(names.matchAll(/'([a-z0-9-]+)'/g), ([, name]) => name));
  expect(explained.length).toBeGreaterThan(10);
});

test('README.md lists every exit code', () => {
  const listed = [...read('README.md').matchAll(/^\| (\d) \|/gm)].map(([, exit]) => Number(exit));
  expect(new Set(listed)).toEqual(new Set([0, ...rows.map(([, { exit }]) => exit)]));
});

test('the papers point to files that are there', () => {
  for (const paper of [
    'README.md',
    'docs/PROTOCOL.md',
    'docs/ARCHITECTURE.md',
    'docs/SECURITY.md',
    'docs/SERVICE.md',
  ])
    for (const [, link] of read(paper).matchAll(/\]\(([^)#:]+)\)/g)) {
      const folder = paper.startsWith('docs/') ? '../docs/' : '../';
      expect(existsSync(new URL(folder + link, import.meta.url)), `${paper}: ${link}`).toBe(true);
    }
});
