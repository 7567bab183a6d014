// npm run release: makes drop-lan-VERSION.tgz in the project folder and prints its path.

import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { npm, project, script } from './npm.mjs';

script(() => {
  // Whatever was renamed or removed since the last build must not travel.
  rmSync(join(project, 'dist'), { recursive: true, force: true });
  npm('run', 'build');

  const stage = mkdtempSync(join(tmpdir(), 'drop-release-'));
  try {
    const manifest = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8'));
    // npm picks from them what `files` says.
    const tops = manifest.files.map((pattern) => pattern.split('/')[0]);
    for (const name of new Set([...tops, 'README.md', 'LICENSE']))
      if (existsSync(join(project, name)))
        cpSync(join(project, name), join(stage, name), { recursive: true });
    // These are for the checkout: npm would run `prepare` here, or warn that it does not.
    const { scripts: _, devDependencies: __, ...shipped } = manifest;
    writeFileSync(join(stage, 'package.json'), `${JSON.stringify(shipped, null, 2)}\n`);
    const made = JSON.parse(npm('pack', stage, '--json', '--pack-destination', project));
    console.log(join(project, packed(made).filename));
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
});

/** npm 12 lists packages by name, older ones in an array. */
function packed(list) {
  return Object.values(list)[0];
}
