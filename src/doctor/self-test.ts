import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { discover } from '../discover.ts';
import { DropError } from '../errors.ts';
import type { Peer, ReceiveEvent } from '../events.ts';
import { peerOf } from '../meeting/lookout.ts';
import type { CommonOptions } from '../meeting/self.ts';
import { within } from '../meeting/signals.ts';
import { receive } from '../receive.ts';
import { send } from '../send.ts';

export interface SelfTestOptions extends Pick<CommonOptions, 'interfaces'> {
  /** An empty folder, and a home in it whose identity nobody knows: so nobody else is let in. */
  readonly folder: string;
  readonly home: string;
  readonly name: string;
  /** Whether to find the device as others do, or go by its address. */
  readonly byDiscovery: boolean;
  readonly signal: AbortSignal;
}

/** Milliseconds until the device must be found. */
const FIND_LIMIT = 3_000;

/** More than one chunk. */
const BYTES = 300_000;

/** Sends a file from this computer to itself, through all that a file goes through. Throws if it fails. */
export async function sendToSelf(options: SelfTestOptions): Promise<void> {
  const { folder, home, name, interfaces, byDiscovery } = options;
  const into = join(folder, byDiscovery ? 'found' : 'addressed');
  const file = join(folder, 'test');
  const bytes = randomBytes(BYTES);
  await mkdir(into);
  await writeFile(file, bytes);
  const over = new AbortController();
  const signal = AbortSignal.any([options.signal, over.signal]);
  const common = { home, name, interfaces, signal };
  const receiving = receive({ ...common, into, newcomers: false, once: true });
  try {
    const ready = await eventOf(receiving, 'ready');
    const to = byDiscovery ? await findSelf(common, ready.id) : ready.addresses[0];
    const address = to ?? `127.0.0.1:${ready.port}`;
    const [summary, saved] = await Promise.all([
      lastOf(send([file], { ...common, to: address, wait: 1 })),
      eventOf(receiving, 'saved'),
    ]);
    const arrived = await readFile(saved.path);
    if (!summary.ok || !arrived.equals(bytes)) throw new DropError('corrupt');
  } finally {
    over.abort();
    await receiving.return(undefined);
  }
}

function findSelf(common: CommonOptions & { signal: AbortSignal }, id: string): Promise<Peer> {
  return within(common.signal, FIND_LIMIT, async (signal) => {
    for await (const event of discover({ ...common, signal }))
      if (event.event === 'peer' && event.state === 'found' && event.id === id)
        return peerOf(event);
    throw new DropError('not-found');
  });
}

type Named<Name> = Extract<ReceiveEvent, { readonly event: Name }>;

/** The next event of this name; what goes wrong before it is thrown. */
async function eventOf<Name extends ReceiveEvent['event']>(
  events: AsyncGenerator<ReceiveEvent, void>,
  name: Name,
): Promise<Named<Name>> {
  for (;;) {
    const { done, value } = await events.next();
    if (done) throw new DropError('disconnected');
    if (value.event === name) return value as Named<Name>;
    if (value.event === 'error') throw new DropError(value.code, { message: value.message });
  }
}

async function lastOf<Result>(events: AsyncGenerator<unknown, Result>): Promise<Result> {
  for (;;) {
    const { done, value } = await events.next();
    if (done) return value;
  }
}
