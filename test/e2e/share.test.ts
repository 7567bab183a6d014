import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MAX_VISITS_EACH } from '../../src/limits.ts';
import { type Host, Lab } from '../lab/hosts.ts';
import { type Drop, drop, dropOnScreen } from '../support/bin.ts';
import { digestOf, makeFile } from '../support/content.ts';
import { Home } from '../support/home.ts';
import { describeWith, LAB } from '../support/skip.ts';
import { makeOddTree, treeDifferences } from '../support/tree.ts';

const MiB = 1024 * 1024;
const NEW_TCP = 'meta l4proto tcp ct state new';

test('what is shared is chosen from a list of a row each, and what was chosen is said', async () => {
  await using ana = new Home();
  await using bob = new Home();
  const names = ['one', 'two'].map((name) => `${name} ${'long '.repeat(40)}.txt`);
  await mkdir(join(ana.path, 'all'));
  for (const name of names) await writeFile(join(ana.path, 'all', name), name);
  await using sharing = drop(['share', '--json', '--yes', 'all'], { home: ana });
  const { port, code } = await sharing.event('ready');
  const words = ['get', '--from', `127.0.0.1:${port}`];
  await using screen = dropOnScreen(words, { home: bob, cols: 60, rows: 15 });
  await screen.waitFor(/Code shown on /);
  screen.type(`${code}\r`);
  await screen.waitFor(/Get it\?[\s\S]*Arrows choose/);
  screen.type('\x1b[B\r');
  await screen.waitFor(/\n> \[ \] all\/one .*\n {2}\[ \] all\/two .* B\)\n\nArrows move/);
  screen.type(' \r');
  await screen.waitFor(/\nReceiving a part of all \(1 file, /);
  await screen.outcome();
  expect(await readdir(join(bob.downloads, 'all'))).toEqual([names[0]]);
});

describeWith(LAB, 'whoever shares something', () => {
  test.concurrent('serves two at once, who save it under names of their own', async () => {
    await using room = new Room('10mbit');
    const { ana } = room;
    const size = 24 * MiB;
    await makeFile(join(ana.home.path, 'report.pdf'), 'report', size);
    const sharing = room.share(['--pin', 'report.pdf']);
    const [first, second] = [room.person(), room.person()];
    const pin = await sharing.code();
    const one = room.get(first, ['--as', 'mine.pdf'], pin);
    const other = room.get(second, ['--as', 'ours.pdf'], pin);
    // Both run at the same time, each with its own progress.
    for (const got of [one, other]) {
      const { transfer } = await got.event('progress', ({ bytes }) => bytes > 0);
      await sharing.running.event('progress', (event) => event.transfer === transfer);
    }
    ana.host.limit('lan', '1gbit');
    await ends(one, 0);
    await ends(other, 0);
    for (const [who, name] of [
      [first, 'mine.pdf'],
      [second, 'ours.pdf'],
    ] as const) {
      expect(await readdir(who.home.downloads)).toEqual([name]);
      expect(await digestOf(join(who.home.downloads, name))).toBe(
        await digestOf(join(ana.home.path, 'report.pdf')),
      );
    }
    const sums = sharing.running.events.filter((event) => event.event === 'summary');
    expect(sums.map(({ ok, bytes }) => [ok, bytes])).toEqual([
      [true, size],
      [true, size],
    ]);
  });

  test.concurrent('hands over an odd tree, and the second time nothing of it again', async () => {
    await using room = new Room();
    const { ana } = room;
    await mkdir(join(ana.home.path, 'tree'));
    await makeOddTree(join(ana.home.path, 'tree'));
    const sharing = room.share(['--yes', 'tree']);
    const bob = room.person();
    for (const sent of [true, false]) {
      const got = room.get(bob, [], await sharing.code());
      await ends(got, 0);
      expect((await got.event('summary')).sent > 0).toBe(sent);
      expect(
        await treeDifferences(join(ana.home.path, 'tree'), join(bob.home.downloads, 'tree')),
      ).toEqual([]);
    }
  });

  test.concurrent('goes on where it was, whoever of the two is killed or cut off', async () => {
    await using room = new Room('100mbit');
    const { ana } = room;
    const size = 64 * MiB;
    await makeFile(join(ana.home.path, 'large'), 'large', size);
    const sharing = room.share(['--yes', 'large']);
    const bob = room.person('100mbit');
    const first = room.get(bob, [], await sharing.code());
    await reached(first, 0.2 * size);
    ana.host.reset('meta l4proto tcp');
    await first.event('reconnecting');
    ana.host.loseNothing();
    expect((await first.event('resuming')).bytes).toBeGreaterThan(0.15 * size);
    await reached(first, 0.4 * size);
    // One that is started anew knows nothing of it; what is on the disk answers.
    sharing.running.kill('SIGKILL');
    room.share(['--yes', 'large']);
    await first.event('accepted', ({ transfer }) => transfer !== idOf(first));
    await reached(first, 0.7 * size);
    first.kill('SIGKILL');
    const again = room.get(bob, []);
    await ends(again, 0);
    const { sent, resumed } = await again.event('summary');
    expect(sent).toBeLessThan(0.4 * size);
    expect(resumed + sent).toBe(size);
    expect(await readdir(bob.home.downloads)).toEqual(['large']);
    expect(await digestOf(join(bob.home.downloads, 'large'))).toBe(
      await digestOf(join(ana.home.path, 'large')),
    );
  });

  test.concurrent('lets a whole class in by one PIN, also those that are known by now', async () => {
    await using room = new Room();
    await writeFile(join(room.ana.home.path, 'slides'), 'slides');
    const args = ['--pin', 'slides'];
    let sharing = room.share(args);
    const people = [room.person(), room.person(), room.person()];
    const pin = await sharing.code();
    expect(pin).toMatch(/^\d{8}$/);
    const all = people.map((who) => room.get(who, [], pin));
    for (const one of all) await ends(one, 0);
    // Whoever gave it once needs not give it again in this run…
    await ends(room.get(people[0] as Person, []), 0);
    await sharing.running.stop();
    // …but in the next.
    sharing = room.share(args);
    await sharing.code();
    await ends(room.get(people[0] as Person, []), 6);
    await ends(room.get(people[0] as Person, [], await sharing.code()), 0);
  });

  test.concurrent('serves a few of one device at a time, and the others in their turn', async () => {
    await using room = new Room();
    await writeFile(join(room.ana.home.path, 'a'), Buffer.alloc(1 * MiB, 'a'));
    const sharing = room.share(['--yes', '--limit', '2MB/s', 'a']);
    const bob = room.person();
    await ends(room.get(bob, [], await sharing.code()), 0);
    const all = Array.from({ length: MAX_VISITS_EACH + 2 }, (_, n) =>
      room.get(bob, ['--into', `into ${n}`]),
    );
    for (const one of all) await ends(one, 0);
    for (const n of all.keys())
      expect(await readdir(join(bob.home.path, `into ${n}`))).toEqual(['a']);
  });

  test.concurrent('ends after one fetch, if it is to', async () => {
    await using room = new Room();
    await writeFile(join(room.ana.home.path, 'a'), 'a');
    const sharing = room.share(['--yes', '--once', 'a']);
    const bob = room.person();
    await ends(room.get(bob, [], '000000'), 6);
    await ends(room.get(bob, [], await sharing.code()), 0);
    await ends(sharing.running, 0);
  });

  test.concurrent('calls whoever it knows where nobody can dial it', async () => {
    await using room = new Room();
    const { ana } = room;
    await writeFile(join(ana.home.path, 'a'), 'a');
    const bob = room.person();
    {
      const sharing = room.share(['--yes', 'a']);
      await ends(room.get(bob, [], await sharing.code()), 0);
      await sharing.running.stop();
    }
    ana.host.lose(NEW_TCP, 10);
    await writeFile(join(ana.home.path, 'b'), 'b');
    const sharing = room.share(['--yes', 'b']);
    await sharing.code();
    await ends(room.get(bob, []), 0);
    expect((await readdir(bob.home.downloads)).sort()).toEqual(['a', 'b']);
  });
});

describeWith(LAB, 'what is shared', () => {
  test.concurrent('is told to those who need no question, and to nobody else', async () => {
    await using room = new Room();
    const { ana } = room;
    await mkdir(join(ana.home.path, 'secret-plans'));
    for (const name of ['a', 'b']) await writeFile(join(ana.home.path, 'secret-plans', name), name);
    const [friend, known, stranger] = [room.person(), room.person(), room.person()];
    {
      const sharing = room.share(['--yes', 'secret-plans']);
      for (const [used, who] of [friend, known].entries())
        await ends(room.get(who, [], await sharing.code(used)), 0);
      await sharing.running.stop();
    }
    const { id } = (await friend.identity()) ?? {};
    await ends(drop(['trust', `${id}`.slice(0, 8), 'auto'], { host: ana.host, home: ana.home }), 0);
    const sharing = room.share(['secret-plans']);
    await sharing.running.event('ready');
    const look = async (who: Person): Promise<string> => {
      await using watching = drop(['peers', '--json', '--watch'], who);
      await watching.event('peer', ({ shares }) => shares);
      if (who === friend) await watching.event('peer', ({ offer }) => offer !== undefined);
      else await ends(drop(['peers'], who), 0); // As long as that takes, nothing more comes.
      return JSON.stringify(watching.events.filter(({ event }) => event === 'peer'));
    };
    expect(await look(friend)).toMatch(
      /"offer":\{"roots":\["secret-plans"\],"files":2,[^}]*"bytes":2,"sized":true,"final":true\}/,
    );
    for (const who of [known, stranger]) expect(await look(who)).not.toContain('secret');
    // Nobody was asked because of a list that somebody looked at.
    expect(sharing.running.events.filter(({ event }) => event === 'fetch')).toEqual([]);
    // Where nobody can be asked, whoever would have to be asked about gets nothing.
    const refused = room.get(known, []);
    await ends(refused, 4);
    expect(await refused.event('declined')).toMatchObject({ reason: 'refused' });
    expect(await sharing.running.event('declined')).toMatchObject({ reason: 'refused' });
    await ends(room.get(friend, []), 0);
  });

  test.concurrent('is nothing for those who send, nor the other way round', async () => {
    await using room = new Room();
    const { ana } = room;
    await writeFile(join(ana.home.path, 'a'), 'a');
    await room.share(['--yes', 'a']).running.event('ready');
    const bob = room.person();
    await writeFile(join(bob.home.path, 'b'), 'b');
    await ends(drop(['send', '--to', 'Ana', '--wait', '3', 'b'], bob), 3);
    const receiving = drop(['receive', '--json', '--name', 'Eve'], bob);
    await receiving.event('ready');
    await ends(drop(['get', '--from', 'Eve', '--wait', '3'], ana), 3);
    // A device that does both is two in a list of all.
    await using both = drop(['receive', '--json', '--name', 'Ana'], ana);
    await both.event('ready');
    await using watching = drop(['peers', '--json', '--watch'], room.person());
    await watching.event('peer', ({ name, shares }) => name === 'Ana' && shares);
    await watching.event('peer', ({ name, shares }) => name === 'Ana' && !shares);
    await receiving.stop();
  });
});

describeWith(LAB, 'a person at a terminal', () => {
  test.concurrent('shares with a known device after a question, which names it once', async () => {
    await using room = new Room();
    const { ana } = room;
    await writeFile(join(ana.home.path, 'a'), 'a');
    await writeFile(join(ana.home.path, 'b'), 'b');
    const bob = room.person();
    {
      const sharing = room.share(['--yes', 'a']);
      await ends(room.get(bob, [], await sharing.code()), 0);
      await sharing.running.stop();
    }
    await using screen = dropOnScreen(['share', '--name', 'Ana', 'b'], ana);
    await screen.waitFor(/Sharing b as "Ana"/);
    const declined = room.get(bob, []);
    await screen.waitFor(/wants to fetch what you share. Allow it\?/);
    screen.type('n\r');
    await ends(declined, 4);
    const got = room.get(bob, []);
    await screen.waitFor(/Declined[\s\S]*Allow it\?/);
    screen.type('y\r');
    await ends(got, 0);
    // The same thing for the same device: a yes is enough.
    await ends(room.get(bob, []), 0);
    await screen.waitFor(/Sent 1 file[\s\S]*Sent 1 file/);
  });

  test.concurrent('sees in a list what others share, and gets it with Enter', async () => {
    await using room = new Room();
    const { ana } = room;
    await writeFile(join(ana.home.path, 'a'), 'a');
    const bob = room.person();
    const sharing = room.share(['--yes', 'a']);
    {
      await using screen = dropOnScreen(['get'], bob);
      await screen.waitFor(/> Ana +new/);
      screen.type('\r');
      await screen.waitFor(/Code shown on "Ana":/);
      screen.type(`${await sharing.code()}\r`);
      await screen.waitFor(/"Ana" shares a \(1 B\)\. Get it\?/);
      screen.type('y\r');
      await screen.waitFor(/Saved .*a \(1 B\)/);
      expect((await screen.outcome()).code).toBe(0);
    }
    await writeFile(join(ana.home.path, 'a'), 'another');
    await using screen = dropOnScreen(['get', '--on-conflict', 'overwrite'], bob);
    await screen.waitFor(/> Ana +known, shares a \(7 B\)/);
    screen.type('\r');
    await screen.waitFor(/Saved .*a \(7 B\)/);
    expect((await screen.outcome()).code).toBe(0);
    await using third = dropOnScreen(['get', '--from', 'Ana'], bob);
    await third.waitFor(/shares a \(7 B\)\. Get it\?/);
    third.type('n\r');
    expect((await third.outcome()).code).toBe(4);
  });
});

describeWith(LAB, 'a person who wants a part of it', () => {
  test.concurrent('marks what it is, in a terminal and by numbers', async () => {
    await using room = new Room();
    const { ana } = room;
    for (const folder of ['2023', '2024']) {
      await mkdir(join(ana.home.path, 'photos', folder), { recursive: true });
      await writeFile(join(ana.home.path, 'photos', folder, 'a.jpg'), folder);
    }
    await writeFile(join(ana.home.path, 'photos', 'list.txt'), 'all');
    const [bob, eve] = [room.person(), room.person()];
    const sharing = room.share(['--pin', 'photos']);
    {
      await using screen = dropOnScreen(['get', '--from', 'Ana'], bob);
      await screen.waitFor(/PIN of "Ana":/);
      screen.type(`${await sharing.code()}\r`);
      await screen.waitFor(
        /shares photos \(3 files, 11 B\)\. Get it\?[\s\S]*nothing\s+Arrows choose, Enter takes\./,
      );
      screen.type('s\r');
      await screen.waitFor(/Which of it\?[\s\S]*photos\/list\.txt \(3 B\)/);
      screen.type('\x1b[B \r');
      await screen.waitFor(
        /Receiving a part of photos \(1 file, 4 B\) from "Ana"\s+Saved .*2024\/a\.jpg \(4 B\)/,
      );
      expect((await screen.outcome()).code).toBe(0);
    }
    expect(await readdir(join(bob.home.downloads, 'photos'))).toEqual(['2024']);
    {
      await using screen = dropOnScreen(['--plain', 'get', '--from', 'Ana'], eve);
      await screen.waitFor(/PIN of "Ana":/);
      screen.type(`${await sharing.code()}\r`);
      await screen.waitFor(/3 {2}photos\/list\.txt \(3 B\)[\s\S]*\[Y\/n, or numbers\]/);
      screen.type('1, 3\r');
      await screen.waitFor(/Received 2 files/);
      expect((await screen.outcome()).code).toBe(0);
    }
    const there = await readdir(join(eve.home.downloads, 'photos'));
    expect(there.sort()).toEqual(['2023', 'list.txt']);
    await using screen = dropOnScreen(['get', '--from', 'Ana', '--only', 'photos/2024'], bob);
    await screen.waitFor(/shares photos, of which you chose 1 file, 4 B\. Get it\?/);
    screen.type('n\r');
    expect((await screen.outcome()).code).toBe(4);
    const summary = await sharing.running.event('summary', ({ files }) => files === 2);
    expect(summary).toMatchObject({ ok: true, bytes: 7 });
  });
});

/** Where a person sits, and what is theirs. */
interface Person {
  readonly host: Host;
  readonly home: Home;
  /** Once `drop` has run there. */
  readonly identity: () => Promise<{ readonly id: string } | undefined>;
}

/** Ana, who shares, and others on one network. */
class Room implements AsyncDisposable {
  readonly #lab = Lab.create();
  readonly #running: Drop[] = [];
  readonly #homes: Home[] = [];
  #people = 0;
  readonly ana: Person;

  constructor(rate?: string) {
    this.ana = this.person(rate);
  }

  person(rate?: string): Person {
    const home = new Home();
    this.#homes.push(home);
    this.#people += 1;
    const host = this.#lab.host(`person${this.#people}`, {
      bridge: 'lan',
      addresses: [`10.77.0.${this.#people}/24`],
      ipv4Only: true,
    });
    if (rate !== undefined) host.limit('lan', rate);
    const identity = async () => {
      await using receiving = drop(['receive', '--json'], { host, home });
      return await receiving.event('ready');
    };
    return { home, host, identity };
  }

  /** Ana shares; `code` is the one that is shown once so many before it were used. */
  share(args: readonly string[]): { readonly running: Drop; code(used?: number): Promise<string> } {
    const running = drop(['share', '--json', '--name', 'Ana', ...args], this.ana);
    this.#running.push(running);
    return {
      running,
      code(used = 0) {
        const codes = (): string[] =>
          running.events.flatMap((event) =>
            event.event === 'code' || event.event === 'ready' ? [event.code ?? ''] : [],
          );
        return running.until(() => codes()[used], `code ${used}`);
      },
    };
  }

  get(who: Person, args: readonly string[], code?: string): Drop {
    const env: Record<string, string> = code === undefined ? {} : { DROP_CODE: code };
    const got = drop(['get', '--json', '--from', 'Ana', ...args], { ...who, env });
    this.#running.push(got);
    return got;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#running) await one[Symbol.asyncDispose]();
    for (const home of this.#homes) await home[Symbol.asyncDispose]();
    this.#lab.destroy();
  }
}

async function ends(running: Drop, code: number): Promise<void> {
  const outcome = await running.outcome();
  expect(outcome.code, outcome.stdout + outcome.stderr).toBe(code);
}

async function reached(running: Drop, bytes: number): Promise<void> {
  await running.event('progress', (event) => event.bytes >= bytes);
}

function idOf(running: Drop): string {
  const first = running.events.find((event) => event.event === 'accepted');
  return first && 'transfer' in first ? first.transfer : '';
}
