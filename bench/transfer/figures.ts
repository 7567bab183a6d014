import { aligned, quantile } from '../figures.ts';

/** What one end of a transfer took of the machine; null where that could not be measured. */
export interface Cost {
  /** Seconds of all its processes, in their own code and in the kernel's. */
  readonly cpu: number | null;
  /** MiB of the largest of its processes. */
  readonly peak: number | null;
}

/** One transfer. */
export interface Run {
  /** Seconds from the start of the one that calls until everything is on the other side. */
  readonly wall: number;
  /** Seconds that the receiver needed after that to end. */
  readonly late: number;
  readonly sender: Cost;
  readonly receiver: Cost;
}

/** What programs did in turn: the runs of one round stand at the same place of each list. */
export interface Measurement {
  /** As in --rows. */
  readonly row: string;
  readonly title: string;
  /** Bytes of each transfer. */
  readonly bytes: number;
  readonly programs: readonly ProgramRuns[];
  /** Who could not take part, and why. */
  readonly without: readonly { readonly name: string; readonly why: string }[];
  /** What else is to be said, in sentences. */
  readonly notes?: readonly string[];
}

interface ProgramRuns {
  readonly name: string;
  readonly encrypted: boolean;
  readonly runs: readonly Run[];
}

/** How many times as fast as `against` a program is to be. */
export interface Target {
  /** The first one of the measurement, if there is none. */
  readonly program?: string;
  readonly against: string;
  readonly least: number;
  readonly aim: number;
}

/** A figure that is to be on one side of a bound. */
export interface Judged {
  readonly row: string;
  readonly what: string;
  readonly unit: 'x' | 's' | 'MiB';
  /** One of each round. */
  readonly values: readonly number[];
  /** Of which it is judged: their median, or of memory the worst; null where there are none. */
  readonly figure: number | null;
  readonly bound: 'at least' | 'at most';
  readonly must: number;
  readonly aim: number;
  /** Whether it is on the right side; null where it was not measured. */
  readonly met: boolean | null;
  readonly aimed: boolean | null;
}

type Bound = Pick<Judged, 'row' | 'what' | 'unit' | 'bound' | 'must' | 'aim'>;

export function judge(one: Bound, values: readonly number[]): Judged {
  const worst = one.bound === 'at most' ? 1 : 0;
  const figure = quantile(values, one.unit === 'MiB' ? worst : 0.5);
  const keeps = (limit: number): boolean | null => {
    if (figure === null) return null;
    return one.bound === 'at most' ? figure <= limit : figure >= limit;
  };
  return { ...one, values, figure, met: keeps(one.must), aimed: keeps(one.aim) };
}

/** How many times as fast as the second the first one was, in each round: the machine drifts. */
export function ratios(first: readonly Run[], second: readonly Run[]): number[] {
  return first.flatMap(({ wall }, round) => {
    const other = second[round];
    return other === undefined ? [] : [other.wall / wall];
  });
}

/** How it stands with the speed that is wanted. Who did not run has no figures. */
export function speeds({ row, programs }: Measurement, targets: readonly Target[]): Judged[] {
  const runsOf = (name: string) => programs.find((one) => one.name === name)?.runs ?? [];
  return targets.map(({ program = programs[0]?.name ?? '', against, least: must, aim }) =>
    judge(
      { row, what: `${program}, speed of ${against}`, unit: 'x', bound: 'at least', must, aim },
      ratios(runsOf(program), runsOf(against)),
    ),
  );
}

/** How it stands with the memory of drop, with whatever options. */
export function memory({ row, programs }: Measurement, limit: Limit): Judged[] {
  const ours = programs.filter(({ name }) => name.split(' ', 1)[0] === 'drop');
  return ENDS.map((end) =>
    judge(
      { row, what: `drop, memory of the ${end}`, unit: 'MiB', bound: 'at most', ...limit },
      ours.flatMap(({ runs }) => present(runs.map((run) => run[end].peak))),
    ),
  );
}

export interface Limit {
  readonly must: number;
  readonly aim: number;
}

const ENDS = ['sender', 'receiver'] as const;

/** One measurement for people. Speeds are those of the first program beside the others'. */
export function table({ title, bytes, programs, without, notes = [] }: Measurement): string {
  const [first] = programs;
  const lines = programs.map(({ name, runs }) => {
    const walls = runs.map(({ wall }) => wall);
    const wall = quantile(walls, 0.5);
    const faster = first === undefined ? [] : ratios(first.runs, runs);
    return [
      name,
      seconds(wall),
      range(walls, seconds),
      wall === null || bytes === 0 ? '-' : whole(bytes / wall / 1e6),
      name === first?.name ? '' : times(quantile(faster, 0.5)),
      name === first?.name ? '' : range(faster, (one) => (one ?? 0).toFixed(2)),
      ...ENDS.map((end) => seconds(quantile(present(runs.map((run) => run[end].cpu)), 0.5))),
      ...ENDS.map((end) => whole(quantile(present(runs.map((run) => run[end].peak)), 0.5))),
    ];
  });
  const head = [
    `${title}, ${first?.runs.length ?? 0} times`,
    'seconds',
    'from - to',
    'MB/s',
    `${first?.name ?? ''} is`,
    'from - to',
    'CPU of both',
    'ends, s',
    'MiB of both',
    'ends',
  ];
  return [
    aligned([head, ...lines]),
    ...programs.flatMap(({ name, runs }) => lateness(name, runs)),
    ...without.map(({ name, why }) => `Without ${name}: ${why}.`),
    ...notes,
  ].join('\n');
}

/** What the wall clock of a row does not hold. */
function lateness(name: string, runs: readonly Run[]): string[] {
  const late = quantile(
    runs.map((run) => run.late),
    0.5,
  );
  return late === null || late < 0.005
    ? []
    : [`${name}: the receiver ended ${seconds(late)} s after the sender.`];
}

export function targetTable(all: readonly Judged[]): string {
  const lines = all.map(({ row, what, unit, values, figure, bound, must, aim, met, aimed }) => [
    `${row}: ${what}`,
    amount(figure, unit),
    range(values, (one) => amount(one, unit)),
    `${bound} ${amount(must, unit)}`,
    answer(met),
    amount(aim, unit),
    answer(aimed),
  ]);
  return aligned([['', 'figure', 'from - to', 'target', 'met', 'aim', 'met'], ...lines]);
}

function answer(met: boolean | null): string {
  return met === null ? '-' : met ? 'yes' : 'NO';
}

function amount(value: number | null, unit: Judged['unit']): string {
  if (unit === 'x') return times(value);
  return unit === 's' ? `${seconds(value)} s` : `${whole(value)} MiB`;
}

function times(value: number | null): string {
  return value === null ? '-' : `${value.toFixed(2)}x`;
}

function seconds(value: number | null): string {
  return value === null ? '-' : value.toFixed(value < 10 ? 3 : 1);
}

function whole(value: number | null): string {
  return value === null ? '-' : value.toFixed(0);
}

function range(values: readonly number[], text: (value: number | null) => string): string {
  return values.length === 0 ? '-' : `${text(Math.min(...values))} - ${text(Math.max(...values))}`;
}

function present(values: readonly (number | null)[]): number[] {
  return values.filter((value) => value !== null);
}
