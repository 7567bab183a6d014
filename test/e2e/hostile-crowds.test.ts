import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { judge, row, table } from '../../bench/figures.ts';
import type { Host } from '../lab/hosts.ts';
import { Network } from '../lab/network.ts';
import type { Drop } from '../support/bin.ts';
import { Changes, text } from '../support/process.ts';
import { describeWith, LAB } from '../support/skip.ts';

/** ms. The last of a crowd goes long after the first came. */
const LONG = { patience: 60_000 };

/* What went wrong elsewhere: a flood of connections kept a device busy (KDE Connect, CVE-2020-26164). */
describeWith(LAB, 'a receiver that many call who want nothing', () => {
  test('serves who was paired, holds little and shows all of them out', async () => {
    await using there = new Neighbourhood();
    const { eve } = there;
    // Each of them is an address of its own.
    eve.ip('route', 'add', 'local', '10.9.128.0/17', 'dev', 'lo');
    const addresses = ['10.9.0.3', ...range(100, (n) => `10.9.128.${n}`)];
    const receiving = await there.receive();
    await there.deliver(receiving);
    const before = await peakMemory(receiving);

    const crowd = await there.crowd('10.9.0.1', receiving, { silent: 300, junk: 400, addresses });
    let delivered = 0;
    while (!crowd.said('came')) {
      await there.deliver(receiving);
      delivered += 1;
    }
    const { over, longest } = await crowd.hears('over');
    await there.deliver(receiving);
    const growth = ((await peakMemory(receiving)) - before) / MiB;
    console.log(
      table(
        [
          row('a silent connection is open', 'ms', [longest ?? 0], { of: 'worst', most: 30_000 }),
          row('memory of the receiver grows', 'MiB', [growth], { of: 'worst', most: 80 }),
        ].map(judge),
      ),
    );
    expect(over).toBe(700);
    expect(delivered).toBeGreaterThan(0);
    expect(growth).toBeLessThan(80);
    await there.saysNothing(receiving);
  });

  test('by 200 addresses of one network that is far away, gives them four places', async () => {
    await using there = new Neighbourhood();
    const { ana, eve } = there;
    await eve.run('sysctl', ['-w', 'net.ipv6.ip_nonlocal_bind=1']);
    eve.ip('-6', 'route', 'add', 'local', 'fd99::/64', 'dev', 'lo');
    ana.ip('-6', 'route', 'add', 'fd99::/64', 'via', 'fd09::3');
    const receiving = await there.receive();
    await there.deliver(receiving);
    const addresses = range(200, (n) => `fd99::${n.toString(16)}`);
    const crowd = await there.crowd('fd09::1', receiving, { silent: 200, junk: 0, addresses });
    while (!crowd.said('came')) await there.deliver(receiving);
    const { open } = await crowd.hears('came');
    expect(open).toBeLessThanOrEqual(4);
    await there.saysNothing(receiving);
  });

  test('by 200 addresses of its own network, lets others in all the same', async () => {
    await using there = new Neighbourhood();
    const { eve } = there;
    const addresses = range(200, (n) => `fd09::e:${n.toString(16)}`);
    eve.setAddresses('lan', ['10.9.0.3/16', ...addresses.map((one) => `${one}/64`)]);
    const receiving = await there.receive();
    await there.deliver(receiving);
    const crowd = await there.crowd('fd09::1', receiving, { silent: 200, junk: 0, addresses });
    while (!crowd.said('came')) await there.deliver(receiving);
    const { open } = await crowd.hears('came');
    expect(open).toBeLessThanOrEqual(64);
    await there.saysNothing(receiving);
  });
});

/* A device that meets itself meets a copy of its key: what is one's own proves nothing there. */
describeWith(LAB, 'a copy of the key of a receiver', () => {
  test('is refused where it is used on another computer, by both of them', async () => {
    await using there = new Neighbourhood();
    const { ana, eve, network } = there;
    const receiving = await there.receive();
    const [mine, copy] = [network.home(ana).state, network.home(eve).state];
    await mkdir(copy, { mode: 0o700 });
    await cp(join(mine, 'identity.pem'), join(copy, 'identity.pem'));
    await writeFile(join(network.home(eve).path, 'a.txt'), 'a');
    const { port } = await receiving.event('ready');
    const sending = network.send(eve, `10.9.0.1:${port}`, receiving, ['a.txt']);
    expect(await sending.outcome()).toMatchObject({ code: 6 });
    expect(sending.events.at(-1)).toMatchObject({ event: 'error', code: 'clone' });
    const { stdout, stderr } = await receiving.stop();
    expect(stderr).toBe('');
    expect(stdout.trim().split('\n')).toHaveLength(1);
  });
});

const MiB = 1024 * 1024;

/** Ana, who receives, Bob, who is paired with her, and Eve, who is a crowd. */
class Neighbourhood implements AsyncDisposable {
  readonly network = new Network();
  readonly ana = this.#host('ana', 1);
  readonly bob = this.#host('bob', 2);
  readonly eve = this.#host('eve', 3);

  receive(): Promise<Drop> {
    return this.network.receive(this.ana, [], LONG);
  }

  /** Bob sends something small; by the code the first time. */
  async deliver(receiving: Drop): Promise<void> {
    expect(await this.network.deliver(this.bob, 'ana', receiving)).toBeDefined();
  }

  async crowd(
    host: string,
    receiving: Drop,
    { silent, junk, addresses }: { silent: number; junk: number; addresses: readonly string[] },
  ): Promise<Crowd> {
    const { port } = await receiving.event('ready');
    const home = this.network.home(this.eve).state;
    await mkdir(home, { recursive: true, mode: 0o700 });
    return new Crowd(this.eve, [home, host, port, silent, junk, ...addresses].map(String));
  }

  /** Of all of them nothing was told, but of Bob. */
  async saysNothing(receiving: Drop): Promise<void> {
    const { stderr } = await receiving.stop();
    expect(stderr).toBe('');
    const { id } = await receiving.event('paired');
    const others = receiving.events.filter(
      (event) => !('peer' in event && event.peer?.id === id) && event.event !== 'progress',
    );
    expect(others.map(({ event }) => event).sort()).toEqual(['code', 'paired', 'ready']);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.network[Symbol.asyncDispose]();
  }

  #host(name: string, number: number): Host {
    const addresses = [`10.9.0.${number}/16`, `fd09::${number}/64`];
    return this.network.host(name, { bridge: 'lan', addresses });
  }
}

interface Said {
  readonly came?: number;
  readonly open?: number;
  readonly over?: number;
  readonly longest?: number;
}

/** It ends with the host. */
class Crowd {
  readonly #changes = new Changes(LONG.patience);
  readonly #said: () => string;

  constructor(host: Host, args: readonly string[]) {
    const child = host.spawn(process.execPath, [PROGRAM, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#said = text(child.stdout, () => this.#changes.announce());
  }

  said(what: keyof Said): Said | undefined {
    const lines = this.#said().split('\n').slice(0, -1);
    return lines.map((line): Said => JSON.parse(line)).find((line) => what in line);
  }

  hears(what: keyof Said): Promise<Said> {
    return this.#changes.until(
      () => this.said(what),
      () => `no "${what}" yet in: ${this.#said()}`,
    );
  }
}

const PROGRAM = fileURLToPath(new URL('crowd.mjs', import.meta.url));

/** The most that a process has held so far, in bytes. */
async function peakMemory({ pid }: Drop): Promise<number> {
  const [, kB] = /^VmHWM:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kB) * 1024;
}

function range(count: number, name: (n: number) => string): string[] {
  return Array.from({ length: count }, (_, i) => name(i + 1));
}
