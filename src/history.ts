import { type Arrival, History } from './disk/history.ts';
import { defaultHome } from './disk/home.ts';
import type { CommonOptions } from './meeting/self.ts';

export type { Arrival };

type Options = Pick<CommonOptions, 'home'>;

/** What arrived on this computer, the latest last: the last thousand transfers at most. */
export async function history({ home = defaultHome() }: Options = {}): Promise<Arrival[]> {
  return new History(home).all();
}

/** Forgets what arrived. What is on the disk stays there. */
export async function clearHistory({ home = defaultHome() }: Options = {}): Promise<void> {
  await new History(home).clear();
}
