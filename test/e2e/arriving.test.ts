import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { jsonLines } from '../cli/fake.ts';
import { type Drop, drop, dropOnScreen } from '../support/bin.ts';
import { makeFile } from '../support/content.ts';
import { Home } from '../support/home.ts';
import { PATIENCE } from '../support/process.ts';

const MiB = 1024 ** 2;

async function waiting(home: Home, ...more: string[]): Promise<Drop> {
  const receiving = drop(['receive', '--json', '--yes', ...more], { home });
  await receiving.event('ready');
  return receiving;
}

/** Sends files to exactly this receiver, whoever else is here; resolves with how that ended. */
async function send(home: Home, to: Drop | string, args: string[], code = ''): Promise<number> {
  const address = typeof to === 'string' ? to : `127.0.0.1:${(await to.event('ready')).port}`;
  const env: Record<string, string> = code === '' ? {} : { DROP_CODE: code };
  await using sending = drop(['send', '--to', address, ...args], { home, env });
  const { code: exit, stderr } = await sending.outcome();
  if (exit !== 0) console.warn(stderr);
  return exit ?? -1;
}

/** The code for new devices that holds now. */
async function codeOf(receiving: Drop, which = 0): Promise<string> {
  const codes = (): string[] =>
    receiving.events.flatMap((event) =>
      (event.event === 'ready' || event.event === 'code') && event.code !== null
        ? [event.code]
        : [],
    );
  return receiving.until(() => codes()[which], `code ${which}`);
}

async function run(home: Home, ...args: string[]): Promise<string> {
  await using running = drop(args, { home });
  const { code, stdout, stderr } = await running.outcome();
  expect(code, stderr).toBe(0);
  return stdout;
}

describe('what has arrived', () => {
  test('is listed, the latest last, until it is cleared; with --no-history it is not', async () => {
    await using ana = new Home();
    await writeFile(join(ana.path, 'a.txt'), 'a');
    mkdirSync(join(ana.path, 'empty'));
    const receive = async (files: string[], ...more: string[]): Promise<void> => {
      await using receiving = await waiting(ana, ...more);
      await send(ana, receiving, files);
      await receiving.stop('SIGTERM');
    };
    await receive(['a.txt', 'empty'], '--no-history');
    expect(await run(ana, 'history', '--json')).toBe('');
    await receive(['a.txt', 'empty']);
    await receive(['a.txt'], '--as', 'b.txt', '--into', '.');
    const table = await run(ana, 'history');
    expect(table.split('\n')).toEqual([
      expect.stringMatching(/^WHEN +FROM +HOW MUCH +WHAT +WHERE$/),
      expect.stringMatching(/1 file, 1 B +a\.txt +~\/Downloads$/),
      expect.stringMatching(/1 file, 1 B +b\.txt +~$/),
      '',
    ]);
    const [, last] = jsonLines(await run(ana, 'history', '--json'));
    expect(last).toMatchObject({ v: 1, event: 'arrived', ok: true, files: 1, into: ana.path });
    expect(jsonLines(await run(ana, 'history', '--json', '-n', '1'))).toEqual([last]);
    await run(ana, 'history', '--clear');
    expect(await run(ana, 'history')).toBe('');
    expect(await readdir(join(ana.state, 'history'))).toEqual([]);
  });
});

describe('where it is to land', () => {
  test.each(['receive', 'get --from 127.0.0.1'])(
    'cannot be a name that leads elsewhere: %s',
    async (words) => {
      await using ana = new Home();
      await using running = drop([...words.split(' '), '--as', '../a.txt'], { home: ana });
      expect(await running.outcome()).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(
          /Error: \.\.\/a\.txt: No file can be saved under this name\.\n/,
        ),
      });
    },
  );

  test('has the name that was said only where it is a single file, wherever that lies', async () => {
    await using ana = new Home();
    await using bob = new Home();
    mkdirSync(join(bob.path, 'all'));
    for (const name of ['a', 'b']) await writeFile(join(bob.path, 'all', name), name);
    await using sharing = drop(['share', '--json', '--yes', 'all'], { home: bob });
    const { port, code } = await sharing.event('ready');
    const get = async (...more: string[]) => {
      const words = ['get', '--from', `127.0.0.1:${port}`, '--as', 'mine', ...more];
      await using getting = drop(words, { home: ana, env: { DROP_CODE: code ?? '' } });
      return await getting.outcome();
    };
    expect(await get()).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(
        /^Error: What is to come is no single file, .*\nTake one file of it by --only, /m,
      ),
    });
    expect(await readdir(ana.downloads)).toEqual([]);
    expect(await get('--only', 'all/b')).toMatchObject({ code: 0 });
    expect(await readdir(join(ana.downloads, 'all'))).toEqual(['mine']);

    await using receiving = await waiting(ana, '--as', 'mine');
    await using sending = drop(
      ['send', '--to', `127.0.0.1:${(await receiving.event('ready')).port}`, 'all'],
      { home: bob, env: { DROP_CODE: await codeOf(receiving) } },
    );
    expect(await sending.outcome()).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/takes one single file, .*--as/),
    });
    await receiving.event('declined', ({ reason }) => reason === 'one-file');
  });

  test('ends what comes if it is moved away, and is made anew for what comes next', async () => {
    await using ana = new Home();
    await using bob = new Home();
    const into = join(ana.path, 'in');
    await makeFile(join(bob.path, 'big'), 'big', 4 * MiB);
    await using receiving = await waiting(ana, '--into', into);
    const { port } = await receiving.event('ready');
    const to = ['--to', `127.0.0.1:${port}`];
    await using sending = drop(['send', ...to, '--limit', '2MB/s', 'big'], {
      home: bob,
      env: { DROP_CODE: await codeOf(receiving) },
    });
    await receiving.event('progress', ({ bytes }) => bytes > 0);
    renameSync(into, join(ana.path, 'elsewhere'));
    expect((await sending.outcome()).code).toBe(5);
    expect(await receiving.event('error')).toMatchObject({
      code: 'folder-gone',
      message: `The folder ${into} was moved, removed or replaced.`,
    });
    const summary = await receiving.event('summary');
    expect(summary).toMatchObject({ ok: false, files: 0, code: 'folder-gone' });
    expect(summary).not.toHaveProperty('kept');
    await using again = drop(['send', ...to, 'big'], { home: bob });
    expect((await again.outcome()).code).toBe(0);
    expect(await readdir(into)).toEqual(['big']);
  });

  test('is told as a whole path, from wherever it was named', async () => {
    await using ana = new Home();
    await using receiving = await waiting(ana, '--into', 'in');
    expect(await receiving.event('ready')).toMatchObject({ into: join(ana.path, 'in') });
  });
});

describe('a folder for each device', () => {
  test('is where what is fetched lands, too, and the history says so', async () => {
    await using ana = new Home();
    await using bob = new Home();
    await writeFile(join(bob.path, 'a.txt'), 'shared');
    await using sharing = drop(['share', '--json', '--yes', 'a.txt'], { home: bob });
    const { port, code } = await sharing.event('ready');
    const from = `127.0.0.1:${port}`;
    await using getting = drop(['get', '--json', '--from', from, '--by-device'], {
      home: ana,
      env: { DROP_CODE: code ?? '' },
    });
    expect((await getting.outcome()).code).toBe(0);
    const { name } = await getting.event('paired');
    expect(await readFile(join(ana.downloads, name, 'a.txt'), 'utf8')).toBe('shared');
    const { transfer } = await getting.event('summary');
    expect(jsonLines(await run(ana, 'history', '--json'))).toMatchObject([
      { ok: true, transfer, peer: { name }, roots: ['a.txt'], into: join(ana.downloads, name) },
    ]);
    // Whoever gives does not receive.
    expect(await run(bob, 'history', '--json')).toBe('');
  });

  test('is called as the device is here, and this computer has one of its own', async () => {
    await using ana = new Home();
    await using bob = new Home();
    await using eve = new Home();
    for (const home of [ana, bob, eve]) await writeFile(join(home.path, 'a.txt'), home.path);
    const into = join(ana.path, 'in');
    await using receiving = await waiting(ana, '--into', into, '--by-device');
    expect(await send(ana, receiving, ['a.txt'])).toBe(0);
    expect(await send(bob, receiving, ['a.txt'], await codeOf(receiving))).toBe(0);
    const { name: first, id } = await receiving.event('paired');
    expect(await send(eve, receiving, ['a.txt'], await codeOf(receiving, 1))).toBe(0);
    const { name: second } = await receiving.event('paired', (peer) => peer.id !== id);
    expect((await readdir(into)).sort()).toEqual([first, second, 'this computer'].sort());
    expect(await readFile(join(into, first, 'a.txt'), 'utf8')).toBe(bob.path);
    expect(await readFile(join(into, second, 'a.txt'), 'utf8')).toBe(eve.path);

    // What has another name from now on has another folder; what came stays where it is.
    await run(ana, 'rename', id, '../Bob');
    expect(await send(bob, receiving, ['a.txt'])).toBe(0);
    const renamed = `_.._Bob (${id.slice(0, 16)})`;
    expect(await readFile(join(into, renamed, 'a.txt'), 'utf8')).toBe(bob.path);
    expect(existsSync(join(into, first, 'a.txt'))).toBe(true);
    expect(await readdir(ana.path)).not.toContain('Bob');
    expect((await receiving.stop('SIGTERM')).signal).toBe('SIGTERM');
    expect(await run(ana, 'history')).toContain(`~/in/${renamed}`);
  });

  test('is one for all whom nobody vouches for, whatever they call themselves', async () => {
    await using ana = new Home();
    const into = join(ana.path, 'in');
    await using receiving = await waiting(ana, '--into', into, '--by-device', '--open');
    for (const n of [1, 2]) {
      await using stranger = new Home();
      await writeFile(join(stranger.path, 'a.txt'), `${n}`);
      expect(await send(stranger, receiving, ['--unverified', 'a.txt'])).toBe(0);
    }
    await receiving.stop('SIGTERM');
    expect(await readdir(into)).toEqual(['unproven devices']);
    expect((await readdir(join(into, 'unproven devices'))).sort()).toEqual(['a (1).txt', 'a.txt']);
  });

  test('is no link that somebody else has put there', async () => {
    await using ana = new Home();
    await using bob = new Home();
    const [into, elsewhere] = [join(ana.path, 'in'), join(ana.path, '.ssh')];
    for (const folder of [into, elsewhere]) mkdirSync(folder);
    await writeFile(join(bob.path, 'authorized_keys'), 'of Bob');
    await using receiving = await waiting(ana, '--into', into, '--by-device', '--open');
    symlinkSync(elsewhere, join(into, 'unproven devices'));
    expect(await send(bob, receiving, ['--unverified', 'authorized_keys'])).not.toBe(0);
    expect(await readdir(elsewhere)).toEqual([]);
    expect(await receiving.event('error')).toMatchObject({ code: 'exists' });
    rmSync(join(into, 'unproven devices'));
    expect(await send(bob, receiving, ['--unverified', 'authorized_keys'])).toBe(0);
    expect(await readdir(join(into, 'unproven devices'))).toEqual(['authorized_keys']);
  });

  test('keeps what broke off, and another process goes on there', async () => {
    await using ana = new Home();
    await using bob = new Home();
    await makeFile(join(bob.path, 'large'), 'large', 16 * MiB);
    let folder: string;
    {
      await using receiving = await waiting(ana, '--by-device');
      const [to, code] = [
        `127.0.0.1:${(await receiving.event('ready')).port}`,
        await codeOf(receiving),
      ];
      await using sending = drop(['send', '--to', to, '--limit', '2MB/s', '--wait', '0', 'large'], {
        home: bob,
        env: { DROP_CODE: code },
      });
      await receiving.event('progress', ({ bytes }) => bytes > 2 * MiB);
      receiving.kill('SIGKILL');
      expect((await sending.outcome()).code).toBe(5);
      folder = join(ana.downloads, (await receiving.event('paired')).name);
    }
    expect(await readdir(folder)).toEqual([expect.stringMatching(/^\.drop-/)]);
    await using receiving = await waiting(ana, '--by-device');
    expect(await send(bob, receiving, ['large'])).toBe(0);
    expect((await receiving.event('summary')).resumed).toBeGreaterThan(MiB);
    await receiving.stop('SIGTERM');
    expect(await readdir(folder)).toEqual(['large']);
  });
});

describe.runIf(process.platform === 'linux')('a person who looks elsewhere', () => {
  test('hears the bell of the terminal when something arrived, if asked for', async () => {
    await using ana = new Home();
    await writeFile(join(ana.path, 'a.txt'), 'a');
    for (const how of ['bell', ''] as const) {
      let output = '';
      const args = ['receive', ...(how === '' ? [] : ['--notify', how])];
      await using receiving = dropOnScreen(args, {
        home: ana,
        onOutput: (data) => (output += data),
      });
      const [, to = ''] = await receiving.waitFor(/drop send FILE --to (\S+)/);
      expect(output).not.toContain('\x07');
      expect(await send(ana, to, ['a.txt'])).toBe(0);
      await receiving.waitFor(/Saved|Received/);
      if (how === 'bell')
        await receiving.until(() => output.includes('\x07') || undefined, 'the bell');
      receiving.type('\x03');
      await receiving.outcome();
      expect(output.split('\x07')).toHaveLength(how === 'bell' ? 2 : 1);
    }
  });

  test('sees a notice on the desktop, and one that the program does not have is none', async () => {
    await using ana = new Home();
    const [bin, log] = [join(ana.path, 'bin'), join(ana.path, 'log')];
    mkdirSync(bin);
    await writeFile(join(ana.path, 'secret plans.txt'), 'a');
    const once = async (): Promise<void> => {
      const PATH = `${bin}${delimiter}${ana.env.PATH}`;
      const args = ['receive', '--json', '--once', '--notify', 'desktop'];
      await using receiving = drop(args, { home: ana, env: { PATH } });
      expect(await send(ana, receiving, ['secret plans.txt'])).toBe(0);
      expect((await receiving.outcome()).code).toBe(0);
    };
    await once();
    const program = join(bin, 'notify-send');
    writeFileSync(
      program,
      `#!/bin/sh\nprintf '%s|' "$@" > "${log}.new"; mv "${log}.new" "${log}"\n`,
    );
    chmodSync(program, 0o755);
    await once();
    // Nobody waits for it.
    await vi.waitFor(() => expect(existsSync(log)).toBe(true), { timeout: PATIENCE });
    const told = readFileSync(log, 'utf8');
    expect(told).toMatch(/\|--\|1 file arrived\|from "[^"|]+"\|$/);
    expect(told).not.toContain('secret');
  });
});
