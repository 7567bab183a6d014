import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { type Drop, drop, dropOnScreen } from '../support/bin.ts';
import { Home } from '../support/home.ts';
import { finished, type Outcome } from '../support/process.ts';
import { describeWith } from '../support/skip.ts';
import { makeOddTree, treeDifferences } from '../support/tree.ts';

const BIN = fileURLToPath(new URL('../../bin/drop.js', import.meta.url));

/** A line of a shell in which `drop` is ours, and the first failure of a pipe is that of the line. */
function shell(line: string, home: Home, cwd = home.path): Promise<Outcome> {
  const start = `set -o pipefail; drop() { "$NODE" "$BIN" --interface lo "$@"; }; ${line}`;
  const env = { ...home.env, NODE: process.execPath, BIN };
  return finished(spawn('bash', ['-c', start], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] }));
}

/** What Ana runs, once it waits, with its output going where `to` leads. */
async function receiving(home: Home, to: string, ...more: string[]): Promise<Running> {
  const words = ['receive', '--yes', '--name', 'Ana', '--stdout', ...more].join(' ');
  const child = shell(`drop ${words} 2> said ${to}`, home);
  let over = false;
  void child.finally(() => {
    over = true;
  });
  const said = async (): Promise<string> =>
    readFile(join(home.path, 'said'), 'utf8').catch(() => '');
  while (!over && !/Waiting/.test(await said()))
    await new Promise((resolve) => setTimeout(resolve, 50));
  return { said, outcome: child };
}

interface Running {
  readonly said: () => Promise<string>;
  readonly outcome: Promise<Outcome>;
}

const send = (home: Home, line: string): Promise<Outcome> => shell(line, home);

describeWith(['bash', 'tar'], 'one file through pipes', () => {
  test('of unknown length, from tar to tar', async () => {
    await using ana = new Home();
    const tree = join(ana.path, 'tree');
    await mkdir(tree);
    await makeOddTree(tree);
    await mkdir(join(ana.path, 'out'));
    const receiver = await receiving(ana, '| tar x -C out');
    const { code, stderr } = await send(
      ana,
      'tar c --format=posix tree | drop send --to Ana - --name tree.tar',
    );
    expect(code, stderr).toBe(0);
    expect((await receiver.outcome).code, await receiver.said()).toBe(0);
    expect(await treeDifferences(tree, join(ana.path, 'out', 'tree'))).toEqual([]);
    expect(await readdir(ana.downloads)).toEqual([]);
    expect(await receiver.said()).toMatch(/^Wrote tree\.tar \(/m);
  });

  test('a file, a small one, one without a byte and a message go out as they are', async () => {
    await using ana = new Home();
    const large = Buffer.alloc(3_000_000, 'large');
    await writeFile(join(ana.path, 'large'), large);
    await writeFile(join(ana.path, 'small'), 'small');
    await writeFile(join(ana.path, 'empty'), '');
    for (const [what, content] of [
      ['large', large],
      ['small', Buffer.from('small')],
      ['empty', Buffer.alloc(0)],
      ['--text hello', Buffer.from('hello')],
    ] as const) {
      const receiver = await receiving(ana, '> out');
      expect((await send(ana, `drop send --to Ana ${what}`)).code).toBe(0);
      expect((await receiver.outcome).code).toBe(0);
      expect(sha256(await readFile(join(ana.path, 'out')))).toBe(sha256(content));
    }
  });

  test('what others share is fetched into one', async () => {
    await using ana = new Home();
    await writeFile(join(ana.path, 'a'), 'shared');
    await writeFile(join(ana.path, 'b'), 'too');
    for (const [what, code, out] of [
      [['a'], 0, 'shared'],
      [['a', 'b'], 4, ''],
    ] as const) {
      await using sharing = drop(['share', '--json', '--yes', '--name', 'Ana', ...what], {
        home: ana,
      });
      await sharing.event('ready');
      const got = await shell('drop get --from Ana --stdout', ana);
      expect(got).toMatchObject({ code, stdout: out });
    }
  });

  test('one of several that are shared is chosen for one', async () => {
    await using ana = new Home();
    await mkdir(join(ana.path, 'in'));
    for (const [path, text] of Object.entries({ a: 'one', 'in/b': 'two', 'in/c': 'three' }))
      await writeFile(join(ana.path, path), text);
    await using sharing = drop(['share', '--json', '--yes', '--name', 'Ana', 'a', 'in'], {
      home: ana,
    });
    await sharing.event('ready');
    for (const [only, code, out, said] of [
      ['a', 0, 'one', /Wrote a \(3 B\)/],
      ['in/b', 0, 'two', /Wrote in\/b \(3 B\)/],
      ['in', 4, '', /Error: What is shared is more than one file[\s\S]*--only PATH/],
    ] as const) {
      const got = await shell(`drop get --from Ana --stdout --only ${only}`, ana);
      expect(got).toMatchObject({ code, stdout: out, stderr: expect.stringMatching(said) });
    }
  });

  test('what is more than one file is refused before anything goes out', async () => {
    await using ana = new Home();
    await mkdir(join(ana.path, 'folder'));
    await writeFile(join(ana.path, 'a'), 'a');
    await writeFile(join(ana.path, 'b'), 'b');
    const receiver = await receiving(ana, '> out');
    for (const what of ['a b', 'folder', 'a --text hello']) {
      const { code, stderr } = await send(ana, `drop send --to Ana ${what}`);
      expect({ code, stderr }).toMatchObject({ code: 4, stderr: expect.stringMatching(/single/) });
    }
    expect(await readFile(join(ana.path, 'out'), 'utf8')).toBe('');
    expect(await receiver.said()).toMatch(/^Refused: .*single file$/m);
    expect((await send(ana, 'drop send --to Ana a')).code).toBe(0);
    expect((await receiver.outcome).code).toBe(0);
    expect(await readFile(join(ana.path, 'out'), 'utf8')).toBe('a');
  });
});

describeWith(['bash', 'tar'], 'a pipe that breaks', () => {
  const ENDLESS = 'yes | drop send --to Ana - --compress never';

  test('behind the receiver is no failure there, and one for the sender', async () => {
    await using ana = new Home();
    const receiver = await receiving(ana, '| head -c 10 > out');
    expect((await send(ana, ENDLESS)).code).toBe(5);
    expect((await receiver.outcome).code).toBe(0);
    expect(await readFile(join(ana.path, 'out'), 'utf8')).toBe('y\ny\ny\ny\ny\n');
    expect(await receiver.said()).not.toMatch(/Error|Failed|Incomplete|EPIPE/);
  });

  test('as the disk is full is one for both', async () => {
    await using ana = new Home();
    const receiver = await receiving(ana, '> /dev/full');
    expect((await send(ana, ENDLESS)).code).toBe(5);
    expect((await receiver.outcome).code).toBe(8);
    expect(await receiver.said()).toMatch(/^Error: .*ENOSPC/m);
  });

  test('is none where a folder is taken for one', async () => {
    await using ana = new Home();
    const { code, stderr } = await send(ana, 'drop send --to Ana - < .');
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringMatching(/a folder/) });
  });

  test('as the sender was killed ends the receiver, which cannot begin again', async () => {
    await using ana = new Home();
    const receiver = await receiving(ana, '| wc -c > out');
    await using sending = drop(['send', '--json', '--to', 'Ana', '--limit', '20MB/s', '-'], {
      home: ana,
      input: Buffer.alloc(200_000_000),
    });
    await sending.event('progress', ({ bytes }) => bytes > 1_000_000);
    sending.kill('SIGKILL');
    await sending.outcome();
    // It might come back; but who sends the same again has given it up.
    expect((await send(ana, 'echo again | drop send --to Ana -')).code).not.toBe(0);
    expect((await receiver.outcome).code).toBe(5);
    expect(Number(await readFile(join(ana.path, 'out'), 'utf8'))).toBeGreaterThan(0);
  });
});

describeWith(['bash', 'tar'], '--stdout on a terminal', () => {
  test('shows a text, and nothing of what is none', async () => {
    await using ana = new Home();
    await writeFile(join(ana.path, 'text'), 'Grüße\tan alle\n');
    await writeFile(join(ana.path, 'binary'), `begins well\n${'x'.repeat(100_000)}\x1b[2J`);
    for (const what of ['text', 'binary']) {
      await using screen = dropOnScreen(['receive', '--yes', '--name', 'Ana', '--stdout'], {
        home: ana,
      });
      await screen.waitFor(/Waiting/);
      await using sending = drop(['send', '--to', 'Ana', what], { home: ana });
      const { code, stderr } = await sending.outcome();
      if (what === 'text') {
        expect(code, stderr).toBe(0);
        await screen.waitFor(/Grüße +an alle/);
      } else {
        expect(code).toBe(4);
        expect(stderr).toMatch(/no text/);
        await screen.waitFor(/no text/);
      }
      expect((await screen.outcome()).code).toBe(what === 'text' ? 0 : 4);
      expect(screen.text()).not.toMatch(/begins well/);
    }
  });
});

describeWith(['bash', 'tar'], '--max-size', () => {
  test('refuses what is larger, and cuts a stream that becomes so', async () => {
    await using ana = new Home();
    await using receiver = drop(
      ['receive', '--json', '--yes', '--name', 'Ana', '--max-size', '1MB'],
      { home: ana },
    );
    await receiver.event('ready');
    await writeFile(join(ana.path, 'large'), Buffer.alloc(1_000_001));
    await writeFile(join(ana.path, 'fits'), Buffer.alloc(1_000_000));
    const refused = await send(ana, 'drop send --to Ana large');
    expect(refused).toMatchObject({ code: 4, stderr: expect.stringMatching(/--max-size/) });
    await receiver.event('declined', ({ reason }) => reason === 'too-large');
    expect((await send(ana, 'drop send --to Ana - < large')).code).toBe(4);
    await receiver.event('summary', ({ code }) => code === 'too-large');
    expect(await readdir(ana.downloads)).toEqual([]);
    expect((await send(ana, 'drop send --to Ana - --name s < fits')).code).toBe(0);
    expect((await send(ana, 'drop send --to Ana fits')).code).toBe(0);
    expect((await readdir(ana.downloads)).sort()).toEqual(['fits', 's']);
  });
});

describeWith(['bash', 'tar'], 'a message', () => {
  test('appears there, and both say so', async () => {
    await using ana = new Home();
    await using receiver: Drop = drop(['receive', '--json', '--yes', '--name', 'Ana'], {
      home: ana,
    });
    await receiver.event('ready');
    await writeFile(join(ana.path, 'a'), 'a');
    const text = 'Hi\n\x1b[2Jthere';
    await using sending = drop(['send', '--json', '--to', 'Ana', 'a', '--text', text], {
      home: ana,
    });
    expect((await sending.outcome()).code).toBe(0);
    expect(await sending.event('text')).toMatchObject({ text });
    expect(await receiver.event('text')).toMatchObject({ text });
    expect(await readdir(ana.downloads)).toEqual(['a']);
  });

  test('is saved under the name that was chosen for it', async () => {
    await using ana = new Home();
    await using receiver = drop(
      ['receive', '--json', '--yes', '--name', 'Ana', '--as', 'note.txt', '--once'],
      { home: ana },
    );
    await receiver.event('ready');
    expect((await send(ana, 'drop send --to Ana --text hello')).code).toBe(0);
    expect((await receiver.outcome()).code).toBe(0);
    expect(await readFile(join(ana.downloads, 'note.txt'), 'utf8')).toBe('hello');
  });
});

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
