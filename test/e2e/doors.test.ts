import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openHome } from '../../src/disk/home.ts';
import { loadIdentity } from '../../src/disk/identity.ts';
import { keepAlive } from '../../src/meeting/meet.ts';
import { knocker } from '../../src/net/mdns.ts';
import { KNOCK_PORTS } from '../../src/net/ports.ts';
import { newRun } from '../../src/net/run.ts';
import { dial, listen } from '../../src/net/tls.ts';
import { Channel } from '../../src/transfer/channel.ts';
import { greetAsChooser, introduce } from '../../src/transfer/greeting.ts';
import { type Drop, drop, dropOnScreen } from '../support/bin.ts';
import { Home } from '../support/home.ts';

const PIN = 'correct-horse 7';
const ENTER = '\r';

/** Ana, whom nobody can ask anything. */
async function unattended(home: Home, ...args: string[]): Promise<Drop> {
  const receiving = drop(['receive', '--json', '--name', 'Ana', ...args], { home });
  await receiving.event('ready');
  return receiving;
}

/** A file that only Ana may read, with what is to be proven to her. */
async function pinFile(home: Home, pin = PIN): Promise<string> {
  const path = join(home.path, 'pin');
  await writeFile(path, `${pin}\n`, { mode: 0o600 });
  return path;
}

/** Bob sends a small file; how that ends. */
async function send(home: Home, args: string[] = [], env: Record<string, string> = {}) {
  await writeFile(join(home.path, 'a.txt'), 'a');
  await using sending = drop(['send', '--to', 'Ana', ...args, 'a.txt'], { home, env });
  const { code, stderr } = await sending.outcome();
  return { code, stderr };
}

describe('a PIN', () => {
  test('lets in whoever types it, as often as they come, and nobody else', async () => {
    await using ana = new Home();
    await using bob = new Home();
    await using receiving = await unattended(ana, '--pin-file', await pinFile(ana));
    expect(await receiving.event('ready')).toMatchObject({ pin: true, code: null });

    expect((await send(bob)).code).toBe(6);
    expect((await send(bob, [], { DROP_CODE: 'correct-horse 8' })).code).toBe(6);
    expect(await readdir(ana.downloads)).toEqual([]);
    // Blanks and dashes do not count, nor does who else was wrong just before.
    expect((await send(bob, [], { DROP_CODE: 'correct horse-7' })).code).toBe(0);
    expect(await receiving.event('paired')).toMatchObject({ via: 'pin' });
    // A device that is known is to be asked about, and here is nobody.
    const again = await send(bob);
    expect(again).toMatchObject({
      code: 6,
      stderr: expect.stringMatching(/"Ana" asks for its PIN/),
    });
    expect((await send(bob, [], { DROP_CODE: PIN })).code).toBe(0);

    await using trusting = drop(['trust', 'auto'], { home: ana });
    await trusting.outcome();
    const [{ id = '' } = {}] = [await receiving.event('paired')];
    await using trust = drop(['trust', id, 'auto'], { home: ana });
    expect((await trust.outcome()).code).toBe(0);
    expect((await send(bob)).code).toBe(0);
    const record = await readFile(join(ana.state, 'peers', `${id}.json`), 'utf8');
    expect(JSON.parse(record)).toMatchObject({ via: 'pin', trust: 'auto' });

    // It stands nowhere but in its file.
    receiving.kill('SIGTERM');
    const { stdout, stderr } = await receiving.outcome();
    for (const text of [stdout, stderr, record]) expect(text).not.toMatch(/horse/);
  });

  test('comes from DROP_PIN, too, and devices that are taken with --yes need none twice', async () => {
    await using ana = new Home();
    await using bob = new Home();
    await using receiving = drop(['receive', '--yes', '--name', 'Ana'], {
      home: ana,
      env: { DROP_PIN: PIN },
    });
    await receiving.said(/let in by the PIN that you chose/);
    expect((await send(bob)).code).toBe(6);
    expect((await send(bob, [], { DROP_CODE: PIN })).code).toBe(0);
    expect((await send(bob)).code).toBe(0);
  });

  test('that is drawn is shown to a person, eight digits that stay', async () => {
    await using ana = new Home();
    await using bob = new Home();
    await using receiving = dropOnScreen(['receive', '--pin', '--name', 'Ana'], { home: ana });
    const [, pin = ''] = await receiving.waitFor(
      /PIN for new devices, as long as this runs: (\d{4} \d{4})/,
    );
    await writeFile(join(bob.path, 'a.txt'), 'a');
    await using sending = dropOnScreen(['send', '--to', 'Ana', 'a.txt'], { home: bob });
    await sending.waitFor(/PIN of "Ana":/);
    sending.type(`12345678${ENTER}`);
    await sending.waitFor(/That PIN did not match[\s\S]*PIN of "Ana":/);
    sending.type(`${pin}${ENTER}`);
    await sending.waitFor(/Sent 1 file/);
    // It is not shown where it was typed, and not replaced where it was used.
    expect(sending.history()).not.toContain(pin);
    await using cai = new Home();
    expect((await send(cai, [], { DROP_CODE: pin })).code).toBe(0);
  });

  test.each([
    ['is too short', '1234 567', 0o600, 2, /too short/],
    ['can be read by others', PIN, 0o644, 8, /can be read or changed by other users/],
  ])('that %s is none', async (_, pin, mode, exit, sentence) => {
    await using ana = new Home();
    const path = await pinFile(ana, pin);
    await chmod(path, mode);
    await using receiving = drop(['receive', '--pin-file', path], { home: ana });
    expect(await receiving.outcome()).toMatchObject({
      code: exit,
      stderr: expect.stringMatching(sentence),
    });
  });

  test('that nobody could read is not drawn', async () => {
    await using ana = new Home();
    await using receiving = drop(['receive', '--pin'], { home: ana });
    expect(await receiving.outcome()).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--pin-file'),
    });
  });
});

describe('a receiver that is open to everyone', () => {
  async function open(home: Home, ...args: string[]): Promise<Drop> {
    return unattended(home, '--open', '--into', home.downloads, ...args);
  }

  test('gets nothing of who did not agree to that, and knows nobody afterwards', async () => {
    await using ana = new Home();
    await using bob = new Home();
    await using receiving = await open(ana);
    expect(await receiving.event('ready')).toMatchObject({ open: true, code: null });
    const refused = await send(bob);
    expect(refused).toMatchObject({ code: 6, stderr: expect.stringContaining('--unverified') });
    expect(receiving.events.map(({ event }) => event)).toEqual(['ready']);

    expect((await send(bob, ['--unverified'])).code).toBe(0);
    expect(await receiving.event('request')).toMatchObject({ known: false });
    for (const { state } of [ana, bob]) expect(await readdir(join(state, 'peers'))).toEqual([]);
    // It is as little known as before.
    expect((await send(bob)).code).toBe(6);
  });

  test('makes no program of what comes from anybody', async () => {
    await using ana = new Home();
    await using bob = new Home();
    await using _ = await open(ana);
    await writeFile(join(bob.path, 'run'), '#!/bin/sh', { mode: 0o755 });
    await using sending = drop(['send', '--to', 'Ana', '--unverified', 'run'], { home: bob });
    expect((await sending.outcome()).code).toBe(0);
    expect((await stat(join(ana.downloads, 'run'))).mode & 0o111).toBe(0);
  });

  test('takes so much where nobody is asked, and no more', async () => {
    await using ana = new Home();
    await using bob = new Home();
    await using _ = await open(ana);
    const many = join(bob.path, 'many');
    await mkdir(many);
    // Folders take their part of the disk, too.
    for (let n = 0; n < 100; n++) await mkdir(join(many, `${n}`));
    await using sending = drop(['send', '--to', 'Ana', '--unverified', 'many'], { home: bob });
    expect(await sending.outcome()).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/no more than 1 GiB in 100 files and folders/),
    });
    await using endless = drop(['send', '--to', 'Ana', '--unverified', '-'], {
      home: bob,
      input: 'nobody knows how much',
    });
    expect((await endless.outcome()).code).toBe(4);
    expect(await readdir(ana.downloads)).toEqual([]);
  });

  test('keeps no place for those who move nothing', async () => {
    await using ana = new Home();
    await using eve = new Home();
    await using receiving = await open(ana);
    const { port } = await receiving.event('ready');
    await openHome(eve.state);
    const identity = await loadIdentity(eve.state);
    const { signal } = new AbortController();
    const connection = await dial({ host: '127.0.0.1', port }, identity, signal);
    connection.greeted(120_000);
    const channel = new Channel('chooser', connection);
    const ends = { me: identity.id, peer: connection.peer, binding: connection.binding };
    const chosen = { intent: 'send', knows: false, unverified: true } as const;
    expect(await greetAsChooser(channel, ends, chosen)).toBe('open');
    await introduce(channel, 'Eve');
    keepAlive(channel);
    await expect(channel.hear('begun')).rejects.toMatchObject({ code: 'refused' });
    await connection.over;
    expect(receiving.events.map(({ event }) => event)).toEqual(['ready']);
  });

  test('asks a person about everyone, whatever they call themselves', async () => {
    await using ana = new Home();
    await using bob = new Home();
    await writeFile(join(bob.path, 'setup.exe'), 'a');
    await using receiving = dropOnScreen(['receive', '--open', '--name', 'Ana'], { home: ana });
    await receiving.waitFor(/Open to everyone: no code is asked for/);
    await using sending = dropOnScreen(['send', '--to', 'Ana', 'setup.exe'], { home: bob });
    await sending.waitFor(
      /"Ana" takes files from everyone[\s\S]*Send to it all the same\? \[y\/N\]/,
    );
    sending.type(`y${ENTER}`);
    await receiving.waitFor(
      /It can do anything when it is opened: setup\.exe\.\n".*", who could be anyone, wants to send setup\.exe \(1 B\)\. Accept\? \[y\/N\]/,
    );
    receiving.type(`y${ENTER}`);
    await sending.waitFor(/Sent 1 file/);
    expect((await stat(join(ana.downloads, 'setup.exe'))).size).toBe(1);
  });

  test('needs a folder where nobody is asked, and is never so by its environment', async () => {
    await using ana = new Home();
    await using receiving = drop(['receive', '--open', '--yes'], { home: ana });
    expect(await receiving.outcome()).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--into'),
    });
    await using bob = new Home();
    await using closed = drop(['receive', '--json', '--name', 'Ana'], {
      home: ana,
      env: { DROP_OPEN: '1' },
    });
    expect(await closed.event('ready')).toMatchObject({ open: false });
    expect((await send(bob, [], { DROP_UNVERIFIED: '1' })).code).toBe(4);
  });
});

test('a no that is said twice stands for all that the same device asks at once', async () => {
  await using ana = new Home();
  await using bob = new Home();
  const args = ['receive', '--open', '--name', 'Ana'];
  await using receiving = dropOnScreen(args, { home: ana });
  await receiving.waitFor(/Open to everyone/);
  const all = Promise.all([1, 2, 3, 4].map(() => send(bob, ['--unverified'])));
  for (const n of [1, 2]) {
    await receiving.shows((text) => expect(text.match(/Accept\?/g)).toHaveLength(n));
    await receiving.waitFor(/Accept\? \[y\/N\]\s*$/);
    receiving.type(ENTER);
  }
  expect((await all).map(({ code }) => code)).toEqual([4, 4, 4, 4]);
  expect(receiving.history().match(/Accept\?/g)).toHaveLength(2);
});

test('nobody is asked any more whether to call back whoever comes by itself after all', async () => {
  await using ana = new Home();
  await using eve = new Home();
  await using receiving = dropOnScreen(['receive', '--name', 'Ana'], { home: ana });
  const [, shown = '23767'] = await receiving.waitFor(/--to 127\.0\.0\.1(?::(\d+))?\n/);
  await openHome(eve.state);
  const identity = await loadIdentity(eve.state);
  const porch = await listen(KNOCK_PORTS, identity, {
    card: { run: newRun(), name: 'Eve', part: 'chooser', way: 'send' },
    onConnection: (line) => line.destroy(),
  });
  const knocking = knocker(porch.port, { interfaces: ['lo'] });
  knocking.at('127.0.0.1', 'send');
  await receiving.waitFor(/Call it\? \[y\/N\]\s*$/);
  const { signal } = new AbortController();
  const connection = await dial({ host: '127.0.0.1', port: Number(shown) }, identity, signal);
  await receiving.waitForGone(/Call it\? \[y\/N\]\s*$/);
  connection.destroy();
  await knocking.close();
  porch.close();
});
