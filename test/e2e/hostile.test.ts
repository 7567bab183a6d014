import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Identity, loadIdentity } from '../../src/disk/identity.ts';
import type { DropError } from '../../src/errors.ts';
import type { PeerId } from '../../src/events.ts';
import { type Connection, dial, listen } from '../../src/net/tls.ts';
import { Channel } from '../../src/transfer/channel.ts';
import { greetAsChooser, introduce } from '../../src/transfer/greeting.ts';
import { type Drop, drop } from '../support/bin.ts';
import { Home } from '../support/home.ts';

/** Ana waits for files. Eve was paired once, and does not behave. */
describe('a device that is known and hostile', () => {
  let ana: Home;
  let eve: Home;
  let receiving: Drop;
  let identity: Identity;
  let port: number;
  let id: PeerId;
  const open: Connection[] = [];

  beforeEach(async () => {
    ana = new Home();
    eve = new Home();
    receiving = drop(['receive', '--json', '--yes', '--name', 'Ana'], { home: ana });
    const ready = await receiving.event('ready');
    ({ port, id } = ready);
    await writeFile(join(eve.path, 'a.txt'), 'a');
    await using sending = drop(['send', '--to', `127.0.0.1:${port}`, 'a.txt'], {
      home: eve,
      env: { DROP_CODE: ready.code ?? '' },
    });
    expect((await sending.outcome()).code).toBe(0);
    identity = await loadIdentity(eve.state);
  });
  afterEach(async () => {
    for (const connection of open.splice(0)) connection.destroy();
    await receiving[Symbol.asyncDispose]();
    await ana[Symbol.asyncDispose]();
    await eve[Symbol.asyncDispose]();
  });

  async function call(): Promise<Channel> {
    const never = new AbortController().signal;
    const connection = await dial({ host: '127.0.0.1', port }, identity, never);
    open.push(connection);
    const channel = new Channel('chooser', connection);
    const { binding } = connection;
    const ends = { me: identity.id, peer: id, binding };
    expect(await greetAsChooser(channel, ends, { intent: 'send', knows: true })).toBe('known');
    return channel;
  }

  test('gets four visits at a time, and a place again when one of them ends', async () => {
    for (let i = 0; i < 4; i++) await introduce(await call(), 'Eve');
    await expect(call().then((channel) => introduce(channel, 'Eve'))).rejects.toMatchObject({
      code: 'busy',
    });
    open[0]?.destroy();
    const again = async (): Promise<string> => {
      // Not too often, or its address would not be let in for that.
      for (; ; await sleep(100))
        try {
          return (await introduce(await call(), 'Eve')).name;
        } catch (error) {
          expect((error as DropError).code).toBe('busy');
        }
    };
    expect(await again()).toBe('Ana');
    // Without a yes nothing of it was ever on the disk.
    expect(await readdir(ana.downloads)).toEqual(['a.txt']);
  });

  test('that never says its name is shown out, however often it says that it is alive', async () => {
    const channel = await call();
    const beat = setInterval(() => void channel.say({ type: 'alive' }).catch(() => {}), 500);
    await channel.hear('intro');
    // The 10 seconds of the greeting are over when the name was said, and not before.
    await expect(channel.hear('roots')).rejects.toMatchObject({ code: 'disconnected' });
    clearInterval(beat);
  });

  test('is stored nothing of that it did not offer, and ends with its own visit only', async () => {
    const channel = await call();
    await introduce(channel, 'Eve');
    await channel.say({ type: 'begin', continues: null, checksum: false, digests: ['sha256'] });
    await channel.say({ type: 'roots', names: ['x'], final: true });
    await channel.say({
      type: 'offer',
      entries: [{ kind: 'file', path: 'x', size: 4, mtime: 0 }],
      files: 1,
      bytes: 4,
      final: true,
    });
    await channel.hear('begun');
    await channel.hear('accept');
    await channel.hear('want');
    // The bytes are right, the digest is not.
    await channel.say({ type: 'chunk', entry: 0, offset: 0, bytes: new Uint8Array(4) });
    await channel.say({ type: 'end', entry: 0, digest: new Uint8Array(32) });
    expect(await channel.hear('failed')).toMatchObject({ entry: 0, code: 'corrupt' });
    open[0]?.destroy();
    await receiving.event('reconnecting');
    const stored = await readdir(ana.downloads);
    expect(stored.filter((name) => !name.startsWith('.drop-'))).toEqual(['a.txt']);
    await introduce(await call(), 'Eve');
  });
});

test('strangers that say nothing leave no word on the screen', async () => {
  await using ana = new Home();
  await using eve = new Home();
  await using receiving = drop(['receive', '--json', '--yes'], { home: ana });
  const { port } = await receiving.event('ready');
  await using once = drop(['send', '--to', '127.0.0.1:1', 'x'], { home: eve });
  await once.outcome();
  const { openHome } = await import('../../src/disk/home.ts');
  await openHome(eve.state);
  const identity = await loadIdentity(eve.state);
  const never = new AbortController().signal;
  // Most of them are shown out, as there are too many.
  const strangers = await Promise.allSettled(
    Array.from({ length: 40 }, () => dial({ host: '127.0.0.1', port }, identity, never)),
  );
  const inside = strangers.filter((one) => one.status === 'fulfilled');
  expect(inside).not.toHaveLength(0);
  for (const { value } of inside) value.destroy();
  const { stderr, stdout } = await receiving.stop();
  expect(stderr).toBe('');
  expect(stdout.trim().split('\n')).toHaveLength(1);
});

test('a stranger that takes its time before the first word has no more for the others', async () => {
  await using ana = new Home();
  await using eve = new Home();
  await using receiving = drop(['receive', '--json', '--yes'], { home: ana });
  const { port } = await receiving.event('ready');
  const { openHome } = await import('../../src/disk/home.ts');
  await openHome(eve.state);
  const identity = await loadIdentity(eve.state);
  const come = async (): Promise<Connection> => {
    const { signal } = new AbortController();
    const connection = await dial({ host: '127.0.0.1', port }, identity, signal);
    connection.greeted(60_000);
    return connection;
  };
  const slow = await come();
  await sleep(5_000);
  const silent = await come();
  const channel = new Channel('chooser', slow);
  await channel.say({ type: 'hello', newest: 1, oldest: 1, intent: 'send', knows: false });
  await channel.hear('welcome');
  const ends = [slow.over.then(() => 'slow'), silent.over.then(() => 'silent')];
  expect(await Promise.race(ends)).toBe('slow');
  silent.destroy();
});

test('a device that says nothing after the handshake does not keep a sender for ever', async () => {
  await using bob = new Home();
  await using eve = new Home();
  const { openHome } = await import('../../src/disk/home.ts');
  await openHome(eve.state);
  const listener = await listen([0], await loadIdentity(eve.state), {
    card: { run: '1234567890abcdef', name: 'Eve', part: 'announcer', way: 'send' },
    onConnection: () => {},
  });
  await writeFile(join(bob.path, 'a.txt'), 'a');
  await using sending = drop(['send', '--to', `127.0.0.1:${listener.port}`, 'a.txt'], {
    home: bob,
  });
  expect((await sending.outcome()).code).toBe(3);
  listener.close();
});
