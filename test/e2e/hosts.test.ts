import { execFileSync } from 'node:child_process';
import { mkdir, readdir, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Host, Lab } from '../lab/hosts.ts';
import { type Drop, drop } from '../support/bin.ts';
import { Home } from '../support/home.ts';
import { notingPeak, peakIn } from '../support/peak.ts';
import { describeWith, LAB } from '../support/skip.ts';
import { makeOddTree, treeDifferences } from '../support/tree.ts';

describeWith(LAB, 'two computers without a default route', () => {
  let lab: Lab;
  let left: Host;
  let right: Host;

  beforeEach(() => {
    lab = Lab.create();
    left = lab.host('left', { bridge: 'lan', addresses: ['10.77.0.1/24'] });
    right = lab.host('right', { bridge: 'lan', addresses: ['10.77.0.2/24'] });
  });
  afterEach(() => lab.destroy());

  async function waiting(home: Home, host = right): Promise<{ receiving: Drop; code: string }> {
    const receiving = drop(['receive', '--json', '--yes', '--name', 'Ana'], { home, host });
    const { code } = await receiving.event('ready');
    return { receiving, code: code ?? '' };
  }

  test('send a folder of 300 names and a large file, by name, with the code and without', async () => {
    await using ana = new Home();
    await using bob = new Home();
    const { receiving, code } = await waiting(ana);
    await using _ = receiving;
    const tree = join(bob.path, 'tree');
    await mkdir(tree);
    await makeOddTree(tree);
    await mkdir(join(tree, 'many'));
    for (let i = 0; i < 300; i++) {
      const file = join(tree, 'many', `${String.fromCodePoint(0x4e00 + i)} ${i}`);
      await writeFile(file, `content ${i}`);
      await utimes(file, 1_000_000_000 + i, 1_000_000_000 + i);
    }
    await writeFile(join(tree, 'large'), Buffer.alloc(64 * 1024 * 1024, 'large'));

    for (const env of [{ DROP_CODE: code }, {}] as Record<string, string>[]) {
      await using sending = drop(['send', '--to', 'Ana', tree], { home: bob, host: left, env });
      const { code: exit, stderr } = await sending.outcome();
      expect(exit, stderr).toBe(0);
      expect(await treeDifferences(tree, join(ana.downloads, 'tree'))).toEqual([]);
      execFileSync('rm', ['-r', join(ana.downloads, 'tree')]);
    }
  });

  test('find each other by IPv6 alone', async () => {
    left.setAddresses('lan', []);
    right.setAddresses('lan', []);
    await using ana = new Home();
    await using bob = new Home();
    const { receiving, code } = await waiting(ana);
    await using _ = receiving;
    await writeFile(join(bob.path, 'a.txt'), 'by IPv6');
    await using sending = drop(['send', '--to', 'Ana', 'a.txt'], {
      home: bob,
      host: left,
      env: { DROP_CODE: code },
    });
    expect((await sending.outcome()).code).toBe(0);
    expect(await readdir(ana.downloads)).toEqual(['a.txt']);
  });

  test('a copy of a key is refused from another computer, whoever dials', async () => {
    await using ana = new Home();
    const { receiving } = await waiting(ana);
    await using _ = receiving;
    await writeFile(join(ana.path, 'a.txt'), 'a');
    for (const to of ['10.77.0.2', 'Ana']) {
      await using sending = drop(['send', '--to', to, '--wait', '2', 'a.txt'], {
        home: ana,
        host: left,
      });
      expect((await sending.outcome()).code).toBe(to === 'Ana' ? 3 : 6);
    }
    expect(await readdir(ana.downloads)).toEqual([]);
  });

  test('another device under a known name is never taken for it', async () => {
    await using ana = new Home();
    await using bob = new Home();
    await using eve = new Home();
    await writeFile(join(bob.path, 'a.txt'), 'for Ana only');
    const send = async (env: Record<string, string> = {}): Promise<number | null> => {
      await using sending = drop(['send', '--to', 'Ana', '--wait', '5', 'a.txt'], {
        home: bob,
        host: left,
        env,
      });
      return (await sending.outcome()).code;
    };
    {
      const { receiving, code } = await waiting(ana);
      await using _ = receiving;
      expect(await send({ DROP_CODE: code })).toBe(0);
    }
    const { receiving, code } = await waiting(eve);
    await using _ = receiving;
    expect(await send({ DROP_CODE: code })).toBe(6);
    expect(await readdir(eve.downloads)).toEqual([]);
  });

  test('memory stays flat, however large the file and however slow the receiver', async () => {
    await using ana = new Home();
    await using bob = new Home();
    left.limit('lan', '1gbit');
    right.limit('lan', '1gbit');
    const { receiving, code } = await waiting(ana);
    await using _ = receiving;
    await writeFile(join(bob.path, 'large'), '');
    await truncate(join(bob.path, 'large'), 1024 ** 3);
    const peak = join(bob.path, 'peak');
    await using sending = drop(['send', '--to', 'Ana', 'large'], {
      home: bob,
      host: left,
      env: { DROP_CODE: code, ...notingPeak(peak) },
      patience: 90_000,
    });
    expect((await sending.outcome()).code).toBe(0);
    for (const status of [peak, `/proc/${receiving.pid}/status`])
      expect(peakIn(status)).toBeLessThan(130 * 1024);
  });
});
