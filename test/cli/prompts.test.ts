import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { Request } from '../../src/index.ts';
import {
  BOB,
  HOSTILE,
  idOf,
  NOTHING,
  peerEvent,
  READY,
  STEERING,
  silentEvent,
  summaryOf,
} from './fake.ts';
import { Stage } from './stage.ts';

const ENTER = '\r';
const UP = '\x1b[A';
const DOWN = '\x1b[B';
const ESC = '\x1b';
const CTRL_C = '\x03';
const CTRL_D = '\x04';

/** Opens the list of devices; there is something to send. */
async function picking(...options: string[]): Promise<Stage> {
  const stage = await Stage.open('send', '.', ...options);
  await stage.report('ready');
  return stage;
}

describe('the list of devices', () => {
  test('shows who comes, in the order of arrival, and sends to the one that Enter took', async () => {
    await using stage = await picking();
    await stage.screen.waitFor(/Looking for devices/);
    await stage.cue({ peer: peerEvent('Zoe', '1') }, { peer: peerEvent('Ana', '2', 'new') });
    await stage.screen.waitFor(/> Zoe {2}known\n {2}Ana {2}new\n/);
    stage.screen.type(DOWN);
    await stage.screen.waitFor(/> Ana/);
    stage.screen.type(ENTER);
    expect(await stage.report('chosen')).toMatchObject({ id: idOf('2'), name: 'Ana' });
  });

  test('keeps the highlight on its device while others come and go above it', async () => {
    await using stage = await picking();
    await stage.cue({ peer: peerEvent('Ana', '1') }, { peer: peerEvent('Bob', '2') });
    await stage.screen.waitFor(/Bob/);
    stage.screen.type(DOWN);
    await stage.screen.waitFor(/> Bob/);
    await stage.cue({ peer: peerEvent('Ana', '1', 'paired', 'lost') });
    await stage.screen.waitFor(/^> Bob/);
    await stage.cue({ peer: peerEvent('Ana', '1') }, { peer: peerEvent('Aaa', '3') });
    await stage.screen.waitFor(/> Bob +known\n {2}Ana +known\n {2}Aaa +known\n/);
    stage.screen.type(ENTER);
    expect(await stage.report('chosen')).toMatchObject({ name: 'Bob' });
  });

  test('arms nothing when the highlighted device has gone, and says so', async () => {
    await using stage = await picking();
    await stage.cue({ peer: peerEvent('Ana', '1') }, { peer: peerEvent('Bob', '2') });
    await stage.screen.waitFor(/> Ana[\s\S]*Bob/);
    await stage.cue({ peer: peerEvent('Ana', '1', 'paired', 'lost') });
    await stage.screen.waitFor(/^ {2}Bob[\s\S]*"Ana" has gone/);
    stage.screen.type(ENTER);
    stage.screen.type(DOWN);
    await stage.screen.waitFor(/> Bob/);
    expect(stage.reported('chosen')).toBe(false);
    stage.screen.type(ENTER);
    expect(await stage.report('chosen')).toMatchObject({ name: 'Bob' });
  });

  test('does not give the place of a device that has gone to another process of it', async () => {
    await using stage = await picking();
    await stage.cue({ peer: peerEvent('Ana', '1') });
    await stage.screen.waitFor(/> Ana/);
    await stage.cue(
      { peer: peerEvent('Ana', '1', 'paired', 'lost') },
      { peer: { ...peerEvent('Ana', '1'), run: 'f'.repeat(16) } },
    );
    await stage.screen.waitFor(/^ {2}Ana[\s\S]*"Ana" has gone/);
  });

  test('says that there is nothing to take when Enter comes too early', async () => {
    await using stage = await picking();
    await stage.screen.waitFor(/Looking/);
    stage.screen.type(ENTER);
    await stage.screen.waitFor(/There is no device to send to/);
    expect(stage.reported('chosen')).toBe(false);
  });

  test('is filtered by typing, and Esc shows all again', async () => {
    await using stage = await picking();
    await stage.cue(
      ...['Ana', 'Bob', 'Bert'].map((name, n) => ({ peer: peerEvent(name, `${n}`) })),
    );
    await stage.screen.waitFor(/Bert/);
    stage.screen.type('be');
    await stage.screen.waitFor(/^> Bert +known\n3 devices.*\n.*device\? be$/);
    stage.screen.type('x');
    await stage.screen.waitFor(/No device has that in its name/);
    stage.screen.type(ESC);
    await stage.screen.waitFor(/ {2}Ana +known\n {2}Bob +known\n> Bert +known\n/);
    stage.screen.type(UP);
    await stage.screen.waitFor(/> Bob/);
    stage.screen.type(ENTER);
    expect(await stage.report('chosen')).toMatchObject({ name: 'Bob' });
  });

  test('tells devices of one name apart, and says how each stands to us', async () => {
    await using stage = await picking();
    await stage.cue(
      { peer: peerEvent('Ana', '1') },
      { peer: peerEvent('ANA', '2', 'namesake') },
      { peer: peerEvent('Me', '3', 'self') },
      { peer: peerEvent('Spam', '4', 'blocked') },
      { peer: peerEvent('Copy', '5', 'clone') },
    );
    const text = await stage.screen.waitFor(/Me {3}this computer[\s\S]*3 devices, 2 more in `drop/);
    expect(text.input).toMatch(/> Ana {2}known {2}11111111 {2}192\.168\.1\.1:23767\n/);
    expect(text.input).toMatch(/ANA {2}new, NOT the "ANA" you know {2}22222222/);
    expect(text.input).not.toMatch(/Spam|Copy/);
  });

  test('fits the window after it became narrow, and after it became wide again', async () => {
    await using stage = await picking();
    const long = `Ana ${'x'.repeat(60)}`;
    await stage.cue(
      { peer: peerEvent(long, '1', 'new') },
      { peer: peerEvent('Bob', '2', 'namesake') },
    );
    await stage.screen.waitFor(/Bob/);
    stage.screen.resize(40, 24);
    await stage.screen.shows((text) => {
      expect(text).toMatch(/x… {2}new\n/);
      expect(text).toMatch(/Bob +new, NOT the "Bob" you know\n/);
      for (const once of [/Bob +new/g, /2 devices/g, /which device/g])
        expect(text.match(once)).toHaveLength(1);
    });
    stage.screen.resize(100, 24);
    await stage.screen.shows((text) => {
      expect(text).toContain(long.slice(0, 50));
      for (const once of [/> Ana/g, /2 devices/g]) expect(text.match(once)).toHaveLength(1);
    });
    stage.screen.type(ENTER);
    expect(await stage.report('chosen')).toMatchObject({ id: idOf('1') });
  });

  test('shows nothing that a hostile name could do', async () => {
    await using stage = await picking();
    await stage.cue({ peer: peerEvent(HOSTILE, '1', 'new') }, { peer: peerEvent('Bob', '2') });
    const { input } = await stage.screen.waitFor(/> evil[\s\S]*Bob/);
    expect(input).not.toMatch(STEERING);
    expect(input).toMatch(/Send \. to which device\?$/);
  });

  test('says why it is empty, until somebody comes', async () => {
    await using stage = await picking();
    await stage.cue({ peer: NOTHING });
    await stage.screen.waitFor(
      /Looking for.*\n {2}No other device is heard on eth0\.\n {2}Is it running there\?\n {2}Asked on eth0 \(nobody heard\)\.\n0 devices/,
    );
    stage.screen.resize(30, 24);
    await stage.screen.shows((text) => {
      expect(text).toMatch(/No other device is heard on\n {2}eth0\.\n/);
      for (const line of text.split('\n')) expect(line.length).toBeLessThan(30);
    });
    await stage.cue({ peer: peerEvent('Ana', '1') });
    const { input } = await stage.screen.waitFor(/^> Ana {2}known\n1 device/);
    expect(input).not.toMatch(/heard|running there/);
  });

  test('in a low window shows devices before it says anything else', async () => {
    await using stage = await picking();
    stage.screen.resize(80, 9);
    await stage.cue(
      { peer: silentEvent('Ana', '1') },
      { peer: silentEvent('Bob', '2') },
      { peer: NOTHING },
    );
    await stage.screen.waitFor(
      /^ {2}Ana.*\n {2}Bob.*\n {2}No other device is heard on eth0\.\n2 devices/,
    );
  });

  test('takes a device that does not answer only when it was chosen', async () => {
    await using stage = await picking();
    await stage.cue({ peer: silentEvent('Eve', 'e') });
    await stage.screen.waitFor(
      /^ {2}Eve {2}does not answer\n1 device.*\nAn arrow key chooses it\.\n/,
    );
    stage.screen.type(ENTER);
    await stage.screen.waitFor(/No device answers\./);
    expect(stage.reported('chosen')).toBe(false);
    await stage.cue({ peer: peerEvent('Ana', '1') });
    await stage.screen.waitFor(/^> Ana {2}known\n {2}Eve {2}does not answer\n/);
    stage.screen.type(DOWN);
    await stage.screen.waitFor(/^ {2}Ana .*\n> Eve .*\n.*\nEnter asks it to call back\.\n/);
    stage.screen.type(ENTER);
    const chosen = await stage.report('chosen');
    expect(chosen).toEqual({ run: 'e'.repeat(16), name: 'Eve', addresses: ['192.168.1.14:23767'] });
    await stage.cue({ tell: { event: 'knocking', name: 'Eve' } });
    await stage.screen.waitFor(
      /"Eve" does not answer; it is asked to call back\. Somebody may have to agree\n {2}there\.$/,
    );
  });

  test('keeps the highlight on a device that answers at last, and gives it to no other', async () => {
    await using stage = await picking();
    await stage.cue({ peer: silentEvent('Ana', '1') }, { peer: silentEvent('Eve', 'e') });
    await stage.screen.waitFor(/Eve {2}does/);
    stage.screen.type(DOWN);
    await stage.screen.waitFor(/> Ana/);
    await stage.cue(
      { peer: silentEvent('Ana', '1', 'lost') },
      { peer: peerEvent('Ana', '1', 'new') },
    );
    await stage.screen.waitFor(/^> Ana {2}new\n {2}Eve/);
    stage.screen.type(DOWN);
    await stage.screen.waitFor(/> Eve/);
    await stage.cue(
      { peer: silentEvent('Eve', 'e', 'lost') },
      { peer: peerEvent('Mallory', 'e', 'new') },
    );
    await stage.screen.waitFor(/^ {2}Ana +new\n {2}Mallory {2}new\n[\s\S]*"Eve" has gone/);
  });

  test.each([
    ['Ctrl-C', CTRL_C],
    ['Ctrl-D', CTRL_D],
  ])('%s leaves it, and the terminal as it was', async (_, key) => {
    await using stage = await picking();
    await stage.cue({ peer: peerEvent('Ana', '1') });
    await stage.screen.waitFor(/> Ana/);
    stage.screen.type(key);
    expect(await stage.report('end')).toBe('SIGINT');
    expect(await stage.report('raw')).toBe(false);
    await stage.screen.outcome();
    expect(stage.screen.cursorShown).toBe(true);
    expect(stage.screen.text()).toMatch(/Stopping…/);
  });

  test('is numbered lines in plain mode, and a number stays with its device', async () => {
    await using stage = await picking('--plain');
    await stage.screen.waitFor(/type the number/);
    await stage.cue(
      { peer: peerEvent('Ana', '1') },
      { peer: peerEvent('Bob', '2', 'new') },
      { peer: peerEvent('Ana', '1', 'paired', 'lost') },
      { peer: peerEvent('Eve', '3', 'new') },
    );
    await stage.screen.waitFor(
      /1 {2}Ana {2}known\n2 {2}Bob {2}new\n1 {2}has gone\n3 {2}Eve {2}new/,
    );
    stage.screen.type(`1${ENTER}`);
    await stage.screen.waitFor(/There is no such device now/);
    stage.screen.type(`2${ENTER}`);
    expect(await stage.report('chosen')).toMatchObject({ name: 'Bob' });
  });

  test('in plain mode says once why it is empty, and numbers what does not answer', async () => {
    await using stage = await picking('--plain');
    await stage.cue({ peer: NOTHING }, { peer: silentEvent('Eve', 'e') });
    await stage.screen.waitFor(
      /\nNo other device is heard on eth0\.\nIs it running there\?\nAsked on eth0 \(nobody heard\)\.\n1 {2}Eve {2}does not answer$/,
    );
    stage.screen.type(`1${ENTER}`);
    expect(await stage.report('chosen')).toMatchObject({ name: 'Eve' });
  });
});

describe('the question for a code', () => {
  test.each([['terminal'], ['--plain']])(
    'takes six digits as people type them (%s)',
    async (how) => {
      await using stage = await Stage.open(
        'send',
        '.',
        '--to',
        'Ana',
        ...(how === '--plain' ? [how] : []),
      );
      await stage.cue({ code: 'new' });
      await stage.screen.waitFor(/Code shown on "Ana":/);
      stage.screen.type(`4930${ENTER}`);
      await stage.screen.waitFor(/A code has six digits/);
      expect(stage.reported('typed')).toBe(false);
      stage.screen.type(how === '--plain' ? `493 02-7${ENTER}` : `27${ENTER}`);
      expect(await stage.report('typed')).toBe('493027');
      await stage.cue({ code: 'wrong-code' });
      await stage.screen.waitFor(/did not match[\s\S]*Code shown on "Ana":/);
    },
  );

  test('Ctrl-C leaves it', async () => {
    await using stage = await Stage.open('send', '.', '--to', 'Ana');
    await stage.cue({ code: 'new' });
    await stage.screen.waitFor(/Code shown on "Ana":/);
    stage.screen.type(CTRL_C);
    expect(await stage.report('end')).toBe('SIGINT');
    expect(await stage.report('raw')).toBe(false);
  });
});

const REQUEST: Request = {
  from: BOB,
  known: true,
  risks: [],
  transfer: 't',
  roots: ['report.pdf'],
  files: 1,
  bytes: 2_100_000,
  sized: true,
  final: true,
};

describe('the question whether to accept', () => {
  const request = REQUEST;

  async function receiving(...options: string[]): Promise<Stage> {
    const stage = await Stage.open('receive', ...options);
    await stage.report('ready');
    await stage.cue({ tell: READY });
    await stage.screen.waitFor(/Code for new devices: 493 027/);
    return stage;
  }

  const QUESTION = /Bob wants to send report\.pdf \(2\.1 MB\)\. Accept\? \[y\/N\]/;

  describe.each([['in a terminal'], ['in plain mode']])('%s', (how) => {
    const options = how === 'in plain mode' ? ['--plain'] : [];

    test.each([
      ['y and Enter', `y${ENTER}`, true],
      ['Enter alone', ENTER, false],
      ['n and Enter', `n${ENTER}`, false],
    ])('%s', async (_, keys, accepted) => {
      await using stage = await receiving(...options);
      await stage.cue({ ask: request });
      await stage.screen.waitFor(QUESTION);
      stage.screen.type(keys);
      expect(await stage.report('accepted')).toBe(accepted);
    });

    test.each([
      ['y and Enter', `y${ENTER}`],
      ['a y that waits for its Enter', 'y'],
    ])('%s that was typed before does not count', async (_, keys) => {
      await using stage = await receiving(...options);
      stage.screen.type(keys);
      // The terminal echoes it: it has been typed.
      await stage.screen.waitFor(/y/);
      await stage.cue({ ask: request });
      await stage.screen.waitFor(QUESTION);
      expect(stage.reported('accepted')).toBe(false);
      stage.screen.type(ENTER);
      expect(await stage.report('accepted')).toBe(false);
    });

    test('goes away with the device that asked', async () => {
      await using stage = await receiving(...options);
      await stage.cue({ ask: request });
      await stage.screen.waitFor(QUESTION);
      await stage.cue({ gone: true });
      await stage.screen.waitFor(/"Bob" no longer asks\./);
      expect(await stage.report('accepted')).toBe(false);
    });

    test('one stands alone: what happens meanwhile is told afterwards', async () => {
      await using stage = await receiving(...options);
      await stage.cue({ ask: request });
      await stage.screen.waitFor(QUESTION);
      await stage.cue({ tell: summaryOf({ transfer: 'other', files: 3 }) });
      await stage.cue({ ask: { ...request, from: { ...BOB, name: 'Eve' } } });
      stage.screen.type('n');
      const { input } = await stage.screen.waitFor(/Accept\? \[y\/N\] n/);
      expect(input).not.toMatch(/Received 3 files|Eve/);
      stage.screen.type(ENTER);
      await stage.screen.waitFor(/Received 3 files[\s\S]*Eve wants to send/);
    });

    test('Ctrl-C ends it all, and leaves the terminal as it was', async () => {
      await using stage = await receiving(...options);
      await stage.cue({ ask: request });
      await stage.screen.waitFor(QUESTION);
      stage.screen.type(CTRL_C);
      expect(await stage.report('end')).toBe('SIGINT');
      expect(await stage.report('raw')).toBe(false);
      await stage.screen.outcome();
      expect(stage.screen.cursorShown).toBe(true);
    });
  });
});

describe('the question whether to call a device that is not known', () => {
  describe.each([['in a terminal'], ['in plain mode']])('%s', (how) => {
    const QUESTION =
      /at 10\.77\.0\.1 that is not known here cannot reach this computer\nand asks to be called back\. It needs the code all the same\. Call it\? \[y\/N\]/;

    test.each([
      ['y and Enter', `y${ENTER}`, true],
      ['Enter alone', ENTER, false],
    ])('%s', async (_, keys, agreed) => {
      await using stage = await Stage.open(
        'receive',
        ...(how === 'in plain mode' ? ['--plain'] : []),
      );
      await stage.report('ready');
      await stage.cue({ tell: READY }, { stranger: { address: '10.77.0.1' } });
      await stage.screen.waitFor(QUESTION);
      stage.screen.type(keys);
      expect(await stage.report('agreed')).toBe(agreed);
    });
  });

  test('is not asked where --yes was said', async () => {
    await using stage = await Stage.open('receive', '--yes');
    await stage.report('ready');
    await stage.cue({ stranger: { address: '10.77.0.1' } });
    expect(await stage.report('agreed')).toBe(true);
    expect(stage.screen.text()).not.toMatch(/10\.77\.0\.1/);
  });
});

describe('what speaks against a device', () => {
  test.each([
    ['y and Enter', `y${ENTER}`, true],
    ['Enter alone', ENTER, false],
  ])('is asked about before anything is sent: %s', async (_, keys, confirmed) => {
    await using stage = await Stage.open('send', '.', '--to', 'Ana');
    await stage.report('chosen');
    await stage.cue({ doubt: 'unverified' });
    await stage.screen.waitFor(
      /"Ana" takes files from everyone, without a code: anyone could have that name\.\nSend to it all the same\? \[y\/N\]/,
    );
    stage.screen.type(keys);
    expect(await stage.report('confirmed')).toBe(confirmed);
  });

  test('is another name than it said, which cannot steer the screen', async () => {
    await using stage = await Stage.open('send', '.', '--to', 'Eve');
    await stage.report('chosen');
    await stage.cue({ doubt: 'other-name' });
    await stage.screen.waitFor(/calls itself "Ana.\[2J" is your "Eve"\. Send to "Eve"\? \[y\/N\]/);
    stage.screen.type(ENTER);
    expect(await stage.report('confirmed')).toBe(false);
  });
});

describe.each([['in a terminal'], ['in plain mode']])('ten wrong codes, %s', (how) => {
  const plain = how === 'in plain mode' ? ['--plain'] : [];
  const locked = { tell: { event: 'locked', for: null } } as const;
  /** What comes in the first moments was typed before the lock was seen, for all that we know. */
  const unlockBy = async (stage: Stage): Promise<void> => {
    const pressing = setInterval(() => stage.screen.type(ENTER), 500);
    expect(await stage.report('unlocked').finally(() => clearInterval(pressing))).toBe(true);
  };

  test('are unlocked by Enter, and by nothing else', async () => {
    await using stage = await Stage.open('receive', ...plain);
    await stage.report('ready');
    await stage.cue({ tell: READY }, locked, { locked: true });
    await stage.screen.waitFor(
      /Ten wrong codes: .* still work\.\nPress Enter to let new devices in again\./,
    );
    stage.screen.type('y');
    await sleep(300);
    expect(stage.reported('unlocked')).toBe(false);
    await unlockBy(stage);
  });

  test('are not unlocked by what was typed before', async () => {
    await using stage = await Stage.open('receive', ...plain);
    await stage.report('ready');
    await stage.cue({ tell: READY });
    stage.screen.type(ENTER + ENTER);
    await stage.cue(locked, { locked: true });
    await stage.screen.waitFor(/Press Enter to let new devices in again\./);
    await sleep(600);
    expect(stage.reported('unlocked')).toBe(false);
    await unlockBy(stage);
  });

  test('are not unlocked by what was meant for a question that is gone', async () => {
    await using stage = await Stage.open('receive', ...plain);
    await stage.report('ready');
    await stage.cue({ tell: READY }, locked, { locked: true }, { ask: REQUEST });
    await stage.screen.waitFor(/Accept\? \[y\/N\]/);
    await stage.cue({ gone: true });
    stage.screen.type(ENTER);
    await stage.screen.waitFor(/"Bob" no longer asks\./);
    stage.screen.type(`y${ENTER}`);
    await sleep(300);
    expect(stage.reported('unlocked')).toBe(false);
    await unlockBy(stage);
  });

  test('keep no known device from being asked about, and its answer unlocks nothing', async () => {
    await using stage = await Stage.open('receive', ...plain);
    await stage.report('ready');
    await stage.cue({ tell: READY }, locked, { locked: true }, { ask: REQUEST });
    await stage.screen.waitFor(/Accept\? \[y\/N\]/);
    stage.screen.type(`y${ENTER}`);
    expect(await stage.report('accepted')).toBe(true);
    await sleep(300);
    expect(stage.reported('unlocked')).toBe(false);
    await unlockBy(stage);
  });
});

describe('the moving part of the screen', () => {
  const progress = {
    event: 'progress',
    transfer: 't',
    peer: BOB,
    file: `photos/${'x'.repeat(100)}.jpg`,
    bytes: 500,
    total: 1000,
    files: 0,
    ofFiles: 1,
    rate: 100,
  } as const;

  test('shows the file and the whole, hides the cursor, and is gone at the end', async () => {
    await using stage = await Stage.open('send', '.', '--to', 'Ana');
    await stage.screen.waitFor(/Looking for "Ana"/);
    expect(stage.screen.cursorShown).toBe(false);
    await stage.cue({ tell: progress });
    await stage.screen.waitFor(/photos\/x+…x+\.jpg\n.*\[#{10}-{10}\] +50 %/);
    await stage.cue({ tell: summaryOf() }, { finish: true });
    expect(await stage.report('end')).toBe(0);
    await stage.screen.outcome();
    expect(stage.screen.text()).toMatch(/^Sent 1 file \(2\.1 MB\) to "Bob" in 3\.0 s\.$/);
    expect(stage.screen.cursorShown).toBe(true);
  });

  test('leaves nothing behind after Ctrl-C, which the terminal writes behind it', async () => {
    await using stage = await Stage.open('send', '.', '--to', 'Ana');
    const [bytes, total] = [499_000_000_000, 999_900_000_000];
    await stage.cue({ tell: { ...progress, bytes, total, rate: 100_000_000 } });
    await stage.screen.waitFor(/49 %.*left$/);
    stage.screen.type(CTRL_C);
    expect(await stage.report('end')).toBe('SIGINT');
    await stage.screen.outcome();
    expect(stage.screen.text()).toMatch(/^Stopping…[^\n]*$/);
  });

  test('leaves nothing behind when the window becomes narrow', async () => {
    await using stage = await Stage.open('send', '.', '--to', 'Ana');
    await stage.cue({ tell: progress });
    await stage.screen.waitFor(/50 %/);
    stage.screen.resize(40, 24);
    await stage.screen.shows((text) => {
      expect(text).not.toMatch(/x{30}/);
      expect(text).toMatch(/50 %/);
      expect(text.split('\n')).toHaveLength(2);
    });
  });

  test('is gone when the connection is, and counts down to the next attempt', async () => {
    await using stage = await Stage.open('send', '.', '--to', 'Ana');
    expect(await stage.report('patient')).toBe(true);
    const of = { transfer: 't', peer: BOB };
    const lost = { ...of, event: 'reconnecting', reason: 'unreachable' } as const;
    await stage.cue({ tell: progress });
    await stage.screen.waitFor(/50 %/);
    await stage.cue({ tell: { ...lost, next: 2_000 } });
    await stage.screen.waitFor(/^The connection to "Bob" was lost; [^\n]*\n.*again in 2 s$/);
    await stage.screen.waitFor(/trying again now\.\.\.$/);
    await stage.cue({ tell: { ...lost, next: 60_000 } });
    await stage.screen.shows((text) => {
      expect(text).toMatch(/trying again in \d\d s$/);
      expect(text.split('\n')).toHaveLength(2);
    });
    await stage.cue({ tell: { ...of, event: 'resuming', bytes: 620, total: 1000 } });
    await stage.cue({ tell: { ...progress, bytes: 720 } });
    await stage.screen.shows((text) => {
      expect(text).toMatch(/\nResuming at 62 %, verified\n.*x+…x+.*\n.*72 %/);
      expect(text).not.toMatch(/trying again in/);
    });
  });

  test('shows of a stream what is known', async () => {
    await using stage = await Stage.open('send', '.', '--to', 'Ana');
    await stage.cue({ tell: { ...progress, file: 'a.tar', bytes: 12_300_000, total: null } });
    await stage.screen.waitFor(/a\.tar\n +12\.3 MB +100 B\/s$/);
  });

  test('says what goes on until the first byte moves', async () => {
    await using stage = await Stage.open('send', '.', '--to', 'Ana');
    await stage.cue({ tell: { event: 'waiting', ...BOB } });
    await stage.screen.waitFor(/Waiting for "Bob" to accept/);
    await stage.cue({ tell: { transfer: 't', peer: BOB, event: 'accepted' } });
    await stage.screen.waitFor(/"Bob" accepted\.\n.*Checking what is there already\.\.\.$/);
  });

  test('Ctrl-C is heard while it turns, and the cursor comes back', async () => {
    await using stage = await Stage.open('send', '.', '--to', 'Ana');
    await stage.screen.waitFor(/Looking for "Ana"/);
    stage.screen.type(CTRL_C);
    expect(await stage.report('end')).toBe('SIGINT');
    await stage.screen.outcome();
    expect(stage.screen.cursorShown).toBe(true);
    expect(stage.screen.text()).toMatch(/Stopping… \(Ctrl-C again to quit at once\)$/);
  });
});
