import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Host, Lab } from '../lab/hosts.ts';
import { drop, dropOnScreen } from '../support/bin.ts';
import { digestOf, makeFile } from '../support/content.ts';
import { Home } from '../support/home.ts';
import { finished, type Outcome } from '../support/process.ts';
import { describeWith, LAB } from '../support/skip.ts';

const MiB = 1024 * 1024;

/** Two computers in one network: Ana's, and a guest's who has no `drop`. */
class Room implements AsyncDisposable {
  readonly #lab = Lab.create();
  readonly ana = new Home();
  readonly here: Host;
  readonly guest: Host;

  constructor() {
    this.here = this.#host('ana', '10.77.0.1/24');
    this.guest = this.#host('guest', '10.77.0.2/24');
  }

  /** What the guest's `curl` prints. */
  curl(...args: readonly string[]): Promise<Outcome> {
    return finished(this.guest.spawn('curl', ['-sS', ...args], { cwd: this.ana.path }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.ana[Symbol.asyncDispose]();
    this.#lab.destroy();
  }

  #host(name: string, address: string): Host {
    return this.#lab.host(name, { bridge: 'lan', addresses: [address], ipv4Only: true });
  }
}

describeWith([...LAB, 'curl'], 'what is shared with browsers, too', () => {
  test.concurrent('is downloaded by whoever has the link, while others fetch it', async () => {
    await using room = new Room();
    const { ana, here, guest } = room;
    const size = 20 * MiB;
    await mkdir(join(ana.path, 'photos'));
    await makeFile(join(ana.path, 'photos/large'), 'large', size);
    await writeFile(join(ana.path, 'photos/left.log'), 'left out');
    await using sharing = drop(
      ['share', '--web', '--json', '--yes', '--exclude', '*.log', 'photos'],
      { host: here, home: ana },
    );
    const { web = '', code } = await sharing.event('ready');
    expect(web).toMatch(/^http:\/\/10\.77\.0\.1:23777\/[\w-]{22}\/$/);
    await using bob = new Home();
    await using getting = drop(['get', '--json', '--from', '10.77.0.1'], {
      host: guest,
      home: bob,
      env: { DROP_CODE: code ?? '' },
    });
    const [page, file, without, left] = await Promise.all([
      room.curl(`${web}in/photos/`),
      room.curl('-o', 'got', '-w', '%{http_code}', `${web}get/photos/large`),
      room.curl('-o', '/dev/null', '-w', '%{http_code}', 'http://10.77.0.1:23777/'),
      room.curl('-o', '/dev/null', '-w', '%{http_code}', `${web}get/photos/left.log`),
    ]);
    expect(page.stdout).toContain('21.0 MB');
    expect(page.stdout).not.toContain('left.log');
    expect([file.stdout, without.stdout, left.stdout]).toEqual(['200', '404', '404']);
    expect(await digestOf(join(ana.path, 'got'))).toBe(
      await digestOf(join(ana.path, 'photos/large')),
    );
    expect(await sharing.event('downloaded')).toMatchObject({
      from: '10.77.0.2',
      path: 'photos/large',
      bytes: size,
      whole: true,
    });
    expect((await getting.outcome()).code).toBe(0);
    // Pages of another site that was made to lead here get nothing.
    const rebound = await room.curl(
      ...['-o', '/dev/null', '-w', '%{http_code}', '--resolve', 'evil.example:23777:10.77.0.1'],
      web.replace('10.77.0.1', 'evil.example'),
    );
    expect(rebound.stdout).toBe('421');
  });

  test.concurrent('needs the PIN too, if there is one', async () => {
    await using room = new Room();
    const { ana, here } = room;
    await writeFile(join(ana.path, 'a'), 'content');
    await using sharing = drop(['share', '--web', '--json', '--pin', 'a'], {
      host: here,
      home: ana,
    });
    const { web = '', code } = await sharing.event('ready');
    const status = ['-o', '/dev/null', '-w', '%{http_code}'];
    expect((await room.curl(...status, web)).stdout).toBe('401');
    const form = ['-L', '-c', 'cookies', '-b', 'cookies', '-d', `pin=${code}`];
    expect((await room.curl(...form, `${web}-/pin`)).stdout).toContain('get/a');
    expect((await room.curl('-b', 'cookies', `${web}get/a`)).stdout).toBe('content');
    expect((await room.curl('-u', `:${code}`, `${web}get/a`)).stdout).toBe('content');
    expect((await room.curl(...status, `${web}get/a`)).stdout).toBe('401');
  });

  test.concurrent('is where this computer is by now', async () => {
    await using room = new Room();
    const { ana, here } = room;
    await writeFile(join(ana.path, 'a'), 'content');
    await using sharing = drop(['share', '--web', '--json', 'a'], { host: here, home: ana });
    const { web: before = '' } = await sharing.event('ready');
    here.setAddresses('lan', ['10.77.0.9/24']);
    const { web = '' } = await sharing.event('reachable', (event) => event.web !== undefined);
    expect(web).toBe(before.replace('10.77.0.1', '10.77.0.9'));
    expect((await room.curl(`${web}get/a`)).stdout).toBe('content');
  });

  test.concurrent('has no link while no browser could use one, and says so', async () => {
    await using lab = Lab.create();
    await using home = new Home();
    const host = lab.host('ana', { bridge: 'lan' });
    await writeFile(join(home.path, 'a'), 'content');
    await using sharing = dropOnScreen(['share', '--web', 'a'], { host, home });
    await sharing.shows((text) => expect(text).toContain('No browser can reach it'));
    expect(sharing.text()).not.toContain('http');
    host.setAddresses('lan', ['10.77.0.1/24']);
    await sharing.shows((text) => expect(text).toContain('In a browser: http://10.77.0.1:'));
  });

  test.concurrent('is at the named interfaces only', async () => {
    await using room = new Room();
    const { ana, here } = room;
    await writeFile(join(ana.path, 'a'), 'content');
    await using sharing = drop(['share', '--web', '--json', '--interface', 'lo', 'a'], {
      host: here,
      home: ana,
    });
    const { web = '' } = await sharing.event('ready');
    expect(web).toMatch(/^http:\/\/127\.0\.0\.1:/);
    const outside = await room.curl(`${web.replace('127.0.0.1', '10.77.0.1')}get/a`);
    expect(outside).toMatchObject({ stdout: '' });
    expect(outside.code).not.toBe(0);
  });

  test.concurrent('is shown with a picture, and with what that link is and is not', async () => {
    await using room = new Room();
    const { ana, here } = room;
    await writeFile(join(ana.path, 'a'), 'content');
    await using sharing = dropOnScreen(['share', '--web', 'a'], {
      host: here,
      home: ana,
      rows: 40,
    });
    await sharing.shows((text) => expect(text).toContain('Waiting for who wants it'));
    const text = sharing.text();
    const [, web = ''] = /In a browser: (http:\S+)/.exec(text) ?? [];
    expect(text).toMatch(
      /Whoever has this link can download what is shared, as long as this runs\./,
    );
    expect(text).toMatch(/It is not encrypted/);
    expect(text).toMatch(/A browser cannot check that it is this computer/);
    expect(text.split('\n').filter((row) => /^[█▀▄ ]{30,}/.test(row)).length).toBeGreaterThan(14);
    await room.curl(`${web}get/a`);
    await sharing.shows((text) => expect(text).toContain('10.77.0.2 downloaded a (7 B)'));
  });

  test.concurrent('is shown without a picture where there is no room for one', async () => {
    await using room = new Room();
    const { ana, here } = room;
    await writeFile(join(ana.path, 'a'), 'content');
    const narrow = { host: here, home: ana, cols: 30, rows: 40 };
    await using sharing = dropOnScreen(['share', '--web', 'a'], narrow);
    await sharing.waitFor(/too narrow/);
    expect(sharing.text()).not.toMatch(/[█▀▄]{10,}/);
  });

  test.concurrent('is shown to nobody where there is no terminal', async () => {
    await using room = new Room();
    const { ana, here } = room;
    await writeFile(join(ana.path, 'a'), 'content');
    await using sharing = drop(['share', '--web', 'a'], { host: here, home: ana });
    const { code, stderr } = await sharing.outcome();
    expect(code).toBe(2);
    expect(stderr).toContain('There is no terminal to show the link of --web on.');
    expect(stderr).not.toContain('http');
  });
});
