import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Pair } from '../lab/pair.ts';
import { type Drop, drop, dropOnScreen } from '../support/bin.ts';
import { content, digestOf, makeFile } from '../support/content.ts';
import { Home } from '../support/home.ts';
import { Onlooker } from '../support/onlooker.ts';
import { describeWith, LAB } from '../support/skip.ts';
import { treeDifferences } from '../support/tree.ts';

const MiB = 1024 * 1024;

/** Longer than silence is borne, in ms. */
const LONG = 17_000;

/** Ends all connections of a host at once, and new ones as soon as they are tried. */
const EVERY_CONNECTION = 'meta l4proto tcp';

// What is interrupted is so slow that most of it is left.
describeWith(LAB, 'whatever interrupts it', () => {
  test('both are killed and the link is down: 600 MiB arrive, and most of them only once', async () => {
    await using pair = new Pair('800mbit');
    const { ana, bob, left } = pair;
    const size = 600 * MiB;
    await makeFile(join(bob.path, 'large'), 'large', size);
    using onlooker = new Onlooker(ana.downloads);

    const receiving = await pair.receive();
    const first = pair.send(['large']);
    await reached(first, 0.3 * size);
    receiving.kill('SIGKILL');
    const again = await pair.receive();
    await first.event('reconnecting');
    const resuming = await first.event('resuming');
    expect(resuming).toMatchObject({ total: size });
    expect(resuming.bytes).toBeGreaterThan(0.2 * size);
    expect(await again.event('resuming')).toMatchObject({ bytes: resuming.bytes, total: size });
    await reached(first, 0.5 * size);
    first.kill('SIGKILL');

    const last = pair.send(['large']);
    await reached(last, 0.6 * size);
    left.unplug('lan');
    await sleep(8_000);
    left.replug('lan');
    await expectEnd(last, 0);
    const { sent, ...sums } = await last.event('summary');
    expect(sums).toMatchObject({ ok: true, files: 1, bytes: size, failed: 0 });
    expect(sent).toBeLessThan(0.65 * size);
    await expectOnly(pair, 'large');
    expect(onlooker.complaints()).toEqual([]);
    expect(onlooker.seen).toEqual(['large']);
  });

  // These mostly wait for silence to be noticed, so they wait together.
  test.concurrent('the receiver, and then the sender, gets another address', async () => {
    await using pair = new Pair('100mbit');
    const { bob, left, right } = pair;
    const size = 48 * MiB;
    await makeFile(join(bob.path, 'large'), 'large', size);
    const receiving = await pair.receive();
    const sending = pair.send(['large']);
    await reached(sending, 0.25 * size);
    right.setAddresses('lan', ['10.77.0.22/24']);
    await sending.event('resuming');
    await reached(sending, 0.6 * size);
    left.setAddresses('lan', ['10.77.0.11/24']);
    await expectEnd(sending, 0);
    const { sent } = await sending.event('summary');
    expect(sent).toBeLessThan(1.3 * size);
    expect(accepted(receiving)).toBe(1);
    await expectOnly(pair, 'large');
  });

  test.concurrent('a connection that is dead without a sign keeps nothing from the next run', async () => {
    await using pair = new Pair('100mbit');
    const size = 48 * MiB;
    await makeFile(join(pair.bob.path, 'large'), 'large', size);
    await pair.receive();
    const sending = pair.send(['large']);
    await reached(sending, 0.5 * size);
    // No last word of the one that is killed reaches the receiver.
    pair.left.setAddresses('lan', ['10.77.0.11/24']);
    sending.kill('SIGKILL');
    const again = pair.send(['large']);
    await expectEnd(again, 0);
    expect((await again.event('summary')).sent).toBeLessThan(0.7 * size);
    await expectOnly(pair, 'large');
  });

  test.concurrent('a cable that stays pulled is noticed on both sides: 5, and nothing is there', async () => {
    await using pair = new Pair('50mbit');
    const size = 32 * MiB;
    await makeFile(join(pair.bob.path, 'large'), 'large', size);
    using onlooker = new Onlooker(pair.ana.downloads);
    const receiving = await pair.receive();
    const sending = pair.send(['--wait', '3', 'large']);
    await reached(sending, 0.25 * size);
    pair.left.unplug('lan');
    await receiving.event('reconnecting');
    await expectEnd(sending, 5);
    expect(await sending.event('summary')).toMatchObject({ ok: false, code: 'disconnected' });
    expect(onlooker.seen).toEqual([]);
  });

  test.concurrent('both are suspended for longer than silence is borne, and go on', async () => {
    await using pair = new Pair('100mbit');
    const size = 32 * MiB;
    await makeFile(join(pair.bob.path, 'large'), 'large', size);
    const receiving = await pair.receive();
    const sending = pair.send(['large']);
    await reached(sending, 0.25 * size);
    for (const one of [sending, receiving]) one.kill('SIGSTOP');
    await sleep(LONG);
    for (const one of [sending, receiving]) one.kill('SIGCONT');
    await expectEnd(sending, 0);
    expect(accepted(receiving)).toBe(1);
    await expectOnly(pair, 'large');
  });

  test.concurrent.for(['receiver', 'sender'] as const)(
    'the %s is suspended: the other one gives the connection up, and takes up another',
    async (which) => {
      await using pair = new Pair('50mbit');
      const size = 32 * MiB;
      await makeFile(join(pair.bob.path, 'large'), 'large', size);
      const receiving = await pair.receive();
      const sending = pair.send(['large']);
      await reached(sending, 0.25 * size);
      const both = [receiving, sending] as const;
      const [suspended, awake] = which === 'receiver' ? both : both.toReversed();
      suspended?.kill('SIGSTOP');
      await awake?.event('reconnecting');
      suspended?.kill('SIGCONT');
      await expectEnd(sending, 0);
      expect((await sending.event('summary')).sent).toBeLessThan(1.3 * size);
      expect(accepted(receiving)).toBe(1);
      await expectOnly(pair, 'large');
    },
  );

  test('the receiver comes back on another port, and is found by its announcement', async () => {
    await using pair = new Pair('100mbit');
    const size = 32 * MiB;
    await makeFile(join(pair.bob.path, 'large'), 'large', size);
    const receiving = await pair.receive(['--port', '20001']);
    const sending = pair.send(['large']);
    await reached(sending, 0.5 * size);
    receiving.kill('SIGKILL');
    await pair.receive(['--port', '20002']);
    await expectEnd(sending, 0);
    expect((await sending.event('summary')).sent).toBeLessThan(1.3 * size);
    await expectOnly(pair, 'large');
  });

  test('another device under the same name is not taken for the one that was lost', async () => {
    await using pair = new Pair('50mbit');
    await using eve = new Home();
    const size = 32 * MiB;
    await makeFile(join(pair.bob.path, 'large'), 'large', size);
    const receiving = await pair.receive();
    const sending = pair.send(['--wait', '4', 'large']);
    await reached(sending, 0.25 * size);
    receiving.kill('SIGKILL');
    const args = ['receive', '--json', '--yes', '--name', 'Ana'];
    await using instead = drop(args, { home: eve, host: pair.right });
    await instead.event('ready');
    await expectEnd(sending, 5);
    expect(await readdir(eve.downloads)).toEqual([]);
    expect(instead.events.map(({ event }) => event)).toEqual(['ready']);
  });

  test('a device that stays away is waited for as long as --wait says: 5', async () => {
    await using pair = new Pair('50mbit');
    const size = 32 * MiB;
    await makeFile(join(pair.bob.path, 'large'), 'large', size);
    using onlooker = new Onlooker(pair.ana.downloads);
    const receiving = await pair.receive();
    const sending = pair.send(['--wait', '6', 'large']);
    await reached(sending, 0.25 * size);
    receiving.kill('SIGKILL');
    await expectEnd(sending, 5);
    expect(await sending.event('summary')).toMatchObject({ ok: false, code: 'disconnected' });
    expect(onlooker.seen).toEqual([]);
    const pauses = sending.events.flatMap((one) =>
      one.event === 'reconnecting' ? [one.next] : [],
    );
    expect(pauses.length).toBeGreaterThan(2);
    expect(Number(pauses.at(-1))).toBeGreaterThan(Number(pauses[1]));
  });

  test('Ctrl-C here or there keeps what arrived, and the same command goes on with it', async () => {
    await using pair = new Pair('50mbit');
    const size = 48 * MiB;
    await makeFile(join(pair.bob.path, 'large'), 'large', size);
    const receiving = await pair.receive();
    const first = pair.send(['large']);
    await reached(first, 0.3 * size);
    expect(await receiving.stop()).toMatchObject({ signal: 'SIGINT' });
    // It was stopped by a person: nobody waits for it.
    await expectEnd(first, 5);
    expect(first.events.map(({ event }) => event)).not.toContain('reconnecting');

    const again = await pair.receive();
    const second = pair.send(['large']);
    expect((await second.event('resuming')).bytes).toBeGreaterThan(0.2 * size);
    await reached(second, 0.6 * size);
    expect(await second.stop()).toMatchObject({ signal: 'SIGINT' });
    expect(await again.event('summary')).toMatchObject({ ok: false, code: 'cancelled' });

    const third = pair.send(['large']);
    await expectEnd(third, 0);
    expect((await third.event('summary')).sent).toBeLessThan(0.5 * size);
    await expectOnly(pair, 'large');
  });

  test('a folder of many files goes on where it was, and none of them comes twice', async () => {
    await using pair = new Pair('30mbit');
    const { ana, bob, right } = pair;
    const tree = join(bob.path, 'tree');
    let size = 0;
    for (let i = 0; i < 800; i++) {
      await mkdir(join(tree, `${i % 9}`), { recursive: true });
      await makeFile(join(tree, `${i % 9}`, `file ${i}`), `file ${i}`, i * 70);
      size += i * 70;
    }
    using onlooker = new Onlooker(ana.downloads);
    const receiving = await pair.receive();
    const sending = pair.send(['tree']);
    await reached(sending, 0.3 * size);
    right.reset(EVERY_CONNECTION);
    await sending.event('reconnecting');
    right.loseNothing();
    await reached(sending, 0.6 * size);
    receiving.kill('SIGKILL');
    await pair.receive();
    await expectEnd(sending, 0);
    expect(await sending.event('summary')).toMatchObject({ files: 800, bytes: size, failed: 0 });
    expect((await sending.event('summary')).sent).toBeLessThan(1.4 * size);
    expect(await treeDifferences(tree, join(ana.downloads, 'tree'))).toEqual([]);
    expect(await readdir(ana.downloads)).toEqual(['tree']);
    expect(onlooker.complaints()).toEqual([]);
  });

  test('standard input survives an outage, too', async () => {
    await using pair = new Pair('50mbit');
    const { ana, right } = pair;
    const size = 48 * MiB;
    const input = Buffer.concat([...content('stream', size)]);
    using onlooker = new Onlooker(ana.downloads);
    await pair.receive();
    const sending = pair.send(['-', '--name', 'stream.bin'], { input });
    await reached(sending, 0.3 * size);
    right.unplug('lan');
    await sleep(4_000);
    right.replug('lan');
    await reached(sending, 0.6 * size);
    right.reset(EVERY_CONNECTION);
    await sending.event('reconnecting');
    await sleep(2_000);
    right.loseNothing();
    await expectEnd(sending, 0);
    expect(await sending.event('summary')).toMatchObject({ ok: true, files: 1, bytes: size });
    expect(await readdir(ana.downloads)).toEqual(['stream.bin']);
    expect(input.equals(await readFile(join(ana.downloads, 'stream.bin')))).toBe(true);
    expect(onlooker.complaints()).toEqual([]);
  });

  test('a person is asked once, however often the connection is lost', async () => {
    await using pair = new Pair('40mbit');
    const { ana, bob, right } = pair;
    const size = 32 * MiB;
    await makeFile(join(bob.path, 'small'), 'small', 10);
    await makeFile(join(bob.path, 'large'), 'large', size);
    {
      await using pairing = await pair.receive();
      await expectEnd(pair.send(['small']), 0);
      await pairing.stop();
    }
    const receive = () => dropOnScreen(['receive', '--name', 'Ana'], { home: ana, host: right });
    await using receiving = receive();
    await receiving.waitFor(/Ready|Waiting for files/);
    const sending = pair.send(['large']);
    await receiving.waitFor(/wants to send large .*Accept\?/s);
    receiving.type('y\r');
    for (const part of [0.15, 0.3, 0.45]) {
      await reached(sending, part * size);
      const before = count(sending, 'reconnecting');
      right.reset(EVERY_CONNECTION);
      await sending.until(
        () => (count(sending, 'reconnecting') > before ? true : undefined),
        'another reconnecting',
      );
      right.loseNothing();
    }
    await expectEnd(sending, 0);
    await receiving.waitFor(/Saved .*large/);
    expect(receiving.history().match(/Accept\?/g)).toHaveLength(1);
    expect((await readdir(ana.downloads)).sort()).toEqual(['large', 'small']);
  });
});

/** Waits until so many bytes are there or on their way, what was kept included. */
async function reached(sending: Drop, bytes: number): Promise<void> {
  await sending.event('progress', (progress) => progress.bytes >= bytes);
}

async function expectEnd(sending: Drop, exit: number): Promise<void> {
  const { code, stdout } = await sending.outcome();
  expect(code, stdout).toBe(exit);
}

function count(process: Drop, name: string): number {
  return process.events.filter(({ event }) => event === name).length;
}

/** How many transfers it has accepted. */
function accepted(receiving: Drop): number {
  return count(receiving, 'accepted');
}

/** Nothing lies in Ana's folder but this file, and it is what Bob has. */
async function expectOnly({ ana, bob }: Pair, name: string): Promise<void> {
  expect(await readdir(ana.downloads)).toEqual([name]);
  const there = await digestOf(join(ana.downloads, name));
  expect(there).toBe(await digestOf(join(bob.path, name)));
}
