import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

/** One of `test/teeth/protections.mjs`. */
interface Protection {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  readonly also?: readonly (readonly [from: string, to: string])[];
  readonly test: readonly [file: string, title: string];
}

const { PROTECTIONS }: { PROTECTIONS: readonly Protection[] } = await import(
  new URL('teeth/protections.mjs', import.meta.url).href
);
const text = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');

// That they are missed is shown by `npm run test:teeth`, which takes minutes.
test.each(PROTECTIONS)('the protection "$name" is where it is looked for', (protection) => {
  const { file, from, to, also = [], test: missing } = protection;
  for (const [here, instead] of [[from, to], ...also]) {
    expect(text(file).split(here)).toHaveLength(2);
    expect(instead).not.toBe(here);
  }
  const [path, title] = missing;
  expect(text(path).includes(title), `${path}: ${title}`).toBe(true);
});

test('no two protections have one name', () => {
  const names = PROTECTIONS.map(({ name }) => name);
  expect([...new Set(names)]).toEqual(names);
});
