import type { DiscoverEvent } from './events.ts';
import { lookAround } from './meeting/lookout.ts';
import { type LookOptions, openSelf } from './meeting/self.ts';

export interface DiscoverOptions extends LookOptions {
  /** Who is looked for: those that can be sent to, the default; those that share something; or all. */
  readonly who?: 'receivers' | 'sharers' | 'all' | undefined;
}

const WAYS = { receivers: 'send', sharers: 'get', all: undefined } as const;

/**
 * The devices that are ready on this network, as they come and go, until the signal is aborted.
 * Each has proven to have its key; only its name, where we do not know it, is its own word. Tells
 * also of devices that are announced but do not answer, and, while there is none, why that may be.
 * `id` and `run` together tell one process of a device from another; of what is `silent`, `run` does.
 */
export async function* discover(
  options: DiscoverOptions = {},
): AsyncGenerator<DiscoverEvent, void> {
  const self = await openSelf(options);
  const { makePorch } = await import('./meeting/look.ts');
  const way = WAYS[options.who ?? 'receivers'];
  const porch = makePorch(self, way ?? 'send', options);
  try {
    yield* lookAround(self, { ...options, way, peeks: true }, porch);
  } finally {
    await porch.close();
  }
}
