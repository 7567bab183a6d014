import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Entry } from '../../src/protocol/manifest.ts';
import { Besieged, delivered, MARK } from '../support/besieged.ts';
import { file, folder, KIND, type Thing } from '../support/rogue-peer.ts';

/*
 * What went wrong elsewhere: `../` in the name of an upload (LocalSend, CVE-2025-27142; Samsung
 * Quick Share, CVE-2024-49421), a sender that may send `.ssh/authorized_keys` (croc,
 * CVE-2023-43619), names from the peer that lost their check when code was moved (magic-wormhole
 * 0.21 to 0.22, CVE-2026-42448), a server that chooses the names (OpenSSH scp, CVE-2019-6111).
 */
describe('a path that leads elsewhere', () => {
  test('ends the transfer before anything of it is there', async () => {
    await using ana = await Besieged.make();
    const paths = [
      ...[
        '',
        '.',
        '..',
        '/',
        '//',
        'in/',
        'in//x',
        '/in',
        '//in/x',
        'in/.',
        'in/..',
        './in',
        '../in',
      ],
      ...[
        `../${MARK}`,
        `../../${MARK}`,
        `in/../${MARK}`,
        `in/../../${MARK}`,
        `in/x/../../../${MARK}`,
      ],
      ...[`/etc/${MARK}`, `/tmp/${MARK}`, `/${MARK}`, `in//etc/${MARK}`, `in//${MARK}`],
      ...[
        join(ana.home.path, '.bashrc'),
        '../../.bashrc',
        '../../.ssh/authorized_keys',
        '../other',
      ],
      ...[`${MARK}\0`, 'in/a\0b', `in/${MARK}\0.txt`, 'in/\ud800', 'in/\udc00x', 'in/\ud83d\0'],
      ...[
        `in/${'x'.repeat(1025)}`,
        `in/${'é'.repeat(513)}`,
        `in/${`${'x'.repeat(1000)}/`.repeat(4)}${'x'.repeat(100)}`,
      ],
      ...[`in${'/x'.repeat(128)}`, 'other/x', 'other', 'In', 'in ', 'in\\x'],
    ];
    const offers: { kind: string; path: unknown }[] = [
      ...paths.map((path) => ({ kind: 'file', path, size: 1, mtime: 0 })),
      ...paths.map((path) => ({ kind: 'folder', path, mtime: 0 })).slice(0, 20),
      ...[7, null, true, [], ['in', 'x'], ['..', MARK], { in: 'x' }, undefined].map((path) => ({
        kind: 'file',
        path,
        size: 1,
        mtime: 0,
      })),
    ];
    for (const entry of offers) {
      const talk = await ana.call();
      talk.say({ type: 'begin', continues: null, checksum: false, digests: ['sha256'] });
      talk.say({ type: 'roots', names: ['in'], final: true });
      const count = entry.kind === 'file' ? 1 : 0;
      const entries = [folder('in').entry, entry];
      talk.utter(KIND.offer, { entries, files: count, bytes: count, final: true });
      expect([entry, await talk.answer()]).toEqual([entry, 'protocol']);
    }
    await ana.withstood([]);
  });

  test('is no root either, nor is one name two', async () => {
    await using ana = await Besieged.make();
    const roots: unknown[] = [
      ...[
        '',
        '.',
        '..',
        '/',
        `/${MARK}`,
        `../${MARK}`,
        `a/${MARK}`,
        'a\0b',
        '\ud800',
        'x'.repeat(1025),
      ],
      ...[7, null, ['..'], {}],
    ];
    for (const names of [
      ...roots.map((root) => ['in', root]),
      ['in', 'in'],
      'in',
      { 0: 'in' },
      null,
    ]) {
      const talk = await ana.call();
      talk.say({ type: 'begin', continues: null, checksum: false, digests: ['sha256'] });
      talk.utter(KIND.roots, { names, final: true });
      talk.more([file('in', 'x').entry]);
      expect([names, await talk.answer()]).toEqual([names, 'protocol']);
    }
    await ana.withstood([]);
  });

  test('is no way to an entry whose folder was not offered, or is no folder', async () => {
    await using ana = await Besieged.make((inbox) => {
      mkdirSync(join(inbox, 'there'));
      symlinkSync('..', join(inbox, 'up'));
    });
    const into: Thing[][] = [
      [file(`there/${MARK}`, 'x')],
      [file(`up/${MARK}`, 'x')],
      [file('in', 'x'), file(`in/${MARK}`, 'x')],
      [link('in/up', '.'), file(`in/up/${MARK}`, 'x')],
    ];
    for (const things of into) {
      const talk = await ana.call();
      talk.offer(things.map(({ entry }) => entry));
      expect(await talk.answer()).toBe('protocol');
    }
    await ana.withstood(['there/', 'up -> ..']);
  });
});

/*
 * What went wrong elsewhere: dot files and programs that a sender may choose (croc,
 * CVE-2023-43619), names that are devices or streams to a system (Node, CVE-2025-27210; Go,
 * CVE-2023-45283 and -45284), control characters in names that are shown (croc, CVE-2023-43620;
 * magic-wormhole, issue 476; OpenSSH scp, CVE-2019-6109).
 *
 * What harms Windows alone (devices, streams, drives, 8.3 names, `desktop.ini`) stays as it is
 * here; that it is mended there is shown in protocol/names.test.ts ("Windows makes").
 */
describe('a name that could do harm', () => {
  /** What is offered, what it is called in the folder of the person, and below. */
  const names: readonly (readonly [string, string, string?])[] = [
    // Obeyed by programs when they lie in a person's folder.
    ...[
      '.bashrc',
      '.ssh',
      '.profile',
      '.npmrc',
      '.git',
      '.drop-0123456789abcdef',
      '...',
      '. .',
    ].map(atTop),
    ...['-rf', '--x', '-', '~', '~root', '~\u2215.ssh'].map(atTop),
    // Nothing to this system but letters.
    ...['C:\\x', 'C:x', '\\\\h\\s\\x', '\\\\?\\C:\\x', '\\??\\C:\\x', 'x\\..\\..\\y'].map(same),
    ...['a.txt:evil', 'a.txt::$DATA', 'CON', 'con.txt', 'nul.tar.gz', 'COM1', 'COM¹', 'LPT³'].map(
      same,
    ),
    ...['CONIN$', 'CON .txt', 'C\u200dON', 'desktop.ini', 'autorun.inf', 'Thumbs.db', 'GIT~1'].map(
      same,
    ),
    ...['trailing.', 'trailing ', ' leading', '%2e%2e', '%2e%2e%2fx'].map(same),
    ...['\uff0fetc\uff0fx', 'a\u2215b', 'a\u2024\u2024b', '\u2024\u2024'].map(same),
    ...['$(touch x)', '`touch x`', '; touch x', '| touch x', '& touch x', '*', '?', '"', "'"].map(
      same,
    ),
    atTop('..%2fx'),
    atTop('..\\x'),
    atTop('..\\..\\.ssh'),
    // Nothing that steers a terminal, hides, or turns the direction of writing.
    ['a\x1b[2J\x1b]52;c;x\x07b', 'a_[2J_]52;c;x_b'],
    ['a\x9b31mb', 'a_31mb'],
    ['a\r\nb\tc\bd\x7f', 'a__b_c_d_'],
    ['a\u2028b\u2029c', 'a_b_c'],
    ['invoice\u202efdp.exe', 'invoice_fdp.exe'],
    ['\u2066a\u2067b\u2068c\u2069\u202a\u202b\u202c\u202d', '_a_b_c_____'],
    ['a\u200bb\ufeffc\u2060d\u180e', 'a_b_c_d_'],
    ['\u{e0041}\u{e007f}tag', '__tag'],
    ['\ue000private\uffff', '_private_'],
    // In front of a dot a joiner would hide it.
    ['\u200d.npm', '_.npm'],
    // What no disk takes is cut between characters, and keeps an extension that is one.
    ['é'.repeat(300), 'é'.repeat(127)],
    ['😀'.repeat(100), '😀'.repeat(63)],
    [`a.${'x'.repeat(300)}`, `a.${'x'.repeat(253)}`],
    [`${'é'.repeat(300)}.tar.gz`, `${'é'.repeat(124)}.tar.gz`],
    [`z${'\u0301'.repeat(200)}`, `z${'\u0301'.repeat(127)}`],
  ];

  test('is one component that does none, in the folder of the person and below', async () => {
    await using ana = await Besieged.make();
    const tops = names.map(([name], i) => file(name, `top ${i}`));
    const below = names.map(([name], i) => file(`in/${name}`, `below ${i}`));
    const fates = await delivered(ana, [folder('in'), ...below, ...tops]);
    expect(new Set(fates.slice(1).map(([, fate]) => fate))).toEqual(new Set(['stored']));
    const expected = names.flatMap(([, top, under = top], i) => [
      `${top}: top ${i}`,
      `in/${under}: below ${i}`,
    ]);
    await ana.withstood(['in/', ...expected]);
  });

  test('of a folder, neither, and what is in it is there', async () => {
    await using ana = await Besieged.make();
    const folders = ['.ssh', '..\\up', '-rf', 'a\x1bb', '\u202egnp'];
    const things = folders.flatMap((name) => [
      folder(name),
      folder(`${name}/.git`),
      file(`${name}/.git/hooks`, 'x'),
    ]);
    await delivered(ana, things);
    const named = ['_.ssh', '_..\\up', '_-rf', 'a_b', '_gnp'];
    await ana.withstood(
      named.flatMap((name) => [`${name}/`, `${name}/.git/`, `${name}/.git/hooks: x`]),
    );
  });

  test('in a folder of the person, is as careful as at the top', async () => {
    await using ana = await Besieged.make((inbox) => {
      mkdirSync(join(inbox, 'work'));
      writeFileSync(join(inbox, 'work', 'mine'), 'mine');
    });
    await delivered(ana, [
      folder('work'),
      folder('work/.git'),
      file('work/.git/config', 'x'),
      file('work/.envrc', 'x'),
      file('work/mine', 'other'),
    ]);
    await ana.withstood([
      ...['work/', 'work/_.git/', 'work/_.git/config: x', 'work/_.envrc: x'],
      ...['work/mine: mine', 'work/mine (1): other'],
    ]);
  });
});

/*
 * What went wrong elsewhere: names that a disk takes for one while the program does not (npm tar,
 * CVE-2026-23950: `ß` and `ss` on APFS), two payloads under one id of which only the first was
 * cleaned up (Quick Share, CVE-2024-10668).
 *
 * Where a disk takes several spellings for one name is shown in disk/one-name.test.ts; this one
 * does not.
 */
describe('names that meet', () => {
  test('are as many files as were offered, none of them over another', async () => {
    await using ana = await Besieged.make();
    const pairs = ['A.txt', 'a.txt', 'stra\u00dfe', 'STRASSE', '\u0130', 'i\u0307', '\u212a', 'K'];
    const forms = ['caf\u00e9', 'cafe\u0301'];
    const meeting = [
      // After they were repaired, they are one.
      ...['x\u200by', 'x\ufeffy', 'x\u0007y', 'x_y'].map((name, i) => file(name, `repaired ${i}`)),
      ...[file('.hidden', '1'), file('_.hidden', '2')],
      ...[file('twice', 'first'), file('twice', 'second', { mtime: 1 })],
      ...[file('both', 'a file'), folder('both'), file('both/x', 'in the folder')],
      ...[file('é'.repeat(300), 'long 1'), file('é'.repeat(301), 'long 2')],
      ...[...pairs, ...forms].map((name) => file(name, `this is ${name}`)),
    ];
    const fates = await delivered(ana, meeting);
    expect(fates.map(([, fate]) => fate).filter((fate) => fate !== 'stored')).toEqual(['placed']);
    await ana.withstood([
      ...['x_y: repaired 0', 'x_y (1): repaired 1', 'x_y (2): repaired 2', 'x_y (3): repaired 3'],
      ...['_.hidden: 1', '_ (1).hidden: 2', 'twice: first', 'twice (1): second'],
      ...['both (1): a file', 'both/', 'both/x: in the folder'],
      ...[`${'é'.repeat(127)}: long 1`, `${'é'.repeat(125)} (1): long 2`],
      ...[...pairs, ...forms].map((name) => `${name}: this is ${name}`),
    ]);
  });
});

function same(name: string): [string, string] {
  return [name, name];
}

function atTop(name: string): [string, string, string] {
  return [name, `_${name}`, name];
}

function link(path: string, target: string): { entry: Entry } {
  return { entry: { kind: 'link', path, target } };
}
