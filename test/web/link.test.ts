import { describe, expect, test, vi } from 'vitest';
import {
  CODE_LIMITS,
  MAX_FORM,
  MAX_PAGE_CONNECTIONS,
  MAX_PAGE_CONNECTIONS_EACH,
  MAX_SOURCES,
  MAX_WRONG_LINKS,
  MAX_WRONG_PAGE_PINS,
  WRONG_LINKS_FOR,
} from '../../src/limits.ts';
import { isLiteral } from '../../src/web/guests/link.ts';
import { ask, connectionOf, linkFor } from './support.ts';

const PIN = 'Tulip-4711';

describe('a link', () => {
  test('answers whoever has its token, and nobody else anything', async () => {
    const link = await linkFor({});
    expect(link.token).toMatch(/^[\w-]{22}$/);
    expect(await ask(link.port, `/${link.token}/a/b?c`)).toMatchObject({
      status: 200,
      text: 'here: /a/b',
    });
    const other = `${link.token.startsWith('A') ? 'B' : 'A'}${link.token.slice(1)}`;
    for (const path of [
      '/',
      '/favicon.ico',
      `/${other}/`,
      `/${link.token}x/`,
      `/${link.token.slice(1)}/`,
      `//${link.token}/`,
      `/${link.token}%2f`,
      `/x/../${link.token}/`,
    ])
      expect(await ask(link.port, path)).toMatchObject({ status: 404, text: 'Not found.\n' });
    // All who have none are told the same, whatever they ask for.
    expect((await ask(link.port, '/-/style.css')).status).toBe(404);
  });

  test('leads on from its token without the slash', async () => {
    const link = await linkFor({});
    expect(await ask(link.port, `/${link.token}`)).toMatchObject({
      status: 308,
      headers: { location: `/${link.token}/` },
      text: 'The link ends with a slash.\n',
    });
  });

  test('is another one each time', async () => {
    const [one, other] = [await linkFor({}), await linkFor({})];
    expect(one.token).not.toBe(other.token);
  });

  test('is told for each address that a browser can use, the easy ones first', async () => {
    const { at, port, token } = await linkFor({});
    expect(
      at(['[2001:db8::1]:23767', '[fe80::1%eth0]:23767', '192.168.1.20:23767', '10.0.0.1:1']),
    ).toEqual([
      `http://192.168.1.20:${port}/${token}/`,
      `http://10.0.0.1:${port}/${token}/`,
      `http://[2001:db8::1]:${port}/${token}/`,
    ]);
    expect(at(['[fe80::1%eth0]:23767', '[fe80::2]:1', '[FEBF::1]:1'])).toEqual([]);
  });

  test('answers no more wrong tokens of a source for a while, but the right one', async () => {
    const link = await linkFor({});
    const wrong = `/${'x'.repeat(22)}/`;
    for (let n = 0; n < MAX_WRONG_LINKS; n++)
      expect((await ask(link.port, wrong)).status).toBe(404);
    expect(await ask(link.port, wrong)).toMatchObject({
      status: 429,
      headers: { 'retry-after': '60' },
    });
    expect((await ask(link.port, wrong, { from: '127.0.0.2' })).status).toBe(404);
    expect((await ask(link.port, `/${link.token}/`)).status).toBe(200);
    // What browsers ask for by themselves is no guess.
    expect((await ask(link.port, '/favicon.ico')).status).toBe(404);
    const now = vi.spyOn(performance, 'now').mockReturnValue(performance.now() + WRONG_LINKS_FOR);
    try {
      // They are counted anew, and not on and on.
      expect((await ask(link.port, wrong)).status).toBe(404);
      expect((await ask(link.port, wrong)).status).toBe(404);
    } finally {
      now.mockRestore();
    }
  });

  test('remembers so many of those who guess, and no more', async () => {
    const link = await linkFor({ pin: PIN });
    const wrong = `/${'x'.repeat(22)}/`;
    const guess = (pin: string, from?: string) => {
      const headers = { Authorization: `Basic ${Buffer.from(`:${pin}`).toString('base64')}` };
      return ask(link.port, `/${link.token}/`, { headers, ...(from && { from }) });
    };
    const now = vi.spyOn(performance, 'now').mockReturnValue(1_000_000);
    try {
      for (let n = 0; n < MAX_WRONG_LINKS; n++) await ask(link.port, wrong);
      expect((await guess('wrong')).status).toBe(401);
      for (let n = 0; n < MAX_SOURCES; n++) {
        if (n === MAX_SOURCES - 1) expect((await ask(link.port, wrong)).status).toBe(429);
        const from = `127.1.${1 + (n >> 7)}.${1 + (n & 127)}`;
        await ask(link.port, wrong, { from });
        await guess(PIN, from);
      }
      expect((await ask(link.port, wrong)).status).toBe(404);
      expect((await guess(PIN)).status).toBe(200);
    } finally {
      now.mockRestore();
    }
  }, 180_000);

  test('is compared to its last sign', async () => {
    const link = await linkFor({});
    const last = link.token.endsWith('A') ? 'B' : 'A';
    expect((await ask(link.port, `/${link.token.slice(0, -1)}${last}/`)).status).toBe(404);
  });

  test('has room for whoever has it, however many connections without it stand there', async () => {
    const link = await linkFor({});
    const guest = await connectionOf(link.port);
    guest.socket.write(`GET /${link.token}/ HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await guest.hears('here: /');
    const sources = Array.from({ length: MAX_PAGE_CONNECTIONS + 8 }, (_, n) =>
      n < MAX_PAGE_CONNECTIONS_EACH + 8 ? '127.0.0.1' : `127.0.1.${n}`,
    );
    for (const from of sources) await connectionOf(link.port, from);
    // Neither those of its own address nor all together push it out, or keep another one out.
    expect((await ask(link.port, `/${link.token}/`)).status).toBe(200);
    expect((await ask(link.port, `/${link.token}/`, { from: '127.0.2.1' })).status).toBe(200);
    guest.socket.write(`GET /${link.token}/again HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await guest.hears('here: /again');
  });

  test('has no more connections than so, of those who have it as well', async () => {
    const link = await linkFor({});
    for (let n = 0; n < MAX_PAGE_CONNECTIONS_EACH; n++) {
      const guest = await connectionOf(link.port);
      guest.socket.write(`GET /${link.token}/ HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      await guest.hears('here: /');
    }
    await expect(ask(link.port, `/${link.token}/`)).rejects.toThrow(/socket hang up|ECONNRESET/);
    expect((await ask(link.port, `/${link.token}/`, { from: '127.0.0.2' })).status).toBe(200);
  });

  test.each([
    ['192.168.1.20:23777', true],
    ['192.168.1.20', true],
    ['[2001:db8::1]:23777', true],
    ['[::1]', true],
    ['localhost:23777', true],
    ['LOCALHOST', true],
    ['ana.local:23777', false],
    ['evil.example', false],
    ['127.0.0.1.evil.example', false],
    ['evil.example:80@127.0.0.1', false],
    ['[evil.example]:80', false],
    ['2130706433', false],
    ['0x7f.1', false],
    ['127.0.0.1:80:80', false],
  ])('called %j is ours: %s', async (host, ours) => {
    expect(isLiteral(host)).toBe(ours);
    const link = await linkFor({});
    const { status } = await ask(link.port, `/${link.token}/`, { headers: { Host: host } });
    expect(status === 200).toBe(ours);
  });

  test('takes nothing that a page of another site asks for', async () => {
    const link = await linkFor({ pin: PIN });
    const [path, host] = [`/${link.token}/-/pin`, `127.0.0.1:${link.port}`];
    const form = { method: 'POST', body: `pin=${PIN}` };
    for (const origin of ['http://evil.example', 'null', `http://127.0.0.1:${link.port + 1}`])
      expect(
        await ask(link.port, path, { ...form, headers: { Host: host, Origin: origin } }),
      ).toMatchObject({ status: 403 });
    const own = { Host: host, Origin: `http://${host}` };
    expect((await ask(link.port, path, { ...form, headers: own })).status).toBe(303);
  });

  test('is at the named interfaces only', async () => {
    const link = await linkFor({ interfaces: ['none of them'] });
    await expect(ask(link.port, `/${link.token}/`)).rejects.toThrow(/socket hang up|ECONNRESET/);
  });

  test('brings its look, before any PIN', async () => {
    const link = await linkFor({ pin: PIN });
    for (const [name, type] of [
      ['style.css', 'text/css; charset=utf-8'],
      ['icon.svg', 'image/svg+xml'],
    ])
      expect(await ask(link.port, `/${link.token}/-/${name}`)).toMatchObject({
        status: 200,
        headers: { 'content-type': type, 'x-content-type-options': 'nosniff' },
      });
  });
});

describe('a PIN', () => {
  const basic = (password: string) => ({
    Authorization: `Basic ${Buffer.from(`anybody:${password}`).toString('base64')}`,
  });
  const html = { Accept: 'text/html,*/*;q=0.8' };

  test('must be one', async () => {
    await expect(linkFor({ pin: '1234567' })).rejects.toMatchObject({ code: 'usage' });
  });

  test('is asked for by a page, and then a cookie of this link is enough', async () => {
    const { port, token } = await linkFor({ pin: PIN });
    const asked = await ask(port, `/${token}/file`, { headers: html });
    expect(asked).toMatchObject({ status: 401 });
    expect(asked.headers['www-authenticate']).toBeUndefined();
    expect(asked.text).toContain(`action="/${token}/-/pin"`);
    expect(asked.text).not.toContain('here:');
    const entered = await ask(port, `/${token}/-/pin`, { method: 'POST', body: 'pin=tulip+4711' });
    expect(entered.status).toBe(401); // Letters have their case.
    vi.spyOn(performance, 'now').mockReturnValue(performance.now() + CODE_LIMITS.gap);
    const right = await ask(port, `/${token}/-/pin`, { method: 'POST', body: 'pin=Tulip+4711' });
    vi.restoreAllMocks();
    expect(right).toMatchObject({ status: 303, headers: { location: `/${token}/` } });
    const [cookie = ''] = right.headers['set-cookie'] ?? [];
    expect(cookie).toMatch(
      new RegExp(`^drop-pin=[\\w-]{22}; Path=/${token}/; HttpOnly; SameSite=Strict$`),
    );
    const [pass = ''] = cookie.split(';');
    for (const sent of [pass, `a=b; ${pass}; c=d`])
      expect(await ask(port, `/${token}/file`, { headers: { Cookie: sent } })).toMatchObject({
        status: 200,
        text: 'here: /file',
      });
    for (const sent of ['drop-pin=', `${pass}x`, `other-${pass}`])
      expect((await ask(port, `/${token}/file`, { headers: { Cookie: sent } })).status).toBe(401);
    // One link's cookie is nothing at another.
    const other = await linkFor({ pin: PIN });
    const path = `/${other.token}/`;
    expect((await ask(other.port, path, { headers: { Cookie: pass } })).status).toBe(401);
  });

  test('is taken as a password from programs, which are told that one is needed', async () => {
    const { port, token } = await linkFor({ pin: PIN });
    expect(await ask(port, `/${token}/file`)).toMatchObject({
      status: 401,
      headers: { 'www-authenticate': expect.stringMatching(/^Basic /) },
      // They show it as it is.
      text: 'This link needs a PIN, as the password: curl -u :PIN\n',
    });
    expect(await ask(port, `/${token}/file`, { headers: basic('Tulip4711') })).toMatchObject({
      status: 200,
      text: 'here: /file',
    });
    expect(await ask(port, `/${token}/file`, { headers: basic('tulip-4711') })).toMatchObject({
      status: 401,
      text: 'That was not the PIN. The next one is looked at in 1 second.\n',
    });
    expect(await ask(port, `/${token}/file`, { headers: basic(PIN) })).toMatchObject({
      status: 429,
      headers: { 'content-type': 'text/plain; charset=utf-8', 'retry-after': '1' },
    });
  });

  test('is looked at less and less often after wrong ones, of each source by itself', async () => {
    const link = await linkFor({ pin: PIN });
    const now = vi.spyOn(performance, 'now');
    try {
      let clock = 1_000_000;
      now.mockImplementation(() => clock);
      const guess = async (pin: string, from = '127.0.0.1'): Promise<number> =>
        (await ask(link.port, `/${link.token}/`, { headers: basic(pin), from })).status;
      expect(await guess('wrong')).toBe(401);
      expect(await guess(PIN)).toBe(429);
      expect(await guess(PIN, '127.0.0.2')).toBe(200);
      clock += CODE_LIMITS.gap - 1;
      expect(await guess(PIN)).toBe(429);
      clock += 1;
      expect(await guess(PIN)).toBe(200);
      // Right ones take nothing back.
      for (let n = 1; n < CODE_LIMITS.wrongInAll; n++) {
        clock += CODE_LIMITS.maxGap;
        expect(await guess('wrong')).toBe(401);
      }
      clock += CODE_LIMITS.maxGap;
      expect(await guess(PIN)).toBe(429);
      expect(await guess(PIN, '127.0.0.2')).toBe(200);
      clock += CODE_LIMITS.lock;
      expect(await guess(PIN)).toBe(200);
    } finally {
      now.mockRestore();
    }
  });

  test('that was wrong is answered by how long none is looked at', async () => {
    const link = await linkFor({ pin: PIN });
    const now = vi.spyOn(performance, 'now');
    try {
      let clock = 1_000_000;
      now.mockImplementation(() => clock);
      const type = (pin: string) =>
        ask(link.port, `/${link.token}/-/pin`, { method: 'POST', body: `pin=${pin}` });
      const waits = ['1 second', '2 seconds', '4 seconds', '8 seconds', '16 seconds'];
      for (const wait of waits) {
        expect((await type('wrong')).text).toContain(`The next one is looked at in ${wait}.`);
        expect(await type(PIN)).toMatchObject({
          status: 429,
          headers: { 'retry-after': wait.split(' ')[0] },
          text: expect.stringContaining(`Try again in ${wait}.`),
        });
        clock += CODE_LIMITS.maxGap;
      }
      for (let n = waits.length; n < CODE_LIMITS.wrongInAll; n++) {
        await type('wrong');
        clock += CODE_LIMITS.maxGap;
      }
      clock += 29 * 60_000;
      expect(await type(PIN)).toMatchObject({
        status: 429,
        text: expect.stringContaining('None is looked at for 30 minutes.'),
      });
    } finally {
      now.mockRestore();
    }
  });

  test('is looked at no more when all sources together guessed too often', async () => {
    const link = await linkFor({ pin: PIN });
    const now = vi.spyOn(performance, 'now').mockReturnValue(1_000_000);
    try {
      for (let n = 0; n < MAX_WRONG_PAGE_PINS; n++) {
        const from = `127.0.${1 + Math.floor(n / 200)}.${1 + (n % 200)}`;
        const { status } = await ask(link.port, `/${link.token}/`, { headers: basic('no'), from });
        expect(status).toBe(401);
      }
      const headers = basic(PIN);
      expect(await ask(link.port, `/${link.token}/`, { headers })).toMatchObject({
        status: 429,
        headers: { 'retry-after': '3600' },
      });
    } finally {
      now.mockRestore();
    }
  });

  test('is not read out of more than a form', async () => {
    const { port, token } = await linkFor({ pin: PIN });
    const body = `pin=${PIN}&x=${'x'.repeat(MAX_FORM)}`;
    expect((await ask(port, `/${token}/-/pin`, { method: 'POST', body })).status).toBe(400);
  });

  test('that is left empty is no wrong one, and none is taken but from a form that was sent', async () => {
    const { port, token } = await linkFor({ pin: PIN });
    const path = `/${token}/-/pin`;
    const form = await ask(port, path, { method: 'POST', body: 'pin=+' });
    expect(form.status).toBe(401);
    expect(form.text).not.toContain('role="alert"');
    // Nobody who looks over a shoulder reads it, and no browser keeps it.
    expect(form.text).toMatch(/<input id="pin" name="pin" type="password" [^>]*autocomplete="off"/);
    const body = `pin=${PIN}`;
    for (const method of ['GET', 'PUT']) {
      const headers = { 'Content-Length': `${body.length}` };
      const other = await ask(port, path, { method, headers, body });
      expect([other.status, other.headers['set-cookie']]).toEqual([401, undefined]);
    }
    expect((await ask(port, path, { method: 'POST', body })).status).toBe(303);
  });

  test('that is typed has its signs shown to nobody', async () => {
    const { port, token } = await linkFor({ pin: PIN });
    const asked = await ask(port, `/${token}/-/pin`, {
      method: 'POST',
      body: 'pin=%3Cscript%3Ezzz',
    });
    expect(asked.text).not.toContain('zzz');
    expect(asked.text).toContain('That was not the PIN.');
  });
});
