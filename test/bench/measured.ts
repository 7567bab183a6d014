import type { Measurement, Run } from '../../bench/transfer/figures.ts';

/** Runs that took so many seconds. */
export function runs(...walls: readonly number[]): Run[] {
  const [sender, receiver] = [
    { cpu: 0.3, peak: 50 },
    { cpu: 0.4, peak: 60 },
  ];
  return walls.map((wall) => ({ wall, late: 0, sender, receiver }));
}

/** What this program did, encrypted. */
export function measured(
  name: string,
  ...walls: readonly number[]
): Measurement['programs'][number] {
  return { name, encrypted: true, runs: runs(...walls) };
}
