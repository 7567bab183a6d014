import { execFileSync } from 'node:child_process';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, BrowserContext, Download, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Host } from '../lab/hosts.ts';
import { Network } from '../lab/network.ts';
import { dropOnScreen } from '../support/bin.ts';
import { accessibilityErrors, hostilePage, openBrowser } from '../support/browser.ts';
import { digestOf, makeFile } from '../support/content.ts';
import type { Home } from '../support/home.ts';
import { finished, type Outcome } from '../support/process.ts';
import { CHROMIUM, describeWith, LAB } from '../support/skip.ts';

const MiB = 1024 ** 2;

describeWith([...LAB, CHROMIUM, 'curl', 'wget', 'unzip'], 'a guest at another computer', () => {
  let network: Network;
  let here: Host;
  let there: Host;
  let ana: Home;
  let guest: Home;
  let browser: Browser;

  beforeAll(async () => {
    network = new Network();
    const host = (name: string, address: string): Host =>
      network.host(name, {
        ...{ bridge: 'lan', name: 'eth0', addresses: [address], ipv4Only: true },
      });
    [here, there] = [host('ana', '10.1.0.1/24'), host('guest', '10.1.0.2/24')];
    [ana, guest] = [network.home(here), network.home(there)];
    browser = await openBrowser({
      ...{ host: there, scratch: guest.path },
      args: ['--host-resolver-rules=MAP evil.example 127.0.0.1'],
    });
    await writeFile(join(ana.path, 'site.html'), '<title>shown</title><p>Not to be shown');
    await mkdir(join(ana.path, 'photos', 'more'), { recursive: true });
    for (const name of ['a.jpg', 'b c.jpg', 'more/ü.jpg'])
      await makeFile(join(ana.path, 'photos', name), name, 2 * MiB);
  });
  afterAll(async () => {
    await browser?.close();
    await network?.[Symbol.asyncDispose]();
  });

  /** What a command prints that the guest types. */
  function typed(command: string, ...args: readonly string[]): Promise<Outcome> {
    return finished(there.spawn(command, args, { cwd: guest.path }));
  }

  test('downloads a file and a folder by link and PIN, without JavaScript as well', async () => {
    const sharing = network.run(here, ['share', '--web', '--pin', '--json', 'site.html', 'photos']);
    const { web = '', code } = await sharing.event('ready');
    await using plain = await visit({ javaScriptEnabled: false }, web);
    await enter(plain.page, '00000000');
    await plain.page.getByText('That was not the PIN.').waitFor();
    const list = plain.page.getByRole('heading', { name: 'Files from' });
    // None is looked at for a moment.
    while ((await list.count()) === 0) await enter(plain.page, `${code}`);
    const file = await downloaded(plain.page, 'site.html');
    expect(file.suggestedFilename()).toBe('site.html');
    expect(await digestOf(await file.path())).toBe(await digestOf(join(ana.path, 'site.html')));
    // It was saved, and what is shown is the list still.
    expect(plain.page.url()).toBe(web);
    await plain.page.getByRole('link', { name: 'photos/' }).click();
    // There is a zip of everything, too.
    await plain.page.getByRole('heading', { name: 'photos' }).waitFor();
    const zip = await downloaded(plain.page, /as a zip/);
    expect(zip.suggestedFilename()).toBe('photos.zip');
    execFileSync('unzip', ['-q', await zip.path(), '-d', join(guest.path, 'unpacked')]);
    for (const name of ['a.jpg', 'b c.jpg', 'more/ü.jpg'])
      expect(await digestOf(join(guest.path, 'unpacked/photos', name))).toBe(
        await digestOf(join(ana.path, 'photos', name)),
      );
    // Whoever has no PIN gets nothing, and each browser needs it once.
    await using other = await visit({}, web);
    expect(await accessibilityErrors(other.page)).toEqual([]);
    await enter(other.page, `${code}`);
    expect(await accessibilityErrors(other.page)).toEqual([]);
    await attack(other, web);
    await sharing.event('downloaded', ({ path }) => path === 'photos');
    const took = sharing.events.filter(({ event }) => event === 'downloaded');
    expect(took).toHaveLength(2);
    await sharing.stop();
  });

  test('completes by curl and wget what a cut cable broke off', async () => {
    const large = join(ana.path, 'large.bin');
    await makeFile(large, 'large', 16 * MiB);
    const sharing = network.run(here, ['share', '--web', '--json', '--limit', '4MB/s', large]);
    const { web = '' } = await sharing.event('ready');
    const link = `${web}get/large.bin`;
    const [curled, wgot] = [join(guest.path, 'curled'), join(guest.path, 'wgot')];
    const begun = [
      there.spawn('curl', ['-sS', '-o', curled, link]),
      there.spawn('wget', ['-q', '-O', wgot, link]),
    ];
    const broken = begun.map((child) => finished(child));
    for (const got of [curled, wgot])
      await expect.poll(() => sizeOf(got), WAIT).toBeGreaterThan(2 * MiB);
    there.unplug('eth0');
    for (const child of begun) child.kill();
    await Promise.all(broken);
    there.replug('eth0');
    const before = await sizeOf(curled);
    const patient = ['--retry', '10', '--retry-delay', '1', '--retry-all-errors'];
    const rest = ['-C', '-', '-w', '%{http_code} %{size_download}', '-o', curled, link];
    const { stdout } = await typed('curl', '-sS', ...patient, ...rest);
    expect(stdout).toBe(`206 ${16 * MiB - before}`);
    // A server that gives it from the start makes it say so.
    const { code, stderr } = await typed('wget', '-nv', '-c', '-O', wgot, link);
    expect([code, stderr]).toEqual([0, expect.stringMatching(/\[\d+\/\d+\]/)]);
    for (const got of [curled, wgot]) expect(await digestOf(got)).toBe(await digestOf(large));
    await sharing.event('downloaded', ({ whole }) => whole);
    await sharing.stop();
  });

  test('uploads a file and a folder to somebody who agrees, over a cable that is cut', async () => {
    await using screen = dropOnScreen(['receive', '--web', '--name', 'Ana'], {
      ...{ host: here, home: ana, rows: 50, cols: 100 },
    });
    const [, web = ''] = await screen.waitFor(/In a browser: (http:\S+\/)\s/);
    const large = join(guest.path, 'mine.bin');
    await makeFile(large, 'mine', 12 * MiB);
    await using visiting = await visit({}, web);
    const { page } = visiting;
    // It takes so long that it is seen on its way, however late somebody looks.
    there.limit('eth0', '10mbit');
    await page.setInputFiles('#files', large);
    await screen.waitFor(/wants to send mine\.bin .*Accept\?/s);
    await uploads(page).getByText('Waiting for somebody there to agree').waitFor();
    screen.type('y\r');
    await uploads(page)
      .getByText(/\d MB of 12\.6 MB/)
      .waitFor();
    there.unplug('eth0');
    await uploads(page).getByText('The connection is lost.').waitFor();
    there.limit('eth0', '1gbit');
    there.replug('eth0');
    await uploads(page).getByText('Delivered: 1 file, 12.6 MB.').waitFor();
    expect(await digestOf(join(ana.downloads, 'mine.bin'))).toBe(await digestOf(large));
    await page.setInputFiles('#folder', join(guest.path, 'unpacked/photos'));
    await screen.waitFor(/wants to send photos .*Accept\?/s);
    screen.type('y\r');
    await uploads(page).getByText('Delivered: 3 files').waitFor();
    expect(await readdir(join(ana.downloads, 'photos', 'more'))).toEqual(['ü.jpg']);
    expect(await accessibilityErrors(page)).toEqual([]);
    await attack(visiting, web);
    expect(screen.text()).not.toMatch(/evil/);
    expect((await readdir(ana.downloads)).sort()).toEqual(['mine.bin', 'photos']);
  });

  test('closes the page and opens it again, and sends no file twice that is there', async () => {
    const many = join(guest.path, 'many');
    await mkdir(many);
    for (let n = 0; n < 6; n++) await makeFile(join(many, `${n}`), `${n}`, 2 * MiB);
    const receiving = network.run(here, ['receive', '--web', '--json', '--into', 'Downloads']);
    const { web = '' } = await receiving.event('ready');
    there.limit('eth0', '30mbit');
    const context = await browser.newContext();
    const first = await context.newPage();
    await first.goto(web);
    await first.setInputFiles('#folder', many);
    await receiving.event('saved', ({ path }) => path.endsWith('2'));
    await first.close({ runBeforeUnload: false });

    const before = there.traffic('eth0').sent;
    const second = await context.newPage();
    await second.goto(web);
    await second.setInputFiles('#folder', many);
    await uploads(second)
      .getByText(/Delivered: 6 files/)
      .waitFor();
    expect(there.traffic('eth0').sent - before).toBeLessThan(9 * MiB);
    for (let n = 0; n < 6; n++)
      expect(await digestOf(join(ana.downloads, 'many', `${n}`))).toBe(
        await digestOf(join(many, `${n}`)),
      );
    expect(await readdir(join(ana.downloads, 'many'))).toHaveLength(6);
    await context.close();
    await receiving.stop();
  });

  test('sends only the rest of a large file after the page was closed', async () => {
    const large = join(guest.path, 'film.bin');
    await makeFile(large, 'film', 24 * MiB);
    const receiving = network.run(here, ['receive', '--web', '--json', '--into', 'Downloads']);
    const { web = '' } = await receiving.event('ready');
    there.limit('eth0', '30mbit');
    const context = await browser.newContext();
    const first = await context.newPage();
    await first.goto(web);
    await first.setInputFiles('#files', large);
    await receiving.event('progress', ({ bytes }) => bytes > 10 * MiB);
    await first.close({ runBeforeUnload: false });

    const before = there.traffic('eth0').sent;
    const second = await context.newPage();
    const said: string[] = [];
    second.on('console', (message) => said.push(message.text()));
    await second.goto(web);
    // What is seen of it may be gone before anybody looks.
    await second.evaluate(`{
      const seen = window.seen = [];
      const list = document.getElementById('uploads');
      const look = () => seen.push(list.innerText);
      new MutationObserver(look).observe(list, { subtree: true, childList: true, characterData: true });
    }`);
    await second.setInputFiles('#files', large);
    await uploads(second)
      .getByText(/Delivered: 1 file/)
      .waitFor();
    expect(there.traffic('eth0').sent - before).toBeLessThan(20 * MiB);
    expect(await digestOf(join(ana.downloads, 'film.bin'))).toBe(await digestOf(large));
    expect(await second.evaluate(`window.seen.join('\\n')`)).toMatch(
      /Comparing with what is there already: \d+ %/,
    );
    expect(said).toEqual([]);
    there.limit('eth0', '1gbit');
    await context.close();
    await receiving.stop();
  });

  /** A browser of its own, as far as pages can tell. */
  async function visit(
    options: { readonly javaScriptEnabled?: boolean },
    web: string,
  ): Promise<Visit> {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    await page.goto(web);
    return { context, page, [Symbol.asyncDispose]: () => context.close() };
  }

  /** A page of another site tries all that it can, in the browser of a guest, with the whole link. */
  async function attack({ context }: Visit, web: string): Promise<void> {
    const evil = await hostilePage(there, web.slice(0, -1), 'guest');
    const origins = [`http://evil.example:${evil.port}`, `http://127.0.0.1:${evil.port}`];
    const trying = origins.map(async (origin) => {
      const page = await context.newPage();
      await page.goto(origin);
      await expect.poll(() => page.title(), { timeout: 60_000 }).toBe('tried');
      const tried = JSON.parse((await page.textContent('body')) ?? '{}');
      expect(Object.keys(tried).length).toBeGreaterThan(8);
      for (const [how, what] of Object.entries(tried))
        expect([how, what]).toEqual([how, 'nothing']);
      await page.close();
    });
    await Promise.all(trying);
    evil.stop();
  }
});

interface Visit extends AsyncDisposable {
  readonly context: BrowserContext;
  readonly page: Page;
}

/** Types a PIN, and waits for the page that comes of it. */
async function enter(page: Page, pin: string): Promise<void> {
  await page.getByLabel('PIN').fill(pin);
  const answered = page.waitForEvent('load');
  await page.getByRole('button', { name: 'Continue' }).click();
  await answered;
}

async function downloaded(page: Page, link: string | RegExp): Promise<Download> {
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: link }).click(),
  ]);
  return download;
}

/** What is shown of all that is sent. */
function uploads(page: Page): Locator {
  return page.getByRole('list', { name: 'What you send' });
}

const WAIT = { timeout: 20_000, interval: 50 };

async function sizeOf(path: string): Promise<number> {
  return await stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}
