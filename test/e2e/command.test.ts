import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import * as module from 'node:module';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ERRORS } from '../../src/errors.ts';
import { type Drop, drop } from '../support/bin.ts';
import { Home } from '../support/home.ts';
import { makeOddTree, treeDifferences } from '../support/tree.ts';

/** Ana waits; what she would show on her screen stands in her events. */
async function waiting(home: Home, ...more: string[]): Promise<Drop> {
  const receiving = drop(['receive', '--json', '--yes', '--name', 'Ana', ...more], { home });
  await receiving.event('ready');
  return receiving;
}

async function code(receiving: Drop): Promise<string> {
  return (await receiving.event('ready')).code ?? '';
}

describe('one computer, two people', () => {
  test('send a tree of odd things, first with the code, then without', async () => {
    await using ana = new Home();
    await using bob = new Home();
    await using receiving = await waiting(ana);
    const tree = join(bob.path, 'odd tree');
    await mkdir(tree);
    await makeOddTree(tree);

    await using first = drop(['send', '--json', '--to', 'Ana', tree], {
      home: bob,
      env: { DROP_CODE: await code(receiving) },
    });
    expect((await first.outcome()).code).toBe(0);
    await first.event('paired', ({ name }) => name === 'Ana');
    await receiving.event('code');
    expect(await treeDifferences(tree, join(ana.downloads, 'odd tree'))).toEqual([]);

    // Both count the same, and what each file's digest is.
    const sent = await first.event('summary');
    const received = await receiving.event('summary');
    expect({ ...received, peer: 0, ms: 0 }).toEqual({ ...sent, peer: 0, ms: 0 });
    expect(sent.ok).toBe(true);
    const digests = (events: typeof first.events): string[] =>
      events.flatMap((event) => (event.event === 'saved' ? [event.digest] : [])).sort();
    expect(digests(first.events)).toHaveLength(sent.files);
    expect(digests(receiving.events)).toEqual(digests(first.events));

    await writeFile(join(bob.path, 'note.txt'), 'no code this time');
    await using second = drop(['send', '--to', 'Ana', 'note.txt'], { home: bob });
    const outcome = await second.outcome();
    expect(outcome).toMatchObject({ code: 0, stdout: '' });
    expect(await readFile(join(ana.downloads, 'note.txt'), 'utf8')).toBe('no code this time');
  });

  test('leave out what is not to be sent, without a word, and take nothing away for it', async () => {
    await using ana = new Home();
    await using receiving = await waiting(ana);
    const project = join(ana.path, 'project');
    await mkdir(join(project, 'node_modules/x'), { recursive: true });
    for (const path of ['a.js', 'b.log', 'keep.log', 'node_modules/x/y.js'])
      await writeFile(join(project, path), path);
    await mkdir(join(ana.downloads, 'project'));
    await writeFile(join(ana.downloads, 'project/b.log'), 'from before');
    await using sending = drop(
      ['send', '-v', '--to', 'Ana', 'project', '--exclude', 'node_modules'],
      { home: ana, env: { DROP_EXCLUDE: 'not read' } },
    );
    await sending.outcome();
    expect(await receiving.event('summary')).toMatchObject({ ok: true, files: 3 });
    await using again = drop(['send', '--json', '--to', 'Ana', 'project'], {
      home: ana,
      env: { DROP_EXCLUDE: '/node_modules/\n*.log\n!keep.log' },
    });
    expect((await again.outcome()).code).toBe(0);
    expect(await again.event('summary')).toMatchObject({ ok: true, files: 2, skipped: 2 });
    const there = await readdir(join(ana.downloads, 'project'));
    expect(there.sort()).toEqual(['a.js', 'b (1).log', 'b.log', 'keep.log']);
    const { code, stderr } = await sending.outcome();
    expect(code).toBe(0);
    expect(stderr).not.toContain('node_modules');
    expect(await readFile(join(ana.downloads, 'project/b.log'), 'utf8')).toBe('from before');
  });

  test('a pattern that is none: 2, before anything is looked for', async () => {
    await using ana = new Home();
    await using sending = drop(['send', '--to', 'Ana', '.', '--exclude', './build'], { home: ana });
    const { code, stderr } = await sending.outcome();
    expect(code).toBe(2);
    expect(stderr).toMatch(/^Error: \.\/build: This matches nothing/);
  });

  test('never overwrite what is there', async () => {
    await using ana = new Home();
    await using receiving = await waiting(ana);
    await writeFile(join(ana.downloads, 'a.txt'), 'mine');
    await writeFile(join(ana.path, 'a.txt'), 'yours');
    await using sending = drop(['send', '--to', 'Ana', 'a.txt'], { home: ana });
    expect((await sending.outcome()).code).toBe(0);
    const saved = await receiving.event('saved');
    expect(saved).toMatchObject({ path: join(ana.downloads, 'a (1).txt'), offered: 'a.txt' });
    expect(await readFile(join(ana.downloads, 'a.txt'), 'utf8')).toBe('mine');
    expect(await readFile(join(ana.downloads, 'a (1).txt'), 'utf8')).toBe('yours');
  });
});

test('what Node has compiled is kept for the next start, where nobody else can write', async () => {
  await using ana = new Home();
  const kept = join(ana.path, '.cache', 'drop');
  const isKept = 'enableCompileCache' in module;
  await drop(['--version'], { home: ana }).outcome();
  expect(await readdir(kept).catch(() => [])).toHaveLength(isKept ? 1 : 0);
  if (isKept) expect((await stat(kept)).mode & 0o777).toBe(0o700);

  await rm(kept, { recursive: true, force: true });
  await mkdir(kept, { recursive: true });
  await chmod(kept, 0o777);
  expect(await drop(['--version'], { home: ana }).outcome()).toMatchObject({ code: 0, stderr: '' });
  expect(await readdir(kept)).toEqual([]);

  await drop(['--version'], { home: ana, env: { XDG_CACHE_HOME: 'here' } }).outcome();
  expect(await readdir(ana.path)).not.toContain('here');

  await rm(kept, { recursive: true });
  await writeFile(kept, 'no folder');
  expect(await drop(['--version'], { home: ana }).outcome()).toMatchObject({ code: 0, stderr: '' });
});

/** What is for a Node that keeps nothing itself; there is nothing to skip for a newer one. */
if (!('enableCompileCache' in module)) {
  /** Sends something with a start of its own, and says what is kept then, each with its content. */
  async function keptBy(home: Home): Promise<Map<string, Buffer>> {
    await using receiving = await waiting(home, '--once');
    await writeFile(join(home.path, 'a.txt'), 'a');
    await using sending = drop(['send', '--to', 'Ana', 'a.txt'], { home });
    expect(await sending.outcome()).toMatchObject({ code: 0, stdout: '' });
    expect((await receiving.outcome()).code).toBe(0);
    const kept = join(home.path, '.cache', 'drop');
    const names = await readdir(kept);
    return new Map(
      await Promise.all(
        names.map(async (name) => [name, await readFile(join(kept, name))] as const),
      ),
    );
  }

  /** Compared in a moment, as a megabyte is not. */
  const digestsOf = (kept: ReadonlyMap<string, Buffer>): string[] =>
    [...kept]
      .map(([name, content]) => `${name} ${createHash('sha256').update(content).digest('hex')}`)
      .sort();

  test('what was compiled is kept for the next start, once', async () => {
    await using ana = new Home();
    const first = await keptBy(ana);
    expect(first.size).toBeGreaterThan(5);
    expect(digestsOf(await keptBy(ana))).toEqual(digestsOf(first));
    for (const name of first.keys())
      expect((await stat(join(ana.path, '.cache', 'drop', name))).mode & 0o777).toBe(0o600);
  });

  test('what is damaged is not run, and made anew', async () => {
    await using ana = new Home();
    await keptBy(ana); // It makes her identity, too, and the next ones need not.
    await rm(join(ana.path, '.cache'), { recursive: true });
    const first = await keptBy(ana);
    for (const [name, content] of first) {
      const damaged = Buffer.from(content);
      damaged[damaged.length >> 1] = (damaged[damaged.length >> 1] ?? 0) ^ 1;
      await writeFile(join(ana.path, '.cache', 'drop', name), damaged);
    }
    const second = await keptBy(ana);
    expect([...second.keys()].sort()).toEqual([...first.keys()].sort());
    for (const content of second.values())
      expect(content.subarray(0, 32)).toEqual(
        createHash('sha256').update(content.subarray(32)).digest(),
      );
  });

  test('what other versions left does not pile up', async () => {
    await using ana = new Home();
    const first = await keptBy(ana);
    await rm(join(ana.path, '.cache', 'drop', [...first.keys()][0] as string));
    for (let n = 0; n < 70; n++) await writeFile(join(ana.path, '.cache', 'drop', `${n}`), 'old');
    const second = await keptBy(ana);
    expect(second.has('0')).toBe(false);
    expect(second.size).toBeLessThanOrEqual(first.size);
  });
}

test('one person, two terminals: this computer needs no code, and --once ends', async () => {
  await using ana = new Home();
  await using receiving = await waiting(ana, '--once');
  await writeFile(join(ana.path, 'a.txt'), 'to myself');
  await using sending = drop(['send', '--json', '--to', 'Ana', 'a.txt'], { home: ana });
  expect((await sending.outcome()).code).toBe(0);
  expect((await receiving.outcome()).code).toBe(0);
  expect(await readdir(ana.downloads)).toEqual(['a.txt']);
  // Identity and what belongs to it are for nobody else.
  if (process.platform !== 'win32') {
    expect((await stat(ana.state)).mode & 0o777).toBe(0o700);
    expect((await stat(join(ana.state, 'identity.pem'))).mode & 0o777).toBe(0o600);
  }
});

describe('what goes wrong has a sentence and an exit code', () => {
  async function trying(args: string[], env: Record<string, string> = {}) {
    await using bob = new Home();
    await writeFile(join(bob.path, 'a.txt'), 'a');
    await using command = drop(args, { home: bob, env });
    return await command.outcome();
  }

  test('a wrong code: 6, and nothing arrives', async () => {
    await using ana = new Home();
    await using receiving = await waiting(ana);
    const wrong = (await code(receiving)) === '000000' ? '000001' : '000000';
    const outcome = await trying(['send', '--to', 'Ana', 'a.txt'], { DROP_CODE: wrong });
    expect(outcome.code).toBe(6);
    expect(outcome.stderr).toContain(ERRORS['wrong-code'].message);
    expect(await readdir(ana.downloads)).toEqual([]);
    expect(receiving.events.map(({ event }) => event)).toEqual(['ready']);
  });

  test('nobody to ask for the code: 6', async () => {
    await using ana = new Home();
    await using _ = await waiting(ana);
    const outcome = await trying(['send', '--to', 'Ana', 'a.txt']);
    expect(outcome).toMatchObject({ code: 6, stderr: expect.stringContaining('DROP_CODE') });
  });

  test('nobody of that name: 3', async () => {
    const outcome = await trying(['send', '--to', 'Nobody', '--wait', '0.3', 'a.txt']);
    expect(outcome).toMatchObject({ code: 3, stderr: expect.stringContaining('"Nobody"') });
  });

  test('nobody at that address: 3', async () => {
    const outcome = await trying(['send', '--to', '127.0.0.1:1', 'a.txt']);
    expect(outcome).toMatchObject({ code: 3, stderr: expect.stringContaining('127.0.0.1:1') });
  });

  test('nobody new is let in: 4', async () => {
    await using ana = new Home();
    await using receiving = drop(['receive', '--json', '--name', 'Ana'], { home: ana });
    expect((await receiving.event('ready')).code).toBeNull();
    const outcome = await trying(['send', '--to', 'Ana', 'a.txt'], { DROP_CODE: '123456' });
    expect(outcome.code).toBe(4);
  });

  test('a file that is not there: 8', async () => {
    const outcome = await trying(['send', '--to', 'Ana', 'nothing.txt']);
    expect(outcome).toMatchObject({ code: 8, stderr: expect.stringContaining('nothing.txt') });
  });

  test('a folder that is not there: 8', async () => {
    const outcome = await trying(['receive', '--into', 'no/such/folder']);
    expect(outcome).toMatchObject({ code: 8, stderr: expect.stringContaining('no/such/folder') });
  });

  test('no terminal to choose on: 2', async () => {
    const outcome = await trying(['send', 'a.txt']);
    expect(outcome).toMatchObject({ code: 2, stderr: expect.stringContaining('--to') });
  });

  test('an interface that is not there: 2', async () => {
    const outcome = await trying(['receive', '--interface', 'none0']);
    expect(outcome).toMatchObject({ code: 2, stderr: expect.stringContaining('none0') });
  });

  test('a port that is taken: 2', async () => {
    await using ana = new Home();
    await using receiving = await waiting(ana);
    const { port } = await receiving.event('ready');
    const outcome = await trying(['receive', '--port', String(port)]);
    expect(outcome).toMatchObject({ code: 2, stderr: expect.stringContaining(String(port)) });
  });

  test('one bad file among good ones: 5, and the good ones arrive', async () => {
    await using ana = new Home();
    await using _ = await waiting(ana, '--into', ana.downloads);
    await writeFile(join(ana.path, 'good.txt'), 'good');
    // A device that can be seen but not read, for root and everyone: a folder that is a loop.
    await mkdir(join(ana.path, 'tree'));
    await writeFile(join(ana.path, 'tree', 'good.txt'), 'good');
    const bad = Buffer.concat([Buffer.from(join(ana.path, 'tree', 'bad')), Buffer.from([0xff])]);
    await writeFile(bad, 'its name is no text');
    await using sending = drop(['send', '--json', '--to', 'Ana', 'tree'], { home: ana });
    expect((await sending.outcome()).code).toBe(5);
    expect(await sending.event('summary')).toMatchObject({ ok: false, files: 1, failed: 1 });
    expect(await readdir(join(ana.downloads, 'tree'))).toEqual(['good.txt']);
  });
});

describe('known devices', () => {
  test('are listed, renamed, trusted, blocked and forgotten', async () => {
    await using ana = new Home();
    await using bob = new Home();
    await writeFile(join(bob.path, 'a.txt'), 'a');
    const send = async (env: Record<string, string> = {}): Promise<number | null> => {
      await using sending = drop(['send', '--to', 'Ana', 'a.txt'], { home: bob, env });
      return (await sending.outcome()).code;
    };
    const ask = async (...args: string[]): Promise<string> => {
      await using command = drop(args, { home: ana });
      const { code: exit, stdout, stderr } = await command.outcome();
      expect(exit, stderr).toBe(0);
      return stdout + stderr;
    };
    {
      await using receiving = await waiting(ana);
      expect(await send({ DROP_CODE: await code(receiving) })).toBe(0);
      const { name } = await receiving.event('paired');
      await ask('rename', name, 'Bob');
    }
    expect(await ask('peers')).toMatch(/^Bob +known/m);

    // Nobody is here to be asked, so only a device that is trusted may send.
    await using quiet = drop(['receive', '--json', '--name', 'Ana'], { home: ana });
    await quiet.event('ready');
    expect(await send()).toBe(4);
    await ask('trust', 'Bob', 'auto');
    expect(await send()).toBe(0);
    await ask('block', 'Bob');
    expect(await send()).toBe(4);
    await ask('trust', 'bob', 'auto');
    expect(await send()).toBe(0);
    await ask('forget', 'Bob');
    expect(await send()).toBe(4);
    expect(await ask('peers')).not.toContain('Bob');
  });
});

describe('the command', () => {
  test('ends by the signal that stops it, so that shell loops stop, too', async () => {
    await using ana = new Home();
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      await using receiving = await waiting(ana);
      expect(await receiving.stop(signal)).toMatchObject({ code: null, signal });
    }
  });

  test('prints JSON that starts with v and event, and nothing else', async () => {
    await using ana = new Home();
    await using receiving = await waiting(ana, '--once');
    await writeFile(join(ana.path, 'a.txt'), 'a');
    await using sending = drop(['send', '--json', '--to', 'Ana', 'a.txt'], { home: ana });
    for (const { stdout, stderr } of [await sending.outcome(), await receiving.outcome()]) {
      expect(stderr).toBe('');
      for (const line of stdout.trim().split('\n'))
        expect(line).toMatch(/^\{"v":1,"event":"[a-z]+"/);
    }
  });

  test('says nothing of the code where it could be logged', async () => {
    await using ana = new Home();
    await using receiving = drop(['receive', '--yes', '--name', 'Ana'], { home: ana });
    await receiving.said(/Ready/);
    const { stdout, stderr } = await receiving.stop();
    expect(stdout + stderr).not.toMatch(/\d{3} ?\d{3}\b(?!:)/);
  });
});
