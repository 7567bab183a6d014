import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { type RequestOptions, request } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { type Accept, Hatch, type ReceiveEvent, receive } from '../../src/index.ts';
import {
  MAX_GUEST_PAGES,
  MAX_GUEST_PAGES_EACH,
  MAX_LENT,
  MAX_LENT_EACH,
  MAX_LENT_PART,
  OPEN_ENTRIES,
} from '../../src/limits.ts';
import type { WebLink } from '../../src/web/guests/link.ts';
import { openTaking } from '../../src/web/guests/taking.ts';
import { GuestClient, picked } from '../support/guest-client.ts';
import { TempFolder } from '../support/home.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

describe('a page for uploads', () => {
  let folder: TempFolder;
  let stop: AbortController;
  let running: Promise<void>;
  let link: WebLink;
  let url: string;
  const heard: ReceiveEvent[] = [];
  const bugs: unknown[] = [];
  const asked: Parameters<Accept>[0][] = [];

  beforeEach(() => {
    folder = new TempFolder();
    stop = new AbortController();
    heard.length = bugs.length = asked.length = 0;
  });
  afterEach(async () => {
    stop.abort();
    await running.catch(() => {});
    await link.close();
    await folder[Symbol.asyncDispose]();
    expect(bugs).toEqual([]);
  });

  const into = (): string => join(folder.path, 'into');
  const landed = (): string[] =>
    readdirSync(into(), { recursive: true, encoding: 'utf8' }).filter(
      (path) => !/^\.drop/.test(path),
    );
  const read = (path: string): Buffer => readFileSync(join(into(), path));

  /** `answer` is asked about each upload; without it nobody is. */
  async function begin(
    answer?: Accept | boolean,
    more: { once?: boolean; pin?: string } = {},
  ): Promise<void> {
    const hatch = new Hatch();
    const accept: Accept = async (offer, signal) => {
      asked.push(offer);
      return typeof answer === 'function' ? answer(offer, signal) : answer === true;
    };
    const events = receive({
      home: join(folder.path, 'home'),
      name: 'Ana',
      into: into(),
      interfaces: ['lo'],
      signal: stop.signal,
      hatch,
      once: more.once,
      accept: answer === undefined ? undefined : accept,
    });
    await new Promise<void>((ready, failed) => {
      running = (async () => {
        for await (const event of events) {
          heard.push(event);
          if (event.event === 'ready') ready();
        }
      })();
      running.catch(failed);
    });
    link = await openTaking({
      hatch,
      name: 'Ana',
      interfaces: ['lo'],
      pin: more.pin,
      ports: [0],
      onBug: (error) => bugs.push(error),
    });
    url = link.at(['127.0.0.1:1'])[0] ?? '';
  }

  test('brings files and folders to where all is saved, once somebody agrees', async () => {
    await begin(true);
    await using guest = await GuestClient.open(url);
    const large = randomBytes(9 * MIB);
    const small = Array.from({ length: 300 }, (_, n) => picked(`photos/${n}.txt`, `${n}`));
    await guest.bring([
      picked('large.bin', large),
      ...small,
      { path: 'photos/none', file: undefined },
      picked('empty', ''),
    ]);
    const { state, files, ofFiles, bytes, total } = await guest.ended();
    expect({ state, files, ofFiles }).toEqual({ state: 'done', files: 302, ofFiles: 302 });
    expect(bytes).toBe(total);
    expect(landed()).toHaveLength(304);
    expect(read('large.bin').equals(large)).toBe(true);
    for (let n = 0; n < 300; n++) expect(read(`photos/${n}.txt`).toString()).toBe(`${n}`);
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({
      known: false,
      from: { name: 'Browser at 127.0.0.1' },
      roots: ['empty', 'large.bin', 'photos'],
      files: 302,
    });
    expect(guest.puts).toBeLessThan(12);
  });

  test('says that it was declined, and leaves nothing', async () => {
    await begin(false);
    await using guest = await GuestClient.open(url);
    await guest.bring([picked('a', 'a')]);
    expect(await guest.ended()).toMatchObject({
      state: 'declined',
      message: 'It was declined there.',
    });
    expect(landed()).toEqual([]);
    expect(guest.puts).toBe(0);
  });

  test('takes so much where nobody is asked, and no more', async () => {
    await begin();
    await using guest = await GuestClient.open(url);
    const many = Array.from({ length: OPEN_ENTRIES + 1 }, (_, n) => picked(`${n}`, `${n}`));
    await guest.bring(many);
    expect(await guest.ended()).toMatchObject({
      state: 'declined',
      message: expect.stringMatching(/at most 100 files/),
    });
    await guest.bring(many.slice(1));
    await guest.until('the second upload', ({ upload }) => upload?.state === 'done');
    expect(landed()).toHaveLength(OPEN_ENTRIES);
  });

  test('goes on where a request broke off', async () => {
    await begin(true);
    await using guest = await GuestClient.open(url);
    guest.faults.push({ after: 100_000 }, { after: 0 }, { after: 2_000_000 });
    const bytes = randomBytes(5 * MIB);
    await guest.bring([picked('a.bin', bytes)]);
    expect(await guest.ended()).toMatchObject({ state: 'done', failed: 0 });
    expect(read('a.bin').equals(bytes)).toBe(true);
    const from = guest.events.flatMap((event) =>
      event.event === 'want' ? event.files.map((file) => file.from) : [],
    );
    expect(from).toHaveLength(4);
    expect(from.toSorted((a, b) => a - b)).toEqual(from);
    expect(from.at(-1)).toBeLessThan(bytes.length);
  });

  test('goes on when it comes back, and is not asked about again', async () => {
    await begin(true);
    await using guest = await GuestClient.open(url);
    guest.isSilent = true;
    const bytes = randomBytes(2 * MIB);
    await guest.bring([picked('a.bin', bytes)]);
    await guest.until('a wish', ({ events }) => events.some(({ event }) => event === 'want'));
    const { page } = guest;
    guest.deafen();
    guest.isSilent = false;
    await guest.listen();
    expect(guest.page).toBe(page);
    expect(await guest.ended()).toMatchObject({ state: 'done' });
    expect(read('a.bin').equals(bytes)).toBe(true);
    expect(asked).toHaveLength(1);
  });

  test('that was closed goes on in another one of the same browser', async () => {
    await begin(true);
    const bytes = randomBytes(20 * MIB);
    const first = await GuestClient.open(url);
    first.faults.push({ after: 12 * MIB, hangs: true });
    const loan = await first.bring([picked('a.bin', bytes)]);
    while (bytesIn(into()) < 5 * MIB) await turn();
    await first.post('cancel', { page: first.page, loan });
    expect(await first.ended()).toMatchObject({ state: 'stopped' });
    await first[Symbol.asyncDispose]();
    await using second = await GuestClient.open(url, first.cookie);
    expect(second.page).not.toBe(first.page);
    await second.bring([picked('a.bin', bytes)]);
    const { state, resumed } = await second.ended();
    expect(state).toBe('done');
    expect(resumed).toBeGreaterThan(4 * MIB);
    expect(read('a.bin').equals(bytes)).toBe(true);
    // What is there is told by its digest, and the rest is sent.
    expect(second.sent).toBeLessThan(bytes.length - resumed + KIB);
    const before = second.sent;
    await second.bring([picked('a.bin', bytes, 2e12)]);
    await second.until('the same again', ({ upload }) => upload?.same === 1);
    expect(second.sent - before).toBeLessThan(KIB);
    expect(landed()).toEqual(['a.bin']);
  });

  test('that was closed in the middle is not waited for when another one of its browser sends', async () => {
    await begin(true);
    const bytes = randomBytes(20 * MIB);
    const first = await GuestClient.open(url);
    first.faults.push({ after: 12 * MIB, hangs: true });
    await first.bring([picked('a.bin', bytes)]);
    while (bytesIn(into()) < 5 * MIB) await turn();
    await first[Symbol.asyncDispose]();
    await using other = await GuestClient.open(url);
    await other.bring([picked('b', 'b')]);
    expect(await other.ended()).toMatchObject({ state: 'done' });
    expect(heard.filter(({ event }) => event === 'summary')).toHaveLength(1);
    await using second = await GuestClient.open(url, first.cookie);
    await second.bring([picked('a.bin', bytes)]);
    const { state, resumed } = await second.ended();
    expect(state).toBe('done');
    expect(resumed).toBeGreaterThan(4 * MIB);
    expect(second.sent).toBeLessThan(bytes.length - resumed + KIB);
    expect(read('a.bin').equals(bytes)).toBe(true);
  });

  test('that is open still goes on when another one of its browser sends', async () => {
    let agree = (): void => {};
    const agreed = new Promise<boolean>((resolve) => {
      agree = () => resolve(true);
    });
    await begin(() => agreed);
    await using first = await GuestClient.open(url);
    await first.bring([picked('a', 'a')]);
    await using second = await GuestClient.open(url, first.cookie);
    await second.bring([picked('b', 'b')]);
    agree();
    expect(await first.ended()).toMatchObject({ state: 'done' });
    expect(await second.ended()).toMatchObject({ state: 'done' });
  });

  test('gives its browser a cookie that is for this link alone, once', async () => {
    await begin(true);
    const first = await fetch(url);
    const [cookie = ''] = first.headers.getSetCookie();
    const { pathname } = new URL(url);
    expect(cookie).toMatch(/^drop-visitor=[\w-]{22}; /);
    expect(cookie.slice(cookie.indexOf(';'))).toBe(`; Path=${pathname}; HttpOnly; SameSite=Strict`);
    const [given = ''] = cookie.split(';');
    for (const sent of [given, `a=b; ${given}; c=d`, `a=b;${given}`])
      expect((await fetch(url, { headers: { cookie: sent } })).headers.getSetCookie()).toEqual([]);
    for (const sent of [`other-${given}`, `${given}x`, given.slice(0, -1)])
      expect((await fetch(url, { headers: { cookie: sent } })).headers.getSetCookie()).toHaveLength(
        1,
      );
  });

  test('lets others go on when a file cannot be read', async () => {
    await begin(true);
    await using guest = await GuestClient.open(url);
    const loan = await guest.lend([picked('a', 'a'), picked('b', 'b'), picked('c', 'c')]);
    await guest.post('lend-failed', { page: guest.page, loan, file: 1 });
    await guest.post('bring', { page: guest.page, loan });
    expect(await guest.ended()).toMatchObject({
      state: 'failed',
      failed: 1,
      failures: [{ path: 'b', message: expect.stringMatching(/could not read/) }],
    });
    expect(landed().sort()).toEqual(['a', 'c']);
  });

  test('hears how it ended, also if that ends all', async () => {
    await begin(true, { once: true });
    await using guest = await GuestClient.open(url);
    await guest.bring([picked('a', 'a')]);
    await running;
    await link.close();
    expect(await guest.ended()).toMatchObject({ state: 'done' });
    await guest.until('the end', ({ events }) => events.at(-1)?.event === 'bye');
    expect(guest.events.at(-1)).toEqual({ event: 'bye', reason: 'ended' });
  });

  test('does not keep all from ending, though what it brings does not end', async () => {
    await begin(() => new Promise(() => {}));
    await using guest = await GuestClient.open(url);
    await guest.bring([picked('a', 'a')]);
    while (asked.length === 0) await turn();
    await link.close();
  });

  test('tells what is wrong with names, and makes nothing of them outside', async () => {
    await begin(true);
    await using guest = await GuestClient.open(url);
    const paths = [
      '../../x',
      '/etc/x',
      'a/../../x',
      'a//b',
      'a/./b',
      '..',
      'a\0b',
      'C:\\x',
      '.ssh/x',
    ];
    await guest.post('lend', { page: guest.page, entries: [], ready: true });
    for (const path of paths) {
      const { loan } = (await guest.post('lend', {
        page: guest.page,
        entries: [{ path, size: 0, mtime: 0 }],
        ready: true,
      })) as { loan: string };
      await guest.post('bring', { page: guest.page, loan });
      await guest.until(
        path,
        ({ upload }) =>
          upload?.loan === loan && upload.state !== 'waiting' && upload.state !== 'running',
      );
    }
    expect(landed().sort()).toEqual(['C:\\x', '_.ssh', '_.ssh/x']);
    expect(readdirSync(folder.path).sort()).toEqual(['home', 'into']);
  });

  test.each<[string, (page: string, loan: string) => unknown]>([
    ['of another page', (_, loan) => ({ page: 'x', loan })],
    ['that nobody knows', (page) => ({ page, loan: 'x' })],
    ['with more than it takes', (page, loan) => ({ page, loan, accept: true })],
    ['without a page', (_, loan) => ({ loan })],
  ])('brings nothing %s', async (_, command) => {
    await begin(true);
    await using guest = await GuestClient.open(url);
    const loan = await guest.lend([picked('a', 'a')]);
    await expect(guest.post('bring', command(guest.page, loan))).rejects.toThrow(/^400/);
    expect(asked).toEqual([]);
  });

  test('cannot be used by another browser, nor what it lends', async () => {
    await begin(true);
    await using guest = await GuestClient.open(url);
    await using other = await GuestClient.open(url);
    guest.isSilent = true;
    const loan = await guest.bring([picked('a', 'a')]);
    await guest.until('a wish', ({ events }) => events.some(({ event }) => event === 'want'));
    const want = guest.events.find((event) => event.event === 'want');
    const batch = want?.event === 'want' ? want.batch : '';
    const { page } = guest;
    await expect(other.post('cancel', { page, loan })).rejects.toThrow(/^400/);
    const put = await other.fetch(`lend/${loan}/${batch}`, { method: 'PUT', body: 'b' });
    expect(put.status).toBe(400);
    other.page = page;
    other.deafen();
    await other.listen();
    expect(other.page).not.toBe(page);
    const own = await guest.fetch(`lend/${loan}/${batch}`, { method: 'PUT', body: 'a' });
    expect(own.status).toBe(200);
    expect(await guest.ended()).toMatchObject({ state: 'done' });
    expect(read('a').toString()).toBe('a');
  });

  test('brings no more or less than it said', async () => {
    await begin(true);
    await using guest = await GuestClient.open(url);
    guest.isSilent = true;
    for (const body of ['abc', 'abcde']) {
      const loan = await guest.bring([picked('a', 'abcd')]);
      await guest.until('a wish', ({ events }) =>
        events.some((event) => event.event === 'want' && event.loan === loan),
      );
      const want = guest.events.findLast((event) => event.event === 'want');
      const batch = want?.event === 'want' ? want.batch : '';
      const put = await guest.fetch(`lend/${loan}/${batch}`, { method: 'PUT', body });
      expect(put.status).toBe(400);
      await guest.until(
        'the end',
        ({ upload }) => upload?.loan === loan && upload.state === 'failed',
      );
    }
    expect(landed()).toEqual([]);
  });

  test('sends one thing at a time', async () => {
    await begin(
      (_, signal) =>
        new Promise((answer) => signal.addEventListener('abort', () => answer('no-answer'))),
    );
    await using guest = await GuestClient.open(url);
    const loan = await guest.bring([picked('a', 'a')]);
    await expect(guest.bring([picked('b', 'b')])).rejects.toThrow('503');
    await guest.post('cancel', { page: guest.page, loan });
    expect(await guest.ended()).toMatchObject({ state: 'stopped' });
  });

  test('gives way to others if it does nothing', async () => {
    await begin(
      (_, signal) =>
        new Promise((answer) => signal.addEventListener('abort', () => answer('no-answer'))),
    );
    const busy = await GuestClient.open(url);
    await busy.bring([picked('a', 'a')]);
    await busy.until('its turn', ({ upload }) => upload?.state === 'waiting');
    const idle: GuestClient[] = [];
    for (let n = 0; n < MAX_GUEST_PAGES_EACH; n++) idle.push(await GuestClient.open(url));
    await idle[0]?.until('the end', ({ events }) => events.at(-1)?.event === 'bye');
    expect(idle[1]?.events.at(-1)?.event).toBe('hello');
    expect(busy.upload?.state).toBe('waiting');
    // Where all of them have something to send, none gives way.
    for (const guest of idle.slice(1)) await guest.lend([picked('a', 'a')]);
    expect((await busy.fetch('events')).status).toBe(503);
    for (const guest of [busy, ...idle]) await guest[Symbol.asyncDispose]();
  });

  test('is one of so many, whoever opens them', async () => {
    await begin(true);
    const heard: string[][] = [];
    const open = async (n: number): Promise<void> => {
      const from = `127.0.0.${2 + (n % 200)}`;
      const asking = request(new URL('events', url), { localAddress: from, agent: false }).end();
      onTestFinished(() => void asking.on('error', () => {}).destroy());
      const [response] = await once(asking, 'response');
      const lines: string[] = [];
      heard[n] = lines;
      response.on('data', (text: Buffer) => lines.push(text.toString()));
      await once(response, 'data');
    };
    for (let n = 0; n <= MAX_GUEST_PAGES; n++) await open(n);
    const hasLeft = (n: number): boolean => heard[n]?.join('').includes('crowded') ?? false;
    while (!hasLeft(0)) await turn();
    expect(heard.map((_, n) => hasLeft(n))).toEqual([true, ...Array(MAX_GUEST_PAGES).fill(false)]);
  });

  test('leaves room for others to lend something, however many are open of one source', async () => {
    await begin(true);
    await using greedy = await GuestClient.open(url);
    await using same = await GuestClient.open(url);
    const part = (n: number): object => ({
      entries: Array.from({ length: MAX_LENT_PART }, (_, i) => ({ path: `${n}/${i}`, size: 1 })),
      ready: false,
    });
    const { page } = greedy;
    const { loan } = (await greedy.post('lend', { page, ...part(0) })) as { loan: string };
    for (let n = 1; n < MAX_LENT_EACH / MAX_LENT_PART; n++)
      await greedy.post('lend', { page, loan, ...part(n) });
    for (const guest of [greedy, same])
      await expect(guest.post('lend', { page: guest.page, ...part(0) })).rejects.toThrow('400');
    /** What somebody else is answered who begins to lend something, and then to each further part. */
    const other = async (localAddress: string): Promise<() => Promise<number | undefined>> => {
      const hello = request(new URL('events', url), { localAddress }).end();
      onTestFinished(() => void hello.on('error', () => {}).destroy());
      const [response] = await once(hello, 'response');
      const [line] = await once(response, 'data');
      const name = JSON.parse(String(line).split('\n')[0] ?? '').page;
      let more: object | undefined;
      return async () => {
        const body = JSON.stringify({ page: name, ...part(0), ...more });
        const asking = request(new URL('lend', url), { method: 'POST', localAddress }).end(body);
        const [answer] = await once(asking, 'response');
        const said = JSON.parse(String((await once(answer, 'data'))[0]));
        more = { loan: said.loan };
        return answer.statusCode;
      };
    };
    const [second, third] = [await other('127.0.0.2'), await other('127.0.0.3')];
    for (let n = 0; n < (MAX_LENT - MAX_LENT_EACH) / MAX_LENT_PART; n++)
      expect(await second()).toBe(200);
    // Together they lend as much as all may.
    expect(await third()).toBe(400);
  });

  test('parses nothing that is too long', async () => {
    await begin(true);
    await using guest = await GuestClient.open(url);
    const part = JSON.stringify({ page: guest.page, entries: [], ready: true });
    const lend = (blanks: number): Promise<Response> =>
      guest.fetch('lend', { method: 'POST', body: ' '.repeat(blanks) + part });
    expect((await lend(1_000_000)).ok).toBe(true);
    const long = await lend(1_100_000).catch(() => undefined);
    expect(long?.ok).not.toBe(true);
    const many = Array.from({ length: 1_001 }, () => ({ path: 'a' }));
    await expect(
      guest.post('lend', { page: guest.page, entries: many, ready: true }),
    ).rejects.toThrow(/^400/);
    const twice = await guest.post('lend', {
      page: guest.page,
      entries: [
        { path: 'a', size: 1 },
        { path: 'a', size: 2 },
      ],
      ready: true,
    });
    await guest.post('bring', { page: guest.page, ...twice });
    expect(await guest.ended()).toMatchObject({ state: 'failed' });
    expect(asked).toEqual([]);
  });

  test('is nothing to other sites, and to those without the link', async () => {
    await begin(true);
    await using guest = await GuestClient.open(url);
    const { origin } = new URL(url);
    const status = async (path: string, init: RequestInit = {}): Promise<number> =>
      (await guest.fetch(path, init)).status;
    expect(
      await status('bring', { method: 'POST', headers: { Origin: 'http://evil.example' } }),
    ).toBe(403);
    expect(
      await status('a', { method: 'PUT', body: 'a', headers: { 'Sec-Fetch-Site': 'cross-site' } }),
    ).toBe(403);
    expect(await status('events', { headers: { 'Sec-Fetch-Site': 'same-site' } })).toBe(403);
    expect(await status(`${origin}/`)).toBe(404);
    expect(await status(`${origin}/${'a'.repeat(22)}/events`)).toBe(404);
    expect(await status(`${origin}/${'a'.repeat(22)}/a`, { method: 'PUT', body: 'a' })).toBe(404);
    expect(await statusOf(url, { headers: { host: 'evil.example' } })).toBe(421);
    expect(await status('nothing')).toBe(404);
    // It would open a page that nobody listens at.
    expect(await status('events', { method: 'HEAD' })).toBe(404);
    expect(await status('bring/more', { method: 'POST', body: '{}' })).toBe(404);
    expect(await status('lend/a/b/c', { method: 'PUT', body: 'a' })).toBe(404);
    expect(asked).toEqual([]);
  });

  test('needs the PIN, if there is one', async () => {
    await begin(true, { pin: 'correct-horse 7' });
    const put = (headers = {}): Promise<Response> =>
      fetch(new URL('a', url), { method: 'PUT', body: 'a', headers });
    expect((await put()).status).toBe(401);
    expect((await fetch(new URL('events', url))).status).toBe(401);
    const password = Buffer.from(':correct-horse 7').toString('base64');
    expect((await put({ authorization: `Basic ${password}` })).status).toBe(201);
    expect(landed()).toEqual(['a']);
  });

  describe('takes a file in one request', () => {
    const put = (name: string, body: string | Uint8Array<ArrayBuffer>): Promise<Response> =>
      fetch(new URL(name, url), { method: 'PUT', body });

    test('and says how it ended', async () => {
      await begin(true);
      const bytes = randomBytes(3 * MIB);
      const saved = await put('a%20b.bin', bytes);
      expect([saved.status, await saved.text()]).toEqual([201, 'a b.bin is saved on "Ana".\n']);
      expect(read('a b.bin').equals(bytes)).toBe(true);
      const other = randomBytes(3 * MIB);
      expect((await put('a%20b.bin', other)).status).toBe(201);
      expect(read('a b (1).bin').equals(other)).toBe(true);
      expect(asked[0]).toMatchObject({ known: false, files: 1, bytes: 3 * MIB, sized: true });
    });

    test('and says how it ended, also if that ends all', async () => {
      await begin(true, { once: true });
      const saving = put('a', 'a');
      await running;
      await link.close();
      expect((await saving).status).toBe(201);
    });

    test('which may be declined', async () => {
      await begin(false);
      const declined = await put('a', 'a');
      expect([declined.status, await declined.text()]).toEqual([403, 'It was declined there.\n']);
      expect(landed()).toEqual([]);
    });

    test('that has a name and a length', async () => {
      await begin(true);
      const unnamed = await put('', 'a');
      expect([unnamed.status, await unnamed.text()]).toEqual([
        400,
        'Say what it is called, behind the last slash.\n',
      ]);
      expect((await put('a%2Fb', 'a')).status).toBe(400);
      expect((await put('%ff', 'a')).status).toBe(400);
      const deep = await put('a/b', 'a');
      expect([deep.status, await deep.text()]).toEqual([
        404,
        'Put it right behind the link: a single file goes into no folder.\n',
      ]);
      expect((await put('..%00', 'a')).status).toBe(500);
      expect(
        await statusOf(url, {
          method: 'PUT',
          path: `${new URL(url).pathname}a`,
          headers: { 'transfer-encoding': 'chunked' },
        }),
      ).toBe(411);
      expect(landed()).toEqual([]);
    });

    test('about which nobody is asked any more once whoever sends it has left', async () => {
      let gone = (): void => {};
      const leaving = new Promise<void>((resolve) => {
        gone = resolve;
      });
      await begin(
        (_, signal) =>
          new Promise((answer) =>
            signal.addEventListener('abort', () => {
              gone();
              answer('no-answer');
            }),
          ),
      );
      const headers = { 'content-length': 2 };
      const going = request(new URL('a', url), { method: 'PUT', headers });
      going.on('error', () => {}).write('a');
      while (asked.length === 0) await turn();
      going.destroy();
      await leaving;
    });

    test('and keeps nothing under its name if that breaks off', async () => {
      await begin(true);
      const going = request(new URL('a', url), {
        method: 'PUT',
        headers: { 'content-length': 2 * MIB },
      });
      going.on('error', () => {});
      going.write(randomBytes(MIB));
      const isSummary = ({ event }: ReceiveEvent): boolean => event === 'summary';
      while (!heard.some(({ event }) => event === 'accepted')) await turn();
      going.destroy();
      while (!heard.some(isSummary)) await turn();
      expect(heard.find(isSummary)).toMatchObject({ ok: false, files: 0 });
      expect(landed()).toEqual([]);
      // Nobody can go on with it later.
      stop.abort();
      await running.catch(() => {});
      expect(readdirSync(into())).toEqual([]);
    });
  });
});

/** Of all files in a folder, finished or not. */
function bytesIn(folder: string): number {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((path) => statSync(join(folder, path), { throwIfNoEntry: false }))
    .reduce((sum, found) => sum + (found?.isFile() ? found.size : 0), 0);
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

/** What is answered to a request that says so. */
function statusOf(
  url: string,
  options: RequestOptions,
  body?: string,
): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const calling = request(url, options, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    calling.on('error', reject).end(body);
  });
}
