import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Pair } from '../lab/pair.ts';
import { type Drop, drop } from '../support/bin.ts';
import { digestOf, makeFile } from '../support/content.ts';
import { describeWith, LAB } from '../support/skip.ts';

const MiB = 1024 * 1024;

/** What a usual firewall keeps out: connections that others make. Multicast DNS comes in. */
const NEW_TCP = 'meta l4proto tcp ct state new';
const MULTICAST = 'udp dport 5353';

describeWith(LAB, 'a receiver that nobody can dial', () => {
  test.concurrent('dials a sender that it knows, whether its firewall is silent or refuses', async () => {
    await using pair = await acquainted();
    for (const refuse of [false, true]) {
      pair.right.loseNothing();
      if (refuse) pair.right.reset(NEW_TCP);
      else pair.right.lose(NEW_TCP, 10);
      const receiving = await pair.receive();
      await deliver(pair, `refused ${refuse}`);
      await receiving.stop();
    }
  });

  test.concurrent('is in the list of those whom it knows, and goes with its process', async () => {
    await using pair = await acquainted();
    pair.right.lose(NEW_TCP, 10);
    await using watching = drop(['peers', '--watch', '--json'], {
      host: pair.left,
      home: pair.bob,
    });
    const receiving = await pair.receive();
    const { run } = await watching.event('peer', ({ name }) => name === 'Ana');
    receiving.kill('SIGKILL');
    await watching.event('peer', (event) => event.run === run && event.state === 'lost');
    const { run: next } = await pair
      .receive()
      .then(() => watching.event('peer', (event) => event.run !== run && event.state === 'found'));
    expect(next).not.toBe(run);
  });

  test.concurrent('and hears no multicast finds a sender where it was met', async () => {
    await using pair = await acquainted();
    pair.right.lose(NEW_TCP, 10);
    pair.right.lose(MULTICAST, 10);
    const receiving = await pair.receive();
    await deliver(pair, 'deaf');
    await receiving.event('hidden', ({ cause }) => cause === 'cannot-hear');
  });

  test.concurrent('asks for the code of a new device as ever', async () => {
    await using pair = new Pair();
    pair.right.lose(NEW_TCP, 10);
    await pair.receive();
    const sending = await deliver(pair, 'new');
    expect(sending.events.filter(({ event }) => event === 'paired')).toHaveLength(1);
    const wrong = drop(['send', '--json', '--to', 'Ana', 'new'], {
      host: pair.left,
      cwd: pair.bob.path,
      env: { DROP_CODE: '000000' },
    });
    expect((await wrong.outcome()).code).toBe(6);
  });

  test.concurrent('shows nothing of a stranger when nobody is there to agree', async () => {
    await using pair = new Pair();
    pair.right.lose(NEW_TCP, 10);
    await using receiving = drop(['receive', '--json', '--name', 'Ana'], {
      host: pair.right,
      home: pair.ana,
    });
    await receiving.event('ready');
    await writeFile(join(pair.bob.path, 'a'), 'a');
    const args = ['send', '--json', '--to', 'Ana', '--wait', '6', 'a'];
    await using sending = drop(args, { host: pair.left, home: pair.bob });
    expect((await sending.outcome()).code).toBe(3);
    expect(receiving.events.map(({ event }) => event)).toEqual(['ready']);
  });

  test.concurrent('resumes after the link was down', async () => {
    await using pair = await acquainted('200mbit');
    pair.right.lose(NEW_TCP, 10);
    await pair.receive();
    await makeFile(join(pair.bob.path, 'large'), 'large', 100 * MiB);
    const sending = pair.send(['large']);
    await sending.event('progress', ({ bytes }) => bytes > 20 * MiB);
    // All that is on its way is lost, and then every connection.
    pair.left.unplug('lan');
    await new Promise((resolve) => setTimeout(resolve, 20_000));
    pair.left.replug('lan');
    await sending.event('resuming');
    expect((await sending.outcome()).code).toBe(0);
    expect(await digestOf(join(pair.ana.downloads, 'large'))).toBe(
      await digestOf(join(pair.bob.path, 'large')),
    );
  });

  test.concurrent('is reached where it was met when there is no multicast at all', async () => {
    await using pair = await acquainted();
    for (const host of [pair.left, pair.right]) host.lose(MULTICAST, 10);
    await pair.receive();
    await deliver(pair, 'remembered');
  });

  test.concurrent('is found by a scan when there is no multicast, and nobody has met it', async () => {
    await using pair = new Pair();
    for (const host of [pair.left, pair.right]) host.lose(MULTICAST, 10);
    await pair.receive();
    await writeFile(join(pair.bob.path, 'a'), 'a');
    expect((await pair.send(['--wait', '4', 'a']).outcome()).code).toBe(3);
    const sending = pair.send(['--scan', 'a']);
    await sending.event('paired');
    expect((await sending.outcome()).code).toBe(0);
    // Now that they have met, there is no need of it.
    expect((await pair.send(['a']).outcome()).code).toBe(0);
  });

  test.concurrent('is asked by its address, too', async () => {
    await using pair = await acquainted();
    pair.right.lose(NEW_TCP, 10);
    await pair.receive();
    await deliver(pair, 'by address', '10.77.0.2');
  });

  test.concurrent('and whose sender lets nobody in either cannot be reached, and that is said', async () => {
    await using pair = await acquainted();
    for (const host of [pair.left, pair.right]) host.lose(NEW_TCP, 10);
    await pair.receive();
    await writeFile(join(pair.bob.path, 'a'), 'a');
    const { code } = await pair.send(['--wait', '5', 'a']).outcome();
    expect(code).toBe(3);
  });
});

/** Two that have paired; both commands have ended since. */
async function acquainted(rate?: string): Promise<Pair> {
  const pair = new Pair(rate);
  const receiving = await pair.receive(['--once']);
  await deliver(pair, 'first');
  await receiving.outcome();
  return pair;
}

async function deliver(pair: Pair, name: string, to = 'Ana'): Promise<Drop> {
  await writeFile(join(pair.bob.path, name), `content of ${name}`);
  const sending = pair.send([...(to === 'Ana' ? [] : ['--to', to]), name]);
  const { code, stdout } = await sending.outcome();
  expect(code, stdout).toBe(0);
  expect(await readFile(join(pair.ana.downloads, name), 'utf8')).toBe(`content of ${name}`);
  return sending;
}
