import { chmodSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { markHere } from '../../src/disk/mark.ts';
import { Home } from '../support/home.ts';
import { file, inboxIn, MTIME, newFolder, put, visible } from './support.ts';

describe('what came from somebody else', () => {
  test('has a stream that says so, on Windows', async () => {
    await using home = new Home();
    const path = join(home.path, 'a.exe');
    writeFileSync(path, 'a');
    await markHere('win32')?.(path);
    // Elsewhere the name of a stream is the name of a file.
    expect(readFileSync(`${path}:Zone.Identifier`, 'utf8')).toBe('[ZoneTransfer]\r\nZoneId=3\r\n');
  });

  test('is in quarantine on macOS, many files at a time', async () => {
    await using home = new Home();
    const [xattr, said] = [join(home.path, 'xattr'), join(home.path, 'said')];
    writeFileSync(xattr, `#!/bin/sh\nprintf '%s\\n' "$*" >>'${said}'\n`);
    chmodSync(xattr, 0o755);
    const mark = markHere('darwin', { xattr, now: () => 0x5f5e1000 * 1000 });
    await Promise.all(Array.from({ length: 300 }, (_, i) => mark?.(`/in/${i}`)));
    const calls = readFileSync(said, 'utf8').trimEnd().split('\n');
    expect(calls).toHaveLength(3);
    expect(calls[0]).toBe('-w com.apple.quarantine 0081;5f5e1000;drop; /in/0');
    const marked = calls.flatMap((call) => call.split(' ').slice(3));
    expect(new Set(marked).size).toBe(300);
  });

  test.each(['win32', 'darwin'] as const)(
    'is kept where it cannot be marked: %s',
    async (platform) => {
      await markHere(platform, { xattr: '/nowhere/xattr' })?.('/nowhere/a.exe');
    },
  );

  test('is kept where what marks it cannot even be started', async () => {
    // What no path can have in it fails at once, as a sandbox does that forbids all programs.
    const mark = markHere('darwin', { xattr: '/usr/bin/xattr\0' });
    await Promise.all([mark?.('/a.exe'), mark?.('/b.exe')]);
    await mark?.('/c.exe');
  });

  test('is marked when it is whole, before it has its name and keeps its time', async () => {
    const target = newFolder();
    const marked: [string, string][] = [];
    const mark = async (path: string): Promise<void> => {
      marked.push([readFileSync(path, 'utf8'), basename(dirname(path)).slice(0, 6)]);
      expect(visible(target)).toEqual({});
      utimesSync(path, 0, 0);
    };
    const inbox = await inboxIn(target, { mark });
    const { path } = await put(inbox, file('a.exe', 3), 'abc');
    await inbox.close();
    expect(marked).toEqual([['abc', '.drop-']]);
    expect(Math.round(statSync(path).mtimeMs)).toBe(MTIME);
  });

  test('is not marked where there is no such thing', () => {
    expect(markHere('linux')).toBeUndefined();
  });
});
