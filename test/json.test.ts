import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type JsonSchema, toJsonSchema } from '@valibot/to-json-schema';
import { Ajv2020 } from 'ajv/dist/2020.js';
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { ERRORS } from '../src/errors.ts';
import { eventOf, LINES, PARTS } from './support/lines.ts';

const PAPER = readFileSync(new URL('../docs/json.md', import.meta.url), 'utf8');

/** Event -> its fields as the table in the paper has them: `name`, or `name?` if it may be left out. */
const TABLE = new Map(
  Array.from(PAPER.matchAll(/^\| `([a-z]+)` \| (.*?) \|/gm), ([, event = '', fields = '']) => [
    event,
    // What stands in parentheses says more of one.
    wordsIn(fields.replace(/\([^()]*\)/g, '')),
  ]),
);

test('json.md lists every event, and no other', () => {
  expect([...TABLE.keys()].sort()).toEqual(Object.keys(LINES).sort());
});

test.each(Object.entries(LINES))('json.md lists the fields of "%s" as they are', (event, line) => {
  expect(TABLE.get(event)?.toSorted()).toEqual(fieldsOf(toJsonSchema(line)).sort());
});

test.each(Object.entries(LINES))('json.md explains every word of "%s"', (event, line) => {
  const words = new Set(wordsIn(PAPER).map((word) => word.replace('?', '')));
  // The names of checks are in a paper of their own.
  const known = event === 'check' ? CHECKS : [];
  const missing = wordsOf(toJsonSchema(line)).filter((word) => !words.has(word));
  expect(missing.filter((word) => !known.includes(word))).toEqual([]);
});

test('the example in json.md is one, but for what was cut off', () => {
  const lines = PAPER.split('\n').filter((line) => line.startsWith('{'));
  expect(lines.length).toBeGreaterThan(4);
  for (const line of lines) {
    const whole = line.replace(/([0-9a-f]+)…/g, (_, start: string, at: number) =>
      start.padEnd(line.slice(0, at).endsWith('"transfer":"') ? 32 : 64, '0'),
    );
    expect(() => eventOf(whole)).not.toThrow();
  }
});

describe('events.schema.json', () => {
  const { $schema, $defs, ...rest } = toJsonSchema(v.union(Object.values(LINES)), {
    target: 'draft-2020-12',
    definitions: { ...LINES, ...PARTS },
    // A program that is older than the line must not choke on a field that was added.
    overrideSchema: ({ jsonSchema: { additionalProperties: _, ...open } }) => open,
  });
  const schema = { $schema, title: 'A line of drop --json', ...rest, $defs };
  const text = `${JSON.stringify(schema, null, 2)}\n`;

  test('is what `npm run schema` makes of it', async () => {
    const file = fileURLToPath(new URL('../docs/events.schema.json', import.meta.url));
    await expect(text).toMatchFileSnapshot(file);
  });

  const isLine = new Ajv2020().compile(JSON.parse(text));
  const device = { id: 'a'.repeat(64), name: 'Ana' };
  const accepted = { v: 1, event: 'accepted', transfer: 'b'.repeat(32), peer: device };

  test.for([
    ['a line', true, accepted],
    ['a line with a field of a later version', true, { ...accepted, later: 1 }],
    ['a line of another version', false, { ...accepted, v: 2 }],
    ['an event that there is not', false, { ...accepted, event: 'excepted' }],
    ['a line without a field', false, { v: 1, event: 'accepted', transfer: accepted.transfer }],
    ['a line with a field of another type', false, { ...accepted, transfer: 7 }],
    ['a line with a field of another form', false, { ...accepted, transfer: 'b' }],
    ['an error', true, { v: 1, event: 'error', code: 'usage', message: 'No.' }],
    ['an error of no known code', false, { v: 1, event: 'error', code: 'huh', message: 'No.' }],
  ] as const)('is read by another validator as meant: %s', ([, is, line]) => {
    expect(isLine(line)).toBe(is);
  });
});

describe('a line that a test sees', () => {
  const line = '{"v":1,"event":"code","code":"493027"}';

  test.each([
    ['is one', line, undefined],
    ['has no version in front', '{"event":"code","v":1,"code":"493027"}', /must come first/],
    ['is cut off', line.slice(0, -1), /JSON/],
    ['is no event', '{"v":1,"event":"cod","code":"493027"}', /no such event/],
    ['has a field too few', '{"v":1,"event":"code"}', /code: .*"code"/],
    ['has a field too many', '{"v":1,"event":"code","code":"1","to":1}', /to: .*never/],
    ['has a field of another type', '{"v":1,"event":"code","code":1}', /code: .*string/],
    ['is nothing', '', /must come first/],
  ])('%s', (_, text, complaint) => {
    if (complaint === undefined) expect(eventOf(text)).toEqual(JSON.parse(text));
    else expect(() => eventOf(text)).toThrow(complaint);
  });

  test('of an older version may lack what came later, and nothing may have gone', () => {
    const older = { older: true };
    expect(eventOf('{"v":1,"event":"code"}', older)).toEqual({ v: 1, event: 'code' });
    expect(() => eventOf('{"v":1,"event":"code","old":1}', older)).toThrow(/old: /);
    expect(() => eventOf('{"v":1,"event":"code","code":1}', older)).toThrow(/code: /);
  });
});

const CHECKS: readonly string[] = LINES.check.entries.name.options;

/** What stands between backticks. */
function wordsIn(text: string): string[] {
  return Array.from(text.matchAll(/`([\w-]+\??)`/g), ([, word]) => word ?? '');
}

/** The fields of an event, as the table has them. One of several forms has those of all. */
function fieldsOf({ anyOf, ...schema }: JsonSchema): string[] {
  const forms = (anyOf ?? [schema]) as JsonSchema[];
  const names = new Set(forms.flatMap(({ properties = {} }) => Object.keys(properties)));
  const always = (name: string): boolean =>
    forms.every(({ required = [] }) => required.includes(name));
  return [...names]
    .filter((name) => name !== 'v' && name !== 'event')
    .map((name) => (always(name) ? name : `${name}?`));
}

/** Fields of what stands in fields, and the words that there can be; codes of errors have a table. */
function wordsOf(schema: unknown): string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  const { enum: words = [], properties = {} } = schema as JsonSchema;
  return [
    ...Object.keys(properties),
    ...words.filter((word): word is string => typeof word === 'string' && !(word in ERRORS)),
    ...Object.values(schema).flatMap(wordsOf),
  ];
}
