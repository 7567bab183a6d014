import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { roomIn } from '../../src/disk/target.ts';
import { MAX_BATCH, MAX_OPEN_ENTRIES, MAX_ROOT_UNITS, MAX_ROOTS } from '../../src/limits.ts';
import { concat, u32, utf8 } from '../../src/protocol/bytes.ts';
import type { Entry } from '../../src/protocol/manifest.ts';
import { Besieged, delivered, MARK } from '../support/besieged.ts';
import { sha256 } from '../support/memory.ts';
import { PATIENCE } from '../support/process.ts';
import { file, folder, KIND, Rogue, type Talk } from '../support/rogue-peer.ts';
import { describeWith } from '../support/skip.ts';

const MiB = 1024 * 1024;

/*
 * What went wrong elsewhere: a ZIP from the sender that overwrites files (croc, CVE-2023-43616),
 * links that lead out of the folder (Warpinator, CVE-2022-42725; rsync, CVE-2024-12087), races for
 * a link on the way (croc, 0067409a; rsync, CVE-2026-43619), a mode of a folder that the peer
 * changes (OpenSSH scp, CVE-2018-20685), names from the peer that are deleted (Warpinator,
 * CVE-2023-29380).
 */
describe('what is there', () => {
  test('is neither overwritten, nor followed, nor removed, whatever it is', async () => {
    await using ana = await Besieged.make((inbox) => {
      writeFileSync(join(inbox, 'file'), 'mine');
      mkdirSync(join(inbox, 'folder'));
      writeFileSync(join(inbox, 'folder', 'x'), 'mine');
      symlinkSync(`../${MARK}`, join(inbox, 'dangling'));
      symlinkSync('../other', join(inbox, 'to folder'));
      symlinkSync('../notes.txt', join(inbox, 'to file'));
      symlinkSync('loop', join(inbox, 'loop'));
      execFileSync('mkfifo', [join(inbox, 'pipe')]);
      const server = createServer().listen(join(inbox, 'socket'));
      onTestFinished(() => void server.close());
    });
    const names = ['file', 'dangling', 'to folder', 'to file', 'loop', 'pipe', 'socket', 'folder'];
    const there = () => ana.saved().filter((line) => !/\(\d\)|^folder/.test(line));
    const before = there();
    await delivered(
      ana,
      names.map((name) => file(name, 'hers!')),
    );
    await delivered(
      ana,
      names.flatMap((name) => [folder(name), file(`${name}/x`, 'her other')]),
    );
    await delivered(
      ana,
      names.map((name) => ({
        entry: { kind: 'stream', path: name } as const,
        bytes: utf8('hers, too'),
      })),
    );
    expect(there()).toEqual(before);
    const new_ = names.slice(0, -1);
    await ana.withstood([
      ...before,
      ...new_.map((name) => `${name} (1): hers!`),
      ...new_.flatMap((name) => [`${name} (2)/`, `${name} (2)/x: her other`]),
      ...new_.map((name) => `${name} (3): hers, too`),
      ...['folder/', 'folder/x: mine', 'folder/x (1): her other'],
      ...['folder (1): hers!', 'folder (2): hers, too'],
    ]);
  });

  test('may be where a link leads that is the folder itself, and which changes meanwhile', async () => {
    await using ana = await Besieged.make((inbox) => {
      renameSync(inbox, `${inbox} of Ana`);
      symlinkSync('inbox of Ana', inbox);
    });
    const talk = await ana.call();
    const bytes = utf8('x');
    talk.offer([file('a', 'x').entry]);
    await talk.hear('want');
    unlinkSync(ana.inbox);
    symlinkSync('other', ana.inbox);
    talk.send(0, bytes);
    expect(await talk.settled(0)).toBe('stored');
    talk.say({ type: 'done' });
    await talk.hear('complete');
    unlinkSync(ana.inbox);
    symlinkSync('inbox of Ana', ana.inbox);
    await ana.withstood(['a: x']);
  });

  test.each([
    ['in pieces', 2],
    // Nothing is kept of small files.
    ['together', 0],
  ])('is nothing that a folder of hers becomes while she sends, %s', async (how, kept) => {
    await using ana = await Besieged.make();
    const talk = await ana.call();
    const things = [
      folder('d'),
      folder('d/e'),
      file('d/e/x', 'x'),
      file('y', 'y'),
      file('d/z', 'z'),
    ];
    talk.offer(things.map(({ entry }) => entry));
    await talk.hear('want');
    renameSync(join(ana.inbox, 'd'), join(ana.inbox, 'moved'));
    symlinkSync('../other', join(ana.inbox, 'd'));
    mkdirSync(join(ana.inbox, 'moved', 'other'));
    const sent = ['x', 'y', 'z'].map((text, i) => [i + 2, utf8(text)] as const);
    if (how === 'together') talk.sendTogether(sent);
    else for (const [i, bytes] of sent) talk.send(i, bytes);
    expect([await talk.settled(2), await talk.settled(3), await talk.settled(4)]).toEqual([
      'peer-disk',
      'stored',
      'peer-disk',
    ]);
    talk.say({ type: 'done' });
    expect((await talk.hear('complete')).missed).toBeGreaterThan(0);
    await ana.withstood(['d -> ../other', 'moved/', 'moved/e/', 'moved/other/', 'y: y'], { kept });
  });

  test('are two files where two transfers end at once under one name', async () => {
    await using ana = await Besieged.make();
    const [mallory, trudy] = [await Rogue.make(), await Rogue.make()];
    onTestFinished(() => mallory[Symbol.asyncDispose]());
    onTestFinished(() => trudy[Symbol.asyncDispose]());
    const texts = ['one', 'two', 'six'];
    const talks: Talk[] = [];
    const { port } = await ana.receiving.event('ready');
    for (const [i, rogue] of [ana.eve, mallory, trudy].entries()) {
      await rogue.befriend(ana.home, `Eve ${i}`);
      const talk = await rogue.call(port);
      talk.offer([file('same', texts[i] as string).entry]);
      await talk.hear('want');
      talks.push(talk);
    }
    for (const [i, talk] of talks.entries()) talk.send(0, utf8(texts[i] as string));
    for (const talk of talks) {
      expect(await talk.settled(0)).toBe('stored');
      talk.say({ type: 'done' });
      await talk.hear('complete');
    }
    const saved = ana.saved();
    expect(saved.map((line) => line.split(': ')[0]).sort()).toEqual([
      'same',
      'same (1)',
      'same (2)',
    ]);
    expect(saved.map((line) => line.split(': ')[1]).sort()).toEqual([...texts].sort());
    await ana.withstood(saved);
  });
});

/* As above: links and modes. A directory of `tar` has devices and hard links as well. */
describe('an entry', () => {
  test('is a file, a stream, a folder or a link inside, and nothing else', async () => {
    await using ana = await Besieged.make();
    const plain = '"path":"in/x","size":1,"mtime":0';
    const kinds = ['symlink', 'hardlink', 'device', 'fifo', 'dir', 'File', '', '__proto__'];
    const modes = ['2541', '1023', '512', '-1', '1.5', '"0777"', 'null', '[]', '1e400'];
    const times = ['NaN', '1e400', '-1e400', '1.5', '"0"', 'null', '9007199254740992', '[]'];
    const targets = ['/etc/passwd', '..', '../..', '../x', 'a/../x', 'a/../../x', '', 'a\0', '//x'];
    const offers = [
      ...kinds.map((kind) => `"kind":${JSON.stringify(kind)},${plain}`),
      ...modes.map((mode) => `"kind":"file",${plain},"mode":${mode}`),
      ...modes.map((mode) => `"kind":"folder","path":"in/x","mtime":0,"mode":${mode}`),
      ...times.map((time) => `"kind":"file","path":"in/x","size":1,"mtime":${time}`),
      ...targets.map((to) => `"kind":"link","path":"in/x","target":${JSON.stringify(to)}`),
      `"kind":"link","path":"in","target":"x"`,
      `"kind":"link","path":"in/x","target":"${'x'.repeat(4097)}"`,
      ...[
        '"uid":0',
        '"target":"x"',
        '"__proto__":{"kind":"link"}',
        '"xattrs":{}',
        '"device":1',
      ].map((more) => `"kind":"file",${plain},${more}`),
    ];
    for (const entry of offers) {
      const talk = await ana.call();
      talk.say({ type: 'begin', continues: null, checksum: false, digests: ['sha256'] });
      talk.say({ type: 'roots', names: ['in'], final: true });
      const count = entry.startsWith('"kind":"file"') ? 1 : 0;
      const entries = `[{"kind":"folder","path":"in","mtime":0},{${entry}}]`;
      talk.utter(
        KIND.offer,
        `{"entries":${entries},"files":${count},"bytes":${count},"final":true}`,
      );
      expect([entry, await talk.answer()]).toEqual([entry, 'protocol']);
    }
    await ana.withstood([]);
  });

  test('has a time and permissions that exist, and no more of them than Ana gives', async () => {
    await using ana = await Besieged.make();
    const times = [-11_644_473_600_000, 253_402_300_799_999, Number.MAX_SAFE_INTEGER];
    const modes = [0o777, 0o666, 0o002, 0];
    await delivered(ana, [
      ...[...times, -Number.MAX_SAFE_INTEGER].map((mtime, i) => file(`time ${i}`, 'x', { mtime })),
      ...modes.map((mode) => file(`mode ${mode}`, 'x', { mode })),
      ...modes.map((mode) => ({
        entry: { kind: 'folder', path: `folder ${mode}`, mtime: 0, mode } as const,
      })),
    ]);
    for (const mode of modes) {
      const given = mode & ~process.umask();
      expect(statSync(join(ana.inbox, `mode ${mode}`)).mode & 0o7777).toBe(given);
      expect(statSync(join(ana.inbox, `folder ${mode}`)).mode & 0o7777).toBe(given | 0o700);
    }
    const years = [0, 1, 2, 3].map((i) =>
      statSync(join(ana.inbox, `time ${i}`)).mtime.getFullYear(),
    );
    // What of it the disk keeps is its own business.
    for (const year of years) expect(Math.min(Math.max(year, 0), 9999)).toBe(year);
    for (const mode of modes) chmodSync(join(ana.inbox, `mode ${mode}`), 0o600);
    await ana.withstood([
      ...years.map((_, i) => `time ${i}: x`),
      ...modes.flatMap((mode) => [`mode ${mode}: x`, `folder ${mode}/`]),
    ]);
  });

  test('that is a link is made last, and never followed', async () => {
    await using ana = await Besieged.make();
    const link = (path: string, target: string): { entry: Entry } => ({
      entry: { kind: 'link', path, target },
    });
    await delivered(ana, [
      folder('in'),
      folder('in/d'),
      link('in/l', 'd'),
      link('in/out', 'nowhere'),
      // Under the very paths of the links.
      folder('in/l'),
      file('in/l/x', 'through a link'),
      file('in/out', 'over a link'),
    ]);
    expect(ana.saved()).toContain('in/l/x: through a link');
    await delivered(ana, [folder('in'), folder('in/l (1)'), file('in/l (1)/y', 'once more')]);
    await ana.withstood([
      ...['in/', 'in/d/', 'in/l/', 'in/l/x: through a link', 'in/l (1) -> d'],
      ...['in/out: over a link', 'in/out (1) -> nowhere'],
      ...['in/l (1) (1)/', 'in/l (1) (1)/y: once more'],
    ]);
  });
});

/*
 * What went wrong elsewhere: a negative length (Syncthing, CVE-2021-21404), the length of a
 * checksum (rsync, CVE-2024-12084), a message of any length (croc, 8e3a248b), trees so deep or so
 * many that they fill memory (npm tar, CVE-2024-28863).
 */
describe('a size', () => {
  test('is a whole number of bytes, and all of them together are one', async () => {
    await using ana = await Besieged.make();
    // There is no way to say NaN or an infinite number in JSON; what is no JSON is no offer.
    const sizes = ['-1', '1.5', '9007199254740992', '9223372036854775808', '1e400', 'NaN'];
    const others = ['"5"', 'null', '[1]', '{}', 'true', 'Infinity', '-0.5', '0x10', '1e-1'];
    const offers = [
      ...[...sizes, ...others].map((size) => [[size], size, 1]),
      // These add up to something that is.
      [['-1', '1'], '0', 2],
      [['1.5', '-0.5'], '1', 2],
      // Each is a number, and the sum is none, or another one than was said.
      [['9007199254740991', '9007199254740991'], '18014398509481982', 2],
      [['9007199254740991', '9007199254740991'], '9007199254740991', 2],
      [['9007199254740991', '1'], '9007199254740992', 2],
      ...[['1', '1'], '3', '-2', '"2"'].map((bytes) => [['1', '1'], bytes, 2]),
      ...[0, 1, 3, -2, 1.5].map((files) => [['1', '1'], '2', files]),
    ] as [string[], string, number][];
    for (const [each, bytes, files] of offers) {
      const talk = await ana.call();
      const entries = each.map(
        (size, i) => `{"kind":"file","path":"in/${i}","size":${size},"mtime":0}`,
      );
      talk.say({ type: 'begin', continues: null, checksum: false, digests: ['sha256'] });
      talk.say({ type: 'roots', names: ['in'], final: true });
      talk.utter(
        KIND.offer,
        `{"entries":[${JSON.stringify(folder('in').entry)},${entries}],"files":${files},"bytes":${bytes},"final":true}`,
      );
      expect([each, bytes, files, await talk.answer()]).toEqual([each, bytes, files, 'protocol']);
    }
    await ana.withstood([]);
  });

  test('is held: no byte less or more comes, nor at another place, nor of another file', async () => {
    await using ana = await Besieged.make();
    const four = utf8('four');
    const chunk =
      (entry: number, offset: number, bytes = four) =>
      (talk: Talk) =>
        talk.say({ type: 'chunk', entry, offset, bytes });
    const end =
      (entry: number, digest = sha256(four)) =>
      (talk: Talk) =>
        talk.utter(KIND.end, concat(u32(entry), digest));
    const small = (entry: number, bytes = four) => [entry, bytes] as const;
    const at = (offset: bigint) => (talk: Talk) => {
      const place = new Uint8Array(8);
      new DataView(place.buffer).setBigUint64(0, offset);
      talk.utter(KIND.chunk, concat(u32(0), place, four));
    };
    const breaches: ((talk: Talk) => void)[][] = [
      [end(0)],
      [chunk(0, 0, utf8('thr')), end(0)],
      [chunk(0, 0, utf8('five!'))],
      [chunk(0, 0), chunk(0, 4, utf8('!'))],
      [chunk(0, 1, utf8('our'))],
      [chunk(0, 4)],
      [at(2n ** 53n - 1n)],
      [at(2n ** 53n)],
      [at(2n ** 63n)],
      [at(2n ** 64n - 1n)],
      [chunk(0, 0, utf8('fo')), chunk(0, 0)],
      [chunk(0, 0, utf8('fo')), chunk(0, 1, utf8('our'))],
      [chunk(0, 0, utf8('fo')), chunk(0, 3, utf8('r'))],
      [chunk(0, 0, utf8('fo')), chunk(1, 0)],
      // These have sent a whole file before.
      [chunk(1, 0), end(1), chunk(0, 0)],
      [chunk(0, 0), end(0), chunk(0, 0)],
      [chunk(0, 0), end(0), end(0)],
      [chunk(2, 0)],
      [chunk(3, 0)],
      [chunk(0xffff_ffff, 0)],
      [end(3)],
      ...[0, 31, 33, 64].map((length) => [chunk(0, 0), end(0, new Uint8Array(length))]),
      ...[
        [small(0, utf8('thr'))],
        [small(0, utf8('five!'))],
        [small(0), small(0)],
        [small(1), small(0)],
        [small(0), small(3)],
        [small(2, new Uint8Array(0))],
        [small(0), small(0xffff_ffff)],
      ].map((all) => [(talk: Talk) => talk.sendTogether(all)]),
      [chunk(0, 0, utf8('fo')), (talk) => talk.sendTogether([small(0)])],
      [chunk(0, 0), end(0), (talk) => talk.sendTogether([small(0)])],
      [(talk) => talk.utter(KIND.chunk, concat(u32(0), new Uint8Array(8)))],
      [(talk) => talk.utter(KIND.chunk, new Uint8Array(3))],
      [(talk) => talk.say({ type: 'done' })],
    ];
    const offer = (i: number) => [file(`a${i}`, 'four'), file(`b${i}`, 'four'), folder('c')];
    for (const [i, breach] of breaches.entries()) {
      const talk = await ana.call();
      talk.offer(offer(i).map(({ entry }) => entry));
      await talk.hear('want');
      for (const act of breach) act(talk);
      expect([i, await talk.end()]).toEqual([i, 'protocol']);
    }
    // Nor before it is wanted.
    const early = await ana.call();
    early.offer([file('early', 'four').entry]);
    chunk(0, 0)(early);
    expect(await early.end()).toBe('protocol');
    // What is wrong concerns one file only, and leaves nothing.
    const wrong = await ana.call();
    const names = ['wrong', 'right', 'small', 'small and wrong', 'also small'];
    wrong.offer(names.map((name) => file(name, 'four').entry));
    await wrong.hear('want');
    chunk(0, 0, utf8('FOUR'))(wrong);
    end(0)(wrong);
    wrong.send(1, four);
    wrong.sendTogether([small(2), [3, utf8('FOUR'), sha256(four)], small(4)]);
    expect(await Promise.all(names.map((_, i) => wrong.settled(i)))).toEqual([
      ...['corrupt', 'stored', 'stored', 'corrupt', 'stored'],
    ]);
    wrong.say({ type: 'done' });
    await wrong.hear('complete');
    // There is what was whole before something else was wrong, and no more.
    const there = ana.saved().filter((line) => !line.startsWith('.drop-'));
    expect(
      there.filter((line) => !/^((b14|a15|a16|a33|right|small|also small): four|c\/)$/.test(line)),
    ).toEqual([]);
    // What is kept of the others is gone when they are.
    const all = breaches.flatMap((_, i) => offer(i).slice(0, 2));
    await delivered(ana, [folder('c'), ...all]);
    const left = [...all.map(({ entry }) => entry.path), 'right', 'small', 'also small'];
    await ana.withstood(['c/', ...left.map((name) => `${name}: four`)]);
  });

  test('that nobody has room for is refused, and takes no room', async () => {
    await using ana = await Besieged.make();
    const claim = (path: string, size: number): Entry => ({ kind: 'file', path, size, mtime: 0 });
    // The most that can be said: 8 PiB.
    const talk = await ana.call();
    talk.offer([claim('huge', Number.MAX_SAFE_INTEGER)]);
    expect(await talk.end()).toBe('peer-full');
    await ana.eve.befriend(ana.home, 'Eve', 'auto');
    // Each would fit, together they do not; and they are not all that there will be.
    const room = await roomIn(ana.inbox);
    const share = Math.floor(0.6 * room);
    const more = await ana.call();
    more.say({ type: 'begin', continues: null, checksum: false, digests: ['sha256'] });
    more.say({ type: 'roots', names: ['a', 'b', 'c', 'empty'], final: true });
    const entries = [claim('a', share), claim('b', share), claim('c', share), claim('empty', 0)];
    more.say({ type: 'offer', entries, files: 4, bytes: 3 * share, final: false });
    expect(await more.decided(entries)).toEqual(['wanted', 'peer-full', 'peer-full', 'wanted']);
    more.say({ type: 'chunk', entry: 0, offset: 0, bytes: new Uint8Array(1000) });
    more.say({ type: 'failed', entry: 0, code: 'changed' });
    expect(await more.settled(0)).toBe('changed');
    expect(await roomIn(ana.inbox)).toBeGreaterThan(share);
    more.send(3, new Uint8Array(0));
    expect(await more.settled(3)).toBe('stored');
    more.say({ type: 'cancel', code: 'cancelled' });
    await ana.withstood(['empty: ']);
  });

  test('of an offer is bounded: in entries, open ones, roots, and how deep they are', async () => {
    await using ana = await Besieged.make();
    const begun = async (roots: readonly string[] = ['in']): Promise<Talk> => {
      const talk = await ana.call();
      talk.say({ type: 'begin', continues: null, checksum: false, digests: ['sha256'] });
      for (let i = 0; i < roots.length; i += 50)
        talk.say({ type: 'roots', names: roots.slice(i, i + 50), final: false });
      return talk;
    };
    const names = (count: number, length = 1): string[] =>
      Array.from({ length: count }, (_, i) => `${i}`.padEnd(length, 'x'));

    const crowd = await begun();
    crowd.say({ type: 'roots', names: [], final: true });
    const inside = folder('in').entry;
    crowd.say({ type: 'offer', entries: [inside], files: 0, bytes: 0, final: false });
    for (let offered = 0; offered <= MAX_OPEN_ENTRIES && crowd.ended === undefined; ) {
      const entries = names(MAX_BATCH).map(
        (name): Entry => ({ kind: 'file', path: `in/${offered} ${name}`, size: 1, mtime: 0 }),
      );
      offered += entries.length;
      crowd.say({ type: 'offer', entries, files: offered, bytes: offered, final: false });
    }
    expect(await crowd.end()).toBe('protocol');

    const batch = await begun();
    batch.say({ type: 'roots', names: [], final: true });
    const entries = [inside, ...names(MAX_BATCH).map((name) => file(`in/${name}`, '').entry)];
    batch.say({ type: 'offer', entries, files: MAX_BATCH, bytes: 0, final: true });
    expect(await batch.answer()).toBe('protocol');

    expect(await (await begun(names(MAX_ROOTS + 1))).end()).toBe('protocol');
    expect(await (await begun(names(MAX_ROOT_UNITS / 1000 + 1, 1000))).end()).toBe('protocol');

    // As deep as it may be, it is there; one more is shown with the paths.
    const path = Array.from({ length: 128 }, () => 'd');
    const deep = path.slice(1).map((_, i) => folder(path.slice(0, i + 1).join('/')));
    await delivered(ana, [folder('in'), ...deep, file(path.join('/'), 'deep')]);
    await ana.withstood([
      'in/',
      ...deep.map(({ entry }) => `${entry.path}/`),
      `${path.join('/')}: deep`,
    ]);
  });

  test('of what is remembered to the end is bounded, however many links there are', async () => {
    await using ana = await Besieged.make();
    await ana.eve.befriend(ana.home, 'Eve', 'auto');
    const talk = await ana.call();
    talk.say({ type: 'begin', continues: null, checksum: false, digests: ['sha256'] });
    talk.say({ type: 'roots', names: ['in'], final: true });
    talk.say({ type: 'offer', entries: [folder('in').entry], files: 0, bytes: 0, final: false });
    expect((await talk.hear('want')).failed).toEqual([]);
    const before = await memoryOf(ana.receiving.pid);
    const [name, target] = ['n'.repeat(100), 'x/'.repeat(2000)];
    let last: string | undefined;
    for (let n = 0; n < 100_001 && last === undefined; n += 14) {
      const entries = Array.from(
        { length: 14 },
        (_, i): Entry => ({ kind: 'link', path: `in/${n + i}${name}`, target: `${target}${n}` }),
      );
      talk.say({ type: 'offer', entries, files: 0, bytes: 0, final: false });
      last = (await talk.hear('want')).failed.at(-1)?.code;
    }
    expect(last).toBe('too-many');
    expect((await memoryOf(ana.receiving.pid)) - before).toBeLessThan(256 * MiB);
    talk.say({ type: 'cancel', code: 'cancelled' });
    await ana.withstood(['in/'], { kept: 1 });
  });
});

/*
 * What went wrong elsewhere: programs that a sender puts where they are started (LocalSend,
 * CVE-2025-27142), archives that are unpacked (croc, CVE-2023-43616), names from the peer that are
 * deleted (Warpinator, CVE-2023-29380).
 *
 * That files are marked where systems heed that (macOS, Windows) is shown in disk/mark.test.ts.
 */
describe('what was saved', () => {
  test('is not opened, unpacked, run, or handed to any program', async () => {
    let traps = '';
    await using ana = await Besieged.make(
      (_, home) => {
        traps = join(home.path, 'state', 'traps');
        mkdirSync(traps, { recursive: true, mode: 0o700 });
        for (const name of PROGRAMS)
          writeFileSync(join(traps, name), `#!/bin/sh\necho "$0 $*" >> '${traps}.log'\n`, {
            mode: 0o755,
          });
      },
      [],
      {
        get PATH() {
          return traps;
        },
      },
    );
    const script = `#!/bin/sh\n/usr/bin/touch '${ana.home.path}/${MARK}'\n`;
    const names = ['run.sh', 'run', `$(touch ${MARK})`, `\`touch ${MARK}\``, `; touch ${MARK}`];
    const more = ['x.desktop', 'setup.exe', 'x.command', 'a.zip', 'a.tar.gz', '--help', '-rf', '*'];
    const things = [...names, ...more].map((name, i) =>
      file(name, name === 'a.tar.gz' ? TAR : `${script}${i}`, { mode: 0o777 }),
    );
    await delivered(ana, things);
    await ana.withstood(
      things.map(
        ({ entry: { path }, bytes }) =>
          `${path.replace(/^-/, '_-')}: ${new TextDecoder().decode(bytes)}`,
      ),
    );
    expect(existsSync(`${traps}.log`) && readFileSync(`${traps}.log`, 'utf8')).toBe(false);
  });
});

/*
 * What went wrong elsewhere: bytes of another file that come with a part (rsync, CVE-2024-12085
 * and -12086), races for what lies in a folder that others can write to (rsync, CVE-2026-43619).
 */
describe('the start of a file that is kept', () => {
  const whole = file('large', 'the start of it and the rest of it');
  const start = whole.bytes.length / 2;

  /** Eve breaks off in the middle. Returns where the part lies. */
  async function leavePart(ana: Besieged): Promise<string> {
    const talk = await ana.call();
    talk.offer([whole.entry]);
    await talk.hear('want');
    talk.say({ type: 'chunk', entry: 0, offset: 0, bytes: whole.bytes.subarray(0, start) });
    talk.say({ type: 'cancel', code: 'cancelled' });
    await loose(ana);
    const [found] = ana.saved().filter((line) => /^\.drop-\w+\/\w/.test(line));
    return join(ana.inbox, found?.split(': ')[0] ?? '');
  }

  /** Until no transfer has what was left. */
  async function loose(ana: Besieged): Promise<void> {
    await vi.waitFor(() => {
      const records = readdirSync(join(ana.home.state, 'staging'));
      expect(records).toEqual([expect.stringMatching(/^[0-9a-f]{16}\.json$/)]);
    }, PATIENCE);
  }

  /** Offers it again. What is wanted of it, and what becomes of it when the rest is sent. */
  async function goOn(ana: Besieged, entry: Entry = whole.entry): Promise<string[]> {
    const talk = await ana.call();
    talk.offer([entry]);
    const [fate = ''] = await talk.decided([entry]);
    const offset = Number(/^kept (\d+)$/.exec(fate)?.[1] ?? 0);
    talk.say({ type: 'chunk', entry: 0, offset, bytes: whole.bytes.subarray(offset) });
    talk.say({ type: 'end', entry: 0, digest: sha256(whole.bytes) });
    const settled = await talk.settled(0);
    talk.say({ type: 'done' });
    await talk.hear('complete');
    return [fate, settled];
  }

  const spoils: [string, (part: string, ana: Besieged) => void, string[]][] = [
    ['is as it was', () => {}, [`kept ${start}`, 'stored']],
    [
      'has other content of the same length',
      (part) => writeFileSync(part, 'x'.repeat(start)),
      [`kept ${start}`, 'corrupt'],
    ],
    ['is longer than all of it', (part) => writeFileSync(part, 'x'.repeat(1000)), WANTED],
    [
      'is a link to a file of hers',
      (part, { home }) => {
        rmSync(part);
        symlinkSync(join(home.path, '.bashrc'), part);
      },
      WANTED,
    ],
    [
      'is another name of a file of hers',
      (part, { home }) => {
        rmSync(part);
        linkSync(join(home.path, '.bashrc'), part);
      },
      WANTED,
    ],
    [
      'is a pipe',
      (part) => {
        rmSync(part);
        execFileSync('mkfifo', [part]);
      },
      WANTED,
    ],
  ];

  test('gives nothing away and spoils nothing, whatever became of it', async () => {
    await using ana = await Besieged.make();
    for (const [what, spoil, expected] of spoils) {
      spoil(await leavePart(ana), ana);
      expect([what, await goOn(ana)]).toEqual([what, expected]);
      if (expected[1] !== 'stored') expect(await goOn(ana)).toEqual(WANTED);
      expect(ana.saved()).toEqual(['large: the start of it and the rest of it']);
      rmSync(join(ana.inbox, 'large'));
    }
    await ana.withstood([]);
  });

  describeWith(['root'], 'where there are several users', () => {
    test('is not used when it is somebody else’s', async () => {
      await using ana = await Besieged.make();
      chownSync(await leavePart(ana), NOBODY, NOBODY);
      expect(await goOn(ana)).toEqual(WANTED);
      await ana.withstood(['large: the start of it and the rest of it']);
    });
  });

  test('is for the device that sent it, the same file, and one transfer at a time', async () => {
    await using ana = await Besieged.make();
    await using mallory = await Rogue.make();
    await mallory.befriend(ana.home, 'Mallory');
    await leavePart(ana);
    const { port } = await ana.receiving.event('ready');
    const other = await mallory.call(port, 'Mallory');
    other.offer([whole.entry]);
    expect(await other.decided([whole.entry])).toEqual(['wanted']);
    other.say({ type: 'cancel', code: 'cancelled' });
    await loose(ana);
    const later: Entry = { ...whole.entry, mtime: 1 };
    const larger: Entry = { ...whole.entry, size: whole.entry.size + 1 };
    const fates: string[][] = [];
    const talks: Talk[] = [];
    for (const entries of [[later], [larger], [whole.entry], [whole.entry, file('b', '').entry]]) {
      const talk = await ana.call();
      talk.offer(entries);
      fates.push(await talk.decided(entries));
      talks.push(talk);
      if (talks.length > 2) continue;
      talk.say({ type: 'cancel', code: 'cancelled' });
      await loose(ana);
    }
    // The third has it, and as long as it does, the fourth has not.
    expect(fates).toEqual([['wanted'], ['wanted'], [`kept ${start}`], ['wanted', 'wanted']]);
    const [, , third, fourth] = talks;
    third?.say({ type: 'chunk', entry: 0, offset: start, bytes: whole.bytes.subarray(start) });
    third?.say({ type: 'end', entry: 0, digest: sha256(whole.bytes) });
    expect(await third?.settled(0)).toBe('stored');
    third?.say({ type: 'done' });
    await third?.hear('complete');
    fourth?.say({ type: 'cancel', code: 'cancelled' });
    await ana.withstood(['large: the start of it and the rest of it']);
  });

  test('is not what somebody else put there', async () => {
    const name = createHash('sha256').update('large').digest('hex').slice(0, 32);
    const planted = '.drop-0123456789abcdef';
    const part = `${planted}/${name}.${whole.entry.size}.0`;
    await using ana = await Besieged.make((inbox) => {
      mkdirSync(join(inbox, planted), { mode: 0o700 });
      writeFileSync(join(inbox, part), whole.bytes.subarray(0, start), { mode: 0o600 });
    });
    expect(await goOn(ana)).toEqual(WANTED);
    await ana.withstood([
      `${planted}/`,
      `${part}: ${new TextDecoder().decode(whole.bytes.subarray(0, start))}`,
      'large: the start of it and the rest of it',
    ]);
  });
});

const NOBODY = 65_534;

const WANTED = ['wanted', 'stored'];

/** What could be done to a file. */
const PROGRAMS = [
  ...['sh', 'bash', 'dash', 'zsh', 'env', 'node', 'python3', 'perl', 'xargs', 'find'],
  ...[
    'open',
    'xdg-open',
    'gio',
    'kde-open',
    'xattr',
    'file',
    'tar',
    'unzip',
    'bsdtar',
    '7z',
    'gzip',
  ],
  ...['rm', 'mv', 'cp', 'ln', 'touch', 'chmod', 'mkdir'],
];

/** What an unpacked archive would say. */
const TAR = `../../${MARK}`;

/** Bytes of memory that a process has. */
async function memoryOf(pid: number): Promise<number> {
  const [, kB] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kB) * 1024;
}
