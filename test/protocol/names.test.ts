import { posix, win32 } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PeerId } from '../../src/events.ts';
import { utf8 } from '../../src/protocol/bytes.ts';
import { isName } from '../../src/protocol/manifest.ts';
import {
  canMean,
  clip,
  deviceName,
  forTerminal,
  MAX_FILE_NAME,
  numbered,
  type Place,
  safeName,
  sameName,
} from '../../src/protocol/names.ts';

const PLACES: readonly Place[] = (['posix', 'darwin', 'windows'] as const).flatMap((platform) =>
  [true, false].map((top) => ({ platform, top })),
);
const bytes = (text: string): number => utf8(text).length;

/** Pieces of which trouble is made, beside any character at all. */
const PIECES =
  '. .. ~ - _ \\ : ? * | " < > CON con nul. COM1 LPT³ CONIN$ .txt .tar.gz .exe ~1 GIT desktop.ini thumbs.db autorun.inf \u200b \u200c \u200d \ufe0f \u202e \u2066 \u2028 \x00 \x1b[31m \x7f \x9b \r \n \u0301 \ud800 \udc00 \ue000 \ufffe \u{e0041} é 👩‍👩‍👧 می‌خواهم'.split(
    ' ',
  );
const piece = fc.oneof(
  fc.constantFrom(...PIECES, ' ', '  ', 'a'.repeat(250), 'é'.repeat(130), '👩‍👩‍👧'.repeat(14)),
  fc.string({ unit: 'binary', maxLength: 4 }),
);
/** What a device may call itself. */
const deviceText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join('')),
);
const name = fc
  .array(piece, { minLength: 1, maxLength: 8 })
  .map((pieces) => pieces.join(''))
  .filter((text) => isName(text.toWellFormed().replace(/\0/g, 'x')) && !/[/\0]/.test(text));

describe('safeName', () => {
  test('what it returns is one component, short, well-formed, visible and safe already', () => {
    fc.assert(
      fc.property(name, fc.constantFrom(...PLACES), (offered, place) => {
        const safe = safeName(offered, place);
        expect(isName(safe)).toBe(true);
        expect(posix.basename(safe)).toBe(safe);
        expect(posix.join('/in', safe)).toBe(`/in/${safe}`);
        expect(bytes(safe)).toBeLessThanOrEqual(MAX_FILE_NAME);
        expect(safe).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\p{Co}\u200b\u202a-\u202e\u2066-\u2069]/u);
        if (place.top) expect(safe).not.toMatch(/^[.~-]/);
        if (place.platform === 'windows') {
          expect(win32.join('C:\\in', safe)).toBe(`C:\\in\\${safe}`);
          expect(safe).not.toMatch(/[<>:"/\\|?*]|[. ]$/);
          expect(safe).not.toMatch(/^(con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$) *(\.|$)/i);
        }
        expect(safeName(safe, place)).toBe(safe);
      }),
      { numRuns: 2000 },
    );
  });

  test('a numbered name is as safe as the name, and another one', () => {
    fc.assert(
      fc.property(
        name,
        fc.constantFrom(...PLACES),
        fc.integer({ min: 1, max: 9999 }),
        (offered, place, n) => {
          const safe = safeName(offered, place);
          const other = numbered(safe, n);
          expect(other).not.toBe(safe);
          expect(bytes(other)).toBeLessThanOrEqual(MAX_FILE_NAME);
          expect(safeName(other, place)).toBe(other);
        },
      ),
    );
  });

  test('on POSIX, letters, marks, numbers, punctuation and signs of any script stay as they are', () => {
    const harmless = fc
      .string({
        unit: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
        minLength: 1,
        maxLength: 40,
      })
      .filter((text) => isName(text) && bytes(text) <= MAX_FILE_NAME && /^[\p{L}\p{N}]/u.test(text))
      .filter(
        (text) =>
          !/(?!\p{Variation_Selector})\p{Default_Ignorable_Code_Point}|\p{C}|\p{Zl}|\p{Zp}/u.test(
            text,
          ),
      );
    fc.assert(
      fc.property(harmless, (text) => {
        expect(safeName(text, { platform: 'posix', top: true })).toBe(text);
      }),
    );
  });

  test.each([
    'a:b?.txt',
    'back\\slash',
    `it's "quoted"`,
    'x-rf',
    ' leading',
    'trailing ',
    'dots...',
    'CON',
    'nul.txt',
    'desktop.ini',
    'GIT~1',
    'می‌خواهم',
    '👨‍👩‍👧‍👦.png',
    '❤️',
    'e\u0301',
    '報告書.pdf',
    '%2e%2e',
    'x'.repeat(255),
    `${'é'.repeat(125)}.txt`,
    '／full-width',
    '\u00a0',
  ])('POSIX keeps %j', (text) => {
    expect(safeName(text, { platform: 'posix', top: true })).toBe(text);
    expect(safeName(text, { platform: 'darwin', top: true })).toBe(text);
  });

  test.each([
    ['.bashrc', '_.bashrc', '.bashrc'],
    ['-rf', '_-rf', '-rf'],
    ['~root', '_~root', '~root'],
    ['...', '_...', '...'],
    ['a\x1b[31mb', 'a_[31mb', 'a_[31mb'],
    ['a\nb\u2028c', 'a_b_c', 'a_b_c'],
    ['invoice\u202egpj.exe', 'invoice_gpj.exe', 'invoice_gpj.exe'],
    ['a\u200bb\ufeffc\u2060d', 'a_b_c_d', 'a_b_c_d'],
    ['\u200d.ssh', '_.ssh', '_.ssh'],
    ['a\ud800b', 'a_b', 'a_b'],
    ['a\ue000b\uffff', 'a_b_', 'a_b_'],
    ['\u{e0041}x', '_x', '_x'],
  ])('POSIX makes %j at the top %j, below %j', (offered, top, below) => {
    expect(safeName(offered, { platform: 'posix', top: true })).toBe(top);
    expect(safeName(offered, { platform: 'posix', top: false })).toBe(below);
  });

  test.each([
    ['..\\x', '_x'],
    ['C:\\x', 'C_x'],
    ['C:x', 'C_x'],
    ['\\\\?\\C:\\x', '_C_x'],
    ['a.txt:evil', 'a.txt_evil'],
    ['a.txt::$DATA', 'a.txt_$DATA'],
    ['con.txt', 'con_.txt'],
    ['CON .txt', 'CON_.txt'],
    ['COM¹', 'COM¹_'],
    ['CONIN$', 'CONIN$_'],
    ['nul.tar.gz', 'nul_.tar.gz'],
    ['dots. . ', 'dots'],
    ['...', '_'],
    ['GIT~1', 'GIT_1'],
    ['PROGRA~1.EXE', 'PROGRA_1.EXE'],
    ['annual~2024 report', 'annual~2024 report'],
    ['می‌خواهم', 'می‌خواهم'],
    ['👨‍👩‍👧‍👦.png', '👨‍👩‍👧‍👦.png'],
    ['.git', '.git'],
  ])('Windows makes %j below %j', (offered, safe) => {
    expect(safeName(offered, { platform: 'windows', top: false })).toBe(safe);
  });

  test.each(['desktop.ini', 'Autorun.INF', 'thumbs.db', '.git'])(
    'Windows lets no %j into the folder of the person',
    (offered) => {
      expect(safeName(offered, { platform: 'windows', top: true })).toBe(`_${offered}`);
    },
  );

  test('a long name keeps its extension and whole characters', () => {
    const posixTop: Place = { platform: 'posix', top: true };
    expect(safeName(`${'é'.repeat(300)}.tar.gz`, posixTop)).toBe(`${'é'.repeat(124)}.tar.gz`);
    expect(safeName(`${'👩‍👩‍👧'.repeat(20)}.png`, posixTop)).toBe(`${'👩‍👩‍👧'.repeat(13)}.png`);
    expect(bytes(safeName(`a.${'x'.repeat(300)}`, posixTop))).toBe(255);
    expect(bytes(safeName(`e${'\u0301'.repeat(300)}`, posixTop))).toBe(255);
    expect(safeName(`CON${' '.repeat(300)}x`, { platform: 'windows', top: false })).toBe('CON_');
  });
});

test.each([
  ['report.pdf', 'report (1).pdf'],
  ['archive.tar.gz', 'archive (1).tar.gz'],
  ['.bashrc', '.bashrc (1)'],
  ['Mr. Smith', 'Mr. Smith (1)'],
  ['folder', 'folder (1)'],
  ['dot.', 'dot. (1)'],
  ['x'.repeat(255), `${'x'.repeat(251)} (1)`],
])('%j is numbered %j', (text, expected) => {
  expect(numbered(text, 1)).toBe(expected);
});

test('a clipped text is the longest start that fits', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.nat(40), (text, room) => {
      const start = clip(text, room);
      expect(text.startsWith(start)).toBe(true);
      expect(bytes(start)).toBeLessThanOrEqual(room);
      expect(start.isWellFormed()).toBe(true);
      if (start !== text && [...text].every((c) => c < '\x80' && c >= ' '))
        expect(bytes(start)).toBe(room);
    }),
  );
});

describe('forTerminal', () => {
  test('what it returns is one short line that steers nothing', () => {
    fc.assert(
      fc.property(
        fc.array(piece).map((pieces) => pieces.join('')),
        fc.integer({ min: 1, max: 80 }),
        (text, max) => {
          const shown = forTerminal(text, max);
          expect(shown).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Bidi_Control}]/u);
          expect([...new Intl.Segmenter().segment(shown)].length).toBeLessThanOrEqual(max);
        },
      ),
    );
  });

  test.each([
    ['plain  text', 'plain  text'],
    ['a\x1b]52;c;x\x07b', 'a\ufffd]52;c;x\ufffdb'],
    ['one\r\ntwo', 'one\ufffd\ufffdtwo'],
    ['\x9b31m', '\ufffd31m'],
    [`a${'\u0301'.repeat(50)}b`, `a${'\u0301'.repeat(4)}b`],
    ['شقة-می‌خواهم', 'شقة-می‌خواهم'],
  ])('%j is shown as %j', (text, shown) => {
    expect(forTerminal(text)).toBe(shown);
  });

  test('a long text ends in an ellipsis', () => {
    expect(forTerminal('x'.repeat(100_000), 10)).toBe(`${'x'.repeat(9)}…`);
    expect(forTerminal('x'.repeat(10), 10)).toBe('x'.repeat(10));
    expect(forTerminal('👩‍👩‍👧'.repeat(10_000), 3)).toBe('👩‍👩‍👧👩‍👩‍👧…');
  });
});

describe('deviceName', () => {
  test.each([
    ["Ana's laptop", "Ana's laptop"],
    ['  two\r\n lines\t', 'two lines'],
    ['one \u200b blank', 'one blank'],
    ['\u001b[2J\u001b]0;pwn\u0007', '[2J]0;pwn'],
    ['fdp.\u202egnp.exe', 'fdp.gnp.exe'],
    ['\u3164\u200b\u2066', ''],
    ['\u200d\ufe0f', ''],
    ['\u2800', ''],
    ['नमस्\u200dते 👩\u200d💻', 'नमस्\u200dते 👩\u200d💻'],
    ['\ud800lone', 'lone'],
    ['x'.repeat(100), 'x'.repeat(63)],
  ])('%j becomes %j', (text, name) => {
    expect(deviceName(text)).toBe(name);
  });

  test('whatever it is given, it is one visible line of at most 63 bytes, and stays the same', () => {
    fc.assert(
      fc.property(deviceText, (text) => {
        const made = deviceName(text);
        expect(bytes(made)).toBeLessThanOrEqual(63);
        expect(made).not.toMatch(/[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u);
        expect(deviceName(made)).toBe(made);
      }),
    );
  });
});

describe('sameName', () => {
  const office = "Ana's office";
  test.each([
    ["ANA'S OFFICE"],
    ["Ana's o\ufb03ce"],
    ["Ana's  office "],
    ["Ana's\u00a0office"],
    ["Ana's office\u2800"],
    ["\uff21na's office"],
    ["Ana's office\u200d"],
    ["Ana's off\u200cice"],
    ["Ana's office\ufe0f"],
    ["Ana's of\u034ffice"],
    ["Ana's\u200b office\u{e0041}"],
  ])('takes %j for a name that looks like it', (other) => {
    expect(sameName(office, other)).toBe(true);
    expect(sameName(other, office)).toBe(true);
  });

  test.each([
    ['Straße', 'STRASSE'],
    ['Straße', 'STRAẞE'],
    ['ΟΔΟΣ', 'οδος'],
    ['οδοσ', 'οδος'],
    ['Zo\u00eb', 'Zoe\u0308'],
    ['Ana (2)', 'Ana \u2475'],
  ])('takes %j for %j', (a, b) => {
    expect(sameName(a, b)).toBe(true);
  });

  test.each([
    ['Ana', 'Anna'],
    ['Ana', 'Ana (2)'],
    ['An a', 'Ana'],
    ['Zoe', 'Zoë'],
    ['Ana', ''],
  ])('tells %j from %j', (a, b) => {
    expect(sameName(a, b)).toBe(false);
  });

  test('what is dropped or changed to make a name fit makes no other name of it', () => {
    const short = deviceText.filter((text) => bytes(text.normalize('NFC')) < 63);
    fc.assert(
      fc.property(short, (text) => {
        expect(sameName(deviceName(text), text)).toBe(true);
      }),
    );
  });
});

describe('a device is meant', () => {
  const device = { name: 'Ana', id: 'c0ffee00'.repeat(8) as PeerId };
  test.each(['Ana', 'ana\u200d', 'c0ffee00', 'C0FFEE00C', device.id])('by %j', (text) => {
    expect(canMean(text, device)).toBe(true);
  });
  test.each(['', 'An', 'c0ffee0', 'c0ffee01', `${device.id}0`])('not by %j', (text) => {
    expect(canMean(text, device)).toBe(false);
  });
});
