import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { Host } from '../lab/hosts.ts';
import { Network } from '../lab/network.ts';
import { type Drop, dropOnScreen } from '../support/bin.ts';
import { Changes, text } from '../support/process.ts';
import type { Screen } from '../support/screen.ts';
import { describeWith, LAB } from '../support/skip.ts';

const ENTER = '\r';
const DOWN = '\x1b[B';

const NEW_TCP = 'meta l4proto tcp ct state new';

describeWith(LAB, 'among strangers, a receiver that nobody can dial', () => {
  test.concurrent('is not mistaken for one that is known by another name', async () => {
    await using there = new Neighbourhood();
    const { bob, eve } = there;
    await there.acquaint(bob, eve);
    const rogue = await there.rogue('claim', 'Ana', 'take');
    expect((await there.send(bob, 'Ana').outcome()).code).toBe(6);
    expect(rogue.said).not.toContain('roots');
  });

  test.concurrent('is asked about in a terminal, if it is known by another name', async () => {
    await using there = new Neighbourhood();
    const { bob, eve } = there;
    await there.acquaint(bob, eve);
    const rogue = await there.rogue('claim', 'Ana', 'take');
    await using sending = there.choosing(bob, '--to', 'Ana');
    await sending.waitFor(/calls itself "Ana" is your "eve"\. Go on with "eve"\? \[y\/N\]/);
    sending.type(ENTER);
    await sending.waitFor(/Nothing was transferred/);
    expect((await sending.outcome()).code).toBe(6);
    expect(rogue.said).not.toContain('roots');
  });

  test.concurrent('is not mistaken, where it is chosen, for one that is known by that name', async () => {
    await using there = new Neighbourhood();
    const { ana, bob } = there;
    await there.acquaint(bob, ana);
    await there.rogue('claim', 'Ana', 'pair');
    await using sending = there.choosing(bob);
    await sending.waitFor(/Ana {2}does not answer/);
    sending.type(`${DOWN}${ENTER}`);
    const { code } = await sending.outcome();
    expect(sending.history()).not.toMatch(/Code shown on/);
    expect(code).toBe(3);
  });

  test.concurrent('holds no sender by a line on which nothing comes', async () => {
    await using there = new Neighbourhood();
    const rogue = await there.rogue('claim', 'Ana', 'stall');
    const { code } = await there.send(there.bob, 'Ana', undefined, ['--wait', '8']).outcome();
    expect(rogue.said).toContain('hello');
    expect(code).toBe(3);
  });

  test.concurrent('ends after one transfer though somebody else has a line', async () => {
    await using there = new Neighbourhood();
    const { ana, bob, eve } = there;
    for (const sender of [bob, eve]) await there.acquaint(sender, ana);
    ana.lose(NEW_TCP, 10);
    const receiving = await there.network.receive(ana, ['--once']);
    const list = there.network.list(eve);
    await list.drop.event('peer', ({ name }) => name === 'ana');
    expect((await there.send(bob, 'ana').outcome()).code).toBe(0);
    expect((await receiving.outcome()).code).toBe(0);
  });

  test.concurrent('hears knocks among many that lead nowhere', async () => {
    await using there = new Neighbourhood();
    const { ana, bob } = there;
    await there.acquaint(bob, ana);
    ana.lose(NEW_TCP, 10);
    await there.network.receive(ana);
    for (const address of EVES) {
      const rogue = await there.rogue('divert', address, '10.3.0.1');
      await rogue.until('diverted');
    }
    expect((await there.send(bob, 'ana').outcome()).code).toBe(0);
  });

  test.concurrent('is let in among many who came for nothing', async () => {
    await using there = new Neighbourhood();
    const { ana, bob } = there;
    await there.acquaint(bob, ana);
    ana.lose(NEW_TCP, 10);
    const rogue = await there.rogue('crowd', '40');
    const list = there.network.list(bob);
    await rogue.until('crowded');
    await there.network.receive(ana);
    await list.drop.event('peer', ({ name }) => name === 'ana');
  });

  test.concurrent('leaves a device alone that sends it away', async () => {
    await using there = new Neighbourhood();
    const { ana, eve } = there;
    await there.acquaint(eve, ana);
    const rogue = await there.rogue('deny');
    await there.network.receive(ana);
    await rogue.until('denied');
    await sleep(5000);
    expect(rogue.said.match(/denied/g)).toHaveLength(1);
  });
});

/** Those at whose addresses nothing speaks. */
const EVES = ['10.3.0.3', '10.3.0.4'];

/** Bob, who sends, Ana, who receives, and Eve, who does not keep to the rules. */
class Neighbourhood implements AsyncDisposable {
  readonly network = new Network();
  readonly ana = this.#host('ana', ['10.3.0.1']);
  readonly bob = this.#host('bob', ['10.3.0.2']);
  readonly eve = this.#host('eve', EVES);
  #files = 0;

  /** Makes two know each other: the first sends the second something, with its code. */
  async acquaint(sender: Host, receiver: Host): Promise<void> {
    const receiving = await this.network.receive(receiver, ['--once']);
    expect((await this.send(sender, receiver.name, receiving).outcome()).code).toBe(0);
    expect((await receiving.outcome()).code).toBe(0);
  }

  /** Sends something small; with the code that `receiving` shows. */
  send(host: Host, to: string, receiving?: Drop, args: readonly string[] = []): Drop {
    const name = `file-${++this.#files}`;
    writeFileSync(join(this.network.home(host).path, name), name);
    const code = receiving ? {} : { env: { DROP_CODE: '000000' } };
    return this.network.send(host, to, receiving, [...args, name], { ...LONG, ...code });
  }

  /** At the terminal of a sender, who has named nobody unless `args` do. */
  choosing(host: Host, ...args: readonly string[]): Screen {
    const home = this.network.home(host);
    writeFileSync(join(home.path, 'chosen'), 'chosen');
    return dropOnScreen(['send', ...args, 'chosen'], { host, home });
  }

  /** Eve, doing what `rogue.mjs` says; once she is ready. */
  async rogue(...args: readonly string[]): Promise<Rogue> {
    const { state } = this.network.home(this.eve);
    mkdirSync(state, { recursive: true, mode: 0o700 });
    const rogue = new Rogue(this.eve, [state, ...args]);
    await rogue.until('ready');
    return rogue;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.network[Symbol.asyncDispose]();
  }

  #host(name: string, addresses: readonly string[]): Host {
    const all = addresses.map((address) => `${address}/24`);
    return this.network.host(name, { bridge: 'lan', ipv4Only: true, addresses: all });
  }
}

/** ms that a wait may take; what is tried again and again ends late. */
const LONG = { patience: 50_000 };

/** It ends with the host. */
class Rogue {
  readonly #changes = new Changes(LONG.patience);
  readonly #said: () => string;

  constructor(host: Host, args: readonly string[]) {
    const child = host.spawn(process.execPath, [PROGRAM, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#said = text(child.stdout, () => this.#changes.announce());
  }

  get said(): string {
    return this.#said();
  }

  async until(word: string): Promise<void> {
    await this.#changes.until(
      () => this.said.includes(word) || undefined,
      () => `no "${word}" yet in: ${this.said}`,
    );
  }
}

const PROGRAM = fileURLToPath(new URL('rogue.mjs', import.meta.url));
