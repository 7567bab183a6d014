import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Drop, drop, dropOnScreen } from '../support/bin.ts';
import { accessibilityErrors } from '../support/browser.ts';
import { GuestClient, picked } from '../support/guest-client.ts';
import { Home } from '../support/home.ts';
import { CHROMIUM, describeWith } from '../support/skip.ts';

const MIB = 1024 * 1024;
const ENTER = '\r';
const CTRL_C = '\x03';

/** Ana's receiver, whom nobody can ask anything, and the link that it tells. */
async function unattended(...args: string[]): Promise<{ receiving: Drop; web: string }> {
  const into = ['--into', 'Downloads'];
  const receiving = drop(['receive', '--web', '--json', '--name', 'Ana', ...into, ...args]);
  const { web = '' } = await receiving.event('ready');
  return { receiving, web };
}

describe('drop receive --web', () => {
  test('takes what browsers bring where nobody is asked, and tells of it as of all that comes', async () => {
    const { receiving, web } = await unattended('--once');
    await using _ = receiving;
    expect(web).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/[\w-]{22}\/$/);
    await using guest = await GuestClient.open(web);
    const bytes = randomBytes(3 * MIB);
    await guest.bring([picked('photos/a.jpg', bytes), picked('photos/b.txt', 'b')]);
    expect(await guest.ended()).toMatchObject({ state: 'done', files: 2 });
    expect((await receiving.outcome()).code).toBe(0);
    expect(await receiving.event('request')).toMatchObject({
      known: false,
      from: { name: 'Browser at 127.0.0.1' },
    });
    expect(await receiving.event('summary')).toMatchObject({ ok: true, files: 2 });
    const landed = join(receiving.home.downloads, 'photos', 'a.jpg');
    expect((await readFile(landed)).equals(bytes)).toBe(true);
    await guest.until('the end', ({ events }) => events.at(-1)?.event === 'bye');
    expect(guest.events.at(-1)).toEqual({ event: 'bye', reason: 'ended' });
  });

  test('puts it where the other options say', async () => {
    const { receiving, web } = await unattended('--by-device', '--max-size', '1MB');
    await using _ = receiving;
    await using guest = await GuestClient.open(web);
    await guest.bring([picked('large', randomBytes(2_000_000))]);
    expect(await guest.ended()).toMatchObject({ state: 'declined' });
    await guest.bring([picked('a', 'a')]);
    await guest.until('the second', ({ upload }) => upload?.state === 'done');
    const [folder = ''] = await readdir(receiving.home.downloads);
    expect(folder).toBe('unproven devices');
    expect(await readdir(join(receiving.home.downloads, folder))).toEqual(['a']);
    expect((await receiving.stop()).signal).toBe('SIGINT');
  });

  test.each([
    [['--json'], /needs a folder/],
    [['--json', '--yes'], /needs a folder/],
    [['--into', '.'], /no terminal to show the link/],
    [['--stdout'], /may bring many/],
  ])('cannot be used with %j alone', async (args, reason) => {
    await using receiving = drop(['receive', '--web', ...args]);
    const { code, stderr, stdout } = await receiving.outcome();
    expect(code).toBe(2);
    expect(stderr + stdout).toMatch(reason);
  });

  test('shows link and picture, says what that is, and asks about each upload', async () => {
    await using ana = new Home();
    await using receiving = dropOnScreen(['receive', '--web', '--name', 'Ana'], {
      home: ana,
      rows: 60,
      cols: 120,
    });
    const [, web = ''] = await receiving.waitFor(/In a browser: (http:\S+\/)\s/);
    await receiving.waitFor(/Whoever has this link can send files here/);
    await receiving.waitFor(/not encrypted/);
    await receiving.waitFor(/[▀▄█]{5}/);
    await using guest = await GuestClient.open(web);
    await guest.bring([picked('a.txt', 'a')]);
    await receiving.waitFor(
      /"Browser at 127\.0\.0\.1", who could be anyone,\s+wants to send a\.txt \(1 B\)\. Accept\?/,
    );
    await guest.until('its turn', ({ upload }) => upload?.state === 'waiting');
    receiving.type(ENTER);
    expect(await guest.ended()).toMatchObject({ state: 'declined' });
    await guest.bring([picked('b.txt', 'b')]);
    await receiving.waitFor(/wants to send b\.txt .*Accept\?/s);
    receiving.type(`y${ENTER}`);
    await guest.until('the second', ({ upload }) => upload?.state === 'done');
    await receiving.waitFor(/Saved .*b\.txt/);
    expect(await readdir(ana.downloads)).toEqual(['b.txt']);
    receiving.type(CTRL_C);
    await receiving.outcome();
  });

  test.each([
    ['receive', ['--pin'], /^PIN for new devices/],
    ['receive', [], /^Code for new devices/],
    ['share', ['--pin', '/etc/hostname'], /^PIN for new devices/],
  ])('of %s %j is seen as a whole on a common screen', async (command, more, secret) => {
    await using ana = new Home();
    await using there = dropOnScreen([command, '--web', '--name', 'Ana', ...more], { home: ana });
    await there.waitFor(/Waiting for .*Ctrl-C/);
    const rows = there.text().split('\n');
    expect(rows.length).toBeLessThanOrEqual(24);
    const picture = rows.filter((row) => /^[█▀▄ ]{30,}$/.test(row));
    expect(picture).toHaveLength(17);
    expect(picture[0]).toMatch(/^█+$/);
    const below = rows.slice(rows.indexOf(picture.at(-1) ?? '') + 1);
    expect(below[0]).toMatch(secret);
    expect(below[1]).toMatch(/^In a browser: http/);
    there.type(CTRL_C);
    await there.outcome();
  });
});

describeWith([CHROMIUM], 'a browser', () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  });
  afterAll(() => browser.close());

  /** The page, and whatever it complains of. */
  async function opened(web: string): Promise<{ page: Page; complaints: string[] }> {
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (said) => {
      if (said.type() === 'error') complaints.push(said.text());
    });
    await page.goto(web);
    return { page, complaints };
  }

  test('uploads files and a folder, and says so', async () => {
    const { receiving, web } = await unattended();
    await using _ = receiving;
    await using mine = new Home();
    const bytes = randomBytes(30 * MIB);
    await mkdir(join(mine.path, 'photos', 'more'), { recursive: true });
    await writeFile(join(mine.path, 'large.bin'), bytes);
    for (let n = 0; n < 40; n++)
      await writeFile(join(mine.path, 'photos', 'more', `${n}.txt`), `${n}`);
    const { page, complaints } = await opened(web);
    expect(await page.title()).toBe('Send files to "Ana"');
    await page.setInputFiles('#files', join(mine.path, 'large.bin'));
    await page.setInputFiles('#folder', join(mine.path, 'photos'));
    await page.locator('#uploads').getByText('Delivered: 1 file, 31.5 MB.').waitFor();
    await page.locator('#uploads').getByText('Delivered: 40 files').waitFor();
    const { downloads } = receiving.home;
    expect((await readFile(join(downloads, 'large.bin'))).equals(bytes)).toBe(true);
    expect(await readdir(join(downloads, 'photos', 'more'))).toHaveLength(40);
    expect(complaints).toEqual([]);
    expect(await accessibilityErrors(page)).toEqual([]);
    await page.close();
  });

  test('goes on after its connection was lost, and says when the link is over', async () => {
    const { receiving, web } = await unattended();
    await using _ = receiving;
    await using mine = new Home();
    const bytes = randomBytes(40 * MIB);
    await writeFile(join(mine.path, 'large.bin'), bytes);
    await using line = await LossyLine.to(Number(new URL(web).port), 15 * MIB);
    const { page } = await opened(web.replace(/:\d+/, `:${line.port}`));
    await page.setInputFiles('#files', join(mine.path, 'large.bin'));
    await page
      .locator('#uploads')
      .getByText(/MB of 41\.9 MB/)
      .waitFor();
    line.cut();
    await page.locator('#link').getByText('The connection is lost.').waitFor();
    const shown = await page.locator('#uploads').innerText();
    expect(shown).toMatch(/MB of 41\.9 MB/);
    expect(shown).not.toMatch(/\/s|left/);
    line.mend();
    await page.locator('#uploads').getByText('Delivered: 1 file').waitFor();
    const landed = await readFile(join(receiving.home.downloads, 'large.bin'));
    expect(landed.equals(bytes)).toBe(true);
    await receiving.stop();
    await page.getByText('This link is over').waitFor();
    expect(await page.locator('#drop').isVisible()).toBe(false);
    await page.close();
  });
});

/** A line to a port of this computer, which holds what comes after so many bytes to there. */
class LossyLine implements AsyncDisposable {
  readonly #server = createServer((socket) => this.#carry(socket));
  readonly #sockets = new Set<Socket>();
  readonly #to: number;
  #left: number;
  #isCut = false;

  private constructor(to: number, bytes: number) {
    this.#to = to;
    this.#left = bytes;
  }

  static async to(port: number, bytes: number): Promise<LossyLine> {
    const line = new LossyLine(port, bytes);
    line.#server.listen(0, '127.0.0.1');
    await once(line.#server, 'listening');
    return line;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#isCut = false;
    this.#left = Number.POSITIVE_INFINITY;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #carry(here: Socket): void {
    if (this.#isCut) return void here.destroy();
    const there = connect(this.#to, '127.0.0.1');
    for (const [from, to] of [
      [here, there],
      [there, here],
    ] as const) {
      this.#sockets.add(from);
      from.on('error', () => {});
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
    here.on('data', ({ length }) => {
      this.#left -= length;
      if (this.#left > 0) return;
      here.unpipe(there);
      here.pause();
    });
  }
}
