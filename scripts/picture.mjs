// From recordings of terminals to one moving picture.

import xterm from '@xterm/headless';

/** Of one character and one row, in units of the picture, for a 14 px monospaced font. */
const CELL = { width: 8.4, height: 18 };
const MARGIN = 14;
const TITLE_HEIGHT = 30;

/** ms. What happens in between is one frame: nobody sees more, and the picture stays small. */
const FRAME = 80;
/** ms. Longer pauses are cut to it. */
const LONGEST_PAUSE = 1800;
/** ms. How long the end stands before it begins anew. */
const LAST_LOOK = 5000;

const INK = '#c9d1d9';
const PAPER = '#0d1117';
const COLORS = [
  ...['#484f58', '#ff7b72', '#3fb950', '#d29922', '#58a6ff', '#bc8cff', '#39c5cf', '#b1bac4'],
  ...['#6e7681', '#ffa198', '#56d364', '#e3b341', '#79c0ff', '#d2a8ff', '#56d4dd', '#f0f6fc'],
];

/**
 * An animated SVG of terminals one above the other, without scripts or outside resources. Where
 * motion is not wanted, it shows how it ends.
 *
 * `casts`: asciinema's files (v2) as text, recorded with one clock; `title` says for those who
 * cannot see it what there is to see.
 */
export async function picture(casts, title) {
  const recordings = casts.map(parse);
  const clock = shorten(recordings.flatMap(({ events }) => events.map(([at]) => at)));
  const end = clock(Number.POSITIVE_INFINITY) + LAST_LOOK;

  const times = new Times(end);
  const windows = [];
  let y = 0;
  for (const recording of recordings) {
    windows.push(`<g transform="translate(0 ${y})">${await draw(recording, clock, times)}</g>`);
    y += heightOf(recording) + MARGIN;
  }
  const width = Math.ceil(Math.max(...recordings.map(widthOf)));
  const height = y - MARGIN;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title">
<title id="title">${markup(title)}</title>
<style>
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: pre; fill: ${INK}; }
.b { font-weight: bold; } .d { opacity: .65; } .u { text-decoration: underline; } .t { fill: #8b949e; text-anchor: middle; }
${times.css()}</style>
${windows.join('\n')}
</svg>
`;
}

function parse(cast) {
  const [header, ...events] = cast
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  if (header.version !== 2) throw new Error(`a cast of version ${header.version}, not 2`);
  const output = events.filter(([, kind]) => kind === 'o');
  return { ...header, events: output.map(([seconds, , data]) => [seconds * 1000, data]) };
}

/** A function from the time of a recording to the time of the picture, where nothing drags on. */
function shorten(times) {
  const sorted = [...times].sort((a, b) => a - b);
  const steps = [];
  let shown = 0;
  for (const [index, at] of sorted.entries()) {
    shown += Math.min(at - (sorted[index - 1] ?? at), LONGEST_PAUSE);
    steps.push([at, shown]);
  }
  return (time) => steps.findLast(([at]) => at <= time)?.[1] ?? 0;
}

function widthOf({ width }) {
  return width * CELL.width + 2 * MARGIN;
}

function heightOf({ height }) {
  return height * CELL.height + TITLE_HEIGHT + MARGIN;
}

/** The window with everything that its rows ever showed, each while it showed it. */
async function draw(recording, clock, times) {
  const { width, height, title = '', events } = recording;
  const terminal = new xterm.Terminal({ cols: width, rows: height, allowProposedApi: true });
  const write = (data) => new Promise((resolve) => terminal.write(data, resolve));
  const rows = Array.from({ length: height }, () => [{ from: 0, drawn: '' }]);
  for (const [index, [at, data]] of events.entries()) {
    await write(data);
    const next = events[index + 1];
    if (next !== undefined && clock(next[0]) - clock(at) < FRAME) continue;
    for (const [y, row] of rows.entries()) {
      const drawn = drawRow(terminal, y);
      if (row.at(-1).drawn !== drawn) row.push({ from: clock(at), drawn });
    }
  }
  const shown = rows.flatMap((row) =>
    row.map(({ from, drawn }, index) => times.during(from, row[index + 1]?.from, drawn)),
  );
  const [w, h] = [widthOf(recording), heightOf(recording)];
  return [
    `<rect width="${w}" height="${h}" rx="8" fill="${PAPER}" stroke="#30363d"/>`,
    `<text class="t" x="${w / 2}" y="20">${markup(title)}</text>`,
    ...shown,
  ].join('');
}

function drawRow(terminal, y) {
  const { active } = terminal.buffer;
  const line = active.getLine(active.baseY + y);
  const runs = [];
  for (let x = 0; x < terminal.cols; x++) {
    const cell = line.getCell(x);
    // The second half of a wide character.
    if (cell.getWidth() === 0) continue;
    const style = styleOf(cell);
    const run = runs.at(-1);
    const text = cell.getChars() || ' ';
    if (run?.style === style) run.text += text;
    else runs.push({ x, style, text });
    runs.at(-1).end = x + cell.getWidth();
  }
  const top = TITLE_HEIGHT + y * CELL.height;
  return runs.map((run) => drawRun(run, top)).join('');
}

function drawRun({ x, end, style, text }, top) {
  const content = text.trimEnd();
  if (content === '') return '';
  const left = (MARGIN + x * CELL.width).toFixed(1);
  // Whatever font it is shown in, the columns stay where they are.
  const cells = end - x - (text.length - content.length);
  const length = (cells * CELL.width).toFixed(1);
  return `<text x="${left}" y="${top + 13}" textLength="${length}"${style}>${markup(content)}</text>`;
}

function styleOf(cell) {
  const classes = [cell.isBold() && 'b', cell.isDim() && 'd', cell.isUnderline() && 'u'];
  const names = classes.filter(Boolean).join(' ');
  const color = colorOf(cell);
  return `${names && ` class="${names}"`}${color && ` style="fill:${color}"`}`;
}

function colorOf(cell) {
  if (cell.isFgDefault()) return '';
  if (cell.isFgRGB()) return `#${cell.getFgColor().toString(16).padStart(6, '0')}`;
  return COLORS[cell.getFgColor()] ?? '';
}

/** When things are to be seen. Those that show at the same time share one rule. */
class Times {
  #end;
  #names = new Map();

  constructor(end) {
    this.#end = end;
  }

  during(from, to = this.#end, drawn) {
    if (drawn === '' || from >= to) return '';
    if (from === 0 && to === this.#end) return drawn;
    const key = `${this.#percent(from)} ${this.#percent(to)}`;
    const name = this.#names.get(key) ?? `s${this.#names.size}`;
    this.#names.set(key, name);
    return `<g class="${name}">${drawn}</g>`;
  }

  css() {
    const seconds = (this.#end / 1000).toFixed(2);
    const all = [...this.#names].map(([key, name]) => {
      const [from, to] = key.split(' ');
      const hidden = to === '100%' ? '' : ` ${to} { visibility: hidden }`;
      const last = to === '100%' ? 'visible' : 'hidden';
      return [
        `@keyframes ${name} { 0% { visibility: hidden } ${from} { visibility: visible }${hidden} }`,
        `.${name} { visibility: ${last}; animation: ${name} ${seconds}s step-end infinite; }`,
      ].join('\n');
    });
    return `${all.join('\n')}\n@media (prefers-reduced-motion: reduce) { g { animation: none !important; } }\n`;
  }

  #percent(time) {
    return `${Number(((time / this.#end) * 100).toFixed(2))}%`;
  }
}

function markup(text) {
  return text.replace(/[&<>]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[sign]);
}
