import type { Freight, Problem } from './cargo.ts';
import { FAULT_NAMES, type FaultName } from './plan.ts';

interface Footprint {
  /** KiB. */
  readonly memory: number;
  readonly files: number;
}

/** Counts what a soak has gone through. */
export class Figures {
  /** How often the command was run. */
  runs = 0;
  readonly #transfers = new Map<string, number>();
  readonly #faults = new Map<FaultName, number>();
  readonly #problems = new Map<Problem['kind'], number>(NONE.map((kind) => [kind, 0]));
  readonly #footprints: Footprint[] = [];
  #files = 0;
  #bytes = 0;
  /** More than these went over the wire: of what can be resumed, and of streams. */
  #resent = 0;
  #streamedAgain = 0;

  /** A transfer has come to its end. */
  delivered(kind: string): void {
    add(this.#transfers, kind, 1);
  }

  /** All runs of its command have taken so many bytes over the wire. */
  carried({ files, fresh, input }: Freight, wire: number): void {
    this.#files += files;
    this.#bytes += fresh;
    const more = Math.max(0, wire - fresh);
    if (input === undefined) this.#resent += more;
    else this.#streamedAgain += more;
  }

  struck(fault: FaultName): void {
    add(this.#faults, fault, 1);
  }

  found(problems: readonly Problem[]): void {
    for (const { kind } of problems) add(this.#problems, kind, 1);
  }

  /** Of the receiver that lasts, after a transfer. */
  footprint(now: Footprint): void {
    this.#footprints.push(now);
  }

  /** How that has grown, from the second quarter to the last; nothing where there is too little. */
  get growth(): Footprint | undefined {
    const quarter = Math.floor(this.#footprints.length / 4);
    if (quarter < 2) return undefined;
    const early = median(this.#footprints.slice(quarter, 2 * quarter));
    const late = median(this.#footprints.slice(-quarter));
    return { memory: late.memory - early.memory, files: late.files - early.files };
  }

  /** All of it, in one line. */
  toString(): string {
    const transfers = [...this.#transfers.values()].reduce((sum, one) => sum + one, 0);
    const faults = [...this.#faults.values()].reduce((sum, one) => sum + one, 0);
    const { memory, files } = this.#footprints.at(-1) ?? { memory: 0, files: 0 };
    const grown = this.growth;
    const more = grown ? ` (${mb(grown.memory * 1024)} and ${grown.files} more than early)` : '';
    return [
      `${transfers} transfers (${list(this.#transfers)}) in ${this.runs} runs`,
      `${this.#files} files, ${mb(this.#bytes)} delivered`,
      `${mb(this.#resent)} resent, and ${mb(this.#streamedAgain)} of streams whose command was run again`,
      `${faults} faults (${list(new Map(FAULT_NAMES.map((name) => [name, this.#faults.get(name) ?? 0])))})`,
      `the receiver has ${mb(memory * 1024)} and ${files} open files${more}`,
      `files ${list(this.#problems)}`,
    ].join('; ');
  }
}

const NONE: readonly Problem['kind'][] = [
  'lost',
  'corrupt',
  'duplicated',
  'half-made',
  'staging left',
];

function add<Key>(counts: Map<Key, number>, key: Key, by: number): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}

function list(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([name, count]) => `${name}: ${count}`).join(', ');
}

function mb(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

function median(footprints: readonly Footprint[]): Footprint {
  const middle = (numbers: number[]): number =>
    numbers.sort((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? 0;
  return {
    memory: middle(footprints.map(({ memory }) => memory)),
    files: middle(footprints.map(({ files }) => files)),
  };
}
