import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PeerId } from '../../src/events.ts';
import { fromHex } from '../../src/protocol/bytes.ts';
import { encode, type Message, NEWEST, OLDEST } from '../../src/protocol/message.ts';
import { Attacker, frame, newIdentity } from '../support/attacker.ts';
import { drop, dropOnScreen } from '../support/bin.ts';
import { Doorstep, sendTo } from '../support/doorstep.ts';
import { FakeTime } from '../support/faketime.ts';
import { Home } from '../support/home.ts';
import { describeWith } from '../support/skip.ts';

const ENTER = '\r';

const hello: Message = { type: 'hello', newest: 1, oldest: 1, intent: 'send', knows: false };
const welcome: Message = { type: 'welcome', newest: 1, oldest: 1, terms: 'code', epoch: 1 };

/** Somebody with a small file; how sending it ends. */
async function send(to: string, code: string, home = new Home()) {
  await using bob = home;
  await writeFile(join(bob.path, 'a.txt'), 'a');
  await using sending = drop(['send', '--to', to, 'a.txt'], {
    home: bob,
    env: { DROP_CODE: code },
  });
  return await sending.outcome();
}

/*
 * What went wrong elsewhere: codes that could be tried out (croc, issue 366), and values of the
 * other side that nobody checked (ZRTP, CVE-2016-6271).
 */
describe('whoever does not have the code', () => {
  let ana: Doorstep;

  beforeAll(async () => {
    ana = await Doorstep.begin();
  });
  afterAll(async () => {
    await ana.end();
    await ana[Symbol.asyncDispose]();
  });

  /** One guess; `paired`, or what the receiver has to say to it. */
  async function guess(code: string, epoch = ana.epoch, as = ana.stranger) {
    const attacker = await ana.call(as);
    const isRight = await attacker.greet(ana.id, { kind: 'code', code, epoch }).then(
      () => true,
      () => false,
    );
    if (!isRight) return attacker.refused();
    attacker.socket.end();
    await attacker.gone;
    return 'paired';
  }

  /** Whoever has the code is let in; if it hangs up before it says its name, that is told. */
  async function isPaired(): Promise<void> {
    const { code, epoch } = ana;
    expect(await guess(code, epoch, await newIdentity())).toBe('paired');
    await ana.receiving.until(() => ana.epoch > epoch || undefined, 'next code');
    await ana.isUnharmed(['code', 'error']);
  }

  const RISTRETTO: [string, string][] = [
    ['the neutral element', '00'.repeat(32)],
    ['zero in another spelling', `ed${'ff'.repeat(30)}7f`],
    ['one more than the order of the field', `ee${'ff'.repeat(30)}7f`],
    ['the greatest number', 'ff'.repeat(32)],
    ['a negative number', `01${'00'.repeat(31)}`],
    [
      'a number that is no point',
      `26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371`,
    ],
    [
      'a point of order eight of the curve',
      `26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05`,
    ],
  ];

  test('gains nothing by a share that is none, and it is no guess', async () => {
    for (const [title, point] of RISTRETTO) {
      const attacker = await ana.call();
      attacker.say(hello, { type: 'share', epoch: ana.epoch, point: fromHex(point) });
      // There is no number for what is wrong: whoever asks knows.
      expect(await attacker.refused(), title).toBe('cancelled');
    }
    for (const length of [0, 31, 33, 64]) {
      const attacker = await ana.call();
      attacker.say(hello);
      attacker.send(
        frame(0x03, Buffer.concat([Buffer.of(0, 0, 0, ana.epoch), Buffer.alloc(length, 2)])),
      );
      expect(await attacker.refused(), `${length} bytes`).toBe('protocol');
    }
    await ana.isUnharmed();
    // So the next answer is judged at once.
    await isPaired();
  });

  test('gains nothing by one that was used, and answers to old ones are not counted', async () => {
    const { code: used } = await ana.receiving.event('ready');
    for (let times = 0; times < 5; times++) expect(await guess(used ?? '', 1)).toBe('code-changed');
    for (const epoch of [0, ana.epoch + 1, 2 ** 32 - 1])
      expect(await guess(ana.code, epoch)).toBe('code-changed');
    await ana.isUnharmed();
    await isPaired();
  });

  test('proves nothing twice: after the greeting it is over', async () => {
    const again: Message[] = [
      { type: 'confirm', tag: new Uint8Array(64) },
      { type: 'share', epoch: ana.epoch, point: new Uint8Array(32) },
      hello,
    ];
    for (const message of again) {
      const attacker = await ana.call(await newIdentity());
      const { code, epoch } = ana;
      await attacker.greet(ana.id, { kind: 'code', code, epoch });
      attacker.say(message);
      expect(await attacker.refused()).toBe('protocol');
      await ana.receiving.until(() => ana.epoch > epoch || undefined, 'next code');
    }
    await ana.isUnharmed(['code', 'error']);
  });

  // What is told is how the other side sees us.
  test.each<[string, Partial<typeof hello>, string]>([
    ['older than what is understood', { newest: 0, oldest: 0 }, 'peer-newer'],
    ['newer than what is understood', { newest: 9, oldest: NEWEST + 1 }, 'peer-older'],
    ['from the newest back to none', { newest: 0, oldest: 9 }, 'peer-newer'],
  ])('is not spoken to in a version %s', async (_, versions, code) => {
    const attacker = await ana.call();
    attacker.say({ ...hello, ...versions } as Message);
    expect(await attacker.refused()).toBe(code);
    await ana.isUnharmed();
  });

  test('is told the newest version that is spoken, and not the one it would like', async () => {
    const attacker = await ana.call();
    attacker.say({ ...hello, newest: 1, oldest: 0 } as Message);
    const welcome = { newest: NEWEST, oldest: OLDEST, terms: 'code' };
    expect(await attacker.hears('welcome')).toMatchObject(welcome);
    await attacker.end();
    await ana.isUnharmed();
  });

  test('is judged once at a time, however many guesses come at once', async () => {
    const began = performance.now();
    const codes = Array.from({ length: 12 }, (_, i) => String(i).padStart(6, '0'));
    const outcomes = await Promise.all(
      codes.filter((code) => code !== ana.code).map((code) => guess(code)),
    );
    const seconds = (performance.now() - began) / 1000;
    const judged = outcomes.filter((outcome) => outcome === 'wrong-code').length;
    // After 1, 2, 4 ... seconds one more is judged.
    expect(judged).toBeLessThanOrEqual(1 + Math.floor(Math.log2(seconds + 1)));
    expect(judged).toBeGreaterThan(0);
    for (const outcome of outcomes)
      expect(['wrong-code', 'not-yet', 'code-changed']).toContain(outcome);
    await ana.isUnharmed(['code']);
    // A person who types one that was used is told that it is wrong.
    const { code: used } = await ana.receiving.event('ready');
    expect(await send(`127.0.0.1:${ana.port}`, used ?? '')).toMatchObject({ code: 6 });
    await ana.isUnharmed(['code']);
  });
});

/* The same for whoever sends. */
describe.concurrent('a sender whose receiver does not have the code', () => {
  const share = (point: Uint8Array): Uint8Array =>
    Buffer.concat([...encode(welcome), frame(0x03, Buffer.concat([Buffer.of(0, 0, 0, 1), point]))]);

  test.each<[string, Uint8Array, number]>([
    ['the neutral element', new Uint8Array(32), 6],
    ['a number that is no point', Buffer.alloc(32, 0xff), 6],
    ['31 bytes', new Uint8Array(31), 7],
    ['33 bytes', new Uint8Array(33), 7],
  ])('is not deceived by a share that is %s', async (_, point, exit) => {
    expect(await sendTo(share(point))).toMatchObject({ code: exit });
  });
});

/* What went wrong elsewhere: codes that could be tried out for ever (croc, issue 366). */
describeWith(['faketime'], 'ten wrong codes', () => {
  /** Ten wrong answers, for each of which it is time. */
  async function guessAll(port: number, id: PeerId, clock: FakeTime): Promise<void> {
    const stranger = await newIdentity();
    for (let wrong = 0; wrong < 10; wrong++) {
      clock.pass(70);
      const attacker = await Attacker.call(port, stranger);
      const looking = await Attacker.call(port, stranger);
      looking.say(hello);
      const said = await looking.hears('welcome');
      await looking.end();
      const epoch = said.type === 'welcome' ? said.epoch : 0;
      const answer = { kind: 'code', code: 'wrong', epoch } as const;
      await expect(attacker.greet(id, answer)).rejects.toThrow();
      expect(await attacker.refused()).toBe('wrong-code');
    }
  }

  test('keep out who is new until Enter is pressed, and nobody who is known', async () => {
    await using ana = new Home();
    await using bob = new Home();
    const clock = new FakeTime(ana.path);
    await using receiving = dropOnScreen(['receive', '--yes', '--name', 'Ana'], {
      home: ana,
      env: clock.env,
    });
    const [, code = ''] = await receiving.waitFor(/Code for new devices: (\d{3} \d{3})/);
    await writeFile(join(bob.path, 'a.txt'), 'a');
    const deliver = async (env: Record<string, string> = {}) => {
      await using sending = drop(['send', '--to', 'Ana', 'a.txt'], { home: bob, env });
      return (await sending.outcome()).code;
    };
    expect(await deliver({ DROP_CODE: code })).toBe(0);
    const { port, id } = await found(bob);

    await guessAll(port, id, clock);
    await receiving.waitFor(/Ten wrong codes: .* still work\.\nPress Enter to let new devices in/);
    const [, shown = ''] = /.*new devices: (\d{3} \d{3})/s.exec(receiving.history()) ?? [];
    const outcome = await send('Ana', shown);
    expect(outcome).toMatchObject({ code: 6, stderr: expect.stringMatching(/wrong codes/) });
    await writeFile(join(bob.path, 'a.txt'), 'something else');
    expect(await deliver()).toBe(0);
    expect(receiving.history()).not.toMatch(/error|protocol/i);

    receiving.type(ENTER);
    const [, next = ''] = await receiving.waitFor(
      /Press Enter[\s\S]*new devices: (\d{3} \d{3})\s*$/,
    );
    expect((await send('Ana', next)).code).toBe(0);
  });

  test('keep out who is new for an hour, where nobody sits', async () => {
    await using ana = new Home();
    const clock = new FakeTime(ana.path);
    await using receiving = drop(['receive', '--json', '--yes', '--name', 'Ana'], {
      home: ana,
      env: clock.env,
    });
    const { port, id } = await receiving.event('ready');
    await guessAll(port, id, clock);
    expect(await receiving.event('locked')).toMatchObject({ for: 3_600_000 });
    clock.pass(3000);
    const shown = receiving.events.findLast((event) => event.event === 'code');
    expect((await send('Ana', shown?.code ?? '')).code).toBe(6);
    clock.pass(700);
    // What happens there tells it that time has passed.
    await (await Attacker.call(port, await newIdentity())).end();
    await receiving.event('unlocked');
    const next = await receiving.until(() => {
      const { events } = receiving;
      const since = events.slice(events.findIndex(({ event }) => event === 'unlocked'));
      return since.find((event) => event.event === 'code');
    }, 'code after that');
    expect((await send('Ana', next.code)).code).toBe(0);
  });
});

describe('a code', () => {
  test('may be typed with blanks, dashes and full-width digits', async () => {
    await using ana = new Home();
    await using receiving = drop(['receive', '--json', '--yes', '--name', 'Ana'], { home: ana });
    const { code } = await receiving.event('ready');
    const wide = [...(code ?? '')].map((digit) => String.fromCodePoint(0xff10 + Number(digit)));
    expect(
      (await send('Ana', ` ${wide.slice(0, 3).join(' ')}\u2014${wide.slice(3).join('')} `)).code,
    ).toBe(0);

    const next = await receiving.event('code');
    await using bob = new Home();
    await writeFile(join(bob.path, 'b.txt'), 'b');
    await using sending = dropOnScreen(['send', '--to', 'Ana', 'b.txt'], { home: bob });
    await sending.waitFor(/Code shown on/);
    const typed = [...next.code].map((digit) => String.fromCodePoint(0xff10 + Number(digit)));
    sending.type(`${typed.slice(0, 3).join('')} - ${typed.slice(3).join('')}${ENTER}`);
    await sending.waitFor(/Sent /);
  });

  /*
   * What went wrong elsewhere: a part of the secret that was public (croc, CVE-2023-43617), or
   * stood on the command line (CVE-2023-43621), or what was said before it was encrypted (-43618).
   */
  test('is nowhere but on the screen: in no packet, argument, error or file', async () => {
    await using ana = new Home();
    await using bob = new Home();
    const packets: Buffer[] = [];
    const ear = createSocket({ type: 'udp4', reuseAddr: true }).on('message', (packet) => {
      packets.push(packet);
    });
    ear.bind(5353);
    await once(ear, 'listening');
    ear.addMembership('224.0.0.251', '127.0.0.1');

    // So long that what is encrypted does not happen to say it.
    const name = 'Ana of this test';
    await using receiving = drop(['receive', '--json', '--yes', '--name', name], { home: ana });
    const { port, code, id } = await receiving.event('ready');
    // All that is said goes through here.
    const wire: Buffer[] = [];
    const tap = createServer((socket) => {
      const on = connect(port, '127.0.0.1');
      for (const [from, to] of [[socket, on] as const, [on, socket] as const])
        from
          .on('error', () => to.destroy())
          .on('data', (bytes) => wire.push(bytes))
          .pipe(to);
    });
    await once(tap.listen(0, '127.0.0.1'), 'listening');
    const to = `127.0.0.1:${(tap.address() as AddressInfo).port}`;

    await writeFile(join(bob.path, 'a-name.txt'), 'the content of it');
    await using sending = dropOnScreen(['send', '--to', to, 'a-name.txt'], { home: bob });
    await sending.waitFor(/Code shown on/);
    const wrong = code === '000000' ? '000001' : '000000';
    sending.type(`${wrong}${ENTER}`);
    await sending.waitFor(/did not match.*Code shown on .*:\s*$/s);
    sending.type(`${code}${ENTER}`);
    await sending.waitFor(/Sent 1 file/);
    const args = await readFile(`/proc/${receiving.pid}/cmdline`, 'utf8');
    // By its name, for packets that ask who is there.
    expect((await send(name, lastCode(receiving.events) ?? '')).code).toBe(0);
    const { stderr } = await receiving.stop();
    tap.close();
    ear.close();

    const codes = receiving.events.flatMap((event) =>
      'code' in event && /^\d{6}$/.test(event.code ?? '') ? [event.code ?? ''] : [],
    );
    expect(codes.length).toBeGreaterThan(1);
    expect(packets.length).toBeGreaterThan(1);
    expect(Buffer.concat(packets).includes(name)).toBe(true);
    const files = (await Promise.all([ana.state, bob.state].map(contents))).flat();
    const public_ = Buffer.concat([...packets, ...wire, Buffer.from(args + stderr), ...files]);
    for (const one of codes) {
      expect(public_.includes(one)).toBe(false);
      expect(public_.includes(`${one.slice(0, 3)} ${one.slice(3)}`)).toBe(false);
    }
    const said = Buffer.concat(wire);
    for (const one of ['a-name', 'the content', name, 'intro', id, Buffer.from(id, 'hex')])
      expect(said.includes(one)).toBe(false);
  });
});

/* What went wrong elsewhere: one device taken for another (LocalSend, CVE-2025-54792). */
describe('a device that is known', () => {
  test('with another key is another one, of whatever name and at whatever address', async () => {
    await using ana = new Home();
    await using bob = new Home();
    await writeFile(join(bob.path, 'a.txt'), 'a');
    const sendAs = async (to: string, env: Record<string, string> = {}) => {
      await using sending = drop(['send', '--to', to, '--wait', '5', 'a.txt'], { home: bob, env });
      return await sending.outcome();
    };
    const args = ['receive', '--json', '--yes', '--name', 'Ana'];
    let port: number;
    {
      await using receiving = drop(args, { home: ana });
      const ready = await receiving.event('ready');
      port = ready.port;
      expect((await sendAs('Ana', { DROP_CODE: ready.code ?? '' })).code).toBe(0);
      await receiving.stop();
    }
    await rm(join(ana.state, 'identity.pem'));
    await using receiving = drop([...args, '--port', `${port}`], { home: ana });
    const { code } = await receiving.event('ready');
    await writeFile(join(bob.path, 'a.txt'), 'secret');
    expect(await sendAs('Ana', { DROP_CODE: code ?? '' })).toMatchObject({ code: 6 });
    expect(await sendAs(`127.0.0.1:${port}`)).toMatchObject({ code: 6 });
    expect(await readFile(join(ana.downloads, 'a.txt'), 'utf8')).toBe('a');
    expect(await readdir(ana.downloads)).toEqual(['a.txt']);
    const { stdout, stderr } = await receiving.stop();
    expect(stderr).toBe('');
    expect(stdout.trim().split('\n')).toHaveLength(1);
  });
});

function lastCode(events: readonly { event: string }[]): string | undefined {
  const last = events.findLast(({ event }) => event === 'code') as { code: string } | undefined;
  return last?.code;
}

/** Where Ana is, for whoever knows her. */
async function found(bob: Home): Promise<{ port: number; id: PeerId }> {
  await using looking = drop(['peers', '--watch', '--json'], { home: bob });
  const { addresses, id } = await looking.event('peer', ({ name }) => name === 'Ana');
  return { port: Number(addresses[0]?.split(':').at(-1)), id };
}

/** All that is in a folder, in bytes. */
async function contents(folder: string): Promise<Buffer[]> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile());
  return Promise.all(files.map((entry) => readFile(join(entry.parentPath, entry.name))));
}
