import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { accessibilityErrors } from '../support/browser.ts';
import { GuestServer } from '../support/guest-server.ts';
import { CHROMIUM, describeWith } from '../support/skip.ts';

/** A folder into which the page is drawn at its moments, for somebody to look at. */
const SCREENSHOTS = process.env.SCREENSHOTS;

describeWith([CHROMIUM], 'the page at which guests send', () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  });

  afterAll(async () => {
    await browser.close();
  });

  test('stops what is on its way also while the connection is lost', async () => {
    await using visit = await Visit.begin(browser);
    const { page, server } = visit;
    await visit.pick('a.bin');
    await visit.heard('bring');
    server.upload({ bytes: 300_000 });
    await page.getByText('300.0 kB of 1.0 MB').waitFor();
    server.refuses = 500;
    server.cut();
    await page.locator('#link').getByText('The connection is lost.').waitFor();
    await page.route('**/cancel', (route) => route.abort());
    await visit.press('Stop');
    await page.locator('#uploads').getByText('Stopping…').waitFor();
    expect(await visit.focused()).toBe('a.bin');
    await page.unroute('**/cancel');
    const told = page.waitForRequest('**/cancel');
    server.refuses = undefined;
    await told;
    // What was on its way when it was stopped tells of nothing new.
    server.upload({ bytes: 400_000 });
    server.upload({ state: 'stopped', message: 'It was stopped.' });
    await page.locator('#uploads').getByText('It was stopped. What has come is kept').waitFor();
    await visit.press('Send again');
    await visit.heard('bring', 2);
    expect(await visit.focused()).toBe('a.bin');
    expect(await accessibilityErrors(page)).toEqual([]);
  });

  test('sends again what somebody presses twice for, and does not stop it', async () => {
    await using visit = await Visit.begin(browser);
    const { page, server } = visit;
    await page.clock.install();
    await visit.pick('a.bin');
    await visit.heard('bring');
    server.upload({ state: 'stopped', message: 'It was stopped.' });
    const again = page.getByRole('button', { name: 'Send again' });
    await again.waitFor();
    // So long a person needs to see it.
    await page.clock.runFor(400);
    await again.dblclick();
    await visit.heard('bring', 2);
    server.upload({ bytes: 300_000 });
    await page.getByText('300.0 kB of 1.0 MB').waitFor();
    expect(server.said.filter(({ name }) => name === 'cancel')).toEqual([]);
  });

  test('shows how much has come while the connection is lost only if that was heard', async () => {
    await using visit = await Visit.begin(browser);
    const { page, server } = visit;
    await visit.pick('a.bin');
    await visit.heard('bring');
    server.refuses = 500;
    server.cut();
    const lost = page.locator('#uploads').getByText('The connection is lost.');
    await lost.waitFor();
    expect(await page.getByRole('progressbar').count()).toBe(0);
    server.refuses = undefined;
    await visit.connected();
    server.upload({ bytes: 300_000 });
    await page.getByText('300.0 kB of 1.0 MB').waitFor();
    server.refuses = 500;
    server.cut();
    await lost.waitFor();
    expect(await page.getByRole('progressbar').count()).toBe(1);
    expect(await page.getByText('300.0 kB of 1.0 MB').isVisible()).toBe(true);
  });

  test('lets go of files that nobody will ask for any more', async () => {
    await using visit = await Visit.begin(browser);
    const { page, server } = visit;
    await visit.pick('a.bin');
    await visit.heard('bring');
    const broughtIn = async (batch: string): Promise<string | undefined> => {
      const bringing = page.waitForRequest(`**/lend/loan-1/${batch}`);
      server.tell({
        event: 'want',
        loan: 'loan-1',
        batch,
        files: [{ file: 0, from: 0, bytes: 5 }],
      });
      return (await (await bringing).allHeaders())['content-length'];
    };
    expect(await broughtIn('1')).toBe('5');
    server.tell({ event: 'returned', loan: 'loan-1' });
    expect(await broughtIn('2')).toBe('0');
  });

  test('sends once what is sent again before it was answered', async () => {
    await using visit = await Visit.begin(browser);
    const { page, server } = visit;
    let answer = (): void => {};
    const held = new Promise<void>((resolve) => {
      answer = resolve;
    });
    await page.route('**/lend', (route) => held.then(() => route.continue()), { times: 1 });
    const lending = page.waitForRequest('**/lend');
    await visit.pick('a.bin');
    const late = (await lending).response();
    await visit.press('Stop');
    await visit.press('Send again');
    await visit.heard('bring');
    answer();
    await (await late)?.finished();
    server.upload({ loan: 'loan-1', state: 'done', files: 1 });
    await page.locator('#uploads').getByText('Delivered: 1 file').waitFor();
    await visit.heard('bring');
  });

  test('asks again what was not answered when the connection was lost', async () => {
    await using visit = await Visit.begin(browser);
    const { page, server } = visit;
    server.hangs = 'lend';
    await visit.pick('a.bin');
    await visit.heard('lend');
    await page.getByText('Getting ready…', { exact: true }).waitFor();
    server.hangs = undefined;
    server.cut();
    await visit.heard('lend', 2);
    await visit.heard('bring');
  });

  test.each([
    [404, 'This link is over: drop has ended there.'],
    [401, 'This page is not connected any more.'],
  ])(
    'says what is not sent when it is answered with %i, and offers nothing more',
    async (status, said) => {
      await using visit = await Visit.begin(browser);
      const { page, server } = visit;
      await visit.pick('stopped.bin');
      await visit.heard('bring');
      server.upload({ state: 'stopped', message: 'It was stopped.' });
      await page.getByRole('button', { name: 'Send again' }).waitFor();
      await visit.pick('begun.bin');
      await visit.heard('bring', 2);
      await visit.pick('waits.bin');
      await page.getByText('Waits for its turn.').waitFor();
      await page.getByRole('button', { name: 'Choose files' }).focus();
      server.refuses = status;
      server.cut();
      await page.locator('#link').getByText(said).waitFor();
      expect(await page.locator('#uploads').getByText('It was not sent.').count()).toBe(2);
      expect(await page.getByRole('button').count()).toBe(0);
      expect(await visit.focused()).toContain(said);
      // Nothing keeps anybody here.
      const closed = page.waitForEvent('close');
      await page.close({ runBeforeUnload: true });
      await closed;
    },
  );

  test('promises nothing more when the receiver has ended, and says what is saved', async () => {
    await using visit = await Visit.begin(browser);
    const { page, server } = visit;
    const rows = page.locator('#uploads > li');
    for (const [n, files] of [2, 0].entries()) {
      await visit.pick(`stopped-${n}.bin`);
      await visit.heard('bring', n + 1);
      server.upload({ state: 'stopped', message: 'It was stopped.', files });
      await rows.nth(n).getByText('What has come is kept').waitFor();
    }
    await visit.pick('begun.bin');
    await visit.heard('bring', 3);
    server.upload({ files: 1, ofFiles: 5 });
    await page.getByText('1 of 5 files').waitFor();
    server.tell({ event: 'bye', reason: 'ended' });
    await page.locator('#link').getByText('This link is over').waitFor();
    const ends = [
      'It was stopped. 2 files are saved there; the rest is not.',
      'It was stopped. Nothing of it is saved there.',
      'It was not all sent. At least 1 file is saved there.',
    ];
    for (const [n, end] of ends.entries()) expect(await rows.nth(n).innerText()).toContain(end);
    expect(await page.locator('body').textContent()).not.toContain('kept');
  });

  test('says that there is no room for it, and that nothing was chosen', async () => {
    await using visit = await Visit.begin(browser);
    const { page, server } = visit;
    server.refuses = 503;
    server.cut();
    await page.locator('#link').getByText('Too many send at once. Trying again…').waitFor();
    await page.dispatchEvent('#drop', 'drop', {
      dataTransfer: await page.evaluateHandle('new DataTransfer()'),
    });
    await page.locator('#trouble').getByText('There is nothing in it.').waitFor();
    expect(await page.locator('#link').textContent()).toBe('Too many send at once. Trying again…');
    server.refuses = undefined;
    await visit.connected();
  });

  if (SCREENSHOTS !== undefined)
    test.each(Object.entries(LOOKS))('is drawn: %s', async (name, look) => {
      mkdirSync(SCREENSHOTS, { recursive: true });
      await using visit = await Visit.begin(browser, look);
      const { page, server } = visit;
      const draw = (moment: string): Promise<Buffer> =>
        page.screenshot({ path: join(SCREENSHOTS, `guest-${moment}-${name}.png`), fullPage: true });
      await draw('empty');
      await visit.pick('holiday in the mountains with everybody.mp4');
      await visit.heard('bring');
      server.upload({ state: 'waiting' });
      await page.locator('#uploads').getByText('Waiting for somebody there').waitFor();
      await visit.pick('waits.bin');
      await draw('waiting');
      server.upload({ bytes: 300_000, rate: 120_000, left: 6_000, resumed: 100_000, ofFiles: 3 });
      await page.locator('#uploads').getByText('0:06 left').waitFor();
      await draw('running');
      server.refuses = 500;
      server.cut();
      await page.locator('#link').getByText('The connection is lost.').waitFor();
      await draw('lost');
      server.refuses = undefined;
      await visit.connected();
      server.upload({
        ...{ state: 'failed', message: 'Some of it did not arrive.', failed: 1 },
        failures: [{ path: 'photos/one.jpg', message: 'The browser could not read it.' }],
      });
      await page.locator('#uploads').getByText('1 file did not arrive').waitFor();
      await draw('failed');
      server.refuses = 404;
      server.cut();
      await page.locator('#link').getByText('This link is over').waitFor();
      await draw('over');
    });
});

const LOOKS = {
  light: { colorScheme: 'light', viewport: { width: 1000, height: 700 } },
  dark: { colorScheme: 'dark', viewport: { width: 1000, height: 700 } },
  narrow: { colorScheme: 'light', viewport: { width: 360, height: 700 } },
  contrast: { colorScheme: 'dark', forcedColors: 'active', viewport: { width: 1000, height: 700 } },
} as const satisfies Readonly<Record<string, BrowserContextOptions>>;

/** A page that a guest has open, and its server. */
class Visit implements AsyncDisposable {
  readonly page: Page;
  readonly server: GuestServer;
  readonly #errors: string[] = [];

  private constructor(page: Page, server: GuestServer) {
    this.page = page;
    this.server = server;
    page.on('pageerror', (error) => this.#errors.push(String(error)));
  }

  static async begin(browser: Browser, options: BrowserContextOptions = {}): Promise<Visit> {
    const server = await GuestServer.open();
    const visit = new Visit(await (await browser.newContext(options)).newPage(), server);
    await visit.page.goto(server.link);
    await visit.connected();
    return visit;
  }

  async connected(): Promise<void> {
    await soon(() => this.page.locator('#link').textContent()).toBe('');
    await this.page.locator('#drop').waitFor();
  }

  async pick(name: string): Promise<void> {
    const buffer = Buffer.from(name);
    await this.page.setInputFiles('#files', { name, mimeType: 'application/octet-stream', buffer });
  }

  /** Presses a button as who works with the keyboard does. */
  async press(name: string): Promise<void> {
    await this.page.getByRole('button', { name }).press('Enter');
  }

  async focused(): Promise<string> {
    return await this.page.evaluate<string>('document.activeElement.textContent');
  }

  /** Waits until it has said that so often. */
  async heard(name: string, times = 1): Promise<void> {
    await soon(() => this.server.said.filter((said) => said.name === name).length).toBe(times);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.context().close();
    await this.server[Symbol.asyncDispose]();
    expect(this.#errors).toEqual([]);
  }
}

function soon<Value>(look: () => Value | Promise<Value>) {
  return expect.poll(look, { interval: 20 });
}
