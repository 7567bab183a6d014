import { Lab } from '../../lab/hosts.ts';
import { Figures } from './figures.ts';
import { Lane, Mishap } from './lane.ts';
import { LANES } from './plan.ts';

export interface SoakOptions {
  /** Rounds that begin after that are not begun. */
  readonly seconds: number;
  readonly seed: number;
  /** The number of the first round. */
  readonly round?: number;
}

/** Lets faults happen to transfers for so long. Prints the figures; throws at the first mishap. */
export async function soak({ seconds, seed, round = 0 }: SoakOptions): Promise<void> {
  const figures = new Figures();
  const until = performance.now() + seconds * 1000;
  const mishaps: unknown[] = [];
  await using lab = Lab.create();
  const lanes = LANES.map(async (name) => {
    await using lane = new Lane(name, lab, seed, figures);
    for (let number = round; performance.now() < until && mishaps.length === 0; number++)
      await lane.round(number).catch((error: unknown) => void mishaps.push(error));
  });
  await Promise.all(lanes);
  for (const mishap of mishaps) console.log(mishap instanceof Mishap ? mishap.message : mishap);
  console.log(`soak of seed ${seed}, ${seconds} s: ${figures}`);
  if (mishaps.length > 0) throw mishaps[0];
  const { growth } = figures;
  if (growth && (growth.memory > MAX_GROWTH.memory || growth.files > MAX_GROWTH.files))
    throw new Mishap(`The receiver grows: ${JSON.stringify(growth)}.`);
}

/** KiB, and open files: more than a receiver that is as it was may differ from one time to the other. */
const MAX_GROWTH = { memory: 40_000, files: 8 };
