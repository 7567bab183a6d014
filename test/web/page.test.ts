import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import axe from 'axe-core';
import {
  type Browser,
  type BrowserContextOptions,
  chromium,
  type JSHandle,
  type Page,
} from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { View } from '../../src/web/window/model.ts';
import { PageServer, SCENES, SENDING } from '../support/page-server.ts';
import { CHROMIUM, describeWith } from '../support/skip.ts';

/** A folder into which the page is drawn at its moments, for somebody to look at. */
const SCREENSHOTS = process.env.SCREENSHOTS;

const WIDE = { width: 1280, height: 900 };
const LOOKS = {
  light: { colorScheme: 'light', viewport: WIDE },
  dark: { colorScheme: 'dark', viewport: WIDE },
  narrow: { colorScheme: 'light', viewport: { width: 320, height: 700 } },
  // What a window of 1280 points has left at 200 %.
  zoomed: { colorScheme: 'light', viewport: { width: 640, height: 450 }, deviceScaleFactor: 2 },
  contrast: { colorScheme: 'dark', forcedColors: 'active', viewport: WIDE },
} as const satisfies Readonly<Record<string, BrowserContextOptions>>;

const { nearby: NEARBY = [], known: KNOWN = [] } = SCENES.devices;

const scenes: readonly [string, Partial<View>][] = Object.entries(SCENES);

/** What has to be read at each moment. */
const READ: Readonly<Record<keyof typeof SCENES, readonly string[]>> = {
  nobody: ['and no drop among them', 'Others may not find this computer'],
  devices: [
    '493 027',
    '~/Downloads',
    'bob-desktop',
    'NOT the “Ana’s laptop” you know',
    'Blocked by you',
  ],
  transfers: [
    '734.0 MB of 1.9 GB',
    '96.4 MB/s',
    '0:12 left',
    '12 of 48 files',
    'Sending 38 %, 0:12 left',
    'Connection lost',
    'Fetched 2 times.',
    'Drop the same files on bob-desktop again',
    'There is not enough room',
    'The meeting is at three.',
    'bob-desktop was refused',
  ],
  locked: ['Ten wrong codes'],
  closed: ['the folder cannot be written to', 'drop ui --into FOLDER'],
  accept: [
    'Ana’s laptop wants to send you setup.exe and 2 more',
    '3 files, 1.2 GB',
    'It can do anything when it is opened: setup.exe.',
  ],
  stranger: ['bob-desktop wants to send you report.pdf', 'It has not proven who it is'],
  code: ['Code shown on bob-desktop', 'That code did not match'],
  pin: ['PIN of bob-desktop'],
  doubt: ['What calls itself “Mallory”'],
  fetch: ['Ana’s laptop wants to fetch map.pdf'],
  call: ['Call back 192.168.1.90?'],
  offer: ['What do you want from Studio Mac?', '31 files, 9.1 MB'],
};

describeWith([CHROMIUM], 'the page', () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  });

  afterAll(async () => {
    await browser.close();
  });

  test.each(['light', 'dark'] as const)(
    'shows each moment, for everyone: %s',
    async (look) => {
      await using visit = await Visit.begin(
        browser,
        {},
        { ...LOOKS[look], reducedMotion: 'reduce' },
      );
      const { page, server } = visit;
      for (const [scene, view] of scenes) {
        server.show(view);
        for (const text of READ[scene as keyof typeof SCENES])
          await page.getByText(text).first().waitFor();
        const found = await violationsOf(page);
        expect(found, `${scene}, ${look}`).toEqual([]);
      }
    },
    90_000,
  );

  test('needs no scrolling to the side, however narrow the window and long the names', async () => {
    await using visit = await Visit.begin(browser, {}, { viewport: { width: 320, height: 700 } });
    const { page } = visit;
    for (const [scene, view] of [...scenes, ['hostile', hostile('w'.repeat(300))] as const]) {
      await visit.shows(view);
      const [content, window] = await widthsOf(page);
      expect(content, scene).toBeLessThanOrEqual(window);
    }
  });

  test('shows what others have written, and lets none of it do anything', async () => {
    const markup = '<img src=x onerror="document.title=1"><b>bold</b>';
    await using visit = await Visit.begin(browser, hostile(`${markup}\u202egnp.exe`));
    const { page } = visit;
    await page.getByRole('dialog').getByText(markup).first().waitFor();
    expect(await page.locator('#content b, dialog b, img[src=x]').count()).toBe(0);
    expect(await page.locator('body').innerText()).not.toContain('\u202e');
    expect(await page.title()).toContain(markup);
    await visit.mayAnswer();
    await page.keyboard.press('Escape');
    await page.getByRole('heading', { name: 'Known devices' }).click();
    await page.getByRole('heading', { name: 'Arrived before' }).click();
    expect(await page.locator('main a, .more a').count()).toBe(0);
  });

  test('takes the token out of the address, keeps it for this tab, and says when it is wrong', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page, server } = visit;
    expect(page.url()).toBe(server.address);
    await page.reload();
    await page.getByRole('heading', { name: 'bob-desktop' }).waitFor();

    const stranger = await browser.newPage();
    await stranger.goto(server.address);
    await stranger.getByRole('alert').getByText('This page is not let in').waitFor();
    expect(await stranger.getByText('bob-desktop').count()).toBe(0);
    await stranger.close();
  });

  test('sends a message and answers a question with the keyboard alone', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page, server } = visit;
    await visit.tabTo('Send a message to bob-desktop');
    await page.keyboard.press('Enter');
    await page.keyboard.type('Lunch?');
    await page.keyboard.press('Control+Enter');
    await visit.heard('send', { to: ['bob'], text: 'Lunch?' });
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await soon(() => visit.focused()).toBe('Send a message to bob-desktop');

    server.change({ questions: SCENES.accept.questions });
    await page.getByRole('dialog').waitFor();
    expect(await visit.focused()).toBe('Decline');
    await visit.mayAnswer();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await visit.heard('answer', { question: 'q1', answer: true });
    await page.getByRole('dialog').waitFor({ state: 'detached' });
  });

  test('takes no key for an answer that was pressed before the question could be read', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page, server } = visit;
    await visit.stopTime();
    await page.getByLabel('Not in the list?').focus();
    // Nobody types, so it comes at once.
    server.change({ questions: SCENES.accept.questions });
    await page.getByRole('dialog').waitFor();
    for (const key of ['Enter', 'Escape', ' ', 'Enter']) {
      await page.clock.runFor(600);
      await page.keyboard.press(key);
    }
    expect(await page.getByRole('dialog').isVisible()).toBe(true);
    expect(visit.answers()).toEqual([]);
    await page.clock.runFor(700);
    await visit.mayAnswer();
    await page.keyboard.press('Escape');
    await visit.heard('answer', { question: 'q1', answer: false });
  });

  test('lets who types finish, and loses nothing of it', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page, server } = visit;
    await visit.stopTime();
    await page.getByRole('button', { name: 'Send a message to bob-desktop' }).click();
    await page.keyboard.type('It is ');
    server.change({ questions: SCENES.accept.questions });
    for (const [n, letter] of [...'a long message'].entries()) {
      await page.clock.runFor(1_000);
      await page.keyboard.type(letter);
      server.change({ transfers: running(n) });
    }
    expect(await page.getByText('wants to send you').count()).toBe(0);
    await soon(() => page.title()).toContain('(1) Ana’s laptop wants to send you');
    await page.clock.runFor(1_500);
    await page.getByText('wants to send you').waitFor();
    await page.clock.runFor(700);
    await visit.mayAnswer();
    await page.keyboard.press('Escape');
    await visit.heard('answer', { question: 'q1', answer: false });
    await page.getByText('wants to send you').waitFor({ state: 'detached' });
    await page.keyboard.type('.');
    expect(await page.getByLabel('Message', { exact: true }).inputValue()).toBe(
      'It is a long message.',
    );
  });

  test('keeps the focus where it is while all around it changes, and passes it on when that is gone', async () => {
    await using visit = await Visit.begin(browser, { ...SCENES.devices, transfers: running(0) });
    const { page, server } = visit;
    await page.getByRole('button', { name: 'Pause' }).focus();
    for (let n = 1; n <= 5; n++) server.change({ transfers: running(n) });
    await page.getByText('5.0 MB of').waitFor();
    expect(await visit.focused()).toBe('Pause holiday.mp4');
    const [first] = running(6);
    server.change({ transfers: [{ ...first!, id: 'new', what: ['other'] }, first!] });
    await page.getByText('other', { exact: true }).waitFor();
    expect(await visit.focused()).toBe('Pause holiday.mp4');
    server.change({ transfers: [{ ...first!, state: 'done', can: ['dismiss'] }] });
    await soon(() => visit.focused()).toBe('Dismiss: holiday.mp4');
    server.change({ transfers: [] });
    await soon(() => visit.focused()).toBe('Devices nearby');
  });

  test('takes a code however it was copied, and says what is none', async () => {
    await using visit = await Visit.begin(browser, SCENES.code);
    const { page } = visit;
    await visit.mayAnswer();
    expect(await visit.focused()).toBe('Code');
    await page.keyboard.insertText('12 34');
    await page.keyboard.press('Enter');
    await page.getByText('A code has six digits.').waitFor();
    await page.keyboard.insertText(' -56 ');
    await page.keyboard.press('Enter');
    await visit.heard('answer', { question: 'q3', answer: '123456' });
  });

  test('fetches only what is chosen', async () => {
    await using visit = await Visit.begin(browser, SCENES.offer);
    const { page } = visit;
    await page.getByRole('checkbox', { name: 'All of it' }).uncheck();
    expect(
      await page
        .getByRole('button', { name: 'Get' })
        .and(page.getByRole('dialog').getByRole('button'))
        .last()
        .isDisabled(),
    ).toBe(true);
    await page.getByRole('checkbox', { name: 'notes.txt' }).check();
    await page.getByRole('button', { name: 'Get 1 part (10.0 kB)' }).click();
    await visit.heard('answer', { question: 'q7', answer: ['notes.txt'] });
  });

  test('lends what is dropped on a device, and brings what is wanted of it', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page, server } = visit;
    await visit.drop('li.device[data-key=bob]', { 'a.txt': 'first file', 'b.txt': 'second' });
    await visit.heard('send', { to: ['bob'], loan: 'loan-1' });
    const [lent] = server.said.filter(({ name }) => name === 'lend');
    expect(lent?.body).toMatchObject({
      page: 'page-1',
      ready: true,
      entries: [
        { path: 'a.txt', size: 10 },
        { path: 'b.txt', size: 6 },
      ],
    });
    const files = [
      { file: 0, from: 6, bytes: 4 },
      { file: 1, from: 0, bytes: 6 },
    ];
    server.tell({ event: 'want', loan: 'loan-1', batch: '7', files });
    await soon(() => server.brought.get('loan-1/7')?.toString()).toBe('filesecond');

    // Where nothing can be sent, and where there is no device at all, they wait for one.
    await visit.drop('li.device[data-key=old-pc]', { 'c.txt': 'third' });
    await page.getByText('c.txt (1 file, 5 B) – choose a device').waitFor();
    await page
      .getByRole('button', { name: 'Send here: c.txt (1 file, 5 B), to Ana’s laptop' })
      .first()
      .press('Enter');
    await visit.heard('send', { to: ['ana'], loan: 'loan-2' });
  });

  test('lets go of files when nobody can want them any more', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { server } = visit;
    const held = await visit.heldFiles();
    await visit.drop('li.device[data-key=bob]', { 'a.txt': 'first file' });
    await visit.heard('send', { to: ['bob'], loan: 'loan-1' });
    await visit.drop('li.device[data-key=bob]', { 'b.txt': 'second' });
    await visit.heard('send', { to: ['bob'], loan: 'loan-2' });
    await soon(held).toBe(2);
    server.tell({ event: 'returned', loan: 'loan-1' });
    await soon(held).toBe(1);
    // It could not be told: the page hears of it when it is there again.
    server.loans = [];
    visit.expectedErrors.push(/ERR_INCOMPLETE_CHUNKED/);
    server.cut();
    await visit.page.getByText('Connecting again…').waitFor();
    server.mend();
    await visit.connected();
    await soon(held).toBe(0);
  });

  test('sends to several that are marked, and to an address that is typed', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page } = visit;
    await page.getByRole('checkbox', { name: 'Mark bob-desktop' }).check();
    await page.getByRole('checkbox', { name: 'Mark printer-room' }).check();
    expect(await violationsOf(page)).toEqual([]);
    const chosen = page.waitForEvent('filechooser');
    await page.locator('#tray').getByRole('button', { name: 'Send files' }).click();
    const file = { name: 'x.bin', mimeType: 'application/octet-stream', buffer: Buffer.from('x') };
    await (await chosen).setFiles([file]);
    await visit.heard('send', { to: ['bob', 'printer-room'], loan: 'loan-1' });
    await page.locator('#tray').waitFor({ state: 'hidden' });

    await page.getByLabel('Not in the list?').fill('10.0.0.7:5050');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Get what 10.0.0.7:5050 shares' }).press('Enter');
    await visit.heard('get', { from: '10.0.0.7:5050' });
  });

  test('asks the browser for notifications when somebody presses for it, and never else', async () => {
    await using visit = await Visit.begin(browser, SCENES.accept, {}, NOTIFICATIONS);
    const { page } = visit;
    await visit.sight('hidden');
    await visit.calls([{ id: 'q1', page: 'page-1', title: 'Ana asks', body: 'for something' }]);
    await visit.sight('visible');
    expect(await visit.notifications()).toEqual({ asked: 0, shown: [] });
    await visit.mayAnswer();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    // The browser of this test allows nothing.
    await visit.tabTo('Notify me');
    await page.keyboard.press('Enter');
    await page.getByText('Your browser blocks notifications of this page.').waitFor();
    expect(await visit.notifications()).toEqual({ asked: 1, shown: [] });
    expect(await violationsOf(page)).toEqual([]);
    await visit.sight('hidden');
    await visit.heard('sight', { page: 'page-1', sight: 'silent' });
  });

  test('calls by notifications while it is out of sight, each once, until that is over', async () => {
    const permissions = ['notifications'];
    await using visit = await Visit.begin(browser, SCENES.devices, { permissions }, NOTIFICATIONS);
    const { page, server } = visit;
    // What something else at this address was once allowed is nothing that was asked for here.
    await visit.sight('hidden');
    await visit.heard('sight', { page: 'page-1', sight: 'silent' });
    await visit.sight('visible');
    await visit.heard('sight', { page: 'page-1', sight: 'in-sight' });
    await page.getByRole('button', { name: 'Notify me' }).click();
    await soon(() => visit.focused()).toBe('Stop notifying');
    await visit.sight('hidden');
    await visit.heard('sight', { page: 'page-1', sight: 'calling' });

    const [ask, other] = [...SCENES.accept.questions, ...SCENES.stranger.questions];
    server.change({ questions: [ask!, { ...other!, id: 'q2' }] });
    const call = { page: 'page-1', title: 'Ana\u202e asks', body: '3 files' };
    await visit.calls([
      { ...call, id: 'q1' },
      { ...call, id: 'q2' },
      { ...call, id: 'q3', page: 'page-9' },
    ]);
    const one = { title: 'Ana\ufffd asks', body: '3 files', isClosed: false };
    const shown = async (): Promise<unknown> => (await visit.notifications()).shown;
    await soon(shown).toEqual([
      { ...one, tag: 'q1' },
      { ...one, tag: 'q2' },
    ]);
    // Answered elsewhere.
    await visit.calls([{ ...call, id: 'q2' }]);
    await soon(shown).toEqual([
      { ...one, tag: 'q1', isClosed: true },
      { ...one, tag: 'q2' },
    ]);
    // Whoever follows one comes to its question, whichever was to be asked first.
    await page.getByText('Ana’s laptop wants to send you').waitFor();
    await visit.follow('q2');
    await page.getByText('bob-desktop wants to send you report.pdf').waitFor();
    await soon(shown).toEqual([
      { ...one, tag: 'q1', isClosed: true },
      { ...one, tag: 'q2', isClosed: true },
    ]);
    await visit.mayAnswer();
    await page.keyboard.press('Escape');
    await visit.heard('answer', { question: 'q2', answer: false });
    await page.getByText('Ana’s laptop wants to send you').waitFor();

    // The page that comes after it is asked no more.
    await page.reload();
    await visit.connected();
    await visit.sight('hidden');
    await visit.heard('sight', { page: 'page-2', sight: 'calling' });
  });

  test('leads to its own places by its own links, and keeps its token', async () => {
    await using visit = await Visit.begin(browser, { ...SCENES.devices, transfers: running(100) });
    const { page } = visit;
    await page.keyboard.press('Tab');
    expect(await visit.focused()).toBe('Skip to the devices');
    await page.keyboard.press('Enter');
    await soon(() => visit.focused()).toBe('Devices nearby');
    await page.getByRole('link', { name: '1 under way, ' }).click();
    await soon(() => visit.focused()).toBe('Transfers');
    await page.reload();
    await visit.connected();
  });

  test('shows what is under way before all that is over, and finds a device among many', async () => {
    await using visit = await Visit.begin(browser, CROWD);
    const { page } = visit;
    const [rows, cards] = [page.locator('.transfer'), page.locator('.device')];
    await page.getByRole('link', { name: '3 under way' }).waitFor();
    expect(await rows.count()).toBe(13);
    await page.getByRole('button', { name: 'Show 87 more' }).click();
    expect(await rows.count()).toBe(100);
    await page.getByRole('button', { name: 'Show fewer' }).click();
    expect(await rows.count()).toBe(13);

    expect(await cards.count()).toBe(40);
    await page.getByRole('checkbox', { name: 'Mark laptop-1', exact: true }).check();
    await page.getByLabel('Find a device').fill('TOP-23');
    expect(await page.locator('.device h3').allTextContents()).toEqual(['laptop-1', 'laptop-23']);
    await page.locator('#tray').getByRole('button', { name: 'Clear' }).click();
    await page.getByLabel('Find a device').fill('nobody');
    await page.getByText('No device here is called like that.').waitFor();
    expect(await violationsOf(page)).toEqual([]);
    await page.getByLabel('Find a device').fill('');
    expect(await cards.count()).toBe(40);
  });

  test('shows what has the focus above what is chosen, however narrow the window', async () => {
    const viewport = { width: 320, height: 700 };
    await using visit = await Visit.begin(browser, SCENES.devices, { viewport });
    const { page } = visit;
    await page.getByRole('checkbox', { name: 'Mark bob-desktop' }).press(' ');
    await page.locator('#tray').waitFor();
    const hidden = async (): Promise<string | undefined> =>
      (await page.evaluate<boolean>(`(() => {
        const { activeElement: focused } = document;
        const { left, right, top, bottom } = focused.getBoundingClientRect();
        const seen = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
        return !focused.contains(seen);
      })()`))
        ? await visit.focused()
        : undefined;
    for (let n = 0; n < 20; n++) {
      await page.keyboard.press('Tab');
      expect(await hidden()).toBeUndefined();
    }
  });

  test('keeps the answers in sight, however long it is what others wrote', async () => {
    const viewport = { width: 320, height: 450 };
    await using visit = await Visit.begin(browser, hostile(LONG), { viewport });
    const { page } = visit;
    await visit.mayAnswer();
    for (const top of [0, 10_000]) {
      await page.locator('dialog').evaluate((dialog, to) => dialog.scrollTo(0, to), top);
      for (const name of ['Accept', 'Decline']) {
        const box = await page.getByRole('button', { name, exact: true }).boundingBox();
        expect((box?.y ?? 999) + (box?.height ?? 0)).toBeLessThanOrEqual(450 - 16);
      }
    }
  });

  test('has the answers beside what is asked, not before it', async () => {
    const viewport = { width: 640, height: 450 };
    await using visit = await Visit.begin(browser, SCENES.code, { viewport });
    const { page } = visit;
    await visit.mayAnswer();
    const field = await page.getByLabel('Code', { exact: true }).boundingBox();
    const answer = await page.getByRole('button', { name: 'Continue' }).boundingBox();
    expect((field?.y ?? 999) + (field?.height ?? 0)).toBeLessThan(answer?.y ?? 0);
  });

  test('shows how far it is where the system has colors of its own', async () => {
    await using visit = await Visit.begin(browser, {}, { forcedColors: 'active' });
    const { page, server } = visit;
    const bar = async (megabytes: number): Promise<string> => {
      server.show({ transfers: running(megabytes) });
      await page.getByText(`${megabytes}.0 MB of`).waitFor();
      return (await page.locator('.transfer progress').screenshot()).toString('base64');
    };
    expect(await bar(100)).not.toBe(await bar(900));
  });

  test('says what the server refuses', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page, server } = visit;
    const body = JSON.stringify({ code: 'not-found', message: 'It is gone.', hint: 'Look again.' });
    server.answers.set('get', { status: 404, type: 'application/json', body });
    visit.expectedErrors.push(/404/);
    await page.getByRole('button', { name: 'Get what Studio Mac shares' }).click();
    await page.locator('#troubles').getByText('It is gone. Look again.').waitFor();
    await page.getByRole('button', { name: 'Dismiss: It is gone.' }).click();
    await page.locator('#troubles').waitFor({ state: 'hidden' });
  });

  test('finds its way back to the server, and says when there is none', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page, server } = visit;
    visit.expectedErrors.push(/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE/);
    await page.getByLabel('Not in the list?').fill('half an addr');
    server.cut();
    await page.getByText('Connecting again…').waitFor();
    server.mend();
    await visit.connected();
    await visit.drop('li.device[data-key=bob]', { 'a.txt': 'a' });
    await visit.heard('send', { to: ['bob'], loan: 'loan-1' });
    // It is the same page as before, as far as the server is concerned.
    expect(server.said.find(({ name }) => name === 'lend')?.body).toMatchObject({ page: 'page-1' });

    await server.stop();
    await page.getByRole('alert').getByText('drop has ended').waitFor();
    await page.getByRole('alert').getByText('Start it again: drop ui').waitFor();
    await server.start();
    await page.getByRole('alert').waitFor({ state: 'hidden' });
    expect(await page.getByLabel('Not in the list?').inputValue()).toBe('half an addr');
  });

  test('warns who leaves while files of this page are on their way, and nobody else', async () => {
    await using visit = await Visit.begin(browser, { ...SCENES.devices, transfers: running(1) });
    const { page, server } = visit;
    // A browser asks only for pages that were used.
    await page.getByLabel('Not in the list?').click();
    const warnings: string[] = [];
    page.on('dialog', (dialog) => {
      warnings.push(dialog.type());
      void dialog.dismiss();
    });
    server.change({ transfers: running(2).map((one) => ({ ...one, page: 'page-1' })) });
    await page.getByText('2.0 MB of').waitFor();
    await page.close({ runBeforeUnload: true });
    await soon(() => warnings).toEqual(['beforeunload']);
    server.change({ transfers: running(3).map((one) => ({ ...one, page: 'another' })) });
    await page.getByText('3.0 MB of').waitFor();
    const closed = page.waitForEvent('close');
    await page.close({ runBeforeUnload: true });
    await closed;
    expect(warnings).toEqual(['beforeunload']);
  });

  test('changes what is known only as it is told, and forgets nobody by accident', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page, server } = visit;
    const id = SCENES.devices.known?.[0]?.id;
    await page.getByRole('heading', { name: 'Known devices' }).click();
    await page.getByLabel('What Ana’s laptop may do').selectOption('Accept without asking');
    await visit.heard('trust', { id, trust: 'auto' });
    await page.getByRole('button', { name: 'Rename Ana’s laptop' }).click();
    await page.keyboard.type('Ana');
    await page.keyboard.press('Enter');
    await visit.heard('rename', { id, name: 'Ana' });
    expect(await violationsOf(page)).toEqual([]);
    await page.getByRole('button', { name: 'Forget Ana’s laptop' }).click();
    expect(await violationsOf(page)).toEqual([]);
    await page.keyboard.press('Enter');
    expect(server.said.filter(({ name }) => name === 'forget')).toEqual([]);
    await page.getByRole('button', { name: 'Forget Ana’s laptop' }).click();
    await page.getByRole('button', { name: 'Forget', exact: true }).press('Enter');
    await visit.heard('forget', { id });
  });

  test('tells what doctor has found', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page, server } = visit;
    const checks = [
      { name: 'network', ok: true, level: 'ok', message: 'There is a network.' },
      {
        name: 'firewall',
        ok: false,
        level: 'failed',
        message: 'A firewall is shut.',
        fix: 'sudo ufw allow 4040',
      },
    ];
    server.answers.set('doctor', { status: 200, body: JSON.stringify({ checks }) });
    await page.getByRole('heading', { name: 'Is all well here?' }).click();
    await page.getByRole('button', { name: 'Check now' }).click();
    await page.getByText('1 thing wrong.').waitFor();
    await page.getByText('Wrong: A firewall is shut.').waitFor();
    await page.getByText('sudo ufw allow 4040').waitFor();
    expect(await violationsOf(page)).toEqual([]);
  });

  test('asks the next question once, however late the answer to the last one comes back', async () => {
    const [first, second] = [SCENES.accept.questions[0], SCENES.stranger.questions[0]];
    await using visit = await Visit.begin(browser, { questions: [first, second] });
    const { page, server } = visit;
    await visit.mayAnswer();
    const answered = server.hold('answer');
    await page.keyboard.press('Escape');
    await visit.heard('answer', { question: first.id, answer: false });
    // The picture comes before the answer does.
    server.change({ questions: [second] });
    await page.getByText('bob-desktop wants to send you report.pdf').waitFor();
    const response = page.waitForResponse('**/api/answer');
    answered();
    await (await response).finished();
    await visit.mayAnswer();
    await page.keyboard.press('Escape');
    await visit.heard('answer', { question: second.id, answer: false });
    await soon(() => page.locator('dialog').count()).toBe(0);
    expect(await page.locator('#news').textContent()).not.toContain('The question is gone.');
  });

  test('says that a question is gone where it can be heard', async () => {
    // Nothing is read aloud that is said behind a dialog.
    const noting = `
      const { close } = HTMLDialogElement.prototype;
      HTMLDialogElement.prototype.close = function () {
        globalThis.saidBefore = document.getElementById('news').textContent;
        close.call(this);
      };
    `;
    await using visit = await Visit.begin(browser, SCENES.accept, {}, noting);
    const { page, server } = visit;
    await page.getByRole('dialog').waitFor();
    server.change({ questions: [] });
    await page.locator('#news').getByText('The question is gone.').waitFor();
    expect(await page.evaluate('saidBefore')).toBe('');
  });

  test('takes a code that is put in at once', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page, server } = visit;
    server.change({ questions: SCENES.code.questions });
    await page.getByLabel('Code', { exact: true }).waitFor();
    await page.keyboard.insertText('123456');
    await page.keyboard.press('Enter');
    await visit.heard('answer', { question: 'q3', answer: '123456' });
  });

  test('says in a dialog what went wrong with it, and keeps what was typed', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page, server } = visit;
    visit.expectedErrors.push(/409/);
    const gone = { message: 'That device is no longer there.' };
    const refusal = { status: 409, type: 'application/json', body: JSON.stringify(gone) };
    const dialog = page.getByRole('dialog');
    await visit.tabTo('Send a message to bob-desktop');
    await page.keyboard.press('Enter');
    await page.keyboard.insertText('x'.repeat(65 * 1024));
    await page.keyboard.press('Control+Enter');
    await dialog.getByRole('alert').getByText('A message has at most 64 KiB.').waitFor();
    await page.getByLabel('Message', { exact: true }).fill('Lunch?');
    server.answers.set('send', refusal);
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await dialog.getByRole('alert').getByText(gone.message).waitFor();
    expect(await visit.focused()).toBe('Send message');
    expect(await violationsOf(page)).toEqual([]);
    await page.keyboard.press('Enter');
    await dialog.waitFor({ state: 'detached' });
    expect(await page.locator('#troubles').isVisible()).toBe(false);

    server.answers.set('answer', refusal);
    server.change({ questions: SCENES.accept.questions });
    await visit.mayAnswer();
    await page.keyboard.press('Escape');
    await dialog.getByRole('alert').getByText(gone.message).waitFor();
  });

  test('has the focus somewhere when what had it is gone', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page, server } = visit;
    await page.getByRole('checkbox', { name: 'Mark bob-desktop' }).check();
    await page.locator('#tray').getByRole('button', { name: 'Send a message' }).press('Enter');
    await page.keyboard.type('Lunch?');
    await page.keyboard.press('Control+Enter');
    await page.locator('#tray').waitFor({ state: 'hidden' });
    await soon(() => visit.focused()).toBe('Devices nearby');

    await page.getByRole('checkbox', { name: 'Mark bob-desktop' }).check();
    await visit.drop('main', { 'a.txt': 'a' });
    await page.locator('#tray').getByRole('button', { name: 'Send', exact: true }).press('Enter');
    await page.locator('#tray').waitFor({ state: 'hidden' });
    await soon(() => visit.focused()).toBe('Devices nearby');

    await page.getByRole('heading', { name: 'Arrived before' }).click();
    await page.getByRole('button', { name: 'Clear the list' }).press('Enter');
    await page.getByRole('button', { name: 'Clear', exact: true }).press('Enter');
    await visit.heard('clear-history', {});
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    server.change({ history: [] });
    await page.getByText('Nothing yet.').waitFor();
    await soon(() => visit.focused()).toContain('Arrived before');

    await page.getByRole('heading', { name: 'Known devices' }).click();
    await page.getByRole('button', { name: 'Forget Studio Mac' }).press('Enter');
    server.change({ known: KNOWN.filter(({ name }) => name !== 'Studio Mac') });
    await page.getByRole('button', { name: 'Forget Studio Mac' }).waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Forget', exact: true }).press('Enter');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await soon(() => visit.focused()).toBe('Devices nearby');
  });

  test('leaves the focus to what got it after a dialog was closed, before that was told', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page } = visit;
    await page.getByRole('heading', { name: 'Arrived before' }).click();
    await page.getByRole('button', { name: 'Clear the list' }).press('Enter');
    await page.evaluate(`
      document.querySelector('dialog').close();
      document.querySelector('#history .actions').hidden = true;
      document.getElementById('history-summary').focus();
    `);
    await soon(() => page.locator('dialog').count()).toBe(0);
    expect(await visit.focused()).toContain('Arrived before');
  });

  test('says what its button does again, however often something is copied', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page } = visit;
    await page.clock.install();
    const copy = page.getByRole('button', { name: 'Copy the code' });
    for (let time = 0; time < 2; time++) {
      await copy.click();
      await soon(() => copy.textContent()).not.toBe('Copy');
    }
    await page.clock.runFor(5_000);
    expect(await copy.textContent()).toBe('Copy');
  });

  test('keeps what could not be sent until it is said for whom it is', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page, server } = visit;
    visit.expectedErrors.push(/409/);
    const body = JSON.stringify({ message: 'That device is no longer there.' });
    server.answers.set('send', { status: 409, type: 'application/json', body });
    await visit.drop('li.device[data-key=bob]', { 'a.txt': 'first file' });
    await page.locator('#troubles').getByText('That device is no longer there.').waitFor();
    await page.getByText('a.txt (1 file, 10 B) – choose a device').waitFor();
    await page
      .getByRole('button', { name: 'Send here: a.txt (1 file, 10 B), to Ana’s' })
      .first()
      .press('Enter');
    await visit.heard('send', { to: ['ana'], loan: 'loan-2' });
  });

  test('keeps the mark of a device that is gone for a moment, and sends nothing there meanwhile', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page, server } = visit;
    const tray = page.locator('#tray');
    await page.getByRole('checkbox', { name: 'Mark Ana’s laptop' }).first().check();
    await page.getByRole('checkbox', { name: 'Mark bob-desktop' }).check();
    await tray.getByText('To Ana’s laptop and bob-desktop').waitFor();
    server.change({ nearby: NEARBY.filter(({ key }) => key !== 'bob') });
    await tray.getByText('To Ana’s laptop', { exact: true }).waitFor();
    server.change({ nearby: NEARBY });
    await tray.getByText('To Ana’s laptop and bob-desktop').waitFor();
    server.change({ nearby: NEARBY.filter(({ key }) => key !== 'bob') });
    await tray.getByText('To Ana’s laptop', { exact: true }).waitFor();
    await visit.drop('li.device[data-key=ana]', { 'a.txt': 'first file' });
    await visit.heard('send', { to: ['ana'], loan: 'loan-1' });
  });

  test('calls what has the name of a device that is known by more than that name', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page } = visit;
    const other = 'Ana’s laptop (not the one you know)';
    const called = { name: `Send files to ${other}`, exact: true };
    expect(await page.getByRole('button', called).count()).toBe(1);
    await page.getByRole('checkbox', { name: `Mark ${other}` }).check();
    await page.locator('#tray').getByText(`To ${other}`, { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Send a message', exact: true }).press('Enter');
    await page.getByRole('dialog', { name: `Message to ${other}` }).waitFor();
  });

  test('takes files that are pasted, but not what is pasted into a field', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page } = visit;
    const paste = async (selector: string, name: string): Promise<void> => {
      await page.evaluate(`{
        const clipboardData = new DataTransfer();
        clipboardData.items.add(new File(['first'], ${JSON.stringify(name)}));
        const pasted = new ClipboardEvent('paste', { clipboardData, bubbles: true });
        document.querySelector(${JSON.stringify(selector)}).dispatchEvent(pasted);
      }`);
    };
    await paste('#address', 'picture-of-the-text.png');
    await paste('body', 'image.png');
    await page.getByText('image.png (1 file, 5 B) – choose a device').waitFor();
    await page.getByRole('button', { name: 'Send here: image.png' }).first().press('Enter');
    await visit.heard('send', { to: ['ana'], loan: 'loan-1' });
  });

  test('says that it looks through what was dropped where that takes a while', async () => {
    const slow = `
      DataTransferItem.prototype.webkitGetAsEntry = function () {
        const chosen = this.getAsFile();
        const file = (done) => { globalThis.release = () => done(chosen); };
        return { name: chosen.name, file };
      };
    `;
    await using visit = await Visit.begin(browser, SCENES.devices, {}, slow);
    const { page } = visit;
    const tray = page.locator('#tray');
    await visit.drop('li.device[data-key=bob]', { 'a.txt': 'a' });
    await tray.getByText('Looking through what was dropped…').waitFor();
    expect(await tray.getByRole('button').count()).toBe(0);
    await page.evaluate('release()');
    await visit.heard('send', { to: ['bob'], loan: 'loan-1' });
    await tray.waitFor({ state: 'hidden' });
  });

  test('takes no click that was meant for what stood there a moment before', async () => {
    const alike = ['Ana', 'Bob'].map((name) => ({ ...NEARBY[0]!, key: name, name }));
    await using visit = await Visit.begin(browser, { nearby: alike });
    const { page, server } = visit;
    await visit.stopTime();
    const message = (name: string) =>
      page.getByRole('button', { name: `Send a message to ${name}` });
    const box = await message('Ana').boundingBox();
    const at = [(box?.x ?? 0) + 10, (box?.y ?? 0) + 10] as const;
    /** To whom a message can be written after that. */
    const opened = async (press: () => Promise<void>): Promise<string | null> => {
      await press();
      const [title = null] = await page.locator('#dialog-title').allTextContents();
      await page.keyboard.press('Escape');
      return title;
    };
    const click = (): Promise<void> => page.mouse.click(...at);
    expect(await opened(click)).toBe('Message to Ana');
    server.change({ nearby: alike.slice(1) });
    await message('Ana').waitFor({ state: 'detached' });
    expect(await message('Bob').boundingBox()).toEqual(box);
    expect(await opened(click)).toBeNull();
    await page.clock.runFor(390);
    expect(await opened(click)).toBeNull();
    // Keys go where the focus is, whatever moves.
    expect(await opened(() => message('Bob').press('Enter'))).toBe('Message to Bob');
    await page.clock.runFor(400);
    expect(await opened(click)).toBe('Message to Bob');
    // What stays where it is can be pressed, whatever changes around it.
    server.change({ transfers: running(1) });
    await page.getByText('1.0 MB of').waitFor();
    expect(await opened(click)).toBe('Message to Bob');
  });

  test('takes a click for what somebody has just scrolled there', async () => {
    const alike = ['Ana', 'Bob', 'Carl'].map((name) => ({ ...NEARBY[0]!, key: name, name }));
    const viewport = { width: 320, height: 450 };
    await using visit = await Visit.begin(browser, { nearby: alike.slice(0, 2) }, { viewport });
    const { page, server } = visit;
    await visit.stopTime();
    server.change({ nearby: alike });
    await page.getByRole('heading', { name: 'Carl' }).waitFor();
    // Before the browser tells of it.
    await page.evaluate(`{
      const [ana, bob] = ['Ana', 'Bob'].map((name) =>
        document.querySelector('[aria-label="Send a message to ' + name + '"]'));
      const { x: clientX, y: clientY, top } = ana.getBoundingClientRect();
      scrollBy(0, bob.getBoundingClientRect().top - top);
      const at = { clientX, clientY, bubbles: true, cancelable: true, detail: 1 };
      bob.dispatchEvent(new PointerEvent('pointerdown', at));
      bob.dispatchEvent(new MouseEvent('click', at));
    }`);
    expect(await page.locator('#dialog-title').allTextContents()).toEqual(['Message to Bob']);
  });

  test('takes no click for what lay behind a question that is gone', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page, server } = visit;
    await visit.stopTime();
    const message = page.getByText('Message', { exact: true }).first();
    server.change({ questions: SCENES.stranger.questions });
    const accept = page.getByRole('button', { name: 'Accept', exact: true });
    await accept.waitFor();
    const { x = 0, y = 0 } = (await accept.boundingBox()) ?? {};
    const place = { position: 'fixed', left: `${x}px`, top: `${y}px` };
    await message.evaluate((button, where) => void Object.assign(button.style, where), place);
    server.change({ questions: [] });
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.mouse.click(x + 10, y + 10);
    expect(await page.getByRole('dialog').count()).toBe(0);
    await page.clock.runFor(400);
    await page.mouse.click(x + 10, y + 10);
    expect(await page.getByRole('dialog', { name: 'Message to Ana’s laptop' }).count()).toBe(1);
  });

  test('takes two clicks at once for one', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page, server } = visit;
    await page.getByRole('button', { name: 'Get what Studio Mac shares' }).dblclick();
    await page.getByRole('checkbox', { name: 'Mark bob-desktop' }).dblclick();
    await page.locator('#tray').getByText('To bob-desktop').waitFor();
    await page.getByRole('heading', { name: 'Known devices' }).dblclick();
    await page.getByRole('button', { name: 'Rename Ana’s laptop' }).waitFor();
    await soon(() => server.said.filter(({ name }) => name === 'get')).toHaveLength(1);
  });

  test('moves nothing while somebody aims at it', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page, server } = visit;
    const bob = 'li.device[data-key=bob]';
    const dataTransfer = await visit.dataTransfer({ 'a.txt': 'a' });
    await page.clock.install();
    await page.clock.pauseAt(Date.now() + 1_000);
    await page.dispatchEvent(bob, 'dragover', { dataTransfer });
    server.change({ nearby: NEARBY.slice(1) });
    await visit.calls([]);
    expect(await page.locator('li.device').count()).toBe(NEARBY.length);
    await page.dispatchEvent(bob, 'drop', { dataTransfer });
    await visit.heard('send', { to: ['bob'], loan: 'loan-1' });
    await soon(() => page.locator('li.device[data-key=ana]').count()).toBe(0);
  });

  test('counts once what is ready, whatever changes meanwhile', async () => {
    const counting = `
      globalThis.counted = 0;
      const { get } = Object.getOwnPropertyDescriptor(Blob.prototype, 'size');
      Object.defineProperty(Blob.prototype, 'size', { get() { globalThis.counted += 1; return get.call(this); } });
    `;
    await using visit = await Visit.begin(browser, SCENES.devices, {}, counting);
    const { page, server } = visit;
    await visit.drop('main', { 'a.txt': 'first', 'b.txt': 'second' });
    await page.getByText('a.txt and 1 more (2 files, 11 B) – choose a device').waitFor();
    server.change({ transfers: running(5) });
    await page.getByText('5.0 MB of').waitFor();
    expect(await page.evaluate('counted')).toBe(2);
  });

  test('is as large as somebody has told the browser that letters are to be', async () => {
    const args = ['--no-sandbox', '--blink-settings=defaultFontSize=24'];
    const large = await chromium.launch({ executablePath: CHROMIUM, args });
    try {
      const viewport = { width: 360, height: 700 };
      await using visit = await Visit.begin(large, SCENES.transfers, { viewport });
      const { page } = visit;
      expect(await page.evaluate('getComputedStyle(document.body).fontSize')).toBe('24px');
      const [content, window] = await widthsOf(page);
      expect(content).toBeLessThanOrEqual(window);
      // What is typed is seen above the answers, also if they would hide no more than a part of it.
      await page.setViewportSize({ width: 360, height: 740 });
      await visit.shows(SCENES.code);
      const field = await page.getByLabel('Code', { exact: true }).boundingBox();
      const answer = await page.getByRole('button', { name: 'Cancel' }).boundingBox();
      expect((field?.y ?? 999) + (field?.height ?? 0)).toBeLessThanOrEqual(answer?.y ?? 0);
    } finally {
      await large.close();
    }
  });

  test('says that there are too many, and goes on when there is room', async () => {
    await using visit = await Visit.begin(browser, SCENES.devices);
    const { page, server } = visit;
    visit.expectedErrors.push(/409|ERR_INCOMPLETE_CHUNKED/);
    server.answers.set('events', { status: 409, type: 'application/json', body: '{}' });
    server.cut();
    server.mend();
    await page.getByRole('alert').getByText('Too many windows are open').waitFor();
    server.answers.delete('events');
    await visit.connected();
    await page.getByRole('alert').waitFor({ state: 'hidden' });
  });

  test('is there in a browser that is told to keep nothing', async () => {
    const refuse = `
      const get = () => { throw new DOMException('It is told to keep nothing.', 'SecurityError'); };
      for (const name of ['sessionStorage', 'localStorage'])
        Object.defineProperty(globalThis, name, { get });
    `;
    await using visit = await Visit.begin(browser, SCENES.devices, {}, refuse);
    const { page } = visit;
    await page.getByRole('heading', { name: 'bob-desktop' }).waitFor();
    expect(await page.getByRole('button', { name: 'Notify me' }).count()).toBe(0);
    await page.reload();
    await visit.connected();
  });

  if (SCREENSHOTS !== undefined)
    test.each(Object.entries(LOOKS))(
      'is drawn: %s',
      async (name, look) => {
        mkdirSync(SCREENSHOTS, { recursive: true });
        await using visit = await Visit.begin(browser, {}, look);
        const { page, server } = visit;
        for (const [scene, view] of [
          ...scenes,
          ['crowd', CROWD],
          ['long', hostile(LONG)],
        ] as const) {
          server.show(view);
          await page.waitForTimeout(900);
          const isAsked = view.questions?.some(({ kind }) => kind !== 'unlock') === true;
          const path = join(SCREENSHOTS, `${scene}-${name}.png`);
          await page.screenshot({ path, fullPage: !isAsked });
        }
        const draw = (moment: string): Promise<Buffer> =>
          page.screenshot({ path: join(SCREENSHOTS, `${moment}-${name}.png`) });
        server.show(SCENES.devices);
        for (const mark of ['Ana’s laptop', 'bob-desktop'])
          await page
            .getByRole('checkbox', { name: `Mark ${mark}` })
            .first()
            .check();
        await draw('marked');
        await page.locator('#tray').getByRole('button', { name: 'Send a message' }).click();
        await page.keyboard.type('Lunch at one?');
        await draw('message');
        await page.keyboard.press('Escape');
        await page.locator('#tray').getByRole('button', { name: 'Clear' }).click();
        await visit.drop('main', { 'report.pdf': 'x'.repeat(210_000), 'plan.pdf': '' });
        await draw('ready');
        await page.locator('#tray').getByRole('button', { name: 'Clear' }).click();
        for (const folded of await page.locator('summary').all()) await folded.click();
        await page.getByRole('heading', { name: 'Known devices' }).scrollIntoViewIfNeeded();
        await draw('folded');
        await server.stop();
        visit.expectedErrors.push(/./);
        await page.getByRole('alert').waitFor();
        await draw('gone');
      },
      90_000,
    );
});

/**
 * Writes down what becomes of notifications, which are the browser's own; and what the page is taken for, as
 * no window of a browser without a screen is ever out of sight.
 */
const NOTIFICATIONS = `
  globalThis.asked = 0;
  globalThis.shown = [];
  const request = Notification.requestPermission.bind(Notification);
  globalThis.Notification = class extends Notification {
    static requestPermission() {
      globalThis.asked += 1;
      return request();
    }
    constructor(title, options) {
      super(title, options);
      globalThis.shown.push(this);
    }
    close() {
      this.isClosed = true;
      super.close();
    }
  };
  let sight = 'visible';
  Object.defineProperty(document, 'visibilityState', { get: () => sight });
  globalThis.become = (how) => {
    sight = how;
    document.dispatchEvent(new Event('visibilitychange'));
  };
`;

/** A page that somebody has open, and its server. Whatever went wrong in it is told at the end. */
class Visit implements AsyncDisposable {
  readonly page: Page;
  readonly server: PageServer;
  readonly expectedErrors: RegExp[] = [];
  readonly #wrong: string[] = [];
  #told = 0;

  private constructor(page: Page, server: PageServer) {
    this.page = page;
    this.server = server;
    page.on('console', (said) => {
      if (said.type() === 'error' || said.type() === 'warning') this.#wrong.push(said.text());
    });
    page.on('pageerror', (error) => this.#wrong.push(String(error)));
    page.on('request', (request) => {
      if (!request.url().startsWith(server.address)) this.#wrong.push(`asked ${request.url()}`);
    });
  }

  static async begin(
    browser: Browser,
    view: Partial<View>,
    options: BrowserContextOptions = {},
    script = '',
  ): Promise<Visit> {
    const server = await PageServer.open(view);
    const visit = new Visit(await (await browser.newContext(options)).newPage(), server);
    await visit.page.addInitScript(script);
    await visit.page.goto(server.link);
    await visit.connected();
    return visit;
  }

  async connected(): Promise<void> {
    await this.page.locator('#status[data-link=open]').waitFor();
  }

  /** Puts another window before it, or takes that away. */
  async sight(how: 'hidden' | 'visible'): Promise<void> {
    await this.page.evaluate(`become('${how}')`);
  }

  /** Has the page call for these, and waits until it has heard of them. */
  async calls(calls: View['calls']): Promise<void> {
    this.server.change({ calls });
    await this.#hasHeard();
  }

  /** Shows another view, and waits until it stands there. */
  async shows(view: Partial<View>): Promise<void> {
    this.server.show(view);
    await this.#hasHeard();
  }

  /** Waits until the page has heard all that was told so far. */
  async #hasHeard(): Promise<void> {
    const name = `heard of ${this.#told++}`;
    this.server.change({ device: { ...this.server.view.device, name } });
    await this.page.getByText(name, { exact: true }).waitFor();
  }

  /** Lets no time go by in the page, but what `page.clock` is told to. */
  async stopTime(): Promise<void> {
    await this.page.clock.install();
    await this.page.clock.pauseAt(Date.now() + 60_000);
  }

  async notifications(): Promise<{ readonly asked: number; readonly shown: unknown }> {
    return await this.page.evaluate(
      '({ asked, shown: shown.map(({ title, body, tag, isClosed = false }) => ({ title, body, tag, isClosed })) })',
    );
  }

  /** Clicks on a notification. */
  async follow(tag: string): Promise<void> {
    await this.page.evaluate(
      `shown.find((one) => one.tag === '${tag}').dispatchEvent(new Event('click'))`,
    );
  }

  /** A question takes an answer when it has stood there for a moment. */
  async mayAnswer(): Promise<void> {
    await this.page.locator('dialog.question .main:enabled').waitFor();
  }

  /** What a screen reader would call the element that has the focus. */
  async focused(): Promise<string> {
    return await this.page.evaluate<string>(
      '(({ ariaLabel, labels, textContent }) => ariaLabel ?? labels?.[0]?.textContent ?? textContent)(document.activeElement)',
    );
  }

  async tabTo(name: string): Promise<void> {
    for (let n = 0; n < 60; n++) {
      await this.page.keyboard.press('Tab');
      if ((await this.focused()) === name) return;
    }
    throw new Error(`the Tab key does not lead to "${name}"`);
  }

  /** Drops files, given by their contents, as a hand does. */
  async drop(selector: string, files: Readonly<Record<string, string>>): Promise<void> {
    const dataTransfer = await this.dataTransfer(files);
    await this.page.dispatchEvent(selector, 'dragover', { dataTransfer });
    await this.page.dispatchEvent(selector, 'drop', { dataTransfer });
    await dataTransfer.dispose();
  }

  /** What a hand holds that drags files. */
  async dataTransfer(files: Readonly<Record<string, string>>): Promise<JSHandle> {
    return await this.page.evaluateHandle(
      `(() => {
        const dropped = new DataTransfer();
        for (const [name, content] of Object.entries(${JSON.stringify(files)}))
          dropped.items.add(new File([content], name));
        return dropped;
      })()`,
    );
  }

  /** Tells how many files the page holds on to, whatever was dropped on it. */
  async heldFiles(): Promise<() => Promise<number>> {
    const session = await this.page.context().newCDPSession(this.page);
    const { result } = await session.send('Runtime.evaluate', { expression: 'File.prototype' });
    return async () => {
      await session.send('HeapProfiler.collectGarbage');
      const { objects } = await session.send('Runtime.queryObjects', {
        prototypeObjectId: result.objectId ?? '',
        objectGroup: 'files',
      });
      const count = await session.send('Runtime.callFunctionOn', {
        functionDeclaration: 'function () { return this.length; }',
        objectId: objects.objectId ?? '',
      });
      // Else looking at them would hold them.
      await session.send('Runtime.releaseObjectGroup', { objectGroup: 'files' });
      return Number(count.result.value);
    };
  }

  async heard(name: string, body: object): Promise<void> {
    await soon(() => this.server.said).toContainEqual({ name, body });
  }

  answers(): unknown[] {
    return this.server.said.filter(({ name }) => name === 'answer');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.context().close();
    await this.server[Symbol.asyncDispose]();
    const isExpected = (text: string): boolean => this.expectedErrors.some((one) => one.test(text));
    expect(this.#wrong.filter((text) => !isExpected(text))).toEqual([]);
  }
}

/** Waits longer than a busy computer takes for it. */
function soon<Value>(look: () => Value | Promise<Value>) {
  return expect.poll(look, { interval: 20 });
}

async function violationsOf(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  return await page.evaluate<string[]>(
    `axe.run().then(({ violations }) =>
      violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => id + ': ' + html + failureSummary)))`,
  );
}

/** How wide the content is, and the window. */
async function widthsOf(page: Page): Promise<[number, number]> {
  return await page.evaluate<[number, number]>(
    `[Math.max(document.documentElement.scrollWidth, ...[...document.querySelectorAll('dialog')].map(({ scrollWidth, clientWidth }) => innerWidth + scrollWidth - clientWidth)), innerWidth]`,
  );
}

/** A transfer that has come so many megabytes far. */
function running(megabytes: number): View['transfers'] {
  return [{ ...SENDING, what: ['holiday.mp4'], bytes: megabytes * 1_000_000 }];
}

/** A full room, and a busy day. */
const CROWD: Partial<View> = {
  nearby: Array.from({ length: 40 }, (_, n) => ({
    ...{ key: `k${n}`, name: `laptop-${n + 1}`, id: `${n}`.padStart(8, 'a') },
    ...{ standing: n % 3 === 0 ? 'paired' : 'new', addresses: [`10.0.0.${n}:23767`] },
    shares: n % 7 === 3,
  })),
  transfers: Array.from({ length: 100 }, (_, n) => ({
    ...SENDING,
    id: `t${n}`,
    what: [`photo-${n}.jpg`],
    ...(n < 3 ? {} : { state: 'done', can: ['dismiss'] as const, rate: 0, left: null, file: '' }),
  })),
};

const LONG = 'Die Präsentation der Abteilung für Öffentlichkeitsarbeit '.repeat(4);

/** Everything that can come from others, with the same text in it. */
function hostile(text: string): Partial<View> {
  const device = { name: text, id: '3f9a22c1' };
  const said = { message: text, hint: text };
  const { questions } = SCENES.accept;
  return {
    nearby: SCENES.devices.nearby?.map((one) => ({ ...one, name: text })) ?? [],
    transfers: [
      {
        ...SENDING,
        device,
        what: [text, text],
        file: text,
        failure: { code: 'disk', ...said, path: text },
      },
    ],
    messages: [{ id: 'm', from: device, text, at: 0 }],
    known: [{ name: text, id: '3f9a22c1', trust: 'ask' }],
    history: [
      {
        at: '2026-11-28T17:20:00.000Z',
        ok: true,
        from: text,
        files: 1,
        bytes: 1,
        roots: [text],
        into: text,
      },
    ],
    troubles: [{ id: 'x', ...said }],
    questions: questions.map((one) => ({
      ...one,
      device,
      offer: { ...one.offer, roots: [text, text] },
      risks: [{ risk: 'runs', entries: 1, example: text }],
    })),
  };
}
