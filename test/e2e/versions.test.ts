import { readdirSync, statSync } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ERRORS } from '../../src/errors.ts';
import { Control, receive, send } from '../../src/index.ts';
import { openSelf } from '../../src/meeting/self.ts';
import { NEWEST, OLDEST } from '../../src/protocol/message.ts';
import { Pair } from '../lab/pair.ts';
import { type Build, type Drop, drop, PRESENT } from '../support/bin.ts';
import { digestOf, makeFile } from '../support/content.ts';
import { Home } from '../support/home.ts';
import { OtherBuild, RELEASES } from '../support/releases.ts';
import { describeWith, LAB } from '../support/skip.ts';
import { makeOddTree, treeDifferences } from '../support/tree.ts';

const MiB = 1024 * 1024;

test('a release is kept to be tested with', () => {
  expect(RELEASES).not.toEqual([]);
});

for (const release of RELEASES)
  describeWith([...LAB, 'tar'], `${release} and this version`, () => {
    let old: OtherBuild;
    beforeAll(() => {
      old = OtherBuild.unpacked(release);
    });
    afterAll(() => old[Symbol.asyncDispose]());

    const of = (version: string): Build => (version === 'old' ? old : PRESENT);

    test.concurrent.for([
      { sender: 'old', receiver: 'new' },
      { sender: 'new', receiver: 'old' },
    ])('$sender to $receiver: a folder by the code, and as known devices', async (roles) => {
      await using pair = new Pair();
      const { ana, bob } = pair;
      const tree = join(bob.path, 'tree');
      await mkdir(tree);
      await makeOddTree(tree);
      await makeFile(join(tree, 'large'), 'large', 2 * MiB);
      const build = of(roles.sender);
      await pair.receive([], { build: of(roles.receiver) });

      await expectEnd(pair.send(['tree'], { build }), 0);
      expect(await treeDifferences(tree, join(ana.downloads, 'tree'))).toEqual([]);

      await writeFile(join(tree, 'new'), 'new');
      const again = pair.send(['tree'], { build, env: { DROP_CODE: '' } });
      await expectEnd(again, 0);
      expect(await again.event('summary')).toMatchObject({ ok: true, sent: 3, failed: 0 });
      expect(await treeDifferences(tree, join(ana.downloads, 'tree'))).toEqual([]);
      expect(await readdir(ana.downloads)).toEqual(['tree']);
    });

    test.concurrent('a message is not for the old one, which is said', async () => {
      await using pair = new Pair();
      await pair.receive([], { build: old });
      await expectEnd(pair.send(['--text', 'hello']), ERRORS['peer-older'].exit);
      expect(await readdir(pair.ana.downloads)).toEqual([]);
    });

    test.concurrent.for([
      { how: 'upgraded', steps: ['old to old', 'old to new', 'new to new'] },
      { how: 'downgraded', steps: ['new to new', 'new to old', 'old to old'] },
    ])('both are $how in place, in the midst of a file', async ({ steps }) => {
      // Slow, as each of them has to be ended in the midst of it.
      await using pair = new Pair('60mbit');
      const { ana, bob, left, right } = pair;
      const size = 48 * MiB;
      await makeFile(join(bob.path, 'large'), 'large', size);

      // Each goes on with what the one before has left: the key, the device that is known and trusted,
      // where it was met, and the start of the file.
      let kept = 0;
      for (const [n, step] of steps.entries()) {
        const [sender = PRESENT, receiver = PRESENT] = step.split(' to ').map(of);
        const isFirst = n === 0;
        const args = ['receive', '--json', '--name', 'Ana', ...(isFirst ? ['--yes'] : [])];
        await using receiving = drop(args, { build: receiver, home: ana, host: right });
        const { code } = await receiving.event('ready');
        const env: Record<string, string> = isFirst ? { DROP_CODE: code ?? '' } : {};
        const words = ['send', '--json', '--to', 'Ana', 'large'];
        await using sending = drop(words, { build: sender, home: bob, host: left, env });
        if (!isFirst) {
          const { bytes } = await sending.event('resuming');
          expect(bytes).toBeGreaterThanOrEqual(kept);
        }
        if (n === steps.length - 1) {
          await expectEnd(sending, 0);
          break;
        }
        const isEnough = ({ bytes }: { bytes: number }): boolean => bytes > kept + 0.25 * size;
        // But for what was just being gathered and written.
        kept = (await receiving.event('progress', isEnough)).bytes - 4 * MiB;
        for (const one of [sending, receiving]) await one.stop('SIGKILL');
        if (!isFirst) continue;
        await using trusting = drop(['trust', 'left', 'auto'], { build: receiver, home: ana });
        await expectEnd(trusting, 0);
        for (const host of [left, right]) host.lose('udp dport 5353', 10);
      }
      expect(await readdir(ana.downloads)).toEqual(['large']);
      const [there, here] = [join(ana.downloads, 'large'), join(bob.path, 'large')];
      expect(await digestOf(there)).toBe(await digestOf(here));
    });

    test.concurrent('what an old one sends rests here, and goes on over the same connection', async () => {
      await using ana = new Home();
      await using bob = new Home();
      const file = join(bob.path, 'large');
      await makeFile(file, 'large', 32 * MiB);
      const control = new Control();
      const stop = new AbortController();
      const kinds: string[] = [];
      let sending: Drop | undefined;
      for await (const event of receive({
        ...{ home: ana.state, into: ana.downloads, interfaces: ['lo'], name: 'Ana', control },
        signal: stop.signal,
      })) {
        if (event.event === 'ready') {
          const to = `127.0.0.1:${event.port}`;
          const words = ['send', '--json', '--to', to, '--limit', '16MB/s', '--compress', 'never'];
          const env = { DROP_CODE: event.code ?? '' };
          sending = drop([...words, file], { build: old, home: bob, env });
        }
        if (event.event === 'progress' && event.bytes > 4 * MiB && !kinds.includes('paused'))
          control.pause(event.transfer);
        if ('transfer' in event && event.event !== 'progress') kinds.push(event.event);
        if (event.event === 'paused')
          void untilStill(() => bytesIn(ana.downloads)).then((bytes) => {
            expect(bytes).toBeLessThan(24 * MiB);
            control.resume(event.transfer);
          });
        if (event.event === 'summary') stop.abort();
      }
      expect(kinds).toEqual(['request', 'accepted', 'paused', 'resumed', 'saved', 'summary']);
      await using ended = sending as Drop;
      await expectEnd(ended, 0);
      expect(await digestOf(join(ana.downloads, 'large'))).toBe(await digestOf(file));
    });

    test.concurrent('what goes to an old one rests here, and goes on', async () => {
      await using ana = new Home();
      await using bob = new Home();
      const file = join(bob.path, 'large');
      await makeFile(file, 'large', 16 * MiB);
      const receiving = ['receive', '--json', '--yes', '--name', 'Ana'];
      await using there = drop(receiving, { build: old, home: ana });
      const { code, port } = await there.event('ready');
      const control = new Control();
      const kinds: string[] = [];
      for await (const event of send([file], {
        ...{ home: bob.state, interfaces: ['lo'], to: `127.0.0.1:${port}` },
        ...{ code: async () => code ?? '', limit: 8 * MiB, compress: 'never', control },
      })) {
        if (event.event === 'progress' && event.bytes > 2 * MiB && !kinds.includes('paused'))
          control.pause(event.transfer);
        if ('transfer' in event && event.event !== 'progress') kinds.push(event.event);
        if (event.event === 'paused')
          void untilStill(() => bytesIn(ana.downloads)).then(() => control.resume());
      }
      expect(kinds).toEqual(['accepted', 'paused', 'resumed', 'saved', 'summary']);
      await there.stop();
      expect(await digestOf(join(ana.downloads, 'large'))).toBe(await digestOf(file));
    });

    test.concurrent('who shares is in no list of an old one, and who receives there is', async () => {
      await using pair = new Pair();
      const { bob, left } = pair;
      await writeFile(join(bob.path, 'a.txt'), 'a');
      const receiving = await pair.receive([], { build: old });
      await expectEnd(pair.send(['a.txt'], { build: old }), 0);
      const getting = ['get', '--json', '--from', 'Ana', '--wait', '1'];
      await using vain = drop(getting, { home: bob, host: left });
      await expectEnd(vain, 3);
      await receiving.stop();

      // At the address where the old one has met her.
      const share = ['share', '--json', '--name', 'Ana', join(bob.path, 'a.txt')];
      await using sharing = drop(share, { home: pair.ana, host: pair.right });
      const { addresses } = await sharing.event('ready');
      expect(addresses).toEqual(['10.77.0.2:23767']);
      // It takes its time before it says that nothing is there, and would name what does not answer.
      await using alone = drop(['peers', '--json'], { home: bob, host: left, build: old });
      await expectEnd(alone, 0);
      expect(alone.events).toMatchObject([
        { event: 'known', name: 'Ana' },
        { event: 'nothing', cause: 'nobody' },
      ]);
      await pair.receive();
      await using looking = drop(['peers', '--json'], { home: bob, host: left, build: old });
      await expectEnd(looking, 0);
      expect(looking.events).toMatchObject([
        { event: 'known', name: 'Ana' },
        { event: 'peer', name: 'Ana', addresses: ['10.77.0.2:23768'] },
      ]);
      await expectEnd(pair.send(['a.txt'], { build: old }), 0);
      expect(sharing.events).toHaveLength(1);
    });
  });

describeWith(LAB, 'a version that speaks', () => {
  const both = [
    { role: 'sender', sends: true },
    { role: 'receiver', sends: false },
  ];

  test.concurrent.for(both)('the next protocol as well, as the $role', async ({ sends }) => {
    await using next = OtherBuild.speaking({ newest: NEWEST + 1, oldest: OLDEST });
    await using pair = new Pair();
    await writeFile(join(pair.bob.path, 'a.txt'), 'a');
    await pair.receive([], { build: sends ? PRESENT : next });
    await expectEnd(pair.send(['a.txt'], { build: sends ? next : PRESENT }), 0);
    expect(await readdir(pair.ana.downloads)).toEqual(['a.txt']);
  });

  test.concurrent.for(both)('the next protocol only, as the $role', async ({ sends }) => {
    await using next = OtherBuild.speaking({ newest: NEWEST + 1, oldest: NEWEST + 1 });
    await using pair = new Pair();
    const { ana, bob } = pair;
    await writeFile(join(bob.path, 'a.txt'), 'a');
    const [there, here] = sends ? [PRESENT, next] : [next, PRESENT];
    const [heardThere, heardHere] = sends
      ? (['peer-newer', 'peer-older'] as const)
      : (['peer-older', 'peer-newer'] as const);
    const receiving = await pair.receive([], { build: there });
    const send = async (): Promise<void> => {
      const sending = pair.send(['a.txt'], { build: here });
      await expectEnd(sending, ERRORS[heardHere].exit);
      // Who takes long to answer, on a slow machine, is asked to call back.
      const told = sending.events.filter(({ event }) => event !== 'knocking');
      expect(told).toEqual([lineOf(heardHere)]);
    };
    await send();
    // A stranger makes nothing appear.
    expect(receiving.events).toMatchObject([{ event: 'ready' }]);
    await befriend(ana, bob);
    await send();
    expect(await receiving.event('error')).toEqual({
      ...lineOf(heardThere),
      peer: { id: expect.any(String), name: 'Bob' },
    });
    expect(await readdir(ana.downloads)).toEqual([]);
  });
});

function lineOf(code: 'peer-newer' | 'peer-older'): object {
  const { message, hint } = ERRORS[code];
  return { v: 1, event: 'error', code, message, hint };
}

/** As if they had paired once. */
async function befriend(ana: Home, bob: Home): Promise<void> {
  const [{ identity, trust }, other] = [
    await openSelf({ home: ana.state }),
    await openSelf({ home: bob.state }),
  ];
  await trust.add({ id: other.identity.id, name: 'Bob' });
  await other.trust.add({ id: identity.id, name: 'Ana' });
}

/** The number, once it has stayed the same for several looks at it. */
async function untilStill(look: () => number): Promise<number> {
  for (let [before, same] = [-1, 0]; ; ) {
    const now = look();
    same = now === before ? same + 1 : 0;
    if (same === 10) return now;
    before = now;
    await sleep(100);
  }
}

/** Of all that lies in a folder, whole or not. */
function bytesIn(folder: string): number {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((path) => statSync(join(folder, path), { throwIfNoEntry: false })?.size ?? 0)
    .reduce((sum, size) => sum + size, 0);
}

async function expectEnd(sending: Drop, exit: number): Promise<void> {
  const { code, stdout } = await sending.outcome();
  expect(code, stdout).toBe(exit);
}
