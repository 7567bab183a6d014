import { quantile } from '../figures.ts';
import { type Measurement, ratios } from './figures.ts';

/**
 * Bars of how fast each program was beside the first one, as an SVG without scripts and outside
 * resources. It brings its own paper, light or dark as whoever looks has it.
 */
export function picture(measurements: readonly Measurement[], footnote: string): string {
  const charts: string[] = [];
  let y = MARGIN;
  for (const measurement of measurements) {
    const bars = barsOf(measurement);
    charts.push(`<g transform="translate(0 ${y})">${chart(measurement, bars)}</g>`);
    y += HEADING + bars.length * STEP + GAP;
  }
  const height = y + FOOT;
  const about = `Speed of ${list(measurements.map(({ title }) => title))}: ${footnote}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="title">
<title id="title">${markup(about)}</title>
<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.paper { fill: #ffffff; stroke: #d1d9e0; } .bar { fill: #b8c0c9; } .ours { fill: #1a7f37; } .axis { stroke: #59636e; }
.heading, .bold { font-weight: 600; } .small { font-size: 12px; fill: #59636e; } .end { text-anchor: end; }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc; } .small { fill: #9198a1; } .axis { stroke: #9198a1; }
.paper { fill: #0d1117; stroke: #3d444d; } .bar { fill: #4d5763; } .ours { fill: #2ea043; }
}
</style>
<rect class="paper" x=".5" y=".5" width="${WIDTH - 1}" height="${height - 1}" rx="8"/>
${charts.join('\n')}
<text class="small" x="${MARGIN}" y="${height - MARGIN}">${markup(footnote)}</text>
</svg>
`;
}

interface Bar {
  readonly label: string;
  /** Times as fast as the first program. */
  readonly speed: number;
  readonly seconds: number;
  readonly ours: boolean;
}

/** From the fastest to the slowest. Whoever did not run has none. */
function barsOf({ programs }: Measurement): Bar[] {
  const [first] = programs;
  return programs
    .flatMap(({ name, encrypted, runs }) => {
      const seconds = quantile(
        runs.map(({ wall }) => wall),
        0.5,
      );
      const speed = quantile(ratios(runs, first?.runs ?? []), 0.5);
      if (seconds === null || speed === null) return [];
      const label = encrypted ? name : `${name} (in the clear)`;
      return [{ label, speed, seconds, ours: name === first?.name }];
    })
    .sort((a, b) => b.speed - a.speed);
}

function chart({ title }: Measurement, bars: readonly Bar[]): string {
  const fastest = Math.max(...bars.map(({ speed }) => speed));
  const rows = bars.map(({ label, speed, seconds, ours }, index) => {
    const top = HEADING + index * STEP;
    const width = ((speed / fastest) * LONGEST).toFixed(1);
    const base = top + 15;
    const weight = ours ? ' bold' : '';
    return (
      `<text class="end${weight}" x="${LABELS - 8}" y="${base}">${markup(label)}</text>` +
      `<rect class="${ours ? 'ours' : 'bar'}" x="${LABELS}" y="${top + 2}" width="${width}" height="${STEP - 6}"/>` +
      `<text class="value${weight}" x="${LABELS + Number(width) + 6}" y="${base}">${speed.toFixed(2)}x, ${seconds.toFixed(2)} s</text>`
    );
  });
  const bottom = HEADING + bars.length * STEP;
  return (
    `<text class="heading" x="${MARGIN}" y="14">${markup(title)}</text>${rows.join('')}` +
    `<line class="axis" x1="${LABELS}" x2="${LABELS}" y1="${HEADING - 2}" y2="${bottom}"/>`
  );
}

function list(words: readonly string[]): string {
  return words.join(' and of ');
}

function markup(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

const WIDTH = 720;
const MARGIN = 16;
/** How far from the left the bars begin. */
const LABELS = 250;
/** Of the longest bar; what it says stands behind it. */
const LONGEST = 350;
const HEADING = 26;
const STEP = 24;
const GAP = 18;
const FOOT = 24;
