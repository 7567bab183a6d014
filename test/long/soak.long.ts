import { execFileSync } from 'node:child_process';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { drop } from '../support/bin.ts';
import { Home } from '../support/home.ts';
import { treeDifferences } from '../support/tree.ts';

const SECONDS = Number(process.env.SECONDS ?? 60);

/** KiB now, and open files. */
function footprint(pid: number): { memory: number; files: number } {
  const status = execFileSync('cat', [`/proc/${pid}/status`], { encoding: 'utf8' });
  const files = execFileSync('ls', [`/proc/${pid}/fd`], { encoding: 'utf8' })
    .trim()
    .split('\n');
  return { memory: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]), files: files.length };
}

test.runIf(process.platform === 'linux')(
  'a receiver that runs for long stays as it is: transfers, broken ones and strangers',
  async () => {
    await using ana = new Home();
    await using bob = new Home();
    await using receiving = drop(['receive', '--json', '--yes', '--name', 'Ana'], { home: ana });
    const { code, port } = await receiving.event('ready');
    const tree = join(bob.path, 'tree');
    const to = ['--to', `127.0.0.1:${port}`];
    const until = Date.now() + SECONDS * 1000;
    const prints: { memory: number; files: number }[] = [];
    let broken = 0;
    for (let round = 0; Date.now() < until; round++) {
      await mkdir(join(tree, `folder ${round % 7}`), { recursive: true });
      await writeFile(
        join(tree, `folder ${round % 7}`, 'file'),
        Buffer.alloc(round * 9_973, round),
      );
      await writeFile(join(tree, 'large'), Buffer.alloc(50_000_000, round));
      await using sending = drop(['send', ...to, 'tree'], {
        home: bob,
        env: round === 0 ? { DROP_CODE: code ?? '' } : {},
      });
      if (round % 3 === 2) {
        // One that is killed somewhere on its way.
        await new Promise((resolve) => setTimeout(resolve, 150 + ((round * 37) % 400)));
        sending.kill('SIGKILL');
        await sending.outcome();
        broken += 1;
        await receiving.until(
          () => receiving.events.filter(({ event }) => event === 'summary').length || undefined,
          'summary',
        );
      } else {
        const outcome = await sending.outcome();
        expect(outcome.code, outcome.stderr).toBe(0);
        expect(await treeDifferences(tree, join(ana.downloads, 'tree'))).toEqual([]);
      }
      // And a stranger, who gets nowhere.
      await using stranger = drop(['send', ...to, 'tree'], { cwd: bob.path });
      expect((await stranger.outcome()).code).toBe(6);
      await rm(join(ana.downloads, 'tree'), { recursive: true, force: true });
      prints.push(footprint(receiving.pid));
    }
    const [first, last] = [prints[Math.floor(prints.length / 4)], prints.at(-1)];
    console.log(`${prints.length} rounds, ${broken} broken:`, first, '->', last);
    if (first === undefined || last === undefined) return;
    expect(last.memory).toBeLessThan(first.memory + 40_000);
    expect(last.files).toBeLessThan(first.files + 8);
    expect(await readdir(ana.downloads)).toEqual([]);
    expect(await readFile(join(ana.state, 'identity.pem'), 'utf8')).toContain('BEGIN');
  },
);
