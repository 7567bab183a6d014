import { expect, test } from 'vitest';
import type { Measurement } from '../../bench/transfer/figures.ts';
import { picture } from '../../bench/transfer/picture.ts';
import { measured } from './measured.ts';

const LARGE: Measurement = {
  row: 'large',
  title: '512 MiB <random> & more',
  bytes: 512,
  programs: [
    measured('drop', 1, 1.1, 1.2),
    measured('scp', 3, 3.3, 3),
    { ...measured('nc', 0.5, 0.55, 0.6), encrypted: false },
    measured('rsync'),
  ],
  without: [],
};

test('a picture shows everybody who ran, the fastest first, with figures', () => {
  const svg = picture([LARGE, { ...LARGE, title: 'small' }], 'Medians.');
  const [large = '', small = ''] = svg.split('<g ').slice(1);
  const values = (chart: string) =>
    Array.from(chart.matchAll(/class="value[^>]*>([^<]*)</g), ([, text]) => text);
  expect(values(large)).toEqual(['2.00x, 0.55 s', '1.00x, 1.10 s', '0.33x, 3.00 s']);
  expect(values(small)).toEqual(values(large));
  const labels = Array.from(large.matchAll(/class="end[^>]*>([^<]*)</g), ([, text]) => text);
  expect(labels).toEqual(['nc (in the clear)', 'drop', 'scp']);
  expect(svg).toContain('>Medians.</text>');
});

test('bars begin at zero and are as long as the speeds that stand beside them', () => {
  const svg = picture([LARGE], '');
  const bars = Array.from(
    svg.matchAll(/<rect class="(bar|ours)" x="(\d+)" y="\d+" width="([\d.]+)"/g),
    ([, kind, x, width]) => ({ kind, x, width: Number(width) }),
  );
  const [nc, drop, scp] = bars;
  expect(bars.map(({ kind }) => kind)).toEqual(['bar', 'ours', 'bar']);
  expect(new Set(bars.map(({ x }) => x)).size).toBe(1);
  expect((nc?.width ?? 0) / (drop?.width ?? 0)).toBeCloseTo(2, 2);
  expect((scp?.width ?? 0) / (drop?.width ?? 0)).toBeCloseTo(1 / 3, 2);
});

test('nothing of it leaves its paper, lies over another, or ends below it', () => {
  const svg = picture([LARGE, LARGE], 'Medians.');
  const [, width = '', height = ''] = /viewBox="0 0 (\d+) (\d+)"/.exec(svg) ?? [];
  const tops = Array.from(svg.matchAll(/translate\(0 (\d+)\)/g), ([, top]) => Number(top));
  for (const [, x, , wide] of svg.matchAll(
    /<rect class="(?:bar|ours)" x="(\d+)" y="(\d+)" width="([\d.]+)"/g,
  ))
    expect(Number(x) + Number(wide)).toBeLessThan(Number(width) - 100);
  const [, base] = /y="(\d+)">Medians/.exec(svg) ?? [];
  expect(Number(base)).toBeLessThan(Number(height));
  expect(tops[1]! - tops[0]!).toBeGreaterThan(26 + 3 * 24);
});

test('it is well-formed, whatever a title says, and takes nothing from elsewhere', () => {
  const svg = picture([LARGE], 'a < b & "c"');
  expect(unclosed(svg)).toEqual([]);
  expect(unclosed(`${svg}</g>`)).not.toEqual([]);
  expect(svg).toContain('>512 MiB &lt;random&gt; &amp; more</text>');
  expect(svg.match(/&(?!amp;|lt;|gt;)/)).toBeNull();
  expect(svg.replace('http://www.w3.org/2000/svg', '')).not.toMatch(
    /https?:|url\(|<script|@import/,
  );
});

test('it brings a paper for the light and one for the dark', () => {
  const [light = '', dark = ''] = picture([LARGE], '').split('prefers-color-scheme: dark');
  const paper = /\.paper \{ fill: (#\w+)/;
  expect(paper.exec(light)?.[1]).not.toBe(paper.exec(dark)?.[1]);
  expect(dark).toMatch(/text \{ fill: #f/);
});

/** Elements that are open at the end, or were closed without being the one that was open. */
function unclosed(svg: string): string[] {
  const open: string[] = [];
  for (const [, closes, name = '', , itself] of svg.matchAll(
    /<(\/?)([a-z]+)((?: [\w:-]+="[^"<]*")*)(\/?)>/g,
  )) {
    if (closes && open.pop() !== name) return [`/${name}`];
    if (!closes && !itself) open.push(name);
  }
  // Whatever is left of it and still looks like markup was none of those.
  const rest = svg.replaceAll(/<\/?[a-z]+(?: [\w:-]+="[^"<]*")*\/?>/g, '');
  return [...open, ...(rest.match(/<.{0,20}/g) ?? [])];
}
