// The second half of `npm run build`: writes the command with all that it needs into few files,
// dist/command/*.cjs, as a start takes long that reads a hundred. Nothing is renamed in them.

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { project } from './npm.mjs';

const target = join(project, 'dist', 'command');

/** Of our own code, what most runs do without: it is loaded when it is needed, as packages are. */
const APART =
  /src[\\/](?:cli[\\/](?:arguments|format|devices|rows|picker|face-terminal|peers)|doctor[\\/](?!doctor|check|limit)|net[\\/](?:mdns|voices|guard)|protocol[\\/](?:cpace|knock))/;

const bundle = await rolldown({
  cwd: project,
  input: 'src/cli/main.ts',
  platform: 'node',
  preserveEntrySignatures: 'allow-extension',
  // What one loads when it needs it, another one may need at once.
  checks: { ineffectiveDynamicImport: false },
});
rmSync(target, { recursive: true, force: true });
const { output } = await bundle.write({
  dir: target,
  format: 'cjs',
  entryFileNames: '[name].cjs',
  chunkFileNames: '[name].cjs',
  comments: { legal: true, annotation: false, jsdoc: false },
  codeSplitting: {
    groups: [
      { name: 'main', test: /src[\\/]cli[\\/](?:main|io|version)\.ts$/ },
      { name: 'arguments', test: /src[\\/]cli[\\/](?:arguments|format)\.ts$/ },
      { name: 'core', test: (id) => /[\\/]src[\\/]/.test(id) && !APART.test(id) },
    ],
  },
});
await bundle.close();
writeFileSync(join(target, 'THIRD-PARTY.txt'), licences(output.flatMap((part) => part.moduleIds)));

/** What the licences of the packages want to be told of them wherever their code is. */
function licences(modules) {
  const folders = modules.map((id) =>
    /^.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/.exec(id),
  );
  const distinct = new Set(folders.filter(Boolean).map(([folder]) => folder));
  return [...distinct]
    .map(licence)
    .sort()
    .join(`\n${'-'.repeat(72)}\n\n`);
}

function licence(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const files = readdirSync(folder).filter((file) => /^(?:licen[cs]e|notice)/i.test(file));
  if (files.length === 0) throw new Error(`${name} has no file with its licence`);
  const texts = files.map((file) => readFileSync(join(folder, file), 'utf8').trim());
  return `${name} ${version}, ${license}\n\n${texts.join('\n\n')}\n`;
}
