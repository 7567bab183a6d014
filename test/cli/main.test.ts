import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Readable, Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Library } from '../../src/cli/io.ts';
import { main } from '../../src/cli/main.ts';
import { Stops } from '../../src/cli/stops.ts';
import { DropError, ERRORS, type ErrorCode } from '../../src/errors.ts';
import type {
  DiscoverEvent,
  KnownPeer,
  ReceiveOptions,
  SendOptions,
  SentTo,
  TransferEvent,
} from '../../src/index.ts';
import { PATIENCE } from '../support/process.ts';
import {
  aborted,
  BOB,
  type FakeIo,
  failing,
  fakeIo,
  fakeLibrary,
  HOSTILE,
  idOf,
  jsonLines,
  NOTHING,
  peerEvent,
  READY,
  STEERING,
  silentEvent,
  summaryOf,
  TRANSFER,
} from './fake.ts';

beforeEach(() => {
  for (const name of ['CI', 'DROP_CODE', 'DROP_TO', 'NO_COLOR', 'FORCE_COLOR'])
    vi.stubEnv(name, undefined);
});

afterEach(() => {
  vi.unstubAllEnvs();
});

const KNOWN: KnownPeer = {
  id: idOf('b'),
  name: 'Bob',
  trust: 'ask',
  firstSeen: '2026-11-01T10:00:00.000Z',
  lastSeen: '2026-11-02T10:00:00.000Z',
  via: 'code',
};

/** Runs one command against a library that does what the test says. */
async function drop(
  line: string,
  parts: Partial<Library> = {},
  onIo: (io: FakeIo) => void = () => {},
): Promise<{ end: number | NodeJS.Signals; out: string; err: string }> {
  const io = fakeIo(fakeLibrary(parts));
  onIo(io);
  const end = await main(line.split(' ').filter(Boolean), io);
  return { end, out: io.said.out(), err: io.said.err() };
}

const sends = (work: (options: SendOptions) => ReturnType<Library['send']>): Partial<Library> => ({
  send: (_, options) => work(options),
});

describe('the exit code of a transfer', () => {
  test.each([
    ['all delivered', summaryOf(), 0],
    ['something delivered, something not', summaryOf({ ok: false, code: 'disk-full' }), 5],
    [
      'nothing delivered: the first failure',
      summaryOf({ ok: false, files: 0, code: 'changed' }),
      7,
    ],
    [
      'left out, as another file has its name',
      summaryOf({ ok: false, files: 0, skipped: 1, code: 'incomplete' }),
      5,
    ],
    ['nothing delivered, nothing known', summaryOf({ ok: false, files: 0 }), 5],
  ])('%s', async (_, summary, exit) => {
    const { end } = await drop('send a --to bob', {
      ...sends(async function* () {
        yield summary;
        return summary;
      }),
    });
    expect(end).toBe(exit);
    const received = await drop('receive --once', {
      async *receive() {
        yield READY;
        yield summary;
      },
    });
    expect(received.end).toBe(exit);
  });

  test.each(Object.keys(ERRORS) as ErrorCode[])('%s before a transfer', async (code) => {
    const fail = sends(() => failing(new DropError(code, { path: 'a.pdf' })));
    const { end, out, err } = await drop('send a --to bob', fail);
    expect(end).toBe(ERRORS[code].exit);
    expect(out).toBe('');
    expect(err).toContain(`Error: a.pdf: ${ERRORS[code].message}\n`);

    const json = await drop('send a --to bob --json', fail);
    expect(json.end).toBe(end);
    expect(json.err).toBe('');
    expect(jsonLines(json.out)).toMatchObject([
      { v: 1, event: 'error', code, message: ERRORS[code].message, path: 'a.pdf' },
    ]);
  });

  test('a failure that the transfer has told is not told again', async () => {
    const { end, out } = await drop('send a --to bob --json', {
      ...sends(async function* () {
        const of = { transfer: TRANSFER, peer: BOB };
        yield { ...of, event: 'error', code: 'disconnected', message: 'Lost.' };
        yield summaryOf({ ok: false, files: 0, code: 'disconnected' });
        throw new DropError('disconnected');
      }),
    });
    expect(end).toBe(5);
    expect(jsonLines(out).map(({ event }) => event)).toEqual(['error', 'summary']);
  });
});

describe('the exit code of several transfers', () => {
  const ok: SentTo = { to: 'a', summary: summaryOf() };
  const partly: SentTo = { to: 'b', summary: summaryOf({ ok: false, code: 'disconnected' }) };
  const broken: SentTo = { to: 'c', summary: summaryOf({ ok: false, files: 0, code: 'changed' }) };
  const emptyFolder: SentTo = { to: 'd', summary: summaryOf({ files: 0, bytes: 0 }) };
  const declined: SentTo = { to: 'e', error: new DropError('declined') };
  const missing: SentTo = { to: 'f', error: new DropError('not-found') };
  const bug: SentTo = { to: 'g', error: new TypeError('x is not a function') };

  test.each([
    ['all delivered', [ok, emptyFolder, ok], 0],
    ['one delivered, one declined', [declined, ok], 5],
    ['one delivered, one not there', [ok, missing], 5],
    ['something of one', [partly, missing], 5],
    ['an empty folder to one, and nothing to the other', [missing, emptyFolder], 5],
    ['nothing delivered: that of the first', [missing, declined], 3],
    ['the same, the other way round', [declined, missing], 4],
    ['nothing delivered by a transfer', [broken, declined], 7],
    ['a bug in one of them', [bug, ok], 5],
    ['a bug and nothing else', [bug], 1],
  ])('%s', async (_, results, exit) => {
    const { end, err } = await drop('send a --to a --to b', {
      async *sendToAll() {
        yield* [];
        return results;
      },
    });
    expect(end).toBe(exit);
    const lines = err.trimEnd().split('\n').slice(-results.length);
    expect(lines.map(([name]) => name)).toEqual(results.map(({ to }) => to));
  });
});

describe('a bug', () => {
  const bug = sends(() => failing(new TypeError('x is not a function')));

  test('is one sentence and exit code 1', async () => {
    const { end, err } = await drop('send a --to bob', bug);
    expect(end).toBe(1);
    expect(err).toContain('Error: Something unexpected went wrong. x is not a function\n');
    expect(err).not.toContain('main.test.ts');
  });

  test('shows where, if asked', async () => {
    expect((await drop('send a --to bob -v', bug)).err).toContain('main.test.ts');
  });
});

describe('wrong usage', () => {
  test('goes to stderr, with exit code 2, and loads nothing', async () => {
    const io: FakeIo = {
      ...fakeIo(),
      library: async () => {
        throw new Error('loaded');
      },
    };
    expect(await main(['sned'], io)).toBe(2);
    expect(io.said.err()).toBe("Error: Unknown command 'sned'\nDid you mean send?\n");
    expect(io.said.out()).toBe('');
    expect(await main([], io)).toBe(0);
    expect(await main(['--version'], io)).toBe(0);
    expect(io.said.out()).toContain('drop send report.pdf');
  });

  test('is an error event for a program that asks for JSON by the environment, too', async () => {
    vi.stubEnv('DROP_JSON', '1');
    const { out, err } = await drop('trust ana maybe');
    expect(jsonLines(out)).toMatchObject([{ event: 'error', code: 'usage' }]);
    expect(err).toBe('');
    vi.stubEnv('DROP_JSON', '0');
    expect((await drop('trust ana maybe')).out).toBe('');
  });

  test('is an error event for a program', async () => {
    const { end, out, err } = await drop('sned --json');
    expect(end).toBe(2);
    expect(err).toBe('');
    expect(jsonLines(out)).toMatchObject([{ v: 1, event: 'error', code: 'usage' }]);
  });

  test('is to name no device where nobody can choose one', async () => {
    const { end, err } = await drop('send package.json');
    expect(end).toBe(2);
    expect(err).toMatch(/There is no terminal[\s\S]*--to/);
  });
});

test('a device that does not answer is said to be asked to call back, once for all attempts', async () => {
  const knocking = { event: 'knocking', name: 'bob' } as const;
  const { err } = await drop(
    'send a --to bob',
    sends(async function* () {
      yield knocking;
      yield knocking;
      yield { event: 'waiting', ...BOB };
      yield summaryOf();
      return summaryOf();
    }),
  );
  expect(err.split('\n').slice(0, 3)).toEqual([
    'Looking for "bob"...',
    '"bob" does not answer; it is asked to call back. Somebody may have to agree there.',
    'Waiting for "Bob" to accept...',
  ]);
});

describe('what a sender is told to do', () => {
  async function optionsOf(line: string): Promise<Partial<SendOptions>> {
    let options: Partial<SendOptions> = {};
    await drop(
      line,
      sends(async function* (given) {
        options = given;
        yield summaryOf();
        return summaryOf();
      }),
    );
    return options;
  }

  test('is passed on', async () => {
    vi.stubEnv('DROP_NAME', 'Ana');
    const options = await optionsOf(
      'send a --to bob --wait 3 --checksum --compress never --limit 1MB/s --exclude *.log',
    );
    expect(options).toMatchObject({ to: 'bob', wait: 3000, waitAgain: 3000, checksum: true });
    expect(options).toMatchObject({ name: 'Ana', stream: undefined });
    expect(options).toMatchObject({ compress: 'never', limit: 1_000_000, exclude: ['*.log'] });
  });

  test('is to wait as long as the library does, where nobody sits in front of it', async () => {
    const { wait, waitAgain } = await optionsOf('send a --to bob');
    expect([wait, waitAgain]).toEqual([undefined, undefined]);
  });
});

describe('--all', () => {
  const around = [
    peerEvent('Bob', 'b'),
    { ...peerEvent('Bob', 'b'), run: 'f'.repeat(16) },
    peerEvent('Ana', '1'),
    peerEvent('Gone', '2'),
    peerEvent('Gone', '2', 'paired', 'lost'),
    peerEvent('New', '3', 'new'),
    peerEvent('Bob', '4', 'namesake'),
    peerEvent('Spam', '5', 'blocked'),
    peerEvent('Me', '6', 'self'),
    peerEvent('Copy', '7', 'clone'),
    silentEvent('Zoe', '8'),
    peerEvent('Eve', '9'),
  ];
  const known = ['b', '1', '2', '9'].map((digit) => ({ ...KNOWN, id: idOf(digit) }));

  /** What is sent to whom, where these are around. */
  async function sentTo(
    line: string,
    events: readonly DiscoverEvent[],
    onIo?: (io: FakeIo) => void,
  ): Promise<{ end: unknown; err: string; to: readonly unknown[] | undefined; options: object }> {
    let given: readonly unknown[] | undefined;
    let options = {};
    const told = async function* () {
      yield summaryOf();
      return summaryOf();
    };
    const { end, err } = await drop(
      line,
      {
        knownPeers: async () => known,
        async *discover() {
          yield* events;
        },
        send(_, { to, ...more }) {
          [given, options] = [[to], more];
          return told();
        },
        async *sendToAll(_, { to, ...more }) {
          [given, options] = [to, more];
          yield* [];
          return to.map((one) => ({ to: one, summary: summaryOf() }));
        },
      },
      onIo,
    );
    return { end, err, to: given, options };
  }

  test('is each known device that is here, once, and no other', async () => {
    const { end, to, err, options } = await sentTo('send package.json --all', around);
    expect(end).toBe(0);
    expect(to).toMatchObject([
      { name: 'Bob', id: idOf('b'), run: 'b'.repeat(16) },
      { name: 'Ana', id: idOf('1') },
      { name: 'Eve', id: idOf('9') },
    ]);
    expect(to).toHaveLength(3);
    expect(options).toMatchObject({ confirm: undefined, unverified: false });
    expect(err).toMatch(/Sending to 3 devices/);
  });

  test('looks no longer where all are here who are known', async () => {
    const all = known.map(({ id }) => peerEvent(id.slice(0, 1), id.slice(0, 1)));
    const { to } = await sentTo('send package.json --all', [...all, peerEvent('late', 'c')]);
    expect(to).toHaveLength(4);
  });

  test('that are one device, gets what one device gets', async () => {
    const { end, to } = await sentTo('send package.json --all', [peerEvent('Ana', '1')]);
    expect([end, to]).toMatchObject([0, [{ name: 'Ana' }]]);
  });

  test('that are nobody, is no such device', async () => {
    const { end, err, to } = await sentTo('send package.json --all', [
      peerEvent('New', '3', 'new'),
    ]);
    expect([end, to]).toEqual([3, undefined]);
    expect(err).toContain('Error: No known device is ready on this network.\n');
  });

  test('finds out first whether there is something to send', async () => {
    const { end, err } = await sentTo('send nothing.txt --all', around);
    expect(end).toBe(8);
    expect(err).toContain('nothing.txt: There is no such file');
  });

  test.each([
    ['y', 0, 3],
    ['n', 4, undefined],
  ])('is asked about in a terminal: %s', async (key, exit, count) => {
    const { end, err, to } = await sentTo('send package.json --all --plain', around, (io) => {
      for (const stream of [io.stdin, io.stderr]) Object.assign(stream, { isTTY: true });
      let said = '';
      io.stderr.on('data', (piece: string) => {
        said += piece;
        if (/\? \[y\/N\] $/.test(said)) setImmediate(() => io.stdin.write(`${key}\n`));
      });
    });
    expect(err).toContain('Send package.json to Bob, Ana and Eve? [y/N] ');
    expect([end, to?.length]).toEqual([exit, count]);
  });
});

describe('what is no file or folder', () => {
  test.runIf(process.platform !== 'win32')(
    'is an error where nothing else is to be sent',
    async () => {
      const sent: (readonly string[])[] = [];
      const library: Partial<Library> = {
        async *send(paths) {
          sent.push(paths);
          yield summaryOf();
          return summaryOf();
        },
      };
      const { end, err } = await drop('send /dev/null --to bob', library);
      expect(end).toBe(2);
      expect(err).toBe(
        'Error: /dev/null is no file and no folder.\n' +
          'What a program writes is sent by: PROGRAM | drop send - --name FILENAME\n',
      );
      // Among others it is left out, and what is missing is told by its name.
      for (const others of ['package.json', 'nothing.txt', '--text hello'])
        expect((await drop(`send /dev/null --to bob ${others}`, library)).end).toBe(0);
      expect(sent).toHaveLength(3);
    },
  );
});

describe('standard input', () => {
  const given = (io: FakeIo): void => {
    io.stdin.push('one,');
    io.stdin.push('two');
    io.stdin.push(null);
  };

  test('is sent as a stream, beside the files', async () => {
    let paths: readonly string[] = [];
    let [name, text] = ['', ''];
    const { end } = await drop(
      'send a - --to bob --name b.tar',
      {
        async *send(all, { stream }) {
          paths = all;
          name = stream?.name ?? '';
          for await (const bytes of stream?.source ?? []) text += Buffer.from(bytes).toString();
          yield summaryOf();
          return summaryOf();
        },
      },
      given,
    );
    expect(end).toBe(0);
    expect([paths, name, text]).toEqual([['a'], 'b.tar', 'one,two']);
  });

  test('has not come to its end if that comes with what stops us', async () => {
    let isWhole = false;
    const { end } = await drop(
      'send - --to bob',
      sends(async function* ({ stream, signal }) {
        yield* [];
        for await (const _ of stream?.source ?? []);
        isWhole = signal?.aborted !== true;
        throw signal?.reason;
      }),
      (io) => {
        given(io);
        // Ctrl-C ends whoever writes into a pipe, too, and the end of that may be heard first.
        io.stdin.once('end', () => setImmediate(() => io.signals.emit('SIGINT')));
      },
    );
    expect({ end, isWhole }).toEqual({ end: 'SIGINT', isWhole: false });
  });

  test('that nobody reads to its end keeps nobody from ending', async () => {
    let stdin: Readable | undefined;
    const { end } = await drop(
      'send - --to bob',
      sends(() => failing(new DropError('declined'))),
      (io) => {
        stdin = io.stdin;
      },
    );
    expect(end).toBe(4);
    expect(stdin?.destroyed).toBe(true);
  });

  test('that fails before it is read is no failure of the program', async () => {
    let stdin: Readable | undefined;
    const { end } = await drop(
      'send - --to bob',
      sends(async function* () {
        yield* [];
        stdin?.destroy(new Error('EIO'));
        await new Promise(setImmediate);
        throw new DropError('declined');
      }),
      (io) => {
        stdin = io.stdin;
      },
    );
    expect(end).toBe(4);
  });

  test('is not the keyboard', async () => {
    const { end, err } = await drop('send - --to bob', {}, (io) =>
      Object.assign(io.stdin, { isTTY: true }),
    );
    expect(end).toBe(2);
    expect(err).toBe(
      'Error: Standard input is the keyboard here, and not something to send.\n' +
        'Pipe into it, as in: tar c photos | drop send - --name photos.tar\n',
    );
  });

  test('leaves nobody to be asked, so the device must be named', async () => {
    const { end, err } = await drop('send -', {}, given);
    expect(end).toBe(2);
    expect(err).toContain('Name it with --to.');
  });
});

describe('the code of a new device, where nobody can be asked', () => {
  const asked = (why: ('new' | 'wrong-code' | 'code-changed')[], codes: string[]) =>
    sends(async function* ({ code }) {
      if (code === undefined) throw new DropError('not-paired');
      for (const reason of why)
        codes.push(
          await code({
            peer: BOB,
            kind: 'code',
            why: reason,
            signal: new AbortController().signal,
          }),
        );
      yield summaryOf();
      return summaryOf();
    });

  test('is that of DROP_CODE', async () => {
    vi.stubEnv('DROP_CODE', '493 027');
    const codes: string[] = [];
    expect((await drop('send a --to bob', asked(['new'], codes))).end).toBe(0);
    expect(codes).toEqual(['493027']);
  });

  test.each(['wrong-code', 'code-changed'] as const)('is tried once: %s', async (why) => {
    vi.stubEnv('DROP_CODE', '493027');
    const codes: string[] = [];
    const { end, err } = await drop('send a --to bob', asked(['new', why], codes));
    expect(end).toBe(6);
    expect(codes).toHaveLength(1);
    expect(err).toContain(ERRORS[why].message);
  });

  test('is that of one device: no other gets it, but all who share a PIN do', async () => {
    vi.stubEnv('DROP_CODE', '493027');
    const tried: string[] = [];
    const to = (kind: 'code' | 'pin'): Partial<Library> => ({
      async *sendToAll(_, { code, signal = new AbortController().signal }) {
        yield* [];
        for (const id of ['1', '2', '1']) {
          const peer = { name: id, id: idOf(id) };
          tried.push(
            (await code?.({ peer, kind, why: 'new', signal }).catch(({ code: why }) => why)) ?? '',
          );
        }
        return [];
      },
    });
    await drop('send a --to a --to b', to('code'));
    expect(tried.splice(0)).toEqual(['493027', 'not-paired', '493027']);
    await drop('send a --to a --to b', to('pin'));
    expect(tried).toEqual(['493027', '493027', '493027']);
  });

  test('does not exist otherwise', async () => {
    expect((await drop('send a --to bob', asked(['new'], []))).end).toBe(6);
  });

  test('must be a code, which is wrong usage and no bug, also where several are asked', async () => {
    vi.stubEnv('DROP_CODE', 'secret');
    expect((await drop('send a --to bob', asked(['new'], []))).end).toBe(2);
    const failures: unknown[] = [];
    await drop('send a --to a --to b', {
      async *sendToAll(_, { code, signal = new AbortController().signal }) {
        yield* [];
        await code?.({ peer: BOB, kind: 'code', why: 'new', signal }).catch((error) => {
          failures.push(error);
        });
        return [];
      },
    });
    // The library takes anything else for a bug.
    expect(failures).toEqual([expect.any(DropError)]);
    expect(failures).toMatchObject([{ code: 'usage', message: 'DROP_CODE is not a code.' }]);
  });
});

describe('a receiver without a terminal', () => {
  async function optionsOf(line: string): Promise<ReceiveOptions & { readonly said: string }> {
    let options: ReceiveOptions = {};
    const { out, err } = await drop(line, {
      async *receive(given = {}) {
        options = given;
        yield READY;
        yield { event: 'code', code: '111222' };
      },
    });
    return { ...options, said: line.includes('--json') ? err : out + err };
  }

  test.each([
    ['receive', false, false],
    ['receive --yes', false, true],
    ['receive --json', false, false],
    ['receive --json --yes', true, true],
  ])(
    'drop %s lets new devices in: %s; takes what known ones send: %s',
    async (line, newcomers, yes) => {
      const options = await optionsOf(line);
      expect(options.newcomers).toBe(newcomers);
      expect(options.accept === undefined).toBe(!yes);
      const extent = {
        roots: [],
        files: 0,
        texts: 0,
        bytes: 0,
        sized: true,
        final: true,
        risks: [],
      };
      expect(await options.agree?.({ address: '10.77.0.1' }, new AbortController().signal)).toBe(
        yes || undefined,
      );
      const request = { from: BOB, known: true, transfer: TRANSFER, ...extent };
      expect(await options.accept?.(request, new AbortController().signal)).toBe(yes || undefined);
    },
  );

  test.each(['receive', 'receive --yes', 'receive -v --yes', 'receive --json --yes'])(
    'drop %s writes no code where it could stay',
    async (line) => {
      expect((await optionsOf(line)).said).not.toMatch(/493 ?027|111 ?222/);
    },
  );

  test('passes on what it was told', async () => {
    vi.stubEnv('DROP_HOME', '/state');
    expect(
      await optionsOf(
        'receive --into in --name Ana --as a --once --port 9 --interface lo --on-conflict skip',
      ),
    ).toMatchObject({
      into: 'in',
      name: 'Ana',
      as: 'a',
      once: true,
      port: 9,
      onConflict: 'skip',
      home: '/state',
      interfaces: ['lo'],
    });
  });
});

test('a question about a stranger that nobody answers within a minute is answered by no', async () => {
  vi.useFakeTimers();
  try {
    let agreed: boolean | undefined;
    let said = (): string => '';
    const waited = drop(
      'receive --plain',
      {
        async *receive({ agree, signal = new AbortController().signal } = {}) {
          yield READY;
          agreed = await agree?.({ address: '10.77.0.1' }, signal);
        },
      },
      (io) => {
        said = io.said.err;
        for (const stream of [io.stdin, io.stderr]) Object.assign(stream, { isTTY: true });
      },
    );
    await vi.waitFor(() => expect(said()).toMatch(/Call it\? \[y\/N\] $/), PATIENCE);
    await vi.advanceTimersByTimeAsync(50_000);
    expect(agreed).toBeUndefined();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(agreed).toBe(false);
    expect((await waited).err).toMatch(
      /Call it\? \[y\/N\] \nNobody answered, so it was not called\.\n$/,
    );
  } finally {
    vi.useRealTimers();
  }
});

describe('a signal', () => {
  /** Runs `drop receive` until it is ready, against a library that ends `onAbort`. */
  async function receiving(onAbort: () => Promise<void>) {
    let ready: () => void = () => {};
    const waiting = new Promise<void>((resolve) => {
      ready = resolve;
    });
    const io = fakeIo(
      fakeLibrary({
        async *receive({ signal } = {}) {
          yield READY;
          ready();
          await aborted(signal);
          await onAbort();
        },
      }),
    );
    const end = main(['receive'], io);
    await waiting;
    return { io, end };
  }

  test.each([
    ['SIGINT', 'Stopping... (Ctrl-C again to quit at once)'],
    ['SIGTERM', 'Stopping...'],
  ] as const)('%s ends it cleanly, and is what it ends by', async (signal, said) => {
    let clean = false;
    const { io, end } = await receiving(async () => {
      clean = true;
    });
    io.signals.emit(signal);
    expect(await end).toBe(signal);
    expect(clean).toBe(true);
    expect(io.said.err()).toContain(`${said}\n`);
    expect(io.signals.eventNames()).toEqual([]);
  });

  test('is said once, however many transfers it stops, and what became of each', async () => {
    const of = ['1', '2'].map((digit) => ({
      transfer: digit.repeat(32),
      peer: { name: `Bob ${digit}`, id: idOf(digit) },
    }));
    const stopped = { event: 'error', code: 'cancelled', message: 'You stopped it.' } as const;
    const parts: Partial<Library> = {
      async *receive({ signal } = {}) {
        yield READY;
        for (const one of of) yield { event: 'accepted', ...one };
        io.signals.emit('SIGINT');
        await aborted(signal);
        // One who was about to come, too.
        yield { ...stopped, peer: BOB };
        for (const one of of) {
          yield { ...stopped, ...one };
          yield { ...summaryOf({ ok: false, code: 'cancelled', files: 0 }), ...one };
        }
      },
    };
    const io = fakeIo(fakeLibrary(parts));
    expect(await main(['receive'], io)).toBe('SIGINT');
    const [, said = ''] = io.said.err().split('quit at once)\n');
    expect(said.split('\n')).toEqual([
      'Incomplete: nothing arrived from "Bob 1".',
      'Incomplete: nothing arrived from "Bob 2".',
      '',
    ]);
  });

  test.each([
    ['send a --to bob', true, true],
    ['send a --to bob --to eve', true, true],
    ['send a --to bob', false, false],
    ['send - --name a --to bob', true, false],
    ['send --text hello --to bob', true, false],
    ['get --from bob', true, true],
    ['get --from bob --stdout', true, false],
    ['receive', true, false],
  ])(
    '%s, where something is on its way: %s, says how to go on: %s',
    async (line, isOnItsWay, says) => {
      async function* once({
        signal = new AbortController().signal,
      }: {
        signal?: AbortSignal | undefined;
      } = {}): AsyncGenerator<TransferEvent, never> {
        if (isOnItsWay) yield { event: 'accepted', transfer: TRANSFER, peer: BOB };
        io.signals.emit('SIGINT');
        await aborted(signal);
        throw signal.reason;
      }
      const io = fakeIo(
        fakeLibrary({
          send: (_, options) => once(options),
          sendToAll: (_, options) => once(options),
          get: once,
          receive: once,
        }),
      );
      expect(await main(line.split(' '), io)).toBe('SIGINT');
      expect(io.said.err().includes('run the same command again')).toBe(says);
    },
  );

  test('a second one ends it at once', async () => {
    const { io, end } = await receiving(() => new Promise(() => {}));
    io.signals.emit('SIGINT');
    io.signals.emit('SIGINT');
    expect(await end).toBe('SIGINT');
  });

  test.each([
    ['until its lines are read', false],
    ['but no longer than to the next signal', true],
  ])('ends a program that tells in JSON, %s', async (_, again) => {
    const lines: string[] = [];
    let read = (): void => {};
    const slow = new Writable({
      decodeStrings: false,
      write(text: string, __, taken) {
        lines.push(text);
        read = taken;
      },
    });
    let done = (): void => {};
    const stopping = new Promise<void>((resolve) => {
      done = resolve;
    });
    const io = fakeIo(
      fakeLibrary({
        async *receive({ signal } = {}) {
          yield READY;
          await aborted(signal);
          yield summaryOf({ ok: false, code: 'cancelled' });
          done();
        },
      }),
    );
    let isOver = false;
    const end = main(['receive', '--json'], { ...io, stdout: slow }).finally(() => {
      isOver = true;
    });
    await expect.poll(() => lines).toHaveLength(1);
    io.signals.emit('SIGTERM');
    await stopping;
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
    expect(isOver).toBe(false);
    if (again) io.signals.emit('SIGTERM');
    else {
      read();
      await expect.poll(() => lines).toHaveLength(2);
      expect(jsonLines(lines[1] ?? '')).toMatchObject([{ event: 'summary' }]);
      read();
      // What is asked for at last is whether all is taken.
      await expect.poll(() => lines).toHaveLength(3);
      read();
    }
    expect(await end).toBe('SIGTERM');
    expect(lines.length).toBe(again ? 1 : 3);
  });

  test('SIGHUP ends it at once', async () => {
    const { io, end } = await receiving(() => new Promise(() => {}));
    io.signals.emit('SIGHUP');
    expect(await end).toBe('SIGHUP');
  });

  test('patience has an end', async () => {
    const io = fakeIo();
    const stops = new Stops(io.signals, { onFirst: () => {}, patience: 5 });
    stops.stop('SIGTERM');
    await stops.atOnce;
    expect(stops.by).toBe('SIGTERM');
    stops.close();
  });

  test('what fails because of it is not an error, a bug is', async () => {
    const { io, end } = await receiving(async () => {
      throw new DropError('cancelled');
    });
    io.signals.emit('SIGINT');
    expect(await end).toBe('SIGINT');
    expect(io.said.err()).not.toContain('Error');

    const buggy = await receiving(async () => {
      throw new TypeError('x is undefined');
    });
    buggy.io.signals.emit('SIGINT');
    expect(await buggy.end).toBe('SIGINT');
    expect(buggy.io.said.err()).toContain('x is undefined');
  });
});

describe('stdout that cannot be written', () => {
  async function breaking(code: string) {
    const io = fakeIo(
      fakeLibrary({
        async *receive({ signal } = {}) {
          yield READY;
          io.stdout.emit('error', Object.assign(new Error(`write ${code}`), { code }));
          await aborted(signal);
        },
      }),
    );
    return { end: await main(['receive', '--json'], io), err: io.said.err() };
  }

  test('as its reader left: ends quietly', async () => {
    expect(await breaking('EPIPE')).toEqual({ end: 0, err: '' });
  });

  test.each([
    ['before all is delivered: quietly, too, but with 5', 5, []],
    ['after that: 0', 0, [summaryOf()]],
  ] as const)('as who reads what is told of a `send` left %s', async (_, exit, summary) => {
    const io: FakeIo = fakeIo(
      fakeLibrary(
        sends(async function* ({ signal }) {
          yield* summary;
          io.stdout.emit('error', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
          await aborted(signal);
          if (summary.length === 0) throw signal?.reason;
          return summaryOf();
        }),
      ),
    );
    expect(await main(['send', 'a', '--to', 'bob', '--json'], io)).toBe(exit);
    expect(io.said.err()).toBe('');
  });

  test('for another reason: says so and fails', async () => {
    expect(await breaking('ENOSPC')).toEqual({
      end: 8,
      err: 'Error: stdout cannot be written: write ENOSPC\n',
    });
  });

  test.each(['peers', 'peers --json', 'completion bash'])(
    'is noticed as well where it is the last that is done: %s',
    async (words) => {
      const full = new Writable({
        write: (_bytes, _encoding, taken) =>
          setImmediate(taken, Object.assign(new Error('write ENOSPC'), { code: 'ENOSPC' })),
      });
      const io = fakeIo(
        fakeLibrary({
          async *discover() {
            yield peerEvent('Bob', 'b');
          },
        }),
      );
      expect(await main(words.split(' '), { ...io, stdout: full })).toBe(8);
    },
  );
});

describe('drop peers', () => {
  const around: Partial<Library> = {
    knownPeers: async () => [KNOWN, { ...KNOWN, id: idOf('c'), name: 'Old\x1b[2J' }],
    async *discover() {
      yield peerEvent('Bob', 'b');
      yield peerEvent('Eve', 'e', 'new');
      yield peerEvent('Eve', 'e', 'new', 'lost');
      yield peerEvent('bob', 'd', 'namesake');
    },
  };

  test('prints a table of who is here and who is known', async () => {
    const { end, out } = await drop('peers', around);
    expect(end).toBe(0);
    expect(out.split('\n')).toEqual([
      'NAME     STATUS                       ID        ADDRESS',
      'Bob      known                        bbbbbbbb  192.168.1.11:23767',
      'bob      new, NOT the "bob" you know  dddddddd  192.168.1.13:23767',
      'Old\ufffd[2J  known, not here              cccccccc  last seen 2026-11-02',
      '',
    ]);
  });

  test('prints what is known even where there is no network', async () => {
    const { end, out, err } = await drop('peers', {
      ...around,
      discover: () => failing(new DropError('no-network')),
    });
    expect(end).toBe(3);
    expect(out).toContain('known, not here');
    expect(err).toContain(ERRORS['no-network'].message);
  });

  test('lists devices that do not answer, and says why no other is there', async () => {
    const { end, out, err } = await drop('peers', {
      async *discover() {
        yield peerEvent('Me', 'a', 'self');
        yield silentEvent('Eve', 'e');
        yield silentEvent('', 'f');
        yield { ...NOTHING, message: `"${HOSTILE}" is announced.` };
        yield silentEvent('', 'f', 'lost');
      },
    });
    expect(end).toBe(0);
    expect(out.split('\n')).toEqual([
      'NAME  STATUS           ID        ADDRESS',
      'Me    this computer    aaaaaaaa  192.168.1.10:23767',
      'Eve   does not answer            192.168.1.14:23767',
      '',
    ]);
    const lines = err.split('\n').slice(1);
    expect(lines).toEqual([
      expect.stringMatching(/^"evil.*" is announced\.$/),
      'Is it running there?',
      'Asked on eth0 (nobody heard).',
      '',
    ]);
    expect(err).not.toMatch(STEERING);
  });

  test('says why nobody is there until somebody is', async () => {
    const { out, err } = await drop('peers', {
      async *discover() {
        yield NOTHING;
        yield peerEvent('Eve', 'e', 'new');
      },
    });
    expect(out).toMatch(/Eve/);
    expect(err).not.toContain(NOTHING.message);
  });

  test('waits until it is known why nobody is there', async () => {
    vi.useFakeTimers();
    try {
      const looked = drop('peers', {
        async *discover({ signal } = {}) {
          yield peerEvent('Me', 'a', 'self');
          await Promise.race([aborted(signal), new Promise((done) => setTimeout(done, 3_900))]);
          if (signal?.aborted) return;
          yield NOTHING;
          await aborted(signal);
        },
      });
      await vi.advanceTimersByTimeAsync(4_500);
      expect((await looked).err).toContain(NOTHING.message);
    } finally {
      vi.useRealTimers();
    }
  });

  test('as JSON: events', async () => {
    const { out } = await drop('peers --json', around);
    expect(jsonLines(out)).toMatchObject([
      { event: 'known', name: 'Bob' },
      { event: 'known', name: 'Old\x1b[2J' },
      { event: 'peer', state: 'found', name: 'Bob' },
      { event: 'peer', state: 'found', name: 'Eve' },
      { event: 'peer', state: 'lost', name: 'Eve' },
      { event: 'peer', state: 'found', name: 'bob' },
    ]);
  });

  test('as JSON: what does not answer, and why nobody is there, as it is', async () => {
    for (const how of ['', ' --watch']) {
      const { out, err } = await drop(`peers --json${how}`, {
        async *discover() {
          yield silentEvent('Eve', 'e');
          yield NOTHING;
        },
      });
      const [silent, nothing] = [silentEvent('Eve', 'e'), NOTHING];
      expect(jsonLines(out)).toEqual([
        { v: 1, ...silent },
        { v: 1, ...nothing },
      ]);
      expect(err).toBe('');
    }
  });

  test('--watch tells of what does not answer, and each change of what is shown once', async () => {
    const { out, err } = await drop('peers --watch', {
      async *discover() {
        yield silentEvent('Eve', 'e');
        yield NOTHING;
        yield silentEvent('Eve', 'e', 'lost');
        yield peerEvent('Eve', 'e', 'new');
        yield { ...peerEvent('Eve', 'e', 'new'), addresses: ['192.168.1.14:23767', '[fd07::1]:1'] };
      },
    });
    expect(out.split('\n')).toEqual([
      'Eve  does not answer  192.168.1.14:23767',
      'Eve  is gone, or answers now  192.168.1.14:23767',
      'Eve  here, new  eeeeeeee  192.168.1.14:23767',
      '',
    ]);
    expect(err).toBe(
      'No other device is heard on eth0.\nIs it running there?\nAsked on eth0 (nobody heard).\n',
    );
  });

  test('--watch prints each change', async () => {
    const { out } = await drop('peers --watch', around);
    expect(out.split('\n')).toEqual([
      'Bob  here, known  bbbbbbbb  192.168.1.11:23767',
      'Eve  here, new  eeeeeeee  192.168.1.14:23767',
      'Eve  gone  eeeeeeee  192.168.1.14:23767',
      'bob  here, new, NOT the "bob" you know  dddddddd  192.168.1.13:23767',
      '',
    ]);
  });
});

describe('what is known of a device is changed', () => {
  test.each([
    ['trust bob auto', 'Files from "Bob" are saved without asking.'],
    ['trust bob ask', 'You will be asked about files from "Bob".'],
    ['block bob', '"Bob" is blocked: nothing is taken from it.'],
    ['rename bob Bob', 'It is called "Bob" from now on.'],
    ['forget bob', '"Bob" is forgotten: it needs a code again.'],
  ])('drop %s', async (line, sentence) => {
    const calls: unknown[][] = [];
    const record = async (...call: unknown[]): Promise<KnownPeer> => {
      calls.push(call);
      return KNOWN;
    };
    const { end, err } = await drop(line, {
      trustPeer: record,
      renamePeer: record,
      forgetPeer: record,
    });
    expect(end).toBe(0);
    expect(err).toBe(`${sentence}\n`);
    expect(calls).toHaveLength(1);
    expect(calls[0]?.[0]).toBe('bob');
  });
});

test.each([
  ['--version', ['main', 'rolldown-runtime']],
  ['--help', ['arguments', 'main', 'rolldown-runtime']],
  ['', ['arguments', 'main', 'rolldown-runtime']],
])('of the built command, "drop %s" loads no more than it needs', (word, parts) => {
  const folder = mkdtempSync(join(tmpdir(), 'drop-test-'));
  try {
    const env = { ...process.env, NODE_V8_COVERAGE: folder };
    const args = ['bin/drop.js', ...(word === '' ? [] : [word])];
    expect(spawnSync(process.execPath, args, { env }).status).toBe(0);
    const loaded = readdirSync(folder).flatMap((file) => {
      const { result } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as Coverage;
      return result.map(({ url }) => url).filter((url) => url.startsWith('file:'));
    });
    const files = loaded.map((url) => url.replace(/^.*\/(?=node_modules\/|dist\/|bin\/)/, ''));
    const expected = ['bin/drop.js', ...parts.map((part) => `dist/command/${part}.cjs`)];
    expect(files.sort()).toEqual(expected);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** What V8 writes about the scripts that it has run. */
interface Coverage {
  readonly result: readonly { readonly url: string }[];
}
