import { mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { drop, dropOnScreen, PRESENT } from '../support/bin.ts';
import { Home } from '../support/home.ts';
import { Screen } from '../support/screen.ts';

const ENTER = '\r';
const CTRL_C = '\x03';
const CTRL_Z = '\x1a';
const SIGINT = 2;

describe('two people at their terminals', () => {
  test('choose a device that appears while the list is open, type the code, and see it arrive', async () => {
    await using ana = new Home();
    await using bob = new Home();
    await mkdir(join(bob.path, 'photos'));
    await writeFile(join(bob.path, 'photos', 'one.jpg'), 'one');
    await using sending = dropOnScreen(['send', 'photos'], { home: bob });
    await sending.waitFor(/Looking for devices/);

    await using receiving = dropOnScreen(['receive', '--name', "Ana's laptop"], { home: ana });
    const [, code] = await receiving.waitFor(/Code for new devices: (\d{3} \d{3})/);
    await sending.waitFor(/> Ana's laptop +new/);
    sending.type(ENTER);
    await sending.waitFor(/Code shown on "Ana's laptop":/);
    sending.type(`${code}${ENTER}`);
    await sending.waitFor(/Sent 1 file/);
    expect(await sending.outcome()).toEqual({ code: 0, signal: 0 });
    await receiving.waitFor(/paired/i);
    await receiving.waitFor(/Saved .*one\.jpg/);
    // Used, it is replaced.
    const [, next] = await receiving.waitFor(/Next code for new devices: (\d{3} \d{3})/);
    expect(next).not.toBe(code);
    expect(await readFile(join(ana.downloads, 'photos', 'one.jpg'), 'utf8')).toBe('one');

    receiving.type(CTRL_C);
    expect(await receiving.outcome()).toEqual({ code: 0, signal: SIGINT });
    expect(receiving.cursorShown).toBe(true);
  });

  test('Ctrl-Z leaves the terminal to the shell, and fg draws all of it again', async () => {
    await using ana = new Home();
    const shell = ['bash', ['--norc', '--noprofile', '-i']] as const;
    await using screen = new Screen(...shell, { env: { ...ana.env, PS1: '% ' }, cwd: ana.path });
    await screen.waitFor(/^%$/m);
    screen.type(`"${process.execPath}" "${PRESENT.bin}" receive --name Ana${ENTER}`);
    await screen.waitFor(/- Waiting for files/);
    expect(screen.cursorShown).toBe(false);
    screen.type(CTRL_Z);
    await screen.waitFor(/Stopped.*%$/s);
    expect(screen.cursorShown).toBe(true);
    expect(screen.text()).not.toContain('Waiting');
    screen.type(`fg${ENTER}`);
    await screen.waitFor(/Waiting/);
    screen.type(CTRL_C);
    await screen.waitFor(/Stopping.*%$/s);
    screen.type(`exit${ENTER}`);
    await screen.outcome();
  });

  test('Ctrl-Z in a list leaves the terminal to the shell, too, and after fg one can go on', async () => {
    await using bob = new Home();
    await writeFile(join(bob.path, 'a.txt'), 'a');
    const shell = ['bash', ['--norc', '--noprofile', '-i']] as const;
    await using screen = new Screen(...shell, { env: { ...bob.env, PS1: '% ' }, cwd: bob.path });
    await screen.waitFor(/^%$/m);
    screen.type(`"${process.execPath}" "${PRESENT.bin}" send a.txt${ENTER}`);
    await screen.waitFor(/Looking for devices/);
    screen.type('an');
    await screen.waitFor(/which device\? an$/);
    screen.type(CTRL_Z);
    await screen.waitFor(/Stopped.*%$/s);
    screen.type(`fg${ENTER}`);
    await screen.waitFor(/% fg\n.*\n(?:.*\n)*.*which device\? an$/);
    screen.type('a');
    await screen.waitFor(/% fg\n.*\n(?:.*\n)*.*which device\? ana$/);
    screen.type(CTRL_C);
    await screen.waitFor(/Stopping.*%$/s);
    screen.type(`exit${ENTER}`);
    await screen.outcome();
  });

  test('a wrong code says what it means and asks again', async () => {
    await using ana = new Home();
    await using bob = new Home();
    await writeFile(join(bob.path, 'a.txt'), 'a');
    await using receiving = dropOnScreen(['receive', '--name', 'Ana'], { home: ana });
    const [, code = ''] = await receiving.waitFor(/Code for new devices: (\d{3} \d{3})/);
    await using sending = dropOnScreen(['send', '--to', 'Ana', 'a.txt'], { home: bob });
    await sending.waitFor(/Code shown on/);
    sending.type(`${code === '000 000' ? '111111' : '000000'}${ENTER}`);
    await sending.waitFor(/did not match.*Code shown on "Ana":\s*$/s);
    sending.type(`${code}${ENTER}`);
    await sending.waitFor(/Sent /);
    expect(await sending.outcome()).toEqual({ code: 0, signal: 0 });
    // Of a stranger's wrong answer nothing appears.
    expect(receiving.history()).not.toMatch(/wrong|match/i);
  });

  test('a known device is asked about, and the default is no', async () => {
    await using ana = new Home();
    await using bob = new Home();
    await writeFile(join(bob.path, 'a.txt'), 'a');
    await using receiving = dropOnScreen(['receive', '--name', 'Ana'], { home: ana });
    const [, code = ''] = await receiving.waitFor(/Code for new devices: (\d{3} \d{3})/);
    const send = (env: Record<string, string> = {}) =>
      drop(['send', '--to', 'Ana', 'a.txt'], { home: bob, env });
    {
      await using first = send({ DROP_CODE: code });
      expect((await first.outcome()).code).toBe(0);
    }
    // Typed before there is a question, it is no answer.
    receiving.type(`y${ENTER}`);
    {
      await using second = send();
      await receiving.waitFor(/wants to send a\.txt .*Accept\?/);
      receiving.type(ENTER);
      expect((await second.outcome()).code).toBe(4);
    }
    const question = /wants to send a\.txt .*Accept\? \[y\/N\]\s*$/s;
    await receiving.waitForGone(question);
    {
      await using third = send();
      await receiving.waitFor(question);
      receiving.type(`y${ENTER}`);
      expect((await third.outcome()).code).toBe(0);
    }
    // The third was the first again.
    expect(await readdir(ana.downloads)).toEqual(['a.txt']);
  });
});

test('where nobody is found, lists and errors say why', async () => {
  await using bob = new Home();
  await writeFile(join(bob.path, 'a.txt'), 'a');
  await using list = dropOnScreen(['send', 'a.txt'], { home: bob });
  await using naming = drop(['send', '--to', 'Ana', '--wait', '4.5', 'a.txt'], { home: bob });
  await using looking = drop(['peers'], { home: bob });
  // There is but loopback here.
  await list.waitFor(
    /Looking for.*\n {2}This computer is connected to no network\.\n.*\n {2}Asked on lo /,
  );
  list.type(CTRL_C);
  await list.outcome();
  const { code, stderr } = await naming.outcome();
  expect(code).toBe(3);
  expect(stderr).toMatch(
    /Error: "Ana" is not ready on this network\. This computer is connected to no network\.\nJoin one/,
  );
  expect((await looking.outcome()).stderr).toMatch(
    /\nThis computer is connected to no network\.\nJoin one.*\nAsked on lo /,
  );
});

describe('Ctrl-C', () => {
  test('in the list leaves a sane terminal and ends by the signal', async () => {
    await using bob = new Home();
    await writeFile(join(bob.path, 'a.txt'), 'a');
    await using sending = dropOnScreen(['send', 'a.txt'], { home: bob });
    await sending.waitFor(/Looking for devices/);
    sending.type(CTRL_C);
    expect(await sending.outcome()).toEqual({ code: 0, signal: SIGINT });
    expect(sending.cursorShown).toBe(true);
  });

  test('in mid-transfer stops both, and leaves nothing half-made', async () => {
    await using ana = new Home();
    await using bob = new Home();
    await writeFile(join(bob.path, 'large'), '');
    await truncate(join(bob.path, 'large'), 4 * 1024 ** 3);
    await using receiving = drop(['receive', '--json', '--yes', '--name', 'Ana'], { home: ana });
    const { code } = await receiving.event('ready');
    // However fast all else is, it takes a minute and more.
    const slowly = ['--compress', 'never', '--limit', '50MB/s'];
    await using sending = dropOnScreen(['send', ...slowly, '--to', 'Ana', 'large'], {
      home: bob,
      env: { DROP_CODE: code ?? '' },
    });
    await sending.waitFor(/Code shown on/);
    sending.type(`${code}${ENTER}`);
    await sending.waitFor(/\d %/);
    await sending.waitFor(/\d+(\.\d)? [kM]B\/s/);
    sending.type(CTRL_C);
    expect(await sending.outcome()).toEqual({ code: 0, signal: SIGINT });
    expect(sending.cursorShown).toBe(true);
    const summary = await receiving.event('summary');
    expect(summary).toMatchObject({ ok: false, code: 'cancelled', kept: summary.sent });
    expect(summary.sent).toBeGreaterThan(0);
    const found = await readdir(ana.downloads);
    expect(found.filter((name) => !name.startsWith('.drop-'))).toEqual([]);
  });
});

test('a narrow window cuts names and keeps its lines', async () => {
  await using ana = new Home();
  await using bob = new Home();
  await writeFile(join(bob.path, 'a.txt'), 'a');
  const name = 'a rather long name of a laptop that goes on and on and on';
  await using _ = drop(['receive', '--json', '--yes', '--name', name], { home: ana });
  await using sending = dropOnScreen(['send', 'a.txt'], { home: bob });
  await sending.waitFor(/> a rather long name/);
  sending.resize(30, 24);
  await sending.shows((text) => {
    expect(text).toMatch(/> a rather.*…/);
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(30);
  });
  sending.type(CTRL_C);
  await sending.outcome();
});
