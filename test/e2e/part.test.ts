import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
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

test('whoever fetches what cannot all be read is told so, and gets the rest', async () => {
  await using ana = new Home();
  await using bob = new Home();
  await mkdir(join(ana.path, 'all/in'), { recursive: true });
  for (const path of ['all/a', 'all/in/b', 'x.pdf']) await writeFile(join(ana.path, path), path);
  await writeFile(Buffer.from(`${ana.path}/all/caf\xe9`, 'latin1'), 'not in UTF-8');
  await using sharing = drop(['share', '--json', '--yes', '--name', 'Ana', 'x.pdf', 'all'], {
    home: ana,
  });
  const { code } = await sharing.event('ready');
  await rm(join(ana.path, 'x.pdf'));
  const get = (...more: string[]) =>
    drop(['get', '--json', '--from', 'Ana', ...more], {
      home: bob,
      env: { DROP_CODE: code ?? '' },
    });

  await using whole = get();
  expect((await whole.outcome()).code).toBe(5);
  const told = whole.events.flatMap((one) => (one.event === 'error' ? [one.code, one.path] : []));
  expect(told).toEqual(['peer-source', 'x.pdf', 'unsafe-name', 'all/caf\ufffd']);
  expect(await whole.event('summary')).toMatchObject({ ok: false, files: 2, failed: 2 });
  const all = join(bob.downloads, 'all');
  expect(tree(all)).toEqual({ a: 'all/a', in: '/', 'in/b': 'all/in/b' });

  await using part = get('--only', 'all/in');
  expect((await part.outcome()).code).toBe(0);
  expect(await part.event('summary')).toMatchObject({ ok: true, files: 1, failed: 0 });
});
