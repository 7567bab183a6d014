import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import {
  Control,
  type DropError,
  get,
  type ReceiveEvent,
  receive,
  type ShareEvent,
  send,
  share,
  type TransferEvent,
} from '../../src/index.ts';
import { dropOnScreen } from '../support/bin.ts';
import { digestOf, makeFile } from '../support/content.ts';
import { Home } from '../support/home.ts';
import { PATIENCE } from '../support/process.ts';

const MB = 1_000_000;

/** Some seconds' worth at `RATE`, of which a pause is somewhere in the midst. */
const SIZE = 20 * MB;
const RATE = 4 * MB;

describe('a transfer that somebody lets rest', () => {
  test('has no rate in the terminal of who sends, where it is said who has paused it', async () => {
    await using ana = new Home();
    await using bob = new Home();
    const file = await large(bob);
    const control = new Control();
    await using receiving = new Watched<ReceiveEvent>((signal) =>
      receive({ ...at(ana), control, signal }),
    );
    const { port, code } = await receiving.event('ready');
    const words = ['send', '--to', `127.0.0.1:${port}`, '--limit', '4MB/s', file];
    await using sending = dropOnScreen(words, { home: bob });
    await sending.waitFor(/Code shown/);
    sending.type(`${code}\r`);
    const { transfer } = await receiving.event('progress', ({ bytes }) => bytes > MB);
    control.pause(transfer);
    await sending.waitFor(/^"Ana" has paused it\.$/m);
    await sending.waitFor(/ of 20\.0 MB {2}paused there$/m);
    expect(sending.text()).not.toMatch(/MB\/s|left$/m);
    control.resume(transfer);
    await sending.waitFor(/^"Ana" goes on\.$/m);
    await sending.waitFor(/MB\/s|Sent/);
    await sending.waitFor(/Sent 1 file/);
    expect(await sending.outcome()).toEqual({ code: 0, signal: 0 });
    expect(await digestOf(join(ana.downloads, 'large'))).toBe(await digestOf(file));
  });

  test.each(['who fetches', 'who shares'] as const)('by %s, is known to the other', async (who) => {
    await using ana = new Home();
    await using bob = new Home();
    const [fetched, shared] = [new Control(), new Control()];
    const file = await large(bob);
    await using sharing = new Watched<ShareEvent>((signal) =>
      share([file], { ...at(bob), limit: RATE, control: shared, signal }),
    );
    const { port, code } = await sharing.event('ready');
    await using getting = new Watched((signal) =>
      get({
        ...{ ...at(ana), from: `127.0.0.1:${port}`, code: async () => code ?? '' },
        ...{ control: fetched, signal },
      }),
    );
    await getting.event('progress', ({ bytes }) => bytes > MB);
    const [ours, control, theirs] =
      who === 'who fetches' ? [getting, fetched, sharing] : [sharing, shared, getting];
    control.pause();
    await (ours as Watched<TransferEvent>).event('paused', ({ by }) => by === 'here');
    await (theirs as Watched<TransferEvent>).event('paused', ({ by }) => by === 'there');
    control.resume();
    await (theirs as Watched<TransferEvent>).event('resumed', ({ by }) => by === 'there');
    expect(await getting.event('summary')).toMatchObject({ ok: true });
    expect(await digestOf(join(ana.downloads, 'large'))).toBe(await digestOf(file));
  });

  test.each(['who sends', 'who fetches'] as const)('can be cancelled by %s', async (who) => {
    await using ana = new Home();
    await using bob = new Home();
    const file = await large(bob);
    const control = new Control();
    const sends = who === 'who sends';
    await using there = new Watched<ReceiveEvent | ShareEvent>((signal) =>
      sends ? receive({ ...at(ana), signal }) : share([file], { ...at(ana), limit: RATE, signal }),
    );
    const { port, code } = await there.event('ready');
    const address = `127.0.0.1:${port}`;
    const ours = { ...at(bob), code: async () => code ?? '', control };
    await using here = new Watched<TransferEvent>((signal) =>
      sends
        ? (send([file], { ...ours, to: address, limit: RATE, signal }) as AsyncIterable<never>)
        : (get({ ...ours, from: address, signal }) as AsyncIterable<never>),
    );
    const { transfer } = await here.event('progress', ({ bytes }) => bytes > MB);
    control.pause(transfer);
    await (there as Watched<TransferEvent>).event('paused', ({ by }) => by === 'there');
    control.cancel('0'.repeat(32));
    control.cancel(transfer);
    expect(await here.error()).toMatchObject({ code: 'cancelled' });
    expect(await here.event('summary')).toMatchObject({ ok: false, code: 'cancelled' });
    const cancelled = { ok: false, code: 'cancelled' };
    expect(await (there as Watched<TransferEvent>).event('summary')).toMatchObject(cancelled);
  });
});

async function large({ path }: Home): Promise<string> {
  const file = join(path, 'large');
  await makeFile(file, 'large', SIZE);
  return file;
}

function at({ state, downloads }: Home) {
  return { home: state, into: downloads, interfaces: ['lo'], name: 'Ana' };
}

/** Something of the library that runs, and all that it tells. */
class Watched<E extends { readonly event: string }> implements AsyncDisposable {
  readonly #events: E[] = [];
  readonly #stop = new AbortController();
  readonly #ended: Promise<unknown>;
  #error: unknown;

  constructor(begin: (signal: AbortSignal) => AsyncIterable<E>) {
    this.#ended = (async () => {
      for await (const event of begin(this.#stop.signal)) this.#events.push(event);
    })().catch((error: unknown) => {
      this.#error = error;
    });
  }

  /** The first of this name that `where` holds for. */
  event<Name extends E['event']>(
    name: Name,
    where: (event: Extract<E, { readonly event: Name }>) => boolean = () => true,
  ): Promise<Extract<E, { readonly event: Name }>> {
    type Wanted = Extract<E, { readonly event: Name }>;
    return vi.waitFor(
      () => {
        const found = this.#events.find((one) => one.event === name && where(one as Wanted));
        if (found === undefined) throw new Error(`no ${name}: ${JSON.stringify(this.#events)}`);
        return found as Wanted;
      },
      { timeout: PATIENCE, interval: 20 },
    );
  }

  /** What it fails with. */
  async error(): Promise<DropError | undefined> {
    await this.#ended;
    return this.#error as DropError | undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }
}
