import { existsSync, readFileSync, statSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { drop, dropOnScreen } from '../support/bin.ts';
import { Home } from '../support/home.ts';

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
    await using screen = dropOnScreen(['ui', '--no-open'], { home, cols: 100 });
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
