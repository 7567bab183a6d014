import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { type ConnectionOptions, createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Identity, loadIdentity } from '../../src/disk/identity.ts';
import { fromHex } from '../../src/protocol/bytes.ts';
import type { Message } from '../../src/protocol/message.ts';
import { Attacker, closed, newIdentity, nextAddress } from '../support/attacker.ts';
import { drop, dropOnScreen } from '../support/bin.ts';
import { Doorstep } from '../support/doorstep.ts';
import { Home, TempFolder } from '../support/home.ts';
import { describeWith } from '../support/skip.ts';

let ana: Doorstep;

beforeAll(async () => {
  ana = await Doorstep.begin();
});
afterAll(async () => {
  await ana.end();
  await ana[Symbol.asyncDispose]();
});

const hello: Message = { type: 'hello', newest: 1, oldest: 1, intent: 'send', knows: false };
/** The generator of the group: a share as good as any. */
const point = fromHex('e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76');
const share: Message = { type: 'share', epoch: 1, point };
const begin: Message = { type: 'begin', continues: null, checksum: false, digests: ['sha256'] };
const roots: Message = { type: 'roots', names: ['x'], final: true };
const chunk: Message = { type: 'chunk', entry: 0, offset: 0, bytes: new Uint8Array(4) };

/** An offer of a file of 8 bytes that nobody else offers. */
let offers = 0;
const offer = (): Message => {
  const file = { kind: 'file', path: 'x', size: 8, mtime: ++offers } as const;
  return { type: 'offer', entries: [file], files: 1, bytes: 8, final: true };
};

/** A connection without anything on it. */
function wire(from = nextAddress()): Socket {
  const socket = connect({ port: ana.port, host: '127.0.0.1', localAddress: from });
  return socket.setNoDelay(true).on('error', () => {});
}

const HTTP = 'GET / HTTP/1.1\r\nHost: ana\r\n\r\n';
const TLS_RECORD = Uint8Array.of(0x16, 3, 1, 0x40, 0);

/*
 * What went wrong elsewhere: a flood of connections that kept a device busy (KDE Connect,
 * CVE-2020-26164); addresses told before anything was encrypted (croc, CVE-2023-43618).
 */
describe('whoever speaks', () => {
  test.each<[string, string | Uint8Array]>([
    ['HTTP', HTTP],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['SSH', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['noise', randomBytes(100_000)],
    ['a record of TLS with noise in it', Buffer.concat([TLS_RECORD, randomBytes(0x4000)])],
    ['records of TLS that are empty', Buffer.alloc(50_000, Uint8Array.of(0x16, 3, 1, 0, 0))],
    ['an alert', Uint8Array.of(0x15, 3, 3, 0, 2, 2, 40)],
    ['what is said after the handshake', Buffer.from('0000000401010100', 'hex')],
  ])('%s, is shown out', async (_, said) => {
    const socket = wire();
    let heard = Buffer.alloc(0);
    socket.on('data', (bytes: Uint8Array) => {
      heard = Buffer.concat([heard, bytes]);
    });
    const gone = closed(socket);
    socket.write(said);
    await gone;
    // An alert of TLS, if anything.
    expect(heard.length).toBeLessThan(16);
    expect(heard.toString('latin1')).not.toContain('Ana');
    await ana.isUnharmed();
  });

  test('nothing, as a scan of ports does, is not noticed', async () => {
    for (const hangUp of ['end', 'destroy', 'resetAndDestroy'] as const) {
      const sockets = Array.from({ length: 8 }, () => wire());
      await Promise.all(sockets.map((socket) => once(socket, 'connect')));
      const gone = sockets.map(closed);
      for (const socket of sockets) socket[hangUp]();
      await Promise.all(gone);
    }
    await ana.isUnharmed();
  });
});

/*
 * What went wrong elsewhere: who somebody is was taken from other places than the channel, and
 * differed between them (KDE Connect, CVE-2025-32900, -66270; LocalSend, CVE-2025-54792).
 */
describe('a handshake', () => {
  const refused = async (options: ConnectionOptions): Promise<void> => {
    const attacker = await ana.call(ana.stranger, options);
    attacker.say(hello);
    expect(await attacker.refused()).toBeUndefined();
    expect(attacker.heard).toEqual([]);
  };

  test.each<[string, ConnectionOptions]>([
    ['of TLS 1.2', { maxVersion: 'TLSv1.2' }],
    ['without a certificate', { key: undefined, cert: undefined } as ConnectionOptions],
    ['that names no protocol', { ALPNProtocols: [] }],
    ['for another protocol', { ALPNProtocols: ['h2'] }],
    ['for a version that is none', { ALPNProtocols: ['drop/0', 'drop/2'] }],
    ['for a line, at a receiver', { ALPNProtocols: ['drop/1 line'] }],
    ['by curves that nobody agreed on', { ecdhCurve: 'P-384' }],
    ['by ciphers that nobody agreed on', { ciphers: 'TLS_AES_128_CCM_SHA256' }],
  ])('%s is refused', async (_, options) => {
    await refused(options);
    await ana.isUnharmed();
  });

  describeWith(['openssl'], 'with a certificate', () => {
    test.each(KINDS)('%s is refused', async (_, kind) => {
      await refused({ ...(await certificate(kind)) });
      await ana.isUnharmed();
    });
  });

  test('with a chain of certificates of 170 KB is refused', async () => {
    await refused({ cert: chainOf(ana.stranger) });
    await ana.isUnharmed();
  });

  test('is made anew each time, whatever a client brings from the last one', async () => {
    const sessions: Buffer[] = [];
    const first = await ana.call(ana.eve);
    first.socket.on('session', (session: Buffer) => sessions.push(session));
    await first.enter(ana.id);
    await first.end();
    const own = first.socket.getSession();
    for (const session of [...sessions, ...(own ? [own] : [])]) {
      const again = await ana.call(ana.stranger, { session });
      expect(again.socket.isSessionReused()).toBe(false);
      // So it is the stranger who is there, and not Eve.
      again.say({ ...hello, knows: true });
      expect(await again.hears('welcome')).toMatchObject({ terms: 'code' });
      await again.end();
    }
    await ana.isUnharmed();
  });
});

/* Renegotiation is none of TLS 1.3; to ask for new keys all the time is what is left of it. */
describeWith(['openssl'], 'a flood of new keys', () => {
  test('keeps nobody from being served', async () => {
    await using folder = new TempFolder();
    const { key, cert } = ana.stranger;
    const [keyFile, certFile] = [join(folder.path, 'key'), join(folder.path, 'cert')];
    await writeFile(keyFile, key);
    await writeFile(certFile, cert);
    const to = ['-connect', `127.0.0.1:${ana.port}`, '-tls1_3', '-alpn', 'drop/1'];
    const client = spawn('openssl', ['s_client', ...to, '-key', keyFile, '-cert', certFile], {
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    let updates = 0;
    client.stderr.setEncoding('utf8').on('data', (text: string) => {
      updates += text.match(/KEYUPDATE/g)?.length ?? 0;
    });
    // Whatever it reads at once begins with this letter, which asks for new keys on both sides.
    client.stdin.on('error', () => {}).write('K'.repeat(8 * 1024 * 1024));
    await ana.bobDelivers();
    await expect.poll(() => updates).toBeGreaterThan(100);
    await ana.bobDelivers();
    client.kill('SIGKILL');
    await once(client, 'close');
    await ana.isUnharmed();
  });
});

/** How far a connection comes. */
const STATES: Record<string, () => Promise<Attacker>> = {
  'the handshake': () => ana.call(),
  hello: async () => {
    const attacker = await ana.call();
    attacker.say(hello);
    await attacker.hears('welcome');
    return attacker;
  },
  'a share': async () => {
    const attacker = await ana.call();
    attacker.say(hello, { ...share, epoch: ana.epoch });
    await attacker.hears('share');
    return attacker;
  },
  'the greeting': async () => {
    const attacker = await ana.call(ana.eve);
    await attacker.greet(ana.id);
    return attacker;
  },
  'its name': () => ana.eveEnters(),
  'the beginning': async () => {
    const attacker = await ana.eveEnters();
    attacker.say(begin);
    await attacker.hears('begun');
    return attacker;
  },
  'the roots': async () => {
    const attacker = await ana.eveEnters();
    attacker.say(begin, roots);
    await attacker.hears('begun');
    return attacker;
  },
  'an offer': async () => {
    const attacker = await ana.eveEnters();
    attacker.say(begin, roots, offer());
    await attacker.hears('want');
    return attacker;
  },
  'half a file': async () => {
    const attacker = await ana.eveEnters();
    attacker.say(begin, roots, offer());
    await attacker.hears('want');
    attacker.say(chunk);
    return attacker;
  },
};

/*
 * What went wrong elsewhere: a crash that left its victim in the network of the attacker (Quick
 * Share, CVE-2024-38271).
 */
describe('a connection that ends', () => {
  test.each(Object.keys(STATES))('after %s, by a reset or on one side, is over', async (state) => {
    const reset = await STATES[state]?.();
    reset?.reset();
    await reset?.gone;
    // Whoever says no more, but still listens, is not waited for.
    const half = await STATES[state]?.();
    half?.socket.end();
    await half?.refused();
    await ana.isUnharmed();
  });
});

/* What went wrong elsewhere: the flood of connections, as above. */
describe('a crowd', () => {
  test('of 200 from one address keeps nobody out, at that address neither', async () => {
    const from = nextAddress();
    // It came first and may stay as long as any other.
    const witness = wire();
    await once(witness, 'connect');
    const silent: Socket[] = [];
    let gone = 0;
    const come = (count: number): void => {
      for (; count > 0; count--) silent.push(wire(from).once('close', () => gone++));
    };
    come(100);
    await expect.poll(() => gone).toBeGreaterThanOrEqual(96);
    // Now, as its time is over when Bob has delivered, on a slow machine.
    expect(witness.closed).toBe(false);
    for (let more = 0; more < 2; more++) {
      come(50);
      await ana.bobDelivers();
    }
    await expect.poll(() => gone).toBeGreaterThanOrEqual(196);
    const attacker = await enteringAgain(from);
    await attacker.end();
    for (const socket of [...silent, witness]) socket.destroy();
    await ana.isUnharmed();
  });

  /** Its address has come too often, and so has to wait a little. */
  async function enteringAgain(from: string): Promise<Attacker> {
    for (;;) {
      const attacker = await ana.call(ana.eve, { from });
      if (!attacker.socket.writable) continue;
      await attacker.enter(ana.id);
      return attacker;
    }
  }
});

/*
 * What went wrong elsewhere: a file that was taken without the dialog (Quick Share, CVE-2024-38272);
 * what a stranger says on the screen (croc, CVE-2023-43620; magic-wormhole, issue 476).
 */
describe('while a person is asked', () => {
  test('strangers change nothing on the screen, and data that comes before the answer ends it', async () => {
    await using home = new Home();
    await using bob = new Home();
    await writeFile(join(bob.path, 'a.txt'), 'a');
    await using receiving = dropOnScreen(['receive', '--name', 'Ana'], { home });
    const [, code = ''] = await receiving.waitFor(/Code for new devices: (\d{3} \d{3})/);
    const port = Number((await receiving.waitFor(/--to \S*?(?::(\d+))?\n/))[1] ?? 23767);
    const send = (env: Record<string, string> = {}) =>
      drop(['send', '--to', `127.0.0.1:${port}`, 'a.txt'], { home: bob, env });
    {
      await using first = send({ DROP_CODE: code });
      expect((await first.outcome()).code).toBe(0);
    }
    await writeFile(join(bob.path, 'a.txt'), 'another');
    await using second = send();
    await receiving.waitFor(/wants to send a\.txt .*Accept\? \[y\/N\]\s*$/s);
    const before = receiving.history();

    const stranger = await newIdentity();
    for (const said of [[], [hello], [hello, hello], [roots], [hello, share]]) {
      const attacker = await Attacker.call(port, stranger);
      attacker.say(...said);
      attacker.socket.end();
      await attacker.gone;
    }
    const socket = connect({ port, host: '127.0.0.1' });
    const gone = closed(socket);
    socket.write(HTTP);
    await gone;
    expect(receiving.history()).toBe(before);
    receiving.type('y\r');
    expect((await second.outcome()).code).toBe(0);
    await receiving.waitFor(/Saved .*a \(1\)\.txt/);
    expect(receiving.history()).not.toMatch(/error|unexpected/i);

    await writeFile(join(bob.path, 'a.txt'), 'one more');
    await using third = send();
    await receiving.waitFor(/Saved[\s\S]*wants to send a\.txt .*Accept\? \[y\/N\]\s*$/);
    const impatient = await Attacker.call(port, await loadIdentity(bob.state));
    await impatient.enter((await loadIdentity(home.state)).id);
    impatient.say(begin, roots, offer(), chunk);
    expect(await impatient.refused()).toBe('protocol');
    receiving.type('n\r');
    expect((await third.outcome()).code).toBe(4);
    expect((await readdir(home.downloads)).sort()).toEqual(['a (1).txt', 'a.txt']);
  });
});

/* As above: whoever only holds a place. */
describe.concurrent('a connection on which nothing comes', () => {
  test('or next to nothing, is over in the end, and takes no place of others', async () => {
    const silent = [wire(), wire()];
    const dripping = wire();
    const record = Buffer.concat([
      Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc),
      randomBytes(508),
    ]);
    const stuck = await Promise.all([
      ana.call(),
      STATES.hello?.(),
      STATES['a share']?.(),
      STATES['the greeting']?.(),
    ]);
    const slow = await ana.call();
    let said = 0;
    const drip = setInterval(() => {
      dripping.write(record.subarray(said, said + 1));
      // The length of a frame that never comes to its end.
      slow.send(Uint8Array.of([0, 0, 0, 128, 1][said] ?? 0));
      said += 1;
    }, 250);
    await ana.isUnharmed();
    await Promise.all([...silent, dripping].map(closed));
    for (const attacker of [...stuck, slow]) await attacker?.refused();
    clearInterval(drip);
    // It was told to go, and not when it had said all.
    expect(said).toBeLessThan(128);
    await ana.isUnharmed();
  });
});

/* The other way round: whoever answers at the address that was named. */
describe.concurrent('a sender that calls', () => {
  test.each<[string, (socket: Socket) => void]>([
    ['a server of HTTP', (socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['noise', (socket) => void socket.end(randomBytes(100_000))],
    ['who hangs up', (socket) => void socket.destroy()],
    ['who hangs up by a reset', (socket) => void socket.resetAndDestroy()],
  ])('%s says that nobody answers', async (_, answer) => {
    expect(await ending(createServer((socket) => answer(socket.on('error', () => {}))))).toBe(3);
  });

  test.each<[string, number, TlsOptions]>([
    ['of TLS 1.2', 3, { maxVersion: 'TLSv1.2', ALPNProtocols: ['drop/1'] }],
    ['of another protocol', 3, { ALPNProtocols: ['h2'] }],
    ['of no protocol', 6, {}],
  ])('a server %s says that nobody answers, or not who', async (_, exit, how) => {
    const { key, cert } = ana.stranger;
    expect(await ending(createTlsServer({ key, cert, ...how }))).toBe(exit);
  });

  test('a server with a chain of certificates of 170 KB says that nobody answers', async () => {
    const { key } = ana.stranger;
    const how = { key, cert: chainOf(ana.stranger), requestCert: true, rejectUnauthorized: false };
    expect(await ending(createTlsServer({ ...how, ALPNProtocols: ['drop/1'] }))).toBe(3);
  });

  describeWith(['openssl'], 'a server with a certificate', () => {
    test.each(KINDS)('%s says that nobody answers', async (_, kind) => {
      const other = await certificate(kind);
      const server = createTlsServer({ ...other, ALPNProtocols: ['drop/1'], requestCert: true });
      expect(await ending(server)).toBe(3);
    });
  });
});

/** How a sender ends that calls this server. */
async function ending(server: Server): Promise<number | null> {
  server.on('tlsClientError', () => {});
  server.on('secureConnection', (socket: Socket) => socket.on('error', () => {}).end());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  await using bob = new Home();
  await writeFile(join(bob.path, 'a.txt'), 'a');
  await using sending = drop(['send', '--to', `127.0.0.1:${port}`, '--wait', '0.3', 'a.txt'], {
    home: bob,
    env: { DROP_CODE: '493027' },
  });
  const { code } = await sending.outcome();
  server.close();
  return code;
}

/** Keys that certificates of ours do not have. */
const KINDS: [string, string[]][] = [
  ['of an RSA key', ['rsa:2048']],
  ['of an Ed25519 key', ['ed25519']],
  ['of a key on another curve', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384']],
];

/** So many certificates, of which the first is right. */
function chainOf({ cert }: Identity): string {
  return cert.repeat(Math.ceil(170_000 / (cert.length * 0.75)));
}

/** A certificate as none of ours is. */
async function certificate(kind: readonly string[]): Promise<Pick<Identity, 'key' | 'cert'>> {
  await using folder = new TempFolder();
  const [key, cert] = [join(folder.path, 'key'), join(folder.path, 'cert')];
  const to = ['-keyout', key, '-out', cert];
  const all = ['req', '-x509', '-nodes', '-subj', '/CN=eve', ...to, '-newkey', ...kind];
  execFileSync('openssl', all, { stdio: 'ignore' });
  return { key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') };
}
