import { chmodSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { defaultDownloads, defaultHome, defaultName, openHome } from '../../src/disk/home.ts';
import { checkTarget } from '../../src/disk/target.ts';
import { asUser, newFolder, newFolderOfUser } from './support.ts';

test('by default the state lies in a folder called drop', () => {
  expect(isAbsolute(defaultHome())).toBe(true);
  expect(defaultHome()).toMatch(/[/\\]drop\b/);
});

describe('openHome', () => {
  test('makes the folder and those that it lies in for nobody else to see', async () => {
    const home = join(newFolder(), 'deep', 'down');
    await openHome(home);
    await openHome(home);
    expect(statSync(home).mode & 0o777).toBe(0o700);
  });

  test('refuses a folder in which others could exchange the identity', async () => {
    const home = newFolder();
    chmodSync(home, 0o777);
    await expect(openHome(home)).rejects.toMatchObject({ code: 'identity', path: home });
  });

  test('goes by the user that it runs as, and says how to mend it in words to copy', async () => {
    const folder = await newFolderOfUser();
    await asUser(async () => {
      const home = join(folder, "Ana's Library");
      await openHome(home);
      chmodSync(home, 0o777);
      await expect(openHome(home)).rejects.toMatchObject({
        hint: `It must be yours alone: chmod 700 '${folder}/Ana'\\''s Library'`,
      });
    });
  });

  test('refuses what is not a folder', async () => {
    const home = join(newFolder(), 'file');
    writeFileSync(home, '');
    await expect(openHome(home)).rejects.toMatchObject({ code: 'exists', path: home });
  });
});

describe('defaultDownloads', () => {
  const cases: [string, string | undefined, string[], string][] = [
    [
      'the folder of user-dirs.dirs',
      'XDG_DOWNLOAD_DIR="$HOME/Télé"',
      ['Télé', 'Downloads'],
      'Télé',
    ],
    ['with quotes and blanks', 'XDG_DOWNLOAD_DIR="$HOME/a \\"b\\""', ['a "b"'], 'a "b"'],
    ['Downloads if that one is gone', 'XDG_DOWNLOAD_DIR="$HOME/gone"', ['Downloads'], 'Downloads'],
    [
      'Downloads if it is commented out',
      '#XDG_DOWNLOAD_DIR="$HOME/x"',
      ['x', 'Downloads'],
      'Downloads',
    ],
    ['Downloads if it is not absolute', 'XDG_DOWNLOAD_DIR="x"', ['x', 'Downloads'], 'Downloads'],
    ['Downloads without such a file', undefined, ['Downloads'], 'Downloads'],
    ['Downloads if there is none yet', undefined, [], 'Downloads'],
    ['Downloads, not the home folder', 'XDG_DOWNLOAD_DIR="$HOME/"', ['Downloads'], 'Downloads'],
    ['Downloads, not a link to home', 'XDG_DOWNLOAD_DIR="$HOME/me"', [], 'Downloads'],
  ];
  test.each(cases)('is %s', async (_, line, folders, expected) => {
    const person = newFolder();
    const config = newFolder();
    for (const folder of folders) mkdirSync(join(person, folder));
    symlinkSync('.', join(person, 'me'));
    if (line)
      writeFileSync(join(config, 'user-dirs.dirs'), `# comment\nXDG_X="$HOME/x"\n${line}\n`);
    const found = await defaultDownloads(person, config);
    expect(found).toBe(resolve(person, expected));
    expect(statSync(found).isDirectory()).toBe(true);
  });

  test('is made for others to look into, not to write to', async () => {
    const person = newFolder();
    const umask = process.umask(0o002);
    try {
      const made = await defaultDownloads(person, person);
      expect(statSync(made).mode & 0o777).toBe(0o755);
    } finally {
      process.umask(umask);
    }
  });

  test('fails where it cannot be made, and leaves what is there to the inbox', async () => {
    const person = newFolder();
    await expect(defaultDownloads(join(person, 'none'), person)).rejects.toMatchObject({
      code: 'missing',
      path: join(person, 'none', 'Downloads'),
    });
    writeFileSync(join(person, 'Downloads'), 'mine');
    const found = await defaultDownloads(person, person);
    await expect(checkTarget(found)).rejects.toMatchObject({ code: 'exists', path: found });
  });
});

test.each([
  ['anna-laptop.local', 'anna-laptop'],
  ['anna-laptop.local.', 'anna-laptop'],
  ['anna.example.org', 'anna.example.org'],
  ['', 'drop'],
  ['é'.repeat(60), 'é'.repeat(31)],
])('a host called %j is shown as %j', (host, name) => {
  expect(defaultName(host)).toBe(name);
});
