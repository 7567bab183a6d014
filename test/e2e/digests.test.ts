import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { blake3 } from '@noble/hashes/blake3.js';
import { expect, test } from 'vitest';
import { toHex } from '../../src/protocol/bytes.ts';
import { type Drop, drop } from '../support/bin.ts';
import { content } from '../support/content.ts';
import { Home } from '../support/home.ts';

/** A Node that has the library for BLAKE3, and one in which it is not installed or is broken. */
type Library = 'there' | 'missing' | 'broken';

/** What makes it so, for whoever lives in this home: what is looked for there is told on stderr. */
function environment(home: Home, library: Library): Record<string, string> {
  if (library === 'there') return {};
  const hook = join(home.path, 'hook.cjs');
  const instead = join(home.path, 'broken.cjs');
  writeFileSync(instead, 'throw new Error("It is made for another computer.");');
  const act = {
    missing: `throw Object.assign(new Error('There is none.'), { code: 'MODULE_NOT_FOUND' });`,
    broken: `return ${JSON.stringify(instead)};`,
  }[library];
  const lines = [
    `const Module = require('node:module');`,
    `const find = Module._resolveFilename;`,
    `Module._resolveFilename = function (name, ...rest) {`,
    `  if (!name.startsWith('@napi-rs/blake-hash')) return find.call(this, name, ...rest);`,
    `  process.stderr.write('It looks for ' + name + '.\\n');`,
    `  ${act}`,
    `};`,
  ];
  writeFileSync(hook, lines.join('\n'));
  return { NODE_OPTIONS: `--require=${hook}` };
}

function digestOf(event: { readonly path: string; readonly digest: string }, path: string): string {
  const bytes = readFileSync(path);
  const name = event.digest.split(':')[0];
  const digest = name === 'blake3' ? blake3(bytes) : createHash('sha256').update(bytes).digest();
  return `${name}:${toHex(digest)}`;
}

/** What one says of each file, by its name. */
function told({ events }: Drop): Map<string, { path: string; digest: string }> {
  const saved = events.flatMap((event) => (event.event === 'saved' ? [event] : []));
  return new Map(saved.map((event) => [event.path.replace(/^.*[/\\]/, ''), event]));
}

test.each<[Library, Library]>([
  ['there', 'there'],
  ['missing', 'there'],
  ['there', 'missing'],
  ['broken', 'missing'],
])(
  'files arrive where the library is %s at the sender and %s at the receiver',
  async (his, hers) => {
    await using ana = new Home();
    const args = ['receive', '--json', '--yes', '--once', '--name', 'Ana'];
    await using receiving = drop(args, { home: ana, env: environment(ana, hers) });
    await receiving.event('ready');
    const folder = join(ana.path, 'sent');
    mkdirSync(folder);
    const sizes = { empty: 0, small: 5000, large: 3_000_000, same: 100_000 };
    for (const [name, size] of Object.entries(sizes))
      writeFileSync(join(folder, name), Buffer.concat([...content(name, size)]));
    mkdirSync(join(ana.downloads, 'sent'));
    writeFileSync(join(ana.downloads, 'sent', 'same'), readFileSync(join(folder, 'same')));

    await using sending = drop(['send', '--json', '--checksum', '--to', 'Ana', folder], {
      home: ana,
      env: environment(ana, his),
      peer: receiving,
    });
    expect((await sending.outcome()).code).toBe(0);
    expect((await receiving.outcome()).code).toBe(0);
    await sending.event(
      'skipped',
      ({ path, reason }) => `${path} ${reason}` === 'sent/same identical',
    );
    for (const one of [sending, receiving]) {
      const saved = told(one);
      expect([...saved.keys()].sort()).toEqual(['empty', 'large', 'small']);
      for (const [name, event] of saved) {
        expect(event.digest).toBe(digestOf(event, join(ana.downloads, 'sent', name)));
        if (his !== 'there' || hers !== 'there') expect(event.digest).toMatch(/^sha256:/);
      }
    }
  },
);

test('the library is not looked for where nothing is sent or received', async () => {
  await using ana = new Home();
  const env = environment(ana, 'missing');
  await using version = drop(['--version'], { home: ana, env });
  expect(await version.outcome()).toMatchObject({ code: 0, stderr: '' });
  await using known = drop(['peers'], { home: ana, env });
  expect((await known.outcome()).stderr).not.toContain('It looks for');
  // But it would have been seen.
  await using receiving = drop(['receive', '--json', '--yes', '--once'], { home: ana, env });
  const { port } = await receiving.event('ready');
  writeFileSync(join(ana.path, 'x'), 'x');
  await using sending = drop(['send', '--to', `127.0.0.1:${port}`, 'x'], { home: ana, env });
  for (const one of [sending, receiving])
    expect((await one.outcome()).stderr).toContain('It looks for @napi-rs/blake-hash.');
});
