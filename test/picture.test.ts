import { expect, test } from 'vitest';

interface Picture {
  readonly picture: (casts: readonly string[], title: string) => Promise<string>;
}

const script = new URL('../scripts/picture.mjs', import.meta.url).href;
const { picture } = (await import(script)) as Picture;

const HEADER = JSON.stringify({ version: 2, width: 20, height: 3, title: 'a & b' });

function cast(...events: readonly [number, string][]): string {
  return [HEADER, ...events.map(([at, data]) => JSON.stringify([at, 'o', data]))].join('\n');
}

test('a picture shows each row while the terminal did, and ends as the terminal did', async () => {
  const svg = await picture(
    [cast([0, 'stays\r\n'], [1, 'goes'], [2, '\r\x1b[Kcomes'])],
    'what happens',
  );
  expect(svg).toMatch(/>stays<\/text>/);
  // It began with the first row, so that is always there; the others have their times.
  expect(svg).not.toMatch(/<g class="s\d+"><text[^>]*>stays/);
  const [, goes] = /<g class="(s\d+)"><text[^>]*>goes/.exec(svg) ?? [];
  const [, comes] = /<g class="(s\d+)"><text[^>]*>comes/.exec(svg) ?? [];
  expect(svg).toContain(`.${goes} { visibility: hidden;`);
  expect(svg).toContain(`.${comes} { visibility: visible;`);
  expect(svg).toMatch(/prefers-reduced-motion: reduce\) \{ g \{ animation: none/);
});

test('what a terminal or a title says cannot become part of the markup', async () => {
  const svg = await picture([cast([0, '<b>&amp;'])], '</title><script>');
  expect(svg).toContain('>&lt;b&gt;&amp;amp;</text>');
  expect(svg).toContain('<title id="title">&lt;/title&gt;&lt;script&gt;</title>');
  expect(svg).toContain('>a &amp; b</text>');
  expect(svg).toContain('role="img"');
});

test('a long pause is shortened and what flickers is one frame', async () => {
  const seconds = (svg: string) => Number(/animation: s\d+ ([\d.]+)s/.exec(svg)?.[1]);
  const slow = await picture([cast([0, 'a'], [1, 'b'], [100, 'c'])], '');
  const quick = await picture([cast([0, 'a'], [1, 'b'], [2.8, 'c'])], '');
  expect(seconds(slow)).toBe(seconds(quick));
  expect(await picture([cast([0, 'one'], [1, '\rtwo'], [1.01, '\rsix'])], '')).not.toMatch(/two/);
});

test('colours and weight survive, and columns stay in their places', async () => {
  const svg = await picture([cast([0, 'ab \x1b[1;31mcd\x1b[0m 漢字x'])], '');
  expect(svg).toMatch(/<text x="39.2" y="43" textLength="16.8" class="b" style="fill:#ff7b72">cd</);
  expect(svg).toMatch(/ x="56.0"[^>]* textLength="50.4">\s漢字x</);
});
