import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Notices, noticeProgram } from '../../src/cli/notices.ts';
import type { NotifyOrder } from '../../src/cli/orders.ts';
import { Words } from '../../src/cli/words.ts';
import { forTerminal } from '../../src/protocol/names.ts';
import { TempFolder } from '../support/home.ts';
import { PATIENCE } from '../support/process.ts';
import { fakeIo, HOSTILE, idOf, STEERING, summaryOf } from './fake.ts';

afterEach(() => {
  vi.unstubAllEnvs();
  vi.useRealTimers();
});

function noticesOf(notify: NotifyOrder['notify'], isTTY = true) {
  const io = fakeIo();
  Object.assign(io.stderr, { isTTY });
  const words = new Words({
    clean: forTerminal,
    side: 'receiver',
    announced: true,
    verbose: false,
    codes: false,
    home: '',
    port: 23_767,
  });
  const notices = new Notices({ notify }, { io, words });
  return { notices, io };
}

/** A folder for PATH with a `notify-send` that writes down what it is told, a line for each word. */
class Desk extends TempFolder {
  readonly #log = join(this.path, 'log');

  constructor() {
    super();
    const program = join(this.path, 'notify-send');
    const script = `#!/bin/sh\nprintf '%s\\n' "$@" "$(env | grep -c '^DROP_')" . >> "${this.#log}"\n`;
    writeFileSync(program, script);
    chmodSync(program, 0o755);
  }

  /** What was told, once there are so many notices. */
  told(count: number): Promise<string[][]> {
    return vi.waitFor(
      () => {
        const text = existsSync(this.#log) ? readFileSync(this.#log, 'utf8') : '';
        const all = text.split('\n.\n').slice(0, -1);
        expect(all).toHaveLength(count);
        return all.map((one) => one.split('\n'));
      },
      { timeout: PATIENCE, interval: 20 },
    );
  }

  get PATH(): string {
    return `${this.path}${delimiter}${process.env.PATH}`;
  }
}

describe.runIf(process.platform === 'linux')('a notice on the desktop', () => {
  const EVE = { name: HOSTILE, id: idOf('e') };

  test('says how much came from whom; more that comes soon is told together', async () => {
    await using desk = new Desk();
    vi.stubEnv('PATH', desk.PATH);
    vi.stubEnv('DROP_PIN', '12345678');
    const { notices, io } = noticesOf('desktop');
    notices.hear(summaryOf());
    await desk.told(1);
    notices.hear(summaryOf({ files: 2 }));
    notices.hear(summaryOf({ files: 3, ok: false, code: 'disk-full', peer: EVE }));
    notices.hear(summaryOf({ files: 0, ok: false, code: 'disconnected' }));
    notices.close();
    const fixed = ['--app-name=drop', '--category=transfer.complete', '--'];
    expect(await desk.told(2)).toEqual([
      [...fixed, '1 file arrived', 'from "Bob"', '0'],
      [...fixed, '5 files arrived, others did not', 'from 2 devices', '0'],
    ]);
    expect(io.said.err()).toBe('');
  });

  test('of a name that steers is harmless', async () => {
    await using desk = new Desk();
    vi.stubEnv('PATH', desk.PATH);
    const { notices } = noticesOf('desktop');
    notices.hear(summaryOf({ peer: EVE }));
    notices.close();
    const [words = []] = await desk.told(1);
    for (const word of words) expect(word).not.toMatch(STEERING);
  });

  test('is no failure where there is no program for it', async () => {
    await using nothing = new TempFolder();
    vi.stubEnv('PATH', nothing.path);
    const { notices, io } = noticesOf('desktop');
    notices.hear(summaryOf());
    notices.close();
    await new Promise(setImmediate);
    expect(io.said.err()).toBe('');
  });
});

describe('the bell', () => {
  test('rings once for each that arrives, and once for all that arrive together', () => {
    vi.useFakeTimers();
    const { notices, io } = noticesOf('bell');
    notices.hear({ event: 'unlocked' });
    notices.hear(summaryOf({ files: 0, ok: false }));
    expect(io.said.err()).toBe('');
    for (let n = 0; n < 100; n++) notices.hear(summaryOf());
    expect(io.said.err()).toBe('\x07');
    vi.advanceTimersByTime(60_000);
    expect(io.said.err()).toBe('\x07\x07');
    notices.hear(summaryOf());
    expect(io.said.err()).toBe('\x07\x07\x07');
  });

  test('rings in no log, and not where nobody asked for it', () => {
    for (const { notices, io } of [noticesOf('bell', false), noticesOf(undefined)]) {
      notices.hear(summaryOf());
      notices.close();
      expect(io.said.err()).toBe('');
    }
  });
});

describe('what shows a notice', () => {
  const notice = { title: '1 file arrived', body: 'from "Bob"', category: 'transfer' } as const;
  const program = (platform: NodeJS.Platform, body: string = notice.body) =>
    noticeProgram(platform, { ...notice, body }, { SystemRoot: 'D:\\Windows' });

  test.each([
    ['darwin', '/usr/bin/osascript'],
    ['win32', 'D:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe'],
  ] as const)('on %s is a script that is always the same', (platform, file) => {
    const shown = program(platform);
    expect(shown?.command[0]).toBe(file);
    expect(shown?.env).toEqual({
      DROP_NOTICE_TITLE: notice.title,
      DROP_NOTICE_BODY: notice.body,
    });
    const other = program(platform, `'"; $(calc) \`calc\` \${x}`);
    expect(other?.command).toEqual(shown?.command);
    expect(shown?.command.at(-1)).toMatch(/DROP_NOTICE_TITLE[^\n]*$/);
  });

  test('elsewhere is not known', () => {
    expect(program('freebsd')).toBeUndefined();
  });

  test('on Linux takes a name as it is, and nothing of it for markup', () => {
    /** What a text is after `notify-send` has read it as C, and the desktop as markup. */
    const read = (text: string): string => {
      const plain = text.replace(/\\(\\|[0-7]{1,3}|.)/gs, (_, sign: string) =>
        /^[0-7]/.test(sign) ? String.fromCharCode(Number.parseInt(sign, 8) & 0xff) : sign,
      );
      expect(plain).not.toMatch(/[<>]|&(?!(?:amp|lt|gt);)/);
      const SIGNS: Record<string, string> = { '&amp;': '&', '&lt;': '<', '&gt;': '>' };
      return plain.replace(/&(?:amp|lt|gt);/g, (sign) => SIGNS[sign] ?? '');
    };
    const piece = fc.oneof(
      fc.constantFrom('\\074', '<b>', '&lt;', '\\', '\\n', '&', '>', '-', '\\\\'),
      fc.string({ unit: 'binary', maxLength: 3 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const text = pieces.join('');
        const { command = [] } = program('linux', text) ?? {};
        expect(command.slice(-3, -1)).toEqual(['--', notice.title]);
        expect(read(command.at(-1) ?? '')).toBe(text);
      }),
    );
  });
});
