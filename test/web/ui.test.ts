import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { discover, share } from '../../src/index.ts';
import { MAX_PAGES, PAGE_GRACE } from '../../src/limits.ts';
import { runUi } from '../../src/web/window/ui.ts';
import { TempFolder } from '../support/home.ts';
import { PageClient } from '../support/page-client.ts';
import { file, Rogue } from '../support/rogue-peer.ts';

/** Of all files in a folder, finished or not; none where it is not there yet. */
function bytesIn(folder: string): number {
  if (!existsSync(folder)) return 0;
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((path) => statSync(join(folder, path), { throwIfNoEntry: false }))
    .reduce((sum, found) => sum + (found?.isFile() ? found.size : 0), 0);
}

/** Where somebody shares something. */
async function portOfSharer(signal: AbortSignal): Promise<number> {
  await using home = new TempFolder();
  for await (const event of discover({
    home: home.path,
    interfaces: ['lo'],
    who: 'sharers',
    signal,
  }))
    if (event.event === 'peer' && event.shares)
      return Number(/\d+$/.exec(event.addresses[0] ?? '')?.[0]);
  throw new Error('Nobody shares anything.');
}

describe('a window', () => {
  let folder: TempFolder;
  let stop: AbortController;
  const running: Promise<void>[] = [];

  beforeEach(() => {
    folder = new TempFolder();
    stop = new AbortController();
  });
  afterEach(async () => {
    stop.abort();
    await Promise.allSettled(running.splice(0));
    await folder[Symbol.asyncDispose]();
  });

  const into = (name: string): string => join(folder.path, `into ${name}`);

  /** Opens the window of somebody; its link. */
  async function window(name: string): Promise<string> {
    return new Promise<string>((ready, failed) => {
      const run = runUi({
        home: join(folder.path, `home of ${name}`),
        into: into(name),
        interfaces: ['lo'],
        ...{ name, version: '1.2.3', signal: stop.signal },
        onReady: ready,
        onBug: failed,
      });
      run.catch(failed);
      running.push(run);
    });
  }

  const page = async (name: string): Promise<PageClient> =>
    new PageClient(await window(name)).open();

  test('sends what a page lends to another window: by its code first, then asked about', async () => {
    const [ana, bob] = [await page('Ana'), await page('Bob')];
    const big = randomBytes(3_000_000);
    const small = Object.fromEntries(
      Array.from({ length: 100 }, (_, i) => [`many/${i}.txt`, randomBytes(i)]),
    );
    const to = [await ana.device('Bob')];
    await ana.command('send', { to, loan: await ana.lend({ 'big.bin': big, ...small }) });
    const { id } = await ana.question('code');
    await ana.command('answer', { question: id, answer: bob.view.device.code ?? '' });
    await ana.until(() => ana.view.transfers[0]?.state === 'done');
    expect(ana.view.transfers[0]).toMatchObject({ direction: 'out', files: 101, failed: 0 });
    await bob.until(() => bob.view.transfers[0]?.state === 'done');
    expect(bob.view.transfers[0]).toMatchObject({ direction: 'in', device: { name: 'Ana' } });
    expect((await readFile(join(into('Bob'), 'big.bin'))).equals(big)).toBe(true);
    for (const [path, bytes] of Object.entries(small))
      expect((await readFile(join(into('Bob'), path))).equals(bytes)).toBe(true);
    await ana.until(() => ana.view.known.length === 1);
    expect(ana.view.known).toMatchObject([{ name: 'Bob' }]);
    await bob.until(() => bob.view.history.length === 1);

    await ana.command('send', { to, loan: await ana.lend({ 'more.txt': randomBytes(5) }) });
    const asked = await bob.question('accept');
    expect(asked).toMatchObject({
      device: { name: 'Ana' },
      known: true,
      offer: { roots: ['more.txt'] },
    });
    await bob.command('answer', { question: asked.id, answer: false });
    await ana.until(() => ana.view.transfers[0]?.state === 'declined');
    await ana.command('send', { to, text: 'hello <b>\n\u202eyou' });
    await bob.until(() => bob.view.messages.length === 1);
    expect(bob.view.messages[0]).toMatchObject({ from: { name: 'Ana' } });
    expect(bob.view.messages[0]?.text).toBe('hello <b>\n\ufffdyou');

    // The message was no yes, so that was the second no.
    await ana.command('send', { to, loan: await ana.lend({ 'more.txt': randomBytes(5) }) });
    const { id: question } = await bob.question('accept');
    await bob.command('answer', { question, answer: false });
    await bob.until(() => bob.view.troubles.length === 1);
    expect(bob.view.troubles[0]?.message).toBe(
      'You are not asked about “Ana” for the next 10 minutes: it is refused.',
    );
  });

  /** Two windows whose devices know each other, and the key of the second in the list of the first. */
  async function friends(): Promise<{
    ana: PageClient;
    bob: PageClient;
    to: string[];
    url: string;
  }> {
    const url = await window('Ana');
    const [ana, bob] = [await new PageClient(url).open(), await page('Bob')];
    const to = [await ana.device('Bob')];
    await ana.command('send', { to, text: 'It is me.' });
    const { id } = await ana.question('code');
    await ana.command('answer', { question: id, answer: bob.view.device.code ?? '' });
    await ana.until(() => ana.view.transfers[0]?.state === 'done');
    await bob.until(() => bob.view.known.length === 1);
    await bob.command('trust', { id: bob.view.known[0]?.id ?? '', trust: 'auto' });
    return { ana, bob, to, url };
  }

  test('goes on with what a closed page had begun, when the same is dropped again', async () => {
    const { ana, bob, to, url } = await friends();
    const big = randomBytes(20_000_000);
    // It never brings the last third.
    ana.onWant = async ({ loan, batch }) => {
      const body = new ReadableStream({
        start(controller) {
          for (let at = 0; at < 12_000_000; at += 100_000)
            controller.enqueue(new Uint8Array(big.subarray(at, at + 100_000)));
        },
      });
      const how = { method: 'PUT', body, duplex: 'half', signal: ana.left };
      await ana.fetch(`/api/lend/${loan}/${batch}`, how as RequestInit).catch(() => {});
      return 'brought';
    };
    const files = { 'big.bin': big };
    await ana.command('send', { to, loan: await ana.lend(files) });
    await ana.until(() => bytesIn(into('Bob')) > 8_000_000);
    await ana.close();

    const again = await new PageClient(url).open();
    await again.until(() => again.view.transfers[0]?.state === 'interrupted');
    await bob.until(() => bob.view.transfers[0]?.state === 'cancelled');
    await again.command('send', { to, loan: await again.lend(files) });
    await again.until(() => again.view.transfers[0]?.state === 'done');
    expect(again.view.transfers[0]?.resumed).toBeGreaterThan(4_000_000);
    expect((await readFile(join(into('Bob'), 'big.bin'))).equals(big)).toBe(true);
  });

  test('gives back what was lent when that is over for good, and not before', async () => {
    const { ana, to } = await friends();
    const files = { 'a.txt': Buffer.from('first') };
    await ana.command('send', { to, loan: await ana.lend(files) });
    await ana.until(() => ana.returned.length === 1);
    await ana.until(() => ana.view.transfers[0]?.state === 'done');
    // Sent to nobody that is there.
    const key = `${'0'.repeat(16)}-${'0'.repeat(8)}`;
    const lost = await ana.lend(files);
    await expect(ana.command('send', { to: [key], loan: lost })).rejects.toThrow('no longer there');
    await ana.until(() => ana.returned.includes(lost));

    const shared = await ana.lend(files);
    await ana.command('share', { loan: shared });
    await ana.until(() => ana.view.sharings[0]?.code != null);
    const big = await ana.lend({ 'big.bin': randomBytes(4_000_000) });
    let hold = (): void => {};
    const held = new Promise<void>((resolve) => {
      hold = resolve;
    });
    ana.onWant = async () => {
      await held;
      return undefined;
    };
    await ana.command('send', { to, loan: big });
    await ana.until(() => ana.view.transfers[0]?.state === 'running');
    await ana.command('pause', { transfer: ana.view.transfers[0]?.id ?? '' });
    await ana.until(() => ana.view.transfers[0]?.state === 'paused');
    expect(ana.returned).toHaveLength(2);
    await ana.command('end-sharing', { id: ana.view.sharings[0]?.id ?? '' });
    await ana.until(() => ana.returned.includes(shared));
    await ana.command('resume', { transfer: ana.view.transfers[0]?.id ?? '' });
    hold();
    await ana.until(() => ana.returned.includes(big));
    await ana.until(() => ana.view.transfers[0]?.state === 'done');
  });

  test('says who has taken back what was asked about', async () => {
    const { ana, bob, to } = await friends();
    await bob.until(() => bob.view.known.length === 1);
    await bob.command('trust', { id: bob.view.known[0]?.id ?? '', trust: 'ask' });
    await ana.command('send', { to, loan: await ana.lend({ a: randomBytes(5) }) });
    await bob.question('accept');
    const ours = () => ana.view.transfers[0];
    await ana.until(() => ours()?.what[0] === 'a' && ours()?.state === 'waiting');
    await ana.command('cancel', { transfer: ours()?.id ?? '' });
    await bob.until(() => bob.view.troubles.length === 1 && bob.view.questions.length === 0);
    expect(bob.view.troubles[0]?.message).toBe('Ana: The other side stopped the transfer.');
  });

  test('pauses, goes on, and stops, on either side', async () => {
    const { ana, bob, to } = await friends();
    const bytes = randomBytes(4_000_000);
    let go = (): void => {};
    /** Nothing more comes until `go`. */
    const hold = (): void => {
      const held = new Promise<undefined>((resolve) => {
        go = () => resolve(undefined);
      });
      ana.onWant = () => held;
    };
    const latest = (client: PageClient) => client.view.transfers[0];
    const begin = async (path: string): Promise<string> => {
      hold();
      await ana.command('send', { to, loan: await ana.lend({ [path]: bytes }) });
      await ana.until(() => latest(ana)?.what[0] === path && latest(ana)?.state === 'running');
      return latest(ana)?.id ?? '';
    };

    const paused = await begin('paused');
    await ana.command('pause', { transfer: paused });
    await ana.until(() => latest(ana)?.can.join() === 'resume,cancel');
    go();
    await expect(ana.until(() => latest(ana)?.state === 'done', 1_000)).rejects.toThrow('In vain');
    expect(latest(ana)?.state).toBe('paused');
    await bob.until(() => latest(bob)?.state === 'held');
    await ana.command('resume', { transfer: paused });
    await ana.until(() => latest(ana)?.state === 'done');
    expect((await readFile(join(into('Bob'), 'paused'))).equals(bytes)).toBe(true);

    await begin('held');
    await bob.until(() => latest(bob)?.state === 'running');
    await bob.command('pause', { transfer: latest(bob)?.id ?? '' });
    await ana.until(() => latest(ana)?.state === 'held');
    expect(latest(ana)).toMatchObject({ rate: 0, can: ['cancel'] });
    await bob.until(() => latest(bob)?.can.join() === 'resume,cancel');
    expect(latest(bob)?.state).toBe('paused');
    go();
    await expect(bob.until(() => latest(bob)?.state === 'done', 1_000)).rejects.toThrow('In vain');
    await bob.command('resume', { transfer: latest(bob)?.id ?? '' });
    await ana.until(() => latest(ana)?.state === 'done');
    expect((await readFile(join(into('Bob'), 'held'))).equals(bytes)).toBe(true);

    await ana.command('cancel', { transfer: await begin('cancelled') });
    await ana.until(() => latest(ana)?.state === 'cancelled');
    await bob.until(() => latest(bob)?.state === 'cancelled');

    await begin('unwanted');
    await bob.until(() => latest(bob)?.state === 'running');
    await bob.command('cancel', { transfer: latest(bob)?.id ?? '' });
    await bob.until(() => latest(bob)?.state === 'cancelled');
    await ana.until(() => latest(ana)?.state === 'cancelled');
    await ana.command('dismiss', { id: latest(ana)?.id ?? '' });
    await ana.until(() => latest(ana)?.what[0] === 'cancelled');
  });

  test('fetches a part of what somebody shares, and lets it rest, of which that one hears', async () => {
    const shared = join(folder.path, 'photos');
    await mkdir(shared);
    for (const name of ['a.jpg', 'b.jpg'])
      await writeFile(join(shared, name), name.repeat(100_000));
    const sharing = share([shared], {
      ...{ home: join(folder.path, 'sharer'), name: 'Eve', interfaces: ['lo'] },
      // It takes so long that it is still on its way, however late that is seen.
      ...{ signal: stop.signal, limit: 80_000, compress: 'never' },
    });
    let code = '';
    let rested = (): void => {};
    const resting = new Promise<void>((resolve) => {
      rested = resolve;
    });
    running.push(
      (async () => {
        for await (const event of sharing) {
          if (event.event === 'ready') code = event.code ?? '';
          if (event.event === 'paused' && event.by === 'there') rested();
        }
      })(),
    );
    const ana = await page('Ana');
    const from = await ana.device('Eve');
    await ana.command('get', { from });
    const asked = await ana.question('code');
    await ana.command('answer', { question: asked.id, answer: code });
    const offer = await ana.question('offer');
    // Once too often: nothing comes of it.
    await ana.command('get', { from });
    expect(offer.parts).toMatchObject([{ path: 'photos/a.jpg' }, { path: 'photos/b.jpg' }]);
    await ana.command('answer', { question: offer.id, answer: ['photos/b.jpg'] });
    await ana.until(() => (ana.view.transfers[0]?.bytes ?? 0) > 20_000);
    const transfer = ana.view.transfers[0]?.id ?? '';
    await ana.command('pause', { transfer });
    await ana.until(() => ana.view.transfers[0]?.state === 'paused');
    await resting;
    await ana.command('resume', { transfer });
    await ana.until(() => ana.view.transfers[0]?.state === 'done');
    // The connection was never given up.
    expect(ana.view.transfers[0]).toMatchObject({ direction: 'in', files: 1, resumed: 0 });
    expect(ana.view.transfers[0]?.what).toEqual(['photos/b.jpg']);
    expect(ana.view.transfers).toHaveLength(1);
    expect(await readFile(join(into('Ana'), 'photos/b.jpg'), 'utf8')).toBe('b.jpg'.repeat(100_000));
    await expect(readFile(join(into('Ana'), 'photos/a.jpg'))).rejects.toThrow();
  });

  test('lets others fetch what a page lends, as long as that is open', async () => {
    const { ana, bob } = await friends();
    const bytes = randomBytes(300_000);
    await ana.command('share', { loan: await ana.lend({ 'slides/a.pdf': bytes }) });
    await ana.until(() => ana.view.sharings[0]?.code?.length === 6);
    expect(ana.view.sharings[0]).toMatchObject({ what: ['slides'], fetched: 0, locked: false });
    const sharer = () => bob.view.nearby.find(({ shares }) => shares);
    await bob.until(() => sharer() !== undefined);
    // What is our own is no device nearby.
    expect(ana.view.nearby.map(({ name }) => name)).toEqual(['Bob']);
    let go = (): void => {};
    const held = new Promise<undefined>((resolve) => {
      go = () => resolve(undefined);
    });
    ana.onWant = () => held;
    await bob.command('get', { from: sharer()?.key ?? '' });
    const asked = await ana.question('fetch');
    expect(asked).toMatchObject({ device: { name: 'Bob' }, what: ['slides'] });
    await ana.command('answer', { question: asked.id, answer: true });
    const offer = await bob.question('offer');
    await bob.command('answer', { question: offer.id, answer: true });
    await ana.until(() => ana.view.transfers[0]?.state === 'running');
    const transfer = ana.view.transfers[0]?.id ?? '';
    await ana.command('pause', { transfer });
    await bob.until(() => bob.view.transfers[0]?.state === 'held');
    await ana.command('resume', { transfer });
    await bob.until(() => bob.view.transfers[0]?.state === 'running');
    go();
    await bob.until(() => bob.view.transfers[0]?.state === 'done');
    await ana.until(() => ana.view.sharings[0]?.fetched === 1);
    await ana.until(() => ana.view.transfers[0]?.state === 'done');
    expect(ana.view.transfers[0]?.direction).toBe('out');
    expect((await readFile(join(into('Bob'), 'slides/a.pdf'))).equals(bytes)).toBe(true);

    await ana.command('end-sharing', { id: ana.view.sharings[0]?.id ?? '' });
    await ana.until(() => ana.view.sharings.length === 0);
    await bob.until(() => sharer() === undefined);
    await ana.command('share', { loan: await ana.lend({ more: bytes }) });
    await bob.until(() => sharer() !== undefined);
    await ana.close();
    await bob.until(() => sharer() === undefined);
  });

  test('shows what is fetched under a name that was heard here before, and can end it', async () => {
    const ana = await page('Ana');
    await using eve = await Rogue.make();
    await eve.befriend({ state: join(folder.path, 'home of Ana') }, 'Eve', 'auto');
    await ana.until(() => ana.view.device.addresses.length > 0);
    const port = Number(/\d+$/.exec(ana.view.device.addresses[0] ?? '')?.[0]);
    const sending = await eve.call(port);
    await sending.deliver([file('note', 'of Eve')]);
    await ana.until(() => ana.view.transfers[0]?.state === 'done');
    const transfer = sending.heard.find((one) => one.type === 'begun')?.transfer ?? '';

    await ana.command('share', { loan: await ana.lend({ a: randomBytes(300_000) }) });
    const fetching = await eve.fetch(await portOfSharer(stop.signal));
    await fetching.hear('offer');
    fetching.say({ type: 'begun', transfer, digest: 'sha256', codecs: [] });
    fetching.say({ type: 'accept' });
    await ana.until(() => ana.view.transfers.length === 2);
    expect(ana.view.transfers[0]).toMatchObject({ direction: 'out', can: ['pause', 'cancel'] });
    await ana.command('cancel', { transfer: ana.view.transfers[0]?.id ?? '' });
    expect(await fetching.end()).toBe('cancelled');
  });

  test('has one page call for what none shows, until one does or it is answered', async () => {
    const url = await window('Ana');
    const [ana, other] = [await new PageClient(url).open(), await new PageClient(url).open()];
    const bob = await page('Bob');
    const sight = (page: PageClient, how: 'in-sight' | 'calling' | 'silent') =>
      page.command('sight', { page: page.name, sight: how });
    const to = [await bob.device('Ana')];
    await bob.command('send', { to, text: 'It is me.' });
    const { id } = await bob.question('code');
    await bob.command('answer', { question: id, answer: ana.view.device.code ?? '' });
    await ana.until(() => ana.view.messages.length === 1);
    // Both could be seen.
    expect(ana.view.calls).toEqual([]);

    await sight(ana, 'silent');
    await sight(other, 'calling');
    await bob.command('send', { to, loan: await bob.lend({ 'a.txt': randomBytes(5) }) });
    const asked = await ana.question('accept');
    const title = 'Bob wants to send you something';
    await ana.until(() => ana.view.calls.length === 1);
    expect(ana.view.calls).toEqual([{ id: asked.id, page: other.name, title, body: '5 B' }]);
    // The other one is closed: nobody can call any more, until this one may.
    await other.close();
    await ana.until(() => ana.view.calls.length === 0);
    await sight(ana, 'calling');
    await ana.until(() => ana.view.calls[0]?.page === ana.name);
    await ana.command('answer', { question: asked.id, answer: true });
    await ana.until(() => ana.view.calls[0]?.title === '1 file arrived');
    await sight(ana, 'in-sight');
    await ana.until(() => ana.view.calls.length === 0);
  });

  test('waits for no page to come back once it has ended', async () => {
    await page('Ana');
    const waiting = vi.spyOn(globalThis, 'setTimeout');
    onTestFinished(() => void waiting.mockRestore());
    stop.abort();
    await Promise.allSettled(running.splice(0));
    expect(waiting.mock.calls.map(([, ms]) => ms)).not.toContain(PAGE_GRACE);
  });

  describe('is closed to', () => {
    const EVENTS = '/api/events';

    /** The status that somebody gets who asks with these headers, and sends them as they are. */
    async function status(
      url: string,
      path: string,
      { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
    ): Promise<number> {
      const { hostname, port } = new URL(url);
      return new Promise((resolve, reject) => {
        const asking = request({ hostname, port, path, method, headers }, (response) => {
          resolve(response.statusCode ?? 0);
          response.destroy();
        });
        asking.once('error', reject).end();
      });
    }

    const token = (url: string): Record<string, string> => ({
      authorization: `Bearer ${new URL(url).hash.slice(1)}`,
    });

    test('whoever has no token, or another one', async () => {
      const url = await window('Ana');
      expect(await status(url, '/')).toBe(200);
      for (const path of [EVENTS, '/api/doctor', '/api/lend/1/1', '/api/', '/api/nothing'])
        for (const authorization of ['', 'Bearer ', `Bearer ${'A'.repeat(22)}`, 'Basic Og=='])
          for (const method of ['GET', 'POST', 'PUT'])
            expect(await status(url, path, { method, headers: { authorization } })).toBe(401);
      expect(await status(url, EVENTS, { headers: token(url) })).toBe(200);
      // Whoever would rather speak something else is answered as if they had not said so.
      const upgrade = { connection: 'Upgrade', upgrade: 'h2c', ...token(url) };
      expect(await status(url, '/icon.svg', { headers: upgrade })).toBe(200);
    });

    test('pages of other sites, also where a name of theirs leads here', async () => {
      const url = await window('Ana');
      const { port } = new URL(url);
      const mine = token(url);
      const names = [`evil.example:${port}`, 'evil.example', '127.0.0.1', `127.0.0.1:${port}.evil`];
      for (const host of names)
        for (const path of ['/', EVENTS])
          expect(await status(url, path, { headers: { ...mine, host } })).toBe(421);
      const foreign = [
        { origin: 'http://evil.example' },
        { origin: 'null' },
        { origin: `https://127.0.0.1:${port}` },
        { origin: 'http://127.0.0.1:1' },
        { 'sec-fetch-site': 'cross-site' },
        { 'sec-fetch-site': 'same-site' },
      ];
      for (const headers of foreign)
        for (const method of ['GET', 'POST'])
          expect(await status(url, EVENTS, { method, headers: { ...mine, ...headers } })).toBe(403);
    });

    test('commands that are none', async () => {
      const client = await page('Ana');
      const post = async (name: string, body: string): Promise<number> =>
        (await client.fetch(`/api/${name}`, { method: 'POST', body })).status;
      expect(await post('__proto__', '{}')).toBe(404);
      expect(await post('constructor', '{}')).toBe(404);
      expect(await post('send/more', '{}')).toBe(404);
      for (const body of [
        '',
        '[]',
        '{"to":[]}',
        '{"to":["x"],"text":"y","shell":"rm"}',
        '{"to":"x"}',
        '{',
      ])
        expect(await post('send', body)).toBe(400);
      expect(await post('send', '{"to":["0123456789abcdef-01234567"],"text":"x"}')).toBe(409);
      expect(await post('send', '{"to":["Bob"],"loan":"ffffffffffffffff"}')).toBe(400);
      expect(await post('forget', '{"id":"nobody"}')).toBe(409);
    });

    test('more pages than there may be', async () => {
      const url = await window('Ana');
      const pages = Array.from({ length: MAX_PAGES }, () => new PageClient(url));
      for (const one of pages) await one.open();
      expect(await status(url, EVENTS, { headers: token(url) })).toBe(409);
      for (const one of pages) await one.close();
    });
  });
});
