import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Pair } from '../lab/pair.ts';
import type { Drop } from '../support/bin.ts';
import { digestOf, makeFile } from '../support/content.ts';
import { describeWith, LAB } from '../support/skip.ts';

const MiB = 1024 * 1024;

/** Lines like those of a log: much alike, and no two the same. */
async function makeLog(path: string, size: number): Promise<void> {
  await using file = await open(path, 'w');
  let line = 0;
  for (let left = size; left > 0; ) {
    let text = '';
    while (text.length < Math.min(left, MiB)) {
      line += 1;
      const id = (line * 2_654_435_761) % 4_294_967_296;
      text += `2026-11-29 12:00:00 host${id % 7} GET /orders/${id} 200 ${id % 9973} id=${id.toString(16)}\n`;
    }
    const bytes = Buffer.from(text).subarray(0, left);
    await file.write(bytes);
    left -= bytes.length;
  }
}

describeWith(LAB, 'over a slow network', () => {
  /** Sends it, and returns how many bytes that were on the wire, and in the summaries of both. */
  async function send(pair: Pair, name: string, args: readonly string[]) {
    await using receiving = await pair.receive();
    const before = pair.left.traffic('lan').sent;
    await using sending = pair.send([name, ...args]);
    expect(await sending.outcome()).toMatchObject({ code: 0 });
    const wire = pair.left.traffic('lan').sent - before;
    const source = join(pair.bob.path, name);
    expect(await digestOf(join(pair.ana.downloads, name))).toBe(await digestOf(source));
    const { sent } = await sending.event('summary');
    expect((await receiving.event('summary')).sent).toBe(sent);
    return { wire, sent };
  }

  test('a log is packed on its way, and takes less than half of the wire', async () => {
    await using pair = new Pair('20mbit');
    await makeLog(join(pair.bob.path, 'log'), 24 * MiB);
    const { wire, sent } = await send(pair, 'log', []);
    expect(sent).toBeLessThan(12 * MiB);
    // What the system adds to it, and what went to everybody.
    expect(wire).toBeGreaterThan(sent);
    expect(wire).toBeLessThan(1.1 * sent + 100_000);
  });

  test('nothing is packed if it is not to be, and all that can be if it is', async () => {
    await using pair = new Pair('100mbit');
    await makeLog(join(pair.bob.path, 'log'), 8 * MiB);
    await makeFile(join(pair.bob.path, 'noise'), 'noise', 4 * MiB);
    const never = await send(pair, 'log', ['--compress', 'never']);
    expect(never.sent).toBe(8 * MiB);
    expect(never.wire).toBeGreaterThan(8 * MiB);
    await rm(join(pair.ana.downloads, 'log'));
    const always = await send(pair, 'log', ['--compress', 'always']);
    expect(always.sent).toBeLessThan(3 * MiB);
    expect(always.wire).toBeLessThan(3.5 * MiB);
    expect((await send(pair, 'noise', ['--compress', 'always'])).sent).toBe(4 * MiB);
  });
});

describeWith(LAB, 'with a limit', () => {
  /** How far it is; resolves when so many bytes are there. */
  const reached = (sending: Drop, bytes: number) =>
    sending.event('progress', (event) => event.bytes >= bytes);

  test('no more bytes go than it says, and none are lost', async () => {
    await using pair = new Pair();
    await using receiving = await pair.receive();
    await makeFile(join(pair.bob.path, 'file'), 'file', 3 * MiB);
    await using sending = pair.send(['file', '--limit', '1MB/s']);
    await reached(sending, 200_000);
    // Both are read before the bytes are, so that what comes between is not taken for more.
    const began = performance.now();
    const before = pair.left.traffic('lan').sent;
    await reached(sending, 1.5 * MiB);
    const sent = pair.left.traffic('lan').sent - before;
    const ms = performance.now() - began;
    // A tenth for what the system adds, and a little at once.
    expect(sent).toBeLessThan(1.1 * 1_000 * ms + 100_000);
    expect(await sending.outcome()).toMatchObject({ code: 0 });
    const { sent: all, ms: took } = await sending.event('summary');
    expect(all).toBe(3 * MiB);
    expect(all).toBeLessThan(1_000 * took + 100_000);
    expect(await receiving.event('saved')).toMatchObject({ bytes: 3 * MiB });
  });

  test('however low it is, the connection lives, and Ctrl-C ends it', async () => {
    await using pair = new Pair();
    await using receiving = await pair.receive();
    await makeFile(join(pair.bob.path, 'file'), 'file', MiB);
    const before = pair.left.traffic('lan').sent;
    await using sending = pair.send(['file', '--limit', '100B/s']);
    await receiving.event('accepted');
    // Longer than silence is borne; nothing of the second portion has gone by then.
    await sleep(18_000);
    expect(sending.events.map(({ event }) => event)).not.toContain('reconnecting');
    sending.kill('SIGINT');
    expect(await sending.outcome()).toMatchObject({ signal: 'SIGINT' });
    expect(await receiving.event('summary')).toMatchObject({ ok: false, code: 'cancelled' });
    expect(pair.left.traffic('lan').sent - before).toBeLessThan(100_000);
  });
});
