import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { type ClientRequest, request } from 'node:http';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Pace } from '../../src/handover/pace.ts';
import { openShelf, type Shelf, type ShelfEntry } from '../../src/handover/shelf.ts';
import { MAX_DOWNLOADS_EACH, MAX_LISTED, MAX_LISTED_IN_ALL } from '../../src/limits.ts';
import { newFolder } from '../disk/support.ts';
import { content } from '../support/content.ts';
import { finished } from '../support/process.ts';
import { describeWith } from '../support/skip.ts';
import { connectionOf, Handed } from './support.ts';

const MiB = 1024 * 1024;
const LONG_AGO = 1e9;

/** A folder `tree` with these files in it, each with its own content. */
function treeOf(files: Readonly<Record<string, string | Buffer>>): string {
  const tree = join(newFolder(), 'tree');
  mkdirSync(tree);
  for (const [path, bytes] of Object.entries(files)) {
    mkdirSync(join(tree, path, '..'), { recursive: true });
    writeFileSync(join(tree, path), bytes);
    utimesSync(join(tree, path), LONG_AGO, LONG_AGO);
  }
  return tree;
}

function random(seed: string, size: number): Buffer {
  return Buffer.concat([...content(seed, size)]);
}

/** The addresses that a page leads to, in order. */
function linksIn(page: string): string[] {
  return Array.from(page.matchAll(/<a [^>]*href="([^"]*)"/g), ([, to = '']) =>
    to.replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code))),
  );
}

/** A shelf, but for some of what it does. */
function shelfLike(shelf: Shelf, other: Partial<Shelf>): Shelf {
  return {
    roots: shelf.roots,
    find: (path) => shelf.find(path),
    list: (folder) => shelf.list(folder),
    walk: (folder) => shelf.walk(folder),
    read: (file, part) => shelf.read(file, part),
    ...other,
  };
}

describe('a page', () => {
  test('lists what is shared, and leads to it', async () => {
    const tree = treeOf({ 'a.txt': 'abc', '.hidden': '', 'sub/b.txt': 'b' });
    const handed = await Handed.open([tree, join(tree, 'a.txt')]);
    const { pathname: root } = new URL(handed.url);
    const top = await handed.ask('');
    expect(top.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': expect.stringContaining("default-src 'none'"),
      'x-frame-options': 'DENY',
      'referrer-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'cache-control': 'no-store',
    });
    expect(linksIn(top.text)).toEqual([
      `${root}everything.zip`,
      `${root}in/tree/`,
      `${root}get/a.txt`,
    ]);
    const inside = await handed.ask('in/tree/');
    expect(linksIn(inside.text)).toEqual([
      root,
      `${root}zip/tree.zip`,
      `${root}get/tree/.hidden`,
      `${root}get/tree/a.txt`,
      `${root}in/tree/sub/`,
    ]);
    expect(inside.text).toContain('3 B');
    expect(inside.text).toContain('<time datetime="2001-09-09">');
    for (const path of ['get/tree/sub/b.txt', 'get/a.txt', 'get/tree/.hidden'])
      expect((await handed.ask(path)).status).toBe(200);
  });

  test('says what the link is and is not', async () => {
    const handed = await Handed.open([treeOf({ a: 'a' })]);
    const { text } = await handed.ask('');
    for (const words of ['Whoever has it', 'not encrypted', 'cannot check', 'drop get'])
      expect(text).toContain(words);
  });

  test('shows names as text, whatever is in them, and leads to just those files', async () => {
    const names = [
      `<img src=x onerror=alert(1)>`,
      `"quotes" & 'more'`,
      '日本語 ü ﬃ 🎉',
      '#?%25;+ &amp;',
      '-rf',
      '..hidden',
      ' blanks ',
      'line\nbreak\x1b[31m',
      '\u202egnp.exe',
      "javascript:alert('1')",
      '`a` {b} $c',
    ];
    const tree = treeOf(Object.fromEntries(names.map((name) => [name, `in ${name}`])));
    const handed = await Handed.open([tree]);
    const { text } = await handed.ask('in/tree/');
    expect(text).not.toMatch(/<img|<script|(?!\n)\p{Cc}|\u202e/u);
    const files = linksIn(text).filter((to) => to.includes('/get/'));
    const got = new Set<string>();
    for (const to of files) {
      expect(to.startsWith(`${new URL(handed.url).pathname}get/tree/`)).toBe(true);
      const {
        status,
        headers,
        text: bytes,
      } = await handed.ask(to.slice(new URL(handed.url).pathname.length));
      expect(status).toBe(200);
      expect(headers).toMatchObject({
        'content-type': 'application/octet-stream',
        'x-content-type-options': 'nosniff',
        'content-disposition': expect.stringMatching(
          /^attachment; filename="(?:(?!["\\])[ -~])+"; filename\*=UTF-8''[\w%.~-]+$/,
        ),
      });
      got.add(bytes);
    }
    expect(got).toEqual(new Set(names.map((name) => `in ${name}`)));
  });

  test('tells a browser the name of a file, also one that a header cannot hold', async () => {
    const tree = treeOf({ 'ü "日".txt': '', 'a\u202egnp.exe': '' });
    const handed = await Handed.open([tree]);
    const said = async (name: string) =>
      (await handed.ask(`get/tree/${encodeURIComponent(name)}`)).headers['content-disposition'];
    expect(await said('ü "日".txt')).toBe(
      `attachment; filename="_ ___.txt"; filename*=UTF-8''%C3%BC%20%22%E6%97%A5%22.txt`,
    );
    expect(await said('a\u202egnp.exe')).toBe(
      `attachment; filename="a_gnp.exe"; filename*=UTF-8''a_gnp.exe`,
    );
  });

  test.each([
    'x',
    'get/',
    'get/tree',
    'get/tree/missing',
    'get/../tree/a',
    'get/tree/../../outside',
    'get/tree/%2e%2e/%2e%2e/outside',
    'get/tree%2fa',
    'get/tree/..%2f..%2foutside',
    'get/tree/%00',
    'get/tree/%ff',
    'get/tree/%',
    'get//tree/a',
    'get/tree/link',
    'get/tree/out',
    'get/tree/left-out',
    'in/tree/a',
    'in/tree/?page=0',
    'in/tree/?page=2',
    'zip/tree/a.zip',
    'zip/.zip',
    'everything',
  ])('is nothing at %s', async (path) => {
    const tree = treeOf({ a: 'a', 'left-out': 'kept secret' });
    writeFileSync(join(tree, '../outside'), 'kept secret');
    symlinkSync('a', join(tree, 'link'));
    symlinkSync('../outside', join(tree, 'out'));
    const handed = await Handed.open([tree], { exclude: ['left-out'] });
    const { status, text } = await handed.ask(path);
    expect(status).toBe(404);
    expect(text).not.toContain('kept secret');
  });

  test('lists a large folder page by page, and the largest as far as that goes', async () => {
    const tree = treeOf({});
    const shelf = await openShelf([tree]);
    const handed = await Handed.open([], {
      shelf: shelfLike(shelf, {
        async *list() {
          for (let n = 0; ; n++) yield { kind: 'folder', path: `tree/${n}`, mtime: 0 };
        },
      }),
    });
    const pages = MAX_LISTED_IN_ALL / MAX_LISTED;
    const seen = new Set<string>();
    for (const page of [1, 2, pages]) {
      const { status, text } = await handed.ask(`in/tree/?page=${page}`);
      expect(status).toBe(200);
      const links = linksIn(text);
      const folders = links.filter((to) => /\/in\/tree\/\d+\/$/.test(to));
      expect(folders).toHaveLength(MAX_LISTED);
      for (const to of folders) seen.add(to);
      const others = links.filter((to) => to.startsWith('?'));
      expect(others).toEqual(
        [page - 1, page + 1].filter((n) => n > 0 && n <= pages).map((n) => `?page=${n}`),
      );
      expect(text.includes('There is more in this folder')).toBe(page === pages);
    }
    expect(seen.size).toBe(3 * MAX_LISTED);
    expect((await handed.ask(`in/tree/?page=${pages + 1}`)).status).toBe(404);
  });

  test.each(['POST', 'PUT'])('takes no %s', async (method) => {
    const handed = await Handed.open([treeOf({ a: 'a' })]);
    expect(await handed.ask('get/tree/a', { method })).toMatchObject({
      status: 405,
      headers: { allow: 'GET, HEAD' },
    });
  });

  test('says that it cannot hand out what cannot be read or has gone', async () => {
    const tree = treeOf({ a: 'a' });
    const server = createServer().listen(join(tree, 'socket'));
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    const handed = await Handed.open([tree]);
    expect((await handed.ask('in/tree/')).text).toContain('Not shared');
  });
});

describe('a file', () => {
  const bytes = random('file', 3 * MiB + 5);

  async function handedFile(options: Parameters<typeof Handed.open>[1] = {}) {
    const tree = treeOf({ large: bytes });
    return { path: join(tree, 'large'), handed: await Handed.open([tree], options) };
  }

  test('comes as it is, and is told of when it was there as a whole', async () => {
    const { handed } = await handedFile();
    const got = await handed.ask('get/tree/large');
    expect(got.headers).toMatchObject({
      'content-length': String(bytes.length),
      'accept-ranges': 'bytes',
      etag: expect.stringMatching(/^"[\w.-]+"$/),
      'last-modified': new Date(LONG_AGO * 1000).toUTCString(),
    });
    expect(got.body.equals(bytes)).toBe(true);
    await expect
      .poll(() => handed.told)
      .toEqual([
        {
          event: 'downloaded',
          from: '127.0.0.1',
          path: 'tree/large',
          bytes: bytes.length,
          whole: true,
        },
      ]);
  });

  test('has a head that says the same, and nothing behind it', async () => {
    const { handed } = await handedFile();
    const whole = await handed.ask('get/tree/large');
    const head = await handed.ask('get/tree/large', { method: 'HEAD' });
    expect(head.status).toBe(200);
    expect(head.body.length).toBe(0);
    const without = ({ date: _, ...headers }: typeof head.headers) => headers;
    expect(without(head.headers)).toEqual(without(whole.headers));
  });

  test('comes by its name right behind the link too, whole, in parts and as a head', async () => {
    const { handed } = await handedFile();
    const { date: _, ...headers } = (await handed.ask('get/tree/large', { method: 'HEAD' }))
      .headers;
    // A link ends with a slash, to which somebody may put another one.
    for (const path of ['tree/large', '/tree/large'])
      expect((await handed.ask(path)).body.equals(bytes)).toBe(true);
    const { date: __, ...same } = (await handed.ask('tree/large', { method: 'HEAD' })).headers;
    expect(same).toEqual(headers);
    const part = await handed.ask('tree/large', { headers: { Range: 'bytes=-7' } });
    expect(part.status).toBe(206);
    expect(part.body.equals(bytes.subarray(-7))).toBe(true);
    for (const none of ['tree', 'tree/', 'tree/large/', 'large', 'tree%2flarge', '../tree/large'])
      expect((await handed.ask(none)).status).toBe(404);
  });

  test('that is called like something of the page comes below `get` alone', async () => {
    const tree = treeOf({
      'everything.zip': 'mine',
      'in/x': '',
      'zip/x': '',
      'get/x': '',
      '-/x': '',
    });
    const names = ['everything.zip', 'in', 'zip', 'get', '-'];
    const handed = await Handed.open(names.map((name) => join(tree, name)));
    expect((await handed.ask('everything.zip')).body.subarray(0, 2).toString()).toBe('PK');
    expect((await handed.ask('get/everything.zip')).text).toBe('mine');
    for (const name of ['in', 'zip', 'get', '-']) {
      expect((await handed.ask(`${name}/x`)).status).toBe(404);
      expect((await handed.ask(`get/${name}/x`)).status).toBe(200);
    }
  });

  test('comes in parts', async () => {
    const { handed } = await handedFile();
    for (const [range, from, to] of [
      ['bytes=0-0', 0, 1],
      [`bytes=${MiB}-`, MiB, bytes.length],
      ['bytes=-7', bytes.length - 7, bytes.length],
      ['bytes=5-1048999', 5, 1_049_000],
    ] as const) {
      const got = await handed.ask('get/tree/large', { headers: { Range: range } });
      expect(got).toMatchObject({
        status: 206,
        headers: {
          'content-range': `bytes ${from}-${to - 1}/${bytes.length}`,
          'content-length': String(to - from),
        },
      });
      expect(got.body.equals(bytes.subarray(from, to))).toBe(true);
    }
    const behind = await handed.ask('get/tree/large', {
      headers: { Range: `bytes=${bytes.length}-` },
    });
    expect(behind).toMatchObject({
      status: 416,
      headers: { 'content-range': `bytes */${bytes.length}`, 'content-length': '0' },
    });
    // Who asks for the head asks for that of the whole (RFC 9110, 14.2).
    const head = { method: 'HEAD', headers: { Range: 'bytes=0-0' } };
    expect(await handed.ask('get/tree/large', head)).toMatchObject({
      status: 200,
      headers: { 'content-length': String(bytes.length) },
    });
  });

  test('in two parts is told of once', async () => {
    const { handed } = await handedFile();
    await handed.ask('get/tree/large', { headers: { Range: `bytes=${MiB}-` } });
    await handed.ask('get/tree/large', { headers: { Range: `bytes=0-${MiB - 1}` } });
    await expect
      .poll(() => handed.told.map(({ bytes, whole }) => [bytes, whole]))
      .toEqual([[bytes.length, true]]);
  });

  test('is gone on with only if it is still the same', async () => {
    const { handed, path } = await handedFile();
    const { etag = '' } = (await handed.ask('get/tree/large', { method: 'HEAD' })).headers;
    const more = { headers: { Range: 'bytes=100-', 'If-Range': etag } };
    expect((await handed.ask('get/tree/large', more)).status).toBe(206);
    appendFileSync(path, 'more');
    const again = await handed.ask('get/tree/large', more);
    expect(again.status).toBe(200);
    expect(again.body.length).toBe(bytes.length + 4);
    expect(again.headers.etag).not.toBe(etag);
  });

  test('is asked for only if it is still the same, or only if it is not', async () => {
    const { handed, path } = await handedFile();
    const { etag = '', ...said } = (await handed.ask('get/tree/large', { method: 'HEAD' })).headers;
    for (const method of ['GET', 'HEAD'])
      expect(
        await handed.ask('get/tree/large', { method, headers: { 'If-None-Match': etag } }),
      ).toMatchObject({
        status: 304,
        headers: { etag, 'content-length': said['content-length'] },
        text: '',
      });
    const part = { headers: { Range: 'bytes=0-9', 'If-Match': etag } };
    expect((await handed.ask('get/tree/large', part)).status).toBe(206);
    appendFileSync(path, 'more');
    // One part of it would be of another file than the others.
    expect(await handed.ask('get/tree/large', part)).toMatchObject({
      status: 412,
      headers: { 'content-length': '0' },
    });
  });

  test('of which there is less than was found breaks off', async () => {
    const tree = treeOf({ a: 'abcdef' });
    const shelf = await openShelf([tree]);
    const handed = await Handed.open([], {
      shelf: shelfLike(shelf, {
        async *read() {
          yield Buffer.from('abc');
          // It is on its way by then.
          await setImmediate();
        },
      }),
    });
    const got = await handed.ask('get/tree/a');
    expect(got).toMatchObject({ status: 200, text: 'abc', cut: true });
    await handed.close();
    expect(handed.told).toMatchObject([{ bytes: 3, whole: false }]);
  });

  test('that changes on its way breaks off', async () => {
    const { handed, path } = await handedFile({ pace: new Pace(20 * MiB) });
    const asked = request(`${handed.url}get/tree/large`).end();
    const [answer] = await once(asked, 'response');
    let got = 0;
    const reading = (async () => {
      for await (const piece of answer) {
        if (got === 0) truncateSync(path, MiB);
        got += piece.length;
      }
    })();
    await expect(reading).rejects.toThrow(/aborted/);
    expect(got).toBeLessThan(bytes.length);
    await handed.close();
    expect(handed.told).toMatchObject([{ path: 'tree/large', whole: false }]);
  });

  test('is told of as broken off, with what of it was taken', async () => {
    const { handed } = await handedFile({ pace: new Pace(20 * MiB) });
    const asked = request(`${handed.url}get/tree/large`).end();
    const [answer] = await once(asked, 'response');
    let got = 0;
    for await (const piece of answer) {
      got += piece.length;
      if (got > MiB) break;
    }
    asked.destroy();
    await once(asked, 'close');
    await handed.close();
    expect(handed.told).toEqual([
      {
        event: 'downloaded',
        from: '127.0.0.1',
        path: 'tree/large',
        bytes: expect.any(Number),
        whole: false,
      },
    ]);
    expect(handed.told[0]?.bytes).toBeGreaterThan(0);
    expect(handed.told[0]?.bytes).toBeLessThan(bytes.length);
  });

  test('is told of with no more than was taken', async () => {
    const piece = Buffer.alloc(64 * MiB);
    const shelf = await openShelf([treeOf({ a: '' })]);
    const handed = await Handed.open([], {
      shelf: shelfLike(shelf, {
        find: async () => ({ kind: 'file', path: 'tree/a', size: 2 * piece.length, mtime: 0 }),
        async *read() {
          yield piece;
        },
      }),
    });
    const { port, pathname } = new URL(handed.url);
    const { socket } = await connectionOf(Number(port));
    socket.write(`GET ${pathname}get/tree/a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
    await once(socket, 'data');
    socket.destroy();
    await handed.close();
    // It was on its way, and nobody knows how much of it came there.
    expect(handed.told).toEqual([]);
  });

  test('has no turn any more once nobody waits for it', async () => {
    class Slow extends Pace {
      override take(_: number, signal: AbortSignal): Promise<void> {
        asked.destroy();
        return once(new EventEmitter(), 'a turn', { signal }).then(() => {});
      }
    }
    let left = (): void => {};
    const over = new Promise<void>((resolve) => {
      left = resolve;
    });
    const handed = await Handed.open([], {
      pace: new Slow(MiB),
      shelf: shelfLike(await openShelf([treeOf({ a: 'a' })]), {
        async *read() {
          try {
            yield Buffer.from('a');
          } finally {
            left();
          }
        },
      }),
    });
    const asked = request(`${handed.url}get/tree/a`).on('error', () => {});
    asked.end();
    await over;
  });

  test('is held to a rate, all of them together', async () => {
    const taken: number[] = [];
    class Watched extends Pace {
      override async take(count: number): Promise<void> {
        taken.push(count);
      }
    }
    const pace = new Watched(MiB);
    const { handed } = await handedFile({ pace });
    await handed.ask('get/tree/large');
    expect(taken.reduce((sum, count) => sum + count, 0)).toBe(bytes.length);
    expect(Math.max(...taken)).toBeLessThanOrEqual(pace.most);
  });

  test('comes to so many at a time of one source; others have their own places', async () => {
    const { handed } = await handedFile({ pace: new Pace(200_000) });
    const asked = Array.from({ length: MAX_DOWNLOADS_EACH }, () =>
      request(`${handed.url}get/tree/large`, { agent: false }).end(),
    );
    await Promise.all(asked.map((one) => once(one, 'response')));
    const path = 'get/tree/large';
    expect(await handed.ask(path)).toMatchObject({ status: 503, headers: { 'retry-after': '10' } });
    expect((await handed.ask('in/tree/')).status).toBe(200);
    const head = { method: 'HEAD' };
    expect((await handed.ask(path, { ...head, from: '127.0.0.2' })).status).toBe(200);
    for (const one of asked) one.on('error', () => {}).destroy();
    // Who has left gives the place back.
    await expect.poll(async () => (await handed.ask(path, head)).status).toBe(200);
  });

  test('takes no place for whoever left before it was found', async () => {
    const shelf = await openShelf([treeOf({ a: 'a' })]);
    let found = (): void => {};
    const finding = new Promise<void>((resolve) => {
      found = resolve;
    });
    let looks = 0;
    const handed = await Handed.open([], {
      shelf: shelfLike(shelf, {
        async find(path) {
          looks += 1;
          await finding;
          return shelf.find(path);
        },
      }),
    });
    const left = vi.spyOn(AbortController.prototype, 'abort');
    onTestFinished(() => void left.mockRestore());
    const asked = Array.from({ length: MAX_DOWNLOADS_EACH }, () =>
      request(`${handed.url}get/tree/a`, { agent: false }).on('error', () => {}),
    );
    for (const one of asked) one.end();
    await expect.poll(() => looks).toBe(MAX_DOWNLOADS_EACH);
    for (const one of asked) one.destroy();
    await expect.poll(() => left.mock.calls.length).toBeGreaterThanOrEqual(asked.length);
    found();
    expect((await handed.ask('get/tree/a')).status).toBe(200);
  });

  test('of nothing comes as nothing', async () => {
    const handed = await Handed.open([treeOf({ empty: '' })]);
    expect(await handed.ask('get/tree/empty')).toMatchObject({
      status: 200,
      headers: { 'content-length': '0' },
      text: '',
      cut: false,
    });
  });
});

describe('a zip', () => {
  test('of more than it can carry is not begun, and a page says so', async () => {
    const handed = await Handed.open([], {
      shelf: shelfLike(await openShelf([treeOf({})]), {
        async *walk() {
          for (let n = 0; ; n++) yield { kind: 'folder', path: `tree/${n}`, mtime: 0 };
        },
      }),
    });
    const got = await handed.ask('everything.zip');
    expect(got).toMatchObject({ status: 413, headers: { 'content-type': /html/ } });
    expect(got.text).toContain('Too many files for one zip');
  });

  test('is not measured for nobody', async () => {
    let looks = 0;
    let asked: ClientRequest | undefined;
    let left = (): void => {};
    const over = new Promise<void>((resolve) => {
      left = resolve;
    });
    const handed = await Handed.open([], {
      shelf: shelfLike(await openShelf([treeOf({})]), {
        async *walk() {
          try {
            for (; looks < 10_000; looks++) {
              yield { kind: 'unsendable', path: 'tree/a', reason: 'unsupported' };
              asked?.destroy();
              await setImmediate();
            }
          } finally {
            left();
          }
        },
      }),
    });
    asked = request(`${handed.url}everything.zip`).on('error', () => {});
    asked.end();
    await over;
    expect(looks).toBeLessThan(10_000);
  });

  test('of a folder has the names from there on', async () => {
    const handed = await Handed.open([treeOf({ 'sub/deep/a': 'a', other: 'b' })]);
    const { body } = await handed.ask('zip/tree/sub/deep.zip');
    const listed = body.toString('latin1').split('PK\u0001\u0002').slice(1);
    const names = listed.map((one) => one.slice(42, one.indexOf('UT', 42)));
    expect(names).toEqual(['deep/', 'deep/a']);
    const everything = await handed.ask('everything.zip', { method: 'HEAD' });
    expect(everything.headers['content-disposition']).toContain('filename="everything.zip"');
  });

  test('is read for nobody who is gone, even where nothing of it was sent yet', async () => {
    const tree = treeOf({ 'a.bin': 'a' });
    const blocks = 4096;
    let read = 0;
    let asked: ClientRequest | undefined;
    let left = (): void => {};
    const over = new Promise<void>((resolve) => {
      left = resolve;
    });
    const shelf = await openShelf([tree]);
    const large = (entry: ShelfEntry): ShelfEntry =>
      entry.kind === 'file' ? { ...entry, size: blocks * 1024 } : entry;
    const handed = await Handed.open([], {
      shelf: shelfLike(shelf, {
        async *walk(folder) {
          for await (const entry of shelf.walk(folder)) yield large(entry);
        },
        async *read() {
          try {
            for (; read < blocks; read++) {
              yield Buffer.alloc(1024);
              asked?.destroy();
              await setImmediate();
            }
          } finally {
            left();
          }
        },
      }),
    });
    const { headers } = await handed.ask('everything.zip', { method: 'HEAD' });
    const last = Number(headers['content-length']) - 1;
    asked = request(`${handed.url}everything.zip`, { headers: { Range: `bytes=${last}-` } });
    asked.on('error', () => {}).end();
    await over;
    expect(read).toBeLessThan(blocks);
  });

  test('says how long it is, and comes in parts, like a file', async () => {
    const tree = treeOf({ 'a/b': random('b', MiB), 'a/c': 'c' });
    const handed = await Handed.open([tree]);
    const whole = await handed.ask('zip/tree/a.zip');
    expect(whole.headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-length': String(whole.body.length),
      'content-disposition': `attachment; filename="a.zip"; filename*=UTF-8''a.zip`,
      'accept-ranges': 'bytes',
    });
    const { etag = '' } = whole.headers;
    const more = { headers: { Range: 'bytes=1000000-', 'If-Range': etag } };
    const rest = await handed.ask('zip/tree/a.zip', more);
    expect(rest.status).toBe(206);
    expect(rest.body.equals(whole.body.subarray(1_000_000))).toBe(true);
    writeFileSync(join(tree, 'a/d'), 'd');
    expect((await handed.ask('zip/tree/a.zip', more)).status).toBe(200);
  });

  test('is read no further than the part that is asked for', async () => {
    const bytes = random('a', MiB);
    const read: string[] = [];
    const handed = await Handed.open([], {
      shelf: shelfLike(await openShelf([treeOf({ a: bytes, b: 'b' })]), {
        async *read({ path, size }) {
          for (let at = 0; at < size; at += 1024) {
            read.push(`${path} ${at}`);
            yield bytes.subarray(at, at + 1024);
          }
        },
      }),
    });
    const headers = { Range: 'bytes=1000-1000' };
    expect((await handed.ask('everything.zip', { headers })).body).toHaveLength(1);
    await handed.close();
    expect(read).toEqual(['tree/a 0']);
  });

  test('has no byte more on the line than the part that is asked for', async () => {
    const handed = await Handed.open([treeOf({ a: random('a', MiB) })]);
    const { port, pathname } = new URL(handed.url);
    const { socket, closed } = await connectionOf(Number(port));
    const pieces: Buffer[] = [];
    socket.on('data', (bytes) => pieces.push(bytes));
    const head = 'HTTP/1.1\r\nHost: 127.0.0.1\r\nRange: bytes=0-9\r\nConnection: close\r\n\r\n';
    socket.write(`GET ${pathname}everything.zip ${head}`);
    await closed;
    const all = Buffer.concat(pieces);
    expect(all.length - all.indexOf('\r\n\r\n') - 4).toBe(10);
  });

  test('that changes on its way breaks off', async () => {
    const tree = treeOf({ a: random('a', 2 * MiB), b: 'b' });
    const handed = await Handed.open([tree], { pace: new Pace(20 * MiB) });
    const asked = request(`${handed.url}everything.zip`).end();
    const [answer] = await once(asked, 'response');
    const reading = (async () => {
      let isFirst = true;
      for await (const _ of answer) {
        if (isFirst) appendFileSync(join(tree, 'b'), 'more');
        isFirst = false;
      }
    })();
    await expect(reading).rejects.toThrow(/aborted/);
  });

  test('is told of as the folder that it is of', async () => {
    const handed = await Handed.open([treeOf({ 'a/b': 'b' })]);
    for (const path of ['zip/tree/a.zip', 'everything.zip']) await handed.ask(path);
    await expect
      .poll(() => handed.told.map(({ path, whole }) => [path, whole]))
      .toEqual([
        ['tree/a', true],
        ['', true],
      ]);
  });
});

/** Passes connections on, and cuts the first one when so many bytes have come. */
async function cuttingProxy(to: string, after: number): Promise<string> {
  const { port, pathname } = new URL(to);
  let isFirst = true;
  const server = createServer((client) => {
    const cut = isFirst;
    isFirst = false;
    const upstream = connect(Number(port), '127.0.0.1');
    client.on('error', () => upstream.destroy()).on('close', () => upstream.destroy());
    upstream.on('error', () => client.destroy());
    client.pipe(upstream);
    let passed = 0;
    upstream.on('data', (piece: Buffer) => {
      passed += piece.length;
      client.write(piece);
      if (cut && passed > after) client.end(() => upstream.destroy());
    });
    upstream.on('end', () => client.end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return `http://127.0.0.1:${address.port}${pathname}`;
}

describeWith(['curl', 'wget'], 'a download that broke off', () => {
  const bytes = random('resumed', 8 * MiB);

  test.each([
    ['curl', ['curl', '-fsS', '-C', '-', '-O']],
    ['wget', ['wget', '-q', '-c', '-t', '1']],
  ])('is completed by %s, a file as well as a zip', async (_, [command = '', ...args]) => {
    const handed = await Handed.open([treeOf({ 'sub/large': bytes, 'sub/other': 'other' })]);
    const zip = (await handed.ask('zip/tree/sub.zip')).body;
    for (const [path, name, whole] of [
      ['get/tree/sub/large', 'large', bytes],
      ['zip/tree/sub.zip', 'sub.zip', zip],
    ] as const) {
      const cwd = newFolder();
      const url = await cuttingProxy(handed.url, 4 * MiB);
      const first = await finished(spawn(command, [...args, `${url}${path}`], { cwd }));
      expect(first.code).not.toBe(0);
      const half = readFileSync(join(cwd, name)).length;
      expect(half).toBeGreaterThan(2 * MiB);
      expect(half).toBeLessThan(whole.length);
      const second = await finished(spawn(command, [...args, `${url}${path}`], { cwd }));
      expect(second).toMatchObject({ code: 0, stderr: '' });
      expect(readFileSync(join(cwd, name)).equals(whole)).toBe(true);
    }
    // It was not sent twice.
    expect(handed.told.filter(({ whole }) => whole).map(({ path }) => path)).toContain(
      'tree/sub/large',
    );
  });
});

describeWith(['curl', 'wget'], 'a link with a PIN', () => {
  test.each([
    ['curl', ['-fsS', '-u', 'guest:Tulip-4711', '-o', 'got']],
    ['wget', ['-q', '--user=guest', '--password=Tulip-4711', '-O', 'got']],
  ])('lets %s in that is told it', async (command, args) => {
    const handed = await Handed.open([treeOf({ a: 'content' })], { pin: 'Tulip-4711' });
    const cwd = newFolder();
    const ended = await finished(spawn(command, [...args, `${handed.url}get/tree/a`], { cwd }));
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(readFileSync(join(cwd, 'got'), 'utf8')).toBe('content');
  });
});
