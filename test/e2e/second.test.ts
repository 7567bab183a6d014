import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { history } from '../../src/history.ts';
import { type Drop, drop } from '../support/bin.ts';
import { makeFile } from '../support/content.ts';
import { Home, TempFolder } from '../support/home.ts';
import { OtherBuild } from '../support/releases.ts';
import { describeWith } from '../support/skip.ts';

const MiB = 1024 ** 2;
const SMALL = 50;

/** What Bob sends, with the same names for everybody and another content for each. */
async function treeFor(bob: Home, whom: string): Promise<string> {
  const tree = join(bob.path, whom, 'tree');
  mkdirSync(tree, { recursive: true });
  for (let n = 0; n < SMALL; n++) writeFileSync(join(tree, `${n}.txt`), `${n} for ${whom}`);
  await makeFile(join(tree, 'large'), whom, 4 * MiB);
  return tree;
}

/** A running receiver, and where it can be reached whoever else is called like it. */
interface Receiver {
  readonly drop: Drop;
  readonly to: string;
  readonly code: string;
}

async function receiver(
  home: Home,
  args: readonly string[],
  how: { readonly by?: readonly string[]; readonly build?: OtherBuild } = {},
): Promise<Receiver> {
  const receiving = drop(['receive', '--json', '--yes', ...args], { home, ...how });
  const { port, code } = await receiving.event('ready');
  return { drop: receiving, to: `127.0.0.1:${port}`, code: code ?? '' };
}

function sending(home: Home, { to, code }: Receiver, path: string, known = false): Drop {
  const env: Record<string, string> = known ? {} : { DROP_CODE: code };
  return drop(['send', '--json', '--to', to, '--limit', '8MB/s', path], { home, env });
}

/** Ends all of them, and looks whether all that they were sent is in one folder, each whole. */
async function expectAll(
  folder: string,
  sent: readonly string[],
  receivers: readonly Receiver[],
): Promise<void> {
  for (const { drop: receiving } of receivers)
    expect((await receiving.stop('SIGTERM')).signal).toBe('SIGTERM');
  expect(readdirSync(folder)).toEqual(['tree']);
  const contents = (of: string): string[] =>
    readdirSync(of).map((name) => readFileSync(join(of, name), 'latin1'));
  expect(contents(join(folder, 'tree')).sort()).toEqual(sent.flatMap(contents).sort());
}

describe('a second receiver', () => {
  test('of one account has its own port and line, shares what is known, and saves beside it', async () => {
    await using ana = new Home();
    await using bob = new Home();
    // At the same moment, where none was before.
    const [first, second] = await Promise.all(
      ['Ana at work', 'Ana at home'].map((name) => receiver(ana, ['--name', name])),
    );
    if (first === undefined || second === undefined) throw new Error('two were started');
    await using _ = first.drop;
    await using __ = second.drop;
    expect(first.to).not.toBe(second.to);

    const { id } = await first.drop.event('ready');
    expect((await second.drop.event('ready')).id).toBe(id);
    await using list = drop(['peers', '--watch', '--json'], { home: bob });
    const lines = await Promise.all(
      ['Ana at work', 'Ana at home'].map(async (name) => {
        const peer = await list.event('peer', (one) => one.id === id && one.name === name);
        expect(peer).toMatchObject({ state: 'found', standing: 'new' });
        return peer;
      }),
    );
    for (const key of ['run', 'addresses'] as const)
      expect(new Set(lines.map((line) => `${line[key]}`)).size).toBe(2);

    // Who is paired with one is known to the other at once.
    const [work, home] = [await treeFor(bob, 'work'), await treeFor(bob, 'home')];
    await using one = sending(bob, first, work);
    await one.event('paired');
    await one.event('progress', ({ bytes }) => bytes > 0);
    await using other = sending(bob, second, home, true);
    // Both at the same time, and other things are sent from here meanwhile.
    await other.event('progress', ({ bytes }) => bytes > 0);
    const self = await treeFor(ana, 'self');
    await using third = sending(ana, second, self, true);
    for (const running of [one, other, third]) expect((await running.outcome()).code).toBe(0);

    // And whoever is blocked is so for both.
    const { id: him } = await first.drop.event('paired');
    await using block = drop(['block', him], { home: ana });
    expect((await block.outcome()).code).toBe(0);
    for (const blocked of [first, second]) {
      await using refused = sending(bob, blocked, work, true);
      expect((await refused.outcome()).code).toBeGreaterThan(0);
    }
    await expectAll(ana.downloads, [work, home, self], [first, second]);
    expect(readdirSync(join(ana.state, 'staging'))).toEqual([]);
    expect(await history({ home: ana.state })).toHaveLength(3);
  });

  test('of another account in one folder with the first takes no name from it', async () => {
    await using ana = new Home();
    await using eve = new Home();
    await using bob = new Home();
    await using shared = new TempFolder();
    const first = await receiver(ana, ['--into', shared.path]);
    await using _ = first.drop;
    const second = await receiver(eve, ['--into', shared.path]);
    await using __ = second.drop;
    expect((await first.drop.event('ready')).id).not.toBe((await second.drop.event('ready')).id);
    const [his, hers] = [await treeFor(bob, 'ana'), await treeFor(bob, 'eve')];
    await using one = sending(bob, first, his);
    await using other = sending(bob, second, hers);
    for (const running of [one, other]) expect((await running.outcome()).code).toBe(0);
    await expectAll(shared.path, [his, hers], [first, second]);
  });
});

describeWith(['root', 'setpriv'], 'a second receiver of another user', () => {
  const UID = 47_120;
  const BY = ['setpriv', `--reuid=${UID}`, `--regid=${UID}`, '--clear-groups'];

  test('in a folder where both may write takes no name from the first', async () => {
    await using ana = new Home();
    await using eve = new Home();
    await using bob = new Home();
    await using shared = new TempFolder();
    chmodSync(shared.path, 0o1777);
    execFileSync('chown', ['-R', `${UID}:${UID}`, eve.path]);
    const first = await receiver(ana, ['--into', shared.path]);
    await using _ = first.drop;
    await using build = OtherBuild.forEveryone();
    const second = await receiver(eve, ['--into', shared.path], { by: BY, build });
    await using __ = second.drop;
    // In a folder that one of them made, the other may not write.
    const roots = async (whom: string): Promise<string> => {
      const path = join(bob.path, whom, 'large');
      mkdirSync(join(bob.path, whom));
      await makeFile(path, whom, 4 * MiB);
      return path;
    };
    const [his, hers] = [await roots('ana'), await roots('eve')];
    await using one = sending(bob, first, his);
    await one.event('progress', ({ bytes }) => bytes > 0);
    await using other = sending(bob, second, hers);
    for (const running of [one, other]) expect((await running.outcome()).code).toBe(0);
    for (const { drop: receiving } of [first, second]) await receiving.stop('SIGTERM');
    const [names, whole] = [
      readdirSync(shared.path),
      (path: string) => readFileSync(path, 'latin1'),
    ];
    expect(names.sort()).toEqual(['large', 'large (1)']);
    const owners = names.map((name) => {
      const path = join(shared.path, name);
      const { uid } = statSync(path);
      return [uid, whole(path) === whole(uid === UID ? hers : his)];
    });
    expect(owners.sort()).toEqual([
      [0, true],
      [UID, true],
    ]);
  });
});
