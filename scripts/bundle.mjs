// The second half of `npm run build`: writes the command and the library, each with all that it
// needs, into few files, as a start takes long that reads a hundred. Nothing is renamed in them.

import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { project } from './npm.mjs';

const dist = join(project, 'dist');

/** Of our own code, what most runs do without: it is read when it is needed, as packages are. */
const APART =
  /src[\\/](?:cli[\\/](?:arguments|format|complete|shells|devices|rows|picture|picker|face-terminal|peers|history|send-several|everyone)|doctor[\\/](?!doctor|check|limit)|web[\\/]|net[\\/](?:mdns|voices|guard)|protocol[\\/](?:cpace|knock))/;

/** The pages, by their rooms and first files. */
const PAGES = [
  ['window', 'app'],
  ['guests', 'upload'],
];

const modules = [
  // CommonJS, as Node 20 takes a tenth longer to start with modules.
  ...(await bundle('src/cli/main.ts', 'command', {
    format: 'cjs',
    extension: 'cjs',
    exports: 'allow-extension', // Its first file need not be divided for them.
  })),
  ...(await bundle('src/index.ts', 'library', {
    format: 'esm',
    extension: 'js',
    exports: 'strict',
  })),
];
modules.push(...(await writePages()));
writeFileSync(join(dist, 'THIRD-PARTY.txt'), licences(modules));

/** Returns the paths of all modules that it is made of. */
async function bundle(input, name, { format, extension, exports }) {
  const dir = join(dist, name);
  const built = await rolldown({
    cwd: project,
    input,
    platform: 'node',
    preserveEntrySignatures: exports,
    // What one loads when it needs it, another one may need at once.
    checks: { ineffectiveDynamicImport: false },
  });
  rmSync(dir, { recursive: true, force: true });
  const { output } = await built.write({
    dir,
    format,
    entryFileNames: `[name].${extension}`,
    chunkFileNames: `[name].${extension}`,
    comments: { legal: true, annotation: false, jsdoc: false },
    codeSplitting: {
      groups: [
        { name: 'main', test: /src[\\/]cli[\\/](?:main|io|version)\.ts$/ },
        { name: 'arguments', test: /src[\\/]cli[\\/](?:arguments|format)\.ts$/ },
        { name: 'core', test: (id) => /[\\/]src[\\/]/.test(id) && !APART.test(id) },
      ],
    },
  });
  await built.close();
  return output.flatMap(({ moduleIds }) => moduleIds);
}

/**
 * What browsers load: all in one file for each page, and what stands beside it. Returns the paths of all
 * modules that it is made of.
 */
async function writePages() {
  const [source, dir] = [join(project, 'src/web/page'), join(dist, 'page')];
  const modules = [];
  rmSync(dir, { recursive: true, force: true });
  for (const [room, name] of PAGES) {
    const input = join(source, room, `${name}.ts`);
    const built = await rolldown({ cwd: project, input, platform: 'browser' });
    const { output } = await built.write({
      dir,
      format: 'esm',
      entryFileNames: '[name].js',
      codeSplitting: false,
      comments: { legal: true, annotation: false, jsdoc: false },
    });
    await built.close();
    modules.push(...output.flatMap(({ moduleIds }) => moduleIds));
  }
  for (const name of ['index.html', 'style.css', 'icon.svg'])
    copyFileSync(join(source, 'window', name), join(dir, name));
  return modules;
}

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
