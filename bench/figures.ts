/** What was measured, many times, and what it was to be. */
export interface Row {
  readonly name: string;
  readonly unit: 'ms' | 'MiB' | 'packets';
  /** One for each run in which it happened. */
  readonly values: readonly number[];
  /** Runs in which it did not happen at all; only none is good enough. */
  readonly missed: number;
  /** Rows without one are there to explain others. */
  readonly target?: Target;
}

export interface Target {
  readonly of: 'median' | 'p95' | 'worst';
  readonly most: number;
}

/** A row of what each run came to; undefined is a miss. */
export function row(
  name: string,
  unit: Row['unit'],
  runs: readonly (number | undefined)[],
  target?: Target,
): Row {
  const values = runs.filter((value) => value !== undefined);
  const missed = runs.length - values.length;
  return { name, unit, values, missed, ...(target && { target }) };
}

/** Values by the names of their rows, in the order in which these first came up. */
export class Samples {
  readonly #all = new Map<string, number[]>();

  add(name: string, value: number): void {
    this.#all.set(name, [...(this.#all.get(name) ?? []), value]);
  }

  rows(unit: Row['unit'], target?: Target): Row[] {
    return [...this.#all].map(([name, values]) => row(name, unit, values, target));
  }
}

export interface Judged extends Row {
  readonly runs: number;
  readonly median: number | null;
  readonly p95: number | null;
  readonly worst: number | null;
  /** Null where there is no target. */
  readonly met: boolean | null;
}

export function judge(one: Row): Judged {
  const { values, missed, target } = one;
  const figures = {
    median: quantile(values, 0.5),
    p95: quantile(values, 0.95),
    worst: quantile(values, 1),
  };
  const figure = target && figures[target.of];
  const met = target ? missed === 0 && typeof figure === 'number' && figure <= target.most : null;
  return { ...one, ...figures, runs: values.length + missed, met };
}

/** The smallest value that so many of all are not above (nearest rank); null if there are none. */
export function quantile(values: readonly number[], share: number): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
}

export function table(rows: readonly Judged[]): string {
  return aligned([
    ['', 'runs', 'missed', 'median', 'p95', 'worst', 'target', 'met'],
    ...rows.map((one) => [
      one.name,
      String(one.runs),
      String(one.missed),
      ...[one.median, one.p95, one.worst].map((figure) => format(figure, one.unit)),
      one.target ? `${one.target.of} <= ${format(one.target.most, one.unit)}` : '',
      one.met === null ? '' : one.met ? 'yes' : 'NO',
    ]),
  ]);
}

/** Lines of cells as text in columns: the first to the left, all others to the right. */
export function aligned(cells: readonly (readonly string[])[]): string {
  const widths = cells.reduce<number[]>(
    (most, line) => line.map((cell, i) => Math.max(most[i] ?? 0, cell.length)),
    [],
  );
  return cells
    .map((line) =>
      line
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function format(figure: number | null, unit: Row['unit']): string {
  if (figure === null) return '-';
  const digits = Math.abs(figure) >= 10 || Number.isInteger(figure) ? 0 : 1;
  return unit === 'packets' ? figure.toFixed(digits) : `${figure.toFixed(digits)} ${unit}`;
}
