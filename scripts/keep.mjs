// npm run keep drop-lan-VERSION.tgz: puts the command of a release into test/releases, where the
// tests of later versions run it, and prints its path.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Failure, npm, project, script } from './npm.mjs';

/** What the command needs to run, and the licences of what is in it. */
const FILES = ['bin', 'dist/command', 'dist/THIRD-PARTY.txt'];

script(() => {
  const [archive] = process.argv.slice(2);
  if (archive === undefined) throw new Failure('Which one? Name what npm run release has made.');
  const folder = mkdtempSync(join(tmpdir(), 'drop-keep-'));
  try {
    const { status, stderr } = spawnSync('tar', ['-xzf', resolve(archive), '-C', folder]);
    if (status !== 0) throw new Failure(`${archive} cannot be unpacked: ${stderr}`);
    const stage = join(folder, 'package');
    const path = join(stage, 'package.json');
    const { name, version, license, type, bin, engines } = JSON.parse(readFileSync(path, 'utf8'));
    const kept = { name, version, license, type, bin, files: FILES, engines };
    writeFileSync(path, `${JSON.stringify(kept, null, 2)}\n`);
    rmSync(join(stage, 'README.md'));
    const releases = join(project, 'test', 'releases');
    const [file] = npm('pack', stage, '--silent', '--pack-destination', releases).split('\n');
    console.log(join(releases, file));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
