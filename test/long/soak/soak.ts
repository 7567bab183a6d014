import { Lab } from '../../lab/hosts.ts';
import { Figures } from './figures.ts';
import { Lane, Mishap } from './lane.ts';
import { LANES } from './plan.ts';

export interface SoakOptions {
  readonly seed: number;
  /** After so many seconds, and so many rounds of each lane, no round is begun. */
  readonly seconds?: number;
  readonly rounds?: number;
  /** The number of the first round. */
  readonly first?: number;
}

/** Lets faults happen to transfers for so long. Prints the figures; throws at the first mishap. */
export async function soak(options: SoakOptions): Promise<void> {
  const { seed, seconds = Infinity, rounds = Infinity, first = 0 } = options;
  const figures = new Figures();
  const until = performance.now() + seconds * 1000;
  const mishaps: unknown[] = [];
  await using lab = Lab.create();
  const lanes = LANES.map(async (name) => {
    await using lane = new Lane(name, lab, seed, figures);
    for (let number = first; number < first + rounds; number++) {
      if (performance.now() > until || mishaps.length > 0) return;
      await lane.round(number).catch((error: unknown) => void mishaps.push(error));
    }
  });
  await Promise.all(lanes);
  for (const mishap of mishaps) console.log(mishap instanceof Mishap ? mishap.message : mishap);
  console.log(`soak of seed ${seed}: ${figures}`);
  if (mishaps.length > 0) throw new Mishap('What must not happen is told above.');
  const { growth } = figures;
  if (growth && (growth.memory > MAX_GROWTH.memory || growth.files > MAX_GROWTH.files))
    throw new Mishap(`The receiver grows: ${JSON.stringify(growth)}.`);
}

/** KiB, and open files: more than a receiver that is as it was may differ from one time to the other. */
const MAX_GROWTH = { memory: 40_000, files: 8 };
