import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { expect, test } from 'vitest';
import { Home } from '../support/home.ts';
import { Screen } from '../support/screen.ts';
import { describeWith, LAB } from '../support/skip.ts';
import { type Host, Lab } from './hosts.ts';

describeWith(LAB, 'a lab', () => {
  test('a host has its own name and reaches those on its bridge, by IPv4 and IPv6', async () => {
    await using lab = Lab.create();
    const [ana, bob] = [
      lab.host('ana', { bridge: 'home', addresses: ['10.7.0.1/24', 'fd07::1/64'] }),
      lab.host('bob', { bridge: 'home', addresses: ['10.7.0.2/24', 'fd07::2/64'] }),
    ];

    expect((await ana.run('hostname')).stdout).toBe('ana\n');
    await listen(bob);
    expect(await dial(ana, '10.7.0.2')).toBe('reached bob');
    expect(await dial(ana, 'fd07::2')).toBe('reached bob');
  });

  test('hosts on different bridges see nothing of each other', async () => {
    await using lab = Lab.create();
    const ana = lab.host('ana', { bridge: 'home', addresses: ['10.7.0.1/24'] });
    const bob = lab.host('bob', { bridge: 'work', addresses: ['10.7.0.2/24'] });

    await listen(bob);
    expect(await dial(ana, '10.7.0.2')).toBe('EHOSTUNREACH');
  });

  test('a pulled cable takes the carrier but not the address; a removed adapter takes both', async () => {
    await using lab = Lab.create();
    const port = { bridge: 'home', name: 'eth0', gateway: '10.7.0.254' };
    const ana = lab.host('ana', { ...port, addresses: ['10.7.0.1/24'] });
    const link = () => ana.ip('-o', 'addr', 'show', 'dev', 'eth0') + ana.ip('link', 'show', 'eth0');

    ana.unplug('eth0');
    expect(link()).toMatch(/10\.7\.0\.1/);
    // The system tells of a carrier when it has a moment for it.
    await expect.poll(link).toMatch(/NO-CARRIER/);
    ana.replug('eth0');
    await expect.poll(link).not.toMatch(/NO-CARRIER/);
    ana.setAddresses('eth0', ['10.7.0.9/24']);
    expect(link()).not.toMatch(/10\.7\.0\.1\//);
    expect(link()).toMatch(/10\.7\.0\.9/);
    ana.remove('eth0');
    expect(ana.ip('link')).not.toMatch(/eth0/);
  });

  test('a host drops what it is told to, until it is told otherwise', async () => {
    await using lab = Lab.create();
    const ana = lab.host('ana', { bridge: 'home', addresses: ['10.7.0.1/24'] });
    const bob = lab.host('bob', { bridge: 'home', addresses: ['10.7.0.2/24'] });
    await listen(bob);

    bob.lose(`tcp dport ${PORT}`, 10);
    expect(await dial(ana, '10.7.0.2')).toBe('silence');
    bob.loseNothing();
    expect(await dial(ana, '10.7.0.2')).toBe('reached bob');
    bob.reset(`tcp dport ${PORT}`);
    expect(await dial(ana, '10.7.0.2')).toBe('ECONNREFUSED');
    bob.loseNothing();
    expect(await dial(ana, '10.7.0.2')).toBe('reached bob');
  });

  test('what goes through an interface is counted', async () => {
    await using lab = Lab.create();
    const ana = lab.host('ana', { bridge: 'home', addresses: ['10.7.0.1/24'] });
    const bob = lab.host('bob', { bridge: 'home', addresses: ['10.7.0.2/24'] });
    await listen(bob);

    await dial(ana, '10.7.0.2', '1'.repeat(1_000_000));
    expect(ana.traffic('home').sent).toBeGreaterThan(1_000_000);
    expect(bob.traffic('home').received).toBeGreaterThan(1_000_000);
    expect(bob.traffic('home').sent).toBeLessThan(200_000);
  });

  test('a limit holds back what leaves in either direction', async () => {
    await using lab = Lab.create();
    const ana = lab.host('ana', { bridge: 'home', addresses: ['10.7.0.1/24'] });
    const bob = lab.host('bob', { bridge: 'home', addresses: ['10.7.0.2/24'] });
    await listen(bob);

    ana.limit('home', '10mbit');
    expect(await dial(ana, '10.7.0.2', '1'.repeat(1_000_000))).toBe('reached bob');
    const { stdout } = await ana.run('tc', ['-s', 'qdisc', 'show', 'dev', 'home']);
    expect(Number(/overlimits (\d+)/.exec(stdout)?.[1])).toBeGreaterThan(0);
  });

  test('nothing of it shows on this machine, and nothing of it stays', async () => {
    const before = Object.keys(networkInterfaces());
    let namespace: string;
    let pid: number | undefined;
    {
      await using lab = Lab.create();
      const ana = lab.host('ana', { bridge: 'home', addresses: ['10.7.0.1/24'] });
      namespace = ana.namespace;
      expect(readdirSync('/run/netns')).toContain(namespace);
      expect(Object.keys(networkInterfaces())).toEqual(before);
      const sleeping = ana.spawn('sh', ['-c', 'echo here; exec sleep 100']);
      // Before that it may not be on the host yet.
      await once(sleeping.stdout ?? sleeping, 'data');
      pid = sleeping.pid;
      lab.destroy();
      await once(sleeping, 'close');
    }
    expect(readdirSync('/run/netns')).not.toContain(namespace);
    expect(() => process.kill(Number(pid), 0)).toThrow('ESRCH');
  });

  test('what a dead test process left behind is cleared away by the next lab', async () => {
    const dead = spawn('sleep', ['100']);
    const left = `droplab-${dead.pid}-abcdef-ana`;
    execFileSync('ip', ['netns', 'add', left]);
    const orphan = spawn('ip', ['netns', 'exec', left, 'sh', '-c', 'echo here; exec sleep 100']);
    const ended = once(orphan, 'close');
    await once(orphan.stdout, 'data');
    // Not before, as other labs are made all the while.
    dead.kill('SIGKILL');
    await once(dead, 'close');

    await using lab = Lab.create();
    lab.host('ana');
    expect(readdirSync('/run/netns')).not.toContain(left);
    expect(await ended).toEqual([null, 'SIGKILL']);
  });

  test('a screen can stand on a host', async () => {
    await using lab = Lab.create();
    const ana = lab.host('ana');
    await using home = new Home();
    await using screen = new Screen('bash', ['--norc'], { host: ana, env: home.env });
    screen.type('hostname\r');
    await screen.waitFor(/^ana$/m);
  });
});

const PORT = 4000;

/** Says its name to everybody who has said something and finished. */
async function listen(host: Host): Promise<void> {
  const program = `require('net').createServer({ allowHalfOpen: true }, (socket) =>
    socket.resume().on('end', () => socket.end('reached ${host.name}')))
    .listen(${PORT}, '::', () => console.log('listening'))`;
  const { stdout } = host.spawn(process.execPath, ['-e', program]);
  if (stdout) await once(stdout, 'data');
}

/** What is heard at an address: the listener's name, an error's code, or silence. */
async function dial(host: Host, address: string, message = 'hello'): Promise<string> {
  const program = `const socket = require('net').connect(${PORT}, '${address}');
    socket.on('data', (name) => console.log(name.toString()));
    socket.on('error', ({ code }) => console.log(code));
    let closed = false;
    socket.on('close', () => { closed = true; });
    const silent = () => { if (!closed) { console.log('silence'); socket.destroy(); } };
    // What has come is heard before, however late it is.
    const silence = setTimeout(() => setImmediate(silent), 5000);
    socket.on('close', () => clearTimeout(silence));
    process.stdin.pipe(socket);`;
  const dialling = host.spawn(process.execPath, ['-e', program]);
  dialling.stdin?.on('error', () => {}).end(message);
  let heard = '';
  for await (const piece of dialling.stdout ?? []) heard += piece;
  return heard.trim();
}
