import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';
import { expect, test, vi } from 'vitest';
import type { Host } from '../lab/hosts.ts';
import { Network } from '../lab/network.ts';
import type { Drop } from '../support/bin.ts';
import { dropOn, hostilePage, openBrowser } from '../support/browser.ts';
import { digestOf, makeFile } from '../support/content.ts';
import type { Home } from '../support/home.ts';
import { CHROMIUM, describeWith, LAB } from '../support/skip.ts';
import { makeOddTree, treeDifferences } from '../support/tree.ts';

vi.setConfig({ testTimeout: 600_000 });

const MiB = 1024 ** 2;
const GiB = 1024 ** 3;
/** What is on its way is there for some ten seconds, so that nobody is too late to stop it. */
const SLOW = '30mbit';
const FAST = '1gbit';
const NAME = 'people with a window on two computers';

describeWith([...LAB, CHROMIUM], NAME, () => {
  test('drop a gigabyte on each other: after the code it is there, and little memory was needed', async () => {
    await using room = new Room();
    const [ana, bob] = [await room.sit('Ana'), await room.sit('Bob')];
    const [there, back] = [join(ana.home.path, 'there.bin'), join(bob.home.path, 'back.bin')];
    await makeFile(there, 'there', GiB);
    await dropOn(await ana.device('Bob'), [there]);
    await ana.typeCodeOf(bob);
    await ana.transfer('there.bin', 'Sent');
    await bob.transfer('there.bin', 'Received');
    expect(await digestOf(join(bob.home.downloads, 'there.bin'))).toBe(await digestOf(there));
    await rm(there);

    await makeFile(back, 'back', GiB);
    await dropOn(await bob.device('Ana'), [back]);
    // They know each other by now; whatever is large is asked about all the same.
    await ana.accept();
    await bob.transfer('back.bin', 'Sent');
    await ana.transfer('back.bin', 'Received');
    expect(await digestOf(join(ana.home.downloads, 'back.bin'))).toBe(await digestOf(back));
    for (const { drop } of [ana, bob]) expect(await peakOf(drop)).toBeLessThan(150 * MiB);
    for (const { said } of [ana, bob]) expect(said).toEqual([]);
  });

  test('drop a folder, and all of it arrives as it is', async () => {
    await using room = new Room();
    const [ana, bob] = [await room.sit('Ana'), await room.sit('Bob')];
    const tree = join(ana.home.path, 'tree');
    await mkdir(tree);
    await makeOddTree(tree);
    await dropOn(await ana.device('Bob'), [tree]);
    await ana.typeCodeOf(bob);
    // Some of its names have to be changed, which is asked about even right after the code.
    await bob.accept();
    await ana.transfer('tree', 'Sent');
    const differences = await treeDifferences(tree, join(bob.home.downloads, 'tree'));
    // A browser hands on files and folders, and the times of files: no links, and who may run what.
    const besides = /^"(?:linked\/.*": only in |run\.sh": executable )|^"[^".]*": mtime /;
    expect(differences.filter((line) => !besides.test(line))).toEqual([]);
    expect(differences.length).toBeGreaterThan(3);
  });

  test('close a page on the way: what came is kept, and the same dropped again goes on', async () => {
    await using room = new Room();
    const [ana, bob] = [await room.sit('Ana', SLOW), await room.sit('Bob')];
    const file = join(ana.home.path, 'long.bin');
    await makeFile(file, 'long', 64 * MiB);
    await dropOn(await ana.device('Bob'), [file]);
    await ana.typeCodeOf(bob);
    await bob.hasReceived(4 * MiB);
    await ana.page.close({ runBeforeUnload: false });
    ana.host.limit('eth0', FAST);
    await bob.transfer('long.bin', 'Cancelled');
    expect(await readdir(bob.home.downloads)).not.toContain('long.bin');

    await ana.open();
    await ana.transfer('long.bin', 'Interrupted');
    await dropOn(await ana.device('Bob'), [file]);
    await bob.accept();
    await ana.transfer('long.bin', 'Sent');
    await ana.transfer('long.bin', /there already/);
    expect(await digestOf(join(bob.home.downloads, 'long.bin'))).toBe(await digestOf(file));
  });

  test('lose their network on the way, and it goes on when it is back', async () => {
    await using room = new Room();
    const [ana, bob] = [await room.sit('Ana', SLOW), await room.sit('Bob')];
    const file = join(ana.home.path, 'long.bin');
    await makeFile(file, 'cut', 40 * MiB);
    await dropOn(await ana.device('Bob'), [file]);
    await ana.typeCodeOf(bob);
    await bob.hasReceived(4 * MiB);
    ana.host.unplug('eth0');
    await ana.transfer('long.bin', /connection.*lost/i);
    ana.host.limit('eth0', FAST);
    ana.host.replug('eth0');
    await ana.transfer('long.bin', 'Sent');
    expect(await digestOf(join(bob.home.downloads, 'long.bin'))).toBe(await digestOf(file));
  });

  test('share something that the other one fetches, and let it rest in between', async () => {
    await using room = new Room();
    const [ana, bob] = [await room.sit('Ana', SLOW), await room.sit('Bob')];
    await makeFile(join(ana.home.path, 'slides.pdf'), 'slides', 40 * MiB);
    const shared = room.network.run(ana.host, [
      'share',
      '--json',
      '--yes',
      '--name',
      'Eve',
      join(ana.home.path, 'slides.pdf'),
    ]);
    const { code } = await shared.event('ready');
    await (await bob.device('Eve')).getByRole('button', { name: /^Get/ }).press('Enter');
    await bob.type(code ?? '');
    await bob.page
      .getByRole('dialog')
      .getByRole('button', { name: /^Get|^Save|^Fetch/ })
      .click({ timeout: 20_000 });
    await bob.page.getByRole('button', { name: 'Pause' }).press('Enter', { timeout: 20_000 });
    await bob.transfer('slides.pdf', 'Paused');
    await shared.event('paused', ({ by }) => by === 'there');
    ana.host.limit('eth0', FAST);
    await bob.page.getByRole('button', { name: 'Resume' }).press('Enter');
    await bob.transfer('slides.pdf', 'Received');
    expect(await digestOf(join(bob.home.downloads, 'slides.pdf'))).toBe(
      await digestOf(join(ana.home.path, 'slides.pdf')),
    );
  });

  test('let rest what comes, and the other page says who does, also over a loss', async () => {
    await using room = new Room();
    const [ana, bob] = [await room.sit('Ana', SLOW), await room.sit('Bob')];
    const file = join(ana.home.path, 'long.bin');
    await makeFile(file, 'rest', 40 * MiB);
    await dropOn(await ana.device('Bob'), [file]);
    await ana.typeCodeOf(bob);
    await bob.page.getByRole('button', { name: 'Pause' }).press('Enter', { timeout: 20_000 });
    await bob.transfer('long.bin', 'Paused');
    await ana.transfer('long.bin', 'Paused by Bob');
    expect(await ana.page.getByText('/s', { exact: false }).count()).toBe(0);

    ana.host.unplug('eth0');
    await ana.transfer('long.bin', /connection.*lost/i);
    ana.host.limit('eth0', FAST);
    ana.host.replug('eth0');
    await ana.transfer('long.bin', 'Paused by Bob');
    await bob.transfer('long.bin', 'Paused');
    await bob.page.getByRole('button', { name: 'Resume' }).press('Enter');
    await ana.transfer('long.bin', 'Sent');
    expect(await digestOf(join(bob.home.downloads, 'long.bin'))).toBe(await digestOf(file));
  });

  test('visit a hostile page meanwhile, which gets nothing and does nothing', async () => {
    await using room = new Room();
    const ana = await room.sit('Ana');
    const target = new URL(ana.url);
    const evil = await hostilePage(ana.host, target.origin);
    const { page, browser } = ana;
    // A page on another site, one on another port of this computer, and a name that leads here.
    for (const origin of [`http://evil.example:${evil.port}`, `http://127.0.0.1:${evil.port}`]) {
      const other = await browser.newPage();
      await other.goto(`${origin}/`);
      await expect.poll(() => other.title(), { timeout: 60_000 }).toBe('tried');
      const tried = JSON.parse((await other.textContent('body')) ?? '{}');
      expect(Object.keys(tried).length).toBeGreaterThan(8);
      for (const [how, what] of Object.entries(tried))
        expect([how, what]).toEqual([how, 'nothing']);
      await other.close();
    }
    const rebound = await browser.newPage();
    const answer = await rebound.goto(`http://evil.example:${target.port}/`);
    expect(answer?.status()).toBe(421);
    await rebound.close();
    // The window itself knows of none of that.
    expect(await page.getByRole('dialog').count()).toBe(0);
    await page.locator('#status[data-link=open]').waitFor();
    evil.stop();
  });
});

/** A room with a computer for each person, on one network. */
class Room implements AsyncDisposable {
  readonly network = new Network();
  readonly #people: Person[] = [];

  /** Somebody sits down and opens the window. `rate` bounds their network, e.g. `100mbit`. */
  async sit(name: string, rate?: string): Promise<Person> {
    const address = `10.1.0.${this.#people.length + 1}/24`;
    const host = this.network.host(name.toLowerCase(), {
      ...{ bridge: 'lan', name: 'eth0', addresses: [address], ipv4Only: true },
    });
    if (rate !== undefined) host.limit('eth0', rate);
    const person = new Person(name, host, this.network);
    this.#people.push(person);
    await person.open();
    return person;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#people.map((person) => person.leave()));
    await this.network[Symbol.asyncDispose]();
  }
}

class Person {
  readonly host: Host;
  readonly home: Home;
  readonly drop: Drop;
  /** What a page said in its console. */
  readonly said: string[] = [];
  url = '';
  readonly #name: string;
  #browser: Browser | undefined;
  #page: Page | undefined;

  constructor(name: string, host: Host, network: Network) {
    this.#name = name;
    this.host = host;
    this.home = network.home(host);
    this.drop = network.run(host, ['ui', '--json', '--no-open', '--name', name], {
      patience: 120_000,
    });
  }

  get page(): Page {
    if (this.#page === undefined) throw new Error('No page is open.');
    return this.#page;
  }

  get browser(): Browser {
    if (this.#browser === undefined) throw new Error('No browser is open.');
    return this.#browser;
  }

  /** Opens the window, as often as it was closed. */
  async open(): Promise<void> {
    const { url } = (await this.drop.event('ready')) as { url?: string };
    this.url = url ?? '';
    this.#browser ??= await openBrowser({
      ...{ host: this.host, scratch: this.home.path },
      args: ['--host-resolver-rules=MAP evil.example 127.0.0.1'],
    });
    this.#page = await this.#browser.newPage();
    this.#page.setDefaultTimeout(30_000);
    this.#page.on('console', (message) => this.said.push(message.text()));
    this.#page.on('pageerror', (error) => this.said.push(String(error)));
    await this.#page.goto(this.url);
  }

  async leave(): Promise<void> {
    await this.#browser?.close();
  }

  /** The card of a device, once it is there. */
  async device(name: string): Promise<Locator> {
    const card = this.page.locator('[data-key]').filter({ hasText: name });
    await card.waitFor();
    return card;
  }

  /** Types the code that is on the screen of somebody else. */
  async typeCodeOf(other: Person): Promise<void> {
    const shown = other.page.getByText(/^\d{3}\s\d{3}$/);
    await this.type((await shown.textContent()) ?? '');
  }

  async type(code: string): Promise<void> {
    await this.page.getByRole('dialog').getByRole('textbox').fill(code);
    await this.page.getByRole('dialog').getByRole('button', { name: 'Continue' }).click();
  }

  async accept(): Promise<void> {
    await this.page.getByRole('dialog').getByRole('button', { name: 'Accept' }).click();
  }

  /** Waits until the latest transfer of something is in this state. */
  async transfer(what: string, state: string | RegExp): Promise<void> {
    const row = this.page.locator('.transfer').filter({ hasText: what }).first();
    await row.getByText(state).first().waitFor({ timeout: 240_000 });
  }

  /** Waits until so many bytes lie on the disk of this person. */
  async hasReceived(bytes: number): Promise<void> {
    const sum = async (): Promise<number> => {
      const events = this.drop.events.filter((event) => event.event === 'progress');
      return events.at(-1)?.bytes ?? 0;
    };
    await expect.poll(sum, { timeout: 60_000, interval: 50 }).toBeGreaterThan(bytes);
  }

  toString(): string {
    return this.#name;
  }
}

/** The most memory that a process had, in bytes. */
async function peakOf({ pid }: Drop): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}
