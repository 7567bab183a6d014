import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Script } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { TempFolder } from './support/home.ts';
import { finished } from './support/process.ts';

const BIN = readFileSync('bin/drop.js', 'utf8');

describe('bin/drop.js', () => {
  test.each([
    ['return 0', { code: 0, stderr: '' }],
    ['return argv.length', { code: 2, stderr: '' }],
    ['return "SIGINT"', { signal: 'SIGINT', stderr: '' }],
    ['process.on("SIGTERM", () => {}); return "SIGTERM"', { signal: 'SIGTERM', stderr: '' }],
    ['process.exitCode = 0; throw new Error("oh")', { code: 1, stderr: /^Error: oh\n/ }],
    ['await new Promise(() => {})', { code: 1, stderr: /^drop ended without a result/ }],
    ['require("none")', { code: 1, stderr: /Cannot find module 'none'/ }],
  ])('ends as main does that says %j', async (body, { stderr, ...end }) => {
    const outcome = await runStub([], `exports.main = async (argv) => { ${body} }`);
    expect(outcome).toMatchObject({ code: null, signal: null, ...end });
    expect(outcome.stderr).toMatch(stderr);
  });

  test('ends at once on Windows, too, where no signal does it, whatever still runs', async () => {
    const pretend = `Object.defineProperty(process, 'platform', { value: 'win32' })`;
    const preload = ['--import', `data:text/javascript,${encodeURIComponent(pretend)}`];
    const hanging = 'exports.main = async () => { setInterval(() => {}, 1000); return "SIGINT" }';
    const { code, stderr } = await runStub(preload, hanging);
    expect({ code, stderr }).toEqual({ code: 130, stderr: '' });
  });

  test('says what to run when nothing is built', async () => {
    const { code, stderr } = await runStub([], undefined);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: 'drop is not built yet; run: npm run setup\n',
    });
  });

  test('tells a broken build from a missing one', async () => {
    const { code, stderr } = await runStub([], 'require("./gone.cjs")');
    expect(code).toBe(1);
    expect(stderr).toMatch(/Cannot find module .*gone\.cjs/);
  });

  test.each(['18.20.8', '20.18.1', '9.0.0'])('refuses Node %s in one sentence', async (version) => {
    const pretend = `Object.defineProperty(process, 'versions', { value: { node: '${version}' } })`;
    const preload = ['--import', `data:text/javascript,${encodeURIComponent(pretend)}`];
    const { code, stderr } = await runStub(preload, 'exports.main = async () => 0');
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `drop needs Node 20.19 or newer; this is ${version}\n`,
    });
  });

  test('can be read by Nodes that know neither modules nor new syntax', () => {
    expect(() => new Script(BIN)).not.toThrow();
    expect(BIN).not.toMatch(/\?\.|\?\?|import\.meta|^\s*(import|export)\s[^(]/m);
  });
});

describe('the package', () => {
  const manifest = JSON.parse(readFileSync('package.json', 'utf8'));

  test('holds the command, the library and what people read, and nothing else', () => {
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
    const list = execFileSync(npm, ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    // npm 12 lists packages by name, older ones in an array.
    const [{ files }] = Object.values(JSON.parse(list)) as [{ files: { path: string }[] }];
    const paths = files.map(({ path }) => path);
    expect(paths).toEqual(expect.arrayContaining([manifest.bin.drop, 'dist/command/main.cjs']));
    expect(paths).toEqual(expect.arrayContaining(['dist/library/index.js', 'dist/index.d.ts']));
    expect(paths).toEqual(expect.arrayContaining(['dist/THIRD-PARTY.txt', 'dist/man/drop.1']));
    const page = ['index.html', 'style.css', 'app.js', 'upload.js', 'icon.svg'].map(
      (name) => `dist/page/${name}`,
    );
    expect(paths).toEqual(expect.arrayContaining(page));
    const expected =
      /^(bin\/((?:drop|compiled)\.js|package\.json)|dist\/(command\/.+\.cjs|library\/.+\.js|(?!(?:cli|web)\/).+\.d\.ts|man\/drop\.1|page\/(?:index\.html|style\.css|app\.js|upload\.js|icon\.svg)|THIRD-PARTY\.txt)|[A-Z]+(\.md)?|package\.json)$/;
    expect(paths.filter((path) => !expected.test(path))).toEqual([]);
  });

  test('reads what only those need who draw when something is drawn', () => {
    // To compile its patterns alone takes 36 ms of each start.
    const holding = (text: string): string[] =>
      readdirSync('dist/command').filter((name) =>
        readFileSync(join('dist/command', name), 'utf8').includes(text),
      );
    expect(holding('RGI_Emoji')).toEqual(['string-width.cjs']);
    expect(holding('src/cli/send-several.ts')).not.toContain('core.cjs');
    // Pages for browsers, with what serves them, and the pictures of links.
    expect(holding('everything.zip')).toEqual(['handing.cjs']);
    expect(holding('node:http')).not.toContain('core.cjs');
    expect(holding('QrCode')).toEqual(['qr.cjs']);
  });

  test('is locked for every platform, or npm ci fails on all of them', () => {
    const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));
    const entries = Object.entries<{ optionalDependencies?: Record<string, string> }>(packages);
    const missing = entries.flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter(
        (name) =>
          packages[`node_modules/${name}`] === undefined &&
          packages[`${path}/node_modules/${name}`] === undefined,
      ),
    );
    expect(missing).toEqual([]);
  });

  test('needs no other package to run', async () => {
    const { dependencies, peerDependencies } = manifest;
    expect({ dependencies, peerDependencies }).toEqual({});
    await using folder = new TempFolder();
    const parts = ['dist/command', 'dist/library'];
    for (const part of [...parts, 'package.json'])
      cpSync(part, join(folder.path, part), { recursive: true });
    // Each file by itself, as some are only read when they are needed.
    const files = parts.flatMap((part) => readdirSync(part).map((name) => `./${part}/${name}`));
    expect(files.length).toBeGreaterThan(10);
    const script = `for (const file of ${JSON.stringify(files)}) await import(file);`;
    writeFileSync(join(folder.path, 'all.js'), script);
    const child = spawn(process.execPath, [join(folder.path, 'all.js')]);
    expect(await finished(child)).toMatchObject({ code: 0, stderr: '' });
  });

  test('has types that need no other package', () => {
    const types = [...reachableTypes('dist/index.d.ts')];
    expect(types).toContain(join('dist', 'protocol', 'manifest.d.ts'));
    const imported = types.flatMap((path) => modulesOf(path).map((name) => `${path}: ${name}`));
    expect(imported.filter((one) => !/: (\.|node:)/.test(one))).toEqual([]);
  });

  test('carries the licences of all packages whose code is in it', () => {
    const licences = readFileSync('dist/THIRD-PARTY.txt', 'utf8');
    // What our own code names is in it, and what that needs is found in the same way.
    for (const name of ['@noble/curves', 'bonjour-service', 'commander', 'dns-packet', 'asn1js'])
      expect(licences).toMatch(new RegExp(`^${name} \\d[^\\n]+\\n\\n[^]+?Copyright`, 'im'));
  });
});

test('setup says before the long work that the folder for commands is closed', async () => {
  await using folder = new TempFolder();
  const closed = join(folder.path, 'a file');
  writeFileSync(closed, '');
  const options = { env: { ...process.env, PATH: process.env.PATH ?? '', HOME: folder.path } };
  const args = ['scripts/setup.mjs', '--prefix', closed];
  const { code, stdout, stderr } = await finished(spawn(process.execPath, args, options));
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toContain('npm run setup -- --prefix ~/.local\n');
  expect(stderr).toContain('~/.local/bin is not in your PATH');
});

/** Runs the stub beside a build that consists of this `main.cjs`, or of nothing. */
async function runStub(options: readonly string[], main: string | undefined) {
  await using folder = new TempFolder();
  cpSync('bin', join(folder.path, 'bin'), { recursive: true });
  writeFileSync(join(folder.path, 'package.json'), '{ "type": "module" }');
  const command = join(folder.path, 'dist', 'command');
  mkdirSync(command, { recursive: true });
  if (main !== undefined) writeFileSync(join(command, 'main.cjs'), main);
  const stub = join(folder.path, 'bin', 'drop.js');
  return await finished(spawn(process.execPath, [...options, stub, 'one', 'two']));
}

/** What these types are made of, this file included. */
function reachableTypes(path: string, found = new Set<string>()): Set<string> {
  if (found.has(path)) return found;
  found.add(path);
  for (const name of modulesOf(path).filter((one) => one.startsWith('.')))
    reachableTypes(join(dirname(path), name.replace(/\.[jt]s$/, '.d.ts')), found);
  return found;
}

/** What a file of types imports. */
function modulesOf(path: string): string[] {
  const imports = readFileSync(path, 'utf8').matchAll(
    /(?:\bfrom |\bimport\(|^import )["']([^"']+)["']/gm,
  );
  return Array.from(imports, ([, name]) => name ?? '');
}
