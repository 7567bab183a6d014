import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { history } from '../../src/history.ts';
import { STEERING } from '../cli/fake.ts';
import { type Drop, drop } from '../support/bin.ts';
import { makeFile } from '../support/content.ts';
import { Home, TempFolder } from '../support/home.ts';
import { finished } from '../support/process.ts';
import { OtherBuild } from '../support/releases.ts';
import { describeWith } from '../support/skip.ts';

const PIN = 'correct-horse 7';
const MiB = 1024 ** 2;

/** Where a receiver that prints no JSON can be reached. */
async function addressOf(receiving: Drop): Promise<string> {
  const [, address = ''] = await receiving.said(/drop send FILE --to (\S+)/);
  return address;
}

function pinFileIn({ path }: TempFolder): string {
  const file = join(path, 'pin');
  writeFileSync(file, `${PIN}\n`, { mode: 0o600 });
  return file;
}

describeWith(['root', 'setpriv'], 'a service of an account that has nothing', () => {
  /** Neither a name nor a home folder; whatever is in the files of the system, not this one. */
  const UID = '47119';
  const AS_SERVICE = ['env', '-u', 'HOME', 'setpriv', `--reuid=${UID}`, `--regid=${UID}`];

  test('receives, and its log has a line for everything, but no PIN and nothing that steers', async () => {
    await using home = new Home();
    await using bob = new Home();
    const [into, pin] = [join(home.path, 'in'), pinFileIn(home)];
    mkdirSync(into);
    execFileSync('chown', ['-R', `${UID}:${UID}`, home.path]);
    const args = ['receive', '--yes', '--into', into, '--pin-file', pin, '--by-device'];
    await using build = OtherBuild.forEveryone();
    await using receiving = drop(args, {
      home,
      build,
      by: [...AS_SERVICE, '--clear-groups', 'sh', '-c', 'exec "$0" "$@" </dev/null'],
    });
    const to = await addressOf(receiving);
    const name = 'a\n<3>fake\x1b[2J\u202e.txt';
    await writeFile(join(bob.path, name), 'a');
    await using sending = drop(['send', '--to', to, name], { home: bob, env: { DROP_CODE: PIN } });
    expect((await sending.outcome()).code).toBe(0);
    await receiving.said(/Saved/);

    const { code, signal, stdout, stderr } = await receiving.stop('SIGTERM');
    expect({ code, signal, stdout }).toEqual({ code: null, signal: 'SIGTERM', stdout: '' });
    const [device = ''] = await readdir(into);
    const [saved = ''] = await readdir(join(into, device));
    expect(stderr.split('\n')).toEqual([
      expect.stringMatching(/^Ready as "[^"]+", saving to /),
      'New devices are let in by the PIN that you chose.',
      expect.stringMatching(/^Reachable at /),
      expect.stringMatching(/^Waiting for files\./),
      `New device paired: "${device}"`,
      expect.stringMatching(/^Receiving a.+<3>fake.+ \(1 B\) from "/),
      `Saved ${join(into, device, saved)} (1 B), offered as "a\ufffd<3>fake\ufffd[2J\ufffd.txt"`,
      expect.stringMatching(/^Stopping/),
      '',
    ]);
    expect(stderr).not.toMatch(STEERING);
    expect(stderr).not.toContain('horse');
    const [arrival] = await history({ home: home.state }).catch(() => []);
    expect(arrival ?? null).toBeNull(); // It is that account's alone.
    execFileSync('chown', ['-R', '0:0', home.path]);
    expect(await history({ home: home.state })).toMatchObject([
      { ok: true, files: 1, roots: [saved], into: join(into, device), peer: { name: device } },
    ]);
  });
});

test('stopped by SIGTERM it withdraws its announcement and keeps what came, and another one goes on', async () => {
  await using ana = new Home();
  await using bob = new Home();
  await makeFile(join(bob.path, 'large'), 'large', 8 * MiB);
  const pin = ['--pin-file', pinFileIn(ana)];
  const receive = () => drop(['receive', '--json', '--yes', ...pin], { home: ana });
  const send = (to: string, ...more: string[]): Drop =>
    drop(['send', '--json', '--to', to, 'large', ...more], { home: bob, env: { DROP_CODE: PIN } });
  await using list = drop(['peers', '--watch', '--json'], { home: bob });
  {
    await using receiving = receive();
    const { id } = await receiving.event('ready');
    const { run } = await list.event('peer', (peer) => peer.id === id && peer.state === 'found');
    await using sending = send(id, '--limit', '1MB/s');
    await receiving.event('progress', ({ bytes }) => bytes > 1.5 * MiB);
    const gone = list.event('peer', (peer) => peer.run === run && peer.state === 'lost');
    expect(await receiving.stop('SIGTERM')).toMatchObject({ code: null, signal: 'SIGTERM' });
    expect((await sending.outcome()).code).toBe(5);
    await gone;
    expect(await receiving.event('summary')).toMatchObject({ ok: false, kept: expect.any(Number) });
    expect(await readdir(ana.downloads)).toEqual([expect.stringMatching(/^\.drop-/)]);
  }
  await using receiving = receive();
  await using sending = send((await receiving.event('ready')).id);
  expect((await sending.outcome()).code).toBe(0);
  expect((await sending.event('summary')).resumed).toBeGreaterThan(MiB);
  expect((await receiving.stop('SIGTERM')).signal).toBe('SIGTERM');
  expect(await readdir(ana.downloads)).toEqual(['large']);
  // Both are known, and what the first one left is no arrival twice.
  expect(await history({ home: ana.state })).toMatchObject([
    { ok: false, code: 'cancelled', files: 0, roots: [] },
    { ok: true, files: 1, roots: ['large'], into: ana.downloads },
  ]);
});

test('where the history cannot be written, all arrives; with -v it says so, once', async () => {
  await using ana = new Home();
  mkdirSync(ana.state, { mode: 0o700 });
  writeFileSync(join(ana.state, 'history'), 'in the way');
  await using receiving = drop(['receive', '-v'], { home: ana });
  const to = await addressOf(receiving);
  for (const name of ['a', 'b']) {
    await writeFile(join(ana.path, name), name);
    await using sending = drop(['send', '--to', to, name], { home: ana });
    expect((await sending.outcome()).code).toBe(0);
    await receiving.said(/is missing in drop history/);
  }
  const { stderr } = await receiving.stop('SIGTERM');
  expect(stderr.match(/is missing in drop history/g)).toHaveLength(1);
  expect((await readdir(ana.downloads)).sort()).toEqual(['a', 'b']);
});

const paper = (name: string): string =>
  fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));

describeWith(['systemd-analyze'], 'the unit for systemd', () => {
  test('is understood, in both of its forms', async () => {
    await using folder = new TempFolder();
    const runtime = join(folder.path, 'run');
    mkdirSync(runtime, { mode: 0o700 });
    const unit = readFileSync(paper('drop-receive.service'), 'utf8');
    const forms = [unit, unit.replaceAll(/^#(?=LoadCredential=|ExecStart=)/gm, '')];
    expect(forms[1]?.match(/^(?:LoadCredential|ExecStart)=/gm)).toHaveLength(4);
    for (const form of forms) {
      const file = join(folder.path, 'drop-receive.service');
      // It looks whether the command is there.
      writeFileSync(file, form.replaceAll('%h/.local/bin/drop', process.execPath));
      const child = spawn('systemd-analyze', ['--user', '--man=no', 'verify', file], {
        env: { PATH: process.env.PATH, HOME: folder.path, XDG_RUNTIME_DIR: runtime },
      });
      expect(await finished(child)).toEqual({ code: 0, signal: null, stdout: '', stderr: '' });
    }
  });
});

describeWith(['jq', 'bash'], 'the loop of SERVICE.md', () => {
  test('has a line for each file that arrives, whatever it is called', async () => {
    await using ana = new Home();
    const [, recipe = ''] =
      /```sh\n(drop receive[\s\S]*?)```/.exec(await readFile(paper('SERVICE.md'), 'utf8')) ?? [];
    const bin = join(ana.path, 'bin');
    mkdirSync(bin);
    mkdirSync(join(ana.path, 'Inbox'));
    const command = fileURLToPath(new URL('../../bin/drop.js', import.meta.url));
    const script = `#!/bin/sh\nexec "${process.execPath}" "${command}" --interface lo "$@" --once\n`;
    writeFileSync(join(bin, 'drop'), script);
    chmodSync(join(bin, 'drop'), 0o755);
    const names = ['$(touch x); `y`', "it's", '-rf', 'line\nend'];
    for (const name of names) writeFileSync(join(ana.path, name), name);
    const child = spawn('bash', ['-euc', recipe], {
      env: { ...ana.env, PATH: `${bin}${delimiter}${process.env.PATH}` },
      cwd: ana.path,
    });
    const outcome = finished(child);
    const [{ id = '' } = {}] = await ownReceiver(ana);
    await using sending = drop(['send', '--to', id, '--', ...names], { home: ana });
    expect((await sending.outcome()).code).toBe(0);
    const { code, stdout } = await outcome;
    expect(code).toBe(0);
    const saved = ['$(touch x); `y`', "it's", '_-rf', 'line_end'];
    expect(stdout.split('\n').filter(Boolean).sort()).toEqual(
      saved.map((name) => `arrived: ${join(ana.path, 'Inbox', name)}`).sort(),
    );
  });
});

/** The receiver of this account, once it is found. */
async function ownReceiver(home: Home) {
  await using list = drop(['peers', '--watch', '--json'], { home });
  return [
    await list.event('peer', ({ standing, state }) => standing === 'self' && state === 'found'),
  ];
}
