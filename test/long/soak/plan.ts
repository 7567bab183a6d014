import fc from 'fast-check';

/** Two pairs of computers: one where either side may die, one whose receiver lives all the while. */
export const LANES = ['mortal', 'lasting'] as const;
export type LaneName = (typeof LANES)[number];

/** What is sent. */
export type Cargo =
  | { readonly kind: 'file'; readonly size: number }
  | { readonly kind: 'stream'; readonly size: number }
  | {
      readonly kind: 'folder';
      readonly files: number;
      /** The most that a file has. */
      readonly size: number;
    };

export interface Fault {
  readonly what: FaultName;
  /** When: at this share of all bytes; at 0, while the two are getting to know each other. */
  readonly at: number;
  /** How long it lasts. */
  readonly ms: number;
  /** Whose address, cable or process. */
  readonly side: 'sender' | 'receiver';
  /** How fast the network is from then on. */
  readonly mbit: number;
}

export type FaultName = keyof typeof FAULTS;

export interface Round {
  readonly cargo: Cargo;
  readonly mbit: number;
  readonly faults: readonly Fault[];
  /** A folder is changed in so many files and sent again; 0: it is not. */
  readonly changed: number;
  readonly faultsAgain: readonly Fault[];
}

/** How often each of them is chosen, and whether only for who may die. */
const FAULTS = {
  'receiver killed': { weight: 4, mortal: true },
  'receiver stopped': { weight: 1, mortal: true },
  'sender killed': { weight: 4 },
  'sender stopped': { weight: 1 },
  'link down': { weight: 3 },
  'connections reset': { weight: 4 },
  'receiver shut in': { weight: 2 },
  'address changed': { weight: 1 },
  'rate changed': { weight: 3 },
  'one suspended': { weight: 2 },
  'both suspended': { weight: 1 },
  'disk full': { weight: 3 },
  'stranger at the door': { weight: 1 },
} as const satisfies Record<string, { weight: number; mortal?: boolean }>;

export const FAULT_NAMES = Object.keys(FAULTS) as FaultName[];

/** What happens in a round. The same seed, lane and number always give the same. */
export function plan(seed: number, lane: LaneName, number: number): Round {
  const one = (seed * 1_000_003 + number * 2 + LANES.indexOf(lane)) | 0;
  // Else the first of a sample is small more often than not.
  const [round] = fc.sample(fc.noBias(rounds(lane)), { seed: one, numRuns: 1 });
  return round as Round;
}

function rounds(lane: LaneName): fc.Arbitrary<Round> {
  const faults = fc
    .array(fault(lane), { maxLength: 5 })
    .map((all) => all.sort((one, other) => one.at - other.at));
  return fc.record({
    cargo,
    mbit,
    faults,
    changed: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 12 })),
    faultsAgain: faults,
  });
}

const MiB = 1024 * 1024;

/** So slow that a transfer takes seconds, in which something can happen to it. */
const mbit = fc.integer({ min: 60, max: 500 });

const cargo: fc.Arbitrary<Cargo> = fc.oneof(
  { weight: 3, arbitrary: single('file', 96 * MiB) },
  { weight: 2, arbitrary: single('stream', 48 * MiB) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('folder' as const),
      files: fc.integer({ min: 10, max: 700 }),
      size: fc.integer({ min: 0, max: 120_000 }),
    }),
  },
);

function single<Kind extends 'file' | 'stream'>(kind: Kind, max: number) {
  return fc.record({ kind: fc.constant(kind), size: fc.integer({ min: 4 * MiB, max }) });
}

function fault(lane: LaneName): fc.Arbitrary<Fault> {
  const possible = FAULT_NAMES.filter((name) => lane === 'mortal' || !('mortal' in FAULTS[name]));
  return fc.record({
    what: fc.oneof(
      ...possible.map((name) => ({ weight: FAULTS[name].weight, arbitrary: fc.constant(name) })),
    ),
    at: fc.oneof(
      { weight: 1, arbitrary: fc.constant(0) },
      { weight: 5, arbitrary: fc.integer({ min: 1, max: 99 }).map((percent) => percent / 100) },
    ),
    ms: fc.oneof(
      { weight: 9, arbitrary: fc.integer({ min: 20, max: 3_000 }) },
      // Longer than silence is borne.
      { weight: 1, arbitrary: fc.integer({ min: 16_000, max: 18_000 }) },
    ),
    side: fc.constantFrom('sender', 'receiver'),
    mbit,
  });
}
