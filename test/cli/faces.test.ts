import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Face, ShownEvent } from '../../src/cli/face.ts';
import { JsonFace } from '../../src/cli/face-json.ts';
import { PlainFace } from '../../src/cli/face-plain.ts';
import { hasColors, mannerOf, type Output } from '../../src/cli/io.ts';
import { Lines } from '../../src/cli/lines.ts';
import { Words } from '../../src/cli/words.ts';
import { DEFAULT_PORT } from '../../src/net/ports.ts';
import { forTerminal } from '../../src/protocol/names.ts';
import {
  BOB,
  fakeIo,
  HOSTILE,
  idOf,
  jsonLines,
  peerEvent,
  READY,
  STEERING,
  summaryOf,
  TRANSFER,
} from './fake.ts';

interface Manner {
  readonly side?: 'sender' | 'receiver';
  /** By default who receives. */
  readonly announced?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly codes?: boolean;
  readonly interfaces?: readonly string[];
  readonly now?: () => number;
}

function plainFace({
  side = 'receiver',
  announced = side === 'receiver',
  quiet = false,
  verbose = false,
  codes = true,
  interfaces,
  now,
}: Manner) {
  const io = fakeIo();
  const words = new Words({
    clean: forTerminal,
    side,
    announced,
    verbose,
    codes,
    home: '/home/ana',
    port: DEFAULT_PORT,
    interfaces,
  });
  const lines = new Lines(io.stderr, { quiet, verbose, paint: (_, text) => text });
  return { face: new PlainFace(lines, words, forTerminal, now), said: io.said.err };
}

/** What the plain face says of these events. */
function told(events: readonly ShownEvent[], manner: Manner = {}): string[] {
  const { face, said } = plainFace(manner);
  for (const event of events) face.show(event);
  return said().trimEnd().split('\n');
}

const of = { transfer: TRANSFER, peer: BOB };

test('of what somebody shares who begins anew, only the latest is remembered', () => {
  const offer = (transfer: string): ShownEvent => ({
    ...{ event: 'offer', transfer, peer: BOB, roots: ['a'], risks: [] },
    ...{ files: 1, texts: 0, bytes: 1, sized: true, final: true },
  });
  const accepted = (transfer: string): ShownEvent => ({ event: 'accepted', transfer, peer: BOB });
  const [first, second] = ['1'.repeat(32), '2'.repeat(32)];
  expect(told([offer(first), offer(first), accepted(first)])).toEqual([
    'Receiving a (1 B) from "Bob"',
  ]);
  expect(told([offer(first), offer(second), accepted(first), accepted(second)])).toEqual([
    '"Bob" fetches it.',
    'Receiving a (1 B) from "Bob"',
  ]);
});
type Ready = Extract<ShownEvent, { event: 'ready' }>;
const request: ShownEvent = {
  ...of,
  event: 'request',
  from: BOB,
  known: true,
  risks: [],
  roots: ['report.pdf'],
  files: 1,
  texts: 0,
  bytes: 2_100_000,
  sized: true,
  final: true,
};
const saved = (path: string, offered?: string): ShownEvent => ({
  ...of,
  event: 'saved',
  path,
  bytes: 2_100_000,
  digest: `sha256:${'0'.repeat(64)}`,
  ...(offered === undefined ? {} : { offered }),
});

describe('a message', () => {
  const text = (what: string): ShownEvent => ({ ...of, event: 'text', text: what });

  test('stands out, its lines as they were', () => {
    const events = [text('Hi Ana,\r\n\n\tsee you at 5.\rBob\n'), summaryOf({ files: 1, bytes: 9 })];
    const lines = ['Message from "Bob":', '  Hi Ana,', '  ', '      see you at 5.', '  Bob'];
    expect(told(events)).toEqual(lines);
    expect(told(events, { quiet: true })).toEqual(lines);
  });

  test('can be taken for nothing that we say, however long its lines are', () => {
    const spoof = `${'x'.repeat(77)}Code for new devices: 000 000 ${'y '.repeat(100)}`;
    for (const row of told([text(spoof)]).slice(1)) {
      expect(row).toMatch(/^ {2}\S/);
      expect(row.length).toBeLessThan(80);
    }
  });

  test('steers nothing', () => {
    expect(told([text(`a${HOSTILE}b\n${HOSTILE}`)]).join('')).not.toMatch(STEERING);
  });

  test('of ten thousand lines is cut, and said to be', () => {
    for (const long of ['line\n'.repeat(10_000), 'word '.repeat(12_000)]) {
      const lines = told([text(long)]);
      expect(lines).toHaveLength(302);
      expect(lines.at(-1)).toBe(
        'There is more of it. To save a message: drop receive --as FILENAME',
      );
    }
  });

  test('is not called a file', () => {
    const extent = { ...request, roots: ['a', 'message.txt'], files: 2, texts: 1 } as ShownEvent;
    const alone = { ...request, roots: ['x'], texts: 1, bytes: 12 } as ShownEvent;
    const both = [text('hi'), saved('/tmp/a'), summaryOf({ files: 2 })];
    expect(told([alone], { verbose: true })).toEqual(['"Bob" wants to send a message (12 B).']);
    expect(told([extent], { verbose: true })[0]).toMatch(/a and 1 more \(2 files/);
    expect(told(both).at(-1)).toMatch(/^Received 1 file and a message \(/);
    expect(told([text('hi'), summaryOf({ files: 1 })], { side: 'sender' })).toEqual([
      expect.stringMatching(/^Sent a message \(/),
    ]);
  });
});

describe('whoever shares with browsers reads', () => {
  const web = `http://192.168.1.20:23777/${'x'.repeat(22)}/`;
  const { name, id, port, addresses, code, pin } = READY as Ready;
  const ready: Ready = {
    event: 'ready',
    name,
    id,
    port,
    addresses,
    code,
    pin,
    roots: ['a'],
    web,
  };
  const downloaded = (path: string, whole = true): ShownEvent => ({
    event: 'downloaded',
    from: '192.168.1.30',
    path,
    bytes: 2_100_000,
    whole,
  });
  const sender = { side: 'sender' } as const;

  test('the link, and what it is and is not', () => {
    const lines = told([ready], sender);
    expect(lines.slice(-4)).toEqual([
      `In a browser: ${web}`,
      'Whoever has this link can download what is shared, as long as this runs.',
      'It is not encrypted: others in this network could read or change it.',
      'A browser cannot check that it is this computer. Where that matters: drop get',
    ]);
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThan(80);
    const withPin = told([{ ...ready, pin: true }], sender);
    expect(withPin.at(-3)).toMatch(/^Whoever has link and PIN can/);
  });

  test('the link again where it is another one, and the rest of it once', () => {
    const reachable: ShownEvent = { event: 'reachable', addresses: ['10.0.0.1:23767'], web };
    expect(told([ready, reachable], sender).at(-1)).toBe(`In a browser: ${web}`);
    const { web: _, ...without } = ready;
    const lines = told([without, reachable], sender);
    expect(lines.slice(-4)[0]).toBe(`In a browser: ${web}`);
    expect(lines.at(-1)).toContain('cannot check');
  });

  test('no link in a log', () => {
    expect(told([ready], { ...sender, codes: false }).join()).not.toContain('http');
  });

  test('the link, too, where nothing else is said', () => {
    expect(told([ready], { ...sender, quiet: true })).toContain(`In a browser: ${web}`);
  });

  test('what was downloaded, and what broke off', () => {
    expect(told([downloaded('a/b'), downloaded(''), downloaded('a', false)], sender)).toEqual([
      '192.168.1.30 downloaded a/b (2.1 MB)',
      '192.168.1.30 downloaded everything (2.1 MB)',
      '192.168.1.30 stopped downloading a after 2.1 MB',
    ]);
    expect(told([downloaded(HOSTILE)], sender).join('')).not.toMatch(STEERING);
  });

  test('of a thousand downloads not a thousand lines', () => {
    const many = Array.from({ length: 1000 }, (_, n) => downloaded(String(n)));
    const lines = told(many, sender);
    expect(lines).toHaveLength(101);
    expect(lines.at(-1)).toBe('More downloads are told of with --verbose only.');
    expect(told(many, { ...sender, verbose: true })).toHaveLength(1000);
  });
});

describe('a receiver reads', () => {
  test('where it stands, and the code', () => {
    expect(told([{ ...READY, into: '/home/ana/Downloads' } as ShownEvent])).toEqual([
      'Ready as "Ana", saving to ~/Downloads',
      'Code for new devices: 493 027',
      'Reachable at 192.168.1.20, as in: drop send FILE --to 192.168.1.20',
    ]);
  });

  test('how it is reached: two addresses, the port only where it must be typed', () => {
    const all = ['192.168.1.20:23767', '10.0.0.5:23767', '172.17.0.1:23767'];
    const last = (addresses: string[], verbose = false): string | undefined =>
      told([{ ...READY, addresses } as ShownEvent], { verbose }).at(-1);
    expect(last(all)).toBe(
      'Reachable at 192.168.1.20, 10.0.0.5, as in: drop send FILE --to 192.168.1.20',
    );
    expect(last(all, true)).toMatch(/at 192\.168\.1\.20, 10\.0\.0\.5, 172\.17\.0\.1, as in/);
    expect(last(['192.168.1.20:41000'])).toMatch(/--to 192\.168\.1\.20:41000$/);
    expect(last(['192.168.1.20:123767'])).toMatch(/--to 192\.168\.1\.20:123767$/);
    expect(last(['[fd07::1]:23767'])).toMatch(/--to fd07::1$/);
    expect(last(['[fd07::1]:23768'])).toMatch(/--to \[fd07::1\]:23768$/);
    expect(last([])).toMatch(/no network; it/);
    // Nobody else gets there, and whoever types it there gets somewhere else.
    expect(last(['127.0.0.1:23767'])).toMatch(/no network; it/);
    expect(last(['[::1]:23767'])).toMatch(/no network; it/);
  });

  test('how it is reached where one interface was named', () => {
    const { face, said } = plainFace({ interfaces: ['lo'] });
    face.show({ ...READY, addresses: ['127.0.0.1:23767'] } as ShownEvent);
    expect(said()).toContain('Reachable at 127.0.0.1, as in: drop send FILE --to 127.0.0.1\n');
  });

  test('what is kept of a transfer that was stopped', () => {
    const stopped = { ok: false, code: 'cancelled', kept: 12_300_000 } as const;
    expect(told([summaryOf({ ...stopped, files: 0, bytes: 0 })])).toEqual([
      'Incomplete: no whole file arrived from "Bob"; 12.3 MB kept for next time.',
    ]);
    expect(told([summaryOf({ ...stopped, files: 2 })])).toEqual([
      'Incomplete: 2 files (2.1 MB) arrived from "Bob"; 12.3 MB more kept for next time.',
    ]);
    // Where it began counts no more: it is in what is kept, or lost.
    const begun = summaryOf({ ...stopped, files: 0, bytes: 0, resumed: 5_000_000 });
    expect(told([begun])).toEqual([
      'Incomplete: no whole file arrived from "Bob"; 12.3 MB kept for next time.',
    ]);
    expect(told([{ ...begun, kept: 0 }])).toEqual(['Incomplete: nothing arrived from "Bob".']);
    expect(told([begun], { side: 'sender' }).at(-1)).not.toMatch(/there already/);
  });

  test('one line for one file', () => {
    expect(
      told([request, { ...of, event: 'accepted' }, saved('/home/ana/report.pdf'), summaryOf()]),
    ).toEqual(['Receiving report.pdf (2.1 MB) from "Bob"', 'Saved ~/report.pdf (2.1 MB)']);
  });

  test('when a name had to be another one', () => {
    expect(told([saved('/in/con_', 'con')])).toEqual(['Saved /in/con_ (2.1 MB), offered as "con"']);
  });

  test('twenty names of a thousand files, and how many there were', () => {
    const many = Array.from({ length: 1000 }, (_, n) => saved(`/in/${n}`));
    const lines = told([...many, summaryOf({ files: 1000 })]);
    expect(lines).toHaveLength(22);
    expect(lines.at(-2)).toBe('There are more files; from here on they are counted, not named.');
    expect(lines.at(-1)).toBe('Received 1000 files (2.1 MB) from "Bob" in 3.0 s.');
  });

  test('what failed, however many were saved before it', () => {
    const many = Array.from({ length: 1000 }, (_, n) => saved(`/in/${n}`));
    const failed: ShownEvent = {
      ...of,
      event: 'error',
      code: 'corrupt',
      message: 'No.',
      path: 'x',
    };
    expect(told([...many, failed])).toContain('Failed: x: No.');
  });

  test('what failed, bounded like the rest, and that it is incomplete', () => {
    const failed: ShownEvent = {
      ...of,
      event: 'error',
      code: 'disk-full',
      message: 'There is not enough room on the disk.',
      path: 'a/b',
    };
    const lines = told([
      ...Array.from({ length: 50 }, () => failed),
      summaryOf({ ok: false, files: 2, failed: 50, code: 'disk-full' }),
    ]);
    expect(lines).toHaveLength(22);
    expect(lines[0]).toBe('Failed: a/b: There is not enough room on the disk.');
    expect(lines.at(-1)).toBe('Incomplete: 2 files (2.1 MB) arrived from "Bob"; 50 failed.');
  });

  test('who was refused, and what would let them in', () => {
    const lines = told([request, { ...of, event: 'declined', reason: 'refused' }]);
    expect(lines[0]).toMatch(/^Refused: report.pdf \(2.1 MB\) from "Bob".*--yes.*drop trust/);
  });

  test('that nobody is asked again for a while, where that begins', () => {
    const quiet = { ...of, event: 'declined', reason: 'declined', quiet: 540_001 } as const;
    expect(told([request, quiet])).toEqual([
      'Declined: report.pdf (2.1 MB) from "Bob"',
      'You are not asked about "Bob" for the next 10 minutes: it is refused.',
    ]);
  });

  test('what is offered from standard input, and that its size is not known', () => {
    const stream = { ...request, sized: false, bytes: 0 } as ShownEvent;
    expect(told([stream], { verbose: true })).toEqual([
      '"Bob" wants to send report.pdf (size not known).',
    ]);
    const more = { ...stream, files: 2, bytes: 3_000_000, roots: ['a', 'b'] } as ShownEvent;
    expect(told([more], { verbose: true })).toEqual([
      '"Bob" wants to send a and 1 more (2 files, at least 3.0 MB).',
    ]);
  });

  test('a failure that belongs to no transfer, with the device if it is known', () => {
    const lost = {
      event: 'error',
      code: 'disconnected',
      message: 'The connection was lost.',
    } as const;
    expect(told([{ ...lost, peer: BOB }])).toEqual(['Error: "Bob": The connection was lost.']);
    expect(told([lost])).toEqual(['Error: A device on this network: The connection was lost.']);
    const missing = { ...lost, code: 'missing', message: 'It is not there.', path: 'a/b' } as const;
    expect(told([{ ...missing, peer: BOB }])).toEqual(['Error: "Bob": a/b: It is not there.']);
    const named = { ...lost, message: '"Bob" is not ready.', to: 'Bob' } as const;
    expect(told([named])).toEqual(['Error: "Bob" is not ready.']);
  });
});

describe('a sender reads', () => {
  test('that it was accepted and how it ended', () => {
    const lines = told(
      [
        { event: 'paired', via: 'code', ...BOB },
        { ...of, event: 'accepted' },
        saved('report.pdf'),
        summaryOf({ resumed: 1_000_000 }),
      ],
      { side: 'sender' },
    );
    expect(lines).toEqual([
      'Paired with "Bob": no code is needed from now on.',
      '"Bob" accepted.',
      'Sent 1 file (2.1 MB) to "Bob" in 3.0 s; 1.0 MB of it there already.',
    ]);
  });

  test('how much was there already, in files', () => {
    const unchanged = { ...of, event: 'skipped', path: 'a', reason: 'unchanged' } as const;
    const again = [...Array.from({ length: 199 }, () => unchanged), saved('b')];
    const of200 = { files: 200, bytes: 12_000_000, resumed: 11_900_000, skipped: 199 };
    expect(told([...again, summaryOf(of200)], { side: 'sender' }).at(-1)).toBe(
      'Sent 200 files (12.0 MB) to "Bob" in 3.0 s; 199 there already.',
    );
    const all = summaryOf({ resumed: 2_100_000, skipped: 1 });
    expect(told([unchanged, all], { side: 'sender' })).toEqual([
      'Sent 1 file (2.1 MB) to "Bob" in 3.0 s; all of it there already.',
    ]);
    expect(told([unchanged, all])).toEqual([
      'Received 1 file (2.1 MB) from "Bob" in 3.0 s; all of it there already.',
    ]);
  });

  test('what was left out as another file has its name: that is not delivered', () => {
    const skipped = { ...of, event: 'skipped', path: 'a', reason: 'conflict' } as const;
    const summary = summaryOf({
      ...{ ok: false, files: 0, bytes: 0, sent: 0, skipped: 1, code: 'incomplete' },
    });
    expect(told([skipped, summary], { side: 'sender' })).toEqual([
      'Left out: a exists there with other content.',
      'Incomplete: nothing arrived at "Bob"; 1 left out.',
    ]);
  });

  test('what was left out', () => {
    const skipped = { ...of, event: 'skipped', path: 'pipe', reason: 'unsupported' } as const;
    expect(told([skipped, summaryOf()], { side: 'sender' })).toEqual([
      'Left out: pipe is no file, folder or usable link.',
      'Sent 1 file (2.1 MB) to "Bob" in 3.0 s; 1 left out.',
    ]);
  });
});

describe('where there are several', () => {
  const eve = { name: 'Eve', id: idOf('e') };
  const other = { transfer: 'u', peer: eve };

  test('a sender reads of each device by its name', () => {
    const unlike = { ...other, event: 'skipped', path: 'b', reason: 'conflict' } as const;
    const lines = told(
      [
        { event: 'waiting', ...BOB, to: 'bob' },
        { event: 'same', to: '192.168.1.20', id: BOB.id, as: 'bob' },
        { event: 'error', code: 'not-found', message: 'Not there.', hint: 'Look.', to: 'zoe' },
        { ...of, event: 'accepted' },
        { ...other, event: 'accepted' },
        { ...of, event: 'resuming', bytes: 50, total: 100 },
        unlike,
        { ...other, event: 'error', code: 'changed', message: 'It changed.', path: 'a' },
        { ...other, event: 'error', code: 'disconnected', message: 'It was lost.' },
        summaryOf({ ...other, ok: false, files: 0, sent: 0, code: 'disconnected' }),
        summaryOf(),
      ],
      { side: 'sender' },
    );
    expect(lines).toEqual([
      '"192.168.1.20" is "bob", which gets it once.',
      'Error: "zoe": Not there.',
      'Look.',
      '"Bob" accepted.',
      '"Eve" accepted.',
      '"Bob": Resuming at 50 %, verified',
      '"Eve": Left out: b exists there with other content.',
      '"Eve": Failed: a: It changed.',
      'Error: "Eve": It was lost.',
      'Incomplete: nothing arrived at "Eve"; 1 left out.',
      'Sent 1 file (2.1 MB) to "Bob" in 3.0 s.',
    ]);
  });

  test('progress in lines is that of a device', () => {
    const { face, said } = plainFace({ side: 'sender', now: () => 0 });
    face.show({ event: 'waiting', ...BOB, to: 'bob' });
    face.show({ ...of, event: 'accepted' });
    const at = { file: 'a.bin', bytes: 500, total: 1000, files: 0, ofFiles: 1, rate: 100 };
    face.show({ ...of, event: 'progress', ...at });
    expect(said().split('\n')[1]).toBe('"Bob": 50 % of 1.0 kB, 100 B/s, 0:05 left, a.bin');
  });

  test('a receiver reads whose file it is, as long as there are two', () => {
    const lines = told([
      { ...of, event: 'accepted' },
      saved('/in/alone'),
      { ...other, event: 'accepted' },
      saved('/in/a'),
      { ...saved('/in/a (1)', 'a'), ...other } as ShownEvent,
      summaryOf(),
      { ...saved('/in/b'), ...other } as ShownEvent,
    ]);
    expect(lines.filter((line) => /Saved|Received/.test(line))).toEqual([
      'Saved /in/alone (2.1 MB)',
      '"Bob": Saved /in/a (2.1 MB)',
      '"Eve": Saved /in/a (1) (2.1 MB), offered as "a"',
      'Received 1 file (2.1 MB) from "Bob" in 3.0 s.',
      'Saved /in/b (2.1 MB)',
    ]);
  });
});

describe('a pause', () => {
  const accepted: ShownEvent = { ...of, event: 'accepted' };
  const paused = (by: 'here' | 'there'): ShownEvent => ({ ...of, event: 'paused', by });
  const resumed = (by: 'here' | 'there'): ShownEvent => ({ ...of, event: 'resumed', by });
  const lost: ShownEvent = { ...of, event: 'reconnecting', reason: 'disconnected', next: 0 };
  const progress = (bytes: number): ShownEvent => ({
    ...{ ...of, event: 'progress', file: 'a', bytes, total: 100, files: 0, ofFiles: 1, rate: 10 },
  });

  test('is said once, by whom, and again when the connection is back', () => {
    const events = [accepted, paused('there'), progress(1), lost, paused('there')];
    expect(told([...events, resumed('there')], { side: 'sender' })).toEqual([
      '"Bob" accepted.',
      '"Bob" has paused it.',
      'The connection to "Bob" was lost; trying again...',
      'The connection to "Bob" is back.',
      '"Bob" has paused it.',
      '"Bob" goes on.',
    ]);
    expect(told([accepted, paused('here'), resumed('here')], { side: 'sender' })).toEqual([
      '"Bob" accepted.',
      'Paused.',
      'Going on.',
    ]);
  });

  test('has no rate in lines; what was on its way is not told', () => {
    let now = 0;
    const { face, said } = plainFace({ side: 'sender', now: () => now });
    for (const event of [accepted, progress(20), paused('there')]) face.show(event);
    now = 60_000;
    face.show(progress(40));
    for (const event of [resumed('there'), progress(41)]) face.show(event);
    expect(said().trimEnd().split('\n').slice(1)).toEqual([
      '20 % of 100 B, 10 B/s, 0:08 left, a',
      '"Bob" has paused it.',
      '"Bob" goes on.',
      '41 % of 100 B, 10 B/s, 0:06 left, a',
    ]);
  });

  test('of one who does nothing else does not fill the screen', () => {
    const both = [paused('there'), resumed('there')];
    const all = Array.from({ length: 100 }, () => both).flat();
    expect(told([accepted, ...all], { side: 'sender' }).length).toBeLessThan(30);
    expect(told([accepted, ...all], { side: 'sender', verbose: true })).toHaveLength(201);
  });
});

describe('a connection that is lost', () => {
  const accepted: ShownEvent = { ...of, event: 'accepted' };
  const lost = (next?: number): ShownEvent => ({
    ...of,
    event: 'reconnecting',
    reason: next === 0 ? 'disconnected' : 'unreachable',
    ...(next === undefined ? {} : { next }),
  });
  const resuming = (total: number | null): ShownEvent => ({
    ...of,
    event: 'resuming',
    bytes: 1_240_000_000,
    total,
  });
  const progress: ShownEvent = {
    ...of,
    event: 'progress',
    file: 'a',
    bytes: 100,
    total: 100,
    files: 0,
    ofFiles: 1,
    rate: 0,
  };
  const failed: ShownEvent = {
    ...of,
    event: 'error',
    code: 'disconnected',
    message: 'The connection was lost.',
    hint: 'Run the same command again.',
  };
  const incomplete = summaryOf({ ok: false, files: 0, code: 'disconnected' });

  test.each(['sender', 'receiver'] as const)('a %s reads from where it goes on', (side) => {
    const line = (total: number | null): string | undefined =>
      told([accepted, resuming(total)], { side })[1];
    expect(line(2_000_000_000)).toBe('Resuming at 62 %, verified');
    expect(line(null)).toBe('Resuming after 1.2 GB, verified');
  });

  test('is one line for a sender, however often it is tried again, and one when it is back', () => {
    const loss = [lost(0), lost(250), lost(4000)];
    const lines = told([accepted, ...loss, resuming(2e9), progress, ...loss, progress], {
      side: 'sender',
    });
    expect(lines).toEqual([
      '"Bob" accepted.',
      'The connection to "Bob" was lost; trying again...',
      'Resuming at 62 %, verified',
      'The connection to "Bob" was lost; trying again...',
      'The connection to "Bob" is back.',
    ]);
  });

  test('is told with each attempt, if asked', () => {
    expect(told([lost(0), lost(4000)], { side: 'sender', verbose: true })).toEqual([
      'The connection to "Bob" was lost; trying again...',
      'Not yet: unreachable; trying again in 4.0 s',
    ]);
  });

  test('and does not come back, is a failure of the sender', () => {
    const lines = told([lost(0), lost(250), failed, progress, incomplete], { side: 'sender' });
    expect(lines).toEqual([
      'The connection to "Bob" was lost; trying again...',
      'Error: The connection was lost.',
      'Run the same command again.',
      'Incomplete: no whole file arrived at "Bob".',
    ]);
  });

  test('tells a receiver that it can go on, and at last that it did not', () => {
    expect(told([lost(), resuming(2e9), lost(), failed, progress, incomplete])).toEqual([
      'The connection to "Bob" was lost; what arrived is kept, and it goes on when the device is back.',
      'Resuming at 62 %, verified',
      'The connection to "Bob" was lost; what arrived is kept, and it goes on when the device is back.',
      'Incomplete: nothing arrived from "Bob".',
    ]);
  });

  test('is a failure of who fetches, who can do it again, and none of who shares, who cannot', () => {
    const events = [lost(0), failed, incomplete];
    expect(told(events, { side: 'receiver', announced: false }).slice(1)).toEqual([
      'Error: The connection was lost.',
      'Run the same command again.',
      'Incomplete: nothing arrived from "Bob".',
    ]);
    expect(told([lost(), ...events], { side: 'sender', announced: true })).toEqual([
      'The connection to "Bob" was lost; what arrived is kept, and it goes on when the device is back.',
      'Incomplete: no whole file arrived at "Bob".',
    ]);
  });

  test('is nothing that who runs on has to run again', () => {
    const full = { ...failed, code: 'disk-full', hint: 'Run it again.' } as const;
    const newer = { ...failed, code: 'peer-newer', hint: 'Install it.' } as const;
    expect(told([failed, full, newer])).toEqual([
      'Error: The connection was lost.',
      'Error: The connection was lost.',
      'Make room, and have it sent again.',
      'Error: The connection was lost.',
      'Install it.',
    ]);
    expect(told([full], { side: 'receiver', announced: false })[1]).toBe('Run it again.');
  });

  test('before anybody accepted, needs no word when it is back: it is accepted', () => {
    const early = { ...lost(0), transfer: '' } as ShownEvent;
    expect(told([early, accepted], { side: 'sender' })).toEqual([
      'The connection to "Bob" was lost; trying again...',
      '"Bob" accepted.',
    ]);
  });
});

describe('what is said is what was asked for', () => {
  const events: ShownEvent[] = [
    READY,
    { ...of, event: 'accepted' },
    { ...of, event: 'error', code: 'disk', message: 'The disk failed.', path: 'a' },
  ];

  test('quiet: only codes and failures', () => {
    expect(told(events, { quiet: true })).toEqual([
      'Code for new devices: 493 027',
      'Failed: a: The disk failed.',
    ]);
  });

  test('verbose: every file', () => {
    const many = Array.from({ length: 50 }, (_, n) => saved(`/in/${n}`));
    expect(told(many, { verbose: true })).toHaveLength(50);
  });

  test('where nobody looks no code is written, neither the first nor the next', () => {
    const lines = told([READY, { event: 'code', code: '111222' }], { codes: false });
    expect(lines.join('\n')).not.toMatch(/493 ?027|111 ?222/);
  });
});

describe('progress in lines', () => {
  const progress = (bytes: number, total: number | null = 1000): ShownEvent => ({
    ...of,
    event: 'progress',
    file: 'a.bin',
    bytes,
    total,
    files: 0,
    ofFiles: 1,
    rate: 100,
  });

  test('is told every ten percent, and not at the end', () => {
    const { face, said } = plainFace({ side: 'sender', now: () => 0 });
    face.show({ ...of, event: 'accepted' });
    for (let bytes = 0; bytes <= 1000; bytes += 5) face.show(progress(bytes));
    const lines = said().trimEnd().split('\n').slice(1);
    expect(lines).toHaveLength(9);
    expect(lines[0]).toBe('10 % of 1.0 kB, 100 B/s, 0:09 left, a.bin');
  });

  test('is told every ten seconds where it is slow or the total is unknown', () => {
    let now = 0;
    const { face, said } = plainFace({ side: 'sender', now: () => now });
    face.show({ ...of, event: 'accepted' });
    for (now = 0; now < 60_000; now += 250) face.show(progress(now, null));
    const lines = said().trimEnd().split('\n').slice(1);
    expect(lines).toHaveLength(5);
    expect(lines[0]).toBe('10.0 kB, 100 B/s, a.bin');
  });

  test('says no more than is known', () => {
    const { face, said } = plainFace({ side: 'sender', now: () => 0 });
    face.show({ ...of, event: 'accepted' });
    face.show({ ...progress(990), file: '', rate: 0 } as ShownEvent);
    expect(said().split('\n')[1]).toBe('99 % of 1.0 kB, 0 B/s');
  });

  test('does not repeat where it goes on from', () => {
    const { face, said } = plainFace({ side: 'sender', now: () => 0 });
    face.show({ ...of, event: 'accepted' });
    face.show({ ...of, event: 'resuming', bytes: 620, total: 1000 });
    for (const bytes of [620, 719, 720]) face.show(progress(bytes));
    expect(said().split('\n').slice(1, -1)).toEqual([
      'Resuming at 62 %, verified',
      '72 % of 1.0 kB, 100 B/s, 0:03 left, a.bin',
    ]);
  });
});

test('during a question nothing is said; afterwards all of it, and one question at a time', async () => {
  const { face, said } = plainFace({});
  const asked: string[] = [];
  let answer: () => void = () => {};
  const first = face.standBack(async () => {
    asked.push('first');
    await new Promise<void>((resolve) => {
      answer = resolve;
    });
  });
  const second = face.standBack(async () => {
    asked.push('second');
    throw new Error('left');
  });
  await Promise.resolve();
  await Promise.resolve();
  face.say('Meanwhile.');
  expect(asked).toEqual(['first']);
  expect(said()).toBe('');
  answer();
  await first;
  await expect(second).rejects.toThrow('left');
  expect(asked).toEqual(['first', 'second']);
  expect(said()).toBe('Meanwhile.\n');
});

describe('a hostile peer', () => {
  const hostile = { name: HOSTILE, id: idOf('e') };
  const it = { transfer: TRANSFER, peer: hostile };
  const events: ShownEvent[] = [
    { ...request, ...it, from: hostile, roots: [HOSTILE, HOSTILE] } as ShownEvent,
    { event: 'paired', via: 'code', ...hostile },
    { ...it, event: 'accepted' },
    {
      ...it,
      event: 'progress',
      file: HOSTILE,
      bytes: 50,
      total: 100,
      files: 0,
      ofFiles: 1,
      rate: 1,
    },
    { ...saved(HOSTILE, HOSTILE), ...it } as ShownEvent,
    ...(['unchanged', 'conflict', 'unsupported'] as const).map(
      (reason): ShownEvent => ({ ...it, event: 'skipped', path: HOSTILE, reason }),
    ),
    { ...it, event: 'error', code: 'disk', message: HOSTILE, hint: HOSTILE, path: HOSTILE },
    { ...it, event: 'error', code: 'disk', message: HOSTILE, hint: HOSTILE },
    { event: 'error', code: 'disk', message: HOSTILE, peer: hostile },
    { event: 'error', code: 'disk', message: HOSTILE, to: HOSTILE },
    { event: 'same', to: HOSTILE, id: hostile.id, as: HOSTILE },
    { ...it, event: 'reconnecting', reason: 'disconnected', next: 0 },
    { ...it, event: 'reconnecting', reason: 'disconnected' },
    { ...it, event: 'resuming', bytes: 1, total: null },
    { ...it, event: 'paused', by: 'there' },
    { ...it, event: 'declined', reason: 'declined', quiet: 1 },
    { ...summaryOf({ ok: false, files: 0 }), ...it },
    { ...peerEvent(HOSTILE, 'e', 'namesake') },
    { ...READY, name: HOSTILE } as ShownEvent,
  ];

  test.each(['sender', 'receiver'] as const)('cannot steer the terminal of a %s', (side) => {
    for (const event of events) {
      const text = told([event], { side, verbose: true }).join('\n');
      expect(text).not.toMatch(STEERING);
    }
  });

  test('cannot write lines of its own', () => {
    const name = 'x\nSaved passwords.txt (1 B)\nError: nothing';
    const lines = told([{ ...saved(name), transfer: TRANSFER } as ShownEvent]);
    expect(lines).toHaveLength(1);
  });

  test('cannot fill the screen with one name', () => {
    const long = 'x'.repeat(100_000);
    const lines = told([
      { event: 'paired', via: 'code', name: long, id: idOf('e') },
      saved(long, long),
    ]);
    for (const line of lines) expect(line.length).toBeLessThan(500);
  });

  test('whatever it is called, a line is a line', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        const lines = told([{ event: 'paired', via: 'code', name, id: idOf('e') }]);
        expect(lines).toHaveLength(1);
        expect(lines[0]).not.toMatch(STEERING);
      }),
    );
  });
});

describe('JSON', () => {
  test('is the events as they are, one a line, `v` and `event` first', () => {
    const { stdout, said } = fakeIo();
    const face: Face = new JsonFace(stdout);
    face.show(READY);
    face.show(saved(HOSTILE));
    face.fail({ code: 'usage', message: 'No.', hint: 'Yes.' });
    face.say('nothing');
    face.busy('nothing');
    face.close();
    const text = said.out();
    expect(text).toMatch(/^\{"v":1,"event":"ready",/);
    expect(jsonLines(text)).toEqual([
      { v: 1, ...READY },
      { v: 1, ...saved(HOSTILE) },
      { v: 1, event: 'error', code: 'usage', message: 'No.', hint: 'Yes.' },
    ]);
    expect(text).not.toMatch(STEERING);
  });
});

describe('the face is chosen', () => {
  const terminal = { isTTY: true };
  const file = { isTTY: false };
  const on = { json: false, plain: false, input: true };
  test.each([
    ['a terminal', on, terminal, terminal, { TERM: 'xterm' }, 'terminal', true],
    ['--plain', { ...on, plain: true }, terminal, terminal, {}, 'plain', true],
    ['TERM=dumb', on, terminal, terminal, { TERM: 'dumb' }, 'plain', true],
    ['a terminal of no width', on, terminal, { ...terminal, columns: 0 }, {}, 'plain', true],
    ['--no-input', { ...on, input: false }, terminal, terminal, {}, 'plain', false],
    ['CI', on, terminal, terminal, { CI: 'true' }, 'plain', false],
    ['CI=false', on, terminal, terminal, { CI: 'false' }, 'terminal', true],
    ['no keyboard', on, file, terminal, {}, 'plain', false],
    ['no screen', on, terminal, file, {}, 'plain', false],
    ['--json', { ...on, json: true }, terminal, terminal, {}, 'json', false],
  ])('%s', (_, settings, stdin, stderr, environment, face, asks) => {
    const io = { stdin: stdin as never, stderr: stderr as never };
    expect(mannerOf(settings, io, environment)).toEqual({ face, asks });
  });

  const colorful = { isTTY: true, hasColors: () => true } as Output;
  const pipe = { isTTY: false } as Output;
  test.each([
    ['a terminal', colorful, 'auto', {}, true],
    ['a pipe', pipe, 'auto', {}, false],
    ['NO_COLOR', colorful, 'auto', { NO_COLOR: '1' }, false],
    ['an empty NO_COLOR', colorful, 'auto', { NO_COLOR: '' }, true],
    ['FORCE_COLOR', pipe, 'auto', { FORCE_COLOR: '1' }, true],
    ['FORCE_COLOR=0', colorful, 'auto', { FORCE_COLOR: '0' }, false],
    ['NO_COLOR beside FORCE_COLOR', pipe, 'auto', { NO_COLOR: '1', FORCE_COLOR: '1' }, false],
    ['--color always', pipe, 'always', { NO_COLOR: '1' }, true],
    ['--color never', colorful, 'never', { FORCE_COLOR: '1' }, false],
  ] as const)('colours: %s', (_, stream, when, environment, colors) => {
    expect(hasColors(stream, when, environment)).toBe(colors);
  });
});
