import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { Offer, Request } from '../../src/index.ts';
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
const BACKSPACE = '\x7f';
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
    // It is so no more.
    await stage.cue({ peer: peerEvent('Ana', '1') });
    await stage.screen.waitFor(/^> Ana +known\n1 device.*\n.*device\?\s*$/);
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
    expect(stage.screen.text()).toMatch(/Stopping\.\.\./);
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

  test('in plain mode says a line again that tells something else now', async () => {
    await using stage = await picking('--plain');
    const ana = peerEvent('Ana', '1');
    await stage.cue({ peer: ana }, { peer: ana }, { peer: peerEvent('Ana', '2', 'new') });
    await stage.screen.waitFor(
      /\n1 {2}Ana {2}known\n1 {2}Ana {2}known {2}1{8} {2}\S+\n2 {2}Ana {2}new {2}2{8} {2}\S+$/,
    );
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

describe('several devices of the list', () => {
  const all = [peerEvent('Ana', '1'), peerEvent('Bob', '2'), peerEvent('Eve', '3', 'new')];
  const names = async (stage: Stage): Promise<string[]> =>
    (await stage.report('chosenAll')).map((to) => (typeof to === 'string' ? to : to.name));

  async function three(...options: string[]): Promise<Stage> {
    const stage = await picking(...options);
    await stage.cue(...all.map((peer) => ({ peer })));
    await stage.screen.waitFor(/Eve {2}new/);
    return stage;
  }

  test('are marked by space, and Enter sends to all of them, and to no other', async () => {
    await using stage = await three();
    stage.screen.type(' ');
    await stage.screen.waitFor(/^>\*Ana .*\n {2}Bob .*\n {2}Eve[\s\S]*\nEnter sends to Ana\.\n/);
    stage.screen.type(`${DOWN} ${DOWN}`);
    await stage.screen.waitFor(
      /^ \*Ana .*\n \*Bob .*\n> Eve[\s\S]*\nEnter sends to Ana and Bob\.\n/,
    );
    stage.screen.type(ENTER);
    expect(await names(stage)).toEqual(['Ana', 'Bob']);
    await stage.screen.waitFor(/^\? Send \. to which device\? Ana and Bob\n/);
  });

  test('lose their mark by space again', async () => {
    await using stage = await three();
    stage.screen.type(` ${DOWN}  `);
    await stage.screen.waitFor(/^ \*Ana .*\n> Bob/);
    stage.screen.type(`${UP} `);
    await stage.screen.waitFor(/^> Ana .*\n {2}Bob[\s\S]*Enter to send\.\n\?/);
    stage.screen.type(ENTER);
    expect(await stage.report('chosen')).toMatchObject({ name: 'Ana' });
  });

  test('stay marked while the list is filtered, where space is a letter', async () => {
    await using stage = await three();
    await stage.cue({ peer: peerEvent('Anabel Lee', '4') });
    await stage.screen.waitFor(/Lee/);
    stage.screen.type(` ${'bel l'}`);
    await stage.screen.waitFor(/^> Anabel Lee .*\n[\s\S]*sends to Ana\.\n.*device\? bel l$/);
    stage.screen.type(ESC);
    await stage.screen.waitFor(/^ \*Ana [\s\S]*> Anabel Lee[\s\S]*device\?$/);
    stage.screen.type(' ');
    await stage.screen.waitFor(/Enter sends to Ana and Anabel Lee\./);
    stage.screen.type(ENTER);
    expect(await names(stage)).toEqual(['Ana', 'Anabel Lee']);
  });

  test('are shown as gone when they go, and until the mark is taken away nobody gets anything', async () => {
    await using stage = await three();
    stage.screen.type(` ${DOWN} `);
    await stage.screen.waitFor(/Enter sends to Ana and Bob\./);
    await stage.cue({ peer: peerEvent('Ana', '1', 'paired', 'lost') });
    await stage.screen.waitFor(
      /^>\*Bob .*\n {2}Eve .*\n \*Ana {2}has gone\n[\s\S]*"Ana" has gone\. Wait for it, or choose/,
    );
    expect(stage.screen.text()).not.toMatch(/Enter sends to/);
    // Another process of it is another device; it gets neither the mark nor the place.
    await stage.cue({ peer: { ...peerEvent('Ana', '1'), run: 'f'.repeat(16) } });
    await stage.screen.waitFor(/\n {2}Ana {2}known\n \*Ana {2}has gone/);
    stage.screen.type(ENTER);
    stage.screen.type(`${UP} `);
    await stage.screen.shows((text) => {
      expect(text).not.toMatch(/\*Ana/);
      expect(text).toMatch(/Enter sends to Bob\./);
    });
    expect(stage.reported('chosen') || stage.reported('chosenAll')).toBe(false);
    stage.screen.type(ENTER);
    expect(await stage.report('chosen')).toMatchObject({ name: 'Bob' });
  });

  test('that come back are as they were', async () => {
    await using stage = await three();
    stage.screen.type(` ${DOWN} `);
    await stage.screen.waitFor(/Enter sends to Ana and Bob\./);
    await stage.cue({ peer: peerEvent('Ana', '1', 'paired', 'lost') });
    await stage.screen.waitFor(/"Ana" has gone/);
    await stage.cue({ peer: { ...peerEvent('Ana', '1'), addresses: ['192.168.1.77:23767'] } });
    await stage.screen.waitFor(/\*Ana {2}known[\s\S]*Enter sends to Ana and Bob\./);
    stage.screen.type(ENTER);
    const [ana] = await stage.report('chosenAll');
    expect(ana).toMatchObject({ name: 'Ana', addresses: ['192.168.1.77:23767'] });
  });

  test('keep their mark when they answer at last, and no other gets it', async () => {
    await using stage = await picking();
    await stage.cue(
      { peer: peerEvent('Bob', '2') },
      { peer: silentEvent('Ana', '1') },
      { peer: silentEvent('Eve', 'e') },
    );
    await stage.screen.waitFor(/Eve {2}does/);
    stage.screen.type(`${DOWN} ${DOWN} `);
    await stage.screen.waitFor(/Enter sends to Ana and Eve\./);
    await stage.cue(
      { peer: silentEvent('Ana', '1', 'lost') },
      { peer: peerEvent('Ana', '1', 'new') },
      { peer: silentEvent('Eve', 'e', 'lost') },
      { peer: peerEvent('Mallory', 'e', 'new') },
    );
    await stage.screen.waitFor(
      /^ {2}Bob .*\n \*Ana +new\n {2}Mallory +new\n[> ]\*Eve +has gone\n[\s\S]*"Eve" has gone/,
    );
  });

  test('are several numbers in plain mode: all of them, or none', async () => {
    await using stage = await picking('--plain');
    await stage.cue(...all.map((peer) => ({ peer })), {
      peer: peerEvent('Bob', '2', 'paired', 'lost'),
    });
    await stage.screen.waitFor(/or several\s+as in 1 3, and press Enter\.[\s\S]*2 {2}has gone/);
    stage.screen.type(`1 2${ENTER}`);
    await stage.screen.waitFor(/There is no 2 now\./);
    stage.screen.type(`3, 1 3${ENTER}`);
    expect(await names(stage)).toEqual(['Eve', 'Ana']);
  });

  test('are asked for their codes one after the other, each by its name', async () => {
    await using stage = await Stage.open('send', '.', '--to', 'Ana', '--to', 'Eve');
    const [ana, eve] = [
      { name: 'Ana', id: idOf('1') },
      { name: 'Eve', id: idOf('3') },
    ];
    await stage.cue({ codes: [ana, eve] });
    await stage.screen.waitFor(/Code shown on "Ana":/);
    // What happens meanwhile to the others waits until it is typed.
    await stage.cue({ tell: summaryOf({ transfer: 'other' }) });
    stage.screen.type('1');
    await stage.screen.waitFor(/Code shown on "Ana": 1$/);
    expect(stage.screen.text()).not.toMatch(/Eve|Bob/);
    stage.screen.type(`11111${ENTER}`);
    await stage.screen.waitFor(/Sent 1 file[\s\S]*Code shown on "Eve":/);
    expect(await stage.report('typed')).toBe('111111');
    stage.screen.type(CTRL_C);
    expect(await stage.report('end')).toBe('SIGINT');
  });

  test('are each drawn with their name, three of them, and in the end have a line each', async () => {
    await using stage = await Stage.open(
      ...['send', '.', ...['Ana', 'Bob', 'Eve', 'Zoe'].flatMap((name) => ['--to', name])],
    );
    await stage.screen.waitFor(/Waiting for "Ana", "Bob" and 2 more to appear\.\.\.$/);
    const peers = ['Ana', 'Bob', 'Eve', 'Zoe'].map((name, n) => ({ name, id: idOf(`${n}`) }));
    for (const peer of peers) {
      const of = { transfer: peer.id.slice(0, 32), peer };
      await stage.cue({ tell: { event: 'waiting', ...peer, to: peer.name } });
      if (peer.name === 'Zoe') break;
      const at = { file: `photos/${'x'.repeat(99)}.jpg`, bytes: 500, total: 1000 };
      await stage.cue(
        { tell: { ...of, event: 'accepted' } },
        { tell: { ...of, event: 'progress', ...at, files: 0, ofFiles: 1, rate: 100 } },
      );
    }
    await stage.screen.waitFor(
      /[-\\|/] Ana: photos\/x+…x+\.jpg\n {2}\[#+-+\].*\n {2}Bob: photos.*\n {2}\[#.*\n {2}Eve: photos.*\n {2}\[#.*\n {2}Waiting for "Zoe" to accept\.\.\.$/,
    );
    const [ana, bob] = peers.map((peer) => ({ transfer: peer.id.slice(0, 32), peer }));
    if (ana === undefined || bob === undefined) throw new Error();
    await stage.cue({
      tell: { ...bob, event: 'reconnecting', reason: 'disconnected', next: 60_000 },
    });
    await stage.screen.waitFor(
      /Ana: .*\n.*\n {2}Eve: .*\n.*\n {2}Connection to "Bob" lost; trying again in \d+ s$/,
    );
    const code = 'disconnected';
    await stage.cue({
      tell: { ...bob, event: 'error', code, message: 'The connection was lost.' },
    });
    await stage.cue(
      { tell: summaryOf(ana) },
      { tell: summaryOf({ ...bob, ok: false, files: 0, code }) },
      { finish: true },
    );
    expect(await stage.report('end')).toBe(5);
    await stage.screen.outcome();
    expect(stage.screen.text()).toMatch(
      /Error: "Bob": The connection was lost\.\n[\s\S]*\nAna {2}delivered: 1 file \(2\.1 MB\)\nBob {2}incomplete: The connection was lost\.$/,
    );
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

  test('or for a PIN says in our words how to see what was typed', async () => {
    await using stage = await Stage.open('send', '.', '--to', 'Ana');
    await stage.cue({ code: 'new', kind: 'pin' });
    await stage.screen.waitFor(/PIN of "Ana":\nCtrl-T shows it\.$/);
    stage.screen.type('secret12');
    await stage.screen.waitFor(/: \*{8}\n/);
    stage.screen.type('\x14');
    await stage.screen.waitFor(/: secret12\n/);
    stage.screen.type(ENTER);
    expect(await stage.report('typed')).toBe('secret12');
  });

  test('is drawn once, with what was typed, however the window changes', async () => {
    await using stage = await Stage.open('send', '.', '--to', 'Ana');
    await stage.cue({ code: 'new' });
    await stage.screen.waitFor(/Code shown on "Ana":/);
    stage.screen.type('4930');
    await stage.screen.waitFor(/4930/);
    for (const columns of [20, 15, 70]) {
      await stage.widen(columns);
      // What a key brings about comes after what was drawn before.
      for (const [key, digits] of [
        ['5', '49305'],
        [BACKSPACE, '4930'],
      ] as const) {
        stage.screen.type(key);
        await stage.screen.shows((text) => {
          expect(text.replaceAll(/[\n ]/g, '')).toBe(`?Codeshownon"Ana":${digits}`);
        });
      }
    }
    stage.screen.type(`27${ENTER}`);
    expect(await stage.report('typed')).toBe('493027');
  });

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
  texts: 0,
  sized: true,
  final: true,
};

const OFFER: Offer = {
  from: BOB,
  roots: ['photos'],
  parts: ['日本の写真と他のもの', 'more'].map((path) => ({
    path,
    folder: true,
    files: 3,
    bytes: 9,
  })),
  ...{ files: 6, texts: 0, bytes: 18, sized: true, final: true },
  risks: [{ risk: 'runs', entries: 1, example: 'photos/日本の写真と他のもの.exe' }],
};

describe('the question what to take', () => {
  test('and which parts, is drawn once, however the window changes', async () => {
    await using stage = await Stage.open('get', '--from', 'Bob');
    await stage.cue({ offer: OFFER });
    await stage.screen.waitFor(/Get it\?[\s\S]*> all of it[\s\S]*Enter takes\./);
    stage.screen.type(DOWN);
    await stage.screen.waitFor(/> some of it/);
    const change = async (there: RegExp, back: RegExp, once: readonly RegExp[]): Promise<void> => {
      for (const columns of widths.splice(0, 3)) {
        await stage.widen(columns);
        // What a key brings about comes after what was drawn before.
        stage.screen.type(DOWN);
        await stage.screen.waitFor(there);
        stage.screen.type(UP);
        await stage.screen.waitFor(back);
        await stage.screen.shows((text) => {
          for (const one of once) expect(text.replaceAll('\n', '').match(one)).toHaveLength(1);
        });
      }
    };
    const widths = [33, 21, 90, 34, 22, 91];
    await change(/> nothing/, /> some/, [
      /\? It/g,
      /日本/g,
      /all of it/g,
      /> some of it/g,
      /takes\./g,
    ]);
    stage.screen.type(ENTER);
    await stage.screen.waitFor(/Which of it\?[\s\S]*what is marked\./);
    stage.screen.type(' ');
    await stage.screen.waitFor(/> \[x\]/);
    const all = [/Which/g, /> \[x\]/g, / {2}\[ \] more/g, /what is marked\./g];
    await change(/> \[ \] more/, /> \[x\]/, all);
    stage.screen.type(ENTER);
    expect(await stage.report('taken')).toEqual([OFFER.parts[0]?.path]);
  });

  test.each([
    ['all', [], true, OFFER],
    [
      'a part',
      [
        [DOWN, /> some of it/],
        [ENTER, /what is marked\./],
        [' ', /> \[x\]/],
      ],
      [OFFER.parts[0]?.path],
      { ...OFFER, files: 3, bytes: 9 },
    ],
  ] as const)(
    'is not asked again when who shares it was started anew: %s',
    async (_, keys, taken, again) => {
      await using stage = await Stage.open('get', '--from', 'Bob');
      await stage.cue({ offer: OFFER });
      await stage.screen.waitFor(/6 files[\s\S]*Enter takes\./);
      for (const [key, shown] of keys) {
        stage.screen.type(key);
        await stage.screen.waitFor(shown);
      }
      stage.screen.type(ENTER);
      expect(await stage.report('taken')).toEqual(taken);
      await stage.cue({ offer: again }, { offer: { ...again, files: 7 } });
      await stage.screen.waitFor(/7 files[\s\S]*Enter takes\./);
      await stage.screen.shows((text) => expect(text.match(/Get it\?/g)).toHaveLength(2));
    },
  );
});

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
      await stage.typeAhead(keys);
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
    await stage.screen.waitFor(
      /calls itself "Ana.\[2J" is your "Eve"\. Go on with "Eve"\? \[y\/N\]/,
    );
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

  test('are left by Ctrl-D, after which nothing could be typed any more', async () => {
    await using stage = await Stage.open('receive', ...plain);
    await stage.report('ready');
    await stage.cue({ tell: READY }, locked, { locked: true });
    await stage.screen.waitFor(/Press Enter/);
    // Before it is waited for, nothing is that is typed.
    const pressing = setInterval(() => stage.screen.type(CTRL_D), 100);
    expect(await stage.report('end').finally(() => clearInterval(pressing))).toBe('SIGINT');
    await stage.screen.outcome();
    expect(stage.screen.text()).toMatch(/Stopping\.\.\./);
  });

  test('are not unlocked by what was typed before', async () => {
    await using stage = await Stage.open('receive', ...plain);
    await stage.report('ready');
    await stage.cue({ tell: READY });
    await stage.typeAhead(`y${ENTER}${ENTER}`);
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
    await stage.report('withdrawn'); // Else the question would be answered by it.
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
    expect(stage.screen.text()).toMatch(/^Stopping\.\.\.[^\n]*$/);
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
    await stage.cue({ tell: { ...lost, next: 60_000 } });
    await stage.screen.waitFor(/^The connection to "Bob" was lost; [^\n]*\n.*again in \d\d s$/);
    await stage.cue({ tell: { ...lost, next: 2_000 } });
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
    expect(stage.screen.text()).toMatch(/Stopping\.\.\. \(Ctrl-C again to quit at once\)$/);
  });
});
