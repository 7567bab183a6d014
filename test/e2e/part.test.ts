import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { tree } from '../disk/support.ts';
import { drop } from '../support/bin.ts';
import { Home } from '../support/home.ts';

test('a part of what is shared is fetched, and both sides count that only', async () => {
  await using ana = new Home();
  await using bob = new Home();
  const shared = ['photos/2023/a.jpg', 'photos/2024/b.jpg', 'photos/2024/raw/c.dng', 'x.pdf'];
  for (const path of [...shared, 'node_modules/y.jpg']) {
    await mkdir(dirname(join(ana.path, 'all', path)), { recursive: true });
    await writeFile(join(ana.path, 'all', path), path);
  }
  await using sharing = drop(
    ['share', '--json', '--yes', '--name', 'Ana', 'all', '--exclude', 'node_modules'],
    { home: ana },
  );
  const { code } = await sharing.event('ready');
  const get = (...only: string[]) =>
    drop(['get', '--json', '--from', 'Ana', ...only.flatMap((one) => ['--only', one])], {
      home: bob,
      env: { DROP_CODE: code ?? '' },
    });

  await using some = get('*.jpg', 'all/photos/2024/raw/');
  expect((await some.outcome()).code).toBe(0);
  const summary = await some.event('summary');
  expect(summary).toMatchObject({ ok: true, files: 3, skipped: 1, failed: 0 });
  const told = await sharing.event('summary');
  expect({ ...told, peer: 0, ms: 0 }).toEqual({ ...summary, peer: 0, ms: 0 });
  const all = join(bob.downloads, 'all');
  expect(tree(all)).toEqual({
    photos: '/',
    'photos/2023': '/',
    'photos/2023/a.jpg': shared[0],
    'photos/2024': '/',
    'photos/2024/b.jpg': shared[1],
    'photos/2024/raw': '/',
    'photos/2024/raw/c.dng': shared[2],
  });

  await using wrong = get('x.pdf', 'photos/2025');
  expect((await wrong.outcome()).code).toBe(5);
  expect(await wrong.event('error')).toMatchObject({ code: 'incomplete', path: 'photos/2025' });
  expect(await wrong.event('summary')).toMatchObject({ ok: false, files: 1 });
  expect(await readFile(join(all, 'x.pdf'), 'utf8')).toBe('x.pdf');

  await using none = get('!x');
  expect((await none.outcome()).code).toBe(2);
});
