import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { syncFolder } from '../../src/disk/sync.ts';
import { failureOf, newFolder } from './support.ts';

test('in the place of a folder nothing else is opened: for a pipe it would wait for ever', async () => {
  const folder = newFolder();
  const [pipe, file] = [join(folder, 'pipe'), join(folder, 'file')];
  execFileSync('mkfifo', [pipe]);
  writeFileSync(file, '');
  await syncFolder(folder);
  for (const path of [pipe, file])
    expect(await failureOf(syncFolder(path))).toMatchObject({ code: 'ENOTDIR' });
});
