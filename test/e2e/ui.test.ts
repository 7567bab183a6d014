import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Drop, drop, dropOnScreen } from '../support/bin.ts';
import { Home } from '../support/home.ts';
import { PageClient } from '../support/page-client.ts';

const LINK = /http:\/\/127\.0\.0\.1:\d+\/#[\w-]{22}/;

describe('drop ui', () => {
  test('opens a browser by a file that only its owner can read, and removes it at the end', async () => {
    await using home = new Home();
    const env = await desktop(home);
    const opened = (name: string): string => readFileSync(join(home.path, name), 'utf8');
    await using running = drop(['ui', '--json'], { home, env });
    const url = linkOf(await running.event('ready'));
    expect(url).toMatch(LINK);
    await expect.poll(() => existsSync(join(home.path, 'opened'))).toBe(true);
    const [path = '', ...more] = opened('opened').trim().split('\n');
    expect(more).toEqual([]);
    expect(path).not.toContain(url.split('#')[1]);
    expect(readFileSync(path, 'utf8')).toContain(`url=${url}`);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
    // Whoever lists processes sees no more than that.
    expect(opened('words')).not.toContain('#');
    const { signal } = await running.stop();
    expect(signal).toBe('SIGINT');
    expect(existsSync(dirname(path))).toBe(false);
  });

  test('shows the link in a terminal, and nowhere else', async () => {
    await using home = new Home();
    // As quiet as it may be, nobody could open it otherwise.
    await using screen = dropOnScreen(['ui', '--no-open', '--quiet'], { home, cols: 100 });
    const [link] = await screen.waitFor(LINK);
    const page = await fetch(link);
    expect(await page.text()).toContain('<title>');
    screen.type('\x03');
    await screen.outcome();

    // Nor does it go where nobody can open it: a log has no use for it.
    for (const args of [['ui', '--no-open'], ['ui']]) {
      const silent = await drop(args, { home }).outcome();
      expect(silent).toMatchObject({ code: 2, stdout: '' });
      expect(silent.stderr).toBe(
        'Error: There is no terminal to show the link of the window on.\nRun it in a terminal, or with --json.\n',
      );
    }
  });

  test('says which port is taken, and listens at 127.0.0.1 only', async () => {
    await using first = drop(['ui', '--json', '--no-open']);
    const url = linkOf(await first.event('ready'));
    const { port } = new URL(url);
    for (const host of ['[::1]', '127.0.0.2'])
      await expect(fetch(`http://${host}:${port}/`)).rejects.toThrow();
    const second = await drop(['ui', '--json', '--no-open', '--port', port]).outcome();
    expect(second.code).toBe(2);
    expect(second.stdout).toContain(`Port ${port} is taken`);
  });

  test('says why nothing can be received, and goes on with all else', async () => {
    await using home = new Home();
    await writeFile(join(home.path, 'file'), '');
    await using running = drop(['ui', '--json', '--no-open', '--into', 'file'], { home });
    const { path, message } = await running.event('error');
    expect(path).toContain('file');
    expect(message).not.toBe('');
    expect((await running.stop()).signal).toBe('SIGINT');

    await using screen = dropOnScreen(['ui', '--no-open', '--into', 'file'], { home, cols: 100 });
    await screen.waitFor(LINK);
    await screen.waitFor(/Error: .*file/);
    await screen.waitFor(/The window is there/);
  });
});

test.runIf(process.platform === 'linux')(
  'drop ui --notify tells who looks at no page',
  async () => {
    await using ana = new Home();
    await using bob = new Home();
    const env = await desktop(ana);
    const notifier = join(ana.path, 'bin', 'notify-send');
    await writeFile(notifier, `#!/bin/sh\nprintf '%s\\n' "$@" . >>"$HOME/told"\n`);
    await chmod(notifier, 0o755);
    await using window = drop(['ui', '--json', '--no-open', '--notify', 'desktop'], {
      ...{ home: ana, env },
    });
    const ready = await window.event('ready');
    const page = new PageClient(linkOf(ready));
    const told = (): string[] => {
      const file = join(ana.path, 'told');
      return existsSync(file) ? readFileSync(file, 'utf8').split('\n.\n').slice(0, -1) : [];
    };
    const notice = (...words: string[]): string =>
      ['--app-name=drop', '--category=transfer', '--', ...words].join('\n');
    const send = (name: string): Drop => {
      writeFileSync(join(bob.path, name), name);
      const args = ['send', '--json', '--to', `127.0.0.1:${ready.port}`, join(bob.path, name)];
      return drop(args, { home: bob, env: { DROP_NAME: 'Bob', DROP_CODE: ready.code ?? '' } });
    };

    expect((await send('secret.txt').outcome()).code).toBe(0);
    await expect.poll(told).toEqual([notice('1 file arrived', 'from Bob')]);
    await using asking = send('other.txt');
    await expect
      .poll(told)
      .toEqual([
        notice('1 file arrived', 'from Bob'),
        notice('Bob wants to send you something', '9 B\nAnswer it in the window: drop ui'),
      ]);
    await page.open();
    const { id } = await page.question('accept');
    await page.command('answer', { question: id, answer: true });
    expect((await asking.outcome()).code).toBe(0);

    await page.until(() => page.view.questions.length === 0);
    // Somebody may be looking at it now.
    await using seen = send('third.txt');
    const third = await page.question('accept');
    await page.command('answer', { question: third.id, answer: true });
    expect((await seen.outcome()).code).toBe(0);
    expect(told()).toHaveLength(2);
    await page.close();
  },
);

describe('drop ui, run again by the same account', () => {
  const again = (home: Home, ...args: string[]): Drop => drop(['ui', '--json', ...args], { home });

  test('opens the window that is there, and ends', async () => {
    await using home = new Home();
    const env = await desktop(home);
    await using first = again(home, '--no-open');
    const url = linkOf(await first.event('ready'));
    await using second = drop(['ui', '--json'], { home, env });
    expect(await second.event('running')).toEqual({ v: 1, event: 'running', url });
    await expect.poll(() => existsSync(join(home.path, 'opened'))).toBe(true);
    const path = readFileSync(join(home.path, 'opened'), 'utf8').trim();
    expect(readFileSync(path, 'utf8')).toContain(`url=${url}`);
    expect(readFileSync(join(home.path, 'words'), 'utf8')).not.toContain('#');
    // Which is what it waits for: then nothing is left of the way there.
    const page = await new PageClient(url).open();
    expect(await second.outcome()).toMatchObject({ code: 0 });
    expect(second.events.map(({ event }) => event)).toEqual(['running']);
    expect(existsSync(path)).toBe(false);
    await page.close();
    // The first one goes on.
    expect((await fetch(url)).status).toBe(200);
    expect((await first.stop()).signal).toBe('SIGINT');
  });

  test('says so in a sentence, with the link where nothing is opened', async () => {
    await using home = new Home();
    await using first = again(home, '--no-open');
    const url = linkOf(await first.event('ready'));
    await using screen = dropOnScreen(['ui', '--no-open'], { home, cols: 100 });
    await screen.waitFor(/Your window runs already\. Open this in a browser on this computer:/);
    const [link] = await screen.waitFor(LINK);
    expect(link).toBe(url);
    expect(await screen.outcome()).toMatchObject({ code: 0 });
  });

  test('is refused what the window that is there is not, and nothing else', async () => {
    await using home = new Home();
    const { downloads } = home;
    await using first = again(home, '--no-open', '--name', 'Ana', '--into', downloads);
    const url = linkOf(await first.event('ready'));
    for (const [option, value] of [
      ['--name', 'Bob'],
      ['--into', home.path],
      ['--port', '1'],
    ] as const) {
      const { code, stdout } = await again(home, '--no-open', option, value).outcome();
      expect([option, code]).toEqual([option, 2]);
      expect(stdout).toContain(`Your window runs already, with another ${option} than this.`);
      expect(stdout).not.toContain(url.split('#')[1]);
    }
    const { port } = new URL(url);
    const same = again(home, '--no-open', '--name', 'Ana', '--into', 'Downloads', '--port', port);
    expect((await same.outcome()).code).toBe(0);
    expect(await same.event('running')).toMatchObject({ url });
  });

  test('is one window, also if both are run at once', async () => {
    await using home = new Home();
    for (let round = 0; round < 3; round++) {
      await using one = again(home, '--no-open');
      await using other = again(home, '--no-open');
      const first = await Promise.all(
        [one, other].map((either) =>
          either.until(
            () => either.events.find(({ event }) => event === 'ready' || event === 'running'),
            'window',
          ),
        ),
      );
      expect(first.map(({ event }) => event).sort()).toEqual(['ready', 'running']);
      const [link, ...others] = new Set(first.map(linkOf));
      expect(link).toMatch(LINK);
      expect(others).toEqual([]);
      // A crash leaves a note of a window that is none.
      for (const either of [one, other]) either.kill('SIGKILL');
    }
  });

  test('tells its token to nobody who listens where a window was that crashed', async () => {
    await using home = new Home();
    await using first = again(home, '--no-open');
    const url = new URL(linkOf(await first.event('ready')));
    const note = join(home.state, 'window.json');
    expect(statSync(note).mode & 0o777).toBe(0o600);
    const token = url.hash.slice(1);
    expect(readFileSync(note, 'utf8')).toContain(token);
    first.kill('SIGKILL');
    await first.outcome();

    // Somebody else of this computer, who would like to be taken for it.
    const heard: string[] = [];
    const other = createServer((request, response) => {
      heard.push(`${request.method} ${request.url} ${JSON.stringify(request.rawHeaders)}`);
      response.end('x'.repeat(43));
    }).listen(Number(url.port), '127.0.0.1');
    onTestFinished(() => void other.close());
    await once(other, 'listening');
    await using second = again(home, '--no-open');
    const link = linkOf(await second.event('ready'));
    expect(new URL(link).port).not.toBe(url.port);
    expect(heard).toEqual([expect.stringMatching(/^GET \/proof\/[\w-]{22} /)]);
    expect(heard.join()).not.toContain(token);
    expect(readFileSync(note, 'utf8')).not.toContain(token);
  });

  test('has the port of the time before, if that is free', async () => {
    await using home = new Home();
    const ports = new Set<string>();
    for (let time = 0; time < 2; time++) {
      await using window = again(home, '--no-open');
      const url = new URL(linkOf(await window.event('ready')));
      ports.add(url.port);
      await window.stop();
      // What stays is no secret.
      expect(readFileSync(join(home.state, 'window.json'), 'utf8')).toBe(
        `{"v":1,"port":${url.port}}\n`,
      );
    }
    expect(ports.size).toBe(1);
  });
});

function linkOf(ready: object): string {
  return 'url' in ready ? String(ready.url) : '';
}

/** A desktop, as far as something can be opened in it: what is opened is written down. */
async function desktop(home: Home): Promise<Record<string, string>> {
  const bin = join(home.path, 'bin');
  await mkdir(bin);
  const opener = join(bin, 'xdg-open');
  const script = `#!/bin/sh\ntr '\\0' ' ' </proc/$$/cmdline >"$HOME/words"\nfor path; do echo "$path"; done >"$HOME/opening"\nmv "$HOME/opening" "$HOME/opened"\n`;
  await writeFile(opener, script);
  await chmod(opener, 0o755);
  return { PATH: `${bin}:${process.env.PATH}`, DISPLAY: ':0' };
}
