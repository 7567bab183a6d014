import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { instanceName } from '../../src/net/mdns.ts';
import { newRun } from '../../src/net/run.ts';
import { concat, utf8 } from '../../src/protocol/bytes.ts';
import { forgedGoodbye, inventedPeer } from '../net/hostile.ts';
import { drop, dropOnScreen } from '../support/bin.ts';
import { Home } from '../support/home.ts';
import { freePort } from '../support/ports.ts';
import { file, KIND, Rogue, type Talk } from '../support/rogue-peer.ts';
import type { Screen } from '../support/screen.ts';

const ENTER = '\r';

/** Clears the screen, writes into the clipboard, colours, rings, goes back, turns letters round. */
const STEERING = [
  '\x1b[2J\x1b[HEVIL',
  '\x1b]52;c;RVZJTA==\x07EVIL',
  '\x1b]8;;http:evil\x1b\\EVIL',
  '\x1b[38;5;199mEVIL\x1b[6n',
  '\x9b38;5;199mEVIL\x9d0;EVIL\x9c',
  'x\rEVIL\nSaved EVIL.txt (1 B)\b\b\x7f',
  'x\u202eLIVE\u2066EVIL\u2028\u200b\ufeff\u{e0041}',
];

/** What of it does not come to a terminal by chance, and what `drop` itself has no use for. */
const STEERED = ['\x1b]', '\x1b[2J', '\x1b[H', '\x1b[38;5;199m', '\x1b[6n'];
const UNUSED = /[^\P{Cc}\r\n]|[\p{Zl}\p{Zp}\p{Bidi_Control}\u200b\ufeff\u{e0041}]/u;

/** All that a program writes into a terminal. */
class Written {
  text = '';
  readonly onOutput = (data: string): void => {
    this.text += data;
  };

  steersNothing(): void {
    for (const sequence of STEERED) expect(this.text).not.toContain(sequence);
    expect(this.text.replaceAll('\x1b', '')).not.toMatch(UNUSED);
  }

  /** Nothing of what Eve said steers anything, and nothing looks as if it had. */
  async isClean(screen: Screen): Promise<void> {
    this.steersNothing();
    // What is drawn anew can be seen before it is whole.
    const seen = await screen.until(() => {
      const all = screen.history();
      return all.includes('EVIL') ? all : undefined;
    }, 'EVIL');
    expect(seen).not.toMatch(/[^\P{Cc}\n]|\p{Bidi_Control}/u);
    // A line of hers would stand at its start.
    expect(seen).not.toMatch(/^ *Saved EVIL/m);
  }
}

/*
 * What went wrong elsewhere: escape sequences in names of files (croc, CVE-2023-43620;
 * magic-wormhole, issue 476; OpenSSH scp, CVE-2019-6109), in what the other side calls an error
 * (CVE-2019-6110), and in what is announced (LocalSend, CVE-2025-54792; KDE Connect, CVE-2025-32900).
 */
describe('on the terminal', () => {
  test('of who receives, names of devices and files are text, and nothing else', async () => {
    await using ana = new Home();
    await using eve = await Rogue.make();
    const port = await freePort();
    const written = new Written();
    await using screen = dropOnScreen(['receive', '--name', 'Ana', '--port', `${port}`], {
      home: ana,
      cols: 200,
      rows: 60,
      ...written,
    });
    const [, code = ''] = await screen.waitFor(/Code for new devices: (\d{3} \d{3})/);
    const name = `Eve\x1b]0;EVIL\x07\x9b31m\u202e\r\n`;
    await eve.pair(port, code.replace(' ', ''), name);
    await screen.waitFor(/New device paired: "Eve\]0;EVIL31m"/);

    const names = [...STEERING, `EVIL${'\u0301'.repeat(50)}`, `EVIL${'é'.repeat(500)}`];
    const things = names.map((path, i) => file(path, `${i}`, { mode: 0o755 }));
    const talk = await eve.call(port, `${name} other`);
    talk.offer(things.map(({ entry }) => entry));
    await screen.waitFor(/Eve\]0;EVIL31m wants to send .*Accept\? \[y\/N\]/s);
    await written.isClean(screen);
    screen.type(`y${ENTER}`);
    await talk.decided(things.map(({ entry }) => entry));
    // One of them is not what it should be, one cannot be read, the others are there.
    talk.send(0, things[0]?.bytes ?? utf8(''));
    expect(await talk.settled(0)).toBe('stored');
    talk.say({ type: 'chunk', entry: 1, offset: 0, bytes: utf8('x') });
    talk.say({ type: 'end', entry: 1, digest: new Uint8Array(32) });
    talk.say({ type: 'failed', entry: 2, code: 'unreadable' });
    for (const [i, { bytes }] of things.entries()) if (i > 2) talk.send(i, bytes);
    for (const [i] of things.entries()) await talk.settled(i);
    talk.utter(KIND.cancel, concat(Uint8Array.of(4), utf8('\x1b[2JEVIL')));
    await screen.waitFor(/Incomplete/);
    await screen.waitFor(/Saved .*_\[2J_\[HEVIL \(1 B\)/);
    await written.isClean(screen);
    for (const saved of readdirSync(ana.downloads)) expect(saved).not.toMatch(/[\p{Cc}\u202e]/u);

    screen.type('\x03');
    await screen.outcome();
    await using peers = drop(['peers'], { home: ana });
    expect((await peers.outcome()).stdout).not.toMatch(/[^\P{Cc}\n]|\p{Bidi_Control}/u);
  });

  test('of who sends, neither the name nor the reasons of a receiver are more than text', async () => {
    await using bob = new Home();
    await using eve = await Rogue.make();
    await eve.befriend(bob, 'Eve\x1b]0;EVIL\x07\x9b31m\u202e');
    writeFileSync(join(bob.path, 'EVIL.txt'), 'x');
    const acts: ((talk: Talk) => void)[] = [
      (talk) => talk.utter(KIND.cancel, concat(Uint8Array.of(1), utf8('\x1b[2JEVIL'))),
      (talk) => talk.utter(KIND.cancel, Uint8Array.of(200)),
      (talk) => talk.utter(KIND.intro, { name: STEERING[0] }),
      (talk) => talk.utter(KIND.begun, { transfer: STEERING[1] }),
      (talk) => talk.utter(0x1b, STEERING.join('')),
    ];
    let turn = 0;
    const port = await eve.wait(async (talk) => {
      await talk.hear('offer');
      acts[turn++]?.(talk);
      await talk.end();
    }, `Eve${STEERING[2]}`);
    for (const _ of acts) {
      const written = new Written();
      await using screen = dropOnScreen(['send', '--to', `127.0.0.1:${port}`, 'EVIL.txt'], {
        home: bob,
        cols: 200,
        ...written,
      });
      const { code } = await screen.outcome();
      expect([5, 7]).toContain(code);
      written.steersNothing();
      expect(screen.history()).toMatch(/Error: /);
      expect(screen.history()).not.toMatch(/\[2J|http|52;c/);
    }
  });

  test('in lists, what is announced is text, and hides nobody who is there', async () => {
    await using ana = new Home();
    await using bob = new Home();
    await using receiving = drop(['receive', '--json', '--yes', '--name', 'Ana'], { home: ana });
    const { code } = await receiving.event('ready');
    writeFileSync(join(bob.path, 'a.txt'), 'a');
    await using mouth = await Mouth.open();
    const written = new Written();
    await using list = dropOnScreen(['send', 'a.txt'], {
      home: bob,
      cols: 150,
      rows: 50,
      ...written,
    });
    await using events = drop(['peers', '--json', '--watch'], { home: bob });
    const seen = await events.event('peer', ({ name }) => name === 'Ana');
    const other = 'b'.repeat(16);
    mouth.repeat([
      ...STEERING.map((name, i) => announced(`${i}`.repeat(16), name, name)),
      announced(other, 'x'.repeat(200), `EVIL${'\u0301'.repeat(100)}`),
      // Of the very process that is there: another port, and that it is gone.
      announced(seen.run, 'Ana', 'Ana', 9),
      announced(seen.run, 'Ana', 'Ana', 0),
      forgedGoodbye('_drop-lan._tcp.local', instanceName('Ana', seen.run)),
      ...Array.from({ length: 100 }, () => announced(newRun(), 'Invented', 'EVIL Invented')),
    ]);
    await list.waitFor(/EVIL.* does not answer/);
    await events.event('silent');
    await list.waitFor(/Ana +new/);
    await written.isClean(list);
    await using sending = drop(['send', '--to', 'Ana', 'a.txt'], {
      home: bob,
      env: { DROP_CODE: code ?? '' },
    });
    expect((await sending.outcome()).code).toBe(0);
    await written.isClean(list);
    const { stdout } = await events.stop();
    expect(stdout).not.toMatch(/[^\P{Cc}\n]|\p{Bidi_Control}/u);
    const names = events.events.flatMap((event) => (event.event === 'peer' ? [event] : []));
    expect(new Set(names.map(({ name, state }) => `${state} ${name}`))).toEqual(
      new Set(['found Ana']),
    );
  });
});

function announced(run: string, instance: string, name: string, port = 9): Uint8Array {
  const label = instanceName(instance.slice(0, 40), run);
  return inventedPeer('_drop-lan._tcp.local', label, port, ['v=1', `id=${run}`, `n=${name}`]);
}

/** Says packets again and again, as a member of the group would. */
class Mouth implements AsyncDisposable {
  readonly #socket = createSocket({ type: 'udp4', reuseAddr: true });
  readonly #ended = new AbortController();
  #saying: Promise<void> = Promise.resolve();

  static async open(): Promise<Mouth> {
    const mouth = new Mouth();
    mouth.#socket.bind(5353);
    await once(mouth.#socket, 'listening');
    mouth.#socket.addMembership('224.0.0.251', '127.0.0.1');
    mouth.#socket.setMulticastInterface('127.0.0.1');
    return mouth;
  }

  repeat(packets: readonly Uint8Array[]): void {
    const { signal } = this.#ended;
    this.#saying = (async () => {
      while (!signal.aborted)
        for (const packet of packets) {
          this.#socket.send(packet, 5353, '224.0.0.251', () => {});
          await sleep(5, undefined, { signal }).catch(() => {});
        }
    })();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await this.#saying;
    this.#socket.close();
  }
}
