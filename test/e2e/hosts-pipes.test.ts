import { readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Host, Lab } from '../lab/hosts.ts';
import { drop } from '../support/bin.ts';
import { Home } from '../support/home.ts';
import { notingPeak, peakIn } from '../support/peak.ts';
import { describeWith, LAB } from '../support/skip.ts';

const GIB = 1024 ** 3;

/** Makes `drop` the end, and the start, of a pipe, in a process that is `drop` itself. */
const INTO = ['bash', '-c', 'exec "$@" > >(wc -c > counted)', 'bash'];
/** The last 64 MiB come once a file of the name `rest` is there. */
const FROM = (bytes: number): string[] => [
  'bash',
  '-c',
  `exec "$@" < <(head -c ${bytes - REST} /dev/zero
    until test -e rest; do sleep 0.05; done
    head -c ${REST} /dev/zero)`,
  'bash',
];
const REST = 64 * 1024 ** 2;

/** ms. So much takes long on a busy machine. */
const LONG = 240_000;

describeWith([...LAB, 'bash'], 'a pipe from one computer to another', () => {
  let lab: Lab;
  let left: Host;
  let right: Host;

  beforeEach(() => {
    lab = Lab.create();
    left = lab.host('left', { bridge: 'lan', addresses: ['10.77.0.1/24'] });
    right = lab.host('right', { bridge: 'lan', addresses: ['10.77.0.2/24'] });
  });
  afterEach(() => lab.destroy());

  const peakOf = ({ path }: Home): string => join(path, 'peak');

  /** Ana receives into a pipe, Bob sends from one; they know each other. */
  async function pipe(bytes: number, ana: Home, bob: Home, ...more: string[]) {
    await writeFile(join(ana.path, 'pin'), 'correct horse', { mode: 0o600 });
    const receiving = drop(['receive', '--stdout', '--pin-file', 'pin', '--yes', '--name', 'Ana'], {
      home: ana,
      host: right,
      env: notingPeak(peakOf(ana)),
      by: INTO,
      patience: LONG,
    });
    await receiving.said(/Waiting/);
    const sending = drop(['send', '--json', '--to', 'Ana', '-', ...more], {
      home: bob,
      host: left,
      env: { DROP_CODE: 'correct horse', ...notingPeak(peakOf(bob)) },
      by: FROM(bytes),
      peer: receiving,
      patience: LONG,
    });
    return { receiving, sending };
  }

  /** Lets the rest go into Bob's pipe. */
  function goOn(bob: Home): Promise<void> {
    return writeFile(join(bob.path, 'rest'), '');
  }

  async function counted(home: Home): Promise<number> {
    // What counts ends a little after what it counts.
    for (;;) {
      const found = readdirSync(home.path).includes('counted');
      const text = found ? readFileSync(join(home.path, 'counted'), 'utf8') : '';
      if (text !== '') return Number(text);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  test('takes 3 GiB of unknown length in a memory that stays flat', async () => {
    await using ana = new Home();
    await using bob = new Home();
    const { receiving, sending } = await pipe(3 * GIB, ana, bob, '--compress', 'never');
    await using _ = receiving;
    await using __ = sending;
    await goOn(bob);
    expect((await sending.outcome()).code).toBe(0);
    expect((await receiving.outcome()).code).toBe(0);
    for (const home of [bob, ana]) expect(peakIn(peakOf(home))).toBeLessThan(130 * 1024);
    expect(await counted(ana)).toBe(3 * GIB);
  }, 600_000);

  test('survives a cable that is pulled in the middle', async () => {
    await using ana = new Home();
    await using bob = new Home();
    const bytes = 100_000_000;
    const { receiving, sending } = await pipe(
      bytes,
      ana,
      bob,
      '--compress',
      'never',
      '--limit',
      '20MB/s',
    );
    await using _ = receiving;
    await using __ = sending;
    await sending.event('progress', (event) => event.bytes > bytes / 5);
    right.reset('meta l4proto tcp');
    await sending.event('reconnecting');
    right.loseNothing();
    await goOn(bob);
    expect((await sending.outcome()).code).toBe(0);
    expect((await receiving.outcome()).code).toBe(0);
    expect(await counted(ana)).toBe(bytes);
    const { resumed, sent } = await sending.event('summary');
    expect(resumed + sent).toBeLessThan(bytes + 64 * 1024 ** 2);
  }, 600_000);
});
