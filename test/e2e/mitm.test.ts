import { type ChildProcess, spawn } from 'node:child_process';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Drop, drop, dropOnScreen } from '../support/bin.ts';
import { Home } from '../support/home.ts';
import { Changes, text } from '../support/process.ts';

/*
 * What went wrong elsewhere: a PIN that is sent to whoever ends the channel (LocalSend), short
 * numbers without a commitment (KDE Connect, CVE-2025-32898; ZRTP, CVE-2016-6271), fingerprints
 * that are believed from announcements (CVE-2025-54792).
 */
describe('somebody in the middle, while the person types the right code', () => {
  let ana: Home;
  let bob: Home;
  let mallory: Home;
  let receiving: Drop;
  let open: Middle | undefined;

  beforeEach(async () => {
    [ana, bob, mallory] = [new Home(), new Home(), new Home()];
    receiving = drop(['receive', '--json', '--yes', '--name', 'Ana'], { home: ana });
    await receiving.event('ready');
    await writeFile(join(bob.path, 'secret'), 'for Ana alone');
  });
  afterEach(async () => {
    open?.stop();
    await receiving[Symbol.asyncDispose]();
    for (const home of [ana, bob, mallory]) await home[Symbol.asyncDispose]();
  });

  async function middle(manner: string): Promise<Middle> {
    const { port } = await receiving.event('ready');
    open = new Middle(mallory, manner, port);
    await open.port();
    return open;
  }

  async function code(): Promise<string> {
    const { code: first } = await receiving.event('ready');
    const later = receiving.events.filter((event) => event.event === 'code').at(-1);
    return later?.event === 'code' ? later.code : (first ?? '');
  }

  async function send(to: string, args: string[] = []) {
    await using sending = drop(['send', '--to', to, ...args, 'secret'], {
      home: bob,
      env: { DROP_CODE: await code() },
    });
    return (await sending.outcome()).code;
  }

  test.each([
    ['relay'],
    ['edit'],
    ['strip'],
    ['reflect'],
    ['open'],
    ['trusted'],
    ['replay'],
    ['guess'],
  ])('%s: gets nothing, and Ana sees nothing of it', async (manner) => {
    const it = await middle(manner);
    const to = `127.0.0.1:${await it.port()}`;
    expect(await send(to)).toBe(6);
    if (manner === 'replay') expect(await send(to)).not.toBe(0);
    expect(it.loot).toEqual([]);
    expect(await readdir(ana.downloads)).toEqual([]);
    expect(await readdir(join(bob.state, 'peers'))).toEqual([]);
    expect(await readdir(join(ana.state, 'peers'))).toEqual([]);
    const shown = receiving.events.map(({ event }) => event);
    expect(shown.filter((event) => event !== 'code')).toEqual(['ready']);
    it.stop();
    // Nobody is kept out by that for longer than a moment.
    const { port } = await receiving.event('ready');
    expect(await send(`127.0.0.1:${port}`)).toBe(0);
  });

  test.each([['guess'], ['hang-up'], ['put-off']])(
    '%s: has one guess for each answer, however it ends that',
    async (manner) => {
      const it = await middle(manner);
      const to = `127.0.0.1:${await it.port()}`;
      expect(await send(to, ['--wait', '3'])).toBe(6);
      await it.guessed();
      expect(it.guesses).toBe(1);
    },
  );

  test('gets nothing of those who know each other, whatever it claims', async () => {
    const { port } = await receiving.event('ready');
    expect(await send(`127.0.0.1:${port}`)).toBe(0);
    for (const manner of ['trusted', 'relay', 'open']) {
      const it = await middle(manner);
      expect(await send(`127.0.0.1:${await it.port()}`)).toBe(6);
      expect(it.loot).toEqual([]);
      it.stop();
    }
  });

  test('gets nothing of a person who types the code as often as it is asked for', async () => {
    const it = await middle('relay');
    const to = `127.0.0.1:${await it.port()}`;
    await using sending = dropOnScreen(['send', '--to', to, 'secret'], { home: bob });
    for (let tries = 0; tries < 3; tries++) {
      await sending.shows((text) => {
        expect(text.match(/Code shown on/g)).toHaveLength(tries + 1);
        expect(text).toMatch(/Code shown on "127\.0\.0\.1:\d+":$/);
      });
      sending.type(`${await code()}\r`);
    }
    await sending.waitFor(/The code did not match, so nothing was transferred\./);
    expect(it.loot).toEqual([]);
    expect(await readdir(ana.downloads)).toEqual([]);
  });
});

/** The program that stands in the middle. */
class Middle {
  readonly #child: ChildProcess;
  readonly #changes = new Changes();
  readonly #said: () => string;

  constructor(home: Home, manner: string, port: number) {
    this.#child = spawn(process.execPath, [PROGRAM, home.state, manner, String(port)], {
      env: home.env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#said = text(this.#child.stdout, () => this.#changes.announce());
  }

  /** Where senders find it. */
  port(): Promise<number> {
    return this.#changes.until(
      () => this.#lines().find((line) => 'port' in line)?.port as number | undefined,
      () => this.#said(),
    );
  }

  /** What it got that was not for it, from either side. */
  get loot(): string[] {
    return this.#lines().flatMap((line) =>
      [line.got, line.gave].filter((one) => one !== undefined),
    );
  }

  /** How many answers it could compare with what it guessed. */
  get guesses(): number {
    return this.#lines().filter(({ guessed }) => guessed).length;
  }

  /** Resolves when it could compare one, which it may say after the sender has heard of it. */
  async guessed(): Promise<void> {
    await this.#changes.until(
      () => this.guesses > 0 || undefined,
      () => this.#said(),
    );
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }

  #lines(): { port?: number; got?: string; gave?: string; guessed?: boolean }[] {
    const whole = this.#said().split('\n').slice(0, -1);
    return whole.map((line) => JSON.parse(line));
  }
}

const PROGRAM = fileURLToPath(new URL('mitm.mjs', import.meta.url));
